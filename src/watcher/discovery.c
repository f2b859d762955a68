/*
 * The masters that a deployment's Sentinels name. Where the configuration names none they are
 * watched, and dropped when no Sentinel monitors them any more.
 */
#include "discovery.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "master_list.h"
#include "sentinel_node.h"
#include "watched_master.h"

enum { NAMES_MAX = 10000 };

void sentinel_node_forget_names(struct sentinel_node *sentinel)
{
    for (size_t i = 0; sentinel->names && i < sentinel->n_names; i++) {
        free(sentinel->names[i]);
    }
    free(sentinel->names);
    sentinel->names = NULL;
    sentinel->n_names = 0;
}

/* Said once: the next list may be in another order, or another Sentinel's. */
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

static void deployment_add_names(struct deployment *deployment)
{
    size_t n = 0;

    for (struct list_link *link = deployment->masters.first; link; link = link->next) {
        n++;
    }
    LIST_EACH(struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        for (size_t i = 0; i < sentinel->n_names; i++) {
            const char *name = sentinel->names[i];

            if (!sentinel_client_is_up(sentinel->link) ||
                watcher_find_master(deployment->watcher, name)) {
                continue;
            }
            if (n >= NAMES_MAX) {
                deployment_warn_full(sentinel, n + 1);
                return;
            }
            n++;
            log_info("master discovered", LOG_STR("master", name));
            struct master *master = master_new(deployment->watcher, deployment, name, false);
            watcher_insert_master(deployment->watcher, master);
            LIST_EACH(struct sentinel_node, other, &deployment->sentinels, in_deployment) {
                if (other->state != SENTINEL_NODE_SPARE) {
                    master_add_sentinel_node(master, other);
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
    for (struct list_link *link = deployment->masters.last, *before; link; link = before) {
        struct master *master = LIST_OWNER(link, struct master, in_deployment);
        size_t silent = 0, total = 0;
        bool named = false;

        before = link->previous;
        if (master->configured) {
            continue;
        }
        LIST_EACH(const struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
            if (sentinel->state == SENTINEL_NODE_SPARE) {
                continue;
            }
            total++;
            if (!sentinel_client_is_up(sentinel->link) || !sentinel->names) {
                continue;
            }
            if (names_have((const char *const *)sentinel->names, sentinel->n_names, master->name)) {
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
        watcher_remove_master(deployment->watcher, master);
        master_free(master);
    }
}

static bool deployment_watches(const struct deployment *deployment, const char *name)
{
    const struct master *master = watcher_find_master(deployment->watcher, name);

    return master && master->deployment == deployment;
}

/*
 * A section's master that is not watched once most Sentinels have listed theirs: its name may be a
 * slip. Said once.
 */
static void deployment_warn_sections(struct deployment *deployment)
{
    const struct watch_config *config = deployment->watcher->config;
    size_t heard = 0, total = 0;

    LIST_EACH(const struct sentinel_node, sentinel, &deployment->sentinels, in_deployment) {
        if (sentinel->state != SENTINEL_NODE_SPARE) {
            total++;
            heard += sentinel->names != NULL;
        }
    }
    if (deployment->logged_sections || 2 * heard <= total) {
        return;
    }
    deployment->logged_sections = true;
    for (size_t i = 0; i < config->n_overrides; i++) {
        if (!watcher_find_master(deployment->watcher, config->overrides[i].master)) {
            log_warn("a section for a master that no Sentinel knows",
                     LOG_STR("master", config->overrides[i].master));
        }
    }
}

/* Where a Sentinel names too many masters, those that are watched stay. */
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
    names_sort(names, n_names);
    bool same = sentinel->names && n_names == sentinel->n_names;
    for (size_t i = 0; i < n_names && same; i++) {
        same = strcmp(names[i], sentinel->names[i]) == 0;
    }
    sentinel_node_forget_names(sentinel);
    sentinel->names = names;
    sentinel->n_names = n_names;
    if (same) {
        return;
    }
    sentinel->deployment->watcher->reshaped = true;
    if (!sentinel->deployment->config->all_masters) {
        return;
    }
    deployment_drop_names(sentinel->deployment);
    deployment_add_names(sentinel->deployment);
    deployment_warn_sections(sentinel->deployment);
}
