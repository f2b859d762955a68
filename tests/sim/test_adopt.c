/*
 * Rule 11 row by row: what makes an adoption, what it outranks and yields to, and each way in which
 * it ends. The invariant of the stage is checked at every step.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "stage.h"

#define OLD 7200
#define NEW 7201
#define THIRD 7202
#define LEADER 0
#define EPOCH 5 /* of the failover; what is published has 4 */

static struct stage stage;

static void open_with(bool adopt)
{
    struct judge_config config = stage_defaults();

    config.adopt = adopt;
    stage_open_with(&stage, 3, &config);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_node(&stage, NEW, ROLE_OTHER);
    stage_node(&stage, THIRD, ROLE_OTHER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, EPOCH - 1);
    }
    stage_pass(&stage, 2000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_forget_counts(&stage);
}

static void open_stage(void)
{
    open_with(true);
}

static void close_stage(void)
{
    stage_close(&stage);
}

TestSuite(sim_adopt, .init = open_stage, .fini = close_stage, .timeout = 30);

static void begin(int leader, int64_t epoch)
{
    stage_leads(&stage, leader, PROMOTION_TRY, epoch, 0);
    stage_row(&stage, leader)->failover_under_way = true;
    stage_row(&stage, leader)->failover_timeout_ms = 10000;
    stage_polls(&stage, leader, stage_row(&stage, leader)->master.name.port,
                stage_row(&stage, leader)->epoch);
}

static void choose(int leader, int64_t epoch, int port)
{
    begin(leader, epoch);
    stage_leads(&stage, leader, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, leader, PROMOTION_CHOSEN, EPOCH_UNKNOWN, port);
}

static void promote(int port)
{
    stage_node(&stage, port, ROLE_MASTER);
    stage_promotes(&stage, port, ROLE_MASTER);
}

static void expect_adopted(int port, int64_t epoch)
{
    cr_expect_eq(stage_published(&stage), port);
    cr_expect(stage.j.adopted);
    cr_expect_eq(stage.j.state, MASTER_OK);
    cr_expect_eq(stage.j.published->epoch, epoch);
}

static void adopt_new(void)
{
    choose(LEADER, EPOCH, NEW);
    stage_pass(&stage, 80);
    promote(NEW);
    expect_adopted(NEW, EPOCH);
}

static void expect_asks(int port)
{
    if (port == 0) {
        cr_expect_null(stage.j.promoting);
    } else {
        cr_assert(stage.j.promoting, "nobody is asked");
        cr_expect_eq(stage.j.promoting->name.port, port);
    }
}

/* ---- what makes one ---- */

Test(sim_adopt, the_moment_it_says_master)
{
    choose(LEADER, EPOCH, NEW);
    expect_asks(NEW);
    stage_promotes(&stage, NEW, ROLE_OTHER);
    stage_promotes(&stage, NEW, ROLE_CLOSED);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    promote(NEW);
    expect_adopted(NEW, EPOCH);
    cr_expect(stage.j.switched);
    cr_expect_eq(stage.j.switched_by, DECIDE_ADOPTED);
    cr_expect_not(stage.j.majority);
    cr_expect_eq(stage.j.previous->name.port, OLD);
    cr_expect_eq(judge_high_water(stage.judge), EPOCH - 1, "it lends H nothing");
    cr_expect(strstr(stage.j.detail, "adopted in a failover at epoch 5"), "%s", stage.j.detail);
    expect_asks(0);
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
    open_with(false);
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
    promote(NEW);
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
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
}

Test(sim_adopt, a_role_that_may_not_be_asked_is_not_enough)
{
    choose(LEADER, EPOCH, NEW);
    stage_promotes(&stage, NEW, ROLE_NOPERM);
    stage_promotes(&stage, NEW, ROLE_NOAUTH);
    stage_promotes(&stage, NEW, ROLE_LOADING);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, only_the_chosen_node)
{
    choose(LEADER, EPOCH, NEW);
    stage_promotes(&stage, THIRD, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
    /* Another connection's answer is none to this question. */
    stage_role(&stage, NEW, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, not_elected)
{
    begin(LEADER, EPOCH);
    stage_leads(&stage, LEADER, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    expect_asks(0);
}

Test(sim_adopt, elected_out_of_nowhere)
{
    stage_leads(&stage, LEADER, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, LEADER, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    expect_asks(0);
}

Test(sim_adopt, somebody_elses_choice)
{
    begin(LEADER, EPOCH);
    stage_leads(&stage, LEADER, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, 1, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    expect_asks(0);
}

Test(sim_adopt, nobody_that_is_not_known)
{
    judge_forget(stage.judge, stage_sentinel_id(2));
    invariant_forget(&stage.invariant, stage_sentinel_id(2));
    stage_mute(&stage, 2);
    stage_leads(&stage, 2, PROMOTION_TRY, EPOCH, 0);
    stage_leads(&stage, 2, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, 2, PROMOTION_CHOSEN, EPOCH_UNKNOWN, NEW);
    expect_asks(0);
}

Test(sim_adopt, at_an_epoch_above_the_high_water)
{
    for (int64_t epoch = EPOCH_UNKNOWN; epoch < EPOCH; epoch++) {
        stage_row(&stage, LEADER)->epoch = epoch > 0 ? epoch - 1 : 0;
        choose(LEADER, epoch, NEW);
        expect_asks(0);
    }
}

Test(sim_adopt, a_leader_without_an_epoch_of_its_own)
{
    stage_says(&stage, LEADER, OLD, EPOCH_UNKNOWN);
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
}

Test(sim_adopt, a_leader_that_fails_over_from_something_else)
{
    stage_says(&stage, LEADER, THIRD, EPOCH - 2); /* it missed what happened since */
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
}

Test(sim_adopt, a_leader_whose_link_is_lost)
{
    choose(LEADER, EPOCH, NEW);
    expect_asks(NEW);
    stage_lose(&stage, LEADER);
    expect_asks(0);
    promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, what_is_published_is_not_promoted)
{
    choose(LEADER, EPOCH, OLD);
    expect_asks(0);
}

Test(sim_adopt, aborted_before_the_promotion)
{
    choose(LEADER, EPOCH, NEW);
    stage_leads(&stage, LEADER, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    expect_asks(0);
    promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, begun_anew_before_the_promotion)
{
    choose(LEADER, EPOCH, NEW);
    choose(LEADER, EPOCH + 1, THIRD);
    expect_asks(THIRD);
    stage_promotes(&stage, NEW, ROLE_MASTER);
    cr_expect_eq(stage_published(&stage), OLD);
    promote(THIRD);
    expect_adopted(THIRD, EPOCH + 1);
}

Test(sim_adopt, of_two_leaders_the_higher_epoch)
{
    choose(LEADER, EPOCH, NEW);
    /* two forced failovers can mint the same epoch: the first is followed */
    choose(1, EPOCH, THIRD);
    expect_asks(NEW);
    choose(2, EPOCH + 1, THIRD);
    expect_asks(THIRD);
    choose(1, EPOCH, NEW);
    expect_asks(THIRD);
}

Test(sim_adopt, not_while_another_adoption_stands)
{
    adopt_new();
    stage_polls(&stage, 1, NEW, EPOCH - 1); /* it names what is published, and announces nothing */
    choose(1, EPOCH + 1, THIRD);
    expect_asks(0);
    expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, the_high_water_comes_to_its_epoch)
{
    choose(LEADER, EPOCH, NEW);
    stage_says(&stage, 1, OLD, EPOCH);
    cr_assert_lt(judge_high_water(stage.judge), EPOCH, "one voice does not raise it");
    expect_asks(NEW);
    stage_says(&stage, 2, OLD, EPOCH);
    cr_assert_eq(judge_high_water(stage.judge), EPOCH);
    expect_asks(0);
    promote(NEW);
    cr_expect_eq(stage_published(&stage), OLD);
}

Test(sim_adopt, the_asking_ends_with_the_failover_timeout)
{
    choose(LEADER, EPOCH, NEW);
    stage_pass(&stage, 11900);
    expect_asks(NEW);
    stage_pass(&stage, 200);
    expect_asks(0);
}

Test(sim_adopt, nothing_was_published_yet)
{
    struct judge_config config = stage_defaults();

    stage_close(&stage);
    config.adopt = true;
    stage_open_with(&stage, 3, &config);
    stage_polls(&stage, LEADER, OLD, EPOCH - 1);
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
}

/* ---- what it outranks, and yields to ---- */

Test(sim_adopt, outranks_a_majority_that_names_the_old_master)
{
    adopt_new();
    /* OLD says master all the time, all name it: many more than three polls */
    stage_pass(&stage, 5000);
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, outranks_votes_without_an_epoch)
{
    adopt_new();
    for (int i = 0; i < 3; i++) {
        stage_row(&stage, i)->epoch = EPOCH_UNKNOWN;
    }
    stage_pass(&stage, 5000);
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
}

Test(sim_adopt, not_undone_by_anothers_row)
{
    adopt_new();
    stage_pass(&stage, 9000);
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
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
    choose(LEADER, EPOCH, NEW);
    int64_t chosen_ms = stage.now_ms;
    stage_pass(&stage, 211);
    promote(NEW);
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
    expect_adopted(NEW, EPOCH);
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
    expect_adopted(NEW, EPOCH);
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
    cr_expect_eq(stage.j.reason, REASON_STARTING);
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
    choose(LEADER, EPOCH, NEW);
    expect_asks(0);
    choose(1, EPOCH, NEW);
    expect_asks(0);
    choose(1, EPOCH + 1, NEW);
    promote(NEW);
    expect_adopted(NEW, EPOCH + 1);
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
    choose(1, EPOCH + 1, THIRD);
    promote(THIRD);
    expect_adopted(THIRD, EPOCH + 1);
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

        choose(leader, epoch, to);
        promote(to);
        expect_adopted(to, epoch);
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
