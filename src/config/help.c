/* What the options print: --help, --man-options, --version, --print-config. All from the table. */
#include "help.h"

#include <string.h>

#include "bellwether/http/versions.h"
#include "completion.h"
#include "version.h"

#define HELP_WIDTH 98
#define HELP_INDENT 33

static const char *const group_titles[] = {
#define X(id, title) [OPTION_GROUP_##id] = (title),
    OPTION_GROUPS(X)
#undef X
};

/* Words of `text` from column HELP_INDENT on; `column` is where the line stands now. */
static void print_wrapped(FILE *to, size_t column, const char *text)
{
    if (column >= HELP_INDENT - 1) {
        (void)fputc('\n', to);
        column = 0;
    }
    (void)fprintf(to, "%*s", (int)(HELP_INDENT - column), "");
    column = HELP_INDENT;
    for (const char *p = text; *p != '\0';) {
        size_t word = strcspn(p, " ");

        if (column > HELP_INDENT && column + 1 + word > HELP_WIDTH) {
            (void)fprintf(to, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += (size_t)fprintf(to, "%s%.*s", column > HELP_INDENT ? " " : "", (int)word, p);
        p += word;
        p += strspn(p, " ");
    }
    (void)fputc('\n', to);
}

static bool has_range(const struct option_entry *entry)
{
    return entry->type == OPTION_INTEGER || entry->type == OPTION_DURATION ||
           entry->type == OPTION_SIZE;
}

/* The prose, then what the entry says by itself: repeatable, range, default. */
static void describe(const struct option_entry *entry, char *out, size_t size)
{
    char takes[256] = "";
    const char *separator = " (";
    size_t used = (size_t)snprintf(out, size, "%s", entry->prose);

    if ((entry->properties & OPTION_LIST) != 0) {
        used += (size_t)snprintf(out + used, size - used, "%srepeatable", separator);
        separator = "; ";
    }
    if (has_range(entry)) {
        option_takes(entry, takes);
        const char *from = strstr(takes, " from ");
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", separator,
                                 (int)strcspn(from + 6, ","), from + 6);
        separator = "; ";
    }
    if (entry->fallback) {
        used +=
            (size_t)snprintf(out + used, size - used, "%sdefault %s", separator, entry->fallback);
        separator = "; ";
    }
    if (*separator == ';') {
        (void)snprintf(out + used, size - used, ")");
    }
}

static void print_help_entry(FILE *to, const struct option_entry *entry)
{
    char text[1024];
    char variable[64];
    size_t column;

    describe(entry, text, sizeof(text));
    if ((entry->properties & OPTION_ENVIRONMENT_ONLY) != 0) {
        column = (size_t)fprintf(to, "  %s", option_variable(entry, variable));
    } else if ((entry->properties & OPTION_BARE) != 0) {
        column = (size_t)fprintf(to, "  --%s", entry->name);
    } else {
        column = (size_t)fprintf(to, "  --%s %s", entry->name,
                                 entry->type == OPTION_CHOICE ? entry->choices : entry->value_name);
    }
    print_wrapped(to, column, text);
}

static void print_help(FILE *to)
{
    (void)fputs(
        "Usage: bellwether --sentinel HOST:PORT [OPTION]...\n"
        "       bellwether --once --sentinel HOST:PORT [--wait 60s] [--format json|text|url]\n"
        "       bellwether --probe URL [--probe-timeout 2s]\n\n"
        "Watches Redis Sentinels and says over HTTP which node is the master.\n",
        to);
    for (size_t group = 0; group < sizeof(group_titles) / sizeof(group_titles[0]); group++) {
        (void)fprintf(to, "\n%s:\n", group_titles[group]);
        for (int id = 0; id < OPTION_COUNT; id++) {
            if (option_table[id].group == group) {
                print_help_entry(to, &option_table[id]);
            }
        }
    }
    for (int i = ACTION_RUN + 1; i < ACTION_COUNT && option_actions[i].prose; i++) {
        print_help_entry(to, &option_actions[i]);
    }
    (void)fputs(
        "\nEach may be a flag (--poll-interval 1s), a variable (BELLWETHER_POLL_INTERVAL=1s; an empty one counts as\n"
        "not set), or a line of the file (poll-interval = 1s). A flag beats the environment, which beats the file,\n"
        "which beats the default. Lists are replaced, not joined: repeat a flag or a line, or separate by commas\n"
        "(in variables and the file by blanks, too); a list item of --listen or --forward keeps the ,tls and so on after it.\n",
        to);
}

/* roff: a hyphen that stays one, and no line that starts with a control character. */
static void print_roff(FILE *to, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '-') {
            (void)fputs("\\-", to);
        } else if (*p == '\\') {
            (void)fputs("\\e", to);
        } else if ((*p == '.' || *p == '\'') && p == text) {
            (void)fprintf(to, "\\&%c", *p);
        } else {
            (void)fputc(*p, to);
        }
    }
}

static void print_man_entry(FILE *to, const struct option_entry *entry)
{
    char text[1024];
    char variable[64];

    describe(entry, text, sizeof(text));
    (void)fputs(".TP\n", to);
    if ((entry->properties & OPTION_ENVIRONMENT_ONLY) != 0) {
        (void)fprintf(to, ".B %s\n", option_variable(entry, variable));
    } else if ((entry->properties & OPTION_BARE) != 0) {
        (void)fputs(".B \\-\\-", to);
        print_roff(to, entry->name);
        (void)fputc('\n', to);
    } else {
        (void)fputs(".BI \\-\\-", to);
        print_roff(to, entry->name);
        (void)fputs(" \" ", to);
        print_roff(to, entry->type == OPTION_CHOICE ? entry->choices : entry->value_name);
        (void)fputs("\"\n", to);
    }
    print_roff(to, text);
    (void)fputc('\n', to);
}

static void print_man(FILE *to)
{
    for (size_t group = 0; group < sizeof(group_titles) / sizeof(group_titles[0]); group++) {
        (void)fprintf(to, ".SS %s\n", group_titles[group]);
        for (int id = 0; id < OPTION_COUNT; id++) {
            if (option_table[id].group == group) {
                print_man_entry(to, &option_table[id]);
            }
        }
    }
    for (int i = ACTION_RUN + 1; i < ACTION_COUNT && option_actions[i].prose; i++) {
        print_man_entry(to, &option_actions[i]);
    }
}

static void print_version(FILE *to)
{
    struct library_version libraries[LIBRARY_VERSIONS];

    library_versions(libraries);
    (void)fprintf(to, "bellwether %s (%s)\n", BELLWETHER_VERSION, BELLWETHER_COMMIT);
    for (const struct library_version *library = libraries; library->name; library++) {
        (void)fprintf(to, "%s %s\n", library->name, library->version);
    }
}

/* ---- --print-config: an INI file that would give the same, with remarks ---- */

static void print_setting(FILE *to, const struct option_entry *entry, const struct setting *setting)
{
    char variable[64];

    if ((entry->properties & OPTION_FLAG_ONLY) != 0) {
        return;
    }
    if (entry->type == OPTION_SECRET) {
        if (setting) {
            (void)fprintf(to, "; %s = ***  ; environment\n", option_variable(entry, variable));
        }
        return;
    }
    if ((entry->properties & OPTION_NOT_IN_FILE) != 0) {
        (void)fprintf(to, "; %s = %s  ; %s\n", entry->name,
                      !setting || setting->n_items == 0 ? "" : setting->items[0],
                      !setting ? "not set" : setting->where);
        return;
    }
    if (!setting && !entry->fallback) {
        (void)fprintf(to, "; %s =  ; not set\n", entry->name);
        return;
    }
    if (!setting) {
        (void)fprintf(to, "%s = %s  ; default\n", entry->name, entry->fallback);
        return;
    }
    for (size_t i = 0; i < setting->n_items; i++) {
        (void)fprintf(to, "%s = %s  ; %s\n", entry->name, setting->items[i], setting->wheres[i]);
    }
    if (setting->n_items == 0) {
        (void)fprintf(to, "%s =  ; %s\n", entry->name, setting->where);
    }
}

static void print_config(FILE *to, const struct settings *settings)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        print_setting(to, &option_table[id], settings_winner(settings, id, NULL));
    }
    for (size_t i = 0; i < settings->n_sections; i++) {
        (void)fprintf(to, "\n[master %s]\n", settings->sections[i].master);
        for (int id = 0; id < OPTION_COUNT; id++) {
            const struct setting *setting = &settings->sections[i].settings[id];

            if (setting->where) {
                print_setting(to, &option_table[id], setting);
            }
        }
    }
}

bool options_print(FILE *to, const struct settings *settings)
{
    switch (settings->action) {
    case ACTION_HELP: print_help(to); return true;
    case ACTION_VERSION: print_version(to); return true;
    case ACTION_PRINT_CONFIG: print_config(to, settings); return true;
    case ACTION_COMPLETION:
        completion_print(to, (enum completion_shell)settings->action_choice);
        return true;
    case ACTION_MAN_OPTIONS: print_man(to); return true;
    default: return false;
    }
}
