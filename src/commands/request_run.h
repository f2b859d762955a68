/*
 * What the pool keeps of a request while it runs; the request itself, struct pool_request, is its
 * caller's. And the lists in which it stands.
 */
#ifndef BELLWETHER_COMMANDS_REQUEST_RUN_H
#define BELLWETHER_COMMANDS_REQUEST_RUN_H

#include "master_pool.h"

enum command_state {
    COMMAND_WAITING, /* to be sent, or to be sent again */
    COMMAND_IN_FLIGHT,
    COMMAND_HELD, /* answered; the answer is kept for a moment, see held_reply.c */
    COMMAND_ENDED,
    COMMAND_STATES
};

/* What the pool keeps of one command. */
struct command_run {
    enum command_state state;
    struct in_flight *flight; /* while it is in flight */
    int64_t held_ms;          /* while it is held: since when, boot clock */
    bool read_only, script;
    bool may_have_run;   /* it was sent once, and is to run again because that does no harm */
    bool scans;          /* a cursor is in its answer */
    uint8_t unsent;      /* how often its connection was lost before any of it went out */
    uint8_t resent;      /* how often it went out again to this node */
    uint32_t cursor_tag; /* it runs on this server or never; CURSOR_TAG_NONE: on any */
};

struct request_run {
    struct list_link by_deadline, waiting, held; /* in the lists of these names */
    struct pool_request *request;
    struct master_pool *master_pool;
    int64_t arrived_us, deadline_ms; /* boot clock */
    int64_t rest_until_ms;           /* 0: it needs none */
    int64_t fenced_us;               /* since when the fence holds it; 0: it does not */
    bool is_new;                     /* pool_run() has not returned yet */
    enum pool_target target;         /* the master, too, in place of replicas that have failed */
    struct pool_endpoint *replica;   /* that it was sent to, or waits for; NULL: none */
    struct address *tried;           /* replicas; NULL: none */
    size_t n_tried;
    struct pool_conn *pool_conn; /* what is in flight is on this one */
    size_t json_bytes;           /* of the answers so far */
    size_t n_judged;             /* commands that the command table was asked about */
    size_t next;                 /* none before it waits */
    size_t n[COMMAND_STATES];    /* commands of each state */
    struct command_run *commands;
};

/** A run whose commands all wait, in no list yet. @param request borrowed. */
struct request_run *request_run_new(struct master_pool *master_pool, struct pool_request *request);
/** @param run NULL: nothing is done. */
void request_run_free(struct request_run *run);
/**
 * The only place where a command's state changes. The run stands in its master pool's list `held`
 * while some of its commands are.
 */
void command_run_move(struct request_run *run, size_t i, enum command_state state);
/** Put it among the deadlines of its pool; it stands there until it ends. */
void request_run_start_deadline(struct request_run *run);
void request_run_stop_deadline(struct request_run *run);
/** Put it at the end of its master pool's queue; nothing when it waits already. */
void request_run_wait(struct request_run *run);
void request_run_stop_waiting(struct request_run *run);
bool request_run_waits(const struct request_run *run);

/** Whether each of its commands has. */
static inline bool request_run_has_ended(const struct request_run *run)
{
    return run->n[COMMAND_ENDED] == run->request->n_commands;
}

#endif
