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
#include "failover_log_ring.h"
#include "failover_log_story.h"

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
    bool tilt = event->signal == FAILOVER_SIGNAL_TILT;

    need_teller(failover_log, event)->tilt = tilt;
    LIST_EACH(struct failover_record, record, &failover_log->records, link) {
        record->tilted |= tilt && record->deployment == event->deployment;
    }
}

/* ---- what is about a master ---- */

/* An event about a watched master, and who says so. */
struct heard {
    struct failover_record *record;
    struct failover_record_vote *vote;
    const struct failover_log_event *event;
    struct failover_log_time now;
};

static bool is_away_from(const struct heard *heard, const struct address *master)
{
    return !heard->event->of || address_equal(heard->event->of, master);
}

static bool is_of_published(const struct heard *heard)
{
    return !heard->record->has_published || is_away_from(heard, &heard->record->published);
}

/* Whether the event is late news of the failover that has moved the answer already. */
static bool is_of_switched(const struct heard *heard)
{
    const struct failover *entry = heard->record->entry;

    return failover_record_has_switched(heard->record) && heard->event->of && entry->has_from &&
           address_equal(heard->event->of, &entry->from);
}

/* Whether the Sentinel has not heard of the failover of that epoch, so that it did not lead it. */
static bool is_behind(const struct heard *heard, int64_t epoch)
{
    const struct teller *teller = find_teller(heard->record->log, heard->event);

    return teller && teller->epoch != EPOCH_UNKNOWN && teller->epoch < epoch;
}

/* Whether the event is about the published node as it was before it was published. */
static bool is_stale(const struct heard *heard)
{
    const struct failover_record *record = heard->record;

    return record->has_published && is_behind(heard, record->published_epoch) &&
           heard->now.boot_ms - record->published_boot_ms < STALE_MS;
}

static bool known_to_be(bool known, const struct address *address, const struct address *other)
{
    return known && address_equal(address, other);
}

static bool leads_tail(const struct heard *heard)
{
    const struct failover *tail = heard->record->tail;

    return tail && strncmp(tail->leader, heard->vote->sentinel, ADDRESS_TEXT_SIZE - 1) == 0;
}

/* Whether the leader of what was set aside says it, of that failover. */
static bool is_of_tail(const struct heard *heard)
{
    return leads_tail(heard) && !heard->vote->trying &&
           is_away_from(heard, &heard->record->tail->from);
}

/* ---- down ---- */

static void hear_down(const struct heard *heard, enum failover_phase phase)
{
    struct failover_record *record = heard->record;

    if (!is_of_published(heard) || is_stale(heard)) {
        return;
    }
    heard->vote->sdown = true;
    heard->vote->odown = heard->vote->odown || phase == PHASE_ODOWN;
    if (failover_record_has_switched(record)) { /* the new one, already */
        failover_record_make_way(record, heard->now);
    }
    if (!record->entry && record->unresolved) {
        /* More of what the entry that ended has told already is no news. */
        if (!record->later[phase].set && !failover_has_phase(record->unresolved, phase)) {
            record->later[phase].set = true;
            record->later[phase].at = heard->now;
        }
        return;
    }
    if (!record->entry) {
        failover_record_open(record, heard->event->of, heard->now);
    }
    if (!failover_has_phase(record->entry, phase)) {
        failover_record_attend(record);
    }
    failover_record_phase(record, phase, heard->now);
    if (!record->attempted) {
        record->message_boot_ms = heard->now.boot_ms;
        failover_log_edit(record->log, &record->entry)->kind = FAILOVER_CRASH;
    }
}

/* ---- attempts ---- */

static enum failover_kind kind_of(const struct heard *heard, bool from_the_start)
{
    bool failing = heard->record->failing;

    if (heard->vote->sdown || (failing && failover_record_says(heard->record).down)) {
        return FAILOVER_CRASH;
    }
    /* Failing, and nobody said so: something was not heard. */
    return from_the_start && !failing ? FAILOVER_MANUAL : FAILOVER_UNKNOWN;
}

/* Whether this is the beginning of another attempt than the one that is open. */
static bool is_another(const struct heard *heard)
{
    const struct failover_record *record = heard->record;
    bool tries = heard->event->signal == FAILOVER_SIGNAL_TRY;
    struct failover_record_says says = failover_record_says(record);

    if (failover_record_has_switched(record) && heard->event->of && record->entry->has_from) {
        return !is_of_switched(heard);
    }
    if (failover_record_has_switched(record) || record->finished) {
        return tries || (!heard->vote->leading && says.leading);
    }
    return record->attempted && tries &&
           (heard->vote->trying || says.lead_is_lost ||
            heard->now.boot_ms - record->attempt_boot_ms > CONTEST_MS);
}

static bool starts(const struct failover_log_event *event)
{
    return event->signal == FAILOVER_SIGNAL_TRY || event->signal == FAILOVER_SIGNAL_ELECTED;
}

/* @return whether the attempt begins with this event. */
static bool begin_attempt(const struct heard *heard)
{
    struct failover_record *record = heard->record;

    if (record->attempted || failover_record_has_switched(record)) {
        return false;
    }
    record->attempted = true;
    record->attempt_boot_ms = heard->now.boot_ms;
    return true;
}

/* Have an entry whose attempt this Sentinel is part of. */
static void join_attempt(const struct heard *heard)
{
    struct failover_record *record = heard->record;
    const struct teller *teller = find_teller(record->log, heard->event);

    if (record->entry && is_another(heard)) {
        failover_record_make_way(record, heard->now);
    }
    if (!record->entry) {
        failover_record_open(record, heard->event->of, heard->now);
    }
    failover_record_attend(record);
    if (begin_attempt(heard)) {
        failover_log_edit(record->log, &record->entry)->kind = kind_of(heard, starts(heard->event));
    }
    if (!heard->vote->trying && teller && teller->epoch > record->entry->config_epoch &&
        !failover_record_has_switched(record)) {
        failover_log_edit(record->log, &record->entry)->config_epoch = teller->epoch;
    }
    heard->vote->trying = true;
    record->message_boot_ms = heard->now.boot_ms;
}

/* Whether an event of a failover is of ours at all. */
static bool begins_or_goes_on(const struct heard *heard)
{
    if (is_of_switched(heard)) {
        return !is_behind(heard, heard->record->entry->config_epoch);
    }
    return is_of_published(heard) && !is_stale(heard) &&
           (starts(heard->event) || !is_of_tail(heard));
}

static void lead(const struct heard *heard)
{
    if (heard->vote->leading) {
        return;
    }
    heard->vote->leading = true;
    memcpy(failover_log_edit(heard->record->log, &heard->record->entry)->leader,
           heard->vote->sentinel, ADDRESS_TEXT_SIZE);
}

static void choose(struct failover_record *record, const struct address *about)
{
    if (about && !failover_record_has_switched(record) &&
        !known_to_be(record->entry->has_from, &record->entry->from, about) &&
        !known_to_be(record->entry->has_to, &record->entry->to, about)) {
        struct failover *entry = failover_log_edit(record->log, &record->entry);

        entry->has_to = true;
        entry->to = *about;
    }
}

static void hear_progress(const struct heard *heard, enum failover_phase phase)
{
    struct failover_record *record = heard->record;
    const struct address *about = heard->event->about;

    /* A promotion that was published already is told once more. */
    if (!failover_record_has_switched(record) && phase == PHASE_PROMOTED && about &&
        known_to_be(record->has_published, &record->published, about)) {
        return;
    }
    if (!begins_or_goes_on(heard)) {
        return;
    }
    join_attempt(heard);
    lead(heard);
    if (phase != PHASE_ELECTED) { /* that one is about the master */
        choose(record, about);
    }
    failover_record_phase(record, phase, heard->now);
}

/*
 * +switch-master, by the leader at the end or by those who heard of it: for whom the leader is out
 * of sight it is the first announcement.
 */
static void hear_switched(const struct heard *heard)
{
    struct failover_record *record = heard->record;
    const struct failover *entry = record->entry;
    const struct address *about = heard->event->about;

    if (is_of_tail(heard)) {
        /* the next overtook it: its leader gave in without a word */
        failover_record_drop_tail(record);
    }
    if (!entry || !about || known_to_be(entry->has_from, &entry->from, about)) {
        return;
    }
    /* Where a Sentinel missed a failover in between, `of` may be a master from before the entry. */
    if (failover_record_has_switched(record) || failover_record_says(record).leading
            ? !known_to_be(entry->has_to, &entry->to, about)
            : !is_of_published(heard) || is_stale(heard)) {
        return;
    }
    if (begin_attempt(heard) && failover_record_says(record).down) {
        failover_log_edit(record->log, &record->entry)->kind = FAILOVER_CRASH;
    }
    failover_record_attend(record);
    choose(record, about);
    failover_record_phase(record, PHASE_PROMOTED, heard->now);
    record->message_boot_ms = heard->now.boot_ms;
}

/* Whether something is open, and not known to be away from another master. */
static bool is_of_open(const struct heard *heard)
{
    const struct failover *entry = heard->record->entry;

    return entry && (!entry->has_from || is_away_from(heard, &entry->from));
}

static void hear_finished(const struct heard *heard)
{
    struct failover_record *record = heard->record;

    if (is_of_tail(heard)) {
        failover_record_finish_tail(record, heard->now);
        return;
    }
    if (!is_of_open(heard) || record->finished) {
        return;
    }
    /*
     * By its leader; of one that has switched also by a Sentinel that was not heard before, while
     * no other leads.
     */
    if (!heard->vote->leading &&
        (!failover_record_has_switched(record) || failover_record_says(record).leading ||
         is_behind(heard, record->entry->config_epoch))) {
        return;
    }
    failover_record_phase(record, PHASE_FINISHED, heard->now);
    record->finished = true;
    record->message_boot_ms = heard->now.boot_ms;
}

static void hear_abort(const struct heard *heard, const char *reason)
{
    struct failover_record *record = heard->record;
    struct failover_record_vote *vote = heard->vote;
    bool led = vote->leading;

    if (!is_of_open(heard) || (failover_record_has_switched(record) && !record->adopted) ||
        (failover_record_says(record).trying && !vote->trying)) {
        return;
    }
    vote->trying = vote->leading = false;
    if (led ? failover_record_says(record).leading : failover_record_says(record).trying) {
        return; /* another one goes on */
    }
    failover_record_close(record, FAILOVER_ABORTED, reason, heard->now.wall_ms);
}

/* The Sentinel forgot the master (RESET, REMOVE): it will not say how its failover ended. */
static void hear_forgotten(const struct heard *heard)
{
    heard->vote->sdown = heard->vote->odown = false;
    if (is_of_tail(heard)) {
        failover_record_drop_tail(heard->record);
    } else if (heard->vote->trying) {
        hear_abort(heard, NULL);
    }
}

static void hear_up(const struct heard *heard)
{
    if (is_of_published(heard)) {
        heard->vote->odown = false;
        heard->vote->sdown =
            heard->vote->sdown && heard->event->signal == FAILOVER_SIGNAL_ODOWN_END;
    }
}

static void hear_try(const struct heard *heard)
{
    if (leads_tail(heard)) { /* a Sentinel is at one failover at a time */
        failover_record_drop_tail(heard->record);
    }
    if (begins_or_goes_on(heard)) {
        join_attempt(heard);
    }
}

static void hear_forced(struct failover_record *record, const struct failover_record_vote *vote)
{
    if (record->entry && vote->trying && record->entry->kind != FAILOVER_MANUAL) {
        failover_log_edit(record->log, &record->entry)->kind = FAILOVER_MANUAL;
    }
}

static void hear_lost(const struct heard *heard)
{
    if (!heard->vote->lost && heard->vote->leading) {
        /* how long it may stay away counts from here */
        heard->record->message_boot_ms = heard->now.boot_ms;
    }
}

/* ---- all ---- */

static void hear_of_master(const struct heard *heard)
{
    switch (heard->event->signal) {
    case FAILOVER_SIGNAL_SDOWN: hear_down(heard, PHASE_SDOWN); break;
    case FAILOVER_SIGNAL_ODOWN: hear_down(heard, PHASE_ODOWN); break;
    case FAILOVER_SIGNAL_SDOWN_END:
    case FAILOVER_SIGNAL_ODOWN_END: hear_up(heard); break;
    case FAILOVER_SIGNAL_TRY: hear_try(heard); break;
    case FAILOVER_SIGNAL_ELECTED: hear_progress(heard, PHASE_ELECTED); break;
    case FAILOVER_SIGNAL_SELECTED: hear_progress(heard, PHASE_SELECTED); break;
    case FAILOVER_SIGNAL_PROMOTING:
    case FAILOVER_SIGNAL_WAIT_PROMOTION: hear_progress(heard, PHASE_PROMOTING); break;
    case FAILOVER_SIGNAL_PROMOTED: hear_progress(heard, PHASE_PROMOTED); break;
    case FAILOVER_SIGNAL_SWITCHED: hear_switched(heard); break;
    case FAILOVER_SIGNAL_FINISHED:
    case FAILOVER_SIGNAL_FINISHED_BY_TIMEOUT: hear_finished(heard); break;
    case FAILOVER_SIGNAL_NOT_ELECTED: hear_abort(heard, "not_elected"); break;
    case FAILOVER_SIGNAL_NO_GOOD_SLAVE: hear_abort(heard, "no_good_slave"); break;
    case FAILOVER_SIGNAL_SLAVE_TIMEOUT: hear_abort(heard, "slave_timeout"); break;
    case FAILOVER_SIGNAL_MASTER_TIMEOUT: hear_abort(heard, "master_timeout"); break;
    case FAILOVER_SIGNAL_ABORTED: hear_abort(heard, NULL); break;
    case FAILOVER_SIGNAL_FORGOTTEN: hear_forgotten(heard); break;
    case FAILOVER_SIGNAL_FORCED: hear_forced(heard->record, heard->vote); break;
    case FAILOVER_SIGNAL_LOST: hear_lost(heard); break;
    case FAILOVER_SIGNAL_BUSY:
    case FAILOVER_SIGNAL_TILT:
    case FAILOVER_SIGNAL_TILT_END:
    case FAILOVER_SIGNAL_NEW_EPOCH:
    case FAILOVER_SIGNAL_SIGNALS_COUNT: break;
    }
}

void failover_log_hear(struct failover_log *failover_log, const struct failover_log_event *event,
                       struct failover_log_time now)
{
    struct heard heard = {.record = event->master, .event = event, .now = now};

    if (event->signal == FAILOVER_SIGNAL_TILT || event->signal == FAILOVER_SIGNAL_TILT_END) {
        hear_tilt(failover_log, event);
        return;
    }
    if (event->signal == FAILOVER_SIGNAL_NEW_EPOCH) {
        need_teller(failover_log, event)->epoch = event->epoch;
        return;
    }
    heard.vote = failover_record_vote(heard.record, event->sentinel);
    if (!heard.vote) {
        return;
    }
    if (event->failover_timeout_ms > 0) {
        heard.record->failover_timeout_ms = event->failover_timeout_ms;
    }
    hear_of_master(&heard);
    heard.vote->lost = event->signal == FAILOVER_SIGNAL_LOST;
    failover_record_review(heard.record, now);
}
