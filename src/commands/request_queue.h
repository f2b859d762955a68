/* Who waits, and until when. */
#ifndef BELLWETHER_COMMANDS_REQUEST_QUEUE_H
#define BELLWETHER_COMMANDS_REQUEST_QUEUE_H

#include "pool_state.h"

/** Among the deadlines of its pool, until it ends. */
void request_deadline_start(struct request_run *run);
void request_deadline_stop(struct request_run *run);
/** At the end of its master pool's queue; nothing when it waits already. */
void request_queue_add(struct request_run *run);
void request_queue_remove(struct request_run *run);
bool request_queue_has(const struct request_run *run);
/** The queue is looked through when this turn ends. */
void request_queue_wake(struct master_pool *master_pool);

#endif
