/* A connection with an owner that does what a test wants when it is told something. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bellwether/base/clock.h"
#include "connection_probe.h"

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

void probe_on_done(void *data, const redisReply *reply, enum redis_fail why)
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

void probe_send_one(struct probe *probe)
{
    const char *argv[] = {"PING"};

    redis_conn_command(probe->conn, probe_on_done, probe, probe->command_timeout_ms, 1, argv, NULL);
}

static void on_ready(void *data, const redisReply *hello)
{
    struct probe *probe = data;

    probe->n_ready++;
    probe->hello_was_error = hello->type == REDIS_REPLY_ERROR;
    cr_expect(redis_conn_is_ready(probe->conn));
    for (int i = 0; i < probe->commands; i++) {
        probe_send_one(probe);
    }
    if (probe->subscribe) {
        redis_conn_subscribe(probe->conn);
    }
    if (probe->n_ready == 2 && probe->close_in == NEVER) { /* opened again */
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
    if (probe->hurries) {
        loop_stop(probe->loop);
    } else if (probe->reopen_in == NEVER && probe->free_in != IN_CLOSED) {
        loop_timer_start(probe->later, 20);
    }
    act(probe, IN_CLOSED);
}

static void on_push(void *data, const redisReply *push)
{
    const struct timespec nap = {.tv_nsec = 1000 * 1000};
    struct probe *probe = data;

    if (strcmp(push->element[0]->str, "psubscribe") == 0) {
        probe->n_acks++;
    } else {
        probe->n_push++;
        snprintf(probe->channel, sizeof(probe->channel), "%s", push->element[2]->str);
    }
    if (probe->nap_every_pushes > 0 && probe->n_push % probe->nap_every_pushes == 0) {
        (void)nanosleep(&nap, NULL);
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

void probe_init(struct probe *probe)
{
    const struct redis_conn_hooks hooks = {.ready = on_ready, .closed = on_closed, .push = on_push};

    signal(SIGPIPE, SIG_IGN);
    probe->loop = loop_new();
    probe->conn = redis_conn_new(probe->loop, &hooks, probe);
    redis_conn_look_for_tls(probe->conn, probe->look_for_tls);
    probe->guard = loop_timer_new(probe->loop, on_guard, probe);
    probe->later = loop_timer_new(probe->loop, on_later, probe);
    loop_timer_start(probe->guard, 30000);
}

void probe_open(struct probe *probe, const struct address *address, int64_t timeout_ms)
{
    probe->opened_ms = clock_boot_ms();
    redis_conn_open(probe->conn, address, NULL, NULL, timeout_ms);
    cr_expect_eq(probe->n_closed + probe->n_ready, 0, "told from inside redis_conn_open()");
}

void probe_release(struct probe *probe)
{
    redis_conn_free(probe->conn);
    loop_timer_free(probe->guard);
    loop_timer_free(probe->later);
    loop_free(probe->loop);
}

void probe_play(struct probe *probe, const struct peer_step *steps, int64_t timeout_ms, char *seen,
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

void probe_expect_end(const struct probe *probe, enum redis_fail why, const char *word)
{
    cr_expect_eq(probe->n_closed, 1, "closed %d times", probe->n_closed);
    cr_expect_eq(probe->why, why, "%s: %s", redis_fail_text(probe->why), probe->words);
    cr_expect_not_null(strstr(probe->words, word), "words: %s", probe->words);
}
