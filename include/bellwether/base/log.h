/*
 * Log lines to standard error, logfmt or JSON, one write(2) a line. After log_start() no thread
 * that logs waits for the reader of standard error.
 *
 *     log_info("master changed", LOG_STR("master", name), LOG_INT("epoch", epoch));
 *
 * writes
 *
 *     level=info ts=2026-11-22T12:00:00.123Z msg="master changed" master=mymaster epoch=4
 */
#ifndef BELLWETHER_BASE_LOG_H
#define BELLWETHER_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_field {
    const char *key;
    const char *text; /* NULL: `number` is the value */
    int64_t number;
};

/* A function, because compilers warn when a macro asks whether an array is NULL. */
static inline const char *log_text(const char *text)
{
    return text ? text : "";
}

#define LOG_STR(k, v) ((struct log_field){(k), log_text(v), 0})
#define LOG_INT(k, v) ((struct log_field){(k), NULL, (int64_t)(v)})

/** Set level and format for the whole process. Call before threads start. */
void log_configure(enum log_level level, enum log_format format);

/**
 * From now on a thread of the log's own writes the lines, and it alone waits where standard error
 * takes nothing: up to 256 KiB of lines are queued for it, more are dropped and counted. Without
 * that thread (before this call, or where none can be started) log_write() writes and waits itself.
 * Thread: main, before others start.
 */
void log_start(void);
/** Wait until all lines are written, or `patience_ms`. @return whether they are. Thread: any. */
bool log_flush(int patience_ms);
/**
 * The same, and the log's thread ends; where it still hangs in a write it is detached. Thread:
 * main, when the others have ended.
 */
bool log_stop(int patience_ms);

#define LOG_LAST_PATIENCE_MS 200 /* of a caller that is about to end the process */

/**
 * Write to standard error as soon as it takes something, within `patience_ms`; else the bytes are
 * lost. What waits in the queue is overtaken. Thread: any; a signal's handler, too.
 */
void log_last_words(const char *bytes, size_t length, int patience_ms);
/**
 * A line for people instead of the log, behind what the log has: lost where standard error takes
 * nothing for a second or two. `format` without the newline. Thread: any.
 */
void log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * Write one line. Values are escaped; a line is cut at 4 KiB.
 * @param fields borrowed; `n_fields` of them; NULL when 0.
 * Thread: any.
 */
void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t n_fields);

/** The line as log_write() would write it, newline included; for tests. @return its length. */
size_t log_render(enum log_level level, enum log_format format, int64_t wall_ms,
                  const char *message, const struct log_field *fields, size_t n_fields, char *out,
                  size_t out_size);

/* At least one field each; without any, call log_write() with NULL and 0. */
#define LOG_FIELDS(...) \
    ((const struct log_field[]){{0}, __VA_ARGS__} + 1), \
        (sizeof((const struct log_field[]){{0}, __VA_ARGS__}) / sizeof(struct log_field) - 1)
#define log_debug(msg, ...) log_write(LOG_LEVEL_DEBUG, msg, LOG_FIELDS(__VA_ARGS__))
#define log_info(msg, ...) log_write(LOG_LEVEL_INFO, msg, LOG_FIELDS(__VA_ARGS__))
#define log_warn(msg, ...) log_write(LOG_LEVEL_WARN, msg, LOG_FIELDS(__VA_ARGS__))
#define log_error(msg, ...) log_write(LOG_LEVEL_ERROR, msg, LOG_FIELDS(__VA_ARGS__))

#endif
