/*
 * The link to one Sentinel from inside:
 *
 *   client.c         life, dialling, trouble
 *   client_poll.c     questions, when they are put, what is made of the replies
 *   client_subscribe.c  the connection that only listens
 */
#ifndef BELLWETHER_SENTINEL_CLIENT_INTERNAL_H
#define BELLWETHER_SENTINEL_CLIENT_INTERNAL_H

#include "bellwether/sentinel/client.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_LAST_MS = 5000,
    /*
     * A tenth more than the ceiling asks for: what a turn of the pacing timer puts at once must fit
     * under it, too.
     */
    GAP_PER_COMMAND_US = 1100000 / SENTINEL_LINK_QUESTIONS_PER_SECOND,
    TURN_MS = 50,       /* what would be asked in that time is asked in one turn, ... */
    TURN_COMMANDS = 10, /* ... so many questions at most, or one seat's */
    COMMANDS_FAST = 2,  /* a visit's address question */
    COMMANDS_SLOW = 3,  /* what is added to it every SENTINEL_LINK_SLOW_MS */
    /*
     * Questions that are on their way: however many seats are to be asked at once, each has to be
     * answered in time.
     */
    IN_FLIGHT_MAX = 1000,
};

struct sentinel_seat {
    struct sentinel_link *link; /* NULL once unwatched: freed with its last question */
    char *name;
    void *tag;
    int64_t asked_us,
        /*
         * boot clock, microseconds: of the question on its way; of the last one that was answered
         */
        answered_us;
    unsigned in_flight; /* replies that still refer to this seat */
    bool asking, again;
    bool wanted, slow_wanted; /* it is asked when there is room; for all, too */
    int64_t slow_due_ms;
    struct sentinel_answer answer; /* the half that has come */
    char words[512];
};

struct sentinel_link {
    struct loop *loop;
    struct sentinel_link_hooks hooks;
    void *data;
    struct sentinel_link_config config;
    struct redis_conn *ask, *listen;
    struct loop_timer *redial, *pace, *relisten, *ping;
    bool wanted, up, freed, dialling;
    unsigned depth; /* hooks on the stack: the object stays until they return */
    unsigned failures, listen_failures;
    unsigned generation; /* grows with every connection and every void: older answers are dropped */
    char run_id[SENTINEL_RUN_ID_SIZE];
    bool hides_id, nameless;
    bool local, tilt;
    enum sentinel_trouble trouble;
    /* what HELLO was answered on this connection, "" no error */
    char hello_error[SENTINEL_LINK_WORDS_SIZE];
    char words[SENTINEL_LINK_WORDS_SIZE];
    int64_t words_wall_ms;
    unsigned denied;
    struct sentinel_seat **seats;
    size_t n_seats, cursor;
    size_t in_flight;           /* questions that are not answered */
    size_t n_wanted, wanted_at; /* seats that wait for room */
    int64_t own_due_ms;         /* INFO and MASTERS */
};

/* client.c */
/* Around every hook: the object stays until the last one on the stack returns. */
void link_enter(struct sentinel_link *link);
/* @return whether the link is still there. */
bool link_leave(struct sentinel_link *link);
void link_release_seat(struct sentinel_seat *seat);
int64_t link_backoff_ms(unsigned failures);
/* The asking connection is of no use: say so, and dial again later. */
void link_fail(struct sentinel_link *link, enum sentinel_trouble trouble, const char *words);
/*
 * An ACL denies something that can be done without: say so once a connection. @param reply its
 * words.
 */
bool link_deny(struct sentinel_link *link, enum sentinel_extra what, const char *words);

/* client_poll.c */
struct question;
struct question *link_question_new(struct sentinel_link *link, struct sentinel_seat *seat);
/*
 * What every reply callback begins with. @return the link when the reply is to be looked at, else
 * NULL.
 */
struct sentinel_link *link_question_open(struct question *question, const redisReply *reply,
                                         struct sentinel_seat **seat);
void link_send(struct sentinel_link *link, redis_reply_fn *done, struct question *question,
               int argc, const char **argv);
/* it need not be asked any more */
void link_unwant(struct sentinel_link *link, struct sentinel_seat *seat);
void link_ask_everything(struct sentinel_link *link);
/* Begin the steady rounds; `data` is the link. */
void link_begin_rounds(struct sentinel_link *link);
void link_visit(void *data);
/* Steady questions hold nothing in flight any more. */
void link_drop_questions(struct sentinel_link *link);

/* client_subscribe.c */
void link_listen(void *data);
void link_ping(void *data);
const struct redis_conn_hooks *link_listen_hooks(void);

#endif
