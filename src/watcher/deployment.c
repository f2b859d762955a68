/*
 * One deployment: its Sentinels and, where they are discovered, its masters.
 *
 * Seeds are dialled first and never dropped. Sentinels that a judge knows (topology/judge_known.c)
 * are learned, and forgotten when none knows them any more. A Sentinel is its run id: a learned
 * link that turns out to be a seed goes, a second seed for the same Sentinel is kept in reserve.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "watcher_internal.h"

enum { NAMES_MAX = 10000 };

static bool same_id(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(a, b) == 0;
}

static const char *peer_run_id(const struct peer *peer)
{
    const char *own = sentinel_link_run_id(peer->link);

    return own[0] != '\0' ? own : peer->listed_as;
}

static const char *peer_text(const struct peer *peer, char text[ADDRESS_TEXT_SIZE])
{
    return address_format(sentinel_link_address(peer->link), text);
}

/* ---- hooks of a link ---- */

static const struct sentinel_link_hooks peer_hooks;

/* @param address mapped. */
static struct peer *peer_new(struct site *site, const struct address *address, bool configured,
                             const char *listed_as)
{
    const struct watch_config *config = site->watcher->config;
    struct peer *peer = mem_new(1, sizeof(*peer));

    peer->site = site;
    peer->configured = configured;
    peer->new_epoch = EPOCH_UNKNOWN;
    snprintf(peer->listed_as, sizeof(peer->listed_as), "%s", listed_as);
    struct sentinel_link_config link = {
        .address = *address,
        .username = site->config->username,
        .password = site->password,
        .group = site->number,
        .poll_interval_ms = config->poll_interval_ms,
        .timeout_ms = config->sentinel_timeout_ms,
        .discover = site->config->all_masters,
    };
    peer->link = sentinel_link_new(site->watcher->loop, &link, &peer_hooks, peer);
    site->peers = mem_resize(site->peers, site->n_peers + 1, sizeof(*site->peers));
    site->peers[site->n_peers++] = peer;
    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        if (site->watcher->masters[i]->site == site) {
            master_add_peer(site->watcher->masters[i], peer);
        }
    }
    return peer;
}

static void peer_forget_names(struct peer *peer)
{
    for (size_t i = 0; i < peer->n_names; i++) {
        free(peer->names[i]);
    }
    free(peer->names);
    peer->names = NULL;
    peer->n_names = 0;
    peer->has_names = false;
}

static void peer_free(struct peer *peer)
{
    struct site *site = peer->site;

    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        master_remove_peer(site->watcher->masters[i], peer);
    }
    for (size_t i = 0; i < site->n_peers; i++) {
        if (site->peers[i] != peer) {
            continue;
        }
        memmove(site->peers + i, site->peers + i + 1,
                (site->n_peers - i - 1) * sizeof(*site->peers));
        site->n_peers--;
        break;
    }
    count_peer_gone(peer);
    sentinel_link_free(peer->link);
    peer_forget_names(peer);
    free(peer);
}

static void site_step_masters(struct site *site)
{
    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        if (site->watcher->masters[i]->site == site) {
            master_step(site->watcher->masters[i]);
        }
    }
}

/*
 * Another link to the same Sentinel is up: one of the two goes. @return whether `peer` itself went.
 */
static bool peer_settle_identity(struct peer *peer)
{
    struct site *site = peer->site;
    char text[ADDRESS_TEXT_SIZE];
    const char *run_id = sentinel_link_run_id(peer->link);

    for (size_t i = 0; i < site->n_peers; i++) {
        struct peer *other = site->peers[i];

        if (other == peer || !same_id(run_id, peer_run_id(other))) {
            continue;
        }
        if (!other->configured) {
            peer_free(other);
            return peer_settle_identity(peer);
        }
        if (!sentinel_link_is_up(other->link)) {
            continue;
        }
        if (!peer->configured) {
            peer_free(peer);
            return true;
        }
        log_info("two configured Sentinels are the same one; it counts once",
                 LOG_STR("sentinel", peer_text(peer, text)), LOG_STR("run_id", run_id));
        peer->duplicate = true;
        peer->settled = true;
        sentinel_link_pause(peer->link);
        for (size_t j = 0; j < site->watcher->n_masters; j++) {
            master_remove_peer(site->watcher->masters[j], peer);
        }
        return true;
    }
    return false;
}

/* ---- Sentinels whose ACL hides their run id ---- */

/* What is listed at the address of that link. NULL: nothing. */
static const struct sentinel_peer_row *row_at(const struct chair *chair,
                                              const struct sentinel_link *link, const char *run_id)
{
    for (size_t i = 0; i < chair->n_listed && sentinel_link_is_up(chair->peer->link); i++) {
        const struct sentinel_peer_row *row = &chair->listed[i];
        struct address address;

        if (row->run_id[0] == '\0' || (run_id && strcmp(run_id, row->run_id) != 0) ||
            !address_is_set(&row->address) ||
            !peer_map_address(chair->peer, &row->address, &address)) {
            continue;
        }
        if (address_equal(&address, sentinel_link_address(link)) ||
            address_equal(&address, sentinel_link_peer(link))) {
            return row;
        }
    }
    return NULL;
}

/*
 * The run id under which the others list it, by its address. @param run_id only this one; NULL:
 * any.
 */
static const char *listed_id(const struct peer *peer, const char *run_id)
{
    const struct watcher *watcher = peer->site->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        const struct master *master = watcher->masters[i];

        for (size_t j = 0; master->site == peer->site && j < master->n_chairs; j++) {
            const struct sentinel_peer_row *row =
                master->chairs[j]->peer == peer ? NULL
                                                : row_at(master->chairs[j], peer->link, run_id);

            if (row) {
                return row->run_id;
            }
        }
    }
    return NULL;
}

/* It is one Sentinel, and counts once: what was heard of it goes on under its run id. */
static void judge_rename(struct judge *judge, const char *before, const char *after)
{
    const struct observation *seen = judge_observation(judge, before);

    if (seen) {
        struct observation moved = *seen;

        snprintf(moved.sentinel, sizeof(moved.sentinel), "%s", after);
        judge_observe(judge, &moved);
    }
    judge_forget(judge, before);
    judge_know(judge, after);
}

/* @return whether it has another identity now. */
static bool peer_identify(struct peer *peer)
{
    struct watcher *watcher = peer->site->watcher;
    const char *is = sentinel_link_run_id(peer->link), *id = NULL;

    if (!sentinel_link_hides_id(peer->link) || !sentinel_link_is_up(peer->link)) {
        return false;
    }
    if (sentinel_link_is_nameless(peer->link) || !listed_id(peer, is)) {
        id = listed_id(peer, NULL);
    }
    if (!id && sentinel_link_is_nameless(peer->link)) {
        id = peer->listed_as[0] != '\0' ? peer->listed_as : peer->known_as;
    }
    if (!id || id[0] == '\0' || strcmp(id, is) == 0) {
        return false;
    }
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct chair *chair = master_chair(watcher->masters[i], peer);

        if (watcher->masters[i]->site != peer->site || !chair) {
            continue;
        }
        chair->waiting = false;
        judge_rename(watcher->masters[i]->judge, is, id);
    }
    sentinel_link_name(peer->link, id);
    snprintf(peer->known_as, sizeof(peer->known_as), "%s", id);
    return true;
}

/*
 * It came back under another run id: it lost its state, or its address leads to another Sentinel,
 * or to several.
 */
static void peer_follow_run_id(struct peer *peer)
{
    const char *run_id = sentinel_link_run_id(peer->link);
    const struct watcher *watcher = peer->site->watcher;
    const char *before = peer->known_as[0] != '\0' ? peer->known_as : peer->listed_as;

    if (before[0] == '\0' || strcmp(before, run_id) == 0) {
        snprintf(peer->known_as, sizeof(peer->known_as), "%s", run_id);
        return;
    }
    memmove(peer->former, before, sizeof(peer->former));
    snprintf(peer->known_as, sizeof(peer->known_as), "%s", run_id);
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct chair *chair = master_chair(watcher->masters[i], peer);

        if (chair) {
            chair_begin(chair);
        }
    }
}

static void peer_up(void *data, struct sentinel_link *link)
{
    struct peer *peer = data;
    struct site *site = peer->site;
    char text[ADDRESS_TEXT_SIZE];

    (void)watcher_turn(site->watcher);
    peer_forget_names(peer); /* of another connection: they may have changed since */
    (void)peer_identify(peer);
    peer_follow_run_id(peer);
    if (peer_settle_identity(peer)) {
        site_review_peers(site);
        return;
    }
    count_peer_up(peer);
    peer->settled = true;
    peer->was_up = true;
    const struct log_field fields[] = {
        LOG_STR("sentinel", peer_text(peer, text)),
        LOG_STR("run_id", sentinel_link_run_id(link)),
        LOG_STR("source", peer->configured ? "configured" : "learned"),
    };
    /* as loud as "sentinel link down" was */
    log_write(peer->logged != SENTINEL_TROUBLE_NONE ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              "sentinel link up", fields, sizeof(fields) / sizeof(*fields));
    peer->logged = SENTINEL_TROUBLE_NONE;
    site_review_peers(site);
}

/* A seed in reserve takes over from the one that went down. */
static void site_wake_duplicates(struct site *site, const struct peer *down)
{
    for (size_t i = 0; i < site->n_peers; i++) {
        struct peer *peer = site->peers[i];

        if (!peer->duplicate ||
            !same_id(sentinel_link_run_id(down->link), sentinel_link_run_id(peer->link))) {
            continue;
        }
        peer->duplicate = false;
        for (size_t j = 0; j < site->watcher->n_masters; j++) {
            if (site->watcher->masters[j]->site == site) {
                master_add_peer(site->watcher->masters[j], peer);
            }
        }
        sentinel_link_start(peer->link);
    }
}

static void peer_down(void *data, struct sentinel_link *link)
{
    struct peer *peer = data;
    struct site *site = peer->site;
    struct watcher *watcher = site->watcher;
    enum sentinel_trouble trouble = sentinel_link_trouble(link);
    char text[ADDRESS_TEXT_SIZE];
    int64_t wall_ms;

    (void)watcher_turn(watcher);
    count_peer_error(peer, trouble_code(trouble));
    if (peer->was_up || trouble != peer->logged) {
        log_warn("sentinel link down", LOG_STR("sentinel", peer_text(peer, text)),
                 LOG_STR("why", sentinel_link_words(link, &wall_ms)),
                 LOG_STR("source", peer->configured ? "configured" : "learned"));
    }
    peer->was_up = false;
    peer->new_epoch = EPOCH_UNKNOWN;
    peer->settled = true;
    peer->logged = trouble;
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct chair *chair = master_chair(watcher->masters[i], peer);

        if (chair) {
            chair_lose(chair);
        }
    }
    site_wake_duplicates(site, peer);
    site_review_peers(site);
}

static void peer_answer(void *data, struct sentinel_link *link, void *tag,
                        const struct sentinel_answer *answer)
{
    struct chair *chair = tag;

    (void)data;
    (void)link;
    if (watcher_turn(chair->master->watcher)) {
        return;
    }
    chair_hear_answer(chair, answer);
}

static void peer_event(void *data, struct sentinel_link *link, const struct sentinel_event *event)
{
    struct peer *peer = data;
    struct site *site = peer->site;
    char text[ADDRESS_TEXT_SIZE];

    if (watcher_turn(site->watcher)) {
        return;
    }
    log_debug("sentinel event", LOG_STR("sentinel", peer_text(peer, text)),
              LOG_STR("event", event->channel), LOG_STR("master", event->master),
              LOG_STR("detail", event->payload));
    count_event(site->watcher, event->kind);
    if (event->kind == SENTINEL_EVENT_MONITOR || event->kind == SENTINEL_EVENT_MONITOR_END) {
        sentinel_link_ask_names(link);
    }
    struct master *master =
        event->master[0] != '\0' ? watcher_find_master(site->watcher, event->master) : NULL;
    if (master && master->site != site) {
        master = NULL;
    }
    const struct chair *chair = master ? master_chair(master, peer) : NULL;
    if (chair && !chair_counts(chair)) {
        return; /* it speaks of another deployment's, or nobody knows it */
    }
    herald_tell(site->watcher, peer, event);
    story_event(peer, master, event);
    if (master) {
        master_hear_event(master, peer, event);
    } else if (event->kind == SENTINEL_EVENT_TILT || event->kind == SENTINEL_EVENT_TILT_END) {
        for (size_t i = 0; i < site->watcher->n_masters; i++) {
            master_touch(site->watcher->masters[i]);
        }
    }
    adopt_note_epoch(peer, event);
}

static void peer_names(void *data, struct sentinel_link *link,
                       const struct sentinel_master_row *rows, size_t n)
{
    struct peer *peer = data;

    (void)link;
    if (watcher_turn(peer->site->watcher)) {
        return;
    }
    site_hear_names(peer, rows, n);
}

static void peer_peers(void *data, struct sentinel_link *link, void *tag,
                       const struct sentinel_peer_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct chair *chair = tag;
    if (watcher_turn(chair->master->watcher)) {
        return;
    }
    chair_hear_peers(chair, rows, n);
}

static void peer_replicas(void *data, struct sentinel_link *link, void *tag,
                          const struct sentinel_replica_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct chair *chair = tag;
    if (watcher_turn(chair->master->watcher)) {
        return;
    }
    chair_hear_replicas(chair, rows, n);
}

static void peer_ckquorum(void *data, struct sentinel_link *link, void *tag, bool ok,
                          const char *words)
{
    (void)data;
    (void)link;
    struct chair *chair = tag;
    if (watcher_turn(chair->master->watcher)) {
        return;
    }
    chair_hear_ckquorum(chair, ok, words);
}

static void peer_denied(void *data, struct sentinel_link *link, enum sentinel_extra what)
{
    struct peer *peer = data;

    (void)link;
    char text[ADDRESS_TEXT_SIZE];
    log_warn("sentinel denies what can be done without", LOG_STR("sentinel", peer_text(peer, text)),
             LOG_STR("command", sentinel_extra_text(what)));
    site_review_peers(peer->site);
}

static const struct sentinel_link_hooks peer_hooks = {
    .up = peer_up,
    .down = peer_down,
    .answer = peer_answer,
    .event = peer_event,
    .names = peer_names,
    .peers = peer_peers,
    .replicas = peer_replicas,
    .ckquorum = peer_ckquorum,
    .denied = peer_denied,
};

/* ---- learning and forgetting ---- */

/* Whether it counts for a master, or an address that leads to it is that of one that does. */
static bool peer_is_known(const struct peer *peer)
{
    const struct watcher *watcher = peer->site->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        if (watcher->masters[i]->site == peer->site &&
            (judge_knows(watcher->masters[i]->judge, sentinel_link_run_id(peer->link)) ||
             judge_knows(watcher->masters[i]->judge, peer->listed_as))) {
            return true;
        }
    }
    return false;
}

/* Whether there is a link to the Sentinel in that row. */
static bool site_has_link(const struct site *site, const struct sentinel_peer_row *row,
                          const struct address *address)
{
    for (size_t i = 0; i < site->n_peers; i++) {
        struct peer *peer = site->peers[i];

        /* A link that goes to that very address says itself who is there. */
        if (address_equal(address, sentinel_link_address(peer->link)) ||
            (sentinel_link_is_up(peer->link) &&
             address_equal(address, sentinel_link_peer(peer->link)))) {
            return true;
        }
        if (!same_id(row->run_id, peer_run_id(peer))) {
            continue;
        }
        /*
         * It moved: a learned link follows; a seed that is down keeps its address and a learned
         * link is made.
         */
        if (sentinel_link_is_up(peer->link)) {
            return true;
        }
        if (!peer->configured) {
            sentinel_link_redirect(peer->link, address);
            return true;
        }
    }
    return false;
}

/* Only who is known is dialled: it is given the password. */
static void site_learn_from(struct site *site, const struct chair *chair)
{
    for (size_t i = 0; i < chair->n_listed && sentinel_link_is_up(chair->peer->link); i++) {
        const struct sentinel_peer_row *row = &chair->listed[i];
        struct address address;

        if (address_is_set(&row->address) && judge_knows(chair->master->judge, row->run_id) &&
            peer_map_address(chair->peer, &row->address, &address) &&
            !site_has_link(site, row, &address)) {
            sentinel_link_start(peer_new(site, &address, false, row->run_id)->link);
        }
    }
}

static void site_learn(struct site *site)
{
    struct watcher *watcher = site->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct master *master = watcher->masters[i];

        if (master->site != site || !master->relearn) {
            continue;
        }
        master->relearn = false;
        for (size_t j = 0; j < master->n_chairs; j++) {
            site_learn_from(site, master->chairs[j]);
        }
    }
}

static void site_forget(struct site *site)
{
    for (size_t i = site->n_peers; i-- > 0;) {
        struct peer *peer = site->peers[i];
        char text[ADDRESS_TEXT_SIZE];

        if (peer->configured || peer_is_known(peer)) {
            continue;
        }
        log_info("sentinel forgotten: the others list it no longer",
                 LOG_STR("sentinel", peer_text(peer, text)), LOG_STR("run_id", peer_run_id(peer)));
        peer_free(peer);
    }
}

void site_review_links(struct master *master)
{
    master->relearn = true;
    master->site->relink_wanted = true;
}

void site_redial(struct site *site)
{
    for (size_t i = 0; i < site->n_peers; i++) {
        if (!site->peers[i]->duplicate) {
            sentinel_link_start(site->peers[i]->link);
        }
    }
}

void site_review_peers(struct site *site)
{
    site->review_wanted = true;
}

void site_look_for_gone(struct site *site)
{
    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        struct master *master = site->watcher->masters[i];

        if (master->site != site) {
            continue;
        }
        master_log_foreign(master);
        if (!judge_wants_recount(master->judge)) {
            continue;
        }
        master_recount(master);
        master_step(master);
    }
}

static void site_recount(struct site *site)
{
    site->watcher->reshaped = true;
    for (size_t i = 0; i < site->n_peers; i++) {
        if (sentinel_link_hides_id(site->peers[i]->link) &&
            sentinel_link_is_up(site->peers[i]->link) && peer_settle_identity(site->peers[i])) {
            break; /* others come with the next review */
        }
    }
    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        struct master *master = site->watcher->masters[i];

        if (master->site != site) {
            continue;
        }
        master_recount(master);
        master_touch(master); /* the links are shown, too */
    }
}

void site_turn(struct site *site)
{
    bool review = site->review_wanted;

    if (!review && !site->relink_wanted) {
        return;
    }
    for (size_t i = 0; i < site->n_peers; i++) {
        review = peer_identify(site->peers[i]) || review;
    }
    if (review) {
        site_recount(site);
    }
    site->review_wanted = site->relink_wanted = false;
    site_forget(site);
    site_learn(site);
    if (review) {
        site_step_masters(site);
    }
}

/* ---- discovered masters ---- */

static void watcher_insert_master(struct watcher *watcher, struct master *master)
{
    size_t at = watcher_master_at(watcher, master->name);

    watcher->masters =
        mem_resize(watcher->masters, watcher->n_masters + 1, sizeof(*watcher->masters));
    memmove(watcher->masters + at + 1, watcher->masters + at,
            (watcher->n_masters - at) * sizeof(*watcher->masters));
    watcher->masters[at] = master;
    watcher->n_masters++;
    watcher->reshaped = true;
}

static void watcher_remove_master(struct watcher *watcher, struct master *master)
{
    for (size_t i = 0; i < watcher->n_masters; i++) {
        if (watcher->masters[i] != master) {
            continue;
        }
        memmove(watcher->masters + i, watcher->masters + i + 1,
                (watcher->n_masters - i - 1) * sizeof(*watcher->masters));
        watcher->n_masters--;
        break;
    }
    master_free(master);
    watcher->reshaped = true;
}

/* Once: the next list may be in another order, or another Sentinel's. */
static void site_warn_full(struct peer *peer, size_t n)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n <= NAMES_MAX || peer->site->logged_full) {
        return;
    }
    peer->site->logged_full = true;
    log_warn("a sentinel lists more than are taken in", LOG_STR("sentinel", peer_text(peer, text)),
             LOG_STR("what", "masters"), LOG_INT("listed", n), LOG_INT("most", NAMES_MAX));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool peer_names_it(const struct peer *peer, const char *name)
{
    return peer->n_names > 0 &&
           bsearch(&name, peer->names, peer->n_names, sizeof(*peer->names), by_text);
}

static void site_add_names(struct site *site)
{
    size_t n = 0;

    for (size_t i = 0; i < site->watcher->n_masters; i++) {
        n += site->watcher->masters[i]->site == site;
    }
    for (size_t i = 0; i < site->n_peers; i++) {
        for (size_t j = 0; j < site->peers[i]->n_names; j++) {
            const char *name = site->peers[i]->names[j];

            if (!sentinel_link_is_up(site->peers[i]->link) ||
                watcher_find_master(site->watcher, name)) {
                continue;
            }
            if (n >= NAMES_MAX) {
                site_warn_full(site->peers[i], n + 1);
                return;
            }
            n++;
            log_info("master discovered", LOG_STR("master", name));
            struct master *master = master_new(site->watcher, site, name, false);
            watcher_insert_master(site->watcher, master);
            for (size_t k = 0; k < site->n_peers; k++) {
                if (!site->peers[k]->duplicate) {
                    master_add_peer(master, site->peers[k]);
                }
            }
        }
    }
}

/*
 * A discovered master goes when no live Sentinel lists it, and a majority of them is there to say
 * so.
 */
static void site_drop_names(struct site *site)
{
    struct watcher *watcher = site->watcher;

    for (size_t i = watcher->n_masters; i-- > 0;) {
        struct master *master = watcher->masters[i];
        size_t silent = 0, total = 0;
        bool named = false;

        if (master->site != site || master->configured) {
            continue;
        }
        for (size_t j = 0; j < site->n_peers; j++) {
            const struct peer *peer = site->peers[j];

            if (peer->duplicate) {
                continue;
            }
            total++;
            if (!sentinel_link_is_up(peer->link) || !peer->has_names) {
                continue;
            }
            if (peer_names_it(peer, master->name)) {
                named = true;
            } else {
                silent++;
            }
        }
        if (named || 2 * silent <= total) {
            continue;
        }
        log_info("master removed: no Sentinel monitors it any more",
                 LOG_STR("master", master->name));
        watcher_remove_master(watcher, master);
    }
}

static bool site_watches(const struct site *site, const char *name)
{
    const struct master *master = watcher_find_master(site->watcher, name);

    return master && master->site == site;
}

/* Where they are too many, those that are watched stay. */
void site_hear_names(struct peer *peer, const struct sentinel_master_row *rows, size_t n)
{
    size_t most = n < NAMES_MAX ? n : NAMES_MAX;
    char **names = mem_new(most + 1, sizeof(*names));
    size_t n_names = 0;

    site_warn_full(peer, n);
    for (int watched = 1; watched >= 0; watched--) {
        for (size_t i = 0; i < n && n_names < most; i++) {
            if (site_watches(peer->site, rows[i].name) == (watched != 0)) {
                names[n_names++] = mem_strdup(rows[i].name);
            }
        }
    }
    qsort(names, n_names, sizeof(*names), by_text);
    bool same = peer->has_names && n_names == peer->n_names;
    for (size_t i = 0; i < n_names && same; i++) {
        same = strcmp(names[i], peer->names[i]) == 0;
    }
    peer_forget_names(peer);
    peer->names = names;
    peer->n_names = n_names;
    peer->has_names = true;
    if (same) {
        return;
    }
    peer->site->watcher->reshaped = true;
    if (!peer->site->config->all_masters) {
        return;
    }
    site_drop_names(peer->site);
    site_add_names(peer->site);
}

/* ---- life ---- */

void site_init(struct site *site, struct watcher *watcher, const struct watch_deployment *config)
{
    site->watcher = watcher;
    site->config = config;
    site->number = (unsigned)(site - watcher->sites) + 1;
    site->resolver = resolver_new(watcher->loop, site->number, watcher->config->sentinel_timeout_ms,
                                  watcher_found_name, watcher);
    site->password = secret_copy(config->password);
    for (size_t i = 0; i < config->n_masters; i++) {
        if (!watcher_find_master(watcher, config->masters[i])) {
            watcher_insert_master(watcher, master_new(watcher, site, config->masters[i], true));
        }
    }
    for (size_t i = 0; i < config->n_seeds; i++) {
        struct address address = address_map_apply(&watcher->config->map, &config->seeds[i]);

        (void)peer_new(site, &address, true, "");
    }
}

void site_release(struct site *site)
{
    while (site->n_peers > 0) {
        peer_free(site->peers[site->n_peers - 1]);
    }
    free(site->peers);
    resolver_free(site->resolver);
    secret_free(site->password);
}
