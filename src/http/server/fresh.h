/*
 * Requests that wait for an answer of the watcher: those with ?fresh=1, with ?max_lag= where what
 * is known is too old, and /status. Each is suspended in MHD and asks once, with a ticket; the
 * watcher lets all that ask for a fresh look-up at once share one. A request is resumed exactly
 * once: by the watcher's answer, by its deadline, or by the worker's end.
 */
#ifndef BELLWETHER_HTTP_SERVER_FRESH_H
#define BELLWETHER_HTTP_SERVER_FRESH_H

#include <stdint.h>

#include "bellwether/http/router.h"
#include "bellwether/topology/messages.h"
#include "listener.h"

enum fresh_question {
    FRESH_LOOK_UP, /* whether what is known of this master is true */
    FRESH_LAG,     /* how far its replicas lag */
    FRESH_STATUS,  /* all that the watcher knows: `report` */
};
enum fresh_outcome { FRESH_WAITING, FRESH_CONFIRMED, FRESH_UNCONFIRMED, FRESH_NO_ANSWER };

struct fresh {
    struct list_link link;
    struct listener *listener;
    struct MHD_Connection *connection; /* suspended while waiting */
    uint64_t ticket;
    int64_t began_ms, deadline_ms; /* boot clock */
    enum fresh_outcome outcome;
    enum reason reason; /* why not confirmed */
    char *detail;       /* the same in words; NULL: not told */
    char master[ROUTE_ARGUMENT_SIZE];
    /* of /status: what the watcher said, owned; NULL: nothing in time */
    struct status_report *report;
};

/**
 * Suspend the connection and ask. @param master "": the question is about none. @return what waits
 * now; fresh_free() it after its request was answered.
 */
struct fresh *fresh_ask(struct listener *listener, struct MHD_Connection *connection,
                        enum fresh_question question, const char *master);
/** The watcher's answer came; its words move out of the message. */
void fresh_settle(struct worker *worker, struct message_fresh *message);
/** The same of /status; the report moves out of the message. */
void fresh_settle_status(struct worker *worker, struct message_status *message);
/** The timer of the earliest deadline. @param data the worker. */
void fresh_expire(void *data);
/** The worker ends: resume all. */
void fresh_release_all(struct worker *worker);
void fresh_free(struct fresh *fresh);

#endif
