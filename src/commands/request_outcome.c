/*
 * What becomes of a command: it ends with an outcome, it is refused, or it runs again. A request
 * has ended once all its commands have.
 */
#include "request_outcome.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "request_run.h"

enum { REST_MIN_MS = 50, REST_MAX_MS = 500, UNSENT_WITHOUT_REST = 2, RESENDS_MAX = 2 };

/* ---- the end ---- */

void request_run_release_fence(struct request_run *run)
{
    struct metrics_redis *counts = run->master_pool->pool->counts;

    if (run->fenced_us == 0) {
        return;
    }
    metric_observe(&counts->fence, METRIC_FENCE_SECONDS, clock_boot_us() - run->fenced_us);
    run->fenced_us = 0;
}

static void finish(struct request_run *run)
{
    struct pool *pool = run->master_pool->pool;
    struct pool_request *request = run->request;

    request_run_release_fence(run);
    request_run_stop_waiting(run);
    request_run_stop_deadline(run);
    if (--run->master_pool->n_runs == 0 && !run->master_pool->shown) {
        master_pool_wake(run->master_pool); /* which may go now */
    }
    metric_observe(&pool->counts->duration, METRIC_COMMAND_DURATION,
                   clock_boot_us() - run->arrived_us);
    if (!run->is_new && request->done) {
        request->done(request);
    }
}

/* A transaction is one command here, which stands for all its members. */
static size_t commands_of(const struct pool_request *request)
{
    return request->transaction ? request->batch->n : 1;
}

static bool may_have_run(enum command_outcome outcome)
{
    return outcome == OUTCOME_DONE || outcome == OUTCOME_ERROR || outcome == OUTCOME_UNKNOWN ||
           outcome == OUTCOME_TOO_BIG;
}

void command_run_ends(struct request_run *run, size_t i, enum command_outcome outcome)
{
    struct metrics_redis *counts = run->master_pool->pool->counts;

    run->request->commands[i].outcome = outcome;
    run->request->wrote |= may_have_run(outcome) && !run->commands[i].read_only;
    metric_add(&counts->commands[outcome], commands_of(run->request));
    command_run_move(run, i, COMMAND_ENDED);
    if (request_run_has_ended(run)) {
        finish(run);
    }
}

void command_run_fails(struct request_run *run, size_t i, enum command_outcome outcome,
                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->request->commands[i].words, sizeof(run->request->commands[i].words), format,
              arguments);
    va_end(arguments);
    command_run_ends(run, i, outcome);
}

void command_run_say_unknown(struct request_run *run, size_t i, enum mishap mishap)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(&run->request->ran_at, text);
    if (mishap == MISHAP_FENCED) {
        command_run_fails(
            run, i, OUTCOME_UNKNOWN,
            "UNKNOWN %s answered after a failover had begun to promote another node: what was written may be "
            "lost",
            text);
    } else if (mishap == MISHAP_DEADLINE) {
        command_run_fails(run, i, OUTCOME_UNKNOWN,
                          "UNKNOWN %s did not answer within %" PRId64 " ms; it may have run", text,
                          run->master_pool->pool->config->command_timeout_ms);
    } else {
        command_run_fails(
            run, i, OUTCOME_UNKNOWN,
            "UNKNOWN the connection to %s was lost after it was sent; it may have run", text);
    }
}

/* ---- running again ---- */

void command_run_again(struct request_run *run, size_t i, enum metric_retry why)
{
    metric_add(&run->master_pool->pool->counts->retries[why], 1);
    if (i < run->next) {
        run->next = i;
    }
    request_run_wait(run);
    master_pool_wake(run->master_pool);
}

void request_run_rest(struct request_run *run)
{
    run->rest_until_ms = clock_boot_ms() + REST_MIN_MS + jitter_below(REST_MAX_MS - REST_MIN_MS);
}

void request_run_begin_endpoint(struct request_run *run)
{
    run->rest_until_ms = 0;
    for (size_t i = 0; i < run->request->n_commands; i++) {
        run->commands[i].unsent = run->commands[i].resent = 0;
    }
}

void request_run_leave_replica(struct request_run *run, const struct address *address)
{
    run->replica = NULL;
    request_run_begin_endpoint(run);
    run->tried = mem_resize(run->tried, run->n_tried + 1, sizeof(*run->tried));
    run->tried[run->n_tried++] = *address;
    master_pool_wake(run->master_pool);
}

/* ---- refused ---- */

/* Of a command that is to run again it is known whether it may have run before. */
void command_run_refuse(struct request_run *run, size_t i, const char *words)
{
    char refusal[RESULT_ERROR_SIZE / 2];

    if (run->commands[i].may_have_run) {
        command_run_fails(run, i, OUTCOME_UNKNOWN,
                          "UNKNOWN it may have run; it was to run again, and could not: %.150s",
                          words);
        return;
    }
    snprintf(refusal, sizeof(refusal), "%.*s", (int)sizeof(refusal) - 1,
             run->request->commands[i].words);
    if (refusal[0] != '\0') {
        command_run_fails(run, i, OUTCOME_NOT_SENT, "%s; before, it was refused: %s", words,
                          refusal);
    } else {
        command_run_fails(run, i, OUTCOME_NOT_SENT, "%s", words);
    }
}

void request_run_refuse(struct request_run *run, const char *words)
{
    request_run_stop_waiting(run);
    for (size_t i = 0, n = run->request->n_commands; i < n; i++) {
        if (run->commands[i].state == COMMAND_WAITING) {
            command_run_refuse(run, i, words);
        }
    }
}

/* ---- mishaps ---- */

/*
 * What is sent once more may be what makes the server hang up: the second time it is given time,
 * and then it is enough.
 */
bool command_run_may_go_again(struct request_run *run, size_t i,
                              const struct pool_endpoint *endpoint, enum mishap mishap)
{
    struct command_run *command_run = &run->commands[i];
    char text[ADDRESS_TEXT_SIZE], words[RESULT_ERROR_SIZE / 2];

    if (mishap == MISHAP_UNSENT) {
        if (command_run->unsent < UNSENT_WITHOUT_REST) {
            command_run->unsent++;
        } else {
            request_run_rest(run);
        }
        return true;
    }
    if (!endpoint || endpoint->state == ENDPOINT_LEFT) {
        command_run->resent = 0; /* that it was sent there does not count elsewhere */
    }
    if (command_run->resent < RESENDS_MAX) {
        if (++command_run->resent == RESENDS_MAX) {
            request_run_rest(run);
        }
        return true;
    }
    snprintf(words, sizeof(words), "NOTSENT %s did not run it in %d attempts",
             address_format(&run->request->ran_at, text), RESENDS_MAX + 1);
    if (mishap == MISHAP_LOST && command_run->may_have_run) {
        command_run_fails(
            run, i, OUTCOME_UNKNOWN,
            "UNKNOWN the connection to %s was lost each of the %d times that it was sent; it may have run",
            text, RESENDS_MAX + 1);
    } else {
        command_run_refuse(run, i, words);
    }
    return false;
}

bool command_run_settle(struct request_run *run, size_t i, const struct pool_endpoint *endpoint,
                        enum mishap mishap, const struct result *result)
{
    const struct settle_facts facts = {.read_only = run->commands[i].read_only,
                                       .script = run->commands[i].script,
                                       .retry_always = run->request->retry_always};
    enum metric_retry reason = METRIC_RETRY_COUNT;

    switch (settle(mishap, &facts, &reason)) {
    case SETTLE_REST:
        snprintf(run->request->commands[i].words, sizeof(run->request->commands[i].words), "%s",
                 mishap == MISHAP_EXECABORT && result->refused[0] != '\0' ? result->refused
                                                                          : result->error);
        if (command_run_may_go_again(run, i, endpoint, mishap)) {
            request_run_rest(run);
            command_run_again(run, i, reason);
        }
        break;
    case SETTLE_RUN_AGAIN:
        if (mishap != MISHAP_UNSENT && mishap != MISHAP_UNWRITTEN) {
            run->commands[i].may_have_run = true;
        }
        if (command_run_may_go_again(run, i, endpoint, mishap)) {
            command_run_again(run, i, reason);
        }
        break;
    case SETTLE_TAKE:
        if (result) {
            return true;
        }
        __attribute__((fallthrough));
    case SETTLE_UNKNOWN: command_run_say_unknown(run, i, mishap); break;
    case SETTLE_NOT_SENT: break; /* said by request_run_refuse() */
    }
    return false;
}
