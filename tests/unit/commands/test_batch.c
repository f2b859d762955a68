/*
 * Commands from JSON bodies and from paths: what goes on the wire, and that whatever is wrong is
 * named with its place and never quoted.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/commands/batch.h"

#define BYTES(text) (text), sizeof(text) - 1

static void expect_wire(const struct batch *batch, size_t i, const char *wire, size_t size,
                        const char *what)
{
    const struct command *command = &batch->commands[i];

    cr_expect_null(command->error, "%s: %s", what, command->error);
    cr_expect_eq(command->size, size, "%s: %.*s", what, (int)command->size, batch_wire(batch, i));
    cr_expect(command->size == size && memcmp(batch_wire(batch, i), wire, size) == 0, "%s: %.*s",
              what, (int)command->size, batch_wire(batch, i));
}

/* ---- one command as JSON ---- */

Test(redis_batch, commands_that_are_read)
{
    static const struct {
        const char *body;
        size_t body_size;
        const char *wire;
        size_t wire_size;
        const char *name, *sub;
        size_t arguments;
    } rows[] = {
        {BYTES("[\"PING\"]"), BYTES("*1\r\n$4\r\nPING\r\n"), "ping", "", 1},
        {BYTES(" [ \"Set\" , \"K\" , \"v\" ]\r\n"),
         BYTES("*3\r\n$3\r\nSet\r\n$1\r\nK\r\n$1\r\nv\r\n"), "set", "k", 3},
        {BYTES("[\"CONFIG\",\"GET\",\"save\"]"),
         BYTES("*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"), "config", "get", 3},
        {BYTES("[\"ECHO\",\"\"]"), BYTES("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"), "echo", "", 2},
        {BYTES("[\"ECHO\",\"a\\u0000b\"]"), BYTES("*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\n"), "echo", "",
         2},
        {BYTES("[\"EC\\u0000HO\"]"), BYTES("*1\r\n$5\r\nEC\0HO\r\n"), "", "", 1},
        {BYTES("[\"ECHO\",\"\\r\\n\\\"\\\\\\/\"]"),
         BYTES("*2\r\n$4\r\nECHO\r\n$5\r\n\r\n\"\\/\r\n"), "echo", "\r\n\"\\/", 2},
        {BYTES("[\"ECHO\",\"\\u00e4\\ud83d\\udc11\xe2\x82\xac\"]"),
         BYTES("*2\r\n$4\r\nECHO\r\n$9\r\n\xc3\xa4\xf0\x9f\x90\x91\xe2\x82\xac\r\n"), "echo",
         "\xc3\xa4\xf0\x9f\x90\x91\xe2\x82\xac", 2},
        {BYTES("[\"X\",true,false]"), BYTES("*3\r\n$1\r\nX\r\n$4\r\ntrue\r\n$5\r\nfalse\r\n"), "x",
         "true", 3},
        {BYTES("[\"X\",0,-1,9223372036854775807,-9223372036854775808]"),
         BYTES(
             "*5\r\n$1\r\nX\r\n$1\r\n0\r\n$2\r\n-1\r\n$19\r\n9223372036854775807\r\n$20\r\n-9223372036854775808\r\n"),
         "x", "0", 5},
        {BYTES("[7]"), BYTES("*1\r\n$1\r\n7\r\n"), "7", "", 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char error[BATCH_ERROR_SIZE] = "";
        struct batch *batch = NULL;

        cr_assert_eq(batch_read(rows[i].body, rows[i].body_size, BATCH_ONE, &batch, error), 0,
                     "%s: %s", rows[i].body, error);
        cr_expect_eq(batch->n, 1);
        cr_expect_not(batch->many);
        expect_wire(batch, 0, rows[i].wire, rows[i].wire_size, rows[i].body);
        cr_expect_str_eq(batch->commands[0].name, rows[i].name);
        cr_expect_str_eq(batch->commands[0].sub, rows[i].sub);
        cr_expect_eq(batch->commands[0].arguments, rows[i].arguments);
        batch_free(batch);
    }
}

/* What is read does not depend on how it is written. */
Test(redis_batch, escapes_change_nothing)
{
    /* each round begins one further on */
    static const char *const arguments[] = {"1.5",
                                            "true",
                                            "1234567890123456789",
                                            "\"0123456789abcdef\\r0123456789\"",
                                            "\"\\n\\\"\\\\\\/\\t\"",
                                            "\"[,]\"",
                                            "\"\xc3\xa4\"",
                                            " \"blanks\" ",
                                            "123456789012345678",
                                            "\"\"",
                                            "\"v\"",
                                            "-7",
                                            "0"};
    enum { N = sizeof(arguments) / sizeof(arguments[0]) };

    for (size_t first = 0; first < N; first++) {
        char rest[512] = "", body[1200], plain[1200], error[BATCH_ERROR_SIZE];
        struct batch *quick = NULL, *slow = NULL;

        for (size_t i = first; i < N; i++) {
            snprintf(rest + strlen(rest), sizeof(rest) - strlen(rest), ",%s", arguments[i]);
        }
        snprintf(plain, sizeof(plain), "[[\"GET\",\"a\"],[\"X\"%s],[\"GET\",\"b\"]]", rest);
        snprintf(body, sizeof(body), "[[\"G\\u0045T\",\"a\"],[\"X\"%s],[\"GET\",\"b\"]]", rest);
        cr_assert_eq(batch_read(plain, strlen(plain), BATCH_MANY, &quick, error), 0, "%s: %s",
                     plain, error);
        cr_assert_eq(batch_read(body, strlen(body), BATCH_MANY, &slow, error), 0, "%s: %s", body,
                     error);
        cr_assert_eq(quick->n, 3, "%s", plain);
        cr_assert_eq(slow->n, 3, "%s", body);
        for (size_t i = 0; i < 3; i++) {
            expect_wire(quick, i, batch_wire(slow, i), slow->commands[i].size, plain);
            cr_expect_eq(quick->commands[i].at, slow->commands[i].at);
            cr_expect_eq(quick->commands[i].arguments, slow->commands[i].arguments);
            cr_expect_str_eq(quick->commands[i].name, slow->commands[i].name);
            cr_expect_str_eq(quick->commands[i].sub, slow->commands[i].sub);
        }
        batch_free(quick);
        batch_free(slow);
    }
}

Test(redis_batch, numbers_keep_their_spelling)
{
    static const char *const numbers[] = {
        "0",
        "-0",
        "-0.0",
        "0.1",
        "1.0",
        "1.10",
        "1e2",
        "1E+2",
        "1e20",
        "1e21",
        "1e-7",
        "5e-324",
        "1e-400",
        "1e400",
        "-1e400",
        "0.00001",
        "0.30000000000000004",
        "123456789.125",
        "1.7976931348623157e+308",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "100000000000000000000",
        "123456789012345678901234567890123456789012345678901234567890"};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char body[128], wire[128], error[BATCH_ERROR_SIZE] = "";
        struct batch *batch = NULL;

        snprintf(body, sizeof(body), "[\"X\", %s ]", numbers[i]);
        cr_assert_eq(batch_read(body, strlen(body), BATCH_ONE, &batch, error), 0, "%s: %s", body,
                     error);
        snprintf(wire, sizeof(wire), "*2\r\n$1\r\nX\r\n$%zu\r\n%s\r\n", strlen(numbers[i]),
                 numbers[i]);
        expect_wire(batch, 0, wire, strlen(wire), body);
        batch_free(batch);
    }
}

/* As strings come out of JavaScript that cut a character in two. */
Test(redis_batch, a_lone_surrogate_is_a_replacement_character)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\ude00", "\xef\xbf\xbd"},
        {"abc\\uD83D", "abc\xef\xbf\xbd"},
        {"\\ud83dx\\ude00", "\xef\xbf\xbdx\xef\xbf\xbd"},
        {"\\ud83d\\u0041", "\xef\xbf\xbd"
                           "A"},
        {"\\ud83d\\n", "\xef\xbf\xbd\n"},
        {"\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\udbff\\udfff\\ud800\\udc00", "\xf4\x8f\xbf\xbf\xf0\x90\x80\x80"},
        {"\\ufffe\\uffff\\u07ff\\u0800\\u007f", "\xef\xbf\xbe\xef\xbf\xbf\xdf\xbf\xe0\xa0\x80\x7f"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[128], wire[128], error[BATCH_ERROR_SIZE] = "";
        struct batch *batch = NULL;

        snprintf(body, sizeof(body), "[[\"X\",\"%s\"],[\"GET\",\"k\"]]", rows[i].json);
        cr_assert_eq(batch_read(body, strlen(body), BATCH_MANY, &batch, error), 0, "%s: %s", body,
                     error);
        snprintf(wire, sizeof(wire), "*2\r\n$1\r\nX\r\n$%zu\r\n%s\r\n", strlen(rows[i].text),
                 rows[i].text);
        expect_wire(batch, 0, wire, strlen(wire), body);
        expect_wire(batch, 1, BYTES("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), "the other one");
        batch_free(batch);
    }
}

/* 63 bytes are a name that may be looked up, one more is not. */
Test(redis_batch, long_names_are_no_names)
{
    char body[192], error[BATCH_ERROR_SIZE], x[65];
    struct batch *batch = NULL;

    memset(x, 'X', 64);
    x[64] = '\0';
    snprintf(body, sizeof(body), "[\"%.63s\"]", x);
    cr_assert_eq(batch_read(body, strlen(body), BATCH_ONE, &batch, error), 0);
    cr_expect_eq(strlen(batch->commands[0].name), 63);
    batch_free(batch);
    snprintf(body, sizeof(body), "[\"%.64s\",\"%.64s\"]", x, x);
    cr_assert_eq(batch_read(body, strlen(body), BATCH_ONE, &batch, error), 0);
    cr_expect_str_eq(batch->commands[0].name, "");
    cr_expect_str_eq(batch->commands[0].sub, "");
    batch_free(batch);
}

/* ---- what is refused ---- */

#define LIKE_THIS "it takes a list such as [\"SET\",\"key\",\"value\"]"
#define LIKE_THESE \
    "it takes a list of commands such as [[\"SET\",\"key\",\"value\"],[\"GET\",\"key\"]]"
#define TAKES "it takes strings, numbers and booleans"

static void expect_refusal(const char *body, size_t size, enum batch_shape shape, const char *words)
{
    struct batch *batch = (struct batch *)&batch, *untouched = batch;
    char error[BATCH_ERROR_SIZE] = "";

    cr_expect_eq(batch_read(body, size, shape, &batch, error), -BW_EINVAL, "%s", body);
    cr_expect_eq(batch, untouched, "%s", body);
    cr_expect_str_eq(error, words, "%s: %s", body, error);
}

Test(redis_batch, bad_bodies)
{
    static const struct {
        const char *body;
        size_t size;
        const char *words;
    } rows[] = {
        {BYTES(""), "the body is empty; " LIKE_THIS},
        {BYTES("  "), "not JSON: it ends too early, at byte 2"},
        {BYTES("SET k v"), "not JSON: bad syntax, at byte 1"},
        {BYTES("[\"SET\",\"secret"), "not JSON: it ends too early, at byte 14"},
        {BYTES("[\"SET\""), "not JSON: it ends too early, at byte 6"},
        {BYTES("[\"SET\" \"secret\"]"), "not JSON: a comma or ] is missing, at byte 8"},
        {BYTES("[\"GET\",\"k\"] [\"secret\"]"), "not JSON: something follows the end, at byte 13"},
        {BYTES("[\"GET\"]\0"), "not JSON: something follows the end, at byte 8"},
        {BYTES("[\"GET\",]"), "not JSON: bad syntax, at byte 8"},
        {BYTES("['secret']"), "not JSON: bad syntax, at byte 2"},
        {BYTES("[secret]"), "not JSON: bad syntax, at byte 2"},
        {BYTES("[\"X\",01]"), "not JSON: a comma or ] is missing, at byte 7"},
        {BYTES("[\"X\",-]"), "not JSON: bad syntax, at byte 7"},
        {BYTES("[\"X\",1.]"), "not JSON: bad syntax, at byte 8"},
        {BYTES("[\"X\",1e+]"), "not JSON: bad syntax, at byte 9"},
        {BYTES("[\"X\",.5]"), "not JSON: bad syntax, at byte 6"},
        {BYTES("[\"X\",+5]"), "not JSON: bad syntax, at byte 6"},
        {BYTES("[\"X\",1"), "not JSON: it ends too early, at byte 6"},
        {BYTES("[\"X\",NaN]"), "not JSON: bad syntax, at byte 6"},
        {BYTES("[\"X\",trux]"), "not JSON: bad syntax, at byte 6"},
        {BYTES("[\"X\",tru"), "not JSON: it ends too early, at byte 8"},
        {BYTES("[\"X\",[1,{\"a\":]}]]"), "not JSON: bad syntax, at byte 14"},
        {BYTES("[\"X\",{\"a\" 1}]"), "not JSON: bad syntax, at byte 11"},
        {BYTES("[\"X\",{1:1}]"), "not JSON: bad syntax, at byte 7"},
        {BYTES("\xef\xbb\xbf[\"X\"]"), "not JSON: bad syntax, at byte 1"},
        {BYTES("[\"X\",\"secret\xff\"]"), "not JSON: not UTF-8, at byte 13"},
        {BYTES("[\"X\",\"\xc0\x80\"]"), "not JSON: not UTF-8, at byte 7"},
        {BYTES("[\"X\",\"\xed\xa0\x80\"]"), "not JSON: not UTF-8, at byte 7"},
        {BYTES("[\"X\",\"\\"), "not JSON: it ends too early, at byte 7"},
        {BYTES("[\"X\",\"\\u00"), "not JSON: an unknown escape, at byte 7"},
        {BYTES("[\"X\",\"\\x00\"]"), "not JSON: an unknown escape, at byte 7"},
        {BYTES("[\"X\",\"a\0b\"]"), "not JSON: a control character in a string, at byte 8"},
        {BYTES("[\"X\",\"a\nb\"]"), "not JSON: a control character in a string, at byte 8"},
        {BYTES("[\"X\"\0]"), "not JSON: a NUL, at byte 5"},
        {BYTES("\0"), "not JSON: a NUL, at byte 1"},
        {BYTES("{}"), "an object; " LIKE_THIS},
        {BYTES("{\"command\":\"secret\"}"), "an object; " LIKE_THIS},
        {BYTES("\"PING\""), "a string; " LIKE_THIS},
        {BYTES("1.5"), "a number; " LIKE_THIS},
        {BYTES("true"), "a boolean; " LIKE_THIS},
        {BYTES("null"), "null; " LIKE_THIS},
        {BYTES("[]"), "an empty list; " LIKE_THIS},
        {BYTES("[\"\"]"), "name: empty"},
        {BYTES("[[\"SET\",\"k\",\"secret\"]]"), "name: a list; " TAKES},
        {BYTES("[null,1]"), "name: null; " TAKES},
        {BYTES("[\"SET\",[\"secret\"]]"), "argument 1: a list; " TAKES},
        {BYTES("[\"SET\",\"k\",{\"secret\":1}]"), "argument 2: an object; " TAKES},
        {BYTES("[\"SET\",\"k\",null]"), "argument 2: null; " TAKES},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_refusal(rows[i].body, rows[i].size, BATCH_ONE, rows[i].words);
    }
}

Test(redis_batch, bad_bodies_of_pipelines)
{
    expect_refusal(BYTES(""), BATCH_MANY, "the body is empty; " LIKE_THESE);
    expect_refusal(BYTES("[]"), BATCH_MANY, "an empty list; " LIKE_THESE);
    expect_refusal(BYTES("{}"), BATCH_MANY, "an object; " LIKE_THESE);
    expect_refusal(BYTES("\"PING\""), BATCH_MANY, "a string; " LIKE_THESE);
    expect_refusal(BYTES("[[\"PING\"]"), BATCH_MANY, "not JSON: it ends too early, at byte 9");
    expect_refusal(BYTES("[[\"PING\"],[\"X\",1e]]"), BATCH_MANY,
                   "not JSON: bad syntax, at byte 18");
}

/* What is no argument is skipped, to a depth that no stack minds. */
Test(redis_batch, deep_nesting)
{
    enum { DEPTH = 500000 };
    char *body = malloc((size_t)2 * DEPTH);

    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    expect_refusal(body + DEPTH - 1000, 2000, BATCH_ONE, "name: a list; " TAKES);
    expect_refusal(body, (size_t)2 * DEPTH, BATCH_ONE, "nested too deeply, at byte 2049");
    expect_refusal(body, (size_t)2 * DEPTH, BATCH_MANY, "nested too deeply, at byte 2049");
    expect_refusal(body, DEPTH, BATCH_ONE, "nested too deeply, at byte 2049");
    free(body);
}

/* "[X,X,…]" with `n` times `element`. */
static char *list_of(const char *element, size_t n)
{
    size_t length = strlen(element);
    char *body = malloc(n * (length + 1) + 2), *to = body;

    for (size_t i = 0; i < n; i++) {
        *to++ = i > 0 ? ',' : '[';
        memcpy(to, element, length);
        to += length;
    }
    memcpy(to, "]", 2);
    return body;
}

Test(redis_batch, as_many_arguments_as_may_be)
{
    char *most = list_of("\"a\"", BATCH_ARGUMENTS_MAX),
         *more = list_of("1", BATCH_ARGUMENTS_MAX + 1), *many = list_of("\"secret\"", 100000),
         error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(most, strlen(most), BATCH_ONE, &batch, error), 0);
    cr_expect_eq(batch->commands[0].arguments, BATCH_ARGUMENTS_MAX);
    cr_expect_eq(strncmp(batch_wire(batch, 0), "*65535\r\n$1\r\na\r\n$1\r\n", 19), 0);
    cr_expect_eq(batch->commands[0].size, 8 + (size_t)7 * BATCH_ARGUMENTS_MAX);
    batch_free(batch);
    expect_refusal(more, strlen(more), BATCH_ONE, "65536 elements; it takes 65535 at most");
    expect_refusal(many, strlen(many), BATCH_ONE, "100000 elements; it takes 65535 at most");
    free(most);
    free(more);
    free(many);
}

/* ---- several commands ---- */

Test(redis_batch, as_many_commands_as_may_be)
{
    char *most = list_of("[\"PING\"]", BATCH_COMMANDS_MAX),
         *more = list_of("[\"PING\"]", BATCH_COMMANDS_MAX + 1),
         *many = list_of("[\"PING\"]", 100000), error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(most, strlen(most), BATCH_MANY, &batch, error), 0);
    cr_expect_eq(batch->n, BATCH_COMMANDS_MAX);
    cr_expect_eq(batch->wire.size, (size_t)14 * BATCH_COMMANDS_MAX);
    for (size_t i = 0; i < batch->n; i++) {
        expect_wire(batch, i, BYTES("*1\r\n$4\r\nPING\r\n"), "each");
    }
    batch_free(batch);
    expect_refusal(more, strlen(more), BATCH_MANY, "10001 commands; it takes 10000 at most");
    expect_refusal(many, strlen(many), BATCH_MANY, "100000 commands; it takes 10000 at most");
    free(most);
    free(more);
    free(many);
}

Test(redis_batch, bad_ones_stand_for_themselves)
{
    static const char body[] =
        "[[\"GET\",\"a\"],[],{},[\"SET\",\"k\",[\"secret\"]],[\"\"],[null],7,[\"INCR\",\"n\"]]";
    static const char *const errors[] = {NULL,
                                         "command 2: an empty list; " LIKE_THIS,
                                         "command 3: an object; " LIKE_THIS,
                                         "command 4, argument 2: a list; " TAKES,
                                         "command 5, name: empty",
                                         "command 6, name: null; " TAKES,
                                         "command 7: a number; " LIKE_THIS,
                                         NULL};
    char error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(body, sizeof(body) - 1, BATCH_MANY, &batch, error), 0);
    cr_assert_eq(batch->n, 8);
    cr_expect(batch->many);
    for (size_t i = 0; i < 8; i++) {
        if (!errors[i]) {
            cr_expect_null(batch->commands[i].error);
            continue;
        }
        cr_assert_not_null(batch->commands[i].error, "%s", errors[i]);
        cr_expect_str_eq(batch->commands[i].error, errors[i]);
        cr_expect_eq(batch->commands[i].size, 0);
        cr_expect_eq(batch->commands[i].arguments, 0);
        cr_expect_str_empty(batch->commands[i].name);
    }
    expect_wire(batch, 0, BYTES("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), "the first");
    expect_wire(batch, 7, BYTES("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"), "the last");
    cr_expect_eq(batch->wire.size, batch->commands[0].size + batch->commands[7].size);
    batch_free(batch);
}

/* Room for commands is made by brackets, which these have none of. */
Test(redis_batch, many_that_are_no_commands)
{
    char *body = list_of("7", BATCH_COMMANDS_MAX), *more = list_of("7", BATCH_COMMANDS_MAX + 1),
         error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(body, strlen(body), BATCH_MANY, &batch, error), 0);
    cr_expect_eq(batch->n, BATCH_COMMANDS_MAX);
    cr_expect_str_eq(batch->commands[BATCH_COMMANDS_MAX - 1].error,
                     "command 10000: a number; " LIKE_THIS);
    batch_free(batch);
    expect_refusal(more, strlen(more), BATCH_MANY, "10001 commands; it takes 10000 at most");
    free(body);
    free(more);
}

/* A caller who forgot the outer list. */
Test(redis_batch, one_command_where_several_are_due)
{
    char error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(BYTES("[\"GET\",\"a\"]"), BATCH_MANY, &batch, error), 0);
    cr_expect_eq(batch->n, 2);
    cr_expect_str_eq(batch->commands[0].error, "command 1: a string; " LIKE_THIS);
    cr_expect_str_eq(batch->commands[1].error, "command 2: a string; " LIKE_THIS);
    batch_free(batch);
}

/* Room is asked for once, and not much more than is used. */
Test(redis_batch, a_large_argument_is_copied_once)
{
    enum { SIZE = 1024 * 1024 };
    char *body = malloc(SIZE + 32), error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    memcpy(body, "[\"SET\",\"k\",\"", 12);
    memset(body + 12, 'x', SIZE);
    memcpy(body + 12 + SIZE, "\"]", 2);
    cr_assert_eq(batch_read(body, SIZE + 14, BATCH_ONE, &batch, error), 0);
    cr_expect_gt(batch->wire.size, SIZE);
    cr_expect_leq(batch->wire.room, SIZE + 128);
    batch_free(batch);
    free(body);
}

/* ---- a path ---- */

static struct batch *from_path(const char *raw, char error[BATCH_ERROR_SIZE])
{
    struct batch *batch = batch_new_path();

    if (batch_add_path(batch, raw, error) || batch_end_path(batch, error)) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

Test(redis_batch, paths_that_are_read)
{
    static const struct {
        const char *raw, *wire;
        size_t size;
        const char *name, *sub;
    } rows[] = {
        {"ping", BYTES("*1\r\n$4\r\nping\r\n"), "ping", ""},
        {"Get/Key", BYTES("*2\r\n$3\r\nGet\r\n$3\r\nKey\r\n"), "get", "key"},
        {"set/a%2Fb/c%2fd", BYTES("*3\r\n$3\r\nset\r\n$3\r\na/b\r\n$3\r\nc/d\r\n"), "set", "a/b"},
        {"get/%00", BYTES("*2\r\n$3\r\nget\r\n$1\r\n\0\r\n"), "get", ""},
        {"get/%FF%fe", BYTES("*2\r\n$3\r\nget\r\n$2\r\n\xff\xfe\r\n"), "get", "\xff\xfe"},
        {"set/k/a+b", BYTES("*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na+b\r\n"), "set", "k"},
        {"set/k/%20%0d%0a", BYTES("*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\n \r\n\r\n"), "set", "k"},
        {"set/k//", BYTES("*3\r\n$3\r\nset\r\n$1\r\nk\r\n$0\r\n\r\n"), "set", "k"},
        {"get/k/", BYTES("*2\r\n$3\r\nget\r\n$1\r\nk\r\n"), "get", "k"},
        {"ping/", BYTES("*1\r\n$4\r\nping\r\n"), "ping", ""},
        {"set//v", BYTES("*3\r\n$3\r\nset\r\n$0\r\n\r\n$1\r\nv\r\n"), "set", ""},
        {"get/..", BYTES("*2\r\n$3\r\nget\r\n$2\r\n..\r\n"), "get", ".."},
        {"%67et/%2e", BYTES("*2\r\n$3\r\nget\r\n$1\r\n.\r\n"), "get", "."},
        {"g%00t/k", BYTES("*2\r\n$3\r\ng\0t\r\n$1\r\nk\r\n"), "", "k"},
        {"get/%2541", BYTES("*2\r\n$3\r\nget\r\n$3\r\n%41\r\n"), "get", "%41"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char error[BATCH_ERROR_SIZE] = "";
        struct batch *batch = from_path(rows[i].raw, error);

        cr_assert_not_null(batch, "%s: %s", rows[i].raw, error);
        cr_expect_eq(batch->n, 1);
        cr_expect_not(batch->many);
        expect_wire(batch, 0, rows[i].wire, rows[i].size, rows[i].raw);
        cr_expect_str_eq(batch->commands[0].name, rows[i].name, "%s", rows[i].raw);
        cr_expect_str_eq(batch->commands[0].sub, rows[i].sub, "%s", rows[i].raw);
        batch_free(batch);
    }
}

Test(redis_batch, bad_paths)
{
    static const struct {
        const char *raw, *words;
    } rows[] = {
        {"", "the command's name is empty"},
        {"/", "the command's name is empty"},
        {"/get/k", "the command's name is empty"},
        {"get/secret%", "argument 1: a percent sign without two hexadecimal digits"},
        {"set/k/secret%4", "argument 2: a percent sign without two hexadecimal digits"},
        {"set/k/%zz", "argument 2: a percent sign without two hexadecimal digits"},
        {"g%et", "the command's name: a percent sign without two hexadecimal digits"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char error[BATCH_ERROR_SIZE] = "";

        cr_expect_null(from_path(rows[i].raw, error), "%s", rows[i].raw);
        cr_expect_str_eq(error, rows[i].words, "%s: %s", rows[i].raw, error);
    }
}

Test(redis_batch, a_body_and_a_query_follow_the_path)
{
    char error[BATCH_ERROR_SIZE] = "";
    struct batch *batch = batch_new_path();

    cr_expect_eq(batch_add_path(batch, "set/k", error), 0);
    cr_expect_eq(batch_add_argument(batch, "a\0\r\n", 4, error), 0);
    cr_expect_eq(batch_add_argument(batch, "EX", 2, error), 0);
    cr_expect_eq(batch_add_argument(batch, NULL, 0, error), 0);
    cr_expect_eq(batch_end_path(batch, error), 0);
    expect_wire(batch, 0,
                BYTES("*5\r\n$3\r\nset\r\n$1\r\nk\r\n$4\r\na\0\r\n\r\n$2\r\nEX\r\n$0\r\n\r\n"),
                "all of it");
    batch_free(batch);
}

Test(redis_batch, a_path_of_nothing)
{
    char error[BATCH_ERROR_SIZE] = "";
    struct batch *batch = batch_new_path();

    cr_expect_eq(batch_end_path(batch, error), -BW_EINVAL);
    cr_expect_str_eq(error, "no command");
    batch_free(batch);
}

Test(redis_batch, a_path_of_too_many)
{
    char error[BATCH_ERROR_SIZE] = "", raw[BATCH_ARGUMENTS_MAX + 3];
    struct batch *batch;

    memset(raw, '/', sizeof(raw));
    raw[0] = 'x';
    raw[BATCH_ARGUMENTS_MAX + 1] = '\0'; /* 65535 slashes, the last of which is none */
    batch = from_path(raw, error);
    cr_assert_not_null(batch);
    cr_expect_eq(batch->commands[0].arguments, BATCH_ARGUMENTS_MAX);
    cr_expect_eq(strncmp(batch_wire(batch, 0), "*65535\r\n$1\r\nx\r\n$0\r\n\r\n", 21), 0);
    batch_free(batch);
    raw[BATCH_ARGUMENTS_MAX + 1] = '/';
    raw[BATCH_ARGUMENTS_MAX + 2] = '\0';
    cr_expect_null(from_path(raw, error));
    cr_expect_str_eq(error, "more than 65534 arguments");
}
