/*
 * Long polls: what each combination waits for, deadlines, callers that leave, the bound, the end.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "fixture.h"

static struct harness harness;

static void start(void)
{
    harness_init(&harness);
    harness.config.max_connections = 20;
    harness.config.max_waiters = 10;
    harness_start(&harness);
}

static void stop(void)
{
    harness_release(&harness);
}

TestSuite(http_waiting, .init = start, .fini = stop, .timeout = 60);

/* ---- snapshots ---- */

static struct snapshot_master *master_at(const char *address, uint64_t index)
{
    struct snapshot_master *master = make_master("mymaster");

    master->address = make_address(address);
    for (size_t i = 0; i < master->n_sentinels; i++) {
        master->sentinels[i].says = master->address;
    }
    master->index = master->revision = index;
    return master;
}

static struct snapshot_master *master_down(uint64_t index)
{
    struct snapshot_master *master =
        make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);

    master->index = master->revision = index;
    return master;
}

static void post(struct snapshot_master *master)
{
    uint64_t index = master->index;
    struct snapshot *snapshot = make_snapshot(master, NULL, NULL);

    snapshot->index = index;
    harness_post(&harness, snapshot);
}

/* ---- callers ---- */

/* A request that is under way. */
static int begin_with(const char *method, const char *target, const char *more)
{
    char text[2048];
    int fd = dial(&harness, LISTEN_ALL);

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target,
             more ? more : "");
    send_text(fd, text);
    return fd;
}

static int begin(const char *target)
{
    return begin_with("GET", target, NULL);
}

/* No answer for a while. */
static bool is_silent(int fd, int ms)
{
    struct timeval patience = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
    struct timeval usual = {.tv_sec = 5};
    char byte;
    ssize_t n;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    n = recv(fd, &byte, 1, MSG_PEEK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &usual, sizeof(usual));
    return n < 0;
}

/* The answer to a request that was begun; the connection is closed. */
static struct reply finish(int fd)
{
    struct reply reply = read_reply(fd, true);

    close(fd);
    return reply;
}

static void expect_line(int fd, int status, const char *body)
{
    struct reply reply = finish(fd);

    cr_expect_eq(reply.status, status, "%d %s", reply.status, reply.body);
    cr_expect(!body || strcmp(reply.body, body) == 0, "%s instead of %s", reply.body, body);
    reply_release(&reply);
}

static void expect_now(const char *target, int status, const char *part)
{
    int64_t before_ms = clock_boot_ms();
    struct reply reply = get(&harness, target);

    cr_expect_eq(reply.status, status, "%s: %d %s", target, reply.status, reply.body);
    cr_expect(!part || strstr(reply.body, part), "%s: %s", target, reply.body);
    cr_expect_lt(clock_boot_ms() - before_ms, 2000, "%s", target);
    reply_release(&reply);
}

/* ---- alone ---- */

Test(http_waiting, alone_it_waits_for_a_master)
{
    int fd, named;

    post(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&format=text", 200, "10.0.0.12:6379\n");
    post(master_down(8));
    fd = begin("/master?wait=30s&format=text");
    named = begin("/masters/mymaster?wait=30s&format=url");
    cr_expect(is_silent(fd, 100));
    post(master_down(9));
    cr_expect(is_silent(fd, 100), "still down");
    post(master_at("10.0.0.13:6379", 10));
    expect_line(fd, 200, "10.0.0.13:6379\n");
    expect_line(named, 200, "redis://10.0.0.13:6379\n");
}

Test(http_waiting, before_the_first_snapshot)
{
    int fd = begin("/master?wait=30s&format=text"),
        named = begin("/masters/mymaster?wait=30s&format=text"),
        other = begin("/masters/nobody?wait=30s");

    cr_expect(is_silent(fd, 100));
    post(master_at("10.0.0.12:6379", 7));
    expect_line(fd, 200, "10.0.0.12:6379\n");
    expect_line(named, 200, "10.0.0.12:6379\n");
    expect_line(other, 404, NULL);
}

Test(http_waiting, names_that_stand_for_nothing_are_not_waited_for)
{
    struct snapshot *several = make_snapshot(make_master("a"), make_master("b"), NULL);
    int fd;

    free(several->default_name);
    several->default_name = NULL;
    several->ambiguous_default = true;
    harness_post(&harness, several);
    expect_now("/masters/nobody?wait=30s", 404, "unknown-master");
    expect_now("/master?wait=30s", 409, "several-masters");
    fd = begin("/masters/b?wait=30s&index=7");
    cr_expect(is_silent(fd, 100));
    harness_post(&harness, make_snapshot(make_master("a"), NULL, NULL));
    expect_line(fd, 404, NULL);
}

Test(http_waiting, the_end_of_the_wait)
{
    int64_t before_ms = clock_boot_ms();

    post(master_down(8));
    expect_line(begin("/master?wait=400ms"), 503, NULL);
    cr_expect_geq(clock_boot_ms() - before_ms, 400 - 400 / 16 - 5);
    expect_now("/master?wait=0", 503, "redis_unreachable");
    post(master_at("10.0.0.12:6379", 9));
    before_ms = clock_boot_ms();
    expect_line(begin("/master?wait=200ms&index=9&format=text"), 200, "10.0.0.12:6379\n");
    cr_expect_geq(clock_boot_ms() - before_ms, 150);
}

/* ---- index ---- */

Test(http_waiting, index)
{
    int fd, twice;

    post(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&index=6", 200, "\"index\":7");
    fd = begin("/master?wait=30s&index=7");
    twice = begin("/master?index=7&wait=1ms&wait=30s");
    cr_expect(is_silent(fd, 100));
    post(master_at("10.0.0.12:6379", 7));
    cr_expect(is_silent(fd, 100), "another snapshot is no other index");
    post(master_down(8));
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

    post(master_at("10.0.0.12:6379", 7));
    reply = get(&harness, "/master");
    snprintf(target, sizeof(target), "/master?wait=30s&index=7&instance=%s",
             header_of(&reply, "x-bellwether-instance"));
    reply_release(&reply);
    fd = begin(target);
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s&index=7&instance=0123456789abcdef", 200, NULL);
    expect_now("/master?wait=30s&index=99999&instance=0123456789abcdef", 200, NULL);
    post(master_at("10.0.0.13:6379", 8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, another_default_is_news)
{
    struct snapshot *snapshot = make_snapshot(make_master("a"), make_master("b"), NULL);
    int fd;

    harness_post(&harness, snapshot);
    fd = begin("/master?wait=30s&index=7");
    cr_expect(is_silent(fd, 100));
    harness_post(&harness, make_snapshot(make_master("b"), NULL, NULL));
    expect_line(fd, 200, NULL);
}

/* ---- unless ---- */

Test(http_waiting, unless)
{
    int fd, other;

    post(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s&unless=10.0.0.99:6379&format=text", 200, "10.0.0.12:6379\n");
    expect_now("/master?wait=30s&unless=10.0.0.12:6380", 200, NULL);
    fd = begin("/master?wait=30s&unless=10.0.0.12:6379&format=text");
    cr_expect(is_silent(fd, 100));
    post(master_down(8));
    cr_expect(is_silent(fd, 100), "no master is none at another address");
    post(master_at("10.0.0.12:6379", 9));
    cr_expect(is_silent(fd, 100));
    other = begin("/master?wait=30s&unless=10.0.0.12:6379&index=20");
    post(master_at("10.0.0.13:6379", 10));
    expect_line(fd, 200, "10.0.0.13:6379\n");
    cr_expect(is_silent(other, 100), "both have to hold");
    post(master_at("10.0.0.13:6379", 21));
    expect_line(other, 200, NULL);
}

Test(http_waiting, unless_ipv6)
{
    int fd;

    post(master_at("[fd00::12]:6379", 7));
    fd = begin("/master?wait=30s&unless=[FD00:0::12]:6379");
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s&unless=%5Bfd00::13%5D:6379", 200, NULL);
    post(master_at("[fd00::13]:6379", 8));
    expect_line(fd, 200, NULL);
}

/* ---- Prefer ---- */

Test(http_waiting, prefer_with_if_none_match)
{
    struct reply reply;
    char more[256];
    int fd, other;

    post(master_at("10.0.0.12:6379", 7));
    reply = get(&harness, "/master");
    snprintf(more, sizeof(more), "If-None-Match: %s\r\nPrefer: respond-async, wait=30\r\n",
             header_of(&reply, "etag"));
    fd = begin_with("GET", "/master", more);
    cr_expect(is_silent(fd, 100));
    other = begin_with("GET", "/masters/mymaster", more);
    expect_line(other, 200, NULL);
    snprintf(more, sizeof(more), "If-None-Match: %s\r\nPrefer: wait=1\r\n",
             header_of(&reply, "etag"));
    other = begin_with("GET", "/master", more);
    cr_expect(is_silent(other, 300));
    expect_line(other, 304, NULL);
    post(master_down(8));
    cr_expect(is_silent(fd, 100), "503 has no tag");
    post(master_at("10.0.0.13:6379", 9));
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
    post(master);
    fd = begin("/master?wait=30s&require=majority&format=text");
    cr_expect(is_silent(fd, 100));
    expect_now("/master?wait=30s", 200, NULL);
    expect_now("/master?wait=30s&index=1&require=majority", 503, "no_majority");
    post(master_at("10.0.0.12:6379", 8));
    expect_line(fd, 200, "10.0.0.12:6379\n");
}

Test(http_waiting, stale)
{
    int fd = begin("/master?wait=30s&stale=1");

    cr_expect(is_silent(fd, 100));
    post(make_master_in("mymaster", MASTER_UNKNOWN, REASON_STARTING));
    cr_expect(is_silent(fd, 100));
    post(master_down(8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, fresh_comes_after_the_wait)
{
    int fd;

    post(master_down(8));
    fd = begin("/master?wait=30s&fresh=1");
    cr_expect(is_silent(fd, 100));
    cr_expect_eq(atomic_load(&harness.asked), 0);
    post(master_at("10.0.0.13:6379", 9));
    expect_line(fd, 200, NULL);
    cr_expect_eq(atomic_load(&harness.asked), 1);
}

Test(http_waiting, head_and_a_kept_connection)
{
    struct reply reply;
    int fd;

    post(master_at("10.0.0.12:6379", 7));
    fd = begin_with("HEAD", "/master?wait=30s&index=7", NULL);
    cr_expect(is_silent(fd, 100));
    for (uint64_t index = 8; index < 12; index++) {
        char text[160];

        post(master_at("10.0.0.13:6379", index));
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

    post(master_at("10.0.0.12:6379", 7));
    expect_now("/master?wait=30s", 200, NULL);
    atomic_store(&harness.pulses[0].valid_until_boot_ms, clock_boot_ms() - 1);
    fd = begin("/master?wait=30s&format=text");
    cr_expect(is_silent(fd, 100));
    expect_line(begin("/master?wait=100ms"), 503, NULL);
    atomic_store(&harness.pulses[0].valid_until_boot_ms, clock_boot_ms() + 600000);
    post(master_at("10.0.0.12:6379", 7));
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

    post(master_at("10.0.0.12:6379", 7));
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        char parameter[64], takes[64];
        struct reply reply = get(&harness, targets[i][0]);

        snprintf(parameter, sizeof(parameter), "\"parameter\":\"%s\"", targets[i][1]);
        snprintf(takes, sizeof(takes), "parameter %s takes ", targets[i][1]);
        cr_expect_eq(reply.status, 400, "%s: %d", targets[i][0], reply.status);
        cr_expect(strstr(reply.body, parameter) && strstr(reply.body, takes), "%s: %s",
                  targets[i][0], reply.body);
        reply_release(&reply);
    }
    expect_now("/master?wait=5m", 200, NULL);
    expect_now("/masters?wait=nonsense", 200, NULL);
}

/* ---- bound, leaving, end ---- */

static void wait_for_status(const char *target, int status)
{
    int seen = 0;

    for (int i = 0; i < 500 && seen != status; i++) {
        struct reply reply = get(&harness, target);

        seen = reply.status;
        reply_release(&reply);
        usleep(seen == status ? 0 : 10000);
    }
    cr_expect_eq(seen, status, "%s: %d", target, seen);
}

Test(http_waiting, the_bound)
{
    enum { MANY = 10, OTHERS = 14 }; /* together more than max-connections */
    int fds[MANY], others[OTHERS];

    post(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        fds[i] = begin("/master?wait=60s&index=7");
    }
    wait_for_status("/master?wait=1ms&index=7", 503);
    expect_now("/master?wait=30s&index=7", 503, "urn:bellwether:problem:too-many-waiters");
    expect_now("/events", 503, "too-many-waiters");
    expect_now("/master?wait=30s&index=6", 200, NULL);
    for (int i = 0; i < OTHERS; i++) {
        struct reply reply;

        others[i] = begin("/master");
        reply = read_reply(others[i], true);
        cr_expect_eq(reply.status, 200, "%d: waiting ones take no room from the others", i);
        reply_release(&reply);
    }
    expect_now("/livez", 200, NULL);
    expect_now("/master", 200, NULL);
    for (int i = 0; i < OTHERS; i++) {
        close(others[i]);
    }
    post(master_at("10.0.0.13:6379", 8));
    for (int i = 0; i < MANY; i++) {
        expect_line(fds[i], 200, NULL);
    }
    expect_line(begin("/master?wait=100ms&index=8"), 200, NULL);
}

Test(http_waiting, refusals_carry_retry_after)
{
    int fds[10];
    struct reply reply;

    post(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < 10; i++) {
        fds[i] = begin("/master?wait=60s&index=7");
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

Test(http_waiting, callers_that_leave_do_no_harm)
{
    post(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < 10; i++) {
        close(begin("/master?wait=300ms&index=7"));
    }
    usleep(400000);
    for (int i = 0; i < 5; i++) {
        close(begin("/master?wait=60s&index=7"));
    }
    post(master_at("10.0.0.13:6379", 8));
    wait_for_status("/master?wait=1ms&index=8", 200);
}

static void start_looking(void)
{
    harness_init(&harness);
    harness.config.max_waiters = 10;
    harness.config.heartbeat_ms = 200;
    harness_start(&harness);
}

TestSuite(http_waiting_looking, .init = start_looking, .fini = stop, .timeout = 60);

Test(http_waiting_looking, callers_that_left_give_their_place_back)
{
    int fd;

    post(master_at("10.0.0.12:6379", 7));
    fd = begin("/master?wait=60s&index=7");
    for (int i = 0; i < 9; i++) {
        close(begin("/master?wait=60s&index=7"));
    }
    wait_for_status("/master?wait=1ms&index=7", 200);
    cr_expect(is_silent(fd, 500), "who is there waits on");
    post(master_at("10.0.0.13:6379", 8));
    expect_line(fd, 200, NULL);
}

Test(http_waiting, draining_answers_those_who_wait_and_those_who_come_may_wait)
{
    struct reply reply;
    int fd, late;

    post(master_at("10.0.0.12:6379", 7));
    fd = begin("/master?wait=60s&index=7");
    cr_expect(is_silent(fd, 100));
    harness_news(&harness, MESSAGE_DRAIN);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    cr_expect(reads_end(fd));
    reply_release(&reply);
    close(fd);
    late = begin("/master?wait=60s&index=7");
    cr_expect(is_silent(late, 100));
    post(master_at("10.0.0.13:6379", 8));
    expect_line(late, 200, NULL);
}

static void restart(void)
{
    stop();
    start();
}

static int64_t end_with_a_long_poll(void)
{
    struct reply reply;
    int fd;
    int64_t before_ms;

    post(master_down(7));
    fd = begin("/master?wait=60s");
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
    post(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        char target[96];

        snprintf(target, sizeof(target), "/master?wait=%ds&index=7&format=text", 20 + i % 200);
        fds[i] = begin(target);
    }
    cr_expect(is_silent(fds[MANY - 1], 300));
    post(master_at("10.0.0.13:6379", 8));
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

    harness_init(&harness);
    harness.config.max_waiters = 3000;
    harness_start(&harness);
    post(master_at("10.0.0.12:6379", 7));
    for (int i = 0; i < MANY; i++) {
        fds[i] = begin("/master?wait=60s&index=7&format=text");
    }
    cr_expect(is_silent(fds[MANY - 1], 300));
    for (uint64_t index = 8; index < 12; index++) {
        struct reply reply;
        char target[128];

        post(master_at("10.0.0.13:6379", index));
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
        cr_expect(is_silent(fds[MANY - 1], 300));
    }
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
    harness_release(&harness);
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
    post(master_at("10.0.0.12:6379", 7));
    for (size_t i = 0; i < TARGETS; i++) {
        for (size_t k = 0; k < MORE; k++) {
            char target[128];

            snprintf(target, sizeof(target), "%swait=60s&index=7", targets[i]);
            fds[i][k] = begin_with("GET", target, more[k]);
        }
    }
    cr_expect(is_silent(fds[TARGETS - 1][MORE - 1], 300));
    post(master_at("10.0.0.13:6379", 8));
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
