/*
 * The life of a connection: made, opened, ended by itself or closed, freed; and the public
 * functions. Dialling is in dial.c, bytes in stream.c, replies in replies.c, who waits for them in
 * pending.c.
 *
 * hiredis serves as parser, formatter and buffer (redisContext in non-blocking mode); its
 * asynchronous layer is left out on purpose: once subscribed it trusts the peer (a push of one
 * element is read out of bounds, an acknowledgement nobody asked for dereferences NULL) and it
 * drops unexpected replies silently.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "dial.h"
#include "pending.h"
#include "stream.h"

/* Close all but the commands in flight. */
static void shut(struct redis_conn *conn)
{
    conn_move(conn, CONN_CLOSED);
    conn_disarm(conn);
    conn_dial_stop(conn);
    conn_stream_stop(conn);
}

/* The connection ends by itself: complete its commands, then call `closed`. */
static void end(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    uint64_t session;

    if (words != conn->words) {
        conn_say(conn, "%s", words);
    }
    shut(conn);
    session = conn->session;
    conn_enter(conn);
    conn_queue_abandon(conn, why);
    /*
     * An owner who closed, freed or opened it again from a command's callback needs no news of this
     * end.
     */
    if (conn->session == session && conn->hooks.closed) {
        conn->hooks.closed(conn->data, why, conn->words);
    }
    conn_leave(conn);
}

static void lost(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    if (conn->state == CONN_HELLO && why == REDIS_FAIL_CLOSED &&
        conn->greeting == CONN_GREET_IN_PLAIN) {
        conn->suspects_plain = false;
        conn_dial_greet(conn, CONN_GREET, NULL);
    } else if (conn->state == CONN_HELLO && why == REDIS_FAIL_CLOSED && conn->received == 0 &&
               conn->looks_for_tls && !conn->tls && conn->greeting == CONN_GREET) {
        conn_dial_greet(conn, CONN_GREET_IN_TLS, words);
    } else if (conn->state == CONN_TLS || conn->state == CONN_HELLO) {
        conn_dial_failed(conn, why, words);
    } else {
        end(conn, why, words);
    }
}

static void greeted(struct redis_conn *conn, const redisReply *hello)
{
    const struct conn_command ping = {
        .done = conn->ping_done, .data = conn->data, .deadline_ms = conn->open_deadline_ms};

    conn_dial_ready(conn);
    conn_move(conn, CONN_READY);
    if (ping.done) {
        conn_queue_push(conn, &ping);
    }
    /* With an error the server stays at RESP2. */
    conn->resp3 = conn->protocol == 3 && hello->type != REDIS_REPLY_ERROR;
    if (conn->hooks.ready) {
        conn->hooks.ready(conn->data, hello);
    }
}

/*
 * The timer stands at the earliest deadline or before it: while commands are in flight it is not
 * moved with every reply.
 */
static void check_deadlines(struct redis_conn *conn)
{
    uint64_t session = conn->session;
    int64_t earliest_ms;

    conn_stream_drain(conn); /* what arrived while the process was stopped is in time */
    if (conn->session != session) {
        return;
    }
    earliest_ms = conn_queue_earliest(conn);
    if (earliest_ms == 0) {
        return;
    }
    if (earliest_ms <= clock_boot_ms()) {
        end(conn, REDIS_FAIL_TIMEOUT, "a command was not answered in time");
    } else {
        conn_arm(conn, earliest_ms);
    }
}

static void on_timer(void *data)
{
    struct redis_conn *conn = data;

    conn_enter(conn);
    conn->timer_ms = 0;
    switch (conn->state) {
    case CONN_CLOSED:
    case CONN_FREED: break;
    case CONN_LOOKUP:
    case CONN_CONNECT:
    case CONN_EXHAUSTED:
    case CONN_TLS:
    case CONN_HELLO: conn_dial_timer(conn); break;
    case CONN_READY: check_deadlines(conn); break;
    }
    conn_leave(conn);
}

struct redis_conn *redis_conn_new(struct loop *loop, const struct redis_conn_hooks *hooks,
                                  void *data)
{
    static const struct conn_reports reports = {.greeted = greeted, .lost = lost};
    struct redis_conn *conn = mem_new(1, sizeof(*conn));

    conn->loop = loop;
    conn->reports = &reports;
    conn->hooks = *hooks;
    conn->data = data;
    conn->fd = -1;
    conn->protocol = 3;
    conn->tls_option = "redis-tls";
    conn->reader.limit = TREE_BYTES_MAX;
    conn->timer = loop_timer_new(loop, on_timer, conn);
    conn->flush = (struct loop_later){.run = conn_stream_flush, .data = conn};
    return conn;
}

/* The wire form is made here so that neither name nor password must live longer than this call. */
static void make_hello(struct redis_conn *conn, const char *username, const char *password)
{
    const char *version = conn->protocol == 2 ? "2" : "3";
    const char *argv[5] = {"HELLO", version, "AUTH", username ? username : "default", password};
    long long length = redisFormatCommandArgv(&conn->hello, password ? 5 : 2, argv, NULL);

    if (length < 0) {
        mem_exhausted();
    }
    conn->hello_len = (size_t)length;
}

void redis_conn_speak(struct redis_conn *conn, int protocol)
{
    conn->protocol = protocol;
}

void redis_conn_secure(struct redis_conn *conn, struct redis_tls *tls, const char *host)
{
    conn->suspects_plain = conn->suspects_plain && conn->tls == tls;
    conn->tls = tls;
    free(conn->tls_host);
    conn->tls_host = mem_strdup(host);
}

void redis_conn_tls_option(struct redis_conn *conn, const char *option)
{
    conn->tls_option = option;
}

void redis_conn_look_for_tls(struct redis_conn *conn, bool look)
{
    conn->looks_for_tls = look;
}

void redis_conn_group(struct redis_conn *conn, unsigned group)
{
    conn->group = group;
}

void redis_conn_ping(struct redis_conn *conn, redis_reply_fn *done)
{
    conn->ping_done = done;
}

void redis_conn_limit(struct redis_conn *conn, size_t max_reply_bytes)
{
    conn->reader.limit = max_reply_bytes;
}

void redis_conn_open(struct redis_conn *conn, const struct address *target, const char *username,
                     const char *password, int64_t timeout_ms)
{
    if (conn->state != CONN_CLOSED) {
        return;
    }
    conn->target = *target;
    conn->peer = (struct address){0};
    conn->open_deadline_ms = clock_boot_ms() + timeout_ms;
    make_hello(conn, username, password);
    conn_dial_start(conn);
}

bool redis_conn_is_ready(const struct redis_conn *conn)
{
    return conn->state == CONN_READY;
}

const struct address *redis_conn_peer(const struct redis_conn *conn)
{
    return &conn->peer;
}

static void send_command(struct redis_conn *conn, const struct conn_command *command, int argc,
                         const char **argv, const size_t *argv_len)
{
    char *wire = NULL;
    long long length = redisFormatCommandArgv(&wire, argc, argv, argv_len);

    if (length < 0) {
        mem_exhausted();
    }
    conn_stream_append(conn, wire, (size_t)length);
    if (argc > 1 && (strcmp(argv[0], "AUTH") == 0 || strcmp(argv[0], "HELLO") == 0)) {
        conn->confidential = true;
        explicit_bzero(wire, (size_t)length);
    }
    redisFreeCommand(wire);
    conn_queue_push(conn, command);
}

void redis_conn_command(struct redis_conn *conn, redis_reply_fn *done, void *data,
                        int64_t timeout_ms, int argc, const char **argv, const size_t *argv_len)
{
    struct conn_command command = {.done = done, .data = data};

    if (conn->state != CONN_READY) {
        if (done) {
            done(data, NULL, REDIS_FAIL_CLOSED);
        }
        return;
    }
    if (timeout_ms > 0) {
        command.deadline_ms = clock_boot_ms() + timeout_ms;
    }
    send_command(conn, &command, argc, argv, argv_len);
}

void redis_conn_send(struct redis_conn *conn, const char *wire, size_t size,
                     struct redis_expect *expect)
{
    const struct conn_command command = {.expect = expect};

    if (conn->state != CONN_READY) {
        expect->done(expect, REDIS_FAIL_CLOSED, false);
        return;
    }
    expect->begin = conn->appended;
    conn_stream_append(conn, wire, size);
    expect->end = conn->appended;
    expect->received = conn->received;
    conn_queue_push(conn, &command);
}

void redis_conn_withdraw(struct redis_conn *conn)
{
    size_t n = conn->state == CONN_READY ? conn_queue_unsent(conn) : 0;
    size_t kept = conn->n_commands - n;
    struct redis_expect **taken;

    if (n == 0) {
        return;
    }
    taken = mem_new(n, sizeof(struct redis_expect *));
    for (size_t i = 0; i < n; i++) {
        taken[i] = conn_queue_at(conn, kept + i)->expect;
    }
    conn_stream_cut(conn, taken[0]->begin);
    conn->n_commands = kept;
    /* Whatever their owner does in here, they are the connection's no longer. */
    for (size_t i = 0; i < n; i++) {
        taken[i]->done(taken[i], REDIS_FAIL_CLOSED, false);
    }
    free(taken);
}

void redis_conn_subscribe(struct redis_conn *conn)
{
    const struct conn_command command = {.subscribe = true};
    const char *argv[] = {"PSUBSCRIBE", "*"};

    if (conn->state != CONN_READY) {
        return;
    }
    conn->subscribed = true;
    send_command(conn, &command, 2, argv, NULL);
}

void redis_conn_listen(struct redis_conn *conn, redis_reply_fn *done, void *data,
                       int64_t timeout_ms, const char *verb, const char *name)
{
    const struct conn_command command = {
        .done = done, .data = data, .deadline_ms = clock_boot_ms() + timeout_ms, .subscribe = true};
    const char *argv[] = {verb, name};

    if (conn->state != CONN_READY) {
        done(data, NULL, REDIS_FAIL_CLOSED);
        return;
    }
    conn->subscribed = conn->listens = true;
    send_command(conn, &command, 2, argv, NULL);
}

void redis_conn_close(struct redis_conn *conn)
{
    shut(conn);
    conn_enter(conn);
    conn_queue_abandon(conn, REDIS_FAIL_CLOSED);
    conn_leave(conn);
}

void redis_conn_free(struct redis_conn *conn)
{
    if (!conn || conn->state == CONN_FREED) {
        return;
    }
    conn_enter(conn);
    shut(conn);
    conn_move(conn, CONN_FREED);
    loop_timer_free(conn->timer);
    conn->timer = NULL;
    conn_queue_abandon(conn, REDIS_FAIL_CLOSED);
    conn_leave(conn);
}

const char *redis_fail_text(enum redis_fail why)
{
    switch (why) {
    case REDIS_FAIL_NONE: return "no failure";
    case REDIS_FAIL_RESOLVE: return "name does not resolve";
    case REDIS_FAIL_REFUSED: return "refused";
    case REDIS_FAIL_UNREACHABLE: return "unreachable";
    case REDIS_FAIL_TIMEOUT: return "timed out";
    case REDIS_FAIL_CLOSED: return "closed";
    case REDIS_FAIL_TLS: return "TLS";
    case REDIS_FAIL_PROTOCOL: return "protocol error";
    case REDIS_FAIL_DENIED: return "denied";
    case REDIS_FAIL_TOO_BIG: return "reply too long";
    }
    return "unknown";
}
