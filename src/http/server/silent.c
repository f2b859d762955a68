/*
 * Connections outside libmicrohttpd. Until the head of a request is all there, one costs a few
 * bytes and a watch here, and no place; of too many the oldest is closed. Then its first bytes tell
 * which daemon it belongs to, or that it is none of ours.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/master_json.h"
#include "connections.h"

#define READY_MAX 64
#define LEAVE_MS 1000        /* whoever was refused has that long to read why */
#define DRAIN_MAX (64 << 10) /* of what it still sends */
#define LEAVING_MAX 256
#define PATIENT_HEAD_MAX 3072 /* a costlier one needs the room that the other daemon gives */

static int64_t silence_ms(const struct visitors *visitors)
{
    const struct http_config *config = visitors->worker->config;
    int64_t limit_ms = http_request_timeout_ms(config);

    return limit_ms < config->idle_timeout_ms ? limit_ms : config->idle_timeout_ms;
}

static void drop(struct visitor_list *list, struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;
    bool spare = visitor->spare;

    visitors_take_out(list, visitor);
    close(visitor->fd);
    visitor_free(visitor);
    if (spare) {
        doors_fill_spares(visitors);
    }
}

static void watch(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = visitor};

    if (visitor->watched || visitor->unwatched) {
        return;
    }
    if (epoll_ctl(visitors->epoll_fd, EPOLL_CTL_ADD, visitor->fd, &event) == 0) {
        visitor->watched = true;
        return;
    }
    visitor->unwatched = true; /* no room for one more watch: it is looked at by turns */
    visitors->n_unwatched++;
}

static void unwatch(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;

    if (visitor->watched) {
        (void)epoll_ctl(visitors->epoll_fd, EPOLL_CTL_DEL, visitor->fd, NULL);
    }
    visitors->n_unwatched -= visitor->unwatched;
    visitor->watched = visitor->unwatched = false;
}

/* ---- answers of our own ---- */

void silent_say(const struct visitor *visitor, enum problem_kind kind, const char *detail,
                const struct peek *peek)
{
    unsigned status = problem_status(kind);
    json_t *problem = problem_new(kind, detail);
    bool head = peek && peek->head, as_text = peek && peek->text;
    size_t size;
    char *body, text[2048], date[64];
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm when;
    int n;

    if (as_text) {
        body = problem_line(kind, problem);
        size = strlen(body);
        json_decref(problem);
    } else {
        body = render_dump(problem, false, &size);
    }
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
        (void)send(visitor->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    free(body);
}

/* To close with bytes unread would take the answer away from a caller that has not read it yet.
 * @return whether the caller is done. */
static bool drain(const struct visitor *visitor)
{
    char bytes[4096];

    for (size_t n = 0; n < DRAIN_MAX; n += sizeof(bytes)) {
        ssize_t got = recv(visitor->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got <= 0) {
            return got == 0 || (errno != EAGAIN && errno != EINTR);
        }
    }
    return false;
}

/* Out of the list of the silent, after it was told. */
static void leave(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;

    visitors_take_out(&visitors->silent, visitor);
    visitors_put(&visitors->leaving, visitor);
    visitor->state = VISITOR_LEAVING;
    visitor->since_ms = clock_boot_ms();
    shutdown(visitor->fd, SHUT_WR);
    if (drain(visitor) || visitors->leaving.n > LEAVING_MAX) {
        drop(&visitors->leaving, visitor);
        return;
    }
    watch(visitor);
}

/* ---- what it is ---- */

static void refuse_bytes(struct visitor *visitor, const struct peek *peek)
{
    const char *words =
        peek->kind == PEEK_FAULTY ? peek->fault
        : peek->kind == PEEK_PROXY
            ? "this listener takes HTTP/1.1 only, and these bytes are a PROXY protocol header: tell the "
              "load balancer not to send one"
        : peek->kind == PEEK_TLS
            ? "this listener takes plain HTTP only, and these bytes begin a TLS connection: ask for http://"
            : "this listener takes HTTP/1.1 only, and these bytes begin an HTTP/2 connection";

    visitors_refuse(visitor->door->all, METRIC_REJECTION_PROTOCOL, words);
    silent_say(visitor, peek->kind == PEEK_FAULTY ? peek->why : PROBLEM_WRONG_PROTOCOL, words,
               peek);
    leave(visitor);
}

static struct listener *listener_for(struct door *door, const struct peek *peek)
{
    bool patient = peek->waits && door->n_patient > 0 && peek->cost <= PATIENT_HEAD_MAX;

    return patient ? door->quick + 1 + door->handed++ % door->n_patient : door->quick;
}

static void hand_over(struct visitor *visitor, const struct peek *peek)
{
    struct door *door = visitor->door;
    struct visitors *visitors = door->all;
    struct listener *listener;
    char empty[2];

    if (peek->empty > 0) {
        (void)recv(visitor->fd, empty, peek->empty, MSG_DONTWAIT);
    }
    visitor_enter(visitor, peek);
    if (visitor->refusal && !peek->live && visitors->n_refused > HTTP_CONNECTIONS_REFUSED_AT_ONCE) {
        enum metric_rejection why = (enum metric_rejection)(visitor->refusal - 1);
        const char *words = "there are too many to tell each why; ask again later";

        visitors_refuse(visitors, why, words);
        silent_say(visitor, PROBLEM_TOO_MANY_CONNECTIONS, words, peek);
        leave(visitor);
        return;
    }
    unwatch(visitor);
    visitors_take_out(&visitors->silent, visitor);
    visitors->entering = visitor;
    listener = listener_for(door, peek);
    listener->wanted = true;
    (void)MHD_add_connection(listener->daemon, visitor->fd, NULL, 0); /* closes it where it fails */
    if (visitors->entering == visitor) {                              /* it has not taken it */
        visitors->entering = NULL;
        visitor_free(visitor);
    }
}

/* @return what recv() does. */
static ssize_t peek_into(const struct visitor *visitor, struct peek *out)
{
    char bytes[PEEK_SIZE];
    ssize_t n = recv(visitor->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

    *out = n > 0 ? peek_at(bytes, (size_t)n) : (struct peek){.kind = PEEK_MORE};
    return n;
}

/* @param ended  its caller sends no more. */
static void look(struct visitor *visitor, bool ended)
{
    struct visitors *visitors = visitor->door->all;
    struct peek seen;
    ssize_t n = peek_into(visitor, &seen);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(&visitors->silent, visitor);
        return;
    }
    if (n > 0) {
        visitor->moved = (uint64_t)n;
    }
    switch (seen.kind) {
    case PEEK_REQUEST: hand_over(visitor, &seen); break;
    case PEEK_MORE:
        if (ended) {
            (void)drain(visitor);
            drop(&visitors->silent, visitor);
        } else {
            watch(visitor);
        }
        break;
    default: refuse_bytes(visitor, &seen); break;
    }
}

/* ---- the list ---- */

/* Those that have not spoken may have what places nobody has, and some more. */
static size_t room(const struct visitors *visitors)
{
    const struct http_config *config = visitors->worker->config;
    struct http_sockets *sockets = visitors->worker->sockets;
    size_t all = config->max_connections + config->max_waiters;
    size_t taken =
        atomic_load_explicit(http_sockets_open_count(sockets, false), memory_order_relaxed) +
        atomic_load_explicit(http_sockets_open_waiting_count(sockets), memory_order_relaxed);

    return (taken < all ? all - taken : 0) / config->n_workers + HTTP_CONNECTIONS_REFUSED_AT_ONCE;
}

void silent_begin(struct visitor *visitor)
{
    struct visitors *visitors = visitor->door->all;

    visitor->since_ms = clock_boot_ms();
    visitors_put(&visitors->silent, visitor);
    look(visitor, false);
    if (visitors->silent.n > room(visitors)) {
        (void)silent_drop_oldest(visitors);
    }
    visitors_arm(visitors);
}

bool silent_drop_oldest(struct visitors *visitors)
{
    struct visitor *oldest =
        visitors->silent.first ? visitors->silent.first : visitors->leaving.first;

    if (!oldest) {
        return false;
    }
    drop(oldest->state == VISITOR_LEAVING ? &visitors->leaving : &visitors->silent, oldest);
    return true;
}

void silent_drop_all(struct visitors *visitors)
{
    while (silent_drop_oldest(visitors)) {
    }
}

void silent_ready(void *data, int events)
{
    struct visitors *visitors = data;
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(visitors->epoll_fd, ready, READY_MAX, 0);

    (void)events;
    for (int i = 0; i < n; i++) {
        struct visitor *visitor = ready[i].data.ptr;

        switch ((enum visitor_state)visitor->state) {
        case VISITOR_SILENT:
            look(visitor, (ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            break;
        case VISITOR_LEAVING:
            if (drain(visitor)) {
                drop(&visitors->leaving, visitor);
            }
            break;
        case VISITOR_READING: visitor_may_have_left(visitor); break;
        default: break;
        }
    }
}

static void look_by_turns(struct visitors *visitors)
{
    for (struct visitor *visitor = visitors->silent.first, *next; visitor; visitor = next) {
        next = visitor->next;
        if (visitor->unwatched) {
            visitors->n_unwatched--;
            visitor->unwatched = false;
            look(visitor, false);
        }
    }
}

void silent_sweep(struct visitors *visitors, int64_t now_ms)
{
    static const char words[] =
        "the request's head was not all there in time (option request-timeout)";
    int64_t limit_ms = silence_ms(visitors);
    struct visitor *visitor;

    if (visitors->n_unwatched > 0) {
        look_by_turns(visitors);
    }
    while ((visitor = visitors->silent.first) && now_ms - visitor->since_ms >= limit_ms) {
        if (visitor->moved > 0) {
            struct peek begun;

            (void)peek_into(visitor, &begun);
            visitors_refuse(visitors, METRIC_REJECTION_REQUEST_TIMEOUT, words);
            silent_say(visitor, PROBLEM_REQUEST_TIMEOUT, words, &begun);
            leave(visitor);
        } else {
            drop(&visitors->silent, visitor);
        }
    }
    while ((visitor = visitors->leaving.first) && now_ms - visitor->since_ms >= LEAVE_MS) {
        drop(&visitors->leaving, visitor);
    }
}
