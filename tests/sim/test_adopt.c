/*
 * Rule 11 row by row: what makes an adoption, and what it outranks and yields to. The invariant of
 * the stage is checked at every step.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "adopt_fixture.h"

/* ---- what makes one ---- */

Test(sim_adopt, the_moment_it_says_master)
{
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(NEW);
    stage_promotes(&stage, NEW, ROLE_OTHER);
    stage_promotes(&stage, NEW, ROLE_CLOSED);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    adopt_promote(NEW);
    adopt_expect_adopted(NEW, EPOCH);
    cr_expect(stage.j.switched);
    cr_expect_eq(stage.j.switched_by, DECIDE_ADOPTED);
    cr_expect_not(stage.j.majority);
    cr_expect_eq(stage.j.previous->name.port, OLD);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH - 1, "it lends H nothing");
    cr_expect(strstr(stage.j.detail, "adopted in a failover at epoch 5"), "%s", stage.j.detail);
    adopt_expect_asks(0);
}

Test(sim_adopt, the_old_master_is_dead)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_role(&stage, OLD, ROLE_REFUSED);
    cr_expect_eq(stage.j.state, MASTER_DOWN);
    adopt_new();
}

Test(sim_adopt, announced_is_the_default)
{
    stage_close(&stage);
    adopt_open_with(false);
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
    adopt_promote(NEW);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 0);
}

Test(sim_adopt, not_without_verification)
{
    struct judge_config config = stage_defaults();

    stage_close(&stage);
    config.adopt = true;
    config.verify = false;
    stage_open_with(&stage, 3, &config);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, EPOCH - 1);
    }
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, a_role_that_may_not_be_asked_is_not_enough)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_promotes(&stage, NEW, ROLE_NOPERM);
    stage_promotes(&stage, NEW, ROLE_NOAUTH);
    stage_promotes(&stage, NEW, ROLE_LOADING);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, only_the_chosen_node)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_promotes(&stage, THIRD, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
    /* Another connection's answer is none to this question. */
    stage_role(&stage, NEW, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, not_elected)
{
    adopt_begin(LEADER, EPOCH);
    stage_leads(&stage, LEADER, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, elected_out_of_nowhere)
{
    stage_leads(&stage, LEADER, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, LEADER, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, somebody_elses_choice)
{
    adopt_begin(LEADER, EPOCH);
    stage_leads(&stage, LEADER, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, 1, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, nobody_that_is_not_known)
{
    judge_forget(stage.judge, stage_sentinel_id(2));
    invariant_forget(&stage.invariant, stage_sentinel_id(2));
    stage_mute(&stage, 2);
    stage_leads(&stage, 2, PROMOTION_TRY, EPOCH, 0);
    stage_leads(&stage, 2, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, 2, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, at_an_epoch_above_the_high_water)
{
    for (int64_t epoch = EPOCH_UNKNOWN; epoch < EPOCH; epoch++) {
        stage_row(&stage, LEADER)->epoch = epoch > 0 ? epoch - 1 : 0;
        adopt_choose(LEADER, epoch, NEW);
        adopt_expect_asks(0);
    }
}

Test(sim_adopt, a_leader_without_an_epoch_of_its_own)
{
    stage_says(&stage, LEADER, OLD, EPOCH_UNKNOWN);
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, a_leader_that_fails_over_from_something_else)
{
    stage_says(&stage, LEADER, THIRD, EPOCH - 2); /* it missed what happened since */
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
}

Test(sim_adopt, a_leader_whose_link_is_lost)
{
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(NEW);
    stage_lose(&stage, LEADER);
    adopt_expect_asks(0);
    adopt_promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, what_is_published_is_not_promoted)
{
    adopt_choose(LEADER, EPOCH, OLD);
    adopt_expect_asks(0);
}

Test(sim_adopt, aborted_before_the_promotion)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    adopt_expect_asks(0);
    adopt_promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, begun_anew_before_the_promotion)
{
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_choose(LEADER, EPOCH + 1, THIRD);
    adopt_expect_asks(THIRD);
    stage_promotes(&stage, NEW, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
    adopt_promote(THIRD);
    adopt_expect_adopted(THIRD, EPOCH + 1);
}

Test(sim_adopt, of_two_leaders_the_higher_epoch)
{
    adopt_choose(LEADER, EPOCH, NEW);
    /* two forced failovers can mint the same epoch: the first is followed */
    adopt_choose(1, EPOCH, THIRD);
    adopt_expect_asks(NEW);
    adopt_choose(2, EPOCH + 1, THIRD);
    adopt_expect_asks(THIRD);
    adopt_choose(1, EPOCH, NEW);
    adopt_expect_asks(THIRD);
}

Test(sim_adopt, not_while_another_adoption_stands)
{
    adopt_new();
    stage_polls(&stage, 1, NEW, EPOCH - 1); /* it names what is published, and announces nothing */
    adopt_choose(1, EPOCH + 1, THIRD);
    adopt_expect_asks(0);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, the_high_water_comes_to_its_epoch)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_says(&stage, 1, OLD, EPOCH);
    cr_assert_lt(judge_high_water(stage.judge), EPOCH, "one voice does not raise it");
    adopt_expect_asks(NEW);
    stage_says(&stage, 2, OLD, EPOCH);
    cr_assert_eq(judge_high_water(stage.judge), EPOCH);
    adopt_expect_asks(0);
    adopt_promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, the_asking_ends_with_the_failover_timeout)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_pass(&stage, 11900);
    adopt_expect_asks(NEW);
    stage_pass(&stage, 200);
    adopt_expect_asks(0);
}

Test(sim_adopt, nothing_was_published_yet)
{
    struct judge_config config = stage_defaults();

    stage_close(&stage);
    config.adopt = true;
    stage_open_with(&stage, 3, &config);
    stage_polls(&stage, LEADER, OLD, EPOCH - 1);
    adopt_choose(LEADER, EPOCH, NEW);
    adopt_expect_asks(0);
}

/* ---- what it outranks, and yields to ---- */

Test(sim_adopt, outranks_a_majority_that_names_the_old_master)
{
    adopt_new();
    /* OLD says master all the time, all name it: many more than three polls */
    stage_pass(&stage, 5000);
    adopt_expect_adopted(NEW, EPOCH);
    cr_expect_eq(stage.switches, 1);
    cr_expect(stage.j.suspect, "the Sentinels are asked fast until they say it");
}

Test(sim_adopt, outranks_a_majority_at_its_own_epoch)
{
    adopt_new();
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 1, THIRD, EPOCH);
    stage_polls(&stage, 2, THIRD, EPOCH);
    stage_pass(&stage, 4000);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, outranks_votes_without_an_epoch)
{
    adopt_new();
    for (int i = 0; i < 3; i++) {
        stage_row(&stage, i)->epoch = EPOCH_UNKNOWN;
    }
    stage_pass(&stage, 5000);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, yields_to_a_higher_epoch)
{
    adopt_new();
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_says(&stage, 1, THIRD, EPOCH + 1);
    cr_expect_eq(stage_published(&stage), THIRD);
    cr_expect_not(stage.j.adopted);
    cr_expect_eq(stage.j.switched_by, DECIDE_HIGHER_EPOCH);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH + 1);
}

Test(sim_adopt, a_higher_epoch_needs_a_master_too)
{
    adopt_new();
    stage_says(&stage, 1, THIRD, EPOCH + 1);
    adopt_expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, announced)
{
    adopt_new();
    stage_pass(&stage, 700);
    stage_polls(&stage, LEADER, NEW, EPOCH);
    cr_expect_eq(stage_published(&stage), NEW);
    cr_expect_not(stage.j.adopted);
    cr_expect_not(stage.j.switched, "the address was there before");
    cr_expect(!strstr(stage.j.detail, "adopted"), "%s", stage.j.detail);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH);
    stage_polls(&stage, 1, NEW, EPOCH);
    cr_expect(stage.j.majority);
    stage_polls(&stage, 2, NEW, EPOCH);
    stage_row(&stage, LEADER)->failover_under_way = false;
    stage_leads(&stage, LEADER, PROMOTION_ENDED, EPOCH_UNKNOWN, 0);
    stage_lose(&stage, LEADER); /* nobody needs the leader any more */
    stage_pass(&stage, 4000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_adopt, announced_by_another)
{
    adopt_new();
    stage_lose(&stage, LEADER);
    stage_pass(&stage, 1500);
    stage_polls(&stage, 2, NEW, EPOCH);
    cr_expect_not(stage.j.adopted);
    stage_pass(&stage, 3000);
    cr_expect_eq(stage_published(&stage), NEW);
}

Test(sim_adopt, announced_while_it_is_silent)
{
    adopt_new();
    stage_silence(&stage, NEW);
    stage_role(&stage, NEW, ROLE_TIMEOUT);
    stage_polls(&stage, 1, NEW, EPOCH);
    cr_expect(stage.j.adopted, "it has to say so itself");
    stage_row(&stage, LEADER)->failover_under_way = false;
    stage_says(&stage, LEADER, OLD, EPOCH - 1);
    stage_says(&stage, LEADER, OLD, EPOCH - 1);
    stage_pass(&stage, 100);
    cr_expect_eq(stage_published(&stage), NEW,
                 "a leader that has fallen back does not undo what is announced");
    stage_role(&stage, NEW, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), NEW);
    cr_expect_not(stage.j.adopted);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH);
}

Test(sim_adopt, named_below_its_epoch_is_not_announced)
{
    adopt_new();
    stage_polls(&stage, 1, NEW, EPOCH - 1);
    cr_expect(stage.j.adopted);
    stage_polls(&stage, 2, NEW, EPOCH_UNKNOWN);
    cr_expect(stage.j.adopted);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH - 1);
}
