/*
 * The tables as arrays, and what is told from an entry alone: the variable of its name, what it
 * takes, near misses.
 */
#include "options_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/units.h"
#include "bellwether/config/options.h"

/* The table's short words. */
#define LIST OPTION_LIST
#define PER_MASTER OPTION_PER_MASTER
#define BARE OPTION_BARE
#define ENVIRONMENT_ONLY OPTION_ENVIRONMENT_ONLY
#define NOT_IN_FILE OPTION_NOT_IN_FILE
#define FLAG_ONLY (OPTION_FLAG_ONLY | OPTION_NOT_IN_FILE)
#define NOWHERE OPTION_NOWHERE
#define AT(member) offsetof(struct options, member)

const struct option_entry option_table[OPTION_COUNT] = {
#define X(id, name_, type_, properties_, field_, fallback_, min_, max_, choices_, value_, group_, \
          prose_) \
    [OPTION_ID_##id] = {.name = (name_), \
                        .type = OPTION_##type_, \
                        .properties = (properties_), \
                        .field = (field_), \
                        .fallback = (fallback_), \
                        .min = (min_), \
                        .max = (max_), \
                        .choices = (choices_), \
                        .value_name = (value_), \
                        .group = OPTION_GROUP_##group_, \
                        .prose = (prose_)},
    OPTIONS(X)
#undef X
};

const struct option_entry option_actions[ACTION_COUNT] = {
#define X(id, name_, type_, properties_, choices_, prose_) \
    [ACTION_##id] = {.name = (name_), \
                     .type = OPTION_##type_, \
                     .properties = (properties_), \
                     .field = NOWHERE, \
                     .choices = (choices_), \
                     .prose = (prose_)},
    OPTION_ACTIONS(X)
#undef X
};

static bool has_name(const struct option_entry *entry, const char *name, size_t length)
{
    return strlen(entry->name) == length && memcmp(entry->name, name, length) == 0;
}

int option_find(const char *name, size_t length)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (has_name(&option_table[id], name, length)) {
            return id;
        }
    }
    return -1;
}

enum option_action option_find_action(const char *name, size_t length)
{
    for (int action = ACTION_RUN + 1; action < ACTION_COUNT; action++) {
        if (has_name(&option_actions[action], name, length)) {
            return (enum option_action)action;
        }
    }
    return ACTION_RUN;
}

const char *option_variable(const struct option_entry *entry, char out[64])
{
    int used = snprintf(out, 64, "BELLWETHER_%s", entry->name);

    for (int i = 0; i < used; i++) {
        out[i] = (char)(out[i] == '-' ? '_' : toupper((unsigned char)out[i]));
    }
    return out;
}

/* Levenshtein's distance; long names are only compared at their beginning. */
static size_t distance(const char *a, const char *b)
{
    size_t row[40];
    size_t width = strnlen(b, 39);

    for (size_t i = 0; i <= width; i++) {
        row[i] = i;
    }
    for (size_t y = 0; y < 64 && a[y] != '\0'; y++) {
        size_t diagonal = row[0];

        row[0] = y + 1;
        for (size_t x = 0; x < width; x++) {
            size_t best = diagonal + (a[y] != b[x]);

            diagonal = row[x + 1];
            best = best < row[x] + 1 ? best : row[x] + 1;
            row[x + 1] = best < diagonal + 1 ? best : diagonal + 1;
        }
    }
    return row[width];
}

static void consider(const char *candidate, const char *name, const char **best,
                     size_t *best_distance)
{
    size_t far = distance(name, candidate);
    size_t length = strlen(candidate);
    /* `--log` for `--log-level`, `--sentinels` for `--sentinel` */
    bool begins = strlen(name) >= 3 && strncmp(name, candidate, strlen(name)) == 0;

    if (begins) {
        far = 1;
    }
    if (far <= (length > 5 ? 2 : 1) && far < *best_distance) {
        *best = candidate;
        *best_distance = far;
    }
}

const char *option_guess(const char *name, bool flag)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (int id = 0; id < OPTION_COUNT; id++) {
        if ((option_table[id].properties & OPTION_ENVIRONMENT_ONLY) == 0) {
            consider(option_table[id].name, name, &best, &best_distance);
        }
    }
    for (int i = ACTION_RUN + 1; flag && i < ACTION_COUNT && option_actions[i].prose; i++) {
        consider(option_actions[i].name, name, &best, &best_distance);
    }
    return best;
}

/* "resolved, default, any or all" */
static void list_choices(const char *choices, char out[256])
{
    size_t used = 0;

    for (const char *p = choices; *p != '\0' && used < 250; p++) {
        const char *instead = *p != '|' ? NULL : strchr(p + 1, '|') ? ", " : " or ";
        int n = !instead ? snprintf(out + used, 256 - used, "%c", *p)
                         : snprintf(out + used, 256 - used, "%s", instead);

        used += (size_t)n;
    }
}

const char *option_takes(const struct option_entry *entry, char out[256])
{
    char min[UNITS_TEXT_SIZE];
    char max[UNITS_TEXT_SIZE];

    switch (entry->type) {
    case OPTION_INTEGER:
        (void)snprintf(out, 256, "a whole number from %" PRId64 " to %" PRId64, entry->min,
                       entry->max);
        break;
    case OPTION_DURATION:
        duration_format(entry->min, min);
        duration_format(entry->max, max);
        (void)snprintf(out, 256, "a time from %s to %s, like 500ms, 1s or 5m", min, max);
        break;
    case OPTION_SIZE:
        bytes_format(entry->min, min);
        bytes_format(entry->max, max);
        (void)snprintf(out, 256, "a size from %s to %s, like 512, 64kb or 1MiB", min, max);
        break;
    case OPTION_SWITCH: (void)snprintf(out, 256, "on or off"); break;
    case OPTION_CHOICE: list_choices(entry->choices, out); break;
    case OPTION_SEED:
        (void)snprintf(out, 256, "host:port or [v6]:port (port %d when left out)",
                       OPTIONS_DEFAULT_SENTINEL_PORT);
        break;
    case OPTION_NODE:
        (void)snprintf(out, 256, "host:port or [v6]:port (port %d when left out)",
                       OPTIONS_DEFAULT_NODE_PORT);
        break;
    case OPTION_MAP: (void)snprintf(out, 256, "host:port=host:port or host=host"); break;
    case OPTION_LISTEN:
        (void)snprintf(
            out, 256,
            "HOST:PORT, [v6]:PORT or unix:PATH, then ,scope=all|discovery|probe, for a socket ,mode=0660, for HTTPS "
            ",tls and ,client-ca=required|optional|off");
        break;
    case OPTION_FORWARD:
        (void)snprintf(
            out, 256,
            "HOST:PORT, [v6]:PORT or unix:PATH, then ,to=master|replica, ,name=MASTER, ,auth, for a socket "
            ",mode=0660, for TLS ,tls and ,client-ca=required|optional|off");
        break;
    case OPTION_NAME:
        (void)snprintf(out, 256, "a master's name: up to %d characters, no blanks",
                       OPTIONS_MASTER_NAME_SIZE - 1);
        break;
    case OPTION_FILE: (void)snprintf(out, 256, "a file that can be read"); break;
    case OPTION_TEXT:
    case OPTION_SECRET: (void)snprintf(out, 256, "text without control characters"); break;
    }
    return out;
}
