/* Questions to a Sentinel. */
#ifndef BELLWETHER_SENTINEL_CLIENT_POLL_H
#define BELLWETHER_SENTINEL_CLIENT_POLL_H

#include "client_state.h"

struct question;

/**
 * Send a command. @param monitored  whom it is about; NULL: the Sentinel itself.
 * @param done  gets the question as its data: it begins with client_take_question().
 */
void client_send(struct sentinel_client *client, struct monitored_master *monitored,
                 redis_reply_fn *done, int argc, const char **argv);
/**
 * What every reply callback begins with: takes the question apart.
 * @param monitored  set; may be NULL.
 * @return the client when the reply is to be looked at; NULL when it was lost, is stale, or its
 * monitored master is gone.
 */
struct sentinel_client *client_take_question(struct question *question, const redisReply *reply,
                                             struct monitored_master **monitored);
/** It need not be asked any more. */
void client_unwant(struct sentinel_client *client, struct monitored_master *monitored);
void client_ask_everything(struct sentinel_client *client);
/** Ask everything and begin the steady rounds. */
void client_begin_rounds(struct sentinel_client *client);
/** The pacing timer's; `data` is the client. */
void client_visit(void *data);
/** Answers to what is on its way are dropped. */
void client_drop_questions(struct sentinel_client *client);

#endif
