/*
 * The daemon's life. The main thread starts the others, then sits in a loop of its own for signals,
 * the snapshots that become systemd's status, and the watchdog.
 *
 * Shutdown: the workers drain (readyz says 503) for shutdown-delay, then all threads are stopped
 * and joined, and the process ends with 0. A second signal ends the delay; one more, or the alarm,
 * ends the process as it is.
 */
#include "service.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "bellwether/forward/forward.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/redis/socket.h"
#include "bellwether/topology/messages.h"
#include "systemd.h"
#include "version.h"

#define CONNECT_TIMEOUTS 2  /* times verify-timeout, for a connection that commands run on */
#define FRESH_MARGIN_MS 500 /* over what the time-outs of a fresh look-up sum up to */
#define STOP_ALARM_MS 1800  /* "exit 0 within 2 s of the delay's end", whatever hangs */
#define LONG_PIECE_BYTES (1024 * 1024)

static const int stop_signals[] = {SIGTERM, SIGINT};

struct service {
    const struct options *options;
    struct loop *loop;
    struct pulse *pulses; /* [0] the watcher's, then the workers' */
    struct metrics *metrics;
    struct redis_login *logins; /* of `pool` */
    struct pool_config pool;
    struct http_config http;
    struct http_sockets *sockets;
    struct forward_config forward;
    struct forward_shared *forwards;
    struct watcher *watcher;
    struct worker **workers;
    size_t n_workers; /* made so far */
    struct mailbox *mailbox;
    struct manager *manager;
    struct loop_signal *signals[3];
    struct loop_timer *delay;
    bool draining;
};

static void tell_workers(struct service *service, enum message_kind kind)
{
    for (size_t i = 0; i < service->n_workers; i++) {
        mailbox_post(worker_mailbox(service->workers[i]), message_plain_new(kind));
    }
}

/* ---- signals ---- */

static void delay_is_over(void *data)
{
    struct service *service = data;

    loop_stop(service->loop);
}

static void on_stop_signal(void *data, int signum)
{
    struct service *service = data;

    if (service->draining) {
        log_info("second signal, not waiting any longer", LOG_STR("signal", strsignal(signum)));
        loop_stop(service->loop);
        return;
    }
    service->draining = true;
    log_info("shutting down", LOG_STR("signal", strsignal(signum)),
             LOG_INT("delay_ms", service->options->shutdown_delay_ms));
    manager_stopping();
    tell_workers(service, MESSAGE_DRAIN);
    loop_timer_start(service->delay, service->options->shutdown_delay_ms);
}

static void on_reload_signal(void *data, int signum)
{
    struct service *service = data;

    (void)signum;
    if (service->draining) {
        return;
    }
    log_info("reloading credentials", LOG_STR("signal", "SIGHUP"));
    manager_reloading();
    mailbox_post(watcher_mailbox(service->watcher), message_plain_new(MESSAGE_RELOAD));
    tell_workers(service, MESSAGE_RELOAD);
    manager_ready(service->manager);
}

/* ---- news ---- */

static void deliver(void *data, struct message *message)
{
    struct service *service = data;

    if (message->kind == MESSAGE_SNAPSHOT && !service->draining) {
        manager_look(service->manager, ((struct message_snapshot *)(void *)message)->snapshot);
    }
    message->drop(message);
}

/* ---- start ---- */

/*
 * Commands log in to a node as the check of its role does: with the login of all masters, then
 * those of single ones.
 */
static struct redis_login *make_logins(const struct watch_config *watch)
{
    struct redis_login *logins = mem_new(watch->n_overrides + 1, sizeof(*logins));

    logins[0] = (struct redis_login){.username = watch->redis_username,
                                     .password = watch->redis_password,
                                     .tls = watch->redis_tls};
    for (size_t i = 0; i < watch->n_overrides; i++) {
        const struct watch_override *from = &watch->overrides[i];

        logins[i + 1] = (struct redis_login){.master = from->master,
                                             .username = from->redis_username,
                                             .password = from->redis_password,
                                             .tls = from->redis_tls};
    }
    return logins;
}

static struct pool_config make_pool_config(const struct service *service)
{
    const struct options *options = service->options;

    return (struct pool_config){
        .size = (size_t)options->pool_size,
        .command_timeout_ms = options->command_timeout_ms,
        .connect_timeout_ms = CONNECT_TIMEOUTS * options->watch.verify_timeout_ms,
        .max_pending = (size_t)options->max_pending,
        .max_reply_bytes = (size_t)options->max_reply_bytes,
        .replica_max_lag_bytes = options->replica_max_lag_bytes,
        .replica_fallback = options->replica_fallback == REPLICA_FALLBACK_MASTER,
        .policy = options->policy,
        .logins = service->logins,
        .n_logins = options->watch.n_overrides + 1,
        .cursor_secret = (uint64_t)jitter_below(UINT32_MAX) << 32 | jitter_below(UINT32_MAX),
    };
}

static struct http_config make_http_config(const struct service *service)
{
    const struct options *options = service->options;

    return (struct http_config){
        .listens = options->listens,
        .n_listens = options->n_listens,
        .max_connections = (size_t)options->max_connections,
        .max_waiters = (size_t)options->max_waiters,
        .n_workers = (size_t)options->workers,
        .idle_timeout_ms = options->idle_timeout_ms,
        .allow_hosts = (const char *const *)options->allow_hosts,
        .n_allow_hosts = options->n_allow_hosts,
        .allow_origins = (const char *const *)options->allow_origins,
        .n_allow_origins = options->n_allow_origins,
        .request_timeout_ms = options->request_timeout_ms,
        .max_per_client = options->max_per_client > 0 ? (size_t)options->max_per_client : 0,
        .halve_per_client = options->max_per_client < 0,
        .max_body_bytes = options->max_body_bytes,
        .max_memory_bytes = options->max_memory_bytes,
        .poll_wait_ms =
            options->watch.sentinel_timeout_ms + options->watch.verify_timeout_ms + FRESH_MARGIN_MS,
        .ready_when = options->ready_when,
        .pulses = service->pulses,
        .metrics = service->metrics,
        .options = options->shown,
        .n_options = options->n_shown,
        .started_boot_ms = clock_boot_ms(),
        .started_wall_ms = clock_wall_ms(),
        .selves = options->watch.selves,
        .n_selves = options->watch.n_selves,
        .self_requires = options->self_requires,
        .redis_api = options->redis_api,
        .pool = options->redis_api == REDIS_API_OFF ? NULL : &service->pool,
        .tokens = options->tokens,
        .read_only_tokens = options->read_only_tokens,
        .tls = options->tls,
        .forwards = service->forwards,
    };
}

static struct forward_config make_forward_config(const struct service *service)
{
    const struct options *options = service->options;

    return (struct forward_config){
        .listens = options->forwards,
        .n_listens = options->n_forwards,
        .n_workers = (size_t)options->workers,
        .max_forwards = (size_t)options->max_forwards,
        .handshake_timeout_ms = options->request_timeout_ms,
        .wait_ms = options->command_timeout_ms,
        .connect_timeout_ms = CONNECT_TIMEOUTS * options->watch.verify_timeout_ms,
        .lost_ms = SOCKET_LOST_MS,
        .replica_max_lag_bytes = options->replica_max_lag_bytes,
        .replica_fallback = options->replica_fallback == REPLICA_FALLBACK_MASTER,
        .logins = service->logins,
        .n_logins = options->watch.n_overrides + 1,
        .metrics = service->metrics,
    };
}

static const char *say_tls(bool tls, enum client_ca client_ca)
{
    static const char *const client_cas[] = {"on", "client-ca=optional", "client-ca=required"};

    return tls ? client_cas[client_ca] : "off";
}

/* With the port that it really has. */
static const char *say_place(const struct listen_place *place, const struct address *real,
                             char *text)
{
    return place->unix_path ? place->unix_path : address_format(real, text);
}

static void log_listeners(const struct service *service)
{
    static const char *const scopes[] = {"all", "discovery", "probe"};

    for (size_t i = 0; i < service->http.n_listens; i++) {
        const struct http_listen *listen = &service->http.listens[i];
        char text[ADDRESS_TEXT_SIZE];
        const char *where =
            say_place(&listen->place, http_sockets_address(service->sockets, i), text);

        if (listen->place.tls) {
            log_info("listening", LOG_STR("address", where),
                     LOG_STR("scope", scopes[listen->scope]),
                     LOG_STR("tls", say_tls(true, listen->place.client_ca)));
            continue;
        }
        log_info("listening", LOG_STR("address", where), LOG_STR("scope", scopes[listen->scope]));
    }
    for (size_t i = 0; i < service->options->n_forwards; i++) {
        const struct forward_listen *listen = &service->options->forwards[i];
        char text[ADDRESS_TEXT_SIZE];

        log_info("forwarding",
                 LOG_STR("address", say_place(&listen->place,
                                              forward_shared_address(service->forwards, i), text)),
                 LOG_STR("to", metric_forward_to_text((enum metric_forward_to)listen->to)),
                 LOG_STR("tls", say_tls(listen->place.tls, listen->place.client_ca)),
                 LOG_STR("master", listen->master ? listen->master : "(default)"));
    }
}

/* Who fails says why. */
static int start_threads(struct service *service)
{
    size_t n = service->http.n_workers;

    service->watcher = watcher_new(&service->options->watch, &service->pulses[0], service->metrics);
    watcher_subscribe(service->watcher, service->mailbox);
    service->workers = mem_new(n, sizeof(struct worker *));
    for (size_t i = 0; i < n; i++) {
        struct worker *worker =
            worker_new(&service->http, &http_routes, service->sockets, i,
                       watcher_mailbox(service->watcher), &service->pulses[i + 1]);

        service->workers[service->n_workers++] = worker;
        watcher_subscribe(service->watcher, worker_mailbox(worker));
    }
    int failed = watcher_start(service->watcher);
    if (failed != 0) {
        log_error("cannot start a thread", LOG_STR("thread", "watcher"),
                  LOG_STR("error", strerror(errno)));
    }
    for (size_t i = 0; failed == 0 && i < n; i++) {
        failed = worker_start(service->workers[i]);
    }
    return failed;
}

static int start(struct service *service)
{
    char error[512];

    /*
     * First of all: whatever comes from here on is heard once the loop runs, so that none ends the
     * process and leaves the file of a socket behind.
     */
    service->signals[0] = loop_signal_new(service->loop, SIGTERM, on_stop_signal, service);
    service->signals[1] = loop_signal_new(service->loop, SIGINT, on_stop_signal, service);
    service->signals[2] = loop_signal_new(service->loop, SIGHUP, on_reload_signal, service);
    service->logins = make_logins(&service->options->watch);
    service->pool = make_pool_config(service);
    if (service->options->n_forwards > 0) {
        service->forward = make_forward_config(service);
        service->forwards = forward_shared_open(&service->forward, error, sizeof(error));
        if (!service->forwards) {
            log_error("cannot listen", LOG_STR("error", error));
            return -1;
        }
    }
    service->http = make_http_config(service);
    service->sockets = http_sockets_open(&service->http, error, sizeof(error));
    if (!service->sockets) {
        log_error("cannot listen", LOG_STR("error", error));
        return -1;
    }
    service->mailbox = mailbox_new(service->loop, deliver, service);
    service->delay = loop_timer_new(service->loop, delay_is_over, service);
    service->manager = manager_new(service->loop, service->pulses, service->http.n_workers + 1);
    if (start_threads(service) != 0) {
        return -1;
    }
    log_info("started", LOG_STR("version", BELLWETHER_VERSION),
             LOG_STR("commit", BELLWETHER_COMMIT));
    log_listeners(service);
    manager_ready(service->manager);
    return 0;
}

/* ---- stop ---- */

/* Rendered beforehand, since a signal's handler may do next to nothing. */
static char last_words[512];
static size_t last_words_length;

static void end_now(int signum)
{
    (void)signum;
    log_last_words(last_words, last_words_length, 0);
    _exit(0);
}

/* From here on the main thread waits for others, so signals no longer come through its loop. */
static void arm_the_way_out(struct service *service)
{
    const struct sigaction action = {.sa_handler = end_now};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct itimerval alarm_at = {
        .it_value = {.tv_sec = STOP_ALARM_MS / 1000, .tv_usec = STOP_ALARM_MS % 1000 * 1000L}};

    for (size_t i = 0; i < sizeof(service->signals) / sizeof(service->signals[0]); i++) {
        loop_signal_free(service->signals[i]);
    }
    if (service->options->log_level <= LOG_LEVEL_WARN) {
        last_words_length = log_render(LOG_LEVEL_WARN, service->options->log_format,
                                       clock_wall_ms(), "stopped before everything was closed",
                                       NULL, 0, last_words, sizeof(last_words));
    }
    for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++) {
        (void)sigaction(stop_signals[i], &action, NULL);
    }
    (void)sigaction(SIGHUP, &ignore, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &alarm_at, NULL);
}

/*
 * Mailboxes die after the threads that post to them: first all threads end, then things are freed.
 */
static void stop(struct service *service)
{
    arm_the_way_out(service);
    tell_workers(service, MESSAGE_STOP); /* all at once: each may take a second */
    for (size_t i = 0; i < service->n_workers; i++) {
        worker_stop(service->workers[i]);
    }
    if (service->watcher) {
        watcher_stop(service->watcher);
    }
    for (size_t i = 0; i < service->n_workers; i++) {
        worker_free(service->workers[i]);
    }
    free(service->workers);
    watcher_free(service->watcher);
    http_sockets_free(service->sockets);
    forward_shared_free(service->forwards);
    manager_free(service->manager);
    loop_timer_free(service->delay);
    mailbox_free(service->mailbox);
    loop_free(service->loop);
    metrics_free(service->metrics);
    free(service->logins);
    free(service->pulses);
}

/*
 * Long pieces go back to the system the moment they are freed. Left alone, malloc() would keep
 * pieces of as much as it was ever given back, and what lies between them.
 */
static void bound_memory(const struct options *options)
{
    budget_limit((size_t)options->max_memory_bytes);
    (void)mallopt(M_MMAP_THRESHOLD, LONG_PIECE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * LONG_PIECE_BYTES);
}

int service_run(const struct options *options)
{
    struct service service = {.options = options, .loop = loop_new()};
    size_t n_pulses = (size_t)options->workers + 1;

    bound_memory(options);
    service.pulses = mem_new(n_pulses, sizeof(*service.pulses));
    for (size_t i = 0; i < n_pulses; i++) { /* all have just turned, so far */
        atomic_store(&service.pulses[i].at_boot_ms, clock_boot_ms());
    }
    service.metrics = metrics_new((size_t)options->workers);
    int failed = start(&service);
    if (failed == 0) {
        loop_run(service.loop);
    }
    stop(&service);
    if (failed == 0) {
        log_write(LOG_LEVEL_INFO, "stopped", NULL, 0);
    }
    return failed == 0 ? 0 : 1;
}
