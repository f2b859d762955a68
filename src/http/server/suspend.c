/* The bound on waiting connections, and the queue of those to be resumed. */
#include "suspend.h"

#include <stddef.h>
#include <stdint.h>

#include "connections.h"
#include "sockets.h"

#define BATCH 1000 /* of one daemon in one turn */

bool suspend_enter(struct suspended *suspended, struct listener *listener,
                   struct MHD_Connection *connection, enum waiting_kind kind)
{
    struct worker *worker = listener->worker;
    _Atomic size_t *waiting = http_sockets_waiting_count(worker->sockets);

    if (atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed) >=
        worker->config->max_waiters) {
        atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
        return false;
    }
    suspended->listener = listener;
    suspended->connection = connection;
    suspended->kind = kind;
    suspended->state = PARKED_AWAKE;
    suspended->entered = true;
    metric_move(&worker->counts->long_polls[kind], 1);
    (void)connection_begins_to_wait(listener, connection);
    return true;
}

static void unqueue(struct suspended *suspended)
{
    struct listener *listener = suspended->listener;

    if (suspended->previous) {
        suspended->previous->next = suspended->next;
    } else {
        listener->called_first = suspended->next;
    }
    if (suspended->next) {
        suspended->next->previous = suspended->previous;
    } else {
        listener->called_last = suspended->previous;
    }
    suspended->next = suspended->previous = NULL;
    listener->worker->n_called--;
}

void suspend_leave(struct suspended *suspended)
{
    struct worker *worker;

    if (!suspended->entered) {
        return;
    }
    worker = suspended->listener->worker;
    if (suspended->state == PARKED_CALLED) {
        unqueue(suspended);
    }
    suspended->state = PARKED_AWAKE;
    suspended->entered = false;
    metric_move(&worker->counts->long_polls[suspended->kind], -1);
    atomic_fetch_sub_explicit(http_sockets_waiting_count(worker->sockets), 1, memory_order_relaxed);
}

void suspended_sleep(struct suspended *suspended)
{
    suspended->state = PARKED_ASLEEP;
    MHD_suspend_connection(suspended->connection);
}

void suspended_call(struct suspended *suspended)
{
    struct listener *listener = suspended->listener;

    if (suspended->state != PARKED_ASLEEP) {
        return;
    }
    suspended->state = PARKED_CALLED;
    suspended->next = NULL;
    suspended->previous = listener->called_last;
    if (listener->called_last) {
        listener->called_last->next = suspended;
    } else {
        listener->called_first = suspended;
    }
    listener->called_last = suspended;
    listener->worker->n_called++;
}

static void resume_some(struct listener *listener, size_t most)
{
    for (; most > 0 && listener->called_first; most--) {
        struct suspended *suspended = listener->called_first;

        unqueue(suspended);
        suspended->state = PARKED_AWAKE;
        MHD_resume_connection(suspended->connection);
        listener->wanted = listener->due = true;
    }
}

/*
 * One listener a turn; behind the last one comes a turn in which all do what they were kept from.
 */
void suspend_turn(struct worker *worker)
{
    worker->telling = false;
    if (worker->n_called == 0 && worker->telling_next == 0) {
        return;
    }
    while (worker->telling_next < worker->n_listeners && !worker->telling) {
        struct listener *listener = &worker->listeners[worker->telling_next++];

        if (listener->called_first) {
            resume_some(listener, BATCH);
            worker->telling = true;
        }
    }
    if (!worker->telling) {
        worker->telling_next = 0;
    }
    if (worker->telling || worker->n_called > 0) {
        loop_timer_start(worker->called_timer, 0);
    }
}

void suspend_flush(struct worker *worker)
{
    worker->telling = false;
    worker->telling_next = 0;
    for (size_t i = 0; i < worker->n_listeners; i++) {
        resume_some(&worker->listeners[i], SIZE_MAX);
    }
}
