/*
 * What the parts of the options share. The way of a value: flags, environment and file each fill a
 * column of settings (sources.c, file.c), texts that were checked one by one
 * (values.c); the strongest column that has a setting wins; build.c makes struct
 * options of the winners.
 */
#ifndef BELLWETHER_CONFIG_OPTIONS_INTERNAL_H
#define BELLWETHER_CONFIG_OPTIONS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bellwether/config/options.h"
#include "options_table.h"

#define OPTIONS_ERROR_SIZE 1024
#define OPTIONS_DEFAULT_SENTINEL_PORT 26379
#define OPTIONS_DEFAULT_NODE_PORT 6379
#define OPTIONS_MASTER_NAME_SIZE 256 /* as in struct message_ask_fresh */

enum option_type {
    OPTION_SEED,
    OPTION_NODE,
    OPTION_NAME,
    OPTION_MAP,
    OPTION_LISTEN,
    OPTION_TEXT,
    OPTION_FILE,
    OPTION_SECRET,
    OPTION_INTEGER,
    OPTION_DURATION,
    OPTION_SIZE,
    OPTION_SWITCH,
    OPTION_CHOICE,
};

enum option_property {
    OPTION_LIST = 1,             /* may be given more than once */
    OPTION_PER_MASTER = 2,       /* may stand in a [master NAME] section too */
    OPTION_BARE = 4,             /* as a flag it needs no value: it means on */
    OPTION_ENVIRONMENT_ONLY = 8, /* a secret */
    OPTION_NOT_IN_FILE = 16,
};

enum option_group {
#define X(id, title) OPTION_GROUP_##id,
    OPTION_GROUPS(X)
#undef X
};

enum option_id {
#define X(id, ...) OPTION_ID_##id,
    OPTIONS(X)
#undef X
        OPTION_COUNT
};

struct option_entry {
    const char *name;
    enum option_type type;
    unsigned properties; /* enum option_property */
    size_t field;        /* offset in struct options, OPTION_NOWHERE: build.c knows */
    const char *fallback;
    int64_t min, max;
    const char *choices; /* separated by | */
    const char *value_name;
    enum option_group group;
    const char *prose;
};

#define OPTION_NOWHERE SIZE_MAX

extern const struct option_entry option_table[OPTION_COUNT];

/* From the weakest to the strongest. */
enum option_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG, SOURCE_COUNT };

/* What one source says of one option. Not given: `where` is NULL. */
struct setting {
    char **items; /* more than one only for lists; none: given as empty */
    size_t n_items;
    char *where; /* "--poll-interval", "BELLWETHER_POLL_INTERVAL", "/etc/bellwether.ini:12" */
};

struct option_section {
    char *master;
    struct setting settings[OPTION_COUNT];
};

enum option_action {
    ACTION_RUN,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_PRINT_CONFIG,
    ACTION_CHECK_CONFIG,
    ACTION_MAN_OPTIONS,
};

struct settings {
    struct setting by_source[SOURCE_COUNT][OPTION_COUNT]; /* [SOURCE_DEFAULT] stays empty */
    struct option_section *sections;                      /* of the file, in its order */
    size_t n_sections;
    char **unknown_variables;
    size_t n_unknown_variables;
    enum option_action action;
};

/* The first thing that went wrong, one line. */
struct options_error {
    char text[OPTIONS_ERROR_SIZE];
};
/**
 * Keeps the first message, without control characters. @return -BW_EINVAL, so that it can be
 * returned.
 */
int options_fail(struct options_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- options_table.c ---- */

/** The entry's id, or -1. @param length of `name`. */
int option_find(const char *name, size_t length);
/** The closest name when it is close, else NULL. @param extra also considered, ends with NULL. */
const char *option_guess(const char *name, const char *const *extra);
/** `BELLWETHER_POLL_INTERVAL`. @param out 64 bytes. @return out. */
const char *option_variable(const struct option_entry *entry, char out[64]);
/** "a duration from 10ms to 1h, like 500ms, 1s or 5m". @param out 256 bytes. @return out. */
const char *option_takes(const struct option_entry *entry, char out[256]);

/* ---- values.c ---- */

struct option_value {
    int64_t number; /* integers, durations, sizes, switches; a choice's place in the list */
    struct address address;
    struct http_listen listen; /* unix_path is owned: free() it */
};
/**
 * Read one item.
 * @param out NULL: only check.
 * @return 0; -BW_EINVAL with words that name the value and what it takes.
 */
int option_read_value(const struct option_entry *entry, const char *text, struct option_value *out,
                      char *error, size_t error_size);

/* ---- sources.c ---- */

/**
 * Give an option a value: split where it is a list, checked item by item.
 * @param blanks  lists are separated by blanks too, not only by commas.
 * @param where   borrowed; for messages.
 */
int setting_add(struct setting *setting, const struct option_entry *entry, const char *text,
                bool blanks, const char *where, struct options_error *error);
void setting_release(struct setting *setting);
int settings_from_flags(struct settings *settings, int argc, char **argv,
                        struct options_error *error);
int settings_from_environment(struct settings *settings, char **environment,
                              struct options_error *error);
void settings_release(struct settings *settings);
/**
 * The strongest setting that was given, NULL where the default stands. Borrowed. @param source may
 * be NULL.
 */
const struct setting *settings_winner(const struct settings *settings, int id,
                                      enum option_source *source);
/** The one item of a setting; NULL when it was not given, or given as empty. Borrowed. */
const char *setting_item(const struct setting *setting);

/* ---- file.c ---- */

/** @param name for messages. */
int settings_from_stream(struct settings *settings, FILE *stream, const char *name,
                         struct options_error *error);
int settings_from_file(struct settings *settings, const char *path, struct options_error *error);

/* ---- build.c ---- */

/** @param out set on success; free with options_release(). */
int options_build(const struct settings *settings, struct options *out,
                  struct options_error *error);
/* ---- build_secret.c ---- */

/**
 * A secret: from its file, or from the environment where the file was named by a weaker source.
 * @param own       the setting of a section, whose file takes the place of both; NULL: none.
 * @param value_id  the variable; -1: there is none.
 * @param out       gets a note when others can get at the file.
 * @return one that may hold no value; NULL after options_fail(). The caller frees it.
 */
struct secret *options_secret(const struct settings *settings, const struct setting *own,
                              int file_id, int value_id, struct options *out,
                              struct options_error *error);
/** Something for the log. @param message,key static. */
void options_note(struct options *out, enum log_level level, const char *message, const char *key,
                  const char *value);

/* ---- build_tls.c ---- */

/* Whom TLS is spoken to. */
enum tls_side { TLS_SIDE_SENTINEL, TLS_SIDE_REDIS };

/** Whether a section has anything of its own to say of a side's TLS. */
bool options_has_own_tls(const struct settings *settings, const struct option_section *section,
                         enum tls_side side);
/** Whether it is on for a section; NULL: for all. */
bool options_tls_is_on(const struct settings *settings, const struct option_section *section,
                       enum tls_side side);
/**
 * A side's TLS, for all or for a section.
 * @param section NULL: for all. @param tls set: the watch_config's.
 * @return 0; -BW_EINVAL.
 */
int options_build_tls(const struct settings *settings, const struct option_section *section,
                      enum tls_side side, struct options *out, struct redis_tls **tls,
                      struct options_error *error);

/* ---- build_commands.c ---- */

/**
 * What belongs to commands over HTTP, after the numbers and the listeners. @return 0; -BW_EINVAL.
 */
int options_build_commands(const struct settings *settings, struct options *out,
                           struct options_error *error);

/* ---- build_https.c ---- */

/** TLS towards callers, after the listeners and the numbers. @return 0; -BW_EINVAL. */
int options_build_https(const struct settings *settings, struct options *out,
                        struct options_error *error);

/* ---- shown.c ---- */

/** Fill `shown`, secrets masked. */
void options_show(const struct settings *settings, struct options *out);
void options_shown_release(struct options *options);

/* ---- help.c ---- */

void options_print_help(FILE *to);
void options_print_man(FILE *to);
void options_print_version(FILE *to);
void options_print_config(FILE *to, const struct settings *settings);

#endif
