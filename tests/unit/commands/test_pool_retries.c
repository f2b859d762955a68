/*
 * What runs again, and what does not, when connections are lost or servers refuse: nothing is sent
 * more than three times, and no write twice where nobody said so.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

/* ---- lost connections ---- */

static bool refused_twice_and_sent(struct pool_stage *stage)
{
    return metric_read(&stage->counts->retries[METRIC_RETRY_READ_ONLY]) == 2 &&
           pool_stage_one_in_flight(stage);
}

Test(pool, lost_read_runs_again_and_lost_write_is_unknown)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET INCR},    {PEER_CLOSE, NULL},
                                             OPEN,  ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]"),
                        *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    expect_words(incr, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    cr_expect_geq(stage.suspicions[SUSPICION_LOST], 1);
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_LOST_READ]), 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, lost_write_runs_again_where_the_caller_says_so)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR},    {PEER_CLOSE, NULL},
                                             OPEN,  ANSWER(INCR, ":2\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit_as(&stage, AS_RETRIED, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    pool_stage_close_with(&stage, peer);
}

/* What makes the server hang up would else be sent to it as fast as it can. */
Test(pool, what_is_lost_again_is_given_time)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET},         {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, GET},         {PEER_CLOSE, NULL},
                                             OPEN,  ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    int64_t began_ms = clock_boot_ms();
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 50);
    pool_stage_close_with(&stage, peer);
}

static void check_lost_for_good(const char *command, bool retry, const char *wire)
{
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, wire},    {PEER_CLOSE, NULL},
                                      OPEN,  {PEER_EXPECT, wire},    {PEER_CLOSE, NULL},
                                      OPEN,  {PEER_EXPECT, wire},    {PEER_CLOSE, NULL},
                                      OPEN,  ANSWER(SET, "+OK\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
                            pool_stage_submit_as(&stage, retry ? AS_RETRIED : AS_ONE, command),
                        *set;

    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_UNKNOWN, "UNKNOWN the connection to ");
    cr_expect_not_null(strstr(request->commands[0].words, "each of the 3 times"), "%s",
                       request->commands[0].words);
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
    static const struct peer_step steps[] = {GREET, ANSWER(INCR, READONLY), ANSWER(INCR, READONLY),
                                             ANSWER(INCR, READONLY), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_NOT_SENT, "NOTSENT ");
    cr_expect_not_null(
        strstr(incr->commands[0].words, "3 attempts; before, it was refused: READONLY"), "%s",
        incr->commands[0].words);
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_READ_ONLY]), 2);
    pool_stage_close_with(&stage, peer);
}

/* Another node is asked as often again. */
Test(pool, a_new_master_does_not_pay_for_the_old_one)
{
    static const struct peer_step old[] = {
        GREET, ANSWER(INCR, READONLY), ANSWER(INCR, READONLY), {PEER_EXPECT, INCR}, END};
    static const struct peer_step new[] = {GREET, ANSWER(INCR, READONLY), ANSWER(INCR, READONLY),
                                           ANSWER(INCR, ":1\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", new);
    struct pool_stage stage = {0};
    struct fake_peer *before = pool_stage_open_with(&stage, old);
    struct pool_request *incr = pool_stage_submit_as(&stage, AS_RETRIED, "[\"INCR\",\"k\"]");

    pool_stage_run_until(&stage, refused_twice_and_sent);
    pool_stage_publish(&stage, fake_peer_address(peer), 2, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close_with(&stage, before);
    fake_peer_end(peer);
}

/*
 * An argument that is longer than the server takes: its words are the answer, and who stands behind
 * it runs.
 */
Test(pool, what_the_server_cannot_read_is_answered_with_its_words)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER("$33554432\r\n", "-ERR Protocol error: invalid bulk length\r\n"), OPEN,
        ANSWER(INCR, ":1\r\n"), END};
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
    expect_words(large, 0, OUTCOME_ERROR, "ERR Protocol error: invalid bulk length");
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close_with(&stage, peer);
    free(set);
}

/* @return whether its time was over while it rested: not before, as where all stood still. */
static bool is_told_while_resting(void)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "-LOADING Redis is loading\r\n"),
                                             END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 40}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    bool told;

    pool_stage_run(&stage);
    told = get->commands[0].outcome == OUTCOME_NOT_SENT &&
           strncmp(get->commands[0].words, "NOTSENT ", 8) == 0 &&
           strstr(get->commands[0].words, "LOADING Redis is loading");
    pool_stage_close(&stage);
    (void)fake_peer_join(peer);
    fake_peer_free(peer);
    return told;
}

Test(pool, refused_while_resting_is_told_at_the_end)
{
    bool told = false;

    for (int tries = 0; tries < 10 && !told; tries++) {
        told = is_told_while_resting();
    }
    cr_expect(told);
}

/* ---- refusals ---- */

Test(pool, read_only_refusal_tells_the_watcher_and_runs_again)
{
    static const struct peer_step steps[] = {GREET, ANSWER(INCR, READONLY), ANSWER(INCR, ":1\r\n"),
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
    static const struct peer_step steps[] = {GREET, ANSWER(EVAL, READONLY), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *eval = pool_stage_submit(&stage, "[\"EVAL\",\"s\",0]");

    pool_stage_run(&stage);
    expect_words(eval, 0, OUTCOME_ERROR, "READONLY ");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_read_behind_a_refused_write_sees_it)
{
    static const struct peer_step steps[] = {GREET, ANSWER(SET GET, READONLY "$3\r\nold\r\n"),
                                             ANSWER(SET GET, "+OK\r\n$1\r\nv\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]");

    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"OK\"");
    expect_done(request, 1, "{\"result\":\"v\"");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_IN_ORDER]), 1);
    pool_stage_close_with(&stage, peer);
}
