/* The memory of replies that are trees. */
#ifndef BELLWETHER_REDIS_REPLY_ARENA_H
#define BELLWETHER_REDIS_REPLY_ARENA_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

/* Elements of a tree, over all its levels: those of six thousand masters. */
#define TREE_ELEMENTS_MAX ((size_t)512 * 1024)

/* The memory of one reply, which is freed as a whole. */
struct conn_arena {
    struct conn_block *last;
    size_t elements; /* announced, over all its levels */
    bool overdone;   /* they were too many, or too deep */
};

/** Have the reader make its replies in `arena`. Both must outlive what they make. */
void conn_arena_serve(struct conn_arena *arena, redisReader *reader);
void conn_arena_release(struct conn_arena *arena);

#endif
