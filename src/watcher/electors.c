/*
 * Who of a master's Sentinels is known to its judge, and who speaks of another deployment's master
 * of that name: recounted whenever what they list or name has changed.
 */
#include "electors.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "sentinel_node.h"
#include "turn.h"

/* Whether a configured link leads to it, or did. */
static bool is_configured(const struct deployment *deployment, const char *run_id)
{
    LIST_EACH(const struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel->configured && strcmp(run_id, sentinel_node_run_id(sentinel)) == 0) {
            return true;
        }
    }
    return false;
}

/* A row without an address is of one that its Sentinel has seen replaced. */
static bool may_be_known(const struct sentinel_view *view, const struct sentinel_peer_row *row)
{
    const struct deployment *deployment = view->sentinel->deployment;

    return row->run_id[0] != '\0' && address_is_set(&row->address) &&
           (deployment->watcher->config->learn_sentinels || is_configured(deployment, row->run_id));
}

static void recount_sentinel_view(const struct sentinel_view *view, const char **listed,
                                  struct elector *out)
{
    const struct sentinel_node *sentinel = view->sentinel;

    *out = (struct elector){
        .id = sentinel_client_run_id(sentinel->link),
        .former = sentinel->former,
        .configured = sentinel->configured,
        .pending = sentinel->configured && !view->settled,
        .live = sentinel_client_is_up(sentinel->link) && view->settled && !view->unknown_name,
        .has_list = view->has_listed,
        .listed = listed,
        .master = view->has_named && !view->unknown_name ? &view->named : NULL,
    };
    for (size_t i = 0; i < view->n_listed; i++) {
        if (may_be_known(view, &view->listed[i])) {
            listed[out->n_listed++] = view->listed[i].run_id;
        }
    }
}

static void sentinel_view_set_foreign(struct sentinel_view *view, bool foreign)
{
    if (view->foreign != foreign) {
        turn_show_later(view->master);
    }
    view->foreign = foreign;
}

void sentinel_view_tell_nodes(const struct sentinel_view *view)
{
    if (!view->has_replicas) {
        return;
    }
    struct endpoint *nodes = mem_new(view->n_replicas + 1, sizeof(*nodes));
    size_t n = 0;
    for (size_t i = 0; i < view->n_replicas; i++) {
        struct address mapped;

        if (!address_is_set(&view->replicas[i].address) ||
            !sentinel_node_map_address(view->sentinel, &view->replicas[i].address, &mapped)) {
            continue;
        }
        if (!resolver_get(view->master->deployment->resolver, &mapped, &nodes[n])) {
            nodes[n] = endpoint_from_address(&mapped);
        }
        n++;
    }
    judge_hear_nodes(view->master->judge, sentinel_client_run_id(view->sentinel->link), nodes, n);
    free(nodes);
}

void master_recount(struct master *master)
{
    size_t room = 0;
    uint64_t revision = judge_known_revision(master->judge);
    int64_t quorum = -1;
    struct elector *electors = mem_new(master->n_views + 1, sizeof(*electors));

    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        room += view->n_listed;
    }
    const char **listed = mem_new(room + 1, sizeof(*listed));
    struct elector *elector = electors;
    room = 0;
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        recount_sentinel_view(view, listed + room, elector);
        room += view->n_listed;
        if (elector++->live && sentinel_view_counts(view) && view->has_row &&
            view->row.quorum > 0 && (quorum < 0 || view->row.quorum < quorum)) {
            quorum = view->row.quorum;
        }
    }
    bool full = judge_recount(master->judge, electors, master->n_views, quorum, clock_boot_ms());
    if (full && !master->logged_full_sentinels) {
        log_warn("more sentinels are listed than are taken in", LOG_STR("master", master->name),
                 LOG_INT("most", KNOWN_MAX));
    }
    master->logged_full_sentinels = master->logged_full_sentinels || full;
    elector = electors;
    LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
        sentinel_view_set_foreign(view, elector++->foreign);
        sentinel_view_tell_nodes(view);
    }
    free(listed);
    free(electors);
    if (revision != judge_known_revision(master->judge)) {
        turn_show_later(master);
        turn_relink_later(master);
    }
}

/*
 * A Sentinel of another deployment came, or is no longer one: said once that has lasted, since at a
 * start lists come one by one.
 */
static void sentinel_view_log_foreign(struct sentinel_view *view)
{
    char text[ADDRESS_TEXT_SIZE], says[ADDRESS_TEXT_SIZE];

    if (view->foreign == view->logged_foreign) {
        return;
    }
    view->logged_foreign = view->foreign;
    sentinel_node_text(view->sentinel, text);
    if (view->foreign) {
        log_warn(
            "sentinel of another deployment: it lists none of ours, none of ours lists it, and it names "
            "another master; it is not counted",
            LOG_STR("master", view->master->name), LOG_STR("sentinel", text),
            LOG_STR("run_id", sentinel_client_run_id(view->sentinel->link)),
            LOG_STR("names", address_format(&view->named.name, says)));
    } else {
        log_warn("sentinel is counted among ours again", LOG_STR("master", view->master->name),
                 LOG_STR("sentinel", text));
    }
}

void master_log_foreign(struct master *master)
{
    LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
        sentinel_view_log_foreign(view);
    }
}
