/*
 * Benchmarks: what the parts share.
 *
 * Each part runs in a process of its own, measures, and prints a table with the budget beside each figure. A figure
 * over its budget is a figure: only a part that could not be measured at all makes the run fail.
 */
#ifndef BELLWETHER_BENCH_H
#define BELLWETHER_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_MAX_SAMPLES = 256, BENCH_SERVER_CORE = 0, BENCH_LOAD_CORE = 1 };

struct bench_settings {
    const char *folder; /* where the Makefile put epoll_peer */
    int run_seconds;    /* one run of wrk */
    int rounds;         /* paired runs */
    int times;          /* starts, failovers */
    int idle_seconds;
};

/* The parts, in their files. */
void bench_http(const struct bench_settings *settings);
void bench_start(const struct bench_settings *settings);
void bench_kill(const struct bench_settings *settings);
void bench_stop(const struct bench_settings *settings);
void bench_idle(const struct bench_settings *settings);
/** Memory and tell time with 1,000 and 10,000 callers that wait, through two switches. */
void bench_waiters(const struct bench_settings *settings);

/* Samples and what is told of them. */
struct samples {
    double value[BENCH_MAX_SAMPLES];
    size_t n;
};

void samples_add(struct samples *samples, double value);
double samples_median(const struct samples *samples);
double samples_worst(const struct samples *samples);
/** Nearest rank: the worst where there are fewer than a hundred. */
double samples_p99(const struct samples *samples);

/** One line of a table: what, its median and worst, the budget in words. */
void table_line(const char *what, const struct samples *samples, const char *unit, const char *budget);
void table_head(const char *title);
/** A line on standard error about what goes on. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t monotonic_ns(void);
void nap_us(int us);
/** CPU time that all threads of a process used so far. */
int64_t process_cpu_ns(pid_t pid);
/** A figure of /proc/PID/status in kB, -1 where there is none. */
long process_status_kb(pid_t pid, const char *key);
/** Pin this process, and what it starts from now on, to the n-th processor that it may use; negative: to all. */
void pin_to(int core);
/** How many processors it may use. */
int pin_cores(void);

/*
 * Asks one server the same question over and over on one connection, without ever waiting for it.
 */
enum asker_kind { ASKER_HTTP, ASKER_SENTINEL };

struct asker {
    enum asker_kind kind;
    uint16_t port;
    char question[256];
    int fd;        /* -1: not connected */
    bool waiting;  /* a question was sent, its answer is not whole yet */
    bool answered; /* `bytes` holds a whole answer; cleared by asker_ask() */
    char bytes[16384];
    size_t n;
    int64_t answered_ns;
    int status;       /* of HTTP */
    char address[64]; /* that the answer names; "" for none, or where the status is not 200 */
    unsigned lost;    /* connections */
};

/** @param what the path, or the master's name. */
void asker_init(struct asker *asker, enum asker_kind kind, uint16_t port, const char *what);
/** Ask if no answer is under way; connects where there is no connection. */
void asker_ask(struct asker *asker);
/** Take in what has come to any of them by `until_ns`; returns early when an answer is whole. */
void askers_wait(struct asker *askers, size_t n, int64_t until_ns);
void asker_close(struct asker *asker);

#endif
