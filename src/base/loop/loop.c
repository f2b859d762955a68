/*
 * The loop itself and what runs at the end of a turn: a cover over libuv, of which this folder is
 * the only place that includes uv.h. Each object has a file: timer.c, poll.c, lookup.c, signal.c,
 * mailbox.c; loop_free() turns the loop until the last handle is closed.
 */
#include "bellwether/base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "loop_internal.h"

/* ---- the end of a turn ---- */

static void run_later(struct loop *loop)
{
    for (struct list_link *link; (link = list_take_first(&loop->later));) {
        struct loop_later *later = LIST_OWNER(link, struct loop_later, link);

        later->queued = false;
        later->run(later->data);
    }
}

void loop_later_queue(struct loop *loop, struct loop_later *later)
{
    if (!later->queued) {
        later->queued = true;
        list_append(&loop->later, &later->link);
    }
}

void loop_later_cancel(struct loop *loop, struct loop_later *later)
{
    if (later->queued) {
        later->queued = false;
        list_remove(&loop->later, &later->link);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;

    run_later(loop);
    do {
        loop->turn_again = false;
        if (loop->turn) {
            loop->turn(loop->turn_data);
            run_later(loop); /* what the hook itself began */
        }
    } while (loop->turn_again);
}

/* ---- the loop ---- */

_Noreturn static void end_for_lack(int error)
{
    log_error(
        "event loop failed", LOG_STR("error", strerror(error)),
        LOG_STR("limit", error == ENOSPC ? "fs.epoll.max_user_watches" : "descriptors or memory"));
    (void)log_flush(LOG_LAST_PATIENCE_MS);
    exit(EXIT_FAILURE);
}

/*
 * Where there is no room for the watch that libuv needs for itself it ends the process without a
 * word.
 */
static void expect_room(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    if (epoll_fd < 0 || fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        end_for_lack(errno);
    }
    close(fd);
    close(epoll_fd);
}

struct loop *loop_new(void)
{
    struct loop *loop;
    int error;

    expect_room();
    loop = mem_new(1, sizeof(*loop));
    error = uv_loop_init(&loop->uv);
    if (error != 0) { /* it takes more descriptors than were looked for */
        end_for_lack(-error);
    }
    loop_must(uv_prepare_init(&loop->uv, &loop->prepare), "uv_prepare_init");
    loop->prepare.data = loop;
    loop->phase = 1 + jitter_below(1024);
    loop_must(uv_prepare_start(&loop->prepare, on_prepare), "uv_prepare_start");
    loop_lookups_open(loop);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* libuv registers what it needs for itself now */
    return loop;
}

static void count_open(uv_handle_t *handle, void *data)
{
    int *open = data;

    if (!uv_is_closing(handle)) {
        log_error("event loop freed before its objects",
                  LOG_STR("handle", uv_handle_type_name(handle->type)));
        (*open)++;
    }
}

void loop_free(struct loop *loop)
{
    int open = 0;

    if (!loop) {
        return;
    }
    loop->turn = NULL;
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    loop_lookups_close(loop);
    uv_walk(&loop->uv, count_open, &open);
    if (open > 0) { /* their owners would use freed memory, or this would wait for ever */
        abort();
    }
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    loop_must(uv_loop_close(&loop->uv), "uv_loop_close");
    free(loop->scratch);
    free(loop);
}

char *loop_scratch(struct loop *loop)
{
    if (!loop->scratch) {
        loop->scratch = mem_resize(NULL, LOOP_SCRATCH_BYTES, 1);
    }
    return loop->scratch;
}

const char *loop_library_version(void)
{
    return uv_version_string();
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_on_turn(struct loop *loop, void (*turn)(void *data), void *data)
{
    loop->turn = turn;
    loop->turn_data = data;
}

void loop_turn_again(struct loop *loop)
{
    loop->turn_again = true;
}
