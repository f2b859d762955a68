/* Commands in flight, which stand for those on the wire, and what comes back for them. */
#ifndef BELLWETHER_COMMANDS_IN_FLIGHT_H
#define BELLWETHER_COMMANDS_IN_FLIGHT_H

#include "request_run.h"

struct in_flight {
    struct redis_expect expect;
    struct list_link spare; /* in the list of this name */
    struct pool_conn *pool_conn;
    struct request_run *run; /* NULL: an orphan */
    size_t command;          /* of the run */
};

/** A command in flight, to be filled; in_flight_done() frees it. */
struct in_flight *in_flight_new(struct pool *pool);
/** What the connection says of a command in flight. */
void in_flight_done(struct redis_expect *expect, enum redis_fail why, bool written);
/** Free those that are kept to be used again. */
void in_flight_free_spare(struct pool *pool);

#endif
