/*
 * Failovers as the log tells them: recorded ones, attempts that succeed or fail, leaders that die,
 * Valkey's coordinated failover, without events, and adopted.
 */
#include <criterion/criterion.h>

#include "failover_log_player.h"

TestSuite(sim_failover_log, .timeout = 120);

/* ---- recordings ---- */

Test(sim_failover_log, crash)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-crash");
    EXPECT_STORY(
        &player,
        "mymaster crash switched 7200>7202 epoch 1 by 7210 from 203 to 2474 gap 2419: "
        "suspected 0 sdown 1033 odown 1153 elected 1224 selected 1307 promoting 1307 promoted 2209 published 2216 finished 2271");
    cr_assert_eq(player.invariant.n_taken, 1, "three Sentinels, one failover");
    cr_assert_eq(player.invariant.n_resolved, 0, "all was known at its end");
    failover_play_stop(&player);
}

Test(sim_failover_log, manual)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-manual");
    EXPECT_STORY(&player,
                 "mymaster manual switched 7200>7202 epoch 1 by 7210 from 188 to 1364 gap 0: "
                 "elected 0 selected 101 promoting 101 promoted 1056 published 1061 finished 1120");
    failover_play_stop(&player);
}

Test(sim_failover_log, aborted_and_repeated)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-repeated");
    EXPECT_STORY(
        &player,
        "mymaster crash switched 7200>7201 epoch 2 by 7211 from 9516 to 10897 gap 9775: "
        "elected 0 selected 52 promoting 52 promoted 194 published 203 finished 1325 | "
        "mymaster crash aborted(no_good_slave) 7200>0 epoch 1 by 7210 from 202 to 1497 gap ?: "
        "suspected 0 sdown 1046 odown 1156 elected 1211");
    failover_play_stop(&player);
}

Test(sim_failover_log, simultaneous)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-simultaneous");
    failover_play_to(&player, 100000);
    EXPECT_STORY(
        &player,
        "other crash aborted(no_good_slave) 7204>0 epoch 3 by 7211 from 5478 to 5629 gap 0: "
        "sdown 0 odown 0 elected 84 | "
        "other crash switched 7203>7204 epoch 1 by 7211 from 1199 to 4467 gap 3407: "
        "suspected 0 sdown 1020 odown 1152 elected 2321 selected 2396 promoting 2396 promoted 3209 published 3224 finished 3268 | "
        "mymaster crash switched 7200>7201 epoch 2 by 7212 from 1199 to 4530 gap 2412: "
        "suspected 0 sdown 1020 odown 1152 elected 1286 selected 1353 promoting 1353 promoted 2224 published 2229 finished 3331");
    failover_play_stop(&player);
}

Test(sim_failover_log, no_quorum)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-no-quorum");
    EXPECT_STORY(&player, "mymaster crash recovered 7200>0 from 1198 to 15227 gap 14218: "
                          "suspected 0 sdown 1077");
    cr_assert_eq(player.invariant.n_resolved, 0, "all was known at its end");
    failover_play_stop(&player);
}

Test(sim_failover_log, tilt)
{
    struct failover_player player = failover_play_start(64);

    failover_play_file(&player, "failover-tilt");
    failover_play_to(&player, 40000);
    EXPECT_STORY(&player, "mymaster crash unattended(tilt) 7200>0 from 2505 to ? gap ?: "
                          "suspected 0 sdown 1055");
    failover_play_stop(&player);
}

/* ---- attempts ---- */

STORY_TEST(forced_while_down, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n"
           "1200 7210 +sdown" MASTER "3000 7210 +new-epoch 7\n3000 7210 +try-failover" MASTER
           "3001 7210 row force_failover\n"
           "3080 7210 +elected-leader" MASTER,
           "mymaster manual running 7200>0 epoch 7 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 elected 2880")
STORY_TEST(
    two_try_and_one_is_elected, 0,
    DOWN "1310 7210 +new-epoch 4\n1310 7210 +try-failover" MASTER
         "1320 7211 +new-epoch 5\n1320 7211 +try-failover" MASTER "1400 7211 +elected-leader" MASTER
         "1500 7211 +selected-slave" REPLICA "1600 7210 -failover-abort-not-elected" MASTER
         "2300 7211 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 5\n3000 7211 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 5 by 7211 from 200 to 3000 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101 finished 2800")
STORY_TEST(restarted_while_it_was_away, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n"
           "900 - mymaster good\n900 - mymaster state ok\n901 - mymaster restarted\n",
           "mymaster unknown recovered(restarted) 7200>0 from 200 to 900 gap 800: suspected 0")
STORY_TEST(restarted_while_sentinels_saw_it_down, 0,
           DOWN "1400 - mymaster good\n1400 - mymaster state ok\n1401 - mymaster restarted\n"
                "1500 7210 -odown" MASTER "1500 7210 -sdown" MASTER "1500 7211 -sdown" MASTER,
           "mymaster crash recovered(restarted) 7200>0 from 200 to 1500 gap 1300: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(
    restarted_before_anybody_noticed, 0,
    "100 - mymaster good\n200 - mymaster lost\n210 - mymaster good\n211 - mymaster restarted\n"
    "300 - mymaster good\n",
    "mymaster unknown recovered(restarted) 7200>0 from 211 to 211 gap ?: suspected 0")
STORY_TEST(nobody_elected_and_back, 0,
           DOWN "1310 7210 +try-failover" MASTER "1320 7211 +try-failover" MASTER
                "11400 7211 -failover-abort-not-elected" MASTER
                "11500 7210 -failover-abort-not-elected" MASTER
                "15000 - mymaster good\n15000 - mymaster state ok\n15400 7210 -sdown" MASTER,
           "mymaster crash aborted(not_elected) 7200>0 from 200 to 11500 gap 14900: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(manual_times_out, 0,
           "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER
           "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
           "300 7210 +failover-state-send-slaveof-noone" REPLICA
           "1100 - mymaster good\n20300 7210 -failover-abort-slave-timeout" MASTER,
           "mymaster manual aborted(slave_timeout) 7200>0 epoch 3 by 7210 from 200 to 20300 gap 0: "
           "elected 0 selected 50 promoting 50")
STORY_TEST(leader_falls_silent, 60000,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "1500 7210 +selected-slave" REPLICA,
           "mymaster crash aborted(leader_lost) 7200>0 by 7210 from 200 to 31500 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(candidate_falls_silent, 60000, DOWN "1310 7210 +try-failover" MASTER,
           "mymaster crash aborted(not_elected) 7200>0 from 200 to 21310 gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(
    replicas_do_not_follow_in_time, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n"
         "22300 7210 +failover-end-for-timeout" MASTER "22300 7210 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 22300 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101 finished 22100")
STORY_TEST(
    switched_and_never_finished, 60000,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n",
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 2301 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(
    new_one_dies_before_the_end, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n2310 7211 +sdown" MASTER
         "3300 - mymaster good\n3400 - mymaster lost\n3401 - mymaster state down\n"
         "4400 7211 +sdown master mymaster 127.0.0.1 7201\n",
    "mymaster crash running 7201>0 from 3400 to ? gap ?: "
    "suspected 0 sdown 1000 | "
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to ? gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(
    only_the_others_are_heard, 20000,
    DOWN
    "2400 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n2410 - mymaster published 7201 3\n",
    "mymaster crash switched 7200>7201 epoch 3 from 200 to 2410 gap 2310: "
    "suspected 0 sdown 1000 odown 1100 promoted 2200 published 2210")
STORY_TEST(beginning_was_missed, 0,
           "100 - mymaster good\n300 7210 +failover-state-wait-promotion" REPLICA
           "1100 - mymaster good\n"
           "1300 7210 +promoted-slave" REPLICA
           "1301 - mymaster published 7201 3\n2000 7210 +failover-end" MASTER,
           "mymaster unknown switched 7200>7201 epoch 3 by 7210 from 300 to 2000 gap 201: "
           "promoting 0 promoted 1000 published 1001 finished 1700")
STORY_TEST(
    next_begins_before_the_end, 0,
    "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
    "1200 7210 +promoted-slave" REPLICA "1201 - mymaster published 7201 1\n"
    "1300 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n"
    "1400 7211 +try-failover master mymaster 127.0.0.1 7201\n1450 7211 +elected-leader master mymaster 127.0.0.1 7201\n"
    "1500 7210 +failover-end" MASTER
    "1600 7212 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual running 7201>0 by 7211 from 1400 to ? gap ?: "
    "elected 0 | "
    "mymaster manual switched 7200>7201 epoch 1 by 7210 from 200 to 1500 gap 0: "
    "elected 0 promoted 950 published 951 finished 1250")
STORY_TEST(
    published_long_after, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "3300 7210 +failover-end" MASTER "400000 - mymaster published 7201 1\n",
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 400000 gap 399900: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 finished 3100 published 399800")

/* ---- leaders that die ---- */

STORY_TEST(leader_dies, 30000, LED "1700 7210 lost\n",
           "mymaster crash aborted(leader_lost) 7200>0 epoch 4 by 7210 from 200 to 11700 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_dies_and_another_tries, 5100,
           LED "1700 7210 lost\n5000 7211 +new-epoch 5\n5000 7211 +try-failover" MASTER,
           "mymaster crash running 7200>0 epoch 5 from 5000 to ? gap ? | "
           "mymaster crash aborted(leader_lost) 7200>0 epoch 4 by 7210 from 200 to 5000 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_dies_after_the_promotion, 30000,
           LED "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n",
           "mymaster crash unattended(leader_lost) 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100")
STORY_TEST(leader_is_heard_once_and_dies, 30000,
           DOWN "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n",
           "mymaster crash unattended(leader_lost) 7200>7201 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 promoted 2100")
STORY_TEST(
    leader_dies_and_it_is_published, 30000,
    LED "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n2400 - mymaster published 7201 4\n",
    "mymaster crash switched 7200>7201 epoch 4 by 7210 from 200 to 2400 gap 2300: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2200")
STORY_TEST(leader_was_out_of_sight_for_a_moment, 0,
           LED
           "1700 7210 lost\n1800 7210 row busy\n21600 7210 -failover-abort-slave-timeout" MASTER,
           "mymaster crash aborted(slave_timeout) 7200>0 epoch 4 by 7210 from 200 to 21600 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(somebody_else_is_out_of_sight, 25000, LED "1700 7211 lost\n",
           "mymaster crash running 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_is_reset, 0, LED "1700 7210 +reset-master" MASTER,
           "mymaster crash aborted 7200>0 epoch 4 by 7210 from 200 to 1700 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")

/* ---- Valkey's coordinated failover ---- */

#define COORDINATED \
    "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER \
    "201 7210 row force\n" \
    "201 7210 -sdown" MASTER "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA \
    "300 7210 +failover-state-send-slaveof-noone" REPLICA

STORY_TEST(
    coordinated, 0,
    COORDINATED "350 7210 +failover-state-wait-promotion" REPLICA "400 - mymaster lost\n"
                "1200 7210 +promoted-slave" REPLICA
                "1201 - mymaster published 7201 3\n2000 7210 +failover-end" MASTER,
    "mymaster manual switched 7200>7201 epoch 3 by 7210 from 200 to 2000 gap 1101: "
    "elected 0 selected 50 promoting 50 suspected 150 promoted 950 published 951 finished 1750")
STORY_TEST(coordinated_and_the_master_is_not_reached, 0,
           COORDINATED "2300 7210 -failover-abort-master-timeout" MASTER,
           "mymaster manual aborted(master_timeout) 7200>0 epoch 3 by 7210 from 200 to 2300 gap 0: "
           "elected 0 selected 50 promoting 50")

STORY_TEST(aborted_in_a_word_that_is_not_known, 0,
           COORDINATED "2300 7210 -failover-abort-for-want-of-a-word" MASTER,
           "mymaster manual aborted 7200>0 epoch 3 by 7210 from 200 to 2300 gap 0: "
           "elected 0 selected 50 promoting 50")

/* ---- without events, and --adopt ---- */

STORY_TEST(
    no_events_at_all, 20000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n2400 - mymaster published 7201 3\n",
    "mymaster unknown switched 7200>7201 epoch 3 from 200 to 2400 gap 2300: "
    "suspected 0 published 2200")
STORY_TEST(
    adopted, 0,
    "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER
    "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
    "300 7210 +failover-state-send-slaveof-noone" REPLICA
    "400 - mymaster adopted 7201 3\n410 7210 +failover-state-wait-promotion" REPLICA
    "1200 7210 +promoted-slave" REPLICA "2200 7210 +failover-end" MASTER
    "2200 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual switched 7200>7201 epoch 3 by 7210 from 200 to 2200 gap 0: "
    "elected 0 selected 50 promoting 50 adopted 150 published 150 promoted 950 finished 1950")
STORY_TEST(adopted_and_aborted, 0,
           "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
           "300 7210 +selected-slave" REPLICA "400 - mymaster adopted 7201 3\n"
           "20400 7210 -failover-abort-slave-timeout" MASTER "20401 - mymaster published 7200 3\n",
           "mymaster manual aborted(slave_timeout) 7200>0 epoch 3 by 7210 from 200 to 20400 gap 0: "
           "elected 0 selected 50 adopted 150 published 150")
STORY_TEST(adopted_and_taken_back, 0,
           "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
           "300 7210 +selected-slave" REPLICA
           "400 - mymaster adopted 7201 3\n2500 - mymaster published 7200 2\n",
           "mymaster manual aborted 7200>0 epoch 3 by 7210 from 200 to 2500 gap 0: "
           "elected 0 selected 50 adopted 150 published 150")
