/*
 * What a worker is made of; the files of this room share it. Everything here belongs to the worker's thread
 * once it runs, but for the pulses and the count of connections, which are atomic.
 */
#ifndef HTTP_PARTS_H
#define HTTP_PARTS_H

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
#include "bellwether/metrics/metrics.h"
#include "bellwether/topology/news.h"
#include "bellwether/topology/snapshot.h"
#include "response.h"

#define INSTANCE_SIZE 17

/* A body this much over max-body is still read and dropped, so that a caller who sends first and reads
 * afterwards sees the 413; beyond it the connection closes. */
#define BODY_EXCESS_READ (4 << 20)

/* Requests that sleep until there is something to say; counted under the same numbers. */
enum waiting_kind { WAITING_POLL = METRIC_WAITER_POLL, WAITING_STREAM = METRIC_WAITER_STREAM };

/* One listening address of one worker: an MHD daemon whose epoll descriptor is one handle of the loop. */
struct listener {
    struct worker *worker;
    struct MHD_Daemon *daemon; /* NULL: not started */
    struct loop_poll *poll;
    struct loop_timer *timer; /* when MHD wants to be run without an event */
    int64_t timer_due_ms;     /* boot clock, while the timer is armed */
    bool wanted;              /* MHD_run() in this turn */
    enum http_scope scope;
    size_t refusing;      /* connections over the limit that still have to be told so */
    _Atomic size_t *open; /* counts its connections: all workers' together, or the probe listeners' */
    size_t open_max;
};

struct worker {
    const struct http_config *config;
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
    struct listener *listeners;
    size_t n_listeners;
    struct cache *cache;
    struct fresh *fresh_first, *fresh_last; /* waiting for a fresh look-up, oldest first */
    struct loop_timer *fresh_timer;
    uint64_t last_ticket;
    int64_t lag_told_ms;       /* boot clock: when the watcher heard last that everybody's lag is read */
    struct commands *commands; /* NULL: none are run */
    struct waiters *waiters;
    struct streams *streams;
    struct parked *called_first, *called_last; /* to be resumed, in their order */
    struct loop_timer *called_timer;           /* brings the next turn while there are some */
};

/* ---- daemon.c ---- */

/** Start the MHD daemon of listener `i`. @return 0; -BW_EIO. Thread: main, before the worker's runs. */
int listener_start(struct listener *listener, struct worker *worker, size_t i);
/** Run every daemon that has something to do. Called once a turn. */
void listeners_turn(struct worker *worker);
/** Stop the daemon; nothing may be suspended any more. */
void listener_stop(struct listener *listener);
/** This connection is over the limit: its request is answered with 503. */
bool connection_is_refused(const struct listener *listener, struct MHD_Connection *connection);
/** Its request waits: from now on it stands beside max-connections, while there is room there. */
void connection_begins_to_wait(struct listener *listener, struct MHD_Connection *connection);

/* ---- dispatch.c ---- */

/** MHD's access handler. @param data the listener. */
enum MHD_Result dispatch_handle(void *data, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state);
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
/** How many requests wait now, over all workers: max-waiters bounds them. */
_Atomic size_t *http_sockets_waiting_count(struct http_sockets *sockets);
/** How many requests with commands wait, over all workers: max-pending bounds them. */
_Atomic size_t *http_sockets_pending_count(struct http_sockets *sockets);
/** The count of open connections that have waited and so stand beside max-connections; max-waiters bounds it, too. */
_Atomic size_t *http_sockets_open_waiting_count(struct http_sockets *sockets);

#endif
