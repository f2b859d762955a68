/* What the failover log is told, and what comes of it. */
#ifndef BELLWETHER_WATCHER_FAILOVER_RECORDER_H
#define BELLWETHER_WATCHER_FAILOVER_RECORDER_H

#include "bellwether/topology/failover_log.h"

struct judgement;
struct loop_timer;
struct master;
struct sentinel_event;
struct sentinel_node;
struct sentinel_view;
struct watcher;

/* The failover log, and what of it was shown. */
struct failover_recorder {
    struct failover_log *failover_log;
    struct failovers *list; /* of `revision`; NULL: none yet */
    uint64_t revision;
    struct loop_timer *timer;
    bool told; /* something, in this turn */
};

void failover_recorder_init(struct watcher *watcher);
void failover_recorder_release(struct watcher *watcher);
/* The failover log follows that master from now on; before its first step. */
void failover_recorder_watch(struct master *master);
void failover_recorder_forget(struct master *master);
/*
 * A Sentinel's event, before anything is made of it. @param master NULL: it names none that is
 * watched there.
 */
void failover_recorder_event(const struct sentinel_node *sentinel, struct master *master,
                             const struct sentinel_event *event);
/* What an event means to the failover log. @return false: nothing. */
bool failover_recorder_signal(const struct sentinel_event *event, enum failover_log_signal *signal);
/* A Sentinel's row was read. */
void failover_recorder_row(const struct sentinel_view *view);
/* The link to the Sentinel is down. */
void failover_recorder_lose(const struct sentinel_view *view);
/* The published node was asked for its role; before the step that follows. */
void failover_recorder_role(const struct master *master, enum role_answer answer, int64_t asked_us);
/* What a step came to; before the master keeps it. */
void failover_recorder_step(struct master *master, const struct judgement *said);
/* The published node was restarted. */
void failover_recorder_restart(struct master *master);
/* At the end of a turn: what changed goes into the next snapshot, what ended into the log. */
void failover_recorder_settle(struct watcher *watcher);

#endif
