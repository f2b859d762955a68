/*
 * The timeline of failovers, fed with what real Sentinels said (recordings/failover-*.txt: milliseconds, who, channel and
 * payload; Redis 7.0.15, down-after-milliseconds 1000) and with streams written by hand where nothing real says them.
 * A line whose speaker is `-` is what the watcher itself sees: `NAME good`, `lost`, `state ok`, `published ADDRESS EPOCH`.
 * The events take the way that they take in the daemon: parser, then src/watch/story.c's table.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/watch/internal.h"
#include "timeline_invariant.h"

TestSuite(sim_timeline, .timeout = 20);

#define WALL_MS INT64_C(1795348800000)
#define BOOT_MS INT64_C(50000)

struct watched {
    char name[64];
    struct timeline_master *track;
    struct address published;
};

struct player {
    struct timeline *timeline;
    struct timeline_invariant invariant;
    int64_t now_ms;
    struct watched watched[2];
    char told[4096];
};

static struct timeline_time at(const struct player *player)
{
    return (struct timeline_time){BOOT_MS + player->now_ms, WALL_MS + player->now_ms};
}

static struct address address_of(const char *text)
{
    struct address address;
    char error[160], full[300];

    snprintf(full, sizeof(full), "%s%s", strchr(text, ':') ? "" : "127.0.0.1:", text);
    cr_assert_eq(address_parse(full, 0, &address, error, sizeof(error)), 0, "%s", error);
    return address;
}

static void check(struct player *player)
{
    cr_assert(timeline_holds(&player->invariant, player->timeline, BOOT_MS + player->now_ms),
              "at %lld ms: %s", (long long)player->now_ms, player->invariant.broken);
}

/* Time goes on, with a tick at each time that the timeline asks for. */
static void pass_to(struct player *player, int64_t to_ms)
{
    int64_t next_ms, last_ms = -1;

    while ((next_ms = timeline_next_ms(player->timeline)) >= 0 && next_ms <= BOOT_MS + to_ms) {
        cr_assert_gt(next_ms, last_ms, "a busy loop");
        last_ms = next_ms;
        player->now_ms = next_ms - BOOT_MS > player->now_ms ? next_ms - BOOT_MS : player->now_ms;
        timeline_tick(player->timeline, at(player));
        check(player);
    }
    player->now_ms = to_ms;
}

static struct watched *find(struct player *player, const char *name)
{
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(player->watched[i].name, name) == 0) {
            return &player->watched[i];
        }
    }
    return NULL;
}

static void start(struct player *player, size_t capacity)
{
    *player = (struct player){.timeline = timeline_new(capacity), .invariant = {.capacity = capacity}};
    for (size_t i = 0; i < 2; i++) {
        struct watched *watched = &player->watched[i];

        snprintf(watched->name, sizeof(watched->name), "%s", i == 0 ? "mymaster" : "other");
        watched->published = address_of(i == 0 ? "7200" : "7203");
        watched->track = timeline_watch(player->timeline, watched->name, 0);
        timeline_published(player->timeline, watched->track, NULL, &watched->published, 0, true, false,
                           at(player));
        timeline_state(player->timeline, watched->track, &watched->published, MASTER_OK, at(player));
    }
}

static void stop(struct player *player)
{
    timeline_free(player->timeline);
}

static enum master_state state_of(const char *word)
{
    for (int state = 0; state < MASTER_STATES_COUNT; state++) {
        if (strcmp(word, master_state_text((enum master_state)state)) == 0) {
            return (enum master_state)state;
        }
    }
    cr_assert_fail("no state: %s", word);
    return MASTER_UNKNOWN;
}

/* What the watcher itself sees. */
static void play_own(struct player *player, const char *what)
{
    char name[64], verb[32], rest[64] = "", more[64] = "";
    int n = sscanf(what, "%63s %31s %63s %63s", name, verb, rest, more);
    struct watched *watched = find(player, name);

    cr_assert(n >= 2 && watched, "%s", what);
    if (strcmp(verb, "good") == 0 || strcmp(verb, "lost") == 0 || strcmp(verb, "alive") == 0) {
        timeline_checked(player->timeline, watched->track,
                         *verb == 'g'   ? TIMELINE_GOOD
                         : *verb == 'l' ? TIMELINE_BAD
                                        : TIMELINE_ALIVE,
                         at(player));
    } else if (strcmp(verb, "restarted") == 0) {
        timeline_restarted(player->timeline, watched->track, at(player));
    } else if (strcmp(verb, "state") == 0) {
        timeline_state(player->timeline, watched->track, &watched->published, state_of(rest), at(player));
    } else {
        bool adopted = strcmp(verb, "adopted") == 0;
        struct address from = watched->published;

        cr_assert(adopted || strcmp(verb, "published") == 0, "%s", what);
        watched->published = address_of(rest);
        timeline_published(player->timeline, watched->track, &from, &watched->published,
                           strtoll(more, NULL, 10), true, adopted, at(player));
        timeline_state(player->timeline, watched->track, &watched->published, MASTER_OK, at(player));
    }
}

static void play_event(struct player *player, const char *who, const char *what)
{
    const char *blank = strchr(what, ' ');
    size_t channel_len = blank ? (size_t)(blank - what) : strlen(what);
    const char *payload = blank ? blank + 1 : "";
    struct sentinel_event event;
    enum timeline_signal signal;
    struct watched *watched;

    cr_assert_eq(sentinel_parse_event(what, channel_len, payload, strlen(payload), &event), 0, "%s", what);
    if (!story_signal(&event, &signal)) {
        return;
    }
    watched = find(player, event.master);
    if (!watched && *event.master) {
        return;
    }
    timeline_hear(player->timeline,
                  &(struct timeline_event){.signal = signal,
                                           .master = watched ? watched->track : NULL,
                                           .sentinel = who,
                                           .about = address_is_set(&event.address) ? &event.address : NULL,
                                           .epoch = event.epoch,
                                           .failover_timeout_ms = 20000},
                  at(player));
}

static void play_line(struct player *player, const char *line)
{
    char who[32];
    long long ms;
    int used = 0;

    if (*line == '#' || *line == '\0') {
        return;
    }
    cr_assert_eq(sscanf(line, "%lld %31s %n", &ms, who, &used), 2, "%s", line);
    pass_to(player, ms);
    if (strcmp(who, "-") == 0) {
        play_own(player, line + used);
    } else if (strncmp(line + used, "row ", 4) == 0) { /* its row has force_failover */
        timeline_hear(player->timeline,
                      &(struct timeline_event){
                          .signal = TIMELINE_FORCED, .master = player->watched[0].track, .sentinel = who},
                      at(player));
    } else {
        play_event(player, who, line + used);
    }
    check(player);
}

static void play(struct player *player, const char *lines)
{
    while (*lines) {
        char line[512];
        size_t len = strcspn(lines, "\n");

        snprintf(line, sizeof(line), "%.*s", (int)len, lines);
        play_line(player, line);
        lines += len + (lines[len] == '\n');
    }
}

static void play_file(struct player *player, const char *name)
{
    char path[160], line[512];
    FILE *file;

    snprintf(path, sizeof(path), "tests/sim/recordings/failover-%s.txt", name);
    file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        play_line(player, line);
    }
    (void)fclose(file);
}

static void tell(struct player *player, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct player *player, const char *format, ...)
{
    size_t len = strlen(player->told);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(player->told + len, sizeof(player->told) - len, format, arguments);
    va_end(arguments);
}

static void tell_ms(struct player *player, const char *before, int64_t ms, bool known)
{
    if (known) {
        tell(player, " %s %lld", before, (long long)ms);
    } else {
        tell(player, " %s ?", before);
    }
}

/* "mymaster crash switched 7200>7202 epoch 1 by 7210 from 203 to 2474 gap 2419: suspected 0 sdown 1033 ...", newest first,
 * separated by " | ". */
static const char *story(struct player *player)
{
    struct failovers *list = timeline_list(player->timeline);

    player->told[0] = '\0';
    for (size_t i = 0; i < list->n; i++) {
        const struct failover *entry = list->entries[i];

        tell(player, "%s%s %s %s", i > 0 ? " | " : "", entry->name, failover_kind_text(entry->kind),
             failover_outcome_text(entry->outcome));
        if (entry->reason) {
            tell(player, "(%s)", entry->reason);
        }
        tell(player, " %d>%d", entry->has_from ? entry->from.port : 0, entry->has_to ? entry->to.port : 0);
        if (entry->config_epoch >= 0) {
            tell(player, " epoch %lld", (long long)entry->config_epoch);
        }
        if (*entry->leader) {
            tell(player, " by %s", entry->leader);
        }
        tell_ms(player, "from", entry->began_wall_ms - WALL_MS, true);
        tell_ms(player, "to", entry->ended_wall_ms - WALL_MS, entry->ended_wall_ms != 0);
        tell_ms(player, "gap", entry->unavailable_ms, entry->unavailable_ms >= 0);
        for (size_t j = 0; j < entry->n_phases; j++) {
            tell(player, "%s%s %lld", j > 0 ? " " : ": ", failover_phase_text(entry->phases[j].phase),
                 (long long)entry->phases[j].ms);
        }
    }
    failovers_unref(list);
    return player->told;
}

#define EXPECT_STORY(player, expected) cr_assert_str_eq(story(player), expected)

/* ---- recordings ---- */

Test(sim_timeline, crash)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "crash");
    EXPECT_STORY(
        &player,
        "mymaster crash switched 7200>7202 epoch 1 by 7210 from 203 to 2474 gap 2419: "
        "suspected 0 sdown 1033 odown 1153 elected 1224 selected 1307 promoting 1307 promoted 2209 published 2216 finished 2271");
    cr_assert_eq(player.invariant.n_taken, 1, "three Sentinels, one failover");
    cr_assert_eq(player.invariant.n_resolved, 0, "all was known at its end");
    stop(&player);
}

Test(sim_timeline, manual)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "manual");
    EXPECT_STORY(&player, "mymaster manual switched 7200>7202 epoch 1 by 7210 from 188 to 1364 gap 0: "
                          "elected 0 selected 101 promoting 101 promoted 1056 published 1061 finished 1120");
    stop(&player);
}

Test(sim_timeline, aborted_and_repeated)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "repeated");
    EXPECT_STORY(&player,
                 "mymaster crash switched 7200>7201 epoch 2 by 7211 from 9516 to 10897 gap 9775: "
                 "elected 0 selected 52 promoting 52 promoted 194 published 203 finished 1325 | "
                 "mymaster crash aborted(no_good_slave) 7200>0 epoch 1 by 7210 from 202 to 1497 gap ?: "
                 "suspected 0 sdown 1046 odown 1156 elected 1211");
    stop(&player);
}

Test(sim_timeline, simultaneous)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "simultaneous");
    pass_to(&player, 100000);
    EXPECT_STORY(
        &player,
        "other crash aborted(no_good_slave) 7204>0 epoch 3 by 7211 from 5478 to 5629 gap 0: "
        "sdown 0 odown 0 elected 84 | "
        "other crash switched 7203>7204 epoch 1 by 7211 from 1199 to 4467 gap 3407: "
        "suspected 0 sdown 1020 odown 1152 elected 2321 selected 2396 promoting 2396 promoted 3209 published 3224 finished 3268 | "
        "mymaster crash switched 7200>7201 epoch 2 by 7212 from 1199 to 4530 gap 2412: "
        "suspected 0 sdown 1020 odown 1152 elected 1286 selected 1353 promoting 1353 promoted 2224 published 2229 finished 3331");
    stop(&player);
}

Test(sim_timeline, no_quorum)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "no-quorum");
    EXPECT_STORY(&player, "mymaster crash not_started(no_quorum) 7200>0 from 1198 to 12275 gap 14218: "
                          "suspected 0 sdown 1077");
    cr_assert_eq(player.invariant.n_resolved, 1, "how long was known after its end only");
    stop(&player);
}

Test(sim_timeline, tilt)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "tilt");
    pass_to(&player, 40000);
    EXPECT_STORY(&player, "mymaster crash not_started(tilt) 7200>0 from 2505 to 13560 gap ?: "
                          "suspected 0 sdown 1055");
    stop(&player);
}

/* ---- attempts ---- */

#define MASTER " master mymaster 127.0.0.1 7200\n"
#define REPLICA " slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
#define DOWN                                            \
    "100 - mymaster good\n"                             \
    "200 - mymaster lost\n"                             \
    "201 - mymaster state down\n"                       \
    "1200 7210 +sdown" MASTER "1210 7211 +sdown" MASTER \
    "1300 7210 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n"

/* A test that plays lines, lets time pass, and compares the story. */
#define STORY_TEST(what, until_ms, lines, expected) \
    Test(sim_timeline, what)                        \
    {                                               \
        struct player player;                       \
        start(&player, 64);                         \
        play(&player, lines);                       \
        if ((until_ms) > player.now_ms)             \
            pass_to(&player, until_ms);             \
        EXPECT_STORY(&player, expected);            \
        stop(&player);                              \
    }

STORY_TEST(forced_while_down, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n"
           "1200 7210 +sdown" MASTER "3000 7210 +new-epoch 7\n3000 7210 +try-failover" MASTER
           "3001 7210 row force_failover\n"
           "3080 7210 +elected-leader" MASTER,
           "mymaster manual running 7200>0 epoch 7 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 elected 2880")
STORY_TEST(
    two_try_and_one_is_elected, 0,
    DOWN "1310 7210 +new-epoch 4\n1310 7210 +try-failover" MASTER
         "1320 7211 +new-epoch 5\n1320 7211 +try-failover" MASTER "1400 7211 +elected-leader" MASTER
         "1500 7211 +selected-slave" REPLICA "1600 7210 -failover-abort-not-elected" MASTER
         "2300 7211 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 5\n3000 7211 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 5 by 7211 from 200 to 3000 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101 finished 2800")
STORY_TEST(restarted_while_it_was_away, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n"
           "900 - mymaster good\n900 - mymaster state ok\n901 - mymaster restarted\n",
           "mymaster unknown recovered(restarted) 7200>0 from 200 to 900 gap 800: suspected 0")
STORY_TEST(restarted_while_sentinels_saw_it_down, 0,
           DOWN "1400 - mymaster good\n1400 - mymaster state ok\n1401 - mymaster restarted\n"
                "1500 7210 -odown" MASTER "1500 7210 -sdown" MASTER "1500 7211 -sdown" MASTER,
           "mymaster crash recovered(restarted) 7200>0 from 200 to 1500 gap 1300: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(restarted_before_anybody_noticed, 0,
           "100 - mymaster good\n200 - mymaster lost\n210 - mymaster good\n211 - mymaster restarted\n"
           "300 - mymaster good\n",
           "mymaster unknown recovered(restarted) 7200>0 from 211 to 211 gap ?: suspected 0")
STORY_TEST(nobody_elected_and_back, 0,
           DOWN "1310 7210 +try-failover" MASTER "1320 7211 +try-failover" MASTER
                "11400 7211 -failover-abort-not-elected" MASTER
                "11500 7210 -failover-abort-not-elected" MASTER
                "15000 - mymaster good\n15000 - mymaster state ok\n15400 7210 -sdown" MASTER,
           "mymaster crash aborted(not_elected) 7200>0 from 200 to 11500 gap 14900: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(manual_times_out, 0,
           "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER
           "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
           "300 7210 +failover-state-send-slaveof-noone" REPLICA
           "1100 - mymaster good\n20300 7210 -failover-abort-slave-timeout" MASTER,
           "mymaster manual aborted(slave_timeout) 7200>0 epoch 3 by 7210 from 200 to 20300 gap 0: "
           "elected 0 selected 50 promoting 50")
STORY_TEST(leader_falls_silent, 60000,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "1500 7210 +selected-slave" REPLICA,
           "mymaster crash aborted(slave_timeout) 7200>0 by 7210 from 200 to 31500 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(candidate_falls_silent, 60000, DOWN "1310 7210 +try-failover" MASTER,
           "mymaster crash aborted(not_elected) 7200>0 from 200 to 21310 gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(
    replicas_do_not_follow_in_time, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n"
         "22300 7210 +failover-end-for-timeout" MASTER "22300 7210 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 22300 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101 finished 22100")
STORY_TEST(switched_and_never_finished, 60000,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
                "2301 - mymaster published 7201 1\n",
           "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 2301 gap 2201: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(new_one_dies_before_the_end, 0,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
                "2301 - mymaster published 7201 1\n2310 7211 +sdown" MASTER
                "3300 - mymaster good\n3400 - mymaster lost\n3401 - mymaster state down\n"
                "4400 7211 +sdown master mymaster 127.0.0.1 7201\n",
           "mymaster crash running 7201>0 from 3400 to ? gap ?: "
           "suspected 0 sdown 1000 | "
           "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 2301 gap 2201: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(
    only_the_others_are_heard, 20000,
    DOWN
    "2400 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n2410 - mymaster published 7201 3\n",
    "mymaster crash switched 7200>7201 epoch 3 from 200 to 2410 gap 2310: "
    "suspected 0 sdown 1000 odown 1100 promoted 2200 published 2210")
STORY_TEST(beginning_was_missed, 0,
           "100 - mymaster good\n300 7210 +failover-state-wait-promotion" REPLICA "1100 - mymaster good\n"
           "1300 7210 +promoted-slave" REPLICA
           "1301 - mymaster published 7201 3\n2000 7210 +failover-end" MASTER,
           "mymaster unknown switched 7200>7201 epoch 3 by 7210 from 300 to 2000 gap 201: "
           "promoting 0 promoted 1000 published 1001 finished 1700")
STORY_TEST(
    next_begins_before_the_end, 0,
    "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
    "1200 7210 +promoted-slave" REPLICA "1201 - mymaster published 7201 1\n"
    "1300 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n"
    "1400 7211 +try-failover master mymaster 127.0.0.1 7201\n1450 7211 +elected-leader master mymaster 127.0.0.1 7201\n"
    "1500 7210 +failover-end" MASTER "1600 7212 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual running 7201>0 by 7211 from 1400 to ? gap ?: "
    "elected 0 | "
    "mymaster manual switched 7200>7201 epoch 1 by 7210 from 200 to 1201 gap 0: "
    "elected 0 promoted 950 published 951")
STORY_TEST(
    published_long_after, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "3300 7210 +failover-end" MASTER "400000 - mymaster published 7201 1\n",
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 400000 gap 399900: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 finished 3100 published 399800")

/* ---- none begins ---- */

STORY_TEST(
    back_before_anybody_saw, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n2500 - mymaster good\n2500 - mymaster state ok\n",
    "mymaster unknown recovered 7200>0 from 200 to 2500 gap 2400: "
    "suspected 0")
STORY_TEST(a_blip_is_no_story, 0, "100 - mymaster good\n200 - mymaster lost\n210 - mymaster good\n", "")
STORY_TEST(back_and_sentinels_say_so, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
           "1500 - mymaster good\n1500 - mymaster state ok\n1900 7210 -sdown" MASTER,
           "mymaster crash recovered 7200>0 from 200 to 1900 gap 1400: "
           "suspected 0 sdown 1000")
STORY_TEST(back_and_a_sentinel_does_not_say_so, 30000,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
           "1500 - mymaster good\n1500 - mymaster state ok\n",
           "mymaster crash recovered 7200>0 from 200 to 11200 gap 1400: "
           "suspected 0 sdown 1000")
STORY_TEST(one_sentinel_is_cut_off, 30000,
           "100 - mymaster good\n1200 7210 +sdown" MASTER "1500 - mymaster good\n",
           "mymaster crash not_started(no_quorum) 7200>0 from 1200 to 11200 gap 0: "
           "sdown 0")
STORY_TEST(odown_and_none_tries, 30000, DOWN,
           "mymaster crash not_started(not_elected) 7200>0 from 200 to 11300 gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(no_sentinel_sees_it, 300000,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n",
           "mymaster unknown not_started(no_quorum) 7200>0 from 200 to 120201 gap ?: "
           "suspected 0")
STORY_TEST(
    replicas_and_sentinels_go_down, 30000,
    "100 - mymaster good\n200 7210 +sdown slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
    "300 7210 +sdown sentinel 482b 127.0.0.1 7211 @ mymaster 127.0.0.1 7200\n",
    "")
STORY_TEST(quorum_returns_after_a_while, 0,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
           "30000 7211 +sdown" MASTER "30100 7211 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n"
           "30110 7211 +new-epoch 9\n30110 7211 +try-failover" MASTER "30200 7211 +elected-leader" MASTER
           "31000 7211 +promoted-slave" REPLICA
           "31002 - mymaster published 7201 9\n32000 7211 +failover-end" MASTER,
           "mymaster crash switched 7200>7201 epoch 9 by 7211 from 30100 to 32000 gap 30902: "
           "odown 0 elected 100 promoted 900 published 902 finished 1900 | "
           "mymaster crash not_started(no_quorum) 7200>0 from 200 to 11200 gap ?: "
           "suspected 0 sdown 1000")

/* ---- without events, and --adopt ---- */

STORY_TEST(
    no_events_at_all, 20000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n2400 - mymaster published 7201 3\n",
    "mymaster unknown switched 7200>7201 epoch 3 from 200 to 2400 gap 2300: "
    "suspected 0 published 2200")
STORY_TEST(adopted, 0,
           "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER
           "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
           "300 7210 +failover-state-send-slaveof-noone" REPLICA
           "400 - mymaster adopted 7201 3\n410 7210 +failover-state-wait-promotion" REPLICA
           "1200 7210 +promoted-slave" REPLICA "2200 7210 +failover-end" MASTER
           "2200 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
           "mymaster manual switched 7200>7201 epoch 3 by 7210 from 200 to 2200 gap 0: "
           "elected 0 selected 50 promoting 50 adopted 150 published 150 promoted 950 finished 1950")
STORY_TEST(adopted_and_aborted, 0,
           "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
           "300 7210 +selected-slave" REPLICA "400 - mymaster adopted 7201 3\n"
           "20400 7210 -failover-abort-slave-timeout" MASTER "20401 - mymaster published 7200 3\n",
           "mymaster manual aborted(slave_timeout) 7200>0 epoch 3 by 7210 from 200 to 20400 gap 0: "
           "elected 0 selected 50 adopted 150 published 150")
STORY_TEST(adopted_and_taken_back, 0,
           "100 - mymaster good\n200 7210 +try-failover" MASTER "250 7210 +elected-leader" MASTER
           "300 7210 +selected-slave" REPLICA
           "400 - mymaster adopted 7201 3\n2500 - mymaster published 7200 2\n",
           "mymaster manual aborted 7200>0 epoch 3 by 7210 from 200 to 2500 gap 0: "
           "elected 0 selected 50 adopted 150 published 150")

/* ---- the ring ---- */

Test(sim_timeline, ring_overflows)
{
    struct player player;

    start(&player, 3);
    for (int i = 0; i < 5; i++) {
        char lines[256];

        snprintf(
            lines, sizeof(lines),
            "%d - mymaster good\n%d - mymaster lost\n%d - mymaster state down\n%d - mymaster good\n%d - mymaster state ok\n",
            i * 1000, i * 1000 + 100, i * 1000 + 101, i * 1000 + 500, i * 1000 + 500);
        play(&player, lines);
    }
    EXPECT_STORY(&player, "mymaster unknown recovered 7200>0 from 4100 to 4500 gap 500: "
                          "suspected 0 | "
                          "mymaster unknown recovered 7200>0 from 3100 to 3500 gap 500: "
                          "suspected 0 | "
                          "mymaster unknown recovered 7200>0 from 2100 to 2500 gap 500: "
                          "suspected 0");
    cr_assert_eq(player.invariant.n_taken, 5);
    stop(&player);
}

Test(sim_timeline, open_entry_leaves_the_ring)
{
    struct player player;
    struct failovers *list;

    start(&player, 1);
    play(&player, "100 - mymaster good\n100 - other good\n200 - mymaster lost\n201 - mymaster state down\n"
                  "300 - other lost\n301 - other state down\n");
    list = timeline_list(player.timeline);
    play(&player, "400 - mymaster good\n400 - mymaster state ok\n");
    EXPECT_STORY(&player, "other unknown running 7203>0 from 300 to ? gap ?: "
                          "suspected 0");
    cr_assert_eq(player.invariant.n_taken, 1, "it is told all the same");
    play(&player, "500 - other good\n500 - other state ok\n");
    cr_assert_eq(list->entries[0]->outcome, FAILOVER_RUNNING, "what was shared does not change");
    failovers_unref(list);
    EXPECT_STORY(&player, "other unknown recovered 7203>0 from 300 to 500 gap 400: "
                          "suspected 0");
    stop(&player);
}

Test(sim_timeline, master_is_watched_no_longer)
{
    struct player player;

    start(&player, 64);
    play(&player, DOWN "1310 7210 +try-failover" MASTER);
    timeline_forget(player.timeline, player.watched[0].track, at(&player));
    check(&player);
    EXPECT_STORY(&player, "mymaster crash aborted(not_elected) 7200>0 from 200 to 1310 gap ?: "
                          "suspected 0 sdown 1000 odown 1100");
    cr_assert_eq(timeline_next_ms(player.timeline), -1);
    stop(&player);
}
