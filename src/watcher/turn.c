/*
 * A turn of the loop. Every callback begins with turn_begin(). What it leaves to be done for a
 * master, a step of its judge or its part of the snapshot, is done once, when the turn ends.
 */
#include "turn.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"

enum { GAP_MS = 1000 };

bool turn_begin(struct watcher *watcher)
{
    int64_t now_ms = clock_boot_ms();
    int64_t gap_ms = now_ms - watcher->seen_ms;

    watcher->seen_ms = now_ms;
    if (gap_ms > GAP_MS) {
        watcher->hear_gap(watcher, gap_ms);
    }
    return gap_ms > GAP_MS;
}

static void leave(struct master *master, enum turn_mark mark)
{
    if (!master->marked[mark]) {
        master->marked[mark] = true;
        master->next_marked[mark] = master->watcher->marked[mark];
        master->watcher->marked[mark] = master;
    }
}

void turn_step_later(struct master *master)
{
    leave(master, TURN_STEP);
}

void turn_show_later(struct master *master)
{
    leave(master, TURN_SHOW);
}

struct master *turn_take(struct watcher *watcher, enum turn_mark mark)
{
    struct master *master = watcher->marked[mark];

    if (master) {
        watcher->marked[mark] = master->next_marked[mark];
        master->marked[mark] = false;
    }
    return master;
}

void turn_forget(struct master *master)
{
    for (enum turn_mark mark = 0; mark < TURN_MARKS; mark++) {
        struct master **at = &master->watcher->marked[mark];

        while (*at && *at != master) {
            at = &(*at)->next_marked[mark];
        }
        if (*at) {
            *at = master->next_marked[mark];
        }
    }
}

void turn_relink_later(struct master *master)
{
    master->relearn = true;
    master->deployment->relink_wanted = true;
}

void turn_post_later(struct watcher *watcher, struct mailbox *to, struct message *message)
{
    watcher->outbox = mem_resize(watcher->outbox, watcher->n_outbox + 1, sizeof(*watcher->outbox));
    watcher->outbox[watcher->n_outbox++] = (struct letter){to, message};
}
