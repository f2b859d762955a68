/* What comes back for a command; and the commands in flight, which stand for those on the wire. */
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

/** A command in flight to be filled; it goes by itself once it is done. */
struct in_flight *in_flight_new(struct pool *pool);
/** The connection's word about a command in flight's command. */
void in_flight_done(struct redis_expect *expect, enum redis_fail why, bool written);
/** Those that nobody uses; at the end. */
void in_flight_free_spare(struct pool *pool);

#endif
