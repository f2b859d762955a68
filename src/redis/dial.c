/*
 * From an address to a connected socket: the look-up (off the thread), the last good one while the
 * resolver fails or hangs, and every address in turn, each with a fair share of what time is left.
 * An attempt lasts until HELLO is answered, so an address where nobody answers costs its share
 * only.
 */
#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/socket.h"
#include "bellwether/redis/tls_link.h"
#include "stream.h"

/*
 * How long the resolver is waited for where an old answer is at hand; what it says later serves the
 * next attempt.
 */
enum { HURRY_MS = 100 };

static void try_next(struct redis_conn *conn);

static enum redis_fail fail_of_errno(int error)
{
    switch (error) {
    case ECONNREFUSED: return REDIS_FAIL_REFUSED;
    case ETIMEDOUT: return REDIS_FAIL_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return REDIS_FAIL_CLOSED;
    default: return REDIS_FAIL_UNREACHABLE;
    }
}

/* Of several addresses' failures the one that tells most is reported. A refusal means "dead" to the
 * owner, so it must not hide another address that merely took too long. */
static int weight(enum redis_fail why)
{
    switch (why) {
    case REDIS_FAIL_TLS:
    case REDIS_FAIL_PROTOCOL: return 5;
    case REDIS_FAIL_CLOSED: return 4;
    case REDIS_FAIL_TIMEOUT: return 3;
    case REDIS_FAIL_REFUSED: return 2;
    case REDIS_FAIL_UNREACHABLE: return 1;
    default: return 0;
    }
}

static void note_failure(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    if (weight(why) <= weight(conn->worst)) {
        return;
    }
    conn->worst = why;
    snprintf(conn->worst_words, sizeof(conn->worst_words), "%s", words);
}

static void note_errno(struct redis_conn *conn, int error)
{
    note_failure(conn, fail_of_errno(error), conn_say(conn, "%s", strerror(error)));
}

static void on_connecting(void *data, int events)
{
    struct redis_conn *conn = data;
    int error;

    conn_enter(conn);
    if (conn->state == CONN_TLS) {
        conn_stream_shake(conn);
    } else if (conn->state != CONN_CONNECT) {
        conn_stream_ready(conn, events);
    } else {
        error = socket_dialled(conn->fd);
        if (error != 0) {
            conn_dial_failed(conn, fail_of_errno(error), conn_say(conn, "%s", strerror(error)));
        } else if (conn->tls && conn->greeting != CONN_GREET_IN_PLAIN) {
            conn_stream_secure(conn);
        } else {
            conn_stream_start(conn);
        }
    }
    conn_leave(conn);
}

/* Give the current address its share of the time that is left; the last one gets all of it. */
static void arm_attempt(struct redis_conn *conn)
{
    int64_t now_ms = clock_boot_ms(), left_ms = conn->open_deadline_ms - now_ms;

    if (left_ms < 0) {
        left_ms = 0;
    }
    conn_arm(conn, now_ms + left_ms / (int64_t)(conn->n_trying - conn->i_trying + 1));
}

static enum conn_greeting first_greeting(const struct redis_conn *conn)
{
    return conn->tls && conn->suspects_plain ? CONN_GREET_IN_PLAIN : CONN_GREET;
}

static void try_next(struct redis_conn *conn)
{
    conn_move(conn, CONN_CONNECT);
    while (conn->i_trying < conn->n_trying) {
        conn->peer = conn->trying[conn->i_trying++];
        conn->fd = socket_dial(&conn->peer);
        if (conn->fd >= 0) {
            conn->poll = loop_poll_new(conn->loop, conn->fd, on_connecting, conn);
            conn_stream_want(conn, LOOP_WRITE);
            arm_attempt(conn);
            return;
        }
        note_errno(conn, -conn->fd);
        conn->fd = -1;
    }
    /* Told in a turn of its own: the caller may be redis_conn_open(). */
    conn_move(conn, CONN_EXHAUSTED);
    conn_arm(conn, clock_boot_ms());
}

static void try_all(struct redis_conn *conn, const struct address *addresses, size_t n)
{
    conn->trying = addresses;
    conn->n_trying = n;
    conn->i_trying = 0;
    try_next(conn);
}

static void keep_found(struct redis_conn *conn, const struct address *found, size_t n)
{
    free(conn->found);
    conn->found = mem_new(n, sizeof(*found));
    memcpy(conn->found, found, n * sizeof(*found));
    conn->n_found = n;
    conn->found_for = conn->target;
}

/*
 * What the name resolved to last: for this connection, or for anybody after this one had stopped
 * waiting.
 */
static bool has_found(struct redis_conn *conn)
{
    struct address *last;
    size_t n = loop_lookup_last(&conn->target, &last);

    if (n > 0) {
        keep_found(conn, last, n);
    }
    free(last);
    return conn->n_found > 0 && address_equal(&conn->found_for, &conn->target);
}

static void on_lookup(void *data, int error, const struct address *found, size_t n,
                      const char *words)
{
    struct redis_conn *conn = data;

    conn_enter(conn);
    if (error == 0 && n > 0) {
        keep_found(conn, found, n);
    } else {
        conn_say(conn, "%s: %s", conn->target.host, words ? words : "no address");
    }
    loop_lookup_free(conn->lookup);
    conn->lookup = NULL;
    if (has_found(conn)) {
        try_all(conn, conn->found, conn->n_found);
    } else {
        conn_lost(conn, REDIS_FAIL_RESOLVE, conn->words);
    }
    conn_leave(conn);
}

void conn_dial_start(struct redis_conn *conn)
{
    int64_t now_ms = clock_boot_ms(), left_ms = conn->open_deadline_ms - now_ms;

    conn->worst = REDIS_FAIL_NONE;
    conn->worst_words[0] = '\0';
    conn->greeting = first_greeting(conn);
    if (address_is_ip(&conn->target)) {
        try_all(conn, &conn->target, 1);
        return;
    }
    conn_move(conn, CONN_LOOKUP);
    conn->lookup = loop_lookup_start(conn->loop, &conn->target, conn->group, on_lookup, conn);
    /* Where an old answer is at hand, a resolver that hangs leaves time to connect. */
    conn_arm(conn, now_ms + (has_found(conn) && left_ms > HURRY_MS ? HURRY_MS : left_ms));
}

static void wipe_hello(struct redis_conn *conn)
{
    if (!conn->hello) {
        return;
    }
    explicit_bzero(conn->hello, conn->hello_len);
    redisFreeCommand(conn->hello);
    conn->hello = NULL;
    conn->hello_len = 0;
}

void conn_dial_stop(struct redis_conn *conn)
{
    loop_lookup_free(conn->lookup);
    conn->lookup = NULL;
    conn->trying = NULL;
    conn->n_trying = conn->i_trying = 0;
    wipe_hello(conn);
}

void conn_dial_ready(struct redis_conn *conn)
{
    conn_disarm(conn);
    wipe_hello(conn);
}

void conn_dial_failed(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    note_failure(conn, why, words);
    conn_stream_stop(conn);
    conn->greeting = first_greeting(conn);
    try_next(conn);
}

void conn_dial_greet(struct redis_conn *conn, enum conn_greeting greeting, const char *words)
{
    if (words) {
        note_failure(conn, REDIS_FAIL_CLOSED, words);
    }
    conn_stream_stop(conn);
    conn->greeting = greeting;
    conn->i_trying--;
    try_next(conn);
}

static void attempt_timed_out(struct redis_conn *conn)
{
    uint64_t session = conn->session;

    if (conn->state == CONN_HELLO) {
        /* A process that was stopped finds timers due before it reads what arrived meanwhile. */
        conn_stream_drain(conn);
        if (conn->session != session || conn->state != CONN_HELLO) {
            return;
        }
        /* stopped, as in the handshake before: whether it speaks plain is not to be told so */
        bool in_plain = conn->greeting == CONN_GREET_IN_PLAIN;
        conn->suspects_plain = conn->suspects_plain && !in_plain;
        conn_dial_failed(conn, REDIS_FAIL_TIMEOUT,
                         in_plain ? "it answers neither TLS nor plain text in time"
                                  : "HELLO was not answered in time");
    } else if (conn->state == CONN_TLS) {
        conn_stream_shake(conn);
        if (conn->session != session || conn->state != CONN_TLS) {
            return;
        }
        conn->suspects_plain = !tls_link_heard(conn->link);
        conn_dial_failed(conn, REDIS_FAIL_TIMEOUT, "the TLS handshake was not over in time");
    } else {
        conn_dial_failed(conn, REDIS_FAIL_TIMEOUT, "the connection was not accepted in time");
    }
}

void conn_dial_timer(struct redis_conn *conn)
{
    if (conn->state == CONN_LOOKUP) {
        loop_lookup_free(conn->lookup);
        conn->lookup = NULL;
        if (has_found(conn)) {
            try_all(conn, conn->found, conn->n_found);
        } else {
            conn_lost(conn, REDIS_FAIL_TIMEOUT,
                      conn_say(conn, "%s: the resolver did not answer in time", conn->target.host));
        }
    } else if (conn->state == CONN_EXHAUSTED) {
        conn_lost(conn, conn->worst, conn_say(conn, "%s", conn->worst_words));
    } else {
        attempt_timed_out(conn);
    }
}
