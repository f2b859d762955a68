/* ?fresh=1: suspended requests, the watcher's answers, deadlines, callers that leave, the end. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "suite_harness.h"

static void start_with(int64_t poll_wait_ms)
{
    harness_init(&harness);
    harness.config.poll_wait_ms = poll_wait_ms;
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), make_master("other"), NULL));
}

/* With a deadline that does not come to anybody's help. */
static void start(void)
{
    start_with(20000);
}

static void start_hastily(void)
{
    start_with(300);
}

TestSuite(http_fresh, .init = start, .fini = close_harness, .timeout = 30);
TestSuite(http_fresh_hasty, .init = start_hastily, .fini = close_harness, .timeout = 30);

static void wait_until_asked(size_t n)
{
    for (int i = 0; i < 5000 && atomic_load(&harness.asked) < n; i++) {
        usleep(1000);
    }
    cr_assert_eq(atomic_load(&harness.asked), n);
}

Test(http_fresh, confirmed)
{
    struct reply reply = get(&harness, "/master?fresh=1");

    cr_expect_eq(reply.status, 200);
    cr_expect(strstr(reply.body, "\"state\":\"ok\""));
    cr_expect_eq(atomic_load(&harness.asked), 1);
    reply_release(&reply);
    reply = get(&harness, "/masters/other?fresh=1&format=text");
    cr_expect_str_eq(reply.body, "10.0.0.12:6379\n");
    cr_expect_eq(atomic_load(&harness.asked), 2);
    reply_release(&reply);
    reply = get(&harness, "/masters/nobody?fresh=1");
    cr_expect_eq(reply.status, 404);
    cr_expect_eq(atomic_load(&harness.asked), 2, "nobody is not asked about");
    reply_release(&reply);
}

Test(http_fresh, the_answer_is_from_the_snapshot_that_came_before_it)
{
    struct snapshot_master *master = make_master("mymaster");
    struct reply reply;

    master->address = make_address("10.9.9.9:6379");
    master->index = 8;
    harness.before_answer = make_snapshot(master, NULL, NULL);
    reply = get(&harness, "/master?fresh=1&format=text");
    cr_expect_str_eq(reply.body, "10.9.9.9:6379\n");
    reply_release(&reply);
}

Test(http_fresh, etag)
{
    struct reply reply = get(&harness, "/master?fresh=1");
    char line[512];

    snprintf(line, sizeof(line), "If-None-Match: %s\r\n", header_of(&reply, "etag"));
    reply_release(&reply);
    reply = ask(&harness, "GET", "/master?fresh=1", line);
    cr_expect_eq(reply.status, 304);
    reply_release(&reply);
}

Test(http_fresh, not_confirmed)
{
    struct reply reply;

    atomic_store(&harness.script, SCRIPT_REFUSE);
    reply = get(&harness, "/master?fresh=1");
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "\"reason\":\"redis_timeout\""), "%s", reply.body);
    cr_expect(strstr(reply.body, "did not answer in 500ms"));
    cr_expect(strstr(reply.body, "\"last_known\":{"));
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    reply_release(&reply);
    reply = get(&harness, "/master?fresh=1&stale=1");
    cr_expect_eq(reply.status, 200);
    cr_expect(strstr(reply.body, "\"verified\":false") && strstr(reply.body, "\"stale\":true"),
              "%s", reply.body);
    reply_release(&reply);
    reply = get(&harness, "/master");
    cr_expect_eq(reply.status, 200, "others are not concerned");
    reply_release(&reply);
}

Test(http_fresh, a_state_of_its_own_goes_first)
{
    struct snapshot_master *master =
        make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct reply reply;

    master->index = 8;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    atomic_store(&harness.script, SCRIPT_REFUSE);
    reply = get(&harness, "/master?fresh=1");
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "\"reason\":\"redis_unreachable\""), "%s", reply.body);
    reply_release(&reply);
}

Test(http_fresh_hasty, a_watcher_that_never_answers)
{
    int64_t before_ms, took_ms;
    struct reply reply;

    atomic_store(&harness.script, SCRIPT_SILENT);
    before_ms = clock_boot_ms();
    reply = get(&harness, "/master?fresh=1");
    took_ms = clock_boot_ms() - before_ms;
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "\"reason\":\"watcher_stalled\""), "%s", reply.body);
    cr_expect(took_ms >= 300 && took_ms < 4900, "%ld ms", (long)took_ms);
    reply_release(&reply);
}

Test(http_fresh, many_at_once_on_kept_connections)
{
    enum { N = 50 };
    int fds[N];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            fds[i] = round ? fds[i] : dial(&harness, LISTEN_ALL);
            send_text(fds[i], "GET /master?fresh=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        for (int i = 0; i < N; i++) {
            struct reply reply = read_reply(fds[i], true);

            cr_expect_eq(reply.status, 200);
            reply_release(&reply);
        }
    }
    cr_expect_eq(atomic_load(&harness.asked), 3 * N);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
}

Test(http_fresh_hasty, a_caller_that_leaves)
{
    struct reply reply;

    atomic_store(&harness.script, SCRIPT_SILENT);
    for (size_t i = 0; i < 5; i++) {
        int fd = dial(&harness, LISTEN_ALL);

        send_text(fd, "GET /master?fresh=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_until_asked(i + 1);
        close(fd);
    }
    reply =
        get(&harness, "/master?fresh=1"); /* its deadline is the last; their answers go nowhere */
    cr_expect_eq(reply.status, 503);
    reply_release(&reply);
    atomic_store(&harness.script, SCRIPT_CONFIRM);
    wait_for_status("/master?fresh=1", 200);
}

Test(http_fresh, pipelined_requests_keep_their_order)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(fd, "GET /master?fresh=1&format=text HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /master?fresh=1&format=url HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(fd, true);
    cr_expect_str_eq(reply.body, "10.0.0.12:6379\n");
    reply_release(&reply);
    reply = read_reply(fd, true);
    cr_expect_str_eq(reply.body, "ok\n");
    reply_release(&reply);
    reply = read_reply(fd, true);
    cr_expect_str_eq(reply.body, "redis://10.0.0.12:6379\n");
    reply_release(&reply);
    close(fd);
}

Test(http_fresh, the_end_while_somebody_waits)
{
    int fds[3];
    int64_t before_ms;

    atomic_store(&harness.script, SCRIPT_SILENT);
    for (size_t i = 0; i < 3; i++) {
        fds[i] = dial(&harness, LISTEN_ALL);
        send_text(fds[i], "GET /master?fresh=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_until_asked(3);
    before_ms = clock_boot_ms();
    worker_stop(harness.worker);
    cr_expect_lt(clock_boot_ms() - before_ms, 10000, "it waited for their deadline");
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = read_reply(fds[i], true);

        cr_expect_eq(reply.status, 503);
        cr_expect(strstr(reply.body, "shutting down"), "%s", reply.body);
        cr_expect_str_eq(header_of(&reply, "connection"), "close");
        reply_release(&reply);
        close(fds[i]);
    }
}
