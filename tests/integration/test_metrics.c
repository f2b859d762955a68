/* /metrics through what happens to a real deployment, and read by those who are to read it: promtool and Prometheus. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_metrics);

static const struct http_answer *scrape(const struct daemon *daemon)
{
    const struct http_answer *answer = daemon_get(daemon, "/metrics");

    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    return answer;
}

/* The value of a series, written as /metrics writes it; NAN: there is none. */
static double value_in(const struct http_answer *answer, const char *series)
{
    const size_t len = strlen(series);

    for (const char *line = answer->body; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    return NAN;
}

static double value(const struct daemon *daemon, const char *series)
{
    return value_in(scrape(daemon), series);
}

static bool is(const struct daemon *daemon, const char *series, double wanted)
{
    return value(daemon, series) == wanted;
}

#define UP "bellwether_master_up{master=\"mymaster\"}"
#define SWITCHES "bellwether_master_switches_total{master=\"mymaster\"}"
#define LAST_SWITCH "bellwether_master_last_switch_timestamp_seconds{master=\"mymaster\"}"
#define VERIFIED "bellwether_master_last_verified_timestamp_seconds{master=\"mymaster\"}"
#define FAILOVERS(outcome, kind) \
    "bellwether_failovers_total{master=\"mymaster\",outcome=\"" outcome "\",kind=\"" kind "\"}"

/* A failover must end no series but the one whose label is the address. */
static void expect_same_series(const struct http_answer *before, const struct http_answer *after)
{
    for (const char *line = before->body; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *series = text("%.*s", (int)(strcspn(line, "\n")), line);
        char *blank = strrchr(series, ' ');

        if (*line == '#' || strncmp(line, "bellwether_master_info", 22) == 0 ||
            strncmp(line, "bellwether_replica_lag_bytes_max", 32) == 0 ||
            strncmp(line, "bellwether_sentinel_ckquorum_ok", 31) == 0)
            continue; /* the latter two are absent while nobody can tell */
        *blank = '\0';
        cr_assert_not(isnan(value_in(after, series)), "%s is gone:\n%s", series, after->body);
    }
}

SCENE(integration_metrics, a_crash_is_counted)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    WAIT_UNTIL(10000, is(daemon, "bellwether_sentinels_agreeing{master=\"mymaster\"}", 3));
    WAIT_UNTIL(20000, is(daemon, "bellwether_replicas{master=\"mymaster\",status=\"healthy\"}", 2));
    const struct http_answer *before = scrape(daemon);
    cr_assert_eq(value_in(before, UP), 1);
    cr_assert_eq(value_in(before, SWITCHES), 0);
    cr_assert_eq(value_in(before, FAILOVERS("switched", "crash")), 0);
    cr_assert(isnan(value_in(before, LAST_SWITCH)), "%s", before->body);
    cr_assert_gt(value_in(before, "bellwether_verify_duration_seconds_count{master=\"mymaster\"}"), 0);
    cr_assert_eq(
        value_in(before, text("bellwether_master_info{master=\"mymaster\",address=\"%s\"}", old->address)),
        1);
    cr_assert_eq(value_in(before, "bellwether_master_state{master=\"mymaster\",state=\"ok\"}"), 1);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(value_in(before, text("bellwether_sentinel_connected{sentinel=\"%s\"}",
                                           cluster->sentinels[i].address)),
                     1);

    server_kill(old);
    WAIT_UNTIL(1000, is(daemon, UP, 0));
    cr_assert_eq(value(daemon, "bellwether_master_state{master=\"mymaster\",state=\"ok\"}"), 0);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    WAIT_UNTIL(2000, is(daemon, UP, 1));
    WAIT_UNTIL(30000, is(daemon, FAILOVERS("switched", "crash"), 1));

    const struct http_answer *after = scrape(daemon);
    cr_assert_eq(value_in(after, SWITCHES), 1);
    cr_assert_eq(count_in(after->body, "\nbellwether_master_info{"), 1);
    cr_assert_eq(value_in(after, text("bellwether_master_info{master=\"mymaster\",address=\"%s\"}",
                                      new_master->address)),
                 1);
    cr_assert_geq(value_in(after, "bellwether_master_config_epoch{master=\"mymaster\"}"), 1);
    cr_assert_gt(value_in(after, LAST_SWITCH), value_in(before, VERIFIED) - 1);
    cr_assert_gt(value_in(after, VERIFIED), value_in(before, VERIFIED));
    cr_assert_geq(value_in(after, "bellwether_sentinel_events_total{event=\"+switch-master\"}"), 1);
    cr_assert_eq(value_in(after, "bellwether_unavailable_seconds_count{master=\"mymaster\"}"), 1);
    const double gone = value_in(after, "bellwether_unavailable_seconds_sum{master=\"mymaster\"}");
    cr_assert(gone > 0.1 && gone < 60, "%f", gone); /* down-after, and more than a moment */
    cr_assert_eq(value_in(after, "bellwether_failover_duration_seconds_count{master=\"mymaster\"}"), 1);
    expect_same_series(before, after);
}

SCENE(integration_metrics, a_manual_failover_is_told_apart)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 2000);
    WAIT_UNTIL(30000, is(daemon, FAILOVERS("switched", "manual"), 1));
    cr_assert(is(daemon, FAILOVERS("switched", "crash"), 0));
    cr_assert(is(daemon, SWITCHES, 1));
}

SCENE(integration_metrics, a_lost_sentinel_is_counted_and_a_forgotten_one_ends)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *const flags[] = {"--sentinel", cluster->sentinels[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    struct server *lost = &cluster->sentinels[2];
    const char *connected = text("bellwether_sentinel_connected{sentinel=\"%s\"}", lost->address);
    const char *reconnects = text("bellwether_sentinel_reconnects_total{sentinel=\"%s\"}", lost->address);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(15000, is(daemon, connected, 1));
    cr_assert(is(daemon, reconnects, 0));
    server_kill(lost);
    WAIT_UNTIL(3000, is(daemon, connected, 0));
    WAIT_UNTIL(3000,
               value(daemon, text("bellwether_sentinel_errors_total{sentinel=\"%s\",reason=\"unreachable\"}",
                                  lost->address)) >= 1);
    server_start(lost);
    WAIT_UNTIL(15000, is(daemon, connected, 1));
    cr_assert_geq(value(daemon, reconnects), 1);
    server_kill(lost);
    for (size_t i = 0; i < 2; i++) /* the documented way to make the others forget it */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL RESET mymaster");
    WAIT_UNTIL(25000, strstr(scrape(daemon)->body, lost->address) == NULL);
    cr_assert(is(daemon, "bellwether_sentinels_known{master=\"mymaster\"}", 2));
    cr_assert(
        is(daemon, text("bellwether_sentinel_connected{sentinel=\"%s\"}", cluster->sentinels[1].address), 1));
}

SCENE(integration_metrics, a_reload_that_fails_shows)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "secret"});
    const char *file = text("%s/password", scene_folder());
    file_write(file, "secret\n");
    const struct daemon *daemon = daemon_start(cluster, "--sentinel-password-file", file, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const double first = value(daemon, "bellwether_reload_timestamp_seconds");
    cr_assert(is(daemon, "bellwether_reload_success", 1));
    cr_assert_eq(unlink(file), 0);
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, is(daemon, "bellwether_reload_success", 0));
    cr_assert(is(daemon, "bellwether_reload_timestamp_seconds", first));
    file_write(file, "secret\n");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, is(daemon, "bellwether_reload_success", 1));
    cr_assert_gt(value(daemon, "bellwether_reload_timestamp_seconds"), first);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
}

SCENE(integration_metrics, requests_of_all_workers_are_summed)
{
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1", "--workers", "3", NULL);
    const char *series = "bellwether_http_requests_total{route=\"/version\",method=\"GET\",code=\"200\"}";

    for (int i = 1; i <= 40; i++) { /* each on a connection of its own: whichever worker takes it */
        cr_assert_eq(status_of(daemon, "/version"), 200);
        cr_assert(is(daemon, series, i), "%d", i);
    }
}

/* ---- those who read it ---- */

static void need(const char *program)
{
    if (!process_can_run(program))
        scene_skip(text("%s is missing; deploy/deps.sh clients installs it", program));
}

SCENE(integration_metrics, promtool_finds_nothing_to_say)
{
    need("promtool");
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const char *file = text("%s/metrics", scene_folder());

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(20000, is(daemon, "bellwether_replicas{master=\"mymaster\",status=\"healthy\"}", 2));
    WAIT_UNTIL(30000, !isnan(value(daemon, "bellwether_sentinel_ckquorum_ok{master=\"mymaster\"}")));
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

SCENE(integration_metrics, prometheus_sees_a_failover)
{
    need("prometheus");
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
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
    cr_assert_eq(query(base, "up"), 1);
    cr_assert_eq(query(base, "bellwether_master_switches_total"), 0);
    server_kill(old);
    WAIT_UNTIL(10000, query(base, "min_over_time(bellwether_master_up[1m])") == 0);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 2000);
    WAIT_UNTIL(10000, query(base, "bellwether_master_switches_total") == 1);
    WAIT_UNTIL(10000, query(base, "bellwether_master_up") == 1);
    /* the counter was there before, so the first failover is an increase */
    WAIT_UNTIL(30000, query(base, "sum(increase(bellwether_failovers_total[1m]))") > 0);
    WAIT_UNTIL(10000, query(base, "sum(increase(bellwether_unavailable_seconds_sum[1m]))") > 0);
    const struct http_answer *targets =
        http_send(&(struct http_request){.base = base, .path = "/api/v1/targets", .unrecorded = true});
    cr_assert_str_eq(http_string(targets, "data.activeTargets.0.lastError"), "", "%s", http_text(targets));
}
