/*
 * Byte for byte: what clients and servers say to each other comes through as it is, however much,
 * however slowly, and whoever ends it.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_bytes);

static void drop_context(void *context)
{
    redisFree(context);
}

static redisContext *hiredis(uint16_t port)
{
    const struct timeval bound = {patient(30000) / 1000, 0};
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, bound);

    cr_assert(context && context->err == 0);
    (void)redisSetTimeout(context, bound);
    return scene_keep(context, drop_context);
}

static void drop_reply(void *reply)
{
    freeReplyObject(reply);
}

static redisReply *answer_of(redisContext *context)
{
    redisReply *reply = NULL;

    cr_assert(redisGetReply(context, (void **)&reply) == REDIS_OK, "%s", context->errstr);
    return scene_keep(reply, drop_reply);
}

static redisReply *run(redisContext *context, const char *command)
{
    cr_assert_eq(redisAppendCommand(context, command), REDIS_OK);
    return answer_of(context);
}

#define EXPECT_STATUS(context, command, wanted) \
    do { \
        const redisReply *reply_ = run(context, command); \
        cr_assert(reply_->str &&strcmp(reply_->str, wanted) == 0, "%s: %s", command, \
                  reply_->str ? reply_->str : "no string"); \
    } while (0)
#define EXPECT_NUMBER(context, command, wanted) \
    do { \
        const redisReply *reply_ = run(context, command); \
        cr_assert(reply_->type == REDIS_REPLY_INTEGER && reply_->integer == (wanted), "%s: %s", \
                  command, reply_->str ? reply_->str : text("%lld", reply_->integer)); \
    } while (0)

/* ---- all that Redis can do ---- */

SCENE(integration_forward_bytes, what_a_connection_remembers)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;

    (void)forward_start(cluster, &port, "", NULL);
    redisContext *one = hiredis(port), *other = hiredis(port);
    EXPECT_STATUS(one, "MULTI", "OK");
    EXPECT_STATUS(one, "INCR n", "QUEUED");
    EXPECT_NUMBER(other, "EXISTS n", 0);
    EXPECT_STATUS(one, "INCR n", "QUEUED");
    cr_assert_eq(run(one, "EXEC")->elements, 2);
    EXPECT_STATUS(one, "WATCH n", "OK");
    EXPECT_NUMBER(other, "INCR n", 3);
    EXPECT_STATUS(one, "MULTI", "OK");
    EXPECT_STATUS(one, "SET n 100", "QUEUED");
    cr_assert_eq(run(one, "EXEC")->type, REDIS_REPLY_NIL, "it was changed meanwhile");
    EXPECT_STATUS(one, "SELECT 5", "OK");
    EXPECT_STATUS(one, "SET elsewhere v", "OK");
    EXPECT_NUMBER(other, "EXISTS elsewhere", 0);
    EXPECT_STATUS(one, "RESET", "RESET");
    EXPECT_STATUS(one, "GET n", "3");
    cr_assert_eq(run(one, "HELLO 3")->type, REDIS_REPLY_MAP);
    /* Silence is as good as any other answer. */
    cr_assert_eq(redisAppendCommand(other, "CLIENT REPLY OFF"), REDIS_OK);
    cr_assert_eq(redisAppendCommand(other, "SET silent v"), REDIS_OK);
    EXPECT_STATUS(other, "CLIENT REPLY ON", "OK");
    EXPECT_STATUS(other, "GET silent", "v");
    EXPECT_STATUS(other, "QUIT", "OK");
    cr_assert_neq(redisGetReply(other, (void **)&(redisReply *){NULL}), REDIS_OK);
}

SCENE(integration_forward_bytes, what_comes_unasked)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", NULL);
    redisContext *subscriber = hiredis(port), *monitor = hiredis(port), *popper = hiredis(port),
                 *reader = hiredis(port);

    (void)run(subscriber, "SUBSCRIBE news");
    EXPECT_STATUS(monitor, "MONITOR", "OK");
    cr_assert_eq(redisAppendCommand(popper, "BLPOP list 0"), REDIS_OK);
    cr_assert_eq(redisAppendCommand(reader, "XREAD BLOCK 0 STREAMS stream $"), REDIS_OK);
    int done = 0;
    (void)redisBufferWrite(popper, &done);
    (void)redisBufferWrite(reader, &done);
    WAIT_UNTIL(5000, info_of(node, "clients", "blocked_clients:") == 2);
    /* For longer than any time-out of the daemon's connections: nobody minds. */
    HOLDS_FOR(1200, status_of(daemon, "/livez") == 200);
    (void)redis_say(node, "PUBLISH news extra");
    (void)redis_say(node, "RPUSH list element");
    (void)redis_say(node, "XADD stream * field value");
    cr_assert_str_eq(answer_of(subscriber)->element[2]->str, "extra");
    cr_assert_str_eq(answer_of(popper)->element[1]->str, "element");
    cr_assert_eq(answer_of(reader)->elements, 1);
    for (;;) {
        const char *line = answer_of(monitor)->str;

        if (line && strstr(line, "XADD")) {
            break;
        }
    }
}

SCENE(integration_forward_bytes, a_pipeline_of_ten_thousand)
{
    enum { COMMANDS = 10000 };
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;

    (void)forward_start(cluster, &port, "", NULL);
    redisContext *context = hiredis(port);
    for (int i = 0; i < COMMANDS; i++) {
        cr_assert_eq(redisAppendCommand(context, "INCR n"), REDIS_OK);
    }
    for (int i = 0; i < COMMANDS; i++) {
        redisReply *reply = NULL;

        cr_assert(redisGetReply(context, (void **)&reply) == REDIS_OK && reply->integer == i + 1);
        freeReplyObject(reply);
    }
}

/* ---- much, and slowly ---- */

enum { BIG = 512 << 20 };

SCENE(integration_forward_bytes, half_a_gibibyte_each_way)
{
    const size_t size = daemon_is_sanitized() ? BIG / 8 : BIG;
    struct cluster *cluster = cluster_start_one("save \"\"\nproto-max-bulk-len 600mb\n");
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    const int fd = plain_dial(port);
    const char *head = text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);

    plain_send(fd, head, strlen(head));
    cr_assert_eq(plain_send_value(fd, 0, size), size);
    plain_send(fd, "\r\n", 2);
    plain_expect(fd, "+OK\r\n");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "STRLEN k"), text("%zu", size));
    expect_small_growth(daemon, before_kb);
    head = text("$%zu\r\n", size);
    plain_send(fd, "GET k\r\n", 7);
    plain_expect(fd, head);
    cr_assert_eq(plain_take_value(fd, 0, size), size);
    plain_expect(fd, "\r\n");
    expect_small_growth(daemon, before_kb);
    (void)close(fd);
}

/* Who asks for much and reads nothing stops the server, and costs next to nothing. */
SCENE(integration_forward_bytes, readers_that_do_not_read)
{
    enum { READERS = 40, VALUE = 8 << 20 };
    struct cluster *cluster =
        cluster_start_one("client-output-buffer-limit normal 0 0 0\nsave \"\"\n");
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--max-memory", "1MiB", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    int readers[READERS];

    cr_assert_str_eq(redis_say(&cluster->nodes[0], "SETRANGE k %d v", VALUE - 1),
                     text("%d", VALUE));
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = plain_dial(port);
        plain_send(readers[i], "GET k\r\n", 7);
    }
    struct raw *client = client_open(port);
    for (int i = 0; i < 100; i++) {
        EXPECT_SAID(client, "PING", "+PONG");
    }
    expect_small_growth(daemon, before_kb);
    for (size_t i = 0; i < READERS; i += 8) { /* all of it is still to be had */
        const char *head = text("$%d\r\n", VALUE);

        plain_expect(readers[i], head);
        plain_drop(readers[i], VALUE);
        plain_expect(readers[i], "\r\n");
    }
    for (size_t i = 0; i < READERS; i++) {
        (void)close(readers[i]);
    }
    WAIT_UNTIL(10000, clients_at(&cluster->nodes[0]) == 1);
    EXPECT_SAID(client, "PING", "+PONG");
}

/* The server does not read: whoever writes is stopped. */
SCENE(integration_forward_bytes, a_server_that_does_not_read)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--suspect-after", "60s",
                                                "--verify-timeout", "30s", NULL);
    struct raw *client = clients_open(port, 1)[0];
    const int fd = plain_dial(port);
    const char *head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n";

    server_freeze(&cluster->nodes[0]);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");
    plain_send(fd, head, strlen(head));
    const size_t sent = plain_send_until_full(fd, 64U << 20);
    cr_assert_lt(sent, 60U << 20, "nobody stops it");
    expect_small_growth(daemon, before_kb);
    server_thaw(&cluster->nodes[0]);
    cr_assert_eq(plain_send_value(fd, sent, 64U << 20), (64U << 20) - sent);
    plain_send(fd, "\r\n", 2);
    plain_expect(fd, "+OK\r\n");
    EXPECT_SAID(client, "STRLEN k", ":67108864");
    (void)close(fd);
}

/* ---- clients that have said their last ---- */

/* A client, and the node's end of its connection in the test's own hands. */
struct ends {
    struct daemon *daemon;
    int client, node;
};

static int listen_at(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    cr_assert(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
              bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0);
    return fd;
}

/* The client has sent a command, and that it was its last; the node has heard both. */
static struct ends half_closed(const char *command_timeout)
{
    const struct timeval bound = {patient(10000) / 1000, 0};
    const uint16_t port = port_reserve(), node_port = port_reserve();
    const int listener = listen_at(node_port);
    const struct told *told = told_start(1, node_port, port_reserve(), NULL);
    struct ends ends = {.daemon =
                            told_daemon(told, "--forward", text("127.0.0.1:%u", port), "--verify",
                                        "off", "--command-timeout", command_timeout, NULL)};
    char byte;

    ends.client = plain_dial(port);
    ends.node = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(ends.node >= 0 &&
              setsockopt(ends.node, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) == 0);
    (void)close(listener);
    plain_send(ends.client, "GET k\r\n", 7);
    cr_assert_eq(shutdown(ends.client, SHUT_WR), 0);
    plain_expect(ends.node, "GET k\r\n");
    cr_assert_eq(recv(ends.node, &byte, 1, 0), 0, "the node is not told");
    return ends;
}

static void let_pass(int64_t span_ms)
{
    const int64_t end_ms = now_ms() + span_ms;

    WAIT_UNTIL(span_ms + 5000, now_ms() >= end_ms);
}

/* The bound is for a node that says nothing, not for one that says it slowly. */
SCENE(integration_forward_bytes, a_slow_node_and_a_client_that_has_said_all)
{
    const struct ends ends = half_closed("2500ms");
    char byte;

    for (int i = 0; i < 9; i++) {
        let_pass(400);
        plain_send(ends.node, "x", 1);
        plain_expect(ends.client, "x");
    }
    const int64_t silent_ms = now_ms();
    cr_assert_eq(recv(ends.client, &byte, 1, 0), 0);
    cr_assert(now_ms() - silent_ms >= 2400 && now_ms() - silent_ms < patient(6000), "after %d ms",
              (int)(now_ms() - silent_ms));
    cr_assert_eq(metric_of(ends.daemon, "bellwether_forward_closed_total{reason=\"client\"}"), 1);
    (void)close(ends.client);
    (void)close(ends.node);
}

/* Nor is it for a client that has not read yet what there is. */
SCENE(integration_forward_bytes, a_slow_reader_that_has_said_all)
{
    enum { PIECE = 1 << 16, PIECES = 512 };
    const struct ends ends = half_closed("1500ms");
    static char piece[PIECE];
    size_t sent = 0, got = 0;
    ssize_t n;

    for (int64_t last_ms = now_ms(); now_ms() < last_ms + 1000; nap_ms(1)) { /* all is full */
        while (sent < (size_t)PIECE * PIECES &&
               (n = send(ends.node, piece, PIECE, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
            sent += (size_t)n;
            last_ms = now_ms();
        }
    }
    cr_assert_lt(sent, (size_t)PIECE * PIECES, "nobody stops it");
    let_pass(3000);
    while (got < (size_t)PIECE * PIECES) {
        const size_t left = (size_t)PIECE * PIECES - sent;

        n = left == 0
                ? 0
                : send(ends.node, piece, left < PIECE ? left : PIECE, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        n = recv(ends.client, piece, PIECE, 0);
        cr_assert_gt(n, 0, "it ended after %zu bytes", got);
        got += (size_t)n;
    }
    (void)close(ends.node);
    cr_assert_eq(recv(ends.client, piece, 1, 0), 0);
    (void)close(ends.client);
}

/* ---- ends ---- */

SCENE(integration_forward_bytes, who_ends_it)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", NULL);
    const struct linger hard = {.l_onoff = 1};

    /* printf 'INCR n\r\nGET n\r\n' | nc: all answers, then the end. */
    struct raw *client = client_open(port);
    client_send(client, "INCR n\r\nGET n");
    raw_shut(client);
    cr_assert_str_eq(client_hear(client, 5000), ":1");
    cr_assert_str_eq(client_hear(client, 5000), "$1");
    cr_assert_str_eq(client_hear(client, 5000), "1");
    cr_assert(raw_closes(client, 5000));
    /* Half a command, and gone: one way or the other. */
    for (int i = 0; i < 20; i++) {
        const int fd = plain_dial(port);

        plain_send(fd, "*2\r\n$4\r\nINCR\r\n$1\r", i % 2 == 0 ? 18 : 9);
        if (i % 4 < 2) {
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        }
        (void)close(fd);
    }
    /* Who only looks whether somebody is there. */
    for (int i = 0; i < 50; i++) {
        const int fd = plain_dial(port);

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        (void)close(fd);
    }
    WAIT_UNTIL(5000, clients_at(node) == 0);
    cr_assert_str_eq(redis_say(node, "GET n"), "1");
    /* What is no RESP is the server's affair. */
    client = client_open(port);
    client_send(client, "GET / HTTP/1.1\r\nHost: x\r\n");
    (void)client_hear(client, 5000);
    cr_assert(raw_closes(client, 5000));
    /* The server ends it. */
    client = clients_open(port, 1)[0];
    (void)redis_say(node, "CLIENT KILL TYPE normal SKIPME yes");
    cr_assert(raw_closes(client, 5000));
    still_serves(daemon);
}

/* One that takes no more says so, and that reaches its client. */
SCENE(integration_forward_bytes, a_server_with_too_many_clients)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--verify-timeout", "20s",
                                                "--suspect-after", "60s", NULL);
    struct raw *client = clients_open(port, 1)[0];

    EXPECT_SAID(client, "CONFIG SET maxclients 1", "+OK");
    for (int i = 0; i < 10; i++) {
        struct raw *late = client_open(port);

        if (i % 2 == 0) {
            (void)raw_send(late, "INCR n\r\n", 8);
        }
        cr_assert_str_eq(client_hear(late, 5000), "-ERR max number of clients reached");
        cr_assert(raw_closes(late, 5000));
    }
    EXPECT_SAID(client, "CONFIG SET maxclients 1000", "+OK");
    EXPECT_SAID(client, "CONFIG SET timeout 1", "+OK");
    struct raw *idle = client_open(port);
    cr_assert(raw_closes(idle, 10000), "the server's own time-out");
    still_serves(daemon);
}
