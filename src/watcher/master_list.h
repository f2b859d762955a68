/* The masters that are watched, by name. */
#ifndef BELLWETHER_WATCHER_MASTER_LIST_H
#define BELLWETHER_WATCHER_MASTER_LIST_H

#include "watcher.h"

/* The watched master of that name; NULL: there is none. */
struct master *watcher_find_master(struct watcher *watcher, const char *name);
/* Put it into the watcher's and its deployment's list. */
void watcher_insert_master(struct watcher *watcher, struct master *master);
/* Take it out of both. It is not freed. */
void watcher_remove_master(struct watcher *watcher, struct master *master);

#endif
