/*
 * The client to one Sentinel.
 *
 *   waiting ──► dialling ── HELLO, MYID ──► up
 *      ▲            │ fails                   │ closed, late, refused
 *      └────────────┴─────────────────────────┘   100 ms doubling to 5 s, full jitter
 *
 * While up the monitored masters are asked in turn (client_poll.c). The listening connection
 * (client_subscribe.c) is opened once the asking one is up.
 */
#include <stdio.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/node_reply.h"
#include "client_poll.h"
#include "client_subscribe.h"

#define TOO_OLD "too old: needs Redis 6.2 or newer: "

/* ---- trouble ---- */

/* The only place that moves the state. One without a connection hangs up. */
static void client_move(struct sentinel_client *client, enum client_state to)
{
    client->state = to;
    if (to != CLIENT_PAUSED && to != CLIENT_WAITING) {
        return;
    }
    client_drop_questions(client);
    loop_timer_stop(client->pace);
    loop_timer_stop(client->relisten);
    loop_timer_stop(client->ping);
    redis_conn_close(client->ask);
    redis_conn_close(client->listen);
}

/* The asking connection is of no use: say so, and dial again later. */
static void client_fail(struct sentinel_client *client, enum sentinel_trouble trouble,
                        const char *words)
{
    client_move(client, CLIENT_WAITING);
    client->failures++;
    client->trouble = trouble;
    client_keep_words(client, words);
    loop_timer_start(client->redial, client_backoff_ms(client->failures));
    client_enter(client);
    client->hooks.down(client->data, client);
    (void)client_leave(client);
}

/* ---- dialling the asking connection ---- */

/* Fail with the reply's words whole, behind `what` they mean. */
static void fail_saying(struct sentinel_client *client, enum sentinel_trouble trouble,
                        const char *what, const redisReply *reply)
{
    char words[SENTINEL_LINK_WORDS_SIZE];
    size_t length = (size_t)snprintf(words, sizeof(words), "%s", what);

    text_copy(reply->str, reply->len, words + length, sizeof(words) - length);
    client_fail(client, trouble, words);
}

static void fail_to_identify(struct sentinel_client *client, const redisReply *reply)
{
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NOAUTH: /* a server without HELLO was not given ours */
        if (strncasecmp(client->hello_error, "ERR unknown command", 19) == 0) {
            fail_saying(client, SENTINEL_TROUBLE_TOO_OLD, TOO_OLD, reply);
        } else {
            fail_saying(client, SENTINEL_TROUBLE_AUTH, "it wants a password: ", reply);
        }
        break;
    case SENTINEL_ERROR_UNKNOWN_COMMAND:
        if (strcasestr(reply->str, "subcommand")) {
            fail_saying(client, SENTINEL_TROUBLE_TOO_OLD, TOO_OLD, reply);
        } else {
            fail_saying(client, SENTINEL_TROUBLE_NOT_SENTINEL,
                        "a Redis server and no Sentinel: ", reply);
        }
        break;
    default:
        if (reply->type == REDIS_REPLY_ERROR) {
            fail_saying(client, SENTINEL_TROUBLE_NOT_SENTINEL,
                        "SENTINEL MYID was answered: ", reply);
        } else {
            client_fail(client, SENTINEL_TROUBLE_NOT_SENTINEL,
                        "SENTINEL MYID was answered with no run id");
        }
    }
}

/* The only place that moves the identity. */
static void client_identify(struct sentinel_client *client, enum client_identity identity,
                            const char *run_id)
{
    client->identity = identity;
    snprintf(client->run_id, sizeof(client->run_id), "%s", run_id);
}

/* The end of an address tells best: a port, and the part of an IPv6 address that differs. */
static void identify_by_address(struct sentinel_client *client)
{
    char text[ADDRESS_TEXT_SIZE];
    size_t length = strlen(address_format(redis_conn_peer(client->ask), text));
    size_t room = sizeof(client->run_id) - 1;

    client_identify(client, CLIENT_BY_ADDRESS, text + (length > room ? length - room : 0));
}

static void got_myid(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_client *client = client_take_question(data, reply, NULL);
    if (!client) {
        return;
    }
    char run_id[SENTINEL_RUN_ID_SIZE];
    bool hides_id = sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM;
    if (!hides_id && sentinel_parse_myid(reply, run_id) != 0) {
        fail_to_identify(client, reply);
        return;
    }
    if (hides_id) {
        identify_by_address(client);
    } else {
        client_identify(client, CLIENT_BY_ITSELF, run_id);
    }
    client_move(client, CLIENT_UP);
    client->failures = 0;
    client->trouble = SENTINEL_TROUBLE_NONE;
    client->denied = 0;
    client->local = address_is_loopback(redis_conn_peer(client->ask));
    client_enter(client);
    client->hooks.up(client->data, client);
    if (!client_leave(client) || client->state != CLIENT_UP) {
        return;
    }
    if (hides_id &&
        (!client_deny(client, SENTINEL_EXTRA_MYID, reply->str) || client->state != CLIENT_UP)) {
        return;
    }
    client_begin_rounds(client);
    client->listen_failures = 0;
    client_listen(client);
}

/*
 * HELLO may be denied or renamed where the rest is not: then go on without it. Other errors end the
 * attempt. @return whether to go on.
 */
static bool hear_hello_error(struct sentinel_client *client, const redisReply *hello)
{
    enum sentinel_error kind = sentinel_error_kind(hello);

    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS) {
        char error[256];

        (void)secret_refresh(client->config.password, true, error, sizeof(error));
        fail_saying(client, SENTINEL_TROUBLE_AUTH,
                    kind == SENTINEL_ERROR_NOAUTH ? "it wants a password: "
                                                  : "wrong user or password: ",
                    hello);
        return false;
    }
    if (kind == SENTINEL_ERROR_MAXCLIENTS) {
        fail_saying(client, SENTINEL_TROUBLE_LOST, "it takes no more clients: ", hello);
        return false;
    }
    if (strncmp(hello->str, "DENIED ", 7) == 0) {
        fail_saying(client, SENTINEL_TROUBLE_DENIED, "it refuses connections: ", hello);
        return false;
    }
    text_copy(hello->str, hello->len, client->hello_error, sizeof(client->hello_error));
    return true;
}

static void ask_ready(void *data, const redisReply *hello)
{
    struct sentinel_client *client = data;
    struct node_hello said;

    if (hello->type == REDIS_REPLY_ERROR) {
        if (!hear_hello_error(client, hello)) {
            return;
        }
    } else if (node_parse_hello(hello, &said) != 0) {
        client_fail(client, SENTINEL_TROUBLE_NOT_SENTINEL,
                    "no Sentinel: it does not answer HELLO as Redis does");
        return;
    } else if (strcmp(said.mode, "sentinel") != 0) {
        char words[128];

        snprintf(words, sizeof(words), "a Redis server and no Sentinel: its mode is %.64s",
                 said.mode);
        client_fail(client, SENTINEL_TROUBLE_NOT_SENTINEL, words);
        return;
    }
    const char *argv[] = {"SENTINEL", "MYID"};
    client_send(client, NULL, got_myid, 2, argv);
}

static void client_secure(struct sentinel_client *client, struct redis_tls *tls)
{
    client->config.tls = tls;
    redis_conn_secure(client->ask, tls, NULL);
}

/* It speaks TLS, and may be spoken to in TLS: from now on it is, never the other way round. */
static bool try_otherwise(struct sentinel_client *client, enum redis_fail why)
{
    if (why != REDIS_FAIL_TLS || client->config.tls || !client->config.tls_otherwise ||
        client->state == CLIENT_UP) {
        return false;
    }
    client_move(client, CLIENT_WAITING);
    client_secure(client, client->config.tls_otherwise);
    loop_timer_start(client->redial, 0);
    return true;
}

static void ask_closed(void *data, enum redis_fail why, const char *words)
{
    struct sentinel_client *client = data;

    if (try_otherwise(client, why)) {
        return;
    }
    enum sentinel_trouble trouble = why == REDIS_FAIL_PROTOCOL ? SENTINEL_TROUBLE_NOT_SENTINEL
                                    : why == REDIS_FAIL_TLS    ? SENTINEL_TROUBLE_TLS
                                                               : SENTINEL_TROUBLE_LOST;
    /* What it said right before it closed is why it did. */
    const char *said = client->state == CLIENT_UP ? "" : client->hello_error;
    char text[SENTINEL_LINK_WORDS_SIZE + 512];

    snprintf(text, sizeof(text), "%s%s%s%s%.380s", said, *said != '\0' ? "; " : "",
             redis_fail_text(why), *words != '\0' ? ": " : "", words);
    client_fail(client, trouble, text);
}

static void client_dial(void *data)
{
    struct sentinel_client *client = data;

    if (client->state != CLIENT_WAITING) {
        return;
    }
    client_move(client, CLIENT_DIALLING);
    client->hello_error[0] = '\0';
    client->generation++;
    redis_conn_open(client->ask, &client->config.address, client->config.username,
                    secret_value(client->config.password), client->config.timeout_ms);
}

/* ---- life ---- */

struct sentinel_client *sentinel_client_new(struct loop *loop,
                                            const struct sentinel_client_config *config,
                                            const struct sentinel_client_hooks *hooks, void *data)
{
    static const struct redis_conn_hooks ask_hooks = {.ready = ask_ready, .closed = ask_closed};
    struct sentinel_client *client = mem_new(1, sizeof(*client));

    client->loop = loop;
    client->config = *config;
    client->hooks = *hooks;
    client->data = data;
    client->ask = redis_conn_new(loop, &ask_hooks, client);
    redis_conn_tls_option(client->ask, "sentinel-tls");
    client_secure(client, config->tls);
    redis_conn_look_for_tls(client->ask, true);
    redis_conn_group(client->ask, config->group);
    client->listen = redis_conn_new(loop, &client_listen_hooks, client);
    client->redial = loop_timer_new(loop, client_dial, client);
    client->pace = loop_timer_new(loop, client_visit, client);
    client->relisten = loop_timer_new(loop, client_listen, client);
    client->ping = loop_timer_new(loop, client_ping, client);
    return client;
}

void sentinel_client_free(struct sentinel_client *client)
{
    if (!client) {
        return;
    }
    client_enter(client);
    client_move(client, CLIENT_FREED);
    redis_conn_free(client->ask); /* completes its questions: they see that state */
    redis_conn_free(client->listen);
    loop_timer_free(client->redial);
    loop_timer_free(client->pace);
    loop_timer_free(client->relisten);
    loop_timer_free(client->ping);
    while (client->n_monitored_masters > 0) {
        sentinel_client_unwatch(client, client->monitored_masters[client->n_monitored_masters - 1]);
    }
    (void)client_leave(client);
}

void sentinel_client_start(struct sentinel_client *client)
{
    if (client->state == CLIENT_PAUSED) {
        client_move(client, CLIENT_WAITING);
    }
    if (client->state == CLIENT_WAITING) {
        loop_timer_start(client->redial, 0);
    }
}

void sentinel_client_pause(struct sentinel_client *client)
{
    loop_timer_stop(client->redial);
    client_move(client, CLIENT_PAUSED);
}

void sentinel_client_redirect(struct sentinel_client *client, const struct address *address)
{
    client->config.address = *address;
}

void sentinel_client_void(struct sentinel_client *client)
{
    if (client->state != CLIENT_UP) {
        return;
    }
    client_drop_questions(client);
    sentinel_client_ask_names(client);
    client_ask_everything(client);
}

struct monitored_master *sentinel_client_watch(struct sentinel_client *client, const char *name,
                                               void *tag)
{
    struct monitored_master *monitored = mem_new(1, sizeof(*monitored));

    monitored->client = client;
    monitored->name = mem_strdup(name);
    monitored->tag = tag;
    client->monitored_masters =
        mem_resize(client->monitored_masters, client->n_monitored_masters + 1,
                   sizeof(*client->monitored_masters));
    client->monitored_masters[client->n_monitored_masters++] = monitored;
    if (client->state == CLIENT_UP) {
        sentinel_client_ask_all(client, monitored);
    }
    return monitored;
}

void sentinel_client_unwatch(struct sentinel_client *client, struct monitored_master *monitored)
{
    for (size_t i = 0; i < client->n_monitored_masters; i++) {
        if (client->monitored_masters[i] != monitored) {
            continue;
        }
        client->monitored_masters[i] = client->monitored_masters[--client->n_monitored_masters];
        break;
    }
    client_unwant(client, monitored);
    monitored->client = NULL;
    client_release_monitored_master(monitored);
}

bool sentinel_client_is_secure(const struct sentinel_client *client)
{
    return client->config.tls != NULL;
}

bool sentinel_client_is_secure_otherwise(const struct sentinel_client *client)
{
    return client->config.tls && client->config.tls == client->config.tls_otherwise;
}

bool sentinel_client_is_up(const struct sentinel_client *client)
{
    return client->state == CLIENT_UP;
}
bool sentinel_client_listens(const struct sentinel_client *client)
{
    return client->state == CLIENT_UP && redis_conn_is_ready(client->listen);
}
const struct address *sentinel_client_address(const struct sentinel_client *client)
{
    return &client->config.address;
}
const struct address *sentinel_link_peer(const struct sentinel_client *client)
{
    return redis_conn_peer(client->ask);
}
bool sentinel_client_is_local(const struct sentinel_client *client)
{
    return client->local;
}
const char *sentinel_client_run_id(const struct sentinel_client *client)
{
    return client->run_id;
}
bool sentinel_client_hides_id(const struct sentinel_client *client)
{
    return client->identity != CLIENT_BY_ITSELF;
}
bool sentinel_client_is_nameless(const struct sentinel_client *client)
{
    return client->identity == CLIENT_BY_ADDRESS;
}

void sentinel_client_name(struct sentinel_client *client, const char *run_id)
{
    client_identify(client, CLIENT_BY_OTHERS, run_id);
}

bool sentinel_client_tilt(const struct sentinel_client *client)
{
    return client->tilt;
}
enum sentinel_trouble sentinel_client_trouble(const struct sentinel_client *client)
{
    return client->trouble;
}
unsigned sentinel_client_failures(const struct sentinel_client *client)
{
    return client->failures;
}
unsigned sentinel_client_denied_extras(const struct sentinel_client *client)
{
    return client->denied;
}

const char *sentinel_client_words(const struct sentinel_client *client, int64_t *wall_ms)
{
    *wall_ms = client->words_wall_ms;
    return client->words;
}

int64_t sentinel_monitored_master_answered_us(const struct monitored_master *monitored)
{
    return monitored->answered_us;
}
