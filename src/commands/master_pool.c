/*
 * One master: where commands for it go now, which commands there are, and who waits.
 *
 * Its generation is an address and a count of switches. When that moves on, the connections of the
 * old one are closed at once, which settles what was on them, and the queue is looked through at
 * the end of the turn. A flap of the state closes nothing: it only keeps new commands waiting.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "pool_internal.h"

enum { STALL_LOOK_MS = 100 };

void master_pool_say(struct master_pool *master_pool, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(master_pool->trouble, sizeof(master_pool->trouble), format, arguments);
    va_end(arguments);
}

/* ---- the queue ---- */

void master_pool_enqueue(struct master_pool *master_pool, struct request_run *run)
{
    if (run->queued) {
        return;
    }
    run->queued = true;
    run->previous_waiting = master_pool->last;
    run->next_waiting = NULL;
    if (master_pool->last) {
        master_pool->last->next_waiting = run;
    } else {
        master_pool->first = run;
    }
    master_pool->last = run;
    master_pool->n_waiting++;
    metric_move(&master_pool->pool->counts->waiting, 1);
    atomic_fetch_add_explicit(master_pool->pool->waiting, 1, memory_order_relaxed);
}

void master_pool_dequeue(struct master_pool *master_pool, struct request_run *run)
{
    if (!run->queued) {
        return;
    }
    run->queued = false;
    if (run->previous_waiting) {
        run->previous_waiting->next_waiting = run->next_waiting;
    } else {
        master_pool->first = run->next_waiting;
    }
    if (run->next_waiting) {
        run->next_waiting->previous_waiting = run->previous_waiting;
    } else {
        master_pool->last = run->previous_waiting;
    }
    master_pool->n_waiting--;
    metric_move(&master_pool->pool->counts->waiting, -1);
    atomic_fetch_sub_explicit(master_pool->pool->waiting, 1, memory_order_relaxed);
}

void master_pool_wake(struct master_pool *master_pool)
{
    loop_later_queue(master_pool->pool->loop, &master_pool->dispatch);
}

/* That the watcher is alive again is no news: it is looked for. */
static void watch_stall(struct master_pool *master_pool)
{
    if (master_pool->first && pool_is_stalled(master_pool->pool) &&
        !loop_timer_armed(master_pool->timer)) {
        loop_timer_start(master_pool->timer, STALL_LOOK_MS);
    }
}

void master_pool_wait(struct master_pool *master_pool, struct request_run *run)
{
    master_pool_enqueue(master_pool, run);
    watch_stall(master_pool);
}

/*
 * Whoever can go goes, the longest waiting first. A run may leave the queue in here, and only the
 * one that is looked at.
 */
static void dispatch(void *data)
{
    struct master_pool *master_pool = data;
    struct request_run *next;
    int64_t now_ms = clock_boot_ms(), wake_ms = 0;

    for (struct request_run *run = master_pool->first; run; run = next) {
        next = run->next_waiting;
        if (run->rest_until_ms > now_ms) {
            if (wake_ms == 0 || run->rest_until_ms < wake_ms) {
                wake_ms = run->rest_until_ms;
            }
        } else {
            (void)request_run_go(run);
        }
    }
    if (wake_ms != 0) {
        loop_timer_start(master_pool->timer, wake_ms - now_ms);
    }
    watch_stall(master_pool);
    if (!master_pool->shown && master_pool->n_runs == 0) {
        pool_forget(master_pool->pool, master_pool); /* its connections, too */
    }
}

static void on_timer(void *data)
{
    dispatch(data);
}

/* ---- the command table ---- */

static void say_closed(const struct master_pool *master_pool)
{
    log_error("a rule of --commands denies what this server does not have, so no command is run",
              LOG_STR("master", master_pool->name),
              LOG_STR("rule", command_table_closed(master_pool->commands_table)));
}

void master_pool_take_table(struct master_pool *master_pool, const redisReply *reply)
{
    struct command_table *commands_table;

    if (!reply) {
        return; /* the next connection asks again */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn(
            "the server does not tell its commands: every command counts as a write, and rules that name categories refuse",
            LOG_STR("master", master_pool->name), LOG_STR("error", reply->str));
    }
    commands_table = command_table_new(master_pool->pool->config->policy,
                                       reply->type == REDIS_REPLY_ERROR ? NULL : reply);
    if (!master_pool->commands_table && command_table_idle_rule(commands_table)) {
        log_warn("a rule of --commands names nothing that this server has",
                 LOG_STR("master", master_pool->name),
                 LOG_STR("rule", command_table_idle_rule(commands_table)));
    }
    command_table_free(master_pool->commands_table);
    master_pool->commands_table = commands_table;
    master_pool->book_is_old = false;
    if (command_table_closed(commands_table)) {
        say_closed(master_pool);
    }
    master_pool_wake(master_pool);
}

void master_pool_take_info(struct master_pool *master_pool, const redisReply *reply)
{
    const char *closed = command_table_closed(master_pool->commands_table);

    if (reply) {
        command_table_learn(master_pool->commands_table, master_pool->asked, reply,
                            clock_boot_ms());
        if (!closed && command_table_closed(master_pool->commands_table)) {
            say_closed(master_pool);
        }
    }
    master_pool->asked[0] = '\0';
    master_pool_wake(master_pool);
}

/* ---- replicas ---- */

static bool is_usable(const struct master_pool *master_pool, const struct snapshot_replica *replica)
{
    int64_t max = master_pool->pool->config->replica_max_lag_bytes;

    return replica->healthy && (max < 0 || (replica->lag_bytes >= 0 && replica->lag_bytes <= max &&
                                            clock_boot_ms() - replica->lag_at_ms <= LAG_FRESH_MS));
}

static bool was_tried(const struct request_run *run, const struct address *address)
{
    for (size_t i = 0; i < run->n_tried; i++) {
        if (address_equal(&run->tried[i], address)) {
            return true;
        }
    }
    return false;
}

bool master_pool_may_use_replica(const struct master_pool *master_pool,
                                 const struct request_run *run, const struct address *address)
{
    for (size_t i = 0; master_pool->shown && i < master_pool->shown->n_replicas; i++) {
        if (address_equal(&master_pool->shown->replicas[i].address, address)) {
            return is_usable(master_pool, &master_pool->shown->replicas[i]) &&
                   !was_tried(run, address);
        }
    }
    return false;
}

static struct pool_endpoint *replica_endpoint(struct master_pool *master_pool,
                                              const struct address *address)
{
    for (size_t i = 0; i < master_pool->n_replicas; i++) {
        if (address_equal(&master_pool->replicas[i]->address, address)) {
            return master_pool->replicas[i];
        }
    }
    master_pool->replicas = mem_resize(master_pool->replicas, master_pool->n_replicas + 1,
                                       sizeof(*master_pool->replicas));
    master_pool->replicas[master_pool->n_replicas] = endpoint_new(master_pool, address, true);
    return master_pool->replicas[master_pool->n_replicas++];
}

/* One that could not be reached lately is left to itself for a while, if there is another one. */
struct pool_endpoint *master_pool_choose_replica(struct master_pool *master_pool,
                                                 const struct request_run *run)
{
    struct pool_endpoint *resting = NULL;
    size_t n = master_pool->shown ? master_pool->shown->n_replicas : 0;

    for (size_t i = 0; i < n; i++) {
        const struct snapshot_replica *replica =
            &master_pool->shown->replicas[(master_pool->turn + i) % n];
        struct pool_endpoint *endpoint;

        if (!is_usable(master_pool, replica) || was_tried(run, &replica->address)) {
            continue;
        }
        endpoint = replica_endpoint(master_pool, &replica->address);
        if (!endpoint_rests(endpoint)) {
            master_pool->turn = (master_pool->turn + i + 1) % n;
            return endpoint;
        }
        resting = endpoint;
    }
    return resting;
}

struct pool_endpoint *master_pool_find_replica(struct master_pool *master_pool,
                                               const struct request_run *run, uint32_t cursor_tag)
{
    struct pool_endpoint *perhaps = NULL;

    for (size_t i = 0; i < master_pool->shown->n_replicas; i++) {
        const struct snapshot_replica *replica = &master_pool->shown->replicas[i];
        enum cursor_owner owner;
        struct pool_endpoint *endpoint;

        if (!is_usable(master_pool, replica) || was_tried(run, &replica->address)) {
            continue;
        }
        endpoint = replica_endpoint(master_pool, &replica->address);
        owner = endpoint_owns_cursor(endpoint, cursor_tag);
        if (owner == CURSOR_OWNER_IS) {
            return endpoint;
        }
        if (!perhaps && owner == CURSOR_OWNER_PERHAPS && !endpoint_rests(endpoint)) {
            perhaps = endpoint;
        }
    }
    return perhaps;
}

static bool is_shown(const struct master_pool *master_pool, const struct address *replica)
{
    for (size_t i = 0; master_pool->shown && i < master_pool->shown->n_replicas; i++) {
        if (address_equal(&master_pool->shown->replicas[i].address, replica)) {
            return true;
        }
    }
    return false;
}

/* Tasks that wait for one of these choose anew. */
static void forget_replicas(struct master_pool *master_pool)
{
    for (size_t i = 0; i < master_pool->n_replicas;) {
        struct pool_endpoint *endpoint = master_pool->replicas[i];

        if (is_shown(master_pool, &endpoint->address)) {
            i++;
            continue;
        }
        master_pool->replicas[i] = master_pool->replicas[--master_pool->n_replicas];
        endpoint_free(endpoint);
    }
}

/* ---- snapshots ---- */

/* Wherever a command still may run, it does so now: what it rested for is over. */
static void begin_generation(struct master_pool *master_pool)
{
    struct pool_endpoint *old = master_pool->master;

    master_pool->master = NULL;
    master_pool->switches = master_pool->shown->switches;
    master_pool->book_is_old = true;
    master_pool->trouble[0] = '\0';
    endpoint_free(old);
    for (struct request_run *run = master_pool->first; run; run = run->next_waiting) {
        request_run_begin_endpoint(run);
    }
}

static bool is_other_generation(const struct master_pool *master_pool)
{
    return master_pool->master && master_pool->shown->has_address &&
           (master_pool->switches != master_pool->shown->switches ||
            !address_equal(&master_pool->master->address, &master_pool->shown->address));
}

void master_pool_take(struct master_pool *master_pool, struct snapshot_master *master)
{
    struct snapshot_master *before = master_pool->shown;
    enum fence fence = master_pool->fence;
    bool moves;

    if (master == before) {
        if (master_pool->first) {
            master_pool_wake(master_pool); /* a stall may be over */
        }
        return;
    }
    master_pool->shown = master ? snapshot_master_ref(master) : NULL;
    master_pool->serves = master && master->has_address &&
                          (master->state == MASTER_OK || master->state == MASTER_UNVERIFIED);
    master_pool->fence = master ? master->fence : FENCE_DOWN;
    moves = master && is_other_generation(master_pool);
    if (moves || master_pool->fence != FENCE_UP) {
        held_replies_end(master_pool, moves || master_pool->fence == FENCE_PROMOTING);
    }
    if (moves) {
        begin_generation(master_pool);
    } else if (fence == FENCE_DOWN && master_pool->fence != FENCE_DOWN && master_pool->master) {
        endpoint_withdraw(master_pool->master);
    }
    forget_replicas(master_pool);
    snapshot_master_unref(before);
    master_pool_wake(master_pool);
}

/* ---- life ---- */

static struct login *login_of(struct pool *pool, const char *name)
{
    for (size_t i = 1; i < pool->n_logins; i++) {
        if (strcmp(pool->logins[i].master, name) == 0) {
            return &pool->logins[i];
        }
    }
    return &pool->logins[0];
}

struct master_pool *master_pool_new(struct pool *pool, const char *name)
{
    struct master_pool *master_pool = mem_new(1, sizeof(*master_pool));

    master_pool->pool = pool;
    master_pool->name = mem_strdup(name);
    master_pool->login = login_of(pool, name);
    master_pool->timer = loop_timer_new(pool->loop, on_timer, master_pool);
    master_pool->held_reply_timer = loop_timer_new(pool->loop, held_replies_due, master_pool);
    master_pool->dispatch = (struct loop_later){.run = dispatch, .data = master_pool};
    return master_pool;
}

void master_pool_free(struct master_pool *master_pool)
{
    struct pool_endpoint *master = master_pool->master;

    master_pool->master = NULL;
    endpoint_free(master);
    while (master_pool->n_replicas > 0) {
        endpoint_free(master_pool->replicas[--master_pool->n_replicas]);
    }
    loop_later_cancel(master_pool->pool->loop, &master_pool->dispatch);
    loop_timer_free(master_pool->timer);
    loop_timer_free(master_pool->held_reply_timer);
    command_table_free(master_pool->commands_table);
    snapshot_master_unref(master_pool->shown);
    free(master_pool->replicas);
    free(master_pool->name);
    free(master_pool);
}
