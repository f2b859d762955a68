/* The daemon under test: started with options, asked over HTTP, signalled, its log read. */
#ifndef BELLWETHER_TESTS_SUPPORT_DAEMON_H
#define BELLWETHER_TESTS_SUPPORT_DAEMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster.h"
#include "http.h"
#include "process.h"

struct daemon {
    struct process *process;
    uint16_t port;
    char *base;               /* "http://127.0.0.1:PORT", or "https:" */
    const char *certificates; /* their folder; NULL: it speaks plain */
    char *unix_socket;        /* of daemon_start_unix */
};

struct daemon_spec {
    const struct cluster *cluster; /* its Sentinels become --sentinel; NULL: none */
    const char *const *env;        /* "NAME=value" */
    const char *const *flags;      /* NULL-terminated */
    int error_fd;                  /* a descriptor; 0: its log */
    pid_t netns_of;
    bool unix_socket;   /* listen on a Unix socket only: reaches it in any network namespace */
    bool no_listen;     /* the flags say where */
    bool tls;           /* or TEST_TLS is set: what listens on TCP is asked over TLS */
    const char *binary; /* NULL: daemon_binary() */
};

/** The binary: $BELLWETHER, else build/bellwether. */
const char *daemon_binary(void);
/** Whether it was built with a sanitizer: its memory is no measure then. */
bool daemon_is_sanitized(void);
/** Start it and wait until it accepts connections. */
struct daemon *daemon_launch(const struct daemon_spec *spec);
/** The same with flags as arguments: daemon_start(cluster, "--workers", "2", NULL). */
struct daemon *daemon_start(const struct cluster *cluster, ...) __attribute__((sentinel));
/** The same, asked over TLS whether or not the others are. */
struct daemon *daemon_start_tls(const struct cluster *cluster, ...) __attribute__((sentinel));
/** Flags up to NULL, kept, behind room for as many as `first` of the caller's own. */
const char **daemon_flags(size_t first, va_list arguments);
/** Run it to its end: daemon_run(bound_ms, "--version", NULL). */
struct process_result daemon_run(int64_t bound_ms, ...) __attribute__((sentinel));
struct process_result daemon_run_env(int64_t bound_ms, const char *const *env, ...)
    __attribute__((sentinel));
void daemon_signal(const struct daemon *daemon, int signal_number);
char *daemon_log(const struct daemon *daemon);
/**
 * How often it noticed that it had been held up for more than a second: then it answers 503 until
 * it has asked everybody again.
 */
size_t daemon_pauses(const struct daemon *daemon);
/** How many it has open, as it says itself: only root may look into its /proc. */
long daemon_descriptors(const struct daemon *daemon);

/** Where the machine stood still, so that the daemon says so: what it says when that is over. */
struct http_answer *daemon_get(const struct daemon *daemon, const char *path);
struct http_answer *daemon_get_with(const struct daemon *daemon, const char *path,
                                    const char *header);
/** /master, once it is 200: for a moment it is not where the daemon was held up. */
struct http_answer *daemon_master(const struct daemon *daemon);
struct http_answer *daemon_ask(const struct daemon *daemon, const char *method, const char *path);

/** Whether path answers 200 with this node's address. */
bool says_master_at(const struct daemon *daemon, const char *path, const struct server *node);
bool says_master(const struct daemon *daemon, const struct server *node);
/** Whether /master answers 503 with this state and reason; NULL: any. */
bool says_none(const struct daemon *daemon, const char *state, const char *reason);
/** Whether /master, in any status, gives this reason; NULL: null. */
bool says_reason(const struct daemon *daemon, const char *reason);
long status_of(const struct daemon *daemon, const char *path);
/** The entry of /sentinels whose address this is, as an index; -1: not there. */
int sentinel_row(const struct http_answer *sentinels, const char *address);
/** A member of that entry; "" where it is not there. */
const char *row_string(const struct daemon *daemon, const char *address, const char *member);
/** How many of the Sentinels it reaches. */
size_t reachable_sentinels(const struct daemon *daemon);
/** Whether so many replicas are healthy. */
bool all_healthy(const struct daemon *daemon, size_t n);
/** The first master's fence, as /status has it; one that is not down has a reason and a time. */
const char *fence_of(const struct daemon *daemon);
bool fence_is(const struct daemon *daemon, const char *fence);
/** Looks often: some of what is waited for lasts for some milliseconds. */
void wait_for_fence(const struct daemon *daemon, const char *fence, int64_t bound_ms);
/**
 * Until the daemon has asked the master once more: what it asked for besides, as the run id without
 * which nobody sees a restart, is there by then.
 */
void wait_for_check(const struct daemon *daemon);
/** The daemon lives and answers on /livez and /master with a status it may have. */
void still_serves(const struct daemon *daemon);

/* Wait for an answer; when it doesn't come, the message holds the last one and the daemon's log. */
#define EXPECT_MASTER(daemon, node, bound_ms) \
    expect_master(daemon, node, bound_ms, __FILE__, __LINE__)
#define EXPECT_NONE(daemon, state, reason, bound_ms) \
    expect_none(daemon, state, reason, bound_ms, __FILE__, __LINE__)
#define EXPECT_REASON(daemon, reason, bound_ms) \
    expect_reason(daemon, reason, bound_ms, __FILE__, __LINE__)
void expect_master(const struct daemon *daemon, const struct server *node, int64_t bound_ms,
                   const char *file, int line);
void expect_none(const struct daemon *daemon, const char *state, const char *reason,
                 int64_t bound_ms, const char *file, int line);
void expect_reason(const struct daemon *daemon, const char *reason, int64_t bound_ms,
                   const char *file, int line);

#define EXPECT_PAUSED(daemon, before, what) expect_paused(daemon, before, what, __FILE__, __LINE__)
/** There was one more pause than `before`, which excuses that `what` does not hold. */
void expect_paused(const struct daemon *daemon, size_t before, const char *what, const char *file,
                   int line);

/* The daemon's log is written behind its answers: what is expected of it comes in a moment. */
#define EXPECT_LOGGED(daemon, condition) \
    do { \
        const int64_t logged_end_ = wait_ends_ms(2000); \
        while (!(condition)) { \
            cr_assert(now_ms() < logged_end_, "not in the log: %s\n%s", #condition, \
                      daemon_log(daemon)); \
            nap_ms(15); \
        } \
    } while (0)

#endif
