/*
 * The connection that only listens. hiredis takes an error reply on a subscribed connection for
 * fatal, so it can't be the one that asks. It is opened once the asking one is up, and PINGed: a
 * half-open one says nothing for ever.
 */
#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "client_internal.h"

enum { LISTEN_PING_MS = 10000, LISTEN_DENIED_RETRY_MS = 60000 };

int64_t client_backoff_ms(unsigned failures)
{
    int64_t ceiling = backoff_ms(failures, BACKOFF_FIRST_MS, BACKOFF_LAST_MS);

    /* Full jitter, but never zero: a peer that closes at once must not be hammered. */
    return 10 + (int64_t)jitter_below((uint32_t)ceiling);
}

static void client_relisten(struct sentinel_client *client, int64_t delay_ms)
{
    redis_conn_close(client->listen);
    loop_timer_stop(client->ping);
    if (client->state == CLIENT_UP) {
        loop_timer_start(client->relisten, delay_ms);
    }
}

void client_listen(void *data)
{
    struct sentinel_client *client = data;

    if (client->state != CLIENT_UP) {
        return;
    }
    redis_conn_open(client->listen, redis_conn_peer(client->ask), client->config.username,
                    secret_value(client->config.password), client->config.timeout_ms);
}

static void listen_pong(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)data;
    (void)reply;
    (void)why; /* its lateness closes the connection; what it says does not matter */
}

void client_ping(void *data)
{
    struct sentinel_client *client = data;
    const char *argv[] = {"PING"};

    if (!redis_conn_is_ready(client->listen)) {
        return;
    }
    redis_conn_command(client->listen, listen_pong, NULL, client->config.timeout_ms, 1, argv, NULL);
    loop_timer_start(client->ping, LISTEN_PING_MS - LISTEN_PING_MS / 10 +
                                       (int64_t)jitter_below(LISTEN_PING_MS / 5));
}

static void listen_ready(void *data, const redisReply *hello)
{
    struct sentinel_client *client = data;
    enum sentinel_error kind = sentinel_error_kind(hello);

    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS) {
        client->listen_failures++;
        client_relisten(client, client_backoff_ms(client->listen_failures));
        return;
    }
    redis_conn_subscribe(client->listen);
    loop_timer_start(client->ping, LISTEN_PING_MS);
}

static void listen_closed(void *data, enum redis_fail why, const char *words)
{
    struct sentinel_client *client = data;

    if (why == REDIS_FAIL_DENIED) {
        client_relisten(client, LISTEN_DENIED_RETRY_MS);
        (void)client_deny(client, SENTINEL_EXTRA_PSUBSCRIBE, words);
        return;
    }
    char at[ADDRESS_TEXT_SIZE];
    log_debug("sentinel subscription lost",
              LOG_STR("sentinel", address_format(&client->config.address, at)),
              LOG_STR("why", redis_fail_text(why)), LOG_STR("words", words));
    client->listen_failures++;
    client_relisten(client, client_backoff_ms(client->listen_failures));
}

static const redisReply *element(const redisReply *array, size_t i, size_t at_least)
{
    if ((array->type != REDIS_REPLY_PUSH && array->type != REDIS_REPLY_ARRAY) ||
        array->elements < at_least) {
        return NULL;
    }
    const redisReply *reply = array->element[i];
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ? reply : NULL;
}

static bool is_word(const redisReply *reply, const char *word)
{
    return reply && strcmp(reply->str, word) == 0;
}

static void listen_push(void *data, const redisReply *push)
{
    struct sentinel_client *client = data;
    const redisReply *kind = element(push, 0, 1);

    if (is_word(kind, "psubscribe")) {
        /* What was said while nobody listened is lost: ask. */
        client->listen_failures = 0;
        for (size_t i = 0; i < client->n_monitored_masters; i++) {
            sentinel_client_ask(client, client->monitored_masters[i]);
        }
        return;
    }
    const redisReply *channel = element(push, 2, 4);
    const redisReply *payload = element(push, 3, 4);
    if (!is_word(kind, "pmessage") || !channel || !payload) {
        return;
    }
    struct sentinel_event event;
    if (sentinel_parse_event(channel->str, channel->len, payload->str, payload->len, &event) != 0) {
        char at[ADDRESS_TEXT_SIZE];

        log_debug("sentinel event not understood",
                  LOG_STR("sentinel", address_format(&client->config.address, at)),
                  LOG_STR("channel", channel->str), LOG_STR("payload", payload->str));
        return;
    }
    if (event.kind == SENTINEL_EVENT_TILT || event.kind == SENTINEL_EVENT_TILT_END) {
        client->tilt = event.kind == SENTINEL_EVENT_TILT;
    }
    client_enter(client);
    client->hooks.event(client->data, client, &event);
    (void)client_leave(client);
}

const struct redis_conn_hooks *client_listen_hooks(void)
{
    static const struct redis_conn_hooks hooks = {
        .ready = listen_ready, .closed = listen_closed, .push = listen_push};

    return &hooks;
}
