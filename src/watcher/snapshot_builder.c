/*
 * Snapshots: at the end of a turn in which something changed, what changed is rendered into new
 * immutable parts, the rest is shared with the snapshot before, and every worker gets a reference.
 */
#include "snapshot_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "master_list.h"
#include "self_node.h"
#include "sentinel_node.h"
#include "turn.h"
#include "watch_counters.h"

enum {
    INFO_STALE_MS = 30000,     /* Sentinel's own limit: three of its INFO periods */
    INFO_STALE_DOWN_MS = 5000, /* and while the master is s_down, when it asks every second */
    PING_STALE_MS = 5000,      /* five of its ping periods */
    /* a replica's lag moves all the time: not a snapshot each time with a thousand masters */
    LAG_PAUSE_MS = 250,
};

/* ---- Sentinels ---- */

/* What it denies and is done without, then its words on the last of them. */
static void say_denied(const struct sentinel_client *link, struct snapshot_sentinel *out)
{
    size_t length = (size_t)snprintf(out->error_text, sizeof(out->error_text), "it denies");
    const char *between = " ";

    for (unsigned bit = 1; bit <= SENTINEL_EXTRA_LAST; bit *= 2) {
        if (!(sentinel_client_denied_extras(link) & bit)) {
            continue;
        }
        length += (size_t)snprintf(out->error_text + length, sizeof(out->error_text) - length,
                                   "%s%s", between, sentinel_extra_text((enum sentinel_extra)bit));
        between = ", ";
    }
    snprintf(out->error_text + length, sizeof(out->error_text) - length, ": %s",
             sentinel_client_words(link, &out->error_wall_ms));
}

/* What is shown of a Sentinel whatever the master. */
static void show_link(const struct sentinel_node *sentinel, struct snapshot_sentinel *out)
{
    const struct sentinel_client *link = sentinel->link;
    enum sentinel_trouble trouble = sentinel_client_trouble(link);

    out->address = *sentinel_client_address(link);
    if (!sentinel_client_is_nameless(link)) {
        snprintf(out->run_id, sizeof(out->run_id), "%s", sentinel_node_run_id(sentinel));
    }
    out->configured = sentinel->configured;
    out->tls = sentinel_client_is_secure(link);
    out->tls_otherwise = sentinel_client_is_secure_otherwise(link);
    out->reachable = sentinel_client_is_up(link);
    out->tilt = out->reachable && sentinel_client_tilt(link);
    out->config_epoch = EPOCH_UNKNOWN;
    out->voters = out->quorum = out->down_after_ms = out->failover_timeout_ms = -1;
    if (trouble != SENTINEL_TROUBLE_NONE) {
        snprintf(out->error_code, sizeof(out->error_code), "%s", trouble_code(trouble));
        snprintf(out->error_text, sizeof(out->error_text), "%s",
                 sentinel_client_words(link, &out->error_wall_ms));
    } else if (out->reachable && sentinel_client_denied_extras(link) != 0) {
        snprintf(out->error_code, sizeof(out->error_code), "sentinel_denied");
        say_denied(link, out);
    }
}

static void show_sentinel(const struct master *master, const struct sentinel_view *view,
                          int64_t now_ms, struct snapshot_sentinel *out)
{
    const struct sentinel_client *link = view->sentinel->link;
    const struct observation *seen =
        judge_observation(master->judge, sentinel_node_run_id(view->sentinel));

    show_link(view->sentinel, out);
    out->foreign = view->foreign;
    out->has_says = view->has_says;
    out->says = view->says;
    out->config_epoch = view->has_row ? view->row.config_epoch : EPOCH_UNKNOWN;
    out->agrees = seen && master->has_published && observation_counts(seen, now_ms) &&
                  endpoint_equal(&seen->master, &master->published.master);
    if (view->has_row) {
        if (view->row.num_other_sentinels >= 0) {
            out->voters = view->row.num_other_sentinels + 1;
        }
        out->quorum = view->row.quorum;
        out->down_after_ms = view->row.down_after_ms;
        out->failover_timeout_ms = view->row.failover_timeout_ms;
        snprintf(out->master_flags, sizeof(out->master_flags), "%s", view->row.flags_text);
    }
    out->has_ckquorum = view->has_ckquorum;
    out->ckquorum_ok = view->ckquorum_ok;
    snprintf(out->ckquorum_text, sizeof(out->ckquorum_text), "%s", view->ckquorum_text);
    if (sentinel_client_trouble(link) == SENTINEL_TROUBLE_NONE && view->error_code[0] != '\0') {
        snprintf(out->error_code, sizeof(out->error_code), "%s", view->error_code);
        snprintf(out->error_text, sizeof(out->error_text), "%s", view->error_text);
        out->error_wall_ms = view->error_wall_ms;
    }
}

static void show_sentinels(const struct master *master, struct snapshot_master *out)
{
    int64_t now_ms = master->stepped_ms;

    out->sentinels = mem_new(master->n_views, sizeof(*out->sentinels));
    out->quorum = -1;
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        if (sentinel_view_is_shadowed(master, view)) {
            continue;
        }
        struct snapshot_sentinel *shown = &out->sentinels[out->n_sentinels++];
        show_sentinel(master, view, now_ms, shown);
        if (shown->foreign) {
            continue;
        }
        out->reachable += shown->reachable;
        out->agreeing += shown->agrees;
        /*
         * They may be configured apart: the one that is hardest to reach is what a failover may
         * need.
         */
        if (shown->quorum > out->quorum) {
            out->quorum = shown->quorum;
        }
    }
    out->known = judge_known(master->judge);
    out->voters_needed = out->known / 2 + 1;
    if (out->quorum > (int64_t)out->voters_needed) {
        out->voters_needed = (size_t)out->quorum;
    }
}

/* ---- replicas ---- */

/*
 * Whose list of replicas is shown: one that agrees with what is published, the highest epoch first.
 */
static const struct sentinel_view *master_teller(const struct master *master)
{
    const struct sentinel_view *best = NULL;
    int64_t now_ms = clock_boot_ms();

    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        const struct observation *seen =
            judge_observation(master->judge, sentinel_client_run_id(view->sentinel->link));

        if (!view->has_replicas || !seen || !observation_counts(seen, now_ms) ||
            (master->has_published && !endpoint_equal(&seen->master, &master->published.master))) {
            continue;
        }
        if (!best || view->row.config_epoch > best->row.config_epoch) {
            best = view;
        }
    }
    return best;
}

static void why_not(struct snapshot_replica *out, const char *word)
{
    if (out->n_why_not < WHY_NOT_MAX) {
        out->why_not[out->n_why_not++] = word;
    }
}

/* What would keep a Sentinel from choosing it, by its own rules (sentinelSelectSlave). */
static void show_promotable(const struct sentinel_replica_row *row,
                            const struct sentinel_master_row *master, struct snapshot_replica *out)
{
    bool master_down = (master->flags & SENTINEL_S_DOWN) != 0;
    int64_t stale_ms = master_down ? INFO_STALE_DOWN_MS : INFO_STALE_MS;

    if (row->priority == 0) {
        why_not(out, "priority_0");
    }
    if (row->flags & SENTINEL_S_DOWN) {
        why_not(out, "s_down");
    }
    if (row->flags & SENTINEL_O_DOWN) {
        why_not(out, "o_down");
    }
    if (row->flags & SENTINEL_DISCONNECTED) {
        why_not(out, "disconnected");
    }
    if (row->last_ok_ping_reply_ms > PING_STALE_MS) {
        why_not(out, "ping_stale");
    }
    if (row->info_refresh_ms < 0 || row->info_refresh_ms > stale_ms) {
        why_not(out, "info_stale");
    }
    if (master->down_after_ms > 0 && row->link_down_ms > master->down_after_ms * 10) {
        why_not(out, "link_down_too_long");
    }
    out->promotable = out->n_why_not == 0;
}

static int64_t replica_lag(const struct master *master, const struct address *replica)
{
    const struct address_map *map = &master->watcher->config->map;

    for (size_t i = 0; i < master->lag.n_offsets && master->lag.master_offset >= 0; i++) {
        struct address mapped = address_map_apply(map, &master->lag.offsets[i].replica);

        if (!resolver_same(master->deployment->resolver, &mapped, replica)) {
            continue;
        }
        int64_t lag = master->lag.master_offset - master->lag.offsets[i].offset;
        return lag > 0 ? lag : 0;
    }
    return -1;
}

static bool sentinel_view_lists(const struct sentinel_view *view,
                                const struct snapshot_replica *replica)
{
    struct address mapped;

    for (size_t i = 0; i < view->n_replicas; i++) {
        if ((replica->run_id[0] != '\0' &&
             strcmp(view->replicas[i].run_id, replica->run_id) == 0) ||
            (sentinel_node_map_address(view->sentinel, &view->replicas[i].address, &mapped) &&
             resolver_same(view->master->deployment->resolver, &mapped, &replica->address))) {
            return true;
        }
    }
    return false;
}

/* Whether a majority of the known Sentinels lists it as a replica of what is published. */
static bool majority_lists(const struct master *master, const struct snapshot_replica *replica)
{
    size_t voices = 0;
    int64_t now_ms = clock_boot_ms();

    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        const struct observation *seen =
            judge_observation(master->judge, sentinel_client_run_id(view->sentinel->link));

        if (!sentinel_view_is_shadowed(master, view) && seen && observation_counts(seen, now_ms) &&
            endpoint_equal(&seen->master, &master->published.master) &&
            sentinel_view_lists(view, replica)) {
            voices++;
        }
    }
    return voices > judge_known(master->judge) / 2;
}

/* Where it is and who names it. */
static void show_standing(const struct master *master, struct snapshot_replica *out)
{
    struct endpoint node;

    if (!resolver_get(master->deployment->resolver, &out->address, &node)) {
        node = endpoint_from_address(&out->address);
    }
    out->ip = node.ip;
    out->vouched = judge_vouches(master->judge, &node);
    out->majority = majority_lists(master, out);
}

/* Sentinels may call one node differently: a replica keeps the text under which it was shown. */
static void keep_text(const struct master *master, struct snapshot_replica *shown)
{
    const struct snapshot_master *before = master->shown;

    if (before && snapshot_find_replica(before, &shown->address)) {
        return;
    }
    for (size_t i = 0; before && i < before->n_replicas; i++) {
        if (resolver_same(master->deployment->resolver, &before->replicas[i].address,
                          &shown->address)) {
            shown->address = before->replicas[i].address;
            return;
        }
    }
}

/* Whether a name leads where a Sentinel on another host may not lead. */
static bool leads_nowhere(const struct sentinel_view *teller, const struct address *address)
{
    struct endpoint node;

    return !address_is_ip(address) &&
           resolver_get(teller->master->deployment->resolver, address, &node) &&
           sentinel_node_refusal(teller->sentinel, &node);
}

static void show_replicas(const struct master *master, struct snapshot_master *out)
{
    const struct sentinel_view *teller = master_teller(master);
    const struct snapshot_master *before = master->shown;

    if (!teller) {
        /* No Sentinel can tell now: the replicas that were known stay. */
        out->n_replicas = before ? before->n_replicas : 0;
        if (out->n_replicas > 0) {
            out->replicas = mem_copy(before->replicas, out->n_replicas, sizeof(*out->replicas));
        }
        for (size_t i = 0; i < out->n_replicas; i++) {
            show_standing(master, &out->replicas[i]);
        }
        return;
    }
    out->replicas = mem_new(teller->n_replicas, sizeof(*out->replicas));
    for (size_t i = 0; i < teller->n_replicas; i++) {
        const struct sentinel_replica_row *row = &teller->replicas[i];
        struct snapshot_replica *shown = &out->replicas[out->n_replicas];

        if (!address_is_set(&row->address) ||
            !sentinel_node_map_address(teller->sentinel, &row->address, &shown->address)) {
            continue;
        }
        /*
         * Until the Sentinel has reconfigured it, the new master is still listed among the
         * replicas.
         */
        if ((out->has_address &&
             resolver_same(master->deployment->resolver, &shown->address, &out->address)) ||
            leads_nowhere(teller, &shown->address)) {
            continue;
        }
        keep_text(master, shown);
        out->n_replicas++;
        snprintf(shown->run_id, sizeof(shown->run_id), "%s", row->run_id);
        snprintf(shown->flags, sizeof(shown->flags), "%s", row->flags_text);
        shown->link_up = row->link_up;
        shown->link_down_ms = row->link_down_ms > 0 ? row->link_down_ms : 0;
        shown->priority = row->priority;
        show_standing(master, shown);
        shown->healthy =
            shown->vouched && row->link_up &&
            !(row->flags & (SENTINEL_S_DOWN | SENTINEL_O_DOWN | SENTINEL_DISCONNECTED));
        if (!shown->vouched) {
            why_not(shown, "not_vouched_for");
        }
        shown->lag_bytes = shown->healthy ? replica_lag(master, &shown->address) : -1;
        shown->lag_at_ms = shown->lag_bytes >= 0 ? master->lag.at_ms : -1;
        show_promotable(row, &teller->row, shown);
    }
}

/* ---- a master ---- */

static bool lies_with_sentinels(enum reason reason)
{
    switch (reason) {
    case REASON_STARTING:
    case REASON_NO_SENTINEL_REACHABLE:
    case REASON_SENTINEL_AUTH:
    case REASON_SENTINEL_TLS:
    case REASON_SENTINEL_DENIED:
    case REASON_UNKNOWN_NAME:
    case REASON_NO_MAJORITY: return true;
    default: return false;
    }
}

static char *say_detail(const struct snapshot_master *shown, enum reason reason, const char *said)
{
    return lies_with_sentinels(reason)
               ? snapshot_say_causes(said, shown->sentinels, shown->n_sentinels)
               : mem_strdup(said);
}

struct snapshot_master *publish_show(const struct master *master)
{
    struct snapshot_master *out = snapshot_master_new(master->name);

    out->deployment = master->deployment->number;
    out->state = master->state;
    out->reason = master->reason;
    out->has_address = master->has_published;
    out->config_epoch = EPOCH_UNKNOWN;
    if (master->has_published) {
        out->address = master->published.master.name;
        out->ip = master->published.master.ip;
        out->config_epoch = master->published.epoch;
        out->since_wall_ms = master->since_wall_ms;
    }
    out->tls = master->redis_tls != NULL;
    out->verified = master->state == MASTER_OK && snapshot_master_serves(out);
    out->majority = master->majority;
    out->has_previous = master->has_previous;
    if (master->has_previous) {
        out->previous = master->previous.name;
    }
    out->switches = master->switches;
    out->restarted_wall_ms = master->restarted_wall_ms;
    out->fence = fence_driver_state(master);
    out->promoting_ms = master->fence_driver.promoting_ms;
    out->contradicted = master->contradicted;
    snprintf(out->run_id, sizeof(out->run_id), "%s", master->run_id);
    show_sentinels(master, out);
    show_replicas(master, out);
    out->detail = say_detail(out, master->reason, master->detail);
    return out;
}

char *publish_detail(const struct master *master, enum reason reason, const char *said)
{
    struct snapshot_master *shown = publish_show(master);
    char *detail = say_detail(shown, reason, said);

    snapshot_master_unref(shown);
    return detail;
}

/* Make the master's part anew. @return whether it changed in a way that can't wait. */
static bool master_show(struct master *master)
{
    struct watcher *watcher = master->watcher;
    struct snapshot_master *now = publish_show(master);
    struct snapshot_master *before = master->shown;

    if (before && !snapshot_master_differs_deep(before, now)) {
        snapshot_master_unref(now);
        return false;
    }
    uint64_t index =
        !before || snapshot_master_differs(before, now) ? ++watcher->index : before->index;
    /*
     * That something has to be confirmed first is no news to those who wait for one, and a change
     * of the list: what comes of it is one event.
     */
    now->index = before && now->reason == REASON_WATCHER_STALLED && now->state == before->state
                     ? before->index
                     : index;
    now->revision = ++watcher->revision;
    master->shown = now;
    bool only_lag = before && !snapshot_master_differs_beyond_lag(before, now);
    watcher->lag_moved = watcher->lag_moved || only_lag;
    snapshot_master_unref(before);
    return !only_lag;
}

/* ---- the whole ---- */

static const char *first_configured(const struct watch_config *config)
{
    for (size_t i = 0; i < config->n_deployments; i++) {
        if (config->deployments[i].n_masters > 0) {
            return config->deployments[i].masters[0];
        }
    }
    return NULL;
}

/*
 * The default: as configured, or the first configured, or the only one known; once served it stays
 * until it is removed.
 */
static void choose_default(struct watcher *watcher, struct snapshot *out)
{
    const char *chosen = watcher->config->default_master;

    if (!chosen) {
        chosen = first_configured(watcher->config);
    }
    if (!chosen) {
        if (watcher->default_name && !watcher_find_master(watcher, watcher->default_name)) {
            free(watcher->default_name);
            watcher->default_name = NULL;
        }
        if (!watcher->default_name && watcher->n_masters == 1) {
            watcher->default_name = mem_strdup(watcher->masters[0]->name);
        }
        chosen = watcher->default_name;
    }
    out->default_name = mem_strdup(chosen);
    out->ambiguous_default = !chosen && watcher->n_masters > 1;
    if (out->ambiguous_default && !watcher->logged_ambiguous) {
        log_warn(
            "several masters and no default: /master answers 409 until --default-master or --master chooses one",
            LOG_INT("masters", watcher->n_masters));
    } else if (!out->ambiguous_default && watcher->logged_ambiguous) {
        log_warn("/master has a default again", LOG_STR("default", chosen));
    }
    watcher->logged_ambiguous = out->ambiguous_default;
}

static void collect_names(const struct watcher *watcher, struct snapshot *out)
{
    const struct sentinel_node *sentinel = NULL;
    size_t room = 0;

    while ((sentinel = watcher_next_sentinel(watcher, sentinel))) {
        room += sentinel->n_names;
    }
    char **names = mem_new(room, sizeof(*names));
    size_t n = 0;
    while ((sentinel = watcher_next_sentinel(watcher, sentinel))) {
        for (size_t j = 0; j < sentinel->n_names; j++) {
            names[n++] = sentinel->names[j];
        }
    }
    names_sort(names, n);
    out->sentinels_know = mem_new(n, sizeof(*out->sentinels_know));
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0) {
            out->sentinels_know[out->n_sentinels_know++] = mem_strdup(names[i]);
        }
    }
    free(names);
}

/* Show all links: no Sentinel can be reached, or no master is known, and each has its cause. */
static void show_links(const struct watcher *watcher, struct snapshot *out)
{
    const struct sentinel_node *sentinel = NULL;
    size_t room = 0;

    for (size_t i = 0; i < watcher->n_deployments; i++) {
        room += watcher->deployments[i].n_sentinels;
    }
    out->sentinels = mem_new(room, sizeof(*out->sentinels));
    while ((sentinel = watcher_next_sentinel(watcher, sentinel))) {
        if (sentinel->state != SENTINEL_NODE_SPARE) {
            show_link(sentinel, &out->sentinels[out->n_sentinels++]);
        }
    }
}

/*
 * Why there is no master at all: only where masters are discovered. By what an operator has to know
 * first, as with a master that is named (judge_state.c).
 */
static void explain_emptiness(const struct watcher *watcher, struct snapshot *out)
{
    const struct sentinel_node *sentinel = NULL;
    size_t up = 0, pending = 0, auth = 0, tls = 0, denied = 0, no_names = 0, named = 0;

    while ((sentinel = watcher_next_sentinel(watcher, sentinel))) {
        enum sentinel_trouble trouble = sentinel_client_trouble(sentinel->link);

        up += sentinel_client_is_up(sentinel->link);
        pending += sentinel->state == SENTINEL_NODE_NEW;
        named += sentinel->names != NULL;
        auth += trouble == SENTINEL_TROUBLE_AUTH;
        tls += trouble == SENTINEL_TROUBLE_TLS;
        denied += trouble == SENTINEL_TROUBLE_DENIED;
        no_names += (sentinel_client_denied_extras(sentinel->link) & SENTINEL_EXTRA_MASTERS) != 0;
    }
    out->any_sentinel_reachable = up > 0;
    out->reason = REASON_STARTING;
    const char *detail = "the Sentinels have not answered yet";
    if (up > 0 && named > 0) {
        out->reason = REASON_UNKNOWN_NAME;
        detail = "the Sentinels monitor no master";
    } else if (no_names > 0) {
        out->reason = REASON_SENTINEL_DENIED;
        detail =
            "the Sentinels deny SENTINEL MASTERS, so masters can't be discovered: name them with --master";
    } else if (up == 0 && auth > 0) {
        out->reason = REASON_SENTINEL_AUTH;
        detail = "the Sentinels refuse the password or user";
    } else if (up == 0 && tls > 0) {
        out->reason = REASON_SENTINEL_TLS;
        detail = "TLS to the Sentinels fails";
    } else if (up == 0 && denied > 0) {
        out->reason = REASON_SENTINEL_DENIED;
        detail = "the Sentinels refuse to answer";
    } else if (up == 0 && pending == 0) {
        out->reason = REASON_NO_SENTINEL_REACHABLE;
        detail = "no Sentinel can be reached";
    }
    if (up == 0 || watcher->n_masters == 0) {
        show_links(watcher, out);
    }
    out->detail = snapshot_say_causes(detail, out->sentinels, out->n_sentinels);
}

static struct snapshot *watcher_snapshot(struct watcher *watcher)
{
    struct snapshot *out = snapshot_new(watcher->n_masters);
    size_t resolved = 0;
    bool configured = first_configured(watcher->config) != NULL;

    out->pulse = watcher->pulse;
    out->generation = atomic_load_explicit(&watcher->pulse->generation, memory_order_relaxed);
    out->fences = atomic_load_explicit(&watcher->pulse->fences, memory_order_relaxed);
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct master *master = watcher->masters[i];

        out->masters[i] = snapshot_master_ref(master->shown);
        resolved += master->has_published;
    }
    out->all_resolved = configured ? resolved == watcher->n_masters : resolved > 0;
    choose_default(watcher, out);
    collect_names(watcher, out);
    out->failovers = failovers_ref(watcher->recorder.list);
    explain_emptiness(watcher, out);
    selves_show(watcher, out);
    return out;
}

/*
 * A snapshot differs by a master's part, by which masters there are, or by what is said of them
 * all.
 */
static bool snapshot_differs(const struct snapshot *a, const struct snapshot *b)
{
    if (a->n_masters != b->n_masters || a->n_sentinels_know != b->n_sentinels_know ||
        a->reason != b->reason || a->generation != b->generation || a->fences != b->fences ||
        a->any_sentinel_reachable != b->any_sentinel_reachable ||
        a->all_resolved != b->all_resolved || a->ambiguous_default != b->ambiguous_default ||
        a->failovers != b->failovers || strcmp(a->detail, b->detail) != 0) {
        return true;
    }
    for (size_t i = 0; i < a->n_masters; i++) {
        if (a->masters[i] != b->masters[i]) {
            return true;
        }
    }
    if (selves_differ(a, b)) {
        return true;
    }
    for (size_t i = 0; i < a->n_sentinels_know; i++) {
        if (strcmp(a->sentinels_know[i], b->sentinels_know[i]) != 0) {
            return true;
        }
    }
    return strcmp(a->default_name ? a->default_name : "", b->default_name ? b->default_name : "") !=
           0;
}

static void watcher_post_snapshot(struct watcher *watcher)
{
    struct snapshot *before = watcher->current;
    /* who lists a node is no part of a master */
    bool changed = watcher->reshaped || watcher->n_selves > 0;

    watcher->reshaped = false;
    /* commands wait for it, also where that fence is down again */
    if (before &&
        before->fences != atomic_load_explicit(&watcher->pulse->fences, memory_order_relaxed)) {
        changed = true;
    }
    for (struct master *master; (master = turn_take(watcher, TURN_SHOW));) {
        changed = master_show(master) || changed;
        (void)turn_goes_on(watcher);
    }
    int64_t now_ms = clock_boot_ms();
    bool pause = now_ms < watcher->posted_ms + LAG_PAUSE_MS && !watcher->lag_awaited;
    watcher->lag_awaited = false;
    if (!changed && (!watcher->lag_moved || pause)) {
        return;
    }
    watcher->lag_moved = false;
    watcher->posted_ms = now_ms;
    struct snapshot *now = watcher_snapshot(watcher);
    if (before && !snapshot_differs(before, now)) {
        snapshot_unref(now);
        return;
    }
    if (before && before->n_masters != now->n_masters) {
        watcher->index++; /* /masters changed, though no <master> did */
    }
    now->index = watcher->index;
    selves_log(before, now);
    watcher->current = now;
    snapshot_unref(before);
    for (size_t i = 0; i < watcher->n_subscribers; i++) {
        mailbox_post(watcher->subscribers[i], message_snapshot_new(now));
    }
}

void publish_turn(struct watcher *watcher)
{
    failover_recorder_settle(watcher);
    if (watcher->marked[TURN_SHOW].first || watcher->reshaped) {
        count_links(watcher);
    }
    if (watcher->marked[TURN_SHOW].first || watcher->reshaped || watcher->lag_moved) {
        watcher_post_snapshot(watcher);
    }
    /* what had come when it was looked is in there, in `generation`, or in `fences` */
    atomic_store_explicit(&watcher->pulse->heard_boot_ms, watcher->looked_ms, memory_order_release);
    turn_post_due(watcher);
}
