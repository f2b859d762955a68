/* The pool's life, what snapshots and credentials mean to it, and the list of deadlines. */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "pool_internal.h"

enum { TELL_EVERY_MS = 20 };

/* ---- deadlines ---- */

/* All requests have the same time, so a new one's deadline is the last. */
void pool_link(struct pool *pool, struct request_run *run)
{
    run->linked = true;
    run->previous = pool->last;
    run->next = NULL;
    if (pool->last) {
        pool->last->next = run;
    } else {
        pool->first = run;
    }
    pool->last = run;
    if (!loop_timer_armed(pool->deadline_timer)) {
        loop_timer_start(pool->deadline_timer, run->deadline_ms - clock_boot_ms());
    }
}

void pool_unlink(struct pool *pool, struct request_run *run)
{
    if (!run->linked) {
        return;
    }
    run->linked = false;
    if (run->previous) {
        run->previous->next = run->next;
    } else {
        pool->first = run->next;
    }
    if (run->next) {
        run->next->previous = run->previous;
    } else {
        pool->last = run->previous;
    }
}

/*
 * The timer is left alone while requests come and go: it fires at an old deadline now and then and
 * finds nothing.
 */
static void expire(void *data)
{
    struct pool *pool = data;
    int64_t now_ms = clock_boot_ms();

    while (pool->first && pool->first->deadline_ms <= now_ms) {
        request_run_expire(pool->first);
    }
    if (pool->first) {
        loop_timer_start(pool->deadline_timer, pool->first->deadline_ms - now_ms);
    }
}

/* ---- the watcher ---- */

bool pool_is_stalled(const struct pool *pool)
{
    return pool->hooks.stalled && pool->hooks.stalled(pool->hooks.data);
}

bool pool_is_behind(const struct pool *pool)
{
    const struct snapshot *snapshot = pool->snapshot;

    return snapshot && snapshot->pulse &&
           atomic_load_explicit(&snapshot->pulse->fences, memory_order_acquire) != snapshot->fences;
}

/* A hundred commands that are refused at once are one piece of news. */
void pool_tell(struct pool_endpoint *endpoint, enum suspicion what)
{
    const struct master_pool *master_pool = endpoint->master_pool;
    int64_t now_ms = clock_boot_ms();

    if (endpoint->is_replica || !master_pool->pool->hooks.suspect ||
        (endpoint->told_ms != 0 && now_ms - endpoint->told_ms < TELL_EVERY_MS)) {
        return;
    }
    endpoint->told_ms = now_ms;
    master_pool->pool->hooks.suspect(master_pool->pool->hooks.data, what, master_pool->name,
                                     &endpoint->address);
}

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

/* ---- master pools ---- */

/* @return where it stands, or belongs. */
static size_t master_pool_place(const struct pool *pool, const char *name, bool *found)
{
    size_t low = 0, high = pool->n_master_pools;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(pool->master_pools[middle]->name, name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct master_pool *master_pool_of(struct pool *pool, const char *name)
{
    bool found;
    size_t place = master_pool_place(pool, name, &found);

    if (found) {
        return pool->master_pools[place];
    }
    pool->master_pools =
        mem_resize(pool->master_pools, pool->n_master_pools + 1, sizeof(*pool->master_pools));
    memmove(pool->master_pools + place + 1, pool->master_pools + place,
            (pool->n_master_pools - place) * sizeof(*pool->master_pools));
    pool->n_master_pools++;
    pool->master_pools[place] = master_pool_new(pool, name);
    if (pool->snapshot) {
        master_pool_take(pool->master_pools[place], snapshot_find(pool->snapshot, name));
    }
    return pool->master_pools[place];
}

void pool_forget(struct pool *pool, struct master_pool *master_pool)
{
    bool found;
    size_t place = master_pool_place(pool, master_pool->name, &found);

    pool->n_master_pools--;
    memmove(pool->master_pools + place, pool->master_pools + place + 1,
            (pool->n_master_pools - place) * sizeof(*pool->master_pools));
    master_pool_free(master_pool);
}

bool pool_look(const struct pool *pool, const char *master, struct pool_view *out)
{
    bool found;
    size_t place = master_pool_place(pool, master, &found);
    const struct master_pool *master_pool;

    if (!found) {
        return false;
    }
    master_pool = pool->master_pools[place];
    *out = (struct pool_view){.waiting = master_pool->n_waiting, .has_table = false};
    out->has_table =
        master_pool->commands_table && command_table_has_table(master_pool->commands_table);
    out->closed =
        master_pool->commands_table ? command_table_closed(master_pool->commands_table) : NULL;
    for (size_t i = 0; master_pool->master && i < master_pool->master->n_pool_conns; i++) {
        const struct pool_conn *pool_conn = master_pool->master->pool_conns[i];

        out->connecting += !pool_conn->ready;
        out->idle += pool_conn->ready && pool_conn->in_flight == 0;
        out->busy += pool_conn->ready && pool_conn->in_flight > 0;
        out->in_flight += pool_conn->in_flight;
    }
    return true;
}

/* ---- requests ---- */

struct pool_request *pool_request_new(void)
{
    return mem_new(1, sizeof(struct pool_request));
}

/* One allocation holds the run, its items and what the pool keeps of each. */
static struct request_run *request_run_new(struct pool *pool, struct pool_request *request)
{
    size_t n = request->transaction ? 1 : request->batch->n;
    struct request_run *run =
        budget_new(1, sizeof(*run) + n * (sizeof(*run->states) + sizeof(*request->items)));

    run->states = (struct item_state *)(run + 1);
    request->items = (struct pool_command *)(run->states + n);
    request->n_items = n;
    request->run = run;
    run->request = request;
    run->master_pool = master_pool_of(pool, request->master);
    run->master_pool->n_runs++;
    run->arrived_us = clock_boot_us();
    run->deadline_ms = run->arrived_us / 1000 + pool->config->command_timeout_ms;
    run->pending = n;
    for (size_t i = 0; i < n; i++) {
        request->items[i].outcome = ITEM_PENDING;
    }
    return run;
}

bool pool_run(struct pool *pool, struct pool_request *request)
{
    struct request_run *run = request_run_new(pool, request);

    run->inline_ = true;
    if (pool->draining) {
        request_run_refuse(run, "NOTSENT the daemon is shutting down; nothing was sent");
    } else {
        pool_link(pool, run);
        if (!request_run_go(run) && run->pending > 0) {
            master_pool_wait(run->master_pool, run);
        }
    }
    run->inline_ = false;
    return run->pending == 0;
}

void pool_request_release(struct pool_request *request)
{
    for (size_t i = 0; i < request->n_items; i++) {
        buffer_release(&request->items[i].json);
    }
    batch_free(request->batch);
    if (request->run) {
        free(request->run->tried);
    }
    budget_free(request->run);
}

void pool_request_free(struct pool_request *request)
{
    if (!request) {
        return;
    }
    pool_request_release(request);
    free(request);
}

/* ---- credentials ---- */

static void login_init(struct login *login, const struct pool_login *from)
{
    login->master = mem_strdup(from->master);
    login->username = mem_strdup(from->username);
    login->password = secret_copy(from->password);
}

bool pool_refresh_credentials(struct pool *pool, bool force, int64_t *taken_ms)
{
    char error[256];
    bool ok = true;

    for (size_t i = 0; i < pool->n_logins; i++) {
        struct secret *password = pool->logins[i].password;

        /* the watcher says why */
        ok = secret_refresh(password, force, error, sizeof(error)) >= 0 && ok;
        if (*taken_ms < secret_taken_ms(password)) {
            *taken_ms = secret_taken_ms(password);
        }
    }
    return ok;
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
    pool->logins = mem_new(config->n_logins, sizeof(*pool->logins));
    pool->n_logins = config->n_logins;
    for (size_t i = 0; i < config->n_logins; i++) {
        login_init(&pool->logins[i], &config->logins[i]);
    }
    pool->deadline_timer = loop_timer_new(loop, expire, pool);
    return pool;
}

void pool_drain(struct pool *pool)
{
    struct request_run *next;

    pool->draining = true;
    for (struct request_run *run = pool->first; run; run = next) {
        next = run->next;
        if (run->queued) {
            request_run_refuse(run, "NOTSENT the daemon is shutting down; this was not sent");
        }
    }
}

/* Their time is over, wherever they stand. */
void pool_abandon(struct pool *pool)
{
    pool->draining = true;
    while (pool->first) {
        request_run_expire(pool->first);
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
    for (size_t i = 0; i < pool->n_logins; i++) {
        free(pool->logins[i].master);
        free(pool->logins[i].username);
        secret_free(pool->logins[i].password);
    }
    slots_free(pool);
    loop_timer_free(pool->deadline_timer);
    snapshot_unref(pool->snapshot);
    free(pool->logins);
    free(pool->master_pools);
    free(pool);
}
