/*
 * Connections that sleep in libmicrohttpd until there is something to say: long polls and streams.
 * Here is the bound on how many there may be, and the queues in which they are woken: each resume
 * makes libmicrohttpd walk all sleepers, so they are resumed in batches, one daemon after the
 * other, and between two batches whoever does not wait gets his turn.
 */
#ifndef BELLWETHER_HTTP_SERVER_SUSPEND_H
#define BELLWETHER_HTTP_SERVER_SUSPEND_H

#include <stdbool.h>

#include "parts.h"

enum parked_state { PARKED_AWAKE, PARKED_ASLEEP, PARKED_CALLED };

struct parked {
    struct parked *next, *previous; /* while called */
    struct listener *listener;
    struct MHD_Connection *connection;
    enum waiting_kind kind;
    enum parked_state state;
    bool entered;
};

/** Take a place among the waiting. @return false: all --max-waiters places are taken. */
bool parking_enter(struct parked *parked, struct listener *listener,
                   struct MHD_Connection *connection, enum waiting_kind kind);
/** Give it back; nothing where there is none. Also out of the queue. */
void parking_leave(struct parked *parked);
/** Suspend the connection. */
void parked_sleep(struct parked *parked);
/** Queue it for its resume; nothing unless it sleeps. */
void parked_call(struct parked *parked);
/** Resume a batch of those that were called. Before the daemons are run, in each turn. */
void parking_turn(struct worker *worker);
/** Resume all that were called. */
void parking_flush(struct worker *worker);

#endif
