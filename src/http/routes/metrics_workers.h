/* A scrape of /metrics, and its families of what the workers count. */
#ifndef BELLWETHER_HTTP_ROUTES_METRICS_WORKERS_H
#define BELLWETHER_HTTP_ROUTES_METRICS_WORKERS_H

#include "bellwether/metrics/counters.h"
#include "bellwether/metrics/exposition.h"
#include "ready.h"

/* What a scrape looks at. */
struct scrape {
    struct exposition out;
    struct metrics *metrics;
    struct metrics_listed listed;
    const struct snapshot *snapshot; /* NULL: none yet */
    bool stalled;                    /* nothing that it says would be answered */
    bool draining;
    enum ready_when ready_when;
    bool runs_commands, has_tls;
};

/** A family without labels. */
static inline void scrape_add_number(struct scrape *scrape, enum metric metric, int64_t value)
{
    exposition_family(&scrape->out, metric);
    exposition_integer(&scrape->out, value, NULL);
}

/** What all workers have counted, by family. */
void scrape_add_workers(struct scrape *scrape);

#endif
