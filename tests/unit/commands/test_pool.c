/*
 * The pool against scripted peers: how commands are written and answered, and settled when
 * connections are lost or servers refuse, and that every request ends exactly once.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

/* ---- the plain way ---- */

Test(pool, runs_commands_pipelined_on_one_connection)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR GET}, {PEER_SEND, ":1\r\n$1\r\n1\r\n"}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]"),
                        *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect(incr->has_ran_at && address_equal(&incr->ran_at, fake_peer_address(peer)));
    cr_expect_eq(metric_read(&stage.counts->commands[METRIC_COMMAND_OUTCOME_DONE]), 2);
    pool_stage_close_with(&stage, peer);
}

Test(pool, pipeline_answers_each_for_itself)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, SET GET}, {PEER_SEND, "-ERR no\r\n$-1\r\n"}, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage, "+@all -config");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *request = pool_stage_submit_as(
        &stage, "[[\"SET\",\"k\",\"v\"],[\"CONFIG\",\"GET\",\"x\"],[],[\"GET\",\"k\"]]", true,
        false, false);
    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_ERROR, "ERR no");
    expect_words(request, 1, ITEM_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(request->items[1].words, "-config"), "%s", request->items[1].words);
    expect_words(request, 2, ITEM_BAD, "BADREQUEST ");
    expect_done(request, 3, "{\"result\":null");
    cr_expect_eq(metric_read(&stage.counts->policy_refusals), 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, read_only_requests_run_reads_only)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};
    struct pool_request *request = pool_request_new();
    const char *two = "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]";
    char error[BATCH_ERROR_SIZE];

    pool_stage_open(&stage, "+@all");
    pool_stage_publish_peer(&stage, peer);
    cr_assert_eq(batch_read(two, strlen(two), BATCH_MANY, &request->batch, error), 0);
    request->read_only = "the token is read-only";
    snprintf(request->master, sizeof(request->master), "mymaster");
    request->done = pool_stage_request_ended;
    request->data = &stage;
    stage.requests[stage.n_requests++] = request;
    cr_assert_not(pool_run(stage.pool, request));
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    expect_words(request, 1, ITEM_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(request->items[1].words, "the token is read-only"));
    pool_stage_close_with(&stage, peer);
}

Test(pool, long_words_come_whole)
{
    static char wire[2100], list[2300];
    static struct peer_step steps[] = {GREET,
                                       {PEER_EXPECT, GET},
                                       {PEER_SEND, wire},
                                       {PEER_EXPECT, MULTI EXEC},
                                       {PEER_SEND, "+OK\r\n*0\r\n"},
                                       {PEER_EXPECT, MULTI GET EXEC},
                                       {PEER_SEND, list},
                                       END};

    snprintf(wire, sizeof(wire), "-ERR %02000d\r\n", 7);
    snprintf(list, sizeof(list), "+OK\r\n%s-EXECABORT because\r\n", wire);
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_ERROR, "ERR 000");
    cr_assert_eq(request->items[0].json.size, 2004);
    cr_expect_str_eq(request->items[0].json.bytes + 2000, "0007");
    struct pool_request *transaction =
        pool_stage_submit_as(&stage, "[[\"GET\",\"k\"]]", true, true, false);
    pool_stage_run(&stage);
    expect_words(transaction, 0, ITEM_ERROR, "EXECABORT because (command 1: ERR 000");
    cr_expect_eq(
        strncmp(transaction->items[0].json.bytes, "EXECABORT because (command 1: ERR 000", 37), 0);
    cr_expect_str_eq(transaction->items[0].json.bytes + transaction->items[0].json.size - 3, "07)");
    pool_stage_close_with(&stage, peer);
}

/* ---- names that the table lacks ---- */

#define INFO(n, name) "*3\r\n" BULK(7, "COMMAND") BULK(4, "INFO") BULK(n, name)

Test(pool, a_renamed_command_is_asked_for_once_and_judged_as_what_it_is)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, INFO(7, "xconfig")},
        {PEER_SEND, "*1\r\n" ENTRY(6, "config", "admin", "admin")},
        {PEER_EXPECT, INFO(4, "xget")},
        {PEER_SEND, "*1\r\n" ENTRY(3, "get", "readonly", "read")},
        {PEER_EXPECT, "*2\r\n" BULK(4, "XGET") BULK(1, "k")},
        {PEER_SEND, "$1\r\n1\r\n"},
        {PEER_EXPECT, "*2\r\n" BULK(4, "XGET") BULK(1, "j")},
        {PEER_SEND, "$1\r\n2\r\n"},
        END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage, "+@all -@admin");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *request = pool_stage_submit_as(
        &stage, "[[\"XCONFIG\",\"GET\",\"x\"],[\"XGET\",\"k\"]]", true, false, false);
    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_DENIED,
                 "NOPERM this daemon does not run 'xconfig' for you: -@admin");
    expect_done(request, 1, "{\"result\":\"1\"");
    struct pool_request *again = pool_stage_submit(&stage, "[\"XGET\",\"j\"]");
    struct pool_request *denied = pool_stage_submit(&stage, "[\"xconfig\",\"GET\",\"x\"]");
    pool_stage_run(&stage);
    expect_done(again, 0, "{\"result\":\"2\"");
    expect_words(denied, 0, ITEM_DENIED, "NOPERM ");
    pool_stage_close_with(&stage, peer);
}

Test(pool, what_the_server_does_not_know_is_not_sent)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INFO(3, "foo")},
                                             {PEER_SEND, "*1\r\n*-1\r\n"},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"FOO\",\"x\"],[\"GET\",\"k\"]]", true, false, false);
    struct pool_request *transaction =
        pool_stage_submit_as(&stage, "[[\"GET\",\"k\"],[\"FOO\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_BAD, "ERR unknown command 'FOO'");
    expect_done(request, 1, "{\"result\":\"1\"");
    expect_words(transaction, 0, ITEM_BAD, "EXECABORT ");
    cr_expect_not_null(strstr(transaction->items[0].words, "command 2: ERR unknown command 'FOO'"));
    cr_expect_eq(metric_read(&stage.counts->policy_refusals), 0);
    pool_stage_close_with(&stage, peer);
}

/* What stands before a name that is asked for does not wait for the answer. */
Test(pool, the_others_go_ahead_of_a_name_that_is_asked_for)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INFO(3, "foo")},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "*1\r\n*-1\r\n$1\r\n1\r\n"},
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, ":1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(
        &stage, "[[\"GET\",\"k\"],[\"FOO\"],[\"INCR\",\"k\"]]", true, false, false);

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    expect_words(request, 1, ITEM_BAD, "ERR unknown command 'FOO'");
    expect_done(request, 2, "{\"result\":1");
    pool_stage_close_with(&stage, peer);
}

/* The connection is lost under the question: it is asked again on the next one. */
Test(pool, a_name_is_asked_for_again_where_the_connection_was_lost)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, INFO(3, "foo")},
        {PEER_CLOSE, NULL},
        OPEN,
        {PEER_EXPECT, INFO(3, "foo")},
        {PEER_SEND, "*1\r\n" ENTRY(3, "foo", "readonly", "read")},
        {PEER_EXPECT, "*1\r\n" BULK(3, "FOO")},
        {PEER_SEND, ":1\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit(&stage, "[\"FOO\"]");

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":1");
    pool_stage_close_with(&stage, peer);
}

/* ---- without HELLO ---- */

/* clang-format off */
#define NO_HELLO \
    {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_SEND, "-ERR unknown command 'HELLO'\r\n"}
/* clang-format on */
#define ROLE "*1\r\n" BULK(4, "ROLE")
#define INFO_ROLE "*2\r\n" BULK(4, "INFO") BULK(11, "replication")

Test(pool, without_hello_the_role_is_asked_for)
{
    static const struct peer_step steps[] = {NO_HELLO,
                                             {PEER_EXPECT, ROLE},
                                             {PEER_SEND, "*3\r\n" BULK(6, "master") ":0\r\n*0\r\n"},
                                             {PEER_EXPECT, COMMAND},
                                             {PEER_SEND, TABLE},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, peer);
}

Test(pool, without_hello_and_role_info_tells)
{
    static const struct peer_step steps[] = {NO_HELLO,
                                             {PEER_EXPECT, ROLE},
                                             {PEER_SEND, "-NOPERM no role\r\n"},
                                             {PEER_EXPECT, INFO_ROLE},
                                             {PEER_SEND, "$13\r\nrole:slave\r\nx\r\n"},
                                             NO_HELLO, /* it is dialled again */
                                             {PEER_EXPECT, ROLE},
                                             {PEER_SEND, "-NOPERM no role\r\n"},
                                             {PEER_EXPECT, INFO_ROLE},
                                             {PEER_SEND, "-NOPERM no info\r\n"},
                                             {PEER_EXPECT, COMMAND},
                                             {PEER_SEND, TABLE},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    cr_expect_eq(stage.suspicions[SUSPICION_ROLE], 1);
    pool_stage_close_with(&stage, peer);
}

/* ---- transactions ---- */

Test(pool, transaction_is_contiguous_and_one)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR GET EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:7\r\n$1\r\n7\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"],[\"GET\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    cr_assert_eq(request->n_items, 1);
    expect_done(request, 0, "[{\"result\":7},{\"result\":\"7\"}]");
    pool_stage_close_with(&stage, peer);
}

Test(pool, transaction_refused_by_a_replica_runs_again_whole)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND,
         "+OK\r\n" READONLY "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_done(request, 0, "[{\"result\":1}]");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_EXECABORT]), 1);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, transaction_discarded_for_good_says_why)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI GET INCR EXEC},
        {PEER_SEND,
         "+OK\r\n+QUEUED\r\n-ERR wrong\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_ERROR, "EXECABORT ");
    cr_expect_not_null(strstr(request->items[0].words, "command 2: ERR wrong"), "%s",
                       request->items[0].words);
    pool_stage_close_with(&stage, peer);
}

Test(pool, transaction_where_multi_is_refused_sends_no_member)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"},
        {PEER_EXPECT, GET},
        {PEER_SEND, "$1\r\n1\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_ERROR, "NOPERM no multi");
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, peer);
}

/* The server itself says so where it became a replica between the members and EXEC. */
Test(pool, transaction_whose_exec_is_refused_by_a_replica_runs_again_whole)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND,
         "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: READONLY You can't write.\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_done(request, 0, "[{\"result\":1}]");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_EXECABORT]), 1);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    pool_stage_close_with(&stage, peer);
}

/*
 * Rights may be taken away under way: the first transaction after that tells, and no other runs one
 * by one.
 */
Test(pool, transaction_where_multi_is_refused_later_is_the_last_one)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "-NOPERM no multi\r\n:1\r\n-ERR EXEC without MULTI\r\n"},
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *first =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);

    pool_stage_run(&stage);
    expect_words(first, 0, ITEM_UNKNOWN, "UNKNOWN ");
    struct pool_request *second =
        pool_stage_submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    pool_stage_run(&stage);
    expect_words(second, 0, ITEM_ERROR, "NOPERM no multi");
    pool_stage_close_with(&stage, peer);
}

/* ---- lost connections ---- */

static bool refused_twice_and_sent(struct pool_stage *stage)
{
    return metric_read(&stage->counts->retries[METRIC_RETRY_READ_ONLY]) == 2 &&
           pool_stage_one_in_flight(stage);
}

Test(pool, lost_read_runs_again_and_lost_write_is_unknown)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET INCR}, {PEER_CLOSE, NULL},
        OPEN,  {PEER_EXPECT, GET},      {PEER_SEND, "$1\r\n1\r\n"},
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]"),
                        *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    cr_expect_geq(stage.suspicions[SUSPICION_LOST], 1);
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_LOST_READ]), 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, lost_write_runs_again_where_the_caller_says_so)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, INCR}, {PEER_SEND, ":2\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr =
        pool_stage_submit_as(&stage, "[\"INCR\",\"k\"]", false, false, true);

    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    pool_stage_close_with(&stage, peer);
}

/* What makes the server hang up would else be sent to it as fast as it can. */
Test(pool, what_is_lost_again_is_given_time)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET}, {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, GET}, {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};
    int64_t began_ms = clock_boot_ms();

    pool_stage_open(&stage, "+@all");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 50);
    pool_stage_close_with(&stage, peer);
}

static void check_lost_for_good(const char *command, bool retry, const char *wire)
{
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, wire}, {PEER_CLOSE, NULL},
                                      OPEN,  {PEER_EXPECT, wire}, {PEER_CLOSE, NULL},
                                      OPEN,  {PEER_EXPECT, wire}, {PEER_CLOSE, NULL},
                                      OPEN,  {PEER_EXPECT, SET},  {PEER_SEND, "+OK\r\n"},
                                      END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(&stage, command, false, false, retry), *set;

    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_UNKNOWN, "UNKNOWN the connection to ");
    cr_expect_not_null(strstr(request->items[0].words, "each of the 3 times"), "%s",
                       request->items[0].words);
    set = pool_stage_submit(&stage, "[\"SET\",\"k\",\"v\"]");
    pool_stage_run(&stage);
    expect_done(set, 0, "{\"result\":\"OK\"");
    pool_stage_close_with(&stage, peer);
}

/*
 * A read that the server hangs up on costs those who share its connection three times, not as often
 * as time allows.
 */
Test(pool, nothing_is_sent_more_than_three_times)
{
    check_lost_for_good("[\"GET\",\"k\"]", false, GET);
    check_lost_for_good("[\"INCR\",\"k\"]", true, INCR);
}

Test(pool, what_is_refused_each_time_says_so)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, READONLY},
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, READONLY},
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, READONLY},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(incr, 0, ITEM_NOT_SENT, "NOTSENT ");
    cr_expect_not_null(strstr(incr->items[0].words, "3 attempts; before, it was refused: READONLY"),
                       "%s", incr->items[0].words);
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_READ_ONLY]), 2);
    pool_stage_close_with(&stage, peer);
}

/* Another node is asked as often again. */
Test(pool, a_new_master_does_not_pay_for_the_old_one)
{
    static const struct peer_step old[] = {GREET,
                                           {PEER_EXPECT, INCR},
                                           {PEER_SEND, READONLY},
                                           {PEER_EXPECT, INCR},
                                           {PEER_SEND, READONLY},
                                           {PEER_EXPECT, INCR},
                                           {PEER_WAIT, NULL},
                                           {PEER_END, NULL}};
    static const struct peer_step new[] = {GREET,
                                           {PEER_EXPECT, INCR},
                                           {PEER_SEND, READONLY},
                                           {PEER_EXPECT, INCR},
                                           {PEER_SEND, READONLY},
                                           {PEER_EXPECT, INCR},
                                           {PEER_SEND, ":1\r\n"},
                                           END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", new);
    struct pool_stage stage = {0};
    struct fake_peer *before = pool_stage_open_with(&stage, old);
    struct pool_request *incr =
        pool_stage_submit_as(&stage, "[\"INCR\",\"k\"]", false, false, true);

    pool_stage_run_until(&stage, refused_twice_and_sent);
    pool_stage_publish(&stage, fake_peer_address(peer), 2, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close(&stage);
    fake_peer_end(before);
    fake_peer_end(peer);
}

/*
 * An argument that is longer than the server takes: its words are the answer, and who stands behind
 * it runs.
 */
Test(pool, what_the_server_cannot_read_is_answered_with_its_words)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, "$33554432\r\n"},
        {PEER_SEND, "-ERR Protocol error: invalid bulk length\r\n"},
        OPEN,
        {PEER_EXPECT, INCR},
        {PEER_SEND, ":1\r\n"},
        END};
    enum { SIZE = 32 * 1024 * 1024 };
    char *set = mem_new(SIZE + 40, 1);
    int at = sprintf(set, "[\"SET\",\"k\",\"");
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    memset(set + at, 'x', SIZE);
    strcpy(set + at + SIZE, "\"]");
    struct pool_request *large = pool_stage_submit(&stage, set),
                        *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(large, 0, ITEM_ERROR, "ERR Protocol error: invalid bulk length");
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close_with(&stage, peer);
    free(set);
}

Test(pool, refused_while_resting_is_told_at_the_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_SEND, "-LOADING Redis is loading\r\n"}, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 40}};

    pool_stage_open(&stage, "+@all");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(get, 0, ITEM_NOT_SENT, "NOTSENT ");
    cr_expect_not_null(strstr(get->items[0].words, "LOADING Redis is loading"), "%s",
                       get->items[0].words);
    pool_stage_close_with(&stage, peer);
}

/* ---- refusals ---- */

Test(pool, read_only_refusal_tells_the_watcher_and_runs_again)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, READONLY},
                                             {PEER_EXPECT, INCR},
                                             {PEER_SEND, ":1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    int64_t began_ms = clock_boot_ms();

    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    cr_expect_geq(clock_boot_ms() - began_ms, 50);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, scripts_are_not_believed)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, EVAL}, {PEER_SEND, READONLY}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *eval = pool_stage_submit(&stage, "[\"EVAL\",\"s\",0]");

    pool_stage_run(&stage);
    expect_words(eval, 0, ITEM_ERROR, "READONLY ");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_read_behind_a_refused_write_sees_it)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, SET GET},
                                             {PEER_SEND, READONLY "$3\r\nold\r\n"},
                                             {PEER_EXPECT, SET GET},
                                             {PEER_SEND, "+OK\r\n$1\r\nv\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]", true, false, false);

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"OK\"");
    expect_done(request, 1, "{\"result\":\"v\"");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_IN_ORDER]), 1);
    pool_stage_close_with(&stage, peer);
}

/* ---- others that refuse ---- */

Test(pool, a_node_that_is_no_master_is_not_used)
{
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                             {PEER_EXPECT, HELLO},
                                             {PEER_SEND, HELLO_REPLY(5, "slave")},
                                             {PEER_WAIT, NULL},
                                             GREET,
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(stage.suspicions[SUSPICION_ROLE], 1);
    pool_stage_close_with(&stage, peer);
}

/* Else commands that wait would have it dialled as fast as it can hang up. */
Test(pool, a_node_that_hangs_up_before_it_told_its_commands_is_given_time)
{
    static const struct peer_step steps[] = {
        OPEN,  {PEER_EXPECT, COMMAND}, {PEER_CLOSE, NULL},
        GREET, {PEER_EXPECT, GET},     {PEER_SEND, "$1\r\n1\r\n"},
        END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};
    int64_t began_ms = clock_boot_ms();

    pool_stage_open(&stage, "+@all");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 25);
    pool_stage_close_with(&stage, peer);
}

Test(pool, where_command_is_denied_every_command_is_a_write)
{
    static const struct peer_step steps[] = {OPEN,
                                             {PEER_EXPECT, COMMAND},
                                             {PEER_SEND, "-NOPERM no command\r\n"},
                                             {PEER_EXPECT, GET},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage, "+get");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]"),
                        *set = pool_stage_submit(&stage, "[\"SET\",\"k\",\"v\"]");
    pool_stage_run(&stage);
    expect_words(get, 0, ITEM_UNKNOWN, "UNKNOWN ");
    expect_words(set, 0, ITEM_DENIED, "NOPERM ");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_reply_over_the_bound)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(get, 0, ITEM_TOO_BIG, "TOOBIG ");
    cr_expect_eq(stage.suspicions[SUSPICION_LOST], 0);
    pool_stage_close_with(&stage, peer);
}

/* A string of `size` bytes, then a short one. @return free() it. */
static char *long_then_short(size_t size)
{
    char *replies = mem_new(size + 64, 1);
    size_t at = (size_t)sprintf(replies, "$%zu\r\n", size);

    memset(replies + at, 'x', size);
    (void)strcpy(replies + at + size, "\r\n$1\r\nv\r\n");
    return replies;
}

/* There is room to read it, but none to keep it: that is this command's loss, and nobody else's. */
Test(pool, a_reply_that_memory_has_no_room_to_keep)
{
    enum { SIZE = 900 * 1000 };
    char *replies = long_then_short(SIZE);
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET GET}, {PEER_SEND, replies}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    /* hiredis doubles: it may take 1.8 MB for a moment; the last eighth is not for the JSON */
    budget_limit(2000 * 1000);
    struct pool_request *request =
        pool_stage_submit_as(&stage, "[[\"GET\",\"k\"],[\"GET\",\"k\"]]", true, false, false);
    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_TOO_BIG, "TOOBIG ");
    cr_expect_not_null(strstr(request->items[0].words, "max-memory"), "%s",
                       request->items[0].words);
    expect_done(request, 1, "{\"result\":\"v\"");
    pool_stage_close_with(&stage, peer);
    free(replies);
}

/* Its length alone is too much. */
Test(pool, a_reply_that_memory_has_no_room_to_read)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$900000\r\n"},
                                             {PEER_FLOOD, NULL},
                                             {PEER_END, NULL}};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    budget_limit(600 * 1000);
    struct pool_request *request = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(request, 0, ITEM_TOO_BIG, "TOOBIG ");
    cr_expect_not_null(strstr(request->items[0].words, "max-memory"), "%s",
                       request->items[0].words);
    cr_expect_lt(budget_used(), 600 * 1000);
    pool_stage_close_with(&stage, peer);
}

/*
 * What is held while a request waits for the rest is counted, and given back when its time is over.
 */
Test(pool, what_a_request_holds_is_counted)
{
    enum { SIZE = 900 * 1000 };
    char *replies = long_then_short(SIZE);
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET GET GET}, {PEER_SEND, replies}, END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 300}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(
        &stage, "[[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"]]", true, false, false);

    pool_stage_run(&stage);
    cr_expect_eq(request->items[0].outcome, ITEM_DONE);
    expect_words(request, 2, ITEM_UNKNOWN, "UNKNOWN ");
    cr_expect(budget_used() > SIZE && budget_used() < SIZE + 200 * 1000, "%zu", budget_used());
    pool_stage_close_with(&stage, peer);
    free(replies);
}

/* Only it is refused: the connection stays, and the others are answered. */
Test(pool, a_reply_over_the_bound_costs_nobody_else_anything)
{
    enum { SIZE = 3 << 20 };
    char *reply = mem_new(SIZE + 100, 1);
    const struct peer_step steps[] = {GREET,
                                      {PEER_EXPECT, GET INCR},
                                      {PEER_SEND, reply},
                                      {PEER_EXPECT, GET},
                                      {PEER_SEND, "$1\r\n1\r\n"},
                                      END};
    struct pool_stage stage = {0};
    struct fake_peer *peer;
    int at = sprintf(reply, "*2\r\n:1\r\n*1\r\n$%d\r\n", SIZE);

    memset(reply + at, '$', SIZE);
    strcpy(reply + at + SIZE, "\r\n:1\r\n");
    peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]"),
                        *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(get, 0, ITEM_TOO_BIG, "TOOBIG ");
    expect_done(incr, 0, "{\"result\":1");
    get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, peer);
    free(reply);
}

/* Each reply is within the bound; together they are not. */
Test(pool, replies_of_a_pipeline_over_the_bound_together)
{
    enum { REPLY = 400 * 1000, REPLIES = 4 };
    char *replies = mem_new(REPLIES * (REPLY + 20) + 1, 1), *at = replies;
    const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET GET GET GET}, {PEER_SEND, replies}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer;

    for (int i = 0; i < REPLIES; i++) {
        at += sprintf(at, "$%d\r\n", REPLY);
        memset(at, 'x', REPLY);
        at += REPLY;
        at += sprintf(at, "\r\n");
    }
    peer = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(&stage, "+@all");
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *request = pool_stage_submit_as(
        &stage, "[[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"]]", true, false,
        false);
    pool_stage_run(&stage);
    cr_expect_eq(request->items[0].outcome, ITEM_DONE);
    cr_expect_eq(request->items[1].outcome, ITEM_DONE);
    expect_words(request, 2, ITEM_TOO_BIG, "TOOBIG ");
    expect_words(request, 3, ITEM_TOO_BIG, "TOOBIG ");
    pool_stage_close_with(&stage, peer);
    free(replies);
}
