/*
 * The queue holds references to texts, each of which is freed with its last one. An end that comes
 * while the stream is not open yet is told once it is.
 */
#include "channel_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "http/render/channel_text.h"

#define QUEUE_BYTES_MAX ((size_t)1024 * 1024) /* beside one that is longer */

struct told {
    size_t references;
    struct buffer text;
};

static struct channel_stream *stream_of(struct subscriber *subscriber)
{
    return LIST_OWNER(&subscriber->link, struct channel_stream, subscriber.link);
}

/* ---- the queue ---- */

static struct told *told_new(void)
{
    struct told *told = budget_new(1, sizeof(*told));

    told->references = 1;
    return told;
}

static void told_unref(struct told *told)
{
    if (told && --told->references == 0) {
        buffer_release(&told->text);
        budget_free(told);
    }
}

/* What it takes, for whoever leaves it unread. */
static size_t weight(const struct told *told)
{
    return told->text.room + sizeof(*told);
}

static struct told **slot(const struct channel_stream *stream, size_t i)
{
    return &stream->queue[(stream->first + i) % stream->room];
}

static void grow(struct channel_stream *stream)
{
    size_t room = stream->room > 0 ? 2 * stream->room : 8;
    struct told **grown = budget_new(room, sizeof(struct told *));

    for (size_t i = 0; i < stream->n_told; i++) {
        grown[i] = *slot(stream, i);
    }
    budget_free(stream->queue);
    stream->queue = grown;
    stream->room = room;
    stream->first = 0;
}

static void drop_first(struct channel_stream *stream)
{
    struct told *told = *slot(stream, 0);

    stream->queued_bytes -= weight(told);
    stream->first = (stream->first + 1) % stream->room;
    stream->n_told--;
    stream->at = 0;
    told_unref(told);
}

static void drop_all(struct channel_stream *stream)
{
    while (stream->n_told > 0) {
        drop_first(stream);
    }
    budget_free(stream->queue);
    stream->queue = NULL;
    stream->room = 0;
}

static void overrun(struct channel_stream *stream)
{
    stream->is_overrun = true;
    drop_all(stream);
    if (stream->stage == CHANNEL_OPEN) {
        live_stream_cut(&stream->live);
    }
}

/* A new reference, unless its reader is too slow. */
static void tell(struct channel_stream *stream, struct told *told)
{
    if (stream->is_overrun) {
        return;
    }
    if (stream->n_told > 0 && stream->queued_bytes + weight(told) > QUEUE_BYTES_MAX) {
        overrun(stream);
        return;
    }
    if (stream->n_told == stream->room) {
        grow(stream);
    }
    told->references++;
    stream->n_told++;
    *slot(stream, stream->n_told - 1) = told;
    stream->queued_bytes += weight(told);
    if (stream->stage == CHANNEL_OPEN) {
        live_stream_call(&stream->live);
    }
}

/* ---- what the subscriber is told ---- */

static void confirmed(struct subscriber *subscriber)
{
    struct channel_stream *stream = stream_of(subscriber);
    struct told *told = told_new();

    for (size_t i = 0; i < subscriber->n; i++) {
        channel_text_confirmed(&told->text, subscriber->kind, subscriber_name(subscriber, i),
                               i + 1);
    }
    tell(stream, told);
    told_unref(told);
    stream->stage = CHANNEL_CONFIRMED;
    live_stream_call(&stream->live);
}

static void ended(struct subscriber *subscriber, enum subscriber_end why, const char *words)
{
    struct channel_stream *stream = stream_of(subscriber);
    struct told *told;

    if (stream->stage == CHANNEL_ASKING) {
        stream->stage = CHANNEL_REFUSED;
        stream->why = why;
        snprintf(stream->words, sizeof(stream->words), "%s", words);
        live_stream_call(&stream->live);
        return;
    }
    told = told_new();
    channel_text_ended(&told->text, words);
    tell(stream, told);
    told_unref(told);
    if (stream->stage == CHANNEL_OPEN) {
        live_stream_end(&stream->live);
    }
}

static void interrupted(struct subscriber *subscriber, int64_t since_ms)
{
    struct told *told = told_new();

    channel_text_interrupted(&told->text, since_ms);
    tell(stream_of(subscriber), told);
    told_unref(told);
}

static void resumed(struct subscriber *subscriber, int64_t from_ms, int64_t to_ms)
{
    struct told *told = told_new();

    channel_text_resumed(&told->text, from_ms, to_ms);
    tell(stream_of(subscriber), told);
    told_unref(told);
}

/*
 * The most its text may take: a byte that is no UTF-8 becomes three, within JSON six, and a buffer
 * that grows has room to spare.
 */
static size_t text_room(const struct channel_message *message)
{
    bool is_one_line = !memchr(message->payload, '\n', message->payload_size) &&
                       !memchr(message->payload, '\r', message->payload_size);

    return 4 * (message->pattern_size + message->channel_size) +
           (is_one_line ? 4 : 8) * message->payload_size;
}

/*
 * Where there is no memory for it those for whom it is are cut off: it must not be missing unseen.
 */
static void publish(const struct list *listening, const struct channel_message *message)
{
    struct told *told = budget_has(text_room(message)) ? told_new() : NULL;

    if (told) {
        channel_text_message(&told->text, message);
    }
    LIST_EACH(struct subscription, subscription, listening, link) {
        struct subscriber *subscriber = subscription->subscriber;

        if (subscriber->state == SUBSCRIBER_JOINING) {
            continue; /* it was not told yet that it listens */
        }
        if (told) {
            tell(stream_of(subscriber), told);
        } else if (!stream_of(subscriber)->is_overrun) {
            overrun(stream_of(subscriber));
        }
    }
    told_unref(told);
}

const struct subscriber_hooks channel_stream_hooks = {.confirmed = confirmed,
                                                      .ended = ended,
                                                      .interrupted = interrupted,
                                                      .resumed = resumed,
                                                      .message = publish};

/* ---- what is read of it ---- */

static size_t read_next(struct live_stream *live, char *to, size_t room)
{
    struct channel_stream *stream = (struct channel_stream *)live;
    const struct told *told;
    size_t n;

    if (stream->n_told == 0) {
        return 0;
    }
    told = *slot(stream, 0);
    n = live_copy(to, room, told->text.bytes, told->text.size, &stream->at);
    if (stream->at == told->text.size) {
        drop_first(stream);
    }
    return n;
}

static bool is_overrun(const struct live_stream *live)
{
    return ((const struct channel_stream *)live)->is_overrun;
}

/* ---- life ---- */

static void stream_free(struct live_stream *live)
{
    struct channel_stream *stream = (struct channel_stream *)live;

    pool_unsubscribe(&stream->subscriber);
    drop_all(stream);
    free(stream);
}

struct channel_stream *channel_stream_new(struct listener *listener,
                                          struct MHD_Connection *connection)
{
    struct channel_stream *stream = mem_new(1, sizeof(*stream));

    if (!suspend_enter(&stream->live.suspended, listener, connection, WAITING_SUBSCRIPTION)) {
        free(stream);
        return NULL;
    }
    return stream;
}

static const struct live_kind kind = {
    .read = read_next, .is_overrun = is_overrun, .free = stream_free};

static void end_for_tokens(struct live_stream *live)
{
    struct told *told = told_new();

    channel_text_ended(&told->text, "the tokens have changed; connect again");
    tell((struct channel_stream *)live, told);
    told_unref(told);
    live_stream_end(live);
}

void channel_streams_end_for_tokens(struct live_streams *streams)
{
    live_streams_each(streams, &kind, end_for_tokens);
}

struct MHD_Response *channel_stream_open(struct channel_stream *stream, bool tokens_changed)
{
    struct MHD_Response *response = live_stream_open(&stream->live, &kind);

    stream->stage = CHANNEL_OPEN;
    if (tokens_changed) {
        end_for_tokens(&stream->live);
    } else if (!stream->subscriber.all) {
        live_stream_end(&stream->live);
    }
    return response;
}

void channel_stream_free(struct channel_stream *stream)
{
    if (stream) {
        suspend_leave(&stream->live.suspended);
        stream_free(&stream->live);
    }
}
