/*
 * What becomes of a command that was not simply answered: each row of the table against real
 * servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_settle);

static double retries(const struct daemon *daemon, const char *reason)
{
    return metric_of(daemon, text("bellwether_command_retries_total{reason=\"%s\"}", reason));
}

static double in_flight(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_pool_inflight");
}

static void drop_context(void *context)
{
    redisFree(context);
}

/* Keep a server busy for so long. What comes to it after this it reads after this. */
static void keep_busy(const struct server *server, const char *seconds)
{
    redisContext *context = redisConnect(server->ip, server->port);
    int done = 0;

    cr_assert(context && context->err == 0);
    (void)scene_keep(context, drop_context);
    cr_assert(redisAppendCommand(context, "DEBUG SLEEP %s", seconds) == REDIS_OK &&
              redisBufferWrite(context, &done) == REDIS_OK && done);
    redisContext *probe = redisConnect(server->ip, server->port);
    cr_assert(probe && probe->err == 0);
    (void)redisSetTimeout(probe, (struct timeval){0, 50000});
    for (const int64_t end = wait_ends_ms(5000);;) { /* a probe that gets no answer says so */
        redisReply *reply = redisCommand(probe, "PING");

        if (!reply) {
            break;
        }
        freeReplyObject(reply);
        cr_assert(now_ms() < end, "it does not sleep");
        nap_ms(2);
    }
    redisFree(probe);
}

/* ---- what the server hangs up on ---- */

static long long calls_of(const struct server *node, const char *command)
{
    const char *line =
        strstr(redis_say(node, "INFO commandstats"), text("cmdstat_%s:calls=", command));

    return line ? atoll(strchr(line, '=') + 1) : 0;
}

/*
 * A reply that the server does not get rid of within its own bounds: it closes the connection,
 * whoever else is on it.
 */
SCENE(integration_commands_settle, a_read_that_kills_its_connection_is_given_up)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);
    const struct server *node = &cluster->nodes[0];

    cr_assert_str_eq(redis_say(node, "SETRANGE big %d x", 32 << 20), text("%d", (32 << 20) + 1));
    cr_assert_str_eq(
        redis_say(node, "CONFIG SET client-output-buffer-limit %s", "normal 1048576 0 0"), "OK");
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const struct http_answer *answer = command_run(daemon, "GET", "big", NULL);
    EXPECT_ERROR(answer, 504, "UNKNOWN", "unknown");
    cr_assert(strstr(http_string(answer, "error"), "each of the 3 times"), "%s", http_text(answer));
    cr_assert_lt(answer->answered_ms - answer->asked_ms, patient(3000));
    cr_assert_eq(calls_of(node, "get"), 3);
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    answer = command_post(daemon, "/redis?retry=always", "['GETSET','big','y']");
    cr_assert(answer->status == 504 || answer->status == 200, "%s", http_text(answer));
    cr_assert_leq(calls_of(node, "getset"), 3);
}

/* An argument that the server does not take, and those that stand behind it. */
SCENE(integration_commands_settle, an_argument_that_is_too_long_for_the_server)
{
    enum { SIZE = 24 << 20, OTHERS = 5 };
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--max-body", "64MiB", "--pool-size", "1", NULL);
    const struct server *node = &cluster->nodes[0];
    char *value = scene_alloc(SIZE + 1);

    memset(value, 'x', SIZE);
    cr_assert_str_eq(redis_say(node, "CONFIG SET proto-max-bulk-len 1048576"), "OK");
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const struct http_answer *answer = command_post_bytes(daemon, "/redis/set/k", value, SIZE);
    EXPECT_ERROR(answer, 400, "ERR Protocol error: invalid bulk length", NULL);
    cr_assert_eq(retries(daemon, "unwritten"), 0, "%s", daemon_get(daemon, "/metrics")->body);
    char *body = scene_alloc(SIZE + 100);
    const int head = sprintf(body, "[[\"INCR\",\"n\"],[\"SET\",\"k\",\"");
    memset(body + head, 'x', SIZE);
    strcpy(body + head + SIZE, "\"],[\"INCR\",\"n\"]]");
    answer = command_post_bytes(daemon, "/redis/pipeline", body, strlen(body));
    cr_assert(http_number(answer, "0.result") == 1 && http_number(answer, "2.result") == 2, "%s",
              http_text(answer));
    cr_assert(strncmp(http_string(answer, "1.error"), "ERR Protocol error", 18) == 0, "%s",
              http_text(answer));
    answer = command_post_bytes(daemon, "/redis/multi-exec", body, strlen(body));
    EXPECT_ERROR(answer, 400, "EXECABORT", NULL);
    cr_assert(strstr(http_string(answer, "error"), "command 2: ERR Protocol error"), "%s",
              http_text(answer));
    EXPECT_RESULT(command_run(daemon, "GET", "n", NULL), "'2'");
}

/* ---- refused without being run ---- */

/* The master becomes a replica behind Sentinel's back, and its master again. */
SCENE(integration_commands_settle, read_only_waits_and_comes_through)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "20s", "--verify-interval", "10s",
                       "--suspect-after", "15s", "--commands", "+@all", NULL);
    const struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "SET", "k", "before", NULL), "'OK'");
    EXPECT_BODY(command_post(daemon, "/redis/multi-exec", "[['PING']]"), 200,
                "[{'result':'PONG'}]");
    cr_assert_str_eq(redis_say(node, "REPLICAOF 127.0.0.1 1"), "OK");
    const struct sent *set = command_send(daemon, "/redis", "['SET','k','after']"),
                      *both =
                          command_send(daemon, "/redis/multi-exec", "[['GET','k'],['INCR','n']]"),
                      *list = command_send(daemon, "/redis/pipeline", "[['INCR','m'],['GET','m']]");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_waiting") == 3);
    cr_assert_gt(retries(daemon, "readonly"), 0, "%s", daemon_get(daemon, "/metrics")->body);
    cr_assert_str_eq(redis_say(node, "GET k"), "before");
    cr_assert_str_eq(redis_say(node, "REPLICAOF NO ONE"), "OK");
    EXPECT_RESULT(command_answer(set, 15000), "'OK'");
    const struct http_answer *answer = command_answer(both, 15000);
    cr_assert(answer->status == 200 && http_number(answer, "1.result") == 1, "%s",
              http_text(answer));
    EXPECT_BODY(command_answer(list, 15000), 200, "[{'result':1},{'result':'1'}]");
    cr_assert_str_eq(redis_say(node, "GET k"), "after");
}

SCENE(integration_commands_settle, a_script_may_forge_the_words_and_is_taken_at_them)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--commands", "+@all", NULL);
    static const char *const words[] = {"READONLY", "LOADING", "MASTERDOWN"};

    for (size_t i = 0; i < 3; i++) {
        const char *body = text(
            "['EVAL','redis.call(\\'incr\\',\\'n\\') return redis.error_reply(\\'%s forged\\')',0]",
            words[i]);
        char *bytes = text("%s", body);

        for (char *c = bytes; *c != '\0'; c++) { /* \' is a ', ' a " */
            *c = *c == '\'' && (c == bytes || c[-1] != '\\') ? '"' : *c;
        }
        char *to = bytes;
        for (const char *from = bytes; *from != '\0'; from++) {
            if (*from != '\\') {
                *to++ = *from;
            }
        }
        *to = '\0';
        EXPECT_ERROR(command_post_bytes(daemon, "/redis", bytes, strlen(bytes)), 400, words[i],
                     NULL);
    }
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET n"), "3", "each ran once");
}

SCENE(integration_commands_settle, loading_waits_and_comes_through)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "20s", NULL);
    const struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "SET", "k", "there", NULL), "'OK'");
    cr_assert_str_eq(redis_say(node, "DEBUG POPULATE 4000 key 100"), "OK");
    cr_assert_str_eq(redis_say(node, "CONFIG SET loading-process-events-interval-bytes 1024"),
                     "OK");
    cr_assert_str_eq(redis_say(node, "CONFIG SET key-load-delay 1000"), "OK");
    const char *const argv[] = {"redis-cli", "-p", text("%u", node->port), "DEBUG", "RELOAD", NULL};
    (void)process_start(&(struct process_spec){.name = "reload", .argv = argv, .may_die = true});
    WAIT_UNTIL(5000, strncmp(redis_say(node, "GET k"), "LOADING", 7) == 0);
    EXPECT_RESULT(command_run(daemon, "GET", "k", NULL), "'there'");
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    cr_assert_gt(retries(daemon, "loading"), 0, "%s", daemon_get(daemon, "/metrics")->body);
}

SCENE(integration_commands_settle, a_replica_without_its_master_is_left_for_the_next_one)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 20000});
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    for (size_t i = 1; i < 3; i++) {
        WAIT_UNTIL(5000, strcmp(redis_say(&cluster->nodes[i], "GET k"), "v") == 0);
    }
    for (size_t i = 0; i < cluster->n_sentinels; i++) { /* nor do they mend it meanwhile */
        cr_assert_str_eq(redis_say(&cluster->sentinels[i],
                                   "SENTINEL DEBUG INFO-PERIOD 60000 PUBLISH-PERIOD 60000"),
                         "OK");
    }
    const struct server *lone = &cluster->nodes[1];
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/replicas"), "replicas.1.port") > 0 &&
                          http_true(daemon_get(daemon, "/replicas"), "replicas.0.healthy") &&
                          http_true(daemon_get(daemon, "/replicas"), "replicas.1.healthy"));
    cr_assert_str_eq(redis_say(lone, "CONFIG SET replica-serve-stale-data no"), "OK");
    cr_assert_str_eq(redis_say(lone, "REPLICAOF 127.0.0.1 1"), "OK");
    WAIT_UNTIL(5000, strncmp(redis_say(lone, "GET k"), "MASTERDOWN", 10) == 0);
    for (int i = 0; i < 8; i++) {
        const struct http_answer *answer = command_post(daemon, "/replica/redis", "['GET','k']");

        EXPECT_RESULT(answer, "'v'");
        cr_assert_str_neq(http_header(answer, "x-bellwether-master"), lone->address);
    }
    cr_assert_gt(retries(daemon, "next_replica"), 0, "%s", daemon_get(daemon, "/metrics")->body);
}

SCENE(integration_commands_settle, a_transaction_that_is_discarded_says_so)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['INCR']]"), 400,
                 "EXECABORT", NULL);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "EXISTS k"), "0");
    EXPECT_BODY(
        command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['INCR','k'],['GET','k']]"),
        200,
        "[{'result':'OK'},{'error':'ERR value is not an integer or out of range'},{'result':'v'}]");
}

/* ---- written, and then the connection is lost ---- */

SCENE(integration_commands_settle, killed_with_commands_on_the_wire)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 3000});
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "30s", "--suspect-after", "20s", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    for (size_t i = 1; i < 3; i++) {
        WAIT_UNTIL(5000, strcmp(redis_say(&cluster->nodes[i], "GET k"), "v") == 0);
    }
    EXPECT_BODY(command_post(daemon, "/redis/multi-exec", "[['PING']]"), 200,
                "[{'result':'PONG'}]");
    keep_busy(old, "30");
    const struct sent *write = command_send(daemon, "/redis", "['INCR','n']"),
                      *read = command_send(daemon, "/redis", "['GET','k']"),
                      *twice = command_send(daemon, "/redis?retry=always", "['SADD','s','m']"),
                      *both =
                          command_send(daemon, "/redis/multi-exec", "[['INCR','n'],['GET','k']]"),
                      *reads =
                          command_send(daemon, "/redis/multi-exec", "[['GET','k'],['GET','k']]"),
                      *list = command_send(
                          daemon, "/redis/pipeline",
                          "[['GET','k'],['INCR','n'],['GET','k'],['SET','k',2],['BLPOP','k',1]]");
    WAIT_UNTIL(5000, in_flight(daemon) >= 9);
    server_kill(old);
    const struct http_answer *lost = command_answer(write, 30000);
    EXPECT_ERROR(lost, 504, "UNKNOWN", "unknown");
    cr_assert_str_eq(http_header(lost, "x-bellwether-master"), old->address);
    cr_assert_lt(lost->answered_ms - lost->asked_ms, patient(2500), "told at once");
    EXPECT_ERROR(command_answer(both, 30000), 504, "UNKNOWN", "unknown");
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    const struct http_answer *again = command_answer(read, 30000);
    EXPECT_RESULT(again, "'v'");
    cr_assert_str_eq(http_header(again, "x-bellwether-master"), now->address);
    EXPECT_RESULT(command_answer(twice, 30000), "1");
    EXPECT_BODY(command_answer(reads, 30000), 200, "[{'result':'v'},{'result':'v'}]");
    const struct http_answer *elements = command_answer(list, 30000);
    cr_assert_eq(elements->status, 200, "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "0.result"), "v", "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "1.outcome"), "unknown", "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "2.result"), "v", "%s", http_text(elements));
    cr_assert_str_eq(http_string(elements, "3.outcome"), "unknown", "%s", http_text(elements));
    cr_assert(strncmp(http_string(elements, "4.error"), "NOPERM", 6) == 0, "%s",
              http_text(elements));
    cr_assert_str_eq(redis_say(now, "GET n"), "", "INCR ran again");
}

SCENE(integration_commands_settle, time_is_over_with_commands_on_the_wire)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(
        cluster, "--command-timeout", "700ms", "--pool-size", "1", "--suspect-after", "30s", NULL);
    const struct server *node = &cluster->nodes[0];

    WAIT_UNTIL(5000, command_run(daemon, "MSET", "a", "1", "b", "2", NULL)->status == 200);
    keep_busy(node, "2.5");
    const struct sent *write = command_send(daemon, "/redis", "['INCR','n']"),
                      *read = command_send(daemon, "/redis", "['GET','a']");
    EXPECT_ERROR(command_answer(write, 5000), 504, "UNKNOWN", "unknown");
    EXPECT_ERROR(command_answer(read, 5000), 504, "UNKNOWN", "unknown");
    /* Their replies come late, and are nobody else's. */
    const struct http_answer *answer = NULL;
    WAIT_UNTIL(10000, (answer = command_run(daemon, "GET", "b", NULL))->status == 200);
    EXPECT_RESULT(answer, "'2'");
    for (int i = 0; i < 5; i++) {
        WAIT_UNTIL(5000, (answer = command_run(daemon, "GET", "b", NULL))->status == 200);
        EXPECT_RESULT(answer, "'2'");
    }
    cr_assert_leq(strtol(redis_say(node, "GET n"), NULL, 10), 1);
    WAIT_UNTIL(5000, in_flight(daemon) == 0);
}
