/*
 * Sentinels' events on their way to whoever listens: every subscriber gets each of them, of
 * unwatched names too, in the order in which they came.
 *
 * A Sentinel gone mad must not fill the subscribers' mailboxes: what comes faster than a budget is
 * left out for all of them alike, and said once a second.
 */
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "watcher_internal.h"

/* a thousand masters down at once fit */
enum { BUDGET = 4000, BUDGET_PER_MS = 1, COMPLAIN_MS = 1000 };

static bool within_budget(struct herald *herald, int64_t now_ms)
{
    if (herald->budget_ms == 0) {
        herald->budget = BUDGET;
    } else {
        herald->budget += (now_ms - herald->budget_ms) * BUDGET_PER_MS;
    }
    if (herald->budget > BUDGET) {
        herald->budget = BUDGET;
    }
    herald->budget_ms = now_ms;
    if (herald->budget <= 0) {
        return false;
    }
    herald->budget--;
    return true;
}

static void complain(struct herald *herald, int64_t now_ms)
{
    herald->left_out++;
    if (now_ms - herald->complained_ms < COMPLAIN_MS && herald->complained_ms != 0) {
        return;
    }
    log_warn("Sentinels send events faster than they are passed on",
             LOG_INT("left_out", (int64_t)herald->left_out));
    herald->complained_ms = now_ms;
}

void herald_tell(struct watcher *watcher, const struct peer *peer,
                 const struct sentinel_event *event)
{
    struct news_event news = {.wall_ms = clock_wall_ms()};
    int64_t now_ms = clock_boot_ms();

    if (!within_budget(&watcher->herald, now_ms)) {
        complain(&watcher->herald, now_ms);
        return;
    }
    snprintf(news.master, sizeof(news.master), "%s", event->master);
    snprintf(news.channel, sizeof(news.channel), "%s", event->channel);
    snprintf(news.detail, sizeof(news.detail), "%s", event->payload);
    address_format(sentinel_link_address(peer->link), news.sentinel);
    for (size_t i = 0; i < watcher->n_subscribers; i++) {
        mailbox_post(watcher->subscribers[i], news_event_new(&news));
    }
}
