/*
 * One connection against a scripted peer: how it opens, what it says, how it ends, and that every
 * command and every connection ends exactly once, also when it is freed in the middle of a
 * callback.
 */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop/resolve.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "fake_peer.h"
#include "redis/connection_internal.h"

#define HELLO "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
#define HELLO_REPLY "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define PSUBSCRIBE "*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n"
#define PUSH_ACK ">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"
#define PUSH_SDOWN ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$6\r\n+sdown\r\n$4\r\nword\r\n"
#define NAMES_REPLY "*1\r\n$1\r\nx\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
/* A label is too long for DNS, so every resolver refuses it without asking anybody. */
#define UNRESOLVABLE "no-such-host-no-such-host-no-such-host-no-such-host-no-such-host-0.invalid"
#define GREET \
    {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, \
    { \
        PEER_SEND, HELLO_REPLY \
    }

enum moment { NEVER, IN_READY, IN_DONE, IN_LOST, IN_PUSH, IN_CLOSED };

struct probe {
    bool look_for_tls;
    struct loop *loop;
    struct redis_conn *conn;
    struct loop_timer *guard, *later;
    /* what to do */
    enum moment free_in, close_in, reopen_in, stop_in;
    bool subscribe;
    int commands; /* sent in `ready` */
    int64_t command_timeout_ms;
    int stop_after_pushes;
    struct address again; /* for reopen_in */
    /* what happened */
    int n_ready, n_closed, n_done, n_lost, n_push, n_acks;
    bool guard_fired, hello_was_error, order_wrong;
    enum redis_fail why, lost_why;
    char words[256], last_reply[128], channel[64];
    int64_t closed_after_ms, opened_ms;
};

static void act(struct probe *probe, enum moment moment)
{
    if (probe->close_in == moment) {
        redis_conn_close(probe->conn);
    }
    if (probe->free_in == moment) {
        redis_conn_free(probe->conn);
        probe->conn = NULL;
    }
    if (probe->reopen_in == moment) {
        probe->reopen_in = NEVER;
        redis_conn_open(probe->conn, &probe->again, NULL, NULL, 2000);
        return;
    }
    if (probe->free_in == moment || probe->close_in == moment || probe->stop_in == moment) {
        loop_timer_start(probe->later, 20); /* whatever wrongly follows still may */
    }
}

static void on_done(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;

    probe->n_done++;
    if (!reply) {
        probe->n_lost++;
        probe->lost_why = why;
        act(probe, IN_LOST);
        return;
    }
    if (reply->str) {
        snprintf(probe->last_reply, sizeof(probe->last_reply), "%s", reply->str);
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        probe->order_wrong |= reply->integer != probe->n_done;
    }
    act(probe, IN_DONE);
}

static void send_one(struct probe *probe)
{
    const char *argv[] = {"PING"};

    redis_conn_command(probe->conn, on_done, probe, probe->command_timeout_ms, 1, argv, NULL);
}

static void on_ready(void *data, const redisReply *hello)
{
    struct probe *probe = data;

    probe->n_ready++;
    probe->hello_was_error = hello->type == REDIS_REPLY_ERROR;
    cr_expect(redis_conn_is_ready(probe->conn));
    for (int i = 0; i < probe->commands; i++) {
        send_one(probe);
    }
    if (probe->subscribe) {
        redis_conn_subscribe(probe->conn);
    }
    if (probe->n_ready == 2) { /* opened again */
        loop_timer_start(probe->later, 20);
    }
    act(probe, IN_READY);
}

static void on_closed(void *data, enum redis_fail why, const char *words)
{
    struct probe *probe = data;

    probe->n_closed++;
    probe->why = why;
    snprintf(probe->words, sizeof(probe->words), "%s", words);
    probe->closed_after_ms = clock_boot_ms() - probe->opened_ms;
    if (probe->reopen_in == NEVER && probe->free_in != IN_CLOSED) {
        loop_timer_start(probe->later, 20);
    }
    act(probe, IN_CLOSED);
}

static void on_push(void *data, const redisReply *push)
{
    struct probe *probe = data;

    if (strcmp(push->element[0]->str, "psubscribe") == 0) {
        probe->n_acks++;
    } else {
        probe->n_push++;
        snprintf(probe->channel, sizeof(probe->channel), "%s", push->element[2]->str);
    }
    if (probe->stop_after_pushes > 0 && probe->n_push == probe->stop_after_pushes) {
        loop_timer_start(probe->later, 20);
    }
    act(probe, IN_PUSH);
}

static void on_guard(void *data)
{
    struct probe *probe = data;

    probe->guard_fired = true;
    loop_stop(probe->loop);
}

static void on_later(void *data)
{
    struct probe *probe = data;

    loop_stop(probe->loop);
}

static void probe_init(struct probe *probe)
{
    const struct redis_conn_hooks hooks = {.ready = on_ready, .closed = on_closed, .push = on_push};

    signal(SIGPIPE, SIG_IGN);
    probe->loop = loop_new();
    probe->conn = redis_conn_new(probe->loop, &hooks, probe);
    if (probe->look_for_tls) {
        redis_conn_look_for_tls(probe->conn);
    }
    probe->guard = loop_timer_new(probe->loop, on_guard, probe);
    probe->later = loop_timer_new(probe->loop, on_later, probe);
    loop_timer_start(probe->guard, 8000);
}

static void probe_open(struct probe *probe, const struct address *address, int64_t timeout_ms)
{
    probe->opened_ms = clock_boot_ms();
    redis_conn_open(probe->conn, address, NULL, NULL, timeout_ms);
    cr_expect_eq(probe->n_closed + probe->n_ready, 0, "told from inside redis_conn_open()");
}

static void probe_release(struct probe *probe)
{
    redis_conn_free(probe->conn);
    loop_timer_free(probe->guard);
    loop_timer_free(probe->later);
    loop_free(probe->loop);
}

/* Play `steps`, run until the probe stops, and check what holds for every story. */
static void play(struct probe *probe, const struct peer_step *steps, int64_t timeout_ms, char *seen,
                 size_t seen_size)
{
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    const char *trouble;

    cr_assert_not_null(peer);
    probe_init(probe);
    probe->again = *fake_peer_address(peer);
    probe_open(probe, fake_peer_address(peer), timeout_ms);
    loop_run(probe->loop);
    cr_expect_not(probe->guard_fired, "the story did not end");
    cr_expect_leq(probe->n_closed, 1 + (probe->again.port == 0));
    probe_release(probe);
    trouble = fake_peer_join(peer);
    cr_expect_null(trouble, "peer: %s", trouble ? trouble : "");
    if (seen) {
        snprintf(seen, seen_size, "%s", fake_peer_seen(peer));
    }
    fake_peer_free(peer);
}

static void expect_end(const struct probe *probe, enum redis_fail why, const char *word)
{
    cr_expect_eq(probe->n_closed, 1, "closed %d times", probe->n_closed);
    cr_expect_eq(probe->why, why, "%s: %s", redis_fail_text(probe->why), probe->words);
    cr_expect_not_null(strstr(probe->words, word), "words: %s", probe->words);
}

Test(redis_conn, refused)
{
    struct probe probe = {0};
    struct address nobody = fake_peer_dead_address();

    probe_init(&probe);
    probe_open(&probe, &nobody, 2000);
    loop_run(probe.loop);
    expect_end(&probe, REDIS_FAIL_REFUSED, "refused");
    cr_expect_lt(probe.closed_after_ms, 1000);
    probe_release(&probe);
}

Test(redis_conn, unreachable)
{
    struct probe probe = {0};
    struct address odd = {.host = "255.255.255.255", .port = 1}; /* broadcast: TCP can't go there */

    probe_init(&probe);
    probe_open(&probe, &odd, 2000);
    loop_run(probe.loop);
    expect_end(&probe, REDIS_FAIL_UNREACHABLE, "");
    probe_release(&probe);
}

Test(redis_conn, says_hello_and_is_ready)
{
    static const struct peer_step steps[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {.close_in = IN_READY};
    char seen[256];

    play(&probe, steps, 2000, seen, sizeof(seen));
    cr_expect_eq(probe.n_ready, 1);
    cr_expect_eq(probe.n_closed, 0, "closing it oneself is no news");
    cr_expect_str_eq(seen, HELLO);
}

static void check_auth(const char *username, const char *wire)
{
    const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                      {PEER_EXPECT, wire},
                                      {PEER_SEND, HELLO_REPLY},
                                      {PEER_WAIT, NULL},
                                      {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.close_in = IN_READY};
    char password[] = "s3cret word";

    probe_init(&probe);
    redis_conn_open(probe.conn, fake_peer_address(peer), username, password, 2000);
    memset(password, 'x', sizeof(password) - 1); /* borrowed for the call only */
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    cr_expect_str_eq(fake_peer_seen(peer), wire);
    fake_peer_free(peer);
}

Test(redis_conn, authenticates_inside_hello)
{
    check_auth("bob",
               "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$11\r\ns3cret word\r\n");
    check_auth(
        NULL,
        "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$11\r\ns3cret word\r\n");
}

static bool holds(const char *bytes, size_t size, const char *word)
{
    return memmem(bytes, size, word, strlen(word)) != NULL;
}

/* In HELLO, and in AUTH later: once they are on their way the buffer has no password any more. */
Test(redis_conn, passwords_do_not_stay_in_the_buffer)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_EXPECT,
         "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$11\r\ns3cret word\r\n"},
        {PEER_SEND, HELLO_REPLY},
        {PEER_EXPECT, "*2\r\n$4\r\nAUTH\r\n$7\r\nanother\r\n"},
        {PEER_SEND, "+OK\r\n"},
        {PEER_WAIT, NULL},
        {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.stop_in = IN_READY};
    const char *auth[] = {"AUTH", "another"};

    probe_init(&probe);
    redis_conn_open(probe.conn, fake_peer_address(peer), NULL, "s3cret word", 2000);
    loop_run(probe.loop);
    sds out = probe.conn->context->obuf;
    cr_expect_not(holds(out, sdsalloc(out), "s3cret"));
    cr_expect_null(probe.conn->hello);
    redis_conn_command(probe.conn, on_done, &probe, 1000, 2, auth, NULL);
    out = probe.conn->context->obuf;
    cr_expect(holds(out, sdsalloc(out), "another"), "not sent yet");
    probe.stop_in = IN_DONE;
    loop_run(probe.loop);
    cr_expect_str_eq(probe.last_reply, "OK");
    out = probe.conn->context->obuf;
    cr_expect_not(holds(out, sdsalloc(out), "another"));
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, hello_error_leaves_it_open)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_EXPECT, HELLO},
        {PEER_SEND, "-NOAUTH HELLO must be called with ...\r\n"},
        {PEER_EXPECT, PING},
        {PEER_SEND, "+PONG\r\n"},
        {PEER_WAIT, NULL},
        {PEER_END, NULL}};
    struct probe probe = {.commands = 1, .close_in = IN_DONE};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect(probe.hello_was_error);
    cr_expect_str_eq(probe.last_reply, "PONG");
}

Test(redis_conn, hello_unanswered_times_out)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {0};

    play(&probe, steps, 150, NULL, 0);
    expect_end(&probe, REDIS_FAIL_TIMEOUT, "HELLO");
    cr_expect_geq(probe.closed_after_ms, 150);
    cr_expect_lt(probe.closed_after_ms, 2000);
    cr_expect_eq(probe.n_ready, 0);
}

Test(redis_conn, command_unanswered_times_out)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 2, .command_timeout_ms = 100};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_TIMEOUT, "command");
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 2);
    cr_expect_eq(probe.lost_why, REDIS_FAIL_TIMEOUT);
    cr_expect_geq(probe.closed_after_ms, 100);
}

static void on_guard_short(void *data)
{
    struct probe *probe = data;

    cr_expect_eq(probe->n_closed, 0, "a command without a deadline was given one");
    loop_stop(probe->loop);
}

Test(redis_conn, without_deadline_waits)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.commands = 1};
    struct loop_timer *timer;

    probe_init(&probe);
    timer = loop_timer_new(probe.loop, on_guard_short, &probe);
    loop_timer_start(timer, 300);
    probe_open(&probe, fake_peer_address(peer), 100);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1);
    loop_timer_free(timer);
    probe_release(&probe);
    cr_expect_eq(probe.n_lost, 1);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* The earliest deadline counts, not the first command's; answers move it on. */
Test(redis_conn, deadline_of_a_later_command)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PING},
                                             {PEER_SEND, "+PONG\r\n"},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.commands = 1, .command_timeout_ms = 5000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_ready == 0) {
        loop_timer_start(probe.later, 1);
        loop_run(probe.loop);
    }
    probe.command_timeout_ms = 100;
    send_one(&probe);
    loop_run(probe.loop);
    expect_end(&probe, REDIS_FAIL_TIMEOUT, "command");
    cr_expect_lt(probe.closed_after_ms, 3000);
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 1);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* A stopped process finds its timers due and the answers waiting: those count. */
Test(redis_conn, answer_that_waited_while_we_slept_counts)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, "+PONG\r\n"}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.command_timeout_ms = 50};
    const struct timespec nap = {.tv_nsec = 200 * 1000 * 1000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_ready == 0) {
        loop_timer_start(probe.later, 1);
        loop_run(probe.loop);
    }
    send_one(&probe);
    conn_stream_ready(probe.conn, LOOP_WRITE); /* it leaves now */
    nanosleep(&nap, NULL);
    probe.stop_in = IN_DONE;
    loop_run(probe.loop);
    cr_expect_eq(probe.n_done, 1);
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_eq(probe.n_closed, 0, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, closed_before_hello)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct probe probe = {0};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
}

Test(redis_conn, closed_in_the_middle_of_a_reply)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PING},
                                             {PEER_SEND, "$100\r\nabc"},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {.commands = 2};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 2);
    cr_expect_eq(probe.lost_why, REDIS_FAIL_CLOSED);
}

Test(redis_conn, reset_while_waiting)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_RESET, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_CLOSED, "reset");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, end_of_file_while_idle_is_seen_at_once)
{
    static const struct peer_step steps[] = {GREET, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct probe probe = {0};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    cr_expect_eq(probe.n_ready, 1);
    cr_expect_lt(probe.closed_after_ms, 1500);
}

Test(redis_conn, answers_in_tls)
{
    static const struct peer_step alert[] = {{PEER_ACCEPT, NULL},
                                             {PEER_EXPECT, HELLO},
                                             {PEER_SEND, "\x15\x03\x01"},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {0};

    play(&probe, alert, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_TLS, "");
}

/* As OpenSSL does with what is no TLS. */
Test(redis_conn, closes_on_hello_and_speaks_tls)
{
    static const struct peer_step tls[] = {{PEER_ACCEPT, NULL},
                                           {PEER_EXPECT, HELLO},
                                           {PEER_CLOSE, NULL},
                                           {PEER_ACCEPT, NULL},
                                           {PEER_EXPECT, "\x16\x03\x01"},
                                           {PEER_SEND, "\x16\x03\x03"},
                                           {PEER_WAIT, NULL},
                                           {PEER_END, NULL}};
    struct probe probe = {.look_for_tls = true};

    play(&probe, tls, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_TLS, "");
}

Test(redis_conn, closes_on_hello_and_speaks_no_tls)
{
    static const struct peer_step closes[] = {{PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO},
                                              {PEER_CLOSE, NULL},  {PEER_ACCEPT, NULL},
                                              {PEER_CLOSE, NULL},  {PEER_END, NULL}};
    static const struct peer_step answers[] = {{PEER_ACCEPT, NULL},
                                               {PEER_EXPECT, HELLO},
                                               {PEER_CLOSE, NULL},
                                               {PEER_ACCEPT, NULL},
                                               {PEER_EXPECT, "\x16\x03\x01"},
                                               {PEER_SEND, "-ERR Protocol error\r\n"},
                                               {PEER_WAIT, NULL},
                                               {PEER_END, NULL}};
    struct probe probe = {.look_for_tls = true}, other = {.look_for_tls = true};

    play(&probe, closes, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    play(&other, answers, 2000, NULL, 0);
    expect_end(&other, REDIS_FAIL_CLOSED, "end of file");
}

/* An error that is said as the connection is accepted is heard, though it ends at once. */
Test(redis_conn, error_said_right_before_the_end)
{
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                             {PEER_SEND, "-ERR max number of clients reached\r\n"},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {.look_for_tls = true};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_ready, 1);
    cr_expect(probe.hello_was_error);
    cr_expect_eq(probe.why, REDIS_FAIL_CLOSED);
}

static void check_protocol(const char *greeting, const char *bytes)
{
    const struct peer_step steps[] = {{PEER_ACCEPT, NULL},   {PEER_EXPECT, HELLO},
                                      {PEER_SEND, greeting}, {PEER_SEND, bytes},
                                      {PEER_WAIT, NULL},     {PEER_END, NULL}};
    struct probe probe = {.subscribe = true};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_closed, 1, "for %s", bytes);
    cr_expect_eq(probe.why, REDIS_FAIL_PROTOCOL, "for %s: %s", bytes, probe.words);
    cr_expect_eq(probe.n_push, 0);
}

Test(redis_conn, garbage)
{
    check_protocol("HTTP/1.1 400 Bad Request\r\n\r\n", "");
    check_protocol("\r\n", "");
    check_protocol("$-5\r\n", "");
    check_protocol("*99999999999\r\n", "");
    check_protocol(PUSH_SDOWN, "");
    check_protocol(HELLO_REPLY, "!!!\r\n");
}

/* The first three crash hiredis' own asynchronous layer. */
Test(redis_conn, what_a_subscriber_may_not_be_told)
{
    check_protocol(HELLO_REPLY PUSH_ACK, ">1\r\n$10\r\npsubscribe\r\n");
    check_protocol(HELLO_REPLY PUSH_ACK, PUSH_ACK);
    check_protocol(HELLO_REPLY, ">1\r\n$8\r\npmessage\r\n");
    check_protocol(HELLO_REPLY PUSH_ACK, ">0\r\n");
    check_protocol(HELLO_REPLY PUSH_ACK, ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nx\r\n_\r\n");
    check_protocol(HELLO_REPLY PUSH_ACK, "+OK\r\n");
    check_protocol(HELLO_REPLY, "+OK\r\n");
    check_protocol(HELLO_REPLY PUSH_ACK, "-ERR max number of clients reached\r\n");
}

Test(redis_conn, a_nil_push_is_no_answer)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, ">-1\r\n"}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_PROTOCOL, "malformed push");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, reply_without_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_PROTOCOL, "16 MiB");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, commands_of_one_turn_leave_in_one_write)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PING},
                                             {PEER_SEND, ":1\r\n:2\r\n"},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.commands = 2, .stop_in = IN_DONE};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_done, 2);
    cr_expect_not(probe.order_wrong);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    cr_expect_str_eq(fake_peer_last_read(peer), PING PING);
    fake_peer_free(peer);
}

Test(redis_conn, many_commands_in_order)
{
    enum { MANY = 100 };
    static char replies[MANY * 16], pings[MANY * 16];
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, pings}, {PEER_TRICKLE, replies}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = MANY};
    struct fake_peer *peer;

    for (int i = 1; i <= MANY; i++) {
        snprintf(replies + strlen(replies), 16, ":%d\r\n", i);
        snprintf(pings + strlen(pings), 16, "%s", PING);
    }
    peer = fake_peer_start("127.0.0.1", steps);
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_done < MANY && !probe.guard_fired) {
        loop_timer_start(probe.later, 5);
        loop_run(probe.loop);
    }
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_not(probe.order_wrong);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

static void check_free(enum moment moment, int commands, bool subscribe, const char *bytes,
                       int lost)
{
    const struct peer_step steps[] = {
        GREET, {PEER_SEND, bytes}, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct probe probe = {.free_in = moment, .commands = commands, .subscribe = subscribe};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_null(probe.conn, "moment %d never came", (int)moment);
    cr_expect_eq(probe.n_done, commands, "moment %d: %d of %d done", (int)moment, probe.n_done,
                 commands);
    cr_expect_eq(probe.n_lost, lost, "moment %d: %d lost", (int)moment, probe.n_lost);
    cr_expect_eq(probe.n_closed, moment == IN_CLOSED);
}

Test(redis_conn, freed_in_every_callback)
{
    check_free(IN_READY, 3, true, ":1\r\n:2\r\n:3\r\n" PUSH_ACK, 3);
    check_free(IN_DONE, 3, true, ":1\r\n:2\r\n:3\r\n" PUSH_ACK, 2);
    check_free(IN_LOST, 3, false, ":1\r\n", 2);
    check_free(IN_PUSH, 1, true, ":1\r\n" PUSH_ACK PUSH_SDOWN PUSH_SDOWN, 0);
    check_free(IN_CLOSED, 2, true, ":1\r\n:2\r\n" PUSH_ACK, 0);
    check_free(IN_CLOSED, 2, true, "HTTP\r\n", 2);
}

Test(redis_conn, freed_while_opening)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    const struct address nobody = fake_peer_dead_address(),
                         name = {.host = "localhost", .port = nobody.port};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {0};

    probe_init(&probe);
    redis_conn_open(probe.conn, fake_peer_address(peer), NULL, "secret", 1000);
    redis_conn_free(probe.conn);
    probe.conn = redis_conn_new(probe.loop, &(struct redis_conn_hooks){0}, NULL);
    redis_conn_open(probe.conn, &name, NULL, NULL, 1000);
    redis_conn_close(probe.conn);
    redis_conn_open(probe.conn, &nobody, NULL, NULL, 1000);
    redis_conn_free(probe.conn);
    redis_conn_free(NULL);
    probe.conn = NULL;
    loop_timer_start(probe.later, 50);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_closed, 0);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, command_while_not_ready)
{
    struct probe probe = {0};

    probe_init(&probe);
    send_one(&probe);
    redis_conn_subscribe(probe.conn);
    cr_expect_eq(probe.n_lost, 1);
    cr_expect_eq(probe.lost_why, REDIS_FAIL_CLOSED);
    probe_release(&probe);
}

Test(redis_conn, opened_again)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_CLOSE, NULL},
                                             GREET,
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, "+PONG\r\n"},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {.reopen_in = IN_CLOSED, .commands = 1, .close_in = IN_DONE};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_ready, 2);
    cr_expect_eq(probe.n_closed, 1);
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 1);
    cr_expect_str_eq(probe.last_reply, "PONG");
}

/*
 * An owner who opens it again while its commands are being completed has taken the end into
 * account.
 */
Test(redis_conn, opened_again_while_ending)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, PING}, {PEER_CLOSE, NULL},
                                             GREET, {PEER_WAIT, NULL},   {PEER_END, NULL}};
    struct probe probe = {.reopen_in = IN_LOST, .commands = 1};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_ready, 2);
    cr_expect_eq(probe.n_closed, 0);
}

Test(redis_conn, subscribes)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PSUBSCRIBE},
                                             {PEER_SEND, PUSH_SDOWN PUSH_ACK},
                                             {PEER_TRICKLE, PUSH_SDOWN},
                                             {PEER_SEND, ">2\r\n$10\r\ninvalidate\r\n_\r\n"},
                                             {PEER_SEND, PUSH_SDOWN},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {.subscribe = true, .stop_after_pushes = 3};

    play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_acks, 1);
    cr_expect_eq(probe.n_push, 3);
    cr_expect_eq(probe.n_closed, 0, "%s", probe.words);
    cr_expect_str_eq(probe.channel, "+sdown");
}

Test(redis_conn, pings_while_subscribed)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, PING PSUBSCRIBE},
                                             {PEER_SEND, "+PONG\r\n" PUSH_ACK PUSH_SDOWN},
                                             {PEER_EXPECT, PING},
                                             {PEER_SEND, PUSH_SDOWN "+PONG\r\n" PUSH_SDOWN},
                                             {PEER_WAIT, NULL},
                                             {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {
        .subscribe = true, .commands = 1, .stop_after_pushes = 1, .command_timeout_ms = 2000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    send_one(&probe);
    probe.stop_after_pushes = 3;
    loop_run(probe.loop);
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_eq(probe.n_push, 3);
    cr_expect_str_eq(probe.last_reply, "PONG");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, subscription_denied)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, PSUBSCRIBE},
        {PEER_SEND, "-NOPERM this user has no permissions to run the 'psubscribe' command\r\n"},
        {PEER_WAIT, NULL},
        {PEER_END, NULL}};
    struct probe probe = {.subscribe = true};

    play(&probe, steps, 2000, NULL, 0);
    expect_end(&probe, REDIS_FAIL_DENIED, "NOPERM");
    cr_expect_eq(probe.n_acks, 0);
}

/* A server that refuses HELLO stays at RESP2, where pushes are arrays and PING's answer too. */
Test(redis_conn, subscribes_in_resp2)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_EXPECT, HELLO},
        {PEER_SEND, "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"},
        {PEER_EXPECT, PSUBSCRIBE},
        {PEER_SEND, "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"},
        {PEER_SEND,
         "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\n+tilt\r\n$18\r\n#tilt mode entered\r\n"},
        {PEER_EXPECT, PING},
        {PEER_SEND, "*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
        {PEER_SEND,
         "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\n-tilt\r\n$17\r\n#tilt mode exited\r\n"},
        {PEER_WAIT, NULL},
        {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.subscribe = true, .stop_after_pushes = 1};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    cr_expect(probe.hello_was_error);
    cr_expect_eq(probe.n_acks, 1);
    send_one(&probe);
    probe.stop_after_pushes = 2;
    loop_run(probe.loop);
    cr_expect_eq(probe.n_push, 2);
    cr_expect_eq(probe.n_done, 1);
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_str_eq(probe.channel, "-tilt");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, connects_to_ipv6)
{
    static const struct peer_step steps[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("::1", steps);
    struct probe probe = {.close_in = IN_READY};

    if (!peer) {
        cr_skip_test("no ::1 here");
    }
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    cr_expect(address_equal(redis_conn_peer(probe.conn), fake_peer_address(peer)));
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, looks_names_up)
{
    static const struct peer_step steps[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.close_in = IN_READY};
    struct address name = {.host = "localhost"};

    probe_init(&probe);
    name.port = fake_peer_address(peer)->port;
    probe_open(&probe, &name, 2000);
    cr_expect_not(address_is_set(redis_conn_peer(probe.conn)));
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    cr_expect_str_eq(redis_conn_peer(probe.conn)->host, "127.0.0.1");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, name_that_does_not_resolve)
{
    struct probe probe = {0};
    struct address name = {.host = UNRESOLVABLE, .port = 6379};

    probe_init(&probe);
    probe_open(&probe, &name, 5000);
    loop_run(probe.loop);
    expect_end(&probe, REDIS_FAIL_RESOLVE, "no-such-host");
    probe_release(&probe);
}

/* The last good look-up serves while the resolver fails, and each of its addresses is tried. */
Test(redis_conn, last_good_lookup_is_used)
{
    static const struct peer_step steps[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.close_in = IN_READY};
    struct address name = {.host = UNRESOLVABLE, .port = 6379};

    probe_init(&probe);
    probe.conn->found = mem_new(3, sizeof(struct address));
    probe.conn->found[0] = fake_peer_dead_address();
    probe.conn->found[1] = (struct address){.host = "255.255.255.255", .port = 1};
    probe.conn->found[2] = *fake_peer_address(peer);
    probe.conn->n_found = 3;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 5000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* One address that is silent takes its share of the time only; if none is good a refusal does not
 * hide that another one merely took too long. */
Test(redis_conn, silent_address_costs_its_share)
{
    static const struct peer_step silent[] = {
        {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    static const struct peer_step good[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *first = fake_peer_start("127.0.0.1", silent),
                     *second = fake_peer_start("127.0.0.1", good);
    struct address name = {.host = UNRESOLVABLE, .port = 6379};
    struct probe probe = {.close_in = IN_READY};

    probe_init(&probe);
    probe.conn->found = mem_new(2, sizeof(struct address));
    probe.conn->found[0] = *fake_peer_address(first);
    probe.conn->found[1] = *fake_peer_address(second);
    probe.conn->n_found = 2;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 1000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(first));
    cr_expect_null(fake_peer_join(second));
    fake_peer_free(first);
    fake_peer_free(second);
}

Test(redis_conn, timeout_outweighs_refusal)
{
    static const struct peer_step silent[] = {
        {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", silent);
    struct address name = {.host = UNRESOLVABLE, .port = 6379};
    struct probe probe = {0};

    probe_init(&probe);
    probe.conn->found = mem_new(2, sizeof(struct address));
    probe.conn->found[0] = *fake_peer_address(peer);
    probe.conn->found[1] = fake_peer_dead_address();
    probe.conn->n_found = 2;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 600);
    loop_run(probe.loop);
    expect_end(&probe, REDIS_FAIL_TIMEOUT, "HELLO");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, reader_gives_long_buffers_back)
{
    enum { LENGTH = 300000 };
    static char reply[LENGTH + 64];
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_SEND, reply}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1, .stop_in = IN_DONE};
    struct fake_peer *peer;

    snprintf(reply, sizeof(reply), "$%d\r\n%0*d\r\n", LENGTH, LENGTH, 1);
    peer = fake_peer_start("127.0.0.1", steps);
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_lt(sdsalloc(probe.conn->context->reader->buf), 4096);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, failures_have_words)
{
    for (int why = REDIS_FAIL_NONE; why <= REDIS_FAIL_DENIED; why++) {
        cr_expect_str_neq(redis_fail_text((enum redis_fail)why), "unknown");
    }
}

/* ---- a resolver that takes its time ---- */

static sem_t resolver_goes_on;
static _Atomic bool resolver_hangs;

static int slow_resolver(const char *host, const char *service, const struct addrinfo *hints,
                         struct addrinfo **out)
{
    (void)host;
    while (atomic_load(&resolver_hangs) && sem_wait(&resolver_goes_on) != 0) {
    }
    return getaddrinfo("127.0.0.1", service, hints, out);
}

static void resolver_hang(bool hang)
{
    if (hang) {
        sem_init(&resolver_goes_on, 0, 0);
    }
    atomic_store(&resolver_hangs, hang);
    if (!hang) {
        sem_post(&resolver_goes_on);
    }
    resolve_use(slow_resolver);
}

static void resolver_settle(void)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    while (resolve_is_busy()) {
        (void)nanosleep(&nap, NULL);
    }
}

/* What comes after the attempt has ended serves the next one, which would else never succeed. */
Test(redis_conn, a_look_up_that_comes_too_late_serves_the_next_attempt)
{
    static const struct peer_step steps[] = {GREET, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct address name = {.host = "late.test", .port = fake_peer_address(peer)->port};
    struct probe first = {0}, second = {.close_in = IN_READY};

    resolver_hang(true);
    probe_init(&first);
    probe_open(&first, &name, 100);
    loop_run(first.loop);
    expect_end(&first, REDIS_FAIL_TIMEOUT, "did not answer in time");
    probe_release(&first);
    resolver_hang(false);
    resolver_settle();
    resolver_hang(true);
    /* another connection, and the resolver hangs again */
    probe_init(&second);
    probe_open(&second, &name, 5000);
    loop_run(second.loop);
    cr_expect_eq(second.n_ready, 1, "%s", second.words);
    cr_expect_lt(clock_boot_ms() - second.opened_ms, 2000,
                 "no long wait where an address is at hand");
    probe_release(&second);
    resolver_hang(false);
    resolver_settle();
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}
