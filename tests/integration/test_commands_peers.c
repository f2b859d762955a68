/* Masters that answer late, in pieces, too much, or not to the end. */
#include <string.h>

#include "../support/commands.h"
#include "../support/proxy.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_peers);

/* A master that the daemon reaches through a proxy. */
struct scene {
    struct cluster *cluster;
    const struct server *node;
    struct proxy *proxy;
    const struct daemon *daemon;
};

static struct scene start(const char *max_reply, const char *command_timeout)
{
    struct scene scene = {.cluster = cluster_start(&(struct cluster_spec){
                              .nodes = 1, .sentinels = 1, .down_after_ms = 20000})};

    scene.node = &scene.cluster->nodes[0];
    scene.proxy = proxy_start(scene.node->port);
    const char *const flags[] = {"--redis-api",
                                 "loopback",
                                 "--map",
                                 text("%s=%s", scene.node->address, proxy_address(scene.proxy)),
                                 "--max-reply",
                                 max_reply,
                                 "--command-timeout",
                                 command_timeout,
                                 "--verify-interval",
                                 "1s",
                                 "--verify-timeout",
                                 "5s",
                                 "--suspect-after",
                                 "30s",
                                 "--pool-size",
                                 "1",
                                 NULL};
    scene.daemon = daemon_launch(&(struct daemon_spec){.cluster = scene.cluster, .flags = flags});
    WAIT_UNTIL(5000, status_of(scene.daemon, "/master") == 200);
    const struct http_answer *first = NULL;
    WAIT_UNTIL(5000, (first = command_run(scene.daemon, "PING", NULL))->status == 200);
    EXPECT_RESULT(first, "'PONG'");
    cr_assert_str_eq(http_header(first, "x-bellwether-master"), proxy_address(scene.proxy));
    return scene;
}

static char *letters(size_t n)
{
    char *value = scene_alloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        value[i] = (char)('a' + (i * 7 + i / 26) % 26);
    }
    return value;
}

static void set(const struct server *node, const char *key, const char *value)
{
    cr_assert_str_eq(redis_say(node, "SET %s %s", key, value), "OK");
}

SCENE(integration_commands_peers, late)
{
    const struct scene scene = start("1MiB", "10s");

    set(scene.node, "k", "v");
    proxy_behave(scene.proxy, &(struct proxy_manner){.delay_ms = 400});
    const struct sent *sent[10];
    for (size_t i = 0; i < 10; i++) {
        sent[i] = command_send(scene.daemon, "/redis", i % 2 == 0 ? "['GET','k']" : "['INCR','n']");
    }
    for (size_t i = 0; i < 10; i++) {
        const struct http_answer *answer = command_answer(sent[i], 10000);

        EXPECT_RESULT(answer, i % 2 == 0 ? "'v'" : text("%zu", i / 2 + 1));
    }
    const struct http_answer *one = command_run(scene.daemon, "GET", "k", NULL);
    EXPECT_RESULT(one, "'v'");
    cr_assert_geq(one->answered_ms - one->asked_ms, 350);
    still_serves(scene.daemon);
}

SCENE(integration_commands_peers, later_than_the_deadline)
{
    const struct scene scene = start("1MiB", "500ms");

    set(scene.node, "a", "1");
    set(scene.node, "b", "2");
    proxy_behave(scene.proxy, &(struct proxy_manner){.delay_ms = 1200});
    const struct sent *write = command_send(scene.daemon, "/redis", "['INCR','n']"),
                      *read = command_send(scene.daemon, "/redis", "['GET','a']");
    EXPECT_ERROR(command_answer(write, 5000), 504, "UNKNOWN", "unknown");
    EXPECT_ERROR(command_answer(read, 5000), 504, "UNKNOWN", "unknown");
    proxy_behave(scene.proxy, &(struct proxy_manner){0});
    const struct http_answer *answer = NULL;
    WAIT_UNTIL(10000, (answer = command_run(scene.daemon, "GET", "b", NULL))->status == 200);
    EXPECT_RESULT(answer, "'2'");
    cr_assert_str_eq(redis_say(scene.node, "GET n"), "1", "it ran, once");
}

SCENE(integration_commands_peers, in_pieces)
{
    const struct scene scene = start("1MiB", "20s");
    const char *value = letters(3000);

    set(scene.node, "k", value);
    cr_assert_str_eq(redis_say(scene.node, "RPUSH l a bb ccc dddd"), "4");
    proxy_behave(scene.proxy, &(struct proxy_manner){.piece = 1, .pause_ms = 1});
    EXPECT_BODY(
        command_post(
            scene.daemon, "/redis/pipeline",
            "[['INCR','n'],['LRANGE','l',0,-1],['GET','none'],['INCR','k'],['STRLEN','k']]"),
        200,
        "[{'result':1},{'result':['a','bb','ccc','dddd']},{'result':null},"
        "{'error':'ERR value is not an integer or out of range','outcome':'done'},"
        "{'result':3000}]");
    proxy_behave(scene.proxy, &(struct proxy_manner){.piece = 17, .pause_ms = 1});
    const struct http_answer *answer = command_run(scene.daemon, "GET", "k", NULL);
    cr_assert_str_eq(http_string(answer, "result"), value);
    EXPECT_BODY(
        command_post(scene.daemon, "/redis/multi-exec", "[['STRLEN','k'],['LRANGE','l',1,2]]"), 200,
        "[{'result':3000},{'result':['bb','ccc']}]");
}

SCENE(integration_commands_peers, more_than_it_may)
{
    const struct scene scene = start("64KiB", "10s");
    char *value = letters(100000);

    set(scene.node, "large", value);
    value[60000] = '\0';
    set(scene.node, "small", value);
    cr_assert(
        redis_ask(scene.node, "EVAL %s 0", "for i=1,20000 do redis.call('rpush','list','x') end"));
    const struct http_answer *answer = command_run(scene.daemon, "GET", "large", NULL);
    EXPECT_ERROR(answer, 502, "TOOBIG", "done");
    answer = command_run(scene.daemon, "GET", "small", NULL);
    cr_assert_eq(strlen(http_string(answer, "result")), 60000, "%ld", answer->status);
    EXPECT_ERROR(command_run(scene.daemon, "LRANGE", "list", "0", "-1", NULL), 502, "TOOBIG",
                 "done");
    EXPECT_ERROR(daemon_get(scene.daemon, "/redis/get/large"), 502, "TOOBIG", "done");
    EXPECT_ERROR(command_post(scene.daemon, "/redis/multi-exec", "[['INCR','n'],['GET','large']]"),
                 502, "TOOBIG", "done");
    cr_assert_str_eq(redis_say(scene.node, "GET n"), "1", "done means done");
    const struct http_answer *list = command_post(scene.daemon, "/redis/pipeline",
                                                  "[['SET','k','v'],['GET','large'],['GET','k']]");
    cr_assert_str_eq(http_string(list, "0.result"), "OK", "%s", http_text(list));
    cr_assert_str_eq(http_string(list, "1.outcome"), "done", "%s", http_text(list));
    cr_assert(strncmp(http_string(list, "1.error"), "TOOBIG", 6) == 0, "%s", http_text(list));
    cr_assert_str_eq(http_string(list, "2.result"), "v", "read again: %s", http_text(list));
    EXPECT_RESULT(command_run(scene.daemon, "PING", NULL), "'PONG'");
    still_serves(scene.daemon);
}

SCENE(integration_commands_peers, the_end_in_the_middle_of_a_reply)
{
    const struct scene scene = start("1MiB", "15s");
    const char *value = letters(50000);

    set(scene.node, "k", value);
    proxy_behave(scene.proxy, &(struct proxy_manner){.piece = 100, .pause_ms = 20});
    const struct sent *read = command_send(scene.daemon, "/redis", "['GET','k']"),
                      *write = command_send(scene.daemon, "/redis", "['INCR','n']");
    WAIT_UNTIL(5000, metric_of(scene.daemon, "bellwether_pool_inflight") == 2 &&
                         strcmp(redis_say(scene.node, "GET n"), "1") == 0);
    proxy_behave(scene.proxy, &(struct proxy_manner){.cut = true});
    EXPECT_ERROR(command_answer(write, 5000), 504, "UNKNOWN", "unknown");
    proxy_behave(scene.proxy, &(struct proxy_manner){0});
    const struct http_answer *answer = command_answer(read, 15000);
    cr_assert_str_eq(http_string(answer, "result"), value, "%ld", answer->status);
    cr_assert_str_eq(redis_say(scene.node, "GET n"), "1", "not twice");
}

/*
 * Neither side is told of the end: only the deadline notices. Later commands go over a new
 * connection.
 */
SCENE(integration_commands_peers, silence)
{
    const struct scene scene = start("1MiB", "700ms");

    set(scene.node, "k", "v");
    proxy_behave(scene.proxy, &(struct proxy_manner){.silent = true});
    EXPECT_ERROR(command_run(scene.daemon, "INCR", "n", NULL), 504, "UNKNOWN", "unknown");
    const struct http_answer *second = command_run(scene.daemon, "GET", "k", NULL);
    cr_assert(second->status == 503 || second->status == 504, "%s", http_text(second));
    proxy_behave(scene.proxy, &(struct proxy_manner){0});
    const struct http_answer *answer = NULL;
    WAIT_UNTIL(10000, (answer = command_run(scene.daemon, "GET", "k", NULL))->status == 200);
    EXPECT_RESULT(answer, "'v'");
    WAIT_UNTIL(5000, metric_of(scene.daemon, "bellwether_pool_inflight") == 0);
}

/*
 * The caller's own slowness is nobody else's: a large answer that is not fetched holds nobody up.
 */
SCENE(integration_commands_peers, a_caller_that_does_not_read)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--pool-size", "1", "--command-timeout", "30s", NULL);

    set(&cluster->nodes[0], "k", letters(8000000));
    const struct sent *slow[3];
    for (size_t i = 0; i < 3; i++) {
        slow[i] = command_send(daemon, "/redis", "['GET','k']");
    }
    for (int i = 0; i < 50; i++) {
        const struct http_answer *answer = command_run(daemon, "STRLEN", "k", NULL);

        EXPECT_RESULT(answer, "8000000");
        cr_assert_lt(answer->answered_ms - answer->asked_ms, patient(3000));
    }
    for (size_t i = 0; i < 3; i++) {
        raw_close(slow[i]->raw);
    }
    still_serves(daemon);
}
