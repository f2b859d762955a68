/* From exec to the first 200 on /master, and what the daemon takes while nothing happens. */
#include <signal.h>
#include <stdio.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench.h"

static double start_once(const struct cluster *cluster, uint16_t port)
{
    const char *argv[16] = {daemon_binary(), "--listen", text("127.0.0.1:%u", port)};

    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        argv[3 + 2 * i] = "--sentinel";
        argv[4 + 2 * i] = cluster->sentinels[i].address;
    }
    struct asker asker;
    asker_init(&asker, ASKER_HTTP, port, "/master");
    const int64_t began = monotonic_ns();
    struct process *process =
        process_start(&(struct process_spec){.name = "bellwether", .argv = argv});
    while (!asker.answered || asker.status != 200) {
        cr_assert(monotonic_ns() - began < 10000000000 && !process_ended(process), "no answer: %s",
                  process_log(process));
        const int64_t turn = monotonic_ns();
        asker_ask(&asker);
        askers_wait(&asker, 1, turn + 200000);
        if (monotonic_ns() - turn < 200000) {
            nap_us(150);
        }
    }
    asker_close(&asker);
    process_stop(process);
    return (double)(asker.answered_ns - began) / 1e6;
}

void bench_start(const struct bench_settings *settings)
{
    struct samples took = {.n = 0};
    const struct cluster *cluster = cluster_start(&(struct cluster_spec){.slow_pace = true});
    const uint16_t port = port_reserve();

    progress("start: %d times", settings->times);
    for (int i = 0; i < settings->times; i++) {
        samples_add(&took, start_once(cluster, port));
    }
    table_head("Start, three Sentinels on loopback");
    table_line("exec -> first 200 on /master", &took, "ms", "<= 50 ms");
}

void bench_idle(const struct bench_settings *settings)
{
    const struct cluster *cluster = cluster_start(&(struct cluster_spec){.slow_pace = true});
    struct daemon *daemon = daemon_start(cluster, NULL);
    const pid_t pid = daemon->process->pid;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    const int settle = (settings->idle_seconds + 1) / 2;
    progress("idle: %d s to settle, %d s measured", settle, settings->idle_seconds);
    nap_us(settle * 1000000);
    const long anonymous = process_status_kb(pid, "RssAnon"),
               resident = process_status_kb(pid, "VmRSS");
    const int64_t cpu = process_cpu_ns(pid), began = monotonic_ns();
    nap_us(settings->idle_seconds * 1000000);
    const double cpu_ms = (double)(process_cpu_ns(pid) - cpu) / 1e6,
                 took_ms = (double)(monotonic_ns() - began) / 1e6;
    (void)printf(
        "\nIdle, one master, three Sentinels, no TLS; after %d s of rest, over %d s\n\n  %-22s %13s  %s\n",
        settle, settings->idle_seconds, "", "", "budget");
    (void)printf("  %-22s %10.2f MB  <= 3 MB\n", "RssAnon", (double)anonymous / 1024);
    (void)printf("  %-22s %10.2f MB  <= 3 MB\n", "RssAnon at the end",
                 (double)process_status_kb(pid, "RssAnon") / 1024);
    (void)printf("  %-22s %10.2f MB  <= 10 MB\n", "RSS", (double)resident / 1024);
    (void)printf("  %-22s %10.1f ms  -\n", "CPU time", cpu_ms);
    (void)printf("  %-22s %10.3f %%   <= 0.1 %%\n", "share of a core", cpu_ms / took_ms * 100);
}
