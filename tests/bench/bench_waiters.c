/*
 * Thousands that wait, half long polls, half streams, through two switches: memory, how long it
 * takes until the last one is told, and what is left for GET /master and for commands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/crowd.h"
#include "../support/daemon.h"
#include "../support/scene.h"
#include "bench.h"

enum { SWITCHES = 2, BOUND_MS = 60000 };

struct figures {
    size_t waiters;
    double idle_mb, waiting_mb, after_mb, resident_mb, told_ms[SWITCHES], poll_ms[SWITCHES],
        stream_ms[SWITCHES], ratio, commands_ratio;
    size_t lost;
};

static double mb(const struct daemon *daemon, const char *key)
{
    return (double)process_status_kb(daemon->process->pid, key) / 1024;
}

/* @param script of wrk, or NULL: GET. */
static double rate(const struct daemon *daemon, const char *path, const char *script, int seconds)
{
    const char *argv[] = {
        "wrk", "-t1", "-c16", text("-d%ds", seconds), text("%s%s", daemon->base, path),
        NULL,  NULL,  NULL};

    if (script) {
        argv[5] = "-s";
        argv[6] = script;
    }
    const struct process_result wrk = process_run((seconds + 30) * INT64_C(1000), NULL, argv);
    const char *at = strstr(wrk.out, "Requests/sec:");
    cr_assert(at, "wrk ended with %d: %s%s", wrk.exit_code, wrk.out, wrk.err);
    return strtod(at + strlen("Requests/sec:"), NULL);
}

/*
 * Two daemons at the same deployment, one with the crowd: paired, so that whatever else goes on
 * hits both.
 */
static double rate_ratio(const struct daemon *with, const struct daemon *without, const char *path,
                         const char *script, const struct bench_settings *settings)
{
    struct samples ratio = {.n = 0};
    const int seconds = settings->run_seconds;

    for (int i = 0; i < settings->rounds; i++) {
        samples_add(&ratio,
                    rate(with, path, script, seconds) / rate(without, path, script, seconds));
    }
    return samples_median(&ratio);
}

static const char *command_script(void)
{
    char *path = text("%s/command.lua", scene_folder());

    file_write(path, "wrk.method = 'POST'\nwrk.body = '[\"GET\",\"key\"]'\n");
    return path;
}

struct server *switch_all(struct cluster *cluster, struct crowd *crowd, struct server *master)
{
    struct server *next = master == &cluster->nodes[0] ? &cluster->nodes[1] : &cluster->nodes[0];

    cluster_settle(cluster);
    crowd_pump(crowd, 500);
    crowd_look_for(crowd, next->address);
    cluster_failover(cluster);
    cr_assert(crowd_wait_told(crowd, BOUND_MS), "%zu of %zu told, %zu lost", crowd->told, crowd->n,
              crowd_lost(crowd));
    return next;
}

static struct daemon *start_pinned(const struct cluster *cluster, size_t waiters)
{
    pin_to(BENCH_SERVER_CORE);
    struct daemon *daemon = daemon_start(cluster, "--max-waiters", text("%zu", waiters),
                                         "--redis-api", "loopback", NULL);
    pin_to(BENCH_LOAD_CORE);
    return daemon;
}

static void measure(struct figures *out, const struct bench_settings *settings)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2});
    struct server *master = &cluster->nodes[0];
    struct daemon *daemon = start_pinned(cluster, out->waiters),
                  *empty = start_pinned(cluster, 1000);

    EXPECT_MASTER(daemon, master, 5000);
    EXPECT_MASTER(empty, master, 5000);
    nap_us(1000000);
    out->idle_mb = mb(daemon, "RssAnon");
    progress("waiters: %zu", out->waiters);
    struct crowd *crowd = crowd_open(daemon->port, out->waiters / 2, out->waiters / 2, true);
    cr_assert(crowd_settle(crowd, BOUND_MS), "they did not all get a first answer");
    out->waiting_mb = mb(daemon, "RssAnon");
    for (int i = 0; i < SWITCHES; i++) {
        master = switch_all(cluster, crowd, master);
        out->told_ms[i] = (double)crowd_spread_ns(crowd, -1) / 1e6;
        out->poll_ms[i] = (double)crowd_spread_ns(crowd, MEMBER_POLL) / 1e6;
        out->stream_ms[i] = (double)crowd_spread_ns(crowd, MEMBER_STREAM) / 1e6;
    }
    crowd_pump(crowd, 1000);
    out->after_mb = mb(daemon, "RssAnon");
    out->resident_mb = mb(daemon, "VmRSS");
    crowd_hush(crowd); /* its asker would have a share of the core */
    out->ratio = rate_ratio(daemon, empty, "/master", NULL, settings);
    out->commands_ratio = rate_ratio(daemon, empty, "/redis", command_script(), settings);
    out->lost = crowd_lost(crowd);
    crowd_close(crowd);
}

void bench_waiters(const struct bench_settings *settings)
{
    struct figures figures[] = {{.waiters = 1000}, {.waiters = 10000}};
    enum { N = sizeof(figures) / sizeof(figures[0]) };

    for (size_t i = 0; i < N; i++) {
        measure(&figures[i], settings);
    }
    (void)printf(
        "\nCallers that wait, half long polls, half streams, through two switches; daemon on one core\n\n"
        "  %-46s %12s %12s  %s\n",
        "", "1,000", "10,000", "budget");
#define LINE(what, member, unit, budget) \
    (void)printf("  %-46s %9.1f %-2s %9.1f %-2s  %s\n", what, figures[0].member, unit, \
                 figures[1].member, unit, budget)
    LINE("RssAnon, nobody waits", idle_mb, "MB", "<= 3 MB");
    LINE("RssAnon, all wait", waiting_mb, "MB", "");
    LINE("RssAnon after two switches", after_mb, "MB", "<= 12 MB, <= 80 MB");
    LINE("resident after two switches", resident_mb, "MB", "");
    LINE("first told -> last told, first switch", told_ms[0], "ms", "<= 20 ms, <= 100 ms");
    LINE("first told -> last told, second switch", told_ms[1], "ms", "<= 20 ms, <= 100 ms");
    LINE("  of these the long polls", poll_ms[1], "ms", "");
    LINE("  and the streams", stream_ms[1], "ms", "");
    (void)printf("  %-46s %9.2f %-2s %9.2f %-2s  %s\n", "GET /master per second, with : without",
                 figures[0].ratio, "", figures[1].ratio, "", ">= 0.95");
    (void)printf("  %-46s %9.2f %-2s %9.2f %-2s  %s\n", "POST /redis per second, with : without",
                 figures[0].commands_ratio, "", figures[1].commands_ratio, "", ">= 0.95, >= 0.9");
    (void)printf("  %-46s %9zu %-2s %9zu\n", "connections lost", figures[0].lost, "",
                 figures[1].lost);
#undef LINE
}
