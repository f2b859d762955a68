/* A failover that is adopted, up to there. */
#include <criterion/criterion.h>

#include "adopt_fixture.h"

void adopt_open_with(bool adopt)
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
    adopt_open_with(true);
}

TestSuite(sim_adopt, .init = open_stage, .fini = close_stage, .timeout = 30);

void adopt_begin(int leader, int64_t epoch)
{
    stage_leads(&stage, leader, PROMOTION_TRY, epoch, 0);
    stage_row(&stage, leader)->failover_under_way = true;
    stage_row(&stage, leader)->failover_timeout_ms = 10000;
    stage_polls(&stage, leader, stage_row(&stage, leader)->master.name.port,
                stage_row(&stage, leader)->epoch);
}

void adopt_choose(int leader, int64_t epoch, int port)
{
    adopt_begin(leader, epoch);
    stage_leads(&stage, leader, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
    stage_leads(&stage, leader, PROMOTION_CHOSEN, EPOCH_UNKNOWN, port);
}

void adopt_promote(int port)
{
    stage_node(&stage, port, ROLE_MASTER);
    stage_promotes(&stage, port, ROLE_MASTER);
}

void adopt_expect_adopted(int port, int64_t epoch)
{
    cr_expect_eq(stage_published(&stage), port);
    cr_expect(stage.j.adopted);
    cr_expect_eq(stage.j.state, MASTER_OK);
    cr_expect_eq(stage.j.published->epoch, epoch);
}

void adopt_new(void)
{
    adopt_choose(LEADER, EPOCH, NEW);
    stage_pass(&stage, 80);
    adopt_promote(NEW);
    adopt_expect_adopted(NEW, EPOCH);
}

void adopt_expect_asks(int port)
{
    if (port == 0) {
        cr_expect_null(stage.j.promoting);
    } else {
        cr_assert(stage.j.promoting, "nobody is asked");
        cr_expect_eq(stage.j.promoting->name.port, port);
    }
}
