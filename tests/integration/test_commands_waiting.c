/*
 * Commands that can't go now, callers that go away, and the end of the daemon with commands under
 * way.
 */
#include <signal.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_waiting);

static double waiting(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_pool_waiting");
}

static double in_flight(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_pool_inflight");
}

/* ---- no master ---- */

SCENE(integration_commands_waiting, no_master_until_the_deadline_and_then_by_itself)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "2s", NULL);
    struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    server_kill(node);
    EXPECT_NONE(daemon, NULL, NULL, 2000);
    const int64_t sent_ms = now_ms();
    const struct sent *one = command_send(daemon, "/redis", "['INCR','n']"),
                      *transaction = command_send(daemon, "/redis/multi-exec", "[['INCR','n']]"),
                      *path = command_send(daemon, "/redis/incr/n", ""),
                      *list = command_send(daemon, "/redis/pipeline",
                                           "[['GET','k'],['INCR','n'],['AUTH','x']]");
    const struct http_answer *answer = command_answer(one, 5000);
    EXPECT_ERROR(answer, 503, "NOMASTER", "not_sent");
    const int64_t took_ms = answer->answered_ms - sent_ms;
    cr_assert(took_ms >= 1900 && took_ms < patient(5000), "after %lld ms", (long long)took_ms);
    EXPECT_ERROR(command_answer(transaction, 5000), 503, "NOMASTER", "not_sent");
    EXPECT_ERROR(command_answer(path, 5000), 503, "NOMASTER", "not_sent");
    const struct http_answer *elements = command_answer(list, 5000);
    cr_assert_eq(elements->status, 200, "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "0.outcome"), "not_sent", "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "1.outcome"), "not_sent", "%s", http_text(elements));
    cr_assert(strncmp(http_string(elements, "2.error"), "NOPERM", 6) == 0, "%s",
              http_text(elements));
    const struct http_answer *get = daemon_get(daemon, "/redis/get/k");
    EXPECT_ERROR(get, 503, "NOMASTER", "not_sent");
    server_start(node);
    WAIT_UNTIL(10000, command_run(daemon, "INCR", "n", NULL)->status == 200);
    cr_assert_str_eq(redis_say(node, "GET n"), "1", "nothing of before ran");
}

/* Commands were run; then there is no master. */
static void lose_master(const struct daemon *daemon, struct server *node)
{
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    server_kill(node);
    EXPECT_NONE(daemon, NULL, NULL, 2000);
}

SCENE(integration_commands_waiting, who_waits_runs_once_there_is_a_master_again)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "30s", NULL);
    struct server *node = &cluster->nodes[0];

    lose_master(daemon, node);
    enum { CALLERS = 20 };
    const struct sent *sent[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        sent[i] = command_send(daemon, "/redis", "['INCR','n']");
    }
    WAIT_UNTIL(5000, waiting(daemon) == (double)CALLERS);
    server_start(node);
    for (size_t i = 0; i < CALLERS; i++) {
        cr_assert_eq(command_answer(sent[i], 15000)->status, 200);
    }
    cr_assert_str_eq(redis_say(node, "GET n"), text("%d", CALLERS));
    cr_assert_eq(waiting(daemon), 0);
}

SCENE(integration_commands_waiting, the_queue_is_full)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "30s",
                                                 "--max-pending", "5", "--workers", "2", NULL);
    struct server *node = &cluster->nodes[0];

    lose_master(daemon, node);
    const struct sent *sent[5];
    for (size_t i = 0; i < 5; i++) {
        sent[i] = command_send(daemon, "/redis", "['INCR','n']");
        WAIT_UNTIL(5000, waiting(daemon) == (double)(i + 1));
    }
    const struct http_answer *refused = command_run(daemon, "INCR", "n", NULL);
    EXPECT_ERROR(refused, 503, "NOTSENT", "not_sent");
    cr_assert_lt(refused->answered_ms - refused->asked_ms, patient(5000), "at once");
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['INCR','n']]"), 503, "NOTSENT",
                 "not_sent");
    const struct http_answer *list = command_post(daemon, "/redis/pipeline", "[['INCR','n']]");
    cr_assert_str_eq(http_string(list, "0.outcome"), "not_sent", "%s", http_text(list));
    still_serves(daemon);
    server_start(node);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(command_answer(sent[i], 15000)->status, 200);
    }
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "6");
}

SCENE(integration_commands_waiting, a_daemon_without_sentinels_says_so)
{
    struct cluster *cluster = cluster_start_one(NULL);

    server_kill(&cluster->sentinels[0]);
    const char *const flags[] = {
        "--redis-api", "loopback", "--command-timeout", "500ms", "--master", "mymaster", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_ERROR(command_run(daemon, "PING", NULL), 503, "NOMASTER", "not_sent");
    EXPECT_ERROR(command_post(daemon, "/masters/mymaster/redis", "['PING']"), 503, "NOMASTER",
                 "not_sent");
    EXPECT_ERROR(command_post(daemon, "/masters/other/redis", "['PING']"), 404, "NOMASTER", NULL);
}

/* ---- callers that go away ---- */

SCENE(integration_commands_waiting, callers_that_disconnect_in_the_middle)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "20s", "--suspect-after", "20s",
                       "--idle-timeout", "2s", NULL);
    struct server *node = &cluster->nodes[0];

    EXPECT_BODY(command_post(daemon, "/redis/multi-exec", "[['PING']]"), 200,
                "[{'result':'PONG'}]");
    enum { CALLERS = 30, COMMANDS = 40 };
    struct sent *sent[CALLERS];
    server_freeze(node);
    for (size_t i = 0; i < CALLERS; i++) {
        sent[i] = command_send(daemon,
                               i % 3 == 0   ? "/redis"
                               : i % 3 == 1 ? "/redis/pipeline"
                                            : "/redis/multi-exec",
                               i % 3 == 0 ? "['INCR','n']" : "[['INCR','n'],['GET','n']]");
    }
    WAIT_UNTIL(5000, in_flight(daemon) == (double)COMMANDS);
    for (size_t i = 0; i < CALLERS; i++) {
        raw_close(sent[i]->raw);
    }
    /*
     * And one before its request is whole; that may be noticed only when it has been idle for long
     * enough.
     */
    struct raw *half = raw_open(daemon->port);
    static const char part[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n[\"SET\",\"k\"";
    cr_assert(raw_send(half, part, sizeof(part) - 1));
    raw_close(half);
    still_serves(daemon);
    server_thaw(node);
    WAIT_UNTIL(10000, in_flight(daemon) == 0 && waiting(daemon) == 0);
    cr_assert_str_eq(redis_say(node, "GET n"), text("%d", CALLERS), "each ran once");
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), text("%d", CALLERS + 1));
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_http_inflight") == 1); /* the one that asks */
}

SCENE(integration_commands_waiting, callers_that_disconnect_while_they_wait_for_a_master)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "5s", NULL);
    struct server *node = &cluster->nodes[0];

    lose_master(daemon, node);
    struct sent *sent[20];
    for (size_t i = 0; i < 20; i++) {
        sent[i] = command_send(daemon, "/redis", "['INCR','n']");
    }
    WAIT_UNTIL(5000, waiting(daemon) == 20);
    for (size_t i = 0; i < 20; i++) {
        raw_close(sent[i]->raw);
    }
    WAIT_UNTIL(10000, waiting(daemon) == 0);
    server_start(node);
    WAIT_UNTIL(10000, command_run(daemon, "PING", NULL)->status == 200);
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_http_inflight") == 1); /* the one that asks */
}

/*
 * Nobody waits for their commands any more: run all the same, they would count twice with a
 * caller's own retry.
 */
SCENE(integration_commands_waiting, callers_that_have_gone_are_not_served)
{
    static const char more[] = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "30s", NULL);
    struct server *node = &cluster->nodes[0];

    lose_master(daemon, node);
    enum { CALLERS = 12 };
    struct sent *sent[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        sent[i] = command_send(daemon, i % 2 == 0 ? "/redis" : "/redis/pipeline",
                               i % 2 == 0 ? "['INCR','n']" : "[['INCR','n'],['INCR','n']]");
    }
    WAIT_UNTIL(5000, waiting(daemon) == (double)CALLERS);
    for (size_t i = 0; i < 4; i++) { /* they stay; one has sent its next request already */
        cr_assert(i != 0 || raw_send(sent[i]->raw, more, sizeof(more) - 1));
    }
    for (size_t i = 4; i < 8; i++) {
        raw_close(sent[i]->raw);
    }
    for (size_t i = 8; i < CALLERS; i++) {
        cr_assert(i % 2 == 0 || raw_send(sent[i]->raw, more, sizeof(more) - 1));
        raw_shut(sent[i]->raw);
    }
    server_start(node);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(command_answer(sent[i], 15000)->status, 200);
    }
    WAIT_UNTIL(5000, waiting(daemon) == 0 && in_flight(daemon) == 0);
    cr_assert_str_eq(redis_say(node, "GET n"), "6", "two and two pipelines of two");
    WAIT_UNTIL(5000, metric_is(daemon, "bellwether_commands_total{outcome=\"not_sent\"}", 12));
    EXPECT_ERROR(command_answer(sent[8], 5000), 503, "NOTSENT", "not_sent");
    still_serves(daemon);
}

SCENE(integration_commands_waiting, too_many_connections)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--max-connections", "4", NULL);
    struct raw *open[4];

    for (size_t i = 0; i < 4; i++) {
        open[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(open[i], "/livez", 3000)->status, 200);
    }
    const struct http_answer *answer = command_run(daemon, "INCR", "n", NULL);
    EXPECT_ERROR(answer, 503, "NOTSENT", "not_sent");
    raw_close(open[0]);
    WAIT_UNTIL(5000, command_run(daemon, "INCR", "n", NULL)->status == 200);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET n"), "1");
}

/* ---- the end ---- */

SCENE(integration_commands_waiting, commands_run_during_the_shutdown_delay)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--shutdown-delay", "4s", NULL);

    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    daemon_signal(daemon, SIGTERM);
    WAIT_UNTIL(1000, status_of(daemon, "/readyz") == 503);
    const struct http_answer *answer = command_run(daemon, "INCR", "n", NULL);
    EXPECT_RESULT(answer, "2");
    cr_assert_str_eq(http_header(answer, "connection"), "close");
    cr_assert_eq(process_wait(daemon->process, patient(10000)), 0, "%s", daemon_log(daemon));
}

SCENE(integration_commands_waiting, sigterm_answers_who_waits_at_once)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "30s", NULL);

    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 2000);
    const struct sent *one = command_send(daemon, "/redis", "['INCR','n']"),
                      *list = command_send(daemon, "/redis/pipeline", "[['GET','k'],['INCR','n']]");
    WAIT_UNTIL(5000, waiting(daemon) == 2);
    const int64_t told_ms = now_ms();
    daemon_signal(daemon, SIGTERM);
    EXPECT_ERROR(command_answer(one, 5000), 503, "NOTSENT", "not_sent");
    const struct http_answer *answer = command_answer(list, 5000);
    cr_assert_str_eq(http_string(answer, "1.outcome"), "not_sent", "%s", http_text(answer));
    cr_assert_eq(process_wait(daemon->process, patient(5000)), 0, "%s", daemon_log(daemon));
    /* what is not answered is given up after two seconds */
    cr_assert_lt(now_ms() - told_ms, patient(1900), "nothing had to be waited for");
}

SCENE(integration_commands_waiting, sigterm_waits_for_what_was_sent)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "30s", "--suspect-after", "20s", NULL);
    struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    server_freeze(node);
    const struct sent *write = command_send(daemon, "/redis", "['INCR','n']"),
                      *both =
                          command_send(daemon, "/redis/multi-exec", "[['INCR','n'],['INCR','n']]");
    WAIT_UNTIL(5000, in_flight(daemon) + waiting(daemon) >= 2);
    WAIT_UNTIL(5000, in_flight(daemon) >= 1);
    daemon_signal(daemon, SIGTERM);
    WAIT_UNTIL(1000, strstr(daemon_log(daemon), "stop") || strstr(daemon_log(daemon), "shut"));
    server_thaw(node);
    EXPECT_RESULT(command_answer(write, 5000), "1");
    const struct http_answer *answer = command_answer(both, 5000);
    cr_assert(answer->status == 200 || answer->status == 503, "sent, or not: %s",
              http_text(answer));
    cr_assert_eq(process_wait(daemon->process, patient(5000)), 0, "%s", daemon_log(daemon));
}

SCENE(integration_commands_waiting, sigterm_gives_up_what_is_not_answered)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(
        cluster, "--command-timeout", "30s", "--suspect-after", "20s", "--commands", "+@all", NULL);

    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const struct sent *busy = command_send(daemon, "/redis", "['EVAL','while true do end',0]");

    WAIT_UNTIL(5000, in_flight(daemon) == 1);
    const struct sent *write = command_send(daemon, "/redis", "['INCR','n']"),
                      *list = command_send(daemon, "/redis/pipeline", "[['INCR','n'],['GET','n']]");
    WAIT_UNTIL(5000, in_flight(daemon) >= 3);
    const int64_t told_ms = now_ms();
    daemon_signal(daemon, SIGTERM);
    EXPECT_ERROR(command_answer(busy, 5000), 504, "UNKNOWN", "unknown");
    const struct http_answer *other = command_answer(write, 5000),
                             *elements = command_answer(list, 5000);
    EXPECT_ERROR(other, 504, "UNKNOWN", "unknown");
    cr_assert_str_eq(http_string(elements, "0.outcome"), "unknown", "%s", http_text(elements));
    cr_assert_eq(process_wait(daemon->process, patient(5000)), 0, "%s", daemon_log(daemon));
    cr_assert_lt(now_ms() - told_ms, patient(4500), "exit within two seconds");
}
