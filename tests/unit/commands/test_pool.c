/*
 * The pool against scripted peers, the plain way: how commands are written and answered, names that
 * are asked for, and what a server has to say before it is used.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

/* ---- the plain way ---- */

Test(pool, runs_commands_pipelined_on_one_connection)
{
    static const struct peer_step steps[] = {GREET, ANSWER(INCR GET, ":1\r\n$1\r\n1\r\n"), END};
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
    static const struct peer_step steps[] = {GREET, ANSWER(SET GET, "-ERR no\r\n$-1\r\n"), END};
    struct pool_stage stage = {.rules = "+@all -config"};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE,
        "[[\"SET\",\"k\",\"v\"],[\"CONFIG\",\"GET\",\"x\"],[],[\"GET\",\"k\"]]");

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
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    struct pool_request *request = mem_new(1, sizeof(*request));
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    request->read_only = "the token is read-only";
    cr_assert_not(
        pool_stage_hand_in(&stage, request, AS_PIPELINE, "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]"));
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    expect_words(request, 1, OUTCOME_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(request->commands[1].words, "the token is read-only"));
    pool_stage_close_with(&stage, peer);
}

Test(pool, long_words_come_whole)
{
    static char wire[2100], list[2300];
    static struct peer_step steps[] = {GREET, ANSWER(GET, wire),
                                       ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"),
                                       ANSWER(MULTI GET EXEC, list), END};

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
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"GET\",\"k\"]]");
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
        ANSWER(INFO(7, "xconfig"), "*1\r\n" ENTRY(6, "config", "admin", "admin")),
        ANSWER(INFO(4, "xget"), "*1\r\n" ENTRY(3, "get", "readonly", "read")),
        ANSWER("*2\r\n" BULK(4, "XGET") BULK(1, "k"), "$1\r\n1\r\n"),
        ANSWER("*2\r\n" BULK(4, "XGET") BULK(1, "j"), "$1\r\n2\r\n"),
        END};
    struct pool_stage stage = {.rules = "+@all -@admin"};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"XCONFIG\",\"GET\",\"x\"],[\"XGET\",\"k\"]]");

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
    static const struct peer_step steps[] = {GREET, ANSWER(INFO(3, "foo"), "*1\r\n*-1\r\n"),
                                             ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"FOO\",\"x\"],[\"GET\",\"k\"]]");
    struct pool_request *transaction =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"GET\",\"k\"],[\"FOO\"]]");

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
                                             ANSWER(GET, "*1\r\n*-1\r\n$1\r\n1\r\n"),
                                             ANSWER(INCR, ":1\r\n"),
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"FOO\"],[\"INCR\",\"k\"]]");

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
        ANSWER(INFO(3, "foo"), "*1\r\n" ENTRY(3, "foo", "readonly", "read")),
        ANSWER("*1\r\n" BULK(3, "FOO"), ":1\r\n"),
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
    {PEER_ACCEPT, NULL}, ANSWER(HELLO, "-ERR unknown command 'HELLO'\r\n")
/* clang-format on */
#define ROLE "*1\r\n" BULK(4, "ROLE")
#define INFO_ROLE "*2\r\n" BULK(4, "INFO") BULK(11, "replication")

Test(pool, without_hello_the_role_is_asked_for)
{
    static const struct peer_step steps[] = {
        NO_HELLO, ANSWER(ROLE, "*3\r\n" BULK(6, "master") ":0\r\n*0\r\n"), ANSWER(COMMAND, TABLE),
        ANSWER(GET, "$1\r\n1\r\n"), END};
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
                                             ANSWER(ROLE, "-NOPERM no role\r\n"),
                                             ANSWER(INFO_ROLE, "$13\r\nrole:slave\r\nx\r\n"),
                                             NO_HELLO, /* it is dialled again */
                                             ANSWER(ROLE, "-NOPERM no role\r\n"),
                                             ANSWER(INFO_ROLE, "-NOPERM no info\r\n"),
                                             ANSWER(COMMAND, TABLE),
                                             ANSWER(GET, "$1\r\n1\r\n"),
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
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},        ANSWER(HELLO, HELLO_REPLY(5, "slave")),
        {PEER_WAIT, NULL},          GREET,
        ANSWER(GET, "$1\r\n1\r\n"), END};
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
    static const struct peer_step steps[] = {OPEN,  {PEER_EXPECT, COMMAND},     {PEER_CLOSE, NULL},
                                             GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    int64_t began_ms = clock_boot_ms();
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 25);
    pool_stage_close_with(&stage, peer);
}

Test(pool, where_command_is_denied_every_command_is_a_write)
{
    static const struct peer_step steps[] = {OPEN,
                                             ANSWER(COMMAND, "-NOPERM no command\r\n"),
                                             {PEER_EXPECT, GET},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct pool_stage stage = {.rules = "+get"};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]"),
                        *set = pool_stage_submit(&stage, "[\"SET\",\"k\",\"v\"]");

    pool_stage_run(&stage);
    expect_words(get, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_words(set, 0, OUTCOME_DENIED, "NOPERM ");
    pool_stage_close_with(&stage, peer);
}
