/*
 * What the failover log is told: Sentinels' events as they come, role checks, states, publications.
 * And what comes of it: a snapshot with the new list, one line in the log for each failover that
 * ended.
 */
#include "failover_recorder.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"
#include "sentinel_signals.h"
#include "turn.h"
#include "watch_counters.h"

enum { HISTORY = 64, LOG_FIELDS_MAX = 12 + PHASES_COUNT };

static struct failover_log_time time_now(void)
{
    return (struct failover_log_time){clock_boot_ms(), clock_wall_ms()};
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

/* The failover's line in the log could not tell how long there was no master. */
static void log_resolved(const struct failover *failover)
{
    log_warn("the master is back after a failover that did not replace it",
             LOG_STR("master", failover->name), LOG_INT("unavailable_ms", failover->unavailable_ms),
             LOG_INT("id", (int64_t)failover->id));
}

static void failover_recorder_arm(struct failover_recorder *recorder)
{
    int64_t next_ms = failover_log_next_ms(recorder->failover_log);

    if (next_ms >= 0) {
        loop_timer_start(recorder->timer, next_ms - clock_boot_ms());
    } else {
        loop_timer_stop(recorder->timer);
    }
    recorder->told = false;
}

static void failover_recorder_publish(struct watcher *watcher)
{
    struct failover_recorder *recorder = &watcher->recorder;

    recorder->revision = failover_log_revision(recorder->failover_log);
    failovers_unref(recorder->list);
    recorder->list = failover_log_list(recorder->failover_log);
    watcher->reshaped = true;
    for (struct failover *ended; (ended = failover_log_take_ended(recorder->failover_log));
         failover_unref(ended)) {
        log_failover(ended);
        count_failover(watcher, ended);
    }
    for (struct failover *resolved; (resolved = failover_log_take_resolved(recorder->failover_log));
         failover_unref(resolved)) {
        log_resolved(resolved);
        count_unavailable(watcher, resolved);
    }
}

void failover_recorder_settle(struct watcher *watcher)
{
    struct failover_recorder *recorder = &watcher->recorder;
    bool changed = failover_log_revision(recorder->failover_log) != recorder->revision;

    if (changed) {
        failover_recorder_publish(watcher);
    }
    if (changed || recorder->told) { /* deadlines move also where there is nothing new to show */
        failover_recorder_arm(recorder);
    }
}

static void failover_recorder_due(void *data)
{
    struct watcher *watcher = data;

    turn_begin(watcher);
    (void)failover_log_tick(watcher->recorder.failover_log, time_now());
    watcher->recorder.told = true;
}

/* ---- what is heard ---- */

bool failover_recorder_signal(const struct sentinel_event *event, enum failover_log_signal *signal)
{
    const struct sentinel_signal *meant = sentinel_signal(event->kind);

    if (meant->log == SIGNAL_NONE ||
        (meant->log_of_master && event->instance != SENTINEL_INSTANCE_MASTER)) {
        return false;
    }
    *signal = (enum failover_log_signal)meant->log;
    return true;
}

static void failover_recorder_tell(const struct sentinel_node *sentinel, struct master *master,
                                   enum failover_log_signal signal, const struct address *of,
                                   const struct address *about, int64_t epoch)
{
    struct watcher *watcher = sentinel->deployment->watcher;
    const struct sentinel_view *view = master ? master_sentinel_view(master, sentinel) : NULL;
    char from[ADDRESS_TEXT_SIZE];
    struct failover_log_event event = {
        .signal = signal,
        .master = master ? master->record : NULL,
        .deployment = (size_t)(sentinel->deployment - watcher->deployments),
        .sentinel = sentinel_node_text(sentinel, from),
        .of = of,
        .about = about,
        .epoch = epoch,
        .failover_timeout_ms = view && view->has_row ? view->row.failover_timeout_ms : -1,
    };

    failover_log_hear(watcher->recorder.failover_log, &event, time_now());
    watcher->recorder.told = true;
}

/*
 * The failover log compares texts, and Sentinels may call one node differently: it hears one of
 * them.
 */
static const struct address *spell(const struct master *master, const struct address *address)
{
    struct resolver *resolver = master->deployment->resolver;
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
static bool failover_recorder_name(const struct sentinel_node *sentinel,
                                   const struct master *master, const struct address *given,
                                   struct address *out)
{
    struct address mapped;

    if (!sentinel_node_map_address(sentinel, given, &mapped)) {
        return false;
    }
    *out = *spell(master, &mapped);
    return true;
}

void failover_recorder_event(const struct sentinel_node *sentinel, struct master *master,
                             const struct sentinel_event *event)
{
    struct address of, about;
    enum failover_log_signal signal;

    if (!failover_recorder_signal(event, &signal)) {
        return;
    }
    bool of_none = signal == FAILOVER_SIGNAL_TILT || signal == FAILOVER_SIGNAL_TILT_END ||
                   signal == FAILOVER_SIGNAL_NEW_EPOCH;
    if (!master && !of_none) {
        return;
    }
    bool has_of = !of_none && address_is_set(&event->master_address),
         has_about = !of_none && address_is_set(&event->address);
    if ((has_of && !failover_recorder_name(sentinel, master, &event->master_address, &of)) ||
        (has_about && !failover_recorder_name(sentinel, master, &event->address, &about))) {
        return;
    }
    failover_recorder_tell(sentinel, of_none ? NULL : master, signal, has_of ? &of : NULL,
                           has_about ? &about : NULL, event->epoch);
}

void failover_recorder_row(const struct sentinel_view *view)
{
    if (!view->has_row) {
        return;
    }
    if (view->row.down_after_ms > 0) {
        failover_log_down_after(view->master->record, view->row.down_after_ms);
    }
    if (view->row.failover_state[0] != '\0') {
        failover_recorder_tell(view->sentinel, view->master, FAILOVER_SIGNAL_BUSY, NULL, NULL,
                               EPOCH_UNKNOWN);
    }
    if ((view->row.flags & (SENTINEL_FORCE_FAILOVER | SENTINEL_COORDINATED_FAILOVER)) != 0) {
        failover_recorder_tell(view->sentinel, view->master, FAILOVER_SIGNAL_FORCED, NULL, NULL,
                               EPOCH_UNKNOWN);
    }
}

void failover_recorder_lose(const struct sentinel_view *view)
{
    failover_recorder_tell(view->sentinel, view->master, FAILOVER_SIGNAL_LOST, NULL, NULL,
                           EPOCH_UNKNOWN);
}

void failover_recorder_role(const struct master *master, enum role_answer answer, int64_t asked_us)
{
    struct failover_log_time at = time_now();
    enum failover_log_check check = FAILOVER_CHECK_BAD;

    if (answer == ROLE_MASTER) {
        check = FAILOVER_CHECK_GOOD;
    } else if (role_unknowable(answer)) {
        check = FAILOVER_CHECK_ALIVE;
    }
    if (check != FAILOVER_CHECK_BAD) {
        at.wall_ms -= at.boot_ms - asked_us / 1000;
        at.boot_ms = asked_us / 1000;
    }
    failover_log_checked(master->record, check, at);
}

void failover_recorder_step(struct master *master, const struct judgement *said)
{
    const struct address *published = said->published ? &master->spelled[0] : NULL;

    if (said->switched && said->published) {
        struct address from = master->spelled[0],
                       to = *spell(master, &said->published->master.name);

        master->spelled[1] = from;
        master->spelled[0] = to;
        failover_log_published(master->record, master->has_published ? &from : NULL, published,
                               said->published->epoch, said->state == MASTER_OK, said->adopted,
                               time_now());
    }
    /* After a gap in the clock nothing is known, which is not the node's fault. */
    bool unsure = said->reason == REASON_WATCHER_STALLED;
    if (unsure || (!said->switched && said->state == master->told)) {
        return;
    }
    master->told = said->state;
    failover_log_state(master->record, published, said->state, time_now());
    master->watcher->recorder.told = true;
}

void failover_recorder_restart(struct master *master)
{
    failover_log_restarted(master->record, time_now());
    master->watcher->recorder.told = true;
}

/* ---- life ---- */

void failover_recorder_watch(struct master *master)
{
    struct watcher *watcher = master->watcher;

    master->told = MASTER_UNKNOWN;
    master->record = failover_log_watch(watcher->recorder.failover_log, master->name,
                                        (size_t)(master->deployment - watcher->deployments));
}

void failover_recorder_forget(struct master *master)
{
    failover_log_forget(master->record, time_now());
    master->record = NULL;
}

void failover_recorder_init(struct watcher *watcher)
{
    int64_t history = watcher->config->history;

    watcher->recorder.failover_log = failover_log_new(history > 0 ? (size_t)history : HISTORY);
    watcher->recorder.timer = loop_timer_new(watcher->loop, failover_recorder_due, watcher);
}

void failover_recorder_release(struct watcher *watcher)
{
    loop_timer_free(watcher->recorder.timer);
    failovers_unref(watcher->recorder.list);
    failover_log_free(watcher->recorder.failover_log);
}
