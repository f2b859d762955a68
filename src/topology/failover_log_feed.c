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

static struct teller *find_teller(const struct timeline *timeline,
                                  const struct timeline_event *event)
{
    for (size_t i = 0; i < timeline->n_tellers; i++) {
        struct teller *teller = &timeline->tellers[i];

        if (teller->site == event->site &&
            strncmp(teller->sentinel, event->sentinel, ADDRESS_TEXT_SIZE - 1) == 0) {
            return teller;
        }
    }
    return NULL;
}

static struct teller *need_teller(struct timeline *timeline, const struct timeline_event *event)
{
    struct teller *teller = find_teller(timeline, event);

    if (teller) {
        return teller;
    }
    if (timeline->n_tellers == TELLERS_MAX) { /* addresses come and go: the oldest goes */
        timeline->n_tellers--;
        memmove(timeline->tellers, timeline->tellers + 1,
                timeline->n_tellers * sizeof(*timeline->tellers));
    }
    timeline->tellers =
        mem_resize(timeline->tellers, timeline->n_tellers + 1, sizeof(*timeline->tellers));
    teller = &timeline->tellers[timeline->n_tellers++];
    *teller = (struct teller){.site = event->site, .epoch = EPOCH_UNKNOWN};
    memcpy(teller->sentinel, event->sentinel, strnlen(event->sentinel, ADDRESS_TEXT_SIZE - 1));
    return teller;
}

static void hear_tilt(struct timeline *timeline, const struct timeline_event *event)
{
    need_teller(timeline, event)->tilt = event->signal == TIMELINE_TILT;
    for (struct timeline_master *track = timeline->tracks; track && event->signal == TIMELINE_TILT;
         track = track->next) {
        track->tilted = track->tilted || track->site == event->site;
    }
}

/* ---- whose ---- */

static bool is_away_from(const struct timeline_event *event, const struct address *master)
{
    return !event->of || address_equal(event->of, master);
}

static bool is_of_published(const struct timeline_master *track, const struct timeline_event *event)
{
    return !track->has_published || is_away_from(event, &track->published);
}

/* Late news: of the failover that has moved the answer already. */
static bool is_of_switched(const struct timeline_master *track, const struct timeline_event *event)
{
    return track_has_switched(track) && event->of && track->entry->has_from &&
           address_equal(event->of, &track->entry->from);
}

/* Who says so has not heard of the failover of that epoch, so it did not lead it either. */
static bool is_behind(const struct timeline *timeline, const struct timeline_event *event,
                      int64_t epoch)
{
    const struct teller *teller = find_teller(timeline, event);

    return teller && teller->epoch != EPOCH_UNKNOWN && teller->epoch < epoch;
}

/* There and back: it is about the published one as it was before. */
static bool is_stale(const struct timeline *timeline, const struct timeline_master *track,
                     const struct timeline_event *event, struct timeline_time now)
{
    return track->has_published && is_behind(timeline, event, track->published_epoch) &&
           now.boot_ms - track->published_boot_ms < STALE_MS;
}

static bool leads_tail(const struct timeline_master *track, const struct track_voice *voice)
{
    return track->tail && strncmp(track->tail->leader, voice->sentinel, ADDRESS_TEXT_SIZE - 1) == 0;
}

/* By the leader of the failover before this one, which it has not ended yet. */
static bool is_of_tail(const struct timeline_master *track, const struct track_voice *voice,
                       const struct timeline_event *event)
{
    return leads_tail(track, voice) && !voice->trying && is_away_from(event, &track->tail->from);
}

/* ---- down ---- */

static void hear_down(struct timeline *timeline, struct timeline_master *track,
                      struct track_voice *voice, const struct timeline_event *event,
                      struct timeline_time now)
{
    enum failover_phase phase = event->signal == TIMELINE_ODOWN ? PHASE_ODOWN : PHASE_SDOWN;

    if (!is_of_published(track, event) || is_stale(timeline, track, event, now)) {
        return;
    }
    voice->sdown = true;
    voice->odown = voice->odown || phase == PHASE_ODOWN;
    if (track_has_switched(track)) { /* the new one, already */
        track_make_way(timeline, track, now);
    }
    if (!track->entry && track->unresolved) {
        /* More of what the entry that ended has told already is no news. */
        if (!track->later[phase].set && !failover_has_phase(track->unresolved, phase)) {
            track->later[phase].set = true;
            track->later[phase].at = now;
        }
        return;
    }
    if (!track->entry) {
        track_open(timeline, track, event->of, now);
    }
    if (!failover_has_phase(track->entry, phase)) {
        track_attend(timeline, track);
    }
    track_phase(timeline, track, phase, now);
    if (!track->attempted) {
        track->news_boot_ms = now.boot_ms;
        timeline_edit(timeline, &track->entry)->kind = FAILOVER_CRASH;
    }
}

/* ---- attempts ---- */

static enum failover_kind kind_of(const struct timeline_master *track,
                                  const struct track_voice *voice, bool from_the_start)
{
    if (voice->sdown || (track->failing && track_any_down(track))) {
        return FAILOVER_CRASH;
    }
    /* Failing, and nobody said so: something was not heard. */
    return from_the_start && !track->failing ? FAILOVER_MANUAL : FAILOVER_UNKNOWN;
}

/* Whether this is the beginning of another attempt than the one that is open. */
static bool is_another(const struct timeline_master *track, const struct track_voice *voice,
                       const struct timeline_event *event, struct timeline_time now)
{
    if (track_has_switched(track) && event->of && track->entry->has_from) {
        return !is_of_switched(track, event);
    }
    if (track_has_switched(track) || track->finished) {
        return event->signal == TIMELINE_TRY || !(voice->leading || !track_any_leading(track));
    }
    if (!track->attempted || event->signal != TIMELINE_TRY) {
        return false;
    }
    return voice->trying || track_lead_is_lost(track) ||
           now.boot_ms - track->attempt_boot_ms > CONTEST_MS;
}

static bool starts(const struct timeline_event *event)
{
    return event->signal == TIMELINE_TRY || event->signal == TIMELINE_ELECTED;
}

/* Have an entry whose attempt this Sentinel is part of. */
static void join_attempt(struct timeline *timeline, struct timeline_master *track,
                         struct track_voice *voice, const struct timeline_event *event,
                         struct timeline_time now)
{
    const struct teller *teller = find_teller(timeline, event);

    if (track->entry && is_another(track, voice, event, now)) {
        track_make_way(timeline, track, now);
    }
    if (!track->entry) {
        track_open(timeline, track, event->of, now);
    }
    track_attend(timeline, track);
    if (!track->attempted && !track_has_switched(track)) {
        track->attempted = true;
        track->attempt_boot_ms = now.boot_ms;
        timeline_edit(timeline, &track->entry)->kind = kind_of(track, voice, starts(event));
    }
    if (!voice->trying && teller && teller->epoch > track->entry->config_epoch &&
        !track_has_switched(track)) {
        timeline_edit(timeline, &track->entry)->config_epoch = teller->epoch;
    }
    voice->trying = true;
    track->news_boot_ms = now.boot_ms;
}

/* Whether an event of a failover is of ours at all. */
static bool begins_or_goes_on(const struct timeline *timeline, const struct timeline_master *track,
                              const struct track_voice *voice, const struct timeline_event *event,
                              struct timeline_time now)
{
    if (is_of_switched(track, event)) {
        return !is_behind(timeline, event, track->entry->config_epoch);
    }
    return is_of_published(track, event) && !is_stale(timeline, track, event, now) &&
           (starts(event) || !is_of_tail(track, voice, event));
}

static void lead(struct timeline *timeline, struct timeline_master *track,
                 struct track_voice *voice)
{
    if (voice->leading) {
        return;
    }
    voice->leading = true;
    memcpy(timeline_edit(timeline, &track->entry)->leader, voice->sentinel, ADDRESS_TEXT_SIZE);
}

static void choose(struct timeline *timeline, struct timeline_master *track,
                   const struct address *about)
{
    if (about && !track_has_switched(track) &&
        !(track->entry->has_from && address_equal(&track->entry->from, about)) &&
        !(track->entry->has_to && address_equal(&track->entry->to, about))) {
        struct failover *entry = timeline_edit(timeline, &track->entry);

        entry->has_to = true;
        entry->to = *about;
    }
}

static void hear_progress(struct timeline *timeline, struct timeline_master *track,
                          struct track_voice *voice, const struct timeline_event *event,
                          enum failover_phase phase, struct timeline_time now)
{
    /* Told once more after all was over. */
    if (!track_has_switched(track) && phase == PHASE_PROMOTED && event->about &&
        track->has_published && address_equal(event->about, &track->published)) {
        return;
    }
    if (!begins_or_goes_on(timeline, track, voice, event, now)) {
        return;
    }
    join_attempt(timeline, track, voice, event, now);
    lead(timeline, track, voice);
    if (phase != PHASE_ELECTED) { /* that one is about the master */
        choose(timeline, track, event->about);
    }
    track_phase(timeline, track, phase, now);
}

/*
 * +switch-master, by the leader at the end or by those who heard of it: for whom the leader is out
 * of sight it is the first announcement.
 */
static void hear_switched(struct timeline *timeline, struct timeline_master *track,
                          const struct track_voice *voice, const struct timeline_event *event,
                          struct timeline_time now)
{
    const struct failover *entry = track->entry;

    if (is_of_tail(track, voice, event)) {
        /* the next overtook it: its leader gave in without a word */
        track_drop_tail(timeline, track);
    }
    if (!entry || !event->about || (entry->has_from && address_equal(event->about, &entry->from))) {
        return;
    }
    /* Its first half may be older than the entry, where a Sentinel missed a failover in between. */
    if (track_has_switched(track) || track_any_leading(track)
            ? !entry->has_to || !address_equal(event->about, &entry->to)
            : !is_of_published(track, event) || is_stale(timeline, track, event, now)) {
        return;
    }
    if (!track->attempted && !track_has_switched(track)) {
        track->attempted = true;
        track->attempt_boot_ms = now.boot_ms;
        if (track_any_down(track)) {
            timeline_edit(timeline, &track->entry)->kind = FAILOVER_CRASH;
        }
    }
    track_attend(timeline, track);
    choose(timeline, track, event->about);
    track_phase(timeline, track, PHASE_PROMOTED, now);
    track->news_boot_ms = now.boot_ms;
}

static void hear_finished(struct timeline *timeline, struct timeline_master *track,
                          struct track_voice *voice, const struct timeline_event *event,
                          struct timeline_time now)
{
    if (is_of_tail(track, voice, event)) {
        track_finish_tail(timeline, track, now);
        return;
    }
    if (!track->entry || track->finished ||
        (track->entry->has_from && !is_away_from(event, &track->entry->from))) {
        return;
    }
    /*
     * By its leader; of one that has switched also by a Sentinel that was not heard before, while
     * no other leads.
     */
    if (!voice->leading && (!track_has_switched(track) || track_any_leading(track) ||
                            is_behind(timeline, event, track->entry->config_epoch))) {
        return;
    }
    track_phase(timeline, track, PHASE_FINISHED, now);
    track->finished = true;
    track->news_boot_ms = now.boot_ms;
}

static void hear_abort(struct timeline *timeline, struct timeline_master *track,
                       struct track_voice *voice, const struct timeline_event *event,
                       const char *reason, struct timeline_time now)
{
    bool led = voice->leading;

    if (!track->entry || (track->entry->has_from && !is_away_from(event, &track->entry->from)) ||
        (track_has_switched(track) && !track->adopted) ||
        (track_any_trying(track) && !voice->trying)) {
        return;
    }
    voice->trying = voice->leading = false;
    if (led ? track_any_leading(track) : track_any_trying(track)) {
        return; /* another one goes on */
    }
    track_close(timeline, track, FAILOVER_ABORTED, reason, now.wall_ms);
}

/* Its state is gone: RESET or REMOVE. It will not say how that ended. */
static void hear_forgotten(struct timeline *timeline, struct timeline_master *track,
                           struct track_voice *voice, const struct timeline_event *event,
                           struct timeline_time now)
{
    voice->sdown = voice->odown = false;
    if (is_of_tail(track, voice, event)) {
        track_drop_tail(timeline, track);
    } else if (voice->trying) {
        hear_abort(timeline, track, voice, event, NULL, now);
    }
}

static void hear_lost(struct timeline_master *track, struct track_voice *voice,
                      struct timeline_time now)
{
    if (!voice->lost && voice->leading) {
        track->news_boot_ms = now.boot_ms; /* how long it may stay away counts from here */
    }
    voice->lost = true;
}

/* ---- all ---- */

static void hear_of_master(struct timeline *timeline, struct timeline_master *track,
                           struct track_voice *voice, const struct timeline_event *event,
                           struct timeline_time now)
{
    switch (event->signal) {
    case TIMELINE_SDOWN:
    case TIMELINE_ODOWN: hear_down(timeline, track, voice, event, now); break;
    case TIMELINE_SDOWN_END:
        if (is_of_published(track, event)) {
            voice->sdown = voice->odown = false;
        }
        break;
    case TIMELINE_ODOWN_END:
        if (is_of_published(track, event)) {
            voice->odown = false;
        }
        break;
    case TIMELINE_TRY:
        if (leads_tail(track, voice)) { /* a Sentinel is at one failover at a time */
            track_drop_tail(timeline, track);
        }
        if (begins_or_goes_on(timeline, track, voice, event, now)) {
            join_attempt(timeline, track, voice, event, now);
        }
        break;
    case TIMELINE_ELECTED: hear_progress(timeline, track, voice, event, PHASE_ELECTED, now); break;
    case TIMELINE_SELECTED:
        hear_progress(timeline, track, voice, event, PHASE_SELECTED, now);
        break;
    case TIMELINE_PROMOTING:
    case TIMELINE_WAIT_PROMOTION:
        hear_progress(timeline, track, voice, event, PHASE_PROMOTING, now);
        break;
    case TIMELINE_PROMOTED:
        hear_progress(timeline, track, voice, event, PHASE_PROMOTED, now);
        break;
    case TIMELINE_SWITCHED: hear_switched(timeline, track, voice, event, now); break;
    case TIMELINE_FINISHED:
    case TIMELINE_FINISHED_BY_TIMEOUT: hear_finished(timeline, track, voice, event, now); break;
    case TIMELINE_NOT_ELECTED: hear_abort(timeline, track, voice, event, "not_elected", now); break;
    case TIMELINE_NO_GOOD_SLAVE:
        hear_abort(timeline, track, voice, event, "no_good_slave", now);
        break;
    case TIMELINE_SLAVE_TIMEOUT:
        hear_abort(timeline, track, voice, event, "slave_timeout", now);
        break;
    case TIMELINE_MASTER_TIMEOUT:
        hear_abort(timeline, track, voice, event, "master_timeout", now);
        break;
    case TIMELINE_ABORTED: hear_abort(timeline, track, voice, event, NULL, now); break;
    case TIMELINE_FORGOTTEN: hear_forgotten(timeline, track, voice, event, now); break;
    case TIMELINE_FORCED:
        if (track->entry && voice->trying && track->entry->kind != FAILOVER_MANUAL) {
            timeline_edit(timeline, &track->entry)->kind = FAILOVER_MANUAL;
        }
        break;
    case TIMELINE_LOST: hear_lost(track, voice, now); break;
    case TIMELINE_BUSY:
    case TIMELINE_TILT:
    case TIMELINE_TILT_END:
    case TIMELINE_NEW_EPOCH:
    case TIMELINE_SIGNALS_COUNT: break;
    }
}

void timeline_hear(struct timeline *timeline, const struct timeline_event *event,
                   struct timeline_time now)
{
    struct timeline_master *track = event->master;
    struct track_voice *voice;

    if (event->signal == TIMELINE_TILT || event->signal == TIMELINE_TILT_END) {
        hear_tilt(timeline, event);
        return;
    }
    if (event->signal == TIMELINE_NEW_EPOCH) {
        need_teller(timeline, event)->epoch = event->epoch;
        return;
    }
    voice = track_voice(track, event->sentinel);
    if (!voice) {
        return;
    }
    if (event->failover_timeout_ms > 0) {
        track->failover_timeout_ms = event->failover_timeout_ms;
    }
    hear_of_master(timeline, track, voice, event, now);
    voice->lost = event->signal == TIMELINE_LOST;
    track_review(timeline, track, now);
}
