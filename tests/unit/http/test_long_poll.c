/* Long polls: what each combination waits for, deadlines, bad values. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "long_poll_fixture.h"

TestSuite(http_waiting, .init = start_waiting, .fini = end_waiting, .timeout = 60);

/* ---- alone ---- */

Test(http_waiting, alone_it_waits_for_a_master)
{
    int fd, named;

    post_master(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&format=text", 200, "10.0.0.12:6379\n");
    post_master(master_down(8));
    fd = begin_get("/master?wait=30s&format=text");
    named = begin_get("/masters/mymaster?wait=30s&format=url");
    cr_expect(is_silent(fd, 100));
    post_master(master_down(9));
    cr_expect(is_silent(fd, 100), "still down");
    post_master(master_at("10.0.0.13:6379", 10));
    expect_line(fd, 200, "10.0.0.13:6379\n");
    expect_line(named, 200, "redis://10.0.0.13:6379\n");
}

Test(http_waiting, before_the_first_snapshot)
{
    int fd = begin_get("/master?wait=30s&format=text"),
        named = begin_get("/masters/mymaster?wait=30s&format=text"),
        other = begin_get("/masters/nobody?wait=30s");

    cr_expect(is_silent(fd, 100));
    post_master(master_at("10.0.0.12:6379", 7));
    expect_line(fd, 200, "10.0.0.12:6379\n");
    expect_line(named, 200, "10.0.0.12:6379\n");
    expect_line(other, 404, NULL);
}

Test(http_waiting, names_that_stand_for_nothing_are_not_waited_for)
{
    int fd;

    harness_post(&harness, make_several(make_master("a"), make_master("b")));
    expect_now("/masters/nobody?wait=30s", 404, "unknown-master");
    expect_now("/master?wait=30s", 409, "several-masters");
    fd = begin_get("/masters/b?wait=30s&index=7");
    cr_expect(is_silent(fd, 100));
    harness_post(&harness, make_snapshot(make_master("a"), NULL, NULL));
    expect_line(fd, 404, NULL);
}

Test(http_waiting, the_end_of_the_wait)
{
    int64_t before_ms = clock_boot_ms();

    post_master(master_down(8));
    expect_line(begin_get("/master?wait=400ms"), 503, NULL);
    cr_expect_geq(clock_boot_ms() - before_ms, 400 - 400 / 16 - 5);
    expect_now("/master?wait=0", 503, "redis_unreachable");
    post_master(master_at("10.0.0.12:6379", 9));
    before_ms = clock_boot_ms();
    expect_line(begin_get("/master?wait=200ms&index=9&format=text"), 200, "10.0.0.12:6379\n");
    cr_expect_geq(clock_boot_ms() - before_ms, 150);
}

/* ---- index ---- */

Test(http_waiting, index)
{
    int fd, twice;

    post_master(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&index=6", 200, "\"index\":7");
    fd = begin_get("/master?wait=30s&index=7");
    twice = begin_get("/master?index=7&wait=1ms&wait=30s");
    cr_expect(is_silent(fd, 100));
    post_master(master_at("10.0.0.12:6379", 7));
    cr_expect(is_silent(fd, 100), "another snapshot is no other index");
    post_master(master_down(8));
    expect_line(fd, 503, NULL);
    expect_line(twice, 503, NULL);
    expect_now("/master?wait=30s&index=7", 503, "\"index\":8");
    expect_now("/master?index=99", 503, NULL);
}

Test(http_waiting, instance)
{
    struct reply reply;
    char target[160];
    int fd;

    post_master(master_at("10.0.0.12:6379", 7));
    reply = get(&harness, "/master");
    snprintf(target, sizeof(target), "/master?wait=30s&index=7&instance=%s",
             header_of(&reply, "x-bellwether-instance"));
    reply_release(&reply);
    fd = begin_get(target);
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s&index=7&instance=0123456789abcdef", 200, NULL);
    expect_now("/master?wait=30s&index=99999&instance=0123456789abcdef", 200, NULL);
    post_master(master_at("10.0.0.13:6379", 8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, another_default_is_news)
{
    struct snapshot *snapshot = make_snapshot(make_master("a"), make_master("b"), NULL);
    int fd;

    harness_post(&harness, snapshot);
    fd = begin_get("/master?wait=30s&index=7");
    cr_expect(is_silent(fd, 100));
    harness_post(&harness, make_snapshot(make_master("b"), NULL, NULL));
    expect_line(fd, 200, NULL);
}

/* ---- unless ---- */

Test(http_waiting, unless)
{
    int fd, other;

    post_master(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&unless=10.0.0.99:6379&format=text", 200, "10.0.0.12:6379\n");
    expect_now("/master?wait=30s&unless=10.0.0.12:6380", 200, NULL);
    fd = begin_get("/master?wait=30s&unless=10.0.0.12:6379&format=text");
    cr_expect(is_silent(fd, 100));
    post_master(master_down(8));
    cr_expect(is_silent(fd, 100), "no master is none at another address");
    post_master(master_at("10.0.0.12:6379", 9));
    cr_expect(is_silent(fd, 100));
    other = begin_get("/master?wait=30s&unless=10.0.0.12:6379&index=20");
    post_master(master_at("10.0.0.13:6379", 10));
    expect_line(fd, 200, "10.0.0.13:6379\n");
    cr_expect(is_silent(other, 100), "both have to hold");
    post_master(master_at("10.0.0.13:6379", 21));
    expect_line(other, 200, NULL);
}

Test(http_waiting, unless_ipv6)
{
    int fd;

    post_master(master_at("[fd00::12]:6379", 7));
    fd = begin_get("/master?wait=30s&unless=[FD00:0::12]:6379");
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s&unless=%5Bfd00::13%5D:6379", 200, NULL);
    post_master(master_at("[fd00::13]:6379", 8));
    expect_line(fd, 200, NULL);
}

/* ---- Prefer ---- */

Test(http_waiting, prefer_with_if_none_match)
{
    struct reply reply;
    char more[256];
    int fd, other;

    post_master(master_at("10.0.0.12:6379", 7));
    reply = get(&harness, "/master");
    snprintf(more, sizeof(more), "If-None-Match: %s\r\nPrefer: respond-async, wait=30\r\n",
             header_of(&reply, "etag"));
    fd = begin_with("GET", "/master", more);
    cr_expect(is_silent(fd, 100));
    other = begin_with("GET", "/masters/mymaster", more);
    expect_line(other, 200, NULL);
    snprintf(more, sizeof(more), "If-None-Match: %s\r\nPrefer: wait=3\r\n",
             header_of(&reply, "etag"));
    other = begin_with("GET", "/master", more);
    cr_expect(is_silent(other, 300));
    expect_line(other, 304, NULL);
    post_master(master_down(8));
    cr_expect(is_silent(fd, 100), "503 has no tag");
    post_master(master_at("10.0.0.13:6379", 9));
    expect_line(fd, 200, NULL);
    reply_release(&reply);
    reply = get(&harness, "/master");
    snprintf(more, sizeof(more), "If-None-Match: %s\r\nPrefer: wait=soon\r\n",
             header_of(&reply, "etag"));
    expect_line(begin_with("GET", "/master", more), 304, NULL);
    reply_release(&reply);
    expect_line(begin_with("GET", "/master", "Prefer: wait=30\r\n"), 200, NULL);
}

/* ---- with what else there is ---- */

Test(http_waiting, require_majority)
{
    struct snapshot_master *master = master_at("10.0.0.12:6379", 7);
    int fd;

    master->majority = false;
    post_master(master);
    fd = begin_get("/master?wait=30s&require=majority&format=text");
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s", 200, NULL);
    expect_now("/master?wait=30s&index=1&require=majority", 503, "no_majority");
    post_master(master_at("10.0.0.12:6379", 8));
    expect_line(fd, 200, "10.0.0.12:6379\n");
}

Test(http_waiting, stale)
{
    int fd = begin_get("/master?wait=30s&stale=1");

    cr_expect(is_silent(fd, 100));
    post_master(make_master_in("mymaster", MASTER_UNKNOWN, REASON_STARTING));
    cr_expect(is_silent(fd, 100));
    post_master(master_down(8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, fresh_comes_after_the_wait)
{
    int fd;

    post_master(master_down(8));
    fd = begin_get("/master?wait=30s&fresh=1");
    cr_expect(is_silent(fd, 100));
    cr_expect_eq(atomic_load(&harness.asked), 0);
    post_master(master_at("10.0.0.13:6379", 9));
    expect_line(fd, 200, NULL);
    cr_expect_eq(atomic_load(&harness.asked), 1);
}

Test(http_waiting, head_and_a_kept_connection)
{
    struct reply reply;
    int fd;

    post_master(master_at("10.0.0.12:6379", 7));
    fd = begin_with("HEAD", "/master?wait=30s&index=7", NULL);
    cr_expect(is_silent(fd, 100));
    for (uint64_t index = 8; index < 12; index++) {
        char text[160];

        post_master(master_at("10.0.0.13:6379", index));
        reply = read_reply(fd, index > 8);
        cr_expect_eq(reply.status, 200);
        cr_expect_eq(strtoull(header_of(&reply, "x-bellwether-index"), NULL, 10), index);
        reply_release(&reply);
        snprintf(text, sizeof(text), "GET /master?wait=30s&index=%d HTTP/1.1\r\nHost: x\r\n\r\n",
                 (int)index);
        send_text(fd, text);
        cr_expect(is_silent(fd, 30));
    }
    close(fd);
}

Test(http_waiting, a_silent_watcher)
{
    int fd;

    post_master(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s", 200, NULL);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    fd = begin_get("/master?wait=30s&format=text");
    cr_expect(is_silent(fd, 100));
    expect_line(begin_get("/master?wait=100ms"), 503, NULL);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() + 600000);
    post_master(master_at("10.0.0.12:6379", 7));
    expect_line(fd, 200, "10.0.0.12:6379\n");
}

Test(http_waiting, bad_values)
{
    static const char *const targets[][2] = {
        {"/master?wait=-1", "wait"},
        {"/master?wait=1h", "wait"},
        {"/master?wait=301s", "wait"},
        {"/master?wait=30", "wait"},
        {"/master?wait=", "wait"},
        {"/master?wait=30s&index=x", "index"},
        {"/master?index=-1", "index"},
        {"/master?index=1.5", "index"},
        {"/master?index=", "index"},
        {"/master?index=99999999999999999999", "index"},
        {"/master?unless=10.0.0.1", "unless"},
        {"/master?unless=a:b", "unless"},
        {"/master?unless=:1", "unless"},
        {"/master?wait=1s&unless=10.0.0.1:0", "unless"},
        {"/masters/x?instance=", "instance"},
    };

    post_master(master_at("10.0.0.12:6379", 7));
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        char parameter[64], takes[64];
        struct reply reply = get(&harness, targets[i][0]);

        snprintf(parameter, sizeof(parameter), "\"parameter\":\"%s\"", targets[i][1]);
        snprintf(takes, sizeof(takes), "parameter %s is \\\"", targets[i][1]);
        cr_expect_eq(reply.status, 400, "%s: %d", targets[i][0], reply.status);
        cr_expect(strstr(reply.body, parameter) && strstr(reply.body, takes) &&
                      strstr(reply.body, "; it takes "),
                  "%s: %s", targets[i][0], reply.body);
        reply_release(&reply);
    }
    expect_now("/master?wait=5m", 200, NULL);
    expect_now("/masters?wait=nonsense", 200, NULL);
}
