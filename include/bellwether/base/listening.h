/*
 * Listening sockets, made by the main thread before any worker runs, so that a busy address stops
 * the start.
 *
 * Workers share a TCP port through SO_REUSEPORT, one socket each. That option would also let a
 * second copy of the program take the port unnoticed, so the port is claimed once without it; a
 * single worker keeps that socket. A Unix socket has one descriptor, of which every worker gets a
 * duplicate.
 */
#ifndef BELLWETHER_BASE_LISTENING_H
#define BELLWETHER_BASE_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/address.h"

/* Where to listen; all of it borrowed. */
struct listen_place {
    /* TCP; a port of 0: any free one; a name resolves on the calling thread */
    const struct address *address;
    const char *unix_path; /* NULL: TCP */
    unsigned mode;         /* of the Unix socket, e.g. 0660 */
    bool speaks_first;     /* callers do: those that have not are accepted a second later */
};

/* Whether who comes over TLS is asked for a certificate. */
enum client_ca { CLIENT_CA_OFF, CLIENT_CA_OPTIONAL, CLIENT_CA_REQUIRED };

struct listening;

/**
 * Listen there.
 * @return a socket for each worker; NULL with a message naming the place in `error`. Thread: main.
 */
struct listening *listening_open(const struct listen_place *place, size_t n_workers, char *error,
                                 size_t error_size);
/** The address it has; the port is the real one. Unset for a Unix socket. Thread: any. */
const struct address *listening_address(const struct listening *listening);
/** Whether it can be reached from this host only. Thread: any. */
bool listening_is_loopback(const struct listening *listening);
/** A worker's socket, which the caller owns from now on. Once for each worker. */
int listening_take(struct listening *listening, size_t worker);
/** Close what was not taken, and remove the file of a Unix socket. NULL is fine. */
void listening_free(struct listening *listening);

#endif
