/*
 * What a worker is made of. Everything here belongs to the worker's thread once it runs, but for
 * the pulses and the count of connections, which are atomic.
 */
#ifndef BELLWETHER_HTTP_SERVER_WORKER_H
#define BELLWETHER_HTTP_SERVER_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/list.h"
#include "bellwether/base/loop.h"
#include "bellwether/http/worker.h"
#include "bellwether/metrics/counters.h"

struct worker {
    const struct http_config *config;
    const struct http_routes *routes;
    struct http_sockets *sockets;
    size_t number;
    const char *instance; /* of the process; in ETags and headers */
    struct pulse *pulse;
    struct loop *loop;
    struct mailbox *mailbox;
    struct list held; /* of struct message: delivered, to be heard in this turn, in their order */
    struct mailbox *ask_to;
    bool heard_asked; /* MESSAGE_ASK_HEARD is on its way */
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
    struct certificates *certificates; /* NULL: no listener and no forward has TLS */
    struct server_tls *tls;            /* theirs */
    struct cache *cache;
    struct list fresh; /* of struct fresh: waiting for the watcher, by deadline */
    struct loop_timer *fresh_timer;
    uint64_t last_ticket;
    /* boot clock: when the watcher heard last that everybody's lag is read */
    int64_t lag_told_ms;
    struct commands *commands; /* NULL: none are run */
    struct forwards *forwards; /* NULL: there are none */
    struct forward_sessions *forward_sessions;
    struct long_polls *long_polls;
    struct live_streams *live_streams;
    struct streams *streams;
    size_t n_called;                 /* to be resumed, of all listeners */
    size_t telling_next;             /* the listener whose turn it is to have some resumed */
    bool telling;                    /* in this turn some were */
    struct loop_timer *called_timer; /* brings the next turn while some are called */
};

/** Open all that it listens on. @return 0; -BW_EIO. Thread: main. */
int worker_open(struct worker *worker);
/** Its loop, until MESSAGE_STOP; where a thread of its own would run it. @param data the worker. */
void *worker_run(void *data);

/** Answers wait for the watcher to hear what has come to it: MESSAGE_HEARD comes back. */
void worker_ask_heard(struct worker *worker);

#endif
