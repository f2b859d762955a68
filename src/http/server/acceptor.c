/*
 * Listening sockets. The worker accepts by itself: at a limit of its own libmicrohttpd takes its
 * listening socket out of its set and puts it back only when it is run for some other reason, so
 * that where all callers have left it never is.
 *
 * Out of descriptors, callers would stand in the kernel's queue unheard. So some are kept to be
 * given up: with them probes are answered, and a part of the others is told 503.
 */
#include "acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admission.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "sockets.h"

#define ACCEPTS_MAX 64 /* in one turn: then others get their share */
#define SPARES_FOR_PROBES (SPARES / 2)
#define OPEN_AGAIN_MS 100
#define MISSED_MAX 2 /* beats: then the listener counts as deaf */

/* ---- descriptors ---- */

/* @return false: none is left for callers of this kind. */
static bool give_up_spare(struct door *door)
{
    struct connections *connections = door->all;

    if (connections->n_spares <= (door->probe ? 0 : SPARES_FOR_PROBES)) {
        return false;
    }
    close(connections->spares[--connections->n_spares]);
    return true;
}

static void shut(struct door *door)
{
    struct connections *connections = door->all;

    door->shut = true;
    loop_poll_want(door->poll, 0);
    if (!loop_timer_armed(connections->open_timer)) {
        loop_timer_start(connections->open_timer, OPEN_AGAIN_MS);
    }
}

static void open_again(void *data)
{
    struct connections *connections = data;

    connections_fill_spares(connections);
    for (size_t i = 0; i < connections->n_doors; i++) {
        if (connections->doors[i].shut) {
            connections->doors[i].shut = false;
            loop_poll_want(connections->doors[i].poll, LOOP_READ);
        }
    }
}

/* ---- accepting ---- */

static bool is_out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static int accept_one(struct door *door, struct http_conn *conn)
{
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof(from);
    int fd = accept4(door->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0 && door->shares) {
        conn->client = client_key_of((struct sockaddr *)&from);
    }
    return fd;
}

/* @return the descriptor; -1 with errno. */
static int accept_somehow(struct door *door, struct http_conn *conn)
{
    int fd = accept_one(door, conn);

    while (fd < 0 && is_out_of_descriptors(errno) && admission_drop_oldest(door->all)) {
        fd = accept_one(door, conn);
    }
    if (fd < 0 && is_out_of_descriptors(errno)) {
        int error = errno;

        if (give_up_spare(door)) {
            conn->spare = true;
            return accept_one(door, conn);
        }
        errno = error;
    }
    return fd;
}

static void on_callers(void *data, int events)
{
    struct door *door = data;

    (void)events;
    door->heard++;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct http_conn *conn = mem_new(1, sizeof(*conn));
        int error;

        conn->door = door;
        conn->fd = accept_somehow(door, conn);
        if (conn->fd >= 0) {
            admission_begin(conn);
            continue;
        }
        error = errno;
        if (conn->spare) {
            connections_arm(door->all); /* it takes the spare back */
        }
        free(conn);
        if (error == EAGAIN) {
            return;
        }
        if (is_out_of_descriptors(error)) {
            connections_refuse(
                door->all, METRIC_REJECTION_DESCRIPTORS,
                "the daemon is out of file descriptors: callers stand in the queue until there are some");
            shut(door);
            return;
        }
    }
}

/* ---- whether they hear ---- */

static bool somebody_waits(const struct door *door)
{
    struct pollfd look = {.fd = door->fd, .events = POLLIN};

    return poll(&look, 1, 0) > 0 && (look.revents & POLLIN);
}

static void listen_anew(struct door *door)
{
    loop_poll_free(door->poll);
    door->poll = loop_poll_new(door->all->worker->loop, door->fd, on_callers, door);
    if (door->poll) {
        loop_poll_want(door->poll, door->shut ? 0 : LOOP_READ);
    }
}

void doors_check(struct connections *connections)
{
    for (size_t i = 0; i < connections->n_doors; i++) {
        struct door *door = &connections->doors[i];
        _Atomic int64_t *deaf_since_ms = http_sockets_deaf_since(
            connections->worker->sockets, door->number, connections->worker->number);

        if (door->shut || door->heard != door->heard_before || !somebody_waits(door)) {
            door->missed = 0;
            atomic_store_explicit(deaf_since_ms, 0, memory_order_relaxed);
        } else if (++door->missed == MISSED_MAX) {
            log_error("a listener does not accept its callers", LOG_INT("listener", (int64_t)i));
            atomic_store_explicit(deaf_since_ms, clock_boot_ms(), memory_order_relaxed);
            listen_anew(door);
        }
        door->heard_before = door->heard;
    }
}

/* ---- start and stop ---- */

int doors_open(struct connections *connections)
{
    struct worker *worker = connections->worker;

    connections->doors = mem_new(worker->config->n_listens + 1, sizeof(*connections->doors));
    connections->poll =
        loop_poll_new(worker->loop, connections->epoll_fd, admission_ready, connections);
    connections->open_timer = loop_timer_new(worker->loop, open_again, connections);
    if (!connections->poll) {
        log_error("cannot watch callers", LOG_STR("error", strerror(errno)));
        return -BW_EIO;
    }
    loop_poll_want(connections->poll, LOOP_READ);
    for (size_t i = 0; i < worker->config->n_listens; i++) {
        struct door *door = &connections->doors[i];

        door->all = connections;
        door->number = i;
        door->quick = &worker->listeners[(1 + worker->n_patient) * i];
        door->probe = door->quick->scope == HTTP_SCOPE_PROBE;
        door->tls = worker->config->listens[i].place.tls;
        door->n_patient = door->probe || door->tls ? 0 : worker->n_patient;
        door->unix_socket = worker->config->listens[i].place.unix_path != NULL;
        door->shares =
            !door->probe && !door->unix_socket && !http_sockets_is_loopback(worker->sockets, i);
        door->fd = http_sockets_take(worker->sockets, i, worker->number);
        connections->n_doors = i + 1;
        door->poll = loop_poll_new(worker->loop, door->fd, on_callers, door);
        if (!door->poll) {
            log_error("cannot watch the socket of a listener", LOG_STR("error", strerror(errno)));
            return -BW_EIO;
        }
        loop_poll_want(door->poll, LOOP_READ);
    }
    return 0;
}

void doors_close(struct connections *connections)
{
    admission_drop_all(connections);
    for (size_t i = 0; i < connections->n_doors; i++) {
        struct door *door = &connections->doors[i];

        loop_poll_free(door->poll);
        door->poll = NULL;
        if (door->fd >= 0) {
            close(door->fd);
            door->fd = -1;
        }
    }
    connections->n_doors = 0;
    loop_poll_free(connections->poll);
    connections->poll = NULL;
    loop_timer_free(connections->open_timer);
    connections->open_timer = NULL;
}
