/* The families of what the workers count: HTTP, commands and forwards, summed over them. */
#include "metrics_workers.h"

#include "bellwether/base/budget.h"
#include "bellwether/http/router.h"

_Static_assert(ROUTES_COUNT < METRIC_ROUTES_MAX,
               "METRIC_ROUTES_MAX: a slot for each route, and one for none");

/* ---- HTTP ---- */

static uint64_t requests_of(struct metrics *metrics, size_t slot, int method, int code)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < metrics_workers(metrics); i++) {
        sum += metric_read(&metrics_http(metrics, i)->requests[slot][method][code]);
    }
    return sum;
}

static const char *slot_route(size_t slot)
{
    return slot < ROUTES_COUNT ? router_row((enum route_id)slot)->path : "other";
}

/* What never happened is left out: most of a route's methods and codes never do. */
static void add_requests(struct scrape *scrape)
{
    exposition_family(&scrape->out, METRIC_HTTP_REQUESTS);
    for (size_t slot = 0; slot <= ROUTES_COUNT; slot++) {
        for (int i = 0; i < (int)METRIC_METHOD_COUNT * (int)METRIC_CODE_COUNT; i++) {
            int method = i / METRIC_CODE_COUNT, code = i % METRIC_CODE_COUNT;
            uint64_t n = requests_of(scrape->metrics, slot, method, code);

            if (n > 0) {
                exposition_integer(&scrape->out, (int64_t)n,
                                   LABELS(slot_route(slot),
                                          metric_method_text((enum metric_method)method),
                                          metric_code_text((enum metric_code)code)));
            }
        }
    }
    exposition_family(&scrape->out, METRIC_HTTP_DURATION);
    for (size_t slot = 0; slot <= ROUTES_COUNT; slot++) {
        struct metric_totals totals = {0};
        uint64_t n = 0;

        for (size_t i = 0; i < metrics_workers(scrape->metrics); i++) {
            metric_sum(&totals, &metrics_http(scrape->metrics, i)->durations[slot]);
        }
        for (size_t i = 0; i <= METRIC_BUCKETS_MAX; i++) {
            n += totals.counts[i];
        }
        if (n > 0) {
            exposition_histogram(&scrape->out, &totals, LABELS(slot_route(slot)));
        }
    }
}

static void add_callers(struct scrape *scrape)
{
    int64_t inflight = 0, long_polls[METRIC_WAITER_COUNT] = {0};
    uint64_t rejected[METRIC_REJECTION_COUNT] = {0}, cut = 0;

    for (size_t i = 0; i < metrics_workers(scrape->metrics); i++) {
        const struct metrics_http *http = metrics_http(scrape->metrics, i);

        inflight += metric_look(&http->inflight);
        cut += metric_read(&http->streams_cut);
        for (int j = 0; j < METRIC_WAITER_COUNT; j++) {
            long_polls[j] += metric_look(&http->long_polls[j]);
        }
        for (int j = 0; j < METRIC_REJECTION_COUNT; j++) {
            rejected[j] += metric_read(&http->rejected[j]);
        }
    }
    scrape_add_number(scrape, METRIC_HTTP_INFLIGHT, inflight);
    exposition_family(&scrape->out, METRIC_HTTP_WAITERS);
    for (int j = 0; j < METRIC_WAITER_COUNT; j++) {
        exposition_integer(&scrape->out, long_polls[j],
                           LABELS(metric_waiter_text((enum metric_waiter)j)));
    }
    exposition_family(&scrape->out, METRIC_HTTP_REJECTED);
    for (int j = 0; j < METRIC_REJECTION_COUNT; j++) {
        exposition_integer(&scrape->out, (int64_t)rejected[j],
                           LABELS(metric_rejection_text((enum metric_rejection)j)));
    }
    scrape_add_number(scrape, METRIC_MEMORY, (int64_t)budget_used());
    scrape_add_number(scrape, METRIC_STREAMS_CUT, (int64_t)cut);
}

/* ---- commands ---- */

struct command_sums {
    int64_t connections[METRIC_POOL_STATE_COUNT], waiting, inflight;
    uint64_t commands[METRIC_COMMAND_OUTCOME_COUNT], retries[METRIC_RETRY_COUNT], holds, refusals;
    struct metric_totals duration, fence;
};

static void sum_commands(struct metrics *metrics, struct command_sums *out)
{
    *out = (struct command_sums){0};
    for (size_t i = 0; i < metrics_workers(metrics); i++) {
        const struct metrics_redis *redis = metrics_redis(metrics, i);

        for (int j = 0; j < METRIC_POOL_STATE_COUNT; j++) {
            out->connections[j] += metric_look(&redis->connections[j]);
        }
        for (int j = 0; j < METRIC_COMMAND_OUTCOME_COUNT; j++) {
            out->commands[j] += metric_read(&redis->commands[j]);
        }
        for (int j = 0; j < METRIC_RETRY_COUNT; j++) {
            out->retries[j] += metric_read(&redis->retries[j]);
        }
        out->waiting += metric_look(&redis->waiting);
        out->inflight += metric_look(&redis->inflight);
        out->holds += metric_read(&redis->fence_holds);
        out->refusals += metric_read(&redis->policy_refusals);
        metric_sum(&out->duration, &redis->duration);
        metric_sum(&out->fence, &redis->fence);
    }
}

static void add_totals(struct scrape *scrape, enum metric metric,
                       const struct metric_totals *totals)
{
    exposition_family(&scrape->out, metric);
    exposition_histogram(&scrape->out, totals, NULL);
}

/* Left out where none are run. */
static void add_commands(struct scrape *scrape)
{
    struct command_sums sums;

    sum_commands(scrape->metrics, &sums);
    exposition_family(&scrape->out, METRIC_POOL_CONNECTIONS);
    for (int j = 0; j < METRIC_POOL_STATE_COUNT; j++) {
        exposition_integer(&scrape->out, sums.connections[j],
                           LABELS(metric_pool_state_text((enum metric_pool_state)j)));
    }
    scrape_add_number(scrape, METRIC_POOL_WAITING, sums.waiting);
    scrape_add_number(scrape, METRIC_POOL_INFLIGHT, sums.inflight);
    exposition_family(&scrape->out, METRIC_COMMANDS);
    for (int j = 0; j < METRIC_COMMAND_OUTCOME_COUNT; j++) {
        exposition_integer(&scrape->out, (int64_t)sums.commands[j],
                           LABELS(metric_command_outcome_text((enum metric_command_outcome)j)));
    }
    add_totals(scrape, METRIC_COMMAND_DURATION, &sums.duration);
    exposition_family(&scrape->out, METRIC_COMMAND_RETRIES);
    for (int j = 0; j < METRIC_RETRY_COUNT; j++) {
        exposition_integer(&scrape->out, (int64_t)sums.retries[j],
                           LABELS(metric_retry_text((enum metric_retry)j)));
    }
    scrape_add_number(scrape, METRIC_FENCE_HOLDS, (int64_t)sums.holds);
    add_totals(scrape, METRIC_FENCE_SECONDS, &sums.fence);
    scrape_add_number(scrape, METRIC_POLICY_REFUSALS, (int64_t)sums.refusals);
}

/* ---- forwards ---- */

/* Left out where there are none. */
static void add_forwards(struct scrape *scrape)
{
    struct metrics_forward_totals sums = {0};

    for (size_t i = 0; i < metrics_forwards(scrape->metrics); i++) {
        metrics_sum_forward(scrape->metrics, i, &sums);
    }
    exposition_family(&scrape->out, METRIC_FORWARD_CONNECTIONS);
    for (int j = 0; j < METRIC_FORWARD_TO_COUNT; j++) {
        exposition_integer(&scrape->out, sums.connections[j],
                           LABELS(metric_forward_to_text((enum metric_forward_to)j)));
    }
    scrape_add_number(scrape, METRIC_FORWARD_WAITING, sums.waiting);
    scrape_add_number(scrape, METRIC_FORWARD_HANDSHAKES, sums.handshakes);
    exposition_family(&scrape->out, METRIC_FORWARD_BYTES);
    for (int j = 0; j < METRIC_FORWARD_WAY_COUNT; j++) {
        exposition_integer(&scrape->out, (int64_t)sums.bytes[j],
                           LABELS(metric_forward_way_text((enum metric_forward_way)j)));
    }
    exposition_family(&scrape->out, METRIC_FORWARD_CLOSED);
    for (int j = 0; j < METRIC_FORWARD_END_COUNT; j++) {
        exposition_integer(&scrape->out, (int64_t)sums.closed[j],
                           LABELS(metric_forward_end_text((enum metric_forward_end)j)));
    }
}

/* ---- all ---- */

void scrape_add_workers(struct scrape *scrape)
{
    add_requests(scrape);
    add_callers(scrape);
    if (scrape->runs_commands) {
        add_commands(scrape);
    }
    if (metrics_forwards(scrape->metrics) > 0) {
        add_forwards(scrape);
    }
}
