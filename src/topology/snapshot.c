/*
 * Snapshots: making, sharing, comparing and searching them. A master's part is shared between the
 * snapshots that did not change it, so both are counted, and the last one to let go frees.
 */
#include "bellwether/topology/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"

/* ---- one master ---- */

struct snapshot_master *snapshot_master_new(const char *name)
{
    struct snapshot_master *master = mem_new(1, sizeof(*master));

    atomic_init(&master->references, 1);
    master->name = mem_strdup(name);
    return master;
}

struct snapshot_master *snapshot_master_ref(struct snapshot_master *master)
{
    if (master) {
        atomic_fetch_add_explicit(&master->references, 1, memory_order_relaxed);
    }
    return master;
}

/* Whether the caller held the last reference. Acquire and release, so that what other threads read
 * through theirs happened before the memory goes. */
static bool dropped_last(_Atomic unsigned *references)
{
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

void snapshot_master_unref(struct snapshot_master *master)
{
    if (!master || !dropped_last(&master->references)) {
        return;
    }
    free(master->name);
    free(master->detail);
    free(master->sentinels);
    free(master->replicas);
    free(master);
}

/* ---- comparing ---- */

static bool text_equal(const char *a, const char *b)
{
    if (!a || !b) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

/* An address that is there on both sides and equal, or on neither. */
static bool maybe_equal(bool has_a, const struct address *a, bool has_b, const struct address *b)
{
    return has_a == has_b && (!has_a || address_equal(a, b));
}

bool snapshot_master_differs(const struct snapshot_master *a, const struct snapshot_master *b)
{
    return !text_equal(a->name, b->name) || a->state != b->state || a->reason != b->reason ||
           !maybe_equal(a->has_address, &a->address, b->has_address, &b->address) ||
           a->tls != b->tls || a->verified != b->verified || a->majority != b->majority ||
           a->config_epoch != b->config_epoch || a->since_wall_ms != b->since_wall_ms ||
           a->restarted_wall_ms != b->restarted_wall_ms ||
           !maybe_equal(a->has_previous, &a->previous, b->has_previous, &b->previous);
}

const struct snapshot_replica *snapshot_find_replica(const struct snapshot_master *master,
                                                     const struct address *address)
{
    for (size_t i = 0; i < master->n_replicas; i++) {
        if (address_equal(&master->replicas[i].address, address)) {
            return &master->replicas[i];
        }
    }
    return NULL;
}

bool snapshot_replica_is_fit(const struct snapshot_replica *replica, int64_t max_lag_bytes,
                             int64_t now_ms)
{
    return replica->healthy &&
           (max_lag_bytes < 0 || (replica->lag_bytes >= 0 && replica->lag_bytes <= max_lag_bytes &&
                                  now_ms - replica->lag_at_ms <= LAG_FRESH_MS));
}

bool snapshot_master_serves(const struct snapshot_master *master)
{
    return master->has_address && master_serves(master->state, master->reason);
}

bool snapshot_master_is_memory(const struct snapshot_master *master)
{
    return master && master->reason == REASON_WATCHER_STALLED;
}

bool snapshot_master_is_at(const struct snapshot_master *master, const struct address *address)
{
    if (address_equal(&master->address, address) || address_equal(&master->ip, address)) {
        return true;
    }
    for (size_t i = 0; i < master->n_sentinels; i++) {
        const struct snapshot_sentinel *sentinel = &master->sentinels[i];

        if (sentinel->agrees && sentinel->has_says && address_equal(&sentinel->says, address)) {
            return true;
        }
    }
    return false;
}

static bool sentinel_equal(const struct snapshot_sentinel *a, const struct snapshot_sentinel *b)
{
    return address_equal(&a->address, &b->address) && text_equal(a->run_id, b->run_id) &&
           a->configured == b->configured && a->reachable == b->reachable &&
           a->agrees == b->agrees && a->tilt == b->tilt && a->foreign == b->foreign &&
           a->tls == b->tls && a->tls_otherwise == b->tls_otherwise &&
           maybe_equal(a->has_says, &a->says, b->has_says, &b->says) &&
           a->config_epoch == b->config_epoch && a->voters == b->voters &&
           a->has_ckquorum == b->has_ckquorum && a->ckquorum_ok == b->ckquorum_ok &&
           text_equal(a->ckquorum_text, b->ckquorum_text) &&
           text_equal(a->master_flags, b->master_flags) && a->down_after_ms == b->down_after_ms &&
           a->failover_timeout_ms == b->failover_timeout_ms && a->quorum == b->quorum &&
           text_equal(a->error_code, b->error_code) && text_equal(a->error_text, b->error_text) &&
           a->error_wall_ms == b->error_wall_ms;
}

static bool replica_equal(const struct snapshot_replica *a, const struct snapshot_replica *b)
{
    if (!address_equal(&a->address, &b->address) || !address_equal(&a->ip, &b->ip) ||
        !text_equal(a->run_id, b->run_id) || a->vouched != b->vouched ||
        a->majority != b->majority || a->healthy != b->healthy || a->link_up != b->link_up ||
        a->promotable != b->promotable || a->link_down_ms != b->link_down_ms ||
        a->priority != b->priority || a->n_why_not != b->n_why_not ||
        !text_equal(a->flags, b->flags)) {
        return false;
    }
    for (size_t i = 0; i < a->n_why_not; i++) {
        if (!text_equal(a->why_not[i], b->why_not[i])) {
            return false;
        }
    }
    return true;
}

static bool lists_equal(const struct snapshot_master *a, const struct snapshot_master *b)
{
    if (a->n_sentinels != b->n_sentinels || a->n_replicas != b->n_replicas) {
        return false;
    }
    for (size_t i = 0; i < a->n_sentinels; i++) {
        if (!sentinel_equal(&a->sentinels[i], &b->sentinels[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_replicas; i++) {
        if (!replica_equal(&a->replicas[i], &b->replicas[i])) {
            return false;
        }
    }
    return true;
}

bool snapshot_master_differs_beyond_lag(const struct snapshot_master *a,
                                        const struct snapshot_master *b)
{
    return snapshot_master_differs(a, b) || !text_equal(a->detail, b->detail) ||
           !text_equal(a->run_id, b->run_id) || !address_equal(&a->ip, &b->ip) ||
           a->fence != b->fence || a->promoting_ms != b->promoting_ms ||
           a->contradicted != b->contradicted || a->switches != b->switches ||
           a->quorum != b->quorum || a->known != b->known || a->reachable != b->reachable ||
           a->agreeing != b->agreeing || a->voters_needed != b->voters_needed || !lists_equal(a, b);
}

bool snapshot_master_differs_deep(const struct snapshot_master *a, const struct snapshot_master *b)
{
    if (snapshot_master_differs_beyond_lag(a, b)) {
        return true;
    }
    for (size_t i = 0; i < a->n_replicas; i++) {
        if (a->replicas[i].lag_bytes != b->replicas[i].lag_bytes ||
            a->replicas[i].lag_at_ms != b->replicas[i].lag_at_ms) {
            return true;
        }
    }
    return false;
}

/* ---- all masters ---- */

struct snapshot *snapshot_new(size_t n_masters)
{
    struct snapshot *snapshot = mem_new(1, sizeof(*snapshot));

    atomic_init(&snapshot->references, 1);
    snapshot->masters = mem_new(n_masters + 1, sizeof(*snapshot->masters));
    snapshot->n_masters = n_masters;
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    if (snapshot) {
        atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    }
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || !dropped_last(&snapshot->references)) {
        return;
    }
    for (size_t i = 0; i < snapshot->n_masters; i++) {
        snapshot_master_unref(snapshot->masters[i]);
    }
    for (size_t i = 0; i < snapshot->n_sentinels_know; i++) {
        free(snapshot->sentinels_know[i]);
    }
    failovers_unref(snapshot->failovers);
    free(snapshot->sentinels);
    free(snapshot->selves);
    free(snapshot->masters);
    free(snapshot->sentinels_know);
    free(snapshot->default_name);
    free(snapshot->detail);
    free(snapshot);
}

static const char *name_at(const void *masters, size_t i)
{
    return ((struct snapshot_master *const *)masters)[i]->name;
}

struct snapshot_master *snapshot_find(const struct snapshot *snapshot, const char *name)
{
    bool found;
    size_t at = names_place(snapshot->masters, snapshot->n_masters, name_at, name, &found);

    return found ? snapshot->masters[at] : NULL;
}

bool snapshot_knows_no_names(const struct snapshot *snapshot)
{
    return snapshot && snapshot->n_masters == 0 && snapshot->reason != REASON_NONE &&
           snapshot->reason != REASON_UNKNOWN_NAME;
}

bool snapshot_lacks(const struct snapshot *snapshot, const char *name)
{
    return snapshot && snapshot->any_sentinel_reachable && !snapshot_knows_no_names(snapshot) &&
           !snapshot_find(snapshot, name);
}

struct snapshot_master *snapshot_default(const struct snapshot *snapshot)
{
    return snapshot->default_name ? snapshot_find(snapshot, snapshot->default_name) : NULL;
}

/* ---- causes ---- */

enum { CAUSES_MAX = 16 };

/* NULL: nothing is wrong with it. */
static const char *cause_of(const struct snapshot_sentinel *sentinel)
{
    if (sentinel->error_code[0] != '\0') {
        return sentinel->error_text;
    }
    return sentinel->reachable ? NULL : "it has not answered yet";
}

char *snapshot_say_causes(const char *lead, const struct snapshot_sentinel *sentinels, size_t n)
{
    struct buffer text = {0};
    size_t said = 0;

    buffer_add_text(&text, lead);
    for (size_t i = 0; i < n; i++) {
        const char *cause = cause_of(&sentinels[i]);
        char address[ADDRESS_TEXT_SIZE];

        if (!cause || ++said > CAUSES_MAX) {
            continue;
        }
        buffer_add_text(&text, "; ");
        buffer_add_text(&text, address_format(&sentinels[i].address, address));
        buffer_add_text(&text, ": ");
        buffer_add_text(&text, cause);
    }
    if (said > CAUSES_MAX) {
        buffer_add_text(&text, "; and ");
        buffer_add_integer(&text, (int64_t)(said - CAUSES_MAX));
        buffer_add_text(&text, " more, see /sentinels");
    }
    return buffer_take_text(&text, NULL);
}

/* ---- whether it holds ---- */

bool snapshot_is_stalled(const struct snapshot *snapshot, int64_t now_ms)
{
    const struct pulse *pulse = snapshot ? snapshot->pulse : NULL;

    /*
     * After a jump of the clock the watcher's pulse goes on at once, and this snapshot is of before
     * it.
     */
    return pulse && (snapshot->generation !=
                         atomic_load_explicit(&pulse->generation, memory_order_acquire) ||
                     now_ms - atomic_load_explicit(&pulse->at_boot_ms, memory_order_acquire) >
                         WATCHER_SILENT_MS);
}

static bool is_older(const struct snapshot *snapshot, int64_t now_ms, int64_t age_ms,
                     int64_t *heard_ms)
{
    *heard_ms = snapshot && snapshot->pulse
                    ? atomic_load_explicit(&snapshot->pulse->heard_boot_ms, memory_order_acquire)
                    : 0;
    return *heard_ms != 0 && now_ms - *heard_ms > age_ms;
}

bool snapshot_is_late(const struct snapshot *snapshot, int64_t now_ms)
{
    int64_t heard_ms;

    return is_older(snapshot, now_ms, WATCHER_LATE_MS, &heard_ms);
}

int64_t snapshot_heard_ms(const struct snapshot *snapshot, int64_t now_ms)
{
    int64_t heard_ms;

    return is_older(snapshot, now_ms, WATCHER_LATE_MS, &heard_ms) ? heard_ms : now_ms;
}

bool snapshot_is_getting_late(const struct snapshot *snapshot, int64_t now_ms)
{
    int64_t heard_ms;

    return is_older(snapshot, now_ms, WATCHER_LATE_MS / 2, &heard_ms);
}

bool snapshot_is_behind(const struct snapshot *snapshot)
{
    const struct pulse *pulse = snapshot ? snapshot->pulse : NULL;

    return pulse &&
           (snapshot->generation !=
                atomic_load_explicit(&pulse->generation, memory_order_acquire) ||
            snapshot->fences != atomic_load_explicit(&pulse->fences, memory_order_acquire));
}
