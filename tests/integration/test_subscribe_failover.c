/*
 * Who listens to /redis/subscribe while the master changes, with one worker and with several, or
 * while it is lost or says nothing: all goes on, with a word about what is missing.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/fake.h"
#include "../support/listening.h"
#include "../support/scene.h"

SCENE_SUITE(integration_subscribe_failover);

/* ---- through failovers ---- */

/* From the old master to the new one, with a word about what is missing. */
static void expect_through(struct cluster *cluster, struct listening *listening, const char *begin)
{
    struct server *old = &cluster->nodes[0];
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    const char *since, *from, *to;

    EXPECT_HEARD(listening, ": interrupted since ");
    EXPECT_HEARD(listening, ": gap from ");
    from = strstr(listening->heard, ": gap from ") + strlen(": gap from ");
    to = strstr(from, " to ") + strlen(" to ");
    since = strstr(listening->heard, ": interrupted since ") + strlen(": interrupted since ");
    cr_assert(strncmp(since, from, 24) == 0, "%s", listening->heard);
    cr_assert(from[4] == '-' && to[4] == '-' && strncmp(from, to, 24) <= 0, "%s", from);
    WAIT_UNTIL(10000, strtol(redis_say(now, "PUBLISH c after"), NULL, 10) > 0);
    EXPECT_HEARD(listening, text("data: %s,after\n\n", begin));
}

static void go_through(int signal_number, bool by_hand)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *channel = listening_open(daemon, "/redis/subscribe/c/d");
    struct listening *pattern = listening_open(daemon, "/redis/psubscribe/c*");

    EXPECT_HEARD(channel, "data: subscribe,d,2\n\n");
    EXPECT_HEARD(pattern, "data: psubscribe,c*,1\n\n");
    (void)redis_say(&cluster->nodes[0], "PUBLISH c before");
    EXPECT_HEARD(channel, "data: message,c,before\n\n");
    EXPECT_HEARD(pattern, "data: pmessage,c*,c,before\n\n");
    if (by_hand) {
        cluster_failover(cluster);
    } else if (signal_number == SIGSTOP) {
        server_freeze(&cluster->nodes[0]);
    } else {
        server_kill(&cluster->nodes[0]);
    }
    expect_through(cluster, channel, "message,c");
    expect_through(cluster, pattern, "pmessage,c*,c");
    cr_expect_eq(count_in(channel->heard, "data: subscribe,"), 2, "confirmed again: %s",
                 channel->heard);
    listening_close(channel);
    listening_close(pattern);
}

SCENE(integration_subscribe_failover, kill_nine)
{
    go_through(SIGKILL, false);
}

SCENE(integration_subscribe_failover, master_frozen)
{
    go_through(SIGSTOP, false);
}

SCENE(integration_subscribe_failover, failover_by_hand)
{
    go_through(0, true);
}

/* ---- several workers ---- */

enum { STREAMS = 8, MESSAGES = 20, WORKERS = 2 };

/* Each hears all that are sent now, and each of them once. */
static void expect_each_once(struct listening *const *streams, const struct server *node,
                             const char *round)
{
    for (int i = 0; i < MESSAGES; i++) {
        cr_assert_str_eq(redis_say(node, "PUBLISH c %s-%d", round, i), text("%d", WORKERS));
    }
    for (size_t i = 0; i < STREAMS; i++) {
        EXPECT_HEARD(streams[i], text("data: message,c,%s-%d\n\n", round, MESSAGES - 1));
        for (int k = 0; k < MESSAGES; k++) {
            cr_assert_eq(count_in(streams[i]->heard, text("message,c,%s-%d\n", round, k)), 1,
                         "stream %zu, %d: %s", i, k, streams[i]->heard);
        }
    }
}

/* The kernel deals out those who come: whoever goes to a worker that has enough is let go. */
static void listen_with_all_workers(const struct daemon *daemon, const struct server *node,
                                    struct listening **streams)
{
    size_t n = 0;

    for (int tries = 0; n < STREAMS; tries++) {
        cr_assert_lt(tries, 200, "one worker gets all of them");
        streams[n] = listening_open(daemon, "/redis/subscribe/c");
        EXPECT_HEARD(streams[n], "data: subscribe,c,1\n\n");
        if (n < STREAMS - 1 || subscribed_to(node, "c") == WORKERS) {
            n++;
        } else {
            raw_close(streams[n]->raw);
        }
    }
}

/* One connection of each, however many listen; Sentinels', too, are there, and have names. */
static void expect_one_of_each(const struct server *node)
{
    const char *list = redis_say(node, "CLIENT LIST TYPE pubsub");

    cr_assert_eq(subscribed_to(node, "c"), WORKERS);
    cr_assert_eq(count_in(list, " name= "), WORKERS, "%s", list);
}

static void share_through(bool by_hand)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct listening *streams[STREAMS];

    listen_with_all_workers(daemon, old, streams);
    expect_one_of_each(old);
    expect_each_once(streams, old, "before");
    if (by_hand) {
        cluster_failover(cluster);
    } else {
        server_kill(old);
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < STREAMS; i++) {
        EXPECT_HEARD(streams[i], ": gap from ");
    }
    expect_one_of_each(now);
    expect_each_once(streams, now, "after");
    for (size_t i = 0; i < STREAMS; i++) {
        cr_assert_eq(count_in(streams[i]->heard, ": gap from "), 1, "%s", streams[i]->heard);
        cr_assert_eq(count_in(streams[i]->heard, "data: message,"), 2 * MESSAGES);
        listening_close(streams[i]);
    }
}

SCENE(integration_subscribe_failover, two_workers_share_through_kill_nine)
{
    share_through(false);
}

SCENE(integration_subscribe_failover, two_workers_share_through_a_failover_by_hand)
{
    share_through(true);
}

/* ---- a server that is lost, or says nothing ---- */

SCENE(integration_subscribe_failover, the_connection_alone_is_lost)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    (void)redis_say(node, "CLIENT KILL TYPE pubsub");
    EXPECT_HEARD(listening, ": gap from ");
    cr_expect_eq(subscribed_to(node, "c"), 1);
    (void)redis_say(node, "PUBLISH c again");
    EXPECT_HEARD(listening, "data: message,c,again\n\n");
    listening_close(listening);
}

/* Like a command: it waits for a master as long as command-timeout says. */
SCENE(integration_subscribe_failover, no_master)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--command-timeout", "2s",
                                                 "--verify-interval", "200ms", NULL);
    const struct daemon *patiently =
        commands_start(cluster, ALLOWED, "--command-timeout", "60s", NULL);
    struct listening *waiting;

    server_kill(node);
    EXPECT_NONE(daemon, NULL, NULL, 20000);
    EXPECT_NONE(patiently, NULL, NULL, 20000);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 503, "NOMASTER", "not_sent");
    waiting = listening_begin(patiently, "GET", "/redis/subscribe/c", "");
    WAIT_UNTIL(10000, metric_of(patiently, "bellwether_http_waiters{kind=\"subscription\"}") == 1);
    server_start(node);
    listening_expect_begun(waiting);
    EXPECT_HEARD(waiting, "data: subscribe,c,1\n\n");
    listening_close(waiting);
}

/* It took a while to get there, and then the server does not answer. */
SCENE(integration_subscribe_failover, no_confirmation)
{
    struct fake_words words = {.role = "master", .mute = "SUBSCRIBE C", .hold = true};
    struct fake *node = fake_start(FAKE_NODE, &words);
    const struct fake *sentinel = fake_start_sentinel(fake_port(node));
    const struct daemon *daemon =
        daemon_start(NULL, "--redis-api", "loopback", ALLOWED, "--sentinel", fake_address(sentinel),
                     "--verify", "off", "--verify-timeout", "5s", "--command-timeout", "3s", NULL);
    const struct sent *sent;

    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    sent = command_send(daemon, "/redis/subscribe/c", "[]");
    WAIT_UNTIL(2000, fake_held(node) > 0);
    HOLDS_FOR(200, fake_heard(node, "SUBSCRIBE") == 0);
    words.hold = false;
    fake_say(node, &words);
    const struct http_answer *answer = command_answer(sent, patient(20000));
    const bool stood_still = stood_still_lately(); /* then the daemon may say that of itself */
    EXPECT_ERROR(answer, 503, stood_still ? "NO" : "NOTSENT", "not_sent");
    cr_assert(stood_still ||
                  strstr(http_string(answer, "error"), "has not confirmed it within 3000 ms"),
              "%s", http_text(answer));
    cr_expect_eq(fake_heard(node, "SUBSCRIBE"), 1);
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 0);
}
