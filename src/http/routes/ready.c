/*
 * The checks of /readyz. `resolved` and `shutdown` always count; `master` does when ready-when says
 * so. Which masters a check looks at: the one that is asked for, else with ready-when any or all
 * every one, else the default; with several masters and no default every one must pass.
 */
#include "ready.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READY_LEAD_SIZE 320

static void pass(struct ready_result *result)
{
    result->ok = true;
}

/* With each Sentinel's cause. */
static void fail_for_sentinels(struct ready_result *result, const char *words,
                               const struct snapshot_sentinel *sentinels, size_t n)
{
    char *causes = snapshot_say_causes(words, sentinels, n);

    result->ok = false;
    snprintf(result->words, sizeof(result->words), "%s", causes);
    free(causes);
}

static void fail(struct ready_result *result, const char *words)
{
    result->ok = false;
    snprintf(result->words, sizeof(result->words), "%s", words);
}

/* ---- of one master ---- */

typedef bool predicate(const struct snapshot_master *master, struct ready_result *result);

static bool has_served_address(const struct snapshot_master *master, struct ready_result *result)
{
    const char *reason = reason_text(master->reason);

    if (snapshot_master_serves(master)) {
        return true;
    }
    snprintf(result->words, sizeof(result->words), "%.200s is %s%s%s", master->name,
             master_state_text(master->state), reason ? ", " : "", reason ? reason : "");
    if (master->state == MASTER_UNKNOWN) { /* what else could be to blame */
        char lead[READY_LEAD_SIZE];

        snprintf(lead, sizeof(lead), "%.*s", READY_LEAD_SIZE - 1, result->words);
        fail_for_sentinels(result, lead, master->sentinels, master->n_sentinels);
    }
    return false;
}

/*
 * Enough Sentinels answer to agree that the master is down and to elect a leader; where they were
 * asked themselves (CKQUORUM), one that says yes is enough.
 */
static bool has_quorum(const struct snapshot_master *master, struct ready_result *result)
{
    size_t needed = master->voters_needed, yes = 0, no = 0;

    if (master->quorum > 0 && (size_t)master->quorum > needed) {
        needed = (size_t)master->quorum;
    }
    for (size_t i = 0; i < master->n_sentinels; i++) {
        if (master->sentinels[i].reachable && master->sentinels[i].has_ckquorum) {
            yes += master->sentinels[i].ckquorum_ok;
            no += !master->sentinels[i].ckquorum_ok;
        }
    }
    if (needed > 0 && master->reachable >= needed && (yes > 0 || no == 0)) {
        return true;
    }
    snprintf(
        result->words, sizeof(result->words),
        "%.200s: %zu of %zu Sentinels are reachable, %zu are needed; CKQUORUM: %zu say yes, %zu no",
        master->name, master->reachable, master->known, needed, yes, no);
    return false;
}

/* ---- of those that matter ---- */

struct question {
    const struct snapshot *snapshot;
    const struct snapshot_master *one;
    enum ready_when ready_when;
};

static void ask(const struct question *question, predicate *holds, struct ready_result *result)
{
    const struct snapshot *snapshot = question->snapshot;
    const struct snapshot_master *one = question->one;
    bool any = question->ready_when == READY_WHEN_ANY, all = question->ready_when == READY_WHEN_ALL;
    size_t held = 0;

    if (!one && !any && !all) {
        one = snapshot_default(snapshot);
        all = !one && snapshot->ambiguous_default && question->ready_when == READY_WHEN_RESOLVED;
    }
    if (one) {
        result->ok = holds(one, result);
        return;
    }
    if (!any && !all) {
        if (snapshot->ambiguous_default) {
            fail(result, "there are several masters and no default");
        } else {
            fail_for_sentinels(result, "no master is known", snapshot->sentinels,
                               snapshot->n_sentinels);
        }
        return;
    }
    fail_for_sentinels(result, "no master is known", snapshot->sentinels, snapshot->n_sentinels);
    for (size_t i = 0; i < snapshot->n_masters; i++) {
        held += holds(snapshot->masters[i], result);
    }
    result->ok = any ? held > 0 : held > 0 && held == snapshot->n_masters;
}

static void check_resolved(const struct question *question, struct ready_result *result)
{
    result->ok = question->one ? question->one->has_address : question->snapshot->all_resolved;
    if (!result->ok) {
        const struct snapshot_master *missing = question->one;

        for (size_t i = 0; i < question->snapshot->n_masters && !missing; i++) {
            missing =
                question->snapshot->masters[i]->has_address ? NULL : question->snapshot->masters[i];
        }
        fail_for_sentinels(result,
                           question->one ? "this master's address was not found since the start"
                                         : "not every master's address was found since the start",
                           missing ? missing->sentinels : question->snapshot->sentinels,
                           missing ? missing->n_sentinels : question->snapshot->n_sentinels);
    }
}

static void check_sentinel(const struct question *question, struct ready_result *result)
{
    result->ok =
        question->one ? question->one->reachable > 0 : question->snapshot->any_sentinel_reachable;
    if (!result->ok) {
        const struct snapshot_master *one = question->one;

        fail_for_sentinels(result, "no Sentinel is reachable",
                           one ? one->sentinels : question->snapshot->sentinels,
                           one ? one->n_sentinels : question->snapshot->n_sentinels);
    }
}

void ready_evaluate(const struct snapshot *snapshot, const struct snapshot_master *one,
                    bool stalled, bool draining, enum ready_when ready_when,
                    struct ready_report *out)
{
    struct question question = {snapshot, one, ready_when};
    struct ready_result *results = out->results;

    memset(out, 0, sizeof(*out));
    results[READY_RESOLVED].counts = results[READY_SHUTDOWN].counts = true;
    results[READY_MASTER].counts = ready_when != READY_WHEN_RESOLVED;
    if (draining) {
        fail(&results[READY_SHUTDOWN], "the daemon is shutting down");
    } else {
        pass(&results[READY_SHUTDOWN]);
    }
    if (!snapshot) {
        fail(&results[READY_RESOLVED], "the daemon has just started");
    } else {
        check_resolved(&question, &results[READY_RESOLVED]);
    }
    if (!snapshot || stalled) {
        const char *words =
            snapshot ? "the thread that watches is silent" : "the daemon has just started";

        fail(&results[READY_MASTER], words);
        fail(&results[READY_SENTINEL], words);
        fail(&results[READY_QUORUM], words);
        return;
    }
    ask(&question, has_served_address, &results[READY_MASTER]);
    check_sentinel(&question, &results[READY_SENTINEL]);
    ask(&question, has_quorum, &results[READY_QUORUM]);
}

bool ready_passes(const struct ready_report *report, unsigned set)
{
    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        if ((set & (1U << i)) && report->results[i].counts && !report->results[i].ok) {
            return false;
        }
    }
    return true;
}
