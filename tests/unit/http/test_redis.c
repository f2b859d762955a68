/* /redis and its kin: a real worker with a real pool, before a Redis server of few words. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/buffer.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/secret.h"
#include "bellwether/commands/command_table.h"
#include "bellwether/commands/pool.h"
#include "fake_redis.h"
#include "fixture.h"

static struct harness harness;
static struct fake_redis *fake;
static struct pool_config pool;
static struct pool_login login;
static struct secret *tokens, *read_only_tokens;

static struct secret *make_secret(const char *value)
{
    char error[128];

    return secret_new(NULL, value, error, sizeof(error));
}

static void prepare(void)
{
    char error[256];

    fake = fake_redis_start();
    harness_init(&harness);
    login = (struct pool_login){.password = make_secret(NULL)};
    pool = (struct pool_config){
        .size = 2,
        .command_timeout_ms = 5000,
        .connect_timeout_ms = 2000,
        .max_pending = 100,
        .max_reply_bytes = 8 << 20,
        .replica_max_lag_bytes = -1,
        .policy = policy_parse("+@all -@admin", error, sizeof(error)),
        .logins = &login,
        .n_logins = 1,
    };
    harness.config.max_body_bytes = 10000;
    harness.config.redis_api = REDIS_API_LOOPBACK;
    harness.config.pool = &pool;
}

/* The fake as the master, and as its only replica. */
static struct snapshot_master *make_deployment(const char *name)
{
    struct snapshot_master *master = make_master(name);

    add_replicas(master, 1);
    master->address = master->replicas[0].address = fake_redis_address(fake);
    return master;
}

static void begin(void)
{
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_deployment("mymaster"), NULL, NULL));
}

static void start(void)
{
    prepare();
    begin();
}

static void stop(void)
{
    fake_redis_release(fake);
    harness_release(&harness);
    fake_redis_stop(fake);
    policy_free((struct policy *)(uintptr_t)pool.policy);
    secret_free((struct secret *)(uintptr_t)login.password);
    secret_free(tokens);
    secret_free(read_only_tokens);
}

TestSuite(http_commands, .init = start, .fini = stop, .timeout = 30);
TestSuite(http_commands_odd, .init = prepare, .fini = stop, .timeout = 30);

/* ---- asking ---- */

/*
 * @param more header lines, each with \r\n, or NULL. @param body NULL: none, and no Content-Length.
 */
static void send_request(int fd, const char *method, const char *target, const char *more,
                         const char *body)
{
    size_t size = strlen(target) + (more ? strlen(more) : 0) + (body ? strlen(body) : 0) + 200;
    char *text = mem_new(size, 1), length[64] = "";

    if (body) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }
    snprintf(text, size, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s", method, target, length,
             more ? more : "", body ? body : "");
    send_text(fd, text);
    free(text);
}

static struct reply request(const char *method, const char *target, const char *more,
                            const char *body)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_request(fd, method, target, more, body);
    reply = read_reply(fd, strcmp(method, "HEAD") != 0);
    close(fd);
    return reply;
}

static void expect_body(struct reply reply, int status, const char *body)
{
    cr_expect_eq(reply.status, status, "%d: %s", reply.status, reply.body);
    cr_expect_str_eq(reply.body, body);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/json");
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(&reply, "x-content-type-options"), "nosniff");
    reply_release(&reply);
}

/*
 * An error in both forms: `error` begins with `words`, the problem's type ends with `slug`. @return
 * its `outcome`, static.
 */
static const char *expect_error(struct reply reply, int status, const char *slug, const char *words)
{
    static char outcome[32];
    json_t *json = json_loads(reply.body, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error")),
               *type = json_string_value(json_object_get(json, "type"));

    cr_assert_eq(reply.status, status, "%d: %s", reply.status, reply.body);
    cr_assert_not_null(json, "%s", reply.body);
    cr_assert(error && type, "%s", reply.body);
    cr_expect_eq(strncmp(error, words, strlen(words)), 0, "%s: %s", words, error);
    cr_expect_eq(strncmp(reply.body, "{\"error\":", 9), 0, "%s", reply.body);
    cr_expect_str_eq(strrchr(type, ':') + 1, slug);
    cr_expect_eq(json_integer_value(json_object_get(json, "status")), status);
    cr_expect(json_is_string(json_object_get(json, "title")) &&
              json_is_string(json_object_get(json, "detail")));
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/json");
    cr_expect_eq(*header_of(&reply, "retry-after") != '\0', status == 503);
    cr_expect_eq(*header_of(&reply, "www-authenticate") != '\0', status == 401);
    snprintf(outcome, sizeof(outcome), "%s",
             json_object_get(json, "outcome") ? json_string_value(json_object_get(json, "outcome"))
                                              : "");
    json_decref(json);
    reply_release(&reply);
    return outcome;
}

static void post(const char *target, const char *body, const char *answer)
{
    expect_body(request("POST", target, NULL, body), 200, answer);
}

static const char *post_error(const char *target, const char *body, int status, const char *slug,
                              const char *words)
{
    return expect_error(request("POST", target, NULL, body), status, slug, words);
}

/* Until so many commands hang in the fake. */
static void wait_hanging(size_t n)
{
    for (int i = 0; i < 2500 && fake_redis_hanging(fake) < n; i++) {
        usleep(2000);
    }
    cr_assert_geq(fake_redis_hanging(fake), n);
}

/* Until /metrics has this line. */
static void wait_for_figure(const char *line)
{
    for (int i = 0; i < 2500; i++) {
        struct reply reply = get(&harness, "/metrics");
        bool there = strstr(reply.body, line) != NULL;

        reply_release(&reply);
        if (there) {
            return;
        }
        usleep(2000);
    }
    cr_assert_fail("no line %s", line);
}

/* Until the worker has taken in what makes it answer so. */
static void wait_for_status(const char *target, int status)
{
    for (int i = 0; i < 2500; i++) {
        struct reply reply = get(&harness, target);
        bool there = reply.status == status;

        reply_release(&reply);
        if (there) {
            return;
        }
        usleep(2000);
    }
    cr_assert_fail("%s never gave %d", target, status);
}

/* ---- single commands ---- */

Test(http_commands, a_command)
{
    struct address address = fake_redis_address(fake);
    char at[ADDRESS_TEXT_SIZE];
    struct reply reply = request("POST", "/redis", NULL, "[\"GET\",\"k\"]");

    cr_expect_str_eq(header_of(&reply, "x-bellwether-master"), address_format(&address, at));
    expect_body(reply, 200, "{\"result\":\"value of k\"}\n");
    post("/redis", "[\"GET\",\"none\"]", "{\"result\":null}\n");
    post("/redis", "[\"GET\",\"number\"]", "{\"result\":9007199254740993}\n");
    post("/redis", "[\"SET\",\"k\",1,true]", "{\"result\":\"OK\"}\n");
    post("/redis", "[\"ARGS\",1,-2.5,true,false,\"\"]",
         "{\"result\":[\"1\",\"-2.5\",\"true\",\"false\",\"\"]}\n");
    post("/masters/mymaster/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    post("/replica/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    post("/masters/mymaster/replica/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    cr_expect_str_eq(post_error("/redis", "[\"FAIL\"]", 400, "command-failed", "ERR it failed"),
                     "");
}

Test(http_commands, base64_where_it_is_asked_for)
{
    expect_body(request("POST", "/redis", "Upstash-Encoding: base64\r\n", "[\"GET\",\"k\"]"), 200,
                "{\"result\":\"dmFsdWUgb2Ygaw==\"}\n");
    expect_body(request("POST", "/redis", "upstash-encoding: BASE64\r\n", "[\"SET\",\"k\"]"), 200,
                "{\"result\":\"OK\"}\n");
    expect_body(request("POST", "/redis", "Upstash-Encoding: hex\r\n", "[\"GET\",\"k\"]"), 200,
                "{\"result\":\"value of k\"}\n");
}

Test(http_commands, bad_bodies)
{
    static const char *const bodies[] = {
        "",           "x",     "{}",           "\"GET\"", "[]",
        "[\"\"]",     "[[1]]", "[\"GET\",[]]", "[null]",  "[\"GET\",1e]",
        "[\"GET\"] x"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        post_error("/redis", bodies[i], 400, "bad-command", "BADREQUEST ");
    }
    post_error("/redis/pipeline", "[]", 400, "bad-command", "BADREQUEST ");
    post_error("/redis/pipeline", "[\"GET\"", 400, "bad-command", "BADREQUEST ");
    post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"GET\",null]]", 400, "bad-command",
               "BADREQUEST command 2");
    expect_error(request("POST", "/redis", NULL, NULL), 400, "bad-command", "BADREQUEST ");
}

Test(http_commands, what_may_not_be_run)
{
    static const char *const bodies[] = {
        "[\"CONFIG\",\"GET\",\"*\"]", "[\"MULTI\"]", "[\"SELECT\",1]", "[\"HELLO\",3]",
        "[\"BLPOP\",\"k\",0]",        "[\"quit\"]"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        cr_expect_str_eq(post_error("/redis", bodies[i], 403, "command-denied", "NOPERM "),
                         "not_sent");
    }
    post_error("/replica/redis", "[\"SET\",\"k\",\"v\"]", 403, "command-denied", "NOPERM ");
    expect_error(request("GET", "/redis/set/k/v", NULL, NULL), 403, "command-denied", "NOPERM ");
}

/* ---- paths ---- */

Test(http_commands, a_path)
{
    expect_body(request("GET", "/redis/get/k", NULL, NULL), 200, "{\"result\":\"value of k\"}\n");
    expect_body(
        request("GET", "/redis/args/a%2Fb/%C3%A9/a+b//x?EX=100&NX&E=&q=%26+%2B", NULL, NULL), 200,
        "{\"result\":[\"a/b\",\"\xc3\xa9\",\"a+b\",\"\",\"x\",\"EX\",\"100\",\"NX\",\"E\",\"\",\"q\",\"& +\"]}\n");
    expect_body(request("GET", "/redis/args/%00", NULL, NULL), 200, "{\"result\":[\"\\u0000\"]}\n");
    expect_body(request("GET", "/redis/args/x?retry=always&a=1", NULL, NULL), 200,
                "{\"result\":[\"x\",\"a\",\"1\"]}\n");
    expect_body(request("POST", "/redis/args/x?EX=1", NULL, "{\"a\":\"\"}"), 200,
                "{\"result\":[\"x\",\"{\\\"a\\\":\\\"\\\"}\",\"EX\",\"1\"]}\n");
    expect_body(request("POST", "/redis/args/x", NULL, ""), 200, "{\"result\":[\"x\"]}\n");
    expect_body(request("GET", "/masters/mymaster/replica/redis/get/k", NULL, NULL), 200,
                "{\"result\":\"value of k\"}\n");
    expect_error(request("GET", "/redis/", NULL, NULL), 400, "bad-command", "BADREQUEST ");
    expect_error(request("GET", "/redis/get/%zz", NULL, NULL), 400, "bad-command", "BADREQUEST ");
    expect_error(request("GET", "/redis/get/k?a=%z", NULL, NULL), 400, "bad-command",
                 "BADREQUEST ");
    expect_error(request("GET", "/masters/%zz/redis/get/k", NULL, NULL), 400, "bad-command",
                 "BADREQUEST ");
    expect_error(request("GET", "/redis/get/k?retry=never", NULL, NULL), 400, "bad-parameter",
                 "BADREQUEST ");
    expect_error(request("POST", "/redis?retry", NULL, "[\"GET\",\"k\"]"), 400, "bad-parameter",
                 "BADREQUEST ");
}

Test(http_commands, a_path_of_seven_kilobytes)
{
    enum { LONG = 7000 };
    char target[LONG + 32] = "/redis/args/", expected[LONG + 32] = "{\"result\":[\"";

    memset(target + strlen(target), 'k', LONG);
    memset(expected + strlen(expected), 'k', LONG);
    memcpy(expected + strlen(expected), "\"]}\n", 5);
    expect_body(request("GET", target, NULL, NULL), 200, expected);
}

Test(http_commands, head_and_options_and_405)
{
    struct reply reply = request("HEAD", "/redis/get/k", NULL, NULL);

    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-length"), "24");
    reply_release(&reply);
    reply = request("OPTIONS", "/redis/get/k", NULL, NULL);
    cr_expect_eq(reply.status, 204);
    cr_expect_str_eq(header_of(&reply, "allow"), "GET, HEAD, POST, OPTIONS");
    reply_release(&reply);
    reply = request("GET", "/redis", NULL, NULL);
    cr_expect_str_eq(header_of(&reply, "allow"), "POST, OPTIONS");
    expect_error(reply, 405, "method-not-allowed", "BADREQUEST ");
    expect_error(request("DELETE", "/redis/get/k", NULL, NULL), 405, "method-not-allowed",
                 "BADREQUEST ");
    expect_error(request("GET", "/redis/pipeline", NULL, NULL), 405, "method-not-allowed",
                 "BADREQUEST ");
}

/* ---- several ---- */

Test(http_commands, a_pipeline_answers_for_each)
{
    post(
        "/redis/pipeline",
        "[[\"SET\",\"k\",\"v\"],[\"FAIL\"],[\"GET\",\"k\"],[\"CONFIG\"],[\"GET\",null],[\"GET\",\"none\"]]",
        "[{\"result\":\"OK\"},{\"error\":\"ERR it failed\",\"outcome\":\"done\"},{\"result\":\"value of k\"},"
        "{\"error\":\"NOPERM this daemon does not run 'config' for you: -@admin\",\"outcome\":\"not_sent\"},"
        "{\"error\":\"BADREQUEST command 5, argument 1: null; it takes strings, numbers and booleans\","
        "\"outcome\":\"not_sent\"},{\"result\":null}]\n");
    post("/masters/mymaster/replica/redis/pipeline", "[[\"GET\",\"k\"]]",
         "[{\"result\":\"value of k\"}]\n");
}

Test(http_commands, a_transaction_is_whole)
{
    post("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]",
         "[{\"result\":\"OK\"},{\"result\":\"value of k\"}]\n");
    post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"FAIL\"]]", 400, "command-failed",
               "EXECABORT ");
    post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"CONFIG\"]]", 403, "command-denied",
               "NOPERM ");
}

/* Cursor 5 as it is handed out. */
static unsigned long long begin_scan(const char *target)
{
    struct reply reply = request("GET", target, NULL, NULL);
    const char *before = "{\"result\":[\"";
    unsigned long long cursor;
    char *end;

    cr_assert_eq(strncmp(reply.body, before, strlen(before)), 0, "%s", reply.body);
    cursor = strtoull(reply.body + strlen(before), &end, 10);
    cr_expect_str_eq(end, "\",[\"a\"]]}\n");
    cr_expect_eq(cursor >> 20, 5);
    reply_release(&reply);
    return cursor;
}

Test(http_commands, a_scan_goes_on_where_it_began_or_not_at_all)
{
    unsigned long long cursor = begin_scan("/redis/scan/0"),
                       other = begin_scan("/replica/redis/scan/0");
    char text[200];

    cr_expect_neq(cursor, other);
    snprintf(text, sizeof(text), "/redis/scan/%llu", cursor);
    expect_body(request("GET", text, NULL, NULL), 200, "{\"result\":[\"0\",[\"0000005\"]]}\n");
    expect_body(request("GET", text, "Upstash-Encoding: base64\r\n", NULL), 200,
                "{\"result\":[\"MA==\",[\"MDAwMDAwNQ==\"]]}\n");
    snprintf(text, sizeof(text), "/replica/redis/scan/%llu", other);
    expect_body(request("GET", text, NULL, NULL), 200, "{\"result\":[\"0\",[\"0000005\"]]}\n");
    snprintf(text, sizeof(text), "/replica/redis/scan/%llu", cursor);
    cr_expect_str_eq(expect_error(request("GET", text, NULL, NULL), 409, "scan-lost", "SCANLOST "),
                     "not_sent");
    snprintf(text, sizeof(text), "[[\"GET\",\"k\"],[\"SCAN\",\"%llu\"]]", other);
    post_error("/redis/multi-exec", text, 409, "scan-lost", "SCANLOST ");
    snprintf(text, sizeof(text), "[[\"GET\",\"k\"],[\"SCAN\",%llu],[\"SCAN\",%llu]]", cursor,
             other);
    post(
        "/redis/pipeline", text,
        "[{\"result\":\"value of k\"},{\"result\":[\"0\",[\"0000005\"]]},{\"error\":\"SCANLOST the server that this "
        "cursor belongs to is not served any more: begin the scan again, with 0\",\"outcome\":\"not_sent\"}]\n");
    post_error("/redis", "[\"SCAN\",\"-1\"]", 400, "bad-command", "ERR invalid cursor");
}

Test(http_commands, a_large_reply)
{
    struct reply reply = request("GET", "/redis/big/3000000", NULL, NULL);

    cr_expect_eq(reply.status, 200);
    cr_expect_eq(reply.size, 3000000 + strlen("{\"result\":\"\"}\n"));
    reply_release(&reply);
    cr_expect_str_eq(expect_error(request("GET", "/redis/big/9000000", NULL, NULL), 502,
                                  "reply-too-large", "TOOBIG "),
                     "done");
    post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
}

/* ---- bodies ---- */

Test(http_commands, bodies_that_are_too_large)
{
    enum { MAX = 10000 };
    char *body = mem_new(MAX + 2, 1);
    int fd;

    memset(body, ' ', MAX + 1);
    memcpy(body, "[\"GET\",\"k\"]", 11);
    post_error("/redis", body, 413, "body-too-large", "TOOBIG ");
    body[MAX] = '\0';
    post("/redis", body, "{\"result\":\"value of k\"}\n");
    expect_error(
        request("POST", "/redis", "Expect: 100-continue\r\nContent-Length: 20000\r\n", NULL), 413,
        "body-too-large", "TOOBIG ");
    fd = dial(&harness, LISTEN_ALL);
    send_text(fd, "POST /redis HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        send_text(fd, "2710\r\n"); /* 10000 */
        send_bytes(fd, body, MAX);
        send_text(fd, "\r\n");
    }
    send_text(fd, "0\r\n\r\n");
    expect_error(read_reply(fd, true), 413, "body-too-large", "TOOBIG ");
    send_request(fd, "POST", "/redis", NULL, "[\"GET\",\"k\"]"); /* the connection is still there */
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
    free(body);
}

Test(http_commands, chunked_and_in_pieces)
{
    static const char text[] =
        "POST /redis HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\n[\"G\r\n8\r\nET\",\"k\"]\r\n0\r\n\r\n";
    int fd = dial(&harness, LISTEN_ALL);

    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        send_bytes(fd, text + i, 1);
    }
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}

/* ---- who may ---- */

Test(http_commands_odd, tokens)
{
    static const char get_k[] = "[\"GET\",\"k\"]", set_k[] = "[\"SET\",\"k\",\"v\"]";

    harness.config.redis_api = REDIS_API_TOKEN;
    harness.config.tokens = tokens = make_secret("new\nold\n");
    harness.config.read_only_tokens = read_only_tokens = make_secret("reader");
    begin();
    expect_error(request("POST", "/redis", NULL, get_k), 401, "no-token", "NOAUTH ");
    expect_error(request("POST", "/redis", "Authorization: Basic x\r\n", get_k), 401, "no-token",
                 "NOAUTH ");
    expect_error(request("POST", "/redis", "Authorization: Bearer ne\r\n", get_k), 401,
                 "wrong-token", "NOAUTH ");
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 401, "no-token", "NOAUTH ");
    expect_error(request("GET", "/masters/nope/redis/get/k", NULL, NULL), 401, "no-token",
                 "NOAUTH ");
    expect_body(request("POST", "/redis", "Authorization: Bearer new\r\n", set_k), 200,
                "{\"result\":\"OK\"}\n");
    expect_body(request("POST", "/redis", "authorization: bearer old\r\n", set_k), 200,
                "{\"result\":\"OK\"}\n");
    expect_body(request("POST", "/redis", "Authorization: Bearer reader\r\n", get_k), 200,
                "{\"result\":\"value of k\"}\n");
    expect_error(request("POST", "/redis", "Authorization: Bearer reader\r\n", set_k), 403,
                 "command-denied", "NOPERM ");
    expect_body(
        request("POST", "/redis/pipeline", "Authorization: Bearer reader\r\n",
                "[[\"GET\",\"k\"],[\"SET\",\"k\",\"v\"]]"),
        200,
        "[{\"result\":\"value of k\"},{\"error\":\"NOPERM this daemon does not run 'set' for you: the token "
        "is read-only\",\"outcome\":\"not_sent\"}]\n");
}

Test(http_commands, loopback_keeps_pages_out)
{
    expect_error(request("GET", "/redis/get/k", "Origin: http://example.com\r\n", NULL), 403,
                 "forbidden", "NOPERM ");
    expect_error(request("GET", "/redis/get/k", "Sec-Fetch-Site: cross-site\r\n", NULL), 403,
                 "forbidden", "NOPERM ");
    expect_body(request("GET", "/redis/get/k", "Authorization: Bearer whatever\r\n", NULL), 200,
                "{\"result\":\"value of k\"}\n");
}

/* ---- which master ---- */

Test(http_commands_odd, which_master)
{
    struct snapshot *several;

    pool.command_timeout_ms = 200;
    harness_start(&harness);
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 503, "not-sent", "NOMASTER ");
    cr_expect_str_eq(expect_error(request("GET", "/masters/a/redis/get/k", NULL, NULL), 503,
                                  "not-sent", "NOMASTER "),
                     "not_sent");
    several = make_snapshot(make_deployment("a"), make_deployment("b"), NULL);
    free(several->default_name);
    several->default_name = NULL;
    several->ambiguous_default = true;
    harness_post(&harness, several);
    wait_for_status("/masters/b", 200);
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 409, "several-masters", "BADREQUEST ");
    expect_error(request("GET", "/masters/c/redis/get/k", NULL, NULL), 404, "unknown-master",
                 "NOMASTER ");
    expect_body(request("GET", "/masters/b/redis/get/k", NULL, NULL), 200,
                "{\"result\":\"value of k\"}\n");
}

/*
 * Small answers share responses: each names its own node and has its own body, at once and in turn.
 */
Test(http_commands_odd, answers_of_one_size_are_not_mixed_up)
{
    enum { MANY = 20, ROUNDS = 5 };
    struct fake_redis *second = fake_redis_start();
    struct snapshot_master *a = make_deployment("a"), *b = make_deployment("b");
    int fds[MANY];

    b->address = fake_redis_address(second);
    harness_start(&harness);
    harness_post(&harness, make_snapshot(a, b, NULL));
    wait_for_status("/masters/b", 200);
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(&harness, LISTEN_ALL);
    }
    for (int round = 0; round < ROUNDS * MANY; round++) {
        int fd = fds[round % MANY];
        struct address address = fake_redis_address(round / 7 % 2 ? second : fake);
        char target[64], expected[64], at[ADDRESS_TEXT_SIZE];
        struct reply reply;

        snprintf(target, sizeof(target), "/masters/%c/redis/get/%03d", round / 7 % 2 ? 'b' : 'a',
                 round);
        snprintf(expected, sizeof(expected), "{\"result\":\"value of %03d\"}\n", round);
        send_request(fd, "GET", target, NULL, NULL);
        reply = read_reply(fd, true);
        cr_expect_str_eq(header_of(&reply, "x-bellwether-master"), address_format(&address, at));
        expect_body(reply, 200, expected);
    }
    for (int i = 0; i < MANY; i++) { /* all at once */
        char target[64];

        snprintf(target, sizeof(target), "/masters/a/redis/get/%03d", i);
        send_request(fds[i], "GET", target, NULL, NULL);
    }
    for (int i = 0; i < MANY; i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "{\"result\":\"value of %03d\"}\n", i);
        expect_body(read_reply(fds[i], true), 200, expected);
        close(fds[i]);
    }
    fake_redis_stop(second);
}

Test(http_commands_odd, a_master_is_waited_for)
{
    int fd;

    harness_start(&harness);
    harness_post(&harness,
                 make_snapshot(make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                               NULL, NULL));
    fd = dial(&harness, LISTEN_ALL);
    send_request(fd, "POST", "/redis", NULL, "[\"GET\",\"k\"]");
    wait_for_figure("\nbellwether_pool_waiting 1\n");
    harness_post(&harness, make_snapshot(make_deployment("mymaster"), NULL, NULL));
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}

Test(http_commands_odd, no_more_than_max_pending_wait)
{
    pool.max_pending = 0;
    harness_start(&harness);
    harness_post(&harness,
                 make_snapshot(make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                               NULL, NULL));
    cr_expect_str_eq(post_error("/redis", "[\"GET\",\"k\"]", 503, "too-many-commands", "NOTSENT "),
                     "not_sent");
}

Test(http_commands_odd, off_is_an_unknown_path)
{
    struct reply reply;

    harness.config.pool = NULL;
    begin();
    reply = request("POST", "/redis", NULL, "[\"GET\",\"k\"]");
    cr_expect_eq(reply.status, 404);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/problem+json");
    reply_release(&reply);
    reply = get(&harness, "/metrics");
    cr_expect_null(strstr(reply.body, "bellwether_commands_total"));
    reply_release(&reply);
}

Test(http_commands_odd, other_scopes_have_no_commands)
{
    struct reply reply;

    harness.listens[LISTEN_ALL].scope = HTTP_SCOPE_DISCOVERY;
    begin();
    reply = request("GET", "/redis/get/k", NULL, NULL);
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
    reply = ask_probe(&harness, "GET", "/redis/get/k");
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
}

/* ---- waiting ---- */

Test(http_commands, others_are_served_while_one_hangs)
{
    enum { MANY = 20 };
    int fds[MANY];

    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(&harness, LISTEN_ALL);
        send_request(fds[i], "POST", "/redis", NULL, "[\"HANG\"]");
    }
    wait_hanging(1);
    for (int i = 0; i < 10; i++) {
        struct reply reply = get(&harness, "/master");

        cr_expect_eq(reply.status, 200);
        reply_release(&reply);
    }
    fake_redis_release(fake);
    for (int i = 0; i < MANY; i++) {
        expect_body(read_reply(fds[i], true), 200, "{\"result\":\"OK\"}\n");
        send_request(fds[i], "POST", "/redis", NULL, "[\"GET\",\"k\"]");
        expect_body(read_reply(fds[i], true), 200, "{\"result\":\"value of k\"}\n");
        close(fds[i]);
    }
}

Test(http_commands, several_requests_in_one_packet)
{
    static const char two[] =
        "POST /redis HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n[\"GET\",\"a\"]"
        "POST /redis HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n[\"GET\",\"b\"]";
    int fd = dial(&harness, LISTEN_ALL);

    send_text(fd, two);
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of a\"}\n");
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of b\"}\n");
    close(fd);
}

Test(http_commands, a_lost_write_is_unknown_and_the_caller_keeps_its_connection)
{
    int fd = dial(&harness, LISTEN_ALL);

    send_request(fd, "POST", "/redis", NULL, "[\"DROP\"]");
    cr_expect_str_eq(expect_error(read_reply(fd, true), 504, "outcome-unknown", "UNKNOWN "),
                     "unknown");
    send_request(fd, "POST", "/redis", NULL, "[\"GET\",\"k\"]");
    expect_body(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}

Test(http_commands, callers_that_leave_do_no_harm)
{
    post("/redis", "[\"GET\",\"k\"]",
         "{\"result\":\"value of k\"}\n"); /* a command need not wait from now on */
    for (int i = 0; i < 10; i++) {
        int fd = dial(&harness, LISTEN_ALL);

        send_request(fd, "POST", "/redis", NULL, "[\"HANG\"]");
        close(fd);
        fd = dial(&harness, LISTEN_ALL);
        send_text(fd,
                  "POST /redis HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n[\"GET");
        close(fd);
    }
    wait_hanging(1);
    fake_redis_release(fake);
    post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
}

static void prepare_again(void)
{
    stop();
    prepare();
}

/* @return how long the one took that was not sent; the other has more time. */
static int64_t end_with_commands(void)
{
    int sent, waits;
    int64_t began_ms, took_ms;

    pool.command_timeout_ms = 20000;
    harness_start(&harness);
    harness_post(&harness,
                 make_snapshot(make_master_in("bad", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                               make_deployment("good"), NULL));
    sent = dial(&harness, LISTEN_ALL);
    waits = dial(&harness, LISTEN_ALL);
    send_request(sent, "POST", "/masters/good/redis", NULL, "[\"HANG\"]");
    wait_hanging(1);
    send_request(waits, "POST", "/masters/bad/redis", NULL, "[\"GET\",\"k\"]");
    wait_for_figure("\nbellwether_pool_waiting 1\n");
    began_ms = clock_boot_ms();
    harness_news(&harness, MESSAGE_STOP);
    cr_expect_str_eq(expect_error(read_reply(waits, true), 503, "not-sent", "NOTSENT "),
                     "not_sent");
    took_ms = clock_boot_ms() - began_ms;
    cr_expect_str_eq(expect_error(read_reply(sent, true), 504, "outcome-unknown", "UNKNOWN "),
                     "unknown");
    cr_expect_lt(clock_boot_ms() - began_ms, 10000, "it waited for the command's deadline");
    close(sent);
    close(waits);
    return took_ms;
}

Test(http_commands_odd, the_end_answers_all)
{
    cr_expect(harness_is_within(900, end_with_commands, prepare_again));
}

/* ---- credentials ---- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* Until this token gives that status. */
static void reload(const char *token, int status)
{
    char header[64];
    int now = 0;

    snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", token);
    harness_news(&harness, MESSAGE_RELOAD);
    for (int i = 0; i < 2500 && now != status; i++) {
        struct reply reply = request("GET", "/redis/get/k", header, NULL);

        now = reply.status;
        reply_release(&reply);
    }
    cr_expect_eq(now, status, "%s: %d", token, now);
}

Test(http_commands_odd, tokens_are_read_again_when_told)
{
    char path[] = "/tmp/bellwether-tokens-XXXXXX", error[256];

    close(mkstemp(path));
    write_file(path, "first\n");
    harness.config.redis_api = REDIS_API_TOKEN;
    harness.config.tokens = tokens = secret_new(path, NULL, error, sizeof(error));
    begin();
    expect_body(request("GET", "/redis/get/k", "Authorization: Bearer first\r\n", NULL), 200,
                "{\"result\":\"value of k\"}\n");
    write_file(path, "first\nsecond\n");
    reload("second", 200);
    write_file(path, "second\n");
    reload("first", 401);
    unlink(path);
}

/* ---- figures ---- */

Test(http_commands, the_pool_is_in_status)
{
    struct reply reply;

    harness.status_of = make_snapshot(make_deployment("mymaster"), NULL, NULL);
    reply = get(&harness, "/status");
    cr_expect(strstr(reply.body, "\"pool\":null"), "%s", reply.body);
    reply_release(&reply);
    post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    reply = get(&harness, "/status");
    cr_expect(
        strstr(reply.body, "\"waiting\":0,\"in_flight\":0,\"command_table\":true,\"closed\":null}"),
        "%s", reply.body);
    reply_release(&reply);
    reply = get(&harness, "/status?format=text");
    cr_expect(strstr(reply.body, "\n  commands  connections "), "%s", reply.body);
    reply_release(&reply);
}

Test(http_commands, they_are_counted_and_nothing_of_them_is_shown)
{
    struct reply reply;

    post("/redis", "[\"SET\",\"secret-key\",\"secret-value\"]", "{\"result\":\"OK\"}\n");
    post_error("/redis", "[\"CONFIG\",\"secret-key\"]", 403, "command-denied", "NOPERM ");
    expect_body(request("GET", "/redis/get/secret-key", NULL, NULL), 200,
                "{\"result\":\"value of secret-key\"}\n");
    reply = get(&harness, "/metrics");
    cr_expect(strstr(reply.body, "\nbellwether_commands_total{outcome=\"done\"} 2\n"), "%s",
              reply.body);
    cr_expect(strstr(reply.body, "\nbellwether_commands_total{outcome=\"denied\"} 1\n"));
    cr_expect(strstr(reply.body, "\nbellwether_policy_refusals_total 1\n"));
    cr_expect(strstr(reply.body, "\nbellwether_pool_waiting 0\n"));
    cr_expect(strstr(reply.body, "\nbellwether_command_duration_seconds_count 3\n"));
    cr_expect(strstr(reply.body,
                     "http_requests_total{route=\"/redis\",method=\"POST\",code=\"200\"} 1\n"));
    cr_expect(strstr(reply.body,
                     "http_requests_total{route=\"/redis/{command}/{argument…}\",method=\"GET\","
                     "code=\"200\"} 1\n"));
    cr_expect_null(strstr(reply.body, "secret"));
    reply_release(&reply);
}

/* ---- memory ---- */

TestSuite(http_commands_memory, .init = prepare, .timeout = 30);

#define MIB ((size_t)1024 * 1024)
#define THREADS_KEEP ((size_t)4 * 4096) /* each a lump */

/* The worker is gone, and so is all that it held. */
static void end_memory(void)
{
    stop();
    cr_expect_leq(budget_used(), THREADS_KEEP, "%zu", budget_used());
}

static void wait_used_below(size_t bytes)
{
    for (int i = 0; i < 2500 && budget_used() >= bytes; i++) {
        usleep(2000);
    }
    cr_assert_lt(budget_used(), bytes);
}

static void expect_no_memory(struct reply reply)
{
    cr_expect_not_null(strstr(reply.body, "max-memory"), "%s", reply.body);
    cr_expect_str_eq(expect_error(reply, 503, "not-sent", "NOTSENT "), "not_sent");
}

Test(http_commands_memory, nothing_is_sent_when_there_is_none)
{
    budget_limit(MIB);
    begin();
    post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    budget_count((int64_t)MIB);
    expect_no_memory(request("POST", "/redis", NULL, "[\"SET\",\"k\",1]"));
    expect_no_memory(request("POST", "/redis/pipeline", NULL, "[[\"SET\",\"k\",1]]"));
    expect_no_memory(request("GET", "/redis/get/k", NULL, NULL));
    expect_no_memory(
        request("POST", "/redis/set/k", "Transfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n", NULL));
    wait_for_figure("\nbellwether_http_rejected_total{reason=\"memory\"} 4\n");
    wait_for_figure("\nbellwether_commands_total{outcome=\"done\"} 1\n");
    budget_count(-(int64_t)MIB);
    post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    end_memory();
}

/*
 * Of a body that will not fit nothing is kept, whether its length was said or not; the connection
 * stays.
 */
Test(http_commands_memory, a_body_that_does_not_fit)
{
    enum { SIZE = 3 << 20 };
    char *body = mem_new(SIZE + 1, 1), chunk[32];
    int fd;

    memset(body, 'x', SIZE);
    harness.config.max_body_bytes = 2 * SIZE;
    budget_limit(2 * MIB);
    begin();
    fd = dial(&harness, LISTEN_ALL);
    send_request(fd, "POST", "/redis/set/k", NULL, body);
    expect_no_memory(read_reply(fd, true));
    send_text(
        fd, "POST /redis/set/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    snprintf(chunk, sizeof(chunk), "%x\r\n", (unsigned)SIZE);
    send_text(fd, chunk);
    send_bytes(fd, body, SIZE);
    send_text(fd, "\r\n0\r\n\r\n");
    expect_no_memory(read_reply(fd, true));
    wait_used_below(MIB);
    send_request(fd, "POST", "/redis/set/k", NULL, "v");
    expect_body(read_reply(fd, true), 200, "{\"result\":\"OK\"}\n");
    close(fd);
    expect_no_memory(request("POST", "/redis/set/k",
                             "Expect: 100-continue\r\nContent-Length: 3000000\r\n", NULL));
    free(body);
    end_memory();
}

/* Its commands take more than it does itself. */
Test(http_commands_memory, many_commands_that_do_not_fit)
{
    struct buffer body = {0};

    harness.config.max_body_bytes = 1 << 20;
    budget_limit(4 * MIB);
    begin();
    buffer_add_text(&body, "[[\"GET\",\"k\"]");
    for (int i = 1; i < 5000; i++) {
        buffer_add_text(&body, ",[\"GET\",\"k\"]");
    }
    buffer_add(&body, "]", 2);
    expect_no_memory(request("POST", "/redis/pipeline", NULL, body.bytes));
    budget_limit(64 * MIB);
    struct reply reply = request("POST", "/redis/pipeline", NULL, body.bytes);
    cr_expect_eq(reply.status, 200);
    reply_release(&reply);
    buffer_release(&body);
    end_memory();
}

/* A caller that leaves in the middle of a body takes it along. */
Test(http_commands_memory, a_caller_that_leaves)
{
    char *body = mem_new(MIB + 1, 1);
    int fd;

    memset(body, 'x', MIB);
    harness.config.max_body_bytes = 8 << 20;
    begin();
    fd = dial(&harness, LISTEN_ALL);
    send_text(fd,
              "POST /redis/set/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n");
    send_bytes(fd, body, MIB);
    for (int i = 0; i < 2500 && budget_used() < 4000000; i++) {
        usleep(2000);
    }
    cr_expect_geq(budget_used(), 4000000);
    close(fd);
    wait_used_below(MIB);
    free(body);
    end_memory();
}

/*
 * Replies that wait for the last of their pipeline are bounded together; small ones always have a
 * place.
 */
static int hang_with_replies(void)
{
    int fd;

    budget_limit(24 * MIB);
    begin();
    budget_count(18 * (int64_t)MIB); /* so 3 MiB are left for what stays, and 3 for what is read */
    fd = dial(&harness, LISTEN_ALL);
    send_request(
        fd, "POST", "/redis/pipeline", NULL,
        "[[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],"
        "[\"BIG\",500000],[\"BIG\",500000],[\"BIG\",500000],[\"GET\",\"k\"],[\"HANG\"]]");
    wait_hanging(1);
    wait_for_figure("\nbellwether_pool_inflight 1\n"); /* the others are answered */
    return fd;
}

Test(http_commands_memory, replies_that_do_not_fit_together)
{
    struct reply reply;
    int fd = hang_with_replies();

    cr_expect(budget_used() > 18 * MIB + 1000000 && budget_used() < 24 * MIB, "%zu", budget_used());
    budget_count(-18 * (int64_t)MIB);
    fake_redis_release(fake);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_not_null(strstr(
        reply.body, "{\"error\":\"TOOBIG it has run, but there is no memory left for its reply"));
    cr_expect_not_null(strstr(
        reply.body, "\"outcome\":\"done\"},{\"result\":\"value of k\"},{\"result\":\"OK\"}]"));
    cr_expect(reply.size > 1000000 && reply.size < 3500000, "%zu", reply.size);
    reply_release(&reply);
    close(fd);
    wait_used_below(MIB);
    end_memory();
}

/* For a moment the list takes as much as its parts. */
Test(http_commands_memory, an_answer_that_does_not_fit)
{
    struct reply reply;
    int fd = hang_with_replies();

    fake_redis_release(fake);
    reply = read_reply(fd, true);
    cr_expect_eq(reply.status, 200);
    cr_expect_not_null(
        strstr(reply.body, "no memory left for the replies to this request together"));
    cr_expect_not_null(strstr(reply.body, "{\"result\":\"value of k\"},{\"result\":\"OK\"}]"));
    reply_release(&reply);
    close(fd);
    budget_count(-18 * (int64_t)MIB);
    wait_used_below(MIB);
    end_memory();
}

Test(http_commands_memory, the_worker_ends)
{
    int fd = hang_with_replies();

    budget_count(-18 * (int64_t)MIB);
    end_memory();
    close(fd);
}
