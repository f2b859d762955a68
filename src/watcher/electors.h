/* Who of a master's Sentinels is known to its judge. */
#ifndef BELLWETHER_WATCHER_ELECTORS_H
#define BELLWETHER_WATCHER_ELECTORS_H

#include "watcher.h"

void master_recount(struct master *master); /* known Sentinels */
void master_log_foreign(struct master *master);
/* To the judge: the replicas that it lists. */
void sentinel_view_tell_nodes(const struct sentinel_view *view);

#endif
