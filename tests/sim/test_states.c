/* The state table of DESIGN section 3 and the reasons of HTTP.md, row by row; restarts; times. */
#include <criterion/criterion.h>
#include <string.h>

#include "suite_stage.h"

#define OLD 7001
#define NEW 7002

static void open_agreed(void)
{
    stage_open(&stage, 3);
    stage_node(&stage, OLD, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 5);
    }
    stage_pass(&stage, 2000);
    stage_forget_counts(&stage);
    stage_silence(&stage, OLD);
    stage_role(&stage, OLD, ROLE_MASTER);
}

static void set_links(struct judge_links links)
{
    stage.links = links;
    judge_set_links(stage.judge, &stage.links);
    stage_step(&stage);
}

TestSuite(sim_states, .fini = close_stage, .timeout = 30);

/* ---- leaving ok ---- */

Test(sim_states, ok_lasts_suspect_after, .init = open_agreed)
{
    stage_pass(&stage, 1500);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 1);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
}

Test(sim_states, a_timeout_alone_does_not_leave_ok, .init = open_agreed)
{
    stage_pass(&stage, 600);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect(stage.j.suspect);
    stage_pass(&stage, 600);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_role(&stage, OLD, ROLE_ERROR);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 301);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
}

Test(sim_states, loading_leaves_ok_at_once_and_is_asked_until_it_ends, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_LOADING);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_LOADING);
    cr_expect(stage.j.suspect);
    stage_pass(&stage, 5000);
    cr_expect_geq(stage.asked_published, 1u);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_LOADING);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

Test(sim_states, the_first_refusal_asks_at_once_the_second_leaves_ok, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_CLOSED);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_eq(stage.asked_published, 1);
    cr_expect(stage.j.suspect);
    stage_role(&stage, OLD, ROLE_REFUSED);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
}

Test(sim_states, a_good_answer_between_two_refusals_keeps_ok, .init = open_agreed)
{
    for (int i = 0; i < 5; i++) {
        stage_role(&stage, OLD, ROLE_CLOSED);
        stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
        stage_role(&stage, OLD, ROLE_MASTER);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect_not(stage.j.suspect);
}

Test(sim_states, a_timeout_between_two_refusals_does_not, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_CLOSED);
    stage_role(&stage, OLD, ROLE_TIMEOUT);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_role(&stage, OLD, ROLE_CLOSED);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_UNREACHABLE);
}

Test(sim_states, another_role_leaves_ok_at_once, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_OTHER);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_ROLE_MISMATCH);
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

Test(sim_states, an_unknowable_role_is_unverified, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_NOPERM);
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_REDIS_DENIED);
    stage_role(&stage, OLD, ROLE_NOAUTH);
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_REDIS_AUTH);
    cr_expect_not(stage.j.suspect);
    stage_pass(&stage, 1501); /* and nothing more */
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
}

Test(sim_states, answers_of_other_nodes_change_nothing, .init = open_agreed)
{
    stage_role(&stage, NEW, ROLE_OTHER);
    stage_role(&stage, NEW, ROLE_REFUSED);
    stage_role(&stage, NEW, ROLE_REFUSED);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
}

/* ---- failing_over, conflict, down ---- */

Test(sim_states, a_row_with_failover_state_makes_failing_over, .init = open_agreed)
{
    stage_row(&stage, 1)->failover_under_way = true;
    stage_row(&stage, 1)->failover_timeout_ms = 5000;
    stage_says(&stage, 1, OLD, 5);
    /* a manual one: the old address until the new */
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    cr_expect(stage.j.suspect);
    stage_role(&stage, OLD, ROLE_OTHER);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    stage_pass(&stage, 4999);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    stage_pass(&stage, 1); /* its timeout */
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_ROLE_MISMATCH);
}

Test(sim_states, a_row_that_lost_it_ends_failing_over, .init = open_agreed)
{
    stage_row(&stage, 1)->failover_under_way = true;
    stage_says(&stage, 1, OLD, 5);
    stage_role(&stage, OLD, ROLE_OTHER);
    cr_expect_eq(stage.j.state, MASTER_FAILING_OVER);
    stage_row(&stage, 1)->failover_under_way = false;
    stage_says(&stage, 1, OLD, 5);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_ROLE_MISMATCH);
}

Test(sim_states, an_event_makes_failing_over_for_its_time, .init = open_agreed)
{
    judge_failover(stage.judge, true, stage.now_ms, 3000);
    stage_role(&stage, OLD, ROLE_OTHER);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
    stage_pass(&stage, 2999);
    cr_expect_eq(stage.j.state, MASTER_FAILING_OVER);
    stage_pass(&stage, 1);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_ROLE_MISMATCH);
}

Test(sim_states, an_event_ends_it, .init = open_agreed)
{
    stage_row(&stage, 1)->failover_under_way = true;
    stage_says(&stage, 1, OLD, 5);
    judge_failover(stage.judge, true, stage.now_ms, 180000);
    stage_role(&stage, OLD, ROLE_OTHER);
    cr_expect_eq(stage.j.state, MASTER_FAILING_OVER);
    judge_failover(stage.judge, false, stage.now_ms, 0);
    stage_step(&stage);
    cr_expect_eq(stage.j.state, MASTER_DOWN);
}

Test(sim_states, conflict_when_nobody_has_a_majority_at_one_epoch, .init = open_agreed)
{
    stage_role(&stage, OLD, ROLE_OTHER);
    stage_lose(&stage, 2);
    stage_polls(&stage, 1, NEW, 5);
    stage_expect(&stage, OLD, MASTER_CONFLICT, REASON_CONFLICT);
    cr_expect(strstr(stage.j.detail, "10.0.0.1:7001") && strstr(stage.j.detail, "10.0.0.1:7002"),
              "%s", stage.j.detail);
    judge_failover(stage.judge, true, stage.now_ms, 3000); /* stands above conflict in the table */
    stage_step(&stage);
    stage_expect(&stage, OLD, MASTER_FAILING_OVER, REASON_FAILING_OVER);
}

/* ---- reasons beside ok ---- */

Test(sim_states, reasons_beside_ok_in_their_order, .init = open_agreed)
{
    set_links((struct judge_links){.dialled = 3, .reachable = 3, .denied_extra = 1});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_DENIED);
    stage_lose(&stage, 0);
    stage_lose(&stage, 1);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
    stage_says(&stage, 2, NEW, 4);
    stage_expect(&stage, OLD, MASTER_OK, REASON_DISPUTED);
    stage_lose(&stage, 2);
    set_links((struct judge_links){.dialled = 3, .reachable = 0});
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_SENTINEL_REACHABLE);
    set_links((struct judge_links){.dialled = 3, .reachable = 3, .unknown_name = 3});
    stage_expect(&stage, OLD, MASTER_OK, REASON_UNKNOWN_NAME);
    set_links((struct judge_links){.dialled = 3, .reachable = 0, .auth_failed = 1});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_AUTH);
    set_links((struct judge_links){.dialled = 3, .reachable = 3, .denied = 3});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_DENIED);
}

/* ---- reasons while nothing was ever published ---- */

static void open_unknown(void)
{
    stage_open(&stage, 0);
    set_links((struct judge_links){.dialled = 3, .pending = 3});
}

Test(sim_states, unknown_starting, .init = open_unknown)
{
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_STARTING);
    cr_expect_eq(stage.j.next_ms, stage.now_ms + 500);
}

Test(sim_states, unknown_reasons_in_their_order, .init = open_unknown)
{
    set_links((struct judge_links){.dialled = 3});
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_NO_SENTINEL_REACHABLE);
    set_links((struct judge_links){.dialled = 3, .reachable = 1, .denied = 1});
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_SENTINEL_DENIED);
    set_links((struct judge_links){.dialled = 3, .reachable = 1, .denied = 1, .unknown_name = 1});
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_UNKNOWN_NAME);
    cr_expect(strstr(stage.j.detail, "mymaster"), "%s", stage.j.detail);
    set_links(
        (struct judge_links){.dialled = 3, .reachable = 1, .unknown_name = 1, .auth_failed = 1});
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_SENTINEL_AUTH);
}

Test(sim_states, unknown_conflict, .init = open_unknown)
{
    set_links((struct judge_links){.dialled = 2, .reachable = 2});
    stage_says(&stage, 0, OLD, 5);
    stage_says(&stage, 1, NEW, 5);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_CONFLICT);
}

Test(sim_states, unknown_by_what_the_candidate_says, .init = open_unknown)
{
    static const struct {
        enum role_answer answer;
        enum reason reason;
    } rows[] = {
        {ROLE_REFUSED, REASON_REDIS_UNREACHABLE}, {ROLE_CLOSED, REASON_REDIS_UNREACHABLE},
        {ROLE_TIMEOUT, REASON_REDIS_TIMEOUT},     {ROLE_LOADING, REASON_REDIS_LOADING},
        {ROLE_OTHER, REASON_ROLE_MISMATCH},       {ROLE_ERROR, REASON_REDIS_UNREACHABLE},
        {ROLE_NOPERM, REASON_NO_MAJORITY},        {ROLE_NOAUTH, REASON_NO_MAJORITY},
    };

    judge_know(stage.judge, stage_sentinel_id(1));
    invariant_sentinel(&stage.invariant, stage_sentinel_id(1), true);
    set_links((struct judge_links){.dialled = 3, .reachable = 1});
    stage_polls(&stage, 0, OLD, 5);
    stage_expect(&stage, 0, MASTER_UNKNOWN, REASON_STARTING);
    cr_expect_eq(stage_asked(&stage, OLD), 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stage_role(&stage, OLD, rows[i].answer);
        stage_expect(&stage, 0, MASTER_UNKNOWN, rows[i].reason);
    }
    stage_role(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

Test(sim_states, unknown_again_never, .init = open_agreed)
{
    for (int i = 0; i < 3; i++) {
        judge_forget(stage.judge, stage_sentinel_id(i));
        invariant_forget(&stage.invariant, stage_sentinel_id(i));
        stage_mute(&stage, i);
    }
    stage_pass(&stage, 5000);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    cr_expect_eq(judge_known(stage.judge), 0);
}

/* ---- words ---- */

static void open_asked(void)
{
    open_agreed();
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_pass(&stage, 1000);
}

#define says(words) \
    cr_expect(strstr(stage.j.detail, words), "%s: not in: %s", words, stage.j.detail)

static void says_the_same_for(int64_t ms)
{
    char before[DETAIL_SIZE];

    memcpy(before, stage.j.detail, sizeof(before));
    for (; ms > 0; ms -= 100) {
        stage_pass(&stage, 100);
        cr_assert_str_eq(stage.j.detail, before);
    }
}

Test(sim_states, words_stay_while_nothing_changes, .init = open_asked)
{
    says("10.0.0.1:7001 says master; named by 3 of 3 known Sentinels at epoch 5");
    says_the_same_for(10000);
    stage_node(&stage, OLD, ROLE_REFUSED);
    stage_pass(&stage, 100); /* refused twice */
    says("10.0.0.1:7001 can't be connected to since 2026-11-22T12:");
    says(", last said master at 2026-11-22T12:");
    says("named by 3 of 3 known Sentinels at epoch 5");
    says_the_same_for(10000);
}

/* State and reason stay; what the words count does not. */
Test(sim_states, words_follow_the_counts, .init = open_asked)
{
    stage_lose(&stage, 2);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    says("named by 2 of 3 known Sentinels");
    stage_mute(&stage, 1); /* its last answer grows too old */
    stage_pass(&stage, 4000);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
    says("named by 1 of 3 known Sentinels");
    stage_lose(&stage, 0);
    stage_step(&stage);
    says("named by 0 of 3 known Sentinels");
    judge_know(stage.judge, "another");
    stage_step(&stage);
    says("named by 0 of 4 known Sentinels");
    stage_polls(&stage, 0, OLD, 5);
    says("named by 1 of 4 known Sentinels at epoch 5");
}

Test(sim_states, words_follow_the_links, .init = open_asked)
{
    for (int i = 0; i < 3; i++) {
        stage_lose(&stage, i);
    }
    set_links((struct judge_links){.dialled = 3, .reachable = 0});
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_SENTINEL_REACHABLE);
    says(
        "no Sentinel of 3 can be reached: 10.0.0.1:7001 says master; named by 0 of 3 known Sentinels");
    set_links((struct judge_links){.dialled = 4, .reachable = 0});
    says("no Sentinel of 4 can be reached: ");
    set_links((struct judge_links){.dialled = 4, .tls = 2});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_TLS);
    says("2 of 4 Sentinels fail in TLS: ");
    set_links((struct judge_links){.dialled = 4, .tls = 2, .auth_failed = 1});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_AUTH);
    set_links((struct judge_links){.dialled = 4, .denied = 1});
    stage_expect(&stage, OLD, MASTER_OK, REASON_SENTINEL_DENIED);
    says("1 of 4 Sentinels deny something: ");
}

/* The node falls silent, and is `ok` for a while; then it is not, and only then. */
Test(sim_states, words_of_a_node_that_falls_silent, .init = open_asked)
{
    stage_node(&stage, OLD, ROLE_TIMEOUT);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    says("10.0.0.1:7001 does not answer in time since 2026-11-22T12:");
    stage_pass(&stage, 5000);
    stage_expect(&stage, OLD, MASTER_DOWN, REASON_REDIS_TIMEOUT);
    says("10.0.0.1:7001 does not answer in time since 2026-11-22T12:");
    says(", last said master at ");
    says_the_same_for(5000);
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    says("10.0.0.1:7001 says master; ");
}

Test(sim_states, since_is_the_wall_clock_of_the_publication, .init = open_agreed)
{
    int64_t since = stage.j.published_wall_ms;

    stage_pass(&stage, 1000);
    cr_expect_eq(stage.j.published_wall_ms, since);
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage.j.published_wall_ms, STAGE_WALL_MS + stage.now_ms);
    cr_expect_eq(stage.j.previous->name.port, OLD);
}

/* ---- restarts ---- */

static void says_run_id(int sentinel, const char *run_id)
{
    snprintf(stage_row(&stage, sentinel)->run_id, RUN_ID_SIZE, "%s", run_id);
    stage_says(&stage, sentinel, OLD, 5);
}

Test(sim_states, a_new_run_id_is_one_restart, .init = open_agreed)
{
    says_run_id(0, "aaaa");
    cr_expect_not(stage.j.restarted);
    cr_expect_str_eq(stage.j.run_id, "aaaa");
    says_run_id(1, "aaaa");
    says_run_id(2, "");
    cr_expect_eq(stage.restarts, 0);
    says_run_id(0, "bbbb");
    cr_expect_eq(stage.restarts, 1);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
    says_run_id(1, "aaaa"); /* lags */
    says_run_id(0, "bbbb");
    says_run_id(2, "");
    says_run_id(1, "bbbb");
    cr_expect_eq(stage.restarts, 1);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
    says_run_id(1, "cccc");
    cr_expect_eq(stage.restarts, 2);
}

Test(sim_states, a_switch_is_no_restart, .init = open_agreed)
{
    says_run_id(0, "aaaa");
    stage_node(&stage, NEW, ROLE_MASTER);
    snprintf(stage_row(&stage, 0)->run_id, RUN_ID_SIZE, "bbbb");
    stage_says(&stage, 0, NEW, 6);
    cr_expect_eq(stage.switches, 1);
    cr_expect_eq(stage.restarts, 0);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
}

Test(sim_states, many_restarts_are_each_told_once, .init = open_agreed)
{
    char id[RUN_ID_SIZE];

    says_run_id(0, "first");
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        says_run_id(0, id);
        says_run_id(1, id);
    }
    cr_expect_eq(stage.restarts, 40);
}

static void tells_run_id(const char *run_id)
{
    struct endpoint node = stage_at(OLD);

    judge_run_id(stage.judge, &node, run_id);
    stage_step(&stage);
}

Test(sim_states, the_nodes_own_word_tells_a_restart_once, .init = open_agreed)
{
    says_run_id(0, "old");
    tells_run_id("aaaa"); /* the row was of before */
    cr_expect_eq(stage.restarts, 0);
    cr_expect_str_eq(stage.j.run_id, "aaaa");
    tells_run_id("aaaa");
    says_run_id(0, "aaaa");
    cr_expect_eq(stage.restarts, 0);
    tells_run_id("bbbb");
    cr_expect_eq(stage.restarts, 1);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
    says_run_id(0, "bbbb");
    says_run_id(1, "aaaa"); /* lags */
    says_run_id(2, "what the node never said");
    cr_expect_eq(stage.restarts, 1);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
}

Test(sim_states, rows_tell_a_restart_where_the_node_may_not_be_asked, .init = open_agreed)
{
    tells_run_id("aaaa");
    tells_run_id(""); /* denied from now on */
    says_run_id(0, "aaaa");
    says_run_id(0, "bbbb");
    cr_expect_eq(stage.restarts, 1);
    cr_expect_str_eq(stage.j.run_id, "bbbb");
}

Test(sim_states, another_nodes_run_id_is_nothing, .init = open_agreed)
{
    struct endpoint other = stage_at(NEW);

    tells_run_id("aaaa");
    judge_run_id(stage.judge, &other, "bbbb");
    stage_step(&stage);
    cr_expect_eq(stage.restarts, 0);
    cr_expect_str_eq(stage.j.run_id, "aaaa");
    stage_node(&stage, NEW, ROLE_MASTER);
    stage_polls(&stage, 0, NEW, 6);
    cr_expect_eq(stage.switches, 1);
    judge_run_id(stage.judge, &other, "bbbb");
    stage_step(&stage);
    cr_expect_eq(stage.restarts, 0, "another node, not a restart");
}

/* ---- known Sentinels, times ---- */

Test(sim_states, known_sentinels_come_and_go, .init = open_agreed)
{
    judge_know(stage.judge, stage_sentinel_id(1)); /* twice is fine */
    cr_expect_eq(judge_known(stage.judge), 3);
    judge_forget(stage.judge, stage_sentinel_id(1));
    invariant_forget(&stage.invariant, stage_sentinel_id(1));
    stage_mute(&stage, 1);
    judge_forget(stage.judge, "nobody");
    stage_step(&stage);
    cr_expect_eq(judge_known(stage.judge), 2);
    cr_expect_eq(stage.j.decision.counting, 2);
    cr_expect_null(judge_observation(stage.judge, stage_sentinel_id(1)));
    judge_refuse(stage.judge, stage_sentinel_id(2)); /* it answered nothing that counts */
    invariant_refuse(&stage.invariant, stage_sentinel_id(2));
    stage_mute(&stage, 2);
    stage_step(&stage);
    cr_expect_eq(judge_known(stage.judge), 2);
    cr_expect_eq(stage.j.decision.counting, 1);
    stage_expect(&stage, OLD, MASTER_OK, REASON_NO_MAJORITY);
}

/* Stepping at next_ms alone, nothing may come late: an owner has no other way to know. */
Test(sim_states, what_time_alone_changes_is_announced_to_the_millisecond, .init = open_agreed)
{
    int64_t said_ms = stage.now_ms; /* OLD said master in open_agreed() */
    int64_t polled_ms = judge_observation(stage.judge, stage_sentinel_id(0))->at_ms;
    int64_t down_ms = -1;
    int64_t silent_ms = -1;

    while (stage.j.next_ms >= 0) {
        cr_assert_gt(stage.j.next_ms, stage.now_ms);
        stage.now_ms = stage.j.next_ms;
        stage_step(&stage);
        down_ms = down_ms < 0 && stage.j.state == MASTER_DOWN ? stage.now_ms : down_ms;
        silent_ms = silent_ms < 0 && stage.j.decision.counting == 0 ? stage.now_ms : silent_ms;
    }
    cr_expect_eq(down_ms, said_ms + 1501);
    cr_expect_eq(silent_ms, polled_ms + 3000);
}

Test(sim_states, steps_are_few_when_nothing_happens, .init = open_agreed)
{
    stage_node(&stage, OLD, ROLE_MASTER);
    stage_forget_counts(&stage);
    stage_pass(&stage, 60000);
    cr_expect_leq(stage.steps, 250, "%u steps in a minute of three polls and one check a second",
                  stage.steps);
    for (int i = 0; i < 3; i++) {
        stage_lose(&stage, i);
    }
    stage_silence(&stage, OLD);
    stage_pass(&stage, 5000);
    stage_forget_counts(&stage);
    stage.verify_ms = -1;
    stage_pass(&stage, 60000);
    cr_expect_leq(stage.steps, 1, "%u steps though nothing can change", stage.steps);
    cr_expect_eq(stage.j.next_ms, -1);
}
