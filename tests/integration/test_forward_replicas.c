/* A forward to replicas: the healthy ones in turn, and nobody stays with one that is not. */
#include <stdlib.h>
#include <string.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_replicas);

#define CLOSED(reason) "bellwether_forward_closed_total{reason=\"" reason "\"}"

/* The port of the node at the other end. */
static long node_of(struct raw *client)
{
    client_send(client, "CONFIG GET port");
    for (int i = 0; i < 4; i++) {
        (void)client_hear(client, 5000);
    }
    return strtol(client_hear(client, 5000), NULL, 10);
}

static struct cluster *start(const struct daemon **daemon, int down_after_ms, uint16_t *port,
                             const char *flag, const char *value)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = down_after_ms});

    *daemon = forward_start(cluster, port, ",to=replica", flag, value, NULL);
    WAIT_UNTIL(15000, all_healthy(*daemon, 2));
    return cluster;
}

SCENE(integration_forward_replicas, in_turn_until_one_hangs)
{
    enum { CLIENTS = 6 };
    const struct daemon *daemon;
    uint16_t port;
    struct cluster *cluster = start(&daemon, 1500, &port, NULL, NULL);
    struct raw *clients[CLIENTS], *at[2][CLIENTS];
    size_t n[2] = {0};

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(port);
        const size_t node = node_of(clients[i]) == cluster->nodes[1].port ? 0 : 1;
        cr_assert(node == 0 || node_of(clients[i]) == cluster->nodes[2].port);
        at[node][n[node]++] = clients[i];
        cr_assert(strncmp(client_say(clients[i], "SET k v"), "-READONLY", 9) == 0);
    }
    cr_assert(n[0] == CLIENTS / 2 && n[1] == CLIENTS / 2, "%zu %zu", n[0], n[1]);
    server_freeze(&cluster->nodes[1]);
    client_send(at[0][0], "GET k");
    for (size_t i = 0; i < n[0]; i++) {
        cr_assert(raw_closes(at[0][i], 15000), "a client is left on one that hangs");
    }
    for (size_t i = 0; i < n[1]; i++) {
        EXPECT_SAID(at[1][i], "PING", "+PONG");
        cr_assert_eq(node_of(client_open(port)), cluster->nodes[2].port);
    }
    server_thaw(&cluster->nodes[1]);
    WAIT_UNTIL(15000, all_healthy(daemon, 2));
    const long first = node_of(client_open(port)), second = node_of(client_open(port));
    cr_assert(first != second, "both at %ld", first);
}

/*
 * As it is promoted Sentinels have it close its clients. From then on it is no replica, and as long
 * as there is another one nobody comes to it.
 */
SCENE(integration_forward_replicas, one_is_promoted)
{
    const struct daemon *daemon;
    uint16_t port;
    struct cluster *cluster = start(&daemon, CLUSTER_STEADY_MS, &port, "--command-timeout", "20s");
    struct raw *clients[2] = {client_open(port), client_open(port)};
    const long nodes[2] = {node_of(clients[0]), node_of(clients[1])};

    cr_assert_neq(nodes[0], nodes[1]);
    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    struct raw *mine = clients[nodes[0] == now->port ? 0 : 1];
    cr_assert(nodes[0] == now->port || nodes[1] == now->port);
    cr_assert(raw_closes(mine, 10000), "a client of replicas is left on the master");
    EXPECT_MASTER(daemon, now, 5000);
    for (int64_t end_ms = now_ms() + 1500; now_ms() < end_ms;) {
        struct raw *late = client_open(port);

        cr_assert_neq(node_of(late), now->port);
        raw_close(late);
    }
    WAIT_UNTIL(15000, all_healthy(daemon, 2));
    for (int i = 0; i < 4; i++) {
        cr_assert_neq(node_of(client_open(port)), now->port);
    }
}

/* Whoever promotes it closes nobody: then it is the daemon that does, and at once. */
SCENE(integration_forward_replicas, one_that_is_promoted_without_a_word)
{
    struct pair *pair = pair_start(1, ",to=replica", "--command-timeout", "20s", NULL);
    struct raw *idle = client_open(pair->port), *subscriber = client_open(pair->port);

    cr_assert_eq(node_of(idle), pair->now->port);
    client_send(subscriber, "SUBSCRIBE news");
    cr_assert_str_eq(client_hear(subscriber, 5000), "*3");
    pair_promote(pair);
    EXPECT_SAID(idle, "PING", "+PONG");
    told_name(pair->told, 0, pair->now->port, pair->old->port);
    EXPECT_MASTER(pair->daemon, pair->now, 10000);
    cr_assert(raw_closes(idle, 5000) && raw_closes(subscriber, 5000));
    WAIT_UNTIL(5000, clients_at(pair->now) == 0);
    cr_assert_eq(metric_of(pair->daemon, CLOSED("unhealthy")), 2);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(node_of(client_open(pair->port)), pair->old->port);
    }
}

SCENE(integration_forward_replicas, none_and_the_master_instead)
{
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port, fallback;
    const struct daemon *daemon =
        forward_start(cluster, &port, ",to=replica", "--command-timeout", "300ms", NULL);
    struct raw *client = client_open(port);

    cr_assert_str_eq(client_hear(client, 5000), "-NOTSENT no healthy replica within 300 ms");
    cr_assert(raw_closes(client, 3000));
    still_serves(daemon);
    (void)forward_start(cluster, &fallback, ",to=replica", "--replica-fallback", "master", NULL);
    EXPECT_SAID(client_open(fallback), "INCR n", ":1");
}

/* It stands still, and nobody calls it down: only the master tells that it is behind. */
SCENE(integration_forward_replicas, one_that_lags)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 60000});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, ",to=replica", "--replica-max-lag", "64KiB", NULL);
    struct server *late = &cluster->nodes[1];

    WAIT_UNTIL(15000, all_healthy(daemon, 2));
    struct raw *clients[2] = {client_open(port), client_open(port)};
    const size_t first = node_of(clients[0]) == late->port ? 0 : 1;
    cr_assert_eq(node_of(clients[first]), late->port);
    server_freeze(late);
    (void)redis_say(&cluster->nodes[0], "PUBLISH c %s", text("%0*d", 200000, 1));
    cr_assert(raw_closes(clients[first], 10000));
    cr_assert_eq(node_of(client_open(port)), cluster->nodes[2].port);
    server_thaw(late);
}

static bool goes_to(uint16_t port, const struct server *node)
{
    struct raw *client = client_open(port);
    const bool there = node_of(client) == node->port;

    raw_close(client);
    return there;
}

/* The master hangs and nobody tells how far behind they are: who is there stays, nobody comes. */
SCENE(integration_forward_replicas, whose_lag_nobody_tells)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 60000});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, ",to=replica", "--replica-max-lag",
                                                "1MiB", "--command-timeout", "1s", NULL);

    WAIT_UNTIL(15000, all_healthy(daemon, 2) && !goes_to(port, &cluster->nodes[0]));
    struct raw *client = client_open(port);
    cr_assert_neq(node_of(client), cluster->nodes[0].port);
    server_freeze(&cluster->nodes[0]);
    WAIT_UNTIL(10000, strncmp(client_say(client_open(port), "PING"), "-NOTSENT no healthy replica",
                              27) == 0);
    cr_assert(all_healthy(daemon, 2), "it is not their health that is in doubt");
    EXPECT_SAID(client, "PING", "+PONG");
    server_thaw(&cluster->nodes[0]);
    WAIT_UNTIL(10000, strcmp(client_say(client_open(port), "PING"), "+PONG") == 0);
    cr_assert_neq(node_of(client_open(port)), cluster->nodes[0].port);
}

SCENE(integration_forward_replicas, the_last_one_dies_and_comes_back)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = 1500});
    const struct server *master = &cluster->nodes[0];
    struct server *replica = &cluster->nodes[1];
    uint16_t with, without;
    const struct daemon *falls = forward_start(cluster, &with, ",to=replica", "--replica-fallback",
                                               "master", "--command-timeout", "20s", NULL),
                        *stays = forward_start(cluster, &without, ",to=replica",
                                               "--command-timeout", "600ms", NULL);

    WAIT_UNTIL(15000, all_healthy(falls, 1) && all_healthy(stays, 1));
    struct raw *clients[2] = {client_open(with), client_open(without)};
    cr_assert(node_of(clients[0]) == replica->port && node_of(clients[1]) == replica->port);
    server_kill(replica);
    cr_assert(raw_closes(clients[0], 6000) && raw_closes(clients[1], 6000));
    struct raw *at_master = client_open(with); /* it waits until the replica is known to be gone */
    cr_assert_eq(node_of(at_master), master->port);
    EXPECT_SAID(at_master, "SET k v", "+OK");
    WAIT_UNTIL(10000, all_healthy(stays, 0));
    struct raw *refused = client_open(without);
    const char *words = client_hear(refused, 5000);
    cr_assert(strncmp(words, "-NOTSENT no ", 12) == 0 && strstr(words, "within 600 ms"), "%s",
              words);
    cr_assert(raw_closes(refused, 3000));
    cr_assert_geq(metric_of(stays, CLOSED("no_node")), 1);
    server_start(replica);
    WAIT_UNTIL(20000, all_healthy(falls, 1) && all_healthy(stays, 1));
    cr_assert(goes_to(with, replica) && goes_to(without, replica));
    EXPECT_SAID(at_master, "SET k w", "+OK");
}
