/*
 * Long polls: requests that sleep until the master they are about is such as they wait for, until
 * their time is over, or until the worker ends. Then their handler is called again and answers.
 */
#ifndef BELLWETHER_HTTP_SERVER_LONG_POLL_H
#define BELLWETHER_HTTP_SERVER_LONG_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "answer_cache.h"
#include "bellwether/base/address.h"
#include "listener.h"

/* What a request waits for; nothing of these: for a master that serves. Several: all of them. */
enum {
    WAIT_INDEX = 1, /* an index over `index` */
    WAIT_OTHER = 2, /* a master that serves at another address than `unless` */
    WAIT_TAG = 4,   /* a master that serves with another entity tag */
};

struct wait_terms {
    unsigned wants;
    bool stale;            /* the last known address is good enough */
    bool require_majority; /* a master without a majority is not */
    bool foreign;          /* the index is another process': any index is over it */
    uint64_t index;
    const struct address *unless; /* borrowed while it is looked at, copied while it waits */
    const char *if_none_match;    /* borrowed from the request for as long as that lives */
    bool plain;                   /* nothing was asked for that the shared answer could not say */
    enum answer_kind kind;        /* whose tag */
    enum answer_form form;
};

struct long_poll;
struct long_polls;

struct long_polls *long_polls_new(struct worker *worker);
/** Nobody may wait any more. */
void long_polls_free(struct long_polls *long_polls);
/** Whether the wait is over before it begins. @param name of the master, "" the default one. */
bool long_polls_satisfied(struct cache *cache, const struct wait_terms *terms, const char *name);
/**
 * Suspend the connection. @return NULL: there are as many as there may be. Else long_poll_free() it
 * after the request.
 */
struct long_poll *long_poll_start(struct listener *listener, struct MHD_Connection *connection,
                                  const char *name, const struct wait_terms *terms,
                                  int64_t wait_ms);
/**
 * The request was resumed. @param answer set to the shared one where that is the right one, else
 * NULL.
 * @return true: answer now; false: what it waited for is gone again, it sleeps on.
 */
bool long_poll_ends(struct long_poll *long_poll, const struct answer **answer);
/** What it waited for. Borrowed. */
const struct wait_terms *long_poll_terms(const struct long_poll *long_poll);
void long_poll_free(struct long_poll *long_poll);
/** A new snapshot is in the cache: call those who waited for it. */
void long_polls_review(struct long_polls *long_polls);
/** Call all: they get the answer as it is. */
void long_polls_release_all(struct long_polls *long_polls);

#endif
