/* What the files of part `tls` share. */
#ifndef BELLWETHER_TESTS_BENCH_BENCH_TLS_H
#define BELLWETHER_TESTS_BENCH_BENCH_TLS_H

#include "bench.h"

/* bench_tls_more.c; certificates: a folder of certificates.h */

/** POST /redis with TLS to Redis against the same in plain, and webdis in plain. */
void tls_commands(const char *certificates, const struct bench_settings *settings);
/** Memory with TLS to all and for all callers, idle and with a thousand event streams. */
void tls_everywhere(const char *certificates, const struct bench_settings *settings);

#endif
