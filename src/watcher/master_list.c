/* The masters that are watched, in the order of their names. */
#include "master_list.h"

#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"

static const char *name_at(const void *masters, size_t i)
{
    return ((struct master *const *)masters)[i]->name;
}

/* Where the master of that name is, or would have to be. */
static size_t master_at(const struct watcher *watcher, const char *name, bool *found)
{
    return names_place(watcher->masters, watcher->n_masters, name_at, name, found);
}

struct master *watcher_find_master(struct watcher *watcher, const char *name)
{
    bool found;
    size_t at = master_at(watcher, name, &found);

    return found ? watcher->masters[at] : NULL;
}

void watcher_insert_master(struct watcher *watcher, struct master *master)
{
    bool found;
    size_t at = master_at(watcher, master->name, &found);

    watcher->masters =
        mem_resize(watcher->masters, watcher->n_masters + 1, sizeof(*watcher->masters));
    memmove(watcher->masters + at + 1, watcher->masters + at,
            (watcher->n_masters - at) * sizeof(*watcher->masters));
    watcher->masters[at] = master;
    watcher->n_masters++;
    while (at > 0 && watcher->masters[at - 1]->deployment != master->deployment) {
        at--;
    }
    list_insert_after(&master->deployment->masters,
                      at > 0 ? &watcher->masters[at - 1]->in_deployment : NULL,
                      &master->in_deployment);
    watcher->reshaped = true;
}

void watcher_remove_master(struct watcher *watcher, struct master *master)
{
    bool found;
    size_t at = master_at(watcher, master->name, &found);

    watcher->n_masters--;
    memmove(watcher->masters + at, watcher->masters + at + 1,
            (watcher->n_masters - at) * sizeof(*watcher->masters));
    list_remove(&master->deployment->masters, &master->in_deployment);
    watcher->reshaped = true;
}
