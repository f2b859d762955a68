/*
 * The story of one master: its open entry from the first sign of trouble to the end, and what is
 * remembered between entries so that the next one tells the truth.
 */
#include "failover_log_story.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "failover_log_ring.h"

enum {
    VOTES_MAX = 64,
    /* Sentinels ask each other every second whether they agree, and believe an answer for five. */
    DOWN_MS = 10000,
    /* Sentinel's default: trouble that none has seen may last so much longer */
    DOWN_AFTER_MS = 30000,
    ELECTION_MS = 10000, /* Sentinel's own limit, or failover-timeout where that is less */
    GRACE_MS = 10000,    /* for its own word on a time-out to come */
    /* switched, and no leader is heard that could say when it finishes */
    UNLED_MS = 5000,
    /* the leader is out of reach: it may come back, or the others tell of its success */
    LOST_MS = 10000,
    RESTART_TOLD_MS = 15000, /* where only rows tell it: they are up to ten seconds old */
    /* the Sentinels have finished, and the old master still is the answer here */
    UNPUBLISHED_MS = 60000,
};

/* ---- Sentinels ---- */

struct failover_record_vote *failover_record_vote(struct failover_record *record,
                                                  const char *sentinel)
{
    struct failover_record_vote *vote;

    for (size_t i = 0; i < record->n_votes; i++) {
        if (strncmp(record->votes[i].sentinel, sentinel, ADDRESS_TEXT_SIZE - 1) == 0) {
            return &record->votes[i];
        }
    }
    for (size_t i = 0; i < record->n_votes && record->n_votes == VOTES_MAX; i++) {
        vote = &record->votes[i];
        if (!vote->sdown && !vote->trying) { /* has nothing to say any more */
            *vote = record->votes[--record->n_votes];
        }
    }
    if (record->n_votes == VOTES_MAX) {
        return NULL;
    }
    record->votes = mem_resize(record->votes, record->n_votes + 1, sizeof(*record->votes));
    vote = &record->votes[record->n_votes++];
    *vote = (struct failover_record_vote){.sdown = false};
    memcpy(vote->sentinel, sentinel, strnlen(sentinel, ADDRESS_TEXT_SIZE - 1));
    return vote;
}

struct failover_record_says failover_record_says(const struct failover_record *record)
{
    struct failover_record_says says = {.down = false};
    bool within_reach = false;

    for (size_t i = 0; i < record->n_votes; i++) {
        const struct failover_record_vote *vote = &record->votes[i];

        says.down |= vote->sdown;
        says.trying |= vote->trying;
        says.leading |= vote->leading;
        within_reach |= vote->leading && !vote->lost;
    }
    says.lead_is_lost = says.leading && !within_reach;
    return says;
}

bool failover_record_has_switched(const struct failover_record *record)
{
    return record->entry && record->entry->outcome == FAILOVER_SWITCHED;
}

/* ---- opening ---- */

static bool in_tilt(const struct failover_log *failover_log, size_t deployment)
{
    for (size_t i = 0; i < failover_log->n_tellers; i++) {
        if (failover_log->tellers[i].deployment == deployment && failover_log->tellers[i].tilt) {
            return true;
        }
    }
    return false;
}

static void add_phase(struct failover *entry, enum failover_phase phase, int64_t ms,
                      int64_t at_wall_ms)
{
    int64_t last = entry->n_phases > 0 ? entry->phases[entry->n_phases - 1].ms : 0;

    entry->phases[entry->n_phases].phase = phase;
    entry->phases[entry->n_phases].at_wall_ms = at_wall_ms;
    entry->phases[entry->n_phases].ms = ms > last ? ms : last;
    entry->n_phases++;
}

void failover_record_phase(struct failover_record *record, enum failover_phase phase,
                           struct failover_log_time at)
{
    if (failover_has_phase(record->entry, phase)) {
        return;
    }
    if (record->entry->n_phases == 0) {
        record->first_boot_ms = at.boot_ms;
    }
    add_phase(failover_log_edit(record->log, &record->entry), phase,
              at.boot_ms - record->first_boot_ms, at.wall_ms);
}

/* What was heard while no entry was open stands in the new one, in its order. */
static void add_later(struct failover_record *record, struct failover_log_time now)
{
    bool odown_first =
        record->later[PHASE_ODOWN].set && record->later[PHASE_SDOWN].set &&
        record->later[PHASE_ODOWN].at.boot_ms < record->later[PHASE_SDOWN].at.boot_ms;

    for (int i = 0; i < 2; i++) {
        enum failover_phase phase = (i == 0) == odown_first ? PHASE_ODOWN : PHASE_SDOWN;

        if (record->later[phase].set) {
            failover_record_phase(record, phase, record->later[phase].at);
        }
    }
    record->entry->began_wall_ms =
        record->entry->n_phases > 0 ? record->entry->phases[0].at_wall_ms : now.wall_ms;
}

static void forget_later(struct failover_record *record)
{
    for (size_t i = 0; i < PHASES_COUNT; i++) {
        record->later[i].set = false;
    }
}

/* The entry whose outage goes on has its end: what comes now is told in another one. */
static void drop_unresolved(struct failover_record *record)
{
    failover_unref(record->unresolved);
    record->unresolved = NULL;
}

void failover_record_open(struct failover_record *record, const struct address *of,
                          struct failover_log_time now)
{
    const struct address *from = record->has_published ? &record->published : of;

    record->entry = failover_log_add(record->log, record->name);
    record->log->n_open++;
    record->entry->has_from = from != NULL;
    if (from) {
        record->entry->from = *from;
    }
    record->message_boot_ms = now.boot_ms;
    record->attempted = record->finished = record->adopted = record->restarted = false;
    record->tilted = in_tilt(record->log, record->deployment);
    record->failed = record->failing;
    record->gap_ms = -1;
    record->undone = false;
    if (record->failing && !record->unresolved) {
        failover_record_phase(record, PHASE_SUSPECTED, record->failing_since);
    }
    drop_unresolved(record);
    add_later(record, now);
    forget_later(record);
}

void failover_record_attend(struct failover_record *record)
{
    if (record->entry->outcome == FAILOVER_UNATTENDED) {
        struct failover *entry = failover_log_edit(record->log, &record->entry);

        entry->outcome = FAILOVER_RUNNING;
        entry->reason = NULL;
    }
}

/* ---- time ---- */

static int64_t timeout_ms(const struct failover_record *record)
{
    return record->failover_timeout_ms > 0 ? record->failover_timeout_ms : FAILOVER_TIMEOUT_MS;
}

static int64_t patience_ms(const struct failover_record *record)
{
    int64_t timeout = timeout_ms(record);
    struct failover_record_says says = failover_record_says(record);

    if (record->entry->outcome == FAILOVER_UNATTENDED) {
        return -1;
    }
    if (failover_record_has_switched(record)) {
        return !says.leading || says.lead_is_lost ? UNLED_MS : timeout + GRACE_MS;
    }
    if (record->finished) {
        return UNPUBLISHED_MS;
    }
    if (record->attempted && says.lead_is_lost) {
        return LOST_MS;
    }
    if (failover_has_phase(record->entry, PHASE_PROMOTED)) {
        return UNPUBLISHED_MS;
    }
    if (record->attempted) {
        return GRACE_MS + (says.leading || timeout < ELECTION_MS ? timeout : ELECTION_MS);
    }
    return DOWN_MS + (says.down                   ? 0
                      : record->down_after_ms > 0 ? record->down_after_ms
                                                  : DOWN_AFTER_MS);
}

/* When what is open has waited too long, boot clock; -1 never. */
static int64_t deadline_ms(const struct failover_record *record)
{
    int64_t patience = record->entry ? patience_ms(record) : -1;

    return patience < 0 ? -1 : record->message_boot_ms + patience;
}

static bool is_over(int64_t deadline, struct failover_log_time now)
{
    return deadline >= 0 && now.boot_ms >= deadline;
}

/* ---- closing ---- */

static void hush_votes(struct failover_record *record)
{
    for (size_t i = 0; i < record->n_votes; i++) {
        record->votes[i].trying = record->votes[i].leading = false;
    }
}

/* Where nothing was published: how long the old master was away, as far as that is known now. */
static int64_t away_ms(const struct failover_record *record)
{
    if (record->failing || !record->serving) {
        return -1;
    }
    if (record->failed) {
        return record->gap_ms;
    }
    return record->has_good ? 0 : -1;
}

void failover_record_close(struct failover_record *record, enum failover_outcome outcome,
                           const char *reason, int64_t ended_wall_ms)
{
    struct failover *entry = failover_log_edit(record->log, &record->entry);
    bool goes_on = outcome != FAILOVER_SWITCHED && (record->failing || !record->serving);

    entry->outcome = outcome;
    entry->reason = outcome == FAILOVER_RECOVERED && record->restarted ? "restarted" : reason;
    entry->ended_wall_ms = ended_wall_ms;
    if (outcome != FAILOVER_SWITCHED) {
        entry->has_to = false;
    }
    if (outcome != FAILOVER_SWITCHED && !record->adopted) {
        entry->unavailable_ms = away_ms(record);
    }
    failover_log_queue(&record->log->ended, entry);
    record->undone = outcome == FAILOVER_ABORTED && record->adopted;
    record->undone_to = entry->from;
    failover_unref(record->unresolved);
    record->unresolved = goes_on ? failover_ref(entry) : NULL;
    failover_unref(record->entry);
    record->entry = NULL;
    record->log->n_open--;
    hush_votes(record);
}

/*
 * Why an attempt failed of which no leader says it: how far it came tells. A leader that lives says
 * why it gives up.
 */
static const char *why_aborted(const struct failover_record *record, struct failover_log_time now)
{
    const struct failover *entry = record->entry;
    struct failover_record_says says = failover_record_says(record);
    bool led = failover_has_phase(entry, PHASE_ELECTED) ||
               failover_has_phase(entry, PHASE_SELECTED) ||
               failover_has_phase(entry, PHASE_PROMOTING) || says.leading;

    if (record->finished || (failover_has_phase(entry, PHASE_PROMOTED) && !says.lead_is_lost)) {
        return NULL; /* for the Sentinels it is done; only here nothing came of it */
    }
    if (!led) {
        return "not_elected";
    }
    return says.lead_is_lost || is_over(deadline_ms(record), now) ? "leader_lost" : "slave_timeout";
}

/* Why no Sentinel has tried. */
static const char *why_unstarted(const struct failover_record *record)
{
    return record->tilted                                   ? "tilt"
           : failover_has_phase(record->entry, PHASE_ODOWN) ? "not_elected"
                                                            : "no_quorum";
}

void failover_record_cut(struct failover_record *record, struct failover_log_time now)
{
    if (failover_record_has_switched(record)) {
        failover_record_close(record, FAILOVER_SWITCHED, NULL, record->published_wall_ms);
    } else if (record->attempted) {
        bool told = record->entry->outcome == FAILOVER_UNATTENDED;

        failover_record_close(record, FAILOVER_ABORTED,
                              told ? record->entry->reason : why_aborted(record, now), now.wall_ms);
    } else {
        failover_record_close(record, FAILOVER_NOT_STARTED, why_unstarted(record), now.wall_ms);
    }
}

/* The outage goes on, and nobody does anything about it. */
static void neglect(struct failover_record *record, struct failover_log_time now)
{
    const char *reason = record->attempted ? why_aborted(record, now) : why_unstarted(record);
    struct failover *entry = failover_log_edit(record->log, &record->entry);

    entry->outcome = FAILOVER_UNATTENDED;
    entry->reason = reason;
}

/* ---- what was set aside ---- */

static void end_tail(struct failover_record *record, int64_t ended_wall_ms)
{
    failover_log_edit(record->log, &record->tail)->ended_wall_ms = ended_wall_ms;
    failover_log_queue(&record->log->ended, record->tail);
    failover_unref(record->tail);
    record->tail = NULL;
    record->log->n_open--;
}

void failover_record_drop_tail(struct failover_record *record)
{
    if (record->tail) {
        end_tail(record, record->tail_published_wall_ms);
    }
}

void failover_record_finish_tail(struct failover_record *record, struct failover_log_time now)
{
    add_phase(failover_log_edit(record->log, &record->tail), PHASE_FINISHED,
              now.boot_ms - record->tail_first_boot_ms, now.wall_ms);
    end_tail(record, now.wall_ms);
}

void failover_record_make_way(struct failover_record *record, struct failover_log_time now)
{
    struct failover_record_says says = failover_record_says(record);

    if (!failover_record_has_switched(record) || record->finished || !says.leading ||
        says.lead_is_lost) {
        failover_record_cut(record, now);
        return;
    }
    failover_record_drop_tail(record);
    record->tail = record->entry;
    record->tail_first_boot_ms = record->first_boot_ms;
    record->tail_news_boot_ms = record->message_boot_ms;
    record->tail_published_wall_ms = record->published_wall_ms;
    record->entry = NULL;
    hush_votes(record);
}

/* ---- what nodes say ---- */

static void failover_record_fail(struct failover_record *record, struct failover_log_time at)
{
    if (!record->failing) {
        record->failing = true;
        record->failing_since = at;
    }
    if (record->entry && !failover_record_has_switched(record)) {
        record->failed = true;
        failover_record_phase(record, PHASE_SUSPECTED, record->failing_since);
    }
}

/* The outage that outlived its entry is over. */
static void resolve(struct failover_record *record)
{
    bool was_known = record->unresolved->unavailable_ms >= 0;
    struct failover *entry = failover_log_edit(record->log, &record->unresolved);

    entry->unavailable_ms = record->gap_ms;
    if (!was_known && record->gap_ms >= 0) {
        failover_log_queue(&record->log->resolved, entry);
    }
}

/* The published node answers, maybe again. @param good it says master. */
static void failover_record_well(struct failover_record *record, bool good,
                                 struct failover_log_time at)
{
    if (record->failing) {
        record->failing = false;
        record->gap_ms = record->has_good ? at.boot_ms - record->good.boot_ms : -1;
        if (record->unresolved) {
            resolve(record);
            drop_unresolved(record);
            forget_later(record);
        }
    }
    if (good && (!record->has_good || at.boot_ms > record->good.boot_ms)) {
        record->has_good = true;
        record->good = at;
    }
}

void failover_log_checked(struct failover_record *record, enum failover_log_check check,
                          struct failover_log_time at)
{
    if (check == FAILOVER_CHECK_BAD) {
        failover_record_fail(record, at);
    } else {
        failover_record_well(record, check == FAILOVER_CHECK_GOOD, at);
    }
    failover_record_review(record, at);
}

void failover_log_restarted(struct failover_record *record, struct failover_log_time now)
{
    struct failover **last = failover_log_last(record->log, record->name);

    if (record->entry) {
        record->restarted = true;
    } else if (last && (*last)->outcome == FAILOVER_RECOVERED && !(*last)->reason &&
               now.wall_ms - (*last)->ended_wall_ms <= RESTART_TOLD_MS) {
        struct failover *entry = failover_ref(*last);

        failover_log_edit(record->log, &entry)->reason = "restarted";
        failover_unref(entry);
    } else if (!last || (*last)->outcome == FAILOVER_RUNNING || (*last)->ended_wall_ms == 0 ||
               now.wall_ms - (*last)->ended_wall_ms > RESTART_TOLD_MS) {
        failover_record_open(record, NULL, now); /* so fast that it never left `ok` */
        failover_record_phase(record, PHASE_SUSPECTED, now);
        record->failed = true;
        failover_record_close(record, FAILOVER_RECOVERED, "restarted", now.wall_ms);
    }
}

void failover_log_state(struct failover_record *record, const struct address *published,
                        enum master_state state, struct failover_log_time now)
{
    bool served = record->serving;

    if (published) {
        record->has_published = true;
        record->published = *published;
    }
    record->serving = master_state_serves(state);
    if (record->serving && !served) {
        failover_record_well(record, state == MASTER_OK, now);
    } else if (served && !record->serving) {
        if (failover_record_has_switched(record)) { /* the new one, already */
            failover_record_make_way(record, now);
        }
        failover_record_fail(record, now);
        if (!record->entry && !record->unresolved) {
            failover_record_open(record, published, now);
        }
    }
    failover_record_review(record, now);
}

/* ---- publications ---- */

static int64_t unavailable_ms(const struct failover_record *record, struct failover_log_time now)
{
    if (!record->has_good) {
        return -1;
    }
    if (record->entry->kind == FAILOVER_MANUAL && !record->failing) {
        return 0; /* it answered until it was replaced */
    }
    return now.boot_ms - record->good.boot_ms;
}

/* The new node's story begins. */
static void failover_record_follow(struct failover_record *record, const struct address *to,
                                   bool verified, struct failover_log_time now)
{
    record->has_published = true;
    record->published = *to;
    record->failing = false;
    record->has_good = verified;
    record->good = now;
    record->undone = false;
    drop_unresolved(record);
    forget_later(record);
    for (size_t i = 0; i < record->n_votes; i++) {
        record->votes[i].sdown = record->votes[i].odown = false; /* that was the old one */
    }
}

static void failover_record_switch(struct failover_record *record, const struct address *from,
                                   const struct address *to, int64_t epoch, bool adopted,
                                   struct failover_log_time now)
{
    struct failover *entry = failover_log_edit(record->log, &record->entry);

    if (entry->kind == FAILOVER_UNKNOWN && record->failing && failover_record_says(record).down) {
        entry->kind = FAILOVER_CRASH;
    }
    entry->outcome = FAILOVER_SWITCHED;
    entry->reason = NULL;
    if (from) {
        entry->has_from = true;
        entry->from = *from;
    }
    entry->has_to = true;
    entry->to = *to;
    entry->config_epoch = epoch != EPOCH_UNKNOWN ? epoch : entry->config_epoch;
    entry->unavailable_ms = unavailable_ms(record, now);
    record->adopted = adopted;
    record->published_wall_ms = now.wall_ms;
    record->message_boot_ms = now.boot_ms;
    if (adopted) {
        failover_record_phase(record, PHASE_ADOPTED, now);
    }
    failover_record_phase(record, PHASE_PUBLISHED, now);
}

/* Whether this publication is only the way back from an adoption; then its entry is closed. */
static bool takes_back(struct failover_record *record, const struct address *to,
                       struct failover_log_time now)
{
    if (failover_record_has_switched(record) && record->adopted && record->entry->has_from &&
        address_equal(&record->entry->from, to)) {
        failover_record_close(record, FAILOVER_ABORTED, NULL, now.wall_ms);
    }
    return !record->entry && record->undone && address_equal(&record->undone_to, to);
}

void failover_log_published(struct failover_record *record, const struct address *from,
                            const struct address *to, int64_t epoch, bool verified, bool adopted,
                            struct failover_log_time now)
{
    bool tells = from ? !address_equal(from, to)
                      : record->entry && record->attempted &&
                            !(record->entry->has_from && address_equal(&record->entry->from, to));

    if (tells && takes_back(record, to, now)) {
        tells = false;
    }
    if (tells && failover_record_has_switched(record)) {
        if (address_equal(&record->entry->to, to)) {
            tells = false;
        } else {
            failover_record_make_way(record, now);
        }
    }
    if (tells) {
        if (!record->entry) {
            failover_record_open(record, from, now);
        }
        failover_record_switch(record, from, to, epoch, adopted, now);
    }
    record->published_epoch = epoch;
    record->published_boot_ms = now.boot_ms;
    failover_record_follow(record, to, verified, now);
    failover_record_review(record, now);
}

/* ---- what time alone does ---- */

/* When what was set aside has waited too long; -1 never. */
static int64_t tail_deadline_ms(const struct failover_record *record)
{
    return record->tail ? record->tail_news_boot_ms + timeout_ms(record) + GRACE_MS : -1;
}

int64_t failover_record_next_ms(const struct failover_record *record)
{
    return earlier(deadline_ms(record), tail_deadline_ms(record));
}

/*
 * Without a master, and nothing is under way that could end it: not tried, or for the Sentinels all
 * is done.
 */
static bool goes_on_alone(const struct failover_record *record)
{
    return !record->attempted || record->finished ||
           failover_has_phase(record->entry, PHASE_PROMOTED);
}

void failover_record_review(struct failover_record *record, struct failover_log_time now)
{
    bool well = !record->failing && record->serving;

    if (is_over(tail_deadline_ms(record), now)) {
        failover_record_drop_tail(record);
    }
    if (!record->entry) {
        return;
    }
    if (failover_record_has_switched(record)) {
        if (record->finished) {
            failover_record_close(record, FAILOVER_SWITCHED, NULL, now.wall_ms);
        } else if (is_over(deadline_ms(record), now)) {
            failover_record_cut(record, now);
        }
    } else if (!record->attempted && well &&
               (!failover_record_says(record).down ||
                record->entry->outcome == FAILOVER_UNATTENDED)) {
        failover_record_close(record, FAILOVER_RECOVERED, NULL, now.wall_ms);
    } else if (record->entry->outcome == FAILOVER_UNATTENDED) {
        if (well) {
            failover_record_close(record, FAILOVER_ABORTED, record->entry->reason, now.wall_ms);
        }
    } else if (is_over(deadline_ms(record), now)) {
        if (!record->attempted && well && record->failed) {
            /* It came back, and the last -sdown was not heard. */
            failover_record_close(record, FAILOVER_RECOVERED, NULL, now.wall_ms);
        } else if (well || !goes_on_alone(record)) {
            failover_record_cut(record, now);
        } else {
            neglect(record, now);
        }
    }
}

void failover_record_free(struct failover_record *record)
{
    failover_unref(record->entry);
    failover_unref(record->tail);
    failover_unref(record->unresolved);
    free(record->votes);
    free(record->name);
    free(record);
}
