/*
 * Pipelines keep their order, through a failover, too: what is read behind a write is what that
 * write left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_pipeline);

enum { AT_ONCE = 8 };

struct tally {
    size_t whole, unknown;
    long long counted[AT_ONCE]; /* acknowledged, of each caller */
    long long unsure[AT_ONCE];
};

static bool is_unknown(const struct http_answer *answer, size_t element)
{
    const char *outcome = http_string(answer, text("%zu.outcome", element));

    cr_assert(*outcome == '\0' || strcmp(outcome, "unknown") == 0, "%s", http_text(answer));
    return *outcome != '\0';
}

/*
 * Where the write was acknowledged each read behind it must see it; where not, the value of before
 * or this one.
 */
static void check(struct tally *tally, size_t caller, long long round,
                  const struct http_answer *answer)
{
    cr_assert(answer->status == 200 && json_array_size(answer->json) == 6, "%s", http_text(answer));
    const bool set_unknown = is_unknown(answer, 0), count_unknown = is_unknown(answer, 2);
    const long long first = strtoll(http_string(answer, "1.result"), NULL, 10),
                    again = strtoll(http_string(answer, "4.result"), NULL, 10),
                    read = strtoll(http_string(answer, "3.result"), NULL, 10);
    cr_assert(!is_unknown(answer, 1) && !is_unknown(answer, 3) && !is_unknown(answer, 4),
              "reads: %s", http_text(answer));
    cr_assert(set_unknown ? first == round || first == round - 1 : first == round, "round %lld: %s",
              round, http_text(answer));
    cr_assert(again >= first && again <= round, "round %lld: %s", round, http_text(answer));
    if (!count_unknown) {
        cr_assert_eq(read, http_number(answer, "2.result"), "%s", http_text(answer));
        tally->counted[caller]++;
    } else {
        tally->unsure[caller]++;
    }
    if (set_unknown || count_unknown || is_unknown(answer, 5)) {
        tally->unknown++;
    } else {
        tally->whole++;
    }
}

static void go_round(const struct daemon *daemon, struct tally *tally, long long round)
{
    const struct sent *sent[AT_ONCE];

    for (size_t i = 0; i < AT_ONCE; i++) {
        sent[i] = command_send(
            daemon, "/redis/pipeline",
            text("[['SET','at:%zu',%lld],['GET','at:%zu'],['INCR','n:%zu'],['GET','n:%zu'],"
                 "['GET','at:%zu'],['RPUSH','l:%zu',%lld]]",
                 i, round, i, i, i, i, i, round));
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        check(tally, i, round, command_answer(sent[i], 40000));
    }
}

SCENE(integration_commands_pipeline, through_a_manual_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "30s", "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct tally tally = {0};
    long long round = 0;

    for (int i = 0; i < 20; i++) {
        go_round(daemon, &tally, ++round);
    }
    cluster_failover(cluster);
    while (cluster_is_before_switch(cluster, old)) {
        go_round(daemon, &tally, ++round);
    }
    for (int i = 0; i < 20; i++) {
        go_round(daemon, &tally, ++round);
    }
    const struct server *now = cluster_wait_switch(cluster, old, 10000);
    (void)fprintf(stderr, "%s: %zu whole, %zu with an unknown outcome\n", scene_test_name(),
                  tally.whole, tally.unknown);
    for (size_t i = 0; i < AT_ONCE; i++) {
        const long long n = strtoll(redis_say(now, "GET n:%d", (int)i), NULL, 10);

        cr_assert(n >= tally.counted[i] && n <= tally.counted[i] + tally.unsure[i], "%lld", n);
        const redisReply *list = redis_ask(now, "LRANGE l:%d 0 -1", (int)i);
        long long last = 0;
        for (size_t j = 0; j < list->elements; j++) { /* in their order, none twice */
            const long long element = strtoll(list->element[j]->str, NULL, 10);

            cr_assert(element > last && element <= round, "%lld after %lld", element, last);
            last = element;
        }
    }
}

/*
 * A pipeline with a write that is held back waits whole from there, and loses nothing of its order.
 */
SCENE(integration_commands_pipeline, when_the_master_is_killed_with_some_on_the_wire)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 3000});
    const struct daemon *daemon =
        commands_start(cluster, "--command-timeout", "30s", "--suspect-after", "20s", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "SET", "k", "before", NULL), "'OK'");
    WAIT_UNTIL(5000, strcmp(redis_say(&cluster->nodes[1], "GET k"), "before") == 0 &&
                         strcmp(redis_say(&cluster->nodes[2], "GET k"), "before") == 0);
    server_freeze(old);
    const struct sent *list = command_send(
        daemon, "/redis/pipeline",
        "[['GET','k'],['SET','k','during'],['GET','k'],['LLEN','k'],['GETSET','k','last'],['GET','k']]");
    const struct sent *twice =
        command_send(daemon, "/redis/pipeline?retry=always",
                     "[['SADD','s',1],['SADD','s',2],['SMEMBERS','s'],['SCARD','s']]");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_inflight") >= 10);
    server_kill(old);
    const struct http_answer *answer = command_answer(list, 30000);
    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "0.result"), "before", "%s", http_text(answer));
    cr_assert(is_unknown(answer, 1) && is_unknown(answer, 4), "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "2.result"), "before", "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "5.result"), "before", "%s", http_text(answer));
    EXPECT_BODY(command_answer(twice, 30000), 200,
                "[{'result':1},{'result':1},{'result':['1','2']},{'result':2}]");
}
