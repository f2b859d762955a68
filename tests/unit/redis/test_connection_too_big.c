/*
 * Replies that are too long: the one command is told so, as soon as it is known, and the others are
 * answered; and commands that the server can't read.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "bellwether/redis/connection.h"
#include "connection_story.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

/* ---- too long ---- */

#define LIMIT 1000

static bool second_done(struct story *story)
{
    return story->calls[1].done > 0;
}

/*
 * One that is answered, one that is too long, and two that are answered behind it. @param send
 * PEER_SEND or PEER_TRICKLE.
 */
static void check_too_big_by(enum peer_action send, const char *reply, unsigned members,
                             bool too_big)
{
    const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING PING PING}, {send, reply}, {PEER_SEND, ":3\r\n:4\r\n"}, END};
    struct story story = {0};

    story_tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    story_send_ping(&story);
    members > 0 ? story_send_transaction(&story, members) : story_send_ping(&story);
    story_send_ping(&story);
    story_send_command(&story);
    story_run_until(&story, second_done);
    if (too_big) {
        call_expect_lost(&story.calls[1], REDIS_FAIL_TOO_BIG, true);
    }
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "{\"result\":1");
    call_expect_text(&story.calls[2], 3, "{\"result\":3");
    call_expect_text(&story.calls[3], 4, "4");
    cr_expect_eq(story.n_closed, 0);
    cr_expect_not(redis_conn_is_skipping(story.conn));
    cr_expect_lt(sdsalloc(story.conn->reader.parser->buf), 4096, "the buffer was kept");
    story_end(&story);
}

static void check_too_big(const char *reply, unsigned members, bool too_big)
{
    check_too_big_by(PEER_SEND, reply, members, too_big);
    check_too_big_by(PEER_TRICKLE, reply, members, too_big);
}

/* It is told as soon as it is known; the rest never comes. */
static void check_known_at_once(const char *reply, unsigned members)
{
    const struct peer_step steps[] = {GREET,
                                      ANSWER(PING PING PING PING, reply),
                                      {PEER_HOLD, NULL},
                                      {PEER_CLOSE, NULL},
                                      {PEER_END, NULL}};
    struct story story = {0};

    story_tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    story_send_ping(&story);
    members > 0 ? story_send_transaction(&story, members) : story_send_ping(&story);
    story_send_ping(&story);
    story_send_command(&story);
    story_run_until(&story, second_done);
    call_expect_lost(&story.calls[1], REDIS_FAIL_TOO_BIG, true);
    cr_expect(redis_conn_is_skipping(story.conn));
    cr_expect_eq(story.calls[2].done, 0);
    fake_peer_release(story.peer);
    story_run_until(&story, story_is_closed);
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, true);
    story_end(&story);
}

static const char *filled(const char *before, size_t size, const char *after)
{
    static char text[4096];

    snprintf(text, sizeof(text), "%s%0*d%s", before, (int)size, 0, after);
    return text;
}

Test(redis_conn_expect, too_big)
{
    check_too_big(filled(":1\r\n$993\r\n", 993, "\r\n"), 0, true); /* 8 are around them */
    check_too_big(filled(":1\r\n+", 998, "\r\n"), 0, true);
    check_too_big(filled(":1\r\n-", 998, "\r\n"), 0, true);
    check_too_big(filled(":1\r\n*2\r\n:1\r\n$990\r\n", 990, "\r\n"), 0, true);
}

/* The rest of lists is skipped on all their levels. */
Test(redis_conn_expect, too_big_in_depth)
{
    check_too_big(filled(":1\r\n*3\r\n:1\r\n*2\r\n*3\r\n$1000\r\n", 1000,
                         "\r\n*-1\r\n*2\r\n:1\r\n$-1\r\n*0\r\n$5\r\n\r\n$1\r\r\n"),
                  0, true);
    check_too_big(filled(":1\r\n*2\r\n%2\r\n:1\r\n$1000\r\n", 1000,
                         "\r\n+a\r\n%1\r\n#t\r\n,1.5\r\n~2\r\n_\r\n(123\r\n"),
                  0, true);
    check_too_big(filled(":1\r\n*3\r\n=1004\r\ntxt:", 1000, "\r\n$0\r\n\r\n-ERR no\r\n"), 0, true);
}

Test(redis_conn_expect, too_big_is_known_by_what_is_announced)
{
    check_known_at_once(":1\r\n$993\r\n", 0);
    check_known_at_once(":1\r\n$999999999999\r\n", 0);
    check_known_at_once(":1\r\n*2\r\n:1\r\n$990\r\n", 0);
    check_known_at_once(filled(":1\r\n+", 1001, ""), 0);
    check_known_at_once(filled(":1\r\n*1000\r\n:1\r\n+", 990, ""), 0);
    check_known_at_once(":1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$968\r\n", 2);
}

static bool first_done(struct story *story)
{
    return story->calls[0].done > 0;
}

static void check_no_resp(const char *reply, const char *behind)
{
    const struct peer_step steps[] = {GREET,
                                      ANSWER(PING PING, reply),
                                      {PEER_HOLD, NULL},
                                      {PEER_SEND, filled("", 2000, behind)},
                                      END};
    struct story story = {0};

    story_tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    story_send_ping(&story);
    story_send_ping(&story);
    story_run_until(&story, first_done);
    call_expect_lost(&story.calls[0], REDIS_FAIL_TOO_BIG, true);
    fake_peer_release(story.peer);
    story_run_until(&story, story_is_closed);
    cr_expect_eq(story.why, REDIS_FAIL_PROTOCOL, "%s: %s", redis_fail_text(story.why), story.words);
    call_expect_lost(&story.calls[1], REDIS_FAIL_PROTOCOL, true);
    story_end(&story);
}

Test(redis_conn_expect, too_big_and_no_resp)
{
    check_no_resp("$2000\r\n", "\r\n?\r\n");
    check_no_resp("*2\r\n$2000\r\n", "\r\n?\r\n");
    check_no_resp("*2\r\n$2000\r\n", "\r\n$1x\r\n");
    check_no_resp("*2\r\n$2000\r\n", "\r\n$99999999999999999999\r\n");
    check_no_resp("*2\r\n$2000\r\n", "\r\n*2000000000000000\r\n");
}

/* ---- what a server can't read ---- */

/* It says so before all of the command is there, and reads nothing behind it. */
Test(redis_conn_expect, a_command_that_the_server_cannot_read)
{
    enum { SIZE = 32 * 1024 * 1024 };
    static const struct peer_step steps[] = {
        GREET,
        ANSWER(PING, ":1\r\n-ERR Protocol error: invalid bulk length\r\n"),
        {PEER_HOLD, NULL},
        {PEER_RESET, NULL},
        {PEER_END, NULL}};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story);
    story_send_pattern(&story, 0, SIZE);
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    call_expect_text(&story.calls[0], 1, "{\"result\":1");
    call_expect_text(&story.calls[1], 2, "ERR Protocol error: invalid bulk length");
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    fake_peer_release(story.peer);
    story_end(&story);
}

Test(redis_conn_expect, a_member_that_the_server_cannot_read)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING PING, "+OK\r\n+QUEUED\r\n-ERR Protocol error: invalid bulk length\r\n"),
        END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_transaction(&story, 2);
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    call_expect_text(&story.calls[0], 1,
                     "EXECABORT Transaction discarded because of previous errors.");
    cr_expect_eq(story.calls[0].expect.result.refused_member, 1);
    call_expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, false);
    story_end(&story);
}

/* A script may say that as well: then it is an answer like others. */
Test(redis_conn_expect, words_that_a_script_may_say)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING PING, "-ERR Protocol error: x\r\n:2\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story);
    story_send_ping(&story);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "ERR Protocol error: x");
    call_expect_text(&story.calls[1], 2, "{\"result\":2");
    cr_expect_eq(story.n_closed, 0);
    story_end(&story);
}

Test(redis_conn_expect, as_big_as_may_be)
{
    check_too_big(filled(":1\r\n$992\r\n", 992, "\r\n"), 0, false);
    check_too_big(filled(":1\r\n+", 997, "\r\n"), 0, false);
}

Test(redis_conn_expect, transaction_counts_together)
{
    check_too_big(filled(":1\r\n+OK\r\n+QUEUED\r\n*1\r\n$975\r\n", 975, "\r\n"), 1, true);
    check_too_big(filled(":1\r\n+OK\r\n+QUEUED\r\n*1\r\n$974\r\n", 974, "\r\n"), 1, false);
    check_too_big(filled(":1\r\n+OK\r\n+", 1000, "\r\n*1\r\n:1\r\n"), 1, true);
}

/* Where a tree was asked for it is a fault of the peer, and a limit of its own. */
Test(redis_conn_expect, command_with_a_reply_too_long)
{
    const struct peer_step steps[] = {
        GREET, ANSWER(PING PING PING, filled("$1001\r\n", 1001, "\r\n$16777206\r\n")), END};
    struct story story = {0};

    story_tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    story_send_command(&story);
    story_send_command(&story);
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    cr_expect_eq(story.calls[0].why, REDIS_FAIL_NONE);
    story_expect_end(&story, REDIS_FAIL_PROTOCOL, "16 MiB");
    call_expect_lost(&story.calls[2], REDIS_FAIL_PROTOCOL, true);
    story_end(&story);
}
