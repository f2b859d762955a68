/*
 * What travels between the watcher and the workers, by mailbox, in order. Each side knows only this
 * page, not the other.
 */
#ifndef BELLWETHER_TOPOLOGY_MESSAGES_H
#define BELLWETHER_TOPOLOGY_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "bellwether/base/loop.h"
#include "bellwether/topology/snapshot.h"

enum message_kind {
    MESSAGE_SNAPSHOT = 1, /* watcher -> worker */
    /* watcher -> worker: a fresh look-up ended; the snapshot before it holds its outcome */
    MESSAGE_FRESH,
    MESSAGE_DRAIN,      /* main -> worker: shutdown began, readyz turns 503, Connection: close */
    MESSAGE_STOP,       /* main -> worker, watcher: end now */
    MESSAGE_ASK_FRESH,  /* worker -> watcher */
    MESSAGE_RELOAD,     /* main -> watcher, workers: read credentials again */
    MESSAGE_EVENT,      /* watcher -> worker: a Sentinel's event, as it arrives */
    MESSAGE_ASK_STATUS, /* worker -> watcher */
    MESSAGE_STATUS,     /* watcher -> worker: the report, rendered at that moment */
    MESSAGE_SUSPECT,    /* worker -> watcher: something was wrong with the published master */
    MESSAGE_ASK_LAG,    /* worker -> watcher: somebody reads how far replicas lag */
    MESSAGE_ASK_HEARD,  /* worker -> watcher: answers wait for it to hear what has come to it */
    MESSAGE_HEARD,      /* watcher -> worker: it has, and its pulse says so */
};

struct message_snapshot {
    struct message head;
    struct snapshot *snapshot; /* one reference travels with it */
};

struct message_fresh {
    struct message head;
    uint64_t ticket;
    /* Sentinels answered and the node said master (or its role may not be asked) */
    bool confirmed;
    enum reason reason; /* why not confirmed */
    char *detail;
};

struct message_ask_fresh {
    struct message head;
    uint64_t ticket;
    struct mailbox *reply_to; /* borrowed */
    char master[256];
};

/* All workers get all events and snapshots in the same order: whoever counts them counts alike. */
struct message_event {
    struct message head;
    int64_t wall_ms;
    char master[256]; /* "" : names none */
    char sentinel[ADDRESS_TEXT_SIZE];
    char channel[64]; /* "+sdown" */
    char detail[256]; /* the payload, cut, valid UTF-8 without control characters */
};

struct message_ask_status {
    struct message head;
    uint64_t ticket;
    struct mailbox *reply_to; /* borrowed */
};

struct message_ask_lag {
    struct message head;
    uint64_t ticket;
    /* borrowed: MESSAGE_FRESH goes there once it was asked anew; NULL: nobody waits */
    struct mailbox *reply_to;
    char master[256]; /* "": all of them */
};

struct message_ask_heard {
    struct message head;
    struct mailbox *reply_to; /* borrowed */
};

/* A hundred commands or clients that meet the same at once are one piece of news. */
#define SUSPECT_EVERY_MS 20

/* What a worker's own connection met. */
enum suspicion {
    SUSPICION_READ_ONLY, /* it refused a write: a replica by now */
    SUSPICION_LOST,      /* a connection was lost, or could not be made */
    SUSPICION_SILENT,    /* a command was not answered in time */
    SUSPICION_ROLE,      /* HELLO said another role than master */
    SUSPICION_LOADING,   /* LOADING, MASTERDOWN */
};

struct message_suspect {
    struct message head;
    enum suspicion what;
    char master[256];
    struct address address; /* of the node it met it at, as published */
};

struct status_report; /* bellwether/topology/report.h */

struct message_status {
    struct message head;
    uint64_t ticket;
    struct status_report *report; /* travels with it; freed by its drop */
};

/** Messages on the heap with kind and drop set. @param snapshot shared: a reference is taken. */
struct message *message_snapshot_new(struct snapshot *snapshot);
struct message *message_fresh_new(uint64_t ticket, bool confirmed, enum reason reason,
                                  const char *detail);
struct message *message_ask_fresh_new(uint64_t ticket, struct mailbox *reply_to,
                                      const char *master);
/** @param from its words, copied; `head` is not looked at. */
struct message *message_event_new(const struct message_event *from);
struct message *message_ask_status_new(uint64_t ticket, struct mailbox *reply_to);
struct message *message_ask_lag_new(uint64_t ticket, struct mailbox *reply_to, const char *master);
struct message *message_ask_heard_new(struct mailbox *reply_to);
/** @param report taken. */
struct message *message_status_new(uint64_t ticket, struct status_report *report);
struct message *message_suspect_new(enum suspicion what, const char *master,
                                    const struct address *address);
/** For the kinds without contents. */
struct message *message_plain_new(enum message_kind kind);

#endif
