/*
 * What the kernel says of this process: the figures that every Prometheus client library exports.
 */
#ifndef BELLWETHER_METRICS_PROCESS_H
#define BELLWETHER_METRICS_PROCESS_H

#include <stdint.h>

/* -1: not to be had. */
struct process_figures {
    int64_t cpu_us;
    int64_t open_fds, max_fds;
    int64_t virtual_bytes, resident_bytes;
    int64_t start_wall_ms;
};

/** Reads /proc/self. Thread: any. */
void process_read(struct process_figures *out);

#endif
