/* The daemon's life: start everything, turn until a signal, stop in order. */
#ifndef BELLWETHER_DAEMON_SERVICE_H
#define BELLWETHER_DAEMON_SERVICE_H

#include "bellwether/config/options.h"

/**
 * @param options borrowed. @return the exit code: 0 after a signal; 1 when it cannot start (a busy
 * address).
 */
int service_run(const struct options *options);

#endif
