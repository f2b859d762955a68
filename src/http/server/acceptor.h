/* A worker's listening sockets. */
#ifndef BELLWETHER_HTTP_SERVER_ACCEPTOR_H
#define BELLWETHER_HTTP_SERVER_ACCEPTOR_H

#include "connections.h"

/**
 * Listen: from now on the loop accepts. @return 0; -BW_EIO. Thread: main, before the worker's runs.
 */
int doors_open(struct connections *connections);
void doors_close(struct connections *connections);
/** Every beat: whether each has accepted whom it should have. */
void doors_check(struct connections *connections);

#endif
