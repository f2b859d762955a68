/* Commands within --max-memory: what does not fit is refused, what was counted is given back. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/buffer.h"
#include "bellwether/base/memory.h"
#include "redis_fixture.h"

TestSuite(http_commands_memory, .init = prepare_commands, .timeout = 30);

#define MIB ((size_t)1024 * 1024)
#define THREADS_KEEP ((size_t)4 * 4096) /* each a lump */

/* The worker is gone, and so is all that it held. */
static void end_memory(void)
{
    stop_commands();
    cr_expect_leq(budget_used(), THREADS_KEEP, "%zu", budget_used());
}

static void wait_used_below(size_t bytes)
{
    for (int i = 0; i < 2500 && budget_used() >= bytes; i++) {
        usleep(2000);
    }
    cr_assert_lt(budget_used(), bytes);
}

static void expect_no_memory(struct reply reply)
{
    cr_expect_not_null(strstr(reply.body, "max-memory"), "%s", reply.body);
    cr_expect_str_eq(expect_error(reply, 503, "not-sent", "NOTSENT "), "not_sent");
}

Test(http_commands_memory, nothing_is_sent_when_there_is_none)
{
    budget_limit(MIB);
    begin_commands();
    expect_post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    budget_count((int64_t)MIB);
    expect_no_memory(request("POST", "/redis", NULL, "[\"SET\",\"k\",1]"));
    expect_no_memory(request("POST", "/redis/pipeline", NULL, "[[\"SET\",\"k\",1]]"));
    expect_no_memory(request("GET", "/redis/get/k", NULL, NULL));
    expect_no_memory(
        request("POST", "/redis/set/k", "Transfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n", NULL));
    wait_for_figure("\nbellwether_http_rejected_total{reason=\"memory\"} 4\n");
    wait_for_figure("\nbellwether_commands_total{outcome=\"done\"} 1\n");
    budget_count(-(int64_t)MIB);
    expect_post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    end_memory();
}

/*
 * Of a body that will not fit nothing is kept, whether its length was said or not; the connection
 * stays.
 */
Test(http_commands_memory, a_body_that_does_not_fit)
{
    enum { SIZE = 3 << 20 };
    char *body = mem_new(SIZE + 1, 1), chunk[32];
    int fd;

    memset(body, 'x', SIZE);
    harness.config.max_body_bytes = 2 * SIZE;
    budget_limit(2 * MIB);
    begin_commands();
    fd = dial(&harness, LISTEN_ALL);
    send_request(fd, "POST", "/redis/set/k", NULL, body);
    expect_no_memory(read_reply(fd, true));
    send_text(
        fd, "POST /redis/set/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    snprintf(chunk, sizeof(chunk), "%x\r\n", (unsigned)SIZE);
    send_text(fd, chunk);
    send_bytes(fd, body, SIZE);
    send_text(fd, "\r\n0\r\n\r\n");
    expect_no_memory(read_reply(fd, true));
    wait_used_below(MIB);
    send_request(fd, "POST", "/redis/set/k", NULL, "v");
    expect_json(read_reply(fd, true), 200, "{\"result\":\"OK\"}\n");
    close(fd);
    expect_no_memory(request("POST", "/redis/set/k",
                             "Expect: 100-continue\r\nContent-Length: 3000000\r\n", NULL));
    free(body);
    end_memory();
}

/* Its commands take more than it does itself. */
Test(http_commands_memory, many_commands_that_do_not_fit)
{
    struct buffer body = {0};

    harness.config.max_body_bytes = 1 << 20;
    budget_limit(4 * MIB);
    begin_commands();
    buffer_add_text(&body, "[[\"GET\",\"k\"]");
    for (int i = 1; i < 5000; i++) {
        buffer_add_text(&body, ",[\"GET\",\"k\"]");
    }
    buffer_add(&body, "]", 2);
    expect_no_memory(request("POST", "/redis/pipeline", NULL, body.bytes));
    budget_limit(64 * MIB);
    struct reply reply = request("POST", "/redis/pipeline", NULL, body.bytes);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    buffer_release(&body);
    end_memory();
}

/* A caller that leaves in the middle of a body takes it along. */
Test(http_commands_memory, a_caller_that_leaves)
{
    char *body = mem_new(MIB + 1, 1);
    int fd;

    memset(body, 'x', MIB);
    harness.config.max_body_bytes = 8 << 20;
    begin_commands();
    fd = dial(&harness, LISTEN_ALL);
    send_text(fd,
              "POST /redis/set/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n");
    send_bytes(fd, body, MIB);
    for (int i = 0; i < 2500 && budget_used() < 4000000; i++) {
        usleep(2000);
    }
    cr_expect_geq(budget_used(), 4000000);
    close(fd);
    wait_used_below(MIB);
    free(body);
    end_memory();
}

/*
 * Replies that wait for the last of their pipeline are bounded together; small ones always have a
 * place.
 */
static int hang_with_replies(void)
{
    int fd;

    budget_limit(24 * MIB);
    begin_commands();
    budget_count(18 * (int64_t)MIB); /* so 3 MiB are left for what stays, and 3 for what is read */
    fd = dial(&harness, LISTEN_ALL);
    send_request(
        fd, "POST", "/redis/pipeline", NULL,
        "[[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],"
        "[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"GET\",\"k\"],[\"HANG\"]]");
    wait_hanging(1);
    wait_for_figure("\nbellwether_pool_inflight 1\n"); /* the others are answered */
    return fd;
}

Test(http_commands_memory, replies_that_do_not_fit_together)
{
    struct reply reply;
    int fd = hang_with_replies();

    cr_expect(budget_used() > 18 * MIB + 1000000 && budget_used() < 24 * MIB, "%zu", budget_used());
    budget_count(-18 * (int64_t)MIB);
    fake_redis_release(fake);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_not_null(strstr(
        reply.body, "{\"error\":\"TOOBIG it has run, but there is no memory left for its reply"));
    cr_expect_not_null(strstr(
        reply.body, "\"outcome\":\"done\"},{\"result\":\"value of k\"},{\"result\":\"OK\"}]"));
    cr_expect(reply.size > 1000000 && reply.size < 3500000, "%zu", reply.size);
    reply_release(&reply);
    close(fd);
    wait_used_below(MIB);
    end_memory();
}

/* For a moment the list takes as much as its parts. */
Test(http_commands_memory, an_answer_that_does_not_fit)
{
    struct reply reply;
    int fd = hang_with_replies();

    fake_redis_release(fake);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_not_null(
        strstr(reply.body, "no memory left for the replies to this request together"));
    cr_expect_not_null(strstr(reply.body, "{\"result\":\"value of k\"},{\"result\":\"OK\"}]"));
    reply_release(&reply);
    close(fd);
    budget_count(-18 * (int64_t)MIB);
    wait_used_below(MIB);
    end_memory();
}

Test(http_commands_memory, the_worker_ends)
{
    int fd = hang_with_replies();

    budget_count(-18 * (int64_t)MIB);
    end_memory();
    close(fd);
}
