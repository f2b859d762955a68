/* The boot-time clock for ages, the wall clock for people. */
#include "bellwether/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t which)
{
    struct timespec now = {0};

    (void)clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_boot_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

void clock_format_utc(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    /* floor, so that times before 1970 keep a positive millisecond part */
    int64_t ms = ((wall_ms % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    char date[24];

    /* years of more than four digits don't fit and mean nothing here */
    if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "invalid-time");
        return;
    }
    (void)snprintf(out, CLOCK_TEXT_SIZE, "%s.%03dZ", date, (int)ms);
}
