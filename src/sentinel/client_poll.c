/*
 * Asking a Sentinel: questions, when they are put, what is made of the replies.
 *
 * One pacing timer visits the monitored masters in turn. A visit asks GET-MASTER-ADDR-BY-NAME and
 * MASTER in one write (one alone lies while a failover runs) and, where they are due, SENTINELS,
 * REPLICAS and CKQUORUM; REPLICAS more often while one is unwell of whose recovery no event tells.
 * The gap between visits is poll-interval / monitored masters, never less than what keeps commands
 * under the ceiling, so with many masters the interval stretches. Where the gap is short a turn of
 * the timer makes several visits, in one write, and the gaps of all of them follow it.
 */
#include "client_poll.h"

#include <stdlib.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/reply_fields.h"

enum {
    /*
     * A tenth more than the ceiling asks for: what a turn of the pacing timer puts at once must fit
     * under it, too.
     */
    GAP_PER_COMMAND_US = 1100000 / SENTINEL_LINK_QUESTIONS_PER_SECOND,
    TURN_MS = 50,        /* what would be asked in that time is asked in one turn, ... */
    TURN_COMMANDS = 10,  /* ... so many questions at most, or one monitored master's */
    COMMANDS_FAST = 2,   /* a visit's address question */
    COMMANDS_SLOW = 3,   /* what is added to it every SENTINEL_LINK_SLOW_MS */
    UNWELL_OFTENER = 10, /* REPLICAS, while one of them is unwell */
    /*
     * Questions that are on their way: however many monitored masters are to be asked at once, each
     * has to be answered in time.
     */
    IN_FLIGHT_MAX = 1000,
};

/* One question on its way: what the callback needs, freed with it. */
struct question {
    struct monitored_master *monitored; /* NULL: about the Sentinel itself */
    struct sentinel_client *client;
    unsigned generation;
};

/* ---- asking ---- */

void client_send(struct sentinel_client *client, struct monitored_master *monitored,
                 redis_reply_fn *done, int argc, const char **argv)
{
    struct question *question = mem_new(1, sizeof(*question));

    *question = (struct question){monitored, client, client->generation};
    client->in_flight++;
    if (monitored) {
        monitored->in_flight++;
    }
    redis_conn_command(client->ask, done, question, client->config.timeout_ms, argc, argv, NULL);
}

static void client_ask_wanted(struct sentinel_client *client);

struct sentinel_client *client_take_question(struct question *question, const redisReply *reply,
                                             struct monitored_master **monitored)
{
    struct sentinel_client *client = question->client;
    struct monitored_master *asked = question->monitored;
    bool live =
        reply && client->state != CLIENT_FREED && question->generation == client->generation;

    free(question);
    client->in_flight--;
    if (asked) {
        asked->in_flight--;
        if (!asked->client) {
            client_release_monitored_master(asked);
            live = false;
        }
    }
    if (monitored) {
        *monitored = asked;
    }
    if (live) {
        client_ask_wanted(client);
    }
    return live ? client : NULL;
}

static void send_monitored_master(struct sentinel_client *client,
                                  struct monitored_master *monitored, const char *what,
                                  redis_reply_fn *done)
{
    const char *argv[] = {"SENTINEL", what, monitored->name};

    client_send(client, monitored, done, 3, argv);
}

/* An error reply (an ACL, an unknown name) is an answer, too: the Sentinel lists nobody. */
static void got_peers(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct monitored_master *monitored;
    struct sentinel_client *client = client_take_question(data, reply, &monitored);
    struct sentinel_peer_row *rows = NULL;
    size_t n = 0;
    if (!client ||
        (sentinel_parse_peers(reply, &rows, &n) != 0 && reply->type != REDIS_REPLY_ERROR)) {
        return;
    }
    client_enter(client);
    client->hooks.sentinels(client->data, client, monitored->tag, rows, n);
    (void)client_leave(client);
    free(rows);
}

static int64_t client_slow_ms(const struct sentinel_client *client)
{
    /* Keep the slow questions to a quarter of the ceiling. */
    int64_t least =
        (int64_t)client->n_monitored_masters * COMMANDS_SLOW * GAP_PER_COMMAND_US * 4 / 1000;

    return least > SENTINEL_LINK_SLOW_MS ? least : SENTINEL_LINK_SLOW_MS;
}

/* Not down, which events tell of, and yet not to be sent anybody. */
static bool is_unwell(const struct sentinel_replica_row *row)
{
    return !(row->flags & SENTINEL_S_DOWN) &&
           ((row->flags & SENTINEL_DISCONNECTED) || !row->link_up);
}

static void got_replicas(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct monitored_master *monitored;
    struct sentinel_client *client = client_take_question(data, reply, &monitored);
    struct sentinel_replica_row *rows;
    size_t n;
    if (!client || sentinel_parse_replicas(reply, &rows, &n) != 0) {
        return;
    }
    for (size_t i = 0; i < n && monitored->replicas_due_ms == 0; i++) {
        if (is_unwell(&rows[i])) {
            monitored->replicas_due_ms = clock_boot_ms() + client_slow_ms(client) / UNWELL_OFTENER;
        }
    }
    client_enter(client);
    client->hooks.replicas(client->data, client, monitored->tag, rows, n);
    (void)client_leave(client);
    free(rows);
}

static void got_ckquorum(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct monitored_master *monitored;
    struct sentinel_client *client = client_take_question(data, reply, &monitored);
    bool ok;
    char text[512];
    if (!client) {
        return;
    }
    if (sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM) {
        (void)client_deny(client, SENTINEL_EXTRA_CKQUORUM, reply->str);
        return;
    }
    if (sentinel_parse_ckquorum(reply, &ok, text, sizeof(text)) != 0) {
        return;
    }
    client_enter(client);
    client->hooks.ckquorum(client->data, client, monitored->tag, ok, text);
    (void)client_leave(client);
}

static int client_ask_slow(struct sentinel_client *client, struct monitored_master *monitored,
                           int64_t now_ms)
{
    int64_t slow_ms = client_slow_ms(client);

    monitored->slow_due_ms = now_ms + jittered_ms(slow_ms, 10);
    monitored->replicas_due_ms = 0;
    send_monitored_master(client, monitored, "SENTINELS", got_peers);
    send_monitored_master(client, monitored, "REPLICAS", got_replicas);
    if (client->denied & SENTINEL_EXTRA_CKQUORUM) {
        return COMMANDS_SLOW - 1;
    }
    send_monitored_master(client, monitored, "CKQUORUM", got_ckquorum);
    return COMMANDS_SLOW;
}

/* What a reply came to: its words are kept where it is an error, else it is as the parser says. */
static int outcome_of(struct monitored_master *monitored, const redisReply *reply, int parsed)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return parsed;
    }
    text_copy(reply->str, reply->len, monitored->words, sizeof(monitored->words));
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NO_SUCH_MASTER: return -BW_ENOENT;
    case SENTINEL_ERROR_NOPERM: return -BW_EDENIED;
    default: return -BW_EPROTO;
    }
}

static void got_address(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct monitored_master *monitored;
    struct sentinel_client *client = client_take_question(data, reply, &monitored);
    if (!client) {
        return;
    }
    monitored->words[0] = '\0';
    monitored->answer.address_error =
        outcome_of(monitored, reply, sentinel_parse_address(reply, &monitored->answer.address));
}

static void client_ask_fast(struct sentinel_client *client, struct monitored_master *monitored);

/* The second half of a pair: the answer is whole. */
static void got_row(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct monitored_master *monitored;
    struct sentinel_client *client = client_take_question(data, reply, &monitored);
    if (!client) {
        return;
    }
    monitored->answer.row_error =
        outcome_of(monitored, reply, sentinel_parse_master(reply, &monitored->answer.row));
    monitored->answer.words = monitored->words;
    monitored->answered_us = monitored->asked_us;
    monitored->asking = false;
    monitored->in_flight++; /* hold it: the hook may unwatch */
    client_enter(client);
    if (monitored->answer.row_error == -BW_EDENIED) {
        (void)client_deny(client, SENTINEL_EXTRA_MASTER, monitored->words);
    }
    client->hooks.answer(client->data, client, monitored->tag, &monitored->answer);
    bool there = client_leave(client);
    monitored->in_flight--;
    if (!monitored->client) {
        client_release_monitored_master(monitored);
    } else if (there && client->state == CLIENT_UP && monitored->again) {
        client_ask_fast(client, monitored);
        if (monitored->slow_wanted) {
            monitored->slow_wanted = false;
            (void)client_ask_slow(client, monitored, clock_boot_ms());
        }
    }
}

static void client_ask_fast(struct sentinel_client *client, struct monitored_master *monitored)
{
    monitored->asking = true;
    monitored->again = false;
    monitored->asked_us = clock_boot_us();
    send_monitored_master(client, monitored, "GET-MASTER-ADDR-BY-NAME", got_address);
    send_monitored_master(client, monitored, "MASTER", got_row);
}

static void got_names(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_client *client = client_take_question(data, reply, NULL);
    struct sentinel_master_row *rows;
    size_t n;
    if (!client) {
        return;
    }
    if (sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM) {
        (void)client_deny(client, SENTINEL_EXTRA_MASTERS, reply->str);
        return;
    }
    if (sentinel_parse_masters(reply, &rows, &n) != 0) {
        return;
    }
    client_enter(client);
    client->hooks.names(client->data, client, rows, n);
    (void)client_leave(client);
    free(rows);
}

static void got_info(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_client *client = client_take_question(data, reply, NULL);
    if (client) {
        (void)sentinel_parse_tilt(reply, &client->tilt);
    }
}

void sentinel_client_ask_names(struct sentinel_client *client)
{
    if (client->state != CLIENT_UP || (client->denied & SENTINEL_EXTRA_MASTERS)) {
        return;
    }
    const char *argv[] = {"SENTINEL", "MASTERS"};
    client_send(client, NULL, got_names, 2, argv);
}

/* @return how many questions it came to. */
static int client_ask_own(struct sentinel_client *client, int64_t now_ms)
{
    const char *info[] = {"INFO", "sentinel"};

    client->own_due_ms = now_ms + SENTINEL_LINK_SLOW_MS;
    client_send(client, NULL, got_info, 2, info);
    if (!client->config.discover) {
        return 1;
    }
    sentinel_client_ask_names(client);
    return 2;
}

/* ---- pacing ---- */

int64_t sentinel_client_interval_ms(const struct sentinel_client *client)
{
    /*
     * A round is n visits of COMMANDS_FAST, and slow questions for the share of monitored masters
     * that fall due meanwhile: round = n * fast / (1 - n * slow / slow_ms).
     */
    int64_t n = (int64_t)client->n_monitored_masters;
    int64_t slow_us = client_slow_ms(client) * 1000;
    int64_t round_ms = n * COMMANDS_FAST * GAP_PER_COMMAND_US * client_slow_ms(client) /
                       (slow_us - n * COMMANDS_SLOW * GAP_PER_COMMAND_US);
    int64_t interval_ms =
        round_ms > client->config.poll_interval_ms ? round_ms : client->config.poll_interval_ms;
    return interval_ms + interval_ms / 10;
}

/* Wait for what the visits of this turn are worth. */
static void client_pace(struct sentinel_client *client, int visits, int commands)
{
    int64_t n = client->n_monitored_masters > 0 ? (int64_t)client->n_monitored_masters : 1;
    int64_t gap_ms = client->config.poll_interval_ms * visits / n;
    uint32_t spread = (uint32_t)(gap_ms / 5);

    gap_ms += spread > 0 ? (int64_t)jitter_below(spread + 1) - spread / 2 : 0;
    int64_t least_ms = ((int64_t)commands * GAP_PER_COMMAND_US + 999) / 1000;
    loop_timer_start(client->pace, gap_ms > least_ms ? gap_ms : least_ms);
}

/* @return how many questions it came to. */
static int visit_monitored_master(struct sentinel_client *client,
                                  struct monitored_master *monitored, int64_t now_ms)
{
    int commands = 0;

    if (!monitored->asking) {
        client_ask_fast(client, monitored);
        commands = COMMANDS_FAST;
    }
    if (now_ms >= monitored->slow_due_ms) {
        commands += client_ask_slow(client, monitored, now_ms);
    } else if (monitored->replicas_due_ms != 0 && now_ms >= monitored->replicas_due_ms) {
        monitored->replicas_due_ms = 0;
        send_monitored_master(client, monitored, "REPLICAS", got_replicas);
        commands++;
    }
    return commands;
}

void client_visit(void *data)
{
    struct sentinel_client *client = data;
    int64_t now_ms = clock_boot_ms();
    int64_t most =
        client->n_monitored_masters > 0
            ? TURN_MS * (int64_t)client->n_monitored_masters / client->config.poll_interval_ms
            : 0;
    int visits = 0, commands = 0;

    if (client->state != CLIENT_UP) {
        return;
    }
    if (now_ms >= client->own_due_ms) {
        commands += client_ask_own(client, now_ms);
    }
    if (client->n_monitored_masters > 0) {
        do {
            client->cursor = (client->cursor + 1) % client->n_monitored_masters;
            commands +=
                visit_monitored_master(client, client->monitored_masters[client->cursor], now_ms);
            visits++;
        } while (visits < most && visits < (int)client->n_monitored_masters &&
                 commands + COMMANDS_FAST <= TURN_COMMANDS);
    }
    client_pace(client, visits > 0 ? visits : 1, commands);
}

void client_unwant(struct sentinel_client *client, struct monitored_master *monitored)
{
    client->n_wanted -= monitored->wanted;
    monitored->wanted = monitored->slow_wanted = false;
}

static void client_ask_monitored_master(struct sentinel_client *client,
                                        struct monitored_master *monitored)
{
    bool slow = monitored->slow_wanted;

    client_unwant(client, monitored);
    if (monitored->asking) {
        /*
         * A burst of events is followed by one more question, and does not void the answer that is
         * awaited.
         */
        monitored->again = true;
        monitored->slow_wanted = slow;
        return;
    }
    /* Who else is there is asked first: else a first answer would look like all there are. */
    if (slow) {
        (void)client_ask_slow(client, monitored, clock_boot_ms());
    }
    client_ask_fast(client, monitored);
}

/* Ask for those that waited for room, in turn. */
static void client_ask_wanted(struct sentinel_client *client)
{
    while (client->n_wanted > 0 && client->in_flight < IN_FLIGHT_MAX) {
        do {
            client->wanted_at = (client->wanted_at + 1) % client->n_monitored_masters;
        } while (!client->monitored_masters[client->wanted_at]->wanted);
        client_ask_monitored_master(client, client->monitored_masters[client->wanted_at]);
    }
}

static void client_want(struct sentinel_client *client, struct monitored_master *monitored,
                        bool slow)
{
    if (client->state != CLIENT_UP) {
        return;
    }
    monitored->slow_wanted = monitored->slow_wanted || slow;
    client->n_wanted += !monitored->wanted;
    monitored->wanted = true;
    client_ask_wanted(client);
}

void sentinel_client_ask(struct sentinel_client *client, struct monitored_master *monitored)
{
    client_want(client, monitored, false);
}

void sentinel_client_ask_all(struct sentinel_client *client, struct monitored_master *monitored)
{
    client_want(client, monitored, true);
}

void client_ask_everything(struct sentinel_client *client)
{
    for (size_t i = 0; i < client->n_monitored_masters; i++) {
        sentinel_client_ask_all(client, client->monitored_masters[i]);
    }
}

void client_begin_rounds(struct sentinel_client *client)
{
    (void)client_ask_own(client, clock_boot_ms());
    if (!client->config.discover) {
        sentinel_client_ask_names(client);
    }
    client_ask_everything(client);
    client_pace(client, 1, COMMANDS_FAST);
}

void client_drop_questions(struct sentinel_client *client)
{
    client->generation++;
    for (size_t i = 0; i < client->n_monitored_masters; i++) {
        client_unwant(client, client->monitored_masters[i]);
        client->monitored_masters[i]->asking = false;
        client->monitored_masters[i]->again = false;
        client->monitored_masters[i]->slow_wanted = false;
    }
}
