/*
 * What the judge is told: which Sentinels are known, what they say, what nodes answer, what the
 * links and events say. Everything is only noted here; judge_step() draws the conclusions.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "judge_internal.h"

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
        free(judge->voices[i].nodes);
    }
    free(judge->name);
    free(judge->voices);
    free(judge->seen);
    free(judge);
}

/* ---- known Sentinels ---- */

static void copy_id(char out[RUN_ID_SIZE], const char *id)
{
    size_t length = strnlen(id, RUN_ID_SIZE - 1);

    memmove(out, id, length);
    memset(out + length, 0, RUN_ID_SIZE - length);
}

static struct voice *find_vote(const struct judge *judge, const char *id)
{
    for (size_t i = 0; i < judge->n_votes; i++) {
        if (strncmp(judge->voices[i].id, id, RUN_ID_SIZE - 1) == 0) {
            return &judge->voices[i];
        }
    }
    return NULL;
}

struct voice *judge_vote(const struct judge *judge, const char *id)
{
    return find_vote(judge, id);
}

static struct observation *find_seen(const struct judge *judge, const char *id)
{
    for (size_t i = 0; i < judge->n_seen; i++) {
        if (strncmp(judge->seen[i].sentinel, id, RUN_ID_SIZE - 1) == 0) {
            return &judge->seen[i];
        }
    }
    return NULL;
}

struct voice *judge_need_vote(struct judge *judge, const char *id)
{
    struct voice *voice = find_vote(judge, id);

    if (voice) {
        return voice;
    }
    if (judge->n_votes == judge->room_votes) {
        judge->room_votes = judge->room_votes ? judge->room_votes * 2 : 4;
        judge->voices = mem_resize(judge->voices, judge->room_votes, sizeof(*judge->voices));
    }
    voice = &judge->voices[judge->n_votes++];
    *voice = (struct voice){
        .gone_ms = -1, .strange_ms = -1, .failover_since_ms = -1, .leads_epoch = EPOCH_UNKNOWN};
    copy_id(voice->id, id);
    return voice;
}

static struct observation *need_seen(struct judge *judge, const char *id)
{
    struct observation *seen = find_seen(judge, id);

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

static void drop_seen(struct judge *judge, const char *id)
{
    struct observation *seen = find_seen(judge, id);

    if (seen) {
        *seen = judge->seen[--judge->n_seen];
    }
}

void judge_know(struct judge *judge, const char *sentinel_run_id)
{
    struct voice *voice = judge_need_vote(judge, sentinel_run_id);
    struct observation *seen = find_seen(judge, sentinel_run_id);

    judge->n_known += !voice->known;
    judge->known_revision += !voice->known;
    voice->known = true;
    if (seen) {
        seen->unknown = false;
    }
}

void judge_forget(struct judge *judge, const char *sentinel_run_id)
{
    struct voice *voice = find_vote(judge, sentinel_run_id);

    drop_seen(judge, sentinel_run_id);
    if (voice) {
        judge->n_known -= voice->known;
        judge->known_revision += voice->known;
        free(voice->nodes);
        *voice = judge->voices[--judge->n_votes];
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

/* ---- observations ---- */

/* A poll in a row with the same address and epoch, as long as none was missed between. */
static unsigned count_repeats(const struct observation *old, const struct observation *seen,
                              struct voice *voice)
{
    bool same = observation_counts(old, seen->at_ms) && old->epoch == seen->epoch &&
                endpoint_equal(&old->master, &seen->master);

    if (same && seen->at_ms - voice->polled_ms < REPEAT_MIN_MS) {
        return old->repeats;
    }
    voice->polled_ms = seen->at_ms;
    return same ? old->repeats + 1 : 1;
}

void judge_observe(struct judge *judge, const struct observation *seen)
{
    struct voice *voice = judge_need_vote(judge, seen->sentinel);
    struct observation *kept;
    unsigned repeats;

    if (seen->at_ms < judge->void_ms) {
        return;
    }
    kept = need_seen(judge, seen->sentinel);
    repeats = count_repeats(kept, seen, voice);
    *kept = *seen;
    copy_id(kept->sentinel, seen->sentinel);
    copy_id(kept->run_id, seen->run_id);
    kept->repeats = repeats;
    kept->unknown = !voice->known;
    voice->has_named = true;
    voice->named = seen->master;
    voice->heard = true;
    if (!seen->failover_under_way) {
        voice->failover_since_ms = -1;
    } else if (voice->failover_since_ms < 0) {
        voice->failover_since_ms = seen->at_ms;
    }
    adoption_hear(judge, kept);
}

void judge_lose(struct judge *judge, const char *sentinel_run_id)
{
    struct voice *voice = find_vote(judge, sentinel_run_id);
    struct observation *seen = find_seen(judge, sentinel_run_id);

    if (voice) {
        voice->heard = true;
    }
    if (seen) {
        seen->link_up = false;
    }
}

void judge_refuse(struct judge *judge, const char *sentinel_run_id)
{
    judge_need_vote(judge, sentinel_run_id)->heard = true;
    drop_seen(judge, sentinel_run_id);
}

void judge_restart_repeats(struct judge *judge)
{
    for (size_t i = 0; i < judge->n_seen; i++) {
        judge->seen[i].repeats = 0;
    }
}

const struct observation *judge_observation(const struct judge *judge, const char *sentinel_run_id)
{
    return find_seen(judge, sentinel_run_id);
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
        judge->voices[i].failover_since_ms = -1;
    }
}

void judge_void(struct judge *judge, int64_t now_ms)
{
    judge->n_seen = 0;
    for (size_t i = 0; i < judge->n_votes; i++) {
        judge->voices[i].heard = false;
        judge->voices[i].failover_since_ms = -1;
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
    copy_id(ids->seen[ids->n++], id);
    copy_id(ids->current, id);
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
    /* Its first word only corrects what rows said: they may be of before. */
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
