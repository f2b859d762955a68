/*
 * The rules on a lone voice: one vote does not move the answer to a stranger (rule 12), and what
 * one Sentinel announced is held while the former master says master (rule 13).
 */
#include <criterion/criterion.h>

#include "rules_fixture.h"

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
