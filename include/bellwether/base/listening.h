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

/* Whether who comes over TLS is asked for a certificate. */
enum client_ca { CLIENT_CA_OFF, CLIENT_CA_OPTIONAL, CLIENT_CA_REQUIRED };

/* Where to listen, and with what: all that --listen and --forward have in common. */
struct listen_place {
    /* TCP; a port of 0: any free one; a name resolves when it is opened. Unset for a Unix socket */
    struct address address;
    char *unix_path; /* NULL: TCP */
    unsigned mode;   /* of the Unix socket, e.g. 0660 */
    bool tls;
    bool client_ca_given; /* `,client-ca=` was said */
    enum client_ca client_ca;
};

/** Its path or its address. @param out ADDRESS_TEXT_SIZE bytes, maybe not used. Thread: any. */
const char *listen_place_text(const struct listen_place *place, char *out);
/** Whether no two can listen on both; any free port is never the same. Thread: any. */
bool listen_place_equal(const struct listen_place *a, const struct listen_place *b);
/**
 * What is in the way of a Unix socket and stays there: a folder or another file. A missing folder
 * may come, a socket may be a dead daemon's.
 * @return static words; NULL: nothing is. Thread: any.
 */
const char *listen_place_obstacle(const struct listen_place *place);

struct listening;

/**
 * Listen there.
 * @param place         borrowed for the call.
 * @param speaks_first  callers do: those that have not are accepted a second later.
 * @return a socket for each worker; NULL with a message naming the place in `error`. Thread: main.
 */
struct listening *listening_open(const struct listen_place *place, bool speaks_first,
                                 size_t n_workers, char *error, size_t error_size);
/** The address it has; the port is the real one. Unset for a Unix socket. Thread: any. */
const struct address *listening_address(const struct listening *listening);
/** Whether it can be reached from this host only. Thread: any. */
bool listening_is_loopback(const struct listening *listening);
/** A worker's socket, which the caller owns from now on. Once for each worker. */
int listening_take(struct listening *listening, size_t worker);
/** Close what was not taken, and remove the file of a Unix socket. NULL is fine. */
void listening_free(struct listening *listening);

#endif
