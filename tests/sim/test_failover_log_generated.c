/*
 * Failovers in a row, generated, and told in every order that links can bring about: each move of
 * the answer is in an entry of its own.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "failover_log_player.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TALES 600
#else
#define TALES 3000
#endif

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
static size_t tale_check(const struct tale *tale, struct failover_player *player, uint32_t seed)
{
    struct failovers *list = failover_log_list(player->failover_log);
    size_t finished = 0;

    cr_assert_eq(list->n, tale->n_switches, "seed %u: %s", seed, failover_story(player));
    cr_assert_eq(player->invariant.n_switched, tale->n_switches, "seed %u: %s", seed,
                 failover_story(player));
    for (size_t i = 0; i < list->n; i++) {
        const struct failover *entry = NULL;
        int64_t ms = tale->switches[i].ms, ended;

        for (size_t j = 0; j < list->n; j++) { /* one that began early may be younger */
            entry = phase_at(list->entries[j], PHASE_PUBLISHED) == ms ? list->entries[j] : entry;
        }
        cr_assert(entry && entry->from.port == tale->switches[i].from &&
                      entry->to.port == tale->switches[i].to,
                  "seed %u: the move to %d at %lld: %s", seed, tale->switches[i].to, (long long)ms,
                  failover_story(player));
        cr_assert(*entry->leader == '\0' ||
                      strtol(entry->leader, NULL, 10) == tale->switches[i].leader,
                  "seed %u: %s", seed, failover_story(player));
        ended = phase_at(entry, PHASE_FINISHED);
        cr_assert(ended == 0 || ended == tale->switches[i].end_ms ||
                      (ended == ms && tale->switches[i].end_ms < ms),
                  "seed %u: the move to %d: %s", seed, tale->switches[i].to,
                  failover_story(player));
        finished += ended != 0;
    }
    failovers_unref(list);
    return finished;
}

Test(sim_failover_log, generated)
{
    struct tale *tale = malloc(sizeof(*tale));
    size_t finished = 0, ends = 0;

    cr_assert(tale);
    for (uint32_t seed = 1; seed <= TALES; seed++) {
        struct failover_player player;

        player = failover_play_start(64);
        tale_make(tale, seed);
        for (size_t i = 0; i < tale->n; i++) {
            failover_play(&player, tale->events[i].line);
        }
        failover_play_to(&player, player.now_ms + 200000);
        finished += tale_check(tale, &player, seed);
        for (size_t i = 0; i < tale->n_switches; i++) {
            ends += tale->switches[i].end_ms != 0;
        }
        failover_play_stop(&player);
    }
    /*
     * All but those whose entry could not wait: a third failover began meanwhile, or its leader had
     * not been heard of.
     */
    cr_expect_gt(finished * 100, ends * 90, "%zu of %zu ends", finished, ends);
    free(tale);
}
