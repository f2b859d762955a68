/*
 * The state of a master and the reason beside it.
 *
 * The state is DESIGN section 3's table, from the top, the first that fits. Reasons are a table of
 * their own: a row names the states it may stand in and the question it answers; the first row that
 * fits is the reason. Order is by what an operator has to know first: what makes callers get a 503
 * before what only makes the answer less certain, a cause before its consequence.
 */
#include "judge_state.h"

#include <string.h>

#define BIT(state) (1u << MASTER_##state)

/* ---- questions ---- */

bool judge_waits(const struct judge *judge, int64_t now_ms)
{
    size_t total = judge->links.dialled > judge->n_known ? judge->links.dialled : judge->n_known;
    size_t pending = judge->links.pending;
    size_t counting = 0;

    if (!judge->first || now_ms >= judge->began_ms + judge->config.sentinel_timeout_ms) {
        return false;
    }
    for (size_t i = 0; i < judge->n_seen; i++) {
        counting += observation_counts(&judge->seen[i], now_ms);
    }
    if (judge->gap) {
        /* after a gap the links were not dialled anew, so count who has not spoken since */
        size_t unheard = 0;

        for (size_t i = 0; i < judge->n_votes; i++) {
            unheard += judge->votes[i].known && !judge->votes[i].heard;
        }
        pending = unheard > pending ? unheard : pending;
    }
    return total == 0 || (counting <= total / 2 && pending > 0);
}

/* When the failover in that Sentinel's row stops being believed; -1: there is none. */
static int64_t row_failover_ends(const struct judge *judge, const struct observation *seen)
{
    if (!seen->failover_under_way) {
        return -1;
    }
    for (size_t i = 0; i < judge->n_votes; i++) {
        const struct vote *vote = &judge->votes[i];

        if (vote->failover_since_ms >= 0 && strcmp(vote->id, seen->sentinel) == 0) {
            return vote->failover_since_ms + (seen->failover_timeout_ms >= 0
                                                  ? seen->failover_timeout_ms
                                                  : FAILOVER_TIMEOUT_MS);
        }
    }
    return -1;
}

int64_t judge_failover_ends(const struct judge *judge, int64_t now_ms)
{
    int64_t ends = judge->failover_until_ms;

    for (size_t i = 0; i < judge->n_seen; i++) {
        if (observation_counts(&judge->seen[i], now_ms)) {
            int64_t row_ends = row_failover_ends(judge, &judge->seen[i]);

            ends = row_ends > ends ? row_ends : ends;
        }
    }
    return ends > now_ms ? ends : -1;
}

/* ---- the state ---- */

/* The state that fits; only meaningful when something was published. */
static enum master_state fitting_state(const struct judge *judge, int64_t now_ms)
{
    const struct verification *verification = &judge->verification;

    if (!judge->gap) {
        if (!judge->config.verify) {
            return MASTER_UNVERIFIED;
        }
        if (verification_alive(verification, &judge->config, now_ms)) {
            return verification->alive_answer == ROLE_MASTER ? MASTER_OK : MASTER_UNVERIFIED;
        }
    }
    if (judge_failover_ends(judge, now_ms) >= 0) {
        return MASTER_FAILING_OVER;
    }
    return judge->decision.rule == DECIDE_CONFLICT ? MASTER_CONFLICT : MASTER_DOWN;
}

bool judge_serves(const struct judge *judge, int64_t now_ms)
{
    return judge->has_published && master_state_serves(fitting_state(judge, now_ms));
}

/* ---- the reason ---- */

/* What is asked of a judge to find the reason. */
enum question {
    ANY,
    WAITING,
    NOT_CONFIRMED_YET, /* after a gap, and the node has not said otherwise */
    REDIS_AUTH,
    REDIS_DENIED,
    IS_DISPUTED,
    /* no Sentinel's word counts, and */
    SENTINELS_REFUSE,
    SENTINELS_ANSWER_TLS,
    SENTINELS_KNOW_NO_NAME,
    SENTINELS_DENY,
    NONE_IS_REACHABLE,
    /* what is published has no majority */
    LACKS_MAJORITY,
    SOMETHING_IS_DENIED,
    IN_CONFLICT,
    /* nothing was published: a majority is missing, of votes or for a role that may not be asked */
    CANDIDATE_LACKS_MAJORITY,
    /* its votes suffice, and it has not been heard, or has said `master` too long ago */
    CANDIDATE_NOT_HEARD,
    /* with --verify off only Sentinels can end a gap */
    GAP_WITHOUT_VOTE,
    GAP_WITHOUT_MAJORITY,
};

static bool holds(const struct judge *judge, enum question question)
{
    const struct verification *verification = &judge->verification;
    const struct judge_links *links = &judge->links;
    const struct decision *decision = &judge->decision;
    const struct check *check = &judge->checks[CHECK_CANDIDATE];
    bool no_vote = decision->counting == 0, verify = judge->config.verify;

    switch (question) {
    case ANY: return true;
    case WAITING: return decision->rule == DECIDE_WAIT;
    case NOT_CONFIRMED_YET:
        return judge->gap && (decision->rule == DECIDE_WAIT ||
                              (verify && (!verification->answered || verification->alive)));
    case REDIS_AUTH: return verify && verification->alive_answer == ROLE_NOAUTH;
    case REDIS_DENIED: return verify && verification->alive_answer == ROLE_NOPERM;
    case IS_DISPUTED: return decision->disputed;
    case SENTINELS_REFUSE: return no_vote && links->auth_failed > 0;
    case SENTINELS_ANSWER_TLS: return no_vote && links->tls > 0;
    case SENTINELS_KNOW_NO_NAME: return no_vote && links->unknown_name > 0;
    case SENTINELS_DENY: return no_vote && links->denied > 0;
    case NONE_IS_REACHABLE: return no_vote && links->reachable == 0;
    case LACKS_MAJORITY: return !decision->published_majority;
    case SOMETHING_IS_DENIED: return links->denied > 0 || links->denied_extra > 0;
    case IN_CONFLICT: return decision->rule == DECIDE_CONFLICT;
    case CANDIDATE_LACKS_MAJORITY:
        return !decision->has_candidate ||
               (!decision->candidate_majority &&
                (!verify || (check->answered && role_unknowable(check->answer))));
    case CANDIDATE_NOT_HEARD: return !check->answered || check->answer == ROLE_MASTER;
    case GAP_WITHOUT_VOTE: return !verify && no_vote;
    case GAP_WITHOUT_MAJORITY: return !verify;
    }
    return false;
}

/* A row with REASON_NONE as its reason takes it from the last role answer. */
struct reason_row {
    unsigned states;
    enum question question;
    enum reason reason;
};

#define SERVING (BIT(OK) | BIT(UNVERIFIED))

static const struct reason_row reason_rows[] = {
    {BIT(FAILING_OVER), ANY, REASON_FAILING_OVER},
    {BIT(CONFLICT), ANY, REASON_CONFLICT},
    {BIT(UNKNOWN), WAITING, REASON_STARTING},
    {BIT(UNVERIFIED), REDIS_AUTH, REASON_REDIS_AUTH},
    {BIT(UNVERIFIED), REDIS_DENIED, REASON_REDIS_DENIED},
    {SERVING, IS_DISPUTED, REASON_DISPUTED},
    {SERVING | BIT(UNKNOWN), SENTINELS_REFUSE, REASON_SENTINEL_AUTH},
    {SERVING | BIT(UNKNOWN), SENTINELS_ANSWER_TLS, REASON_SENTINEL_TLS},
    {SERVING | BIT(UNKNOWN), SENTINELS_KNOW_NO_NAME, REASON_UNKNOWN_NAME},
    {SERVING | BIT(UNKNOWN), SENTINELS_DENY, REASON_SENTINEL_DENIED},
    {SERVING | BIT(UNKNOWN), NONE_IS_REACHABLE, REASON_NO_SENTINEL_REACHABLE},
    {SERVING, LACKS_MAJORITY, REASON_NO_MAJORITY},
    {SERVING, SOMETHING_IS_DENIED, REASON_SENTINEL_DENIED},
    {BIT(UNKNOWN), IN_CONFLICT, REASON_CONFLICT},
    {BIT(UNKNOWN), CANDIDATE_LACKS_MAJORITY, REASON_NO_MAJORITY},
    {BIT(UNKNOWN), CANDIDATE_NOT_HEARD, REASON_STARTING},
    {BIT(UNKNOWN), ANY, REASON_NONE},
    {BIT(DOWN), GAP_WITHOUT_VOTE, REASON_NO_SENTINEL_REACHABLE},
    {BIT(DOWN), GAP_WITHOUT_MAJORITY, REASON_NO_MAJORITY},
    {BIT(DOWN), ANY, REASON_NONE},
};

/* What the node that matters last said; a good answer that is too old is a silence. */
static enum reason reason_of_last_answer(const struct judge *judge)
{
    const struct verification *verification = &judge->verification;

    if (judge->state == MASTER_UNKNOWN) {
        return role_reason(judge->checks[CHECK_CANDIDATE].answer);
    }
    if (!verification->answered || verification->answer == ROLE_MASTER ||
        role_unknowable(verification->answer)) {
        return REASON_REDIS_TIMEOUT;
    }
    return role_reason(verification->answer);
}

static enum reason fitting_reason(const struct judge *judge)
{
    for (size_t i = 0; i < sizeof(reason_rows) / sizeof(reason_rows[0]); i++) {
        const struct reason_row *row = &reason_rows[i];

        if ((row->states & (1u << judge->state)) != 0 && holds(judge, row->question)) {
            return row->reason == REASON_NONE ? reason_of_last_answer(judge) : row->reason;
        }
    }
    return REASON_NONE; /* all is well */
}

void judge_move_state(struct judge *judge, int64_t now_ms)
{
    bool served = master_serves(judge->state, judge->reason);
    enum master_state to = judge->has_published ? fitting_state(judge, now_ms) : judge->state;
    /* a failover that goes on behind the switch is no trouble of the node's */
    bool troubled =
        to == MASTER_DOWN || (to == MASTER_FAILING_OVER && master_state_serves(judge->state));
    bool unconfirmed = troubled && holds(judge, NOT_CONFIRMED_YET);

    /* an adoption that the gap undid leads to a node whose state it never was */
    if (!unconfirmed || judge->published_ms >= judge->began_ms) {
        master_state_move(&judge->state, to);
    }
    judge->reason = unconfirmed ? REASON_WATCHER_STALLED : fitting_reason(judge);
    if (served && !master_serves(judge->state, judge->reason)) {
        judge->not_serving_since_ms = now_ms;
    }
}
