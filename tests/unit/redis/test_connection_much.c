/*
 * Much of it: time grows with the bytes and not faster, buffers are given back, and a backlog
 * arrives in order.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "connection_story.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* @return this thread's seconds for one reply of those bytes. */
static double time_reply(const char *reply, size_t json_size)
{
    const struct peer_step steps[] = {GREET, ANSWER(PING, reply), END};
    struct story story = {0};
    double began;

    story_tell(&story, steps);
    redis_conn_limit(story.conn, (size_t)64 * 1024 * 1024);
    story_send_ping(&story);
    began = cpu_seconds();
    story_run_until(&story, story_all_done);
    began = cpu_seconds() - began;
    cr_expect_eq(story.calls[0].why, REDIS_FAIL_NONE, "%s", redis_fail_text(story.calls[0].why));
    cr_expect_eq(story.calls[0].size, json_size, "%zu bytes of JSON", story.calls[0].size);
    cr_expect_leq(story.most_in_a_turn, 64 * 1024, "others had to wait");
    cr_expect_lt(sdsalloc(story.conn->reader.parser->buf), 4096, "the buffer was kept");
    story_end(&story);
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
 * each piece takes 64. What others do on the machine makes either slower, so both are taken once
 * more, one behind the other.
 */
static void check_proportion(double (*time)(size_t size), size_t size)
{
    double one = time(size), eight = time(8 * size);

    for (int i = 0; i < 4 && eight >= SLACK * one + 0.05; i++) {
        one = time(size);
        eight = time(8 * size);
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
    const struct peer_step steps[] = {
        GREET, {PEER_SWALLOW, total}, {PEER_SEND, ":1\r\n:2\r\n"}, ANSWER(PING, ":3\r\n"), END};
    struct story story = {0};
    const int room = 256 * 1024; /* many small writes, as over a network */
    double began;

    snprintf(total, sizeof(total), "%zu", size + size / 2);
    story_tell(&story, steps);
    setsockopt(story.conn->context->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    story_send_pattern(&story, 0, size);
    began = cpu_seconds();
    story_send_pattern(&story, size, size / 2);
    story_send_ping(&story);
    story_run_until(&story, story_all_done);
    began = cpu_seconds() - began;
    cr_expect(!story.conn->backlog.bytes && sdsalloc(story.conn->context->obuf) <= 4096,
              "the buffer was kept");
    story_end(&story);
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
                                             END};
    const size_t quarter = (size_t)16 * 1024 * 1024;
    struct story story = {0};

    story_tell(&story, steps);
    story_send_pattern(&story, 0, quarter);
    story_run_until(&story, story_socket_is_full);
    story_send_pattern(&story, quarter, quarter);
    fake_peer_release(story.peer);
    while (story.conn->taken < story.conn->appended - quarter) {
        story_run_until(&story, story_is_ready);
    }
    story_send_pattern(&story, 2 * quarter, quarter);
    story_run_until(&story, story_nothing_unsent);
    story_send_pattern(&story, 3 * quarter, quarter);
    story_run_until(&story, story_all_done);
    call_expect_text(&story.calls[3], 4, "{\"result\":4");
    story_end(&story);
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
        GREET, {PEER_EXPECT, PING PING}, {PEER_HOLD, NULL}, {PEER_SEND, pongs}, END};
    struct story story = {0};
    size_t done = 0;

    story_tell(&story, steps);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(pongs + i * 7, "+PONG\r\n", 8);
        result_init(&many[i].expect.result, false, 0);
        many[i].expect.done = count;
        redis_conn_send(story.conn, PING, strlen(PING), &many[i].expect);
    }
    story_run_until(&story, story_nothing_unsent);
    fake_peer_release(story.peer);
    while (story.conn->n_commands > 0) {
        story_run_until(&story, story_is_ready);
    }
    for (size_t i = 0; i < MANY; i++) {
        done += many[i].done;
    }
    cr_expect_eq(done, MANY);
    cr_expect_eq(story.conn->room, 0);
    story_end(&story);
}
