/*
 * From a leader's choice on there is one connection to the replica that it chose: the announcement
 * finds it ready, whatever ends the failover ends it, and nobody else is dialled on one Sentinel's
 * word. Fake ones choose the moment; real ones show the same over TLS.
 */
#include <string.h>
#include <sys/stat.h>

#include "../support/certificates.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/proxy.h"
#include "../support/scene.h"

SCENE_SUITE(integration_chosen_replica);

#define READY \
    "msg=\"candidate is asked for its role\" master=mymaster candidate=%s connection=ready"

/* One Sentinel that lists one replica, which is behind a proxy. */
struct stage {
    struct fake *sentinel, *master, *replica;
    struct proxy *proxy;
    struct fake_words says;
    const struct daemon *daemon;
};

static struct stage stage_start(const char *adopt)
{
    struct stage stage = {
        .master = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"}),
        .replica = fake_start(FAKE_NODE, &(struct fake_words){.role = "replica"}),
    };

    stage.proxy = proxy_start(fake_port(stage.replica));
    stage.says = (struct fake_words){.run_id = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed",
                                     .master_name = "mymaster",
                                     .master_host = "127.0.0.1",
                                     .master_port = text("%u", fake_port(stage.master)),
                                     .replica_port = text("%u", proxy_port(stage.proxy)),
                                     .epoch = 4};
    stage.sentinel = fake_start(FAKE_SENTINEL, &stage.says);
    stage.daemon =
        daemon_start(NULL, "--sentinel", fake_address(stage.sentinel), "--master", "mymaster",
                     "--fence-timeout", "60s", "--adopt", adopt, "--log-level", "debug", NULL);
    WAIT_UNTIL(4000, status_of(stage.daemon, "/master") == 200);
    WAIT_UNTIL(4000, fake_heard(stage.sentinel, "PSUBSCRIBE") > 0);
    WAIT_UNTIL(4000, fake_heard(stage.sentinel, "SENTINEL REPLICAS") > 0);
    return stage;
}

static void say_of_master(const struct stage *stage, const char *what)
{
    fake_publish(stage->sentinel, what,
                 text("master mymaster 127.0.0.1 %u", fake_port(stage->master)));
}

static void say_of_replica(const struct stage *stage, const char *what, unsigned port)
{
    fake_publish(stage->sentinel, what,
                 text("slave 127.0.0.1:%u 127.0.0.1 %u @ mymaster 127.0.0.1 %u", port, port,
                      fake_port(stage->master)));
}

/* A leader's words up to the choice. */
static void choose(const struct stage *stage)
{
    say_of_master(stage, "+try-failover");
    say_of_master(stage, "+elected-leader");
    say_of_replica(stage, "+selected-slave", proxy_port(stage->proxy));
    say_of_replica(stage, "+failover-state-send-slaveof-noone", proxy_port(stage->proxy));
    WAIT_UNTIL(4000,
               proxy_connections(stage->proxy) == 1 && fake_heard(stage->replica, "HELLO") > 0);
}

static void announce(struct stage *stage)
{
    const unsigned port = proxy_port(stage->proxy);

    fake_say(stage->replica, &(struct fake_words){.role = "master"});
    stage->says.master_port = text("%u", port);
    stage->says.epoch = 5;
    fake_say(stage->sentinel, &stage->says);
    fake_publish(stage->sentinel, "+switch-master",
                 text("mymaster 127.0.0.1 %u 127.0.0.1 %u", fake_port(stage->master), port));
    WAIT_UNTIL(4000, strcmp(http_string(daemon_get(stage->daemon, "/master"), "address"),
                            proxy_address(stage->proxy)) == 0);
}

static size_t logged(const struct stage *stage, const char *what)
{
    return count_in(daemon_log(stage->daemon), what);
}

static size_t readied(const struct stage *stage)
{
    return logged(stage, "msg=\"connection to the chosen replica is ready\"");
}

SCENE(integration_chosen_replica, is_connected_to_before_it_is_announced)
{
    struct stage stage = stage_start("announced");

    cr_assert_eq(fake_accepted(stage.replica), 0, "nobody is to be promoted");
    choose(&stage);
    HOLDS_FOR(300, proxy_connections(stage.proxy) == 1 && fake_accepted(stage.replica) == 1);
    EXPECT_LOGGED(stage.daemon, readied(&stage) == 1);
    cr_assert_eq(fake_heard(stage.replica, "HELLO"), 1, "it is not asked before it is announced");
    announce(&stage);
    EXPECT_LOGGED(stage.daemon, logged(&stage, text(READY, proxy_address(stage.proxy))) == 1);
    HOLDS_FOR(300, fake_accepted(stage.replica) == 1 && proxy_connections(stage.proxy) == 1);
}

/* As it is promoted it hangs up on its clients. */
SCENE(integration_chosen_replica, is_connected_to_again_when_it_hangs_up)
{
    struct stage stage = stage_start("announced");

    choose(&stage);
    proxy_behave(stage.proxy, &(struct proxy_manner){.cut = true});
    WAIT_UNTIL(4000, proxy_connections(stage.proxy) == 0);
    proxy_behave(stage.proxy, &(struct proxy_manner){.cut = false});
    WAIT_UNTIL(4000, readied(&stage) == 2);
    announce(&stage);
    EXPECT_LOGGED(stage.daemon, logged(&stage, text(READY, proxy_address(stage.proxy))) == 1);
}

SCENE(integration_chosen_replica, is_let_go_when_the_failover_is_aborted)
{
    struct stage stage = stage_start("announced");

    choose(&stage);
    say_of_master(&stage, "-failover-abort-slave-timeout");
    WAIT_UNTIL(4000, proxy_connections(stage.proxy) == 0);
    HOLDS_FOR(300, fake_accepted(stage.replica) == 1);
    say_of_replica(&stage, "+selected-slave", proxy_port(stage.proxy));
    WAIT_UNTIL(4000, proxy_connections(stage.proxy) == 1);
    announce(&stage);
}

/* With --adopt promoted it is that connection that is asked every few milliseconds. */
SCENE(integration_chosen_replica, is_asked_over_the_same_connection_where_promotions_are_adopted)
{
    struct stage stage = stage_start("promoted");

    fake_publish(stage.sentinel, "+new-epoch", "5");
    choose(&stage);
    WAIT_UNTIL(4000, fake_heard(stage.replica, "HELLO") > 5);
    fake_say(stage.replica, &(struct fake_words){.role = "master"});
    EXPECT_LOGGED(stage.daemon, logged(&stage, "adopted before its announcement") == 1);
    cr_assert_eq(fake_accepted(stage.replica), 1);
}

/* Whoever is named that no list has, and however often somebody is. */
SCENE(integration_chosen_replica, is_nobody_on_a_liars_word)
{
    struct stage stage = stage_start("announced");
    struct fake *stranger = fake_start(FAKE_NODE, &(struct fake_words){.role = "replica"});

    say_of_master(&stage, "+elected-leader");
    say_of_replica(&stage, "+selected-slave", fake_port(stranger));
    say_of_replica(&stage, "+failover-state-wait-promotion", fake_port(stranger));
    wait_for_fence(stage.daemon, "promoting", 4000);
    HOLDS_FOR(500, fake_accepted(stranger) == 0);

    const int64_t began_ms = now_ms();
    for (int i = 0; i < 300; i++) {
        say_of_master(&stage, "+elected-leader");
        say_of_replica(&stage, "+selected-slave", proxy_port(stage.proxy));
        nap_ms(1);
    }
    WAIT_UNTIL(4000, proxy_connections(stage.proxy) == 1);
    cr_assert_leq(fake_accepted(stage.replica), 2 + (now_ms() - began_ms) / 20);
    cr_assert_eq(fake_accepted(stranger), 0);
    still_serves(stage.daemon);
}

/* ---- real ones, over TLS ---- */

static const char *make_certificates(void)
{
    const char *folder = text("%s/tls", scene_folder());

    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make_usual(folder);
    return folder;
}

/*
 * A leader notices the promotion with its next INFO, up to a second later: there is time, unless
 * this machine stands still just then.
 */
SCENE(integration_chosen_replica, is_ready_over_tls)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = make_certificates(),
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--log-level", "debug", NULL);
    struct server *master = &cluster->nodes[0];
    size_t ready = 0;

    EXPECT_MASTER(daemon, master, 5000);
    for (int i = 0; i < 3 && ready == 0; i++) {
        master = cluster_fail_over_from(cluster, master);
        EXPECT_MASTER(daemon, master, 5000);
        EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), text(READY, master->address)) > 0 ||
                                  count_in(daemon_log(daemon), "connection=new") > 1);
        ready = count_in(daemon_log(daemon), text(READY, master->address));
        cluster_settle(cluster);
    }
    cr_assert_gt(ready, 0, "%s", daemon_log(daemon));
}
