/*
 * The list of requests that wait for a fresh look-up. All wait equally long, so the list is in the order of
 * their deadlines and one timer, for its head, is enough.
 */
#include "fresh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"

static void append(struct worker *worker, struct fresh *fresh)
{
    fresh->previous = worker->fresh_last;
    if (worker->fresh_last) {
        worker->fresh_last->next = fresh;
    } else {
        worker->fresh_first = fresh;
    }
    worker->fresh_last = fresh;
}

static void detach(struct worker *worker, struct fresh *fresh)
{
    if (fresh->previous) {
        fresh->previous->next = fresh->next;
    } else {
        worker->fresh_first = fresh->next;
    }
    if (fresh->next) {
        fresh->next->previous = fresh->previous;
    } else {
        worker->fresh_last = fresh->previous;
    }
    fresh->next = fresh->previous = NULL;
}

struct fresh *fresh_ask(struct listener *listener, struct MHD_Connection *connection, const char *master)
{
    struct worker *worker = listener->worker;
    struct fresh *fresh = mem_new(1, sizeof(*fresh));

    fresh->listener = listener;
    fresh->connection = connection;
    fresh->ticket = ++worker->last_ticket;
    fresh->deadline_ms = clock_boot_ms() + worker->config->poll_wait_ms;
    snprintf(fresh->master, sizeof(fresh->master), "%s", master);
    append(worker, fresh);
    if (!loop_timer_armed(worker->fresh_timer)) {
        loop_timer_start(worker->fresh_timer, worker->config->poll_wait_ms);
    }
    MHD_suspend_connection(connection);
    mailbox_post(worker->ask_to, news_ask_fresh_new(fresh->ticket, worker->mailbox, fresh->master));
    return fresh;
}

/* Resumed connections are handled in the next MHD_run(), which this turn of the loop makes. */
static void resume(struct worker *worker, struct fresh *fresh, enum fresh_outcome outcome)
{
    fresh->outcome = outcome;
    detach(worker, fresh);
    MHD_resume_connection(fresh->connection);
    fresh->listener->wanted = true;
}

void fresh_settle(struct worker *worker, const struct news_fresh *news)
{
    struct fresh *fresh = worker->fresh_first;

    while (fresh && fresh->ticket != news->ticket) {
        fresh = fresh->next;
    }
    if (!fresh) {
        return; /* its deadline was earlier */
    }
    fresh->reason = news->reason;
    memcpy(fresh->detail, news->detail, sizeof(fresh->detail));
    resume(worker, fresh, news->confirmed ? FRESH_CONFIRMED : FRESH_UNCONFIRMED);
}

void fresh_expire(void *data)
{
    struct worker *worker = data;
    int64_t now = clock_boot_ms();

    while (worker->fresh_first && worker->fresh_first->deadline_ms <= now) {
        resume(worker, worker->fresh_first, FRESH_NO_ANSWER);
    }
    if (worker->fresh_first) {
        loop_timer_start(worker->fresh_timer, worker->fresh_first->deadline_ms - now);
    }
}

void fresh_release_all(struct worker *worker)
{
    while (worker->fresh_first) {
        resume(worker, worker->fresh_first, FRESH_NO_ANSWER);
    }
}

void fresh_free(struct fresh *fresh)
{
    if (fresh && fresh->outcome == FRESH_WAITING) {
        detach(fresh->listener->worker, fresh);
    }
    free(fresh);
}
