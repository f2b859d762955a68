/* From settings to struct options. */
#ifndef BELLWETHER_CONFIG_BUILD_H
#define BELLWETHER_CONFIG_BUILD_H

#include "sources.h"

/** @param out set on success; free with options_release(). */
int options_build(const struct settings *settings, struct options *out,
                  struct options_error *error);

#endif
