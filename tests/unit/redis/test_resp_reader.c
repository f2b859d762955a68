/* Bytes become replies without a connection: trees, JSON, and what is longer than allowed. */
#include "redis/resp_reader.h"

#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/budget.h"

static void start(struct resp_reader *reader)
{
    *reader = (struct resp_reader){.limit = 100};
    resp_reader_start(reader, redisReaderCreate());
}

static void feed(struct resp_reader *reader, const char *bytes)
{
    cr_assert(resp_reader_feed(reader, bytes, strlen(bytes)), "for %s", bytes);
}

static enum resp_outcome next(struct resp_reader *reader, struct result *into)
{
    struct conn_arena memory;
    redisReply *tree;
    enum resp_outcome outcome = resp_reader_next(reader, into, &tree, &memory);

    if (outcome == RESP_TREE) {
        cr_expect_eq(tree->type, REDIS_REPLY_ARRAY);
        cr_expect_str_eq(tree->element[0]->str, "abc");
        conn_arena_release(&memory);
    }
    return outcome;
}

Test(redis_resp_reader, each_reply_takes_the_form_that_was_asked_for_when_it_began)
{
    static const char list[] = "*1\r\n$3\r\nabc\r\n";
    struct resp_reader reader;
    struct result result;

    start(&reader);
    result_init(&result, RESULT_JSON, 0);
    for (const char *c = list; *c != '\0'; c++) {
        cr_expect_eq(next(&reader, c > list + 1 ? &result : NULL), RESP_NOTHING);
        cr_assert(resp_reader_feed(&reader, c, 1));
    }
    cr_expect_eq(next(&reader, &result), RESP_TREE);
    feed(&reader, list);
    feed(&reader, list);
    cr_expect_eq(next(&reader, &result), RESP_JSON);
    cr_expect_eq(strncmp(result.json.bytes, "{\"result\":[\"abc\"]", result.json.size), 0);
    resp_reader_end_json(&reader);
    cr_expect_eq(next(&reader, NULL), RESP_TREE);
    cr_expect_eq(next(&reader, NULL), RESP_NOTHING);
    resp_reader_trim(&reader);
    result_release(&result);
    resp_reader_stop(&reader);
    cr_expect_eq(budget_used(), 0);
}

Test(redis_resp_reader, what_is_too_long_is_skipped_with_what_belongs_to_it)
{
    struct resp_reader reader;
    struct result result;

    start(&reader);
    result_init(&result, RESULT_JSON, 0);
    feed(&reader, "*2\r\n:1\r\n$200\r\n0123456789");
    cr_expect_eq(next(&reader, &result), RESP_TOO_LONG);
    cr_expect_eq(resp_reader_limit(&reader), 100);
    resp_reader_skip(&reader, 1);
    resp_reader_end_json(&reader);
    for (int i = 0; i < 19; i++) {
        feed(&reader, "0123456789");
        cr_expect_eq(next(&reader, &result), RESP_NOTHING);
    }
    feed(&reader, "\r\n+one behind it\r\n*1\r\n$3\r\nabc\r\n");
    cr_expect_eq(next(&reader, NULL), RESP_TREE);
    result_release(&result);
    resp_reader_stop(&reader);
    cr_expect_eq(budget_used(), 0);
}

Test(redis_resp_reader, what_is_no_resp_is_told)
{
    struct resp_reader reader;

    start(&reader);
    feed(&reader, "?\r\n");
    cr_expect_eq(next(&reader, NULL), RESP_MALFORMED);
    cr_expect_neq(*resp_reader_error(&reader), '\0');
    resp_reader_stop(&reader);
    start(&reader);
    feed(&reader, "*99999999\r\n");
    cr_expect_eq(next(&reader, NULL), RESP_MALFORMED);
    resp_reader_stop(&reader);
}
