/*
 * A pool on a loop, a master that is published, and requests that are waited for: for tests against
 * scripted peers.
 */
#ifndef BELLWETHER_TESTS_UNIT_COMMANDS_POOL_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_COMMANDS_POOL_FIXTURE_H

#include "../redis/fake_peer.h"
#include "bellwether/commands/pool.h"

#define BULK(n, text) "$" #n "\r\n" text "\r\n"
#define HELLO "*2\r\n" BULK(5, "HELLO") BULK(1, "2")
#define HELLO_REPLY(n, role) \
    "*4\r\n" BULK(6, "server") BULK(5, "redis") BULK(4, "role") BULK(n, role)
#define COMMAND "*1\r\n" BULK(7, "COMMAND")
#define ENTRY(n, name, flag, category) \
    "*7\r\n" BULK(n, name) ":-2\r\n*1\r\n+" flag "\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@" category "\r\n"
#define TABLE \
    "*5\r\n" ENTRY(3, "get", "readonly", "read") ENTRY(3, "set", "write", "write") \
        ENTRY(4, "incr", "write", "write") ENTRY(4, "eval", "noscript", "scripting") \
            ENTRY(6, "config", "admin", "admin")
#define GET "*2\r\n" BULK(3, "GET") BULK(1, "k")
#define INCR "*2\r\n" BULK(4, "INCR") BULK(1, "k")
#define SET "*3\r\n" BULK(3, "SET") BULK(1, "k") BULK(1, "v")
#define EVAL "*3\r\n" BULK(4, "EVAL") BULK(1, "s") BULK(1, "0")
#define MULTI "*1\r\n" BULK(5, "MULTI")
#define EXEC "*1\r\n" BULK(4, "EXEC")
#define READONLY "-READONLY You can't write against a read only replica.\r\n"

/* clang-format off */
#define OPEN {PEER_ACCEPT, NULL}, ANSWER(HELLO, HELLO_REPLY(6, "master"))
#define GREET OPEN, ANSWER(COMMAND, TABLE)
/* clang-format on */

enum { JOBS_MAX = 8 };

/* How a body is to be run. */
enum submission { AS_ONE, AS_RETRIED, AS_PIPELINE, AS_TRANSACTION };

struct pool_stage {
    const char *rules; /* of --commands; NULL: all may be run */
    struct loop *loop;
    struct loop_timer *guard, *poll;
    struct loop_later turns_end;
    struct pool *pool;
    struct pool_config config;
    const struct subscriber_hooks *subscribers;
    struct redis_login login;
    struct policy *policy;
    struct secret *secret;
    struct metrics *metrics;
    struct metrics_redis *counts;
    _Atomic size_t waiting;
    struct snapshot *snapshot;
    struct pulse pulse;   /* the watcher's: what is published has read as far as it goes */
    int64_t promoting_ms; /* when a leader was heard to begin a promotion */
    enum reason reason;   /* what the next snapshot says of the master */
    struct pool_request *requests[JOBS_MAX];
    size_t n_requests, n_ended;
    bool guard_fired, stalled;
    int heard_asked;
    int suspicions[8];
    int64_t until_ms; /* of pool_stage_run_for() */
    /* what is to happen when something holds */
    bool (*when)(struct pool_stage *stage);
    void (*then)(struct pool_stage *stage);
};

/** What `config` says stays; the rest has values that a test can wait for. */
void pool_stage_open(struct pool_stage *stage);
/** The master, as the watcher would publish it. @param address NULL: there is none. */
void pool_stage_publish(struct pool_stage *stage, const struct address *address, uint64_t switches,
                        enum fence fence);
void pool_stage_publish_peer(struct pool_stage *stage, const struct fake_peer *peer);
/**
 * Run a body as a request that is the stage's from now on. @return whether that was its end
 * already.
 */
bool pool_stage_hand_in(struct pool_stage *stage, struct pool_request *request, enum submission how,
                        const char *json);
/** On the master. */
struct pool_request *pool_stage_submit_as(struct pool_stage *stage, enum submission how,
                                          const char *json);
struct pool_request *pool_stage_submit(struct pool_stage *stage, const char *json);
/** Run until this holds. */
void pool_stage_run_until(struct pool_stage *stage, bool (*when)(struct pool_stage *stage));
void pool_stage_run_for(struct pool_stage *stage, int64_t ms);
/** Run until all requests have ended. */
void pool_stage_run(struct pool_stage *stage);
/** Nothing may be left, of requests, counts and connections. */
void pool_stage_close(struct pool_stage *stage);
/** The script ran to its end. */
void fake_peer_end(struct fake_peer *peer);
void expect_done(const struct pool_request *request, size_t i, const char *json);
void expect_words(const struct pool_request *request, size_t i, enum command_outcome outcome,
                  const char *words);
bool pool_stage_one_done(struct pool_stage *stage);
bool pool_stage_one_in_flight(struct pool_stage *stage);
/** The stage, and a peer that plays `steps` and is the master. */
struct fake_peer *pool_stage_open_with(struct pool_stage *stage, const struct peer_step *steps);
void pool_stage_close_with(struct pool_stage *stage, struct fake_peer *peer);

#endif
