/* Starting the daemon under test and asking it. */
#include "daemon.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certificates.h"
#include "ports.h"
#include "scene.h"

enum { MAX_ARGUMENTS = 112 };

const char *daemon_binary(void)
{
    const char *named = getenv("BELLWETHER");

    return !named ? "build/bellwether" : named;
}

bool daemon_is_sanitized(void)
{
    return strstr(daemon_binary(), "san") != NULL;
}

static bool accepts(const struct daemon *daemon)
{
    return http_send(&(struct http_request){.base = daemon->base,
                                            .unix_socket = daemon->unix_socket,
                                            .path = "/livez",
                                            .bound_ms = 1000,
                                            .unrecorded = true})
               ->status != 0;
}

/* What a cluster's TLS asks for; flags of the test come after them, and win. */
static size_t add_tls(const struct cluster_spec *spec, const char **argv)
{
    size_t n = 0;

    if (spec->tls == CLUSTER_PLAIN) {
        return 0;
    }
    argv[n++] = "--tls-ca";
    argv[n++] = text("%s/ca.crt", spec->certificates);
    argv[n++] = "--sentinel-tls";
    argv[n++] = spec->tls == CLUSTER_TLS_REDIS ? "off" : "on";
    argv[n++] = "--redis-tls";
    argv[n++] = spec->tls == CLUSTER_TLS_SENTINELS ? "off" : "on";
    if (spec->client_certificates) {
        argv[n++] = "--tls-cert";
        argv[n++] = text("%s/good.crt", spec->certificates);
        argv[n++] = "--tls-key";
        argv[n++] = text("%s/good.key", spec->certificates);
    }
    return n;
}

static void drop_folder(void *folder)
{
    certificates_remove(folder);
}

/* What a daemon with TLS listens on has a certificate that the tests' authority has signed. */
static size_t secure(struct daemon *daemon, const char **argv, size_t n)
{
    const struct certificate ca = {.name = "ca", .authority = true},
                             good = {.name = "good",
                                     .issuer = "ca",
                                     .names = "DNS:localhost,IP:127.0.0.1,IP:::1",
                                     .begins_s = -60,
                                     .ends_s = 30 * 86400}; /* nothing to warn of */
    char *folder = scene_keep(certificates_folder(), drop_folder);

    certificates_make(folder, &ca);
    certificates_make(folder, &good);
    daemon->certificates = folder;
    daemon->base = text("https://127.0.0.1:%u", daemon->port);
    http_secure(daemon->port, daemon->certificates);
    argv[n++] = "--http-cert";
    argv[n++] = text("%s/good.crt", daemon->certificates);
    argv[n++] = "--http-key";
    argv[n++] = text("%s/good.key", daemon->certificates);
    return n;
}

struct daemon *daemon_launch(const struct daemon_spec *spec)
{
    const bool tls = spec->tls || (getenv("TEST_TLS") && !spec->no_listen && !spec->unix_socket);
    static const char *const hosts[] = {"x", "a", "b", "test"}; /* what raw requests in tests say */
    const char *argv[MAX_ARGUMENTS] = {spec->binary ? spec->binary : daemon_binary()};
    size_t n = 1;
    struct daemon *daemon = scene_alloc(sizeof(*daemon));

    daemon->port = port_reserve();
    daemon->base = text("http://127.0.0.1:%u", daemon->port);
    daemon->unix_socket =
        spec->unix_socket ? text("%s/http-%u", scene_folder(), daemon->port) : NULL;
    for (size_t i = 0; spec->cluster && i < spec->cluster->n_sentinels; i++) {
        argv[n++] = "--sentinel";
        argv[n++] = spec->cluster->sentinels[i].address;
    }
    if (!spec->no_listen) {
        argv[n++] = "--listen";
        argv[n++] = spec->unix_socket ? text("unix:%s", daemon->unix_socket)
                                      : text("127.0.0.1:%u%s", daemon->port, tls ? ",tls" : "");
    }
    if (tls) {
        n = secure(daemon, argv, n);
    }
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts) && !spec->no_listen; i++) {
        argv[n++] = "--allow-host";
        argv[n++] = hosts[i];
    }
    if (spec->cluster) {
        n += add_tls(&spec->cluster->spec, argv + n);
    }
    for (size_t i = 0; spec->flags && spec->flags[i] && n < MAX_ARGUMENTS - 1; i++) {
        argv[n++] = spec->flags[i];
    }
    daemon->process = process_start(&(struct process_spec){.name = "bellwether",
                                                           .argv = argv,
                                                           .env = spec->env,
                                                           .error_fd = spec->error_fd,
                                                           .netns_of = spec->netns_of,
                                                           .ends_cleanly = true});
    if (!spec->no_listen) {
        WAIT_UNTIL(5000, accepts(daemon) || process_ended(daemon->process));
    }
    cr_assert(!process_ended(daemon->process), "the daemon did not start (status 0x%x):\n%s",
              (unsigned)daemon->process->status, daemon_log(daemon));
    return daemon;
}

const char **daemon_flags(size_t first, va_list arguments)
{
    const char **flags = scene_alloc(MAX_ARGUMENTS * sizeof(*flags));

    for (size_t n = first; (flags[n] = va_arg(arguments, const char *)); n++) {
        cr_assert_lt(n, MAX_ARGUMENTS - 1, "too many flags");
    }
    return flags;
}

struct daemon *daemon_start(const struct cluster *cluster, ...)
{
    va_list arguments;

    va_start(arguments, cluster);
    const char **flags = daemon_flags(0, arguments);
    va_end(arguments);
    return daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
}

struct daemon *daemon_start_tls(const struct cluster *cluster, ...)
{
    va_list arguments;

    va_start(arguments, cluster);
    const char **flags = daemon_flags(0, arguments);
    va_end(arguments);
    return daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .tls = true});
}

static struct process_result run(int64_t bound_ms, const char *const *env, const char **flags)
{
    const char *argv[MAX_ARGUMENTS + 1] = {daemon_binary()};

    for (size_t n = 0; flags[n]; n++) {
        argv[n + 1] = flags[n];
    }
    return process_run(bound_ms, env, argv);
}

struct process_result daemon_run(int64_t bound_ms, ...)
{
    va_list arguments;

    va_start(arguments, bound_ms);
    const char **flags = daemon_flags(0, arguments);
    va_end(arguments);
    return run(bound_ms, NULL, flags);
}

struct process_result daemon_run_env(int64_t bound_ms, const char *const *env, ...)
{
    va_list arguments;

    va_start(arguments, env);
    const char **flags = daemon_flags(0, arguments);
    va_end(arguments);
    return run(bound_ms, env, flags);
}

void daemon_signal(const struct daemon *daemon, int signal_number)
{
    if (signal_number == SIGTERM || signal_number == SIGINT) {
        daemon->process->may_die = true;
    }
    process_signal(daemon->process, signal_number);
}

char *daemon_log(const struct daemon *daemon)
{
    return process_log(daemon->process);
}

size_t daemon_pauses(const struct daemon *daemon)
{
    return count_in(daemon_log(daemon), "the clock jumped");
}

void expect_paused(const struct daemon *daemon, size_t before, const char *what, const char *file,
                   int line)
{
    for (const int64_t end = wait_ends_ms(0); daemon_pauses(daemon) <= before; nap_ms(15)) {
        cr_assert(now_ms() < end, "%s:%d: does not hold: %s\nlog: %s", file, line, what,
                  daemon_log(daemon));
    }
}

long daemon_descriptors(const struct daemon *daemon)
{
    static const char name[] = "\nprocess_open_fds ";
    const struct http_answer *answer = daemon_get(daemon, "/metrics");
    const char *found = !answer->body ? NULL : strstr(answer->body, name);

    cr_assert(found, "/metrics has no process_open_fds: %s", http_text(answer));
    return strtol(found + sizeof(name) - 1, NULL, 10);
}

/* A fresh look-up that gets no answer is called the same. */
static bool tells_of_a_pause(const struct http_answer *answer, const char *path)
{
    return strcmp(http_string(answer, "reason"), "watcher_stalled") == 0 &&
           !strstr(path, "fresh=1") && stood_still_lately();
}

struct http_answer *daemon_get_with(const struct daemon *daemon, const char *path,
                                    const char *header)
{
    const char *const headers[] = {header, NULL};
    const int64_t end = running_ms() + patient(5000);
    struct http_answer *answer;

    while (tells_of_a_pause(answer =
                                http_send(&(struct http_request){.base = daemon->base,
                                                                 .unix_socket = daemon->unix_socket,
                                                                 .path = path,
                                                                 .headers = headers}),
                            path) &&
           running_ms() < end) {
        nap_ms(2);
    }
    return answer;
}

struct http_answer *daemon_get(const struct daemon *daemon, const char *path)
{
    return daemon_get_with(daemon, path, NULL);
}

struct http_answer *daemon_master(const struct daemon *daemon)
{
    struct http_answer *answer = NULL;

    WAIT_UNTIL(5000, (answer = daemon_get(daemon, "/master"))->status == 200);
    return answer;
}

struct http_answer *daemon_ask(const struct daemon *daemon, const char *method, const char *path)
{
    return http_send(&(struct http_request){
        .base = daemon->base, .unix_socket = daemon->unix_socket, .path = path, .method = method});
}

bool says_master_at(const struct daemon *daemon, const char *path, const struct server *node)
{
    const struct http_answer *answer = daemon_get(daemon, path);

    return answer->status == 200 && strcmp(http_string(answer, "address"), node->address) == 0;
}

bool says_master(const struct daemon *daemon, const struct server *node)
{
    return says_master_at(daemon, "/master", node);
}

bool says_none(const struct daemon *daemon, const char *state, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, "/master");

    return answer->status == 503 && (!state || strcmp(http_string(answer, "state"), state) == 0) &&
           (!reason || strcmp(http_string(answer, "reason"), reason) == 0);
}

bool says_reason(const struct daemon *daemon, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, "/master");

    return answer->json && (!reason ? json_is_null(http_value(answer, "reason"))
                                    : strcmp(http_string(answer, "reason"), reason) == 0);
}

long status_of(const struct daemon *daemon, const char *path)
{
    return daemon_get(daemon, path)->status;
}

int sentinel_row(const struct http_answer *sentinels, const char *address)
{
    size_t i;
    json_t *row;

    json_array_foreach(
        http_value(sentinels, "sentinels"), i,
        row) if (strcmp(json_string_value(json_object_get(row, "address")), address) == 0)
    {
        return (int)i;
    }
    return -1;
}

const char *row_string(const struct daemon *daemon, const char *address, const char *member)
{
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");
    const int row = sentinel_row(sentinels, address);

    return row < 0 ? "" : http_string(sentinels, text("sentinels.%d.%s", row, member));
}

size_t reachable_sentinels(const struct daemon *daemon)
{
    json_t *row;
    size_t i, n = 0;

    json_array_foreach(http_value(daemon_get(daemon, "/sentinels"), "sentinels"), i, row)
    {
        n += json_is_true(json_object_get(row, "reachable"));
    }
    return n;
}

bool all_healthy(const struct daemon *daemon, size_t n)
{
    const struct http_answer *answer = daemon_get(daemon, "/replicas");
    const json_t *replicas = http_value(answer, "replicas");
    size_t healthy = 0;

    for (size_t i = 0; i < json_array_size(replicas); i++) {
        healthy += json_is_true(json_object_get(json_array_get(replicas, i), "healthy")) ? 1 : 0;
    }
    return healthy == n;
}

const char *fence_of(const struct daemon *daemon)
{
    const struct http_answer *answer = daemon_get(daemon, "/status");
    const char *fence = http_string(answer, "masters.0.fence");
    const bool down = strcmp(fence, "down") == 0;

    cr_assert_eq(down, json_is_null(http_value(answer, "masters.0.fence_since")), "%s",
                 http_text(answer));
    cr_assert_eq(down, json_is_null(http_value(answer, "masters.0.fence_reason")), "%s",
                 http_text(answer));
    return fence;
}

bool fence_is(const struct daemon *daemon, const char *fence)
{
    return strcmp(fence_of(daemon), fence) == 0;
}

void wait_for_fence(const struct daemon *daemon, const char *fence, int64_t bound_ms)
{
    for (const int64_t end = wait_ends_ms(bound_ms); !fence_is(daemon, fence); nap_ms(2)) {
        cr_assert(now_ms() < end, "the fence is not %s within %lld ms: %s", fence,
                  (long long)bound_ms, daemon_log(daemon));
    }
}

static double last_verified(const struct daemon *daemon)
{
    static const char name[] = "\nbellwether_master_last_verified_timestamp_seconds{";
    const char *at = strstr(daemon_get(daemon, "/metrics")->body, name);

    return at ? strtod(strchr(at, '}') + 1, NULL) : 0;
}

void wait_for_check(const struct daemon *daemon)
{
    const double first = last_verified(daemon);

    WAIT_UNTIL(10000, last_verified(daemon) > first);
}

void still_serves(const struct daemon *daemon)
{
    cr_assert(!process_ended(daemon->process), "the daemon ended (status 0x%x):\n%s",
              (unsigned)daemon->process->status, daemon_log(daemon));
    const struct http_answer *alive = daemon_get(daemon, "/livez"),
                             *master = daemon_get(daemon, "/master");
    cr_assert(alive->status == 200, "/livez: %s\n%s", http_text(alive), daemon_log(daemon));
    cr_assert(master->status == 200 || master->status == 503, "/master: %s\n%s", http_text(master),
              daemon_log(daemon));
}

static const char *last_lines(const char *log)
{
    const size_t length = strlen(log), most = 5000;

    return length > most ? log + length - most : log;
}

static void give_up(const struct daemon *daemon, const char *wanted, const char *file, int line)
{
    const struct http_answer *master = daemon_get(daemon, "/master"),
                             *sentinels = daemon_get(daemon, "/sentinels");

    cr_assert_fail("%s:%d: expected %s\n/master: %s\n/sentinels: %s\nlog: %s", file, line, wanted,
                   http_text(master), http_text(sentinels), last_lines(daemon_log(daemon)));
}

void expect_master(const struct daemon *daemon, const struct server *node, int64_t bound_ms,
                   const char *file, int line)
{
    for (const int64_t end = wait_ends_ms(bound_ms); !says_master(daemon, node); nap_ms(15)) {
        if (now_ms() > end) {
            give_up(daemon, text("200 with %s within %lld ms", node->address, (long long)bound_ms),
                    file, line);
        }
    }
}

void expect_none(const struct daemon *daemon, const char *state, const char *reason,
                 int64_t bound_ms, const char *file, int line)
{
    for (const int64_t end = wait_ends_ms(bound_ms); !says_none(daemon, state, reason);
         nap_ms(15)) {
        if (now_ms() > end) {
            give_up(daemon,
                    text("503, state %s, reason %s within %lld ms", !state ? "any" : state,
                         !reason ? "any" : reason, (long long)bound_ms),
                    file, line);
        }
    }
}

void expect_reason(const struct daemon *daemon, const char *reason, int64_t bound_ms,
                   const char *file, int line)
{
    for (const int64_t end = wait_ends_ms(bound_ms); !says_reason(daemon, reason); nap_ms(15)) {
        if (now_ms() > end) {
            give_up(
                daemon,
                text("reason %s within %lld ms", !reason ? "null" : reason, (long long)bound_ms),
                file, line);
        }
    }
}
