/*
 * Snapshots in JSON and in text, as HTTP.md shows them. Used by the HTTP answers and by --once.
 * Pure.
 */
#ifndef BELLWETHER_HTTP_MASTER_JSON_H
#define BELLWETHER_HTTP_MASTER_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/topology/snapshot.h"

#define RENDER_URL_SIZE (ADDRESS_TEXT_SIZE + 16)

/** The `<master>` object, a new reference. `stale`: its member of that name. Thread: any. */
json_t *render_master(const struct snapshot_master *master, bool stale);
/** The answer of /masters/{name}/replicas, a new reference. Thread: any. */
json_t *render_replicas(const struct snapshot_master *master, int64_t now_ms);
/** One replica as it stands in that list, a new reference. Thread: any. */
json_t *render_replica(const struct snapshot_replica *replica, bool tls, int64_t now_ms);
/** The answer of /masters/{name}/sentinels, a new reference. Thread: any. */
json_t *render_sentinels(const struct snapshot_master *master);
/** The list in it, a new reference. Thread: any. */
json_t *render_sentinel_list(const struct snapshot_sentinel *sentinels, size_t n);

/** One entry of /failovers, a new reference. Thread: any. */
json_t *render_failover(const struct failover *failover);

/**
 * `redis://host:port`, or `rediss://` when `tls`. @param out RENDER_URL_SIZE bytes. @return out.
 * Thread: any.
 */
const char *render_url(const struct address *address, bool tls, char *out);
/** Text as JSON; bytes that are not UTF-8 become U+FFFD; NULL becomes null. Thread: any. */
json_t *render_text(const char *text);
/** A wall clock's time as JSON. Thread: any. */
json_t *render_time(int64_t wall_ms);
/** `{code, text, at}`, a new reference; null where `code` is "". Thread: any. */
json_t *render_trouble(const char *code, const char *words, int64_t wall_ms);
/**
 * Serialise and let go of a value.
 * @param json  taken.
 * @param size  the length without the terminating NUL.
 * @return compact or indented text that ends with a newline; free with free(). Thread: any.
 */
char *render_dump(json_t *json, bool pretty, size_t *size);

#endif
