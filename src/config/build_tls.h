/* The options of TLS to Sentinels and to Redis. */
#ifndef BELLWETHER_CONFIG_BUILD_TLS_H
#define BELLWETHER_CONFIG_BUILD_TLS_H

#include "build_secret.h"

/* Whom TLS is spoken to. */
enum tls_side { TLS_SIDE_SENTINEL, TLS_SIDE_REDIS };

/** Whether a section has anything of its own to say of a side's TLS. */
bool options_has_own_tls(const struct settings *settings, const struct option_section *section,
                         enum tls_side side);
/** Whether it is on for a section; NULL: for all. */
bool options_tls_is_on(const struct settings *settings, const struct option_section *section,
                       enum tls_side side);
/**
 * A side's TLS, for all or for a section.
 * @param section NULL: for all. @param tls set: the watch_config's.
 * @return 0; -BW_EINVAL.
 */
int options_build_tls(const struct builder *builder, const struct option_section *section,
                      enum tls_side side, struct redis_tls **tls);
/** A warning where options are given that nothing uses. */
void options_note_unused_tls(const struct builder *builder);

#endif
