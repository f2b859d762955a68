/*
 * Settings: what flags, environment and file say. Each fills a column of texts that were checked
 * one by one (sources.c, file.c); of an option's columns the strongest that has a setting wins, and
 * build.c makes struct options of the winners.
 */
#ifndef BELLWETHER_CONFIG_SOURCES_H
#define BELLWETHER_CONFIG_SOURCES_H

#include "values.h"

/* From the weakest to the strongest. */
enum option_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG, SOURCE_COUNT };

/* What one source says of one option. Not given: `where` is NULL. */
struct setting {
    char **items;  /* more than one only for lists; none: given as empty */
    char **wheres; /* of each item, as below: lines of a file have places of their own */
    size_t n_items;
    char *where; /* "--poll-interval", "BELLWETHER_POLL_INTERVAL", "/etc/bellwether.ini:12" */
};

struct option_section {
    char *master;
    struct setting settings[OPTION_COUNT];
};

struct settings {
    struct setting by_source[SOURCE_COUNT][OPTION_COUNT]; /* [SOURCE_DEFAULT] stays empty */
    struct option_section *sections;                      /* of the file, in its order */
    size_t n_sections;
    char **unknown_variables;
    size_t n_unknown_variables;
    enum option_action action;
    int64_t action_choice; /* the place of its value among the action's choices */
};

/**
 * Give an option a value: split where it is a list, checked item by item.
 * @param blanks  lists are separated by blanks too, not only by commas.
 * @param where   borrowed; for messages.
 */
int setting_add(struct setting *setting, const struct option_entry *entry, const char *text,
                bool blanks, const char *where, struct options_error *error);
int settings_from_flags(struct settings *settings, int argc, char **argv,
                        struct options_error *error);
int settings_from_environment(struct settings *settings, char **environment,
                              struct options_error *error);
void settings_release(struct settings *settings);
/** The strongest setting that was given; NULL: the default. Borrowed. @param source may be NULL. */
const struct setting *settings_winner(const struct settings *settings, int id,
                                      enum option_source *source);
/** The one item of a setting; NULL when it was not given, or given as empty. Borrowed. */
const char *setting_item(const struct setting *setting);
/** The same of the option's winner. */
const char *settings_item(const struct settings *settings, int id);

#endif
