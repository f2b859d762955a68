/* A suite's loop, and the bound of a test that would else wait for ever. */
#ifndef BELLWETHER_TESTS_UNIT_BASE_LOOP_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_BASE_LOOP_FIXTURE_H

#include <stdint.h>

#include "bellwether/base/loop.h"

/** The test's own, between the two that are a suite's .init and .fini. */
extern struct loop *loop;

void loop_set_up(void);
void loop_tear_down(void);

/** For a callback: ends the loop's run. */
void loop_end_run(void *data);
/** End it after so long; freed by its caller. */
struct loop_timer *loop_end_run_after(int64_t ms);

#endif
