/* Rule 11, each way in which an adoption ends, and the recorded failovers. */
#include <criterion/criterion.h>
#include <string.h>

#include "adopt_fixture.h"

/* ---- every undoing ---- */

static void expect_undone(enum master_state state, const char *why)
{
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.state, state, "%s: %s", master_state_text(stage.j.state), stage.j.detail);
    cr_expect_eq(stage.j.switched_by, DECIDE_UNDONE);
    cr_expect(stage.j.undone && strcmp(stage.j.undone, why) == 0, "%s", stage.j.undone);
    cr_expect_not(stage.j.adopted);
    cr_expect_eq(stage.j.published->epoch, EPOCH - 1);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH - 1);
    cr_expect_eq(stage.j.previous->name.port, NEW);
}

Test(sim_adopt, undone_by_an_abort)
{
    adopt_new();
    stage_forget_counts(&stage);
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    expect_undone(MASTER_OK, "failover_aborted");
    cr_expect_eq(stage_asked(&stage, OLD), 1, "it is asked before it is the answer again");
    stage_pass(&stage, 5000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_adopt, not_undone_by_anothers_abort)
{
    adopt_new();
    stage_leads(&stage, 1, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, 2, PROMOTION_TRY, EPOCH + 7, 0);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, undone_by_the_leaders_next_try)
{
    adopt_new();
    stage_leads(&stage, LEADER, PROMOTION_TRY, EPOCH + 1, 0);
    expect_undone(MASTER_OK, "failover_aborted");
}

Test(sim_adopt, undone_by_the_leaders_row)
{
    /*
     * The abort's event was missed. The first row may have been asked for before the failover
     * began.
     */
    adopt_new();
    stage_row(&stage, LEADER)->failover_under_way = false;
    stage_says(&stage, LEADER, OLD, EPOCH - 1);
    adopt_expect_adopted(NEW, EPOCH);
    stage_pass(&stage, 1000);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.state, MASTER_OK);
}

Test(sim_adopt, not_undone_by_a_row_that_may_not_be_read)
{
    adopt_new();
    stage_row(&stage, LEADER)->failover_under_way = false;
    stage_row(&stage, LEADER)->epoch = EPOCH_UNKNOWN;
    stage_pass(&stage, 5000);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, not_undone_by_anothers_row)
{
    adopt_new();
    stage_pass(&stage, 9000);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, undone_when_it_stops_saying_master)
{
    adopt_new();
    stage_node(&stage, NEW, ROLE_OTHER);
    expect_undone(MASTER_OK, "not_a_master");
}

Test(sim_adopt, undone_when_it_loads)
{
    adopt_new();
    stage_role(&stage, NEW, ROLE_LOADING);
    expect_undone(MASTER_OK, "not_a_master");
}

Test(sim_adopt, undone_when_it_dies)
{
    adopt_new();
    stage_role(&stage, NEW, ROLE_CLOSED);
    cr_expect_eq(stage_published(&stage), NEW, "one lost connection is no proof");
    stage_node(&stage, NEW, ROLE_REFUSED);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.state, MASTER_OK);
}

Test(sim_adopt, undone_when_its_role_may_not_be_asked_any_more)
{
    adopt_new();
    stage_role(&stage, NEW, ROLE_NOPERM);
    expect_undone(MASTER_OK, "not_a_master");
}

Test(sim_adopt, undone_two_seconds_after_the_leaders_link)
{
    adopt_new();
    stage_lose(&stage, LEADER);
    stage_pass(&stage, 1990);
    adopt_expect_adopted(NEW, EPOCH);
    stage_pass(&stage, 11);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.state, MASTER_OK);
    stage_pass(&stage, 5000);
    cr_expect_eq(stage.switches, 2);
}

/* Nothing else happens at these times: the judge itself asks for the step. */
static void expect_undone_at(int64_t ms)
{
    cr_assert_eq(stage_published(&stage), OLD);
    cr_expect_eq(stage.j.published_wall_ms - STAGE_WALL_MS, ms);
}

Test(sim_adopt, undone_on_time_after_the_leaders_link)
{
    adopt_new();
    stage_pass(&stage, 137);
    stage_lose(&stage, LEADER);
    int64_t lost_ms = stage.now_ms;
    stage_pass(&stage, 2500);
    expect_undone_at(lost_ms + 2000);
}

Test(sim_adopt, undone_on_time_after_the_failover_timeout)
{
    stage_pass(&stage, 137);
    adopt_choose(LEADER, EPOCH, NEW);
    int64_t chosen_ms = stage.now_ms;
    stage_pass(&stage, 211);
    adopt_promote(NEW);
    stage_polls(&stage, LEADER, OLD, EPOCH - 1); /* its polls no longer coincide with the choice */
    stage_pass(&stage, 12500);
    expect_undone_at(chosen_ms + 10000 + 2000);
}

Test(sim_adopt, a_link_that_comes_back_in_time)
{
    adopt_new();
    for (int i = 0; i < 3; i++) {
        stage_lose(&stage, LEADER);
        stage_pass(&stage, 1500);
        stage_polls(&stage, LEADER, OLD, EPOCH - 1);
    }
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, undone_when_the_leader_is_forgotten)
{
    adopt_new();
    stage_mute(&stage, LEADER);
    judge_forget(stage.judge, stage_sentinel_id(LEADER));
    invariant_forget(&stage.invariant, stage_sentinel_id(LEADER));
    stage_step(&stage);
    stage_pass(&stage, 2001);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, undone_when_no_announcement_ever_comes)
{
    adopt_new();
    stage_pass(&stage, 11900);
    adopt_expect_adopted(NEW, EPOCH);
    stage_pass(&stage, 200);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, undone_by_a_gap)
{
    adopt_new();
    stage_gap(&stage, 3000);
    stage_silence(&stage, OLD);
    stage_step(&stage);
    expect_undone(MASTER_DOWN, "gap");
    cr_expect_eq(stage.j.reason, REASON_WATCHER_STALLED);
    stage_node(&stage, OLD, ROLE_OTHER);
    for (int i = 0; i < 3; i++) { /* it had been announced meanwhile */
        stage_polls(&stage, i, NEW, EPOCH);
    }
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

Test(sim_adopt, undone_to_a_dead_master_is_no_answer)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_role(&stage, OLD, ROLE_REFUSED);
    adopt_new();
    judge_failover(stage.judge, true, stage.now_ms, 10000);
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    expect_undone(MASTER_FAILING_OVER, "failover_aborted");
}

Test(sim_adopt, the_old_master_does_not_answer_when_gone_back_to)
{
    adopt_new();
    stage_silence(&stage, OLD);
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    cr_expect_eq(stage_published(&stage), NEW, "as long as it may still answer");
    cr_expect_eq(stage.j.state, MASTER_OK);
    stage_pass(&stage, 800);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_not(master_state_serves(stage.j.state));
}

Test(sim_adopt, announced_while_it_is_being_undone)
{
    adopt_new();
    stage_silence(&stage, OLD);
    stage_lose(&stage, LEADER);
    stage_pass(&stage, 2100);
    stage_polls(&stage, 1, NEW, EPOCH);
    cr_expect_not(stage.j.adopted);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_pass(&stage, 3000);
    cr_expect_eq(stage_published(&stage), NEW);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_adopt, an_epoch_is_adopted_once)
{
    adopt_new();
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    expect_undone(MASTER_OK, "failover_aborted");
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
    adopt_choose(1, EPOCH, NEW);
    adopt_expect_asks(0);
    adopt_choose(1, EPOCH + 1, NEW);
    adopt_promote(NEW);
    adopt_expect_adopted(NEW, EPOCH + 1);
}

/* ---- the recorded failovers ---- */

Test(sim_adopt, leader_dies_right_after_the_promotion_and_the_others_turn_it_back)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_role(&stage, OLD, ROLE_REFUSED);
    adopt_new();
    stage_lose(&stage, LEADER);
    stage_pass(&stage, 2001);
    cr_expect_eq(stage_published(&stage), OLD);
    cr_expect_not(master_state_serves(stage.j.state));
    stage_pass(&stage, 4000);
    stage_node(&stage, NEW, ROLE_OTHER); /* +convert-to-slave */
    adopt_choose(1, EPOCH + 1, THIRD);
    adopt_promote(THIRD);
    adopt_expect_adopted(THIRD, EPOCH + 1);
    stage_polls(&stage, 1, THIRD, EPOCH + 1);
    stage_polls(&stage, 2, THIRD, EPOCH + 1);
    stage_pass(&stage, 3000);
    stage_expect(&stage, THIRD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 3);
}

Test(sim_adopt, five_in_a_row)
{
    int from = OLD;
    int to = NEW;

    for (int64_t epoch = EPOCH; epoch < EPOCH + 5; epoch++) {
        int leader = (int)(epoch % 3);

        adopt_choose(leader, epoch, to);
        adopt_promote(to);
        adopt_expect_adopted(to, epoch);
        stage_row(&stage, leader)->failover_under_way = false;
        for (int i = 0; i < 3; i++) {
            stage_polls(&stage, i, to, epoch);
        }
        stage_node(&stage, from, ROLE_OTHER);
        stage_leads(&stage, leader, PROMOTION_ENDED, EPOCH_UNKNOWN, 0);
        stage_pass(&stage, 2000);
        stage_expect(&stage, to, MASTER_OK, REASON_NONE);
        cr_expect_eq(judge_high_water(stage.judge), epoch);
        from = to;
        to = from == OLD ? NEW : OLD;
    }
    cr_expect_eq(stage.switches, 5);
}
