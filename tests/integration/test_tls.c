/*
 * TLS to Sentinels and Redis with real ones: all of them, or one side only; failovers, rotation,
 * and certificates that are not good.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/certificates.h"
#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/scene.h"
#include "../support/writers.h"

#define PATIENT "--command-timeout", "30s"
enum { SOME = 200, SOON_MS = 20000 };

SCENE_SUITE(integration_tls);

static const char *make_certificates(void)
{
    const char *folder = text("%s/tls", scene_folder());

    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make_usual(folder);
    return folder;
}

static struct cluster *start_cluster(enum cluster_tls tls)
{
    return cluster_start(&(struct cluster_spec){.tls = tls, .certificates = make_certificates()});
}

/* ---- who speaks what ---- */

static json_t *sentinel_rows(const struct daemon *daemon)
{
    return json_object_get(daemon_get(daemon, "/sentinels")->json, "sentinels");
}

/* How many of /sentinels are there, are reachable, and are spoken to in TLS. */
static void expect_rows(const struct daemon *daemon, size_t n, bool tls)
{
    json_t *rows, *row;
    size_t i;

    WAIT_UNTIL(5000, json_array_size(sentinel_rows(daemon)) == n);
    rows = sentinel_rows(daemon);
    json_array_foreach(rows, i, row)
    {
        cr_expect(json_is_true(json_object_get(row, "reachable")));
        cr_expect_eq(json_is_true(json_object_get(row, "tls")), tls);
        cr_expect(json_is_null(json_object_get(row, "tls_why")));
        cr_expect_str_eq(json_string_value(json_object_get(row, "source")), "configured");
    }
}

static void expect_url(const struct daemon *daemon, const char *scheme, const struct server *node)
{
    cr_expect_str_eq(daemon_get(daemon, "/master?format=url")->body,
                     text("%s://%s\n", scheme, node->address));
}

static void try_commands(const struct daemon *daemon)
{
    char *large = scene_alloc(300001);

    memset(large, 'x', 300000);
    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    EXPECT_RESULT(command_run(daemon, "SET", "large", large, NULL), "'OK'");
    EXPECT_RESULT(command_run(daemon, "STRLEN", "large", NULL), "300000");
    cr_expect_eq(strlen(command_result(command_run(daemon, "GET", "large", NULL))), 300002);
}

SCENE(integration_tls, all)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS);
    const struct daemon *daemon = commands_start(cluster, NULL);

    expect_rows(daemon, 3, true);
    expect_url(daemon, "rediss", &cluster->nodes[0]);
    try_commands(daemon);
    fprintf(stderr, "%s: RssAnon %ld kB\n", scene_test_name(),
            daemon_memory_kb(daemon, "RssAnon:"));
}

SCENE(integration_tls, redis_only)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_REDIS);
    const struct daemon *daemon = commands_start(cluster, NULL);

    expect_rows(daemon, 3, false);
    expect_url(daemon, "rediss", &cluster->nodes[0]);
    try_commands(daemon);
}

SCENE(integration_tls, sentinels_only)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_SENTINELS);
    const struct daemon *daemon = commands_start(cluster, NULL);

    expect_rows(daemon, 3, true);
    expect_url(daemon, "redis", &cluster->nodes[0]);
    try_commands(daemon);
}

/* ---- failovers ---- */

static struct writers *begin(const struct daemon *daemon)
{
    struct writers *writers = writers_start(&(struct writers_spec){.daemon = daemon});

    writers_wait(writers, SOME, SOON_MS);
    return writers;
}

static void end(struct writers *writers)
{
    writers_wait(writers, SOME, SOON_MS);
    writers_stop(writers);
}

static void fail_over_by_hand(enum cluster_tls tls, const char *what)
{
    struct cluster *cluster = start_cluster(tls);
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = begin(daemon);
    struct server *old = &cluster->nodes[0];

    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    end(writers);
    writers_check(writers, now, what, true);
}

SCENE(integration_tls, failover_by_hand_all)
{
    fail_over_by_hand(CLUSTER_TLS, "SENTINEL FAILOVER, TLS");
}

SCENE(integration_tls, failover_by_hand_redis_only)
{
    fail_over_by_hand(CLUSTER_TLS_REDIS, "SENTINEL FAILOVER, TLS to Redis");
}

SCENE(integration_tls, failover_by_hand_sentinels_only)
{
    fail_over_by_hand(CLUSTER_TLS_SENTINELS, "SENTINEL FAILOVER, TLS to Sentinels");
}

static void kill_nine(enum cluster_tls tls, const char *what)
{
    struct cluster *cluster = start_cluster(tls);
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = begin(daemon);
    struct server *old = &cluster->nodes[0];

    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    end(writers);
    writers_check(writers, now, what, false);
}

SCENE(integration_tls, kill_nine_all)
{
    kill_nine(CLUSTER_TLS, "kill -9, TLS");
}

SCENE(integration_tls, kill_nine_redis_only)
{
    kill_nine(CLUSTER_TLS_REDIS, "kill -9, TLS to Redis");
}

SCENE(integration_tls, kill_nine_sentinels_only)
{
    kill_nine(CLUSTER_TLS_SENTINELS, "kill -9, TLS to Sentinels");
}
