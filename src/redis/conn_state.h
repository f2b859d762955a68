/*
 * A connection as its files share it: connection.c (its life and the public functions), dial.c
 * (look-up, addresses, connect), stream.c (bytes out and in), replies.c (each reply to whoever
 * asked), pending.c (who waits). A file calls those behind it in this list, and tells connection.c
 * by `reports`. resp_reader.c, below them all, knows no connection.
 *
 * Two rules keep callbacks safe. Whoever comes from the loop stands between conn_enter() and
 * conn_leave(), so that the memory outlives a redis_conn_free() in a callback. And whoever called a
 * hook compares `session` before touching anything again: closing, and each new attempt, changes
 * it.
 */
#ifndef BELLWETHER_REDIS_CONN_STATE_H
#define BELLWETHER_REDIS_CONN_STATE_H

#include "bellwether/redis/connection.h"
#include "resp_reader.h"

#define CONN_WORDS_SIZE 384

/*
 * From closed through look-up (of a name), connect, TLS (where that is spoken) and HELLO to ready.
 * An attempt that fails goes back to connect, with the next address; without one it is exhausted.
 * From each to closed, and from there to freed.
 */
enum conn_state {
    CONN_CLOSED,
    CONN_LOOKUP,    /* waiting for the resolver */
    CONN_CONNECT,   /* waiting for TCP */
    CONN_EXHAUSTED, /* every address failed: waiting for the turn in which that may be told */
    CONN_TLS,       /* waiting for the handshake */
    CONN_HELLO,     /* waiting for HELLO's reply */
    CONN_READY,
    CONN_FREED, /* its memory lasts until the callbacks that stand in it have returned */
};

/* What an attempt says first. */
enum conn_greeting {
    CONN_GREET,          /* HELLO, over TLS where that is spoken */
    CONN_GREET_IN_TLS,   /* a ClientHello, to see whether the peer of a plain link speaks TLS */
    CONN_GREET_IN_PLAIN, /* PING, to see whether the peer that is silent in a handshake does not */
};

/* What the files below connection.c tell it. */
struct conn_reports {
    /* HELLO was answered. */
    void (*greeted)(struct redis_conn *conn, const redisReply *hello);
    /* The attempt fails, or the connection ends. `words` may be conn->words. */
    void (*lost)(struct redis_conn *conn, enum redis_fail why, const char *words);
};

/* One that waits for its reply, as a tree, or an expect that waits for its own as JSON. */
struct conn_command {
    struct redis_expect *expect; /* then nothing else is set */
    redis_reply_fn *done;
    void *data;
    int64_t deadline_ms; /* boot clock; 0: none */
    bool subscribe;      /* PSUBSCRIBE and its kin: acknowledged by a push */
};

struct redis_conn {
    struct loop *loop;
    const struct conn_reports *reports;
    struct redis_conn_hooks hooks;
    void *data;
    enum conn_state state;
    uint64_t session;
    unsigned depth;

    /* Dialling. `trying` borrows `found` or points at `target`. */
    struct address target;
    struct address peer;
    struct address *found; /* the last good look-up, of found_for */
    size_t n_found;
    struct address found_for;
    struct loop_lookup *lookup;
    unsigned group; /* of the look-up */
    const struct address *trying;
    size_t n_trying, i_trying;
    int64_t open_deadline_ms;
    bool looks_for_tls;          /* where a peer closes on HELLO without a word */
    enum conn_greeting greeting; /* of this attempt */
    enum redis_fail worst;
    char worst_words[CONN_WORDS_SIZE];
    char *hello; /* the command in wire form, holds the password: wiped before it is freed */
    size_t hello_len;
    /* a password may be in what is to be written: the buffer is wiped afterwards */
    bool confidential;
    redis_reply_fn *ping_done; /* PING follows it; NULL: nothing does */

    /* TLS; NULL: plain. */
    struct redis_tls *tls;
    char *tls_host; /* NULL: the target's */
    const char *tls_option;
    struct tls_link *link;
    bool suspects_plain; /* it was silent in the last handshake, as a server that speaks plain is */

    /* The stream. Either `fd` (connecting) or `context` owns the socket. */
    int fd;
    struct loop_poll *poll;
    int wanted;
    struct loop_later flush; /* commands leave at the end of the turn */
    struct redisContext *context;
    struct buffer backlog; /* what does not fit into hiredis' buffer yet; sent of it: */
    size_t backlog_sent;
    uint64_t appended, taken; /* bytes of the stream out: sent by owners, taken by the socket */
    uint64_t begun;           /* taken, or in a record of TLS that is: can't be taken back */
    uint64_t received;        /* bytes of the stream in */
    int protocol;             /* RESP 2 or 3, asked for with the next HELLO */
    bool resp3;               /* spoken */
    bool subscribed;          /* pushes may come */
    bool listens;             /* messages of channels, too */
    struct resp_reader reader;

    /* Commands in flight, a ring. */
    struct conn_command *commands;
    size_t n_commands, first_command, room;

    struct loop_timer *timer; /* of the attempt, then of the commands */
    int64_t timer_ms;         /* what it is armed for; 0: not armed */
    char words[CONN_WORDS_SIZE];
};

/**
 * The only one who changes the state. Closing, and each new attempt, changes the session, too; what
 * was freed stays freed.
 */
void conn_move(struct redis_conn *conn, enum conn_state state);
void conn_enter(struct redis_conn *conn);
void conn_leave(struct redis_conn *conn);
/** Tell connection.c: the attempt fails, or the connection ends. @param words borrowed. */
void conn_lost(struct redis_conn *conn, enum redis_fail why, const char *words);
/** Write to conn->words, control characters replaced. @return conn->words. */
const char *conn_say(struct redis_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void conn_arm(struct redis_conn *conn, int64_t at_ms);
void conn_disarm(struct redis_conn *conn);

#endif
