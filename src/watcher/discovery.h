/* The masters that a deployment's Sentinels name. */
#ifndef BELLWETHER_WATCHER_DISCOVERY_H
#define BELLWETHER_WATCHER_DISCOVERY_H

#include "watcher.h"

/* What this Sentinel monitors: with discovery on, masters appear and vanish. */
void deployment_hear_names(struct sentinel_node *sentinel, const struct sentinel_master_row *rows,
                           size_t n);
void sentinel_node_forget_names(struct sentinel_node *sentinel);

#endif
