/* Who may run commands, on which master, and how long that is waited for. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "redis_fixture.h"

TestSuite(http_commands_odd, .init = prepare_commands, .fini = stop_commands, .timeout = 30);

/* ---- who may ---- */

Test(http_commands_odd, tokens)
{
    static const char get_k[] = "[\"GET\",\"k\"]", set_k[] = "[\"SET\",\"k\",\"v\"]";

    harness.config.redis_api = REDIS_API_TOKEN;
    harness.config.tokens = tokens = make_secret("new\nold\n");
    harness.config.read_only_tokens = read_only_tokens = make_secret("reader");
    begin_commands();
    expect_error(request("POST", "/redis", NULL, get_k), 401, "no-token", "NOAUTH ");
    expect_error(request("POST", "/redis", "Authorization: Basic x\r\n", get_k), 401, "no-token",
                 "NOAUTH ");
    expect_error(request("POST", "/redis", "Authorization: Bearer ne\r\n", get_k), 401,
                 "wrong-token", "NOAUTH ");
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 401, "no-token", "NOAUTH ");
    expect_error(request("GET", "/masters/nope/redis/get/k", NULL, NULL), 401, "no-token",
                 "NOAUTH ");
    expect_json(request("POST", "/redis", "Authorization: Bearer new\r\n", set_k), 200,
                "{\"result\":\"OK\"}\n");
    expect_json(request("POST", "/redis", "authorization: bearer old\r\n", set_k), 200,
                "{\"result\":\"OK\"}\n");
    expect_json(request("POST", "/redis", "Authorization: Bearer reader\r\n", get_k), 200,
                "{\"result\":\"value of k\"}\n");
    expect_error(request("POST", "/redis", "Authorization: Bearer reader\r\n", set_k), 403,
                 "command-denied", "NOPERM ");
    expect_json(
        request("POST", "/redis/pipeline", "Authorization: Bearer reader\r\n",
                "[[\"GET\",\"k\"],[\"SET\",\"k\",\"v\"]]"),
        200,
        "[{\"result\":\"value of k\"},{\"error\":\"NOPERM this daemon does not run 'set' for you: the token "
        "is read-only\",\"outcome\":\"not_sent\"}]\n");
}

/* Bytes behind a NUL are as much of a token as those before it. */
Test(http_commands_odd, a_token_has_no_nul)
{
    harness.config.redis_api = REDIS_API_TOKEN;
    harness.config.tokens = tokens = make_secret("new");
    begin_commands();
    expect_error(request("GET", "/redis/get/k?_token=new%00", NULL, NULL), 401, "no-token",
                 "NOAUTH ");
    expect_error(request("GET", "/redis/get/k?_token=new%00more", NULL, NULL), 401, "no-token",
                 "NOAUTH ");
    expect_json(request("GET", "/redis/get/k?_token=new", NULL, NULL), 200,
                "{\"result\":\"value of k\"}\n");
}

Test(http_commands, what_names_a_page_is_there_once)
{
    expect_error(request("GET", "/redis/get/k",
                         "Origin: http://localhost\r\norigin: http://example.com\r\n", NULL),
                 400, "bad-command", "BADREQUEST there are two headers Origin");
    expect_error(request("GET", "/redis/get/k",
                         "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n", NULL),
                 400, "bad-command", "BADREQUEST there are two headers Sec-Fetch-Site");
    expect_json(request("GET", "/redis/get/k",
                        "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n", NULL),
                200, "{\"result\":\"value of k\"}\n");
}

Test(http_commands, loopback_keeps_pages_out)
{
    expect_error(request("GET", "/redis/get/k", "Origin: http://example.com\r\n", NULL), 403,
                 "forbidden", "NOPERM ");
    expect_error(request("GET", "/redis/get/k", "Sec-Fetch-Site: cross-site\r\n", NULL), 403,
                 "forbidden", "NOPERM ");
    expect_json(request("GET", "/redis/get/k", "Authorization: Bearer whatever\r\n", NULL), 200,
                "{\"result\":\"value of k\"}\n");
}

/* ---- who listens ---- */

/* @return the connection, when its head and what confirms it have come. */
static int listen_to_c(void)
{
    int fd = dial(&harness, LISTEN_ALL);
    char text[2048] = "";
    size_t size = 0;

    send_request(fd, "GET", "/redis/subscribe/c", NULL, NULL);
    while (!strstr(text, "data: subscribe,c,1\n\n")) {
        ssize_t n = receive(fd, text + size, sizeof(text) - 1 - size);

        cr_assert_gt(n, 0, "%s", text);
        size += (size_t)n;
        text[size] = '\0';
    }
    return fd;
}

/*
 * A channel that is confirmed already is confirmed to the next one at the end of the same turn,
 * behind the worker's hook. Nothing else happens so often that five in a row were quick by chance.
 */
Test(http_commands_odd, who_comes_second_listens_at_once)
{
    int fds[25], in_a_row = 0;
    size_t n = 0;

    begin_commands();
    fds[n++] = listen_to_c();
    while (in_a_row < 5) {
        int64_t began_ms = clock_boot_ms();

        cr_assert_lt(n, sizeof(fds) / sizeof(*fds), "heads come late");
        fds[n++] = listen_to_c();
        in_a_row = clock_boot_ms() - began_ms < 100 ? in_a_row + 1 : 0;
    }
    while (n > 0) {
        close(fds[--n]);
    }
}

/* ---- which master ---- */

Test(http_commands_odd, which_master)
{
    pool.command_timeout_ms = 2000;
    harness_start(&harness);
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 503, "not-sent", "NOMASTER ");
    cr_expect_str_eq(expect_error(request("GET", "/masters/a/redis/get/k", NULL, NULL), 503,
                                  "not-sent", "NOMASTER "),
                     "not_sent");
    harness_post(&harness, make_several(make_deployment("a"), make_deployment("b")));
    wait_for_status("/masters/b", 200);
    expect_error(request("GET", "/redis/get/k", NULL, NULL), 409, "several-masters", "BADREQUEST ");
    expect_error(request("GET", "/masters/c/redis/get/k", NULL, NULL), 404, "unknown-master",
                 "NOMASTER ");
    expect_json(request("GET", "/masters/b/redis/get/k", NULL, NULL), 200,
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
        expect_json(reply, 200, expected);
    }
    for (int i = 0; i < MANY; i++) { /* all at once */
        char target[64];

        snprintf(target, sizeof(target), "/masters/a/redis/get/%03d", i);
        send_request(fds[i], "GET", target, NULL, NULL);
    }
    for (int i = 0; i < MANY; i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "{\"result\":\"value of %03d\"}\n", i);
        expect_json(read_reply(fds[i], true), 200, expected);
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
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}

Test(http_commands_odd, no_more_than_max_pending_wait)
{
    pool.max_pending = 0;
    harness_start(&harness);
    harness_post(&harness,
                 make_snapshot(make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                               NULL, NULL));
    cr_expect_str_eq(
        expect_post_error("/redis", "[\"GET\",\"k\"]", 503, "too-many-commands", "NOTSENT "),
        "not_sent");
}

Test(http_commands_odd, off_is_an_unknown_path)
{
    struct reply reply;

    harness.config.pool = NULL;
    begin_commands();
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
    begin_commands();
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
        expect_json(read_reply(fds[i], true), 200, "{\"result\":\"OK\"}\n");
        send_request(fds[i], "POST", "/redis", NULL, "[\"GET\",\"k\"]");
        expect_json(read_reply(fds[i], true), 200, "{\"result\":\"value of k\"}\n");
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
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of a\"}\n");
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of b\"}\n");
    close(fd);
}

Test(http_commands, a_lost_write_is_unknown_and_the_caller_keeps_its_connection)
{
    int fd = dial(&harness, LISTEN_ALL);

    send_request(fd, "POST", "/redis", NULL, "[\"DROP\"]");
    cr_expect_str_eq(expect_error(read_reply(fd, true), 504, "outcome-unknown", "UNKNOWN "),
                     "unknown");
    send_request(fd, "POST", "/redis", NULL, "[\"GET\",\"k\"]");
    expect_json(read_reply(fd, true), 200, "{\"result\":\"value of k\"}\n");
    close(fd);
}

Test(http_commands, callers_that_leave_do_no_harm)
{
    expect_post("/redis", "[\"GET\",\"k\"]",
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
    expect_post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
}

static void prepare_again(void)
{
    stop_commands();
    prepare_commands();
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
    begin_commands();
    expect_json(request("GET", "/redis/get/k", "Authorization: Bearer first\r\n", NULL), 200,
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
    expect_post("/redis", "[\"GET\",\"k\"]", "{\"result\":\"value of k\"}\n");
    reply = get(&harness, "/status");
    cr_expect(
        strstr(
            reply.body,
            "\"waiting\":0,\"in_flight\":0,\"subscribers\":0,\"channels\":0,\"command_table\":true,\"closed\":null}"),
        "%s", reply.body);
    reply_release(&reply);
    reply = get(&harness, "/status?format=text");
    cr_expect(strstr(reply.body, "\n  commands  connections "), "%s", reply.body);
    reply_release(&reply);
}

Test(http_commands, they_are_counted_and_nothing_of_them_is_shown)
{
    struct reply reply;

    expect_post("/redis", "[\"SET\",\"secret-key\",\"secret-value\"]", "{\"result\":\"OK\"}\n");
    expect_post_error("/redis", "[\"CONFIG\",\"secret-key\"]", 403, "command-denied", "NOPERM ");
    expect_json(request("GET", "/redis/get/secret-key", NULL, NULL), 200,
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
