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

/* `,mode=0660` */
static int read_mode(const char *text, unsigned *out)
{
    size_t length = strspn(text, "01234567");

    if (length < 3 || length > 4 || text[length] != '\0' || (length == 4 && text[0] != '0')) {
        return -BW_EINVAL;
    }
    *out = (unsigned)strtoul(text, NULL, 8);
    return 0;
}

/* `,client-ca=optional` */
static int read_client_ca(const char *text, enum client_ca *out, bool *given)
{
    int64_t place = choice_place("off|optional|required", text);

    if (place < 0) {
        return -BW_EINVAL;
    }
    *out = (enum client_ca)place;
    *given = true;
    return 0;
}

/* One of the `,key=value` that follow the address of a listener. */
static int read_listen_word(const char *word, void *data)
{
    struct http_listen *out = data;

    if (strncmp(word, "scope=", 6) == 0) {
        int64_t place = choice_place("all|discovery|probe", word + 6);

        if (place < 0) {
            return -BW_EINVAL;
        }
        out->scope = (enum http_scope)place;
        return 0;
    }
    if (strcmp(word, "tls") == 0) {
        out->tls = true;
        return 0;
    }
    if (strncmp(word, "client-ca=", 10) == 0) {
        return read_client_ca(word + 10, &out->client_ca, &out->client_ca_given);
    }
    return strncmp(word, "mode=", 5) == 0 ? read_mode(word + 5, &out->mode) : -BW_EINVAL;
}

/* The same of a forward. */
static int read_forward_word(const char *word, void *data)
{
    struct forward_listen *out = data;

    if (strncmp(word, "to=", 3) == 0) {
        int64_t place = choice_place("master|replica", word + 3);

        if (place < 0) {
            return -BW_EINVAL;
        }
        out->to = (enum forward_to)place;
        return 0;
    }
    if (strncmp(word, "name=", 5) == 0) {
        if (!is_master_name(word + 5) || out->master) {
            return -BW_EINVAL;
        }
        out->master = mem_strdup(word + 5);
        return 0;
    }
    if (strcmp(word, "tls") == 0) {
        out->tls = true;
        return 0;
    }
    if (strncmp(word, "client-ca=", 10) == 0) {
        return read_client_ca(word + 10, &out->client_ca, &out->client_ca_given);
    }
    if (strcmp(word, "auth") == 0) {
        out->auth = true;
        return 0;
    }
    return strncmp(word, "mode=", 5) == 0 ? read_mode(word + 5, &out->mode) : -BW_EINVAL;
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

/*
 * HOST:PORT or unix:PATH, then words.
 * @param mode       MODE_UNSAID: none was said.
 * @param unix_path  set where it is one.
 */
static int read_place(const char *text, int (*read_word)(const char *word, void *data), void *data,
                      const unsigned *mode, struct address *address, char **unix_path)
{
    char *copy = mem_strdup(text);
    char *rest = copy;
    char *place = strsep(&rest, ",");
    const char *path = strncmp(place, "unix:", 5) == 0 ? place + 5 : NULL;
    int failed = 0;

    while (failed == 0 && rest) {
        failed = read_word(strsep(&rest, ","), data);
    }
    if (failed == 0 && path) {
        failed = *path == '\0' || strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path
                     ? -BW_EINVAL
                     : 0;
        *unix_path = failed == 0 ? mem_strdup(path) : NULL;
    } else if (failed == 0) {
        failed = *mode != MODE_UNSAID ? -BW_EINVAL : read_listen_address(place, address);
    }
    free(copy);
    return failed;
}

static int read_listen(const char *text, struct http_listen *out)
{
    struct http_listen listen = {.mode = MODE_UNSAID};
    int failed = read_place(text, read_listen_word, &listen, &listen.mode, &listen.address,
                            &listen.unix_path);

    if (failed == 0) {
        listen.mode = listen.mode != MODE_UNSAID ? listen.mode : SOCKET_MODE_DEFAULT;
        *out = listen;
    }
    return failed;
}

static int read_forward(const char *text, struct forward_listen *out)
{
    struct forward_listen forward = {.mode = MODE_UNSAID};
    int failed = read_place(text, read_forward_word, &forward, &forward.mode, &forward.address,
                            &forward.unix_path);

    if (failed == 0) {
        forward.mode = forward.mode != MODE_UNSAID ? forward.mode : SOCKET_MODE_DEFAULT;
        *out = forward;
    } else {
        free(forward.master);
    }
    return failed;
}

static int read_typed(const struct option_entry *entry, const char *text, struct option_value *out)
{
    struct address_map map = {0};
    char words[8];
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
    case OPTION_LISTEN: return read_listen(text, &out->listen);
    case OPTION_FORWARD: return read_forward(text, &out->forward);
    case OPTION_TEXT:
    case OPTION_FILE:
    case OPTION_SECRET: return has_control(text) && entry->type != OPTION_SECRET ? -BW_EINVAL : 0;
    default: return read_number(entry, text, &out->number);
    }
}

int option_read_value(const struct option_entry *entry, const char *text, struct option_value *out,
                      char *error, size_t error_size)
{
    struct option_value value = {0};
    char takes[256];

    if (read_typed(entry, text, &value) != 0) {
        (void)snprintf(error, error_size, "\"%.300s\" is not valid; takes %s", text,
                       option_takes(entry, takes));
        return -BW_EINVAL;
    }
    if (out) {
        *out = value;
    } else {
        free(value.listen.unix_path);
        free(value.forward.unix_path);
        free(value.forward.master);
    }
    return 0;
}
