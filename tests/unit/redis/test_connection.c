/*
 * One connection against a scripted peer: how it opens, what it says, and that every command ends
 * exactly once, also when it is freed in the middle of a callback.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/redis/connection.h"
#include "connection_probe.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

Test(redis_conn, refused)
{
    struct probe probe = {0};
    struct address nobody = fake_peer_dead_address();

    probe_init(&probe);
    probe_open(&probe, &nobody, 2000);
    loop_run(probe.loop);
    probe_expect_end(&probe, REDIS_FAIL_REFUSED, "refused");
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
    probe_expect_end(&probe, REDIS_FAIL_UNREACHABLE, "");
    probe_release(&probe);
}

Test(redis_conn, says_hello_and_is_ready)
{
    static const struct peer_step steps[] = {GREET, END};
    struct probe probe = {.close_in = IN_READY};
    char seen[256];

    probe_play(&probe, steps, 2000, seen, sizeof(seen));
    cr_expect_eq(probe.n_ready, 1);
    cr_expect_eq(probe.n_closed, 0, "closing it oneself is no news");
    cr_expect_str_eq(seen, HELLO);
}

static void check_auth(const char *username, const char *wire)
{
    const struct peer_step steps[] = {{PEER_ACCEPT, NULL}, ANSWER(wire, HELLO_REPLY), END};
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
        ANSWER("*2\r\n$4\r\nAUTH\r\n$7\r\nanother\r\n", "+OK\r\n"),
        END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.stop_in = IN_READY};
    const char *auth[] = {"AUTH", "another"};

    probe_init(&probe);
    redis_conn_open(probe.conn, fake_peer_address(peer), NULL, "s3cret word", 2000);
    loop_run(probe.loop);
    sds out = probe.conn->context->obuf;
    cr_expect_not(holds(out, sdsalloc(out), "s3cret"));
    cr_expect_null(probe.conn->hello);
    redis_conn_command(probe.conn, probe_on_done, &probe, 1000, 2, auth, NULL);
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
        ANSWER(HELLO, "-NOAUTH HELLO must be called with ...\r\n"),
        ANSWER(PING, "+PONG\r\n"),
        END};
    struct probe probe = {.commands = 1, .close_in = IN_DONE};

    probe_play(&probe, steps, 2000, NULL, 0);
    cr_expect(probe.hello_was_error);
    cr_expect_str_eq(probe.last_reply, "PONG");
}

Test(redis_conn, commands_of_one_turn_leave_in_one_write)
{
    static const struct peer_step steps[] = {GREET, ANSWER(PING PING, ":1\r\n:2\r\n"), END};
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
        GREET, {PEER_EXPECT, pings}, {PEER_TRICKLE, replies}, END};
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

    probe_play(&probe, steps, 2000, NULL, 0);
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
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL}, END};
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
    probe_send_one(&probe);
    redis_conn_subscribe(probe.conn);
    cr_expect_eq(probe.n_lost, 1);
    cr_expect_eq(probe.lost_why, REDIS_FAIL_CLOSED);
    probe_release(&probe);
}

Test(redis_conn, opened_again)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_CLOSE, NULL}, GREET, ANSWER(PING, "+PONG\r\n"), END};
    struct probe probe = {.reopen_in = IN_CLOSED, .commands = 1, .close_in = IN_DONE};

    probe_play(&probe, steps, 2000, NULL, 0);
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
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, PING}, {PEER_CLOSE, NULL}, GREET, END};
    struct probe probe = {.reopen_in = IN_LOST, .commands = 1};

    probe_play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_ready, 2);
    cr_expect_eq(probe.n_closed, 0);
}

Test(redis_conn, subscribes)
{
    static const struct peer_step steps[] = {GREET,
                                             ANSWER(PSUBSCRIBE, PUSH_SDOWN PUSH_ACK),
                                             {PEER_TRICKLE, PUSH_SDOWN},
                                             {PEER_SEND, ">2\r\n$10\r\ninvalidate\r\n_\r\n"},
                                             {PEER_SEND, PUSH_SDOWN},
                                             END};
    struct probe probe = {.subscribe = true, .stop_after_pushes = 3};

    probe_play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_acks, 1);
    cr_expect_eq(probe.n_push, 3);
    cr_expect_eq(probe.n_closed, 0, "%s", probe.words);
    cr_expect_str_eq(probe.channel, "+sdown");
}

Test(redis_conn, pings_while_subscribed)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PING PSUBSCRIBE, "+PONG\r\n" PUSH_ACK PUSH_SDOWN),
        ANSWER(PING, PUSH_SDOWN "+PONG\r\n" PUSH_SDOWN), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {
        .subscribe = true, .commands = 1, .stop_after_pushes = 1, .command_timeout_ms = 2000};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    probe_send_one(&probe);
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
        ANSWER(PSUBSCRIBE,
               "-NOPERM this user has no permissions to run the 'psubscribe' command\r\n"),
        END};
    struct probe probe = {.subscribe = true};

    probe_play(&probe, steps, 2000, NULL, 0);
    probe_expect_end(&probe, REDIS_FAIL_DENIED, "NOPERM");
    cr_expect_eq(probe.n_acks, 0);
}

/* A server that refuses HELLO stays at RESP2, where pushes are arrays and PING's answer too. */
Test(redis_conn, subscribes_in_resp2)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},
        ANSWER(HELLO, "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"),
        ANSWER(PSUBSCRIBE, "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"),
        {PEER_SEND,
         "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\n+tilt\r\n$18\r\n#tilt mode entered\r\n"},
        ANSWER(PING, "*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        {PEER_SEND,
         "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$5\r\n-tilt\r\n$17\r\n#tilt mode exited\r\n"},
        END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.subscribe = true, .stop_after_pushes = 1};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    cr_expect(probe.hello_was_error);
    cr_expect_eq(probe.n_acks, 1);
    probe_send_one(&probe);
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

#define LISTEN(verb, n, name) "*2\r\n$" #n "\r\n" verb "\r\n$1\r\n" name "\r\n"

static void on_listening(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;

    if (!reply) {
        probe->n_lost++;
        probe->lost_why = why;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(probe->last_reply, sizeof(probe->last_reply), "%s", reply->str);
    } else {
        probe->n_acks++;
        snprintf(probe->last_reply, sizeof(probe->last_reply), "%s %s", reply->element[0]->str,
                 reply->element[1]->str);
    }
}

/* Acknowledgements and errors go to who asked, messages to the push hook. */
static void listen_in(const struct peer_step *steps)
{
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.stop_in = IN_READY};

    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    redis_conn_listen(probe.conn, on_listening, &probe, 2000, "SUBSCRIBE", "c");
    redis_conn_listen(probe.conn, on_listening, &probe, 2000, "PSUBSCRIBE", "d");
    redis_conn_listen(probe.conn, on_listening, &probe, 2000, "UNSUBSCRIBE", "c");
    probe_send_one(&probe);
    probe.stop_in = NEVER;
    probe.stop_after_pushes = 3;
    loop_run(probe.loop);
    cr_expect_eq(probe.n_acks, 2);
    cr_expect_eq(probe.n_done, 1);
    cr_expect_eq(probe.n_push, 3);
    cr_expect_str_eq(probe.channel, "word");
    cr_expect_eq(probe.n_closed, 0, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

#define LISTEN_ALL \
    LISTEN("SUBSCRIBE", 9, "c") LISTEN("PSUBSCRIBE", 10, "d") LISTEN("UNSUBSCRIBE", 11, "c") PING
#define MESSAGE(sign) sign "3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nword\r\n"

Test(redis_conn, listens_in_resp3)
{
    static const struct peer_step steps[] = {
        GREET,
        ANSWER(LISTEN_ALL, MESSAGE(">") ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" MESSAGE(
                               ">") "-NOPERM no\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"
                                    "+PONG\r\n" MESSAGE(">")),
        END};

    listen_in(steps);
}

Test(redis_conn, listens_in_resp2)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},
        ANSWER(HELLO, "-ERR unknown command `HELLO`\r\n"),
        ANSWER(LISTEN_ALL, MESSAGE("*") "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" MESSAGE(
                               "*") "-NOPERM no\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"
                                    "*2\r\n$4\r\npong\r\n$0\r\n\r\n" MESSAGE("*")),
        END};

    listen_in(steps);
}

/*
 * A Sentinel's connection was not asked to listen to channels by name: none of it reaches the
 * owner.
 */
Test(redis_conn, messages_of_channels_only_where_asked)
{
    static const struct peer_step steps[] = {
        GREET, ANSWER(PSUBSCRIBE, PUSH_ACK MESSAGE(">") PUSH_SDOWN), END};
    struct probe probe = {.subscribe = true, .stop_after_pushes = 1};

    probe_play(&probe, steps, 2000, NULL, 0);
    cr_expect_eq(probe.n_push, 1);
    cr_expect_str_eq(probe.channel, "+sdown");
}

Test(redis_conn, reader_gives_long_buffers_back)
{
    enum { LENGTH = 300000 };
    static char reply[LENGTH + 64];
    static const struct peer_step steps[] = {GREET, ANSWER(PING, reply), END};
    struct probe probe = {.commands = 1, .stop_in = IN_DONE};
    struct fake_peer *peer;

    snprintf(reply, sizeof(reply), "$%d\r\n%0*d\r\n", LENGTH, LENGTH, 1);
    peer = fake_peer_start("127.0.0.1", steps);
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_lost, 0);
    cr_expect_lt(sdsalloc(probe.conn->reader.parser->buf), 4096);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}
