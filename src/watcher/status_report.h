/* All of it, with its age, for /status. */
#ifndef BELLWETHER_WATCHER_STATUS_REPORT_H
#define BELLWETHER_WATCHER_STATUS_REPORT_H

#include "watcher.h"

struct status_report *report_make(const struct watcher *watcher);

#endif
