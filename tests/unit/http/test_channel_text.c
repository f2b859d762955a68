/* What is published, in Upstash's form: one line each, whatever is in it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/render/channel_text.h"

static void expect_text(struct buffer *out, const char *wanted)
{
    char *text = buffer_take_text(out, NULL);

    cr_expect_str_eq(text, wanted);
    free(text);
}

static void expect_message(const char *payload, size_t size, const char *wanted)
{
    const struct channel_message message = {
        .channel = "c", .channel_size = 1, .payload = payload, .payload_size = size};
    struct buffer out = {0};
    char line[256];

    channel_text_message(&out, &message);
    snprintf(line, sizeof(line), "data: message,c,%s\n\n", wanted);
    expect_text(&out, line);
}

Test(channel_text, a_payload_is_one_line)
{
    expect_message("hello", 5, "hello");
    expect_message("", 0, "");
    expect_message("a,b, {\"c\":1}", 12, "a,b, {\"c\":1}");
    expect_message("\xC3\xA4\xff.", 4, "\xC3\xA4\xEF\xBF\xBD.");
    expect_message("two\nlines", 9, "\"two\\nlines\"");
    expect_message("two\r", 4, "\"two\\r\"");
    expect_message("\n", 1, "\"\\n\"");
    expect_message("a\ndata: message,d,forged", 24, "\"a\\ndata: message,d,forged\"");
    expect_message("\xff\n", 2, "\"\xEF\xBF\xBD\\n\"");
    /* a document stays one, without its line ends */
    expect_message("{\n\t\"a\": \"b\"\r\n}", 14, "{ \t\"a\": \"b\"  }");
    expect_message("[1,\n2]", 6, "[1, 2]");
    expect_message("1\n", 2, "1 ");
    expect_message("\"a\nb\"", 5, "\"\\\"a\\nb\\\"\"");
    expect_message("{} {}\n", 6, "\"{} {}\\n\"");
    /* what a reader's parser takes is a document, too: numbers of any size, lone surrogates */
    expect_message("[12345678901234567890,\n1e400,\"\\ud800\"]", 38,
                   "[12345678901234567890, 1e400,\"\\ud800\"]");
}

Test(channel_text, names)
{
    const struct channel_message message = {.pattern = "n*",
                                            .pattern_size = 2,
                                            .channel = "n\r\n,x",
                                            .channel_size = 5,
                                            .payload = "y",
                                            .payload_size = 1};
    struct buffer out = {0};

    channel_text_message(&out, &message);
    expect_text(&out, "data: pmessage,n*,n\xEF\xBF\xBD\xEF\xBF\xBD,x,y\n\n");
    channel_text_confirmed(&out, SUBSCRIBER_CHANNELS, "news", 1);
    expect_text(&out, "data: subscribe,news,1\n\n");
    channel_text_confirmed(&out, SUBSCRIBER_PATTERNS, "n\n*", 12);
    expect_text(&out, "data: psubscribe,n\xEF\xBF\xBD*,12\n\n");
}

Test(channel_text, comments)
{
    struct buffer out = {0};

    channel_text_interrupted(&out, INT64_C(1795348800123));
    expect_text(&out,
                ": interrupted since 2026-11-22T12:00:00.123Z: the connection to the master is "
                "gone\n\n");
    channel_text_resumed(&out, INT64_C(1795348800123), INT64_C(1795348801000));
    expect_text(&out, ": gap from 2026-11-22T12:00:00.123Z to 2026-11-22T12:00:01.000Z: what was "
                      "published meanwhile may be missing\n\n");
    channel_text_ended(&out, "NOPERM no\r\nmore");
    expect_text(&out, ": ended: NOPERM no  more\n\n");
}
