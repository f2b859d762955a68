/* One watched master: what its judge is fed, what it asks for. */
#ifndef BELLWETHER_WATCHER_WATCHED_MASTER_H
#define BELLWETHER_WATCHER_WATCHED_MASTER_H

#include "watcher.h"

/* @param name copied. @param configured it stays, whether a Sentinel monitors it or not. */
struct master *master_new(struct watcher *watcher, struct deployment *deployment, const char *name,
                          bool configured);
void master_free(struct master *master);
/* Ask that Sentinel about the master from now on. */
void master_add_sentinel_node(struct master *master, struct sentinel_node *sentinel);
void master_remove_sentinel_node(struct master *master, struct sentinel_node *sentinel);
/*
 * Step the judge and do what it asks for. Only where a turn ends, and where what is shown has to be
 * as of now: else turn_step_later().
 */
void master_step(struct master *master);
/*
 * Log a line where the state is another than that of the last line. @return when there may be
 * something to log though nothing is heard; -1: never.
 */
int64_t master_log_state(struct master *master, const struct judgement *said, int64_t now_ms);
/* A Sentinel's event about the master. */
void master_hear_event(struct master *master, struct sentinel_node *sentinel,
                       const struct sentinel_event *event);
/* There was a gap in the clock: nothing that was believed is believed any more. */
void master_void(struct master *master);

#endif
