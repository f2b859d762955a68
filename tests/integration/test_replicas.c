/* /replicas and /replica. */
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_replicas);

static json_t *replica_row(const struct http_answer *answer, const char *address)
{
    size_t i;
    json_t *row;

    json_array_foreach(
        http_value(answer, "replicas"), i,
        row) if (strcmp(json_string_value(json_object_get(row, "address")), address) == 0)
    {
        return row;
    }
    return NULL;
}

static bool is_healthy(const struct daemon *daemon, const char *address, bool healthy)
{
    json_t *row = replica_row(daemon_get(daemon, "/replicas"), address);

    return row && json_is_true(json_object_get(row, "healthy")) == healthy;
}

/*
 * A Sentinel that stood still longer than three of its periods hangs up where it listens, and until
 * the daemon asks again, ten seconds later, each replica is called disconnected. One alone need not
 * publish.
 */
static void publish_seldom(const struct cluster *cluster)
{
    cr_assert_str_eq(redis_say(&cluster->sentinels[0], "SENTINEL DEBUG PUBLISH-PERIOD 60000"),
                     "OK");
}

/* The body without what grows by itself. */
static json_t *without_ages(const struct http_answer *answer)
{
    size_t i;
    json_t *row;

    json_array_foreach(http_value(answer, "replicas"), i, row)
    {
        (void)json_object_del(row, "lag_bytes");
        (void)json_object_del(row, "lag_age_ms");
    }
    return answer->json;
}

SCENE(integration_replicas, shape)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(25000, is_healthy(daemon, cluster->nodes[1].address, true) &&
                          is_healthy(daemon, cluster->nodes[2].address, true));
    const struct http_answer *answer = daemon_get(daemon, "/replicas");
    cr_assert_str_eq(http_string(answer, "name"), "mymaster");
    cr_assert_eq(json_array_size(http_value(answer, "replicas")), 2, "%s", http_text(answer));
    json_t *row = replica_row(answer, cluster->nodes[1].address);
    static const char *const members[] = {
        "host",         "port",      "address",    "url",      "run_id",     "healthy", "link_up",
        "link_down_ms", "lag_bytes", "lag_age_ms", "priority", "promotable", "why_not", "flags"};
    size_t i = 0;
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value)
    {
        cr_assert(i < sizeof(members) / sizeof(*members), "an unknown member %s", key);
        cr_assert_str_eq(key, members[i], "the contract's order");
        i++;
    }
    cr_assert_eq(i, sizeof(members) / sizeof(*members), "%s", http_text(answer));
    cr_assert(json_is_true(json_object_get(row, "link_up")));
    cr_assert(json_is_true(json_object_get(row, "promotable")), "%s", http_text(answer));
    cr_assert_eq(json_integer_value(json_object_get(row, "priority")), 100);
    cr_assert_eq(strlen(json_string_value(json_object_get(row, "run_id"))), 40);
    const struct http_answer *same = daemon_get(daemon, "/masters/mymaster/replicas");
    (void)json_object_del(same->json, "index");
    (void)json_object_del(answer->json, "index");
    cr_assert(json_equal(without_ages(same), without_ages(answer)), "%s and %s", http_text(same),
              http_text(answer));
    const struct http_answer *lines = daemon_get(daemon, "/replicas?format=text");
    cr_assert_eq(count_in(lines->body, "\n"), 2, "%s", lines->body);
    cr_assert(strstr(lines->body, text("%s\n", cluster->nodes[2].address)));
}

SCENE(integration_replicas, replica_added_and_removed)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    publish_seldom(cluster);
    WAIT_UNTIL(25000, is_healthy(daemon, cluster->nodes[1].address, true));
    const char *tag = http_header(daemon_get(daemon, "/replicas"), "etag");
    struct server *added = cluster_add_node(cluster, &cluster->nodes[0]);
    WAIT_UNTIL(25000, is_healthy(daemon, added->address, true));
    cr_assert_eq(daemon_get_with(daemon, "/replicas", text("If-None-Match: %s", tag))->status, 200,
                 "the ETag changed with it");
    server_kill(added);
    WAIT_UNTIL(25000, is_healthy(daemon, added->address, false));
    json_t *row = replica_row(daemon_get(daemon, "/replicas"), added->address);
    cr_assert(json_is_false(json_object_get(row, "promotable")));
    cr_assert_gt(json_array_size(json_object_get(row, "why_not")), 0);
    for (int i = 0; i < 8; i++) {
        cr_assert_str_neq(http_string(daemon_get(daemon, "/replica"), "address"), added->address);
    }
    /* how a replica is removed */
    (void)redis_say(&cluster->sentinels[0], "SENTINEL RESET mymaster");
    WAIT_UNTIL(20000, !replica_row(daemon_get(daemon, "/replicas"), added->address));
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
}

SCENE(integration_replicas, round_robin)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.sentinels = 1, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(25000, is_healthy(daemon, cluster->nodes[1].address, true) &&
                          is_healthy(daemon, cluster->nodes[2].address, true));
    int first = 0, second = 0;
    for (int i = 0; i < 10; i++) {
        const struct http_answer *answer =
            daemon_get(daemon, i % 2 == 0 ? "/replica" : "/masters/mymaster/replica");

        cr_assert_eq(answer->status, 200, "%s", http_text(answer));
        first += strcmp(http_string(answer, "address"), cluster->nodes[1].address) == 0 ? 1 : 0;
        second += strcmp(http_string(answer, "address"), cluster->nodes[2].address) == 0 ? 1 : 0;
    }
    cr_assert(first >= 3 && second >= 3 && first + second == 10, "%d and %d of 10", first, second);
    const char *line = daemon_get(daemon, "/replica?format=url")->body;
    cr_assert(strncmp(line, "redis://127.0.0.1:", 18) == 0, "%s", line);
}

SCENE(integration_replicas, max_lag)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(15000, json_is_integer(
                          http_value(daemon_get(daemon, "/replicas"), "replicas.0.lag_bytes")));
    WAIT_UNTIL(15000, status_of(daemon, "/replica?max_lag=10mb") == 200);
    HOLDS_NOW(status_of(daemon, "/replica?max_lag=1048576") == 200);
}

/* The largest lag on /metrics; -1: unknown. */
static long long largest_lag(const struct daemon *daemon)
{
    static const char series[] = "\nbellwether_replica_lag_bytes_max{master=\"mymaster\"} ";
    const char *at = strstr(daemon_get(daemon, "/metrics")->body, series);

    return !at ? -1 : strtoll(at + sizeof(series) - 1, NULL, 10);
}

/*
 * A script keeps a replica busy: its link is up, it says its role, and it takes nothing from its
 * master. Its Sentinel must neither call it down for that nor hang up because nobody can publish
 * there.
 */
SCENE(integration_replicas, one_that_lags)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2, .sentinels = 1, .down_after_ms = 60000, .node_conf = "lua-time-limit 50\n"});
    struct server *master = &cluster->nodes[0], *replica = &cluster->nodes[1];
    const struct daemon *daemon = daemon_start(cluster, "--self", replica->address, NULL);
    static const char *const within[] = {"/replica?max_lag=100kb", "/self/replica?max_lag=100kb",
                                         "/self/ready?max_lag=100kb"};
    static const char script[] = "EVAL 'while true do end' 0\r\n";

    EXPECT_MASTER(daemon, master, 4000);
    publish_seldom(cluster);
    for (size_t i = 0; i < 3; i++) {
        WAIT_UNTIL(15000, status_of(daemon, within[i]) == 200);
    }

    struct raw *busy = raw_open(replica->port);
    cr_assert(busy && raw_send(busy, script, sizeof(script) - 1));
    WAIT_UNTIL(3000, strstr(redis_say(replica, "PING"), "BUSY") != NULL);
    const char *value = text("%0512000d", 0);
    cr_assert_str_eq(redis_say(master, "SET %s %s", "key", value), "OK");
    for (size_t i = 0; i < 3; i++) {
        WAIT_UNTIL(4000, status_of(daemon, within[i]) == 503);
    }
    for (size_t i = 1; i < 3; i++) {
        const struct http_answer *refused = daemon_get(daemon, within[i]);

        cr_assert_str_eq(http_string(refused, "reason"), "lag", "%s\n%s", http_text(refused),
                         http_text(daemon_get(daemon, "/replicas")));
        cr_assert_str_neq(http_header(refused, "retry-after"), "");
    }
    cr_assert_geq(largest_lag(daemon), 512000);
    static const char *const all_the_same[] = {"/replica", "/replica?max_lag=10mb", "/self/replica",
                                               "/self/replica?max_lag=10mb", "/self/ready"};
    for (size_t i = 0; i < sizeof(all_the_same) / sizeof(all_the_same[0]); i++) {
        cr_assert_eq(status_of(daemon, all_the_same[i]), 200, "%s: %s", all_the_same[i],
                     http_text(daemon_get(daemon, all_the_same[i])));
    }
    const struct http_answer *instead =
        daemon_get(daemon, "/replica?max_lag=100kb&fallback=master");
    cr_assert(instead->status == 200 &&
                  strcmp(http_string(instead, "address"), master->address) == 0,
              "%s", http_text(instead));

    cr_assert_str_eq(redis_say(replica, "SCRIPT KILL"), "OK");
    for (size_t i = 0; i < 3; i++) {
        WAIT_UNTIL(15000, status_of(daemon, within[i]) == 200);
    }
    cr_assert_lt(largest_lag(daemon), 100000);
}

/* A replica that stands still, so that what is written from now on is its lag. */
static void leave_behind(struct server *master, struct server *replica, const char *key)
{
    server_freeze(replica);
    cr_assert_str_eq(redis_say(master, "SET %s %s", key, text("%0300000d", 0)), "OK");
}

static long long lag_of(const struct daemon *daemon, long long *age_ms)
{
    const struct http_answer *answer = daemon_get(daemon, "/replicas");

    *age_ms = json_is_integer(http_value(answer, "replicas.0.lag_age_ms"))
                  ? http_number(answer, "replicas.0.lag_age_ms")
                  : -1;
    return *age_ms < 0 ? -1 : http_number(answer, "replicas.0.lag_bytes");
}

SCENE(integration_replicas, lag_is_fresh_while_it_is_read)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = 60000});
    struct server *master = &cluster->nodes[0], *replica = &cluster->nodes[1];
    const struct daemon *daemon = daemon_start(cluster, NULL);
    long long age_ms = -1;

    EXPECT_MASTER(daemon, master, 4000);
    publish_seldom(cluster);
    WAIT_UNTIL(15000, lag_of(daemon, &age_ms) >= 0);
    for (int i = 0; i < 2; i++) {
        leave_behind(master, replica, text("key-%d", i));
        WAIT_UNTIL(2500, lag_of(daemon, &age_ms) >= 300000);
        HOLDS_FOR(2500, lag_of(daemon, &age_ms) >= 300000 && age_ms < patient(2000));
        const char *tag = http_header(daemon_get(daemon, "/replicas"), "etag");
        cr_assert(strncmp(tag, "W/\"", 3) == 0, "%s", tag);
        server_thaw(replica);
        WAIT_UNTIL(4000, lag_of(daemon, &age_ms) < 10000);
    }
}

/*
 * Nobody has read it for a while, so what is known is too old to judge by: the first request has to
 * get what is true.
 */
SCENE(integration_replicas, max_lag_judges_by_nothing_old)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = 60000});
    struct server *master = &cluster->nodes[0], *replica = &cluster->nodes[1];
    const struct daemon *daemon = daemon_start(cluster, "--self", replica->address, NULL);
    static const char *const within[] = {"/replica?max_lag=100kb", "/self/replica?max_lag=100kb"};

    EXPECT_MASTER(daemon, master, 4000);
    publish_seldom(cluster);
    for (size_t i = 0; i < 2; i++) {
        WAIT_UNTIL(15000, status_of(daemon, within[i]) == 200);
    }
    HOLDS_FOR(6000, status_of(daemon, "/livez") == 200); /* and nobody reads it */
    HOLDS_NOW(status_of(daemon, within[0]) == 200);      /* not refused for its age */
    HOLDS_FOR(6000, status_of(daemon, "/livez") == 200);
    leave_behind(master, replica, "key");
    const int64_t asked_ms = running_ms();
    const long status = status_of(daemon, within[0]);
    cr_assert_lt(running_ms() - asked_ms, patient(900));
    /* after a pause all was asked anew, and no caller sets the pace */
    cr_assert(status == 503 || stood_still_lately(), "%s",
              http_text(daemon_get(daemon, "/replicas")));
    HOLDS_NOW(status_of(daemon, within[0]) == 503);
    HOLDS_NOW(status_of(daemon, within[1]) != 200);
    server_thaw(replica);
    for (size_t i = 0; i < 2; i++) {
        WAIT_UNTIL(5000, status_of(daemon, within[i]) == 200);
    }
}

SCENE(integration_replicas, none_and_fallback)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const struct http_answer *none = daemon_get(daemon, "/replica");
    cr_assert_eq(none->status, 503, "%s", http_text(none));
    cr_assert_str_neq(http_header(none, "retry-after"), "");
    const struct http_answer *fallback = daemon_get(daemon, "/replica?fallback=master");
    cr_assert_eq(fallback->status, 200, "%s", http_text(fallback));
    cr_assert_str_eq(http_string(fallback, "role"), "master");
    cr_assert_str_eq(http_string(fallback, "address"), cluster->nodes[0].address);
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")), 0);
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    cr_assert_eq(status_of(daemon, "/replica?fallback=master"), 503, "no master to fall back to");
}

SCENE(integration_replicas, role_of_a_replica_is_said)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    WAIT_UNTIL(15000, status_of(daemon, "/replica") == 200);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/replica?fallback=master"), "role"),
                     "replica");
}

static bool is_called(const struct daemon *daemon, size_t n_flags)
{
    json_t *row = json_array_get(http_value(daemon_get(daemon, "/replicas"), "replicas"), 0);

    return json_array_size(json_object_get(row, "flags")) == n_flags;
}

/* No event tells that a Sentinel has its connection to a replica again. */
SCENE(integration_replicas, one_that_was_disconnected_is_asked_for_again_soon)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    struct fake_words words = {.run_id = "5e271e15e271e15e271e15e271e15e271e15e271",
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", cluster->nodes[0].port),
                               .replica_port = text("%u", cluster->nodes[1].port),
                               .replica_flags = "slave,disconnected"};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", fake_address(sentinel), NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(4000, is_called(daemon, 2));
    words.replica_flags = NULL;
    fake_say(sentinel, &words);
    WAIT_UNTIL(5000, is_called(daemon, 1));
    /* and as seldom as before then: every second would be five times */
    const unsigned asked = fake_heard(sentinel, "SENTINEL REPLICAS");
    const size_t pauses = daemon_pauses(daemon);
    HOLDS_FOR(5000, fake_heard(sentinel, "SENTINEL REPLICAS") <=
                        asked + 2 + 2 * (unsigned)(daemon_pauses(daemon) - pauses));
}
