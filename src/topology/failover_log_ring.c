/*
 * The failover log's entries: the ring, the list for snapshots, what ended. An entry that somebody
 * else may hold is never changed: a changed copy takes its place.
 */
#include "failover_log_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"

const char *failover_phase_text(enum failover_phase phase)
{
    static const char *const texts[] = {
#define X(name, text) text,
        FAILOVER_PHASES(X)
#undef X
    };

    return texts[phase];
}

const char *failover_kind_text(enum failover_kind kind)
{
    switch (kind) {
    case FAILOVER_CRASH: return "crash";
    case FAILOVER_MANUAL: return "manual";
    case FAILOVER_UNKNOWN: break;
    }
    return "unknown";
}

const char *failover_outcome_text(enum failover_outcome outcome)
{
    switch (outcome) {
    case FAILOVER_SWITCHED: return "switched";
    case FAILOVER_ABORTED: return "aborted";
    case FAILOVER_NOT_STARTED: return "not_started";
    case FAILOVER_RECOVERED: return "recovered";
    case FAILOVER_UNATTENDED: return "unattended";
    case FAILOVER_RUNNING: break;
    }
    return "running";
}

bool failover_has_phase(const struct failover *entry, enum failover_phase phase)
{
    for (size_t i = 0; i < entry->n_phases; i++) {
        if (entry->phases[i].phase == phase) {
            return true;
        }
    }
    return false;
}

/* ---- references ---- */

/* Acquire and release, so that what other threads read happened before the memory goes. */
static bool dropped_last(_Atomic unsigned *references)
{
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

struct failover *failover_ref(struct failover *entry)
{
    atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    return entry;
}

void failover_unref(struct failover *entry)
{
    if (entry && dropped_last(&entry->references)) {
        free(entry->name);
        free(entry);
    }
}

struct failovers *failovers_ref(struct failovers *list)
{
    if (list) {
        atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed);
    }
    return list;
}

void failovers_unref(struct failovers *list)
{
    if (!list || !dropped_last(&list->references)) {
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        failover_unref(list->entries[i]);
    }
    free(list);
}

/* ---- the ring ---- */

static struct failover **ring_at(const struct failover_log *failover_log, size_t i)
{
    return &failover_log->ring[(failover_log->start + i) % failover_log->capacity];
}

struct failover *failover_log_add(struct failover_log *failover_log, const char *name)
{
    struct failover *entry = mem_new(1, sizeof(*entry));

    atomic_init(&entry->references, 1);
    entry->id = ++failover_log->last_id;
    entry->name = mem_strdup(name);
    entry->config_epoch = EPOCH_UNKNOWN;
    entry->unavailable_ms = -1;
    if (failover_log->n == failover_log->capacity) {
        failover_unref(*ring_at(failover_log, 0));
        failover_log->start = (failover_log->start + 1) % failover_log->capacity;
        failover_log->n--;
    }
    *ring_at(failover_log, failover_log->n++) = failover_ref(entry);
    failover_log->revision++;
    return entry;
}

/* Ids grow by one along the ring, so the place is known; an old entry may have left it. */
static struct failover **ring_find(const struct failover_log *failover_log,
                                   const struct failover *entry)
{
    uint64_t back = failover_log->last_id - entry->id;

    return back < failover_log->n ? ring_at(failover_log, failover_log->n - 1 - (size_t)back)
                                  : NULL;
}

struct failover **failover_log_last(const struct failover_log *failover_log, const char *name)
{
    for (size_t i = failover_log->n; i-- > 0;) {
        struct failover **place = ring_at(failover_log, i);

        if (strcmp((*place)->name, name) == 0) {
            return place;
        }
    }
    return NULL;
}

struct failover *failover_log_edit(struct failover_log *failover_log, struct failover **entry)
{
    struct failover **place = ring_find(failover_log, *entry);
    struct failover *copy = mem_new(1, sizeof(*copy));

    memcpy(copy, *entry, sizeof(*copy));
    atomic_init(&copy->references, 1);
    copy->name = mem_strdup((*entry)->name);
    if (place) {
        failover_unref(*place);
        *place = failover_ref(copy);
    }
    failover_unref(*entry);
    *entry = copy;
    failover_log->revision++;
    return copy;
}

struct failovers *failover_log_list(const struct failover_log *failover_log)
{
    struct failovers *list =
        mem_new(1, sizeof(*list) + failover_log->n * sizeof(struct failover *));

    atomic_init(&list->references, 1);
    list->n = failover_log->n;
    for (size_t i = 0; i < list->n; i++) {
        list->entries[i] = failover_ref(*ring_at(failover_log, failover_log->n - 1 - i));
    }
    return list;
}

uint64_t failover_log_revision(const struct failover_log *failover_log)
{
    return failover_log->revision;
}

void failover_log_ring_release(struct failover_log *failover_log)
{
    for (size_t i = 0; i < failover_log->n; i++) {
        failover_unref(*ring_at(failover_log, i));
    }
    free(failover_log->ring);
}

/* ---- what ended, what became known after it ---- */

void failover_log_queue(struct failover_queue *queue, struct failover *entry)
{
    queue->entries = mem_resize(queue->entries, queue->n + 1, sizeof(*queue->entries));
    queue->entries[queue->n++] = failover_ref(entry);
}

static struct failover *take(struct failover_queue *queue)
{
    if (queue->n == 0) {
        return NULL;
    }
    struct failover *first = queue->entries[0];
    queue->n--;
    memmove(queue->entries, queue->entries + 1, queue->n * sizeof(*queue->entries));
    return first;
}

void failover_log_queue_release(struct failover_queue *queue)
{
    for (size_t i = 0; i < queue->n; i++) {
        failover_unref(queue->entries[i]);
    }
    free(queue->entries);
}

struct failover *failover_log_take_ended(struct failover_log *failover_log)
{
    return take(&failover_log->ended);
}

struct failover *failover_log_take_resolved(struct failover_log *failover_log)
{
    return take(&failover_log->resolved);
}
