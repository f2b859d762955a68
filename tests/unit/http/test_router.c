/* The route table, matching, methods, percent-decoding. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/http/router.h"

static const char *matched(const char *path, enum http_scope scope)
{
    static struct route_match match;

    return router_match(path, scope, &match) == 0 ? match.route->path : "none";
}

static int match_error(const char *path)
{
    struct route_match match;

    return router_match(path, HTTP_SCOPE_ALL, &match);
}

Test(http_router, every_row_matches_its_own_path)
{
    for (int i = 0; i < ROUTES_COUNT; i++) {
        const struct route *row = router_row((enum route_id)i);

        cr_assert_eq(row->id, (enum route_id)i);
        /* `{name}` is a name too */
        cr_expect_str_eq(matched(row->path, HTTP_SCOPE_ALL), row->path);
    }
}

Test(http_router, matching_is_exact)
{
    static const char *const none[] = {"/master/",
                                       "//master",
                                       "/Master",
                                       "/masters/",
                                       "/masters//replicas",
                                       "/livez/x",
                                       "",
                                       "master",
                                       "/masters/a/b",
                                       "/masters/a/replicas/",
                                       "/..",
                                       "/../etc",
                                       "/readyz/",
                                       "/masters/a/b/c/d/e/f/g/h",
                                       "/master.",
                                       "/mastersx",
                                       "/masters/a/replicaz"};

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        cr_expect_eq(match_error(none[i]), -BW_ENOENT, "%s", none[i]);
    }
    /* a name like any other */
    cr_expect_str_eq(matched("/masters/..", HTTP_SCOPE_ALL), "/masters/{name}");
}

Test(http_router, segments_are_decoded_after_the_split)
{
    struct route_match match;

    cr_assert_eq(router_match("/masters/a%2Fb%20c/replicas", HTTP_SCOPE_ALL, &match), 0);
    cr_expect_eq(match.route->id, ROUTE_NAMED_REPLICAS);
    cr_expect_str_eq(match.argument, "a/b c");
    cr_expect_str_eq(matched("/m%61ster", HTTP_SCOPE_ALL), "/master");
    cr_expect_str_eq(matched("/masters%2Fa", HTTP_SCOPE_ALL), "none");
}

Test(http_router, bad_escapes_are_refused)
{
    cr_expect_eq(match_error("/masters/%00"), -BW_EINVAL);
    cr_expect_eq(match_error("/masters/%zz"), -BW_EINVAL);
    cr_expect_eq(match_error("/masters/%4"), -BW_EINVAL);
    cr_expect_eq(match_error("/masters/%"), -BW_EINVAL);
    cr_expect_eq(match_error("/nothing/%g1"), -BW_EINVAL);
}

Test(http_router, over_long_names_match_nothing)
{
    char path[2048] = "/masters/";

    memset(path + strlen(path), 'a', ROUTE_ARGUMENT_SIZE - 1);
    cr_expect_eq(match_error(path), 0);
    memset(path + 9, 'a', ROUTE_ARGUMENT_SIZE);
    cr_expect_eq(match_error(path), -BW_ENOENT);
    memset(path + 9, 'a', sizeof(path) - 10);
    cr_expect_eq(match_error(path), -BW_ENOENT);
}

Test(http_router, absolute_form)
{
    cr_expect_str_eq(matched("http://example.com:8380/masters/x", HTTP_SCOPE_ALL),
                     "/masters/{name}");
    cr_expect_str_eq(matched("HTTPS://h/master", HTTP_SCOPE_ALL), "/master");
    cr_expect_str_eq(matched("http://h", HTTP_SCOPE_ALL), "/");
    cr_expect_str_eq(matched("ftp://h/master", HTTP_SCOPE_ALL), "none");
}

Test(http_router, probe_scope_has_probes_only)
{
    static const char *const probes[] = {"/livez",
                                         "/healthz",
                                         "/readyz",
                                         "/readyz/master",
                                         "/nodes/10.0.0.11:6379/master",
                                         "/nodes/[::1]:6379/replica",
                                         "/version"};
    static const char *const others[] = {"/",        "/master",   "/masters", "/openapi.yaml",
                                         "/replica", "/sentinels"};

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        cr_expect_str_neq(matched(probes[i], HTTP_SCOPE_PROBE), "none", "%s", probes[i]);
        cr_expect_str_neq(matched(probes[i], HTTP_SCOPE_DISCOVERY), "none", "%s", probes[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_expect_str_eq(matched(others[i], HTTP_SCOPE_PROBE), "none", "%s", others[i]);
        cr_expect_str_neq(matched(others[i], HTTP_SCOPE_DISCOVERY), "none", "%s", others[i]);
    }
}

/* Each path, and the route that it is of. */
static void expect_routes(const char *const (*rows)[2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_expect_str_eq(matched(rows[i][0], HTTP_SCOPE_ALL), rows[i][1], "%s", rows[i][0]);
    }
}

/* What stands for the rest of a path. */
static const char *rest_of(const char *path, enum route_id id)
{
    static struct route_match match;

    if (router_match(path, HTTP_SCOPE_ALL, &match) != 0 || match.route->id != id || !match.rest) {
        return "none";
    }
    return match.rest;
}

Test(http_router, the_rest_of_a_path_is_handed_on_as_it_came)
{
    static const struct {
        const char *path;
        enum route_id id;
        const char *rest;
    } rows[] = {
        {"/redis/get/k", ROUTE_REDIS_PATH, "get/k"},
        {"/redis/ping", ROUTE_REDIS_PATH, "ping"},
        {"/redis/set/a%2Fb/%00%zz+", ROUTE_REDIS_PATH, "set/a%2Fb/%00%zz+"},
        {"/redis/%zz", ROUTE_REDIS_PATH, "%zz"},
        {"/redis/pipeline/x", ROUTE_REDIS_PATH, "pipeline/x"},
        {"/redis/mget/a/b/c/d/e/f/g/h/i", ROUTE_REDIS_PATH, "mget/a/b/c/d/e/f/g/h/i"},
        {"/masters/a%20b/redis/get/k", ROUTE_NAMED_REDIS_PATH, "get/k"},
        {"/replica/redis/get/k", ROUTE_REPLICA_REDIS_PATH, "get/k"},
        {"/masters/m/replica/redis/mget/1/2/3/4", ROUTE_NAMED_REPLICA_REDIS_PATH, "mget/1/2/3/4"},
        {"http://h:1/redis/get/k", ROUTE_REDIS_PATH, "get/k"},
        {"/%72edis/get/k", ROUTE_REDIS_PATH, "get/k"},
        {"/redis", ROUTE_REDIS, "none"},
        {"/redis/subscribe/a/b%2Fc", ROUTE_SUBSCRIBE, "a/b%2Fc"},
        {"/redis/psubscribe/*", ROUTE_PSUBSCRIBE, "*"},
        {"/masters/m/redis/subscribe/1/2/3/4/5", ROUTE_NAMED_SUBSCRIBE, "1/2/3/4/5"},
        {"/redis/SUBSCRIBE/A", ROUTE_SUBSCRIBE, "A"},
        {"/masters/m/redis/pSubscribe/a", ROUTE_NAMED_PSUBSCRIBE, "a"},
        {"/redis/subscribe", ROUTE_SUBSCRIBE, ""},
        {"/redis/psubscribe/", ROUTE_PSUBSCRIBE, ""},
        {"/redis/subscribes", ROUTE_REDIS_PATH, "subscribes"},
        {"/replica/redis/subscribe/a", ROUTE_REPLICA_REDIS_PATH, "subscribe/a"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_expect_str_eq(rest_of(rows[i].path, rows[i].id), rows[i].rest, "%s", rows[i].path);
    }
}

Test(http_router, a_last_slash_of_a_command_route_is_ignored)
{
    static const char *const paths[][2] = {
        {"/redis/", "/redis"},
        {"/redis//", "/redis"},
        {"/redis/pipeline/", "/redis/pipeline"},
        {"/masters/m/replica/redis/multi-exec/", "/masters/{name}/replica/redis/multi-exec"},
        {"/redis//pipeline", "/redis/pipeline"},
        {"/masters/m/replica/redis//multi-exec/", "/masters/{name}/replica/redis/multi-exec"},
        {"/redis//////////", "/redis"},
        {"/masters/m/redis//////////pipeline/////", "/masters/{name}/redis/pipeline"},
    };

    expect_routes(paths, sizeof(paths) / sizeof(*paths));
    cr_expect_str_eq(rest_of("/redis//////////get/k", ROUTE_REDIS_PATH), "get/k");
    cr_expect_str_eq(rest_of("/redis//get/k", ROUTE_REDIS_PATH), "get/k");
    cr_expect_str_eq(rest_of("/redis/subscribe//a", ROUTE_SUBSCRIBE), "/a");
    cr_expect_str_eq(rest_of("/redis/set/k/", ROUTE_REDIS_PATH), "set/k/");
    cr_expect_str_eq(rest_of("/redis/mset/a//b/", ROUTE_REDIS_PATH), "mset/a//b/");
    cr_expect_eq(match_error("//redis"), -BW_ENOENT);
    cr_expect_eq(match_error("/replica//redis"), -BW_ENOENT);
    cr_expect_eq(match_error("/master/"), -BW_ENOENT);
    cr_expect_eq(match_error("/masters/m/"), -BW_ENOENT);
}

Test(http_router, exact_patterns_win_over_a_rest)
{
    static const char *const paths[][2] = {
        {"/redis", "/redis"},
        {"/redis/pipeline", "/redis/pipeline"},
        {"/redis/multi-exec", "/redis/multi-exec"},
        {"/masters/redis/redis/pipeline", "/masters/{name}/redis/pipeline"},
        {"/masters/redis", "/masters/{name}"},
        {"/replica/redis", "/replica/redis"},
    };

    expect_routes(paths, sizeof(paths) / sizeof(*paths));
}

Test(http_router, a_rest_may_be_long_but_not_what_stands_before_it)
{
    char path[9000] = "/redis/set/";
    size_t start = strlen(path);

    memset(path + start, 'a', sizeof(path) - start - 1);
    cr_expect_str_eq(rest_of(path, ROUTE_REDIS_PATH), path + strlen("/redis/"));
    for (size_t i = start; i < sizeof(path) - 1; i += 2) {
        path[i] = '/';
    }
    cr_expect_str_eq(rest_of(path, ROUTE_REDIS_PATH), path + strlen("/redis/"));
    snprintf(path, sizeof(path), "/masters/%0*d/redis/get/k", ROUTE_ARGUMENT_SIZE, 1);
    cr_expect_eq(match_error(path), -BW_ENOENT);
    cr_expect_eq(match_error("/masters//redis/get/k"), -BW_ENOENT);
    cr_expect_eq(match_error("/masters/%zz/redis/get/k"), -BW_EINVAL);
    cr_expect_eq(match_error("/redisx/get/k"), -BW_ENOENT);
    cr_expect_eq(match_error("/replicas/redis/get"), -BW_ENOENT);
}

Test(http_router, commands_are_in_the_scope_of_all_only)
{
    static const char *const paths[] = {
        "/redis",           "/redis/pipeline",      "/redis/get/k",
        "/masters/m/redis", "/replica/redis/get/k", "/masters/m/replica/redis/multi-exec"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct route_match match;

        cr_expect_eq(router_match(paths[i], HTTP_SCOPE_ALL, &match), 0, "%s", paths[i]);
        cr_expect(route_runs_commands(match.route), "%s", paths[i]);
        cr_expect_str_eq(matched(paths[i], HTTP_SCOPE_DISCOVERY), "none", "%s", paths[i]);
        cr_expect_str_eq(matched(paths[i], HTTP_SCOPE_PROBE), "none", "%s", paths[i]);
    }
    cr_expect_not(route_runs_commands(router_row(ROUTE_MASTER)));
}

Test(http_router, methods)
{
    cr_expect_eq(router_method("GET"), (unsigned)HTTP_GET);
    cr_expect_eq(router_method("HEAD"), (unsigned)HTTP_HEAD);
    cr_expect_eq(router_method("OPTIONS"), (unsigned)HTTP_OPTIONS);
    cr_expect_eq(router_method("get"), (unsigned)HTTP_OTHER);
    cr_expect_eq(router_method("POST"), (unsigned)HTTP_POST);
    cr_expect_eq(router_method("PUT"), (unsigned)HTTP_PUT);
    cr_expect_str_eq(router_allow(METHODS_READ), "GET, HEAD, OPTIONS");
    cr_expect_str_eq(router_allow(METHODS_POST), "POST, PUT, OPTIONS");
    cr_expect_str_eq(router_allow(METHODS_READ | METHODS_BODY), "GET, HEAD, POST, PUT, OPTIONS");
    cr_expect_str_eq(router_allow(0), "OPTIONS");
}
