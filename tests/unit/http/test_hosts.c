/*
 * A page in a browser of this host reaches what listens on loopback by a name of its own; its
 * requests are refused by that name.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite_harness.h"

static void start_on(const char *address)
{
    static const char *const names[] = {"bellwether.internal"};
    static const char *const origins[] = {"https://ui.example.org"};

    harness_init(&harness);
    harness.config.allow_hosts = names;
    harness.config.n_allow_hosts = 1;
    harness.config.allow_origins = origins;
    harness.config.n_allow_origins = 1;
    snprintf(harness.listens[LISTEN_ALL].place.address.host, ADDRESS_HOST_SIZE, "%s", address);
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
}

static void start(void)
{
    start_on("127.0.0.1");
}

static void start_openly(void)
{
    start_on("0.0.0.0");
}

TestSuite(http_hosts, .init = start, .fini = close_harness, .timeout = 30);
TestSuite(http_hosts_open, .init = start_openly, .fini = close_harness, .timeout = 30);

static int status_of(int listener, const char *line, const char *host)
{
    char text[512];
    int fd = dial(&harness, listener), status;
    struct reply reply;

    snprintf(text, sizeof(text), "%s\r\n%s%s%s\r\n", line, host ? "Host: " : "", host ? host : "",
             host ? "\r\n" : "");
    send_text(fd, text);
    reply = read_reply(fd, true);
    status = reply.status;
    if (status == 403) {
        char named[128];

        snprintf(named, sizeof(named), "Host is \\\"%s\\\": neither",
                 strstr(line, "://example.org/") ? "example.org" : host);
        cr_expect(strstr(reply.body, named), "no %s in %s", named, reply.body);
        cr_expect(strstr(reply.body, "urn:bellwether:problem:forbidden"), "%s", reply.body);
        cr_expect(strstr(reply.body, "allow-host"), "%s", reply.body);
    }
    reply_release(&reply);
    close(fd);
    return status;
}

Test(http_hosts, names_that_may_be_a_pages_own)
{
    static const char *const own[] = {
        "localhost",  "LOCALHOST:8380", "127.0.0.1",           "127.0.0.1:8380",          "[::1]",
        "[::1]:8380", "10.1.2.3",       "bellwether.internal", "Bellwether.internal:8380"};
    static const char *const foreign[] = {"example.org",
                                          "example.org:8380",
                                          "localhost.example.org",
                                          "127.0.0.1.example.org",
                                          "bellwether.internal.example.org",
                                          "x"};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        cr_expect_eq(status_of(LISTEN_ALL, "GET /master HTTP/1.1", own[i]), 200, "%s", own[i]);
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        cr_expect_eq(status_of(LISTEN_ALL, "GET /master HTTP/1.1", foreign[i]), 403, "%s",
                     foreign[i]);
        cr_expect_eq(status_of(LISTEN_ALL, "GET /master HTTP/1.1", "localhost"), 200);
    }
}

Test(http_hosts, every_route)
{
    static const char *const lines[] = {"GET /livez HTTP/1.1",           "GET /status HTTP/1.1",
                                        "GET /events HTTP/1.1",          "OPTIONS /master HTTP/1.1",
                                        "GET /nowhere HTTP/1.1",         "GET / HTTP/1.1",
                                        "GET /masters?pretty=1 HTTP/1.1"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        cr_expect_eq(status_of(LISTEN_ALL, lines[i], "example.org"), 403, "%s", lines[i]);
    }
    cr_expect_eq(status_of(LISTEN_PROBE, "GET /livez HTTP/1.1", "example.org"), 403);
    cr_expect_eq(status_of(LISTEN_PROBE, "GET /livez HTTP/1.1", "127.0.0.1"), 200);
    cr_expect_eq(status_of(LISTEN_ALL, "GET /master HTTP/1.0", NULL), 200,
                 "HTTP/1.0 needs no Host");
}

Test(http_hosts, the_authority_of_a_target_in_absolute_form_counts)
{
    cr_expect_eq(status_of(LISTEN_ALL, "GET http://example.org/master HTTP/1.1", "localhost"), 403);
    cr_expect_eq(status_of(LISTEN_ALL, "GET http://localhost/master HTTP/1.1", "example.org"), 200);
    cr_expect_eq(
        status_of(LISTEN_ALL, "GET http://127.0.0.1:8380/master HTTP/1.1", "127.0.0.1:8380"), 200);
}

static struct reply ask_as(const char *method, const char *target, const char *origin)
{
    char more[128];

    snprintf(more, sizeof(more), "Host: localhost\r\nOrigin: %s\r\n", origin);
    {
        char text[512];
        int fd = dial(&harness, LISTEN_ALL);
        struct reply reply;

        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\n%s\r\n", method, target, more);
        send_text(fd, text);
        reply = read_reply(fd, strcmp(method, "HEAD") != 0);
        close(fd);
        return reply;
    }
}

/*
 * GET with all that makes another answer, HEAD and the question before: as the browser would have
 * it, or not at all.
 */
Test(http_hosts, pages_of_allowed_origins_may_read_what_is_found_here)
{
    static const char *const targets[] = {"/master",           "/master?format=text", "/masters",
                                          "/masters/mymaster", "/replicas",           "/sentinels",
                                          "/masters/unknown",  "/master?stale=maybe"};
    struct reply reply;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        reply = ask_as("GET", targets[i], "https://ui.example.org");
        cr_expect_str_eq(header_of(&reply, "access-control-allow-origin"), "https://ui.example.org",
                         "%s", targets[i]);
        reply_release(&reply);
        reply = ask_as("GET", targets[i], "https://example.org");
        cr_expect_str_eq(header_of(&reply, "access-control-allow-origin"), "", "%s", targets[i]);
        reply_release(&reply);
    }
    reply = ask_as("HEAD", "/master", "https://ui.example.org");
    cr_expect_str_eq(header_of(&reply, "access-control-allow-origin"), "https://ui.example.org");
    cr_expect_str_neq(header_of(&reply, "etag"), "", "with all that it has else");
    cr_expect_neq(atoi(header_of(&reply, "content-length")), 0);
    reply_release(&reply);
    reply = ask_as("OPTIONS", "/master", "https://ui.example.org");
    cr_expect_eq(reply.status, 204);
    cr_expect_str_eq(header_of(&reply, "access-control-allow-origin"), "https://ui.example.org");
    cr_expect_str_eq(header_of(&reply, "access-control-allow-methods"), "GET, HEAD");
    cr_expect(strstr(header_of(&reply, "access-control-allow-headers"), "If-None-Match"));
    reply_release(&reply);
    reply = ask_as("GET", "/livez", "https://ui.example.org");
    cr_expect_str_eq(header_of(&reply, "access-control-allow-origin"), "",
                     "probes are no pages' business");
    reply_release(&reply);
}

Test(http_hosts_open, a_listener_that_is_not_on_loopback_has_any_name)
{
    cr_expect_eq(status_of(LISTEN_ALL, "GET /master HTTP/1.1", "example.org"), 200);
}
