/* The route table, matching, methods, percent-decoding. */
#include <criterion/criterion.h>
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
        cr_expect_str_eq(matched(row->path, HTTP_SCOPE_ALL), row->path); /* `{name}` is a name too */
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
    cr_expect_str_eq(matched("/masters/..", HTTP_SCOPE_ALL), "/masters/{name}"); /* a name like any other */
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
    cr_expect_str_eq(matched("http://example.com:8380/masters/x", HTTP_SCOPE_ALL), "/masters/{name}");
    cr_expect_str_eq(matched("HTTPS://h/master", HTTP_SCOPE_ALL), "/master");
    cr_expect_str_eq(matched("http://h", HTTP_SCOPE_ALL), "/");
    cr_expect_str_eq(matched("ftp://h/master", HTTP_SCOPE_ALL), "none");
}

Test(http_router, probe_scope_has_probes_only)
{
    static const char *const probes[] = {"/livez", "/healthz", "/readyz", "/readyz/master", "/version"};
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

Test(http_router, methods)
{
    cr_expect_eq(router_method("GET"), (unsigned)HTTP_GET);
    cr_expect_eq(router_method("HEAD"), (unsigned)HTTP_HEAD);
    cr_expect_eq(router_method("OPTIONS"), (unsigned)HTTP_OPTIONS);
    cr_expect_eq(router_method("get"), (unsigned)HTTP_OTHER);
    cr_expect_eq(router_method("POST"), (unsigned)HTTP_OTHER);
    cr_expect_str_eq(router_allow(METHODS_READ), "GET, HEAD, OPTIONS");
}

Test(http_router, percent_decoding)
{
    char out[8] = "before";

    cr_assert_eq(percent_decode("a%41%7a", 7, out, sizeof(out)), 0);
    cr_expect_str_eq(out, "aAz");
    cr_assert_eq(percent_decode("", 0, out, sizeof(out)), 0);
    cr_expect_str_eq(out, "");
    cr_expect_eq(percent_decode("%41%", 4, out, sizeof(out)), -BW_EINVAL);
    cr_expect_eq(percent_decode("%4", 2, out, sizeof(out)), -BW_EINVAL);
    cr_expect_eq(percent_decode("%-1", 3, out, sizeof(out)), -BW_EINVAL);
    cr_expect_eq(percent_decode("a\0b", 3, out, sizeof(out)), -BW_EINVAL);
    cr_expect_eq(percent_decode("1234567", 7, out, sizeof(out)), 0);
    cr_expect_eq(percent_decode("12345678", 8, out, sizeof(out)), -BW_ERANGE);
    cr_expect_eq(percent_decode("", 0, out, 0), -BW_ERANGE);
}
