/*
 * Who is there in a generated world: the judge's count of Sentinels, and the truth that it is held
 * against. See world.h.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

const char *world_id_of(int s, unsigned birth, char out[RUN_ID_SIZE])
{
    snprintf(out, RUN_ID_SIZE, "sentinel-%d-%u", s, birth);
    return out;
}

/* ---- who is there ---- */

static bool is_live(const struct world *world, int s)
{
    const struct world_link *link = &world->links[s];

    return link->up && link->settled && link->has_said && !link->says_unknown;
}

/* By more than half of those that are there and list anybody. */
static bool is_listed_as(const struct world *world, int s, unsigned birth, bool *firm)
{
    static const unsigned nobody[WORLD_SENTINELS] = {0};
    int tellers = 0;
    int pending = 0;
    int naming = 0;

    for (int by = 0; by < world->n_sentinels; by++) {
        const struct world_link *link = &world->links[by];

        pending += !link->settled; /* its word is waited for */
        if (by != s && world->electorate[by] && link->has_list &&
            memcmp(link->listed, nobody, sizeof(nobody)) != 0) {
            tellers++;
            naming += link->listed[s] == birth;
        }
    }
    *firm = tellers > 1;
    return naming * 2 > tellers + pending;
}

static bool is_listed(const struct world *world, int s, bool *firm)
{
    bool listed = is_listed_as(world, s, world->sentinels[s].birth, firm);

    for (unsigned birth = 1; birth < world->sentinels[s].birth && !listed; birth++) {
        listed = is_listed_as(world, s, birth, firm);
    }
    return listed;
}

/*
 * Under the run id that it had when it was linked, if ever it was; by one that is linked, or that
 * only is there.
 */
static bool is_named(const struct world *world, int s, bool linked)
{
    for (int by = 0; by < world->n_sentinels; by++) {
        unsigned listed = world->links[by].listed[s];

        if ((is_live(world, by) || (!linked && world->electorate[by])) && listed != 0 &&
            (world->links[s].known_as == 0 || listed == world->links[s].known_as)) {
            return true;
        }
    }
    return false;
}

/* @return whether anybody left. */
static bool let_leave(struct world *world)
{
    int there = 0;
    int live = 0;
    bool any = false;

    for (int s = 0; s < world->n_sentinels; s++) {
        there += world->electorate[s];
        live += is_live(world, s);
        world->links[s].live_ms = is_live(world, s) ? world->now_ms : world->links[s].live_ms;
    }
    for (int s = 0; s < world->n_sentinels && live * 2 >= there; s++) {
        bool long_gone = 2 * live > world->n_sentinels && !is_named(world, s, true) &&
                         world->now_ms - world->links[s].live_ms >= 10000;

        if (world->electorate[s] && !is_live(world, s) &&
            (long_gone || (live * 2 > there && !is_named(world, s, false)))) {
            world->electorate[s] = false;
            world->stats->left++;
            any = true;
        }
    }
    return any;
}

/*
 * The truth that the judge's count is held against, by place: a Sentinel that answered, or that
 * most of the others list, is there, whatever its run id, until more than half of those that are
 * there are linked and none that is there lists it, or half of them and the quorum are, none of
 * which lists it, and it has not been for ten seconds.
 */
static void count_places(struct world *world)
{
    for (int s = 0; s < world->n_sentinels; s++) {
        world->electorate[s] =
            world->electorate[s] || (is_live(world, s) && !world->links[s].foreign);
    }
    for (int i = 0; i < 2 * world->n_sentinels; i++) { /* twice: whoever is there says who is */
        int s = i % world->n_sentinels;
        bool firm;
        bool listed = is_listed(world, s, &firm);

        /* By the word of one alone it is there only as long as no other has a list. */
        world->provisional[s] =
            !is_live(world, s) &&
            (world->electorate[s] ? world->provisional[s] && !(listed && firm) : !firm);
        world->electorate[s] = (is_live(world, s) && !world->links[s].foreign) || listed ||
                               (world->electorate[s] && !world->provisional[s]);
    }
    while (let_leave(world)) { /* who left names nobody any more */
    }
}

/* As master_recount() does from its chairs. */
void electorate_count(struct world *world)
{
    static char texts[WORLD_SENTINELS][WORLD_SENTINELS][RUN_ID_SIZE];
    static char ids[WORLD_SENTINELS][RUN_ID_SIZE], formers[WORLD_SENTINELS][RUN_ID_SIZE];
    const char *lists[WORLD_SENTINELS][WORLD_SENTINELS];
    const char *all[WORLD_SENTINELS * (WORLD_SENTINELS + 1)];
    struct elector electors[WORLD_SENTINELS] = {{.id = ""}};
    size_t n = 0;

    for (int s = 0; s < world->n_sentinels; s++) {
        struct world_link *link = &world->links[s];
        struct elector *elector = &electors[s];

        elector->id = link->known_as != 0 ? world_id_of(s, link->known_as, ids[s]) : "";
        elector->former = link->former != 0 ? world_id_of(s, link->former, formers[s]) : "";
        elector->configured = true;
        elector->pending = !link->settled;
        elector->live = is_live(world, s);
        elector->has_list = link->has_list;
        elector->listed = lists[s];
        elector->master = link->has_said ? &link->says : NULL;
        for (int i = 0; i < world->n_sentinels; i++) {
            if (link->listed[i] != 0) {
                all[n] = lists[s][elector->n_listed] = world_id_of(i, link->listed[i], texts[s][i]);
                elector->n_listed++;
                n++;
            }
        }
        if (elector->id[0] != '\0') {
            all[n++] = elector->id;
        }
    }
    (void)judge_recount(world->judge, electors, (size_t)world->n_sentinels,
                        world->n_sentinels / 2 + 1, world->now_ms);
    invariant_recount(&world->invariant, world->judge, all, n);
    for (int s = 0; s < world->n_sentinels; s++) {
        world->links[s].foreign = electors[s].foreign;
        world->electorate[s] = world->electorate[s] && !electors[s].foreign;
    }
    count_places(world);
}

/* ---- what is held ---- */

/* How many places say what is published, as the watcher may know it now. */
static int true_votes(const struct world *world)
{
    int voices = 0;

    for (int s = 0; s < world->n_sentinels; s++) {
        char id[RUN_ID_SIZE];
        const struct observation *seen =
            judge_observation(world->judge, world_id_of(s, world->links[s].known_as, id));

        voices += world->links[s].up && seen && observation_counts(seen, world->now_ms) &&
                  endpoint_equal(&seen->master, &world->j.published->master);
    }
    return voices;
}

/* One that has to do with others by their lists is no stranger. */
static bool is_listed_or_lists(const struct world *world, int s)
{
    for (int i = 0; i < world->n_sentinels; i++) {
        const struct world_link *other = &world->links[i];
        const struct world_link *own = &world->links[s];

        if (i != s && world->electorate[i] && is_live(world, i) &&
            (other->listed[s] == own->known_as || own->listed[i] == other->known_as)) {
            return true;
        }
    }
    return false;
}

void electorate_check(struct world *world)
{
    int there = 0;

    for (int s = 0; s < world->n_sentinels; s++) {
        const struct world_link *link = &world->links[s];
        char id[RUN_ID_SIZE];

        there += world->electorate[s];
        world->stats->foreign += link->foreign;
        if (link->foreign && is_listed_or_lists(world, s)) {
            snprintf(world->failed, sizeof(world->failed), "%lld ms: Sentinel %d is no stranger",
                     (long long)world->now_ms, s);
        } else if (is_live(world, s) && !link->foreign && link->has_list &&
                   !judge_knows(world->judge, world_id_of(s, link->known_as, id))) {
            snprintf(world->failed, sizeof(world->failed),
                     "%lld ms: Sentinel %d is there and not known", (long long)world->now_ms, s);
        }
    }
    if (world->j.published && world->j.majority && true_votes(world) * 2 <= there) {
        snprintf(world->failed, sizeof(world->failed), "%lld ms: %d voices of %d are no majority",
                 (long long)world->now_ms, true_votes(world), there);
    }
}
