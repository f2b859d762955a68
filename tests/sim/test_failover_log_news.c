/*
 * Whose news it is: what is heard late, early, or of somebody else's master, is told of the
 * failover that it belongs to, or not at all.
 */
#include <criterion/criterion.h>

#include "failover_log_player.h"

/* ---- whose news it is ---- */

#define MOVED \
    "100 - mymaster good\n200 7210 +new-epoch 1\n200 7210 +try-failover" MASTER \
    "250 7210 +elected-leader" MASTER "1200 7210 +promoted-slave" REPLICA \
    "1201 - mymaster published 7201 1\n"
#define MOVED_STORY(end) \
    "mymaster manual switched 7200>7201 epoch 1 by 7210 from 200 to " end \
    ": elected 0 promoted 950 published 951"
#define NEXT " master mymaster 127.0.0.1 7201\n"

STORY_TEST(
    end_comes_in_the_next_which_is_only_tried, 0,
    MOVED
    "1400 7211 +sdown" NEXT "1410 7212 +sdown" NEXT
    "1420 7212 +odown master mymaster 127.0.0.1 7201 #quorum 2/2\n1430 7212 +try-failover" NEXT
    "1500 7211 -sdown" NEXT "1510 7210 +failover-end" MASTER
    "1510 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n1600 7212 -sdown" NEXT
    "1900 7212 -failover-abort-not-elected" NEXT,
    "mymaster crash aborted(not_elected) 7201>0 from 1400 to 1900 gap 0: sdown 0 odown 20 | " MOVED_STORY(
        "1510 gap 0") " finished 1260")
STORY_TEST(all_of_it_is_heard_after_the_publication, 0,
           "100 - mymaster good\n150 - mymaster published 7201 1\n200 7210 +try-failover" MASTER
           "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
           "300 7210 +failover-state-send-slaveof-noone" REPLICA "1200 7210 +promoted-slave" REPLICA
           "1300 7210 +failover-end" MASTER,
           "mymaster unknown switched 7200>7201 epoch 1 by 7210 from 150 to 1300 gap 50: "
           "published 0 elected 100 selected 150 promoting 150 promoted 1050 finished 1150")
STORY_TEST(all_of_it_is_heard_after_the_end, 90000,
           MOVED "1300 7210 +failover-end" MASTER "2000 7211 +try-failover" MASTER
                 "2010 7211 +elected-leader" MASTER "2020 7211 +selected-slave" REPLICA
                 "2030 7211 +sdown" MASTER "2040 7211 +promoted-slave" REPLICA
                 "2050 7211 +failover-end" MASTER
                 "2050 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
           MOVED_STORY("1300 gap 0") " finished 1050")
STORY_TEST(
    somebody_elses, 90000,
    "100 - mymaster good\n200 7219 +sdown master mymaster 10.0.0.9 6379\n"
    "210 7219 +odown master mymaster 10.0.0.9 6379 #quorum 1/1\n220 7219 +try-failover master mymaster 10.0.0.9 6379\n"
    "230 7219 +elected-leader master mymaster 10.0.0.9 6379\n"
    "240 7219 +selected-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
    "250 7219 +promoted-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
    "260 7219 +failover-end master mymaster 10.0.0.9 6379\n"
    "260 7219 +switch-master mymaster 10.0.0.9 6379 10.0.0.8 6379\n",
    "")
STORY_TEST(somebody_elses_during_ours, 0,
           LED
           "1600 7219 +failover-end master mymaster 10.0.0.9 6379\n"
           "1610 7219 -failover-abort-not-elected master mymaster 10.0.0.9 6379\n"
           "1620 7219 +promoted-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
           "1630 7219 +switch-master mymaster 10.0.0.9 6379 10.0.0.8 6379\n",
           "mymaster crash running 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(there_and_back_with_both_ends_late, 0,
           MOVED "1300 7211 +try-failover" NEXT "1310 7211 +elected-leader" NEXT
                 "1900 - mymaster published 7200 2\n2000 7210 +failover-end" MASTER
                 "2010 7211 +failover-end" NEXT,
           "mymaster manual switched 7201>7200 epoch 2 by 7211 from 1300 to 2010 gap 0: "
           "elected 0 published 590 finished 700 | " MOVED_STORY("2000 gap 0") " finished 1750")
STORY_TEST(
    there_and_back_and_there_again_with_the_first_end_late, 0,
    MOVED "1300 - mymaster published 7200 2\n1400 7212 +try-failover" MASTER
          "1450 7212 +elected-leader" MASTER "1500 7210 +failover-end" MASTER
          "1500 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual running 7200>0 by 7212 from 1400 to ? gap ?: elected 0 | "
    "mymaster unknown switched 7201>7200 epoch 2 from 1300 to 1300 gap 99: published 0 | " MOVED_STORY(
        "1500 gap 0") " finished 1250")
STORY_TEST(
    overtaken_and_never_ended, 0,
    MOVED
    "1300 7211 +try-failover" NEXT "1310 7211 +elected-leader" NEXT
    "1900 - mymaster published 7202 2\n"
    "1950 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n2010 7211 +failover-end" NEXT,
    "mymaster manual switched 7201>7202 epoch 2 by 7211 from 1300 to 2010 gap 0: "
    "elected 0 published 590 promoted 640 finished 700 | " MOVED_STORY("1201 gap 0"))

Test(sim_failover_log, started_in_the_middle)
{
    struct failover_player player = failover_play_start(64);
    struct failover_watched *mine;

    mine = &player.watched[0];
    failover_log_forget(mine->record, failover_play_time(&player));
    mine->record = failover_log_watch(player.failover_log, "mymaster", 0);
    failover_play(&player, "100 7210 +selected-slave" REPLICA);
    failover_log_published(mine->record, NULL, &mine->published, 0, true, false,
                           failover_play_time(&player));
    failover_play(&player, "100 - mymaster state ok\n200 7210 +promoted-slave" REPLICA
                           "201 - mymaster published 7201 1\n300 7210 +failover-end" MASTER);
    EXPECT_STORY(&player,
                 "mymaster unknown switched 7200>7201 epoch 1 by 7210 from 100 to 300 gap 101: "
                 "selected 0 promoted 100 published 101 finished 200");
    failover_play_stop(&player);
}
