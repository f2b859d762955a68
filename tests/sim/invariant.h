/*
 * The property that must hold whatever happens, checked from outside: this file keeps its own notes
 * of what was fed to a judge and never looks into it.
 *
 *   The published address never moves to a node that did not say `master` (where its role may be
 *   asked), and never to an epoch at or below the high-water epoch without a majority of the known
 *   Sentinels.
 *
 *   One vote above H never moves it to a node that nobody vouches for, nor back to the former
 *   master before that has said that it is a replica.
 *
 *   An adoption (rule 11) moves it to a node that said `master` after a Sentinel that counts and
 *   named what was published had said, by its own events and in order, that it began a failover at
 *   an epoch above H and above every adopted one, was elected, and chose that node. It leaves H
 *   alone. While it stands only a higher epoch moves the address on, or an undoing for one of the
 *   reasons that there are, and then exactly to what was published before; and where there is such
 *   a reason, it is undone in time.
 *
 * Beside it: H never falls and rises only on a vote; `ok` only while the node's word is young and
 * not taken back; the next time lies ahead. Used by the sim tests and by the fuzz target.
 */
#ifndef BELLWETHER_TESTS_SIM_INVARIANT_H
#define BELLWETHER_TESTS_SIM_INVARIANT_H

#include <stdio.h>
#include <string.h>

#include "bellwether/topology/decide.h"

#define NOTED_SENTINELS 48
#define NOTED_NODES 16

struct noted_sentinel {
    bool used, known, has_seen, heard; /* heard: ever */
    char id[RUN_ID_SIZE];
    struct observation seen;
    /* its own events about its failover */
    int64_t leads_epoch; /* EPOCH_UNKNOWN: none */
    bool elected, chose, aborted;
    bool fair; /* when it chose, it counted and named what was published */
    struct endpoint chosen;
    int64_t chosen_ms;
    int64_t lost_ms;    /* its link is down since; -1: it is not */
    unsigned idle_rows; /* since the adoption */
};

/* The adoption that stands, as noted from outside. */
struct noted_adoption {
    bool stands;
    bool leaders[NOTED_SENTINELS]; /* whose failover it may be */
    int64_t epoch, until_ms;
    struct endpoint back;
    int64_t back_epoch;
    bool may_end;   /* there was a reason to undo it */
    int64_t due_ms; /* there is one since; -1: none */
};

struct noted_node {
    struct endpoint node;
    bool stranger; /* no Sentinel but a liar names it */
    bool answered;
    enum role_answer answer;
    int64_t answered_ms;
    bool good; /* said master or unknowable, and nothing since takes it back */
    enum role_answer good_answer;
    int64_t good_ms;
    int refusals;
    /* said master over the promotion's connection; -1: the last answer there was another */
    int64_t promoted_ms;
};

struct invariant {
    struct judge_config config;
    struct noted_sentinel sentinels[NOTED_SENTINELS];
    struct noted_node nodes[NOTED_NODES];
    size_t n_nodes;
    bool published;
    struct endpoint address;
    /* the master before, and whether it said another role since */
    bool has_former, former_said_other;
    struct endpoint former;
    int64_t published_epoch;
    int64_t high_water;
    int64_t last_adopted;
    struct noted_adoption adoption;
    enum master_state state;
    bool voided;      /* there was a gap, and what is published was not confirmed since */
    char broken[400]; /* what does not hold, in words; "" all is well */
};

static inline void invariant_init(struct invariant *inv, const struct judge_config *config)
{
    memset(inv, 0, sizeof(*inv));
    inv->config = *config;
    inv->high_water = EPOCH_UNKNOWN;
    inv->last_adopted = EPOCH_UNKNOWN;
    inv->state = MASTER_UNKNOWN;
}

static inline struct noted_sentinel *invariant_sentinel(struct invariant *inv, const char *id,
                                                        bool make)
{
    struct noted_sentinel *free_one = NULL;

    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        if (inv->sentinels[i].used && strcmp(inv->sentinels[i].id, id) == 0) {
            inv->sentinels[i].known |= make;
            return &inv->sentinels[i];
        }
        if (!inv->sentinels[i].used && !free_one) {
            free_one = &inv->sentinels[i];
        }
    }
    if (make && free_one) {
        memset(free_one, 0, sizeof(*free_one));
        free_one->used = free_one->known = true;
        free_one->leads_epoch = EPOCH_UNKNOWN;
        free_one->lost_ms = -1;
        inv->adoption.leaders[free_one - inv->sentinels] = false;
        snprintf(free_one->id, sizeof(free_one->id), "%s", id);
        return free_one;
    }
    return NULL;
}

/* Whoever speaks is noted, and not known by that. */
static inline struct noted_sentinel *invariant_heard(struct invariant *inv, const char *id)
{
    struct noted_sentinel *s = invariant_sentinel(inv, id, false);

    if (!s) {
        s = invariant_sentinel(inv, id, true);
        if (s) {
            s->known = false;
        }
    }
    return s;
}

static inline void invariant_observe(struct invariant *inv, const struct observation *seen)
{
    struct noted_sentinel *s = invariant_heard(inv, seen->sentinel);

    if (s) {
        bool idle = !seen->failover_under_way && seen->epoch != EPOCH_UNKNOWN &&
                    inv->adoption.stands && seen->epoch < inv->adoption.epoch;

        s->has_seen = s->heard = true;
        s->seen = *seen;
        s->idle_rows = idle ? s->idle_rows + 1 : 0;
    }
}

static inline void invariant_lose(struct invariant *inv, const char *id)
{
    struct noted_sentinel *s = invariant_sentinel(inv, id, false);

    if (s) {
        s->has_seen = false;
    }
}

static inline void invariant_refuse(struct invariant *inv, const char *id)
{
    struct noted_sentinel *s = invariant_heard(inv, id);

    if (s) {
        s->has_seen = false;
    }
}

static inline void invariant_forget(struct invariant *inv, const char *id)
{
    struct noted_sentinel *s = invariant_sentinel(inv, id, false);

    if (s) {
        s->used = s->known = false;
    }
}

/*
 * Who is known is held against the truth by whoever makes the histories: here it is taken as it is.
 */
static inline void invariant_recount(struct invariant *inv, const struct judge *judge,
                                     const char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (judge_knows(judge, ids[i])) {
            (void)invariant_sentinel(inv, ids[i], true);
        }
    }
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        struct noted_sentinel *s = &inv->sentinels[i];

        s->known = s->used && judge_knows(judge, s->id);
        s->has_seen = s->has_seen && judge_observation(judge, s->id);
    }
}

static inline struct noted_node *invariant_node(struct invariant *inv, const struct endpoint *node,
                                                bool make)
{
    for (size_t i = 0; i < inv->n_nodes; i++) {
        if (endpoint_equal(&inv->nodes[i].node, node)) {
            return &inv->nodes[i];
        }
    }
    if (!make || inv->n_nodes == NOTED_NODES) {
        return NULL;
    }
    memset(&inv->nodes[inv->n_nodes], 0, sizeof(inv->nodes[0]));
    inv->nodes[inv->n_nodes].node = *node;
    inv->nodes[inv->n_nodes].promoted_ms = -1;
    return &inv->nodes[inv->n_nodes++];
}

/* Only a liar names this node. */
static inline void invariant_stranger(struct invariant *inv, const struct endpoint *node)
{
    invariant_node(inv, node, true)->stranger = true;
}

static inline void invariant_role(struct invariant *inv, const struct endpoint *node,
                                  enum role_answer answer, int64_t now_ms)
{
    struct noted_node *n = invariant_node(inv, node, true);

    if (!n) {
        return;
    }
    n->answered = true;
    n->answer = answer;
    n->answered_ms = now_ms;
    if (answer == ROLE_MASTER || answer == ROLE_NOPERM || answer == ROLE_NOAUTH) {
        n->good = true;
        n->good_answer = answer;
        n->good_ms = now_ms;
        n->refusals = 0;
    } else if (answer == ROLE_OTHER ||
               answer == ROLE_LOADING) { /* which serves no more than a replica does */
        inv->former_said_other |=
            answer == ROLE_OTHER && inv->has_former && endpoint_equal(&inv->former, node);
        n->good = false;
    } else if ((answer == ROLE_CLOSED || answer == ROLE_REFUSED) && ++n->refusals >= 2) {
        n->good = false;
    }
}

static inline void invariant_void(struct invariant *inv)
{
    inv->voided = true;
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        inv->sentinels[i].has_seen = false;
        inv->sentinels[i].leads_epoch = EPOCH_UNKNOWN;
        inv->sentinels[i].elected = inv->sentinels[i].chose = false;
    }
    inv->adoption.may_end = true;
    inv->adoption.due_ms = -1;
    for (size_t i = 0; i < inv->n_nodes; i++) {
        inv->nodes[i] = (struct noted_node){
            .node = inv->nodes[i].node, .stranger = inv->nodes[i].stranger, .promoted_ms = -1};
    }
}

static inline void invariant_break(struct invariant *inv, const char *what, long long a,
                                   long long b)
{
    if (inv->broken[0] == '\0') {
        snprintf(inv->broken, sizeof(inv->broken), "%s (%lld, %lld)", what, a, b);
    }
}

static inline bool invariant_counts(const struct noted_sentinel *s, int64_t now_ms)
{
    return s->known && s->has_seen && s->seen.link_up &&
           now_ms < s->seen.at_ms + 3 * s->seen.interval_ms;
}

/* More than half of the known name it. `epoch` is set to the highest at which one does. */
static inline bool invariant_majority(const struct invariant *inv, const struct endpoint *node,
                                      int64_t now_ms, int64_t *epoch)
{
    size_t known = 0;
    size_t voices = 0;

    *epoch = EPOCH_UNKNOWN;
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        const struct noted_sentinel *s = &inv->sentinels[i];

        known += s->known;
        if (invariant_counts(s, now_ms) && endpoint_equal(&s->seen.master, node)) {
            voices++;
            *epoch = s->seen.epoch > *epoch ? s->seen.epoch : *epoch;
        }
    }
    return voices * 2 > known;
}

/* Rule 11. */

static inline void invariant_promotion(struct invariant *inv, const char *leader,
                                       enum promotion_step step, int64_t epoch,
                                       const struct endpoint *node, int64_t now_ms)
{
    struct noted_sentinel *s = invariant_sentinel(inv, leader, false);

    if (!s) {
        return;
    }
    switch (step) {
    case PROMOTION_TRY:
        s->aborted = true; /* the one before */
        s->leads_epoch = epoch;
        s->elected = s->chose = false;
        break;
    case PROMOTION_ELECTED: s->elected = s->leads_epoch != EPOCH_UNKNOWN; break;
    case PROMOTION_CHOSEN:
        if (s->elected && !endpoint_equal(node, &inv->address)) { /* else it is no choice */
            bool again = s->chose && endpoint_equal(&s->chosen, node);

            s->fair =
                (again && s->fair) ||
                (invariant_counts(s, now_ms) && endpoint_equal(&s->seen.master, &inv->address) &&
                 s->seen.epoch != EPOCH_UNKNOWN && s->seen.epoch < s->leads_epoch);
            s->chosen_ms = again ? s->chosen_ms : now_ms;
            s->chose = true;
            s->chosen = *node;
        }
        break;
    case PROMOTION_ABORTED:
    case PROMOTION_ENDED:
        s->aborted |= step == PROMOTION_ABORTED;
        s->leads_epoch = EPOCH_UNKNOWN;
        s->elected = s->chose = false;
        break;
    }
}

static inline void invariant_promotion_role(struct invariant *inv, const struct endpoint *node,
                                            enum role_answer answer, int64_t now_ms)
{
    struct noted_node *n = invariant_node(inv, node, true);

    if (n) {
        n->promoted_ms = answer == ROLE_MASTER ? now_ms : -1;
    }
}

static inline bool invariant_says_master(struct invariant *inv, const struct endpoint *node,
                                         int64_t now_ms)
{
    const struct noted_node *n = invariant_node(inv, node, false);

    return n && n->good && n->good_answer == ROLE_MASTER &&
           now_ms - n->good_ms <= inv->config.suspect_after_ms;
}

static inline bool invariant_leads_to(const struct noted_sentinel *s, const struct endpoint *to,
                                      int64_t epoch, int64_t now_ms)
{
    return invariant_counts(s, now_ms) && s->elected && s->chose && s->fair &&
           s->leads_epoch == epoch && endpoint_equal(&s->chosen, to);
}

static inline void invariant_adopt(struct invariant *inv, const struct judge *judge,
                                   const struct judgement *j, int64_t now_ms)
{
    const struct endpoint *to = &j->published->master;
    struct noted_adoption *a = &inv->adoption;
    struct noted_node *node = invariant_node(inv, to, true);
    size_t leaders = 0;
    int64_t chosen_ms = 0;

    if (!inv->config.adopt || !inv->config.verify || !inv->published || a->stands) {
        invariant_break(inv, "adopted where nothing may be", inv->config.adopt, a->stands);
    }
    memset(a, 0, sizeof(*a));
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        struct noted_sentinel *s = &inv->sentinels[i];

        a->leaders[i] = invariant_leads_to(s, to, j->published->epoch, now_ms);
        if (a->leaders[i]) {
            int64_t timeout_ms =
                s->seen.failover_timeout_ms >= 0 ? s->seen.failover_timeout_ms : 180000;
            int64_t until_ms = s->chosen_ms + timeout_ms + 2000;

            chosen_ms = leaders == 0 || s->chosen_ms < chosen_ms ? s->chosen_ms : chosen_ms;
            a->until_ms = leaders == 0 || until_ms < a->until_ms ? until_ms : a->until_ms;
            leaders++;
            s->aborted = false;
            s->idle_rows = 0;
        }
    }
    if (leaders == 0) {
        invariant_break(inv, "adopted without an elected leader's choice", j->published->epoch, 0);
    }
    if (!node || node->promoted_ms < chosen_ms) {
        invariant_break(inv, "adopted a node that did not say master",
                        node ? node->promoted_ms : -1, chosen_ms);
    }
    if (j->published->epoch <= inv->high_water || j->published->epoch <= inv->last_adopted) {
        invariant_break(inv, "adopted at an epoch that was had before", j->published->epoch,
                        inv->high_water);
    }
    if (!j->adopted || judge_high_water(judge) != inv->high_water) {
        invariant_break(inv, "an adoption that does not show, or that raised H", j->adopted,
                        judge_high_water(judge));
    }
    if (node && node->promoted_ms >= 0) {
        invariant_role(inv, to, ROLE_MASTER, node->promoted_ms);
    }
    a->stands = true;
    a->epoch = inv->last_adopted = j->published->epoch;
    a->back = inv->address;
    a->back_epoch = inv->published_epoch;
    a->due_ms = -1;
}

/* Whether there is a reason to undo it now. */
static inline void invariant_watch_adoption(struct invariant *inv, int64_t now_ms)
{
    struct noted_adoption *a = &inv->adoption;
    int64_t named;
    bool ended = now_ms >= a->until_ms;
    bool all_ended = true;
    bool due;

    invariant_majority(inv, &inv->address, now_ms, &named);
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        struct noted_sentinel *s = &inv->sentinels[i];
        bool lost = !s->known || !s->has_seen;

        s->lost_ms = !lost ? -1 : s->lost_ms < 0 ? now_ms : s->lost_ms;
        if (a->leaders[i]) {
            bool over = s->aborted || s->idle_rows >= 2 || (lost && now_ms - s->lost_ms >= 2000);

            ended |= over;
            all_ended &= over;
        }
    }
    due = !invariant_says_master(inv, &inv->address, now_ms) ||
          (ended && all_ended && named < a->epoch);
    a->may_end |= ended || due;
    a->due_ms = !due ? -1 : a->due_ms < 0 ? now_ms : a->due_ms;
    if (a->due_ms >= 0 && now_ms - a->due_ms > 2 * inv->config.verify_timeout_ms + 1500) {
        invariant_break(inv, "an adoption that has to be undone stands", a->due_ms, now_ms);
    }
}

static inline void invariant_undo(struct invariant *inv, const struct judgement *j)
{
    const struct noted_adoption *a = &inv->adoption;

    if (!a->stands || !a->may_end || !j->undone || j->adopted) {
        invariant_break(inv, "undone without a reason", a->stands, a->may_end);
    }
    if (!endpoint_equal(&j->published->master, &a->back) || j->published->epoch != a->back_epoch) {
        invariant_break(inv, "undone to something that was not published before",
                        j->published->epoch, a->back_epoch);
    }
}

/* After the switch, if any, was looked at. */
static inline void invariant_adoption(struct invariant *inv, const struct judgement *j,
                                      int64_t now_ms)
{
    struct noted_adoption *a = &inv->adoption;
    int64_t named;

    if (a->stands && !j->adopted && !j->switched) {
        invariant_majority(inv, &j->published->master, now_ms, &named);
        if (named < a->epoch || j->published->epoch < a->epoch) {
            invariant_break(inv, "an adoption ended without an announcement", named, a->epoch);
        }
    }
    if (!a->stands && j->adopted) {
        invariant_break(inv, "adopted without saying so", 0, 0);
    }
    a->stands = j->adopted;
    for (size_t i = 0; i < NOTED_SENTINELS && j->switched; i++) {
        /* whatever it chose was to follow what is published no longer */
        inv->sentinels[i].fair = false;
    }
    if (j->promoting && (!inv->config.adopt || !j->published || j->adopted ||
                         endpoint_equal(j->promoting, &j->published->master))) {
        invariant_break(inv, "asks whom it should not", inv->config.adopt, j->adopted);
    }
}

static inline void invariant_switch(struct invariant *inv, const struct judgement *j,
                                    int64_t now_ms)
{
    const struct endpoint *to = &j->published->master;
    struct noted_node *node = invariant_node(inv, to, false);
    int64_t named;
    size_t heard = 0;
    size_t naming = 0;
    bool majority = invariant_majority(inv, to, now_ms, &named);
    int64_t good_for = inv->config.verify_interval_ms < inv->config.suspect_after_ms
                           ? inv->config.verify_interval_ms
                           : inv->config.suspect_after_ms;

    if (inv->published && endpoint_equal(to, &inv->address)) {
        invariant_break(inv, "switched to the same address", 0, 0);
    }
    if (inv->config.verify) {
        bool young = node && node->answered && now_ms - node->answered_ms <= good_for;
        bool master = young && node->answer == ROLE_MASTER;
        bool unknowable = young && (node->answer == ROLE_NOPERM || node->answer == ROLE_NOAUTH);

        if (!master && !(unknowable && majority)) {
            invariant_break(inv, "moved to a node that did not say master",
                            node ? (long long)node->answer : -1, majority);
        }
    } else if (!majority) {
        invariant_break(inv, "moved without verification and without a majority", 0, 0);
    }
    if (inv->adoption.stands && j->published->epoch <= inv->adoption.epoch) {
        invariant_break(inv, "what an adoption outranks moved the address", j->published->epoch,
                        inv->adoption.epoch);
    }
    if (j->published->epoch <= inv->high_water && !majority) {
        invariant_break(inv, "moved to an epoch at or below H without a majority",
                        j->published->epoch, inv->high_water);
    }
    for (size_t i = 0; i < NOTED_SENTINELS; i++) {
        const struct noted_sentinel *s = &inv->sentinels[i];

        heard += s->known && s->heard;
        naming += s->known && s->heard && endpoint_equal(&s->seen.master, to);
    }
    /* Where only one was ever heard it is all there is. */
    if (!majority && inv->published && node && node->stranger && naming * 2 <= heard) {
        invariant_break(inv, "one voice moved it to a stranger", j->published->epoch, 0);
    }
    if (!majority && inv->has_former && !inv->former_said_other &&
        endpoint_equal(&inv->former, to)) {
        invariant_break(inv, "one voice moved it back to the former master", j->published->epoch,
                        0);
    }
    if (j->published->epoch > named) {
        invariant_break(inv, "moved to an epoch that nobody named", j->published->epoch, named);
    }
}

static inline void invariant_ok(struct invariant *inv, const struct judgement *j, int64_t now_ms)
{
    struct noted_node *node =
        j->published ? invariant_node(inv, &j->published->master, false) : NULL;
    bool recent = node && node->good && now_ms - node->good_ms <= inv->config.suspect_after_ms;
    bool memory = j->reason == REASON_WATCHER_STALLED;

    if (memory && (!inv->voided || (j->state != inv->state && j->state != MASTER_DOWN))) {
        invariant_break(inv, "a memory without a gap, or of another state", j->state, inv->state);
    }
    inv->voided = inv->voided && !master_serves(j->state, j->reason);
    if (j->state == MASTER_OK && !memory && !(recent && node->good_answer == ROLE_MASTER)) {
        invariant_break(inv, "ok without a recent word of the node",
                        node ? now_ms - node->good_ms : -1, 0);
    }
    if (j->state == MASTER_UNVERIFIED && !memory && inv->config.verify &&
        !(recent && node->good_answer != ROLE_MASTER)) {
        invariant_break(inv, "unverified without a recent word of the node", 0, 0);
    }
    if (j->verified != (j->state == MASTER_OK && !memory)) {
        invariant_break(inv, "verified is not ok", j->verified, j->state);
    }
    if (!master_state_serves(j->state) && j->reason == REASON_NONE) {
        invariant_break(inv, "trouble without a reason", j->state, 0);
    }
}

static inline void invariant_high_water(struct invariant *inv, const struct judge *judge,
                                        const struct judgement *j, int64_t now_ms)
{
    int64_t high_water = judge_high_water(judge);
    int64_t named = EPOCH_UNKNOWN;

    if (high_water < inv->high_water) {
        invariant_break(inv, "H fell", high_water, inv->high_water);
    }
    if (high_water > inv->high_water) {
        if (j->published) {
            invariant_majority(inv, &j->published->master, now_ms, &named);
        }
        if (high_water > named) {
            invariant_break(inv, "H rose to what nobody names the published address at", high_water,
                            named);
        }
    }
    inv->high_water = high_water;
}

/* After each judge_step(). @return whether all holds so far. */
static inline bool invariant_check(struct invariant *inv, const struct judge *judge,
                                   const struct judgement *j, int64_t now_ms)
{
    int64_t named;

    if (inv->adoption.stands) {
        invariant_watch_adoption(inv, now_ms);
    }
    if (j->switched && j->switched_by == DECIDE_ADOPTED) {
        invariant_adopt(inv, judge, j, now_ms);
    } else if (j->switched && j->switched_by == DECIDE_UNDONE) {
        invariant_undo(inv, j);
    } else if (j->switched) {
        invariant_switch(inv, j, now_ms);
    } else if (j->published &&
               (!inv->published || !endpoint_equal(&j->published->master, &inv->address))) {
        invariant_break(inv, "moved without saying so", 0, 0);
    }
    invariant_adoption(inv, j, now_ms);
    invariant_high_water(inv, judge, j, now_ms);
    invariant_ok(inv, j, now_ms);
    if (!master_state_may_move(inv->state, j->state) ||
        (!j->published) != (j->state == MASTER_UNKNOWN)) {
        invariant_break(inv, "a forbidden move of the state", inv->state, j->state);
    }
    if (j->next_ms >= 0 && j->next_ms <= now_ms) {
        invariant_break(inv, "the next time does not lie ahead", j->next_ms, now_ms);
    }
    if (j->published &&
        j->majority != invariant_majority(inv, &j->published->master, now_ms, &named)) {
        invariant_break(inv, "majority is wrong", j->majority, 0);
    }
    if (j->switched && inv->published) {
        const struct noted_node *was = invariant_node(inv, &inv->address, false);

        inv->has_former = true;
        inv->former = inv->address;
        inv->former_said_other = was && was->answered && was->answer == ROLE_OTHER;
    }
    if (j->published) {
        inv->published = true;
        inv->address = j->published->master;
        inv->published_epoch = j->published->epoch;
    }
    inv->state = j->state;
    return inv->broken[0] == '\0';
}

#endif
