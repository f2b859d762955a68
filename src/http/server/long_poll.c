/*
 * A connection that sleeps in libmicrohttpd does not notice that its caller has left, and a caller
 * whose patience is shorter than its wait would hold several places: so all are looked after every
 * few seconds, with one system call.
 *
 * Waiters are grouped by the name they wait on, so that a snapshot costs those whose master did not
 * change nothing; their deadlines are in one binary heap with one timer, and those that end at
 * nearly the same time end in one batch.
 */
#include "long_poll.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "suspend.h"

#define EXPIRE_TOGETHER_MS 5
#define LOOK_AFTER_MS 5000
#define NOWHERE SIZE_MAX

/* Those who wait on one name. */
struct group {
    char *name; /* "" the default master */
    /* a reference: what they were last compared with; NULL: no such master */
    struct snapshot_master *seen;
    unsigned generation; /* of the snapshot it was in */
    struct waiter *first;
};

struct waiter {
    struct parked parked;
    struct waiters *all;
    struct group *group; /* NULL: it waits no more */
    struct waiter *next, *previous;
    struct wait_terms terms; /* `unless` is its own */
    int64_t deadline_ms;     /* boot clock */
    size_t at;               /* in the heap */
    int fd;
    bool released; /* its time is over, or the worker's */
};

struct waiters {
    struct worker *worker;
    struct group **groups; /* by name */
    size_t n_groups;
    struct waiter **heap; /* by deadline, the earliest first */
    size_t n, room;
    struct loop_timer *timer, *look_timer;
};

/* ---- what they wait for ---- */

static struct cached_master *look(struct cache *cache, const char *name)
{
    return *name ? cache_find(cache, name) : cache->default_master;
}

/*
 * Whether a name that stands for nothing now may stand for something soon, so that it is worth
 * waiting.
 */
static bool may_come(const struct cache *cache, const char *name)
{
    const struct snapshot *snapshot = cache->snapshot;

    if (!snapshot) {
        return true;
    }
    if (!*name) {
        return !snapshot->ambiguous_default;
    }
    return snapshot->n_masters == 0 && snapshot->reason != REASON_NONE &&
           snapshot->reason != REASON_UNKNOWN_NAME;
}

/* Whether the answer would be 200 now. */
static bool serves(const struct cache *cache, const struct wait_terms *terms,
                   const struct snapshot_master *master)
{
    if (!master->has_address || (terms->require_majority && !master->majority)) {
        return false;
    }
    if (master_state_serves(master->state) && !cache_stalled(cache)) {
        return true;
    }
    return terms->stale && master->state != MASTER_UNKNOWN;
}

static bool has_other_tag(struct cache *cache, const struct wait_terms *terms,
                          struct cached_master *cached)
{
    const struct answer *answer = cache_answer(cache, cached, terms->kind, terms->form);

    return *answer->etag && !etag_matches(terms->if_none_match, answer->etag);
}

static bool is_satisfied(struct cache *cache, const struct wait_terms *terms, const char *name,
                         struct cached_master *cached)
{
    if (!cached) {
        return !may_come(cache, name);
    }
    if ((terms->wants & WAIT_INDEX) && !terms->foreign && cached->master->index <= terms->index) {
        return false;
    }
    if (terms->wants == WAIT_INDEX) {
        return true; /* in whatever state */
    }
    return serves(cache, terms, cached->master) &&
           (!(terms->wants & WAIT_OTHER) ||
            !snapshot_master_is_at(cached->master, terms->unless)) &&
           (!(terms->wants & WAIT_TAG) || has_other_tag(cache, terms, cached));
}

/*
 * As the handler of the route would answer: the shared answer, unless there is a doubt to be told
 * of, or the last known address was asked for. NULL: let the handler say.
 */
static const struct answer *shared_answer(struct cache *cache, const struct wait_terms *terms,
                                          struct cached_master *cached)
{
    if (!cached || !terms->plain || cache_stalled(cache) ||
        (terms->require_majority && !cached->master->majority) ||
        (terms->stale &&
         !(cached->master->has_address && master_state_serves(cached->master->state)))) {
        return NULL;
    }
    return cache_answer(cache, cached, terms->kind, terms->form);
}

bool waiters_satisfied(struct cache *cache, const struct wait_terms *terms, const char *name)
{
    return is_satisfied(cache, terms, name, look(cache, name));
}

/* ---- groups ---- */

/* Where the name is, or where it belongs. */
static size_t group_place(const struct waiters *waiters, const char *name, bool *found)
{
    size_t low = 0, high = waiters->n_groups;

    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(waiters->groups[middle]->name, name);

        if (order == 0) {
            low = middle;
            *found = true;
        } else if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void group_see(struct waiters *waiters, struct group *group)
{
    const struct cache *cache = waiters->worker->cache;
    struct cached_master *cached = look(waiters->worker->cache, group->name);
    struct snapshot_master *before = group->seen;

    group->seen = cached ? snapshot_master_ref(cached->master) : NULL;
    group->generation = cache->snapshot ? cache->snapshot->generation : 0;
    snapshot_master_unref(before);
}

static struct group *group_of(struct waiters *waiters, const char *name)
{
    bool found;
    size_t i = group_place(waiters, name, &found);
    struct group *group;

    if (found) {
        return waiters->groups[i];
    }
    group = mem_new(1, sizeof(*group));
    group->name = mem_strdup(name);
    group_see(waiters, group);
    waiters->groups = mem_resize(waiters->groups, waiters->n_groups + 1, sizeof(*waiters->groups));
    memmove(waiters->groups + i + 1, waiters->groups + i,
            (waiters->n_groups - i) * sizeof(*waiters->groups));
    waiters->groups[i] = group;
    waiters->n_groups++;
    return group;
}

static void group_free(struct group *group)
{
    snapshot_master_unref(group->seen);
    free(group->name);
    free(group);
}

/* Empty groups go when snapshots are looked through, not one by one: callers come back. */
static void sweep_groups(struct waiters *waiters)
{
    size_t kept = 0;

    for (size_t i = 0; i < waiters->n_groups; i++) {
        if (waiters->groups[i]->first) {
            waiters->groups[kept++] = waiters->groups[i];
        } else {
            group_free(waiters->groups[i]);
        }
    }
    waiters->n_groups = kept;
}

/* ---- deadlines ---- */

static void put(struct waiters *waiters, size_t i, struct waiter *waiter)
{
    waiters->heap[i] = waiter;
    waiter->at = i;
}

static void sift_up(struct waiters *waiters, size_t i, struct waiter *waiter)
{
    while (i > 0 && waiters->heap[(i - 1) / 2]->deadline_ms > waiter->deadline_ms) {
        put(waiters, i, waiters->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(waiters, i, waiter);
}

static void sift_down(struct waiters *waiters, size_t i, struct waiter *waiter)
{
    for (size_t child; (child = 2 * i + 1) < waiters->n; i = child) {
        if (child + 1 < waiters->n &&
            waiters->heap[child + 1]->deadline_ms < waiters->heap[child]->deadline_ms) {
            child++;
        }
        if (waiters->heap[child]->deadline_ms >= waiter->deadline_ms) {
            break;
        }
        put(waiters, i, waiters->heap[child]);
    }
    put(waiters, i, waiter);
}

static void arm(struct waiters *waiters)
{
    if (waiters->n == 0) {
        loop_timer_stop(waiters->timer);
        return;
    }
    loop_timer_start(waiters->timer, waiters->heap[0]->deadline_ms - clock_boot_ms());
}

static void heap_add(struct waiters *waiters, struct waiter *waiter)
{
    if (waiters->n == waiters->room) {
        waiters->room = waiters->room ? waiters->room * 2 : 64;
        waiters->heap = mem_resize(waiters->heap, waiters->room, sizeof(struct waiter *));
    }
    sift_up(waiters, waiters->n++, waiter);
    if (waiter->at == 0) {
        arm(waiters);
    }
}

/* The timer may stay: when it fires for nothing it is set anew. */
static void heap_remove(struct waiters *waiters, struct waiter *waiter)
{
    size_t i = waiter->at;
    struct waiter *last = waiters->heap[--waiters->n];

    waiter->at = NOWHERE;
    if (last == waiter) {
        return;
    }
    if (i > 0 && waiters->heap[(i - 1) / 2]->deadline_ms > last->deadline_ms) {
        sift_up(waiters, i, last);
    } else {
        sift_down(waiters, i, last);
    }
}

/* ---- callers that left ---- */

static void release(struct waiter *waiter)
{
    waiter->released = true;
    parked_call(&waiter->parked);
}

static void start_looking(struct waiters *waiters)
{
    int64_t every_ms = waiters->worker->config->heartbeat_ms;

    if (!loop_timer_armed(waiters->look_timer)) {
        loop_timer_start(waiters->look_timer, every_ms ? every_ms : LOOK_AFTER_MS);
    }
}

/* Who has closed its end gets its answer now, and libmicrohttpd finds out. */
static void look_after(void *data)
{
    struct waiters *waiters = data;
    struct pollfd *polls = mem_new(waiters->n, sizeof(*polls));

    for (size_t i = 0; i < waiters->n; i++) {
        polls[i] = (struct pollfd){.fd = waiters->heap[i]->fd, .events = POLLRDHUP};
    }
    if (poll(polls, (nfds_t)waiters->n, 0) > 0) {
        for (size_t i = 0; i < waiters->n; i++) {
            if (polls[i].revents) {
                release(waiters->heap[i]);
            }
        }
    }
    free(polls);
    if (waiters->n > 0) {
        start_looking(waiters);
    }
}

/* ---- one waiter ---- */

static void attach(struct waiter *waiter, struct group *group)
{
    waiter->group = group;
    waiter->previous = NULL;
    waiter->next = group->first;
    if (group->first) {
        group->first->previous = waiter;
    }
    group->first = waiter;
    heap_add(waiter->all, waiter);
}

static void detach(struct waiter *waiter)
{
    if (waiter->next) {
        waiter->next->previous = waiter->previous;
    }
    if (waiter->previous) {
        waiter->previous->next = waiter->next;
    } else {
        waiter->group->first = waiter->next;
    }
    waiter->group = NULL;
    heap_remove(waiter->all, waiter);
}

static void fall_asleep(struct waiter *waiter)
{
    connection_waits(waiter->parked.listener, waiter->parked.connection);
    parked_sleep(&waiter->parked);
}

struct waiter *waiter_start(struct listener *listener, struct MHD_Connection *connection,
                            const char *name, const struct wait_terms *terms, int64_t wait_ms)
{
    struct waiters *waiters = listener->worker->waiters;
    struct waiter *waiter = mem_new(1, sizeof(*waiter));

    if (!parking_enter(&waiter->parked, listener, connection, WAITING_POLL)) {
        free(waiter);
        return NULL;
    }
    waiter->all = waiters;
    waiter->terms = *terms;
    if (terms->unless) {
        struct address *unless = mem_new(1, sizeof(*unless));

        *unless = *terms->unless;
        waiter->terms.unless = unless;
    }
    waiter->deadline_ms = clock_boot_ms() + wait_ms - jitter_below((uint32_t)(wait_ms / 16) + 1);
    waiter->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    attach(waiter, group_of(waiters, name));
    start_looking(waiters);
    fall_asleep(waiter);
    return waiter;
}

bool waiter_ends(struct waiter *waiter, const struct answer **answer)
{
    struct cache *cache = waiter->all->worker->cache;
    struct cached_master *cached = waiter->group ? look(cache, waiter->group->name) : NULL;

    *answer = NULL;
    if (waiter->group && !waiter->released && !waiter->all->worker->stopping &&
        !is_satisfied(cache, &waiter->terms, waiter->group->name, cached)) {
        fall_asleep(waiter);
        return false;
    }
    if (waiter->group) {
        detach(waiter);
    }
    parking_leave(&waiter->parked);
    *answer = shared_answer(cache, &waiter->terms, cached);
    return true;
}

const struct wait_terms *waiter_terms(const struct waiter *waiter)
{
    return &waiter->terms;
}

void waiter_free(struct waiter *waiter)
{
    if (!waiter) {
        return;
    }
    if (waiter->group) {
        detach(waiter);
    }
    parking_leave(&waiter->parked);
    free((void *)(uintptr_t)waiter->terms.unless);
    free(waiter);
}

/* ---- all of them ---- */

/* @param moved  the name stands for another master than before: an index says nothing about it. */
static void review_group(struct waiters *waiters, struct group *group, struct cached_master *cached,
                         bool moved)
{
    for (struct waiter *waiter = group->first; waiter; waiter = waiter->next) {
        if (moved && (waiter->terms.wants & WAIT_INDEX)) {
            waiter->terms.foreign = true;
        }
        if (is_satisfied(waiters->worker->cache, &waiter->terms, group->name, cached)) {
            parked_call(&waiter->parked);
        }
    }
}

void waiters_review(struct waiters *waiters)
{
    struct cache *cache = waiters->worker->cache;

    sweep_groups(waiters);
    for (size_t i = 0; i < waiters->n_groups; i++) {
        struct group *group = waiters->groups[i];
        struct cached_master *cached = look(cache, group->name);

        if (cached && group->seen && cached->master == group->seen &&
            cache->snapshot->generation == group->generation) {
            continue;
        }
        review_group(waiters, group, cached,
                     cached && group->seen && strcmp(cached->master->name, group->seen->name) != 0);
        group_see(waiters, group);
    }
}

static void expire(void *data)
{
    struct waiters *waiters = data;
    int64_t now_ms = clock_boot_ms();

    /*
     * Those that were called for another reason are on their way out; they leave the heap here all
     * the same.
     */
    while (waiters->n > 0 && waiters->heap[0]->deadline_ms <= now_ms + EXPIRE_TOGETHER_MS) {
        struct waiter *waiter = waiters->heap[0];

        detach(waiter);
        release(waiter);
    }
    arm(waiters);
}

void waiters_release_all(struct waiters *waiters)
{
    for (size_t i = 0; i < waiters->n_groups; i++) {
        for (struct waiter *waiter = waiters->groups[i]->first; waiter; waiter = waiter->next) {
            release(waiter);
        }
    }
}

struct waiters *waiters_new(struct worker *worker)
{
    struct waiters *waiters = mem_new(1, sizeof(*waiters));

    waiters->worker = worker;
    waiters->timer = loop_timer_new(worker->loop, expire, waiters);
    waiters->look_timer = loop_timer_new(worker->loop, look_after, waiters);
    return waiters;
}

void waiters_free(struct waiters *waiters)
{
    for (size_t i = 0; i < waiters->n_groups; i++) {
        group_free(waiters->groups[i]);
    }
    loop_timer_free(waiters->timer);
    loop_timer_free(waiters->look_timer);
    free(waiters->groups);
    free(waiters->heap);
    free(waiters);
}
