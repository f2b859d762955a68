/* The nodes named by --self. */
#ifndef BELLWETHER_WATCHER_SELF_NODE_H
#define BELLWETHER_WATCHER_SELF_NODE_H

#include "watcher.h"

void selves_init(struct watcher *watcher);
void selves_release(struct watcher *watcher);
/* Ask them now. */
void selves_check(struct watcher *watcher);
/* Hang up and ask anew: sockets may hold answers from before a gap. */
void selves_void(struct watcher *watcher);
/* Put them into a snapshot that has its masters already. */
void selves_show(struct watcher *watcher, struct snapshot *out);
/* Whether what two snapshots say of them differs. */
bool selves_differ(const struct snapshot *a, const struct snapshot *b);
/* Log a line for each whose role is another than before. @param before NULL: none. */
void selves_log(const struct snapshot *before, const struct snapshot *now);

#endif
