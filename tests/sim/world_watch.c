/* The watcher of a generated world: what watch/ does, without sockets. See world.h. */
#include <stdio.h>
#include <string.h>

#include "world.h"

struct endpoint world_endpoint(int node)
{
    struct address address = {.host = "10.0.0.1", .port = (uint16_t)(7000 + node)};

    return endpoint_from_address(&address);
}

static int node_of(const struct endpoint *endpoint)
{
    return endpoint->name.port - 7000;
}

/* ---- links ---- */

static void set_links(struct world *world)
{
    struct judge_links links = {.dialled = (size_t)world->n_sentinels};

    for (int s = 0; s < world->n_sentinels; s++) {
        const struct world_link *link = &world->links[s];

        links.pending += !link->settled || (link->up && !link->has_list);
        links.reachable += link->up;
        links.unknown_name += link->up && link->says_unknown;
    }
    judge_set_links(world->judge, &links);
}

static bool reachable(const struct world *world, int s)
{
    return world->sentinels[s].up && !world->sentinels[s].unreachable;
}

/*
 * As peer_follow_run_id() does: what comes back under another run id takes the place of its former
 * self.
 */
static void follow(struct world *world, int s)
{
    struct world_link *link = &world->links[s];

    if (link->known_as != 0 && link->known_as != world->sentinels[s].birth) {
        link->former = link->known_as;
        link->has_list = link->has_said = false;
        memset(link->listed, 0, sizeof(link->listed));
    }
    link->known_as = world->sentinels[s].birth;
}

static void lose(struct world *world, int s)
{
    struct world_link *link = &world->links[s];
    char id[RUN_ID_SIZE];

    link->up = link->says_unknown = false;
    link->settled = true;
    link->era++;
    if (link->known_as != 0) {
        judge_lose(world->judge, world_id_of(s, link->known_as, id));
        invariant_lose(&world->invariant, id);
    }
    electorate_count(world);
    world_at(world, 100 + world_below(world, 1400), EVENT_CONNECT, s)->era = link->era;
}

static void poll_in(struct world *world, int s, int64_t delay_ms)
{
    struct world_event *event = world_at(world, delay_ms, EVENT_POLL, s);

    event->era = world->links[s].era;
    event->token = ++world->links[s].token;
}

static void handle_connect(struct world *world, const struct world_event *event)
{
    struct world_link *link = &world->links[event->who];

    if (event->era != link->era || link->up) {
        return;
    }
    if (!reachable(world, event->who)) {
        lose(world, event->who);
        return;
    }
    link->up = true;
    link->boots = world->sentinels[event->who].boots;
    link->list_ms = world->now_ms;
    follow(world, event->who);
    electorate_count(world);
    poll_in(world, event->who, 0);
}

/* ---- polls ---- */

static void fill_answer(struct world *world, int s, struct world_event *event)
{
    struct world_sentinel *sentinel = &world->sentinels[s];
    struct observation *seen = &event->seen;
    int says = sentinel->lies ? sentinel->lie : sentinel->says;

    *seen = (struct observation){.interval_ms = 1000,
                                 .link_up = true,
                                 .master = world_endpoint(says),
                                 .epoch = sentinel->lies ? sentinel->lie_epoch : sentinel->epoch,
                                 .failover_under_way = sentinel->failover,
                                 .failover_timeout_ms = world->failover_timeout_ms};
    if (!sentinel->gives_epoch) {
        seen->epoch = EPOCH_UNKNOWN;
        seen->failover_under_way = false;
    }
    snprintf(seen->run_id, sizeof(seen->run_id), "node-%d-%u", says, world->nodes[says].boots);
    event->refused = !sentinel->knows_name;
    event->has_list = world->now_ms >= world->links[s].list_ms;
    if (event->has_list) {
        world->links[s].list_ms = world->now_ms + 10000;
        memcpy(event->listed, sentinel->lists, sizeof(event->listed));
    }
}

static void handle_poll(struct world *world, const struct world_event *event)
{
    struct world_link *link = &world->links[event->who];
    struct world_event *answer;

    if (event->era != link->era || event->token != link->token || !link->up) {
        return;
    }
    if (!reachable(world, event->who) || link->boots != world->sentinels[event->who].boots ||
        world_chance(world, 1)) {
        world_at(world, world->sentinels[event->who].unreachable ? 500 : 1, EVENT_LOST, event->who)
            ->era = link->era;
        return;
    }
    answer = world_at(world, world_below(world, 9), EVENT_ANSWER, event->who);
    answer->era = link->era;
    fill_answer(world, event->who, answer);
}

static int64_t poll_delay(struct world *world)
{
    int64_t suspect_ms = world->suspect_since_ms < 0 ? -1 : world->now_ms - world->suspect_since_ms;

    if (suspect_ms >= 0 && suspect_ms < 2000) {
        return 90 + world_below(world, 20);
    }
    if (suspect_ms >= 0 && suspect_ms < 6000) {
        return 300 + world_below(world, 60);
    }
    return 900 + world_below(world, 200);
}

/* All of them list all nodes. */
static void list_nodes(struct world *world, const char *id)
{
    struct endpoint nodes[WORLD_NODES];

    for (int n = 0; n < world->n_nodes; n++) {
        nodes[n] = world_endpoint(n);
    }
    judge_hear_nodes(world->judge, id, nodes, (size_t)world->n_nodes);
}

static void handle_answer(struct world *world, const struct world_event *event)
{
    struct world_link *link = &world->links[event->who];
    struct observation seen = event->seen;
    bool changed;

    if (event->era != link->era || !link->up) {
        return;
    }
    /* What shows no change is not counted again, as in sentinel_view_hear_answer(). */
    changed = !link->settled || link->says_unknown != event->refused ||
              (!event->refused && !link->has_said) || link->epoch != seen.epoch ||
              !endpoint_equal(&link->says, &seen.master);
    link->settled = true;
    link->says_unknown = event->refused;
    link->epoch = seen.epoch;
    if (!event->refused) {
        link->says = seen.master;
        link->has_said = true;
    }
    world_id_of(event->who, link->known_as, seen.sentinel);
    seen.at_ms = world->now_ms;
    if (event->refused) {
        judge_refuse(world->judge, seen.sentinel);
        invariant_refuse(&world->invariant, seen.sentinel);
    } else {
        judge_observe(world->judge, &seen);
        invariant_observe(&world->invariant, &seen);
    }
    if (event->has_list) {
        changed = changed || !link->has_list ||
                  memcmp(link->listed, event->listed, sizeof(link->listed)) != 0;
        memcpy(link->listed, event->listed, sizeof(link->listed));
        link->has_list = true;
    }
    if (changed) {
        electorate_count(world);
    }
    list_nodes(world, seen.sentinel);
    world->fed++;
    poll_in(world, event->who, poll_delay(world));
}

void watch_event(struct world *world, int s)
{
    struct world_sentinel *sentinel = &world->sentinels[s];

    if (world->frozen || !world->links[s].up || !reachable(world, s) || !world_chance(world, 80)) {
        return;
    }
    if (sentinel->failover || world_chance(world, 50)) {
        judge_failover(world->judge, sentinel->failover, world->now_ms, world->failover_timeout_ms);
    }
    poll_in(world, s, 0);
}

void watch_lead(struct world *world, int s, enum promotion_step step, int64_t epoch, int node)
{
    struct world_event *event;

    if (world->frozen || !world->links[s].up || !reachable(world, s) || world_chance(world, 6)) {
        return;
    }
    event = world_at(world, 1 + (int64_t)step, EVENT_LEAD, s);
    event->era = world->links[s].era;
    event->step = step;
    event->epoch = epoch;
    event->node = node;
}

static void handle_lead(struct world *world, const struct world_event *event)
{
    struct endpoint node = world_endpoint(event->node);
    char id[RUN_ID_SIZE];

    if (event->era != world->links[event->who].era) {
        return;
    }
    world_id_of(event->who, world->links[event->who].known_as, id);
    invariant_promotion(&world->invariant, id, event->step, event->epoch, &node, world->now_ms);
    judge_promotion(world->judge, id, event->step, event->epoch, &node, world->now_ms);
    world->fed++;
}

void watch_list(struct world *world, int s)
{
    if (!world->frozen && world->links[s].up && reachable(world, s) && world_chance(world, 80)) {
        world->links[s].list_ms = world->now_ms;
        poll_in(world, s, 0);
    }
}

/* ---- roles ---- */

static void ask(struct world *world, int n)
{
    struct world_node *node = &world->nodes[n];
    enum role_answer answer = node->permission != ROLE_MASTER ? node->permission
                              : node->master                  ? ROLE_MASTER
                                                              : ROLE_OTHER;
    int64_t delay_ms = world_below(world, 5);
    struct world_event *event;

    if (world_chance(world, 1)) {
        return; /* nobody ever reports on it */
    }
    if (node->unreachable || (node->up && node->hung)) {
        answer = ROLE_TIMEOUT;
        delay_ms = world->config.verify_timeout_ms;
    } else if (!node->up) {
        answer = ROLE_REFUSED;
    } else if (world_chance(world, 1)) {
        answer = ROLE_ERROR;
    }
    event = world_at(world, delay_ms, EVENT_ROLE, n);
    event->era = world->era;
    event->answer = answer;
}

static void handle_role(struct world *world, const struct world_event *event)
{
    struct endpoint node = world_endpoint(event->who);

    if (event->era != world->era) {
        return;
    }
    invariant_role(&world->invariant, &node, event->answer, world->now_ms);
    judge_role(world->judge, &node, event->answer, world->now_ms);
    world->fed++;
}

/* The replica that is being promoted is asked again and again. */
static void ask_promoted(struct world *world)
{
    const struct world_node *node = &world->nodes[world->promoting];
    struct world_event *event =
        world_at(world, 3 + world_below(world, 6), EVENT_PROMOTION, world->promoting);

    event->token = world->promoting_token;
    event->answer = node->permission != ROLE_MASTER ? node->permission
                    : node->master                  ? ROLE_MASTER
                                                    : ROLE_OTHER;
    if (node->unreachable || (node->up && node->hung)) {
        event->answer = ROLE_TIMEOUT;
        event->at_ms += world->config.verify_timeout_ms;
    } else if (!node->up) {
        event->answer = ROLE_REFUSED;
        event->at_ms += 20;
    } else if (world_chance(world, 2)) {
        event->answer = ROLE_CLOSED;
    }
}

static void follow_promotion(struct world *world)
{
    int node = world->j.promoting ? node_of(world->j.promoting) : -1;

    if (node != world->promoting) {
        world->promoting = node;
        world->promoting_token++;
        if (node >= 0) {
            ask_promoted(world);
        }
    }
}

static void handle_promotion(struct world *world, const struct world_event *event)
{
    struct endpoint node = world_endpoint(event->who);

    if (event->token != world->promoting_token) {
        return;
    }
    invariant_promotion_role(&world->invariant, &node, event->answer, world->now_ms);
    judge_promotion_role(world->judge, &node, event->answer, world->now_ms);
    world->fed++;
    ask_promoted(world);
}

void watch_closed(struct world *world, int node)
{
    struct world_event *event;

    if (!world->frozen && world->j.published && node_of(&world->j.published->master) == node &&
        !world->nodes[node].unreachable && world->config.verify) {
        event = world_at(world, 1, EVENT_ROLE, node);
        event->era = world->era;
        event->answer = ROLE_CLOSED;
    }
}

static void handle_verify(struct world *world, const struct world_event *event)
{
    if (event->era != world->era) {
        return;
    }
    if (world->j.published && world->config.verify) {
        ask(world, node_of(&world->j.published->master));
    }
    world_at(world, world->config.verify_interval_ms, EVENT_VERIFY, 0)->era = world->era;
}

/* ---- frozen and thawed ---- */

void watch_freeze(struct world *world)
{
    world->frozen = true;
}

void watch_thaw(struct world *world)
{
    world->frozen = false;
    world->era++; /* answers to questions from before the gap are dropped, as the watcher does */
    judge_void(world->judge, world->now_ms);
    invariant_void(&world->invariant);
    world->suspect_since_ms = -1;
    world->promoting = -1;
    world->promoting_token++;
    for (int s = 0; s < world->n_sentinels; s++) {
        struct world_link *link = &world->links[s];

        link->era++;
        link->settled = !link->up;
        link->list_ms = world->now_ms;
        if (link->up) {
            poll_in(world, s, 0);
        } else {
            world_at(world, world_below(world, 20), EVENT_CONNECT, s)->era = link->era;
        }
    }
    world_at(world, 0, EVENT_VERIFY, 0)->era = world->era;
    world->stats->gaps++;
}

/* ---- steps ---- */

static void follow_suspicion(struct world *world)
{
    if (!world->j.suspect) {
        world->suspect_since_ms = -1;
    } else if (world->suspect_since_ms < 0) {
        world->suspect_since_ms = world->now_ms;
        for (int s = 0; s < world->n_sentinels; s++) {
            if (world->links[s].up) {
                poll_in(world, s, world_below(world, 20));
            }
        }
    }
}

static void count_adoption(struct world *world, bool was_adopted)
{
    static const char *const words[UNDONES] = {"failover_aborted", "not_a_master", "leader_lost",
                                               "timeout", "gap"};

    for (int i = 0; world->j.undone && i < UNDONES; i++) {
        world->stats->undone[i] += strcmp(world->j.undone, words[i]) == 0;
    }
    world->stats->announced += was_adopted && !world->j.adopted && !world->j.switched;
}

void watch_step(struct world *world)
{
    bool was_adopted = world->j.adopted;

    if (world->frozen) {
        return;
    }
    set_links(world);
    judge_step(world->judge, world->now_ms, world->now_ms, &world->j);
    world->steps++;
    world->stats->steps++;
    world->stats->in_state[world->j.state]++;
    world->stats->restarts += world->j.restarted;
    if (world->j.switched) {
        world->stats->switches++;
        world->stats->by_rule[world->j.switched_by]++;
    }
    count_adoption(world, was_adopted);
    if (!invariant_check(&world->invariant, world->judge, &world->j, world->now_ms) &&
        world->failed[0] == '\0') {
        snprintf(world->failed, sizeof(world->failed), "%lld ms: %s", (long long)world->now_ms,
                 world->invariant.broken);
    }
    if (world->failed[0] == '\0') {
        electorate_check(world);
    }
    if (world->j.check) {
        ask(world, node_of(world->j.check));
    }
    if (world->j.check_published) {
        ask(world, node_of(&world->j.published->master));
    }
    follow_suspicion(world);
    follow_promotion(world);
}

void watch_start(struct world *world)
{
    struct endpoint stranger;

    world->judge = judge_new("mymaster", &world->config, world->now_ms);
    invariant_init(&world->invariant, &world->config);
    stranger = world_endpoint(WORLD_STRANGER);
    invariant_stranger(&world->invariant, &stranger);
    world->suspect_since_ms = -1;
    world->promoting = -1;
    for (int s = 0; s < world->n_sentinels; s++) {
        world->links[s] = (struct world_link){.up = false};
        world_at(world, world_below(world, 30), EVENT_CONNECT, s)->era = 0;
    }
    world_at(world, world->config.verify_interval_ms, EVENT_VERIFY, 0)->era = world->era;
    watch_step(world);
}

void watch_handle(struct world *world, const struct world_event *event)
{
    if (world->frozen) {
        return;
    }
    switch (event->kind) {
    case EVENT_CONNECT: handle_connect(world, event); break;
    case EVENT_POLL: handle_poll(world, event); return; /* the judge is told nothing */
    case EVENT_ANSWER: handle_answer(world, event); break;
    case EVENT_LOST:
        if (event->era == world->links[event->who].era && world->links[event->who].up) {
            lose(world, event->who);
        }
        break;
    case EVENT_VERIFY: handle_verify(world, event); return;
    case EVENT_ROLE: handle_role(world, event); break;
    case EVENT_LEAD: handle_lead(world, event); break;
    case EVENT_PROMOTION: handle_promotion(world, event); break;
    default: break;
    }
    watch_step(world);
}
