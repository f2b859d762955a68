/*
 * What is counted, and by whom. Every thread counts into memory of its own: one writer, relaxed
 * atomics, so that counting is an addition and nothing waits for a scrape. A scrape sums them up.
 *
 * What belongs to one master or one Sentinel is a block of its own, written by the watcher. Blocks
 * come and go with whom they are about, so the list of them has a lock, which is taken when one
 * comes or goes and by a scrape, for as long as it takes to copy the list; answers to /master do
 * not take it.
 */
#ifndef BELLWETHER_METRICS_COUNTERS_H
#define BELLWETHER_METRICS_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/metrics/metric_list.h"

#define METRIC_BUCKETS_MAX 13
#define METRIC_ROUTES_MAX 64
#define METRIC_EVENTS_MAX 64

/* Not cumulative in memory; the last count is what lies above all bounds. */
struct metric_histogram {
    _Atomic uint64_t counts[METRIC_BUCKETS_MAX + 1];
    _Atomic uint64_t sum_us;
};

/* A thread's, about the credential files that it reads. */
struct metrics_files {
    _Atomic int64_t failing;
    _Atomic int64_t changed_wall_ms; /* one had other contents */
    /* all were read again because somebody asked for it, or at the start */
    _Atomic int64_t asked_wall_ms;
};

/* A worker's. */
struct metrics_http {
    _Atomic uint64_t requests[METRIC_ROUTES_MAX][METRIC_METHOD_COUNT][METRIC_CODE_COUNT];
    struct metric_histogram durations[METRIC_ROUTES_MAX];
    _Atomic uint64_t rejected[METRIC_REJECTION_COUNT];
    _Atomic uint64_t streams_cut;
    _Atomic int64_t inflight;
    _Atomic int64_t long_polls[METRIC_WAITER_COUNT];
    struct metrics_files files;                           /* of TLS, where it has that */
    _Atomic int64_t certificate_ends_s, client_ca_ends_s; /* wall clock; 0: there is none */
};

/* A worker's, about the commands that it runs. */
struct metrics_redis {
    _Atomic int64_t connections[METRIC_POOL_STATE_COUNT];
    _Atomic int64_t waiting, inflight;
    _Atomic uint64_t commands[METRIC_COMMAND_OUTCOME_COUNT];
    struct metric_histogram duration, fence;
    _Atomic uint64_t retries[METRIC_RETRY_COUNT];
    _Atomic uint64_t fence_holds, policy_refusals;
    struct metrics_files files;
};

/* A worker's, about one forward. */
struct metrics_forward {
    _Atomic int64_t connections[METRIC_FORWARD_TO_COUNT];
    _Atomic int64_t waiting, handshakes;
    _Atomic uint64_t bytes[METRIC_FORWARD_WAY_COUNT];
    _Atomic uint64_t closed[METRIC_FORWARD_END_COUNT];
};

/* The watcher's, about nobody in particular. */
struct metrics_watch {
    _Atomic uint64_t events[METRIC_EVENTS_MAX];
    /* static; set before the threads start; NULL: no such event */
    const char *event_names[METRIC_EVENTS_MAX];
    struct metrics_files files;
    _Atomic int64_t sentinels_configured, sentinels_unreachable;
    _Atomic int64_t certificate_ends_s[METRIC_CERTIFICATE_COUNT]; /* wall clock; 0: none */
};

/* The watcher's, about one master. */
struct metrics_master {
    _Atomic unsigned references;
    char *name;
    _Atomic uint64_t switches, restarts;
    _Atomic uint64_t failovers[METRIC_OUTCOME_COUNT][METRIC_KIND_COUNT];
    _Atomic uint64_t adoptions[METRIC_ADOPTION_COUNT];
    struct metric_histogram failover_duration, unavailable, verify_duration;
    _Atomic int64_t last_verified_wall_ms, last_switch_wall_ms; /* 0: never */
};

/* The watcher's, about one Sentinel: the address that is dialled. */
struct metrics_sentinel {
    _Atomic unsigned references;
    char *address;
    size_t users; /* links to that address: two deployments may have it in common. Under the lock */
    _Atomic int64_t connected; /* of those links */
    _Atomic int64_t tilt;
    _Atomic uint64_t reconnects;
    _Atomic uint64_t errors[METRIC_SENTINEL_ERROR_COUNT];
};

struct metrics;

/** Thread: main, before the others start. */
struct metrics *metrics_new(size_t n_workers);
/** After the others have ended. */
void metrics_free(struct metrics *metrics);
size_t metrics_workers(const struct metrics *metrics);
/** Worker `number`'s own; others only read it. Borrowed. Thread: any. */
struct metrics_http *metrics_http(struct metrics *metrics, size_t number);
/** The same of its commands. */
struct metrics_redis *metrics_redis(struct metrics *metrics, size_t number);
/** Make room for the counts of so many forwards. Thread: main, before the others start. */
void metrics_add_forwards(struct metrics *metrics, size_t n);
size_t metrics_forwards(const struct metrics *metrics);
/** Worker `number`'s own of forward `i`; others only read it. Borrowed. Thread: any. */
struct metrics_forward *metrics_forward(struct metrics *metrics, size_t number, size_t i);
/** The watcher's own; others only read it. Borrowed. Thread: any. */
struct metrics_watch *metrics_watch(struct metrics *metrics);

/** A new block, zeroed and listed. @param name copied. Thread: watcher. */
struct metrics_master *metrics_master_add(struct metrics *metrics, const char *name);
/** Its series end; a scrape under way may still read it. NULL is fine. Thread: watcher. */
void metrics_master_remove(struct metrics *metrics, struct metrics_master *master);
/**
 * The block of that address, shared by all who ask for it, made when there is none. Thread:
 * watcher.
 */
struct metrics_sentinel *metrics_sentinel_add(struct metrics *metrics, const char *address);
/** The last of its users ends its series. NULL is fine. Thread: watcher. */
void metrics_sentinel_remove(struct metrics *metrics, struct metrics_sentinel *sentinel);

/* What there was at one moment, sorted by name; every entry is a reference. */
struct metrics_listed {
    struct metrics_master **masters;
    size_t n_masters;
    struct metrics_sentinel **sentinels;
    size_t n_sentinels;
};
/** Thread: any. */
void metrics_list(struct metrics *metrics, struct metrics_listed *out);
void metrics_listed_release(struct metrics_listed *listed);

/* ---- counting: by the one thread whose memory it is ---- */

static inline void metric_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void metric_move(_Atomic int64_t *gauge, int64_t by)
{
    atomic_store_explicit(gauge, atomic_load_explicit(gauge, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline void metric_set(_Atomic int64_t *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

/** At the thread's start, which does not come about unless all files were read. */
static inline void metric_files_start(struct metrics_files *files, int64_t now_wall_ms)
{
    metric_set(&files->failing, 0);
    metric_set(&files->changed_wall_ms, now_wall_ms);
    metric_set(&files->asked_wall_ms, now_wall_ms);
}

/** @param changed_ms when the youngest value was taken. @param asked_ms 0: nobody asked. */
static inline void metric_files_read(struct metrics_files *files, bool ok, int64_t changed_ms,
                                     int64_t asked_ms)
{
    metric_set(&files->failing, !ok);
    metric_set(&files->changed_wall_ms, changed_ms);
    if (ok && asked_ms > 0) {
        metric_set(&files->asked_wall_ms, asked_ms);
    }
}

/** Into the buckets that the list gives `metric`. @param us microseconds; negative counts as 0. */
void metric_observe(struct metric_histogram *histogram, enum metric metric, int64_t us);
/** The slot of a status code. */
enum metric_code metric_code_of(unsigned status);

/* ---- reading: any thread ---- */

static inline uint64_t metric_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline int64_t metric_look(const _Atomic int64_t *gauge)
{
    return atomic_load_explicit(gauge, memory_order_relaxed);
}

/* Sums over threads. Zero is the start. */
struct metric_totals {
    uint64_t counts[METRIC_BUCKETS_MAX + 1];
    uint64_t sum_us;
};
void metric_sum(struct metric_totals *totals, const struct metric_histogram *histogram);

/* The same of forwards. */
struct metrics_forward_totals {
    int64_t connections[METRIC_FORWARD_TO_COUNT], waiting, handshakes;
    uint64_t bytes[METRIC_FORWARD_WAY_COUNT], closed[METRIC_FORWARD_END_COUNT];
};
/** Add what all workers have counted of forward `i`. */
void metrics_sum_forward(struct metrics *metrics, size_t i, struct metrics_forward_totals *totals);

/* A family's row of the list. */
struct metric_row {
    const char *name, *labels, *help;
    enum metric_type type;
    size_t n_buckets;
    const int64_t *bounds_us;       /* ascending */
    const char *const *bound_texts; /* seconds */
};
/** Static. Thread: any. */
const struct metric_row *metric_row(enum metric metric);

/** The label's value. Static. Thread: any. */
const char *metric_method_text(enum metric_method which);
const char *metric_code_text(enum metric_code which);
const char *metric_waiter_text(enum metric_waiter which);
const char *metric_rejection_text(enum metric_rejection which);
const char *metric_sentinel_error_text(enum metric_sentinel_error which);
const char *metric_outcome_text(enum metric_outcome which);
const char *metric_kind_text(enum metric_kind which);
const char *metric_pool_state_text(enum metric_pool_state which);
const char *metric_command_outcome_text(enum metric_command_outcome which);
const char *metric_retry_text(enum metric_retry which);
const char *metric_adoption_text(enum metric_adoption which);
const char *metric_forward_end_text(enum metric_forward_end which);
const char *metric_forward_to_text(enum metric_forward_to which);
const char *metric_forward_way_text(enum metric_forward_way which);
/** The reason of that word; OTHER for one that is not in the list. Thread: any. */
enum metric_sentinel_error metric_sentinel_error_of(const char *word);

#endif
