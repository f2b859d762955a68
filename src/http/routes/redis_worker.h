/* A worker's part in commands: pool, tokens, those that have ended and are to be resumed. */
#ifndef BELLWETHER_HTTP_ROUTES_REDIS_WORKER_H
#define BELLWETHER_HTTP_ROUTES_REDIS_WORKER_H

#include <stdbool.h>

#include "bellwether/base/loop.h"
#include "bellwether/commands/pool.h"
#include "http/server/access.h"
#include "http/server/worker.h"
#include "redis.h"
#include "small_answers.h"

/* What a worker has for commands. */
struct commands {
    struct worker *worker;
    struct pool *pool;
    struct access *access;
    struct loop_timer *files_timer; /* when to look at credential files */
    struct list ended;              /* of struct command_request: to be resumed, in their order */
    /* the node that the last answer named, and its name: mostly the next one's, too */
    struct address shown;
    char shown_text[ADDRESS_TEXT_SIZE];
    /* all name the node that is shown; those of writes, the second, have a sync token each */
    struct small_answers small[2];
    uint64_t writes;         /* of the last sync token */
    unsigned tokens_changed; /* how often */
};

/** @return NULL, after a line in the log: tokens can't be checked here. */
struct commands *commands_new(struct worker *worker);
void commands_free(struct commands *commands);
/** A request's state changes nowhere else, and once only: its first refusal counts. */
void command_request_move(struct command_request *command, enum command_request_state state);
/** Its commands ended: resume the caller when this turn ends. */
void commands_ended(struct pool_request *request);
/** Whether a call's other side has closed, or shut down what it writes. */
bool commands_caller_is_gone(void *command);
/* These take NULL as well: commands are off. */
void commands_start(struct commands *commands); /* in the worker's thread */
void commands_take(struct commands *commands, struct snapshot *snapshot);
void commands_reload(struct commands *commands);
/** What waits is answered now. */
void commands_drain(struct commands *commands);
/** What was sent, too. @return whether there was anything. */
bool commands_abandon(struct commands *commands);
/** Resume all that have ended; before the daemons are run, in each turn. */
void commands_flush(struct commands *commands);

#endif
