/*
 * How fast the answer follows: a master that is killed, and one that hangs.
 *
 * One thread asks /master and all three Sentinels over and over, with a pause of half a millisecond
 * in between, which is the resolution of what is told here: an answer is as old as it is when it
 * arrives, so a figure may be up to that much too long, and the new answer may even arrive before
 * any Sentinel was seen to name it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench.h"

enum { ROUND_NS = 500000, N_SENTINELS = 3, N_ASKERS = N_SENTINELS + 1, HTTP = N_SENTINELS };

/* What is seen from a kill on; times in ns, 0: not seen. */
struct seen {
    int64_t began, not_ok, sentinel, fresh;
    char old[64], by_sentinel[64], by_http[64];
    /* 200 with the old address after something else was answered, or anything else after the new */
    unsigned relapses;
};

/* Whom to ask, in plain. */
struct deployment {
    struct cluster *cluster;
    struct daemon *daemon;
    uint16_t ports[N_SENTINELS]; /* of the Sentinels */
};

static void ask_once(struct asker *askers)
{
    const int64_t end = monotonic_ns() + ROUND_NS;

    for (size_t i = 0; i < N_ASKERS; i++) {
        asker_ask(&askers[i]);
    }
    for (int64_t now = monotonic_ns(); now < end; now = monotonic_ns()) {
        bool waiting = false;

        for (size_t i = 0; i < N_ASKERS; i++) {
            waiting = waiting || askers[i].waiting;
        }
        if (waiting) {
            askers_wait(askers, N_ASKERS, end);
        } else {
            nap_us((int)((end - now) / 1000));
        }
    }
}

static void look(struct seen *seen, const struct asker *askers)
{
    const struct asker *http = &askers[HTTP];

    for (size_t i = 0; i < N_SENTINELS; i++) {
        if (seen->sentinel == 0 && askers[i].answered && askers[i].address[0] != '\0' &&
            strcmp(askers[i].address, seen->old) != 0) {
            seen->sentinel = askers[i].answered_ns;
            (void)snprintf(seen->by_sentinel, sizeof(seen->by_sentinel), "%s", askers[i].address);
        }
    }
    if (!http->answered || http->answered_ns < seen->began) {
        return;
    }
    const bool is_old = http->status == 200 && strcmp(http->address, seen->old) == 0;
    if (http->status != 200 && seen->not_ok == 0) {
        seen->not_ok = http->answered_ns;
    }
    if (http->status == 200 && !is_old && seen->fresh == 0) {
        seen->fresh = http->answered_ns;
        (void)snprintf(seen->by_http, sizeof(seen->by_http), "%s", http->address);
    }
    if ((is_old && seen->not_ok != 0) ||
        (seen->fresh != 0 && (http->status != 200 || strcmp(http->address, seen->by_http) != 0))) {
        seen->relapses++;
    }
}

static void start_asking(struct asker *askers, const struct deployment *of)
{
    for (size_t i = 0; i < N_SENTINELS; i++) {
        asker_init(&askers[i], ASKER_SENTINEL, of->ports[i], of->cluster->name);
    }
    asker_init(&askers[HTTP], ASKER_HTTP, of->daemon->port, "/master");
    for (int i = 0; i < 20; i++) {
        ask_once(askers);
    }
}

static void stop_asking(struct asker *askers)
{
    for (size_t i = 0; i < N_ASKERS; i++) {
        asker_close(&askers[i]);
    }
}

/*
 * Kill the master, watch until the new one is answered and a little longer, bring the old one back
 * as a replica.
 */
static struct seen kill_once(const struct deployment *of)
{
    struct cluster *cluster = of->cluster;
    const struct daemon *daemon = of->daemon;
    struct asker askers[N_ASKERS];
    struct server *old = cluster_master(cluster);
    struct seen seen = {.began = 0};

    cr_assert(old);
    EXPECT_MASTER(daemon, old, 10000);
    start_asking(askers, of);
    (void)snprintf(seen.old, sizeof(seen.old), "%s", old->address);
    old->process->may_die = true;
    seen.began = monotonic_ns();
    cr_assert(kill(old->process->pid, SIGKILL) == 0);
    for (int64_t end = 0; end == 0 || monotonic_ns() < end;) {
        ask_once(askers);
        look(&seen, askers);
        cr_assert(monotonic_ns() - seen.began < 30000000000, "no new master:\n%s",
                  daemon_log(daemon));
        if (end == 0 && seen.fresh != 0 && seen.sentinel != 0) {
            end = monotonic_ns() + 300000000;
        }
    }
    stop_asking(askers);
    (void)process_wait(old->process, 10000);
    const struct server *master = cluster_wait_switch(cluster, old, 20000);
    server_start(old);
    (void)redis_say(old, "REPLICAOF %s %d", master->host, (int)master->port);
    cluster_settle(cluster);
    return seen;
}

static double ms_between(int64_t from, int64_t to)
{
    return (double)(to - from) / 1e6;
}

static void start(struct deployment *out, const struct cluster_spec *spec)
{
    out->cluster = cluster_start(spec);
    out->daemon = daemon_start(out->cluster, NULL);
    for (size_t i = 0; i < N_SENTINELS && spec->tls == CLUSTER_PLAIN; i++) {
        out->ports[i] = out->cluster->sentinels[i].port;
    }
}

static void measure_kills(const struct deployment *of, const char *link,
                          const struct bench_settings *settings)
{
    struct samples gone = {.n = 0}, followed = {.n = 0}, outage = {.n = 0};
    unsigned relapses = 0, never_gone = 0, other = 0;

    for (int i = 0; i < settings->times; i++) {
        const struct seen seen = kill_once(of);

        if (seen.not_ok == 0) {
            never_gone++;
        } else {
            samples_add(&gone, ms_between(seen.began, seen.not_ok));
        }
        samples_add(&followed, ms_between(seen.sentinel, seen.fresh));
        samples_add(&outage, ms_between(seen.began, seen.fresh));
        relapses += seen.relapses;
        other += strcmp(seen.by_sentinel, seen.by_http) == 0 ? 0 : 1;
        progress(
            "kill: %d of %d: not 200 after %.2f ms, first Sentinel after %.1f ms, new answer %+.2f ms from that",
            i + 1, settings->times, seen.not_ok == 0 ? -1 : ms_between(seen.began, seen.not_ok),
            ms_between(seen.began, seen.sentinel), ms_between(seen.sentinel, seen.fresh));
    }
    table_head(text("Failover after kill -9 of the master (down-after 700 ms, Sentinels' periods "
                    "shortened)%s",
                    link));
    table_line("kill -9 -> first answer that is not 200", &gone, "ms", "<= 20 ms");
    table_line("first Sentinel names the new master -> /master does", &followed, "ms",
               "p99 <= 5 ms");
    table_line("kill -9 -> new answer (Sentinels' time)", &outage, "ms", "-");
    (void)printf(
        "  answers that went back: %u; failovers without an answer other than 200: %u; to another node than the\n"
        "  first Sentinel named: %u (each must be 0)\n",
        relapses, never_gone, other);
    (void)fflush(stdout);
}

void bench_kill(const struct bench_settings *settings)
{
    struct deployment of;

    start(&of, &(struct cluster_spec){.nodes = 0});
    measure_kills(&of, "", settings);
}

void bench_kill_tls(const struct bench_settings *settings, const char *certificates)
{
    struct deployment of;
    const char *more[N_SENTINELS];

    for (size_t i = 0; i < N_SENTINELS; i++) {
        of.ports[i] = port_reserve();
        more[i] = text("port %u\n", of.ports[i]); /* beside the one with TLS, for the askers */
    }
    start(&of, &(struct cluster_spec){
                   .tls = CLUSTER_TLS, .certificates = certificates, .sentinel_confs = more});
    measure_kills(&of, ", TLS everywhere", settings);
}

/*
 * @return ms from SIGSTOP to the first answer that is not 200; the second figure from SIGCONT to
 * 200 again.
 */
static double stop_once(const struct deployment *of, double *back_ms)
{
    struct asker askers[N_ASKERS];
    struct cluster *cluster = of->cluster;
    const struct daemon *daemon = of->daemon;

    start_asking(askers, of);
    const struct asker *http = &askers[HTTP];
    const int64_t stopped = monotonic_ns();
    server_freeze(&cluster->nodes[0]);
    do {
        ask_once(askers);
        cr_assert(monotonic_ns() - stopped < 30000000000, "still 200:\n%s", daemon_log(daemon));
    } while (!http->answered || http->answered_ns < stopped || http->status == 200);
    const double took_ms = ms_between(stopped, http->answered_ns);
    const int64_t thawed = monotonic_ns();
    server_thaw(&cluster->nodes[0]);
    do {
        ask_once(askers);
        cr_assert(monotonic_ns() - thawed < 30000000000, "no 200 again:\n%s", daemon_log(daemon));
    } while (!http->answered || http->answered_ns < thawed || http->status != 200);
    *back_ms = ms_between(thawed, http->answered_ns);
    stop_asking(askers);
    return took_ms;
}

void bench_stop(const struct bench_settings *settings)
{
    struct samples gone = {.n = 0}, back = {.n = 0};
    const int times = settings->times < 5 ? settings->times : 5;
    /* down-after beyond all this: no failover may come before the daemon has noticed */
    struct deployment of;

    start(&of, &(struct cluster_spec){.down_after_ms = 60000, .slow_pace = true});
    EXPECT_MASTER(of.daemon, &of.cluster->nodes[0], 5000);
    for (int i = 0; i < times; i++) {
        double back_ms = 0;

        nap_us(1000000 + i * 210000); /* wherever between two role checks */
        samples_add(&gone, stop_once(&of, &back_ms));
        samples_add(&back, back_ms);
        progress("stop: %d of %d: %.0f ms", i + 1, times, gone.value[gone.n - 1]);
    }
    table_head("A master that hangs (SIGSTOP), default suspect-after 1500 ms, verify-interval 1 s");
    table_line("SIGSTOP -> first answer that is not 200", &gone, "ms", "<= 2500 ms");
    table_line("SIGCONT -> 200 again", &back, "ms", "-");
}
