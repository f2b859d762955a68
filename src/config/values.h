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
    struct http_listen listen;     /* unix_path is owned: free() it */
    struct forward_listen forward; /* unix_path and master are owned */
};
/**
 * Read one item.
 * @param out NULL: only check.
 * @return 0; -BW_EINVAL with words that name the value and what it takes.
 */
int option_read_value(const struct option_entry *entry, const char *text, struct option_value *out,
                      char *error, size_t error_size);

#endif
