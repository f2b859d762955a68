/*
 * Answers that go on: a stream sleeps until its owner has something for it, writes what its reader
 * takes, and sleeps again. Here is what all kinds have in common: their place among the waiting,
 * the heartbeat, finding out who has left, being cut off and ended.
 *
 * A kind says what is written, and when a stream is too far behind: a reader who is too slow is not
 * waited for.
 */
#ifndef BELLWETHER_HTTP_SERVER_LIVE_STREAM_H
#define BELLWETHER_HTTP_SERVER_LIVE_STREAM_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/buffer.h"
#include "suspend.h"

struct live_streams;
struct live_stream;

enum live_state {
    LIVE_OPEN,
    LIVE_ENDING, /* ends after what there is */
    LIVE_CUT,    /* its reader is too slow */
};

struct live_kind {
    /* Copy what is to be written next, at most `room` bytes. @return 0: nothing is, for now. */
    size_t (*read)(struct live_stream *stream, char *to, size_t room);
    /* @return why there is no way to go on where it stands, static; NULL: there is one. */
    const char *(*overrun)(const struct live_stream *stream);
    /* Append what it is a stream of, for the log. */
    void (*describe)(const struct live_stream *stream, struct buffer *out);
    /* Free what it stands in; the connection is done with it. */
    void (*free)(struct live_stream *stream);
};

/* The first member of a kind's own struct, zeroed. */
struct live_stream {
    struct suspended suspended;
    struct live_streams *all;
    const struct live_kind *kind;
    struct list_link link; /* by `alive_ms` */
    int64_t alive_ms;      /* boot clock: when it last wrote, or was to */
    char *piece;           /* owned: what is written before anything else */
    size_t piece_size, piece_at;
    int fd;
    bool beat;
    enum live_state state;
};

struct live_streams *live_streams_new(struct worker *worker);
/** No stream may be left. */
void live_streams_free(struct live_streams *streams);
/** All end after what there is. */
void live_streams_end_all(struct live_streams *streams);
/** Each that is of this kind; none may go meanwhile. */
void live_streams_each(struct live_streams *streams, const struct live_kind *kind,
                       void (*visit)(struct live_stream *stream));

/**
 * Begin, with a place among the waiting (suspend_enter()).
 * @return the response, whose owner lets go with MHD_destroy_response(); the stream is freed with
 * it.
 */
struct MHD_Response *live_stream_open(struct live_stream *stream, const struct live_kind *kind);
/** The same headers without a body, for HEAD. */
struct MHD_Response *live_stream_show_head(void);

/** There may be something to read. */
void live_stream_call(struct live_stream *stream);
/** It ends after what there is. */
void live_stream_end(struct live_stream *stream);
/** Its kind says why it can't go on: it ends now, as a broken connection. */
void live_stream_cut(struct live_stream *stream);

/** Write this before anything else. @param text taken, from malloc(). */
void live_stream_set_piece(struct live_stream *stream, char *text, size_t size);

/** Copy what fits of `size` bytes from `*at` on. @return how many; `*at` moves on. */
size_t live_copy(char *to, size_t room, const char *from, size_t size, size_t *at);

#endif
