/* The bound on waiting connections, and the queue of those to be resumed. */
#include "suspend.h"

#include <stddef.h>
#include <stdint.h>

#include "connections.h"
#include "sockets.h"

#define BATCH 1000 /* of one daemon in one turn */

static void queue(struct suspended *suspended)
{
    struct listener *listener = suspended->listener;

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

/* The only place where a state changes: the queue holds those that were called. */
static void move(struct suspended *suspended, enum suspended_state state)
{
    if (suspended->state == SUSPENDED_CALLED) {
        unqueue(suspended);
    }
    suspended->state = state;
    if (state == SUSPENDED_CALLED) {
        queue(suspended);
    }
}

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
    move(suspended, SUSPENDED_AWAKE);
    metric_move(&worker->counts->long_polls[kind], 1);
    (void)connection_begins_to_wait(listener, connection);
    return true;
}

void suspend_leave(struct suspended *suspended)
{
    struct worker *worker;

    if (suspended->state == SUSPENDED_OUT) {
        return;
    }
    worker = suspended->listener->worker;
    move(suspended, SUSPENDED_OUT);
    metric_move(&worker->counts->long_polls[suspended->kind], -1);
    atomic_fetch_sub_explicit(http_sockets_waiting_count(worker->sockets), 1, memory_order_relaxed);
}

void suspended_sleep(struct suspended *suspended)
{
    move(suspended, SUSPENDED_ASLEEP);
    MHD_suspend_connection(suspended->connection);
}

void suspended_call(struct suspended *suspended)
{
    if (suspended->state == SUSPENDED_ASLEEP) {
        move(suspended, SUSPENDED_CALLED);
    }
}

static void resume_some(struct listener *listener, size_t most)
{
    for (; most > 0 && listener->called_first; most--) {
        struct suspended *suspended = listener->called_first;

        move(suspended, SUSPENDED_AWAKE);
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
