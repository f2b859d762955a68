/* How the tests of the rules begin. */
#include <criterion/criterion.h>

#include "rules_fixture.h"

void open_agreed(void)
{
    stage_open(&stage, 3);
    stage_node(&stage, OLD, ROLE_MASTER);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 5);
    }
    stage_expect(&stage, OLD, MASTER_OK, REASON_NONE);
    stage_pass(&stage, 2000);
    stage_forget_counts(&stage);
}

void open_agreed_unverified(void)
{
    struct judge_config config = stage_defaults();

    config.verify = false;
    stage_open_with(&stage, 3, &config);
    for (int i = 0; i < 3; i++) {
        stage_polls(&stage, i, OLD, 5);
    }
    stage_expect(&stage, OLD, MASTER_UNVERIFIED, REASON_NONE);
    stage_forget_counts(&stage);
}

TestSuite(sim_rules, .fini = close_stage, .timeout = 30);
