/*
 * Settings from an INI file, read with inih. inih tells neither line numbers nor long lines nor
 * long section names (it cuts them at 50 characters), so the reader that feeds it keeps track of
 * all three.
 */
#include "file.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define MASTER_PREFIX "master "

struct file_reader {
    FILE *stream;
    const char *name;
    struct settings *settings;
    struct options_error *error;
    struct setting *column; /* where the present section's settings go */
    bool in_master;
    int line;
    int read_error; /* errno */
    char *buffer;
    size_t buffer_size;
};

static int fail_here(struct file_reader *reader, const char *words, const char *what)
{
    return options_fail(reader->error, "%.200s:%d: %s%s%.100s%s", reader->name, reader->line, words,
                        *what != '\0' ? " \"" : "", what, *what != '\0' ? "\"" : "");
}

static struct option_section *section_of(struct settings *settings, const char *master)
{
    for (size_t i = 0; i < settings->n_sections; i++) {
        if (strcmp(settings->sections[i].master, master) == 0) {
            return &settings->sections[i];
        }
    }
    struct option_section *section = MEM_APPEND(settings->sections, settings->n_sections);
    *section = (struct option_section){.master = mem_strdup(master)};
    return section;
}

/* `[bellwether]`, `[master NAME]`; the text without its brackets. */
static void enter_section(struct file_reader *reader, const char *title)
{
    static const struct option_entry name_entry = {.name = "master", .type = OPTION_NAME};
    char words[8];

    if (strcmp(title, "bellwether") == 0) {
        reader->column = reader->settings->by_source[SOURCE_FILE];
        reader->in_master = false;
    } else if (strncmp(title, MASTER_PREFIX, sizeof(MASTER_PREFIX) - 1) == 0) {
        const char *master = title + sizeof(MASTER_PREFIX) - 1;

        master += strspn(master, " \t");
        if (option_read_value(&name_entry, master, NULL, words, sizeof(words)) != 0) {
            (void)fail_here(reader, "no valid name of a master:", master);
            return;
        }
        reader->column = section_of(reader->settings, master)->settings;
        reader->in_master = true;
    } else {
        (void)fail_here(reader, "a section is [bellwether] or [master NAME], not", title);
    }
}

/* Takes the title from a section's line. inih sees the line, too, and only checks its brackets. */
static void look_at_line(struct file_reader *reader, char *line)
{
    char *end = line[0] == '[' ? strchr(line, ']') : NULL;

    if (!end) {
        return;
    }
    char *title = line + 1 + strspn(line + 1, " \t");
    *end = '\0';
    for (char *last = end; last > title && isspace((unsigned char)last[-1]);) {
        *--last = '\0';
    }
    enter_section(reader, title);
}

/*
 * ini_reader: the next line, without the blanks before it, which inih would take for "more of the
 * value above".
 */
static char *next_line(char *out, int size, void *data)
{
    struct file_reader *reader = data;

    errno = 0;
    ssize_t length = getline(&reader->buffer, &reader->buffer_size, reader->stream);
    if (length < 0) {
        reader->read_error = ferror(reader->stream) ? errno : 0;
        return NULL;
    }
    reader->line++;
    char *line = reader->buffer;
    if (strlen(line) != (size_t)length) {
        (void)fail_here(reader, "the line has a zero byte", "");
        return NULL;
    }
    line += strspn(line, " \t");
    if (*line == '#' || *line == ';') { /* however long */
        line[0] = '\n';
        line[1] = '\0';
    }
    if (strlen(line) >= (size_t)size) {
        (void)fail_here(reader, "the line is too long; a list may be given as several lines", "");
        return NULL;
    }
    memcpy(out, line, strlen(line) + 1);
    look_at_line(reader, line);
    return reader->error->text[0] == '\0' ? out : NULL;
}

static int unknown_key(struct file_reader *reader, const char *key)
{
    const char *guess = option_guess(key, false);
    char words[128];

    (void)snprintf(words, sizeof(words), "unknown option%s%s%s:", !guess ? "" : " (did you mean ",
                   !guess ? "" : guess, !guess ? "" : "?)");
    return fail_here(reader, words, key);
}

/* ini_handler: nonzero is success. The section that inih gives is cut, so it is not used. */
static int take_pair(void *data, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = data;
    int id = option_find(key, strlen(key));
    char where[300];

    (void)section;
    if (reader->error->text[0] != '\0') {
        return 0;
    }
    if (id < 0) {
        return unknown_key(reader, key) == 0;
    }
    const struct option_entry *entry = &option_table[id];
    if ((entry->properties & OPTION_ENVIRONMENT_ONLY) != 0) {
        return fail_here(
                   reader,
                   "a secret has a file of its own (its name and -file) or stands in the environment:",
                   key) == 0;
    }
    if ((entry->properties & OPTION_NOT_IN_FILE) != 0) {
        return fail_here(reader, "not an option for this file:", key) == 0;
    }
    if (reader->in_master && (entry->properties & OPTION_PER_MASTER) == 0) {
        return fail_here(reader,
                         "not an option of a single master, so not for this section:", key) == 0;
    }
    struct setting *setting = &reader->column[id];
    if (setting->where && (entry->properties & OPTION_LIST) == 0) {
        return fail_here(reader, "given a second time:", key) == 0;
    }
    (void)snprintf(where, sizeof(where), "%.200s:%d", reader->name, reader->line);
    return setting_add(setting, entry, !value ? "" : value, true, where, reader->error) == 0;
}

int settings_from_stream(struct settings *settings, FILE *stream, const char *name,
                         struct options_error *error)
{
    struct file_reader reader = {.stream = stream,
                                 .name = name,
                                 .settings = settings,
                                 .error = error,
                                 .column = settings->by_source[SOURCE_FILE]};
    int bad_line = ini_parse_stream(next_line, &reader, take_pair, &reader);

    free(reader.buffer);
    if (error->text[0] == '\0' && reader.read_error != 0) {
        return options_fail(error, "config: \"%.200s\" cannot be read: %s", name,
                            strerror(reader.read_error));
    }
    if (error->text[0] == '\0' && bad_line != 0) {
        reader.line = bad_line;
        return fail_here(&reader, "neither `name = value` nor a [section] nor a comment", "");
    }
    return error->text[0] == '\0' ? 0 : -BW_EINVAL;
}

int settings_from_file(struct settings *settings, const char *path, struct options_error *error)
{
    FILE *stream = fopen(path, "re");

    if (!stream) {
        return options_fail(error, "config: \"%.200s\" cannot be read: %s", path, strerror(errno));
    }
    int failed = settings_from_stream(settings, stream, path, error);
    (void)fclose(stream);
    return failed;
}
