/* The decision in words, and ages. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/topology/report.h"

static struct address at(const char *text)
{
    struct address address;
    char error[128];

    cr_assert_eq(address_parse(text, 0, &address, error, sizeof(error)), 0, "%s", error);
    return address;
}

static struct status_report *report;
static struct status_master *it;

/* 10.0.0.12:6379 at epoch 4; Sentinels 1 and 2 say so, 3 says 10.0.0.11:6379 at epoch 3. */
static void setup(void)
{
    struct snapshot *snapshot = snapshot_new(1);
    struct snapshot_master *master = snapshot_master_new("mymaster");

    snapshot->masters[0] = master;
    master->state = MASTER_OK;
    master->has_address = master->verified = true;
    master->address = at("10.0.0.12:6379");
    master->config_epoch = 4;
    master->known = master->n_sentinels = 3;
    master->agreeing = 2;
    master->sentinels = mem_new(3, sizeof(*master->sentinels));
    for (size_t i = 0; i < 3; i++) {
        struct snapshot_sentinel *sentinel = &master->sentinels[i];
        char text[32];

        snprintf(text, sizeof(text), "10.0.0.%zu:26379", i + 1);
        sentinel->address = at(text);
        sentinel->reachable = sentinel->has_says = true;
        sentinel->agrees = i < 2;
        sentinel->says = at(i < 2 ? "10.0.0.12:6379" : "10.0.0.11:6379");
        sentinel->config_epoch = i < 2 ? 4 : 3;
    }
    report = status_report_of_snapshot(snapshot, 0);
    snapshot_unref(snapshot);
    it = &report->masters[0];
    it->verification = (struct status_verification){.known = true,
                                                    .enabled = true,
                                                    .answered = true,
                                                    .answer = ROLE_MASTER,
                                                    .age_ms = 180,
                                                    .master_age_ms = 180};
}

static void teardown(void)
{
    status_report_free(report);
}

TestSuite(topology_status, .init = setup, .fini = teardown);

static const char *words(void)
{
    static char out[STATUS_WORDS_SIZE];

    return status_say_decision(it, out);
}

Test(topology_status, as_an_operator_reads_it)
{
    cr_expect_str_eq(words(),
                     "10.0.0.12:6379: epoch 4 from 2 of 3 Sentinels, ROLE master 180 ms ago; "
                     "10.0.0.3:26379 still says 10.0.0.11:6379 at epoch 3");
    cr_expect_not(status_disagrees(it, 0));
    cr_expect(status_disagrees(it, 2));
}

Test(topology_status, a_higher_or_unknown_epoch_is_not_still)
{
    it->shown->sentinels[2].config_epoch = 5;
    cr_expect(strstr(words(), "; 10.0.0.3:26379 says 10.0.0.11:6379 at epoch 5"), "%s", words());
    it->shown->sentinels[2].config_epoch = EPOCH_UNKNOWN;
    cr_expect(strstr(words(), "; 10.0.0.3:26379 says 10.0.0.11:6379") &&
                  !strstr(words(), "epoch -1"),
              "%s", words());
    it->shown->config_epoch = EPOCH_UNKNOWN;
    cr_expect(strstr(words(), "10.0.0.12:6379: from 2 of 3") == words(), "%s", words());
}

Test(topology_status, what_became_of_the_role_check)
{
    it->verification.answer = ROLE_REFUSED;
    it->verification.master_age_ms = 4230;
    cr_expect(strstr(words(), "can't be connected to 180 ms ago (last said master 4.2 s ago)"),
              "%s", words());
    it->verification.answer = ROLE_OTHER;
    snprintf(it->verification.words, sizeof(it->verification.words), "replica");
    cr_expect(strstr(words(), "ROLE replica, not master, 180 ms ago"), "%s", words());
    it->verification.answered = false;
    cr_expect(strstr(words(), "not asked for its role yet"), "%s", words());
    it->verification.enabled = false;
    cr_expect(strstr(words(), "(--verify off)"), "%s", words());
    it->verification.known = false;
    cr_expect(strstr(words(), "last known to be master"), "%s", words());
}

Test(topology_status, sentinels_that_cannot_be_heard)
{
    struct snapshot_sentinel *sentinel = &it->shown->sentinels[2];

    sentinel->reachable = false;
    cr_expect(strstr(words(), "; 10.0.0.3:26379 can't be reached"), "%s", words());
    sentinel->reachable = true;
    sentinel->has_says = false;
    snprintf(sentinel->error_text, sizeof(sentinel->error_text), "it has no master of that name");
    cr_expect(strstr(words(), "; 10.0.0.3:26379 gives no address (it has no master of that name)"),
              "%s", words());
}

Test(topology_status, a_candidate_that_is_not_published)
{
    it->has_decision = true;
    it->decision.rule = DECIDE_NO_MAJORITY;
    it->decision.has_candidate = true;
    it->decision.candidate.name = at("10.0.0.11:6379");
    it->decision.candidate_votes = 1;
    it->decision.known = 3;
    it->decision.epoch = 4;
    cr_expect(strstr(words(),
                     "; candidate 10.0.0.11:6379 from 1 of 3 at epoch 4, which needs a majority"),
              "%s", words());
    it->decision.rule = DECIDE_STANDS;
    cr_expect_not(strstr(words(), "candidate"), "%s", words());
}

Test(topology_status, without_an_address)
{
    it->shown->has_address = false;
    it->shown->state = MASTER_UNKNOWN;
    it->shown->n_sentinels = 0;
    cr_expect_str_eq(words(), "no address yet: nothing was heard");
}

Test(topology_status, many_sentinels_are_cut_not_overrun)
{
    struct snapshot_master *shown = it->shown;
    struct snapshot_sentinel *many = mem_new(60, sizeof(*many));

    for (size_t i = 0; i < 60; i++) {
        many[i] = shown->sentinels[2];
    }
    free(shown->sentinels);
    shown->sentinels = many;
    shown->n_sentinels = 60;
    cr_expect_eq(strlen(words()), STATUS_WORDS_SIZE - 1);
}

Test(topology_status, ages)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-1, "never"},        {0, "0 ms"},       {999, "999 ms"},
                 {1000, "1.0 s"},      {59999, "59.9 s"}, {60000, "1 min"},
                 {7199999, "119 min"}, {7200000, "2 h"},  {172800000, "2 days"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[32];

        cr_expect_str_eq(status_say_age(cases[i].ms, out), cases[i].text);
    }
}
