/*
 * What comes back for a command: an answer that is taken as it is, or a mishap that is settled by
 * the table in settle.c. And the commands in flight, which stand for commands on the wire.
 */
#include "in_flight.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "held_reply.h"
#include "request_outcome.h"
#include "request_run.h"

#define NO_MEMORY \
    "TOOBIG it has run, but there is no memory left for its reply, which was dropped (option max-memory)"

enum { SMALL_REPLY_BYTES = 64, SPARE_MAX = 1024 };

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
    struct buffer *out = &run->request->commands[i].json;
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

    if (refused && result->refused_member == RESULT_MULTI) {
        command_run_fails(
            run, i, OUTCOME_UNKNOWN,
            "UNKNOWN the server refused MULTI, so its commands may have run one by one: %.140s",
            result->refused);
        return;
    }
    keep_whole(run, i, result, refused);
    if (refused) {
        command_run_fails(run, i, OUTCOME_ERROR, "%.100s (command %u: %.140s)", result->error,
                          result->refused_member + 1, result->refused);
    } else {
        command_run_fails(run, i, OUTCOME_ERROR, "%s", result->error);
    }
}

static void take(struct request_run *run, size_t i, struct result *result)
{
    if (result->kind == RESULT_ERROR) {
        take_error(run, i, result);
        return;
    }
    if (result->kind == RESULT_NO_MEMORY) {
        command_run_fails(run, i, OUTCOME_TOO_BIG, NO_MEMORY);
        return;
    }
    if (is_too_much(run, result)) {
        command_run_fails(
            run, i, OUTCOME_TOO_BIG,
            "TOOBIG it has run, but the replies to this request are together over %zu bytes (option max-reply)",
            run->master_pool->pool->config->max_reply_bytes);
        return;
    }
    run->request->commands[i].json = result->json;
    result->json = (struct buffer){0};
    if (!run->commands[i].read_only &&
        (run->master_pool->fence == FENCE_UP || master_pool_is_in_doubt(run->master_pool))) {
        held_reply_keep(run, i);
    } else {
        command_run_ends(run, i, OUTCOME_DONE);
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
           !run->commands[i].read_only;
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

static void answered(struct request_run *run, size_t i, struct result *result,
                     struct pool_endpoint *endpoint)
{
    enum mishap mishap = mishap_of(run, i, result, endpoint);

    if (result->exec && result->refused[0] != '\0' && result->refused_member == RESULT_MULTI) {
        /* it was not so when it was asked: the next transaction asks again */
        endpoint_doubt_multi(endpoint);
    }
    if (i > run->next && run->commands[i].read_only) {
        run->commands[i].may_have_run = true;
        if (command_run_may_go_again(run, i, endpoint, MISHAPS)) {
            command_run_again(run, i, METRIC_RETRY_IN_ORDER);
        }
        return;
    }
    if (mishap == MISHAPS) {
        take(run, i, result);
        return;
    }
    if (mishap != MISHAP_FENCED && endpoint->is_replica) {
        command_run_again(run, i, METRIC_RETRY_NEXT_REPLICA);
        request_run_leave_replica(run, &endpoint->address);
        return;
    }
    if (mishap != MISHAP_FENCED) {
        endpoint_tell(endpoint, mishap == MISHAP_READONLY || mishap == MISHAP_EXECABORT
                                    ? SUSPICION_READ_ONLY
                                    : SUSPICION_LOADING);
    }
    if (command_run_settle(run, i, endpoint, mishap, result)) {
        take(run, i, result);
    }
}

/*
 * They come and go by the dozen with each turn: more than malloc() keeps at hand of a size. What
 * one that is used again must have is set by whoever sends it.
 */
struct in_flight *in_flight_new(struct pool *pool)
{
    struct list_link *link = list_take_first(&pool->spare);

    if (!link) {
        return budget_new(1, sizeof(struct in_flight));
    }
    pool->n_spare--;
    return LIST_OWNER(link, struct in_flight, spare);
}

static void in_flight_free(struct pool *pool, struct in_flight *flight)
{
    result_release(&flight->expect.result);
    if (pool->n_spare == SPARE_MAX) {
        budget_free(flight);
        return;
    }
    list_insert_after(&pool->spare, NULL, &flight->spare);
    pool->n_spare++;
}

void in_flight_free_spare(struct pool *pool)
{
    for (struct list_link *link; (link = list_take_first(&pool->spare));) {
        budget_free(LIST_OWNER(link, struct in_flight, spare));
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
    const struct master_pool *master_pool = pool_conn->endpoint->owner->data;
    struct pool *pool = master_pool->pool;
    size_t i = flight->command;

    metric_move(&pool->counts->inflight, -1);
    pool_conn_release(pool_conn, run != NULL, why == REDIS_FAIL_NONE || why == REDIS_FAIL_TOO_BIG);
    if (run) {
        command_run_move(run, i, COMMAND_WAITING);
        if (run->n[COMMAND_IN_FLIGHT] == 0 && request_run_waits(run)) {
            master_pool_wake(run->master_pool);
        }
        if (why == REDIS_FAIL_NONE) {
            answered(run, i, &flight->expect.result, pool_conn->endpoint);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(run, i, pool_conn->endpoint) &&
                   flight->expect.result.kind == RESULT_NO_MEMORY) {
            command_run_fails(run, i, OUTCOME_TOO_BIG, NO_MEMORY);
        } else if (why == REDIS_FAIL_TOO_BIG && !is_fenced(run, i, pool_conn->endpoint)) {
            command_run_fails(
                run, i, OUTCOME_TOO_BIG,
                "TOOBIG it has run, but its reply is over %zu bytes (option max-reply)",
                pool->config->max_reply_bytes);
        } else {
            (void)command_run_settle(
                run, i, pool_conn->endpoint,
                lost_how(why, redis_conn_has_begun(pool_conn->conn, expect), written), NULL);
        }
    }
    in_flight_free(pool, flight);
}
