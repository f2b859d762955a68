/* The bound on waiting connections, and the queue of those to be resumed. */
#include "parking.h"

#include <stddef.h>

#define BATCH 4096

bool parking_enter(struct parked *parked, struct listener *listener, struct MHD_Connection *connection,
                   enum waiting_kind kind)
{
    struct worker *worker = listener->worker;
    _Atomic size_t *waiting = http_sockets_waiting_count(worker->sockets);

    if (atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed) >= worker->config->max_waiters) {
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

static void unqueue(struct worker *worker, struct parked *parked)
{
    if (parked->previous) {
        parked->previous->next = parked->next;
    } else {
        worker->called_first = parked->next;
    }
    if (parked->next) {
        parked->next->previous = parked->previous;
    } else {
        worker->called_last = parked->previous;
    }
    parked->next = parked->previous = NULL;
}

void parking_leave(struct parked *parked)
{
    struct worker *worker;

    if (!parked->entered) {
        return;
    }
    worker = parked->listener->worker;
    if (parked->state == PARKED_CALLED) {
        unqueue(worker, parked);
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
    struct worker *worker = parked->listener->worker;

    if (parked->state != PARKED_ASLEEP) {
        return;
    }
    parked->state = PARKED_CALLED;
    parked->next = NULL;
    parked->previous = worker->called_last;
    if (worker->called_last) {
        worker->called_last->next = parked;
    } else {
        worker->called_first = parked;
    }
    worker->called_last = parked;
}

static void resume_first(struct worker *worker)
{
    struct parked *parked = worker->called_first;

    unqueue(worker, parked);
    parked->state = PARKED_AWAKE;
    MHD_resume_connection(parked->connection);
    parked->listener->wanted = true;
}

void parking_turn(struct worker *worker)
{
    for (int i = 0; i < BATCH && worker->called_first; i++) {
        resume_first(worker);
    }
    if (worker->called_first) {
        loop_timer_start(worker->called_timer, 0);
    }
}

void parking_flush(struct worker *worker)
{
    while (worker->called_first) {
        resume_first(worker);
    }
}
