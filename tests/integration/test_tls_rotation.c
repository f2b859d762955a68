/* Certificates that change in use: ours, those of Sentinels and Redis, and authorities. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/certificates.h"
#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/writers.h"

#define PATIENT "--command-timeout", "30s"

SCENE_SUITE(integration_tls_rotation);

static double expiry(const struct daemon *daemon, const char *which)
{
    return metric_of(daemon,
                     text("bellwether_certificate_expiry_timestamp_seconds{which=\"%s\"}", which));
}

SCENE(integration_tls_rotation, half_a_pair_changes_nothing)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .client_certificates = true,
                                             .nodes = 1,
                                             .sentinels = 1});
    const char *folder = cluster->spec.certificates;
    const struct certificate next = {
        .name = "next", .issuer = "ca", .names = "IP:127.0.0.1", .ends_s = 100 * 86400};
    struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    certificates_make(folder, &next);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "a certificate expires soon"));
    const double before = expiry(daemon, "redis");
    cr_expect_gt(before, 0);
    WAIT_UNTIL(5000, expiry(daemon, "redis-server") > 0 && expiry(daemon, "sentinel-server") > 0);
    certificates_replace(folder, "next.crt", "good.crt");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_reload_success") == 0);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "does not belong to the certificate"));
    cr_expect_eq(expiry(daemon, "redis"), before);
    HOLDS_FOR(500, says_master(daemon, &cluster->nodes[0]));
    /* once for each side, and again after a minute */
    const size_t said = 2;
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "certificates can't be used") == said);
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates can't be used") == said + 2);
    certificates_replace(folder, "next.key", "good.key");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_reload_success") == 1);
    cr_expect_gt(expiry(daemon, "redis"), before);
    cr_expect_gt(expiry(daemon, "sentinel"), before);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "certificates can be used again"));
}

/* Two servers' certificates that end soon, seen by turns. */
SCENE(integration_tls_rotation, an_end_is_told_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = cluster_certificates(), .nodes = 1, .sentinels = 1});
    const struct certificate later = {
        .name = "later", .issuer = "ca", .names = "IP:127.0.0.1", .ends_s = 3 * 86400};
    struct daemon *daemon = daemon_start(cluster, NULL);

    certificates_make(cluster->spec.certificates, &later);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "a certificate expires soon") == 2);
    for (int i = 0; i < 2; i++) {
        double seen = expiry(daemon, "redis-server");

        cluster_show(cluster, &cluster->nodes[0], i == 0 ? "later" : "good");
        (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
        WAIT_UNTIL(10000, expiry(daemon, "redis-server") != seen);
    }
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "a certificate expires soon") == 3);
}

/* The authority, what the nodes show and what we show, one after the other. */
SCENE(integration_tls_rotation, all_is_rotated_in_traffic)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .client_certificates = true,
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const char *folder = cluster->spec.certificates;
    const struct certificate ca2 = {.name = "ca2", .authority = true, .common_name = "Second CA"};
    const struct certificate second = {
        .name = "second", .issuer = "ca2", .names = "IP:127.0.0.1", .rsa = true};

    certificates_make(folder, &ca2);
    certificates_make(folder, &second);
    certificates_join(folder, "ca.crt", "ca2.crt", "both.crt");
    certificates_replace(folder, "ca.crt", "trusted");
    struct daemon *daemon =
        commands_start(cluster, PATIENT, "--tls-ca", cluster_certificate(cluster, "trusted"), NULL);
    struct writers *writers = writers_begin(daemon);
    /* all trust both */
    certificates_replace(folder, "both.crt", "trusted");
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates changed") == 2);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], "CONFIG SET tls-ca-cert-file %s",
                                   cluster_certificate(cluster, "both.crt")),
                         "OK");
    }
    /* ours, then theirs; the master is made anew of a replica, so that all connections are new */
    certificates_replace(folder, "second.crt", "good.crt");
    certificates_replace(folder, "second.key", "good.key");
    WAIT_UNTIL(5000, count_in(daemon_log(daemon), "certificates changed") >= 4 ||
                         strstr(daemon_log(daemon), "used again"));
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        cluster_show(cluster, &cluster->nodes[i], "second");
    }
    writers_go_on(writers);
    (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
    writers_go_on(writers);
    writers_end(writers);
    writers_check(writers, &cluster->nodes[0], "rotation", true);
    cr_expect_eq(writers_increments(writers)->not_sent + writers_increments(writers)->other, 0);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}

/* The same where one side speaks TLS; Sentinels read their files when they start. */
static void rotate_one_side(enum cluster_tls tls)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = tls,
                                             .certificates = cluster_certificates(),
                                             .client_certificates = true,
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const char *folder = cluster->spec.certificates;
    const struct certificate ca2 = {.name = "ca2", .authority = true, .common_name = "Second CA"};
    const struct certificate second = {.name = "second", .issuer = "ca2", .names = "IP:127.0.0.1"};
    struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = writers_begin(daemon);

    certificates_make(folder, &ca2);
    certificates_make(folder, &second);
    certificates_join(folder, "ca.crt", "ca2.crt", "both.crt");
    certificates_replace(folder, "both.crt", "ca.crt");
    WAIT_UNTIL(5000, strstr(daemon_log(daemon), "certificates changed"));
    for (size_t i = 0; i < cluster->n_nodes && tls == CLUSTER_TLS_REDIS; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], "CONFIG SET tls-ca-cert-file %s",
                                   cluster_certificate(cluster, "both.crt")),
                         "OK");
    }
    for (int both = 0; both < 2; both++) { /* they trust the second, then they show it */
        for (size_t i = 0; i < cluster->n_sentinels; i++) {
            server_kill(&cluster->sentinels[i]);
            server_start(&cluster->sentinels[i]);
            WAIT_UNTIL(5000, reachable_sentinels(daemon) == 3);
        }
        certificates_replace(folder, "second.crt", "good.crt");
        certificates_replace(folder, "second.key", "good.key");
    }
    for (size_t i = 0; i < cluster->n_nodes && tls == CLUSTER_TLS_REDIS; i++) {
        cluster_show(cluster, &cluster->nodes[i], "second");
    }
    (void)redis_say(&cluster->nodes[0], "CLIENT KILL TYPE normal");
    writers_end(writers);
    writers_check(writers, &cluster->nodes[0], "rotation of one side", true);
    cr_expect_eq(writers_increments(writers)->not_sent + writers_increments(writers)->other, 0);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}

SCENE(integration_tls_rotation, redis_alone_is_rotated_in_traffic)
{
    rotate_one_side(CLUSTER_TLS_REDIS);
}

SCENE(integration_tls_rotation, sentinels_alone_are_rotated_in_traffic)
{
    rotate_one_side(CLUSTER_TLS_SENTINELS);
}

/* ---- a failover meanwhile ---- */

/* What the daemon shows to all and to its callers, and what the nodes that live show. */
static void turn_all(struct cluster *cluster, const char *name)
{
    certificates_replace(cluster->spec.certificates, text("%s.crt", name), "good.crt");
    certificates_replace(cluster->spec.certificates, text("%s.key", name), "good.key");
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (server_lives(&cluster->nodes[i])) {
            cluster_show(cluster, &cluster->nodes[i], name);
        }
    }
}

/* Half of a pair may have been seen first. */
static bool taken(const struct daemon *daemon, const char *what)
{
    return strstr(daemon_log(daemon), text("%shanged", what)) ||
           strstr(daemon_log(daemon), text("%san be used again", what));
}

/* A caller that stays, and one that comes. */
static void expect_served(struct raw *kept, uint16_t port)
{
    struct raw *fresh = raw_open(port);

    cr_assert(fresh, "no handshake");
    cr_assert_eq(raw_get(fresh, "/livez", 5000)->status, 200);
    cr_assert_eq(raw_get(kept, "/livez", 5000)->status, 200);
    raw_close(fresh);
}

SCENE(integration_tls_rotation, kill_nine_while_all_certificates_change)
{
    const char *folder = cluster_certificates();
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = CLUSTER_TLS, .certificates = folder, .client_certificates = true});
    struct server *old = &cluster->nodes[0], *now = old;
    const uint16_t port = port_reserve();
    struct daemon *daemon = commands_start(cluster, PATIENT, "--workers", "2", "--listen",
                                           text("127.0.0.1:%u,tls", port), "--http-cert",
                                           cluster_certificate(cluster, "good.crt"), "--http-key",
                                           cluster_certificate(cluster, "good.key"), NULL);

    certificates_make(folder,
                      &(struct certificate){
                          .name = "second", .issuer = "ca", .names = "IP:127.0.0.1", .rsa = true});
    certificates_replace(folder, "good.crt", "first.crt");
    certificates_replace(folder, "good.key", "first.key");
    http_secure(port, folder);
    struct raw *kept = raw_open(port);
    cr_assert(kept);
    struct writers *writers = writers_begin(daemon);
    turn_all(cluster, "second");
    WAIT_UNTIL(10000,
               taken(daemon, "msg=\"certificates c") && taken(daemon, "msg=\"certificate c"));
    writers_go_on(writers);
    server_kill(old);
    const int64_t end = now_ms() + patient(30000);
    for (int turn = 0; !now || now == old; turn++) {
        cr_assert_lt(now_ms(), end, "no failover:\n%s", daemon_log(daemon));
        turn_all(cluster, turn % 2 == 0 ? "first" : "second");
        expect_served(kept, port);
        nap_ms(100);
        now = cluster_master(cluster);
    }
    writers_go_on(writers);
    turn_all(cluster, "first");
    server_start(old);
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    expect_served(kept, port);
    writers_end(writers);
    writers_check(writers, now, "kill -9 while certificates change", false);
    EXPECT_MASTER(daemon, now, 2000);
    WAIT_UNTIL(10000, metric_of(daemon, "bellwether_reload_success") == 1);
    WAIT_UNTIL(5000, reachable_sentinels(daemon) == 3);
}
