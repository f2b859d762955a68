/* The trouble of a generated world, and its end. See world.h. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define TROUBLE_MS 28000
#define CALM_MS 14000      /* how long the calm lasts */
#define CALM_BOUND_MS 7000 /* and when the judge has to be right in it, */
/*
 * counted from the end of rule 13's hold where one had announced the stranger, which goes on saying
 * master
 */
#define STRANGER_MS 15000

/* ---- chance and time ---- */

static uint64_t next_random(struct world *world)
{
    uint64_t z = (world->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t world_below(struct world *world, uint32_t bound)
{
    return (uint32_t)(next_random(world) % bound);
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_below(world, 100) < percent;
}

static int any_below(struct world *world, int bound)
{
    return (int)world_below(world, (uint32_t)bound);
}

struct world_event *world_at(struct world *world, int64_t delay_ms, enum world_event_kind kind,
                             int who)
{
    struct world_event *event =
        &world->events[world->n_events < WORLD_EVENTS ? world->n_events : WORLD_EVENTS - 1];

    if (world->n_events == WORLD_EVENTS) {
        snprintf(world->failed, sizeof(world->failed), "the world has too many events under way");
    } else {
        world->n_events++;
    }
    event->at_ms = world->now_ms + delay_ms;
    event->kind = kind;
    event->who = who;
    event->era = event->token = 0;
    event->refused = false;
    event->epoch = EPOCH_UNKNOWN;
    event->has_list = false;
    return event;
}

/* ---- Sentinels among themselves ---- */

static void know_the_others(struct world *world, int s)
{
    for (int other = 0; other < world->n_sentinels; other++) {
        world->sentinels[s].lists[other] = other == s ? 0 : world->sentinels[other].birth;
    }
}

static bool hear_each_other(const struct world *world, int a, int b)
{
    return a != b && world->sentinels[a].up && world->sentinels[b].up &&
           world->sentinels[a].group == world->sentinels[b].group;
}

static void hello(struct world *world, int from, int to)
{
    struct world_sentinel *a = &world->sentinels[from];
    struct world_sentinel *b = &world->sentinels[to];

    if (!hear_each_other(world, from, to) || !b->knows_name || !a->knows_name) {
        return;
    }
    if (b->lists[from] != a->birth) { /* one address, one entry: a former self goes */
        b->lists[from] = a->birth;
        watch_list(world, to);
    }
    if (b->epoch >= a->epoch) {
        return;
    }
    b->epoch = a->epoch;
    if (!world_chance(world, 2)) { /* trap 5: now and then the epoch alone */
        b->says = a->says;
    }
    watch_event(world, to);
}

static void handle_hello(struct world *world, int from)
{
    for (int to = 0; to < world->n_sentinels; to++) {
        hello(world, from, to);
    }
    world_at(world, 1500 + world_below(world, 1000), EVENT_HELLO, from);
}

static void set_role(struct world *world, int n, bool master)
{
    if (world->nodes[n].master != master) {
        world->nodes[n].master = master;
        world->nodes[n].master_since_ms = world->now_ms;
    }
}

/* Sentinels turn back who says master and should not. */
static void handle_housekeeping(struct world *world)
{
    for (int s = 0; s < world->n_sentinels; s++) {
        for (int n = 0; n < world->n_nodes; n++) {
            struct world_node *node = &world->nodes[n];

            if (world->sentinels[s].up && world->sentinels[s].says != n && node->up &&
                node->master && world->now_ms - node->master_since_ms > 8000 &&
                world_chance(world, 30)) {
                set_role(world, n, false);
            }
        }
    }
    world_at(world, 2000, EVENT_HOUSEKEEPING, 0);
}

/* ---- failovers ---- */

static int64_t highest_epoch(const struct world *world, int group)
{
    int64_t highest = 0;

    for (int s = 0; s < world->n_sentinels; s++) {
        if ((group < 0 || world->sentinels[s].group == group) &&
            world->sentinels[s].epoch > highest) {
            highest = world->sentinels[s].epoch;
        }
    }
    return highest;
}

static void begin_failover(struct world *world, int slot, int leader, bool manual)
{
    struct world_failover *f = &world->failovers[slot];
    struct world_sentinel *sentinel = &world->sentinels[leader];
    int chosen = any_below(world, world->n_nodes);

    if (f->running || !sentinel->up || sentinel->lies || !sentinel->knows_name ||
        chosen == sentinel->says) {
        return;
    }
    *f = (struct world_failover){.running = true,
                                 .manual = manual,
                                 .leader = leader,
                                 .leader_birth = sentinel->birth,
                                 .chosen = chosen,
                                 .epoch = highest_epoch(world, sentinel->group) + 1};
    world->stats->failovers++;
    sentinel->failover = true;
    watch_lead(world, leader, PROMOTION_TRY, world->failovers[slot].epoch, 0);
    watch_event(world, leader);
    world_at(world, 80 + world_below(world, 150), EVENT_FAILOVER, slot);
}

static void announce(struct world *world, const struct world_failover *f)
{
    struct world_sentinel *leader = &world->sentinels[f->leader];

    leader->says = f->chosen;
    leader->epoch = f->epoch;
    watch_event(world, f->leader);
    for (int s = 0; s < world->n_sentinels; s++) {
        if (world_chance(world, 70)) {
            hello(world, f->leader, s);
        }
    }
}

static void abort_failover(struct world *world, struct world_failover *f)
{
    f->running = false;
    world->sentinels[f->leader].failover = false;
    watch_lead(world, f->leader, PROMOTION_ABORTED, EPOCH_UNKNOWN, 0);
    watch_event(world, f->leader);
}

/* What can happen to a leader or its failover in any phase. @return whether it is over. */
static bool goes_wrong(struct world *world, struct world_failover *f)
{
    struct world_sentinel *leader = &world->sentinels[f->leader];
    unsigned what =
        world_below(world, f->phase == 3 ? 60 : 100); /* promoted, not announced: the worst time */

    if (what < 7) { /* it dies */
        leader->up = false;
        leader->failover = false;
        f->running = false;
    } else if (what < 10) { /* it can't be reached from here; the failover goes on */
        leader->unreachable = true;
    } else if (what < 15) {
        abort_failover(world, f);
    } else if (what < 24) {
        /* it is stuck: says that a failover is under way, and nothing more comes */
        f->running = false;
    } else if (what < 26) { /* the chosen one crashes */
        world->nodes[f->chosen].up = false;
        watch_closed(world, f->chosen);
    } else if (what < 28 && f->phase > 2) { /* and is turned back */
        set_role(world, f->chosen, false);
    }
    return !f->running;
}

static void handle_failover(struct world *world, int slot)
{
    struct world_failover *f = &world->failovers[slot];
    struct world_sentinel *leader = &world->sentinels[f->leader];

    if (!f->running) {
        return;
    }
    if (!leader->up || leader->birth != f->leader_birth || !world->nodes[f->chosen].up) {
        /* the leader died, or the chosen one: whatever was done stays as it is */
        f->running = false;
        leader->failover = false;
        return;
    }
    if (goes_wrong(world, f)) {
        return;
    }
    switch (f->phase++) {
    case 0:
        watch_lead(world, f->leader, PROMOTION_ELECTED, EPOCH_UNKNOWN, 0);
        world_at(world, 50 + world_below(world, 60), EVENT_FAILOVER, slot);
        break;
    case 1:
        watch_lead(world, f->leader, PROMOTION_CHOSEN, EPOCH_UNKNOWN, f->chosen);
        world_at(world, world_below(world, 120), EVENT_FAILOVER, slot);
        break;
    case 2:
        set_role(world, f->chosen, true);
        world_at(world, 100 + world_below(world, 900), EVENT_FAILOVER, slot);
        break;
    case 3:
        announce(world, f);
        world_at(world, 200 + world_below(world, 3000), EVENT_FAILOVER, slot);
        break;
    default:
        for (int n = 0; n < world->n_nodes; n++) {
            if (n != f->chosen && world->nodes[n].up && !world->nodes[n].hung) {
                set_role(world, n, false);
            }
        }
        leader->failover = false;
        f->running = false;
        watch_lead(world, f->leader, PROMOTION_ENDED, EPOCH_UNKNOWN, 0);
        watch_event(world, f->leader);
        break;
    }
}

/* ---- trouble ---- */

static void partition(struct world *world)
{
    for (int s = 0; s < world->n_sentinels; s++) {
        world->sentinels[s].group = any_below(world, 2);
        world->sentinels[s].unreachable = world_chance(world, 15);
    }
}

/* Two forced failovers that know nothing of each other: one epoch, two masters. */
static void double_failover(struct world *world)
{
    int half = world->n_sentinels / 2;
    int64_t epoch = highest_epoch(world, -1);

    for (int s = 0; s < world->n_sentinels; s++) {
        world->sentinels[s].group = s < half ? 0 : 1;
        world->sentinels[s].epoch = world_chance(world, 90) ? epoch : world->sentinels[s].epoch;
    }
    begin_failover(world, 0, any_below(world, half), true);
    begin_failover(world, 1, half + any_below(world, world->n_sentinels - half), true);
    world->stats->double_epochs++;
}

static void remonitor(struct world *world)
{
    int master = any_below(world, world->n_nodes);

    for (int s = 0; s < world->n_sentinels; s++) {
        if (world_chance(world, 85)) {
            world->sentinels[s].epoch = 0;
            memset(world->sentinels[s].lists, 0, sizeof(world->sentinels[s].lists));
            world->sentinels[s].says = world_chance(world, 70) ? master : world->sentinels[s].says;
        }
    }
    for (int n = 0; n < world->n_nodes && world_chance(world, 80); n++) {
        set_role(world, n, n == master);
    }
}

static void restart_sentinel(struct world *world, int s)
{
    struct world_sentinel *sentinel = &world->sentinels[s];

    if (sentinel->up) {
        sentinel->up = false;
        sentinel->failover = false;
        return;
    }
    sentinel->up = true;
    sentinel->boots++;
    if (world_chance(world, 30)) { /* its state was lost */
        sentinel->epoch = 0;
        sentinel->says = 0;
        memset(sentinel->lists, 0, sizeof(sentinel->lists));
        if (world_chance(world, 50)) {
            sentinel->birth++;
            world->stats->replaced++;
        }
    }
}

/*
 * SENTINEL RESET: lists are empty until the next hellos. Of one, or of all: so Sentinels are made
 * to forget.
 */
static void reset(struct world *world, int only)
{
    bool all = world_chance(world, 50);

    for (int s = 0; s < world->n_sentinels; s++) {
        if (world->sentinels[s].up && (all || s == only)) {
            memset(world->sentinels[s].lists, 0, sizeof(world->sentinels[s].lists));
            watch_list(world, s);
            world->stats->resets++;
        }
    }
}

static void crash_or_start(struct world *world, int n)
{
    struct world_node *node = &world->nodes[n];

    if (node->up) {
        node->up = false;
        watch_closed(world, n);
    } else {
        node->up = true;
        node->hung = false;
        node->boots++;
        node->master_since_ms = world->now_ms;
    }
}

static void lie(struct world *world, int s)
{
    struct world_sentinel *sentinel = &world->sentinels[s];

    sentinel->lies = !sentinel->lies;
    sentinel->lie = world_chance(world, 40) ? WORLD_STRANGER : any_below(world, world->n_nodes);
    sentinel->lie_epoch = (int64_t)world_below(world, 4) + highest_epoch(world, -1) - 2;
    sentinel->lie_epoch = sentinel->lie_epoch < 0 ? 0 : sentinel->lie_epoch;
}

/* Somebody makes a failover up: in parts, in any order, at any epoch, for any node. */
static void forge(struct world *world, int s)
{
    bool in_order = world_chance(world, 60);
    int64_t epoch = (int64_t)world_below(world, 5) + highest_epoch(world, -1) - 2;

    world->sentinels[s].failover = world_chance(world, 50);
    for (unsigned i = 0; i < 3 + world_below(world, 4); i++) {
        unsigned step = in_order ? i % 5 : world_below(world, 5);

        watch_lead(world, s, (enum promotion_step)step, epoch < 0 ? 0 : epoch,
                   any_below(world, world->n_nodes));
    }
}

static void change_permission(struct world *world, int n)
{
    static const enum role_answer answers[] = {ROLE_MASTER, ROLE_MASTER, ROLE_NOPERM, ROLE_NOAUTH,
                                               ROLE_LOADING};

    world->nodes[n].permission = answers[world_below(world, 5)];
}

static void make_trouble(struct world *world)
{
    int s = any_below(world, world->n_sentinels);
    int n = any_below(world, world->n_nodes);
    unsigned what = world_below(world, 100);

    if (world->j.adopted && !world->frozen && world_chance(world, 8)) {
        watch_freeze(world);
        world_at(world, 1100 + world_below(world, 8000), EVENT_THAW, 0);
    } else if (what < 16) {
        crash_or_start(world, world_chance(world, 50) ? world->sentinels[s].says : n);
    } else if (what < 36) {
        begin_failover(world, any_below(world, 2), s, world_chance(world, 50));
    } else if (what < 42) {
        double_failover(world);
    } else if (what < 52) {
        restart_sentinel(world, s);
    } else if (what < 58) {
        partition(world);
    } else if (what < 64) {
        for (int i = 0; i < world->n_sentinels; i++) {
            world->sentinels[i].group = 0;
            world->sentinels[i].unreachable = false;
        }
    } else if (what < 69) {
        remonitor(world);
    } else if (what < 72) {
        lie(world, s);
    } else if (what < 75) {
        forge(world, s);
    } else if (what < 81) {
        world->nodes[n].hung = !world->nodes[n].hung;
    } else if (what < 85) {
        world->nodes[n].unreachable = !world->nodes[n].unreachable;
    } else if (what < 88) {
        change_permission(world, n);
    } else if (what < 92) {
        world->sentinels[s].unreachable = !world->sentinels[s].unreachable;
    } else if (what < 94) {
        world->sentinels[s].knows_name = !world->sentinels[s].knows_name;
    } else if (what < 97) {
        reset(world, s);
    } else if (!world->frozen) {
        watch_freeze(world);
        world_at(world, 1100 + world_below(world, 8000), EVENT_THAW, 0);
    }
}

/* ---- the calm ---- */

/* One true master, alive; all Sentinels are there and agree on it, at an epoch that may be any. */
static void handle_calm(struct world *world)
{
    int64_t highest = highest_epoch(world, -1);
    int64_t epochs[] = {highest, highest + 1, 0};
    int64_t epoch = epochs[world_below(world, 3)];

    world->calm = true;
    world->calm_ms = world->now_ms;
    world->right_ms = -1;
    world->truth = any_below(world, world->n_nodes);
    memset(world->failovers, 0, sizeof(world->failovers));
    for (int n = 0; n < world->n_nodes; n++) {
        struct world_node *node = &world->nodes[n];

        node->up = true;
        node->hung = node->unreachable = false;
        node->permission = node->permission == ROLE_LOADING ? ROLE_MASTER : node->permission;
        set_role(world, n, n == world->truth);
    }
    for (int s = 0; s < world->n_sentinels; s++) {
        struct world_sentinel *sentinel = &world->sentinels[s];

        sentinel->boots += !sentinel->up;
        sentinel->up = sentinel->knows_name = true;
        sentinel->unreachable = sentinel->lies = sentinel->failover = false;
        sentinel->group = 0;
        sentinel->says = world->truth;
        sentinel->epoch = epoch;
    }
    for (int s = 0; s < world->n_sentinels; s++) {
        know_the_others(world, s);
        world->links[s].list_ms = world->now_ms; /* the event of it is not lost here */
    }
    if (world->frozen) {
        watch_thaw(world);
    }
}

static bool is_right(const struct world *world)
{
    return world->j.published && world->j.published->master.name.port == 7000 + world->truth &&
           master_serves(world->j.state, world->j.reason);
}

static bool is_held_for_the_stranger(const struct world *world)
{
    return world->j.contradicted && world->j.published->master.name.port == 7000 + WORLD_STRANGER;
}

static void watch_the_calm(struct world *world)
{
    int64_t calm_for_ms = world->now_ms - world->calm_ms;

    if (!world->calm || world->right_ms >= 0) {
        return;
    }
    if (is_right(world)) {
        world->right_ms = calm_for_ms;
        if (world->right_ms > world->stats->slowest_ms) {
            world->stats->slowest_ms = world->right_ms;
        }
    } else if (calm_for_ms <= STRANGER_MS && is_held_for_the_stranger(world)) {
        world->held_ms = calm_for_ms;
    }
}

static void check_the_end(struct world *world)
{
    int published = world->j.published ? world->j.published->master.name.port - 7000 : -1;

    if (world->failed[0] != '\0') {
        return;
    }
    if (world->right_ms < 0 || world->right_ms > world->held_ms + CALM_BOUND_MS ||
        published != world->truth) {
        snprintf(
            world->failed, sizeof(world->failed),
            "calm since %lld, node %d is the master, right after %lld ms; published %d, %s (%s)",
            (long long)world->calm_ms, world->truth, (long long)world->right_ms, published,
            master_state_text(world->j.state), world->j.detail);
    } else if (world->steps > world->fed * 4 + 1000) {
        snprintf(world->failed, sizeof(world->failed),
                 "%u steps for %u pieces of news: a busy loop", world->steps, world->fed);
    }
}

/* ---- a history ---- */

static void make_world(struct world *world)
{
    bool epochs = !world_chance(world, 10);

    world->config =
        (struct judge_config){.verify = !world_chance(world, 15),
                              .adopt = world_chance(world, 75),
                              .verify_interval_ms = world_chance(world, 80) ? 1000 : 300,
                              .verify_timeout_ms = 500,
                              .suspect_after_ms = world_chance(world, 80) ? 1500 : 700,
                              .sentinel_timeout_ms = 500};
    world->failover_timeout_ms = world_chance(world, 60) ? 10000 : 200;
    world->n_sentinels = 3 + any_below(world, WORLD_SENTINELS - 2);
    world->n_nodes = 2 + any_below(world, WORLD_NODES - 1);
    for (int s = 0; s < world->n_sentinels; s++) {
        world->sentinels[s] = (struct world_sentinel){.up = !world_chance(world, 10),
                                                      .gives_epoch = epochs,
                                                      .knows_name = true,
                                                      .birth = 1,
                                                      .epoch = world_below(world, 3)};
    }
    for (int s = 0; s < world->n_sentinels; s++) {
        if (!world_chance(world, 10)) {
            know_the_others(world, s);
        }
    }
    world->nodes[WORLD_STRANGER] =
        (struct world_node){.up = true, .master = true, .permission = ROLE_MASTER};
    for (int n = 0; n < world->n_nodes; n++) {
        world->nodes[n] =
            (struct world_node){.up = true, .master = n == 0, .permission = ROLE_MASTER};
        if (world_chance(world, 8)) {
            world->nodes[n].permission = ROLE_NOPERM;
        }
    }
}

static void handle(struct world *world, const struct world_event *event)
{
    switch (event->kind) {
    case EVENT_TROUBLE:
        if (!world->calm) {
            make_trouble(world);
            world_at(world, 20 + world_below(world, world_chance(world, 30) ? 100 : 2000),
                     EVENT_TROUBLE, 0);
        }
        break;
    case EVENT_HELLO: handle_hello(world, event->who); break;
    case EVENT_HOUSEKEEPING: handle_housekeeping(world); break;
    case EVENT_FAILOVER: handle_failover(world, event->who); break;
    case EVENT_THAW:
        if (world->frozen) {
            watch_thaw(world);
        }
        break;
    case EVENT_CALM: handle_calm(world); break;
    default: watch_handle(world, event); break;
    }
}

/* The next thing in time: an event, or the judge's own next_ms. */
static void advance(struct world *world)
{
    size_t first = 0;

    for (size_t i = 1; i < world->n_events; i++) {
        if (world->events[i].at_ms < world->events[first].at_ms) {
            first = i;
        }
    }
    if (!world->frozen && world->j.next_ms >= 0 && world->j.next_ms < world->events[first].at_ms) {
        world->now_ms = world->j.next_ms > world->now_ms ? world->j.next_ms : world->now_ms;
        watch_step(world);
    } else {
        struct world_event event = world->events[first];

        world->events[first] = world->events[--world->n_events];
        world->now_ms = event.at_ms;
        handle(world, &event);
    }
    watch_the_calm(world);
}

bool world_run(struct world *world, uint64_t seed, struct world_stats *stats)
{
    unsigned rounds = 0;

    memset(world, 0, sizeof(*world));
    world->seed = world->random = seed;
    world->stats = stats;
    world->now_ms = 1000000;
    make_world(world);
    watch_start(world);
    for (int s = 0; s < world->n_sentinels; s++) {
        world_at(world, world_below(world, 2000), EVENT_HELLO, s);
    }
    world_at(world, 2000, EVENT_HOUSEKEEPING, 0);
    world_at(world, 200 + world_below(world, 2000), EVENT_TROUBLE, 0);
    world_at(world, TROUBLE_MS, EVENT_CALM, 0);
    while (world->now_ms < 1000000 + TROUBLE_MS + CALM_MS + world->held_ms &&
           world->failed[0] == '\0') {
        if (++rounds > 1000000) {
            snprintf(world->failed, sizeof(world->failed), "time does not pass");
        }
        advance(world);
    }
    check_the_end(world);
    judge_free(world->judge);
    world->judge = NULL;
    stats->histories++;
    stats->calms_unverified += world->j.state == MASTER_UNVERIFIED;
    return world->failed[0] == '\0';
}
