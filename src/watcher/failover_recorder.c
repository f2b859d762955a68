/*
 * What the timeline is told: Sentinels' events as they come, role checks, states, publications. And
 * what comes of it: a snapshot with the new list, one line in the log for each failover that ended.
 */
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "watcher_internal.h"

enum { HISTORY = 64, LOG_FIELDS_MAX = 12 + PHASES_COUNT };

static struct timeline_time time_now(void)
{
    return (struct timeline_time){clock_boot_ms(), clock_wall_ms()};
}

/* ---- the failovers that ended ---- */

static const char *const phase_keys[PHASES_COUNT] = {
#define X(name, text) [PHASE_##name] = text "_ms",
    FAILOVER_PHASES(X)
#undef X
};

static void log_failover(const struct failover *failover)
{
    char from[ADDRESS_TEXT_SIZE] = "", to[ADDRESS_TEXT_SIZE] = "", began[CLOCK_TEXT_SIZE];
    struct log_field fields[LOG_FIELDS_MAX];
    size_t n = 0;

    clock_format_utc(failover->began_wall_ms, began);
    fields[n++] = LOG_STR("master", failover->name);
    fields[n++] = LOG_STR("outcome", failover_outcome_text(failover->outcome));
    if (failover->reason) {
        fields[n++] = LOG_STR("reason", failover->reason);
    }
    fields[n++] = LOG_STR("kind", failover_kind_text(failover->kind));
    if (failover->has_from) {
        fields[n++] = LOG_STR("from", address_format(&failover->from, from));
    }
    if (failover->has_to) {
        fields[n++] = LOG_STR("to", address_format(&failover->to, to));
    }
    if (failover->config_epoch != EPOCH_UNKNOWN) {
        fields[n++] = LOG_INT("epoch", failover->config_epoch);
    }
    if (failover->leader[0] != '\0') {
        fields[n++] = LOG_STR("leader", failover->leader);
    }
    fields[n++] = LOG_STR("began", began);
    if (failover->unavailable_ms >= 0) {
        fields[n++] = LOG_INT("unavailable_ms", failover->unavailable_ms);
    }
    for (size_t i = 0; i < failover->n_phases; i++) {
        fields[n++] = LOG_INT(phase_keys[failover->phases[i].phase], failover->phases[i].ms);
    }
    fields[n++] = LOG_INT("id", (int64_t)failover->id);
    log_write(failover->outcome == FAILOVER_SWITCHED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "failover",
              fields, n);
}

/* Its line in the log could not tell how long. */
static void log_resolved(const struct failover *failover)
{
    log_warn("the master is back after a failover that did not replace it",
             LOG_STR("master", failover->name), LOG_INT("unavailable_ms", failover->unavailable_ms),
             LOG_INT("id", (int64_t)failover->id));
}

static void story_arm(struct story *story)
{
    int64_t next_ms = timeline_next_ms(story->timeline);

    if (next_ms >= 0) {
        loop_timer_start(story->timer, next_ms - clock_boot_ms());
    } else {
        loop_timer_stop(story->timer);
    }
    story->told = false;
}

static void story_publish(struct watcher *watcher)
{
    struct story *story = &watcher->story;

    story->revision = timeline_revision(story->timeline);
    failovers_unref(story->list);
    story->list = timeline_list(story->timeline);
    watcher->reshaped = true;
    for (struct failover *ended; (ended = timeline_take_ended(story->timeline));
         failover_unref(ended)) {
        log_failover(ended);
        count_failover(watcher, ended);
    }
    for (struct failover *resolved; (resolved = timeline_take_resolved(story->timeline));
         failover_unref(resolved)) {
        log_resolved(resolved);
        count_unavailable(watcher, resolved);
    }
}

void story_settle(struct watcher *watcher)
{
    struct story *story = &watcher->story;
    bool changed = timeline_revision(story->timeline) != story->revision;

    if (changed) {
        story_publish(watcher);
    }
    if (changed || story->told) { /* deadlines move also where there is nothing new to show */
        story_arm(story);
    }
}

static void story_due(void *data)
{
    struct watcher *watcher = data;

    watcher_turn(watcher);
    (void)timeline_tick(watcher->story.timeline, time_now());
    watcher->story.told = true;
}

/* ---- what is heard ---- */

static const struct {
    enum sentinel_event_kind kind;
    enum timeline_signal signal;
    /* the instance must be the master itself: replicas and Sentinels go down, too */
    bool of_master;
} signals[] = {
    {SENTINEL_EVENT_SDOWN, TIMELINE_SDOWN, true},
    {SENTINEL_EVENT_SDOWN_END, TIMELINE_SDOWN_END, true},
    {SENTINEL_EVENT_ODOWN, TIMELINE_ODOWN, true},
    {SENTINEL_EVENT_ODOWN_END, TIMELINE_ODOWN_END, true},
    {SENTINEL_EVENT_TRY_FAILOVER, TIMELINE_TRY, false},
    {SENTINEL_EVENT_ELECTED_LEADER, TIMELINE_ELECTED, false},
    {SENTINEL_EVENT_SELECTED_SLAVE, TIMELINE_SELECTED, false},
    {SENTINEL_EVENT_SEND_SLAVEOF_NOONE, TIMELINE_PROMOTING, false},
    {SENTINEL_EVENT_WAIT_PROMOTION, TIMELINE_WAIT_PROMOTION, false},
    {SENTINEL_EVENT_PROMOTED_SLAVE, TIMELINE_PROMOTED, false},
    {SENTINEL_EVENT_SWITCH_MASTER, TIMELINE_SWITCHED, false},
    {SENTINEL_EVENT_FAILOVER_END, TIMELINE_FINISHED, false},
    {SENTINEL_EVENT_FAILOVER_END_FOR_TIMEOUT, TIMELINE_FINISHED_BY_TIMEOUT, false},
    {SENTINEL_EVENT_ABORT_NOT_ELECTED, TIMELINE_NOT_ELECTED, false},
    {SENTINEL_EVENT_ABORT_NO_GOOD_SLAVE, TIMELINE_NO_GOOD_SLAVE, false},
    {SENTINEL_EVENT_ABORT_SLAVE_TIMEOUT, TIMELINE_SLAVE_TIMEOUT, false},
    {SENTINEL_EVENT_ABORT_MASTER_TIMEOUT, TIMELINE_MASTER_TIMEOUT, false},
    {SENTINEL_EVENT_ABORT_OTHER, TIMELINE_ABORTED, false},
    {SENTINEL_EVENT_RESET_MASTER, TIMELINE_FORGOTTEN, false},
    {SENTINEL_EVENT_MONITOR_END, TIMELINE_FORGOTTEN, false},
    {SENTINEL_EVENT_TILT, TIMELINE_TILT, false},
    {SENTINEL_EVENT_TILT_END, TIMELINE_TILT_END, false},
    {SENTINEL_EVENT_NEW_EPOCH, TIMELINE_NEW_EPOCH, false},
};

bool story_signal(const struct sentinel_event *event, enum timeline_signal *signal)
{
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        if (signals[i].kind == event->kind &&
            (!signals[i].of_master || event->instance == SENTINEL_INSTANCE_MASTER)) {
            *signal = signals[i].signal;
            return true;
        }
    }
    return false;
}

static void story_tell(const struct peer *peer, struct master *master, enum timeline_signal signal,
                       const struct address *of, const struct address *about, int64_t epoch)
{
    struct watcher *watcher = peer->site->watcher;
    const struct chair *chair = master ? master_chair(master, peer) : NULL;
    char sentinel[ADDRESS_TEXT_SIZE];
    struct timeline_event event = {
        .signal = signal,
        .master = master ? master->track : NULL,
        .site = (size_t)(peer->site - watcher->sites),
        .sentinel = address_format(sentinel_link_address(peer->link), sentinel),
        .of = of,
        .about = about,
        .epoch = epoch,
        .failover_timeout_ms = chair && chair->has_row ? chair->row.failover_timeout_ms : -1,
    };

    timeline_hear(watcher->story.timeline, &event, time_now());
    watcher->story.told = true;
}

/*
 * The timeline compares texts, and Sentinels may call one node differently: it hears one of them.
 */
static const struct address *spell(const struct master *master, const struct address *address)
{
    struct resolver *resolver = master->site->resolver;
    const struct snapshot_master *shown = master->shown;

    for (size_t i = 0; i < 2; i++) {
        if (address_is_set(&master->spelled[i]) &&
            resolver_same(resolver, &master->spelled[i], address)) {
            return &master->spelled[i];
        }
    }
    for (size_t i = 0; shown && i < shown->n_replicas; i++) {
        if (resolver_same(resolver, &shown->replicas[i].address, address)) {
            return &shown->replicas[i].address;
        }
    }
    return address;
}

/*
 * As it is called here: one node has several names where Sentinels announce host names and others
 * don't.
 * @return false where a Sentinel's word on it is not believed.
 */
static bool story_name(const struct peer *peer, const struct master *master,
                       const struct address *given, struct address *out)
{
    struct address mapped;

    if (!peer_map_address(peer, given, &mapped)) {
        return false;
    }
    *out = *spell(master, &mapped);
    return true;
}

void story_event(const struct peer *peer, struct master *master, const struct sentinel_event *event)
{
    struct address of, about;
    enum timeline_signal signal;

    if (!story_signal(event, &signal)) {
        return;
    }
    bool of_none =
        signal == TIMELINE_TILT || signal == TIMELINE_TILT_END || signal == TIMELINE_NEW_EPOCH;
    if (!master && !of_none) {
        return;
    }
    bool has_of = !of_none && address_is_set(&event->master_address),
         has_about = !of_none && address_is_set(&event->address);
    if ((has_of && !story_name(peer, master, &event->master_address, &of)) ||
        (has_about && !story_name(peer, master, &event->address, &about))) {
        return;
    }
    story_tell(peer, of_none ? NULL : master, signal, has_of ? &of : NULL,
               has_about ? &about : NULL, event->epoch);
}

void story_row(const struct chair *chair)
{
    if (!chair->has_row) {
        return;
    }
    if (chair->row.down_after_ms > 0) {
        timeline_down_after(chair->master->track, chair->row.down_after_ms);
    }
    if (chair->row.failover_state[0] != '\0') {
        story_tell(chair->peer, chair->master, TIMELINE_BUSY, NULL, NULL, EPOCH_UNKNOWN);
    }
    if ((chair->row.flags & (SENTINEL_FORCE_FAILOVER | SENTINEL_COORDINATED_FAILOVER)) != 0) {
        story_tell(chair->peer, chair->master, TIMELINE_FORCED, NULL, NULL, EPOCH_UNKNOWN);
    }
}

void story_lose(const struct chair *chair)
{
    story_tell(chair->peer, chair->master, TIMELINE_LOST, NULL, NULL, EPOCH_UNKNOWN);
}

/* A good answer proves nothing about later than the question, a bad one is news as of now. */
void story_role(const struct master *master, enum role_answer answer, int64_t asked_us)
{
    struct timeline_time at = time_now();
    enum timeline_check check = TIMELINE_BAD;

    if (answer == ROLE_MASTER) {
        check = TIMELINE_GOOD;
    } else if (answer == ROLE_NOPERM || answer == ROLE_NOAUTH) {
        check = TIMELINE_ALIVE;
    }
    if (check != TIMELINE_BAD) {
        at.wall_ms -= at.boot_ms - asked_us / 1000;
        at.boot_ms = asked_us / 1000;
    }
    timeline_checked(master->watcher->story.timeline, master->track, check, at);
}

void story_step(struct master *master, const struct judgement *said)
{
    struct timeline *timeline = master->watcher->story.timeline;
    const struct address *published = said->published ? &master->spelled[0] : NULL;

    if (said->switched && published) {
        struct address from = master->spelled[0],
                       to = *spell(master, &said->published->master.name);

        master->spelled[1] = from;
        master->spelled[0] = to;
        timeline_published(timeline, master->track, master->has_published ? &from : NULL, published,
                           said->published->epoch, said->state == MASTER_OK, said->adopted,
                           time_now());
    }
    /* After a gap in the clock nothing is known, which is not the node's fault. */
    bool unsure = !master_state_serves(said->state) && said->reason == REASON_STARTING;
    if (unsure || (!said->switched && said->state == master->told)) {
        return;
    }
    master->told = said->state;
    timeline_state(timeline, master->track, published, said->state, time_now());
    master->watcher->story.told = true;
}

void story_restart(struct master *master)
{
    timeline_restarted(master->watcher->story.timeline, master->track, time_now());
    master->watcher->story.told = true;
}

/* ---- life ---- */

void story_watch(struct master *master)
{
    struct watcher *watcher = master->watcher;

    master->told = MASTER_UNKNOWN;
    master->track = timeline_watch(watcher->story.timeline, master->name,
                                   (size_t)(master->site - watcher->sites));
}

void story_forget(struct master *master)
{
    timeline_forget(master->watcher->story.timeline, master->track, time_now());
    master->track = NULL;
}

void story_init(struct watcher *watcher)
{
    int64_t history = watcher->config->history;

    watcher->story.timeline = timeline_new(history > 0 ? (size_t)history : HISTORY);
    watcher->story.timer = loop_timer_new(watcher->loop, story_due, watcher);
}

void story_release(struct watcher *watcher)
{
    loop_timer_free(watcher->story.timer);
    failovers_unref(watcher->story.list);
    timeline_free(watcher->story.timeline);
}
