/*
 * The state of a master and the reason beside it.
 *
 * The state is DESIGN section 3's table, from the top, the first that fits. Reasons are a table of
 * their own: a row names the states it may stand in and the question it answers; the first row that
 * fits is the reason. Order is by what an operator has to know first: what makes callers get a 503
 * before what only makes the answer less certain, a cause before its consequence.
 */
#include <string.h>

#include "judge_internal.h"

#define BIT(state) (1u << MASTER_##state)

/* ---- questions ---- */

/* Rule 8: whether the first decision still waits for more answers. */
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
            unheard += judge->voices[i].known && !judge->voices[i].heard;
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
        const struct voice *voice = &judge->voices[i];

        if (voice->failover_since_ms >= 0 && strcmp(voice->id, seen->sentinel) == 0) {
            return voice->failover_since_ms + (seen->failover_timeout_ms >= 0
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

static enum reason reason_of_answer(enum role_answer answer)
{
    switch (answer) {
    case ROLE_OTHER: return REASON_ROLE_MISMATCH;
    case ROLE_NOPERM: return REASON_REDIS_DENIED;
    case ROLE_NOAUTH: return REASON_REDIS_AUTH;
    case ROLE_LOADING: return REASON_REDIS_LOADING;
    case ROLE_TIMEOUT: return REASON_REDIS_TIMEOUT;
    case ROLE_TLS: return REASON_REDIS_TLS;
    case ROLE_REFUSED:
    case ROLE_CLOSED:
    case ROLE_ERROR: return REASON_REDIS_UNREACHABLE;
    case ROLE_MASTER: break;
    }
    return REASON_NONE;
}

static bool no_vote(const struct judge *judge)
{
    return judge->decision.counting == 0;
}

static bool any(const struct judge *judge)
{
    (void)judge;
    return true;
}

static bool redis_auth(const struct judge *judge)
{
    return judge->config.verify && judge->verification.alive_answer == ROLE_NOAUTH;
}

static bool redis_denied(const struct judge *judge)
{
    return judge->config.verify && judge->verification.alive_answer == ROLE_NOPERM;
}

static bool disputed(const struct judge *judge)
{
    return judge->decision.disputed;
}

static bool waiting(const struct judge *judge)
{
    return judge->decision.rule == DECIDE_WAIT;
}

/* After a gap, and the node has not said otherwise. */
static bool not_confirmed_yet(const struct judge *judge)
{
    const struct verification *verification = &judge->verification;

    if (!judge->gap) {
        return false;
    }
    return waiting(judge) ||
           (judge->config.verify && (!verification->answered || verification->alive));
}

static bool sentinel_auth(const struct judge *judge)
{
    return no_vote(judge) && judge->links.auth_failed > 0;
}

static bool sentinel_tls(const struct judge *judge)
{
    return no_vote(judge) && judge->links.tls > 0;
}

static bool unknown_name(const struct judge *judge)
{
    return no_vote(judge) && judge->links.unknown_name > 0;
}

static bool none_reachable(const struct judge *judge)
{
    return no_vote(judge) && judge->links.reachable == 0;
}

static bool none_allows(const struct judge *judge)
{
    return no_vote(judge) && judge->links.denied > 0;
}

static bool no_majority(const struct judge *judge)
{
    return !judge->decision.published_majority;
}

static bool something_denied(const struct judge *judge)
{
    return judge->links.denied > 0 || judge->links.denied_extra > 0;
}

static bool in_conflict(const struct judge *judge)
{
    return judge->decision.rule == DECIDE_CONFLICT;
}

/*
 * Nothing was published: a majority is missing, whether of votes or for a role that may not be
 * asked.
 */
static bool candidate_lacks_majority(const struct judge *judge)
{
    const struct decision *decision = &judge->decision;
    const struct check *check = &judge->checks[CHECK_CANDIDATE];

    if (!decision->has_candidate) {
        return true;
    }
    return !decision->candidate_majority &&
           (!judge->config.verify || (check->answered && role_unknowable(check->answer)));
}

/* Its votes suffice, and it has not been heard, or has said `master` too long ago. */
static bool candidate_not_heard(const struct judge *judge)
{
    const struct check *check = &judge->checks[CHECK_CANDIDATE];

    return !check->answered || check->answer == ROLE_MASTER;
}

/* With --verify off only Sentinels can end a gap. */
static bool gap_without_vote(const struct judge *judge)
{
    return !judge->config.verify && no_vote(judge);
}

static bool gap_without_majority(const struct judge *judge)
{
    return !judge->config.verify;
}

/* A row with REASON_NONE as its reason takes it from the last role answer. */
struct reason_row {
    unsigned states;
    bool (*holds)(const struct judge *judge);
    enum reason reason;
};

#define SERVING (BIT(OK) | BIT(UNVERIFIED))

static const struct reason_row reason_rows[] = {
    {BIT(FAILING_OVER), any, REASON_FAILING_OVER},
    {BIT(CONFLICT), any, REASON_CONFLICT},
    {BIT(UNKNOWN), waiting, REASON_STARTING},
    {BIT(DOWN), not_confirmed_yet, REASON_STARTING},
    {BIT(UNVERIFIED), redis_auth, REASON_REDIS_AUTH},
    {BIT(UNVERIFIED), redis_denied, REASON_REDIS_DENIED},
    {SERVING, disputed, REASON_DISPUTED},
    /* Nobody's word counts. */
    {SERVING | BIT(UNKNOWN), sentinel_auth, REASON_SENTINEL_AUTH},
    {SERVING | BIT(UNKNOWN), sentinel_tls, REASON_SENTINEL_TLS},
    {SERVING | BIT(UNKNOWN), unknown_name, REASON_UNKNOWN_NAME},
    {SERVING | BIT(UNKNOWN), none_allows, REASON_SENTINEL_DENIED},
    {SERVING | BIT(UNKNOWN), none_reachable, REASON_NO_SENTINEL_REACHABLE},
    {SERVING, no_majority, REASON_NO_MAJORITY},
    {SERVING, something_denied, REASON_SENTINEL_DENIED},
    {BIT(UNKNOWN), in_conflict, REASON_CONFLICT},
    {BIT(UNKNOWN), candidate_lacks_majority, REASON_NO_MAJORITY},
    {BIT(UNKNOWN), candidate_not_heard, REASON_STARTING},
    {BIT(UNKNOWN), any, REASON_NONE},
    {BIT(DOWN), gap_without_vote, REASON_NO_SENTINEL_REACHABLE},
    {BIT(DOWN), gap_without_majority, REASON_NO_MAJORITY},
    {BIT(DOWN), any, REASON_NONE},
};

/* What the node that matters last said; a good answer that is too old is a silence. */
static enum reason reason_of_last_answer(const struct judge *judge)
{
    const struct verification *verification = &judge->verification;

    if (judge->state == MASTER_UNKNOWN) {
        return reason_of_answer(judge->checks[CHECK_CANDIDATE].answer);
    }
    if (!verification->answered || verification->answer == ROLE_MASTER ||
        role_unknowable(verification->answer)) {
        return REASON_REDIS_TIMEOUT;
    }
    return reason_of_answer(verification->answer);
}

static enum reason fitting_reason(const struct judge *judge)
{
    for (size_t i = 0; i < sizeof(reason_rows) / sizeof(reason_rows[0]); i++) {
        const struct reason_row *row = &reason_rows[i];

        if ((row->states & (1u << judge->state)) != 0 && row->holds(judge)) {
            bool by_answer = row->reason == REASON_NONE;

            return by_answer ? reason_of_last_answer(judge) : row->reason;
        }
    }
    return REASON_NONE; /* all is well */
}

void judge_move_state(struct judge *judge, int64_t now_ms)
{
    bool served = master_state_serves(judge->state);

    if (judge->has_published) {
        master_state_move(&judge->state, fitting_state(judge, now_ms));
    }
    if (served && !master_state_serves(judge->state)) {
        judge->not_serving_since_ms = now_ms;
    }
    judge->reason = fitting_reason(judge);
}
