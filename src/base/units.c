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

/* Of those with one factor the first is written. The largest first. */
static const struct unit duration_units[] = {
    {"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit byte_units[] = {
    {"GiB", 1 << 30}, {"g", 1 << 30},  {"gb", 1 << 30},  {"MiB", 1 << 20},
    {"m", 1 << 20},   {"mb", 1 << 20}, {"KiB", 1 << 10}, {"k", 1 << 10},
    {"kb", 1 << 10},  {"", 1},         {"b", 1},         {NULL, 0},
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

/* @param compare how a unit's name is compared with the text's, like strcmp(). */
static int parse_with_unit(const char *text, const struct unit *units,
                           int (*compare)(const char *a, const char *b), int64_t max, int64_t *out)
{
    int64_t number;
    const char *end;
    int error = read_digits(text, &number, &end);

    if (error != 0) {
        return error;
    }
    while (units->name && compare(end, units->name) != 0) {
        units++;
    }
    if (!units->name) {
        return -BW_EINVAL;
    }
    if (__builtin_mul_overflow(number, units->factor, &number) || number > max) {
        return -BW_ERANGE;
    }
    *out = number;
    return 0;
}

/* In the largest unit that divides it. @param number not 0. */
static void format_with_unit(int64_t number, const struct unit *units, char out[UNITS_TEXT_SIZE])
{
    while (number % units->factor != 0) {
        units++;
    }
    (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 "%s", number / units->factor, units->name);
}

int duration_parse(const char *text, int64_t *out_ms)
{
    /* seconds or milliseconds? only zero is the same in both */
    const char *digits = text + strspn(text, "0");

    if (digits > text && *digits == '\0') {
        *out_ms = 0;
        return 0;
    }
    return parse_with_unit(text, duration_units, strcmp, DURATION_MAX_MS, out_ms);
}

void duration_format(int64_t ms, char out[UNITS_TEXT_SIZE])
{
    if (ms == 0) {
        (void)snprintf(out, UNITS_TEXT_SIZE, "0s");
    } else {
        format_with_unit(ms, duration_units, out);
    }
}

int bytes_parse(const char *text, int64_t *out_bytes)
{
    return parse_with_unit(text, byte_units, strcasecmp, INT64_MAX, out_bytes);
}

void bytes_format(int64_t bytes, char out[UNITS_TEXT_SIZE])
{
    if (bytes == 0) {
        (void)snprintf(out, UNITS_TEXT_SIZE, "0");
    } else {
        format_with_unit(bytes, byte_units, out);
    }
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
