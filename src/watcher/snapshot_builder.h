/* Snapshots: what changed in a turn, for every worker. */
#ifndef BELLWETHER_WATCHER_SNAPSHOT_BUILDER_H
#define BELLWETHER_WATCHER_SNAPSHOT_BUILDER_H

#include "watcher.h"

/* At the end of each turn: post what changed. */
void publish_turn(struct watcher *watcher);
struct snapshot_master *publish_show(const struct master *master); /* as it is now; one reference */
/*
 * What the judge says with, where the reason lies with the Sentinels, the cause of each. free() it.
 */
char *publish_detail(const struct master *master, enum reason reason, const char *said);

#endif
