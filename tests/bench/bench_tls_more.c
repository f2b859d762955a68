/*
 * What TLS costs where all links have it: commands with TLS to Redis against plain, memory, and
 * streams that are told of switches. The two Redis servers are each as busy as the other.
 */
#include <stdio.h>
#include <string.h>

#include "../support/crowd.h"
#include "../support/scene.h"
#include "bench_commands.h"
#include "bench_tls.h"

enum { N_CASES = 3, CONNECTIONS = 32, STREAMS = 1000, BOUND_MS = 60000, SWITCHES = 2 };

static const struct work {
    const char *label;
    bool get;
    int size;
} works[N_CASES] = {{"GET", true, 5}, {"SET", false, 5}, {"GET 100 KB", true, 100000}};

/* ---- commands ---- */

struct figures {
    struct samples plain, tls, webdis, rate, ratio, webdis_ratio;
    bool complained;
};

static struct wrk_run run_daemon(const struct stage *stage, const struct work *work, int seconds)
{
    const char *body = text(
        work->get ? "'[\"GET\",\"%d\"]'" : "'[\"SET\",\"%d\",\"' .. value .. '\"]'", work->size);

    return wrk_run(stage->daemon->process, stage->url, wrk_script("daemon", body, work->size),
                   CONNECTIONS, seconds);
}

static struct wrk_run run_webdis(const struct stage *stage, const struct work *work, int seconds)
{
    const char *base = text("http://127.0.0.1:%u/", stage->webdis_port);

    return work->get
               ? wrk_run(stage->webdis, text("%sGET/%d", base, work->size), NULL, CONNECTIONS,
                         seconds)
               : wrk_run(stage->webdis, base,
                         wrk_script("webdis", text("'SET/%d/' .. value", work->size), work->size),
                         CONNECTIONS, seconds);
}

/* A key for each size: webdis may still be writing what it was asked to when its callers left. */
static void set_key(const struct stage *stage, int size)
{
    char *value = scene_alloc((size_t)size + 1);

    memset(value, 'x', (size_t)size);
    cr_assert_str_eq(redis_say(stage->node, "SET %d %s", size, value), "OK");
}

static void measure(const struct stage *plain, const struct stage *tls, const struct work *work,
                    const struct bench_settings *settings)
{
    struct figures figures = {.complained = false};

    set_key(plain, work->size);
    set_key(tls, work->size);
    for (int round = 0; round < settings->rounds; round++) {
        progress("commands, TLS to Redis: %s, round %d of %d", work->label, round + 1,
                 settings->rounds);
        const struct wrk_run in_plain = run_daemon(plain, work, settings->run_seconds),
                             in_tls = run_daemon(tls, work, settings->run_seconds),
                             webdis = run_webdis(plain, work, settings->run_seconds);
        samples_add(&figures.plain, in_plain.cpu_us);
        samples_add(&figures.tls, in_tls.cpu_us);
        samples_add(&figures.webdis, webdis.cpu_us);
        samples_add(&figures.rate, in_tls.rate);
        samples_add(&figures.ratio, in_tls.cpu_us / in_plain.cpu_us);
        samples_add(&figures.webdis_ratio, in_tls.cpu_us / webdis.cpu_us);
        figures.complained =
            figures.complained || in_plain.complained || in_tls.complained || webdis.complained;
    }
    (void)printf("  %-11s %9.0f %9.2f %9.2f %9.2f | %8.2f %8.2f   %s%s\n", work->label,
                 samples_median(&figures.rate), samples_median(&figures.tls),
                 samples_median(&figures.plain), samples_median(&figures.webdis),
                 samples_median(&figures.ratio), samples_median(&figures.webdis_ratio),
                 verdict(&figures.ratio, "<= 1.40"),
                 figures.complained ? "  (wrk saw errors)" : "");
    (void)fflush(stdout);
}

void tls_commands(const char *certificates, const struct bench_settings *settings)
{
    struct stage plain = {.node = NULL}, tls = {.certificates = certificates};

    stage_start(&plain, (const char *const[]){"--redis-api", "loopback", NULL});
    stage_start(&tls, (const char *const[]){"--redis-api", "loopback", NULL});
    (void)redis_say(plain.node, "SET small x");
    stage_webdis(&plain);
    (void)printf(
        "\nPOST /redis with TLS to Redis, %d connections of callers in plain, against the same "
        "without TLS,\nand webdis without; CPU us per request, medians of %d paired runs of %d s\n\n"
        "  %-11s %9s %9s %9s %9s | %8s %8s   %s\n",
        CONNECTIONS, settings->rounds, settings->run_seconds, "", "req/s", "TLS", "plain", "webdis",
        ": plain", ": webdis", "budget of TLS : plain");
    for (size_t i = 0; i < N_CASES; i++) {
        measure(&plain, &tls, &works[i], settings);
    }
    process_stop(plain.webdis);
    process_stop(plain.daemon->process);
    process_stop(tls.daemon->process);
}

/* ---- all links ---- */

static double mb(const struct daemon *daemon)
{
    return (double)process_status_kb(daemon->process->pid, "RssAnon") / 1024;
}

void tls_everywhere(const char *certificates, const struct bench_settings *settings)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.tls = CLUSTER_TLS, .certificates = certificates, .nodes = 2});
    const char *const flags[] = {"--max-waiters", text("%d", STREAMS), NULL};
    struct server *master = &cluster->nodes[0];
    const int settle = (settings->idle_seconds + 1) / 2;

    pin_to(BENCH_SERVER_CORE);
    struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .tls = true});
    pin_to(BENCH_LOAD_CORE);
    EXPECT_MASTER(daemon, master, 5000);
    progress("TLS everywhere: %d s to settle", settle);
    nap_us(settle * 1000000);
    (void)printf("\nTLS to Sentinels, to Redis and for callers\n\n  %-52s %13s  %s\n", "", "",
                 "budget");
    const double idle_mb = mb(daemon);
    (void)printf("  %-52s %10.2f MB  <= 6 MB\n", "RssAnon idle", idle_mb);
    struct crowd *crowd = crowd_open(daemon->port, 0, STREAMS, false);
    cr_assert(crowd_settle(crowd, BOUND_MS), "they did not all get a first answer");
    const double with_mb = mb(daemon);
    (void)printf("  %-52s %10.2f MB  -\n", text("RssAnon with %d event streams", STREAMS), with_mb);
    (void)printf("  %-52s %10.2f kB  -\n", "of which for each",
                 (with_mb - idle_mb) * 1024 / STREAMS);
    for (int i = 0; i < SWITCHES; i++) {
        master = switch_all(cluster, crowd, master);
        (void)printf("  %-52s %10.2f ms  <= 20 ms\n", "first told -> last told, a switch",
                     (double)crowd_spread_ns(crowd, MEMBER_STREAM) / 1e6);
    }
    (void)printf("  %-52s %10.2f MB  -\n", "RssAnon after the switches", mb(daemon));
    (void)printf("  %-52s %10zu     0\n", "streams lost", crowd_lost(crowd));
    crowd_close(crowd);
    (void)fflush(stdout);
}
