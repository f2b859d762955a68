/*
 * Names that Sentinels use for nodes (announce-hostnames), looked up off the thread and remembered.
 */
#ifndef BELLWETHER_WATCHER_RESOLVER_H
#define BELLWETHER_WATCHER_RESOLVER_H

#include <stdbool.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"

struct resolver;

/**
 * @param group of the look-ups (loop_lookup_start()). @param patience_ms how long a first look-up
 * may take before the name stands for itself. @param found called after a look-up that
 * resolver_get() said is pending came to an end.
 */
struct resolver *resolver_new(struct loop *loop, unsigned group, int64_t patience_ms,
                              void (*found)(void *data), void *data);
/**
 * Where this address is: IP literals at once, names from the last good look-up (looked up again
 * every 10 s).
 * @return true with `out` set, its `ip` unset where the name does not resolve (in time); false:
 * pending, ask again after `found`.
 */
bool resolver_get(struct resolver *resolver, const struct address *name, struct endpoint *out);
/**
 * Whether both are the same node: the same text, or the same IP and port as far as look-ups have
 * told.
 */
bool resolver_same(struct resolver *resolver, const struct address *a, const struct address *b);
void resolver_free(struct resolver *resolver);

#endif
