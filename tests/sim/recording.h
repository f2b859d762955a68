/*
 * Streams of what Sentinels said: a line is milliseconds, who, channel and payload; a line whose
 * speaker is `-` is what the watcher itself sees. recordings/ has what real ones said (Redis
 * 7.0.15, down-after-milliseconds 1000).
 */
#ifndef BELLWETHER_TESTS_SIM_RECORDING_H
#define BELLWETHER_TESTS_SIM_RECORDING_H

#include "bellwether/sentinel/event.h"

#define BOOT_MS INT64_C(50000) /* the clock where a stream is at 0 */

/* One line is played. */
typedef void recording_line_fn(void *player, int64_t ms, const char *who, const char *what);

void recording_play(const char *lines, recording_line_fn *play, void *player);
/** The same for recordings/NAME.txt. */
void recording_play_file(const char *name, recording_line_fn *play, void *player);
/** Channel and payload, read as in the daemon. */
void recording_event(const char *what, struct sentinel_event *event);
/** @param text PORT or HOST:PORT. */
struct address recording_address(const char *text);

#endif
