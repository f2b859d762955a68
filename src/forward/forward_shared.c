/* What all workers share: listening sockets, counts, and when refusals were spoken of last. */
#include "forward_shared.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

enum { COMPLAIN_MS = 60000 };

struct forward_shared *forward_shared_open(const struct forward_config *config, char *error,
                                           size_t error_size)
{
    struct forward_shared *shared = mem_new(1, sizeof(*shared));

    shared->config = config;
    shared->listening = mem_new(config->n_listens + 1, sizeof(struct listening *));
    metrics_add_forwards(config->metrics, config->n_listens);
    for (size_t i = 0; i < config->n_listens; i++) {
        shared->listening[i] =
            listening_open(&config->listens[i].place, false, config->n_workers, error, error_size);
        if (!shared->listening[i]) {
            forward_shared_free(shared);
            return NULL;
        }
    }
    return shared;
}

const struct address *forward_shared_address(const struct forward_shared *shared, size_t i)
{
    return listening_address(shared->listening[i]);
}

const struct forward_config *forward_shared_config(const struct forward_shared *shared)
{
    return shared->config;
}

void forward_shared_free(struct forward_shared *shared)
{
    if (!shared) {
        return;
    }
    for (size_t i = 0; i < shared->config->n_listens; i++) {
        listening_free(shared->listening[i]);
    }
    free(shared->listening);
    free(shared);
}

/* Several workers accept at once: none counts on what it read before another one counted. */
bool forward_take_place(struct forward_shared *shared)
{
    size_t open = atomic_load_explicit(&shared->open, memory_order_relaxed);

    while (open < shared->config->max_forwards) {
        if (atomic_compare_exchange_weak_explicit(&shared->open, &open, open + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void forward_give_place(struct forward_shared *shared)
{
    atomic_fetch_sub_explicit(&shared->open, 1, memory_order_relaxed);
}

size_t forward_free_places(const struct forward_shared *shared)
{
    return shared->config->max_forwards - atomic_load_explicit(&shared->open, memory_order_relaxed);
}

void forward_complain(struct forward_shared *shared, enum metric_forward_end why, const char *words)
{
    _Atomic int64_t *next_ms = &shared->complain_ms[why];
    int64_t now_ms = clock_boot_ms();
    int64_t at_ms = atomic_load_explicit(next_ms, memory_order_relaxed);

    if (now_ms >= at_ms && atomic_compare_exchange_strong(next_ms, &at_ms, now_ms + COMPLAIN_MS)) {
        log_warn("clients of forwards are refused", LOG_STR("reason", metric_forward_end_text(why)),
                 LOG_STR("because", words));
    }
}
