/*
 * Votes: every Sentinel that was heard of, whether it is known, and what it said last. The other
 * files read and write them through here.
 */
#include "judge_votes.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"

void judge_copy_id(char out[RUN_ID_SIZE], const char *id)
{
    size_t length = strnlen(id, RUN_ID_SIZE - 1);

    memmove(out, id, length);
    memset(out + length, 0, RUN_ID_SIZE - length);
}

struct vote *judge_vote(const struct judge *judge, const char *id)
{
    for (size_t i = 0; i < judge->n_votes; i++) {
        if (strncmp(judge->votes[i].id, id, RUN_ID_SIZE - 1) == 0) {
            return &judge->votes[i];
        }
    }
    return NULL;
}

struct observation *judge_seen(const struct judge *judge, const char *id)
{
    for (size_t i = 0; i < judge->n_seen; i++) {
        if (strncmp(judge->seen[i].sentinel, id, RUN_ID_SIZE - 1) == 0) {
            return &judge->seen[i];
        }
    }
    return NULL;
}

struct vote *judge_need_vote(struct judge *judge, const char *id)
{
    struct vote *vote = judge_vote(judge, id);

    if (vote) {
        return vote;
    }
    if (judge->n_votes == judge->room_votes) {
        judge->room_votes = judge->room_votes ? judge->room_votes * 2 : 4;
        judge->votes = mem_resize(judge->votes, judge->room_votes, sizeof(*judge->votes));
    }
    vote = &judge->votes[judge->n_votes++];
    *vote = (struct vote){
        .gone_ms = -1, .strange_ms = -1, .failover_since_ms = -1, .leads_epoch = EPOCH_UNKNOWN};
    judge_copy_id(vote->id, id);
    return vote;
}

struct observation *judge_need_seen(struct judge *judge, const char *id)
{
    struct observation *seen = judge_seen(judge, id);

    if (seen) {
        return seen;
    }
    if (judge->n_seen == judge->room_seen) {
        judge->room_seen = judge->room_seen ? judge->room_seen * 2 : 4;
        judge->seen = mem_resize(judge->seen, judge->room_seen, sizeof(*judge->seen));
    }
    seen = &judge->seen[judge->n_seen++];
    *seen = (struct observation){.link_up = false};
    return seen;
}

void judge_drop_seen(struct judge *judge, const char *id)
{
    struct observation *seen = judge_seen(judge, id);

    if (seen) {
        *seen = judge->seen[--judge->n_seen];
    }
}

void judge_restart_repeats(struct judge *judge)
{
    for (size_t i = 0; i < judge->n_seen; i++) {
        judge->seen[i].repeats = 0;
    }
}

const struct observation *judge_observation(const struct judge *judge, const char *sentinel_run_id)
{
    return judge_seen(judge, sentinel_run_id);
}

/* ---- who is known ---- */

void judge_know(struct judge *judge, const char *sentinel_run_id)
{
    struct vote *vote = judge_need_vote(judge, sentinel_run_id);
    struct observation *seen = judge_seen(judge, sentinel_run_id);

    judge->n_known += !vote->known;
    judge->known_revision += !vote->known;
    judge->recount_due = judge->recount_due || !vote->known;
    vote->known = true;
    if (seen) {
        seen->unknown = false;
    }
}

void judge_forget(struct judge *judge, const char *sentinel_run_id)
{
    struct vote *vote = judge_vote(judge, sentinel_run_id);

    judge_drop_seen(judge, sentinel_run_id);
    if (vote) {
        judge->n_known -= vote->known;
        judge->known_revision += vote->known;
        judge->recount_due = judge->recount_due || vote->known;
        free(vote->nodes);
        *vote = judge->votes[--judge->n_votes];
    }
}

uint64_t judge_known_revision(const struct judge *judge)
{
    return judge->known_revision;
}

size_t judge_known(const struct judge *judge)
{
    return judge->n_known;
}
