/* The files of TLS to Sentinels and Redis: read again when they change, and told of. */
#ifndef BELLWETHER_WATCHER_TLS_FILES_H
#define BELLWETHER_WATCHER_TLS_FILES_H

#include "watch_counters.h"
#include "watcher.h"

/* What changed: whoever was refused is asked again at once. */
struct tls_files_changed {
    bool sentinels, redis;
};

void tls_files_init(struct watcher *watcher);
/** Look at all of them. @param force read them, whether they changed or not. */
struct tls_files_changed tls_files_refresh(struct watcher *watcher, bool force,
                                           struct count_reload *reload);
/** When certificates end, for the log and for metrics; part of a refresh. */
void tls_files_look_at_ends(const struct watcher *watcher);
void tls_files_release(struct watcher *watcher);

#endif
