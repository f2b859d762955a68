/*
 * Writes that were answered while the fence is up, or while the watcher is late. They were sent
 * before, but a server that has much to do runs them late, maybe in the very moment in which the
 * replica is promoted, and word of that comes over another way than the answer. So such an answer
 * is kept for a moment, as long as anything that was written has to reach the replica: where the
 * promotion begins in that time, nobody knows whether it did.
 */
#include "held_reply.h"

#include "bellwether/base/clock.h"
#include "bellwether/topology/write_fence.h"
#include "request_outcome.h"

void held_reply_keep(struct request_run *run, size_t i)
{
    struct master_pool *master_pool = run->master_pool;

    command_run_move(run, i, COMMAND_HELD);
    run->commands[i].held_ms = clock_boot_ms();
    pool_keep_up(master_pool->pool);
    if (!loop_timer_armed(master_pool->held_reply_timer)) {
        loop_timer_start(master_pool->held_reply_timer,
                         pool_is_late(master_pool->pool) ? 1 : FENCE_HOLD_MS);
    }
}

/* A command whose answer is held ends with it, or, since a promotion began, nobody knows. */
static void end(struct request_run *run, size_t i, bool believed)
{
    if (believed) {
        command_run_ends(run, i, OUTCOME_DONE);
    } else {
        buffer_release(&run->request->commands[i].json);
        command_run_move(run, i, COMMAND_WAITING);
        (void)command_run_settle(run, i, NULL, MISHAP_FENCED, NULL);
    }
}

/*
 * Answers that came by `until_ms` are believed. @param rest whether the others are lost; else they
 * stay.
 */
static void look(struct master_pool *master_pool, int64_t until_ms, bool rest)
{
    LIST_EACH_MAY_LEAVE(struct request_run, run, &master_pool->held, held) {
        for (size_t i = 0; i < run->request->n_commands && run->n[COMMAND_HELD] > 0; i++) {
            bool believed = run->commands[i].held_ms <= until_ms;

            if (run->commands[i].state == COMMAND_HELD && (believed || rest)) {
                end(run, i, believed);
            }
        }
    }
}

/*
 * Answers are believed not before the watcher has heard what came before them, and this thread has
 * read that: where either was busy a promotion may have begun long ago. Then those are, at once,
 * for which there is no fence.
 */
void held_replies_due(void *data)
{
    struct master_pool *master_pool = data;
    bool fenced = master_pool->fence != FENCE_DOWN;

    if (master_pool_is_in_doubt(master_pool)) {
        pool_keep_up(master_pool->pool);
        loop_timer_start(master_pool->held_reply_timer, 1);
        return;
    }
    look(master_pool, fenced ? clock_boot_ms() - FENCE_HOLD_MS : INT64_MAX, false);
    if (master_pool->held.first) {
        loop_timer_start(master_pool->held_reply_timer, FENCE_HOLD_MS / 2);
    }
}

/*
 * What counts is when the leader spoke, whenever that is read here. Where nobody heard it speak no
 * answer is old enough.
 */
void held_replies_end(struct master_pool *master_pool)
{
    look(master_pool, master_pool->shown->promoting_ms - FENCE_HOLD_MS, true);
}
