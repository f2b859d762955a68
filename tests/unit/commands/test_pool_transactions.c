/* Transactions: written as one, answered as one, run again whole or not at all. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

Test(pool, transaction_is_contiguous_and_one)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"),
        ANSWER(MULTI INCR GET EXEC, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:7\r\n$1\r\n7\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"],[\"GET\",\"k\"]]");

    pool_stage_run(&stage);
    cr_assert_eq(request->n_commands, 1);
    expect_done(request, 0, "[{\"result\":7},{\"result\":\"7\"}]");
    pool_stage_close_with(&stage, peer);
}

static void check_runs_again_whole(const char *refused)
{
    const struct peer_step steps[] = {
        GREET, ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"), ANSWER(MULTI INCR EXEC, refused),
        ANSWER(MULTI INCR EXEC, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"]]");

    pool_stage_run(&stage);
    expect_done(request, 0, "[{\"result\":1}]");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_EXECABORT]), 1);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    pool_stage_close_with(&stage, peer);
}

Test(pool, transaction_refused_by_a_replica_runs_again_whole)
{
    check_runs_again_whole("+OK\r\n" READONLY
                           "-EXECABORT Transaction discarded because of previous errors.\r\n");
}

/* The server itself says so where it became a replica between the members and EXEC. */
Test(pool, transaction_whose_exec_is_refused_by_a_replica_runs_again_whole)
{
    check_runs_again_whole(
        "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: READONLY You can't write.\r\n");
}

Test(pool, transaction_discarded_for_good_says_why)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"),
        ANSWER(
            MULTI GET INCR EXEC,
            "+OK\r\n+QUEUED\r\n-ERR wrong\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"),
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]");

    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_ERROR, "EXECABORT ");
    cr_expect_not_null(strstr(request->commands[0].words, "command 2: ERR wrong"), "%s",
                       request->commands[0].words);
    pool_stage_close_with(&stage, peer);
}

Test(pool, transaction_where_multi_is_refused_sends_no_member)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(MULTI EXEC, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"),
        ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"]]");

    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_ERROR, "NOPERM no multi");
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, peer);
}

/*
 * Rights may be taken away under way: the first transaction after that tells, and no other runs one
 * by one.
 */
Test(pool, transaction_where_multi_is_refused_later_is_the_last_one)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"),
        ANSWER(MULTI INCR EXEC, "-NOPERM no multi\r\n:1\r\n-ERR EXEC without MULTI\r\n"),
        ANSWER(MULTI EXEC, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *first = pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"]]");

    pool_stage_run(&stage);
    expect_words(first, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    struct pool_request *second =
        pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"]]");
    pool_stage_run(&stage);
    expect_words(second, 0, OUTCOME_ERROR, "NOPERM no multi");
    pool_stage_close_with(&stage, peer);
}
