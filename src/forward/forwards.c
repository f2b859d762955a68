/*
 * A worker's forwards: accepting, what snapshots mean for those who are, and the timer that
 * looks after all that wait for something which no event tells of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/listening.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/socket.h"
#include "forward_shared.h"
#include "link.h"

enum { FILES_EVERY_MS = 2000, ACCEPTS_A_TURN = 64 };

/* ---- accepting ---- */

static void on_clients(void *data, int events)
{
    struct door *door = data;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), error;

        if (fd >= 0) {
            link_begin(door, fd);
            continue;
        }
        error = errno;
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            forward_complain(door->all->shared, METRIC_FORWARD_END_LIMIT,
                             "the daemon is out of file descriptors or memory");
            door->shut = true;
            loop_poll_want(door->poll, 0);
            forwards_arm(door->all);
        }
        if (error != ECONNABORTED && error != EINTR) {
            return;
        }
    }
}

/* ---- those that wait ---- */

static bool has_work(const struct door *door)
{
    return door->waiting.first || door->leaving.first || door->paused.first || door->holds ||
           door->n_half > 0 || door->shut || (door->all->draining && door->joined.first);
}

static void resume(struct door *door, int64_t now_ms)
{
    bool fenced = door_is_fenced(door, now_ms);
    const struct list_link *last = door->paused.last;

    LIST_EACH_MAY_LEAVE(struct link, link, &door->paused, paused) {
        bool is_last = &link->paused == last;

        if (link->starved || (link->in.fenced && !fenced) ||
            (!door->all->draining && (link->to_replica || !fenced))) {
            link->is_paused = link->starved = false;
            list_remove(&door->paused, &link->paused);
            link_move_bytes(link); /* it may be paused again: then it stands behind the last */
        }
        if (is_last) {
            return;
        }
    }
}

/* @param joined  those, too: else nothing of them can have come of time alone. */
static void review(struct door *door, int64_t now_ms, bool joined)
{
    LIST_EACH_MAY_LEAVE(struct link, link, &door->waiting, of_state) {
        link_review(link, now_ms);
    }
    LIST_EACH_MAY_LEAVE(struct link, link, &door->leaving, of_state) {
        link_review(link, now_ms);
    }
    if (joined) {
        LIST_EACH_MAY_LEAVE(struct link, link, &door->joined, of_state) {
            link_review(link, now_ms);
        }
    }
}

static void review_handshakes(struct forwards *forwards, int64_t now_ms)
{
    LIST_EACH_MAY_LEAVE(struct link, link, &forwards->shaking, of_state) {
        link_review(link, now_ms);
    }
    if (forwards->shaking.first) {
        forwards_arm(forwards);
    }
}

static void look(void *data)
{
    struct forwards *forwards = data;
    int64_t now_ms = clock_boot_ms();

    review_handshakes(forwards, now_ms);
    for (size_t i = 0; i < forwards->n_doors; i++) {
        struct door *door = &forwards->doors[i];
        bool joined = door->holds || door->n_half > 0 || forwards->draining;

        if (door->shut) {
            door->shut = false;
            loop_poll_want(door->poll, LOOP_READ);
        }
        door->holds = false;
        review(door, now_ms, joined);
        resume(door, now_ms);
        if (has_work(door)) {
            forwards_arm(forwards);
        }
    }
}

void forwards_heard(struct forwards *forwards)
{
    bool holds = false;

    for (size_t i = 0; forwards && i < forwards->n_doors; i++) {
        holds = holds || forwards->doors[i].holds;
    }
    if (holds) {
        look(forwards);
    }
}

/* Keep-alive asks nothing of a peer that something is on its way to; the kernel takes a quarter of
 * an hour. */
static void look_for_lost(void *data)
{
    struct forwards *forwards = data;
    int64_t now_ms = clock_boot_ms();

    for (size_t i = 0; i < forwards->n_doors; i++) {
        LIST_EACH_MAY_LEAVE(struct link, link, &forwards->doors[i].joined, of_state) {
            link_look_for_lost(link, now_ms - forwards->lost_looked_ms);
        }
    }
    forwards->lost_looked_ms = now_ms;
    loop_timer_start(forwards->lost_timer, forwards->config->lost_ms);
}

/* In the order in which they came. */
static void route(void *data)
{
    struct forwards *forwards = data;
    int64_t now_ms = clock_boot_ms();

    for (size_t i = 0; i < forwards->n_doors; i++) {
        LIST_EACH_MAY_LEAVE(struct link, link, &forwards->doors[i].waiting, of_state) {
            if (link->state == LINK_WAITING) {
                link_route(link, now_ms);
            }
        }
    }
}

static void go_on(void *data)
{
    struct forwards *forwards = data;
    struct list again = forwards->again;

    forwards->again = (struct list){0};
    for (struct list_link *at; (at = list_take_first(&again));) {
        struct link *link = LIST_OWNER(at, struct link, again);

        link->is_again = false;
        link_move_bytes(link);
    }
}

static void bury(void *data)
{
    struct forwards *forwards = data;

    for (struct list_link *at; (at = list_take_first(&forwards->gone));) {
        link_free(LIST_OWNER(at, struct link, of_state));
    }
}

/* ---- snapshots ---- */

static struct snapshot_master *master_of(const struct door *door, const struct snapshot *snapshot)
{
    return door->listen->master ? snapshot_find(snapshot, door->listen->master)
                                : snapshot_default(snapshot);
}

static void take(struct door *door, const struct snapshot *snapshot, int64_t now_ms)
{
    struct snapshot_master *master = master_of(door, snapshot), *before = door->master;
    int64_t joined = metric_look(&door->counts->connections[METRIC_FORWARD_TO_MASTER]);

    if (master == before) {
        return;
    }
    door->master = master ? snapshot_master_ref(master) : NULL;
    review(door, now_ms, true);
    resume(door, now_ms);
    if (before && master && before->switches != master->switches && joined > 0) {
        log_info("forward: the master has changed, its clients come back by themselves",
                 LOG_STR("master", master->name), LOG_INT("connections", joined));
    }
    snapshot_master_unref(before);
}

/* Who waits finds out when the timer looks. */
static void look_for_name(struct door *door, const struct snapshot *snapshot)
{
    const char *name = door->listen->master;
    bool lacks = name && snapshot_lacks(snapshot, name);
    char text[ADDRESS_TEXT_SIZE];

    if (lacks && !door->lacks && door->all->worker == 0) {
        log_warn("no Sentinel knows the master of a forward: name= is wrong, or it comes later",
                 LOG_STR("forward", listen_place_text(&door->listen->place, text)),
                 LOG_STR("master", name));
    }
    door->lacks = lacks;
}

void forwards_take(struct forwards *forwards, struct snapshot *snapshot)
{
    struct snapshot *before;

    if (!forwards) {
        return;
    }
    before = forwards->snapshot;
    forwards->snapshot = snapshot_ref(snapshot);
    for (size_t i = 0; i < forwards->n_doors; i++) {
        look_for_name(&forwards->doors[i], snapshot);
        take(&forwards->doors[i], snapshot, clock_boot_ms());
        if (has_work(&forwards->doors[i])) {
            forwards_arm(forwards);
        }
    }
    snapshot_unref(before);
}

void forwards_reload(struct forwards *forwards, bool force)
{
    int64_t taken_ms = 0;

    if (forwards) {
        (void)redis_logins_refresh(forwards->logins, force, &taken_ms);
    }
}

static void look_at_files(void *data)
{
    struct forwards *forwards = data;

    forwards_reload(forwards, false);
    loop_timer_start(forwards->files_timer, FILES_EVERY_MS);
}

/* ---- life ---- */

struct forwards *forwards_new(struct loop *loop, struct forward_shared *shared, size_t worker,
                              const struct forward_hooks *hooks)
{
    struct forwards *forwards = mem_new(1, sizeof(*forwards));
    const struct forward_config *config = shared->config;

    forwards->loop = loop;
    forwards->shared = shared;
    forwards->config = config;
    forwards->worker = worker;
    forwards->hooks = *hooks;
    forwards->logins = redis_logins_copy(config->logins, config->n_logins);
    forwards->timer = loop_timer_new(loop, look, forwards);
    forwards->again_timer = loop_timer_new(loop, go_on, forwards);
    forwards->files_timer = loop_timer_new(loop, look_at_files, forwards);
    forwards->lost_timer = loop_timer_new(loop, look_for_lost, forwards);
    forwards->bury = (struct loop_later){.run = bury, .data = forwards};
    forwards->route = (struct loop_later){.run = route, .data = forwards};
    forwards->doors = mem_new(config->n_listens, sizeof(*forwards->doors));
    forwards->n_doors = config->n_listens;
    for (size_t i = 0; i < forwards->n_doors; i++) {
        struct door *door = &forwards->doors[i];

        door->all = forwards;
        door->listen = &config->listens[i];
        door->counts = metrics_forward(config->metrics, worker, i);
        door->fd = -1;
    }
    return forwards;
}

int forwards_open(struct forwards *forwards)
{
    if (forwards && forwards->n_doors > 0) {
        loop_timer_start(forwards->lost_timer, forwards->config->lost_ms);
    }
    for (size_t i = 0; forwards && i < forwards->n_doors; i++) {
        struct door *door = &forwards->doors[i];
        char text[ADDRESS_TEXT_SIZE];

        door->fd = listening_take(forwards->shared->listening[i], forwards->worker);
        door->poll = loop_poll_new(forwards->loop, door->fd, on_clients, door);
        if (!door->poll) {
            log_error("cannot watch the socket of a forward",
                      LOG_STR("forward", listen_place_text(&door->listen->place, text)),
                      LOG_STR("error", strerror(errno)));
            return -BW_EIO;
        }
        socket_tune(door->fd);
        loop_poll_want(door->poll, LOOP_READ);
        if (door->listen->auth) {
            loop_timer_start(forwards->files_timer, FILES_EVERY_MS);
        }
    }
    return 0;
}

static void close_door(struct door *door)
{
    loop_poll_free(door->poll);
    door->poll = NULL;
    door->shut = false;
    if (door->fd >= 0) {
        close(door->fd);
        door->fd = -1;
    }
}

static void end_all(struct list *list)
{
    LIST_EACH_MAY_LEAVE(struct link, link, list, of_state) {
        link_end(link, METRIC_FORWARD_END_SHUTDOWN,
                 link->state == LINK_JOINED ? NULL : "NOTSENT the daemon is shutting down");
    }
}

void forwards_drain(struct forwards *forwards)
{
    int64_t now_ms = clock_boot_ms();

    if (!forwards) {
        return;
    }
    forwards->draining = true;
    end_all(&forwards->shaking);
    for (size_t i = 0; i < forwards->n_doors; i++) {
        struct door *door = &forwards->doors[i];

        close_door(door);
        end_all(&door->waiting);
        LIST_EACH_MAY_LEAVE(struct link, link, &door->joined, of_state) {
            link_drain(link, now_ms);
        }
    }
    forwards_arm(forwards);
}

bool forwards_are_busy(const struct forwards *forwards)
{
    for (size_t i = 0; forwards && i < forwards->n_doors; i++) {
        if (forwards->doors[i].joined.first) {
            return true;
        }
        LIST_EACH(struct link, link, &forwards->doors[i].leaving, of_state) {
            if (side_has_unsent(&link->client)) {
                return true;
            }
        }
    }
    return false;
}

void forwards_free(struct forwards *forwards)
{
    if (!forwards) {
        return;
    }
    forwards->draining = true;
    end_all(&forwards->shaking);
    for (size_t i = 0; i < forwards->n_doors; i++) {
        struct door *door = &forwards->doors[i];

        close_door(door);
        end_all(&door->waiting);
        end_all(&door->joined);
        LIST_EACH_MAY_LEAVE(struct link, link, &door->leaving, of_state) {
            link->deadline_ms = 0;
            link_review(link, clock_boot_ms());
        }
        snapshot_master_unref(door->master);
    }
    bury(forwards);
    loop_later_cancel(forwards->loop, &forwards->bury);
    loop_later_cancel(forwards->loop, &forwards->route);
    loop_timer_free(forwards->timer);
    loop_timer_free(forwards->again_timer);
    loop_timer_free(forwards->files_timer);
    loop_timer_free(forwards->lost_timer);
    redis_logins_free(forwards->logins);
    snapshot_unref(forwards->snapshot);
    free(forwards->doors);
    free(forwards);
}
