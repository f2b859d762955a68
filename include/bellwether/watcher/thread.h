/*
 * The watcher thread: links to every Sentinel, the decision for every master, verification,
 * snapshots.
 */
#ifndef BELLWETHER_WATCHER_THREAD_H
#define BELLWETHER_WATCHER_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"
#include "bellwether/base/pulse.h"
#include "bellwether/base/secret.h"
#include "bellwether/redis/redis_tls.h"

/* One set of Sentinels that is dialled together with the same credentials. */
struct watch_deployment {
    struct address *seeds;
    size_t n_seeds;
    char *username;          /* NULL: none */
    struct secret *password; /* never NULL; may hold no value */
    struct redis_tls *tls;   /* borrowed; NULL: plain */
    /* borrowed; where that is plain: for learned ones that answer TLS; NULL: never */
    struct redis_tls *tls_learned;
    char **masters; /* the names watched there */
    size_t n_masters;
    bool all_masters; /* watch every name its Sentinels know */
};

/* What differs per master on the Redis side. */
struct watch_override {
    char *master;
    char *redis_username;          /* NULL: none */
    struct secret *redis_password; /* never NULL */
    struct redis_tls *redis_tls;   /* borrowed; NULL: plain */
};

/* One set of files and rules, and whose it is. */
struct watch_tls {
    struct redis_tls *tls;
    const char *side; /* "sentinel" or "redis", static */
    char *master;     /* NULL: of all that have none of their own */
};

/* Whether a promotion is believed when it is announced, or when it has happened (rule 11). */
enum watch_adopt { WATCH_ADOPT_ANNOUNCED, WATCH_ADOPT_PROMOTED };

struct watch_config {
    struct watch_deployment *deployments;
    size_t n_deployments;
    struct watch_override *overrides;
    size_t n_overrides;
    char *redis_username;
    struct secret *redis_password;
    struct redis_tls *redis_tls; /* borrowed; NULL: plain */
    struct watch_tls *tls;       /* all that there are */
    size_t n_tls;
    char *default_master; /* NULL: first configured, or the only one known */
    struct address_map map;
    struct address *selves; /* nodes named by --self, as given */
    size_t n_selves;
    int64_t poll_interval_ms, sentinel_timeout_ms;
    bool learn_sentinels; /* else only the configured ones count */
    bool verify;
    int64_t verify_interval_ms, verify_timeout_ms, suspect_after_ms;
    enum watch_adopt adopt;
    /* ask for the replicas' lag every second, whether anybody reads it or not */
    bool lag_matters;
    /* of writes held back, until the chosen replica is asked; 0: the usual */
    int64_t fence_timeout_ms;
    bool fence_matters; /* /redis or a forward is there: else nobody wants to hear of it */
    int64_t history;    /* failovers that are kept */
};

struct watcher;
struct metrics; /* bellwether/metrics/counters.h */

/**
 * @param config borrowed and unchanged until watcher_free(). @param pulse borrowed, written by the
 * watcher.
 * @param metrics borrowed, counted into by the watcher; NULL: nobody wants to know.
 * Thread: main.
 */
struct watcher *watcher_new(const struct watch_config *config, struct pulse *pulse,
                            struct metrics *metrics);
/** Where snapshots go; before watcher_start(). Borrowed until watcher_free(). */
void watcher_subscribe(struct watcher *watcher, struct mailbox *subscriber);
/** The mailbox that takes what goes to the watcher (topology/messages.h). Borrowed. */
struct mailbox *watcher_mailbox(struct watcher *watcher);
/** @return 0; -BW_EIO with errno when the thread can't be made. */
int watcher_start(struct watcher *watcher);
/** Its loop, until MESSAGE_STOP: where a thread of the caller's is to run it. @param data it. */
void *watcher_run(void *data);
/** Ask it to end and join it. */
void watcher_stop(struct watcher *watcher);
void watcher_free(struct watcher *watcher);

#endif
