/*
 * The numbered rules of DESIGN section 3, one by one, under a virtual clock: what counts, and which
 * votes move the answer (rules 1 to 4).
 */
#include <criterion/criterion.h>

#include "rules_fixture.h"

/* ---- rule 1 ---- */

Test(sim_rules, rule1_observation_counts_three_intervals, .init = open_agreed)
{
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage.now_ms = judge_observation(stage.judge, stage_sentinel_id(0))->at_ms + 2999;
    stage_role(&stage, OLD, ROLE_MASTER);
    cr_expect_eq(stage.j.decision.counting, 3);
    cr_expect(stage.j.majority);
    stage.now_ms++;
    stage_role(&stage, OLD, ROLE_MASTER);
    cr_expect_eq(stage.j.decision.counting, 0);
    cr_expect_not(stage.j.majority);
}

Test(sim_rules, rule1_lost_link_counts_no_longer, .init = open_agreed)
{
    stage_lose(&stage, 0);
    cr_expect_eq(stage.j.decision.counting, 2);
    cr_expect(stage.j.majority);
    stage_lose(&stage, 1);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

Test(sim_rules, rule1_expiry_is_announced_as_next_time, .init = open_agreed)
{
    int64_t at_ms = judge_observation(stage.judge, stage_sentinel_id(0))->at_ms;

    stage_mute(&stage, 0);
    stage_pass(&stage, at_ms + 2999 - stage.now_ms);
    cr_expect_eq(stage.j.decision.counting, 3);
    stage_pass(&stage, 1);
    cr_expect_eq(stage.j.decision.counting, 2);
}

/* ---- rule 2 ---- */

Test(sim_rules, rule2_one_vote_above_h_and_the_nodes_word, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.switches, 1);
    cr_expect_eq(stage.j.switched_by, DECIDE_HIGHER_EPOCH);
    cr_expect_eq(judge_high_water(stage.judge), 6);
    cr_expect_eq(stage.j.previous->name.port, OLD);
    cr_expect_not(stage.j.majority);
}

Test(sim_rules, rule2_node_that_is_no_master_is_not_published, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_OTHER);
    stage_polls(&stage, 1, NEW, 6);
    stage_pass(&stage, 5000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(judge_high_water(stage.judge), 5);
}

Test(sim_rules, rule2_published_named_higher_by_a_majority_raises_h, .init = open_agreed)
{
    stage_polls(&stage, 0, OLD, 99);
    cr_expect_eq(judge_high_water(stage.judge), 5, "by one voice it could be put out of reach");
    stage_polls(&stage, 2, OLD, 9);
    cr_expect_eq(judge_high_water(stage.judge), 9);
    cr_expect_eq(stage.j.published->epoch, 9);
    /* now an epoch of 8 pulls nothing */
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 8);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule2_published_named_higher_does_not_raise_h_while_it_is_down, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_polls(&stage, 0, OLD, 6); /* trap 5: the epoch rose, the address did not */
    cr_expect_eq(judge_high_water(stage.judge), 5);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, OLD, MASTER_CONFLICT, REASON_CONFLICT);
    stage_polls(&stage, 2, NEW, 6);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule2_two_addresses_above_h_without_majority_hold, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_silence(&stage, NEW); /* still being asked when the other is named */
    stage_polls(&stage, 0, NEW, 6);
    stage_polls(&stage, 1, THIRD, 6);
    stage_role(&stage, NEW, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.j.decision.rule, DECIDE_CONFLICT);
}

/* ---- rule 3 ---- */

Test(sim_rules, rule3_equal_epoch_needs_majority, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 5);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage_asked(&stage, NEW), 0);
    stage_polls(&stage, 1, NEW, 5);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.j.switched_by, DECIDE_EQUAL_MAJORITY);
}

Test(sim_rules, rule3_majority_and_no_role_does_not_move, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_OTHER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 5);
    }
    stage_pass(&stage, 5000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_pass(&stage, 600);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

Test(sim_rules, rule3_majority_is_of_the_known_not_of_the_reachable, .init = open_agreed)
{
    judge_know(stage.judge, stage_sentinel_id(3));
    judge_know(stage.judge, stage_sentinel_id(4));
    invariant_sentinel(&stage.invariant, stage_sentinel_id(3), true);
    invariant_sentinel(&stage.invariant, stage_sentinel_id(4), true);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_lose(&stage, 2);
    stage_polls(&stage, 0, NEW, 5);
    stage_polls(&stage, 1, NEW, 5); /* two of two that can be reached, of five known */
    stage_pass(&stage, 2500);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
}

/* ---- rule 4 ---- */

Test(sim_rules, rule4_below_h_needs_majority_over_three_polls, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 0);
    }
    cr_expect_eq(stage_published(&stage), OLD);
    stage_pass(&stage, 2999); /* the third poll after the last vote at H is gone */
    cr_expect_eq(stage_published(&stage), OLD);
    stage_pass(&stage, 1);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.j.switched_by, DECIDE_BELOW_MAJORITY);
    cr_expect_eq(stage.j.published->epoch, 0);
    cr_expect_eq(judge_high_water(stage.judge), 5);
}

Test(sim_rules, rule4_minority_below_h_never_moves, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_lose(&stage, 1);
    stage_lose(&stage, 2);
    stage_polls(&stage, 0, NEW, 4);
    stage_pass(&stage, 20000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    stage_silence(&stage, OLD);
    stage_pass(&stage, 20000);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.state, MASTER_DOWN);
}

Test(sim_rules, rule4_after_it_h_still_wants_a_majority, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 0);
    }
    stage_pass(&stage, 3000);
    cr_expect_eq(stage_published(&stage), NEW);
    /* a Sentinel from before the rebuild comes back */
    stage_polls(&stage, 2, OLD, 5);
    stage_pass(&stage, 5000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    /* a failover of the rebuilt deployment is still below H: majority, three polls */
    stage_lose(&stage, 2);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 1);
    stage_pass(&stage, 4000);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_polls(&stage, 1, THIRD, 1);
    stage_pass(&stage, 3500);
    stage_expect(&stage, THIRD, MASTER_OK, REASON_NONE);
    cr_expect_eq(judge_high_water(stage.judge), 5);
}

Test(sim_rules, rule4_answers_in_a_burst_are_one_poll, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int n = 0; n < 10; n++) {
        for (int i = 0; i < 3; i++) {
            stage_says(&stage, i, NEW, 0);
        }
        stage.now_ms += 2;
    }
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_rules, rule4_an_epoch_that_wavers_starts_the_count_again, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_lose(&stage, 2);
    for (int n = 0; n < 12; n++) {
        stage_says(&stage, 0, NEW, n % 2);
        stage_says(&stage, 1, NEW, 0);
        stage.now_ms += 900;
        stage_role(&stage, OLD, ROLE_MASTER);
    }
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_rules, rule4_count_starts_when_the_last_vote_at_h_is_lost, .init = open_agreed)
{
    /*
     * The leader announced NEW at 6 and its link is lost before the others followed. They said OLD
     * all the time, and OLD (a manual failover) still says master.
     */
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_pass(&stage, 5000);
    stage_lose(&stage, 0);
    stage_pass(&stage, 1500);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_pass(&stage, 2000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED); /* rule 13: as long as it says master */
    stage_node(&stage, NEW, ROLE_OTHER);
    stage_pass(&stage, 100);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(judge_high_water(stage.judge), 6);
}

Test(sim_rules, rule4_what_was_said_before_a_publication_does_not_undo_it, .init = open_agreed)
{
    stage_pass(&stage, 10000); /* OLD at 5 said many times */
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_lose(&stage, 0);
    cr_expect_eq(stage_published(&stage), NEW);
}

/* Beyond the rules: see overrule() in judge.c. */
Test(sim_rules, lone_vote_at_h_does_not_hold_a_dead_answer_for_ever, .init = open_agreed)
{
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 99); /* H is 99 now */
    }
    cr_expect_eq(judge_high_water(stage.judge), 99);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_polls(&stage, 2, NEW, 6);
    stage_pass(&stage, 1500);
    cr_expect_eq(stage_published(&stage), OLD);
    stage_pass(&stage, 3500);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.j.published->epoch, 6);
    cr_expect_eq(judge_high_water(stage.judge), 99);
    stage_pass(&stage, 5000);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_rules, lone_vote_above_h_that_names_no_master_does_not_block_the_majority,
     .init = open_agreed)
{
    stage_node(&stage, THIRD, ROLE_REFUSED);
    stage_polls(&stage, 0, THIRD, 99);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_polls(&stage, 2, NEW, 6);
    stage_pass(&stage, 6000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(judge_high_water(stage.judge), 6);
}

Test(sim_rules, late_sentinels_do_not_overrule_a_publication_at_once, .init = open_agreed)
{
    /*
     * The leader announced NEW, which dies at once; the others have said OLD for long and OLD, a
     * manual failover, still says master. They get the time that news takes between Sentinels.
     */
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_node(&stage, NEW, ROLE_REFUSED);
    stage_pass(&stage, 2900);
    cr_expect_eq(stage_published(&stage), NEW);
    cr_expect_eq(stage.j.state, MASTER_DOWN);
    stage_pass(&stage, 200);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(judge_high_water(stage.judge), 6);
}

Test(sim_rules, a_majority_does_not_overrule_what_serves, .init = open_agreed)
{
    stage_polls(&stage, 0, OLD, 99);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_polls(&stage, 2, NEW, 6);
    stage_pass(&stage, 2900);
    cr_expect_not(stage.j.contradicted);
    stage_pass(&stage, 200);
    cr_expect(stage.j.contradicted, "two nodes that say master: writes are to be held");
    stage_pass(&stage, 11000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_not(stage.j.majority);
    stage_pass(&stage, 2000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_not(stage.j.contradicted);
}
