/* --once: resolve and verify, print the master, exit. For scripts and init containers. */
#ifndef BELLWETHER_DAEMON_ONCE_H
#define BELLWETHER_DAEMON_ONCE_H

#include "bellwether/config/options.h"

/**
 * @param options borrowed. @return the exit code: 0 printed; 3 none in time, one line said why; 1
 * something broke.
 */
int once_run(const struct options *options);

#endif
