/* /metrics of what callers of the daemon do: requests, those that wait, those that are refused. */
#include <stdio.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_metrics_http);

SCENE(integration_metrics_http, requests_of_all_workers_are_summed)
{
    const struct daemon *daemon =
        daemon_start(NULL, "--sentinel", "127.0.0.1:1", "--workers", "3", NULL);
    const char *series =
        "bellwether_http_requests_total{route=\"/version\",method=\"GET\",code=\"200\"}";

    for (int i = 1; i <= 40; i++) { /* each on a connection of its own: whichever worker takes it */
        cr_assert_eq(status_of(daemon, "/version"), 200);
        cr_assert(metric_is(daemon, series, i), "%d", i);
    }
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

SCENE(integration_metrics_http, waiting_callers_come_and_go)
{
    enum { POLLS = 3, STREAMS = 2 };
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        daemon_start(cluster, "--workers", "2", "--max-waiters", "5", NULL);
    struct server *old = &cluster->nodes[0];
    const char *path = text("/master?wait=60s&unless=%s", old->address);
    struct raw *polls[POLLS];
    struct stream *streams[STREAMS];

    EXPECT_MASTER(daemon, old, 3000);
    cr_assert(metric_is(daemon, WAITERS("poll"), 0) && metric_is(daemon, WAITERS("stream"), 0));
    for (int i = 0; i < POLLS; i++) {
        polls[i] = begin(daemon, path);
    }
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = stream_open(daemon, "/events", NULL);
    }
    WAIT_UNTIL(3000, metric_is(daemon, WAITERS("poll"), POLLS) &&
                         metric_is(daemon, WAITERS("stream"), STREAMS));
    /* and the scrape itself; another worker may not be done with the one before */
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_http_inflight", POLLS + STREAMS + 1));
    cr_assert(metric_is(daemon, REJECTED("waiters"), 0));
    cr_assert_eq(status_of(daemon, path), 503);
    cr_assert_eq(status_of(daemon, "/events"), 503);
    cr_assert(metric_is(daemon, REJECTED("waiters"), 2) &&
              metric_is(daemon, WAITERS("poll"), POLLS));

    for (int i = 0; i < STREAMS; i++) {
        stream_close(streams[i]); /* noticed when there is something to tell */
    }
    cluster_failover(cluster);
    for (int i = 0; i < POLLS; i++) {
        cr_assert_eq(raw_answer(polls[i], 30000)->status, 200);
    }
    WAIT_UNTIL(20000,
               metric_is(daemon, WAITERS("poll"), 0) && metric_is(daemon, WAITERS("stream"), 0));
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_http_inflight", 1));
    cr_assert(metric_is(daemon, CUT, 0));
    cr_assert_geq(
        metric_of(daemon,
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

SCENE(integration_metrics_http, refused_connections_are_counted)
{
    enum { MOST = 10 };
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1",
                                               "--max-connections", text("%d", MOST), NULL);
    struct raw *open[MOST];

    cr_assert(metric_is(daemon, REJECTED("connections"), 0));
    for (int i = 0; i < MOST; i++) {
        open[i] = hold_connection(daemon);
    }
    cr_assert_eq(status_of(daemon, "/version"), 503);
    cr_assert_eq(status_of(daemon, "/livez"), 200, "never refused");
    const struct http_answer *metrics = raw_get(open[0], "/metrics", 3000);
    cr_assert_geq(metric_in(metrics, REJECTED("connections")), 1, "%s", http_text(metrics));
    cr_assert_eq(metric_in(metrics, REJECTED("waiters")), 0);
}

/*
 * Sentinels that talk much more than a reader reads: it is cut off, the other one hears everything.
 */
SCENE(integration_metrics_http, a_slow_reader_is_cut_and_counted)
{
    enum { ROUNDS = 250, EACH = 100 };
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    struct fake *sentinel = fake_start_sentinel(cluster->nodes[0].port);
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", fake_address(sentinel), NULL);
    char payload[300];

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct raw *slow = begin(daemon, "/events");
    struct raw *quick = begin(daemon, "/events");
    cr_assert(raw_upto(slow, "event: master", 3000), "it began");
    cr_assert(raw_upto(quick, "event: master", 3000));
    const char *instance = http_header(daemon_get(daemon, "/master"), "x-bellwether-instance");
    for (int i = 0; i < ROUNDS && metric_is(daemon, CUT, 0); i++) {
        for (int j = 0; j < EACH; j++) {
            (void)snprintf(payload, sizeof(payload),
                           "slave 127.0.0.1:1 127.0.0.1 1 @ mymaster 127.0.0.1 %u %d",
                           cluster->nodes[0].port, i * EACH + j);
            fake_publish(sentinel, "+slave-reconf-inprog", payload);
        }
        cr_assert(raw_upto(quick, text(" %d\"", i * EACH + EACH - 1), patient(5000)), "round %d",
                  i);
    }
    cr_assert(metric_is(daemon, CUT, 1), "%f", metric_of(daemon, CUT));
    cr_assert(raw_closes(slow, 5000));
    cr_assert(!raw_ended(quick));
    WAIT_UNTIL(3000, metric_is(daemon, WAITERS("stream"), 1));
    struct stream *again = stream_open(daemon, "/events", text("%s-1", instance));
    size_t from = 0;
    (void)stream_wait(again, &from, "master", cluster->nodes[0].address, 3000);
    cr_assert_eq(from, 1, "what it missed is no longer held: the present first");
    stream_close(again);
    still_serves(daemon);
}
