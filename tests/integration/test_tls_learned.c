/*
 * Sentinels that are learned where one side speaks TLS and the other does not: they are listed by a
 * port that speaks otherwise. What answers TLS is spoken to in TLS from then on.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/certificates.h"
#include "../support/cluster.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_tls_learned);

static struct cluster *start_cluster(enum cluster_tls tls, size_t sentinels)
{
    const char *folder = text("%s/tls", scene_folder());

    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make_usual(folder);
    return cluster_start(
        &(struct cluster_spec){.tls = tls, .certificates = folder, .sentinels = sentinels});
}

static json_t *sentinel_rows(const struct daemon *daemon)
{
    return json_object_get(daemon_get(daemon, "/sentinels")->json, "sentinels");
}

static json_t *row_of(const struct daemon *daemon, const struct server *sentinel)
{
    json_t *row;
    size_t i;

    json_array_foreach(sentinel_rows(daemon), i, row)
    {
        const char *run_id = json_string_value(json_object_get(row, "run_id"));

        if (run_id && strcmp(run_id, sentinel->run_id) == 0) {
            return row;
        }
    }
    return NULL;
}

static struct daemon *start_with_one(const struct cluster *cluster, const char *sentinel_tls,
                                     const char *redis_tls, const char *learn)
{
    const char *const flags[] = {"--sentinel",
                                 cluster->sentinels[0].address,
                                 "--tls-ca",
                                 text("%s/ca.crt", cluster->spec.certificates),
                                 "--sentinel-tls",
                                 sentinel_tls,
                                 "--redis-tls",
                                 redis_tls,
                                 "--learn-sentinels",
                                 learn,
                                 NULL};

    return daemon_launch(&(struct daemon_spec){.flags = flags});
}

SCENE(integration_tls_learned, those_that_answer_tls_are_spoken_to_so)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_REDIS, 3);
    const struct daemon *daemon = start_with_one(cluster, "off", "on", "on");

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(5000, json_array_size(sentinel_rows(daemon)) == 3);
    for (size_t i = 1; i < 3; i++) {
        WAIT_UNTIL(5000, json_is_true(
                             json_object_get(row_of(daemon, &cluster->sentinels[i]), "reachable")));
        json_t *row = row_of(daemon, &cluster->sentinels[i]);
        cr_expect(json_is_true(json_object_get(row, "tls")));
        cr_expect(json_is_string(json_object_get(row, "tls_why")));
    }
    daemon = start_with_one(cluster, "off", "on", "off");
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    HOLDS_FOR(1000, json_array_size(sentinel_rows(daemon)) == 1);
    cr_expect_eq(
        json_integer_value(json_object_get(daemon_get(daemon, "/sentinels")->json, "known")), 1);
}

SCENE(integration_tls_learned, those_of_tls_are_never_spoken_to_in_plain)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_SENTINELS, 3);
    const struct daemon *daemon = start_with_one(cluster, "on", "off", "on");

    /* they count, and can't be heard: no majority */
    WAIT_UNTIL(8000, json_array_size(sentinel_rows(daemon)) == 3 &&
                         strstr(daemon_get(daemon, "/sentinels")->body, "it speaks plain"));
    for (size_t i = 1; i < 3; i++) {
        json_t *row = row_of(daemon, &cluster->sentinels[i]);

        cr_expect(json_is_false(json_object_get(row, "reachable")));
        cr_expect(json_is_true(json_object_get(row, "tls")));
    }
    daemon = start_with_one(cluster, "on", "off", "off");
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    cr_expect(
        json_is_true(json_object_get(daemon_get(daemon, "/masters/mymaster")->json, "majority")));
}

/* ---- options in a section ---- */

static void expect_learned_in_tls(const struct daemon *daemon, const struct cluster *cluster)
{
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    for (size_t i = 1; i < 3; i++) {
        WAIT_UNTIL(8000, json_is_true(
                             json_object_get(row_of(daemon, &cluster->sentinels[i]), "reachable")));
        cr_expect(json_is_true(json_object_get(row_of(daemon, &cluster->sentinels[i]), "tls")));
    }
    cr_expect(
        json_is_true(json_object_get(daemon_get(daemon, "/masters/mymaster")->json, "majority")));
}

/* The Sentinels are everybody's, TLS to Redis is this master's. */
SCENE(integration_tls_learned, of_a_master_that_alone_has_tls)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_REDIS, 3);
    const char *file = text("%s/bellwether.conf", scene_folder()),
               *ca = text("%s/ca.crt", cluster->spec.certificates);

    file_write(file, text("sentinel = %s\nsentinel-tls-ca = %s\n[master mymaster]\n"
                          "redis-tls = on\ntls-ca = %s\n",
                          cluster->sentinels[0].address, ca, ca));
    expect_learned_in_tls(daemon_start(NULL, "--config", file, NULL), cluster);
}

/* ---- one that moves ---- */

SCENE(integration_tls_learned, one_that_moves_is_not_spoken_to_in_plain_again)
{
    struct cluster *cluster = start_cluster(CLUSTER_TLS_REDIS, 1);
    struct server *real = &cluster->sentinels[0];
    struct fake_words elsewhere = {.master_name = "mymaster",
                                   .master_host = "127.0.0.1",
                                   .master_port = text("%u", cluster->nodes[0].port)};
    struct fake_words says = elsewhere;
    struct fake_other other = {.run_id = real->run_id, .port = text("%u", real->listed_port)};

    (void)snprintf(elsewhere.run_id, sizeof(elsewhere.run_id), "%s", real->run_id);
    (void)snprintf(says.run_id, sizeof(says.run_id), "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed");
    says.others = &other;
    says.n_others = 1;
    struct fake *plain = fake_start(FAKE_SENTINEL, &elsewhere);
    struct fake *lister = fake_start(FAKE_SENTINEL, &says);
    const struct daemon *daemon =
        daemon_start(NULL, "--sentinel", fake_address(lister), "--redis-tls", "on", "--tls-ca",
                     text("%s/ca.crt", cluster->spec.certificates), NULL);

    WAIT_UNTIL(8000, json_is_true(json_object_get(row_of(daemon, real), "reachable")));
    cr_assert(json_is_true(json_object_get(row_of(daemon, real), "tls")));
    server_kill(real);
    const struct fake_other moved = {.run_id = real->run_id, .port = text("%u", fake_port(plain))};
    says.others = &moved;
    fake_say(lister, &says);
    fake_publish(lister, "+sentinel-address-switch",
                 text("master mymaster 127.0.0.1 %u ip 127.0.0.1 port %u for %s",
                      cluster->nodes[0].port, fake_port(plain), real->run_id));
    WAIT_UNTIL(20000, strstr(daemon_get(daemon, "/sentinels")->body, "it speaks plain"));
    json_t *row = row_of(daemon, real);
    cr_expect_str_eq(json_string_value(json_object_get(row, "address")), fake_address(plain));
    cr_expect(json_is_true(json_object_get(row, "tls")));
    cr_expect(json_is_string(json_object_get(row, "tls_why")));
    cr_expect_gt(fake_accepted(plain), 0);
    cr_expect_eq(fake_heard(plain, "HELLO"), 0, "no password goes there in plain");
}
