/* Text as JSON: escapes, bytes that are no UTF-8, and that a reader of JSON reads the same back. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/redis/json_result.h"
#include "json_result_fixture.h"
#include "json_result_oracle.h"

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
        size_t size = random_next(&seed) % (sizeof(bytes) + 1);

        for (size_t k = 0; k < size; k++) {
            uint32_t number = random_next(&seed);

            bytes[k] = (char)(i % 2 == 0 ? dense[number % sizeof(dense)] : number);
        }
        cr_assert(comes_back(bytes, size), "round %d", i);
    }
}
