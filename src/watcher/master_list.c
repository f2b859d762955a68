/* The masters that are watched, in the order of their names. */
#include "master_list.h"

#include <string.h>

#include "bellwether/base/memory.h"

/* Where it is, or would have to be. */
static size_t master_at(const struct watcher *watcher, const char *name)
{
    size_t low = 0, high = watcher->n_masters;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(watcher->masters[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct master *watcher_find_master(struct watcher *watcher, const char *name)
{
    size_t at = master_at(watcher, name);

    return at < watcher->n_masters && strcmp(watcher->masters[at]->name, name) == 0
               ? watcher->masters[at]
               : NULL;
}

struct master *deployment_master(const struct deployment *deployment, size_t *at)
{
    const struct watcher *watcher = deployment->watcher;

    while (*at < watcher->n_masters) {
        struct master *master = watcher->masters[(*at)++];

        if (master->deployment == deployment) {
            return master;
        }
    }
    return NULL;
}

void watcher_insert_master(struct watcher *watcher, struct master *master)
{
    size_t at = master_at(watcher, master->name);

    watcher->masters =
        mem_resize(watcher->masters, watcher->n_masters + 1, sizeof(*watcher->masters));
    memmove(watcher->masters + at + 1, watcher->masters + at,
            (watcher->n_masters - at) * sizeof(*watcher->masters));
    watcher->masters[at] = master;
    watcher->n_masters++;
    watcher->reshaped = true;
}

void watcher_remove_master(struct watcher *watcher, struct master *master)
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
    watcher->reshaped = true;
}
