/* From an address to a connected socket. */
#ifndef BELLWETHER_REDIS_DIAL_H
#define BELLWETHER_REDIS_DIAL_H

#include "conn_state.h"

void conn_dial_start(struct redis_conn *conn);
void conn_dial_stop(struct redis_conn *conn);
/** This address is no good: try the next one, else the connection is lost. */
void conn_dial_failed(struct redis_conn *conn, enum redis_fail why, const char *words);
/**
 * Greet this address once more, otherwise.
 * @param words why it closed; NULL: that tells nothing.
 */
void conn_dial_greet(struct redis_conn *conn, enum conn_greeting greeting, const char *words);
void conn_dial_ready(struct redis_conn *conn);
void conn_dial_timer(struct redis_conn *conn);

#endif
