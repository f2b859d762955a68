/*
 * A real worker: routes, forms, headers, caching, the end. Bad input and limits are in
 * test_limits.c, waiting in test_fresh.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/http/router.h"
#include "worker_fixture.h"

TestSuite(http_worker, .init = start_with_master, .fini = close_harness, .timeout = 30);

/* ---- /master ---- */

Test(http_worker, master)
{
    struct reply reply = get(&harness, "/master");

    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(
        reply.body,
        "{\"name\":\"mymaster\",\"state\":\"ok\",\"reason\":null,\"host\":\"10.0.0.12\","
        "\"port\":6379,\"address\":\"10.0.0.12:6379\",\"url\":\"redis://10.0.0.12:6379\","
        "\"verified\":true,\"majority\":true,\"stale\":false,\"config_epoch\":3,\"index\":7,"
        "\"since\":\"2026-11-22T12:00:00.123Z\",\"previous\":null,\"restarted\":null}\n");
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/json");
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-cache");
    cr_expect_str_eq(header_of(&reply, "x-content-type-options"), "nosniff");
    cr_expect_str_eq(header_of(&reply, "x-bellwether-index"), "7");
    cr_expect_eq(strlen(header_of(&reply, "x-bellwether-instance")), 16);
    cr_expect_str_neq(header_of(&reply, "date"), "");
    cr_expect_str_eq(header_of(&reply, "connection"), "");
    cr_expect_eq(header_of(&reply, "etag")[0], '"');
    reply_release(&reply);
}

Test(http_worker, forms)
{
    struct reply reply = get(&harness, "/master?pretty=1");

    cr_expect(strstr(reply.body, "{\n  \"name\": \"mymaster\",\n"), "%s", reply.body);
    reply_release(&reply);
    expect_body("/master?format=text", NULL, "10.0.0.12:6379\n");
    expect_body("/master?format=url", NULL, "redis://10.0.0.12:6379\n");
    expect_body("/master", "Accept: text/plain\r\n", "10.0.0.12:6379\n");
    expect_body("/masters/mymaster?format=text", NULL, "10.0.0.12:6379\n");
    expect_body("/masters?format=text", NULL, "mymaster 10.0.0.12:6379\n");
    expect_body("/sentinels?format=text", NULL, "10.0.2.1:26379\n10.0.2.2:26379\n10.0.2.3:26379\n");
    expect_body("/replicas?format=url", NULL,
                "redis://10.0.1.1:6379\nredis://10.0.1.2:6379\nredis://10.0.1.3:6379\n");
    reply = ask(&harness, "GET", "/master?format=json", "Accept: text/plain\r\n");
    cr_expect_eq(reply.body[0], '{', "the parameter beats the header");
    reply_release(&reply);
    reply = ask(&harness, "GET", "/master", "Accept: */*\r\n");
    cr_expect_eq(reply.body[0], '{');
    cr_expect_str_eq(header_of(&reply, "vary"), "Accept");
    reply_release(&reply);
    reply = get(&harness, "/master?format=text");
    cr_expect_str_eq(header_of(&reply, "content-type"), "text/plain; charset=utf-8");
    reply_release(&reply);
}

Test(http_worker, unknown_parameters_are_ignored_and_bad_values_refused)
{
    struct reply reply = get(&harness, "/master?wait=30s&unless=a:1&nonsense");

    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    reply = get(&harness, "/master?stale=maybe");
    expect_problem(&reply, 400, "bad-parameter");
    cr_expect_str_eq(member(&reply, "parameter"), "stale");
    reply_release(&reply);
    reply = get(&harness, "/master?stale=maybe&format=text");
    cr_expect_eq(reply.status, 400);
    cr_expect_str_eq(
        reply.body,
        "a query parameter makes no sense: the query parameter stale is \"maybe\"; it takes 1 or 0\n");
    reply_release(&reply);
}

Test(http_worker, a_refusal_names_what_it_refuses)
{
    static const struct {
        const char *target, *detail;
    } refused[] = {
        {"/failovers?limit=0",
         "the query parameter limit is \"0\"; it takes a whole number from 1 to 10000"},
        {"/master?format", "the query parameter format is \"\"; it takes json, text or url"},
        {"/master?require=%zz", "the query parameter require is \"%zz\"; it takes majority"},
        {"/readyz/etcd",
         "\"etcd\" is no check; there are resolved, shutdown, master, sentinel and quorum"},
        {"/master/a%00b",
         "the path is \"/master/a%00b\"; it takes % and two hexadecimal digits, and no NUL"},
        {"/v1/master",
         "the path is \"/v1/master\"; GET / lists the routes; commands are run under /redis"},
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct reply reply = get(&harness, refused[i].target);

        cr_expect_str_eq(member(&reply, "detail"), refused[i].detail);
        reply_release(&reply);
    }
}

/* ---- ETag ---- */

Test(http_worker, etag_and_304)
{
    static const char *const targets[] = {"/master",
                                          "/masters",
                                          "/masters/mymaster",
                                          "/replicas",
                                          "/masters/mymaster/replicas",
                                          "/master?format=text"};
    char seen[16][160];

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct reply reply = get(&harness, targets[i]);
        char line[512];

        snprintf(seen[i], sizeof(seen[i]), "%s", header_of(&reply, "etag"));
        bool weak = strstr(targets[i], "replicas") != NULL; /* the age of a lag goes on */
        cr_expect_eq(strncmp(seen[i], "W/\"", 3) == 0, weak, "%s", seen[i]);
        cr_expect(
            strncmp(seen[i] + (weak ? 3 : 1), header_of(&reply, "x-bellwether-instance"), 16) == 0,
            "%s", seen[i]);
        reply_release(&reply);
        for (size_t other = 0; other < i; other++) {
            cr_expect_str_neq(seen[i], seen[other], "%s and %s share a tag", targets[i],
                              targets[other]);
        }
        snprintf(line, sizeof(line), "If-None-Match: \"x\", %s%.150s\r\n", weak ? "" : "W/",
                 seen[i]);
        reply = ask(&harness, "GET", targets[i], line);
        cr_expect_eq(reply.status, 304, "%s: %d", targets[i], reply.status);
        cr_expect_str_eq(header_of(&reply, "etag"), seen[i]);
        cr_expect_str_eq(header_of(&reply, "cache-control"), "no-cache");
        reply_release(&reply);
        expect_status("HEAD", targets[i], line, 304);
    }
    expect_status("GET", "/master", "If-None-Match: \"other\"\r\n", 200);
}

static void tag_of(const char *target, char out[160])
{
    struct reply reply = get(&harness, target);

    snprintf(out, 160, "%s", header_of(&reply, "etag"));
    reply_release(&reply);
}

Test(http_worker, tags_follow_what_changes)
{
    struct snapshot_master *master = make_master("mymaster");
    char master_before[160], replicas_before[160], now[160];

    tag_of("/master", master_before);
    tag_of("/replicas", replicas_before);
    add_replicas(master, 2); /* replicas changed: a new revision, the same index */
    master->revision = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    tag_of("/replicas", now);
    cr_expect_str_neq(now, replicas_before);
    tag_of("/master", now);
    cr_expect_str_eq(now, master_before);
    expect_body("/replicas?format=text", NULL, "10.0.1.1:6379\n10.0.1.2:6379\n");

    master = make_master("mymaster");
    master->index = 8;
    master->revision = 3;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    tag_of("/master", now);
    cr_expect_str_neq(now, master_before);
}

Test(http_worker, another_default_has_another_tag)
{
    char before[160], now[160];

    tag_of("/master", before);
    /* same index, same revision */
    harness_post(&harness, make_snapshot(make_master("another"), NULL, NULL));
    tag_of("/master", now);
    cr_expect_str_neq(now, before);
    expect_status("GET", "/masters/mymaster", NULL, 404);
}

Test(http_worker, no_tag_where_nothing_is_indexed)
{
    static const char *const targets[] = {"/sentinels", "/replica", "/livez",
                                          "/readyz",    "/version", "/"};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct reply reply = ask(&harness, "GET", targets[i], "If-None-Match: *\r\n");

        cr_expect_eq(reply.status, 200, "%s", targets[i]);
        cr_expect_str_eq(header_of(&reply, "etag"), "");
        cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
        reply_release(&reply);
    }
}

/* ---- methods ---- */

Test(http_worker, head_is_get_without_a_body)
{
    for (int i = 0; i < ROUTES_COUNT; i++) {
        enum route_id id = (enum route_id)i;
        const char *path = router_row(id)->path;
        struct reply got, head;
        char target[128];

        snprintf(target, sizeof(target), "%s", path);
        if (strstr(path, "{name}")) {
            snprintf(target, sizeof(target), "/masters/mymaster%s",
                     path + strlen("/masters/{name}"));
        } else if (strstr(path, "{check}")) {
            snprintf(target, sizeof(target), "/readyz/master");
        } else if (strstr(path, "{host:port}")) {
            snprintf(target, sizeof(target), "/nodes/%s%s",
                     id == ROUTE_NODE_MASTER ? "10.0.0.12:6379" : "10.0.1.1:6379",
                     path + strlen("/nodes/{host:port}"));
        }
        if (id == ROUTE_EVENTS || route_runs_commands(router_row(id))) {
            continue; /* the one does not end, the others are off here */
        }
        got = get(&harness, target);
        head = ask(&harness, "HEAD", target, NULL);
        /* nobody named a node with --self here */
        cr_expect_eq(got.status, strncmp(target, "/self", 5) == 0 ? 404 : 200, "%s: %d", target,
                     got.status);
        cr_expect_eq(head.status, got.status, "%s", target);
        bool aging =
            id == ROUTE_METRICS || id == ROUTE_STATUS || strstr(target, "/replica") != NULL;

        if (!aging) { /* those are made anew for each request, with ages */
            cr_expect_eq(strtoul(header_of(&head, "content-length"), NULL, 10), got.size, "%s",
                         target);
        }
        reply_release(&got);
        reply_release(&head);
    }
}

Test(http_worker, options_and_405)
{
    struct reply reply;
    static const char *const others[] = {"POST",  "PUT",        "DELETE", "PATCH",
                                         "TRACE", "FROBNICATE", "get"};

    reply = ask(&harness, "OPTIONS", "/master", NULL);
    cr_expect_eq(reply.status, 204);
    cr_expect_str_eq(header_of(&reply, "allow"), "GET, HEAD, OPTIONS");
    reply_release(&reply);
    expect_status("OPTIONS", "*", NULL, 204);
    expect_status("OPTIONS", "/nowhere", NULL, 404);
    expect_status("OPTIONS", "/master?stale=maybe", NULL, 204);
    expect_status("GET", "/nowhere?format=maybe", NULL, 404);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        reply = ask(&harness, others[i], "/masters", NULL);
        expect_problem(&reply, 405, "method-not-allowed");
        cr_expect_str_eq(header_of(&reply, "allow"), "GET, HEAD, OPTIONS", "%s", others[i]);
        cr_expect(strstr(reply.body, "this route takes GET, HEAD, OPTIONS; commands are run"));
        reply_release(&reply);
    }
    expect_status("CONNECT", "10.0.0.1:80", NULL, 404);
}

Test(http_worker, not_found)
{
    static const char *const targets[] = {"/nowhere", "/master/", "/..", "/masters/mymaster/..",
                                          "/selfish", "/redis"};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct reply reply = get(&harness, targets[i]);

        expect_problem(&reply, 404, "not-found");
        reply_release(&reply);
    }
}

/* ---- draining ---- */

Test(http_worker, draining)
{
    static const char *const targets[] = {"/master", "/livez", "/masters?format=text", "/nowhere"};
    struct reply reply;

    expect_status("GET", "/master", NULL, 200); /* an answer is in the cache now */
    harness_news(&harness, MESSAGE_DRAIN);
    reply = get(&harness, "/readyz");
    expect_problem(&reply, 503, "not-ready");
    cr_expect(strstr(member(&reply, "detail"), "shutdown"));
    cr_expect_str_eq(header_of(&reply, "connection"), "close");
    reply_release(&reply);
    expect_status("GET", "/readyz?exclude=shutdown", NULL, 200);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        int fd = dial(&harness, LISTEN_ALL);
        char text[128];

        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
        send_text(fd, text);
        reply = read_reply(fd, true);
        cr_expect_eq(reply.status, i == 3 ? 404 : 200, "%s", targets[i]);
        cr_expect_str_eq(header_of(&reply, "connection"), "close", "%s", targets[i]);
        cr_expect(reads_end(fd), "%s", targets[i]);
        reply_release(&reply);
        close(fd);
    }
    harness_post(&harness, make_snapshot(make_master("b"), NULL, NULL)); /* news still arrive */
    expect_status("GET", "/masters/b", NULL, 200);
}

static void restart(void)
{
    close_harness();
    start_with_master();
}

static int64_t end_with_a_kept_connection(void)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;
    int64_t before_ms;

    send_text(fd, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = read_reply(fd, true);
    reply_release(&reply);
    before_ms = clock_boot_ms();
    worker_stop(harness.worker);
    before_ms = clock_boot_ms() - before_ms;
    cr_expect(reads_end(fd));
    close(fd);
    return before_ms;
}

Test(http_worker, the_end_comes_at_once_when_nobody_waits)
{
    cr_expect(harness_is_within(500, end_with_a_kept_connection, restart),
              "a kept connection held it up");
}
