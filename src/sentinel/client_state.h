/*
 * The client to one Sentinel as its files share it: client.c (its life, dialling, trouble),
 * client_poll.c (questions, when they are put, what is made of the replies), client_subscribe.c
 * (the connection that only listens). All stand on client_state.c.
 */
#ifndef BELLWETHER_SENTINEL_CLIENT_STATE_H
#define BELLWETHER_SENTINEL_CLIENT_STATE_H

#include "bellwether/sentinel/client.h"

struct monitored_master {
    struct sentinel_client *client; /* NULL once unwatched: freed with its last question */
    char *name;
    void *tag;
    /* Boot clock, microseconds: of the question on its way, and of the last one answered. */
    int64_t asked_us, answered_us;
    unsigned in_flight;       /* replies that still refer to this monitored master */
    bool asking, again;       /* its address is asked for; once more, when that is answered */
    bool wanted, slow_wanted; /* it is asked when there is room; for all, too */
    int64_t slow_due_ms, replicas_due_ms; /* the second: for its replicas alone; 0: not before */
    struct sentinel_answer answer;        /* the half that has come */
    char words[512];
};

enum client_state {
    CLIENT_PAUSED,   /* nothing is dialled until sentinel_client_start() */
    CLIENT_WAITING,  /* for its timer to dial */
    CLIENT_DIALLING, /* the asking connection, until the Sentinel has said who it is */
    CLIENT_UP,
    CLIENT_FREED, /* but hooks are still on the stack */
};

/* Whose word the run id is. */
enum client_identity {
    CLIENT_BY_ITSELF,  /* its own; also before it said so */
    CLIENT_BY_ADDRESS, /* nobody's: its ACL denies MYID, so its address stands for it */
    CLIENT_BY_OTHERS,  /* theirs: its ACL denies MYID */
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
    enum client_identity identity; /* client_identify() */
    char run_id[SENTINEL_RUN_ID_SIZE];
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

/** Around every hook: the object stays until the last one on the stack returns. */
void client_enter(struct sentinel_client *client);
/** Frees it when a hook asked for that. @return whether the client is still there. */
bool client_leave(struct sentinel_client *client);
/** Free it if it is unwatched and no question about it is on its way. */
void client_release_monitored_master(struct monitored_master *monitored);
/** What it said last, and when. */
void client_keep_words(struct sentinel_client *client, const char *words);
/**
 * An ACL denies something that can be done without: say so once a connection.
 * @param words  the error reply's.
 * @return whether the client is still there.
 */
bool client_deny(struct sentinel_client *client, enum sentinel_extra what, const char *words);
/** How long to wait after so many failures in a row. */
int64_t client_backoff_ms(unsigned failures);

#endif
