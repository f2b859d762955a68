/* Rendering the answers that the cache shares: body, status, ETag. */
#ifndef BELLWETHER_HTTP_ROUTES_ANSWERS_H
#define BELLWETHER_HTTP_ROUTES_ANSWERS_H

#include <jansson.h>

#include "http/server/answer_cache.h"

/** What a route says of a master, on the heap. */
struct answer *answer_render(const struct cache *cache, const struct snapshot_master *master,
                             enum answer_kind kind, enum answer_form form);
/** What /masters says of the cache's snapshot, on the heap. */
struct answer *answer_render_list(const struct cache *cache, enum answer_form form);

/**
 * The problem `no-master`: members name, state, reason, index, last_known, and sentinels_know where
 * they don't know the name. @param master NULL: none is known at all. @param snapshot NULL before
 * the first. A new reference.
 */
json_t *answer_no_master(const struct snapshot *snapshot, const struct snapshot_master *master,
                         enum reason reason, const char *detail);
/**
 * The names of the masters that are watched, and of those that the Sentinels know. @param snapshot
 * NULL: none. New lists.
 */
json_t *answer_names_watched(const struct snapshot *snapshot);
json_t *answer_names_known(const struct snapshot *snapshot);
/** The text form of one address: `host:port` or the URL, and a newline. free() it. */
char *answer_address_line(const struct address *address, bool tls, bool url);

#endif
