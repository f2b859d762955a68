/* The harness of a suite, one a test. */
#include "suite_harness.h"

#include <criterion/criterion.h>
#include <unistd.h>

struct harness harness;

void close_harness(void)
{
    harness_release(&harness);
}

void wait_for_status(const char *target, int status)
{
    int seen = 0;

    for (int i = 0; i < 2500 && seen != status; i++) {
        struct reply reply = get(&harness, target);

        seen = reply.status;
        reply_release(&reply);
        usleep(seen == status ? 0 : 2000);
    }
    cr_assert_eq(seen, status, "%s: %d", target, seen);
}
