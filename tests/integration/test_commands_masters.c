/* Several masters: each command goes to its own, and one that is down is nobody else's trouble. */
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_masters);

/* Two masters that the same Sentinel watches: `mymaster` and `other`. */
static struct cluster *start(struct server **other)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1, .down_after_ms = 20000});

    *other = cluster_add_node(cluster, NULL);
    cluster_monitor(cluster, "other", *other);
    return cluster;
}

static const struct daemon *serve(const struct cluster *cluster, const char *flag,
                                  const char *value)
{
    const char *const flags[] = {"--redis-api", "loopback", "--command-timeout", "3s", flag,
                                 value,         NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    WAIT_UNTIL(5000, status_of(daemon, "/masters/mymaster") == 200 &&
                         status_of(daemon, "/masters/other") == 200);
    return daemon;
}

SCENE(integration_commands_masters, each_to_its_own)
{
    struct server *other;
    struct cluster *cluster = start(&other);
    const struct daemon *daemon = serve(cluster, "--default-master", "other");
    const struct server *mine = &cluster->nodes[0];
    const struct http_answer *answer = command_post(daemon, "/redis", "['SET','k','of other']");

    EXPECT_RESULT(answer, "'OK'");
    cr_assert_str_eq(http_header(answer, "x-bellwether-master"), other->address);
    answer = command_post(daemon, "/masters/mymaster/redis", "['SET','k','of mymaster']");
    EXPECT_RESULT(answer, "'OK'");
    cr_assert_str_eq(http_header(answer, "x-bellwether-master"), mine->address);
    EXPECT_RESULT(daemon_get(daemon, "/masters/other/redis/get/k"), "'of other'");
    EXPECT_RESULT(daemon_get(daemon, "/masters/mymaster/redis/get/k"), "'of mymaster'");
    EXPECT_RESULT(daemon_get(daemon, "/masters/my%6daster/redis/get/k"), "'of mymaster'");
    EXPECT_BODY(command_post(daemon, "/masters/mymaster/redis/pipeline", "[['GET','k']]"), 200,
                "[{'result':'of mymaster'}]");
    EXPECT_BODY(command_post(daemon, "/masters/mymaster/redis/multi-exec", "[['GET','k']]"), 200,
                "[{'result':'of mymaster'}]");
    EXPECT_ERROR(command_post(daemon, "/masters/none/redis", "['PING']"), 404, "NOMASTER", NULL);
    /* One is down: those who ask it wait, and nobody else does. */
    server_kill(other);
    WAIT_UNTIL(5000, status_of(daemon, "/masters/other") == 503);
    const struct sent *waits = command_send(daemon, "/redis", "['GET','k']");
    const struct http_answer *at_once = daemon_get(daemon, "/masters/mymaster/redis/get/k");
    EXPECT_RESULT(at_once, "'of mymaster'");
    cr_assert_lt(at_once->answered_ms - at_once->asked_ms, patient(2500));
    EXPECT_ERROR(command_answer(waits, 10000), 503, "NOMASTER", "not_sent");
    server_start(other);
    WAIT_UNTIL(10000, command_run(daemon, "PING", NULL)->status == 200);
}

SCENE(integration_commands_masters, no_default)
{
    struct server *other;
    struct cluster *cluster = start(&other);

    cluster_monitor(cluster, "third", other);
    const char *const flags[] = {"--redis-api", "loopback", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    WAIT_UNTIL(15000, status_of(daemon, "/masters/third") == 200 &&
                          status_of(daemon, "/masters/mymaster") == 200);
    const struct http_answer *answer = command_run(daemon, "PING", NULL);
    if (answer->status != 200) { /* else it knew one before the others, which stays the default */
        EXPECT_ERROR(answer, 409, "BADREQUEST", NULL);
        cr_assert_gt(json_array_size(http_value(answer, "names")), 1, "%s", http_text(answer));
    }
    EXPECT_RESULT(command_post(daemon, "/masters/third/redis", "['PING']"), "'PONG'");
}

#define IDLE "bellwether_pool_connections{state=\"idle\"}"

/* A master whose name needs encoding, and one that goes away. */
SCENE(integration_commands_masters, one_that_is_removed)
{
    struct server *other;
    struct cluster *cluster = start(&other);
    const struct daemon *daemon = serve(cluster, "--default-master", "mymaster");

    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const double before = metric_of(daemon, IDLE);
    EXPECT_RESULT(command_post(daemon, "/masters/other/redis", "['PING']"), "'PONG'");
    WAIT_UNTIL(5000, metric_of(daemon, IDLE) > before);
    cr_assert_str_eq(redis_say(&cluster->sentinels[0], "SENTINEL REMOVE other"), "OK");
    WAIT_UNTIL(15000, status_of(daemon, "/masters/other") == 404);
    WAIT_UNTIL(5000, metric_of(daemon, IDLE) == before); /* nothing of it stays open */
    EXPECT_ERROR(command_post(daemon, "/masters/other/redis", "['PING']"), 404, "NOMASTER", NULL);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    cluster_monitor(cluster, "other", other);
    WAIT_UNTIL(15000, status_of(daemon, "/masters/other") == 200);
    EXPECT_RESULT(command_post(daemon, "/masters/other/redis", "['PING']"), "'PONG'");
}

SCENE(integration_commands_masters, over_a_unix_socket)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const char *const flags[] = {"--redis-api", "loopback", NULL};
    const struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.cluster = cluster, .flags = flags, .unix_socket = true});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    EXPECT_RESULT(daemon_get(daemon, "/redis/get/k"), "'v'");
    EXPECT_RESULT(command_post_with(daemon, "/redis", "['GET','k']", "Host: unix"), "'v'");
    EXPECT_ERROR(command_post_with(daemon, "/redis", "['GET','k']", "Origin: http://example.org"),
                 403, "NOPERM", NULL);
}
