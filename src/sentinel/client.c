/*
 * The link to one Sentinel.
 *
 *   waiting ──► dialling ── HELLO, MYID ──► up
 *      ▲            │ fails                   │ closed, late, refused
 *      └────────────┴─────────────────────────┘   100 ms doubling to 5 s, full jitter
 *
 * While up: one pacing timer visits the seats in turn. A visit asks GET-MASTER-ADDR-BY-NAME and
 * MASTER in one write (one alone lies while a failover runs) and, where they are due, SENTINELS,
 * REPLICAS and CKQUORUM. The gap between visits is poll-interval / seats, never less than what
 * keeps commands under the ceiling, so with many masters the interval stretches and a turn of the
 * timer makes several visits. The listening connection is opened once the asking one is up.
 */
#include "bellwether/sentinel/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "client_internal.h"
#include "text.h"

#define TOO_OLD "too old: needs Redis 6.2 or newer: "

static void link_dial(void *data);

void link_enter(struct sentinel_link *link)
{
    link->depth++;
}

static void link_destroy(struct sentinel_link *link)
{
    free(link->seats);
    free(link);
}

/* Leave a callback; frees the link when a hook asked for it. @return whether it is still there. */
bool link_leave(struct sentinel_link *link)
{
    link->depth--;
    if (!link->freed) {
        return true;
    }
    if (link->depth == 0) {
        link_destroy(link);
    }
    return false;
}

void link_release_seat(struct sentinel_seat *seat)
{
    if (seat->link || seat->in_flight > 0) {
        return;
    }
    free(seat->name);
    free(seat);
}

/* ---- trouble ---- */

int64_t link_backoff_ms(unsigned failures)
{
    int64_t ceiling = BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < failures && ceiling < BACKOFF_LAST_MS; i++) {
        ceiling *= 2;
    }
    if (ceiling > BACKOFF_LAST_MS) {
        ceiling = BACKOFF_LAST_MS;
    }
    /* Full jitter, but never zero: a peer that closes at once must not be hammered. */
    return 10 + (int64_t)jitter_below((uint32_t)ceiling);
}

static void link_hang_up(struct sentinel_link *link)
{
    link_drop_questions(link);
    link->dialling = false;
    link->up = false;
    loop_timer_stop(link->pace);
    loop_timer_stop(link->relisten);
    loop_timer_stop(link->ping);
    redis_conn_close(link->ask);
    redis_conn_close(link->listen);
}

/* The asking connection is of no use: say so, and dial again later. */
void link_fail(struct sentinel_link *link, enum sentinel_trouble trouble, const char *words)
{
    link_hang_up(link);
    link->failures++;
    link->trouble = trouble;
    snprintf(link->words, sizeof(link->words), "%s", words);
    link->words_wall_ms = clock_wall_ms();
    if (link->wanted) {
        loop_timer_start(link->redial, link_backoff_ms(link->failures));
    }
    link_enter(link);
    link->hooks.down(link->data, link);
    (void)link_leave(link);
}

const char *sentinel_extra_text(enum sentinel_extra what)
{
    switch (what) {
    case SENTINEL_EXTRA_PSUBSCRIBE: return "PSUBSCRIBE";
    case SENTINEL_EXTRA_MASTERS: return "SENTINEL MASTERS";
    case SENTINEL_EXTRA_CKQUORUM: return "SENTINEL CKQUORUM";
    case SENTINEL_EXTRA_MYID: return "SENTINEL MYID";
    case SENTINEL_EXTRA_MASTER: return "SENTINEL MASTER";
    }
    return "";
}

/* @return whether the link is still there. */
bool link_deny(struct sentinel_link *link, enum sentinel_extra what, const char *words)
{
    if (link->denied & (unsigned)what) {
        return true;
    }
    link->denied |= (unsigned)what;
    snprintf(link->words, sizeof(link->words), "%s", words);
    link->words_wall_ms = clock_wall_ms();
    link_enter(link);
    link->hooks.denied(link->data, link, what);
    return link_leave(link);
}

/* ---- dialling the asking connection ---- */

/* Whole, behind what it means. */
static void fail_saying(struct sentinel_link *link, enum sentinel_trouble trouble, const char *what,
                        const redisReply *reply)
{
    char words[SENTINEL_LINK_WORDS_SIZE];
    size_t length = (size_t)snprintf(words, sizeof(words), "%s", what);

    text_copy(reply->str, reply->len, words + length, sizeof(words) - length);
    link_fail(link, trouble, words);
}

static void fail_to_identify(struct sentinel_link *link, const redisReply *reply)
{
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NOAUTH: /* a server without HELLO was not given ours */
        if (strncasecmp(link->hello_error, "ERR unknown command", 19) == 0) {
            fail_saying(link, SENTINEL_TROUBLE_TOO_OLD, TOO_OLD, reply);
        } else {
            fail_saying(link, SENTINEL_TROUBLE_AUTH, "it wants a password: ", reply);
        }
        break;
    case SENTINEL_ERROR_UNKNOWN_COMMAND:
        if (strcasestr(reply->str, "subcommand")) {
            fail_saying(link, SENTINEL_TROUBLE_TOO_OLD, TOO_OLD, reply);
        } else {
            fail_saying(link, SENTINEL_TROUBLE_NOT_SENTINEL,
                        "a Redis server and no Sentinel: ", reply);
        }
        break;
    default:
        if (reply->type == REDIS_REPLY_ERROR) {
            fail_saying(link, SENTINEL_TROUBLE_NOT_SENTINEL, "SENTINEL MYID was answered: ", reply);
        } else {
            link_fail(link, SENTINEL_TROUBLE_NOT_SENTINEL,
                      "SENTINEL MYID was answered with no run id");
        }
    }
}

/* Its end tells best: a port, and the part of an IPv6 address that differs. */
static void name_by_address(struct sentinel_link *link)
{
    char text[ADDRESS_TEXT_SIZE];
    size_t length = strlen(address_format(redis_conn_peer(link->ask), text));
    size_t room = sizeof(link->run_id) - 1;

    snprintf(link->run_id, sizeof(link->run_id), "%s", text + (length > room ? length - room : 0));
}

static void got_myid(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    struct sentinel_seat *none;
    struct sentinel_link *link = link_question_open(data, reply, &none);
    if (!link) {
        return;
    }
    char run_id[SENTINEL_RUN_ID_SIZE];
    bool hides_id = sentinel_error_kind(reply) == SENTINEL_ERROR_NOPERM;
    if (!hides_id && sentinel_parse_myid(reply, run_id) != 0) {
        fail_to_identify(link, reply);
        return;
    }
    link->hides_id = link->nameless = hides_id;
    if (hides_id) {
        name_by_address(link);
    } else {
        memcpy(link->run_id, run_id, sizeof(link->run_id));
    }
    link->up = true;
    link->dialling = false;
    link->failures = 0;
    link->trouble = SENTINEL_TROUBLE_NONE;
    link->denied = 0;
    link->local = address_is_loopback(redis_conn_peer(link->ask));
    link_enter(link);
    link->hooks.up(link->data, link);
    if (!link_leave(link) || !link->up) {
        return;
    }
    if (hides_id && (!link_deny(link, SENTINEL_EXTRA_MYID, reply->str) || !link->up)) {
        return;
    }
    link_begin_rounds(link);
    link->listen_failures = 0;
    link_listen(link);
}

/* HELLO may be denied or renamed where the rest is not; some errors are the whole answer.
 * @return whether to go on. */
static bool hear_hello_error(struct sentinel_link *link, const redisReply *hello)
{
    enum sentinel_error kind = sentinel_error_kind(hello);

    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS) {
        char error[256];

        (void)secret_refresh(link->config.password, true, error, sizeof(error));
        fail_saying(link, SENTINEL_TROUBLE_AUTH,
                    kind == SENTINEL_ERROR_NOAUTH ? "it wants a password: "
                                                  : "wrong user or password: ",
                    hello);
        return false;
    }
    if (kind == SENTINEL_ERROR_MAXCLIENTS) {
        fail_saying(link, SENTINEL_TROUBLE_LOST, "it takes no more clients: ", hello);
        return false;
    }
    if (strncmp(hello->str, "DENIED ", 7) == 0) {
        fail_saying(link, SENTINEL_TROUBLE_DENIED, "it refuses connections: ", hello);
        return false;
    }
    text_copy(hello->str, hello->len, link->hello_error, sizeof(link->hello_error));
    return true;
}

static void ask_ready(void *data, const redisReply *hello)
{
    struct sentinel_link *link = data;
    struct sentinel_hello said;

    if (hello->type == REDIS_REPLY_ERROR) {
        if (!hear_hello_error(link, hello)) {
            return;
        }
    } else if (sentinel_parse_hello(hello, &said) != 0) {
        link_fail(link, SENTINEL_TROUBLE_NOT_SENTINEL,
                  "no Sentinel: it does not answer HELLO as Redis does");
        return;
    } else if (strcmp(said.mode, "sentinel") != 0) {
        char words[128];

        snprintf(words, sizeof(words), "a Redis server and no Sentinel: its mode is %.64s",
                 said.mode);
        link_fail(link, SENTINEL_TROUBLE_NOT_SENTINEL, words);
        return;
    }
    const char *argv[] = {"SENTINEL", "MYID"};
    link_send(link, got_myid, link_question_new(link, NULL), 2, argv);
}

static void ask_closed(void *data, enum redis_fail why, const char *words)
{
    struct sentinel_link *link = data;
    enum sentinel_trouble trouble = why == REDIS_FAIL_PROTOCOL ? SENTINEL_TROUBLE_NOT_SENTINEL
                                    : why == REDIS_FAIL_TLS    ? SENTINEL_TROUBLE_TLS
                                                               : SENTINEL_TROUBLE_LOST;
    /* What it said right before it closed is why it did. */
    const char *said = link->up ? "" : link->hello_error;
    char text[SENTINEL_LINK_WORDS_SIZE + 256];

    snprintf(text, sizeof(text), "%s%s%s%s%.160s", said, *said != '\0' ? "; " : "",
             redis_fail_text(why), *words != '\0' ? ": " : "", words);
    link_fail(link, trouble, text);
}

static void link_dial(void *data)
{
    struct sentinel_link *link = data;

    if (!link->wanted || link->up || link->dialling) {
        return;
    }
    link->dialling = true;
    link->hello_error[0] = '\0';
    link->generation++;
    redis_conn_open(link->ask, &link->config.address, link->config.username,
                    secret_value(link->config.password), link->config.timeout_ms);
}

/* ---- life ---- */

struct sentinel_link *sentinel_link_new(struct loop *loop,
                                        const struct sentinel_link_config *config,
                                        const struct sentinel_link_hooks *hooks, void *data)
{
    static const struct redis_conn_hooks ask_hooks = {.ready = ask_ready, .closed = ask_closed};
    struct sentinel_link *link = mem_new(1, sizeof(*link));

    link->loop = loop;
    link->config = *config;
    link->hooks = *hooks;
    link->data = data;
    link->ask = redis_conn_new(loop, &ask_hooks, link);
    redis_conn_look_for_tls(link->ask);
    redis_conn_group(link->ask, config->group);
    link->listen = redis_conn_new(loop, link_listen_hooks(), link);
    link->redial = loop_timer_new(loop, link_dial, link);
    link->pace = loop_timer_new(loop, link_visit, link);
    link->relisten = loop_timer_new(loop, link_listen, link);
    link->ping = loop_timer_new(loop, link_ping, link);
    return link;
}

void sentinel_link_free(struct sentinel_link *link)
{
    if (!link) {
        return;
    }
    link->freed = true;
    link->up = false;
    link->wanted = false;
    redis_conn_free(link->ask); /* completes its questions: they see `freed` */
    redis_conn_free(link->listen);
    loop_timer_free(link->redial);
    loop_timer_free(link->pace);
    loop_timer_free(link->relisten);
    loop_timer_free(link->ping);
    while (link->n_seats > 0) {
        sentinel_link_unwatch(link, link->seats[link->n_seats - 1]);
    }
    if (link->depth == 0) {
        link_destroy(link);
    }
}

void sentinel_link_start(struct sentinel_link *link)
{
    link->wanted = true;
    if (!link->up && !link->dialling) {
        loop_timer_start(link->redial, 0);
    }
}

void sentinel_link_pause(struct sentinel_link *link)
{
    link->wanted = false;
    loop_timer_stop(link->redial);
    link_hang_up(link);
}

void sentinel_link_redirect(struct sentinel_link *link, const struct address *address)
{
    link->config.address = *address;
}

void sentinel_link_void(struct sentinel_link *link)
{
    if (!link->up) {
        return;
    }
    link_drop_questions(link);
    sentinel_link_ask_names(link);
    link_ask_everything(link);
}

struct sentinel_seat *sentinel_link_watch(struct sentinel_link *link, const char *name, void *tag)
{
    struct sentinel_seat *seat = mem_new(1, sizeof(*seat));

    seat->link = link;
    seat->name = mem_strdup(name);
    seat->tag = tag;
    link->seats = mem_resize(link->seats, link->n_seats + 1, sizeof(*link->seats));
    link->seats[link->n_seats++] = seat;
    if (link->up) {
        sentinel_link_ask_all(link, seat);
    }
    return seat;
}

void sentinel_link_unwatch(struct sentinel_link *link, struct sentinel_seat *seat)
{
    for (size_t i = 0; i < link->n_seats; i++) {
        if (link->seats[i] != seat) {
            continue;
        }
        link->seats[i] = link->seats[--link->n_seats];
        break;
    }
    link_unwant(link, seat);
    seat->link = NULL;
    link_release_seat(seat);
}

bool sentinel_link_is_up(const struct sentinel_link *link)
{
    return link->up;
}
bool sentinel_link_listens(const struct sentinel_link *link)
{
    return link->up && redis_conn_is_ready(link->listen);
}
const struct address *sentinel_link_address(const struct sentinel_link *link)
{
    return &link->config.address;
}
const struct address *sentinel_link_peer(const struct sentinel_link *link)
{
    return redis_conn_peer(link->ask);
}
bool sentinel_link_is_local(const struct sentinel_link *link)
{
    return link->local;
}
const char *sentinel_link_run_id(const struct sentinel_link *link)
{
    return link->run_id;
}
bool sentinel_link_hides_id(const struct sentinel_link *link)
{
    return link->hides_id;
}
bool sentinel_link_is_nameless(const struct sentinel_link *link)
{
    return link->nameless;
}

void sentinel_link_name(struct sentinel_link *link, const char *run_id)
{
    snprintf(link->run_id, sizeof(link->run_id), "%s", run_id);
    link->nameless = false;
}

bool sentinel_link_tilt(const struct sentinel_link *link)
{
    return link->tilt;
}
enum sentinel_trouble sentinel_link_trouble(const struct sentinel_link *link)
{
    return link->trouble;
}
unsigned sentinel_link_failures(const struct sentinel_link *link)
{
    return link->failures;
}
unsigned sentinel_link_denied_extras(const struct sentinel_link *link)
{
    return link->denied;
}

const char *sentinel_link_words(const struct sentinel_link *link, int64_t *wall_ms)
{
    *wall_ms = link->words_wall_ms;
    return link->words;
}

int64_t sentinel_seat_answered_us(const struct sentinel_seat *seat)
{
    return seat->answered_us;
}
