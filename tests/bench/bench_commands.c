/*
 * Commands through POST /redis against webdis doing the same on the same Redis, and
 * redis-benchmark, which speaks RESP directly, as the ceiling of what that Redis gives. All run all
 * the time and take turns; daemon and webdis have the server's core for themselves, Redis,
 * Sentinels, wrk and redis-benchmark share the other one.
 *
 * What counts is CPU time per request of the daemon's process alone: the rates say as much about
 * the core that Redis and wrk share. What else commands cost is in bench_commands_more.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/ports.h"
#include "../support/scene.h"
#include "bench_commands.h"

enum { N_CASES = 6, N_CONNECTIONS = 3 };

static const int connection_counts[N_CONNECTIONS] = {1, 32, 256};
static const int value_sizes[STAGE_VALUES] = {5, 1000, 100000};
static const char *const value_keys[STAGE_VALUES] = {"small", "medium", "large"};

/* One command: what each is asked. */
static const struct work {
    const char *label, *name;
    size_t value;    /* which */
    int ceiling_ops; /* that redis-benchmark runs once; a fifth of it with one connection */
} works[N_CASES] = {{"GET", "GET", 0, 60000},       {"SET", "SET", 0, 60000},
                    {"GET 1 KB", "GET", 1, 50000},  {"SET 1 KB", "SET", 1, 50000},
                    {"GET 100 KB", "GET", 2, 4000}, {"SET 100 KB", "SET", 2, 4000}};

struct figures {
    struct samples rate, cpu_us, busy;                  /* ours */
    struct samples webdis_rate, webdis_cpu_us, ceiling; /* theirs */
    struct samples rate_ratio, cpu_ratio, ceiling_ratio;
    bool complained;
};

/* ---- wrk ---- */

char *wrk_script(const char *name, const char *body, int value_size)
{
    char *path = text("%s/%s.lua", scene_folder(), name);

    file_write(path, text("local value = string.rep('x', %d)\nwrk.method = 'POST'\nwrk.body = %s\n",
                          value_size, body));
    return path;
}

struct wrk_run wrk_run(const struct process *server, const char *url, const char *script,
                       int connections, int seconds)
{
    const int64_t cpu = process_cpu_ns(server->pid), began = monotonic_ns();
    const char *argv[] = {
        "wrk", "-t1", text("-c%d", connections), text("-d%ds", seconds), url, NULL, NULL, NULL};

    if (script) {
        argv[5] = "-s";
        argv[6] = script;
    }
    const struct process_result wrk = process_run((seconds + 60) * INT64_C(1000), NULL, argv);
    const double cpu_ns = (double)(process_cpu_ns(server->pid) - cpu);
    const double took_ns = (double)(monotonic_ns() - began);
    const char *at = strstr(wrk.out, " requests in "), *rate = strstr(wrk.out, "Requests/sec:");
    cr_assert(at && rate, "wrk ended with %d: %s%s", wrk.exit_code, wrk.out, wrk.err);
    while (at > wrk.out && at[-1] != ' ') {
        at--;
    }
    const double requests = strtod(at, NULL);
    cr_assert(requests > 0, "%s answered nothing: %s", url, wrk.out);
    return (struct wrk_run){.requests = requests,
                            .rate = strtod(rate + strlen("Requests/sec:"), NULL),
                            .cpu_us = cpu_ns / requests / 1000,
                            .busy = cpu_ns / took_ns * 100,
                            .complained =
                                strstr(wrk.out, "Non-2xx") || strstr(wrk.out, "Socket errors")};
}

double redis_benchmark(const struct server *node, int connections, int pipeline, int ops,
                       const char *const *command)
{
    const char *argv[24] = {
        "redis-benchmark",       "-h", node->host,           "-p", text("%u", node->port), "-c",
        text("%d", connections), "-P", text("%d", pipeline), "-n", text("%d", ops),        "--csv"};
    size_t n = 12;

    while (*command) {
        argv[n++] = *command++;
    }
    const struct process_result result = process_run(120000, NULL, argv);
    const char *row = strstr(result.out, "ms\"\n"), *rate = !row ? NULL : strstr(row, "\",\"");
    cr_assert(result.exit_code == 0 && rate, "redis-benchmark ended with %d: %s%s",
              result.exit_code, result.out, result.err);
    return strtod(rate + 3, NULL);
}

/* ---- the two servers ---- */

static bool answers(uint16_t port)
{
    struct asker asker;

    asker_init(&asker, ASKER_HTTP, port, "/GET/small");
    asker_ask(&asker);
    askers_wait(&asker, 1, monotonic_ns() + 200000000);
    const bool answered = asker.answered && asker.status == 200;
    asker_close(&asker);
    return answered;
}

void stage_webdis(struct stage *stage)
{
    char *config = text("%s/webdis.json", scene_folder());

    stage->webdis_port = port_reserve();
    file_write(
        config,
        text("{\"redis_host\": \"127.0.0.1\", \"redis_port\": %u, \"http_host\": \"127.0.0.1\",\n"
             "\"http_port\": %u, \"threads\": 1, \"pool_size\": 2, \"daemonize\": false,\n"
             "\"database\": 0, \"verbosity\": 0, \"logfile\": \"%s/webdis.txt\"}\n",
             stage->node->port, stage->webdis_port, scene_folder()));
    pin_to(BENCH_SERVER_CORE);
    stage->webdis = process_start(&(struct process_spec){
        .name = "webdis", .argv = (const char *const[]){"webdis", config, NULL}});
    pin_to(BENCH_LOAD_CORE);
    WAIT_UNTIL(10000, answers(stage->webdis_port));
}

void stage_start(struct stage *out, const char *const *flags)
{
    pin_to(BENCH_LOAD_CORE);
    out->cluster = cluster_start(
        &(struct cluster_spec){.tls = out->certificates ? CLUSTER_TLS_REDIS : CLUSTER_PLAIN,
                               .certificates = out->certificates,
                               .nodes = 1,
                               .quorum = 2,
                               .down_after_ms = 60000,
                               .slow_pace = true});
    out->node = &out->cluster->nodes[0];
    pin_to(BENCH_SERVER_CORE);
    out->daemon = daemon_launch(&(struct daemon_spec){.cluster = out->cluster, .flags = flags});
    pin_to(BENCH_LOAD_CORE);
    EXPECT_MASTER(out->daemon, out->node, 10000);
    out->url = text("%s/redis", out->daemon->base);
}

/* ---- a case ---- */

static bool is_get(const struct work *work)
{
    return strcmp(work->name, "GET") == 0;
}

/* webdis has the path for commands and, for what does not fit there, the body in the same form. */
static struct wrk_run run_webdis(const struct stage *stage, const struct work *work,
                                 int connections, int seconds)
{
    const char *base = text("http://127.0.0.1:%u", stage->webdis_port),
               *key = value_keys[work->value];

    if (is_get(work)) {
        return wrk_run(stage->webdis, text("%s/GET/%s", base, key), NULL, connections, seconds);
    }
    return wrk_run(stage->webdis, text("%s/", base),
                   wrk_script("webdis", text("'SET/%s/' .. value", key), value_sizes[work->value]),
                   connections, seconds);
}

static struct wrk_run run_daemon(const struct stage *stage, const struct work *work,
                                 int connections, int seconds)
{
    const char *key = value_keys[work->value];
    const char *body = is_get(work) ? text("'[\"GET\",\"%s\"]'", key)
                                    : text("'[\"SET\",\"%s\",\"' .. value .. '\"]'", key);

    return wrk_run(stage->daemon->process, stage->url,
                   wrk_script("daemon", body, value_sizes[work->value]), connections, seconds);
}

static double run_ceiling(const struct stage *stage, const struct work *work, int connections)
{
    const char *command[] = {work->name, value_keys[work->value],
                             is_get(work) ? NULL : stage->values[work->value], NULL};
    const int ops = connections == 1 ? work->ceiling_ops / 5 : work->ceiling_ops;

    return redis_benchmark(stage->node, connections, 1, ops, command);
}

static void round_of(const struct stage *stage, const struct work *work, int connections,
                     int seconds, struct figures *out)
{
    const struct wrk_run own = run_daemon(stage, work, connections, seconds);
    const struct wrk_run webdis = run_webdis(stage, work, connections, seconds);
    const double ceiling = run_ceiling(stage, work, connections);

    samples_add(&out->rate, own.rate);
    samples_add(&out->cpu_us, own.cpu_us);
    samples_add(&out->busy, own.busy);
    samples_add(&out->webdis_rate, webdis.rate);
    samples_add(&out->webdis_cpu_us, webdis.cpu_us);
    samples_add(&out->ceiling, ceiling);
    samples_add(&out->rate_ratio, own.rate / webdis.rate);
    samples_add(&out->cpu_ratio, own.cpu_us / webdis.cpu_us);
    samples_add(&out->ceiling_ratio, own.rate / ceiling);
    out->complained = out->complained || own.complained || webdis.complained;
}

static void print(const struct work *work, int connections, const struct figures *figures)
{
    (void)printf("  %-11s %5d %9.0f %9.2f %5.0f %9.0f %9.2f %10.0f | %6.2f %6.2f %6.2f  %s%s\n",
                 work->label, connections, samples_median(&figures->rate),
                 samples_median(&figures->cpu_us), samples_median(&figures->busy),
                 samples_median(&figures->webdis_rate), samples_median(&figures->webdis_cpu_us),
                 samples_median(&figures->ceiling), samples_median(&figures->cpu_ratio),
                 samples_median(&figures->rate_ratio), samples_median(&figures->ceiling_ratio),
                 connections == 32 ? verdict(&figures->cpu_ratio, "<= 0.5") : "",
                 figures->complained ? "  (wrk saw errors)" : "");
    (void)fflush(stdout);
}

static void measure(const struct stage *stage, const struct work *work,
                    const struct bench_settings *settings)
{
    for (size_t i = 0; i < N_CONNECTIONS; i++) {
        struct figures figures = {.complained = false};

        for (int round = 0; round < settings->rounds; round++) {
            progress("commands: %s, %d connections, round %d of %d", work->label,
                     connection_counts[i], round + 1, settings->rounds);
            round_of(stage, work, connection_counts[i], settings->run_seconds, &figures);
        }
        print(work, connection_counts[i], &figures);
    }
}

static void make_values(struct stage *stage)
{
    for (size_t i = 0; i < STAGE_VALUES; i++) {
        char *value = scene_alloc((size_t)value_sizes[i] + 1);

        memset(value, 'x', (size_t)value_sizes[i]);
        stage->values[i] = value;
        (void)redis_say(stage->node, "SET %s %s", value_keys[i], value);
    }
}

void bench_commands(const struct bench_settings *settings)
{
    struct stage stage = {.node = NULL};

    stage_start(&stage, (const char *const[]){"--redis-api", "loopback", NULL});
    make_values(&stage);
    stage_webdis(&stage);
    (void)printf(
        "\nPOST /redis, keep-alive, against webdis on the same Redis; both on one core (1 worker, 1 thread, 2 connections\n"
        "to Redis each), wrk -t1 and Redis on %s; medians of %d paired runs of %d s; right of the bar: CPU\n"
        "time per request and rate divided by webdis', rate divided by redis-benchmark's;\n" VERDICT_WORDS
        "\n\n"
        "  %-11s %5s %9s %9s %5s %9s %9s %10s | %6s %6s %6s  %s\n",
        pin_cores() > 1 ? "another" : "THE SAME (THERE IS ONE)", settings->rounds,
        settings->run_seconds, "", "conns", "req/s", "CPU us", "busy", "webdis/s", "CPU us",
        "ceiling/s", "CPU", "req/s", "ceil.", "budget of CPU");
    for (size_t i = 0; i < N_CASES; i++) {
        measure(&stage, &works[i], settings);
    }
    stage_pipelines(&stage, settings);
    stage_beside(&stage, settings);
    stage_memory();
}
