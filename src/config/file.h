/* Settings from an INI file. */
#ifndef BELLWETHER_CONFIG_FILE_H
#define BELLWETHER_CONFIG_FILE_H

#include <stdio.h>

#include "sources.h"

/** @param name for messages. */
int settings_from_stream(struct settings *settings, FILE *stream, const char *name,
                         struct options_error *error);
int settings_from_file(struct settings *settings, const char *path, struct options_error *error);

#endif
