/*
 * The rules on what a node says itself: its word without Sentinels (rule 5), how a candidate is
 * asked (rule 6), and a role that can't be known (rule 7).
 */
#include <criterion/criterion.h>

#include "rules_fixture.h"

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
