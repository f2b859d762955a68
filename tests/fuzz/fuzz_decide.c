/*
 * Bytes as a program of judge calls: each instruction is an opcode and an argument or two. Whatever
 * is called in whatever order, the invariant of tests/sim/invariant.h holds after each step, time
 * moves on, and words are terminated.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/invariant.h"

#define SENTINELS 7
#define NODES 4

struct program {
    const uint8_t *data;
    size_t size;
    struct judge *judge;
    struct judge_config config;
    struct invariant invariant;
    struct judgement j;
    int64_t now_ms;
};

static uint8_t next(struct program *p)
{
    if (p->size == 0) {
        return 0;
    }
    p->size--;
    return *p->data++;
}

static struct endpoint node_at(unsigned n)
{
    struct address address = {.host = "10.0.0.1", .port = (uint16_t)(1 + n % NODES)};

    return endpoint_from_address(&address);
}

static const char *id_of(unsigned n, char out[RUN_ID_SIZE])
{
    snprintf(out, RUN_ID_SIZE, "sentinel-%u", n % SENTINELS);
    return out;
}

static void broken(const struct program *p, const char *what)
{
    fprintf(stderr, "at %lld ms: %s %s\n", (long long)p->now_ms, what, p->invariant.broken);
    abort();
}

static void step(struct program *p)
{
    judge_step(p->judge, p->now_ms, 1795348800000 + p->now_ms, &p->j);
    if (!invariant_check(&p->invariant, p->judge, &p->j, p->now_ms)) {
        broken(p, "");
    }
    if (!p->j.detail || !memchr(p->j.detail, '\0', DETAIL_SIZE)) {
        broken(p, "words without an end");
    }
}

/* Time goes on, with a step at each time the judge wants one: not more than a few in a second. */
static void pass(struct program *p, int64_t ms)
{
    int64_t end_ms = p->now_ms + ms;
    int64_t rounds = 0;

    while (p->j.next_ms >= 0 && p->j.next_ms <= end_ms) {
        if (++rounds > 100 + ms / 10) {
            broken(p, "a busy loop");
        }
        p->now_ms = p->j.next_ms;
        step(p);
    }
    p->now_ms = end_ms;
}

static void observe(struct program *p)
{
    uint8_t who = next(p);
    uint8_t what = next(p);
    struct observation seen = {.at_ms = p->now_ms,
                               .interval_ms = 1000,
                               .link_up = true,
                               .master = node_at(what),
                               .epoch = (what >> 2 & 7) - 1,
                               .failover_under_way = (what & 32) != 0,
                               .failover_timeout_ms = (what & 64) != 0 ? 5000 : -1};

    id_of(who, seen.sentinel);
    if (what & 128) {
        snprintf(seen.run_id, sizeof(seen.run_id), "%02x", who);
    }
    judge_observe(p->judge, &seen);
    invariant_observe(&p->invariant, &seen);
}

static void role(struct program *p)
{
    uint8_t what = next(p);
    struct endpoint node = node_at(what);
    enum role_answer answer = (enum role_answer)((what >> 2) % (ROLE_ERROR + 1));

    judge_role(p->judge, &node, answer, p->now_ms);
    invariant_role(&p->invariant, &node, answer, p->now_ms);
}

/* Whom the judge wants asked answers, so that programs get somewhere. */
static void answer(struct program *p)
{
    enum role_answer said = next(p) % 4 ? ROLE_MASTER : ROLE_NOPERM;
    struct endpoint node;

    if (!p->j.check && !p->j.published) {
        return;
    }
    node = p->j.check ? *p->j.check : p->j.published->master;
    judge_role(p->judge, &node, said, p->now_ms);
    invariant_role(&p->invariant, &node, said, p->now_ms);
}

/* What a leader says of its failover, or what the replica says that it promotes. */
static void promotion(struct program *p)
{
    uint8_t who = next(p);
    uint8_t what = next(p);
    unsigned step = (what >> 2) % 7;
    struct endpoint node = node_at(what);
    char id[RUN_ID_SIZE];

    if (step > PROMOTION_ENDED) {
        enum role_answer said = step == 5 ? ROLE_MASTER : ROLE_OTHER;

        if (p->j.promoting) {
            node = *p->j.promoting;
        }
        invariant_promotion_role(&p->invariant, &node, said, p->now_ms);
        judge_promotion_role(p->judge, &node, said, p->now_ms);
        return;
    }
    id_of(who, id);
    invariant_promotion(&p->invariant, id, (enum promotion_step)step, (what >> 5) - 1, &node,
                        p->now_ms);
    judge_promotion(p->judge, id, (enum promotion_step)step, (what >> 5) - 1, &node, p->now_ms);
}

static void sentinel_comes_or_goes(struct program *p)
{
    uint8_t what = next(p);
    char id[RUN_ID_SIZE];

    id_of(what, id);
    switch (what >> 6) {
    case 0:
        judge_know(p->judge, id);
        invariant_sentinel(&p->invariant, id, true);
        break;
    case 1:
        judge_forget(p->judge, id);
        invariant_forget(&p->invariant, id);
        break;
    case 2:
        judge_lose(p->judge, id);
        invariant_lose(&p->invariant, id);
        break;
    default:
        judge_refuse(p->judge, id);
        invariant_refuse(&p->invariant, id);
        break;
    }
}

/* A few links: who is live, configured, whom it lists, whom it names, who was there before. */
static void recount(struct program *p)
{
    char ids[SENTINELS][RUN_ID_SIZE], formers[SENTINELS][RUN_ID_SIZE];
    const char *all[SENTINELS];
    const char *lists[SENTINELS][SENTINELS];
    struct endpoint nodes[SENTINELS];
    struct elector electors[SENTINELS] = {{.id = ""}};
    uint8_t n = next(p) % (SENTINELS + 1);

    for (unsigned i = 0; i < SENTINELS; i++) {
        all[i] = id_of(i, ids[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t what = next(p);
        uint8_t listed = next(p);
        struct elector *elector = &electors[i];

        elector->id = all[what % SENTINELS];
        elector->former = what & 8 ? id_of(listed, formers[i]) : "";
        elector->live = what & 16;
        elector->configured = what & 32;
        elector->pending = (what & 48) == 32;
        elector->has_list = what & 64;
        elector->listed = lists[i];
        for (unsigned k = 0; k < SENTINELS && elector->has_list; k++) {
            if (listed >> k & 1) {
                lists[i][elector->n_listed++] = all[k];
            }
        }
        nodes[i] = node_at(what);
        elector->master = what & 128 ? &nodes[i] : NULL;
    }
    judge_recount(p->judge, electors, n, 1 + n / 2, p->now_ms);
    invariant_recount(&p->invariant, p->judge, all, SENTINELS);
}

/* What one of them lists as replicas. */
static void vouch(struct program *p)
{
    uint8_t what = next(p);
    struct endpoint nodes[8];
    char id[RUN_ID_SIZE];

    for (unsigned i = 0; i < 8; i++) {
        nodes[i] = node_at((uint8_t)(what + i));
    }
    judge_hear_nodes(p->judge, id_of(what, id), nodes, what >> 5);
}

static void links(struct program *p)
{
    uint8_t what = next(p);
    struct judge_links said = {.dialled = what & 7,
                               .pending = what >> 3 & 3,
                               .reachable = what >> 5 & 1,
                               .denied = what >> 6 & 1,
                               .unknown_name = what >> 7 & 1};

    judge_set_links(p->judge, &said);
}

static void gap(struct program *p)
{
    p->now_ms += 1000 + 100 * next(p);
    judge_void(p->judge, p->now_ms);
    invariant_void(&p->invariant);
}

static void run(struct program *p)
{
    uint8_t opcode = next(p);

    switch (opcode & 7) {
    case 0:
    case 1: observe(p); break;
    case 2: role(p); break;
    case 3: answer(p); break;
    case 4: pass(p, (opcode >> 3) * (int64_t)next(p)); break;
    case 5:
        if (opcode & 128) {
            recount(p);
        } else if (opcode & 64) {
            vouch(p);
        } else {
            sentinel_comes_or_goes(p);
        }
        break;
    case 6: links(p); break;
    default:
        if (opcode & 128) {
            gap(p);
        } else if (opcode & 8) {
            promotion(p);
        } else {
            judge_failover(p->judge, (opcode & 64) != 0, p->now_ms, (opcode & 32) != 0 ? 3000 : -1);
        }
        break;
    }
    step(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct program p = {.data = data, .size = size, .now_ms = 1000};
    uint8_t options = next(&p);

    p.config = (struct judge_config){.verify = (options & 1) == 0,
                                     .adopt = (options & 8) != 0,
                                     .verify_interval_ms = options & 2 ? 300 : 1000,
                                     .verify_timeout_ms = 500,
                                     .suspect_after_ms = options & 4 ? 700 : 1500,
                                     .sentinel_timeout_ms = 500};
    p.judge = judge_new("mymaster", &p.config, p.now_ms);
    invariant_init(&p.invariant, &p.config);
    step(&p);
    while (p.size > 0) {
        run(&p);
    }
    judge_free(p.judge);
    return 0;
}
