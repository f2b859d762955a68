/*
 * /metrics: what the threads counted, summed up, and what the snapshot says now. Family by family,
 * as the text format wants it. It is rendered per request, on the worker that is asked; it waits
 * for nobody, a hung watcher included.
 */
#include "bellwether/metrics/counters.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "bellwether/metrics/exposition.h"
#include "bellwether/metrics/process.h"
#include "http/server/request.h"
#include "ready.h"
#include "table.h"
#include "version.h"

_Static_assert(ROUTES_COUNT < METRIC_ROUTES_MAX,
               "METRIC_ROUTES_MAX: a slot for each route, and one for none");

/* What a scrape looks at. */
struct scrape {
    struct exposition out;
    struct metrics *metrics;
    struct metrics_listed listed;
    const struct snapshot *snapshot; /* NULL: none yet */
    bool stalled;                    /* nothing that it says would be answered */
    bool draining;
    enum ready_when ready_when;
    bool runs_commands, has_tls;
};

/* A family without labels. */
static void add_number(struct scrape *scrape, enum metric metric, int64_t value)
{
    exposition_family(&scrape->out, metric);
    exposition_integer(&scrape->out, value, NULL);
}

/* ---- masters: from the snapshot ---- */

static int64_t is_up(const struct scrape *scrape, const struct snapshot_master *master)
{
    return !scrape->stalled && snapshot_master_serves(master);
}

static int64_t is_verified(const struct scrape *scrape, const struct snapshot_master *master)
{
    return !scrape->stalled && master->verified;
}

static int64_t has_majority(const struct scrape *scrape, const struct snapshot_master *master)
{
    return !scrape->stalled && master->majority;
}

static int64_t epoch_of(const struct scrape *scrape, const struct snapshot_master *master)
{
    (void)scrape;
    return master->config_epoch == EPOCH_UNKNOWN ? -1 : master->config_epoch;
}

static int64_t largest_lag(const struct scrape *scrape, const struct snapshot_master *master)
{
    int64_t largest = -1;

    (void)scrape;
    for (size_t i = 0; i < master->n_replicas; i++) {
        if (master->replicas[i].healthy && master->replicas[i].lag_bytes > largest) {
            largest = master->replicas[i].lag_bytes;
        }
    }
    return largest;
}

static int64_t count_known(const struct scrape *scrape, const struct snapshot_master *master)
{
    (void)scrape;
    return (int64_t)master->known;
}

static int64_t count_reachable(const struct scrape *scrape, const struct snapshot_master *master)
{
    (void)scrape;
    return (int64_t)master->reachable;
}

static int64_t count_foreign(const struct scrape *scrape, const struct snapshot_master *master)
{
    int64_t n = 0;

    (void)scrape;
    for (size_t i = 0; i < master->n_sentinels; i++) {
        n += master->sentinels[i].foreign;
    }
    return n;
}

static int64_t count_agreeing(const struct scrape *scrape, const struct snapshot_master *master)
{
    (void)scrape;
    return (int64_t)master->agreeing;
}

/* Each Sentinel has a view of its own: one that sees no quorum is what somebody should look at. */
static int64_t ckquorum(const struct scrape *scrape, const struct snapshot_master *master)
{
    int64_t ok = -1;

    (void)scrape;
    for (size_t i = 0; i < master->n_sentinels; i++) {
        const struct snapshot_sentinel *sentinel = &master->sentinels[i];

        if (sentinel->reachable && sentinel->has_ckquorum) {
            ok = sentinel->ckquorum_ok && ok != 0;
        }
    }
    return ok;
}

/* A gauge with the label `master` and nothing else; a value below 0 is unknown and left out. */
static void add_masters(struct scrape *scrape, enum metric metric,
                        int64_t (*value)(const struct scrape *scrape,
                                         const struct snapshot_master *master))
{
    exposition_family(&scrape->out, metric);
    for (size_t i = 0; scrape->snapshot && i < scrape->snapshot->n_masters; i++) {
        const struct snapshot_master *master = scrape->snapshot->masters[i];
        int64_t now = value(scrape, master);

        if (now >= 0) {
            exposition_integer(&scrape->out, now, LABELS(master->name));
        }
    }
}

/* A family with more labels: `add` writes a master's lines of it. */
static void add_each(struct scrape *scrape, enum metric metric,
                     void (*add)(struct scrape *scrape, const struct snapshot_master *master))
{
    exposition_family(&scrape->out, metric);
    for (size_t i = 0; scrape->snapshot && i < scrape->snapshot->n_masters; i++) {
        add(scrape, scrape->snapshot->masters[i]);
    }
}

static void add_states(struct scrape *scrape, const struct snapshot_master *master)
{
    for (int state = 0; state < MASTER_STATES_COUNT; state++) {
        exposition_integer(&scrape->out, (int)master->state == state,
                           LABELS(master->name, master_state_text((enum master_state)state)));
    }
}

static void add_reason(struct scrape *scrape, const char *master, enum reason of)
{
    const char *reason = reason_text(scrape->stalled ? REASON_WATCHER_STALLED : of);

    if (reason) {
        exposition_integer(&scrape->out, 1, LABELS(master, reason));
    }
}

static void add_reasons(struct scrape *scrape, const struct snapshot_master *master)
{
    add_reason(scrape, master->name, master->reason);
}

static void add_info(struct scrape *scrape, const struct snapshot_master *master)
{
    char text[ADDRESS_TEXT_SIZE];

    if (master->has_address) {
        exposition_integer(&scrape->out, 1,
                           LABELS(master->name, address_format(&master->address, text)));
    }
}

static void add_replicas(struct scrape *scrape, const struct snapshot_master *master)
{
    int64_t healthy = 0, promotable = 0;

    for (size_t i = 0; i < master->n_replicas; i++) {
        healthy += master->replicas[i].healthy;
        promotable += master->replicas[i].promotable;
    }
    exposition_integer(&scrape->out, healthy, LABELS(master->name, "healthy"));
    exposition_integer(&scrape->out, (int64_t)master->n_replicas - healthy,
                       LABELS(master->name, "unhealthy"));
    exposition_integer(&scrape->out, promotable, LABELS(master->name, "promotable"));
}

/* The newest entry of the failover log, running ones included. NULL: none. */
static const struct failover *last_failover(const struct scrape *scrape,
                                            const struct snapshot_master *master)
{
    const struct failovers *all = scrape->snapshot->failovers;
    size_t i = 0;

    while (all && i < all->n && strcmp(all->entries[i]->name, master->name) != 0) {
        i++;
    }
    return all && i < all->n ? all->entries[i] : NULL;
}

static void add_last_failover(struct scrape *scrape, const struct snapshot_master *master)
{
    const struct failover *last = last_failover(scrape, master);

    if (last) {
        exposition_decimal(&scrape->out, last->began_wall_ms, 3, LABELS(master->name));
    }
}

static void add_phases(struct scrape *scrape, const struct snapshot_master *master)
{
    const struct failover *last = last_failover(scrape, master);

    for (size_t i = 0; last && i < last->n_phases; i++) {
        exposition_decimal(&scrape->out, last->phases[i].ms, 3,
                           LABELS(master->name, failover_phase_text(last->phases[i].phase)));
    }
}

static void add_ready(struct scrape *scrape)
{
    struct ready_report *report = mem_new(1, sizeof(*report)); /* too large for a stack */

    ready_evaluate(scrape->snapshot, NULL, scrape->stalled, scrape->draining, scrape->ready_when,
                   report);
    add_number(scrape, METRIC_READY, ready_passes(report, (1U << READY_CHECKS_COUNT) - 1));
    free(report);
}

/* There also where no master is known, so that an alert on them can be written. */
static void add_state_counts(struct scrape *scrape)
{
    int64_t counts[MASTER_STATES_COUNT] = {0};

    for (size_t i = 0; scrape->snapshot && i < scrape->snapshot->n_masters; i++) {
        counts[scrape->snapshot->masters[i]->state]++;
    }
    exposition_family(&scrape->out, METRIC_MASTERS);
    for (int state = 0; state < MASTER_STATES_COUNT; state++) {
        exposition_integer(&scrape->out, counts[state],
                           LABELS(master_state_text((enum master_state)state)));
    }
}

/* ---- masters: counted by the watcher ---- */

static void add_timestamp(struct scrape *scrape, enum metric metric, bool verified)
{
    exposition_family(&scrape->out, metric);
    for (size_t i = 0; i < scrape->listed.n_masters; i++) {
        const struct metrics_master *master = scrape->listed.masters[i];
        int64_t at_ms =
            metric_look(verified ? &master->last_verified_wall_ms : &master->last_switch_wall_ms);

        if (at_ms > 0) {
            exposition_decimal(&scrape->out, at_ms, 3, LABELS(master->name));
        }
    }
}

static void add_failovers(struct scrape *scrape)
{
    for (int restarts = 0; restarts < 2; restarts++) {
        exposition_family(&scrape->out, restarts ? METRIC_MASTER_RESTARTS : METRIC_MASTER_SWITCHES);
        for (size_t i = 0; i < scrape->listed.n_masters; i++) {
            const struct metrics_master *master = scrape->listed.masters[i];

            exposition_integer(
                &scrape->out,
                (int64_t)metric_read(restarts ? &master->restarts : &master->switches),
                LABELS(master->name));
        }
    }
    exposition_family(&scrape->out, METRIC_FAILOVERS);
    for (size_t i = 0; i < scrape->listed.n_masters; i++) {
        const struct metrics_master *master = scrape->listed.masters[i];

        for (int j = 0; j < (int)METRIC_OUTCOME_COUNT * (int)METRIC_KIND_COUNT; j++) {
            int outcome = j / METRIC_KIND_COUNT, kind = j % METRIC_KIND_COUNT;

            exposition_integer(
                &scrape->out, (int64_t)metric_read(&master->failovers[outcome][kind]),
                LABELS(master->name, metric_outcome_text((enum metric_outcome)outcome),
                       metric_kind_text((enum metric_kind)kind)));
        }
    }
}

static void add_adoptions(struct scrape *scrape)
{
    exposition_family(&scrape->out, METRIC_ADOPTIONS);
    for (size_t i = 0; i < scrape->listed.n_masters; i++) {
        const struct metrics_master *master = scrape->listed.masters[i];

        for (int j = 0; j < METRIC_ADOPTION_COUNT; j++) {
            exposition_integer(&scrape->out, (int64_t)metric_read(&master->adoptions[j]),
                               LABELS(master->name, metric_adoption_text((enum metric_adoption)j)));
        }
    }
}

static const struct metric_histogram *failover_duration(const struct metrics_master *master)
{
    return &master->failover_duration;
}

static const struct metric_histogram *unavailable(const struct metrics_master *master)
{
    return &master->unavailable;
}

static const struct metric_histogram *verify_duration(const struct metrics_master *master)
{
    return &master->verify_duration;
}

static void add_histograms(
    struct scrape *scrape, enum metric metric,
    const struct metric_histogram *(*of)(const struct metrics_master *master))
{
    exposition_family(&scrape->out, metric);
    for (size_t i = 0; i < scrape->listed.n_masters; i++) {
        struct metric_totals totals = {0};

        metric_sum(&totals, of(scrape->listed.masters[i]));
        exposition_histogram(&scrape->out, &totals, LABELS(scrape->listed.masters[i]->name));
    }
}

/* ---- Sentinels: counted by the watcher ---- */

static void add_links(struct scrape *scrape)
{
    const struct metrics_listed *listed = &scrape->listed;

    exposition_family(&scrape->out, METRIC_SENTINEL_CONNECTED);
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        exposition_integer(&scrape->out, metric_look(&listed->sentinels[i]->connected) > 0,
                           LABELS(listed->sentinels[i]->address));
    }
    exposition_family(&scrape->out, METRIC_SENTINEL_TILT);
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        exposition_integer(&scrape->out, metric_look(&listed->sentinels[i]->tilt) > 0,
                           LABELS(listed->sentinels[i]->address));
    }
    exposition_family(&scrape->out, METRIC_SENTINEL_RECONNECTS);
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        exposition_integer(&scrape->out, (int64_t)metric_read(&listed->sentinels[i]->reconnects),
                           LABELS(listed->sentinels[i]->address));
    }
    exposition_family(&scrape->out, METRIC_SENTINEL_ERRORS);
    for (size_t i = 0; i < listed->n_sentinels; i++) {
        for (int j = 0; j < METRIC_SENTINEL_ERROR_COUNT; j++) {
            exposition_integer(&scrape->out, (int64_t)metric_read(&listed->sentinels[i]->errors[j]),
                               LABELS(listed->sentinels[i]->address,
                                      metric_sentinel_error_text((enum metric_sentinel_error)j)));
        }
    }
}

static void add_seeds(struct scrape *scrape)
{
    const struct metrics_watch *watch = metrics_watch(scrape->metrics);

    add_number(scrape, METRIC_SENTINELS_CONFIGURED, metric_look(&watch->sentinels_configured));
    add_number(scrape, METRIC_SENTINELS_UNREACHABLE, metric_look(&watch->sentinels_unreachable));
}

static void add_watch(struct scrape *scrape)
{
    const struct metrics_watch *watch = metrics_watch(scrape->metrics);

    exposition_family(&scrape->out, METRIC_SENTINEL_EVENTS);
    for (size_t i = 0; i < METRIC_EVENTS_MAX; i++) {
        if (watch->event_names[i]) {
            exposition_integer(&scrape->out, (int64_t)metric_read(&watch->events[i]),
                               LABELS(watch->event_names[i]));
        }
    }
}

struct reload {
    int64_t changed_ms, asked_ms, failing;
};

static void look_at_reload(struct reload *reload, const struct metrics_files *files)
{
    int64_t changed_ms = metric_look(&files->changed_wall_ms),
            asked_ms = metric_look(&files->asked_wall_ms);

    reload->failing += metric_look(&files->failing);
    reload->changed_ms = changed_ms > reload->changed_ms ? changed_ms : reload->changed_ms;
    reload->asked_ms = asked_ms < reload->asked_ms ? asked_ms : reload->asked_ms;
}

/*
 * Every thread reads for itself. They were read again when the last of them had done it; one that
 * took a changed file has taken it in.
 */
static void add_reload(struct scrape *scrape)
{
    struct reload reload = {.asked_ms = INT64_MAX};

    look_at_reload(&reload, &metrics_watch(scrape->metrics)->files);
    for (size_t i = 0; i < metrics_workers(scrape->metrics); i++) {
        if (scrape->runs_commands) {
            look_at_reload(&reload, &metrics_redis(scrape->metrics, i)->files);
        }
        if (scrape->has_tls) {
            look_at_reload(&reload, &metrics_http(scrape->metrics, i)->files);
        }
    }
    if (reload.asked_ms > 0) {
        add_number(scrape, METRIC_RELOAD_SUCCESS, reload.failing == 0);
        exposition_family(&scrape->out, METRIC_RELOAD_TIMESTAMP);
        exposition_decimal(
            &scrape->out, reload.changed_ms > reload.asked_ms ? reload.changed_ms : reload.asked_ms,
            3, NULL);
    }
}

static void add_certificate(struct scrape *scrape, const char *which, int64_t ends_s)
{
    if (ends_s > 0) {
        exposition_integer(&scrape->out, ends_s, LABELS(which));
    }
}

/* All workers have the same, but for a moment. */
static void add_certificates(struct scrape *scrape)
{
    static const char *const names[] = {
#define X(id, text) text,
        METRIC_CERTIFICATES(X)
#undef X
    };
    const struct metrics_http *http = metrics_http(scrape->metrics, 0);
    const struct metrics_watch *watch = metrics_watch(scrape->metrics);

    exposition_family(&scrape->out, METRIC_CERTIFICATE_EXPIRY);
    for (int i = 0; i < METRIC_CERTIFICATE_COUNT; i++) {
        add_certificate(scrape, names[i], metric_look(&watch->certificate_ends_s[i]));
    }
    if (scrape->has_tls) {
        add_certificate(scrape, "http", metric_look(&http->certificate_ends_s));
        add_certificate(scrape, "http-client-ca", metric_look(&http->client_ca_ends_s));
    }
}

/* ---- HTTP: summed over the workers ---- */

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
    add_number(scrape, METRIC_HTTP_INFLIGHT, inflight);
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
    add_number(scrape, METRIC_MEMORY, (int64_t)budget_used());
    add_number(scrape, METRIC_STREAMS_CUT, (int64_t)cut);
}

/* ---- commands: summed over the workers ---- */

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
    add_number(scrape, METRIC_POOL_WAITING, sums.waiting);
    add_number(scrape, METRIC_POOL_INFLIGHT, sums.inflight);
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
    add_number(scrape, METRIC_FENCE_HOLDS, (int64_t)sums.holds);
    add_totals(scrape, METRIC_FENCE_SECONDS, &sums.fence);
    add_number(scrape, METRIC_POLICY_REFUSALS, (int64_t)sums.refusals);
}

/* ---- the process ---- */

static void add_figure(struct scrape *scrape, enum metric metric, int64_t value, unsigned decimals)
{
    if (value >= 0) {
        exposition_family(&scrape->out, metric);
        exposition_decimal(&scrape->out, value, decimals, NULL);
    }
}

static void add_process(struct scrape *scrape)
{
    struct process_figures figures;

    process_read(&figures);
    add_figure(scrape, METRIC_PROCESS_CPU, figures.cpu_us, 6);
    add_figure(scrape, METRIC_PROCESS_OPEN_FDS, figures.open_fds, 0);
    add_figure(scrape, METRIC_PROCESS_MAX_FDS, figures.max_fds, 0);
    add_figure(scrape, METRIC_PROCESS_VIRTUAL, figures.virtual_bytes, 0);
    add_figure(scrape, METRIC_PROCESS_RESIDENT, figures.resident_bytes, 0);
    add_figure(scrape, METRIC_PROCESS_START, figures.start_wall_ms, 3);
}

/* ---- the answer ---- */

static void add_all(struct scrape *scrape)
{
    exposition_family(&scrape->out, METRIC_BUILD_INFO);
    exposition_integer(&scrape->out, 1, LABELS(BELLWETHER_VERSION));
    add_ready(scrape);
    add_state_counts(scrape);
    add_masters(scrape, METRIC_MASTER_UP, is_up);
    add_masters(scrape, METRIC_MASTER_VERIFIED, is_verified);
    add_masters(scrape, METRIC_MASTER_MAJORITY, has_majority);
    add_each(scrape, METRIC_MASTER_STATE, add_states);
    add_each(scrape, METRIC_MASTER_REASON, add_reasons);
    if (!scrape->snapshot || scrape->snapshot->n_masters == 0) {
        add_reason(scrape, "", scrape->snapshot ? scrape->snapshot->reason : REASON_STARTING);
    }
    add_each(scrape, METRIC_MASTER_INFO, add_info);
    add_masters(scrape, METRIC_MASTER_CONFIG_EPOCH, epoch_of);
    add_timestamp(scrape, METRIC_MASTER_LAST_VERIFIED, true);
    add_timestamp(scrape, METRIC_MASTER_LAST_SWITCH, false);
    add_failovers(scrape);
    add_adoptions(scrape);
    add_histograms(scrape, METRIC_FAILOVER_DURATION, failover_duration);
    add_histograms(scrape, METRIC_UNAVAILABLE, unavailable);
    add_histograms(scrape, METRIC_VERIFY_DURATION, verify_duration);
    add_each(scrape, METRIC_LAST_FAILOVER, add_last_failover);
    add_each(scrape, METRIC_LAST_FAILOVER_PHASE, add_phases);
    add_each(scrape, METRIC_REPLICAS, add_replicas);
    add_masters(scrape, METRIC_REPLICA_LAG_MAX, largest_lag);
    add_seeds(scrape);
    add_masters(scrape, METRIC_SENTINELS_KNOWN, count_known);
    add_masters(scrape, METRIC_SENTINELS_REACHABLE, count_reachable);
    add_masters(scrape, METRIC_SENTINELS_AGREEING, count_agreeing);
    add_masters(scrape, METRIC_FOREIGN_SENTINELS, count_foreign);
    add_masters(scrape, METRIC_SENTINEL_CKQUORUM, ckquorum);
    add_links(scrape);
    add_watch(scrape);
    add_reload(scrape);
    add_certificates(scrape);
    add_requests(scrape);
    add_callers(scrape);
    if (scrape->runs_commands) {
        add_commands(scrape);
    }
    add_process(scrape);
}

void metrics_handle(struct request *request)
{
    struct cache *cache = request->worker->cache;
    struct scrape scrape = {
        .metrics = request->worker->metrics,
        .snapshot = cache->snapshot,
        .stalled = cache_stalled(cache),
        .draining = request->worker->draining,
        .ready_when = request->worker->config->ready_when,
        .runs_commands = request->worker->commands != NULL,
        .has_tls = request->worker->tls != NULL,
    };
    size_t size;
    char *body;

    request_reads_lag(request, NULL);
    metrics_list(scrape.metrics, &scrape.listed);
    add_all(&scrape);
    metrics_listed_release(&scrape.listed);
    body = exposition_finish(&scrape.out, &size);
    request_answer_bytes(request, EXPOSITION_CONTENT_TYPE, NULL, body, size);
}
