/* Partitions in network namespaces: one Sentinel is left with the old master. */
#include <string.h>

#include "../support/daemon.h"
#include "../support/network.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_partition);

/* Left: node 0 (the master) and Sentinel 0. Right: nodes 1 and 2, Sentinels 1 and 2. */
static struct cluster *split_cluster_with(const struct network *network, struct cluster_spec spec)
{
    const pid_t node_netns[] = {network->left, network->right, network->right};
    const char *const ips[] = {LEFT_IP, RIGHT_IP, RIGHT_IP};

    spec.node_netns = spec.sentinel_netns = node_netns;
    spec.node_ip = spec.sentinel_ip = ips;
    return cluster_start(&spec);
}

static struct cluster *split_cluster(const struct network *network)
{
    return split_cluster_with(network, (struct cluster_spec){0});
}

/* The node that the Sentinels on the right name; NULL while they differ. */
static struct server *right_master(const struct cluster *cluster)
{
    const char *said = sentinel_says(&cluster->sentinels[1], "mymaster");

    if (strcmp(said, sentinel_says(&cluster->sentinels[2], "mymaster")) != 0) {
        return NULL;
    }
    for (size_t i = 1; i < cluster->n_nodes; i++) {
        if (strcmp(said, cluster->nodes[i].address) == 0) {
            return (struct server *)(uintptr_t)&cluster->nodes[i];
        }
    }
    return NULL;
}

static struct daemon *daemon_in(const struct cluster *cluster, pid_t netns)
{
    return daemon_launch(
        &(struct daemon_spec){.cluster = cluster, .netns_of = netns, .unix_socket = true});
}

/* @return whom the right side has made the master. */
static struct server *cut(const struct network *network, const struct cluster *cluster,
                          struct trail *trail)
{
    struct server *new_master;

    network_cut(network);
    for (const int64_t end = now_ms() + patient(20000); !(new_master = right_master(cluster));) {
        cr_assert(now_ms() < end, "the right side did not fail over");
        trail_look(trail);
    }
    return new_master;
}

/* The left Sentinel is told of it in the end. */
static void heal(const struct network *network, const struct cluster *cluster, struct trail *trail,
                 const struct server *new_master)
{
    network_heal(network);
    WAIT_UNTIL(20000, (trail_look(trail), strcmp(sentinel_says(&cluster->sentinels[0], "mymaster"),
                                                 new_master->address) == 0));
    trail_for(trail, 1500);
}

SCENE(integration_partition, daemon_that_reaches_both_sides)
{
    const struct network *network = network_start();
    struct cluster *cluster = split_cluster(network);
    const struct daemon *daemon = daemon_in(cluster, network->middle);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    struct trail *trail = trail_start(daemon, cluster);
    struct server *new_master = cut(network, cluster, trail);
    trail_until(trail, new_master, 2000);
    /* the left Sentinel and the old master still say otherwise, with a lower epoch */
    trail_for(trail, 2000);
    cr_assert_str_eq(sentinel_says(&cluster->sentinels[0], "mymaster"), old->address);
    trail_check(trail, old, new_master);
    HOLDS_NOW(says_reason(daemon, "disputed"));
    HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
    heal(network, cluster, trail, new_master);
    trail_check(trail, old, new_master);
    EXPECT_REASON(daemon, NULL, 12000);
}

SCENE(integration_partition, daemon_left_with_the_old_master_and_a_minority)
{
    const struct network *network = network_start();
    struct cluster *cluster = split_cluster(network);
    const struct daemon *daemon = daemon_in(cluster, network->left);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    struct trail *trail = trail_start(daemon, cluster);
    struct server *new_master = cut(network, cluster, trail);
    WAIT_UNTIL(6000, !http_true(daemon_get(daemon, "/master"), "majority"));
    trail_for(trail, 1000);
    cr_assert_str_eq(trail->said, "200 A", "from inside it looks like a dead majority: %s",
                     trail->said);
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
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    struct trail *trail = trail_start(daemon, cluster);
    struct server *new_master = cut(network, cluster, trail);
    trail_until(trail, new_master, 2000);
    heal(network, cluster, trail, new_master);
    trail_check(trail, old, new_master);
    EXPECT_REASON(daemon, NULL, 12000);
}

/* ---- /self, with a daemon beside each node, as HAProxy would ask them ---- */

static struct daemon *daemon_beside(const struct cluster *cluster, const struct server *node)
{
    const char *const flags[] = {"--self", node->address, NULL};

    return daemon_launch(&(struct daemon_spec){
        .cluster = cluster, .flags = flags, .netns_of = node->netns_of, .unix_socket = true});
}

/*
 * Look once. The old master's daemon is asked last: whoever says master before still does when the
 * old one is asked.
 */
static int masters_by_self(struct daemon *const beside[3], bool out[3])
{
    int n = 0;

    for (int i = 2; i >= 0; i--) {
        n += out[i] = status_of(beside[i], "/self/master") == 200;
    }
    return n;
}

static void expect_one_at_most(struct daemon *const beside[3], bool out[3])
{
    cr_assert_leq(masters_by_self(beside, out), 1, "two masters: %s, %s, %s\n%s",
                  http_text(daemon_get(beside[0], "/self/master")),
                  http_text(daemon_get(beside[1], "/self/master")),
                  http_text(daemon_get(beside[2], "/self/master")), daemon_log(beside[0]));
}

static bool self_refuses(const struct daemon *daemon, const char *path, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, path);

    return answer->status == 503 && strcmp(http_string(answer, "reason"), reason) == 0;
}

SCENE(integration_partition, self_is_never_master_on_both_sides)
{
    /*
     * A question that is not answered is noticed 1.6 s after the last one that was, at the latest:
     * sooner than Sentinels call a master down, whose down-after-milliseconds is seconds in real
     * life.
     */
    enum { CUT_OFF_MS = 1600, DOWN_AFTER_MS = 2000 };
    const struct network *network = network_start();
    struct cluster *cluster =
        split_cluster_with(network, (struct cluster_spec){.down_after_ms = DOWN_AFTER_MS});
    struct daemon *beside[3];
    bool says[3], cut_off = false, promoted = false;
    for (size_t i = 0; i < 3; i++) {
        beside[i] = daemon_beside(cluster, &cluster->nodes[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        WAIT_UNTIL(15000, http_number(daemon_get(beside[i], "/sentinels"), "agreeing") == 3);
        WAIT_UNTIL(15000, status_of(beside[i], i == 0 ? "/self/master" : "/self/replica") == 200 &&
                              status_of(beside[i], "/self/ready") == 200);
    }
    network_cut(network);
    const int64_t cut_ms = running_ms();
    for (const int64_t end = cut_ms + patient(30000); !promoted; nap_ms(10)) {
        expect_one_at_most(beside, says);
        if (!says[0] && !cut_off) {
            cut_off = true;
            cr_assert_leq(running_ms() - cut_ms, patient(CUT_OFF_MS + 400), "%lld ms",
                          (long long)(running_ms() - cut_ms));
        }
        promoted = says[1] || says[2];
        cr_assert(running_ms() < end, "the right side did not fail over");
    }
    cr_assert(cut_off);
    const size_t promoted_at = says[1] ? 1 : 2, other = says[1] ? 2 : 1;
    /* The old one still is a master to all who ask it there, and nobody may be sent to it. */
    cr_assert(self_refuses(beside[0], "/self/master", "no_majority"), "%s",
              http_text(daemon_get(beside[0], "/self/master")));
    cr_assert(self_refuses(beside[0], "/self/ready", "no_majority"));
    cr_assert_str_eq(http_string(daemon_get(beside[0], "/self"), "role"), "master");
    WAIT_UNTIL(5000, status_of(beside[promoted_at], "/self/ready") == 200);
    for (const int64_t end = now_ms() + 2000; now_ms() < end; nap_ms(10)) {
        expect_one_at_most(beside, says);
        cr_assert(says[promoted_at], "%s",
                  http_text(daemon_get(beside[promoted_at], "/self/master")));
    }
    WAIT_UNTIL(20000, status_of(beside[other], "/self/ready") == 200);
    network_heal(network);
    for (const int64_t end = now_ms() + patient(40000);; nap_ms(10)) {
        expect_one_at_most(beside, says);
        cr_assert(!says[0] && !says[other], "an old one came back");
        if (status_of(beside[0], "/self/replica") == 200 &&
            status_of(beside[0], "/self/ready") == 200) {
            break;
        }
        cr_assert(now_ms() < end, "%s\n%s", http_text(daemon_get(beside[0], "/self")),
                  daemon_log(beside[0]));
    }
    expect_one_at_most(beside, says);
    cr_assert(says[promoted_at]);
    cr_assert_str_eq(http_string(daemon_get(beside[0], "/self"), "role"), "replica");
}
