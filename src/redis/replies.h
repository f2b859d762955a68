/* Replies, each to whoever asked. */
#ifndef BELLWETHER_REDIS_REPLIES_H
#define BELLWETHER_REDIS_REPLIES_H

#include "conn_state.h"

/** A socket is connected: read from it. Whoever closes it stops conn->reader. */
void conn_replies_start(struct redis_conn *conn);
/** Bytes that came in. */
void conn_replies_take(struct redis_conn *conn, const char *bytes, size_t size);

#endif
