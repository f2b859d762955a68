/* The checks of /readyz, evaluated. Pure. */
#ifndef BELLWETHER_HTTP_ROUTES_READY_H
#define BELLWETHER_HTTP_ROUTES_READY_H

#include <stdbool.h>

#include "bellwether/http/query.h"
#include "bellwether/http/worker.h"
#include "bellwether/topology/snapshot.h"

#define READY_WORDS_SIZE 4096 /* they may name several Sentinels, each with its words */

struct ready_result {
    bool ok;
    bool counts;                  /* a failure makes /readyz 503 */
    char words[READY_WORDS_SIZE]; /* why not ok */
};

struct ready_report {
    struct ready_result results[READY_CHECKS_COUNT];
};

/**
 * Evaluate all checks.
 * @param snapshot  borrowed; NULL before the first.
 * @param one       the master that is asked about; NULL: what ready_when says.
 * @param stalled   the watcher is silent, so nothing current is known.
 */
void ready_evaluate(const struct snapshot *snapshot, const struct snapshot_master *one,
                    bool stalled, bool draining, enum ready_when ready_when,
                    struct ready_report *out);
/** Whether every check of the set (bits of enum ready_check) that counts is ok. */
bool ready_passes(const struct ready_report *report, unsigned set);

#endif
