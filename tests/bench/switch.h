/*
 * What the files of part `switch` share: the witness, who sees a failover from outside, and the
 * writers, programs that write through a client of their own while it goes on.
 */
#ifndef BELLWETHER_TESTS_BENCH_SWITCH_H
#define BELLWETHER_TESTS_BENCH_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../support/daemon.h"
#include "bench.h"

enum { SWITCH_DAEMONS = 2, SWITCH_WRITERS_MAX = 8 };

/* Ways to be told by a daemon. */
enum way { WAY_POLL, WAY_STREAM, WAY_GET, N_WAYS };

/* A failover as the witness saw it: CLOCK_MONOTONIC ns, 0: not seen. */
struct sight {
    const struct server *old,
        *fresh;        /* fresh: whoever said master first beside the old one; NULL: nobody yet */
    int64_t promoted;  /* ROLE: the fresh node said master */
    int64_t announced; /* the first Sentinel named it */
    int64_t told[SWITCH_DAEMONS][N_WAYS]; /* each daemon named it, each way */
    /* of them and the Sentinels, who named another node first */
    size_t astray;
};

struct witness;

/**
 * Connect to the cluster and both daemons, and wait until each has answered. Kept until the part
 * ends.
 */
struct witness *witness_open(const struct cluster *cluster,
                             struct daemon *const daemons[SWITCH_DAEMONS],
                             const struct server *master);
/** Look for a millisecond. @return whether all there is to see has been seen. */
bool witness_look(struct witness *witness);
const struct sight *witness_sight(const struct witness *witness);
void witness_close(struct witness *witness);

/*
 * A writer is a program that adds 1, 2, 3, … to the set that it is given, one after another with a
 * short pause, until it is killed. After each it writes a line
 *
 *     ok|error|unknown NUMBER BEGAN ENDED
 *
 * with CLOCK_MONOTONIC ns: acknowledged; failed; failed, and the client said that it may have been
 * done all the same. Its arguments are those of the plan, then the set, then ports. With --version
 * in their place it prints its client's version, or fails where that client is not installed.
 */
struct writer_plan {
    /* of the table; of several for one column, the first that is there is used */
    const char *column;
    /* what is set other than by the client's own defaults, in words; "": nothing */
    const char *options;
    /* NULL-terminated; ["python3", "tests/bench/peer_redispy.py", "mymaster"] */
    const char *const *argv;
    enum { TO_SENTINELS, TO_DAEMON_ANNOUNCED, TO_DAEMON_PROMOTED, TO_PORT } ports;
    uint16_t port;      /* of TO_PORT */
    bool tells_unknown; /* the client knows `error` and `unknown` apart */
    bool keeps_all;     /* that none is lost in a planned failover is its budget */
};

struct writer {
    const struct writer_plan *plan;
    struct process *process;
    char *set;
    FILE *out; /* what it says, as far as `writes` */
    struct write *writes;
    size_t n, room, acknowledged;
};

/* What became of a writer in a failover. */
struct written {
    /*
     * end of the first acknowledged write, begun after the promotion, that is on the new master; 0:
     * there was none
     */
    int64_t first_kept;
    double silence_ms;      /* longest time between two acknowledged writes */
    double longest_ms;      /* longest time that one acknowledged write took */
    size_t acknowledged;    /* all of them, the failover's before and after */
    size_t failed, unknown; /* of unknown outcome, beside failed */
    size_t failed_and_done; /* failed or unknown, and on the new master */
    size_t lost;            /* acknowledged, and not on the new master */
};

/** "4.3.4"; NULL when the client is not there. Kept. */
const char *writer_version(const struct writer_plan *plan);
/** Start it and wait until it writes. */
struct writer *writer_start(const struct writer_plan *plan, const char *set, const uint16_t *ports,
                            size_t n_ports);
/** Whether its last acknowledged write was begun after `since` and is on `master`. */
bool writer_arrived(struct writer *writer, const struct server *master, int64_t since);
/** Stop it, and compare what it was told with what `master` has. */
struct written writer_finish(struct writer *writer, const struct server *master, int64_t struck,
                             int64_t promoted);

/* ---- bench_switch.c ---- */

/** Three nodes and three Sentinels, with Sentinel's own periods. */
struct cluster *switch_cluster(void);
/** Failovers of each kind, and their tables. @param daemons --adopt announced, promoted. */
void switch_measure(struct cluster *cluster, struct daemon *const daemons[SWITCH_DAEMONS],
                    const struct writer_plan *writers, size_t n,
                    const struct bench_settings *settings);

#endif
