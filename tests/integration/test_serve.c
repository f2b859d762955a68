/*
 * What is published must serve: addresses that are no node's, a master that loads its data set, one
 * that was restarted, and one that Sentinels call by different names.
 */
#include <string.h>

#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/http.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_serve);

/* ---- addresses ---- */

SCENE(integration_serve, addresses_that_are_no_nodes_are_refused)
{
    static const char *const nowhere[] = {"0.0.0.0",         "::",      "224.0.0.1",
                                          "255.255.255.255", "ff02::1", "::ffff:0.0.0.0",
                                          "::ffff:239.1.1.1"};
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct server *node = &cluster->nodes[0];
    struct fake_words words = {.run_id = "feedfacefeedfacefeedfacefeedfacefeedface",
                               .master_name = "mymaster",
                               .master_host = nowhere[0],
                               .master_port = text("%u", node->port)};
    struct fake *fake = fake_start(FAKE_SENTINEL, &words);
    const char *mapped = text("0.0.0.0:%u=127.0.0.1:%u", node->port, node->port);
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", fake_address(fake), "--master",
                                               "mymaster", "--poll-interval", "100ms", NULL);
    const struct daemon *mapping = daemon_start(NULL, "--sentinel", fake_address(fake), "--master",
                                                "mymaster", "--map", mapped, NULL);

    EXPECT_MASTER(mapping, node, 3000);
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        words.master_host = nowhere[i];
        fake_say(fake, &words);
        const unsigned heard = fake_heard(fake, "SENTINEL GET-MASTER-ADDR-BY-NAME");
        WAIT_UNTIL(3000, fake_heard(fake, "SENTINEL GET-MASTER-ADDR-BY-NAME") > heard + 2);
        HOLDS_NOW(strcmp(http_string(daemon_get(daemon, "/sentinels"), "sentinels.0.error.code"),
                         "undialable") == 0);
        cr_assert_eq(status_of(daemon, "/master?stale=1"), 503, "%s", nowhere[i]);
    }
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "code=undialable"));
    const char *metrics = daemon_get(daemon, "/metrics")->body;
    cr_assert(strstr(metrics, "reason=\"undialable\"} "));
    cr_assert(!strstr(metrics, "reason=\"undialable\"} 0\n"), "it is counted");
    words.master_host = "127.0.0.1";
    fake_say(fake, &words);
    EXPECT_MASTER(daemon, node, 3000);
}

/* ---- loading ---- */

#define LOADING_CONF \
    "key-load-delay 100\nloading-process-events-interval-bytes 1024\nlua-time-limit 100\n" \
    "repl-diskless-sync no\n"

/* The master again, with its data set to load, which takes some four seconds. */
static void start_loading(struct server *node)
{
    const char *const argv[] = {"redis-server", node->config, NULL};

    node->process = process_start(&(struct process_spec){.name = node->label, .argv = argv});
    WAIT_UNTIL(5000, strstr(redis_say(node, "PING"), "LOADING") != NULL);
}

static struct cluster *start_with_data(void)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 3, .down_after_ms = 20000, .node_conf = LOADING_CONF});

    cr_assert_str_eq(redis_say(&cluster->nodes[0], "DEBUG POPULATE 40000 k 8"), "OK");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "SAVE"), "OK");
    return cluster;
}

static bool problem_names(const struct daemon *daemon, const char *path, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, path);

    return answer->status == 503 && strstr(answer->body, reason);
}

SCENE(integration_serve, a_loading_master_is_not_served)
{
    struct cluster *cluster = start_with_data();
    struct server *master = &cluster->nodes[0];
    const struct daemon *daemon =
        daemon_start(cluster, "--self", master->address, "--redis-api", "loopback",
                     "--suspect-after", "30s", "--command-timeout", "300ms", NULL);

    EXPECT_MASTER(daemon, master, 3000);
    WAIT_UNTIL(3000, status_of(daemon, "/self/ready") == 200);

    server_kill(master);
    EXPECT_NONE(daemon, NULL, NULL, 1000);
    start_loading(master);
    EXPECT_NONE(daemon, "down", "redis_loading", 1500);
    const struct daemon *late = daemon_start(cluster, NULL);
    EXPECT_NONE(late, "unknown", "redis_loading", 2000);
    cr_assert_eq(status_of(late, "/master?stale=1"), 503, "not published, by whatever majority");
    cr_assert(strstr(redis_say(master, "PING"), "LOADING"), "it has to load for longer than that");
    cr_assert(problem_names(daemon, "/master?fresh=1", "redis_loading"));
    cr_assert(problem_names(daemon, "/self/master", "redis_loading"));
    WAIT_UNTIL(2500, problem_names(daemon, "/self/ready", "redis_loading"));
    cr_assert_eq(status_of(daemon, "/readyz/master"), 503);
    cr_assert(problem_names(daemon, "/redis/get/k:1", "NOMASTER"));
    cr_assert_eq(status_of(daemon, "/readyz"), 200);
    while (strstr(redis_say(master, "PING"), "LOADING")) {
        cr_assert(says_none(daemon, "down", "redis_loading") ||
                  !strstr(redis_say(master, "PING"), "LOADING"));
    }
    EXPECT_MASTER(daemon, master, 1500);
    EXPECT_MASTER(late, master, 1500);
    EXPECT_REASON(daemon, NULL, 3000);
    WAIT_UNTIL(3000, status_of(daemon, "/self/ready") == 200);
}

SCENE(integration_serve, a_master_that_loads_is_ok_without_verification)
{
    struct cluster *cluster = start_with_data();
    struct server *master = &cluster->nodes[0];
    const struct daemon *daemon = daemon_start(cluster, "--verify", "off", NULL);

    EXPECT_MASTER(daemon, master, 3000);
    server_kill(master);
    start_loading(master);
    HOLDS_FOR(1000, says_master(daemon, master));
}

SCENE(integration_serve, a_user_who_may_not_ping_is_verified)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1,
        .sentinels = 1,
        .node_conf = "user watch on >secret +hello +auth -ping\n",
    });
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=secret", NULL};
    const char *const flags[] = {"--redis-username", "watch", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .env = env, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    HOLDS_FOR(2500, says_master(daemon, &cluster->nodes[0]));
    cr_assert_str_eq(http_string(daemon_get(daemon, "/master"), "state"), "ok");
    cr_assert(json_is_true(http_value(daemon_get(daemon, "/master"), "verified")));
}

SCENE(integration_serve, a_script_that_blocks_leaves_it_ok)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .down_after_ms = 20000, .node_conf = "lua-time-limit 100\n"});
    const struct server *master = &cluster->nodes[0];
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, master, 3000);
    EXPECT_REASON(daemon, NULL, 3000);
    /* The test's client gives up after two seconds, the script goes on. */
    (void)redis_say(master, "EVAL %s 0", "while true do end");
    WAIT_UNTIL(2000, strstr(redis_say(master, "PING"), "BUSY") != NULL);
    HOLDS_FOR(2500, says_master(daemon, master) && says_reason(daemon, NULL));
    cr_assert(strstr(redis_say(master, "PING"), "BUSY"));
    cr_assert_str_eq(redis_say(master, "SCRIPT KILL"), "OK");
}

/* ---- restarts ---- */

#define RESTARTS "bellwether_master_restarts_total{master=\"mymaster\"}"

SCENE(integration_serve, a_restart_is_told_at_the_next_check)
{
    /* Sentinels that ask for its run id every ten seconds only. */
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .down_after_ms = 20000, .slow_pace = true});
    struct server *master = &cluster->nodes[0];
    const struct daemon *daemon = daemon_start(cluster, NULL);
    size_t from = 0;

    EXPECT_MASTER(daemon, master, 3000);
    EXPECT_REASON(daemon, NULL, 3000);
    cr_assert(json_is_null(http_value(daemon_get(daemon, "/master"), "restarted")));
    wait_for_check(daemon);
    struct stream *events = stream_open(daemon, "/events", NULL);
    for (int times = 1; times <= 2; times++) {
        const char *before = text("%s", http_string(daemon_get(daemon, "/master"), "since"));

        server_kill(master);
        server_start(master);
        if (times == 1) {
            (void)stream_wait(events, &from, "master", "\"restarted\":\"2", 1800);
        }
        WAIT_UNTIL(1800,
                   metric_of(daemon, RESTARTS) == times && status_of(daemon, "/master") == 200);
        const struct http_answer *answer = daemon_get(daemon, "/master");
        cr_assert_eq(answer->status, 200);
        cr_assert_str_eq(http_string(answer, "since"), before);
        cr_assert(json_is_null(http_value(answer, "previous")), "%s", http_text(answer));
        const struct http_answer *failovers = daemon_get(daemon, "/failovers");
        cr_assert_eq(json_array_size(http_value(failovers, "failovers")), (size_t)times, "%s",
                     http_text(failovers));
        cr_assert_str_eq(http_string(failovers, "failovers.0.outcome"), "recovered");
        cr_assert_str_eq(http_string(failovers, "failovers.0.reason"), "restarted");
        EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "master restarted") == (size_t)times);
    }
    stream_close(events);
    /* Until every Sentinel has its run id, too. */
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        WAIT_UNTIL(15000,
                   strcmp(reply_field(redis_ask(&cluster->sentinels[i], "SENTINEL MASTER mymaster"),
                                      "runid"),
                          reply_field(redis_ask(&cluster->sentinels[0], "SENTINEL MASTER mymaster"),
                                      "runid")) == 0);
    }
    HOLDS_FOR(1500, metric_of(daemon, RESTARTS) == 2);
}

SCENE(integration_serve, a_restart_is_told_by_sentinels_where_info_is_denied)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1,
        .down_after_ms = 20000,
        .node_conf = "user watch on >secret +hello +auth +ping\n",
    });
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=secret", NULL};
    const char *const flags[] = {"--redis-username", "watch", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .env = env, .flags = flags});
    struct server *master = &cluster->nodes[0];

    EXPECT_MASTER(daemon, master, 3000);
    EXPECT_REASON(daemon, NULL, 3000);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/master"), "state"), "ok");
    server_kill(master);
    server_start(master);
    WAIT_UNTIL(15000, metric_of(daemon, RESTARTS) == 1);
    HOLDS_FOR(2500, metric_of(daemon, RESTARTS) == 1);
}
