/* See long_poll_fixture.h. */
#include "long_poll_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/metrics/counters.h"

void start_waiting(void)
{
    harness_init(&harness);
    harness.config.max_connections = 20;
    harness.config.max_waiters = 10;
    harness.config.metrics = metrics_new(1);
    harness_start(&harness);
}

void end_waiting(void)
{
    struct metrics *metrics = harness.config.metrics;

    close_harness();
    metrics_free(metrics);
}

/* ---- snapshots ---- */

struct snapshot_master *master_at(const char *address, uint64_t index)
{
    struct snapshot_master *master = make_master("mymaster");

    master->address = make_address(address);
    for (size_t i = 0; i < master->n_sentinels; i++) {
        master->sentinels[i].says = master->address;
    }
    master->index = master->revision = index;
    return master;
}

struct snapshot_master *master_down(uint64_t index)
{
    struct snapshot_master *master =
        make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);

    master->index = master->revision = index;
    return master;
}

void post_master(struct snapshot_master *master)
{
    uint64_t index = master->index;
    struct snapshot *snapshot = make_snapshot(master, NULL, NULL);

    snapshot->index = index;
    harness_post(&harness, snapshot);
}

/* ---- callers ---- */

int begin_with(const char *method, const char *target, const char *more)
{
    char text[2048];
    int fd = dial(&harness, LISTEN_ALL);

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target,
             more ? more : "");
    send_text(fd, text);
    return fd;
}

int begin_get(const char *target)
{
    return begin_with("GET", target, NULL);
}

bool is_silent(int fd, int ms)
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

struct reply finish(int fd)
{
    struct reply reply = read_reply(fd, true);

    close(fd);
    return reply;
}

void expect_line(int fd, int status, const char *body)
{
    struct reply reply = finish(fd);

    cr_expect_eq(reply.status, status, "%d %s", reply.status, reply.body);
    cr_expect(!body || strcmp(reply.body, body) == 0, "%s instead of %s", reply.body, body);
    reply_release(&reply);
}

void expect_now(const char *target, int status, const char *part)
{
    int64_t before_ms = clock_boot_ms();
    struct reply reply = get(&harness, target);

    cr_expect_eq(reply.status, status, "%s: %d %s", target, reply.status, reply.body);
    cr_expect(!part || strstr(reply.body, part), "%s: %s", target, reply.body);
    cr_expect_lt(clock_boot_ms() - before_ms, 4900, "%s", target);
    reply_release(&reply);
}
