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

static const char *id_of(int s, unsigned birth, char out[RUN_ID_SIZE])
{
    snprintf(out, RUN_ID_SIZE, "sentinel-%d-%u", s, birth);
    return out;
}

/* ---- links, and who is known ---- */

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
static void count_electorate(struct world *world)
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
static void recount(struct world *world)
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

        elector->id = link->known_as != 0 ? id_of(s, link->known_as, ids[s]) : "";
        elector->former = link->former != 0 ? id_of(s, link->former, formers[s]) : "";
        elector->configured = true;
        elector->pending = !link->settled;
        elector->live = is_live(world, s);
        elector->has_list = link->has_list;
        elector->listed = lists[s];
        elector->master = link->has_said ? &link->says : NULL;
        for (int i = 0; i < world->n_sentinels; i++) {
            if (link->listed[i] != 0) {
                all[n] = lists[s][elector->n_listed] = id_of(i, link->listed[i], texts[s][i]);
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
    count_electorate(world);
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
        judge_lose(world->judge, id_of(s, link->known_as, id));
        invariant_lose(&world->invariant, id);
    }
    recount(world);
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
    recount(world);
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
    id_of(event->who, link->known_as, seen.sentinel);
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
        recount(world);
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
    id_of(event->who, world->links[event->who].known_as, id);
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

/* How many places say what is published, as the watcher may know it now. */
static int true_votes(const struct world *world)
{
    int voices = 0;

    for (int s = 0; s < world->n_sentinels; s++) {
        char id[RUN_ID_SIZE];
        const struct observation *seen =
            judge_observation(world->judge, id_of(s, world->links[s].known_as, id));

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

static void check_electorate(struct world *world)
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
                   !judge_knows(world->judge, id_of(s, link->known_as, id))) {
            snprintf(world->failed, sizeof(world->failed),
                     "%lld ms: Sentinel %d is there and not known", (long long)world->now_ms, s);
        }
    }
    if (world->j.published && world->j.majority && true_votes(world) * 2 <= there) {
        snprintf(world->failed, sizeof(world->failed), "%lld ms: %d voices of %d are no majority",
                 (long long)world->now_ms, true_votes(world), there);
    }
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
        check_electorate(world);
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
