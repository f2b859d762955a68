/* Sentinels' events to whoever listens. */
#ifndef BELLWETHER_WATCHER_EVENT_RELAY_H
#define BELLWETHER_WATCHER_EVENT_RELAY_H

#include <stdint.h>

struct sentinel_event;
struct sentinel_node;
struct watcher;

/* How much of the Sentinels' events is passed on. */
struct event_relay {
    int64_t budget, budget_ms, complained_ms; /* boot clock */
    uint64_t left_out;
};

/* Pass an event on to all subscribers, as far as the budget goes. */
void event_relay_tell(struct watcher *watcher, const struct sentinel_node *sentinel,
                      const struct sentinel_event *event);

#endif
