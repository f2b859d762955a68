/*
 * Random numbers for jitter, a state for each thread.
 */
#include <sys/random.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/loop.h"

static _Thread_local uint64_t jitter_state;

void jitter_seed(uint64_t seed)
{
    jitter_state = seed;
}

uint32_t jitter_below(uint32_t bound)
{
    if (jitter_state == 0 && getrandom(&jitter_state, sizeof(jitter_state), GRND_NONBLOCK) !=
                                 (ssize_t)sizeof(jitter_state)) {
        jitter_state = (uint64_t)clock_wall_ms() ^ (uint64_t)(uintptr_t)&jitter_state;
    }
    /* SplitMix64's step and mixer */
    jitter_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = jitter_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return bound == 0 ? 0 : (uint32_t)(((z >> 32) * bound) >> 32);
}
