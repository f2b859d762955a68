/*
 * Every option with its value and where that comes from: strings of their own, since the settings
 * go away once the options are built. A secret's value never gets here, only that there is one.
 */
#include "shown.h"

#include <stdlib.h>

#include "bellwether/base/memory.h"

static struct http_option *add(struct options *out, const struct option_entry *entry,
                               const char *master, const char *from)
{
    struct http_option *shown = MEM_APPEND(out->shown, out->n_shown);

    *shown = (struct http_option){.name = entry->name,
                                  .master = mem_strdup(master),
                                  .from = mem_strdup(from),
                                  .list = (entry->properties & OPTION_LIST) != 0};
    return shown;
}

static void add_value(struct http_option *shown, const char *value)
{
    *MEM_APPEND(shown->values, shown->n_values) = mem_strdup(value);
}

static void show(struct options *out, const struct option_entry *entry, const char *master,
                 const struct setting *setting)
{
    struct http_option *shown = add(out, entry, master,
                                    setting           ? setting->where
                                    : entry->fallback ? "default"
                                                      : NULL);

    if (!setting) {
        if (entry->fallback) {
            add_value(shown, entry->fallback);
        }
    } else if (entry->type == OPTION_SECRET) {
        add_value(shown, "***");
    } else {
        for (size_t i = 0; i < setting->n_items; i++) {
            add_value(shown, setting->items[i]);
        }
    }
}

void options_show(const struct settings *settings, struct options *out)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        if ((option_table[id].properties & OPTION_FLAG_ONLY) == 0) {
            show(out, &option_table[id], NULL, settings_winner(settings, id, NULL));
        }
    }
    for (size_t i = 0; i < settings->n_sections; i++) {
        for (int id = 0; id < OPTION_COUNT; id++) {
            const struct setting *setting = &settings->sections[i].settings[id];

            if (setting->where) {
                show(out, &option_table[id], settings->sections[i].master, setting);
            }
        }
    }
}

void options_shown_release(struct options *options)
{
    for (size_t i = 0; i < options->n_shown; i++) {
        for (size_t k = 0; k < options->shown[i].n_values; k++) {
            free(options->shown[i].values[k]);
        }
        free(options->shown[i].values);
        free(options->shown[i].master);
        free(options->shown[i].from);
    }
    free(options->shown);
}
