/*
 * What one Sentinel says about one master: its answers become observations, or are refused with a
 * word in the log (rule 10: an unknown name, no address, an unusable one, a loopback address from
 * elsewhere, one that is no node's).
 */
#include "sentinel_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "electors.h"
#include "sentinel_node.h"
#include "turn.h"
#include "watch_counters.h"

enum { SENTINELS_MAX = KNOWN_MAX, REPLICAS_MAX = 1000 };

struct sentinel_view *sentinel_view_new(struct master *master, struct sentinel_node *sentinel)
{
    struct sentinel_view *view = mem_new(1, sizeof(*view));

    view->master = master;
    view->sentinel = sentinel;
    view->row.config_epoch = EPOCH_UNKNOWN;
    view->monitored = sentinel_client_watch(sentinel->link, master->name, view);
    return view;
}

void sentinel_view_begin(struct sentinel_view *view)
{
    view->has_listed = view->has_replicas = view->has_named = view->has_says = view->foreign =
        false;
    view->n_listed = view->n_replicas = 0;
}

void sentinel_view_free(struct sentinel_view *view)
{
    if (!view) {
        return;
    }
    sentinel_client_unwatch(view->sentinel->link, view->monitored);
    free(view->listed);
    free(view->replicas);
    free(view);
}

static void sentinel_view_refuse(struct sentinel_view *view, const char *code, const char *words)
{
    char text[ADDRESS_TEXT_SIZE];

    view->refused++;
    count_sentinel_node_error(view->sentinel, code);
    if (strcmp(view->error_code, code) != 0) {
        log_warn("sentinel answer refused", LOG_STR("master", view->master->name),
                 LOG_STR("sentinel", sentinel_node_text(view->sentinel, text)),
                 LOG_STR("code", code), LOG_STR("words", words), LOG_INT("count", view->refused));
    }
    snprintf(view->error_code, sizeof(view->error_code), "%s", code);
    snprintf(view->error_text, sizeof(view->error_text), "%s", words);
    view->error_wall_ms = clock_wall_ms();
    view->has_says = false;
    judge_refuse(view->master->judge, sentinel_client_run_id(view->sentinel->link));
}

static void sentinel_view_observe(struct sentinel_view *view, const struct observation *seen)
{
    const struct refusal *refusal = sentinel_node_refusal(view->sentinel, &seen->master);

    if (refusal) { /* a name that leads there */
        sentinel_view_refuse(view, refusal->code, refusal->words);
        return;
    }
    view->error_code[0] = '\0';
    view->says = seen->master.name;
    view->has_says = true;
    view->named = seen->master;
    view->has_named = true;
    judge_observe(view->master->judge, seen);
}

/* An answer with a usable address: to the judge, after its name was looked up. */
static void sentinel_view_take(struct sentinel_view *view, const struct sentinel_answer *answer,
                               const struct address *mapped)
{
    struct sentinel_client *link = view->sentinel->link;
    struct observation seen = {
        .at_ms = clock_boot_ms(),
        .interval_ms = sentinel_client_interval_ms(link),
        .link_up = true,
        .epoch = EPOCH_UNKNOWN,
        .failover_timeout_ms = -1,
    };

    snprintf(seen.sentinel, sizeof(seen.sentinel), "%s", sentinel_client_run_id(link));
    seen.sentinel_at = *sentinel_client_address(link);
    if (answer->row_error == 0) {
        seen.epoch = answer->row.config_epoch;
        seen.failover_under_way = answer->row.failover_state[0] != '\0';
        seen.failover_timeout_ms = answer->row.failover_timeout_ms;
        /*
         * After a promotion the row is still about the old node: its run id says nothing about the
         * new one.
         */
        if (address_equal(&answer->row.address, &answer->address)) {
            snprintf(seen.run_id, sizeof(seen.run_id), "%s", answer->row.run_id);
        }
    }
    view->waiting = false;
    if (resolver_get(view->master->deployment->resolver, mapped, &seen.master)) {
        sentinel_view_observe(view, &seen);
        return;
    }
    view->waiting = true;
    view->waiting_for = seen;
    view->waiting_for.master.name = *mapped;
}

void sentinel_view_resume(struct sentinel_view *view)
{
    if (!view->waiting) {
        return;
    }
    struct observation seen = view->waiting_for;
    if (!resolver_get(view->master->deployment->resolver, &view->waiting_for.master.name,
                      &seen.master)) {
        return;
    }
    view->waiting = false;
    sentinel_view_observe(view, &seen);
    master_recount(view->master);
    turn_show_later(view->master);
    turn_step_later(view->master);
}

/* What of an answer is shown in /sentinels; most answers change none of it. */
static bool same_shown(const struct sentinel_view *a, const struct sentinel_view *b)
{
    return a->settled == b->settled && a->unknown_name == b->unknown_name &&
           a->has_row == b->has_row && a->has_says == b->has_says &&
           address_equal(&a->says, &b->says) && strcmp(a->error_code, b->error_code) == 0 &&
           strcmp(a->error_text, b->error_text) == 0 &&
           a->row.config_epoch == b->row.config_epoch && a->row.flags == b->row.flags &&
           strcmp(a->row.flags_text, b->row.flags_text) == 0 &&
           a->row.num_other_sentinels == b->row.num_other_sentinels &&
           a->row.quorum == b->row.quorum && a->row.down_after_ms == b->row.down_after_ms &&
           a->row.failover_timeout_ms == b->row.failover_timeout_ms;
}

void sentinel_view_hear_answer(struct sentinel_view *view, const struct sentinel_answer *answer)
{
    struct sentinel_view before = *view;
    struct address mapped;

    view->settled = true;
    view->has_row = answer->row_error == 0;
    if (view->has_row) {
        view->row = answer->row;
    }
    failover_recorder_row(view);
    fence_driver_row(view);
    view->unknown_name = answer->address_error == -BW_ENIL || answer->address_error == -BW_ENOENT;
    view->denied = answer->address_error == -BW_EDENIED;
    if (view->unknown_name) {
        sentinel_view_refuse(view, "unknown_name", "it has no master of that name");
    } else if (view->denied) {
        sentinel_view_refuse(view, "sentinel_denied", answer->words);
    } else if (answer->address_error == -BW_EINVAL) {
        sentinel_view_refuse(view, "bad_address", "its address has no usable host and port");
    } else if (answer->address_error != 0) {
        sentinel_view_refuse(view, "bad_reply",
                             answer->words[0] != '\0' ? answer->words
                                                      : "not a reply that is understood");
    } else {
        mapped = address_map_apply(&view->master->watcher->config->map, &answer->address);
        sentinel_view_take(view, answer, &mapped);
    }
    if (view->unknown_name && !view->sentinel->deployment->config->all_masters) {
        view->sentinel->deployment->watcher->reshaped = true;
    }
    if (!same_shown(&before, view)) {
        master_recount(view->master);
        turn_show_later(view->master);
    }
    turn_step_later(view->master);
}

/* Said once a master: the next list may be in another order, or another Sentinel's. */
static void sentinel_view_warn_full(const struct sentinel_view *view, bool *logged,
                                    const char *what, size_t n, size_t most)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n <= most || *logged) {
        return;
    }
    *logged = true;
    log_warn("a sentinel lists more than are taken in", LOG_STR("master", view->master->name),
             LOG_STR("sentinel", sentinel_node_text(view->sentinel, text)), LOG_STR("what", what),
             LOG_INT("listed", n), LOG_INT("most", most));
}

/* Whether the same are listed in the same order: else somebody came, went or moved. */
static bool same_listed(const struct sentinel_view *view, const struct sentinel_peer_row *rows,
                        size_t n)
{
    bool same = view->has_listed && n == view->n_listed;

    for (size_t i = 0; i < n && same; i++) {
        same = strcmp(view->listed[i].run_id, rows[i].run_id) == 0 &&
               address_equal(&view->listed[i].address, &rows[i].address);
    }
    return same;
}

void sentinel_view_hear_sentinels(struct sentinel_view *view, const struct sentinel_peer_row *rows,
                                  size_t n)
{
    size_t most = n < SENTINELS_MAX ? n : SENTINELS_MAX;

    if (same_listed(view, rows, most)) {
        return;
    }
    sentinel_view_warn_full(view, &view->master->logged_full_sentinels, "Sentinels", n, most);
    n = most;
    free(view->listed);
    view->listed = mem_copy(rows, n, sizeof(*rows));
    view->n_listed = n;
    view->has_listed = true;
    turn_relink_later(view->master);
    master_recount(view->master);
    turn_step_later(view->master);
}

void sentinel_view_hear_replicas(struct sentinel_view *view,
                                 const struct sentinel_replica_row *rows, size_t n)
{
    size_t most = n < REPLICAS_MAX ? n : REPLICAS_MAX;

    sentinel_view_warn_full(view, &view->master->logged_full_replicas, "replicas", n, most);
    n = most;
    bool same = view->has_replicas && n == view->n_replicas;
    for (size_t i = 0; i < n && same; i++) {
        same = address_equal(&rows[i].address, &view->replicas[i].address);
    }
    free(view->replicas);
    view->replicas = mem_copy(rows, n, sizeof(*rows));
    view->n_replicas = n;
    view->has_replicas = true;
    if (!same) {
        sentinel_view_tell_nodes(view);
        master_recount(view->master); /* whom it names may be one of ours now */
        turn_step_later(view->master);
    }
    turn_show_later(view->master);
}

void sentinel_view_hear_ckquorum(struct sentinel_view *view, bool ok, const char *text)
{
    view->has_ckquorum = true;
    view->ckquorum_ok = ok;
    snprintf(view->ckquorum_text, sizeof(view->ckquorum_text), "%s", text);
    turn_show_later(view->master);
}

void sentinel_view_lose(struct sentinel_view *view)
{
    view->settled = true;
    view->waiting = false;
    view->unknown_name = false;
    view->denied = false;
    view->has_ckquorum = false;
    judge_lose(view->master->judge, sentinel_client_run_id(view->sentinel->link));
    failover_recorder_lose(view);
    turn_show_later(view->master);
}
