/* What is done when a turn of the loop ends, and gaps in the clock. */
#ifndef BELLWETHER_WATCHER_TURN_H
#define BELLWETHER_WATCHER_TURN_H

#include "watcher.h"

/*
 * Every callback begins with it. Notices a gap in the clock and voids all that was believed.
 * @return whether there was one: then what the callback brings may be from before it, and is
 * dropped.
 */
bool turn_begin(struct watcher *watcher);
/* At the end of this turn: the judge was told something; or only what is shown may have changed. */
void turn_step_later(struct master *master);
void turn_show_later(struct master *master);
/* At the end of this turn: who is known, or where, changed. */
void turn_relink_later(struct master *master);
/* Behind the next snapshot. Takes the message. */
void turn_post_later(struct watcher *watcher, struct mailbox *to, struct message *message);
/* The next one for which that is due, its mark taken off; NULL: none is left. */
struct master *turn_take(struct watcher *watcher, enum turn_mark mark);
void turn_forget(struct master *master); /* it goes */

#endif
