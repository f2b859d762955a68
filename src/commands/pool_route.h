/* To which endpoint a request goes, while the watcher is not stalled. */
#ifndef BELLWETHER_COMMANDS_POOL_ROUTE_H
#define BELLWETHER_COMMANDS_POOL_ROUTE_H

#include "request_run.h"

/** Where its commands go now. @return NULL: nowhere; with `over` set they never will. */
struct pool_endpoint *pool_route_find(struct request_run *run, bool *over);
/** The server of a cursor. @return NULL: there is none now; with `lost` set there won't be. */
struct pool_endpoint *pool_route_find_cursor(struct request_run *run, uint32_t tag, bool *over,
                                             bool *lost);
/** Whether what goes out behind others of its request still meets the conditions that they met. */
bool pool_route_may_follow(const struct request_run *run);
/** What endpoints tell a master pool, which is the hooks' `data`. */
extern const struct endpoint_hooks pool_route_hooks;

/**
 * Whether the watcher is silent or, with `served`, no master is served; then `out` says so to
 * whoever has waited for command-timeout.
 */
bool pool_route_has_no_master(const struct master_pool *master_pool, bool served, char *out,
                              size_t size);

#endif
