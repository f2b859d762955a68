/*
 * Commands in wire form whose answers are written as JSON, mixed with others: who gets which reply,
 * what was written when a connection is lost, replies that are too long, and what may be done from
 * inside `done`.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "fake_peer.h"
#include "redis/connection_internal.h"

#define HELLO_2 "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n"
#define HELLO_3 "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
#define HELLO_REPLY "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
#define GREET \
    {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO_2}, \
    { \
        PEER_SEND, HELLO_REPLY \
    }
#define DONE \
    {PEER_WAIT, NULL}, \
    { \
        PEER_END, NULL \
    }
#define CALLS 16

enum deed { NOTHING, FREE, CLOSE, SEND, REOPEN };

struct call {
    struct redis_expect expect;
    struct story *story;
    bool is_command;
    enum deed deed; /* in `done` */
    /* what happened */
    int done; /* times */
    int place;
    enum redis_fail why;
    bool written;
    enum result_kind kind;
    char text[512]; /* of the answer */
    size_t size;    /* of its JSON */
};

struct story {
    struct loop *loop;
    struct redis_conn *conn;
    struct fake_peer *peer;
    struct loop_timer *guard, *tick;
    bool (*until)(struct story *story);
    struct call calls[CALLS];
    size_t n_calls;
    int n_done, n_ready, n_closed;
    bool guard_fired;
    enum redis_fail why;
    char words[256];
    uint64_t received, most_in_a_turn;
};

/* ---- a story: a connection, its peer, and a loop that runs until something is so ---- */

static void on_ready(void *data, const redisReply *hello)
{
    struct story *story = data;

    cr_expect_eq(hello->type, REDIS_REPLY_ARRAY);
    story->n_ready++;
}

static void on_closed(void *data, enum redis_fail why, const char *words)
{
    struct story *story = data;

    for (size_t i = 0; i < story->n_calls; i++) {
        cr_expect_eq(story->calls[i].done, 1, "call %zu was not completed before `closed`", i);
    }
    story->n_closed++;
    story->why = why;
    snprintf(story->words, sizeof(story->words), "%s", words);
}

static void on_guard(void *data)
{
    struct story *story = data;

    story->guard_fired = true;
    loop_stop(story->loop);
}

/* Looked at in each turn, and every few milliseconds. */
static void on_turn(void *data)
{
    struct story *story = data;
    uint64_t received = story->conn ? redis_conn_received(story->conn) : 0;

    if (received > story->received && received - story->received > story->most_in_a_turn) {
        story->most_in_a_turn = received - story->received;
    }
    story->received = received;
    if (story->until && story->until(story)) {
        story->until = NULL;
        loop_stop(story->loop);
    }
}

static void on_tick(void *data)
{
    struct story *story = data;

    loop_timer_start(story->tick, 5);
}

static void run_until(struct story *story, bool (*until)(struct story *story))
{
    story->until = until;
    loop_run(story->loop);
    cr_assert_not(story->guard_fired, "the story did not end");
}

static bool is_ready(struct story *story)
{
    return story->n_ready > 0;
}

static bool is_closed(struct story *story)
{
    return story->n_closed > 0;
}

static bool all_done(struct story *story)
{
    return (size_t)story->n_done >= story->n_calls;
}

static bool nothing_unsent(struct story *story)
{
    return story->conn->taken == story->conn->appended;
}

/* Two looks in a row, milliseconds apart, found the socket full. */
static bool socket_is_full(struct story *story)
{
    static uint64_t last;
    bool full = story->conn->wanted == (LOOP_READ | LOOP_WRITE) && story->conn->taken == last;

    last = story->conn->taken;
    return full;
}

static void tell_to(struct story *story, const struct peer_step *steps, int protocol)
{
    const struct redis_conn_hooks hooks = {.ready = on_ready, .closed = on_closed};

    signal(SIGPIPE, SIG_IGN);
    story->peer = fake_peer_start("127.0.0.1", steps);
    cr_assert_not_null(story->peer);
    story->loop = loop_new();
    loop_on_turn(story->loop, on_turn, story);
    story->conn = redis_conn_new(story->loop, &hooks, story);
    story->guard = loop_timer_new(story->loop, on_guard, story);
    story->tick = loop_timer_new(story->loop, on_tick, story);
    loop_timer_start(story->guard, 20000);
    loop_timer_start(story->tick, 5);
    redis_conn_speak(story->conn, protocol);
    redis_conn_open(story->conn, fake_peer_address(story->peer), NULL, NULL, 5000);
}

/* Connect and be greeted. */
static void tell(struct story *story, const struct peer_step *steps)
{
    tell_to(story, steps, 2);
    run_until(story, is_ready);
}

static void end(struct story *story)
{
    const char *trouble;

    redis_conn_free(story->conn);
    story->conn = NULL;
    for (size_t i = 0; i < story->n_calls; i++) {
        cr_expect_eq(story->calls[i].done, 1, "call %zu was completed %d times", i,
                     story->calls[i].done);
        result_release(&story->calls[i].expect.result);
    }
    loop_timer_free(story->guard);
    loop_timer_free(story->tick);
    loop_free(story->loop);
    trouble = fake_peer_join(story->peer);
    cr_expect_null(trouble, "peer: %s", trouble ? trouble : "");
    fake_peer_free(story->peer);
}

/* ---- calls ---- */

static struct call *send_wire(struct story *story, const char *wire, size_t size);

static void act(struct call *call)
{
    struct story *story = call->story;

    switch (call->deed) {
    case NOTHING: break;
    case FREE:
        redis_conn_free(story->conn);
        story->conn = NULL;
        break;
    case CLOSE: redis_conn_close(story->conn); break;
    case SEND: send_wire(story, PING, strlen(PING)); break;
    case REOPEN:
        redis_conn_open(story->conn, fake_peer_address(story->peer), NULL, NULL, 5000);
        break;
    }
}

static void on_done(struct redis_expect *expect, enum redis_fail why, bool written)
{
    struct call *call = (struct call *)(void *)expect; /* its first member */
    const struct result *result = &expect->result;
    size_t size =
        result->json.size < sizeof(call->text) ? result->json.size : sizeof(call->text) - 1;

    call->done++;
    call->place = ++call->story->n_done;
    call->why = why;
    call->written = written;
    call->kind = result->kind;
    call->size = result->json.size;
    if (result->kind == RESULT_ERROR) {
        snprintf(call->text, sizeof(call->text), "%s", result->error);
    } else if (size > 0) {
        snprintf(call->text, sizeof(call->text), "%.*s", (int)size, result->json.bytes);
    }
    act(call);
}

static void on_reply(void *data, const redisReply *reply, enum redis_fail why)
{
    struct call *call = data;

    call->done++;
    call->place = ++call->story->n_done;
    call->why = why;
    if (reply && reply->type == REDIS_REPLY_INTEGER) {
        snprintf(call->text, sizeof(call->text), "%lld", reply->integer);
    } else if (reply && reply->str) {
        snprintf(call->text, sizeof(call->text), "%s", reply->str);
    }
    act(call);
}

static struct call *new_call(struct story *story, unsigned members)
{
    struct call *call = &story->calls[story->n_calls++];

    cr_assert_leq(story->n_calls, CALLS);
    call->story = story;
    result_init(&call->expect.result, false, members);
    call->expect.done = on_done;
    return call;
}

static struct call *send_wire(struct story *story, const char *wire, size_t size)
{
    struct call *call = new_call(story, 0);

    redis_conn_send(story->conn, wire, size, &call->expect);
    return call;
}

static struct call *send_ping(struct story *story)
{
    return send_wire(story, PING, strlen(PING));
}

static struct call *send_transaction(struct story *story, unsigned members)
{
    struct call *call = new_call(story, members);

    redis_conn_send(story->conn, PING, strlen(PING), &call->expect);
    return call;
}

static struct call *send_command(struct story *story)
{
    struct call *call = new_call(story, 0);
    const char *argv[] = {"PING"};

    call->is_command = true;
    redis_conn_command(story->conn, on_reply, call, 0, 1, argv, NULL);
    return call;
}

/* Bytes that go nowhere in particular: what PEER_SWALLOW wants, from its byte `from` on. */
static struct call *send_pattern(struct story *story, size_t from, size_t size)
{
    char *bytes = mem_new(size, 1);
    struct call *call;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = fake_peer_byte(from + i);
    }
    call = send_wire(story, bytes, size);
    memset(bytes, 0, size); /* borrowed for the call only */
    free(bytes);
    return call;
}

static void expect_text(const struct call *call, int place, const char *text)
{
    cr_expect_eq(call->why, REDIS_FAIL_NONE, "%s", redis_fail_text(call->why));
    cr_expect_eq(call->place, place, "%s came as number %d, not %d", text, call->place, place);
    cr_expect_str_eq(call->text, text, "got %s, not %s", call->text, text);
    cr_expect(call->is_command || call->written);
}

static void expect_lost(const struct call *call, enum redis_fail why, bool written)
{
    cr_expect_eq(call->done, 1);
    cr_expect_eq(call->why, why, "%s", redis_fail_text(call->why));
    cr_expect_eq(call->written, written, "written: %d", (int)call->written);
}

static void expect_end(const struct story *story, enum redis_fail why, const char *word)
{
    cr_expect_eq(story->n_closed, 1, "closed %d times", story->n_closed);
    cr_expect_eq(story->why, why, "%s: %s", redis_fail_text(story->why), story->words);
    cr_expect_not_null(strstr(story->words, word), "words: %s", story->words);
}

/* ---- who gets what ---- */

Test(redis_conn_expect, speaks_resp2)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, "+PONG\r\n"}, DONE};
    struct story story = {0};

    tell(&story, steps);
    cr_expect_not(story.conn->resp3);
    send_ping(&story);
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "{\"result\":\"PONG\"");
    end(&story);
}

Test(redis_conn_expect, answered_in_order_with_commands)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, PING PING PING PING PING PING},
        {PEER_SEND, "+one\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n-ERR four\r\n-ERR five\r\n$-1\r\n"},
        DONE};
    struct story story = {0};

    tell(&story, steps);
    for (int i = 0; i < 3; i++) {
        send_ping(&story);
        i == 1 ? send_ping(&story) : send_command(&story);
    }
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "{\"result\":\"one\"");
    expect_text(&story.calls[1], 2, "2");
    expect_text(&story.calls[2], 3, "{\"result\":[3,\"x\"]");
    expect_text(&story.calls[3], 4, "ERR four");
    expect_text(&story.calls[4], 5, "ERR five");
    expect_text(&story.calls[5], 6, "");
    cr_expect_eq(story.calls[3].kind, RESULT_ERROR);
    end(&story);
}

Test(redis_conn_expect, transaction_has_many_replies)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, PING PING},
        {PEER_TRICKLE, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-WRONGTYPE of x\r\n:7\r\n"},
        {PEER_EXPECT, PING},
        {PEER_SEND, "+OK\r\n-READONLY you can't\r\n-EXECABORT so\r\n"},
        DONE};
    struct story story = {0};

    tell(&story, steps);
    send_transaction(&story, 2);
    send_command(&story);
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "[{\"result\":\"OK\"},{\"error\":\"WRONGTYPE of x\"}]");
    expect_text(&story.calls[1], 2, "7");
    send_transaction(&story, 1);
    run_until(&story, all_done);
    expect_text(&story.calls[2], 3, "EXECABORT so");
    cr_expect_str_eq(story.calls[2].expect.result.refused, "READONLY you can't");
    end(&story);
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
    send_ping(story);
    send_command(story);
    send_transaction(story, 2);
    send_ping(story);
    send_command(story);
    send_ping(story);
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
    expect_text(&story->calls[0], 1, "{\"result\":[\"hello\",[1,\"\"],null]");
    expect_text(&story->calls[1], 2, "41");
    expect_text(&story->calls[2], 3, "[{\"result\":\"\\r\\n\"},{\"result\":[]}]");
    expect_text(&story->calls[3], 4, "{\"result\":\"a\\r\\nb\\r\\nc\\r\\ndef\"");
    expect_text(&story->calls[4], 5, "tree");
    expect_text(&story->calls[5], 6, "ERR no");
    for (size_t i = 0; i < story->n_calls; i++) {
        result_release(&story->calls[i].expect.result);
    }
}

Test(redis_conn_expect, in_pieces_cut_anywhere)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct story story = {0};

    tell(&story, steps);
    for (size_t cut = 1; cut < strlen(MIXED); cut++) {
        feed_mixed(&story, cut, strlen(MIXED));
    }
    for (size_t piece = 1; piece < 9; piece++) {
        feed_mixed(&story, piece, piece);
    }
    story.n_calls = 0;
    fake_peer_release(story.peer);
    end(&story);
}

Test(redis_conn_expect, not_ready)
{
    static const struct peer_step steps[] = {GREET, DONE};
    struct story story = {0};

    tell_to(&story, steps, 2);
    expect_lost(send_ping(&story), REDIS_FAIL_CLOSED, false);
    run_until(&story, is_ready);
    redis_conn_close(story.conn);
    expect_lost(send_ping(&story), REDIS_FAIL_CLOSED, false);
    end(&story);
}

Test(redis_conn_expect, counts_what_it_received)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, "+PONG\r\n"},
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, ":1\r\n"},
                                             DONE};
    struct story story = {0};

    tell(&story, steps);
    cr_expect_eq(redis_conn_received(story.conn), strlen(HELLO_REPLY));
    cr_expect_eq(send_ping(&story)->expect.received, strlen(HELLO_REPLY));
    run_until(&story, all_done);
    cr_expect_eq(redis_conn_received(story.conn), strlen(HELLO_REPLY "+PONG\r\n"));
    cr_expect_eq(send_ping(&story)->expect.received, strlen(HELLO_REPLY "+PONG\r\n"));
    run_until(&story, all_done);
    end(&story);
}

/* ---- answers to nothing ---- */

static void check_unasked(int protocol, const char *early, const char *late, const char *word)
{
    const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                      {PEER_EXPECT, protocol == 2 ? HELLO_2 : HELLO_3},
                                      {PEER_SEND, HELLO_REPLY},
                                      {PEER_SEND, early},
                                      {PEER_EXPECT, PING},
                                      {PEER_SEND, late},
                                      DONE};
    struct story story = {0};

    tell_to(&story, steps, protocol);
    run_until(&story, is_ready);
    if (*early != '\0') {
        while (redis_conn_received(story.conn) < strlen(HELLO_REPLY) + strlen(early)) {
            run_until(&story, is_ready);
        }
    }
    send_ping(&story);
    run_until(&story, is_closed);
    expect_end(&story, REDIS_FAIL_PROTOCOL, word);
    expect_lost(&story.calls[0], REDIS_FAIL_PROTOCOL, true);
    end(&story);
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
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, "+OK\r\n+once more\r\n"}, DONE};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story);
    run_until(&story, is_closed);
    expect_end(&story, REDIS_FAIL_PROTOCOL, "nobody asked for");
    expect_text(&story.calls[0], 1, "{\"result\":\"OK\"");
    end(&story);
}

/*
 * It came too early to be the answer: taken for it, the owner would hear that the command was
 * refused, and it would run.
 */
Test(redis_conn_expect, answered_before_it_was_sent)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_SEND, "-ERR idle\r\n"}, DONE};
    struct story story = {0};
    const struct timespec nap = {.tv_nsec = 1000 * 1000};

    tell(&story, steps);
    fake_peer_release(story.peer);
    send_ping(&story);
    conn_enter(story.conn);
    for (int i = 0; i < 5000 && story.n_closed == 0; i++) {
        conn_stream_drain(story.conn); /* the turn has not ended yet */
        nanosleep(&nap, NULL);
    }
    conn_leave(story.conn);
    expect_end(&story, REDIS_FAIL_PROTOCOL, "unasked: ERR idle");
    expect_lost(&story.calls[0], REDIS_FAIL_PROTOCOL, false);
    end(&story);
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

    tell(&story, steps);
    first = send_ping(&story);
    command = send_command(&story);
    run_until(&story, nothing_unsent);
    cr_expect(redis_conn_has_written(story.conn, &first->expect));
    big = send_pattern(&story, 0, MUCH);
    last = send_ping(&story);
    cr_expect_not(redis_conn_has_written(story.conn, &big->expect));
    run_until(&story, socket_is_full);
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
        run_until(&story, is_closed);
        expect_end(&story, REDIS_FAIL_CLOSED, "");
    }
    cr_expect_eq(story.n_closed, way == BY_RESET);
    expect_lost(first, REDIS_FAIL_CLOSED, true);
    expect_lost(command, REDIS_FAIL_CLOSED, false);
    expect_lost(big, REDIS_FAIL_CLOSED, false);
    expect_lost(last, REDIS_FAIL_CLOSED, false);
    cr_expect_eq(last->place, 4);
    end(&story);
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
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, "*2\r\n:1\r\n$100\r\nabc"},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story);
    run_until(&story, is_closed);
    expect_end(&story, REDIS_FAIL_CLOSED, "end of file");
    expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, true);
    end(&story);
}

/* ---- from inside `done` ---- */

static void check_deed(enum deed deed, bool free_twice)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PING PING},
                                             {PEER_SEND, ":1\r\n:2\r\n:3\r\n"},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct story story = {0};

    tell(&story, steps);
    for (int i = 0; i < 3; i++) {
        send_ping(&story);
    }
    story.calls[1].deed = deed;
    if (free_twice) {
        story.calls[2].deed = FREE;
    }
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "{\"result\":1");
    expect_text(&story.calls[1], 2, "{\"result\":2");
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, true);
    cr_expect_eq(story.calls[2].place, 3);
    cr_expect_eq(story.n_closed, 0);
    end(&story);
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

    tell(&story, steps);
    send_ping(&story)->deed = FREE;
    send_ping(&story);
    run_until(&story, all_done);
    expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, true);
    expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, true);
    cr_expect_eq(story.n_closed, 0);
    end(&story);
}

Test(redis_conn_expect, opened_again_while_being_lost)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_RESET, NULL}, GREET, DONE};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story)->deed = REOPEN;
    send_ping(&story)->deed = SEND; /* not ready yet */
    story.n_ready = 0;
    run_until(&story, is_ready);
    cr_expect_eq(story.n_closed, 0);
    expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, true);
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    end(&story);
}

Test(redis_conn_expect, sends_from_inside_done)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PING},
                                             {PEER_SEND, ":1\r\n:2\r\n"},
                                             {PEER_EXPECT, PING PING},
                                             {PEER_SEND, ":3\r\n:4\r\n"},
                                             DONE};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story)->deed = SEND;
    send_command(&story)->deed = SEND;
    run_until(&story, all_done);
    cr_expect_eq(story.n_calls, 4);
    expect_text(&story.calls[2], 3, "{\"result\":3");
    expect_text(&story.calls[3], 4, "{\"result\":4");
    end(&story);
}

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
    const struct peer_step steps[] = {GREET,
                                      {PEER_EXPECT, PING PING PING PING},
                                      {send, reply},
                                      {PEER_SEND, ":3\r\n:4\r\n"},
                                      DONE};
    struct story story = {0};

    tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    send_ping(&story);
    members > 0 ? send_transaction(&story, members) : send_ping(&story);
    send_ping(&story);
    send_command(&story);
    run_until(&story, second_done);
    if (too_big) {
        expect_lost(&story.calls[1], REDIS_FAIL_TOO_BIG, true);
    }
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "{\"result\":1");
    expect_text(&story.calls[2], 3, "{\"result\":3");
    expect_text(&story.calls[3], 4, "4");
    cr_expect_eq(story.n_closed, 0);
    cr_expect_not(redis_conn_is_skipping(story.conn));
    cr_expect_lt(sdsalloc(story.conn->context->reader->buf), 4096, "the buffer was kept");
    end(&story);
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
                                      {PEER_EXPECT, PING PING PING PING},
                                      {PEER_SEND, reply},
                                      {PEER_HOLD, NULL},
                                      {PEER_CLOSE, NULL},
                                      {PEER_END, NULL}};
    struct story story = {0};

    tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    send_ping(&story);
    members > 0 ? send_transaction(&story, members) : send_ping(&story);
    send_ping(&story);
    send_command(&story);
    run_until(&story, second_done);
    expect_lost(&story.calls[1], REDIS_FAIL_TOO_BIG, true);
    cr_expect(redis_conn_is_skipping(story.conn));
    cr_expect_eq(story.calls[2].done, 0);
    fake_peer_release(story.peer);
    run_until(&story, is_closed);
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, true);
    end(&story);
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
                                      {PEER_EXPECT, PING PING},
                                      {PEER_SEND, reply},
                                      {PEER_HOLD, NULL},
                                      {PEER_SEND, filled("", 2000, behind)},
                                      DONE};
    struct story story = {0};

    tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    send_ping(&story);
    send_ping(&story);
    run_until(&story, first_done);
    expect_lost(&story.calls[0], REDIS_FAIL_TOO_BIG, true);
    fake_peer_release(story.peer);
    run_until(&story, is_closed);
    cr_expect_eq(story.why, REDIS_FAIL_PROTOCOL, "%s: %s", redis_fail_text(story.why), story.words);
    expect_lost(&story.calls[1], REDIS_FAIL_PROTOCOL, true);
    end(&story);
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
        {PEER_EXPECT, PING},
        {PEER_SEND, ":1\r\n-ERR Protocol error: invalid bulk length\r\n"},
        {PEER_HOLD, NULL},
        {PEER_RESET, NULL},
        {PEER_END, NULL}};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story);
    send_pattern(&story, 0, SIZE);
    send_ping(&story);
    run_until(&story, is_closed);
    expect_text(&story.calls[0], 1, "{\"result\":1");
    expect_text(&story.calls[1], 2, "ERR Protocol error: invalid bulk length");
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    fake_peer_release(story.peer);
    end(&story);
}

Test(redis_conn_expect, a_member_that_the_server_cannot_read)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, PING PING},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n-ERR Protocol error: invalid bulk length\r\n"},
        DONE};
    struct story story = {0};

    tell(&story, steps);
    send_transaction(&story, 2);
    send_ping(&story);
    run_until(&story, is_closed);
    expect_text(&story.calls[0], 1, "EXECABORT Transaction discarded because of previous errors.");
    cr_expect_eq(story.calls[0].expect.result.refused_member, 1);
    expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, false);
    end(&story);
}

/* A script may say that as well: then it is an answer like others. */
Test(redis_conn_expect, words_that_a_script_may_say)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_SEND, "-ERR Protocol error: x\r\n:2\r\n"}, DONE};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story);
    send_ping(&story);
    run_until(&story, all_done);
    expect_text(&story.calls[0], 1, "ERR Protocol error: x");
    expect_text(&story.calls[1], 2, "{\"result\":2");
    cr_expect_eq(story.n_closed, 0);
    end(&story);
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
    const struct peer_step steps[] = {GREET,
                                      {PEER_EXPECT, PING PING PING},
                                      {PEER_SEND, filled("$1001\r\n", 1001, "\r\n$16777206\r\n")},
                                      DONE};
    struct story story = {0};

    tell(&story, steps);
    redis_conn_limit(story.conn, LIMIT);
    send_command(&story);
    send_command(&story);
    send_ping(&story);
    run_until(&story, is_closed);
    cr_expect_eq(story.calls[0].why, REDIS_FAIL_NONE);
    expect_end(&story, REDIS_FAIL_PROTOCOL, "16 MiB");
    expect_lost(&story.calls[2], REDIS_FAIL_PROTOCOL, true);
    end(&story);
}

/* ---- much ---- */

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* @return this thread's seconds for one reply of those bytes. */
static double time_reply(const char *reply, size_t json_size)
{
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, PING}, {PEER_SEND, reply}, DONE};
    struct story story = {0};
    double began;

    tell(&story, steps);
    redis_conn_limit(story.conn, (size_t)64 * 1024 * 1024);
    send_ping(&story);
    began = cpu_seconds();
    run_until(&story, all_done);
    began = cpu_seconds() - began;
    cr_expect_eq(story.calls[0].why, REDIS_FAIL_NONE, "%s", redis_fail_text(story.calls[0].why));
    cr_expect_eq(story.calls[0].size, json_size, "%zu bytes of JSON", story.calls[0].size);
    cr_expect_leq(story.most_in_a_turn, 64 * 1024, "others had to wait");
    cr_expect_lt(sdsalloc(story.conn->context->reader->buf), 4096, "the buffer was kept");
    end(&story);
    return began;
}

#ifdef __SANITIZE_ADDRESS__
#define SLACK 100 /* its realloc() copies each time, where others move pages */
#elif defined __SANITIZE_THREAD__
#define SLACK 32 /* so does its own, with less beside */
#else
#define SLACK 16
#endif

/*
 * Eight times as much may take eight times as long, give or take; what moves all that is there with
 * each piece takes 64. What others do on the machine only adds, so the least of a few counts.
 */
static void check_proportion(double (*time)(size_t size), size_t size)
{
    double one = time(size), eight = time(8 * size);

    for (int i = 0; i < 4 && eight >= SLACK * one + 0.05; i++) {
        double again = time(8 * size);

        eight = again < eight ? again : eight;
    }
    cr_expect_lt(eight, SLACK * one + 0.05, "%.3f s, eight times as much %.3f s", one, eight);
}

static double time_bulk(size_t length)
{
    char *reply = mem_new(length + 64, 1);
    int head = snprintf(reply, 64, "$%zu\r\n", length);
    double seconds;

    memset(reply + head, 'x', length);
    memcpy(reply + (size_t)head + length, "\r\n", 2);
    seconds = time_reply(reply, length + strlen("{\"result\":\"\""));
    free(reply);
    return seconds;
}

Test(redis_conn_expect, bulk_of_32_megabytes)
{
    check_proportion(time_bulk, (size_t)4 << 20);
}

static double time_line(size_t length)
{
    char *reply = mem_new(length + 64, 1);
    double seconds;

    memset(reply, 'x', length);
    reply[0] = '+';
    memcpy(reply + length, "\r\n", 2);
    seconds = time_reply(reply, length - 1 + strlen("{\"result\":\"\""));
    free(reply);
    return seconds;
}

Test(redis_conn_expect, line_of_32_megabytes)
{
    check_proportion(time_line, (size_t)4 << 20);
}

static double time_list(size_t elements)
{
    char *reply = mem_new(elements + 16, 4);
    int head = snprintf(reply, 64, "*%zu\r\n", elements);
    double seconds;

    for (size_t i = 0; i < elements; i++) {
        memcpy(reply + (size_t)head + i * 4, ":1\r\n", 4);
    }
    seconds = time_reply(reply, elements * 2 - 1 + strlen("{\"result\":[]"));
    free(reply);
    return seconds;
}

Test(redis_conn_expect, list_of_millions)
{
    check_proportion(time_list, 300 * 1000);
}

/* @return this thread's seconds for a command of so many bytes, with a small one behind it. */
static double time_body(size_t size)
{
    char total[32];
    const struct peer_step steps[] = {GREET,
                                      {PEER_SWALLOW, total},
                                      {PEER_SEND, ":1\r\n:2\r\n"},
                                      {PEER_EXPECT, PING},
                                      {PEER_SEND, ":3\r\n"},
                                      DONE};
    struct story story = {0};
    const int room = 256 * 1024; /* many small writes, as over a network */
    double began;

    snprintf(total, sizeof(total), "%zu", size + size / 2);
    tell(&story, steps);
    setsockopt(story.conn->context->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    send_pattern(&story, 0, size);
    began = cpu_seconds();
    send_pattern(&story, size, size / 2);
    send_ping(&story);
    run_until(&story, all_done);
    began = cpu_seconds() - began;
    cr_expect(!story.conn->backlog.bytes && sdsalloc(story.conn->context->obuf) <= 4096,
              "the buffer was kept");
    end(&story);
    return began;
}

Test(redis_conn_expect, body_of_many_megabytes)
{
    check_proportion(time_body, (size_t)4 << 20);
}

/* More comes while a backlog stands, and the peer takes it slowly: all of it arrives, in order. */
Test(redis_conn_expect, more_behind_a_backlog)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_HOLD, NULL},
                                             {PEER_SWALLOW, "67108864"},
                                             {PEER_SEND, ":1\r\n:2\r\n:3\r\n:4\r\n"},
                                             DONE};
    const size_t quarter = (size_t)16 * 1024 * 1024;
    struct story story = {0};

    tell(&story, steps);
    send_pattern(&story, 0, quarter);
    run_until(&story, socket_is_full);
    send_pattern(&story, quarter, quarter);
    fake_peer_release(story.peer);
    while (story.conn->taken < story.conn->appended - quarter) {
        run_until(&story, is_ready);
    }
    send_pattern(&story, 2 * quarter, quarter);
    run_until(&story, nothing_unsent);
    send_pattern(&story, 3 * quarter, quarter);
    run_until(&story, all_done);
    expect_text(&story.calls[3], 4, "{\"result\":4");
    end(&story);
}

/* ---- what is taken back ---- */

Test(redis_conn_expect, withdrawn_before_the_turn_ends)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_SEND, "+A\r\n+B\r\n"}, DONE};
    struct story story = {0};

    tell(&story, steps);
    send_ping(&story);
    send_command(&story); /* stays, and what is before it */
    send_wire(&story, "never", 5);
    send_wire(&story, "seen", 4);
    redis_conn_withdraw(story.conn);
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    expect_lost(&story.calls[3], REDIS_FAIL_CLOSED, false);
    cr_expect_lt(story.calls[2].place, story.calls[3].place, "the oldest first");
    redis_conn_withdraw(story.conn);
    run_until(&story, all_done);
    expect_text(&story.calls[0], 3, "{\"result\":\"A\"");
    cr_expect_eq(story.calls[1].done, 1);
    end(&story);
}

Test(redis_conn_expect, withdrawn_with_nothing_before_it)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, "+A\r\n"}, DONE};
    struct story story = {0};

    tell(&story, steps);
    send_wire(&story, "never", 5);
    redis_conn_withdraw(story.conn);
    expect_lost(&story.calls[0], REDIS_FAIL_CLOSED, false);
    send_ping(&story);
    run_until(&story, all_done);
    expect_text(&story.calls[1], 2, "{\"result\":\"A\"");
    end(&story);
}

/* Of what the socket took a part goes out the rest, too. */
Test(redis_conn_expect, withdrawn_from_a_backlog)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_SWALLOW, "20971520"}, {PEER_SEND, ":1\r\n:2\r\n"}, DONE};
    const size_t large = (size_t)16 * 1024 * 1024, small = large / 4;
    struct story story = {0};

    tell(&story, steps);
    send_pattern(&story, 0, large);
    run_until(&story, socket_is_full);
    send_wire(&story, "never", 5);
    send_pattern(&story, 7, small);
    cr_expect_geq(redis_conn_clogged(story.conn), small);
    redis_conn_withdraw(story.conn);
    cr_expect_eq(story.calls[0].done, 0);
    expect_lost(&story.calls[1], REDIS_FAIL_CLOSED, false);
    expect_lost(&story.calls[2], REDIS_FAIL_CLOSED, false);
    send_pattern(&story, large, small);
    fake_peer_release(story.peer);
    run_until(&story, all_done);
    expect_text(&story.calls[0], 3, "{\"result\":1");
    expect_text(&story.calls[3], 4, "{\"result\":2");
    cr_expect_eq(redis_conn_clogged(story.conn), 0);
    end(&story);
}

/* Its answer has begun though it was not sent: it stays where the reader writes to. */
Test(redis_conn_expect, not_withdrawn_while_it_is_answered)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, "+A\r\n*2\r\n:1\r\n"},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":2\r\n"},
                                             DONE};
    struct story story = {0};
    struct call *late;

    tell(&story, steps);
    send_ping(&story);
    late = send_pattern(&story, 0, (size_t)16 * 1024 * 1024);
    run_until(&story, socket_is_full);
    while (story.conn->sink.into != &late->expect.result) {
        run_until(&story, is_ready);
    }
    redis_conn_withdraw(story.conn);
    cr_expect_eq(late->done, 0);
    fake_peer_release(story.peer);
    run_until(&story, is_closed);
    expect_lost(late, REDIS_FAIL_PROTOCOL, false);
    end(&story);
}

static void count(struct redis_expect *expect, enum redis_fail why, bool written)
{
    size_t *n = (size_t *)(void *)(expect + 1);

    *n += why == REDIS_FAIL_NONE && written && expect->result.kind == RESULT_VALUE;
    result_release(&expect->result);
}

/* A long pipeline leaves no long queue behind. */
Test(redis_conn_expect, thousands_in_flight)
{
    enum { MANY = 5000 };

    static struct {
        struct redis_expect expect;
        size_t done;
    } many[MANY];
    static char pongs[MANY * 8];
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING PING}, {PEER_HOLD, NULL}, {PEER_SEND, pongs}, DONE};
    struct story story = {0};
    size_t done = 0;

    tell(&story, steps);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(pongs + i * 7, "+PONG\r\n", 8);
        result_init(&many[i].expect.result, false, 0);
        many[i].expect.done = count;
        redis_conn_send(story.conn, PING, strlen(PING), &many[i].expect);
    }
    run_until(&story, nothing_unsent);
    fake_peer_release(story.peer);
    while (story.conn->n_commands > 0) {
        run_until(&story, is_ready);
    }
    for (size_t i = 0; i < MANY; i++) {
        done += many[i].done;
    }
    cr_expect_eq(done, MANY);
    cr_expect_eq(story.conn->room, 0);
    end(&story);
}
