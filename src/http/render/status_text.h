/* /status as text. */
#ifndef BELLWETHER_HTTP_RENDER_STATUS_TEXT_H
#define BELLWETHER_HTTP_RENDER_STATUS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "bellwether/commands/pool.h"
#include "bellwether/forward/forward.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/topology/failover_log.h"
#include "bellwether/topology/report.h"
#include "bellwether/topology/snapshot.h"

#define STATUS_PLACE_SIZE (ADDRESS_TEXT_SIZE > 128 ? ADDRESS_TEXT_SIZE : 128)

/* A forward, and what all workers count of it. */
struct status_forward {
    const struct forward_listen *listen;
    const struct address *address; /* the port is the real one; unset for a Unix socket */
    const char *master;            /* its name; NULL: none is known */
    bool lacks;                    /* no Sentinel knows one of that name */
    struct metrics_forward_totals counts;
};

/* What is shown; all borrowed. */
struct status_view {
    const struct status_report *report;
    const struct snapshot *snapshot; /* NULL before the first */
    const char *instance;
    int64_t uptime_ms, started_wall_ms;
    int64_t silent_ms; /* since the watcher's last sign of life */
    bool stalled;      /* the watcher did not answer */
    bool draining;
    const struct pool *pool; /* of the worker that is asked; NULL: commands are off */
    const struct status_forward *forwards;
    size_t n_forwards;
};

/** One line for the whole: "ok: mymaster is 10.0.0.12:6379, ...". free() it. Thread: any. */
char *status_verdict(const struct status_view *view);
/**
 * For a terminal: the verdict, then a line for each Sentinel and replica, `!` where something is
 * wrong. free() it.
 */
char *status_text(const struct status_view *view);
/** Where a forward listens: "127.0.0.1:6379", "unix:/run/redis.sock". @return `out`. */
const char *status_say_place(const struct status_forward *forward, char out[STATUS_PLACE_SIZE]);
/** The failover of this master that is under way; NULL: none. Borrowed. */
const struct failover *status_failover(const struct snapshot *snapshot, const char *master);

#endif
