/*
 * What travels between the watcher and the workers, by mailbox, in order. Each side knows only this page,
 * not the other.
 */
#ifndef BELLWETHER_TOPOLOGY_NEWS_H
#define BELLWETHER_TOPOLOGY_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "bellwether/base/loop.h"
#include "bellwether/topology/snapshot.h"

enum news_kind {
    NEWS_SNAPSHOT = 1, /* watcher -> worker */
    NEWS_FRESH,     /* watcher -> worker: a fresh look-up ended; the snapshot before it holds its outcome */
    NEWS_DRAIN,     /* main -> worker: shutdown began, readyz turns 503, Connection: close */
    NEWS_STOP,      /* main -> worker, watcher: end now */
    NEWS_ASK_FRESH, /* worker -> watcher */
    NEWS_RELOAD,    /* main -> watcher: read credentials again */
};

struct news_snapshot {
    struct message head;
    struct snapshot *snapshot; /* one reference travels with it */
};

struct news_fresh {
    struct message head;
    uint64_t ticket;
    bool confirmed;     /* Sentinels answered and the node said master (or its role may not be asked) */
    enum reason reason; /* why not confirmed */
    char detail[DETAIL_SIZE];
};

struct news_ask_fresh {
    struct message head;
    uint64_t ticket;
    struct mailbox *reply_to; /* borrowed */
    char master[256];
};

/** Messages on the heap with kind and drop set. @param snapshot shared: a reference is taken. */
struct message *news_snapshot_new(struct snapshot *snapshot);
struct message *news_fresh_new(uint64_t ticket, bool confirmed, enum reason reason, const char *detail);
struct message *news_ask_fresh_new(uint64_t ticket, struct mailbox *reply_to, const char *master);
/** For the kinds without contents. */
struct message *news_plain_new(enum news_kind kind);

#endif
