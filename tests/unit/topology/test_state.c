/* The state table, cell by cell, and the words. */
#include "bellwether/topology/state.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(topology_state, table_of_moves)
{
    for (int from = 0; from < MASTER_STATES_COUNT; from++) {
        for (int to = 0; to < MASTER_STATES_COUNT; to++) {
            bool expected =
                from == to || (from == MASTER_UNKNOWN ? to == MASTER_OK || to == MASTER_UNVERIFIED
                                                      : to != MASTER_UNKNOWN);

            cr_expect_eq(master_state_may_move((enum master_state)from, (enum master_state)to),
                         expected, "%s -> %s", master_state_text((enum master_state)from),
                         master_state_text((enum master_state)to));
        }
    }
    cr_expect_not(master_state_may_move(MASTER_STATES_COUNT, MASTER_OK));
    cr_expect_not(master_state_may_move(MASTER_OK, MASTER_STATES_COUNT));
}

Test(topology_state, only_ok_and_unverified_serve)
{
    cr_expect(master_state_serves(MASTER_OK));
    cr_expect(master_state_serves(MASTER_UNVERIFIED));
    cr_expect_not(master_state_serves(MASTER_UNKNOWN));
    cr_expect_not(master_state_serves(MASTER_FAILING_OVER));
    cr_expect_not(master_state_serves(MASTER_CONFLICT));
    cr_expect_not(master_state_serves(MASTER_DOWN));
}

Test(topology_state, a_memory_serves_nobody)
{
    cr_expect(master_serves(MASTER_OK, REASON_NONE));
    cr_expect(master_serves(MASTER_UNVERIFIED, REASON_DISPUTED));
    cr_expect_not(master_serves(MASTER_DOWN, REASON_REDIS_TIMEOUT));
    for (int state = 0; state < MASTER_STATES_COUNT; state++) {
        cr_expect_not(master_serves((enum master_state)state, REASON_WATCHER_STALLED));
    }
}

Test(topology_state, texts)
{
    cr_expect_str_eq(master_state_text(MASTER_FAILING_OVER), "failing_over");
    cr_expect_str_eq(master_state_text(MASTER_UNKNOWN), "unknown");
    cr_expect_str_eq(reason_text(REASON_NO_SENTINEL_REACHABLE), "no_sentinel_reachable");
    cr_expect_str_eq(reason_text(REASON_WATCHER_STALLED), "watcher_stalled");
    cr_expect_null(reason_text(REASON_NONE));
    cr_expect_null(reason_text((enum reason)999));
}

Test(topology_state, a_move)
{
    enum master_state state = MASTER_UNKNOWN;

    master_state_move(&state, MASTER_OK);
    cr_expect_eq(state, MASTER_OK);
    master_state_move(&state, MASTER_DOWN);
    cr_expect_eq(state, MASTER_DOWN);
}

Test(topology_state, a_forbidden_move_aborts, .signal = SIGABRT)
{
    enum master_state state = MASTER_OK;

    master_state_move(&state, MASTER_UNKNOWN);
}
