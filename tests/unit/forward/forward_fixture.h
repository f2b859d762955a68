/*
 * One worker's forwards on a loop, what is published to them, and sockets of the test's own at both
 * ends: nodes that say what a test wants, and clients.
 */
#ifndef BELLWETHER_TESTS_UNIT_FORWARD_FORWARD_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_FORWARD_FORWARD_FIXTURE_H

#include <criterion/criterion.h>

#include "bellwether/base/clock.h"
#include "bellwether/forward/forward.h"

enum { FORWARD_STAGE_NODES = 4, FORWARD_STAGE_REPLICAS = 2 };

struct forward_stage {
    struct loop *loop;
    struct loop_timer *timer;
    struct metrics *metrics;
    struct forward_listen listen[2]; /* set before forward_stage_open() */
    struct forward_config config;    /* the same: what is 0 there gets a value */
    struct forward_tls tls;          /* the same: towards clients */
    struct redis_login login;
    const char *password; /* of `,auth`; set before forward_stage_open(); NULL: there is none */
    struct secret *secret;
    struct forward_shared *shared;
    struct forwards *forwards;
    struct metrics_forward *counts;
    struct pulse pulse;
    /* what forward_stage_publish() says */
    struct snapshot_master says; /* address, reason, fence, switches, promoting_ms, contradicted */
    struct snapshot_replica replicas[FORWARD_STAGE_REPLICAS];
    size_t n_replicas;
    struct snapshot_master *master; /* as it was published last; NULL: none */
    int nodes[FORWARD_STAGE_NODES]; /* listening sockets */
    int suspicions, heard_asked;
    enum suspicion suspected; /* the last one */
    bool silent;              /* the watcher gives no sign of life any more */
};

void forward_stage_open(struct forward_stage *stage);
/** Everything has to be over by then: nothing may be left, of counts and memory. */
void forward_stage_close(struct forward_stage *stage);
/** Where a node listens. */
struct address forward_stage_node(const struct forward_stage *stage, size_t node);
/** From now on it refuses whoever comes; nobody else is given its port. */
void forward_stage_refuse(struct forward_stage *stage, size_t node);
/** A new snapshot with what it `says`. */
void forward_stage_publish(struct forward_stage *stage);
/** The same with no master at all. */
void forward_stage_publish_nothing(struct forward_stage *stage);
/** A new snapshot in which this master did not change. */
void forward_stage_publish_the_same(struct forward_stage *stage);
/** A turn or some, 2 ms at most. */
void forward_stage_turn(struct forward_stage *stage);
/** Some turns at least, also where the process stands still. */
void forward_stage_run_for(struct forward_stage *stage, int64_t ms);

/** A client of the first forward. */
int forward_stage_client(const struct forward_stage *stage);
int forward_stage_client_of(const struct forward_stage *stage, size_t forward);
/** The next connection that comes to a node. */
int forward_stage_accept(struct forward_stage *stage, size_t node);
/** A client that was joined to the node, and has spoken. @param to the node's end. */
int forward_stage_joined(struct forward_stage *stage, size_t node, int *to);
/** A stage on which one client is joined to the master. @param to the node's end. @return it. */
int forward_stage_open_joined(struct forward_stage *stage, int *to);
void forward_stage_close_joined(struct forward_stage *stage, int client, int node);
void forward_stage_send(int fd, const char *text);
/** What has come by now, at most 255 bytes, "" for nothing. Static. */
const char *forward_stage_take(int fd);
/** Whether the other side has ended, with all that it said read. */
bool forward_stage_ended(int fd);
uint64_t forward_stage_closed(const struct forward_stage *stage, enum metric_forward_end why);

#define RUN_UNTIL(stage, condition) \
    do { \
        const int64_t end_ms_ = clock_boot_ms() + 15000; \
        while (!(condition)) { \
            cr_assert(clock_boot_ms() < end_ms_, "never: %s", #condition); \
            forward_stage_turn(stage); \
        } \
    } while (0)

/* All of this text comes, and nothing else. */
#define EXPECT_COMES(stage, fd, text) forward_stage_expect(stage, fd, text, __LINE__)
void forward_stage_expect(struct forward_stage *stage, int fd, const char *text, int line);

#endif
