/* Answers to writes that came while the fence is up. */
#ifndef BELLWETHER_COMMANDS_HELD_REPLY_H
#define BELLWETHER_COMMANDS_HELD_REPLY_H

#include "request_run.h"

/** Keep the command's answer, which is in its `json`, for a moment. */
void held_reply_keep(struct request_run *run, size_t i);
/** A promotion has begun, or is over. */
void held_replies_end(struct master_pool *master_pool);
/** The fence is down; the timer of a master pool, which is `data`. */
void held_replies_due(void *data);

#endif
