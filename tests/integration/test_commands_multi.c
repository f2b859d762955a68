/* Transactions: one piece on connections that all share, and settled as one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_multi);

/*
 * Two hundred at once, with plain commands in between that would show: each sees its own value all
 * the way through.
 */
SCENE(integration_commands_multi, two_hundred_at_once_do_not_mix)
{
    enum { AT_ONCE = 200, PLAIN = 100 };
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--workers", "2", "--command-timeout", "30s", NULL);
    const struct sent *transactions[AT_ONCE], *plain[PLAIN];

    for (size_t i = 0; i < AT_ONCE; i++) {
        transactions[i] = command_send(
            daemon, "/redis/multi-exec",
            text("[['SET','k','mine-%zu'],['GET','k'],['INCR','n'],['GET','k'],['APPEND','k','+'],"
                 "['GET','k'],['LPUSH','l','%zu','%zu'],['GET','k']]",
                 i, i, i));
        if (i % 2 == 0) {
            plain[i / 2] = command_send(daemon, "/redis", text("['SET','k','plain-%zu']", i));
        }
    }
    bool seen[AT_ONCE + 1] = {false};
    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct http_answer *answer = command_answer(transactions[i], 30000);

        cr_assert_eq(answer->status, 200, "%s", http_text(answer));
        const char *mine = text("mine-%zu", i);
        cr_assert_str_eq(http_string(answer, "1.result"), mine, "%s", http_text(answer));
        cr_assert_str_eq(http_string(answer, "3.result"), mine, "%s", http_text(answer));
        cr_assert_str_eq(http_string(answer, "5.result"), text("%s+", mine), "%s",
                         http_text(answer));
        cr_assert_str_eq(http_string(answer, "7.result"), text("%s+", mine), "%s",
                         http_text(answer));
        const long long number = http_number(answer, "2.result");
        cr_assert(number >= 1 && number <= AT_ONCE && !seen[number], "%lld twice", number);
        seen[number] = true;
    }
    for (size_t i = 0; i < PLAIN; i++) {
        EXPECT_RESULT(command_answer(plain[i], 30000), "'OK'");
    }
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET n"), text("%d", AT_ONCE));
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "LLEN l"), text("%d", 2 * AT_ONCE));
}

SCENE(integration_commands_multi, whole_or_not_at_all)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['FLUSHALL']]"), 403,
                 "NOPERM", "not_sent");
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['MULTI']]"), 403,
                 "NOPERM", "not_sent");
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['SET','k',null]]"),
                 400, "BADREQUEST", NULL);
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[]"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','v'],['NOSUCHCOMMAND']]"),
                 400, "EXECABORT", NULL);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "EXISTS k"), "0");
    EXPECT_BODY(command_post(daemon, "/redis/multi-exec",
                             "[['HSET','h','f',1],['HGETALL','h'],['GET','no']]"),
                200, "[{'result':1},{'result':['f','1']},{'result':null}]");
    EXPECT_BODY(command_post_with(daemon, "/redis/multi-exec", "[['SET','k','v'],['GET','k']]",
                                  "Upstash-Encoding: base64"),
                200, "[{'result':'OK'},{'result':'dg=='}]");
}

/* ---- through a failover ---- */

struct both {
    size_t acknowledged, unknown;
};

/* Eight at a time, each of which counts two counters. */
static void count_both(const struct daemon *daemon, struct both *both)
{
    enum { AT_ONCE = 8 };
    const struct sent *sent[AT_ONCE];

    for (size_t i = 0; i < AT_ONCE; i++) {
        sent[i] = command_send(daemon, "/redis/multi-exec",
                               "[['INCR','a'],['GET','b'],['INCR','b'],['GET','a']]");
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct http_answer *answer = command_answer(sent[i], 40000);

        if (answer->status == 504) {
            EXPECT_ERROR(answer, 504, "UNKNOWN", "unknown");
            both->unknown++;
            continue;
        }
        cr_assert_eq(answer->status, 200, "%s", http_text(answer));
        const long long a = http_number(answer, "0.result"), b = http_number(answer, "2.result");
        cr_assert_eq(a, b, "%s", http_text(answer));
        cr_assert_eq(strtoll(http_string(answer, "3.result"), NULL, 10), a, "%s",
                     http_text(answer));
        both->acknowledged++;
    }
}

static void count_some(const struct daemon *daemon, struct both *both)
{
    for (int i = 0; i < 20; i++) {
        count_both(daemon, both);
    }
}

static void check_both(const struct both *both, const struct server *now, bool kept)
{
    const long long a = strtoll(redis_say(now, "GET a"), NULL, 10),
                    b = strtoll(redis_say(now, "GET b"), NULL, 10);

    (void)fprintf(stderr, "%s: %zu acknowledged, %zu unknown, %lld and %lld counted\n",
                  scene_test_name(), both->acknowledged, both->unknown, a, b);
    cr_assert_eq(a, b);
    cr_assert(a <= (long long)(both->acknowledged + both->unknown));
    cr_assert(!kept || a >= (long long)both->acknowledged);
}

SCENE(integration_commands_multi, settled_as_one_in_a_manual_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = commands_start(cluster, "--command-timeout", "30s", NULL);
    struct server *old = &cluster->nodes[0];
    struct both both = {0};

    count_some(daemon, &both);
    cluster_failover(cluster);
    while (cluster_is_before_switch(cluster, old)) {
        count_both(daemon, &both);
    }
    count_some(daemon, &both);
    check_both(&both, cluster_wait_switch(cluster, old, 10000), true);
}

SCENE(integration_commands_multi, settled_as_one_when_the_master_is_killed)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 3000});
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "30s", "--suspect-after", "20s", NULL);
    struct server *old = &cluster->nodes[0];
    struct both both = {0};

    count_some(daemon, &both);
    const struct sent *late[4];
    server_freeze(old); /* so that some are on the wire */
    for (size_t i = 0; i < 4; i++) {
        late[i] = command_send(daemon, "/redis/multi-exec", "[['INCR','a'],['INCR','b']]");
    }
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_inflight") >= 4);
    server_kill(old);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_ERROR(command_answer(late[i], 30000), 504, "UNKNOWN", "unknown");
    }
    both.unknown += 4;
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    count_some(daemon, &both);
    check_both(&both, now, false);
}
