/*
 * The rules on the first decision (rule 8), and on the one after a gap, which makes void what was
 * known.
 */
#include <criterion/criterion.h>

#include "rules_fixture.h"

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
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    cr_expect_geq(stage.asked_published, 1);
    stage_polls(&stage, 0, OLD, 5);
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    stage_polls(&stage, 1, NEW, 6);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

/* ---- gaps ---- */

Test(sim_rules, gap_ends_when_confirmed_again, .init = open_agreed)
{
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    cr_expect_not(stage.j.verified);
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
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
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
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

/* It is said to be down when something is known against it. */
Test(sim_rules, gap_that_is_not_confirmed, .init = open_agreed)
{
    stage_silence(&stage, OLD);
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_pass(&stage, 100);
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    stage_gap(&stage, 20000);
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_WATCHER_STALLED);
    stage_pass(&stage, 100);
    stage_role(&stage, OLD, ROLE_REFUSED);
    stage_role(&stage, OLD, ROLE_REFUSED);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
}

/* Its Sentinels end a failover only a while after the switch. */
Test(sim_rules, gap_while_a_failover_goes_on, .init = open_agreed)
{
    stage_row(&stage, 0)->failover_under_way = true;
    stage_polls(&stage, 0, OLD, 5);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_silence(&stage, OLD);
    stage_gap(&stage, 1100);
    stage_step(&stage);
    stage_pass(&stage, 100);
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_gap(&stage, 1100);
    stage_step(&stage);
    stage_pass(&stage, 100);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    stage_gap(&stage, 1100);
    stage_step(&stage);
    stage_pass(&stage, 100);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
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
    stage_expect(&stage, OLD, MASTER_OK, REASON_WATCHER_STALLED);
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
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_WATCHER_STALLED);
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
