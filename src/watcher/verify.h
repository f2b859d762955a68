/* The published node and the candidate are asked for their role. */
#ifndef BELLWETHER_WATCHER_VERIFY_H
#define BELLWETHER_WATCHER_VERIFY_H

#include "bellwether/topology/messages.h"

struct master;

/* What workers met at the published node. */
struct suspicions {
    struct loop_timer *timer;   /* NULL: never needed */
    int64_t began_ms, acted_ms; /* boot clock; 0: never */
    bool wanted;                /* one more round when the timer is due */
};

/* The timer of the standing connection. @param data the master. */
void verify_due(void *data);
/* Ask the published node for its role now. */
void verify_check_published(struct master *master);
/* Ask the node that may become the answer. */
void verify_check_candidate(struct master *master, const struct endpoint *node);
/* Nobody wants a candidate checked any more. */
void verify_drop_candidate(struct master *master);
/* The published address moved: the standing connection is to the new node from now on. */
void verify_follow(struct master *master);
/* A worker's connection met something odd at that node. */
void verify_hear_suspicion(struct master *master, enum suspicion what,
                           const struct address *address);
/* Hang up: sockets may hold answers from before a gap in the clock. */
void verify_void(struct master *master);
void verify_release(struct master *master);

#endif
