/*
 * The watcher's sign of life: over a second without one is a gap, wherever in a turn it was, and
 * much work that goes on is none.
 */
#include <criterion/criterion.h>

#include "../base/own_clock.h"
#include "bellwether/base/clock.h"
#include "watcher/turn.h"

static struct pulse pulse;
static const struct snapshot snapshot = {.pulse = &pulse};
static int64_t heard_ms;
static int n_heard;

static void hear_gap(struct watcher *watcher, int64_t gap_ms)
{
    (void)watcher;
    n_heard++;
    heard_ms = gap_ms;
}

/* With the clock standing still. */
static struct watcher begun(void)
{
    return (struct watcher){.pulse = &pulse, .hear_gap = hear_gap, .seen_ms = own_clock_stop()};
}

static void expect_signs_of_life_until(int64_t ms)
{
    cr_expect_eq(atomic_load(&pulse.at_boot_ms), ms);
    cr_expect_not(snapshot_is_stalled(&snapshot, ms + WATCHER_SILENT_MS));
    cr_expect(snapshot_is_stalled(&snapshot, ms + WATCHER_SILENT_MS + 1));
}

Test(turn, over_a_second_before_one_is_a_gap)
{
    struct watcher watcher = begun();

    own_clock_forward(WATCHER_SILENT_MS);
    cr_expect_not(turn_begin(&watcher));
    expect_signs_of_life_until(clock_boot_ms());
    own_clock_forward(WATCHER_SILENT_MS + 1);
    cr_expect(turn_begin(&watcher));
    cr_expect_eq(n_heard, 1);
    cr_expect_eq(heard_ms, WATCHER_SILENT_MS + 1);
    expect_signs_of_life_until(clock_boot_ms());
    cr_expect_not(turn_begin(&watcher));
}

Test(turn, a_pause_in_the_middle_of_one_is_a_gap_to_the_next)
{
    struct watcher watcher = begun();

    cr_expect_not(turn_begin(&watcher));
    const int64_t before_ms = clock_boot_ms();
    own_clock_forward(WATCHER_SILENT_MS + 1);
    cr_expect_not(turn_goes_on(&watcher));
    own_clock_forward(1);
    cr_expect_not(turn_goes_on(&watcher));
    expect_signs_of_life_until(before_ms);
    cr_expect_eq(n_heard, 0);
    cr_expect(turn_begin(&watcher));
    cr_expect_eq(n_heard, 1);
    cr_expect_eq(heard_ms, WATCHER_SILENT_MS + 2);
}

Test(turn, much_work_is_no_gap)
{
    struct watcher watcher = begun();

    cr_expect_not(turn_begin(&watcher));
    for (int i = 0; i < 10; i++) {
        own_clock_forward(WATCHER_SILENT_MS / 2);
        cr_expect(turn_goes_on(&watcher));
        expect_signs_of_life_until(clock_boot_ms());
    }
    cr_expect_not(turn_begin(&watcher));
    cr_expect_eq(n_heard, 0);
}
