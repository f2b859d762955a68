/* See stage.h. */
#include "stage.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct judge_config stage_defaults(void)
{
    return (struct judge_config){.verify = true,
                                 .verify_interval_ms = 1000,
                                 .verify_timeout_ms = 500,
                                 .suspect_after_ms = 1500,
                                 .sentinel_timeout_ms = 500};
}

struct endpoint stage_at(int port)
{
    struct address address = {.host = "10.0.0.1", .port = (uint16_t)port};

    return endpoint_from_address(&address);
}

const char *stage_sentinel_id(int sentinel)
{
    static char ids[STAGE_SENTINELS][RUN_ID_SIZE];

    snprintf(ids[sentinel], RUN_ID_SIZE, "5e0000000000000000000000000000000000000%d", sentinel);
    return ids[sentinel];
}

void stage_open_with(struct stage *stage, size_t known, const struct judge_config *config)
{
    memset(stage, 0, sizeof(*stage));
    stage->config = *config;
    stage->now_ms = 1000000;
    stage->verify_ms = -1;
    stage->judge = judge_new("mymaster", config, stage->now_ms);
    invariant_init(&stage->invariant, config);
    for (size_t i = 0; i < STAGE_SENTINELS; i++) {
        stage->sentinels[i].says =
            (struct observation){.epoch = EPOCH_UNKNOWN, .failover_timeout_ms = -1};
    }
    for (size_t i = 0; i < known; i++) {
        judge_know(stage->judge, stage_sentinel_id((int)i));
        invariant_sentinel(&stage->invariant, stage_sentinel_id((int)i), true);
    }
    stage->links = (struct judge_links){.dialled = known, .pending = 0, .reachable = known};
    judge_set_links(stage->judge, &stage->links);
}

void stage_open(struct stage *stage, size_t known)
{
    struct judge_config config = stage_defaults();

    stage_open_with(stage, known, &config);
}

void stage_close(struct stage *stage)
{
    judge_free(stage->judge);
}

static struct stage_node *find_node(struct stage *stage, int port, bool make)
{
    for (size_t i = 0; i < STAGE_NODES; i++) {
        if (stage->nodes[i].port == port) {
            return &stage->nodes[i];
        }
    }
    for (size_t i = 0; make && i < STAGE_NODES; i++) {
        if (stage->nodes[i].port == 0) {
            stage->nodes[i].port = port;
            return &stage->nodes[i];
        }
    }
    return NULL;
}

static void tell_role(struct stage *stage, int port, enum role_answer answer)
{
    struct endpoint node = stage_at(port);

    invariant_role(&stage->invariant, &node, answer, stage->now_ms);
    judge_role(stage->judge, &node, answer, stage->now_ms);
}

/*
 * One judge_step(). @return whether a node answered what it made the stage ask, so another is due.
 */
static bool step_once(struct stage *stage)
{
    struct stage_node *node;
    bool answered = false;

    judge_step(stage->judge, stage->now_ms, STAGE_WALL_MS + stage->now_ms, &stage->j);
    stage->steps++;
    cr_assert(invariant_check(&stage->invariant, stage->judge, &stage->j, stage->now_ms), "%s",
              stage->invariant.broken);
    stage->switches += stage->j.switched;
    stage->restarts += stage->j.restarted;
    if (stage->j.switched) {
        stage->verify_ms = stage->now_ms + stage->config.verify_interval_ms;
    }
    if (stage->j.check_published) {
        stage->asked_published++;
        node = find_node(stage, stage_published(stage), false);
        if (node && node->answers) {
            tell_role(stage, node->port, node->answer);
            answered = true;
        }
    }
    if (stage->j.check) {
        node = find_node(stage, stage->j.check->name.port, true);
        cr_assert(node);
        stage->asked[node - stage->nodes]++;
        if (stage->n_asked < sizeof(stage->asked_ms) / sizeof(stage->asked_ms[0])) {
            stage->asked_ms[stage->n_asked++] = stage->now_ms;
        }
        if (node->answers) {
            tell_role(stage, node->port, node->answer);
            answered = true;
        }
    }
    return answered;
}

void stage_step(struct stage *stage)
{
    unsigned switches = 0;
    unsigned restarts = 0;
    const char *undone = NULL;
    enum decide_rule by = DECIDE_NOTHING;
    int rounds = 0;
    bool again = true;

    while (again) {
        cr_assert(++rounds < 20, "the judge asks again and again in one instant");
        again = step_once(stage);
        switches += stage->j.switched;
        restarts += stage->j.restarted;
        undone = stage->j.undone ? stage->j.undone : undone;
        by = stage->j.switched ? stage->j.switched_by : by;
    }
    /* What happened in this instant, whichever round it was. */
    stage->j.switched = switches > 0;
    stage->j.switched_by = by;
    stage->j.restarted = restarts > 0;
    stage->j.undone = undone;
}

/* What Sentinels list as replicas: whatever is spoken of and is no stranger. */
static void list_nodes(struct stage *stage)
{
    struct endpoint nodes[STAGE_NODES];
    size_t n = 0;

    for (size_t i = 0; i < STAGE_NODES; i++) {
        if (stage->nodes[i].port != 0 && !stage->nodes[i].stranger) {
            nodes[n++] = stage_at(stage->nodes[i].port);
        }
    }
    for (int i = 0; i < STAGE_SENTINELS; i++) {
        judge_hear_nodes(stage->judge, stage_sentinel_id(i), nodes, n);
    }
}

void stage_stranger(struct stage *stage, int port)
{
    struct endpoint node = stage_at(port);

    find_node(stage, port, true)->stranger = true;
    invariant_stranger(&stage->invariant, &node);
    list_nodes(stage);
}

static void tell_observation(struct stage *stage, int sentinel)
{
    struct observation *says = &stage->sentinels[sentinel].says;

    snprintf(says->sentinel, sizeof(says->sentinel), "%s", stage_sentinel_id(sentinel));
    says->at_ms = stage->now_ms;
    says->interval_ms = 1000;
    says->link_up = true;
    judge_know(stage->judge, stage_sentinel_id(sentinel));
    (void)invariant_sentinel(&stage->invariant, stage_sentinel_id(sentinel), true);
    invariant_observe(&stage->invariant, says);
    judge_observe(stage->judge, says);
    (void)find_node(stage, says->master.name.port, true);
    list_nodes(stage);
}

void stage_says(struct stage *stage, int sentinel, int port, int64_t epoch)
{
    stage->sentinels[sentinel].says.master = stage_at(port);
    stage->sentinels[sentinel].says.epoch = epoch;
    tell_observation(stage, sentinel);
    stage_step(stage);
}

void stage_polls(struct stage *stage, int sentinel, int port, int64_t epoch)
{
    stage->sentinels[sentinel].polls = true;
    stage->sentinels[sentinel].next_ms = stage->now_ms + 1000;
    stage_says(stage, sentinel, port, epoch);
}

struct observation *stage_row(struct stage *stage, int sentinel)
{
    return &stage->sentinels[sentinel].says;
}

void stage_mute(struct stage *stage, int sentinel)
{
    stage->sentinels[sentinel].polls = false;
}

void stage_lose(struct stage *stage, int sentinel)
{
    stage_mute(stage, sentinel);
    invariant_lose(&stage->invariant, stage_sentinel_id(sentinel));
    judge_lose(stage->judge, stage_sentinel_id(sentinel));
    stage_step(stage);
}

void stage_node(struct stage *stage, int port, enum role_answer answer)
{
    struct stage_node *node = find_node(stage, port, true);

    cr_assert(node);
    node->answers = true;
    node->answer = answer;
    if (stage_published(stage) == port) {
        tell_role(stage, port, answer);
        stage_step(stage);
    }
}

void stage_silence(struct stage *stage, int port)
{
    find_node(stage, port, true)->answers = false;
}

void stage_role(struct stage *stage, int port, enum role_answer answer)
{
    tell_role(stage, port, answer);
    stage_step(stage);
}

void stage_leads(struct stage *stage, int sentinel, enum promotion_step step, int64_t epoch,
                 int port)
{
    struct endpoint node = stage_at(port);

    (void)find_node(stage, port, port != 0);
    list_nodes(stage);
    invariant_promotion(&stage->invariant, stage_sentinel_id(sentinel), step, epoch, &node,
                        stage->now_ms);
    judge_promotion(stage->judge, stage_sentinel_id(sentinel), step, epoch, &node, stage->now_ms);
    stage_step(stage);
}

void stage_promotes(struct stage *stage, int port, enum role_answer answer)
{
    struct endpoint node = stage_at(port);

    invariant_promotion_role(&stage->invariant, &node, answer, stage->now_ms);
    judge_promotion_role(stage->judge, &node, answer, stage->now_ms);
    stage_step(stage);
}

static int64_t stage_next(const struct stage *stage, int64_t end_ms)
{
    int64_t next = end_ms;

    for (size_t i = 0; i < STAGE_SENTINELS; i++) {
        if (stage->sentinels[i].polls && stage->sentinels[i].next_ms < next) {
            next = stage->sentinels[i].next_ms;
        }
    }
    if (stage->verify_ms >= 0 && stage->verify_ms < next) {
        next = stage->verify_ms;
    }
    if (stage->j.next_ms >= 0 && stage->j.next_ms < next) {
        next = stage->j.next_ms;
    }
    return next;
}

void stage_pass(struct stage *stage, int64_t ms)
{
    int64_t end_ms = stage->now_ms + ms;

    while (stage->now_ms < end_ms) {
        int64_t next = stage_next(stage, end_ms);

        cr_assert(next > stage->now_ms, "time does not pass");
        stage->now_ms = next;
        for (int i = 0; i < STAGE_SENTINELS; i++) {
            if (stage->sentinels[i].polls && stage->sentinels[i].next_ms <= next) {
                stage->sentinels[i].next_ms = next + 1000;
                tell_observation(stage, i);
            }
        }
        if (stage->verify_ms >= 0 && stage->verify_ms <= next) {
            struct stage_node *node = find_node(stage, stage_published(stage), false);

            stage->verify_ms = next + stage->config.verify_interval_ms;
            if (node && node->answers) {
                tell_role(stage, node->port, node->answer);
            }
        }
        stage_step(stage);
    }
}

void stage_gap(struct stage *stage, int64_t ms)
{
    stage->now_ms += ms;
    invariant_void(&stage->invariant);
    judge_void(stage->judge, stage->now_ms);
    for (size_t i = 0; i < STAGE_SENTINELS; i++) {
        stage->sentinels[i].next_ms = stage->now_ms + 1;
    }
    stage->verify_ms = stage->now_ms + stage->config.verify_interval_ms;
}

void stage_forget_counts(struct stage *stage)
{
    stage->switches = stage->restarts = stage->steps = stage->asked_published = 0;
    stage->n_asked = 0;
    memset(stage->asked, 0, sizeof(stage->asked));
}

unsigned stage_asked(const struct stage *stage, int port)
{
    for (size_t i = 0; i < STAGE_NODES; i++) {
        if (stage->nodes[i].port == port) {
            return stage->asked[i];
        }
    }
    return 0;
}

int stage_published(const struct stage *stage)
{
    return stage->j.published ? stage->j.published->master.name.port : 0;
}
