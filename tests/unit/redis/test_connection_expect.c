/*
 * Commands in wire form whose answers are written as JSON, mixed with others: who gets which reply,
 * what was written when a connection is lost, what may be done from inside `done`, and what is
 * taken back.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "bellwether/redis/connection.h"
#include "connection_story.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

/* ---- who gets what ---- */

Test(redis_conn_expect, speaks_resp2)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING, "+PONG\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    cr_expect_not(story.conn->resp3);
    story_send_ping(&story);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "{\"result\":\"PONG\"");
    story_end(&story);
}

Test(redis_conn_expect, answered_in_order_with_commands)
{
    static const struct peer_step steps[] = {
        GREET,
        ANSWER(PING PING PING PING PING PING,
               "+one\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n-ERR four\r\n-ERR five\r\n$-1\r\n"),
        END};
    struct story story = {0};

    story_tell(&story, steps);
    for (int i = 0; i < 3; i++) {
        story_send_ping(&story);
        i == 1 ? story_send_ping(&story) : story_send_command(&story);
    }
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "{\"result\":\"one\"");
    call_expect_text(&story.calls[1], 2, "2");
    call_expect_text(&story.calls[2], 3, "{\"result\":[3,\"x\"]");
    call_expect_text(&story.calls[3], 4, "ERR four");
    call_expect_text(&story.calls[4], 5, "ERR five");
    call_expect_text(&story.calls[5], 6, "");
    cr_expect_eq(story.calls[3].kind, RESULT_ERROR);
    story_end(&story);
}

Test(redis_conn_expect, transaction_has_many_replies)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, PING PING},
        {PEER_TRICKLE, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-WRONGTYPE of x\r\n:7\r\n"},
        ANSWER(PING, "+OK\r\n-READONLY you can't\r\n-EXECABORT so\r\n"),
        END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_transaction(&story, 2);
    story_send_command(&story);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "[{\"result\":\"OK\"},{\"error\":\"WRONGTYPE of x\"}]");
    call_expect_text(&story.calls[1], 2, "7");
    story_send_transaction(&story, 1);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[2], 3, "EXECABORT so");
    cr_expect_str_eq(story.calls[2].expect.result.refused, "READONLY you can't");
    story_end(&story);
}

#define MIXED \
    "*3\r\n$5\r\nhello\r\n*2\r\n:1\r\n$0\r\n\r\n$-1\r\n" \
    ":41\r\n" \
    "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$2\r\n\r\n\r\n*0\r\n" \
    "$12\r\na\r\nb\r\nc\r\ndef\r\n" \
    "$4\r\ntree\r\n" \
    "-ERR no\r\n"

/* What the bytes mean may not depend on how they come. */
static void feed_mixed(struct story *story, size_t first, size_t piece)
{
    const size_t size = strlen(MIXED);
    char bytes[sizeof(MIXED)];

    story->n_calls = 0;
    story->n_done = 0;
    memset(story->calls, 0, sizeof(story->calls));
    story_send_ping(story);
    story_send_command(story);
    story_send_transaction(story, 2);
    story_send_ping(story);
    story_send_command(story);
    story_send_ping(story);
    story->conn->taken = story->conn->appended;
    conn_enter(story->conn);
    for (size_t at = 0, n = first; at < size; at += n, n = piece) {
        if (n > size - at) {
            n = size - at;
        }
        memcpy(bytes, &(MIXED)[at], n); /* nothing may be read beyond them */
        conn_replies_take(story->conn, bytes, n);
        memset(bytes, 'z', n);
    }
    conn_leave(story->conn);
    cr_assert_eq(story->n_done, 6, "first %zu, then %zu: %d done", first, piece, story->n_done);
    call_expect_text(&story->calls[0], 1, "{\"result\":[\"hello\",[1,\"\"],null]");
    call_expect_text(&story->calls[1], 2, "41");
    call_expect_text(&story->calls[2], 3, "[{\"result\":\"\\r\\n\"},{\"result\":[]}]");
    call_expect_text(&story->calls[3], 4, "{\"result\":\"a\\r\\nb\\r\\nc\\r\\ndef\"");
    call_expect_text(&story->calls[4], 5, "tree");
    call_expect_text(&story->calls[5], 6, "ERR no");
    for (size_t i = 0; i < story->n_calls; i++) {
        result_release(&story->calls[i].expect.result);
    }
}

Test(redis_conn_expect, in_pieces_cut_anywhere)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct story story = {0};

    story_tell(&story, steps);
    for (size_t cut = 1; cut < strlen(MIXED); cut++) {
        feed_mixed(&story, cut, strlen(MIXED));
    }
    for (size_t piece = 1; piece < 9; piece++) {
        feed_mixed(&story, piece, piece);
    }
    story.n_calls = 0;
    fake_peer_release(story.peer);
    story_end(&story);
}

Test(redis_conn_expect, not_ready)
{
    static const struct peer_step steps[] = {GREET, END};
    struct story story = {0};

    story_tell_to(&story, steps, 2);
    call_expect_lost(story_send_ping(&story), REDIS_FAIL_CLOSED, false);
    story_run_until(&story, story_is_ready);
    redis_conn_close(story.conn);
    call_expect_lost(story_send_ping(&story), REDIS_FAIL_CLOSED, false);
    story_end(&story);
}

Test(redis_conn_expect, counts_what_it_received)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING, "+PONG\r\n"),
                                             ANSWER(PING, ":1\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    cr_expect_eq(redis_conn_received(story.conn), strlen(HELLO_REPLY));
    cr_expect_eq(story_send_ping(&story)->expect.received, strlen(HELLO_REPLY));
    story_run_until(&story, story_all_done);
    cr_expect_eq(redis_conn_received(story.conn), strlen(HELLO_REPLY "+PONG\r\n"));
    cr_expect_eq(story_send_ping(&story)->expect.received, strlen(HELLO_REPLY "+PONG\r\n"));
    story_run_until(&story, story_all_done);
    story_end(&story);
}

/* ---- answers to nothing ---- */

static void check_unasked(int protocol, const char *early, const char *late, const char *word)
{
    const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                      ANSWER(protocol == 2 ? HELLO_2 : HELLO_3, HELLO_REPLY),
                                      {PEER_SEND, early},
                                      ANSWER(PING, late),
                                      END};
    struct story story = {0};

    story_tell_to(&story, steps, protocol);
    story_run_until(&story, story_is_ready);
    if (*early != '\0') {
        while (redis_conn_received(story.conn) < strlen(HELLO_REPLY) + strlen(early)) {
            story_run_until(&story, story_is_ready);
        }
    }
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    story_expect_end(&story, REDIS_FAIL_PROTOCOL, word);
    call_expect_lost(&story.calls[0], REDIS_FAIL_PROTOCOL, true);
    story_end(&story);
}

Test(redis_conn_expect, unasked)
{
    check_unasked(3, "", ">2\r\n$10\r\ninvalidate\r\n_\r\n", "not the kind");
    check_unasked(2, "", ">2\r\n$10\r\ninvalidate\r\n$-1\r\n", "not the kind");
    check_unasked(2, "+be", "gun before\r\n", "nobody asked for");
    check_unasked(2, "-ERR idl", "e\r\n", "unasked: ERR idle");
    check_unasked(2, "", "!!!\r\n", "rotocol error");
}

Test(redis_conn_expect, answered_twice)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING, "+OK\r\n+once more\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    story_expect_end(&story, REDIS_FAIL_PROTOCOL, "nobody asked for");
    call_expect_text(&story.calls[0], 1, "{\"result\":\"OK\"");
    story_end(&story);
}

/*
 * It came too early to be the answer: taken for it, the owner would hear that the command was
 * refused, and it would run.
 */
Test(redis_conn_expect, answered_before_it_was_sent)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_SEND, "-ERR idle\r\n"}, END};
    struct story story = {0};
    const struct timespec nap = {.tv_nsec = 1000 * 1000};

    story_tell(&story, steps);
    fake_peer_release(story.peer);
    story_send_ping(&story);
    conn_enter(story.conn);
    for (int i = 0; i < 5000 && story.n_closed == 0; i++) {
        conn_stream_drain(story.conn); /* the turn has not ended yet */
        nanosleep(&nap, NULL);
    }
    conn_leave(story.conn);
    story_expect_end(&story, REDIS_FAIL_PROTOCOL, "unasked: ERR idle");
    call_expect_lost(&story.calls[0], REDIS_FAIL_PROTOCOL, false);
    story_end(&story);
}

/* ---- lost ---- */

enum way { BY_RESET, BY_CLOSE, BY_FREE };

#define MUCH ((size_t)24 * 1024 * 1024)

static void check_lost(enum way way)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_HOLD, NULL}, {PEER_RESET, NULL}, {PEER_END, NULL}};
    struct story story = {0};
    struct call *first, *command, *big, *last;

    story_tell(&story, steps);
    first = story_send_ping(&story);
    command = story_send_command(&story);
    story_run_until(&story, story_nothing_unsent);
    cr_expect(redis_conn_has_written(story.conn, &first->expect));
    big = story_send_pattern(&story, 0, MUCH);
    last = story_send_ping(&story);
    cr_expect_not(redis_conn_has_written(story.conn, &big->expect));
    story_run_until(&story, story_socket_is_full);
    cr_expect(story.conn->taken > story.conn->appended - MUCH, "written in part");
    cr_expect_not(redis_conn_has_written(story.conn, &big->expect));
    if (way == BY_CLOSE) {
        redis_conn_close(story.conn);
    } else if (way == BY_FREE) {
        redis_conn_free(story.conn);
        story.conn = NULL;
    }
    fake_peer_release(story.peer);
    if (way == BY_RESET) {
        story_run_until(&story, story_is_closed);
        story_expect_end(&story, REDIS_FAIL_CLOSED, "");
    }
    cr_expect_eq(story.n_closed, way == BY_RESET);
    call_expect_lost(first, REDIS_FAIL_CLOSED, true);
    call_expect_lost(command, REDIS_FAIL_CLOSED, false);
    call_expect_lost(big, REDIS_FAIL_CLOSED, false);
    call_expect_lost(last, REDIS_FAIL_CLOSED, false);
    cr_expect_eq(last->place, 4);
    story_end(&story);
}

Test(redis_conn_expect, says_what_was_written)
{
    check_lost(BY_RESET);
    check_lost(BY_CLOSE);
    check_lost(BY_FREE);
}

/* Written to the last byte, then lost: it may have run. */
Test(redis_conn_expect, lost_after_it_was_written)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING, "*2\r\n:1\r\n$100\r\nabc"), {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story);
    story_run_until(&story, story_is_closed);
    story_expect_end(&story, REDIS_FAIL_CLOSED, "end of file");
    call_expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, true);
    story_end(&story);
}

/* ---- from inside `done` ---- */

static void check_deed(enum deed deed, bool free_twice)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING PING PING, ":1\r\n:2\r\n:3\r\n"),
                                             END};
    struct story story = {0};

    story_tell(&story, steps);
    for (int i = 0; i < 3; i++) {
        story_send_ping(&story);
    }
    story.calls[1].deed = deed;
    if (free_twice) {
        story.calls[2].deed = FREE;
    }
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 1, "{\"result\":1");
    call_expect_text(&story.calls[1], 2, "{\"result\":2");
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, true);
    cr_expect_eq(story.calls[2].place, 3);
    cr_expect_eq(story.n_closed, 0);
    story_end(&story);
}

Test(redis_conn_expect, closed_and_freed_in_done)
{
    check_deed(FREE, false);
    check_deed(CLOSE, false);
    check_deed(CLOSE, true);
}

Test(redis_conn_expect, freed_while_being_lost)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_RESET, NULL}, {PEER_END, NULL}};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story)->deed = FREE;
    story_send_ping(&story);
    story_run_until(&story, story_all_done);
    call_expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, true);
    call_expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, true);
    cr_expect_eq(story.n_closed, 0);
    story_end(&story);
}

Test(redis_conn_expect, opened_again_while_being_lost)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_RESET, NULL}, GREET, END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story)->deed = REOPEN;
    story_send_ping(&story)->deed = SEND; /* not ready yet */
    story.n_ready = 0;
    story_run_until(&story, story_is_ready);
    cr_expect_eq(story.n_closed, 0);
    call_expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, true);
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    story_end(&story);
}

Test(redis_conn_expect, sends_from_inside_done)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING PING, ":1\r\n:2\r\n"),
                                             ANSWER(PING PING, ":3\r\n:4\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story)->deed = SEND;
    story_send_command(&story)->deed = SEND;
    story_run_until(&story, story_all_done);
    cr_expect_eq(story.n_calls, 4);
    call_expect_text(&story.calls[2], 3, "{\"result\":3");
    call_expect_text(&story.calls[3], 4, "{\"result\":4");
    story_end(&story);
}

/* ---- what is taken back ---- */

Test(redis_conn_expect, withdrawn_before_the_turn_ends)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING PING, "+A\r\n+B\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_ping(&story);
    story_send_command(&story); /* stays, and what is before it */
    story_send_wire(&story, "never", 5);
    story_send_wire(&story, "seen", 4);
    redis_conn_withdraw(story.conn);
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    call_expect_lost(&story.calls[3], REDIS_FAIL_CLOSED, false);
    cr_expect_lt(story.calls[2].place, story.calls[3].place, "the oldest first");
    redis_conn_withdraw(story.conn);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 3, "{\"result\":\"A\"");
    cr_expect_eq(story.calls[1].done, 1);
    story_end(&story);
}

Test(redis_conn_expect, withdrawn_with_nothing_before_it)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING, "+A\r\n"), END};
    struct story story = {0};

    story_tell(&story, steps);
    story_send_wire(&story, "never", 5);
    redis_conn_withdraw(story.conn);
    call_expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, false);
    story_send_ping(&story);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[1], 2, "{\"result\":\"A\"");
    story_end(&story);
}

/* Of what the socket took a part goes out the rest, too. */
Test(redis_conn_expect, withdrawn_from_a_backlog)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_SWALLOW, "20971520"}, {PEER_SEND, ":1\r\n:2\r\n"}, END};
    const size_t large = (size_t)16 * 1024 * 1024, small = large / 4;
    struct story story = {0};

    story_tell(&story, steps);
    story_send_pattern(&story, 0, large);
    story_run_until(&story, story_socket_is_full);
    story_send_wire(&story, "never", 5);
    story_send_pattern(&story, 7, small);
    cr_expect_geq(redis_conn_clogged(story.conn), small);
    redis_conn_withdraw(story.conn);
    cr_expect_eq(story.calls[0].done, 0);
    call_expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, false);
    call_expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    story_send_pattern(&story, large, small);
    fake_peer_release(story.peer);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[0], 3, "{\"result\":1");
    call_expect_text(&story.calls[3], 4, "{\"result\":2");
    cr_expect_eq(redis_conn_clogged(story.conn), 0);
    story_end(&story);
}

/* Its answer has begun though it was not sent: it stays where the reader writes to. */
Test(redis_conn_expect, not_withdrawn_while_it_is_answered)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING, "+A\r\n*2\r\n:1\r\n"), {PEER_HOLD, NULL}, {PEER_SEND, ":2\r\n"}, END};
    struct story story = {0};
    struct call *late;

    story_tell(&story, steps);
    story_send_ping(&story);
    late = story_send_pattern(&story, 0, (size_t)16 * 1024 * 1024);
    story_run_until(&story, story_socket_is_full);
    while (story.conn->reader.sink.into != &late->expect.result) {
        story_run_until(&story, story_is_ready);
    }
    redis_conn_withdraw(story.conn);
    cr_expect_eq(late->done, 0);
    fake_peer_release(story.peer);
    story_run_until(&story, story_is_closed);
    call_expect_lost(late, REDIS_FAIL_PROTOCOL, false);
    story_end(&story);
}
