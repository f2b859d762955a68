/*
 * Commands on replicas: healthy ones in turn, read-only commands only, the next one where the first
 * fails.
 */
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_replicas);

/* Three nodes, `k` on all of them, both replicas healthy to the daemon. */
static struct cluster *start(const struct daemon **daemon, const char *flag, const char *value)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 20000});

    *daemon = commands_start(cluster, flag, value, NULL);
    EXPECT_RESULT(command_run(*daemon, "SET", "k", "v", NULL), "'OK'");
    for (size_t i = 1; i < 3; i++) {
        WAIT_UNTIL(5000, strcmp(redis_say(&cluster->nodes[i], "GET k"), "v") == 0);
    }
    WAIT_UNTIL(15000, all_healthy(*daemon, 2));
    return cluster;
}

SCENE(integration_commands_replicas, in_turn)
{
    const struct daemon *daemon;
    const struct cluster *cluster = start(&daemon, NULL, NULL);
    size_t asked[3] = {0};
    static const char *const paths[] = {"/replica/redis", "/masters/mymaster/replica/redis"};

    for (int i = 0; i < 20; i++) {
        const struct http_answer *answer = command_post(daemon, paths[i % 2], "['GET','k']");

        EXPECT_RESULT(answer, "'v'");
        for (size_t node = 0; node < 3; node++) {
            asked[node] += strcmp(http_header(answer, "x-bellwether-master"),
                                  cluster->nodes[node].address) == 0;
        }
    }
    cr_assert(asked[0] == 0 && asked[1] == 10 && asked[2] == 10, "%zu %zu %zu", asked[0], asked[1],
              asked[2]);
    EXPECT_RESULT(daemon_get(daemon, "/replica/redis/get/k"), "'v'");
    EXPECT_BODY(
        command_post(daemon, "/replica/redis/pipeline", "[['GET','k'],['STRLEN','k'],['PING']]"),
        200, "[{'result':'v'},{'result':1},{'result':'PONG'}]");
    EXPECT_BODY(command_post(daemon, "/replica/redis/multi-exec", "[['GET','k'],['STRLEN','k']]"),
                200, "[{'result':'v'},{'result':1}]");
}

SCENE(integration_commands_replicas, read_only_commands_only)
{
    const struct daemon *daemon;
    const struct cluster *cluster = start(&daemon, NULL, NULL);
    static const char *const writes[] = {"['SET','k','w']", "['GETDEL','k']", "['PUBLISH','c','m']",
                                         "['SORT','k']"};

    for (size_t i = 0; i < 4; i++) {
        EXPECT_ERROR(command_post(daemon, "/replica/redis", writes[i]), 403, "NOPERM", "not_sent");
    }
    EXPECT_ERROR(command_post(daemon, "/replica/redis/set/k", "w"), 403, "NOPERM", "not_sent");
    EXPECT_ERROR(command_post(daemon, "/replica/redis/multi-exec", "[['GET','k'],['DEL','k']]"),
                 403, "NOPERM", "not_sent");
    const struct http_answer *list =
        command_post(daemon, "/replica/redis/pipeline", "[['GET','k'],['DEL','k'],['LLEN','k']]");
    cr_assert_str_eq(http_string(list, "0.result"), "v", "%s", http_text(list));
    cr_assert(strncmp(http_string(list, "1.error"), "NOPERM", 6) == 0, "%s", http_text(list));
    cr_assert(strncmp(http_string(list, "2.error"), "WRONGTYPE", 9) == 0, "%s", http_text(list));
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], "GET k"), "v");
    }
}

SCENE(integration_commands_replicas, the_next_one_when_the_first_is_dead)
{
    const struct daemon *daemon;
    struct cluster *cluster = start(&daemon, NULL, NULL);

    for (int i = 0; i < 4; i++) {
        EXPECT_RESULT(command_post(daemon, "/replica/redis", "['GET','k']"), "'v'");
    }
    server_kill(&cluster->nodes[1]);
    for (int i = 0; i < 30; i++) {
        const struct http_answer *answer = command_post(daemon, "/replica/redis", "['GET','k']");

        EXPECT_RESULT(answer, "'v'");
        cr_assert_str_eq(http_header(answer, "x-bellwether-master"), cluster->nodes[2].address);
    }
    server_kill(&cluster->nodes[2]);
    const struct http_answer *none = command_post(daemon, "/replica/redis", "['GET','k']");
    EXPECT_ERROR(none, 503, "NOTSENT", "not_sent");
}

SCENE(integration_commands_replicas, the_next_one_when_one_dies_with_a_command_on_the_wire)
{
    const struct daemon *daemon;
    struct cluster *cluster = start(&daemon, NULL, NULL);

    for (int i = 0; i < 4; i++) {
        EXPECT_RESULT(command_post(daemon, "/replica/redis", "['GET','k']"), "'v'");
    }
    server_freeze(&cluster->nodes[1]);
    const struct sent *sent[10];
    for (int i = 0; i < 10; i++) {
        sent[i] =
            command_send(daemon, "/replica/redis", i % 2 == 0 ? "['GET','k']" : "['STRLEN','k']");
    }
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_inflight") == 5);
    server_kill(&cluster->nodes[1]);
    for (int i = 0; i < 10; i++) {
        EXPECT_RESULT(command_answer(sent[i], 5000), i % 2 == 0 ? "'v'" : "1");
    }
}

SCENE(integration_commands_replicas, a_hung_one_is_left_alone)
{
    const struct daemon *daemon;
    struct cluster *cluster = start(&daemon, "--command-timeout", "2s");

    for (int i = 0; i < 4; i++) {
        EXPECT_RESULT(command_post(daemon, "/replica/redis", "['GET','k']"), "'v'");
    }
    server_freeze(&cluster->nodes[1]);
    /* Who was sent to it is told so; whoever comes later finds the other one. */
    size_t in_a_row = 0, late = 0;
    for (const int64_t end = now_ms() + patient(20000); in_a_row < 20;) {
        const struct http_answer *answer = command_post(daemon, "/replica/redis", "['GET','k']");

        cr_assert(now_ms() < end, "%zu were late", late);
        if (answer->status == 200) {
            EXPECT_RESULT(answer, "'v'");
            in_a_row++;
            continue;
        }
        if (answer->status == 503 && daemon_pauses(daemon) > 0) {
            nap_ms(15); /* where all stood still nobody is known to be well for a moment */
            continue;
        }
        EXPECT_ERROR(answer, 504, "UNKNOWN", "unknown");
        in_a_row = 0;
        late++;
    }
    cr_assert_leq(late, 4, "%zu were late", late);
    server_thaw(&cluster->nodes[1]);
    for (int i = 0; i < 6; i++) {
        EXPECT_RESULT(command_post(daemon, "/replica/redis", "['GET','k']"), "'v'");
    }
}

SCENE(integration_commands_replicas, none_at_all)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    const struct http_answer *answer = command_post(daemon, "/replica/redis", "['GET','k']");
    EXPECT_ERROR(answer, 503, "NOTSENT", "not_sent");
    cr_assert_lt(answer->answered_ms - answer->asked_ms, patient(4000), "at once");
    EXPECT_ERROR(daemon_get(daemon, "/masters/mymaster/replica/redis/get/k"), 503, "NOTSENT",
                 "not_sent");
    const struct http_answer *list =
        command_post(daemon, "/replica/redis/pipeline", "[['GET','k']]");
    cr_assert_str_eq(http_string(list, "0.outcome"), "not_sent", "%s", http_text(list));
}

SCENE(integration_commands_replicas, none_at_all_and_the_master_stands_in)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--replica-fallback", "master", NULL);

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    const struct http_answer *answer = command_post(daemon, "/replica/redis", "['GET','k']");
    EXPECT_RESULT(answer, "'v'");
    cr_assert_str_eq(http_header(answer, "x-bellwether-master"), cluster->nodes[0].address);
    EXPECT_ERROR(command_post(daemon, "/replica/redis", "['SET','k','w']"), 403, "NOPERM",
                 "not_sent");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET k"), "v");
}

/* One has all of it, as the master has heard, and one has not. */
static bool one_is_behind(const struct daemon *daemon)
{
    const struct http_answer *replicas = daemon_get(daemon, "/replicas");
    const long long a = http_number(replicas, "replicas.0.lag_bytes"),
                    b = http_number(replicas, "replicas.1.lag_bytes");

    return (a > 200000 && b >= 0 && b < 50000) || (b > 200000 && a >= 0 && a < 50000);
}

/* A replica that is too far behind stands no chance. */
SCENE(integration_commands_replicas, too_far_behind)
{
    const struct daemon *daemon;
    struct cluster *cluster = start(&daemon, "--replica-max-lag", "100kb");

    server_freeze(&cluster->nodes[1]);
    char *value = scene_alloc(300001);
    memset(value, 'x', 300000);
    EXPECT_RESULT(command_run(daemon, "SET", "large", value, NULL), "'OK'");
    WAIT_UNTIL(5000, one_is_behind(daemon) || !all_healthy(daemon, 2));
    for (int i = 0; i < 10; i++) {
        const struct http_answer *answer =
            command_post(daemon, "/replica/redis", "['STRLEN','large']");

        EXPECT_RESULT(answer, "300000");
        cr_assert_str_eq(http_header(answer, "x-bellwether-master"), cluster->nodes[2].address);
    }
}
