/* Streams over a plain HTTP/1.0 connection, which has no chunks to take apart. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "scene.h"

enum { MOST_EVENTS = 4096 };

static void drop_json(void *value)
{
    json_decref(value);
}

struct stream *stream_open(const struct daemon *daemon, const char *path, const char *last_event_id)
{
    struct stream *stream = scene_alloc(sizeof(*stream));
    const char *request =
        text("GET %s HTTP/1.0\r\nHost: test\r\nAccept: text/event-stream\r\n%s%s%s\r\n", path,
             last_event_id ? "Last-Event-ID: " : "", last_event_id ? last_event_id : "",
             last_event_id ? "\r\n" : "");

    stream->path = path;
    stream->events = scene_alloc(MOST_EVENTS * sizeof(*stream->events));
    stream->raw = raw_open(daemon->port);
    cr_assert(stream->raw && raw_send(stream->raw, request, strlen(request)));
    const char *head = raw_upto(stream->raw, "\r\n\r\n", patient(5000));
    cr_assert(head && strncmp(head, "HTTP/1.", 7) == 0 && strncmp(head + 8, " 200 ", 5) == 0,
              "%s: %s", path, !head ? "no answer" : head);
    cr_assert(strstr(head, "text/event-stream"), "%s", head);
    return stream;
}

/* The value of a line `name: value` in a block. */
static char *field(const char *block, const char *name)
{
    const char *at = block;

    for (const size_t length = strlen(name); at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, length) == 0 && strncmp(at + length, ": ", 2) == 0) {
            return text("%.*s", (int)strcspn(at + length + 2, "\n"), at + length + 2);
        }
    }
    return NULL;
}

static void take(struct stream *stream, const char *block)
{
    struct stream_event *event = &stream->events[stream->n];
    const char *data = field(block, "data");

    if (!data) {
        return;
    }
    cr_assert(stream->n < MOST_EVENTS, "more events than a test can take");
    event->id = field(block, "id");
    event->event = field(block, "event");
    event->data = json_loads(data, 0, NULL);
    event->came_ms = now_ms();
    cr_assert(event->id && event->event && event->data, "no event: %s", block);
    (void)scene_keep(event->data, drop_json);
    stream->n++;
}

bool stream_read(struct stream *stream, int64_t bound_ms)
{
    const size_t before = stream->n;
    const int64_t end = now_ms() + bound_ms;

    while (stream->n == before && !stream->ended) {
        const int64_t left = end - now_ms();
        const char *block = raw_upto(stream->raw, "\n\n", left > 0 ? left : 0);

        if (block) {
            take(stream, block);
        } else if (raw_ended(stream->raw)) {
            stream->ended = true;
        } else if (left <= 0) {
            break;
        }
    }
    return stream->n > before;
}

/* All that came, as a failure shows it. */
static const char *said(const struct stream *stream)
{
    const char *all = "";

    for (size_t i = 0; i < stream->n; i++) {
        char *data = json_dumps(stream->events[i].data, JSON_COMPACT);

        all = text("%s\n%s %s %s", all, stream->events[i].id, stream->events[i].event, data);
        free(data);
    }
    return all;
}

const struct stream_event *stream_wait(struct stream *stream, size_t *from, const char *kind,
                                       const char *part, int64_t bound_ms)
{
    const int64_t end = wait_ends_ms(bound_ms);

    for (size_t i = *from;; i++) {
        while (i >= stream->n && !stream->ended && now_ms() < end) {
            (void)stream_read(stream, end - now_ms());
        }
        cr_assert(i < stream->n,
                  "no event %s with %s within %lld ms (%s) behind the first %zu of%s", kind, part,
                  (long long)bound_ms, stream->ended ? "ended" : "open", *from, said(stream));
        char *data = json_dumps(stream->events[i].data, JSON_COMPACT);
        const bool fits = strcmp(stream->events[i].event, kind) == 0 && strstr(data, part);
        free(data);
        if (fits) {
            *from = i + 1;
            return &stream->events[i];
        }
    }
}

bool stream_ends(struct stream *stream, int64_t bound_ms)
{
    const int64_t end = now_ms() + patient(bound_ms);

    while (!stream->ended && now_ms() < end) {
        (void)stream_read(stream, end - now_ms());
    }
    return stream->ended;
}

void stream_record(const char *path, const char *body)
{
    json_t *headers = json_pack("{s:s, s:s, s:s}", "content-type", "text/event-stream",
                                "cache-control", "no-store", "x-content-type-options", "nosniff");

    scene_record("GET", path, 200, headers, body, strlen(body), false);
    json_decref(headers);
}

void stream_close(struct stream *stream)
{
    char *body = text("%s", "");

    for (size_t i = 0; i < stream->n; i++) {
        char *data = json_dumps(stream->events[i].data, JSON_COMPACT);

        body = text("%sid: %s\nevent: %s\ndata: %s\n\n", body, stream->events[i].id,
                    stream->events[i].event, data);
        free(data);
    }
    stream_record(stream->path, body);
    raw_close(stream->raw);
}
