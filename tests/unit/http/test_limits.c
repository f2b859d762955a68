/* Bad input and limits: each has its answer, and after each the worker still serves. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "harness.h"

static struct harness harness;

static void start(void)
{
    harness_init(&harness);
    harness.config.max_connections = 10;
    harness.config.idle_timeout_ms = 1000;
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

/* With an idle time-out that closes nothing in time. */
static void start_patiently(void)
{
    harness_init(&harness);
    harness.config.max_connections = 10;
    harness.config.idle_timeout_ms = 60000;
    harness.config.request_timeout_ms = 1000;
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

static void stop(void)
{
    struct reply reply = get(&harness, "/master");

    cr_expect_eq(reply.status, 200, "it still serves");
    reply_release(&reply);
    harness_release(&harness);
}

TestSuite(http_limits, .init = start, .fini = stop, .timeout = 30);
TestSuite(http_limits_patient, .init = start_patiently, .fini = stop, .timeout = 30);

/* Send raw bytes on a new connection and read one reply. */
static struct reply raw(const char *bytes, size_t size)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_bytes(fd, bytes, size);
    reply = read_reply(fd, true);
    close(fd);
    return reply;
}

static int raw_status(const char *text)
{
    struct reply reply = raw(text, strlen(text));
    int status = reply.status;

    reply_release(&reply);
    return status;
}

Test(http_limits, request_line_of_64_kb)
{
    enum { LONG = 64 << 10 };
    char *text = mem_new(LONG + 64, 1);
    struct reply reply;

    memcpy(text, "GET /", 5);
    memset(text + 5, 'a', LONG);
    memcpy(text + 5 + LONG, " HTTP/1.1\r\nHost: x\r\n\r\n", 23);
    reply = raw(text, strlen(text));
    cr_expect(reply.status == 414 || reply.status == 431 || reply.status == 0, "%d", reply.status);
    reply_release(&reply);
    free(text);
}

Test(http_limits, a_thousand_headers)
{
    char *text = mem_new(64 << 10, 1);
    struct reply reply;
    size_t len = (size_t)snprintf(text, 64 << 10, "GET /master HTTP/1.1\r\nHost: x\r\n");

    for (int i = 0; i < 1000; i++) {
        len += (size_t)snprintf(text + len, (64 << 10) - len, "X-Header-%d: value\r\n", i);
    }
    len += (size_t)snprintf(text + len, (64 << 10) - len, "\r\n");
    reply = raw(text, len);
    cr_expect(reply.status == 431 || reply.status == 0, "%d", reply.status); /* 0: reset after its refusal */
    reply_release(&reply);
    free(text);
}

Test(http_limits, host_headers)
{
    cr_expect_eq(raw_status("GET /master HTTP/1.1\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /master HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /master HTTP/1.0\r\n\r\n"), 200);
    cr_expect_eq(raw_status("GET http://localhost/master HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

Test(http_limits, requests_that_are_none)
{
    cr_expect_eq(raw_status("GET /master\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /master HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
    cr_expect_eq(
        raw_status("GET /master HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /master HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                 400);
    cr_expect_eq(raw_status("GET /master HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /ma ster HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    raw_status("*1\r\n$4\r\nPING\r\n\r\n");
    raw_status("\x16\x03\x01\x02");
}

Test(http_limits, nul_and_dots_in_the_path)
{
    char text[] = "GET /mas\0ter HTTP/1.1\r\nHost: x\r\n\r\n";
    struct reply reply = raw(text, sizeof(text) - 1);

    cr_expect(reply.status == 400 || reply.status == 0, "%d", reply.status);
    reply_release(&reply);
    reply = get(&harness, "/masters/my%00master");
    cr_expect_eq(reply.status, 400);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:bad-path"), "%s", reply.body);
    reply_release(&reply);
    cr_expect_eq(raw_status("GET /masters/%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    cr_expect_eq(raw_status("GET /../master HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    cr_expect_eq(raw_status("GET /master/../masters HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    cr_expect_eq(raw_status("GET /%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
}

static struct reply with_body(const char *headers, size_t size)
{
    char *text = mem_new(size + 512, 1);
    size_t len = (size_t)snprintf(text, 512, "GET /master HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    struct reply reply;

    memset(text + len, 'x', size);
    reply = raw(text, len + size);
    free(text);
    return reply;
}

Test(http_limits, a_body_on_get)
{
    struct reply reply = with_body("Content-Length: 5\r\n", 5);

    cr_expect_eq(reply.status, 200, "ignored");
    reply_release(&reply);
    reply = with_body("Content-Length: 1000\r\n", 1000);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    reply = with_body("Content-Length: 1001\r\n", 1001);
    cr_expect_eq(reply.status, 413);
    cr_expect(strstr(reply.body, "\"max_body_bytes\":1000"), "%s", reply.body);
    reply_release(&reply);
    reply = with_body("Content-Length: 300000\r\n", 300000);
    cr_expect_eq(reply.status, 413, "read to its end, so that the caller can read the answer");
    reply_release(&reply);
    reply = with_body("Content-Length: 99999999999\r\n", 0);
    cr_expect_eq(reply.status, 413, "at once");
    reply_release(&reply);
    reply = with_body("Content-Length: 2000\r\nExpect: 100-continue\r\n", 0);
    cr_expect_eq(reply.status, 413, "instead of 100");
    reply_release(&reply);
}

Test(http_limits, chunked_bodies)
{
    char text[8192];
    struct reply reply;
    size_t len;

    cr_expect_eq(
        raw_status(
            "GET /master HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        200);
    len = (size_t)snprintf(text, sizeof(text),
                           "GET /master HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "190\r\n%0400d\r\n", 0);
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, "0\r\n\r\n");
    reply = raw(text, len);
    cr_expect_eq(reply.status, 413, "at its end");
    reply_release(&reply);
    cr_expect_eq(raw_status("GET /master HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                 400);
}

Test(http_limits, an_endless_chunked_body_is_cut)
{
    int fd = dial(&harness, LISTEN_ALL);
    static char chunk[4096 + 16];
    size_t sent = 0;

    send_text(fd, "GET /master HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    snprintf(chunk, sizeof(chunk), "1000\r\n%04096d\r\n", 0);
    while (sent < (32U << 20)) {
        if (send(fd, chunk, 4096 + 8, MSG_NOSIGNAL) <= 0) {
            break;
        }
        sent += 4096;
    }
    cr_expect_lt(sent, 32U << 20, "nobody stopped it");
    close(fd);
}

Test(http_limits, bodies_do_not_end_a_kept_connection)
{
    int fd = dial(&harness, LISTEN_ALL);

    for (int i = 0; i < 3; i++) {
        struct reply reply;

        send_text(fd, "GET /master HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        reply = read_reply(fd, true);
        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
    }
    close(fd);
}

Test(http_limits, half_a_request_and_silence)
{
    int64_t before_ms = clock_boot_ms();
    int half = dial(&harness, LISTEN_ALL), none = dial(&harness, LISTEN_ALL),
        kept = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(half, "GET /master HTTP/1.1\r\nHo");
    send_text(kept, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(kept, true);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    reply = read_reply(half, true);
    cr_expect_eq(reply.status, 408);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:request-timeout"), "%s", reply.body);
    reply_release(&reply);
    cr_expect(reads_end(half));
    cr_expect(reads_end(none));
    cr_expect(reads_end(kept));
    cr_expect_geq(clock_boot_ms() - before_ms, 900);
    cr_expect_lt(clock_boot_ms() - before_ms, 4500);
    close(half);
    close(none);
    close(kept);
}

/* ---- too many connections ---- */

static void fill(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reply reply;

        fds[i] = dial(&harness, LISTEN_ALL);
        send_text(fds[i], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        reply = read_reply(fds[i], true);
        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
    }
}

/* The worker sees its callers' ends in its own time. */
static void wait_for_room(void)
{
    int status = 0;

    for (int i = 0; i < 500 && status != 200; i++) {
        struct reply reply = get(&harness, "/master");

        status = reply.status;
        reply_release(&reply);
        if (status != 200) {
            usleep(10000);
        }
    }
    cr_expect_eq(status, 200, "there is room again");
}

Test(http_limits_patient, too_many_connections_are_told_so)
{
    int fds[10], extra;
    struct reply reply;

    fill(fds, 10);
    extra = dial(&harness, LISTEN_ALL);
    send_text(extra, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(extra, true);
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:too-many-connections"), "%s", reply.body);
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    cr_expect(reads_end(extra));
    reply_release(&reply);
    close(extra);

    reply = get(&harness, "/livez");
    cr_expect_eq(reply.status, 200, "never refused");
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    reply_release(&reply);
    reply = ask_probe(&harness, "GET", "/readyz");
    cr_expect_eq(reply.status, 200, "the probe listener has connections of its own");
    reply_release(&reply);

    send_text(fds[0], "GET /master HTTP/1.1\r\nHost: x\r\n\r\n"); /* those that are in stay */
    reply = read_reply(fds[0], true);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    for (int i = 0; i < 10; i++) {
        close(fds[i]);
    }
    wait_for_room();
}

Test(http_limits_patient, who_comes_to_wait_has_room_beside)
{
    int fds[10], extra;
    struct reply reply;

    fill(fds, 10);
    extra = dial(&harness, LISTEN_ALL);
    send_text(extra, "GET /master?wait=100ms&index=9000000000000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(extra, true);
    cr_expect_eq(reply.status, 200, "%d", reply.status);
    reply_release(&reply);
    send_text(extra, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n"); /* it stands beside the others from now on */
    reply = read_reply(extra, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "connection"), "");
    reply_release(&reply);
    close(extra);
    for (int i = 0; i < 10; i++) {
        close(fds[i]);
    }
    wait_for_room();
}

/* Those that have not spoken take no place. */
Test(http_limits_patient, silent_connections_are_in_nobodys_way)
{
    int silent[30];

    for (int i = 0; i < 30; i++) {
        silent[i] = dial(&harness, LISTEN_ALL);
        send_text(silent[i], i % 2 ? "GET /mas" : "");
    }
    for (int i = 0; i < 10; i++) {
        struct reply reply = get(&harness, "/master");

        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
    }
    for (int i = 0; i < 30; i++) {
        if (i % 2) {
            struct reply reply = read_reply(silent[i], true);

            cr_expect_eq(reply.status, 408);
            reply_release(&reply);
        }
        cr_expect(reads_end(silent[i]));
        close(silent[i]);
    }
}
