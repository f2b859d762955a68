/*
 * What is not a value: errors and their words, pushes, replies to nobody, and a reply that ends in
 * the middle.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/redis/json_result.h"
#include "json_result_fixture.h"

/* ---- errors, pushes, nobody ---- */

Test(redis_result, an_error_is_its_words)
{
    struct result result;

    result_init(&result, RESULT_BASE64, 0);
    result_read_all(&result, "-WRONGTYPE Operation against a key\r\n");
    cr_expect_eq(result.kind, RESULT_ERROR);
    cr_expect_str_eq(result.error, "WRONGTYPE Operation against a key");
    cr_expect_eq(result.json.size, 0);
    result_release(&result);
}

Test(redis_result, an_errors_words_are_cut_and_clean)
{
    char wire[400] = "-ERR \x01\xff ";
    struct result result;

    for (size_t i = strlen(wire); i < 300; i += 3) {
        memcpy(wire + i, "\xe2\x82\xac", 4);
    }
    memcpy(wire + strlen(wire), "\r\n", 3);
    result_init(&result, RESULT_JSON, 0);
    result_read_all(&result, wire);
    cr_expect_eq(result.kind, RESULT_ERROR);
    cr_expect_eq(strncmp(result.error, "ERR ?? \xe2\x82\xac", 10), 0, "%s", result.error);
    cr_expect_eq(strlen(result.error), 253); /* 7 and 82 times 3: one more does not fit */
    result_release(&result);
}

Test(redis_result, long_words_are_whole_beside)
{
    char wire[2100] = "-ERR ";
    struct result result;

    memset(wire + 5, 'x', 2000);
    memcpy(wire + 2005, "\r\n", 3);
    result_init(&result, RESULT_JSON, 0);
    result_read_all(&result, wire);
    cr_expect_eq(strlen(result.error), RESULT_ERROR_SIZE - 1);
    cr_assert_eq(result.whole.size, 2004);
    cr_expect_eq(strncmp(result.whole.bytes, wire + 1, 2004), 0);
    cr_expect_eq(result.whole.bytes[2004], '\0');
    result_release(&result);
    result_init(&result, RESULT_JSON, 0);
    result_read_all(&result, "-ERR short\r\n");
    cr_expect_eq(result.whole.size, 0);
    result_release(&result);
}

Test(redis_result, a_push_is_no_answer)
{
    static const char *const wires[] = {">2\r\n+a\r\n*1\r\n+b\r\n", ">0\r\n", ">-1\r\n"};

    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        for (unsigned members = 0; members < 2; members++) {
            struct result result;

            result_init(&result, RESULT_JSON, members);
            result_read_all(&result, wires[i]);
            cr_expect_eq(result.kind, RESULT_PUSH, "%s", wires[i]);
            cr_expect_eq(result.json.size, 0);
            result_release(&result);
        }
        expect_result(wires[i], strlen(wires[i]), RESULT_JSON, 0, NULL);
    }
}

Test(redis_result, without_a_result_replies_are_dropped)
{
    static const char wire[] =
        "*2\r\n+a\r\n*1\r\n:1\r\n-ERR no\r\n$3\r\nabc\r\n_\r\n>1\r\n+x\r\n%1\r\n#t\r\n,1.5\r\n";
    struct result_stream stream = result_stream_open(NULL);

    cr_expect_eq(result_stream_feed(&stream, wire, sizeof(wire) - 1), 6);
    result_stream_close(&stream);
}

/* hiredis 1.2 knows none; should a later one read them, they must not get into what is written. */
Test(redis_result, attributes_are_refused_by_the_reader)
{
    static const char wire[] = "|1\r\n+ttl\r\n:3600\r\n+OK\r\n";
    struct result result;
    struct result_stream stream = result_stream_open(&result);

    result_init(&result, RESULT_JSON, 0);
    cr_expect_eq(result_stream_feed(&stream, wire, sizeof(wire) - 1), -1);
    cr_expect_eq(result.kind, RESULT_NONE);
    result_stream_close(&stream);
    result_release(&result);
}

Test(redis_result, several_commands_on_one_reader)
{
    static const char wire[] = "+OK\r\n*2\r\n:1\r\n:2\r\n-ERR no\r\n$2\r\nhi\r\n";
    static const char *const wanted[] = {"{\"result\":\"OK\"", "{\"result\":[1,2]", "",
                                         "{\"result\":\"hi\""};
    struct result results[4];
    struct result_stream stream = result_stream_open(NULL);
    int i = 0;

    stream.reader->privdata = &stream.sink;
    redisReaderFeed(stream.reader, wire, sizeof(wire) - 1);
    for (void *reply = NULL; i < 4; i++) {
        result_init(&results[i], RESULT_JSON, 0);
        stream.sink.into = &results[i];
        cr_assert_eq(redisReaderGetReply(stream.reader, &reply), REDIS_OK);
        cr_expect(result_next(&results[i]));
        cr_expect_eq(results[i].json.size, strlen(wanted[i]));
        cr_expect_eq(strncmp(results[i].json.bytes ? results[i].json.bytes : "", wanted[i],
                             results[i].json.size),
                     0);
        result_release(&results[i]);
    }
    cr_expect_eq(results[2].kind, RESULT_ERROR);
    result_stream_close(&stream);
}

/* ---- ends in the middle ---- */

/* A reader freed, or an error, at every byte; the result is used again for the same command. */
Test(redis_result, a_reply_cut_off_leaves_nothing_behind)
{
    static const char whole[] = "*3\r\n$3\r\nabc\r\n*2\r\n:1\r\n$1\r\nx\r\n%1\r\n+k\r\n_\r\n";

    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        for (int broken = 0; broken < 2; broken++) {
            struct result result;
            struct result_stream stream = result_stream_open(&result);

            result_init(&result, RESULT_JSON, 0);
            cr_assert_eq(result_stream_feed(&stream, whole, cut), 0);
            cr_expect_eq(result.kind, RESULT_NONE);
            if (broken) {
                (void)result_stream_feed(&stream, "?!\r\n?!\r\n\r\n", 11);
            }
            result_stream_close(&stream);
            result_release(&result);
            result_init(&result, RESULT_JSON, 0);
            cr_expect_eq(result.json.size, 0);
            cr_expect_eq(result.replies, 1);
            result_read_all(&result, whole);
            cr_expect_eq(result.kind, RESULT_VALUE);
            cr_expect_eq(strncmp(result.json.bytes, "{\"result\":[\"abc\",[1,\"x\"],[\"k\",null]]",
                                 result.json.size),
                         0);
            result_release(&result);
        }
    }
}
