/* Transactions: many replies, one result. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/redis/json_result.h"
#include "json_result_fixture.h"

Test(redis_result, a_transaction_is_a_list)
{
    static const struct result_row rows[] = {
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n"),
         "[{\"result\":\"OK\"},{\"result\":1}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGTYPE no\r\n$-1\r\n"),
         "[{\"error\":\"WRONGTYPE no\"},{\"result\":null}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*0\r\n*2\r\n*1\r\n-ERR in\r\n+b\r\n"),
         "[{\"result\":[]},{\"result\":[[\"ERR in\"],\"b\"]}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n%1\r\n+a\r\n+b\r\n*-1\r\n"),
         "[{\"result\":[\"a\",\"b\"]},{\"result\":null}]"},
    };
    static const struct result_row encoded[] = {
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n*1\r\n$2\r\nOK\r\n"),
         "[{\"result\":\"OK\"},{\"result\":[\"T0s=\"]}]"},
        {BYTES("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\na\r\n-ERR no\r\n"),
         "[{\"result\":\"YQ==\"},{\"error\":\"ERR no\"}]"},
    };

    EXPECT_RESULTS(rows, RESULT_JSON, 2);
    EXPECT_RESULTS(encoded, RESULT_BASE64, 2);
}

Test(redis_result, a_discarded_transaction)
{
    struct result result;

    result_init(&result, RESULT_JSON, 3);
    result_read_all(&result, "+OK\r\n+QUEUED\r\n-READONLY You can't write\r\n-ERR second\r\n"
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

    result_init(&result, RESULT_JSON, 2);
    result_read_all(&result, "+OK\r\n-LOADING no\r\n+QUEUED\r\n-EXECABORT no\r\n");
    cr_expect_eq(result.refused_member, 0);
    result_release(&result);
    result_init(&result, RESULT_JSON, 2);
    cr_expect_str_eq(result.refused, "");
    result_read_all(&result, "+OK\r\n+QUEUED\r\n-LOADING no\r\n-EXECABORT no\r\n");
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

    result_init(&result, RESULT_JSON, 2);
    result_read_all(
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

        result_init(&result, RESULT_JSON, 1);
        result_read_all(&result, wires[i]);
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

        result_init(&result, RESULT_JSON, 1);
        result_read_all(&result, wires[i]);
        cr_expect_eq(result.kind, RESULT_PUSH, "%s", wires[i]);
        cr_expect_eq(result.json.size, 0);
        result_release(&result);
    }
}
