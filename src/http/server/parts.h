/*
 * What a worker is made of; the files of this room share it. Everything here belongs to the
 * worker's thread once it runs, but for the pulses and the count of connections, which are atomic.
 */
#ifndef BELLWETHER_HTTP_SERVER_PARTS_H
#define BELLWETHER_HTTP_SERVER_PARTS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/loop.h"
#include "bellwether/http/query.h"
#include "bellwether/http/router.h"
#include "bellwether/http/worker.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"
#include "response.h"

#define INSTANCE_SIZE 17

/*
 * A body this much over max-body is still read and dropped, so that a caller who sends first and
 * reads afterwards sees the 413; beyond it the connection closes.
 */
#define BODY_EXCESS_READ (4 << 20)

/* Requests that sleep until there is something to say; counted under the same numbers. */
enum waiting_kind { WAITING_POLL = METRIC_WAITER_POLL, WAITING_STREAM = METRIC_WAITER_STREAM };

/*
 * An MHD daemon whose epoll descriptor is one handle of the loop. Each listening address of a
 * worker has one for whoever does not wait, and some for those that do.
 */
struct listener {
    struct worker *worker;
    struct MHD_Daemon *daemon; /* NULL: not started */
    bool patient;              /* for callers that wait */
    struct loop_poll *poll;
    struct loop_timer *timer; /* when MHD wants to be run without an event */
    int64_t timer_due_ms;     /* boot clock, while the timer is armed */
    bool wanted;              /* MHD_run() in this turn */
    bool due; /* some of its sleepers were resumed: they are answered before anything else there */
    struct suspended *called_first, *called_last; /* to be resumed, in their order */
    enum http_scope scope;
    bool unix_socket;
    /* TCP that only this host reaches: pages in its browsers are kept out by their Host */
    bool loopback;
    char usual_host[96]; /* the Host that was found right last: mostly the next one's, too */
    size_t refusing;     /* connections over the limit that still have to be told so */
    /* counts its connections: all workers' together, or the probe listeners' */
    _Atomic size_t *open;
};

struct worker {
    const struct http_config *config;
    const struct http_routes *routes;
    struct http_sockets *sockets;
    size_t number;
    const char *instance; /* of the process; in ETags and headers */
    struct pulse *pulse;
    struct loop *loop;
    struct mailbox *mailbox;
    struct mailbox *ask_to;
    struct loop_timer *pulse_timer;
    struct loop_timer *stop_timer; /* ends the wait for the last answers */
    pthread_t thread;
    bool started;
    bool draining, stopping;
    struct metrics *metrics, *own_metrics; /* `own_metrics`: where the config has none */
    struct metrics_http *counts;           /* this worker's part of it */
    int64_t clock_us;                      /* boot clock, as it was read last: for durations */
    uint64_t requests;                     /* begun since the start */
    size_t in_flight; /* requests between their first handler call and their completion */
    /* for each listening address one, and n_patient for those that wait */
    struct listener *listeners;
    size_t n_listeners, n_patient;
    struct connections *connections;
    struct cache *cache;
    struct fresh *fresh_first, *fresh_last; /* waiting for a fresh look-up, oldest first */
    struct loop_timer *fresh_timer;
    uint64_t last_ticket;
    /* boot clock: when the watcher heard last that everybody's lag is read */
    int64_t lag_told_ms;
    struct commands *commands; /* NULL: none are run */
    struct long_polls *long_polls;
    struct streams *streams;
    size_t n_called;                 /* to be resumed, of all listeners */
    size_t telling_next;             /* the listener whose turn it is to have some resumed */
    bool telling;                    /* in this turn some were */
    struct loop_timer *called_timer; /* brings the next turn while there are some */
};

/* ---- worker.c ---- */

/** Open all that it listens on. @return 0; -BW_EIO. Thread: main. */
int worker_open(struct worker *worker);
/** Its loop, until MESSAGE_STOP; where a thread of its own would run it. @param data the worker. */
void *worker_run(void *data);

/* ---- listener.c ---- */

/** How many daemons for those that wait each listening address has. */
size_t listeners_patient_wanted(const struct http_config *config);
/**
 * Start an MHD daemon of listening address `i`. @return 0; -BW_EIO. Thread: main, before the
 * worker's runs.
 */
int listener_start(struct listener *listener, struct worker *worker, size_t i, bool patient);
/** Run every daemon that has something to do. Called once a turn. */
void listeners_turn(struct worker *worker);
/** Stop the daemon; nothing may be suspended any more. */
void listener_stop(struct listener *listener);

/* ---- dispatch.c ---- */

/** MHD's access handler. @param data the listener. */
enum MHD_Result dispatch_handle(void *data, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state);
/** An answer was given: count it. @param route NULL: none. @param began_us boot clock. */
void dispatch_count(struct worker *worker, const struct route *route, const char *method,
                    unsigned status, int64_t began_us);
#define DISPATCH_FOREIGN_HOST \
    "Host is neither an IP address nor localhost nor one of option allow-host, as a browser's would be that " \
    "was led here by a name"
/**
 * Whether the request was addressed, to a listener on loopback, by a name that may be a page's own.
 * @param host NULL: none.
 */
bool dispatch_is_foreign_host(struct listener *listener, const char *host, const char *url);
/** MHD's completion callback: frees what the request kept. */
void dispatch_completed(void *data, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode why);

/* ---- sockets.c ---- */

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
struct clients;
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
