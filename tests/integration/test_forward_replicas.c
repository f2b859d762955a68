/* A forward to replicas: the healthy ones in turn, and nobody stays with one that is not. */
#include <stdlib.h>
#include <string.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_replicas);

/* The port of the node at the other end. */
static long node_of(struct raw *client)
{
    client_send(client, "CONFIG GET port");
    for (int i = 0; i < 4; i++) {
        (void)client_hear(client, 5000);
    }
    return strtol(client_hear(client, 5000), NULL, 10);
}

static struct cluster *start(const struct daemon **daemon, uint16_t *port, const char *flag,
                             const char *value)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 1500});

    *daemon = forward_start(cluster, port, ",to=replica", flag, value, NULL);
    WAIT_UNTIL(15000, all_healthy(*daemon, 2));
    return cluster;
}

SCENE(integration_forward_replicas, in_turn_until_one_hangs)
{
    enum { CLIENTS = 6 };
    const struct daemon *daemon;
    uint16_t port;
    struct cluster *cluster = start(&daemon, &port, NULL, NULL);
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

SCENE(integration_forward_replicas, one_is_promoted)
{
    const struct daemon *daemon;
    uint16_t port;
    struct cluster *cluster = start(&daemon, &port, NULL, NULL);
    struct raw *clients[2] = {client_open(port), client_open(port)};
    const long nodes[2] = {node_of(clients[0]), node_of(clients[1])};

    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    for (size_t i = 0; i < 2; i++) {
        if (nodes[i] == now->port) {
            cr_assert(raw_closes(clients[i], 10000), "a client of replicas is left on the master");
        }
    }
    EXPECT_MASTER(daemon, now, 5000);
    struct raw *late = client_open(port);
    cr_assert_neq(node_of(late), now->port);
}

SCENE(integration_forward_replicas, none_and_the_master_instead)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    uint16_t port, fallback;
    const struct daemon *daemon =
        forward_start(cluster, &port, ",to=replica", "--command-timeout", "300ms", NULL);
    struct raw *client = client_open(port);

    cr_assert_str_eq(client_hear(client, 5000), "-NOMASTER no healthy replica within 300 ms");
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
