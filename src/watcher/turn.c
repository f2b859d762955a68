/*
 * A turn of the loop. Every callback begins with turn_begin(). What it leaves to be done for a
 * master, a step of its judge or its part of the snapshot, is done once, when the turn ends.
 */
#include "turn.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"

static void beat(struct watcher *watcher, int64_t now_ms)
{
    watcher->seen_ms = now_ms;
    atomic_store_explicit(&watcher->pulse->at_boot_ms, now_ms, memory_order_release);
}

bool turn_begin(struct watcher *watcher)
{
    const int64_t now_ms = clock_boot_ms(), gap_ms = now_ms - watcher->seen_ms;

    if (gap_ms <= WATCHER_SILENT_MS) {
        beat(watcher, now_ms);
        return false;
    }
    watcher->seen_ms = now_ms;
    watcher->hear_gap(watcher, gap_ms);
    (void)turn_goes_on(watcher);
    return true;
}

bool turn_goes_on(struct watcher *watcher)
{
    const int64_t now_ms = clock_boot_ms();
    const bool gap = now_ms - watcher->seen_ms > WATCHER_SILENT_MS;

    if (!gap) {
        beat(watcher, now_ms);
    }
    return !gap;
}

static void leave(struct master *master, enum turn_mark mark)
{
    if (!list_holds(&master->watcher->marked[mark], &master->marks[mark])) {
        list_insert_after(&master->watcher->marked[mark], NULL, &master->marks[mark]);
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
    struct list_link *link = list_take_first(&watcher->marked[mark]);

    return link ? LIST_OWNER(link - mark, struct master, marks) : NULL;
}

void turn_forget(struct master *master)
{
    for (enum turn_mark mark = 0; mark < TURN_MARKS; mark++) {
        if (list_holds(&master->watcher->marked[mark], &master->marks[mark])) {
            list_remove(&master->watcher->marked[mark], &master->marks[mark]);
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
    watcher->outbox[watcher->n_outbox++] = (struct letter){to, message, .turns = 0};
}

void turn_post_when_heard(struct watcher *watcher, struct mailbox *to, struct message *message)
{
    turn_post_later(watcher, to, message);
    watcher->outbox[watcher->n_outbox - 1].turns = 1;
}

void turn_post_due(struct watcher *watcher)
{
    size_t kept = 0;

    for (size_t i = 0; i < watcher->n_outbox; i++) {
        struct letter *letter = &watcher->outbox[i];

        if (letter->turns > 0) {
            letter->turns--;
            watcher->outbox[kept++] = *letter;
        } else {
            mailbox_post(letter->to, letter->message);
        }
    }
    watcher->n_outbox = kept;
}
