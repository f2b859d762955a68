/* The options as /status shows them. */
#ifndef BELLWETHER_CONFIG_SHOWN_H
#define BELLWETHER_CONFIG_SHOWN_H

#include "sources.h"

/** Fill `shown`, secrets masked. */
void options_show(const struct settings *settings, struct options *out);
void options_shown_release(struct options *options);

#endif
