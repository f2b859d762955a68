/*
 * Upstash-Sync-Token, by which a caller sees what it has written: an answer to something that may
 * have written carries a token, and a read that is sent with one goes to the master, where the
 * write went, instead of to a replica, which may not have it yet. The master of now is the right
 * one after a failover, too: of what was acknowledged it has all that any node has.
 *
 * So a token has to say no more than that there was a write. It names no node and no place in a
 * stream, is good at each daemon of a deployment and after a restart, and whoever makes one up gets
 * nothing but an answer of the master's. It is another one for each write, since clients look at
 * whether it has changed. What does not look like one is ignored: it is from elsewhere, as is the
 * empty one with which Upstash's clients begin.
 */
#include "sync_token.h"

#include <string.h>

#define WORKER_BITS 6 /* more workers than that share numbers, and clients might see no change */

static const char digits[] = "0123456789abcdef";

const char *sync_token_make(uint64_t write, size_t worker, char out[SYNC_TOKEN_SIZE])
{
    uint64_t number = write << WORKER_BITS | (worker & ((1U << WORKER_BITS) - 1));

    out[0] = 'w';
    for (size_t i = SYNC_TOKEN_SIZE - 2; i > 0; i--, number >>= 4) {
        out[i] = digits[number & 15];
    }
    out[SYNC_TOKEN_SIZE - 1] = '\0';
    return out;
}

bool sync_token_is(const char *text)
{
    return text && *text == 'w' && strlen(text) == SYNC_TOKEN_SIZE - 1 &&
           strspn(text + 1, digits) == SYNC_TOKEN_SIZE - 2;
}
