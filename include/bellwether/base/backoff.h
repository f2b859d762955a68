/*
 * How long to wait after a failure: twice as long after each, up to a limit, and never all at the
 * same time.
 */
#ifndef BELLWETHER_BASE_BACKOFF_H
#define BELLWETHER_BASE_BACKOFF_H

#include <stdint.h>

/**
 * The wait after so many failures in a row: `first_ms` after one (and after none), doubled with
 * each more, `most_ms` at the most. Pure. Thread: any.
 */
int64_t backoff_ms(unsigned failures, int64_t first_ms, int64_t most_ms);
/**
 * Less a random part of it: of 10 ms and `part` 2 more than 5 are left. Thread: any.
 */
int64_t jittered_ms(int64_t ms, unsigned part);

#endif
