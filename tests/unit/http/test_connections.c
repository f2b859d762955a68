/*
 * Connections that do not behave: who drips, who leaves in the middle, who floods, who speaks
 * another protocol.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/full_epoll.h"
#include "bellwether/base/clock.h"
#include "http/server/sockets.h"
#include "suite_harness.h"

static void start_with(int64_t request_timeout_ms, size_t max_connections)
{
    harness_init(&harness);
    harness.config.max_connections = max_connections;
    harness.config.max_waiters = 4;
    harness.config.idle_timeout_ms = 60000;
    harness.config.request_timeout_ms = request_timeout_ms;
    snprintf(harness.listens[LISTEN_ALL].place.address.host, ADDRESS_HOST_SIZE,
             "0.0.0.0"); /* so that clients have shares */
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

static void start(void)
{
    start_with(10000, 20);
}

static void start_strictly(void)
{
    start_with(800, 20);
}

static void start_shared(void)
{
    harness_init(&harness);
    harness.config.max_connections = 8;
    harness.config.max_waiters = 4;
    harness.config.idle_timeout_ms = 60000;
    harness.config.halve_per_client = true;
    snprintf(harness.listens[LISTEN_ALL].place.address.host, ADDRESS_HOST_SIZE, "0.0.0.0");
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

TestSuite(http_connections, .init = start, .fini = close_harness, .timeout = 30);
TestSuite(http_connections_strict, .init = start_strictly, .fini = close_harness, .timeout = 30);
TestSuite(http_connections_shared, .init = start_shared, .fini = close_harness, .timeout = 30);

/* A connection from an address of this host. */
static int dial_from(const char *source)
{
    struct timeval patience = {.tv_sec = 5};
    struct sockaddr_in from = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons(http_sockets_address(harness.sockets, LISTEN_ALL)->port);
    cr_assert_eq(inet_pton(AF_INET, source, &from.sin_addr), 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int status_on(int fd, const char *target)
{
    char text[256];
    struct reply reply;
    int status;

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    send_text(fd, text);
    reply = read_reply(fd, true);
    status = reply.status;
    reply_release(&reply);
    return status;
}

static bool has_answer(int fd, int wait_ms)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, wait_ms) > 0;
}

/* A byte every 20 ms, until there is an answer. */
static void expect_408(int fd, const char *begun)
{
    int64_t before_ms = clock_boot_ms();
    struct reply reply;

    send_text(fd, begun);
    while (!has_answer(fd, 20) && clock_boot_ms() - before_ms < 10000) {
        send_text(fd, "a");
    }
    cr_expect_geq(clock_boot_ms() - before_ms, 700, "too early: %s", begun);
    cr_expect_lt(clock_boot_ms() - before_ms, 8000, "too late: %s", begun);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 408, "%d: %s", reply.status, begun);
    cr_expect(strstr(reply.body, "urn:bellwether:problem:request-timeout"), "%s", reply.body);
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    reply_release(&reply);
    close(fd);
}

Test(http_connections_strict, who_drips_a_head_is_cut)
{
    expect_408(dial(&harness, LISTEN_ALL), "GET /mas");
    expect_408(dial(&harness, LISTEN_ALL), "GET /master HTTP/1.1\r\nHost: x\r\nX: ");
}

Test(http_connections_strict, who_drips_a_later_head_is_cut)
{
    int fd = dial(&harness, LISTEN_ALL);

    cr_expect_eq(status_on(fd, "/master"), 200);
    usleep(200000);
    expect_408(fd, "GET /master HTTP/1.1\r\nHost: x\r\nX: ");
}

Test(http_connections_strict, who_drips_a_body_is_cut)
{
    expect_408(dial(&harness, LISTEN_ALL),
               "GET /master HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n");
}

Test(http_connections_strict, who_is_idle_is_not_cut)
{
    int fd = dial(&harness, LISTEN_ALL);

    cr_expect_eq(status_on(fd, "/master"), 200);
    cr_expect_not(has_answer(fd, 2500), "the time-out of requests is none of connections");
    cr_expect_eq(status_on(fd, "/master"), 200);
    close(fd);
    fd = dial(&harness, LISTEN_ALL);
    cr_expect_eq(status_on(fd, "/master?wait=2s&index=9000000000000000000"), 200,
                 "a wait may take longer");
    close(fd);
}

/* The end comes together with the last bytes, which libmicrohttpd alone does not see. */
Test(http_connections, who_leaves_in_the_middle_is_let_go_at_once)
{
    static const char *const halves[] = {
        "", "GET /ma", "GET /master HTTP/1.1\r\nHost: x\r\n",
        "POST /redis HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[\"GE",
        "POST /redis HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n[\"GE"};

    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
        int fd = dial(&harness, LISTEN_ALL);
        int64_t before_ms;

        send_text(fd, halves[i]);
        shutdown(fd, SHUT_WR);
        before_ms = clock_boot_ms();
        cr_expect(reads_end(fd), "%zu", i);
        cr_expect_lt(clock_boot_ms() - before_ms, 4900, "%zu", i);
        close(fd);
    }
}

Test(http_connections, who_leaves_in_the_middle_of_a_later_head_is_let_go)
{
    int fd = dial(&harness, LISTEN_ALL);

    cr_expect_eq(status_on(fd, "/master"), 200);
    send_text(fd, "GET /mas");
    shutdown(fd, SHUT_WR);
    cr_expect(reads_end(fd));
    close(fd);
}

Test(http_connections, who_has_asked_and_says_no_more_is_answered)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(fd, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    close(fd);
}

Test(http_connections, an_empty_line_before_a_request_is_ignored)
{
    int fd = dial(&harness, LISTEN_ALL);

    send_text(fd, "\r\n");
    cr_expect_eq(status_on(fd, "/master"), 200);
    send_text(fd, "\r\n");
    cr_expect_eq(status_on(fd, "/master"), 200);
    close(fd);
}

Test(http_connections, three_empty_lines_are_told_so)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_text(fd, "\r\n\r\n");
    cr_expect_eq(status_on(fd, "/master"), 200);
    close(fd);
    fd = dial(&harness, LISTEN_ALL);
    send_text(fd, "\r\n\r\n\r\nGET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 400);
    cr_expect(reads_end(fd));
    reply_release(&reply);
    close(fd);
}

Test(http_connections, a_head_in_pieces)
{
    static const char head[] = "GET /master HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    for (size_t i = 0; i < sizeof(head) - 1; i++) {
        send_bytes(fd, head + i, 1);
        usleep(1000);
    }
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    close(fd);
}

Test(http_connections, other_protocols_are_told_so)
{
    static const struct {
        const char *bytes;
        size_t size;
    } others[] = {
#define BYTES(text) {text, sizeof(text) - 1}
        BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 5000 8380\r\nGET /master HTTP/1.1\r\nHost: x\r\n\r\n"),
        BYTES(
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\1\0\2GET /master HTTP/1.1\r\n\r\n"),
        BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and what follows"),
        BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        int fd = dial(&harness, LISTEN_ALL);
        struct reply reply;

        send_bytes(fd, others[i].bytes, others[i].size);
        reply = read_reply(fd, true);
        cr_expect_eq(reply.status, 400, "%zu: %d", i, reply.status);
        cr_expect(strstr(reply.body, "urn:bellwether:problem:wrong-protocol"), "%s", reply.body);
        reply_release(&reply);
        cr_expect(reads_end(fd));
        close(fd);
    }
}

/*
 * No room for one more watch: who comes with a request is answered, who drips it is looked at by
 * turns.
 */
Test(http_connections, without_room_for_a_watch)
{
    int before = dial(&harness, LISTEN_ALL), silent, fd;

    cr_expect_eq(status_on(before, "/master"), 200);
    cr_expect_eq(status_on(before, "/master"), 200, "it is watched");
    full_epoll(true);
    silent = dial(&harness, LISTEN_ALL);
    send_text(silent, "GET /mas");
    usleep(100000);
    for (int i = 0; i < 3; i++) {
        fd = dial(&harness, i == 0 ? LISTEN_PROBE : LISTEN_ALL);
        cr_expect_eq(status_on(fd, "/livez"), 200, "%d", i);
        cr_expect(reads_end(fd), "it can't be kept");
        close(fd);
    }
    cr_expect_eq(status_on(before, "/master"), 200);
    send_text(silent, "ter HTTP/1.1\r\nHost: x\r\n\r\n");
    {
        struct reply reply = read_reply(silent, true);

        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
    }
    close(silent);
    full_epoll(false);
    fd = dial(&harness, LISTEN_ALL);
    cr_expect_eq(status_on(fd, "/master"), 200);
    cr_expect_eq(status_on(fd, "/master"), 200, "kept again");
    {
        struct reply reply = get(&harness, "/metrics");

        cr_expect_null(strstr(reply.body, "rejected_total{reason=\"watches\"} 0"), "%s",
                       reply.body);
        reply_release(&reply);
    }
    close(fd);
    close(before);
}

/* ---- places ---- */

Test(http_connections, a_flood_of_probes_takes_places_from_nobody)
{
    enum { MANY = HTTP_CONNECTIONS_PROBE + 50 };
    int fds[MANY];

    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(&harness, LISTEN_PROBE);
        cr_expect_eq(status_on(fds[i], "/livez"), 200, "%d", i);
    }
    cr_expect(reads_end(fds[0]), "the oldest had to go");
    cr_expect_eq(status_on(fds[MANY - 1], "/livez"), 200);
    cr_expect_eq(status_on(dial(&harness, LISTEN_ALL), "/master"), 200);
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
}

/* Those whose wait is over and who stay hold the places of those who wait: the idle go. */
Test(http_connections, who_has_waited_makes_room_for_who_waits)
{
    int waited[4], plain[20], fd;

    for (int i = 0; i < 4; i++) {
        waited[i] = dial(&harness, LISTEN_ALL);
        cr_expect_eq(status_on(waited[i], "/master?wait=50ms&index=9000000000000000000"), 200);
    }
    for (int i = 0; i < 20; i++) {
        plain[i] = dial(&harness, LISTEN_ALL);
        cr_expect_eq(status_on(plain[i], "/master"), 200);
    }
    fd = dial(&harness, LISTEN_ALL);
    cr_expect_eq(status_on(fd, "/master"), 503);
    for (int i = 0; i < 500; i++) { /* a second long they may come back */
        close(fd);
        fd = dial(&harness, LISTEN_ALL);
        if (status_on(fd, "/master?wait=50ms&index=9000000000000000000") == 200) {
            break;
        }
        usleep(10000);
    }
    cr_expect_eq(status_on(fd, "/master?wait=50ms&index=9000000000000000000"), 200);
    cr_expect(reads_end(waited[0]));
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(status_on(plain[i], "/master"), 200, "no other had to");
    }
    close(fd);
}

/* 8 places and 4 of those that wait, of which each client may have half. */
Test(http_connections_shared, one_client_has_half_of_the_places)
{
    int fds[4], other, extra;
    struct reply reply;

    for (int i = 0; i < 4; i++) {
        fds[i] = dial_from("127.0.0.2");
        cr_expect_eq(status_on(fds[i], "/master"), 200);
    }
    extra = dial_from("127.0.0.2");
    send_text(extra, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(extra, true);
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "max-per-client"), "%s", reply.body);
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    cr_expect(reads_end(extra));
    reply_release(&reply);
    close(extra);
    extra = dial_from("127.0.0.2");
    cr_expect_eq(status_on(extra, "/livez"), 200, "never refused");
    close(extra);
    other = dial_from("127.0.0.3");
    cr_expect_eq(status_on(other, "/master"), 200, "others have their own");
    close(fds[0]);
    for (int i = 0, status = 503; i < 500 && status != 200; i++) { /* until it is seen */
        cr_expect_eq(status_on(fds[1], "/master"), 200);
        extra = dial_from("127.0.0.2");
        status = status_on(extra, "/master");
        close(extra);
        cr_expect(status == 200 || i < 499, "one has gone: %d", status);
    }
    for (int i = 1; i < 4; i++) {
        close(fds[i]);
    }
    close(other);
}

/* What a worker has found out about a listener of its own, or of another's. */
Test(http_connections, livez_fails_where_a_listener_does_not_accept)
{
    struct reply reply = {0};

    for (int i = 0; i < 10 && reply.status != 503; i++) {
        /* its own look may have come in between */
        reply_release(&reply);
        atomic_store(http_sockets_deaf_since(harness.sockets, LISTEN_ALL, 0),
                     clock_boot_ms() - 5000);
        reply = ask_probe(&harness, "GET", "/livez");
    }
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "listener 1 has not accepted"), "%s", reply.body);
    reply_release(&reply);
    for (int i = 0; i < 400 && reply.status != 200; i++) { /* its next look finds that it does */
        usleep(10000);
        reply = ask_probe(&harness, "GET", "/livez");
        reply_release(&reply);
    }
    cr_expect_eq(reply.status, 200);
}
