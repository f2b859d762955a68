/*
 * One stream of /redis/subscribe or /redis/psubscribe: what its subscriber is told, as text in a
 * queue. What is published is rendered once, for all streams that it is for.
 *
 * A reader who reads is not cut off for a burst that comes faster than he can be written to: only
 * who has more than a mebibyte unread and takes nothing for five seconds, or has sixteen.
 */
#ifndef BELLWETHER_HTTP_ROUTES_CHANNEL_STREAM_H
#define BELLWETHER_HTTP_ROUTES_CHANNEL_STREAM_H

#include "bellwether/commands/subscriber.h"
#include "http/server/live_stream.h"

enum channel_stage {
    CHANNEL_ASKING,    /* whether the rules allow it, and then Redis */
    CHANNEL_CONFIRMED, /* by Redis: it may be opened */
    CHANNEL_REFUSED,   /* `why` and `words` say it */
    CHANNEL_OPEN,      /* its response's, which frees it */
};

struct told;

struct channel_stream {
    struct live_stream live;
    struct subscriber subscriber;
    enum channel_stage stage;
    const char *overrun; /* why it is cut off, static; NULL: it is not */
    unsigned tokens;     /* how often tokens had changed when it was asked for */
    struct told **queue;
    size_t first, n_told, room; /* of the queue, a ring */
    size_t at;                  /* in the first one */
    size_t queued_bytes;        /* of text, what is read of the first one included */
    int64_t took_ms;            /* boot clock: when some of it was read last, or there was none */
    enum subscriber_end why;
    char words[RESULT_ERROR_SIZE];
};

extern const struct subscriber_hooks channel_stream_hooks;

/** @return NULL: as many wait as may (option max-waiters). */
struct channel_stream *channel_stream_new(struct listener *listener,
                                          struct MHD_Connection *connection);
/**
 * The response of one that is confirmed. @param tokens_changed  since it was asked for: it is told
 * so, and ends.
 */
struct MHD_Response *channel_stream_open(struct channel_stream *stream, bool tokens_changed);
/** A token may have been taken back: those that are open are told so, and end. */
void channel_streams_end_for_tokens(struct live_streams *streams);
/** One that is not open. @param stream NULL: nothing is done. */
void channel_stream_free(struct channel_stream *stream);

#endif
