/*
 * What a worker's forwards are made of:
 *
 *   forwards ── doors (one a forward) ── links (one a client)
 *
 * The files, each of which calls only those below it:
 *
 *   forwards.c     life; who is accepted; what snapshots mean
 *   link.c         a client from accept() to close(): its states, and when it moves on
 *   link_node.c    to which node it goes, and how it gets there
 *   link_bytes.c   bytes to and fro, and when they wait
 *   link_side.c    one socket: plain or TLS
 *   forward_shared.c  what all workers share
 *
 * Nothing is freed while a callback may stand in it: links that are gone are freed when the turn
 * ends.
 */
#ifndef BELLWETHER_FORWARD_LINK_H
#define BELLWETHER_FORWARD_LINK_H

#include "bellwether/base/list.h"
#include "bellwether/forward/forward.h"
#include "bellwether/redis/tls_link.h"

/* Links of a door that are under way to a node at once: a listen queue is not endless. */
#define LINKS_DIALLING_MAX 128
#define LINK_WORDS_SIZE 640
#define LOGIN_REPLY_SIZE 256
#define LOOK_MS 20

struct link_side {
    int fd; /* -1: none */
    struct loop_poll *poll;
    void *client_tls;        /* struct forward_tls's; NULL: plain */
    struct tls_link *server; /* NULL: plain */
    bool asked; /* when it was looked at last, it had not answered what was sent twice */
    bool more;  /* there are bytes, or the end, that no event will tell of: read on */
};

/* One direction. A source is read only when all that came before has left. */
struct flow {
    char *bytes; /* read, and not taken by the other side; NULL: none */
    size_t size, sent;
    int64_t held_ms; /* boot clock: they came then, behind the fence, and wait; 0: they may go */
    bool ended;      /* the source has said its last */
    bool shut;       /* and the other side was told */
    bool refused;    /* the other side takes no more */
    bool blocked;    /* for now it takes no more of what is in the source still */
    bool fenced;     /* what is kept may not go on: the fence went up since it was read */
};

enum link_state {
    LINK_SHAKING,    /* TLS with its client */
    LINK_WAITING,    /* for a node that it may go to */
    LINK_LOOKUP,     /* for the node's address */
    LINK_CONNECTING, /* for TCP */
    LINK_SECURING,   /* for TLS */
    LINK_LOGGING_IN, /* for the answer to AUTH */
    LINK_JOINED,
    LINK_LEAVING, /* its client was told the end: what it still sends is dropped */
    LINK_GONE,    /* closed; freed when the turn ends */
};

struct link {
    struct list_link of_state; /* in the list of its door for its state */
    struct list_link paused;   /* in its door's list of those whose client is not read */
    struct list_link again;    /* in the list of those that go on in the next turn */
    struct door *door;
    enum link_state state;
    bool is_paused, is_again;
    bool is_half;    /* its client has said its last; `deadline_ms` bounds the node's silence */
    bool counted;    /* as one of max-forwards; in its handshake it is not */
    bool is_refused; /* as one too many */
    bool starved;    /* paused, and its node is not read either: there is no memory for it */
    bool to_replica; /* the node is one; else it is the master */
    bool spoken;     /* something of its client was passed on to this node */
    bool owes;       /* since something came from the node more was passed on to it */
    struct link_side client, server;
    struct flow in, out; /* to the node, to the client */
    struct address node; /* where it is, or goes; as published */
    uint64_t switches;   /* of the master's generation */
    struct loop_lookup *lookup;
    int64_t deadline_ms;   /* boot clock: of the wait for a node; of its leave */
    int64_t attempt_ms;    /* boot clock: when this attempt is given up */
    int64_t rest_until_ms; /* from the node at which it failed */
    int64_t heard_ms;      /* boot clock, while the worker ends: when its node said something */
    unsigned failures;
    char *words;    /* why it is not there yet; NULL: none */
    bool unwelcome; /* because the node does not take the login */
    char *reply;    /* what came of the answer to AUTH; NULL: nothing */
};

/* A forward in a worker. */
struct door {
    struct forwards *all;
    const struct forward_listen *listen;
    struct metrics_forward *counts;
    int fd;
    struct loop_poll *poll;
    bool shut;                      /* no descriptors: until the timer opens it again */
    struct snapshot_master *master; /* of the last snapshot, a reference; NULL: not known */
    bool lacks;                     /* no Sentinel knows the one that it names */
    size_t turn;                    /* of the replicas' round robin */
    size_t n_dialling;
    struct list waiting; /* states WAITING to LOGGING_IN */
    struct list joined, leaving, paused;
    bool holds;           /* of the joined ones some may hold an answer back */
    size_t n_half;        /* of the joined ones, those whose client has said its last */
    int64_t suspected_ms; /* boot clock: when the watcher was told last that a node can't be had */
};

struct forwards {
    struct loop *loop;
    struct forward_shared *shared;
    const struct forward_config *config;
    size_t worker;
    struct forward_hooks hooks;
    struct redis_logins *logins;
    int64_t password_read_ms;  /* boot clock: again, since one was refused */
    struct snapshot *snapshot; /* a reference; NULL before the first */
    struct door *doors;
    size_t n_doors, n_refused, n_leaving, n_shaking;
    struct list gone, again;
    struct list shaking;      /* the oldest first */
    struct loop_timer *timer; /* while somebody waits, is held, or leaves */
    struct loop_timer *again_timer, *files_timer, *lost_timer;
    int64_t lost_looked_ms; /* boot clock */
    struct loop_later bury;
    struct loop_later route; /* those that wait may go on */
    bool draining;
};

/** Have the timer look soon. */
static inline void forwards_arm(struct forwards *forwards)
{
    if (!loop_timer_armed(forwards->timer)) {
        loop_timer_start(forwards->timer, LOOK_MS);
    }
}

/* ---- link.c ---- */

/** A client that was accepted. One that is one too many is told so. @param fd taken. */
void link_begin(struct door *door, int fd);
/** Its state, and so its list and what is counted, changes nowhere else. */
void link_move(struct link *link, enum link_state state);
/**
 * The end. @param words NULL, or a line of RESP without its end for a client that waits for a node.
 */
void link_end(struct link *link, enum metric_forward_end why, const char *words);
/** Away from its node, to wait for another one. */
void link_restart(struct link *link);
/** Both sides are there. */
void link_join(struct link *link);
/** The worker ends: once all that was sent is answered, as far as one can see, it does, too. */
void link_drain(struct link *link, int64_t now_ms);
/** The snapshot changed, or time went on: does it have to move? */
void link_review(struct link *link, int64_t now_ms);
/** Whether either peer's host is gone. @param since_ms  when that was asked last. */
void link_look_for_lost(struct link *link, int64_t since_ms);
/** Its memory. */
void link_free(struct link *link);

/* ---- link_node.c ---- */

/** Go to the node, if there is one that it may go to. */
void link_route(struct link *link, int64_t now_ms);
/** Whether it may stay where it is, or goes to. */
bool link_may_stay(const struct link *link);
/** The socket to the node, and all about getting there, goes. */
void link_leave_node(struct link *link);
/** It is another node that it goes to from now on: what came of the one before tells nothing. */
void link_forget_node(struct link *link);
/** The attempt took too long. */
void link_is_late(struct link *link);
/** An event of the server's side, before it is joined. */
void link_go_on(struct link *link);
/**
 * Why there is no node, in words and as it is counted: NOMASTER, or NOTSENT where there is one that
 * can't be had, as commands through HTTP are told.
 */
enum metric_forward_end link_say_why(const struct link *link, char *out, size_t size);

/* ---- link_bytes.c ---- */

/** Whether what clients send has to wait. */
bool door_is_fenced(const struct door *door, int64_t now_ms);
/** Move what can be moved, both ways, and say what to wait for. */
void link_move_bytes(struct link *link);
/**
 * The same where a socket said what it is ready for: between plain ones nothing else is tried.
 * @param events  what `side` is ready for
 */
void link_move_ready(struct link *link, const struct link_side *side, int events);
/**
 * The fence moved, or time went on: answers that were held go on once they are old enough.
 * @param promoted  a promotion has begun, or the master is another: those that are not are dropped.
 */
void link_release_held(struct link *link, int64_t now_ms, bool promoted);
/** Drop what was not delivered. */
void flow_clear(struct flow *flow);

/* ---- link_side.c ---- */

/** @return bytes; 0: nothing more for now; FORWARD_END. */
ssize_t side_read(struct link *link, struct link_side *side, char *bytes, size_t size);
/** Whether what was read can be left where it is. */
bool side_peeks(const struct link_side *side);
/** side_read(), and it is all there still; side_take() takes as much of it away. */
ssize_t side_peek(struct link_side *side, char *bytes, size_t size);
void side_take(struct link_side *side, char *scratch, size_t size);
ssize_t side_write(struct link *link, struct link_side *side, const char *bytes, size_t size);
/** Nothing more is written. */
void side_shut(struct link *link, struct link_side *side);
/**
 * Its peer can take nothing any more, or has ended without a word. One that has said something and
 * ends may wait for the answer.
 */
bool side_is_left(const struct link_side *side);
/**
 * Nothing came back from its peer's host, neither since the last time this was asked nor shortly
 * before, and then, as now, it was asked again and again: for what it was sent, or whether there is
 * room for more. A host where nobody reads answers.
 * @param since_ms  how long ago that was
 */
bool side_is_lost(struct link_side *side, int64_t since_ms);
/** Its peer has not taken all that was written. */
bool side_has_unsent(const struct link_side *side);
void side_want(struct link_side *side, int events);
void side_close(struct link *link, struct link_side *side);

#endif
