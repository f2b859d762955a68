/* Bad input and limits: each has its answer, and after each the worker still serves. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "suite_harness.h"

static void start_with(int64_t idle_timeout_ms, int64_t request_timeout_ms)
{
    harness_init(&harness);
    harness.config.max_connections = 10;
    harness.config.idle_timeout_ms = idle_timeout_ms;
    harness.config.request_timeout_ms = request_timeout_ms;
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

/* No time-out comes to anybody's help, nor in anybody's way. */
static void start(void)
{
    start_with(60000, 0);
}

static void start_hastily(void)
{
    start_with(1000, 0);
}

/* With an idle time-out that closes nothing in time. */
static void start_patiently(void)
{
    start_with(60000, 1000);
}

static void stop(void)
{
    struct reply reply = get(&harness, "/master");

    cr_expect_eq(reply.status, 200, "it still serves");
    reply_release(&reply);
    harness_release(&harness);
}

TestSuite(http_limits, .init = start, .fini = stop, .timeout = 30);
TestSuite(http_limits_hasty, .init = start_hastily, .fini = stop, .timeout = 30);
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
    cr_expect_eq(reply.status, 414);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:target-too-long"), "%s", reply.body);
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
    cr_expect_eq(reply.status, 431);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:head-too-large"), "%s", reply.body);
    reply_release(&reply);
    free(text);
}

/* ---- malformed requests ---- */

#define LINE "GET /master HTTP/1.1\r\n"
#define HEAD LINE "Host: x\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

struct malformed {
    const char *bytes;
    size_t size;
    int status;
    const char *slug;
};
/* clang-format off */
#define ROW(text, status, slug) \
    {text, sizeof(text) - 1, status, "urn:bellwether:problem:" slug}
/* clang-format on */

static const struct malformed malformed[] = {
    ROW("nonsense\r\n", 400, "bad-request"),
    ROW("*1\r\n$4\r\nPING\r\n", 400, "bad-request"),
    ROW("GET\r\n\r\n", 400, "bad-request"),
    ROW("GET /master\r\n\r\n", 400, "bad-request"),
    ROW(" " HEAD "\r\n", 400, "bad-request"),
    ROW("GET /ma ster HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET  /master HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET\t/master\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /master HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /master HTTP/1.10\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /master http/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /mas\0ter HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /mas\vter HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /mas\rter HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /master HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http-version"),
    ROW("GET /master HTTP/0.9\r\nHost: x\r\n\r\n", 505, "http-version"),
    ROW("GET /master HTTP/1.1\nHost: x\n\n", 400, "bad-request"),
    ROW(HEAD "A: b\nC: d\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A: b\rC: d\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A: b\0\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A\0: b\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "no colon\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "nocolon\r\n\r\n", 400, "bad-request"),
    ROW(HEAD ": b\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A : b\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A(: b\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A: b\r\n c\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "A: b\r\n\tc\r\n\r\n", 400, "bad-request"),
    ROW(LINE " A: b\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW(LINE "\r\n", 400, "bad-request"),
    ROW(HEAD "Host: y\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "hOST: x\r\n\r\n", 400, "bad-request"),
    ROW("GET /master HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "bad-request"),
    ROW(HEAD "Content-Length: 1\r\ncontent-length: 1\r\n\r\na", 400, "bad-request"),
    ROW(HEAD "Content-Length: 1, 1\r\n\r\na", 400, "bad-request"),
    ROW(HEAD "Content-Length: -1\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Content-Length: +1\r\n\r\na", 400, "bad-request"),
    ROW(HEAD "Content-Length: 0x1\r\n\r\na", 400, "bad-request"),
    ROW(HEAD "Content-Length:\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Content-Length: 18446744073709551615\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Content-Length: 99999999999999999999999\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Content-Length: 5\r\n" CHUNKED "\r\n0\r\n\r\n", 400, "bad-request"),
    ROW(HEAD CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n", 400, "bad-request"),
    ROW(HEAD CHUNKED CHUNKED "\r\n0\r\n\r\n", 400, "bad-request"),
    ROW("GET /master HTTP/1.0\r\n" CHUNKED "\r\n0\r\n\r\n", 400, "bad-request"),
    ROW(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "unknown-coding"),
    ROW(HEAD "Transfer-Encoding: identity\r\n\r\n", 501, "unknown-coding"),
    ROW(HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "unknown-coding"),
    ROW(HEAD "Transfer-Encoding:\r\n\r\n", 501, "unknown-coding"),
};

/*
 * Whatever is refused at the door libmicrohttpd refuses, too, where it comes later: nothing goes on
 * behind it.
 */
Test(http_limits, malformed_requests)
{
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        int fd = dial(&harness, LISTEN_ALL);
        struct reply reply;

        send_bytes(fd, malformed[i].bytes, malformed[i].size);
        reply = read_reply(fd, true);
        cr_expect_eq(reply.status, malformed[i].status, "%zu: %d", i, reply.status);
        cr_expect_str_eq(header_of(&reply, "content-type"), "application/problem+json", "%zu", i);
        cr_expect_str_eq(header_of(&reply, "connection"), "close", "%zu", i);
        cr_expect(reply.body && strstr(reply.body, malformed[i].slug), "%zu: %s", i, reply.body);
        cr_expect(reads_end(fd), "%zu", i);
        reply_release(&reply);
        close(fd);

        fd = dial(&harness, LISTEN_ALL);
        send_text(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        reply = read_reply(fd, true);
        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
        send_bytes(fd, malformed[i].bytes, malformed[i].size);
        reply = read_reply(fd, true);
        cr_expect(reply.status >= 400 || reply.status == 0, "%zu: %d", i, reply.status);
        cr_expect(reads_end(fd), "%zu", i);
        reply_release(&reply);
        close(fd);
    }
}

/* Odd, and libmicrohttpd takes it: so it has to pass. */
Test(http_limits, odd_requests_that_are_fine)
{
    static const struct malformed fine[] = {
        ROW("GET /master HTTP/1.0\r\n\r\n", 200, ""),
        ROW("GET /master HTTP/1.2\r\nHost: x\r\n\r\n", 200, ""),
        ROW("GET http://localhost/master HTTP/1.1\r\nHost: x\r\n\r\n", 200, ""),
        ROW(LINE "Host:\r\n\r\n", 200, ""),
        ROW("\r\n" HEAD "\r\n", 200, ""),
        ROW("\r\n\r\n" HEAD "\r\n", 200, ""),
        ROW(HEAD "A:\r\n\r\n", 200, ""),
        ROW(HEAD "A: : \x01\x80\x7f\v\t \r\n\r\n", 200, ""),
        ROW(HEAD "!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n", 200, ""),
        ROW(HEAD "Content-Length: 01\r\n\r\na", 200, ""),
        ROW(HEAD "Content-Length:\t1 \r\n\r\na", 200, ""),
        ROW(HEAD "Content-Length: 18446744073709551614\r\n\r\n", 413, ""),
        ROW(HEAD "Transfer-Encoding: CHUNKED \r\n\r\n0\r\n\r\n", 200, ""),
        ROW(HEAD "Expect: something\r\n\r\n", 200, ""),
        ROW(HEAD "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, ""),
        ROW("G(T /master HTTP/1.1\r\nHost: x\r\n\r\n", 405, ""),
        ROW("GET  HTTP/1.1\r\nHost: x\r\n\r\n", 404, ""),
        ROW("GET /\x01\x80\t# HTTP/1.1\r\nHost: x\r\n\r\n", 404, ""),
    };

    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        struct reply reply = raw(fine[i].bytes, fine[i].size);

        cr_expect_eq(reply.status, fine[i].status, "%zu: %d %s", i, reply.status, reply.body);
        reply_release(&reply);
    }
}

/* As large as a head may be: there is room for its answer. */
Test(http_limits, the_largest_head)
{
    static const char first[] = "GET /master HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\nA: ";
    enum { MOST = 8192 - 3 * 64 };
    char text[MOST + 1];
    struct reply reply;

    memset(text, 'x', sizeof(text));
    memcpy(text, first, sizeof(first) - 1);
    memcpy(text + MOST - 4, "\r\n\r\n", 4);
    reply = raw(text, MOST);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.body, "10.0.0.12:6379\n");
    reply_release(&reply);
    text[MOST - 4] = 'x';
    memcpy(text + MOST - 3, "\r\n\r\n", 4);
    reply = raw(text, MOST + 1);
    cr_expect_eq(reply.status, 431);
    cr_expect_str_eq(header_of(&reply, "content-type"), "text/plain; charset=utf-8", "as it asked");
    cr_expect(strstr(reply.body, "the request's headers are too large: "), "%s", reply.body);
    reply_release(&reply);
}

/* A wait goes to the daemon with less memory only where it has enough. */
Test(http_limits, a_wait_with_many_headers)
{
    char text[4096] = "GET /master?wait=10ms HTTP/1.1\r\nHost: x\r\n";
    struct reply reply;

    for (int i = 0; i < 80; i++) {
        strcat(text, "A: b\r\n");
    }
    strcat(text, "\r\n");
    reply = raw(text, strlen(text));
    cr_expect_eq(reply.status, 200, "%d", reply.status);
    reply_release(&reply);
}

Test(http_limits, the_door_answers_head_without_a_body)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(fd, "HEAD /master HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n");
    reply = read_reply(fd, false);
    cr_expect_eq(reply.status, 400);
    cr_expect_str_neq(header_of(&reply, "content-length"), "0");
    cr_expect(reads_end(fd));
    reply_release(&reply);
    close(fd);
}

Test(http_limits, nul_and_dots_in_the_path)
{
    char text[] = "GET /mas\0ter HTTP/1.1\r\nHost: x\r\n\r\n";
    struct reply reply = raw(text, sizeof(text) - 1);

    cr_expect_eq(reply.status, 400);
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
    cr_expect_eq(
        raw_status("GET /master HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
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

Test(http_limits_hasty, half_a_request_and_silence)
{
    int64_t before_ms = clock_boot_ms();
    int half = dial(&harness, LISTEN_ALL), none = dial(&harness, LISTEN_ALL),
        kept = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(half, "GET /master?format=text HTTP/1.1\r\nHo");
    send_text(kept, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(kept, true);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    reply = read_reply(half, true);
    cr_expect_eq(reply.status, 408);
    cr_expect_str_eq(header_of(&reply, "content-type"), "text/plain; charset=utf-8", "as it asked");
    cr_expect(strstr(reply.body, "the request took too long to arrive: "), "%s", reply.body);
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
    send_text(extra,
              "GET /master?wait=100ms&index=9000000000000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(extra, true);
    cr_expect_eq(reply.status, 200, "%d", reply.status);
    reply_release(&reply);
    /* it stands beside the others from now on */
    send_text(extra, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
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
