/*
 * Cursors of SCAN and kin that carry their node. A server's cursor is a place in its own hash
 * table: on any other server, or on the same one after a restart, the scan would go on at another
 * place and silently miss elements. So what a caller gets is the server's cursor with a tag of the
 * server in its lowest bits, still a decimal number below 2^53, which is what JavaScript has exact.
 * Pure.
 *
 * A tag is made with a secret of the process, so a cursor is good as long as its server and this
 * process live.
 */
#ifndef BELLWETHER_REDIS_CURSOR_H
#define BELLWETHER_REDIS_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

#define CURSOR_TAG_BITS 20
#define CURSOR_TAG_NONE 0u /* no server's */
#define CURSOR_TEXT_SIZE 24

/* A server as long as its cursors are good. */
struct cursor_home {
    const struct address *address; /* borrowed */
    const char *run_id;            /* its own word; borrowed */
    bool is_master;
    uint64_t switches; /* of a master: its generation */
};

/** Never CURSOR_TAG_NONE. */
uint32_t cursor_tag(uint64_t secret, const struct cursor_home *home);
/**
 * Any tag but CURSOR_TAG_NONE from this many random bits: of a server that can't be told from
 * others.
 */
uint32_t cursor_tag_of(uint64_t bits);

enum cursor_kind {
    CURSOR_INVALID,   /* no decimal number: the server would refuse it */
    CURSOR_BEGINNING, /* 0 */
    CURSOR_TAGGED,    /* perhaps with a tag that no server has */
    CURSOR_LARGE,     /* what is handed out in place of one that is too large */
};

/**
 * What a caller sends.
 * @param tag,theirs  set with CURSOR_TAGGED; `theirs` is the server's cursor, never 0 but with
 * CURSOR_TAG_NONE.
 */
enum cursor_kind cursor_read(const char *text, size_t size, uint32_t *tag, uint64_t *theirs);
/**
 * What the server answers, for the caller: 0 stays; one that leaves no room for the tag (2^33 and
 * above: no hash table is that large) becomes a cursor that reads as CURSOR_LARGE, and so does what
 * is no number.
 * @return its length.
 */
size_t cursor_write(uint32_t tag, const char *theirs, size_t size, char out[CURSOR_TEXT_SIZE]);

#endif
