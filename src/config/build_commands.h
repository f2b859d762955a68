/* The options of commands over HTTP. */
#ifndef BELLWETHER_CONFIG_BUILD_COMMANDS_H
#define BELLWETHER_CONFIG_BUILD_COMMANDS_H

#include "build_secret.h"

/** After the numbers and the listeners. @return 0; -BW_EINVAL. */
int options_build_commands(const struct builder *builder);

#endif
