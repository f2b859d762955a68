/*
 * What the files of part `commands` share: one daemon with its Redis, and runs of wrk and
 * redis-benchmark against them.
 */
#ifndef BELLWETHER_TESTS_BENCH_BENCH_COMMANDS_H
#define BELLWETHER_TESTS_BENCH_BENCH_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "../support/daemon.h"
#include "bench.h"

enum { STAGE_VALUES = 3 };

struct stage {
    const char *certificates; /* that Redis shows; NULL: it speaks plain */
    struct cluster *cluster;
    struct server *node; /* its master, alone */
    struct daemon *daemon;
    const char *url; /* of /redis */
    struct process *webdis;
    uint16_t webdis_port;
    const char *values[STAGE_VALUES]; /* 5 bytes, 1 KB, 100 KB */
};

/* One run of wrk, and what the server's process spent on it. */
struct wrk_run {
    double requests, rate, cpu_us, busy; /* CPU time per request; share of a core in % */
    bool complained;                     /* other answers than 2xx, or connections lost */
};

/** A deployment on the load's core, the daemon on the server's. @param out its certificates set. */
void stage_start(struct stage *out, const char *const *flags);
/** webdis on the server's core, at the same Redis, which speaks plain. */
void stage_webdis(struct stage *stage);
/**
 * One that posts. @param body an expression of Lua, in which `value` is that many bytes. @return
 * its path; the next one of
 *  that name takes its place.
 */
char *wrk_script(const char *name, const char *body, int value_size);
/** @param script NULL: GET. */
struct wrk_run wrk_run(const struct process *server, const char *url, const char *script,
                       int connections, int seconds);
/** @param command NULL-terminated. @return commands per second. */
double redis_benchmark(const struct server *node, int connections, int pipeline, int ops,
                       const char *const *command);

/* bench_commands_more.c */

/**
 * /redis/pipeline of a hundred commands against a hundred single requests, and redis-benchmark -P
 * 100.
 */
void stage_pipelines(const struct stage *stage, const struct bench_settings *settings);
/** GET /master while commands have the worker for themselves, and while the master hangs. */
void stage_beside(const struct stage *stage, const struct bench_settings *settings);
/** Memory after the first thousand and after a million requests, of a daemon of its own. */
void stage_memory(void);

#endif
