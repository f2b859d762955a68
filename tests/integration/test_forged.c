/*
 * A Sentinel that takes part, agrees with the others, and invents events: failovers that nobody
 * runs, new masters that are none. The answer stays where it is, also with --adopt promoted, and
 * the failover log tells what was said without claiming that anything was published.
 */
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_forged);

/* Who is to be the new master, as an event spells it. */
struct target {
    const char *host, *port;
};

static struct fake *start_liar(const struct cluster *cluster)
{
    return fake_start(FAKE_SENTINEL,
                      &(struct fake_words){.run_id = "feedfacefeedfacefeedfacefeedfacefeedface",
                                           .master_name = "mymaster",
                                           .master_host = "127.0.0.1",
                                           .master_port = text("%u", cluster->nodes[0].port)});
}

static struct daemon *start_daemon(const struct cluster *cluster, const struct fake *liar,
                                   const char *adopt)
{
    const char *const flags[] = {"--sentinel", fake_address(liar), "--adopt", adopt, NULL};
    struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    WAIT_UNTIL(10000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 4);
    return daemon;
}

/* A whole failover to `target`, up to the promotion. */
static void forge(struct fake *liar, const struct server *master, const struct target *target,
                  int epoch)
{
    const char *about = text("master mymaster 127.0.0.1 %u", master->port);
    const char *replica = text("slave %s:%s %s %s @ mymaster 127.0.0.1 %u", target->host,
                               target->port, target->host, target->port, master->port);
    static const char *const steps[] = {"+selected-slave", "+failover-state-send-slaveof-noone",
                                        "+failover-state-wait-promotion", "+promoted-slave"};

    fake_publish(liar, "+new-epoch", text("%d", epoch));
    fake_publish(liar, "+try-failover", about);
    fake_publish(liar, "+elected-leader", about);
    fake_publish(liar, "+failover-state-select-slave", about);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        fake_publish(liar, steps[i], replica);
    }
}

static void forge_end(struct fake *liar, const struct server *master, const struct target *target)
{
    fake_publish(liar, "+failover-end", text("master mymaster 127.0.0.1 %u", master->port));
    fake_publish(liar, "+switch-master",
                 text("mymaster 127.0.0.1 %u %s %s", master->port, target->host, target->port));
}

/* Payloads that no Sentinel sends. */
static void forge_garbage(struct fake *liar)
{
    static const char *const channels[] = {
        "+switch-master",  "+promoted-slave", "+failover-state-send-slaveof-noone",
        "+elected-leader", "+new-epoch",      "+sdown"};
    static const char *const payloads[] = {"",
                                           " ",
                                           "mymaster",
                                           "mymaster 127.0.0.1 1 127.0.0.1",
                                           "mymaster 127.0.0.1 99999999999 127.0.0.1 -1",
                                           "slave a b c d e f g h i j",
                                           "slave 127.0.0.1:1 127.0.0.1 1 @ nobody 127.0.0.1 1",
                                           "master mymaster 127.0.0.1",
                                           "-1",
                                           "99999999999999999999999999"};

    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        for (size_t j = 0; j < sizeof(payloads) / sizeof(payloads[0]); j++) {
            fake_publish(liar, channels[i], payloads[j]);
        }
    }
}

/* Nothing moved, and nothing says so. */
static void check_unmoved(const struct daemon *daemon, const struct server *master)
{
    const struct http_answer *failovers = daemon_get(daemon, "/failovers"),
                             *now = daemon_get(daemon, "/master");
    const char *metrics = daemon_get(daemon, "/metrics")->body;
    const size_t n = json_array_size(http_value(failovers, "failovers"));

    cr_assert_str_eq(http_string(now, "address"), master->address);
    cr_assert(json_is_null(http_value(now, "previous")), "%s", http_text(now));
    cr_assert_gt(n, 0, "what was heard is told");
    for (size_t i = 0; i < n; i++) {
        cr_assert_str_eq(http_string(failovers, text("failovers.%zu.from", i)), master->address,
                         "%s", http_text(failovers));
    }
    cr_assert(!strstr(failovers->body, "\"published\"") && !strstr(failovers->body, "\"adopted\""),
              "%s", http_text(failovers));
    cr_assert(strstr(metrics, "\nbellwether_master_switches_total{master=\"mymaster\"} 0\n"));
    cr_assert_eq(
        count_in(metrics, "\nbellwether_adoptions_total{master=\"mymaster\",outcome=\"kept\"} 0\n"),
        1);
    cr_assert_eq(
        count_in(metrics,
                 "\nbellwether_adoptions_total{master=\"mymaster\",outcome=\"undone\"} 0\n"),
        1);
    still_serves(daemon);
}

SCENE(integration_forged, events_move_nothing)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct fake *liar = start_liar(cluster);
    struct server *master = &cluster->nodes[0];
    struct daemon *daemons[] = {start_daemon(cluster, liar, "announced"),
                                start_daemon(cluster, liar, "promoted")};
    struct trail *trails[] = {trail_start(daemons[0], cluster), trail_start(daemons[1], cluster)};
    const struct target targets[] = {
        {"127.0.0.1", "1"},                                    /* nobody listens there */
        {"127.0.0.1", text("%u", cluster->nodes[1].port)},     /* a replica */
        {"127.0.0.1", text("%u", master->port)},               /* the master itself */
        {"127.0.0.1", text("%u", cluster->sentinels[0].port)}, /* no node */
        {"no-such-host.invalid", "6379"},
        {"127.0.0.1", "port"}, /* no address */
    };

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        forge(liar, master, &targets[i], 100 + (int)i);
        trail_for(trails[0], 250);
        trail_for(trails[1], 250);
        forge_end(liar, master, &targets[i]);
        forge_garbage(liar);
    }
    for (size_t i = 0; i < 2; i++) {
        trail_for(trails[i], 700);
        cr_assert_str_eq(trail_said(trails[i]), "200 A", "%s\n%s", trails[i]->said,
                         daemon_log(daemons[i]));
        check_unmoved(daemons[i], master);
    }

    /* One that never ends does not stand in the way of a true one. */
    forge(liar, master, &targets[1], 200);
    cluster_failover(cluster);
    struct server *next = cluster_wait_switch(cluster, master, 30000);
    for (size_t i = 0; i < 2; i++) {
        EXPECT_MASTER(daemons[i], next, 2000);
        trail_for(trails[i], 300);
        trail_check(trails[i], master, next);
        const struct http_answer *failovers = daemon_get(daemons[i], "/failovers");
        size_t k = 0; /* it is the newest, unless the machine stood still behind it */
        while (k < daemon_pauses(daemons[i]) &&
               strcmp(http_string(failovers, text("failovers.%zu.outcome", k)), "switched") != 0) {
            k++;
        }
        cr_assert_str_eq(http_string(failovers, text("failovers.%zu.to", k)), next->address, "%s",
                         http_text(failovers));
        cr_assert_str_eq(http_string(failovers, text("failovers.%zu.outcome", k)), "switched");
        cr_assert(strstr(failovers->body, "\"published\""), "%s", http_text(failovers));
    }
}
