/* What is done when a turn of the loop ends, and gaps in the clock. */
#ifndef BELLWETHER_WATCHER_TURN_H
#define BELLWETHER_WATCHER_TURN_H

#include "watcher.h"

/*
 * The beginning of a turn: every callback of the loop calls it first. It notices a gap in the clock
 * and voids all that was believed. @return whether there was one: then what the callback brings may
 * be from before it, and is dropped.
 */
bool turn_begin(struct watcher *watcher);
/*
 * A sign of life in the middle of much work, which so is not taken for a gap. @return false: there
 * was a gap since the last one; the next turn notices it.
 */
bool turn_goes_on(struct watcher *watcher);
/* Step the master's judge at the end of this turn: it was told something. */
void turn_step_later(struct master *master);
/* Make the master's part of the snapshot anew at the end of this turn. */
void turn_show_later(struct master *master);
/* Dial and forget Sentinels at the end of this turn: who is known, or where, changed. */
void turn_relink_later(struct master *master);
/* Post a message behind the next snapshot. @param message taken. */
void turn_post_later(struct watcher *watcher, struct mailbox *to, struct message *message);
/*
 * Post it when all is heard that has come by now: with the next turn, which begins at once. What
 * this one was woken for had come before that, maybe long before.
 */
void turn_post_when_heard(struct watcher *watcher, struct mailbox *to, struct message *message);
/* Post what is due with this turn; the rest stays in the outbox. */
void turn_post_due(struct watcher *watcher);
/* The next one for which that is due, its mark taken off; NULL: none is left. */
struct master *turn_take(struct watcher *watcher, enum turn_mark mark);
/* The master goes: nothing is due for it any more. */
void turn_forget(struct master *master);

#endif
