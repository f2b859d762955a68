/* What /master said over a time, as one text: "200 A, 503 down, 200 B". */
#ifndef BELLWETHER_TESTS_SUPPORT_TRAIL_H
#define BELLWETHER_TESTS_SUPPORT_TRAIL_H

#include "daemon.h"

struct trail {
    const struct daemon *daemon;
    const struct cluster *cluster; /* its nodes are called by their letters: A is node 0 */
    char said[4096];               /* each change once */
    char last[64];
    int64_t left_ok_ms; /* when it first answered other than 200, 0: never */
};

struct trail *trail_start(const struct daemon *daemon, const struct cluster *cluster);
/** Look once. */
void trail_look(struct trail *trail);
/** Look until /master is 200 with this node; fails the test at the bound. */
void trail_until(struct trail *trail, const struct server *node, int64_t bound_ms);
/** Look until every living Sentinel names a node other than `old`. @return it. */
struct server *trail_wait_switch(struct trail *trail, struct cluster *cluster,
                                 const struct server *old);
/**
 * SENTINEL FAILOVER, then the same; asked again where Sentinels abort (two of them can get into
 * each other's way).
 */
struct server *trail_fail_over(struct trail *trail, struct cluster *cluster,
                               const struct server *old);
/** What it said, without the pauses of this machine where the daemon noticed one. */
const char *trail_said(const struct trail *trail);
/** Look for so long. */
void trail_for(struct trail *trail, int64_t span_ms);
/**
 * Fails the test when a 200 names a node other than `from` and `to`, or `from` again after `to`.
 */
void trail_check(const struct trail *trail, const struct server *from, const struct server *to);
/** The letter of a node. */
char node_letter(const struct cluster *cluster, const struct server *node);

#endif
