/* A connected socket. */
#ifndef BELLWETHER_REDIS_STREAM_H
#define BELLWETHER_REDIS_STREAM_H

#include "conn_state.h"

/** Begin a TLS handshake over the connected socket in conn->fd, and go on with it. */
void conn_stream_secure(struct redis_conn *conn);
void conn_stream_shake(struct redis_conn *conn);
/** Take the connected socket in conn->fd and say HELLO. */
void conn_stream_start(struct redis_conn *conn);
/** Close the socket, connecting or connected. Commands stay. */
void conn_stream_stop(struct redis_conn *conn);
void conn_stream_ready(struct redis_conn *conn, int events);
void conn_stream_want(struct redis_conn *conn, int events);
/** Bytes to go out at the end of the turn. @param wire copied. */
void conn_stream_append(struct redis_conn *conn, const char *wire, size_t size);
/** Forget the bytes from this place in the stream on; the socket has taken none of them. */
void conn_stream_cut(struct redis_conn *conn, uint64_t at);
/** At the end of a turn: write what it queued. `data` is the connection. */
void conn_stream_flush(void *data);
/** Read what is there without waiting. */
void conn_stream_drain(struct redis_conn *conn);

#endif
