/*
 * A thousand and ten thousand callers, half long polls, half streams, held through two failovers:
 * all of them are told of both, none is lost, and the daemon's memory stays within its budget. How
 * long the telling took is written to standard error; the bound on it is wide, since the machine
 * has other things to do.
 */
#include <stdio.h>
#include <string.h>

#include "../support/crowd.h"
#include "../support/daemon.h"
#include "../support/scene.h"

SCENE_SUITE(integration_crowd);

/*
 * OTHER_DESCRIPTORS are the daemon's: --max-connections, and some. The machine may stand still in
 * one of the switches.
 */
enum { SWITCHES = 2, TOLD_BOUND_MS = 30000, STANDSTILL_MS = 3000, OTHER_DESCRIPTORS = 3000 };

struct hall {
    size_t waiters; /* --max-waiters, and all places are taken */
    int64_t settle_ms, spread_ms;
    long anonymous_kb; /* the budget after both switches */
};

/* Every place is taken: the long polls have come back with the index of their first answer. */
static bool all_wait(const struct daemon *daemon, const struct hall *hall)
{
    const char *metrics = daemon_get(daemon, "/metrics")->body;
    const size_t half = hall->waiters / 2;

    return strstr(metrics, text("\nbellwether_http_waiters{kind=\"poll\"} %zu\n", half)) &&
           strstr(metrics, text("\nbellwether_http_waiters{kind=\"stream\"} %zu\n", half));
}

/* At the bound: one more is refused, and whoever does not wait is served. */
static void check_full(const struct daemon *daemon, const struct server *master)
{
    const struct http_answer *refused = daemon_get(daemon, "/events");

    cr_assert(refused->status == 503 && *http_header(refused, "retry-after") != '\0', "%s",
              http_text(refused));
    cr_assert_eq(status_of(daemon, text("/master?wait=10s&unless=%s", master->address)), 503);
    cr_assert_eq(status_of(daemon, "/master?wait=10s&unless=192.0.2.1:1"), 200, "it need not wait");
    cr_assert(says_master(daemon, master));
    cr_assert_eq(status_of(daemon, "/livez"), 200);
    cr_assert_eq(status_of(daemon, "/readyz"), 200);
    still_serves(daemon);
}

/* There and back between two nodes: who is next can be told beforehand. */
static struct server *switch_once(struct cluster *cluster, const struct daemon *daemon,
                                  struct crowd *crowd, struct server *master)
{
    struct server *next = master == &cluster->nodes[0] ? &cluster->nodes[1] : &cluster->nodes[0];

    cluster_settle(cluster);
    crowd_look_for(crowd, next->address);
    cluster_failover(cluster);
    for (int i = 0; i < 3 && !crowd_wait_told(crowd, TOLD_BOUND_MS / 3); i++) {
        (void)cluster_is_before_switch(cluster, master); /* Sentinels may have aborted it */
    }
    cr_assert_eq(crowd->told, crowd->n, "%zu of %zu told, %zu lost; %s", crowd->told, crowd->n,
                 crowd_lost(crowd), daemon_log(daemon));
    return next;
}

static void report(const struct hall *hall, const struct daemon *daemon, const struct crowd *crowd,
                   int n)
{
    const int pid = (int)daemon->process->pid;

    (void)fprintf(
        stderr,
        "%zu waiters, switch %d: told within %.1f ms (long polls %.1f ms, streams %.1f ms); "
        "RssAnon %ld kB, VmRSS %ld kB\n",
        hall->waiters, n, (double)crowd_spread_ns(crowd, -1) / 1e6,
        (double)crowd_spread_ns(crowd, MEMBER_POLL) / 1e6,
        (double)crowd_spread_ns(crowd, MEMBER_STREAM) / 1e6, process_status_kb(pid, "RssAnon"),
        process_status_kb(pid, "VmRSS"));
}

static void hold(const struct hall *hall)
{
    if (!crowd_fits(hall->waiters + OTHER_DESCRIPTORS)) {
        scene_skip(text("no descriptors for %zu callers here", hall->waiters));
    }
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        daemon_start(cluster, "--max-waiters", text("%zu", hall->waiters), NULL);
    struct server *master = &cluster->nodes[0];
    EXPECT_MASTER(daemon, master, 5000);
    struct crowd *crowd = crowd_open(daemon->port, hall->waiters / 2, hall->waiters / 2, true);
    cr_assert(crowd_settle(crowd, hall->settle_ms), "they did not all get a first answer");
    cr_assert_eq(crowd_lost(crowd), 0);
    EXPECT_REASON(daemon, NULL, 12000); /* no news of the start comes in between any more */
    WAIT_UNTIL(20000, (crowd_pump(crowd, 20), all_wait(daemon, hall)));
    check_full(daemon, master);
    int64_t best_ms = 0;
    for (int i = 1; i <= SWITCHES; i++) {
        master = switch_once(cluster, daemon, crowd, master);
        report(hall, daemon, crowd, i);
        const int64_t spread_ms = crowd_spread_ns(crowd, -1) / 1000000;
        cr_assert(spread_ms >= 0 && spread_ms <= patient(hall->spread_ms + STANDSTILL_MS),
                  "told %lld ms apart", (long long)spread_ms);
        best_ms = i == 1 || spread_ms < best_ms ? spread_ms : best_ms;
        crowd_pump(crowd, 200);
        still_serves(daemon);
    }
    cr_assert_leq(best_ms, patient(hall->spread_ms), "told %lld ms apart each time",
                  (long long)best_ms);
    EXPECT_MASTER(daemon, master, 1000);
    cr_assert_eq(crowd_lost(crowd), 0);
    const long anonymous_kb = process_status_kb(daemon->process->pid, "RssAnon");
    cr_assert(daemon_is_sanitized() || (anonymous_kb > 0 && anonymous_kb <= hall->anonymous_kb),
              "RssAnon %ld kB", anonymous_kb);
}

SCENE(integration_crowd, a_thousand)
{
    hold(&(struct hall){
        .waiters = 1000, .settle_ms = 20000, .spread_ms = 500, .anonymous_kb = 12 * 1024});
}

SCENE(integration_crowd, ten_thousand)
{
    hold(&(struct hall){
        .waiters = 10000, .settle_ms = 30000, .spread_ms = 2000, .anonymous_kb = 100 * 1024});
}
