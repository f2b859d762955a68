/*
 * TLS to Sentinels and Redis with real ones: all of them, or one side only; failovers, rotation,
 * and certificates that are not good.
 */
#include <signal.h>
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

static size_t reachable_sentinels(const struct daemon *daemon)
{
    json_t *row;
    size_t i, n = 0;

    json_array_foreach(sentinel_rows(daemon), i, row)
    {
        n += json_is_true(json_object_get(row, "reachable"));
    }
    return n;
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
    const char *folder = make_certificates();
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
        .tls = CLUSTER_TLS, .certificates = make_certificates(), .nodes = 1, .sentinels = 1});
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

/* ---- certificates that change ---- */

static const char *certificate_file(const struct cluster *cluster, const char *name)
{
    return text("%s/%s", cluster->spec.certificates, name);
}

/* What this node shows from its next connection on. */
static void show_certificate(const struct cluster *cluster, const struct server *node,
                             const char *name)
{
    cr_assert_str_eq(redis_say(node, "CONFIG SET tls-cert-file %s tls-key-file %s",
                               certificate_file(cluster, text("%s.crt", name)),
                               certificate_file(cluster, text("%s.key", name))),
                     "OK");
}

static double expiry(const struct daemon *daemon, const char *which)
{
    return metric_of(daemon,
                     text("bellwether_certificate_expiry_timestamp_seconds{which=\"%s\"}", which));
}

SCENE(integration_tls, half_a_pair_changes_nothing)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = make_certificates(),
                                             .client_certificates = true,
                                             .nodes = 1,
                                             .sentinels = 1});
    const char *folder = cluster->spec.certificates;
    const struct certificate next = {
        .name = "next", .issuer = "ca", .names = "IP:127.0.0.1", .ends_s = 100 * 86400};
    struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    certificates_make(folder, &next);
    cr_expect(strstr(daemon_log(daemon), "a certificate expires soon"));
    const double before = expiry(daemon, "redis");
    cr_expect_gt(before, 0);
    WAIT_UNTIL(5000, expiry(daemon, "redis-server") > 0 && expiry(daemon, "sentinel-server") > 0);
    certificates_replace(folder, "next.crt", "good.crt");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_reload_success") == 0);
    cr_expect(strstr(daemon_log(daemon), "does not belong to the certificate"));
    cr_expect_eq(expiry(daemon, "redis"), before);
    HOLDS_FOR(500, says_master(daemon, &cluster->nodes[0]));
    const size_t said = count_in(daemon_log(daemon), "certificates can't be used");
    cr_expect_eq(said, 2, "once for each side, and again after a minute");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates can't be used") == said + 2);
    certificates_replace(folder, "next.key", "good.key");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_reload_success") == 1);
    cr_expect_gt(expiry(daemon, "redis"), before);
    cr_expect_gt(expiry(daemon, "sentinel"), before);
    cr_expect(strstr(daemon_log(daemon), "certificates can be used again"));
}

/* Two servers' certificates that end soon, seen by turns. */
SCENE(integration_tls, an_end_is_told_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = make_certificates(), .nodes = 1, .sentinels = 1});
    const struct certificate later = {
        .name = "later", .issuer = "ca", .names = "IP:127.0.0.1", .ends_s = 3 * 86400};
    struct daemon *daemon = daemon_start(cluster, NULL);

    certificates_make(cluster->spec.certificates, &later);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "a certificate expires soon") == 2);
    for (int i = 0; i < 2; i++) {
        double seen = expiry(daemon, "redis-server");

        show_certificate(cluster, &cluster->nodes[0], i == 0 ? "later" : "good");
        (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
        WAIT_UNTIL(10000, expiry(daemon, "redis-server") != seen);
    }
    cr_expect_eq(count_in(daemon_log(daemon), "a certificate expires soon"), 3);
}

/* The authority, what the nodes show and what we show, one after the other. */
SCENE(integration_tls, all_is_rotated_in_traffic)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = make_certificates(), .client_certificates = true});
    const char *folder = cluster->spec.certificates;
    const struct certificate ca2 = {.name = "ca2", .authority = true, .common_name = "Second CA"};
    const struct certificate second = {
        .name = "second", .issuer = "ca2", .names = "IP:127.0.0.1", .rsa = true};

    certificates_make(folder, &ca2);
    certificates_make(folder, &second);
    certificates_join(folder, "ca.crt", "ca2.crt", "both.crt");
    certificates_replace(folder, "ca.crt", "trusted");
    struct daemon *daemon =
        commands_start(cluster, PATIENT, "--tls-ca", certificate_file(cluster, "trusted"), NULL);
    struct writers *writers = begin(daemon);
    /* all trust both */
    certificates_replace(folder, "both.crt", "trusted");
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates changed") == 2);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], "CONFIG SET tls-ca-cert-file %s",
                                   certificate_file(cluster, "both.crt")),
                         "OK");
    }
    /* ours, then theirs; the master is made anew of a replica, so that all connections are new */
    certificates_replace(folder, "second.crt", "good.crt");
    certificates_replace(folder, "second.key", "good.key");
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates changed") >= 4 ||
                         strstr(daemon_log(daemon), "used again"));
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        show_certificate(cluster, &cluster->nodes[i], "second");
    }
    writers_wait(writers, SOME, SOON_MS);
    (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
    writers_wait(writers, SOME, SOON_MS);
    end(writers);
    writers_check(writers, &cluster->nodes[0], "rotation", true);
    cr_expect_eq(writers_increments(writers)->not_sent + writers_increments(writers)->other, 0);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}

static size_t n_reachable(const struct daemon *daemon)
{
    json_t *row;
    size_t i, n = 0;

    json_array_foreach(sentinel_rows(daemon), i, row)
    {
        n += json_is_true(json_object_get(row, "reachable"));
    }
    return n;
}

/* The same where one side speaks TLS; Sentinels read their files when they start. */
static void rotate_one_side(enum cluster_tls tls)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = tls, .certificates = make_certificates(), .client_certificates = true});
    const char *folder = cluster->spec.certificates;
    const struct certificate ca2 = {.name = "ca2", .authority = true, .common_name = "Second CA"};
    const struct certificate second = {.name = "second", .issuer = "ca2", .names = "IP:127.0.0.1"};
    struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = begin(daemon);

    certificates_make(folder, &ca2);
    certificates_make(folder, &second);
    certificates_join(folder, "ca.crt", "ca2.crt", "both.crt");
    certificates_replace(folder, "both.crt", "ca.crt");
    WAIT_UNTIL(5000, strstr(daemon_log(daemon), "certificates changed"));
    for (size_t i = 0; i < cluster->n_nodes && tls == CLUSTER_TLS_REDIS; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], "CONFIG SET tls-ca-cert-file %s",
                                   certificate_file(cluster, "both.crt")),
                         "OK");
    }
    for (int both = 0; both < 2; both++) { /* they trust the second, then they show it */
        for (size_t i = 0; i < cluster->n_sentinels; i++) {
            server_kill(&cluster->sentinels[i]);
            server_start(&cluster->sentinels[i]);
            WAIT_UNTIL(5000, n_reachable(daemon) == 3);
        }
        certificates_replace(folder, "second.crt", "good.crt");
        certificates_replace(folder, "second.key", "good.key");
    }
    for (size_t i = 0; i < cluster->n_nodes && tls == CLUSTER_TLS_REDIS; i++) {
        show_certificate(cluster, &cluster->nodes[i], "second");
    }
    (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
    end(writers);
    writers_check(writers, &cluster->nodes[0], "rotation of one side", true);
    cr_expect_eq(writers_increments(writers)->not_sent + writers_increments(writers)->other, 0);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}

SCENE(integration_tls, redis_alone_is_rotated_in_traffic)
{
    rotate_one_side(CLUSTER_TLS_REDIS);
}

SCENE(integration_tls, sentinels_alone_are_rotated_in_traffic)
{
    rotate_one_side(CLUSTER_TLS_SENTINELS);
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
    static const struct {
        struct certificate made;
        const char *words;
    } kinds[] = {
        {{.name = "names", .issuer = "ca", .names = "DNS:a.example,DNS:b.example"},
         "not for 127.0.0.1: it has names only (a.example, b.example); let the Sentinels give names"},
        {{.name = "wild", .issuer = "ca", .names = "DNS:*.db.example"}, "*.db.example"},
        {{.name = "elsewhere", .issuer = "ca", .names = "IP:192.0.2.1"},
         "not for 127.0.0.1 but for 192.0.2.1"},
        {{.name = "common", .issuer = "ca", .common_name = "c.example"}, "c.example"},
        {{.name = "old",
          .issuer = "ca",
          .names = "IP:127.0.0.1",
          .begins_s = -7200,
          .ends_s = -3600},
         "has expired: it was valid until 20"},
        {{.name = "early",
          .issuer = "ca",
          .names = "IP:127.0.0.1",
          .begins_s = 3600,
          .ends_s = 7200},
         "is not valid before 20"},
        {{.name = "self", .names = "IP:127.0.0.1"}, "signed by itself"},
        {{.name = "other", .issuer = "other-ca", .names = "IP:127.0.0.1"},
         "issuer not trusted here: Other CA"},
        {{.name = "client", .issuer = "ca", .names = "IP:127.0.0.1", .usage = "clientAuth"},
         "purpose"},
    };
    const struct certificate other_ca = {
        .name = "other-ca", .authority = true, .common_name = "Other CA"};
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = make_certificates(),
                                             .nodes = 1,
                                             .sentinels = 1,
                                             .down_after_ms = 60000});
    const struct server *node = &cluster->nodes[0];
    struct daemon *daemon = daemon_start(cluster, NULL);

    certificates_make(cluster->spec.certificates, &other_ca);
    EXPECT_MASTER(daemon, node, 5000);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        certificates_make(cluster->spec.certificates, &kinds[i].made);
        show_certificate(cluster, node, kinds[i].made.name);
        (void)redis_say(node, "CLIENT KILL TYPE normal");
        expect_trouble(daemon, "redis_tls", kinds[i].words);
        show_certificate(cluster, node, "good");
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
        show_certificate(cluster, node, good[i].shows);
        struct daemon *other = daemon_start(cluster, "--sentinel-tls-server-name", "localhost",
                                            good[i].flag, good[i].value, NULL);
        EXPECT_MASTER(other, node, 5000);
    }
}

SCENE(integration_tls, what_a_sentinel_shows_is_checked)
{
    const char *folder = make_certificates();
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
    const char *folder = make_certificates();
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
    const char *folder = make_certificates();
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
