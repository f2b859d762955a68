/* The masters that are watched, by name. */
#ifndef BELLWETHER_WATCHER_MASTER_LIST_H
#define BELLWETHER_WATCHER_MASTER_LIST_H

#include "watcher.h"

struct master *watcher_find_master(struct watcher *watcher, const char *name);
void watcher_insert_master(struct watcher *watcher, struct master *master);
void watcher_remove_master(struct watcher *watcher, struct master *master);

#endif
