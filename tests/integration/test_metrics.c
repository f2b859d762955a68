/*
 * /metrics through what happens to a real deployment, and read by those who are to read it:
 * promtool and Prometheus.
 */
#include <arpa/inet.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/stream.h"

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

    for (const char *line = answer->body; line && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ') {
            return strtod(line + len, NULL);
        }
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
    cr_assert(!strstr(before->body, "bellwether_last_failover"), "%s", before->body);
    cr_assert_gt(value_in(before, "bellwether_verify_duration_seconds_count{master=\"mymaster\"}"),
                 0);
    cr_assert_eq(value_in(before, text("bellwether_master_info{master=\"mymaster\",address=\"%s\"}",
                                       old->address)),
                 1);
    cr_assert_eq(value_in(before, "bellwether_master_state{master=\"mymaster\",state=\"ok\"}"), 1);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(value_in(before, text("bellwether_sentinel_connected{sentinel=\"%s\"}",
                                           cluster->sentinels[i].address)),
                     1);
    }

    server_kill(old);
    WAIT_UNTIL(1000, is(daemon, UP, 0));
    cr_assert(strstr(scrape(daemon)->body, "\nbellwether_master_reason{master=\"mymaster\","));
    cr_assert_eq(value(daemon, PHASE("suspected")), 0);
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
    cr_assert_eq(value_in(after, "bellwether_failover_duration_seconds_count{master=\"mymaster\"}"),
                 1);
    const double began =
        value_in(after, "bellwether_last_failover_timestamp_seconds{master=\"mymaster\"}");
    const double published = value_in(after, PHASE("published"));
    cr_assert(fabs(began + published - value_in(after, LAST_SWITCH)) < 1, "%f %f", began,
              published);
    cr_assert(value_in(after, PHASE("sdown")) > 0 && value_in(after, PHASE("sdown")) < published);
    cr_assert_geq(value_in(after, PHASE("finished")), published);
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
    const char *reconnects =
        text("bellwether_sentinel_reconnects_total{sentinel=\"%s\"}", lost->address);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(15000, is(daemon, connected, 1));
    cr_assert(is(daemon, reconnects, 0));
    server_kill(lost);
    WAIT_UNTIL(3000, is(daemon, connected, 0));
    WAIT_UNTIL(
        3000, value(daemon,
                    text("bellwether_sentinel_errors_total{sentinel=\"%s\",reason=\"unreachable\"}",
                         lost->address)) >= 1);
    server_start(lost);
    WAIT_UNTIL(15000, is(daemon, connected, 1));
    cr_assert_geq(value(daemon, reconnects), 1);
    server_kill(lost);
    for (size_t i = 0; i < 2; i++) { /* the documented way to make the others forget it */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL RESET mymaster");
    }
    WAIT_UNTIL(25000, !strstr(scrape(daemon)->body, lost->address));
    cr_assert(is(daemon, "bellwether_sentinels_known{master=\"mymaster\"}", 2));
    cr_assert(is(
        daemon,
        text("bellwether_sentinel_connected{sentinel=\"%s\"}", cluster->sentinels[1].address), 1));
}

SCENE(integration_metrics, a_reload_that_fails_shows)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "secret"});
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

/* Every worker reads the tokens for itself. */
SCENE(integration_metrics, token_files_count_in_a_reload)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *file = text("%s/tokens", scene_folder());

    file_write(file, "sesame\n");
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "token", "--token-file", file, "--workers", "2", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const double first = value(daemon, "bellwether_reload_timestamp_seconds");
    cr_assert(is(daemon, "bellwether_reload_success", 1));
    file_write(file, "two tokens in a line\n"); /* read and no good */
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, is(daemon, "bellwether_reload_success", 0));
    cr_assert(is(daemon, "bellwether_reload_timestamp_seconds", first));
    cr_assert_eq(unlink(file), 0);
    daemon_signal(daemon, SIGHUP);
    HOLDS_FOR(300, is(daemon, "bellwether_reload_success", 0));
    cr_assert(is(daemon, "bellwether_reload_timestamp_seconds", first));
    /* by itself, too: seen within 2 s, as what it is */
    file_write(file, "other\n");
    WAIT_UNTIL(4000, is(daemon, "bellwether_reload_success", 1));
    cr_assert_gt(value(daemon, "bellwether_reload_timestamp_seconds"), first);
    WAIT_UNTIL(3000, strstr(daemon_log(daemon), "msg=\"tokens can be read again\"") != NULL);
}

SCENE(integration_metrics, a_missing_file_is_said_once_a_minute)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "secret"});
    const char *file = text("%s/password", scene_folder()),
               *tokens = text("%s/tokens", scene_folder());

    file_write(file, "secret\n");
    file_write(tokens, "sesame-sesame-sesame\n");
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-password-file", file, "--redis-api", "token",
                     "--token-file", tokens, "--log-level", "warn", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(unlink(tokens), 0);
    /* looked at every 2 s */
    WAIT_UNTIL(4000, is(daemon, "bellwether_reload_success", 0));
    HOLDS_FOR(21000, count_in(daemon_log(daemon), "password file can't be read") <= 1 &&
                         count_in(daemon_log(daemon), "tokens can't be read") <= 1);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "password file can't be read") == 1);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "tokens can't be read") == 1);
    file_write(file, "secret\n");
    WAIT_UNTIL(4000, count_in(daemon_log(daemon), "level=warn") == 3);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "password file can be read again") == 1);
}

/* An alert needs figures where there is nobody to ask. */
SCENE(integration_metrics, no_sentinel_ever_answers)
{
    const char *const flags[] = {"--sentinel", text("127.0.0.1:%u", port_reserve()), "--sentinel",
                                 text("127.0.0.1:%u", port_reserve()), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    const struct http_answer *first = scrape(daemon);

    cr_assert_eq(value_in(first, "bellwether_sentinels_configured"), 2);
    cr_assert_eq(value_in(first, "bellwether_sentinels_unreachable"), 2);
    cr_assert_eq(value_in(first, "bellwether_ready"), 0);
    cr_assert_eq(value_in(first, "bellwether_masters{state=\"ok\"}"), 0);
    HOLDS_FOR(1500, is(daemon, "bellwether_sentinels_unreachable", 2) &&
                        is(daemon, "bellwether_ready", 0));
}

SCENE(integration_metrics, sentinels_that_are_away_and_readiness)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const char *const flags[] = {"--sentinel", cluster->sentinels[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert(is(daemon, "bellwether_ready", 1));
    cr_assert(is(daemon, "bellwether_masters{state=\"ok\"}", 1));
    cr_assert(is(daemon, "bellwether_sentinels_configured", 1));
    WAIT_UNTIL(12000, is(daemon, "bellwether_sentinels_known{master=\"mymaster\"}", 3));
    WAIT_UNTIL(3000, is(daemon, "bellwether_sentinels_unreachable", 0));
    server_kill(&cluster->sentinels[2]); /* a learned one */
    WAIT_UNTIL(3000, is(daemon, "bellwether_sentinels_unreachable", 1));
    server_start(&cluster->sentinels[2]);
    WAIT_UNTIL(15000, is(daemon, "bellwether_sentinels_unreachable", 0));
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(10000, is(daemon, "bellwether_masters{state=\"ok\"}", 0));
    cr_assert(is(daemon, "bellwether_ready", 1), "as /readyz: it was resolved");
    cr_assert_eq(status_of(daemon, "/readyz"), 200);
}

SCENE(integration_metrics, requests_of_all_workers_are_summed)
{
    const struct daemon *daemon =
        daemon_start(NULL, "--sentinel", "127.0.0.1:1", "--workers", "3", NULL);
    const char *series =
        "bellwether_http_requests_total{route=\"/version\",method=\"GET\",code=\"200\"}";

    for (int i = 1; i <= 40; i++) { /* each on a connection of its own: whichever worker takes it */
        cr_assert_eq(status_of(daemon, "/version"), 200);
        cr_assert(is(daemon, series, i), "%d", i);
    }
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
    WAIT_UNTIL(20000, is(daemon, FAILOVERS("aborted", "crash"), 1));
    cr_assert(is(daemon, times, 0) && is(daemon, UP, 0), "%s", scrape(daemon)->body);
    server_start(master);
    EXPECT_MASTER(daemon, master, 5000);
    WAIT_UNTIL(3000, is(daemon, times, 1));
    const double told =
        (double)http_number(daemon_get(daemon, "/failovers"), "failovers.0.unavailable_ms") / 1000;
    cr_assert(told > 0.5 && fabs(value(daemon, sum) - told) < 0.001, "%f and %f", told,
              value(daemon, sum));
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), line) == 1);
    cr_assert(is(daemon, SWITCHES, 0) && is(daemon, FAILOVERS("aborted", "crash"), 1));
}

#define WAITERS(kind) "bellwether_http_waiters{kind=\"" kind "\"}"
#define REJECTED(reason) "bellwether_http_rejected_total{reason=\"" reason "\"}"
#define CUT "bellwether_streams_cut_total"

/* In HTTP/1.0: chunks would stand in the middle of what is looked for. */
static struct raw *begin(const struct daemon *daemon, const char *path)
{
    struct raw *raw = raw_open(daemon->port);
    const char *request = text("GET %s HTTP/1.0\r\nHost: test\r\n\r\n", path);

    cr_assert(raw && raw_send(raw, request, strlen(request)));
    return raw;
}

SCENE(integration_metrics, waiting_callers_come_and_go)
{
    enum { POLLS = 3, STREAMS = 2 };
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2});
    const struct daemon *daemon =
        daemon_start(cluster, "--workers", "2", "--max-waiters", "5", NULL);
    struct server *old = &cluster->nodes[0];
    const char *path = text("/master?wait=60s&unless=%s", old->address);
    struct raw *polls[POLLS];
    struct stream *streams[STREAMS];

    EXPECT_MASTER(daemon, old, 3000);
    cr_assert(is(daemon, WAITERS("poll"), 0) && is(daemon, WAITERS("stream"), 0));
    for (int i = 0; i < POLLS; i++) {
        polls[i] = begin(daemon, path);
    }
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = stream_open(daemon, "/events", NULL);
    }
    WAIT_UNTIL(3000, is(daemon, WAITERS("poll"), POLLS) && is(daemon, WAITERS("stream"), STREAMS));
    cr_assert(is(daemon, "bellwether_http_inflight", POLLS + STREAMS + 1),
              "and the scrape itself: %f", value(daemon, "bellwether_http_inflight"));
    cr_assert(is(daemon, REJECTED("waiters"), 0));
    cr_assert_eq(status_of(daemon, path), 503);
    cr_assert_eq(status_of(daemon, "/events"), 503);
    cr_assert(is(daemon, REJECTED("waiters"), 2) && is(daemon, WAITERS("poll"), POLLS));

    for (int i = 0; i < STREAMS; i++) {
        stream_close(streams[i]); /* noticed when there is something to tell */
    }
    cluster_failover(cluster);
    for (int i = 0; i < POLLS; i++) {
        cr_assert_eq(raw_answer(polls[i], 30000)->status, 200);
    }
    WAIT_UNTIL(20000, is(daemon, WAITERS("poll"), 0) && is(daemon, WAITERS("stream"), 0));
    cr_assert(is(daemon, "bellwether_http_inflight", 1) && is(daemon, CUT, 0));
    cr_assert_geq(
        value(daemon,
              "bellwether_http_requests_total{route=\"/master\",method=\"GET\",code=\"503\"}"),
        1);
}

/* A connection that is idle between requests, and kept. */
static struct raw *hold_connection(const struct daemon *daemon)
{
    struct raw *raw;

    WAIT_UNTIL(3000,
               (raw = raw_open(daemon->port)) && raw_get(raw, "/version", 3000)->status == 200);
    return raw;
}

SCENE(integration_metrics, refused_connections_are_counted)
{
    enum { MOST = 10 };
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1",
                                               "--max-connections", text("%d", MOST), NULL);
    struct raw *open[MOST];

    cr_assert(is(daemon, REJECTED("connections"), 0));
    for (int i = 0; i < MOST; i++) {
        open[i] = hold_connection(daemon);
    }
    cr_assert_eq(status_of(daemon, "/version"), 503);
    cr_assert_eq(status_of(daemon, "/livez"), 200, "never refused");
    const struct http_answer *metrics = raw_get(open[0], "/metrics", 3000);
    cr_assert_geq(value_in(metrics, REJECTED("connections")), 1, "%s", http_text(metrics));
    cr_assert_eq(value_in(metrics, REJECTED("waiters")), 0);
}

/*
 * Sentinels that talk much more than a reader reads: it is cut off, the other one hears everything.
 */
SCENE(integration_metrics, a_slow_reader_is_cut_and_counted)
{
    enum { ROUNDS = 250, EACH = 100 };
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    struct fake *sentinel = fake_start(
        FAKE_SENTINEL, &(struct fake_words){.run_id = "0123456789012345678901234567890123456789",
                                            .master_name = "mymaster",
                                            .master_host = "127.0.0.1",
                                            .master_port = text("%u", cluster->nodes[0].port),
                                            .epoch = 1});
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", fake_address(sentinel), NULL);
    char payload[300];

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct raw *slow = begin(daemon, "/events");
    struct raw *quick = begin(daemon, "/events");
    cr_assert(raw_upto(slow, "event: master", 3000), "it began");
    cr_assert(raw_upto(quick, "event: master", 3000));
    const char *instance = http_header(daemon_get(daemon, "/master"), "x-bellwether-instance");
    for (int i = 0; i < ROUNDS && is(daemon, CUT, 0); i++) {
        for (int j = 0; j < EACH; j++) {
            (void)snprintf(payload, sizeof(payload),
                           "slave 127.0.0.1:1 127.0.0.1 1 @ mymaster 127.0.0.1 %u %d",
                           cluster->nodes[0].port, i * EACH + j);
            fake_publish(sentinel, "+slave-reconf-inprog", payload);
        }
        cr_assert(raw_upto(quick, text(" %d\"", i * EACH + EACH - 1), patient(5000)), "round %d",
                  i);
    }
    cr_assert(is(daemon, CUT, 1), "%f", value(daemon, CUT));
    cr_assert(raw_closes(slow, 5000));
    cr_assert(!raw_ended(quick));
    cr_assert(is(daemon, WAITERS("stream"), 1));
    struct stream *again = stream_open(daemon, "/events", text("%s-1", instance));
    size_t from = 0;
    (void)stream_wait(again, &from, "master", cluster->nodes[0].address, 3000);
    cr_assert_eq(from, 1, "what it missed is no longer held: the present first");
    stream_close(again);
    still_serves(daemon);
}

/* ---- those who read it ---- */

static void need(const char *program)
{
    if (!process_can_run(program)) {
        scene_skip(text("%s is missing; deploy/build/deps.sh clients installs it", program));
    }
}

/* ---- forwards ---- */

/* A client of a forward that has said PING and has its answer. */
static int forwarded(unsigned port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval bound = {.tv_sec = patient(10000) / 1000};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[8] = "";

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)), 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_eq(write(fd, "PING\r\n", 6), 6);
    cr_assert_eq(recv(fd, answer, 7, MSG_WAITALL), 7);
    cr_assert_str_eq(answer, "+PONG\r\n");
    return fd;
}

#define CLOSED(reason) "bellwether_forward_closed_total{reason=\"" reason "\"}"

SCENE(integration_metrics, what_forwards_did)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const unsigned port = port_reserve();
    const struct daemon *daemon =
        daemon_start(cluster, "--forward", text("127.0.0.1:%u", port), "--workers", "2", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    const int gone = forwarded(port), stays = forwarded(port);
    WAIT_UNTIL(5000, is(daemon, "bellwether_forward_connections{to=\"master\"}", 2));
    cr_assert(is(daemon, "bellwether_forward_connections{to=\"replica\"}", 0));
    cr_assert(is(daemon, "bellwether_forward_waiting", 0));
    cr_assert(is(daemon, "bellwether_forward_bytes_total{direction=\"in\"}", 12));
    cr_assert(is(daemon, "bellwether_forward_bytes_total{direction=\"out\"}", 14));
    close(gone);
    WAIT_UNTIL(5000, is(daemon, "bellwether_forward_connections{to=\"master\"}", 1));
    cr_assert(is(daemon, CLOSED("client"), 1));
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_str_eq(http_string(status, "forwards.0.listen"), text("127.0.0.1:%u", port));
    cr_assert_str_eq(http_string(status, "forwards.0.master"), "mymaster");
    cr_assert_eq(http_number(status, "forwards.0.connections.master"), 1);
    cr_assert_eq(http_number(status, "forwards.0.accepted"), 2);
    cr_assert_eq(http_number(status, "forwards.0.closed.client"), 1);
    status = daemon_get(daemon, "/status?format=text");
    cr_assert(strstr(status->body, text("  forward 127.0.0.1:%u  to master  clients 1, ", port)),
              "%s", status->body);
    cluster_failover(cluster);
    WAIT_UNTIL(30000, value(daemon, CLOSED("switch")) + value(daemon, CLOSED("promotion")) == 1);
    WAIT_UNTIL(5000, is(daemon, "bellwether_forward_connections{to=\"master\"}", 0));
    close(stays);
}

SCENE(integration_metrics, promtool_finds_nothing_to_say)
{
    need("promtool");
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *forward = text("127.0.0.1:%u", port_reserve());
    const struct daemon *daemon = daemon_start(cluster, "--forward", forward, NULL);
    const char *file = text("%s/metrics", scene_folder());

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(20000, is(daemon, "bellwether_replicas{master=\"mymaster\",status=\"healthy\"}", 2));
    WAIT_UNTIL(30000,
               !isnan(value(daemon, "bellwether_sentinel_ckquorum_ok{master=\"mymaster\"}")));
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
    const struct http_answer *targets = http_send(
        &(struct http_request){.base = base, .path = "/api/v1/targets", .unrecorded = true});
    cr_assert_str_eq(http_string(targets, "data.activeTargets.0.lastError"), "", "%s",
                     http_text(targets));
}
