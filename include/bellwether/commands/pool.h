/*
 * The embedded Redis client: a worker's connections to masters and replicas, and the requests that
 * run on them (DESIGN section 5). One pool a worker, all of it on the worker's thread.
 *
 * A request is a command, a pipeline, or a transaction. It ends exactly once, with an
 * outcome for each of its commands, at the latest at its deadline, whatever happens to masters and
 * connections meanwhile. What is done about a command whose connection was lost is in settle.c, as
 * a table.
 */
#ifndef BELLWETHER_COMMANDS_POOL_H
#define BELLWETHER_COMMANDS_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"
#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/redis/json_result.h"
#include "bellwether/redis/login.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"

struct pool_config {
    size_t size; /* connections to each node */
    int64_t command_timeout_ms;
    int64_t connect_timeout_ms; /* name, TCP and HELLO together */
    int64_t ping_ms;            /* of connections that listen; 0: the usual */
    size_t max_pending;         /* requests that wait, over all workers */
    size_t max_reply_bytes;
    int64_t replica_max_lag_bytes; /* -1: any */
    bool replica_fallback;         /* to the master */
    const struct policy *policy;   /* borrowed */
    const struct redis_login *logins;
    size_t n_logins;        /* at least 1 */
    uint64_t cursor_secret; /* of the process: see cursor.h */
};

struct subscriber_hooks; /* bellwether/commands/subscriber.h */

/* What the pool needs from its worker. */
struct pool_hooks {
    /* The watcher gave no sign of life for so long that nothing it said may be believed. */
    bool (*stalled)(void *data);
    /* Tell the watcher. */
    void (*suspect)(void *data, enum suspicion what, const char *master,
                    const struct address *address);
    /* Have it hear what has come to it; NULL: nobody is asked. */
    void (*ask_heard)(void *data);
    void *data;
    const struct subscriber_hooks *subscribers; /* borrowed; NULL: nobody subscribes */
};

struct pool;

/**
 * @param config borrowed until pool_free(). @param waiting shared by all workers' pools. @param
 * counts this worker's.
 */
struct pool *pool_new(struct loop *loop, const struct pool_config *config, _Atomic size_t *waiting,
                      struct metrics_redis *counts, const struct pool_hooks *hooks);
/** A new snapshot: addresses, states, replicas, fences. Keeps a reference. */
void pool_take(struct pool *pool, struct snapshot *snapshot);
/**
 * Credential files: read again what changed, or all with `force`. @param taken_ms raised to when
 * the youngest password was taken, wall clock. @return whether all could be read.
 */
bool pool_refresh_credentials(struct pool *pool, bool force, int64_t *taken_ms);
/**
 * The worker ends: what waits is answered NOT_SENT now, and so is whatever comes; what was sent
 * goes on.
 */
void pool_drain(struct pool *pool);
/** What was sent and is not answered is UNKNOWN. No request is left afterwards. */
void pool_abandon(struct pool *pool);
void pool_free(struct pool *pool);

/* ---- requests ---- */

/* What became of a command; the words are those of the metric. */
enum command_outcome {
    OUTCOME_PENDING = -1,
    OUTCOME_DONE = METRIC_COMMAND_OUTCOME_DONE,   /* `json` is the answer */
    OUTCOME_ERROR = METRIC_COMMAND_OUTCOME_ERROR, /* Redis' own error */
    /* by the policy, or it is not read-only and had to be */
    OUTCOME_DENIED = METRIC_COMMAND_OUTCOME_DENIED,
    OUTCOME_BAD = METRIC_COMMAND_OUTCOME_BAD,           /* the batch says what is wrong with it */
    OUTCOME_NOT_SENT = METRIC_COMMAND_OUTCOME_NOT_SENT, /* it has not run and will not */
    OUTCOME_UNKNOWN = METRIC_COMMAND_OUTCOME_UNKNOWN,   /* it may have run */
    OUTCOME_TOO_BIG = METRIC_COMMAND_OUTCOME_TOO_BIG,   /* it ran; its reply was over max-reply */
};

struct pool_command {
    enum command_outcome outcome;
    /*
     * DONE: as json_result.h has it; ERROR: all of the words where `words` is cut, terminated;
     * owned by the command until pool_request_release().
     */
    struct buffer json;
    /*
     * else: begins with the stable word (NOMASTER, NOTSENT, SCANLOST, UNKNOWN, NOPERM, BADREQUEST,
     * TOOBIG, or Redis' own)
     */
    char words[RESULT_ERROR_SIZE];
};

enum pool_target { POOL_MASTER, POOL_REPLICA };

/* About what each command of a request takes while it runs, beside its bytes and its reply. */
#define POOL_COMMAND_BYTES 1024

struct pool_request {
    /* the caller's, set before pool_run() */
    struct batch *batch;   /* taken */
    bool transaction;      /* run as one MULTI … EXEC, which is one command here */
    enum result_form form; /* of the answers; a transaction's is JSON */
    bool retry_always;
    /* nothing is sent: DONE says that its one command may be a stream (subscriber.h) */
    bool stream;
    /* not NULL: only read-only commands may run, and this says why ("the token is read-only") */
    const char *read_only;
    enum pool_target target;
    char master[256]; /* a name of the snapshot */
    /*
     * It has ended. Called from inside callbacks of connections: take note, and use or free it, or
     * call the pool, later.
     */
    void (*done)(struct pool_request *request);
    /*
     * Whether whoever asked has hung up: asked before anything that had to wait is sent, which then
     * is not. NULL: never.
     */
    bool (*caller_is_gone)(void *data);
    void *data;

    /* the outcome */
    struct pool_command *commands;
    size_t n_commands;
    bool wrote; /* something ran, or may have, that is not read-only */
    bool has_ran_at;
    struct address ran_at; /* the node that was asked last */
    bool queue_full;       /* NOT_SENT because as many wait as may */
    bool scan_lost;        /* NOT_SENT because the server of a cursor is not served any more */

    struct request_run *run; /* the pool's own */
};

/**
 * Run it. @return true: it has ended already, `done` is not called; false: `done` will be, once,
 * never from in here.
 * @param request  stays the caller's, in place until it ended. Its master must be in the last
 * snapshot (else it waits for it).
 */
bool pool_run(struct pool *pool, struct pool_request *request);
/** Free what a request owns that has ended, or was never run; it stands in its caller's memory. */
void pool_request_release(struct pool_request *request);

/* ---- for /status ---- */

struct pool_view {
    size_t connecting, idle, busy; /* connections to this master */
    size_t waiting, in_flight;     /* requests that wait; commands sent and not answered */
    size_t subscribers, channels;  /* who listens, and to how many channels and patterns */
    bool has_table;                /* its COMMAND is known */
    /* why nothing runs; NULL: the rules are fine; borrowed until the pool turns */
    const char *closed;
};
/** Of this worker's pool. @return false: nothing was ever asked of that master. */
bool pool_look(const struct pool *pool, const char *master, struct pool_view *out);

#endif
