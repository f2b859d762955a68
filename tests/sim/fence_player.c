/* Plays a stream to the fence. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fence_player.h"

#define ANSWER_MS 3 /* how long a node takes */

struct endpoint fence_node_at(const char *text)
{
    struct address address = recording_address(text);

    return endpoint_from_address(&address);
}

static void tell(struct fence_player *player, const char *words)
{
    size_t n = strlen(player->told);

    snprintf(player->told + n, sizeof(player->told) - n, "%s%s", n > 0 ? ", " : "", words);
}

void fence_play_follow(struct fence_player *player)
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

static void answer(struct fence_player *player)
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

void fence_play_to(struct fence_player *player, int64_t to_ms)
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
        fence_play_follow(player);
    }
    player->now_ms = to_ms;
}

struct fence_player fence_play_start(int64_t timeout_ms)
{
    struct fence_player player = {.shown = FENCE_DOWN};
    struct fence_config config = {.timeout_ms = timeout_ms, .verify_timeout_ms = 500};
    struct endpoint published = fence_node_at("7200");

    fence_init(&player.guard, &config);
    fence_publish(&player.guard, &published, BOOT_MS);
    return player;
}

static void play_own(struct fence_player *player, const char *what)
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
        node = fence_node_at(rest);
        fence_publish(&player->guard, &node, BOOT_MS + player->now_ms);
    } else if (strcmp(verb, "says") == 0) {
        player->nodes[strtol(first, NULL, 10) - 7200] = *rest == 'm'     ? SAYS_MASTER
                                                        : *rest == 'n'   ? SAYS_NOTHING
                                                        : *rest == 'c'   ? SAYS_CLOSED
                                                        : rest[2] == 'f' ? SAYS_REFUSED
                                                                         : SAYS_REPLICA;
    }
}

static void play_event(struct fence_player *player, const char *who, const char *what)
{
    struct sentinel_event event;
    struct fence_event said = {.leader = who, .failover_timeout_ms = 20000};
    struct endpoint old, node;

    recording_event(what, &event);
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

static void play_line(void *data, int64_t ms, const char *who, const char *what)
{
    struct fence_player *player = data;

    fence_play_to(player, ms);
    if (strcmp(who, "-") == 0) {
        play_own(player, what);
    } else {
        play_event(player, who, what);
    }
    fence_play_follow(player);
}

void fence_play(struct fence_player *player, const char *lines)
{
    recording_play(lines, play_line, player);
}

void fence_play_file(struct fence_player *player, const char *name)
{
    recording_play_file(name, play_line, player);
}

void fence_expect_told(const struct fence_player *player, const char *told)
{
    cr_expect_str_eq(player->told, told, "\n  %s\nand not\n  %s", player->told, told);
}
