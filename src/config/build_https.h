/* The options of TLS towards callers. */
#ifndef BELLWETHER_CONFIG_BUILD_HTTPS_H
#define BELLWETHER_CONFIG_BUILD_HTTPS_H

#include "build_secret.h"

/** After the numbers and the listeners. @return 0; -BW_EINVAL. */
int options_build_https(const struct builder *builder);

#endif
