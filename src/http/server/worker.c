/*
 * A worker: one thread, one loop, the MHD daemons of its listeners, its mailbox, and its own copy
 * of the pointer to the current snapshot. Nothing here is shared with another thread but what
 * worker.h says.
 *
 * At the end (MESSAGE_STOP) waiting requests get their answer, answers on their way and commands
 * that were sent get up to a second, and then the daemons are stopped: libmicrohttpd insists that
 * nothing is suspended by then.
 */
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acceptor.h"
#include "answer_cache.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "certificates.h"
#include "connections.h"
#include "event_stream.h"
#include "forward_tls.h"
#include "fresh.h"
#include "listener.h"
#include "live_stream.h"
#include "long_poll.h"
#include "routes.h"
#include "slow_clients.h"
#include "sockets.h"
#include "suspend.h"

#define PULSE_EVERY_MS 2000
#define STOP_PATIENCE_MS 1000
#define LAST_ANSWERS_MS \
    300 /* more, for those who are told only then what is not known of their commands */

/* ---- the sign of life ---- */

static void beat(void *data)
{
    struct worker *worker = data;

    atomic_store_explicit(&worker->pulse->at_boot_ms, clock_boot_ms(), memory_order_relaxed);
    doors_check(worker->connections);
    loop_timer_start(worker->pulse_timer, PULSE_EVERY_MS);
}

/* ---- news ---- */

static void take_snapshot(struct worker *worker, struct message_snapshot *message)
{
    struct snapshot *before = snapshot_ref(worker->cache->snapshot);

    cache_take(worker->cache, snapshot_ref(message->snapshot));
    forwards_take(worker->forwards, message->snapshot);
    worker->routes->commands_take(worker->commands, message->snapshot);
    long_polls_review(worker->long_polls);
    streams_hear_snapshot(worker->streams, before, message->snapshot);
    snapshot_unref(before);
}

/* Long polls are answered as things are, and streams end after what there is. */
static void wake_all(struct worker *worker)
{
    long_polls_release_all(worker->long_polls);
    live_streams_end_all(worker->live_streams);
}

static void drain(struct worker *worker)
{
    worker->draining = true;
    cache_close_connections(worker->cache);
    wake_all(worker);
}

static void end(void *data)
{
    struct worker *worker = data;

    if (worker->routes->commands_abandon(worker->commands)) {
        loop_timer_start(worker->stop_timer, LAST_ANSWERS_MS);
    } else {
        loop_stop(worker->loop);
    }
}

static void begin_stop(struct worker *worker)
{
    if (worker->stopping) {
        return;
    }
    worker->stopping = true;
    drain(worker);
    fresh_release_all(worker);
    worker->routes->commands_drain(worker->commands);
    forwards_drain(worker->forwards);
    loop_timer_start(worker->stop_timer, STOP_PATIENCE_MS);
}

static void hear(struct worker *worker, struct message *message)
{
    switch (message->kind) {
    case MESSAGE_SNAPSHOT: take_snapshot(worker, (struct message_snapshot *)message); break;
    case MESSAGE_FRESH: fresh_settle(worker, (struct message_fresh *)message); break;
    case MESSAGE_STATUS: fresh_settle_status(worker, (struct message_status *)message); break;
    case MESSAGE_EVENT: streams_hear_event(worker->streams, (struct message_event *)message); break;
    case MESSAGE_HEARD:
        worker->heard_asked = false;
        forwards_heard(worker->forwards);
        break;
    case MESSAGE_RELOAD:
        certificates_reload(worker->certificates);
        worker->routes->commands_reload(worker->commands);
        forwards_reload(worker->forwards, true);
        break;
    case MESSAGE_DRAIN: drain(worker); break;
    case MESSAGE_STOP: begin_stop(worker); break;
    default:
        log_error("a worker got news that are not for it", LOG_INT("kind", message->kind));
        break;
    }
    message->drop(message);
}

/* Where streams are behind, messages wait until the turn has told them what came before. */
static void deliver(void *data, struct message *message)
{
    struct worker *worker = data;

    if (worker->held.first || streams_are_behind(worker->streams)) {
        list_append(&worker->held, &message->link);
    } else {
        hear(worker, message);
    }
}

static struct message *take_held(struct worker *worker)
{
    return LIST_OWNER(list_take_first(&worker->held), struct message, link);
}

static void turn(void *data)
{
    struct worker *worker = data;
    bool again;

    do {
        streams_turn(worker->streams);
        suspend_turn(worker);
        worker->routes->commands_flush(worker->commands);
        listeners_turn(worker);
        connections_turn(worker->connections);
        again = worker->held.first != NULL;
        while (worker->held.first && !streams_are_behind(worker->streams)) {
            hear(worker, take_held(worker));
        }
    } while (again);
    if (worker->stopping && worker->in_flight == 0 && !forwards_are_busy(worker->forwards)) {
        loop_stop(worker->loop);
    }
}

/* The timer only brings a turn, and that does the work. */
static void turn_again(void *data)
{
    (void)data;
}

/* ---- life ---- */

static void tell_watcher(void *data, enum suspicion what, const char *master,
                         const struct address *address)
{
    const struct worker *worker = data;

    mailbox_post(worker->ask_to, message_suspect_new(what, master, address));
}

void worker_ask_heard(struct worker *worker)
{
    if (!worker->heard_asked) {
        worker->heard_asked = true;
        mailbox_post(worker->ask_to, message_ask_heard_new(worker->mailbox));
    }
}

static void ask_heard(void *data)
{
    worker_ask_heard(data);
}

static void add_forwards(struct worker *worker)
{
    struct forward_hooks hooks = {.suspect = tell_watcher, .ask_heard = ask_heard, .data = worker};

    if (worker->config->forwards) {
        worker->forward_sessions = forward_sessions_new(worker, &hooks.tls);
        worker->forwards =
            forwards_new(worker->loop, worker->config->forwards, worker->number, &hooks);
    }
}

struct worker *worker_new(const struct http_config *config, const struct http_routes *routes,
                          struct http_sockets *sockets, size_t number, struct mailbox *ask_to,
                          struct pulse *pulse)
{
    struct worker *worker = mem_new(1, sizeof(*worker));

    worker->config = config;
    worker->routes = routes;
    worker->sockets = sockets;
    worker->number = number;
    worker->own_metrics = config->metrics ? NULL : metrics_new(number + 1);
    worker->metrics = config->metrics ? config->metrics : worker->own_metrics;
    worker->counts = metrics_http(worker->metrics, number);
    worker->instance = http_sockets_instance(sockets);
    worker->ask_to = ask_to;
    worker->pulse = pulse;
    worker->loop = loop_new();
    worker->mailbox = mailbox_new(worker->loop, deliver, worker);
    worker->pulse_timer = loop_timer_new(worker->loop, beat, worker);
    worker->stop_timer = loop_timer_new(worker->loop, end, worker);
    worker->fresh_timer = loop_timer_new(worker->loop, fresh_expire, worker);
    worker->called_timer = loop_timer_new(worker->loop, turn_again, worker);
    worker->certificates = certificates_new(worker);
    worker->cache = cache_new(worker->instance, routes);
    worker->commands = config->pool ? routes->commands_new(worker) : NULL;
    add_forwards(worker);
    worker->long_polls = long_polls_new(worker);
    worker->live_streams = live_streams_new(worker);
    worker->streams = streams_new(worker);
    worker->connections = connections_new(worker, slow_clients_sweep);
    worker->n_patient = listeners_patient_wanted(config);
    worker->listeners =
        mem_new((1 + worker->n_patient) * config->n_listens + 1, sizeof(*worker->listeners));
    return worker;
}

struct mailbox *worker_mailbox(struct worker *worker)
{
    return worker->mailbox;
}

static void stop_listeners(struct worker *worker)
{
    doors_close(worker->connections);
    for (size_t i = 0; i < worker->n_listeners; i++) {
        listener_stop(&worker->listeners[i]);
    }
    worker->n_listeners = 0;
}

void *worker_run(void *data)
{
    struct worker *worker = data;

    loop_on_turn(worker->loop, turn, worker);
    beat(worker);
    certificates_start(worker->certificates);
    worker->routes->commands_start(worker->commands);
    loop_run(worker->loop);
    loop_on_turn(worker->loop, NULL, NULL);
    wake_all(worker);
    (void)worker->routes->commands_abandon(worker->commands);
    worker->routes->commands_flush(worker->commands);
    suspend_flush(worker);
    /* whatever began to wait since: MHD_stop_daemon() resumes and closes it */
    fresh_release_all(worker);
    stop_listeners(worker);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct worker *worker)
{
    sigset_t all, before;
    char name[16];
    int failure;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&worker->thread, NULL, worker_run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        log_error("cannot start a thread", LOG_STR("thread", "worker"),
                  LOG_STR("error", strerror(failure)));
        return -BW_EIO;
    }
    snprintf(name, sizeof(name), "worker-%u", (unsigned)worker->number);
    (void)pthread_setname_np(worker->thread, name);
    worker->started = true;
    return 0;
}

int worker_open(struct worker *worker)
{
    int failure = worker->config->pool && !worker->commands ? -BW_EIO : 0;
    size_t each = 1 + worker->n_patient;

    atomic_store_explicit(&worker->pulse->at_boot_ms, clock_boot_ms(), memory_order_relaxed);
    for (size_t i = 0; i < each * worker->config->n_listens && !failure; i++) {
        failure = listener_start(&worker->listeners[i], worker, i / each, i % each > 0);
        worker->n_listeners = i + 1;
    }
    failure = failure ? failure : doors_open(worker->connections);
    return failure ? failure : forwards_open(worker->forwards);
}

int worker_start(struct worker *worker)
{
    int failure = worker_open(worker);

    if (!failure) {
        failure = start_thread(worker);
    }
    if (failure) {
        stop_listeners(worker);
    }
    return failure;
}

void worker_stop(struct worker *worker)
{
    if (!worker->started) {
        return;
    }
    mailbox_post(worker->mailbox, message_plain_new(MESSAGE_STOP));
    pthread_join(worker->thread, NULL);
    worker->started = false;
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    worker_stop(worker);
    for (struct message *message; (message = take_held(worker));) {
        message->drop(message);
    }
    stop_listeners(worker);
    worker->routes->commands_free(worker->commands);
    forwards_free(worker->forwards);
    forward_sessions_free(worker->forward_sessions);
    long_polls_free(worker->long_polls);
    streams_free(worker->streams);
    live_streams_free(worker->live_streams);
    cache_free(worker->cache);
    connections_free(worker->connections);
    certificates_free(worker->certificates);
    loop_timer_free(worker->called_timer);
    loop_timer_free(worker->pulse_timer);
    loop_timer_free(worker->stop_timer);
    loop_timer_free(worker->fresh_timer);
    mailbox_free(worker->mailbox);
    loop_free(worker->loop);
    metrics_free(worker->own_metrics);
    free(worker->listeners);
    free(worker);
}
