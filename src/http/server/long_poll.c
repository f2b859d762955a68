/*
 * A connection that sleeps in libmicrohttpd does not notice that its caller has left, and a caller
 * whose patience is shorter than its wait would hold several places: so all are looked after every
 * second, with one system call.
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
#include "bellwether/base/list.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "connections.h"
#include "suspend.h"

#define EXPIRE_TOGETHER_MS 5

/* Those who wait on one name. */
struct group {
    char *name; /* "" the default master */
    /* a reference: what they were last compared with; NULL: no such master */
    struct snapshot_master *seen;
    unsigned generation; /* of the snapshot it was in */
    struct list long_polls;
};

enum long_poll_state {
    POLL_WAITS,
    POLL_RELEASED, /* its time is over, the worker's is, or its caller left: answered as it is */
    POLL_ENDED,    /* in no group, and not in the heap */
};

struct long_poll {
    struct suspended suspended;
    enum long_poll_state state;
    struct long_polls *all;
    struct group *group;
    struct list_link link;   /* in its group, the youngest first */
    struct wait_terms terms; /* `unless` is its own */
    int64_t deadline_ms;     /* boot clock */
    size_t at;               /* in the heap */
    int fd;
};

struct long_polls {
    struct worker *worker;
    struct group **groups; /* by name */
    size_t n_groups;
    struct long_poll **heap; /* by deadline, the earliest first */
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
    return *name ? snapshot_knows_no_names(cache->snapshot) : !snapshot->ambiguous_default;
}

/* Whether the route's handler would answer with 200 now. */
static bool would_be_200(const struct cache *cache, const struct wait_terms *terms,
                         const struct snapshot_master *master)
{
    if (!master->has_address || (terms->require_majority && !master->majority)) {
        return false;
    }
    if (snapshot_master_serves(master) && !cache_stalled(cache)) {
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
    return would_be_200(cache, terms, cached->master) &&
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
        (terms->stale && !snapshot_master_serves(cached->master))) {
        return NULL;
    }
    return cache_answer(cache, cached, terms->kind, terms->form);
}

bool long_polls_satisfied(struct cache *cache, const struct wait_terms *terms, const char *name)
{
    return is_satisfied(cache, terms, name, look(cache, name));
}

/* ---- groups ---- */

static const char *name_at(const void *groups, size_t i)
{
    return ((struct group *const *)groups)[i]->name;
}

/* Where the name is, or where it belongs. */
static size_t group_place(const struct long_polls *long_polls, const char *name, bool *found)
{
    return names_place(long_polls->groups, long_polls->n_groups, name_at, name, found);
}

static void group_see(struct long_polls *long_polls, struct group *group)
{
    const struct cache *cache = long_polls->worker->cache;
    struct cached_master *cached = look(long_polls->worker->cache, group->name);
    struct snapshot_master *before = group->seen;

    group->seen = cached ? snapshot_master_ref(cached->master) : NULL;
    group->generation = cache->snapshot ? cache->snapshot->generation : 0;
    snapshot_master_unref(before);
}

static struct group *group_of(struct long_polls *long_polls, const char *name)
{
    bool found;
    size_t i = group_place(long_polls, name, &found);
    struct group *group;

    if (found) {
        return long_polls->groups[i];
    }
    group = mem_new(1, sizeof(*group));
    group->name = mem_strdup(name);
    group_see(long_polls, group);
    long_polls->groups =
        mem_resize(long_polls->groups, long_polls->n_groups + 1, sizeof(*long_polls->groups));
    memmove(long_polls->groups + i + 1, long_polls->groups + i,
            (long_polls->n_groups - i) * sizeof(*long_polls->groups));
    long_polls->groups[i] = group;
    long_polls->n_groups++;
    return group;
}

static void group_free(struct group *group)
{
    snapshot_master_unref(group->seen);
    free(group->name);
    free(group);
}

/* Empty groups go when snapshots are looked through, not one by one: callers come back. */
static void sweep_groups(struct long_polls *long_polls)
{
    size_t kept = 0;

    for (size_t i = 0; i < long_polls->n_groups; i++) {
        if (long_polls->groups[i]->long_polls.first) {
            long_polls->groups[kept++] = long_polls->groups[i];
        } else {
            group_free(long_polls->groups[i]);
        }
    }
    long_polls->n_groups = kept;
}

/* ---- deadlines ---- */

static void put(struct long_polls *long_polls, size_t i, struct long_poll *long_poll)
{
    long_polls->heap[i] = long_poll;
    long_poll->at = i;
}

static void sift_up(struct long_polls *long_polls, size_t i, struct long_poll *long_poll)
{
    while (i > 0 && long_polls->heap[(i - 1) / 2]->deadline_ms > long_poll->deadline_ms) {
        put(long_polls, i, long_polls->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(long_polls, i, long_poll);
}

static void sift_down(struct long_polls *long_polls, size_t i, struct long_poll *long_poll)
{
    for (size_t child; (child = 2 * i + 1) < long_polls->n; i = child) {
        if (child + 1 < long_polls->n &&
            long_polls->heap[child + 1]->deadline_ms < long_polls->heap[child]->deadline_ms) {
            child++;
        }
        if (long_polls->heap[child]->deadline_ms >= long_poll->deadline_ms) {
            break;
        }
        put(long_polls, i, long_polls->heap[child]);
    }
    put(long_polls, i, long_poll);
}

static void arm(struct long_polls *long_polls)
{
    if (long_polls->n == 0) {
        loop_timer_stop(long_polls->timer);
        return;
    }
    loop_timer_start(long_polls->timer, long_polls->heap[0]->deadline_ms - clock_boot_ms());
}

static void heap_add(struct long_polls *long_polls, struct long_poll *long_poll)
{
    if (long_polls->n == long_polls->room) {
        long_polls->room = long_polls->room ? long_polls->room * 2 : 64;
        long_polls->heap =
            mem_resize(long_polls->heap, long_polls->room, sizeof(struct long_poll *));
    }
    sift_up(long_polls, long_polls->n++, long_poll);
    if (long_poll->at == 0) {
        arm(long_polls);
    }
}

/* The timer may stay: when it fires for nothing it is set anew. */
static void heap_remove(struct long_polls *long_polls, struct long_poll *long_poll)
{
    size_t i = long_poll->at;
    struct long_poll *last = long_polls->heap[--long_polls->n];

    if (last == long_poll) {
        return;
    }
    if (i > 0 && long_polls->heap[(i - 1) / 2]->deadline_ms > last->deadline_ms) {
        sift_up(long_polls, i, last);
    } else {
        sift_down(long_polls, i, last);
    }
}

/* ---- states ---- */

/* The state changes nowhere else, and onward only. */
static void move(struct long_poll *long_poll, enum long_poll_state state)
{
    if (state <= long_poll->state) {
        return;
    }
    long_poll->state = state;
    if (state == POLL_ENDED) {
        list_remove(&long_poll->group->long_polls, &long_poll->link);
        long_poll->group = NULL;
        heap_remove(long_poll->all, long_poll);
    }
}

/* ---- callers that left ---- */

static void release(struct long_poll *long_poll)
{
    move(long_poll, POLL_RELEASED);
    suspended_call(&long_poll->suspended);
}

static void start_looking(struct long_polls *long_polls)
{
    int64_t every_ms = long_polls->worker->config->heartbeat_ms;

    if (!loop_timer_armed(long_polls->look_timer)) {
        loop_timer_start(long_polls->look_timer, every_ms ? every_ms : LOOK_AFTER_MS);
    }
}

/* Who has closed its end gets its answer now, and libmicrohttpd finds out. */
static void look_after(void *data)
{
    struct long_polls *long_polls = data;
    struct pollfd *polls = mem_new(long_polls->n, sizeof(*polls));

    for (size_t i = 0; i < long_polls->n; i++) {
        polls[i] = (struct pollfd){.fd = long_polls->heap[i]->fd, .events = POLLRDHUP};
    }
    if (poll(polls, (nfds_t)long_polls->n, 0) > 0) {
        for (size_t i = 0; i < long_polls->n; i++) {
            if (polls[i].revents) {
                release(long_polls->heap[i]);
            }
        }
    }
    free(polls);
    if (long_polls->n > 0) {
        start_looking(long_polls);
    }
}

/* ---- one long poll ---- */

static void fall_asleep(struct long_poll *long_poll)
{
    connection_waits(long_poll->suspended.listener, long_poll->suspended.connection);
    suspended_sleep(&long_poll->suspended);
}

struct long_poll *long_poll_start(struct listener *listener, struct MHD_Connection *connection,
                                  const char *name, const struct wait_terms *terms, int64_t wait_ms)
{
    struct long_polls *long_polls = listener->worker->long_polls;
    struct long_poll *long_poll = mem_new(1, sizeof(*long_poll));

    if (!suspend_enter(&long_poll->suspended, listener, connection, WAITING_POLL)) {
        free(long_poll);
        return NULL;
    }
    long_poll->all = long_polls;
    long_poll->terms = *terms;
    if (terms->unless) {
        struct address *unless = mem_new(1, sizeof(*unless));

        *unless = *terms->unless;
        long_poll->terms.unless = unless;
    }
    long_poll->deadline_ms = clock_boot_ms() + wait_ms - jitter_below((uint32_t)(wait_ms / 16) + 1);
    long_poll->fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    long_poll->group = group_of(long_polls, name);
    list_insert_after(&long_poll->group->long_polls, NULL, &long_poll->link);
    heap_add(long_polls, long_poll);
    start_looking(long_polls);
    fall_asleep(long_poll);
    return long_poll;
}

bool long_poll_ends(struct long_poll *long_poll, const struct answer **answer)
{
    struct cache *cache = long_poll->all->worker->cache;
    struct cached_master *cached =
        long_poll->state == POLL_ENDED ? NULL : look(cache, long_poll->group->name);

    *answer = NULL;
    if (long_poll->state == POLL_WAITS && !long_poll->all->worker->stopping &&
        !is_satisfied(cache, &long_poll->terms, long_poll->group->name, cached)) {
        fall_asleep(long_poll);
        return false;
    }
    move(long_poll, POLL_ENDED);
    suspend_leave(&long_poll->suspended);
    *answer = shared_answer(cache, &long_poll->terms, cached);
    return true;
}

const struct wait_terms *long_poll_terms(const struct long_poll *long_poll)
{
    return &long_poll->terms;
}

void long_poll_free(struct long_poll *long_poll)
{
    if (!long_poll) {
        return;
    }
    move(long_poll, POLL_ENDED);
    suspend_leave(&long_poll->suspended);
    free((void *)(uintptr_t)long_poll->terms.unless);
    free(long_poll);
}

/* ---- all of them ---- */

/* @param moved  the name stands for another master than before: an index says nothing about it. */
static void review_group(struct long_polls *long_polls, struct group *group,
                         struct cached_master *cached, bool moved)
{
    LIST_EACH(struct long_poll, long_poll, &group->long_polls, link) {
        if (moved && (long_poll->terms.wants & WAIT_INDEX)) {
            long_poll->terms.foreign = true;
        }
        if (is_satisfied(long_polls->worker->cache, &long_poll->terms, group->name, cached)) {
            suspended_call(&long_poll->suspended);
        }
    }
}

void long_polls_review(struct long_polls *long_polls)
{
    struct cache *cache = long_polls->worker->cache;

    sweep_groups(long_polls);
    for (size_t i = 0; i < long_polls->n_groups; i++) {
        struct group *group = long_polls->groups[i];
        struct cached_master *cached = look(cache, group->name);

        if (cached && group->seen && cached->master == group->seen &&
            cache->snapshot->generation == group->generation) {
            continue;
        }
        review_group(long_polls, group, cached,
                     cached && group->seen && strcmp(cached->master->name, group->seen->name) != 0);
        group_see(long_polls, group);
    }
}

static void expire(void *data)
{
    struct long_polls *long_polls = data;
    int64_t now_ms = clock_boot_ms();

    /*
     * Those that were called for another reason are on their way out; they leave the heap here all
     * the same.
     */
    while (long_polls->n > 0 && long_polls->heap[0]->deadline_ms <= now_ms + EXPIRE_TOGETHER_MS) {
        struct long_poll *long_poll = long_polls->heap[0];

        move(long_poll, POLL_ENDED);
        suspended_call(&long_poll->suspended);
    }
    arm(long_polls);
}

void long_polls_release_all(struct long_polls *long_polls)
{
    for (size_t i = 0; i < long_polls->n_groups; i++) {
        LIST_EACH(struct long_poll, long_poll, &long_polls->groups[i]->long_polls, link) {
            release(long_poll);
        }
    }
}

struct long_polls *long_polls_new(struct worker *worker)
{
    struct long_polls *long_polls = mem_new(1, sizeof(*long_polls));

    long_polls->worker = worker;
    long_polls->timer = loop_timer_new(worker->loop, expire, long_polls);
    long_polls->look_timer = loop_timer_new(worker->loop, look_after, long_polls);
    return long_polls;
}

void long_polls_free(struct long_polls *long_polls)
{
    for (size_t i = 0; i < long_polls->n_groups; i++) {
        group_free(long_polls->groups[i]);
    }
    loop_timer_free(long_polls->timer);
    loop_timer_free(long_polls->look_timer);
    free(long_polls->groups);
    free(long_polls->heap);
    free(long_polls);
}
