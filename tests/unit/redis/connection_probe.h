/*
 * A connection, and an owner that writes down what it is told, and frees, closes or opens it again
 * at the moment that a test wants.
 */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_CONNECTION_PROBE_H
#define BELLWETHER_TESTS_UNIT_REDIS_CONNECTION_PROBE_H

#include "bellwether/redis/connection.h"
#include "fake_peer.h"

#define HELLO "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
#define HELLO_REPLY "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define PSUBSCRIBE "*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n"
#define PUSH_ACK ">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"
#define PUSH_SDOWN ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$6\r\n+sdown\r\n$4\r\nword\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"

/* A label is too long for DNS, so every resolver refuses it without asking anybody. */
#define UNRESOLVABLE "no-such-host-no-such-host-no-such-host-no-such-host-no-such-host-0.invalid"
/* clang-format off */
#define GREET {PEER_ACCEPT, NULL}, ANSWER(HELLO, HELLO_REPLY)
/* clang-format on */

enum moment { NEVER, IN_READY, IN_DONE, IN_LOST, IN_PUSH, IN_CLOSED };

struct probe {
    bool look_for_tls;
    struct loop *loop;
    struct redis_conn *conn;
    struct loop_timer *guard, *later;
    /* what to do */
    enum moment free_in, close_in, reopen_in, stop_in;
    bool hurries; /* does not wait after a close for what else may come */
    bool subscribe;
    int commands; /* sent in `ready` */
    int64_t command_timeout_ms;
    int stop_after_pushes, nap_every_pushes; /* a millisecond long; 0: never */
    struct address again;                    /* for reopen_in */
    /* what happened */
    int n_ready, n_closed, n_done, n_lost, n_push, n_acks;
    bool guard_fired, hello_was_error, order_wrong;
    enum redis_fail why, lost_why;
    char words[256], last_reply[128], channel[64];
    int64_t closed_after_ms, opened_ms;
};

/** What a probe does with an answer. */
void probe_on_done(void *data, const redisReply *reply, enum redis_fail why);
/** A PING. */
void probe_send_one(struct probe *probe);
void probe_init(struct probe *probe);
void probe_open(struct probe *probe, const struct address *address, int64_t timeout_ms);
void probe_release(struct probe *probe);
/** Play `steps`, run until the probe stops, and check what holds for every story. */
void probe_play(struct probe *probe, const struct peer_step *steps, int64_t timeout_ms, char *seen,
                size_t seen_size);
/** It was closed once, for that reason, with that word. */
void probe_expect_end(const struct probe *probe, enum redis_fail why, const char *word);

#endif
