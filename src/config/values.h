/* One value in text, checked and read as its option's type wants it. */
#ifndef BELLWETHER_CONFIG_VALUES_H
#define BELLWETHER_CONFIG_VALUES_H

#include "bellwether/config/options.h"
#include "options_table.h"

#define OPTIONS_ERROR_SIZE 1024

/* The first thing that went wrong, one line. */
struct options_error {
    char text[OPTIONS_ERROR_SIZE];
};
/** Keep the first message, without control characters. @return -BW_EINVAL, to be returned. */
int options_fail(struct options_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct option_value {
    int64_t number; /* integers, durations, sizes, switches; a choice's place in the list */
    struct address address;
    struct listen_place place; /* its unix_path is owned */
    enum http_scope scope;     /* of a listener */
    enum forward_to to;        /* of a forward, as the two below */
    char *master;              /* owned; NULL: the default one */
    bool auth;
};
void option_value_release(struct option_value *value);
/**
 * Read one item.
 * @param out NULL: only check.
 * @return 0; -BW_EINVAL with words that name the value and what it takes.
 */
int option_read_value(const struct option_entry *entry, const char *text, struct option_value *out,
                      char *error, size_t error_size);
/** In a list of places words like `scope=...` and `tls` belong to the one before. */
bool option_continues(const struct option_entry *entry, const char *word);

#endif
