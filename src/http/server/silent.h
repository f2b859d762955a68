/* Connections that have not spoken, outside libmicrohttpd. */
#ifndef BELLWETHER_HTTP_SERVER_SILENT_H
#define BELLWETHER_HTTP_SERVER_SILENT_H

#include "connections.h"
#include "peek.h"
#include "problem.h"

/** Look at a new connection at once, or have it watched. */
void silent_begin(struct http_conn *conn);
/** Something happened on the descriptor of one that is watched. */
void silent_ready(void *data, int events);
/** Those whose time is over, and those that cannot be watched. */
void silent_sweep(struct connections *connections, int64_t now_ms);
/** How long a connection may be there without a whole head. */
int64_t silent_limit_ms(const struct connections *connections);
/** Close the oldest that has not spoken. @return false: there is none. */
bool silent_drop_oldest(struct connections *connections);
void silent_drop_all(struct connections *connections);
/**
 * An answer of our own on a connection that libmicrohttpd does not answer. @param peek of its
 * request; NULL: unknown.
 */
void silent_say(const struct http_conn *conn, enum problem_kind kind, const char *detail,
                const struct peek *peek);

#endif
