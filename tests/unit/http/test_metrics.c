/* /metrics of a real worker: what it says of a snapshot, and of the requests before it. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/http/router.h"
#include "bellwether/metrics/counters.h"
#include "suite_harness.h"

static void begin(void)
{
    harness_init(&harness);
}

TestSuite(http_metrics, .init = begin, .fini = close_harness, .timeout = 30);

static bool has_line(const struct reply *reply, const char *line)
{
    char text[256];

    snprintf(text, sizeof(text), "\n%s\n", line);
    return strstr(reply->body, text) != NULL;
}

/* Each line stands in /metrics now. */
static void expect_lines(const char *const *lines)
{
    struct reply reply = get(&harness, "/metrics");

    cr_assert_eq(reply.status, 200);
    for (; *lines; lines++) {
        cr_assert(has_line(&reply, *lines), "%s\nis not in:\n%s", *lines, reply.body);
    }
    reply_release(&reply);
}
#define EXPECT_LINES(...) expect_lines((const char *const[]){__VA_ARGS__, NULL})

static void expect_no(const char *text)
{
    struct reply reply = get(&harness, "/metrics");

    cr_assert(!strstr(reply.body, text), "%s\nis in:\n%s", text, reply.body);
    reply_release(&reply);
}

static void touch(const char *method, const char *target, int status)
{
    struct reply reply = ask(&harness, method, target, NULL);

    cr_assert_eq(reply.status, status, "%s %s: %d", method, target, reply.status);
    reply_release(&reply);
}

Test(http_metrics, forwards_that_there_are_not_are_left_out)
{
    harness_start(&harness);
    expect_no("bellwether_forward");
}

Test(http_metrics, on_every_kind_of_listener)
{
    struct reply reply;

    harness_start(&harness);
    reply = ask_probe(&harness, "GET", "/metrics");
    cr_assert_eq(reply.status, 200);
    cr_assert_str_eq(header_of(&reply, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
    cr_assert_str_eq(header_of(&reply, "cache-control"), "no-store");
    cr_assert_eq(strncmp(reply.body, "# HELP ", 7), 0);
    cr_assert_eq(reply.body[reply.size - 1], '\n');
    reply_release(&reply);
    touch("HEAD", "/metrics", 200);
    touch("OPTIONS", "/metrics", 204);
    touch("POST", "/metrics", 405);
    touch("GET", "/metrics?format=json", 200);
}

Test(http_metrics, before_the_first_snapshot_there_are_no_masters)
{
    harness_start(&harness);
    expect_no("bellwether_master_up");
    EXPECT_LINES("bellwether_http_inflight 1", "bellwether_ready 0",
                 "bellwether_masters{state=\"ok\"} 0", "bellwether_masters{state=\"unknown\"} 0",
                 "bellwether_master_reason{master=\"\",reason=\"starting\"} 1",
                 "bellwether_sentinels_configured 0", "bellwether_sentinels_unreachable 0");
}

Test(http_metrics, a_snapshot)
{
    struct snapshot_master *good = make_master("good\"one");
    struct snapshot_master *bad = make_master_in("bad", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct snapshot_master *none = make_master_in("none", MASTER_UNKNOWN, REASON_STARTING);

    add_replicas(good, 3);
    good->replicas[2].healthy = good->replicas[2].promotable = false;
    good->sentinels[0].has_ckquorum = good->sentinels[0].ckquorum_ok = true;
    good->sentinels[1].has_ckquorum = good->sentinels[1].ckquorum_ok = true;
    bad->sentinels[0].has_ckquorum = bad->sentinels[0].ckquorum_ok = true;
    bad->sentinels[1].has_ckquorum = true;
    bad->majority = false;
    harness_start(&harness);
    harness_post(&harness, make_snapshot(good, bad, none));
    EXPECT_LINES(
        "bellwether_masters{state=\"ok\"} 1", "bellwether_masters{state=\"down\"} 1",
        "bellwether_masters{state=\"unknown\"} 1", "bellwether_masters{state=\"conflict\"} 0",
        "bellwether_master_up{master=\"good\\\"one\"} 1", "bellwether_master_up{master=\"bad\"} 0",
        "bellwether_master_up{master=\"none\"} 0",
        "bellwether_master_verified{master=\"good\\\"one\"} 1",
        "bellwether_master_verified{master=\"bad\"} 0",
        "bellwether_master_majority{master=\"bad\"} 0",
        "bellwether_master_state{master=\"bad\",state=\"down\"} 1",
        "bellwether_master_state{master=\"bad\",state=\"ok\"} 0",
        "bellwether_master_state{master=\"none\",state=\"unknown\"} 1",
        "bellwether_master_reason{master=\"bad\",reason=\"redis_unreachable\"} 1",
        "bellwether_master_reason{master=\"none\",reason=\"starting\"} 1",
        "bellwether_master_info{master=\"bad\",address=\"10.0.0.12:6379\"} 1",
        "bellwether_master_config_epoch{master=\"bad\"} 3",
        "bellwether_replicas{master=\"good\\\"one\",status=\"healthy\"} 2",
        "bellwether_replicas{master=\"good\\\"one\",status=\"unhealthy\"} 1",
        "bellwether_replicas{master=\"good\\\"one\",status=\"promotable\"} 2",
        "bellwether_replicas{master=\"bad\",status=\"healthy\"} 0",
        "bellwether_replica_lag_bytes_max{master=\"good\\\"one\"} 200",
        "bellwether_sentinels_known{master=\"bad\"} 3",
        "bellwether_sentinels_reachable{master=\"bad\"} 3",
        "bellwether_sentinels_agreeing{master=\"bad\"} 3",
        "bellwether_sentinel_ckquorum_ok{master=\"good\\\"one\"} 1",
        "bellwether_sentinel_ckquorum_ok{master=\"bad\"} 0");
    expect_no("bellwether_master_reason{master=\"good");
    expect_no("bellwether_master_info{master=\"none\"");
    expect_no("bellwether_master_config_epoch{master=\"none\"");
    expect_no("bellwether_replica_lag_bytes_max{master=\"bad\"");
    expect_no("bellwether_sentinel_ckquorum_ok{master=\"none\"");
}

Test(http_metrics, a_silent_watcher_is_no_master)
{
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_master("m"), NULL, NULL));
    EXPECT_LINES("bellwether_master_up{master=\"m\"} 1", "bellwether_ready 1");
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    EXPECT_LINES("bellwether_master_up{master=\"m\"} 0",
                 "bellwether_master_verified{master=\"m\"} 0",
                 "bellwether_master_reason{master=\"m\",reason=\"watcher_stalled\"} 1");
}

Test(http_metrics, requests_are_counted)
{
    harness_start(&harness);
    touch("GET", "/master", 503);
    harness_post(&harness, make_snapshot(make_master("m"), NULL, NULL));
    for (int i = 0; i < 3; i++) {
        touch("GET", "/master", 200);
    }
    touch("GET", "/master?pretty=1", 200);
    touch("HEAD", "/masters/m", 200);
    touch("GET", "/masters/a%20b", 404);
    touch("OPTIONS", "/master", 204);
    touch("DELETE", "/master", 405);
    touch("GET", "/nowhere", 404);
    touch("GET", "/master?require=what", 400);
    touch("GET", "/master?fresh=1", 200);
    EXPECT_LINES(
        "bellwether_http_requests_total{route=\"/master\",method=\"GET\",code=\"200\"} 5",
        "bellwether_http_requests_total{route=\"/master\",method=\"GET\",code=\"503\"} 1",
        "bellwether_http_requests_total{route=\"/master\",method=\"GET\",code=\"400\"} 1",
        "bellwether_http_requests_total{route=\"/master\",method=\"OPTIONS\",code=\"204\"} 1",
        "bellwether_http_requests_total{route=\"/master\",method=\"other\",code=\"405\"} 1",
        "bellwether_http_requests_total{route=\"/masters/{name}\",method=\"HEAD\",code=\"200\"} 1",
        "bellwether_http_requests_total{route=\"/masters/{name}\",method=\"GET\",code=\"404\"} 1",
        "bellwether_http_requests_total{route=\"other\",method=\"GET\",code=\"404\"} 1",
        "bellwether_http_request_duration_seconds_count{route=\"/master\"} 9",
        "bellwether_http_request_duration_seconds_bucket{route=\"/master\",le=\"+Inf\"} 9");
    expect_no("a b");
    EXPECT_LINES(
        "bellwether_http_requests_total{route=\"/metrics\",method=\"GET\",code=\"200\"} 2");
}

Test(http_metrics, refusals_are_counted)
{
    struct reply reply;

    harness_start(&harness);
    reply = ask(&harness, "GET", "/livez", "Content-Length: 99000000\r\n");
    cr_assert_eq(reply.status, 413);
    reply_release(&reply);
    EXPECT_LINES("bellwether_http_rejected_total{reason=\"body\"} 1",
                 "bellwether_http_rejected_total{reason=\"connections\"} 0");
}

/* What the watcher and another worker counted. */
Test(http_metrics, threads_are_summed_up)
{
    struct metrics *metrics = metrics_new(2);
    struct metrics_http *other = metrics_http(metrics, 1);
    struct metrics_master *master = metrics_master_add(metrics, "m");
    struct metrics_sentinel *sentinel = metrics_sentinel_add(metrics, "10.0.2.1:26379");

    harness.config.metrics = metrics;
    harness_start(&harness);
    touch("GET", "/livez", 200);
    metric_add(&other->requests[ROUTE_LIVEZ][METRIC_METHOD_GET][METRIC_CODE_200], 41);
    metric_move(&other->inflight, 5);
    metric_move(&other->long_polls[METRIC_WAITER_STREAM], 5);
    metric_add(&other->streams_cut, 2);
    metric_add(&master->switches, 2);
    metric_add(&master->failovers[METRIC_OUTCOME_SWITCHED][METRIC_KIND_CRASH], 2);
    metric_add(&master->adoptions[METRIC_ADOPTION_UNDONE], 1);
    metric_observe(&master->unavailable, METRIC_UNAVAILABLE, 1500000);
    metric_set(&master->last_verified_wall_ms, 1795348800123);
    metric_move(&sentinel->connected, 1);
    metric_add(&sentinel->errors[METRIC_SENTINEL_ERROR_LOOPBACK], 3);
    EXPECT_LINES(
        "bellwether_http_requests_total{route=\"/livez\",method=\"GET\",code=\"200\"} 42",
        "bellwether_http_inflight 6", "bellwether_http_waiters{kind=\"stream\"} 5",
        "bellwether_http_waiters{kind=\"poll\"} 0", "bellwether_streams_cut_total 2",
        "bellwether_master_switches_total{master=\"m\"} 2",
        "bellwether_failovers_total{master=\"m\",outcome=\"switched\",kind=\"crash\"} 2",
        "bellwether_failovers_total{master=\"m\",outcome=\"aborted\",kind=\"manual\"} 0",
        "bellwether_adoptions_total{master=\"m\",outcome=\"kept\"} 0",
        "bellwether_adoptions_total{master=\"m\",outcome=\"undone\"} 1",
        "bellwether_unavailable_seconds_sum{master=\"m\"} 1.5",
        "bellwether_unavailable_seconds_bucket{master=\"m\",le=\"1\"} 0",
        "bellwether_unavailable_seconds_bucket{master=\"m\",le=\"2\"} 1",
        "bellwether_master_last_verified_timestamp_seconds{master=\"m\"} 1795348800.123",
        "bellwether_sentinel_connected{sentinel=\"10.0.2.1:26379\"} 1",
        "bellwether_sentinel_tilt{sentinel=\"10.0.2.1:26379\"} 0",
        "bellwether_sentinel_errors_total{sentinel=\"10.0.2.1:26379\",reason=\"loopback\"} 3");
    expect_no("bellwether_master_last_switch_timestamp_seconds");
    metrics_sentinel_remove(metrics, sentinel);
    metrics_master_remove(metrics, master);
    expect_no("10.0.2.1:26379");
    expect_no("bellwether_failovers_total");
    harness_release(&harness);
    metrics_free(metrics);
    harness_init(&harness);
    harness_start(&harness);
}

/* Counted by workers of which one never ran. */
Test(http_metrics, forwards_are_summed_up)
{
    struct metrics *metrics = metrics_new(2);
    struct metrics_forward *one, *other;

    metrics_add_forwards(metrics, 2);
    harness.config.metrics = metrics;
    harness_start(&harness);
    one = metrics_forward(metrics, 0, 0);
    other = metrics_forward(metrics, 1, 1);
    metric_move(&one->connections[METRIC_FORWARD_TO_MASTER], 2);
    metric_move(&other->connections[METRIC_FORWARD_TO_MASTER], 3);
    metric_move(&other->connections[METRIC_FORWARD_TO_REPLICA], 1);
    metric_move(&other->waiting, 7);
    metric_move(&one->handshakes, 6);
    metric_add(&one->bytes[METRIC_FORWARD_WAY_IN], 10);
    metric_add(&other->bytes[METRIC_FORWARD_WAY_IN], 1000);
    metric_add(&other->bytes[METRIC_FORWARD_WAY_OUT], 5);
    metric_add(&one->closed[METRIC_FORWARD_END_SWITCH], 4);
    metric_add(&other->closed[METRIC_FORWARD_END_SWITCH], 4);
    EXPECT_LINES("bellwether_forward_connections{to=\"master\"} 5",
                 "bellwether_forward_connections{to=\"replica\"} 1", "bellwether_forward_waiting 7",
                 "bellwether_forward_handshakes 6",
                 "bellwether_forward_bytes_total{direction=\"in\"} 1010",
                 "bellwether_forward_bytes_total{direction=\"out\"} 5",
                 "bellwether_forward_closed_total{reason=\"switch\"} 8",
                 "bellwether_forward_closed_total{reason=\"limit\"} 0");
    harness_release(&harness);
    metrics_free(metrics);
    harness_init(&harness);
    harness_start(&harness);
}

Test(http_metrics, credentials_and_sentinels_as_the_watcher_has_them)
{
    struct metrics *metrics = metrics_new(1);
    struct metrics_watch *watch = metrics_watch(metrics);

    harness.config.metrics = metrics;
    harness_start(&harness);
    expect_no("bellwether_reload");
    metric_files_start(&watch->files, 1795348800123);
    metric_set(&watch->sentinels_configured, 3);
    metric_set(&watch->sentinels_unreachable, 2);
    EXPECT_LINES("bellwether_reload_success 1",
                 "bellwether_reload_timestamp_seconds 1795348800.123",
                 "bellwether_sentinels_configured 3", "bellwether_sentinels_unreachable 2");
    /* asked for and failed; asked for, nothing new; a file that changed by itself */
    metric_files_read(&watch->files, false, 1795348800123, 1795348801000);
    EXPECT_LINES("bellwether_reload_success 0",
                 "bellwether_reload_timestamp_seconds 1795348800.123");
    metric_files_read(&watch->files, true, 1795348800123, 1795348802000);
    EXPECT_LINES("bellwether_reload_success 1", "bellwether_reload_timestamp_seconds 1795348802");
    metric_files_read(&watch->files, true, 1795348803000, 0);
    EXPECT_LINES("bellwether_reload_success 1", "bellwether_reload_timestamp_seconds 1795348803");
    harness_release(&harness);
    metrics_free(metrics);
    harness_init(&harness);
    harness_start(&harness);
}
