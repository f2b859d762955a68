/* The master pools of a pool, each with one master. */
#ifndef BELLWETHER_COMMANDS_MASTER_POOL_H
#define BELLWETHER_COMMANDS_MASTER_POOL_H

#include "request_run.h"

/** The one of this name, made where there is none. */
struct master_pool *master_pool_of(struct pool *pool, const char *name);
/** @return NULL: nothing was ever asked of that master. */
struct master_pool *master_pool_find(const struct pool *pool, const char *name);
void master_pool_free(struct master_pool *master_pool);
/**
 * What the snapshot says of it now; closes what belongs to another generation. @param master NULL:
 * nothing.
 */
void master_pool_take(struct master_pool *master_pool, struct snapshot_master *master);
/** A new request waits, which nothing may wake otherwise. */
void master_pool_wait(struct request_run *run);

#endif
