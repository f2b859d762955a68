/*
 * What the pool keeps of a request while it runs; the request itself, struct pool_request, is its
 * caller's. And the lists in which it stands.
 */
#ifndef BELLWETHER_COMMANDS_REQUEST_RUN_H
#define BELLWETHER_COMMANDS_REQUEST_RUN_H

#include "pool_state.h"

struct command_run {
    struct in_flight *flight; /* on the wire; NULL: not */
    bool read_only, script;
    bool may_have_run;   /* it was sent once, and is to run again because that does no harm */
    uint8_t unsent;      /* how often its connection was lost before any of it went out */
    uint8_t resent;      /* how often it went out again to this node */
    int64_t held_ms;     /* since when its answer is kept, boot clock; 0: it is not */
    bool scans;          /* a cursor is in its answer */
    uint32_t cursor_tag; /* it runs on this server or never; CURSOR_TAG_NONE: on any */
};

struct request_run {
    struct list_link by_deadline, waiting, held; /* in the lists of these names */
    struct pool_request *request;
    struct master_pool *master_pool;
    int64_t arrived_us, deadline_ms; /* boot clock */
    int64_t rest_until_ms;           /* 0: it needs none */
    int64_t held_us;                 /* since when the fence holds it; 0: it does not */
    bool judged;                     /* the command table was asked about all its commands */
    size_t n_judged;                 /* about so many */
    bool inline_;                    /* still inside pool_run() */
    bool abandoned;                  /* its caller has gone */
    size_t next;                     /* the first that is neither on the wire nor over */
    size_t pending;                  /* commands without an outcome */
    struct pool_conn *pool_conn;     /* what is on the wire is on this one */
    size_t flying;                   /* how many that are; 0: `pool_conn` means nothing */
    size_t json_bytes;               /* of the answers so far */
    size_t n_held;                   /* those whose answer is kept */
    struct pool_endpoint *endpoint;  /* the replica that it was sent to, or waits for */
    bool to_master;        /* replicas have failed: the master instead (replica-fallback) */
    struct address *tried; /* replicas; NULL: none */
    size_t n_tried;
    struct command_run *commands;
};

/** Among the deadlines of its pool, until it ends. */
void request_run_start_deadline(struct request_run *run);
void request_run_stop_deadline(struct request_run *run);
/** At the end of its master pool's queue; nothing when it waits already. */
void request_run_wait(struct request_run *run);
void request_run_stop_waiting(struct request_run *run);
bool request_run_waits(const struct request_run *run);

#endif
