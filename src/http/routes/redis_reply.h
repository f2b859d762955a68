/* What came of a request's commands, as an answer; refusals. */
#ifndef BELLWETHER_HTTP_ROUTES_REDIS_REPLY_H
#define BELLWETHER_HTTP_ROUTES_REDIS_REPLY_H

#include "http/server/problem.h"
#include "redis.h"

/** What came of its commands. */
enum MHD_Result command_request_answer(struct command_request *command);
/**
 * Nothing was sent. @param word the stable word that `error` begins with. @param more taken:
 * further members, or NULL.
 */
enum MHD_Result command_request_refuse(struct command_request *command, enum problem_kind kind,
                                       const char *word, const char *detail, json_t *more);
/** The same with 503, where nothing was sent and nothing will be. */
enum MHD_Result command_request_refuse_unsent(struct command_request *command,
                                              enum problem_kind kind, const char *word,
                                              const char *detail);

#endif
