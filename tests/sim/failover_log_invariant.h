/*
 * What holds of a failover log whatever it was told. Header-only, because the fuzz target uses it,
 * too.
 */
#ifndef BELLWETHER_TESTS_SIM_FAILOVER_LOG_INVARIANT_H
#define BELLWETHER_TESTS_SIM_FAILOVER_LOG_INVARIANT_H

#include <stdio.h>
#include <string.h>

#include "bellwether/topology/failover_log.h"

struct failover_log_invariant {
    size_t capacity;
    uint64_t revision; /* at the last look */
    uint64_t taken;    /* a bit for each of the first ids that was taken as ended */
    unsigned long n_taken, n_switched,
        n_abandoned;   /* of those: switched; aborted after they had been published */
    uint64_t resolved; /* the same of those that were resolved after their end */
    unsigned long n_resolved;
    char broken[160];
};

static bool failover_log_broken(struct failover_log_invariant *invariant,
                                const struct failover *entry, const char *what)
{
    snprintf(invariant->broken, sizeof(invariant->broken), "entry %llu: %s",
             entry ? (unsigned long long)entry->id : 0, what);
    return false;
}

static bool failover_holds(struct failover_log_invariant *invariant, const struct failover *entry)
{
    bool failed = entry->outcome == FAILOVER_ABORTED || entry->outcome == FAILOVER_NOT_STARTED ||
                  entry->outcome == FAILOVER_RECOVERED;
    bool open = entry->outcome == FAILOVER_RUNNING || entry->outcome == FAILOVER_UNATTENDED;
    unsigned seen = 0;

    for (size_t i = 0; i < entry->n_phases; i++) {
        if (seen & (1U << entry->phases[i].phase)) {
            return failover_log_broken(invariant, entry, "a phase twice");
        }
        seen |= 1U << entry->phases[i].phase;
        if (entry->phases[i].ms < (i > 0 ? entry->phases[i - 1].ms : 0) ||
            (i == 0 && entry->phases[i].ms != 0)) {
            return failover_log_broken(invariant, entry, "phases out of order");
        }
    }
    if (entry->reason && !failed && entry->outcome != FAILOVER_UNATTENDED) {
        return failover_log_broken(invariant, entry, "a reason without a failure");
    }
    if (failed && entry->ended_wall_ms == 0) {
        return failover_log_broken(invariant, entry, "failed and not ended");
    }
    if (open && entry->ended_wall_ms != 0) {
        return failover_log_broken(invariant, entry, "running and ended");
    }
    if (failed && entry->has_to) {
        return failover_log_broken(invariant, entry, "a new master without a switch");
    }
    if (entry->outcome == FAILOVER_RECOVERED && (seen & (1U << PHASE_ELECTED))) {
        return failover_log_broken(invariant, entry, "recovered from an attempt");
    }
    if ((seen & (1U << PHASE_PUBLISHED)) && entry->outcome != FAILOVER_SWITCHED &&
        entry->outcome != FAILOVER_ABORTED) {
        return failover_log_broken(invariant, entry, "published and not switched");
    }
    if (entry->outcome == FAILOVER_SWITCHED &&
        !((seen & (1U << PHASE_PUBLISHED)) && entry->has_to)) {
        return failover_log_broken(invariant, entry, "switched and never published");
    }
    if (entry->has_from && entry->has_to && address_equal(&entry->from, &entry->to)) {
        return failover_log_broken(invariant, entry, "from a node to itself");
    }
    if (entry->unavailable_ms < -1) {
        return failover_log_broken(invariant, entry, "back before it went");
    }
    return true;
}

static inline bool failover_log_holds(struct failover_log_invariant *invariant,
                                      struct failover_log *failover_log, int64_t now_ms)
{
    struct failovers *list = failover_log_list(failover_log);
    uint64_t revision = failover_log_revision(failover_log);
    bool holds = list->n <= invariant->capacity;

    if (!holds) {
        failover_log_broken(invariant, NULL, "more than the ring holds");
    }
    if (holds && revision < invariant->revision) {
        holds = failover_log_broken(invariant, NULL, "the revision goes back");
    }
    invariant->revision = revision;
    for (size_t i = 0; holds && i < list->n; i++) {
        holds = failover_holds(invariant, list->entries[i]);
        if (holds && i > 0 && list->entries[i - 1]->id != list->entries[i]->id + 1) {
            holds = failover_log_broken(invariant, list->entries[i], "not newest first");
        }
    }
    for (struct failover *ended; holds && (ended = failover_log_take_ended(failover_log));
         failover_unref(ended)) {
        uint64_t bit = ended->id < 64 ? UINT64_C(1) << ended->id : 0;

        if (ended->ended_wall_ms == 0 || ended->outcome == FAILOVER_RUNNING ||
            ended->outcome == FAILOVER_UNATTENDED) {
            holds = failover_log_broken(invariant, ended, "taken before its end");
        } else if (invariant->taken & bit) {
            holds = failover_log_broken(invariant, ended, "ended twice");
        }
        invariant->taken |= bit;
        invariant->n_taken++;
        invariant->n_switched += ended->outcome == FAILOVER_SWITCHED;
        for (size_t i = 0; i < ended->n_phases; i++) {
            invariant->n_abandoned +=
                ended->outcome == FAILOVER_ABORTED && ended->phases[i].phase == PHASE_PUBLISHED;
        }
    }
    for (struct failover *late; holds && (late = failover_log_take_resolved(failover_log));
         failover_unref(late)) {
        uint64_t bit = late->id < 64 ? UINT64_C(1) << late->id : 0;

        if (late->unavailable_ms < 0) {
            holds = failover_log_broken(invariant, late, "resolved and still unknown");
        } else if ((invariant->resolved & bit) || (bit && !(invariant->taken & bit))) {
            holds = failover_log_broken(invariant, late, "resolved twice, or before its end");
        }
        invariant->resolved |= bit;
        invariant->n_resolved++;
    }
    failovers_unref(list);
    if (holds && failover_log_next_ms(failover_log) >= 0 &&
        failover_log_next_ms(failover_log) < now_ms - 1) {
        holds = failover_log_broken(invariant, NULL, "a deadline that has passed");
    }
    return holds;
}

#endif
