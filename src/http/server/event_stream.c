/*
 * Streams hold a position in the worker's ring, the offset in the event that stands there, and,
 * while they begin, the snapshot that they begin with: its masters are rendered one at a time, as
 * the caller reads.
 */
#include "event_stream.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/list.h"
#include "bellwether/base/memory.h"
#include "event_ring.h"
#include "live_stream.h"
#include "routes.h"
#include "suspend.h"

#define RING_EVENTS 2048 /* and two a master, so that all may change at once */
#define CALLED_PER_MS 50 /* so many are told, or somewhat more */
#define REST_MAX_MS 200

struct stream {
    struct live_stream live;
    struct streams *all;
    struct list_link link;
    uint64_t position;
    size_t offset;            /* in the event at `position` */
    struct snapshot *present; /* a reference, while it begins */
    size_t present_at;        /* the next master of it */
    bool stalled;
    char master[]; /* "" all */
};

struct streams {
    struct worker *worker;
    struct ring *ring;
    struct list list;
    struct loop_timer *rest_timer;
    int64_t rests_until_ms; /* boot clock: until then Sentinels' events wait for each other */
    uint64_t told;          /* the ring's next number when streams were last called */
    size_t n_masters;       /* of the last snapshot */
    bool dirty, urgent;     /* `urgent`: a master changed */
};

/* ---- what a stream reads ---- */

static bool is_for(const struct stream *stream, const char *about)
{
    return !*stream->master || !about || strcmp(stream->master, about) == 0;
}

/*
 * The next master of the present; the last one carries the number from which to go on, those before
 * it none that could be replayed from: who loses the connection in between begins again.
 */
static void next_present(struct stream *stream)
{
    const char *instance = stream->all->worker->instance;
    struct snapshot *present = stream->present;
    const struct snapshot_master *master = NULL;
    bool more = false;
    size_t size;
    char *text;

    for (; stream->present_at < present->n_masters && !more; stream->present_at++) {
        const struct snapshot_master *candidate = present->masters[stream->present_at];

        if (!is_for(stream, candidate->name)) {
            continue;
        }
        if (master) {
            more = true;
            break;
        }
        master = candidate;
    }
    text = stream->all->worker->routes->event_master(instance, more ? 0 : stream->position - 1,
                                                     master, stream->stalled, &size);
    live_stream_set_piece(&stream->live, text, size);
    if (!more) {
        stream->present = NULL;
        snapshot_unref(present);
    }
}

static size_t read_ring(struct stream *stream, char *to, size_t room)
{
    const struct ring_entry *entry = ring_at(stream->all->ring, stream->position);
    size_t n = 0;

    if (is_for(stream, entry->about)) {
        n = live_copy(to, room, entry->text, entry->size, &stream->offset);
        if (stream->offset < entry->size) {
            return n;
        }
    }
    stream->position++;
    stream->offset = 0;
    return n;
}

/* What is not for it is passed over. */
static size_t read_next(struct live_stream *live, char *to, size_t room)
{
    struct stream *stream = (struct stream *)live;
    size_t n = 0;

    if (stream->present) {
        next_present(stream);
        return 0; /* it is a piece */
    }
    while (n == 0 && ring_at(stream->all->ring, stream->position)) {
        n = read_ring(stream, to, room);
    }
    return n;
}

static const char *overrun(const struct live_stream *live)
{
    const struct stream *stream = (const struct stream *)live;

    return stream->position < ring_first(stream->all->ring)
               ? "its reader has not taken an event that is no longer kept"
               : NULL;
}

static void describe(const struct live_stream *live, struct buffer *out)
{
    const struct stream *stream = (const struct stream *)live;

    buffer_add_text(out, *stream->master ? "/events of " : "/events");
    buffer_add_text(out, stream->master);
}

static void stream_free(struct live_stream *live)
{
    struct stream *stream = (struct stream *)live;

    list_remove(&stream->all->list, &stream->link);
    snapshot_unref(stream->present);
    free(stream);
}

static const struct live_kind kind = {
    .read = read_next, .overrun = overrun, .describe = describe, .free = stream_free};

/* ---- what is told ---- */

/* Whether the ring has something for it; else it moves on without waking. */
static bool has_news(struct stream *stream)
{
    const struct ring_entry *entry;

    if (stream->present || stream->live.piece || stream->offset) {
        return true;
    }
    while ((entry = ring_at(stream->all->ring, stream->position))) {
        if (is_for(stream, entry->about)) {
            return true;
        }
        stream->position++;
    }
    return false;
}

/*
 * A failover brings a burst of Sentinels' events. To thousands each would be as much work as the
 * new master, and in its way: after many were called, events wait until those have been served, and
 * leave together.
 */
static bool rests(struct streams *streams)
{
    int64_t left_ms = streams->urgent ? 0 : streams->rests_until_ms - clock_boot_ms();

    if (left_ms > 0 && !loop_timer_armed(streams->rest_timer)) {
        loop_timer_start(streams->rest_timer, left_ms);
    }
    return left_ms > 0;
}

/* The timer only brings a turn, and that does the work. */
static void end_rest(void *data)
{
    (void)data;
}

static void call_all(struct streams *streams)
{
    int64_t called = 0, rest_ms;

    streams->dirty = streams->urgent = false;
    streams->told = ring_next(streams->ring);
    LIST_EACH(struct stream, stream, &streams->list, link) {
        if (overrun(&stream->live)) {
            live_stream_cut(&stream->live);
        } else if (stream->live.suspended.state != SUSPENDED_AWAKE && has_news(stream)) {
            live_stream_call(&stream->live);
            called++;
        }
    }
    rest_ms = called / CALLED_PER_MS;
    streams->rests_until_ms = clock_boot_ms() + (rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS);
}

/*
 * Two times as many, and the masters of one snapshot, find room in the ring: whoever reads quickly
 * is not overrun while others are served.
 */
bool streams_are_behind(const struct streams *streams)
{
    return ring_next(streams->ring) - streams->told >=
           (ring_capacity(streams->ring) - streams->n_masters) / 2;
}

void streams_turn(struct streams *streams)
{
    if (streams_are_behind(streams)) {
        call_all(streams);
        suspend_flush(streams->worker);
    } else if (streams->dirty && !rests(streams)) {
        call_all(streams);
    }
}

static void add(struct streams *streams, const char *about, char *text, size_t size)
{
    ring_add(streams->ring, about, text, size);
    streams->dirty = true;
}

static size_t ring_wanted(const struct streams *streams)
{
    size_t configured = streams->worker->config->ring_events;

    return (configured ? configured : RING_EVENTS) + 2 * streams->n_masters;
}

void streams_hear_snapshot(struct streams *streams, const struct snapshot *before,
                           const struct snapshot *now)
{
    streams->n_masters = now->n_masters;
    ring_widen(streams->ring, ring_wanted(streams));
    for (size_t i = 0; i < now->n_masters; i++) {
        const struct snapshot_master *master = now->masters[i];
        /* most of them */
        bool same = before && i < before->n_masters && before->masters[i] == master;
        const struct snapshot_master *old =
            before && !same ? snapshot_find(before, master->name) : NULL;
        size_t size;
        char *text;

        if (same || (old && master->index <= old->index)) {
            continue;
        }
        text = streams->worker->routes->event_master(
            streams->worker->instance, ring_next(streams->ring), master, false, &size);
        streams->urgent = true;
        add(streams, master->name, text, size);
    }
}

void streams_hear_event(struct streams *streams, const struct message_event *message)
{
    size_t size;
    char *text = streams->worker->routes->event_sentinel(streams->worker->instance,
                                                         ring_next(streams->ring), message, &size);

    add(streams, *message->master ? message->master : NULL, text, size);
}

/* ---- life ---- */

struct streams *streams_new(struct worker *worker)
{
    struct streams *streams = mem_new(1, sizeof(*streams));

    streams->worker = worker;
    streams->ring = ring_new(ring_wanted(streams));
    streams->told = ring_next(streams->ring);
    streams->rest_timer = loop_timer_new(worker->loop, end_rest, streams);
    return streams;
}

void streams_free(struct streams *streams)
{
    loop_timer_free(streams->rest_timer);
    ring_free(streams->ring);
    free(streams);
}

/*
 * Where the caller's Last-Event-ID leads: behind it while the ring still holds what came since.
 * @return 0: nowhere.
 */
static uint64_t position_after(const struct streams *streams, const char *last_id)
{
    uint64_t number;

    if (!last_id ||
        streams->worker->routes->event_number(streams->worker->instance, last_id, &number)) {
        return 0;
    }
    return number + 1 >= ring_first(streams->ring) && number < ring_next(streams->ring) &&
                   number > 0
               ? number + 1
               : 0;
}

struct MHD_Response *streams_open(struct streams *streams, struct listener *listener,
                                  struct MHD_Connection *connection, const char *master,
                                  const char *last_id, struct snapshot *present, bool stalled)
{
    size_t name_size = strlen(master) + 1;
    struct stream *stream = mem_new(1, sizeof(*stream) + name_size);

    if (!suspend_enter(&stream->live.suspended, listener, connection, WAITING_STREAM)) {
        free(stream);
        return NULL;
    }
    memcpy(stream->master, master, name_size);
    stream->all = streams;
    stream->position = position_after(streams, last_id);
    if (stream->position == 0) {
        stream->position = ring_next(streams->ring);
        stream->present = snapshot_ref(present);
        stream->stalled = stalled;
    }
    list_append(&streams->list, &stream->link);
    return live_stream_open(&stream->live, &kind);
}
