/* The options of places: listeners and forwards. */
#ifndef BELLWETHER_CONFIG_BUILD_PLACES_H
#define BELLWETHER_CONFIG_BUILD_PLACES_H

#include "build_secret.h"

/** @return 0; -BW_EINVAL. */
int options_build_listens(const struct builder *builder);
/** After deployments, credentials, listeners and the default master. @return 0; -BW_EINVAL. */
int options_build_forwards(const struct builder *builder);

#endif
