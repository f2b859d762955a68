/*
 * A leader that dies in the middle of a planned failover: whether it comes back or not, the answer
 * does not go to and fro, and no write that was acknowledged is lost.
 */
#include <string.h>

#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/told.h"
#include "../support/trail.h"
#include "../support/writers.h"

SCENE_SUITE(integration_contradicted);

static struct writers *write_on(const struct daemon *daemon)
{
    struct writers *writers =
        writers_start(&(struct writers_spec){.daemon = daemon, .writers = 4, .readers = 1});

    writers_wait(writers, 100, 15000);
    return writers;
}

/* All that was acknowledged is on the node that is the master in the end, and nothing ran twice. */
static void expect_kept(struct writers *writers, struct cluster *cluster,
                        const struct daemon *daemon)
{
    struct server *last = NULL;

    WAIT_UNTIL(40000, (last = cluster_only_master(cluster)) && says_master(daemon, last) &&
                          fence_is(daemon, "down"));
    writers_stop(writers);
    const struct remains left = writers_remains(writers, last);
    cr_assert_eq(left.adds_lost, 0, "%zu acknowledged writes were lost\n%s", left.adds_lost,
                 daemon_log(daemon));
    cr_assert_eq(left.sets_behind, 0, "%s", daemon_log(daemon));
    cr_assert(writers_acknowledged(writers) > 100);
}

/* Kill the leader as soon as its announcement is the answer here, before the others hear of it. */
static struct trail *announced_and_dead(struct cluster *cluster, const struct daemon *daemon)
{
    struct trail *trail = trail_start(daemon, cluster);
    struct server *leader = &cluster->sentinels[0];
    const struct server *old = &cluster->nodes[0];
    const int64_t end = now_ms() + patient(20000);

    (void)redis_say(leader, "SENTINEL FAILOVER mymaster");
    while (says_master(daemon, old)) {
        cr_assert(now_ms() < end, "no announcement\n%s", daemon_log(daemon));
    }
    server_kill(leader);
    trail_look(trail);
    return trail;
}

SCENE(integration_contradicted, leader_dies_after_its_announcement_and_comes_back)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct writers *writers = write_on(daemon);
    struct trail *trail = announced_and_dead(cluster, daemon);
    trail_for(trail, 4000);
    server_start(&cluster->sentinels[0]);
    expect_kept(writers, cluster, daemon);
    trail_look(trail);
    cr_assert(count_in(trail_said(trail), "200 ") <= 2, "%s", trail->said);
}

SCENE(integration_contradicted, leader_dies_after_its_announcement_for_good)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct writers *writers = write_on(daemon);
    struct trail *trail = announced_and_dead(cluster, daemon);
    trail_for(trail, 6000);
    expect_kept(writers, cluster, daemon);
    trail_look(trail);
    cr_assert(count_in(trail_said(trail), "200 ") <= 3, "to and fro: %s", trail->said);
}

/* @param when SENTINEL SIMULATE-FAILURE's word. */
static void leader_crashes(const char *when)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = commands_start(cluster, NULL);
    struct server *leader = &cluster->sentinels[0];

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct writers *writers = write_on(daemon);
    leader->process->may_die = true;
    cr_assert_str_eq(redis_say(leader, "SENTINEL SIMULATE-FAILURE %s", when), "OK");
    (void)redis_say(leader, "SENTINEL FAILOVER mymaster");
    WAIT_UNTIL(10000, process_ended(leader->process));
    expect_kept(writers, cluster, daemon);
}

SCENE(integration_contradicted, leader_dies_once_elected)
{
    leader_crashes("crash-after-election");
}

SCENE(integration_contradicted, leader_dies_once_it_promoted)
{
    leader_crashes("crash-after-promotion");
}

/* Three Sentinels and two nodes that both say master; the second one is listed as a replica. */
struct trio {
    struct fake *old, *now;
    struct told *told;
    const struct daemon *daemon;
};

/* @param deny what the Sentinels deny, NULL: nothing. */
static struct trio *trio_start(const char *deny)
{
    struct trio *trio = scene_alloc(sizeof(*trio));

    trio->old = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    trio->now = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    trio->told = told_start(3, fake_port(trio->old), fake_port(trio->now), deny);
    trio->daemon = told_daemon(trio->told, "--redis-api", "loopback", "--command-timeout", "700ms",
                               "--commands", "+get +set", "--sentinel-timeout", "5s", NULL);
    return trio;
}

static void trio_hold(struct trio *trio)
{
    told_announce(trio->told, 0);
    WAIT_UNTIL(4000, strcmp(http_string(daemon_get(trio->daemon, "/master"), "address"),
                            fake_address(trio->now)) == 0);
}

/*
 * While it is contradicted callers are told so. (Sentinels of real ones may have heard of it before
 * anybody looks.)
 */
SCENE(integration_contradicted, what_callers_see)
{
    struct trio *trio = trio_start(NULL);

    trio_hold(trio);
    const struct http_answer *status = daemon_get(trio->daemon, "/status");
    cr_assert_str_eq(http_string(status, "masters.0.fence"), "up");
    cr_assert_str_eq(http_string(status, "masters.0.fence_reason"), "contradicted");
    cr_assert_str_eq(http_string(status, "masters.0.state"), "ok");
    cr_assert_str_eq(http_string(status, "masters.0.reason"), "disputed");
    EXPECT_ERROR(command_run(trio->daemon, "SET", "k", "w", NULL), 503, "NOTSENT contradicted",
                 "not_sent");
    cr_assert_eq(status_of(trio->daemon, "/master"), 200);
    told_announce(trio->told, 1);
    WAIT_UNTIL(4000, fence_is(trio->daemon, "down"));
}

static unsigned asked(const struct trio *trio, size_t sentinel)
{
    return fake_heard(trio->told->sentinels[sentinel], "SENTINEL GET-MASTER-ADDR-BY-NAME");
}

/* Whether it is asked so often within 900 ms: not in each of them, the machine may stand still. */
static bool is_asked(const struct trio *trio, size_t sentinel, unsigned times)
{
    bool is = false;

    for (int i = 0; i < 8 && !is; i++) {
        const int64_t end_ms = now_ms() + 900;
        const unsigned before = asked(trio, sentinel);

        while (now_ms() < end_ms && !is) {
            nap_ms(5);
            is = now_ms() < end_ms && asked(trio, sentinel) >= before + times;
        }
    }
    return is;
}

/*
 * What ends the hold is another's word: it is asked for ten times a second, however long a failover
 * has been under way.
 */
SCENE(integration_contradicted, the_others_are_asked_fast_while_writes_are_held)
{
    struct trio *trio = trio_start(NULL);
    const unsigned before = asked(trio, 2);

    fake_publish(trio->told->sentinels[0], "+try-failover",
                 text("master mymaster 127.0.0.1 %u", fake_port(trio->old)));
    /* which takes eight seconds: ever less often */
    WAIT_UNTIL(20000, asked(trio, 2) >= before + 32);
    trio_hold(trio);
    cr_assert(is_asked(trio, 2, 5));
    told_announce(trio->told, 1);
    WAIT_UNTIL(500, fence_is(trio->daemon, "down"));
}

/* And faster where they send no events that would tell. */
SCENE(integration_contradicted, those_without_events_are_asked_faster)
{
    struct trio *trio = trio_start("PSUBSCRIBE");

    trio_hold(trio);
    cr_assert(is_asked(trio, 2, 15));
}

/*
 * Each event of a burst has the Sentinel asked for its lists: once will do, and not before the
 * answer that is awaited.
 */
SCENE(integration_contradicted, a_burst_of_events_is_asked_about_once)
{
    struct trio *trio = trio_start(NULL);
    const unsigned before = fake_heard(trio->told->sentinels[0], "SENTINEL REPLICAS");

    trio->told->says[0].hold = true;
    fake_say(trio->told->sentinels[0], &trio->told->says[0]);
    for (int i = 0; i < 50; i++) {
        fake_publish(trio->told->sentinels[0], "+slave",
                     text("slave %s 127.0.0.1 %u @ mymaster 127.0.0.1 %u", fake_address(trio->now),
                          fake_port(trio->now), fake_port(trio->old)));
    }
    WAIT_UNTIL(4000,
               metric_of(trio->daemon, "bellwether_sentinel_events_total{event=\"+slave\"}") == 50);
    trio->told->says[0].hold = false;
    told_announce(trio->told, 0);
    trio_hold(trio);
    const unsigned asked_for = fake_heard(trio->told->sentinels[0], "SENTINEL REPLICAS") - before;
    cr_assert(asked_for >= 1 && asked_for <= 6, "%u", asked_for);
}
