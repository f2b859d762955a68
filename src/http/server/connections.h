/*
 * Callers' connections from accept() to close(). A new one stands outside libmicrohttpd
 * (admission.c); with a whole head of a request it takes a place (connections.c) and is handed
 * over, and is looked after from then on (slow_clients.c). Listening sockets are acceptor.c's.
 */
#ifndef BELLWETHER_HTTP_SERVER_CONNECTIONS_H
#define BELLWETHER_HTTP_SERVER_CONNECTIONS_H

#include "client_places.h"
#include "listener.h"
#include "peek.h"

enum http_conn_state {
    HTTP_CONN_PASSING,  /* just accepted, being handed over, or about to be freed: in no list */
    HTTP_CONN_SILENT,   /* outside: no whole head yet */
    HTTP_CONN_LEAVING,  /* outside: told why it is refused; what it still sends is dropped */
    HTTP_CONN_SECURING, /* over TLS, with a handshake to be done: no whole head yet */
    HTTP_CONN_IDLE,     /* between requests */
    HTTP_CONN_READING,  /* in a request that is not all there */
    HTTP_CONN_BUSY,     /* in one that is, until its answer has left */
    HTTP_CONN_WAITING,  /* in one that is, and that sleeps: no answer is on its way */
    HTTP_CONN_SETTLED,  /* the same, and it has taken all that it was told before */
    HTTP_CONN_CUT,      /* its end comes through the daemon that has it; it stays so */
};

enum http_conn_watch {
    WATCH_NONE,
    WATCH_EPOLL,
    WATCH_BY_TURNS, /* the kernel had no room for one more watch */
};

enum http_conn_place { PLACE_NONE, PLACE_ORDINARY, PLACE_WAITING, PLACE_PROBE, PLACE_REFUSED };

struct http_conn {
    struct list_link link; /* in the list that its state says */
    struct list_link reader_link;
    struct door *door;
    struct tls_session *tls; /* NULL: it has none */
    int64_t since_ms;        /* boot clock: in its state since then */
    int64_t looked_ms;       /* when it was looked at last */
    /*
     * Silent: bytes that have come; reading: bytes of the body; busy: bytes of answers that its
     * reader had taken when it was looked at. Idle and `partial`: since when, boot clock.
     */
    uint64_t moved;
    int queued; /* bytes that its reader had not taken when it was looked at */
    int fd;
    struct client_key client;
    uint8_t state, place, watch;
    uint8_t refusal; /* why it is refused: a metric_rejection and 1 */
    uint8_t strikes; /* looks in a row at which its reader had taken too little */
    bool spare;      /* its descriptor was kept in reserve for when there are no others */
    bool partial;    /* idle, and a part of the next head has come */
};

/* A listening address of a worker, and the daemons behind it. */
struct door {
    struct connections *all;
    size_t number;
    int fd;
    struct loop_poll *poll;
    struct listener *quick;               /* behind it stand `n_patient` for those that wait */
    size_t n_patient, handed;             /* `handed`: to those, so far; they take turns */
    bool probe, unix_socket, tls, shares; /* `shares`: max-per-client counts */
    bool shut;                            /* no descriptors: until the timer opens it again */
    uint64_t heard, heard_before;         /* how often it was called */
    unsigned missed; /* beats at which somebody stood there and it had not been */
};

/* In the order in which they came into it. */
struct http_conn_list {
    struct list list;
    size_t n;
};

#define SPARES 6

struct connections {
    struct worker *worker;
    struct door *doors;
    size_t n_doors;
    struct http_conn_list silent, leaving, securing, inside;
    struct list readers;       /* in a request that was not all there when others had their turn */
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

/** @param sweep looks at them when their time is over. */
struct connections *connections_new(struct worker *worker, void (*sweep)(void *connections));
void connections_free(struct connections *connections);
/** Take back spare descriptors that were given up. */
void connections_fill_spares(struct connections *connections);
/**
 * Those that are in the middle of a body are watched for their end. After the daemons have run,
 * each turn.
 */
void connections_turn(struct connections *connections);
/** Have the timer look at all of them when the time of one may be over. */
void connections_arm(struct connections *connections);
/** Give the connection a place, or note in it why it is refused. */
void http_conn_enter(struct http_conn *conn, const struct peek *peek);
/** Give back what it holds, and free it. Its descriptor is the caller's. */
void http_conn_free(struct http_conn *conn);
/** Its state, and so its list, changes nowhere else; one that is cut stays so until it is freed. */
void http_conn_move(struct http_conn *conn, enum http_conn_state state);
/** How its descriptor is watched changes nowhere else. */
void http_conn_set_watch(struct http_conn *conn, enum http_conn_watch watch);
/** Shut the connection down: the daemon that has it finds out, and closes it. */
void http_conn_cut(struct http_conn *conn);
/** Cut the connection where its caller has left and all that was sent has been read. */
void http_conn_may_have_left(struct http_conn *conn);
/** Count a refusal; the log speaks of each kind once a minute. */
void connections_refuse(struct connections *connections, enum metric_rejection why,
                        const char *words);

/* ---- what requests and libmicrohttpd do to them ---- */

/** This connection is over a limit: its request is answered with 503. */
bool connection_is_refused(const struct listener *listener, struct MHD_Connection *connection);
/** It is told so now: counted and logged. @return words for the answer. */
const char *connection_refuse(struct listener *listener, struct MHD_Connection *connection);
/** Its request waits: from now on it stands beside max-connections, while there is room there.
 * @return false: it is over a limit, and there is no room there either. */
bool connection_begins_to_wait(struct listener *listener, struct MHD_Connection *connection);
/** Its request sleeps until there is an answer. */
void connection_waits(struct listener *listener, struct MHD_Connection *connection);
/** A request's head is there. */
void connection_request_begins(struct listener *listener, struct MHD_Connection *connection);
/** So much of its body came. */
void connection_request_moves(struct listener *listener, struct MHD_Connection *connection,
                              size_t size);
/** All of it is there; or it has slept. */
void connection_request_is_whole(struct listener *listener, struct MHD_Connection *connection);
/** Queue an answer with so many bytes of body: over TLS a small one goes as one record. */
enum MHD_Result connection_answer(struct listener *listener, struct MHD_Connection *connection,
                                  unsigned status, struct MHD_Response *response, size_t size);
/** Its answer has been written. */
void connection_request_ends(struct listener *listener, struct MHD_Connection *connection);
/** MHD has taken the connection that is being handed over. */
void connection_starts(struct listener *listener, struct MHD_Connection *connection,
                       void **context);
/** MHD closes it. */
void connection_closes(struct listener *listener, void **context);
/** The kernel has no room for one more watch: MHD closes a connection after its answer. */
void connection_is_not_watched(struct listener *listener);
/** The handshake of one of its callers has failed: MHD closes the connection. */
void connection_is_not_secured(struct listener *listener);
/** How long a request may take to arrive. */
int64_t http_request_timeout_ms(const struct http_config *config);
/** How long a connection may be idle, for libmicrohttpd. */
unsigned http_idle_timeout_s(const struct http_config *config);

#endif
