/* From an address to a connected socket. */
#ifndef BELLWETHER_REDIS_DIAL_H
#define BELLWETHER_REDIS_DIAL_H

#include "conn_state.h"

void conn_dial_start(struct redis_conn *conn);
void conn_dial_stop(struct redis_conn *conn);
/** This address is no good: try the next one, else the connection is lost. */
void conn_dial_failed(struct redis_conn *conn, enum redis_fail why, const char *words);
/** This address closed on HELLO without a word: see whether it speaks TLS, then go on. */
void conn_dial_greet_in_tls(struct redis_conn *conn, const char *words);
void conn_dial_ready(struct redis_conn *conn);
void conn_dial_timer(struct redis_conn *conn);

#endif
