/* The numbered rules of DESIGN section 3, one by one, under a virtual clock. */
#include <criterion/criterion.h>

#include "stage.h"

#define OLD 7001
#define NEW 7002
#define THIRD 7003

static struct stage stage;

static void close_stage(void)
{
    stage_close(&stage);
}

/* Three Sentinels that agree on OLD at epoch 5, and OLD says master. */
static void open_agreed(void)
{
    stage_open(&stage, 3);
    stage_node(&stage, OLD, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 5);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 2000);
    stage_forget_counts(&stage);
}

static void open_agreed_unverified(void)
{
    struct judge_config config = stage_defaults();

    config.verify = false;
    stage_open_with(&stage, 3, &config);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 5);
    }
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_NONE);
    stage_forget_counts(&stage);
}

TestSuite(sim_rules, .fini = close_stage, .timeout = 30);

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

/* ---- rule 12 ---- */

Test(sim_rules, rule12_one_vote_does_not_move_it_to_a_stranger, .init = open_agreed)
{
    stage_stranger(&stage, THIRD);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 99);
    stage_pass(&stage, 20000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage_asked(&stage, THIRD), 0,
                 "nor is it dialled: that would hand it the password");
    cr_expect_eq(judge_high_water(stage.judge), 5);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule12_a_stranger_at_a_high_epoch_hides_no_failover, .init = open_agreed)
{
    stage_stranger(&stage, THIRD);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 99);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW, "one good voice is enough, at once");
    stage_pass(&stage, 5000);
    cr_expect_eq(stage_published(&stage), NEW);
}

Test(sim_rules, rule12_a_stranger_at_the_same_epoch_makes_no_conflict, .init = open_agreed)
{
    stage_stranger(&stage, THIRD);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 6);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
}

Test(sim_rules, rule12_a_majority_moves_it_to_a_node_that_nobody_listed, .init = open_agreed)
{
    stage_stranger(&stage, THIRD);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 6);
    stage_polls(&stage, 1, THIRD, 6);
    stage_expect(&stage, THIRD, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule12_a_listed_replica_at_a_high_epoch_does_not_hide_a_failover,
     .init = open_agreed)
{
    stage_node(&stage, THIRD, ROLE_OTHER);
    stage_polls(&stage, 0, THIRD, 99);
    stage_pass(&stage, 1000);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 1, NEW, 6);
    stage_polls(&stage, 2, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW, "a majority above H need not wait for it");
}

Test(sim_rules, rule12_one_vote_does_not_bring_the_former_master_back, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 6);
    }
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    stage_polls(&stage, 0, OLD, 7); /* which has not noticed yet that it was deposed */
    stage_pass(&stage, 2000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_polls(&stage, 1, OLD, 7);
    cr_expect_eq(stage_published(&stage), OLD, "two of three do");
}

Test(sim_rules, rule12_unless_it_was_a_replica_since, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 6);
    }
    stage_node(&stage, OLD, ROLE_OTHER);
    stage_pass(&stage, 1100); /* it is asked by itself */
    stage_forget_counts(&stage);
    stage_pass(&stage, 20000);
    cr_expect_eq(stage_asked(&stage, OLD), 0, "and no more once it has said so");
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_polls(&stage, 0, OLD, 7);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_rules, rule12_a_dead_former_master_is_asked_ever_less_often, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 6);
    }
    stage_pass(&stage, 30000);
    stage_forget_counts(&stage);
    stage_pass(&stage, 60000);
    cr_expect_geq(stage_asked(&stage, OLD), 5);
    cr_expect_leq(stage_asked(&stage, OLD), 7);
}

/* ---- rule 13 ---- */

static void announced_by_one(void)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
}

Test(sim_rules, rule13_what_one_announced_is_held_while_the_former_master_says_master,
     .init = open_agreed)
{
    announced_by_one();
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect(stage.j.contradicted, "in the very step");
    cr_expect(stage.j.suspect, "the others are asked fast until they follow");
    stage_polls(&stage, 1, NEW, 6);
    cr_expect_not(stage.j.contradicted, "in the very step in which the next one does");
    cr_expect_not(stage.j.suspect);
}

Test(sim_rules, rule13_nothing_is_held_where_the_former_master_is_dead, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    announced_by_one();
    cr_expect_not(stage.j.contradicted);
    stage_pass(&stage, 2000);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule13_the_leader_dies_and_the_promoted_one_gives_in, .init = open_agreed)
{
    announced_by_one();
    stage_lose(&stage, 0);
    for (int i = 0; i < 9; i++) {
        stage_pass(&stage, 1000);
        cr_expect(stage.j.contradicted, "after %d s", i + 1);
        cr_expect(stage.j.suspect, "after %d s", i + 1);
        stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    }
    stage_node(&stage, NEW, ROLE_OTHER); /* the others turned it back */
    stage_pass(&stage, 1000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule13_the_leader_dies_and_comes_back, .init = open_agreed)
{
    announced_by_one();
    stage_lose(&stage, 0);
    stage_pass(&stage, 4000);
    cr_expect(stage.j.contradicted);
    stage_polls(&stage, 0, NEW, 6);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_not(stage.j.contradicted);
    cr_expect_eq(stage.switches, 1, "the answer never went back");
}

Test(sim_rules, rule13_the_leader_dies_and_neither_gives_in, .init = open_agreed)
{
    announced_by_one();
    stage_lose(&stage, 0);
    stage_pass(&stage, 14000);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_pass(&stage, 2000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule13_the_former_master_dies_while_it_is_held, .init = open_agreed)
{
    announced_by_one();
    stage_lose(&stage, 0);
    stage_pass(&stage, 2000);
    cr_expect(stage.j.contradicted);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_pass(&stage, 1500);
    cr_expect_not(stage.j.contradicted, "there is one master only");
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule13_one_lost_question_lets_no_write_through, .init = open_agreed)
{
    announced_by_one();
    stage_lose(&stage, 0);
    stage_pass(&stage, 9000);
    for (int answer = ROLE_REFUSED; answer <= ROLE_ERROR; answer++) {
        stage_role(&stage, OLD, (enum role_answer)answer);
        cr_expect(stage.j.contradicted, "answer %d", answer);
        stage_pass(&stage, 1000);
        cr_expect(stage.j.contradicted, "a second after answer %d", answer);
    }
    stage_pass(&stage, 3000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE); /* and the time of it goes on */
}

Test(sim_rules, rule13_one_lost_question_to_a_node_whose_role_may_not_be_asked, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_NOPERM);
    stage_pass(&stage, 3000);
    announced_by_one();
    stage_pass(&stage, 3000);
    cr_expect(stage.j.contradicted);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    cr_expect(stage.j.contradicted);
}

Test(sim_rules, rule13_two_lost_questions_end_the_hold, .init = open_agreed)
{
    announced_by_one();
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    cr_expect(stage.j.contradicted);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule13_a_former_master_that_loads_ends_the_hold, .init = open_agreed)
{
    announced_by_one();
    stage_role(&stage, OLD, ROLE_LOADING);
    cr_expect_not(stage.j.contradicted);
}

Test(sim_rules, rule13_sentinels_that_monitor_another_one_again_are_followed_at_once,
     .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 0); /* SENTINEL REMOVE and MONITOR: it was confirmed before */
    }
    stage_pass(&stage, 3100);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

/* ---- rule 5 ---- */

Test(sim_rules, rule5_without_sentinels_the_nodes_word_is_enough, .init = open_agreed)
{
    for (int i = 0; i < 3; i++) {
        stage_lose(&stage, i);
    }
    stage.links.reachable = 0;
    judge_set_links(stage.judge, &stage.links);
    stage_pass(&stage, 60000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_SENTINEL_REACHABLE);
    cr_expect_not(stage.j.majority);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_SENTINEL_REACHABLE);
}

/* ---- rule 6 ---- */

Test(sim_rules, rule6_candidate_is_asked_again_50ms_doubling_to_500, .init = open_agreed)
{
    static const int64_t gaps[] = {50, 100, 200, 400, 500, 500};

    stage_node(&stage, NEW, ROLE_REFUSED);
    stage_polls(&stage, 1, NEW, 6);
    cr_expect(stage.j.suspect);
    stage_pass(&stage, 3000);
    cr_assert_geq(stage.n_asked, 7);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_eq(stage.asked_ms[i + 1] - stage.asked_ms[i], gaps[i], "%zu: %lld", i,
                     (long long)(stage.asked_ms[i + 1] - stage.asked_ms[i]));
    }
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_pass(&stage, 500);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule6_candidate_is_asked_once_an_attempt, .init = open_agreed)
{
    stage_polls(&stage, 1, NEW, 6); /* no answer comes */
    for (int i = 0; i < 10; i++) {
        stage_step(&stage);
    }
    cr_expect_eq(stage_asked(&stage, NEW), 1);
    stage_pass(&stage, 700);
    cr_expect_eq(stage_asked(&stage, NEW), 1);
    stage_pass(&stage, 200); /* nobody reported: given up and asked again */
    cr_expect_eq(stage_asked(&stage, NEW), 2);
}

Test(sim_rules, rule6_answer_of_a_former_candidate_is_worth_nothing, .init = open_agreed)
{
    stage_polls(&stage, 1, NEW, 6);
    stage_polls(&stage, 1, THIRD, 7);
    stage_role(&stage, NEW, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    stage_role(&stage, THIRD, ROLE_MASTER);
    stage_expect(&stage, THIRD, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, rule6_old_word_of_a_candidate_is_asked_again)
{
    stage_open(&stage, 3);
    stage.links.pending = 3;
    judge_set_links(stage.judge, &stage.links);
    stage_says(&stage, 0, OLD, 5); /* waits (rule 8), then is a candidate */
    stage_pass(&stage, 500);
    cr_expect_eq(stage_asked(&stage, OLD), 1);
    stage_says(&stage, 0, OLD, 5);
    /* it answers while its vote is gone; the vote is back much later */
    stage_lose(&stage, 0);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage.now_ms += 5000;
    stage_forget_counts(&stage);
    stage_says(&stage, 0, OLD, 5);
    cr_expect_eq(stage_published(&stage), 0);
    cr_expect_eq(stage_asked(&stage, OLD), 1);
    stage_role(&stage, OLD, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_rules, rule6_published_that_does_not_answer_is_asked_again, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_pass(&stage, 2000);
    /* 0, 50, 150, 350, 750, 1250, 1750 and the steady questions between */
    cr_expect_geq(stage.asked_published, 5);
    cr_expect_leq(stage.asked_published, 10);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_forget_counts(&stage);
    stage_pass(&stage, 5000);
    cr_expect_eq(stage.asked_published, 0);
}

/* ---- rule 7 ---- */

Test(sim_rules, rule7_unknowable_role_needs_majority, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_NOPERM);
    stage_polls(&stage, 0, NEW, 6);
    stage_pass(&stage, 2000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    stage_polls(&stage, 1, NEW, 6);
    stage_pass(&stage, 600);
    stage_expect(&stage, NEW, MASTER_UNVERIFIED, REASON_REDIS_DENIED);
    cr_expect_not(stage.j.verified);
}

Test(sim_rules, rule7_wrong_credentials_are_unknowable_too, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_NOAUTH);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 6);
    }
    stage_pass(&stage, 600);
    stage_expect(&stage, NEW, MASTER_UNVERIFIED, REASON_REDIS_AUTH);
}

Test(sim_rules, rule7_verify_off_needs_majority, .init = open_agreed_unverified)
{
    stage_polls(&stage, 0, NEW, 6);
    stage_pass(&stage, 2500);
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_DISPUTED);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, NEW, MASTER_UNVERIFIED, REASON_DISPUTED);
    cr_expect_eq(stage.n_asked, 0);
    cr_expect_eq(stage.asked_published, 0);
    cr_expect_eq(judge_high_water(stage.judge), 6);
}

Test(sim_rules, rule7_verify_off_first_decision_needs_majority)
{
    struct judge_config config = stage_defaults();

    config.verify = false;
    stage_open_with(&stage, 3, &config);
    stage_polls(&stage, 0, OLD, 5);
    stage_pass(&stage, 3000);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_NO_MAJORITY);
    stage_polls(&stage, 1, OLD, 5);
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_NONE);
}

Test(sim_rules, rule7_without_epoch_needs_majority)
{
    stage_open(&stage, 3);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, OLD, EPOCH_UNKNOWN);
    stage_pass(&stage, 1500);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_NO_MAJORITY);
    stage_polls(&stage, 1, OLD, EPOCH_UNKNOWN);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.j.published->epoch, EPOCH_UNKNOWN);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH_UNKNOWN);
    stage_polls(&stage, 0, NEW, EPOCH_UNKNOWN);
    cr_expect_eq(stage_published(&stage), OLD);
    stage_polls(&stage, 1, NEW, EPOCH_UNKNOWN);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.j.switched_by, DECIDE_NO_EPOCH);
}

Test(sim_rules, rule7_late_votes_without_epoch_do_not_pull_back_at_once, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_lose(&stage, 1);
    stage_lose(&stage, 2);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_polls(&stage, 1, OLD, EPOCH_UNKNOWN);
    stage_polls(&stage, 2, OLD, EPOCH_UNKNOWN);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_polls(&stage, 1, NEW, EPOCH_UNKNOWN);
    stage_polls(&stage, 2, NEW, EPOCH_UNKNOWN);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

/* ---- rule 8 ---- */

static void open_starting(void)
{
    stage_open(&stage, 3);
    stage.links.pending = 3;
    stage.links.reachable = 0;
    judge_set_links(stage.judge, &stage.links);
    stage_step(&stage);
}

static void links_pending(size_t pending)
{
    stage.links.pending = pending;
    judge_set_links(stage.judge, &stage.links);
}

Test(sim_rules, rule8_first_decision_waits_for_majority, .init = open_starting)
{
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_node(&stage, NEW, ROLE_MASTER);
    links_pending(2);
    stage_polls(&stage, 0, OLD, 4); /* the stale one is first */
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_STARTING);
    links_pending(1);
    stage_polls(&stage, 1, NEW, 5);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_rules, rule8_or_until_nobody_is_pending, .init = open_starting)
{
    stage_node(&stage, OLD, ROLE_MASTER);
    links_pending(2);
    stage_polls(&stage, 0, OLD, 4);
    cr_expect_eq(stage_published(&stage), 0);
    links_pending(0); /* the others failed */
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

Test(sim_rules, rule8_at_most_sentinel_timeout, .init = open_starting)
{
    stage_node(&stage, OLD, ROLE_MASTER);
    links_pending(2);
    stage_polls(&stage, 0, OLD, 4);
    stage_pass(&stage, 499);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_STARTING);
    stage_pass(&stage, 1);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

Test(sim_rules, rule8_seeds_count_before_they_are_known)
{
    /* three seeds dialled, none identified yet: one answer is not a majority of what may come */
    stage_open(&stage, 0);
    stage.links = (struct judge_links){.dialled = 3, .pending = 2, .reachable = 1};
    judge_set_links(stage.judge, &stage.links);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_says(&stage, 0, OLD, 4);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_STARTING);
}

Test(sim_rules, rule8_nobody_there_is_said_at_once, .init = open_starting)
{
    links_pending(0);
    stage_step(&stage);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_NO_SENTINEL_REACHABLE);
    cr_expect_eq(stage.j.next_ms, -1);
}

Test(sim_rules, rule8_again_after_a_gap, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage_gap(&stage, 20000);
    stage_step(&stage);
    /* OLD said master again, and yet: the Sentinels have not been heard */
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    cr_expect_geq(stage.asked_published, 1);
    stage_polls(&stage, 0, OLD, 5);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

/* ---- gaps ---- */

Test(sim_rules, gap_ends_when_confirmed_again, .init = open_agreed)
{
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_pass(&stage, 1); /* all poll */
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(judge_high_water(stage.judge), 5);
    cr_expect_eq(stage.switches, 0);
}

Test(sim_rules, gap_without_sentinels_ends_by_the_nodes_word, .init = open_agreed)
{
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_pass(&stage, 499);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_pass(&stage, 1);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

Test(sim_rules, gap_makes_a_young_answer_void_too, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_silence(&stage, OLD);
    stage_gap(&stage, 1100); /* shorter than suspect-after */
    stage_step(&stage);
    stage_pass(&stage, 100); /* all Sentinels agree, OLD has not answered */
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

Test(sim_rules, gap_keeps_h, .init = open_agreed)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_pass(&stage, 600);
    stage_polls(&stage, 0, NEW, 4);
    stage_pass(&stage, 5000);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_rules, gap_waits_for_a_candidate_that_was_not_asked_yet, .init = open_agreed)
{
    stage_mute(&stage, 0);
    stage_mute(&stage, 1);
    stage_mute(&stage, 2);
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_says(&stage, 0, NEW, 6);
    stage_says(&stage, 1, NEW, 6);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_role(&stage, NEW, ROLE_OTHER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
}

Test(sim_rules, gap_with_verify_off_ends_by_sentinels, .init = open_agreed_unverified)
{
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_STARTING);
    stage_pass(&stage, 600);
    stage.links.reachable = 0;
    judge_set_links(stage.judge, &stage.links);
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_NO_SENTINEL_REACHABLE);
    stage.links.reachable = 3;
    judge_set_links(stage.judge, &stage.links);
    stage_polls(&stage, 0, OLD, 5);
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_NO_MAJORITY);
}

Test(sim_rules, gap_answers_from_before_it_are_not_taken, .init = open_agreed)
{
    struct observation old = *judge_observation(stage.judge, stage_sentinel_id(0));

    stage_gap(&stage, 2000);
    judge_observe(stage.judge, &old);
    cr_expect_null(judge_observation(stage.judge, stage_sentinel_id(0)));
    stage_step(&stage);
}
