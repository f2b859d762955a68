/* A circular array of rendered events, numbered from 1 without gaps. */
#include "event_ring.h"

#include <stdlib.h>

#include "bellwether/base/memory.h"

struct ring {
    struct ring_entry *entries; /* number n stands at n % capacity */
    size_t capacity;
    uint64_t first, next;
};

struct ring *ring_new(size_t capacity)
{
    struct ring *ring = mem_new(1, sizeof(*ring));

    ring->capacity = capacity;
    ring->entries = mem_new(capacity, sizeof(*ring->entries));
    ring->first = ring->next = 1;
    return ring;
}

void ring_widen(struct ring *ring, size_t capacity)
{
    struct ring_entry *wider;

    if (capacity <= ring->capacity) {
        return;
    }
    wider = mem_new(capacity, sizeof(*wider));
    for (uint64_t n = ring->first; n < ring->next; n++) {
        wider[n % capacity] = ring->entries[n % ring->capacity];
    }
    free(ring->entries);
    ring->entries = wider;
    ring->capacity = capacity;
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->capacity;
}

static void drop_oldest(struct ring *ring)
{
    struct ring_entry *entry = &ring->entries[ring->first % ring->capacity];

    free(entry->text);
    free(entry->about);
    ring->first++;
}

void ring_add(struct ring *ring, const char *about, char *text, size_t size)
{
    struct ring_entry *entry;

    if (ring->next - ring->first == ring->capacity) {
        drop_oldest(ring);
    }
    entry = &ring->entries[ring->next++ % ring->capacity];
    entry->text = text;
    entry->size = size;
    entry->about = mem_strdup(about);
}

uint64_t ring_first(const struct ring *ring)
{
    return ring->first;
}

uint64_t ring_next(const struct ring *ring)
{
    return ring->next;
}

const struct ring_entry *ring_at(const struct ring *ring, uint64_t number)
{
    return number >= ring->first && number < ring->next ? &ring->entries[number % ring->capacity]
                                                        : NULL;
}

void ring_free(struct ring *ring)
{
    if (!ring) {
        return;
    }
    while (ring->first < ring->next) {
        drop_oldest(ring);
    }
    free(ring->entries);
    free(ring);
}
