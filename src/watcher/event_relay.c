/*
 * Sentinels' events on their way to whoever listens: every subscriber gets each of them, of
 * unwatched names too, in the order in which they came.
 *
 * A Sentinel gone mad must not fill the subscribers' mailboxes: what comes faster than a budget is
 * left out for all of them alike, and said once a second.
 */
#include "event_relay.h"

#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"

/* a thousand masters down at once fit */
enum { BUDGET = 4000, BUDGET_PER_MS = 1, COMPLAIN_MS = 1000 };

static bool within_budget(struct event_relay *relay, int64_t now_ms)
{
    if (relay->budget_ms == 0) {
        relay->budget = BUDGET;
    } else {
        relay->budget += (now_ms - relay->budget_ms) * BUDGET_PER_MS;
    }
    if (relay->budget > BUDGET) {
        relay->budget = BUDGET;
    }
    relay->budget_ms = now_ms;
    if (relay->budget <= 0) {
        return false;
    }
    relay->budget--;
    return true;
}

static void complain(struct event_relay *relay, int64_t now_ms)
{
    relay->left_out++;
    if (now_ms - relay->complained_ms < COMPLAIN_MS && relay->complained_ms != 0) {
        return;
    }
    log_warn("Sentinels send events faster than they are passed on",
             LOG_INT("left_out", (int64_t)relay->left_out));
    relay->complained_ms = now_ms;
}

void event_relay_tell(struct watcher *watcher, const struct sentinel_node *sentinel,
                      const struct sentinel_event *event)
{
    struct message_event message = {.wall_ms = clock_wall_ms()};
    int64_t now_ms = clock_boot_ms();

    if (!within_budget(&watcher->relay, now_ms)) {
        complain(&watcher->relay, now_ms);
        return;
    }
    snprintf(message.master, sizeof(message.master), "%s", event->master);
    snprintf(message.channel, sizeof(message.channel), "%s", event->channel);
    snprintf(message.detail, sizeof(message.detail), "%s", event->payload);
    sentinel_node_text(sentinel, message.sentinel);
    for (size_t i = 0; i < watcher->n_subscribers; i++) {
        mailbox_post(watcher->subscribers[i], message_event_new(&message));
    }
}
