/*
 * Plain clients through failovers of every kind: nothing runs twice, nothing that was acknowledged
 * is lost where the old master does not die, and nobody is left on the old one.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "../support/forward.h"
#include "../support/network.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_forward_failover);

/* Longer than any failover here takes, so that nobody has to be told NOMASTER. */
#define PATIENT "--command-timeout", "30s"

/* Each of the twelve was closed once at least, and had its answers on another connection then. */
static void expect_came_back(const struct writers *writers)
{
    const size_t ends = writers_increments(writers)->dropped + writers_adds(writers)->dropped +
                        writers_sets(writers)->dropped + writers_reads(writers)->dropped;

    cr_assert_geq(ends, 12, "somebody was left where the old master is");
}

static void expect_short(const struct writers *writers, int64_t longest_ms)
{
    const struct tally *const tallies[] = {writers_increments(writers), writers_adds(writers),
                                           writers_sets(writers), writers_reads(writers)};

    for (size_t kind = 0; kind < 4; kind++) {
        cr_assert_leq(tallies[kind]->longest_ms, patient(longest_ms), "somebody waited too long");
    }
}

/* ---- planned ones ---- */

static void fail_over_by_hand(struct cluster *cluster, const struct daemon *daemon, uint16_t port,
                              int64_t longest_ms, const char *what)
{
    struct server *old = &cluster->nodes[0];
    struct raw **idle = clients_open(port, 5);
    struct writers *writers = writers_begin_over(daemon, port);

    const struct server *now = cluster_fail_over_from(cluster, old);
    for (size_t i = 0; i < 5; i++) {
        cr_assert(raw_closes(idle[i], 5000), "an idle client is left on the old master");
    }
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
    writers_check(writers, now, what, true);
    expect_came_back(writers);
    expect_short(writers, longest_ms);
    WAIT_UNTIL(5000, clients_at(old) == 0);
}

SCENE(integration_forward_failover, manual)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", PATIENT, NULL);

    fail_over_by_hand(cluster, daemon, port, 5000, "SENTINEL FAILOVER");
}

SCENE(integration_forward_failover, manual_and_adopted)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", PATIENT, "--adopt", "promoted", NULL);

    fail_over_by_hand(cluster, daemon, port, 5000, "SENTINEL FAILOVER, --adopt promoted");
}

SCENE(integration_forward_failover, manual_at_sentinels_own_pace_with_two_workers)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", PATIENT, "--workers", "2", NULL);

    fail_over_by_hand(cluster, daemon, port, 5000, "SENTINEL FAILOVER, Sentinel's own pace");
}

SCENE(integration_forward_failover, there_and_back_again)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", PATIENT, NULL);
    struct writers *writers = writers_begin_over(daemon, port);
    struct server *master = &cluster->nodes[0];

    for (int i = 0; i < 2; i++) {
        cluster_settle(cluster);
        master = cluster_fail_over_from(cluster, master);
        writers_go_on(writers);
    }
    cr_assert(master == &cluster->nodes[0]);
    writers_end(writers);
    writers_check(writers, master, "there and back again", true);
}

/* ---- others ---- */

SCENE(integration_forward_failover, kill_nine)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 2000});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", PATIENT, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct raw **idle = clients_open(port, 4);
    struct writers *writers = writers_begin_over(daemon, port);

    server_kill(old);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(raw_closes(idle[i], 5000), "the dead server's end is passed on");
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_go_on(writers);
    server_start(old); /* empty, and says master until the Sentinels turn it */
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
    writers_check(writers, now, "kill -9, and back", false);
    cr_assert_geq(writers_remains(writers, now).counter + 8,
                  (long long)writers_increments(writers)->acknowledged, "%s", daemon_log(daemon));
}

SCENE(integration_forward_failover, master_frozen)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct raw **busy = clients_open(port, 3), **idle = clients_open(port, 3);
    struct writers *writers = writers_begin_over(daemon, port);

    server_freeze(old);
    for (size_t i = 0; i < 3; i++) {
        client_send(busy[i], "INCR in-vain");
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < 3; i++) {
        cr_assert(raw_closes(busy[i], 5000), "who waits for the hung one is told");
        cr_assert(raw_closes(idle[i], 5000), "and so is who does not");
    }
    writers_go_on(writers);
    server_thaw(old); /* and runs what stands in its sockets, in vain */
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
    writers_check(writers, now, "SIGSTOP", false);
}

static void drop_context(void *context)
{
    redisFree(context);
}

static redisContext *client_of(const char *socket)
{
    redisContext *context = redisConnectUnix(socket);

    cr_assert(context && context->err == 0);
    (void)redisSetTimeout(context, (struct timeval){patient(20000) / 1000, 0});
    return scene_keep(context, drop_context);
}

static long long increment(redisContext *context)
{
    redisReply *reply = redisCommand(context, "INCR n");
    const long long n = !reply || reply->type != REDIS_REPLY_INTEGER ? -1 : reply->integer;

    freeReplyObject(reply);
    return n;
}

/* Nothing comes from there any more, no end either. */
SCENE(integration_forward_failover, the_masters_host_vanishes)
{
    const struct network *network = network_start();
    const pid_t netns[] = {network->left, network->right, network->right};
    const char *const ips[] = {LEFT_IP, RIGHT_IP, RIGHT_IP};
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .node_netns = netns, .sentinel_netns = netns, .node_ip = ips, .sentinel_ip = ips});
    const char *socket = text("%s/forward", scene_folder());
    const char *const flags[] = {"--forward", text("unix:%s", socket), "--command-timeout", "30s",
                                 NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){
        .cluster = cluster, .flags = flags, .netns_of = network->right, .unix_socket = true});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    redisContext *busy = client_of(socket), *idle = client_of(socket);
    cr_assert_eq(increment(busy), 1);
    cr_assert_eq(increment(idle), 2);
    network_cut(network);
    cr_assert_eq(increment(busy), -1, "it is told the end");
    redisReply *reply = NULL;
    cr_assert_neq(redisGetReply(idle, (void **)&reply), REDIS_OK);
    cr_assert_eq(idle->err, REDIS_ERR_EOF, "%s", idle->errstr);
    cr_assert_gt(increment(client_of(socket)), 0);
    cr_assert(!says_master(daemon, &cluster->nodes[0]));
    network_heal(network);
}

/* Nobody is closed for a master that is hung for a while and comes back: it is the same one. */
SCENE(integration_forward_failover, hung_for_a_while)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 60000});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--suspect-after", "500ms",
                                                "--verify-timeout", "200ms", NULL);
    struct raw *client = clients_open(port, 1)[0];

    server_freeze(&cluster->nodes[0]);
    client_send(client, "INCR n");
    EXPECT_NONE(daemon, NULL, NULL, 8000);
    server_thaw(&cluster->nodes[0]);
    cr_assert_str_eq(client_hear(client, 8000), ":1");
    EXPECT_MASTER(daemon, &cluster->nodes[0], 8000);
    EXPECT_SAID(client, "INCR n", ":2");
}

/* ---- those who wait ---- */

SCENE(integration_forward_failover, who_connects_meanwhile_gets_the_new_master)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct raw *waiting[6];

    cr_assert_str_eq(redis_say(old, "SET before yes"), "OK");
    server_kill(old);
    EXPECT_NONE(daemon, NULL, NULL, 5000);
    for (size_t i = 0; i < 6; i++) {
        waiting[i] = client_open(port);
        if (i % 2 == 0) {
            client_send(waiting[i], "INCR n");
        }
    }
    raw_shut(waiting[4]); /* has said all that it will */
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < 6; i += 2) {
        cr_assert(client_hear(waiting[i], 10000)[0] == ':');
    }
    cr_assert(raw_closes(waiting[4], 5000));
    EXPECT_SAID(waiting[1], "INCR n", ":4");
    cr_assert_str_eq(redis_say(now, "GET n"), "4");
}

SCENE(integration_forward_failover, no_master_in_time)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1, .down_after_ms = 60000});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "2s", NULL);
    struct raw *silent = client_open(port), *spoken = clients_open(port, 1)[0];

    WAIT_UNTIL(5000, clients_at(&cluster->nodes[0]) == 2);
    server_kill(&cluster->nodes[0]);
    cr_assert(raw_closes(silent, 5000) && raw_closes(spoken, 5000));
    EXPECT_NONE(daemon, NULL, NULL, 5000);
    const int64_t began_ms = now_ms();
    struct raw *late = client_open(port), *mute = client_open(port);
    client_send(late, "INCR n");
    const char *words = client_hear(late, 8000);
    cr_assert(strncmp(words, "-NOMASTER ", 10) == 0 && strstr(words, "2000 ms"), "\"%s\"", words);
    cr_assert_geq(now_ms() - began_ms, 1990);
    cr_assert(raw_closes(late, 3000));
    cr_assert(strncmp(client_hear(mute, 8000), "-NOMASTER ", 10) == 0);
    cr_assert(raw_closes(mute, 3000));
    WAIT_UNTIL(3000, metric_of(daemon, "bellwether_forward_closed_total{reason=\"no_node\"}") == 2);
    server_start(&cluster->nodes[0]);
    WAIT_UNTIL(10000, status_of(daemon, "/master") == 200);
    EXPECT_SAID(client_open(port), "INCR n", ":1");
}

/*
 * Nothing was said, so nothing can be lost: they go on to the new master by themselves, however
 * long ago they came.
 */
SCENE(integration_forward_failover, who_never_spoke_stays_connected)
{
    enum { SILENT = 300 };
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "3s", "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct raw *silent[SILENT];

    for (size_t i = 0; i < SILENT; i++) {
        silent[i] = client_open(port);
    }
    WAIT_UNTIL(5000, clients_at(old) == SILENT);
    const int64_t came_ms = now_ms();
    cluster_settle(cluster);
    WAIT_UNTIL(10000, now_ms() - came_ms > 3200);
    const struct server *now = cluster_fail_over_from(cluster, old);
    EXPECT_MASTER(daemon, now, 5000);
    WAIT_UNTIL(5000, clients_at(now) == SILENT && clients_at(old) == 0);
    for (size_t i = 0; i < SILENT; i++) {
        EXPECT_SAID(silent[i], "INCR n", text(":%zu", i + 1));
    }
}
