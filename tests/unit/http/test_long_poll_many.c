/* Long polls: the bound, callers that leave, the end, and more than are answered at once. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/metrics/counters.h"
#include "long_poll_fixture.h"

Test(http_waiting, the_bound)
{
    enum { MANY = 10, OTHERS = 14 }; /* together more than max-connections */
    int fds[MANY], others[OTHERS];

    post_master(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        fds[i] = begin_get("/master?wait=60s&index=7");
    }
    wait_for_status("/master?wait=1ms&index=7", 503);
    expect_now("/master?wait=30s&index=7", 503, "urn:bellwether:problem:too-many-waiters");
    expect_now("/events", 503, "too-many-waiters");
    expect_now("/master?wait=30s&index=6", 200, NULL);
    for (int i = 0; i < OTHERS; i++) {
        struct reply reply;

        others[i] = begin_get("/master");
        reply = read_reply(others[i], true);
        cr_expect_eq(reply.status, 200, "%d: waiting ones take no room from the others", i);
        reply_release(&reply);
    }
    expect_now("/livez", 200, NULL);
    expect_now("/master", 200, NULL);
    for (int i = 0; i < OTHERS; i++) {
        close(others[i]);
    }
    post_master(master_at("10.0.0.13:6379", 8));
    for (int i = 0; i < MANY; i++) {
        expect_line(fds[i], 200, NULL);
    }
    expect_line(begin_get("/master?wait=100ms&index=8"), 200, NULL);
}

Test(http_waiting, refusals_carry_retry_after)
{
    int fds[10];
    struct reply reply;

    post_master(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < 10; i++) {
        fds[i] = begin_get("/master?wait=60s&index=7");
    }
    wait_for_status("/master?wait=1ms&index=7", 503);
    reply = get(&harness, "/master?wait=1s&index=7&format=text");
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    cr_expect(strstr(reply.body, "max-waiters"), "%s", reply.body);
    reply_release(&reply);
    for (int i = 0; i < 10; i++) {
        close(fds[i]);
    }
}

static void wait_for_waiters(int64_t n)
{
    const struct metrics_http *counts = metrics_http(harness.config.metrics, 0);
    const _Atomic int64_t *waiting = &counts->long_polls[METRIC_WAITER_POLL];

    for (int i = 0; i < 3000 && metric_look(waiting) != n; i++) {
        usleep(10000);
    }
    cr_assert_eq(metric_look(waiting), n);
}

static void leave(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        close(fds[i]);
    }
}

Test(http_waiting, callers_that_leave_do_no_harm)
{
    enum { MANY = 10 };
    int fds[MANY];

    post_master(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        fds[i] = begin_get("/master?wait=4s&index=7");
    }
    wait_for_waiters(MANY);
    leave(fds, MANY);
    wait_for_waiters(0); /* their time is over */
    for (int i = 0; i < MANY / 2; i++) {
        fds[i] = begin_get("/master?wait=60s&index=7");
    }
    wait_for_waiters(MANY / 2);
    leave(fds, MANY / 2);
    post_master(master_at("10.0.0.13:6379", 8));
    wait_for_status("/master?wait=1ms&index=8", 200);
    wait_for_waiters(0);
}

static void start_looking(void)
{
    harness_init(&harness);
    harness.config.max_waiters = 10;
    harness.config.heartbeat_ms = 200;
    harness_start(&harness);
}

TestSuite(http_waiting_looking, .init = start_looking, .fini = close_harness, .timeout = 60);

Test(http_waiting_looking, callers_that_left_give_their_place_back)
{
    int fd;

    post_master(master_at("10.0.0.12:6379", 7));
    fd = begin_get("/master?wait=60s&index=7");
    for (int i = 0; i < 9; i++) {
        close(begin_get("/master?wait=60s&index=7"));
    }
    wait_for_status("/master?wait=1ms&index=7", 200);
    cr_expect(is_silent(fd, 500), "who is there waits on");
    post_master(master_at("10.0.0.13:6379", 8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, draining_answers_those_who_wait_and_those_who_come_may_wait)
{
    struct reply reply;
    int fd, late;

    post_master(master_at("10.0.0.12:6379", 7));
    fd = begin_get("/master?wait=60s&index=7");
    wait_for_waiters(1); /* who comes later may wait */
    harness_news(&harness, MESSAGE_DRAIN);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    cr_expect(reads_end(fd));
    reply_release(&reply);
    close(fd);
    late = begin_get("/master?wait=60s&index=7");
    cr_expect(is_silent(late, 100));
    post_master(master_at("10.0.0.13:6379", 8));
    expect_line(late, 200, NULL);
}

static void restart(void)
{
    end_waiting();
    start_waiting();
}

static int64_t end_with_a_long_poll(void)
{
    struct reply reply;
    int fd;
    int64_t before_ms;

    post_master(master_down(7));
    fd = begin_get("/master?wait=60s");
    cr_expect(is_silent(fd, 100));
    before_ms = clock_boot_ms();
    harness_news(&harness, MESSAGE_STOP);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 503);
    cr_expect(reads_end(fd));
    reply_release(&reply);
    close(fd);
    worker_stop(harness.worker);
    return clock_boot_ms() - before_ms;
}

Test(http_waiting, the_end_answers_those_who_wait)
{
    cr_expect(harness_is_within(900, end_with_a_long_poll, restart));
}

/* More than are resumed in one batch. */
static void start_nothing(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &limit);
}

TestSuite(http_waiting_many, .init = start_nothing, .timeout = 60);

Test(http_waiting_many, batches)
{
    enum { MANY = 1300 };
    static int fds[MANY];
    int told = 0;

    harness_init(&harness);
    harness.config.max_waiters = 2000;
    harness_start(&harness);
    post_master(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        char target[96];

        snprintf(target, sizeof(target), "/master?wait=%ds&index=7&format=text", 60 + i % 200);
        fds[i] = begin_get(target);
    }
    cr_expect(is_silent(fds[MANY - 1], 300));
    post_master(master_at("10.0.0.13:6379", 8));
    for (int i = 0; i < MANY; i++) {
        struct reply reply = finish(fds[i]);

        told += reply.status == 200 && strcmp(reply.body, "10.0.0.13:6379\n") == 0;
        reply_release(&reply);
    }
    cr_expect_eq(told, MANY);
    harness_release(&harness);
}

static size_t count_told(const int *fds, size_t n)
{
    size_t told = 0;

    for (size_t i = 0; i < n; i++) {
        char byte;

        told += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }
    return told;
}

/*
 * In several daemons. Whoever was told first asks again at once: by the time that is answered all
 * have been told.
 */
Test(http_waiting_many, who_comes_back_comes_after_those_who_wait)
{
    enum { MANY = 1500, FIRST = MANY - 3 }; /* among the first that are told */
    static const char again[] = "GET /master?format=text HTTP/1.1\r\nHost: x\r\n\r\n";
    static int fds[MANY];
    struct metrics *metrics = metrics_new(1);

    harness_init(&harness);
    harness.config.max_waiters = 3000;
    harness.config.metrics = metrics;
    harness_start(&harness);
    post_master(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        fds[i] = begin_get("/master?wait=60s&index=7&format=text");
    }
    wait_for_waiters(MANY);
    for (uint64_t index = 8; index < 12; index++) {
        struct reply reply;
        char target[128];

        post_master(master_at("10.0.0.13:6379", index));
        reply = read_reply(fds[FIRST], true);
        cr_expect_str_eq(reply.body, "10.0.0.13:6379\n");
        reply_release(&reply);
        send_text(fds[FIRST], again);
        reply = read_reply(fds[FIRST], true);
        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
        cr_expect_eq(count_told(fds, MANY), MANY - 1);
        snprintf(target, sizeof(target),
                 "GET /master?wait=60s&index=%d&format=text HTTP/1.1\r\nHost: x\r\n\r\n",
                 (int)index);
        for (int i = 0; i < MANY; i++) {
            if (i != FIRST) {
                reply = read_reply(fds[i], true);
                cr_expect_str_eq(reply.body, "10.0.0.13:6379\n");
                reply_release(&reply);
            }
            send_text(fds[i], target);
        }
        wait_for_waiters(MANY);
    }
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
    harness_release(&harness);
    metrics_free(metrics);
}

/* What was asked for besides is in the answer after the wait as without one. */
Test(http_waiting_many, the_answer_is_what_it_would_be_at_once)
{
    static const char *const origins[] = {"https://page.example"};
    static const char *const more[] = {"", "Origin: https://page.example\r\n",
                                       "Accept: text/plain\r\n"};
    static const char *const targets[] = {
        "/master?",          "/masters/mymaster?",
        "/master?pretty=1&", "/master?format=url&",
        "/master?stale=1&",  "/masters/mymaster?require=majority&"};
    enum { TARGETS = sizeof(targets) / sizeof(targets[0]), MORE = sizeof(more) / sizeof(more[0]) };
    int fds[TARGETS][MORE];

    harness_init(&harness);
    harness.config.allow_origins = origins;
    harness.config.n_allow_origins = 1;
    harness_start(&harness);
    post_master(master_at("10.0.0.12:6379", 7));
    for (size_t i = 0; i < TARGETS; i++) {
        for (size_t k = 0; k < MORE; k++) {
            char target[128];

            snprintf(target, sizeof(target), "%swait=60s&index=7", targets[i]);
            fds[i][k] = begin_with("GET", target, more[k]);
        }
    }
    cr_expect(is_silent(fds[TARGETS - 1][MORE - 1], 300));
    post_master(master_at("10.0.0.13:6379", 8));
    for (size_t i = 0; i < TARGETS; i++) {
        for (size_t k = 0; k < MORE; k++) {
            static const char *const names[] = {
                "etag", "content-type", "access-control-allow-origin", "x-bellwether-index"};
            struct reply told = finish(fds[i][k]), now = ask(&harness, "GET", targets[i], more[k]);

            cr_expect_eq(told.status, 200);
            cr_expect_eq(now.status, 200);
            cr_expect_str_eq(told.body, now.body);
            for (size_t h = 0; h < sizeof(names) / sizeof(names[0]); h++) {
                char value[256];

                snprintf(value, sizeof(value), "%s", header_of(&told, names[h]));
                cr_expect_str_eq(value, header_of(&now, names[h]), "%s of %s", names[h],
                                 targets[i]);
            }
            cr_expect_eq(*header_of(&told, "access-control-allow-origin") != '\0', k == 1);
            reply_release(&told);
            reply_release(&now);
        }
    }
    harness_release(&harness);
}
