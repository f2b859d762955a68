/* The options of places: listeners and forwards. */
#ifndef BELLWETHER_CONFIG_BUILD_PLACES_H
#define BELLWETHER_CONFIG_BUILD_PLACES_H

#include "build_secret.h"

enum { OPTIONS_PLACE_TEXT_SIZE = 512 };

/**
 * Where a place was given, and which: what a message begins with.
 * @param id    of --listen or --forward.
 * @param item  which of that option's.
 * @return `out`, of OPTIONS_PLACE_TEXT_SIZE bytes.
 */
const char *options_place_given(const struct settings *settings, int id, size_t item,
                                const struct listen_place *place, char *out);
/** @return 0; -BW_EINVAL. */
int options_build_listens(const struct builder *builder);
/** After deployments, credentials, listeners and the default master. @return 0; -BW_EINVAL. */
int options_build_forwards(const struct builder *builder);

#endif
