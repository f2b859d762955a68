/* The bound on waiting connections, and the queue of those to be resumed. */
#include "suspend.h"

#include <stddef.h>
#include <stdint.h>

#include "connections.h"
#include "sockets.h"

#define BATCH 1000 /* of one daemon in one turn */

/*
 * The only place where a state changes: the queue holds those that were called. Whoever is the
 * first in it arms the timer, as suspend_turn() may be over for this turn.
 */
static void move(struct suspended *suspended, enum suspended_state state)
{
    struct listener *listener = suspended->listener;

    if (suspended->state == SUSPENDED_CALLED) {
        list_remove(&listener->called, &suspended->link);
        listener->worker->n_called--;
    }
    suspended->state = state;
    if (state == SUSPENDED_CALLED) {
        list_append(&listener->called, &suspended->link);
        if (listener->worker->n_called++ == 0) {
            loop_timer_start(listener->worker->called_timer, 0);
        }
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
    for (; most > 0 && listener->called.first; most--) {
        struct suspended *suspended = LIST_OWNER(listener->called.first, struct suspended, link);

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

        if (listener->called.first) {
            resume_some(listener, BATCH);
            worker->telling = true;
        }
    }
    if (!worker->telling) {
        worker->telling_next = 0;
    }
    if (worker->telling || worker->n_called > 0) {
        loop_timer_start(worker->called_timer, 0);
    } else {
        loop_timer_stop(worker->called_timer);
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
