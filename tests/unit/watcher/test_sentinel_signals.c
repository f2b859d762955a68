/*
 * The table of what Sentinels' events mean: what has to hold across its columns.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/topology/decide.h"
#include "bellwether/topology/failover_log.h"
#include "bellwether/topology/write_fence.h"
#include "watcher/sentinel_signals.h"

static const enum sentinel_event_kind kinds[] = {SENTINEL_EVENT_OTHER,
#define X(name, channel) SENTINEL_EVENT_##name,
                                                 SENTINEL_EVENTS(X)
#undef X
};

Test(watch_sentinel_signals, every_abort_means_the_same_to_all)
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        const struct sentinel_signal *signal = sentinel_signal(kinds[i]);
        bool aborts = strncmp(sentinel_event_channel(kinds[i]), "-failover-abort-", 16) == 0;

        cr_expect_eq(signal->adopt == PROMOTION_ABORTED, aborts);
        n += aborts;
        if (aborts) {
            cr_expect_eq(signal->fence, FENCE_SAYS_ABORTED);
            cr_expect_eq(signal->course, FAILOVER_IS_OVER);
            cr_expect_neq(signal->log, SIGNAL_NONE);
        }
    }
    cr_expect_geq(n, 3);
}

Test(watch_sentinel_signals, a_failover_is_under_way_from_its_first_word_to_its_last)
{
    size_t over = 0, under_way = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        const struct sentinel_signal *signal = sentinel_signal(kinds[i]);

        if (signal->adopt == PROMOTION_ENDED || signal->adopt == PROMOTION_ABORTED) {
            cr_expect_eq(signal->course, FAILOVER_IS_OVER);
            over++;
        } else if (signal->adopt != SIGNAL_NONE) {
            cr_expect_eq(signal->course, FAILOVER_GOES_ON);
            under_way++;
        }
    }
    cr_expect_gt(over, 0);
    cr_expect_gt(under_way, 0);
}

Test(watch_sentinel_signals, an_event_without_a_row_says_nothing)
{
    const struct sentinel_signal *signal = sentinel_signal(SENTINEL_EVENT_OTHER);

    cr_expect_eq(signal->log, SIGNAL_NONE);
    cr_expect_eq(signal->fence, SIGNAL_NONE);
    cr_expect_eq(signal->adopt, SIGNAL_NONE);
    cr_expect_eq(signal->course, FAILOVER_NO_WORD);
    cr_expect_not(signal->ask_all);
}
