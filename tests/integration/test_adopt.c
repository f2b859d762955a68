/*
 * --adopt promoted, with real Sentinels: the new master is the answer while no Sentinel names it
 * yet, and the answer goes back where the leader dies before it could say so.
 *
 * A leader notices the promotion with its next INFO, once a second during a failover. To have that
 * second, these tests begin a failover when the last INFO is long past: the next comes with its
 * beginning, the one after it late.
 */
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_adopt);

static struct cluster *start_cluster_with(struct cluster_spec spec)
{
    spec.failover_timeout_ms = 4000;
    struct cluster *cluster = cluster_start(&spec);
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        /*
         * The others turn a replica that says master back after four publish periods, not before
         * the daemon has noticed that the leader is lost.
         */
        const char *said = redis_say(&cluster->sentinels[i],
                                     "SENTINEL DEBUG INFO-PERIOD 10000 PUBLISH-PERIOD 1500");
        cr_assert_str_eq(said, "OK", "SENTINEL DEBUG: %s", said);
    }
    return cluster;
}

static struct cluster *start_cluster(void)
{
    return start_cluster_with((struct cluster_spec){0});
}

/*
 * Whether this Sentinel's next INFO to every replica comes with the failover, not by itself right
 * before.
 */
static bool is_quiet(const struct cluster *cluster, const struct server *sentinel)
{
    const redisReply *replicas = redis_ask(sentinel, "SENTINEL REPLICAS %s", cluster->name);

    for (size_t i = 0; replicas && i < replicas->elements; i++) {
        const long refreshed_ms =
            strtol(reply_field(replicas->element[i], "info-refresh"), NULL, 10);

        if (refreshed_ms < 1500 || refreshed_ms > 8000) {
            return false;
        }
    }
    return replicas && replicas->elements > 0;
}

static bool all_quiet(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        if (!is_quiet(cluster, &cluster->sentinels[i])) {
            return false;
        }
    }
    return true;
}

/* How many living Sentinels name another than `old`. */
static size_t announcers(struct cluster *cluster, const struct server *old)
{
    size_t n = 0;

    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        if (server_lives(&cluster->sentinels[i]) &&
            strcmp(sentinel_says(&cluster->sentinels[i], cluster->name), old->address) != 0) {
            n++;
        }
    }
    return n;
}

/* The first 200 that names another than `old`; the Sentinels were not asked before. */
static const struct http_answer *wait_for_another(const struct daemon *daemon,
                                                  const struct server *old, struct trail *trail)
{
    for (const int64_t end = now_ms() + patient(20000); now_ms() < end; nap_ms(2)) {
        const struct http_answer *answer = daemon_get(daemon, "/master");

        if (answer->status == 200 && strcmp(http_string(answer, "address"), old->address) != 0) {
            return answer;
        }
        if (trail) {
            trail_look(trail);
        }
    }
    cr_assert_fail("nothing was adopted: %s", daemon_log(daemon));
    return NULL;
}

static struct server *node_at(struct cluster *cluster, const char *address)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (strcmp(cluster->nodes[i].address, address) == 0) {
            return &cluster->nodes[i];
        }
    }
    cr_assert_fail("no node is at %s", address);
    return NULL;
}

static bool is_master(const struct server *node)
{
    return strncmp(redis_say(node, "ROLE"), "master", 6) == 0;
}

/* The answer of an adoption, while nobody has announced it. */
static struct server *check_adopted(struct cluster *cluster, const struct daemon *daemon,
                                    const struct http_answer *answer, const struct server *old)
{
    const size_t named_by = announcers(cluster, old);
    struct server *adopted = node_at(cluster, http_string(answer, "address"));

    /* where this test itself was held up it came too late to see that */
    cr_assert(named_by == 0 || strstr(daemon_log(daemon), "adopted before its announcement"),
              "%zu Sentinels named it first: %s", named_by, daemon_log(daemon));
    cr_assert_str_eq(http_string(answer, "state"), "ok", "%s", http_text(answer));
    cr_assert(http_true(answer, "verified"), "%s", http_text(answer));
    cr_assert_not(http_true(answer, "majority"), "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "previous.address"), old->address);
    cr_assert(is_master(adopted), "%s was adopted and is no master", adopted->address);
    return adopted;
}

/* The Sentinel that runs the failover: only its row says so. */
static struct server *find_leader(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        const redisReply *row =
            redis_ask(&cluster->sentinels[i], "SENTINEL MASTER %s", cluster->name);

        if (reply_field(row, "failover-state")[0] != '\0') {
            return &cluster->sentinels[i];
        }
    }
    cr_assert_fail("no Sentinel runs a failover");
    return NULL;
}

static bool counted(const struct daemon *daemon, int kept, int undone)
{
    const char *metrics = daemon_get(daemon, "/metrics")->body;

    return strstr(metrics,
                  text("bellwether_adoptions_total{master=\"mymaster\",outcome=\"kept\"} %d\n",
                       kept)) &&
           strstr(metrics,
                  text("bellwether_adoptions_total{master=\"mymaster\",outcome=\"undone\"} %d\n",
                       undone));
}

SCENE(integration_adopt, manual_failover_is_known_before_any_sentinel_says_it)
{
    struct cluster *cluster = start_cluster();
    const struct daemon *daemon = daemon_start(cluster, "--adopt", "promoted", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cr_assert(counted(daemon, 0, 0));
    struct trail *trail = trail_start(daemon, cluster);
    WAIT_UNTIL(20000, all_quiet(cluster));
    cluster_failover(cluster);
    const struct http_answer *answer = wait_for_another(daemon, old, trail);
    struct server *adopted = check_adopted(cluster, daemon, answer, old);
    cr_assert_eq(trail_wait_switch(trail, cluster, old), adopted);
    trail_for(trail, 1500);
    cr_assert_str_eq(trail_said(trail), text("200 A, 200 %c", node_letter(cluster, adopted)),
                     "%s\n%s", trail->said, daemon_log(daemon));
    const struct http_answer *later = daemon_master(daemon);
    cr_assert(http_true(later, "majority"), "%s", http_text(later));
    cr_assert_eq(http_number(later, "config_epoch"), http_number(answer, "config_epoch"));
    cr_assert_str_eq(http_string(later, "since"), http_string(answer, "since"),
                     "one switch, not two");
    EXPECT_REASON(daemon, NULL, 15000);
    cr_assert(counted(daemon, 1, 0), "%s", daemon_get(daemon, "/metrics")->body);
}

SCENE(integration_adopt, crash_is_known_before_any_sentinel_says_it)
{
    struct cluster *cluster = start_cluster();
    const struct daemon *daemon = daemon_start(cluster, "--adopt", "promoted", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    WAIT_UNTIL(20000, all_quiet(cluster));
    server_kill(old);
    const struct http_answer *answer = wait_for_another(daemon, old, trail);
    struct server *adopted = check_adopted(cluster, daemon, answer, old);
    cr_assert_eq(trail_wait_switch(trail, cluster, old), adopted);
    trail_for(trail, 1500);
    trail_check(trail, old, adopted);
    cr_assert_eq(count_in(trail_said(trail), "200 "), strncmp(trail->said, "200", 3) == 0 ? 2 : 1,
                 "%s", trail->said);
    EXPECT_REASON(daemon, NULL, 15000);
}

SCENE(integration_adopt, nodes_with_names_and_a_password)
{
    struct cluster *cluster =
        start_cluster_with((struct cluster_spec){.hostnames = true, .node_password = "secret"});
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=secret", NULL};
    const char *const flags[] = {"--adopt", "promoted", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .env = env, .flags = flags});
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    WAIT_UNTIL(20000, all_quiet(cluster));
    cluster_failover(cluster);
    const struct http_answer *answer = wait_for_another(daemon, old, NULL);
    struct server *adopted = check_adopted(cluster, daemon, answer, old);
    cr_assert_eq(cluster_wait_switch(cluster, old, 30000), adopted);
    EXPECT_MASTER(daemon, adopted, 1000);
}

/*
 * What Sentinels call 127.0.0.1 this daemon reaches as 127.0.0.2: what they choose is mapped before
 * it is asked.
 */
SCENE(integration_adopt, through_a_map)
{
    struct cluster *cluster = start_cluster_with((struct cluster_spec){
        .node_conf = "bind 127.0.0.1 127.0.0.2\n", .sentinel_conf = "bind 127.0.0.1 127.0.0.2\n"});
    const struct daemon *daemon =
        daemon_start(cluster, "--adopt", "promoted", "--map", "127.0.0.1=127.0.0.2", NULL);
    struct server *old = &cluster->nodes[0];
    const char *mapped = text("127.0.0.2:%u", old->port);

    WAIT_UNTIL(4000, strcmp(http_string(daemon_get(daemon, "/master"), "address"), mapped) == 0);
    WAIT_UNTIL(20000, all_quiet(cluster));
    cluster_failover(cluster);
    const struct http_answer *answer = NULL;
    for (const int64_t end = now_ms() + patient(20000);; nap_ms(2)) {
        answer = daemon_master(daemon);
        if (strcmp(http_string(answer, "address"), mapped) != 0) {
            break;
        }
        cr_assert(now_ms() < end, "nothing was adopted: %s", daemon_log(daemon));
    }
    cr_assert(announcers(cluster, old) == 0 ||
                  strstr(daemon_log(daemon), "adopted before its announcement"),
              "it was announced first: %s", daemon_log(daemon));
    cr_assert(answer->status == 200 && strcmp(http_string(answer, "state"), "ok") == 0, "%s",
              http_text(answer));
    cr_assert_str_eq(http_string(answer, "previous.address"), mapped);
    const struct server *next = cluster_wait_switch(cluster, old, 30000);
    const char *published = text("127.0.0.2:%u", next->port);
    cr_assert_str_eq(http_string(answer, "address"), published);
    WAIT_UNTIL(10000, counted(daemon, 1, 0));
    cr_assert_str_eq(http_string(daemon_master(daemon), "address"), published);
    cr_assert_str_eq(http_string(daemon_master(daemon), "since"), http_string(answer, "since"));
    const struct http_answer *failovers = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(http_string(failovers, "failovers.0.from"), mapped, "%s",
                     http_text(failovers));
    cr_assert_str_eq(http_string(failovers, "failovers.0.to"), published, "%s",
                     http_text(failovers));
    cr_assert(strstr(failovers->body, "\"adopted\""), "%s", http_text(failovers));
}

SCENE(integration_adopt, announced_is_the_default)
{
    struct cluster *cluster = start_cluster();
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    WAIT_UNTIL(20000, all_quiet(cluster));
    cluster_failover(cluster);
    bool promoted = false;
    const struct http_answer *answer;
    for (const int64_t end = now_ms() + patient(20000);; nap_ms(5)) {
        const bool now_promoted = is_master(&cluster->nodes[1]) || is_master(&cluster->nodes[2]);

        answer = daemon_master(daemon);
        if (strcmp(http_string(answer, "address"), old->address) != 0) {
            break;
        }
        promoted |= now_promoted; /* and the answer is the old one still */
        cr_assert(now_ms() < end, "Sentinels did not fail over: %s", daemon_log(daemon));
    }
    cr_assert_geq(announcers(cluster, old), 1, "%s", http_text(answer));
    cr_assert(counted(daemon, 0, 0));
    cr_assert(promoted, "the promotion was announced too early for this test to prove anything");
}

SCENE(integration_adopt, undone_when_the_leader_of_a_manual_failover_is_killed)
{
    struct cluster *cluster = start_cluster();
    const struct daemon *daemon = daemon_start(cluster, "--adopt", "promoted", NULL);
    struct server *old = &cluster->nodes[0], *leader = &cluster->sentinels[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    WAIT_UNTIL(20000, all_quiet(cluster));
    cluster_failover(cluster); /* through the first Sentinel */
    const struct http_answer *answer = wait_for_another(daemon, old, trail);
    server_kill(leader);
    const int64_t killed_ms = now_ms();
    struct server *adopted = check_adopted(cluster, daemon, answer, old);
    const char letter = node_letter(cluster, adopted);
    trail_until(trail, adopted, 1000);
    for (size_t i = 1; i < cluster->n_sentinels; i++) {
        /* they look at it soon, not in ten seconds */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL DEBUG INFO-PERIOD 1000");
    }
    trail_until(trail, old, 6000);
    cr_assert_geq(now_ms() - killed_ms, 1900, "it was not held: %s", trail->said);
    cr_assert_str_eq(trail_said(trail), text("200 A, 200 %c, 200 A", letter), "%s\n%s", trail->said,
                     daemon_log(daemon));
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "leader_lost"));
    WAIT_UNTIL(1000, counted(daemon, 0, 1));
    answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "ok", "%s", http_text(answer));
    cr_assert(http_true(answer, "majority"), "%s", http_text(answer));
    /* The other Sentinels turn it back, the leader returns and knows nothing else. */
    WAIT_UNTIL(30000, !is_master(adopted));
    server_start(leader);
    WAIT_UNTIL(10000, cluster_master(cluster) == old);
    trail_for(trail, 1500);
    cr_assert_str_eq(trail_said(trail), text("200 A, 200 %c, 200 A", letter), "%s\n%s", trail->said,
                     daemon_log(daemon));
}

SCENE(integration_adopt, undone_when_the_leader_after_a_crash_is_killed)
{
    struct cluster *cluster = start_cluster();
    const struct daemon *daemon = daemon_start(cluster, "--adopt", "promoted", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    WAIT_UNTIL(20000, all_quiet(cluster));
    server_kill(old);
    const struct http_answer *answer = wait_for_another(daemon, old, trail);
    server_kill(find_leader(cluster));
    struct server *adopted = check_adopted(cluster, daemon, answer, old);
    const long long epoch = http_number(answer, "config_epoch");
    trail_until(trail, adopted, 1000);
    /*
     * Held for two seconds, then back to the dead one: no answer, until the other two have made a
     * master.
     */
    EXPECT_NONE(daemon, NULL, NULL, 6000);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "leader_lost"));
    trail_look(trail);
    struct server *final = trail_wait_switch(trail, cluster, old);
    trail_until(trail, final, 2000);
    trail_for(trail, 1500);
    answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "address"), final->address, "%s", http_text(answer));
    cr_assert_gt(http_number(answer, "config_epoch"), epoch);
    cr_assert(http_true(answer, "majority"), "%s\n%s", http_text(answer), trail->said);
    cr_assert(is_master(final));
    WAIT_UNTIL(3000,
               /* the second may have been adopted, too */
               counted(daemon, 0, 1) || counted(daemon, 1, 1));
}
