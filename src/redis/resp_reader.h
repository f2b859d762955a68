/*
 * Bytes in, replies out: hiredis' parser, and the bounds that it does not have. Pure: it knows
 * neither the connection nor who waits.
 *
 * A reply becomes a redisReply tree, or JSON while it is parsed (json_result.h). What is longer
 * than allowed can be read past.
 */
#ifndef BELLWETHER_REDIS_RESP_READER_H
#define BELLWETHER_REDIS_RESP_READER_H

#include "bellwether/redis/json_result.h"
#include "reply_arena.h"
#include "reply_skip.h"

/*
 * The longest reply that becomes a tree. A thousand masters are 1.2 MB, a server's commands 0.4 MB;
 * beyond this the peer is broken or hostile.
 */
#define TREE_BYTES_MAX ((size_t)16 * 1024 * 1024)

enum resp_outcome {
    RESP_NOTHING,   /* no whole reply is there */
    RESP_TREE,      /* a whole one as a tree */
    RESP_JSON,      /* a whole one in the result that was to take it */
    RESP_TOO_LONG,  /* longer than allowed, or there is no memory: skip it or stop */
    RESP_MALFORMED, /* no RESP, or a tree of too many elements: stop */
};

struct resp_reader {
    redisReader *parser;     /* NULL: stopped */
    struct conn_arena arena; /* of the tree that is not complete yet */
    struct result_sink sink; /* of the JSON under way */
    size_t bytes;            /* parsed of the reply; a transaction's replies count together */
    size_t limit;            /* of these, in JSON; the owner's, also while it is stopped */
    bool stuck;              /* the line under way still has no end */
    bool swollen;            /* the parser's buffer grew for a long reply */
    size_t counted; /* bytes of that buffer, had or promised, that the memory budget knows of */
    struct conn_skip skip;
};

/** @param parser taken. */
void resp_reader_start(struct resp_reader *reader, redisReader *parser);
void resp_reader_stop(struct resp_reader *reader);
/** @return false: what ought to belong to a reply that is skipped is no RESP. */
bool resp_reader_feed(struct resp_reader *reader, const char *bytes, size_t size);
/**
 * @param into  who takes the reply as JSON, if it begins now; NULL: it becomes a tree.
 * @param tree,memory  set with RESP_TREE: the tree, and what it lies in, for the caller to release.
 */
enum resp_outcome resp_reader_next(struct resp_reader *reader, struct result *into,
                                   redisReply **tree, struct conn_arena *memory);
/** The last reply of whoever takes JSON is there, or given up. */
void resp_reader_end_json(struct resp_reader *reader);
/** Read past the reply under way and `more` whole ones behind it. */
void resp_reader_skip(struct resp_reader *reader, unsigned more);
/** The longest that the reply under way may be. */
size_t resp_reader_limit(const struct resp_reader *reader);
/** Why it is malformed. Borrowed, until it is stopped. */
const char *resp_reader_error(const struct resp_reader *reader);
/** All that is there was taken: give back a buffer that a long reply left. */
void resp_reader_trim(struct resp_reader *reader);

#endif
