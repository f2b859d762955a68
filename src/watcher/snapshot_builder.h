/* Snapshots: what changed in a turn, for every worker. */
#ifndef BELLWETHER_WATCHER_SNAPSHOT_BUILDER_H
#define BELLWETHER_WATCHER_SNAPSHOT_BUILDER_H

#include "watcher.h"

/* At the end of each turn: post what changed. */
void publish_turn(struct watcher *watcher);
/* A master's part of a snapshot, as it is now. @return one reference. */
struct snapshot_master *publish_show(const struct master *master);
/*
 * What the judge says, followed by the cause of each Sentinel where the reason lies with them.
 * free() it.
 */
char *publish_detail(const struct master *master, enum reason reason, const char *said);

#endif
