/*
 * The fence as plain clients meet it: nothing that they send runs while it is up, and once when it
 * comes down; what the old master says after a promotion began reaches nobody.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/told.h"
#include "../support/writers.h"

SCENE_SUITE(integration_forward_fence);

/* ---- a Sentinel that says what a test wants, of two real nodes ---- */

static void promote(struct pair *pair)
{
    pair_promote(pair);
    told_announce(pair->told, 0);
    EXPECT_MASTER(pair->daemon, pair->now, 10000);
}

SCENE(integration_forward_fence, what_waited_runs_once_when_it_comes_to_nothing)
{
    enum { CLIENTS = 10 };
    struct pair *pair = pair_start(1, "", "--fence-timeout", "30s", "--workers", "2", NULL);
    struct raw **clients = clients_open(pair->port, CLIENTS), *blocked = client_open(pair->port);

    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, info_of(pair->old, "clients", "blocked_clients:") == 1);
    told_say(pair->told, "+elected-leader");
    wait_for_fence(pair->daemon, "up", 3000);
    for (size_t i = 0; i < CLIENTS; i++) {
        client_send(clients[i], "INCR n");
    }
    raw_shut(clients[0]);
    raw_close(clients[1]); /* is gone, and what it sent waits all the same */
    struct raw *late = client_open(pair->port);
    client_send(late, "INCR n");
    /* Answers to what was sent before go on. */
    cr_assert_str_eq(redis_say(pair->old, "RPUSH list element"), "1");
    cr_assert_str_eq(client_hear(blocked, 3000), "*2");
    HOLDS_FOR(400, strcmp(redis_say(pair->old, "EXISTS n"), "0") == 0);
    told_say(pair->told, "-failover-abort-not-elected");
    wait_for_fence(pair->daemon, "down", 3000);
    for (size_t i = 0; i < CLIENTS; i++) {
        cr_assert(i == 1 || client_hear(clients[i], 5000)[0] == ':', "client %zu", i);
    }
    cr_assert_eq(client_hear(late, 5000)[0], ':');
    cr_assert(raw_closes(clients[0], 5000));
    WAIT_UNTIL(3000, strcmp(redis_say(pair->old, "GET n"), text("%d", CLIENTS + 1)) == 0);
    /* Nothing is in doubt any more: answers are not kept for 50 ms each. */
    int at_once = 0;
    for (int i = 0; i < 60; i++) {
        const int64_t asked_ms = now_ms();

        EXPECT_SAID(clients[2], "PING", "+PONG");
        at_once += now_ms() - asked_ms < patient(45);
    }
    cr_assert_geq(at_once, 10, "each was kept");
    cr_assert_str_eq(redis_say(pair->old, "GET n"), text("%d", CLIENTS + 1));
}

SCENE(integration_forward_fence, a_promotion_ends_all_that_was_said)
{
    struct pair *pair =
        pair_start(1, "", "--fence-timeout", "30s", "--command-timeout", "30s", NULL);
    struct raw *idle = clients_open(pair->port, 1)[0], *writer = clients_open(pair->port, 1)[0],
               *blocked = client_open(pair->port), *silent = client_open(pair->port);

    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, info_of(pair->old, "clients", "blocked_clients:") == 1 &&
                         clients_at(pair->old) == 4);
    told_say(pair->told, "+elected-leader");
    wait_for_fence(pair->daemon, "up", 3000);
    client_send(writer, "INCR n");
    struct raw *late = client_open(pair->port);
    client_send(late, "INCR n");
    told_say_promoting(pair->told);
    cr_assert(raw_closes(idle, 3000) && raw_closes(writer, 3000) && raw_closes(blocked, 3000));
    WAIT_UNTIL(3000, clients_at(pair->old) == 0);
    cr_assert_str_eq(redis_say(pair->old, "EXISTS n"), "0");
    promote(pair);
    cr_assert_str_eq(client_hear(late, 5000), ":1");
    EXPECT_SAID(silent, "INCR n", ":2");
    cr_assert_str_eq(redis_say(pair->now, "GET n"), "2");
    cr_assert_str_eq(redis_say(pair->old, "EXISTS n"), "0");
}

/* The answer and the news reach the daemon together: it may be of after the promotion. */
SCENE(integration_forward_fence, an_answer_in_the_last_moment)
{
    struct pair *pair = pair_start(1, "", "--fence-timeout", "30s", "--workers", "1", NULL);
    struct raw *blocked = client_open(pair->port);

    EXPECT_SAID(blocked, "PING", "+PONG");
    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, info_of(pair->old, "clients", "blocked_clients:") == 1);
    told_say(pair->told, "+elected-leader");
    wait_for_fence(pair->daemon, "up", 3000);
    process_freeze(pair->daemon->process);
    told_say_promoting(pair->told);
    cr_assert_str_eq(redis_say(pair->old, "RPUSH list element"), "1");
    process_signal(pair->daemon->process, SIGCONT);
    cr_assert_str_eq(client_hear(blocked, 3000), "");
    cr_assert(raw_ended(blocked));
    promote(pair);
}

/* ---- real ones ---- */

SCENE(integration_forward_fence, aborted)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2, .sentinels = 1, .down_after_ms = 5000, .failover_timeout_ms = 2000});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--command-timeout", "30s",
                                                "--fence-timeout", "20s", NULL);
    struct server *master = &cluster->nodes[0];
    struct writers *writers = writers_begin_over(daemon, port);

    server_freeze(&cluster->nodes[1]); /* is told to become the master, and does not hear it */
    cluster_failover(cluster);
    WAIT_UNTIL(20000, strstr(daemon_log(daemon), "why=\"the failover was aborted\"") != NULL);
    writers_end(writers);
    writers_check(writers, master, "aborted", true);
}

/*
 * Two nodes say master until the others turn the promoted one back, which nobody has named: that
 * contradicts nothing, and holds nobody for longer than the failover may take.
 */
SCENE(integration_forward_fence, the_leader_dies_once_it_promoted)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "60s", NULL);
    struct server *leader = &cluster->sentinels[0], *last = NULL;

    struct writers *writers = writers_begin_over(daemon, port);
    leader->process->may_die = true;
    cr_assert_str_eq(redis_say(leader, "SENTINEL SIMULATE-FAILURE crash-after-promotion"), "OK");
    (void)redis_say(leader, "SENTINEL FAILOVER mymaster");
    WAIT_UNTIL(10000, process_ended(leader->process));
    WAIT_UNTIL(40000, (last = cluster_only_master(cluster)) && says_master(daemon, last) &&
                          fence_is(daemon, "down"));
    writers_end(writers);
    writers_check(writers, last, "the leader died once it promoted", true);
    cr_assert(last == &cluster->nodes[0], "%s was named by nobody", last->label);
    cr_assert_geq(metric_of(daemon, "bellwether_forward_closed_total{reason=\"promotion\"}"), 12);
    const char *log = daemon_log(daemon);
    cr_assert(strstr(log, "why=\"the failover takes too long\"") && !strstr(log, "contradicted"),
              "%s", log);
}

/* ---- a daemon to which nothing happens ---- */

/*
 * The watcher sleeps half a second at a time, and no answer may be passed on before it has heard
 * what came to it: it is asked, each time, and nobody waits for its sleep to be over.
 */
SCENE(integration_forward_fence, an_answer_after_silence_comes_at_once)
{
    enum { ROUNDS = 12, SILENCE_MS = 120, AT_ONCE_MS = 60 };
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    struct daemon *daemon = forward_start(cluster, &port, "", NULL);
    struct raw *client = client_open(port);
    int forwarded = 0, posted = 0;

    for (int i = 1; i <= 2 * ROUNDS; i++) {
        const int64_t silent_ms = now_ms();

        WAIT_UNTIL(5000, now_ms() - silent_ms >= SILENCE_MS);
        const int64_t asked_ms = now_ms();
        if (i % 2) {
            EXPECT_SAID(client, "INCR n", text(":%d", i));
            forwarded += now_ms() - asked_ms < patient(AT_ONCE_MS);
        } else {
            EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), text("%d", i));
            posted += now_ms() - asked_ms < patient(AT_ONCE_MS);
        }
    }
    cr_assert(forwarded >= ROUNDS / 2 && posted >= ROUNDS / 2, "%d and %d of %d", forwarded, posted,
              ROUNDS);
}

/* ---- a daemon that stood still meanwhile ---- */

static bool one_is_promoted(const struct cluster *cluster)
{
    return strncmp(redis_say(&cluster->nodes[1], "ROLE"), "master", 6) == 0 ||
           strncmp(redis_say(&cluster->nodes[2], "ROLE"), "master", 6) == 0;
}

/*
 * What clients send while it stands still meets it with an old truth and connections to the old
 * master, which still takes writes: none may be acknowledged that the new one does not have.
 */
static void thaw_after(int64_t span_ms)
{
    enum { CLIENTS = 20 };
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.slow_pace = true, .down_after_ms = 2000});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--workers", "2", "--command-timeout", "20s", NULL);
    struct server *old = &cluster->nodes[0];
    struct raw *clients[2 * CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(port);
        EXPECT_SAID(clients[i], "INCR n", text(":%zu", i + 1));
    }
    const int64_t frozen_ms = now_ms();
    process_freeze(daemon->process);
    cluster_failover(cluster);
    WAIT_UNTIL(10000, one_is_promoted(cluster));
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[CLIENTS + i] = client_open(port);
    }
    for (size_t i = 0; i < 2 * CLIENTS; i++) {
        client_send(clients[i], "INCR n");
    }
    WAIT_UNTIL(10000, now_ms() - frozen_ms > span_ms);
    process_signal(daemon->process, SIGCONT);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    long long acknowledged = CLIENTS, unknown = 0;
    for (size_t i = 0; i < 2 * CLIENTS; i++) {
        const char *said = client_hear(clients[i], 25000);

        cr_assert(said[0] == ':' || (said[0] == '\0' && raw_ended(clients[i])), "client %zu: %s", i,
                  said);
        acknowledged += said[0] == ':' ? 1 : 0;
        unknown += said[0] == '\0' ? 1 : 0;
    }
    const long long counter = strtoll(redis_say(now, "GET n"), NULL, 10);
    cr_assert(counter >= acknowledged && counter <= acknowledged + unknown, "%lld of %lld and %lld",
              counter, acknowledged, unknown);
}

SCENE(integration_forward_fence, the_daemon_was_frozen_for_a_while)
{
    thaw_after(1800); /* what it knew holds no longer by then */
}

SCENE(integration_forward_fence, the_daemon_was_frozen_for_a_moment)
{
    thaw_after(0); /* it holds, until the promotion is heard of */
}
