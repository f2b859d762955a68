/*
 * One connection of the pool: opened, greeted, and asked who it is. It knows no requests; what
 * becomes of it, it tells its endpoint.
 */
#ifndef BELLWETHER_COMMANDS_POOL_CONN_H
#define BELLWETHER_COMMANDS_POOL_CONN_H

#include "bellwether/metrics/counters.h"
#include "bellwether/redis/connection.h"

struct pool_endpoint;
struct pool_conn;

enum pool_conn_state {
    POOL_CONN_OPENING, /* until HELLO is answered and its role is known */
    POOL_CONN_READY,
    /* a command's time was over and nothing had come since: nobody new is sent here */
    POOL_CONN_SILENT,
};

enum pool_conn_refusal {
    POOL_CONN_REFUSED,
    POOL_CONN_REFUSED_FOR_GOOD, /* no time mends it */
    POOL_CONN_NO_MASTER,        /* and it had to be one */
};

/*
 * What its endpoint is told; each but `ready` and `push` is its last word: the endpoint frees it.
 */
struct pool_conn_hooks {
    void (*ready)(struct pool_conn *pool_conn);
    /* The node does not take it for what it is. */
    void (*refused)(struct pool_conn *pool_conn, enum pool_conn_refusal why, const char *words);
    /* It ended by itself; what was on it is settled. */
    void (*closed)(struct pool_conn *pool_conn, enum redis_fail why, const char *words);
    /* Of a connection that listens (redis_conn_listen()): any number of times. */
    void (*push)(struct pool_conn *pool_conn, const redisReply *push);
};

struct pool_conn {
    struct pool_endpoint *endpoint;
    const struct pool_conn_hooks *hooks;
    struct redis_conn *conn;
    enum pool_conn_state state;
    bool passed_by; /* it was silent or clogged when somebody had something to send: they wait */
    bool asking_run_id;
    uint32_t cursor_tag; /* of the server that it leads to; CURSOR_TAG_NONE: not known yet */
    size_t in_flight;    /* commands in flight, orphans included */
    size_t live;         /* those that somebody waits for */
    enum metric_pool_state counted;
};

/** @param hooks borrowed; never called from in here. */
struct pool_conn *pool_conn_open(struct pool_endpoint *endpoint,
                                 const struct pool_conn_hooks *hooks);
/** What was on it is settled from in here. */
void pool_conn_free(struct pool_conn *pool_conn);
/** The only one who changes the state; the metric follows. */
void pool_conn_move(struct pool_conn *pool_conn, enum pool_conn_state state);
/** The metric follows what is in flight. */
void pool_conn_count(struct pool_conn *pool_conn);
/** Whether it may be given something new; else its owner is told `answered` once it may again. */
bool pool_conn_takes(struct pool_conn *pool_conn);
/** One of its commands in flight is done with. */
void pool_conn_release(struct pool_conn *pool_conn, bool was_live, bool answered);
/** Find out which server this is, for `cursor_tag`. */
void pool_conn_ask_run_id(struct pool_conn *pool_conn);

#endif
