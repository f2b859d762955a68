/* The Sentinels that are dialled together. */
#ifndef BELLWETHER_WATCHER_DEPLOYMENT_H
#define BELLWETHER_WATCHER_DEPLOYMENT_H

#include "watcher.h"

void deployment_init(struct deployment *deployment, struct watcher *watcher,
                     const struct watch_deployment *config);
void deployment_release(struct deployment *deployment);
/* A name look-up ended: what waited for it goes on. @param data the watcher. */
void deployment_found_name(void *data);
/* Now and then: whoever has been gone for a minute may have been replaced. */
void deployment_look_for_gone(struct deployment *deployment);
/* At the end of a turn: the review that something in it asked for. */
void deployment_turn(struct deployment *deployment);
/* Dial all who are not up now, without waiting for their back-off; the start, too. */
void deployment_redial(struct deployment *deployment);

#endif
