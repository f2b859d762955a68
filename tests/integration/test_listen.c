/* Where the daemon listens: several addresses, scopes, IPv6, Unix sockets, several workers. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_listen);

static long status_at(const char *base, const char *unix_socket, const char *path)
{
    return http_send(&(struct http_request){.base = base, .unix_socket = unix_socket, .path = path})
        ->status;
}

SCENE(integration_listen, several_addresses_with_scopes)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const unsigned probe = port_reserve(), discovery = port_reserve(), six = port_reserve();
    const char *path = text("%s/probe.socket", scene_folder());
    const struct daemon *daemon =
        daemon_start(cluster, "--listen", text("127.0.0.1:%u,scope=probe", probe), "--listen",
                     text("127.0.0.1:%u,scope=discovery", discovery), "--listen",
                     text("[::1]:%u,scope=all", six), "--listen",
                     text("unix:%s,scope=probe,mode=0600", path), NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const char *probe_base = text("http://127.0.0.1:%u", probe),
               *discovery_base = text("http://127.0.0.1:%u", discovery),
               *six_base = text("http://[::1]:%u", six);
    static const char *const probes[] = {"/livez", "/readyz", "/healthz", "/version",
                                         "/readyz/master"};
    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
        cr_assert_eq(status_at(probe_base, NULL, probes[i]), 200, "%s", probes[i]);
        cr_assert_eq(status_at(discovery_base, NULL, probes[i]), 200, "%s", probes[i]);
        cr_assert_eq(status_at("http://localhost", path, probes[i]), 200, "%s", probes[i]);
    }
    cr_assert_eq(status_at(probe_base, NULL, "/master"), 404);
    cr_assert_eq(status_at("http://localhost", path, "/master"), 404);
    cr_assert_eq(status_at(discovery_base, NULL, "/master"), 200);
    cr_assert_eq(status_at(six_base, NULL, "/master"), 200);
    struct stat status;
    cr_assert(stat(path, &status) == 0 && S_ISSOCK(status.st_mode));
    cr_assert_eq(status.st_mode & 0777, 0600);
}

SCENE(integration_listen, unix_socket_is_made_and_removed)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .unix_socket = true});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    daemon_signal(daemon, SIGTERM);
    cr_assert_eq(process_wait(daemon->process, patient(3000)), 0);
    cr_assert_neq(access(daemon->unix_socket, F_OK), 0, "the socket file is left behind");
}

SCENE(integration_listen, stale_unix_socket_is_replaced_and_a_live_one_is_not)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = text("%s/s", scene_folder());

    (void)strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(stale, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(stale);
    const struct daemon *daemon = daemon_start(cluster, "--listen", text("unix:%s", path), NULL);
    cr_assert_eq(status_at("http://localhost", path, "/livez"), 200);
    const struct process_result second = daemon_run(
        5000, "--sentinel", cluster->sentinels[0].address, "--listen", text("unix:%s", path), NULL);
    cr_assert_eq(second.exit_code, 1, "%s", second.err);
    cr_assert(strstr(second.err, path), "%s", second.err);
    cr_assert_eq(status_at("http://localhost", path, "/livez"), 200);
    still_serves(daemon);
}

SCENE(integration_listen, busy_port)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);
    const char *address = text("127.0.0.1:%u", daemon->port);

    for (int i = 0; i < 2; i++) { /* with SO_REUSEPORT a second copy would go unnoticed */
        const struct process_result second =
            daemon_run(5000, "--sentinel", cluster->sentinels[0].address, "--listen", address,
                       "--workers", i == 0 ? "1" : "2", NULL);

        cr_assert_eq(second.exit_code, 1, "exit %d: %s", second.exit_code, second.err);
        cr_assert(strstr(second.err, address), "says which address: %s", second.err);
    }
    still_serves(daemon);
}

/* A descriptor more each time, until there are enough: whatever was missed says so in one line. */
SCENE(integration_listen, a_start_without_descriptors)
{
    const char *script = text(
        "ulimit -n \"$1\"; exec \"%s\" --sentinel 127.0.0.1:1 --listen 127.0.0.1:0 --listen "
        "127.0.0.1:0 --forward 127.0.0.1:0 --forward \"unix:$2\" --redis-api loopback --workers 1",
        daemon_binary());
    const char *path = text("%s/forward", scene_folder()), *log = "";
    unsigned n = 8;

    if (daemon_is_sanitized()) {
        scene_skip("a sanitizer wants descriptors of its own at the end");
    }
    for (bool started = false; !started; n++) {
        cr_assert_lt(n, 200, "never enough: %s", log);
        struct process *process = process_start(&(struct process_spec){
            .name = text("with_%u", n),
            .argv = (const char *const[]){"sh", "-euc", script, "sh", text("%u", n), path, NULL},
            .may_die = true});
        WAIT_UNTIL(10000, process_ended(process) ||
                              strstr(process_log(process), "msg=\"started\"") ||
                              strstr(process_log(process), "msg=started"));
        log = process_log(process);
        started = !process_ended(process);
        if (started) {
            process_stop(process);
            continue;
        }
        cr_assert(WIFEXITED(process->status) && WEXITSTATUS(process->status) == 1, "%u: %x: %s", n,
                  (unsigned)process->status, log);
        cr_assert(count_in(log, "level=error") == 1 && strstr(log, "Too many open files"), "%u: %s",
                  n, log);
    }
    cr_assert_gt(n, 20, "nothing was missed");
}

SCENE(integration_listen, two_workers_say_the_same)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    enum { CALLERS = 24 };
    struct raw *callers[CALLERS];
    const char *instance = http_header(daemon_get(daemon, "/master"), "x-bellwether-instance");
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = raw_open(daemon->port);
        const struct http_answer *answer = raw_get(callers[i], "/master", 2000);
        cr_assert_eq(answer->status, 200);
        cr_assert_str_eq(http_header(answer, "x-bellwether-instance"), instance,
                         "one instance a process");
    }
    cluster_failover(cluster);
    struct server *next = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, next, 1000);
    WAIT_UNTIL(500, says_master(daemon, next));
    for (size_t i = 0; i < CALLERS; i++) {
        cr_assert_str_eq(http_string(raw_get(callers[i], "/master", 2000), "address"),
                         next->address, "caller %zu", i);
    }
}

SCENE(integration_listen, too_many_connections_are_told_so)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--max-connections", "20", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct raw *idle[20];
    for (size_t i = 0; i < 20; i++) {
        idle[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(idle[i], "/livez", 2000)->status, 200);
    }
    const struct http_answer *refused = daemon_get(daemon, "/master");
    cr_assert_eq(refused->status, 503, "%s", http_text(refused));
    cr_assert_str_neq(http_header(refused, "retry-after"), "");
    cr_assert_eq(status_of(daemon, "/livez"), 200, "never refused for limits");
    cr_assert_eq(raw_get(idle[0], "/master", 2000)->status, 200, "those that are in are served");
    for (size_t i = 0; i < 20; i++) {
        raw_close(idle[i]);
    }
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}
