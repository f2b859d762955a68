/* A reader of /events: what has come so far, and waiting for more. */
#ifndef BELLWETHER_TESTS_SUPPORT_STREAM_H
#define BELLWETHER_TESTS_SUPPORT_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon.h"

struct stream_event {
    char *id, *event;
    json_t *data;
    int64_t came_ms;
};

struct stream {
    const char *path;
    struct raw *raw;
    struct stream_event *events;
    size_t n;
    bool ended;
};

/**
 * Open it and wait for its headers; fails the test unless they are those of a stream. Recorded when
 * it is closed.
 */
struct stream *stream_open(const struct daemon *daemon, const char *path,
                           const char *last_event_id);
/** Take in what comes, for so long or until the next event. @return whether one came. */
bool stream_read(struct stream *stream, int64_t bound_ms);
/**
 * Wait for an event of this kind whose data has `text` somewhere. Looks at those that came before,
 * too, from `*from` on, and leaves `*from` behind the one found.
 * @return it; fails the test at the bound.
 */
const struct stream_event *stream_wait(struct stream *stream, size_t *from, const char *kind,
                                       const char *text, int64_t bound_ms);
/** Whether it ends within the bound. */
bool stream_ends(struct stream *stream, int64_t bound_ms);
void stream_close(struct stream *stream);
/** Record the answer of a stream that was read, for the check against openapi.yaml. */
void stream_record(const char *path, const char *body);

#endif
