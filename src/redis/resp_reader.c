/* See resp_reader.h. Which form a reply takes is decided when its first byte is there. */
#include "resp_reader.h"

#include <limits.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"

/*
 * JSON costs nothing before its elements came: there only the bytes count, and that hiredis counts
 * elements, a map's twice, in an int.
 */
#define JSON_ELEMENTS_MAX (INT_MAX / 2)
/* What an idle connection may keep for reading. */
#define READER_KEEP_BYTES 4096
#define READER_SWOLLEN_BYTES (64 * 1024)
/* No length of a string has more digits. */
#define LENGTH_DIGITS_MAX 19

static bool is_json(const redisReader *parser)
{
    return parser->fn == &result_functions;
}

static size_t unread(const redisReader *parser)
{
    return parser->len - parser->pos;
}

/* ---- the parser's buffer ---- */

/* So much of memory is the parser's, or will be. */
static void count(struct resp_reader *reader, size_t bytes)
{
    if (bytes != reader->counted) {
        budget_count((int64_t)bytes - (int64_t)reader->counted);
    }
    reader->counted = bytes;
}

static void feed(redisReader *parser, const char *bytes, size_t size)
{
    if (size > 0 && redisReaderFeed(parser, bytes, size) != REDIS_OK) {
        mem_exhausted();
    }
}

/* A parser can neither shrink nor leave bytes out: a new one takes what begins at `at`. */
static void replace_parser(struct resp_reader *reader, const char *at)
{
    redisReader *old = reader->parser;

    reader->parser = redisReaderCreate();
    if (!reader->parser) {
        mem_exhausted();
    }
    reader->parser->maxbuf = READER_KEEP_BYTES;
    reader->swollen = reader->stuck = false;
    feed(reader->parser, at, (size_t)(old->buf + old->len - at));
    redisReaderFree(old);
}

void resp_reader_start(struct resp_reader *reader, redisReader *parser)
{
    reader->parser = parser;
    parser->maxbuf = READER_KEEP_BYTES;
    reader->bytes = 0;
    reader->swollen = reader->stuck = false;
    reader->skip = (struct conn_skip){0};
}

void resp_reader_stop(struct resp_reader *reader)
{
    redisReaderFree(reader->parser);
    reader->parser = NULL;
    count(reader, 0);
    conn_arena_release(&reader->arena);
    reader->sink.into = NULL;
}

void resp_reader_trim(struct resp_reader *reader)
{
    if (unread(reader->parser) > 0) {
        return;
    }
    if (reader->swollen && reader->parser->ridx == -1) {
        replace_parser(reader, reader->parser->buf + reader->parser->len);
    }
    count(reader, sdsalloc(reader->parser->buf));
}

/* ---- bounds ---- */

/*
 * What the bulk string under way takes in all, by the length that it begins with. 0: not known, or
 * no bulk string.
 */
static size_t announced(const redisReader *parser)
{
    const redisReadTask *task = parser->ridx >= 0 ? parser->task[parser->ridx] : NULL;
    size_t length = 0;

    if (!task || (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_VERB)) {
        return 0;
    }
    for (size_t i = 0; i < unread(parser); i++) {
        char digit = parser->buf[parser->pos + i];

        if (digit == '\r') {
            return i + length + 4; /* with two line ends */
        }
        if (digit < '0' || digit > '9') {
            return 0; /* hiredis will see */
        }
        if (i == LENGTH_DIGITS_MAX) {
            return SIZE_MAX / 2;
        }
        length = length * 10 + (size_t)(digit - '0');
    }
    return 0;
}

/* What callers may ask for has nothing to do with the connection's own questions. */
size_t resp_reader_limit(const struct resp_reader *reader)
{
    return is_json(reader->parser) ? reader->limit : TREE_BYTES_MAX;
}

static bool is_too_long(const struct resp_reader *reader)
{
    size_t limit = resp_reader_limit(reader), more = announced(reader->parser);

    if (more < unread(reader->parser)) {
        more = unread(reader->parser);
    }
    return reader->bytes > limit || more > limit - reader->bytes;
}

/*
 * A long string stands in the parser's buffer as a whole before it is anything else: so its place
 * is taken when its length is there. @return false: there is none.
 */
static bool has_memory(struct resp_reader *reader)
{
    size_t had = sdsalloc(reader->parser->buf), all = announced(reader->parser);

    all = all > had ? all : had;
    if (all > BUDGET_SMALL && all > reader->counted && is_json(reader->parser) &&
        !budget_has_for_now(all - reader->counted)) {
        if (reader->sink.into) {
            reader->sink.into->kind = RESULT_NO_MEMORY;
        }
        return false;
    }
    count(reader, all);
    return true;
}

static enum resp_outcome outcome_of_part(struct resp_reader *reader)
{
    return is_too_long(reader) || !has_memory(reader) ? RESP_TOO_LONG : RESP_NOTHING;
}

void resp_reader_skip(struct resp_reader *reader, unsigned more)
{
    const redisReader *parser = reader->parser;
    const char *rest = parser->buf + parser->pos;
    bool ok;

    count(reader, 0);
    conn_skip_begin(&reader->skip, parser, more);
    /* Were these bytes no RESP, the parser would have seen it. */
    replace_parser(reader, rest + conn_skip(&reader->skip, rest, unread(parser), &ok));
}

/* ---- replies ---- */

/*
 * A line that has no end yet gets none by bytes without one: else each of them would cost a search
 * of the whole line.
 */
static bool is_stuck(const redisReader *parser, const char *bytes, size_t size)
{
    const redisReadTask *task = parser->ridx >= 0 ? parser->task[parser->ridx] : NULL;

    return task && task->type >= 0 && task->type != REDIS_REPLY_STRING &&
           task->type != REDIS_REPLY_VERB && !memchr(bytes, '\n', size);
}

bool resp_reader_feed(struct resp_reader *reader, const char *bytes, size_t size)
{
    bool ok = true;
    size_t skipped = reader->skip.items > 0 ? conn_skip(&reader->skip, bytes, size, &ok) : 0;

    if (!ok) {
        return false;
    }
    reader->stuck = is_stuck(reader->parser, bytes + skipped, size - skipped);
    feed(reader->parser, bytes + skipped, size - skipped);
    reader->swollen = reader->swollen || reader->parser->len > READER_SWOLLEN_BYTES;
    return true;
}

static void begin(struct resp_reader *reader, struct result *into)
{
    reader->parser->maxelements = into ? JSON_ELEMENTS_MAX : TREE_ELEMENTS_MAX;
    reader->sink.into = into;
    if (!into) {
        conn_arena_serve(&reader->arena, reader->parser);
        return;
    }
    reader->parser->fn = (redisReplyObjectFunctions *)&result_functions;
    reader->parser->privdata = &reader->sink;
}

enum resp_outcome resp_reader_next(struct resp_reader *reader, struct result *into,
                                   redisReply **tree, struct conn_arena *memory)
{
    redisReader *parser = reader->parser;
    size_t before = unread(parser);
    void *reply = NULL;

    if (before == 0 || reader->skip.items > 0) {
        return RESP_NOTHING;
    }
    if (reader->stuck) {
        return outcome_of_part(reader);
    }
    if (parser->ridx == -1) {
        begin(reader, into);
    }
    if (redisReaderGetReply(parser, &reply) != REDIS_OK) {
        return RESP_MALFORMED;
    }
    reader->bytes += before - unread(parser);
    if (!reply) {
        return outcome_of_part(reader);
    }
    if (reader->bytes > resp_reader_limit(reader)) {
        return RESP_TOO_LONG;
    }
    if (is_json(parser)) {
        return RESP_JSON;
    }
    *tree = reply;
    *memory = reader->arena;
    reader->arena = (struct conn_arena){0};
    reader->bytes = 0;
    return RESP_TREE;
}

void resp_reader_end_json(struct resp_reader *reader)
{
    reader->sink.into = NULL;
    reader->bytes = 0;
}

const char *resp_reader_error(const struct resp_reader *reader)
{
    return reader->arena.overdone ? "a reply of too many elements" : reader->parser->errstr;
}
