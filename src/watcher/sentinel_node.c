/*
 * What everybody asks about a Sentinel: what it is called, which addresses it is believed, what it
 * says about a master.
 */
#include "sentinel_node.h"

#include <string.h>

const char *sentinel_node_run_id(const struct sentinel_node *sentinel)
{
    const char *own = sentinel_client_run_id(sentinel->link);

    return own[0] != '\0' ? own : sentinel->listed_as;
}

const char *sentinel_node_text(const struct sentinel_node *sentinel, char text[ADDRESS_TEXT_SIZE])
{
    return address_format(sentinel_client_address(sentinel->link), text);
}

const char *trouble_code(enum sentinel_trouble trouble)
{
    switch (trouble) {
    case SENTINEL_TROUBLE_AUTH: return "sentinel_auth";
    case SENTINEL_TROUBLE_DENIED: return "sentinel_denied";
    case SENTINEL_TROUBLE_TLS: return "sentinel_tls";
    case SENTINEL_TROUBLE_NOT_SENTINEL: return "not_a_sentinel";
    case SENTINEL_TROUBLE_TOO_OLD: return "too_old";
    default: return "unreachable";
    }
}

const struct refusal *sentinel_node_refusal(const struct sentinel_node *sentinel,
                                            const struct endpoint *node)
{
    static const struct refusal
        loopback = {"loopback", "a loopback address, and it is not on this host itself"},
        nowhere = {"undialable",
                   "an address that is no node's: unspecified, multicast or broadcast"};
    const struct address *ip = address_is_set(&node->ip) ? &node->ip : &node->name;

    if (address_is_nowhere(ip)) {
        return &nowhere;
    }
    return address_is_loopback(ip) && !sentinel_client_is_local(sentinel->link) ? &loopback : NULL;
}

bool sentinel_node_map_address(const struct sentinel_node *sentinel, const struct address *given,
                               struct address *out)
{
    struct address mapped = address_map_apply(&sentinel->deployment->watcher->config->map, given);
    struct endpoint node = {.name = mapped};

    if (sentinel_node_refusal(sentinel, &node)) {
        return false;
    }
    *out = mapped;
    return true;
}

struct sentinel_node *watcher_next_sentinel(const struct watcher *watcher,
                                            const struct sentinel_node *after)
{
    struct list_link *next = after ? after->in_deployment.next : NULL;

    for (size_t i = after ? after->deployment->number : 0; !next && i < watcher->n_deployments;
         i++) {
        next = watcher->deployments[i].sentinels.first;
    }
    return LIST_OWNER(next, struct sentinel_node, in_deployment);
}

/* ---- among a master's ---- */

struct sentinel_view *master_sentinel_view(struct master *master,
                                           const struct sentinel_node *sentinel)
{
    LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
        if (view->sentinel == sentinel) {
            return view;
        }
    }
    return NULL;
}

bool sentinel_view_counts(const struct sentinel_view *view)
{
    return judge_knows(view->master->judge, sentinel_client_run_id(view->sentinel->link));
}

/*
 * Two links to one Sentinel (a seed that is down and its learned address): the one that is up is
 * shown, else the seed.
 */
bool sentinel_view_is_shadowed(const struct master *master, const struct sentinel_view *view)
{
    const char *id = sentinel_node_run_id(view->sentinel);
    bool up = sentinel_client_is_up(view->sentinel->link);

    LIST_EACH(const struct sentinel_view, other, &master->views, in_master) {
        if (other == view || id[0] == '\0' ||
            strcmp(sentinel_node_run_id(other->sentinel), id) != 0) {
            continue;
        }
        bool other_up = sentinel_client_is_up(other->sentinel->link);
        if (other_up != up ? other_up
                           : other->sentinel->configured && !view->sentinel->configured) {
            return true;
        }
    }
    return false;
}

void master_ask_sentinels(struct master *master)
{
    LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
        sentinel_client_ask(view->sentinel->link, view->monitored);
    }
}
