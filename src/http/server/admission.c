/*
 * The way of a connection into libmicrohttpd. Until the head of its request is all there, a
 * connection costs a few bytes and a watch here, and no place; of too many the oldest is closed.
 * Then its first bytes tell to which daemon it is handed over, or that they are no request of
 * HTTP/1.1: then it is told so and closed.
 */
#include "admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "response.h"
#include "sockets.h"

#define READY_MAX 64
#define LEAVE_MS 1000        /* whoever was refused has that long to read why */
#define DRAIN_MAX (64 << 10) /* of what it still sends */
#define LEAVING_MAX 256
#define PATIENT_HEAD_MAX 3072 /* a costlier one needs the room that the other daemon gives */

int64_t admission_limit_ms(const struct connections *connections)
{
    const struct http_config *config = connections->worker->config;
    int64_t limit_ms = http_request_timeout_ms(config);

    return limit_ms < config->idle_timeout_ms ? limit_ms : config->idle_timeout_ms;
}

static struct http_conn *first_of(const struct http_conn_list *list)
{
    return LIST_OWNER(list->list.first, struct http_conn, link);
}

static void drop(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;
    bool spare = conn->spare;

    close(conn->fd);
    http_conn_free(conn);
    if (spare) {
        connections_fill_spares(connections);
    }
}

static void watch(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    if (conn->watch != WATCH_NONE) {
        return;
    }
    if (epoll_ctl(connections->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0) {
        http_conn_set_watch(conn, WATCH_EPOLL);
        return;
    }
    http_conn_set_watch(conn, WATCH_BY_TURNS);
}

static void unwatch(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;

    if (conn->watch == WATCH_EPOLL) {
        (void)epoll_ctl(connections->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    }
    http_conn_set_watch(conn, WATCH_NONE);
}

/* ---- answers of our own ---- */

/* In plain, or over TLS where the handshake is done. */
static void say_bytes(const struct http_conn *conn, const char *bytes, size_t n)
{
    if (conn->tls) {
        tls_session_say(conn->tls, bytes, n);
    } else {
        (void)send(conn->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

void http_conn_say(const struct http_conn *conn, enum problem_kind kind, const char *detail,
                   const struct peek *peek)
{
    unsigned status = problem_status(kind);
    bool head = peek && peek->head, as_text = peek && peek->text;
    size_t size;
    char *body = problem_write(kind, problem_new(kind, detail), as_text, false, &size);
    char text[2048], date[64];
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm when;
    int n;

    gmtime_r(&now, &when);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &when);
    n = snprintf(
        text, sizeof(text),
        "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nVary: Accept\r\n%sContent-Length: %zu\r\n\r\n%.*s",
        status, MHD_get_reason_phrase_for(status), date, as_text ? CONTENT_TEXT : CONTENT_PROBLEM,
        status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "", size,
        head ? 0 : (int)size, body);
    if (n > 0 && (size_t)n < sizeof(text)) {
        say_bytes(conn, text, (size_t)n);
    }
    free(body);
}

/*
 * Drop what the caller still sends: to close with bytes unread would take the answer away from a
 * caller that has not read it yet. @return whether the caller is done.
 */
static bool drain(const struct http_conn *conn)
{
    char bytes[4096];

    for (size_t n = 0; n < DRAIN_MAX; n += sizeof(bytes)) {
        ssize_t got = recv(conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got <= 0) {
            return got == 0 || (errno != EAGAIN && errno != EINTR);
        }
    }
    return false;
}

/* The connection was told why it is refused: it has LEAVE_MS to read that. */
static void leave(struct http_conn *conn)
{
    http_conn_move(conn, HTTP_CONN_LEAVING);
    conn->since_ms = clock_boot_ms();
    shutdown(conn->fd, SHUT_WR);
    if (drain(conn) || conn->door->all->leaving.n > LEAVING_MAX) {
        drop(conn);
        return;
    }
    watch(conn);
}

/* How many that have not spoken there may be: the places that nobody has, and some more. */
static size_t room(const struct connections *connections)
{
    const struct http_config *config = connections->worker->config;
    struct http_sockets *sockets = connections->worker->sockets;
    size_t all = config->max_connections + config->max_waiters;
    size_t taken =
        atomic_load_explicit(http_sockets_open_count(sockets, false), memory_order_relaxed) +
        atomic_load_explicit(http_sockets_open_waiting_count(sockets), memory_order_relaxed);

    return (taken < all ? all - taken : 0) / config->n_workers + HTTP_CONNECTIONS_REFUSED_AT_ONCE;
}

/* ---- what the first bytes say ---- */

static void refuse_old_tls(struct http_conn *conn)
{
    static const char alert[] = {21, 3, 1, 0, 2, 2, 70}; /* fatal, protocol_version */

    connections_refuse(
        conn->door->all, METRIC_REJECTION_HANDSHAKE,
        "a caller speaks nothing newer than TLS 1.1; this listener takes 1.2 and 1.3");
    say_bytes(conn, alert, sizeof(alert));
    leave(conn);
}

static void refuse_bytes(struct http_conn *conn, const struct peek *peek)
{
    const char *words =
        peek->kind == PEEK_FAULTY ? peek->fault
        : peek->kind == PEEK_PLAIN
            ? "this listener takes TLS only, and these bytes do not begin a TLS connection: ask for https://"
        : peek->kind == PEEK_PROXY
            ? "this listener takes HTTP/1.1 only, and these bytes are a PROXY protocol header: tell the "
              "load balancer not to send one"
        : peek->kind == PEEK_TLS
            ? "this listener takes plain HTTP only, and these bytes begin a TLS connection: ask for http://"
            : "this listener takes HTTP/1.1 only, and these bytes begin an HTTP/2 connection";

    connections_refuse(conn->door->all, METRIC_REJECTION_PROTOCOL, words);
    http_conn_say(conn, peek->kind == PEEK_FAULTY ? peek->why : PROBLEM_WRONG_PROTOCOL, words,
                  peek);
    leave(conn);
}

static struct listener *listener_for(struct door *door, const struct peek *peek)
{
    bool patient = peek->waits && door->n_patient > 0 && peek->cost <= PATIENT_HEAD_MAX;

    return patient ? door->quick + 1 + door->handed++ % door->n_patient : door->quick;
}

/* From here on libmicrohttpd has it. */
static void pass_on(struct http_conn *conn, struct listener *listener)
{
    struct connections *connections = conn->door->all;

    unwatch(conn);
    http_conn_move(conn, HTTP_CONN_PASSING);
    connections->entering = conn;
    listener->wanted = true;
    (void)MHD_add_connection(listener->daemon, conn->fd, NULL, 0); /* closes it where it fails */
    if (connections->entering == conn) {                           /* it has not taken it */
        connections->entering = NULL;
        http_conn_free(conn);
    }
}

/* Of too many that hang in a handshake the oldest has to go. */
static void hand_over_tls(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;

    pass_on(conn, conn->door->quick);
    if (connections->securing.n > room(connections)) {
        http_conn_cut(first_of(&connections->securing));
    }
}

static void hand_over(struct http_conn *conn, const struct peek *peek)
{
    struct door *door = conn->door;
    struct connections *connections = door->all;
    char empty[PEEK_EMPTY_MOST];

    if (peek->empty > 0) {
        (void)recv(conn->fd, empty, peek->empty, MSG_DONTWAIT);
    }
    http_conn_enter(conn, peek);
    if (conn->refusal && !peek->live && connections->n_refused > HTTP_CONNECTIONS_REFUSED_AT_ONCE) {
        enum metric_rejection why = (enum metric_rejection)(conn->refusal - 1);
        const char *words = "there are too many to tell each why; ask again later";

        connections_refuse(connections, why, words);
        http_conn_say(conn, PROBLEM_TOO_MANY_CONNECTIONS, words, peek);
        leave(conn);
        return;
    }
    pass_on(conn, listener_for(door, peek));
}

/* @return what recv() does. */
static ssize_t peek_into(const struct http_conn *conn, struct peek *out)
{
    char bytes[PEEK_SIZE];
    ssize_t n = recv(conn->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

    *out = (struct peek){.kind = PEEK_MORE};
    if (n > 0) {
        *out = conn->door->tls ? peek_at_tls(bytes, (size_t)n) : peek_at(bytes, (size_t)n);
    }
    return n;
}

/* @param ended  its caller sends no more. */
static void look(struct http_conn *conn, bool ended)
{
    struct peek seen;
    ssize_t n = peek_into(conn, &seen);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(conn);
        return;
    }
    if (n > 0) {
        conn->moved = (uint64_t)n;
    }
    switch (seen.kind) {
    case PEEK_REQUEST: hand_over(conn, &seen); break;
    case PEEK_MORE:
        if (ended) {
            (void)drain(conn);
            drop(conn);
        } else {
            watch(conn);
        }
        break;
    case PEEK_OLD_TLS: refuse_old_tls(conn); break;
    case PEEK_TLS:
        if (conn->door->tls) {
            hand_over_tls(conn);
            break;
        }
        /* fall through */
    default: refuse_bytes(conn, &seen); break;
    }
}

/* ---- from accept() on ---- */

void admission_begin(struct http_conn *conn)
{
    struct connections *connections = conn->door->all;

    conn->since_ms = clock_boot_ms();
    http_conn_move(conn, HTTP_CONN_SILENT);
    look(conn, false);
    if (connections->silent.n > room(connections)) {
        (void)admission_drop_oldest(connections);
    }
    connections_arm(connections);
}

bool admission_drop_oldest(struct connections *connections)
{
    struct http_conn *silent = first_of(&connections->silent),
                     *oldest = silent ? silent : first_of(&connections->leaving);

    if (oldest) {
        drop(oldest);
    }
    return oldest != NULL;
}

void admission_drop_all(struct connections *connections)
{
    while (admission_drop_oldest(connections)) {
    }
}

void admission_ready(void *data, int events)
{
    struct connections *connections = data;
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(connections->epoll_fd, ready, READY_MAX, 0);

    (void)events;
    for (int i = 0; i < n; i++) {
        struct http_conn *conn = ready[i].data.ptr;

        switch ((enum http_conn_state)conn->state) {
        case HTTP_CONN_SILENT:
            look(conn, (ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            break;
        case HTTP_CONN_LEAVING:
            if (drain(conn)) {
                drop(conn);
            }
            break;
        case HTTP_CONN_READING: http_conn_may_have_left(conn); break;
        default: break;
        }
    }
}

static void look_by_turns(struct connections *connections)
{
    for (struct list_link *link = connections->silent.list.first, *next; link; link = next) {
        struct http_conn *conn = LIST_OWNER(link, struct http_conn, link);

        next = link->next;
        if (conn->watch == WATCH_BY_TURNS) {
            http_conn_set_watch(conn, WATCH_NONE);
            look(conn, false);
        }
    }
}

void admission_sweep(struct connections *connections, int64_t now_ms)
{
    static const char words[] =
        "the request's head was not all there in time (option request-timeout)";
    int64_t limit_ms = admission_limit_ms(connections);
    struct http_conn *conn;

    if (connections->n_unwatched > 0) {
        look_by_turns(connections);
    }
    while ((conn = first_of(&connections->silent)) && now_ms - conn->since_ms >= limit_ms) {
        if (conn->moved > 0 && !conn->door->tls) {
            struct peek begun;

            (void)peek_into(conn, &begun);
            connections_refuse(connections, METRIC_REJECTION_REQUEST_TIMEOUT, words);
            http_conn_say(conn, PROBLEM_REQUEST_TIMEOUT, words, &begun);
            leave(conn);
        } else {
            drop(conn);
        }
    }
    while ((conn = first_of(&connections->leaving)) && now_ms - conn->since_ms >= LEAVE_MS) {
        drop(conn);
    }
}
