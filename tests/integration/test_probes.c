/* /livez, /healthz, /readyz: what a kubelet asks. */
#include <string.h>

#include "../support/daemon.h"
#include "../support/scene.h"

SCENE_SUITE(integration_probes);

SCENE(integration_probes, before_any_sentinel)
{
    const struct cluster *cluster =
        cluster_prepare(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);

    cr_assert_eq(status_of(daemon, "/livez"), 200, "looks at no Redis and no Sentinel");
    cr_assert_eq(status_of(daemon, "/healthz"), 200);
    cr_assert_eq(status_of(daemon, "/readyz"), 503);
    cr_assert_eq(status_of(daemon, "/readyz/resolved"), 503);
    cr_assert_eq(status_of(daemon, "/readyz/shutdown"), 200);
    cr_assert_eq(status_of(daemon, "/readyz/master"), 503);
    cr_assert_eq(status_of(daemon, "/readyz/sentinel"), 503);
    cr_assert_eq(status_of(daemon, "/readyz/quorum"), 503);
    cr_assert_eq(status_of(daemon, "/readyz?exclude=resolved"), 200);
}

SCENE(integration_probes, readyz_stays_ready_when_the_master_goes)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    static const char *const checks[] = {"/readyz", "/readyz/resolved", "/readyz/shutdown",
                                         "/readyz/master", "/readyz/sentinel"};
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        WAIT_UNTIL(2000, status_of(daemon, checks[i]) == 200);
    }
    WAIT_UNTIL(12000, status_of(daemon, "/readyz/quorum") == 200);
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    cr_assert_eq(status_of(daemon, "/readyz"), 200, "published once since the start");
    cr_assert_eq(status_of(daemon, "/readyz/master"), 503);
    cr_assert_eq(status_of(daemon, "/livez"), 200);
    server_kill(&cluster->sentinels[0]);
    WAIT_UNTIL(6000, status_of(daemon, "/readyz/sentinel") == 503);
    cr_assert_eq(status_of(daemon, "/readyz"), 200);
}

SCENE(integration_probes, verbose_exclude_and_master)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const struct http_answer *verbose = daemon_get(daemon, "/readyz?verbose");
    cr_assert_eq(verbose->status, 200);
    cr_assert(strstr(verbose->body, "[+]resolved ok\n") &&
                  strstr(verbose->body, "[+]shutdown ok\n"),
              "%s", verbose->body);
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    cr_assert(strstr(daemon_get(daemon, "/readyz?verbose")->body, "[-]master"));
    cr_assert_eq(status_of(daemon, "/readyz?master=mymaster"), 200);
    cr_assert_eq(status_of(daemon, "/readyz/master?master=mymaster"), 503);
    cr_assert_eq(status_of(daemon, "/readyz?master=nosuch"), 404);
}

SCENE(integration_probes, ready_when_default_and_all_and_any)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *second = cluster_add_node(cluster, NULL);

    cluster_monitor(cluster, "second", second);
#define WHEN(when) \
    daemon_start(cluster, "--master", "mymaster", "--master", "second", "--ready-when", when, NULL)
    const struct daemon *by_default = WHEN("default"), *any = WHEN("any"), *all = WHEN("all");
    WAIT_UNTIL(4000, status_of(by_default, "/readyz") == 200 && status_of(any, "/readyz") == 200 &&
                         status_of(all, "/readyz") == 200);
    server_kill(second);
    WAIT_UNTIL(2000, status_of(all, "/readyz") == 503);
    WAIT_UNTIL(2000, status_of(any, "/masters/second") == 503);
    cr_assert_eq(status_of(by_default, "/readyz"), 200);
    cr_assert_eq(status_of(any, "/readyz"), 200);
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(2000, status_of(by_default, "/readyz") == 503 && status_of(any, "/readyz") == 503);
}
