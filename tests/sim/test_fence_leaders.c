/*
 * The fence and who leads: leaders that die, several of them, Valkey's coordinated failover, and
 * who is not listened to.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fence_player.h"

/* ---- leaders ---- */

Test(sim_fence, leader_killed_before_the_promotion)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210)
                            SENDING(200, 7210) "60000 - nothing\n");
    fence_expect_told(&player, "100 up (a leader was elected), "
                               "3203 down (time-out, and the chosen replica does not say master)");
    cr_expect(fence_is_idle(&player.guard), "no failover takes that long");
}

Test(sim_fence, leader_killed_after_the_promotion)
{
    /*
     * Held for as long as the replica says master; the others turn it back, and writes go on where
     * they are kept.
     */
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
                            WAITING(250, 7210) "9000 - 7202 says replica\n11000 - nothing\n");
    cr_expect(strstr(player.told, "100 up (a leader was elected), 250 promoting, 9") == player.told,
              "%s", player.told);
    cr_expect_eq(player.shown, FENCE_DOWN);
    /* And the next leader begins anew. */
    fence_play(&player,
               "20000 7211 +elected-leader " MASTER "20100 7211 +selected-slave " OTHER_REPLICA
               "20100 7211 +failover-state-wait-promotion " OTHER_REPLICA
               "21000 - mymaster published 127.0.0.1:7201 2\n");
    cr_expect(strstr(player.told, ", 20000 up (a leader was elected), 20100 promoting, "
                                  "21000 down (a new master was published)"),
              "%s", player.told);
}

Test(sim_fence, leader_killed_and_the_replica_stays_a_master)
{
    /* A lone Sentinel: nobody turns it back. Writers do not wait for ever. */
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
                            WAITING(250, 7210) "100000 - nothing\n");
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 22250 down (the failover takes too long)");
    cr_expect_eq(fence_next_ms(&player.guard), -1);
    fence_play(&player, ELECTED(101000, 7210));
    cr_expect_eq(player.shown, FENCE_UP, "it leads another one");
}

Test(sim_fence, an_abort_by_somebody_else)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) SELECTED(200, 7210) ABORTED(300, 7211, "not-elected")
                            ABORTED(310, 7212, "slave-timeout") WAITING(400, 7210)
                                ABORTED(500, 7210, "slave-timeout"));
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 400 promoting, 500 down (the failover was aborted)");
}

/* ---- Valkey's coordinated failover ---- */

Test(sim_fence, coordinated_and_the_master_cannot_be_told)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210)
                            SENDING(200, 7210) ABORTED(1300, 7210, "master-timeout"));
    fence_expect_told(&player,
                      "100 up (a leader was elected), 1300 down (the failover was aborted)");
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

/* The master takes no writes while its replica catches up: they wait here, and not there. */
#define CATCHING_UP \
    "0 - 7202 says replica\n" ELECTED(100, 7210) "101 - 7210 coordinates\n" SELECTED(200, 7210)
/* What the recordings take for granted, that a node turns as it is told, is not so here. */
#define TOLD(ms) WAITING(ms, 7210) #ms " - 7202 says replica\n"

Test(sim_fence, coordinated_and_the_replica_takes_long)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, CATCHING_UP TOLD(300) "9000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING, "%s", player.told);
    cr_expect_gt(player.questions, 3);
    fence_play(&player, "9100 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 9100 down (a new master was published)");
}

Test(sim_fence, coordinated_and_the_replica_hangs)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, CATCHING_UP WAITING(300, 7210) "300 - 7202 says nothing\n" ABORTED(
                            9000, 7210, "slave-timeout"));
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 9000 down (the failover was aborted)");
}

Test(sim_fence, coordinated_and_the_master_is_not_told_yet)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, CATCHING_UP "3000 - nothing\n");
    fence_expect_told(&player, "100 up (a leader was elected), "
                               "1203 down (time-out, and the chosen replica does not say master)");
}

Test(sim_fence, coordinated_and_its_leader_is_gone)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, CATCHING_UP TOLD(300) "100000 - nothing\n");
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 22300 down (the failover takes too long)");
    fence_play(&player,
               ELECTED(101000, 7210) SELECTED(101100, 7210) TOLD(101200) "103000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "the next one is an ordinary one: %s", player.told);
}

Test(sim_fence, two_leaders_at_once)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) ELECTED(120, 7211) SELECTED(200, 7210)
                            WAITING(300, 7210) "310 7211 +selected-slave " OTHER_REPLICA ABORTED(
                                400, 7210, "slave-timeout") ABORTED(700, 7211, "slave-timeout"));
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 400 up, 700 down (the failover was aborted)");
}

Test(sim_fence, the_later_of_two_leaders_promotes)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) ELECTED(120, 7211) WAITING(300, 7211) ABORTED(
                            400, 7211, "slave-timeout") ABORTED(700, 7210, "slave-timeout"));
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 400 up, 700 down (the failover was aborted)");
}

Test(sim_fence, two_silent_leaders_are_both_asked_for)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player,
               "0 - 7202 says nothing\n0 - 7201 says master\n" SELECTED(
                   100, 7210) "110 7211 +selected-slave " OTHER_REPLICA "5000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING, "%s", player.told);
    cr_expect(strchr(player.told, ',') == strrchr(player.told, ','),
              "it did not come down between: %s", player.told);
}

Test(sim_fence, more_leaders_than_there_is_room_for)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, ELECTED(1, 7211) ELECTED(2, 7212) ELECTED(3, 7213) ELECTED(4, 7214)
                            ELECTED(5, 7215) ELECTED(6, 7216) ABORTED(7, 7211, "slave-timeout")
                                ABORTED(7, 7216, "slave-timeout") ABORTED(7, 7215, "slave-timeout")
                                    ABORTED(7, 7214, "slave-timeout"));
    cr_expect_eq(player.shown, FENCE_UP);
    fence_play(&player, ABORTED(8, 7213, "slave-timeout"));
    cr_expect_eq(player.shown, FENCE_DOWN, "%s", player.told);
}

Test(sim_fence, it_is_reset_or_removed_in_the_middle)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player,
               ELECTED(100, 7210) SELECTED(200, 7210) "250 7210 +reset-master " MASTER ELECTED(
                   1000, 7210) "1100 7210 -monitor " MASTER);
    fence_expect_told(&player,
                      "100 up (a leader was elected), 250 down (the failover was aborted), "
                      "1000 up (a leader was elected), 1100 down (the failover was aborted)");
}

/* ---- who is not listened to ---- */

Test(sim_fence, a_failover_away_from_another_master)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(
        &player,
        "100 7210 +elected-leader master mymaster 127.0.0.1 7203\n"
        "200 7210 +selected-slave slave 127.0.0.1:7200 127.0.0.1 7200 @ mymaster 127.0.0.1 7203\n"
        "300 7210 +failover-state-wait-promotion slave 127.0.0.1:7200 127.0.0.1 7200 @ mymaster 127.0.0.1 7203\n"
        "400 7210 +elected-leader master other 127.0.0.1 7200\n"
        "500 7210 +selected-slave slave 127.0.0.1:7200 127.0.0.1 7200 @ mymaster 127.0.0.1 7200\n");
    fence_expect_told(&player, "");
    /* What was on its way when the new master was published. */
    fence_play(&player, "1000 - mymaster published 127.0.0.1:7202 1\n" WAITING(
                            1001, 7210) "9000 - nothing\n");
    fence_expect_told(&player, "");
}

#define OF_BEFORE "slave 127.0.0.1:7202 127.0.0.1 7202 @ mymaster 127.0.0.1 7203\n"

Test(sim_fence, by_a_sentinel_that_slept_through_the_last_one)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player,
               "100 7210 +elected-leader master mymaster 127.0.0.1 7203\n"
               "200 7210 +selected-slave " OF_BEFORE
               "300 7210 +failover-state-wait-promotion " OF_BEFORE "350 - 7202 says master\n"
               "2000 - mymaster published 127.0.0.1:7202 2\n");
    fence_expect_told(&player, "200 up (a replica was chosen), 300 promoting, "
                               "2000 down (a new master was published)");
}

Test(sim_fence, late_news_of_the_failover_before_the_last_one)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, "100 7210 +selected-slave " OF_BEFORE
                        "200 7210 +failover-state-wait-promotion " OF_BEFORE
                        "250 - 7202 says replica\n9000 - nothing\n");
    fence_expect_told(&player, "100 up (a replica was chosen), 200 promoting, "
                               "703 down (time-out, and the chosen replica does not say master)");
}

Test(sim_fence, before_anything_is_published)
{
    struct write_fence guard;
    struct fence_config config = {.verify_timeout_ms = 500};

    fence_init(&guard, &config);
    fence_hear(&guard, &(struct fence_event){.signal = FENCE_SAYS_ELECTED, .leader = "a"}, BOOT_MS);
    cr_expect_eq(guard.state, FENCE_DOWN);
    cr_expect_eq(guard.config.timeout_ms, FENCE_TIMEOUT_MS);
}

Test(sim_fence, a_sentinel_that_goes_on_and_on)
{
    struct fence_player player = fence_play_start(3000);
    char lines[256];
    int64_t up_ms = 0, before_ms = 0;

    for (int ms = 0; ms < 600000; ms += 2000) {
        snprintf(lines, sizeof(lines), "%d 7210 +elected-leader " MASTER, ms);
        fence_play(&player, lines);
        if (player.shown != FENCE_DOWN) {
            up_ms += ms - before_ms;
        }
        before_ms = ms;
    }
    cr_expect_leq(up_ms, 600000 * 7 / 10, "%lld of 600000 ms", (long long)up_ms);
    cr_expect_gt(up_ms, 0);
}

Test(sim_fence, a_sentinel_that_names_some_other_master_as_its_choice)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, "0 - 7202 says master\n" SELECTED(100, 7210) "200000 - nothing\n");
    fence_expect_told(
        &player,
        "100 up (a replica was chosen), 3103 promoting, 22100 down (the failover takes too long)");
}
