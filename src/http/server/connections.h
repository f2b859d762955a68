/*
 * Callers' connections from accept() to close(). One that has not spoken stands outside
 * libmicrohttpd (silent.c); with a whole head of a request, or with bytes that libmicrohttpd has to
 * judge, it takes a place (connections.c) and is handed over. Listening sockets are acceptor.c's.
 */
#ifndef BELLWETHER_HTTP_SERVER_CONNECTIONS_H
#define BELLWETHER_HTTP_SERVER_CONNECTIONS_H

#include "client_places.h"
#include "parts.h"
#include "peek.h"
#include "problem.h"

enum http_conn_state {
    VISITOR_SILENT,  /* outside: no whole head yet */
    VISITOR_LEAVING, /* outside: told why it is refused; what it still sends is dropped */
    VISITOR_IDLE,    /* between requests */
    VISITOR_READING, /* in a request that is not all there */
    VISITOR_BUSY,    /* in one that is, until its answer has left */
    VISITOR_WAITING, /* in one that is, and that sleeps: no answer is on its way */
};

enum http_conn_place { PLACE_NONE, PLACE_ORDINARY, PLACE_WAITING, PLACE_PROBE, PLACE_REFUSED };

struct http_conn {
    struct http_conn *next, *previous; /* in the list of those outside or inside, oldest first */
    struct http_conn *next_reader, *previous_reader;
    struct door *door;
    int64_t since_ms;  /* boot clock: in its state since then */
    int64_t looked_ms; /* when it was looked at last */
    uint64_t moved;    /* bytes of its body so far; or those its reader had taken then */
    int queued;        /* bytes that its reader had not taken then */
    int fd;
    struct client_key client;
    uint8_t state, place;
    uint8_t refusal; /* why it is refused: a metric_rejection and 1 */
    uint8_t strikes; /* looks in a row at which its reader had taken too little */
    bool is_reader, watched, unwatched, spare, partial, cut;
    bool settled; /* it waits, and has taken all that it was told before */
};

/* A listening address of a worker, and the daemons behind it. */
struct door {
    struct connections *all;
    size_t number;
    int fd;
    struct loop_poll *poll;
    struct listener *quick;          /* behind it stand `n_patient` for those that wait */
    size_t n_patient, handed;        /* `handed`: to those, so far; they take turns */
    bool probe, unix_socket, shares; /* `shares`: max-per-client counts */
    bool shut;                       /* no descriptors: until the timer opens it again */
    uint64_t heard, heard_before;    /* how often it was called */
    unsigned missed;                 /* beats at which somebody stood there and it had not been */
};

struct http_conn_list {
    struct http_conn *first, *last;
    size_t n;
};

#define SPARES 6

struct connections {
    struct worker *worker;
    struct door *doors;
    size_t n_doors;
    struct http_conn_list silent, leaving, inside;
    struct http_conn *readers;
    struct http_conn *reading; /* began a request last, and is not among the readers yet */
    /* whose connection was asked for last, mostly the next one's, too */
    struct MHD_Connection *known;
    struct http_conn *known_http_conn;
    struct http_conn *entering; /* is being handed over */
    /* watches those outside, and the ends of those in the middle of a body */
    int epoll_fd;
    struct loop_poll *poll;
    struct loop_timer *timer, *open_timer;
    int spares[SPARES]; /* descriptors to be given up for callers when there are no others */
    size_t n_spares, n_refused, n_unwatched;
};

/* ---- connections.c ---- */

struct connections *connections_new(struct worker *worker);
void connections_free(struct connections *connections);
/**
 * Those that are in the middle of a body are watched for their end. After the daemons have run,
 * each turn.
 */
void connections_turn(struct connections *connections);
/** To be looked at when their time is over. */
void connections_arm(struct connections *connections);
void connections_put(struct http_conn_list *list, struct http_conn *conn);
void connections_take_out(struct http_conn_list *list, struct http_conn *conn);
/** Take a place, or take note of why there is none. */
void http_conn_enter(struct http_conn *conn, const struct peek *peek);
/**
 * Give back what it holds, and free it. It is in no list any more, and its descriptor is the
 * caller's.
 */
void http_conn_free(struct http_conn *conn);
/** Its end comes through the daemon that has it. */
void http_conn_cut(struct http_conn *conn);
/** Nobody is left to send the rest of its request, where what was sent has been read. */
void http_conn_may_have_left(struct http_conn *conn);
/** Count a refusal; the log speaks of each kind once a minute. */
void connections_refuse(struct connections *connections, enum metric_rejection why,
                        const char *words);

/* ---- silent.c ---- */

/** Look at a new connection at once, or have it watched. */
void silent_begin(struct http_conn *conn);
/** Something happened on the descriptor of one that is watched. */
void silent_ready(void *data, int events);
/** Those whose time is over, and those that cannot be watched. */
void silent_sweep(struct connections *connections, int64_t now_ms);
/** Close the oldest that has not spoken. @return false: there is none. */
bool silent_drop_oldest(struct connections *connections);
void silent_drop_all(struct connections *connections);
/**
 * An answer of our own on a connection that libmicrohttpd does not answer. @param peek of its
 * request; NULL: unknown.
 */
void silent_say(const struct http_conn *conn, enum problem_kind kind, const char *detail,
                const struct peek *peek);

/* ---- acceptor.c ---- */

/**
 * Listen: from now on the loop accepts. @return 0; -BW_EIO. Thread: main, before the worker's runs.
 */
int doors_open(struct connections *connections);
void doors_close(struct connections *connections);
/** Every beat: whether each has accepted whom it should have. */
void doors_check(struct connections *connections);
/** Take back a spare descriptor that was given up. */
void doors_fill_spares(struct connections *connections);

#endif
