/*
 * Log lines. A line is built in a buffer on the stack and leaves in one write(2), so lines of
 * several threads never mix. What doesn't fit is cut inside a value, never inside an escape or the
 * frame: a cut JSON line is still JSON.
 *
 * Standard error may be a pipe that nobody reads, and O_NONBLOCK would be set for everybody who
 * shares it. So lines go through a bounded queue to a thread of their own, the only one that waits
 * for the reader. Once the queue is full, lines are dropped until all of it is written; then one
 * line says how many.
 */
#include "bellwether/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/utf8.h"

#define LINE_SIZE 4096
#define QUEUE_SIZE ((size_t)256 * 1024)
#define PLAIN_PATIENCE_MS 1000
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
            (void)snprintf(escape, sizeof(escape), "\\u%04x", *p);
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
        (void)snprintf(head, sizeof(head), "%s\"%s\":%s", first ? "{" : ",", key, opening);
    } else {
        (void)snprintf(head, sizeof(head), "%s%s=%s", first ? "" : " ", key, opening);
    }
    put_text(line, head);
}

static void put_string(struct line *line, enum log_format format, const char *key,
                       const char *value)
{
    if (format == LOG_FORMAT_LOGFMT && bare_in_logfmt(value)) {
        put_key(line, format, key, "");
        for (const char *p = value; *p != '\0' && !line->full; p++) {
            put(line, p, 1); /* by byte, so that a long value is cut, not left out */
        }
        return;
    }
    put_key(line, format, key, "\"");
    if (line->full) {
        return;
    }
    put_escaped(line, value);
    put_tail(line, '"');
    /* where the quote stands in the tail nothing fits after it */
    line->full = line->full || line->length > line->limit;
}

static void put_number(struct line *line, enum log_format format, const char *key, int64_t value)
{
    char digits[32];

    (void)snprintf(digits, sizeof(digits), "%" PRId64, value);
    put_key(line, format, key, digits);
}

size_t log_render(enum log_level level, enum log_format format, int64_t wall_ms,
                  const char *message, const struct log_field *fields, size_t n_fields, char *out,
                  size_t out_size)
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
        if (!fields[i].text) {
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

/* ---- the way out ---- */

/* Whole lines, from `head` to `tail` of queue_bytes; both are 0 when there are none. */
static char queue_bytes[QUEUE_SIZE];
static struct {
    pthread_mutex_t lock; /* guards all of this */
    pthread_cond_t filled, emptied;
    pthread_t thread;
    bool started;
    bool ending;
    bool writing; /* the thread has a line in hand */
    int64_t dropped;
    size_t head, tail;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_drained(void)
{
    return queue.tail == 0 && !queue.writing && queue.dropped == 0;
}

static void enqueue(const char *line, size_t length)
{
    size_t used = queue.tail - queue.head;

    if (queue.dropped > 0 || used + length > QUEUE_SIZE) {
        queue.dropped++;
        return;
    }
    if (queue.tail + length > QUEUE_SIZE) {
        memmove(queue_bytes, queue_bytes + queue.head, used);
        queue.head = 0;
        queue.tail = used;
    }
    memcpy(queue_bytes + queue.tail, line, length);
    queue.tail += length;
    (void)pthread_cond_signal(&queue.filled);
}

/* Written whatever the level that is configured: dropped lines may have been of any. */
static void enqueue_dropped(void)
{
    char text[256];
    size_t length = log_render(LOG_LEVEL_WARN, line_format, clock_wall_ms(),
                               "log lines dropped: standard error was not read",
                               LOG_FIELDS(LOG_INT("lines", queue.dropped)), text, sizeof(text));

    queue.dropped = 0;
    enqueue(text, length);
}

static size_t dequeue(char line[LINE_SIZE])
{
    const char *first = queue_bytes + queue.head;
    const char *end = memchr(first, '\n', queue.tail - queue.head);
    size_t length = (size_t)(end - first) + 1;

    memcpy(line, first, length);
    queue.head += length;
    if (queue.head == queue.tail) {
        queue.head = queue.tail = 0;
    }
    return length;
}

/* A line that can't be written is lost: there is nobody left to tell. */
static void write_out(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, length);

        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* whoever shares it has set O_NONBLOCK */
            struct pollfd standard_error = {.fd = STDERR_FILENO, .events = POLLOUT};

            (void)poll(&standard_error, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

static void *write_lines(void *data)
{
    char line[LINE_SIZE];

    (void)data;
    (void)pthread_mutex_lock(&queue.lock);
    while (true) {
        if (queue.tail == 0 && queue.dropped > 0) {
            enqueue_dropped();
        }
        if (queue.tail > 0) {
            size_t length = dequeue(line);

            queue.writing = true;
            (void)pthread_mutex_unlock(&queue.lock);
            write_out(line, length);
            (void)pthread_mutex_lock(&queue.lock);
            queue.writing = false;
        } else if (queue.ending) {
            break;
        } else {
            (void)pthread_cond_broadcast(&queue.emptied);
            (void)pthread_cond_wait(&queue.filled, &queue.lock);
        }
    }
    (void)pthread_cond_broadcast(&queue.emptied);
    (void)pthread_mutex_unlock(&queue.lock);
    return NULL;
}

void log_start(void)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&queue.filled, NULL);
    (void)pthread_cond_init(&queue.emptied, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    queue.ending = false;
    (void)sigfillset(&all); /* a handler that ran here could not interrupt what hangs elsewhere */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    queue.started = pthread_create(&queue.thread, NULL, write_lines, NULL) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool wait_drained(int patience_ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += patience_ms % 1000 * 1000000L;
    until.tv_sec += patience_ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!is_drained() && pthread_cond_timedwait(&queue.emptied, &queue.lock, &until) == 0) {
    }
    return is_drained();
}

bool log_flush(int patience_ms)
{
    (void)pthread_mutex_lock(&queue.lock);
    bool drained = !queue.started || wait_drained(patience_ms);
    (void)pthread_mutex_unlock(&queue.lock);
    return drained;
}

bool log_stop(int patience_ms)
{
    (void)pthread_mutex_lock(&queue.lock);
    bool started = queue.started;
    queue.ending = true;
    if (started) {
        (void)pthread_cond_signal(&queue.filled);
    }
    bool drained = !started || wait_drained(patience_ms);
    queue.started = started && !drained; /* a thread that hangs keeps the queue */
    (void)pthread_mutex_unlock(&queue.lock);
    if (started && drained) {
        (void)pthread_join(queue.thread, NULL);
    } else if (started) {
        (void)pthread_detach(queue.thread);
    }
    return drained;
}

void log_last_words(const char *bytes, size_t length, int patience_ms)
{
    struct pollfd standard_error = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (poll(&standard_error, 1, patience_ms) > 0) {
        ssize_t ignored = write(STDERR_FILENO, bytes, length);

        (void)ignored;
    }
}

void log_plain(const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text) - 1, format, arguments);
    va_end(arguments);
    size_t length = n < 0 ? 0 : (size_t)n;
    if (length > sizeof(text) - 2) {
        length = sizeof(text) - 2;
    }
    text[length++] = '\n';
    if (log_flush(PLAIN_PATIENCE_MS)) {
        log_last_words(text, length, PLAIN_PATIENCE_MS);
    }
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t n_fields)
{
    char text[LINE_SIZE];

    if (level < least_level) {
        return;
    }
    size_t length = log_render(level, line_format, clock_wall_ms(), message, fields, n_fields, text,
                               sizeof(text));
    (void)pthread_mutex_lock(&queue.lock);
    bool queued = queue.started;
    if (queued) {
        enqueue(text, length);
    }
    (void)pthread_mutex_unlock(&queue.lock);
    if (!queued) {
        write_out(text, length);
    }
}
