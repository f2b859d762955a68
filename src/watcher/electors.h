/* Who of a master's Sentinels is known to its judge. */
#ifndef BELLWETHER_WATCHER_ELECTORS_H
#define BELLWETHER_WATCHER_ELECTORS_H

#include "watcher.h"

/* Count anew which of its Sentinels are known, and which are foreign. */
void master_recount(struct master *master);
/* Log which Sentinels have become foreign, or are no longer, since the last call. */
void master_log_foreign(struct master *master);
/* Tell the judge which replicas that Sentinel lists. */
void sentinel_view_tell_nodes(const struct sentinel_view *view);

#endif
