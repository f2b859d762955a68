/*
 * What comes back for a command: an answer that is taken as it is, or a mishap that is settled by
 * the table in settle.c. And the slots, which stand for commands on the wire.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "pool_internal.h"

#define NO_MEMORY \
    "TOOBIG it has run, but there is no memory left for its reply, which was dropped (option max-memory)"

enum { UNSENT_WITHOUT_REST = 2, RESENDS_MAX = 2, SMALL_REPLY_BYTES = 64, SPARE_SLOTS_MAX = 1024 };

static struct settle_facts facts_of(const struct pool_task *task, size_t i)
{
    return (struct settle_facts){.read_only = task->states[i].read_only,
                                 .script = task->states[i].script,
                                 .retry_always = task->job->retry_always};
}

void task_say_unknown(struct pool_task *task, size_t i, enum mishap mishap)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(&task->job->ran_at, text);
    if (mishap == MISHAP_FENCED) {
        task_item_fails(
            task, i, ITEM_UNKNOWN,
            "UNKNOWN %s answered after a failover had begun to promote another node: what was written may be "
            "lost",
            text);
    } else if (mishap == MISHAP_DEADLINE) {
        task_item_fails(task, i, ITEM_UNKNOWN,
                        "UNKNOWN %s did not answer within %" PRId64 " ms; it may have run", text,
                        task->desk->pool->config->command_timeout_ms);
    } else {
        task_item_fails(task, i, ITEM_UNKNOWN,
                        "UNKNOWN the connection to %s was lost after it was sent; it may have run",
                        text);
    }
}

/*
 * The replies to one request come together in memory: what bounds one of them bounds them all.
 * Small ones are free, their number is bounded by the request's own size.
 */
static bool is_too_much(struct pool_task *task, const struct result *result)
{
    size_t size = result->json.size, max = task->desk->pool->config->max_reply_bytes;

    if (size <= SMALL_REPLY_BYTES) {
        return false;
    }
    if (task->json_bytes > 0 && (task->json_bytes > max || size > max - task->json_bytes)) {
        return true;
    }
    task->json_bytes += size;
    return false;
}

/*
 * Words that `words` has no room for. They count with the answers: beyond what those may take the
 * rest is left out.
 */
static void keep_whole(struct pool_task *task, size_t i, const struct result *result, bool refused)
{
    struct buffer *out = &task->job->items[i].json;
    size_t max = task->desk->pool->config->max_reply_bytes;
    char where[48];

    if (result->whole.size == 0 || task->json_bytes > max ||
        result->whole.size > max - task->json_bytes) {
        return;
    }
    task->json_bytes += result->whole.size;
    if (refused) {
        snprintf(where, sizeof(where), " (command %u: ", result->refused_member + 1);
        buffer_add_text(out, result->error);
        buffer_add_text(out, where);
    }
    buffer_add(out, result->whole.bytes, result->whole.size);
    buffer_add(out, refused ? ")" : "", refused ? 2 : 1); /* terminated */
    out->size--;
}

static void take_error(struct pool_task *task, size_t i, const struct result *result)
{
    bool refused = result->exec && result->refused[0] != '\0';

    if (!refused || result->refused_member != RESULT_MULTI) {
        keep_whole(task, i, result, refused);
    }

    if (refused && result->refused_member == RESULT_MULTI) {
        task_item_fails(
            task, i, ITEM_UNKNOWN,
            "UNKNOWN the server refused MULTI, so its commands may have run one by one: %.140s",
            result->refused);
    } else if (refused) {
        task_item_fails(task, i, ITEM_ERROR, "%.100s (command %u: %.140s)", result->error,
                        result->refused_member + 1, result->refused);
    } else {
        task_item_fails(task, i, ITEM_ERROR, "%s", result->error);
    }
}

static void take(struct pool_task *task, size_t i, struct result *result)
{
    if (result->kind == RESULT_ERROR) {
        take_error(task, i, result);
        return;
    }
    if (result->kind == RESULT_NO_MEMORY) {
        task_item_fails(task, i, ITEM_TOO_BIG, NO_MEMORY);
        return;
    }
    if (is_too_much(task, result)) {
        task_item_fails(
            task, i, ITEM_TOO_BIG,
            "TOOBIG it has run, but the replies to this request are together over %zu bytes (option max-reply)",
            task->desk->pool->config->max_reply_bytes);
        return;
    }
    task->job->items[i].json = result->json;
    result->json = (struct buffer){0};
    if (!task->states[i].read_only &&
        (task->desk->fence == FENCE_UP || pool_is_behind(task->desk->pool))) {
        doubt_item(task, i);
    } else {
        task_item_ends(task, i, ITEM_DONE);
    }
}

/*
 * What is sent once more may be what makes the server hang up: the second time it is given time,
 * and then it is enough.
 * @return whether it may; else it has ended.
 */
static bool may_go_again(struct pool_task *task, size_t i, const struct node *node,
                         enum mishap mishap)
{
    struct item_state *state = &task->states[i];
    char text[ADDRESS_TEXT_SIZE], words[RESULT_ERROR_SIZE / 2];

    if (mishap == MISHAP_UNSENT) {
        if (state->unsent < UNSENT_WITHOUT_REST) {
            state->unsent++;
        } else {
            task_rest(task);
        }
        return true;
    }
    if (!node || node->left) {
        state->resent = 0; /* that it was sent there does not count elsewhere */
    }
    if (state->resent < RESENDS_MAX) {
        if (++state->resent == RESENDS_MAX) {
            task_rest(task);
        }
        return true;
    }
    snprintf(words, sizeof(words), "NOTSENT %s did not run it in %d attempts",
             address_format(&task->job->ran_at, text), RESENDS_MAX + 1);
    if (mishap == MISHAP_LOST && task->states[i].may_have_run) {
        task_item_fails(
            task, i, ITEM_UNKNOWN,
            "UNKNOWN the connection to %s was lost each of the %d times that it was sent; it may have run",
            text, RESENDS_MAX + 1);
    } else {
        task_refuse_item(task, i, words);
    }
    return false;
}

/*
 * @param node that it was sent to; NULL: another one is being promoted in its place. @param result
 * NULL: there is none.
 */
static void settle_item(struct pool_task *task, size_t i, const struct node *node,
                        enum mishap mishap, struct result *result)
{
    struct settle_facts facts = facts_of(task, i);
    enum metric_retry reason = METRIC_RETRY_COUNT;

    switch (settle(mishap, &facts, &reason)) {
    case SETTLE_REST:
        snprintf(task->job->items[i].words, sizeof(task->job->items[i].words), "%s",
                 mishap == MISHAP_EXECABORT && result->refused[0] != '\0' ? result->refused
                                                                          : result->error);
        if (may_go_again(task, i, node, mishap)) {
            task_rest(task);
            task_run_again(task, i, reason);
        }
        break;
    case SETTLE_RUN_AGAIN:
        if (mishap != MISHAP_UNSENT && mishap != MISHAP_UNWRITTEN) {
            task->states[i].may_have_run = true;
        }
        if (may_go_again(task, i, node, mishap)) {
            task_run_again(task, i, reason);
        }
        break;
    case SETTLE_TAKE:
        if (result) {
            take(task, i, result);
            break;
        }
        __attribute__((fallthrough));
    case SETTLE_UNKNOWN: task_say_unknown(task, i, mishap); break;
    case SETTLE_NOT_SENT: break; /* said by task_refuse() */
    }
}

/* @param kept whether its answer counts. */
void task_drop_doubt(struct pool_task *task, size_t i, bool kept)
{
    task->states[i].doubted_ms = 0;
    task->n_doubted--;
    if (!kept) {
        buffer_release(&task->job->items[i].json);
    }
}

void task_end_doubt(struct pool_task *task, size_t i, bool believed)
{
    task_drop_doubt(task, i, believed);
    if (believed) {
        task_item_ends(task, i, ITEM_DONE);
    } else {
        settle_item(task, i, NULL, MISHAP_FENCED, NULL);
    }
}

/*
 * A transaction is discarded because a member was refused, or EXEC itself was, which then says why.
 */
static enum mishap exec_mishap(const struct result *result)
{
    static const char discarded[] = "EXECABORT", because[] = " because of: ";
    const char *words = strstr(result->error, because);

    if (strncmp(result->error, discarded, sizeof(discarded) - 1) != 0) {
        return settle_refusal(result->error);
    }
    words = words ? words + sizeof(because) - 1 : result->refused;
    return settle_refusal(words) != MISHAPS ? MISHAP_EXECABORT : MISHAPS;
}

/* Whether what it wrote may be lost: the old master answers, and another one is being promoted. */
static bool is_fenced(const struct pool_task *task, size_t i, const struct node *node)
{
    return node == task->desk->master && task->desk->fence == FENCE_PROMOTING &&
           !task->states[i].read_only;
}

/* @return MISHAPS: a plain answer. */
static enum mishap mishap_of(const struct pool_task *task, size_t i, const struct result *result,
                             const struct node *node)
{
    if (result->kind == RESULT_ERROR) {
        return result->exec ? exec_mishap(result) : settle_refusal(result->error);
    }
    return is_fenced(task, i, node) ? MISHAP_FENCED : MISHAPS;
}

static void tell_refusal(struct node *node, enum mishap mishap)
{
    pool_tell(node, mishap == MISHAP_READONLY || mishap == MISHAP_EXECABORT ? SUSPICION_READ_ONLY
                                                                            : SUSPICION_LOADING);
}

static void answered(struct pool_task *task, size_t i, struct result *result, struct node *node)
{
    enum mishap mishap = mishap_of(task, i, result, node);

    if (result->exec && result->refused[0] != '\0' && result->refused_member == RESULT_MULTI) {
        /* it was not so when it was asked: the next transaction asks again */
        node->multi_known = false;
    }
    if (i > task->next_item && task->states[i].read_only) {
        task->states[i].may_have_run = true;
        if (may_go_again(task, i, node, MISHAPS)) {
            task_run_again(task, i, METRIC_RETRY_IN_ORDER);
        }
        return;
    }
    if (mishap == MISHAPS) {
        take(task, i, result);
        return;
    }
    if (mishap != MISHAP_FENCED && node->is_replica) {
        struct address address = node->address;

        task_run_again(task, i, METRIC_RETRY_NEXT_REPLICA);
        task_leave_node(task, &address);
        return;
    }
    if (mishap != MISHAP_FENCED) {
        tell_refusal(node, mishap);
    }
    settle_item(task, i, node, mishap, result);
}

/*
 * Slots come and go by the dozen with each turn: more than malloc() keeps at hand of a size. What a
 * new one must have is set by whoever sends it.
 */
struct slot *slot_new(struct pool *pool)
{
    struct slot *slot = pool->spare;

    if (!slot) {
        return budget_new(1, sizeof(*slot));
    }
    pool->spare = slot->next;
    pool->n_spare--;
    return slot;
}

static void slot_free(struct pool *pool, struct slot *slot)
{
    result_release(&slot->expect.result);
    if (pool->n_spare == SPARE_SLOTS_MAX) {
        budget_free(slot);
        return;
    }
    slot->next = pool->spare;
    pool->spare = slot;
    pool->n_spare++;
}

void slots_free(struct pool *pool)
{
    while (pool->spare) {
        struct slot *slot = pool->spare;

        pool->spare = slot->next;
        budget_free(slot);
    }
    pool->n_spare = 0;
}

static enum mishap lost_how(enum redis_fail why, bool begun, bool written)
{
    if (why == REDIS_FAIL_TOO_BIG) {
        return MISHAP_FENCED;
    }
    if (written) {
        return MISHAP_LOST;
    }
    return begun ? MISHAP_UNWRITTEN : MISHAP_UNSENT;
}

void slot_done(struct redis_expect *expect, enum redis_fail why, bool written)
{
    struct slot *slot = (struct slot *)expect;
    struct line *line = slot->line;
    struct pool_task *task = slot->task;
    struct pool *pool = line->node->desk->pool;
    size_t i = slot->item;

    metric_move(&pool->counts->inflight, -1);
    line_release(line, task != NULL, why == REDIS_FAIL_NONE || why == REDIS_FAIL_TOO_BIG);
    if (task) {
        task->states[i].slot = NULL;
        if (--task->flying == 0 && task->queued) {
            desk_wake(task->desk);
        }
        if (why == REDIS_FAIL_NONE) {
            answered(task, i, &slot->expect.result, line->node);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(task, i, line->node) &&
                   slot->expect.result.kind == RESULT_NO_MEMORY) {
            task_item_fails(task, i, ITEM_TOO_BIG, NO_MEMORY);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(task, i, line->node)) {
            task_item_fails(task, i, ITEM_TOO_BIG,
                            "TOOBIG it has run, but its reply is over %zu bytes (option max-reply)",
                            pool->config->max_reply_bytes);
        } else {
            settle_item(task, i, line->node,
                        lost_how(why, redis_conn_has_begun(line->conn, expect), written), NULL);
        }
    }
    slot_free(pool, slot);
}
