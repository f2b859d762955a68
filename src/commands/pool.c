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

/* All jobs have the same time, so a new one's deadline is the last. */
void pool_link(struct pool *pool, struct pool_task *task)
{
    task->linked = true;
    task->previous = pool->last;
    task->next = NULL;
    if (pool->last) {
        pool->last->next = task;
    } else {
        pool->first = task;
    }
    pool->last = task;
    if (!loop_timer_armed(pool->deadline_timer)) {
        loop_timer_start(pool->deadline_timer, task->deadline_ms - clock_boot_ms());
    }
}

void pool_unlink(struct pool *pool, struct pool_task *task)
{
    if (!task->linked) {
        return;
    }
    task->linked = false;
    if (task->previous) {
        task->previous->next = task->next;
    } else {
        pool->first = task->next;
    }
    if (task->next) {
        task->next->previous = task->previous;
    } else {
        pool->last = task->previous;
    }
}

/*
 * The timer is left alone while jobs come and go: it fires at an old deadline now and then and
 * finds nothing.
 */
static void expire(void *data)
{
    struct pool *pool = data;
    int64_t now_ms = clock_boot_ms();

    while (pool->first && pool->first->deadline_ms <= now_ms) {
        task_expire(pool->first);
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
void pool_tell(struct node *node, enum suspicion what)
{
    const struct desk *desk = node->desk;
    int64_t now_ms = clock_boot_ms();

    if (node->is_replica || !desk->pool->hooks.suspect ||
        (node->told_ms != 0 && now_ms - node->told_ms < TELL_EVERY_MS)) {
        return;
    }
    node->told_ms = now_ms;
    desk->pool->hooks.suspect(desk->pool->hooks.data, what, desk->name, &node->address);
}

void pool_take(struct pool *pool, struct snapshot *snapshot)
{
    struct snapshot *before = pool->snapshot;

    pool->snapshot = snapshot_ref(snapshot);
    for (size_t i = 0; i < pool->n_desks; i++) {
        desk_take(pool->desks[i], snapshot_find(snapshot, pool->desks[i]->name));
    }
    snapshot_unref(before);
}

/* ---- desks ---- */

/* @return where it stands, or belongs. */
static size_t desk_place(const struct pool *pool, const char *name, bool *found)
{
    size_t low = 0, high = pool->n_desks;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(pool->desks[middle]->name, name);

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

static struct desk *desk_of(struct pool *pool, const char *name)
{
    bool found;
    size_t place = desk_place(pool, name, &found);

    if (found) {
        return pool->desks[place];
    }
    pool->desks = mem_resize(pool->desks, pool->n_desks + 1, sizeof(*pool->desks));
    memmove(pool->desks + place + 1, pool->desks + place,
            (pool->n_desks - place) * sizeof(*pool->desks));
    pool->n_desks++;
    pool->desks[place] = desk_new(pool, name);
    if (pool->snapshot) {
        desk_take(pool->desks[place], snapshot_find(pool->snapshot, name));
    }
    return pool->desks[place];
}

void pool_forget(struct pool *pool, struct desk *desk)
{
    bool found;
    size_t place = desk_place(pool, desk->name, &found);

    pool->n_desks--;
    memmove(pool->desks + place, pool->desks + place + 1,
            (pool->n_desks - place) * sizeof(*pool->desks));
    desk_free(desk);
}

bool pool_look(const struct pool *pool, const char *master, struct pool_view *out)
{
    bool found;
    size_t place = desk_place(pool, master, &found);
    const struct desk *desk;

    if (!found) {
        return false;
    }
    desk = pool->desks[place];
    *out = (struct pool_view){.waiting = desk->n_waiting, .has_table = false};
    out->has_table = desk->book && command_book_has_table(desk->book);
    out->closed = desk->book ? command_book_closed(desk->book) : NULL;
    for (size_t i = 0; desk->master && i < desk->master->n_lines; i++) {
        const struct line *line = desk->master->lines[i];

        out->connecting += !line->ready;
        out->idle += line->ready && line->in_flight == 0;
        out->busy += line->ready && line->in_flight > 0;
        out->in_flight += line->in_flight;
    }
    return true;
}

/* ---- jobs ---- */

struct pool_job *pool_job_new(void)
{
    return mem_new(1, sizeof(struct pool_job));
}

/* One allocation holds the task, its items and what the pool keeps of each. */
static struct pool_task *task_new(struct pool *pool, struct pool_job *job)
{
    size_t n = job->transaction ? 1 : job->batch->n;
    struct pool_task *task =
        budget_new(1, sizeof(*task) + n * (sizeof(*task->states) + sizeof(*job->items)));

    task->states = (struct item_state *)(task + 1);
    job->items = (struct pool_item *)(task->states + n);
    job->n_items = n;
    job->task = task;
    task->job = job;
    task->desk = desk_of(pool, job->master);
    task->desk->n_tasks++;
    task->arrived_us = clock_boot_us();
    task->deadline_ms = task->arrived_us / 1000 + pool->config->command_timeout_ms;
    task->pending = n;
    for (size_t i = 0; i < n; i++) {
        job->items[i].outcome = ITEM_PENDING;
    }
    return task;
}

bool pool_run(struct pool *pool, struct pool_job *job)
{
    struct pool_task *task = task_new(pool, job);

    task->inline_ = true;
    if (pool->draining) {
        task_refuse(task, "NOTSENT the daemon is shutting down; nothing was sent");
    } else {
        pool_link(pool, task);
        if (!task_go(task) && task->pending > 0) {
            desk_wait(task->desk, task);
        }
    }
    task->inline_ = false;
    return task->pending == 0;
}

void pool_job_release(struct pool_job *job)
{
    for (size_t i = 0; i < job->n_items; i++) {
        buffer_release(&job->items[i].json);
    }
    batch_free(job->batch);
    if (job->task) {
        free(job->task->tried);
    }
    budget_free(job->task);
}

void pool_job_free(struct pool_job *job)
{
    if (!job) {
        return;
    }
    pool_job_release(job);
    free(job);
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
    struct pool_task *next;

    pool->draining = true;
    for (struct pool_task *task = pool->first; task; task = next) {
        next = task->next;
        if (task->queued) {
            task_refuse(task, "NOTSENT the daemon is shutting down; this was not sent");
        }
    }
}

/* Their time is over, wherever they stand. */
void pool_abandon(struct pool *pool)
{
    pool->draining = true;
    while (pool->first) {
        task_expire(pool->first);
    }
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pool_abandon(pool);
    for (size_t i = 0; i < pool->n_desks; i++) {
        desk_free(pool->desks[i]);
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
    free(pool->desks);
    free(pool);
}
