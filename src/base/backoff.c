/* Exponential back-off, and its jitter. */
#include "bellwether/base/backoff.h"

#include "bellwether/base/loop.h"

int64_t backoff_ms(unsigned failures, int64_t first_ms, int64_t most_ms)
{
    int64_t ms = first_ms;

    for (unsigned i = 1; i < failures && ms < most_ms; i++) {
        ms *= 2;
    }
    return ms < most_ms ? ms : most_ms;
}

int64_t jittered_ms(int64_t ms, unsigned part)
{
    return ms - (int64_t)jitter_below((uint32_t)(ms / part));
}
