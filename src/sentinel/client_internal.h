/*
 * The client to one Sentinel from inside:
 *
 *   client_hooks.c      around the owner's hooks
 *   client_poll.c       questions, when they are put, what is made of the replies
 *   client_subscribe.c  the connection that only listens
 *   client.c            life, dialling, trouble: the only one that moves the state
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
    TURN_COMMANDS = 10, /* ... so many questions at most, or one monitored master's */
    COMMANDS_FAST = 2,  /* a visit's address question */
    COMMANDS_SLOW = 3,  /* what is added to it every SENTINEL_LINK_SLOW_MS */
    /*
     * Questions that are on their way: however many monitored masters are to be asked at once, each
     * has to be answered in time.
     */
    IN_FLIGHT_MAX = 1000,
};

struct monitored_master {
    struct sentinel_client *client; /* NULL once unwatched: freed with its last question */
    char *name;
    void *tag;
    int64_t asked_us,
        /*
         * boot clock, microseconds: of the question on its way; of the last one that was answered
         */
        answered_us;
    unsigned in_flight; /* replies that still refer to this monitored master */
    bool asking, again;
    bool wanted, slow_wanted; /* it is asked when there is room; for all, too */
    int64_t slow_due_ms;
    struct sentinel_answer answer; /* the half that has come */
    char words[512];
};

enum client_state {
    CLIENT_PAUSED,   /* nothing is dialled until sentinel_client_start() */
    CLIENT_WAITING,  /* for its timer to dial */
    CLIENT_DIALLING, /* the asking connection, until the Sentinel has said who it is */
    CLIENT_UP,
    CLIENT_FREED, /* but hooks are still on the stack */
};

struct sentinel_client {
    struct loop *loop;
    struct sentinel_client_hooks hooks;
    void *data;
    struct sentinel_client_config config;
    struct redis_conn *ask, *listen;
    struct loop_timer *redial, *pace, *relisten, *ping;
    enum client_state state; /* client_move() */
    unsigned depth;          /* hooks on the stack: the object stays until they return */
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
    struct monitored_master **monitored_masters;
    size_t n_monitored_masters, cursor;
    size_t in_flight;           /* questions that are not answered */
    size_t n_wanted, wanted_at; /* monitored masters that wait for room */
    int64_t own_due_ms;         /* INFO and MASTERS */
};

/* client_hooks.c */
/* Around every hook: the object stays until the last one on the stack returns. */
void client_enter(struct sentinel_client *client);
/* Frees it when a hook asked for that. @return whether the client is still there. */
bool client_leave(struct sentinel_client *client);
void client_release_monitored_master(struct monitored_master *monitored);
/*
 * An ACL denies something that can be done without: say so once a connection. @param reply its
 * words.
 */
bool client_deny(struct sentinel_client *client, enum sentinel_extra what, const char *words);

/* client_poll.c */
struct question;
struct question *client_question_new(struct sentinel_client *client,
                                     struct monitored_master *monitored);
/*
 * What every reply callback begins with. @return the client when the reply is to be looked at, else
 * NULL.
 */
struct sentinel_client *client_question_open(struct question *question, const redisReply *reply,
                                             struct monitored_master **monitored);
void client_send(struct sentinel_client *client, redis_reply_fn *done, struct question *question,
                 int argc, const char **argv);
/* it need not be asked any more */
void client_unwant(struct sentinel_client *client, struct monitored_master *monitored);
void client_ask_everything(struct sentinel_client *client);
/* Begin the steady rounds; `data` is the client. */
void client_begin_rounds(struct sentinel_client *client);
void client_visit(void *data);
/* Steady questions hold nothing in flight any more. */
void client_drop_questions(struct sentinel_client *client);

/* client_subscribe.c */
int64_t client_backoff_ms(unsigned failures);
void client_listen(void *data);
void client_ping(void *data);
const struct redis_conn_hooks *client_listen_hooks(void);

#endif
