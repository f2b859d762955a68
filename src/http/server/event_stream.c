/*
 * Streams hold a position in the worker's ring, the offset in the event that stands there, and,
 * while they begin, the snapshot that they begin with: its masters are rendered one at a time, as
 * the caller reads.
 *
 * The list of streams is in the order of their last sign of life, so the heartbeat looks at its
 * head only.
 */
#include "event_stream.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/list.h"
#include "bellwether/base/memory.h"
#include "event_ring.h"
#include "response.h"
#include "routes.h"
#include "suspend.h"

#define RING_EVENTS 2048 /* and two a master, so that all may change at once */
#define HEARTBEAT_MS 15000
#define BEAT_TOGETHER_MS 500
#define ANSWER_MS 1000   /* after a beat, who has left has answered it with a reset */
#define CALLED_PER_MS 50 /* so many are told, or somewhat more */
#define REST_MAX_MS 200
#define SEND_BUFFER_BYTES \
    32768 /* the kernel doubles it; a slow reader must not hold megabytes there */
#define BLOCK_BYTES \
    256 /* what MHD reads at once for HTTP/1.0, which has no chunks; each stream has one */
#define PREAMBLE "retry: 1000\n\n" /* a stream that broke off is opened again after a second */
#define BEAT ": still here\n\n"

enum stream_state {
    STREAM_OPEN,
    STREAM_ENDING, /* ends after what is in the ring */
    STREAM_CUT,    /* the ring ran past it */
};

struct stream {
    struct suspended suspended;
    struct streams *all;
    struct list_link link; /* by `alive_ms` */
    int64_t alive_ms;      /* boot clock: when it last wrote, or was to */
    uint64_t position;
    size_t offset;            /* in the event at `position` */
    struct snapshot *present; /* a reference, while it begins */
    size_t present_at;        /* the next master of it */
    bool stalled;
    char *piece; /* owned: what is written before anything else */
    size_t piece_size, piece_at;
    int fd;
    bool beat;
    enum stream_state state;
    char master[]; /* "" all */
};

struct streams {
    struct worker *worker;
    struct ring *ring;
    struct list list;
    struct loop_timer *beat_timer;
    struct loop_timer *left_timer;
    struct loop_timer *rest_timer;
    int64_t rests_until_ms; /* boot clock: until then Sentinels' events wait for each other */
    uint64_t told;          /* the ring's next number when streams were last called */
    size_t n_masters;       /* of the last snapshot */
    bool dirty, urgent;     /* `urgent`: a master changed */
};

/* ---- the list ---- */

static struct stream *first(const struct streams *streams)
{
    return LIST_OWNER(streams->list.first, struct stream, link);
}

static void show_life(struct stream *stream)
{
    stream->alive_ms = clock_boot_ms();
    list_remove(&stream->all->list, &stream->link);
    list_append(&stream->all->list, &stream->link);
}

static int64_t heartbeat_ms(const struct streams *streams)
{
    int64_t configured_ms = streams->worker->config->heartbeat_ms;

    return configured_ms ? configured_ms : HEARTBEAT_MS;
}

static void arm(struct streams *streams)
{
    if (streams->list.first) {
        loop_timer_start(streams->beat_timer,
                         first(streams)->alive_ms + heartbeat_ms(streams) - clock_boot_ms());
    } else {
        loop_timer_stop(streams->beat_timer);
    }
}

/*
 * One that does not sleep is writing already; libmicrohttpd's time-out sees whether it gets
 * anywhere.
 */
static void beat(void *data)
{
    struct streams *streams = data;
    int64_t due_ms = clock_boot_ms() - heartbeat_ms(streams) + BEAT_TOGETHER_MS;
    struct stream *last = LIST_OWNER(streams->list.last, struct stream, link), *stream;

    do {
        stream = first(streams);
        if (!stream || stream->alive_ms > due_ms) {
            break;
        }
        stream->beat = stream->suspended.state == SUSPENDED_ASLEEP;
        suspended_call(&stream->suspended);
        show_life(stream);
    } while (stream != last);
    if (!loop_timer_armed(streams->left_timer)) {
        loop_timer_start(streams->left_timer, ANSWER_MS);
    }
    arm(streams);
}

/* ---- what a stream reads ---- */

static bool is_for(const struct stream *stream, const char *about)
{
    return !*stream->master || !about || strcmp(stream->master, about) == 0;
}

static void set_piece(struct stream *stream, char *text, size_t size)
{
    free(stream->piece);
    stream->piece = text;
    stream->piece_size = size;
    stream->piece_at = 0;
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
    set_piece(stream, text, size);
    if (!more) {
        stream->present = NULL;
        snapshot_unref(present);
    }
}

static size_t copy(char *to, size_t room, const char *from, size_t size, size_t *at)
{
    size_t n = size - *at < room ? size - *at : room;

    memcpy(to, from + *at, n);
    *at += n;
    return n;
}

static size_t read_piece(struct stream *stream, char *to, size_t room)
{
    size_t n = copy(to, room, stream->piece, stream->piece_size, &stream->piece_at);

    if (stream->piece_at == stream->piece_size) {
        set_piece(stream, NULL, 0);
    }
    return n;
}

static size_t read_ring(struct stream *stream, char *to, size_t room)
{
    const struct ring_entry *entry = ring_at(stream->all->ring, stream->position);
    size_t n = 0;

    if (is_for(stream, entry->about)) {
        n = copy(to, room, entry->text, entry->size, &stream->offset);
        if (stream->offset < entry->size) {
            return n;
        }
    }
    stream->position++;
    stream->offset = 0;
    return n;
}

static bool overrun(const struct stream *stream)
{
    return stream->position < ring_first(stream->all->ring);
}

/* The state changes nowhere else, and onward only. */
static void move(struct stream *stream, enum stream_state state)
{
    if (state > stream->state) {
        stream->state = state;
        metric_add(&stream->all->worker->counts->streams_cut, state == STREAM_CUT);
    }
}

/* libmicrohttpd does not watch those that sleep: it finds out when it writes. */
static void look_for_left(void *data)
{
    struct streams *streams = data;
    struct pollfd *polls;
    size_t n = 0, i = 0;

    LIST_EACH(struct stream, stream, &streams->list, link) {
        n += stream->suspended.state == SUSPENDED_ASLEEP;
    }
    polls = mem_new(n + 1, sizeof(*polls));
    LIST_EACH(struct stream, stream, &streams->list, link) {
        if (stream->suspended.state == SUSPENDED_ASLEEP) {
            polls[i++].fd = stream->fd; /* asked for nothing: resets and hang-ups are told */
        }
    }
    if (poll(polls, (nfds_t)n, 0) > 0) {
        i = 0;
        LIST_EACH(struct stream, stream, &streams->list, link) {
            if (stream->suspended.state == SUSPENDED_ASLEEP && polls[i++].revents != 0) {
                move(stream, STREAM_ENDING);
                suspended_call(&stream->suspended);
            }
        }
    }
    free(polls);
}

/* A beat comes between events, never inside one. */
static size_t fill(struct stream *stream, char *to, size_t room)
{
    size_t used = 0;

    while (used < room) {
        if (stream->piece) {
            used += read_piece(stream, to + used, room - used);
        } else if (stream->present) {
            next_present(stream);
        } else if (ring_at(stream->all->ring, stream->position)) {
            used += read_ring(stream, to + used, room - used);
        } else if (stream->beat && used == 0) {
            set_piece(stream, mem_strdup(BEAT), sizeof(BEAT) - 1);
            stream->beat = false;
        } else {
            break;
        }
    }
    return used;
}

static ssize_t read_stream(void *data, uint64_t at, char *to, size_t room)
{
    struct stream *stream = data;
    size_t used;

    (void)at;
    if (stream->state == STREAM_CUT || overrun(stream)) {
        move(stream, STREAM_CUT);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    used = fill(stream, to, room);
    if (used) {
        stream->beat = false;
        show_life(stream);
        return (ssize_t)used;
    }
    if (stream->state == STREAM_ENDING) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    suspended_sleep(&stream->suspended);
    return 0;
}

/* The connection is done with the response, whatever the reason. */
static void stream_free(void *data)
{
    struct stream *stream = data;

    list_remove(&stream->all->list, &stream->link);
    suspend_leave(&stream->suspended);
    snapshot_unref(stream->present);
    free(stream->piece);
    free(stream);
}

/* ---- what is told ---- */

/* Whether the ring has something for it; else it moves on without waking. */
static bool has_news(struct stream *stream)
{
    const struct ring_entry *entry;

    if (stream->present || stream->piece || stream->offset) {
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
        if (stream->suspended.state == SUSPENDED_AWAKE) {
            if (overrun(stream) && stream->state != STREAM_CUT) {
                move(stream, STREAM_CUT);
                shutdown(stream->fd, SHUT_RDWR); /* libmicrohttpd finds out by itself */
            }
        } else if (overrun(stream) || has_news(stream)) {
            suspended_call(&stream->suspended);
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

void streams_end_all(struct streams *streams)
{
    LIST_EACH(struct stream, stream, &streams->list, link) {
        move(stream, STREAM_ENDING);
        suspended_call(&stream->suspended);
    }
}

/* ---- life ---- */

struct streams *streams_new(struct worker *worker)
{
    struct streams *streams = mem_new(1, sizeof(*streams));

    streams->worker = worker;
    streams->ring = ring_new(ring_wanted(streams));
    streams->told = ring_next(streams->ring);
    streams->beat_timer = loop_timer_new(worker->loop, beat, streams);
    streams->left_timer = loop_timer_new(worker->loop, look_for_left, streams);
    streams->rest_timer = loop_timer_new(worker->loop, end_rest, streams);
    return streams;
}

void streams_free(struct streams *streams)
{
    loop_timer_free(streams->beat_timer);
    loop_timer_free(streams->left_timer);
    loop_timer_free(streams->rest_timer);
    ring_free(streams->ring);
    free(streams);
}

static void dress(struct MHD_Response *response)
{
    static const char *const headers[][2] = {
        {"Content-Type", CONTENT_EVENTS},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Accel-Buffering", "no"}, /* for a proxy of nginx' kind */
        {"Connection", "close"},     /* a stream's end is its connection's */
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
}

static struct MHD_Response *respond(MHD_ContentReaderCallback read, void *data,
                                    MHD_ContentReaderFreeCallback drop)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read, data, drop);

    if (!response) {
        mem_exhausted();
    }
    dress(response);
    return response;
}

/* libmicrohttpd asks nothing of it for HEAD, but wants to know it. */
static ssize_t read_nothing(void *data, uint64_t at, char *to, size_t room)
{
    (void)data;
    (void)at;
    memset(to, 0, room);
    return MHD_CONTENT_READER_END_OF_STREAM;
}

struct MHD_Response *streams_show_head(void)
{
    return respond(read_nothing, NULL, NULL);
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

static void bound_send_buffer(const struct stream *stream)
{
    int bytes = SEND_BUFFER_BYTES;

    (void)setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

struct MHD_Response *streams_open(struct streams *streams, struct listener *listener,
                                  struct MHD_Connection *connection, const char *master,
                                  const char *last_id, struct snapshot *present, bool stalled)
{
    size_t name_size = strlen(master) + 1;
    struct stream *stream = mem_new(1, sizeof(*stream) + name_size);

    if (!suspend_enter(&stream->suspended, listener, connection, WAITING_STREAM)) {
        free(stream);
        return NULL;
    }
    memcpy(stream->master, master, name_size);
    stream->all = streams;
    stream->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    move(stream, streams->worker->stopping ? STREAM_ENDING : STREAM_OPEN);
    stream->position = position_after(streams, last_id);
    if (stream->position == 0) {
        stream->position = ring_next(streams->ring);
        stream->present = snapshot_ref(present);
        stream->stalled = stalled;
    }
    set_piece(stream, mem_strdup(PREAMBLE), sizeof(PREAMBLE) - 1);
    bound_send_buffer(stream);
    stream->alive_ms = clock_boot_ms();
    list_append(&streams->list, &stream->link);
    if (!loop_timer_armed(streams->beat_timer)) {
        arm(streams);
    }
    return respond(read_stream, stream, stream_free);
}
