/* The masters that a deployment's Sentinels name. */
#ifndef BELLWETHER_WATCHER_DISCOVERY_H
#define BELLWETHER_WATCHER_DISCOVERY_H

#include "watcher.h"

/* A Sentinel's list of masters: where they are discovered, they appear and vanish with it. */
void deployment_hear_names(struct sentinel_node *sentinel, const struct sentinel_master_row *rows,
                           size_t n);
/* The list of masters goes: the Sentinel has not said any. */
void sentinel_node_forget_names(struct sentinel_node *sentinel);

#endif
