/*
 * What the pool is made of:
 *
 *   pool ── master pools (one a master) ── endpoints (the master, replicas) ── connections
 *     └──── runs (one a request), in the order of their deadlines; those that wait also stand in
 *           their master pool's queue
 *
 *   pool.c          life, snapshots, credentials, the list of deadlines
 *   master_pool.c   one master: its route, its command table, its queue
 *   endpoint.c      one address: connections, opened on demand, backoff
 *   pool_request.c  one request: judged, written, given up
 *   pool_answer.c   what comes back, taken or settled
 *   held_reply.c    answers to writes that came while the fence is up
 *
 * A request may end before its commands in flight are
 * answered: they stay behind as orphans, whose replies are read and dropped, since replies come in
 * order.
 *
 * Nothing is sent again from inside a callback of a connection: what has to run again goes to the
 * master pool's queue, which is looked through at the end of the turn.
 */
#ifndef BELLWETHER_COMMANDS_POOL_INTERNAL_H
#define BELLWETHER_COMMANDS_POOL_INTERNAL_H

#include "bellwether/commands/pool.h"
#include "bellwether/commands/settle.h"
#include "bellwether/redis/connection.h"
#include "bellwether/redis/cursor.h"

#define POOL_WORDS_SIZE 200

struct login {
    char *master; /* NULL: everybody else's */
    char *username;
    struct secret *password;
};

struct pool {
    struct loop *loop;
    const struct pool_config *config;
    _Atomic size_t *waiting; /* shared with the other workers' pools */
    struct metrics_redis *counts;
    struct pool_hooks hooks;
    struct snapshot *snapshot; /* a reference; NULL before the first */
    struct login *logins;
    size_t n_logins;
    struct master_pool **master_pools; /* sorted by name */
    size_t n_master_pools;
    struct request_run *first, *last; /* all, the earliest deadline first */
    struct loop_timer *deadline_timer;
    struct in_flight *spare; /* commands in flight to be used again */
    size_t n_spare;
    bool draining;
};

struct master_pool {
    struct pool *pool;
    char *name;
    struct login *login;
    /* as of the last snapshot */
    struct snapshot_master *shown; /* a reference; NULL: not known */
    bool serves;                   /* there is an address, and /master would say 200 */
    enum fence fence;
    /* connections */
    struct pool_endpoint *master; /* of this generation; NULL: none needed yet */
    uint64_t switches;            /* its generation, with the address */
    struct pool_endpoint **replicas;
    size_t n_replicas;
    /* that have not ended; without any, one that is not known any more goes */
    size_t n_runs;
    size_t turn;                          /* of the round robin */
    struct command_table *commands_table; /* NULL: not known yet */
    bool book_is_old;                     /* of another generation: still good, asked for again */
    char asked[COMMAND_NAME_SIZE];        /* the name that the server is asked for now; "" none */
    /* who waits */
    struct request_run *first, *last;
    size_t n_waiting;
    struct loop_timer *timer;      /* when somebody has rested */
    struct loop_later dispatch;    /* look through the queue when this turn ends */
    char trouble[POOL_WORDS_SIZE]; /* why there is no connection; "" none */
    /* whose answers are kept for a moment */
    struct request_run *doubted;
    struct loop_timer *held_reply_timer;
};

struct pool_endpoint {
    struct master_pool *master_pool;
    struct address address;
    bool is_replica;
    struct pool_conn **pool_conns;
    size_t n_pool_conns;
    unsigned failures; /* in a row */
    bool left;         /* nobody goes there any more: its lines are being closed */
    bool hopeless;     /* the last one was of a kind that no time mends: nobody waits for it */
    int64_t retry_ms;  /* boot clock: not dialled before */
    int64_t told_ms;   /* when the watcher was told something last */
    struct loop_timer *timer;
    bool multi_known, asking_multi;
    char multi_refusal[POOL_WORDS_SIZE]; /* why there can be no transactions; "" they can be */
};

struct pool_conn {
    struct pool_endpoint *endpoint;
    struct redis_conn *conn;
    bool ready;
    /* a command's time was over and nothing had come since: nobody new is sent here */
    bool silent;
    bool asking_table; /* COMMAND is under way */
    bool passed_by;    /* it was silent or clogged when somebody had something to send: they wait */
    bool asking_run_id;
    uint32_t cursor_tag; /* of the server that it leads to; CURSOR_TAG_NONE: not known yet */
    size_t in_flight;    /* commands in flight, orphans included */
    size_t live;         /* those that somebody waits for */
    enum metric_pool_state counted;
};

struct in_flight {
    struct redis_expect expect;
    struct in_flight *next; /* while it is spare */
    struct pool_conn *pool_conn;
    struct request_run *run; /* NULL: an orphan */
    size_t item;
};

struct item_state {
    struct in_flight *flight; /* on the wire; NULL: not */
    bool read_only, script;
    bool may_have_run;   /* it was sent once, and is to run again because that does no harm */
    uint8_t unsent;      /* how often its connection was lost before any of it went out */
    uint8_t resent;      /* how often it went out again to this node */
    int64_t doubted_ms;  /* since when its answer is kept, boot clock; 0: it is not */
    bool scans;          /* a cursor is in its answer */
    uint32_t cursor_tag; /* it runs on this server or never; CURSOR_TAG_NONE: on any */
};

struct request_run {
    struct request_run *next, *previous; /* by deadline */
    struct request_run *next_waiting, *previous_waiting;
    struct pool_request *request;
    struct master_pool *master_pool;
    int64_t arrived_us, deadline_ms; /* boot clock */
    int64_t rest_until_ms;           /* 0: it needs none */
    int64_t held_us;                 /* since when the fence holds it; 0: it does not */
    bool judged;                     /* the command table was asked about all its commands */
    size_t n_judged;                 /* about so many */
    bool queued;
    bool linked;                 /* among the deadlines */
    bool inline_;                /* still inside pool_run() */
    bool abandoned;              /* its caller has gone */
    size_t next_item;            /* the first that is neither on the wire nor over */
    size_t pending;              /* items without an outcome */
    struct pool_conn *pool_conn; /* what is on the wire is on this one */
    size_t flying;               /* how many that are; 0: `pool_conn` means nothing */
    size_t json_bytes;           /* of the answers so far */
    struct request_run *next_doubted, *previous_doubted;
    size_t n_doubted;               /* items whose answer is kept */
    struct pool_endpoint *endpoint; /* the replica that it was sent to, or waits for */
    bool to_master;        /* replicas have failed: the master instead (replica-fallback) */
    struct address *tried; /* replicas; NULL: none */
    size_t n_tried;
    struct item_state *states;
};

enum cursor_owner { CURSOR_OWNER_NOT, CURSOR_OWNER_PERHAPS, CURSOR_OWNER_IS };

/* pool.c */
void pool_link(struct pool *pool, struct request_run *run);
void pool_unlink(struct pool *pool, struct request_run *run);
bool pool_is_stalled(const struct pool *pool);
/** The watcher has heard of a failover that is in no snapshot which this thread has read. */
bool pool_is_behind(const struct pool *pool);
/** Nobody knows this master any more, and nobody waits for it. Frees the master pool. */
void pool_forget(struct pool *pool, struct master_pool *master_pool);
void pool_tell(struct pool_endpoint *endpoint, enum suspicion what);

/* master_pool.c */
struct master_pool *master_pool_new(struct pool *pool, const char *name);
void master_pool_free(struct master_pool *master_pool);
/**
 * What the snapshot says of it now; closes what belongs to another generation. @param master NULL:
 * nothing.
 */
void master_pool_take(struct master_pool *master_pool, struct snapshot_master *master);
void master_pool_enqueue(struct master_pool *master_pool, struct request_run *run);
/** The same for a new one, which nothing may wake otherwise. */
void master_pool_wait(struct master_pool *master_pool, struct request_run *run);
void master_pool_dequeue(struct master_pool *master_pool, struct request_run *run);
/** Look through the queue at the end of this turn. */
void master_pool_wake(struct master_pool *master_pool);
/** COMMAND was answered, or was not. @param reply NULL: the connection was lost. */
void master_pool_take_table(struct master_pool *master_pool, const redisReply *reply);
/**
 * COMMAND INFO of the name that was asked for was answered, or was not. @param reply NULL: the
 * connection was lost.
 */
void master_pool_take_info(struct master_pool *master_pool, const redisReply *reply);
/** A healthy replica that the run has not tried; NULL: none. */
struct pool_endpoint *master_pool_choose_replica(struct master_pool *master_pool,
                                                 const struct request_run *run);
/** The healthy replica that has this tag, or one that may have it; NULL: none. */
struct pool_endpoint *master_pool_find_replica(struct master_pool *master_pool,
                                               const struct request_run *run, uint32_t cursor_tag);
/** Whether the run's commands may go to the replica of this address now. */
bool master_pool_may_use_replica(const struct master_pool *master_pool,
                                 const struct request_run *run, const struct address *address);
void master_pool_say(struct master_pool *master_pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* endpoint.c */
struct pool_endpoint *endpoint_new(struct master_pool *master_pool, const struct address *address,
                                   bool is_replica);
/** Closes its lines; what was on them is settled. */
void endpoint_free(struct pool_endpoint *endpoint);
/** Whether it may be given something new; else it wakes its master pool once it may again. */
bool pool_conn_takes(struct pool_conn *pool_conn);
/** The fence has come up: what is not written yet, is not to be. It is settled as such. */
void endpoint_withdraw(struct pool_endpoint *endpoint);
/** A line to write on; NULL: there is none now, one is being opened where that makes sense. */
struct pool_conn *endpoint_pool_conn(struct pool_endpoint *endpoint);
/** Nothing is written to it before this moment, boot clock; 0: it may be dialled. */
bool endpoint_rests(const struct pool_endpoint *endpoint);
/** Find out what command this is; wakes the master pool. One name at a time. */
void endpoint_ask_name(struct pool_conn *pool_conn, const char *name);
/** Find out which server this is, for `cursor_tag`; wakes the master pool. */
void endpoint_ask_run_id(struct pool_conn *pool_conn);
/** Whether this server has the tag: one of its connections tells, or none is known yet. */
enum cursor_owner endpoint_owns_cursor(const struct pool_endpoint *endpoint, uint32_t cursor_tag);
/**
 * As endpoint_pool_conn(), of a server that has the tag or may have it: best a line of which that
 * is known.
 */
struct pool_conn *endpoint_cursor_pool_conn(struct pool_endpoint *endpoint, uint32_t cursor_tag);
/** Find out whether MULTI and EXEC may be said here; wakes the master pool. */
void endpoint_ask_multi(struct pool_conn *pool_conn);
/** One of its commands in flight is done with. */
void pool_conn_release(struct pool_conn *pool_conn, bool was_live, bool answered);
/**
 * `n` of its commands in flight are orphans from now on. @param received redis_conn_received() when
 * the oldest of them was sent.
 */
void pool_conn_is_late(struct pool_conn *pool_conn, size_t n, uint64_t received);
void pool_conn_count(struct pool_conn *pool_conn);

/* pool_answer.c */
/** A command in flight to be filled; it goes by itself once it is done. */
struct in_flight *in_flight_new(struct pool *pool);
/** The connection's word about a command in flight's command. */
void in_flight_done(struct redis_expect *expect, enum redis_fail why, bool written);
/** Those that nobody uses; at the end. */
void slots_free(struct pool *pool);
/** It may have run, and this is why nobody knows. */
void request_run_say_unknown(struct request_run *run, size_t i, enum mishap mishap);
/** The answer that was kept counts, or, since a promotion began, nobody knows. */
void request_run_end_held_reply(struct request_run *run, size_t i, bool believed);
/** The same without an outcome. @param kept whether its answer counts. */
void request_run_drop_held_reply(struct request_run *run, size_t i, bool kept);

/* pool_request.c */
void request_run_item_ends(struct request_run *run, size_t i, enum item_outcome outcome);
/** @param format begins with the stable word. */
void request_run_item_fails(struct request_run *run, size_t i, enum item_outcome outcome,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));
/** It goes out once more, when this turn ends or the rest is over. */
void request_run_run_again(struct request_run *run, size_t i, enum metric_retry why);
/** Another node is to run it: what it was sent to the former one does not count there. */
void request_run_begin_endpoint(struct request_run *run);
/**
 * It has not run, or perhaps it has, and is not sent any more. @param words begin with NOTSENT or
 * NOMASTER.
 */
void request_run_refuse_item(struct request_run *run, size_t i, const char *words);
/** Nothing of it goes out for a while. */
void request_run_rest(struct request_run *run);
/** Write what can be written, or refuse it. @return false: it has to wait. */
bool request_run_go(struct request_run *run);
/** Its time is over. */
void request_run_expire(struct request_run *run);
/** What has no outcome and is not on the wire is not sent, for these reasons. */
void request_run_refuse(struct request_run *run, const char *words);
/** A replica could not be reached, or failed: the next one. */
void request_run_leave_endpoint(struct request_run *run, const struct address *address);

/* held_reply.c */
/** Keep this item's answer, which is in its `json`, for a moment. */
void held_reply_item(struct request_run *run, size_t i);
/** The run has ended. */
void held_replies_forget(struct request_run *run);
/** The fence is down, or a promotion has begun. */
void held_replies_end(struct master_pool *master_pool, bool promoted);
/** The timer of a master pool, which is `data`. */
void held_replies_due(void *data);

#endif
