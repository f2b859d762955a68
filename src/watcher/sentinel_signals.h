/*
 * What a Sentinel's event means to those who follow a failover: one table of all of them, so that
 * whoever adds an event decides for each. Pure.
 */
#ifndef BELLWETHER_WATCHER_SENTINEL_SIGNALS_H
#define BELLWETHER_WATCHER_SENTINEL_SIGNALS_H

#include <stdbool.h>

#include "bellwether/sentinel/event.h"

enum { SIGNAL_NONE = -1 };

enum failover_course { FAILOVER_NO_WORD, FAILOVER_GOES_ON, FAILOVER_IS_OVER };

struct sentinel_signal {
    enum sentinel_event_kind kind;
    int log; /* enum failover_log_signal, or SIGNAL_NONE */
    /* the instance must be the master itself: replicas and Sentinels go down, too */
    bool log_of_master;
    int fence;                   /* enum fence_signal, or SIGNAL_NONE */
    int adopt;                   /* enum promotion_step, or SIGNAL_NONE */
    enum failover_course course; /* for the state: whether a failover is under way */
    bool ask_all; /* what its Sentinel lists may be different, so not only the row is asked for */
};

/** Its row; one that says nothing for an event that has none. */
const struct sentinel_signal *sentinel_signal(enum sentinel_event_kind kind);

#endif
