/*
 * The back-off: doubling, its limit, and how much of it jitter takes.
 */
#include <criterion/criterion.h>
#include <limits.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/loop.h"

Test(base_backoff, it_doubles_up_to_its_limit)
{
    const int64_t expected[] = {50, 50, 100, 200, 400, 500, 500};

    for (unsigned failures = 0; failures < 7; failures++) {
        cr_expect_eq(backoff_ms(failures, 50, 500), expected[failures]);
    }
    cr_expect_eq(backoff_ms(UINT_MAX, 50, 500), 500);
    cr_expect_eq(backoff_ms(1, 50, 20), 20);
}

Test(base_backoff, jitter_takes_less_than_its_part)
{
    int64_t least = 100, most = 0;

    jitter_seed(1);
    for (int i = 0; i < 1000; i++) {
        int64_t ms = jittered_ms(100, 4);

        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    cr_expect_eq(least, 76);
    cr_expect_eq(most, 100);
    cr_expect_eq(jittered_ms(3, 4), 3);
    cr_expect_eq(jittered_ms(0, 4), 0);
}
