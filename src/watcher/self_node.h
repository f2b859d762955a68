/* The nodes named by --self. */
#ifndef BELLWETHER_WATCHER_SELF_NODE_H
#define BELLWETHER_WATCHER_SELF_NODE_H

#include "watcher.h"

void selves_init(struct watcher *watcher);
void selves_release(struct watcher *watcher);
void selves_check(struct watcher *watcher); /* ask them now */
/* Hang up and ask anew: sockets may hold answers from before a gap. */
void selves_void(struct watcher *watcher);
void selves_show(struct watcher *watcher, struct snapshot *out); /* `out` has its masters already */
bool selves_differ(const struct snapshot *a, const struct snapshot *b);
void selves_log(const struct snapshot *before, const struct snapshot *now);

#endif
