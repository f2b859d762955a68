/* A real worker that serves `mymaster`, and what its answers are held against. */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_WORKER_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_HTTP_WORKER_FIXTURE_H

#include "suite_harness.h"

void start_worker(void);
/** With three replicas. */
void start_with_master(void);
void expect_status(const char *method, const char *target, const char *more, int status);
void expect_body(const char *target, const char *more, const char *body);
/**
 * A member of a JSON body as text, static: strings bare, the rest as JSON; "" when it is not there.
 */
const char *member(const struct reply *reply, const char *key);
void expect_problem(const struct reply *reply, int status, const char *slug);
void expect_refusal(const char *target, const char *state, const char *reason);

#endif
