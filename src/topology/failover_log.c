/*
 * The timeline's entries: the ring, the list for snapshots, what ended. An entry that somebody else
 * may hold is never changed: a changed copy takes its place.
 */
#include "bellwether/topology/failover_log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "failover_log_internal.h"

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

static struct failover **ring_at(const struct timeline *timeline, size_t i)
{
    return &timeline->ring[(timeline->start + i) % timeline->capacity];
}

struct failover *timeline_add(struct timeline *timeline, const char *name)
{
    struct failover *entry = mem_new(1, sizeof(*entry));

    atomic_init(&entry->references, 1);
    entry->id = ++timeline->last_id;
    entry->name = mem_strdup(name);
    entry->config_epoch = EPOCH_UNKNOWN;
    entry->unavailable_ms = -1;
    if (timeline->n == timeline->capacity) {
        failover_unref(*ring_at(timeline, 0));
        timeline->start = (timeline->start + 1) % timeline->capacity;
        timeline->n--;
    }
    *ring_at(timeline, timeline->n++) = failover_ref(entry);
    timeline->revision++;
    return entry;
}

/* Ids grow by one along the ring, so the place is known; an old entry may have left it. */
static struct failover **ring_find(const struct timeline *timeline, const struct failover *entry)
{
    uint64_t back = timeline->last_id - entry->id;

    return back < timeline->n ? ring_at(timeline, timeline->n - 1 - (size_t)back) : NULL;
}

struct failover **timeline_last(const struct timeline *timeline, const char *name)
{
    for (size_t i = timeline->n; i-- > 0;) {
        struct failover **place = ring_at(timeline, i);

        if (strcmp((*place)->name, name) == 0) {
            return place;
        }
    }
    return NULL;
}

struct failover *timeline_edit(struct timeline *timeline, struct failover **entry)
{
    struct failover **place = ring_find(timeline, *entry);
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
    timeline->revision++;
    return copy;
}

struct failovers *timeline_list(const struct timeline *timeline)
{
    struct failovers *list = mem_new(1, sizeof(*list) + timeline->n * sizeof(struct failover *));

    atomic_init(&list->references, 1);
    list->n = timeline->n;
    for (size_t i = 0; i < list->n; i++) {
        list->entries[i] = failover_ref(*ring_at(timeline, timeline->n - 1 - i));
    }
    return list;
}

uint64_t timeline_revision(const struct timeline *timeline)
{
    return timeline->revision;
}

/* ---- what ended, what became known after it ---- */

void timeline_queue(struct failover_queue *queue, struct failover *entry)
{
    queue->entries = mem_resize(queue->entries, queue->n + 1, sizeof(*queue->entries));
    queue->entries[queue->n++] = failover_ref(entry);
}

static struct failover *take(struct failover_queue *queue)
{
    struct failover *first;

    if (queue->n == 0) {
        return NULL;
    }
    first = queue->entries[0];
    queue->n--;
    memmove(queue->entries, queue->entries + 1, queue->n * sizeof(*queue->entries));
    return first;
}

static void queue_release(struct failover_queue *queue)
{
    for (size_t i = 0; i < queue->n; i++) {
        failover_unref(queue->entries[i]);
    }
    free(queue->entries);
}

struct failover *timeline_take_ended(struct timeline *timeline)
{
    return take(&timeline->ended);
}

struct failover *timeline_take_resolved(struct timeline *timeline)
{
    return take(&timeline->resolved);
}

/* ---- the whole ---- */

struct timeline *timeline_new(size_t capacity)
{
    struct timeline *timeline = mem_new(1, sizeof(*timeline));

    timeline->capacity = capacity > 0 ? capacity : 1;
    timeline->ring = mem_new(timeline->capacity, sizeof(*timeline->ring));
    return timeline;
}

void timeline_free(struct timeline *timeline)
{
    struct timeline_master *track, *next;

    if (!timeline) {
        return;
    }
    for (track = timeline->tracks; track; track = next) {
        next = track->next;
        track_free(track);
    }
    for (size_t i = 0; i < timeline->n; i++) {
        failover_unref(*ring_at(timeline, i));
    }
    queue_release(&timeline->ended);
    queue_release(&timeline->resolved);
    free(timeline->ring);
    free(timeline->tellers);
    free(timeline);
}

struct timeline_master *timeline_watch(struct timeline *timeline, const char *name, size_t site)
{
    struct timeline_master *track = mem_new(1, sizeof(*track));

    track->name = mem_strdup(name);
    track->site = site;
    track->gap_ms = -1;
    track->next = timeline->tracks;
    timeline->tracks = track;
    return track;
}

void timeline_down_after(struct timeline_master *track, int64_t down_after_ms)
{
    track->down_after_ms = down_after_ms;
}

void timeline_forget(struct timeline *timeline, struct timeline_master *track,
                     struct timeline_time now)
{
    struct timeline_master **place = &timeline->tracks;

    track_drop_tail(timeline, track);
    if (track->entry) {
        track_cut(timeline, track, now);
    }
    while (*place != track) {
        place = &(*place)->next;
    }
    *place = track->next;
    track_free(track);
}

bool timeline_tick(struct timeline *timeline, struct timeline_time now)
{
    uint64_t before = timeline->revision;

    for (struct timeline_master *track = timeline->tracks; track && timeline->n_open > 0;
         track = track->next) {
        track_review(timeline, track, now);
    }
    return timeline->revision != before;
}

int64_t timeline_next_ms(const struct timeline *timeline)
{
    int64_t next = -1;

    for (const struct timeline_master *track = timeline->tracks; track && timeline->n_open > 0;
         track = track->next) {
        int64_t at = track_next_ms(track);

        next = at >= 0 && (next < 0 || at < next) ? at : next;
    }
    return next;
}
