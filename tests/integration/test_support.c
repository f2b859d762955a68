/* The support library against Redis alone: when this fails, nothing else here means much. */
#include <signal.h>

#include "../support/cluster.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_support);

SCENE(integration_support, ports_are_distinct)
{
    const uint16_t one = port_reserve(), other = port_reserve();

    cr_assert_neq(one, other);
}

SCENE(integration_support, cluster_starts_and_fails_over)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct server *old = cluster_master(cluster);

    cr_assert_eq(old, &cluster->nodes[0]);
    server_kill(old);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    cr_assert(strstr(redis_say(new_master, "ROLE"), "master"));
}

SCENE(integration_support, manual_failover_and_settle_again)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});

    for (int i = 0; i < 2; i++) {
        struct server *old = cluster_master(cluster);

        cluster_failover(cluster);
        (void)cluster_wait_switch(cluster, old, 30000);
        cluster_settle(cluster);
    }
}
