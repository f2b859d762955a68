/* Fresh look-ups: every live Sentinel and the published node are asked now. */
#ifndef BELLWETHER_WATCHER_FRESH_LOOKUP_H
#define BELLWETHER_WATCHER_FRESH_LOOKUP_H

#include <stdint.h>

#include "bellwether/base/list.h"

struct mailbox;
struct master;

/* A caller's fresh look-up. */
struct lookup {
    struct list_link link;
    int64_t began_us; /* boot clock */
    uint64_t ticket;
    struct mailbox *reply_to;
};

/* Begin a look-up: MESSAGE_FRESH goes to `reply_to` when it ends. */
void lookup_ask(struct master *master, uint64_t ticket, struct mailbox *reply_to);
/* End the look-ups that can be ended; after each step of the judge. */
void lookup_review(struct master *master);
void lookup_release(struct master *master);

#endif
