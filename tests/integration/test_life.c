/* The daemon's own life: signals, shutdown, reload, the service manager, the log. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/scene.h"

SCENE_SUITE(integration_life);

static struct cluster *small(void)
{
    return cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
}

static void ends_with_zero(const struct daemon *daemon, int signal_number, int64_t bound_ms)
{
    const int64_t asked_ms = now_ms();

    daemon_signal(daemon, signal_number);
    const int code = process_wait(daemon->process, patient(bound_ms));
    cr_assert_eq(code, 0, "signal %d: exit %d after %lld ms\n%s", signal_number, code,
                 (long long)(now_ms() - asked_ms), daemon_log(daemon));
}

SCENE(integration_life, sigterm_and_sigint)
{
    struct cluster *cluster = small();
    static const int signals[] = {SIGTERM, SIGINT};

    for (size_t i = 0; i < 2; i++) {
        const struct daemon *daemon = daemon_start(cluster, "--workers", i == 0 ? "1" : "3", NULL);

        EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
        struct raw *idle = raw_open(daemon->port); /* callers that stay don't hold it up */
        cr_assert_eq(raw_get(idle, "/master", 2000)->status, 200);
        struct raw *half = raw_open(daemon->port);
        cr_assert(raw_send(half, "GET /mas", 8));
        ends_with_zero(daemon, signals[i], 2000);
    }
}

SCENE(integration_life, sigterm_before_anything_was_reached)
{
    const struct cluster *cluster =
        cluster_prepare(&(struct cluster_spec){.nodes = 1, .sentinels = 3});
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel", "no-such-host.invalid:26379", NULL);

    ends_with_zero(daemon, SIGTERM, 2000);
}

/* ---- a signal in the first half second ---- */

enum { AT_ONCE = 12, OFFSETS = 16, OFFSET_MS = 30 };

struct newborn {
    struct process *process;
    const char *listen, *forward; /* their files */
};

static struct newborn give_birth(size_t number)
{
    struct newborn newborn = {.listen = text("%s/listen-%zu", scene_folder(), number),
                              .forward = text("%s/forward-%zu", scene_folder(), number)};
    const char *const argv[] = {daemon_binary(),
                                "--sentinel",
                                "127.0.0.1:1",
                                "--listen",
                                text("unix:%s", newborn.listen),
                                "--forward",
                                text("unix:%s", newborn.forward),
                                NULL};

    newborn.process = process_start(
        &(struct process_spec){.name = text("newborn-%zu", number), .argv = argv, .may_die = true});
    return newborn;
}

/* @return its exit code; neither file is there. */
static int ends_tidily(const struct newborn *newborn)
{
    const int code = process_wait(newborn->process, patient(3000));

    cr_assert_neq(code, -2, "%s", process_log(newborn->process));
    cr_assert_neq(access(newborn->listen, F_OK), 0, "exit %d: %s is left behind\n%s", code,
                  newborn->listen, process_log(newborn->process));
    cr_assert_neq(access(newborn->forward, F_OK), 0, "exit %d: %s is left behind\n%s", code,
                  newborn->forward, process_log(newborn->process));
    return code;
}

SCENE(integration_life, a_signal_the_moment_that_a_socket_is_there)
{
    static const int signals[] = {SIGTERM, SIGINT};

    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct newborn newborn = give_birth(i);
        const char *first = i % 4 < 2 ? newborn.forward : newborn.listen;
        const int64_t end_ms = now_ms() + patient(5000);

        while (access(first, F_OK) != 0) { /* as fast as it goes: a nap would be too long */
            cr_assert(now_ms() < end_ms, "%s", process_log(newborn.process));
        }
        process_signal(newborn.process, signals[i % 2]);
        cr_assert_eq(ends_tidily(&newborn), 0, "%s", process_log(newborn.process));
    }
}

SCENE(integration_life, sigterm_at_any_moment_of_its_first_half_second)
{
    for (size_t i = 0; i < OFFSETS; i++) {
        const struct newborn newborn = give_birth(i);

        HOLDS_FOR((int64_t)i * OFFSET_MS, !process_ended(newborn.process));
        process_signal(newborn.process, SIGTERM);
        const int code = ends_tidily(&newborn);
        /* before it has begun to listen, which a slow machine may put off, it just dies */
        cr_assert(code == 0 || code == -1, "exit %d\n%s", code, process_log(newborn.process));
    }
}

SCENE(integration_life, sigterm_with_a_fresh_look_up_under_way)
{
    struct cluster *cluster = small();
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-timeout", "5s", "--verify-timeout", "5s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    server_freeze(&cluster->sentinels[0]);
    struct raw *caller = raw_open(daemon->port);
    static const char request[] = "GET /master?fresh=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_assert(raw_send(caller, request, sizeof(request) - 1));
    HOLDS_FOR(100, !process_ended(daemon->process)); /* it is waiting inside by then */
    ends_with_zero(daemon, SIGTERM, 2500);
}

SCENE(integration_life, shutdown_delay)
{
    struct cluster *cluster = small();
    const struct daemon *daemon = daemon_start(cluster, "--shutdown-delay", "5s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    cr_assert_str_neq(http_header(daemon_get(daemon, "/master"), "connection"), "close");
    const int64_t asked_ms = now_ms();
    daemon_signal(daemon, SIGTERM);
    WAIT_UNTIL(500, status_of(daemon, "/readyz") == 503);
    cr_assert_eq(status_of(daemon, "/readyz/shutdown"), 503);
    cr_assert(strstr(daemon_get(daemon, "/readyz?verbose")->body, "[-]shutdown"));
    cr_assert_eq(status_of(daemon, "/livez"), 200);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert_eq(answer->status, 200, "serving goes on: %s", http_text(answer));
    cr_assert(strcasecmp(http_header(answer, "connection"), "close") == 0, "Connection: %s",
              http_header(answer, "connection"));
    cr_assert_eq(process_wait(daemon->process, patient(8000)), 0);
    cr_assert_geq(now_ms() - asked_ms, 4900);
}

SCENE(integration_life, second_signal_skips_the_delay)
{
    struct cluster *cluster = small();
    const struct daemon *daemon = daemon_start(cluster, "--shutdown-delay", "60s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    daemon_signal(daemon, SIGTERM);
    WAIT_UNTIL(1000, status_of(daemon, "/readyz") == 503);
    ends_with_zero(daemon, SIGTERM, 2000);
}

SCENE(integration_life, sighup_keeps_serving)
{
    struct cluster *cluster = small();
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const char *instance = http_header(daemon_get(daemon, "/master"), "x-bellwether-instance");
    for (int i = 0; i < 3; i++) {
        daemon_signal(daemon, SIGHUP);
        HOLDS_FOR(300, says_master(daemon, &cluster->nodes[0]));
    }
    cr_assert_str_eq(http_header(daemon_get(daemon, "/master"), "x-bellwether-instance"), instance);
    EXPECT_LOGGED(daemon, strcasestr(daemon_log(daemon), "reload"));
}

/* The service manager's side of NOTIFY_SOCKET. */

struct manager {
    int fd;
    char *path;
    char heard[16384];
};

static struct manager *manager_start(void)
{
    struct manager *manager = scene_alloc(sizeof(*manager));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    manager->path = text("%s/notify", scene_folder());
    (void)strncpy(address.sun_path, manager->path, sizeof(address.sun_path) - 1);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(manager->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return manager;
}

/* Whether this line has been heard since the start. */
static bool manager_heard(struct manager *manager, const char *line)
{
    char message[2048];

    for (ssize_t n; (n = recv(manager->fd, message, sizeof(message) - 1, 0)) > 0;) {
        message[n] = '\0';
        const size_t used = strlen(manager->heard);
        (void)snprintf(manager->heard + used, sizeof(manager->heard) - used, "%s\n", message);
    }
    return strstr(manager->heard, line) != NULL;
}

SCENE(integration_life, notify_socket)
{
    struct cluster *cluster = small();
    struct manager *manager = manager_start();
    const char *const env[] = {text("NOTIFY_SOCKET=%s", manager->path), "WATCHDOG_USEC=600000",
                               NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .env = env});

    WAIT_UNTIL(3000, manager_heard(manager, "READY=1"));
    WAIT_UNTIL(5000, manager_heard(manager, "STATUS=") &&
                         strstr(manager->heard, cluster->nodes[0].address));
    WAIT_UNTIL(3000, manager_heard(manager, "WATCHDOG=1"));
    manager->heard[0] = '\0';
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000,
               manager_heard(manager, "RELOADING=1") && strstr(manager->heard, "MONOTONIC_USEC="));
    WAIT_UNTIL(3000, manager_heard(manager, "READY=1"));
    cr_assert(strstr(manager->heard, "RELOADING=1") < strstr(manager->heard, "READY=1"));
    manager->heard[0] = '\0';
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(5000, manager_heard(manager, "STATUS="));
    ends_with_zero(daemon, SIGTERM, 2000);
    cr_assert(manager_heard(manager, "STOPPING=1"), "%s", manager->heard);
    (void)close(manager->fd);
}

/* The log */

SCENE(integration_life, json_log_lines_parse)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        daemon_start(cluster, "--log-format", "json", "--log-level", "debug", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 1500);
    daemon_signal(daemon, SIGHUP);
    ends_with_zero(daemon, SIGTERM, 2000);
    size_t lines = 0;
    for (char *save = NULL, *line = strtok_r(daemon_log(daemon), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(json_is_object(entry), "not JSON: %s", line);
        cr_assert(json_is_string(json_object_get(entry, "level")), "no level: %s", line);
        json_decref(entry);
        lines++;
    }
    cr_assert_geq(lines, 4);
}

/* The lines that tell of a change from one address to another. */
static size_t lines_of_switch(const struct daemon *daemon, const char *from, const char *to)
{
    size_t found = 0;

    for (char *save = NULL, *line = strtok_r(daemon_log(daemon), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        found += strstr(line, from) && strstr(line, to) && strstr(line, "from=") ? 1 : 0;
    }
    return found;
}

SCENE(integration_life, a_switch_is_one_line_with_both_addresses)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    cluster_failover(cluster);
    const struct server *next = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, next, 1500);
    EXPECT_LOGGED(daemon, lines_of_switch(daemon, old->address, next->address) == 1);
}

SCENE(integration_life, no_line_per_request)
{
    struct cluster *cluster = small();
    const struct daemon *daemon = daemon_start(cluster, "--log-level", "debug", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    EXPECT_REASON(daemon, NULL, 4000);
    const size_t before = count_in(daemon_log(daemon), "\n");
    for (int i = 0; i < 300; i++) {
        (void)daemon_get(daemon, i % 3 == 0 ? "/master" : i % 3 == 1 ? "/nosuch" : "/sentinels");
    }
    cr_assert_lt(count_in(daemon_log(daemon), "\n") - before, 60, "%s", daemon_log(daemon));
}

SCENE(integration_life, quiet_levels_and_one_line_per_lost_link)
{
    struct cluster *cluster = small();
    const struct daemon *quiet = daemon_start(cluster, "--log-level", "error", NULL),
                        *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    EXPECT_MASTER(quiet, &cluster->nodes[0], 4000);
    cr_assert_str_eq(daemon_log(quiet), "");
    const size_t before = count_in(daemon_log(daemon), "\n");
    server_kill(&cluster->sentinels[0]); /* tried again and again, and said once */
    EXPECT_REASON(daemon, "no_sentinel_reachable", 6000);
    HOLDS_FOR(3000, says_master(daemon, &cluster->nodes[0]));
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), cluster->sentinels[0].address));
    const size_t said = count_in(daemon_log(daemon), "\n") - before;
    const size_t pauses = daemon_pauses(daemon); /* each is told, and what became of it */
    cr_assert(said >= 1 && said <= 6 + 3 * pauses, "%zu lines:\n%s", said, daemon_log(daemon));
}

/* Both ends of a pipe that is full: a log shipper that hangs. */
static void clogged_pipe(int ends[2])
{
    static const char rubbish[1024];

    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(ends[1], rubbish, sizeof(rubbish)) > 0) {
        continue;
    }
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
}

/* What comes until there is `wanted` in it, or the bound is reached; zeroes are left out. */
static const char *read_until(int fd, const char *wanted, int64_t bound_ms)
{
    char *said = scene_alloc((size_t)1024 * 1024);
    size_t size = 0;

    for (const int64_t end = now_ms() + bound_ms; !strstr(said, wanted) && now_ms() < end;) {
        char piece[4096];
        const ssize_t n = read(fd, piece, sizeof(piece));

        for (ssize_t i = 0; i < n && size < (size_t)1024 * 1024 - 1; i++) {
            if (piece[i] != '\0') {
                said[size++] = piece[i];
            }
        }
        if (n <= 0) {
            nap_ms(10);
        }
    }
    return said;
}

SCENE(integration_life, a_log_that_nobody_reads_stops_nothing)
{
    struct cluster *cluster = small();
    int ends[2];

    clogged_pipe(ends);
    const char *const flags[] = {"--log-level", "debug", NULL};
    const struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.cluster = cluster, .flags = flags, .error_fd = ends[1]});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    server_kill(&cluster->sentinels[0]); /* something to tell */
    EXPECT_REASON(daemon, "no_sentinel_reachable", 6000);
    cr_assert_eq(status_of(daemon, "/livez"), 200);
    const char *said = read_until(ends[0], "msg=listening", 3000);
    cr_assert(strstr(said, "msg=started") && strstr(said, "msg=listening"), "%s", said);
    cr_assert(!strstr(said, "dropped"), "%s", said);
    daemon_signal(daemon, SIGTERM);
    said = read_until(ends[0], "msg=stopped", 4000);
    cr_assert(strstr(said, "msg=stopped"), "%s", said);
    cr_assert_eq(process_wait(daemon->process, 4000), 0);
}

SCENE(integration_life, a_log_that_nobody_reads_does_not_hold_up_the_end)
{
    struct cluster *cluster = small();
    int ends[2];

    clogged_pipe(ends);
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .error_fd = ends[1]});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    daemon_signal(daemon, SIGTERM);
    cr_assert_eq(process_wait(daemon->process, patient(2000)), 0);
    /* neither what is wrong with an option, nor why there is no master */
    const char *const bad[] = {daemon_binary(), "--workers", "two", NULL}, *const once[] = {
                                                                               daemon_binary(),
                                                                               "--once",
                                                                               "--sentinel",
                                                                               "127.0.0.1:1", NULL};
    struct process *refused = process_start(&(struct process_spec){
        .name = "refused", .argv = bad, .error_fd = ends[1], .may_die = true});
    cr_assert_eq(process_wait(refused, patient(3000)), 2);
    struct process *asked = process_start(
        &(struct process_spec){.name = "once", .argv = once, .error_fd = ends[1], .may_die = true});
    cr_assert_eq(process_wait(asked, patient(6000)), 3);
}
