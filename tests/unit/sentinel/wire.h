/* Replies made of the bytes that a server would send. */
#ifndef BELLWETHER_TESTS_UNIT_SENTINEL_WIRE_H
#define BELLWETHER_TESTS_UNIT_SENTINEL_WIRE_H

#include <hiredis/hiredis.h>
#include <stddef.h>

/**
 * One whole reply; the test fails when `bytes` are anything else. The caller frees it with
 * freeReplyObject().
 */
redisReply *wire_reply(const char *bytes);

/* Bytes that hold any number of replies. */
struct wire {
    redisReader *reader;
};

/** A file beside the tests; the test fails when it can't be read. */
struct wire wire_open(const char *name);
/** The next reply, NULL at the end. The caller frees it with freeReplyObject(). */
redisReply *wire_next(struct wire *wire);
void wire_close(struct wire *wire);

#endif
