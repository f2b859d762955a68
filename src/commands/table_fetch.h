/* Which commands a master has, as its server tells. */
#ifndef BELLWETHER_COMMANDS_TABLE_FETCH_H
#define BELLWETHER_COMMANDS_TABLE_FETCH_H

#include "master_pool.h"

/** Ask for COMMAND where the master pool has no table, or an old one. */
void table_fetch(struct master_pool *master_pool, struct pool_conn *pool_conn);
/** Find out what command this is. One name at a time. */
void table_fetch_name(struct master_pool *master_pool, struct pool_conn *pool_conn,
                      const char *name);

#endif
