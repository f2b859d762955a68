/*
 * Asking a Sentinel: questions, when they are put, what is made of the replies.
 *
 * One pacing timer visits the seats in turn. A visit asks GET-MASTER-ADDR-BY-NAME and MASTER in one
 * write (one alone lies while a failover runs) and, where they are due, SENTINELS, REPLICAS and
 * CKQUORUM. The gap between visits is poll-interval / seats, never less than what keeps commands
 * under the ceiling, so with many masters the interval stretches. Where the gap is short a turn of
 * the timer makes several visits, in one write, and the gaps of all of them follow it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "client_internal.h"
#include "text.h"

/* One question on its way: what the callback needs, freed with it. */
struct question {
    struct sentinel_seat *seat; /* NULL: about the Sentinel itself */
    struct sentinel_link *link;
    unsigned generation;
};

/* ---- asking ---- */

struct question *link_question_new(struct sentinel_link *link, struct sentinel_seat *seat)
{
    struct question *question = mem_new(1, sizeof(*question));

    question->link = link;
    question->seat = seat;
    question->generation = link->generation;
    link->in_flight++;
    if (seat) {
        seat->in_flight++;
    }
    return question;
}

static void link_ask_wanted(struct sentinel_link *link);

/*
 * Every reply callback begins here: takes the question apart.
 * @return the link when the reply is to be looked at; NULL when it was lost, is stale, or its seat
 * is gone.
 */
struct sentinel_link *link_question_open(struct question *question, const redisReply *reply,
                                         struct sentinel_seat **seat)
{
    struct sentinel_link *link = question->link;
    struct sentinel_seat *asked = question->seat;
    bool live = reply && !link->freed && question->generation == link->generation;

    free(question);
    link->in_flight--;
    if (asked) {
        asked->in_flight--;
        if (!asked->link) {
            link_release_seat(asked);
            live = false;
        }
    }
    *seat = asked;
    if (live) {
        link_ask_wanted(link);
    }
    return live ? link : NULL;
}

void link_send(struct sentinel_link *link, redis_reply_fn *done, struct question *question,
               int argc, const char **argv)
{
    redis_conn_command(link->ask, done, question, link->config.timeout_ms, argc, argv, NULL);
}

static void send_seat(struct sentinel_link *link, struct sentinel_seat *seat, const char *what,
                      redis_reply_fn *done)
{
    const char *argv[] = {"SENTINEL", what, seat->name};

    link_send(link, done, link_question_new(link, seat), 3, argv);
}

static int error_of(const redisReply *reply)
{
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NO_SUCH_MASTER: return -BW_ENOENT;
    case SENTINEL_ERROR_NOPERM: return -BW_EDENIED;
    default: return -BW_EPROTO;
    }
}

static void keep_words(struct sentinel_seat *seat, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        text_copy(reply->str, reply->len, seat->words, sizeof(seat->words));
    }
}

static void got_address(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    if (!link) {
        return;
    }
    seat->words[0] = '\0';
    seat->answer.address_error = sentinel_parse_address(reply, &seat->answer.address);
    if (seat->answer.address_error != 0 && reply->type == REDIS_REPLY_ERROR) {
        seat->answer.address_error = error_of(reply);
    }
    keep_words(seat, reply);
}

static void link_ask_fast(struct sentinel_link *link, struct sentinel_seat *seat);
static int link_ask_slow(struct sentinel_link *link, struct sentinel_seat *seat, int64_t now_ms);

/* The second half of a pair: the answer is whole. */
static void got_row(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    if (!link) {
        return;
    }
    seat->answer.row_error = sentinel_parse_master(reply, &seat->answer.row);
    if (seat->answer.row_error != 0 && reply->type == REDIS_REPLY_ERROR) {
        seat->answer.row_error = error_of(reply);
    }
    keep_words(seat, reply);
    seat->answer.words = seat->words;
    seat->answered_us = seat->asked_us;
    seat->asking = false;
    seat->in_flight++; /* hold it: the hook may unwatch */
    link_enter(link);
    if (seat->answer.row_error == -BW_EDENIED) {
        (void)link_deny(link, SENTINEL_EXTRA_MASTER, seat->words);
    }
    link->hooks.answer(link->data, link, seat->tag, &seat->answer);
    bool there = link_leave(link);
    seat->in_flight--;
    if (!seat->link) {
        link_release_seat(seat);
    } else if (there && link->up && seat->again) {
        link_ask_fast(link, seat);
        if (seat->slow_wanted) {
            seat->slow_wanted = false;
            (void)link_ask_slow(link, seat, clock_boot_ms());
        }
    }
}

static void link_ask_fast(struct sentinel_link *link, struct sentinel_seat *seat)
{
    seat->asking = true;
    seat->again = false;
    seat->asked_us = clock_boot_us();
    send_seat(link, seat, "GET-MASTER-ADDR-BY-NAME", got_address);
    send_seat(link, seat, "MASTER", got_row);
}

/* A Sentinel that won't say (an ACL, an unknown name) lists nobody: that is an answer, too. */
static void got_peers(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    struct sentinel_peer_row *rows = NULL;
    size_t n = 0;
    if (!link ||
        (sentinel_parse_peers(reply, &rows, &n) != 0 && reply->type != REDIS_REPLY_ERROR)) {
        return;
    }
    link_enter(link);
    link->hooks.peers(link->data, link, seat->tag, rows, n);
    (void)link_leave(link);
    free(rows);
}

static void got_replicas(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    struct sentinel_replica_row *rows;
    size_t n;
    if (!link || sentinel_parse_replicas(reply, &rows, &n) != 0) {
        return;
    }
    link_enter(link);
    link->hooks.replicas(link->data, link, seat->tag, rows, n);
    (void)link_leave(link);
    free(rows);
}

static void got_ckquorum(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    bool ok;
    char text[512];
    if (!link) {
        return;
    }
    if (sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM) {
        (void)link_deny(link, SENTINEL_EXTRA_CKQUORUM, reply->str);
        return;
    }
    if (sentinel_parse_ckquorum(reply, &ok, text, sizeof(text)) != 0) {
        return;
    }
    link_enter(link);
    link->hooks.ckquorum(link->data, link, seat->tag, ok, text);
    (void)link_leave(link);
}

static int64_t link_slow_ms(const struct sentinel_link *link)
{
    /* Keep the slow questions to a quarter of the ceiling. */
    int64_t least = (int64_t)link->n_seats * COMMANDS_SLOW * GAP_PER_COMMAND_US * 4 / 1000;

    return least > SENTINEL_LINK_SLOW_MS ? least : SENTINEL_LINK_SLOW_MS;
}

static int link_ask_slow(struct sentinel_link *link, struct sentinel_seat *seat, int64_t now_ms)
{
    int64_t slow_ms = link_slow_ms(link);

    seat->slow_due_ms = now_ms + slow_ms - (int64_t)jitter_below((uint32_t)(slow_ms / 10));
    send_seat(link, seat, "SENTINELS", got_peers);
    send_seat(link, seat, "REPLICAS", got_replicas);
    if (link->denied & SENTINEL_EXTRA_CKQUORUM) {
        return COMMANDS_SLOW - 1;
    }
    send_seat(link, seat, "CKQUORUM", got_ckquorum);
    return COMMANDS_SLOW;
}

static void got_names(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    struct sentinel_master_row *rows;
    size_t n;
    if (!link) {
        return;
    }
    if (sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM) {
        (void)link_deny(link, SENTINEL_EXTRA_MASTERS, reply->str);
        return;
    }
    if (sentinel_parse_masters(reply, &rows, &n) != 0) {
        return;
    }
    link_enter(link);
    link->hooks.names(link->data, link, rows, n);
    (void)link_leave(link);
    free(rows);
}

static void got_info(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *seat;
    struct sentinel_link *link = link_question_open(data, reply, &seat);
    if (link) {
        (void)sentinel_parse_tilt(reply, &link->tilt);
    }
}

void sentinel_link_ask_names(struct sentinel_link *link)
{
    if (!link->up || (link->denied & SENTINEL_EXTRA_MASTERS)) {
        return;
    }
    const char *argv[] = {"SENTINEL", "MASTERS"};
    link_send(link, got_names, link_question_new(link, NULL), 2, argv);
}

/* @return how many questions it came to. */
static int link_ask_own(struct sentinel_link *link, int64_t now_ms)
{
    const char *info[] = {"INFO", "sentinel"};

    link->own_due_ms = now_ms + SENTINEL_LINK_SLOW_MS;
    link_send(link, got_info, link_question_new(link, NULL), 2, info);
    if (!link->config.discover) {
        return 1;
    }
    sentinel_link_ask_names(link);
    return 2;
}

/* ---- pacing ---- */

int64_t sentinel_link_interval_ms(const struct sentinel_link *link)
{
    /* A round is n visits of COMMANDS_FAST, and slow questions for the share of seats that fall due
     * meanwhile: round = n * fast / (1 - n * slow / slow_ms). */
    int64_t n = (int64_t)link->n_seats;
    int64_t slow_us = link_slow_ms(link) * 1000;
    int64_t round_ms = n * COMMANDS_FAST * GAP_PER_COMMAND_US * link_slow_ms(link) /
                       (slow_us - n * COMMANDS_SLOW * GAP_PER_COMMAND_US);
    int64_t interval_ms =
        round_ms > link->config.poll_interval_ms ? round_ms : link->config.poll_interval_ms;
    return interval_ms + interval_ms / 10;
}

/* Wait for what the visits of this turn are worth. */
static void link_pace(struct sentinel_link *link, int visits, int commands)
{
    int64_t n = link->n_seats > 0 ? (int64_t)link->n_seats : 1;
    int64_t gap_ms = link->config.poll_interval_ms * visits / n;
    uint32_t spread = (uint32_t)(gap_ms / 5);

    gap_ms += spread > 0 ? (int64_t)jitter_below(spread + 1) - spread / 2 : 0;
    int64_t least_ms = ((int64_t)commands * GAP_PER_COMMAND_US + 999) / 1000;
    loop_timer_start(link->pace, gap_ms > least_ms ? gap_ms : least_ms);
}

/* @return how many questions it came to. */
static int visit_seat(struct sentinel_link *link, struct sentinel_seat *seat, int64_t now_ms)
{
    int commands = 0;

    if (!seat->asking) {
        link_ask_fast(link, seat);
        commands = COMMANDS_FAST;
    }
    if (now_ms >= seat->slow_due_ms) {
        commands += link_ask_slow(link, seat, now_ms);
    }
    return commands;
}

void link_visit(void *data)
{
    struct sentinel_link *link = data;
    int64_t now_ms = clock_boot_ms();
    int64_t most =
        link->n_seats > 0 ? TURN_MS * (int64_t)link->n_seats / link->config.poll_interval_ms : 0;
    int visits = 0, commands = 0;

    if (!link->up) {
        return;
    }
    if (now_ms >= link->own_due_ms) {
        commands += link_ask_own(link, now_ms);
    }
    if (link->n_seats > 0) {
        do {
            link->cursor = (link->cursor + 1) % link->n_seats;
            commands += visit_seat(link, link->seats[link->cursor], now_ms);
            visits++;
        } while (visits < most && visits < (int)link->n_seats &&
                 commands + COMMANDS_FAST <= TURN_COMMANDS);
    }
    link_pace(link, visits > 0 ? visits : 1, commands);
}

void link_unwant(struct sentinel_link *link, struct sentinel_seat *seat)
{
    link->n_wanted -= seat->wanted;
    seat->wanted = seat->slow_wanted = false;
}

static void link_ask_seat(struct sentinel_link *link, struct sentinel_seat *seat)
{
    bool slow = seat->slow_wanted;

    link_unwant(link, seat);
    if (seat->asking) {
        /*
         * A burst of events: what it comes to is asked for once, and does not keep back the answer
         * that is awaited.
         */
        seat->again = true;
        seat->slow_wanted = slow;
        return;
    }
    /* Who else is there comes first: else a first answer would look like all there are. */
    if (slow) {
        (void)link_ask_slow(link, seat, clock_boot_ms());
    }
    link_ask_fast(link, seat);
}

/* Those that waited for room, in turn. */
static void link_ask_wanted(struct sentinel_link *link)
{
    while (link->n_wanted > 0 && link->in_flight < IN_FLIGHT_MAX) {
        do {
            link->wanted_at = (link->wanted_at + 1) % link->n_seats;
        } while (!link->seats[link->wanted_at]->wanted);
        link_ask_seat(link, link->seats[link->wanted_at]);
    }
}

static void link_want(struct sentinel_link *link, struct sentinel_seat *seat, bool slow)
{
    if (!link->up) {
        return;
    }
    seat->slow_wanted = seat->slow_wanted || slow;
    link->n_wanted += !seat->wanted;
    seat->wanted = true;
    link_ask_wanted(link);
}

void sentinel_link_ask(struct sentinel_link *link, struct sentinel_seat *seat)
{
    link_want(link, seat, false);
}

void sentinel_link_ask_all(struct sentinel_link *link, struct sentinel_seat *seat)
{
    link_want(link, seat, true);
}

void link_ask_everything(struct sentinel_link *link)
{
    for (size_t i = 0; i < link->n_seats; i++) {
        sentinel_link_ask_all(link, link->seats[i]);
    }
}

void link_begin_rounds(struct sentinel_link *link)
{
    (void)link_ask_own(link, clock_boot_ms());
    if (!link->config.discover) {
        sentinel_link_ask_names(link);
    }
    link_ask_everything(link);
    link_pace(link, 1, COMMANDS_FAST);
}

void link_drop_questions(struct sentinel_link *link)
{
    link->generation++;
    for (size_t i = 0; i < link->n_seats; i++) {
        link_unwant(link, link->seats[i]);
        link->seats[i]->asking = false;
        link->seats[i]->again = false;
        link->seats[i]->slow_wanted = false;
    }
}
