/*
 * The fence, fed with what real Sentinels said (recordings/failover-*.txt) and with streams written
 * by hand where nothing real says them. A line is milliseconds, who, channel and payload, and takes
 * the way that it takes in the daemon: parser, then src/watcher/fence_driver.c's table. A line
 * whose speaker is `-` is what the watcher itself sees: `mymaster published ADDRESS EPOCH`, `gap`,
 * and, for the tests alone, what a node says from then on when it is asked: `7202 says master`.
 *
 * What is compared is one text: when the fence came into which state, and why it went up or down.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/sentinel/event.h"
#include "watcher/fence_driver.h"

TestSuite(sim_fence, .timeout = 20);

#define BOOT_MS INT64_C(50000)
#define ANSWER_MS 3 /* how long a node takes */
#define NODES 8

enum says { SAYS_REPLICA, SAYS_MASTER, SAYS_NOTHING, SAYS_REFUSED, SAYS_CLOSED };

struct player {
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

static struct endpoint node_at(const char *text)
{
    struct address address;
    char error[160], full[300];

    snprintf(full, sizeof(full), "%s%s", strchr(text, ':') ? "" : "127.0.0.1:", text);
    cr_assert_eq(address_parse(full, 0, &address, error, sizeof(error)), 0, "%s", error);
    return endpoint_from_address(&address);
}

static void tell(struct player *player, const char *words)
{
    size_t n = strlen(player->told);

    snprintf(player->told + n, sizeof(player->told) - n, "%s%s", n > 0 ? ", " : "", words);
}

/* What the owner does after every call. */
static void follow(struct player *player)
{
    const struct endpoint *node;
    enum fence was = player->shown;
    char words[160];

    fence_step(&player->guard, BOOT_MS + player->now_ms);
    player->shown = player->guard.state;
    if (player->shown != was) {
        bool why = was == FENCE_DOWN || player->shown == FENCE_DOWN;

        snprintf(words, sizeof(words), "%lld %s%s%s%s", (long long)player->now_ms,
                 fence_text(player->shown), why ? " (" : "", why ? player->guard.why : "",
                 why ? ")" : "");
        tell(player, words);
    }
    node = fence_wants_role(&player->guard, BOOT_MS + player->now_ms);
    if (node) {
        player->asked = true;
        player->asked_whom = *node;
        player->answer_ms = player->now_ms + ANSWER_MS;
        player->questions++;
    }
    cr_assert_null(fence_wants_role(&player->guard, BOOT_MS + player->now_ms),
                   "two questions at once");
}

static void answer(struct player *player)
{
    static const enum role_answer answers[] = {[SAYS_REPLICA] = ROLE_OTHER,
                                               [SAYS_MASTER] = ROLE_MASTER,
                                               [SAYS_NOTHING] = ROLE_TIMEOUT,
                                               [SAYS_REFUSED] = ROLE_REFUSED,
                                               [SAYS_CLOSED] = ROLE_CLOSED};
    int port = player->asked_whom.name.port - 7200;

    cr_assert(port >= 0 && port < NODES);
    player->asked = false;
    if (player->nodes[port] != SAYS_NOTHING) { /* else the guard must not depend on being told */
        fence_answer(&player->guard, &player->asked_whom, answers[player->nodes[port]],
                     BOOT_MS + player->now_ms);
    }
}

static void pass_to(struct player *player, int64_t to_ms)
{
    int64_t last_ms = -1;

    for (unsigned same = 0;;) {
        int64_t next_ms = fence_next_ms(&player->guard);
        int64_t at_ms = next_ms < 0 ? INT64_MAX : next_ms - BOOT_MS;
        bool answers = player->asked && player->answer_ms <= at_ms;

        if (answers) {
            at_ms = player->answer_ms;
        }
        if (at_ms > to_ms) {
            break;
        }
        same = at_ms == last_ms ? same + 1 : 0;
        cr_assert_lt(same, 4, "a busy loop at %lld ms", (long long)at_ms);
        last_ms = at_ms;
        player->now_ms = at_ms > player->now_ms ? at_ms : player->now_ms;
        if (answers) {
            answer(player);
        }
        follow(player);
    }
    player->now_ms = to_ms;
}

static void start_with(struct player *player, int64_t timeout_ms)
{
    struct fence_config config = {.timeout_ms = timeout_ms, .verify_timeout_ms = 500};
    struct endpoint published = node_at("7200");

    *player = (struct player){.shown = FENCE_DOWN};
    fence_init(&player->guard, &config);
    fence_publish(&player->guard, &published, BOOT_MS);
}

static void play_own(struct player *player, const char *what)
{
    char first[64] = "", verb[32] = "", rest[64] = "";
    struct endpoint node;

    (void)sscanf(what, "%63s %31s %63s", first, verb, rest);
    if (strcmp(first, "gap") == 0) {
        player->asked = false;
        fence_void(&player->guard, BOOT_MS + player->now_ms);
    } else if (strcmp(verb, "coordinates") == 0) { /* a Sentinel's row */
        fence_coordinate(&player->guard, first);
    } else if (strcmp(verb, "published") == 0) {
        node = node_at(rest);
        fence_publish(&player->guard, &node, BOOT_MS + player->now_ms);
    } else if (strcmp(verb, "says") == 0) {
        player->nodes[strtol(first, NULL, 10) - 7200] = *rest == 'm'     ? SAYS_MASTER
                                                        : *rest == 'n'   ? SAYS_NOTHING
                                                        : *rest == 'c'   ? SAYS_CLOSED
                                                        : rest[2] == 'f' ? SAYS_REFUSED
                                                                         : SAYS_REPLICA;
    }
}

static void play_event(struct player *player, const char *who, const char *what)
{
    const char *blank = strchr(what, ' ');
    size_t channel_len = blank ? (size_t)(blank - what) : strlen(what);
    const char *payload = blank ? blank + 1 : "";
    struct sentinel_event event;
    struct fence_event said = {.leader = who, .failover_timeout_ms = 20000};
    struct endpoint old, node;

    cr_assert_eq(sentinel_parse_event(what, channel_len, payload, strlen(payload), &event), 0, "%s",
                 what);
    if (strcmp(event.master, "mymaster") != 0 || !fence_driver_signal(&event, &said.signal)) {
        return;
    }
    old = endpoint_from_address(&event.master_address);
    said.master = &old;
    if (said.signal == FENCE_SAYS_CHOSEN || said.signal == FENCE_SAYS_PROMOTING) {
        node = endpoint_from_address(&event.address);
        said.node = &node;
        /* What real nodes did meanwhile is not in the recordings. */
        if (said.signal == FENCE_SAYS_PROMOTING &&
            player->nodes[event.address.port - 7200] == SAYS_REPLICA) {
            player->nodes[event.address.port - 7200] = SAYS_MASTER;
        }
    }
    fence_hear(&player->guard, &said, BOOT_MS + player->now_ms);
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
    } else {
        play_event(player, who, line + used);
    }
    follow(player);
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

    snprintf(path, sizeof(path), "tests/sim/recordings/%s.txt", name);
    file = fopen(path, "r");
    cr_assert(file, "%s can't be read", path);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        play_line(player, line);
    }
    fclose(file);
}

static void expect_told(const struct player *player, const char *told)
{
    cr_expect_str_eq(player->told, told, "\n  %s\nand not\n  %s", player->told, told);
}

/* Lines of a failover that 7210 leads, from 7200 to 7202. */
#define MASTER "master mymaster 127.0.0.1 7200\n"
#define REPLICA "slave 127.0.0.1:7202 127.0.0.1 7202 @ mymaster 127.0.0.1 7200\n"
#define OTHER_REPLICA "slave 127.0.0.1:7201 127.0.0.1 7201 @ mymaster 127.0.0.1 7200\n"
#define ELECTED(ms, who) #ms " " #who " +elected-leader " MASTER
#define SELECTED(ms, who) #ms " " #who " +selected-slave " REPLICA
#define SENDING(ms, who) #ms " " #who " +failover-state-send-slaveof-noone " REPLICA
#define WAITING(ms, who) #ms " " #who " +failover-state-wait-promotion " REPLICA
#define ABORTED(ms, who, why) #ms " " #who " -failover-abort-" why " " MASTER

/* ---- recorded ---- */

Test(sim_fence, crash)
{
    struct player player;

    start_with(&player, 3000);
    play_file(&player, "failover-crash");
    expect_told(
        &player,
        "1427 up (a leader was elected), 1564 promoting, 2419 down (a new master was published)");
    cr_expect_eq(player.questions, 0);
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

Test(sim_fence, manual)
{
    struct player player;

    start_with(&player, 3000);
    play_file(&player, "failover-manual");
    expect_told(
        &player,
        "244 up (a leader was elected), 401 promoting, 1305 down (a new master was published)");
    cr_expect(fence_is_idle(&player.guard));
    cr_expect_eq(player.guard.promoting_ms, BOOT_MS + 401,
                 "when it was heard, also once it is over");
}

Test(sim_fence, manual_and_nothing_is_published)
{
    struct player player;

    /*
     * Its end and its own +switch-master do not lower the fence: only the publication does, or the
     * question.
     */
    start_with(&player, 3000);
    play(&player,
         ELECTED(244, 7210) SELECTED(345, 7210) SENDING(345, 7210)
             WAITING(401, 7210) "1364 7210 +failover-end " MASTER
                                "1364 7210 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n"
                                "1364 7211 +switch-master mymaster 127.0.0.1 7200 127.0.0.1 7202\n"
                                "9000 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "244 up (a leader was elected), 401 promoting, 9000 down (a new master was published)");
    cr_expect_gt(player.questions, 5, "%u", player.questions);
}

Test(sim_fence, aborted_then_repeated)
{
    struct player player;

    start_with(&player, 3000);
    play_file(&player, "failover-repeated");
    expect_told(
        &player,
        "1413 up (a leader was elected), 1497 down (the failover was aborted), "
        "9572 up (a leader was elected), 9693 promoting, 9775 down (a new master was published)");
}

Test(sim_fence, no_quorum_and_tilt)
{
    struct player player;

    start_with(&player, 3000);
    play_file(&player, "failover-no-quorum");
    play_file(&player, "failover-tilt");
    expect_told(&player, "");
}

/* ---- its own time ---- */

Test(sim_fence, elected_and_never_heard_of_again)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) "9000 - nothing\n");
    expect_told(&player,
                "100 up (a leader was elected), 3100 down (time-out, and no replica was chosen)");
    cr_expect_eq(player.questions, 0);
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

Test(sim_fence, each_word_gives_it_time_again)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, ELECTED(0, 7210) SELECTED(900, 7210) SENDING(1800, 7210)
                      WAITING(2700, 7210) "3600 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "0 up (a leader was elected), 2700 promoting, 3600 down (a new master was published)");
    cr_expect_eq(player.questions, 0);
}

Test(sim_fence, the_link_of_the_chosen_replica_is_down)
{
    struct player player;

    /* The leader waits for the link; writes go on meanwhile, and stop again with its next word. */
    start_with(&player, 3000);
    play(&player,
         "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
             WAITING(14000, 7210) "14900 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "100 up (a leader was elected), "
        "3203 down (time-out, and the chosen replica does not say master), "
        "14000 promoting (a replica is being promoted), 14900 down (a new master was published)");
}

Test(sim_fence, the_leader_gives_up_waiting_for_the_link)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, "0 - 7202 says refused\n" ELECTED(100, 7210) SELECTED(200, 7210)
                      SENDING(200, 7210) ABORTED(20300, 7210, "slave-timeout") "60000 - nothing\n");
    expect_told(&player, "100 up (a leader was elected), "
                         "3203 down (time-out, and the chosen replica does not answer)");
    cr_expect(fence_is_idle(&player.guard));
    cr_expect_geq(player.questions, 30, "it was asked as long as the failover was not over: %u",
                  player.questions);
    cr_expect_leq(player.questions, 36, "%u", player.questions);
}

Test(sim_fence, told_and_hung_and_promoted_much_later)
{
    struct player player;

    /*
     * SLAVEOF NO ONE waits in the socket of a replica that is frozen; nobody says anything when it
     * goes on.
     */
    start_with(&player, 3000);
    play(
        &player,
        "0 - 7202 says nothing\n" ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210) WAITING(
            250, 7210) "12000 - 7202 says master\n13000 - mymaster published 127.0.0.1:7202 1\n");
    cr_expect(strstr(player.told,
                     "100 up (a leader was elected), 250 promoting, "
                     "4000 down (time-out, and the chosen replica does not answer), 12") ==
                  player.told,
              "%s", player.told);
    cr_expect(strstr(player.told, " promoting (the chosen replica says master), "
                                  "13000 down (a new master was published)"),
              "%s", player.told);
}

Test(sim_fence, promoted_and_its_leader_cannot_see_it)
{
    struct player player;

    /*
     * It was told, then the leader lost its link to it: it outlasts the time-out, until the leader
     * gives up.
     */
    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210) WAITING(250, 7210)
                      ABORTED(20300, 7210, "slave-timeout"));
    expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 20300 down (the failover was aborted)");
}

Test(sim_fence, an_answer_from_before_the_last_word)
{
    struct player player;

    /* Asked at 1100; what it says of that moment is no answer to what was said at 1101. */
    start_with(&player, 1000);
    play(&player,
         "0 - 7202 says refused\n" SELECTED(100, 7210) WAITING(1101, 7210) "2100 - nothing\n");
    expect_told(&player, "100 up (a replica was chosen), 1101 promoting");
    cr_expect_eq(player.questions, 1);
    play(&player, "2200 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "%s", player.told);
}

Test(sim_fence, a_replica_that_hangs_up_is_asked_again_at_once)
{
    struct player player;

    start_with(&player, 1000);
    play(&player,
         "0 - 7202 says closed\n" ELECTED(0, 7210) SELECTED(
             0, 7210) "1100 - 7202 says master\n3000 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "0 up (a leader was elected), 1118 promoting, 3000 down (a new master was published)");
    start_with(&player, 1000);
    play(&player, "0 - 7202 says closed\n" ELECTED(0, 7210) SELECTED(0, 7210) "1700 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "only as long as an answer may take: %s", player.told);
}

/* ---- leaders ---- */

Test(sim_fence, leader_killed_before_the_promotion)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210)
                      SENDING(200, 7210) "60000 - nothing\n");
    expect_told(&player, "100 up (a leader was elected), "
                         "3203 down (time-out, and the chosen replica does not say master)");
    cr_expect(fence_is_idle(&player.guard), "no failover takes that long");
}

Test(sim_fence, leader_killed_after_the_promotion)
{
    struct player player;

    /*
     * Held for as long as the replica says master; the others turn it back, and writes go on where
     * they are kept.
     */
    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
                      WAITING(250, 7210) "9000 - 7202 says replica\n11000 - nothing\n");
    cr_expect(strstr(player.told, "100 up (a leader was elected), 250 promoting, 9") == player.told,
              "%s", player.told);
    cr_expect_eq(player.shown, FENCE_DOWN);
    /* And the next leader begins anew. */
    play(&player, "20000 7211 +elected-leader " MASTER "20100 7211 +selected-slave " OTHER_REPLICA
                  "20100 7211 +failover-state-wait-promotion " OTHER_REPLICA
                  "21000 - mymaster published 127.0.0.1:7201 2\n");
    cr_expect(strstr(player.told, ", 20000 up (a leader was elected), 20100 promoting, "
                                  "21000 down (a new master was published)"),
              "%s", player.told);
}

Test(sim_fence, leader_killed_and_the_replica_stays_a_master)
{
    struct player player;

    /* A lone Sentinel: nobody turns it back. Writers do not wait for ever. */
    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) SENDING(200, 7210)
                      WAITING(250, 7210) "100000 - nothing\n");
    expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 22250 down (the failover takes too long)");
    cr_expect_eq(fence_next_ms(&player.guard), -1);
    play(&player, ELECTED(101000, 7210));
    cr_expect_eq(player.shown, FENCE_UP, "it leads another one");
}

Test(sim_fence, an_abort_by_somebody_else)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) ABORTED(300, 7211, "not-elected")
                      ABORTED(310, 7212, "slave-timeout") WAITING(400, 7210)
                          ABORTED(500, 7210, "slave-timeout"));
    expect_told(
        &player,
        "100 up (a leader was elected), 400 promoting, 500 down (the failover was aborted)");
}

/* ---- Valkey's coordinated failover ---- */

Test(sim_fence, coordinated_and_the_master_cannot_be_told)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210) SELECTED(200, 7210)
                      SENDING(200, 7210) ABORTED(1300, 7210, "master-timeout"));
    expect_told(&player, "100 up (a leader was elected), 1300 down (the failover was aborted)");
    cr_expect_eq(fence_next_ms(&player.guard), -1);
}

/* The master takes no writes while its replica catches up: they wait here, and not there. */
#define CATCHING_UP \
    "0 - 7202 says replica\n" ELECTED(100, 7210) "101 - 7210 coordinates\n" SELECTED(200, 7210)
/* What the recordings take for granted, that a node turns as it is told, is not so here. */
#define TOLD(ms) WAITING(ms, 7210) #ms " - 7202 says replica\n"

Test(sim_fence, coordinated_and_the_replica_takes_long)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, CATCHING_UP TOLD(300) "9000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING, "%s", player.told);
    cr_expect_gt(player.questions, 3);
    play(&player, "9100 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 9100 down (a new master was published)");
}

Test(sim_fence, coordinated_and_the_replica_hangs)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, CATCHING_UP WAITING(300, 7210) "300 - 7202 says nothing\n" ABORTED(
                      9000, 7210, "slave-timeout"));
    expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 9000 down (the failover was aborted)");
}

Test(sim_fence, coordinated_and_the_master_is_not_told_yet)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, CATCHING_UP "3000 - nothing\n");
    expect_told(&player, "100 up (a leader was elected), "
                         "1203 down (time-out, and the chosen replica does not say master)");
}

Test(sim_fence, coordinated_and_its_leader_is_gone)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, CATCHING_UP TOLD(300) "100000 - nothing\n");
    expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 22300 down (the failover takes too long)");
    play(&player, ELECTED(101000, 7210) SELECTED(101100, 7210) TOLD(101200) "103000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_DOWN, "the next one is an ordinary one: %s", player.told);
}

Test(sim_fence, two_leaders_at_once)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) ELECTED(120, 7211) SELECTED(200, 7210)
                      WAITING(300, 7210) "310 7211 +selected-slave " OTHER_REPLICA ABORTED(
                          400, 7210, "slave-timeout") ABORTED(700, 7211, "slave-timeout"));
    expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 400 up, 700 down (the failover was aborted)");
}

Test(sim_fence, the_later_of_two_leaders_promotes)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) ELECTED(120, 7211) WAITING(300, 7211)
                      ABORTED(400, 7211, "slave-timeout") ABORTED(700, 7210, "slave-timeout"));
    expect_told(
        &player,
        "100 up (a leader was elected), 300 promoting, 400 up, 700 down (the failover was aborted)");
}

Test(sim_fence, two_silent_leaders_are_both_asked_for)
{
    struct player player;

    start_with(&player, 1000);
    play(&player, "0 - 7202 says nothing\n0 - 7201 says master\n" SELECTED(
                      100, 7210) "110 7211 +selected-slave " OTHER_REPLICA "5000 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING, "%s", player.told);
    cr_expect(strchr(player.told, ',') == strrchr(player.told, ','),
              "it did not come down between: %s", player.told);
}

Test(sim_fence, more_leaders_than_there_is_room_for)
{
    struct player player;

    start_with(&player, 1000);
    play(&player,
         ELECTED(1, 7211) ELECTED(2, 7212) ELECTED(3, 7213) ELECTED(4, 7214) ELECTED(5, 7215)
             ELECTED(6, 7216) ABORTED(7, 7211, "slave-timeout") ABORTED(7, 7216, "slave-timeout")
                 ABORTED(7, 7215, "slave-timeout") ABORTED(7, 7214, "slave-timeout"));
    cr_expect_eq(player.shown, FENCE_UP);
    play(&player, ABORTED(8, 7213, "slave-timeout"));
    cr_expect_eq(player.shown, FENCE_DOWN, "%s", player.told);
}

Test(sim_fence, it_is_reset_or_removed_in_the_middle)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) "250 7210 +reset-master " MASTER ELECTED(
                      1000, 7210) "1100 7210 -monitor " MASTER);
    expect_told(&player, "100 up (a leader was elected), 250 down (the failover was aborted), "
                         "1000 up (a leader was elected), 1100 down (the failover was aborted)");
}

/* ---- who is not listened to ---- */

Test(sim_fence, a_failover_away_from_another_master)
{
    struct player player;

    start_with(&player, 3000);
    play(
        &player,
        "100 7210 +elected-leader master mymaster 127.0.0.1 7203\n"
        "200 7210 +selected-slave slave 127.0.0.1:7202 127.0.0.1 7202 @ mymaster 127.0.0.1 7203\n"
        "300 7210 +failover-state-wait-promotion slave 127.0.0.1:7202 127.0.0.1 7202 @ mymaster 127.0.0.1 7203\n"
        "400 7210 +elected-leader master other 127.0.0.1 7200\n"
        "500 7210 +selected-slave slave 127.0.0.1:7200 127.0.0.1 7200 @ mymaster 127.0.0.1 7200\n");
    expect_told(&player, "");
    /* What was on its way when the new master was published. */
    play(&player,
         "1000 - mymaster published 127.0.0.1:7202 1\n" WAITING(1001, 7210) "9000 - nothing\n");
    expect_told(&player, "");
}

Test(sim_fence, before_anything_is_published)
{
    struct write_fence guard;
    struct fence_config config = {.verify_timeout_ms = 500};

    fence_init(&guard, &config);
    fence_hear(&guard, &(struct fence_event){.signal = FENCE_SAYS_ELECTED, .leader = "a"}, BOOT_MS);
    cr_expect_eq(guard.state, FENCE_DOWN);
    cr_expect_eq(guard.config.timeout_ms, FENCE_TIMEOUT_MS);
}

Test(sim_fence, a_sentinel_that_goes_on_and_on)
{
    struct player player;
    char lines[256];
    int64_t up_ms = 0, before_ms = 0;

    start_with(&player, 3000);
    for (int ms = 0; ms < 600000; ms += 2000) {
        snprintf(lines, sizeof(lines), "%d 7210 +elected-leader " MASTER, ms);
        play(&player, lines);
        if (player.shown != FENCE_DOWN) {
            up_ms += ms - before_ms;
        }
        before_ms = ms;
    }
    cr_expect_leq(up_ms, 600000 * 7 / 10, "%lld of 600000 ms", (long long)up_ms);
    cr_expect_gt(up_ms, 0);
}

Test(sim_fence, a_sentinel_that_names_some_other_master_as_its_choice)
{
    struct player player;

    start_with(&player, 3000);
    play(&player, "0 - 7202 says master\n" SELECTED(100, 7210) "200000 - nothing\n");
    expect_told(
        &player,
        "100 up (a replica was chosen), 3103 promoting, 22100 down (the failover takes too long)");
}

/* ---- gaps ---- */

Test(sim_fence, gap)
{
    struct player player;

    /* Still under way: held. */
    start_with(&player, 3000);
    play(&player,
         ELECTED(100, 7210) SELECTED(200, 7210) WAITING(
             250, 7210) "2300 - gap\n2303 - nothing\n2600 - mymaster published 127.0.0.1:7202 1\n");
    expect_told(
        &player,
        "100 up (a leader was elected), 250 promoting, 2600 down (a new master was published)");
    cr_expect_eq(player.questions, 1);
    /* Aborted meanwhile, perhaps. */
    start_with(&player, 3000);
    play(&player, "0 - 7202 says replica\n" ELECTED(100, 7210)
                      SELECTED(200, 7210) "2300 - gap\n2400 - nothing\n");
    expect_told(&player, "100 up (a leader was elected), "
                         "2303 down (time-out, and the chosen replica does not say master)");
    /* Nobody to ask. */
    start_with(&player, 3000);
    play(&player, ELECTED(100, 7210) "2300 - gap\n");
    expect_told(&player,
                "100 up (a leader was elected), 2300 down (time-out, and no replica was chosen)");
    /* An answer to a question from before it. */
    start_with(&player, 1000);
    play(&player, ELECTED(100, 7210) SELECTED(200, 7210) "1201 - gap\n");
    cr_expect_eq(player.questions, 2, "%u", player.questions);
    cr_expect_eq(player.shown, FENCE_UP);
}

Test(sim_fence, gap_while_a_question_is_out)
{
    struct player player;

    /* Its time was over during the gap, which is not the replica's fault. */
    start_with(&player, 1000);
    play(&player, SELECTED(100, 7210) "1100 - nothing\n");
    cr_assert(player.asked);
    player.now_ms = 5000;
    fence_void(&player.guard, BOOT_MS + player.now_ms);
    follow(&player);
    cr_expect_eq(player.shown, FENCE_UP, "%s", player.told);
    cr_expect_eq(player.questions, 2);
    player.nodes[2] = SAYS_MASTER;
    play(&player, "5100 - nothing\n");
    cr_expect_eq(player.shown, FENCE_PROMOTING);
}

/* ---- names ---- */

Test(sim_fence, the_chosen_replica_has_to_be_looked_up)
{
    struct player player;
    struct endpoint node = node_at("7202"), master = node_at("7200");

    start_with(&player, 1000);
    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS);
    follow(&player);
    cr_expect_eq(player.shown, FENCE_UP, "without waiting for it");
    fence_name(&player.guard, "7211", &node, BOOT_MS);
    cr_expect_null(fence_chosen(&player.guard));
    fence_name(&player.guard, "7210", &node, BOOT_MS);
    cr_expect(endpoint_equal(fence_chosen(&player.guard), &node));
    player.nodes[2] = SAYS_MASTER;
    pass_to(&player, 1500);
    cr_expect_eq(player.shown, FENCE_PROMOTING);
    /* Another choice, and its name is not known yet: the one before is none any more. */
    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS + 1500);
    cr_expect_null(fence_chosen(&player.guard));
    fence_publish(&player.guard, &master, BOOT_MS + 1500);
    cr_expect_eq(player.guard.state, FENCE_UP, "it is published already");
    start_with(&player, 1000);
    fence_hear(&player.guard, &(struct fence_event){.signal = FENCE_SAYS_CHOSEN, .leader = "7210"},
               BOOT_MS);
    fence_name(&player.guard, "7210", &master, BOOT_MS);
    follow(&player);
    cr_expect_eq(player.shown, FENCE_DOWN, "what is published is no choice");
}

/* ---- anything at all ---- */

static unsigned long next_random(unsigned long *seed)
{
    *seed = *seed * 6364136223846793005UL + 1442695040888963407UL;
    return *seed >> 33;
}

static void play_random(struct player *player, unsigned long *seed)
{
    static const char *const leaders[] = {"7210", "7211", "7212", "7213", "7214", "7215"};
    struct endpoint nodes[4] = {node_at("7200"), node_at("7201"), node_at("7202"), node_at("7203")};
    struct fence_event said = {.signal = (enum fence_signal)(next_random(seed) % 4),
                               .leader = leaders[next_random(seed) % 6],
                               .failover_timeout_ms = 20000};
    int64_t now_ms = BOOT_MS + player->now_ms;

    switch (next_random(seed) % 16) {
    case 0: fence_publish(&player->guard, &nodes[next_random(seed) % 4], now_ms); break;
    case 1:
        player->asked = false;
        fence_void(&player->guard, now_ms);
        break;
    case 2: fence_name(&player->guard, said.leader, &nodes[next_random(seed) % 4], now_ms); break;
    case 3:
    case 4: player->nodes[next_random(seed) % 4] = (enum says)(next_random(seed) % 5); break;
    default:
        said.master =
            next_random(seed) % 8 > 0 ? &player->guard.published : &nodes[next_random(seed) % 4];
        said.node = next_random(seed) % 4 > 0 ? &nodes[next_random(seed) % 4] : NULL;
        fence_hear(&player->guard, &said, now_ms);
        if (said.signal != FENCE_SAYS_ABORTED &&
            endpoint_equal(said.master, &player->guard.published) && !said.node &&
            player->guard.state == FENCE_DOWN) {
            bool spent = false;

            for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
                spent = spent || player->guard.leads[i].spent;
            }
            cr_assert(spent, "a leader's word did not raise it");
        }
        break;
    }
    follow(player);
}

Test(sim_fence, whatever_is_said)
{
    unsigned ups = 0, downs = 0;

    for (unsigned long run = 1; run <= 300; run++) {
        unsigned long seed = run;
        struct player player;
        int64_t heard_ms;

        start_with(&player, 1000);
        for (int i = 0; i < 100; i++) {
            enum fence was = player.shown;

            pass_to(&player,
                    player.now_ms + (int64_t)(next_random(&seed) % (run % 3 == 0 ? 6000 : 300)));
            play_random(&player, &seed);
            player.told[0] = '\0';
            ups += was == FENCE_DOWN && player.shown != FENCE_DOWN;
            downs += was != FENCE_DOWN && player.shown == FENCE_DOWN;
            cr_assert(player.shown == FENCE_DOWN || !fence_is_idle(&player.guard), "run %lu", run);
            cr_assert(player.shown == FENCE_DOWN || fence_next_ms(&player.guard) >= 0,
                      "run %lu: up for ever", run);
        }
        heard_ms = player.now_ms;
        pass_to(&player, heard_ms + 22001 + 44001);
        cr_assert_eq(player.shown, FENCE_DOWN, "run %lu: up for too long after the last word", run);
        cr_assert_eq(fence_next_ms(&player.guard), -1, "run %lu: it never rests", run);
    }
    cr_expect_gt(ups, 1000, "%u", ups);
    cr_expect_gt(downs, 1000, "%u", downs);
}
