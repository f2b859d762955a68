/*
 * One step of the judge: decide anew, have candidates asked, publish the one that the rules allow, name
 * the state, say when to come back.
 *
 * Two things make an address the published one, and publish() is the only place where it happens:
 * the voices that its epoch needs (decide.c) and the node's own word (judge_check.c).
 */
#include <string.h>

#include "judge_internal.h"

/* ---- deciding ---- */

static void decide_now(struct judge *judge, int64_t now_ms)
{
    const struct published *published = judge->has_published ? &judge->published : NULL;
    int64_t high_water = judge->adoption.stands ? judge->adoption.epoch : judge->high_water;

    /* Can't fail: voices are kept one a run id. */
    (void)decide(judge->seen, judge->n_seen, judge->n_voices, published, high_water, now_ms,
                 &judge->decision);
    adoption_outrank(judge, &judge->decision);
    if (judge_waits(judge, now_ms)) {
        judge->decision.rule = DECIDE_WAIT;
        judge->decision.has_candidate = false;
    }
}

/* A majority below H that stands against a voice at H proves nothing yet when that voice is gone: its
 * Sentinel may only have lost its link. The three polls of rule 4 are counted from its loss. */
static void follow_voice_at_high(struct judge *judge, int64_t now_ms)
{
    bool at_high = false;

    for (size_t i = 0; i < judge->n_seen; i++) {
        at_high |= judge->seen[i].epoch >= judge->high_water && judge->high_water != EPOCH_UNKNOWN &&
                   observation_counts(&judge->seen[i], now_ms);
    }
    if (judge->voice_at_high && !at_high) {
        judge_restart_repeats(judge);
    }
    judge->voice_at_high = at_high;
}

/* What is published is named at a higher epoch. One voice is enough where the node itself says master
 * (a Sentinel can raise an epoch without moving the address); else a majority is needed, as for a move. */
static void raise_high_water(struct judge *judge, int64_t now_ms)
{
    const struct decision *decision = &judge->decision;
    bool says_master = judge->config.verify && judge->verification.answer == ROLE_MASTER &&
                       judge->verification.answered && judge_serves(judge, now_ms);
    bool majority =
        decision->rule == DECIDE_STANDS && decision->candidate_majority && judge_serves(judge, now_ms);
    int64_t epoch = says_master ? decision->published_epoch : majority ? decision->epoch : EPOCH_UNKNOWN;

    if (!judge->has_published || decision->rule == DECIDE_WAIT || epoch == EPOCH_UNKNOWN) {
        return;
    }
    if (judge->adoption.stands) {
        if (epoch < judge->adoption.epoch) {
            return; /* an adoption lends H nothing until it is announced */
        }
        adoption_over(judge);
    }
    if (epoch > judge->high_water) {
        judge->high_water = epoch;
        judge->published.epoch = epoch;
    } else if (majority && epoch > judge->published.epoch) {
        judge->published.epoch = epoch; /* catches up below H, after rule 4 */
    }
}

/* A name that had not been resolved when it was published. */
static void learn_ip(struct judge *judge)
{
    for (size_t i = 0; judge->has_published && i < judge->n_seen; i++) {
        const struct endpoint *named = &judge->seen[i].master;

        if (!address_is_set(&judge->published.master.ip) && endpoint_equal(&judge->published.master, named)) {
            judge->published.master.ip = named->ip;
        }
    }
}

/* ---- publishing ---- */

static void publish(struct judge *judge, const struct decision *by, const struct check *check, int64_t now_ms,
                    int64_t wall_ms)
{
    if (judge->has_published) {
        judge->previous = judge->published.master;
        judge->has_previous = true;
    }
    judge->has_published = true;
    judge->published.master = by->candidate;
    judge->published.epoch = by->epoch;
    judge->published_ms = now_ms;
    judge->published_wall_ms = wall_ms;
    if (by->epoch > judge->high_water) {
        judge->high_water = by->epoch;
    }
    if (check) { /* a good answer: it leaves nothing of what the former node said */
        verification_answer(&judge->verification, check->answer, check->answered_ms);
    }
    memset(&judge->run_ids, 0, sizeof(judge->run_ids));
    for (size_t i = 0; i < CHECKS; i++) {
        check_drop(&judge->checks[i]);
    }
    adoption_over(judge);
    judge->gap = false;
}

static bool is_published(const struct judge *judge, const struct endpoint *node)
{
    return judge->has_published && endpoint_equal(&judge->published.master, node);
}

/* Have `by`'s candidate asked through `check`, and publish it when it may be. */
static bool try_candidate(struct judge *judge, struct check *check, const struct decision *by, int64_t now_ms,
                          int64_t wall_ms)
{
    if (!judge->config.verify) {
        if (by->candidate_majority) {
            publish(judge, by, NULL, now_ms, wall_ms);
        }
        return by->candidate_majority;
    }
    check_want(check, &by->candidate, by->epoch, now_ms);
    check_expire(check, &judge->config, now_ms);
    if (!check_allows(check, &judge->config, by->candidate_majority, now_ms)) {
        return false;
    }
    publish(judge, by, check, now_ms, wall_ms);
    return true;
}

/*
 * Beyond the numbered rules: what the highest epoch names does not serve, whether it is published or
 * only a candidate that never says master, and a settled majority of the known names another node that
 * does. Without this, one Sentinel that kept an epoch nobody else has (a liar, or the last of a
 * deployment that was rebuilt) would hold a dead answer for ever. The invariant allows it: a majority
 * of the known, and the node's own word. H stays, so the lone voice pulls nothing back.
 */
static bool overrule(struct judge *judge, int64_t now_ms, int64_t wall_ms, struct decision *by)
{
    struct check *check = &judge->checks[CHECK_MAJORITY];
    bool wanted = judge->decision.rule != DECIDE_WAIT && !judge->adoption.stands &&
                  !judge_serves(judge, now_ms) && now_ms >= judge->not_serving_since_ms + OVERRULE_AFTER_MS;

    *by = judge->decision;
    if (!wanted || !decide_settled(judge->seen, judge->n_seen, judge->n_voices, now_ms, by) ||
        is_published(judge, &by->candidate) ||
        (judge->decision.has_candidate && endpoint_equal(&judge->decision.candidate, &by->candidate))) {
        check_drop(check);
        return false;
    }
    return try_candidate(judge, check, by, now_ms, wall_ms);
}

/* @return the rule that moved the published address, or DECIDE_NOTHING. */
static enum decide_rule try_to_publish(struct judge *judge, int64_t now_ms, int64_t wall_ms)
{
    struct decision by = judge->decision;

    if (!by.has_candidate || is_published(judge, &by.candidate)) {
        check_drop(&judge->checks[CHECK_CANDIDATE]);
    } else if (try_candidate(judge, &judge->checks[CHECK_CANDIDATE], &by, now_ms, wall_ms)) {
        return by.rule;
    }
    return overrule(judge, now_ms, wall_ms, &by) ? by.rule : DECIDE_NOTHING;
}

/* A gap ends when what is published is confirmed anew: by the node, after the Sentinels had their say
 * (rule 8) and nobody they name instead is still to be asked; with --verify off by the Sentinels. */
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

/* A failover that began after the last publication: its outcome is still to come. */
static bool failover_is_news(const struct judge *judge, int64_t now_ms)
{
    if (judge_failover_ends(judge, now_ms) < 0) {
        return false;
    }
    for (size_t i = 0; i < judge->n_voices; i++) {
        if (judge->voices[i].failover_since_ms >= judge->published_ms) {
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
    return judge->has_published && (!master_state_serves(judge->state) || verification->failures > 0 ||
                                    judge->adoption.stands || failover_is_news(judge, now_ms));
}

/* The next time at which something changes though nothing happens. All of them lie ahead: what is due
 * now was done in this step. */
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
    if (!master_state_serves(judge->state) && judge->decision.counting > 0 &&
        judge->not_serving_since_ms + OVERRULE_AFTER_MS > now_ms) {
        next = earlier(next, judge->not_serving_since_ms + OVERRULE_AFTER_MS);
    }
    return next;
}

void judge_step(struct judge *judge, int64_t now_ms, int64_t wall_ms, struct judgement *out)
{
    enum decide_rule moved_by;
    const char *undone = NULL;

    follow_voice_at_high(judge, now_ms);
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
    *out = (struct judgement){.switched = moved_by != DECIDE_NOTHING, .switched_by = moved_by};
    out->adopted = judge->adoption.stands;
    out->undone = undone;
    out->restarted = judge_follow_run_id(judge, now_ms);
    judge_move_state(judge, now_ms);
    judge_say(judge, now_ms, wall_ms);

    out->state = judge->state;
    out->reason = judge->reason;
    out->detail = judge->detail;
    out->verified = judge->state == MASTER_OK;
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
