/*
 * From RESP to JSON without a tree in between: hiredis' reader calls these functions instead of
 * building redisReply objects, and each element is written as JSON the moment it was parsed. So a
 * list of a million elements costs its JSON and nothing else, and a bulk string of 32 MB the
 * reader's buffer and its JSON. Where RESP2 is wanted it is written the same way.
 *
 * Pure: bytes in, text out. The reader is whoever's own; reader->fn = &result_functions,
 * reader->privdata = a struct result_sink whose `into` says where the next reply goes.
 */
#ifndef BELLWETHER_REDIS_JSON_RESULT_H
#define BELLWETHER_REDIS_JSON_RESULT_H

#include <hiredis/hiredis.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/buffer.h"

#define RESULT_ERROR_SIZE 256
/*
 * As `refused_member`: MULTI itself was refused, so the members ran, each by itself, before EXEC
 * failed.
 */
#define RESULT_MULTI UINT_MAX

/* What a value is written as. */
enum result_form {
    RESULT_JSON,
    RESULT_BASE64, /* JSON whose strings are base64 */
    RESULT_RESP2,  /* as a server writes it; not of a transaction */
};

enum result_kind {
    RESULT_NONE, /* no whole reply yet */
    /* `json` holds {"result":…} without the closing brace, or the reply in RESP2 */
    RESULT_VALUE,
    RESULT_ERROR, /* `error` holds Redis' words */
    RESULT_LIST,  /* of EXEC: `json` holds [{"result":…},{"error":"…"},…], whole */
    RESULT_PUSH,  /* the peer sent something that nobody asked for, as EXEC's reply too: hang up */
    /* The memory budget had no room for it: nothing of it is kept. */
    RESULT_NO_MEMORY,
};

/*
 * What came of one command, or of one MULTI … EXEC.
 *
 * JSON of a value: integer → number (64 bits, exact), bulk, simple and verbatim
 * string → string, nil → null, array, set and push → list, map and attribute-less pairs → flat
 * list, double → string, as the server spelled it, boolean → 1 or 0, big number → string; an error
 * inside a list → its words as a string. With RESULT_BASE64 every string is base64 but a top-level
 * `OK`; else bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part.
 *
 * RESP2 of a value: what RESP2 has stays as it is, byte for byte; map, set and push → array (a map
 * flat), null → null bulk string, double, big number and verbatim string → bulk string, boolean → 1
 * or 0.
 */
struct result {
    enum result_form form; /* set by the owner, before */
    bool exec;             /* a transaction: MULTI's reply, one for each member, EXEC's */
    unsigned members;      /* of the transaction */
    /* set by the owner: how many replies belong to it, 1 or members + 2; counts down */
    unsigned replies;
    enum result_kind kind; /* of the last reply */
    struct buffer json;
    /* RESULT_ERROR: Redis' words, cut, valid UTF-8, no control characters */
    char error[RESULT_ERROR_SIZE];
    /* exec: the words of the first member that the server refused; "" none */
    char refused[RESULT_ERROR_SIZE];
    /* `refused`, else `error`, where those are cut: all of it, terminated */
    struct buffer whole;
    /* exec: which one, from 0, or RESULT_MULTI; meaningful with `refused` */
    unsigned refused_member;
    /*
     * Set by the owner after result_init() where some reply begins with a cursor (cursor.h): a byte
     * for the reply, or for each member of the transaction, 1 where it does. Owned.
     */
    struct buffer scans;
    uint32_t cursor_tag; /* what such a cursor gets */
};

/* What a reader's privdata points to. */
struct result_sink {
    struct result *into; /* NULL: replies are read and dropped */
};

extern const redisReplyObjectFunctions result_functions;

/**
 * Before its first reply: an empty result for one command, or for a transaction of `members`
 * commands.
 */
void result_init(struct result *result, enum result_form form,
                 unsigned members /* 0: no transaction */);
/** Take note of a whole reply: `replies` counts down. @return whether it was the last one. */
bool result_next(struct result *result);
void result_release(struct result *result);

/** `text` as a JSON string with its quotes, ill-formed bytes as U+FFFD. */
void json_add_string(struct buffer *out, const char *text, size_t size);
/**
 * Add `text` like json_add_string() while the memory budget has room. @return false: it has none,
 * and what was added is of no use.
 */
bool json_try_string(struct buffer *out, const char *text, size_t size);
/** Add a JSON string of these bytes in base64. @return as json_try_string(). */
bool json_try_base64(struct buffer *out, const char *bytes, size_t size);
/**
 * How many bytes from here on stand for themselves in a JSON string: plain ones, and characters
 * beyond ASCII.
 */
size_t json_plain(const char *text, size_t size);

#endif
