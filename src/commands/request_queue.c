/* Lists of requests: all of a pool by their deadlines, and those of a master pool that wait. */
#include "request_queue.h"

#include "bellwether/base/clock.h"

/* ---- deadlines ---- */

/* All requests have the same time, so a new one's deadline is the last. */
void request_deadline_start(struct request_run *run)
{
    struct pool *pool = run->master_pool->pool;

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

void request_deadline_stop(struct request_run *run)
{
    struct pool *pool = run->master_pool->pool;

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

/* ---- the queue ---- */

void request_queue_add(struct request_run *run)
{
    struct master_pool *master_pool = run->master_pool;

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

void request_queue_remove(struct request_run *run)
{
    struct master_pool *master_pool = run->master_pool;

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

void request_queue_wake(struct master_pool *master_pool)
{
    loop_later_queue(master_pool->pool->loop, &master_pool->dispatch);
}
