/*
 * A scripted peer for tests of connections: one thread that accepts on a loopback port and plays
 * steps. What it read is there to be looked at after fake_peer_join().
 */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_FAKE_PEER_H
#define BELLWETHER_TESTS_UNIT_REDIS_FAKE_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

enum peer_action {
    PEER_END,
    PEER_ACCEPT,  /* close the connection there was, take the next */
    PEER_EXPECT,  /* read until `text` was seen since the last step of this kind */
    PEER_SEND,    /* `text` */
    PEER_TRICKLE, /* `text`, a byte at a time, each in a packet of its own */
    PEER_REPEAT,  /* `text`, as fast as it goes, until the other side closes */
    PEER_FLOOD,   /* a bulk string that never ends, until the other side closes */
    PEER_WAIT,    /* until the other side closes */
    PEER_RESET,   /* close with a reset */
    PEER_SWALLOW, /* read so many bytes, `text` in decimal; each is fake_peer_byte() of its place */
    PEER_HOLD,    /* read nothing until fake_peer_release() */
    PEER_CLOSE,
};

struct peer_step {
    enum peer_action action;
    const char *text;
};

/* clang-format off */
/* A command, and what is said to it. */
#define ANSWER(command, reply) {PEER_EXPECT, command}, {PEER_SEND, reply}
#define END {PEER_WAIT, NULL}, {PEER_END, NULL}
/* clang-format on */

struct fake_peer;

/**
 * Listen on `host` and play `steps` (borrowed, ends with PEER_END) in a thread. NULL: no such
 * address here.
 */
struct fake_peer *fake_peer_start(const char *host, const struct peer_step *steps);
const struct address *fake_peer_address(const struct fake_peer *peer);
/** Let go of one PEER_HOLD, also when it is not there yet. */
void fake_peer_release(struct fake_peer *peer);
/** What PEER_SWALLOW expects as its byte number `i`. */
char fake_peer_byte(size_t i);
/** Wait for the script's end. @return NULL, or what went wrong. */
const char *fake_peer_join(struct fake_peer *peer);
/** All it read, terminated; after fake_peer_join(). */
const char *fake_peer_seen(const struct fake_peer *peer);
/**
 * The bytes of the read() that completed the last PEER_EXPECT, terminated; after fake_peer_join().
 */
const char *fake_peer_last_read(const struct fake_peer *peer);
void fake_peer_free(struct fake_peer *peer);

/** A port of 127.0.0.1 on which nobody listens. */
struct address fake_peer_dead_address(void);

#endif
