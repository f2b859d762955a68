/* What the makers of struct options share: secrets from files or the environment, notes, names. */
#ifndef BELLWETHER_CONFIG_BUILD_SECRET_H
#define BELLWETHER_CONFIG_BUILD_SECRET_H

#include "sources.h"

struct builder {
    const struct settings *settings;
    struct options *out;
    struct options_error *error;
};

/**
 * A secret: from its file, or from the environment where the file was named by a weaker source. A
 * note is left when others can get at the file.
 * @param own       the setting of a section, whose file takes the place of both; NULL: none.
 * @param value_id  the variable; -1: there is none.
 * @return one that may hold no value; NULL after options_fail(). The caller frees it.
 */
struct secret *options_secret(const struct builder *builder, const struct setting *own, int file_id,
                              int value_id);
/** Something for the log. @param message,key static. */
void options_note(struct options *out, enum log_level level, const char *message, const char *key,
                  const char *value);

/** Whether the name is one of them. */
bool options_has_name(char *const *names, size_t n, const char *name);
/** Whether a master of that name is watched, as far as the options tell. */
bool options_is_watched(const struct watch_config *watch, const char *name);

#endif
