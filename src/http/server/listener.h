/* The daemons of libmicrohttpd that a worker runs. */
#ifndef BELLWETHER_HTTP_SERVER_LISTENER_H
#define BELLWETHER_HTTP_SERVER_LISTENER_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/list.h"
#include "tls_session.h"
#include "worker.h"

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
    struct list called; /* of struct suspended: to be resumed, in their order */
    enum http_scope scope;
    bool unix_socket;
    bool tls;
    enum client_ca client_ca;   /* with TLS */
    struct tls_traffic traffic; /* the same */
    /* TCP that only this host reaches: pages in its browsers are kept out by their Host */
    bool loopback;
    char usual_host[96]; /* the Host that was found right last: mostly the next one's, too */
    size_t refusing;     /* connections over the limit that still have to be told so */
    /* counts its connections: all workers' together, or the probe listeners' */
    _Atomic size_t *open;
};

/** How many daemons for those that wait each listening address has. */
size_t listeners_patient_wanted(const struct http_config *config);
/**
 * Start an MHD daemon of listening address `i`. @return 0; -BW_EIO. Thread: main, before the
 * worker's runs.
 */
int listener_start(struct listener *listener, struct worker *worker, size_t i, bool patient);
/** Run every daemon that has something to do. At the end of a turn of the loop only. */
void listeners_turn(struct worker *worker);
/** Stop the daemon; nothing may be suspended any more. */
void listener_stop(struct listener *listener);

#endif
