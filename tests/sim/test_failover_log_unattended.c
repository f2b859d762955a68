/*
 * What the log tells where no failover begins, of what ends unfinished, and of a ring that
 * overflows.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "failover_log_player.h"

/* ---- none begins ---- */

STORY_TEST(
    back_before_anybody_saw, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n2500 - mymaster good\n2500 - mymaster state ok\n",
    "mymaster unknown recovered 7200>0 from 200 to 2500 gap 2400: "
    "suspected 0")
STORY_TEST(a_blip_is_no_story, 0, "100 - mymaster good\n200 - mymaster lost\n210 - mymaster good\n",
           "")
STORY_TEST(
    back_and_sentinels_say_so, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "1500 - mymaster good\n1500 - mymaster state ok\n1900 7210 -sdown" MASTER,
    "mymaster crash recovered 7200>0 from 200 to 1900 gap 1400: "
    "suspected 0 sdown 1000")
STORY_TEST(
    back_and_a_sentinel_does_not_say_so, 30000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "1500 - mymaster good\n1500 - mymaster state ok\n",
    "mymaster crash recovered 7200>0 from 200 to 11200 gap 1400: "
    "suspected 0 sdown 1000")
STORY_TEST(one_sentinel_is_cut_off, 30000,
           "100 - mymaster good\n1200 7210 +sdown" MASTER "1500 - mymaster good\n",
           "mymaster crash not_started(no_quorum) 7200>0 from 1200 to 11200 gap 0: "
           "sdown 0")
STORY_TEST(odown_and_none_tries, 30000, DOWN,
           "mymaster crash unattended(not_elected) 7200>0 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(no_sentinel_sees_it, 300000,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n",
           "mymaster unknown unattended(no_quorum) 7200>0 from 200 to ? gap ?: "
           "suspected 0")
STORY_TEST(
    replicas_and_sentinels_go_down, 30000,
    "100 - mymaster good\n200 7210 +sdown slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
    "300 7210 +sdown sentinel 482b 127.0.0.1 7211 @ mymaster 127.0.0.1 7200\n",
    "")
STORY_TEST(
    quorum_returns_after_a_while, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "30000 7211 +sdown" MASTER "30100 7211 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n"
    "30110 7211 +new-epoch 9\n30110 7211 +try-failover" MASTER "30200 7211 +elected-leader" MASTER
    "31000 7211 +promoted-slave" REPLICA
    "31002 - mymaster published 7201 9\n32000 7211 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 9 by 7211 from 200 to 32000 gap 30902: "
    "suspected 0 sdown 1000 odown 29900 elected 30000 promoted 30800 published 30802 finished 31800")

STORY_TEST(unattended_until_it_is_back, 0,
           DOWN "40000 7212 +sdown" MASTER "60000 - mymaster good\n60000 - mymaster state ok\n",
           "mymaster crash recovered 7200>0 from 200 to 60000 gap 59900: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(
    attended_again, 31000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "30000 7211 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n",
    "mymaster crash running 7200>0 from 200 to ? gap ?: "
    "suspected 0 sdown 1000 odown 29800")
STORY_TEST(unattended_and_removed, 0,
           DOWN "30000 7210 -monitor" MASTER "30001 7211 +reset-master" MASTER,
           "mymaster crash unattended(not_elected) 7200>0 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(promoted_where_nobody_can_follow, 200000,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "2300 7210 +promoted-slave" REPLICA "3300 7210 +failover-end" MASTER,
           "mymaster crash unattended 7200>7201 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 promoted 2100 finished 3100")

/* ---- the ring ---- */

Test(sim_failover_log, ring_overflows)
{
    struct failover_player player = failover_play_start(3);

    for (int i = 0; i < 5; i++) {
        char lines[256];

        snprintf(
            lines, sizeof(lines),
            "%d - mymaster good\n%d - mymaster lost\n%d - mymaster state down\n%d - mymaster good\n%d - mymaster state ok\n",
            i * 1000, i * 1000 + 100, i * 1000 + 101, i * 1000 + 500, i * 1000 + 500);
        failover_play(&player, lines);
    }
    EXPECT_STORY(&player, "mymaster unknown recovered 7200>0 from 4100 to 4500 gap 500: "
                          "suspected 0 | "
                          "mymaster unknown recovered 7200>0 from 3100 to 3500 gap 500: "
                          "suspected 0 | "
                          "mymaster unknown recovered 7200>0 from 2100 to 2500 gap 500: "
                          "suspected 0");
    cr_assert_eq(player.invariant.n_taken, 5);
    failover_play_stop(&player);
}

Test(sim_failover_log, open_entry_leaves_the_ring)
{
    struct failover_player player = failover_play_start(1);
    struct failovers *list;

    failover_play(
        &player,
        "100 - mymaster good\n100 - other good\n200 - mymaster lost\n201 - mymaster state down\n"
        "300 - other lost\n301 - other state down\n");
    list = failover_log_list(player.failover_log);
    failover_play(&player, "400 - mymaster good\n400 - mymaster state ok\n");
    EXPECT_STORY(&player, "other unknown running 7203>0 from 300 to ? gap ?: "
                          "suspected 0");
    cr_assert_eq(player.invariant.n_taken, 1, "it is told all the same");
    failover_play(&player, "500 - other good\n500 - other state ok\n");
    cr_assert_eq(list->entries[0]->outcome, FAILOVER_RUNNING, "what was shared does not change");
    failovers_unref(list);
    EXPECT_STORY(&player, "other unknown recovered 7203>0 from 300 to 500 gap 400: "
                          "suspected 0");
    failover_play_stop(&player);
}

Test(sim_failover_log, master_is_watched_no_longer)
{
    struct failover_player player = failover_play_start(64);

    failover_play(&player, DOWN "1310 7210 +try-failover" MASTER);
    failover_log_forget(player.watched[0].record, failover_play_time(&player));
    failover_play_check(&player);
    EXPECT_STORY(&player, "mymaster crash aborted(not_elected) 7200>0 from 200 to 1310 gap ?: "
                          "suspected 0 sdown 1000 odown 1100");
    cr_assert_eq(failover_log_next_ms(player.failover_log), -1);
    failover_play_stop(&player);
}
