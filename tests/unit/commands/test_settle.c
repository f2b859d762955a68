/* The settlement table of DESIGN section 5, row by row, for every kind of command. */
#include <criterion/criterion.h>

#include "commands/settle.h"

static void expect(enum mishap mishap, struct settle_facts facts, enum settlement wanted,
                   enum metric_retry reason)
{
    enum metric_retry got = METRIC_RETRY_COUNT;

    cr_expect_eq(settle(mishap, &facts, &got), wanted, "mishap %d, read %d, script %d, retry %d",
                 mishap, facts.read_only, facts.script, facts.retry_always);
    cr_expect_eq(got, reason, "mishap %d: reason %d", mishap, got);
}

static const struct settle_facts write_ = {0}, read_ = {.read_only = true},
                                 script = {.script = true}, twice = {.retry_always = true};

Test(settle, unwritten_runs_again_whatever_it_is)
{
    expect(MISHAP_UNSENT, write_, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN);
    expect(MISHAP_UNWRITTEN, write_, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN);
    expect(MISHAP_UNWRITTEN, read_, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN);
    expect(MISHAP_UNWRITTEN, script, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN);
}

Test(settle, lost_runs_again_only_where_that_does_no_harm)
{
    expect(MISHAP_LOST, write_, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_LOST, script, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_LOST, read_, SETTLE_RUN_AGAIN, METRIC_RETRY_LOST_READ);
    expect(MISHAP_LOST, twice, SETTLE_RUN_AGAIN, METRIC_RETRY_ASKED_FOR);
}

Test(settle, refused_rests_but_scripts_may_have_made_it_up)
{
    expect(MISHAP_READONLY, write_, SETTLE_REST, METRIC_RETRY_READ_ONLY);
    expect(MISHAP_LOADING, read_, SETTLE_REST, METRIC_RETRY_LOADING);
    expect(MISHAP_MASTERDOWN, read_, SETTLE_REST, METRIC_RETRY_MASTERDOWN);
    for (enum mishap mishap = MISHAP_READONLY; mishap <= MISHAP_MASTERDOWN; mishap++) {
        expect(mishap, script, SETTLE_TAKE, METRIC_RETRY_COUNT);
        expect(mishap, (struct settle_facts){.script = true, .retry_always = true}, SETTLE_TAKE,
               METRIC_RETRY_COUNT);
    }
    expect(MISHAP_EXECABORT, write_, SETTLE_REST, METRIC_RETRY_EXECABORT);
    expect(MISHAP_EXECABORT, script, SETTLE_REST, METRIC_RETRY_EXECABORT);
}

Test(settle, answered_behind_the_promotion)
{
    expect(MISHAP_FENCED, write_, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_FENCED, read_, SETTLE_TAKE, METRIC_RETRY_COUNT);
    expect(MISHAP_FENCED, twice, SETTLE_RUN_AGAIN, METRIC_RETRY_ASKED_FOR);
}

Test(settle, deadlines)
{
    expect(MISHAP_DEADLINE, write_, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_DEADLINE, read_, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_DEADLINE, twice, SETTLE_UNKNOWN, METRIC_RETRY_COUNT);
    expect(MISHAP_NEVER_SENT, twice, SETTLE_NOT_SENT, METRIC_RETRY_COUNT);
}

Test(settle, every_mishap_has_a_row)
{
    for (int mishap = 0; mishap < MISHAPS; mishap++) {
        for (int bits = 0; bits < 8; bits++) {
            const struct settle_facts facts = {bits & 1, bits & 2, bits & 4};
            enum metric_retry reason = METRIC_RETRY_COUNT;
            const enum settlement got = settle((enum mishap)mishap, &facts, &reason);

            cr_expect_eq(reason < METRIC_RETRY_COUNT, got == SETTLE_RUN_AGAIN || got == SETTLE_REST,
                         "mishap %d, facts %d", mishap, bits);
        }
    }
}

Test(settle, refusals_are_whole_words)
{
    cr_expect_eq(settle_refusal("READONLY You can't write against a read only replica."),
                 MISHAP_READONLY);
    cr_expect_eq(settle_refusal("LOADING Redis is loading the dataset in memory"), MISHAP_LOADING);
    cr_expect_eq(settle_refusal("MASTERDOWN Link with MASTER is down"), MISHAP_MASTERDOWN);
    cr_expect_eq(settle_refusal("READONLY"), MISHAP_READONLY);
    cr_expect_eq(settle_refusal("READONLYISH"), MISHAPS);
    cr_expect_eq(settle_refusal("ERR READONLY"), MISHAPS);
    cr_expect_eq(settle_refusal(""), MISHAPS);
}
