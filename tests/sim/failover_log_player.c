/* Plays a stream to the failover log, and tells what is in it. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failover_log_player.h"

struct failover_log_time failover_play_time(const struct failover_player *player)
{
    return (struct failover_log_time){BOOT_MS + player->now_ms, WALL_MS + player->now_ms};
}

void failover_play_check(struct failover_player *player)
{
    cr_assert(
        failover_log_holds(&player->invariant, player->failover_log, BOOT_MS + player->now_ms),
        "at %lld ms: %s", (long long)player->now_ms, player->invariant.broken);
}

void failover_play_to(struct failover_player *player, int64_t to_ms)
{
    int64_t next_ms, last_ms = -1;

    while ((next_ms = failover_log_next_ms(player->failover_log)) >= 0 &&
           next_ms <= BOOT_MS + to_ms) {
        cr_assert_gt(next_ms, last_ms, "a busy loop");
        last_ms = next_ms;
        player->now_ms = next_ms - BOOT_MS > player->now_ms ? next_ms - BOOT_MS : player->now_ms;
        failover_log_tick(player->failover_log, failover_play_time(player));
        failover_play_check(player);
    }
    player->now_ms = to_ms;
}

static struct failover_watched *find(struct failover_player *player, const char *name)
{
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(player->watched[i].name, name) == 0) {
            return &player->watched[i];
        }
    }
    return NULL;
}

struct failover_player failover_play_start(size_t capacity)
{
    struct failover_player player = {.failover_log = failover_log_new(capacity),
                                     .invariant = {.capacity = capacity}};

    for (size_t i = 0; i < 2; i++) {
        struct failover_watched *watched = &player.watched[i];

        snprintf(watched->name, sizeof(watched->name), "%s", i == 0 ? "mymaster" : "other");
        watched->published = recording_address(i == 0 ? "7200" : "7203");
        watched->record = failover_log_watch(player.failover_log, watched->name, 0);
        failover_log_published(watched->record, NULL, &watched->published, 0, true, false,
                               failover_play_time(&player));
        failover_log_state(watched->record, &watched->published, MASTER_OK,
                           failover_play_time(&player));
    }
    return player;
}

void failover_play_stop(struct failover_player *player)
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
static void play_own(struct failover_player *player, const char *what)
{
    char name[64], verb[32], rest[64] = "", more[64] = "";
    int n = sscanf(what, "%63s %31s %63s %63s", name, verb, rest, more);
    struct failover_watched *watched = find(player, name);

    cr_assert(n >= 2 && watched, "%s", what);
    if (strcmp(verb, "good") == 0 || strcmp(verb, "lost") == 0 || strcmp(verb, "alive") == 0) {
        failover_log_checked(watched->record,
                             *verb == 'g'   ? FAILOVER_CHECK_GOOD
                             : *verb == 'l' ? FAILOVER_CHECK_BAD
                                            : FAILOVER_CHECK_ALIVE,
                             failover_play_time(player));
    } else if (strcmp(verb, "restarted") == 0) {
        failover_log_restarted(watched->record, failover_play_time(player));
    } else if (strcmp(verb, "state") == 0) {
        failover_log_state(watched->record, &watched->published, state_of(rest),
                           failover_play_time(player));
    } else {
        bool adopted = strcmp(verb, "adopted") == 0;
        struct address from = watched->published;

        cr_assert(adopted || strcmp(verb, "published") == 0, "%s", what);
        watched->published = recording_address(rest);
        failover_log_published(watched->record, &from, &watched->published, strtoll(more, NULL, 10),
                               true, adopted, failover_play_time(player));
        failover_log_state(watched->record, &watched->published, MASTER_OK,
                           failover_play_time(player));
    }
}

static void play_event(struct failover_player *player, const char *who, const char *what)
{
    struct sentinel_event event;
    enum failover_log_signal signal;
    struct failover_watched *watched;

    recording_event(what, &event);
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
        failover_play_time(player));
}

static void play_line(void *data, int64_t ms, const char *who, const char *what)
{
    struct failover_player *player = data;
    struct failover_log_event of_mymaster = {.master = player->watched[0].record, .sentinel = who};

    failover_play_to(player, ms);
    if (strcmp(who, "-") == 0) {
        play_own(player, what);
    } else if (strncmp(what, "row ", 4) == 0) {
        /* its row has force_failover, or a failover under way */
        of_mymaster.signal = what[4] == 'f' ? FAILOVER_SIGNAL_FORCED : FAILOVER_SIGNAL_BUSY;
        failover_log_hear(player->failover_log, &of_mymaster, failover_play_time(player));
    } else if (strcmp(what, "lost") == 0) { /* its link */
        of_mymaster.signal = FAILOVER_SIGNAL_LOST;
        failover_log_hear(player->failover_log, &of_mymaster, failover_play_time(player));
    } else {
        play_event(player, who, what);
    }
    failover_play_check(player);
}

void failover_play(struct failover_player *player, const char *lines)
{
    recording_play(lines, play_line, player);
}

void failover_play_file(struct failover_player *player, const char *name)
{
    recording_play_file(name, play_line, player);
}

static void tell(struct failover_player *player, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct failover_player *player, const char *format, ...)
{
    size_t len = strlen(player->told);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(player->told + len, sizeof(player->told) - len, format, arguments);
    va_end(arguments);
}

static void tell_ms(struct failover_player *player, const char *before, int64_t ms, bool known)
{
    if (known) {
        tell(player, " %s %lld", before, (long long)ms);
    } else {
        tell(player, " %s ?", before);
    }
}

const char *failover_story(struct failover_player *player)
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
