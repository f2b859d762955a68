/*
 * The two clocks. Ages and deadlines use boot time, which goes on while the machine sleeps
 * (a thawed container must see its gap); what people read uses the wall clock.
 */
#ifndef BELLWETHER_BASE_CLOCK_H
#define BELLWETHER_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

/** Milliseconds of CLOCK_BOOTTIME. Thread: any. */
int64_t clock_boot_ms(void);
/** Microseconds of the same clock: where what came first matters. Thread: any. */
int64_t clock_boot_us(void);
/** Milliseconds since 1970 UTC. Thread: any. */
int64_t clock_wall_ms(void);
/** Writes `2026-11-22T12:00:00.123Z`. @param out CLOCK_TEXT_SIZE bytes. Thread: any. */
void clock_format_utc(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/** The earlier of two times of which -1 is never. Thread: any. */
static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

#endif
