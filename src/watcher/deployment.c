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
#include "bellwether/base/names.h"
#include "watcher_internal.h"

enum { NAMES_MAX = 10000 };

static bool same_id(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(a, b) == 0;
}

static const char *sentinel_node_run_id(const struct sentinel_node *sentinel)
{
    const char *own = sentinel_client_run_id(sentinel->link);

    return own[0] != '\0' ? own : sentinel->listed_as;
}

static const char *sentinel_node_text(const struct sentinel_node *sentinel,
                                      char text[ADDRESS_TEXT_SIZE])
{
    return address_format(sentinel_client_address(sentinel->link), text);
}

/* ---- hooks of a link ---- */

static const struct sentinel_client_hooks sentinel_node_hooks;

/* @param address mapped. */
static struct sentinel_node *sentinel_node_new(struct deployment *deployment,
                                               const struct address *address, bool configured,
                                               const char *listed_as)
{
    const struct watch_config *config = deployment->watcher->config;
    struct sentinel_node *sentinel = mem_new(1, sizeof(*sentinel));

    sentinel->deployment = deployment;
    sentinel->configured = configured;
    sentinel->new_epoch = EPOCH_UNKNOWN;
    snprintf(sentinel->listed_as, sizeof(sentinel->listed_as), "%s", listed_as);
    struct sentinel_client_config link = {
        .address = *address,
        .username = deployment->config->username,
        .password = deployment->password,
        .group = deployment->number,
        .poll_interval_ms = config->poll_interval_ms,
        .timeout_ms = config->sentinel_timeout_ms,
        .discover = deployment->config->all_masters,
    };
    sentinel->link =
        sentinel_client_new(deployment->watcher->loop, &link, &sentinel_node_hooks, sentinel);
    deployment->sentinels = mem_resize(deployment->sentinels, deployment->n_sentinels + 1,
                                       sizeof(*deployment->sentinels));
    deployment->sentinels[deployment->n_sentinels++] = sentinel;
    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        if (deployment->watcher->masters[i]->deployment == deployment) {
            master_add_sentinel_node(deployment->watcher->masters[i], sentinel);
        }
    }
    return sentinel;
}

static void sentinel_node_forget_names(struct sentinel_node *sentinel)
{
    for (size_t i = 0; i < sentinel->n_names; i++) {
        free(sentinel->names[i]);
    }
    free(sentinel->names);
    sentinel->names = NULL;
    sentinel->n_names = 0;
    sentinel->has_names = false;
}

static void sentinel_node_free(struct sentinel_node *sentinel)
{
    struct deployment *deployment = sentinel->deployment;

    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        master_remove_sentinel_node(deployment->watcher->masters[i], sentinel);
    }
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        if (deployment->sentinels[i] != sentinel) {
            continue;
        }
        memmove(deployment->sentinels + i, deployment->sentinels + i + 1,
                (deployment->n_sentinels - i - 1) * sizeof(*deployment->sentinels));
        deployment->n_sentinels--;
        break;
    }
    count_sentinel_node_gone(sentinel);
    sentinel_client_free(sentinel->link);
    sentinel_node_forget_names(sentinel);
    free(sentinel);
}

static void deployment_step_masters(struct deployment *deployment)
{
    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        if (deployment->watcher->masters[i]->deployment == deployment) {
            master_step(deployment->watcher->masters[i]);
        }
    }
}

/*
 * Another link to the same Sentinel is up: one of the two goes. @return whether `sentinel` itself
 * went.
 */
static bool sentinel_node_settle_identity(struct sentinel_node *sentinel)
{
    struct deployment *deployment = sentinel->deployment;
    char text[ADDRESS_TEXT_SIZE];
    const char *run_id = sentinel_client_run_id(sentinel->link);

    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        struct sentinel_node *other = deployment->sentinels[i];

        if (other == sentinel || !same_id(run_id, sentinel_node_run_id(other))) {
            continue;
        }
        if (!other->configured) {
            sentinel_node_free(other);
            return sentinel_node_settle_identity(sentinel);
        }
        if (!sentinel_client_is_up(other->link)) {
            continue;
        }
        if (!sentinel->configured) {
            sentinel_node_free(sentinel);
            return true;
        }
        log_info("two configured Sentinels are the same one; it counts once",
                 LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("run_id", run_id));
        sentinel->duplicate = true;
        sentinel->settled = true;
        sentinel_client_pause(sentinel->link);
        for (size_t j = 0; j < deployment->watcher->n_masters; j++) {
            master_remove_sentinel_node(deployment->watcher->masters[j], sentinel);
        }
        return true;
    }
    return false;
}

/* ---- Sentinels whose ACL hides their run id ---- */

/* What is listed at the address of that link. NULL: nothing. */
static const struct sentinel_peer_row *row_at(const struct sentinel_view *view,
                                              const struct sentinel_client *link,
                                              const char *run_id)
{
    for (size_t i = 0; i < view->n_listed && sentinel_client_is_up(view->sentinel->link); i++) {
        const struct sentinel_peer_row *row = &view->listed[i];
        struct address address;

        if (row->run_id[0] == '\0' || (run_id && strcmp(run_id, row->run_id) != 0) ||
            !address_is_set(&row->address) ||
            !sentinel_node_map_address(view->sentinel, &row->address, &address)) {
            continue;
        }
        if (address_equal(&address, sentinel_client_address(link)) ||
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
static const char *listed_id(const struct sentinel_node *sentinel, const char *run_id)
{
    const struct watcher *watcher = sentinel->deployment->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        const struct master *master = watcher->masters[i];

        for (size_t j = 0; master->deployment == sentinel->deployment && j < master->n_views; j++) {
            const struct sentinel_peer_row *row =
                master->views[j]->sentinel == sentinel
                    ? NULL
                    : row_at(master->views[j], sentinel->link, run_id);

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
static bool sentinel_node_identify(struct sentinel_node *sentinel)
{
    struct watcher *watcher = sentinel->deployment->watcher;
    const char *is = sentinel_client_run_id(sentinel->link), *id = NULL;

    if (!sentinel_client_hides_id(sentinel->link) || !sentinel_client_is_up(sentinel->link)) {
        return false;
    }
    if (sentinel_client_is_nameless(sentinel->link) || !listed_id(sentinel, is)) {
        id = listed_id(sentinel, NULL);
    }
    if (!id && sentinel_client_is_nameless(sentinel->link)) {
        id = sentinel->listed_as[0] != '\0' ? sentinel->listed_as : sentinel->known_as;
    }
    if (!id || id[0] == '\0' || strcmp(id, is) == 0) {
        return false;
    }
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct sentinel_view *view = master_sentinel_view(watcher->masters[i], sentinel);

        if (watcher->masters[i]->deployment != sentinel->deployment || !view) {
            continue;
        }
        view->waiting = false;
        judge_rename(watcher->masters[i]->judge, is, id);
    }
    sentinel_client_name(sentinel->link, id);
    snprintf(sentinel->known_as, sizeof(sentinel->known_as), "%s", id);
    return true;
}

/*
 * It came back under another run id: it lost its state, or its address leads to another Sentinel,
 * or to several.
 */
static void sentinel_node_follow_run_id(struct sentinel_node *sentinel)
{
    const char *run_id = sentinel_client_run_id(sentinel->link);
    const struct watcher *watcher = sentinel->deployment->watcher;
    const char *before = sentinel->known_as[0] != '\0' ? sentinel->known_as : sentinel->listed_as;

    if (before[0] == '\0' || strcmp(before, run_id) == 0) {
        snprintf(sentinel->known_as, sizeof(sentinel->known_as), "%s", run_id);
        return;
    }
    memmove(sentinel->former, before, sizeof(sentinel->former));
    snprintf(sentinel->known_as, sizeof(sentinel->known_as), "%s", run_id);
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct sentinel_view *view = master_sentinel_view(watcher->masters[i], sentinel);

        if (view) {
            sentinel_view_begin(view);
        }
    }
}

static void sentinel_node_up(void *data, struct sentinel_client *link)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    char text[ADDRESS_TEXT_SIZE];

    (void)watcher_turn(deployment->watcher);
    sentinel_node_forget_names(sentinel); /* of another connection: they may have changed since */
    (void)sentinel_node_identify(sentinel);
    sentinel_node_follow_run_id(sentinel);
    if (sentinel_node_settle_identity(sentinel)) {
        deployment_review_sentinel_nodes(deployment);
        return;
    }
    count_sentinel_node_up(sentinel);
    sentinel->settled = true;
    sentinel->was_up = true;
    const struct log_field fields[] = {
        LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
        LOG_STR("run_id", sentinel_client_run_id(link)),
        LOG_STR("source", sentinel->configured ? "configured" : "learned"),
    };
    /* as loud as "sentinel link down" was */
    log_write(sentinel->logged != SENTINEL_TROUBLE_NONE ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              "sentinel link up", fields, sizeof(fields) / sizeof(*fields));
    sentinel->logged = SENTINEL_TROUBLE_NONE;
    deployment_review_sentinel_nodes(deployment);
}

/* A seed in reserve takes over from the one that went down. */
static void deployment_wake_duplicates(struct deployment *deployment,
                                       const struct sentinel_node *down)
{
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        struct sentinel_node *sentinel = deployment->sentinels[i];

        if (!sentinel->duplicate ||
            !same_id(sentinel_client_run_id(down->link), sentinel_client_run_id(sentinel->link))) {
            continue;
        }
        sentinel->duplicate = false;
        for (size_t j = 0; j < deployment->watcher->n_masters; j++) {
            if (deployment->watcher->masters[j]->deployment == deployment) {
                master_add_sentinel_node(deployment->watcher->masters[j], sentinel);
            }
        }
        sentinel_client_start(sentinel->link);
    }
}

static void sentinel_node_down(void *data, struct sentinel_client *link)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    struct watcher *watcher = deployment->watcher;
    enum sentinel_trouble trouble = sentinel_client_trouble(link);
    char text[ADDRESS_TEXT_SIZE];
    int64_t wall_ms;

    (void)watcher_turn(watcher);
    count_sentinel_node_error(sentinel, trouble_code(trouble));
    if (sentinel->was_up || trouble != sentinel->logged) {
        log_warn("sentinel link down", LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("why", sentinel_client_words(link, &wall_ms)),
                 LOG_STR("source", sentinel->configured ? "configured" : "learned"));
    }
    sentinel->was_up = false;
    sentinel->new_epoch = EPOCH_UNKNOWN;
    sentinel->settled = true;
    sentinel->logged = trouble;
    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct sentinel_view *view = master_sentinel_view(watcher->masters[i], sentinel);

        if (view) {
            sentinel_view_lose(view);
        }
    }
    deployment_wake_duplicates(deployment, sentinel);
    deployment_review_sentinel_nodes(deployment);
}

static void sentinel_node_answer(void *data, struct sentinel_client *link, void *tag,
                                 const struct sentinel_answer *answer)
{
    struct sentinel_view *view = tag;

    (void)data;
    (void)link;
    if (watcher_turn(view->master->watcher)) {
        return;
    }
    sentinel_view_hear_answer(view, answer);
}

static void sentinel_node_event(void *data, struct sentinel_client *link,
                                const struct sentinel_event *event)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    char text[ADDRESS_TEXT_SIZE];

    if (watcher_turn(deployment->watcher)) {
        return;
    }
    log_debug("sentinel event", LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
              LOG_STR("event", event->channel), LOG_STR("master", event->master),
              LOG_STR("detail", event->payload));
    count_event(deployment->watcher, event->kind);
    if (event->kind == SENTINEL_EVENT_MONITOR || event->kind == SENTINEL_EVENT_MONITOR_END) {
        sentinel_client_ask_names(link);
    }
    struct master *master =
        event->master[0] != '\0' ? watcher_find_master(deployment->watcher, event->master) : NULL;
    if (master && master->deployment != deployment) {
        master = NULL;
    }
    const struct sentinel_view *view = master ? master_sentinel_view(master, sentinel) : NULL;
    if (view && !sentinel_view_counts(view)) {
        return; /* it speaks of another deployment's, or nobody knows it */
    }
    event_relay_tell(deployment->watcher, sentinel, event);
    failover_recorder_event(sentinel, master, event);
    if (master) {
        master_hear_event(master, sentinel, event);
    } else if (event->kind == SENTINEL_EVENT_TILT || event->kind == SENTINEL_EVENT_TILT_END) {
        for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
            master_touch(deployment->watcher->masters[i]);
        }
    }
    adopt_note_epoch(sentinel, event);
}

static void sentinel_node_names(void *data, struct sentinel_client *link,
                                const struct sentinel_master_row *rows, size_t n)
{
    struct sentinel_node *sentinel = data;

    (void)link;
    if (watcher_turn(sentinel->deployment->watcher)) {
        return;
    }
    deployment_hear_names(sentinel, rows, n);
}

static void sentinel_node_sentinel_nodes(void *data, struct sentinel_client *link, void *tag,
                                         const struct sentinel_peer_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (watcher_turn(view->master->watcher)) {
        return;
    }
    sentinel_view_hear_sentinels(view, rows, n);
}

static void sentinel_node_replicas(void *data, struct sentinel_client *link, void *tag,
                                   const struct sentinel_replica_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (watcher_turn(view->master->watcher)) {
        return;
    }
    sentinel_view_hear_replicas(view, rows, n);
}

static void sentinel_node_ckquorum(void *data, struct sentinel_client *link, void *tag, bool ok,
                                   const char *words)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (watcher_turn(view->master->watcher)) {
        return;
    }
    sentinel_view_hear_ckquorum(view, ok, words);
}

static void sentinel_node_denied(void *data, struct sentinel_client *link, enum sentinel_extra what)
{
    struct sentinel_node *sentinel = data;

    (void)link;
    char text[ADDRESS_TEXT_SIZE];
    log_warn("sentinel denies what can be done without",
             LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
             LOG_STR("command", sentinel_extra_text(what)));
    deployment_review_sentinel_nodes(sentinel->deployment);
}

static const struct sentinel_client_hooks sentinel_node_hooks = {
    .up = sentinel_node_up,
    .down = sentinel_node_down,
    .answer = sentinel_node_answer,
    .event = sentinel_node_event,
    .names = sentinel_node_names,
    .sentinels = sentinel_node_sentinel_nodes,
    .replicas = sentinel_node_replicas,
    .ckquorum = sentinel_node_ckquorum,
    .denied = sentinel_node_denied,
};

/* ---- learning and forgetting ---- */

/* Whether it counts for a master, or an address that leads to it is that of one that does. */
static bool sentinel_node_is_known(const struct sentinel_node *sentinel)
{
    const struct watcher *watcher = sentinel->deployment->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        if (watcher->masters[i]->deployment == sentinel->deployment &&
            (judge_knows(watcher->masters[i]->judge, sentinel_client_run_id(sentinel->link)) ||
             judge_knows(watcher->masters[i]->judge, sentinel->listed_as))) {
            return true;
        }
    }
    return false;
}

/* Whether there is a link to the Sentinel in that row. */
static bool deployment_has_link(const struct deployment *deployment,
                                const struct sentinel_peer_row *row, const struct address *address)
{
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        struct sentinel_node *sentinel = deployment->sentinels[i];

        /* A link that goes to that very address says itself who is there. */
        if (address_equal(address, sentinel_client_address(sentinel->link)) ||
            (sentinel_client_is_up(sentinel->link) &&
             address_equal(address, sentinel_link_peer(sentinel->link)))) {
            return true;
        }
        if (!same_id(row->run_id, sentinel_node_run_id(sentinel))) {
            continue;
        }
        /*
         * It moved: a learned link follows; a seed that is down keeps its address and a learned
         * link is made.
         */
        if (sentinel_client_is_up(sentinel->link)) {
            return true;
        }
        if (!sentinel->configured) {
            sentinel_client_redirect(sentinel->link, address);
            return true;
        }
    }
    return false;
}

/* Only who is known is dialled: it is given the password. */
static void deployment_learn_from(struct deployment *deployment, const struct sentinel_view *view)
{
    for (size_t i = 0; i < view->n_listed && sentinel_client_is_up(view->sentinel->link); i++) {
        const struct sentinel_peer_row *row = &view->listed[i];
        struct address address;

        if (address_is_set(&row->address) && judge_knows(view->master->judge, row->run_id) &&
            sentinel_node_map_address(view->sentinel, &row->address, &address) &&
            !deployment_has_link(deployment, row, &address)) {
            sentinel_client_start(
                sentinel_node_new(deployment, &address, false, row->run_id)->link);
        }
    }
}

static void deployment_learn(struct deployment *deployment)
{
    struct watcher *watcher = deployment->watcher;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        struct master *master = watcher->masters[i];

        if (master->deployment != deployment || !master->relearn) {
            continue;
        }
        master->relearn = false;
        for (size_t j = 0; j < master->n_views; j++) {
            deployment_learn_from(deployment, master->views[j]);
        }
    }
}

static void deployment_forget(struct deployment *deployment)
{
    for (size_t i = deployment->n_sentinels; i-- > 0;) {
        struct sentinel_node *sentinel = deployment->sentinels[i];
        char text[ADDRESS_TEXT_SIZE];

        if (sentinel->configured || sentinel_node_is_known(sentinel)) {
            continue;
        }
        log_info("sentinel forgotten: the others list it no longer",
                 LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("run_id", sentinel_node_run_id(sentinel)));
        sentinel_node_free(sentinel);
    }
}

void deployment_review_links(struct master *master)
{
    master->relearn = true;
    master->deployment->relink_wanted = true;
}

void deployment_redial(struct deployment *deployment)
{
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        if (!deployment->sentinels[i]->duplicate) {
            sentinel_client_start(deployment->sentinels[i]->link);
        }
    }
}

void deployment_review_sentinel_nodes(struct deployment *deployment)
{
    deployment->review_wanted = true;
}

void deployment_look_for_gone(struct deployment *deployment)
{
    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        struct master *master = deployment->watcher->masters[i];

        if (master->deployment != deployment) {
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

static void deployment_recount(struct deployment *deployment)
{
    deployment->watcher->reshaped = true;
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        if (sentinel_client_hides_id(deployment->sentinels[i]->link) &&
            sentinel_client_is_up(deployment->sentinels[i]->link) &&
            sentinel_node_settle_identity(deployment->sentinels[i])) {
            break; /* others come with the next review */
        }
    }
    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        struct master *master = deployment->watcher->masters[i];

        if (master->deployment != deployment) {
            continue;
        }
        master_recount(master);
        master_touch(master); /* the links are shown, too */
    }
}

void deployment_turn(struct deployment *deployment)
{
    bool review = deployment->review_wanted;

    if (!review && !deployment->relink_wanted) {
        return;
    }
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        review = sentinel_node_identify(deployment->sentinels[i]) || review;
    }
    if (review) {
        deployment_recount(deployment);
    }
    deployment->review_wanted = deployment->relink_wanted = false;
    deployment_forget(deployment);
    deployment_learn(deployment);
    if (review) {
        deployment_step_masters(deployment);
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
static void deployment_warn_full(struct sentinel_node *sentinel, size_t n)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n <= NAMES_MAX || sentinel->deployment->logged_full) {
        return;
    }
    sentinel->deployment->logged_full = true;
    log_warn("a sentinel lists more than are taken in",
             LOG_STR("sentinel", sentinel_node_text(sentinel, text)), LOG_STR("what", "masters"),
             LOG_INT("listed", n), LOG_INT("most", NAMES_MAX));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool sentinel_node_names_it(const struct sentinel_node *sentinel, const char *name)
{
    return names_have((const char *const *)sentinel->names, sentinel->n_names, name);
}

static void deployment_add_names(struct deployment *deployment)
{
    size_t n = 0;

    for (size_t i = 0; i < deployment->watcher->n_masters; i++) {
        n += deployment->watcher->masters[i]->deployment == deployment;
    }
    for (size_t i = 0; i < deployment->n_sentinels; i++) {
        for (size_t j = 0; j < deployment->sentinels[i]->n_names; j++) {
            const char *name = deployment->sentinels[i]->names[j];

            if (!sentinel_client_is_up(deployment->sentinels[i]->link) ||
                watcher_find_master(deployment->watcher, name)) {
                continue;
            }
            if (n >= NAMES_MAX) {
                deployment_warn_full(deployment->sentinels[i], n + 1);
                return;
            }
            n++;
            log_info("master discovered", LOG_STR("master", name));
            struct master *master = master_new(deployment->watcher, deployment, name, false);
            watcher_insert_master(deployment->watcher, master);
            for (size_t k = 0; k < deployment->n_sentinels; k++) {
                if (!deployment->sentinels[k]->duplicate) {
                    master_add_sentinel_node(master, deployment->sentinels[k]);
                }
            }
        }
    }
}

/*
 * A discovered master goes when no live Sentinel lists it, and a majority of them is there to say
 * so.
 */
static void deployment_drop_names(struct deployment *deployment)
{
    struct watcher *watcher = deployment->watcher;

    for (size_t i = watcher->n_masters; i-- > 0;) {
        struct master *master = watcher->masters[i];
        size_t silent = 0, total = 0;
        bool named = false;

        if (master->deployment != deployment || master->configured) {
            continue;
        }
        for (size_t j = 0; j < deployment->n_sentinels; j++) {
            const struct sentinel_node *sentinel = deployment->sentinels[j];

            if (sentinel->duplicate) {
                continue;
            }
            total++;
            if (!sentinel_client_is_up(sentinel->link) || !sentinel->has_names) {
                continue;
            }
            if (sentinel_node_names_it(sentinel, master->name)) {
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

static bool deployment_watches(const struct deployment *deployment, const char *name)
{
    const struct master *master = watcher_find_master(deployment->watcher, name);

    return master && master->deployment == deployment;
}

/* Where they are too many, those that are watched stay. */
void deployment_hear_names(struct sentinel_node *sentinel, const struct sentinel_master_row *rows,
                           size_t n)
{
    size_t most = n < NAMES_MAX ? n : NAMES_MAX;
    char **names = mem_new(most + 1, sizeof(*names));
    size_t n_names = 0;

    deployment_warn_full(sentinel, n);
    for (int watched = 1; watched >= 0; watched--) {
        for (size_t i = 0; i < n && n_names < most; i++) {
            if (deployment_watches(sentinel->deployment, rows[i].name) == (watched != 0)) {
                names[n_names++] = mem_strdup(rows[i].name);
            }
        }
    }
    qsort(names, n_names, sizeof(*names), by_text);
    bool same = sentinel->has_names && n_names == sentinel->n_names;
    for (size_t i = 0; i < n_names && same; i++) {
        same = strcmp(names[i], sentinel->names[i]) == 0;
    }
    sentinel_node_forget_names(sentinel);
    sentinel->names = names;
    sentinel->n_names = n_names;
    sentinel->has_names = true;
    if (same) {
        return;
    }
    sentinel->deployment->watcher->reshaped = true;
    if (!sentinel->deployment->config->all_masters) {
        return;
    }
    deployment_drop_names(sentinel->deployment);
    deployment_add_names(sentinel->deployment);
}

/* ---- life ---- */

void deployment_init(struct deployment *deployment, struct watcher *watcher,
                     const struct watch_deployment *config)
{
    deployment->watcher = watcher;
    deployment->config = config;
    deployment->number = (unsigned)(deployment - watcher->deployments) + 1;
    deployment->resolver =
        resolver_new(watcher->loop, deployment->number, watcher->config->sentinel_timeout_ms,
                     watcher_found_name, watcher);
    deployment->password = secret_copy(config->password);
    for (size_t i = 0; i < config->n_masters; i++) {
        if (!watcher_find_master(watcher, config->masters[i])) {
            watcher_insert_master(watcher,
                                  master_new(watcher, deployment, config->masters[i], true));
        }
    }
    for (size_t i = 0; i < config->n_seeds; i++) {
        struct address address = address_map_apply(&watcher->config->map, &config->seeds[i]);

        (void)sentinel_node_new(deployment, &address, true, "");
    }
}

void deployment_release(struct deployment *deployment)
{
    while (deployment->n_sentinels > 0) {
        sentinel_node_free(deployment->sentinels[deployment->n_sentinels - 1]);
    }
    free(deployment->sentinels);
    resolver_free(deployment->resolver);
    secret_free(deployment->password);
}
