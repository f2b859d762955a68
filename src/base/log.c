/*
 * Log lines. A line is built in a buffer on the stack and leaves in one write(2), so lines of
 * several threads never mix. What doesn't fit is cut inside a value, never inside an escape or
 * the frame: a cut JSON line is still JSON.
 */
#include "bellwether/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/utf8.h"

#define LINE_SIZE 4096
#define TAIL_SIZE 5 /* quote, two braces, newline, end mark: always kept free */

static enum log_level least_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_LOGFMT;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
    char *out;
    size_t length;
    size_t limit; /* bytes that may be used, the tail not counted */
    bool full;
};

/* All or nothing; after the first piece that doesn't fit nothing more is taken. */
static void put(struct line *line, const char *bytes, size_t n)
{
    if (line->full || n > line->limit - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->out + line->length, bytes, n);
    line->length += n;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Uses the reserved tail, so it always fits. */
static void put_tail(struct line *line, char c)
{
    line->out[line->length++] = c;
}

/* The two formats share JSON's escapes. */
static void put_escaped(struct line *line, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p != '\0' && !line->full) {
        size_t n = utf8_length((const char *)p, UTF8_MAX);
        char escape[8];

        if (n == 0) {
            put_text(line, "\\ufffd");
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            put(line, (const char[]){'\\', (char)*p}, 2);
        } else if (*p == '\n') {
            put_text(line, "\\n");
        } else if (*p == '\t') {
            put_text(line, "\\t");
        } else if (*p < 0x20 || *p == 0x7F) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", *p);
            put_text(line, escape);
        } else {
            put(line, (const char *)p, n);
        }
        p += n;
    }
}

static bool bare_in_logfmt(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '=') {
            return false;
        }
    }
    return true;
}

/* Separator, key, and the sign between key and value. */
static void put_key(struct line *line, enum log_format format, const char *key, const char *opening)
{
    char head[128];
    bool first = line->length == 0;

    if (format == LOG_FORMAT_JSON) {
        (void)snprintf(head, sizeof head, "%s\"%s\":%s", first ? "{" : ",", key, opening);
    } else {
        (void)snprintf(head, sizeof head, "%s%s=%s", first ? "" : " ", key, opening);
    }
    put_text(line, head);
}

static void put_string(struct line *line, enum log_format format, const char *key, const char *value)
{
    if (format == LOG_FORMAT_LOGFMT && bare_in_logfmt(value)) {
        put_key(line, format, key, "");
        for (const char *p = value; *p != '\0' && !line->full;
             p++) { /* by byte, so that a long value is cut, not left out */
            put(line, p, 1);
        }
        return;
    }
    put_key(line, format, key, "\"");
    if (line->full) {
        return;
    }
    put_escaped(line, value);
    put_tail(line, '"');
    line->full =
        line->full || line->length > line->limit; /* the quote stands in the tail: nothing fits after it */
}

static void put_number(struct line *line, enum log_format format, const char *key, int64_t value)
{
    char digits[32];

    (void)snprintf(digits, sizeof digits, "%" PRId64, value);
    put_key(line, format, key, digits);
}

size_t log_render(enum log_level level, enum log_format format, int64_t wall_ms, const char *message,
                  const struct log_field *fields, size_t n_fields, char *out, size_t out_size)
{
    struct line line = {.limit = out_size > TAIL_SIZE ? out_size - TAIL_SIZE : 0};
    char time[CLOCK_TEXT_SIZE];

    if (line.limit == 0) {
        return 0;
    }
    line.out = out;
    clock_format_utc(wall_ms, time);
    put_string(&line, format, "level", level_names[level]);
    put_string(&line, format, "ts", time);
    put_string(&line, format, "msg", message);
    for (size_t i = 0; i < n_fields && !line.full; i++) {
        if (fields[i].text == NULL) {
            put_number(&line, format, fields[i].key, fields[i].number);
        } else {
            put_string(&line, format, fields[i].key, fields[i].text);
        }
    }
    if (format == LOG_FORMAT_JSON) {
        if (line.length == 0) {
            put_tail(&line, '{');
        }
        put_tail(&line, '}');
    }
    put_tail(&line, '\n');
    line.out[line.length] = '\0';
    return line.length;
}

void log_configure(enum log_level level, enum log_format format)
{
    least_level = level;
    line_format = format;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n_fields)
{
    char text[LINE_SIZE];

    if (level < least_level) {
        return;
    }
    size_t length =
        log_render(level, line_format, clock_wall_ms(), message, fields, n_fields, text, sizeof text);
    /* a line that can't be written is lost: there is nobody left to tell */
    while (write(STDERR_FILENO, text, length) < 0 && errno == EINTR) {
    }
}
