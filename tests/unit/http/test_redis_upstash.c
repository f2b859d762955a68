/* What clients of Upstash send beside commands: formats, sync tokens, PUT, slashes, queries. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "http/routes/sync_token.h"
#include "redis_fixture.h"

TestSuite(http_upstash, .init = start_commands, .fini = stop_commands, .timeout = 30);

#define RESP2 "Upstash-Response-Format: resp2\r\n"
#define BASE64 "Upstash-Encoding: base64\r\n"

/* ---- RESP2 ---- */

static void expect_bytes(struct reply reply, int status, const char *bytes)
{
    cr_expect_eq(reply.status, status, "%d", reply.status);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/octet-stream");
    cr_expect_eq(reply.size, strlen(bytes));
    cr_expect_str_eq(reply.body, bytes);
    reply_release(&reply);
}

Test(http_upstash, resp2_is_what_redis_says)
{
    expect_bytes(request("POST", "/redis", RESP2, "[\"GET\",\"k\"]"), 200, "$10\r\nvalue of k\r\n");
    expect_bytes(request("POST", "/redis", RESP2, "[\"SET\",\"k\",1]"), 200, "+OK\r\n");
    expect_bytes(request("GET", "/redis/get/none", RESP2, NULL), 200, "$-1\r\n");
    expect_bytes(request("GET", "/replica/redis/get/number", RESP2, NULL), 200,
                 ":9007199254740993\r\n");
    expect_bytes(request("GET", "/redis/args/a/b", "upstash-response-format: RESP2\r\n", NULL), 200,
                 "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    expect_bytes(request("POST", "/redis", RESP2, "[\"FAIL\"]"), 400, "-ERR it failed\r\n");
    expect_json(request("GET", "/redis/get/k", "Upstash-Response-Format: json\r\n", NULL), 200,
                "{\"result\":\"value of k\"}\n");
}

Test(http_upstash, resp2_of_several_is_one_behind_the_other)
{
    static const char begins[] = "$10\r\nvalue of k\r\n-ERR it failed\r\n-NOPERM this daemon";
    struct reply reply = request("POST", "/redis/pipeline", RESP2,
                                 "[[\"GET\",\"k\"],[\"FAIL\"],[\"CONFIG\"],[\"GET\",\"none\"],[]]");

    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/octet-stream");
    cr_expect_eq(strncmp(reply.body, begins, strlen(begins)), 0, "%s", reply.body);
    cr_expect_not_null(strstr(reply.body, "\r\n$-1\r\n-BADREQUEST command 5: "), "%s", reply.body);
    reply_release(&reply);
    expect_json(request("POST", "/redis/multi-exec", RESP2, "[[\"GET\",\"k\"]]"), 200,
                "[{\"result\":\"value of k\"}]\n");
}

/* An error is one line, whatever a caller calls a command. */
Test(http_upstash, resp2_can_not_be_forged)
{
    const char *const lists[] = {"[[\"x|\\r\\n+OK\\r\\n$1\\r\\na\"],[\"PING\"]]",
                                 "[[\"x\\r\\n+OK\"],[\"PING\"]]",
                                 "[[\"config\",\"\\n+OK\\n\"],[\"PING\"]]"};

    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        struct reply reply = request("POST", "/redis/pipeline", RESP2, lists[i]);
        const char *end = strpbrk(reply.body, "\r\n");

        cr_assert_eq(reply.body[0], '-', "%s", reply.body);
        cr_assert_not_null(end);
        cr_expect(strncmp(end, "\r\n+OK", 5) != 0 && end[0] == '\r', "%s", reply.body);
        end = strpbrk(end + 2, "\r\n");
        cr_assert_not_null(end);
        cr_expect_str_eq(end, "\r\n", "two lines: %s", reply.body);
        reply_release(&reply);
    }
}

/* What is not Redis' is a problem, as without. */
Test(http_upstash, refusals_are_problems)
{
    cr_expect_str_eq(expect_error(request("POST", "/redis", RESP2, "[\"CONFIG\"]"), 403,
                                  "command-denied", "NOPERM "),
                     "not_sent");
    expect_error(request("POST", "/redis", RESP2, "["), 400, "bad-command", "BADREQUEST ");
    expect_error(request("POST", "/redis", "Upstash-Response-Format: resp3\r\n", "[\"GET\",\"k\"]"),
                 400, "bad-command",
                 "BADREQUEST Upstash-Response-Format is \"resp3\"; it takes json or resp2");
    expect_error(request("GET", "/redis/get/k", "Upstash-Response-Format: \xff\r\n", NULL), 400,
                 "bad-command", "BADREQUEST Upstash-Response-Format is \"?\"; it takes");
    expect_error(request("POST", "/redis/multi-exec", RESP2 BASE64, "[[\"GET\",\"k\"]]"), 400,
                 "bad-command", "BADREQUEST Upstash-Response-Format: resp2 has no base64");
    expect_error(request("GET", "/redis/get/k", RESP2 "Upstash-Response-Format: json\r\n", NULL),
                 400, "bad-command",
                 "BADREQUEST there are two headers Upstash-Response-Format, and one is taken");
    expect_error(request("GET", "/redis/get/k", BASE64 "upstash-encoding: none\r\n", NULL), 400,
                 "bad-command",
                 "BADREQUEST there are two headers Upstash-Encoding, and one is taken");
    expect_error(request("GET", "/redis/subscribe/c", RESP2, NULL), 400, "bad-command",
                 "BADREQUEST a stream has no RESP2: ask without Upstash-Response-Format");
    expect_error(request("GET", "/redis/subscribe/c", RESP2 BASE64, NULL), 400, "bad-command",
                 "BADREQUEST a stream has no RESP2");
}

/* ---- sync tokens ---- */

static struct reply ask_with(const char *method, const char *target, const char *token,
                             const char *body, char out[64])
{
    char line[128];
    struct reply reply;

    snprintf(line, sizeof(line), "Upstash-Sync-Token: %s\r\n", token ? token : "");
    reply = request(method, target, token ? line : NULL, body);
    snprintf(out, 64, "%s", header_of(&reply, "upstash-sync-token"));
    return reply;
}

/* @param token NULL: no header. @return the one that came back, in `out`; "" none. */
static const char *token_of(const char *target, const char *token, const char *body, char out[64])
{
    struct reply reply = ask_with("POST", target, token, body, out);

    cr_expect_lt(reply.status, 500);
    reply_release(&reply);
    return out;
}

Test(http_upstash, a_write_is_answered_with_a_token)
{
    static const char set[] = "[\"SET\",\"k\",1]", get[] = "[\"GET\",\"k\"]";
    char a[64], b[64], c[64];

    cr_expect_str_eq(token_of("/redis", NULL, get, a), "");
    cr_expect_str_eq(token_of("/redis", "", get, a), "");
    cr_expect(sync_token_is(token_of("/redis", NULL, set, a)), "%s", a);
    cr_expect(sync_token_is(token_of("/redis", "", set, b)), "%s", b);
    cr_expect(sync_token_is(token_of("/redis", b, set, c)), "%s", c);
    cr_expect_str_neq(a, b);
    cr_expect_str_neq(b, c);
    cr_expect_str_eq(token_of("/redis", c, get, a), c);
    cr_expect(
        sync_token_is(token_of("/redis/pipeline", NULL, "[[\"GET\",\"k\"],[\"SET\",\"k\"]]", a)));
    cr_expect(sync_token_is(token_of("/redis/multi-exec", NULL, "[[\"SET\",\"k\",1]]", a)));
    cr_expect(sync_token_is(token_of("/redis", NULL, "[\"FAIL\"]", a)), "it may have written");
    cr_expect_str_eq(token_of("/redis", NULL, "[\"CONFIG\"]", a), "");
}

Test(http_upstash, tokens_differ_by_write_and_worker)
{
    char made[3][SYNC_TOKEN_SIZE];

    sync_token_make(7, 0, made[0]);
    sync_token_make(8, 0, made[1]);
    sync_token_make(7, 63, made[2]);
    cr_expect_str_eq(made[0], "w00000000000001c0");
    cr_expect_str_eq(made[1], "w0000000000000200");
    cr_expect_str_eq(made[2], "w00000000000001ff");
    cr_expect(sync_token_is(sync_token_make(UINT64_MAX, SIZE_MAX, made[0])));
    cr_expect_not(sync_token_is(NULL));
}

Test(http_upstash, what_is_no_token_of_ours_is_ignored)
{
    static const char *const others[] = {"my-new-sync-token", "w0123456789abcde",
                                         "w0123456789abcdef0", "w0123456789ABCDEF", "W"};
    char token[64];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_expect_str_eq(token_of("/redis", others[i], "[\"GET\",\"k\"]", token), "", "%s",
                         others[i]);
    }
}

/* ---- methods and paths ---- */

Test(http_upstash, put_is_post)
{
    expect_json(request("PUT", "/redis", NULL, "[\"SET\",\"k\",1]"), 200, "{\"result\":\"OK\"}\n");
    expect_json(request("PUT", "/redis/pipeline", NULL, "[[\"GET\",\"k\"]]"), 200,
                "[{\"result\":\"value of k\"}]\n");
    expect_json(request("PUT", "/redis/args/x?EX=1", NULL, "body"), 200,
                "{\"result\":[\"x\",\"body\",\"EX\",\"1\"]}\n");
    expect_error(request("PUT", "/redis", NULL, NULL), 400, "bad-command", "BADREQUEST ");
}

Test(http_upstash, a_last_slash)
{
    expect_post("/redis/", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post("/redis/pipeline/", "[[\"GET\",\"k\"]]", "[{\"result\":\"value of k\"}]\n");
    expect_post("/masters/mymaster/redis//multi-exec", "[[\"GET\",\"k\"]]",
                "[{\"result\":\"value of k\"}]\n");
    expect_json(request("GET", "/redis//args/a/", NULL, NULL), 200, "{\"result\":[\"a\"]}\n");
    expect_json(request("GET", "/redis/args/a//", NULL, NULL), 200, "{\"result\":[\"a\",\"\"]}\n");
}

/* ---- a query that has something behind it ---- */

Test(http_upstash, what_clients_put_behind_a_query)
{
    static const char list[] = "[[\"GET\",\"k\"]]", answer[] = "[{\"result\":\"value of k\"}]\n";

    expect_post("/redis?retry=always/pipeline", list, answer);
    expect_post("/redis?retry=always/multi-exec", list, answer);
    expect_post("/replica/redis?retry=always&_token=a/b==/pipeline", list, answer);
    expect_post("/redis/?_token=t&x/pipeline", list, answer);
    expect_post("/redis?/pipeline", list, answer);
    expect_post("/redis?retry=always/pipeline/", list, answer);
    expect_post("/redis?retry=always&_token=a/multi-exec/", list, answer);
    expect_post("/redis?retry=always/", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post("/redis?/", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post_error("/redis?retry=always//", "[\"GET\",\"k\"]", 400, "bad-parameter",
                      "BADREQUEST ");
    expect_post("/redis?retry=always", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post_error("/redis?retry=never/pipeline", list, 400, "bad-parameter", "BADREQUEST ");
    expect_post_error("/redis?retry=always/pipelines", list, 400, "bad-parameter", "BADREQUEST ");
    expect_post_error("/redis?retry=always%2Fpipeline", list, 400, "bad-parameter", "BADREQUEST ");
    /* of a path the query is arguments, whatever they say */
    expect_json(request("GET", "/redis/args?a=b/pipeline", NULL, NULL), 200,
                "{\"result\":[\"a\",\"b/pipeline\"]}\n");
}

Test(http_upstash, a_write_by_get_is_told_to_use_post)
{
    expect_error(
        request("GET", "/redis/set/k/v", NULL, NULL), 403, "command-denied",
        "NOPERM this daemon does not run 'set' for you: GET runs read-only commands only, use POST");
    expect_error(
        request("GET", "/replica/redis/set/k/v", NULL, NULL), 403, "command-denied",
        "NOPERM this daemon does not run 'set' for you: replicas run read-only commands only");
}
