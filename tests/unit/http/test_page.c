/*
 * The status page: who gets it, that nothing in it runs but its own script, and that whatever has a
 * name is text in it.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "fixture.h"
#include "http/render/html.h"
#include "http/render/page.h"

#define BROWSER \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"

static struct harness harness;

static void start(void)
{
    harness_init(&harness);
    harness_start(&harness);
}

static void stop(void)
{
    harness_release(&harness);
}

TestSuite(http_page, .init = start, .fini = stop, .timeout = 30);

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

/* What the server made for this request: the page without its style and script. */
static const char *state_of(const struct reply *reply)
{
    const char *at = strstr(reply->body, "</style>");
    char *end = strstr(reply->body, "<script>");

    cr_assert(at && end && at < end);
    *end = '\0';
    return at;
}

#define EXPECT_HAS(reply, text) cr_expect(strstr((reply).body, (text)), "lacks %s", (text))

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

/* ---- what is in it ---- */

Test(http_page, before_the_first_snapshot)
{
    struct reply reply = page();

    EXPECT_HAS(reply, "No master is known.");
    EXPECT_HAS(reply, "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>");
    reply_release(&reply);
}

Test(http_page, shows_the_present_state)
{
    struct snapshot_master *master = make_master("mymaster");
    struct reply reply;

    add_replicas(master, 2);
    master->has_previous = true;
    master->previous = make_address("10.0.0.11:6379");
    master->replicas[1].healthy = false;
    master->replicas[1].lag_bytes = -1;
    master->sentinels[2].agrees = false;
    master->sentinels[2].says = make_address("10.0.0.11:6379");
    master->sentinels[2].config_epoch = 2;
    master->agreeing = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = page();
    (void)state_of(&reply);
    EXPECT_HAS(reply, "data-mood=\"good\">mymaster is at 10.0.0.12:6379.</p>");
    EXPECT_HAS(reply, "<p class=\"address\">10.0.0.12<wbr>:6379</p>");
    EXPECT_HAS(reply, "<time datetime=\"2026-11-22T12:00:00.123Z\">2026-11-22 12:00:00 UTC</time>");
    EXPECT_HAS(reply, "<dt>Previous</dt><dd><span class=\"mono\">10.0.0.11<wbr>:6379</span>");
    EXPECT_HAS(
        reply,
        "2 of 3 Sentinels agree</span> · <span class=\"bad\">1 disagrees</span> · 1 of 2 replicas healthy");
    EXPECT_HAS(reply, "<strong class=\"mono bad\">≠ 10.0.0.11<wbr>:6379</strong>");
    EXPECT_HAS(reply, "<td class=\"number\">100 B</td>");
    EXPECT_HAS(reply, "<td class=\"number\">unknown</td>");
    EXPECT_HAS(reply, "None since this daemon started.");
    reply_release(&reply);
}

Test(http_page, says_what_is_out_of_service_and_why)
{
    struct snapshot_master *down = make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct reply reply;

    harness_post(&harness, make_snapshot(make_master("a"), down,
                                         make_master_in("c", MASTER_UNKNOWN, REASON_UNKNOWN_NAME)));
    reply = page();
    EXPECT_HAS(reply, "data-mood=\"bad\">2 of 3 masters are out of service: b (down) …</p>");
    EXPECT_HAS(reply, "redis unreachable: 10.0.0.12:6379 refused twice");
    EXPECT_HAS(reply, "<p class=\"address gone\">10.0.0.12<wbr>:6379</p>");
    EXPECT_HAS(reply, "<p class=\"address gone\">—</p>");
    /* never resolved: it may have replicas */
    EXPECT_HAS(reply, "<p class=\"none\">Not known.</p>");
    EXPECT_HAS(reply, "a<span class=\"tag\">default</span>");
    reply_release(&reply);
}

Test(http_page, whatever_has_a_name_is_text)
{
    static const char evil[] = "<script>alert(1)</script>\"'&\xff\x01";
    struct snapshot_master *master = make_master_in(evil, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    struct reply reply;
    const char *state;

    free(master->detail);
    master->detail = mem_strdup("</p><img src=x onerror=alert(2)>");
    snprintf(master->sentinels[0].error_code, sizeof(master->sentinels[0].error_code), "<b>");
    snprintf(master->sentinels[0].error_text, sizeof(master->sentinels[0].error_text), "</td>\"");
    snprintf(master->sentinels[1].master_flags, sizeof(master->sentinels[1].master_flags),
             "master,<i>");
    snprintf(master->address.host, sizeof(master->address.host), "<u>");
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = page();
    cr_expect_eq(count(reply.body, "<script"), 1);
    state = state_of(&reply);
    cr_expect(
        strstr(state,
               "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\xef\xbf\xbd\xef\xbf\xbd"),
        "%s", state);
    cr_expect(strstr(state, "&lt;/p&gt;&lt;img src=x onerror=alert(2)&gt;"));
    cr_expect(strstr(state, "&lt;b&gt;: &lt;/td&gt;&quot;"));
    cr_expect(strstr(state, "sees the master as &lt;i&gt;"));
    cr_expect(strstr(state, "&lt;u&gt;<wbr>:6379"));
    cr_expect_not(strstr(state, "<img") || strstr(state, "<b>") || strstr(state, "<i>") ||
                  strstr(state, "<u>"));
    reply_release(&reply);
}

Test(http_page, a_silent_watcher_is_said)
{
    struct reply reply;

    harness_post(&harness, make_snapshot(make_master("mymaster"), NULL, NULL));
    reply = page();
    cr_expect_not(strstr(state_of(&reply), "no sign of life"));
    reply_release(&reply);
    atomic_store(&harness.pulses[0].valid_until_boot_ms, 1);
    reply = page();
    EXPECT_HAS(reply, "the thread that watches gave no sign of life for");
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
    harness_post(&harness, snapshot);
    reply = page();
    cr_expect_lt(reply.size, 1500000, "%zu", reply.size);
    EXPECT_HAS(reply, "All 1000 masters are in service.");
    cr_expect_eq(count(state_of(&reply), "<article"), 1000);
    cr_expect_eq(count(reply.body, "<details>"), PAGE_CARDS_FULL);
    reply_release(&reply);
}

/* ---- parts ---- */

Test(http_page_parts, failovers_are_to_scale)
{
    struct html html = {0};
    json_t *entry = json_loads(
        "{\"name\":\"<m>\",\"from\":\"10.0.0.1:1\",\"to\":\"10.0.0.2:2\",\"config_epoch\":4,"
        "\"leader\":\"10.0.0.9:26379\",\"kind\":\"crash\",\"outcome\":\"switched\",\"reason\":null,"
        "\"began\":\"2026-11-22T12:00:00.000Z\",\"ended\":\"2026-11-22T12:00:03.000Z\","
        "\"phases\":[{\"phase\":\"suspected\",\"ms\":0},{\"phase\":\"sdown\",\"ms\":1000},"
        "{\"phase\":\"published\",\"ms\":2000},{\"phase\":\"finished\",\"ms\":3000}],"
        "\"unavailable_ms\":3000}",
        0, NULL);

    cr_assert_not_null(entry);
    page_failover(&html, entry, 3000);
    /*
     * from a second before the first phase, when the old master last said so, to the end: four
     * seconds
     */
    cr_expect(
        strstr(html.text, "<rect class=\"p-suspected\" x=\"250.00\" y=\"0\" width=\"250.00\""),
        "%s", html.text);
    cr_expect(strstr(html.text, "<rect class=\"p-sdown\" x=\"500.00\" y=\"0\" width=\"250.00\""));
    cr_expect(
        strstr(html.text, "<rect class=\"p-published\" x=\"750.00\" y=\"0\" width=\"250.00\""));
    cr_expect(strstr(html.text, "<rect class=\"gap\" x=\"0.00\" y=\"28\" width=\"750.00\""));
    cr_expect(strstr(html.text, "last good answer"));
    cr_expect(strstr(html.text, "4.00 s"));
    cr_expect(strstr(html.text, "no master for 3.00 s"));
    cr_expect(strstr(html.text, "&lt;m&gt; <span class=\"move\">10.0.0.1:1 → 10.0.0.2:2</span>"));
    cr_expect_eq(count(html.text, "<li>"), 4);
    free(html.text);
    json_decref(entry);
}

Test(http_page_parts, a_running_failover_and_one_without_phases)
{
    struct html html = {0};
    json_t *entry = json_loads(
        "{\"name\":\"m\",\"from\":null,\"to\":null,\"config_epoch\":null,\"leader\":null,"
        "\"kind\":\"unknown\",\"outcome\":\"running\",\"reason\":null,"
        "\"began\":\"2026-11-22T12:00:00.000Z\",\"ended\":null,\"phases\":[],\"unavailable_ms\":null}",
        0, NULL);

    page_failover(&html, entry, 90000);
    cr_expect(strstr(html.text, "? → …"), "%s", html.text);
    cr_expect(strstr(html.text, "1 min 30 s so far"));
    cr_expect_not(strstr(html.text, "class=\"gap\""));
    page_failover(&html, entry, -5); /* the clock was set back */
    free(html.text);
    json_decref(entry);
}

Test(http_page_parts, html_escapes)
{
    struct html html = {0};

    html_text(&html, "a<b>&\"'\n\t\x7f");
    html_text(&html, NULL);
    html_text(&html, "");
    html_format(&html, "<%d>", 7);
    html_raw(&html, "<br>");
    cr_expect_str_eq(html.text, "a&lt;b&gt;&amp;&quot;&#39;\n\t\xef\xbf\xbd&lt;7&gt;<br>");
    cr_expect_eq(html.len, strlen(html.text));
    free(html.text);
}
