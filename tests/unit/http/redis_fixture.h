/* /redis and its kin: a real worker with a real pool, before a Redis server of few words. */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_REDIS_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_HTTP_REDIS_FIXTURE_H

#include "bellwether/base/secret.h"
#include "bellwether/commands/command_table.h"
#include "bellwether/commands/pool.h"
#include "fake_redis.h"
#include "suite_harness.h"

extern struct fake_redis *fake;
extern struct pool_config pool;
/* Owned, where a test sets them. */
extern struct secret *tokens, *read_only_tokens;

struct secret *make_secret(const char *value);
/** All but the worker, which begins with what a test has set. */
void prepare_commands(void);
void begin_commands(void);
void start_commands(void);
void stop_commands(void);
/** The fake as the master, and as its only replica. */
struct snapshot_master *make_deployment(const char *name);

/* ---- asking ---- */

/**
 * @param more header lines, each with \r\n, or NULL. @param body NULL: none, and no Content-Length.
 */
void send_request(int fd, const char *method, const char *target, const char *more,
                  const char *body);
struct reply request(const char *method, const char *target, const char *more, const char *body);
/** Releases the reply. */
void expect_json(struct reply reply, int status, const char *body);
/**
 * An error in both forms: `error` begins with `words`, the problem's type ends with `slug`.
 * Releases the reply. @return its `outcome`, static.
 */
const char *expect_error(struct reply reply, int status, const char *slug, const char *words);
void expect_post(const char *target, const char *body, const char *answer);
const char *expect_post_error(const char *target, const char *body, int status, const char *slug,
                              const char *words);
/** Until so many commands hang in the fake. */
void wait_hanging(size_t n);
/** Until /metrics has this line. */
void wait_for_figure(const char *line);

#endif
