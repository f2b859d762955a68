/*
 * A Redis client of the test's, plain or over TLS: commands out, replies back, one connection. Its
 * functions use nothing of the test's frame but wire_open() and wire_say(), so that threads may.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_WIRE_H
#define BELLWETHER_TESTS_SUPPORT_WIRE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire;

struct wire_spec {
    uint16_t port;           /* on 127.0.0.1 */
    const char *unix_socket; /* NULL: the port */
    const char *folder; /* of certificates: TLS, with what `ca` there has signed; NULL: plain */
    const char *shows;  /* NAME.crt of it; NULL: nothing */
};

/** @return NULL when it is refused, or the handshake fails. wire_close() frees it. */
struct wire *wire_dial(const struct wire_spec *spec);
/** NULL is fine. */
void wire_close(struct wire *wire);
/** @return false: it can't be sent within the bound. */
bool wire_write(struct wire *wire, const char *bytes, size_t size, int64_t bound_ms);
/** One reply, for freeReplyObject(). @return NULL: none within the bound, or the end. */
redisReply *wire_reply(struct wire *wire, int64_t bound_ms);
/** Whether the other side has closed. */
bool wire_ended(const struct wire *wire);
/** Whether it closes within the bound; what comes before is dropped. */
bool wire_ends(struct wire *wire, int64_t bound_ms);
/** Take bytes that are there, `size` at most, at the socket's own pace. @return so many. */
size_t wire_sip(struct wire *wire, size_t size);

/** Say goodbye; what comes is still read. */
void wire_shut(struct wire *wire);
/** With what is sent next new keys are used, of which the other side is told (TLS 1.3). */
bool wire_change_keys(struct wire *wire);

/** The same, in the test's thread; closed when it ends. Fails the test where there is none. */
struct wire *wire_open(const struct wire_spec *spec);
/** A command, and its reply as text ("" for none, errors with a `-`), kept. */
const char *wire_say(struct wire *wire, const char *format, ...);

/* ---- those who go on and on, each in a thread ---- */

struct counters;

/** So many, each with a key of its own that it counts up, on a connection that it makes again. */
struct counters *counters_start(const struct wire_spec *spec, size_t n);
/** What all were told so far. */
size_t counters_told(struct counters *counters);
/** Wait until each was told something more. */
void counters_go_on(struct counters *counters, int64_t bound_ms);
void counters_stop(struct counters *counters);
struct server;
/** After the stop: how many of what was told are not there. Prints a line of numbers. */
size_t counters_lost(struct counters *counters, const struct server *node, const char *what);

#endif
