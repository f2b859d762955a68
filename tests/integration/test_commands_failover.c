/*
 * Eight writers and four readers through a failover of every kind. Whatever happens, nobody is told
 * anything but an answer or that the outcome is unknown, no connection drops, and nothing runs
 * twice; and where the old master does not die, nothing that was acknowledged is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_commands_failover);

/* Longer than any failover here takes, so that nobody has to be told 503. */
#define PATIENT "--command-timeout", "30s"

/*
 * A machine that stands still does so for less. Readers that are held back like writers are for
 * longer: where the failover is aborted, for as long as it may take.
 */
enum { STALLED_MS = 3000 };

SCENE(integration_commands_failover, kill_nine)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct writers *writers = writers_begin(daemon);

    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_end(writers);
    /* What a dead master had acknowledged and not replicated is gone with it. */
    writers_check(writers, now, "kill -9", false);
}

SCENE(integration_commands_failover, master_frozen)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct writers *writers = writers_begin(daemon);

    server_freeze(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_go_on(writers);
    server_thaw(old); /* and runs what stands in its sockets, in vain */
    writers_end(writers);
    writers_check(writers, now, "SIGSTOP", false);
}

/* ---- a failover that somebody asks for ---- */

/* redis-py beside it; NULL where that is not there. */
struct plain {
    struct process *process;
    const char *stop_file;
};

static bool has_redis_py(void)
{
    return process_can_run("/usr/bin/python3") &&
           process_run(20000, NULL,
                       (const char *const[]){"/usr/bin/python3", "-c", "import redis", NULL})
                   .exit_code == 0;
}

static struct plain *plain_start(const struct cluster *cluster)
{
    if (!has_redis_py()) {
        (void)fprintf(stderr, "SKIPPED %s: the comparison: there is no redis-py\n",
                      scene_test_name());
        return NULL;
    }
    struct plain *plain = scene_alloc(sizeof(*plain));
    plain->stop_file = text("%s/stop", scene_folder());
    const char **argv = scene_alloc((5 + cluster->n_sentinels) * sizeof(*argv));
    argv[0] = "/usr/bin/python3";
    argv[1] = "tests/clients/master_for.py";
    argv[2] = cluster->name;
    argv[3] = plain->stop_file;
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        argv[4 + i] = text("%u", cluster->sentinels[i].port);
    }
    plain->process =
        process_start(&(struct process_spec){.name = "plain", .argv = argv, .may_die = true});
    WAIT_UNTIL(20000, strtol(redis_say(&cluster->nodes[0], "SCARD plain"), NULL, 10) > 100 ||
                          process_ended(plain->process));
    return plain;
}

static void plain_report(struct plain *plain)
{
    if (!plain) {
        return;
    }
    file_write(plain->stop_file, "");
    const int code = process_wait(plain->process, patient(20000));
    const char *said = file_read(plain->process->out_path);
    cr_assert(code == 0 && strncmp(said, "acknowledged ", 13) == 0, "redis-py: %d %s%s", code, said,
              process_log(plain->process));
    (void)fprintf(stderr, "%s: redis-py's master_for, beside it: %s", scene_test_name(), said);
}

static void fail_over_by_hand(struct cluster *cluster, const struct daemon *daemon,
                              int64_t longest_write_ms, const char *what)
{
    struct server *old = &cluster->nodes[0];
    struct plain *plain = plain_start(cluster);
    struct writers *writers = writers_begin(daemon);

    const struct server *now = cluster_fail_over_from(cluster, old);
    /* The old one says master for a while; then it is a replica. */
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
    plain_report(plain);
    writers_check(writers, now, what, true);
    cr_assert_leq(writers_reads(writers)->longest_ms, patient(STALLED_MS), "a reader stalled");
    for (size_t kind = 0; kind < 3; kind++) {
        const struct tally *const tallies[] = {writers_increments(writers), writers_adds(writers),
                                               writers_sets(writers)};

        cr_assert_leq(tallies[kind]->longest_ms, patient(longest_write_ms),
                      "a writer waited too long");
    }
}

SCENE(integration_commands_failover, manual)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});

    fail_over_by_hand(cluster, commands_start(cluster, PATIENT, NULL), 5000, "SENTINEL FAILOVER");
}

SCENE(integration_commands_failover, manual_at_sentinels_own_pace)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});

    fail_over_by_hand(cluster, commands_start(cluster, PATIENT, NULL), 5000,
                      "SENTINEL FAILOVER, Sentinel's own pace");
}

SCENE(integration_commands_failover, manual_and_adopted)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});

    fail_over_by_hand(cluster, commands_start(cluster, PATIENT, "--adopt", "promoted", NULL), 5000,
                      "SENTINEL FAILOVER, --adopt promoted");
}

SCENE(integration_commands_failover, manual_with_two_workers)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});

    fail_over_by_hand(cluster, commands_start(cluster, PATIENT, "--workers", "2", NULL), 5000,
                      "SENTINEL FAILOVER, two workers");
}

SCENE(integration_commands_failover, retry_always_loses_nothing_and_is_never_told_unknown)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct writers *writers = writers_start(
        &(struct writers_spec){.daemon = daemon, .writers = 8, .query = "?retry=always"});

    writers_go_on(writers);
    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_end(writers);
    const struct tally *adds = writers_adds(writers);
    cr_assert(
        adds->acknowledged > 0 && adds->unknown == 0 && adds->not_sent == 0 && adds->dropped == 0,
        "%zu unknown, %zu not sent, %zu dropped", adds->unknown, adds->not_sent, adds->dropped);
    cr_assert(writers_remains(writers, now).counter > 0);
}

/* ---- a failover that comes to nothing ---- */

SCENE(integration_commands_failover, aborted)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2, .sentinels = 1, .down_after_ms = 20000, .failover_timeout_ms = 6000});
    const struct daemon *daemon = commands_start(cluster, PATIENT, "--fence-timeout", "20s", NULL);
    struct server *master = &cluster->nodes[0];
    struct writers *writers = writers_begin(daemon);

    server_freeze(&cluster->nodes[1]); /* is told to become the master, and does not hear it */
    cluster_failover(cluster);
    WAIT_UNTIL(20000, strstr(daemon_log(daemon), "why=\"the failover was aborted\"") != NULL);
    writers_end(writers);
    writers_check(writers, master, "aborted", true);
    cr_assert_leq(writers_reads(writers)->longest_ms, patient(STALLED_MS), "a reader stalled");
    cr_assert_gt(metric_of(daemon, "bellwether_fence_holds_total"), 0);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
}

/* ---- more than one ---- */

SCENE(integration_commands_failover, three_by_hand_in_a_row)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct writers *writers = writers_begin(daemon);
    struct server *master = &cluster->nodes[0];

    for (int i = 0; i < 3; i++) {
        cluster_settle(cluster);
        master = cluster_fail_over_from(cluster, master);
        writers_go_on(writers);
    }
    writers_end(writers);
    writers_check(writers, master, "three in a row", true);
}

SCENE(integration_commands_failover, the_killed_master_returns_and_is_not_written_to)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, PATIENT, NULL);
    struct server *old = &cluster->nodes[0];
    struct writers *writers = writers_begin(daemon);

    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    writers_go_on(writers);
    server_start(old); /* empty, and says master until the Sentinels turn it */
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    writers_end(writers);
    const struct tally *increments = writers_increments(writers);
    writers_check(writers, now, "killed and back", false);
    cr_assert_geq(writers_remains(writers, now).counter + 8, (long long)increments->acknowledged);
}
