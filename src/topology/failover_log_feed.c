/*
 * What Sentinels are heard to say. One failover is told by several of them: the one that leads says
 * most, the others say that they see the master down and, in the end, that it moved; two may try at
 * once, and one gives up.
 *
 * A Sentinel that starts a failover by itself has said +odown before, on the same connection: a try
 * without is an operator's.
 *
 * Every event says away from which master. Only what is about the published one begins anything;
 * what is about the one before is late news of the entry that moved away from it, all else is
 * somebody else's.
 */
#include <string.h>

#include "bellwether/base/memory.h"
#include "failover_log_internal.h"

enum {
    TELLERS_MAX = 1024,
    CONTEST_MS = 10000, /* tries that begin within it are for the same election */
    STALE_MS = 10000,   /* no link is later than that */
};

/* ---- what is about no master ---- */

static struct teller *find_teller(const struct failover_log *failover_log,
                                  const struct failover_log_event *event)
{
    for (size_t i = 0; i < failover_log->n_tellers; i++) {
        struct teller *teller = &failover_log->tellers[i];

        if (teller->deployment == event->deployment &&
            strncmp(teller->sentinel, event->sentinel, ADDRESS_TEXT_SIZE - 1) == 0) {
            return teller;
        }
    }
    return NULL;
}

static struct teller *need_teller(struct failover_log *failover_log,
                                  const struct failover_log_event *event)
{
    struct teller *teller = find_teller(failover_log, event);

    if (teller) {
        return teller;
    }
    if (failover_log->n_tellers == TELLERS_MAX) { /* addresses come and go: the oldest goes */
        failover_log->n_tellers--;
        memmove(failover_log->tellers, failover_log->tellers + 1,
                failover_log->n_tellers * sizeof(*failover_log->tellers));
    }
    failover_log->tellers = mem_resize(failover_log->tellers, failover_log->n_tellers + 1,
                                       sizeof(*failover_log->tellers));
    teller = &failover_log->tellers[failover_log->n_tellers++];
    *teller = (struct teller){.deployment = event->deployment, .epoch = EPOCH_UNKNOWN};
    memcpy(teller->sentinel, event->sentinel, strnlen(event->sentinel, ADDRESS_TEXT_SIZE - 1));
    return teller;
}

static void hear_tilt(struct failover_log *failover_log, const struct failover_log_event *event)
{
    bool tilt = event->signal == TIMELINE_TILT;

    need_teller(failover_log, event)->tilt = tilt;
    LIST_EACH(struct failover_record, record, &failover_log->records, link) {
        record->tilted |= tilt && record->deployment == event->deployment;
    }
}

/* ---- whose ---- */

static bool is_away_from(const struct failover_log_event *event, const struct address *master)
{
    return !event->of || address_equal(event->of, master);
}

static bool is_of_published(const struct failover_record *record,
                            const struct failover_log_event *event)
{
    return !record->has_published || is_away_from(event, &record->published);
}

/* Late news: of the failover that has moved the answer already. */
static bool is_of_switched(const struct failover_record *record,
                           const struct failover_log_event *event)
{
    return failover_record_has_switched(record) && event->of && record->entry->has_from &&
           address_equal(event->of, &record->entry->from);
}

/* Who says so has not heard of the failover of that epoch, so it did not lead it either. */
static bool is_behind(const struct failover_log *failover_log,
                      const struct failover_log_event *event, int64_t epoch)
{
    const struct teller *teller = find_teller(failover_log, event);

    return teller && teller->epoch != EPOCH_UNKNOWN && teller->epoch < epoch;
}

/* There and back: it is about the published one as it was before. */
static bool is_stale(const struct failover_log *failover_log, const struct failover_record *record,
                     const struct failover_log_event *event, struct failover_log_time now)
{
    return record->has_published && is_behind(failover_log, event, record->published_epoch) &&
           now.boot_ms - record->published_boot_ms < STALE_MS;
}

static bool leads_tail(const struct failover_record *record,
                       const struct failover_record_vote *vote)
{
    return record->tail &&
           strncmp(record->tail->leader, vote->sentinel, ADDRESS_TEXT_SIZE - 1) == 0;
}

/* By the leader of the failover before this one, which it has not ended yet. */
static bool is_of_tail(const struct failover_record *record,
                       const struct failover_record_vote *vote,
                       const struct failover_log_event *event)
{
    return leads_tail(record, vote) && !vote->trying && is_away_from(event, &record->tail->from);
}

/* ---- down ---- */

static void hear_down(struct failover_log *failover_log, struct failover_record *record,
                      struct failover_record_vote *vote, const struct failover_log_event *event,
                      struct failover_log_time now)
{
    enum failover_phase phase = event->signal == TIMELINE_ODOWN ? PHASE_ODOWN : PHASE_SDOWN;

    if (!is_of_published(record, event) || is_stale(failover_log, record, event, now)) {
        return;
    }
    vote->sdown = true;
    vote->odown = vote->odown || phase == PHASE_ODOWN;
    if (failover_record_has_switched(record)) { /* the new one, already */
        failover_record_make_way(failover_log, record, now);
    }
    if (!record->entry && record->unresolved) {
        /* More of what the entry that ended has told already is no news. */
        if (!record->later[phase].set && !failover_has_phase(record->unresolved, phase)) {
            record->later[phase].set = true;
            record->later[phase].at = now;
        }
        return;
    }
    if (!record->entry) {
        failover_record_open(failover_log, record, event->of, now);
    }
    if (!failover_has_phase(record->entry, phase)) {
        failover_record_attend(failover_log, record);
    }
    failover_record_phase(failover_log, record, phase, now);
    if (!record->attempted) {
        record->message_boot_ms = now.boot_ms;
        failover_log_edit(failover_log, &record->entry)->kind = FAILOVER_CRASH;
    }
}

/* ---- attempts ---- */

static enum failover_kind kind_of(const struct failover_record *record,
                                  const struct failover_record_vote *vote, bool from_the_start)
{
    if (vote->sdown || (record->failing && failover_record_any_down(record))) {
        return FAILOVER_CRASH;
    }
    /* Failing, and nobody said so: something was not heard. */
    return from_the_start && !record->failing ? FAILOVER_MANUAL : FAILOVER_UNKNOWN;
}

/* Whether this is the beginning of another attempt than the one that is open. */
static bool is_another(const struct failover_record *record,
                       const struct failover_record_vote *vote,
                       const struct failover_log_event *event, struct failover_log_time now)
{
    if (failover_record_has_switched(record) && event->of && record->entry->has_from) {
        return !is_of_switched(record, event);
    }
    if (failover_record_has_switched(record) || record->finished) {
        return event->signal == TIMELINE_TRY ||
               !(vote->leading || !failover_record_any_leading(record));
    }
    if (!record->attempted || event->signal != TIMELINE_TRY) {
        return false;
    }
    return vote->trying || failover_record_lead_is_lost(record) ||
           now.boot_ms - record->attempt_boot_ms > CONTEST_MS;
}

static bool starts(const struct failover_log_event *event)
{
    return event->signal == TIMELINE_TRY || event->signal == TIMELINE_ELECTED;
}

/* Have an entry whose attempt this Sentinel is part of. */
static void join_attempt(struct failover_log *failover_log, struct failover_record *record,
                         struct failover_record_vote *vote, const struct failover_log_event *event,
                         struct failover_log_time now)
{
    const struct teller *teller = find_teller(failover_log, event);

    if (record->entry && is_another(record, vote, event, now)) {
        failover_record_make_way(failover_log, record, now);
    }
    if (!record->entry) {
        failover_record_open(failover_log, record, event->of, now);
    }
    failover_record_attend(failover_log, record);
    if (!record->attempted && !failover_record_has_switched(record)) {
        record->attempted = true;
        record->attempt_boot_ms = now.boot_ms;
        failover_log_edit(failover_log, &record->entry)->kind =
            kind_of(record, vote, starts(event));
    }
    if (!vote->trying && teller && teller->epoch > record->entry->config_epoch &&
        !failover_record_has_switched(record)) {
        failover_log_edit(failover_log, &record->entry)->config_epoch = teller->epoch;
    }
    vote->trying = true;
    record->message_boot_ms = now.boot_ms;
}

/* Whether an event of a failover is of ours at all. */
static bool begins_or_goes_on(const struct failover_log *failover_log,
                              const struct failover_record *record,
                              const struct failover_record_vote *vote,
                              const struct failover_log_event *event, struct failover_log_time now)
{
    if (is_of_switched(record, event)) {
        return !is_behind(failover_log, event, record->entry->config_epoch);
    }
    return is_of_published(record, event) && !is_stale(failover_log, record, event, now) &&
           (starts(event) || !is_of_tail(record, vote, event));
}

static void lead(struct failover_log *failover_log, struct failover_record *record,
                 struct failover_record_vote *vote)
{
    if (vote->leading) {
        return;
    }
    vote->leading = true;
    memcpy(failover_log_edit(failover_log, &record->entry)->leader, vote->sentinel,
           ADDRESS_TEXT_SIZE);
}

static void choose(struct failover_log *failover_log, struct failover_record *record,
                   const struct address *about)
{
    if (about && !failover_record_has_switched(record) &&
        !(record->entry->has_from && address_equal(&record->entry->from, about)) &&
        !(record->entry->has_to && address_equal(&record->entry->to, about))) {
        struct failover *entry = failover_log_edit(failover_log, &record->entry);

        entry->has_to = true;
        entry->to = *about;
    }
}

static void hear_progress(struct failover_log *failover_log, struct failover_record *record,
                          struct failover_record_vote *vote, const struct failover_log_event *event,
                          enum failover_phase phase, struct failover_log_time now)
{
    /* Told once more after all was over. */
    if (!failover_record_has_switched(record) && phase == PHASE_PROMOTED && event->about &&
        record->has_published && address_equal(event->about, &record->published)) {
        return;
    }
    if (!begins_or_goes_on(failover_log, record, vote, event, now)) {
        return;
    }
    join_attempt(failover_log, record, vote, event, now);
    lead(failover_log, record, vote);
    if (phase != PHASE_ELECTED) { /* that one is about the master */
        choose(failover_log, record, event->about);
    }
    failover_record_phase(failover_log, record, phase, now);
}

/*
 * +switch-master, by the leader at the end or by those who heard of it: for whom the leader is out
 * of sight it is the first announcement.
 */
static void hear_switched(struct failover_log *failover_log, struct failover_record *record,
                          const struct failover_record_vote *vote,
                          const struct failover_log_event *event, struct failover_log_time now)
{
    const struct failover *entry = record->entry;

    if (is_of_tail(record, vote, event)) {
        /* the next overtook it: its leader gave in without a word */
        failover_record_drop_tail(failover_log, record);
    }
    if (!entry || !event->about || (entry->has_from && address_equal(event->about, &entry->from))) {
        return;
    }
    /* Its first half may be older than the entry, where a Sentinel missed a failover in between. */
    if (failover_record_has_switched(record) || failover_record_any_leading(record)
            ? !entry->has_to || !address_equal(event->about, &entry->to)
            : !is_of_published(record, event) || is_stale(failover_log, record, event, now)) {
        return;
    }
    if (!record->attempted && !failover_record_has_switched(record)) {
        record->attempted = true;
        record->attempt_boot_ms = now.boot_ms;
        if (failover_record_any_down(record)) {
            failover_log_edit(failover_log, &record->entry)->kind = FAILOVER_CRASH;
        }
    }
    failover_record_attend(failover_log, record);
    choose(failover_log, record, event->about);
    failover_record_phase(failover_log, record, PHASE_PROMOTED, now);
    record->message_boot_ms = now.boot_ms;
}

static void hear_finished(struct failover_log *failover_log, struct failover_record *record,
                          struct failover_record_vote *vote, const struct failover_log_event *event,
                          struct failover_log_time now)
{
    if (is_of_tail(record, vote, event)) {
        failover_record_finish_tail(failover_log, record, now);
        return;
    }
    if (!record->entry || record->finished ||
        (record->entry->has_from && !is_away_from(event, &record->entry->from))) {
        return;
    }
    /*
     * By its leader; of one that has switched also by a Sentinel that was not heard before, while
     * no other leads.
     */
    if (!vote->leading &&
        (!failover_record_has_switched(record) || failover_record_any_leading(record) ||
         is_behind(failover_log, event, record->entry->config_epoch))) {
        return;
    }
    failover_record_phase(failover_log, record, PHASE_FINISHED, now);
    record->finished = true;
    record->message_boot_ms = now.boot_ms;
}

static void hear_abort(struct failover_log *failover_log, struct failover_record *record,
                       struct failover_record_vote *vote, const struct failover_log_event *event,
                       const char *reason, struct failover_log_time now)
{
    bool led = vote->leading;

    if (!record->entry || (record->entry->has_from && !is_away_from(event, &record->entry->from)) ||
        (failover_record_has_switched(record) && !record->adopted) ||
        (failover_record_any_trying(record) && !vote->trying)) {
        return;
    }
    vote->trying = vote->leading = false;
    if (led ? failover_record_any_leading(record) : failover_record_any_trying(record)) {
        return; /* another one goes on */
    }
    failover_record_close(failover_log, record, FAILOVER_ABORTED, reason, now.wall_ms);
}

/* Its state is gone: RESET or REMOVE. It will not say how that ended. */
static void hear_forgotten(struct failover_log *failover_log, struct failover_record *record,
                           struct failover_record_vote *vote,
                           const struct failover_log_event *event, struct failover_log_time now)
{
    vote->sdown = vote->odown = false;
    if (is_of_tail(record, vote, event)) {
        failover_record_drop_tail(failover_log, record);
    } else if (vote->trying) {
        hear_abort(failover_log, record, vote, event, NULL, now);
    }
}

static void hear_lost(struct failover_record *record, struct failover_record_vote *vote,
                      struct failover_log_time now)
{
    if (!vote->lost && vote->leading) {
        record->message_boot_ms = now.boot_ms; /* how long it may stay away counts from here */
    }
    vote->lost = true;
}

/* ---- all ---- */

static void hear_of_master(struct failover_log *failover_log, struct failover_record *record,
                           struct failover_record_vote *vote,
                           const struct failover_log_event *event, struct failover_log_time now)
{
    switch (event->signal) {
    case TIMELINE_SDOWN:
    case TIMELINE_ODOWN: hear_down(failover_log, record, vote, event, now); break;
    case TIMELINE_SDOWN_END:
        if (is_of_published(record, event)) {
            vote->sdown = vote->odown = false;
        }
        break;
    case TIMELINE_ODOWN_END:
        if (is_of_published(record, event)) {
            vote->odown = false;
        }
        break;
    case TIMELINE_TRY:
        if (leads_tail(record, vote)) { /* a Sentinel is at one failover at a time */
            failover_record_drop_tail(failover_log, record);
        }
        if (begins_or_goes_on(failover_log, record, vote, event, now)) {
            join_attempt(failover_log, record, vote, event, now);
        }
        break;
    case TIMELINE_ELECTED:
        hear_progress(failover_log, record, vote, event, PHASE_ELECTED, now);
        break;
    case TIMELINE_SELECTED:
        hear_progress(failover_log, record, vote, event, PHASE_SELECTED, now);
        break;
    case TIMELINE_PROMOTING:
    case TIMELINE_WAIT_PROMOTION:
        hear_progress(failover_log, record, vote, event, PHASE_PROMOTING, now);
        break;
    case TIMELINE_PROMOTED:
        hear_progress(failover_log, record, vote, event, PHASE_PROMOTED, now);
        break;
    case TIMELINE_SWITCHED: hear_switched(failover_log, record, vote, event, now); break;
    case TIMELINE_FINISHED:
    case TIMELINE_FINISHED_BY_TIMEOUT: hear_finished(failover_log, record, vote, event, now); break;
    case TIMELINE_NOT_ELECTED:
        hear_abort(failover_log, record, vote, event, "not_elected", now);
        break;
    case TIMELINE_NO_GOOD_SLAVE:
        hear_abort(failover_log, record, vote, event, "no_good_slave", now);
        break;
    case TIMELINE_SLAVE_TIMEOUT:
        hear_abort(failover_log, record, vote, event, "slave_timeout", now);
        break;
    case TIMELINE_MASTER_TIMEOUT:
        hear_abort(failover_log, record, vote, event, "master_timeout", now);
        break;
    case TIMELINE_ABORTED: hear_abort(failover_log, record, vote, event, NULL, now); break;
    case TIMELINE_FORGOTTEN: hear_forgotten(failover_log, record, vote, event, now); break;
    case TIMELINE_FORCED:
        if (record->entry && vote->trying && record->entry->kind != FAILOVER_MANUAL) {
            failover_log_edit(failover_log, &record->entry)->kind = FAILOVER_MANUAL;
        }
        break;
    case TIMELINE_LOST: hear_lost(record, vote, now); break;
    case TIMELINE_BUSY:
    case TIMELINE_TILT:
    case TIMELINE_TILT_END:
    case TIMELINE_NEW_EPOCH:
    case TIMELINE_SIGNALS_COUNT: break;
    }
}

void failover_log_hear(struct failover_log *failover_log, const struct failover_log_event *event,
                       struct failover_log_time now)
{
    struct failover_record *record = event->master;
    struct failover_record_vote *vote;

    if (event->signal == TIMELINE_TILT || event->signal == TIMELINE_TILT_END) {
        hear_tilt(failover_log, event);
        return;
    }
    if (event->signal == TIMELINE_NEW_EPOCH) {
        need_teller(failover_log, event)->epoch = event->epoch;
        return;
    }
    vote = failover_record_vote(record, event->sentinel);
    if (!vote) {
        return;
    }
    if (event->failover_timeout_ms > 0) {
        record->failover_timeout_ms = event->failover_timeout_ms;
    }
    hear_of_master(failover_log, record, vote, event, now);
    vote->lost = event->signal == TIMELINE_LOST;
    failover_record_review(failover_log, record, now);
}
