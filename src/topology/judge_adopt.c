/*
 * Rule 11, --adopt promoted: between the promotion and its announcement the new master exists and
 * no Sentinel says so.
 *
 *   judge_promotion()  a Sentinel's own events: try, elected, chosen. Only the whole row of them,
 *                      at an epoch above H, by a Sentinel that counts and names what is published,
 *                      has the chosen replica asked.
 *   adoption_step()    it says master: adopted. H stays, so that undoing has nothing to take back.
 *                      Announced: an ordinary publication (judge.c, raise_high_water). A higher
 *                      epoch: that one. Else, sooner or later, undone.
 *
 * How much a lying Sentinel can do with this is what it can do with rule 2: it needs an epoch above
 * H and a node that itself says master.
 */
#include "judge_adopt.h"

#include <string.h>

#include "bellwether/base/clock.h"
#include "judge_votes.h"

enum {
    LEADER_LOST_MS = 2000, /* how long an adoption outlives its leader's link */
    IDLE_ROWS = 2,         /* the first may answer a question from before the failover */
};

static bool is_leader(const char leader[RUN_ID_SIZE], const char *id)
{
    return strncmp(leader, id, RUN_ID_SIZE - 1) == 0;
}

/* ---- what leaders say ---- */

static void promotion_drop(struct judge *judge)
{
    judge->promotion = (struct promotion){.wanted = false};
}

/* The failover of that Sentinel is no longer under way. */
static void lead_over(struct judge *judge, struct vote *vote, bool aborted)
{
    vote->leads_epoch = EPOCH_UNKNOWN;
    vote->elected = false;
    if (judge->promotion.wanted && is_leader(judge->promotion.leader, vote->id)) {
        promotion_drop(judge);
    }
    if (aborted && judge->adoption.stands && is_leader(judge->adoption.leader, vote->id) &&
        !judge->adoption.undo) {
        judge->adoption.undo = "failover_aborted";
    }
}

static int64_t failover_timeout_ms(const struct observation *seen)
{
    return seen && seen->failover_timeout_ms >= 0 ? seen->failover_timeout_ms : FAILOVER_TIMEOUT_MS;
}

/*
 * Whether this Sentinel may have a replica adopted: it counts, its row has an epoch, its failover
 * is at a higher one than anything that was published or adopted, and away from what is published.
 */
static bool may_lead(const struct judge *judge, const struct vote *vote, int64_t now_ms)
{
    const struct observation *seen = judge_observation(judge, vote->id);

    return vote->elected && vote->leads_epoch > judge->high_water &&
           vote->leads_epoch > judge->last_adopted && seen && observation_counts(seen, now_ms) &&
           seen->epoch != EPOCH_UNKNOWN && seen->epoch < vote->leads_epoch &&
           endpoint_equal(&seen->master, &judge->published.master);
}

static void promotion_begin(struct judge *judge, const struct vote *vote,
                            const struct endpoint *node, int64_t now_ms)
{
    struct promotion *promotion = &judge->promotion;
    bool same = promotion->wanted && is_leader(promotion->leader, vote->id);

    if (!judge->has_published || judge->gap || judge->adoption.stands ||
        endpoint_equal(&judge->published.master, node) || !judge_vouches(judge, node) ||
        !may_lead(judge, vote, now_ms)) {
        return;
    }
    if (promotion->wanted && (promotion->epoch > vote->leads_epoch ||
                              (promotion->epoch == vote->leads_epoch &&
                               (!same || endpoint_equal(&promotion->node, node))))) {
        /* the second event about the same, or somebody else's claim to an epoch that is taken */
        return;
    }
    *promotion = (struct promotion){
        .wanted = true,
        .epoch = vote->leads_epoch,
        .node = *node,
        .until_ms =
            now_ms + failover_timeout_ms(judge_observation(judge, vote->id)) + LEADER_LOST_MS};
    memcpy(promotion->leader, vote->id, sizeof(promotion->leader));
}

void judge_promotion(struct judge *judge, const char *leader, enum promotion_step step,
                     int64_t epoch, const struct endpoint *node, int64_t now_ms)
{
    struct vote *vote = judge_vote(judge, leader);

    if (!judge->config.adopt || !judge->config.verify || !vote) {
        return;
    }
    switch (step) {
    case PROMOTION_TRY:
        lead_over(judge, vote, true);
        vote->leads_epoch = epoch;
        break;
    case PROMOTION_ELECTED: vote->elected = vote->leads_epoch != EPOCH_UNKNOWN; break;
    case PROMOTION_CHOSEN: promotion_begin(judge, vote, node, now_ms); break;
    case PROMOTION_ABORTED: lead_over(judge, vote, true); break;
    case PROMOTION_ENDED: lead_over(judge, vote, false); break;
    }
}

void judge_promotion_role(struct judge *judge, const struct endpoint *node, enum role_answer answer,
                          int64_t now_ms)
{
    if (judge->promotion.wanted && endpoint_equal(&judge->promotion.node, node)) {
        judge->promotion.says_master = answer == ROLE_MASTER;
        judge->promotion.answered_ms = now_ms;
    }
}

void adoption_hear(struct judge *judge, const struct observation *seen)
{
    struct adoption *adoption = &judge->adoption;

    if (adoption->stands && is_leader(adoption->leader, seen->sentinel)) {
        bool idle = !seen->failover_under_way && seen->epoch != EPOCH_UNKNOWN &&
                    seen->epoch < adoption->epoch;

        adoption->idle_rows = idle ? adoption->idle_rows + 1 : 0;
    }
}

/* ---- what it is worth ---- */

static bool is_announced(const struct judge *judge)
{
    return judge->decision.published_epoch >= judge->adoption.epoch;
}

void adoption_outrank(const struct judge *judge, struct decision *decision)
{
    if (!judge->adoption.stands || decision->published_epoch >= judge->adoption.epoch) {
        return;
    }
    switch (decision->rule) {
    case DECIDE_CONFLICT:
        if (decision->epoch > judge->adoption.epoch) {
            return;
        }
        break;
    case DECIDE_EQUAL_MAJORITY:
    case DECIDE_BELOW_MAJORITY:
    case DECIDE_NO_EPOCH:
    case DECIDE_NO_MAJORITY: break;
    default: return;
    }
    decision->rule = DECIDE_ADOPTED;
    decision->has_candidate = false;
}

void adoption_over(struct judge *judge)
{
    judge->adoption = (struct adoption){.stands = false};
    check_drop(&judge->checks[CHECK_RETURN]);
    promotion_drop(judge);
}

void adoption_void(struct judge *judge)
{
    for (size_t i = 0; i < judge->n_votes; i++) {
        judge->votes[i].leads_epoch = EPOCH_UNKNOWN;
        judge->votes[i].elected = false;
    }
    promotion_drop(judge);
    if (judge->adoption.stands) {
        /* whether it was announced or aborted meanwhile is asked from the start */
        judge->adoption.undo = "gap";
        judge->adoption.at_once = true;
    }
}

/* ---- adopting and undoing ---- */

static enum decide_rule adopt(struct judge *judge, int64_t now_ms, int64_t wall_ms)
{
    const struct promotion promotion = judge->promotion;
    struct published to = {.master = promotion.node, .epoch = promotion.epoch};

    judge->adoption = (struct adoption){.stands = true,
                                        .epoch = promotion.epoch,
                                        .back = judge->published,
                                        .until_ms = promotion.until_ms,
                                        .leader_lost_ms = -1};
    memcpy(judge->adoption.leader, promotion.leader, sizeof(judge->adoption.leader));
    judge->last_adopted = promotion.epoch;
    promotion_drop(judge);
    judge_move_to(judge, &to, now_ms, wall_ms);
    judge->confirmed = true;
    verification_answer(&judge->verification, ROLE_MASTER, promotion.answered_ms);
    return DECIDE_ADOPTED;
}

/*
 * Whether the chosen replica still is of interest: its leader counts, and H has not come to its
 * epoch.
 */
static bool promotion_stands(const struct judge *judge, int64_t now_ms)
{
    const struct promotion *promotion = &judge->promotion;
    const struct observation *seen = judge_observation(judge, promotion->leader);

    return seen && observation_counts(seen, now_ms) && promotion->epoch > judge->high_water &&
           now_ms < promotion->until_ms;
}

static bool still_says_master(const struct judge *judge, int64_t now_ms)
{
    return verification_alive(&judge->verification, &judge->config, now_ms) &&
           judge->verification.alive_answer == ROLE_MASTER;
}

static void follow_leader(struct judge *judge, int64_t now_ms)
{
    struct adoption *adoption = &judge->adoption;
    const struct observation *seen = judge_observation(judge, adoption->leader);

    if (seen && seen->link_up) {
        adoption->leader_lost_ms = -1;
    } else if (adoption->leader_lost_ms < 0) {
        adoption->leader_lost_ms = now_ms;
    }
}

static const char *reason_to_undo(const struct judge *judge, int64_t now_ms)
{
    const struct adoption *adoption = &judge->adoption;

    if (!still_says_master(judge, now_ms)) {
        return "not_a_master";
    }
    if (is_announced(judge)) {
        return NULL;
    }
    if (adoption->idle_rows >= IDLE_ROWS) {
        return "failover_aborted";
    }
    if (adoption->leader_lost_ms >= 0 && now_ms - adoption->leader_lost_ms >= LEADER_LOST_MS) {
        return "leader_lost";
    }
    return now_ms >= adoption->until_ms ? "timeout" : NULL;
}

/*
 * Back to what was published before, once it has been asked: what it answers decides only how it is
 * shown.
 */
static enum decide_rule undo(struct judge *judge, int64_t now_ms, int64_t wall_ms, const char **why)
{
    struct check *check = &judge->checks[CHECK_RETURN];
    struct check answer;
    struct published back = judge->adoption.back;
    bool at_once = judge->adoption.at_once;

    if (!at_once) {
        check_want(check, &judge->config, &back.master, back.epoch, now_ms);
        if (!check->answered) {
            return DECIDE_NOTHING;
        }
    }
    answer = *check;
    *why = judge->adoption.undo;
    adoption_over(judge);
    judge_move_to(judge, &back, now_ms, wall_ms);
    judge->confirmed = true;
    verification_reset(&judge->verification);
    if (at_once) {
        judge->verification.retry_ms = now_ms;
    } else {
        verification_answer(&judge->verification, answer.answer, answer.answered_ms);
    }
    return DECIDE_UNDONE;
}

enum decide_rule adoption_step(struct judge *judge, int64_t now_ms, int64_t wall_ms,
                               const char **why)
{
    struct adoption *adoption = &judge->adoption;

    if (adoption->stands) {
        follow_leader(judge, now_ms);
        if (!adoption->undo) {
            adoption->undo = reason_to_undo(judge, now_ms);
        }
        return adoption->undo ? undo(judge, now_ms, wall_ms, why) : DECIDE_NOTHING;
    }
    if (judge->promotion.wanted && !promotion_stands(judge, now_ms)) {
        promotion_drop(judge);
    }
    return judge->promotion.wanted && judge->promotion.says_master ? adopt(judge, now_ms, wall_ms)
                                                                   : DECIDE_NOTHING;
}

int64_t adoption_next_ms(const struct judge *judge)
{
    const struct adoption *adoption = &judge->adoption;
    int64_t next = -1;

    if (judge->promotion.wanted) {
        next = judge->promotion.until_ms;
    }
    if (adoption->stands && !adoption->undo && !is_announced(judge)) {
        next = earlier(next, adoption->until_ms);
        if (adoption->leader_lost_ms >= 0) {
            next = earlier(next, adoption->leader_lost_ms + LEADER_LOST_MS);
        }
    }
    return next;
}
