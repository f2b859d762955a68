/*
 * What /metrics shows of the watcher's work. All of it is counted here, into the watcher's own
 * memory: the other files say what happened.
 *
 * A Sentinel's series are those of the address that is dialled. They end when it is forgotten,
 * moves, or turns out to be another seed's Sentinel.
 */
#include "watch_counters.h"

#include <string.h>

#include "bellwether/base/clock.h"
#include "master_list.h"
#include "sentinel_node.h"

static const enum sentinel_event_kind event_kinds[] = {SENTINEL_EVENT_OTHER,
#define X(name, channel) SENTINEL_EVENT_##name,
                                                       SENTINEL_EVENTS(X)
#undef X
};
#define N_EVENTS (sizeof(event_kinds) / sizeof(*event_kinds))
_Static_assert(N_EVENTS <= METRIC_EVENTS_MAX, "METRIC_EVENTS_MAX");

void count_init(struct watcher *watcher, struct metrics *metrics)
{
    if (!metrics) {
        metrics = watcher->own_metrics = metrics_new(0);
    }
    watcher->metrics = metrics;
    struct metrics_watch *watch = metrics_watch(metrics);
    for (size_t i = 0; i < N_EVENTS; i++) {
        enum sentinel_event_kind kind = event_kinds[i];

        watch->event_names[kind] =
            kind == SENTINEL_EVENT_OTHER ? "other" : sentinel_event_channel(kind);
    }
    metric_files_start(&watch->files, clock_wall_ms());
    int64_t n_seeds = 0;
    for (size_t i = 0; i < watcher->config->n_deployments; i++) {
        n_seeds += (int64_t)watcher->config->deployments[i].n_seeds;
    }
    metric_set(&watch->sentinels_configured, n_seeds);
    metric_set(&watch->sentinels_unreachable, n_seeds); /* nobody has answered yet */
}

void count_release(struct watcher *watcher)
{
    metrics_free(watcher->own_metrics);
}

void count_reload(struct watcher *watcher, const struct count_reload *reload)
{
    metric_files_read(&metrics_watch(watcher->metrics)->files, !reload->failed, reload->changed_ms,
                      reload->asked ? clock_wall_ms() : 0);
}

void count_certificates(const struct watcher *watcher,
                        const int64_t ends_s[METRIC_CERTIFICATE_COUNT])
{
    for (int i = 0; i < METRIC_CERTIFICATE_COUNT; i++) {
        metric_set(&metrics_watch(watcher->metrics)->certificate_ends_s[i], ends_s[i]);
    }
}

void count_event(struct watcher *watcher, enum sentinel_event_kind kind)
{
    metric_add(&metrics_watch(watcher->metrics)->events[kind], 1);
}

/* ---- Sentinels ---- */

static void sentinel_node_move_gauges(struct sentinel_node *sentinel, bool up, bool tilt)
{
    metric_move(&sentinel->counts->connected, (int64_t)up - (int64_t)sentinel->counted_up);
    metric_move(&sentinel->counts->tilt, (int64_t)tilt - (int64_t)sentinel->counted_tilt);
    sentinel->counted_up = up;
    sentinel->counted_tilt = tilt;
}

void count_sentinel_node_gone(struct sentinel_node *sentinel)
{
    if (!sentinel->counts) {
        return;
    }
    sentinel_node_move_gauges(sentinel, false, false);
    metrics_sentinel_remove(sentinel->deployment->watcher->metrics, sentinel->counts);
    sentinel->counts = NULL;
}

/* @return the series of the address that it has now; NULL: it is in reserve and has none. */
static struct metrics_sentinel *sentinel_node_counts(struct sentinel_node *sentinel)
{
    char text[ADDRESS_TEXT_SIZE];

    bool spare = sentinel->state == SENTINEL_NODE_SPARE;

    sentinel_node_text(sentinel, text);
    if (sentinel->counts && (spare || strcmp(sentinel->counts->address, text) != 0)) {
        count_sentinel_node_gone(sentinel);
    }
    if (!sentinel->counts && !spare) {
        sentinel->counts = metrics_sentinel_add(sentinel->deployment->watcher->metrics, text);
    }
    return sentinel->counts;
}

void count_sentinel_node_up(struct sentinel_node *sentinel)
{
    struct metrics_sentinel *counts = sentinel_node_counts(sentinel);

    if (counts && sentinel->has_been_up) {
        metric_add(&counts->reconnects, 1);
    }
    sentinel->has_been_up = true;
}

void count_sentinel_node_error(struct sentinel_node *sentinel, const char *word)
{
    struct metrics_sentinel *counts = sentinel_node_counts(sentinel);

    if (counts) {
        metric_add(&counts->errors[metric_sentinel_error_of(word)], 1);
    }
}

void count_links(struct watcher *watcher)
{
    struct sentinel_node *sentinel = NULL;
    int64_t unreachable = 0;

    while ((sentinel = watcher_next_sentinel(watcher, sentinel))) {
        bool up = sentinel_client_is_up(sentinel->link);

        if (!sentinel_node_counts(sentinel)) {
            continue; /* in reserve: it is another one's second name */
        }
        sentinel_node_move_gauges(sentinel, up, up && sentinel_client_tilt(sentinel->link));
        unreachable += !up;
    }
    metric_set(&metrics_watch(watcher->metrics)->sentinels_unreachable, unreachable);
}

/* ---- masters ---- */

void count_switch(struct master *master)
{
    if (!master->has_published) {
        return; /* found, not changed */
    }
    metric_add(&master->counts->switches, 1);
    metric_set(&master->counts->last_switch_wall_ms, clock_wall_ms());
}

void count_restart(struct master *master)
{
    metric_add(&master->counts->restarts, 1);
}

void count_role(struct master *master, enum role_answer answer, int64_t asked_us)
{
    if (answer == ROLE_MASTER || answer == ROLE_OTHER) {
        metric_observe(&master->counts->verify_duration, METRIC_VERIFY_DURATION,
                       clock_boot_us() - asked_us);
    }
}

void count_verified(struct master *master)
{
    metric_set(&master->counts->last_verified_wall_ms, clock_wall_ms());
}

static enum metric_kind kind_of(enum failover_kind kind)
{
    switch (kind) {
    case FAILOVER_CRASH: return METRIC_KIND_CRASH;
    case FAILOVER_MANUAL: return METRIC_KIND_MANUAL;
    default: return METRIC_KIND_UNKNOWN;
    }
}

void count_failover(struct watcher *watcher, const struct failover *failover)
{
    struct master *master = watcher_find_master(watcher, failover->name);
    enum metric_outcome outcome;

    if (!master) {
        return; /* its series have ended */
    }
    switch (failover->outcome) {
    case FAILOVER_SWITCHED: outcome = METRIC_OUTCOME_SWITCHED; break;
    case FAILOVER_ABORTED: outcome = METRIC_OUTCOME_ABORTED; break;
    case FAILOVER_NOT_STARTED: outcome = METRIC_OUTCOME_NOT_STARTED; break;
    case FAILOVER_RECOVERED: outcome = METRIC_OUTCOME_RECOVERED; break;
    default: return;
    }
    metric_add(&master->counts->failovers[outcome][kind_of(failover->kind)], 1);
    if (outcome == METRIC_OUTCOME_SWITCHED && failover->n_phases > 0) {
        metric_observe(&master->counts->failover_duration, METRIC_FAILOVER_DURATION,
                       failover->phases[failover->n_phases - 1].ms * 1000);
    }
    count_unavailable(watcher, failover);
}

void count_unavailable(struct watcher *watcher, const struct failover *failover)
{
    struct master *master = watcher_find_master(watcher, failover->name);

    if (master && failover->unavailable_ms >= 0) {
        metric_observe(&master->counts->unavailable, METRIC_UNAVAILABLE,
                       failover->unavailable_ms * 1000);
    }
}

void count_adoption(struct master *master, const struct judgement *said)
{
    if (!master->adopted || (said->adopted && !said->switched)) {
        return;
    }
    /* No longer published: taken back, or a higher epoch named another. */
    metric_add(
        &master->counts->adoptions[said->switched ? METRIC_ADOPTION_UNDONE : METRIC_ADOPTION_KEPT],
        1);
}
