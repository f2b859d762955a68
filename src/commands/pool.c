/* The life of the pool, what snapshots and credentials mean to it, and when requests expire. */
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "in_flight.h"
#include "master_pool.h"
#include "request_outcome.h"
#include "request_run.h"
#include "request_send.h"
#include "subscriptions.h"

/* ---- deadlines ---- */

static struct request_run *first_of(const struct pool *pool)
{
    return LIST_OWNER(pool->by_deadline.first, struct request_run, by_deadline);
}

/*
 * The timer is left alone while requests come and go: now and then it fires at the deadline of one
 * that has ended, and finds nothing.
 */
static void expire(void *data)
{
    struct pool *pool = data;
    int64_t now_ms = clock_boot_ms();
    struct request_run *run;

    while ((run = first_of(pool)) && run->deadline_ms <= now_ms) {
        request_run_expire(run);
    }
    if (run) {
        loop_timer_start(pool->deadline_timer, run->deadline_ms - now_ms);
    }
}

/* ---- snapshots ---- */

void pool_take(struct pool *pool, struct snapshot *snapshot)
{
    struct snapshot *before = pool->snapshot;

    pool->snapshot = snapshot_ref(snapshot);
    for (size_t i = 0; i < pool->n_master_pools; i++) {
        master_pool_take(pool->master_pools[i],
                         snapshot_find(snapshot, pool->master_pools[i]->name));
    }
    snapshot_unref(before);
}

bool pool_look(const struct pool *pool, const char *master, struct pool_view *out)
{
    const struct master_pool *master_pool = master_pool_find(pool, master);

    if (!master_pool) {
        return false;
    }
    *out = (struct pool_view){.waiting = master_pool->n_waiting};
    subscriptions_look(master_pool->subscriptions, out);
    if (master_pool->commands_table) {
        out->has_table = command_table_has_table(master_pool->commands_table);
        out->closed = command_table_closed(master_pool->commands_table);
    }
    for (size_t i = 0; master_pool->master && i < master_pool->master->n_pool_conns; i++) {
        const struct pool_conn *pool_conn = master_pool->master->pool_conns[i];

        out->connecting += pool_conn->state == POOL_CONN_OPENING;
        out->idle += pool_conn->state != POOL_CONN_OPENING && pool_conn->in_flight == 0;
        out->busy += pool_conn->state != POOL_CONN_OPENING && pool_conn->in_flight > 0;
        out->in_flight += pool_conn->in_flight;
    }
    return true;
}

/* ---- requests ---- */

bool pool_run(struct pool *pool, struct pool_request *request)
{
    struct request_run *run = request_run_new(master_pool_of(pool, request->master), request);

    if (pool->draining) {
        request_run_refuse(run, "NOTSENT the daemon is shutting down; nothing was sent");
    } else {
        request_run_start_deadline(run);
        if (!request_run_send(run) && !request_run_has_ended(run)) {
            master_pool_wait(run);
        }
    }
    run->is_new = false;
    return request_run_has_ended(run);
}

void pool_request_release(struct pool_request *request)
{
    for (size_t i = 0; i < request->n_commands; i++) {
        buffer_release(&request->commands[i].json);
    }
    batch_free(request->batch);
    request_run_free(request->run);
}

const char *pool_subscribe(struct pool *pool, struct subscriber *subscriber, const char *master,
                           enum subscriber_kind kind, const char *const *names, size_t n,
                           int64_t began_ms)
{
    return pool->draining ? "NOTSENT the daemon is shutting down; nothing was subscribed to"
                          : subscriptions_join(master_pool_of(pool, master), subscriber, kind,
                                               names, n, began_ms);
}

/* ---- credentials ---- */

bool pool_refresh_credentials(struct pool *pool, bool force, int64_t *taken_ms)
{
    return redis_logins_refresh(pool->logins, force, taken_ms);
}

/* ---- life ---- */

struct pool *pool_new(struct loop *loop, const struct pool_config *config, _Atomic size_t *waiting,
                      struct metrics_redis *counts, const struct pool_hooks *hooks)
{
    struct pool *pool = mem_new(1, sizeof(*pool));

    pool->loop = loop;
    pool->config = config;
    pool->waiting = waiting;
    pool->counts = counts;
    pool->hooks = *hooks;
    pool->logins = redis_logins_copy(config->logins, config->n_logins);
    pool->deadline_timer = loop_timer_new(loop, expire, pool);
    return pool;
}

void pool_drain(struct pool *pool)
{
    pool->draining = true;
    LIST_EACH_MAY_LEAVE(struct request_run, run, &pool->by_deadline, by_deadline) {
        if (request_run_waits(run)) {
            request_run_refuse(run, "NOTSENT the daemon is shutting down; this was not sent");
        }
    }
    for (size_t i = 0; i < pool->n_master_pools; i++) {
        subscriptions_drain(pool->master_pools[i]->subscriptions);
    }
}

/* The time of every request is over, however far it is. */
void pool_abandon(struct pool *pool)
{
    pool->draining = true;
    for (struct request_run *run; (run = first_of(pool));) {
        request_run_expire(run);
    }
    for (size_t i = 0; i < pool->n_master_pools; i++) {
        subscriptions_drain(pool->master_pools[i]->subscriptions);
    }
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pool_abandon(pool);
    for (size_t i = 0; i < pool->n_master_pools; i++) {
        master_pool_free(pool->master_pools[i]);
    }
    redis_logins_free(pool->logins);
    in_flight_free_spare(pool);
    loop_timer_free(pool->deadline_timer);
    snapshot_unref(pool->snapshot);
    free(pool->master_pools);
    free(pool);
}
