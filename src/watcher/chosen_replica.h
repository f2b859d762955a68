/* The replica that a leader chose: there is a connection to it before anybody announces it. */
#ifndef BELLWETHER_WATCHER_CHOSEN_REPLICA_H
#define BELLWETHER_WATCHER_CHOSEN_REPLICA_H

#include "role_check.h"

struct master;

struct chosen_replica {
    struct loop_timer *timer; /* NULL: nobody is chosen */
    struct endpoint node;
    struct role_check *role_check; /* NULL: not dialled yet */
    bool asked;                    /* for its role, every few milliseconds: rule 11 */
    bool stands;                   /* this connection has answered, */
    bool says_master;              /* and so, last */
    unsigned ends;                 /* connections to it that ended */
    int64_t began_ms, asked_us;
    int64_t dialled_ms; /* whomever */
};

/*
 * See to the connection: to the node whose role judge wants asked every few milliseconds, else to
 * the one that the failover under way is to promote, else to nobody. @param promoting NULL: judge
 * wants none asked.
 */
void chosen_follow(struct master *master, const struct endpoint *promoting);
/* The connection, if it is to that node; taken. What it said last stays here. */
struct role_check *chosen_take_role_check(struct master *master, const struct endpoint *node);
/* Hang up. */
void chosen_release(struct master *master);

#endif
