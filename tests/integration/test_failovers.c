/* /failovers: what a person sees with curl after each kind of bad night. */
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_failovers);

/* Role checks are a second apart, and both the daemon and this test may be late. */
enum { SLACK_MS = 2600 };

static const char *entry_string(const struct http_answer *answer, int i, const char *member)
{
    return http_string(answer, text("failovers.%d.%s", i, member));
}

static long long entry_number(const struct http_answer *answer, int i, const char *member)
{
    return http_number(answer, text("failovers.%d.%s", i, member));
}

static bool entry_null(const struct http_answer *answer, int i, const char *member)
{
    return json_is_null(http_value(answer, text("failovers.%d.%s", i, member)));
}

static size_t entries(const struct http_answer *answer)
{
    return json_array_size(http_value(answer, "failovers"));
}

/* "suspected sdown odown ..." of an entry; its `ms` must not go back. */
static const char *phases_of(const struct http_answer *answer, int i)
{
    const json_t *list = http_value(answer, text("failovers.%d.phases", i)), *phase;
    const char *all = "";
    json_int_t last = 0;
    size_t at;

    json_array_foreach(list, at, phase)
    {
        const json_int_t ms = json_integer_value(json_object_get(phase, "ms"));

        all = text("%s%s%s", all, at > 0 ? " " : "",
                   json_string_value(json_object_get(phase, "phase")));
        cr_assert(ms >= last && (at > 0 || ms == 0), "%s", http_text(answer));
        last = ms;
    }
    return all;
}

/* Whether the newest entry has that outcome and came to its end. */
static bool ended_as(const struct daemon *daemon, const char *outcome)
{
    const struct http_answer *answer = daemon_get(daemon, "/failovers");

    return entries(answer) > 0 && strcmp(entry_string(answer, 0, "outcome"), outcome) == 0 &&
           !entry_null(answer, 0, "ended");
}

#define EXPECT_ENDED(daemon, outcome, bound_ms) \
    do { \
        const int64_t end_ = wait_ends_ms(bound_ms); \
        while (!ended_as(daemon, outcome)) { \
            cr_assert(now_ms() < end_, "no %s within %d ms: %s\n%s", outcome, bound_ms, \
                      http_text(daemon_get(daemon, "/failovers")), daemon_log(daemon)); \
            nap_ms(15); \
        } \
    } while (0)

/* Down, up and published in any timing, so only what must be there and in which order. */
static void check_order(const char *phases, const char *const *order)
{
    const char *at = phases;

    for (; *order; order++) {
        const char *next = strstr(at, *order);

        cr_assert(next, "%s is missing or out of order in: %s", *order, phases);
        at = next + 1;
    }
}

SCENE(integration_failovers, none_yet)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_eq(answer->status, 200);
    cr_assert_str_eq(answer->body, "{\"failovers\":[]}\n");
    cr_assert_str_eq(http_header(answer, "cache-control"), "no-store");
    cr_assert_str_eq(daemon_get(daemon, "/failovers?format=text")->body,
                     "no failover since the daemon started\n");
    cr_assert_eq(status_of(daemon, "/failovers?master=mymaster&limit=10000"), 200);
    answer = daemon_get(daemon, "/failovers?master=nobody");
    cr_assert_eq(answer->status, 404);
    cr_assert_str_eq(http_string(answer, "sentinels_know.0"), "mymaster");
    for (const char *const *bad = (const char *const[]){"limit=0", "limit=-1", "limit=x",
                                                        "limit=10001", "limit=", "master=", NULL};
         *bad; bad++) {
        answer = daemon_get(daemon, text("/failovers?%s", *bad));
        cr_assert_eq(answer->status, 400, "%s: %s", *bad, http_text(answer));
        cr_assert(strncmp(http_string(answer, "parameter"), *bad, 5) == 0, "%s", http_text(answer));
    }
    cr_assert_eq(daemon_ask(daemon, "POST", "/failovers")->status, 405);
    cr_assert_eq(daemon_ask(daemon, "HEAD", "/failovers")->status, 200);
    cr_assert_eq(daemon_ask(daemon, "OPTIONS", "/failovers")->status, 204);
}

SCENE(integration_failovers, kill_nine)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    const int64_t killed_ms = now_ms();
    server_kill(old);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, new_master, 2000);
    const int64_t gap_ms = now_ms() - killed_ms;
    EXPECT_ENDED(daemon, "switched", 15000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(entry_string(answer, 0, "name"), "mymaster");
    cr_assert_str_eq(entry_string(answer, 0, "kind"), "crash", "%s", http_text(answer));
    cr_assert_str_eq(entry_string(answer, 0, "from"), old->address);
    cr_assert_str_eq(entry_string(answer, 0, "to"), new_master->address);
    cr_assert(entry_null(answer, 0, "reason"));
    cr_assert_eq(entry_number(answer, 0, "config_epoch"),
                 http_number(daemon_master(daemon), "config_epoch"), "%s", http_text(answer));
    check_order(phases_of(answer, 0),
                (const char *const[]){"suspected", "sdown", "elected", "selected", "promoting",
                                      "promoted", "finished", NULL});
    check_order(phases_of(answer, 0),
                (const char *const[]){"suspected", "odown", "published", NULL});
    bool led = false;
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        led = led || strcmp(entry_string(answer, 0, "leader"), cluster->sentinels[i].address) == 0;
    }
    cr_assert(led, "%s", http_text(answer));
    /* One role check a second: so much more than the test saw, at the most. */
    const long long unavailable_ms = entry_number(answer, 0, "unavailable_ms");
    cr_assert(unavailable_ms >= 600 && unavailable_ms <= gap_ms + patient(SLACK_MS),
              "%lld of %lld: %s", unavailable_ms, (long long)gap_ms, http_text(answer));
    cr_assert_eq(entries(answer), 1, "three Sentinels, one failover: %s", http_text(answer));

    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "msg=failover ") == 1);
    const char *log = daemon_log(daemon);
    cr_assert(strstr(log, text("outcome=switched kind=crash from=%s to=%s", old->address,
                               new_master->address)),
              "%s", log);
    cr_assert(strstr(log, text("unavailable_ms=%lld suspected_ms=0", unavailable_ms)), "%s", log);
    const char *line = daemon_get(daemon, "/failovers?format=text")->body;
    cr_assert(strstr(line, text(" mymaster switched crash %s -> %s epoch ", old->address,
                                new_master->address)) &&
                  strstr(line, ": suspected 0, sdown ") && count_in(line, "\n") == 1,
              "%s", line);
}

SCENE(integration_failovers, manual_twice_and_the_ring)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const struct daemon *forgetful = daemon_start(cluster, "--history", "1", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    EXPECT_MASTER(forgetful, old, 3000);
    for (int i = 0; i < 2; i++) {
        cluster_settle(cluster);
        struct trail *trail = trail_start(daemon, cluster);
        struct server *new_master = trail_fail_over(trail, cluster, old);
        trail_until(trail, new_master, 2000);
        EXPECT_ENDED(daemon, "switched", 15000);
        const struct http_answer *answer = daemon_get(daemon, "/failovers?limit=1");
        cr_assert_eq(entries(answer), 1);
        cr_assert_str_eq(entry_string(answer, 0, "kind"), "manual", "%s\n%s", http_text(answer),
                         daemon_log(daemon));
        cr_assert_str_eq(entry_string(answer, 0, "from"), old->address);
        cr_assert_str_eq(entry_string(answer, 0, "to"), new_master->address);
        const char *phases = phases_of(answer, 0); /* event and answer come on two connections */
        cr_assert(strcmp(phases, "elected selected promoting promoted published finished") == 0 ||
                      strcmp(phases, "elected selected promoting published promoted finished") == 0,
                  "%s\n%s", phases, daemon_log(daemon));
        cr_assert_eq(entry_number(answer, 0, "unavailable_ms"), 0, "it answered all the while: %s",
                     http_text(answer));
        old = new_master;
    }
    const struct http_answer *answer = daemon_get(daemon, "/failovers?master=mymaster");
    cr_assert_geq(entries(answer), 2);
    cr_assert_gt(entry_number(answer, 0, "id"), entry_number(answer, 1, "id"));
    cr_assert_str_eq(entry_string(answer, 0, "from"), entry_string(answer, 1, "to"));
    EXPECT_ENDED(forgetful, "switched", 15000);
    answer = daemon_get(forgetful, "/failovers");
    cr_assert_eq(entries(answer), 1);
    cr_assert_geq(entry_number(answer, 0, "id"), 2);
    EXPECT_LOGGED(forgetful, count_in(daemon_log(forgetful), "msg=failover ") >= 2);
}

SCENE(integration_failovers, aborted_without_a_good_replica_then_done)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.node_conf = "replica-priority 0\n"});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    const int64_t killed_ms = now_ms();
    server_kill(old);
    EXPECT_ENDED(daemon, "aborted", 20000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(entry_string(answer, 0, "reason"), "no_good_slave", "%s", http_text(answer));
    cr_assert_str_eq(entry_string(answer, 0, "kind"), "crash");
    cr_assert(entry_null(answer, 0, "to"));
    cr_assert(entry_null(answer, 0, "unavailable_ms"), "nobody knows how long yet: %s",
              http_text(answer));
    check_order(phases_of(answer, 0),
                (const char *const[]){"suspected", "sdown", "odown", "elected", NULL});
    const long long id = entry_number(answer, 0, "id");
    for (size_t i = 1; i < cluster->n_nodes; i++) {
        (void)redis_ask(&cluster->nodes[i], "CONFIG SET replica-priority 100");
    }
    struct server *new_master = cluster_wait_switch(cluster, old, 60000);
    EXPECT_MASTER(daemon, new_master, 2000);
    const int64_t gap_ms = now_ms() - killed_ms;
    EXPECT_ENDED(daemon, "switched", 15000);
    answer = daemon_get(daemon, "/failovers");
    cr_assert_gt(entry_number(answer, 0, "id"), id, "another attempt, another entry");
    cr_assert_str_eq(entry_string(answer, 0, "kind"), "crash", "%s", http_text(answer));
    const long long unavailable_ms = entry_number(answer, 0, "unavailable_ms");
    cr_assert(unavailable_ms <= gap_ms + patient(SLACK_MS) &&
                  unavailable_ms >= gap_ms - patient(SLACK_MS),
              "from the last good role check, not from the second attempt: %lld of %lld",
              unavailable_ms, (long long)gap_ms);
    const size_t n = entries(answer);
    cr_assert_str_eq(entry_string(answer, (int)n - 1, "outcome"), "aborted");
    cr_assert(entry_null(answer, (int)n - 1, "unavailable_ms"), "%s", http_text(answer));
}

static bool newest_is(const struct daemon *daemon, const char *outcome)
{
    const struct http_answer *answer = daemon_get(daemon, "/failovers?limit=1");

    return entries(answer) == 1 && strcmp(entry_string(answer, 0, "outcome"), outcome) == 0;
}

static double failovers_total(const struct daemon *daemon, const char *outcome)
{
    const char *at = daemon_get(daemon, "/metrics")->body;
    double total = 0;

    while ((at = strstr(at, "\nbellwether_failovers_total{"))) {
        const char *value = strchr(++at, '}');
        const char *labelled = strstr(at, text("outcome=\"%s\"", outcome));

        if (labelled && labelled < value) {
            total += strtod(value + 1, NULL);
        }
    }
    return total;
}

/*
 * The master dies, and those who could replace it are not there: that is said while it lasts, and
 * then it is over.
 */
static void nobody_handles_it(struct cluster *cluster, const struct daemon *daemon,
                              const char *phases)
{
    struct server *master = &cluster->nodes[0];
    wait_for_check(daemon);
    const int64_t killed_ms = now_ms();
    server_kill(master);
    WAIT_UNTIL(30000, newest_is(daemon, "unattended"));
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(entry_string(answer, 0, "reason"), "no_quorum", "%s", http_text(answer));
    cr_assert_str_eq(phases_of(answer, 0), phases);
    cr_assert(entry_null(answer, 0, "ended") && entry_null(answer, 0, "unavailable_ms") &&
                  entry_null(answer, 0, "leader") && entry_null(answer, 0, "to"),
              "%s", http_text(answer));
    cr_assert_str_eq(entry_string(answer, 0, "from"), master->address);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/status"), "masters.0.failover.outcome"),
                     "unattended");
    cr_assert(strstr(daemon_get(daemon, "/status?format=text")->body,
                     "\n! outage that no Sentinel handles (no_quorum) for "));
    server_start(master);
    EXPECT_MASTER(daemon, master, 5000);
    const int64_t gap_ms = now_ms() - killed_ms;
    EXPECT_ENDED(daemon, "recovered", 5000);
    answer = daemon_get(daemon, "/failovers");
    cr_assert_eq(entries(answer), 1, "%s", http_text(answer));
    WAIT_UNTIL(3000, strcmp(entry_string(daemon_get(daemon, "/failovers"), 0, "reason"),
                            "restarted") == 0);
    cr_assert_gt(entry_number(answer, 0, "unavailable_ms"), 0);
    cr_assert_leq(entry_number(answer, 0, "unavailable_ms"), gap_ms + patient(SLACK_MS));
    WAIT_UNTIL(3000, failovers_total(daemon, "recovered") == 1);
}

SCENE(integration_failovers, no_quorum)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    server_kill(&cluster->sentinels[0]);
    server_kill(&cluster->sentinels[1]);
    nobody_handles_it(cluster, daemon, "suspected sdown");
}

SCENE(integration_failovers, no_sentinel_sees_it)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        server_freeze(&cluster->sentinels[i]);
    }
    nobody_handles_it(cluster, daemon, "suspected");
}

SCENE(integration_failovers, leader_dies_in_the_middle)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 2, .down_after_ms = 30000, .failover_timeout_ms = 60000});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    server_freeze(&cluster->nodes[1]); /* it is chosen, told, and does not turn */
    cluster_failover(cluster);         /* through the first Sentinel */
    WAIT_UNTIL(10000, strstr(phases_of(daemon_get(daemon, "/failovers"), 0), "promoting") != NULL);
    server_kill(&cluster->sentinels[0]);
    EXPECT_ENDED(daemon, "aborted", 20000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(entry_string(answer, 0, "reason"), "leader_lost", "%s", http_text(answer));
    cr_assert_str_eq(entry_string(answer, 0, "leader"), cluster->sentinels[0].address);
    cr_assert(entry_null(answer, 0, "to"), "%s", http_text(answer));
    cr_assert_eq(entry_number(answer, 0, "unavailable_ms"), 0, "it answered all the while");
    cr_assert(says_master(daemon, old));
}

static bool sees_replica(const struct server *sentinel, const char *name, const struct server *node)
{
    const redisReply *rows = redis_ask(sentinel, "SENTINEL REPLICAS %s", name);

    for (size_t i = 0; rows && i < rows->elements; i++) {
        if (strcmp(reply_field(rows->element[i], "port"), text("%u", node->port)) == 0) {
            return strcmp(reply_field(rows->element[i], "role-reported"), "slave") == 0 &&
                   strcmp(reply_field(rows->element[i], "master-link-status"), "ok") == 0;
        }
    }
    return false;
}

static bool has_phase(const struct daemon *daemon, int i, const char *phase)
{
    return strstr(phases_of(daemon_get(daemon, "/failovers"), i), phase) != NULL;
}

/*
 * The first leader waits for a replica that is frozen, the second for the one that it chose: so the
 * first says its end in the middle of the second failover.
 */
SCENE(integration_failovers, end_of_the_first_comes_in_the_second)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = 40000, .failover_timeout_ms = 40000});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *a = &cluster->nodes[0], *b = &cluster->nodes[1], *c = &cluster->nodes[2];

    EXPECT_MASTER(daemon, a, 3000);
    (void)redis_ask(c, "CONFIG SET replica-priority 0");
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/replicas"), "replicas.0.priority") +
                              http_number(daemon_get(daemon, "/replicas"), "replicas.1.priority") ==
                          100);
    cluster_failover(cluster); /* through the first Sentinel */
    server_freeze(c);
    EXPECT_MASTER(daemon, b, 10000);
    WAIT_UNTIL(20000,
               strcmp(sentinel_says(&cluster->sentinels[1], cluster->name), b->address) == 0);
    /*
     * Until both have turned it: what is on its way to it while it is frozen would undo its
     * promotion.
     */
    WAIT_UNTIL(20000, sees_replica(&cluster->sentinels[1], cluster->name, a) &&
                          sees_replica(&cluster->sentinels[2], cluster->name, a));
    WAIT_UNTIL(20000,
               strcmp(redis_say(&cluster->sentinels[1], "SENTINEL FAILOVER %s", cluster->name),
                      "OK") == 0);
    server_freeze(a);
    WAIT_UNTIL(10000,
               has_phase(daemon, 0, "elected") && entries(daemon_get(daemon, "/failovers")) == 2);
    cr_assert(!has_phase(daemon, 1, "finished"), "%s", daemon_log(daemon));
    server_thaw(c);
    WAIT_UNTIL(20000, has_phase(daemon, 1, "finished"));
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(entry_string(answer, 0, "outcome"), "running", "%s", http_text(answer));
    cr_assert(!has_phase(daemon, 0, "finished"), "%s", http_text(answer));
    cr_assert_str_eq(entry_string(answer, 1, "leader"), cluster->sentinels[0].address);
    cr_assert_str_eq(entry_string(answer, 0, "leader"), cluster->sentinels[1].address);
    server_thaw(a);
    EXPECT_MASTER(daemon, a, 15000);
    EXPECT_ENDED(daemon, "switched", 50000);
    answer = daemon_get(daemon, "/failovers");
    cr_assert_eq(entries(answer), 2, "%s", http_text(answer));
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(entry_string(answer, i, "outcome"), "switched", "%s", http_text(answer));
        cr_assert_str_eq(entry_string(answer, i, "from"), i == 0 ? b->address : a->address);
        cr_assert_str_eq(entry_string(answer, i, "to"), i == 0 ? a->address : b->address);
        cr_assert(has_phase(daemon, i, "published") && has_phase(daemon, i, "finished"), "%s",
                  http_text(answer));
    }
    WAIT_UNTIL(3000, failovers_total(daemon, "switched") == 2);
}

SCENE(integration_failovers, master_comes_back_first)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 20000});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *master = &cluster->nodes[0];

    EXPECT_MASTER(daemon, master, 3000);
    wait_for_check(daemon);
    server_kill(master);
    EXPECT_NONE(daemon, NULL, NULL, 1000);
    WAIT_UNTIL(
        1000, strcmp(entry_string(daemon_get(daemon, "/failovers"), 0, "outcome"), "running") == 0);
    server_start(master);
    EXPECT_MASTER(daemon, master, 3000);
    EXPECT_ENDED(daemon, "recovered", 3000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_str_eq(phases_of(answer, 0), "suspected");
    cr_assert(entry_null(answer, 0, "to"), "%s", http_text(answer));
    cr_assert_gt(entry_number(answer, 0, "unavailable_ms"), 0);
    WAIT_UNTIL(1000, strcmp(entry_string(daemon_get(daemon, "/failovers"), 0, "reason"),
                            "restarted") == 0);
    cr_assert_eq(entries(answer), 1);
}

SCENE(integration_failovers, seen_down_by_sentinels_only)
{
    /*
     * Its Sentinels lose a master that this daemon reaches: it is frozen for longer than their
     * patience, and not for ours.
     */
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.failover_timeout_ms = 20000});
    const struct daemon *daemon = daemon_start(cluster, "--suspect-after", "30s", NULL);
    struct server *master = &cluster->nodes[0];
    EXPECT_MASTER(daemon, master, 3000);
    server_kill(&cluster->sentinels[0]);
    server_kill(&cluster->sentinels[1]);
    server_freeze(master);
    WAIT_UNTIL(15000, strstr(phases_of(daemon_get(daemon, "/failovers"), 0), "sdown") != NULL);
    server_thaw(master);
    EXPECT_ENDED(daemon, "recovered", 15000);
    const struct http_answer *answer = daemon_get(daemon, "/failovers");
    cr_assert_eq(entries(answer), 1, "%s", http_text(answer));
    cr_assert(says_master(daemon, master));
}

SCENE(integration_failovers, two_masters_at_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2});
    struct server *other = cluster_add_node(cluster, NULL);

    (void)cluster_add_node(cluster, other);
    cluster_monitor(cluster, "other", other);
    const struct daemon *daemon = daemon_start(cluster, "--default-master", "mymaster", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(15000,
               http_number(daemon_get(daemon, "/masters/other/replicas"), "replicas.0.port") > 0 &&
                   http_true(daemon_get(daemon, "/masters/other/replicas"), "replicas.0.healthy") &&
                   http_true(daemon_get(daemon, "/masters/other"), "majority"));
    server_kill(&cluster->nodes[0]);
    server_kill(other);
    WAIT_UNTIL(
        60000,
        strcmp(entry_string(daemon_get(daemon, "/failovers?master=other"), 0, "outcome"),
               "switched") == 0 &&
            strcmp(entry_string(daemon_get(daemon, "/failovers?master=mymaster"), 0, "outcome"),
                   "switched") == 0);
    const struct http_answer *mine = daemon_get(daemon, "/failovers?master=mymaster&limit=1"),
                             *others = daemon_get(daemon, "/failovers?master=other&limit=1");
    cr_assert_str_eq(entry_string(mine, 0, "from"), cluster->nodes[0].address);
    cr_assert_str_eq(entry_string(mine, 0, "to"), cluster->nodes[1].address);
    cr_assert_str_eq(entry_string(others, 0, "from"), other->address);
    cr_assert_str_eq(entry_string(others, 0, "to"), cluster->nodes[3].address);
    cr_assert_str_eq(entry_string(mine, 0, "kind"), "crash", "%s", http_text(mine));
    cr_assert_str_eq(entry_string(others, 0, "kind"), "crash", "%s", http_text(others));
}
