/*
 * What one Sentinel says about one master: its answers become observations, or are refused with a
 * word in the log (rule 10: an unknown name, no address, an unusable one, a loopback address from
 * elsewhere, one that is no node's).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "watcher_internal.h"

enum { CHAIR_LISTED_MAX = KNOWN_MAX, CHAIR_REPLICAS_MAX = 1000 };

bool chair_counts(const struct chair *chair)
{
    return judge_knows(chair->master->judge, sentinel_link_run_id(chair->peer->link));
}

struct chair *chair_new(struct master *master, struct peer *peer)
{
    struct chair *chair = mem_new(1, sizeof(*chair));

    chair->master = master;
    chair->peer = peer;
    chair->row.config_epoch = EPOCH_UNKNOWN;
    chair->seat = sentinel_link_watch(peer->link, master->name, chair);
    return chair;
}

void chair_begin(struct chair *chair)
{
    chair->has_listed = chair->has_replicas = chair->has_named = chair->has_says = chair->foreign =
        false;
    chair->n_listed = chair->n_replicas = 0;
}

void chair_free(struct chair *chair)
{
    if (!chair) {
        return;
    }
    sentinel_link_unwatch(chair->peer->link, chair->seat);
    free(chair->listed);
    free(chair->replicas);
    free(chair);
}

const struct refusal *peer_refusal(const struct peer *peer, const struct endpoint *node)
{
    static const struct refusal
        loopback = {"loopback", "a loopback address, and it is not on this host itself"},
        nowhere = {"undialable",
                   "an address that is no node's: unspecified, multicast or broadcast"};
    const struct address *ip = address_is_set(&node->ip) ? &node->ip : &node->name;

    if (address_is_nowhere(ip)) {
        return &nowhere;
    }
    return address_is_loopback(ip) && !sentinel_link_is_local(peer->link) ? &loopback : NULL;
}

bool peer_map_address(const struct peer *peer, const struct address *given, struct address *out)
{
    struct address mapped = address_map_apply(&peer->site->watcher->config->map, given);
    struct endpoint node = {.name = mapped};

    if (peer_refusal(peer, &node)) {
        return false;
    }
    *out = mapped;
    return true;
}

static void chair_refuse(struct chair *chair, const char *code, const char *words)
{
    char text[ADDRESS_TEXT_SIZE];

    chair->refused++;
    count_peer_error(chair->peer, code);
    if (strcmp(chair->error_code, code) != 0) {
        log_warn(
            "sentinel answer refused", LOG_STR("master", chair->master->name),
            LOG_STR("sentinel", address_format(sentinel_link_address(chair->peer->link), text)),
            LOG_STR("code", code), LOG_STR("words", words), LOG_INT("count", chair->refused));
    }
    snprintf(chair->error_code, sizeof(chair->error_code), "%s", code);
    snprintf(chair->error_text, sizeof(chair->error_text), "%s", words);
    chair->error_wall_ms = clock_wall_ms();
    chair->has_says = false;
    judge_refuse(chair->master->judge, sentinel_link_run_id(chair->peer->link));
}

static void chair_observe(struct chair *chair, const struct observation *seen)
{
    const struct refusal *refusal = peer_refusal(chair->peer, &seen->master);

    if (refusal) { /* a name that leads there */
        chair_refuse(chair, refusal->code, refusal->words);
        return;
    }
    chair->error_code[0] = '\0';
    chair->says = seen->master.name;
    chair->has_says = true;
    chair->named = seen->master;
    chair->has_named = true;
    judge_observe(chair->master->judge, seen);
}

/* An answer with a usable address: to the judge, after its name was looked up. */
static void chair_take(struct chair *chair, const struct sentinel_answer *answer,
                       const struct address *mapped)
{
    struct sentinel_link *link = chair->peer->link;
    struct observation seen = {
        .at_ms = clock_boot_ms(),
        .interval_ms = sentinel_link_interval_ms(link),
        .link_up = true,
        .epoch = EPOCH_UNKNOWN,
        .failover_timeout_ms = -1,
    };

    snprintf(seen.sentinel, sizeof(seen.sentinel), "%s", sentinel_link_run_id(link));
    seen.sentinel_at = *sentinel_link_address(link);
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
    chair->waiting = false;
    if (resolver_get(chair->master->site->resolver, mapped, &seen.master)) {
        chair_observe(chair, &seen);
        return;
    }
    chair->waiting = true;
    chair->waiting_for = seen;
    chair->waiting_for.master.name = *mapped;
}

void chair_resume(struct chair *chair)
{
    if (!chair->waiting) {
        return;
    }
    struct observation seen = chair->waiting_for;
    if (!resolver_get(chair->master->site->resolver, &chair->waiting_for.master.name,
                      &seen.master)) {
        return;
    }
    chair->waiting = false;
    chair_observe(chair, &seen);
    master_recount(chair->master);
    master_touch(chair->master);
    master_step(chair->master);
}

/* What of an answer is shown in /sentinels; most answers change none of it. */
static bool same_shown(const struct chair *a, const struct chair *b)
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

void chair_hear_answer(struct chair *chair, const struct sentinel_answer *answer)
{
    struct chair before = *chair;
    struct address mapped;

    chair->settled = true;
    chair->has_row = answer->row_error == 0;
    if (chair->has_row) {
        chair->row = answer->row;
    }
    story_row(chair);
    fencing_row(chair);
    chair->unknown_name = answer->address_error == -BW_ENIL || answer->address_error == -BW_ENOENT;
    chair->denied = answer->address_error == -BW_EDENIED;
    if (chair->unknown_name) {
        chair_refuse(chair, "unknown_name", "it has no master of that name");
    } else if (chair->denied) {
        chair_refuse(chair, "sentinel_denied", answer->words);
    } else if (answer->address_error == -BW_EINVAL) {
        chair_refuse(chair, "bad_address", "its address has no usable host and port");
    } else if (answer->address_error != 0) {
        chair_refuse(chair, "bad_reply",
                     answer->words[0] != '\0' ? answer->words : "not a reply that is understood");
    } else {
        mapped = address_map_apply(&chair->master->watcher->config->map, &answer->address);
        chair_take(chair, answer, &mapped);
    }
    if (chair->unknown_name && !chair->peer->site->config->all_masters) {
        chair->peer->site->watcher->reshaped = true;
    }
    if (!same_shown(&before, chair)) {
        master_recount(chair->master);
        master_touch(chair->master);
    }
    master_step(chair->master);
}

/* Once a master: the next list may be in another order, or another Sentinel's. */
static void chair_warn_full(const struct chair *chair, bool *logged, const char *what, size_t n,
                            size_t most)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n <= most || *logged) {
        return;
    }
    *logged = true;
    log_warn("a sentinel lists more than are taken in", LOG_STR("master", chair->master->name),
             LOG_STR("sentinel", address_format(sentinel_link_address(chair->peer->link), text)),
             LOG_STR("what", what), LOG_INT("listed", n), LOG_INT("most", most));
}

/* Whether the same are listed in the same order: else somebody came, went or moved. */
static bool same_listed(const struct chair *chair, const struct sentinel_peer_row *rows, size_t n)
{
    bool same = chair->has_listed && n == chair->n_listed;

    for (size_t i = 0; i < n && same; i++) {
        same = strcmp(chair->listed[i].run_id, rows[i].run_id) == 0 &&
               address_equal(&chair->listed[i].address, &rows[i].address);
    }
    return same;
}

void chair_hear_peers(struct chair *chair, const struct sentinel_peer_row *rows, size_t n)
{
    size_t most = n < CHAIR_LISTED_MAX ? n : CHAIR_LISTED_MAX;

    if (same_listed(chair, rows, most)) {
        return;
    }
    chair_warn_full(chair, &chair->master->logged_full_sentinels, "Sentinels", n, most);
    n = most;
    free(chair->listed);
    chair->listed = mem_new(n > 0 ? n : 1, sizeof(*chair->listed));
    if (n > 0) {
        memcpy(chair->listed, rows, n * sizeof(*rows));
    }
    chair->n_listed = n;
    chair->has_listed = true;
    site_review_links(chair->master);
    master_recount(chair->master);
    master_step(chair->master);
}

void chair_hear_replicas(struct chair *chair, const struct sentinel_replica_row *rows, size_t n)
{
    size_t most = n < CHAIR_REPLICAS_MAX ? n : CHAIR_REPLICAS_MAX;

    chair_warn_full(chair, &chair->master->logged_full_replicas, "replicas", n, most);
    n = most;
    bool same = chair->has_replicas && n == chair->n_replicas;
    for (size_t i = 0; i < n && same; i++) {
        same = address_equal(&rows[i].address, &chair->replicas[i].address);
    }
    free(chair->replicas);
    chair->replicas = mem_new(n > 0 ? n : 1, sizeof(*chair->replicas));
    if (n > 0) {
        memcpy(chair->replicas, rows, n * sizeof(*rows));
    }
    chair->n_replicas = n;
    chair->has_replicas = true;
    if (!same) {
        chair_tell_nodes(chair);
        master_recount(chair->master); /* whom it names may be one of ours now */
        master_step(chair->master);
    }
    master_touch(chair->master);
}

void chair_tell_nodes(const struct chair *chair)
{
    if (!chair->has_replicas) {
        return;
    }
    struct endpoint *nodes = mem_new(chair->n_replicas + 1, sizeof(*nodes));
    size_t n = 0;
    for (size_t i = 0; i < chair->n_replicas; i++) {
        struct address mapped;

        if (!address_is_set(&chair->replicas[i].address) ||
            !peer_map_address(chair->peer, &chair->replicas[i].address, &mapped)) {
            continue;
        }
        if (!resolver_get(chair->master->site->resolver, &mapped, &nodes[n])) {
            nodes[n] = endpoint_from_address(&mapped);
        }
        n++;
    }
    judge_hear_nodes(chair->master->judge, sentinel_link_run_id(chair->peer->link), nodes, n);
    free(nodes);
}

void chair_hear_ckquorum(struct chair *chair, bool ok, const char *text)
{
    chair->has_ckquorum = true;
    chair->ckquorum_ok = ok;
    snprintf(chair->ckquorum_text, sizeof(chair->ckquorum_text), "%s", text);
    master_touch(chair->master);
}

void chair_lose(struct chair *chair)
{
    chair->settled = true;
    chair->waiting = false;
    chair->unknown_name = false;
    chair->denied = false;
    chair->has_ckquorum = false;
    judge_lose(chair->master->judge, sentinel_link_run_id(chair->peer->link));
    story_lose(chair);
    master_touch(chair->master);
}
