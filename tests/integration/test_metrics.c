/*
 * /metrics through what happens to a real deployment, and read by those who are to read it:
 * promtool and Prometheus.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_metrics);

static const struct http_answer *scrape(const struct daemon *daemon)
{
    const struct http_answer *answer = daemon_get(daemon, "/metrics");

    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    return answer;
}

#define UP "bellwether_master_up{master=\"mymaster\"}"
#define SWITCHES "bellwether_master_switches_total{master=\"mymaster\"}"
#define LAST_SWITCH "bellwether_master_last_switch_timestamp_seconds{master=\"mymaster\"}"
#define VERIFIED "bellwether_master_last_verified_timestamp_seconds{master=\"mymaster\"}"
#define FAILOVERS(outcome, kind) \
    "bellwether_failovers_total{master=\"mymaster\",outcome=\"" outcome "\",kind=\"" kind "\"}"

#define PHASE(phase) \
    "bellwether_last_failover_phase_seconds{master=\"mymaster\",phase=\"" phase "\"}"

/* A failover must end no series but those whose label is the address, and the reason. */
static void expect_same_series(const struct http_answer *before, const struct http_answer *after)
{
    for (const char *line = before->body; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *series = text("%.*s", (int)(strcspn(line, "\n")), line);
        char *blank = strrchr(series, ' ');

        if (*line == '#' || strncmp(line, "bellwether_master_info", 22) == 0 ||
            strncmp(line, "bellwether_master_reason", 24) == 0 ||
            strncmp(line, "bellwether_replica_lag_bytes_max", 32) == 0 ||
            strncmp(line, "bellwether_sentinel_ckquorum_ok", 31) == 0) {
            continue; /* the latter two are absent while nobody can tell */
        }
        *blank = '\0';
        cr_assert_not(metric_in(after, series) < 0, "%s is gone:\n%s", series, after->body);
    }
}

SCENE(integration_metrics, a_crash_is_counted)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    WAIT_UNTIL(10000, metric_is(daemon, "bellwether_sentinels_agreeing{master=\"mymaster\"}", 3));
    WAIT_UNTIL(20000,
               metric_is(daemon, "bellwether_replicas{master=\"mymaster\",status=\"healthy\"}", 2));
    const struct http_answer *before = scrape(daemon);
    cr_assert_eq(metric_in(before, UP), 1);
    cr_assert_eq(metric_in(before, SWITCHES), 0);
    cr_assert_eq(metric_in(before, FAILOVERS("switched", "crash")), 0);
    cr_assert(metric_in(before, LAST_SWITCH) < 0, "%s", before->body);
    cr_assert(!strstr(before->body, "bellwether_last_failover"), "%s", before->body);
    cr_assert_gt(metric_in(before, "bellwether_verify_duration_seconds_count{master=\"mymaster\"}"),
                 0);
    cr_assert_eq(
        metric_in(before,
                  text("bellwether_master_info{master=\"mymaster\",address=\"%s\"}", old->address)),
        1);
    cr_assert_eq(metric_in(before, "bellwether_master_state{master=\"mymaster\",state=\"ok\"}"), 1);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(metric_in(before, text("bellwether_sentinel_connected{sentinel=\"%s\"}",
                                            cluster->sentinels[i].address)),
                     1);
    }

    server_kill(old);
    WAIT_UNTIL(1000, metric_is(daemon, UP, 0));
    cr_assert(strstr(scrape(daemon)->body, "\nbellwether_master_reason{master=\"mymaster\","));
    cr_assert_eq(metric_of(daemon, PHASE("suspected")), 0);
    cr_assert_eq(metric_of(daemon, "bellwether_master_state{master=\"mymaster\",state=\"ok\"}"), 0);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    WAIT_UNTIL(2000, metric_is(daemon, UP, 1));
    WAIT_UNTIL(30000, metric_is(daemon, FAILOVERS("switched", "crash"), 1));

    const struct http_answer *after = scrape(daemon);
    cr_assert_eq(metric_in(after, SWITCHES), 1);
    cr_assert_eq(count_in(after->body, "\nbellwether_master_info{"), 1);
    cr_assert_eq(metric_in(after, text("bellwether_master_info{master=\"mymaster\",address=\"%s\"}",
                                       new_master->address)),
                 1);
    cr_assert_geq(metric_in(after, "bellwether_master_config_epoch{master=\"mymaster\"}"), 1);
    cr_assert_gt(metric_in(after, LAST_SWITCH), metric_in(before, VERIFIED) - 1);
    cr_assert_gt(metric_in(after, VERIFIED), metric_in(before, VERIFIED));
    cr_assert_geq(metric_in(after, "bellwether_sentinel_events_total{event=\"+switch-master\"}"),
                  1);
    cr_assert_eq(metric_in(after, "bellwether_unavailable_seconds_count{master=\"mymaster\"}"), 1);
    const double gone = metric_in(after, "bellwether_unavailable_seconds_sum{master=\"mymaster\"}");
    cr_assert(gone > 0.1 && gone < 60, "%f", gone); /* down-after, and more than a moment */
    cr_assert_eq(
        metric_in(after, "bellwether_failover_duration_seconds_count{master=\"mymaster\"}"), 1);
    const double began =
        metric_in(after, "bellwether_last_failover_timestamp_seconds{master=\"mymaster\"}");
    const double published = metric_in(after, PHASE("published"));
    cr_assert(fabs(began + published - metric_in(after, LAST_SWITCH)) < 1, "%f %f", began,
              published);
    cr_assert(metric_in(after, PHASE("sdown")) > 0 && metric_in(after, PHASE("sdown")) < published);
    cr_assert_geq(metric_in(after, PHASE("finished")), published);
    expect_same_series(before, after);
}

SCENE(integration_metrics, a_manual_failover_is_told_apart)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 2000);
    WAIT_UNTIL(30000, metric_is(daemon, FAILOVERS("switched", "manual"), 1));
    cr_assert(metric_is(daemon, FAILOVERS("switched", "crash"), 0));
    cr_assert(metric_is(daemon, SWITCHES, 1));
}

SCENE(integration_metrics, a_lost_sentinel_is_counted_and_a_forgotten_one_ends)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *const flags[] = {"--sentinel", cluster->sentinels[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    struct server *lost = &cluster->sentinels[2];
    const char *connected = text("bellwether_sentinel_connected{sentinel=\"%s\"}", lost->address);
    const char *reconnects =
        text("bellwether_sentinel_reconnects_total{sentinel=\"%s\"}", lost->address);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(15000, metric_is(daemon, connected, 1));
    cr_assert(metric_is(daemon, reconnects, 0));
    server_kill(lost);
    WAIT_UNTIL(3000, metric_is(daemon, connected, 0));
    WAIT_UNTIL(
        3000,
        metric_of(daemon,
                  text("bellwether_sentinel_errors_total{sentinel=\"%s\",reason=\"unreachable\"}",
                       lost->address)) >= 1);
    server_start(lost);
    WAIT_UNTIL(15000, metric_is(daemon, connected, 1));
    cr_assert_geq(metric_of(daemon, reconnects), 1);
    server_kill(lost);
    for (size_t i = 0; i < 2; i++) { /* the documented way to make the others forget it */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL RESET mymaster");
    }
    WAIT_UNTIL(25000, !strstr(scrape(daemon)->body, lost->address));
    cr_assert(metric_is(daemon, "bellwether_sentinels_known{master=\"mymaster\"}", 2));
    cr_assert(metric_is(
        daemon,
        text("bellwether_sentinel_connected{sentinel=\"%s\"}", cluster->sentinels[1].address), 1));
}

/* An alert needs figures where there is nobody to ask. */
SCENE(integration_metrics, no_sentinel_ever_answers)
{
    const char *const flags[] = {"--sentinel", text("127.0.0.1:%u", port_reserve()), "--sentinel",
                                 text("127.0.0.1:%u", port_reserve()), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    const struct http_answer *first = scrape(daemon);

    cr_assert_eq(metric_in(first, "bellwether_sentinels_configured"), 2);
    cr_assert_eq(metric_in(first, "bellwether_sentinels_unreachable"), 2);
    cr_assert_eq(metric_in(first, "bellwether_ready"), 0);
    cr_assert_eq(metric_in(first, "bellwether_masters{state=\"ok\"}"), 0);
    HOLDS_FOR(1500, metric_is(daemon, "bellwether_sentinels_unreachable", 2) &&
                        metric_is(daemon, "bellwether_ready", 0));
}

SCENE(integration_metrics, sentinels_that_are_away_and_readiness)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const char *const flags[] = {"--sentinel", cluster->sentinels[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert(metric_is(daemon, "bellwether_ready", 1));
    cr_assert(metric_is(daemon, "bellwether_masters{state=\"ok\"}", 1));
    cr_assert(metric_is(daemon, "bellwether_sentinels_configured", 1));
    WAIT_UNTIL(12000, metric_is(daemon, "bellwether_sentinels_known{master=\"mymaster\"}", 3));
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_sentinels_unreachable", 0));
    server_kill(&cluster->sentinels[2]); /* a learned one */
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_sentinels_unreachable", 1));
    server_start(&cluster->sentinels[2]);
    WAIT_UNTIL(15000, metric_is(daemon, "bellwether_sentinels_unreachable", 0));
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(10000, metric_is(daemon, "bellwether_masters{state=\"ok\"}", 0));
    cr_assert(metric_is(daemon, "bellwether_ready", 1), "as /readyz: it was resolved");
    cr_assert_eq(status_of(daemon, "/readyz"), 200);
}

/*
 * A failover that came to nothing, and an outage that went on: how long is known only when the
 * master is back.
 */
SCENE(integration_metrics, an_outage_that_outlives_its_failover_is_counted)
{
    static const char times[] = "bellwether_unavailable_seconds_count{master=\"mymaster\"}",
                      sum[] = "bellwether_unavailable_seconds_sum{master=\"mymaster\"}",
                      line[] = "the master is back after a failover that did not replace it";
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2, .failover_timeout_ms = 20000, .node_conf = "replica-priority 0\n"});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *master = &cluster->nodes[0];

    EXPECT_MASTER(daemon, master, 3000);
    server_kill(master);
    WAIT_UNTIL(20000, metric_is(daemon, FAILOVERS("aborted", "crash"), 1));
    cr_assert(metric_is(daemon, times, 0) && metric_is(daemon, UP, 0), "%s", scrape(daemon)->body);
    server_start(master);
    EXPECT_MASTER(daemon, master, 5000);
    WAIT_UNTIL(3000, metric_is(daemon, times, 1));
    const double told =
        (double)http_number(daemon_get(daemon, "/failovers"), "failovers.0.unavailable_ms") / 1000;
    cr_assert(told > 0.5 && fabs(metric_of(daemon, sum) - told) < 0.001, "%f and %f", told,
              metric_of(daemon, sum));
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), line) == 1);
    cr_assert(metric_is(daemon, SWITCHES, 0) &&
              metric_is(daemon, FAILOVERS("aborted", "crash"), 1));
}

/* ---- those who read it ---- */

static void need(const char *program)
{
    if (!process_can_run(program)) {
        scene_skip(text("%s is missing; deploy/build/deps.sh clients installs it", program));
    }
}

SCENE(integration_metrics, promtool_finds_nothing_to_say)
{
    need("promtool");
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *forward = text("127.0.0.1:%u", port_reserve());
    const struct daemon *daemon = daemon_start(cluster, "--forward", forward, NULL);
    const char *file = text("%s/metrics", scene_folder());

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(20000,
               metric_is(daemon, "bellwether_replicas{master=\"mymaster\",status=\"healthy\"}", 2));
    WAIT_UNTIL(30000,
               metric_of(daemon, "bellwether_sentinel_ckquorum_ok{master=\"mymaster\"}") >= 0);
    file_write(file, scrape(daemon)->body);
    const char *const argv[] = {"bash", "-c", text("promtool check metrics <'%s'", file), NULL};
    const struct process_result result = process_run(20000, NULL, argv);
    cr_assert_eq(result.exit_code, 0, "%s%s", result.out, result.err);
    cr_assert(*result.out == '\0' && *result.err == '\0', "%s%s", result.out, result.err);
}

/* The value of an instant query; NAN: no result, or no answer. */
static double query(const char *base, const char *expression)
{
    const char *path = text("/api/v1/query?query=%s", expression);
    const struct http_answer *answer =
        http_send(&(struct http_request){.base = base, .path = path, .unrecorded = true});
    const char *number = http_string(answer, "data.result.0.value.1");

    return *number != '\0' ? strtod(number, NULL) : NAN;
}

/* What was wrong with the last scrape, "" for nothing. */
static const char *scrape_error(const char *base)
{
    const struct http_answer *targets = http_send(
        &(struct http_request){.base = base, .path = "/api/v1/targets", .unrecorded = true});

    return http_value(targets, "data.activeTargets.0.lastError")
               ? http_string(targets, "data.activeTargets.0.lastError")
               : "no targets";
}

SCENE(integration_metrics, prometheus_sees_a_failover)
{
    need("prometheus");
    /* it is down through some scrapes, of which one may fail */
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 2500});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];
    const unsigned port = port_reserve();
    const char *base = text("http://127.0.0.1:%u", port);
    const char *config = text("%s/prometheus.yml", scene_folder());

    EXPECT_MASTER(daemon, old, 3000);
    file_write(config, text("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
                            "scrape_configs:\n"
                            "- job_name: bellwether\n"
                            "  static_configs: [{targets: ['127.0.0.1:%u']}]\n",
                            daemon->port));
    const char *const argv[] = {"prometheus", text("--config.file=%s", config),
                                text("--storage.tsdb.path=%s/prometheus", scene_folder()),
                                text("--web.listen-address=127.0.0.1:%u", port), NULL};
    (void)process_start(&(struct process_spec){.name = "prometheus", .argv = argv});
    WAIT_UNTIL(20000, query(base, "bellwether_master_up") == 1);
    WAIT_UNTIL(5000, query(base, "up") == 1);
    cr_assert_eq(query(base, "bellwether_master_switches_total"), 0);
    server_kill(old);
    WAIT_UNTIL(10000, query(base, "min_over_time(bellwether_master_up[1m])") == 0);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 2000);
    WAIT_UNTIL(10000, query(base, "bellwether_master_switches_total") == 1);
    WAIT_UNTIL(10000, query(base, "bellwether_master_up") == 1);
    /* the counter was there before, so the first failover is an increase */
    WAIT_UNTIL(30000, query(base, "sum(increase(bellwether_failovers_total[1m]))") > 0);
    WAIT_UNTIL(10000, query(base, "sum(increase(bellwether_unavailable_seconds_sum[1m]))") > 0);
    WAIT_UNTIL(5000, *scrape_error(base) == '\0'); /* a late one is an error of that time */
}
