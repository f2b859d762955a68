/*
 * The fence, fed with recordings and, where nothing real says them, with streams written by hand.
 * The events take the way that they take in the daemon: parser, then src/watcher/fence_driver.c's
 * table. What the watcher itself sees: `mymaster published ADDRESS EPOCH`, `gap`, and, for the
 * tests alone, what a node says from then on when it is asked: `7202 says master`.
 */
#ifndef BELLWETHER_TESTS_SIM_FENCE_PLAYER_H
#define BELLWETHER_TESTS_SIM_FENCE_PLAYER_H

#include "recording.h"
#include "watcher/fence_driver.h"

#define NODES 8

enum says { SAYS_REPLICA, SAYS_MASTER, SAYS_NOTHING, SAYS_REFUSED, SAYS_CLOSED };

struct fence_player {
    struct write_fence guard;
    int64_t now_ms;
    enum fence shown;
    enum says nodes[NODES]; /* 7200 ... */
    bool asked;             /* a question is on its way */
    struct endpoint asked_whom;
    int64_t answer_ms;
    unsigned questions;
    char told[2048];
};

struct endpoint fence_node_at(const char *text);
/** What the owner does after every call. */
void fence_play_follow(struct fence_player *player);
/** Time goes on. */
void fence_play_to(struct fence_player *player, int64_t to_ms);
/** 7200 is published, and no fence is up. */
struct fence_player fence_play_start(int64_t timeout_ms);
/** Lines of a stream. */
void fence_play(struct fence_player *player, const char *lines);
/** One of recordings/. */
void fence_play_file(struct fence_player *player, const char *name);
void fence_expect_told(const struct fence_player *player, const char *told);

#define MASTER "master mymaster 127.0.0.1 7200\n"
#define REPLICA "slave 127.0.0.1:7202 127.0.0.1 7202 @ mymaster 127.0.0.1 7200\n"
#define OTHER_REPLICA "slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
#define ELECTED(ms, who) #ms " " #who " +elected-leader " MASTER
#define SELECTED(ms, who) #ms " " #who " +selected-slave " REPLICA
#define SENDING(ms, who) #ms " " #who " +failover-state-send-slaveof-noone " REPLICA
#define WAITING(ms, who) #ms " " #who " +failover-state-wait-promotion " REPLICA
#define ABORTED(ms, who, why) #ms " " #who " -failover-abort-" why " " MASTER

#endif
