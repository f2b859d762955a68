/* The published node is asked how far its replicas lag. */
#ifndef BELLWETHER_WATCHER_REPLICA_LAG_H
#define BELLWETHER_WATCHER_REPLICA_LAG_H

#include "bellwether/base/list.h"
#include "role_check.h"

struct mailbox;
struct master;

/* How far replicas lag. Boot clock. */
struct lag {
    struct loop_timer *timer; /* NULL: never needed */
    int64_t asked_ms;         /* the last question; 0: none at this node */
    bool asking;              /* it is not answered yet */
    int64_t slow_ms;          /* when it is due though nobody cares */
    int64_t settled_ms;       /* not before */
    int64_t read_until_ms;    /* somebody reads it */
    bool flows;               /* writes come in, or a replica catches up */
    struct list asks;         /* callers who wait for the next answer (struct lookup) */
    /* the last answer */
    int64_t at_ms; /* when it was asked for; -1: there is none */
    int64_t master_offset;
    struct replica_offset *offsets;
    size_t n_offsets;
};

/* The question for the role over the standing connection was answered, or the connection ended. */
void lag_role(struct master *master, enum role_answer answer);
/* Somebody reads how far the replicas lag. */
void lag_read(struct master *master);
/* Somebody waits for how far they lag now: MESSAGE_FRESH tells that it was asked. */
void lag_ask(struct master *master, uint64_t ticket, struct mailbox *reply_to);
/* The published address moved. */
void lag_follow(struct master *master);
void lag_release(struct master *master);

#endif
