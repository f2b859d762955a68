/* Settings from flags and from the environment, and which one wins. */
#include "sources.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define VARIABLE_PREFIX "BELLWETHER_"

static void drop_items(struct setting *setting)
{
    for (size_t i = 0; i < setting->n_items; i++) {
        explicit_bzero(setting->items[i], strlen(setting->items[i])); /* it may be a secret */
        free(setting->items[i]);
        free(setting->wheres[i]);
    }
    free(setting->items);
    free(setting->wheres);
    setting->items = setting->wheres = NULL;
    setting->n_items = 0;
}

static void setting_release(struct setting *setting)
{
    drop_items(setting);
    free(setting->where);
    *setting = (struct setting){0};
}

static void split_list(struct setting *setting, const struct option_entry *entry, const char *text,
                       bool blanks)
{
    char *copy = mem_strdup(text);
    char *rest = copy;
    struct buffer item = {0};

    for (char *word; (word = strsep(&rest, blanks ? ", \t" : ","));) {
        if (*word == '\0') {
            continue; /* `a, b`, or a comma at the end */
        }
        if (item.size > 0 && option_continues(entry, word)) {
            buffer_add_text(&item, ",");
        } else if (item.size > 0) {
            *MEM_APPEND(setting->items, setting->n_items) = buffer_take_text(&item, NULL);
        }
        buffer_add_text(&item, word);
    }
    if (item.size > 0) {
        *MEM_APPEND(setting->items, setting->n_items) = buffer_take_text(&item, NULL);
    }
    free(copy);
}

int setting_add(struct setting *setting, const struct option_entry *entry, const char *text,
                bool blanks, const char *where, struct options_error *error)
{
    char words[OPTIONS_ERROR_SIZE - 300];
    bool is_list = (entry->properties & OPTION_LIST) != 0;

    if (!is_list) {
        drop_items(setting);
    }
    size_t first = setting->n_items;
    if (is_list) {
        split_list(setting, entry, text, blanks);
    }
    /* an empty user or file means none; a list of nothing is refused below, with its own words */
    if (setting->n_items == first &&
        (is_list || *text != '\0' || (entry->type != OPTION_TEXT && entry->type != OPTION_FILE))) {
        *MEM_APPEND(setting->items, setting->n_items) = mem_strdup(text);
    }
    free(setting->where);
    setting->where = mem_strdup(where);
    setting->wheres = mem_resize(setting->wheres, setting->n_items, sizeof(*setting->wheres));
    for (size_t i = first; i < setting->n_items; i++) {
        setting->wheres[i] = mem_strdup(where);
    }
    for (size_t i = first; i < setting->n_items; i++) {
        if (option_read_value(entry, setting->items[i], NULL, words, sizeof(words)) != 0) {
            if (strncmp(where, "--", 2) == 0) {
                return options_fail(error, "%s: %s", where, words);
            }
            return options_fail(error, "%s (%.200s): %s", entry->name, where, words);
        }
    }
    return 0;
}

static int unknown_flag(const char *name, struct options_error *error)
{
    const char *guess = option_guess(name, true);

    if (guess) {
        return options_fail(error, "--%.100s: unknown option; did you mean --%s?", name, guess);
    }
    return options_fail(error, "--%.100s: unknown option; --help lists them all", name);
}

/* Of several the first counts, but for --help: who asks for it wants nothing else. */
static int take_action(struct settings *settings, enum option_action action, const char *value,
                       struct options_error *error)
{
    const struct option_entry *entry = &option_actions[action];
    char words[OPTIONS_ERROR_SIZE - 300];
    struct option_value read;

    if (option_read_value(entry, value, &read, words, sizeof(words)) != 0) {
        return options_fail(error, "--%s: %s", entry->name, words);
    }
    if (settings->action == ACTION_RUN || action == ACTION_HELP) {
        settings->action = action;
        settings->action_choice = read.number;
    }
    return 0;
}

/* `--name`, `--name value` or `--name=value`; `*at` moves over what was used. */
static int read_flag(struct settings *settings, char **argv, int argc, int *at,
                     struct options_error *error)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t length = !equals ? strlen(name) : (size_t)(equals - name);
    int id = option_find(name, length);
    enum option_action action = id < 0 ? option_find_action(name, length) : ACTION_RUN;
    const struct option_entry *entry = id < 0 ? &option_actions[action] : &option_table[id];
    const char *value = !equals ? NULL : equals + 1;
    char where[64];
    char takes[256];

    if (id < 0 && (action == ACTION_RUN || (equals && !entry->choices))) {
        char *bare = mem_strdup(name);

        bare[length] = '\0'; /* the value may be a secret: it is not repeated */
        int result = unknown_flag(bare, error);
        free(bare);
        return result;
    }
    if ((entry->properties & OPTION_ENVIRONMENT_ONLY) != 0) {
        return options_fail(error,
                            "--%s: a secret is never a flag; use --%s-file or the variable %s",
                            entry->name, entry->name, option_variable(entry, where));
    }
    if (!value && (entry->properties & OPTION_BARE) != 0) {
        value = "on";
    } else if (!value) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
            return options_fail(error, "--%s: a value is missing; takes %s", entry->name,
                                option_takes(entry, takes));
        }
        value = argv[++*at];
    }
    if (id < 0) {
        return take_action(settings, action, value, error);
    }
    (void)snprintf(where, sizeof(where), "--%s", entry->name);
    return setting_add(&settings->by_source[SOURCE_FLAG][id], entry, value, false, where, error);
}

int settings_from_flags(struct settings *settings, int argc, char **argv,
                        struct options_error *error)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0) {
            settings->action = ACTION_HELP;
        } else if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0') {
            return options_fail(
                error, "\"%.100s\" is not expected; options start with --, and --help lists them",
                argv[i]);
        } else if (read_flag(settings, argv, argc, &i, error) != 0) {
            return -BW_EINVAL;
        }
    }
    return 0;
}

static int id_of_variable(const char *variable, size_t length)
{
    char name[64];

    for (int id = 0; id < OPTION_COUNT; id++) {
        option_variable(&option_table[id], name);
        if ((option_table[id].properties & OPTION_FLAG_ONLY) == 0 && strlen(name) == length &&
            memcmp(name, variable, length) == 0) {
            return id;
        }
    }
    return -1;
}

int settings_from_environment(struct settings *settings, char **environment,
                              struct options_error *error)
{
    for (char **at = environment; *at; at++) {
        const char *equals = strchr(*at, '=');

        if (!equals || strncmp(*at, VARIABLE_PREFIX, sizeof(VARIABLE_PREFIX) - 1) != 0) {
            continue;
        }
        size_t length = (size_t)(equals - *at);
        int id = id_of_variable(*at, length);
        char *name = mem_strdup(*at);
        name[length] = '\0';
        int failed = 0;
        if (id < 0) {
            *MEM_APPEND(settings->unknown_variables, settings->n_unknown_variables) =
                mem_strdup(name);
        } else if (equals[1] != '\0') {
            /* an empty variable counts as not set: compose files make such */
            failed = setting_add(&settings->by_source[SOURCE_ENVIRONMENT][id], &option_table[id],
                                 equals + 1, true, name, error);
        }
        free(name);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

void options_hide_secrets(char **environment)
{
    for (char **at = environment; *at; at++) {
        char *equals = strchr(*at, '=');

        if (!equals || strncmp(*at, VARIABLE_PREFIX, sizeof(VARIABLE_PREFIX) - 1) != 0) {
            continue;
        }
        int id = id_of_variable(*at, (size_t)(equals - *at));
        if (id >= 0 && (option_table[id].properties & OPTION_ENVIRONMENT_ONLY) != 0) {
            explicit_bzero(equals + 1, strlen(equals + 1));
        }
    }
}

const struct setting *settings_winner(const struct settings *settings, int id,
                                      enum option_source *source)
{
    for (int from = SOURCE_FLAG; from > SOURCE_DEFAULT; from--) {
        if (settings->by_source[from][id].where) {
            if (source) {
                *source = (enum option_source)from;
            }
            return &settings->by_source[from][id];
        }
    }
    if (source) {
        *source = SOURCE_DEFAULT;
    }
    return NULL;
}

const char *setting_item(const struct setting *setting)
{
    return setting && setting->n_items > 0 ? setting->items[0] : NULL;
}

const char *settings_item(const struct settings *settings, int id)
{
    return setting_item(settings_winner(settings, id, NULL));
}

void settings_release(struct settings *settings)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        for (int source = 0; source < SOURCE_COUNT; source++) {
            setting_release(&settings->by_source[source][id]);
        }
        for (size_t i = 0; i < settings->n_sections; i++) {
            setting_release(&settings->sections[i].settings[id]);
        }
    }
    for (size_t i = 0; i < settings->n_sections; i++) {
        free(settings->sections[i].master);
    }
    free(settings->sections);
    for (size_t i = 0; i < settings->n_unknown_variables; i++) {
        free(settings->unknown_variables[i]);
    }
    free(settings->unknown_variables);
    *settings = (struct settings){0};
}
