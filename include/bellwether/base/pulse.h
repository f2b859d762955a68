/* What a thread tells of itself while it runs, written by it and read by others without a lock. */
#ifndef BELLWETHER_BASE_PULSE_H
#define BELLWETHER_BASE_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

#define PULSE_MAX_AGE_MS 10000 /* a thread whose last turn was longer ago counts as hanging */

struct pulse {
    _Atomic int64_t at_boot_ms; /* the last turn of its loop */
    /* watcher only: all that came to it by then it has heard; 0: it does not say */
    _Atomic int64_t heard_boot_ms;
    /* watcher only: grows when the clock jumped; older snapshots hold no longer */
    _Atomic unsigned generation;
    /* watcher only: grows when a fence goes up, or a promotion begins behind it */
    _Atomic unsigned fences;
};

#endif
