/* The harness of a suite: .init starts it, close_harness() is the .fini. */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_SUITE_HARNESS_H
#define BELLWETHER_TESTS_UNIT_HTTP_SUITE_HARNESS_H

#include "fixture.h"

extern struct harness harness;

void close_harness(void);
/** Until the worker has taken in what makes it answer so. */
void wait_for_status(const char *target, int status);

#endif
