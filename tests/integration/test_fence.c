/*
 * The fence, as /status and the log tell of it: up from the leader's first word to the publication
 * of the new master, down when it gives up, and what is asked where neither comes. Real Sentinels;
 * fake ones say what no real one says.
 */
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_fence);

static size_t ups(const struct daemon *daemon)
{
    return count_in(daemon_log(daemon), "msg=\"fence up: writes are held back\"");
}

static size_t downs(const struct daemon *daemon, const char *why)
{
    return count_in(daemon_log(daemon),
                    text("msg=\"fence down: writes go on\" master=mymaster why=\"%s", why));
}

/* ---- real Sentinels ---- */

/* What /status said of it from here to the end of a failover: "down, up, promoting, down". */
static const char *watch_failover(struct cluster *cluster, const struct daemon *daemon,
                                  const struct server *old)
{
    const char *said = "down", *last = said;
    bool published = false;

    cluster_failover(cluster);
    const int64_t again_ms = now_ms() + patient(cluster->failover_timeout_ms + 3000);
    for (const int64_t end = wait_ends_ms(20000); !published || strcmp(last, "down") != 0;
         nap_ms(1)) {
        const struct http_answer *status = daemon_get(daemon, "/status");
        const char *fence = http_string(status, "masters.0.fence");

        published = strcmp(http_string(status, "masters.0.address"), old->address) != 0;
        /* Until the others follow the leader two nodes say master, and writes wait on. */
        cr_assert(!published || strcmp(fence, "down") == 0 ||
                      strcmp(http_string(status, "masters.0.fence_reason"), "contradicted") == 0,
                  "published, and the fence is up still\n%s", http_text(status));
        if (strcmp(fence, last) != 0) {
            said = text("%s, %s", said, fence);
        }
        last = fence;
        cr_assert(now_ms() < end, "%s\n%s", said, daemon_log(daemon));
        if (!published && now_ms() > again_ms) {
            (void)cluster_is_before_switch(cluster, old);
        }
    }
    return said;
}

static bool ends_with(const char *all, const char *end)
{
    const size_t n = strlen(all), m = strlen(end);

    return n >= m && strcmp(all + n - m, end) == 0;
}

/* All that /status may be seen to say: unless this test is held up just then. */
SCENE(integration_fence, manual_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--redis-api", "loopback", NULL);
    const struct server *master = &cluster->nodes[0];
    const char *said = "";
    size_t rounds = 0;

    EXPECT_MASTER(daemon, master, 3000);
    cr_assert(fence_is(daemon, "down"));
    cr_assert(!strstr(daemon_get(daemon, "/status?format=text")->body, "fence"));
    while (!ends_with(said, ", promoting, down") && !ends_with(said, ", promoting, up, down")) {
        cr_assert_lt(rounds++, 3, "%s\n%s", said, daemon_log(daemon));
        cluster_settle(cluster);
        said = watch_failover(cluster, daemon, master);
        master = cluster_wait_switch(cluster, master, 30000);
        EXPECT_MASTER(daemon, master, 3000);
    }
    EXPECT_LOGGED(daemon, downs(daemon, "a new master was published") == rounds);
    EXPECT_LOGGED(daemon, ups(daemon) == downs(daemon, ""));
    EXPECT_LOGGED(daemon,
                  strstr(daemon_log(daemon),
                         "writes are held back\" master=mymaster why=\"a leader was elected\""));
}

SCENE(integration_fence, adopted_before_it_is_announced)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "loopback", "--adopt", "promoted", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, now, 3000);
    /*
     * What the leader says after the adoption, of a failover away from the old master, raises
     * nothing.
     */
    HOLDS_FOR(500, fence_is(daemon, "down"));
    EXPECT_LOGGED(daemon, downs(daemon, "a new master was published") == 1);
    EXPECT_LOGGED(daemon, ups(daemon) == downs(daemon, ""));
}

SCENE(integration_fence, aborted_for_want_of_a_good_replica)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.node_conf = "replica-priority 0\n"});
    const struct daemon *daemon = daemon_start(cluster, "--redis-api", "loopback", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    server_kill(old);
    WAIT_UNTIL(20000, downs(daemon, "the failover was aborted") > 0);
    cr_assert_eq(downs(daemon, "a new master"), 0, "%s", daemon_log(daemon));
    for (size_t i = 1; i < cluster->n_nodes; i++) {
        (void)redis_ask(&cluster->nodes[i], "CONFIG SET replica-priority 100");
    }
    const struct server *now = cluster_wait_switch(cluster, old, 60000);
    EXPECT_MASTER(daemon, now, 3000);
    wait_for_fence(daemon, "down", 1000);
    EXPECT_LOGGED(daemon, downs(daemon, "a new master was published") == 1);
}

/* The chosen replica is told to become the master and does not hear it: it is frozen. */
static struct cluster *start_with_a_lone_replica(int failover_timeout_ms)
{
    return cluster_start(&(struct cluster_spec){.nodes = 2,
                                                .sentinels = 1,
                                                .down_after_ms = 5000,
                                                .failover_timeout_ms = failover_timeout_ms});
}

SCENE(integration_fence, aborted_because_the_replica_does_not_turn)
{
    struct cluster *cluster = start_with_a_lone_replica(2000);
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "loopback", "--fence-timeout", "20s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    server_freeze(&cluster->nodes[1]);
    cluster_failover(cluster);
    wait_for_fence(daemon, "promoting", 5000);
    wait_for_fence(daemon, "down", 10000);
    EXPECT_LOGGED(daemon, downs(daemon, "the failover was aborted") == 1);
    cr_assert(says_master(daemon, &cluster->nodes[0]));
}

SCENE(integration_fence, writes_go_on_while_the_replica_hangs_and_stop_when_it_turns)
{
    struct cluster *cluster = start_with_a_lone_replica(15000);
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "loopback", "--fence-timeout", "2s",
                     "--verify-timeout", "300ms", NULL);
    struct server *old = &cluster->nodes[0], *replica = &cluster->nodes[1];

    EXPECT_MASTER(daemon, old, 3000);
    server_freeze(replica);
    cluster_failover(cluster);
    WAIT_UNTIL(5000, strstr(daemon_get(daemon, "/status?format=text")->body,
                            "\n! fence promoting: writes are held back for "));
    wait_for_fence(daemon, "down", 5000);
    EXPECT_LOGGED(daemon, downs(daemon, "time-out, and the chosen replica does not answer") == 1);
    cr_assert(says_master(daemon, old));
    HOLDS_FOR(700, fence_is(daemon, "down"));
    server_thaw(replica);
    EXPECT_MASTER(daemon, replica, 10000);
    wait_for_fence(daemon, "down", 1000);
    EXPECT_LOGGED(daemon, ups(daemon) == downs(daemon, ""));
}

static bool is_master(const struct server *node)
{
    return strncmp(redis_say(node, "ROLE"), "master", 6) == 0;
}

/*
 * Whether this Sentinel's next INFO to every replica comes with the failover, not by itself right
 * before: then it is the better part of a second until it notices the promotion.
 */
static bool is_quiet(const struct cluster *cluster, const struct server *sentinel)
{
    const redisReply *replicas = redis_ask(sentinel, "SENTINEL REPLICAS %s", cluster->name);

    for (size_t i = 0; replicas && i < replicas->elements; i++) {
        const long long refreshed_ms =
            strtoll(reply_field(replicas->element[i], "info-refresh"), NULL, 10);

        if (refreshed_ms < 1500 || refreshed_ms > 8000) {
            return false;
        }
    }
    return replicas && replicas->elements > 0;
}

SCENE(integration_fence, leader_killed_in_the_middle)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.failover_timeout_ms = 20000, .down_after_ms = CLUSTER_STEADY_MS});

    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        /* the others turn the replica back after six seconds */
        (void)redis_say(&cluster->sentinels[i],
                        "SENTINEL DEBUG INFO-PERIOD 10000 PUBLISH-PERIOD 1500");
    }
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "loopback", "--fence-timeout", "500ms", NULL);
    struct server *old = &cluster->nodes[0];
    EXPECT_MASTER(daemon, old, 3000);
    WAIT_UNTIL(20000, is_quiet(cluster, &cluster->sentinels[0]));
    cluster_failover(cluster); /* through the first Sentinel */
    wait_for_fence(daemon, "promoting", 5000);
    server_kill(&cluster->sentinels[0]);
    WAIT_UNTIL(3000, is_master(&cluster->nodes[1]) || is_master(&cluster->nodes[2]));
    const struct server *promoted = &cluster->nodes[is_master(&cluster->nodes[1]) ? 1 : 2];
    /* Far longer than its time: the replica says master. */
    HOLDS_FOR(2000, fence_is(daemon, "promoting"));
    cr_assert(says_master(daemon, old), "%s", daemon_log(daemon));
    cr_assert_eq(downs(daemon, ""), 0, "%s", daemon_log(daemon));
    for (size_t i = 1; i < cluster->n_sentinels; i++) {
        /* they look at it soon, not in ten seconds */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL DEBUG INFO-PERIOD 1000");
    }
    WAIT_UNTIL(30000, !is_master(promoted));
    wait_for_fence(daemon, "down", 3000);
    EXPECT_LOGGED(daemon,
                  downs(daemon, "time-out, and the chosen replica does not say master") == 1);
    cr_assert(says_master(daemon, old));
}

/* ---- fake ones ---- */

struct liar {
    struct fake *sentinel, *master, *replica;
    struct fake_words says;
    const struct daemon *daemon;
};

static struct liar start_liar_with(const char *option, const char *value)
{
    struct liar liar = {.master = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"}),
                        .replica = fake_start(FAKE_NODE, &(struct fake_words){.role = "replica"})};

    liar.says = (struct fake_words){.run_id = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed",
                                    .master_name = "mymaster",
                                    .master_host = "127.0.0.1",
                                    .master_port = text("%u", fake_port(liar.master)),
                                    .replica_port = text("%u", fake_port(liar.replica)),
                                    .epoch = 4};
    liar.sentinel = fake_start(FAKE_SENTINEL, &liar.says);
    liar.daemon =
        daemon_start(NULL, "--redis-api", "loopback", "--sentinel", fake_address(liar.sentinel),
                     "--master", "mymaster", option, value, "--log-level", "debug", NULL);
    WAIT_UNTIL(4000, status_of(liar.daemon, "/master") == 200);
    WAIT_UNTIL(4000, fake_heard(liar.sentinel, "PSUBSCRIBE") > 0);
    return liar;
}

static struct liar start_liar(void)
{
    return start_liar_with("--fence-timeout", "1500ms");
}

/* @param what "+elected-leader" ...; of a failover away from the node at this port. */
static void say_of_master(const struct liar *liar, const char *what, unsigned port)
{
    fake_publish(liar->sentinel, what, text("master mymaster 127.0.0.1 %u", port));
}

static void say_of_replica(const struct liar *liar, const char *what)
{
    const unsigned port = fake_port(liar->replica);

    fake_publish(liar->sentinel, what,
                 text("slave 127.0.0.1:%u 127.0.0.1 %u @ mymaster 127.0.0.1 %u", port, port,
                      fake_port(liar->master)));
}

SCENE(integration_fence, what_a_leader_says_and_what_it_does_not)
{
    struct liar liar = start_liar();
    const unsigned port = fake_port(liar.master);

    /*
     * Of a failover away from another node: nothing. The event that follows it on the same
     * connection is heard later.
     */
    say_of_master(&liar, "+elected-leader", port + 1);
    say_of_master(&liar, "+odown", port);
    WAIT_UNTIL(3000, strstr(daemon_log(liar.daemon), "+odown") != NULL);
    cr_assert_eq(ups(liar.daemon), 0, "%s", daemon_log(liar.daemon));
    const char *failovers = daemon_get(liar.daemon, "/failovers")->body;
    cr_assert(strstr(failovers, "odown") && !strstr(failovers, "elected"), "%s", failovers);
    say_of_master(&liar, "+elected-leader", port);
    wait_for_fence(liar.daemon, "up", 1000);
    say_of_master(&liar, "-failover-abort-not-elected", port);
    wait_for_fence(liar.daemon, "down", 1000);
    /* Neither end nor choice. */
    say_of_master(&liar, "+elected-leader", port);
    wait_for_fence(liar.daemon, "up", 1000);
    wait_for_fence(liar.daemon, "down", 3000);
    EXPECT_LOGGED(liar.daemon, downs(liar.daemon, "time-out, and no replica was chosen") == 1);
    cr_assert_eq(fake_accepted(liar.replica), 0, "nobody had to be asked");
}

SCENE(integration_fence, the_chosen_replica_is_asked)
{
    struct liar liar = start_liar();

    say_of_replica(&liar, "+failover-state-send-slaveof-noone");
    wait_for_fence(liar.daemon, "up", 1000);
    wait_for_fence(liar.daemon, "down", 3000);
    EXPECT_LOGGED(liar.daemon,
                  downs(liar.daemon, "time-out, and the chosen replica does not say master") == 1);
    /* It is told, and turns: held for as long as it says so. */
    say_of_replica(&liar, "+failover-state-wait-promotion");
    wait_for_fence(liar.daemon, "promoting", 1000);
    fake_say(liar.replica, &(struct fake_words){.role = "master"});
    HOLDS_FOR(2500, fence_is(liar.daemon, "promoting"));
    fake_say(liar.replica, &(struct fake_words){.role = "replica"});
    wait_for_fence(liar.daemon, "down", 3000);
    /* Nobody says anything, and it turns. */
    fake_say(liar.replica, &(struct fake_words){.role = "master"});
    wait_for_fence(liar.daemon, "promoting", 3000);
    EXPECT_LOGGED(liar.daemon,
                  strstr(daemon_log(liar.daemon), "why=\"the chosen replica says master\""));
    /* The leader's own +switch-master does not lower it; that it answers so does. */
    fake_publish(liar.sentinel, "+switch-master",
                 text("mymaster 127.0.0.1 %u 127.0.0.1 %u", fake_port(liar.master),
                      fake_port(liar.replica)));
    HOLDS_FOR(700, fence_is(liar.daemon, "promoting"));
    liar.says.master_port = text("%u", fake_port(liar.replica));
    liar.says.epoch = 5;
    fake_say(liar.sentinel, &liar.says);
    wait_for_fence(liar.daemon, "down", 3000);
    EXPECT_LOGGED(liar.daemon, downs(liar.daemon, "a new master was published") == 1);
}

/* ---- Valkey's coordinated failover, as a fake Sentinel tells of it ---- */

static bool newest_is(const struct daemon *daemon, const char *outcome, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, "/failovers?limit=1");
    const json_t *why = http_value(answer, "failovers.0.reason");

    return strcmp(http_string(answer, "failovers.0.outcome"), outcome) == 0 &&
           (!reason ? json_is_null(why) : strcmp(json_string_value(why), reason) == 0);
}

static void begin_coordinated(struct liar *liar)
{
    const unsigned port = fake_port(liar->master);

    liar->says.flags = "s_down,master,failover_in_progress,coordinated_failover";
    fake_say(liar->sentinel, &liar->says);
    fake_publish(liar->sentinel, "+new-epoch", "5");
    say_of_master(liar, "+try-failover", port);
    say_of_master(liar, "-sdown", port); /* it was called down for a moment, and it is not */
    say_of_master(liar, "+elected-leader", port);
    say_of_master(liar, "+failover-state-select-slave", port);
    say_of_replica(liar, "+selected-slave");
    say_of_replica(liar, "+failover-state-send-slaveof-noone");
    wait_for_fence(liar->daemon, "up", 1000);
}

SCENE(integration_fence, coordinated_and_the_master_cannot_be_told)
{
    struct liar liar = start_liar_with("--fence-timeout", "20s");

    begin_coordinated(&liar);
    cr_assert(newest_is(liar.daemon, "running", NULL));
    liar.says.flags = NULL;
    fake_say(liar.sentinel, &liar.says);
    say_of_master(&liar, "-failover-abort-master-timeout", fake_port(liar.master));
    wait_for_fence(liar.daemon, "down", 1000);
    EXPECT_LOGGED(liar.daemon, downs(liar.daemon, "the failover was aborted") == 1);
    WAIT_UNTIL(1000, newest_is(liar.daemon, "aborted", "master_timeout"));
    const struct http_answer *answer = daemon_get(liar.daemon, "/failovers");
    cr_assert_str_eq(http_string(answer, "failovers.0.kind"), "manual", "%s", http_text(answer));
    cr_assert(
        strstr(daemon_get(liar.daemon, "/metrics")->body,
               "bellwether_sentinel_events_total{event=\"-failover-abort-master-timeout\"} 1\n"));
    /* Whatever becomes of the master then is no failover under way. */
    fake_say(liar.master, &(struct fake_words){.role = "master", .away = true});
    WAIT_UNTIL(5000, strcmp(http_string(daemon_get(liar.daemon, "/masters/mymaster"), "state"),
                            "down") == 0);
}

SCENE(integration_fence, coordinated_and_the_replica_takes_its_time)
{
    struct liar liar = start_liar_with("--fence-timeout", "1500ms");

    begin_coordinated(&liar);
    say_of_replica(&liar, "+failover-state-wait-promotion");
    wait_for_fence(liar.daemon, "promoting", 1000);
    /* Until it has caught up it says replica, and the master takes no writes. */
    HOLDS_FOR(3000, fence_is(liar.daemon, "promoting"));
    cr_assert_gt(fake_accepted(liar.replica), 0, "it is asked all the while");
    fake_say(liar.master, &(struct fake_words){.role = "replica"});
    fake_say(liar.replica, &(struct fake_words){.role = "master"});
    WAIT_UNTIL(4000, strcmp(http_string(daemon_get(liar.daemon, "/masters/mymaster"), "state"),
                            "failing_over") == 0);
    liar.says.master_port = text("%u", fake_port(liar.replica));
    liar.says.epoch = 5;
    liar.says.flags = NULL;
    fake_say(liar.sentinel, &liar.says);
    say_of_replica(&liar, "+promoted-slave");
    wait_for_fence(liar.daemon, "down", 2000);
    EXPECT_LOGGED(liar.daemon, downs(liar.daemon, "a new master was published") == 1);
    say_of_master(&liar, "+failover-end", fake_port(liar.master));
    WAIT_UNTIL(2000, newest_is(liar.daemon, "switched", NULL) &&
                         !json_is_null(http_value(daemon_get(liar.daemon, "/failovers"),
                                                  "failovers.0.ended")));
    cr_assert_str_eq(http_string(daemon_get(liar.daemon, "/failovers"), "failovers.0.kind"),
                     "manual");
}
