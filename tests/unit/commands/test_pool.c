/*
 * The pool against scripted peers, the plain way: how commands are written and answered, names that
 * are asked for, and what a server has to say before it is used.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
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
    expect_words(request, 0, OUTCOME_ERROR, "ERR no");
    expect_words(request, 1, OUTCOME_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(request->commands[1].words, "-config"), "%s",
                       request->commands[1].words);
    expect_words(request, 2, OUTCOME_BAD, "BADREQUEST ");
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
    expect_words(request, 1, OUTCOME_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(request->commands[1].words, "the token is read-only"));
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
    expect_words(request, 0, OUTCOME_ERROR, "ERR 000");
    cr_assert_eq(request->commands[0].json.size, 2004);
    cr_expect_str_eq(request->commands[0].json.bytes + 2000, "0007");
    struct pool_request *transaction =
        pool_stage_submit_as(&stage, "[[\"GET\",\"k\"]]", true, true, false);
    pool_stage_run(&stage);
    expect_words(transaction, 0, OUTCOME_ERROR, "EXECABORT because (command 1: ERR 000");
    cr_expect_eq(
        strncmp(transaction->commands[0].json.bytes, "EXECABORT because (command 1: ERR 000", 37),
        0);
    cr_expect_str_eq(transaction->commands[0].json.bytes + transaction->commands[0].json.size - 3,
                     "07)");
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
    expect_words(request, 0, OUTCOME_DENIED,
                 "NOPERM this daemon does not run 'xconfig' for you: -@admin");
    expect_done(request, 1, "{\"result\":\"1\"");
    struct pool_request *again = pool_stage_submit(&stage, "[\"XGET\",\"j\"]");
    struct pool_request *denied = pool_stage_submit(&stage, "[\"xconfig\",\"GET\",\"x\"]");
    pool_stage_run(&stage);
    expect_done(again, 0, "{\"result\":\"2\"");
    expect_words(denied, 0, OUTCOME_DENIED, "NOPERM ");
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
    expect_words(request, 0, OUTCOME_BAD, "ERR unknown command 'FOO'");
    expect_done(request, 1, "{\"result\":\"1\"");
    expect_words(transaction, 0, OUTCOME_BAD, "EXECABORT ");
    cr_expect_not_null(
        strstr(transaction->commands[0].words, "command 2: ERR unknown command 'FOO'"));
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
    expect_words(request, 1, OUTCOME_BAD, "ERR unknown command 'FOO'");
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
    expect_words(get, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_words(set, 0, OUTCOME_DENIED, "NOPERM ");
    pool_stage_close_with(&stage, peer);
}
