/*
 * One asynchronous connection to a Redis server or a Sentinel: name look-up, connect (every address
 * tried), HELLO with AUTH, commands in order, pub/sub pushes, deadlines. The only place that drives
 * hiredis. The process must ignore SIGPIPE: hiredis writes without MSG_NOSIGNAL.
 *
 * A connection reports exactly one end: either `closed` is called once, or the owner frees it.
 * Every command is completed exactly once unless redis_conn_free() came first: then its callback is
 * called with NULL and REDIS_FAIL_CLOSED from inside redis_conn_free().
 */
#ifndef BELLWETHER_REDIS_CONNECTION_H
#define BELLWETHER_REDIS_CONNECTION_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"
#include "bellwether/redis/json_result.h"
#include "bellwether/redis/redis_tls.h"

enum redis_fail {
    REDIS_FAIL_NONE,
    REDIS_FAIL_RESOLVE,     /* the name does not resolve */
    REDIS_FAIL_REFUSED,     /* ECONNREFUSED */
    REDIS_FAIL_UNREACHABLE, /* no route, network down, ... */
    REDIS_FAIL_TIMEOUT,     /* a deadline passed: look-up, connect, HELLO or a command */
    REDIS_FAIL_CLOSED,      /* end of file or reset */
    REDIS_FAIL_TLS,         /* it speaks TLS to a plain link, or the handshake failed */
    REDIS_FAIL_PROTOCOL,    /* not RESP, or a reply nobody asked for */
    REDIS_FAIL_DENIED,      /* PSUBSCRIBE answered an error (NOPERM); `words` are the error's */
    REDIS_FAIL_TOO_BIG,     /* a reply longer than redis_conn_limit() allows */
};

struct redis_conn;

struct redis_conn_hooks {
    /*
     * HELLO was answered; `hello` is borrowed: a map (or flat array), or an error reply (NOAUTH,
     * WRONGPASS, NOPERM, ERR unknown command ...), which leaves the connection open: the owner
     * decides.
     */
    void (*ready)(void *data, const redisReply *hello);
    /*
     * The connection ended by itself (also before `ready`); all commands were completed before. The
     * object may be opened again or freed from here. `words` is for people, borrowed.
     */
    void (*closed)(void *data, enum redis_fail why, const char *words);
    /* A pub/sub push: ["pmessage", pattern, channel, payload], all strings, or the acknowledgement
     * of redis_conn_subscribe(), ["psubscribe", pattern, count]; once redis_conn_listen() was called
     * ["message", channel, payload], too; nothing else, in RESP2 an array. May be NULL. */
    void (*push)(void *data, const redisReply *push);
};

/**
 * `reply` is borrowed, dies with the callback, NULL when the connection was lost (`why` says how).
 */
typedef void redis_reply_fn(void *data, const redisReply *reply, enum redis_fail why);

/**
 * @param loop borrowed, outlives the connection. @param data given to every hook. Thread: the
 * loop's.
 */
struct redis_conn *redis_conn_new(struct loop *loop, const struct redis_conn_hooks *hooks,
                                  void *data);

/**
 * Connect and say HELLO, with AUTH when `password` is not NULL (user `default` when `username` is
 * NULL). The outcome comes through `ready` or `closed`, never from inside this call. Not while it
 * is open.
 * @param target      a name or an IP literal; a name is looked up now; the last good look-up is
 * used while the resolver fails.
 * @param timeout_ms  for look-up, connect, TLS and HELLO together.
 */
void redis_conn_open(struct redis_conn *conn, const struct address *target, const char *username,
                     const char *password, int64_t timeout_ms);

/**
 * Speak TLS from the next redis_conn_open() on, or plain again.
 * @param tls   borrowed until then; NULL: plain.
 * @param host  what the peer's certificate must be for, copied; NULL: the target's host.
 */
void redis_conn_secure(struct redis_conn *conn, struct redis_tls *tls, const char *host);

/**
 * What to set on where the peer answers TLS, for words; redis-tls unless said otherwise.
 * @param option borrowed, outlives the connection.
 */
void redis_conn_tls_option(struct redis_conn *conn, const char *option);

/**
 * From now on look, where a peer closes on HELLO without a word, whether it speaks TLS: a TLS port
 * does just that. Takes one more connection each time, and with one that speaks plain all the time
 * there is: that waits for the end of a line.
 */
void redis_conn_look_for_tls(struct redis_conn *conn, bool look);

/** Whose share of name look-ups its own take (loop_lookup_start()); 0 unless said otherwise. */
void redis_conn_group(struct redis_conn *conn, unsigned group);

/** `ready` was called and the connection has not ended. */
bool redis_conn_is_ready(const struct redis_conn *conn);

/** The IP address it is connected (or connecting) to; unset before the look-up. Borrowed. */
const struct address *redis_conn_peer(const struct redis_conn *conn);

/**
 * Send one command; allowed once `ready` was called (from inside it too), else `done` is called at
 * once with NULL and REDIS_FAIL_CLOSED. Commands sent in one turn of the loop leave in one write.
 * @param done  NULL: nobody looks at the reply.
 * @param timeout_ms  0: none; else when the reply takes longer the connection is closed with
 * REDIS_FAIL_TIMEOUT.
 */
void redis_conn_command(struct redis_conn *conn, redis_reply_fn *done, void *data,
                        int64_t timeout_ms, int argc, const char **argv,
                        const size_t *argv_len /* NULL: C strings */);

/*
 * A command in wire form whose replies are written as JSON (json_result.h). Embedded in its owner,
 * who keeps it in place until `done`; a connection answers them in order with its other commands.
 */
struct redis_expect {
    /* result_init() it first; its replies are what the command will be answered with */
    struct result result;
    /*
     * The last reply is in `result` (`why` NONE), or it is too long (TOO_BIG), or the connection
     * was lost before it. `written`: the socket took the whole command, so the server may have run
     * it. The connection no longer knows the expect.
     */
    void (*done)(struct redis_expect *expect, enum redis_fail why, bool written);
    /* the connection's own from here on */
    uint64_t begin, end; /* of its bytes in the stream */
    uint64_t received;   /* redis_conn_received() when it was sent */
};

/**
 * From the next redis_conn_open() on PING goes out right behind HELLO, in the same write: a server
 * that is loading answers the former and refuses the latter. @param done gets its reply, after
 * `ready`, with the hooks' data.
 */
void redis_conn_ping(struct redis_conn *conn, redis_reply_fn *done);
/** Speak RESP2 or RESP3 from the next redis_conn_open() on; RESP3 unless said otherwise. */
void redis_conn_speak(struct redis_conn *conn, int protocol);
/**
 * The longest reply to an expect in bytes, a transaction's counted together; 16 MiB unless said
 * otherwise, as it always is for commands. A longer one completes its expect at once (TOO_BIG), and
 * the rest of it is read and dropped: the others are answered behind it. Where it answers no expect
 * it ends the connection (PROTOCOL).
 */
void redis_conn_limit(struct redis_conn *conn, size_t max_reply_bytes);
/**
 * Send bytes that hold exactly the commands whose replies `expect->result` counts. Once `ready` was
 * called and until `closed`; else `done` is called at once (CLOSED, not written). No deadline: that
 * is the owner's.
 * @param wire  copied.
 */
void redis_conn_send(struct redis_conn *conn, const char *wire, size_t size,
                     struct redis_expect *expect);
/**
 * Bytes that go out when this turn ends, what the socket did not take before included; 0: nothing
 * was sent in this turn.
 */
size_t redis_conn_queued(const struct redis_conn *conn);
/** Whether the socket has taken any of it; in `done`, too. */
bool redis_conn_has_begun(const struct redis_conn *conn, const struct redis_expect *expect);
/** Whether the socket has taken all of it. */
bool redis_conn_has_written(const struct redis_conn *conn, const struct redis_expect *expect);
/**
 * Take back what was sent last and nothing of which the socket has taken, back to the last of
 * redis_conn_command()'s: it will not go out. Completes it, the oldest first: CLOSED, not written.
 */
void redis_conn_withdraw(struct redis_conn *conn);
/** Bytes that wait because the socket had no room when it was written to last; 0: it has. */
size_t redis_conn_clogged(const struct redis_conn *conn);
/** The rest of a reply that was too long is still to come. */
bool redis_conn_is_skipping(const struct redis_conn *conn);
/** Bytes received on this connection since it was opened. */
uint64_t redis_conn_received(const struct redis_conn *conn);

/** PSUBSCRIBE *: pushes come through the `push` hook from then on. */
void redis_conn_subscribe(struct redis_conn *conn);
/**
 * SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE or PUNSUBSCRIBE of one name, as redis_conn_command().
 * @param done  gets its acknowledgement, ["subscribe", name, count] and so on, or the error reply.
 */
void redis_conn_listen(struct redis_conn *conn, redis_reply_fn *done, void *data,
                       int64_t timeout_ms, const char *verb, const char *name);

/** Close without `closed`; commands in flight are completed with NULL. May be opened again. */
void redis_conn_close(struct redis_conn *conn);
/** Close and free; NULL is allowed; may be called from any of its own callbacks. */
void redis_conn_free(struct redis_conn *conn);

/** A word for people: "refused", "timed out", ... */
const char *redis_fail_text(enum redis_fail why);

#endif
