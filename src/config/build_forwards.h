/* The options of forwards. */
#ifndef BELLWETHER_CONFIG_BUILD_FORWARDS_H
#define BELLWETHER_CONFIG_BUILD_FORWARDS_H

#include "build_secret.h"

/** After deployments, credentials, listeners and the default master. @return 0; -BW_EINVAL. */
int options_build_forwards(const struct builder *builder);

#endif
