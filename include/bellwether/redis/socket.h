/* Sockets to Redis servers and Sentinels, and to those who talk to them through us. */
#ifndef BELLWETHER_REDIS_SOCKET_H
#define BELLWETHER_REDIS_SOCKET_H

#include <stdbool.h>

#include "bellwether/base/address.h"

/* Keep-alive's whole time: 15 s without a word, then 3 questions in 5 s each. */
#define SOCKET_LOST_MS 30000

/**
 * Nothing that is sent waits for more, and a peer whose host vanished is noticed within half a
 * minute while nothing is on its way to it. What a listening socket accepts is tuned as that is.
 * Of a socket that is no TCP's: nothing.
 */
void socket_tune(int fd);
/**
 * Begin to connect to an IP address, tuned and without blocking.
 * @return the socket, which is the caller's, for events; -errno. Thread: any.
 */
int socket_dial(const struct address *address);
/** Whether it is writable, or has failed, without a wait: on one machine it mostly is at once. */
bool socket_is_there(int fd);
/**
 * It is writable, or has failed.
 * @return 0: it is connected; an errno. ECONNREFUSED where it is connected to itself.
 */
int socket_dialled(int fd);

#endif
