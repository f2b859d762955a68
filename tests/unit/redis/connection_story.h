/* A story: a connection, its peer, calls on it, and a loop that runs until something is so. */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_CONNECTION_STORY_H
#define BELLWETHER_TESTS_UNIT_REDIS_CONNECTION_STORY_H

#include "bellwether/redis/connection.h"
#include "fake_peer.h"

#define HELLO_2 "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n"
#define HELLO_3 "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
#define HELLO_REPLY "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
/* clang-format off */
#define GREET {PEER_ACCEPT, NULL}, ANSWER(HELLO_2, HELLO_REPLY)
/* clang-format on */
#define CALLS 16

enum deed { NOTHING, FREE, CLOSE, SEND, REOPEN };

struct call {
    struct redis_expect expect;
    struct story *story;
    bool is_command;
    enum deed deed; /* in `done` */
    /* what happened */
    int done; /* times */
    int place;
    enum redis_fail why;
    bool written;
    enum result_kind kind;
    char text[512]; /* of the answer */
    size_t size;    /* of its JSON */
};

struct story {
    struct loop *loop;
    struct redis_conn *conn;
    struct fake_peer *peer;
    struct loop_timer *guard, *tick;
    bool (*until)(struct story *story);
    struct call calls[CALLS];
    size_t n_calls;
    int n_done, n_ready, n_closed;
    bool guard_fired;
    enum redis_fail why;
    char words[256];
    uint64_t received, most_in_a_turn;
};

/** Begin to connect to a peer that plays `steps`. */
void story_tell_to(struct story *story, const struct peer_step *steps, int protocol);
/** Connect and be greeted. */
void story_tell(struct story *story, const struct peer_step *steps);
/** Every call ended once, and the script ran to its end. */
void story_end(struct story *story);
void story_run_until(struct story *story, bool (*until)(struct story *story));
bool story_is_ready(struct story *story);
bool story_is_closed(struct story *story);
bool story_all_done(struct story *story);
bool story_nothing_unsent(struct story *story);
/** Two looks in a row, milliseconds apart, found the socket full. */
bool story_socket_is_full(struct story *story);
struct call *story_send_wire(struct story *story, const char *wire, size_t size);
struct call *story_send_ping(struct story *story);
struct call *story_send_transaction(struct story *story, unsigned members);
/** One whose answer is a tree. */
struct call *story_send_command(struct story *story);
/** Bytes that go nowhere in particular: what PEER_SWALLOW wants, from its byte `from` on. */
struct call *story_send_pattern(struct story *story, size_t from, size_t size);
/** It was answered so, as number `place`. */
void call_expect_text(const struct call *call, int place, const char *text);
/** It was not answered. */
void call_expect_lost(const struct call *call, enum redis_fail why, bool written);
void story_expect_end(const struct story *story, enum redis_fail why, const char *word);

#endif
