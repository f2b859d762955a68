/*
 * One master: what snapshots say of it, and when those who wait are looked at.
 *
 * Its generation is an address and a count of switches. When that moves on, the connections of the
 * old one are closed at once, which settles what was on them, and the queue is looked through at
 * the end of the turn. A flap of the state closes nothing: it only keeps new commands waiting.
 */
#include "master_pool.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "held_reply.h"
#include "pool_route.h"
#include "request_outcome.h"
#include "request_run.h"
#include "request_send.h"
#include "subscriptions.h"

enum { STALL_LOOK_MS = 100 };

/* ---- by name ---- */

static const char *name_at(const void *rows, size_t i)
{
    return ((struct master_pool *const *)rows)[i]->name;
}

/* @return where it stands, or belongs. */
static size_t place_of(const struct pool *pool, const char *name, bool *found)
{
    return names_place(pool->master_pools, pool->n_master_pools, name_at, name, found);
}

struct master_pool *master_pool_find(const struct pool *pool, const char *name)
{
    bool found;
    size_t place = place_of(pool, name, &found);

    return found ? pool->master_pools[place] : NULL;
}

/* Free a master pool whose master no snapshot shows any more, and for which nobody waits. */
static void forget(struct master_pool *master_pool)
{
    struct pool *pool = master_pool->pool;
    bool found;
    size_t place = place_of(pool, master_pool->name, &found);

    pool->n_master_pools--;
    memmove(pool->master_pools + place, pool->master_pools + place + 1,
            (pool->n_master_pools - place) * sizeof(*pool->master_pools));
    master_pool_free(master_pool);
}

/* ---- the queue ---- */

/* No message tells that the watcher is alive again: the timer looks. */
static void watch_stall(struct master_pool *master_pool)
{
    if (master_pool->waiting.first && pool_is_stalled(master_pool->pool) &&
        !loop_timer_armed(master_pool->timer)) {
        loop_timer_start(master_pool->timer, STALL_LOOK_MS);
    }
}

void master_pool_wait(struct request_run *run)
{
    request_run_wait(run);
    watch_stall(run->master_pool);
}

/*
 * Send what may be sent of the requests that wait, the longest waiting first; only the one at hand
 * leaves the queue in here. Run when a turn ends, and by the timer.
 */
static void dispatch(void *data)
{
    struct master_pool *master_pool = data;
    int64_t now_ms = clock_boot_ms(), wake_ms = 0;

    LIST_EACH_MAY_LEAVE(struct request_run, run, &master_pool->waiting, waiting) {
        if (run->rest_until_ms > now_ms) {
            if (wake_ms == 0 || run->rest_until_ms < wake_ms) {
                wake_ms = run->rest_until_ms;
            }
        } else {
            (void)request_run_send(run);
        }
    }
    if (wake_ms != 0) {
        loop_timer_start(master_pool->timer, wake_ms - now_ms);
    }
    watch_stall(master_pool);
    if (!master_pool->shown && master_pool->n_runs == 0 &&
        !subscriptions_are_wanted(master_pool->subscriptions)) {
        forget(master_pool); /* its connections, too */
    }
}

/* ---- snapshots ---- */

static bool is_shown(const struct master_pool *master_pool, const struct address *replica)
{
    return master_pool->shown && snapshot_find_replica(master_pool->shown, replica);
}

/* Close and free an endpoint; requests that wait for it choose anew. */
static void leave(struct master_pool *master_pool, struct pool_endpoint *endpoint)
{
    endpoint_close(endpoint);
    LIST_EACH(struct request_run, run, &master_pool->waiting, waiting) {
        if (run->replica == endpoint) {
            run->replica = NULL;
        }
    }
    endpoint_free(endpoint);
}

static void forget_replicas(struct master_pool *master_pool)
{
    for (size_t i = 0; i < master_pool->n_replicas;) {
        struct pool_endpoint *endpoint = master_pool->replicas[i];

        if (is_shown(master_pool, &endpoint->address)) {
            i++;
            continue;
        }
        master_pool->replicas[i] = master_pool->replicas[--master_pool->n_replicas];
        leave(master_pool, endpoint);
    }
}

/*
 * The old master's connections go. Requests that wait are sent to the new one at once: what they
 * rested for is over.
 */
static void begin_generation(struct master_pool *master_pool)
{
    struct pool_endpoint *old = master_pool->master;

    master_pool->master = NULL;
    master_pool->owner.switches = master_pool->shown->switches;
    master_pool->table_is_old = true;
    master_pool->trouble[0] = '\0';
    leave(master_pool, old);
    LIST_EACH(struct request_run, run, &master_pool->waiting, waiting) {
        request_run_begin_endpoint(run);
    }
}

static bool is_other_generation(const struct master_pool *master_pool)
{
    return master_pool->master && master_pool->shown->has_address &&
           (master_pool->owner.switches != master_pool->shown->switches ||
            !address_equal(&master_pool->master->address, &master_pool->shown->address));
}

void master_pool_take(struct master_pool *master_pool, struct snapshot_master *master)
{
    struct snapshot_master *before = master_pool->shown;
    enum fence fence = master_pool->fence;
    bool moves;

    if (master == before) {
        if (master_pool->waiting.first) {
            master_pool_wake(master_pool); /* a stall may be over */
        }
        return;
    }
    master_pool->shown = master ? snapshot_master_ref(master) : NULL;
    master_pool->serves = master && snapshot_master_serves(master);
    master_pool->fence = master ? master->fence : FENCE_DOWN;
    master_pool->owner.deployment = master ? master->deployment : 0;
    moves = master && is_other_generation(master_pool);
    if (moves || master_pool->fence == FENCE_PROMOTING) {
        held_replies_end(master_pool);
    } else if (master_pool->fence == FENCE_DOWN && master_pool->held.first) {
        held_replies_due(master_pool);
    }
    if (moves) {
        begin_generation(master_pool);
    } else if (fence == FENCE_DOWN && master_pool->fence != FENCE_DOWN && master_pool->master) {
        endpoint_withdraw(master_pool->master);
    }
    forget_replicas(master_pool);
    subscriptions_review(master_pool->subscriptions);
    snapshot_master_unref(before);
    master_pool_wake(master_pool);
}

/* ---- life ---- */

static struct master_pool *make(struct pool *pool, const char *name)
{
    struct master_pool *master_pool = mem_new(1, sizeof(*master_pool));

    master_pool->pool = pool;
    master_pool->name = mem_strdup(name);
    master_pool->owner = (struct endpoint_owner){.loop = pool->loop,
                                                 .config = pool->config,
                                                 .counts = pool->counts,
                                                 .login = redis_logins_of(pool->logins, name),
                                                 .hooks = &pool_route_hooks,
                                                 .data = master_pool};
    master_pool->timer = loop_timer_new(pool->loop, dispatch, master_pool);
    master_pool->held_reply_timer = loop_timer_new(pool->loop, held_replies_due, master_pool);
    master_pool->dispatch = (struct loop_later){.run = dispatch, .data = master_pool};
    return master_pool;
}

void master_pool_free(struct master_pool *master_pool)
{
    struct pool_endpoint *master = master_pool->master;

    master_pool->master = NULL;
    if (master) {
        leave(master_pool, master);
    }
    while (master_pool->n_replicas > 0) {
        leave(master_pool, master_pool->replicas[--master_pool->n_replicas]);
    }
    subscriptions_free(master_pool->subscriptions);
    loop_later_cancel(master_pool->pool->loop, &master_pool->dispatch);
    loop_timer_free(master_pool->timer);
    loop_timer_free(master_pool->held_reply_timer);
    command_table_free(master_pool->commands_table);
    snapshot_master_unref(master_pool->shown);
    free(master_pool->replicas);
    free(master_pool->name);
    free(master_pool);
}

struct master_pool *master_pool_of(struct pool *pool, const char *name)
{
    bool found;
    size_t place = place_of(pool, name, &found);

    if (found) {
        return pool->master_pools[place];
    }
    pool->master_pools =
        mem_resize(pool->master_pools, pool->n_master_pools + 1, sizeof(*pool->master_pools));
    memmove(pool->master_pools + place + 1, pool->master_pools + place,
            (pool->n_master_pools - place) * sizeof(*pool->master_pools));
    pool->n_master_pools++;
    pool->master_pools[place] = make(pool, name);
    if (pool->snapshot) {
        master_pool_take(pool->master_pools[place], snapshot_find(pool->snapshot, name));
    }
    return pool->master_pools[place];
}
