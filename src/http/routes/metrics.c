/*
 * /metrics: what the threads counted, summed up, and what the snapshot says now. Family by family,
 * as the text format wants it. It is rendered per request, on the worker that is asked; it waits
 * for nobody, a hung watcher included.
 */
#include "bellwether/metrics/counters.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/metrics/process.h"
#include "http/server/request.h"
#include "metrics_workers.h"
#include "ready.h"
#include "table.h"
#include "version.h"

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
    scrape_add_number(scrape, METRIC_READY, ready_passes(report, (1U << READY_CHECKS_COUNT) - 1));
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

    scrape_add_number(scrape, METRIC_SENTINELS_CONFIGURED,
                      metric_look(&watch->sentinels_configured));
    scrape_add_number(scrape, METRIC_SENTINELS_UNREACHABLE,
                      metric_look(&watch->sentinels_unreachable));
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
        scrape_add_number(scrape, METRIC_RELOAD_SUCCESS, reload.failing == 0);
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
    scrape_add_workers(scrape);
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
