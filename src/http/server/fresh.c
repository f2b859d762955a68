/*
 * The list of requests that wait for the watcher. It is in the order of their deadlines, so one
 * timer, for its head, is enough. Those of one kind wait equally long, so a new one belongs at or
 * near the end.
 */
#include "fresh.h"

#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/topology/report.h"

#define ANSWER_WAIT_MS 1000 /* a watcher that turns answers at once */

static struct fresh *first(struct worker *worker)
{
    return LIST_OWNER(worker->fresh.first, struct fresh, link);
}

static void insert(struct worker *worker, struct fresh *fresh)
{
    struct list_link *before = worker->fresh.last;

    while (before && LIST_OWNER(before, struct fresh, link)->deadline_ms > fresh->deadline_ms) {
        before = before->previous;
    }
    list_insert_after(&worker->fresh, before, &fresh->link);
}

static struct message *message_of(const struct fresh *fresh, enum fresh_question question,
                                  struct mailbox *reply_to)
{
    switch (question) {
    case FRESH_LOOK_UP: return message_ask_fresh_new(fresh->ticket, reply_to, fresh->master);
    case FRESH_LAG: return message_ask_lag_new(fresh->ticket, reply_to, fresh->master);
    default: return message_ask_status_new(fresh->ticket, reply_to);
    }
}

struct fresh *fresh_ask(struct listener *listener, struct MHD_Connection *connection,
                        enum fresh_question question, const char *master)
{
    struct worker *worker = listener->worker;
    struct fresh *fresh = mem_new(1, sizeof(*fresh));
    int64_t wait_ms = question == FRESH_LOOK_UP ? worker->config->poll_wait_ms : ANSWER_WAIT_MS;

    fresh->listener = listener;
    fresh->connection = connection;
    fresh->ticket = ++worker->last_ticket;
    fresh->began_ms = clock_boot_ms();
    fresh->deadline_ms = fresh->began_ms + wait_ms;
    snprintf(fresh->master, sizeof(fresh->master), "%s", master);
    insert(worker, fresh);
    if (!loop_timer_armed(worker->fresh_timer) || first(worker) == fresh) {
        loop_timer_start(worker->fresh_timer, wait_ms);
    }
    MHD_suspend_connection(connection);
    mailbox_post(worker->ask_to, message_of(fresh, question, worker->mailbox));
    return fresh;
}

/* Resumed connections are handled in the next MHD_run(), which this turn of the loop makes. */
static void resume(struct worker *worker, struct fresh *fresh, enum fresh_outcome outcome)
{
    fresh->outcome = outcome;
    list_remove(&worker->fresh, &fresh->link);
    MHD_resume_connection(fresh->connection);
    fresh->listener->wanted = true;
}

/* @return NULL: its deadline was earlier than its answer. */
static struct fresh *find(struct worker *worker, uint64_t ticket)
{
    LIST_EACH(struct fresh, fresh, &worker->fresh, link) {
        if (fresh->ticket == ticket) {
            return fresh;
        }
    }
    return NULL;
}

void fresh_settle_status(struct worker *worker, struct message_status *message)
{
    struct fresh *fresh = find(worker, message->ticket);

    if (fresh) {
        fresh->report = message->report;
        message->report = NULL;
        resume(worker, fresh, FRESH_CONFIRMED);
    }
}

void fresh_settle(struct worker *worker, struct message_fresh *message)
{
    struct fresh *fresh = find(worker, message->ticket);

    if (!fresh) {
        return;
    }
    fresh->reason = message->reason;
    fresh->detail = message->detail;
    message->detail = NULL;
    resume(worker, fresh, message->confirmed ? FRESH_CONFIRMED : FRESH_UNCONFIRMED);
}

void fresh_expire(void *data)
{
    struct worker *worker = data;
    int64_t now = clock_boot_ms();

    while (first(worker) && first(worker)->deadline_ms <= now) {
        resume(worker, first(worker), FRESH_NO_ANSWER);
    }
    if (first(worker)) {
        loop_timer_start(worker->fresh_timer, first(worker)->deadline_ms - now);
    }
}

void fresh_release_all(struct worker *worker)
{
    while (first(worker)) {
        resume(worker, first(worker), FRESH_NO_ANSWER);
    }
}

void fresh_free(struct fresh *fresh)
{
    if (fresh && fresh->outcome == FRESH_WAITING) {
        list_remove(&fresh->listener->worker->fresh, &fresh->link);
    }
    if (fresh) {
        status_report_free(fresh->report);
        free(fresh->detail);
    }
    free(fresh);
}
