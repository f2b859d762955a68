/*
 * A worker thread: one loop that owns the libmicrohttpd daemons of its listening addresses, and
 * answers from its current snapshot.
 */
#ifndef BELLWETHER_HTTP_WORKER_H
#define BELLWETHER_HTTP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/listening.h"
#include "bellwether/base/loop.h"
#include "bellwether/base/pulse.h"

/*
 * Connections over max_connections that are still taken to tell them 503, or that have not spoken
 * yet, and the room that probe listeners have to themselves: main raises RLIMIT_NOFILE for both.
 */
#define HTTP_CONNECTIONS_REFUSED_AT_ONCE 256
#define HTTP_CONNECTIONS_PROBE 256
#define HTTP_PATIENT_MAX 16 /* daemons for those that wait, of one listening address in a worker */

enum http_scope { HTTP_SCOPE_ALL, HTTP_SCOPE_DISCOVERY, HTTP_SCOPE_PROBE };
enum self_requires { SELF_REQUIRES_MAJORITY, SELF_REQUIRES_ANY };
/* Who may run commands. */
enum redis_api { REDIS_API_OFF, REDIS_API_TOKEN, REDIS_API_LOOPBACK };
enum ready_when { READY_WHEN_RESOLVED, READY_WHEN_DEFAULT, READY_WHEN_ANY, READY_WHEN_ALL };

/* One --listen. */
struct http_listen {
    struct listen_place place;
    enum http_scope scope;
};

/* An option as /status shows it; a secret's value is masked by whoever made it. */
struct http_option {
    const char *name; /* static */
    char *master;     /* whose section it stands in; NULL: for all */
    char **values;    /* none: not set, or set to nothing */
    size_t n_values;
    bool list;  /* may have several */
    char *from; /* "default", "--poll-interval", "/etc/bellwether.ini:12"; NULL: not set */
};

struct metrics;        /* bellwether/metrics/counters.h */
struct pool_config;    /* bellwether/commands/pool.h */
struct secret;         /* bellwether/base/secret.h */
struct server_tls;     /* http/server/server_tls.h */
struct forward_shared; /* bellwether/forward/forward.h */

struct http_config {
    const struct http_option *options; /* borrowed */
    size_t n_options;
    int64_t started_boot_ms, started_wall_ms;
    const struct address *selves; /* borrowed: the nodes named by --self */
    size_t n_selves;
    enum self_requires self_requires;
    const struct http_listen *listens;
    size_t n_listens;
    size_t max_connections; /* over all workers; those that wait, or have waited, beyond it */
    size_t max_waiters;     /* long polls and streams at once, over all workers */
    int64_t heartbeat_ms;   /* of streams, and of looking for callers that left; 0: the usual */
    size_t ring_events;     /* that can be replayed; 0: the usual */
    size_t n_workers;
    int64_t idle_timeout_ms;
    int64_t request_timeout_ms; /* 0: the usual */
    /* places of one client on listeners that are not loopback; 0: no limit */
    size_t max_per_client;
    bool halve_per_client;          /* instead: half of each kind */
    const char *const *allow_hosts; /* borrowed: names besides IP addresses and localhost */
    size_t n_allow_hosts;
    /* borrowed: whose pages may read what is found here; "*" all */
    const char *const *allow_origins;
    size_t n_allow_origins;
    int64_t max_body_bytes;
    int64_t max_memory_bytes;
    /* the longest a fresh look-up takes: sentinel-timeout + verify-timeout, plus a margin */
    int64_t poll_wait_ms;
    enum ready_when ready_when;
    struct metrics *metrics;    /* borrowed; NULL: each worker keeps its own (tests) */
    const struct pulse *pulses; /* borrowed; [0] the watcher's, [1..n_workers] the workers' */
    enum redis_api redis_api;
    /* borrowed; NULL: no commands are run, whatever redis_api says */
    const struct pool_config *pool;
    /* borrowed, each worker keeps copies; NULL: none */
    const struct secret *tokens, *read_only_tokens;
    const struct server_tls *tls;    /* the same; NULL: no listener and no forward has it */
    struct forward_shared *forwards; /* borrowed; NULL: none */
};

/*
 * Listening sockets, opened once by main before the workers start, so that a busy port stops the
 * start.
 */
struct http_sockets;
/**
 * Claim every listening address (without SO_REUSEPORT first, so a second copy of the program is
 * noticed), then open one socket per worker for each.
 * @return the sockets; NULL with a message naming the address in `error`. Thread: main.
 */
struct http_sockets *http_sockets_open(const struct http_config *config, char *error,
                                       size_t error_size);
/** The address that listener `i` has; the port is the real one. */
const struct address *http_sockets_address(const struct http_sockets *sockets, size_t i);
/** Closes what workers did not take, removes Unix sockets it made. After the workers. */
void http_sockets_free(struct http_sockets *sockets);

/* The handlers of all routes, which the server is given and names none of: http/routes/table.c. */
struct http_routes;
extern const struct http_routes http_routes;

struct worker;

/**
 * @param number 0-based. @param ask_to borrowed mailbox of the watcher (MESSAGE_ASK_FRESH). Thread:
 * main.
 */
struct worker *worker_new(const struct http_config *config, const struct http_routes *routes,
                          struct http_sockets *sockets, size_t number, struct mailbox *ask_to,
                          struct pulse *pulse);
/** Takes MESSAGE_SNAPSHOT, _EVENT, _FRESH, _STATUS, _RELOAD, _DRAIN and _STOP. */
struct mailbox *worker_mailbox(struct worker *worker);
/** @return 0; negative, and the log says why. Thread: main. */
int worker_start(struct worker *worker);
/** Ask it to end (MESSAGE_STOP) and join it: waiting answers are given, within 1 s at most. */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker);

#endif
