/*
 * The master, or its replicas, on an address of one's own: whatever connects to a forward is joined
 * to the present node, byte for byte, so that programs that know nothing of Sentinels need not.
 *
 * Nobody looks into the bytes. What makes it safe is when they are moved (DESIGN section 5):
 *
 *   behind the fence  nothing more is read from clients; answers are passed on once they are so old
 *                     that a promotion, had it begun before them, would be known
 *   a promotion       answers of the old master count no longer: connections to it are closed
 *   a switch          so are all others to it; who connects waits for the new one
 *
 * A worker has a part of its own of each forward; the listening sockets and the counts are shared.
 */
#ifndef BELLWETHER_FORWARD_FORWARD_H
#define BELLWETHER_FORWARD_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bellwether/base/address.h"
#include "bellwether/base/listening.h"
#include "bellwether/base/loop.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/redis/login.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"

/* Told that there are too many, at once, in a worker; beyond that they are just closed. */
#define FORWARD_REFUSED_AT_ONCE 64

enum forward_to { FORWARD_TO_MASTER, FORWARD_TO_REPLICA };

/* One --forward. */
struct forward_listen {
    struct listen_place place; /* its TLS is that towards clients */
    enum forward_to to;
    char *master; /* NULL: the default one */
    bool auth;    /* clients are logged in as the daemon's own user */
};

struct forward_config {
    const struct forward_listen *listens; /* borrowed */
    size_t n_listens;
    size_t n_workers;
    size_t max_forwards;          /* connections at once, over all workers */
    int64_t handshake_timeout_ms; /* for a client's TLS */
    int64_t wait_ms;              /* for a node */
    int64_t connect_timeout_ms;   /* one attempt: name, TCP, TLS and AUTH together */
    int64_t lost_ms; /* a peer that acknowledges nothing of what it was sent for so long is gone */
    int64_t replica_max_lag_bytes; /* -1: any */
    bool replica_fallback;         /* to the master */
    const struct redis_login *logins;
    size_t n_logins;         /* at least 1 */
    struct metrics *metrics; /* borrowed */
};

/* ---- what all workers share ---- */

struct forward_shared;

/**
 * Open the listening sockets. @param config borrowed. @return NULL with a message naming the
 * address in `error`. Thread: main.
 */
struct forward_shared *forward_shared_open(const struct forward_config *config, char *error,
                                           size_t error_size);
/** The address of forward `i`; the port is the real one. Unset for a Unix socket. Thread: any. */
const struct address *forward_shared_address(const struct forward_shared *shared, size_t i);
const struct forward_config *forward_shared_config(const struct forward_shared *shared);
/** After the workers. NULL is fine. */
void forward_shared_free(struct forward_shared *shared);

/* ---- TLS towards clients, which the worker has ---- */

enum { FORWARD_END = -1 }; /* of bytes: the peer has closed, or the connection is of no use */

struct forward_tls {
    /** A session on a socket on which nothing was said yet; NULL: not now. */
    void *(*begin)(void *data, const struct forward_listen *listen, int fd);
    /**
     * @param why  set where it failed, to static words; NULL: the client just went.
     * @return 1 done; 0 goes on with an event (`write`: the socket takes more); -1 failed.
     */
    int (*shake)(void *session, bool *write, const char **why);
    /**
     * @param more  whether there are bytes that no event will tell of.
     * @return bytes; 0: nothing more for now; FORWARD_END.
     */
    ssize_t (*read)(void *session, char *bytes, size_t size, bool *more);
    /**
     * What it did not take it wants again, at the same place in the stream. @return bytes; 0: no
     * more for now; FORWARD_END.
     */
    ssize_t (*write)(void *session, const char *bytes, size_t size);
    /** Nothing more is written: a goodbye, as far as the socket takes it. */
    void (*shut)(void *session);
    /** The socket stays. */
    void (*end)(void *session);
    void *data;
};

/* ---- a worker's part ---- */

struct forwards;

struct forward_hooks {
    /* Tell the watcher. */
    void (*suspect)(void *data, enum suspicion what, const char *master,
                    const struct address *address);
    /* Have it hear what has come to it: forwards_heard() follows. NULL: nobody is asked. */
    void (*ask_heard)(void *data);
    void *data;
    struct forward_tls tls; /* without `begin`: no listener has it */
};

/** @param shared borrowed. */
struct forwards *forwards_new(struct loop *loop, struct forward_shared *shared, size_t worker,
                              const struct forward_hooks *hooks);
/** Listen. @return 0; -BW_EIO, and the log says why. Thread: main, before the worker's runs. */
int forwards_open(struct forwards *forwards);
/** A new snapshot: addresses, states, replicas, fences. Keeps a reference. NULL is fine. */
void forwards_take(struct forwards *forwards, struct snapshot *snapshot);
/** The watcher has heard what had come to it when it was asked. NULL is fine. */
void forwards_heard(struct forwards *forwards);
/** Credential files: read again what changed, or all with `force`. NULL is fine. */
void forwards_reload(struct forwards *forwards, bool force);
/**
 * The worker ends: nobody is accepted, nothing more is read from clients, and each is closed once
 * its node has answered and says nothing more for a moment. NULL is fine.
 */
void forwards_drain(struct forwards *forwards);
/** Whether some are with their nodes still. NULL: none. */
bool forwards_are_busy(const struct forwards *forwards);
/** NULL is fine. */
void forwards_free(struct forwards *forwards);

#endif
