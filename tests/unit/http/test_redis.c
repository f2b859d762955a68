/* /redis and its kin: commands, paths, several at once, scans, bodies. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/memory.h"
#include "redis_fixture.h"

TestSuite(http_commands, .init = start_commands, .fini = stop_commands, .timeout = 30);

/* ---- single commands ---- */

Test(http_commands, a_command)
{
    struct address address = fake_redis_address(fake);
    char at[ADDRESS_TEXT_SIZE];
    struct reply reply = request("POST", "/redis", NULL, "[\"GET\",\"k\"]");

    cr_expect_str_eq(header_of(&reply, "x-bellwether-master"), address_format(&address, at));
    expect_json(reply, 200, "{\"result\":\"value of k\"}\n");
    expect_post("/redis", "[\"GET\",\"none\"]", "{\"result\":null}\n");
    expect_post("/redis", "[\"GET\",\"number\"]", "{\"result\":9007199254740993}\n");
    expect_post("/redis", "[\"SET\",\"k\",1,true]", "{\"result\":\"OK\"}\n");
    expect_post("/redis", "[\"ARGS\",1,-2.5,true,false,\"\"]",
                "{\"result\":[\"1\",\"-2.5\",\"true\",\"false\",\"\"]}\n");
    expect_post("/masters/mymaster/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post("/replica/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    expect_post("/masters/mymaster/replica/redis", "[\"GET\",\"k\"]",
                "{\"result\":\"value of k\"}\n");
    cr_expect_str_eq(
        expect_post_error("/redis", "[\"FAIL\"]", 400, "command-failed", "ERR it failed"), "");
}

Test(http_commands, base64_where_it_is_asked_for)
{
    expect_json(request("POST", "/redis", "Upstash-Encoding: base64\r\n", "[\"GET\",\"k\"]"), 200,
                "{\"result\":\"dmFsdWUgb2Ygaw==\"}\n");
    expect_json(request("POST", "/redis", "upstash-encoding: BASE64\r\n", "[\"SET\",\"k\"]"), 200,
                "{\"result\":\"OK\"}\n");
    expect_json(request("POST", "/redis", "Upstash-Encoding: hex\r\n", "[\"GET\",\"k\"]"), 200,
                "{\"result\":\"value of k\"}\n");
}

Test(http_commands, bad_bodies)
{
    static const char *const bodies[] = {
        "",           "x",     "{}",           "\"GET\"", "[]",
        "[\"\"]",     "[[1]]", "[\"GET\",[]]", "[null]",  "[\"GET\",1e]",
        "[\"GET\"] x"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        expect_post_error("/redis", bodies[i], 400, "bad-command", "BADREQUEST ");
    }
    expect_post_error("/redis/pipeline", "[]", 400, "bad-command", "BADREQUEST ");
    expect_post_error("/redis/pipeline", "[\"GET\"", 400, "bad-command", "BADREQUEST ");
    expect_post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"GET\",null]]", 400,
                      "bad-command", "BADREQUEST command 2");
    expect_error(request("POST", "/redis", NULL, NULL), 400, "bad-command", "BADREQUEST ");
}

Test(http_commands, what_may_not_be_run)
{
    static const char *const bodies[] = {
        "[\"CONFIG\",\"GET\",\"*\"]", "[\"MULTI\"]", "[\"SELECT\",1]", "[\"HELLO\",3]",
        "[\"BLPOP\",\"k\",0]",        "[\"quit\"]"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        cr_expect_str_eq(expect_post_error("/redis", bodies[i], 403, "command-denied", "NOPERM "),
                         "not_sent");
    }
    expect_post_error("/replica/redis", "[\"SET\",\"k\",\"v\"]", 403, "command-denied", "NOPERM ");
    expect_error(request("GET", "/redis/set/k/v", NULL, NULL), 403, "command-denied", "NOPERM ");
}

/* ---- paths ---- */

Test(http_commands, a_path)
{
    expect_json(request("GET", "/redis/get/k", NULL, NULL), 200, "{\"result\":\"value of k\"}\n");
    expect_json(
        request("GET", "/redis/args/a%2Fb/%C3%A9/a+b//x?EX=100&NX&E=&q=%26+%2B", NULL, NULL), 200,
        "{\"result\":[\"a/b\",\"\xc3\xa9\",\"a+b\",\"\",\"x\",\"EX\",\"100\",\"NX\",\"E\",\"\",\"q\",\"& +\"]}\n");
    expect_json(request("GET", "/redis/args/%00", NULL, NULL), 200, "{\"result\":[\"\\u0000\"]}\n");
    expect_json(request("GET", "/redis/args/x?retry=always&a=1", NULL, NULL), 200,
                "{\"result\":[\"x\",\"a\",\"1\"]}\n");
    expect_json(request("POST", "/redis/args/x?EX=1", NULL, "{\"a\":\"\"}"), 200,
                "{\"result\":[\"x\",\"{\\\"a\\\":\\\"\\\"}\",\"EX\",\"1\"]}\n");
    expect_json(request("POST", "/redis/args/x", NULL, ""), 200, "{\"result\":[\"x\"]}\n");
    expect_json(request("GET", "/masters/mymaster/replica/redis/get/k", NULL, NULL), 200,
                "{\"result\":\"value of k\"}\n");
    expect_error(request("GET", "/redis/", NULL, NULL), 405, "method-not-allowed", "BADREQUEST ");
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
    expect_json(request("GET", target, NULL, NULL), 200, expected);
}

Test(http_commands, head_and_options_and_405)
{
    struct reply reply = request("HEAD", "/redis/get/k", NULL, NULL);

    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-length"), "24");
    reply_release(&reply);
    reply = request("OPTIONS", "/redis/get/k", NULL, NULL);
    cr_expect_eq(reply.status, 204);
    cr_expect_str_eq(header_of(&reply, "allow"), "GET, HEAD, POST, PUT, OPTIONS");
    reply_release(&reply);
    reply = request("GET", "/redis", NULL, NULL);
    cr_expect_str_eq(header_of(&reply, "allow"), "POST, PUT, OPTIONS");
    expect_error(reply, 405, "method-not-allowed",
                 "BADREQUEST this route takes POST, PUT, OPTIONS");
    expect_error(request("DELETE", "/redis/get/k", NULL, NULL), 405, "method-not-allowed",
                 "BADREQUEST this route takes GET, HEAD, POST, PUT, OPTIONS");
    expect_error(request("GET", "/redis/g%00et/k", NULL, NULL), 403, "command-denied",
                 "NOPERM this daemon does not run 'g?et' for you: ");
    expect_error(request("GET", "/redis/pipeline", NULL, NULL), 405, "method-not-allowed",
                 "BADREQUEST ");
}

/* ---- several ---- */

Test(http_commands, a_pipeline_answers_for_each)
{
    expect_post(
        "/redis/pipeline",
        "[[\"SET\",\"k\",\"v\"],[\"FAIL\"],[\"GET\",\"k\"],[\"CONFIG\"],[\"GET\",null],[\"GET\",\"none\"]]",
        "[{\"result\":\"OK\"},{\"error\":\"ERR it failed\",\"outcome\":\"done\"},{\"result\":\"value of k\"},"
        "{\"error\":\"NOPERM this daemon does not run 'config' for you: -@admin\",\"outcome\":\"not_sent\"},"
        "{\"error\":\"BADREQUEST command 5, argument 1: null; it takes strings, numbers and booleans\","
        "\"outcome\":\"not_sent\"},{\"result\":null}]\n");
    expect_post("/masters/mymaster/replica/redis/pipeline", "[[\"GET\",\"k\"]]",
                "[{\"result\":\"value of k\"}]\n");
}

Test(http_commands, a_transaction_is_whole)
{
    expect_post("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]",
                "[{\"result\":\"OK\"},{\"result\":\"value of k\"}]\n");
    expect_post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"FAIL\"]]", 400,
                      "command-failed", "EXECABORT ");
    expect_post_error("/redis/multi-exec", "[[\"SET\",\"k\",\"v\"],[\"CONFIG\"]]", 403,
                      "command-denied", "NOPERM ");
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
    expect_json(request("GET", text, NULL, NULL), 200, "{\"result\":[\"0\",[\"0000005\"]]}\n");
    expect_json(request("GET", text, "Upstash-Encoding: base64\r\n", NULL), 200,
                "{\"result\":[\"MA==\",[\"MDAwMDAwNQ==\"]]}\n");
    snprintf(text, sizeof(text), "/replica/redis/scan/%llu", other);
    expect_json(request("GET", text, NULL, NULL), 200, "{\"result\":[\"0\",[\"0000005\"]]}\n");
    snprintf(text, sizeof(text), "/replica/redis/scan/%llu", cursor);
    cr_expect_str_eq(expect_error(request("GET", text, NULL, NULL), 409, "scan-lost", "SCANLOST "),
                     "not_sent");
    snprintf(text, sizeof(text), "[[\"GET\",\"k\"],[\"SCAN\",\"%llu\"]]", other);
    expect_post_error("/redis/multi-exec", text, 409, "scan-lost", "SCANLOST ");
    snprintf(text, sizeof(text), "[[\"GET\",\"k\"],[\"SCAN\",%llu],[\"SCAN\",%llu]]", cursor,
             other);
    expect_post(
        "/redis/pipeline", text,
        "[{\"result\":\"value of k\"},{\"result\":[\"0\",[\"0000005\"]]},{\"error\":\"SCANLOST the server that this "
        "cursor belongs to is not served any more: begin the scan again, with 0\",\"outcome\":\"not_sent\"}]\n");
    expect_post_error("/redis", "[\"SCAN\",\"-1\"]", 400, "bad-command", "ERR invalid cursor");
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
    expect_post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
}

/* ---- bodies ---- */

Test(http_commands, bodies_that_are_too_large)
{
    enum { MAX = 10000 };
    char *body = mem_new(MAX + 2, 1);
    int fd;

    memset(body, ' ', MAX + 1);
    memcpy(body, "[\"GET\",\"k\"]", 11);
    expect_post_error("/redis", body, 413, "body-too-large", "TOOBIG ");
    body[MAX] = '\0';
    expect_post("/redis", body, "{\"result\":\"value of k\"}\n");
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
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
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
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}
