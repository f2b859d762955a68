/* The connection that only listens. */
#ifndef BELLWETHER_SENTINEL_CLIENT_SUBSCRIBE_H
#define BELLWETHER_SENTINEL_CLIENT_SUBSCRIBE_H

#include "client_state.h"

extern const struct redis_conn_hooks client_listen_hooks;

/* Timers'; `data` is the client. */
void client_listen(void *data);
void client_ping(void *data);

#endif
