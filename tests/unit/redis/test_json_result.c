/*
 * RESP to JSON: values of every type, whatever is nested and every way to be split; cursors; what
 * is big, and what memory has no room for.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/redis/json_result.h"
#include "json_result_fixture.h"

/* ---- values ---- */

Test(redis_result, each_type)
{
    static const struct result_row rows[] = {
        {BYTES("+OK\r\n"), "{\"result\":\"OK\""},
        {BYTES("+\r\n"), "{\"result\":\"\""},
        {BYTES("$5\r\nhello\r\n"), "{\"result\":\"hello\""},
        {BYTES("$0\r\n\r\n"), "{\"result\":\"\""},
        {BYTES("$2\r\n\r\n\r\n"), "{\"result\":\"\\r\\n\""},
        {BYTES("$3\r\na\0b\r\n"), "{\"result\":\"a\\u0000b\""},
        {BYTES("$-1\r\n"), "{\"result\":null"},
        {BYTES("*-1\r\n"), "{\"result\":null"},
        {BYTES("_\r\n"), "{\"result\":null"},
        {BYTES(":0\r\n"), "{\"result\":0"},
        {BYTES(":-1\r\n"), "{\"result\":-1"},
        {BYTES(":9223372036854775807\r\n"), "{\"result\":9223372036854775807"},
        {BYTES(":-9223372036854775808\r\n"), "{\"result\":-9223372036854775808"},
        {BYTES(",3.10\r\n"), "{\"result\":\"3.10\""},
        {BYTES(",1e300\r\n"), "{\"result\":\"1e300\""},
        {BYTES(",inf\r\n"), "{\"result\":\"inf\""},
        {BYTES(",-inf\r\n"), "{\"result\":\"-inf\""},
        {BYTES(",nan\r\n"), "{\"result\":\"nan\""},
        {BYTES("#t\r\n"), "{\"result\":1"},
        {BYTES("#f\r\n"), "{\"result\":0"},
        {BYTES("(-3492890328409238509324850943850943825024385\r\n"),
         "{\"result\":\"-3492890328409238509324850943850943825024385\""},
        {BYTES("=15\r\ntxt:Some string\r\n"), "{\"result\":\"Some string\""},
        {BYTES("=4\r\nmkd:\r\n"), "{\"result\":\"\""},
        {BYTES("*0\r\n"), "{\"result\":[]"},
        {BYTES("*2\r\n$1\r\na\r\n:2\r\n"), "{\"result\":[\"a\",2]"},
        {BYTES("~2\r\n+a\r\n+b\r\n"), "{\"result\":[\"a\",\"b\"]"},
        {BYTES("~0\r\n"), "{\"result\":[]"},
        {BYTES("%2\r\n+a\r\n:1\r\n+b\r\n_\r\n"), "{\"result\":[\"a\",1,\"b\",null]"},
        {BYTES("%0\r\n"), "{\"result\":[]"},
        {BYTES("*2\r\n-ERR no\r\n+OK\r\n"), "{\"result\":[\"ERR no\",\"OK\"]"},
        {BYTES("*2\r\n>1\r\n+x\r\n:1\r\n"), "{\"result\":[[\"x\"],1]"},
        {BYTES("*3\r\n$-1\r\n*-1\r\n_\r\n"), "{\"result\":[null,null,null]"},
    };

    EXPECT_RESULTS(rows, RESULT_JSON, 0);
}

Test(redis_result, resp2)
{
    static const struct result_row rows[] = {
        {BYTES("+OK\r\n"), "+OK\r\n"},
        {BYTES("+\r\n"), "+\r\n"},
        {BYTES("$0\r\n\r\n"), "$0\r\n\r\n"},
        {BYTES("$4\r\n\r\n\xff\xfe\r\n"), "$4\r\n\r\n\xff\xfe\r\n"},
        {BYTES("$-1\r\n"), "$-1\r\n"},
        {BYTES("*-1\r\n"), "*-1\r\n"},
        {BYTES(":-9223372036854775808\r\n"), ":-9223372036854775808\r\n"},
        {BYTES("*0\r\n"), "*0\r\n"},
        {BYTES("*3\r\n*1\r\n+a\r\n*-1\r\n-ERR no\r\n"), "*3\r\n*1\r\n+a\r\n*-1\r\n-ERR no\r\n"},
        {BYTES("_\r\n"), "$-1\r\n"},
        {BYTES(",3.10\r\n"), "$4\r\n3.10\r\n"},
        {BYTES("#t\r\n"), ":1\r\n"},
        {BYTES("#f\r\n"), ":0\r\n"},
        {BYTES("(-3492890328409238509324\r\n"), "$23\r\n-3492890328409238509324\r\n"},
        {BYTES("=15\r\ntxt:Some string\r\n"), "$11\r\nSome string\r\n"},
        {BYTES("~2\r\n+a\r\n+b\r\n"), "*2\r\n+a\r\n+b\r\n"},
        {BYTES("%2\r\n+a\r\n:1\r\n+b\r\n_\r\n"), "*4\r\n+a\r\n:1\r\n+b\r\n$-1\r\n"},
        {BYTES("%0\r\n"), "*0\r\n"},
        {BYTES("*2\r\n>1\r\n+x\r\n:1\r\n"), "*2\r\n*1\r\n+x\r\n:1\r\n"},
    };

    EXPECT_RESULTS(rows, RESULT_RESP2, 0);
}

Test(redis_result, base64)
{
    static const struct result_row rows[] = {
        {BYTES("+OK\r\n"), "{\"result\":\"OK\""},
        {BYTES("$2\r\nOK\r\n"), "{\"result\":\"OK\""},
        {BYTES("+QUEUED\r\n"), "{\"result\":\"UVVFVUVE\""},
        {BYTES("$4\r\nOKAY\r\n"), "{\"result\":\"T0tBWQ==\""},
        {BYTES("$0\r\n\r\n"), "{\"result\":\"\""},
        {BYTES("$1\r\n\0\r\n"), "{\"result\":\"AA==\""},
        {BYTES("$2\r\n\xff\xfe\r\n"), "{\"result\":\"//4=\""},
        {BYTES("$3\r\n\xff\xfe\xfd\r\n"), "{\"result\":\"//79\""},
        {BYTES("$-1\r\n"), "{\"result\":null"},
        {BYTES(":12\r\n"), "{\"result\":12"},
        {BYTES("#t\r\n"), "{\"result\":1"},
        {BYTES(",1.5\r\n"), "{\"result\":\"MS41\""},
        {BYTES("(12\r\n"), "{\"result\":\"MTI=\""},
        {BYTES("=6\r\ntxt:ab\r\n"), "{\"result\":\"YWI=\""},
        {BYTES("*3\r\n+OK\r\n:1\r\n*1\r\n$2\r\nOK\r\n"), "{\"result\":[\"T0s=\",1,[\"T0s=\"]]"},
        {BYTES("*1\r\n-ERR no\r\n"), "{\"result\":[\"RVJSIG5v\"]"},
    };

    EXPECT_RESULTS(rows, RESULT_BASE64, 0);
}

Test(redis_result, nested_lists_close_where_they_end)
{
    static const struct result_row rows[] = {
        {BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n"), "{\"result\":[[[[[[[7]]]]]]]"},
        {BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n"), "{\"result\":[[[[[[[[]]]]]]]]"},
        {BYTES("*2\r\n*0\r\n*0\r\n"), "{\"result\":[[],[]]"},
        {BYTES("*3\r\n*2\r\n:1\r\n:2\r\n*0\r\n:3\r\n"), "{\"result\":[[1,2],[],3]"},
        {BYTES("*2\r\n:1\r\n*2\r\n:2\r\n*2\r\n:3\r\n*0\r\n"), "{\"result\":[1,[2,[3,[]]]]"},
        {BYTES("*2\r\n*2\r\n*2\r\n*0\r\n:3\r\n:2\r\n:1\r\n"), "{\"result\":[[[[],3],2],1]"},
        {BYTES("%1\r\n*1\r\n+k\r\n%1\r\n+a\r\n~1\r\n+b\r\n"),
         "{\"result\":[[\"k\"],[\"a\",[\"b\"]]]"},
        {BYTES("*2\r\n%0\r\n~0\r\n"), "{\"result\":[[],[]]"},
        /* as XRANGE has it */
        {BYTES("*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n2-0\r\n*-1\r\n"),
         "{\"result\":[[\"1-0\",[\"f\",\"v\"]],[\"2-0\",null]]"},
    };

    EXPECT_RESULTS(rows, RESULT_JSON, 0);
}

/* What hiredis reads at all; one more is its error. */
Test(redis_result, a_thousand_levels)
{
    enum { LEVELS = 1023 };
    char wire[LEVELS * 4 + 8];
    size_t size = 0;

    for (int i = 0; i < LEVELS; i++) {
        memcpy(wire + size, "*1\r\n", 4);
        size += 4;
    }
    memcpy(wire + size, ":1\r\n", 4);
    expect_result(wire, size + 4, RESULT_JSON, 0, NULL);
}

/* A tree at random: types, lengths and depth. */
static void put_random(struct buffer *wire, uint32_t *seed, int depth)
{
    static const char *const leaves[] = {":12\r\n", "$-1\r\n",         "*-1\r\n",   "_\r\n",
                                         "#t\r\n",  ",1.5\r\n",        "+word\r\n", "-ERR no\r\n",
                                         "(99\r\n", "=5\r\ntxt:a\r\n", "*0\r\n",    "%0\r\n"};
    uint32_t choice = random_next(seed) % 20;

    if (choice < 12) {
        buffer_add_text(wire, leaves[choice]);
    } else if (choice < 16 || depth > 9) {
        uint32_t size = random_next(seed) % 40;

        buffer_add_text(wire, "$");
        buffer_add_integer(wire, size);
        buffer_add_text(wire, "\r\n");
        for (uint32_t i = 0; i < size; i++) {
            buffer_add(wire, (const char[]){(char)(random_next(seed) % (choice == 12 ? 256 : 128))},
                       1);
        }
        buffer_add_text(wire, "\r\n");
    } else {
        uint32_t n = random_next(seed) % 5;

        buffer_add(wire, &"*%~>"[choice - 16], 1);
        buffer_add_integer(wire, n);
        buffer_add_text(wire, "\r\n");
        for (uint32_t i = 0; i < n * (choice == 17 ? 2 : 1); i++) {
            put_random(wire, seed, depth + 1);
        }
    }
}

Test(redis_result, trees_at_random)
{
    static const enum result_form forms[] = {RESULT_JSON, RESULT_BASE64, RESULT_RESP2};
    uint32_t seed = 20261122;

    for (int i = 0; i < 3000; i++) {
        struct buffer wire = {0};

        buffer_add_text(&wire, "*3\r\n");
        for (int k = 0; k < 3; k++) {
            put_random(&wire, &seed, 1);
        }
        expect_result(wire.bytes, wire.size, forms[i % 3], 0, NULL);
        buffer_release(&wire);
    }
}

/* ---- cursors ---- */

/* @param scans  a byte for each answer. */
static void expect_scanned(const char *wire, unsigned members, bool base64, const char *scans,
                           size_t n, const char *json)
{
    uint32_t seed = 7;

    for (int i = 0; i < 3; i++) {
        struct result result;

        result_init(&result, base64, members);
        buffer_add(&result.scans, scans, n);
        result.cursor_tag = 1;
        result_read_pieces(&result, wire, strlen(wire),
                           i == 0   ? WHOLE
                           : i == 1 ? BYTE_BY_BYTE
                                    : AT_RANDOM,
                           &seed);
        cr_expect_eq(result.json.size, strlen(json), "%.*s", (int)result.json.size,
                     result.json.bytes);
        cr_expect_eq(strncmp(result.json.bytes, json, result.json.size), 0, "%.*s",
                     (int)result.json.size, result.json.bytes);
        result_release(&result);
    }
}

Test(redis_result, a_cursor_gets_its_tag_and_nothing_else_does)
{
    static const char scanned[] = "*2\r\n$1\r\n5\r\n*2\r\n$1\r\n5\r\n$1\r\n6\r\n";
    static const char queued[] =
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*1\r\n$1\r\n5\r\n*2\r\n$1\r\n5\r\n*1\r\n$1\r\n5\r\n";

    expect_scanned(scanned, 0, false, "\1", 1, "{\"result\":[\"5242881\",[\"5\",\"6\"]]");
    expect_scanned(scanned, 0, true, "\1", 1, "{\"result\":[\"NTI0Mjg4MQ==\",[\"NQ==\",\"Ng==\"]]");
    expect_scanned(scanned, 0, false, "\0", 1, "{\"result\":[\"5\",[\"5\",\"6\"]]");
    expect_scanned("*2\r\n$1\r\n0\r\n*0\r\n", 0, false, "\1", 1, "{\"result\":[\"0\",[]]");
    expect_scanned("$1\r\n5\r\n", 0, false, "\1", 1, "{\"result\":\"5\"");
    expect_scanned(queued, 2, false, "\0\1", 2,
                   "[{\"result\":[\"5\"]},{\"result\":[\"5242881\",[\"5\"]]}]");
}

/* ---- what is big ---- */

Test(redis_result, a_large_string_is_written_once)
{
    enum { SIZE = 8 * 1024 * 1024 };
    struct buffer wire = {0};
    struct result result;
    struct result_stream stream = result_stream_open(&result);

    buffer_add_text(&wire, "$");
    buffer_add_integer(&wire, SIZE);
    buffer_add_text(&wire, "\r\n");
    memset(buffer_reserve(&wire, SIZE), 'x', SIZE);
    wire.size += SIZE;
    buffer_add_text(&wire, "\r\n");
    for (int base64 = 0; base64 < 2; base64++) {
        size_t wanted = (base64 ? (SIZE + 2) / 3 * 4 : SIZE) + sizeof("{\"result\":\"\"") - 1;

        result_init(&result, base64, 0);
        stream.sink.into = &result;
        cr_assert_eq(result_stream_feed(&stream, wire.bytes, wire.size), 1);
        cr_expect_eq(result.json.size, wanted);
        cr_expect_leq(result.json.room, wanted + 16);
        result_release(&result);
    }
    result_stream_close(&stream);
    buffer_release(&wire);
}

Test(redis_result, a_million_elements)
{
    enum { N = 1000000 };
    struct buffer wire = {0};
    struct result result;
    struct result_stream stream = result_stream_open(&result);

    buffer_add_text(&wire, "*1000000\r\n");
    for (int i = 0; i < N; i++) {
        buffer_add_text(&wire, "$1\r\na\r\n");
    }
    result_init(&result, RESULT_JSON, 0);
    cr_assert_eq(result_stream_feed(&stream, wire.bytes, wire.size), 1);
    cr_assert_eq(result.json.size, sizeof("{\"result\":[") - 1 + (size_t)4 * N);
    cr_expect_eq(memcmp(result.json.bytes + result.json.size - 9, ",\"a\",\"a\"]", 9), 0);
    result_release(&result);
    result_stream_close(&stream);
    buffer_release(&wire);
}

/* ---- memory ---- */

/* @return what a reply is, with so much of the budget left. */
static enum result_kind kind_with(size_t left, bool base64, const char *wire, size_t size)
{
    struct result result;
    struct result_stream stream;
    enum result_kind kind;

    result_init(&result, base64, 0);
    stream = result_stream_open(&result);
    budget_limit(left); /* nothing is counted but the result */
    cr_expect_eq(result_stream_feed(&stream, wire, size), 1);
    kind = result.kind;
    cr_expect_eq(kind == RESULT_NO_MEMORY, !result.json.bytes);
    stream.sink.into = &result;
    result_release(&result);
    result_init(&result, base64, 0);
    cr_expect_eq(result_stream_feed(&stream, BYTES(":7\r\n")), 1);
    cr_expect_eq(result.kind, RESULT_VALUE, "the next one is read as ever");
    result_release(&result);
    result_stream_close(&stream);
    cr_expect_eq(budget_used(), 0);
    budget_limit(SIZE_MAX);
    return kind;
}

Test(redis_result, what_memory_has_no_room_for_is_read_and_dropped)
{
    enum { LARGE = 1 << 20 };
    struct buffer wire = {0};
    char head[32];

    for (int c = 0; c < 2; c++) {
        wire.size = 0;
        snprintf(head, sizeof(head), "$%d\r\n", LARGE);
        buffer_add_text(&wire, head);
        memset(buffer_reserve(&wire, LARGE), c == 0 ? 'x' : '\n', LARGE);
        wire.size += LARGE;
        buffer_add_text(&wire, "\r\n");
        const size_t size = wire.size;
        char *bytes = buffer_take(&wire, &wire.size);
        cr_expect_eq(kind_with(LARGE, false, bytes, size), RESULT_NO_MEMORY);
        cr_expect_eq(kind_with(2 * LARGE, false, bytes, size),
                     c == 0 ? RESULT_VALUE : RESULT_NO_MEMORY, "each byte is two");
        cr_expect_eq(kind_with(8 * LARGE, false, bytes, size), RESULT_VALUE);
        cr_expect_eq(kind_with(LARGE, true, bytes, size), RESULT_NO_MEMORY);
        cr_expect_eq(kind_with(2 * LARGE, true, bytes, size), RESULT_VALUE);
        free(bytes);
        wire = (struct buffer){0};
    }
    buffer_add_text(&wire, "*200000\r\n");
    for (int i = 0; i < 200000; i++) {
        buffer_add_text(&wire, "*1\r\n:1\r\n");
    }
    size_t size;
    char *bytes = buffer_take(&wire, &size);
    cr_expect_eq(kind_with(LARGE / 2, false, bytes, size), RESULT_NO_MEMORY);
    cr_expect_eq(kind_with(4 * LARGE, false, bytes, size), RESULT_VALUE);
    free(bytes);
    cr_expect_eq(kind_with(0, false, BYTES("+OK\r\n")), RESULT_VALUE,
                 "what is small is never dropped");
    cr_expect_eq(kind_with(0, false, BYTES("*2\r\n:1\r\n$3\r\nabc\r\n")), RESULT_VALUE);
}
