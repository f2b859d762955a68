/* What the peer says. */
#ifndef BELLWETHER_REDIS_REPLIES_H
#define BELLWETHER_REDIS_REPLIES_H

#include "conn_state.h"

/*
 * The longest reply that becomes a tree. A thousand masters are 1.2 MB, a server's commands 0.4 MB;
 * beyond this the peer is broken or hostile.
 */
#define TREE_BYTES_MAX ((size_t)16 * 1024 * 1024)

void conn_replies_start(struct redis_conn *conn);
/** Bytes that came in. */
void conn_replies_take(struct redis_conn *conn, const char *bytes, size_t size);
/** The reader is gone. */
void conn_replies_stop(struct redis_conn *conn);

#endif
