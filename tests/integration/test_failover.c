/* Failovers as they happen: the worst minute, with three nodes and three Sentinels. */
#include <signal.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_failover);

SCENE(integration_failover, start_with_first_sentinel_dead)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});

    server_kill(&cluster->sentinels[0]);
    const struct daemon *daemon = daemon_start(cluster, NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 1500);
    struct server *old = &cluster->nodes[0];
    server_kill(old);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 2000);
}

SCENE(integration_failover, kill_nine)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 4000});
    const struct daemon *daemon = daemon_start(cluster, "--verify-interval", "10s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const long long index = http_number(daemon_master(daemon), "index");
    struct server *old = &cluster->nodes[0];
    const int64_t killed_ms = now_ms();
    server_kill(old);
    struct trail *trail = trail_start(daemon, cluster);
    while (trail->left_ok_ms == 0 && now_ms() < killed_ms + patient(2500)) {
        trail_look(trail);
    }
    /* its end is what tells: no question to it, and no Sentinel so early */
    cr_assert(trail->left_ok_ms != 0 && trail->left_ok_ms - killed_ms < patient(2500),
              "still 200 %lld ms after the kill: %s", (long long)(now_ms() - killed_ms),
              trail->said);
    struct server *new_master = trail_wait_switch(trail, cluster, old);
    trail_until(trail, new_master, 1000);
    trail_for(trail, 500);
    trail_check(trail, old, new_master);
    cr_assert_eq(count_in(trail_said(trail), "200 "), strncmp(trail->said, "200", 3) == 0 ? 2 : 1,
                 "%s", trail->said);

    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "previous.address"), old->address);
    cr_assert_str_eq(http_string(answer, "state"), "ok");
    cr_assert(http_true(answer, "verified"), "%s", http_text(answer));
    cr_assert_gt(http_number(answer, "index"), index);
    cr_assert_geq(http_number(answer, "config_epoch"), 1);
    EXPECT_REASON(daemon, NULL, 5000);
    cr_assert(http_true(daemon_master(daemon), "majority"));
}

SCENE(integration_failover, killed_master_that_returns_is_not_the_answer)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    server_kill(old);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, new_master, 2000);
    struct trail *trail = trail_start(daemon, cluster);
    server_start(old); /* says master until the Sentinels reconfigure it */
    trail_for(trail, 2500);
    cr_assert_str_eq(trail_said(trail), text("200 %c", node_letter(cluster, new_master)));
}

SCENE(integration_failover, master_frozen_by_sigstop)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    const int64_t frozen_ms = now_ms();
    server_freeze(old);
    /*
     * suspect-after 1.5 s and one verify-interval of 1 s: the old address may be answered no longer
     */
    while (strcmp(trail->last, "200 A") == 0) {
        cr_assert(now_ms() - frozen_ms < patient(5000), "still 200 with the hung master: %s\n%s",
                  trail->said, daemon_log(daemon));
        trail_look(trail);
    }
    struct server *new_master = trail_wait_switch(trail, cluster, old);
    trail_until(trail, new_master, 2000);
    server_thaw(old);
    trail_for(trail, 2000);
    trail_check(trail, old, new_master);
}

SCENE(integration_failover, frozen_master_without_failover_leaves_ok_in_time)
{
    /*
     * One Sentinel of three lives: nobody fails over, and the hung master must still not be
     * answered.
     */
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 20000});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const int64_t frozen_ms = now_ms();
    server_freeze(&cluster->nodes[0]);
    EXPECT_NONE(daemon, "down", "redis_timeout", 4000);
    cr_assert(now_ms() - frozen_ms >= 1000, "left ok before suspect-after");
    server_thaw(&cluster->nodes[0]);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
}

SCENE(integration_failover, manual_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    struct server *new_master = trail_fail_over(trail, cluster, old);
    trail_until(trail, new_master, 1000);
    trail_for(trail, 2500); /* the old master becomes a replica meanwhile */
    trail_check(trail, old, new_master);
    cr_assert_str_eq(trail_said(trail), text("200 A, 200 %c", node_letter(cluster, new_master)),
                     "a manual failover leaves no gap: %s\n%s", trail->said, daemon_log(daemon));
}

SCENE(integration_failover, events_lead_to_the_new_answer_without_polling)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--poll-interval", "30s", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 4000);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 500);
}

SCENE(integration_failover, manual_failover_at_sentinels_own_pace)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.slow_pace = true, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    struct trail *trail = trail_start(daemon, cluster);
    cluster_failover(cluster);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    trail_until(trail, new_master, 1000);
    trail_for(trail, 3000); /* the old one still says master and takes writes */
    trail_check(trail, old, new_master);
}

SCENE(integration_failover, five_failovers_in_a_row)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *master = &cluster->nodes[0];
    long long index = 0, epoch = -1;

    EXPECT_MASTER(daemon, master, 3000);
    for (int i = 0; i < 5; i++) {
        struct server *old = master;

        cluster_settle(cluster); /* else Sentinels still at the last one abort the next */
        struct trail *trail = trail_start(daemon, cluster);
        master = trail_fail_over(trail, cluster, old);
        trail_until(trail, master, 1000);
        trail_check(trail, old, master);
        const struct http_answer *answer = daemon_master(daemon);
        cr_assert_str_eq(http_string(answer, "previous.address"), old->address);
        cr_assert_gt(http_number(answer, "index"), index);
        cr_assert_gt(http_number(answer, "config_epoch"), epoch);
        index = http_number(answer, "index");
        epoch = http_number(answer, "config_epoch");
    }
}

SCENE(integration_failover, sentinel_frozen_through_a_failover_and_thawed)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    server_freeze(&cluster->sentinels[2]);
    cluster_failover(cluster);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, new_master, 1000);
    struct trail *trail = trail_start(daemon, cluster);
    server_thaw(&cluster->sentinels[2]); /* says the old master until it hears the others */
    trail_for(trail, 2500);
    WAIT_UNTIL(10000,
               strcmp(sentinel_says(&cluster->sentinels[2], "mymaster"), new_master->address) == 0);
    trail_for(trail, 500);
    cr_assert_str_eq(trail_said(trail), text("200 %c", node_letter(cluster, new_master)), "%s\n%s",
                     trail->said, daemon_log(daemon));
    EXPECT_REASON(daemon, NULL, 8000);
}

SCENE(integration_failover, sentinel_restarted_with_its_old_file)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0], *lost = &cluster->sentinels[1];

    EXPECT_MASTER(daemon, old, 3000);
    const char *before = file_read(lost->config);
    server_kill(lost);
    cluster_failover(cluster);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, new_master, 1000);
    struct trail *trail = trail_start(daemon, cluster);
    file_write(lost->config, before);
    server_start(lost);
    trail_for(trail, 3000);
    cr_assert_str_eq(trail_said(trail), text("200 %c", node_letter(cluster, new_master)), "%s\n%s",
                     trail->said, daemon_log(daemon));
}

SCENE(integration_failover, one_second_stall_stays_ok)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 5000});
    const struct daemon *daemon = daemon_start(cluster, "--suspect-after", "3s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const char *const stall[] = {
        "redis-cli", "-p", text("%u", cluster->nodes[0].port), "DEBUG", "SLEEP", "1", NULL};
    struct trail *trail = trail_start(daemon, cluster);
    for (int i = 0; i < 4; i++) { /* at different places in the verify interval */
        (void)process_start(
            &(struct process_spec){.name = "stall", .argv = stall, .may_die = true});
        trail_for(trail, 2300 + 250 * i);
    }
    cr_assert_str_eq(trail_said(trail), "200 A", "%s\n%s", trail->said, daemon_log(daemon));
}

SCENE(integration_failover, daemon_frozen_through_a_failover)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    enum { CALLERS = 8 };
    struct raw *early[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        early[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(early[i], "/master", 2000)->status, 200);
    }
    const int64_t frozen_ms = now_ms();
    process_freeze(daemon->process);
    server_kill(old);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    server_start(old); /* it lives again and says master: a role check alone would not tell */
    WAIT_UNTIL(10000, now_ms() - frozen_ms > 4500);
    const char request[] = "GET /master HTTP/1.1\r\nHost: test\r\n\r\n";
    for (int i = 0; i < CALLERS; i++) { /* waiting in the daemon's buffers when it wakes */
        cr_assert(raw_send(early[i], request, sizeof(request) - 1));
    }
    daemon_signal(daemon, SIGCONT);
    for (int i = 0; i < CALLERS; i++) {
        const struct http_answer *answer = raw_answer(early[i], 3000);

        cr_assert(answer->status == 503 ||
                      (answer->status == 200 &&
                       strcmp(http_string(answer, "address"), new_master->address) == 0),
                  "the first word after the thaw is old: %s", http_text(answer));
    }
    struct trail *trail = trail_start(daemon, cluster);
    trail_until(trail, new_master, 3000);
    trail_for(trail, 1000);
    cr_assert(!strstr(trail->said, "200 A"), "an old answer after the thaw: %s\n%s", trail->said,
              daemon_log(daemon));
}

SCENE(integration_failover, answer_that_waited_in_a_socket_is_not_believed)
{
    /* The node answers while the daemon is frozen, and nobody answers anything after that. */
    struct fake_words node = {.role = "master"};
    struct fake *master = fake_start(FAKE_NODE, &node);
    struct fake_words words = {.run_id = "0123456789012345678901234567890123456789",
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", fake_port(master)),
                               .epoch = 1};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(sentinel), "--verify-timeout", "1s",
                                 NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    WAIT_UNTIL(3000, status_of(daemon, "/master") == 200);
    const unsigned asked = fake_heard(master, "HELLO");
    WAIT_UNTIL(5000, fake_heard(master, "HELLO") >= asked + 2); /* on the standing connection */
    node.hold = true;
    fake_say(master, &node);
    WAIT_UNTIL(5000, fake_held(master) > 0);
    process_freeze(daemon->process);
    const int64_t frozen_ms = now_ms();
    words.stall = true;
    fake_say(sentinel, &words);
    node.hold = false;
    fake_say(master, &node); /* the answer goes into the socket of the frozen daemon */
    node.stall = true;
    fake_say(master, &node);
    WAIT_UNTIL(8000, now_ms() - frozen_ms > 6000);
    const unsigned before = fake_heard(master, "HELLO");
    daemon_signal(daemon, SIGCONT);
    HOLDS_FOR(2500, status_of(daemon, "/master") == 503);
    cr_assert(fake_heard(master, "HELLO") > before, "the node is asked anew");
    node.stall = false;
    fake_say(master, &node);
    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
}

SCENE(integration_failover, daemon_frozen_for_two_seconds_finds_back)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const int64_t frozen_ms = now_ms();
    process_freeze(daemon->process);
    WAIT_UNTIL(4000, now_ms() - frozen_ms > 2000);
    daemon_signal(daemon, SIGCONT);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
    EXPECT_REASON(daemon, NULL, 3000);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "clock"));
}

SCENE(integration_failover, restart_of_the_master_is_logged_and_is_no_switch)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 8000});
    const struct daemon *daemon = daemon_start(cluster, "--log-level", "debug", NULL);
    struct server *master = &cluster->nodes[0];

    EXPECT_MASTER(daemon, master, 3000);
    wait_for_check(daemon);
    server_kill(master);
    EXPECT_NONE(daemon, NULL, NULL, 1000);
    server_start(master);
    EXPECT_MASTER(daemon, master, 3000);
    cr_assert(json_is_null(http_value(daemon_master(daemon), "previous")));
    WAIT_UNTIL(12000, strcasestr(daemon_log(daemon), "restart") != NULL);
}

SCENE(integration_failover, both_ends_of_an_outage_are_in_a_log_of_warnings)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 2000});
    const struct daemon *daemon = daemon_start(cluster, "--log-level", "warn", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    EXPECT_REASON(daemon, NULL, 12000);
    cr_assert(*daemon_log(daemon) == '\0' || daemon_pauses(daemon) > 0, "%s", daemon_log(daemon));
    server_kill(old);
    const struct server *next = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, next, 3000);
    EXPECT_REASON(daemon, NULL, 12000);
    EXPECT_LOGGED(daemon,
                  count_in(daemon_log(daemon), "state=ok") == 1 ||
                      (daemon_pauses(daemon) > 0 && strstr(daemon_log(daemon), "state=ok")));
    const char *log = daemon_log(daemon);
    cr_assert_eq(count_in(log, text("msg=\"master changed\" master=mymaster from=%s to=%s",
                                    old->address, next->address)),
                 1, "%s", log);
    cr_assert_eq(count_in(log, "disputed"), 0, "%s", log);
    cr_assert_geq(count_in(log, "msg=\"master state\""), 2, "%s", log);
    /* the majority goes and comes back */
    server_kill(&cluster->sentinels[0]);
    server_kill(&cluster->sentinels[1]);
    WAIT_UNTIL(9000, strstr(daemon_log(daemon), "reason=no_majority") != NULL);
    server_start(&cluster->sentinels[0]);
    server_start(&cluster->sentinels[1]);
    WAIT_UNTIL(20000,
               strstr(strstr(daemon_log(daemon), "reason=no_majority"), "reason=none") != NULL);
    WAIT_UNTIL(15000, count_in(daemon_log(daemon), "msg=\"sentinel link up\"") >= 2);
}

SCENE(integration_failover, an_ordinary_switch_is_no_dispute_and_no_fence_in_the_log)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--log-level", "debug", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    EXPECT_REASON(daemon, NULL, 12000);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 3000);
    EXPECT_REASON(daemon, NULL, 12000);
    WAIT_UNTIL(15000, strstr(daemon_log(daemon), "event=+switch-master") != NULL);
    const char *log = daemon_log(daemon);
    cr_assert_eq(count_in(log, "reason=disputed"), 0, "%s", log);
    cr_assert_eq(count_in(log, "fence"), 0, "%s", log);
    /* with what the event says */
    cr_assert(
        strstr(log,
               text("event=+switch-master master=mymaster detail=\"mymaster 127.0.0.1 %u 127.0.0.1",
                    old->port)),
        "%s", log);
}
