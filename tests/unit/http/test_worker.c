/*
 * A real worker: routes, forms, headers, caching. Bad input and limits are in test_limits.c,
 * waiting in test_fresh.c.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/router.h"
#include "fixture.h"

static struct harness harness;

static void start(void)
{
    harness_init(&harness);
    harness_start(&harness);
}

static void start_with_master(void)
{
    struct snapshot_master *master = make_master("mymaster");

    start();
    add_replicas(master, 3);
    harness_post(&harness, make_snapshot(master, NULL, NULL));
}

static void stop(void)
{
    harness_release(&harness);
}

TestSuite(http_worker, .init = start_with_master, .fini = stop, .timeout = 30);
TestSuite(http_worker_empty, .init = start, .fini = stop, .timeout = 30);

static void expect_status(const char *method, const char *target, const char *more, int status)
{
    struct reply reply = ask(&harness, method, target, more);

    cr_expect_eq(reply.status, status, "%s %s: %d, not %d\n%s", method, target, reply.status,
                 status, reply.body);
    reply_release(&reply);
}

static void expect_body(const char *target, const char *more, const char *body)
{
    struct reply reply = ask(&harness, "GET", target, more);

    cr_expect_eq(reply.status, 200, "%s: %d %s", target, reply.status, reply.body);
    cr_expect_str_eq(reply.body, body, "%s", target);
    reply_release(&reply);
}

/* A member of a JSON body as text: strings bare, the rest as JSON; "" when it is not there. */
static const char *member(const struct reply *reply, const char *key)
{
    static char text[1024];
    json_t *json = json_loads(reply->body, 0, NULL);
    json_t *value = json_object_get(json, key);
    char *dumped = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

    snprintf(text, sizeof(text), "%s",
             json_is_string(value) ? json_string_value(value)
             : dumped              ? dumped
                                   : "");
    free(dumped);
    json_decref(json);
    return text;
}

static void expect_problem(const struct reply *reply, int status, const char *slug)
{
    char type[96], number[8];

    snprintf(type, sizeof(type), "urn:bellwether:problem:%s", slug);
    snprintf(number, sizeof(number), "%d", status);
    cr_expect_eq(reply->status, status, "%d: %s", reply->status, reply->body);
    cr_expect_str_eq(member(reply, "type"), type);
    cr_expect_str_eq(member(reply, "status"), number);
    cr_expect_str_neq(member(reply, "detail"), "");
    cr_expect_str_eq(header_of(reply, "content-type"), "application/problem+json");
    cr_expect_str_eq(header_of(reply, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(reply, "etag"), "");
    cr_expect_str_eq(header_of(reply, "retry-after"), status == 503 ? "1" : "");
    cr_expect_eq(reply->body[reply->size - 1], '\n');
}

static void expect_refusal(const char *target, const char *state, const char *reason)
{
    struct reply reply = get(&harness, target);

    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "state"), state, "%s", target);
    cr_expect_str_eq(member(&reply, "reason"), reason, "%s", target);
    reply_release(&reply);
}

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
    cr_expect_str_eq(reply.body,
                     "a query parameter makes no sense: the query parameter stale takes 1 or 0\n");
    reply_release(&reply);
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
        if (id != ROUTE_METRICS && id != ROUTE_STATUS && id != ROUTE_REPLICAS &&
            id != ROUTE_NAMED_REPLICAS) {
            /* those are made anew for each request, with ages */
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

/* ---- which master ---- */

Test(http_worker, unknown_name)
{
    struct snapshot *snapshot = make_snapshot(make_master("mymaster"), NULL, NULL);
    struct reply reply;

    snapshot->n_sentinels_know = 2;
    snapshot->sentinels_know = mem_new(2, sizeof(char *));
    snapshot->sentinels_know[0] = mem_strdup("mymaster");
    snapshot->sentinels_know[1] = mem_strdup("yours\xff");
    harness_post(&harness, snapshot);
    reply = get(&harness, "/masters/%C3%BCnknown%FF");
    expect_problem(&reply, 404, "unknown-master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[\"mymaster\",\"yours\xef\xbf\xbd\"]");
    cr_expect_str_eq(member(&reply, "name"), "\xc3\xbcnknown\xef\xbf\xbd");
    reply_release(&reply);
    reply = get(&harness, "/masters/x/replicas?format=text");
    cr_expect_eq(reply.status, 404);
    cr_expect_eq(strchr(reply.body, '\n') - reply.body, (ptrdiff_t)reply.size - 1, "one line: %s",
                 reply.body);
    reply_release(&reply);
}

Test(http_worker, several_and_none_chosen)
{
    struct snapshot *snapshot = make_snapshot(make_master("a"), make_master("b"), NULL);
    struct reply reply;

    free(snapshot->default_name);
    snapshot->default_name = NULL;
    snapshot->ambiguous_default = true;
    harness_post(&harness, snapshot);
    for (size_t i = 0; i < 4; i++) {
        static const char *const targets[] = {"/master", "/replicas", "/replica", "/sentinels"};

        reply = get(&harness, targets[i]);
        expect_problem(&reply, 409, "several-masters");
        cr_expect_str_eq(member(&reply, "names"), "[\"a\",\"b\"]");
        reply_release(&reply);
    }
    expect_status("GET", "/masters/b", NULL, 200);
    reply = get(&harness, "/masters");
    cr_expect_str_eq(member(&reply, "default"), "null");
    reply_release(&reply);
}

Test(http_worker, list_of_masters)
{
    struct snapshot *snapshot =
        make_snapshot(make_master("a"), make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                      make_master_in("c", MASTER_UNKNOWN, REASON_UNKNOWN_NAME));
    struct reply reply;

    harness_post(&harness, snapshot);
    reply = get(&harness, "/masters");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "default"), "a");
    cr_expect(
        strstr(reply.body, "{\"name\":\"b\",\"state\":\"down\",\"reason\":\"redis_unreachable\""),
        "%s", reply.body);
    cr_expect(
        strstr(reply.body,
               "{\"name\":\"c\",\"state\":\"unknown\",\"reason\":\"unknown_name\",\"host\":null"));
    reply_release(&reply);
    expect_body("/masters?format=text", NULL, "a 10.0.0.12:6379\nb -\nc -\n");
    expect_body("/masters?format=url", NULL, "a redis://10.0.0.12:6379\nb -\nc -\n");
}

Test(http_worker_empty, before_the_first_snapshot)
{
    static const char *const targets[] = {"/master",         "/masters",       "/masters/x",
                                          "/replicas",       "/replica",       "/sentinels",
                                          "/master?stale=1", "/master?fresh=1"};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        expect_refusal(targets[i], "unknown", "starting");
    }
    expect_status("GET", "/readyz", NULL, 503);
    expect_status("GET", "/livez", NULL, 200);
    harness_post(&harness, make_snapshot(NULL, NULL, NULL));
    expect_refusal("/master", "unknown", "unknown_name");
    expect_body("/masters", NULL, "{\"default\":null,\"masters\":[]}\n");
}

/* ---- states ---- */

Test(http_worker, states)
{
    static const struct {
        enum master_state state;
        enum reason reason;
        int status;
    } rows[] = {
        {MASTER_OK, REASON_DISPUTED, 200},
        {MASTER_UNVERIFIED, REASON_REDIS_DENIED, 200},
        {MASTER_FAILING_OVER, REASON_FAILING_OVER, 503},
        {MASTER_CONFLICT, REASON_CONFLICT, 503},
        {MASTER_DOWN, REASON_REDIS_UNREACHABLE, 503},
        {MASTER_UNKNOWN, REASON_SENTINEL_AUTH, 503},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct snapshot_master *master = make_master_in("m", rows[i].state, rows[i].reason);
        struct reply reply;

        master->index = master->revision = 100 + i;
        harness_post(&harness, make_snapshot(master, NULL, NULL));
        reply = get(&harness, "/master");
        cr_expect_eq(reply.status, rows[i].status, "%s", master_state_text(rows[i].state));
        cr_expect_str_eq(member(&reply, "state"), master_state_text(rows[i].state));
        cr_expect_str_eq(member(&reply, "reason"), reason_text(rows[i].reason));
        reply_release(&reply);
        expect_status("GET", "/masters/m", NULL, rows[i].status);
        expect_status("GET", "/sentinels", NULL, 200);
        expect_status("GET", "/replicas", NULL, rows[i].state == MASTER_UNKNOWN ? 503 : 200);
        expect_status("GET", "/master?stale=1", NULL, rows[i].state == MASTER_UNKNOWN ? 503 : 200);
    }
}

Test(http_worker, the_problem_of_a_lost_master)
{
    struct snapshot_master *master = make_master_in("m", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct reply reply;

    master->index = 9;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/master");
    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "name"), "m");
    cr_expect_str_eq(member(&reply, "index"), "9");
    cr_expect_str_eq(member(&reply, "detail"), "10.0.0.12:6379 refused twice");
    cr_expect(strstr(member(&reply, "last_known"), "\"address\":\"10.0.0.12:6379\""));
    cr_expect(strstr(member(&reply, "last_known"), "\"stale\":true"));
    cr_expect_str_eq(header_of(&reply, "x-bellwether-index"), "9");
    reply_release(&reply);
    reply = get(&harness, "/master?format=text");
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply.body, "no master: 10.0.0.12:6379 refused twice\n");
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    reply_release(&reply);
    reply = get(&harness, "/master?stale=1");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "stale"), "true");
    cr_expect_str_eq(member(&reply, "state"), "down");
    reply_release(&reply);
    expect_body("/master?stale=1&format=text", NULL, "10.0.0.12:6379\n");
}

Test(http_worker, a_name_that_sentinels_do_not_know)
{
    struct snapshot *snapshot =
        make_snapshot(make_master_in("m", MASTER_UNKNOWN, REASON_UNKNOWN_NAME), NULL, NULL);
    struct reply reply;

    snapshot->n_sentinels_know = 1;
    snapshot->sentinels_know = mem_new(1, sizeof(char *));
    snapshot->sentinels_know[0] = mem_strdup("other");
    harness_post(&harness, snapshot);
    reply = get(&harness, "/master");
    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[\"other\"]");
    cr_expect_str_eq(member(&reply, "last_known"), "null");
    reply_release(&reply);
    /* what they know may change while the master's own part does not */
    snapshot = make_snapshot(make_master_in("m", MASTER_UNKNOWN, REASON_UNKNOWN_NAME), NULL, NULL);
    harness_post(&harness, snapshot);
    reply = get(&harness, "/master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[]");
    reply_release(&reply);
}

Test(http_worker, require_majority)
{
    struct snapshot_master *master = make_master("m");

    expect_status("GET", "/master?require=majority", NULL, 200);
    master->majority = false;
    master->agreeing = 1;
    master->index = 8;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    expect_status("GET", "/master", NULL, 200);
    expect_refusal("/master?require=majority", "ok", "no_majority");
    expect_refusal("/master?require=majority&stale=1", "ok", "no_majority");
}

/* ---- a silent watcher ---- */

Test(http_worker, a_silent_watcher_serves_no_old_truth)
{
    static const char *const targets[] = {
        "/master",  "/masters",   "/masters/mymaster",        "/replicas",
        "/replica", "/sentinels", "/replica?fallback=master", "/master?format=json"};
    struct reply reply;

    expect_status("GET", "/master", NULL, 200);
    atomic_store(&harness.pulses[0].valid_until_boot_ms, clock_boot_ms() - 1);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        expect_refusal(targets[i], "ok", "watcher_stalled");
    }
    reply = get(&harness, "/master");
    cr_expect(strstr(member(&reply, "last_known"), "10.0.0.12:6379"));
    reply_release(&reply);
    reply = get(&harness, "/master?stale=1");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "stale"), "true");
    cr_expect_str_eq(member(&reply, "verified"), "false");
    cr_expect_str_eq(member(&reply, "reason"), "watcher_stalled");
    reply_release(&reply);
    expect_status("GET", "/readyz/master", NULL, 503);
    expect_status("GET", "/readyz", NULL, 200);
    atomic_store(&harness.pulses[0].valid_until_boot_ms, clock_boot_ms() + 60000);
    expect_status("GET", "/master", NULL, 200);
}

/* ---- replicas ---- */

Test(http_worker, replicas_in_turn)
{
    char seen[6][32];

    for (size_t i = 0; i < 6; i++) {
        struct reply reply =
            get(&harness, i % 2 ? "/replica?format=text" : "/masters/mymaster/replica?format=text");

        cr_expect_eq(reply.status, 200);
        snprintf(seen[i], sizeof(seen[i]), "%s", reply.body);
        reply_release(&reply);
    }
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(seen[i], seen[i + 3]);
        cr_expect_str_neq(seen[i], seen[(i + 1) % 3]);
    }
}

Test(http_worker, the_turn_goes_on_over_snapshots)
{
    expect_body("/replica?format=text", NULL, "10.0.1.1:6379\n");
    for (uint64_t i = 0; i < 2; i++) {
        struct snapshot_master *master = make_master("mymaster");

        add_replicas(master, 3);
        master->revision = 2 + i;
        harness_post(&harness, make_snapshot(master, NULL, NULL));
        expect_body("/replica?format=text", NULL, i ? "10.0.1.3:6379\n" : "10.0.1.2:6379\n");
    }
}

Test(http_worker, replica_by_lag)
{
    struct snapshot_master *master = make_master("mymaster");

    add_replicas(master, 3); /* lag 100, 200, 300 */
    master->replicas[0].healthy = false;
    master->replicas[1].lag_bytes = -1;
    master->revision = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    for (size_t i = 0; i < 3; i++) {
        expect_body("/replica?format=text&max_lag=300", NULL, "10.0.1.3:6379\n");
    }
    expect_status("GET", "/replica?max_lag=299", NULL, 503);
    expect_status("GET", "/replica", NULL, 200);
    expect_body("/replicas?format=text", NULL, "10.0.1.2:6379\n10.0.1.3:6379\n");
}

/* A lag that is older than two seconds is none; the request waits for a fresh one. */
Test(http_worker, replica_by_a_lag_that_is_too_old)
{
    struct snapshot_master *old = make_master("mymaster"), *fresh = make_master("mymaster");

    add_replicas(old, 2);
    add_replicas(fresh, 2);
    for (size_t i = 0; i < 2; i++) {
        old->replicas[i].lag_at_ms = clock_boot_ms() - LAG_FRESH_MS - 1;
        fresh->replicas[i].lag_bytes = (int64_t)(2 - i) * 100; /* the other way round */
    }
    old->revision = 2;
    fresh->revision = 3;
    harness_post(&harness, make_snapshot(old, NULL, NULL));
    expect_status("GET", "/replica", NULL, 200);
    cr_expect_eq(atomic_load(&harness.lag_asked), 0);
    /* what the watcher then has is as old */
    expect_status("GET", "/replica?max_lag=100", NULL, 503);
    cr_expect_eq(atomic_load(&harness.lag_asked), 1);
    harness.before_answer = make_snapshot(fresh, NULL, NULL);
    expect_body("/replica?format=text&max_lag=100", NULL, "10.0.1.2:6379\n");
    cr_expect_eq(atomic_load(&harness.lag_asked), 2);
    expect_body("/replica?format=text&max_lag=100", NULL, "10.0.1.2:6379\n");
    expect_status("GET", "/replica?max_lag=99", NULL, 503);
    cr_expect_eq(atomic_load(&harness.lag_asked), 2, "it is fresh now");
    for (int i = 0; i < 20; i++) {
        expect_status("GET", "/replicas", NULL, 200);
    }
    cr_expect_leq(atomic_load(&harness.lag_read), 2, "told once a second");
}

Test(http_worker, replica_shape_and_fallback)
{
    struct snapshot_master *master = make_master("mymaster");
    struct reply reply = get(&harness, "/replica");

    cr_expect_str_eq(member(&reply, "role"), "replica");
    cr_expect_str_eq(member(&reply, "name"), "mymaster");
    cr_expect_str_eq(member(&reply, "healthy"), "true");
    reply_release(&reply);
    master->revision = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/replica");
    expect_problem(&reply, 503, "no-replica");
    reply_release(&reply);
    reply = get(&harness, "/replica?fallback=master");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "role"), "master");
    cr_expect_str_eq(member(&reply, "address"), "10.0.0.12:6379");
    reply_release(&reply);
    expect_body("/replica?fallback=master&format=url", NULL, "redis://10.0.0.12:6379\n");
    master = make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    master->revision = 3;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/replica?fallback=master");
    expect_problem(&reply, 503, "no-replica");
    reply_release(&reply);
}

/* ---- probes and the rest ---- */

Test(http_worker, readyz)
{
    struct reply reply;

    expect_body("/readyz", NULL, "ok\n");
    expect_body(
        "/readyz?verbose", NULL,
        "[+]resolved ok\n[+]shutdown ok\n[+]master ok\n[+]sentinel ok\n[+]quorum ok\nreadyz check passed\n");
    expect_body("/readyz/master", NULL, "ok\n");
    expect_body("/readyz?master=mymaster", NULL, "ok\n");
    expect_status("GET", "/readyz?master=other", NULL, 404);
    expect_status("GET", "/readyz/etcd", NULL, 404);
    expect_status("GET", "/readyz?exclude=etcd", NULL, 400);
    harness_post(&harness, make_snapshot(make_master_in("m", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                                         NULL, NULL));
    expect_body(
        "/readyz?verbose&exclude=sentinel", NULL,
        "[+]resolved ok\n[+]shutdown ok\n[-]master failed: m is down, redis_unreachable (does not count)\n"
        "[+]sentinel excluded: ok\n[+]quorum ok\nreadyz check passed\n");
    reply = get(&harness, "/readyz/master");
    expect_problem(&reply, 503, "not-ready");
    cr_expect_str_eq(member(&reply, "checks"),
                     "[{\"check\":\"master\",\"ok\":false,\"counts\":true,"
                     "\"detail\":\"m is down, redis_unreachable\"}]");
    reply_release(&reply);
    reply = get(&harness, "/readyz/master?verbose");
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply.body,
                     "[-]master failed: m is down, redis_unreachable\nreadyz check failed\n");
    reply_release(&reply);
    expect_status("GET", "/readyz/master?exclude=master", NULL, 503);
}

Test(http_worker, livez)
{
    struct reply reply;

    expect_body("/livez", NULL, "ok\n");
    expect_body("/healthz", NULL, "ok\n");
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - 11000);
    reply = get(&harness, "/livez");
    expect_problem(&reply, 503, "not-alive");
    cr_expect(strstr(member(&reply, "detail"), "watcher"));
    reply_release(&reply);
    expect_status("GET", "/healthz", NULL, 503);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - 9000);
    expect_status("GET", "/livez", NULL, 200);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms());
    atomic_store(&harness.pulses[1].at_boot_ms, clock_boot_ms() - 20000);
    expect_status("GET", "/livez", NULL, 503);
    for (int i = 0; i < 500 && clock_boot_ms() - atomic_load(&harness.pulses[1].at_boot_ms) > 10000;
         i++) {
        usleep(10000);
    }
    expect_status("GET", "/livez", NULL, 200); /* the worker shows its own life */
}

Test(http_worker, index_version_openapi)
{
    struct reply reply = get(&harness, "/");

    cr_expect_eq(reply.status, 200);
    for (int i = 0; i < ROUTES_COUNT; i++) {
        char path[96];

        snprintf(path, sizeof(path), "\"path\":\"%s\"", router_row((enum route_id)i)->path);
        cr_expect_eq(strstr(reply.body, path) != NULL,
                     !route_runs_commands(router_row((enum route_id)i)), "%s", path);
    }
    reply_release(&reply);
    reply = get(&harness, "/version");
    cr_expect_str_neq(member(&reply, "version"), "");
    cr_expect(strstr(member(&reply, "libraries"), "libmicrohttpd"));
    reply_release(&reply);
    reply = get(&harness, "/openapi.yaml");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/yaml");
    cr_expect_eq(strncmp(reply.body, "openapi: 3.1", 12), 0);
    reply_release(&reply);
}

Test(http_worker, probe_listener)
{
    static const char *const probes[] = {"/livez", "/healthz", "/readyz", "/version",
                                         "/readyz/sentinel"};
    static const char *const others[] = {"/",         "/master",    "/masters",
                                         "/replicas", "/sentinels", "/openapi.yaml"};

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        struct reply reply = ask_probe(&harness, "GET", probes[i]);

        cr_expect_eq(reply.status, 200, "%s", probes[i]);
        reply_release(&reply);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct reply reply = ask_probe(&harness, "GET", others[i]);

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
    stop();
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
