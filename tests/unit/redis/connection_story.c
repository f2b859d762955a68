/* A connection, its peer, and a loop that runs until something is so. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "connection_story.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

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

void story_run_until(struct story *story, bool (*until)(struct story *story))
{
    story->until = until;
    loop_run(story->loop);
    cr_assert_not(story->guard_fired, "the story did not end");
}

bool story_is_ready(struct story *story)
{
    return story->n_ready > 0;
}

bool story_is_closed(struct story *story)
{
    return story->n_closed > 0;
}

bool story_all_done(struct story *story)
{
    return (size_t)story->n_done >= story->n_calls;
}

bool story_nothing_unsent(struct story *story)
{
    return story->conn->taken == story->conn->appended;
}

bool story_socket_is_full(struct story *story)
{
    static uint64_t last;
    bool full = story->conn->wanted == (LOOP_READ | LOOP_WRITE) && story->conn->taken == last;

    last = story->conn->taken;
    return full;
}

void story_tell_to(struct story *story, const struct peer_step *steps, int protocol)
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
    loop_timer_start(story->guard, 120000); /* some send 64 MB, and are looked at as they do */
    loop_timer_start(story->tick, 5);
    redis_conn_speak(story->conn, protocol);
    redis_conn_open(story->conn, fake_peer_address(story->peer), NULL, NULL, 5000);
}

void story_tell(struct story *story, const struct peer_step *steps)
{
    story_tell_to(story, steps, 2);
    story_run_until(story, story_is_ready);
}

void story_end(struct story *story)
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
    case SEND: story_send_wire(story, PING, strlen(PING)); break;
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
    result_init(&call->expect.result, RESULT_JSON, members);
    call->expect.done = on_done;
    return call;
}

struct call *story_send_wire(struct story *story, const char *wire, size_t size)
{
    struct call *call = new_call(story, 0);

    redis_conn_send(story->conn, wire, size, &call->expect);
    return call;
}

struct call *story_send_ping(struct story *story)
{
    return story_send_wire(story, PING, strlen(PING));
}

struct call *story_send_transaction(struct story *story, unsigned members)
{
    struct call *call = new_call(story, members);

    redis_conn_send(story->conn, PING, strlen(PING), &call->expect);
    return call;
}

struct call *story_send_command(struct story *story)
{
    struct call *call = new_call(story, 0);
    const char *argv[] = {"PING"};

    call->is_command = true;
    redis_conn_command(story->conn, on_reply, call, 0, 1, argv, NULL);
    return call;
}

struct call *story_send_pattern(struct story *story, size_t from, size_t size)
{
    char *bytes = mem_new(size, 1);
    struct call *call;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = fake_peer_byte(from + i);
    }
    call = story_send_wire(story, bytes, size);
    memset(bytes, 0, size); /* borrowed for the call only */
    free(bytes);
    return call;
}

void call_expect_text(const struct call *call, int place, const char *text)
{
    cr_expect_eq(call->why, REDIS_FAIL_NONE, "%s", redis_fail_text(call->why));
    cr_expect_eq(call->place, place, "%s came as number %d, not %d", text, call->place, place);
    cr_expect_str_eq(call->text, text, "got %s, not %s", call->text, text);
    cr_expect(call->is_command || call->written);
}

void call_expect_lost(const struct call *call, enum redis_fail why, bool written)
{
    cr_expect_eq(call->done, 1);
    cr_expect_eq(call->why, why, "%s", redis_fail_text(call->why));
    cr_expect_eq(call->written, written, "written: %d", (int)call->written);
}

void story_expect_end(const struct story *story, enum redis_fail why, const char *word)
{
    cr_expect_eq(story->n_closed, 1, "closed %d times", story->n_closed);
    cr_expect_eq(story->why, why, "%s: %s", redis_fail_text(story->why), story->words);
    cr_expect_not_null(strstr(story->words, word), "words: %s", story->words);
}
