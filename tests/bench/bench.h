/*
 * Benchmarks: what the parts share.
 *
 * Each part runs in a process of its own, measures, and prints a table with the budget beside each
 * figure. A figure over its budget is a figure: only a part that could not be measured at all makes
 * the run fail.
 */
#ifndef BELLWETHER_TESTS_BENCH_BENCH_H
#define BELLWETHER_TESTS_BENCH_BENCH_H

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
    int switches; /* of each kind in `switch`, which takes long */
    int masters;  /* of the part of that name */
};

/* The parts, in their files. */
void bench_http(const struct bench_settings *settings);
/** The same over TLS, against nginx; handshakes; memory. */
void bench_tls(const struct bench_settings *settings);
void bench_start(const struct bench_settings *settings);
void bench_kill(const struct bench_settings *settings);
/** The same over TLS. @param certificates a folder of certificates.h. */
void bench_kill_tls(const struct bench_settings *settings, const char *certificates);
void bench_tls_kill(const struct bench_settings *settings);
void bench_tls_commands(const struct bench_settings *settings);
void bench_stop(const struct bench_settings *settings);
void bench_idle(const struct bench_settings *settings);
/** Memory and tell time with 1,000 and 10,000 callers that wait, through two switches. */
void bench_waiters(const struct bench_settings *settings);
/**
 * Failovers of three kinds: when each way to ask the daemon tells of it, and when clients of others
 * write again.
 */
void bench_switch(const struct bench_settings *settings);
/** A deployment with very many masters. */
void bench_masters(const struct bench_settings *settings);
/**
 * Commands over HTTP against webdis and redis-benchmark; pipelines; what else goes on meanwhile;
 * memory.
 */
void bench_commands(const struct bench_settings *settings);
/** Plain clients through --forward, HAProxy and nginx: rates, CPU time, memory. */
void bench_forward(const struct bench_settings *settings);
/** Failovers seen by plain clients through --forward and through HAProxy that checks roles. */
void bench_forward_failover(const struct bench_settings *settings);

struct cluster;
struct crowd;
struct server;

/** Switch from this master and wait until all of the crowd are told. @return the new one. */
struct server *switch_all(struct cluster *cluster, struct crowd *crowd, struct server *master);

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
void table_line(const char *what, const struct samples *samples, const char *unit,
                const char *budget);
void table_head(const char *title);

/*
 * What rounds say of a budget. A machine has its moods: rounds that fall on both sides of it say
 * something only where a coin would fall so one-sidedly once in twenty times at most.
 */
#define VERDICT_WORDS \
    "met, MISSED: more rounds are on that side than chance would have there once in twenty times, so never with\n" \
    "fewer than five; even: neither"

/** @param budget "<= 1.25" or ">= 1"; others have no verdict. @return it and its verdict; kept. */
const char *verdict(const struct samples *rounds, const char *budget);
/** A line with the rounds' median, lowest and highest, the budget and the verdict. */
void verdict_line(const char *what, const struct samples *rounds, const char *budget);
/** A line on standard error about what goes on. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t monotonic_ns(void);
void nap_us(int us);
/** CPU time that all threads of a process used so far. */
int64_t process_cpu_ns(pid_t pid);
/** The same parted by where it was spent, in ticks of ten milliseconds. */
void process_ticks(pid_t pid, long *user, long *kernel);
/**
 * Pin this process, and what it starts from now on, to the n-th processor that it may use;
 * negative: to all.
 */
void pin_to(int core);
/** The same for the main thread of another one. */
void pin_process(pid_t pid, int core);
/** How many processors it may use. */
int pin_cores(void);

/*
 * Asks one server the same question over and over on one connection, without ever waiting for it.
 * Or, ASKER_STREAM and ASKER_SUBSCRIBER, asks once and is told again and again.
 */
enum asker_kind {
    ASKER_HTTP,
    ASKER_SENTINEL,
    ASKER_ROLE,   /* a Redis node's role */
    ASKER_STREAM, /* /events: `address` is that of the last `master` event in state ok */
    /* a Sentinel's +promoted-slave and +switch-master: `address` is the new one of the last */
    ASKER_SUBSCRIBER
};

enum { ASKERS_MAX = 24 };

struct asker {
    enum asker_kind kind;
    uint16_t port;
    char question[256];
    char name[64]; /* of ASKER_SUBSCRIBER: the master's */
    int fd;        /* -1: not connected */
    /* a question was sent, its answer is not whole yet; one that is told waits for ever */
    bool waiting;
    bool answered; /* `bytes` holds a whole answer, or `address` is news; cleared by asker_ask() */
    char bytes[16384];
    size_t n;
    int64_t answered_ns;
    int status;       /* of HTTP */
    bool is_master;   /* of ASKER_ROLE */
    char index[24];   /* of HTTP: X-Bellwether-Index, "" for none */
    char address[64]; /* that the answer names; "" for none, or where the status is not 200 */
    unsigned lost;    /* connections */
};

/** @param what the path, or the master's name; nothing to ASKER_ROLE. */
void asker_init(struct asker *asker, enum asker_kind kind, uint16_t port, const char *what);
/** Ask for another path from now on. */
void asker_turn_to(struct asker *asker, const char *path);
/** Ask if no answer is under way; connects where there is no connection. */
void asker_ask(struct asker *asker);
/**
 * Take in what has come to any of them (ASKERS_MAX at most) by `until_ns`; returns early when
 * something has.
 */
void askers_wait(struct asker *askers, size_t n, int64_t until_ns);
void asker_close(struct asker *asker);

#endif
