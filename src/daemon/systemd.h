/*
 * What the service manager (systemd) is told: ready, status, watchdog. Nothing where there is none.
 */
#ifndef BELLWETHER_DAEMON_SYSTEMD_H
#define BELLWETHER_DAEMON_SYSTEMD_H

#include <stddef.h>

#include "bellwether/base/loop.h"
#include "bellwether/base/pulse.h"
#include "bellwether/topology/snapshot.h"

struct manager;

/**
 * @param pulses borrowed; of `n_pulses` threads, which must all turn for the watchdog to be told.
 * Thread: main.
 */
struct manager *manager_new(struct loop *loop, const struct pulse *pulses, size_t n_pulses);
void manager_ready(struct manager *manager);
void manager_reloading(void);
void manager_stopping(void);
/** Tell the manager the verdict on a snapshot where it is a new one. @param snapshot borrowed. */
void manager_look(struct manager *manager, const struct snapshot *snapshot);
void manager_free(struct manager *manager);

/** One line for a person: "mymaster is ok at 10.0.0.1:6379". @return out. Pure. */
const char *manager_verdict(const struct snapshot *snapshot, char *out, size_t size);

#endif
