/*
 * The memory that threads count into, the list of blocks about masters and Sentinels, and the rows
 * and words that metric_list.h expands to.
 */
#include "bellwether/metrics/counters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"

#define CACHE_LINE 64

struct metrics {
    size_t n_workers;
    /* each its own piece of memory: no line is shared between threads */
    struct metrics_http **http;
    struct metrics_redis **redis;      /* the same */
    struct metrics_forward **forwards; /* the same: `n_forwards` each */
    size_t n_forwards;
    struct metrics_watch *watch;
    pthread_mutex_t lock; /* over what follows */
    struct metrics_listed listed;
};

/* ---- the list ---- */

#define X_BOUND(us, text) us,
#define X_TEXT(us, text) text,
#define BUCKETS(name) \
    static const int64_t bounds_##name[] = {METRIC_BUCKETS_##name(X_BOUND) INT64_MAX}; \
    static const char *const texts_##name[] = {METRIC_BUCKETS_##name(X_TEXT) NULL}; \
    _Static_assert(sizeof(bounds_##name) / sizeof(*bounds_##name) <= METRIC_BUCKETS_MAX + 1, \
                   "METRIC_BUCKETS_MAX")
BUCKETS(NONE);
BUCKETS(FAILOVER);
BUCKETS(VERIFY);
BUCKETS(HTTP);
BUCKETS(COMMAND);

static const struct metric_row rows[METRICS_COUNT] = {
#define X(id, name, type, labels, buckets, help) \
    {(name), \
     (labels), \
     (help), \
     METRIC_##type, \
     sizeof(bounds_##buckets) / sizeof(*bounds_##buckets) - 1, \
     bounds_##buckets, \
     texts_##buckets},
    METRICS(X)
#undef X
};

const struct metric_row *metric_row(enum metric metric)
{
    return &rows[metric];
}

#define X_WORD(id, text) text,
#define WORDS(name, list) \
    const char *metric_##name##_text(enum metric_##name which) \
    { \
        static const char *const words[] = {list(X_WORD)}; \
        return words[which]; \
    }
WORDS(method, METRIC_METHODS)
WORDS(code, METRIC_CODES)
WORDS(waiter, METRIC_WAITERS)
WORDS(rejection, METRIC_REJECTIONS)
WORDS(sentinel_error, METRIC_SENTINEL_ERRORS)
WORDS(outcome, METRIC_OUTCOMES)
WORDS(kind, METRIC_KINDS)
WORDS(pool_state, METRIC_POOL_STATES)
WORDS(command_outcome, METRIC_COMMAND_OUTCOMES)
WORDS(retry, METRIC_RETRIES)
WORDS(adoption, METRIC_ADOPTIONS)
WORDS(forward_end, METRIC_FORWARD_ENDS)
WORDS(forward_to, METRIC_FORWARD_TOS)
WORDS(forward_way, METRIC_FORWARD_WAYS)

enum metric_code metric_code_of(unsigned status)
{
    static const unsigned codes[] = {
#define X(code, text) (code),
        METRIC_CODES(X)
#undef X
    };
    int i = 0;

    while (i < METRIC_CODE_COUNT - 1 && codes[i] != status) {
        i++;
    }
    return (enum metric_code)i;
}

enum metric_sentinel_error metric_sentinel_error_of(const char *word)
{
    int i = 0;

    while (i < METRIC_SENTINEL_ERROR_OTHER &&
           strcmp(metric_sentinel_error_text((enum metric_sentinel_error)i), word) != 0) {
        i++;
    }
    return (enum metric_sentinel_error)i;
}

/* ---- histograms ---- */

void metric_observe(struct metric_histogram *histogram, enum metric metric, int64_t us)
{
    const struct metric_row *row = &rows[metric];
    size_t i = 0;

    us = us < 0 ? 0 : us;
    while (i < row->n_buckets && us > row->bounds_us[i]) {
        i++;
    }
    metric_add(&histogram->counts[i], 1);
    metric_add(&histogram->sum_us, (uint64_t)us);
}

void metric_sum(struct metric_totals *totals, const struct metric_histogram *histogram)
{
    for (size_t i = 0; i <= METRIC_BUCKETS_MAX; i++) {
        totals->counts[i] += metric_read(&histogram->counts[i]);
    }
    totals->sum_us += metric_read(&histogram->sum_us);
}

/* ---- masters and Sentinels ---- */

static bool let_go(_Atomic unsigned *references)
{
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

static void master_unref(struct metrics_master *master)
{
    if (let_go(&master->references)) {
        free(master->name);
        free(master);
    }
}

static void sentinel_unref(struct metrics_sentinel *sentinel)
{
    if (let_go(&sentinel->references)) {
        free(sentinel->address);
        free(sentinel);
    }
}

static const char *master_name_at(const void *masters, size_t i)
{
    return ((struct metrics_master *const *)masters)[i]->name;
}

struct metrics_master *metrics_master_add(struct metrics *metrics, const char *name)
{
    struct metrics_master *master = mem_new(1, sizeof(*master));
    struct metrics_listed *listed = &metrics->listed;
    size_t at;
    bool found; /* not looked at: each call adds a block */

    atomic_store(&master->references, 1);
    master->name = mem_strdup(name);
    pthread_mutex_lock(&metrics->lock);
    at = names_place(listed->masters, listed->n_masters, master_name_at, name, &found);
    listed->masters = mem_resize(listed->masters, listed->n_masters + 1, sizeof(*listed->masters));
    memmove(listed->masters + at + 1, listed->masters + at,
            (listed->n_masters - at) * sizeof(*listed->masters));
    listed->masters[at] = master;
    listed->n_masters++;
    pthread_mutex_unlock(&metrics->lock);
    return master;
}

void metrics_master_remove(struct metrics *metrics, struct metrics_master *master)
{
    struct metrics_listed *listed = &metrics->listed;
    size_t at = 0;

    if (!master) {
        return;
    }
    pthread_mutex_lock(&metrics->lock);
    while (listed->masters[at] != master) {
        at++;
    }
    listed->n_masters--;
    memmove(listed->masters + at, listed->masters + at + 1,
            (listed->n_masters - at) * sizeof(*listed->masters));
    pthread_mutex_unlock(&metrics->lock);
    master_unref(master);
}

static const char *sentinel_address_at(const void *sentinels, size_t i)
{
    return ((struct metrics_sentinel *const *)sentinels)[i]->address;
}

/* Where the address is, or would have to be. Under the lock. */
static size_t find_sentinel(const struct metrics_listed *listed, const char *address, bool *found)
{
    return names_place(listed->sentinels, listed->n_sentinels, sentinel_address_at, address, found);
}

struct metrics_sentinel *metrics_sentinel_add(struct metrics *metrics, const char *address)
{
    struct metrics_listed *listed = &metrics->listed;
    struct metrics_sentinel *sentinel;
    size_t at;
    bool found;

    pthread_mutex_lock(&metrics->lock);
    at = find_sentinel(listed, address, &found);
    if (!found) {
        sentinel = mem_new(1, sizeof(*sentinel));
        atomic_store(&sentinel->references, 1);
        sentinel->address = mem_strdup(address);
        listed->sentinels =
            mem_resize(listed->sentinels, listed->n_sentinels + 1, sizeof(*listed->sentinels));
        memmove(listed->sentinels + at + 1, listed->sentinels + at,
                (listed->n_sentinels - at) * sizeof(*listed->sentinels));
        listed->sentinels[at] = sentinel;
        listed->n_sentinels++;
    }
    sentinel = listed->sentinels[at];
    sentinel->users++;
    pthread_mutex_unlock(&metrics->lock);
    return sentinel;
}

void metrics_sentinel_remove(struct metrics *metrics, struct metrics_sentinel *sentinel)
{
    struct metrics_listed *listed = &metrics->listed;
    bool last, found;

    if (!sentinel) {
        return;
    }
    pthread_mutex_lock(&metrics->lock);
    last = --sentinel->users == 0;
    if (last) {
        size_t at = find_sentinel(listed, sentinel->address, &found);

        listed->n_sentinels--;
        memmove(listed->sentinels + at, listed->sentinels + at + 1,
                (listed->n_sentinels - at) * sizeof(*listed->sentinels));
    }
    pthread_mutex_unlock(&metrics->lock);
    if (last) {
        sentinel_unref(sentinel);
    }
}

void metrics_list(struct metrics *metrics, struct metrics_listed *out)
{
    const struct metrics_listed *listed = &metrics->listed;

    pthread_mutex_lock(&metrics->lock);
    out->n_masters = listed->n_masters;
    out->masters = mem_new(listed->n_masters + 1, sizeof(*out->masters));
    for (size_t i = 0; i < listed->n_masters; i++) {
        out->masters[i] = listed->masters[i];
        atomic_fetch_add_explicit(&out->masters[i]->references, 1, memory_order_relaxed);
    }
    out->n_sentinels = listed->n_sentinels;
    out->sentinels = mem_new(listed->n_sentinels + 1, sizeof(*out->sentinels));
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        out->sentinels[i] = listed->sentinels[i];
        atomic_fetch_add_explicit(&out->sentinels[i]->references, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_listed_release(struct metrics_listed *listed)
{
    for (size_t i = 0; i < listed->n_masters; i++) {
        master_unref(listed->masters[i]);
    }
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        sentinel_unref(listed->sentinels[i]);
    }
    free(listed->masters);
    free(listed->sentinels);
    *listed = (struct metrics_listed){0};
}

/* ---- the whole ---- */

/* Whole cache lines, so that no other thread's memory lies in one of them. */
static void *own_memory(size_t size)
{
    size_t whole = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *memory = aligned_alloc(CACHE_LINE, whole);

    if (!memory) {
        mem_exhausted();
    }
    return memset(memory, 0, whole);
}

struct metrics *metrics_new(size_t n_workers)
{
    struct metrics *metrics = mem_new(1, sizeof(*metrics));

    metrics->n_workers = n_workers;
    metrics->http = mem_new(n_workers + 1, sizeof(*metrics->http));
    metrics->redis = mem_new(n_workers + 1, sizeof(*metrics->redis));
    for (size_t i = 0; i < n_workers; i++) {
        metrics->http[i] = own_memory(sizeof(*metrics->http[i]));
        metrics->redis[i] = own_memory(sizeof(*metrics->redis[i]));
    }
    metrics->forwards = mem_new(n_workers + 1, sizeof(*metrics->forwards));
    metrics->watch = own_memory(sizeof(*metrics->watch));
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    metrics_listed_release(&metrics->listed);
    pthread_mutex_destroy(&metrics->lock);
    for (size_t i = 0; i < metrics->n_workers; i++) {
        free(metrics->http[i]);
        free(metrics->redis[i]);
        free(metrics->forwards[i]);
    }
    free(metrics->http);
    free(metrics->redis);
    free(metrics->forwards);
    free(metrics->watch);
    free(metrics);
}

void metrics_add_forwards(struct metrics *metrics, size_t n)
{
    metrics->n_forwards = n;
    for (size_t i = 0; i < metrics->n_workers; i++) {
        metrics->forwards[i] = own_memory(n * sizeof(*metrics->forwards[i]));
    }
}

size_t metrics_forwards(const struct metrics *metrics)
{
    return metrics->n_forwards;
}

struct metrics_forward *metrics_forward(struct metrics *metrics, size_t number, size_t i)
{
    return &metrics->forwards[number][i];
}

void metrics_sum_forward(struct metrics *metrics, size_t i, struct metrics_forward_totals *totals)
{
    for (size_t worker = 0; worker < metrics->n_workers; worker++) {
        const struct metrics_forward *counts = metrics_forward(metrics, worker, i);

        for (int j = 0; j < METRIC_FORWARD_TO_COUNT; j++) {
            totals->connections[j] += metric_look(&counts->connections[j]);
        }
        totals->waiting += metric_look(&counts->waiting);
        totals->handshakes += metric_look(&counts->handshakes);
        for (int j = 0; j < METRIC_FORWARD_WAY_COUNT; j++) {
            totals->bytes[j] += metric_read(&counts->bytes[j]);
        }
        for (int j = 0; j < METRIC_FORWARD_END_COUNT; j++) {
            totals->closed[j] += metric_read(&counts->closed[j]);
        }
    }
}

size_t metrics_workers(const struct metrics *metrics)
{
    return metrics->n_workers;
}

struct metrics_http *metrics_http(struct metrics *metrics, size_t number)
{
    return metrics->http[number];
}

struct metrics_redis *metrics_redis(struct metrics *metrics, size_t number)
{
    return metrics->redis[number];
}

struct metrics_watch *metrics_watch(struct metrics *metrics)
{
    return metrics->watch;
}
