/*
 * What the pool is made of:
 *
 *   pool ── master pools (one a master) ── endpoints (the master, replicas) ── connections
 *     └──── runs (one a request, request_run.h), in the order of their deadlines; those that wait
 *           also stand in their master pool's queue
 *
 * The files, each of which calls only those below it:
 *
 *   pool.c             life, credentials, the deadlines, pool_run()
 *   master_pool.c      one master: what snapshots say of it; who waits goes, at the end of a turn
 *   request_send.c     one request: when it is sent, and given up
 *   request_judge.c    which of its commands may run
 *   pool_route.c       to which endpoint it goes
 *   in_flight.c        what comes back for a command
 *   held_reply.c       answers to writes that came while the fence is up
 *   request_outcome.c  how a command ends, or runs again
 *   table_fetch.c      a master's command table
 *   subscriptions.c    one master's channels and patterns, and who listens
 *   request_run.c      what is kept of a request; who waits, and until when
 *   endpoint.c         one address: connections, opened on demand, back-off
 *   pool_conn.c        one connection
 *
 * Endpoints and connections know no requests; they tell pool_route.c, by hooks.
 *
 * A request may end before its commands in flight are answered: they stay behind as orphans, whose
 * replies are read and dropped, since replies come in order.
 *
 * Nothing is sent again from inside a callback of a connection: what has to run again goes to the
 * master pool's queue, which is looked through at the end of the turn.
 */
#ifndef BELLWETHER_COMMANDS_MASTER_POOL_H
#define BELLWETHER_COMMANDS_MASTER_POOL_H

#include "bellwether/base/clock.h"
#include "bellwether/base/list.h"
#include "bellwether/commands/pool.h"
#include "endpoint.h"

struct request_run;

struct pool {
    struct loop *loop;
    const struct pool_config *config;
    _Atomic size_t *waiting; /* shared with the other workers' pools */
    struct metrics_redis *counts;
    struct pool_hooks hooks;
    struct snapshot *snapshot; /* a reference; NULL before the first */
    struct redis_logins *logins;
    struct master_pool **master_pools; /* sorted by name */
    size_t n_master_pools;
    struct list by_deadline; /* all of struct request_run, the earliest deadline first */
    struct loop_timer *deadline_timer;
    struct list spare; /* commands in flight to be used again */
    size_t n_spare;
    bool draining;
};

struct master_pool {
    struct pool *pool;
    char *name;
    struct endpoint_owner owner; /* what its endpoints have in common */
    /* as of the last snapshot */
    struct snapshot_master *shown; /* a reference; NULL: not known */
    bool serves;                   /* there is an address, and /master would say 200 */
    enum fence fence;
    /* connections */
    struct pool_endpoint *master; /* of this generation; NULL: none needed yet */
    struct pool_endpoint **replicas;
    size_t n_replicas;
    /* requests that have not ended; without any it goes, once its master is not known any more */
    size_t n_runs;
    size_t turn;                          /* of the replicas' round robin */
    struct command_table *commands_table; /* NULL: not known yet */
    bool table_is_old;                    /* of another generation: still good, asked for again */
    char asked[COMMAND_NAME_SIZE];        /* the name that the server is asked for now; "" none */
    /* who waits */
    struct list waiting;
    size_t n_waiting;
    struct loop_timer *timer;      /* when somebody has rested */
    struct loop_later dispatch;    /* look through the queue when this turn ends */
    char trouble[POOL_WORDS_SIZE]; /* why there is no connection; "" none */
    /* whose answers are kept for a moment */
    struct list held;
    struct loop_timer *held_reply_timer;
    struct subscriptions *subscriptions; /* NULL: nobody has subscribed yet */
};

/** The requests that wait there are looked at when this turn ends. */
static inline void master_pool_wake(struct master_pool *master_pool)
{
    loop_later_queue(master_pool->pool->loop, &master_pool->dispatch);
}

/** The watcher gave no sign of life for so long that nothing it said may be believed. */
static inline bool pool_is_stalled(const struct pool *pool)
{
    return pool->hooks.stalled && pool->hooks.stalled(pool->hooks.data);
}

/** The watcher has heard of a failover that is in no snapshot which this thread has read. */
static inline bool pool_is_behind(const struct pool *pool)
{
    return snapshot_is_behind(pool->snapshot);
}

/** The watcher may not have heard yet what makes an answer void. */
static inline bool pool_is_late(const struct pool *pool)
{
    return snapshot_is_late(pool->snapshot, clock_boot_ms());
}

/** Whether an answer to a write may be void, for all that was heard and read here so far. */
static inline bool master_pool_is_in_doubt(const struct master_pool *master_pool)
{
    return snapshot_master_is_memory(master_pool->shown) || pool_is_behind(master_pool->pool) ||
           pool_is_late(master_pool->pool);
}

/** Answers are to come, or wait: have the watcher hear what came before them. */
static inline void pool_keep_up(const struct pool *pool)
{
    if (pool->hooks.ask_heard && snapshot_is_getting_late(pool->snapshot, clock_boot_ms())) {
        pool->hooks.ask_heard(pool->hooks.data);
    }
}

/** The one of this name, made where there is none. */
struct master_pool *master_pool_of(struct pool *pool, const char *name);
/** @return NULL: nothing was ever asked of that master. */
struct master_pool *master_pool_find(const struct pool *pool, const char *name);
void master_pool_free(struct master_pool *master_pool);
/**
 * What the snapshot says of it now; closes what belongs to another generation. @param master NULL:
 * nothing.
 */
void master_pool_take(struct master_pool *master_pool, struct snapshot_master *master);
/** A new request waits, which nothing may wake otherwise. */
void master_pool_wait(struct request_run *run);

#endif
