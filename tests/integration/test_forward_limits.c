/* How many, and what becomes of them at the end: limits, descriptors, signals. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/crowd.h"
#include "../support/faults.h"
#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_forward_limits);

SCENE(integration_forward_limits, one_too_many)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;

    (void)forward_start(cluster, &port, "", "--max-forwards", "3", "--workers", "2", NULL);
    struct raw **clients = clients_open(port, 3);
    for (int i = 0; i < 5; i++) {
        struct raw *late = client_open(port);

        cr_assert_str_eq(client_say(late, "PING"), "-ERR max number of clients reached");
        cr_assert(raw_closes(late, 5000));
    }
    raw_close(clients[0]);
    WAIT_UNTIL(5000, strcmp(client_say(client_open(port), "PING"), "+PONG") == 0);
    EXPECT_SAID(clients[1], "PING", "+PONG");
}

SCENE(integration_forward_limits, many_at_once)
{
    enum { MANY = 50, PLACES = 10 };
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    struct raw *clients[MANY];
    size_t served = 0;

    (void)forward_start(cluster, &port, "", "--max-forwards", "10", "--workers", "2", NULL);
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = client_open(port);
        client_send(clients[i], "PING");
    }
    for (size_t i = 0; i < MANY; i++) {
        const char *said = client_hear(clients[i], 10000);

        served += strcmp(said, "+PONG") == 0;
        cr_assert(said[0] == '+' || strcmp(said, "-ERR max number of clients reached") == 0, "%s",
                  said);
    }
    cr_assert_eq(served, PLACES, "%zu", served);
}

/* Their places are free again at once, and not when nobody would wait any longer. */
SCENE(integration_forward_limits, those_who_leave_before_there_is_a_node)
{
    enum { PLACES = 3 };
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--max-forwards", "3", "--command-timeout", "80s", NULL);
    const struct linger hard = {.l_onoff = 1};
    redisContext *leaving[PLACES];
    struct raw *staying[PLACES];

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 5000);
    for (size_t i = 0; i < PLACES; i++) {
        leaving[i] = redisConnect("127.0.0.1", port);
        cr_assert(leaving[i] && leaving[i]->err == 0, "client %zu", i);
        cr_assert_eq(write(leaving[i]->fd, "PING\r\n", i % 2 == 0 ? 6 : 3), i % 2 == 0 ? 6 : 3);
    }
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_forward_waiting") == PLACES);
    for (size_t i = 0; i < PLACES; i++) {
        (void)setsockopt(leaving[i]->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        redisFree(leaving[i]);
    }
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_forward_waiting") == 0);
    for (size_t i = 0; i < PLACES; i++) {
        staying[i] = client_open(port);
        client_send(staying[i], "INCR n");
    }
    raw_shut(staying[1]); /* has said its last, and is answered */
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_forward_waiting") == PLACES);
    server_start(&cluster->nodes[0]);
    for (size_t i = 0; i < PLACES; i++) {
        cr_assert_eq(client_hear(staying[i], 20000)[0], ':');
    }
    cr_assert(raw_closes(staying[1], 5000));
}

SCENE(integration_forward_limits, five_thousand)
{
    enum { MANY = 5000 };

    /* Two each in the daemon, one in the test, one at the server. */
    if (!crowd_fits(2 * MANY + 2000)) {
        scene_skip(text("no descriptors for %d clients here", MANY));
    }
    struct cluster *cluster = cluster_start_one("maxclients 10000\n");
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--max-forwards", "5000",
                                                "--command-timeout", "60s", "--workers", "2", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    redisContext **clients = scene_alloc(MANY * sizeof(*clients));

    for (size_t i = 0; i < MANY; i++) {
        clients[i] = redisConnect("127.0.0.1", port);
        cr_assert(clients[i] && clients[i]->err == 0, "client %zu", i);
        (void)redisSetTimeout(clients[i], (struct timeval){30, 0});
        int done = 0;
        cr_assert(redisAppendCommand(clients[i], "INCR n") == REDIS_OK &&
                  redisBufferWrite(clients[i], &done) == REDIS_OK);
    }
    for (size_t i = 0; i < MANY; i++) {
        redisReply *reply = NULL;

        cr_assert(redisGetReply(clients[i], (void **)&reply) == REDIS_OK &&
                      reply->type == REDIS_REPLY_INTEGER,
                  "client %zu: %s", i, reply && reply->str ? reply->str : clients[i]->errstr);
        freeReplyObject(reply);
    }
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET n"), text("%d", MANY));
    cr_assert_eq(clients_at(&cluster->nodes[0]), MANY);
    const long grown_kb = daemon_memory_kb(daemon, "RssAnon:") - before_kb;
    cr_assert(daemon_is_sanitized() || grown_kb < MANY * 4, "%ld kB", grown_kb);
    struct raw *late = client_open(port);
    cr_assert_str_eq(client_hear(late, 5000), "-ERR max number of clients reached");
    for (size_t i = 0; i < MANY; i++) {
        redisFree(clients[i]);
    }
    WAIT_UNTIL(10000, clients_at(&cluster->nodes[0]) == 0);
    EXPECT_SAID(client_open(port), "PING", "+PONG");
}

/* ---- hosts that are gone ---- */

/* What the timer of this established TCP socket is for, in the kernel's words; -1: no such one. */
static int timer_of(unsigned local_port, unsigned remote_port)
{
    unsigned local, remote, state, timer;
    FILE *table = fopen("/proc/net/tcp", "re");
    int found = -1;
    char line[512]; /* there may be tens of thousands, of connections that others closed */

    cr_assert(table);
    while (found < 0 && fgets(line, sizeof(line), table)) {
        if (sscanf(line, " %*d: %*8X:%4X %*8X:%4X %2X %*X:%*X %2X:", &local, &remote, &state,
                   &timer) == 4 &&
            local == local_port && remote == remote_port && state == 1) {
            found = (int)timer;
        }
    }
    (void)fclose(table);
    return found;
}

/* While nothing is on its way keep-alive watches over both sockets of a client. */
SCENE(integration_forward_limits, keep_alive)
{
    enum { KEEP_ALIVE = 2 };
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    uint16_t port;

    (void)forward_start(cluster, &port, "", NULL);
    redisContext *context = redisConnect("127.0.0.1", port);
    cr_assert(context && context->err == 0);
    redisReply *reply = redisCommand(context, "CLIENT SETNAME kept");
    cr_assert(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    cr_assert_eq(getsockname(context->fd, (struct sockaddr *)&own, &size), 0);
    const char *line = strstr(redis_say(node, "CLIENT LIST"), " name=kept ");
    cr_assert_not_null(line);
    while (strncmp(line, " addr=127.0.0.1:", 16) != 0) { /* before the name, in the same line */
        line--;
    }
    const unsigned node_side = (unsigned)strtoul(line + 16, NULL, 10);
    WAIT_UNTIL(5000, timer_of(port, ntohs(own.sin_port)) == KEEP_ALIVE);
    WAIT_UNTIL(5000, timer_of(node_side, node->port) == KEEP_ALIVE);
    redisFree(context);
}

/* ---- what the kernel refuses ---- */

static const struct daemon *start_faulty(struct cluster *cluster, uint16_t *port)
{
    const char *const env[] = {faults_variable(), NULL};

    *port = port_reserve();
    const char *const flags[] = {"--forward", text("127.0.0.1:%u", *port), "--command-timeout",
                                 "20s", NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){
        .cluster = cluster, .flags = flags, .env = env, .binary = faults_binary()});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 8000);
    return daemon;
}

SCENE(integration_forward_limits, out_of_descriptors)
{
    struct faults *faults = faults_new();
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon = start_faulty(cluster, &port);
    struct raw *client = clients_open(port, 1)[0];

    atomic_store(&faults->every[FAULT_ACCEPT], 1);
    struct raw *late = client_open(port);
    client_send(late, "INCR n");
    WAIT_UNTIL(5000, atomic_load(&faults->met[FAULT_ACCEPT]) > 3);
    EXPECT_SAID(client, "PING", "+PONG");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "EXISTS n"), "0");
    faults_end(faults);
    cr_assert_str_eq(client_hear(late, 10000), ":1");
    /* None for the way to the node. */
    atomic_store(&faults->every[FAULT_SOCKET], 2);
    for (int i = 2; i < 12; i++) {
        EXPECT_SAID(client_open(port), "INCR n", text(":%d", i));
    }
    faults_end(faults);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "out of file descriptors or memory"));
    still_serves(daemon);
}

/* Writes in the smallest pieces, and none now and then: byte for byte all the same. */
SCENE(integration_forward_limits, in_small_pieces)
{
    struct faults *faults = faults_new();
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon = start_faulty(cluster, &port);

    atomic_store(&faults->every[FAULT_SMALL], 1);
    atomic_store(&faults->every[FAULT_SHORT_WRITE], 2);
    atomic_store(&faults->every[FAULT_AGAIN_WRITE], 3);
    struct writers *writers = writers_start(
        &(struct writers_spec){.daemon = daemon, .forward = port, .writers = 4, .readers = 2});
    const char *value = text("%0*d", 50000, 7);
    for (int i = 0; i < 10; i++) {
        struct raw *client = client_open(port);

        EXPECT_SAID(client, text("SET k %s", value), "+OK");
        EXPECT_SAID(client, "GET k", "$50000");
        cr_assert_str_eq(client_hear(client, 10000), value);
    }
    writers_wait(writers, 200, 20000);
    writers_stop(writers);
    faults_end(faults);
    cr_assert_gt(atomic_load(&faults->met[FAULT_SHORT_WRITE]), 0);
    writers_check(writers, &cluster->nodes[0], "in small pieces", true);
    cr_assert_eq(writers_increments(writers)->dropped, 0);
}

/* ---- signals ---- */

SCENE(integration_forward_limits, the_end)
{
    enum { COMMANDS = 2000, VALUE = 20000 };
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--shutdown-delay", "2500ms", NULL);
    struct raw *idle = clients_open(port, 1)[0], *silent = client_open(port),
               *blocked = client_open(port);

    cr_assert_str_eq(redis_say(node, "SETRANGE k %d v", VALUE - 1), text("%d", VALUE));
    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, info_of(node, "clients", "blocked_clients:") == 1);
    redisContext *context = redisConnect("127.0.0.1", port);
    cr_assert(context && context->err == 0);
    (void)redisSetTimeout(context, (struct timeval){20, 0});
    EXPECT_SAID(idle, "INCR n", ":1");
    daemon_signal(daemon, SIGTERM);
    /* Until the delay is over nothing changes. */
    WAIT_UNTIL(2000, status_of(daemon, "/readyz") == 503);
    EXPECT_SAID(idle, "INCR n", ":2");
    EXPECT_SAID(client_open(port), "INCR n", ":3");
    /* What was sent is answered, however much. */
    for (int i = 0; i < COMMANDS; i++) {
        cr_assert_eq(redisAppendCommand(context, "GET k"), REDIS_OK);
    }
    for (int i = 0; i < COMMANDS; i++) {
        redisReply *reply = NULL;

        cr_assert(redisGetReply(context, (void **)&reply) == REDIS_OK, "answer %d: %s", i,
                  context->errstr);
        cr_assert_eq(reply->len, VALUE);
        freeReplyObject(reply);
        if (i % 100 == 0) {
            nap_ms(130); /* the delay ends meanwhile */
        }
    }
    redisFree(context);
    cr_assert(raw_closes(idle, 5000) && raw_closes(silent, 5000) && raw_closes(blocked, 5000));
    cr_assert_eq(process_wait(daemon->process, patient(5000)), 0, "%s", daemon_log(daemon));
    cr_assert(!raw_open_plain(port), "it listens still");
    WAIT_UNTIL(5000, clients_at(node) == 0);
}

SCENE(integration_forward_limits, the_end_without_a_master)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "60s", NULL);

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 5000);
    struct raw *waiting = client_open(port);
    client_send(waiting, "INCR n");
    const int64_t began_ms = now_ms();
    HOLDS_FOR(100, !process_ended(daemon->process));
    daemon_signal(daemon, SIGTERM);
    cr_assert_str_eq(client_hear(waiting, 5000), "-NOTSENT the daemon is shutting down");
    cr_assert_eq(process_wait(daemon->process, patient(3000)), 0);
    cr_assert_lt(now_ms() - began_ms, patient(2000));
}

SCENE(integration_forward_limits, a_reload_disturbs_nobody)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", NULL);
    struct raw *client = clients_open(port, 1)[0];

    for (int i = 1; i <= 5; i++) {
        daemon_signal(daemon, SIGHUP);
        EXPECT_SAID(client, "INCR n", text(":%d", i));
    }
    still_serves(daemon);
}
