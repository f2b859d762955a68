/* The figures of /proc/self. What can't be read is -1, and its metric is left out. */
#include "bellwether/metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"

#define STAT_FIELDS_BEFORE \
    20 /* between the state (field 3) and the start time (field 22), as proc(5) counts */

static int64_t cpu_us(void)
{
    struct timespec spent;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) != 0) {
        return -1;
    }
    return (int64_t)spent.tv_sec * 1000000 + spent.tv_nsec / 1000;
}

/*
 * Newer kernels give the number as the folder's size; to list thousands of them would take a
 * millisecond.
 */
static int64_t open_fds(void)
{
    struct stat seen;
    int64_t n = -1; /* its own descriptor */
    DIR *folder;

    if (stat("/proc/self/fd", &seen) == 0 && seen.st_size > 0) {
        return seen.st_size;
    }
    folder = opendir("/proc/self/fd");
    if (!folder) {
        return -1;
    }
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        n += entry->d_name[0] != '.';
    }
    closedir(folder);
    return n;
}

static int64_t max_fds(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > (rlim_t)INT64_MAX) {
        return -1;
    }
    return (int64_t)limit.rlim_cur;
}

/* A small file of /proc. @return its length, 0 when it can't be read; `out` is terminated. */
static size_t read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);

    if (fd >= 0) {
        close(fd);
    }
    n = n < 0 ? 0 : n;
    out[n] = '\0';
    return (size_t)n;
}

static void read_memory(struct process_figures *out)
{
    char text[256], *end;
    int64_t page_bytes = sysconf(_SC_PAGESIZE);

    if (read_file("/proc/self/statm", text, sizeof(text)) == 0) {
        return;
    }
    out->virtual_bytes = strtoll(text, &end, 10) * page_bytes;
    out->resident_bytes = strtoll(end, NULL, 10) * page_bytes;
}

/* Ticks after boot, so the wall clock of the start is known as well as the wall clock is now. */
static int64_t find_start(void)
{
    char text[1024];
    const char *at;
    int64_t ticks_per_s = sysconf(_SC_CLK_TCK);

    if (read_file("/proc/self/stat", text, sizeof(text)) == 0 || ticks_per_s <= 0) {
        return -1;
    }
    at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int i = 0; at && i < STAT_FIELDS_BEFORE; i++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return -1;
    }
    return clock_wall_ms() - clock_boot_ms() + strtoll(at, NULL, 10) * 1000 / ticks_per_s;
}

/*
 * Found once: who watches for restarts must not see it move by a millisecond, or with the wall
 * clock.
 */
static int64_t start_wall_ms(void)
{
    static _Atomic int64_t found;
    int64_t start = atomic_load_explicit(&found, memory_order_relaxed), before = 0;

    if (start == 0) {
        start = find_start();
        if (!atomic_compare_exchange_strong(&found, &before, start)) {
            start = before; /* another thread was quicker */
        }
    }
    return start;
}

void process_read(struct process_figures *out)
{
    *out = (struct process_figures){
        .cpu_us = cpu_us(),
        .open_fds = open_fds(),
        .max_fds = max_fds(),
        .virtual_bytes = -1,
        .resident_bytes = -1,
        .start_wall_ms = start_wall_ms(),
    };
    read_memory(out);
}
