/*
 * The fence over time: what real failovers make of it, its own time-outs, gaps, names, and that
 * whatever is said it comes down.
 * What is compared is one text: when the fence came into which state, and why it went up or down.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "fence_player.h"

TestSuite(sim_fence, .timeout = 120);

/* ---- recorded ---- */

Test(sim_fence, crash)
{
    struct fence_player player = fence_play_start(3000);

    fence_play_file(&player, "failover-crash");
    fence_expect_told(
        &player,
        "1427 up (a leader was elected), 1564 promoting, 2419 down (a new master was published)");
    cr_expect_eq(player.questions, 0);
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

Test(sim_fence, manual)
{
    struct fence_player player = fence_play_start(3000);

    fence_play_file(&player, "failover-manual");
    fence_expect_told(
        &player,
        "244 up (a leader was elected), 401 promoting, 1305 down (a new master was published)");
    cr_expect(fence_is_idle(&player.guard));
    cr_expect_eq(player.guard.promoting_ms, BOOT_MS + 401,
                 "when it was heard, also once it is over");
}

Test(sim_fence, manual_and_nothing_is_published)
{
    /*
     * Its end and its own +switch-master do not lower the fence: only the publication does, or the
     * question.
     */
    struct fence_player player = fence_play_start(3000);

    fence_play(&player,
               ELECTED(244, 7210) SELECTED(345, 7210) SENDING(345, 7210) WAITING(
                   401, 7210) "1364 7210 +failover-end " MASTER
                              "1364 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n"
                              "1364 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n"
                              "9000 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "244 up (a leader was elected), 401 promoting, 9000 down (a new master was published)");
    cr_expect_gt(player.questions, 5, "%u", player.questions);
}

Test(sim_fence, aborted_then_repeated)
{
    struct fence_player player = fence_play_start(3000);

    fence_play_file(&player, "failover-repeated");
    fence_expect_told(
        &player,
        "1413 up (a leader was elected), 1497 down (the failover was aborted), "
        "9572 up (a leader was elected), 9693 promoting, 9775 down (a new master was published)");
}

Test(sim_fence, no_quorum_and_tilt)
{
    struct fence_player player = fence_play_start(3000);

    fence_play_file(&player, "failover-no-quorum");
    fence_play_file(&player, "failover-tilt");
    fence_expect_told(&player, "");
}

/* ---- its own time ---- */

Test(sim_fence, elected_and_never_heard_of_again)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) "9000 - nothing\n");
    fence_expect_told(
        &player, "100 up (a leader was elected), 3100 down (time-out, and no replica was chosen)");
    cr_expect_eq(player.questions, 0);
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

Test(sim_fence, each_word_gives_it_time_again)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, ELECTED(0, 7210) SELECTED(900, 7210) SENDING(1800, 7210)
                            WAITING(2700, 7210) "3600 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "0 up (a leader was elected), 2700 promoting, 3600 down (a new master was published)");
    cr_expect_eq(player.questions, 0);
}

Test(sim_fence, the_link_of_the_chosen_replica_is_down)
{
    /* The leader waits for the link; writes go on meanwhile, and stop again with its next word. */
    struct fence_player player = fence_play_start(3000);

    fence_play(&player,
               "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
                   WAITING(14000, 7210) "14900 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "100 up (a leader was elected), "
        "3203 down (time-out, and the chosen replica does not say master), "
        "14000 promoting (a replica is being promoted), 14900 down (a new master was published)");
}

Test(sim_fence, the_leader_gives_up_waiting_for_the_link)
{
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, "0 - 7202 says refused\n" ELECTED(100, 7210) SELECTED(200, 7210) SENDING(
                            200, 7210) ABORTED(20300, 7210, "slave-timeout") "60000 - nothing\n");
    fence_expect_told(&player, "100 up (a leader was elected), "
                               "3203 down (time-out, and the chosen replica does not answer)");
    cr_expect(fence_is_idle(&player.guard));
    cr_expect_geq(player.questions, 30, "it was asked as long as the failover was not over: %u",
                  player.questions);
    cr_expect_leq(player.questions, 36, "%u", player.questions);
}

Test(sim_fence, told_and_hung_and_promoted_much_later)
{
    /*
     * SLAVEOF NO ONE waits in the socket of a replica that is frozen; nobody says anything when it
     * goes on.
     */
    struct fence_player player = fence_play_start(3000);

    fence_play(
        &player,
        "0 - 7202 says nothing\n" ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210) WAITING(
            250, 7210) "12000 - 7202 says master\n13000 - mymaster published 127.0.0.1:7202 1\n");
    cr_expect(strstr(player.told,
                     "100 up (a leader was elected), 250 promoting, "
                     "4000 down (time-out, and the chosen replica does not answer), 12") ==
                  player.told,
              "%s", player.told);
    cr_expect(strstr(player.told, " promoting (the chosen replica says master), "
                                  "13000 down (a new master was published)"),
              "%s", player.told);
}

Test(sim_fence, promoted_and_its_leader_cannot_see_it)
{
    /*
     * It was told, then the leader lost its link to it: it outlasts the time-out, until the leader
     * gives up.
     */
    struct fence_player player = fence_play_start(3000);

    fence_play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210) WAITING(250, 7210)
                            ABORTED(20300, 7210, "slave-timeout"));
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 20300 down (the failover was aborted)");
}

Test(sim_fence, an_answer_from_before_the_last_word)
{
    /* Asked at 1100; what it says of that moment is no answer to what was said at 1101. */
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, "0 - 7202 says refused\n" SELECTED(100, 7210)
                            WAITING(1101, 7210) "2100 - nothing\n");
    fence_expect_told(&player, "100 up (a replica was chosen), 1101 promoting");
    cr_expect_eq(player.questions, 1);
    fence_play(&player, "2200 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "%s", player.told);
}

Test(sim_fence, a_replica_that_hangs_up_is_asked_again_at_once)
{
    struct fence_player player = fence_play_start(1000);

    fence_play(
        &player,
        "0 - 7202 says closed\n" ELECTED(0, 7210) SELECTED(
            0, 7210) "1100 - 7202 says master\n3000 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "0 up (a leader was elected), 1118 promoting, 3000 down (a new master was published)");
    player = fence_play_start(1000);
    fence_play(&player,
               "0 - 7202 says closed\n" ELECTED(0, 7210) SELECTED(0, 7210) "1700 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "only as long as an answer may take: %s", player.told);
}

/* ---- gaps ---- */

Test(sim_fence, gap)
{
    /* Still under way: held. */
    struct fence_player player = fence_play_start(3000);

    fence_play(
        &player,
        ELECTED(100, 7210) SELECTED(200, 7210) WAITING(
            250, 7210) "2300 - gap\n2303 - nothing\n2600 - mymaster published 127.0.0.1:7202 1\n");
    fence_expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 2600 down (a new master was published)");
    cr_expect_eq(player.questions, 1);
    /* Aborted meanwhile, perhaps. */
    player = fence_play_start(3000);
    fence_play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210)
                            SELECTED(200, 7210) "2300 - gap\n2400 - nothing\n");
    fence_expect_told(&player, "100 up (a leader was elected), "
                               "2303 down (time-out, and the chosen replica does not say master)");
    /* Nobody to ask. */
    player = fence_play_start(3000);
    fence_play(&player, ELECTED(100, 7210) "2300 - gap\n");
    fence_expect_told(
        &player, "100 up (a leader was elected), 2300 down (time-out, and no replica was chosen)");
    /* An answer to a question from before it. */
    player = fence_play_start(1000);
    fence_play(&player, ELECTED(100, 7210) SELECTED(200, 7210) "1201 - gap\n");
    cr_expect_eq(player.questions, 2, "%u", player.questions);
    cr_expect_eq(player.shown, FENCE_UP);
}

Test(sim_fence, gap_while_a_question_is_out)
{
    /* Its time was over during the gap, which is not the replica's fault. */
    struct fence_player player = fence_play_start(1000);

    fence_play(&player, SELECTED(100, 7210) "1100 - nothing\n");
    cr_assert(player.asked);
    player.now_ms = 5000;
    fence_void(&player.guard, BOOT_MS + player.now_ms);
    fence_play_follow(&player);
    cr_expect_eq(player.shown, FENCE_UP, "%s", player.told);
    cr_expect_eq(player.questions, 2);
    player.nodes[2] = SAYS_MASTER;
    fence_play(&player, "5100 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING);
}

/* ---- names ---- */

Test(sim_fence, the_chosen_replica_has_to_be_looked_up)
{
    struct fence_player player = fence_play_start(1000);
    struct endpoint node = fence_node_at("7202"), master = fence_node_at("7200");

    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS);
    fence_play_follow(&player);
    cr_expect_eq(player.shown, FENCE_UP, "without waiting for it");
    fence_name(&player.guard, "7211", &node, BOOT_MS);
    cr_expect_null(fence_chosen(&player.guard));
    fence_name(&player.guard, "7210", &node, BOOT_MS);
    cr_expect(endpoint_equal(fence_chosen(&player.guard), &node));
    player.nodes[2] = SAYS_MASTER;
    fence_play_to(&player, 1500);
    cr_expect_eq(player.shown, FENCE_PROMOTING);
    /* Another choice, and its name is not known yet: the one before is none any more. */
    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS + 1500);
    cr_expect_null(fence_chosen(&player.guard));
    fence_publish(&player.guard, &master, BOOT_MS + 1500);
    cr_expect_eq(player.guard.state, FENCE_UP, "it is published already");
    player = fence_play_start(1000);
    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS);
    fence_name(&player.guard, "7210", &master, BOOT_MS);
    fence_play_follow(&player);
    cr_expect_eq(player.shown, FENCE_DOWN, "what is published is no choice");
}

/* ---- anything at all ---- */

static unsigned long next_random(unsigned long *seed)
{
    *seed = *seed * 6364136223846793005UL + 1442695040888963407UL;
    return *seed >> 33;
}

static void play_random(struct fence_player *player, unsigned long *seed)
{
    static const char *const leaders[] = {"7210", "7211", "7212", "7213", "7214", "7215"};
    struct endpoint nodes[4] = {fence_node_at("7200"), fence_node_at("7201"), fence_node_at("7202"),
                                fence_node_at("7203")};
    struct fence_event said = {.signal = (enum fence_signal)(next_random(seed) % 4),
                               .leader = leaders[next_random(seed) % 6],
                               .failover_timeout_ms = 20000};
    int64_t now_ms = BOOT_MS + player->now_ms;

    switch (next_random(seed) % 16) {
    case 0: fence_publish(&player->guard, &nodes[next_random(seed) % 4], now_ms); break;
    case 1:
        player->asked = false;
        fence_void(&player->guard, now_ms);
        break;
    case 2: fence_name(&player->guard, said.leader, &nodes[next_random(seed) % 4], now_ms); break;
    case 3:
    case 4: player->nodes[next_random(seed) % 4] = (enum says)(next_random(seed) % 5); break;
    default:
        said.master =
            next_random(seed) % 8 > 0 ? &player->guard.published : &nodes[next_random(seed) % 4];
        said.node = next_random(seed) % 4 > 0 ? &nodes[next_random(seed) % 4] : NULL;
        fence_hear(&player->guard, &said, now_ms);
        if (said.signal != FENCE_SAYS_ABORTED &&
            endpoint_equal(said.master, &player->guard.published) && !said.node &&
            player->guard.state == FENCE_DOWN) {
            bool spent = false;

            for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
                spent = spent || player->guard.leads[i].spent;
            }
            cr_assert(spent, "a leader's word did not raise it");
        }
        break;
    }
    fence_play_follow(player);
}

Test(sim_fence, whatever_is_said)
{
    unsigned ups = 0, downs = 0;

    for (unsigned long run = 1; run <= 300; run++) {
        unsigned long seed = run;
        struct fence_player player;
        int64_t heard_ms;

        player = fence_play_start(1000);
        for (int i = 0; i < 100; i++) {
            enum fence was = player.shown;

            fence_play_to(&player, player.now_ms +
                                       (int64_t)(next_random(&seed) % (run % 3 == 0 ? 6000 : 300)));
            play_random(&player, &seed);
            player.told[0] = '\0';
            ups += was == FENCE_DOWN && player.shown != FENCE_DOWN;
            downs += was != FENCE_DOWN && player.shown == FENCE_DOWN;
            cr_assert(player.shown == FENCE_DOWN || !fence_is_idle(&player.guard), "run %lu", run);
            cr_assert(player.shown == FENCE_DOWN || fence_next_ms(&player.guard) >= 0,
                      "run %lu: up for ever", run);
        }
        heard_ms = player.now_ms;
        fence_play_to(&player, heard_ms + 22001 + 44001);
        cr_assert_eq(player.shown, FENCE_DOWN, "run %lu: up for too long after the last word", run);
        cr_assert_eq(fence_next_ms(&player.guard), -1, "run %lu: it never rests", run);
    }
    cr_expect_gt(ups, 1000, "%u", ups);
    cr_expect_gt(downs, 1000, "%u", downs);
}
