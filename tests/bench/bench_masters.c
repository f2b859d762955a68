/*
 * One deployment with very many masters: what it costs to watch them all, what the Sentinels are
 * asked, and what GET /masters/{name} costs beside a daemon that watches one of them only.
 *
 * The three Sentinels are real, and so are a few masters; the others, each with a replica, are
 * node_peer's. Sentinels say how many commands they ran, not which: what they ran for each other
 * and for the second daemon is counted before the first one starts, and taken off. They are slow to
 * greet each other and to ping meanwhile (SENTINEL DEBUG): three Sentinels with a thousand masters
 * would have most of this machine for themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench.h"

enum { N_SENTINELS = 3, N_REAL = 7, SLICE_SECONDS = 10, BOUND_MS = 120000 };

/* What the daemon and the Sentinels had done at one moment. */
struct mark {
    int64_t at_ns, cpu_ns;
    long user, kernel;
    long long commands[N_SENTINELS], bytes[N_SENTINELS];
};

struct figures {
    struct samples cpu, kernel, asked, bytes, anonymous;
    struct samples rate_ratio, cpu_us, cpu_us_one;
    double settle_s;
};

/* ---- the deployment ---- */

/* Real masters beside the cluster's own, each alone. */
static void start_real(unsigned ports[N_REAL], int n)
{
    for (int i = 1; i < n; i++) {
        ports[i] = port_reserve();
        (void)process_start(&(struct process_spec){
            .name = text("real-%d", i),
            .argv =
                (const char *const[]){"redis-server", "--port", text("%u", ports[i]), "--bind",
                                      "127.0.0.1", "--save", "", "--dir", scene_folder(), NULL}});
    }
}

static const char *start_simulated(const struct bench_settings *settings, int n)
{
    struct process *peer = process_start(&(struct process_spec){
        .name = "node_peer",
        .argv = (const char *const[]){text("%s/bench/node_peer", settings->folder), text("%d", n),
                                      NULL}});

    WAIT_UNTIL(10000, strstr(file_read(peer->out_path), "\n\n") || process_ended(peer));
    return file_read(peer->out_path);
}

/*
 * One master, whole: a Sentinel that has to find out writes its file anew with each thing that it
 * learns.
 */
static void say_master(FILE *out, const struct cluster *cluster, size_t self, const char *name,
                       unsigned long port, unsigned long replica)
{
    (void)fprintf(
        out, "sentinel monitor %s 127.0.0.1 %lu 2\nsentinel down-after-milliseconds %s 60000\n",
        name, port, name);
    if (replica != 0) {
        (void)fprintf(out, "sentinel known-replica %s 127.0.0.1 %lu\n", name, replica);
    }
    for (size_t i = 0; i < N_SENTINELS; i++) {
        if (i != self) {
            (void)fprintf(out, "sentinel known-sentinel %s 127.0.0.1 %u %s\n", name,
                          cluster->sentinels[i].port, cluster->sentinels[i].run_id);
        }
    }
}

/* What a Sentinel's file says of all masters but the cluster's own. */
static const char *say_masters(const struct cluster *cluster, size_t self,
                               const unsigned ports[N_REAL], int n_real, const char *simulated)
{
    char *conf = NULL, *at = NULL;
    size_t size = 0, number = 0;
    FILE *out = open_memstream(&conf, &size);

    cr_assert(out);
    for (int i = 1; i < n_real; i++) {
        say_master(out, cluster, self, text("real-%d", i), ports[i], 0);
    }
    for (const char *line = simulated; *line >= '0' && *line <= '9'; line = at + 1) {
        const unsigned long port = strtoul(line, &at, 10), replica = strtoul(at, &at, 10);

        say_master(out, cluster, self, text("shard-%04zu", number++), port, replica);
    }
    (void)fclose(out);
    return scene_keep(conf, free);
}

static struct cluster *start_cluster(const struct bench_settings *settings)
{
    const int n_real = settings->masters < N_REAL ? settings->masters : N_REAL;
    unsigned ports[N_REAL];
    const char *confs[N_SENTINELS];
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){
        .nodes = 2, .sentinels = N_SENTINELS, .down_after_ms = 60000, .slow_pace = true});

    pin_to(BENCH_LOAD_CORE);
    start_real(ports, n_real);
    const char *simulated = start_simulated(settings, settings->masters - n_real);
    for (size_t i = 0; i < N_SENTINELS; i++) {
        confs[i] = say_masters(cluster, i, ports, n_real, simulated);
    }
    cluster->spec.sentinel_confs = confs;
    cluster_run(cluster);
    cluster->spec.sentinel_confs = NULL;
    for (size_t i = 0; i < N_SENTINELS; i++) {
        WAIT_UNTIL(BOUND_MS,
                   strcmp(redis_say(&cluster->sentinels[i],
                                    "SENTINEL DEBUG PUBLISH-PERIOD 600000 PING-PERIOD 5000"),
                          "OK") == 0);
    }
    return cluster;
}

/* ---- measuring ---- */

static struct mark mark(const struct cluster *cluster, const struct daemon *daemon)
{
    struct mark mark = {.at_ns = monotonic_ns(), .cpu_ns = process_cpu_ns(daemon->process->pid)};

    process_ticks(daemon->process->pid, &mark.user, &mark.kernel);
    for (size_t i = 0; i < N_SENTINELS; i++) {
        const char *info = redis_say(&cluster->sentinels[i], "INFO stats");

        mark.commands[i] = info_number(info, "total_commands_processed:");
        mark.bytes[i] = info_number(info, "total_net_output_bytes:");
    }
    return mark;
}

static double seconds_between(const struct mark *from, const struct mark *to)
{
    return (double)(to->at_ns - from->at_ns) / 1e9;
}

/* Commands and bytes a second, of the Sentinel that had most; of their bytes the sum. */
static double commands_rate(const struct mark *from, const struct mark *to)
{
    long long most = 0;

    for (size_t i = 0; i < N_SENTINELS; i++) {
        if (to->commands[i] - from->commands[i] > most) {
            most = to->commands[i] - from->commands[i];
        }
    }
    return (double)most / seconds_between(from, to);
}

static double bytes_rate(const struct mark *from, const struct mark *to)
{
    long long sum = 0;

    for (size_t i = 0; i < N_SENTINELS; i++) {
        sum += to->bytes[i] - from->bytes[i];
    }
    return (double)sum / seconds_between(from, to);
}

/*
 * What is asked without the daemon with many; waits for the end of what Sentinels have to do as
 * they start.
 */
static void measure_base(const struct cluster *cluster, const struct daemon *one,
                         struct mark base[2])
{
    double before = 0, now = 0;
    int tries = 0;

    do {
        before = now;
        base[0] = mark(cluster, one);
        nap_us(SLICE_SECONDS * 1000000 / 2);
        base[1] = mark(cluster, one);
        now = commands_rate(&base[0], &base[1]);
    } while ((before == 0 || now > before * 1.1 + 5 || now < before * 0.9 - 5) && ++tries < 12);
    progress("masters: %.0f commands a second without it", now);
}

static void measure_idle(struct figures *out, const struct cluster *cluster,
                         const struct daemon *daemon, const struct mark base[2], int seconds)
{
    const struct mark first = mark(cluster, daemon);

    for (int left = seconds; left > 0; left -= SLICE_SECONDS) {
        const struct mark from = mark(cluster, daemon);

        nap_us((left < SLICE_SECONDS ? left : SLICE_SECONDS) * 1000000);
        const struct mark to = mark(cluster, daemon);
        samples_add(&out->cpu,
                    (double)(to.cpu_ns - from.cpu_ns) / 1e7 / seconds_between(&from, &to));
        samples_add(&out->asked, commands_rate(&from, &to) - commands_rate(&base[0], &base[1]));
        samples_add(&out->bytes, (bytes_rate(&from, &to) - bytes_rate(&base[0], &base[1])) / 1024);
        samples_add(&out->anonymous,
                    (double)process_status_kb(daemon->process->pid, "RssAnon") / 1024);
        progress("masters: %.2f %% of a core, %.0f questions a second",
                 out->cpu.value[out->cpu.n - 1], out->asked.value[out->asked.n - 1]);
    }
    /* Ticks are few: a share of all of them only. */
    const struct mark last = mark(cluster, daemon);
    const long kernel = last.kernel - first.kernel, all = kernel + last.user - first.user;
    samples_add(&out->kernel, all > 0 ? 100 * (double)kernel / (double)all : 0);
}

/* @return requests a second; and the CPU time of one, without what the daemon uses anyway. */
static double rate(const struct daemon *daemon, int seconds, double idle_percent, double *cpu_us)
{
    const int64_t began = monotonic_ns(), used = process_cpu_ns(daemon->process->pid);
    const struct process_result wrk =
        process_run((seconds + 30) * INT64_C(1000), NULL,
                    (const char *const[]){"wrk", "-t1", "-c16", text("-d%ds", seconds),
                                          text("%s/masters/mymaster", daemon->base), NULL});
    const double cpu = (double)(process_cpu_ns(daemon->process->pid) - used) -
                       (double)(monotonic_ns() - began) * idle_percent / 100;
    const char *at = strstr(wrk.out, "Requests/sec:"), *all = strstr(wrk.out, " requests in ");

    cr_assert(at && all, "wrk ended with %d: %s%s", wrk.exit_code, wrk.out, wrk.err);
    while (all > wrk.out && all[-1] != '\n' && all[-1] != ' ') {
        all--;
    }
    *cpu_us = cpu / 1000 / strtod(all, NULL);
    return strtod(at + strlen("Requests/sec:"), NULL);
}

static void measure_rate(struct figures *out, const struct daemon *many, const struct daemon *one,
                         const struct bench_settings *settings)
{
    const double idle = samples_median(&out->cpu);

    for (int i = 0; i < settings->rounds; i++) {
        double many_us, one_us;
        const double with = rate(many, settings->run_seconds, idle, &many_us);
        const double without = rate(one, settings->run_seconds, 0, &one_us);

        samples_add(&out->rate_ratio, with / without);
        samples_add(&out->cpu_us, many_us);
        samples_add(&out->cpu_us_one, one_us);
        progress("masters: %.0f and %.0f requests a second", with, without);
    }
}

static void report(const struct figures *figures, const struct bench_settings *settings)
{
    table_head(text(
        "%d masters on three Sentinels (%d real ones, the others node_peer's); daemon on one core",
        settings->masters, settings->masters < N_REAL ? settings->masters : N_REAL));
    table_line("idle CPU, of a core", &figures->cpu, "%", "<= 5 %");
    table_line("  of that in the kernel", &figures->kernel, "%", "-");
    table_line("questions a second to the Sentinel with most", &figures->asked, "", "<= 200");
    table_line("answers a second, all Sentinels", &figures->bytes, "kB", "-");
    table_line("RssAnon", &figures->anonymous, "MB", "-");
    table_line("GET /masters/{name} per second, with : one master", &figures->rate_ratio, "",
               ">= 1 less idle CPU");
    table_line("  CPU of a request, idle CPU taken off", &figures->cpu_us, "us", "-");
    table_line("  the same where there is one master", &figures->cpu_us_one, "us", "-");
    (void)printf("  start -> all of them verified: %.1f s\n", figures->settle_s);
}

void bench_masters(const struct bench_settings *settings)
{
    struct figures figures = {0};
    struct mark base[2];
    struct cluster *cluster = start_cluster(settings);

    pin_to(BENCH_SERVER_CORE);
    struct daemon *one = daemon_start(cluster, "--master", cluster->name, NULL);
    EXPECT_MASTER(one, &cluster->nodes[0], 5000);
    measure_base(cluster, one, base);
    const int64_t began = monotonic_ns();
    struct daemon *many = daemon_start(cluster, NULL);
    pin_to(BENCH_LOAD_CORE);
    WAIT_UNTIL(BOUND_MS, count_in(daemon_get(many, "/masters")->body, "\"state\":\"ok\"") ==
                             (size_t)settings->masters);
    figures.settle_s = (double)(monotonic_ns() - began) / 1e9;
    nap_us(SLICE_SECONDS * 1000000); /* the first answers are younger than their interval */
    progress("masters: all %d verified after %.1f s", settings->masters, figures.settle_s);
    measure_idle(&figures, cluster, many, base, settings->idle_seconds);
    measure_rate(&figures, many, one, settings);
    report(&figures, settings);
}
