/* What the options print. */
#ifndef BELLWETHER_CONFIG_HELP_H
#define BELLWETHER_CONFIG_HELP_H

#include <stdio.h>

#include "sources.h"

/** Print what the action asks for. @return whether it asks for something that is printed. */
bool options_print(FILE *to, const struct settings *settings);

#endif
