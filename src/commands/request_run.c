/* Lists of requests: all of a pool by their deadlines, and those of a master pool that wait. */
#include "request_run.h"

#include "bellwether/base/clock.h"

/* All requests have the same time, so a new one's deadline is the last. */
void request_run_start_deadline(struct request_run *run)
{
    struct pool *pool = run->master_pool->pool;

    list_append(&pool->by_deadline, &run->by_deadline);
    if (!loop_timer_armed(pool->deadline_timer)) {
        loop_timer_start(pool->deadline_timer, run->deadline_ms - clock_boot_ms());
    }
}

void request_run_stop_deadline(struct request_run *run)
{
    struct list *all = &run->master_pool->pool->by_deadline;

    if (list_holds(all, &run->by_deadline)) {
        list_remove(all, &run->by_deadline);
    }
}

bool request_run_waits(const struct request_run *run)
{
    return list_holds(&run->master_pool->waiting, &run->waiting);
}

static void count(struct master_pool *master_pool, int by)
{
    master_pool->n_waiting += (size_t)by;
    metric_move(&master_pool->pool->counts->waiting, by);
    atomic_fetch_add_explicit(master_pool->pool->waiting, (size_t)by, memory_order_relaxed);
}

void request_run_wait(struct request_run *run)
{
    if (!request_run_waits(run)) {
        list_append(&run->master_pool->waiting, &run->waiting);
        count(run->master_pool, 1);
    }
}

void request_run_stop_waiting(struct request_run *run)
{
    if (request_run_waits(run)) {
        list_remove(&run->master_pool->waiting, &run->waiting);
        count(run->master_pool, -1);
    }
}
