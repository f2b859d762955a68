/* Streams of channels over HTTP/1.0, which has no chunks to take apart. */
#include "listening.h"

#include <stdlib.h>
#include <string.h>

#include "scene.h"
#include "stream.h"

struct listening *listening_begin(const struct daemon *daemon, const char *method, const char *path,
                                  const char *body)
{
    struct listening *listening = scene_alloc(sizeof(*listening));
    const char *request = text("%s %s HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               method, path, strlen(body), body);

    listening->path = path;
    listening->heard = text("%s", "");
    listening->raw = raw_open(daemon->port);
    cr_assert(listening->raw && raw_send(listening->raw, request, strlen(request)));
    return listening;
}

void listening_expect_begun(struct listening *listening)
{
    listening->head = raw_upto(listening->raw, "\r\n\r\n", patient(20000));
    cr_assert(listening->head && strstr(listening->head, " 200 ") &&
                  strstr(listening->head, "text/event-stream"),
              "%s: %s", listening->path, !listening->head ? "no answer" : listening->head);
}

struct listening *listening_open(const struct daemon *daemon, const char *path)
{
    struct listening *listening = listening_begin(daemon, "GET", path, "");

    listening_expect_begun(listening);
    return listening;
}

static bool hears_within(struct listening *listening, const char *begin, int64_t bound_ms)
{
    const int64_t end = running_ms() + bound_ms;

    for (;;) {
        const int64_t left = end - running_ms();
        const char *block = raw_upto(listening->raw, "\n\n", left > 0 ? left : 0);

        if (!block) {
            return false;
        }
        listening->heard = text("%s%s", listening->heard, block);
        if (strncmp(block, begin, strlen(begin)) == 0) {
            return true;
        }
    }
}

void expect_heard(struct listening *listening, const char *begin, const char *file, int line)
{
    cr_assert(hears_within(listening, begin, patient(20000)), "%s:%d: not heard: %s; but %s", file,
              line, begin, listening->heard);
}

void listening_close(struct listening *listening)
{
    stream_record(listening->path, listening->heard);
    raw_close(listening->raw);
}

bool listening_ends(struct listening *listening)
{
    (void)hears_within(listening, "nothing begins like this", patient(10000));
    return raw_ended(listening->raw);
}

long subscribed_to(const struct server *node, const char *channel)
{
    const char *said = redis_say(node, "PUBSUB NUMSUB %s", channel);
    const char *blank = strrchr(said, ' ');

    return !blank ? -1 : strtol(blank + 1, NULL, 10);
}
