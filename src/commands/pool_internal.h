/*
 * What the pool is made of:
 *
 *   pool ── desks (one a master) ── the master's node, replicas' nodes ── lines (connections)
 *     └──── tasks (one a job), in the order of their deadlines; those that wait also stand in
 *           their desk's queue
 *
 *   pool.c        life, snapshots, credentials, the list of deadlines
 *   master_pool.c   one master: its route, its book of commands, its queue
 *   endpoint.c   one address: lines, opened on demand, backoff
 *   pool_request.c   one job: judged, written, given up
 *   pool_answer.c what comes back, taken or settled
 *   held_reply.c  answers to writes that came while the fence is up
 *
 * A command on the wire is a slot. A job may end before its slots are answered: they stay behind as
 * orphans, whose replies are read and dropped, since replies come in order.
 *
 * Nothing is sent again from inside a callback of a connection: what has to run again goes to the
 * desk's queue, which is looked through at the end of the turn.
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
    struct desk **desks; /* sorted by name */
    size_t n_desks;
    struct pool_task *first, *last; /* all, the earliest deadline first */
    struct loop_timer *deadline_timer;
    struct slot *spare; /* slots to be used again */
    size_t n_spare;
    bool draining;
};

struct desk {
    struct pool *pool;
    char *name;
    struct login *login;
    /* as of the last snapshot */
    struct snapshot_master *shown; /* a reference; NULL: not known */
    bool serves;                   /* there is an address, and /master would say 200 */
    enum fence fence;
    /* connections */
    struct node *master; /* of this generation; NULL: none needed yet */
    uint64_t switches;   /* its generation, with the address */
    struct node **replicas;
    size_t n_replicas;
    /* that have not ended; without any, one that is not known any more goes */
    size_t n_tasks;
    size_t turn;                   /* of the round robin */
    struct command_book *book;     /* NULL: not known yet */
    bool book_is_old;              /* of another generation: still good, asked for again */
    char asked[COMMAND_NAME_SIZE]; /* the name that the server is asked for now; "" none */
    /* who waits */
    struct pool_task *first, *last;
    size_t n_waiting;
    struct loop_timer *timer;      /* when somebody has rested */
    struct loop_later dispatch;    /* look through the queue when this turn ends */
    char trouble[POOL_WORDS_SIZE]; /* why there is no connection; "" none */
    /* whose answers are kept for a moment */
    struct pool_task *doubted;
    struct loop_timer *doubt_timer;
};

struct node {
    struct desk *desk;
    struct address address;
    bool is_replica;
    struct line **lines;
    size_t n_lines;
    unsigned failures; /* in a row */
    bool left;         /* nobody goes there any more: its lines are being closed */
    bool hopeless;     /* the last one was of a kind that no time mends: nobody waits for it */
    int64_t retry_ms;  /* boot clock: not dialled before */
    int64_t told_ms;   /* when the watcher was told something last */
    struct loop_timer *timer;
    bool multi_known, asking_multi;
    char multi_refusal[POOL_WORDS_SIZE]; /* why there can be no transactions; "" they can be */
};

struct line {
    struct node *node;
    struct redis_conn *conn;
    bool ready;
    /* a command's time was over and nothing had come since: nobody new is sent here */
    bool silent;
    bool asking_table; /* COMMAND is under way */
    bool passed_by;    /* it was silent or clogged when somebody had something to send: they wait */
    bool asking_run_id;
    uint32_t cursor_tag; /* of the server that it leads to; CURSOR_TAG_NONE: not known yet */
    size_t in_flight;    /* slots, orphans included */
    size_t live;         /* those that somebody waits for */
    enum metric_pool_state counted;
};

struct slot {
    struct redis_expect expect;
    struct slot *next; /* while it is spare */
    struct line *line;
    struct pool_task *task; /* NULL: an orphan */
    size_t item;
};

struct item_state {
    struct slot *slot; /* on the wire; NULL: not */
    bool read_only, script;
    bool may_have_run;   /* it was sent once, and is to run again because that does no harm */
    uint8_t unsent;      /* how often its connection was lost before any of it went out */
    uint8_t resent;      /* how often it went out again to this node */
    int64_t doubted_ms;  /* since when its answer is kept, boot clock; 0: it is not */
    bool scans;          /* a cursor is in its answer */
    uint32_t cursor_tag; /* it runs on this server or never; CURSOR_TAG_NONE: on any */
};

struct pool_task {
    struct pool_task *next, *previous; /* by deadline */
    struct pool_task *next_waiting, *previous_waiting;
    struct pool_job *job;
    struct desk *desk;
    int64_t arrived_us, deadline_ms; /* boot clock */
    int64_t rest_until_ms;           /* 0: it needs none */
    int64_t held_us;                 /* since when the fence holds it; 0: it does not */
    bool judged;                     /* the book was asked about all its commands */
    size_t n_judged;                 /* about so many */
    bool queued;
    bool linked;       /* among the deadlines */
    bool inline_;      /* still inside pool_run() */
    bool abandoned;    /* its caller has gone */
    size_t next_item;  /* the first that is neither on the wire nor over */
    size_t pending;    /* items without an outcome */
    struct line *line; /* what is on the wire is on this one */
    size_t flying;     /* how many that are; 0: `line` means nothing */
    size_t json_bytes; /* of the answers so far */
    struct pool_task *next_doubted, *previous_doubted;
    size_t n_doubted;      /* items whose answer is kept */
    struct node *node;     /* the replica that it was sent to, or waits for */
    bool to_master;        /* replicas have failed: the master instead (replica-fallback) */
    struct address *tried; /* replicas; NULL: none */
    size_t n_tried;
    struct item_state *states;
};

enum cursor_owner { CURSOR_OWNER_NOT, CURSOR_OWNER_PERHAPS, CURSOR_OWNER_IS };

/* pool.c */
void pool_link(struct pool *pool, struct pool_task *task);
void pool_unlink(struct pool *pool, struct pool_task *task);
bool pool_is_stalled(const struct pool *pool);
/** The watcher has heard of a failover that is in no snapshot which this thread has read. */
bool pool_is_behind(const struct pool *pool);
/** Nobody knows this master any more, and nobody waits for it. Frees the desk. */
void pool_forget(struct pool *pool, struct desk *desk);
void pool_tell(struct node *node, enum suspicion what);

/* master_pool.c */
struct desk *desk_new(struct pool *pool, const char *name);
void desk_free(struct desk *desk);
/**
 * What the snapshot says of it now; closes what belongs to another generation. @param master NULL:
 * nothing.
 */
void desk_take(struct desk *desk, struct snapshot_master *master);
void desk_enqueue(struct desk *desk, struct pool_task *task);
/** The same for a new one, which nothing may wake otherwise. */
void desk_wait(struct desk *desk, struct pool_task *task);
void desk_dequeue(struct desk *desk, struct pool_task *task);
/** Look through the queue at the end of this turn. */
void desk_wake(struct desk *desk);
/** COMMAND was answered, or was not. @param reply NULL: the connection was lost. */
void desk_take_table(struct desk *desk, const redisReply *reply);
/**
 * COMMAND INFO of the name that was asked for was answered, or was not. @param reply NULL: the
 * connection was lost.
 */
void desk_take_info(struct desk *desk, const redisReply *reply);
/** A healthy replica that the task has not tried; NULL: none. */
struct node *desk_choose_replica(struct desk *desk, const struct pool_task *task);
/** The healthy replica that has this tag, or one that may have it; NULL: none. */
struct node *desk_find_replica(struct desk *desk, const struct pool_task *task,
                               uint32_t cursor_tag);
/** Whether the task's commands may go to the replica of this address now. */
bool desk_may_use_replica(const struct desk *desk, const struct pool_task *task,
                          const struct address *address);
void desk_say(struct desk *desk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* endpoint.c */
struct node *node_new(struct desk *desk, const struct address *address, bool is_replica);
/** Closes its lines; what was on them is settled. */
void node_free(struct node *node);
/** Whether it may be given something new; else it wakes its desk once it may again. */
bool line_takes(struct line *line);
/** The fence has come up: what is not written yet, is not to be. It is settled as such. */
void node_withdraw(struct node *node);
/** A line to write on; NULL: there is none now, one is being opened where that makes sense. */
struct line *node_line(struct node *node);
/** Nothing is written to it before this moment, boot clock; 0: it may be dialled. */
bool node_rests(const struct node *node);
/** Find out what command this is; wakes the desk. One name at a time. */
void node_ask_name(struct line *line, const char *name);
/** Find out which server this is, for `cursor_tag`; wakes the desk. */
void node_ask_run_id(struct line *line);
/** Whether this server has the tag: one of its connections tells, or none is known yet. */
enum cursor_owner node_owns_cursor(const struct node *node, uint32_t cursor_tag);
/**
 * As node_line(), of a server that has the tag or may have it: best a line of which that is known.
 */
struct line *node_cursor_line(struct node *node, uint32_t cursor_tag);
/** Find out whether MULTI and EXEC may be said here; wakes the desk. */
void node_ask_multi(struct line *line);
/** One of its slots is done with. */
void line_release(struct line *line, bool was_live, bool answered);
/**
 * `n` of its slots are orphans from now on. @param received redis_conn_received() when the oldest
 * of them was sent.
 */
void line_is_late(struct line *line, size_t n, uint64_t received);
void line_count(struct line *line);

/* pool_answer.c */
/** A slot to be filled; it goes by itself once it is done. */
struct slot *slot_new(struct pool *pool);
/** The connection's word about a slot's command. */
void slot_done(struct redis_expect *expect, enum redis_fail why, bool written);
/** Those that nobody uses; at the end. */
void slots_free(struct pool *pool);
/** It may have run, and this is why nobody knows. */
void task_say_unknown(struct pool_task *task, size_t i, enum mishap mishap);
/** The answer that was kept counts, or, since a promotion began, nobody knows. */
void task_end_doubt(struct pool_task *task, size_t i, bool believed);
/** The same without an outcome. @param kept whether its answer counts. */
void task_drop_doubt(struct pool_task *task, size_t i, bool kept);

/* pool_request.c */
void task_item_ends(struct pool_task *task, size_t i, enum item_outcome outcome);
/** @param format begins with the stable word. */
void task_item_fails(struct pool_task *task, size_t i, enum item_outcome outcome,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/** It goes out once more, when this turn ends or the rest is over. */
void task_run_again(struct pool_task *task, size_t i, enum metric_retry why);
/** Another node is to run it: what it was sent to the former one does not count there. */
void task_begin_node(struct pool_task *task);
/**
 * It has not run, or perhaps it has, and is not sent any more. @param words begin with NOTSENT or
 * NOMASTER.
 */
void task_refuse_item(struct pool_task *task, size_t i, const char *words);
/** Nothing of it goes out for a while. */
void task_rest(struct pool_task *task);
/** Write what can be written, or refuse it. @return false: it has to wait. */
bool task_go(struct pool_task *task);
/** Its time is over. */
void task_expire(struct pool_task *task);
/** What has no outcome and is not on the wire is not sent, for these reasons. */
void task_refuse(struct pool_task *task, const char *words);
/** A replica could not be reached, or failed: the next one. */
void task_leave_node(struct pool_task *task, const struct address *address);

/* held_reply.c */
/** Keep this item's answer, which is in its `json`, for a moment. */
void doubt_item(struct pool_task *task, size_t i);
/** The task has ended. */
void doubts_forget(struct pool_task *task);
/** The fence is down, or a promotion has begun. */
void doubts_end(struct desk *desk, bool promoted);
/** The timer of a desk, which is `data`. */
void doubts_due(void *data);

#endif
