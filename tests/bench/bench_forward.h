/* HAProxy, for both parts that measure forwards. */
#ifndef BELLWETHER_TESTS_BENCH_BENCH_FORWARD_H
#define BELLWETHER_TESTS_BENCH_BENCH_FORWARD_H

#include "../support/process.h"

/** @param name of its files. @param config whole. */
struct process *haproxy_start(const char *name, const char *config);

#endif
