/*
 * Bytes in, a result out, however they come. What is read here is compared with hiredis' own tree
 * of the same bytes (json_result_oracle.h) as well.
 */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_JSON_RESULT_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_REDIS_JSON_RESULT_FIXTURE_H

#include <stdint.h>

#include "bellwether/redis/json_result.h"

#define BYTES(text) (text), sizeof(text) - 1

struct result_stream {
    redisReader *reader;
    struct result_sink sink;
};

enum pieces { WHOLE, BYTE_BY_BYTE, AT_RANDOM };

struct result_row {
    const char *wire;
    size_t size;
    const char *json;
};

/** @param result NULL: replies are dropped. */
struct result_stream result_stream_open(struct result *result);
void result_stream_close(struct result_stream *stream);
/**
 * As a connection does it: privdata is set once, here because the struct is a copy. @return whole
 * replies, -1 an error.
 */
int result_stream_feed(struct result_stream *stream, const char *bytes, size_t size);
uint32_t random_next(uint32_t *seed);
/** All of `wire`, which is all that the result waits for. */
void result_read_pieces(struct result *result, const char *wire, size_t size, enum pieces how,
                        uint32_t *seed);
/**
 * However it comes, and compared with the oracle. @param members 0: one command. @param json NULL:
 * whatever the oracle wants.
 */
void expect_result(const char *wire, size_t size, enum result_form form, unsigned members,
                   const char *json);
void expect_results(const struct result_row *rows, size_t n, enum result_form form,
                    unsigned members);
/** Replies at once, of which the first is whole. */
void result_read_all(struct result *result, const char *wire);

#define EXPECT_RESULTS(rows, form, members) \
    expect_results((rows), sizeof(rows) / sizeof(*(rows)), (form), (members))

#endif
