/*
 * The story of one master: its open entry from the first sign of trouble to the end, and what is
 * remembered between entries so that the next one tells the truth.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "failover_log_internal.h"

enum {
    VOICES_MAX = 64,
    /* Sentinels ask each other every second whether they agree, and believe an answer for five. */
    DOWN_MS = 10000,
    /* Sentinel's default: trouble that none has seen may last so much longer */
    DOWN_AFTER_MS = 30000,
    ELECTION_MS = 10000,          /* Sentinel's own limit, or failover-timeout where that is less */
    FAILOVER_TIMEOUT_MS = 180000, /* Sentinel's default */
    GRACE_MS = 10000,             /* for its own word on a time-out to come */
    /* switched, and no leader is heard that could say when it finishes */
    UNLED_MS = 5000,
    /* the leader is out of reach: it may come back, or the others tell of its success */
    LOST_MS = 10000,
    RESTART_TOLD_MS = 15000, /* where only rows tell it: they are up to ten seconds old */
    /* the Sentinels have finished, and the old master still is the answer here */
    UNPUBLISHED_MS = 60000,
};

/* ---- Sentinels ---- */

struct track_voice *track_voice(struct timeline_master *track, const char *sentinel)
{
    struct track_voice *voice;

    for (size_t i = 0; i < track->n_voices; i++) {
        if (strncmp(track->voices[i].sentinel, sentinel, ADDRESS_TEXT_SIZE - 1) == 0) {
            return &track->voices[i];
        }
    }
    for (size_t i = 0; i < track->n_voices && track->n_voices == VOICES_MAX; i++) {
        voice = &track->voices[i];
        if (!voice->sdown && !voice->trying) { /* has nothing to say any more */
            *voice = track->voices[--track->n_voices];
        }
    }
    if (track->n_voices == VOICES_MAX) {
        return NULL;
    }
    track->voices = mem_resize(track->voices, track->n_voices + 1, sizeof(*track->voices));
    voice = &track->voices[track->n_voices++];
    *voice = (struct track_voice){.sdown = false};
    memcpy(voice->sentinel, sentinel, strnlen(sentinel, ADDRESS_TEXT_SIZE - 1));
    return voice;
}

bool track_any_down(const struct timeline_master *track)
{
    for (size_t i = 0; i < track->n_voices; i++) {
        if (track->voices[i].sdown) {
            return true;
        }
    }
    return false;
}

bool track_any_trying(const struct timeline_master *track)
{
    for (size_t i = 0; i < track->n_voices; i++) {
        if (track->voices[i].trying) {
            return true;
        }
    }
    return false;
}

bool track_any_leading(const struct timeline_master *track)
{
    for (size_t i = 0; i < track->n_voices; i++) {
        if (track->voices[i].leading) {
            return true;
        }
    }
    return false;
}

bool track_lead_is_lost(const struct timeline_master *track)
{
    bool any = false;

    for (size_t i = 0; i < track->n_voices; i++) {
        if (track->voices[i].leading && !track->voices[i].lost) {
            return false;
        }
        any = any || track->voices[i].leading;
    }
    return any;
}

bool track_has_switched(const struct timeline_master *track)
{
    return track->entry && track->entry->outcome == FAILOVER_SWITCHED;
}

/* ---- opening ---- */

static bool site_in_tilt(const struct timeline *timeline, size_t site)
{
    for (size_t i = 0; i < timeline->n_tellers; i++) {
        if (timeline->tellers[i].site == site && timeline->tellers[i].tilt) {
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

void track_phase(struct timeline *timeline, struct timeline_master *track,
                 enum failover_phase phase, struct timeline_time at)
{
    if (failover_has_phase(track->entry, phase)) {
        return;
    }
    if (track->entry->n_phases == 0) {
        track->first_boot_ms = at.boot_ms;
    }
    add_phase(timeline_edit(timeline, &track->entry), phase, at.boot_ms - track->first_boot_ms,
              at.wall_ms);
}

/* What was heard while no entry was open, first things first. */
static void add_later(struct timeline *timeline, struct timeline_master *track,
                      struct timeline_time now)
{
    enum failover_phase first = PHASE_SDOWN, second = PHASE_ODOWN;

    if (track->later[first].set && track->later[second].set &&
        track->later[second].at.boot_ms < track->later[first].at.boot_ms) {
        first = PHASE_ODOWN;
        second = PHASE_SDOWN;
    }
    if (track->later[first].set) {
        track_phase(timeline, track, first, track->later[first].at);
    }
    if (track->later[second].set) {
        track_phase(timeline, track, second, track->later[second].at);
    }
    if (track->entry->n_phases > 0) {
        track->entry->began_wall_ms = track->entry->phases[0].at_wall_ms;
    } else {
        track->entry->began_wall_ms = now.wall_ms;
    }
}

static void forget_later(struct timeline_master *track)
{
    for (size_t i = 0; i < PHASES_COUNT; i++) {
        track->later[i].set = false;
    }
}

void track_open(struct timeline *timeline, struct timeline_master *track, const struct address *of,
                struct timeline_time now)
{
    const struct address *from = track->has_published ? &track->published : of;

    track->entry = timeline_add(timeline, track->name);
    timeline->n_open++;
    track->entry->has_from = from != NULL;
    if (from) {
        track->entry->from = *from;
    }
    track->news_boot_ms = now.boot_ms;
    track->attempted = track->finished = track->adopted = track->restarted = false;
    track->tilted = site_in_tilt(timeline, track->site);
    track->failed = track->failing;
    track->gap_ms = -1;
    track->undone = false;
    if (track->failing && !track->unresolved) {
        track_phase(timeline, track, PHASE_SUSPECTED, track->failing_since);
    }
    failover_unref(track->unresolved); /* what comes now is told in the new one */
    track->unresolved = NULL;
    add_later(timeline, track, now);
    forget_later(track);
}

void track_attend(struct timeline *timeline, struct timeline_master *track)
{
    if (track->entry->outcome == FAILOVER_UNATTENDED) {
        struct failover *entry = timeline_edit(timeline, &track->entry);

        entry->outcome = FAILOVER_RUNNING;
        entry->reason = NULL;
    }
}

/* ---- closing ---- */

static void hush_voices(struct timeline_master *track)
{
    for (size_t i = 0; i < track->n_voices; i++) {
        track->voices[i].trying = track->voices[i].leading = false;
    }
}

/* Nothing was published: how long the old master was away, as far as that is known now. */
static int64_t away_ms(const struct timeline_master *track)
{
    if (track->failing || !track->serving) {
        return -1;
    }
    if (track->failed) {
        return track->gap_ms;
    }
    return track->has_good ? 0 : -1;
}

void track_close(struct timeline *timeline, struct timeline_master *track,
                 enum failover_outcome outcome, const char *reason, int64_t ended_wall_ms)
{
    struct failover *entry = timeline_edit(timeline, &track->entry);
    bool goes_on = outcome != FAILOVER_SWITCHED && (track->failing || !track->serving);

    entry->outcome = outcome;
    entry->reason = outcome == FAILOVER_RECOVERED && track->restarted ? "restarted" : reason;
    entry->ended_wall_ms = ended_wall_ms;
    if (outcome != FAILOVER_SWITCHED) {
        entry->has_to = false;
    }
    if (outcome != FAILOVER_SWITCHED && !track->adopted) {
        entry->unavailable_ms = away_ms(track);
    }
    timeline_queue(&timeline->ended, entry);
    track->undone = outcome == FAILOVER_ABORTED && track->adopted;
    track->undone_to = entry->from;
    failover_unref(track->unresolved);
    track->unresolved = goes_on ? failover_ref(entry) : NULL;
    failover_unref(track->entry);
    track->entry = NULL;
    timeline->n_open--;
    hush_voices(track);
}

/* Nobody says how it ended: by how far it came. A leader that lives says why it gives up. */
static const char *why_aborted(const struct timeline_master *track, struct timeline_time now)
{
    const struct failover *entry = track->entry;
    bool led = failover_has_phase(entry, PHASE_ELECTED) ||
               failover_has_phase(entry, PHASE_SELECTED) ||
               failover_has_phase(entry, PHASE_PROMOTING) || track_any_leading(track);
    int64_t deadline = track_deadline_ms(track);

    if (track->finished ||
        (failover_has_phase(entry, PHASE_PROMOTED) && !track_lead_is_lost(track))) {
        return NULL; /* for the Sentinels it is done; only here nothing came of it */
    }
    if (!led) {
        return "not_elected";
    }
    return track_lead_is_lost(track) || (deadline >= 0 && now.boot_ms >= deadline)
               ? "leader_lost"
               : "slave_timeout";
}

/* What stood in its way. */
static const char *why_unstarted(const struct timeline_master *track)
{
    return track->tilted                                   ? "tilt"
           : failover_has_phase(track->entry, PHASE_ODOWN) ? "not_elected"
                                                           : "no_quorum";
}

void track_cut(struct timeline *timeline, struct timeline_master *track, struct timeline_time now)
{
    if (track_has_switched(track)) {
        track_close(timeline, track, FAILOVER_SWITCHED, NULL, track->published_wall_ms);
    } else if (track->attempted) {
        bool told = track->entry->outcome == FAILOVER_UNATTENDED;

        track_close(timeline, track, FAILOVER_ABORTED,
                    told ? track->entry->reason : why_aborted(track, now), now.wall_ms);
    } else {
        track_close(timeline, track, FAILOVER_NOT_STARTED, why_unstarted(track), now.wall_ms);
    }
}

/* The outage goes on, and nobody does anything about it. */
static void neglect(struct timeline *timeline, struct timeline_master *track,
                    struct timeline_time now)
{
    const char *reason = track->attempted ? why_aborted(track, now) : why_unstarted(track);
    struct failover *entry = timeline_edit(timeline, &track->entry);

    entry->outcome = FAILOVER_UNATTENDED;
    entry->reason = reason;
}

/* ---- what was set aside ---- */

static void end_tail(struct timeline *timeline, struct timeline_master *track,
                     int64_t ended_wall_ms)
{
    timeline_edit(timeline, &track->tail)->ended_wall_ms = ended_wall_ms;
    timeline_queue(&timeline->ended, track->tail);
    failover_unref(track->tail);
    track->tail = NULL;
    timeline->n_open--;
}

void track_drop_tail(struct timeline *timeline, struct timeline_master *track)
{
    if (track->tail) {
        end_tail(timeline, track, track->tail_published_wall_ms);
    }
}

void track_finish_tail(struct timeline *timeline, struct timeline_master *track,
                       struct timeline_time now)
{
    add_phase(timeline_edit(timeline, &track->tail), PHASE_FINISHED,
              now.boot_ms - track->tail_first_boot_ms, now.wall_ms);
    end_tail(timeline, track, now.wall_ms);
}

void track_make_way(struct timeline *timeline, struct timeline_master *track,
                    struct timeline_time now)
{
    if (!track_has_switched(track) || track->finished || !track_any_leading(track) ||
        track_lead_is_lost(track)) {
        track_cut(timeline, track, now);
        return;
    }
    track_drop_tail(timeline, track);
    track->tail = track->entry;
    track->tail_first_boot_ms = track->first_boot_ms;
    track->tail_news_boot_ms = track->news_boot_ms;
    track->tail_published_wall_ms = track->published_wall_ms;
    track->entry = NULL;
    hush_voices(track);
}

/* ---- what nodes say ---- */

void track_fail(struct timeline *timeline, struct timeline_master *track, struct timeline_time at)
{
    if (!track->failing) {
        track->failing = true;
        track->failing_since = at;
    }
    if (track->entry && !track_has_switched(track)) {
        track->failed = true;
        track_phase(timeline, track, PHASE_SUSPECTED, track->failing_since);
    }
}

/* The outage that outlived its entry is over. */
static void resolve(struct timeline *timeline, struct timeline_master *track)
{
    bool was_known = track->unresolved->unavailable_ms >= 0;
    struct failover *entry = timeline_edit(timeline, &track->unresolved);

    entry->unavailable_ms = track->gap_ms;
    if (!was_known && track->gap_ms >= 0) {
        timeline_queue(&timeline->resolved, entry);
    }
}

/* It answers (again). @param good by its role. */
static void track_well(struct timeline *timeline, struct timeline_master *track, bool good,
                       struct timeline_time at)
{
    if (track->failing) {
        track->failing = false;
        track->gap_ms = track->has_good ? at.boot_ms - track->good.boot_ms : -1;
        if (track->unresolved) {
            resolve(timeline, track);
            failover_unref(track->unresolved);
            track->unresolved = NULL;
            forget_later(track);
        }
    }
    if (good && (!track->has_good || at.boot_ms > track->good.boot_ms)) {
        track->has_good = true;
        track->good = at;
    }
}

void timeline_checked(struct timeline *timeline, struct timeline_master *track,
                      enum timeline_check check, struct timeline_time at)
{
    if (check == TIMELINE_BAD) {
        track_fail(timeline, track, at);
    } else {
        track_well(timeline, track, check == TIMELINE_GOOD, at);
    }
    track_review(timeline, track, at);
}

void timeline_restarted(struct timeline *timeline, struct timeline_master *track,
                        struct timeline_time now)
{
    struct failover **last = timeline_last(timeline, track->name);

    if (track->entry) {
        track->restarted = true;
    } else if (last && (*last)->outcome == FAILOVER_RECOVERED && !(*last)->reason &&
               now.wall_ms - (*last)->ended_wall_ms <= RESTART_TOLD_MS) {
        struct failover *entry = failover_ref(*last);

        timeline_edit(timeline, &entry)->reason = "restarted";
        failover_unref(entry);
    } else if (!last || (*last)->outcome == FAILOVER_RUNNING || (*last)->ended_wall_ms == 0 ||
               now.wall_ms - (*last)->ended_wall_ms > RESTART_TOLD_MS) {
        track_open(timeline, track, NULL, now); /* so fast that it never left `ok` */
        track_phase(timeline, track, PHASE_SUSPECTED, now);
        track->failed = true;
        track_close(timeline, track, FAILOVER_RECOVERED, "restarted", now.wall_ms);
    }
}

void timeline_state(struct timeline *timeline, struct timeline_master *track,
                    const struct address *published, enum master_state state,
                    struct timeline_time now)
{
    bool served = track->serving;

    if (published) {
        track->has_published = true;
        track->published = *published;
    }
    track->serving = master_state_serves(state);
    if (track->serving && !served) {
        track_well(timeline, track, state == MASTER_OK, now);
    } else if (served && !track->serving) {
        if (track_has_switched(track)) { /* the new one, already */
            track_make_way(timeline, track, now);
        }
        track_fail(timeline, track, now);
        if (!track->entry && !track->unresolved) {
            track_open(timeline, track, published, now);
        }
    }
    track_review(timeline, track, now);
}

/* ---- publications ---- */

static int64_t unavailable_ms(const struct timeline_master *track, struct timeline_time now)
{
    if (!track->has_good) {
        return -1;
    }
    if (track->entry->kind == FAILOVER_MANUAL && !track->failing) {
        return 0; /* it answered until it was replaced */
    }
    return now.boot_ms - track->good.boot_ms;
}

/* The new node's story begins. */
static void track_follow(struct timeline_master *track, const struct address *to, bool verified,
                         struct timeline_time now)
{
    track->has_published = true;
    track->published = *to;
    track->failing = false;
    track->has_good = verified;
    track->good = now;
    track->undone = false;
    failover_unref(track->unresolved);
    track->unresolved = NULL;
    forget_later(track);
    for (size_t i = 0; i < track->n_voices; i++) {
        track->voices[i].sdown = track->voices[i].odown = false; /* that was the old one */
    }
}

static void track_switch(struct timeline *timeline, struct timeline_master *track,
                         const struct address *from, const struct address *to, int64_t epoch,
                         bool adopted, struct timeline_time now)
{
    struct failover *entry = timeline_edit(timeline, &track->entry);

    if (entry->kind == FAILOVER_UNKNOWN && track->failing && track_any_down(track)) {
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
    entry->unavailable_ms = unavailable_ms(track, now);
    track->adopted = adopted;
    track->published_wall_ms = now.wall_ms;
    track->news_boot_ms = now.boot_ms;
    if (adopted) {
        track_phase(timeline, track, PHASE_ADOPTED, now);
    }
    track_phase(timeline, track, PHASE_PUBLISHED, now);
}

/* The way back from an adoption. */
static bool takes_back(struct timeline *timeline, struct timeline_master *track,
                       const struct address *to, struct timeline_time now)
{
    if (track_has_switched(track) && track->adopted && track->entry->has_from &&
        address_equal(&track->entry->from, to)) {
        track_close(timeline, track, FAILOVER_ABORTED, NULL, now.wall_ms);
    }
    return !track->entry && track->undone && address_equal(&track->undone_to, to);
}

void timeline_published(struct timeline *timeline, struct timeline_master *track,
                        const struct address *from, const struct address *to, int64_t epoch,
                        bool verified, bool adopted, struct timeline_time now)
{
    bool tells = from ? !address_equal(from, to)
                      : track->entry && track->attempted &&
                            !(track->entry->has_from && address_equal(&track->entry->from, to));

    if (tells && takes_back(timeline, track, to, now)) {
        tells = false;
    }
    if (tells && track_has_switched(track)) {
        if (address_equal(&track->entry->to, to)) {
            tells = false;
        } else {
            track_make_way(timeline, track, now);
        }
    }
    if (tells) {
        if (!track->entry) {
            track_open(timeline, track, from, now);
        }
        track_switch(timeline, track, from, to, epoch, adopted, now);
    }
    track->published_epoch = epoch;
    track->published_boot_ms = now.boot_ms;
    track_follow(track, to, verified, now);
    track_review(timeline, track, now);
}

/* ---- time ---- */

static int64_t timeout_ms(const struct timeline_master *track)
{
    return track->failover_timeout_ms > 0 ? track->failover_timeout_ms : FAILOVER_TIMEOUT_MS;
}

static int64_t patience_ms(const struct timeline_master *track)
{
    int64_t timeout = timeout_ms(track);

    if (track->entry->outcome == FAILOVER_UNATTENDED) {
        return -1;
    }
    if (track_has_switched(track)) {
        return !track_any_leading(track) || track_lead_is_lost(track) ? UNLED_MS
                                                                      : timeout + GRACE_MS;
    }
    if (track->finished) {
        return UNPUBLISHED_MS;
    }
    if (track->attempted && track_lead_is_lost(track)) {
        return LOST_MS;
    }
    if (failover_has_phase(track->entry, PHASE_PROMOTED)) {
        return UNPUBLISHED_MS;
    }
    if (track->attempted) {
        bool elected = track_any_leading(track);

        return GRACE_MS + (elected || timeout < ELECTION_MS ? timeout : ELECTION_MS);
    }
    return DOWN_MS + (track_any_down(track)      ? 0
                      : track->down_after_ms > 0 ? track->down_after_ms
                                                 : DOWN_AFTER_MS);
}

int64_t track_deadline_ms(const struct timeline_master *track)
{
    int64_t patience = track->entry ? patience_ms(track) : -1;

    return patience < 0 ? -1 : track->news_boot_ms + patience;
}

/* Of what was set aside. */
static int64_t tail_deadline_ms(const struct timeline_master *track)
{
    return track->tail ? track->tail_news_boot_ms + timeout_ms(track) + GRACE_MS : -1;
}

int64_t track_next_ms(const struct timeline_master *track)
{
    int64_t next = track_deadline_ms(track), tail = tail_deadline_ms(track);

    return next < 0 || (tail >= 0 && tail < next) ? tail : next;
}

/*
 * Without a master, and nothing is under way that could end it: not tried, or for the Sentinels all
 * is done.
 */
static bool goes_on_alone(const struct timeline_master *track)
{
    return !track->attempted || track->finished || failover_has_phase(track->entry, PHASE_PROMOTED);
}

void track_review(struct timeline *timeline, struct timeline_master *track,
                  struct timeline_time now)
{
    int64_t deadline = track_deadline_ms(track), tail_deadline = tail_deadline_ms(track);
    bool well = !track->failing && track->serving;

    if (tail_deadline >= 0 && now.boot_ms >= tail_deadline) {
        track_drop_tail(timeline, track);
    }
    if (!track->entry) {
        return;
    }
    if (track_has_switched(track)) {
        if (track->finished) {
            track_close(timeline, track, FAILOVER_SWITCHED, NULL, now.wall_ms);
        } else if (deadline >= 0 && now.boot_ms >= deadline) {
            track_cut(timeline, track, now);
        }
    } else if (!track->attempted && well &&
               (!track_any_down(track) || track->entry->outcome == FAILOVER_UNATTENDED)) {
        track_close(timeline, track, FAILOVER_RECOVERED, NULL, now.wall_ms);
    } else if (track->entry->outcome == FAILOVER_UNATTENDED) {
        if (well) {
            track_close(timeline, track, FAILOVER_ABORTED, track->entry->reason, now.wall_ms);
        }
    } else if (deadline >= 0 && now.boot_ms >= deadline) {
        if (!track->attempted && well && track->failed) {
            /* It came back, and the last -sdown was not heard. */
            track_close(timeline, track, FAILOVER_RECOVERED, NULL, now.wall_ms);
        } else if (well || !goes_on_alone(track)) {
            track_cut(timeline, track, now);
        } else {
            neglect(timeline, track, now);
        }
    }
}

void track_free(struct timeline_master *track)
{
    failover_unref(track->entry);
    failover_unref(track->tail);
    failover_unref(track->unresolved);
    free(track->voices);
    free(track->name);
    free(track);
}
