/*
 * One step of the judge: decide anew, have candidates asked, publish the one that the rules allow,
 * name the state, say when to come back.
 *
 * Two things make an address the published one, and publish() is the only place where it happens:
 * the votes that its epoch needs (decide.c) and the node's own word (judge_check.c).
 */
#include "bellwether/base/clock.h"
#include "judge_adopt.h"
#include "judge_state.h"
#include "judge_votes.h"

enum {
    /*
     * How long what is published must not have served before a settled majority may overrule a
     * vote at H: one and a half of the periods in which Sentinels tell each other.
     */
    OVERRULE_AFTER_MS = 3000,
    /* Rule 13: what one vote announced and a majority contradicts is held at once, */
    UNCONFIRMED_HOLD_MS = 0,
    CONTRADICTED_HOLD_MS = 3000,  /* what a majority had named is held after this, */
    CONTRADICTED_MOVE_MS = 15000, /* and either gives way to what the majority names after this. */
};

/* ---- deciding ---- */

/* Rule 12. */
static bool may_move_by_one_vote(const struct judge *judge, const struct endpoint *node)
{
    return judge_vouches(judge, node) &&
           !(judge->deposed.suspect && endpoint_equal(&judge->deposed.node, node));
}

static void decide_now(struct judge *judge, int64_t now_ms)
{
    const struct published *published = judge->has_published ? &judge->published : NULL;
    int64_t high_water = judge->adoption.stands ? judge->adoption.epoch : judge->high_water;

    for (size_t i = 0; i < judge->n_seen; i++) {
        struct observation *seen = &judge->seen[i];

        seen->unvouched = seen->epoch > high_water && !may_move_by_one_vote(judge, &seen->master);
    }
    /* Can't fail: votes are kept one a run id. */
    (void)decide(judge->seen, judge->n_seen, judge->n_known, published, high_water, now_ms,
                 &judge->decision);
    adoption_outrank(judge, &judge->decision);
    if (judge_waits(judge, now_ms)) {
        judge->decision.rule = DECIDE_WAIT;
        judge->decision.has_candidate = false;
    }
}

/*
 * A majority below H that stands against a vote at H proves nothing yet when that vote is gone:
 * its Sentinel may only have lost its link. The three polls of rule 4 are counted from its loss.
 */
static void follow_vote_at_high(struct judge *judge, int64_t now_ms)
{
    bool at_high = false;

    for (size_t i = 0; i < judge->n_seen; i++) {
        at_high |= judge->seen[i].epoch >= judge->high_water &&
                   judge->high_water != EPOCH_UNKNOWN &&
                   observation_counts(&judge->seen[i], now_ms);
    }
    if (judge->vote_at_high && !at_high) {
        judge_restart_repeats(judge);
    }
    judge->vote_at_high = at_high;
}

/*
 * What is published is named at a higher epoch (a Sentinel can raise one without moving the
 * address): H follows a majority only. By one vote it could be put out of reach of every failover
 * to come. An adoption ends with its announcement, which is one vote's.
 */
static void raise_high_water(struct judge *judge, int64_t now_ms)
{
    const struct decision *decision = &judge->decision;
    int64_t epoch = decision->published_majority ? decision->majority_epoch : EPOCH_UNKNOWN;

    if (!judge->has_published || decision->rule == DECIDE_WAIT || !judge_serves(judge, now_ms)) {
        return;
    }
    if (judge->adoption.stands) {
        bool says_master =
            judge->verification.answered && judge->verification.answer == ROLE_MASTER;

        if (decision->published_epoch < judge->adoption.epoch ||
            (!says_master && epoch < judge->adoption.epoch)) {
            return; /* an adoption lends H nothing until it is announced */
        }
        epoch = epoch > judge->adoption.epoch ? epoch : judge->adoption.epoch;
        adoption_over(judge);
    }
    if (epoch > judge->high_water) {
        judge->high_water = epoch;
        judge->published.epoch = epoch;
    } else if (epoch > judge->published.epoch) {
        judge->published.epoch = epoch; /* catches up below H, after rule 4 */
    }
}

/* A name that had not been resolved when it was published. */
static void learn_ip(struct judge *judge)
{
    for (size_t i = 0; judge->has_published && i < judge->n_seen; i++) {
        const struct endpoint *named = &judge->seen[i].master;

        if (!address_is_set(&judge->published.master.ip) &&
            endpoint_equal(&judge->published.master, named)) {
            judge->published.master.ip = named->ip;
        }
    }
}

/* ---- publishing ---- */

static void publish(struct judge *judge, const struct decision *by, const struct check *check,
                    int64_t now_ms, int64_t wall_ms)
{
    const struct published to = {.master = by->candidate, .epoch = by->epoch};
    enum role_answer answer = check ? check->answer : ROLE_MASTER;
    int64_t answered_ms = check ? check->answered_ms : now_ms;

    judge_move_to(judge, &to, now_ms, wall_ms);
    judge->confirmed = by->candidate_majority;
    if (by->epoch > judge->high_water) {
        judge->high_water = by->epoch;
    }
    if (judge->config.verify) { /* a good answer: it leaves nothing of what the former node said */
        verification_answer(&judge->verification, answer, answered_ms);
    }
    adoption_over(judge);
    judge->gap = false;
}

static bool is_published(const struct judge *judge, const struct endpoint *node)
{
    return judge->has_published && endpoint_equal(&judge->published.master, node);
}

/* Have `by`'s candidate asked through `check`, and publish it when it may be. */
static bool try_candidate(struct judge *judge, struct check *check, const struct decision *by,
                          int64_t now_ms, int64_t wall_ms)
{
    if (!judge->config.verify) {
        if (by->candidate_majority) {
            publish(judge, by, NULL, now_ms, wall_ms);
        }
        return by->candidate_majority;
    }
    check_want(check, &judge->config, &by->candidate, by->epoch, now_ms);
    if (!check_allows(check, &judge->config, by->candidate_majority, now_ms)) {
        return false;
    }
    publish(judge, by, check, now_ms, wall_ms);
    return true;
}

/* ---- a majority that names another node ---- */

static bool is_candidate(const struct judge *judge, const struct endpoint *node)
{
    return judge->decision.has_candidate && endpoint_equal(&judge->decision.candidate, node);
}

/*
 * The check of the node that a majority names: the candidate and the former master are asked as it
 * is.
 */
static struct check *check_of(struct judge *judge, const struct endpoint *node, int64_t epoch,
                              int64_t now_ms)
{
    struct check *own = &judge->checks[CHECK_MAJORITY];

    if (is_candidate(judge, node)) {
        check_drop(own);
        return &judge->checks[CHECK_CANDIDATE];
    }
    if (!own->wanted && judge->checks[CHECK_DEPOSED].wanted &&
        endpoint_equal(&judge->checks[CHECK_DEPOSED].node, node)) {
        *own = judge->checks[CHECK_DEPOSED]; /* with what it said last */
    }
    check_want(own, &judge->config, node, epoch, now_ms);
    return own;
}

/* Rule 13: since when a majority names another node that says master, so that there are two. */
static void follow_contradiction(struct judge *judge, int64_t now_ms)
{
    struct decision by = judge->decision;
    struct check *check;

    judge->confirmed |= judge->decision.published_majority || judge->adoption.stands;
    if (!judge->config.verify || judge->adoption.stands || judge->decision.rule == DECIDE_WAIT ||
        !decide_majority(judge->seen, judge->n_seen, judge->n_known, now_ms, 0, &by) ||
        is_published(judge, &by.candidate)) {
        check_drop(&judge->checks[CHECK_MAJORITY]);
        judge->contradicted_ms = -1;
        return;
    }
    check = check_of(judge, &by.candidate, by.epoch, now_ms);
    if (check_takes_back(check)) {
        judge->contradicted_ms = -1;
    } else if (check_is_good(check) && judge->contradicted_ms < 0 && judge->has_published &&
               !judge->gap) {
        judge->contradicted_ms = now_ms;
    }
}

static bool is_contradicted(const struct judge *judge, int64_t for_ms, int64_t now_ms)
{
    return judge->contradicted_ms >= 0 && now_ms - judge->contradicted_ms >= for_ms;
}

static int64_t hold_after_ms(const struct judge *judge)
{
    return judge->confirmed ? CONTRADICTED_HOLD_MS : UNCONFIRMED_HOLD_MS;
}

/* Whether the node that the highest epoch names says master, or may yet. */
static bool top_stands(const struct judge *judge, int64_t now_ms)
{
    const struct check *check = &judge->checks[CHECK_CANDIDATE];

    if (!judge->decision.has_candidate || is_published(judge, &judge->decision.candidate)) {
        return judge_serves(judge, now_ms);
    }
    return !check->answered || check->answer == ROLE_MASTER;
}

/*
 * A majority of the known names a node that is neither published nor the candidate.
 *
 * Above H it need not wait for one vote with a still higher epoch, whose node does not say master.
 * Else it has to be settled, and what is published has not served for a while or has been
 * contradicted for long: without this, one Sentinel that kept an epoch nobody else has (a liar, or
 * the last of a deployment that was rebuilt) would hold a dead answer for ever. The invariant
 * allows it: a majority of the known, and the node's own word. H stays, so the lone vote pulls
 * nothing back.
 */
static bool overrule(struct judge *judge, int64_t now_ms, int64_t wall_ms, struct decision *by)
{
    bool late = (!judge_serves(judge, now_ms) &&
                 now_ms >= judge->not_serving_since_ms + OVERRULE_AFTER_MS) ||
                is_contradicted(judge, CONTRADICTED_MOVE_MS, now_ms);

    *by = judge->decision;
    if (judge->decision.rule == DECIDE_WAIT || judge->adoption.stands ||
        !decide_majority(judge->seen, judge->n_seen, judge->n_known, now_ms, 0, by) ||
        is_published(judge, &by->candidate) || is_candidate(judge, &by->candidate)) {
        return false;
    }
    if (!late && (by->epoch <= judge->high_water || top_stands(judge, now_ms))) {
        return false;
    }
    if (by->epoch <= judge->high_water &&
        !decide_majority(judge->seen, judge->n_seen, judge->n_known, now_ms, REPEATS_SETTLED, by)) {
        return false;
    }
    by->rule = by->epoch > judge->high_water ? DECIDE_HIGHER_EPOCH : by->rule;
    return try_candidate(judge, &judge->checks[CHECK_MAJORITY], by, now_ms, wall_ms);
}

/*
 * Rule 4 waits where nobody but the vote that is gone has named what is published: the failover
 * may be on its way to the others, and to go back would be to lose what was written.
 */
static bool is_premature(const struct judge *judge, const struct decision *by, int64_t now_ms)
{
    return by->rule == DECIDE_BELOW_MAJORITY && !judge->confirmed && judge_serves(judge, now_ms) &&
           judge->verification.alive_answer == ROLE_MASTER &&
           !is_contradicted(judge, CONTRADICTED_MOVE_MS, now_ms);
}

/* @return the rule that moved the published address, or DECIDE_NOTHING. */
static enum decide_rule try_to_publish(struct judge *judge, int64_t now_ms, int64_t wall_ms)
{
    struct decision by = judge->decision;
    struct check *candidate = &judge->checks[CHECK_CANDIDATE];

    if (!by.has_candidate || is_published(judge, &by.candidate)) {
        check_drop(candidate);
    } else if (is_premature(judge, &by, now_ms)) {
        check_want(candidate, &judge->config, &by.candidate, by.epoch, now_ms);
    } else if (try_candidate(judge, candidate, &by, now_ms, wall_ms)) {
        return by.rule;
    }
    return overrule(judge, now_ms, wall_ms, &by) ? by.rule : DECIDE_NOTHING;
}

/*
 * A gap ends when what is published is confirmed anew: by the node, after the Sentinels had their
 * say (rule 8) and nobody they name instead is still to be asked; with --verify off by the
 * Sentinels.
 */
static void end_gap(struct judge *judge, int64_t now_ms)
{
    const struct check *candidate = &judge->checks[CHECK_CANDIDATE];

    if (!judge->gap || judge->decision.rule == DECIDE_WAIT) {
        return;
    }
    if (!judge->config.verify) {
        judge->gap = judge->decision.rule != DECIDE_STANDS;
    } else if (verification_alive(&judge->verification, &judge->config, now_ms)) {
        judge->gap = candidate->wanted && !candidate->answered;
    }
}

/* ---- what the owner is to do ---- */

static bool take_retry(struct verification *verification, int64_t now_ms)
{
    bool due = verification->retry_ms >= 0 && now_ms >= verification->retry_ms;

    if (due) {
        verification->retry_ms = -1;
    }
    return due;
}

/* As long as the former master was not seen as a replica, it is asked now and then. */
static void follow_deposed(struct judge *judge, int64_t now_ms)
{
    struct check *check = &judge->checks[CHECK_DEPOSED];

    if (!judge->deposed.suspect || is_published(judge, &judge->deposed.node) ||
        !judge_vouches(judge, &judge->deposed.node) ||
        (judge->checks[CHECK_MAJORITY].wanted &&
         endpoint_equal(&judge->checks[CHECK_MAJORITY].node, &judge->deposed.node))) {
        check_drop(check);
        return;
    }
    check_want(check, &judge->config, &judge->deposed.node, EPOCH_UNKNOWN, now_ms);
}

/* A failover that began after the last publication: its outcome is still to come. */
static bool failover_is_news(const struct judge *judge, int64_t now_ms)
{
    if (judge_failover_ends(judge, now_ms) < 0) {
        return false;
    }
    for (size_t i = 0; i < judge->n_votes; i++) {
        if (judge->votes[i].failover_since_ms >= judge->published_ms) {
            return true;
        }
    }
    return judge->failover_until_ms > now_ms && judge->failover_since_ms >= judge->published_ms;
}

static bool is_suspect(const struct judge *judge, int64_t now_ms)
{
    const struct verification *verification = &judge->verification;

    if (judge->decision.has_candidate && !is_published(judge, &judge->decision.candidate)) {
        return true; /* rule 6 */
    }
    return judge->has_published && (!master_serves(judge->state, judge->reason) ||
                                    verification->failures > 0 || judge->adoption.stands ||
                                    judge->contradicted_ms >= 0 || failover_is_news(judge, now_ms));
}

/*
 * The next time at which something changes though nothing happens. All of them lie ahead: what is
 * due now was done in this step.
 */
static int64_t next_time(const struct judge *judge, int64_t now_ms)
{
    const struct verification *verification = &judge->verification;
    int64_t next = checks_next_ms(judge->checks, &judge->config, now_ms);

    next = earlier(next, judge_failover_ends(judge, now_ms));
    next = earlier(next, adoption_next_ms(judge));
    next = earlier(next, verification->retry_ms);
    if (judge->decision.rule == DECIDE_WAIT) {
        next = earlier(next, judge->began_ms + judge->config.sentinel_timeout_ms);
    }
    for (size_t i = 0; i < judge->n_seen; i++) {
        const struct observation *seen = &judge->seen[i];

        if (observation_counts(seen, now_ms)) {
            next = earlier(next, seen->at_ms + 3 * seen->interval_ms);
        }
    }
    if (verification_alive(verification, &judge->config, now_ms)) {
        next = earlier(next, verification->alive_ms + judge->config.suspect_after_ms + 1);
    }
    if (judge->contradicted_ms >= 0 && !is_contradicted(judge, CONTRADICTED_MOVE_MS, now_ms)) {
        int64_t after_ms = is_contradicted(judge, hold_after_ms(judge), now_ms)
                               ? CONTRADICTED_MOVE_MS
                               : hold_after_ms(judge);

        next = earlier(next, judge->contradicted_ms + after_ms);
    }
    if (!master_serves(judge->state, judge->reason) && judge->decision.counting > 0 &&
        judge->not_serving_since_ms + OVERRULE_AFTER_MS > now_ms) {
        next = earlier(next, judge->not_serving_since_ms + OVERRULE_AFTER_MS);
    }
    return next;
}

void judge_step(struct judge *judge, int64_t now_ms, int64_t wall_ms, struct judgement *out)
{
    enum decide_rule moved_by;
    const char *undone = NULL;

    follow_vote_at_high(judge, now_ms);
    decide_now(judge, now_ms);
    judge->first = judge->first && judge->decision.rule == DECIDE_WAIT;
    raise_high_water(judge, now_ms);
    learn_ip(judge);
    moved_by = try_to_publish(judge, now_ms, wall_ms);
    if (moved_by == DECIDE_NOTHING) {
        moved_by = adoption_step(judge, now_ms, wall_ms, &undone);
    }
    if (moved_by != DECIDE_NOTHING) {
        decide_now(judge, now_ms); /* the counts are of what is published now */
    }
    end_gap(judge, now_ms);
    follow_contradiction(judge, now_ms);
    follow_deposed(judge, now_ms);
    *out = (struct judgement){.switched = moved_by != DECIDE_NOTHING, .switched_by = moved_by};
    out->adopted = judge->adoption.stands;
    out->contradicted = is_contradicted(judge, hold_after_ms(judge), now_ms);
    out->undone = undone;
    out->restarted = judge_follow_run_id(judge, now_ms);
    judge_move_state(judge, now_ms);
    judge_say(judge, now_ms, wall_ms);

    out->state = judge->state;
    out->reason = judge->reason;
    out->detail = judge->detail;
    out->verified = judge->state == MASTER_OK && master_serves(judge->state, judge->reason);
    out->majority = judge->decision.published_majority;
    out->published = judge->has_published ? &judge->published : NULL;
    out->previous = judge->has_previous ? &judge->previous : NULL;
    out->run_id = judge->run_ids.current;
    out->published_wall_ms = judge->published_wall_ms;
    out->decision = judge->decision;
    out->check_published = take_retry(&judge->verification, now_ms);
    out->check = checks_ask(judge->checks, now_ms);
    out->promoting = judge->promotion.wanted ? &judge->promotion.node : NULL;
    out->suspect = is_suspect(judge, now_ms);
    out->next_ms = next_time(judge, now_ms);
}
