/*
 * A run from its allocation to its end: the states of its commands, and the lists in which it
 * stands: with all of the pool, by their deadlines, and with those of a master pool that wait.
 */
#include "request_run.h"

#include <stdlib.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"

/* One allocation holds the run, and what its caller and the pool keep of each command. */
struct request_run *request_run_new(struct master_pool *master_pool, struct pool_request *request)
{
    size_t n = request->transaction ? 1 : request->batch->n;
    struct request_run *run =
        budget_new(1, sizeof(*run) + n * (sizeof(*run->commands) + sizeof(*request->commands)));

    run->commands = (struct command_run *)(run + 1);
    request->commands = (struct pool_command *)(run->commands + n);
    request->n_commands = run->n[COMMAND_WAITING] = n;
    request->run = run;
    run->request = request;
    run->is_new = true;
    run->target = request->target;
    run->master_pool = master_pool;
    master_pool->n_runs++;
    run->arrived_us = clock_boot_us();
    run->deadline_ms = run->arrived_us / 1000 + master_pool->pool->config->command_timeout_ms;
    for (size_t i = 0; i < n; i++) {
        request->commands[i].outcome = OUTCOME_PENDING;
    }
    return run;
}

void request_run_free(struct request_run *run)
{
    if (run) {
        free(run->tried);
        budget_free(run);
    }
}

void command_run_move(struct request_run *run, size_t i, enum command_state state)
{
    enum command_state before = run->commands[i].state;

    run->commands[i].state = state;
    run->n[before]--;
    if (run->n[state]++ == 0 && state == COMMAND_HELD) {
        list_insert_after(&run->master_pool->held, NULL, &run->held);
    }
    if (before == COMMAND_HELD && run->n[COMMAND_HELD] == 0) {
        list_remove(&run->master_pool->held, &run->held);
    }
}

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
