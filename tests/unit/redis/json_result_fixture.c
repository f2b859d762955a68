/* Readers with a result behind them. */
#include <criterion/criterion.h>
#include <string.h>

#include "json_result_fixture.h"
#include "json_result_oracle.h"

struct result_stream result_stream_open(struct result *result)
{
    struct result_stream stream = {
        redisReaderCreateWithFunctions((redisReplyObjectFunctions *)&result_functions), {result}};

    return stream;
}

void result_stream_close(struct result_stream *stream)
{
    redisReaderFree(stream->reader);
}

int result_stream_feed(struct result_stream *stream, const char *bytes, size_t size)
{
    void *reply;
    int n = 0;

    stream->reader->privdata = &stream->sink;
    redisReaderFeed(stream->reader, bytes, size);
    for (;;) {
        if (redisReaderGetReply(stream->reader, &reply) != REDIS_OK) {
            return -1;
        }
        if (!reply) {
            return n;
        }
        stream->reader->fn->freeObject(reply);
        n++;
        if (stream->sink.into && result_next(stream->sink.into)) {
            stream->sink.into = NULL;
        }
    }
}

static redisReply *tree_of(const char *bytes, size_t size, unsigned which)
{
    redisReader *reader = oracle_reader();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, size);
    for (unsigned i = 0; i <= which; i++) {
        freeReplyObject(reply);
        cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
        cr_assert_not_null(reply);
    }
    redisReaderFree(reader);
    return reply;
}

uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

void result_read_pieces(struct result *result, const char *wire, size_t size, enum pieces how,
                        uint32_t *seed)
{
    struct result_stream stream = result_stream_open(result);
    size_t step;

    for (size_t at = 0; at < size; at += step) {
        step = how == WHOLE ? size : how == BYTE_BY_BYTE ? 1 : 1 + random_next(seed) % 23;
        step = step < size - at ? step : size - at;
        cr_assert_geq(result_stream_feed(&stream, wire + at, step), 0, "%s", stream.reader->errstr);
    }
    cr_assert_eq(result->replies, 0);
    result_stream_close(&stream);
}

void expect_result(const char *wire, size_t size, enum result_form form, unsigned members,
                   const char *json)
{
    redisReply *tree = tree_of(wire, size, members > 0 ? members + 1 : 0);
    uint32_t seed = (uint32_t)size;

    for (int i = 0; i < 8; i++) {
        enum pieces how = i == 0 ? WHOLE : i == 1 ? BYTE_BY_BYTE : AT_RANDOM;
        struct result result;
        const char *complaint;

        result_init(&result, form, members);
        result_read_pieces(&result, wire, size, how, &seed);
        complaint = oracle_complaint(&result, tree);
        cr_expect_null(complaint, "%.60s: %s", wire, complaint);
        if (json) {
            cr_expect_eq(result.json.size, strlen(json), "%.60s: %.*s", wire, (int)result.json.size,
                         result.json.bytes);
            cr_expect_eq(strncmp(result.json.bytes, json, result.json.size), 0, "%.60s: %.*s", wire,
                         (int)result.json.size, result.json.bytes);
        }
        result_release(&result);
    }
    freeReplyObject(tree);
}

void expect_results(const struct result_row *rows, size_t n, enum result_form form,
                    unsigned members)
{
    for (size_t i = 0; i < n; i++) {
        expect_result(rows[i].wire, rows[i].size, form, members, rows[i].json);
    }
}

void result_read_all(struct result *result, const char *wire)
{
    struct result_stream stream = result_stream_open(result);

    cr_assert_geq(result_stream_feed(&stream, wire, strlen(wire)), 1);
    result_stream_close(&stream);
}
