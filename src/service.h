/* The daemon's life: start everything, turn until a signal, stop in order. */
#ifndef BELLWETHER_SERVICE_H
#define BELLWETHER_SERVICE_H

#include "bellwether/options.h"

/**
 * @param options borrowed. @return the exit code: 0 after a signal; 1 when it cannot start (a busy
 * address).
 */
int service_run(const struct options *options);

#endif
