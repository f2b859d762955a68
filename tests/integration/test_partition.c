/* Partitions in network namespaces: one Sentinel is left with the old master. */
#include <string.h>

#include "../support/daemon.h"
#include "../support/network.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_partition);

/* Left: node 0 (the master) and Sentinel 0. Right: nodes 1 and 2, Sentinels 1 and 2. */
static struct cluster *split_cluster(const struct network *network)
{
    const pid_t node_netns[] = {network->left, network->right, network->right};
    const char *const ips[] = {LEFT_IP, RIGHT_IP, RIGHT_IP};
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){
        .node_netns = node_netns, .sentinel_netns = node_netns, .node_ip = ips, .sentinel_ip = ips});
    cluster_run(cluster);
    return cluster;
}

/* The node that the Sentinels on the right name; NULL while they differ. */
static struct server *right_master(const struct cluster *cluster)
{
    const char *said = sentinel_says(&cluster->sentinels[1], "mymaster");
    if (strcmp(said, sentinel_says(&cluster->sentinels[2], "mymaster")) != 0)
        return NULL;
    for (size_t i = 1; i < cluster->n_nodes; i++)
        if (strcmp(said, cluster->nodes[i].address) == 0)
            return (struct server *)(uintptr_t)&cluster->nodes[i];
    return NULL;
}

static struct daemon *daemon_in(const struct cluster *cluster, pid_t netns)
{
    return daemon_launch(&(struct daemon_spec){.cluster = cluster, .netns_of = netns, .unix_socket = true});
}

SCENE(integration_partition, daemon_that_reaches_both_sides)
{
    const struct network *network = network_start();
    struct cluster *cluster = split_cluster(network);
    const struct daemon *daemon = daemon_in(cluster, network->middle);
    struct server *old = &cluster->nodes[0], *new_master = NULL;
    EXPECT_MASTER(daemon, old, 4000);
    struct trail *trail = trail_start(daemon, cluster);
    network_cut(network);
    for (const int64_t end = now_ms() + patient(20000); (new_master = right_master(cluster)) == NULL;) {
        cr_assert(now_ms() < end, "the right side did not fail over");
        trail_look(trail);
    }
    trail_until(trail, new_master, 2000);
    trail_for(trail, 2000); /* the left Sentinel and the old master still say otherwise, with a lower epoch */
    cr_assert_str_eq(sentinel_says(&cluster->sentinels[0], "mymaster"), old->address);
    trail_check(trail, old, new_master);
    cr_assert(says_reason(daemon, "disputed"), "%s", http_text(daemon_get(daemon, "/master")));
    cr_assert(http_true(daemon_get(daemon, "/master"), "majority"));
    network_heal(network);
    WAIT_UNTIL(20000, (trail_look(trail),
                       strcmp(sentinel_says(&cluster->sentinels[0], "mymaster"), new_master->address) == 0));
    trail_for(trail, 1500);
    trail_check(trail, old, new_master);
    EXPECT_REASON(daemon, NULL, 12000);
}

SCENE(integration_partition, daemon_left_with_the_old_master_and_a_minority)
{
    const struct network *network = network_start();
    struct cluster *cluster = split_cluster(network);
    const struct daemon *daemon = daemon_in(cluster, network->left);
    struct server *old = &cluster->nodes[0], *new_master = NULL;
    EXPECT_MASTER(daemon, old, 4000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    struct trail *trail = trail_start(daemon, cluster);
    network_cut(network);
    for (const int64_t end = now_ms() + patient(20000); (new_master = right_master(cluster)) == NULL;) {
        cr_assert(now_ms() < end, "the right side did not fail over");
        trail_look(trail);
    }
    WAIT_UNTIL(6000, !http_true(daemon_get(daemon, "/master"), "majority"));
    trail_for(trail, 1000);
    cr_assert_str_eq(trail->said, "200 A", "from inside it looks like a dead majority: %s", trail->said);
    cr_assert_eq(status_of(daemon, "/master?require=majority"), 503);
    network_heal(network);
    trail_until(trail, new_master, 15000);
    trail_for(trail, 2000);
    trail_check(trail, old, new_master);
}

SCENE(integration_partition, daemon_with_the_majority)
{
    const struct network *network = network_start();
    struct cluster *cluster = split_cluster(network);
    const struct daemon *daemon = daemon_in(cluster, network->right);
    struct server *old = &cluster->nodes[0], *new_master = NULL;
    EXPECT_MASTER(daemon, old, 4000);
    struct trail *trail = trail_start(daemon, cluster);
    network_cut(network);
    for (const int64_t end = now_ms() + patient(20000); (new_master = right_master(cluster)) == NULL;) {
        cr_assert(now_ms() < end, "the right side did not fail over");
        trail_look(trail);
    }
    trail_until(trail, new_master, 2000);
    network_heal(network);
    WAIT_UNTIL(20000, (trail_look(trail),
                       strcmp(sentinel_says(&cluster->sentinels[0], "mymaster"), new_master->address) == 0));
    trail_for(trail, 1500);
    trail_check(trail, old, new_master);
    EXPECT_REASON(daemon, NULL, 12000);
}
