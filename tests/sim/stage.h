/*
 * A stage for one judge: a virtual clock, a few Sentinels and nodes that say what a test has them
 * say. Nodes are ports of 10.0.0.1, Sentinels are numbers. Every step is checked against
 * invariant.h.
 *
 * The stage does what the watcher does: it steps at once on news and at next_ms, and asks whom the
 * judge wants asked. A node with a standing answer (stage_node) is asked by itself, every
 * verify-interval and whenever the judge asks; without one it stays silent until the test speaks
 * for it (stage_role).
 */
#ifndef BELLWETHER_TESTS_SIM_STAGE_H
#define BELLWETHER_TESTS_SIM_STAGE_H

#include "bellwether/topology/decide.h"
#include "invariant.h"

#define STAGE_SENTINELS 8
#define STAGE_NODES 8
#define STAGE_WALL_MS 1795348800000 /* 2026-11-22T12:00:00Z at clock 0 */

struct stage_sentinel {
    bool polls; /* answers every interval by itself */
    struct observation says;
    int64_t next_ms;
};

struct stage_node {
    int port;
    bool stranger; /* the Sentinels do not list it */
    bool answers;
    enum role_answer answer;
};

struct stage {
    struct judge_config config;
    struct judge *judge;
    struct invariant invariant;
    struct judgement j;
    int64_t now_ms;
    struct judge_links links;
    struct stage_sentinel sentinels[STAGE_SENTINELS];
    struct stage_node nodes[STAGE_NODES];
    int64_t verify_ms; /* next question to the published node */
    /* since the last stage_forget_counts() */
    unsigned switches, restarts, steps;
    unsigned asked[STAGE_NODES];
    unsigned asked_published;
    int64_t asked_ms[64]; /* when `check` asked, any node */
    size_t n_asked;
};

/** With the defaults: verify on, 1 s, 500 ms, suspect-after 1500 ms, sentinel-timeout 500 ms. */
void stage_open(struct stage *stage, size_t known);
void stage_open_with(struct stage *stage, size_t known, const struct judge_config *config);
void stage_close(struct stage *stage);
struct judge_config stage_defaults(void);

struct endpoint stage_at(int port);
const char *stage_sentinel_id(int sentinel);

/** A Sentinel answers once, now; the judge steps. */
void stage_says(struct stage *stage, int sentinel, int port, int64_t epoch);
/** A Sentinel answers like that from now on, every second. */
void stage_polls(struct stage *stage, int sentinel, int port, int64_t epoch);
/** It goes silent; its link is lost. */
void stage_lose(struct stage *stage, int sentinel);
/** It goes silent, its link stays up. */
void stage_mute(struct stage *stage, int sentinel);
/** The row's other fields, taken with the next answer. */
struct observation *stage_row(struct stage *stage, int sentinel);

/** The Sentinels do not list this node; all others that are spoken of they do. */
void stage_stranger(struct stage *stage, int port);
/** A node has a standing answer from now on (told at once when it is the published one). */
void stage_node(struct stage *stage, int port, enum role_answer answer);
/** It has none any more. */
void stage_silence(struct stage *stage, int port);
/** A node answers once, now. */
void stage_role(struct stage *stage, int port, enum role_answer answer);

/**
 * A Sentinel says that of the failover that it runs. @param epoch with PROMOTION_TRY. @param port
 * of the chosen one.
 */
void stage_leads(struct stage *stage, int sentinel, enum promotion_step step, int64_t epoch,
                 int port);
/** The chosen replica answers, over its promotion's own connection. */
void stage_promotes(struct stage *stage, int port, enum role_answer answer);

void stage_step(struct stage *stage);
/** Time goes on; polls, verification and next_ms happen on their time. */
void stage_pass(struct stage *stage, int64_t ms);
/** The clock jumps and everything is void. */
void stage_gap(struct stage *stage, int64_t ms);
void stage_forget_counts(struct stage *stage);
unsigned stage_asked(const struct stage *stage, int port);

/** The port that is published, 0: none. */
int stage_published(const struct stage *stage);

#define stage_expect(stage, port, st, why) \
    do { \
        cr_expect(stage_published(stage) == (port), "published %d, not %d", \
                  stage_published(stage), (port)); \
        cr_expect((stage)->j.state == (st), "state %s, not %s (%s)", \
                  master_state_text((stage)->j.state), master_state_text(st), (stage)->j.detail); \
        cr_expect((stage)->j.reason == (why), "reason %s, not %s (%s)", \
                  reason_text((stage)->j.reason), reason_text(why), (stage)->j.detail); \
    } while (0)

#endif
