/*
 * Connections that sleep in libmicrohttpd until there is something to say: long polls and streams.
 * Here is the bound on how many there may be, and the queues in which they are woken: each resume
 * makes libmicrohttpd walk all sleepers, so they are resumed in batches, one daemon after the
 * other, and between two batches whoever does not wait gets his turn.
 */
#ifndef BELLWETHER_HTTP_SERVER_SUSPEND_H
#define BELLWETHER_HTTP_SERVER_SUSPEND_H

#include <stdbool.h>

#include "listener.h"

#define LOOK_AFTER_MS 1000 /* so often those who sleep are asked whether their callers are there */

/* Requests that sleep until there is something to say; counted under the same numbers. */
enum waiting_kind {
    WAITING_POLL = METRIC_WAITER_POLL,
    WAITING_STREAM = METRIC_WAITER_STREAM,
    WAITING_SUBSCRIPTION = METRIC_WAITER_SUBSCRIPTION,
};

enum suspended_state {
    SUSPENDED_OUT, /* it has no place among the waiting */
    SUSPENDED_AWAKE,
    SUSPENDED_ASLEEP,
    SUSPENDED_CALLED, /* queued for its resume */
};

struct suspended {
    struct list_link link; /* while called */
    struct listener *listener;
    struct MHD_Connection *connection;
    enum waiting_kind kind;
    enum suspended_state state;
};

/** Take a place among the waiting. @return false: as many wait as may (option max-waiters). */
bool suspend_enter(struct suspended *suspended, struct listener *listener,
                   struct MHD_Connection *connection, enum waiting_kind kind);
/** Give it back; nothing where there is none. Also out of the queue. */
void suspend_leave(struct suspended *suspended);
/** Suspend the connection. */
void suspended_sleep(struct suspended *suspended);
/** Queue it for its resume; nothing unless it sleeps. */
void suspended_call(struct suspended *suspended);
/** Resume a batch of those that were called. Before the daemons are run, in each turn. */
void suspend_turn(struct worker *worker);
/** Resume all that were called. */
void suspend_flush(struct worker *worker);

#endif
