/* A reader for each type of option. Pure. */
#include "values.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/units.h"

#define SOCKET_MODE_DEFAULT 0660
#define MODE_UNSAID (~0U)

/* What of a value is wrong, where its type alone does not tell. */
enum { WHY_SIZE = 96 };

int options_fail(struct options_error *error, const char *format, ...)
{
    va_list arguments;

    if (error->text[0] != '\0') {
        return -BW_EINVAL;
    }
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    for (char *p = error->text; *p != '\0'; p++) { /* one line, whatever was in the value */
        if (iscntrl((unsigned char)*p)) {
            *p = '?';
        }
    }
    return -BW_EINVAL;
}

/* The place of `text` in "a|b|c", or -1. */
static int64_t choice_place(const char *choices, const char *text)
{
    size_t length = strlen(text);
    int64_t place = 0;

    for (const char *p = choices; p; place++) {
        const char *bar = strchr(p, '|');
        size_t here = !bar ? strlen(p) : (size_t)(bar - p);

        if (here == length && memcmp(p, text, length) == 0) {
            return place;
        }
        p = !bar ? NULL : bar + 1;
    }
    return -1;
}

static bool has_control(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (iscntrl((unsigned char)*p)) {
            return true;
        }
    }
    return false;
}

static bool is_master_name(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length < OPTIONS_MASTER_NAME_SIZE && !has_control(text) &&
           !strchr(text, ' ');
}

/* Everything that is stored as a number. */
static int read_number(const struct option_entry *entry, const char *text, int64_t *out)
{
    int64_t number = 0;
    int failed = 0;

    switch (entry->type) {
    case OPTION_INTEGER: failed = integer_parse(text, entry->min, entry->max, &number); break;
    case OPTION_DURATION: failed = duration_parse(text, &number); break;
    case OPTION_SIZE: failed = bytes_parse(text, &number); break;
    default:
        number = choice_place(entry->type == OPTION_SWITCH ? "off|on" : entry->choices, text);
        failed = number < 0 ? -BW_EINVAL : 0;
        break;
    }
    if (failed == 0 && entry->max != 0 && (number < entry->min || number > entry->max)) {
        failed = -BW_ERANGE;
    }
    if (failed == 0) {
        *out = number;
    }
    return failed;
}

/* ---- where is listened: HOST:PORT or unix:PATH, then words ---- */

static bool read_scope(const char *text, struct option_value *out)
{
    int64_t place = choice_place("all|discovery|probe", text);

    out->scope = (enum http_scope)place;
    return place >= 0;
}

static bool read_to(const char *text, struct option_value *out)
{
    int64_t place = choice_place("master|replica", text);

    out->to = (enum forward_to)place;
    return place >= 0;
}

static bool read_name(const char *text, struct option_value *out)
{
    out->master = is_master_name(text) ? mem_strdup(text) : NULL;
    return out->master;
}

static bool read_auth(const char *text, struct option_value *out)
{
    (void)text;
    out->auth = true;
    return true;
}

static bool read_tls(const char *text, struct option_value *out)
{
    (void)text;
    out->place.tls = true;
    return true;
}

static bool read_client_ca(const char *text, struct option_value *out)
{
    int64_t place = choice_place("off|optional|required", text);

    out->place.client_ca = (enum client_ca)place;
    out->place.client_ca_given = true;
    return place >= 0;
}

static bool read_mode(const char *text, struct option_value *out)
{
    size_t length = strspn(text, "01234567");

    out->place.mode = (unsigned)strtoul(text, NULL, 8);
    return length >= 3 && length <= 4 && text[length] == '\0' && (length == 3 || text[0] == '0');
}

static const struct place_word {
    const char *name; /* with = where a value follows */
    bool listen, forward;
    bool (*read)(const char *text, struct option_value *out);
} place_words[] = {
    {"scope=", true, false, read_scope}, {"to=", false, true, read_to},
    {"name=", false, true, read_name},   {"auth", false, true, read_auth},
    {"tls", true, true, read_tls},       {"client-ca=", true, true, read_client_ca},
    {"mode=", true, true, read_mode},
};
enum { PLACE_WORDS = sizeof(place_words) / sizeof(place_words[0]) };

/* Its number, or -1. */
static int find_place_word(const struct option_entry *entry, const char *text)
{
    for (int i = 0; i < PLACE_WORDS; i++) {
        const struct place_word *word = &place_words[i];
        size_t length = strlen(word->name);
        bool is_whole = word->name[length - 1] != '=';

        if ((entry->type == OPTION_LISTEN ? word->listen
                                          : entry->type == OPTION_FORWARD && word->forward) &&
            strncmp(text, word->name, length) == 0 && (!is_whole || text[length] == '\0')) {
            return i;
        }
    }
    return -1;
}

bool option_continues(const struct option_entry *entry, const char *word)
{
    return find_place_word(entry, word) >= 0;
}

/* @param seen  the words that were read already, a bit each. */
static int read_place_word(const struct option_entry *entry, const char *text, unsigned *seen,
                           struct option_value *out, char why[WHY_SIZE])
{
    int found = find_place_word(entry, text);
    const struct place_word *word = &place_words[found < 0 ? 0 : found];

    if (found >= 0 && (*seen & 1U << found) != 0) {
        (void)snprintf(why, WHY_SIZE, "%s is there twice", word->name);
        return -BW_EINVAL;
    }
    if (found < 0 || !word->read(text + strlen(word->name), out)) {
        (void)snprintf(why, WHY_SIZE, "%.*s", WHY_SIZE / 2, text);
        return -BW_EINVAL;
    }
    *seen |= 1U << found;
    return 0;
}

/*
 * Port 0 asks the kernel for any free one: not an address that can be dialled, so address_parse()
 * refuses it.
 */
static int read_listen_address(char *text, struct address *out)
{
    size_t length = strlen(text);
    char words[8];

    if (length > 2 && strcmp(text + length - 2, ":0") == 0) {
        text[length - 1] = '1';
        int failed = address_parse(text, 0, out, words, sizeof(words));
        out->port = 0;
        return failed;
    }
    return address_parse(text, 0, out, words, sizeof(words));
}

static int read_socket_path(const char *path, struct option_value *out, char why[WHY_SIZE])
{
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;

    if (path[0] == '\0') {
        (void)snprintf(why, WHY_SIZE, "a socket has a path");
        return -BW_EINVAL;
    }
    if (strlen(path) > most) {
        (void)snprintf(why, WHY_SIZE, "a socket's path has at most %zu bytes", most);
        return -BW_EINVAL;
    }
    if (file[0] == '\0' || strcmp(file, ".") == 0 || strcmp(file, "..") == 0) {
        (void)snprintf(why, WHY_SIZE, "a socket's path ends in the socket's own name");
        return -BW_EINVAL;
    }
    out->place.unix_path = mem_strdup(path);
    return 0;
}

/* @param text  is cut up. */
static int read_place(const struct option_entry *entry, char *text, struct option_value *out,
                      char why[WHY_SIZE])
{
    char *place = strsep(&text, ",");
    bool is_socket = strncmp(place, "unix:", 5) == 0;
    unsigned seen = 0;
    int failed = 0;

    out->place.mode = MODE_UNSAID;
    while (failed == 0 && text) {
        failed = read_place_word(entry, strsep(&text, ","), &seen, out, why);
    }
    if (failed == 0 && is_socket) {
        failed = read_socket_path(place + 5, out, why);
    } else if (failed == 0 && out->place.mode != MODE_UNSAID) {
        (void)snprintf(why, WHY_SIZE, "mode= is for a socket");
        failed = -BW_EINVAL;
    } else if (failed == 0) {
        failed = read_listen_address(place, &out->place.address);
    }
    if (out->place.mode == MODE_UNSAID) {
        out->place.mode = SOCKET_MODE_DEFAULT;
    }
    return failed;
}

/* ---- all of them ---- */

static int read_typed(const struct option_entry *entry, const char *text, struct option_value *out,
                      char why[WHY_SIZE])
{
    struct address_map map = {0};
    char words[8], *copy;
    int failed;

    switch (entry->type) {
    case OPTION_SEED:
        return address_parse(text, OPTIONS_DEFAULT_SENTINEL_PORT, &out->address, words,
                             sizeof(words));
    case OPTION_NODE:
        return address_parse(text, OPTIONS_DEFAULT_NODE_PORT, &out->address, words, sizeof(words));
    case OPTION_NAME: return is_master_name(text) ? 0 : -BW_EINVAL;
    case OPTION_MAP:
        failed = address_map_add(&map, text, words, sizeof(words));
        address_map_release(&map);
        return failed;
    case OPTION_LISTEN:
    case OPTION_FORWARD:
        copy = mem_strdup(text);
        failed = read_place(entry, copy, out, why);
        free(copy);
        return failed;
    case OPTION_TEXT:
    case OPTION_FILE:
    case OPTION_SECRET: return has_control(text) && entry->type != OPTION_SECRET ? -BW_EINVAL : 0;
    default: return read_number(entry, text, &out->number);
    }
}

void option_value_release(struct option_value *value)
{
    free(value->place.unix_path);
    free(value->master);
    *value = (struct option_value){0};
}

int option_read_value(const struct option_entry *entry, const char *text, struct option_value *out,
                      char *error, size_t error_size)
{
    struct option_value value = {0};
    char takes[256], why[WHY_SIZE] = "";
    int failed = read_typed(entry, text, &value, why);

    if (failed != 0) {
        (void)snprintf(error, error_size, "\"%.300s\" is not valid%s%s; takes %s", text,
                       why[0] != '\0' ? ": " : "", why, option_takes(entry, takes));
    }
    if (failed == 0 && out) {
        *out = value;
    } else {
        option_value_release(&value);
    }
    return failed != 0 ? -BW_EINVAL : 0;
}
