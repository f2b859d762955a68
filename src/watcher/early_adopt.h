/* --adopt promoted: what leaders say of their failovers. */
#ifndef BELLWETHER_WATCHER_EARLY_ADOPT_H
#define BELLWETHER_WATCHER_EARLY_ADOPT_H

#include "bellwether/base/address.h"

struct master;
struct sentinel_event;
struct sentinel_node;

/* A choice that waits for a name look-up. */
struct early_adopt {
    struct sentinel_node *chooser; /* NULL: none does */
    struct address chosen;
};

/* A Sentinel's event about the master. */
void adopt_hear_event(struct master *master, struct sentinel_node *sentinel,
                      const struct sentinel_event *event);
/* Keep the epoch of +new-epoch; after every event of this Sentinel, of whatever master. */
void adopt_note_epoch(struct sentinel_node *sentinel, const struct sentinel_event *event);
/* A name look-up ended: the choice that waited for it, if any, goes on. */
void adopt_resume(struct master *master);
/* That Sentinel goes: its choice goes with it. */
void adopt_forget_sentinel_node(struct master *master, const struct sentinel_node *sentinel);

#endif
