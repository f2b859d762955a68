/*
 * How a connection ends: time-outs, peers that close, peers that speak TLS, and what is no
 * protocol; its commands end with it.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "connection_probe.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

Test(redis_conn, hello_unanswered_times_out)
{
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, END};
    struct probe probe = {0};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_TIMEOUT, "HELLO");
    cr_expect_geq(probe.closed_after_ms, 2000);
    cr_expect_lt(probe.closed_after_ms, 10000);
    cr_expect_eq(probe.n_ready, 0);
}

Test(redis_conn, command_unanswered_times_out)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, PING}, END};
    struct probe probe = {.commands = 2, .command_timeout_ms = 100};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_TIMEOUT, "command");
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
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, PING}, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.commands = 1};
    struct loop_timer *timer;

    probe_init(&probe);
    timer = loop_timer_new(probe.loop, on_guard_short, &probe);
    loop_timer_start(timer, 3000);
    probe_open(&probe, fake_peer_address(peer), 2000);
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
    static const struct peer_step steps[] = {GREET, ANSWER(PING PING, "+PONG\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.commands = 1, .command_timeout_ms = 20000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_ready == 0) {
        loop_timer_start(probe.later, 1);
        loop_run(probe.loop);
    }
    probe.command_timeout_ms = 2000;
    probe_send_one(&probe);
    loop_run(probe.loop);
    probe_expect_end(&probe, REDIS_FAIL_TIMEOUT, "command");
    cr_expect_lt(probe.closed_after_ms, 10000);
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 1);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* What was there when the time was up counts; what goes on coming does not. */
Test(redis_conn, deadline_while_the_peer_sends_without_end)
{
    enum { PUSHES = 20000 };
    const size_t each = sizeof(PUSH_SDOWN) - 1;
    char *pushes = mem_new(PUSHES * each + 1, 1);
    const struct peer_step steps[] = {GREET,
                                      ANSWER(PSUBSCRIBE, PUSH_ACK),
                                      {PEER_EXPECT, PING},
                                      {PEER_REPEAT, pushes},
                                      {PEER_END, NULL}};
    struct fake_peer *peer;
    /* slower than the peer; what fits into the socket does not take long all the same */
    struct probe probe = {.subscribe = true, .command_timeout_ms = 2000, .nap_every_pushes = 200};
    const int room = 128 * 1024;

    for (size_t i = 0; i < PUSHES; i++) {
        memcpy(pushes + i * each, PUSH_SDOWN, each);
    }
    peer = fake_peer_start("127.0.0.1", steps);
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_acks == 0 && !probe.guard_fired) {
        loop_timer_start(probe.later, 1);
        loop_run(probe.loop);
    }
    setsockopt(probe.conn->context->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    probe_send_one(&probe);
    loop_run(probe.loop);
    probe_expect_end(&probe, REDIS_FAIL_TIMEOUT, "command");
    cr_expect_gt(probe.n_push, 0);
    cr_expect_lt(probe.closed_after_ms, 15000);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
    free(pushes);
}

/* A stopped process finds its timers due and the answers waiting: those count. */
Test(redis_conn, answer_that_waited_while_we_slept_counts)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING, "+PONG\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.command_timeout_ms = 50};
    const struct timespec nap = {.tv_nsec = 200 * 1000 * 1000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    while (probe.n_ready == 0) {
        loop_timer_start(probe.later, 1);
        loop_run(probe.loop);
    }
    probe_send_one(&probe);
    conn_stream_ready(probe.conn, LOOP_WRITE); /* it leaves now */
    struct pollfd answer = {.fd = probe.conn->context->fd, .events = POLLIN};
    cr_assert_eq(poll(&answer, 1, 20000), 1);
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

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
}

Test(redis_conn, closed_in_the_middle_of_a_reply)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING PING, "$100\r\nabc"), {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 2};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    cr_expect_eq(probe.n_done, 2);
    cr_expect_eq(probe.n_lost, 2);
    cr_expect_eq(probe.lost_why, REDIS_FAIL_CLOSED);
}

Test(redis_conn, reset_while_waiting)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_RESET, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_CLOSED, "reset");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, end_of_file_while_idle_is_seen_at_once)
{
    static const struct peer_step steps[] = {GREET, {PEER_CLOSE, NULL}, {PEER_END, NULL}};
    struct probe probe = {0};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    cr_expect_eq(probe.n_ready, 1);
    cr_expect_lt(probe.closed_after_ms, 10000);
}

Test(redis_conn, answers_in_tls)
{
    static const struct peer_step alert[] = {
        {PEER_ACCEPT, NULL}, ANSWER(HELLO, "\x15\x03\x01"), END};
    struct probe probe = {0};

    probe_play(&probe, alert, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_TLS, "");
}

/* As OpenSSL does with what is no TLS. */
Test(redis_conn, closes_on_hello_and_speaks_tls)
{
    static const struct peer_step tls[] = {{PEER_ACCEPT, NULL},
                                           {PEER_EXPECT, HELLO},
                                           {PEER_CLOSE, NULL},
                                           {PEER_ACCEPT, NULL},
                                           ANSWER("\x16\x03\x01", "\x16\x03\x03"),
                                           END};
    struct probe probe = {.look_for_tls = true};

    probe_play(&probe, tls, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_TLS, "");
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
                                               ANSWER("\x16\x03\x01", "-ERR Protocol error\r\n"),
                                               END};
    struct probe probe = {.look_for_tls = true}, other = {.look_for_tls = true};

    probe_play(&probe, closes, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_CLOSED, "end of file");
    probe_play(&other, answers, 2000, NULL, 0);
    probe_expect_end(&other, REDIS_FAIL_CLOSED, "end of file");
}

/* An error that is said as the connection is accepted is heard, though it ends at once. */
Test(redis_conn, error_said_right_before_the_end)
{
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                             {PEER_SEND, "-ERR max number of clients reached\r\n"},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct probe probe = {.look_for_tls = true};

    probe_play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_ready, 1);
    cr_expect(probe.hello_was_error);
    cr_expect_eq(probe.why, REDIS_FAIL_CLOSED);
}

static void check_protocol(const char *greeting, const char *bytes)
{
    const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL}, ANSWER(HELLO, greeting), {PEER_SEND, bytes}, END};
    struct probe probe = {.subscribe = true};

    probe_play(&probe, steps, 2000, NULL, 0);
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
    static const struct peer_step steps[] = {GREET, ANSWER(PING, ">-1\r\n"), END};
    struct probe probe = {.commands = 1};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_PROTOCOL, "malformed push");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, reply_without_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct probe probe = {.commands = 1};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_PROTOCOL, "16 MiB");
    cr_expect_eq(probe.n_lost, 1);
}

Test(redis_conn, failures_have_words)
{
    for (int why = REDIS_FAIL_NONE; why <= REDIS_FAIL_DENIED; why++) {
        cr_expect_str_neq(redis_fail_text((enum redis_fail)why), "unknown");
    }
}
