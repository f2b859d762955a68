/*
 * Prometheus' text format 0.0.4: samples in, text out. A family's HELP and TYPE stand before its
 * first sample; a family without samples is left out. Pure.
 */
#ifndef BELLWETHER_METRICS_EXPOSITION_H
#define BELLWETHER_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/buffer.h"
#include "bellwether/metrics/counters.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Zero is the start. */
struct exposition {
    struct buffer text;
    enum metric metric;
    bool begun; /* HELP and TYPE of `metric` are written */
};

/* The values of a sample's labels, in the order of the list; as many as the list has. */
#define LABELS(...) ((const char *const[]){__VA_ARGS__})

/** What follows are samples of this family. Each family once. */
void exposition_family(struct exposition *out, enum metric metric);
/**
 * @param labels borrowed, LABELS(...) or NULL where the family has none; any bytes: what is not
 * UTF-8 becomes U+FFFD.
 */
void exposition_integer(struct exposition *out, int64_t value, const char *const *labels);
/** `value` × 10^-decimals: milliseconds are 3 decimals of a second. */
void exposition_decimal(struct exposition *out, int64_t value, unsigned decimals,
                        const char *const *labels);
void exposition_histogram(struct exposition *out, const struct metric_totals *totals,
                          const char *const *labels);
/**
 * The text; the exposition is empty again. @return free with free(); "" when there was no sample.
 */
char *exposition_finish(struct exposition *out, size_t *size);

#endif
