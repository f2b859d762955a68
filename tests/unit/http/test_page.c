/*
 * The status page: who gets it, that nothing in it runs but its own script, and what it shows where
 * no script runs. What its script makes of the state is tested in a browser
 * (tests/clients/page_states.test.mjs).
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "suite_harness.h"

#define BROWSER \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"

static void start(void)
{
    harness_init(&harness);
    harness.status_of = snapshot_new(0);
    harness_start(&harness);
}

TestSuite(http_page, .init = start, .fini = close_harness, .timeout = 30);

static struct reply page(void)
{
    struct reply reply = ask(&harness, "GET", "/", BROWSER);

    cr_assert_eq(reply.status, 200, "%d: %s", reply.status, reply.body);
    cr_assert_str_eq(header_of(&reply, "content-type"), "text/html; charset=utf-8");
    return reply;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

/* The watcher and the worker know this. @param snapshot taken. */
static void know(struct snapshot *snapshot)
{
    snapshot_unref(harness.status_of);
    harness.status_of = snapshot_ref(snapshot);
    harness_post(&harness, snapshot);
}

/* What is shown without JavaScript; its end is cut off behind it. */
static char *text_in(const struct reply *reply)
{
    static const char before[] = "<pre class=\"card plain\">\n";
    char *from = strstr(reply->body, before),
         *to = from ? strstr(from, "</pre>\n</noscript>") : NULL;

    cr_assert(from && to, "%s", reply->body);
    *to = '\0';
    return from + strlen(before);
}

#define EXPECT_HAS(text, part) cr_expect(strstr((text), (part)), "lacks %s: %s", (part), (text))

/* ---- who gets it ---- */

Test(http_page, accept_decides)
{
    static const char *const html[] = {
        BROWSER,
        "Accept: text/html\r\n",
        "Accept: TEXT/HTML;q=0.2\r\n",
        "Accept: application/json;q=0.8, text/html;q=0.9\r\n",
        "Accept: */*;q=0.1, text/html;q=0.2\r\n",
        "Accept: text/*\r\n",
    };
    static const char *const json[] = {
        NULL,
        "Accept: */*\r\n",
        "Accept: application/json\r\n",
        "Accept: text/html, application/json\r\n",
        "Accept: text/html;q=0.5, application/json;q=0.9\r\n",
        "Accept: text/html;q=0\r\n",
        "Accept: text/html;q=0.5, */*;q=0.8\r\n",
        "Accept: text/plain, text/html;q=0.5\r\n",
        "Accept: application/xhtml+xml\r\n",
        "Accept: nonsense\r\n",
    };

    for (size_t i = 0; i < sizeof(html) / sizeof(html[0]); i++) {
        struct reply reply = ask(&harness, "GET", "/", html[i]);

        cr_expect_eq(reply.status, 200);
        cr_expect_str_eq(header_of(&reply, "content-type"), "text/html; charset=utf-8", "%s",
                         html[i]);
        cr_expect_str_eq(header_of(&reply, "vary"), "Accept");
        reply_release(&reply);
    }
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        struct reply reply = ask(&harness, "GET", "/", json[i]);

        cr_expect_eq(reply.status, 200);
        cr_expect_str_eq(header_of(&reply, "content-type"), "application/json", "%s", json[i]);
        cr_expect_str_eq(header_of(&reply, "vary"), "Accept");
        cr_expect_str_eq(header_of(&reply, "content-security-policy"), "");
        reply_release(&reply);
    }
}

Test(http_page, head_has_the_headers_and_probe_listeners_have_no_page)
{
    struct reply reply = ask(&harness, "HEAD", "/", BROWSER);

    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-type"), "text/html; charset=utf-8");
    cr_expect_str_neq(header_of(&reply, "content-security-policy"), "");
    reply_release(&reply);
    reply = ask_probe(&harness, "GET", "/");
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
    reply = ask(&harness, "GET", "/master", BROWSER); /* only `/` has one */
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/problem+json");
    reply_release(&reply);
}

/* ---- what may run ---- */

/* `'sha256-…'` of what stands between the tags. */
static void hash_between(const char *body, const char *open, const char *close, char out[80])
{
    const char *from = strstr(body, open), *to = from ? strstr(from, close) : NULL;
    unsigned char digest[EVP_MAX_MD_SIZE], base64[64];
    unsigned size = 0;

    cr_assert(from && to);
    from += strlen(open);
    cr_assert_eq(EVP_Digest(from, (size_t)(to - from), digest, &size, EVP_sha256(), NULL), 1);
    cr_assert_eq(size, 32);
    EVP_EncodeBlock(base64, digest, (int)size);
    snprintf(out, 80, "'sha256-%s'", (const char *)base64);
}

Test(http_page, policy_allows_its_own_style_and_script_only)
{
    struct reply reply = page();
    char style[80], script[80], expected[512], policy[512];

    snprintf(policy, sizeof(policy), "%s", header_of(&reply, "content-security-policy"));
    hash_between(reply.body, "<style>", "</style>", style);
    hash_between(reply.body, "<script>", "</script>", script);
    snprintf(
        expected, sizeof(expected),
        "default-src 'none'; script-src %s; style-src %s; img-src data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        script, style);
    cr_expect_str_eq(policy, expected);
    cr_expect_eq(count(reply.body, "<style"), 1);
    cr_expect_eq(count(reply.body, "<script"), 1);
    cr_expect_str_eq(header_of(&reply, "referrer-policy"), "no-referrer");
    cr_expect_str_eq(header_of(&reply, "x-content-type-options"), "nosniff");
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(&reply, "etag"), "");
    reply_release(&reply);
}

Test(http_page, nothing_comes_from_elsewhere)
{
    struct reply reply = page();
    static const char *const never[] = {
        " style=",        " onclick=", " onload=", "innerHTML", "outerHTML", "insertAdjacent",
        "document.write", "eval(",     "https://", "src=\"",    "@import",   "url("};

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        cr_expect_not(strstr(reply.body, never[i]), "%s", never[i]);
    }
    /* no address but the name of SVG's namespace */
    cr_expect_eq(count(reply.body, "http://"), count(reply.body, "http://www.w3.org/2000/svg"));
    reply_release(&reply);
}

/* ---- without JavaScript ---- */

Test(http_page, before_the_first_snapshot)
{
    struct reply reply = page();

    cr_expect(
        strstr(reply.body, "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
    EXPECT_HAS(text_in(&reply), "unknown: no master is known: the daemon has just started\n");
    reply_release(&reply);
}

Test(http_page, shows_the_present_state)
{
    struct snapshot_master *master = make_master("mymaster");
    struct reply reply, status;
    const char *text, *end;

    add_replicas(master, 2);
    master->has_previous = true;
    master->previous = make_address("10.0.0.11:6379");
    master->replicas[1].healthy = false;
    master->replicas[1].lag_bytes = -1;
    master->sentinels[2].agrees = false;
    master->sentinels[2].says = make_address("10.0.0.11:6379");
    master->sentinels[2].config_epoch = 2;
    master->agreeing = 2;
    know(make_snapshot(master, NULL, NULL));
    reply = page();
    text = text_in(&reply);
    EXPECT_HAS(text, "ok: mymaster is 10.0.0.12:6379, ");
    EXPECT_HAS(text, ", named by 2 of 3 Sentinels\n");
    EXPECT_HAS(text, "since 2026-11-22T12:00:00.123Z, before that 10.0.0.11:6379");
    EXPECT_HAS(text, "! sentinel 10.0.2.3:26379  says 10.0.0.11:6379  epoch 2");
    EXPECT_HAS(text, "  healthy  lag 100 bytes\n");
    EXPECT_HAS(text, "  unhealthy (");
    /* it is what /status says, but for the time that the daemon is up */
    status = get(&harness, "/status?format=text");
    end = strstr(text, ", up ");
    cr_assert_not_null(end);
    cr_expect_arr_eq(text, status.body, (size_t)(end - text));
    reply_release(&status);
    reply_release(&reply);
}

Test(http_page, says_what_is_out_of_service_and_why)
{
    struct snapshot_master *down = make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct reply reply;
    const char *text;

    know(make_snapshot(make_master("a"), down,
                       make_master_in("c", MASTER_UNKNOWN, REASON_UNKNOWN_NAME)));
    reply = page();
    text = text_in(&reply);
    EXPECT_HAS(text, "not ok: 1 of 3 masters served; not: b (down), c (unknown)\n");
    EXPECT_HAS(text, "\n! b  down  redis_unreachable\n");
    EXPECT_HAS(text, "\n! c  unknown  unknown_name\n");
    reply_release(&reply);
}

Test(http_page, whatever_has_a_name_is_text)
{
    static const char evil[] = "</pre></noscript><script>alert(1)</script>\"'&\xff\x01";
    struct snapshot_master *master = make_master_in(evil, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    struct reply reply;
    const char *text;

    free(master->detail);
    master->detail = mem_strdup("</p><img src=x onerror=alert(2)>");
    master->sentinels[0].reachable = false;
    snprintf(master->sentinels[0].error_text, sizeof(master->sentinels[0].error_text), "</td>\"");
    snprintf(master->address.host, sizeof(master->address.host), "<u>");
    know(make_snapshot(master, NULL, NULL));
    reply = page();
    cr_expect_eq(count(reply.body, "<script"), 1);
    cr_expect_eq(count(reply.body, "</noscript>"), 2);
    text = text_in(&reply);
    EXPECT_HAS(text, "&lt;/pre&gt;&lt;/noscript&gt;&lt;script&gt;alert(1)&lt;/script&gt;\"'&amp;"
                     "\xef\xbf\xbd?");
    EXPECT_HAS(text, "&lt;/p&gt;&lt;img src=x onerror=alert(2)&gt;");
    EXPECT_HAS(text, "&lt;/td&gt;\"");
    EXPECT_HAS(text, "&lt;u&gt;:6379");
    cr_expect_not(strchr(text, '<'), "%s", text);
    reply_release(&reply);
}

Test(http_page, a_silent_watcher_is_said)
{
    struct reply reply;

    know(make_snapshot(make_master("mymaster"), NULL, NULL));
    reply = page();
    cr_expect_not(strstr(text_in(&reply), "no sign of life"));
    reply_release(&reply);
    snapshot_unref(harness.status_of);
    harness.status_of = NULL;
    reply = page();
    EXPECT_HAS(text_in(&reply), "watcher_stalled: no sign of life for ");
    reply_release(&reply);
}

Test(http_page, a_thousand_masters_make_no_endless_page)
{
    struct snapshot *snapshot = snapshot_new(1000);
    struct reply reply;

    for (size_t i = 0; i < 1000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "m%04zu", i);
        snapshot->masters[i] = make_master(name);
    }
    snapshot->n_masters = 1000;
    know(snapshot);
    reply = page();
    cr_expect_lt(reply.size, 1500000, "%zu", reply.size);
    EXPECT_HAS(text_in(&reply), "ok: 1000 of 1000 masters served\n");
    reply_release(&reply);
}
