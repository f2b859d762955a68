/* Connections before libmicrohttpd has them: which ones get in, and what the others are told. */
#ifndef BELLWETHER_HTTP_SERVER_ADMISSION_H
#define BELLWETHER_HTTP_SERVER_ADMISSION_H

#include "connections.h"
#include "peek.h"
#include "problem.h"

/** Look at a new connection at once, or have it watched. */
void admission_begin(struct http_conn *conn);
/** Something happened on the descriptor of one that is watched. */
void admission_ready(void *data, int events);
/** Refuse those whose time is over, and look at those that can't be watched. */
void admission_sweep(struct connections *connections, int64_t now_ms);
/** How long a connection may be there without a whole head. */
int64_t admission_limit_ms(const struct connections *connections);
/** Close the oldest that has not spoken, else the oldest refused. @return false: there is none. */
bool admission_drop_oldest(struct connections *connections);
/** Close all that libmicrohttpd does not have. */
void admission_drop_all(struct connections *connections);
/**
 * Write an answer to a connection that libmicrohttpd does not answer. @param peek of its request;
 * NULL: unknown.
 */
void http_conn_say(const struct http_conn *conn, enum problem_kind kind, const char *detail,
                   const struct peek *peek);

#endif
