/*
 * A small table of names. An entry that is never asked for again stays: there are as many as nodes
 * ever named.
 */
#include "resolver.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/list.h"
#include "bellwether/base/memory.h"

enum { KEEP_MS = 10000, KEEP_FAILED_MS = 1000 };

struct entry {
    struct list_link link;
    struct resolver *resolver;
    struct address name;
    struct address ip; /* the last good one; unset: never */
    bool tried, failed;
    int64_t tried_ms; /* when the last look-up ended */
    int64_t began_ms; /* when the one under way began */
    struct loop_lookup *lookup;
};

struct resolver {
    struct loop *loop;
    unsigned group;
    int64_t patience_ms;
    struct list entries;
    void (*found)(void *data);
    void *data;
};

struct resolver *resolver_new(struct loop *loop, unsigned group, int64_t patience_ms,
                              void (*found)(void *data), void *data)
{
    struct resolver *resolver = mem_new(1, sizeof(*resolver));

    resolver->loop = loop;
    resolver->group = group;
    resolver->patience_ms = patience_ms;
    resolver->found = found;
    resolver->data = data;
    return resolver;
}

static void entry_done(void *data, int error, const struct address *found, size_t n,
                       const char *words)
{
    struct entry *entry = data;
    bool first = !entry->tried;

    (void)words;
    loop_lookup_free(entry->lookup);
    entry->lookup = NULL;
    entry->tried = true;
    entry->failed = error != 0;
    entry->tried_ms = clock_boot_ms();
    if (error == 0) {
        /* A name with both families: IPv4 first, so that every look-up names the same one. */
        size_t pick = 0;

        while (pick + 1 < n && found[pick].host[0] != '\0' && address_is_ip(&found[pick]) &&
               strchr(found[pick].host, ':')) {
            pick++;
        }
        /* One with several: the order of the answers is no move. */
        for (size_t i = 0; i < n; i++) {
            if (address_is_set(&entry->ip) && address_equal(&found[i], &entry->ip)) {
                pick = i;
            }
        }
        entry->ip = found[pick];
    }
    if (first) {
        entry->resolver->found(entry->resolver->data);
    }
}

static struct entry *entry_of(const struct resolver *resolver, const struct address *name)
{
    LIST_EACH(struct entry, entry, &resolver->entries, link) {
        if (address_equal(&entry->name, name)) {
            return entry;
        }
    }
    return NULL;
}

bool resolver_get(struct resolver *resolver, const struct address *name, struct endpoint *out)
{
    if (address_is_ip(name)) {
        *out = endpoint_from_address(name);
        return true;
    }
    struct entry *entry = entry_of(resolver, name);
    if (!entry) {
        entry = mem_new(1, sizeof(*entry));
        entry->resolver = resolver;
        entry->name = *name;
        list_append(&resolver->entries, &entry->link);
    }
    int64_t keep_ms = entry->failed ? KEEP_FAILED_MS : KEEP_MS;
    if (!entry->lookup && (!entry->tried || clock_boot_ms() - entry->tried_ms > keep_ms)) {
        entry->began_ms = clock_boot_ms();
        entry->lookup = loop_lookup_start(resolver->loop, name, resolver->group, entry_done, entry);
    }
    if (!entry->tried && clock_boot_ms() - entry->began_ms < resolver->patience_ms) {
        return false;
    }
    out->name = *name;
    out->ip = entry->ip;
    return true;
}

bool resolver_same(struct resolver *resolver, const struct address *a, const struct address *b)
{
    struct endpoint x, y;

    if (address_equal(a, b)) {
        return true;
    }
    return a->port == b->port && (!address_is_ip(a) || !address_is_ip(b)) &&
           resolver_get(resolver, a, &x) && resolver_get(resolver, b, &y) &&
           address_is_set(&x.ip) && address_is_set(&y.ip) && address_equal(&x.ip, &y.ip);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver) {
        return;
    }
    for (struct list_link *link; (link = list_take_first(&resolver->entries));) {
        struct entry *entry = LIST_OWNER(link, struct entry, link);

        loop_lookup_free(entry->lookup);
        free(entry);
    }
    free(resolver);
}
