/*
 * Replies that are too long, and memory that has no room for them: it is one command's loss and
 * nobody else's.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

Test(pool, a_reply_over_the_bound)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(get, 0, OUTCOME_TOO_BIG, "TOOBIG ");
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
    const struct peer_step steps[] = {GREET, ANSWER(GET GET, replies), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    /* hiredis doubles: it may take 1.8 MB for a moment; the last eighth is not for the JSON */
    budget_limit(2000 * 1000);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"GET\",\"k\"]]");
    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_TOO_BIG, "TOOBIG ");
    cr_expect_not_null(strstr(request->commands[0].words, "max-memory"), "%s",
                       request->commands[0].words);
    expect_done(request, 1, "{\"result\":\"v\"");
    pool_stage_close_with(&stage, peer);
    free(replies);
}

/* Its length alone is too much. */
Test(pool, a_reply_that_memory_has_no_room_to_read)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(GET, "$900000\r\n"), {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    budget_limit(600 * 1000);
    struct pool_request *request = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_TOO_BIG, "TOOBIG ");
    cr_expect_not_null(strstr(request->commands[0].words, "max-memory"), "%s",
                       request->commands[0].words);
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
    const struct peer_step steps[] = {GREET, ANSWER(GET GET GET, replies), END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 3000}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"]]");

    pool_stage_run(&stage);
    cr_expect_eq(request->commands[0].outcome, OUTCOME_DONE);
    expect_words(request, 2, OUTCOME_UNKNOWN, "UNKNOWN ");
    cr_expect(budget_used() > SIZE && budget_used() < SIZE + 200 * 1000, "%zu", budget_used());
    pool_stage_close_with(&stage, peer);
    free(replies);
}

/* Only it is refused: the connection stays, and the others are answered. */
Test(pool, a_reply_over_the_bound_costs_nobody_else_anything)
{
    enum { SIZE = 3 << 20 };
    char *reply = mem_new(SIZE + 100, 1);
    const struct peer_step steps[] = {GREET, ANSWER(GET INCR, reply), ANSWER(GET, "$1\r\n1\r\n"),
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
    expect_words(get, 0, OUTCOME_TOO_BIG, "TOOBIG ");
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
    const struct peer_step steps[] = {GREET, ANSWER(GET GET GET GET, replies), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer;

    for (int i = 0; i < REPLIES; i++) {
        at += sprintf(at, "$%d\r\n", REPLY);
        memset(at, 'x', REPLY);
        at += REPLY;
        at += sprintf(at, "\r\n");
    }
    peer = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"]]");
    pool_stage_run(&stage);
    cr_expect_eq(request->commands[0].outcome, OUTCOME_DONE);
    cr_expect_eq(request->commands[1].outcome, OUTCOME_DONE);
    expect_words(request, 2, OUTCOME_TOO_BIG, "TOOBIG ");
    expect_words(request, 3, OUTCOME_TOO_BIG, "TOOBIG ");
    pool_stage_close_with(&stage, peer);
    free(replies);
}
