/*
 * The queue holds references to texts, each of which is freed with its last one. An end that comes
 * while the stream is not open yet is told once it is.
 */
#include "channel_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "http/render/channel_text.h"

/* Unread bytes beside one message that may be longer; with those messages themselves. */
#define STALLED_BYTES_MAX ((size_t)1024 * 1024)
/*
 * What a reader takes is seen in steps only: his kernel opens its window again when a good part of
 * it is free. On loopback that is some 100 KB, which take who reads 40 KB/s three seconds; neither
 * what may be written nor what is not acknowledged (SIOCOUTQ) moves meanwhile.
 */
#define STALLED_MS 5000
#define STALLED_WORDS "its reader has over 1 MiB unread and takes nothing for 5 s"
#define QUEUE_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define QUEUE_WORDS "its reader has over 16 MiB unread"
#define MEMORY_WORDS "there is no memory for what was published (option max-memory)"
#define SHOWN_NAMES 3     /* in the log */
#define MESSAGE_BYTES 128 /* what a message takes beside its text, or nearly so */

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

    stream->queued_bytes -= told->text.size;
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

static void cut(struct channel_stream *stream, const char *why)
{
    stream->overrun = why;
    drop_all(stream);
    if (stream->stage == CHANNEL_OPEN) {
        live_stream_cut(&stream->live);
    }
}

static size_t unread(const struct channel_stream *stream)
{
    return stream->queued_bytes - stream->at;
}

/* @return why its reader is too slow, static; NULL: he is not. */
static const char *why_too_slow(const struct channel_stream *stream)
{
    if (unread(stream) + stream->n_told * MESSAGE_BYTES > QUEUE_BYTES_MAX) {
        return QUEUE_WORDS;
    }
    return unread(stream) > STALLED_BYTES_MAX && clock_boot_ms() - stream->took_ms >= STALLED_MS
               ? STALLED_WORDS
               : NULL;
}

/* A new reference, unless its reader is too slow. */
static void tell(struct channel_stream *stream, struct told *told)
{
    const char *why = stream->overrun ? NULL : why_too_slow(stream);

    if (why) {
        cut(stream, why);
    }
    if (stream->overrun) {
        return;
    }
    if (stream->n_told == 0) {
        stream->took_ms = clock_boot_ms();
    }
    if (stream->n_told == stream->room) {
        grow(stream);
    }
    told->references++;
    stream->n_told++;
    *slot(stream, stream->n_told - 1) = told;
    stream->queued_bytes += told->text.size;
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

static void cut_all(const struct list *listening, size_t over)
{
    LIST_EACH(struct subscription, subscription, listening, link) {
        struct channel_stream *stream = stream_of(subscription->subscriber);

        if (unread(stream) >= over && !stream->overrun &&
            stream->subscriber.state != SUBSCRIBER_JOINING) {
            cut(stream, MEMORY_WORDS);
        }
    }
}

/*
 * Where there is no memory for it those are cut off for whom it is, who have much unread before the
 * others: it must not be missing unseen.
 */
static void publish(const struct list *listening, const struct channel_message *message)
{
    size_t room = text_room(message);
    struct told *told;

    if (!budget_has(room)) {
        cut_all(listening, STALLED_BYTES_MAX);
    }
    if (!budget_has(room)) {
        cut_all(listening, 0);
        return;
    }
    told = told_new();
    channel_text_message(&told->text, message);
    LIST_EACH(struct subscription, subscription, listening, link) {
        /* whoever joins was not told yet that it listens */
        if (subscription->subscriber->state != SUBSCRIBER_JOINING) {
            tell(stream_of(subscription->subscriber), told);
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
    stream->took_ms = clock_boot_ms();
    if (stream->at == told->text.size) {
        drop_first(stream);
    }
    return n;
}

static const char *overrun(const struct live_stream *live)
{
    return ((const struct channel_stream *)live)->overrun;
}

static void describe(const struct live_stream *live, struct buffer *out)
{
    const struct subscriber *subscriber = &((const struct channel_stream *)live)->subscriber;

    buffer_add_text(out, subscriber->kind == SUBSCRIBER_PATTERNS ? "psubscribe" : "subscribe");
    for (size_t i = 0; i < subscriber->n && i < SHOWN_NAMES && subscriber->all; i++) {
        buffer_add_text(out, " ");
        buffer_add_text(out, subscriber_name(subscriber, i));
    }
    if (subscriber->n > SHOWN_NAMES) {
        buffer_add_text(out, " and more");
    }
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
    .read = read_next, .overrun = overrun, .describe = describe, .free = stream_free};

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
