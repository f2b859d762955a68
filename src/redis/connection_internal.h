/*
 * What the files of a connection share: connection.c (its life and the public functions), dial.c
 * (look-up, addresses, connect), stream.c (bytes out and in), replies.c (replies),
 * reply_skip.c (those that are too long), reply_arena.c (where trees lie), pending.c (who waits
 * for them, deadlines). Nobody else includes this.
 *
 * Two rules keep callbacks safe. Whoever comes from the loop stands between conn_enter() and
 * conn_leave(), so that the memory outlives a redis_conn_free() in a callback. And whoever called a
 * hook compares `session` before touching anything again: closing, and each new attempt, changes
 * it.
 */
#ifndef BELLWETHER_REDIS_CONNECTION_INTERNAL_H
#define BELLWETHER_REDIS_CONNECTION_INTERNAL_H

#include <stdarg.h>

#include "bellwether/redis/connection.h"

#define CONN_WORDS_SIZE 192
/*
 * The longest reply that becomes a tree. A thousand masters are 1.2 MB, a server's commands 0.4 MB;
 * beyond this the peer is broken or hostile.
 */
#define TREE_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* And its elements over all levels: those of six thousand masters. */
#define TREE_ELEMENTS_MAX ((size_t)512 * 1024)

enum conn_state {
    CONN_CLOSED,
    CONN_LOOKUP, /* waiting for the resolver */
    /* waiting for TCP, or (nothing left to try) for the turn in which that may be told */
    CONN_CONNECT,
    CONN_HELLO, /* waiting for HELLO's reply */
    CONN_READY,
};

/* One that waits for its reply, as a tree, or an expect that waits for its own as JSON. */
struct conn_command {
    struct redis_expect *expect; /* then nothing else is set */
    redis_reply_fn *done;
    void *data;
    int64_t deadline_ms; /* boot clock; 0: none */
    bool subscribe;      /* ours: PSUBSCRIBE, acknowledged by a push */
};

/* The memory of one reply, which goes as a whole. */
struct conn_arena {
    struct conn_block *last;
    size_t elements; /* announced, over all its levels */
    bool overdone;   /* they were too many, or too deep */
};

/* What is left of a reply that nobody wants. */
struct conn_skip {
    uint64_t items;  /* to come, the one under way included; 0: nothing is skipped */
    uint64_t bytes;  /* of the string under way, its line end included */
    char type;       /* of the item whose line is under way; 0: its first byte is to come */
    uint64_t length; /* that the line says, so far */
    bool negative;
};

struct redis_conn {
    struct loop *loop;
    struct redis_conn_hooks hooks;
    void *data;
    enum conn_state state;
    uint64_t session;
    unsigned depth;
    bool dead;

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
    bool looks_for_tls; /* where a peer closes on HELLO without a word */
    bool greets_in_tls; /* this attempt is that look: a ClientHello goes out instead of HELLO */
    bool exhausted;     /* every address failed; the timer tells it */
    enum redis_fail worst;
    char worst_words[CONN_WORDS_SIZE];
    char *hello; /* the command in wire form, holds the password: wiped before it is freed */
    size_t hello_len;
    /* a password may be in what is to be written: the buffer is wiped afterwards */
    bool confidential;
    redis_reply_fn *ping_done; /* PING follows it; NULL: nothing does */

    /* The stream. Either `fd` (connecting) or `context` owns the socket. */
    int fd;
    struct loop_poll *poll;
    int wanted;
    struct loop_later flush; /* commands leave at the end of the turn */
    struct redisContext *context;
    struct buffer backlog; /* what does not fit into hiredis' buffer yet; sent of it: */
    size_t backlog_sent;
    uint64_t appended, taken; /* bytes of the stream out: sent by owners, taken by the socket */
    uint64_t received;        /* bytes of the stream in */
    int protocol;             /* RESP 2 or 3, asked for with the next HELLO */
    bool resp3;               /* spoken */
    struct conn_arena arena;  /* of the tree that is not complete yet */
    bool subscribed;

    /* The reply under way. */
    struct result_sink sink;
    size_t reply_bytes; /* parsed of it; a transaction's replies count together */
    size_t limit;       /* of these */
    bool swollen;       /* the reader's buffer grew for a long reply */
    size_t counted;     /* bytes of that buffer, had or promised, that the memory budget knows of */
    struct conn_skip skip;

    /* Commands in flight, a ring. */
    struct conn_command *commands;
    size_t n_commands, first_command, room;

    struct loop_timer *timer; /* of the attempt, then of the commands */
    int64_t timer_ms;         /* what it is armed for; 0: not armed */
    char words[CONN_WORDS_SIZE];
};

/* connection.c */
void conn_enter(struct redis_conn *conn);
void conn_leave(struct redis_conn *conn);
/**
 * End by itself: complete the commands, then `closed`. @param words borrowed, may be conn->words.
 */
void conn_end(struct redis_conn *conn, enum redis_fail why, const char *words);
/** Write to conn->words, control characters replaced. @return conn->words. */
const char *conn_say(struct redis_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void conn_arm(struct redis_conn *conn, int64_t at_ms);
void conn_disarm(struct redis_conn *conn);

/* dial.c */
void conn_dial_start(struct redis_conn *conn);
void conn_dial_stop(struct redis_conn *conn);
/** This address is no good; try the next one, else the connection ends. */
void conn_dial_failed(struct redis_conn *conn, enum redis_fail why, const char *words);
/** This address closed on HELLO without a word: see whether it speaks TLS, then go on. */
void conn_dial_greet_in_tls(struct redis_conn *conn, const char *words);
void conn_dial_ready(struct redis_conn *conn);
void conn_dial_timer(struct redis_conn *conn);

/* stream.c */
/** Take the connected socket in conn->fd and say HELLO. */
void conn_stream_start(struct redis_conn *conn);
/** Close the socket, connecting or connected. Commands stay. */
void conn_stream_stop(struct redis_conn *conn);
void conn_stream_ready(struct redis_conn *conn, int events);
void conn_stream_want(struct redis_conn *conn, int events);
/** Bytes to go out at the end of the turn. @param wire copied. */
void conn_stream_append(struct redis_conn *conn, const char *wire, size_t size);
/** Forget the bytes from this place in the stream on; the socket has taken none of them. */
void conn_stream_cut(struct redis_conn *conn, uint64_t at);
/** At the end of a turn: write what it queued. `data` is the connection. */
void conn_stream_flush(void *data);
/** Read what is there without waiting. */
void conn_stream_drain(struct redis_conn *conn);
/** The attempt fails, or the connection ends. */
void conn_stream_ended(struct redis_conn *conn, enum redis_fail why, const char *words);

/* replies.c */
void conn_replies_start(struct redis_conn *conn);
/** Bytes that came in. */
void conn_replies_take(struct redis_conn *conn, const char *bytes, size_t size);
/** The reader is gone. */
void conn_replies_stop(struct redis_conn *conn);

/* reply_skip.c */
/**
 * From where the reader stands to the end of its reply, if one is under way, and so many whole ones
 * behind it.
 */
void conn_skip_begin(struct conn_skip *skip, const redisReader *reader, unsigned more);
/** @return how many of these bytes belong to it; with `ok` false they are no RESP. */
size_t conn_skip(struct conn_skip *skip, const char *bytes, size_t size, bool *ok);

/* pending.c */
/** The `i`th in flight, of those that there are. */
struct conn_command *conn_queue_at(const struct redis_conn *conn, size_t i);
void conn_queue_push(struct redis_conn *conn, const struct conn_command *command);
struct conn_command conn_queue_pop(struct redis_conn *conn);
/** How many of the last ones are expects that the socket has taken nothing of. */
size_t conn_queue_unsent(const struct redis_conn *conn);
/** Whose answer is next. NULL: nobody's, or a command's. */
struct redis_expect *conn_queue_expect(const struct redis_conn *conn);
/** Complete what is in flight: it failed. */
void conn_queue_abandon(struct redis_conn *conn, enum redis_fail why);
void conn_queue_timer(struct redis_conn *conn);

/* reply_arena.c */
/** Have the reader make its replies in `arena`. Both must outlive what they make. */
void conn_arena_serve(struct conn_arena *arena, redisReader *reader);
void conn_arena_release(struct conn_arena *arena);

#endif
