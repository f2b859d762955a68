/*
 * Connections that libmicrohttpd has: which place each takes, and what its requests do to it.
 * Whether its caller keeps up is slow_clients.c's.
 */
#include "connections.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "server_tls.h"
#include "sockets.h"

#define REFUSED_TIMEOUT_S 2      /* a refused connection has that long to ask and be told */
#define REQUEST_TIMEOUT_MS 10000 /* where the config has none */
#define SWEEP_LEAST_MS 50
#define SWEEP_MOST_MS 1000
#define UNWATCHED_EVERY_MS 20
#define IDLE_LEAST_MS 1000 /* whoever has waited comes back at once, mostly */
#define SAY_EVERY_MS 60000
#define JOINED_MAX 4096 /* bytes of a body that is copied behind its head */

/* ---- states and lists ---- */

static struct http_conn_list *list_of(struct connections *connections, enum http_conn_state state)
{
    switch (state) {
    case HTTP_CONN_PASSING: return NULL;
    case HTTP_CONN_SILENT: return &connections->silent;
    case HTTP_CONN_LEAVING: return &connections->leaving;
    case HTTP_CONN_SECURING: return &connections->securing;
    default: return &connections->inside;
    }
}

static void change_list(struct http_conn *conn, struct http_conn_list *from,
                        struct http_conn_list *to)
{
    if (from) {
        list_remove(&from->list, &conn->link);
        from->n--;
    }
    if (to) {
        list_append(&to->list, &conn->link);
        to->n++;
    }
}

void http_conn_move(struct http_conn *conn, enum http_conn_state state)
{
    enum http_conn_state before = conn->state;

    if (before == HTTP_CONN_CUT && state != HTTP_CONN_PASSING) {
        return;
    }
    conn->state = (uint8_t)state;
    if (before < HTTP_CONN_IDLE || state < HTTP_CONN_IDLE) { /* else it stays inside */
        change_list(conn, list_of(conn->door->all, before), list_of(conn->door->all, state));
    }
}

static void reader_remove(struct connections *connections, struct http_conn *conn)
{
    if (connections->reading == conn) {
        connections->reading = NULL;
    } else if (list_holds(&connections->readers, &conn->reader_link)) {
        list_remove(&connections->readers, &conn->reader_link);
    }
}

/* ---- refusals ---- */

void connections_refuse(struct connections *connections, enum metric_rejection why,
                        const char *words)
{
    static _Atomic int64_t said_ms[METRIC_REJECTION_COUNT]; /* all workers' */
    static _Atomic uint64_t unsaid[METRIC_REJECTION_COUNT];
    int64_t now_ms = clock_boot_ms(), before_ms = atomic_load(&said_ms[why]);

    metric_add(&connections->worker->counts->rejected[why], 1);
    atomic_fetch_add(&unsaid[why], 1);
    if ((before_ms && now_ms - before_ms < SAY_EVERY_MS) ||
        !atomic_compare_exchange_strong(&said_ms[why], &before_ms, now_ms)) {
        return;
    }
    log_warn("callers are refused", LOG_STR("reason", metric_rejection_text(why)),
             LOG_STR("because", words),
             LOG_INT("callers", (int64_t)atomic_exchange(&unsaid[why], 0)));
}

static const char *refusal_words(enum metric_rejection why)
{
    switch (why) {
    case METRIC_REJECTION_PER_CLIENT:
        return "this client has as many connections as one may (option max-per-client); close some, or ask again "
               "later";
    case METRIC_REJECTION_DESCRIPTORS:
        return "the daemon is out of file descriptors (its limit is lower than its options need); ask again later";
    default: return "the daemon has as many as it may (option max-connections); ask again later";
    }
}

/* ---- places ---- */

static _Atomic size_t *count_of(const struct http_conn *conn, enum http_conn_place place)
{
    struct http_sockets *sockets = conn->door->all->worker->sockets;

    switch (place) {
    case PLACE_ORDINARY: return http_sockets_open_count(sockets, false);
    case PLACE_WAITING: return http_sockets_open_waiting_count(sockets);
    case PLACE_PROBE: return http_sockets_open_count(sockets, true);
    default: return NULL;
    }
}

static size_t most_of(const struct http_conn *conn, enum http_conn_place place)
{
    const struct http_config *config = conn->door->all->worker->config;

    return place == PLACE_WAITING ? config->max_waiters : config->max_connections;
}

static enum client_place client_place(enum http_conn_place place)
{
    return place == PLACE_WAITING ? CLIENT_WAITING : CLIENT_ORDINARY;
}

/* @return false: there is no room. */
static bool take(struct http_conn *conn, enum http_conn_place place)
{
    _Atomic size_t *count = count_of(conn, place);

    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) >= most_of(conn, place)) {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
        return false;
    }
    conn->place = (uint8_t)place;
    return true;
}

static void give_back(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;
    _Atomic size_t *count = count_of(conn, conn->place);

    if (count) {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    }
    if (conn->place == PLACE_REFUSED) {
        connections->n_refused--;
    }
    if (conn->place == PLACE_ORDINARY || conn->place == PLACE_WAITING) {
        clients_leave(http_sockets_clients(connections->worker->sockets), &conn->client,
                      client_place(conn->place));
    }
    conn->place = PLACE_NONE;
}

/* Cut the oldest that is idle: between two requests a caller loses the least. */
static bool drop_idle(struct connections *connections, enum http_conn_place place, int64_t least_ms)
{
    int64_t now_ms = clock_boot_ms();

    LIST_EACH(struct http_conn, conn, &connections->inside.list, link) {
        if (conn->place == place && conn->state == HTTP_CONN_IDLE &&
            now_ms - conn->since_ms >= least_ms) {
            http_conn_cut(conn);
            return true;
        }
    }
    return false;
}

/*
 * Probes have places of their own, and each new connection gets one: where there are too many the
 * oldest has to go.
 */
static void enter_probe(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;
    _Atomic size_t *count = count_of(conn, PLACE_PROBE);

    conn->place = PLACE_PROBE;
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < HTTP_CONNECTIONS_PROBE ||
        drop_idle(connections, PLACE_PROBE, 0)) {
        return;
    }
    LIST_EACH(struct http_conn, other, &connections->inside.list, link) {
        if (other->place == PLACE_PROBE && other->state != HTTP_CONN_CUT) {
            http_conn_cut(other);
            return;
        }
    }
}

static void refuse(struct http_conn *conn, enum metric_rejection why)
{
    conn->refusal = (uint8_t)(why + 1);
    conn->place = PLACE_REFUSED;
    conn->door->all->n_refused++;
}

void http_conn_enter(struct http_conn *conn, const struct peek *peek)
{
    struct connections *connections = conn->door->all;
    struct clients *clients = http_sockets_clients(connections->worker->sockets);
    enum client_place kind = peek->waits ? CLIENT_WAITING : CLIENT_ORDINARY;

    if (conn->door->probe) {
        enter_probe(conn);
        return;
    }
    if (conn->spare) {
        refuse(conn, METRIC_REJECTION_DESCRIPTORS);
        return;
    }
    if (!clients_enter(clients, &conn->client, kind)) {
        refuse(conn, METRIC_REJECTION_PER_CLIENT);
        return;
    }
    if (peek->waits && take(conn, PLACE_WAITING)) {
        return;
    }
    if (take(conn, PLACE_ORDINARY)) {
        if (peek->waits) {
            clients_move(clients, &conn->client, CLIENT_WAITING, CLIENT_ORDINARY);
        }
        return;
    }
    if (peek->waits && drop_idle(connections, PLACE_WAITING, IDLE_LEAST_MS)) {
        atomic_fetch_add_explicit(count_of(conn, PLACE_WAITING), 1, memory_order_relaxed);
        conn->place = PLACE_WAITING;
        return;
    }
    clients_leave(clients, &conn->client, kind);
    refuse(conn, METRIC_REJECTION_CONNECTIONS);
}

void http_conn_free(struct http_conn *conn)
{
    reader_remove(conn->door->all, conn);
    http_conn_move(conn, HTTP_CONN_PASSING);
    http_conn_set_watch(conn, WATCH_NONE);
    give_back(conn);
    free(conn);
}

void http_conn_set_watch(struct http_conn *conn, enum http_conn_watch watch)
{
    struct connections *connections = conn->door->all;

    connections->n_unwatched -= conn->watch == WATCH_BY_TURNS;
    connections->n_unwatched += watch == WATCH_BY_TURNS;
    conn->watch = (uint8_t)watch;
}

void http_conn_cut(struct http_conn *conn)
{
    http_conn_move(conn, HTTP_CONN_CUT);
    shutdown(conn->fd, SHUT_RDWR);
}

/* One that is to be told no gets little time for it. */
static void limit_refused(struct MHD_Connection *connection)
{
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)REFUSED_TIMEOUT_S);
}

/* ---- what requests do to them ---- */

static struct http_conn *http_conn_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* The calls of one request come one after the other, mostly. */
static struct http_conn *http_conn_again(struct connections *connections,
                                         struct MHD_Connection *connection)
{
    if (connections->known != connection) {
        connections->known = connection;
        connections->known_http_conn = http_conn_of(connection);
    }
    return connections->known_http_conn;
}

/* A connection is a reader only where others have their turn before its request is all there. */
static void settle_reading(struct connections *connections)
{
    if (connections->reading) {
        list_append(&connections->readers, &connections->reading->reader_link);
        connections->reading = NULL;
    }
}

/* Over TLS nobody saw the first request's head before: it has taken no place yet. */
static void enter_secured(struct listener *listener, struct MHD_Connection *connection,
                          struct http_conn *conn)
{
    http_conn_enter(conn, &(struct peek){.kind = PEEK_REQUEST});
    if (conn->refusal) {
        listener->refusing++;
        limit_refused(connection);
    }
}

void connection_request_begins(struct listener *listener, struct MHD_Connection *connection)
{
    struct connections *connections = listener->worker->connections;
    struct http_conn *conn = http_conn_again(connections, connection);

    if (conn->place == PLACE_NONE) {
        enter_secured(listener, connection, conn);
    }
    http_conn_move(conn, HTTP_CONN_READING);
    conn->since_ms = conn->looked_ms = listener->worker->clock_us / 1000;
    conn->moved = 0;
    conn->queued = 0;
    conn->strikes = 0;
    conn->partial = false;
    settle_reading(connections);
    connections->reading = conn;
}

void connection_request_moves(struct listener *listener, struct MHD_Connection *connection,
                              size_t size)
{
    http_conn_again(listener->worker->connections, connection)->moved += size;
    listener->traffic.moves++;
}

void connection_request_is_whole(struct listener *listener, struct MHD_Connection *connection)
{
    struct http_conn *conn = http_conn_again(listener->worker->connections, connection);

    reader_remove(listener->worker->connections, conn);
    if (conn->state == HTTP_CONN_WAITING || conn->state == HTTP_CONN_SETTLED) {
        conn->looked_ms = listener->worker->clock_us / 1000;
    }
    http_conn_move(conn, HTTP_CONN_BUSY);
}

void connection_waits(struct listener *listener, struct MHD_Connection *connection)
{
    http_conn_move(http_conn_again(listener->worker->connections, connection), HTTP_CONN_WAITING);
}

enum MHD_Result connection_answer(struct listener *listener, struct MHD_Connection *connection,
                                  unsigned status, struct MHD_Response *response, size_t size)
{
    if (listener->tls && size <= JOINED_MAX) {
        struct http_conn *conn = http_conn_again(listener->worker->connections, connection);

        if (conn->tls) {
            tls_session_join(conn->tls);
        }
    }
    return MHD_queue_response(connection, status, response);
}

void connection_request_ends(struct listener *listener, struct MHD_Connection *connection)
{
    struct http_conn *conn = http_conn_again(listener->worker->connections, connection);

    if (conn->tls && !tls_session_send_joined(conn->tls)) {
        http_conn_cut(conn);
    }
    reader_remove(listener->worker->connections, conn);
    http_conn_move(conn, HTTP_CONN_IDLE);
    conn->since_ms = conn->looked_ms = listener->worker->clock_us / 1000;
}

bool connection_begins_to_wait(struct listener *listener, struct MHD_Connection *connection)
{
    struct http_conn *conn = http_conn_of(connection);
    struct clients *clients = http_sockets_clients(listener->worker->sockets);
    uint8_t before = conn ? conn->place : (uint8_t)PLACE_NONE;

    if (!conn || before == PLACE_WAITING || before == PLACE_PROBE) {
        return true;
    }
    if (before == PLACE_REFUSED && conn->refusal != METRIC_REJECTION_CONNECTIONS + 1) {
        return false;
    }
    if (!take(conn, PLACE_WAITING)) {
        return before == PLACE_ORDINARY;
    }
    if (before == PLACE_ORDINARY) {
        atomic_fetch_sub_explicit(count_of(conn, PLACE_ORDINARY), 1, memory_order_relaxed);
        clients_move(clients, &conn->client, CLIENT_ORDINARY, CLIENT_WAITING);
        return true;
    }
    (void)clients_enter(clients, &conn->client, CLIENT_WAITING);
    conn->refusal = 0;
    listener->worker->connections->n_refused--;
    listener->refusing--;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              http_idle_timeout_s(listener->worker->config));
    return true;
}

bool connection_is_refused(const struct listener *listener, struct MHD_Connection *connection)
{
    const struct http_conn *conn;

    if (listener->refusing == 0) {
        return false;
    }
    conn = http_conn_of(connection);
    return conn && conn->refusal != 0;
}

void connection_is_not_watched(struct listener *listener)
{
    connections_refuse(
        listener->worker->connections, METRIC_REJECTION_WATCHES,
        "the kernel watches no more descriptors for this user (fs.epoll.max_user_watches): they are "
        "answered once and closed");
}

int64_t http_request_timeout_ms(const struct http_config *config)
{
    return config->request_timeout_ms ? config->request_timeout_ms : REQUEST_TIMEOUT_MS;
}

unsigned http_idle_timeout_s(const struct http_config *config)
{
    int64_t seconds = (config->idle_timeout_ms + 999) / 1000;

    return seconds > (int64_t)UINT_MAX / 2 ? UINT_MAX / 2 : (unsigned)seconds;
}

const char *connection_refuse(struct listener *listener, struct MHD_Connection *connection)
{
    const struct http_conn *conn = http_conn_of(connection);
    enum metric_rejection why = conn && conn->refusal ? (enum metric_rejection)(conn->refusal - 1)
                                                      : METRIC_REJECTION_CONNECTIONS;
    const char *words = refusal_words(why);

    connections_refuse(listener->worker->connections, why, words);
    return words;
}

void connection_is_not_secured(struct listener *listener)
{
    const char *words = tls_session_last_failed(&listener->traffic);

    if (words) {
        connections_refuse(listener->worker->connections, METRIC_REJECTION_HANDSHAKE, words);
    }
}

/* ---- callbacks of MHD: listener.c has them ---- */

static void secure(struct listener *listener, struct MHD_Connection *connection,
                   struct http_conn *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    struct tls_credentials *credentials =
        info ? server_tls_credentials(listener->worker->tls) : NULL;

    if (credentials) {
        conn->tls = tls_session_begin(info->tls_session, conn->fd, credentials, listener->client_ca,
                                      TLS_HTTP, &listener->traffic);
    }
}

/* A connection that is refused, or has a spare descriptor, gets little time for its request. */
void connection_starts(struct listener *listener, struct MHD_Connection *connection, void **context)
{
    struct connections *connections = listener->worker->connections;
    struct http_conn *conn = connections->entering;

    connections->entering = NULL;
    *context = conn;
    if (listener->tls) {
        secure(listener, connection, conn);
    }
    http_conn_move(conn, listener->tls ? HTTP_CONN_SECURING : HTTP_CONN_IDLE);
    conn->since_ms = conn->looked_ms = clock_boot_ms();
    connections_arm(connections);
    listener->refusing += conn->refusal != 0;
    if (conn->refusal || conn->spare) {
        limit_refused(connection);
    }
}

void connection_closes(struct listener *listener, void **context)
{
    struct connections *connections = listener->worker->connections;
    struct http_conn *conn = *context;
    bool spare = conn->spare;

    *context = NULL;
    connections->known = NULL;
    listener->refusing -= conn->refusal != 0;
    tls_session_end(conn->tls);
    http_conn_free(conn);
    if (spare) {
        connections_arm(connections); /* its descriptor is closed after this call */
    }
}

/* ---- looking after them ---- */

static bool has_left(const struct http_conn *conn)
{
    char byte;

    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void http_conn_may_have_left(struct http_conn *conn)
{
    if (conn->state != HTTP_CONN_CUT && has_left(conn)) {
        http_conn_cut(conn);
    }
}

void connections_arm(struct connections *connections)
{
    int64_t every_ms = http_request_timeout_ms(connections->worker->config) / 8;

    if (connections->silent.n + connections->leaving.n + connections->securing.n +
                connections->inside.n ==
            0 &&
        connections->n_spares == SPARES) {
        return;
    }
    every_ms = every_ms < SWEEP_LEAST_MS  ? SWEEP_LEAST_MS
               : every_ms > SWEEP_MOST_MS ? SWEEP_MOST_MS
                                          : every_ms;
    if (connections->n_unwatched > 0) {
        loop_timer_start(connections->timer, UNWATCHED_EVERY_MS);
    } else if (!loop_timer_armed(connections->timer)) {
        loop_timer_start(connections->timer, every_ms);
    }
}

/* libmicrohttpd watches for bytes, and misses a close that comes together with the last of them. */
void connections_turn(struct connections *connections)
{
    settle_reading(connections);
    for (struct list_link *link; (link = list_take_first(&connections->readers));) {
        struct http_conn *conn = LIST_OWNER(link, struct http_conn, reader_link);
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = conn};

        if (conn->watch == WATCH_NONE &&
            epoll_ctl(connections->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0) {
            http_conn_set_watch(conn, WATCH_EPOLL);
        }
    }
}

/* ---- life ---- */

void connections_fill_spares(struct connections *connections)
{
    while (connections->n_spares < SPARES) {
        int fd = open("/", O_PATH | O_CLOEXEC);

        if (fd < 0) {
            return; /* the next sweep tries again */
        }
        connections->spares[connections->n_spares++] = fd;
    }
}

struct connections *connections_new(struct worker *worker, void (*sweep)(void *connections))
{
    struct connections *connections = mem_new(1, sizeof(*connections));

    connections->worker = worker;
    connections->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections->timer = loop_timer_new(worker->loop, sweep, connections);
    connections_fill_spares(connections);
    return connections;
}

void connections_free(struct connections *connections)
{
    if (!connections) {
        return;
    }
    loop_timer_free(connections->timer);
    while (connections->n_spares > 0) {
        close(connections->spares[--connections->n_spares]);
    }
    if (connections->epoll_fd >= 0) {
        close(connections->epoll_fd);
    }
    free(connections->doors);
    free(connections);
}
