/*
 * The cache of shared answers. A new snapshot is merged with the old one by name (both are sorted);
 * a master whose part did not change keeps its answers, so a change of one among a thousand renders
 * one again. What is kept by path may be about any of them, and goes with each snapshot.
 */
#include "answer_cache.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "routes.h"

enum answer_form answer_form_of(enum http_form form, bool pretty)
{
    switch (form) {
    case FORM_TEXT: return ANSWER_TEXT;
    case FORM_URL: return ANSWER_URL;
    default: return pretty ? ANSWER_PRETTY : ANSWER_JSON;
    }
}

void answer_free(struct answer *answer)
{
    if (answer) {
        MHD_destroy_response(answer->response);
        free(answer);
    }
}

static void drop_answers(struct answer **answers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        answer_free(answers[i]);
        answers[i] = NULL;
    }
}

/* ---- by path ---- */

static struct kept *kept_place(const struct cache *cache, const char *path)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (; *path; path++) {
        hash = (hash ^ (unsigned char)*path) * 16777619U;
    }
    return &cache->kept[(hash ^ hash >> 16) % CACHE_KEPT_MAX];
}

static void kept_release(struct kept *kept)
{
    if (kept->path) {
        MHD_destroy_response(kept->answer.response);
        free(kept->path);
        kept->path = NULL;
    }
}

static void drop_kept(struct cache *cache)
{
    for (size_t i = 0; cache->kept && i < CACHE_KEPT_MAX; i++) {
        kept_release(&cache->kept[i]);
    }
}

void cache_keep(struct cache *cache, const char *path, const struct routed_answer *answer)
{
    struct kept *place;

    if (!cache->kept) {
        cache->kept = mem_new(CACHE_KEPT_MAX, sizeof(*cache->kept));
    }
    place = kept_place(cache, path);
    kept_release(place);
    *place = (struct kept){mem_strdup(path), *answer};
}

const struct routed_answer *cache_kept(const struct cache *cache, const char *path)
{
    const struct kept *place = cache->kept ? kept_place(cache, path) : NULL;

    return place && place->path && strcmp(place->path, path) == 0 ? &place->answer : NULL;
}

/* ---- by master ---- */

static void cached_release(struct cached_master *cached)
{
    drop_answers(&cached->answers[0][0], (size_t)ANSWER_KINDS * ANSWER_FORMS);
    snapshot_master_unref(cached->master);
    cached->master = NULL;
}

struct cache *cache_new(const char *instance, const struct http_routes *routes)
{
    struct cache *cache = mem_new(1, sizeof(*cache));

    cache->instance = instance;
    cache->routes = routes;
    return cache;
}

/* Move what `old` knows of the same master into the fresh entry. */
static void inherit(struct cached_master *cached, struct cached_master *old)
{
    const struct snapshot_master *a = cached->master, *b = old->master;

    cached->turn = old->turn;
    cached->lag_told_ms = old->lag_told_ms;
    if (a->reason == REASON_UNKNOWN_NAME) {
        /* its answers list the names that Sentinels know, which is not part of the master */
        return;
    }
    if (a == b || (a->revision == b->revision && a->index == b->index)) {
        memcpy(cached->answers, old->answers, sizeof(cached->answers));
        memset(old->answers, 0, sizeof(old->answers));
    }
}

void cache_take(struct cache *cache, struct snapshot *snapshot)
{
    size_t n_old = cache->snapshot ? cache->snapshot->n_masters : 0, old = 0;
    struct cached_master *masters = mem_new(snapshot->n_masters + 1, sizeof(*masters));
    const struct snapshot_master *chosen = snapshot_default(snapshot);

    cache->default_master = NULL;
    for (size_t i = 0; i < snapshot->n_masters; i++) {
        int order = 1;

        masters[i].master = snapshot_master_ref(snapshot->masters[i]);
        for (; old < n_old; old++) {
            order = strcmp(cache->masters[old].master->name, masters[i].master->name);
            if (order >= 0) {
                break;
            }
        }
        if (old < n_old && order == 0) {
            inherit(&masters[i], &cache->masters[old]);
        }
        if (snapshot->masters[i] == chosen) {
            cache->default_master = &masters[i];
        }
    }
    for (size_t i = 0; i < n_old; i++) {
        cached_release(&cache->masters[i]);
    }
    drop_answers(cache->list, ANSWER_FORMS);
    drop_kept(cache);
    free(cache->masters);
    snapshot_unref(cache->snapshot);
    cache->masters = masters;
    cache->snapshot = snapshot;
}

void cache_close_connections(struct cache *cache)
{
    size_t n = cache->snapshot ? cache->snapshot->n_masters : 0;

    cache->closing = true;
    for (size_t i = 0; i < n; i++) {
        drop_answers(&cache->masters[i].answers[0][0], (size_t)ANSWER_KINDS * ANSWER_FORMS);
    }
    drop_answers(cache->list, ANSWER_FORMS);
    drop_kept(cache);
}

bool cache_stalled(const struct cache *cache)
{
    return cache_stalled_at(cache, clock_boot_ms());
}

bool cache_stalled_at(const struct cache *cache, int64_t now_ms)
{
    return snapshot_is_stalled(cache->snapshot, now_ms);
}

static const char *name_at(const void *masters, size_t i)
{
    return ((const struct cached_master *)masters)[i].master->name;
}

struct cached_master *cache_find(struct cache *cache, const char *name)
{
    bool found;
    size_t at = names_place(cache->masters, cache->snapshot ? cache->snapshot->n_masters : 0,
                            name_at, name, &found);

    return found ? &cache->masters[at] : NULL;
}

const struct answer *cache_answer(struct cache *cache, struct cached_master *cached,
                                  enum answer_kind kind, enum answer_form form)
{
    struct answer **answer = &cached->answers[kind][form];

    if (!*answer) {
        *answer = cache->routes->answer_render(cache, cached->master, kind, form);
    }
    return *answer;
}

const struct answer *cache_list(struct cache *cache, enum answer_form form)
{
    if (!cache->list[form]) {
        cache->list[form] = cache->routes->answer_render_list(cache, form);
    }
    return cache->list[form];
}

void cache_free(struct cache *cache)
{
    size_t n;

    if (!cache) {
        return;
    }
    n = cache->snapshot ? cache->snapshot->n_masters : 0;
    for (size_t i = 0; i < n; i++) {
        cached_release(&cache->masters[i]);
    }
    drop_answers(cache->list, ANSWER_FORMS);
    drop_kept(cache);
    free(cache->kept);
    free(cache->masters);
    snapshot_unref(cache->snapshot);
    free(cache);
}
