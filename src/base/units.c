/* Numbers with units, in text: durations, sizes, and plain whole numbers. */
#include "bellwether/base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"

/* 2^53: what a JSON reader can still hold exactly */
#define DURATION_MAX_MS (INT64_C(1) << 53)

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {NULL, 0},
};

static const struct unit byte_units[] = {
    {"", 1},          {"b", 1},        {"k", 1 << 10},   {"kb", 1 << 10},
    {"kib", 1 << 10}, {"m", 1 << 20},  {"mb", 1 << 20},  {"mib", 1 << 20},
    {"g", 1 << 30},   {"gb", 1 << 30}, {"gib", 1 << 30}, {NULL, 0},
};

/* The leading decimal digits; `*end` is what follows. At least one digit. */
static int read_digits(const char *text, int64_t *out, const char **end)
{
    int64_t value = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value)) {
            return -BW_ERANGE;
        }
    }
    if (p == text) {
        return -BW_EINVAL;
    }
    *out = value;
    *end = p;
    return 0;
}

static int scale(int64_t number, int64_t factor, int64_t max, int64_t *out)
{
    int64_t value;

    if (__builtin_mul_overflow(number, factor, &value) || value > max) {
        return -BW_ERANGE;
    }
    *out = value;
    return 0;
}

int duration_parse(const char *text, int64_t *out_ms)
{
    int64_t number;
    const char *end;
    int error = read_digits(text, &number, &end);

    if (error != 0) {
        return error;
    }
    if (*end == '\0') { /* seconds or milliseconds? only zero is the same in both */
        return number == 0 ? scale(0, 1, DURATION_MAX_MS, out_ms) : -BW_EINVAL;
    }
    for (const struct unit *unit = duration_units; unit->name; unit++) {
        if (strcmp(end, unit->name) == 0) {
            return scale(number, unit->factor, DURATION_MAX_MS, out_ms);
        }
    }
    return -BW_EINVAL;
}

void duration_format(int64_t ms, char out[UNITS_TEXT_SIZE])
{
    static const struct unit by_size[] = {{"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}};

    for (size_t i = 0; ms != 0 && i < sizeof(by_size) / sizeof(by_size[0]); i++) {
        if (ms % by_size[i].factor == 0) {
            (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 "%s", ms / by_size[i].factor,
                           by_size[i].name);
            return;
        }
    }
    (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 "%s", ms, ms == 0 ? "s" : "ms");
}

int bytes_parse(const char *text, int64_t *out_bytes)
{
    int64_t number;
    const char *end;
    int error = read_digits(text, &number, &end);

    if (error != 0) {
        return error;
    }
    for (const struct unit *unit = byte_units; unit->name; unit++) {
        if (strcasecmp(end, unit->name) == 0) {
            return scale(number, unit->factor, INT64_MAX, out_bytes);
        }
    }
    return -BW_EINVAL;
}

void bytes_format(int64_t bytes, char out[UNITS_TEXT_SIZE])
{
    static const struct unit by_size[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}};

    for (size_t i = 0; bytes != 0 && i < sizeof(by_size) / sizeof(by_size[0]); i++) {
        if (bytes % by_size[i].factor == 0) {
            (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 "%s", bytes / by_size[i].factor,
                           by_size[i].name);
            return;
        }
    }
    (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRId64, bytes);
}

int integer_parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = *text == '-';
    int64_t number;
    const char *end;
    int error = read_digits(negative ? text + 1 : text, &number, &end);

    if (error != 0) {
        return error;
    }
    if (*end != '\0') {
        return -BW_EINVAL;
    }
    number = negative ? -number : number;
    if (number < min || number > max) {
        return -BW_ERANGE;
    }
    *out = number;
    return 0;
}
