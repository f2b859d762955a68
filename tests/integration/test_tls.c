/*
 * TLS to Sentinels and Redis with real ones: all of them, or one side only; failovers, and
 * certificates that are not good. Those that change are in test_tls_rotation.c.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/certificates.h"
#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/scene.h"
#include "../support/writers.h"

#define PATIENT "--command-timeout", "30s"

SCENE_SUITE(integration_tls);

static struct cluster *start_cluster(enum cluster_tls tls)
{
    return cluster_start(
        &(struct cluster_spec){.tls = tls, .certificates = cluster_certificates()});
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

    WAIT_UNTIL(5000, reachable_sentinels(daemon) == n);
    rows = sentinel_rows(daemon);
    cr_assert_eq(json_array_size(rows), n);
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

/* Certificates that have names only are good where the Sentinels give names. */
SCENE(integration_tls, by_names)
{
    const char *folder = cluster_certificates();
    const struct certificate names = {.name = "good", .issuer = "ca", .names = "DNS:localhost"};

    certificates_make(folder, &names);
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.tls = CLUSTER_TLS, .certificates = folder, .hostnames = true});
    const struct daemon *daemon = commands_start(cluster, NULL);
    expect_rows(daemon, 3, true);
    expect_url(daemon, "rediss", &cluster->nodes[0]);
    try_commands(daemon);
}

SCENE(integration_tls, asked_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = cluster_certificates(), .nodes = 1, .sentinels = 1});
    const char *ca = text("%s/ca.crt", cluster->spec.certificates);
    struct process_result result =
        daemon_run(10000, "--once", "--format", "url", "--sentinel", cluster->sentinels[0].address,
                   "--sentinel-tls", "on", "--redis-tls", "on", "--tls-ca", ca, NULL);

    cr_expect_eq(result.exit_code, 0, "%s", result.err);
    cr_expect_str_eq(result.out, text("rediss://%s\n", cluster->nodes[0].address));
    result = daemon_run(10000, "--once", "--sentinel", cluster->sentinels[0].address,
                        "--sentinel-tls", "on", "--redis-tls", "on", NULL);
    cr_expect_eq(result.exit_code, 3);
    cr_expect(strstr(result.err, "not trusted here"), "%s", result.err);
    result = daemon_run(10000, "--sentinel", "127.0.0.1:1", "--redis-tls", "on", "--tls-ca",
                        "/none", NULL);
    cr_expect_eq(result.exit_code, 2);
    cr_expect_str_eq(result.err, "bellwether: tls-ca (--tls-ca): \"/none\" cannot be read: No such "
                                 "file or directory; takes a file, or a folder of files, of "
                                 "certificates in PEM\n");
}

SCENE(integration_tls, the_node_beside_it)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS);
    const struct daemon *daemon =
        daemon_start(cluster, "--self", text("localhost:%u", cluster->nodes[1].port), NULL);

    WAIT_UNTIL(8000, status_of(daemon, "/self/replica") == 200);
    cr_expect(strstr(daemon_get(daemon, "/self")->body, "\"replica\""));
}

/* ---- failovers ---- */

static void fail_over_by_hand(enum cluster_tls tls, const char *what)
{
    struct cluster *cluster = start_cluster(tls);
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = writers_begin(daemon);
    struct server *old = &cluster->nodes[0];

    const struct server *now = cluster_fail_over_from(cluster, old);
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
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
    struct writers *writers = writers_begin(daemon);
    struct server *old = &cluster->nodes[0];

    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_end(writers);
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

/* ---- certificates that are no good ---- */

static const char *master_detail(const struct daemon *daemon)
{
    const char *detail =
        json_string_value(json_object_get(daemon_get(daemon, "/master")->json, "detail"));

    return detail ? detail : "";
}

static void expect_trouble(const struct daemon *daemon, const char *reason, const char *words)
{
    WAIT_UNTIL(6000, says_reason(daemon, reason) && strstr(master_detail(daemon), words));
}

SCENE(integration_tls, what_a_node_shows_is_checked)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .nodes = 1,
                                             .sentinels = 1,
                                             .down_after_ms = 60000});
    const struct server *node = &cluster->nodes[0];
    struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, node, 5000);
    for (const struct wrong_certificate *wrong = wrong_certificates; wrong->words; wrong++) {
        wrong_certificate_make(cluster->spec.certificates, wrong);
        cluster_show(cluster, node, wrong->made.name);
        (void)redis_say(node, "CLIENT KILL TYPE normal");
        expect_trouble(daemon, "redis_tls", wrong->words);
        cluster_show(cluster, node, "good");
        EXPECT_MASTER(daemon, node, 6000);
    }
    /* with other rules the same are good */
    const struct {
        const char *shows, *flag, *value;
    } good[] = {{"names", "--tls-server-name", "b.example"},
                {"wild", "--redis-tls-server-name", "r1.db.example"},
                {"common", "--tls-verify", "ca"},
                {"old", "--redis-tls-verify", "off"}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        cluster_show(cluster, node, good[i].shows);
        struct daemon *other = daemon_start(cluster, "--sentinel-tls-server-name", "localhost",
                                            good[i].flag, good[i].value, NULL);
        EXPECT_MASTER(other, node, 5000);
    }
}

SCENE(integration_tls, what_a_sentinel_shows_is_checked)
{
    const char *folder = cluster_certificates();
    const struct certificate names = {.name = "names", .issuer = "ca", .names = "DNS:s.example"};

    certificates_make(folder, &names);
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS,
        .certificates = folder,
        .nodes = 1,
        .sentinels = 1,
        .sentinel_conf =
            text("tls-cert-file %s/names.crt\ntls-key-file %s/names.key\n", folder, folder)});
    struct daemon *daemon = daemon_start(cluster, NULL);
    expect_trouble(
        daemon, "sentinel_tls",
        "not for 127.0.0.1: it has names only (s.example); let the Sentinels give names");
    daemon = daemon_start(cluster, "--master", "mymaster", NULL);
    expect_trouble(daemon, "sentinel_tls", "1 of 1 Sentinels fail in TLS");
    daemon = daemon_start(cluster, "--sentinel-tls-server-name", "s.example", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
}

SCENE(integration_tls, a_client_certificate_is_asked_for)
{
    const char *folder = cluster_certificates();
    const struct certificate wrong = {.name = "wrong"};
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                                                   .certificates = folder,
                                                                   .client_certificates = true,
                                                                   .nodes = 1,
                                                                   .sentinels = 1});

    certificates_make(folder, &wrong);
    struct daemon *daemon = daemon_start(cluster, "--tls-cert", "", "--tls-key", "", NULL);
    expect_trouble(daemon, "sentinel_tls", "it asks for a client certificate: set tls-cert");
    daemon = daemon_start(cluster, "--redis-tls-cert", "", "--redis-tls-key", "", NULL);
    expect_trouble(daemon, "redis_tls", "it asks for a client certificate: set tls-cert");
    daemon = daemon_start(cluster, "--redis-tls-cert", text("%s/wrong.crt", folder),
                          "--redis-tls-key", text("%s/wrong.key", folder), NULL);
    expect_trouble(daemon, "redis_tls", "it refuses our certificate (tls-cert)");
    daemon = daemon_start(cluster, NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
}

/* ---- one side speaks TLS and the other does not ---- */

SCENE(integration_tls, plain_meets_tls_and_the_other_way_round)
{
    const char *folder = cluster_certificates();
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = folder, .nodes = 1, .sentinels = 1});
    struct daemon *daemon = daemon_start(cluster, "--sentinel-tls", "off", NULL);

    expect_trouble(daemon, "sentinel_tls", "it answers TLS: set sentinel-tls on");
    daemon = daemon_start(cluster, "--redis-tls", "off", NULL);
    expect_trouble(daemon, "redis_tls", "it answers TLS: set redis-tls on");
    cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *ca = text("%s/ca.crt", folder);
    daemon = daemon_start(cluster, "--tls-ca", ca, "--sentinel-tls", "on", NULL);
    expect_trouble(daemon, "sentinel_tls", "it speaks plain, without TLS");
    daemon = daemon_start(cluster, "--tls-ca", ca, "--redis-tls", "on", NULL);
    expect_trouble(daemon, "redis_tls", "it speaks plain, without TLS");
}
