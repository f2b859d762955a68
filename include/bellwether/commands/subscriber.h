/*
 * Listening to channels and patterns of a master. All who listen on a worker share one connection
 * to each master, which is opened for the first of them and closed behind the last one; so is each
 * channel and pattern.
 *
 * After a failover, or when the connection was lost, all of it is subscribed to again, and whoever
 * listens is told from when to when there was a gap.
 */
#ifndef BELLWETHER_COMMANDS_SUBSCRIBER_H
#define BELLWETHER_COMMANDS_SUBSCRIBER_H

#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/list.h"
#include "bellwether/commands/pool.h"

#define SUBSCRIBER_NAMES_MAX 100 /* channels or patterns of one subscriber */
#define SUBSCRIBER_NAME_MAX 1024 /* bytes of one, of which none is NUL */

enum subscriber_kind { SUBSCRIBER_CHANNELS, SUBSCRIBER_PATTERNS, SUBSCRIBER_KINDS };

enum subscriber_state {
    SUBSCRIBER_OUT,         /* not begun, or ended */
    SUBSCRIBER_JOINING,     /* until Redis has confirmed all of it, and there is a master */
    SUBSCRIBER_LISTENING,   /* it is given what is published */
    SUBSCRIBER_INTERRUPTED, /* until all of it is confirmed once more */
};

enum subscriber_end {
    SUBSCRIBER_REFUSED, /* by Redis, whose words they are */
    SUBSCRIBER_LATE,    /* it was not confirmed in time */
    SUBSCRIBER_GONE,    /* the master is not watched any more */
};

/* Whoever listens; embedded in its owner, zeroed before use. */
struct subscriber {
    struct list_link link, joining; /* in the lists of their master's subscriptions */
    struct subscriptions *all;      /* NULL: it is out */
    enum subscriber_state state;
    enum subscriber_kind kind;
    int64_t deadline_ms;                /* boot clock: while it joins */
    int64_t since_ms;                   /* wall clock: while it is interrupted */
    struct subscription *subscriptions; /* owned, `n` of them, in the caller's order */
    size_t n;
    size_t n_open; /* of these, to be confirmed */
};

/* One channel or pattern of one subscriber. */
struct subscription {
    struct list_link link; /* among those who listen to it */
    struct subscriber *subscriber;
    struct topic *topic;
};

struct channel_message {
    const char *pattern; /* terminated; NULL: to a channel that was asked for by name */
    const char *channel, *payload;
    size_t pattern_size, channel_size, payload_size;
};

/* Called from inside callbacks of connections: nobody may be freed or begin in here. */
struct subscriber_hooks {
    /* Redis has confirmed all of it. */
    void (*confirmed)(struct subscriber *subscriber);
    /* It is out. `words` begin with a stable word or are Redis' own, borrowed. */
    void (*ended)(struct subscriber *subscriber, enum subscriber_end why, const char *words);
    /* The connection is gone; wall clock: when the master was heard there last. */
    void (*interrupted)(struct subscriber *subscriber, int64_t since_ms);
    /* All of it is confirmed again; what was published between these times is lost. */
    void (*resumed)(struct subscriber *subscriber, int64_t from_ms, int64_t to_ms);
    /* `listening` is of struct subscription; those who join are among them. */
    void (*message)(const struct list *listening, const struct channel_message *message);
};

/**
 * Subscribe. The outcome comes through `confirmed` or `ended`, at the latest when the time of a
 * command is over that began at `began_ms` (boot clock), never from in here.
 * @param names borrowed, `n` of them, from 1 to SUBSCRIBER_NAMES_MAX; what is named twice counts
 * once.
 * @return NULL; else why not, static, and it stays out.
 */
const char *pool_subscribe(struct pool *pool, struct subscriber *subscriber, const char *master,
                           enum subscriber_kind kind, const char *const *names, size_t n,
                           int64_t began_ms);
/** Listen no longer; nothing when it is out. Not from inside a hook. */
void pool_unsubscribe(struct subscriber *subscriber);
/** The channel or pattern `i` of one that is not out. Borrowed. */
const char *subscriber_name(const struct subscriber *subscriber, size_t i);
/** Where it listens; NULL: nowhere now. Borrowed. */
const struct address *subscriber_address(const struct subscriber *subscriber);

#endif
