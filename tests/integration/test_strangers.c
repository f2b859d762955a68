/*
 * Whom to believe: a Sentinel that lies, one of another deployment, those that are no more. One
 * voice moves nothing to a node that nobody vouches for, and nobody but the known is dialled.
 */
#include <string.h>

#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_strangers);

#define LIAR_ID "feedfacefeedfacefeedfacefeedfacefeedface"

static long long count_of(const struct daemon *daemon, const char *what)
{
    return http_number(daemon_get(daemon, "/sentinels"), what);
}

static bool shown_foreign(const struct daemon *daemon, const char *address)
{
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");

    return http_true(sentinels, text("sentinels.%d.foreign", sentinel_row(sentinels, address)));
}

/* A liar that lists our Sentinels, so that it is one of ours, and at first names our master. */
static struct fake_words good_words(const struct cluster *cluster, struct fake_other *others)
{
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        others[i] = (struct fake_other){.run_id = cluster->sentinels[i].run_id,
                                        .port = text("%u", cluster->sentinels[i].port)};
    }
    return (struct fake_words){.run_id = LIAR_ID,
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", cluster->nodes[0].port),
                               .epoch = 0,
                               .others = others,
                               .n_others = cluster->n_sentinels};
}

SCENE(integration_strangers, one_of_four_moves_nothing_to_a_node_that_it_invented)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct fake_other others[3];
    struct fake_words words = good_words(cluster, others);
    struct fake *evil = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    struct fake *liar = fake_start(FAKE_SENTINEL, &words);
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=for-our-nodes-only", NULL};
    const char *const flags[] = {"--sentinel", fake_address(liar), "--redis-api", "loopback", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .env = env});

    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200 && count_of(daemon, "known") == 4);
    struct trail *trail = trail_start(daemon, cluster);
    words.master_port = text("%u", fake_port(evil));
    words.replica_port = words.master_port;
    words.epoch = 99;
    fake_say(liar, &words);
    EXPECT_REASON(daemon, "disputed", 4000);
    trail_for(trail, 4000);
    cr_assert_str_eq(trail->said, "200 A", "%s\n%s", trail->said, daemon_log(daemon));
    HOLDS_NOW(count_of(daemon, "agreeing") == 3);
    cr_assert(!strstr(daemon_get(daemon, "/replicas")->body, fake_address(evil)) ||
                  strstr(daemon_get(daemon, "/replicas")->body, "not_vouched_for"),
              "%s", daemon_get(daemon, "/replicas")->body);
    cr_assert_eq(fake_accepted(evil), 0, "it was dialled, and given the password");

    /* Nor does it hide or delay a true failover. */
    struct server *now = trail_fail_over(trail, cluster, &cluster->nodes[0]);
    trail_until(trail, now, 1500);
    trail_check(trail, &cluster->nodes[0], now);
    cr_assert_eq(fake_accepted(evil), 0);
}

SCENE(integration_strangers, a_crash_failover_beside_one_that_names_a_listed_replica)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct fake_other others[3];
    struct fake_words words = good_words(cluster, others);

    words.master_port = text("%u", cluster->nodes[2].port);
    words.epoch = 99;
    struct fake *liar = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(liar), NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    struct trail *trail = trail_start(daemon, cluster);
    EXPECT_REASON(daemon, "disputed", 4000);
    server_kill(&cluster->nodes[0]);
    struct server *now = trail_wait_switch(trail, cluster, &cluster->nodes[0]);
    trail_until(trail, now, 2000);
    trail_check(trail, &cluster->nodes[0], now);
}

SCENE(integration_strangers, what_one_lists_is_neither_dialled_nor_known)
{
    enum { MANY = 3000 };
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct fake *stranger = fake_start(FAKE_SILENT, &(struct fake_words){0});
    struct fake_other *others = scene_alloc(sizeof(*others) * MANY);
    struct fake_words words = good_words(cluster, others);
    struct fake *liar = fake_start(FAKE_SENTINEL, &words);
    const char *const env[] = {"BELLWETHER_SENTINEL_PASSWORD=for-the-known-only", NULL};
    const char *const flags[] = {"--sentinel", fake_address(liar), NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .env = env});

    (void)daemon;
    struct daemon *plain = daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    WAIT_UNTIL(5000, status_of(plain, "/master") == 200 && count_of(plain, "known") == 4);
    for (size_t i = 0; i < MANY; i++) {
        others[i] = (struct fake_other){.run_id = text("%040zu", i + 1),
                                        .port = text("%u", fake_port(stranger))};
    }
    words.n_others = MANY;
    fake_say(liar, &words);
    const unsigned asked = fake_heard(liar, "SENTINEL SENTINELS");
    WAIT_UNTIL(15000, fake_heard(liar, "SENTINEL SENTINELS") >= asked + 2);
    HOLDS_FOR(1500, count_of(plain, "known") == 4 && status_of(plain, "/livez") == 200);
    cr_assert_eq(fake_accepted(stranger), 0, "it was dialled, and given the password");
    cr_assert(http_true(daemon_get(plain, "/master?require=majority"), "majority"));
}

SCENE(integration_strangers, another_deployments_sentinel_given_by_mistake)
{
    struct cluster *ours = cluster_start(&(struct cluster_spec){0});
    struct cluster *theirs = cluster_start(&(struct cluster_spec){.nodes = 2});

    cluster_failover(theirs); /* to a higher epoch than ours */
    struct server *their_master = cluster_wait_switch(theirs, &theirs->nodes[0], 30000);
    (void)redis_say(&ours->nodes[0], "SET whose ours");
    (void)redis_say(their_master, "SET whose theirs");
    const char *const flags[] = {"--sentinel",  theirs->sentinels[0].address,
                                 "--redis-api", "loopback",
                                 "--log-level", "warn",
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = ours, .flags = flags});
    EXPECT_MASTER(daemon, &ours->nodes[0], 5000);
    WAIT_UNTIL(5000, shown_foreign(daemon, theirs->sentinels[0].address));
    HOLDS_FOR(3000, says_master(daemon, &ours->nodes[0]) && count_of(daemon, "known") == 3);
    EXPECT_RESULT(command_run(daemon, "GET", "whose", NULL), "'ours'");
    HOLDS_NOW(says_reason(daemon, NULL));
    WAIT_UNTIL(15000, strstr(daemon_log(daemon), "of another deployment") != NULL);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "another deployment") == 1);
    cr_assert(strstr(daemon_get(daemon, "/status?format=text")->body, "foreign"));
    cr_assert_eq((int)metric_of(daemon, "bellwether_foreign_sentinels{master=\"mymaster\"}"), 1);
}

/*
 * A pod's address is given to a Sentinel of another deployment. (Where theirs has the higher epoch,
 * our Sentinels follow it themselves: they greet each other by address and know masters by name.)
 */
SCENE(integration_strangers, a_reused_address_moves_nothing)
{
    struct cluster *ours = cluster_start(&(struct cluster_spec){0});
    struct cluster *theirs = cluster_start(&(struct cluster_spec){.nodes = 2});

    cluster_failover(ours);
    struct server *master = cluster_wait_switch(ours, &ours->nodes[0], 30000);
    const struct daemon *daemon = daemon_start(ours, NULL);
    EXPECT_MASTER(daemon, master, 3000);
    WAIT_UNTIL(5000, count_of(daemon, "known") == 3);
    struct server *gone = &ours->sentinels[2];
    server_kill(gone);
    server_kill(&theirs->sentinels[2]);
    WAIT_UNTIL(5000, count_of(daemon, "reachable") == 2);
    file_write(
        gone->config,
        text(
            "port %u\nbind 127.0.0.1\nprotected-mode no\ndir %s\nunixsocket %s\n"
            "sentinel monitor mymaster 127.0.0.1 %u 2\nsentinel down-after-milliseconds mymaster 1000\n",
            gone->port, gone->folder, gone->socket, theirs->nodes[0].port));
    server_start(gone);
    WAIT_UNTIL(15000, count_of(daemon, "reachable") >= 3);
    HOLDS_FOR(5000,
              says_master(daemon, master) && http_true(daemon_get(daemon, "/master"), "majority"));
}

/* ---- those that are no more ---- */

/* The same place, a new one: another run id, and nothing but the master's address. */
static void replace_sentinel(const struct cluster *cluster, struct server *sentinel, char letter)
{
    server_kill(sentinel);
    memset(sentinel->run_id, letter, sizeof(sentinel->run_id) - 1);
    file_write(
        sentinel->config,
        text("port %u\nbind %s\nprotected-mode no\ndir %s\nunixsocket %s\nsentinel myid %s\n"
             "sentinel monitor %s 127.0.0.1 %u %zu\nsentinel down-after-milliseconds %s %d\n",
             sentinel->port, sentinel->ip, sentinel->folder, sentinel->socket, sentinel->run_id,
             cluster->name, cluster->nodes[0].port, cluster->quorum, cluster->name,
             cluster->down_after_ms));
    server_start(sentinel);
}

SCENE(integration_strangers, all_sentinels_replaced_at_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, "--self", cluster->nodes[0].address, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(5000, count_of(daemon, "known") == 3);
    for (size_t i = 0; i < 3; i++) {
        server_kill(&cluster->sentinels[i]);
    }
    WAIT_UNTIL(5000, count_of(daemon, "reachable") == 0);
    for (size_t i = 0; i < 3; i++) {
        replace_sentinel(cluster, &cluster->sentinels[i], (char)('a' + i));
    }
    WAIT_UNTIL(20000, count_of(daemon, "known") == 3 && count_of(daemon, "agreeing") == 3 &&
                          status_of(daemon, "/self/master") == 200);
    HOLDS_FOR(3000, count_of(daemon, "known") == 3 &&
                        http_true(daemon_get(daemon, "/master"), "majority"));
}

SCENE(integration_strangers, sentinels_replaced_one_by_one)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(5000, count_of(daemon, "known") == 3);
    for (size_t i = 0; i < 3; i++) {
        struct server *sentinel = &cluster->sentinels[i];

        replace_sentinel(cluster, sentinel, (char)('a' + i));
        WAIT_UNTIL(25000,
                   strcmp(row_string(daemon, sentinel->address, "run_id"), sentinel->run_id) == 0 &&
                       count_of(daemon, "known") == 3 && count_of(daemon, "agreeing") == 3);
        HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
    }
}

/* After a RESET those that are left list each other only, and a minute makes it final. */
SCENE(integration_strangers, seven_taken_down_to_three)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 7, .quorum = 2});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(10000, count_of(daemon, "known") == 7);
    for (size_t i = 3; i < 7; i++) {
        server_kill(&cluster->sentinels[i]);
    }
    WAIT_UNTIL(5000, count_of(daemon, "reachable") == 3);
    cr_assert_not(http_true(daemon_get(daemon, "/master"), "majority"));
    for (size_t i = 0; i < 3; i++) {
        (void)redis_say(&cluster->sentinels[i], "SENTINEL RESET mymaster");
    }
    WAIT_UNTIL(80000, count_of(daemon, "known") == 3);
    HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
    cr_assert_eq(count_of(daemon, "voters_needed"), 2);
}
