/* How many may listen to /redis/subscribe, and how much may wait for one who does not read. */
#include <hiredis/hiredis.h>
#include <string.h>
#include <sys/time.h>

#include "../support/commands.h"
#include "../support/listening.h"
#include "../support/scene.h"

SCENE_SUITE(integration_subscribe_limits);

SCENE(integration_subscribe_limits, streams_count_among_those_that_wait)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-waiters", "1", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 503,
                 "NOTSENT as many callers wait as may", "not_sent");
    listening_close(listening);
}

/* Long before anything is to be written to him. */
SCENE(integration_subscribe_limits, who_hangs_up_gives_his_place_back)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-waiters", "2", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");
    struct listening *events = listening_open(daemon, "/events");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    raw_shut(listening->raw);
    raw_close(events->raw);
    WAIT_UNTIL(8000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 0 &&
                         metric_of(daemon, "bellwether_http_waiters{kind=\"stream\"}") == 0);
    cr_assert(listening_ends(listening));
    listening_close(listening);
}

SCENE(integration_subscribe_limits, slow_readers_are_cut_off)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *slow = listening_open(daemon, "/redis/subscribe/c");
    struct listening *quick = listening_open(daemon, "/redis/subscribe/c");
    char *payload = scene_alloc(20001);

    memset(payload, 'x', 20000);
    for (int i = 0; i < 2000 && metric_of(daemon, "bellwether_streams_cut_total") < 1; i++) {
        (void)redis_say(node, "PUBLISH c %s", payload);
        EXPECT_HEARD(quick, "data: message,c,xxx");
        quick->heard[0] = '\0';
    }
    cr_assert_eq(metric_of(daemon, "bellwether_streams_cut_total"), 1);
    WAIT_UNTIL(10000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 1);
    (void)redis_say(node, "PUBLISH c end");
    EXPECT_HEARD(quick, "data: message,c,end\n\n");
    listening_close(quick);
    raw_close(slow->raw);
}

static void publish_at_once(const struct server *node, const char *channel, int n, int bytes)
{
    const char *script = text("for i = 1, %d do redis.call('PUBLISH', '%s', i .. ' ' .. "
                              "string.rep('x', %d)) end return 'OK'",
                              n, channel, bytes);

    const struct timeval bound = {.tv_sec = patient(10000) / 1000};
    redisContext *context = redisConnectWithTimeout(node->ip, node->port, bound);
    cr_assert(context && context->err == 0 && redisSetTimeout(context, bound) == REDIS_OK);
    redisReply *reply = redisCommand(context, "EVAL %s 0", script);
    cr_assert(reply && reply->str && strcmp(reply->str, "OK") == 0, "%s", context->errstr);
    freeReplyObject(reply);
    redisFree(context);
}

/* It comes faster than he can be written to, and he reads. */
SCENE(integration_subscribe_limits, a_burst_reaches_who_reads)
{
    const int n = 20000;
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    publish_at_once(node, "c", n, 200);
    for (int i = 1; i <= n; i++) {
        const char *block = raw_upto(listening->raw, "\n\n", patient(20000));
        const char *begin = text("data: message,c,%d x", i);

        cr_assert(block && strncmp(block, begin, strlen(begin)) == 0, "not %s, but %.40s", begin,
                  block ? block : "the end");
    }
    cr_expect_eq(metric_of(daemon, "bellwether_streams_cut_total"), 0);
    listening_close(listening);
}

/*
 * He takes 2 KB twenty times a second, which his kernel tells in large steps only. That is seen
 * where more is published.
 */
SCENE(integration_subscribe_limits, who_reads_slowly_is_not_cut_off)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    publish_at_once(node, "c", 800, 10000);
    const int64_t began_ms = now_ms(), end_ms = began_ms + 8000; /* two of its steps, and more */
    for (int64_t took = 0, due; took < (end_ms - began_ms) * 40; took += due) {
        nap_ms(50);
        due = (now_ms() - began_ms) * 40 - took; /* more at once where he was late */
        due = due < 30000 ? due : 30000;
        cr_assert(raw_drop(listening->raw, (size_t)due, patient(10000)), "the stream has ended");
        if (took / 2048 % 4 == 0) {
            cr_assert_str_eq(redis_say(node, "PUBLISH c again"), "1");
        }
    }
    cr_expect_eq(metric_of(daemon, "bellwether_streams_cut_total"), 0);
    raw_close(listening->raw);
}

/* A mebibyte may wait for who reads nothing; with more he is cut off five seconds later. */
SCENE(integration_subscribe_limits, a_mebibyte_may_be_unread)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c/d");

    EXPECT_HEARD(listening, "data: subscribe,d,2\n\n");
    publish_at_once(node, "c", 100, 10000);
    HOLDS_FOR(6000, metric_of(daemon, "bellwether_streams_cut_total") == 0 &&
                        *redis_say(node, "PUBLISH c again") == '1');
    /* what the kernel takes of it comes on top */
    publish_at_once(node, "c", 1000, 10000);
    WAIT_UNTIL(20000, redis_say(node, "PUBLISH c again") &&
                          metric_of(daemon, "bellwether_streams_cut_total") == 1);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon),
                                 "stream=\"subscribe c d\" because=\"its reader has over 1 "
                                 "MiB unread and takes nothing for 5 s\" streams=1"));
    raw_close(listening->raw);
}

SCENE(integration_subscribe_limits, sixteen_mebibytes_are_too_many)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listening_open(daemon, "/redis/psubscribe/c*");

    EXPECT_HEARD(listening, "data: psubscribe,c*,1\n\n");
    for (int i = 0; i < 2; i++) { /* so fast that five seconds need not have passed */
        publish_at_once(node, "c", 12, 1000000);
    }
    WAIT_UNTIL(20000, redis_say(node, "PUBLISH c again") &&
                          metric_of(daemon, "bellwether_streams_cut_total") == 1);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "stream=\"psubscribe c*\""));
    raw_close(listening->raw);
}

/* What is published must not be missing unseen. */
SCENE(integration_subscribe_limits, without_memory_streams_are_cut_off)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-memory", "1MiB", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");
    char *payload = scene_alloc(700001);

    memset(payload, 'x', 700000);
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    (void)redis_say(node, "PUBLISH c %s", payload);
    cr_assert(listening_ends(listening));
    cr_expect_eq(metric_of(daemon, "bellwether_streams_cut_total"), 1);
    still_serves(daemon);
}
