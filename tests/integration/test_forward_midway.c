/*
 * Clients that leave in the middle of what they say or hear, and nodes that stand still in the
 * middle: nothing is left of the former, and with the latter all goes on where it was.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/forward.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_midway);

#define MIB ((size_t)1 << 20)
#define UNSAVED "save \"\"\n"
#define CONNECTIONS "bellwether_forward_connections{to=\"master\"}"

static void send_head(int fd, size_t size)
{
    const char *head = text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);

    plain_send(fd, head, strlen(head));
}

static void set_value(uint16_t port, size_t size)
{
    const int fd = plain_dial(port);

    send_head(fd, size);
    cr_assert_eq(plain_send_value(fd, 0, size), size);
    plain_send(fd, "\r\n", 2);
    plain_expect(fd, "+OK\r\n");
    close(fd);
}

/* ---- clients that leave ---- */

static void reset(int fd)
{
    const struct linger hard = {.l_onoff = 1};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
}

static void expect_nothing_left(const struct daemon *daemon, const struct server *node,
                                long before_kb, long long came)
{
    WAIT_UNTIL(5000, metric_of(daemon, CONNECTIONS) == 0);
    WAIT_UNTIL(5000, clients_at(node) == 0);
    cr_assert_eq(metric_of(daemon, "bellwether_forward_waiting"), 0);
    cr_assert_eq(metric_of(daemon, "bellwether_forward_closed_total{reason=\"client\"}"),
                 (double)came);
    expect_small_growth(daemon, before_kb);
}

/* Cut at each byte of a command, and each way to go. */
SCENE(integration_forward_midway, half_a_command)
{
    static const char command[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
    const size_t whole = sizeof(command) - 1;
    struct cluster *cluster = cluster_start_one(UNSAVED);
    const struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--workers", "2", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:"),
               descriptors = daemon_descriptors(daemon);
    long long came = 0;
    char byte;

    for (size_t size = 1; size < whole; size++) {
        const int says_goodbye = plain_dial(port), closes = plain_dial(port),
                  resets = plain_dial(port);

        plain_send(says_goodbye, command, size);
        plain_send(closes, command, size);
        plain_send(resets, command, size);
        cr_assert_eq(shutdown(says_goodbye, SHUT_WR), 0);
        close(closes);
        reset(resets);
        /* the server's answer to that is the end, which is passed on */
        cr_assert_eq(recv(says_goodbye, &byte, 1, 0), 0, "%zu bytes", size);
        close(says_goodbye);
        came += 3;
    }
    expect_nothing_left(daemon, node, before_kb, came);
    cr_assert_str_eq(redis_say(node, "EXISTS k"), "0");
    WAIT_UNTIL(5000, daemon_descriptors(daemon) <= descriptors);
    /* and of a large one */
    for (int i = 0; i < 4; i++) {
        const int fd = plain_dial(port);

        send_head(fd, 64 * MIB);
        cr_assert_eq(plain_send_value(fd, 0, 32 * MIB), 32 * MIB);
        if (i % 2 == 0) {
            reset(fd);
        } else {
            close(fd);
        }
        came++;
    }
    expect_nothing_left(daemon, node, before_kb, came);
    cr_assert_str_eq(redis_say(node, "EXISTS k"), "0");
    EXPECT_SAID(client_open(port), "PING", "+PONG");
}

/* Some of it is on its way, and some is kept for them. */
SCENE(integration_forward_midway, half_a_reply)
{
    enum { LEAVERS = 8 };
    const size_t size = 64 * MIB;
    struct cluster *cluster = cluster_start_one(UNSAVED);
    const struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--workers", "2", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:"),
               descriptors = daemon_descriptors(daemon);

    set_value(port, size);
    for (size_t i = 0; i < LEAVERS; i++) {
        const int fd = plain_dial(port);

        plain_send(fd, "GET k\r\n", 7);
        plain_expect(fd, text("$%zu\r\n", size));
        cr_assert_eq(plain_take_value(fd, 0, i * MIB), i * MIB);
        if (i % 2 == 0) {
            reset(fd);
        } else {
            close(fd); /* what is not read makes a reset of it */
        }
    }
    expect_nothing_left(daemon, node, before_kb, 1 + LEAVERS);
    WAIT_UNTIL(5000, daemon_descriptors(daemon) <= descriptors);
    EXPECT_SAID(client_open(port), "STRLEN k", text(":%zu", size));
}

/* ---- a node that stands still ---- */

/*
 * Its client does not read, and goes on writing: of what goes either way the daemon keeps some.
 * When the node comes back all of it goes on, byte for byte, with the same master.
 */
SCENE(integration_forward_midway, a_node_that_stands_still_for_a_while)
{
    const size_t size = 64 * MIB;
    struct cluster *cluster = cluster_start_one(UNSAVED);
    struct server *node = &cluster->nodes[0];
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--suspect-after", "60s",
                                                "--verify-timeout", "30s", NULL);
    const long before_kb = daemon_memory_kb(daemon, "RssAnon:");

    set_value(port, size);
    const int fd = plain_dial(port);
    plain_send(fd, "GET k\r\n", 7);
    plain_expect(fd, text("$%zu\r\n", size)); /* and no more of it for now */
    server_freeze(node);
    send_head(fd, size);
    const size_t sent = plain_send_until_full(fd, size);
    cr_assert(sent > 0 && sent < size, "nobody stops it");
    cr_assert_eq(metric_of(daemon, CONNECTIONS), 1);
    expect_small_growth(daemon, before_kb);
    const size_t first = plain_take_value(fd, 0, MIB / 4);
    cr_assert_eq(first, MIB / 4, "what the node had said can still be read");
    server_thaw(node);
    /* The node takes what is written to it while its answer waits. */
    cr_assert_eq(plain_send_value(fd, sent, size), size - sent);
    plain_send(fd, "\r\nECHO end\r\n", 12);
    cr_assert_eq(plain_take_value(fd, first, size), size - first);
    plain_expect(fd, "\r\n+OK\r\n$3\r\nend\r\n");
    expect_small_growth(daemon, before_kb);
    plain_send(fd, "GET k\r\n", 7);
    plain_expect(fd, text("$%zu\r\n", size));
    cr_assert_eq(plain_take_value(fd, 0, size), size);
    plain_expect(fd, "\r\n");
    close(fd);
    EXPECT_MASTER(daemon, node, 5000);
    cr_assert_eq(metric_of(daemon, "bellwether_master_switches_total{master=\"mymaster\"}"), 0);
}
