/* The replicas' offsets in a master's INFO replication: text in, structs out; pure. */
#ifndef BELLWETHER_WATCHER_OFFSETS_H
#define BELLWETHER_WATCHER_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

struct replica_offset {
    struct address replica;
    int64_t offset;
};

/**
 * Parse `master_repl_offset:N` and lines like
 * `slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0`.
 * @param text    borrowed, `len` bytes, not terminated; anything that is not understood is passed
 * over.
 * @param out     an array to free() with the caller (NULL when empty), one entry an online replica.
 * @return the master's own offset, -1 where the text has none. Thread: any.
 */
int64_t offsets_parse(const char *text, size_t len, struct replica_offset **out, size_t *n_out);

#endif
