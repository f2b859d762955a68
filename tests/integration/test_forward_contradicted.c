/*
 * Two nodes say master, and Sentinels do not agree which of them is: as clients of forwards meet
 * it. Nothing is read from them meanwhile, whoever waits is told why or is served once it is over,
 * and nothing that was acknowledged is lost.
 */
#include <string.h>

#include "../support/forward.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_forward_contradicted);

static bool is_contradicted(const struct daemon *daemon)
{
    const struct http_answer *status = daemon_get(daemon, "/status");

    return strcmp(http_string(status, "masters.0.fence"), "up") == 0 &&
           strcmp(http_string(status, "masters.0.fence_reason"), "contradicted") == 0;
}

/* ---- Sentinels that say what a test wants ---- */

/* What one Sentinel announced and nobody else does is held at once. */
SCENE(integration_forward_contradicted, who_waits_is_told_why_or_served)
{
    struct pair *pair = pair_start(3, "", "--command-timeout", "4s", NULL);
    struct raw *spoken = client_open(pair->port), *silent = client_open(pair->port);

    EXPECT_SAID(spoken, "SET n 1", "+OK");
    WAIT_UNTIL(5000, clients_at(pair->old) == 2 && strcmp(redis_say(pair->now, "GET n"), "1") == 0);
    pair_promote(pair);
    told_announce(pair->told, 0);
    EXPECT_MASTER(pair->daemon, pair->now, 4000);
    WAIT_UNTIL(1000, is_contradicted(pair->daemon));
    cr_assert(raw_closes(spoken, 3000), "a client is left on the node that was the master");
    WAIT_UNTIL(3000, clients_at(pair->old) == 0);
    struct raw *late = client_open(pair->port);
    client_send(late, "INCR n");
    const char *const words =
        "-NOMASTER most Sentinels name another node than the master, and both "
        "say master: that came to no end within 4000 ms";
    cr_assert_str_eq(client_hear(late, 10000), words);
    cr_assert(raw_closes(late, 3000));
    cr_assert_str_eq(client_hear(silent, 10000), words);
    cr_assert(raw_closes(silent, 3000));
    struct raw *last = client_open(pair->port);
    client_send(last, "INCR n");
    cr_assert_str_eq(client_hear(last, 200), "", "it is held still");
    cr_assert_str_eq(redis_say(pair->now, "GET n"), "1");
    cr_assert_str_eq(redis_say(pair->old, "GET n"), "1");
    told_announce(pair->told, 1);
    cr_assert_str_eq(client_hear(last, 4000), ":2");
    WAIT_UNTIL(4000, fence_is(pair->daemon, "down"));
    cr_assert_str_eq(redis_say(pair->now, "GET n"), "2");
    cr_assert_str_eq(redis_say(pair->old, "GET n"), "1");
}

/* A majority had named it, and names the other one again: that is held after three seconds. */
SCENE(integration_forward_contradicted, who_is_joined_is_not_read_until_it_is_over)
{
    enum { CLIENTS = 6 };
    struct pair *pair = pair_start(3, "", "--command-timeout", "30s", "--workers", "2", NULL);

    pair_promote(pair);
    told_announce(pair->told, 0);
    told_announce(pair->told, 1);
    EXPECT_MASTER(pair->daemon, pair->now, 4000);
    WAIT_UNTIL(4000, fence_is(pair->daemon, "down"));
    struct raw **clients = clients_open(pair->port, CLIENTS), *blocked = client_open(pair->port);
    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, info_of(pair->now, "clients", "blocked_clients:") == 1);
    told_take_back(pair->told, 1);
    WAIT_UNTIL(8000, is_contradicted(pair->daemon));
    for (size_t i = 0; i < CLIENTS; i++) {
        client_send(clients[i], "INCR n");
    }
    raw_shut(clients[0]);
    struct raw *late = client_open(pair->port);
    client_send(late, "INCR n");
    /* Answers to what was sent before go on. */
    cr_assert_str_eq(redis_say(pair->now, "RPUSH list element"), "1");
    cr_assert_str_eq(client_hear(blocked, 3000), "*2");
    HOLDS_FOR(400, strcmp(redis_say(pair->now, "EXISTS n"), "0") == 0 &&
                       strcmp(redis_say(pair->old, "EXISTS n"), "0") == 0);
    cr_assert(is_contradicted(pair->daemon));
    told_announce(pair->told, 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        cr_assert_eq(client_hear(clients[i], 5000)[0], ':', "client %zu", i);
    }
    cr_assert_eq(client_hear(late, 5000)[0], ':');
    cr_assert(raw_closes(clients[0], 5000));
    cr_assert_str_eq(redis_say(pair->now, "GET n"), text("%d", CLIENTS + 1));
    cr_assert_str_eq(redis_say(pair->old, "EXISTS n"), "0");
}

/* ---- real ones ---- */

/*
 * The leader dies as soon as its announcement is the answer, before the others hear of it. Until
 * one side gives in there are two masters, and no client may be told that its write is on one that
 * is not the master in the end.
 */
static void leader_dies_after_its_announcement(bool comes_back)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "60s", NULL);
    struct server *leader = &cluster->sentinels[0], *last = NULL;
    struct writers *writers = writers_start(
        &(struct writers_spec){.daemon = daemon, .forward = port, .writers = 4, .readers = 1});
    const int64_t end_ms = now_ms() + patient(20000);

    writers_wait(writers, 100, 15000);
    (void)redis_say(leader, "SENTINEL FAILOVER mymaster");
    while (says_master(daemon, &cluster->nodes[0])) {
        cr_assert(now_ms() < end_ms, "no announcement\n%s", daemon_log(daemon));
    }
    server_kill(leader);
    WAIT_UNTIL(5000, is_contradicted(daemon) || fence_is(daemon, "down"));
    const bool contradicted = is_contradicted(daemon);
    const size_t told = writers_acknowledged(writers);
    HOLDS_FOR(300, writers_acknowledged(writers) <= told + 4 || !is_contradicted(daemon));
    if (comes_back) {
        server_start(leader);
    }
    WAIT_UNTIL(40000, (last = cluster_only_master(cluster)) && says_master(daemon, last) &&
                          fence_is(daemon, "down"));
    writers_wait(writers, 100, 15000);
    writers_stop(writers);
    writers_check(writers, last, contradicted ? "contradicted" : "heard of in time", true);
}

SCENE(integration_forward_contradicted, leader_dies_after_its_announcement_and_comes_back)
{
    leader_dies_after_its_announcement(true);
}

SCENE(integration_forward_contradicted, leader_dies_after_its_announcement_for_good)
{
    leader_dies_after_its_announcement(false);
}
