/*
 * Writes that were answered while the fence is up. They were sent before, but a server that has
 * much to do runs them late, maybe in the very moment in which the replica is promoted, and word of
 * that comes over another way than the answer. So such an answer is kept for a moment, as long as
 * anything that was written has to reach the replica: where the promotion begins in that time,
 * nobody knows whether it did.
 */
#include "bellwether/base/clock.h"
#include "pool_internal.h"

enum { DOUBT_MS = 50 };

static void link_task(struct desk *desk, struct pool_task *task)
{
    task->previous_doubted = NULL;
    task->next_doubted = desk->doubted;
    if (desk->doubted) {
        desk->doubted->previous_doubted = task;
    }
    desk->doubted = task;
}

void doubts_forget(struct pool_task *task)
{
    struct pool_task *next = task->next_doubted, *previous = task->previous_doubted;

    if (!previous && task->desk->doubted != task) {
        return;
    }
    if (previous) {
        previous->next_doubted = next;
    } else {
        task->desk->doubted = next;
    }
    if (next) {
        next->previous_doubted = previous;
    }
    task->next_doubted = task->previous_doubted = NULL;
}

void doubt_item(struct pool_task *task, size_t i)
{
    struct desk *desk = task->desk;

    if (task->n_doubted++ == 0) {
        link_task(desk, task);
    }
    task->states[i].doubted_ms = clock_boot_ms();
    if (!loop_timer_armed(desk->doubt_timer)) {
        loop_timer_start(desk->doubt_timer, DOUBT_MS);
    }
}

/*
 * Those answered by `until_ms` are believed. @param rest whether the others are lost; else they
 * stay.
 */
static void look_at_task(struct pool_task *task, int64_t until_ms, bool rest)
{
    for (size_t i = 0; i < task->job->n_items && task->n_doubted > 0; i++) {
        int64_t doubted_ms = task->states[i].doubted_ms;

        if (doubted_ms != 0 && (doubted_ms <= until_ms || rest)) {
            task_end_doubt(task, i, doubted_ms <= until_ms);
        }
    }
    if (task->n_doubted == 0) {
        doubts_forget(task);
    }
}

static void look(struct desk *desk, int64_t until_ms, bool rest)
{
    struct pool_task *next;

    for (struct pool_task *task = desk->doubted; task; task = next) {
        next = task->next_doubted;
        look_at_task(task, until_ms, rest);
    }
}

/*
 * Not before this thread has read what the watcher has heard: a promotion may have begun long ago
 * where it was busy.
 */
void doubts_due(void *data)
{
    struct desk *desk = data;

    if (pool_is_behind(desk->pool)) {
        loop_timer_start(desk->doubt_timer, 1);
        return;
    }
    look(desk, clock_boot_ms() - DOUBT_MS, false);
    if (desk->doubted) {
        loop_timer_start(desk->doubt_timer, DOUBT_MS / 2);
    }
}

/*
 * What counts is when the leader spoke, whenever that is read here. Where nobody heard it speak no
 * answer is old enough.
 */
void doubts_end(struct desk *desk, bool promoted)
{
    look(desk, promoted ? desk->shown->promoting_ms - DOUBT_MS : INT64_MAX, true);
}
