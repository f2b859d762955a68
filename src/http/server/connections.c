/*
 * Connections that libmicrohttpd has: which place each takes, and whether its caller keeps up.
 * libmicrohttpd closes who is silent for idle-timeout; but a byte now and then is enough for it. So
 * they are all looked at every now and then: a request has to be there within request-timeout, and
 * an answer has to be taken at some rate.
 */
#include "connections.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

#define SLOWEST_BYTES_PER_S 1024
#define REFUSED_TIMEOUT_S 2      /* a refused connection has that long to ask and be told */
#define REQUEST_TIMEOUT_MS 10000 /* where the config has none */
#define SWEEP_LEAST_MS 50
#define SWEEP_MOST_MS 1000
#define UNWATCHED_EVERY_MS 20
#define RECEIVED_SLACK_MS 50 /* a request's own last bytes are no beginning of the next */
#define IDLE_LEAST_MS 1000   /* whoever has waited comes back at once, mostly */
#define SAY_EVERY_MS 60000
#define TCP_STATE_CLOSE_WAIT 8

/* ---- lists ---- */

void visitors_put(struct visitor_list *list, struct visitor *visitor)
{
    visitor->next = NULL;
    visitor->previous = list->last;
    if (list->last) {
        list->last->next = visitor;
    } else {
        list->first = visitor;
    }
    list->last = visitor;
    list->n++;
}

void visitors_take_out(struct visitor_list *list, struct visitor *visitor)
{
    if (visitor->previous) {
        visitor->previous->next = visitor->next;
    } else {
        list->first = visitor->next;
    }
    if (visitor->next) {
        visitor->next->previous = visitor->previous;
    } else {
        list->last = visitor->previous;
    }
    visitor->next = visitor->previous = NULL;
    list->n--;
}

static void reader_add(struct visitors *visitors, struct visitor *visitor)
{
    visitor->is_reader = true;
    visitor->previous_reader = NULL;
    visitor->next_reader = visitors->readers;
    if (visitors->readers) {
        visitors->readers->previous_reader = visitor;
    }
    visitors->readers = visitor;
}

static void reader_remove(struct visitors *visitors, struct visitor *visitor)
{
    if (!visitor->is_reader) {
        visitors->reading = visitors->reading == visitor ? NULL : visitors->reading;
        return;
    }
    visitor->is_reader = false;
    if (visitor->next_reader) {
        visitor->next_reader->previous_reader = visitor->previous_reader;
    }
    if (visitor->previous_reader) {
        visitor->previous_reader->next_reader = visitor->next_reader;
    } else {
        visitors->readers = visitor->next_reader;
    }
}

/* ---- refusals ---- */

void visitors_refuse(struct visitors *visitors, enum metric_rejection why, const char *words)
{
    static _Atomic int64_t said_ms[METRIC_REJECTION_COUNT]; /* all workers' */
    static _Atomic uint64_t unsaid[METRIC_REJECTION_COUNT];
    int64_t now_ms = clock_boot_ms(), before_ms = atomic_load(&said_ms[why]);

    metric_add(&visitors->worker->counts->rejected[why], 1);
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

static _Atomic size_t *count_of(const struct visitor *visitor, enum visitor_place place)
{
    struct http_sockets *sockets = visitor->door->all->worker->sockets;

    switch (place) {
    case PLACE_ORDINARY: return http_sockets_open_count(sockets, false);
    case PLACE_WAITING: return http_sockets_open_waiting_count(sockets);
    case PLACE_PROBE: return http_sockets_open_count(sockets, true);
    default: return NULL;
    }
}

static size_t most_of(const struct visitor *visitor, enum visitor_place place)
{
    const struct http_config *config = visitor->door->all->worker->config;

    return place == PLACE_WAITING ? config->max_waiters : config->max_connections;
}

static enum client_place client_place(enum visitor_place place)
{
    return place == PLACE_WAITING ? CLIENT_WAITING : CLIENT_ORDINARY;
}

/* @return false: there is no room. */
static bool take(struct visitor *visitor, enum visitor_place place)
{
    _Atomic size_t *count = count_of(visitor, place);

    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) >= most_of(visitor, place)) {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
        return false;
    }
    visitor->place = (uint8_t)place;
    return true;
}

static void give_back(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;
    _Atomic size_t *count = count_of(visitor, visitor->place);

    if (count) {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    }
    if (visitor->place == PLACE_REFUSED) {
        visitors->n_refused--;
    }
    if (visitor->place == PLACE_ORDINARY || visitor->place == PLACE_WAITING) {
        clients_leave(http_sockets_clients(visitors->worker->sockets), &visitor->client,
                      client_place(visitor->place));
    }
    visitor->place = PLACE_NONE;
}

/* Who is between two requests loses the least when its connection ends. */
static bool drop_idle(struct visitors *visitors, enum visitor_place place, int64_t least_ms)
{
    int64_t now_ms = clock_boot_ms();

    for (struct visitor *visitor = visitors->inside.first; visitor; visitor = visitor->next) {
        if (visitor->place == place && visitor->state == VISITOR_IDLE && !visitor->cut &&
            now_ms - visitor->since_ms >= least_ms) {
            visitor_cut(visitor);
            return true;
        }
    }
    return false;
}

/*
 * Probes have places of their own, and whoever comes gets one: of all that flood it the oldest has
 * to go.
 */
static void enter_probe(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;
    _Atomic size_t *count = count_of(visitor, PLACE_PROBE);

    visitor->place = PLACE_PROBE;
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < HTTP_CONNECTIONS_PROBE ||
        drop_idle(visitors, PLACE_PROBE, 0)) {
        return;
    }
    for (struct visitor *other = visitors->inside.first; other; other = other->next) {
        if (other->place == PLACE_PROBE && !other->cut) {
            visitor_cut(other);
            return;
        }
    }
}

static void refuse(struct visitor *visitor, enum metric_rejection why)
{
    visitor->refusal = (uint8_t)(why + 1);
    visitor->place = PLACE_REFUSED;
    visitor->door->all->n_refused++;
}

void visitor_enter(struct visitor *visitor, const struct peek *peek)
{
    struct visitors *visitors = visitor->door->all;
    struct clients *clients = http_sockets_clients(visitors->worker->sockets);
    enum client_place kind = peek->waits ? CLIENT_WAITING : CLIENT_ORDINARY;

    if (visitor->door->probe) {
        enter_probe(visitor);
        return;
    }
    if (visitor->spare) {
        refuse(visitor, METRIC_REJECTION_DESCRIPTORS);
        return;
    }
    if (!clients_enter(clients, &visitor->client, kind)) {
        refuse(visitor, METRIC_REJECTION_PER_CLIENT);
        return;
    }
    if (peek->waits && take(visitor, PLACE_WAITING)) {
        return;
    }
    if (take(visitor, PLACE_ORDINARY)) {
        if (peek->waits) {
            clients_move(clients, &visitor->client, CLIENT_WAITING, CLIENT_ORDINARY);
        }
        return;
    }
    if (peek->waits && drop_idle(visitors, PLACE_WAITING, IDLE_LEAST_MS)) {
        atomic_fetch_add_explicit(count_of(visitor, PLACE_WAITING), 1, memory_order_relaxed);
        visitor->place = PLACE_WAITING;
        return;
    }
    clients_leave(clients, &visitor->client, kind);
    refuse(visitor, METRIC_REJECTION_CONNECTIONS);
}

void visitor_free(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;

    reader_remove(visitors, visitor);
    visitors->n_unwatched -= visitor->unwatched;
    give_back(visitor);
    free(visitor);
}

void visitor_cut(struct visitor *visitor)
{
    visitor->cut = true;
    shutdown(visitor->fd, SHUT_RDWR);
}

/* ---- what requests do to them ---- */

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* The calls of one request come one after the other, mostly. */
static struct visitor *visitor_again(struct visitors *visitors, struct MHD_Connection *connection)
{
    if (visitors->known != connection) {
        visitors->known = connection;
        visitors->known_visitor = visitor_of(connection);
    }
    return visitors->known_visitor;
}

/* It is a reader only when others have their turn before it is all there. */
static void settle_reading(struct visitors *visitors)
{
    if (visitors->reading) {
        reader_add(visitors, visitors->reading);
        visitors->reading = NULL;
    }
}

void connection_request_begins(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitors *visitors = listener->worker->visitors;
    struct visitor *visitor = visitor_again(visitors, connection);

    visitor->state = VISITOR_READING;
    visitor->since_ms = visitor->looked_ms = listener->worker->clock_us / 1000;
    visitor->moved = 0;
    visitor->queued = 0;
    visitor->strikes = 0;
    visitor->partial = false;
    settle_reading(visitors);
    visitors->reading = visitor;
}

void connection_request_moves(struct listener *listener, struct MHD_Connection *connection,
                              size_t size)
{
    visitor_again(listener->worker->visitors, connection)->moved += size;
}

void connection_request_is_whole(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitor *visitor = visitor_again(listener->worker->visitors, connection);

    if (visitor->state == VISITOR_READING) {
        reader_remove(listener->worker->visitors, visitor);
        visitor->state = VISITOR_BUSY;
    } else if (visitor->state == VISITOR_WAITING) {
        visitor->looked_ms = listener->worker->clock_us / 1000;
        visitor->state = VISITOR_BUSY;
    }
}

void connection_waits(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitor *visitor = visitor_again(listener->worker->visitors, connection);

    visitor->state = VISITOR_WAITING;
    visitor->settled = false;
}

void connection_request_ends(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitor *visitor = visitor_again(listener->worker->visitors, connection);

    reader_remove(listener->worker->visitors, visitor);
    visitor->state = VISITOR_IDLE;
    visitor->since_ms = visitor->looked_ms = listener->worker->clock_us / 1000;
}

bool connection_begins_to_wait(struct listener *listener, struct MHD_Connection *connection)
{
    struct visitor *visitor = visitor_of(connection);
    struct clients *clients = http_sockets_clients(listener->worker->sockets);
    uint8_t before = visitor ? visitor->place : (uint8_t)PLACE_NONE;

    if (!visitor || before == PLACE_WAITING || before == PLACE_PROBE) {
        return true;
    }
    if (before == PLACE_REFUSED && visitor->refusal != METRIC_REJECTION_CONNECTIONS + 1) {
        return false;
    }
    if (!take(visitor, PLACE_WAITING)) {
        return before == PLACE_ORDINARY;
    }
    if (before == PLACE_ORDINARY) {
        atomic_fetch_sub_explicit(count_of(visitor, PLACE_ORDINARY), 1, memory_order_relaxed);
        clients_move(clients, &visitor->client, CLIENT_ORDINARY, CLIENT_WAITING);
        return true;
    }
    (void)clients_enter(clients, &visitor->client, CLIENT_WAITING);
    visitor->refusal = 0;
    listener->worker->visitors->n_refused--;
    listener->refusing--;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              listener_idle_timeout_s(listener->worker->config));
    return true;
}

bool connection_is_refused(const struct listener *listener, struct MHD_Connection *connection)
{
    const struct visitor *visitor;

    if (listener->refusing == 0) {
        return false;
    }
    visitor = visitor_of(connection);
    return visitor && visitor->refusal != 0;
}

void connection_is_not_watched(struct listener *listener)
{
    visitors_refuse(
        listener->worker->visitors, METRIC_REJECTION_WATCHES,
        "the kernel watches no more descriptors for this user (fs.epoll.max_user_watches): they are "
        "answered once and closed");
}

int64_t http_request_timeout_ms(const struct http_config *config)
{
    return config->request_timeout_ms ? config->request_timeout_ms : REQUEST_TIMEOUT_MS;
}

const char *connection_refuse(struct listener *listener, struct MHD_Connection *connection)
{
    const struct visitor *visitor = visitor_of(connection);
    enum metric_rejection why = visitor && visitor->refusal
                                    ? (enum metric_rejection)(visitor->refusal - 1)
                                    : METRIC_REJECTION_CONNECTIONS;
    const char *words = refusal_words(why);

    visitors_refuse(listener->worker->visitors, why, words);
    return words;
}

/* ---- callbacks of MHD: listener.c has them ---- */

/* One that is to be told no, or that has a spare descriptor, gets little time for it. */
void connection_starts(struct listener *listener, struct MHD_Connection *connection, void **context)
{
    struct visitors *visitors = listener->worker->visitors;
    struct visitor *visitor = visitors->entering;

    visitors->entering = NULL;
    *context = visitor;
    visitor->state = VISITOR_IDLE;
    visitor->since_ms = visitor->looked_ms = clock_boot_ms();
    visitors_put(&visitors->inside, visitor);
    visitors_arm(visitors);
    listener->refusing += visitor->refusal != 0;
    if (visitor->refusal || visitor->spare) {
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                  (unsigned)REFUSED_TIMEOUT_S);
    }
}

void connection_closes(struct listener *listener, void **context)
{
    struct visitors *visitors = listener->worker->visitors;
    struct visitor *visitor = *context;
    bool spare = visitor->spare;

    *context = NULL;
    visitors->known = NULL;
    listener->refusing -= visitor->refusal != 0;
    visitors_take_out(&visitors->inside, visitor);
    visitor_free(visitor);
    if (spare) {
        visitors_arm(visitors); /* its descriptor is closed after this call */
    }
}

/* ---- looking after them ---- */

static int64_t timeout_ms(const struct visitors *visitors)
{
    return http_request_timeout_ms(visitors->worker->config);
}

static bool has_left(const struct visitor *visitor)
{
    char byte;

    return recv(visitor->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void visitor_may_have_left(struct visitor *visitor)
{
    if (!visitor->cut && has_left(visitor)) {
        visitor_cut(visitor);
    }
}

static void time_out(struct visitor *visitor)
{
    static const char words[] = "the request was not all there in time (option request-timeout)";

    visitors_refuse(visitor->door->all, METRIC_REJECTION_REQUEST_TIMEOUT, words);
    silent_say(visitor, PROBLEM_REQUEST_TIMEOUT, words, NULL);
    visitor_cut(visitor);
}

static bool tcp_info(const struct visitor *visitor, struct tcp_info *out)
{
    socklen_t size = sizeof(*out);

    memset(out, 0, sizeof(*out));
    return !visitor->door->unix_socket &&
           getsockopt(visitor->fd, IPPROTO_TCP, TCP_INFO, out, &size) == 0;
}

/*
 * libmicrohttpd does not say that it has read a part of a head; when bytes came last, the kernel
 * does.
 */
static void look_at_idle(struct visitor *visitor, int64_t now_ms)
{
    const struct visitors *visitors = visitor->door->all;
    int64_t limit_ms = timeout_ms(visitors);
    struct tcp_info info;

    if (now_ms - visitor->looked_ms < limit_ms / 4) {
        return;
    }
    visitor->looked_ms = now_ms;
    if (!tcp_info(visitor, &info)) {
        if (has_left(visitor)) {
            visitor_cut(visitor);
        } else if (now_ms - visitor->since_ms >
                   visitors->worker->config->idle_timeout_ms + limit_ms) {
            time_out(visitor);
        }
    } else if (info.tcpi_state == TCP_STATE_CLOSE_WAIT) {
        visitor_cut(visitor);
    } else if (now_ms - (int64_t)info.tcpi_last_data_recv > visitor->since_ms + RECEIVED_SLACK_MS) {
        if (!visitor->partial) {
            visitor->partial = true;
            visitor->moved = (uint64_t)now_ms;
        } else if (now_ms - (int64_t)visitor->moved >= limit_ms) {
            time_out(visitor);
        }
    }
}

static void look_at_reading(struct visitor *visitor, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - visitor->looked_ms;

    visitor_may_have_left(visitor);
    if (!visitor->cut && elapsed_ms >= timeout_ms(visitor->door->all)) {
        if (visitor->moved < (uint64_t)(elapsed_ms * SLOWEST_BYTES_PER_S / 1000)) {
            time_out(visitor);
        }
        visitor->looked_ms = now_ms;
        visitor->moved = 0;
    }
}

/*
 * An answer that has not all been written, or taken. Who waits for one has nothing to take but what
 * came before.
 */
static void look_at_busy(struct visitor *visitor, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - visitor->looked_ms, least;
    int queued = 0, before = visitor->queued;
    uint64_t taken;
    struct tcp_info info;

    if (elapsed_ms < timeout_ms(visitor->door->all) / 2) {
        return;
    }
    visitor->looked_ms = now_ms;
    if (ioctl(visitor->fd, SIOCOUTQ, &queued) != 0 || (queued == 0 && before == 0)) {
        visitor->settled = true;
        return;
    }
    visitor->queued = queued;
    if (tcp_info(visitor, &info)) {
        taken = info.tcpi_bytes_acked - visitor->moved;
        visitor->moved = info.tcpi_bytes_acked;
    } else {
        taken = queued == before ? 0 : (uint64_t)before;
    }
    least = elapsed_ms * SLOWEST_BYTES_PER_S / 1000;
    least = before < least ? before : least;
    visitor->strikes = before > 0 && taken < (uint64_t)least ? (uint8_t)(visitor->strikes + 1) : 0;
    if (visitor->strikes >= 2) {
        struct linger at_once = {.l_onoff = 1};

        visitors_refuse(visitor->door->all, METRIC_REJECTION_SLOW_READER,
                        "they take too little of their answers");
        (void)setsockopt(visitor->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        visitor_cut(visitor);
    }
}

static void sweep(void *data)
{
    struct visitors *visitors = data;
    int64_t now_ms = clock_boot_ms();

    silent_sweep(visitors, now_ms);
    for (struct visitor *visitor = visitors->inside.first; visitor; visitor = visitor->next) {
        if (visitor->cut) {
            continue;
        }
        switch ((enum visitor_state)visitor->state) {
        case VISITOR_IDLE: look_at_idle(visitor, now_ms); break;
        case VISITOR_READING: look_at_reading(visitor, now_ms); break;
        case VISITOR_BUSY: look_at_busy(visitor, now_ms); break;
        case VISITOR_WAITING:
            if (!visitor->settled) {
                look_at_busy(visitor, now_ms);
            }
            break;
        default: break;
        }
    }
    doors_fill_spares(visitors);
    visitors_arm(visitors);
}

void visitors_arm(struct visitors *visitors)
{
    int64_t every_ms = timeout_ms(visitors) / 8;

    if (visitors->silent.n + visitors->leaving.n + visitors->inside.n == 0 &&
        visitors->n_spares == SPARES) {
        return;
    }
    every_ms = every_ms < SWEEP_LEAST_MS  ? SWEEP_LEAST_MS
               : every_ms > SWEEP_MOST_MS ? SWEEP_MOST_MS
                                          : every_ms;
    if (visitors->n_unwatched > 0) {
        loop_timer_start(visitors->timer, UNWATCHED_EVERY_MS);
    } else if (!loop_timer_armed(visitors->timer)) {
        loop_timer_start(visitors->timer, every_ms);
    }
}

/* libmicrohttpd watches for bytes, and misses an end that comes together with the last of them. */
void visitors_turn(struct visitors *visitors)
{
    settle_reading(visitors);
    while (visitors->readers) {
        struct visitor *visitor = visitors->readers;
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = visitor};

        reader_remove(visitors, visitor);
        if (!visitor->watched) {
            visitor->watched =
                epoll_ctl(visitors->epoll_fd, EPOLL_CTL_ADD, visitor->fd, &event) == 0;
        }
    }
}

/* ---- life ---- */

struct visitors *visitors_new(struct worker *worker)
{
    struct visitors *visitors = mem_new(1, sizeof(*visitors));

    visitors->worker = worker;
    visitors->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    visitors->timer = loop_timer_new(worker->loop, sweep, visitors);
    doors_fill_spares(visitors);
    return visitors;
}

void visitors_free(struct visitors *visitors)
{
    if (!visitors) {
        return;
    }
    loop_timer_free(visitors->timer);
    while (visitors->n_spares > 0) {
        close(visitors->spares[--visitors->n_spares]);
    }
    if (visitors->epoll_fd >= 0) {
        close(visitors->epoll_fd);
    }
    free(visitors->doors);
    free(visitors);
}
