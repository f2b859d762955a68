/* The masters that are watched, by name. */
#ifndef BELLWETHER_WATCHER_MASTER_LIST_H
#define BELLWETHER_WATCHER_MASTER_LIST_H

#include "watcher.h"

struct master *watcher_find_master(struct watcher *watcher, const char *name);
/* Those of one deployment in turn, `*at` being 0 before the first; NULL: that was the last. */
struct master *deployment_master(const struct deployment *deployment, size_t *at);
void watcher_insert_master(struct watcher *watcher, struct master *master);
void watcher_remove_master(struct watcher *watcher, struct master *master);

#endif
