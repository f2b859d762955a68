/*
 * A fresh look-up: every live Sentinel and the published node are asked now; whoever asked is told
 * when they have answered or their time is over.
 *
 * An answer to a question that was put before the caller came would not be fresh to him. The
 * questions are shared all the same: a link and a role check have one on its way at the most, and
 * all who came meanwhile share the next.
 */
#include "fresh_lookup.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "sentinel_node.h"
#include "snapshot_builder.h"
#include "turn.h"

static void lookup_due(void *data)
{
    struct master *master = data;

    turn_begin(master->watcher);
    turn_step_later(master);
}

void lookup_ask(struct master *master, uint64_t ticket, struct mailbox *reply_to)
{
    struct lookup *lookup = mem_new(1, sizeof(*lookup));

    *lookup = (struct lookup){{0}, clock_boot_us(), ticket, reply_to};
    list_insert_after(&master->lookups, NULL, &lookup->link);
    if (!master->lookup_timer) {
        master->lookup_timer = loop_timer_new(master->watcher->loop, lookup_due, master);
    }
    master_ask_sentinels(master);
    verify_check_published(master);
    turn_step_later(master); /* nobody may be there to ask */
}

static void lookup_tell(struct master *master, struct lookup *lookup, bool confirmed,
                        enum reason reason, const char *detail)
{
    turn_post_later(master->watcher, lookup->reply_to,
                    message_fresh_new(lookup->ticket, confirmed, reason, detail));
    list_remove(&master->lookups, &lookup->link);
    free(lookup);
}

static bool waits_for_sentinels(const struct master *master, const struct lookup *lookup)
{
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        if (sentinel_client_is_up(view->sentinel->link) &&
            (sentinel_monitored_master_answered_us(view->monitored) < lookup->began_us ||
             view->waiting)) {
            return true;
        }
    }
    return false;
}

static bool some_sentinel_answered(const struct master *master, const struct lookup *lookup)
{
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        if (sentinel_client_is_up(view->sentinel->link) &&
            sentinel_monitored_master_answered_us(view->monitored) >= lookup->began_us) {
            return true;
        }
    }
    return false;
}

/* @return whether it came to an end (and is freed); else `*due_ms` is set to when it has to. */
static bool lookup_try(struct master *master, struct lookup *lookup, int64_t now_ms,
                       int64_t *due_ms)
{
    const struct watch_config *config = master->watcher->config;
    int64_t sentinels_until_ms = lookup->began_us / 1000 + config->sentinel_timeout_ms;
    int64_t until_ms = sentinels_until_ms + config->verify_timeout_ms;
    bool late = now_ms >= until_ms;
    bool role_is_fresh = master->role_asked_us >= lookup->began_us;
    /* A connection that ended is news, not an answer, while the node is asked once more. */
    bool served = master_serves(master->state, master->reason);
    bool asked_again = master->role != ROLE_MASTER && served && master->standing &&
                       role_check_is_asking(master->standing);

    if (now_ms < sentinels_until_ms && waits_for_sentinels(master, lookup)) {
        *due_ms = sentinels_until_ms;
        return false;
    }
    *due_ms = until_ms;
    if (!late && master->candidate && role_check_is_asking(master->candidate)) {
        return false; /* its role decides */
    }
    if (!late && role_is_fresh && asked_again) {
        return false;
    }
    if (!master->has_published) {
        lookup_tell(master, lookup, false, master->reason, master->detail);
    } else if (!some_sentinel_answered(master, lookup)) {
        char *detail =
            publish_detail(master, REASON_NO_SENTINEL_REACHABLE, "no Sentinel could be asked");

        lookup_tell(master, lookup, false, REASON_NO_SENTINEL_REACHABLE, detail);
        free(detail);
    } else if (!config->verify) {
        lookup_tell(master, lookup, true, REASON_NONE, "");
    } else if (role_is_fresh) {
        bool serves = master->role == ROLE_MASTER || (role_unknowable(master->role) && served);

        lookup_tell(master, lookup, serves, serves ? REASON_NONE : role_reason(master->role),
                    master->role_words);
    } else if (late) {
        lookup_tell(master, lookup, false, REASON_REDIS_TIMEOUT, "it did not say its role in time");
    } else {
        verify_check_published(master); /* the answer that came was to an older question */
        return false;
    }
    return true;
}

void lookup_review(struct master *master)
{
    int64_t now_ms = clock_boot_ms(), next_ms = -1;

    for (struct list_link *link = master->lookups.first, *next; link; link = next) {
        int64_t due_ms;

        next = link->next;
        if (!lookup_try(master, LIST_OWNER(link, struct lookup, link), now_ms, &due_ms) &&
            (next_ms < 0 || due_ms < next_ms)) {
            next_ms = due_ms;
        }
    }
    if (next_ms >= 0) {
        loop_timer_start(master->lookup_timer, next_ms - now_ms);
    } else if (master->lookup_timer) {
        loop_timer_stop(master->lookup_timer);
    }
}

void lookup_release(struct master *master)
{
    while (master->lookups.first) {
        lookup_tell(master, LIST_OWNER(master->lookups.first, struct lookup, link), false,
                    REASON_UNKNOWN_NAME, "it is not watched any more");
    }
    loop_timer_free(master->lookup_timer);
}
