/*
 * GET /master against three others that give the same answer: a bare epoll loop, nginx `return
 * 200`, and webdis, which asks a Redis server each time. All run all the time, each pinned to the
 * server's core, and take turns, so that whatever else the machine does hits all alike; wrk and
 * everything else have the other core.
 *
 * What counts is CPU time per request: requests per second say as much about wrk, which takes a
 * core of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench_http.h"

enum { N_SERVERS = 4, BELLWETHER = 0 };

char *whole_answer(uint16_t port, const char *path, size_t *size)
{
    struct asker asker;

    asker_init(&asker, ASKER_HTTP, port, path);
    const int64_t end = monotonic_ns() + 10000000000;
    while (!asker.answered || asker.status != 200) {
        cr_assert(monotonic_ns() < end, "no answer with 200 on port %u: %s", port,
                  asker.answered ? asker.bytes : "");
        asker_ask(&asker);
        askers_wait(&asker, 1, monotonic_ns() + 2000000);
        nap_us(500);
    }
    *size = asker.n;
    asker_close(&asker);
    return text("%s", asker.bytes);
}

static struct process *start_pinned(const char *name, const char *const *argv)
{
    pin_to(BENCH_SERVER_CORE);
    struct process *process = process_start(&(struct process_spec){.name = name, .argv = argv});
    pin_to(BENCH_LOAD_CORE);
    return process;
}

static void start_epoll(struct peer *peer, const char *folder, const char *answer)
{
    char *file = text("%s/answer", scene_folder());

    file_write(file, answer);
    peer->process =
        start_pinned("epoll_peer", (const char *const[]){text("%s/bench/epoll_peer", folder),
                                                         text("%u", peer->port), file, NULL});
}

/* Headers that nginx does not make by itself are added, so that both answers have the same ones. */
static char *nginx_headers(const char *answer)
{
    static const char *const own[] = {
        "HTTP/",       "Date:",           "Server:",    "Content-Type:",
        "Connection:", "Content-Length:", "Keep-Alive:"};
    char *out = text("%s", ""), *save = NULL;
    char *head = text("%.*s", (int)(strstr(answer, "\r\n\r\n") - answer), answer);

    for (char *line = strtok_r(head, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        bool skip = false;

        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
            skip = skip || strncmp(line, own[i], strlen(own[i])) == 0;
        }
        char *colon = strchr(line, ':');
        if (!skip && colon) {
            out = text("%s add_header %.*s '%s';\n", out, (int)(colon - line), line, colon + 2);
        }
    }
    return out;
}

void start_nginx(struct peer *peer, const char *answer, const char *tls)
{
    const char *folder = scene_folder(), *body = strstr(answer, "\r\n\r\n") + 4;
    char *config = text("%s/nginx.conf", folder);

    file_write(
        config,
        text(
            "daemon off; master_process off; worker_processes 1; pid %s/nginx.pid; error_log %s/nginx.log;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; server_tokens off; keepalive_requests 1000000000; tcp_nodelay on;\n"
            "client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s;\n"
            "scgi_temp_path %s; default_type application/json;\n"
            "server { listen 127.0.0.1:%u%s; location / {\n%s return 200 '%s'; } } }\n",
            folder, folder, folder, folder, folder, folder, folder, peer->port, tls,
            nginx_headers(answer), body));
    peer->process = start_pinned(
        "nginx", (const char *const[]){process_can_run("nginx") ? "nginx" : "/usr/sbin/nginx", "-c",
                                       config, "-p", folder, NULL});
}

static void start_webdis(struct peer *peer, struct server *node, const char *answer)
{
    char *config = text("%s/webdis.json", scene_folder());

    file_write(
        config,
        text("{\"redis_host\": \"127.0.0.1\", \"redis_port\": %u, \"http_host\": \"127.0.0.1\",\n"
             "\"http_port\": %u, \"threads\": 1, \"pool_size\": 2, \"daemonize\": false,\n"
             "\"database\": 0, \"verbosity\": 0, \"logfile\": \"%s/webdis.txt\"}\n",
             node->port, peer->port, scene_folder()));
    cr_assert_str_eq(redis_say(node, "SET master %s", strstr(answer, "\r\n\r\n") + 4), "OK");
    peer->process = start_pinned("webdis", (const char *const[]){"webdis", config, NULL});
}

/* One run of wrk against one server. */
static void run_wrk(struct peer *peer, const char *scheme, int connections, int seconds)
{
    const int64_t cpu = process_cpu_ns(peer->process->pid), began = monotonic_ns();
    const struct process_result wrk = process_run(
        (seconds + 30) * INT64_C(1000), NULL,
        (const char *const[]){"wrk", "-t1", text("-c%d", connections), text("-d%ds", seconds),
                              text("%s://127.0.0.1:%u%s", scheme, peer->port, peer->path), NULL});
    const double cpu_ns = (double)(process_cpu_ns(peer->process->pid) - cpu),
                 took_ns = (double)(monotonic_ns() - began);
    const char *at = strstr(wrk.out, " requests in "), *rate = strstr(wrk.out, "Requests/sec:");

    cr_assert(at && rate, "wrk ended with %d against %s: %s%s", wrk.exit_code, peer->name, wrk.out,
              wrk.err);
    while (at > wrk.out && at[-1] != ' ') {
        at--;
    }
    const double requests = strtod(at, NULL);
    cr_assert(requests > 0, "%s answered nothing: %s", peer->name, wrk.out);
    samples_add(&peer->rate, strtod(rate + strlen("Requests/sec:"), NULL));
    samples_add(&peer->cpu_us, cpu_ns / requests / 1000);
    samples_add(&peer->busy, cpu_ns / took_ns * 100);
    if (strstr(wrk.out, "Non-2xx") || strstr(wrk.out, "Socket errors")) {
        peer->complained = true;
    }
}

static void print_peer(const struct peer *peer, int connections, bool own)
{
    (void)printf("  %-17s %5d %6zu %8.0f %7.0f %11.2f", peer->name, connections, peer->answer_size,
                 samples_median(&peer->rate), samples_median(&peer->busy),
                 samples_median(&peer->cpu_us));
    if (!own) {
        (void)printf("  | %5.2f %7.2f   %s", samples_median(&peer->rate_ratio),
                     samples_median(&peer->cpu_ratio), verdict(&peer->cpu_ratio, peer->budget));
    }
    (void)printf("%s\n", peer->complained ? "  (wrk saw errors)" : "");
}

void measure_peers(struct peer *peers, size_t n, const char *scheme, int connections,
                   const struct bench_settings *settings)
{
    for (size_t i = 0; i < n; i++) {
        run_wrk(&peers[i], scheme, connections, 1); /* to warm up */
        peers[i].rate.n = peers[i].cpu_us.n = peers[i].busy.n = 0;
        peers[i].rate_ratio.n = peers[i].cpu_ratio.n = 0;
        peers[i].complained = false;
    }
    for (int round = 0; round < settings->rounds; round++) {
        progress("%s: %d connections, round %d of %d", scheme, connections, round + 1,
                 settings->rounds);
        for (size_t i = 0; i < n; i++) { /* each is the first of a round by turns */
            run_wrk(&peers[((size_t)round + i) % n], scheme, connections, settings->run_seconds);
        }
        for (size_t i = 0; i < n; i++) {
            struct peer *peer = &peers[i], *own = &peers[BELLWETHER];

            samples_add(&peer->cpu_ratio, own->cpu_us.value[round] / peer->cpu_us.value[round]);
            samples_add(&peer->rate_ratio, own->rate.value[round] / peer->rate.value[round]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        print_peer(&peers[i], connections, i == BELLWETHER);
    }
    (void)fflush(stdout);
}

void bench_http(const struct bench_settings *settings)
{
    struct peer peers[N_SERVERS] = {
        {.name = "bellwether", .path = "/master", .budget = ""},
        {.name = "bare epoll loop", .path = "/master", .budget = "<= 1.25"},
        {.name = "nginx return 200", .path = "/master", .budget = "<= 1.00"},
        {.name = "webdis GET", .path = "/GET/master.txt", .budget = "-"}};

    pin_to(BENCH_LOAD_CORE);
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.slow_pace = true});
    pin_to(BENCH_SERVER_CORE);
    struct daemon *daemon = daemon_start(cluster, NULL);
    pin_to(BENCH_LOAD_CORE);
    peers[0].port = daemon->port;
    peers[0].process = daemon->process;
    char *answer = whole_answer(daemon->port, "/master", &peers[0].answer_size);
    for (size_t i = 1; i < N_SERVERS; i++) {
        peers[i].port = port_reserve();
    }
    start_epoll(&peers[1], settings->folder, answer);
    start_nginx(&peers[2], answer, "");
    start_webdis(&peers[3], &cluster->nodes[0], answer);
    for (size_t i = 1; i < N_SERVERS; i++) {
        (void)whole_answer(peers[i].port, peers[i].path, &peers[i].answer_size);
    }
    (void)printf(
        "\nGET /master, keep-alive; server on one core, wrk -t1 (and Redis) on %s; medians of %d paired runs\n"
        "of %d s; right of the bar: bellwether's figure divided by this one's;\n" VERDICT_WORDS
        "\n\n"
        "  %-17s %5s %6s %8s %7s %11s  | %5s %7s   %s\n",
        pin_cores() > 1 ? "another" : "THE SAME (THERE IS ONE)", settings->rounds,
        settings->run_seconds, "", "conns", "bytes", "req/s", "busy %", "CPU us/req", "req/s",
        "CPU/req", "budget of CPU/req");
    measure_peers(peers, N_SERVERS, "http", 16, settings);
    measure_peers(peers, N_SERVERS, "http", 64, settings);
}
