/*
 * The cover over libuv, and the only place that includes uv.h.
 *
 * libuv closes handles later, on a turn of the loop, and keeps using their memory until then. So
 * every object here is freed in its close callback, and x_free() only begins that: it is safe
 * anywhere, the object's own callback included, and nothing is called after it. loop_free() turns
 * the loop until the last handle is closed.
 *
 * A look-up runs on a thread of resolve.c, not of libuv's pool, where a few dead names would hold
 * up all others. Freed early, it is left to end by itself.
 */
#include "bellwether/base/loop.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "resolve.h"

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* always active: a loop without work waits instead of ending */
    void (*turn)(void *data);
    void *turn_data;
    struct loop_later *later; /* what is to be done at the end of this turn, in order */
    struct loop_later *last_later;
    uint32_t phase; /* of shared moments: a daemon's own, or all of a host would turn at once */
    uv_async_t resolved;
    pthread_mutex_t lock; /* guards `answered` */
    struct loop_lookup *answered, *last_answered;
    char *scratch; /* NULL until somebody wants it */
};

/* A failure of libuv itself: out of descriptors or memory, or a fault in this program. */
static void must(int result, const char *what)
{
    if (result < 0) {
        log_error("event loop failed", LOG_STR("call", what),
                  LOG_STR("error", uv_strerror(result)));
        (void)log_flush(LOG_LAST_PATIENCE_MS);
        abort();
    }
}

/* ---- the loop ---- */

static void run_later(struct loop *loop)
{
    while (loop->later) {
        struct loop_later *later = loop->later;

        loop->later = later->next;
        later->queued = false;
        later->run(later->data);
    }
}

void loop_later_queue(struct loop *loop, struct loop_later *later)
{
    if (later->queued) {
        return;
    }
    later->next = NULL;
    later->queued = true;
    if (!loop->later) {
        loop->later = later;
    } else {
        loop->last_later->next = later;
    }
    loop->last_later = later;
}

void loop_later_cancel(struct loop *loop, struct loop_later *later)
{
    struct loop_later *before = NULL;

    for (struct loop_later *at = loop->later; at && later->queued; before = at, at = at->next) {
        if (at != later) {
            continue;
        }
        if (before) {
            before->next = later->next;
        } else {
            loop->later = later->next;
        }
        if (loop->last_later == later) {
            loop->last_later = before;
        }
        later->queued = false;
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;

    run_later(loop);
    if (loop->turn) {
        loop->turn(loop->turn_data);
        run_later(loop); /* what the hook itself began */
    }
}

static void on_resolved(uv_async_t *uv);

/*
 * Where there is no room for the watch that libuv needs for itself it ends the process without a
 * word.
 */
static void expect_room(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    if (epoll_fd < 0 || fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        log_error("event loop failed", LOG_STR("error", strerror(errno)),
                  LOG_STR("limit",
                          errno == ENOSPC ? "fs.epoll.max_user_watches" : "descriptors or memory"));
        (void)log_flush(LOG_LAST_PATIENCE_MS);
        exit(EXIT_FAILURE);
    }
    close(fd);
    close(epoll_fd);
}

struct loop *loop_new(void)
{
    struct loop *loop;

    expect_room();
    loop = mem_new(1, sizeof(*loop));
    must(uv_loop_init(&loop->uv), "uv_loop_init");
    must(uv_prepare_init(&loop->uv, &loop->prepare), "uv_prepare_init");
    loop->prepare.data = loop;
    loop->phase = 1 + jitter_below(1024);
    must(uv_prepare_start(&loop->prepare, on_prepare), "uv_prepare_start");
    must(uv_async_init(&loop->uv, &loop->resolved, on_resolved), "uv_async_init");
    must(-pthread_mutex_init(&loop->lock, NULL), "pthread_mutex_init");
    loop->resolved.data = loop;
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
    uv_close((uv_handle_t *)&loop->resolved, NULL);
    uv_walk(&loop->uv, count_open, &open);
    if (open > 0) { /* their owners would use freed memory, or this would wait for ever */
        abort();
    }
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    must(uv_loop_close(&loop->uv), "uv_loop_close");
    pthread_mutex_destroy(&loop->lock);
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

bool loop_lookups_abandoned(void)
{
    return resolve_is_busy();
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

/* ---- timers ---- */

struct loop_timer {
    uv_timer_t uv;
    void (*fire)(void *data);
    void *data;
    uint32_t phase; /* the loop's */
};

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;

    timer->fire(timer->data);
}

/* Every object starts with its libuv handle, so one close callback frees them all. */
static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fire)(void *data), void *data)
{
    struct loop_timer *timer = mem_new(1, sizeof(*timer));

    must(uv_timer_init(&loop->uv, &timer->uv), "uv_timer_init");
    timer->uv.data = timer;
    timer->fire = fire;
    timer->data = data;
    timer->phase = loop->phase;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    /* libuv counts from the time at which the turn began, in whole milliseconds rounded down:
     * brought up to date, and one more, the delay is never shorter than asked */
    uv_update_time(timer->uv.loop);
    must(uv_timer_start(&timer->uv, on_timer, delay_ms > 0 ? (uint64_t)delay_ms + 1 : 0, 0),
         "uv_timer_start");
}

/*
 * The moment from `from` to `to` that has most zero bits at its end: others with a span around it
 * choose it, too.
 */
static uint64_t meeting_point(uint64_t from, uint64_t to)
{
    uint64_t differ = (from - 1) ^ to, low = 1;

    while (differ >> 1 >= low) {
        low <<= 1;
    }
    return to & ~(low - 1);
}

void loop_timer_start_within(struct loop_timer *timer, int64_t from_ms, int64_t to_ms)
{
    uint64_t now;

    uv_update_time(timer->uv.loop);
    now = uv_now(timer->uv.loop) + timer->phase;
    from_ms = from_ms > 0 ? from_ms + 1 : 0; /* as above */
    to_ms = to_ms > 0 ? to_ms + 1 : 0;
    if (to_ms < from_ms) {
        to_ms = from_ms;
    }
    must(uv_timer_start(&timer->uv, on_timer,
                        meeting_point(now + (uint64_t)from_ms, now + (uint64_t)to_ms) - now, 0),
         "uv_timer_start");
}

void loop_timer_stop(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->uv);
}

bool loop_timer_armed(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer) {
        uv_close((uv_handle_t *)&timer->uv, on_closed);
    }
}

/* ---- descriptors ---- */

/*
 * The kernel bounds how many watches a user may have (fs.epoll.max_user_watches). Where there is no
 * room for one more, libuv refuses a new handle, or, when the room goes between that and its own
 * registration, ends the process. So a descriptor is registered here, where that may fail, before
 * libuv does it again and finds it there; and one that could not be is looked at with poll() every
 * few milliseconds until there is room.
 */
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
    struct loop_timer *unwatched; /* NULL: never needed */
};

static void on_poll(uv_poll_t *uv, int status, int events);

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

static int poll_register(struct loop_poll *poll, int events)
{
    struct epoll_event event = {.events = ((events & UV_READABLE) != 0 ? (uint32_t)EPOLLIN : 0) |
                                          ((events & UV_WRITABLE) != 0 ? (uint32_t)EPOLLOUT : 0)};
    int error = poll_make(poll);

    if (error != 0) {
        return error;
    }
    must(uv_poll_start(&poll->uv, events, on_poll), "uv_poll_start");
    event.data.fd = poll->fd; /* as libuv has it */
    if (epoll_ctl(uv_backend_fd(&poll->loop->uv), EPOLL_CTL_ADD, poll->fd, &event) == 0 ||
        errno == EEXIST) {
        return 0;
    }
    error = uv_translate_sys_error(errno);
    if (!no_room(error)) {
        return 0; /* libuv will say what it thinks of it */
    }
    (void)uv_poll_stop(&poll->uv);
    return error;
}

static void look_by_turns(void *data);

static void poll_arm(struct loop_poll *poll)
{
    int events = ((poll->wanted & LOOP_READ) != 0 ? UV_READABLE : 0) |
                 ((poll->wanted & LOOP_WRITE) != 0 ? UV_WRITABLE : 0);

    if (events == 0) {
        if (poll->made) {
            must(uv_poll_stop(&poll->uv), "uv_poll_stop");
        }
    } else if (poll_register(poll, events) != 0) {
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
    struct pollfd look = {.fd = handle->fd,
                          .events = (short)(((handle->wanted & LOOP_READ) != 0 ? POLLIN : 0) |
                                            ((handle->wanted & LOOP_WRITE) != 0 ? POLLOUT : 0))};

    poll_arm(handle);
    if (loop_timer_armed(handle->unwatched) && poll(&look, 1, 0) > 0) {
        int seen = ((look.revents & POLLIN) != 0 ? LOOP_READ : 0) |
                   ((look.revents & POLLOUT) != 0 ? LOOP_WRITE : 0);

        handle->ready(handle->data, seen != 0 ? seen : handle->wanted); /* which may free it */
    }
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *poll = uv->data;
    int seen = ((events & UV_READABLE) != 0 ? LOOP_READ : 0) |
               ((events & UV_WRITABLE) != 0 ? LOOP_WRITE : 0);

    if (status < 0) {
        /* libuv has stopped the handle; the owner learns of the error by reading or writing */
        seen = poll->wanted;
    }
    poll->ready(poll->data, seen);
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

void loop_poll_free(struct loop_poll *poll)
{
    if (!poll) {
        return;
    }
    loop_timer_free(poll->unwatched);
    if (poll->made) {
        uv_close((uv_handle_t *)&poll->uv, on_closed);
    } else {
        free(poll);
    }
}

/* ---- name look-ups ---- */

struct loop_lookup {
    struct resolve_ask ask; /* first: the one is the other */
    struct loop *loop;
    struct loop_lookup *next; /* of those answered */
    bool answered;            /* among them; under the loop's lock */
    uint16_t port;
    void (*done)(void *data, int error, const struct address *found, size_t n, const char *words);
    void *data;
};

/* `done` may free the look-up: nothing touches it afterwards. */
static void lookup_finish(struct loop_lookup *lookup)
{
    struct address *found = lookup->ask.found;
    size_t n = lookup->ask.n;

    lookup->ask.found = NULL;
    for (size_t i = 0; i < n; i++) {
        found[i].port = lookup->port;
    }
    if (n > 0) {
        lookup->done(lookup->data, 0, found, n, "");
    } else {
        lookup->done(lookup->data, -BW_ERESOLVE, NULL, 0, gai_strerror(lookup->ask.error));
    }
    free(found);
}

static struct loop_lookup *next_answered(struct loop *loop)
{
    struct loop_lookup *lookup;

    pthread_mutex_lock(&loop->lock);
    lookup = loop->answered;
    if (lookup) {
        loop->answered = lookup->next;
        lookup->answered = false;
    }
    pthread_mutex_unlock(&loop->lock);
    return lookup;
}

static void on_resolved(uv_async_t *uv)
{
    struct loop *loop = uv->data;

    for (struct loop_lookup *lookup; (lookup = next_answered(loop));) {
        lookup_finish(lookup);
    }
}

/* Thread: any. */
static void lookup_answered(struct resolve_ask *ask)
{
    struct loop_lookup *lookup = (struct loop_lookup *)ask;
    struct loop *loop = lookup->loop;

    pthread_mutex_lock(&loop->lock);
    lookup->next = NULL;
    lookup->answered = true;
    if (!loop->answered) {
        loop->answered = lookup;
    } else {
        loop->last_answered->next = lookup;
    }
    loop->last_answered = lookup;
    /* under the lock: else the loop might be gone */
    must(uv_async_send(&loop->resolved), "uv_async_send");
    pthread_mutex_unlock(&loop->lock);
}

struct loop_lookup *loop_lookup_start(struct loop *loop, const struct address *name, unsigned group,
                                      void (*done)(void *data, int error,
                                                   const struct address *found, size_t n,
                                                   const char *words),
                                      void *data)
{
    struct loop_lookup *lookup = mem_new(1, sizeof(*lookup));

    lookup->ask.done = lookup_answered;
    lookup->ask.group = group;
    lookup->loop = loop;
    lookup->port = name->port;
    lookup->done = done;
    lookup->data = data;
    if (address_is_ip(name)) { /* asks nobody */
        lookup->ask.found = mem_new(1, sizeof(*name));
        *lookup->ask.found = *name;
        lookup->ask.n = 1;
        lookup_answered(&lookup->ask);
    } else {
        resolve_start(&lookup->ask, name->host);
    }
    return lookup;
}

size_t loop_lookup_last(const struct address *name, struct address **out)
{
    size_t n = resolve_last(name->host, out);

    for (size_t i = 0; i < n; i++) {
        (*out)[i].port = name->port;
    }
    return n;
}

void loop_lookup_free(struct loop_lookup *lookup)
{
    struct loop *loop;

    if (!lookup) {
        return;
    }
    loop = lookup->loop;
    resolve_cancel(&lookup->ask);
    pthread_mutex_lock(&loop->lock);
    for (struct loop_lookup *at = loop->answered, *before = NULL; lookup->answered;
         before = at, at = at->next) {
        if (at != lookup) {
            continue;
        }
        if (before) {
            before->next = lookup->next;
        } else {
            loop->answered = lookup->next;
        }
        loop->last_answered = lookup->next ? loop->last_answered : before;
        lookup->answered = false;
    }
    pthread_mutex_unlock(&loop->lock);
    free(lookup->ask.found);
    free(lookup);
}

/* ---- signals ---- */

struct loop_signal {
    uv_signal_t uv;
    void (*caught)(void *data, int signum);
    void *data;
};

static void on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal *signal = uv->data;

    signal->caught(signal->data, signum);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signum,
                                    void (*caught)(void *data, int signum), void *data)
{
    struct loop_signal *signal = mem_new(1, sizeof(*signal));

    must(uv_signal_init(&loop->uv, &signal->uv), "uv_signal_init");
    signal->uv.data = signal;
    signal->caught = caught;
    signal->data = data;
    must(uv_signal_start(&signal->uv, on_signal, signum), "uv_signal_start");
    return signal;
}

void loop_signal_free(struct loop_signal *signal)
{
    if (signal) {
        uv_close((uv_handle_t *)&signal->uv, on_closed);
    }
}

/* ---- mailbox ---- */

struct queue {
    struct message *first;
    struct message *last;
};

struct mailbox {
    uv_async_t uv;
    pthread_mutex_t lock; /* guards `posted` */
    struct queue posted;
    struct queue taken; /* the loop's thread only: being delivered */
    void (*deliver)(void *data, struct message *message);
    void *data;
};

static void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    if (!queue->last) {
        queue->first = message;
    } else {
        queue->last->next = message;
    }
    queue->last = message;
}

static struct message *queue_pop(struct queue *queue)
{
    struct message *message = queue->first;

    if (message) {
        queue->first = message->next;
        queue->last = !queue->first ? NULL : queue->last;
        message->next = NULL;
    }
    return message;
}

static void queue_drop(struct queue *queue)
{
    for (struct message *message; (message = queue_pop(queue));) {
        message->drop(message);
    }
}

/*
 * libuv joins wake-ups: one call may stand for many posts, so everything is taken. What is posted
 * meanwhile wakes again.
 */
static void on_post(uv_async_t *uv)
{
    struct mailbox *mailbox = uv->data;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->taken = mailbox->posted;
    mailbox->posted = (struct queue){0};
    pthread_mutex_unlock(&mailbox->lock);
    for (struct message *message; (message = queue_pop(&mailbox->taken));) {
        mailbox->deliver(mailbox->data, message); /* may free the mailbox: that empties `taken` */
    }
}

struct mailbox *mailbox_new(struct loop *loop, void (*deliver)(void *data, struct message *message),
                            void *data)
{
    struct mailbox *mailbox = mem_new(1, sizeof(*mailbox));

    must(uv_async_init(&loop->uv, &mailbox->uv, on_post), "uv_async_init");
    must(-pthread_mutex_init(&mailbox->lock, NULL), "pthread_mutex_init");
    mailbox->uv.data = mailbox;
    mailbox->deliver = deliver;
    mailbox->data = data;
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox, struct message *message)
{
    pthread_mutex_lock(&mailbox->lock);
    queue_push(&mailbox->posted, message);
    pthread_mutex_unlock(&mailbox->lock);
    must(uv_async_send(&mailbox->uv), "uv_async_send");
}

static void on_mailbox_closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = handle->data;

    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox) {
        return;
    }
    queue_drop(&mailbox->taken);
    queue_drop(&mailbox->posted);
    uv_close((uv_handle_t *)&mailbox->uv, on_mailbox_closed);
}

/* ---- jitter ---- */

static _Thread_local uint64_t jitter_state;

void jitter_seed(uint64_t seed)
{
    jitter_state = seed;
}

uint32_t jitter_below(uint32_t bound)
{
    if (jitter_state == 0 && getrandom(&jitter_state, sizeof(jitter_state), GRND_NONBLOCK) !=
                                 (ssize_t)sizeof(jitter_state)) {
        jitter_state = (uint64_t)clock_wall_ms() ^ (uint64_t)(uintptr_t)&jitter_state;
    }
    /* SplitMix64's step and mixer */
    jitter_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = jitter_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return bound == 0 ? 0 : (uint32_t)(((z >> 32) * bound) >> 32);
}
