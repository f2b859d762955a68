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

enum visitor_state {
    VISITOR_SILENT,  /* outside: no whole head yet */
    VISITOR_LEAVING, /* outside: told why it is refused; what it still sends is dropped */
    VISITOR_IDLE,    /* between requests */
    VISITOR_READING, /* in a request that is not all there */
    VISITOR_BUSY,    /* in one that is, until its answer has left */
    VISITOR_WAITING, /* in one that is, and that sleeps: no answer is on its way */
};

enum visitor_place { PLACE_NONE, PLACE_ORDINARY, PLACE_WAITING, PLACE_PROBE, PLACE_REFUSED };

struct visitor {
    struct visitor *next, *previous; /* in the list of those outside or inside, oldest first */
    struct visitor *next_reader, *previous_reader;
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
    struct visitors *all;
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

struct visitor_list {
    struct visitor *first, *last;
    size_t n;
};

#define SPARES 6

struct visitors {
    struct worker *worker;
    struct door *doors;
    size_t n_doors;
    struct visitor_list silent, leaving, inside;
    struct visitor *readers;
    struct visitor *reading;      /* began a request last, and is not among the readers yet */
    struct MHD_Connection *known; /* whose visitor was asked for last, mostly the next one's, too */
    struct visitor *known_visitor;
    struct visitor *entering; /* is being handed over */
    /* watches those outside, and the ends of those in the middle of a body */
    int epoll_fd;
    struct loop_poll *poll;
    struct loop_timer *timer, *open_timer;
    int spares[SPARES]; /* descriptors to be given up for callers when there are no others */
    size_t n_spares, n_refused, n_unwatched;
};

/* ---- connections.c ---- */

struct visitors *visitors_new(struct worker *worker);
void visitors_free(struct visitors *visitors);
/**
 * Those that are in the middle of a body are watched for their end. After the daemons have run,
 * each turn.
 */
void visitors_turn(struct visitors *visitors);
/** To be looked at when their time is over. */
void visitors_arm(struct visitors *visitors);
void visitors_put(struct visitor_list *list, struct visitor *visitor);
void visitors_take_out(struct visitor_list *list, struct visitor *visitor);
/** Take a place, or take note of why there is none. */
void visitor_enter(struct visitor *visitor, const struct peek *peek);
/**
 * Give back what it holds, and free it. It is in no list any more, and its descriptor is the
 * caller's.
 */
void visitor_free(struct visitor *visitor);
/** Its end comes through the daemon that has it. */
void visitor_cut(struct visitor *visitor);
/** Nobody is left to send the rest of its request, where what was sent has been read. */
void visitor_may_have_left(struct visitor *visitor);
/** Count a refusal; the log speaks of each kind once a minute. */
void visitors_refuse(struct visitors *visitors, enum metric_rejection why, const char *words);

/* ---- silent.c ---- */

/** Look at a new connection at once, or have it watched. */
void silent_begin(struct visitor *visitor);
/** Something happened on the descriptor of one that is watched. */
void silent_ready(void *data, int events);
/** Those whose time is over, and those that cannot be watched. */
void silent_sweep(struct visitors *visitors, int64_t now_ms);
/** Close the oldest that has not spoken. @return false: there is none. */
bool silent_drop_oldest(struct visitors *visitors);
void silent_drop_all(struct visitors *visitors);
/**
 * An answer of our own on a connection that libmicrohttpd does not answer. @param peek of its
 * request; NULL: unknown.
 */
void silent_say(const struct visitor *visitor, enum problem_kind kind, const char *detail,
                const struct peek *peek);

/* ---- acceptor.c ---- */

/**
 * Listen: from now on the loop accepts. @return 0; -BW_EIO. Thread: main, before the worker's runs.
 */
int doors_open(struct visitors *visitors);
void doors_close(struct visitors *visitors);
/** Every beat: whether each has accepted whom it should have. */
void doors_check(struct visitors *visitors);
/** Take back a spare descriptor that was given up. */
void doors_fill_spares(struct visitors *visitors);

#endif
