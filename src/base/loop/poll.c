/*
 * Descriptors.
 *
 * The kernel bounds how many watches a user may have (fs.epoll.max_user_watches). Where there is no
 * room for one more, libuv refuses a new handle, or, when the room goes between that and its own
 * registration, ends the process. So a descriptor is registered here, where that may fail, before
 * libuv does it again and finds it there; and one that could not be is looked at with poll() every
 * few milliseconds until there is room.
 *
 * libuv registers for what lasts, at its next wait after each change of what is wanted. Who wants
 * to be told of changes only is registered for these here, with the first event after that; the
 * kernel looks once more then, so nothing is missed in between. Who waits to write is told of what
 * lasts. Who waits for the end alone is registered so for what the kernel tells of unasked.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "loop_internal.h"

#define UNWATCHED_EVERY_MS 20
#define COMPLAIN_EVERY_MS 60000

struct loop_poll {
    uv_poll_t uv;
    struct loop *loop;
    void (*ready)(void *data, int events);
    void *data;
    int fd;
    int wanted;
    bool made;                    /* `uv` is a handle */
    bool by_change, kernel_knows; /* see loop_poll_by_change() */
    struct loop_timer *unwatched; /* NULL: never needed */
};

_Static_assert((int)LOOP_READ == (int)UV_READABLE && (int)LOOP_WRITE == (int)UV_WRITABLE &&
                   (int)LOOP_END == (int)UV_DISCONNECT,
               "libuv has the same bits");

static void on_poll(uv_poll_t *uv, int status, int events);

/* What poll() and epoll have for what is wanted: they have the same bits, too. */
static short poll_events(int wanted)
{
    return (short)(((wanted & LOOP_READ) != 0 ? POLLIN : 0) |
                   ((wanted & LOOP_WRITE) != 0 ? POLLOUT : 0) |
                   ((wanted & LOOP_END) != 0 ? POLLRDHUP : 0));
}

static int uv_events(const struct loop_poll *poll)
{
    return poll->wanted | (poll->by_change && (poll->wanted & LOOP_READ) != 0 ? UV_DISCONNECT : 0);
}

static bool no_room(int error)
{
    return error == UV_ENOSPC || error == UV_ENOMEM;
}

static void complain_of_no_room(void)
{
    static _Atomic int64_t next_ms;
    int64_t now_ms = clock_boot_ms();

    if (now_ms >= atomic_load(&next_ms)) {
        atomic_store(&next_ms, now_ms + COMPLAIN_EVERY_MS);
        log_warn(
            "the kernel watches no more descriptors for this user, so some are looked at by turns",
            LOG_STR("limit", "fs.epoll.max_user_watches"));
    }
}

/* @return 0, or libuv's error where there is no room. */
static int poll_make(struct loop_poll *poll)
{
    int error = poll->made ? 0 : uv_poll_init(&poll->loop->uv, &poll->uv, poll->fd);

    if (error == 0 && !poll->made) {
        poll->uv.data = poll;
        poll->made = true;
    }
    return error;
}

static int poll_register(struct loop_poll *poll)
{
    struct epoll_event event = {.events = (uint32_t)poll_events(poll->wanted),
                                .data.fd = poll->fd}; /* as libuv has it */
    int error = poll_make(poll);

    if (error != 0) {
        return error;
    }
    poll->kernel_knows = false;
    loop_must(uv_poll_start(&poll->uv, uv_events(poll), on_poll), "uv_poll_start");
    if (epoll_ctl(uv_backend_fd(&poll->loop->uv), EPOLL_CTL_ADD, poll->fd, &event) == 0 ||
        errno == EEXIST) {
        return 0;
    }
    error = uv_translate_sys_error(errno);
    if (!no_room(error)) {
        return 0; /* libuv, which registers it again, reports the error */
    }
    (void)uv_poll_stop(&poll->uv);
    return error;
}

static void look_by_turns(void *data);

static void poll_arm(struct loop_poll *poll)
{
    if (poll->wanted == 0) {
        if (poll->made) {
            loop_must(uv_poll_stop(&poll->uv), "uv_poll_stop");
        }
    } else if (poll_register(poll) != 0) {
        complain_of_no_room();
        if (!poll->unwatched) {
            poll->unwatched = loop_timer_new(poll->loop, look_by_turns, poll);
        }
        loop_timer_start(poll->unwatched, UNWATCHED_EVERY_MS);
        return;
    }
    if (poll->unwatched) {
        loop_timer_stop(poll->unwatched);
    }
}

static void look_by_turns(void *data)
{
    struct loop_poll *handle = data;
    struct pollfd look = {.fd = handle->fd, .events = poll_events(handle->wanted)};

    poll_arm(handle);
    if (loop_timer_armed(handle->unwatched) && poll(&look, 1, 0) > 0) {
        int seen = ((look.revents & POLLIN) != 0 ? LOOP_READ : 0) |
                   ((look.revents & POLLOUT) != 0 ? LOOP_WRITE : 0);

        handle->ready(handle->data, seen != 0 ? seen : handle->wanted); /* which may free it */
    }
}

static void register_by_change(struct loop_poll *poll)
{
    uint32_t events = poll->wanted == LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0;
    struct epoll_event event = {.events = EPOLLET | events, .data.fd = poll->fd};

    poll->kernel_knows =
        epoll_ctl(uv_backend_fd(&poll->loop->uv), EPOLL_CTL_MOD, poll->fd, &event) == 0;
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *poll = uv->data;

    bool by_change = (poll->by_change && poll->wanted == LOOP_READ) || poll->wanted == LOOP_END;

    if (by_change && !poll->kernel_knows && status >= 0) {
        register_by_change(poll);
    }
    /* after an error libuv has stopped the handle; the owner learns of it by reading or writing */
    poll->ready(poll->data, status < 0 ? poll->wanted : events);
    if (status < 0 && !uv_is_closing((uv_handle_t *)uv) && poll->wanted != 0) {
        poll_arm(poll);
    }
}

struct loop_poll *loop_poll_new(struct loop *loop, int fd, void (*ready)(void *data, int events),
                                void *data)
{
    struct loop_poll *poll = mem_new(1, sizeof(*poll));
    int error;

    poll->loop = loop;
    poll->fd = fd;
    poll->ready = ready;
    poll->data = data;
    error = poll_make(poll);
    if (error != 0 && !no_room(error)) {
        free(poll);
        errno = -error;
        return NULL;
    }
    return poll;
}

void loop_poll_want(struct loop_poll *poll, int events)
{
    if (poll->wanted != events) {
        poll->wanted = events;
        poll_arm(poll);
    }
}

void loop_poll_by_change(struct loop_poll *poll, bool by_change)
{
    poll->by_change = by_change;
    if (!by_change && poll->kernel_knows) {
        poll_arm(poll);
    }
}

void loop_poll_free(struct loop_poll *poll)
{
    if (!poll) {
        return;
    }
    loop_timer_free(poll->unwatched);
    if (poll->made) {
        uv_close((uv_handle_t *)&poll->uv, loop_handle_closed);
    } else {
        free(poll);
    }
}
