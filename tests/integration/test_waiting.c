/* Long polls and streams through real failovers. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/crowd.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_waiting);

/* What the machine did not give the test so far. */
static int64_t lost_ms(void)
{
    return now_ms() - running_ms();
}

/* The asker of /master counts, too. @param lost_before of lost_ms(), before anybody was told. */
static void expect_told_together(struct crowd *crowd, int64_t bound_ms, int64_t lost_before)
{
    const int64_t spread_ms = crowd_spread_ns(crowd, -1) / 1000000;
    const int64_t lost = lost_ms() - lost_before;

    cr_assert(spread_ms >= 0 && spread_ms <= patient(bound_ms) + lost,
              "told %lld ms apart, %lld of them lost at most", (long long)spread_ms,
              (long long)lost);
}

/* It ends to be what is published; that the machine stood still is no such news. */
static const struct stream_event *wait_for_loss(struct stream *stream, size_t *from)
{
    const struct stream_event *lost;

    do {
        lost = stream_wait(stream, from, "master", "\"stale\":true", 5000);
    } while (strcmp(json_string_value(json_object_get(lost->data, "reason")), "watcher_stalled") ==
             0);
    return lost;
}

SCENE(integration_waiting, told_of_a_crash_together)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0], *next = &cluster->nodes[1];

    EXPECT_MASTER(daemon, old, 3000);
    struct stream *stream = stream_open(daemon, "/events", NULL);
    struct crowd *crowd = crowd_open(daemon->port, 1, 1, true);
    cr_assert(crowd_settle(crowd, 5000));
    crowd_look_for(crowd, next->address);
    const int64_t lost_before = lost_ms();
    server_kill(old);
    cr_assert(crowd_wait_told(crowd, 30000), "%zu of %zu told; %s", crowd->told, crowd->n,
              daemon_log(daemon));
    expect_told_together(crowd, 100, lost_before);
    size_t from = 0;
    (void)stream_wait(stream, &from, "master", old->address, 1000);
    const struct stream_event *lost = wait_for_loss(stream, &from);
    cr_assert_str_neq(json_string_value(json_object_get(lost->data, "state")), "ok");
    size_t at = from;
    const struct stream_event *told =
        stream_wait(stream, &at, "master", text("\"url\":\"redis://%s\"", next->address), 5000);
    cr_assert(json_is_false(json_object_get(told->data, "stale")));
    at = from;
    (void)stream_wait(stream, &at, "sentinel", "+sdown", 5000);
    (void)stream_wait(stream, &from, "sentinel", "+switch-master", 10000);
    stream_close(stream);
}

/* A manual failover back and forth: who is next can be told beforehand. */
static struct server *fail_over_to_the_other(struct cluster *cluster, struct crowd *crowd,
                                             struct server *old)
{
    struct server *other = old == &cluster->nodes[0] ? &cluster->nodes[1] : &cluster->nodes[0];

    crowd_look_for(crowd, other->address);
    cluster_failover(cluster);
    return other;
}

SCENE(integration_waiting, all_are_told_at_once)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *master = &cluster->nodes[0];

    EXPECT_MASTER(daemon, master, 3000);
    struct crowd *crowd = crowd_open(daemon->port, 1, 1, true);
    cr_assert(crowd_settle(crowd, 5000));
    const int64_t lost_before = lost_ms();
    struct server *next = fail_over_to_the_other(cluster, crowd, master);
    cr_assert(crowd_wait_told(crowd, 30000), "%zu of %zu told; %s", crowd->told, crowd->n,
              daemon_log(daemon));
    expect_told_together(crowd, 100, lost_before);
    EXPECT_MASTER(daemon, next, 1000);
}

SCENE(integration_waiting, long_polls_of_every_kind_through_a_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0], *next = &cluster->nodes[1];

    EXPECT_MASTER(daemon, old, 3000);
    const struct http_answer *now = daemon_get(daemon, "/master");
    const char *paths[] = {
        text("/master?wait=60s&unless=%s&format=text", old->address),
        text("/masters/mymaster?wait=60s&unless=%s&format=url", old->address),
        text("/master?wait=60s&index=%s&instance=%s", http_header(now, "x-bellwether-index"),
             http_header(now, "x-bellwether-instance")),
        "/master?wait=60s&require=majority",
    };
    struct raw *raw[4];
    for (size_t i = 0; i < 3; i++) {
        const char *request = text("GET %s HTTP/1.1\r\nHost: test\r\n\r\n", paths[i]);

        raw[i] = raw_open(daemon->port);
        cr_assert(raw_send(raw[i], request, strlen(request)));
    }
    cr_assert_eq(raw_get(raw_open(daemon->port), paths[3], 3000)->status, 200);
    cluster_failover(cluster);
    const struct http_answer *answer = raw_answer(raw[0], 30000);
    cr_assert(answer->status == 200 && strcmp(answer->body, text("%s\n", next->address)) == 0, "%s",
              http_text(answer));
    answer = raw_answer(raw[1], 5000);
    cr_assert(answer->status == 200 &&
                  strcmp(answer->body, text("redis://%s\n", next->address)) == 0,
              "%s", http_text(answer));
    answer = raw_answer(raw[2], 5000);
    cr_assert(answer->status == 200 || answer->status == 503, "%s", http_text(answer));
    cr_assert_gt(strtoll(http_header(answer, "x-bellwether-index"), NULL, 10),
                 http_number(now, "index"));
    raw[3] = raw_open(daemon->port);
    answer = raw_get(raw[3], "/master", 1000);
    const char *again =
        text("GET /master HTTP/1.1\r\nHost: test\r\nPrefer: wait=1\r\nIf-None-Match: %s\r\n\r\n",
             http_header(answer, "etag"));
    cr_assert(raw_send(raw[3], again, strlen(again)));
    answer = raw_answer(raw[3], 5000);
    cr_assert(answer->status == 304 || answer->status == 200, "%s", http_text(answer));
}

SCENE(integration_waiting, waits_for_the_first_master)
{
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);
    struct raw *raw = raw_open(daemon->port);
    const char request[] = "GET /master?format=text&wait=60s HTTP/1.1\r\nHost: test\r\n\r\n";

    cr_assert(raw_send(raw, request, sizeof(request) - 1));
    cluster_run(cluster);
    const struct http_answer *answer = raw_answer(raw, 30000);
    cr_assert(answer->status == 200 &&
                  strcmp(answer->body, text("%s\n", cluster->nodes[0].address)) == 0,
              "%s", http_text(answer));
}

SCENE(integration_waiting, replay_after_a_cut)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0], *next = &cluster->nodes[1];

    EXPECT_MASTER(daemon, old, 3000);
    struct stream *stream = stream_open(daemon, "/events", NULL);
    size_t from = 0;
    const char *id = stream_wait(stream, &from, "master", old->address, 3000)->id;
    stream_close(stream);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, next, 30000);
    WAIT_UNTIL(10000, cluster_master(cluster) == next);
    const char *numbers = NULL;
    for (int i = 0; i < 8; i++) { /* whichever worker it is: all number alike */
        stream = stream_open(daemon, "/events", id);
        from = 0;
        const struct stream_event *switched =
            stream_wait(stream, &from, "sentinel", "+switch-master", 5000);
        cr_assert(strstr(json_string_value(json_object_get(switched->data, "detail")),
                         old->address + 10));
        from = 0;
        const struct stream_event *told = stream_wait(
            stream, &from, "master", text("\"url\":\"redis://%s\"", next->address), 5000);
        const char *seen = text("%s %s %s", stream->events[0].id, switched->id, told->id);
        cr_assert(!numbers || strcmp(numbers, seen) == 0, "%s, then %s", numbers, seen);
        numbers = seen;
        stream_close(stream);
    }
    stream = stream_open(daemon, "/events?master=mymaster", "0123456789abcdef-1");
    from = 0;
    (void)stream_wait(stream, &from, "master", next->address, 3000);
    cr_assert_eq(from, 1, "another instance's id: the present first");
    stream_close(stream);
}

SCENE(integration_waiting, shutdown_with_waiters_open)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct crowd *crowd = crowd_open(daemon->port, 100, 100, false);
    cr_assert(crowd_settle(crowd, 10000));
    struct raw *raw = raw_open(daemon->port);
    const char *request = text("GET /master?wait=60s&unless=%s HTTP/1.1\r\nHost: test\r\n\r\n",
                               cluster->nodes[0].address);
    cr_assert(raw_send(raw, request, strlen(request)));
    struct stream *stream = stream_open(daemon, "/events", NULL);
    WAIT_UNTIL(5000, metric_is(daemon, "bellwether_http_waiters{kind=\"poll\"}", 101) &&
                         metric_is(daemon, "bellwether_http_waiters{kind=\"stream\"}", 101));
    const int64_t begun_ms = running_ms();
    daemon_signal(daemon, SIGTERM);
    const struct http_answer *answer = raw_answer(raw, 2000);
    cr_assert(answer->status == 200 && strcmp(http_header(answer, "connection"), "close") == 0,
              "%s", http_text(answer));
    cr_assert(stream_ends(stream, 2000));
    cr_assert_eq(process_wait(daemon->process, patient(2000)), 0);
    cr_assert_leq(running_ms() - begun_ms, patient(2000));
}

SCENE(integration_waiting, bad_input)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    static const char *const paths[][2] = {
        {"/master?wait=-1", "wait"},
        {"/master?wait=1h", "wait"},
        {"/masters/mymaster?wait=soon", "wait"},
        {"/master?wait=1s&index=x", "index"},
        {"/master?wait=1s&unless=nowhere", "unless"},
        {"/master?wait=1s&instance=", "instance"},
        {"/events?master=", "master"},
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct http_answer *answer = daemon_get(daemon, paths[i][0]);

        cr_assert(answer->status == 400 &&
                      strcmp(http_string(answer, "parameter"), paths[i][1]) == 0 &&
                      strstr(http_string(answer, "detail"), "takes"),
                  "%s: %s", paths[i][0], http_text(answer));
    }
    const char *instance = http_header(daemon_get(daemon, "/master"), "x-bellwether-instance");
    const char *const ids[] = {"x",
                               "-",
                               "0123456789abcdef-1",
                               text("%s-", instance),
                               text("%s-0", instance),
                               text("%s-x", instance),
                               text("%s-99999999999999999999999", instance),
                               text("%s-999999", instance),
                               text("%02000d", 0)};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) { /* nothing to replay: the present */
        struct stream *stream = stream_open(daemon, "/events", ids[i]);
        size_t from = 0;

        (void)stream_wait(stream, &from, "master", cluster->nodes[0].address, 3000);
        cr_assert_eq(from, 1, "%s", ids[i]);
        stream_close(stream);
    }
    cr_assert_eq(daemon_get(daemon, "/events?master=nobody")->status, 404);
    cr_assert_eq(daemon_get(daemon, "/masters/nobody?wait=60s")->status, 404);
    cr_assert_eq(daemon_ask(daemon, "POST", "/events")->status, 405);
    cr_assert_eq(daemon_ask(daemon, "HEAD", "/events")->status, 200);
    cr_assert_eq(daemon_ask(daemon, "OPTIONS", "/events")->status, 204);
    still_serves(daemon);
}
