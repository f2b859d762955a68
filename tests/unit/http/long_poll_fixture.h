/* Callers that wait for a change of `mymaster`, and the changes. */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_LONG_POLL_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_HTTP_LONG_POLL_FIXTURE_H

#include "suite_harness.h"

void start_waiting(void);
void end_waiting(void);

/* ---- snapshots ---- */

struct snapshot_master *master_at(const char *address, uint64_t index);
struct snapshot_master *master_down(uint64_t index);
void post_master(struct snapshot_master *master);

/* ---- callers ---- */

/** A request that is under way. */
int begin_with(const char *method, const char *target, const char *more);
int begin_get(const char *target);
/** No answer for a while. */
bool is_silent(int fd, int ms);
/** The answer to a request that was begun; the connection is closed. */
struct reply finish(int fd);
void expect_line(int fd, int status, const char *body);
void expect_now(const char *target, int status, const char *part);

#endif
