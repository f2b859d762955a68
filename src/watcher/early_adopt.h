/* --adopt promoted: the replica that a leader chose is asked for its role. */
#ifndef BELLWETHER_WATCHER_EARLY_ADOPT_H
#define BELLWETHER_WATCHER_EARLY_ADOPT_H

#include "role_check.h"

struct master;
struct sentinel_event;
struct sentinel_node;

/* The replica that is being promoted. */
struct early_adopt {
    struct role_check *role_check; /* NULL: none is asked */
    struct loop_timer *timer;
    int64_t began_ms, asked_us;
    bool answered;                 /* this connection has answered */
    struct sentinel_node *chooser; /* its choice waits for a name look-up; NULL: none does */
    struct address chosen;
};

/* A Sentinel's event about the master. */
void adopt_hear_event(struct master *master, struct sentinel_node *sentinel,
                      const struct sentinel_event *event);
/* Keep the epoch of +new-epoch; after every event of this Sentinel, of whatever master. */
void adopt_note_epoch(struct sentinel_node *sentinel, const struct sentinel_event *event);
/* Ask that node for its role every few milliseconds; NULL: nobody. */
void adopt_follow(struct master *master, const struct endpoint *node);
/* The connection to what is now published, if it was asked here; taken. */
struct role_check *adopt_take_role_check(struct master *master, int64_t *asked_us);
/* A name look-up ended: the choice that waited for it, if any, goes on. */
void adopt_resume(struct master *master);
/* That Sentinel goes: its choice goes with it. */
void adopt_forget_sentinel_node(struct master *master, const struct sentinel_node *sentinel);
void adopt_release(struct master *master);

#endif
