/*
 * Answers that many requests share: one set for each master of the current snapshot, rendered at
 * first use and kept for as long as the master's part of the snapshot stays the same.
 */
#ifndef BELLWETHER_HTTP_SERVER_ANSWER_CACHE_H
#define BELLWETHER_HTTP_SERVER_ANSWER_CACHE_H

#include <stdbool.h>

#include "bellwether/http/query.h"
#include "bellwether/http/router.h"
#include "bellwether/topology/snapshot.h"
#include "response.h"

/* Which answer about a master: by the route that gives it, since the route is part of the ETag. */
enum answer_kind {
    ANSWER_MASTER,
    ANSWER_NAMED_MASTER,
    ANSWER_REPLICAS,
    ANSWER_NAMED_REPLICAS,
    ANSWER_SENTINELS,
    ANSWER_KINDS
};
enum answer_form { ANSWER_JSON, ANSWER_PRETTY, ANSWER_TEXT, ANSWER_URL, ANSWER_FORMS };

struct answer {
    struct MHD_Response *response;
    unsigned status;
    char etag[ETAG_SIZE]; /* "" none */
    const char *body;     /* the response's */
    size_t size;
};

struct cached_master {
    struct snapshot_master *master; /* a reference */
    struct answer *answers[ANSWER_KINDS][ANSWER_FORMS];
    size_t turn; /* of the round robin over replicas; survives snapshots */
    /* boot clock: when the watcher heard last that its lag is read; survives, too */
    int64_t lag_told_ms;
};

struct routed_answer {
    enum route_id route;
    unsigned status;
    struct MHD_Response *response;
    size_t size; /* of the body */
};

/* The answer to whatever asks for this path and says nothing else that counts. */
struct kept {
    char *path;
    struct routed_answer answer;
};
#define CACHE_KEPT_MAX \
    1024 /* a power of two; where two paths share a place, the later one has it */

struct http_routes;

struct cache {
    const char *instance;                 /* borrowed */
    const struct http_routes *routes;     /* who renders; borrowed */
    struct snapshot *snapshot;            /* a reference; NULL before the first */
    struct cached_master *masters;        /* in the snapshot's order */
    struct cached_master *default_master; /* one of them, or NULL */
    struct answer *list[ANSWER_FORMS];    /* /masters */
    struct kept *kept; /* CACHE_KEPT_MAX, of this snapshot; NULL: none were kept yet */
    bool closing;      /* answers carry Connection: close */
};

/** @param instance,routes borrowed. */
struct cache *cache_new(const char *instance, const struct http_routes *routes);
/** Take a new snapshot (a reference of it goes to the cache); answers of unchanged masters stay. */
void cache_take(struct cache *cache, struct snapshot *snapshot);
/** From now on every answer carries Connection: close. */
void cache_close_connections(struct cache *cache);
/** The watcher gave no sign of life for so long that nothing it said may be served. */
bool cache_stalled(const struct cache *cache);
/** The same for whoever has just read the boot clock. */
bool cache_stalled_at(const struct cache *cache, int64_t now_ms);
/** By name, or NULL. */
struct cached_master *cache_find(struct cache *cache, const char *name);
/**
 * The shared answer about a master, rendered now if it was not. Borrowed until the next
 * cache_take().
 */
const struct answer *cache_answer(struct cache *cache, struct cached_master *cached,
                                  enum answer_kind kind, enum answer_form form);
/** The shared answer of /masters. */
const struct answer *cache_list(struct cache *cache, enum answer_form form);
/**
 * Keep what a path was answered with until the next cache_take(). @param answer its response is a
 * reference, taken.
 */
void cache_keep(struct cache *cache, const char *path, const struct routed_answer *answer);
/** What was kept, or NULL. Borrowed until the next cache_take() or cache_keep(). */
const struct routed_answer *cache_kept(const struct cache *cache, const char *path);
void cache_free(struct cache *cache);
/** NULL is fine. */
void answer_free(struct answer *answer);

/** The form under which an answer is kept. */
enum answer_form answer_form_of(enum http_form form, bool pretty);

#endif
