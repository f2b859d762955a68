/*
 * redis-benchmark through --forward, through HAProxy in TCP mode and through nginx's stream module,
 * and without anything between, which is what there is to lose.
 *
 * All run all the time and take turns. Those that pass on are pinned to the server's core; Redis,
 * the Sentinels and redis-benchmark share the other one, and are what bounds the rate as soon as
 * there are many connections: what counts then is CPU time per request.
 *
 * BENCH_ROWS has only those rows measured whose name and connections, as `GET -P 32, 50`, hold its
 * text.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/crowd.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench_commands.h"
#include "bench_forward.h"

enum { DIRECT, OURS, HAPROXY, HAPROXY_SPLICE, NGINX, N_PATHS, PEERS = HAPROXY };
#define SMALL "xxxxx"
enum { IDLE_MOST = 5000, MAX_CONNECTIONS = 6000, LARGE = 100000 };

static const struct work {
    const char *label, *name, *key;
    int connections, pipeline;
    int ops; /* of a second, about */
    bool has_budget;
    bool on_one_core; /* all of it: nobody on another core is woken */
} works[] = {{"GET", "GET", "small", 1, 1, 5000, true, false},
             {"GET, one core", "GET", "small", 1, 1, 30000, true, true},
             {"GET", "GET", "small", 50, 1, 60000, true, false},
             {"SET", "SET", "small", 50, 1, 60000, true, false},
             {"GET", "GET", "small", 1000, 1, 50000, true, false},
             {"GET -P 32", "GET", "small", 50, 32, 1000000, true, false},
             {"SET -P 32", "SET", "small", 50, 32, 700000, true, false},
             {"GET 100 KB", "GET", "large", 16, 1, 8000, false, false}};

/* From redis-benchmark to Redis. */
struct path {
    const char *name;
    struct server to; /* its host and port */
    struct process *process;
    struct samples rate, cpu_us, busy, added_us, rate_ratio, cpu_ratio;
};

/* ---- those between ---- */

struct process *haproxy_start(const char *name, const char *config)
{
    char *path = text("%s/%s.cfg", scene_folder(), name);

    file_write(path, config);
    return process_start(&(struct process_spec){
        .name = name,
        .argv = (const char *const[]){process_can_run("haproxy") ? "haproxy" : "/usr/sbin/haproxy",
                                      "-db", "-f", path, NULL}});
}

static struct process *start_haproxy(const char *name, uint16_t port, const struct server *node,
                                     const char *option)
{
    return haproxy_start(
        name, text("global\n nbthread 1\n maxconn %d\n"
                   "defaults\n mode tcp\n maxconn %d\n timeout connect 5s\n timeout client 1h\n"
                   " timeout server 1h\n%s"
                   "listen redis\n bind 127.0.0.1:%u\n server node 127.0.0.1:%u\n",
                   MAX_CONNECTIONS, MAX_CONNECTIONS, option, port, node->port));
}

/* The module, where Debian has it. */
static struct process *start_nginx_stream(uint16_t port, const struct server *node)
{
    static const char module[] = "/usr/lib/nginx/modules/ngx_stream_module.so";
    const char *folder = scene_folder(), *config = text("%s/stream.conf", folder);

    file_write(config,
               text("%s%s%s\n"
                    "daemon off; master_process off; worker_processes 1;\n"
                    "pid %s/stream.pid; error_log %s/stream.log;\n"
                    "events { worker_connections %d; }\n"
                    "stream { server { listen 127.0.0.1:%u backlog=4096; tcp_nodelay on;\n"
                    "proxy_timeout 1h; proxy_pass 127.0.0.1:%u; } }\n",
                    access(module, R_OK) == 0 ? "load_module " : "",
                    access(module, R_OK) == 0 ? module : "", access(module, R_OK) == 0 ? ";" : "",
                    folder, folder, 2 * MAX_CONNECTIONS, port, node->port));
    return process_start(&(struct process_spec){
        .name = "nginx",
        .argv = (const char *const[]){process_can_run("nginx") ? "nginx" : "/usr/sbin/nginx", "-c",
                                      config, "-p", folder, NULL}});
}

static void start_paths(struct path *paths, const struct stage *stage)
{
    static const char *const names[N_PATHS] = {"direct", "bellwether", "HAProxy",
                                               "HAProxy, splice-auto", "nginx stream"};

    for (size_t i = 0; i < N_PATHS; i++) {
        paths[i] = (struct path){
            .name = names[i],
            .to = {
                .label = "path", .host = "127.0.0.1", .ip = "127.0.0.1", .port = paths[i].to.port}};
    }
    paths[DIRECT].to.port = stage->node->port;
    paths[OURS].process = stage->daemon->process;
    for (size_t i = PEERS; i < N_PATHS; i++) {
        paths[i].to.port = port_reserve();
    }
    pin_to(BENCH_SERVER_CORE);
    paths[HAPROXY].process = start_haproxy("haproxy", paths[HAPROXY].to.port, stage->node, "");
    paths[HAPROXY_SPLICE].process = start_haproxy("haproxy-splice", paths[HAPROXY_SPLICE].to.port,
                                                  stage->node, " option splice-auto\n");
    paths[NGINX].process = start_nginx_stream(paths[NGINX].to.port, stage->node);
    pin_to(BENCH_LOAD_CORE);
    for (size_t i = 0; i < N_PATHS; i++) {
        WAIT_UNTIL(10000, strcmp(redis_say(&paths[i].to, "PING"), "PONG") == 0);
    }
}

/* ---- memory ---- */

/* A connection that Redis has answered on. */
static int open_idle(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char ping[] = "PING\r\n";
    char pong[16];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    cr_assert(write(fd, ping, sizeof(ping) - 1) == (ssize_t)sizeof(ping) - 1);
    cr_assert(read(fd, pong, sizeof(pong)) > 0 && pong[0] == '+');
    return fd;
}

static void measure_memory(const struct path *paths)
{
    static const size_t marks[] = {1000, IDLE_MOST};
    static int fds[IDLE_MOST];

    (void)printf(
        "\nA connection that is idle, RssAnon, the first ones of a process; nginx has made room for\n"
        "%d when it starts, which is not counted\n\n",
        MAX_CONNECTIONS);
    for (size_t i = OURS; i < N_PATHS; i++) {
        const long before = process_status_kb(paths[i].process->pid, "RssAnon");
        size_t n = 0;

        (void)printf("  %-21s", paths[i].name);
        for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++) {
            while (n < marks[k]) {
                fds[n++] = open_idle(paths[i].to.port);
            }
            (void)printf("  of %zu: %5.2f kB", n,
                         (double)(process_status_kb(paths[i].process->pid, "RssAnon") - before) /
                             (double)n);
        }
        (void)printf("\n");
        while (n > 0) {
            close(fds[--n]);
        }
    }
    (void)fflush(stdout);
}

/* ---- rates ---- */

static void run(struct path *path, const struct work *work, int ops)
{
    const char *command[] = {work->name, work->key, strcmp(work->name, "SET") == 0 ? SMALL : NULL,
                             NULL};
    const int64_t cpu = path->process ? process_cpu_ns(path->process->pid) : 0;
    const double rate = redis_benchmark(&path->to, work->connections, work->pipeline, ops, command);
    const double cpu_ns = path->process ? (double)(process_cpu_ns(path->process->pid) - cpu) : 0;

    samples_add(&path->rate, rate);
    samples_add(&path->cpu_us, cpu_ns / ops / 1000);
    samples_add(&path->busy, cpu_ns / ops * rate / 1e7);
}

static void clear(struct path *paths)
{
    for (size_t i = 0; i < N_PATHS; i++) {
        paths[i].rate.n = paths[i].cpu_us.n = paths[i].busy.n = paths[i].added_us.n = 0;
        paths[i].rate_ratio.n = paths[i].cpu_ratio.n = 0;
    }
}

/* Of the peers, by their medians. */
static const struct path *better(const struct path *paths, bool by_rate)
{
    const struct path *best = &paths[PEERS];

    for (size_t i = PEERS + 1; i < N_PATHS; i++) {
        if (by_rate ? samples_median(&paths[i].rate) > samples_median(&best->rate)
                    : samples_median(&paths[i].cpu_us) < samples_median(&best->cpu_us)) {
            best = &paths[i];
        }
    }
    return best;
}

static void print_verdicts(const struct path *paths, const struct work *work)
{
    const struct path *fast = better(paths, true), *thrifty = better(paths, false);

    if (work->has_budget) {
        verdict_line(text("rate : %s", fast->name), &fast->rate_ratio, ">= 1.00");
        verdict_line(text("CPU time : %s", thrifty->name), &thrifty->cpu_ratio, "<= 1.00");
    }
    if (work->connections == 1) {
        verdict_line("added, us", &paths[OURS].added_us,
                     work->on_one_core ? "<= 30" : "-, with two more times that a core is woken");
    }
}

static void print(const struct path *paths, const struct work *work)
{
    for (size_t i = 0; i < N_PATHS; i++) {
        const struct path *path = &paths[i];

        (void)printf("  %-13s %5d  %-21s %8.0f", work->label, work->connections, path->name,
                     samples_median(&path->rate));
        if (i != DIRECT) {
            (void)printf(" %8.2f %6.0f", samples_median(&path->cpu_us),
                         samples_median(&path->busy));
        }
        if (i != DIRECT && work->connections == 1) {
            (void)printf(" %8.1f", samples_median(&path->added_us));
        }
        if (i >= PEERS) {
            (void)printf("%*s  | %5.2f %5.2f", work->connections == 1 ? 0 : 9, "",
                         samples_median(&path->rate_ratio), samples_median(&path->cpu_ratio));
        }
        (void)printf("\n");
    }
    print_verdicts(paths, work);
    (void)printf("\n");
    (void)fflush(stdout);
}

static bool is_wanted(const char *name)
{
    const char *rows = getenv("BENCH_ROWS");

    return !rows || strstr(name, rows);
}

static void measure(struct path *paths, const struct work *work, const struct stage *stage,
                    const struct bench_settings *settings)
{
    const int core = work->on_one_core ? BENCH_SERVER_CORE : BENCH_LOAD_CORE;

    pin_process(stage->node->process->pid, core);
    pin_to(core);
    clear(paths);
    for (size_t i = 0; i < N_PATHS; i++) {
        run(&paths[i], work, work->ops / 5); /* to warm up */
    }
    clear(paths);
    for (int round = 0; round < settings->rounds; round++) {
        progress("forward: %s, %d connections, round %d of %d", work->label, work->connections,
                 round + 1, settings->rounds);
        for (size_t i = 0; i < N_PATHS; i++) { /* each is the first of a round by turns */
            run(&paths[((size_t)round + i) % N_PATHS], work, work->ops * settings->run_seconds);
        }
        for (size_t i = OURS; i < N_PATHS; i++) {
            struct path *path = &paths[i];
            const struct path *own = &paths[OURS];

            samples_add(&path->rate_ratio, own->rate.value[round] / path->rate.value[round]);
            samples_add(&path->cpu_ratio, own->cpu_us.value[round] / path->cpu_us.value[round]);
            samples_add(&path->added_us,
                        1e6 / path->rate.value[round] - 1e6 / paths[DIRECT].rate.value[round]);
        }
    }
    print(paths, work);
}

void bench_forward(const struct bench_settings *settings)
{
    struct path paths[N_PATHS];
    struct stage stage = {.node = NULL};
    char *large = scene_alloc(LARGE + 1);

    /* HAProxy takes two and a half for each */
    cr_assert(crowd_fits(3 * (size_t)MAX_CONNECTIONS), "the limit of descriptors is too low");
    memset(large, 'x', LARGE);
    paths[OURS].to.port = port_reserve();
    stage_start(&stage,
                (const char *const[]){"--forward", text("127.0.0.1:%u", paths[OURS].to.port),
                                      "--max-forwards", text("%d", MAX_CONNECTIONS), NULL});
    (void)redis_say(stage.node, "SET small " SMALL);
    (void)redis_say(stage.node, "SET large %s", large);
    start_paths(paths, &stage);
    if (is_wanted("memory")) {
        measure_memory(paths);
    }
    (void)printf(
        "\nredis-benchmark through --forward and what others have, all on one core (1 worker, 1 thread, no logs);\n"
        "redis-benchmark and Redis on %s, but for `one core`; medians of %d paired runs of %d s or so;\n"
        "added: time of a request above that of a direct one; right of the bar: bellwether's figure divided by this one's;\n"
        "below each: median, lowest, and highest of the rounds against the better of the others, and its budget;\n" VERDICT_WORDS
        "\n\n"
        "  %-13s %5s  %-21s %8s %8s %6s %8s  | %5s %5s\n",
        pin_cores() > 1 ? "another" : "THE SAME (THERE IS ONE)", settings->rounds,
        settings->run_seconds, "", "conns", "", "req/s", "CPU us", "busy %", "added us", "req/s",
        "CPU");
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        if (is_wanted(text("%s, %d", works[i].label, works[i].connections))) {
            measure(paths, &works[i], &stage, settings);
        }
    }
}
