/* How a command of a request ends, or runs again. */
#ifndef BELLWETHER_COMMANDS_REQUEST_OUTCOME_H
#define BELLWETHER_COMMANDS_REQUEST_OUTCOME_H

#include "request_run.h"
#include "settle.h"

/** This is its outcome. The last command that ends, ends the request. */
void command_run_ends(struct request_run *run, size_t i, enum command_outcome outcome);
/** The same with words. @param format begins with the stable word. */
void command_run_fails(struct request_run *run, size_t i, enum command_outcome outcome,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/** It goes out once more, when this turn ends or the rest is over. */
void command_run_again(struct request_run *run, size_t i, enum metric_retry why);
/** Another node is to run it, where neither attempts at the former one nor a rest count. */
void request_run_begin_endpoint(struct request_run *run);
/**
 * It has not run, or perhaps it has, and is not sent any more. @param words begin with NOTSENT or
 * NOMASTER.
 */
void command_run_refuse(struct request_run *run, size_t i, const char *words);
/** Nothing of it goes out for a while. */
void request_run_rest(struct request_run *run);
/** The replica at this address is no good: the request goes on to the next one. */
void request_run_leave_replica(struct request_run *run, const struct address *address);
/** Its commands that wait are not sent, for this reason. */
void request_run_refuse(struct request_run *run, const char *words);
/** The fence holds it no longer. */
void request_run_release_fence(struct request_run *run);
/** It may have run; the mishap is why nobody knows. */
void command_run_say_unknown(struct request_run *run, size_t i, enum mishap mishap);
/**
 * Count an attempt that failed; after some of them it rests, and then it has failed often enough.
 * @param endpoint  that it was sent to; NULL: another one is being promoted in its place.
 * @return whether it may go out once more; else it has ended.
 */
bool command_run_may_go_again(struct request_run *run, size_t i,
                              const struct pool_endpoint *endpoint, enum mishap mishap);
/**
 * Do what settle.h says about the mishap.
 * @param endpoint  that it was sent to; NULL: another one is being promoted in its place.
 * @param result    NULL: there is none.
 * @return true: nothing is done, the result is to be taken for its answer.
 */
bool command_run_settle(struct request_run *run, size_t i, const struct pool_endpoint *endpoint,
                        enum mishap mishap, const struct result *result);

#endif
