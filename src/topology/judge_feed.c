/*
 * What the judge is told: which Sentinels are known, what they say, what nodes answer, what the
 * links and events say. Everything is only noted here; judge_step() draws the conclusions.
 */
#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "judge_adopt.h"
#include "judge_votes.h"

/* Answers closer together than this are one poll: callers can ask for fresh ones. */
enum { REPEAT_MIN_MS = 50 };

struct judge *judge_new(const char *name, const struct judge_config *config, int64_t now_ms)
{
    struct judge *judge = mem_new(1, sizeof(*judge));

    judge->name = mem_strdup(name);
    judge->config = *config;
    judge->began_ms = now_ms;
    judge->void_ms = INT64_MIN;
    judge->first = true;
    judge->high_water = EPOCH_UNKNOWN;
    judge->last_adopted = EPOCH_UNKNOWN;
    judge->failover_until_ms = -1;
    judge->not_serving_since_ms = now_ms;
    judge->contradicted_ms = -1;
    judge->state = MASTER_UNKNOWN;
    judge->decision.rule = DECIDE_WAIT;
    verification_reset(&judge->verification);
    return judge;
}

void judge_free(struct judge *judge)
{
    if (!judge) {
        return;
    }
    for (size_t i = 0; i < judge->n_votes; i++) {
        free(judge->votes[i].nodes);
    }
    free(judge->name);
    free(judge->tls_words);
    free(judge->votes);
    free(judge->seen);
    free(judge);
}

/* ---- observations ---- */

/* A poll in a row with the same address and epoch, as long as none was missed between. */
static unsigned count_repeats(const struct observation *old, const struct observation *seen,
                              struct vote *vote)
{
    bool same = observation_counts(old, seen->at_ms) && old->epoch == seen->epoch &&
                endpoint_equal(&old->master, &seen->master);

    if (same && seen->at_ms - vote->polled_ms < REPEAT_MIN_MS) {
        return old->repeats;
    }
    vote->polled_ms = seen->at_ms;
    return same ? old->repeats + 1 : 1;
}

void judge_observe(struct judge *judge, const struct observation *seen)
{
    struct vote *vote = judge_need_vote(judge, seen->sentinel);
    struct observation *kept;
    unsigned repeats;

    if (seen->at_ms < judge->void_ms) {
        return;
    }
    kept = judge_need_seen(judge, seen->sentinel);
    repeats = count_repeats(kept, seen, vote);
    *kept = *seen;
    judge_copy_id(kept->sentinel, seen->sentinel);
    judge_copy_id(kept->run_id, seen->run_id);
    kept->repeats = repeats;
    kept->unknown = !vote->known;
    vote->has_named = true;
    vote->named = seen->master;
    vote->heard = true;
    if (!seen->failover_under_way) {
        vote->failover_since_ms = -1;
    } else if (vote->failover_since_ms < 0) {
        vote->failover_since_ms = seen->at_ms;
    }
    adoption_hear(judge, kept);
}

void judge_lose(struct judge *judge, const char *sentinel_run_id)
{
    struct vote *vote = judge_vote(judge, sentinel_run_id);
    struct observation *seen = judge_seen(judge, sentinel_run_id);

    if (vote) {
        vote->heard = true;
    }
    if (seen) {
        seen->link_up = false;
    }
}

void judge_refuse(struct judge *judge, const char *sentinel_run_id)
{
    judge_need_vote(judge, sentinel_run_id)->heard = true;
    judge_drop_seen(judge, sentinel_run_id);
}

int64_t judge_high_water(const struct judge *judge)
{
    return judge->high_water;
}

void judge_set_links(struct judge *judge, const struct judge_links *links)
{
    judge->links = *links;
}

/* ---- nodes, events, gaps ---- */

void judge_role(struct judge *judge, const struct endpoint *node, enum role_answer answer,
                int64_t now_ms)
{
    if (!judge->config.verify) {
        return;
    }
    if (judge->has_published && endpoint_equal(&judge->published.master, node)) {
        verification_answer(&judge->verification, answer, now_ms);
    }
    if (answer == ROLE_OTHER && judge->deposed.suspect &&
        endpoint_equal(&judge->deposed.node, node)) {
        judge->deposed.suspect = false;
    }
    for (size_t i = 0; i < CHECKS; i++) {
        /* An answer of a node that is no candidate any more finds no check and is worth nothing. */
        if (judge->checks[i].wanted && endpoint_equal(&judge->checks[i].node, node)) {
            check_answer(&judge->checks[i], &judge->config, answer, now_ms);
            if (i == CHECK_DEPOSED) {
                check_rest(&judge->checks[i], now_ms);
            }
        }
    }
}

void judge_tls_words(struct judge *judge, const char *words)
{
    free(judge->tls_words);
    judge->tls_words = mem_strdup(words);
}

void judge_failover(struct judge *judge, bool under_way, int64_t now_ms, int64_t timeout_ms)
{
    if (under_way) {
        if (judge->failover_until_ms <= now_ms) {
            judge->failover_since_ms = now_ms;
        }
        judge->failover_until_ms = now_ms + (timeout_ms > 0 ? timeout_ms : FAILOVER_TIMEOUT_MS);
        return;
    }
    judge->failover_until_ms = -1;
    /*
     * Rows read before this event are older news than it; the next poll says whether one goes on.
     */
    for (size_t i = 0; i < judge->n_votes; i++) {
        judge->votes[i].failover_since_ms = -1;
    }
}

void judge_void(struct judge *judge, int64_t now_ms)
{
    judge->n_seen = 0;
    for (size_t i = 0; i < judge->n_votes; i++) {
        judge->votes[i].heard = false;
        judge->votes[i].failover_since_ms = -1;
    }
    for (size_t i = 0; i < CHECKS; i++) {
        check_drop(&judge->checks[i]);
    }
    verification_reset(&judge->verification);
    judge->verification.retry_ms = judge->has_published && judge->config.verify ? now_ms : -1;
    judge->failover_until_ms = -1;
    adoption_void(judge);
    judge->contradicted_ms = -1;
    judge->vote_at_high = false;
    judge->first = true;
    judge->gap = judge->has_published;
    judge->began_ms = now_ms;
    judge->void_ms = now_ms;
    judge->not_serving_since_ms = now_ms;
}
