/*
 * libmicrohttpd daemons in external-epoll mode, one for each listening address of a worker. The daemon's epoll
 * descriptor is one handle of the worker's loop; whatever makes it want to run (an event, a timer, a resumed
 * request) only marks it, and each turn of the loop runs what is marked once. Connections are counted here,
 * since at libmicrohttpd's own limit callers would hang in the backlog.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "parts.h"

#define CONNECTION_MEMORY_BYTES 8192 /* bounds the headers too: 431 */
#define REFUSED_TIMEOUT_S 2          /* a refused connection has that long to ask and be told */
#define ROUNDS_MAX 16                /* of MHD_run() in one turn, */
#define REQUESTS_MAX 64              /* and requests: then the mailbox and the timers get their share */

/* What is kept of an open connection, as its socket context. */
struct visitor {
    bool refused;
    bool waits; /* it waits or has waited: counted beside max-connections */
};

static unsigned clamp_unsigned(int64_t value)
{
    return value > (int64_t)UINT_MAX / 2 ? UINT_MAX / 2 : (unsigned)value;
}

static unsigned idle_timeout_s(const struct http_config *config)
{
    return clamp_unsigned((config->idle_timeout_ms + 999) / 1000);
}

/* ---- callbacks of MHD ---- */

__attribute__((format(printf, 2, 0))) static void on_log(void *data, const char *format, va_list arguments)
{
    char text[256];

    (void)data;
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_debug("libmicrohttpd", LOG_STR("says", text));
}

/* The router decodes the path's segments itself, and so does the query parser. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data;
    (void)connection;
    return strlen(text);
}

static void on_opened(struct listener *listener, struct MHD_Connection *connection, void **context)
{
    size_t before = atomic_fetch_add_explicit(listener->open, 1, memory_order_relaxed);
    struct visitor *visitor = mem_new(1, sizeof(*visitor));

    *context = visitor;
    if (before < listener->open_max) {
        return;
    }
    visitor->refused = true;
    listener->refusing++;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)REFUSED_TIMEOUT_S);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *listener = data;
    struct visitor *visitor;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        on_opened(listener, connection, context);
        return;
    }
    visitor = *context;
    atomic_fetch_sub_explicit(visitor->waits ? http_sockets_open_waiting_count(listener->worker->sockets)
                                             : listener->open,
                              1, memory_order_relaxed);
    listener->refusing -= visitor->refused;
    free(visitor);
    *context = NULL;
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

void connection_begins_to_wait(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitor *visitor = visitor_of(connection);
    _Atomic size_t *beside = http_sockets_open_waiting_count(listener->worker->sockets);

    if (!visitor || visitor->waits) {
        return;
    }
    if (atomic_fetch_add_explicit(beside, 1, memory_order_relaxed) >= listener->worker->config->max_waiters) {
        atomic_fetch_sub_explicit(beside, 1, memory_order_relaxed);
        return;
    }
    visitor->waits = true;
    atomic_fetch_sub_explicit(listener->open, 1, memory_order_relaxed);
    if (visitor->refused) { /* here there was room */
        visitor->refused = false;
        listener->refusing--;
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                  idle_timeout_s(listener->worker->config));
    }
}

bool connection_is_refused(const struct listener *listener, struct MHD_Connection *connection)
{
    const struct visitor *visitor;

    if (listener->refusing == 0) {
        return false;
    }
    visitor = visitor_of(connection);
    return visitor && visitor->refused;
}

/* ---- callbacks of the loop ---- */

static void on_readable(void *data, int events)
{
    struct listener *listener = data;

    (void)events;
    listener->wanted = true;
}

static void on_timer(void *data)
{
    struct listener *listener = data;

    listener->wanted = true;
}

/* The timer is left alone while it fires early enough: most turns move the deadline by a hair only. */
static void arm(struct listener *listener, int64_t wait_ms)
{
    int64_t due_ms;

    if (wait_ms < 0) {
        loop_timer_stop(listener->timer);
        return;
    }
    due_ms = listener->worker->clock_us / 1000 + wait_ms; /* as of this run's last answer: near enough */
    if (!loop_timer_armed(listener->timer) || due_ms < listener->timer_due_ms) {
        listener->timer_due_ms = due_ms;
        loop_timer_start(listener->timer, wait_ms);
    }
}

/* After a resume, or with requests already read, MHD wants to be run again at once. Where a round had requests
 * the next ones have often come meanwhile: to look at once saves a turn of the loop, which has its own epoll. */
static void run(struct listener *listener)
{
    uint64_t first = listener->worker->requests, before;
    int rounds = 0;
    int64_t wait_ms;

    listener->wanted = false;
    listener->worker->clock_us = clock_boot_us();
    do {
        before = listener->worker->requests;
        (void)MHD_run(listener->daemon);
        wait_ms = MHD_get_timeout64s(listener->daemon);
    } while (++rounds < ROUNDS_MAX && (wait_ms == 0 || listener->worker->requests != before) &&
             listener->worker->requests - first < REQUESTS_MAX);
    arm(listener, wait_ms);
}

void listeners_turn(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_listeners; i++) {
        if (worker->listeners[i].wanted) {
            run(&worker->listeners[i]);
        }
    }
}

/* ---- start and stop ---- */

static struct MHD_Daemon *start_daemon(struct listener *listener, int fd, const struct http_config *config)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_THREAD_SAFETY | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    int64_t limit = (int64_t)(listener->open_max + config->max_waiters) + HTTP_CONNECTIONS_REFUSED_AT_ONCE;

    return MHD_start_daemon(flags, 0, NULL, NULL, dispatch_handle, listener, MHD_OPTION_EXTERNAL_LOGGER,
                            on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
                            MHD_OPTION_CONNECTION_LIMIT, clamp_unsigned(limit), MHD_OPTION_CONNECTION_TIMEOUT,
                            idle_timeout_s(config), MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
                            MHD_OPTION_NOTIFY_COMPLETED, dispatch_completed, listener, MHD_OPTION_END);
}

/* Without commands `all` is what `discovery` is. */
static enum http_scope scope_of(const struct http_config *config, size_t i)
{
    enum http_scope scope = config->listens[i].scope;

    return scope == HTTP_SCOPE_ALL && !config->pool ? HTTP_SCOPE_DISCOVERY : scope;
}

int listener_start(struct listener *listener, struct worker *worker, size_t i)
{
    int fd = http_sockets_take(worker->sockets, i, worker->number);
    const union MHD_DaemonInfo *info;
    bool probe;

    listener->worker = worker;
    listener->scope = scope_of(worker->config, i);
    probe = listener->scope == HTTP_SCOPE_PROBE;
    listener->open = http_sockets_open_count(worker->sockets, probe);
    listener->open_max = probe ? HTTP_CONNECTIONS_PROBE : worker->config->max_connections;
    listener->daemon = fd < 0 ? NULL : start_daemon(listener, fd, worker->config);
    if (!listener->daemon) {
        log_write(LOG_LEVEL_ERROR, "cannot start the HTTP server", NULL, 0);
        if (fd >= 0) {
            close(fd);
        }
        return -BW_EIO;
    }
    info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    listener->poll = loop_poll_new(worker->loop, info->epoll_fd, on_readable, listener);
    listener->timer = loop_timer_new(worker->loop, on_timer, listener);
    loop_poll_want(listener->poll, LOOP_READ);
    listener->wanted = true; /* its first run puts the listening socket into its epoll set */
    return 0;
}

void listener_stop(struct listener *listener)
{
    loop_poll_free(listener->poll);
    loop_timer_free(listener->timer);
    listener->poll = NULL;
    listener->timer = NULL;
    if (listener->daemon) {
        MHD_stop_daemon(listener->daemon);
        listener->daemon = NULL;
    }
}
