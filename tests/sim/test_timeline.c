/*
 * The failover log of failovers, fed with what real Sentinels said (recordings/failover-*.txt:
 * milliseconds, who, channel and payload; Redis 7.0.15, down-after-milliseconds 1000) and with
 * streams written by hand where nothing real says them. A line whose speaker is `-` is what the
 * watcher itself sees: `NAME good`, `lost`, `state ok`, `published ADDRESS EPOCH`. The events take
 * the way that they take in the daemon: parser, then src/watcher/failover_recorder.c's table.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bellwether/sentinel/event.h"
#include "timeline_invariant.h"
#include "watcher/failover_recorder.h"

TestSuite(sim_timeline, .timeout = 20);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TALES 600
#else
#define TALES 3000
#endif

#define WALL_MS INT64_C(1795348800000)
#define BOOT_MS INT64_C(50000)

struct watched {
    char name[64];
    struct failover_record *record;
    struct address published;
};

struct player {
    struct failover_log *failover_log;
    struct failover_log_invariant invariant;
    int64_t now_ms;
    struct watched watched[2];
    char told[4096];
};

static struct failover_log_time at(const struct player *player)
{
    return (struct failover_log_time){BOOT_MS + player->now_ms, WALL_MS + player->now_ms};
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
    cr_assert(
        failover_log_holds(&player->invariant, player->failover_log, BOOT_MS + player->now_ms),
        "at %lld ms: %s", (long long)player->now_ms, player->invariant.broken);
}

/* Time goes on, with a tick at each time that the failover log asks for. */
static void pass_to(struct player *player, int64_t to_ms)
{
    int64_t next_ms, last_ms = -1;

    while ((next_ms = failover_log_next_ms(player->failover_log)) >= 0 &&
           next_ms <= BOOT_MS + to_ms) {
        cr_assert_gt(next_ms, last_ms, "a busy loop");
        last_ms = next_ms;
        player->now_ms = next_ms - BOOT_MS > player->now_ms ? next_ms - BOOT_MS : player->now_ms;
        failover_log_tick(player->failover_log, at(player));
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
    *player = (struct player){.failover_log = failover_log_new(capacity),
                              .invariant = {.capacity = capacity}};
    for (size_t i = 0; i < 2; i++) {
        struct watched *watched = &player->watched[i];

        snprintf(watched->name, sizeof(watched->name), "%s", i == 0 ? "mymaster" : "other");
        watched->published = address_of(i == 0 ? "7200" : "7203");
        watched->record = failover_log_watch(player->failover_log, watched->name, 0);
        failover_log_published(player->failover_log, watched->record, NULL, &watched->published, 0,
                               true, false, at(player));
        failover_log_state(player->failover_log, watched->record, &watched->published, MASTER_OK,
                           at(player));
    }
}

static void stop(struct player *player)
{
    failover_log_free(player->failover_log);
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
        failover_log_checked(player->failover_log, watched->record,
                             *verb == 'g'   ? TIMELINE_GOOD
                             : *verb == 'l' ? TIMELINE_BAD
                                            : TIMELINE_ALIVE,
                             at(player));
    } else if (strcmp(verb, "restarted") == 0) {
        failover_log_restarted(player->failover_log, watched->record, at(player));
    } else if (strcmp(verb, "state") == 0) {
        failover_log_state(player->failover_log, watched->record, &watched->published,
                           state_of(rest), at(player));
    } else {
        bool adopted = strcmp(verb, "adopted") == 0;
        struct address from = watched->published;

        cr_assert(adopted || strcmp(verb, "published") == 0, "%s", what);
        watched->published = address_of(rest);
        failover_log_published(player->failover_log, watched->record, &from, &watched->published,
                               strtoll(more, NULL, 10), true, adopted, at(player));
        failover_log_state(player->failover_log, watched->record, &watched->published, MASTER_OK,
                           at(player));
    }
}

static void play_event(struct player *player, const char *who, const char *what)
{
    const char *blank = strchr(what, ' ');
    size_t channel_len = blank ? (size_t)(blank - what) : strlen(what);
    const char *payload = blank ? blank + 1 : "";
    struct sentinel_event event;
    enum failover_log_signal signal;
    struct watched *watched;

    cr_assert_eq(sentinel_parse_event(what, channel_len, payload, strlen(payload), &event), 0, "%s",
                 what);
    if (!failover_recorder_signal(&event, &signal)) {
        return;
    }
    watched = find(player, event.master);
    if (!watched && *event.master) {
        return;
    }
    failover_log_hear(
        player->failover_log,
        &(struct failover_log_event){
            .signal = signal,
            .master = watched ? watched->record : NULL,
            .sentinel = who,
            .of = address_is_set(&event.master_address) ? &event.master_address : NULL,
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
    } else if (strncmp(line + used, "row ", 4) ==
               0) { /* its row has force_failover, or a failover under way */
        failover_log_hear(player->failover_log,
                          &(struct failover_log_event){
                              .signal = line[used + 4] == 'f' ? TIMELINE_FORCED : TIMELINE_BUSY,
                              .master = player->watched[0].record,
                              .sentinel = who},
                          at(player));
    } else if (strcmp(line + used, "lost") == 0) { /* its link */
        failover_log_hear(player->failover_log,
                          &(struct failover_log_event){.signal = TIMELINE_LOST,
                                                       .master = player->watched[0].record,
                                                       .sentinel = who},
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

static void tell(struct player *player, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

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

/*
 * "mymaster crash switched 7200>7202 epoch 1 by 7210 from 203 to 2474 gap 2419: suspected 0 sdown
 * 1033 ...", newest first, separated by " | ".
 */
static const char *story(struct player *player)
{
    struct failovers *list = failover_log_list(player->failover_log);

    player->told[0] = '\0';
    for (size_t i = 0; i < list->n; i++) {
        const struct failover *entry = list->entries[i];

        tell(player, "%s%s %s %s", i > 0 ? " | " : "", entry->name, failover_kind_text(entry->kind),
             failover_outcome_text(entry->outcome));
        if (entry->reason) {
            tell(player, "(%s)", entry->reason);
        }
        tell(player, " %d>%d", entry->has_from ? entry->from.port : 0,
             entry->has_to ? entry->to.port : 0);
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
            tell(player, "%s%s %lld", j > 0 ? " " : ": ",
                 failover_phase_text(entry->phases[j].phase), (long long)entry->phases[j].ms);
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
    EXPECT_STORY(&player,
                 "mymaster manual switched 7200>7202 epoch 1 by 7210 from 188 to 1364 gap 0: "
                 "elected 0 selected 101 promoting 101 promoted 1056 published 1061 finished 1120");
    stop(&player);
}

Test(sim_timeline, aborted_and_repeated)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "repeated");
    EXPECT_STORY(
        &player,
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
    EXPECT_STORY(&player, "mymaster crash recovered 7200>0 from 1198 to 15227 gap 14218: "
                          "suspected 0 sdown 1077");
    cr_assert_eq(player.invariant.n_resolved, 0, "all was known at its end");
    stop(&player);
}

Test(sim_timeline, tilt)
{
    struct player player;

    start(&player, 64);
    play_file(&player, "tilt");
    pass_to(&player, 40000);
    EXPECT_STORY(&player, "mymaster crash unattended(tilt) 7200>0 from 2505 to ? gap ?: "
                          "suspected 0 sdown 1055");
    stop(&player);
}

/* ---- attempts ---- */

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
    Test(sim_timeline, what) \
    { \
        struct player player; \
        start(&player, 64); \
        play(&player, lines); \
        if ((until_ms) > player.now_ms) \
            pass_to(&player, until_ms); \
        EXPECT_STORY(&player, expected); \
        stop(&player); \
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
STORY_TEST(
    restarted_before_anybody_noticed, 0,
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
           "mymaster crash aborted(leader_lost) 7200>0 by 7210 from 200 to 31500 gap ?: "
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
STORY_TEST(
    switched_and_never_finished, 60000,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n",
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to 2301 gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(
    new_one_dies_before_the_end, 0,
    DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
         "1500 7210 +selected-slave" REPLICA "2300 7210 +promoted-slave" REPLICA
         "2301 - mymaster published 7201 1\n2310 7211 +sdown" MASTER
         "3300 - mymaster good\n3400 - mymaster lost\n3401 - mymaster state down\n"
         "4400 7211 +sdown master mymaster 127.0.0.1 7201\n",
    "mymaster crash running 7201>0 from 3400 to ? gap ?: "
    "suspected 0 sdown 1000 | "
    "mymaster crash switched 7200>7201 epoch 1 by 7210 from 200 to ? gap 2201: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2101")
STORY_TEST(
    only_the_others_are_heard, 20000,
    DOWN
    "2400 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n2410 - mymaster published 7201 3\n",
    "mymaster crash switched 7200>7201 epoch 3 from 200 to 2410 gap 2310: "
    "suspected 0 sdown 1000 odown 1100 promoted 2200 published 2210")
STORY_TEST(beginning_was_missed, 0,
           "100 - mymaster good\n300 7210 +failover-state-wait-promotion" REPLICA
           "1100 - mymaster good\n"
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
    "1500 7210 +failover-end" MASTER
    "1600 7212 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual running 7201>0 by 7211 from 1400 to ? gap ?: "
    "elected 0 | "
    "mymaster manual switched 7200>7201 epoch 1 by 7210 from 200 to 1500 gap 0: "
    "elected 0 promoted 950 published 951 finished 1250")
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
STORY_TEST(a_blip_is_no_story, 0, "100 - mymaster good\n200 - mymaster lost\n210 - mymaster good\n",
           "")
STORY_TEST(
    back_and_sentinels_say_so, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "1500 - mymaster good\n1500 - mymaster state ok\n1900 7210 -sdown" MASTER,
    "mymaster crash recovered 7200>0 from 200 to 1900 gap 1400: "
    "suspected 0 sdown 1000")
STORY_TEST(
    back_and_a_sentinel_does_not_say_so, 30000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "1500 - mymaster good\n1500 - mymaster state ok\n",
    "mymaster crash recovered 7200>0 from 200 to 11200 gap 1400: "
    "suspected 0 sdown 1000")
STORY_TEST(one_sentinel_is_cut_off, 30000,
           "100 - mymaster good\n1200 7210 +sdown" MASTER "1500 - mymaster good\n",
           "mymaster crash not_started(no_quorum) 7200>0 from 1200 to 11200 gap 0: "
           "sdown 0")
STORY_TEST(odown_and_none_tries, 30000, DOWN,
           "mymaster crash unattended(not_elected) 7200>0 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(no_sentinel_sees_it, 300000,
           "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n",
           "mymaster unknown unattended(no_quorum) 7200>0 from 200 to ? gap ?: "
           "suspected 0")
STORY_TEST(
    replicas_and_sentinels_go_down, 30000,
    "100 - mymaster good\n200 7210 +sdown slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
    "300 7210 +sdown sentinel 482b 127.0.0.1 7211 @ mymaster 127.0.0.1 7200\n",
    "")
STORY_TEST(
    quorum_returns_after_a_while, 0,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "30000 7211 +sdown" MASTER "30100 7211 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n"
    "30110 7211 +new-epoch 9\n30110 7211 +try-failover" MASTER "30200 7211 +elected-leader" MASTER
    "31000 7211 +promoted-slave" REPLICA
    "31002 - mymaster published 7201 9\n32000 7211 +failover-end" MASTER,
    "mymaster crash switched 7200>7201 epoch 9 by 7211 from 200 to 32000 gap 30902: "
    "suspected 0 sdown 1000 odown 29900 elected 30000 promoted 30800 published 30802 finished 31800")

STORY_TEST(unattended_until_it_is_back, 0,
           DOWN "40000 7212 +sdown" MASTER "60000 - mymaster good\n60000 - mymaster state ok\n",
           "mymaster crash recovered 7200>0 from 200 to 60000 gap 59900: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(
    attended_again, 31000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n1200 7210 +sdown" MASTER
    "30000 7211 +odown master mymaster 127.0.0.1 7200 #quorum 2/2\n",
    "mymaster crash running 7200>0 from 200 to ? gap ?: "
    "suspected 0 sdown 1000 odown 29800")
STORY_TEST(unattended_and_removed, 0,
           DOWN "30000 7210 -monitor" MASTER "30001 7211 +reset-master" MASTER,
           "mymaster crash unattended(not_elected) 7200>0 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100")
STORY_TEST(promoted_where_nobody_can_follow, 200000,
           DOWN "1310 7210 +try-failover" MASTER "1400 7210 +elected-leader" MASTER
                "2300 7210 +promoted-slave" REPLICA "3300 7210 +failover-end" MASTER,
           "mymaster crash unattended 7200>7201 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 promoted 2100 finished 3100")

/* ---- leaders that die ---- */

#define LED \
    DOWN "1310 7210 +new-epoch 4\n1310 7210 +try-failover" MASTER \
         "1400 7210 +elected-leader" MASTER "1500 7210 +selected-slave" REPLICA

STORY_TEST(leader_dies, 30000, LED "1700 7210 lost\n",
           "mymaster crash aborted(leader_lost) 7200>0 epoch 4 by 7210 from 200 to 11700 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_dies_and_another_tries, 5100,
           LED "1700 7210 lost\n5000 7211 +new-epoch 5\n5000 7211 +try-failover" MASTER,
           "mymaster crash running 7200>0 epoch 5 from 5000 to ? gap ? | "
           "mymaster crash aborted(leader_lost) 7200>0 epoch 4 by 7210 from 200 to 5000 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_dies_after_the_promotion, 30000,
           LED "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n",
           "mymaster crash unattended(leader_lost) 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100")
STORY_TEST(leader_is_heard_once_and_dies, 30000,
           DOWN "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n",
           "mymaster crash unattended(leader_lost) 7200>7201 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 promoted 2100")
STORY_TEST(
    leader_dies_and_it_is_published, 30000,
    LED "2300 7210 +promoted-slave" REPLICA "2310 7210 lost\n2400 - mymaster published 7201 4\n",
    "mymaster crash switched 7200>7201 epoch 4 by 7210 from 200 to 2400 gap 2300: "
    "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300 promoted 2100 published 2200")
STORY_TEST(leader_was_out_of_sight_for_a_moment, 0,
           LED
           "1700 7210 lost\n1800 7210 row busy\n21600 7210 -failover-abort-slave-timeout" MASTER,
           "mymaster crash aborted(slave_timeout) 7200>0 epoch 4 by 7210 from 200 to 21600 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(somebody_else_is_out_of_sight, 25000, LED "1700 7211 lost\n",
           "mymaster crash running 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(leader_is_reset, 0, LED "1700 7210 +reset-master" MASTER,
           "mymaster crash aborted 7200>0 epoch 4 by 7210 from 200 to 1700 gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")

/* ---- Valkey's coordinated failover ---- */

#define COORDINATED \
    "100 - mymaster good\n200 7210 +new-epoch 3\n200 7210 +try-failover" MASTER \
    "201 7210 row force\n" \
    "201 7210 -sdown" MASTER "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA \
    "300 7210 +failover-state-send-slaveof-noone" REPLICA

STORY_TEST(
    coordinated, 0,
    COORDINATED "350 7210 +failover-state-wait-promotion" REPLICA "400 - mymaster lost\n"
                "1200 7210 +promoted-slave" REPLICA
                "1201 - mymaster published 7201 3\n2000 7210 +failover-end" MASTER,
    "mymaster manual switched 7200>7201 epoch 3 by 7210 from 200 to 2000 gap 1101: "
    "elected 0 selected 50 promoting 50 suspected 150 promoted 950 published 951 finished 1750")
STORY_TEST(coordinated_and_the_master_is_not_reached, 0,
           COORDINATED "2300 7210 -failover-abort-master-timeout" MASTER,
           "mymaster manual aborted(master_timeout) 7200>0 epoch 3 by 7210 from 200 to 2300 gap 0: "
           "elected 0 selected 50 promoting 50")

STORY_TEST(aborted_in_a_word_that_is_not_known, 0,
           COORDINATED "2300 7210 -failover-abort-for-want-of-a-word" MASTER,
           "mymaster manual aborted 7200>0 epoch 3 by 7210 from 200 to 2300 gap 0: "
           "elected 0 selected 50 promoting 50")

/* ---- whose news it is ---- */

#define MOVED \
    "100 - mymaster good\n200 7210 +new-epoch 1\n200 7210 +try-failover" MASTER \
    "250 7210 +elected-leader" MASTER "1200 7210 +promoted-slave" REPLICA \
    "1201 - mymaster published 7201 1\n"
#define MOVED_STORY(end) \
    "mymaster manual switched 7200>7201 epoch 1 by 7210 from 200 to " end \
    ": elected 0 promoted 950 published 951"
#define NEXT " master mymaster 127.0.0.1 7201\n"

STORY_TEST(
    end_comes_in_the_next_which_is_only_tried, 0,
    MOVED
    "1400 7211 +sdown" NEXT "1410 7212 +sdown" NEXT
    "1420 7212 +odown master mymaster 127.0.0.1 7201 #quorum 2/2\n1430 7212 +try-failover" NEXT
    "1500 7211 -sdown" NEXT "1510 7210 +failover-end" MASTER
    "1510 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n1600 7212 -sdown" NEXT
    "1900 7212 -failover-abort-not-elected" NEXT,
    "mymaster crash aborted(not_elected) 7201>0 from 1400 to 1900 gap 0: sdown 0 odown 20 | " MOVED_STORY(
        "1510 gap 0") " finished 1260")
STORY_TEST(all_of_it_is_heard_after_the_publication, 0,
           "100 - mymaster good\n150 - mymaster published 7201 1\n200 7210 +try-failover" MASTER
           "250 7210 +elected-leader" MASTER "300 7210 +selected-slave" REPLICA
           "300 7210 +failover-state-send-slaveof-noone" REPLICA "1200 7210 +promoted-slave" REPLICA
           "1300 7210 +failover-end" MASTER,
           "mymaster unknown switched 7200>7201 epoch 1 by 7210 from 150 to 1300 gap 50: "
           "published 0 elected 100 selected 150 promoting 150 promoted 1050 finished 1150")
STORY_TEST(all_of_it_is_heard_after_the_end, 90000,
           MOVED "1300 7210 +failover-end" MASTER "2000 7211 +try-failover" MASTER
                 "2010 7211 +elected-leader" MASTER "2020 7211 +selected-slave" REPLICA
                 "2030 7211 +sdown" MASTER "2040 7211 +promoted-slave" REPLICA
                 "2050 7211 +failover-end" MASTER
                 "2050 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
           MOVED_STORY("1300 gap 0") " finished 1050")
STORY_TEST(
    somebody_elses, 90000,
    "100 - mymaster good\n200 7219 +sdown master mymaster 10.0.0.9 6379\n"
    "210 7219 +odown master mymaster 10.0.0.9 6379 #quorum 1/1\n220 7219 +try-failover master mymaster 10.0.0.9 6379\n"
    "230 7219 +elected-leader master mymaster 10.0.0.9 6379\n"
    "240 7219 +selected-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
    "250 7219 +promoted-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
    "260 7219 +failover-end master mymaster 10.0.0.9 6379\n"
    "260 7219 +switch-master mymaster 10.0.0.9 6379 10.0.0.8 6379\n",
    "")
STORY_TEST(somebody_elses_during_ours, 0,
           LED
           "1600 7219 +failover-end master mymaster 10.0.0.9 6379\n"
           "1610 7219 -failover-abort-not-elected master mymaster 10.0.0.9 6379\n"
           "1620 7219 +promoted-slave slave 10.0.0.8:6379 10.0.0.8 6379 @ mymaster 10.0.0.9 6379\n"
           "1630 7219 +switch-master mymaster 10.0.0.9 6379 10.0.0.8 6379\n",
           "mymaster crash running 7200>7201 epoch 4 by 7210 from 200 to ? gap ?: "
           "suspected 0 sdown 1000 odown 1100 elected 1200 selected 1300")
STORY_TEST(there_and_back_with_both_ends_late, 0,
           MOVED "1300 7211 +try-failover" NEXT "1310 7211 +elected-leader" NEXT
                 "1900 - mymaster published 7200 2\n2000 7210 +failover-end" MASTER
                 "2010 7211 +failover-end" NEXT,
           "mymaster manual switched 7201>7200 epoch 2 by 7211 from 1300 to 2010 gap 0: "
           "elected 0 published 590 finished 700 | " MOVED_STORY("2000 gap 0") " finished 1750")
STORY_TEST(
    there_and_back_and_there_again_with_the_first_end_late, 0,
    MOVED "1300 - mymaster published 7200 2\n1400 7212 +try-failover" MASTER
          "1450 7212 +elected-leader" MASTER "1500 7210 +failover-end" MASTER
          "1500 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7201\n",
    "mymaster manual running 7200>0 by 7212 from 1400 to ? gap ?: elected 0 | "
    "mymaster unknown switched 7201>7200 epoch 2 from 1300 to 1300 gap 99: published 0 | " MOVED_STORY(
        "1500 gap 0") " finished 1250")
STORY_TEST(
    overtaken_and_never_ended, 0,
    MOVED
    "1300 7211 +try-failover" NEXT "1310 7211 +elected-leader" NEXT
    "1900 - mymaster published 7202 2\n"
    "1950 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n2010 7211 +failover-end" NEXT,
    "mymaster manual switched 7201>7202 epoch 2 by 7211 from 1300 to 2010 gap 0: "
    "elected 0 published 590 promoted 640 finished 700 | " MOVED_STORY("1201 gap 0"))

Test(sim_timeline, started_in_the_middle)
{
    struct player player;
    struct watched *mine;

    start(&player, 64);
    mine = &player.watched[0];
    failover_log_forget(player.failover_log, mine->record, at(&player));
    mine->record = failover_log_watch(player.failover_log, "mymaster", 0);
    play(&player, "100 7210 +selected-slave" REPLICA);
    failover_log_published(player.failover_log, mine->record, NULL, &mine->published, 0, true,
                           false, at(&player));
    play(&player, "100 - mymaster state ok\n200 7210 +promoted-slave" REPLICA
                  "201 - mymaster published 7201 1\n300 7210 +failover-end" MASTER);
    EXPECT_STORY(&player,
                 "mymaster unknown switched 7200>7201 epoch 1 by 7210 from 100 to 300 gap 101: "
                 "selected 0 promoted 100 published 101 finished 200");
    stop(&player);
}

/* ---- generated: failovers in a row, told in every order that links can bring about ---- */

enum { TALE_SWITCHES = 12, TALE_SENTINELS = 3, TALE_EVENTS = 400 };

struct tale_event {
    int64_t ms;
    int order;
    char line[200];
};

struct tale {
    uint32_t seed;
    /* it leads until then: a Sentinel runs one failover of a master at a time */
    int64_t busy_ms[TALE_SENTINELS];
    int64_t behind_ms[TALE_SENTINELS]; /* each link is late by so much, in order */
    struct tale_event events[TALE_EVENTS];
    size_t n;
    struct {
        int from, to, leader;
        int64_t ms, end_ms; /* when that was heard; 0: never */
    } switches[TALE_SWITCHES];
    size_t n_switches;
};

static uint32_t tale_random(struct tale *tale, uint32_t below)
{
    tale->seed = tale->seed * 1664525U + 1013904223U;
    return (tale->seed >> 8) % below;
}

static void tale_say(struct tale *tale, int64_t ms, int sentinel, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void tale_say(struct tale *tale, int64_t ms, int sentinel, const char *format, ...)
{
    struct tale_event *event = &tale->events[tale->n];
    va_list arguments;
    int used;

    cr_assert_lt(tale->n, TALE_EVENTS);
    event->ms = sentinel < 0 ? ms : ms + tale->behind_ms[sentinel];
    event->order = (int)tale->n++;
    if (sentinel < 0) {
        used = snprintf(event->line, sizeof(event->line), "%lld - ", (long long)event->ms);
    } else {
        used = snprintf(event->line, sizeof(event->line), "%lld %d ", (long long)event->ms,
                        7210 + sentinel);
    }
    va_start(arguments, format);
    (void)vsnprintf(event->line + used, sizeof(event->line) - (size_t)used, format, arguments);
    va_end(arguments);
}

static void tale_foreign(struct tale *tale, int64_t ms)
{
    static const char *const words[] = {"+sdown", "+try-failover", "+elected-leader",
                                        "+failover-end", "-failover-abort-not-elected"};

    tale_say(tale, ms, (int)tale_random(tale, TALE_SENTINELS), "%s master mymaster 10.0.0.9 6379",
             words[tale_random(tale, 5)]);
}

/*
 * One failover, with all that Sentinels say of it, and the publication somewhere in between or
 * ahead of it. @return when the leader was done, by its own clock.
 */
static int64_t tale_failover(struct tale *tale, int64_t ms, int from, int to, int epoch, int leader)
{
    int64_t published = ms + 250 + tale_random(tale, 1200),
            end = ms + 400 + tale_random(tale, 4000);
    bool silent = tale_random(tale, 5) == 0; /* it dies, or is overtaken */

    tale_say(tale, ms, leader, "+new-epoch %d", epoch);
    tale_say(tale, ms, leader, "+try-failover master mymaster 127.0.0.1 %d", from);
    tale_say(tale, ms + 50, leader, "+elected-leader master mymaster 127.0.0.1 %d", from);
    tale_say(tale, ms + 100, leader,
             "+selected-slave slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d", to, to,
             from);
    tale_say(tale, ms + 200, leader,
             "+promoted-slave slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d", to, to,
             from);
    tale_say(tale, published, -1, "mymaster published %d %d", to, epoch);
    tale_say(tale, published + 1, -1, "mymaster good");
    tale->switches[tale->n_switches].from = from;
    tale->switches[tale->n_switches].to = to;
    tale->busy_ms[leader] = silent ? 0 : end;
    tale->switches[tale->n_switches].leader = 7210 + leader;
    tale->switches[tale->n_switches].ms = published;
    tale->switches[tale->n_switches++].end_ms = silent ? 0 : end + tale->behind_ms[leader];
    for (int i = 0; i < TALE_SENTINELS; i++) {
        if (i != leader) {
            tale_say(tale, ms + 10 + tale_random(tale, 40), i, "+new-epoch %d",
                     epoch); /* it is asked for its vote */
            tale_say(tale, ms + 300 + tale_random(tale, 2000), i,
                     "+switch-master mymaster 127.0.0.1 %d 127.0.0.1 %d", from, to);
        }
    }
    if (!silent) {
        tale_say(tale, end, leader, "+failover-end master mymaster 127.0.0.1 %d", from);
        tale_say(tale, end, leader, "+switch-master mymaster 127.0.0.1 %d 127.0.0.1 %d", from, to);
    } else if (tale_random(tale, 2)) {
        tale_say(tale, end, leader, "lost");
    }
    return published;
}

static int by_time(const void *a, const void *b)
{
    const struct tale_event *one = a, *other = b;

    return one->ms != other->ms ? (one->ms < other->ms ? -1 : 1) : one->order - other->order;
}

static void tale_make(struct tale *tale, uint32_t seed)
{
    int64_t ms = 1000;
    int from = 7200, last = 2;

    *tale = (struct tale){.seed = seed};
    for (int i = 0; i < TALE_SENTINELS; i++) {
        tale->behind_ms[i] = tale_random(tale, 3) ? 0 : tale_random(tale, 3000);
    }
    for (int epoch = 1, n = 3 + (int)tale_random(tale, TALE_SWITCHES - 2); epoch <= n; epoch++) {
        int to = 7200 + (from - 7200 + 1 + (int)tale_random(tale, 2)) % 3,
            leader = (last + 1 + (int)tale_random(tale, TALE_SENTINELS - 1)) % TALE_SENTINELS;

        /* Only the leader before may be at it still: who is overtaken twice has given in. */
        while (tale->busy_ms[(last + 1) % TALE_SENTINELS] > ms ||
               tale->busy_ms[(last + 2) % TALE_SENTINELS] > ms) {
            ms++;
        }
        if (tale_random(tale, 3) == 0) {
            tale_foreign(tale, ms - tale_random(tale, 500));
        }
        if (tale_random(tale, 3) == 0) {
            tale_say(tale, ms - 50, (int)tale_random(tale, TALE_SENTINELS),
                     "+sdown master mymaster 127.0.0.1 %d", from);
        }
        ms = tale_failover(tale, ms, from, to, epoch, leader) + 60 + tale_random(tale, 3000);
        from = to;
        last = leader;
    }
    qsort(tale->events, tale->n, sizeof(tale->events[0]), by_time);
}

static int64_t phase_at(const struct failover *entry, enum failover_phase phase)
{
    for (size_t i = 0; i < entry->n_phases; i++) {
        if (entry->phases[i].phase == phase) {
            return entry->phases[i].at_wall_ms - WALL_MS;
        }
    }
    return 0;
}

/*
 * Each move of the answer is in an entry of its own, there is no other entry, and what was heard of
 * one failover is in none but its own. @return how many ends were heard and are in.
 */
static size_t tale_check(const struct tale *tale, struct player *player, uint32_t seed)
{
    struct failovers *list = failover_log_list(player->failover_log);
    size_t finished = 0;

    cr_assert_eq(list->n, tale->n_switches, "seed %u: %s", seed, story(player));
    cr_assert_eq(player->invariant.n_switched, tale->n_switches, "seed %u: %s", seed,
                 story(player));
    for (size_t i = 0; i < list->n; i++) {
        const struct failover *entry = NULL;
        int64_t ms = tale->switches[i].ms, ended;

        for (size_t j = 0; j < list->n; j++) { /* one that began early may be younger */
            entry = phase_at(list->entries[j], PHASE_PUBLISHED) == ms ? list->entries[j] : entry;
        }
        cr_assert(entry && entry->from.port == tale->switches[i].from &&
                      entry->to.port == tale->switches[i].to,
                  "seed %u: the move to %d at %lld: %s", seed, tale->switches[i].to, (long long)ms,
                  story(player));
        cr_assert(*entry->leader == '\0' ||
                      strtol(entry->leader, NULL, 10) == tale->switches[i].leader,
                  "seed %u: %s", seed, story(player));
        ended = phase_at(entry, PHASE_FINISHED);
        cr_assert(ended == 0 || ended == tale->switches[i].end_ms ||
                      (ended == ms && tale->switches[i].end_ms < ms),
                  "seed %u: the move to %d: %s", seed, tale->switches[i].to, story(player));
        finished += ended != 0;
    }
    failovers_unref(list);
    return finished;
}

Test(sim_timeline, generated)
{
    struct tale *tale = malloc(sizeof(*tale));
    size_t finished = 0, ends = 0;

    cr_assert(tale);
    for (uint32_t seed = 1; seed <= TALES; seed++) {
        struct player player;

        start(&player, 64);
        tale_make(tale, seed);
        for (size_t i = 0; i < tale->n; i++) {
            play_line(&player, tale->events[i].line);
        }
        pass_to(&player, player.now_ms + 200000);
        finished += tale_check(tale, &player, seed);
        for (size_t i = 0; i < tale->n_switches; i++) {
            ends += tale->switches[i].end_ms != 0;
        }
        stop(&player);
    }
    /*
     * All but those whose entry could not wait: a third failover began meanwhile, or its leader had
     * not been heard of.
     */
    cr_expect_gt(finished * 100, ends * 90, "%zu of %zu ends", finished, ends);
    free(tale);
}

/* ---- without events, and --adopt ---- */

STORY_TEST(
    no_events_at_all, 20000,
    "100 - mymaster good\n200 - mymaster lost\n201 - mymaster state down\n2400 - mymaster published 7201 3\n",
    "mymaster unknown switched 7200>7201 epoch 3 from 200 to 2400 gap 2300: "
    "suspected 0 published 2200")
STORY_TEST(
    adopted, 0,
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
    play(&player,
         "100 - mymaster good\n100 - other good\n200 - mymaster lost\n201 - mymaster state down\n"
         "300 - other lost\n301 - other state down\n");
    list = failover_log_list(player.failover_log);
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
    failover_log_forget(player.failover_log, player.watched[0].record, at(&player));
    check(&player);
    EXPECT_STORY(&player, "mymaster crash aborted(not_elected) 7200>0 from 200 to 1310 gap ?: "
                          "suspected 0 sdown 1000 odown 1100");
    cr_assert_eq(failover_log_next_ms(player.failover_log), -1);
    stop(&player);
}
