/*
 * Whatever callers do, the daemon goes on hearing: floods of silence, a daemon that was held up, no
 * descriptors left.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/crowd.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_deaf);

/* Much more than it takes, and than a machine stands still. */
enum { SOON_MS = 5000 };

struct callers {
    int *fds;
    size_t n;
};

static void hang_up(struct callers *callers)
{
    for (size_t i = 0; i < callers->n; i++) {
        (void)close(callers->fds[i]);
    }
    callers->n = 0;
}

static void drop_callers(void *object)
{
    struct callers *callers = object;

    hang_up(callers);
    free(callers->fds);
    free(callers);
}

/* So many connections that say `bytes` and no more. */
static struct callers *call(uint16_t port, size_t n, const char *bytes)
{
    struct callers *callers = calloc(1, sizeof(*callers));
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    cr_assert(callers && crowd_fits(n + 100));
    (void)scene_keep(callers, drop_callers);
    callers->fds = calloc(n, sizeof(*callers->fds));
    for (; callers->n < n; callers->n++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        callers->fds[callers->n] = fd;
        cr_assert(fd >= 0);
        cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ||
                  errno == EINPROGRESS);
        if (*bytes != '\0') {
            WAIT_UNTIL(5000,
                       send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
        }
    }
    return callers;
}

static long probe_at(unsigned port, const char *path, int64_t bound_ms)
{
    return http_send(&(struct http_request){.base = text("http://127.0.0.1:%u", port),
                                            .path = path,
                                            .bound_ms = bound_ms})
        ->status;
}

/* Sentinels are not what this is about. */
static const struct daemon *listening(const char *connections, unsigned probe)
{
    return daemon_start(NULL, "--sentinel", "127.0.0.1:1", "--max-connections", connections,
                        "--max-waiters", "10", "--listen", text("127.0.0.1:%u,scope=probe", probe),
                        NULL);
}

SCENE(integration_deaf, thousands_that_are_silent)
{
    if (!crowd_fits(4000)) {
        scene_skip("no descriptors for 3,400 callers here");
    }
    const unsigned probe = port_reserve();
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1", "--listen",
                                               text("127.0.0.1:%u,scope=probe", probe), NULL);
    struct callers *silent = call(daemon->port, 3400, "");
    for (int i = 0; i < 40; i++) {
        /* those that the kernel keeps back for a second come in meanwhile */
        cr_assert_eq(probe_at(daemon->port, "/livez", SOON_MS), 200, "%d", i);
        cr_assert_eq(probe_at(daemon->port, "/version", SOON_MS), 200, "silence takes no place");
        cr_assert_eq(probe_at(probe, "/livez", SOON_MS), 200);
        nap_ms(50);
    }
    hang_up(silent);
    struct callers *halves = call(daemon->port, 3400, "GET /liv");
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(probe_at(daemon->port, "/version", SOON_MS), 200, "halves take no place");
    }
    hang_up(halves);
    still_serves(daemon);
}

/* More than libmicrohttpd's limit used to be, all of them gone while nobody looked. */
SCENE(integration_deaf, all_leave_while_it_is_held_up)
{
    const struct daemon *daemon = listening("10", port_reserve());

    for (int i = 0; i < 3; i++) {
        struct callers *callers =
            call(daemon->port, 400, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");

        cr_assert_eq(status_of(daemon, "/livez"), 200);
        process_freeze(daemon->process);
        struct callers *more = call(daemon->port, 400, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
        nap_ms(200);
        hang_up(callers);
        hang_up(more);
        process_signal(daemon->process, SIGCONT);
        cr_assert_eq(probe_at(daemon->port, "/livez", SOON_MS), 200);
        WAIT_UNTIL(3000, status_of(daemon, "/version") == 200);
    }
    still_serves(daemon);
}

/*
 * Connections whose long poll is over hold the places of those that wait, and others all the rest.
 */
SCENE(integration_deaf, kept_connections_of_those_that_waited)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        daemon_start(cluster, "--max-connections", "50", "--max-waiters", "30", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct raw *waited[30], *plain[50];
    const char *poll = "/master?wait=200ms&index=9000000000000000000";
    for (size_t i = 0; i < 30; i++) {
        waited[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(waited[i], poll, 5000)->status, 200);
    }
    for (size_t i = 0; i < 50; i++) {
        plain[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(plain[i], "/master", 5000)->status, 200);
    }
    struct callers *more =
        call(daemon->port, 300,
             "GET /master?wait=50s&index=9000000000000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(probe_at(daemon->port, "/livez", SOON_MS), 200);
    }
    cr_assert_eq(raw_get(plain[0], "/master", 2000)->status, 200);
    hang_up(more);
    still_serves(daemon);
}

static const char *rejected(const struct http_answer *metrics, const char *reason)
{
    const char *line = strstr(metrics->body, text("http_rejected_total{reason=\"%s\"} ", reason));

    return !line ? ""
                 : text("%.*s", (int)strcspn(strchr(line, ' ') + 1, "\n"), strchr(line, ' ') + 1);
}

SCENE(integration_deaf, no_descriptors_left)
{
    const unsigned probe = port_reserve();
    const struct daemon *daemon = listening("500", probe);
    struct raw *kept = raw_open(daemon->port);

    cr_assert_eq(raw_get(kept, "/version", 3000)->status, 200);
    const int64_t open =
        (int64_t)strtod(strstr(raw_get(kept, "/metrics", 3000)->body, "\nprocess_open_fds ") +
                            strlen("\nprocess_open_fds "),
                        NULL);
    struct rlimit limit = {.rlim_cur = (rlim_t)open + 30, .rlim_max = (rlim_t)open + 30};
    cr_assert_eq(prlimit(daemon->process->pid, RLIMIT_NOFILE, &limit, NULL), 0);
    struct callers *callers = call(daemon->port, 200, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(probe_at(probe, "/livez", SOON_MS), 200, "%d: %s", i, daemon_log(daemon));
        cr_assert_eq(probe_at(probe, "/metrics", SOON_MS), 200);
        cr_assert_eq(raw_get(kept, "/version", 3000)->status, 200, "those that are in are served");
        nap_ms(50);
    }
    cr_assert_gt(atoi(rejected(raw_get(kept, "/metrics", 3000), "descriptors")), 0);
    /* once a minute */
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "reason=descriptors") == 1);
    hang_up(callers);
    WAIT_UNTIL(2000, status_of(daemon, "/version") == 200);
    struct callers *fewer = call(daemon->port, 20, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_UNTIL(2000, probe_at(daemon->port, "/livez", 500) == 200);
    hang_up(fewer);
    still_serves(daemon);
}

/* 3 MB for a reader that takes none of them: its place comes back. */
SCENE(integration_deaf, a_reader_that_takes_nothing)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "loopback", "--request-timeout", "1s",
                     "--idle-timeout", "60s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const size_t size = 12 << 20;
    char *value = scene_alloc(size + 1);
    memset(value, 'x', size);
    const struct http_answer *set = http_send(&(struct http_request){.method = "POST",
                                                                     .base = daemon->base,
                                                                     .path = "/redis/set/big",
                                                                     .body = value,
                                                                     .body_len = 1 << 19});
    cr_assert_eq(set->status, 200, "%s", http_text(set));
    static const char ask[] =
        "POST /redis/pipeline HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ";
    char *body = scene_alloc(2048);
    (void)strcpy(body, "[[\"GET\",\"big\"]");
    for (int i = 0; i < 40; i++) {
        (void)strcat(body, ",[\"GET\",\"big\"]");
    }
    (void)strcat(body, "]");
    struct raw *reader = raw_open(daemon->port);
    const char *request = text("%s%zu\r\n\r\n%s", ask, strlen(body), body);
    cr_assert(reader && raw_send(reader, request, strlen(request)));
    WAIT_UNTIL(20000, strcmp(rejected(daemon_get(daemon, "/metrics"), "slow_reader"), "1") == 0);
    raw_close(reader);
    still_serves(daemon);
}
