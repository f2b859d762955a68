/*
 * Through failovers with what is open for long: those who listen or wait, thousands who are idle,
 * values of half a gibibyte on their way, and redis-benchmark. Nobody is left on the old master,
 * and nothing that is half looks whole.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/crowd.h"
#include "../support/forward.h"
#include "../support/scene.h"
#include "../support/wire.h"

SCENE_SUITE(integration_forward_through);

#define PATIENT "--command-timeout", "30s"
#define CLOSED(reason) "bellwether_forward_closed_total{reason=\"" reason "\"}"
#define CONNECTIONS "bellwether_forward_connections{to=\"master\"}"

/* ---- the ways in which the master goes ---- */

enum going { KILLED, FROZEN, BY_HAND };

static void let_go(struct cluster *cluster, enum going going)
{
    switch (going) {
    case KILLED: server_kill(&cluster->nodes[0]); break;
    case FROZEN: server_freeze(&cluster->nodes[0]); break;
    case BY_HAND: cluster_failover(cluster); break;
    }
}

/* Nobody is to be called down by himself where the failover is ordered. */
static struct cluster *start(enum going going)
{
    return cluster_start(
        &(struct cluster_spec){.down_after_ms = going == BY_HAND ? CLUSTER_STEADY_MS : 0});
}

/* So many came, and each of them is with the master, waits, or was counted when it ended. */
static void expect_counted(const struct daemon *daemon, long long came)
{
    const struct http_answer *status = daemon_get(daemon, "/status");

    cr_assert_eq(http_number(status, "forwards.0.accepted"), came, "%s", http_text(status));
}

/* ---- those who listen, and those who wait ---- */

/* What each says once, and hears when something happens to `list`, `stream` and `news`. */
static const struct kind {
    const char *says;
    const char *hears; /* at once; NULL: nothing */
    const char *later;
} kinds[] = {
    {"MONITOR", "OK", "PUBLISH"},
    {"SUBSCRIBE news", "subscribe", "extra"},
    {"BLPOP list 0", NULL, "element"},
    {"XREAD BLOCK 0 STREAMS stream $", NULL, "value"},
    {"PING", "PONG", NULL},
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds), EACH = 2, ALL = KINDS * EACH };

static bool holds(const redisReply *reply, const char *words)
{
    bool found = reply->str && strstr(reply->str, words);

    for (size_t i = 0; i < reply->elements; i++) {
        found = found || holds(reply->element[i], words);
    }
    return found;
}

static void expect_to_hear(struct wire *wire, const struct kind *kind, const char *words)
{
    for (bool found = false; !found;) {
        redisReply *reply = wire_reply(wire, 20000);

        cr_assert(reply, "%s: no \"%s\"%s", kind->says, words,
                  wire_ended(wire) ? ", and it has ended" : "");
        found = holds(reply, words);
        freeReplyObject(reply);
    }
}

static struct wire *begin(uint16_t port, const struct kind *kind)
{
    struct wire *wire = wire_open(&(struct wire_spec){.port = port});
    const char *line = text("%s\r\n", kind->says);

    cr_assert(wire_write(wire, line, strlen(line), 5000));
    return wire;
}

/* All have said what they say, and the master has heard it. */
static void settle(struct wire *const *wires, const struct server *node)
{
    for (size_t i = 0; i < ALL; i++) {
        if (kinds[i % KINDS].hears) {
            expect_to_hear(wires[i], &kinds[i % KINDS], kinds[i % KINDS].hears);
        }
    }
    WAIT_UNTIL(10000, info_of(node, "clients", "blocked_clients:") == 2 * EACH);
}

/* Nothing but the end comes: a word of the old master's that it is none any more would be wrong. */
static void expect_end(struct wire *wire, const struct kind *kind)
{
    redisReply *reply;

    while ((reply = wire_reply(wire, 20000))) {
        cr_expect(strcmp(kind->says, "MONITOR") == 0 && reply->type == REDIS_REPLY_STATUS,
                  "%s: hears %s", kind->says, reply->str ? reply->str : "something");
        freeReplyObject(reply);
    }
    cr_assert(wire_ended(wire), "%s: it is left on the old master", kind->says);
}

static void listen_through(enum going going)
{
    struct cluster *cluster = start(going);
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", PATIENT, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct wire *wires[ALL];

    for (size_t i = 0; i < ALL; i++) {
        wires[i] = begin(port, &kinds[i % KINDS]);
    }
    settle(wires, old);
    cr_assert_eq(metric_of(daemon, CONNECTIONS), ALL);
    let_go(cluster, going);
    for (size_t i = 0; i < ALL; i++) { /* as its client comes back: at once */
        expect_end(wires[i], &kinds[i % KINDS]);
        wires[i] = begin(port, &kinds[i % KINDS]);
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    settle(wires, now);
    WAIT_UNTIL(5000, going != BY_HAND || clients_at(old) == 0);
    cr_assert_str_eq(redis_say(now, "PUBLISH news extra"), text("%d", EACH));
    (void)redis_say(now, "RPUSH list element element");
    (void)redis_say(now, "XADD stream * field value");
    for (size_t i = 0; i < ALL; i++) {
        if (kinds[i % KINDS].later) {
            expect_to_hear(wires[i], &kinds[i % KINDS], kinds[i % KINDS].later);
        }
    }
    cr_assert_eq(metric_of(daemon, CONNECTIONS), ALL);
    expect_counted(daemon, 2 * ALL);
}

SCENE(integration_forward_through, listeners_kill_nine)
{
    listen_through(KILLED);
}

SCENE(integration_forward_through, listeners_master_frozen)
{
    listen_through(FROZEN);
}

SCENE(integration_forward_through, listeners_failover_by_hand)
{
    listen_through(BY_HAND);
}

/* ---- thousands ---- */

/* A second is enough for a daemon that has the processor to itself. */
enum { MANY = 5000, CLOSED_MS = 8000 };

/* Each of them counts `n` up, and hears how far. */
static void open_many(struct pollfd *clients, uint16_t port)
{
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = (struct pollfd){.fd = plain_dial(port), .events = POLLIN};
        plain_send(clients[i].fd, "INCR n\r\n", 8);
    }
    for (size_t i = 0; i < MANY; i++) {
        char answer[32] = "";

        for (size_t n = 0; !strchr(answer, '\n');) {
            const ssize_t got = recv(clients[i].fd, answer + n, sizeof(answer) - 1 - n, 0);

            cr_assert(got > 0 && answer[0] == ':', "client %zu: \"%s\", %s", i, answer,
                      got == 0 ? "and it ended" : strerror(errno));
            n += (size_t)got;
        }
    }
}

/* Close those whose other side has. @return how many. */
static size_t sweep(struct pollfd *clients, int bound_ms)
{
    size_t n = 0;

    cr_assert(poll(clients, MANY, bound_ms) >= 0);
    for (size_t i = 0; i < MANY; i++) {
        char byte;

        if (clients[i].fd >= 0 && clients[i].revents != 0) {
            const ssize_t got = recv(clients[i].fd, &byte, 1, 0);

            cr_assert(got == 0 || (got < 0 && errno == ECONNRESET), "client %zu hears something",
                      i);
            close(clients[i].fd);
            clients[i].fd = -1;
            n++;
        }
    }
    return n;
}

/*
 * The old master stands still: that its clients are told is the daemon's doing alone. What a client
 * costs is open twice in the daemon, and once in the test and at each server.
 */
SCENE(integration_forward_through, five_thousand_who_are_idle)
{
    if (!crowd_fits(2 * MANY + 2000)) {
        scene_skip(text("no descriptors for %d clients here", MANY));
    }
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2, .down_after_ms = 2000, .node_conf = "maxclients 6000\n"});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "60s", "--max-forwards",
                      text("%d", MANY), "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0], *next = &cluster->nodes[1];
    struct pollfd *clients = scene_alloc(MANY * sizeof(*clients));

    open_many(clients, port);
    cr_assert_eq(metric_of(daemon, CONNECTIONS), MANY);
    server_freeze(old);
    size_t n = 0;
    int64_t adopted_ms = 0, first_ms = 0, last_ms = 0;
    for (const int64_t end_ms = now_ms() + patient(40000); n < MANY || adopted_ms == 0;) {
        cr_assert_lt(now_ms(), end_ms, "%zu are closed; %s", n, daemon_log(daemon));
        const size_t more = sweep(clients, 10);
        if (more > 0) {
            last_ms = now_ms();
            first_ms = first_ms == 0 ? last_ms : first_ms;
        }
        n += more;
        if (adopted_ms == 0 && says_master(daemon, next)) {
            adopted_ms = now_ms();
        }
    }
    fprintf(stderr, "%s: %d closed within %lld ms, %lld ms after the new master was told\n",
            scene_test_name(), MANY, (long long)(last_ms - first_ms),
            (long long)(last_ms - adopted_ms));
    cr_assert_leq(last_ms - first_ms, patient(CLOSED_MS));
    cr_assert_leq(last_ms - adopted_ms, patient(CLOSED_MS));
    WAIT_UNTIL(5000, metric_of(daemon, CONNECTIONS) == 0);
    open_many(clients, port);
    cr_assert_str_eq(redis_say(next, "GET n"), text("%d", 2 * MANY));
    cr_assert_eq(clients_at(next), MANY);
    cr_assert_eq(metric_of(daemon, CONNECTIONS), MANY);
    expect_counted(daemon, 2 * MANY);
    cr_assert_eq(metric_of(daemon, CLOSED("switch")) + metric_of(daemon, CLOSED("promotion")),
                 MANY);
    for (size_t i = 0; i < MANY; i++) {
        close(clients[i].fd);
    }
    WAIT_UNTIL(10000, metric_of(daemon, CONNECTIONS) == 0);
    EXPECT_SAID(client_open(port), "PING", "+PONG");
}

/* ---- values on their way ---- */

#define MIB ((size_t)1 << 20)
enum { READ_FIRST = 1 << 20 };

/* What Redis takes at most, where the machine has room for it twice and more. */
static size_t largest(void)
{
    const char *line = strstr(file_read("/proc/meminfo"), "MemAvailable:");
    const long long kb = !line ? 0 : strtoll(line + strlen("MemAvailable:"), NULL, 10);

    return daemon_is_sanitized() || kb < 6LL << 20 ? 64 * MIB : 512 * MIB;
}

static void send_head(int fd, const char *key, size_t size)
{
    const char *head = text("*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, size);

    plain_send(fd, head, strlen(head));
}

static void set_value(uint16_t port, const char *key, size_t size)
{
    const int fd = plain_dial(port);

    send_head(fd, key, size);
    cr_assert_eq(plain_send_value(fd, 0, size), size);
    plain_send(fd, "\r\n", 2);
    plain_expect(fd, "+OK\r\n");
    close(fd);
}

/* @return a client whose answer is on its way. */
static int ask_for_value(uint16_t port, const char *key, size_t size)
{
    const int fd = plain_dial(port);
    const char *line = text("GET %s\r\n", key);

    plain_send(fd, line, strlen(line));
    plain_expect(fd, text("$%zu\r\n", size));
    return fd;
}

static void get_value(uint16_t port, const char *key, size_t size)
{
    const int fd = ask_for_value(port, key, size);

    cr_assert_eq(plain_take_value(fd, 0, size), size);
    plain_expect(fd, "\r\n");
    close(fd);
}

/* One value is half written, another one half read. */
static void values_through(enum going going, size_t size)
{
    /* Nobody is to be taken for dead who copies half a gibibyte. */
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2,
        .down_after_ms = going == BY_HAND ? CLUSTER_STEADY_MS : 3000,
        .node_conf = "save \"\"\nclient-output-buffer-limit replica 0 0 0\n"});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", PATIENT, NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    struct server *old = &cluster->nodes[0], *next = &cluster->nodes[1];
    const size_t known = 64 * MIB, written = size == 0 ? largest() : size;
    char byte;

    set_value(port, "known", known);
    WAIT_UNTIL(20000, strcmp(redis_say(next, "STRLEN known"), text("%zu", known)) == 0);
    const int reader = ask_for_value(port, "known", known), writer = plain_dial(port);
    cr_assert_eq(plain_take_value(reader, 0, READ_FIRST), READ_FIRST);
    send_head(writer, "new", written);
    cr_assert_eq(plain_send_value(writer, 0, written / 2), written / 2);
    expect_small_growth(daemon, before_kb);
    let_go(cluster, going);
    /* All of it but the end goes on; and when all is over each is told that it came to nothing. */
    (void)plain_send_value(writer, written / 2, written - 1);
    cr_assert(cluster_wait_switch(cluster, old, 30000) == next);
    EXPECT_MASTER(daemon, next, 10000);
    (void)plain_send_value(writer, written - 1, written);
    (void)send(writer, "\r\n", 2, MSG_NOSIGNAL);
    const ssize_t told = recv(writer, &byte, 1, 0);
    cr_assert(told == 0 || (told < 0 && errno == ECONNRESET), "%s",
              told > 0 ? "the half of it is answered" : strerror(errno));
    const size_t read = READ_FIRST + plain_take_value(reader, READ_FIRST, known);
    cr_assert_lt(read, known, "all of it came, so this shows nothing");
    expect_small_growth(daemon, before_kb);
    close(reader);
    close(writer);
    get_value(port, "known", known);
    cr_assert_str_eq(redis_say(next, "EXISTS new"), "0");
    set_value(port, "new", written);
    cr_assert_str_eq(redis_say(next, "STRLEN new"), text("%zu", written));
    get_value(port, "new", written);
    expect_small_growth(daemon, before_kb);
    WAIT_UNTIL(5000, metric_of(daemon, CONNECTIONS) == 0);
    expect_counted(daemon, 6);
}

SCENE(integration_forward_through, large_values_kill_nine)
{
    values_through(KILLED, 0);
}

SCENE(integration_forward_through, large_values_failover_by_hand)
{
    values_through(BY_HAND, 64 * MIB);
}

/* ---- redis-benchmark ---- */

enum { BENCH_CLIENTS = 20, BENCH_COMMANDS = 5000 };

static const char *const *benchmark(uint16_t port, const char *commands)
{
    const char **argv = scene_alloc(16 * sizeof(*argv));
    const char *const all[] = {"redis-benchmark",
                               "-p",
                               text("%u", port),
                               "-c",
                               text("%d", BENCH_CLIENTS),
                               "-n",
                               commands,
                               "-t",
                               "set",
                               "-q"};

    memcpy(argv, all, sizeof(all));
    return argv;
}

static double bytes_in(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_forward_bytes_total{direction=\"in\"}");
}

/* It gives up at its first connection that ends; the next one has nothing to complain of. */
static void benchmark_through(enum going going)
{
    static const char command[] = "*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nVXK\r\n";
    struct cluster *cluster = start(going);
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", PATIENT, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct process *process = process_start(&(struct process_spec){
        .name = "benchmark", .argv = benchmark(port, "100000000"), .may_die = true});

    WAIT_UNTIL(10000, metric_of(daemon, CONNECTIONS) == BENCH_CLIENTS &&
                          bytes_in(daemon) > 2000 * (sizeof(command) - 1));
    let_go(cluster, going);
    cr_assert_eq(process_wait(process, patient(30000)), 1, "%s", process_log(process));
    cr_assert(strstr(process_log(process), "Error: "), "%s", process_log(process));
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, now, 5000);
    WAIT_UNTIL(10000, metric_of(daemon, CONNECTIONS) == 0);
    const long long accepted = http_number(daemon_get(daemon, "/status"), "forwards.0.accepted");
    cr_assert_geq(accepted, BENCH_CLIENTS);
    expect_counted(daemon, accepted);
    const double before = bytes_in(daemon);
    const struct process_result result =
        process_run(30000, NULL, benchmark(port, text("%d", BENCH_COMMANDS)));
    cr_assert(result.exit_code == 0 && strstr(result.out, "requests per second"), "%d: %s%s",
              result.exit_code, result.out, result.err);
    WAIT_UNTIL(10000, metric_of(daemon, CONNECTIONS) == 0);
    expect_counted(daemon, 2 * accepted);
    const double sent = bytes_in(daemon) - before - BENCH_COMMANDS * (sizeof(command) - 1);
    cr_assert(sent >= 0 && sent < 200, "%.0f bytes more than the commands", sent);
    still_serves(daemon);
}

SCENE(integration_forward_through, benchmark_kill_nine)
{
    benchmark_through(KILLED);
}

SCENE(integration_forward_through, benchmark_failover_by_hand)
{
    benchmark_through(BY_HAND);
}
