/* The listening sockets, and what all workers count together. */
#ifndef BELLWETHER_HTTP_SERVER_SOCKETS_H
#define BELLWETHER_HTTP_SERVER_SOCKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/http/worker.h"
#include "client_places.h"

#define INSTANCE_SIZE 17

/** The listening socket of listener `i` for this worker; the caller owns it from now on. */
int http_sockets_take(struct http_sockets *sockets, size_t i, size_t worker);
/** The process' random instance, in hex. Borrowed. */
const char *http_sockets_instance(const struct http_sockets *sockets);
/** The count of open connections over all workers, of probe listeners or of the others. */
_Atomic size_t *http_sockets_open_count(struct http_sockets *sockets, bool probe);
/** How many requests wait now, over all workers: max-long polls bounds them. */
_Atomic size_t *http_sockets_waiting_count(struct http_sockets *sockets);
/** How many requests with commands wait, over all workers: max-pending bounds them. */
_Atomic size_t *http_sockets_pending_count(struct http_sockets *sockets);
/** Who holds how many places. Thread: any. */
struct clients *http_sockets_clients(struct http_sockets *sockets);
/** Whether listening address `i` can be reached from this host only. */
bool http_sockets_is_loopback(const struct http_sockets *sockets, size_t i);
/**
 * Since when (boot clock) a worker does not accept there though callers wait; 0: it does. Thread:
 * any.
 */
_Atomic int64_t *http_sockets_deaf_since(struct http_sockets *sockets, size_t i, size_t worker);
/**
 * The count of open connections that have waited and so stand beside max-connections; max-long
 * polls bounds it, too.
 */
_Atomic size_t *http_sockets_open_waiting_count(struct http_sockets *sockets);

#endif
