/*
 * What is published: how it moves and what becomes of the former master, and whether the node was
 * restarted at its address.
 */
#include <string.h>

#include "judge_votes.h"

/* What the former master said last goes on counting: it may be what a majority still names. */
static void depose(struct judge *judge, int64_t now_ms)
{
    const struct verification *verification = &judge->verification;
    struct check *check = &judge->checks[CHECK_DEPOSED];

    judge->previous = judge->published.master;
    judge->has_previous = true;
    judge->deposed.node = judge->previous;
    judge->deposed.suspect =
        judge->config.verify && !(verification->answered && verification->answer == ROLE_OTHER);
    if (!judge->deposed.suspect) {
        return;
    }
    check_want(check, &judge->config, &judge->deposed.node, judge->published.epoch, now_ms);
    if (verification->failures == 0 && verification_alive(verification, &judge->config, now_ms)) {
        check_answer(check, &judge->config, verification->alive_answer, verification->alive_ms);
        check_rest(check, verification->alive_ms);
    }
}

void judge_move_to(struct judge *judge, const struct published *to, int64_t now_ms, int64_t wall_ms)
{
    for (size_t i = 0; i < CHECKS; i++) {
        check_drop(&judge->checks[i]);
    }
    if (judge->has_published) {
        depose(judge, now_ms);
    }
    judge->has_published = true;
    judge->published = *to;
    judge->recount_due = true;
    judge->published_ms = now_ms;
    judge->published_wall_ms = wall_ms;
    judge->contradicted_ms = -1;
    memset(&judge->run_ids, 0, sizeof(judge->run_ids));
}

/* ---- restarts ---- */

static bool run_id_was_seen(const struct run_ids *ids, const char *id)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (strcmp(ids->seen[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static void remember_run_id(struct run_ids *ids, const char *id)
{
    if (ids->n == RUN_IDS_KEPT) {
        memmove(ids->seen[0], ids->seen[1], (RUN_IDS_KEPT - 1) * sizeof(ids->seen[0]));
        ids->n--;
    }
    judge_copy_id(ids->seen[ids->n++], id);
    judge_copy_id(ids->current, id);
}

void judge_run_id(struct judge *judge, const struct endpoint *node, const char *run_id)
{
    struct run_ids *ids = &judge->run_ids;
    bool told = ids->own;

    if (!judge->has_published || !endpoint_equal(&judge->published.master, node)) {
        return;
    }
    ids->own = run_id[0] != '\0';
    if (!ids->own || strncmp(ids->current, run_id, RUN_ID_SIZE - 1) == 0) {
        return;
    }
    /* The first word of the node only corrects rows, which may be from before the publication. */
    ids->restarted = ids->restarted || told;
    remember_run_id(ids, run_id);
}

bool judge_follow_run_id(struct judge *judge, int64_t now_ms)
{
    struct run_ids *ids = &judge->run_ids;
    bool first = ids->n == 0;
    bool restarted = ids->restarted;

    ids->restarted = false;
    for (size_t i = 0; judge->has_published && !ids->own && i < judge->n_seen; i++) {
        const struct observation *seen = &judge->seen[i];

        if (seen->run_id[0] != '\0' && observation_counts(seen, now_ms) &&
            endpoint_equal(&seen->master, &judge->published.master) &&
            !run_id_was_seen(ids, seen->run_id)) {
            remember_run_id(ids, seen->run_id);
            restarted = !first;
        }
    }
    return restarted;
}
