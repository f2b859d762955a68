/*
 * Callers that go on and on, in threads of the test: writers, each of which counts (INCR of one
 * counter), collects (SADD of ids of its own) and sets (its last number), and readers. Each on a
 * connection that it keeps; what came of every request is noted.
 *
 * Over a forward they speak RESP, and a connection that ends while an answer is due leaves its
 * outcome unknown: they come back on another one at once.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_WRITERS_H
#define BELLWETHER_TESTS_SUPPORT_WRITERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon.h"

struct writers_spec {
    const struct daemon *daemon;
    size_t writers, readers; /* 0: 8 and 4 */
    const char *query;       /* behind /redis, "?retry=always"; NULL: none */
    uint16_t forward;        /* the port of a forward; 0: over HTTP */
    int pace_ms;             /* between two requests of one caller; 0: 2 */
};

/* What came of requests of one kind. */
struct tally {
    size_t acknowledged; /* 200 */
    size_t unknown;      /* 504, outcome unknown; over a forward no answer for a minute */
    size_t not_sent;     /* 503, outcome not_sent; -NOMASTER, -NOTSENT */
    size_t other;        /* any other answer, or nobody listens */
    size_t dropped;      /* connections that ended without one: it may have run, or not */
    int64_t longest_ms;  /* until an answer; over a forward until the next that was one */
};

struct writers;

/** They run until writers_stop(), at the latest until the test ends. */
struct writers *writers_start(const struct writers_spec *spec);
/** Lets each finish its request, and waits for that. */
void writers_stop(struct writers *writers);
/** Writes and reads that were answered with 200 so far. */
size_t writers_acknowledged(struct writers *writers);
size_t writers_read(struct writers *writers);
/**
 * Wait until so many more writes are acknowledged and so many more reads answered by then, at most
 * bound_ms.
 */
void writers_wait(struct writers *writers, size_t more, int64_t bound_ms);

/** Eight and four, some of whose requests are done. */
struct writers *writers_begin(const struct daemon *daemon);
/** The same over a forward. */
struct writers *writers_begin_over(const struct daemon *daemon, uint16_t forward);
/** Wait until some more are done, soon. */
void writers_go_on(struct writers *writers);
/** They go on, and are stopped. */
void writers_end(struct writers *writers);

/* After writers_stop(). */
const struct tally *writers_increments(const struct writers *writers);
const struct tally *writers_adds(const struct writers *writers);
const struct tally *writers_sets(const struct writers *writers);
const struct tally *writers_reads(const struct writers *writers);

/* What is left of it on a server. */
struct remains {
    long long counter;       /* INCR's */
    size_t adds_lost;        /* SADDs acknowledged and not there */
    size_t adds_unaccounted; /* there, and neither acknowledged nor unknown */
    size_t sets_behind;      /* writers whose SET is older than the last acknowledged one */
    size_t sets_ahead;       /* and those whose SET nobody sent */
    size_t counted_again;    /* over a forward: INCRs with a number that their caller had before */
};
struct remains writers_remains(const struct writers *writers, const struct server *server);

/**
 * What holds in any failover: no answer but 200 and 504 `unknown`, every connection kept, reads all
 * answered, and nothing ran twice. Over a forward: each request is acknowledged, or its connection
 * has ended. Prints one line of numbers.
 * @param kept  nothing that was acknowledged may be lost, either.
 */
void writers_check(struct writers *writers, const struct server *server, const char *what,
                   bool kept);

#endif
