/* See channel_text.h. */
#include "channel_text.h"

#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/utf8.h"
#include "bellwether/commands/batch.h"
#include "bellwether/redis/json_result.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static bool ends_line(char c)
{
    return c == '\n' || c == '\r';
}

/* @param instead what stands for a line's end. */
static void add_text(struct buffer *out, const char *bytes, size_t size, const char *instead)
{
    size_t from = 0, at = 0;

    while (at < size) {
        size_t length = ends_line(bytes[at]) ? 0 : utf8_length(bytes + at, size - at);

        if (length > 0) {
            at += length;
            continue;
        }
        buffer_add(out, bytes + from, at - from);
        buffer_add_text(out, ends_line(bytes[at]) ? instead : REPLACEMENT);
        at += ends_line(bytes[at]) ? 1 : utf8_ill_formed(bytes + at, size - at);
        from = at;
    }
    buffer_add(out, bytes + from, at - from);
}

static void add_name(struct buffer *out, const char *bytes, size_t size)
{
    add_text(out, bytes, size, REPLACEMENT);
    buffer_add(out, ",", 1);
}

static void add_payload(struct buffer *out, const char *bytes, size_t size)
{
    if (!memchr(bytes, '\n', size) && !memchr(bytes, '\r', size)) {
        add_text(out, bytes, size, "");
    } else if (batch_is_json(bytes, size)) {
        add_text(out, bytes, size, " "); /* within a string of JSON there is no line's end */
    } else {
        json_add_string(out, bytes, size);
    }
}

void channel_text_confirmed(struct buffer *out, enum subscriber_kind kind, const char *name,
                            size_t count)
{
    buffer_add_text(out, kind == SUBSCRIBER_PATTERNS ? "data: psubscribe," : "data: subscribe,");
    add_name(out, name, strlen(name));
    buffer_add_integer(out, (int64_t)count);
    buffer_add_text(out, "\n\n");
}

void channel_text_message(struct buffer *out, const struct channel_message *message)
{
    buffer_add_text(out, message->pattern ? "data: pmessage," : "data: message,");
    if (message->pattern) {
        add_name(out, message->pattern, message->pattern_size);
    }
    add_name(out, message->channel, message->channel_size);
    add_payload(out, message->payload, message->payload_size);
    buffer_add_text(out, "\n\n");
}

static void add_time(struct buffer *out, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_utc(wall_ms, text);
    buffer_add_text(out, text);
}

void channel_text_interrupted(struct buffer *out, int64_t since_ms)
{
    buffer_add_text(out, ": interrupted since ");
    add_time(out, since_ms);
    buffer_add_text(out, ": the connection to the master is gone\n\n");
}

void channel_text_resumed(struct buffer *out, int64_t from_ms, int64_t to_ms)
{
    buffer_add_text(out, ": gap from ");
    add_time(out, from_ms);
    buffer_add_text(out, " to ");
    add_time(out, to_ms);
    buffer_add_text(out, ": what was published meanwhile may be missing\n\n");
}

void channel_text_ended(struct buffer *out, const char *words)
{
    buffer_add_text(out, ": ended: ");
    add_text(out, words, strlen(words), " ");
    buffer_add_text(out, "\n\n");
}
