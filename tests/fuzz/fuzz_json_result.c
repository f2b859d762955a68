/*
 * RESP to JSON. The first byte chooses: what is written, a transaction of how many, and how the
 * rest is cut into pieces. What comes out must be JSON, or RESP2, say what hiredis' own tree of the
 * same bytes says, and be the same however the bytes came.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/redis/json_result_oracle.h"
#include "bellwether/redis/json_result.h"

#define ELEMENTS_MAX 4096 /* connections allow more; here it would only cost time */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void hold(bool condition, const char *words)
{
    if (!condition) {
        fprintf(stderr, "%s\n", words);
        abort();
    }
}

static redisReader *reader_for(struct result_sink *sink)
{
    redisReader *reader =
        redisReaderCreateWithFunctions((redisReplyObjectFunctions *)&result_functions);

    reader->privdata = sink;
    reader->maxelements = ELEMENTS_MAX;
    return reader;
}

static void hold_text(const char *text)
{
    size_t size, length = strnlen(text, RESULT_ERROR_SIZE);
    char *decoded;

    hold(length < RESULT_ERROR_SIZE, "words without an end");
    decoded = oracle_decode(text, length, &size);
    hold(size == length && memcmp(decoded, text, size) == 0, "words that are not UTF-8");
    free(decoded);
    for (size_t i = 0; i < length; i++) {
        hold((unsigned char)text[i] >= ' ' && text[i] != 0x7f, "a control character in words");
    }
}

static void hold_whole(const struct result *result, const redisReply *tree)
{
    const char *complaint = result->replies > 0 ? NULL : oracle_complaint(result, tree);

    hold(!complaint, complaint);
    hold_text(result->error);
    hold_text(result->refused);
    hold(*result->refused == '\0' || result->refused_member == RESULT_MULTI ||
             result->refused_member < result->members,
         "a member that there is not");
}

/* Results of the replies, one after the other, in pieces of `step` bytes. `text` gets them all. */
static void read_pieces(const unsigned char *data, size_t size, size_t step, enum result_form form,
                        unsigned members, struct buffer *text)
{
    struct result result;
    struct result_sink sink = {&result};
    redisReader *reader = reader_for(&sink), *trees = oracle_reader();

    trees->maxelements = ELEMENTS_MAX;
    result_init(&result, form, members);
    for (size_t at = 0; at < size; at += step) {
        size_t n = step < size - at ? step : size - at;
        void *reply = NULL, *tree = NULL;

        redisReaderFeed(reader, (const char *)data + at, n);
        redisReaderFeed(trees, (const char *)data + at, n);
        for (;;) {
            int status = redisReaderGetReply(reader, &reply);

            hold(status == redisReaderGetReply(trees, &tree), "one reader fails");
            hold((!reply) == (!tree), "one reader has a reply");
            if (!reply) {
                break;
            }
            if (result_next(&result) || result.kind == RESULT_PUSH) {
                hold_whole(&result, tree);
                buffer_add(text, result.json.bytes, result.json.size);
                buffer_add(text, result.error, strlen(result.error) + 1);
                result_release(&result);
                result_init(&result, form, members);
            }
            freeReplyObject(tree);
        }
    }
    redisReaderFree(reader);
    redisReaderFree(trees);
    result_release(&result);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct buffer whole = {0}, pieces = {0};
    unsigned choice, members;
    enum result_form form;

    if (size < 1) {
        return 0;
    }
    choice = data[0];
    members = choice >> 1 & 3;
    form = !(choice & 1)                   ? RESULT_JSON
           : members == 0 && choice & 0x80 ? RESULT_RESP2
                                           : RESULT_BASE64;
    read_pieces(data + 1, size - 1, size, form, members, &whole);
    read_pieces(data + 1, size - 1, 1 + (choice >> 3), form, members, &pieces);
    hold(whole.size == pieces.size &&
             (whole.size == 0 || memcmp(whole.bytes, pieces.bytes, whole.size) == 0),
         "pieces make another text");
    buffer_release(&whole);
    buffer_release(&pieces);
    return 0;
}
