/*
 * The report behind /status: everything there is to say, with its age at this moment. Made only
 * when it is asked for; costs nothing else.
 */
#include "status_report.h"

#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/topology/report.h"
#include "sentinel_node.h"
#include "snapshot_builder.h"
#include "watched_master.h"

static void report_vote(const struct master *master, const struct sentinel_view *view,
                        int64_t now_ms, struct status_vote *out)
{
    const struct sentinel_client *link = view->sentinel->link;
    const struct observation *seen = judge_observation(master->judge, sentinel_client_run_id(link));

    *out = (struct status_vote){.age_ms = STATUS_AGE_UNKNOWN,
                                .interval_ms = sentinel_client_interval_ms(link)};
    if (!seen) {
        return;
    }
    out->age_ms = now_ms - seen->at_ms;
    out->counts = observation_counts(seen, now_ms);
    out->failover_under_way = seen->failover_under_way;
}

static void report_verification(const struct master *master, int64_t now_us,
                                struct status_verification *out)
{
    *out = (struct status_verification){.known = true,
                                        .enabled = master->watcher->config->verify,
                                        .age_ms = STATUS_AGE_UNKNOWN,
                                        .master_age_ms = STATUS_AGE_UNKNOWN};
    if (!master->standing) {
        return;
    }
    out->connected = role_check_is_connected(master->standing);
    out->answered = master->role_asked_us > 0;
    out->answer = master->role;
    if (out->answered) {
        out->age_ms = (now_us - master->role_asked_us) / 1000;
    }
    if (master->role_master_us > 0) {
        out->master_age_ms = (now_us - master->role_master_us) / 1000;
    }
    snprintf(out->words, sizeof(out->words), "%s", master->role_words);
}

static void report_master(struct master *master, struct status_master *out)
{
    master_step(master); /* as of now: what the last step saw may have grown too old since */
    int64_t now_us = clock_boot_us();
    size_t n = 0;
    out->shown = publish_show(master);
    if (master->shown) {
        out->shown->index = master->shown->index;
        out->shown->revision = master->shown->revision;
    }
    out->voices = mem_new(out->shown->n_sentinels + 1, sizeof(*out->voices));
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        if (!sentinel_view_is_shadowed(master, view)) {
            report_vote(master, view, now_us / 1000, &out->voices[n++]);
        }
    }
    out->has_decision = true;
    out->decision = master->decision;
    out->high_water = judge_high_water(master->judge);
    out->suspect = master->suspect;
    report_verification(master, now_us, &out->verification);
    if (out->shown->fence != FENCE_DOWN) {
        out->fence_since_wall_ms = master->fence_driver.since_wall_ms;
        out->fence_why = fence_driver_why(master);
    }
}

static void report_link(const struct sentinel_node *sentinel, struct status_link *out)
{
    const struct sentinel_client *link = sentinel->link;
    unsigned denied = sentinel_client_denied_extras(link);

    out->address = *sentinel_client_address(link);
    out->up = sentinel_client_is_up(link);
    if (out->up) {
        out->sentinel = *sentinel_link_peer(link);
    }
    if (!sentinel_client_is_nameless(link)) {
        snprintf(out->run_id, sizeof(out->run_id), "%s", sentinel_client_run_id(link));
    }
    out->configured = sentinel->configured;
    out->spare = sentinel->state == SENTINEL_NODE_SPARE;
    out->failures = sentinel_client_failures(link);
    for (unsigned bit = 1; bit <= SENTINEL_EXTRA_LAST; bit *= 2) {
        if (denied & bit) {
            out->denied[out->n_denied++] = sentinel_extra_text((enum sentinel_extra)bit);
        }
    }
    if (sentinel_client_trouble(link) != SENTINEL_TROUBLE_NONE) {
        snprintf(out->trouble, sizeof(out->trouble), "%s",
                 trouble_code(sentinel_client_trouble(link)));
    }
    snprintf(out->words, sizeof(out->words), "%s",
             sentinel_client_words(link, &out->trouble_wall_ms));
}

struct status_report *report_make(const struct watcher *watcher)
{
    const struct sentinel_node *sentinel = NULL;
    size_t links = 0;

    for (size_t i = 0; i < watcher->n_deployments; i++) {
        links += watcher->deployments[i].n_sentinels;
    }
    struct status_report *report = status_report_new(watcher->n_masters, links);
    report->wall_ms = clock_wall_ms();
    report->live = true;
    for (size_t i = 0; i < watcher->n_masters; i++) {
        report_master(watcher->masters[i], &report->masters[i]);
    }
    for (size_t i = 0; i < links; i++) {
        sentinel = watcher_next_sentinel(watcher, sentinel);
        report_link(sentinel, &report->links[i]);
    }
    return report;
}
