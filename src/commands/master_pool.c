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

void desk_say(struct desk *desk, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(desk->trouble, sizeof(desk->trouble), format, arguments);
    va_end(arguments);
}

/* ---- the queue ---- */

void desk_enqueue(struct desk *desk, struct pool_task *task)
{
    if (task->queued) {
        return;
    }
    task->queued = true;
    task->previous_waiting = desk->last;
    task->next_waiting = NULL;
    if (desk->last) {
        desk->last->next_waiting = task;
    } else {
        desk->first = task;
    }
    desk->last = task;
    desk->n_waiting++;
    metric_move(&desk->pool->counts->waiting, 1);
    atomic_fetch_add_explicit(desk->pool->waiting, 1, memory_order_relaxed);
}

void desk_dequeue(struct desk *desk, struct pool_task *task)
{
    if (!task->queued) {
        return;
    }
    task->queued = false;
    if (task->previous_waiting) {
        task->previous_waiting->next_waiting = task->next_waiting;
    } else {
        desk->first = task->next_waiting;
    }
    if (task->next_waiting) {
        task->next_waiting->previous_waiting = task->previous_waiting;
    } else {
        desk->last = task->previous_waiting;
    }
    desk->n_waiting--;
    metric_move(&desk->pool->counts->waiting, -1);
    atomic_fetch_sub_explicit(desk->pool->waiting, 1, memory_order_relaxed);
}

void desk_wake(struct desk *desk)
{
    loop_later_queue(desk->pool->loop, &desk->dispatch);
}

/* That the watcher is alive again is no news: it is looked for. */
static void watch_stall(struct desk *desk)
{
    if (desk->first && pool_is_stalled(desk->pool) && !loop_timer_armed(desk->timer)) {
        loop_timer_start(desk->timer, STALL_LOOK_MS);
    }
}

void desk_wait(struct desk *desk, struct pool_task *task)
{
    desk_enqueue(desk, task);
    watch_stall(desk);
}

/*
 * Whoever can go goes, the longest waiting first. A task may leave the queue in here, and only the
 * one that is looked at.
 */
static void dispatch(void *data)
{
    struct desk *desk = data;
    struct pool_task *next;
    int64_t now_ms = clock_boot_ms(), wake_ms = 0;

    for (struct pool_task *task = desk->first; task; task = next) {
        next = task->next_waiting;
        if (task->rest_until_ms > now_ms) {
            if (wake_ms == 0 || task->rest_until_ms < wake_ms) {
                wake_ms = task->rest_until_ms;
            }
        } else {
            (void)task_go(task);
        }
    }
    if (wake_ms != 0) {
        loop_timer_start(desk->timer, wake_ms - now_ms);
    }
    watch_stall(desk);
    if (!desk->shown && desk->n_tasks == 0) {
        pool_forget(desk->pool, desk); /* its connections, too */
    }
}

static void on_timer(void *data)
{
    dispatch(data);
}

/* ---- the book ---- */

static void say_closed(const struct desk *desk)
{
    log_error("a rule of --commands denies what this server does not have, so no command is run",
              LOG_STR("master", desk->name), LOG_STR("rule", command_book_closed(desk->book)));
}

void desk_take_table(struct desk *desk, const redisReply *reply)
{
    struct command_book *book;

    if (!reply) {
        return; /* the next connection asks again */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn(
            "the server does not tell its commands: every command counts as a write, and rules that name categories refuse",
            LOG_STR("master", desk->name), LOG_STR("error", reply->str));
    }
    book = command_book_new(desk->pool->config->policy,
                            reply->type == REDIS_REPLY_ERROR ? NULL : reply);
    if (!desk->book && command_book_idle_rule(book)) {
        log_warn("a rule of --commands names nothing that this server has",
                 LOG_STR("master", desk->name), LOG_STR("rule", command_book_idle_rule(book)));
    }
    command_book_free(desk->book);
    desk->book = book;
    desk->book_is_old = false;
    if (command_book_closed(book)) {
        say_closed(desk);
    }
    desk_wake(desk);
}

void desk_take_info(struct desk *desk, const redisReply *reply)
{
    const char *closed = command_book_closed(desk->book);

    if (reply) {
        command_book_learn(desk->book, desk->asked, reply, clock_boot_ms());
        if (!closed && command_book_closed(desk->book)) {
            say_closed(desk);
        }
    }
    desk->asked[0] = '\0';
    desk_wake(desk);
}

/* ---- replicas ---- */

static bool is_usable(const struct desk *desk, const struct snapshot_replica *replica)
{
    int64_t max = desk->pool->config->replica_max_lag_bytes;

    return replica->healthy && (max < 0 || (replica->lag_bytes >= 0 && replica->lag_bytes <= max &&
                                            clock_boot_ms() - replica->lag_at_ms <= LAG_FRESH_MS));
}

static bool was_tried(const struct pool_task *task, const struct address *address)
{
    for (size_t i = 0; i < task->n_tried; i++) {
        if (address_equal(&task->tried[i], address)) {
            return true;
        }
    }
    return false;
}

bool desk_may_use_replica(const struct desk *desk, const struct pool_task *task,
                          const struct address *address)
{
    for (size_t i = 0; desk->shown && i < desk->shown->n_replicas; i++) {
        if (address_equal(&desk->shown->replicas[i].address, address)) {
            return is_usable(desk, &desk->shown->replicas[i]) && !was_tried(task, address);
        }
    }
    return false;
}

static struct node *replica_node(struct desk *desk, const struct address *address)
{
    for (size_t i = 0; i < desk->n_replicas; i++) {
        if (address_equal(&desk->replicas[i]->address, address)) {
            return desk->replicas[i];
        }
    }
    desk->replicas = mem_resize(desk->replicas, desk->n_replicas + 1, sizeof(*desk->replicas));
    desk->replicas[desk->n_replicas] = node_new(desk, address, true);
    return desk->replicas[desk->n_replicas++];
}

/* One that could not be reached lately is left to itself for a while, if there is another one. */
struct node *desk_choose_replica(struct desk *desk, const struct pool_task *task)
{
    struct node *resting = NULL;
    size_t n = desk->shown ? desk->shown->n_replicas : 0;

    for (size_t i = 0; i < n; i++) {
        const struct snapshot_replica *replica = &desk->shown->replicas[(desk->turn + i) % n];
        struct node *node;

        if (!is_usable(desk, replica) || was_tried(task, &replica->address)) {
            continue;
        }
        node = replica_node(desk, &replica->address);
        if (!node_rests(node)) {
            desk->turn = (desk->turn + i + 1) % n;
            return node;
        }
        resting = node;
    }
    return resting;
}

struct node *desk_find_replica(struct desk *desk, const struct pool_task *task, uint32_t cursor_tag)
{
    struct node *perhaps = NULL;

    for (size_t i = 0; i < desk->shown->n_replicas; i++) {
        const struct snapshot_replica *replica = &desk->shown->replicas[i];
        enum cursor_owner owner;
        struct node *node;

        if (!is_usable(desk, replica) || was_tried(task, &replica->address)) {
            continue;
        }
        node = replica_node(desk, &replica->address);
        owner = node_owns_cursor(node, cursor_tag);
        if (owner == CURSOR_OWNER_IS) {
            return node;
        }
        if (!perhaps && owner == CURSOR_OWNER_PERHAPS && !node_rests(node)) {
            perhaps = node;
        }
    }
    return perhaps;
}

static bool is_shown(const struct desk *desk, const struct address *replica)
{
    for (size_t i = 0; desk->shown && i < desk->shown->n_replicas; i++) {
        if (address_equal(&desk->shown->replicas[i].address, replica)) {
            return true;
        }
    }
    return false;
}

/* Tasks that wait for one of these choose anew. */
static void forget_replicas(struct desk *desk)
{
    for (size_t i = 0; i < desk->n_replicas;) {
        struct node *node = desk->replicas[i];

        if (is_shown(desk, &node->address)) {
            i++;
            continue;
        }
        desk->replicas[i] = desk->replicas[--desk->n_replicas];
        node_free(node);
    }
}

/* ---- snapshots ---- */

/* Wherever a command still may run, it does so now: what it rested for is over. */
static void begin_generation(struct desk *desk)
{
    struct node *old = desk->master;

    desk->master = NULL;
    desk->switches = desk->shown->switches;
    desk->book_is_old = true;
    desk->trouble[0] = '\0';
    node_free(old);
    for (struct pool_task *task = desk->first; task; task = task->next_waiting) {
        task_begin_node(task);
    }
}

static bool is_other_generation(const struct desk *desk)
{
    return desk->master && desk->shown->has_address &&
           (desk->switches != desk->shown->switches ||
            !address_equal(&desk->master->address, &desk->shown->address));
}

void desk_take(struct desk *desk, struct snapshot_master *master)
{
    struct snapshot_master *before = desk->shown;
    enum fence fence = desk->fence;
    bool moves;

    if (master == before) {
        if (desk->first) {
            desk_wake(desk); /* a stall may be over */
        }
        return;
    }
    desk->shown = master ? snapshot_master_ref(master) : NULL;
    desk->serves = master && master->has_address &&
                   (master->state == MASTER_OK || master->state == MASTER_UNVERIFIED);
    desk->fence = master ? master->fence : FENCE_DOWN;
    moves = master && is_other_generation(desk);
    if (moves || desk->fence != FENCE_UP) {
        doubts_end(desk, moves || desk->fence == FENCE_PROMOTING);
    }
    if (moves) {
        begin_generation(desk);
    } else if (fence == FENCE_DOWN && desk->fence != FENCE_DOWN && desk->master) {
        node_withdraw(desk->master);
    }
    forget_replicas(desk);
    snapshot_master_unref(before);
    desk_wake(desk);
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

struct desk *desk_new(struct pool *pool, const char *name)
{
    struct desk *desk = mem_new(1, sizeof(*desk));

    desk->pool = pool;
    desk->name = mem_strdup(name);
    desk->login = login_of(pool, name);
    desk->timer = loop_timer_new(pool->loop, on_timer, desk);
    desk->doubt_timer = loop_timer_new(pool->loop, doubts_due, desk);
    desk->dispatch = (struct loop_later){.run = dispatch, .data = desk};
    return desk;
}

void desk_free(struct desk *desk)
{
    struct node *master = desk->master;

    desk->master = NULL;
    node_free(master);
    while (desk->n_replicas > 0) {
        node_free(desk->replicas[--desk->n_replicas]);
    }
    loop_later_cancel(desk->pool->loop, &desk->dispatch);
    loop_timer_free(desk->timer);
    loop_timer_free(desk->doubt_timer);
    command_book_free(desk->book);
    snapshot_master_unref(desk->shown);
    free(desk->replicas);
    free(desk->name);
    free(desk);
}
