/* What the forwards of all workers share. */
#ifndef BELLWETHER_FORWARD_FORWARD_SHARED_H
#define BELLWETHER_FORWARD_FORWARD_SHARED_H

#include <stdatomic.h>

#include "bellwether/base/listening.h"
#include "bellwether/forward/forward.h"

struct forward_shared {
    const struct forward_config *config;
    struct listening **listening;
    _Atomic size_t open;                                   /* links that have a place */
    _Atomic int64_t complain_ms[METRIC_FORWARD_END_COUNT]; /* boot clock: not before */
};

/**
 * One of max-forwards places, which is given back later. @return whether there was one. Thread:
 * any.
 */
bool forward_take_place(struct forward_shared *shared);
void forward_give_place(struct forward_shared *shared);
size_t forward_free_places(const struct forward_shared *shared);
/** That clients are refused: once a minute for each reason. Thread: any. */
void forward_complain(struct forward_shared *shared, enum metric_forward_end why,
                      const char *words);

#endif
