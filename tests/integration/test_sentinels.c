/* Sentinels that are gone, come back, disagree, lie, hang, or are none. */
#include <signal.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_sentinels);

SCENE(integration_sentinels, all_gone_and_back_while_the_master_lives)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct trail *trail = trail_start(daemon, cluster);
    for (size_t i = 0; i < 3; i++) {
        server_kill(&cluster->sentinels[i]);
    }
    const int64_t end = now_ms() + patient(6000);
    while (http_true(daemon_get(daemon, "/master"), "majority")) {
        cr_assert(now_ms() < end, "majority stays true without a Sentinel");
        trail_look(trail);
    }
    EXPECT_REASON(daemon, "no_sentinel_reachable", 3000);
    trail_for(trail, 2000);
    const struct http_answer *strict = daemon_get(daemon, "/master?require=majority");
    cr_assert_eq(strict->status, 503, "%s", http_text(strict));
    cr_assert_str_eq(http_string(strict, "reason"), "no_majority");
    for (size_t i = 0; i < 3; i++) {
        server_start(&cluster->sentinels[i]);
    }
    EXPECT_REASON(daemon, NULL, 12000);
    HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
    trail_look(trail);
    cr_assert_str_eq(trail->said, "200 A", "%s\n%s", trail->said, daemon_log(daemon));
}

SCENE(integration_sentinels, master_removed_and_monitored_again_at_epoch_zero)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cluster_failover(cluster); /* the high-water epoch is above 0 */
    struct server *second = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, second, 1000);
    struct server *third = second == &cluster->nodes[1] ? &cluster->nodes[2] : &cluster->nodes[1];
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(redis_say(&cluster->sentinels[i], "SENTINEL REMOVE mymaster"), "OK");
    }
    struct trail *trail = trail_start(daemon, cluster);
    trail_for(trail, 1500);
    cr_assert_str_eq(trail->said, text("200 %c", node_letter(cluster, second)),
                     "what is published stands while it says master: %s\n%s", trail->said,
                     daemon_log(daemon));
    cr_assert_str_eq(redis_say(third, "REPLICAOF NO ONE"), "OK");
    cr_assert_str_eq(redis_say(second, "REPLICAOF %s %d", third->ip, (int)third->port), "OK");
    cluster_monitor(cluster, "mymaster", third);
    trail_until(trail, third, 15000);
    trail_for(trail, 1000);
    trail_check(trail, second, third);
    cr_assert_eq(http_number(daemon_get(daemon, "/master"), "config_epoch"), 0);
}

SCENE(integration_sentinels, one_sentinel_that_monitors_again_pulls_nothing_back)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 3000);
    cluster_failover(cluster);
    struct server *second = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, second, 1000);
    struct server *third = second == &cluster->nodes[1] ? &cluster->nodes[2] : &cluster->nodes[1];
    cr_assert_str_eq(redis_say(&cluster->sentinels[2], "SENTINEL REMOVE mymaster"), "OK");
    cr_assert_str_eq(redis_say(third, "REPLICAOF NO ONE"), "OK");
    struct trail *trail = trail_start(daemon, cluster);
    (void)redis_say(&cluster->sentinels[2], "SENTINEL MONITOR mymaster %s %d 2", third->ip,
                    (int)third->port);
    trail_for(trail, 4000);
    cr_assert_str_eq(trail->said, text("200 %c", node_letter(cluster, second)), "%s\n%s",
                     trail->said, daemon_log(daemon));
}

SCENE(integration_sentinels, noquorum_is_shown)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const char *left = cluster->sentinels[0].address;
    WAIT_UNTIL(12000, strncmp(row_string(daemon, left, "ckquorum.text"), "OK", 2) == 0);
    server_kill(&cluster->sentinels[1]);
    server_kill(&cluster->sentinels[2]);
    WAIT_UNTIL(15000, strstr(row_string(daemon, left, "ckquorum.text"), "NOQUORUM") != NULL);
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");
    const int row = sentinel_row(sentinels, left);
    cr_assert(json_is_false(http_value(sentinels, text("sentinels.%d.ckquorum.ok", row))));
    cr_assert(http_true(sentinels, text("sentinels.%d.reachable", row)),
              "an error reply is an answer: %s", http_text(sentinels));
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
    cr_assert_not(http_true(daemon_get(daemon, "/master"), "majority"));
    EXPECT_REASON(daemon, "no_majority", 2000);
}

SCENE(integration_sentinels, seed_by_name_learned_by_address_counts_once)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const char *const flags[] = {"--sentinel", text("localhost:%u", cluster->sentinels[0].port),
                                 NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/sentinels"), "reachable") == 3);
    HOLDS_FOR(2500,
              http_number(daemon_get(daemon, "/sentinels"), "known") == 3 &&
                  json_array_size(http_value(daemon_get(daemon, "/sentinels"), "sentinels")) == 3);
    size_t configured = 0, i;
    json_t *row;
    json_array_foreach(http_value(daemon_get(daemon, "/sentinels"), "sentinels"), i, row)
        configured +=
        strcmp(json_string_value(json_object_get(row, "source")), "configured") == 0 ? 1 : 0;
    cr_assert_eq(configured, 1);
}

SCENE(integration_sentinels, the_same_seed_twice_by_name_and_address_counts_once)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.sentinels = 1});
    const char *const flags[] = {"--sentinel", text("localhost:%u", cluster->sentinels[0].port),
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    EXPECT_REASON(daemon, NULL, 3000);
    HOLDS_FOR(2000, http_number(daemon_get(daemon, "/sentinels"), "known") == 1);
}

SCENE(integration_sentinels, others_are_learned_and_forgotten)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *const flags[] = {"--sentinel", cluster->sentinels[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/sentinels"), "known") == 3);
    cr_assert_str_eq(row_string(daemon, cluster->sentinels[2].address, "source"), "learned");
    server_kill(&cluster->sentinels[2]);
    for (size_t i = 0; i < 2; i++) { /* the documented way to make the others forget it */
        (void)redis_say(&cluster->sentinels[i], "SENTINEL RESET mymaster");
    }
    WAIT_UNTIL(25000, http_number(daemon_get(daemon, "/sentinels"), "known") == 2);
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
}

SCENE(integration_sentinels, one_that_accepts_and_never_answers)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct fake *silent = fake_start(FAKE_SILENT, NULL);
    const char *const flags[] = {"--sentinel",
                                 fake_address(silent),
                                 "--sentinel",
                                 cluster->sentinels[0].address,
                                 "--sentinel-timeout",
                                 "500ms",
                                 NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 2000);
    WAIT_UNTIL(5000, fake_accepted(silent) >= 2); /* tried again */
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");
    const int row = sentinel_row(sentinels, fake_address(silent));
    cr_assert(row >= 0, "a configured seed is listed: %s", http_text(sentinels));
    cr_assert_not(http_true(sentinels, text("sentinels.%d.reachable", row)));
    cr_assert(json_is_object(http_value(sentinels, text("sentinels.%d.error", row))), "%s",
              http_text(sentinels));
    struct server *old = &cluster->nodes[0];
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 1500);
}

SCENE(integration_sentinels, peers_that_are_no_sentinels)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    struct fake *web = fake_start(FAKE_HTTP, NULL), *garbage = fake_start(FAKE_GARBAGE, NULL),
                *closer = fake_start(FAKE_CLOSER, NULL);
    const char *const flags[] = {
        "--sentinel", cluster->nodes[1].address, "--sentinel", fake_address(web),
        "--sentinel", fake_address(garbage),     "--sentinel", fake_address(closer),
        NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const char *const others[] = {cluster->nodes[1].address, fake_address(web),
                                  fake_address(garbage), fake_address(closer)};
    for (size_t i = 0; i < 4; i++) {
        WAIT_UNTIL(3000, *row_string(daemon, others[i], "error.text") != '\0');
        const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");
        cr_assert_not(http_true(sentinels,
                                text("sentinels.%d.reachable", sentinel_row(sentinels, others[i]))),
                      "%s", http_text(sentinels));
    }
    cr_assert_eq(http_number(daemon_get(daemon, "/sentinels"), "known"), 1);
    HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
}

SCENE(integration_sentinels, only_a_plain_redis_as_sentinel)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    const char *const flags[] = {"--sentinel", cluster->nodes[0].address, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    WAIT_UNTIL(3000, says_none(daemon, NULL, NULL) || status_of(daemon, "/master") == 404);
    WAIT_UNTIL(3000, strcasestr(daemon_log(daemon), "sentinel") != NULL);
    still_serves(daemon);
}

SCENE(integration_sentinels, lying_one_moves_nothing_to_a_replica)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct fake_words lie = {.run_id = "feedfacefeedfacefeedfacefeedfacefeedface",
                                   .master_name = "mymaster",
                                   .master_host = "127.0.0.1",
                                   .master_port = text("%u", cluster->nodes[2].port),
                                   .epoch = 99};
    struct fake *liar = fake_start(FAKE_SENTINEL, &lie);
    const char *const flags[] = {"--sentinel", fake_address(liar), NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    struct trail *trail = trail_start(daemon, cluster);
    EXPECT_REASON(daemon, "disputed", 4000);
    trail_for(trail, 2500);
    cr_assert_str_eq(trail->said, "200 A", "%s\n%s", trail->said, daemon_log(daemon));
    cr_assert(fake_heard(liar, "SENTINEL GET-MASTER-ADDR-BY-NAME") > 1);
    struct server *old =
        &cluster->nodes[0]; /* the lie at epoch 99 must not stop the true failover for good */
    server_kill(old);
    (void)cluster_wait_switch(cluster, old, 30000);
    trail_for(trail, 1000);
    cr_assert(count_in(trail->said, "200 ") <= 2, "%s", trail->said);
}

SCENE(integration_sentinels, garbage_addresses_are_no_observation)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct fake_words lie = {.run_id = "feedfacefeedfacefeedfacefeedfacefeedface",
                             .master_name = "mymaster",
                             .master_host = "127.0.0.1",
                             .master_port = "0",
                             .epoch = 99};
    struct fake *liar = fake_start(FAKE_SENTINEL, &lie);
    const char *const flags[] = {"--sentinel", fake_address(liar), "--poll-interval", "200ms",
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct trail *trail = trail_start(daemon, cluster);
    static const char *const ports[] = {"99999", "abc", "-1", "", "6379x"};
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
        lie.master_port = ports[i];
        fake_say(liar, &lie);
        trail_for(trail, 500);
    }
    lie.master_port = "6379";
    lie.master_host = "";
    fake_say(liar, &lie);
    trail_for(trail, 500);
    lie.master_host = NULL;
    fake_say(liar, &lie);
    trail_for(trail, 500);
    cr_assert_str_eq(trail->said, "200 A", "%s\n%s", trail->said, daemon_log(daemon));
    still_serves(daemon);
}

SCENE(integration_sentinels, one_that_stalls_after_answering)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    struct fake_words words = {.run_id = "0123456789012345678901234567890123456789",
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", cluster->nodes[0].port),
                               .epoch = 3};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(sentinel), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    EXPECT_REASON(daemon, NULL, 2000);
    words.stall = true;
    fake_say(sentinel, &words);
    EXPECT_REASON(daemon, "no_sentinel_reachable", 5000);
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
    words.stall = false;
    fake_say(sentinel, &words);
    EXPECT_REASON(daemon, NULL, 8000);
}

SCENE(integration_sentinels, slow_start_before_any_sentinel)
{
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);

    WAIT_UNTIL(2000, says_none(daemon, "unknown", "starting") ||
                         says_none(daemon, "unknown", "no_sentinel_reachable"));
    EXPECT_NONE(daemon, "unknown", "no_sentinel_reachable", 4000);
    const struct http_answer *none = daemon_get(daemon, "/master?stale=1");
    cr_assert_eq(none->status, 503, "stale has nothing to give: %s", http_text(none));
    cr_assert_str_neq(http_header(none, "retry-after"), "");
    cr_assert(json_is_null(http_value(none, "last_known")));
    cluster_run(cluster);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 10000);
    EXPECT_REASON(daemon, NULL, 12000);
}

SCENE(integration_sentinels, first_answer_comes_quickly)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const int64_t began_ms = now_ms();
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 1000);
    cr_log_info("first verified answer after %lld ms", (long long)(now_ms() - began_ms));
}

SCENE(integration_sentinels, sentinels_shape)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(5000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    const struct http_answer *answer = daemon_get(daemon, "/sentinels");
    cr_assert_eq(http_number(answer, "quorum"), 2);
    cr_assert_eq(http_number(answer, "known"), 3);
    cr_assert_eq(http_number(answer, "voters_needed"), 2);
    cr_assert(http_true(answer, "majority"));
    cr_assert_str_eq(http_header(answer, "cache-control"), "no-store");
    for (size_t i = 0; i < 3; i++) {
        const int row = sentinel_row(answer, cluster->sentinels[i].address);

        cr_assert(row >= 0, "%s", http_text(answer));
        cr_assert_str_eq(http_string(answer, text("sentinels.%d.run_id", row)),
                         cluster->sentinels[i].run_id);
        cr_assert_str_eq(http_string(answer, text("sentinels.%d.says", row)),
                         cluster->nodes[0].address);
        cr_assert(http_true(answer, text("sentinels.%d.agrees", row)));
        cr_assert_eq(http_number(answer, text("sentinels.%d.voters", row)), 3);
        cr_assert_eq(http_number(answer, text("sentinels.%d.down_after_ms", row)),
                     server_down_after_ms(cluster, &cluster->sentinels[i]));
        cr_assert_eq(http_number(answer, text("sentinels.%d.failover_timeout_ms", row)),
                     cluster->failover_timeout_ms);
    }
    /* another answer of a Sentinel's may come between the two */
    WAIT_UNTIL(5000, strcmp(daemon_get(daemon, "/masters/mymaster/sentinels")->body,
                            daemon_get(daemon, "/sentinels")->body) == 0);
}

SCENE(integration_sentinels, the_disagreeing_one_is_marked)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0], *odd = &cluster->sentinels[2];

    EXPECT_MASTER(daemon, old, 3000);
    const char *before = file_read(odd->config);
    server_kill(odd);
    cluster_failover(cluster);
    struct server *new_master = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, new_master, 1000);
    for (size_t i = 0; i < 2; i++) { /* nobody tells it what happened */
        server_freeze(&cluster->sentinels[i]);
    }
    server_kill(old);
    /* says master, so only its epoch, below the high-water epoch, speaks against it */
    server_start(old);
    file_write(odd->config, before);
    server_start(odd);
    WAIT_UNTIL(8000, strcmp(row_string(daemon, odd->address, "says"), old->address) == 0);
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");
    cr_assert(json_is_false(
        http_value(sentinels, text("sentinels.%d.agrees", sentinel_row(sentinels, odd->address)))));
    HOLDS_FOR(3500, says_master(daemon, new_master)); /* longer than three polls */
    WAIT_UNTIL(6000, !http_true(daemon_get(daemon, "/master"), "majority"));
    HOLDS_NOW(says_master(daemon, new_master));
}

SCENE(integration_sentinels, conflict_of_equal_epochs)
{
    /* Two nodes that both say master, two Sentinels that took sides in the same epoch. */
    struct cluster *nodes = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    struct server *a = &nodes->nodes[0], *b = cluster_add_node(nodes, NULL);
    struct fake_words words = {.run_id = "1111111111111111111111111111111111111111",
                               .master_name = "mymaster",
                               .master_host = "127.0.0.1",
                               .master_port = text("%u", a->port),
                               .epoch = 5};
    struct fake *first = fake_start(FAKE_SENTINEL, &words);

    words.run_id[0] = '2';
    struct fake *second = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(first), "--sentinel",
                                 fake_address(second), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    EXPECT_MASTER(daemon, a, 4000);
    EXPECT_REASON(daemon, NULL, 3000);
    words.master_port = text("%u", b->port);
    fake_say(second, &words);
    EXPECT_REASON(daemon, "disputed", 3000);
    HOLDS_FOR(2500, says_master(daemon, a));
    server_kill(a);
    EXPECT_NONE(daemon, "conflict", "conflict", 3000);
    words.run_id[0] = '1';
    fake_say(first, &words); /* now both say b */
    EXPECT_MASTER(daemon, b, 4000);
}

SCENE(integration_sentinels, candidate_that_says_another_role)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    struct fake *sentinel = fake_start_sentinel(cluster->nodes[1].port);
    const char *const flags[] = {"--sentinel", fake_address(sentinel), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    EXPECT_NONE(daemon, "unknown", "role_mismatch", 4000);
    HOLDS_FOR(1500, status_of(daemon, "/master") == 503);
    server_kill(&cluster->sentinels[0]);
    cr_assert_str_eq(redis_say(&cluster->nodes[1], "REPLICAOF NO ONE"), "OK");
    EXPECT_MASTER(daemon, &cluster->nodes[1], 3000);
}

SCENE(integration_sentinels, coming_and_going_leaks_no_descriptors)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct fake *closer = fake_start(FAKE_CLOSER, NULL), *garbage = fake_start(FAKE_GARBAGE, NULL);
    const char *const flags[] = {"--sentinel", fake_address(closer), "--sentinel",
                                 fake_address(garbage), NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const long before = daemon_descriptors(daemon);
    cr_assert(before > 5, "%ld descriptors?", before);
    for (int i = 0; i < 5; i++) {
        server_kill(&cluster->sentinels[0]);
        server_kill(&cluster->nodes[0]);
        EXPECT_NONE(daemon, NULL, NULL, 2000);
        server_start(&cluster->nodes[0]);
        server_start(&cluster->sentinels[0]);
        EXPECT_MASTER(daemon, &cluster->nodes[0], 8000);
    }
    WAIT_UNTIL(6000, fake_accepted(closer) > 5);
    WAIT_UNTIL(3000, daemon_descriptors(daemon) <= before + 4);
}
