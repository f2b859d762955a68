/*
 * One deployment: its Sentinels.
 *
 * Seeds are dialled first and never dropped. Sentinels that a judge knows (topology/judge_known.c)
 * are learned, and forgotten when none knows them any more. A Sentinel is its run id: a learned
 * link that turns out to be a seed goes, a second seed for the same Sentinel is kept in reserve.
 */
#include "deployment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "discovery.h"
#include "electors.h"
#include "master_list.h"
#include "sentinel_node.h"
#include "sentinel_view.h"
#include "turn.h"
#include "watch_counters.h"
#include "watched_master.h"

static bool same_id(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(a, b) == 0;
}

/* ---- Sentinels come and go ---- */

static const struct sentinel_client_hooks sentinel_node_hooks;

static void add_to_masters(struct sentinel_node *sentinel)
{
    LIST_EACH(struct master, master, &sentinel->deployment->masters, in_deployment) {
        master_add_sentinel_node(master, sentinel);
    }
}

static void remove_from_masters(struct sentinel_node *sentinel)
{
    LIST_EACH(struct master, master, &sentinel->deployment->masters, in_deployment) {
        master_remove_sentinel_node(master, sentinel);
    }
}

/* The only place that moves the state. A spare one is not dialled, and says nothing of masters. */
static void sentinel_node_move(struct sentinel_node *sentinel, enum sentinel_node_state to)
{
    enum sentinel_node_state was = sentinel->state;

    sentinel->state = to;
    if (to == SENTINEL_NODE_SPARE) {
        sentinel_client_pause(sentinel->link);
        remove_from_masters(sentinel);
    } else if (was == SENTINEL_NODE_SPARE) {
        add_to_masters(sentinel);
        sentinel_client_start(sentinel->link);
    }
}

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
        .tls = deployment->config->tls,
        .tls_otherwise = configured ? NULL : deployment->config->tls_learned,
        .group = deployment->number,
        .poll_interval_ms = config->poll_interval_ms,
        .timeout_ms = config->sentinel_timeout_ms,
        .discover = deployment->config->all_masters,
    };
    sentinel->link =
        sentinel_client_new(deployment->watcher->loop, &link, &sentinel_node_hooks, sentinel);
    list_append(&deployment->sentinels, &sentinel->in_deployment);
    deployment->n_sentinels++;
    add_to_masters(sentinel);
    return sentinel;
}

static void deployment_drop(struct deployment *deployment, struct sentinel_node *sentinel)
{
    remove_from_masters(sentinel);
    list_remove(&deployment->sentinels, &sentinel->in_deployment);
    deployment->n_sentinels--;
    count_sentinel_node_gone(sentinel);
    sentinel_client_free(sentinel->link);
    sentinel_node_forget_names(sentinel);
    free(sentinel);
}

/*
 * Another link to the same Sentinel is up: one of the two goes. @return whether `sentinel` itself
 * went.
 */
static bool sentinel_node_settle_identity(struct sentinel_node *sentinel)
{
    char text[ADDRESS_TEXT_SIZE];
    const char *run_id = sentinel_client_run_id(sentinel->link);

    LIST_EACH(struct sentinel_node, other, &sentinel->deployment->sentinels, in_deployment) {
        if (other == sentinel || !same_id(run_id, sentinel_node_run_id(other))) {
            continue;
        }
        if (!other->configured) {
            deployment_drop(sentinel->deployment, other);
            return sentinel_node_settle_identity(sentinel);
        }
        if (!sentinel_client_is_up(other->link)) {
            continue;
        }
        if (!sentinel->configured) {
            deployment_drop(sentinel->deployment, sentinel);
            return true;
        }
        log_info("two configured Sentinels are the same one; it counts once",
                 LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("run_id", run_id));
        sentinel_node_move(sentinel, SENTINEL_NODE_SPARE);
        return true;
    }
    return false;
}

/* ---- Sentinels whose ACL hides their run id ---- */

/* The row that the view lists at the address of that link; NULL: none. */
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
    LIST_EACH(const struct master, master, &sentinel->deployment->masters, in_deployment) {
        LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
            const struct sentinel_peer_row *row =
                view->sentinel == sentinel ? NULL : row_at(view, sentinel->link, run_id);

            if (row) {
                return row->run_id;
            }
        }
    }
    return NULL;
}

/* A Sentinel has another run id than it was known by: what was heard of it goes on under that. */
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

/* Find the run id of a Sentinel that hides it. @return whether it has another one now. */
static bool sentinel_node_identify(struct sentinel_node *sentinel)
{
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
    LIST_EACH(struct master, master, &sentinel->deployment->masters, in_deployment) {
        struct sentinel_view *view = master_sentinel_view(master, sentinel);

        if (view) {
            view->waiting = false;
            judge_rename(master->judge, is, id);
        }
    }
    sentinel_client_name(sentinel->link, id);
    snprintf(sentinel->known_as, sizeof(sentinel->known_as), "%s", id);
    return true;
}

/*
 * Where a Sentinel came back under another run id, it lost its state, or its address leads to
 * another Sentinel, or to several: what it said before is forgotten.
 */
static void sentinel_node_follow_run_id(struct sentinel_node *sentinel)
{
    const char *run_id = sentinel_client_run_id(sentinel->link);
    const char *before = sentinel->known_as[0] != '\0' ? sentinel->known_as : sentinel->listed_as;

    bool is_other = before[0] != '\0' && strcmp(before, run_id) != 0;

    if (is_other) {
        memmove(sentinel->former, before, sizeof(sentinel->former));
    }
    snprintf(sentinel->known_as, sizeof(sentinel->known_as), "%s", run_id);
    LIST_EACH(struct master, master, &sentinel->deployment->masters, in_deployment) {
        struct sentinel_view *view = master_sentinel_view(master, sentinel);

        if (view && is_other) {
            sentinel_view_begin(view);
        }
    }
}

/* ---- hooks of a link ---- */

static void sentinel_node_up(void *data, struct sentinel_client *link)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    char text[ADDRESS_TEXT_SIZE];

    (void)turn_begin(deployment->watcher);
    sentinel_node_forget_names(sentinel); /* of another connection: they may have changed since */
    (void)sentinel_node_identify(sentinel);
    sentinel_node_follow_run_id(sentinel);
    if (sentinel_node_settle_identity(sentinel)) {
        deployment->review_wanted = true;
        return;
    }
    count_sentinel_node_up(sentinel);
    sentinel_node_move(sentinel, SENTINEL_NODE_TRIED);
    const struct log_field fields[] = {
        LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
        LOG_STR("run_id", sentinel_client_run_id(link)),
        LOG_STR("source", sentinel->configured ? "configured" : "learned"),
    };
    /* as loud as "sentinel link down" was */
    log_write(sentinel->logged != SENTINEL_TROUBLE_NONE ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              "sentinel link up", fields, sizeof(fields) / sizeof(*fields));
    sentinel->logged = SENTINEL_TROUBLE_NONE;
    deployment->review_wanted = true;
}

/* A spare seed takes over from the one that went down. */
static void deployment_wake_spares(struct deployment *deployment, const struct sentinel_node *down)
{
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel->state == SENTINEL_NODE_SPARE &&
            same_id(sentinel_client_run_id(down->link), sentinel_client_run_id(sentinel->link))) {
            sentinel_node_move(sentinel, SENTINEL_NODE_TRIED);
        }
    }
}

static void sentinel_node_down(void *data, struct sentinel_client *link)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    enum sentinel_trouble trouble = sentinel_client_trouble(link);
    char text[ADDRESS_TEXT_SIZE];
    int64_t wall_ms;

    (void)turn_begin(deployment->watcher);
    count_sentinel_node_error(sentinel, trouble_code(trouble));
    if (trouble != sentinel->logged) {
        log_warn("sentinel link down", LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("why", sentinel_client_words(link, &wall_ms)),
                 LOG_STR("source", sentinel->configured ? "configured" : "learned"));
    }
    sentinel->new_epoch = EPOCH_UNKNOWN;
    sentinel->logged = trouble;
    sentinel_node_move(sentinel, SENTINEL_NODE_TRIED);
    LIST_EACH(struct master, master, &deployment->masters, in_deployment) {
        struct sentinel_view *view = master_sentinel_view(master, sentinel);

        if (view) {
            sentinel_view_lose(view);
        }
    }
    deployment_wake_spares(deployment, sentinel);
    deployment->review_wanted = true;
}

static void sentinel_node_answer(void *data, struct sentinel_client *link, void *tag,
                                 const struct sentinel_answer *answer)
{
    struct sentinel_view *view = tag;

    (void)data;
    (void)link;
    if (!turn_begin(view->master->watcher)) {
        sentinel_view_hear_answer(view, answer);
    }
}

static void sentinel_node_event(void *data, struct sentinel_client *link,
                                const struct sentinel_event *event)
{
    struct sentinel_node *sentinel = data;
    struct deployment *deployment = sentinel->deployment;
    char text[ADDRESS_TEXT_SIZE];

    (void)turn_begin(deployment->watcher); /* no answer: however late it is heard, it was said */
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
            turn_show_later(deployment->watcher->masters[i]);
        }
    }
    adopt_note_epoch(sentinel, event);
}

static void sentinel_node_names(void *data, struct sentinel_client *link,
                                const struct sentinel_master_row *rows, size_t n)
{
    struct sentinel_node *sentinel = data;

    (void)link;
    if (!turn_begin(sentinel->deployment->watcher)) {
        deployment_hear_names(sentinel, rows, n);
    }
}

static void sentinel_node_sentinels(void *data, struct sentinel_client *link, void *tag,
                                    const struct sentinel_peer_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (!turn_begin(view->master->watcher)) {
        sentinel_view_hear_sentinels(view, rows, n);
    }
}

static void sentinel_node_replicas(void *data, struct sentinel_client *link, void *tag,
                                   const struct sentinel_replica_row *rows, size_t n)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (!turn_begin(view->master->watcher)) {
        sentinel_view_hear_replicas(view, rows, n);
    }
}

static void sentinel_node_ckquorum(void *data, struct sentinel_client *link, void *tag, bool ok,
                                   const char *words)
{
    (void)data;
    (void)link;
    struct sentinel_view *view = tag;
    if (!turn_begin(view->master->watcher)) {
        sentinel_view_hear_ckquorum(view, ok, words);
    }
}

static void sentinel_node_denied(void *data, struct sentinel_client *link, enum sentinel_extra what)
{
    struct sentinel_node *sentinel = data;

    (void)link;
    char text[ADDRESS_TEXT_SIZE];
    log_warn("sentinel denies what can be done without",
             LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
             LOG_STR("command", sentinel_extra_text(what)));
    sentinel->deployment->review_wanted = true;
}

static const struct sentinel_client_hooks sentinel_node_hooks = {
    .up = sentinel_node_up,
    .down = sentinel_node_down,
    .answer = sentinel_node_answer,
    .event = sentinel_node_event,
    .names = sentinel_node_names,
    .sentinels = sentinel_node_sentinels,
    .replicas = sentinel_node_replicas,
    .ckquorum = sentinel_node_ckquorum,
    .denied = sentinel_node_denied,
};

/* ---- learning and forgetting ---- */

/* Whether it counts for a master, or an address that leads to it is that of one that does. */
static bool sentinel_node_is_known(const struct sentinel_node *sentinel)
{
    LIST_EACH(const struct master, master, &sentinel->deployment->masters, in_deployment) {
        if (judge_knows(master->judge, sentinel_client_run_id(sentinel->link)) ||
            judge_knows(master->judge, sentinel->listed_as)) {
            return true;
        }
    }
    return false;
}

/*
 * Where one of Sentinels and Redis speaks TLS and the other does not, Sentinels list each other by
 * the port that the other side uses.
 */
static bool speaks_tls(const struct deployment *deployment)
{
    return deployment->config->tls || deployment->config->tls_learned;
}

/* A configured one that is listed by another port of its host. */
static bool same_host(const struct sentinel_node *sentinel, const struct address *address)
{
    return sentinel->configured &&
           (strcmp(address->host, sentinel_client_address(sentinel->link)->host) == 0 ||
            strcmp(address->host, sentinel_link_peer(sentinel->link)->host) == 0);
}

/* One that was not tried yet may be the one that is listed, by another port. */
static bool waits_for_configured(const struct deployment *deployment)
{
    if (!speaks_tls(deployment)) {
        return false;
    }
    LIST_EACH(const struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel->configured && sentinel->state == SENTINEL_NODE_NEW) {
            return true;
        }
    }
    return false;
}

/* Whether there is a link to the Sentinel in that row. */
static bool deployment_has_link(const struct deployment *deployment,
                                const struct sentinel_peer_row *row, const struct address *address)
{
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
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
        if (sentinel_client_is_up(sentinel->link) ||
            (speaks_tls(deployment) && same_host(sentinel, address))) {
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
    if (!deployment->watcher->config->learn_sentinels || waits_for_configured(deployment)) {
        return;
    }
    LIST_EACH(struct master, master, &deployment->masters, in_deployment) {
        bool relearn = master->relearn;

        master->relearn = false;
        LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
            if (relearn) {
                deployment_learn_from(deployment, view);
            }
        }
    }
}

static void deployment_forget(struct deployment *deployment)
{
    for (struct list_link *link = deployment->sentinels.last, *before; link; link = before) {
        struct sentinel_node *sentinel = LIST_OWNER(link, struct sentinel_node, in_deployment);
        char text[ADDRESS_TEXT_SIZE];

        before = link->previous;
        if (sentinel->configured || sentinel_node_is_known(sentinel)) {
            continue;
        }
        log_info("sentinel forgotten: the others list it no longer",
                 LOG_STR("sentinel", sentinel_node_text(sentinel, text)),
                 LOG_STR("run_id", sentinel_node_run_id(sentinel)));
        deployment_drop(deployment, sentinel);
    }
}

void deployment_redial(struct deployment *deployment)
{
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel->state != SENTINEL_NODE_SPARE) {
            sentinel_client_start(sentinel->link);
        }
    }
}

void deployment_look_for_gone(struct deployment *deployment)
{
    LIST_EACH(struct master, master, &deployment->masters, in_deployment) {
        master_log_foreign(master);
        if (judge_wants_recount(master->judge)) {
            master_recount(master);
            turn_step_later(master);
        }
    }
}

static void deployment_recount(struct deployment *deployment)
{
    deployment->watcher->reshaped = true;
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel_client_hides_id(sentinel->link) && sentinel_client_is_up(sentinel->link) &&
            sentinel_node_settle_identity(sentinel)) {
            break; /* others come with the next review */
        }
    }
    LIST_EACH(struct master, master, &deployment->masters, in_deployment) {
        master_recount(master);
        turn_show_later(master); /* the links are shown, too */
        turn_step_later(master);
    }
}

void deployment_turn(struct deployment *deployment)
{
    bool review = deployment->review_wanted;

    if (!review && !deployment->relink_wanted) {
        return;
    }
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        review = sentinel_node_identify(sentinel) || review;
    }
    if (review) {
        deployment_recount(deployment);
    }
    deployment->review_wanted = deployment->relink_wanted = false;
    deployment_forget(deployment);
    deployment_learn(deployment);
}

/* ---- life ---- */

void deployment_found_name(void *data)
{
    struct watcher *watcher = data;

    (void)turn_begin(watcher);
    for (size_t i = 0; i < watcher->n_masters; i++) {
        LIST_EACH(struct sentinel_view, view, &watcher->masters[i]->views, in_master) {
            sentinel_view_resume(view);
        }
    }
    for (size_t i = 0; i < watcher->n_masters; i++) {
        adopt_resume(watcher->masters[i]);
    }
    for (size_t i = 0; i < watcher->n_masters; i++) {
        fence_driver_resume(watcher->masters[i]);
    }
    if (watcher->n_selves > 0) {
        watcher->reshaped = true;
    }
}

void deployment_init(struct deployment *deployment, struct watcher *watcher,
                     const struct watch_deployment *config)
{
    deployment->watcher = watcher;
    deployment->config = config;
    deployment->number = (unsigned)(deployment - watcher->deployments) + 1;
    deployment->resolver =
        resolver_new(watcher->loop, deployment->number, watcher->config->sentinel_timeout_ms,
                     deployment_found_name, watcher);
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
    while (deployment->sentinels.last) {
        deployment_drop(deployment, LIST_OWNER(deployment->sentinels.last, struct sentinel_node,
                                               in_deployment));
    }
    resolver_free(deployment->resolver);
    secret_free(deployment->password);
}
