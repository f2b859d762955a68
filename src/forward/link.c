/*
 * A client from accept() to close(). Its state changes in link_move() only, which keeps the lists
 * and the counts.
 */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/one_line.h"
#include "forward_shared.h"

enum { LEAVE_MS = 1000 };
enum { DROPS_A_TURN = 16 };
/* Nobody counts commands and answers: a node that says nothing for so long has said all. */
enum { QUIET_MS = 50 };
enum { TLS_HANDSHAKE = 22 }; /* a record's first byte */

/* In the words of Redis, which clients know. */
#define TOO_MANY_TOLD "ERR max number of clients reached"
#define TOO_MANY_HERE "there are as many connections as may be (option max-forwards)"

/* ---- states ---- */

static bool is_dialling(enum link_state state)
{
    return state >= LINK_LOOKUP && state <= LINK_LOGGING_IN;
}

static struct list *list_of(struct link *link, enum link_state state)
{
    switch (state) {
    case LINK_JOINED: return &link->door->joined;
    case LINK_LEAVING: return &link->door->leaving;
    case LINK_GONE: return &link->door->all->gone;
    case LINK_SHAKING: return &link->door->all->shaking;
    default: return &link->door->waiting;
    }
}

static void count(struct link *link, int by)
{
    struct metrics_forward *counts = link->door->counts;

    if (link->state == LINK_JOINED) {
        metric_move(&counts->connections[link->to_replica ? METRIC_FORWARD_TO_REPLICA
                                                          : METRIC_FORWARD_TO_MASTER],
                    by);
    } else if (link->state == LINK_SHAKING) {
        metric_move(&counts->handshakes, by);
        link->door->all->n_shaking += (size_t)by;
    } else if (link->state < LINK_JOINED) {
        metric_move(&counts->waiting, by);
    } else if (link->state == LINK_LEAVING) {
        link->door->all->n_leaving += (size_t)by;
    }
    if (is_dialling(link->state)) {
        link->door->n_dialling += (size_t)by;
    }
}

static void stop_pausing(struct link *link)
{
    if (link->is_paused) {
        link->is_paused = link->starved = false;
        list_remove(&link->door->paused, &link->paused);
    }
    if (link->is_again) {
        link->is_again = false;
        list_remove(&link->door->all->again, &link->again);
    }
}

void link_move(struct link *link, enum link_state state)
{
    struct forwards *all = link->door->all;

    count(link, -1);
    list_remove(list_of(link, link->state), &link->of_state);
    if (is_dialling(link->state) && !is_dialling(state)) {
        loop_later_queue(all->loop, &all->route);
    }
    if (link->is_half) {
        link->is_half = false;
        link->door->n_half--;
    }
    if (link->state == LINK_JOINED && state < LINK_GONE) {
        loop_poll_by_change(link->client.poll, false);
    }
    link->state = state;
    list_append(list_of(link, state), &link->of_state);
    count(link, 1);
    if (link->counted && state >= LINK_LEAVING) { /* another one may come in its place */
        link->counted = false;
        forward_give_place(all->shared);
    }
    if (state != LINK_JOINED) {
        stop_pausing(link);
        forwards_arm(all);
    }
}

/* ---- its end ---- */

static void close_now(struct link *link)
{
    side_close(link, &link->client);
    link_move(link, LINK_GONE);
    loop_later_queue(link->door->all->loop, &link->door->all->bury);
}

/* What it still sends would else have the kernel take back what it was told last. */
static void drop_input(struct link *link)
{
    char *scratch = loop_scratch(link->door->all->loop);

    for (int i = 0; i < DROPS_A_TURN; i++) {
        ssize_t n = side_read(link, &link->client, scratch, LOOP_SCRATCH_BYTES);

        if (n == FORWARD_END) {
            close_now(link);
            return;
        }
        if (n == 0) {
            return;
        }
    }
}

/* They hold a descriptor each, and no place. */
static bool leaves_too_many(const struct link *link)
{
    const struct forwards *all = link->door->all;

    return all->n_leaving >=
           all->config->max_forwards / all->config->n_workers + (size_t)FORWARD_REFUSED_AT_ONCE;
}

void link_end(struct link *link, enum metric_forward_end why, const char *words)
{
    char line[2 * LINK_WORDS_SIZE];

    if (link->state >= LINK_LEAVING) {
        return;
    }
    metric_add(&link->door->counts->closed[why], 1);
    link_leave_node(link);
    if (link->state == LINK_SHAKING || why == METRIC_FORWARD_END_CLIENT || leaves_too_many(link)) {
        close_now(link);
        return;
    }
    if (words) {
        int length = snprintf(line, sizeof(line), "-%.*s\r\n", 2 * LINK_WORDS_SIZE - 4, words);

        one_line(line, (size_t)length - 2);
        (void)side_write(link, &link->client, line, (size_t)length);
    }
    side_shut(link, &link->client);
    link->deadline_ms = clock_boot_ms() + LEAVE_MS;
    link_move(link, LINK_LEAVING);
    side_want(&link->client, LOOP_READ);
}

void link_free(struct link *link)
{
    link->door->all->n_refused -= link->is_refused ? 1 : 0;
    free(link->words);
    free(link);
}

/* ---- between nodes ---- */

void link_restart(struct link *link)
{
    if (link->state == LINK_JOINED) { /* its wait begins anew */
        link->deadline_ms = clock_boot_ms() + link->door->all->config->wait_ms;
    }
    link_leave_node(link);
    link_forget_node(link);
    side_want(&link->client, LOOP_END);
    link_move(link, LINK_WAITING);
    loop_later_queue(link->door->all->loop, &link->door->all->route);
}

void link_join(struct link *link)
{
    free(link->reply);
    link->reply = NULL;
    link->failures = 0;
    link->spoken = link->owes = false;
    link_move(link, LINK_JOINED);
    loop_poll_by_change(link->client.poll, !link->client.client_tls);
    link_move_ready(link, &link->client, LOOP_READ); /* who speaks first */
}

/* ---- TLS of its client ---- */

/* @param words NULL: there is nothing to say. */
static void refuse_tls(struct link *link, const char *words)
{
    if (words) {
        forward_complain(link->door->all->shared, METRIC_FORWARD_END_TLS, words);
    }
    link_end(link, METRIC_FORWARD_END_TLS, NULL);
}

/* Its handshake is done: it is one of max-forwards, or one too many. */
static void enter(struct link *link)
{
    const struct forwards *all = link->door->all;

    side_want(&link->client, 0);
    link->deadline_ms = clock_boot_ms() + all->config->wait_ms;
    link_move(link, LINK_WAITING);
    link->counted = forward_take_place(all->shared);
    if (link->counted) {
        link_route(link, clock_boot_ms());
    } else {
        forward_complain(all->shared, METRIC_FORWARD_END_LIMIT, TOO_MANY_HERE);
        link_end(link, METRIC_FORWARD_END_LIMIT, TOO_MANY_TOLD);
    }
}

/* Whoever speaks plain understands no alert. */
static void refuse_plain(struct link *link)
{
    forward_complain(link->door->all->shared, METRIC_FORWARD_END_TLS,
                     "a client speaks plain where TLS is spoken (forward = ...,tls)");
    link_move(link, LINK_WAITING);
    link_end(link, METRIC_FORWARD_END_TLS, "ERR TLS is spoken here, and this is no TLS");
}

/* The first byte tells; until it is there the session has no memory. @return false: not yet. */
static bool begin_tls(struct link *link)
{
    const struct forward_tls *tls = &link->door->all->hooks.tls;
    unsigned char first;
    ssize_t n = recv(link->client.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        side_want(&link->client, LOOP_READ);
    } else if (n <= 0) { /* a health check, perhaps */
        link_end(link, METRIC_FORWARD_END_CLIENT, NULL);
    } else if (first != TLS_HANDSHAKE) {
        refuse_plain(link);
    } else {
        link->client.client_tls = tls->begin(tls->data, link->door->listen, link->client.fd);
        if (!link->client.client_tls) {
            refuse_tls(link, "no certificate can be used (option http-cert)");
        }
    }
    return link->client.client_tls;
}

static void shake(struct link *link)
{
    const struct door *door = link->door;
    const char *words = NULL;
    bool write = false;
    int outcome;

    if (!link->client.client_tls && !begin_tls(link)) {
        return;
    }
    outcome = door->all->hooks.tls.shake(link->client.client_tls, &write, &words);
    if (outcome < 0) {
        refuse_tls(link, words);
    } else if (outcome == 0) {
        side_want(&link->client, write ? LOOP_WRITE : LOOP_READ);
    } else {
        enter(link);
    }
}

/* ---- news and time ---- */

static void give_up(struct link *link)
{
    char words[LINK_WORDS_SIZE];
    enum metric_forward_end why;

    if (link->state == LINK_SHAKING) {
        refuse_tls(link, "a client has not ended its handshake in time (option request-timeout)");
        return;
    }
    why = link_say_why(link, words, sizeof(words));
    if (why == METRIC_FORWARD_END_AUTH) {
        forward_complain(link->door->all->shared, why, words + strcspn(words, " ") + 1);
    }
    link_end(link, why, words);
}

static void review_joined(struct link *link, int64_t now_ms)
{
    const struct snapshot_master *master = link->door->master;
    bool promoted = !link->to_replica && master && master->fence == FENCE_PROMOTING;

    if (link_may_stay(link) && !promoted) {
        link_release_held(link, now_ms, false);
    } else if (!link->spoken && !link->out.bytes) {
        link_restart(link);
    } else {
        link_release_held(link, now_ms, true);
        link_end(link,
                 link->to_replica ? METRIC_FORWARD_END_UNHEALTHY
                 : promoted       ? METRIC_FORWARD_END_PROMOTION
                                  : METRIC_FORWARD_END_SWITCH,
                 NULL);
    }
}

static bool is_done(const struct link *link, int64_t now_ms)
{
    return !link->spoken || (!link->owes && !link->in.bytes && !link->out.bytes &&
                             !link->out.blocked && link->heard_ms <= now_ms - QUIET_MS);
}

void link_drain(struct link *link, int64_t now_ms)
{
    link->heard_ms = now_ms;
    if (is_done(link, now_ms)) {
        link_end(link, METRIC_FORWARD_END_SHUTDOWN, NULL);
    }
}

static void review_waiting(struct link *link, int64_t now_ms)
{
    if (link->door->lacks) {
        give_up(link);
    } else if (link->state == LINK_WAITING) {
        link_route(link, now_ms);
    } else if (!link_may_stay(link)) {
        link_restart(link);
    } else if (link->attempt_ms <= now_ms) {
        link_is_late(link);
    }
    if (link->state < LINK_JOINED) {
        side_want(&link->client, LOOP_END); /* it may leave meanwhile; most don't wait so long */
    }
}

void link_review(struct link *link, int64_t now_ms)
{
    if (link->state == LINK_WAITING && !link_may_stay(link)) {
        link_forget_node(link);
    }
    if (link->state == LINK_LEAVING) {
        if (link->deadline_ms <= now_ms) {
            close_now(link);
        }
    } else if (link->state == LINK_JOINED) {
        review_joined(link, now_ms);
        if (link->is_half &&
            (link->out.bytes || link->out.blocked)) { /* a slow reader, and alive */
            link->deadline_ms = now_ms + link->door->all->config->wait_ms;
        }
        if (link->state == LINK_JOINED && link->is_half && link->deadline_ms <= now_ms) {
            link_end(link, METRIC_FORWARD_END_CLIENT, NULL);
        }
        if (link->door->all->draining && link->state == LINK_JOINED && is_done(link, now_ms)) {
            link_end(link, METRIC_FORWARD_END_SHUTDOWN, NULL);
        }
    } else if (link->deadline_ms <= now_ms) {
        give_up(link);
    } else if (link->state != LINK_SHAKING) {
        review_waiting(link, now_ms);
    }
}

void link_look_for_lost(struct link *link, int64_t since_ms)
{
    bool server = side_is_lost(&link->server, since_ms);

    if (side_is_lost(&link->client, since_ms)) {
        link_end(link, METRIC_FORWARD_END_CLIENT, NULL);
    } else if (server) {
        link_end(link, METRIC_FORWARD_END_SERVER, NULL);
    }
}

/* ---- its beginning ---- */

static void on_client(void *data, int events)
{
    struct link *link = data;

    link->client.more = link->client.more || (events & LOOP_END) != 0;
    switch (link->state) {
    case LINK_SHAKING: shake(link); break;
    case LINK_JOINED: link_move_ready(link, &link->client, events); break;
    case LINK_LEAVING: drop_input(link); break;
    default:
        if (side_is_left(&link->client)) {
            link_end(link, METRIC_FORWARD_END_CLIENT, NULL);
        }
        break;
    }
}

/* @return NULL: the kernel has no memory for it; `fd` is closed. */
static struct link *make(struct door *door, int fd)
{
    struct link *link = mem_new(1, sizeof(*link));

    link->door = door;
    link->server.fd = -1;
    link->client.fd = fd;
    link->client.poll = loop_poll_new(door->all->loop, fd, on_client, link);
    if (!link->client.poll) {
        close(fd);
        free(link);
        return NULL;
    }
    link->state = LINK_WAITING;
    list_append(&door->waiting, &link->of_state);
    count(link, 1);
    link->deadline_ms = clock_boot_ms() + door->all->config->wait_ms;
    return link;
}

static void begin(struct door *door, int fd)
{
    struct link *link = make(door, fd);

    if (link) {
        link->counted = true;
        forwards_arm(door->all);
        link_route(link, clock_boot_ms());
    } else {
        forward_give_place(door->all->shared);
    }
}

static void refuse(struct door *door, int fd)
{
    struct link *link = door->all->n_refused < FORWARD_REFUSED_AT_ONCE ? make(door, fd) : NULL;

    forward_complain(door->all->shared, METRIC_FORWARD_END_LIMIT, TOO_MANY_HERE);
    if (link) {
        link->is_refused = true;
        door->all->n_refused++;
        link_end(link, METRIC_FORWARD_END_LIMIT, TOO_MANY_TOLD);
    } else if (door->all->n_refused >= FORWARD_REFUSED_AT_ONCE) {
        metric_add(&door->counts->closed[METRIC_FORWARD_END_LIMIT], 1);
        close(fd);
    }
}

/* How many handshakes there may be: the places that nobody has, and some more. */
static size_t room(const struct forwards *all)
{
    return forward_free_places(all->shared) / all->config->n_workers +
           (size_t)FORWARD_REFUSED_AT_ONCE;
}

/* It takes no place before it has shown that it speaks TLS; of too many the oldest has to go. */
static void begin_shaking(struct door *door, int fd)
{
    struct forwards *all = door->all;
    struct link *link = make(door, fd);

    if (!link) {
        return;
    }
    link->deadline_ms = clock_boot_ms() + all->config->handshake_timeout_ms;
    link_move(link, LINK_SHAKING);
    shake(link);
    if (all->n_shaking > room(all)) {
        refuse_tls(LIST_OWNER(all->shaking.first, struct link, of_state),
                   "too many hang in their handshakes at once");
    }
}

void link_begin(struct door *door, int fd)
{
    if (door->listen->place.tls) {
        begin_shaking(door, fd);
    } else if (forward_take_place(door->all->shared)) {
        begin(door, fd);
    } else {
        refuse(door, fd);
    }
}
