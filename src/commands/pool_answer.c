/*
 * What comes back for a command: an answer that is taken as it is, or a mishap that is settled by
 * the table in settle.c. And the commands in flight, which stand for commands on the wire.
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

static struct settle_facts facts_of(const struct request_run *run, size_t i)
{
    return (struct settle_facts){.read_only = run->states[i].read_only,
                                 .script = run->states[i].script,
                                 .retry_always = run->request->retry_always};
}

void request_run_say_unknown(struct request_run *run, size_t i, enum mishap mishap)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(&run->request->ran_at, text);
    if (mishap == MISHAP_FENCED) {
        request_run_item_fails(
            run, i, ITEM_UNKNOWN,
            "UNKNOWN %s answered after a failover had begun to promote another node: what was written may be "
            "lost",
            text);
    } else if (mishap == MISHAP_DEADLINE) {
        request_run_item_fails(run, i, ITEM_UNKNOWN,
                               "UNKNOWN %s did not answer within %" PRId64 " ms; it may have run",
                               text, run->master_pool->pool->config->command_timeout_ms);
    } else {
        request_run_item_fails(
            run, i, ITEM_UNKNOWN,
            "UNKNOWN the connection to %s was lost after it was sent; it may have run", text);
    }
}

/*
 * The replies to one request come together in memory: what bounds one of them bounds them all.
 * Small ones are free, their number is bounded by the request's own size.
 */
static bool is_too_much(struct request_run *run, const struct result *result)
{
    size_t size = result->json.size, max = run->master_pool->pool->config->max_reply_bytes;

    if (size <= SMALL_REPLY_BYTES) {
        return false;
    }
    if (run->json_bytes > 0 && (run->json_bytes > max || size > max - run->json_bytes)) {
        return true;
    }
    run->json_bytes += size;
    return false;
}

/*
 * Words that `words` has no room for. They count with the answers: beyond what those may take the
 * rest is left out.
 */
static void keep_whole(struct request_run *run, size_t i, const struct result *result, bool refused)
{
    struct buffer *out = &run->request->items[i].json;
    size_t max = run->master_pool->pool->config->max_reply_bytes;
    char where[48];

    if (result->whole.size == 0 || run->json_bytes > max ||
        result->whole.size > max - run->json_bytes) {
        return;
    }
    run->json_bytes += result->whole.size;
    if (refused) {
        snprintf(where, sizeof(where), " (command %u: ", result->refused_member + 1);
        buffer_add_text(out, result->error);
        buffer_add_text(out, where);
    }
    buffer_add(out, result->whole.bytes, result->whole.size);
    buffer_add(out, refused ? ")" : "", refused ? 2 : 1); /* terminated */
    out->size--;
}

static void take_error(struct request_run *run, size_t i, const struct result *result)
{
    bool refused = result->exec && result->refused[0] != '\0';

    if (!refused || result->refused_member != RESULT_MULTI) {
        keep_whole(run, i, result, refused);
    }

    if (refused && result->refused_member == RESULT_MULTI) {
        request_run_item_fails(
            run, i, ITEM_UNKNOWN,
            "UNKNOWN the server refused MULTI, so its commands may have run one by one: %.140s",
            result->refused);
    } else if (refused) {
        request_run_item_fails(run, i, ITEM_ERROR, "%.100s (command %u: %.140s)", result->error,
                               result->refused_member + 1, result->refused);
    } else {
        request_run_item_fails(run, i, ITEM_ERROR, "%s", result->error);
    }
}

static void take(struct request_run *run, size_t i, struct result *result)
{
    if (result->kind == RESULT_ERROR) {
        take_error(run, i, result);
        return;
    }
    if (result->kind == RESULT_NO_MEMORY) {
        request_run_item_fails(run, i, ITEM_TOO_BIG, NO_MEMORY);
        return;
    }
    if (is_too_much(run, result)) {
        request_run_item_fails(
            run, i, ITEM_TOO_BIG,
            "TOOBIG it has run, but the replies to this request are together over %zu bytes (option max-reply)",
            run->master_pool->pool->config->max_reply_bytes);
        return;
    }
    run->request->items[i].json = result->json;
    result->json = (struct buffer){0};
    if (!run->states[i].read_only &&
        (run->master_pool->fence == FENCE_UP || pool_is_behind(run->master_pool->pool))) {
        held_reply_item(run, i);
    } else {
        request_run_item_ends(run, i, ITEM_DONE);
    }
}

/*
 * What is sent once more may be what makes the server hang up: the second time it is given time,
 * and then it is enough.
 * @return whether it may; else it has ended.
 */
static bool may_go_again(struct request_run *run, size_t i, const struct pool_endpoint *endpoint,
                         enum mishap mishap)
{
    struct item_state *state = &run->states[i];
    char text[ADDRESS_TEXT_SIZE], words[RESULT_ERROR_SIZE / 2];

    if (mishap == MISHAP_UNSENT) {
        if (state->unsent < UNSENT_WITHOUT_REST) {
            state->unsent++;
        } else {
            request_run_rest(run);
        }
        return true;
    }
    if (!endpoint || endpoint->left) {
        state->resent = 0; /* that it was sent there does not count elsewhere */
    }
    if (state->resent < RESENDS_MAX) {
        if (++state->resent == RESENDS_MAX) {
            request_run_rest(run);
        }
        return true;
    }
    snprintf(words, sizeof(words), "NOTSENT %s did not run it in %d attempts",
             address_format(&run->request->ran_at, text), RESENDS_MAX + 1);
    if (mishap == MISHAP_LOST && run->states[i].may_have_run) {
        request_run_item_fails(
            run, i, ITEM_UNKNOWN,
            "UNKNOWN the connection to %s was lost each of the %d times that it was sent; it may have run",
            text, RESENDS_MAX + 1);
    } else {
        request_run_refuse_item(run, i, words);
    }
    return false;
}

/*
 * @param node that it was sent to; NULL: another one is being promoted in its place. @param result
 * NULL: there is none.
 */
static void settle_item(struct request_run *run, size_t i, const struct pool_endpoint *endpoint,
                        enum mishap mishap, struct result *result)
{
    struct settle_facts facts = facts_of(run, i);
    enum metric_retry reason = METRIC_RETRY_COUNT;

    switch (settle(mishap, &facts, &reason)) {
    case SETTLE_REST:
        snprintf(run->request->items[i].words, sizeof(run->request->items[i].words), "%s",
                 mishap == MISHAP_EXECABORT && result->refused[0] != '\0' ? result->refused
                                                                          : result->error);
        if (may_go_again(run, i, endpoint, mishap)) {
            request_run_rest(run);
            request_run_run_again(run, i, reason);
        }
        break;
    case SETTLE_RUN_AGAIN:
        if (mishap != MISHAP_UNSENT && mishap != MISHAP_UNWRITTEN) {
            run->states[i].may_have_run = true;
        }
        if (may_go_again(run, i, endpoint, mishap)) {
            request_run_run_again(run, i, reason);
        }
        break;
    case SETTLE_TAKE:
        if (result) {
            take(run, i, result);
            break;
        }
        __attribute__((fallthrough));
    case SETTLE_UNKNOWN: request_run_say_unknown(run, i, mishap); break;
    case SETTLE_NOT_SENT: break; /* said by request_run_refuse() */
    }
}

/* @param kept whether its answer counts. */
void request_run_drop_held_reply(struct request_run *run, size_t i, bool kept)
{
    run->states[i].doubted_ms = 0;
    run->n_doubted--;
    if (!kept) {
        buffer_release(&run->request->items[i].json);
    }
}

void request_run_end_held_reply(struct request_run *run, size_t i, bool believed)
{
    request_run_drop_held_reply(run, i, believed);
    if (believed) {
        request_run_item_ends(run, i, ITEM_DONE);
    } else {
        settle_item(run, i, NULL, MISHAP_FENCED, NULL);
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
static bool is_fenced(const struct request_run *run, size_t i, const struct pool_endpoint *endpoint)
{
    return endpoint == run->master_pool->master && run->master_pool->fence == FENCE_PROMOTING &&
           !run->states[i].read_only;
}

/* @return MISHAPS: a plain answer. */
static enum mishap mishap_of(const struct request_run *run, size_t i, const struct result *result,
                             const struct pool_endpoint *endpoint)
{
    if (result->kind == RESULT_ERROR) {
        return result->exec ? exec_mishap(result) : settle_refusal(result->error);
    }
    return is_fenced(run, i, endpoint) ? MISHAP_FENCED : MISHAPS;
}

static void tell_refusal(struct pool_endpoint *endpoint, enum mishap mishap)
{
    pool_tell(endpoint, mishap == MISHAP_READONLY || mishap == MISHAP_EXECABORT
                            ? SUSPICION_READ_ONLY
                            : SUSPICION_LOADING);
}

static void answered(struct request_run *run, size_t i, struct result *result,
                     struct pool_endpoint *endpoint)
{
    enum mishap mishap = mishap_of(run, i, result, endpoint);

    if (result->exec && result->refused[0] != '\0' && result->refused_member == RESULT_MULTI) {
        /* it was not so when it was asked: the next transaction asks again */
        endpoint->multi_known = false;
    }
    if (i > run->next_item && run->states[i].read_only) {
        run->states[i].may_have_run = true;
        if (may_go_again(run, i, endpoint, MISHAPS)) {
            request_run_run_again(run, i, METRIC_RETRY_IN_ORDER);
        }
        return;
    }
    if (mishap == MISHAPS) {
        take(run, i, result);
        return;
    }
    if (mishap != MISHAP_FENCED && endpoint->is_replica) {
        struct address address = endpoint->address;

        request_run_run_again(run, i, METRIC_RETRY_NEXT_REPLICA);
        request_run_leave_endpoint(run, &address);
        return;
    }
    if (mishap != MISHAP_FENCED) {
        tell_refusal(endpoint, mishap);
    }
    settle_item(run, i, endpoint, mishap, result);
}

/*
 * Slots come and go by the dozen with each turn: more than malloc() keeps at hand of a size. What a
 * new one must have is set by whoever sends it.
 */
struct in_flight *in_flight_new(struct pool *pool)
{
    struct in_flight *flight = pool->spare;

    if (!flight) {
        return budget_new(1, sizeof(*flight));
    }
    pool->spare = flight->next;
    pool->n_spare--;
    return flight;
}

static void in_flight_free(struct pool *pool, struct in_flight *flight)
{
    result_release(&flight->expect.result);
    if (pool->n_spare == SPARE_SLOTS_MAX) {
        budget_free(flight);
        return;
    }
    flight->next = pool->spare;
    pool->spare = flight;
    pool->n_spare++;
}

void slots_free(struct pool *pool)
{
    while (pool->spare) {
        struct in_flight *flight = pool->spare;

        pool->spare = flight->next;
        budget_free(flight);
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

void in_flight_done(struct redis_expect *expect, enum redis_fail why, bool written)
{
    struct in_flight *flight = (struct in_flight *)expect;
    struct pool_conn *pool_conn = flight->pool_conn;
    struct request_run *run = flight->run;
    struct pool *pool = pool_conn->endpoint->master_pool->pool;
    size_t i = flight->item;

    metric_move(&pool->counts->inflight, -1);
    pool_conn_release(pool_conn, run != NULL, why == REDIS_FAIL_NONE || why == REDIS_FAIL_TOO_BIG);
    if (run) {
        run->states[i].flight = NULL;
        if (--run->flying == 0 && run->queued) {
            master_pool_wake(run->master_pool);
        }
        if (why == REDIS_FAIL_NONE) {
            answered(run, i, &flight->expect.result, pool_conn->endpoint);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(run, i, pool_conn->endpoint) &&
                   flight->expect.result.kind == RESULT_NO_MEMORY) {
            request_run_item_fails(run, i, ITEM_TOO_BIG, NO_MEMORY);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(run, i, pool_conn->endpoint)) {
            request_run_item_fails(
                run, i, ITEM_TOO_BIG,
                "TOOBIG it has run, but its reply is over %zu bytes (option max-reply)",
                pool->config->max_reply_bytes);
        } else {
            settle_item(run, i, pool_conn->endpoint,
                        lost_how(why, redis_conn_has_begun(pool_conn->conn, expect), written),
                        NULL);
        }
    }
    in_flight_free(pool, flight);
}
