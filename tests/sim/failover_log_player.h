/*
 * The failover log of failovers, fed with recordings and, where nothing real says them, with
 * streams written by hand. What the watcher itself sees: `NAME good`, `lost`, `state ok`,
 * `published ADDRESS EPOCH`. The events take the way that they take in the daemon: parser, then
 * src/watcher/failover_recorder.c's table.
 */
#ifndef BELLWETHER_TESTS_SIM_FAILOVER_LOG_PLAYER_H
#define BELLWETHER_TESTS_SIM_FAILOVER_LOG_PLAYER_H

#include <criterion/criterion.h>

#include "failover_log_invariant.h"
#include "recording.h"
#include "watcher/failover_recorder.h"

#define WALL_MS INT64_C(1795348800000)

struct failover_watched {
    char name[64];
    struct failover_record *record;
    struct address published;
};

struct failover_player {
    struct failover_log *failover_log;
    struct failover_log_invariant invariant;
    int64_t now_ms;
    struct failover_watched watched[2];
    char told[4096];
};

struct failover_log_time failover_play_time(const struct failover_player *player);
/** The invariant holds. */
void failover_play_check(struct failover_player *player);
/** Time goes on, with a tick at each time that the failover log asks for. */
void failover_play_to(struct failover_player *player, int64_t to_ms);
/** Two masters are watched and served, `mymaster` at 7200 and `other` at 7203. */
struct failover_player failover_play_start(size_t capacity);
void failover_play_stop(struct failover_player *player);
/** Lines of a stream. */
void failover_play(struct failover_player *player, const char *lines);
/** One of recordings/. */
void failover_play_file(struct failover_player *player, const char *name);
/**
 * "mymaster crash switched 7200>7202 epoch 1 by 7210 from 203 to 2474 gap 2419: suspected 0 sdown
 * 1033 ...", newest first, separated by " | ".
 */
const char *failover_story(struct failover_player *player);

#define EXPECT_STORY(player, expected) cr_assert_str_eq(failover_story(player), expected)

#define MASTER " master mymaster 127.0.0.1 7200\n"
#define REPLICA " slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
#define DOWN \
    "100 - mymaster good\n" \
    "200 - mymaster lost\n" \
    "201 - mymaster state down\n" \
    "1200 7210 +sdown" MASTER "1210 7211 +sdown" MASTER \
    "1300 7210 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n"

/* A test that plays lines, lets time pass, and compares the story. */
#define STORY_TEST(what, until_ms, lines, expected) \
    Test(sim_failover_log, what) \
    { \
        struct failover_player player; \
        player = failover_play_start(64); \
        failover_play(&player, lines); \
        if ((until_ms) > player.now_ms) \
            failover_play_to(&player, until_ms); \
        EXPECT_STORY(&player, expected); \
        failover_play_stop(&player); \
    }

#define LED \
    DOWN "1310 7210 +new-epoch 4\n1310 7210 +try-failover" MASTER \
         "1400 7210 +elected-leader" MASTER "1500 7210 +selected-slave" REPLICA

#endif
