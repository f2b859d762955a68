/* Clocks, processors, samples, and the tables. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/scene.h"
#include "bench.h"

void samples_add(struct samples *samples, double value)
{
    if (samples->n < BENCH_MAX_SAMPLES) {
        samples->value[samples->n++] = value;
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/*
 * The value at rank `per_mille`; of an even number of samples the median is the mean of the two in
 * the middle.
 */
double samples_median(const struct samples *samples)
{
    struct samples sorted = *samples;

    if (sorted.n == 0) {
        return 0;
    }
    qsort(sorted.value, sorted.n, sizeof(sorted.value[0]), compare);
    return (sorted.value[(sorted.n - 1) / 2] + sorted.value[sorted.n / 2]) / 2;
}

double samples_p99(const struct samples *samples)
{
    struct samples sorted = *samples;

    if (sorted.n == 0) {
        return 0;
    }
    qsort(sorted.value, sorted.n, sizeof(sorted.value[0]), compare);
    return sorted.value[(sorted.n * 99 + 99) / 100 - 1];
}

double samples_worst(const struct samples *samples)
{
    double worst = 0;

    for (size_t i = 0; i < samples->n; i++) {
        worst = i == 0 || samples->value[i] > worst ? samples->value[i] : worst;
    }
    return worst;
}

void table_head(const char *title)
{
    (void)printf("\n%s\n\n  %-52s %5s %10s %10s %10s  %s\n", title, "", "n", "median", "p99",
                 "worst", "budget");
}

void table_line(const char *what, const struct samples *samples, const char *unit,
                const char *budget)
{
    (void)printf("  %-52s %5zu %7.2f %-2s %7.2f %-2s %7.2f %-2s  %s\n", what, samples->n,
                 samples_median(samples), unit, samples_p99(samples), unit, samples_worst(samples),
                 unit, budget);
}

/* Whether chance has k of n rounds or fewer on one side once in twenty times at most. */
static bool is_rare(size_t k, size_t n)
{
    double ways = 1, sum = 0, all = 1;

    for (size_t i = 0; i < n; i++) {
        if (i <= k) {
            sum += ways;
            ways *= (double)(n - i) / (double)(i + 1);
        }
        all *= 2;
    }
    return k < n && sum / all <= 0.05;
}

const char *verdict(const struct samples *rounds, const char *budget)
{
    const bool at_most = budget[0] == '<';
    size_t within = 0;

    if (!at_most && budget[0] != '>') {
        return budget;
    }
    const double limit = strtod(budget + strlen("<="), NULL);
    for (size_t i = 0; i < rounds->n; i++) {
        within += at_most ? rounds->value[i] <= limit : rounds->value[i] >= limit;
    }
    return text("%s %s", budget,
                is_rare(rounds->n - within, rounds->n) ? "met"
                : is_rare(within, rounds->n)           ? "MISSED"
                                                       : "even");
}

void verdict_line(const char *what, const struct samples *rounds, const char *budget)
{
    double least = rounds->n > 0 ? rounds->value[0] : 0;

    for (size_t i = 0; i < rounds->n; i++) {
        least = rounds->value[i] < least ? rounds->value[i] : least;
    }
    (void)printf("    %-40s %7.2f  (%.2f to %.2f)  %s\n", what, samples_median(rounds), least,
                 samples_worst(rounds), verdict(rounds, budget));
}

void progress(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "bench: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
}

int64_t monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void nap_us(int us)
{
    const struct timespec span = {us / 1000000, (long)(us % 1000000) * 1000};

    (void)nanosleep(&span, NULL);
}

/* Nanoseconds, where /proc/PID/stat has ticks of ten milliseconds. */
int64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

void process_ticks(pid_t pid, long *user, long *kernel)
{
    char path[64], line[1024] = "", *at;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && !fgets(line, sizeof(line), file)) {
        line[0] = '\0';
    }
    if (file) {
        (void)fclose(file);
    }
    *user = *kernel = 0;
    if (!(at = strrchr(line, ')'))) {
        return;
    }
    for (int field = 2; field < 14; field++) {
        /* utime is the 14th, the name in parentheses the second */
        at = at[1] == '\0' ? at : at + 1 + strcspn(at + 1, " ");
    }
    *user = strtol(at, &at, 10);
    *kernel = strtol(at, &at, 10);
}

/* What this process was allowed when it began. */
static const cpu_set_t *allowed(void)
{
    static cpu_set_t all;
    static bool known;

    if (!known) {
        known = sched_getaffinity(0, sizeof(all), &all) == 0;
    }
    return &all;
}

int pin_cores(void)
{
    return CPU_COUNT(allowed());
}

void pin_process(pid_t pid, int core)
{
    cpu_set_t set = *allowed();

    if (core >= 0) {
        int seen = 0;

        CPU_ZERO(&set);
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (CPU_ISSET(cpu, allowed()) && seen++ == core % pin_cores()) {
                CPU_SET(cpu, &set);
            }
        }
    }
    (void)sched_setaffinity(pid, sizeof(set), &set);
}

void pin_to(int core)
{
    pin_process(0, core);
}
