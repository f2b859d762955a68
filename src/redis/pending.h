/* The commands in flight. */
#ifndef BELLWETHER_REDIS_PENDING_H
#define BELLWETHER_REDIS_PENDING_H

#include "conn_state.h"

/** The `i`th in flight, of those that there are. */
struct conn_command *conn_queue_at(const struct redis_conn *conn, size_t i);
void conn_queue_push(struct redis_conn *conn, const struct conn_command *command);
struct conn_command conn_queue_pop(struct redis_conn *conn);
/** How many of the last ones are expects that the socket has taken nothing of. */
size_t conn_queue_unsent(const struct redis_conn *conn);
/** The expect whose answer is next. NULL: none is, or a command's. */
struct redis_expect *conn_queue_expect(const struct redis_conn *conn);
/** Complete what is in flight: it failed. */
void conn_queue_abandon(struct redis_conn *conn, enum redis_fail why);
/** Their earliest deadline, boot clock; 0: there is none. */
int64_t conn_queue_earliest(const struct redis_conn *conn);

#endif
