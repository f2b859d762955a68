/*
 * The list of streams is in the order of their last sign of life, so the heartbeat looks at its
 * head only.
 */
#include "live_stream.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/list.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "response.h"
#include "worker.h"

#define HEARTBEAT_MS 15000
#define BEAT_TOGETHER_MS 500
#define SAY_EVERY_MS 60000
#define SEND_BUFFER_BYTES \
    32768 /* the kernel doubles it; a slow reader must not hold megabytes there */
#define BLOCK_BYTES \
    256 /* what MHD reads at once for HTTP/1.0, which has no chunks; each stream has one */
#define PREAMBLE "retry: 1000\n\n" /* a stream that broke off is opened again after a second */
#define BEAT ": still here\n\n"

struct live_streams {
    struct worker *worker;
    struct list list;
    struct loop_timer *beat_timer;
    struct loop_timer *look_timer;
};

/* ---- the list ---- */

static struct live_stream *first(const struct live_streams *streams)
{
    return LIST_OWNER(streams->list.first, struct live_stream, link);
}

static void show_life(struct live_stream *stream)
{
    stream->alive_ms = clock_boot_ms();
    list_remove(&stream->all->list, &stream->link);
    list_append(&stream->all->list, &stream->link);
}

static int64_t heartbeat_ms(const struct live_streams *streams)
{
    int64_t configured_ms = streams->worker->config->heartbeat_ms;

    return configured_ms ? configured_ms : HEARTBEAT_MS;
}

static void arm(struct live_streams *streams)
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
    struct live_streams *streams = data;
    int64_t due_ms = clock_boot_ms() - heartbeat_ms(streams) + BEAT_TOGETHER_MS;
    struct live_stream *last = LIST_OWNER(streams->list.last, struct live_stream, link), *stream;

    do {
        stream = first(streams);
        if (!stream || stream->alive_ms > due_ms) {
            break;
        }
        stream->beat = stream->suspended.state == SUSPENDED_ASLEEP;
        suspended_call(&stream->suspended);
        show_life(stream);
    } while (stream != last);
    arm(streams);
}

/* ---- the state ---- */

/* All workers say it together, once in a while. */
static void say_cut(const struct live_stream *stream)
{
    static _Atomic int64_t said_ms;
    static _Atomic uint64_t unsaid;
    int64_t now_ms = clock_boot_ms(), before_ms = atomic_load(&said_ms);
    struct buffer text = {0};
    char *what;

    atomic_fetch_add(&unsaid, 1);
    if ((before_ms && now_ms - before_ms < SAY_EVERY_MS) ||
        !atomic_compare_exchange_strong(&said_ms, &before_ms, now_ms)) {
        return;
    }
    stream->kind->describe(stream, &text);
    what = buffer_take_text(&text, NULL);
    log_warn("a stream is cut off", LOG_STR("stream", what),
             LOG_STR("because", stream->kind->overrun(stream)),
             LOG_INT("streams", (int64_t)atomic_exchange(&unsaid, 0)));
    free(what);
}

/* The state changes nowhere else, and onward only. */
static void move(struct live_stream *stream, enum live_state state)
{
    if (state > stream->state) {
        stream->state = state;
        if (state == LIVE_CUT) {
            metric_add(&stream->all->worker->counts->streams_cut, 1);
            say_cut(stream);
        }
    }
}

void live_stream_call(struct live_stream *stream)
{
    suspended_call(&stream->suspended);
}

void live_stream_end(struct live_stream *stream)
{
    move(stream, LIVE_ENDING);
    suspended_call(&stream->suspended);
}

void live_stream_cut(struct live_stream *stream)
{
    if (stream->state == LIVE_CUT) {
        return;
    }
    move(stream, LIVE_CUT);
    if (stream->suspended.state == SUSPENDED_AWAKE) {
        shutdown(stream->fd, SHUT_RDWR); /* libmicrohttpd finds out by itself */
    } else {
        suspended_call(&stream->suspended);
    }
}

static void start_looking(struct live_streams *streams)
{
    if (streams->list.first && !loop_timer_armed(streams->look_timer)) {
        loop_timer_start(streams->look_timer, LOOK_AFTER_MS);
    }
}

/* libmicrohttpd does not watch those that sleep: it would find out when it writes. */
static void look_after(void *data)
{
    struct live_streams *streams = data;
    struct pollfd *polls;
    size_t n = 0, i = 0;

    LIST_EACH(struct live_stream, stream, &streams->list, link) {
        n += stream->suspended.state == SUSPENDED_ASLEEP;
    }
    polls = mem_new(n + 1, sizeof(*polls));
    LIST_EACH(struct live_stream, stream, &streams->list, link) {
        if (stream->suspended.state == SUSPENDED_ASLEEP) {
            polls[i++] = (struct pollfd){.fd = stream->fd, .events = POLLRDHUP};
        }
    }
    if (poll(polls, (nfds_t)n, 0) > 0) {
        i = 0;
        LIST_EACH(struct live_stream, stream, &streams->list, link) {
            if (stream->suspended.state == SUSPENDED_ASLEEP && polls[i++].revents != 0) {
                live_stream_end(stream);
            }
        }
    }
    free(polls);
    start_looking(streams);
}

void live_streams_end_all(struct live_streams *streams)
{
    LIST_EACH(struct live_stream, stream, &streams->list, link) {
        live_stream_end(stream);
    }
}

void live_streams_each(struct live_streams *streams, const struct live_kind *kind,
                       void (*visit)(struct live_stream *stream))
{
    LIST_EACH(struct live_stream, stream, &streams->list, link) {
        if (stream->kind == kind) {
            visit(stream);
        }
    }
}

/* ---- what a stream reads ---- */

void live_stream_set_piece(struct live_stream *stream, char *text, size_t size)
{
    free(stream->piece);
    stream->piece = text;
    stream->piece_size = size;
    stream->piece_at = 0;
}

size_t live_copy(char *to, size_t room, const char *from, size_t size, size_t *at)
{
    size_t n = size - *at < room ? size - *at : room;

    memcpy(to, from + *at, n);
    *at += n;
    return n;
}

static size_t read_piece(struct live_stream *stream, char *to, size_t room)
{
    size_t n = live_copy(to, room, stream->piece, stream->piece_size, &stream->piece_at);

    if (stream->piece_at == stream->piece_size) {
        live_stream_set_piece(stream, NULL, 0);
    }
    return n;
}

/* A beat comes between events, never inside one. */
static size_t fill(struct live_stream *stream, char *to, size_t room)
{
    size_t used = 0, n;

    while (used < room) {
        if (stream->piece) {
            n = read_piece(stream, to + used, room - used);
        } else {
            n = stream->kind->read(stream, to + used, room - used);
        }
        used += n;
        if (n > 0 || stream->piece) {
            continue;
        }
        if (!stream->beat || used > 0) {
            break;
        }
        live_stream_set_piece(stream, mem_strdup(BEAT), sizeof(BEAT) - 1);
        stream->beat = false;
    }
    return used;
}

static ssize_t read_stream(void *data, uint64_t at, char *to, size_t room)
{
    struct live_stream *stream = data;
    size_t used;

    (void)at;
    if (stream->state == LIVE_CUT || stream->kind->overrun(stream)) {
        move(stream, LIVE_CUT);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    used = fill(stream, to, room);
    if (used) {
        stream->beat = false;
        show_life(stream);
        return (ssize_t)used;
    }
    if (stream->state == LIVE_ENDING) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    suspended_sleep(&stream->suspended);
    return 0;
}

/* The connection is done with the response, whatever the reason. */
static void stream_free(void *data)
{
    struct live_stream *stream = data;

    list_remove(&stream->all->list, &stream->link);
    suspend_leave(&stream->suspended);
    free(stream->piece);
    stream->kind->free(stream);
}

/* ---- beginning ---- */

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

struct MHD_Response *live_stream_show_head(void)
{
    return respond(read_nothing, NULL, NULL);
}

static void bound_send_buffer(const struct live_stream *stream)
{
    int bytes = SEND_BUFFER_BYTES;

    (void)setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

struct MHD_Response *live_stream_open(struct live_stream *stream, const struct live_kind *kind)
{
    struct worker *worker = stream->suspended.listener->worker;
    struct live_streams *streams = worker->live_streams;

    stream->all = streams;
    stream->kind = kind;
    stream->fd =
        MHD_get_connection_info(stream->suspended.connection, MHD_CONNECTION_INFO_CONNECTION_FD)
            ->connect_fd;
    move(stream, worker->stopping ? LIVE_ENDING : LIVE_OPEN);
    live_stream_set_piece(stream, mem_strdup(PREAMBLE), sizeof(PREAMBLE) - 1);
    bound_send_buffer(stream);
    stream->alive_ms = clock_boot_ms();
    list_append(&streams->list, &stream->link);
    if (!loop_timer_armed(streams->beat_timer)) {
        arm(streams);
    }
    start_looking(streams);
    return respond(read_stream, stream, stream_free);
}

struct live_streams *live_streams_new(struct worker *worker)
{
    struct live_streams *streams = mem_new(1, sizeof(*streams));

    streams->worker = worker;
    streams->beat_timer = loop_timer_new(worker->loop, beat, streams);
    streams->look_timer = loop_timer_new(worker->loop, look_after, streams);
    return streams;
}

void live_streams_free(struct live_streams *streams)
{
    loop_timer_free(streams->beat_timer);
    loop_timer_free(streams->look_timer);
    free(streams);
}
