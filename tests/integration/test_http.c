/* The HTTP contract of /master and its kin, on a small cluster. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_http);

/* One node, one Sentinel, and a daemon that has its answer. */
static struct cluster *small(struct daemon **daemon)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});

    *daemon = daemon_start(cluster, NULL);
    EXPECT_MASTER(*daemon, &cluster->nodes[0], 4000);
    EXPECT_REASON(*daemon, NULL, 4000);
    WAIT_UNTIL(3000, http_true(daemon_get(*daemon, "/master"), "majority"));
    return cluster;
}

SCENE(integration_http, master_body_is_the_contracts)
{
    struct daemon *daemon;
    const struct cluster *cluster = small(&daemon);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    const char *address = cluster->nodes[0].address;
    const char *wanted = text(
        "{\"name\":\"mymaster\",\"state\":\"ok\",\"reason\":null,\"host\":\"127.0.0.1\",\"port\":%u,"
        "\"address\":\"%s\",\"url\":\"redis://%s\",\"verified\":true,\"majority\":true,"
        "\"stale\":false,\"config_epoch\":0,\"index\":%lld,\"since\":\"%s\",\"previous\":null,\"restarted\":null}\n",
        cluster->nodes[0].port, address, address, http_number(answer, "index"),
        http_string(answer, "since"));

    cr_assert_str_eq(answer->body, wanted);
    int year, month, day, hour, minute, second, ms, used = 0;
    const char *since = http_string(answer, "since");
    cr_assert_eq(sscanf(since, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
                        &minute, &second, &ms, &used),
                 7);
    cr_assert_eq((size_t)used, strlen(since), "%s", since);
    cr_assert_str_eq(http_header(answer, "content-type"), "application/json");
    cr_assert_str_eq(http_header(answer, "cache-control"), "no-cache");
    cr_assert_str_eq(http_header(answer, "x-content-type-options"), "nosniff");
    cr_assert_str_eq(http_header(answer, "x-bellwether-index"),
                     text("%lld", http_number(answer, "index")));
    cr_assert_str_neq(http_header(answer, "x-bellwether-instance"), "");
    cr_assert_gt(http_number(answer, "index"), 1500000000000LL,
                 "it starts at the wall clock's milliseconds");
    cr_assert_str_eq(daemon_get(daemon, "/masters/mymaster")->body, wanted);
    const struct http_answer *all = daemon_get(daemon, "/masters");
    cr_assert_str_eq(all->body, text("{\"default\":\"mymaster\",\"masters\":[%.*s]}\n",
                                     (int)strlen(wanted) - 1, wanted));
}

SCENE(integration_http, pretty)
{
    struct daemon *daemon;

    (void)small(&daemon);
    const struct http_answer *answer = daemon_get(daemon, "/master?pretty=1");
    cr_assert_eq(answer->status, 200);
    cr_assert(strstr(answer->body, "\n  "), "%s", answer->body);
    cr_assert(json_equal(answer->json, daemon_get(daemon, "/master")->json));
    cr_assert(!strchr(strchr(daemon_get(daemon, "/master?pretty=0")->body, '\n'), '{'));
}

SCENE(integration_http, head_is_get_without_a_body)
{
    struct daemon *daemon;

    (void)small(&daemon);
    static const char *const paths[] = {"/master",  "/masters", "/sentinels",         "/livez",
                                        "/version", "/nosuch",  "/master?format=text"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const struct http_answer *get = daemon_get(daemon, paths[i]),
                                 *head = daemon_ask(daemon, "HEAD", paths[i]);

        cr_assert_eq(head->status, get->status, "%s", paths[i]);
        cr_assert_eq(head->body_len, 0, "%s", paths[i]);
        cr_assert_str_eq(http_header(head, "content-length"), text("%zu", get->body_len), "%s",
                         paths[i]);
        cr_assert_str_eq(http_header(head, "content-type"), http_header(get, "content-type"), "%s",
                         paths[i]);
    }
}

SCENE(integration_http, options_and_wrong_methods)
{
    struct daemon *daemon;

    (void)small(&daemon);
    static const char *const paths[] = {
        "/master", "/masters",   "/masters/mymaster", "/replicas", "/replica", "/sentinels",
        "/livez",  "/readyz",    "/readyz/master",    "/healthz",  "/version", "/openapi.yaml",
        "/events", "/failovers", "/status",           "/metrics",  "/"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const struct http_answer *options = daemon_ask(daemon, "OPTIONS", paths[i]);

        cr_assert_eq(options->status, 204, "%s: %s", paths[i], http_text(options));
        cr_assert(strstr(http_header(options, "allow"), "GET") &&
                      strstr(http_header(options, "allow"), "HEAD"),
                  "%s: %s", paths[i], http_header(options, "allow"));
        static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
        for (size_t j = 0; j < 4; j++) {
            const struct http_answer *wrong = daemon_ask(daemon, methods[j], paths[i]);

            cr_assert_eq(wrong->status, 405, "%s %s: %s", methods[j], paths[i], http_text(wrong));
            cr_assert_str_eq(http_header(wrong, "allow"), http_header(options, "allow"));
            cr_assert_str_eq(http_header(wrong, "content-type"), "application/problem+json");
        }
    }
}

SCENE(integration_http, unknown_paths)
{
    struct daemon *daemon;

    (void)small(&daemon);
    static const char *const paths[] = {"/nosuch",
                                        "/Master",
                                        "/master/",
                                        "//master",
                                        "/masters/",
                                        "/master/x",
                                        "/..",
                                        "/../master",
                                        "/masters/../master",
                                        "/%2e%2e/master",
                                        "/master%2F",
                                        "/masters/a%2Fb",
                                        "/masters/nosuch",
                                        "/readyz/nosuch",
                                        "/redis",
                                        "/masters/nosuch/replicas",
                                        "/masters/nosuch/sentinels",
                                        "/masters/nosuch/replica",
                                        "/status.html"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const struct http_answer *answer = daemon_get(daemon, paths[i]);

        cr_assert_eq(answer->status, 404, "%s: %s", paths[i], http_text(answer));
        cr_assert_str_eq(http_header(answer, "content-type"), "application/problem+json", "%s",
                         paths[i]);
        cr_assert(strncmp(http_string(answer, "type"), "urn:bellwether:problem:", 23) == 0, "%s",
                  http_text(answer));
        cr_assert_str_neq(http_string(answer, "detail"), "", "%s", paths[i]);
    }
    const struct http_request decoded = {
        .base = daemon->base, .path = "/%6daster", .unrecorded = true};
    cr_assert_eq(http_send(&decoded)->status, 200,
                 "segments are decoded"); /* the validator does not decode */
}

SCENE(integration_http, text_and_url_forms)
{
    struct daemon *daemon;
    const struct cluster *cluster = small(&daemon);
    const char *line = text("%s\n", cluster->nodes[0].address),
               *url = text("redis://%s\n", cluster->nodes[0].address);
    const struct http_answer *answer = daemon_get(daemon, "/master?format=text");

    cr_assert_str_eq(answer->body, line);
    cr_assert(strncmp(http_header(answer, "content-type"), "text/plain", 10) == 0);
    cr_assert_str_eq(daemon_get(daemon, "/master?format=url")->body, url);
    cr_assert_str_eq(daemon_get(daemon, "/masters?format=text")->body, text("mymaster %s", line));
    cr_assert_str_eq(daemon_get_with(daemon, "/master", "Accept: text/plain")->body, line);
    cr_assert(daemon_get_with(daemon, "/master", "Accept: */*")->json);
    cr_assert(
        daemon_get_with(daemon, "/master", "Accept: application/json, text/plain;q=0.5")->json);
    cr_assert_str_eq(
        daemon_get_with(daemon, "/master", "Accept: text/plain, application/json;q=0.5")->body,
        line);
    cr_assert(daemon_get_with(daemon, "/master?format=json", "Accept: text/plain")->json,
              "the query is stronger");
    const struct http_answer *error = daemon_get(daemon, "/masters/nosuch?format=text");
    cr_assert_eq(error->status, 404);
    cr_assert_eq(count_in(error->body, "\n"), 1, "one line: %s", error->body);
    cr_assert(strncmp(http_header(error, "content-type"), "text/plain", 10) == 0);
}

SCENE(integration_http, etags)
{
    struct daemon *daemon;

    (void)small(&daemon);
    static const char *const paths[] = {
        "/master",         "/masters", "/masters/mymaster", "/replicas", "/master?format=text",
        "/master?pretty=1"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const struct http_answer *first = daemon_get(daemon, paths[i]);
        const char *tag = http_header(first, "etag");
        /* Ages of lags change all the time, and the list is the same. */
        const bool weak = strcmp(paths[i], "/replicas") == 0;

        cr_assert(first->status == 200 && strncmp(tag, weak ? "W/\"" : "\"", weak ? 3 : 1) == 0,
                  "%s: %s, ETag %s", paths[i], http_text(first), tag);
        for (size_t j = 0; j < i; j++) {
            cr_assert_str_neq(tag, http_header(daemon_get(daemon, paths[j]), "etag"), "%s and %s",
                              paths[i], paths[j]);
        }
        const struct http_answer *same =
            daemon_get_with(daemon, paths[i], text("If-None-Match: %s", tag));
        cr_assert_eq(same->status, 304, "%s: %s", paths[i], http_text(same));
        cr_assert_str_eq(http_header(same, "etag"), tag);
        cr_assert_eq(daemon_get_with(daemon, paths[i],
                                     text("If-None-Match: \"x\", %s%s", weak ? "" : "W/", tag))
                         ->status,
                     304, "%s", paths[i]);
        cr_assert_eq(daemon_get_with(daemon, paths[i], "If-None-Match: *")->status, 304, "%s",
                     paths[i]);
        cr_assert_eq(daemon_get_with(daemon, paths[i], "If-None-Match: \"x\"")->status, 200, "%s",
                     paths[i]);
    }
}

SCENE(integration_http, etag_changes_with_the_answer)
{
    struct daemon *daemon;
    struct cluster *cluster = small(&daemon);
    const char *tag = http_header(daemon_get(daemon, "/master"), "etag");
    const long long index = http_number(daemon_get(daemon, "/master"), "index");

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    cr_assert_eq(daemon_get_with(daemon, "/master", text("If-None-Match: %s", tag))->status, 503,
                 "never 304 for no master");
    cr_assert_gt(http_number(daemon_get(daemon, "/master"), "index"), index);
    server_start(&cluster->nodes[0]);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 8000);
    cr_assert_eq(daemon_get_with(daemon, "/master", text("If-None-Match: %s", tag))->status, 200);
}

SCENE(integration_http, malformed_query_values)
{
    struct daemon *daemon;

    (void)small(&daemon);
    static const struct {
        const char *path, *parameter;
    } cases[] = {
        {"/master?format=xml", "format"},
        {"/master?fresh=maybe", "fresh"},
        {"/master?stale=2", "stale"},
        {"/master?pretty=loud", "pretty"},
        {"/master?require=quorum", "require"},
        {"/master?format=", "format"},
        {"/replica?max_lag=much", "max_lag"},
        {"/replica?max_lag=-1", "max_lag"},
        {"/replica?fallback=slave", "fallback"},
        {"/replica?max_lag=99999999999999999999", "max_lag"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct http_answer *answer = daemon_get(daemon, cases[i].path);

        cr_assert_eq(answer->status, 400, "%s: %s", cases[i].path, http_text(answer));
        cr_assert(strstr(answer->body, cases[i].parameter), "%s: %s", cases[i].path,
                  http_text(answer));
    }
    cr_assert_eq(status_of(daemon, "/master?unknown=1&x"), 200, "unknown parameters are ignored");
    cr_assert_eq(status_of(daemon, "/master?"), 200);
    cr_assert_eq(status_of(daemon, "/master?&&=&"), 200);
    cr_assert_eq(status_of(daemon, "/master?format=%74ext"), 200, "values are decoded");
}

SCENE(integration_http, no_master_problem)
{
    struct daemon *daemon;
    struct cluster *cluster = small(&daemon);
    const char *address = cluster->nodes[0].address;

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    EXPECT_NONE(daemon, "down", "redis_unreachable", 8000);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert_str_eq(http_string(answer, "type"), "urn:bellwether:problem:no-master");
    cr_assert_eq(http_number(answer, "status"), 503);
    cr_assert_str_eq(http_string(answer, "name"), "mymaster");
    cr_assert_str_eq(http_string(answer, "last_known.address"), address);
    cr_assert(strstr(http_string(answer, "detail"), address), "in words, with addresses: %s",
              http_text(answer));
    cr_assert_str_eq(http_header(answer, "retry-after"), "1");
    cr_assert_str_eq(http_header(answer, "cache-control"), "no-store");
    cr_assert_str_eq(http_header(answer, "content-type"), "application/problem+json");
    cr_assert_str_eq(http_header(answer, "etag"), "");
    const struct http_answer *line = daemon_get(daemon, "/master?format=text");
    cr_assert_eq(line->status, 503);
    cr_assert_eq(count_in(line->body, "\n"), 1, "%s", line->body);
    const struct http_answer *stale = daemon_get(daemon, "/master?stale=1");
    cr_assert_eq(stale->status, 200, "%s", http_text(stale));
    cr_assert(http_true(stale, "stale"));
    cr_assert_str_eq(http_string(stale, "address"), address);
    cr_assert_str_eq(http_string(stale, "state"), "down");
    cr_assert_str_eq(daemon_get(daemon, "/master?stale=1&format=text")->body,
                     text("%s\n", address));
    cr_assert_eq(status_of(daemon, "/master?stale=0"), 503);
    cr_assert_eq(status_of(daemon, "/masters"), 200,
                 "the list has states, and no status of its own");
}

SCENE(integration_http, require_majority)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    cr_assert_eq(status_of(daemon, "/master?require=majority"), 200);
    server_kill(&cluster->sentinels[0]);
    server_kill(&cluster->sentinels[1]);
    WAIT_UNTIL(6000, status_of(daemon, "/master?require=majority") == 503);
    const struct http_answer *answer = daemon_get(daemon, "/masters/mymaster?require=majority");
    cr_assert_str_eq(http_string(answer, "reason"), "no_majority", "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "type"), "urn:bellwether:problem:no-master");
    cr_assert_eq(status_of(daemon, "/master"), 200);
    cr_assert_eq(status_of(daemon, "/master?require=majority&format=text"), 503);
}

SCENE(integration_http, fresh_is_shared_by_many_callers)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    struct fake *sentinel = fake_start_sentinel(cluster->nodes[0].port);
    const char *const flags[] = {"--sentinel", fake_address(sentinel), "--workers", "2", NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    enum { CALLERS = 60 };
    struct raw *callers[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = raw_open(daemon->port);
        cr_assert(callers[i]);
        cr_assert_eq(raw_get(callers[i], "/version", 3000)->status, 200); /* it is in */
    }
    const unsigned before = fake_heard(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME");
    const int64_t asked_ms = now_ms();
    const char request[] = "GET /master?fresh=1 HTTP/1.1\r\nHost: test\r\n\r\n";
    process_freeze(daemon->process); /* so that they come at once, however slow this test is */
    for (size_t i = 0; i < CALLERS; i++) {
        cr_assert(raw_send(callers[i], request, sizeof(request) - 1));
    }
    daemon_signal(daemon, SIGCONT);
    for (size_t i = 0; i < CALLERS; i++) {
        const struct http_answer *answer = raw_answer(callers[i], 3000);

        cr_assert_eq(answer->status, 200, "caller %zu: %s", i, http_text(answer));
    }
    const unsigned asked = fake_heard(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME") - before;
    const unsigned polls = (unsigned)((now_ms() - asked_ms) / 900) + 1;
    /* a question shares with those that come before it is sent; a slow worker passes few on */
    const unsigned most = daemon_is_sanitized() ? CALLERS / 2 : 10;
    cr_assert(asked >= 1 && asked <= most + polls, "%d callers made %u questions", CALLERS, asked);
}

SCENE(integration_http, fresh_sees_what_polling_has_not)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = NONE});
    struct fake_words words = {.run_id = "0123456789012345678901234567890123456789",
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", cluster->nodes[0].port),
                               .epoch = 1};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(sentinel), "--poll-interval", "10s",
                                 NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    cr_assert_str_eq(redis_say(&cluster->nodes[1], "REPLICAOF NO ONE"), "OK");
    words.master_port = text("%u", cluster->nodes[1].port);
    words.epoch = 2;
    fake_say(sentinel, &words);
    WAIT_UNTIL(3000, says_master_at(daemon, "/master?fresh=1", &cluster->nodes[1]));
}

/* In good time, and never with an address. */
static bool refuses_fresh(const struct daemon *daemon, const char *reason)
{
    const int64_t asked_ms = running_ms();
    const struct http_answer *answer = daemon_get(daemon, "/master?fresh=1");

    cr_assert_eq(answer->status, 503, "%s", http_text(answer));
    cr_assert_leq(running_ms() - asked_ms, patient(2000));
    return strcmp(http_string(answer, "reason"), reason) == 0;
}

SCENE(integration_http, fresh_with_a_hung_master)
{
    struct daemon *daemon;
    struct cluster *cluster = small(&daemon);

    cr_assert(says_master_at(daemon, "/master?fresh=1", &cluster->nodes[0]));
    cr_assert(says_master_at(daemon, "/masters/mymaster?fresh=1", &cluster->nodes[0]));
    server_freeze(&cluster->nodes[0]);
    HOLDS_NOW(refuses_fresh(daemon, "redis_timeout")); /* its role was asked and not answered */
    server_thaw(&cluster->nodes[0]);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(3000, says_master_at(daemon, "/master?fresh=1", &cluster->nodes[0]));
}

SCENE(integration_http, fresh_without_sentinels)
{
    struct daemon *daemon;
    struct cluster *cluster = small(&daemon);

    server_kill(&cluster->sentinels[0]);
    const struct http_answer *answer = daemon_get(daemon, "/master?fresh=1");
    cr_assert_eq(answer->status, 503, "no Sentinel could be asked: %s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "reason"), "no_sentinel_reachable", "%s",
                     http_text(answer));
    cr_assert_str_eq(http_string(answer, "last_known.address"), cluster->nodes[0].address);
    cr_assert(says_master(daemon, &cluster->nodes[0]), "without fresh it stands");
}

SCENE(integration_http, fresh_caller_that_hangs_up)
{
    struct daemon *daemon;
    struct cluster *cluster = small(&daemon);

    server_freeze(&cluster->sentinels[0]);
    for (int i = 0; i < 20; i++) {
        struct raw *caller = raw_open(daemon->port);
        const char request[] = "GET /master?fresh=1 HTTP/1.1\r\nHost: test\r\n\r\n";

        cr_assert(raw_send(caller, request, sizeof(request) - 1));
        raw_close(caller);
    }
    still_serves(daemon);
    server_thaw(&cluster->sentinels[0]);
    WAIT_UNTIL(8000, says_master_at(daemon, "/master?fresh=1", &cluster->nodes[0]));
}

/*
 * A node that closes the next connection, too, before it has answered is down: the closer leaves
 * more time than a machine stands still.
 */
SCENE(integration_http, fresh_while_connections_are_closed_is_never_503)
{
    struct daemon *daemon;
    const struct cluster *cluster = small(&daemon);
    const char *const closer[] = {"redis-cli", "-p",     text("%u", cluster->nodes[0].port),
                                  "-r",        "-1",     "-i",
                                  "0.02",      "CLIENT", "KILL",
                                  "TYPE",      "normal", NULL};

    (void)process_start(&(struct process_spec){.name = "closer", .argv = closer, .may_die = true});
    const long long before =
        info_number(redis_say(&cluster->nodes[0], "INFO stats"), "total_connections_received:");
    const int64_t until_ms = now_ms() + patient(20000);
    long long closed = 0;

    /* The closer may be slow to start. */
    for (int i = 0; i < 400 || (closed <= 20 && now_ms() < until_ms); i++) {
        const struct http_answer *fresh = daemon_get(daemon, "/master?fresh=1");

        cr_assert(fresh->status == 200 || stood_still_lately(), "%d: %s\n%s", i, http_text(fresh),
                  daemon_log(daemon));
        HOLDS_NOW(status_of(daemon, "/master") == 200);
        if (i % 50 == 49) {
            closed = info_number(redis_say(&cluster->nodes[0], "INFO stats"),
                                 "total_connections_received:") -
                     before;
        }
    }
    cr_assert_gt(closed, 20, "connections were closed, besides those that asked for the count");
}

SCENE(integration_http, kept_alive_and_pipelined)
{
    struct daemon *daemon;

    (void)small(&daemon);
    struct raw *raw = raw_open(daemon->port);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(raw_get(raw, "/master", 2000)->status, 200);
    }
    const char three[] =
        "GET /master HTTP/1.1\r\nHost: a\r\n\r\nGET /nosuch HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_assert(raw_send(raw, three, sizeof(three) - 1));
    cr_assert_eq(raw_answer(raw, 2000)->status, 200);
    cr_assert_eq(raw_answer(raw, 2000)->status, 404);
    cr_assert_eq(raw_answer(raw, 2000)->status, 200);
}

SCENE(integration_http, version_openapi_and_index)
{
    struct daemon *daemon;

    (void)small(&daemon);
    const struct http_answer *version = daemon_get(daemon, "/version");
    cr_assert_str_neq(http_string(version, "version"), "");
    cr_assert(json_is_object(http_value(version, "libraries")));
    const struct http_answer *contract = daemon_get(daemon, "/openapi.yaml");
    cr_assert_eq(contract->status, 200);
    cr_assert(strncmp(contract->body, "openapi: 3.1", 12) == 0 ||
                  strncmp(contract->body, "openapi: \"3.1", 13) == 0,
              "%.60s", contract->body);
    cr_assert_str_eq(contract->body, file_read("openapi.yaml"));
    const struct http_answer *index = daemon_get(daemon, "/");
    cr_assert_eq(index->status, 200);
    cr_assert(strstr(index->body, "/masters/{name}"), "%s", index->body);
}

SCENE(integration_http, http_1_0)
{
    struct daemon *daemon;

    (void)small(&daemon);
    const char request[] = "GET /master?format=text HTTP/1.0\r\n\r\n";
    const struct http_answer *answer =
        raw_exchange(daemon->port, request, sizeof(request) - 1, 3000);
    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
}

/* Where the machine stood still, it has grown by what was confirmed again. */
static bool still_says(const struct daemon *daemon, const struct http_answer **before)
{
    const struct http_answer *now = daemon_get(daemon, "/master");

    if (strcmp(now->body, (*before)->body) != 0 && now->status == 200 && stood_still_lately()) {
        cr_assert_gt(http_number(now, "index"), http_number(*before, "index"), "%s",
                     http_text(now));
        *before = now;
    }
    return now->status == 200 && strcmp(now->body, (*before)->body) == 0;
}

SCENE(integration_http, index_never_falls_and_grows_only_with_the_body)
{
    struct daemon *daemon;

    (void)small(&daemon);
    const struct http_answer *before = daemon_get(daemon, "/master");
    HOLDS_FOR(2500, still_says(daemon, &before));
}
