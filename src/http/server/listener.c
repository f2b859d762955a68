/*
 * libmicrohttpd daemons in external-epoll mode. Each listening address of a worker has some for
 * callers that wait, since each resume walks all that sleep in the same daemon, and one for all
 * others. They have no listening socket: acceptor.c hands connections over. A daemon's epoll
 * descriptor is one handle of the worker's loop; whatever makes it want to run (an event, a timer,
 * a resumed request) only marks it, and each turn of the loop runs what is marked once.
 *
 * When thousands are told something, whoever was told first comes back at once, and a daemon takes
 * new requests in the same round in which it answers. So those that wait are spread: a daemon
 * answers its own in one round and then is left alone until the others have answered theirs.
 */
#include "listener.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "connections.h"
#include "dispatch.h"
#include "head.h"
#include "sockets.h"

#define CONNECTION_MEMORY_BYTES \
    (HEAD_MOST_BYTES + 1024) /* the answer's head has to find room, too */
#define PATIENT_MEMORY_BYTES \
    4096 /* thousands of these sleep; who has longer headers is not sent there */
#define WAITERS_PER_DAEMON \
    1000 /* to answer so many takes ten milliseconds; then others have their turn */
#define NO_WATCH "Call to epoll_ctl failed"
#define NO_HANDSHAKE "Error: received handshake message"
#define IDLE_ROUNDS 2       /* in which nothing moves: then only handshakes want to be looked at, */
#define SHAKING_AGAIN_MS 20 /* again after so long */
#define ROUNDS_MAX 16       /* of MHD_run() in one turn, */
#define REQUESTS_MAX 64     /* and requests: then the mailbox and the timers get their share */

/* ---- callbacks of MHD ---- */

__attribute__((format(printf, 2, 0))) static void on_log(void *data, const char *format,
                                                         va_list arguments)
{
    struct listener *listener = data;
    char text[256];

    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = '\0';
    if (strncmp(text, NO_WATCH, sizeof(NO_WATCH) - 1) == 0) {
        /* it has answered what was there, and closes */
        connection_is_not_watched(listener);
    }
    if (listener->tls && strncmp(text, NO_HANDSHAKE, sizeof(NO_HANDSHAKE) - 1) == 0) {
        connection_is_not_secured(listener);
    }
    log_debug("libmicrohttpd", LOG_STR("says", text));
}

/* The router decodes the path's segments itself, and so does the query parser. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data;
    (void)connection;
    return strlen(text);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *listener = data;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_starts(listener, connection, context);
    } else {
        connection_closes(listener, context);
    }
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

/*
 * The timer is left alone while it fires early enough: most turns move the deadline by a hair only.
 */
static void arm(struct listener *listener, int64_t wait_ms)
{
    int64_t due_ms;

    if (wait_ms < 0) {
        loop_timer_stop(listener->timer);
        return;
    }
    /* as of this run's last answer: near enough */
    due_ms = listener->worker->clock_us / 1000 + wait_ms;
    if (!loop_timer_armed(listener->timer) || due_ms < listener->timer_due_ms) {
        listener->timer_due_ms = due_ms;
        loop_timer_start(listener->timer, wait_ms);
    }
}

static uint64_t count_moves(const struct listener *listener)
{
    return listener->traffic.moves + listener->worker->requests;
}

/*
 * After a resume, or with requests already read, MHD wants to be run again at once. Where a round
 * had requests the next ones have often come meanwhile: to look at once saves a turn of the loop,
 * which has its own epoll.
 *
 * While a handshake waits for its caller MHD wants the same for nothing: it takes no note of having
 * read all there was. Its epoll says when there is more, so where nothing else moves it can wait.
 */
static void run(struct listener *listener)
{
    uint64_t first = listener->worker->requests, before, moves;
    int rounds = 0, idle = 0;
    int64_t wait_ms;

    listener->wanted = listener->due = false;
    listener->worker->clock_us = clock_boot_us();
    do {
        before = listener->worker->requests;
        moves = count_moves(listener);
        (void)MHD_run(listener->daemon);
        wait_ms = MHD_get_timeout64s(listener->daemon);
        idle = count_moves(listener) == moves ? idle + 1 : 0;
        if (wait_ms == 0 && listener->traffic.shaking > 0 && idle >= IDLE_ROUNDS) {
            wait_ms = SHAKING_AGAIN_MS;
        }
    } while (++rounds < ROUNDS_MAX && (wait_ms == 0 || listener->worker->requests != before) &&
             listener->worker->requests - first < REQUESTS_MAX);
    arm(listener, wait_ms);
}

/* One round, in which those that were resumed are answered. Whatever else there is stays wanted. */
static void answer_due(struct listener *listener)
{
    listener->due = false;
    listener->worker->clock_us = clock_boot_us();
    (void)MHD_run(listener->daemon);
}

void listeners_turn(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_listeners; i++) {
        struct listener *listener = &worker->listeners[i];

        if (worker->telling && listener->patient) {
            if (listener->due) {
                answer_due(listener);
            }
        } else if (listener->wanted) {
            run(listener);
        }
    }
}

/* ---- start and stop ---- */

/* Each session gets credentials before its first byte (tls_session.c): one without fails. */
static int no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *asked,
                          gnutls_pcert_st **certificates, unsigned *n, gnutls_ocsp_data_st **ocsp,
                          unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
    (void)session;
    (void)asked;
    *certificates = NULL;
    *n = 0;
    *ocsp = NULL;
    *n_ocsp = 0;
    *key = NULL;
    *flags = 0;
    return -1;
}

/*
 * With MHD_USE_TURBO what a connection brings along is read without being watched first, so a short
 * one never is; but with it a TLS session would end without a word.
 */
static struct MHD_Daemon *start_daemon(struct listener *listener, const struct http_config *config)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_NO_THREAD_SAFETY |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (listener->tls ? (unsigned)MHD_USE_TLS : (unsigned)MHD_USE_TURBO);
    const struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)no_certificate},
        {MHD_OPTION_TLS_NO_ALPN, 1, NULL},
        {MHD_OPTION_END, 0, NULL}};
    size_t memory = listener->patient ? PATIENT_MEMORY_BYTES : CONNECTION_MEMORY_BYTES;

    return MHD_start_daemon(
        flags, 0, NULL, NULL, dispatch_handle, listener, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        listener, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
        MHD_OPTION_CONNECTION_LIMIT, UINT_MAX / 2, MHD_OPTION_CONNECTION_TIMEOUT,
        http_idle_timeout_s(config), MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_NOTIFY_COMPLETED,
        dispatch_completed, listener, MHD_OPTION_ARRAY, secure + (listener->tls ? 0 : 3),
        MHD_OPTION_END);
}

/* Without commands `all` is what `discovery` is. */
static enum http_scope scope_of(const struct http_config *config, size_t i)
{
    enum http_scope scope = config->listens[i].scope;

    return scope == HTTP_SCOPE_ALL && !config->pool ? HTTP_SCOPE_DISCOVERY : scope;
}

size_t listeners_patient_wanted(const struct http_config *config)
{
    size_t wanted = (config->max_waiters + WAITERS_PER_DAEMON - 1) / WAITERS_PER_DAEMON;

    return wanted < 1 ? 1 : wanted > HTTP_PATIENT_MAX ? HTTP_PATIENT_MAX : wanted;
}

int listener_start(struct listener *listener, struct worker *worker, size_t i, bool patient)
{
    const union MHD_DaemonInfo *info;

    listener->worker = worker;
    listener->patient = patient;
    listener->scope = scope_of(worker->config, i);
    listener->unix_socket = worker->config->listens[i].place.unix_path != NULL;
    listener->tls = worker->config->listens[i].place.tls;
    listener->client_ca = worker->config->listens[i].place.client_ca;
    listener->loopback = !listener->unix_socket && http_sockets_is_loopback(worker->sockets, i);
    listener->open = http_sockets_open_count(worker->sockets, listener->scope == HTTP_SCOPE_PROBE);
    if (patient && (listener->scope == HTTP_SCOPE_PROBE || listener->tls)) {
        return 0; /* it has no routes on which to wait, or nobody knows who will */
    }
    if (listener->tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        log_write(LOG_LEVEL_ERROR, "this libmicrohttpd was built without TLS", NULL, 0);
        return -BW_EIO;
    }
    listener->daemon = start_daemon(listener, worker->config);
    info =
        listener->daemon ? MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        log_error("cannot start the HTTP server", LOG_STR("error", strerror(errno)));
        return -BW_EIO;
    }
    listener->poll = loop_poll_new(worker->loop, info->epoll_fd, on_readable, listener);
    listener->timer = loop_timer_new(worker->loop, on_timer, listener);
    loop_poll_want(listener->poll, LOOP_READ);
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
