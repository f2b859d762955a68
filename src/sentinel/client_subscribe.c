/*
 * The connection that only listens: in RESP2 a subscribed connection may send nothing but PING, so
 * it can't be the one that asks. It is opened once the asking one is up, and PINGed: one that is
 * half open would say nothing for ever.
 */
#include "client_subscribe.h"

#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/log.h"
#include "client_poll.h"

enum { LISTEN_PING_MS = 10000, LISTEN_DENIED_RETRY_MS = 60000 };

/* Hang up, and listen again later. */
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
    redis_conn_secure(client->listen, client->config.tls, client->config.address.host);
    redis_conn_open(client->listen, redis_conn_peer(client->ask), client->config.username,
                    secret_value(client->config.password), client->config.timeout_ms);
}

void client_ping(void *data)
{
    struct sentinel_client *client = data;
    const char *argv[] = {"PING"};

    if (!redis_conn_is_ready(client->listen)) {
        return;
    }
    /* Its lateness closes the connection; what it is answered does not matter. */
    redis_conn_command(client->listen, NULL, NULL, client->config.timeout_ms, 1, argv, NULL);
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

static void listen_push(void *data, const redisReply *push)
{
    struct sentinel_client *client = data;
    struct sentinel_event event;

    if (strcmp(push->element[0]->str, "psubscribe") == 0) {
        /* What was said while nobody listened is lost: ask. */
        client->listen_failures = 0;
        for (size_t i = 0; i < client->n_monitored_masters; i++) {
            sentinel_client_ask(client, client->monitored_masters[i]);
        }
        return;
    }
    const redisReply *channel = push->element[2], *payload = push->element[3];
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

const struct redis_conn_hooks client_listen_hooks = {
    .ready = listen_ready, .closed = listen_closed, .push = listen_push};
