/* systemd's notify protocol over NOTIFY_SOCKET; every call is a no-op where that is not set. */
#ifndef BELLWETHER_BASE_SYSTEMD_NOTIFY_H
#define BELLWETHER_BASE_SYSTEMD_NOTIFY_H

#include <stdint.h>

/**
 * Send one message, lines separated by newlines, like "READY=1\nSTATUS=...". Never blocks. Thread:
 * main.
 */
void notify_send(const char *message);
/**
 * Half of WATCHDOG_USEC in milliseconds (WATCHDOG_PID respected), or 0 when no watchdog is wanted.
 */
int64_t notify_watchdog_interval_ms(void);

#endif
