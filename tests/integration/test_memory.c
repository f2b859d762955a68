/*
 * Memory has a budget, whoever asks for more of it: callers who do not read, callers who send,
 * peers who announce.
 */
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/commands.h"
#include "../support/crowd.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_memory);

#define MIB (1024 * 1024)
#define BUDGET_MIB 128
#define BUDGET text("%dMiB", BUDGET_MIB)

enum { READERS = 60, LARGE = 16 * MIB };

static void keep(const struct server *node, const char *key, size_t size)
{
    char *value = scene_alloc(size);

    memset(value, 'y', size);
    redisContext *context = redisConnect(node->ip, node->port);
    cr_assert(context && context->err == 0);
    redisReply *reply = redisCommand(context, "SET %s %b", key, value, size);
    cr_assert(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    redisFree(context);
}

/* One that asks and has room for little of the answer. */
static int ask_without_reading(const struct daemon *daemon, const char *request)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(daemon->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = 4096;

    cr_assert(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) == 0);
    cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    cr_assert(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    return fd;
}

static double memory_of(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_memory_bytes");
}

static double commands(const struct daemon *daemon)
{
    static const char *const outcomes[] = {"done",     "error",   "denied", "bad",
                                           "not_sent", "unknown", "too_big"};
    double sum = 0;

    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        sum += metric_of(daemon, text("bellwether_commands_total{outcome=\"%s\"}", outcomes[i]));
    }
    return sum + metric_of(daemon, "bellwether_http_rejected_total{reason=\"memory\"}");
}

static bool within_budget(const struct daemon *daemon, long before_kb)
{
    return daemon_is_sanitized() ||
           daemon_memory_kb(daemon, "RssAnon:") - before_kb < BUDGET_MIB * 1024 * 13 / 10;
}

/*
 * Sixty of 16 MiB: as many answers as there is room for are kept, and all others go on meanwhile.
 */
static void readers_who_do_not_read(const char *workers, bool leave)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = commands_start(
        cluster, "--max-memory", BUDGET, "--workers", workers, "--request-timeout",
        leave ? "60s" : "2s", "--idle-timeout", "60s", "--command-timeout", "20s", NULL);

    keep(&cluster->nodes[0], "large", LARGE);
    EXPECT_RESULT(command_run(daemon, "SET", "small", "v", NULL), "'OK'");
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    const double idle = memory_of(daemon), asked = commands(daemon);
    int fds[READERS];
    size_t answered = 0;
    for (size_t i = 0; i < READERS; i++) {
        fds[i] =
            ask_without_reading(daemon, "GET /redis/get/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        cr_assert(within_budget(daemon, before_kb), "%zu: %ld kB", i,
                  daemon_memory_kb(daemon, "RssAnon:"));
        if (i % 4 != 0) {
            continue;
        }
        const struct http_answer *small = command_run(daemon, "GET", "small", NULL);
        if (small->status == 503) {
            EXPECT_ERROR(small, 503, "NOTSENT", "not_sent");
        } else if (small->status == 200) {
            answered++;
        }
    }
    WAIT_UNTIL(40000,
               within_budget(daemon, before_kb) && commands(daemon) >= asked + (double)READERS);
    cr_assert_geq(answered, 1);
    cr_assert_geq(metric_of(daemon, "bellwether_commands_total{outcome=\"too_big\"}"), 1);
    cr_assert_leq(memory_of(daemon), BUDGET_MIB * MIB);
    cr_assert_eq(status_of(daemon, "/status"), 200);
    if (leave) {
        cr_assert_geq(memory_of(daemon), (double)LARGE,
                      "somebody has his answer, and keeps it waiting");
        for (size_t i = 0; i < READERS; i++) {
            (void)close(fds[i]);
        }
    }
    WAIT_UNTIL(20000, memory_of(daemon) < idle + MIB);
    WAIT_UNTIL(5000, daemon_is_sanitized() ||
                         daemon_memory_kb(daemon, "RssAnon:") < before_kb + 16 * 1024);
    EXPECT_RESULT(command_run(daemon, "GET", "small", NULL), "'v'");
    cr_assert_eq(command_run(daemon, "GET", "large", NULL)->status, 200);
    if (!leave) {
        for (size_t i = 0; i < READERS; i++) {
            (void)close(fds[i]);
        }
    }
    still_serves(daemon);
}

SCENE(integration_memory, readers_who_leave)
{
    readers_who_do_not_read("1", true);
}

SCENE(integration_memory, readers_who_are_cut)
{
    readers_who_do_not_read("2", false);
}

/* Bodies that do not come to their end. */
SCENE(integration_memory, bodies_that_stand_still)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon =
        commands_start(cluster, "--max-memory", "64MiB", "--request-timeout", "60s", NULL);

    EXPECT_RESULT(command_run(daemon, "SET", "small", "v", NULL), "'OK'");
    const double idle = memory_of(daemon);
    int fds[20];
    for (size_t i = 0; i < 20; i++) {
        fds[i] = ask_without_reading(
            daemon,
            "POST /redis/set/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\nabc");
    }
    WAIT_UNTIL(5000, memory_of(daemon) > 40 * MIB);
    cr_assert_leq(memory_of(daemon), 64 * MIB);
    EXPECT_RESULT(command_run(daemon, "GET", "small", NULL), "'v'");
    char *body = scene_alloc(9 * MIB);
    memset(body, 'x', 9 * MIB);
    const struct http_answer *set = command_post_bytes(daemon, "/redis/set/k", body, 9 * MIB);
    EXPECT_ERROR(set, 503, "NOTSENT", "not_sent");
    cr_assert(strstr(http_string(set, "error"), "max-memory"), "%s", http_text(set));
    cr_assert_eq(metric_of(daemon, "bellwether_http_rejected_total{reason=\"memory\"}"), 1);
    for (size_t i = 0; i < 20; i++) {
        (void)close(fds[i]);
    }
    WAIT_UNTIL(5000, memory_of(daemon) < idle + MIB);
    EXPECT_RESULT(command_post_bytes(daemon, "/redis/set/k", body, 9 * MIB), "'OK'");
    still_serves(daemon);
}

/* ---- peers who announce ---- */

static const char *nested(const char *head)
{
    char *bytes = scene_alloc(100 * strlen(head) + 1);

    for (size_t i = 0; i < 100; i++) {
        (void)strcat(bytes, head);
    }
    return bytes;
}

static void expect_cheap(const struct daemon *daemon, struct fake *fake, unsigned connections)
{
    WAIT_UNTIL(20000, fake_accepted(fake) >= connections);
    cr_assert(daemon_is_sanitized() || daemon_memory_kb(daemon, "VmHWM:") < 24 * 1024, "%ld kB",
              daemon_memory_kb(daemon, "VmHWM:"));
    still_serves(daemon);
}

/* What each of a Sentinel's connections hears to HELLO, and then to all else. */
SCENE(integration_memory, a_sentinel_that_announces)
{
    static const char *const heads[] = {"*1048576\r\n", "*524288\r\n", "%250000\r\n", "*1000\r\n"};

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        for (size_t later = 0; later < 2; later++) {
            const char *bytes = nested(heads[i]);
            struct fake *fake = fake_start(
                FAKE_SENTINEL,
                &(struct fake_words){.run_id = "0123456789012345678901234567890123456789",
                                     .hello_bytes = later == 0 ? bytes : NULL,
                                     .flood = bytes});
            const struct daemon *daemon =
                daemon_start(NULL, "--sentinel", fake_address(fake), NULL);

            expect_cheap(daemon, fake, 3);
        }
    }
}

/* The same from a node: asked for its role, and for its commands. */
SCENE(integration_memory, a_node_that_announces)
{
    static const char *const heads[] = {"*1048576\r\n", "*524288\r\n", "%250000\r\n"};

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        for (size_t later = 0; later < 2; later++) {
            const char *bytes = nested(heads[i]);
            struct fake *node =
                fake_start(FAKE_NODE, &(struct fake_words){.role = "master",
                                                           .hello_bytes = later == 0 ? bytes : NULL,
                                                           .flood = bytes});
            const struct fake *sentinel = fake_start_sentinel(fake_port(node));
            const struct daemon *daemon =
                daemon_start(NULL, "--sentinel", fake_address(sentinel), "--redis-api", "loopback",
                             "--verify", i == 0 ? "on" : "off", "--command-timeout", "500ms", NULL);
            const struct http_answer *get;

            /* where nobody asks the node for its role, the command is the first to dial it */
            WAIT_UNTIL(10000, i == 0 || daemon_get(daemon, "/master")->status == 200);
            get = command_run(daemon, "GET", "k", NULL);
            cr_assert_eq(get->status, 503, "%s", http_text(get));
            expect_cheap(daemon, node, 1);
        }
    }
}
