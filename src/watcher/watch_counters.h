/* What /metrics shows of the watcher's work. */
#ifndef BELLWETHER_WATCHER_WATCH_COUNTERS_H
#define BELLWETHER_WATCHER_WATCH_COUNTERS_H

#include "watcher.h"

struct count_reload {
    bool asked, failed;
    int64_t changed_ms; /* wall clock: the youngest value of a file */
};
void count_init(struct watcher *watcher, struct metrics *metrics);
void count_release(struct watcher *watcher);
/** When the first certificate of each kind ends; 0: there is none. */
void count_certificates(const struct watcher *watcher,
                        const int64_t ends_s[METRIC_CERTIFICATE_COUNT]);
void count_reload(struct watcher *watcher, const struct count_reload *reload);
void count_event(struct watcher *watcher, enum sentinel_event_kind kind);
void count_sentinel_node_up(struct sentinel_node *sentinel);
void count_sentinel_node_error(struct sentinel_node *sentinel, const char *word);
void count_sentinel_node_gone(struct sentinel_node *sentinel);
/* How many links are up; at the end of a turn. */
void count_links(struct watcher *watcher);
void count_switch(struct master *master);
void count_restart(struct master *master);
void count_role(struct master *master, enum role_answer answer, int64_t asked_us);
/* The published node says that it is a master. */
void count_verified(struct master *master);
void count_failover(struct watcher *watcher, const struct failover *failover);
/* How long there was no master, where that is known only after the failover's end. */
void count_unavailable(struct watcher *watcher, const struct failover *failover);
/* What became of an adoption; before the master keeps the step. */
void count_adoption(struct master *master, const struct judgement *said);

#endif
