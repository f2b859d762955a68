/*
 * SENTINEL.md played: the recorded failover at its real times, its traps as far as they touch the
 * decision, and what goes wrong for clients.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "suite_stage.h"

#define OLD 7200
#define NEW 7201
#define THIRD 7202
#define LEADER 0

static void open_agreed(void)
{
    stage_open(&stage, 3);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_node(&stage, NEW, ROLE_OTHER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 0);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 2000);
    stage_forget_counts(&stage);
}

static int64_t zero_ms;

/* To that time after the kill, second by second as recorded. */
static void at(int64_t ms)
{
    stage_pass(&stage, zero_ms + ms - stage.now_ms);
}

TestSuite(sim_traps, .init = open_agreed, .fini = close_stage, .timeout = 30);

/* ---- the recorded failover log ---- */

Test(sim_traps, failover_log_of_a_crash)
{
    zero_ms = stage.now_ms;
    at(2); /* sockets are closed */
    stage_silence(&stage, OLD);
    stage_role(&stage, OLD, ROLE_CLOSED);
    cr_expect_eq(stage.asked_published, 1, "asked again at once");
    at(3);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    at(1135); /* +try-failover; the leader is asked at once */
    judge_failover(stage.judge, true, stage.now_ms, 180000);
    stage_row(&stage, LEADER)->failover_under_way = true;
    stage_row(&stage, LEADER)->failover_timeout_ms = 180000;
    stage_polls(&stage, LEADER, OLD, 0);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    cr_expect(stage.j.suspect);
    at(1400); /* NEW says master, nobody names it */
    stage_node(&stage, NEW, ROLE_MASTER);
    at(2175);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    stage_polls(&stage, LEADER, NEW, 1); /* the first to name it: published in the same instant */
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    cr_expect_not(stage.j.majority);
    at(2259);
    stage_polls(&stage, 1, NEW, 1);
    cr_expect(stage.j.majority);
    stage_polls(&stage, 2, NEW, 1);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    at(3310);
    stage_row(&stage, LEADER)->failover_under_way = false;
    judge_failover(stage.judge, false, stage.now_ms, 0);
    stage_polls(&stage, LEADER, NEW, 1);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_not(stage.j.suspect);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_traps, failover_log_of_a_manual_failover)
{
    /* OLD says master all the time; it is the answer until NEW is published, then never again. */
    zero_ms = stage.now_ms;
    stage_row(&stage, LEADER)->failover_under_way = true;
    stage_polls(&stage, LEADER, OLD, 0);
    judge_failover(stage.judge, true, stage.now_ms, 180000);
    at(300);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_node(&stage, NEW, ROLE_MASTER);
    at(1000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_polls(&stage, LEADER, NEW, 1);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    at(2900); /* the others are late, OLD still says master */
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_polls(&stage, 1, NEW, 1);
    stage_polls(&stage, 2, NEW, 1);
    at(12000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 1);
}

/* ---- traps ---- */

/*
 * 1: the leader's address is NEW while its row is still the old one with the new epoch and, for
 * minutes, failover-state. Paired right, it is a candidate; and the row does not hold
 * `failing_over` up.
 */
Test(sim_traps, trap1_leaders_row_keeps_failover_state_after_the_switch)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_row(&stage, LEADER)->failover_under_way = true;
    stage_row(&stage, LEADER)->failover_timeout_ms = 180000;
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 1);
    }
    stage_pass(&stage, 60000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

/* 2: who comes back from before answers the old master with a lower epoch and no error. */
Test(sim_traps, trap2_a_sentinel_from_before_pulls_nothing_back)
{
    stage_lose(&stage, 2);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 1);
    stage_polls(&stage, 1, NEW, 1);
    stage_pass(&stage, 1000);
    stage_polls(&stage, 2, OLD, 0); /* and OLD, restarted, says master too */
    stage_pass(&stage, 10000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_lose(&stage, 0); /* not even when it is the only one left */
    stage_lose(&stage, 1);
    stage_pass(&stage, 30000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_node(&stage, NEW, ROLE_REFUSED);
    stage_pass(&stage, 30000);
    stage_expect(&stage, NEW, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    cr_expect_eq(stage.switches, 1);
}

Test(sim_traps, trap2_a_chain_of_late_hellos_is_followed_forward_only)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, THIRD, 2);
    cr_expect_eq(stage_published(&stage), THIRD);
    stage_polls(&stage, 1, NEW, 1); /* A -> B, late */
    cr_expect_eq(stage_published(&stage), THIRD);
    stage_polls(&stage, 1, THIRD, 2); /* B -> C */
    stage_expect(&stage, THIRD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(stage.switches, 1);
}

/* 3: two partitions mint one epoch for two masters. */
Test(sim_traps, trap3_two_masters_at_one_epoch)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 1);
    cr_expect_eq(stage_published(&stage), NEW);
    stage_polls(&stage, 1, THIRD, 1);
    stage_pass(&stage, 5000);
    /* no majority: what is published stands */
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
    stage_polls(&stage, 2, THIRD, 1);
    stage_expect(&stage, THIRD, MASTER_OK, REASON_DISPUTED);
    stage_pass(&stage, 5000);
    cr_expect_eq(stage.switches, 2);
}

/* 4: removed and monitored again, Sentinel after Sentinel: the epoch is 0, the address the same. */
Test(sim_traps, trap4_monitored_again_at_the_same_address)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 7);
    }
    stage_forget_counts(&stage);
    for (int i = 0; i < 3; i++) {
        judge_refuse(stage.judge, stage_sentinel_id(i)); /* No such master */
        invariant_refuse(&stage.invariant, stage_sentinel_id(i));
        stage_mute(&stage, i);
        stage_pass(&stage, 1000);
        stage_polls(&stage, i, NEW, 0);
        stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    }
    stage_pass(&stage, 10000);
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 0);
    cr_expect_eq(judge_high_water(stage.judge), 7);
}

/* 5: the epoch rose, the address did not. */
Test(sim_traps, trap5_epoch_without_address)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_polls(&stage, 2, OLD, 1); /* heard of the failover, could not resolve the new name */
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, LEADER, NEW, 1);
    stage_expect(&stage, OLD, MASTER_CONFLICT, REASON_CONFLICT);
    stage_polls(&stage, 1, NEW, 1);
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

/* 6: in a partition a Sentinel still lists its peers: known stays, so a minority is no majority. */
Test(sim_traps, trap6_minority_side_knows_that_it_is_one)
{
    stage_lose(&stage, 1);
    stage_lose(&stage, 2);
    stage_pass(&stage, 10000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
    cr_expect_not(stage.j.majority);
    cr_expect_eq(stage.j.decision.known, 3);
}

/* 9: a hung master keeps its sockets; only the deadline notices. */
Test(sim_traps, trap9_hung_master)
{
    int64_t last = stage.now_ms;

    stage_node(&stage, OLD, ROLE_MASTER);
    stage_silence(&stage, OLD);
    stage_pass(&stage, 500);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_pass(&stage, last + 1500 - stage.now_ms);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 1);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

/* 10: the demoted master goes on saying master for ten seconds. */
Test(sim_traps, trap10_demoted_master_still_says_master)
{
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, LEADER, NEW, 1);
    cr_expect_eq(stage_published(&stage), NEW);
    for (int i = 0; i < 20; i++) {
        stage_role(&stage, OLD, ROLE_MASTER);
        stage_pass(&stage, 500);
    }
    stage_expect(&stage, NEW, MASTER_OK, REASON_DISPUTED);
}

/* 11: the leader dies between promotion and announcement; NEW says master, and is turned back. */
Test(sim_traps, trap11_promoted_and_never_announced)
{
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_row(&stage, LEADER)->failover_under_way = true;
    stage_row(&stage, LEADER)->failover_timeout_ms = 10000;
    stage_polls(&stage, LEADER, OLD, 0);
    cr_expect_eq(stage.j.state, MASTER_FAILING_OVER);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_role(&stage, NEW, ROLE_MASTER); /* whoever says so: nobody named it */
    stage_lose(&stage, LEADER);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    stage_pass(&stage, 8000);
    stage_node(&stage, NEW, ROLE_OTHER);
    stage_node(&stage, THIRD, ROLE_MASTER);
    stage_polls(&stage, 1, THIRD, 2); /* the next leader's turn */
    stage_expect(&stage, THIRD, MASTER_OK, REASON_DISPUTED);
}

/* 14: names come to be announced instead of addresses: the text changes, the node does not. */
Test(sim_traps, trap14_announced_names_are_no_failover)
{
    for (int i = 0; i < 3; i++) {
        struct observation seen = *judge_observation(stage.judge, stage_sentinel_id(i));

        snprintf(seen.master.name.host, sizeof(seen.master.name.host), "redis-0.example");
        seen.at_ms = stage.now_ms;
        invariant_observe(&stage.invariant, &seen);
        judge_observe(stage.judge, &seen);
        stage_mute(&stage, i);
        stage_step(&stage);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect(stage.j.majority);
    cr_expect_eq(stage.switches, 0);
}

/* ---- what goes wrong for clients ---- */

Test(sim_traps, one_lying_sentinel_alone_moves_nothing_to_a_replica)
{
    stage_node(&stage, NEW, ROLE_OTHER);
    stage_polls(&stage, 0, NEW, 1000);
    stage_pass(&stage, 30000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    cr_expect_eq(judge_high_water(stage.judge), 0);
    cr_expect_lt(stage_asked(&stage, NEW), 70, "asked %u times in 30 s", stage_asked(&stage, NEW));
}

Test(sim_traps, a_frozen_daemon_does_not_say_ok_with_the_old_answer)
{
    for (int i = 0; i < 3; i++) {
        stage_mute(&stage, i);
    }
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_gap(&stage, 10000);
    stage_step(&stage); /* OLD still says master: asked before the Sentinels were */
    cr_expect_not(master_serves(stage.j.state, stage.j.reason));
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, NEW, 1);
        cr_expect(stage_published(&stage) == NEW || !master_serves(stage.j.state, stage.j.reason));
    }
    stage_expect(&stage, NEW, MASTER_OK, REASON_NONE);
}

Test(sim_traps, five_failovers_in_a_row)
{
    static const int nodes[] = {NEW, THIRD, OLD, NEW, THIRD};

    for (int i = 0; i < 5; i++) {
        stage_node(&stage, stage_published(&stage), ROLE_REFUSED);
        stage_pass(&stage, 1000);
        stage_node(&stage, nodes[i], ROLE_MASTER);
        for (int s = 0; s < 3; s++) {
            stage_polls(&stage, s, nodes[i], i + 1);
            cr_expect_eq(stage_published(&stage), nodes[i]);
        }
        stage_expect(&stage, nodes[i], MASTER_OK, REASON_NONE);
    }
    cr_expect_eq(stage.switches, 5);
    cr_expect_eq(judge_high_water(stage.judge), 5);
}

Test(sim_traps, all_sentinels_gone_and_back_while_the_master_lives)
{
    for (int i = 0; i < 3; i++) {
        stage_lose(&stage, i);
    }
    stage_pass(&stage, 60000);
    cr_expect_eq(stage.j.state, MASTER_OK);
    cr_expect_not(stage.j.majority);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 0);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.switches, 0);
}
