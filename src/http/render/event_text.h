/* The events of /events as text, and their ids. Pure. */
#ifndef BELLWETHER_HTTP_RENDER_EVENT_TEXT_H
#define BELLWETHER_HTTP_RENDER_EVENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"

/**
 * `master`: what is served for it, in 503 states too.
 * @param master   NULL: there is none, only the number is told.
 * @param stalled  the watcher is silent: nothing is vouched for.
 * @param size     set to the text's without the terminating NUL. @return free() it.
 */
char *event_text_master(const char *instance, uint64_t number, const struct snapshot_master *master,
                        bool stalled, size_t *size);
/** `sentinel`: an event of a Sentinel. */
char *event_text_sentinel(const char *instance, uint64_t number,
                          const struct message_event *message, size_t *size);
/**
 * The number in an id. @param out set on success. @return 0; -BW_EINVAL: no id of this instance.
 */
int event_text_number(const char *instance, const char *id, uint64_t *out);

#endif
