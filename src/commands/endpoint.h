/*
 * One address and the connections to it. It knows no requests: it tells its owner that a connection
 * is ready, that something was answered, or that a connection is lost.
 */
#ifndef BELLWETHER_COMMANDS_ENDPOINT_H
#define BELLWETHER_COMMANDS_ENDPOINT_H

#include "bellwether/commands/pool.h"
#include "bellwether/redis/cursor.h"
#include "pool_conn.h"

#define POOL_WORDS_SIZE 200

struct endpoint_hooks {
    /* A connection takes commands, for the first time. */
    void (*ready)(struct pool_conn *pool_conn);
    /* Something was answered, or time has passed: who waits may be able to go. */
    void (*answered)(void *data);
    /* A connection was lost; `was_ready`: it had taken commands. */
    void (*lost)(struct pool_endpoint *endpoint, bool was_ready, const char *words);
    void (*suspect)(void *data, enum suspicion what, const struct address *address);
    /* Of a connection that listens: a message; NULL where none does. */
    void (*push)(void *data, const redisReply *push);
};

/* What the endpoints of one master have in common. */
struct endpoint_owner {
    struct loop *loop;
    const struct pool_config *config;
    struct metrics_redis *counts;
    const struct redis_login *login;
    const struct endpoint_hooks *hooks;
    void *data;          /* the hooks' */
    unsigned deployment; /* the group of its name look-ups */
    uint64_t switches;   /* of the master's generation, with its address */
};

enum endpoint_state {
    ENDPOINT_USED,
    ENDPOINT_HOPELESS, /* the last failure was of a kind that no time mends: nobody waits for it */
    ENDPOINT_LEFT,     /* nobody goes there any more: its connections are being closed */
};

/* Whether MULTI and EXEC may be said. */
enum endpoint_multi { MULTI_UNKNOWN, MULTI_ASKED, MULTI_KNOWN };

struct pool_endpoint {
    const struct endpoint_owner *owner;
    struct address address;
    bool is_replica;
    struct pool_conn **pool_conns;
    size_t n_pool_conns;
    unsigned failures; /* in a row */
    enum endpoint_state state;
    int64_t retry_ms; /* boot clock: not dialled before */
    int64_t told_ms;  /* when the watcher was told something last */
    struct loop_timer *timer;
    enum endpoint_multi multi;
    char multi_refusal[POOL_WORDS_SIZE]; /* why there can be no transactions; "" they can be */
};

enum cursor_owner { CURSOR_OWNER_NOT, CURSOR_OWNER_PERHAPS, CURSOR_OWNER_IS };

/** @param owner borrowed, outlives the endpoint. */
struct pool_endpoint *endpoint_new(const struct endpoint_owner *owner,
                                   const struct address *address, bool is_replica);
/** Closes its connections; what was on them is settled. */
void endpoint_close(struct pool_endpoint *endpoint);
void endpoint_free(struct pool_endpoint *endpoint);
/** The fence has come up: what is not written yet, is not to be. It is settled as such. */
void endpoint_withdraw(struct pool_endpoint *endpoint);
/** It is not dialled for a while, the longer the more often this is said in a row. */
void endpoint_back_off(struct pool_endpoint *endpoint);
/** Nothing is written to it for now. */
bool endpoint_rests(const struct pool_endpoint *endpoint);
/** Whether one of its connections takes commands, or did before it fell silent. */
bool endpoint_is_ready(const struct pool_endpoint *endpoint);
/** Tell the watcher; of replicas it is told nothing. */
void endpoint_tell(struct pool_endpoint *endpoint, enum suspicion what);

/**
 * A connection to write on. @return NULL: there is none now, one is being opened where that makes
 * sense.
 */
struct pool_conn *endpoint_pool_conn(struct pool_endpoint *endpoint);
/** Whether this server has the tag: one of its connections tells, or none is known yet. */
enum cursor_owner endpoint_owns_cursor(const struct pool_endpoint *endpoint, uint32_t cursor_tag);
/**
 * As endpoint_pool_conn(), of a server that has the tag or may have it: best a connection of which
 * that is known.
 */
struct pool_conn *endpoint_cursor_pool_conn(struct pool_endpoint *endpoint, uint32_t cursor_tag);
/** Find out whether MULTI and EXEC may be said here. */
void endpoint_ask_multi(struct pool_conn *pool_conn);
/** What was found out is void: the next transaction asks again. */
void endpoint_doubt_multi(struct pool_endpoint *endpoint);

/**
 * `n` commands in flight on this connection are orphans from now on. @param received
 * redis_conn_received() when the oldest of them was sent.
 */
void endpoint_conn_is_late(struct pool_conn *pool_conn, size_t n, uint64_t received);

#endif
