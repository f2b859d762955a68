/*
 * What nodes say when they are asked for their role: of the published node (`verification`) and of
 * nodes that may become it (`check`). Rules 6 and 7, and what a refusal, a silence or another role
 * is worth.
 *
 * A check's answer is good for one verify-interval: a node that said `master` long ago has to say
 * it again before it is published.
 */
#include "judge_check.h"

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MOST_MS = 500,
    ANSWER_GRACE_MS = 250,       /* past verify-timeout: nobody reported on the question */
    DEPOSED_ASK_MS = 1000,       /* how often the former master is asked whether it is a replica, */
    DEPOSED_ASK_MOST_MS = 10000, /* and where it does not answer */
};

bool role_unknowable(enum role_answer answer)
{
    return answer == ROLE_NOPERM || answer == ROLE_NOAUTH;
}

enum reason role_reason(enum role_answer answer)
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

/* ---- candidates ---- */

void check_drop(struct check *check)
{
    *check = (struct check){.wanted = false};
}

/* How long an answer is good for: no longer than it would keep the published node `ok`. */
static int64_t good_for_ms(const struct judge_config *config)
{
    return config->verify_interval_ms < config->suspect_after_ms ? config->verify_interval_ms
                                                                 : config->suspect_after_ms;
}

bool check_is_good(const struct check *check)
{
    return check->answered && (check->answer == ROLE_MASTER || role_unknowable(check->answer));
}

void check_answer(struct check *check, const struct judge_config *config, enum role_answer answer,
                  int64_t now_ms)
{
    check->outstanding = false;
    check->since_ms = check->answered && check->answer == answer ? check->since_ms : now_ms;
    check->answered = true;
    check->answer = answer;
    check->answered_ms = now_ms;
    check->misses = check_is_good(check) ? 0 : check->misses + 1;
    if (answer == ROLE_MASTER) {
        check->failures = 0;
        check->next_ms = now_ms + good_for_ms(config) + 1;
    } else {
        check->failures++;
        check->next_ms = now_ms + backoff_ms(check->failures, RETRY_FIRST_MS, RETRY_MOST_MS);
    }
}

void check_rest(struct check *check, int64_t now_ms)
{
    check->next_ms = now_ms + backoff_ms(check->failures, DEPOSED_ASK_MS, DEPOSED_ASK_MOST_MS);
}

static int64_t given_up_ms(const struct check *check, const struct judge_config *config)
{
    return check->asked_ms + config->verify_timeout_ms + ANSWER_GRACE_MS;
}

void check_want(struct check *check, const struct judge_config *config, const struct endpoint *node,
                int64_t epoch, int64_t now_ms)
{
    if (!check->wanted || !endpoint_equal(&check->node, node)) {
        *check = (struct check){.wanted = true, .node = *node, .epoch = epoch, .next_ms = now_ms};
        return;
    }
    if (check->epoch != epoch &&
        epoch != EPOCH_UNKNOWN) { /* new evidence for the same node: worth a question at once */
        check->epoch = epoch;
        check->failures = 0;
        check->next_ms = check->answered && check->answer == ROLE_MASTER ? check->next_ms : now_ms;
    }
    check->node = *node; /* its name may have been resolved since */
    if (check->outstanding && now_ms >= given_up_ms(check, config)) {
        check_answer(check, config, ROLE_TIMEOUT, now_ms);
    }
}

bool check_allows(const struct check *check, const struct judge_config *config, bool majority,
                  int64_t now_ms)
{
    if (!check->wanted || !check->answered || now_ms - check->answered_ms > good_for_ms(config)) {
        return false;
    }
    return check->answer == ROLE_MASTER || (role_unknowable(check->answer) && majority);
}

bool check_takes_back(const struct check *check)
{
    if (!check->answered || check_is_good(check)) {
        return false;
    }
    return check->answer == ROLE_OTHER || check->answer == ROLE_LOADING || check->misses > 1;
}

/*
 * A question waits until those before it in the list are answered: one at a time, so an owner with
 * one connection for such questions never has to abandon the one for the other.
 */
static bool check_blocked(const struct check checks[CHECKS], size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (checks[k].wanted && checks[k].outstanding) {
            return true;
        }
    }
    return false;
}

const struct endpoint *checks_ask(struct check checks[CHECKS], int64_t now_ms)
{
    for (size_t i = 0; i < CHECKS; i++) {
        struct check *check = &checks[i];

        if (check->wanted && !check->outstanding && now_ms >= check->next_ms &&
            !check_blocked(checks, i)) {
            check->outstanding = true;
            check->asked_ms = now_ms;
            return &check->node;
        }
    }
    return NULL;
}

int64_t checks_next_ms(const struct check checks[CHECKS], const struct judge_config *config,
                       int64_t now_ms)
{
    int64_t next = -1;

    for (size_t i = 0; i < CHECKS; i++) {
        const struct check *check = &checks[i];

        if (!check->wanted) {
            continue;
        }
        if (check->outstanding) {
            next = earlier(next, given_up_ms(check, config));
        } else if (!check_blocked(checks, i)) {
            next = earlier(next, check->next_ms > now_ms ? check->next_ms : now_ms + 1);
        }
    }
    return next;
}

/* ---- what is published ---- */

void verification_reset(struct verification *verification)
{
    *verification = (struct verification){.answered = false, .retry_ms = -1};
}

bool verification_alive(const struct verification *verification, const struct judge_config *config,
                        int64_t now_ms)
{
    return verification->alive && now_ms - verification->alive_ms <= config->suspect_after_ms;
}

static void verification_good(struct verification *verification, enum role_answer answer,
                              int64_t now_ms)
{
    verification->alive = true;
    verification->alive_answer = answer;
    verification->alive_ms = now_ms;
    verification->refusals = 0;
    verification->failures = 0;
    verification->retry_ms = -1;
}

static void verification_bad(struct verification *verification, enum role_answer answer,
                             int64_t now_ms)
{
    bool at_once = false;

    verification->failures++;
    if (answer == ROLE_OTHER || answer == ROLE_LOADING) {
        verification->alive = false;
    } else if (answer == ROLE_REFUSED || answer == ROLE_CLOSED) {
        /*
         * A connection can end for harmless reasons; two in a row without an answer between can't.
         */
        verification->refusals++;
        at_once = verification->refusals == 1;
        verification->alive = verification->alive && at_once;
    }
    /* A silence, an odd answer: only time tells (suspect-after). */
    verification->retry_ms =
        now_ms + (at_once ? 0 : backoff_ms(verification->failures, RETRY_FIRST_MS, RETRY_MOST_MS));
}

void verification_answer(struct verification *verification, enum role_answer answer, int64_t now_ms)
{
    if (!verification->answered || verification->answer != answer) {
        verification->since_ms = now_ms;
    }
    verification->answered = true;
    verification->answer = answer;
    verification->answered_ms = now_ms;
    if (answer == ROLE_MASTER || role_unknowable(answer)) {
        verification_good(verification, answer, now_ms);
    } else {
        verification_bad(verification, answer, now_ms);
    }
}
