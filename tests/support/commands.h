/* Commands through the daemon: sent, and what became of them. */
#ifndef BELLWETHER_TESTS_SUPPORT_COMMANDS_H
#define BELLWETHER_TESTS_SUPPORT_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon.h"

/** POST to a route of commands; in `body` a ' stands for a ". */
struct http_answer *command_post(const struct daemon *daemon, const char *path, const char *body);
/** The same with a header: "Name: value". */
struct http_answer *command_post_with(const struct daemon *daemon, const char *path,
                                      const char *body, const char *header);
/** The same, byte for byte. */
struct http_answer *command_post_bytes(const struct daemon *daemon, const char *path,
                                       const char *body, size_t size);
/** One command to /redis: command_run(daemon, "SET", "k", "v", NULL). */
struct http_answer *command_run(const struct daemon *daemon, ...) __attribute__((sentinel));
/** "'" → "\"". Kept. */
char *quoted(const char *words);

/* A request whose answer is waited for later. */
struct sent {
    struct raw *raw;
    const char *method, *path;
};
/** Send it on a connection of its own. */
struct sent *command_send(const struct daemon *daemon, const char *path, const char *body);
/** Its answer; status 0 when none came within the bound. Recorded. */
struct http_answer *command_answer(const struct sent *sent, int64_t bound_ms);

/** `result` as compact JSON, "" where there is none. */
const char *command_result(const struct http_answer *answer);

/* The answer is 200 with this result, as JSON with ' for ". */
#define EXPECT_RESULT(answer, wanted) expect_result(answer, wanted, __FILE__, __LINE__)
/*
 * The answer has this status, `error` begins with `word`, and `outcome` is this one; NULL: there is
 * none.
 */
#define EXPECT_ERROR(answer, status, word, outcome) \
    expect_error(answer, status, word, outcome, __FILE__, __LINE__)
/* The whole body is this JSON, ' for ". */
#define EXPECT_BODY(answer, status, wanted) expect_body(answer, status, wanted, __FILE__, __LINE__)
void expect_result(const struct http_answer *answer, const char *wanted, const char *file,
                   int line);
void expect_error(const struct http_answer *answer, long status, const char *word,
                  const char *outcome, const char *file, int line);
void expect_body(const struct http_answer *answer, long status, const char *wanted,
                 const char *file, int line);

/** Until what is written to node 0, the master, gets to its replicas. */
void wait_for_replication(struct cluster *cluster);
/**
 * A daemon that runs commands for all on this host; node 0 is the master, and its replicas
 * replicate. More flags as arguments.
 */
struct daemon *commands_start(struct cluster *cluster, ...) __attribute__((sentinel));
/** The same with all its flags. @param flags NULL-terminated. */
struct daemon *commands_launch(struct cluster *cluster, const char *const *flags);
/**
 * A number of /metrics: the value of the line that begins with `name` (labels included); -1: no
 * such line.
 */
double metric_of(const struct daemon *daemon, const char *name);
/** The same, of what was fetched before. */
double metric_in(const struct http_answer *metrics, const char *name);
bool metric_is(const struct daemon *daemon, const char *name, double wanted);
/** A number of /proc/PID/status of the daemon, kB: "RssAnon:", "VmHWM:". */
long daemon_memory_kb(const struct daemon *daemon, const char *what);

#endif
