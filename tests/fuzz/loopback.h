/*
 * What the kernel has on its way over the loopback device, for targets with real sockets whose time
 * is not the kernel's: what was sent may wait in a processor's queue until that has time again, and
 * hours of the target's time pass meanwhile.
 */
#ifndef BELLWETHER_TESTS_FUZZ_LOOPBACK_H
#define BELLWETHER_TESTS_FUZZ_LOOPBACK_H

/** Once before others of a process. The calling thread stays on one processor from then on. */
void loopback_open(void);
/** All that this thread has sent, and closed, has arrived. */
void loopback_settle(void);

#endif
