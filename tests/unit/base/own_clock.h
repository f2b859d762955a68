/*
 * The boot-time clock of a test that must not depend on how fast the machine is: it stands still
 * when it is told to. Timers go on as always.
 */
#ifndef BELLWETHER_TESTS_UNIT_BASE_OWN_CLOCK_H
#define BELLWETHER_TESTS_UNIT_BASE_OWN_CLOCK_H

#include <stdint.h>

/** @return where it stands. */
int64_t own_clock_stop(void);
/** It stands `ms` later than it stood. */
void own_clock_forward(int64_t ms);
/** It goes on `ms` later than it stood. */
void own_clock_go(int64_t ms);

#endif
