/* The bound on waiting connections, and the queue of those to be resumed. */
#include "suspend.h"

#include <stddef.h>
#include <stdint.h>

#define BATCH 1000 /* of one daemon in one turn */

bool parking_enter(struct parked *parked, struct listener *listener,
                   struct MHD_Connection *connection, enum waiting_kind kind)
{
    struct worker *worker = listener->worker;
    _Atomic size_t *waiting = http_sockets_waiting_count(worker->sockets);

    if (atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed) >=
        worker->config->max_waiters) {
        atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
        return false;
    }
    parked->listener = listener;
    parked->connection = connection;
    parked->kind = kind;
    parked->state = PARKED_AWAKE;
    parked->entered = true;
    metric_move(&worker->counts->waiters[kind], 1);
    (void)connection_begins_to_wait(listener, connection);
    return true;
}

static void unqueue(struct parked *parked)
{
    struct listener *listener = parked->listener;

    if (parked->previous) {
        parked->previous->next = parked->next;
    } else {
        listener->called_first = parked->next;
    }
    if (parked->next) {
        parked->next->previous = parked->previous;
    } else {
        listener->called_last = parked->previous;
    }
    parked->next = parked->previous = NULL;
    listener->worker->n_called--;
}

void parking_leave(struct parked *parked)
{
    struct worker *worker;

    if (!parked->entered) {
        return;
    }
    worker = parked->listener->worker;
    if (parked->state == PARKED_CALLED) {
        unqueue(parked);
    }
    parked->state = PARKED_AWAKE;
    parked->entered = false;
    metric_move(&worker->counts->waiters[parked->kind], -1);
    atomic_fetch_sub_explicit(http_sockets_waiting_count(worker->sockets), 1, memory_order_relaxed);
}

void parked_sleep(struct parked *parked)
{
    parked->state = PARKED_ASLEEP;
    MHD_suspend_connection(parked->connection);
}

void parked_call(struct parked *parked)
{
    struct listener *listener = parked->listener;

    if (parked->state != PARKED_ASLEEP) {
        return;
    }
    parked->state = PARKED_CALLED;
    parked->next = NULL;
    parked->previous = listener->called_last;
    if (listener->called_last) {
        listener->called_last->next = parked;
    } else {
        listener->called_first = parked;
    }
    listener->called_last = parked;
    listener->worker->n_called++;
}

static void resume_some(struct listener *listener, size_t most)
{
    for (; most > 0 && listener->called_first; most--) {
        struct parked *parked = listener->called_first;

        unqueue(parked);
        parked->state = PARKED_AWAKE;
        MHD_resume_connection(parked->connection);
        listener->wanted = listener->due = true;
    }
}

/*
 * One listener a turn; behind the last one comes a turn in which all do what they were kept from.
 */
void parking_turn(struct worker *worker)
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

void parking_flush(struct worker *worker)
{
    worker->telling = false;
    worker->telling_next = 0;
    for (size_t i = 0; i < worker->n_listeners; i++) {
        resume_some(&worker->listeners[i], SIZE_MAX);
    }
}
