/* Callers that do not keep up are told so, or cut. */
#ifndef BELLWETHER_HTTP_SERVER_SLOW_CLIENTS_H
#define BELLWETHER_HTTP_SERVER_SLOW_CLIENTS_H

#include "connections.h"

/** Look at all connections whose time may be over. @param data the connections. */
void slow_clients_sweep(void *data);

#endif
