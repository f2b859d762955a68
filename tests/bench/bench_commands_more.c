/*
 * What else there is to say of commands: pipelines, GET /master beside them, and memory.
 *
 * Latencies of GET /master are taken from outside, one question after another on a connection of
 * its own, by a process that shares its core with wrk and Redis but goes before them; still, they
 * have a scheduler's share in them, the idle ones too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../support/scene.h"
#include "bench_commands.h"

enum { PIPELINE = 100, CONNECTIONS = 32, CROWD = 256, FEW = 1000, MANY = 1000000 };

/* ---- pipelines ---- */

static char *pipeline_script(void)
{
    return wrk_script(
        "pipeline", text("'[' .. string.rep('[\"GET\",\"small\"]', %d, ',') .. ']'", PIPELINE), 0);
}

static void print_pipeline(const char *label, const struct samples *rate,
                           const struct samples *cpu_us, const struct samples *ratio,
                           const char *budget)
{
    (void)printf("  %-46s %12.0f", label, samples_median(rate));
    if (cpu_us) {
        (void)printf(" %10.2f", samples_median(cpu_us));
    } else {
        (void)printf(" %10s", "-");
    }
    if (ratio) {
        (void)printf(" | %7.2f", samples_median(ratio));
    }
    (void)printf("  %s\n", ratio ? verdict(ratio, budget) : budget);
}

void stage_pipelines(const struct stage *stage, const struct bench_settings *settings)
{
    struct samples single = {.n = 0}, single_cpu = {.n = 0}, many = {.n = 0}, many_cpu = {.n = 0};
    struct samples ceiling = {.n = 0}, to_single = {.n = 0}, to_ceiling = {.n = 0};
    const char *one = wrk_script("single", "'[\"GET\",\"small\"]'", 0),
               *pipeline = pipeline_script();
    const char *const get[] = {"GET", "small", NULL};

    for (int i = 0; i < settings->rounds; i++) {
        progress("commands: pipelines, round %d of %d", i + 1, settings->rounds);
        const struct wrk_run a =
            wrk_run(stage->daemon->process, stage->url, one, CONNECTIONS, settings->run_seconds);
        const struct wrk_run b = wrk_run(stage->daemon->process, text("%s/pipeline", stage->url),
                                         pipeline, CONNECTIONS, settings->run_seconds);
        const double c = redis_benchmark(stage->node, CONNECTIONS, PIPELINE, 1000000, get);
        samples_add(&single, a.rate);
        samples_add(&single_cpu, a.cpu_us);
        samples_add(&many, b.rate * PIPELINE);
        samples_add(&many_cpu, b.cpu_us / PIPELINE);
        samples_add(&ceiling, c);
        samples_add(&to_single, b.rate * PIPELINE / a.rate);
        samples_add(&to_ceiling, b.rate * PIPELINE / c);
    }
    (void)printf(
        "\nGET by the hundred, %d connections; right of the bar: the pipeline's rate divided by this one's\n\n"
        "  %-46s %12s %10s | %7s  %s\n",
        CONNECTIONS, "", "commands/s", "CPU us", "ratio", "budget");
    print_pipeline("POST /redis/pipeline of 100", &many, &many_cpu, NULL, "");
    print_pipeline("100 single requests", &single, &single_cpu, &to_single, ">= 8");
    print_pipeline("redis-benchmark -P 100", &ceiling, NULL, &to_ceiling, "");
    (void)fflush(stdout);
}

/* ---- GET /master beside them ---- */

enum { MAX_LATENCIES = 100000, PAUSE_US = 500 };

struct latencies {
    double *ms;
    size_t n;
};

static struct latencies latencies_new(void)
{
    return (struct latencies){.ms = scene_alloc(MAX_LATENCIES * sizeof(double))};
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/*
 * Ask over and over. @param while_ok end with the first answer other than 200. @return whether
 * there was one.
 */
static bool probe(struct asker *asker, struct latencies *out, int64_t until_ns, bool while_ok)
{
    while (monotonic_ns() < until_ns) {
        const int64_t began = monotonic_ns();

        asker_ask(asker);
        while (!asker->answered && monotonic_ns() - began < 10000000000) {
            askers_wait(asker, 1, began + 10000000000);
        }
        cr_assert(asker->answered, "GET /master was not answered for ten seconds");
        if (while_ok && asker->status != 200) {
            return true;
        }
        if (out->n < MAX_LATENCIES) {
            out->ms[out->n++] = (double)(asker->answered_ns - began) / 1e6;
        }
        nap_us(PAUSE_US);
    }
    return false;
}

static struct process *start_load(const struct stage *stage, const char *script, int connections)
{
    const char *const argv[] = {
        "wrk",      "-t1", text("-c%d", connections), "-d600s", "-s", script, "--timeout", "30s",
        stage->url, NULL};

    return process_start(&(struct process_spec){.name = "load", .may_die = true, .argv = argv});
}

static void probe_load(const struct stage *stage, struct asker *asker, const char *script,
                       struct latencies *out, int seconds)
{
    struct process *load = start_load(stage, script, CONNECTIONS);

    (void)setpriority(PRIO_PROCESS, 0, -15);
    (void)probe(asker, out, monotonic_ns() + seconds * INT64_C(1000000000), false);
    (void)setpriority(PRIO_PROCESS, 0, 0);
    process_stop(load);
}

/* Until the watcher has seen it, and for a while after. */
static void probe_hang(const struct stage *stage, struct asker *asker, struct latencies *before,
                       struct latencies *after, int seconds)
{
    server_freeze(stage->node);
    const bool noticed = probe(asker, before, monotonic_ns() + 20000000000, true);
    cr_assert(noticed, "/master went on saying 200");
    (void)probe(asker, after, monotonic_ns() + seconds * INT64_C(1000000000), false);
    server_thaw(stage->node);
    EXPECT_MASTER(stage->daemon, stage->node, 20000);
}

static void print_latencies(const char *label, struct latencies *latencies, double idle_p99)
{
    const size_t n = latencies->n;

    cr_assert(n > 0);
    qsort(latencies->ms, n, sizeof(latencies->ms[0]), compare);
    const double p99 = latencies->ms[(n * 99 + 99) / 100 - 1];
    (void)printf("  %-56s %7zu %8.3f %8.3f %8.3f  %6.1f\n", label, n, latencies->ms[n / 2], p99,
                 latencies->ms[n - 1], idle_p99 > 0 ? p99 / idle_p99 : 1);
}

static double p99_of(struct latencies *latencies)
{
    qsort(latencies->ms, latencies->n, sizeof(latencies->ms[0]), compare);
    return latencies->ms[(latencies->n * 99 + 99) / 100 - 1];
}

void stage_beside(const struct stage *stage, const struct bench_settings *settings)
{
    struct latencies idle = latencies_new(), few = latencies_new(), crowd = latencies_new(),
                     before = latencies_new(), after = latencies_new();
    struct asker asker;
    const int seconds = settings->run_seconds;
    const char *script = wrk_script("load", "'[\"INCR\",\"counter\"]'", 0);

    asker_init(&asker, ASKER_HTTP, stage->daemon->port, "/master");
    for (int i = 0; i < settings->rounds; i++) {
        progress("commands: GET /master beside them, round %d of %d", i + 1, settings->rounds);
        probe_load(stage, &asker, script, &few, seconds);
        struct process *load = start_load(stage, script, CROWD);
        (void)setpriority(PRIO_PROCESS, 0, -15);
        (void)probe(&asker, &crowd, monotonic_ns() + seconds * INT64_C(1000000000), false);
        probe_hang(stage, &asker, &before, &after, seconds);
        process_stop(load);
        nap_us(200000);
        (void)probe(&asker, &idle, monotonic_ns() + seconds * INT64_C(1000000000), false);
        (void)setpriority(PRIO_PROCESS, 0, 0);
    }
    cr_expect(asker.lost == 0, "%u connections lost", asker.lost);
    asker_close(&asker);
    const double idle_p99 = p99_of(&idle);
    (void)printf(
        "\nGET /master beside commands, with %d connections where the master hangs; %d rounds, ms\n\n  %-56s %7s %8s %8s %8s  %6s\n",
        CROWD, settings->rounds, "", "n", "median", "p99", "worst", "p99 : idle");
    print_latencies("idle", &idle, idle_p99);
    print_latencies(text("while %d connections send commands without a pause", CONNECTIONS), &few,
                    idle_p99);
    print_latencies(text("while %d do", CROWD), &crowd, idle_p99);
    print_latencies("while the master hangs, before the watcher notices (200)", &before, idle_p99);
    print_latencies("and after (503)", &after, idle_p99);
    (void)fflush(stdout);
}

/* ---- memory ---- */

/*
 * Each second request writes a kilobyte. @param most whereupon it stops to ask; wrk itself goes on
 * for its time.
 */
static const char *memory_script(long most)
{
    char *path = text("%s/memory.lua", scene_folder());

    file_write(
        path, text("local asked, answered, value = 0, 0, string.rep('x', 1000)\n"
                   "local bodies = {'[\"GET\",\"key\"]', '[\"SET\",\"key\",\"' .. value .. '\"]'}\n"
                   "function request()\n"
                   "  asked = asked + 1\n"
                   "  return wrk.format('POST', nil, nil, bodies[asked %% 2 + 1])\n"
                   "end\n"
                   "function response()\n"
                   "  answered = answered + 1\n"
                   "  if answered == %ld then wrk.thread:stop() end\n"
                   "end\n",
                   most));
    return path;
}

struct memory {
    double anonymous_mb, resident_mb, requests;
};

static struct memory memory_of(const struct stage *stage, double requests)
{
    const pid_t pid = stage->daemon->process->pid;

    return (struct memory){.anonymous_mb = (double)process_status_kb(pid, "RssAnon") / 1024,
                           .resident_mb = (double)process_status_kb(pid, "VmRSS") / 1024,
                           .requests = requests};
}

static void print_memory(const char *label, const struct memory *memory)
{
    (void)printf("  %-20s %9.0f %9.2f MB %9.2f MB\n", label, memory->requests, memory->anonymous_mb,
                 memory->resident_mb);
}

void stage_memory(void)
{
    struct stage stage = {.node = NULL};
    double requests = 0;

    stage_start(&stage, (const char *const[]){"--redis-api", "loopback", NULL});
    const struct memory idle = memory_of(&stage, 0);
    requests +=
        wrk_run(stage.daemon->process, stage.url, memory_script(FEW), CONNECTIONS, 1).requests;
    const struct memory few = memory_of(&stage, requests);
    const char *script = memory_script(MANY);
    while (requests < MANY) {
        progress("commands: memory, %.0f of %d requests", requests, MANY);
        requests += wrk_run(stage.daemon->process, stage.url, script, CONNECTIONS, 5).requests;
    }
    const struct memory many = memory_of(&stage, requests);
    (void)printf(
        "\nMemory, %d connections, values of 1 KB written and read\n\n  %-20s %9s %12s %12s\n",
        CONNECTIONS, "", "requests", "RssAnon", "resident");
    print_memory("before", &idle);
    print_memory("the first thousand", &few);
    print_memory("a million", &many);
    (void)fflush(stdout);
}
