/* Servers that wrk asks in turns, in plain (bench_http.c) and over TLS (bench_tls.c). */
#ifndef BELLWETHER_TESTS_BENCH_BENCH_HTTP_H
#define BELLWETHER_TESTS_BENCH_BENCH_HTTP_H

#include "../support/process.h"
#include "bench.h"

struct peer {
    const char *name, *path;
    uint16_t port;
    struct process *process;
    const char *budget; /* of bellwether's CPU time divided by this one's */
    size_t answer_size;
    struct samples rate, cpu_us, busy, rate_ratio, cpu_ratio;
    bool complained; /* wrk saw errors */
};

/** One answer as it comes over the wire, in plain; the bytes are kept. */
char *whole_answer(uint16_t port, const char *path, size_t *size);
/** @param tls what follows the port in its configuration: "", or " ssl; ...". */
void start_nginx(struct peer *peer, const char *answer, const char *tls);
/** Paired runs, and a row of the table for each; the first peer is bellwether. */
void measure_peers(struct peer *peers, size_t n, const char *scheme, int connections,
                   const struct bench_settings *settings);

#endif
