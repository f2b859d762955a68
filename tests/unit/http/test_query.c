/* Query parameters, Accept, If-None-Match, the names of checks. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/http/query.h"

#define ALL_PARAMETERS (~0U)

static const char *refused;
static char words[QUERY_ERROR_SIZE];

static int add(struct query *query, unsigned known, const char *name, const char *value)
{
    return query_add(query, known, name, strlen(name), value, value ? strlen(value) : 0, &refused,
                     words);
}

Test(http_query, flags)
{
    struct query query = {0};

    cr_expect_eq(add(&query, ALL_PARAMETERS, "stale", "1"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "fresh", "true"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "verbose", NULL), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "pretty", ""), 0);
    cr_expect(query.stale && query.fresh && query.verbose && query.pretty);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "stale", "0"), 0);
    cr_expect_not(query.stale, "the last one counts");
}

Test(http_query, values)
{
    struct query query = {0};

    cr_expect_eq(add(&query, ALL_PARAMETERS, "format", "url"), 0);
    cr_expect_eq(query.form, FORM_URL);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "require", "majority"), 0);
    cr_expect(query.require_majority);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "fallback", "master"), 0);
    cr_expect(query.fallback_master);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "max_lag", "10mb"), 0);
    cr_expect(query.has_max_lag);
    cr_expect_eq(query.max_lag_bytes, 10 << 20);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "master", "a%2Fb"), 0);
    cr_expect_str_eq(query.master, "a/b");
    cr_expect_eq(add(&query, ALL_PARAMETERS, "limit", "10000"), 0);
    cr_expect_eq(query.limit, 10000);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "exclude", "master"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "exclude", "quorum,sentinel"), 0);
    cr_expect_eq(query.excluded, 1U << READY_MASTER | 1U << READY_QUORUM | 1U << READY_SENTINEL);
}

Test(http_query, values_that_make_no_sense_are_refused_by_name)
{
    static const char *const bad[][2] = {
        {"stale", "2"},     {"fresh", "si"},    {"format", "xml"},    {"format", ""},
        {"require", "all"}, {"require", NULL},  {"max_lag", "-1"},    {"max_lag", ""},
        {"max_lag", "10x"}, {"fallback", "x"},  {"limit", "0"},       {"limit", "-1"},
        {"limit", "x"},     {"limit", "10001"}, {"exclude", "etcd"},  {"exclude", ""},
        {"master", ""},     {"pretty", "%31%"}, {"format", "js%00on"}};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct query query = {0}, untouched = {0};

        cr_expect_eq(add(&query, ALL_PARAMETERS, bad[i][0], bad[i][1]), -BW_EINVAL, "%s=%s",
                     bad[i][0], bad[i][1]);
        cr_expect_str_eq(refused, bad[i][0]);
        cr_expect(strstr(words, bad[i][0]) && strstr(words, "takes"), "%s", words);
        cr_expect_eq(memcmp(&query, &untouched, sizeof(query)), 0, "%s", bad[i][0]);
    }
}

Test(http_query, what_a_route_does_not_know_is_ignored)
{
    struct query query = {0};

    cr_expect_eq(add(&query, QUERY_PRETTY, "format", "nonsense"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "wait", "30s"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "a-very-long-name-of-a-parameter", "x"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "%zz", "x"), 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "", NULL), 0);
    cr_expect_eq(query.form, FORM_UNSET);
}

Test(http_query, names_are_decoded)
{
    struct query query = {0};

    cr_expect_eq(add(&query, ALL_PARAMETERS, "for%6Dat", "te%78t"), 0);
    cr_expect_eq(query.form, FORM_TEXT);
}

static enum http_form form_for(const char *value)
{
    struct accept accept = ACCEPT_NOTHING;

    accept_add(&accept, value, strlen(value));
    return accept_form(&accept);
}

Test(http_query, accept)
{
    static const char *const text[] = {"text/plain",
                                       "TEXT/Plain",
                                       "text/*",
                                       "text/plain;q=0.9, application/json;q=0.5",
                                       "application/json;q=0.1,text/plain;q=0.2",
                                       "*/*;q=0.1, text/plain",
                                       "text/plain;charset=utf-8;q=0.5",
                                       "application/json;q=0, */*",
                                       "text/plain; q=0.001"};
    static const char *const json[] = {
        "*/*",
        "",
        "application/json",
        "application/json, text/plain, */*",
        "text/plain, */*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain;q=0",
        "text/plain;q=0.5, application/*;q=0.8",
        "image/png",
        "text/plain;q=nonsense",
        "text/plain;q=1.5",
        ",,;;=,",
        "application/problem+json"};

    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        cr_expect_eq(form_for(text[i]), FORM_TEXT, "%s", text[i]);
    }
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        cr_expect_eq(form_for(json[i]), FORM_JSON, "%s", json[i]);
    }
}

Test(http_query, if_none_match)
{
    const char *tag = "\"abc-7-master\"";

    cr_expect(etag_matches("\"abc-7-master\"", tag));
    cr_expect(etag_matches("W/\"abc-7-master\"", tag));
    cr_expect(etag_matches("\"x\", \"abc-7-master\" ,\"y\"", tag));
    cr_expect(etag_matches("*", tag));
    cr_expect_not(etag_matches("", tag));
    cr_expect_not(etag_matches("abc-7-master", tag));
    cr_expect_not(etag_matches("\"abc-7\"", tag));
    cr_expect_not(etag_matches("\"ABC-7-master\"", tag));
}

Test(http_query, check_names)
{
    enum ready_check check;

    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        cr_expect_eq(ready_check_find(ready_check_name((enum ready_check)i), &check), 0);
        cr_expect_eq((int)check, i);
    }
    cr_expect_eq(ready_check_find("etcd", &check), -BW_ENOENT);
}

static bool likes_html(const char *value)
{
    struct accept accept = ACCEPT_NOTHING;

    accept_add(&accept, value, strlen(value));
    return accept_likes_html(&accept);
}

Test(http_query, accept_of_browsers)
{
    cr_expect(likes_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
    cr_expect(likes_html("text/html"));
    cr_expect(likes_html("text/*"));
    cr_expect(likes_html("application/json;q=0.1, text/html;q=0.2"));
    cr_expect_not(likes_html("*/*"));
    cr_expect_not(likes_html(""));
    cr_expect_not(likes_html("text/html, application/json"), "a tie is JSON's");
    cr_expect_not(likes_html("text/html;q=0"));
    cr_expect_not(likes_html("text/html;q=0, */*"));
    cr_expect_not(likes_html("text/plain, text/html;q=0.9"));
}

Test(http_query, waiting)
{
    struct query query = {0};

    cr_expect_eq(add(&query, ALL_PARAMETERS, "wait", "5m"), 0);
    cr_expect(query.has_wait);
    cr_expect_eq(query.wait_ms, QUERY_WAIT_MAX_MS);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "wait", "300001ms"), -BW_EINVAL);
    cr_expect_str_eq(refused, "wait");
    cr_expect_eq(query.wait_ms, QUERY_WAIT_MAX_MS, "untouched");
    cr_expect_eq(add(&query, ALL_PARAMETERS, "wait", "0"), 0);
    cr_expect_eq(query.wait_ms, 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "index", "9223372036854775807"), 0);
    cr_expect(query.has_index && query.index == INT64_MAX);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "unless", "%5BFD00::1%5D:6379"), 0);
    cr_expect(query.has_unless && strcmp(query.unless.host, "fd00::1") == 0);
    cr_expect_eq(add(&query, ALL_PARAMETERS, "unless", "fd00::1"), -BW_EINVAL);
    cr_expect_str_eq(query.unless.host, "fd00::1", "untouched");
    cr_expect_eq(add(&query, ALL_PARAMETERS, "instance", "0011223344556677"), 0);
    cr_expect_str_eq(query.instance, "0011223344556677");
}

Test(http_query, prefer)
{
    static const struct {
        const char *value;
        int64_t wait_ms;
    } cases[] = {
        {"wait=30", 30000},
        {"respond-async, wait=10", 10000},
        {"respond-async; x=y , WAIT = 10 ; z", 10000},
        {"wait=\"7\"", 7000},
        {"wait=0", 0},
        {"wait=300", 300000},
        {"wait=301", QUERY_WAIT_MAX_MS},
        {"wait=99999999999999999999999999", QUERY_WAIT_MAX_MS},
        {"wait=-1", 0},
        {"wait=30s", 0},
        {"wait", 0},
        {"wait=", 0},
        {"wait=\"", 0},
        {"waiting=5", 0},
        {"", 0},
        {",;,=", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(prefer_wait_ms(cases[i].value, strlen(cases[i].value)), cases[i].wait_ms, "%s",
                     cases[i].value);
    }
}
