/*
 * RESP to JSON: every type, every way to be split, whatever is nested; and what may go wrong in the
 * middle. Whatever is read here is compared with hiredis' own tree of the same bytes
 * (json_result_oracle.h) as well.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/redis/json_result.h"
#include "json_result_oracle.h"

#define BYTES(text) (text), sizeof(text) - 1

/* ---- a reader with a result behind it ---- */

struct stream {
    redisReader *reader;
    struct result_sink sink;
};

static struct stream stream_open(struct result *result)
{
    struct stream stream = {
        redisReaderCreateWithFunctions((redisReplyObjectFunctions *)&result_functions), {result}};

    return stream;
}

static void stream_close(struct stream *stream)
{
    redisReaderFree(stream->reader);
}

/*
 * As a connection does it: privdata is set once, here because the struct is a copy. @return whole
 * replies, -1 an error.
 */
static int feed(struct stream *stream, const char *bytes, size_t size)
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

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* ---- bytes in, a result out, however they come ---- */

enum pieces { WHOLE, BYTE_BY_BYTE, AT_RANDOM };

static void read_pieces(struct result *result, const char *wire, size_t size, enum pieces how,
                        uint32_t *seed)
{
    struct stream stream = stream_open(result);
    size_t step;

    for (size_t at = 0; at < size; at += step) {
        step = how == WHOLE ? size : how == BYTE_BY_BYTE ? 1 : 1 + next_random(seed) % 23;
        step = step < size - at ? step : size - at;
        cr_assert_geq(feed(&stream, wire + at, step), 0, "%s", stream.reader->errstr);
    }
    cr_assert_eq(result->replies, 0);
    stream_close(&stream);
}

/* @param members  0: one command. @param json  NULL: whatever the oracle wants. */
static void expect(const char *wire, size_t size, bool base64, unsigned members, const char *json)
{
    redisReply *tree = tree_of(wire, size, members > 0 ? members + 1 : 0);
    uint32_t seed = (uint32_t)size;

    for (int i = 0; i < 8; i++) {
        enum pieces how = i == 0 ? WHOLE : i == 1 ? BYTE_BY_BYTE : AT_RANDOM;
        struct result result;
        const char *complaint;

        result_init(&result, base64, members);
        read_pieces(&result, wire, size, how, &seed);
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

struct row {
    const char *wire;
    size_t size;
    const char *json;
};

static void expect_rows(const struct row *rows, size_t n, bool base64, unsigned members)
{
    for (size_t i = 0; i < n; i++) {
        expect(rows[i].wire, rows[i].size, base64, members, rows[i].json);
    }
}

#define EXPECT(rows, base64, members) \
    expect_rows((rows), sizeof(rows) / sizeof(*(rows)), (base64), (members))

/* ---- values ---- */

Test(redis_result, each_type)
{
    static const struct row rows[] = {
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

    EXPECT(rows, false, 0);
}

Test(redis_result, base64)
{
    static const struct row rows[] = {
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

    EXPECT(rows, true, 0);
}

Test(redis_result, nested_lists_close_where_they_end)
{
    static const struct row rows[] = {
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

    EXPECT(rows, false, 0);
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
    expect(wire, size + 4, false, 0, NULL);
}

/* A tree at random: types, lengths and depth. */
static void put_random(struct buffer *wire, uint32_t *seed, int depth)
{
    static const char *const leaves[] = {":12\r\n", "$-1\r\n",         "*-1\r\n",   "_\r\n",
                                         "#t\r\n",  ",1.5\r\n",        "+word\r\n", "-ERR no\r\n",
                                         "(99\r\n", "=5\r\ntxt:a\r\n", "*0\r\n",    "%0\r\n"};
    uint32_t choice = next_random(seed) % 20;

    if (choice < 12) {
        buffer_add_text(wire, leaves[choice]);
    } else if (choice < 16 || depth > 9) {
        uint32_t size = next_random(seed) % 40;

        buffer_add_text(wire, "$");
        buffer_add_integer(wire, size);
        buffer_add_text(wire, "\r\n");
        for (uint32_t i = 0; i < size; i++) {
            buffer_add(wire, (const char[]){(char)(next_random(seed) % (choice == 12 ? 256 : 128))},
                       1);
        }
        buffer_add_text(wire, "\r\n");
    } else {
        uint32_t n = next_random(seed) % 5;

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
    uint32_t seed = 20261122;

    for (int i = 0; i < 3000; i++) {
        struct buffer wire = {0};

        buffer_add_text(&wire, "*3\r\n");
        for (int k = 0; k < 3; k++) {
            put_random(&wire, &seed, 1);
        }
        expect(wire.bytes, wire.size, i % 2 == 0, 0, NULL);
        buffer_release(&wire);
    }
}

/* ---- text ---- */

static void expect_text(const char *bytes, size_t size, const char *json)
{
    struct buffer out = {0};

    json_add_string(&out, bytes, size);
    cr_expect_eq(out.size, strlen(json), "%s: %.*s", json, (int)out.size, out.bytes);
    cr_expect_eq(strncmp(out.bytes, json, out.size), 0, "%s: %.*s", json, (int)out.size, out.bytes);
    buffer_release(&out);
}

#define FFFD "\xef\xbf\xbd"

Test(redis_result, escapes)
{
    expect_text(BYTES(""), "\"\"");
    expect_text(BYTES("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    expect_text(BYTES("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    expect_text(BYTES("\x01\x1f\x7f\x0b"), "\"\\u0001\\u001f\x7f\\u000b\"");
    expect_text(BYTES("\0"), "\"\\u0000\"");
    expect_text(BYTES("\xe2\x80\xa8"), "\"\xe2\x80\xa8\"");
}

/* The examples of Unicode 3.9, tables 3-8 to 3-11, and ends that come too early. */
Test(redis_result, ill_formed_text)
{
    expect_text(BYTES("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
                "\"" FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A\"");
    expect_text(BYTES("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
                "\"" FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A\"");
    expect_text(BYTES("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
                "\"" FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B\"");
    expect_text(BYTES("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), "\"" FFFD FFFD FFFD FFFD "A\"");
    expect_text(BYTES("a\xf0\x9f\x90"), "\"a" FFFD "\"");
    expect_text(BYTES("\xe2\x82\"\xc3"), "\"" FFFD "\\\"" FFFD "\"");
}

/* @return whether jansson reads `bytes` back as the oracle's decoder says. */
static bool comes_back(const char *bytes, size_t size)
{
    struct buffer out = {0};
    json_t *json;
    bool same;

    json_add_string(&out, bytes, size);
    json = json_loadb(out.bytes, out.size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    same = oracle_same_text(json, bytes, size);
    json_decref(json);
    buffer_release(&out);
    return same;
}

Test(redis_result, every_pair_of_bytes_at_every_offset)
{
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        size_t at = pair % 17;
        char bytes[20];

        memset(bytes, 'x', sizeof(bytes));
        bytes[at] = (char)(pair >> 8);
        bytes[at + 1] = (char)(pair & 0xff);
        cr_assert(comes_back(bytes, sizeof(bytes)), "%04x at %zu", pair, at);
        cr_assert(comes_back(bytes, at + 2), "%04x at the end of %zu", pair, at + 2);
    }
}

Test(redis_result, bytes_at_random)
{
    /* dense in what is special: lead bytes, continuations, quotation marks, controls */
    static const unsigned char dense[] = {0xe0, 0xed, 0xf0, 0xf4, 0xc3, 0x80, 0x90, 0x9f,
                                          0xa0, 0xbf, '"',  '\\', 0,    ' ',  'a',  0x1f};
    uint32_t seed = 5;
    char bytes[64];

    for (int i = 0; i < 60000; i++) {
        size_t size = next_random(&seed) % (sizeof(bytes) + 1);

        for (size_t k = 0; k < size; k++) {
            uint32_t number = next_random(&seed);

            bytes[k] = (char)(i % 2 == 0 ? dense[number % sizeof(dense)] : number);
        }
        cr_assert(comes_back(bytes, size), "round %d", i);
    }
}

/* ---- errors, pushes, nobody ---- */

static void read_all(struct result *result, const char *wire)
{
    struct stream stream = stream_open(result);

    cr_assert_geq(feed(&stream, wire, strlen(wire)), 1);
    stream_close(&stream);
}

Test(redis_result, an_error_is_its_words)
{
    struct result result;

    result_init(&result, true, 0);
    read_all(&result, "-WRONGTYPE Operation against a key\r\n");
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
    result_init(&result, false, 0);
    read_all(&result, wire);
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
    result_init(&result, false, 0);
    read_all(&result, wire);
    cr_expect_eq(strlen(result.error), RESULT_ERROR_SIZE - 1);
    cr_assert_eq(result.whole.size, 2004);
    cr_expect_eq(strncmp(result.whole.bytes, wire + 1, 2004), 0);
    cr_expect_eq(result.whole.bytes[2004], '\0');
    result_release(&result);
    result_init(&result, false, 0);
    read_all(&result, "-ERR short\r\n");
    cr_expect_eq(result.whole.size, 0);
    result_release(&result);
}

Test(redis_result, a_push_is_no_answer)
{
    static const char *const wires[] = {">2\r\n+a\r\n*1\r\n+b\r\n", ">0\r\n", ">-1\r\n"};

    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        for (unsigned members = 0; members < 2; members++) {
            struct result result;

            result_init(&result, false, members);
            read_all(&result, wires[i]);
            cr_expect_eq(result.kind, RESULT_PUSH, "%s", wires[i]);
            cr_expect_eq(result.json.size, 0);
            result_release(&result);
        }
        expect(wires[i], strlen(wires[i]), false, 0, NULL);
    }
}

Test(redis_result, without_a_result_replies_are_dropped)
{
    static const char wire[] =
        "*2\r\n+a\r\n*1\r\n:1\r\n-ERR no\r\n$3\r\nabc\r\n_\r\n>1\r\n+x\r\n%1\r\n#t\r\n,1.5\r\n";
    struct stream stream = stream_open(NULL);

    cr_expect_eq(feed(&stream, wire, sizeof(wire) - 1), 6);
    stream_close(&stream);
}

/* hiredis 1.2 knows none; should a later one read them, they must not get into what is written. */
Test(redis_result, attributes_are_refused_by_the_reader)
{
    static const char wire[] = "|1\r\n+ttl\r\n:3600\r\n+OK\r\n";
    struct result result;
    struct stream stream = stream_open(&result);

    result_init(&result, false, 0);
    cr_expect_eq(feed(&stream, wire, sizeof(wire) - 1), -1);
    cr_expect_eq(result.kind, RESULT_NONE);
    stream_close(&stream);
    result_release(&result);
}

Test(redis_result, several_commands_on_one_reader)
{
    static const char wire[] = "+OK\r\n*2\r\n:1\r\n:2\r\n-ERR no\r\n$2\r\nhi\r\n";
    static const char *const wanted[] = {"{\"result\":\"OK\"", "{\"result\":[1,2]", "",
                                         "{\"result\":\"hi\""};
    struct result results[4];
    struct stream stream = stream_open(NULL);
    int i = 0;

    stream.reader->privdata = &stream.sink;
    redisReaderFeed(stream.reader, wire, sizeof(wire) - 1);
    for (void *reply = NULL; i < 4; i++) {
        result_init(&results[i], false, 0);
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
    stream_close(&stream);
}

/* ---- transactions ---- */

Test(redis_result, a_transaction_is_a_list)
{
    static const struct row rows[] = {
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n"),
         "[{\"result\":\"OK\"},{\"result\":1}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGTYPE no\r\n$-1\r\n"),
         "[{\"error\":\"WRONGTYPE no\"},{\"result\":null}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*0\r\n*2\r\n*1\r\n-ERR in\r\n+b\r\n"),
         "[{\"result\":[]},{\"result\":[[\"ERR in\"],\"b\"]}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n%1\r\n+a\r\n+b\r\n*-1\r\n"),
         "[{\"result\":[\"a\",\"b\"]},{\"result\":null}]"},
    };
    static const struct row encoded[] = {
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n*1\r\n$2\r\nOK\r\n"),
         "[{\"result\":\"OK\"},{\"result\":[\"T0s=\"]}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\na\r\n-ERR no\r\n"),
         "[{\"result\":\"YQ==\"},{\"error\":\"ERR no\"}]"},
    };

    EXPECT(rows, false, 2);
    EXPECT(encoded, true, 2);
}

Test(redis_result, a_discarded_transaction)
{
    struct result result;

    result_init(&result, false, 3);
    read_all(&result, "+OK\r\n+QUEUED\r\n-READONLY You can't write\r\n-ERR second\r\n"
                      "-EXECABORT Transaction discarded\r\n");
    cr_expect_eq(result.replies, 0);
    cr_expect_eq(result.kind, RESULT_ERROR);
    cr_expect_str_eq(result.error, "EXECABORT Transaction discarded");
    cr_expect_str_eq(result.refused, "READONLY You can't write");
    cr_expect_eq(result.refused_member, 1);
    result_release(&result);
}

Test(redis_result, the_first_and_the_last_member_refused)
{
    struct result result;

    result_init(&result, false, 2);
    read_all(&result, "+OK\r\n-LOADING no\r\n+QUEUED\r\n-EXECABORT no\r\n");
    cr_expect_eq(result.refused_member, 0);
    result_reset(&result);
    cr_expect_str_eq(result.refused, "");
    read_all(&result, "+OK\r\n+QUEUED\r\n-LOADING no\r\n-EXECABORT no\r\n");
    cr_expect_eq(result.refused_member, 1);
    cr_expect_str_eq(result.refused, "LOADING no");
    result_release(&result);
}

/*
 * An ACL may deny MULTI: then the members run, each by itself, and their answers mean nothing here.
 */
Test(redis_result, multi_itself_refused)
{
    struct result result;

    result_init(&result, false, 2);
    read_all(
        &result,
        "-NOPERM no MULTI for you\r\n*2\r\n:1\r\n$1\r\nx\r\n-ERR wrong type\r\n-ERR EXEC without MULTI\r\n");
    cr_expect_eq(result.kind, RESULT_ERROR);
    cr_expect_str_eq(result.error, "ERR EXEC without MULTI");
    cr_expect_str_eq(result.refused, "NOPERM no MULTI for you");
    cr_expect_eq(result.refused_member, RESULT_MULTI);
    cr_expect_eq(result.json.size, 0);
    result_release(&result);
}

Test(redis_result, exec_that_answers_nil_was_aborted)
{
    static const char *const wires[] = {"+OK\r\n+QUEUED\r\n*-1\r\n", "+OK\r\n+QUEUED\r\n_\r\n",
                                        "+OK\r\n+QUEUED\r\n$-1\r\n"};

    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        struct result result;

        result_init(&result, false, 1);
        read_all(&result, wires[i]);
        cr_expect_eq(result.kind, RESULT_ERROR);
        cr_expect_eq(strncmp(result.error, "EXECABORT ", 10), 0, "%s", result.error);
        result_release(&result);
    }
}

Test(redis_result, exec_that_answers_something_else_is_not_believed)
{
    static const char *const wires[] = {"+OK\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n",
                                        "+OK\r\n+QUEUED\r\n*0\r\n",
                                        "+OK\r\n+QUEUED\r\n+OK\r\n",
                                        "+OK\r\n+QUEUED\r\n:1\r\n",
                                        "+OK\r\n+QUEUED\r\n#t\r\n",
                                        "+OK\r\n+QUEUED\r\n~1\r\n:1\r\n"};

    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        struct result result;

        result_init(&result, false, 1);
        read_all(&result, wires[i]);
        cr_expect_eq(result.kind, RESULT_PUSH, "%s", wires[i]);
        cr_expect_eq(result.json.size, 0);
        result_release(&result);
    }
}

/* ---- ends in the middle ---- */

/* A reader freed, or an error, at every byte; the result is used again for the same command. */
Test(redis_result, a_reply_cut_off_leaves_nothing_behind)
{
    static const char whole[] = "*3\r\n$3\r\nabc\r\n*2\r\n:1\r\n$1\r\nx\r\n%1\r\n+k\r\n_\r\n";

    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        for (int broken = 0; broken < 2; broken++) {
            struct result result;
            struct stream stream = stream_open(&result);

            result_init(&result, false, 0);
            cr_assert_eq(feed(&stream, whole, cut), 0);
            cr_expect_eq(result.kind, RESULT_NONE);
            if (broken) {
                (void)feed(&stream, "?!\r\n?!\r\n\r\n", 11);
            }
            stream_close(&stream);
            result_reset(&result);
            cr_expect_eq(result.json.size, 0);
            cr_expect_eq(result.replies, 1);
            read_all(&result, whole);
            cr_expect_eq(result.kind, RESULT_VALUE);
            cr_expect_eq(strncmp(result.json.bytes, "{\"result\":[\"abc\",[1,\"x\"],[\"k\",null]]",
                                 result.json.size),
                         0);
            result_release(&result);
        }
    }
}

Test(redis_result, a_result_reset_stays_what_it_is_for)
{
    struct result result;

    result_init(&result, true, 2);
    read_all(&result, "+OK\r\n+QUEUED\r\n");
    cr_expect_eq(result.replies, 2);
    result_reset(&result);
    cr_expect(result.base64);
    cr_expect(result.exec);
    cr_expect_eq(result.replies, 4);
    cr_expect_eq(result.kind, RESULT_NONE);
    read_all(&result, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n");
    cr_expect_eq(result.kind, RESULT_LIST);
    result_release(&result);
}

/* ---- what is big ---- */

Test(redis_result, a_large_string_is_written_once)
{
    enum { SIZE = 8 * 1024 * 1024 };
    struct buffer wire = {0};
    struct result result;
    struct stream stream = stream_open(&result);

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
        cr_assert_eq(feed(&stream, wire.bytes, wire.size), 1);
        cr_expect_eq(result.json.size, wanted);
        cr_expect_leq(result.json.room, wanted + 16);
        result_release(&result);
    }
    stream_close(&stream);
    buffer_release(&wire);
}

Test(redis_result, a_million_elements)
{
    enum { N = 1000000 };
    struct buffer wire = {0};
    struct result result;
    struct stream stream = stream_open(&result);

    buffer_add_text(&wire, "*1000000\r\n");
    for (int i = 0; i < N; i++) {
        buffer_add_text(&wire, "$1\r\na\r\n");
    }
    result_init(&result, false, 0);
    cr_assert_eq(feed(&stream, wire.bytes, wire.size), 1);
    cr_assert_eq(result.json.size, sizeof("{\"result\":[") - 1 + (size_t)4 * N);
    cr_expect_eq(memcmp(result.json.bytes + result.json.size - 9, ",\"a\",\"a\"]", 9), 0);
    result_release(&result);
    stream_close(&stream);
    buffer_release(&wire);
}

/* ---- memory ---- */

/* @return what a reply is, with so much of the budget left. */
static enum result_kind kind_with(size_t left, bool base64, const char *wire, size_t size)
{
    struct result result;
    struct stream stream;
    enum result_kind kind;

    result_init(&result, base64, 0);
    stream = stream_open(&result);
    budget_limit(left); /* nothing is counted but the result */
    cr_expect_eq(feed(&stream, wire, size), 1);
    kind = result.kind;
    cr_expect_eq(kind == RESULT_NO_MEMORY, !result.json.bytes);
    stream.sink.into = &result;
    result_reset(&result);
    cr_expect_eq(feed(&stream, BYTES(":7\r\n")), 1);
    cr_expect_eq(result.kind, RESULT_VALUE, "the next one is read as ever");
    result_release(&result);
    stream_close(&stream);
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
        result_reset(&result); /* it is for the same command */
        read_pieces(&result, wire, strlen(wire),
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
