/*
 * Who is known (rule 12): whose word counts, whose addresses are dialled, and of how many a
 * majority is more than half. judge_recount() is told what the links tell, in this order:
 *
 *   part_foreign()   Sentinels that have nothing to do with each other are two deployments with one
 *                    name: which is ours?
 *   take_places()    where a known one answered, another one answers now
 *   take_in()        the configured that answer; whoever a majority of the known lists
 *   let_go()         those who are gone for good, by the word of those who are there
 *
 * Somebody has to begin, so the word of the first one that has a list is enough until another one
 * has one: until then whoever it lists is known provisionally. A Sentinel that lists nobody (new,
 * or RESET) says nothing of who is there.
 *
 * And what a majority vouches for: what is dialled with a password and believed by one vote's word.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "judge_votes.h"

enum {
    STRANGE_MS = 10000, /* that long a known one may look like another deployment's */
    /* A known one that was not there for so long may have been replaced by others: */
    GONE_MS = 60000,
    /* where half of the known are there, list each other, and none lists it any more. */
    GONE_UNLISTED_MS = 10000,
};

struct census {
    struct judge *judge;
    struct elector *electors;
    size_t n;
    /* one an elector: the index of the first of its group; OUTSIDE: not to be said */
    size_t *group;
    size_t ours; /* which group is ours */
    int64_t quorum;
    int64_t now_ms;
    bool full;
};

#define OUTSIDE SIZE_MAX

static bool same_id(const char *a, const char *b)
{
    return a[0] != '\0' && strncmp(a, b, RUN_ID_SIZE - 1) == 0;
}

static bool lists(const struct elector *by, const char *id)
{
    for (size_t i = 0; i < by->n_listed; i++) {
        if (same_id(by->listed[i], id)) {
            return true;
        }
    }
    return false;
}

bool judge_knows(const struct judge *judge, const char *sentinel_run_id)
{
    const struct vote *vote =
        sentinel_run_id[0] != '\0' ? judge_vote(judge, sentinel_run_id) : NULL;

    return vote && vote->known;
}

/* ---- vouching ---- */

static bool same_nodes(const struct vote *vote, const struct endpoint *nodes, size_t n)
{
    bool same = n == vote->n_nodes;

    for (size_t i = 0; i < n && same; i++) {
        same = address_equal(&vote->nodes[i].name, &nodes[i].name) &&
               address_equal(&vote->nodes[i].ip, &nodes[i].ip);
    }
    return same;
}

void judge_hear_nodes(struct judge *judge, const char *sentinel_run_id,
                      const struct endpoint *nodes, size_t n)
{
    struct vote *vote = judge_vote(judge, sentinel_run_id);

    if (!vote || same_nodes(vote, nodes, n)) {
        return;
    }
    judge->recount_due = true;
    free(vote->nodes);
    vote->nodes = mem_copy(nodes, n, sizeof(*nodes));
    vote->n_nodes = n;
}

static bool names_node(const struct vote *vote, const struct endpoint *node)
{
    bool names = vote->has_named && endpoint_equal(&vote->named, node);

    for (size_t i = 0; i < vote->n_nodes && !names; i++) {
        names = endpoint_equal(&vote->nodes[i], node);
    }
    return names;
}

/* Whether most of the known Sentinels that were ever heard name it; one of them does not count. */
static bool vouched_by_others(const struct judge *judge, const struct endpoint *node,
                              const char *but)
{
    size_t heard = 0;
    size_t naming = 0;

    if (judge->has_published && endpoint_equal(&judge->published.master, node)) {
        return true;
    }
    for (size_t i = 0; i < judge->n_votes; i++) {
        const struct vote *vote = &judge->votes[i];

        if (vote->known && !same_id(vote->id, but)) {
            /* who was never heard can't vouch, and must not keep the others from it */
            heard += vote->has_named;
            naming += names_node(vote, node);
        }
    }
    return 2 * naming > heard;
}

bool judge_vouches(const struct judge *judge, const struct endpoint *node)
{
    return vouched_by_others(judge, node, "");
}

/* ---- which deployment is ours ---- */

static bool related(const struct elector *a, const struct elector *b)
{
    if (same_id(a->id, b->id) || lists(a, b->id) || lists(b, a->id) ||
        endpoint_equal(a->master, b->master)) {
        return true;
    }
    for (size_t i = 0; i < a->n_listed; i++) {
        if (lists(b, a->listed[i])) {
            return true;
        }
    }
    return false;
}

static void join_groups(struct census *census, size_t a, size_t b)
{
    bool b_first = census->group[a] > census->group[b];
    size_t from = census->group[b_first ? a : b], to = census->group[b_first ? b : a];

    for (size_t i = 0; i < census->n; i++) {
        if (census->group[i] == from) {
            census->group[i] = to;
        }
    }
}

/* How much speaks for a group: who is configured, who is believed already, how many there are. */
static size_t weight(const struct census *census, size_t group)
{
    size_t configured = 0;
    size_t believed = 0;
    size_t members = 0;

    for (size_t i = 0; i < census->n; i++) {
        if (census->group[i] == group) {
            configured += census->electors[i].configured;
            believed += judge_knows(census->judge, census->electors[i].id);
            members += 1 + census->electors[i].n_listed;
        }
    }
    believed = census->judge->has_published ? believed : 0;
    return (configured * (census->n + 1) + believed) * (census->n + 1) * (KNOWN_MAX + 1) + members;
}

/*
 * One that was counted may be late only: its list is empty after a RESET, and it has not heard of a
 * failover yet.
 */
static bool has_grace(const struct census *census, const struct elector *elector)
{
    struct vote *vote = judge_vote(census->judge, elector->id);

    if (!vote || !vote->known || !census->judge->has_published) {
        return false;
    }
    if (vote->strange_ms < 0 || !elector->live) {
        vote->strange_ms = census->now_ms;
    }
    return census->now_ms - vote->strange_ms < STRANGE_MS;
}

static void part_foreign(struct census *census)
{
    size_t best = 0;

    for (size_t i = 0; i < census->n; i++) {
        bool answered = census->electors[i].id[0] != '\0' && census->electors[i].master;

        census->group[i] = answered ? i : OUTSIDE;
    }
    for (size_t i = 0; i < census->n; i++) {
        for (size_t j = 0; j < i && census->group[i] != OUTSIDE; j++) {
            if (census->group[j] != OUTSIDE && census->group[j] != census->group[i] &&
                related(&census->electors[i], &census->electors[j])) {
                join_groups(census, i, j);
            }
        }
    }
    census->ours = OUTSIDE; /* nobody has answered */
    for (size_t i = 0; i < census->n; i++) {
        size_t own = census->group[i] == i ? weight(census, i) : 0;

        if (own > best) {
            best = own;
            census->ours = i;
        }
    }
    for (size_t i = 0; i < census->n; i++) {
        struct vote *vote = judge_vote(census->judge, census->electors[i].id);

        if (vote && census->group[i] == census->ours) {
            vote->strange_ms = -1;
        }
    }
    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];

        /* Who names a node that the others vouch for may have lost its state, or been away. */
        if (census->group[i] != OUTSIDE && census->group[i] != census->ours &&
            (has_grace(census, elector) ||
             vouched_by_others(census->judge, elector->master, elector->id))) {
            join_groups(census, i, census->ours);
            census->ours = census->group[i];
        }
    }
    for (size_t i = 0; i < census->n; i++) {
        struct elector *elector = &census->electors[i];

        /* Before it has a list nobody can say that it lists none of ours. */
        elector->foreign =
            census->group[i] != OUTSIDE && census->group[i] != census->ours && elector->has_list;
        if (elector->foreign && judge_knows(census->judge, elector->id)) {
            judge_forget(census->judge, elector->id);
        }
    }
}

static bool is_ours(const struct census *census, size_t i)
{
    return census->group[i] != OUTSIDE && census->group[i] == census->ours;
}

bool judge_wants_recount(const struct judge *judge)
{
    if (judge->recount_due) {
        return true;
    }
    for (size_t i = 0; i < judge->n_votes; i++) {
        const struct vote *vote = &judge->votes[i];

        if (vote->known && (vote->gone_ms >= 0 || vote->strange_ms >= 0)) {
            return true;
        }
    }
    return false;
}

/* ---- votes ---- */

static const struct elector *live_elector(const struct census *census, const char *id)
{
    for (size_t i = 0; i < census->n; i++) {
        if (census->electors[i].live && same_id(census->electors[i].id, id)) {
            return &census->electors[i];
        }
    }
    return NULL;
}

/* Two links can lead to one Sentinel: the one that is up speaks, else the first. */
static bool speaks(const struct census *census, size_t i)
{
    const struct elector *elector = &census->electors[i];

    for (size_t j = 0; j < census->n; j++) {
        const struct elector *other = &census->electors[j];

        if (j != i && same_id(other->id, elector->id) &&
            (other->live == elector->live ? j < i : other->live)) {
            return false;
        }
    }
    return true;
}

/* Whether it says who is there: known, not gone for long, and with a list that is not empty. */
static bool is_teller(const struct census *census, size_t i)
{
    const struct elector *elector = &census->electors[i];
    const struct vote *vote;

    if (!is_ours(census, i) || !elector->has_list || elector->n_listed == 0 || !speaks(census, i)) {
        return false;
    }
    vote = judge_vote(census->judge, elector->id);
    return vote && vote->known &&
           (elector->live || vote->gone_ms < 0 || census->now_ms - vote->gone_ms < GONE_MS);
}

struct tally {
    size_t tellers, naming; /* others than itself */
};

static struct tally count_tellers(const struct census *census, const char *id)
{
    struct tally tally = {0, 0};

    for (size_t i = 0; i < census->n; i++) {
        if (is_teller(census, i) && !same_id(census->electors[i].id, id)) {
            tally.tellers++;
            tally.naming += lists(&census->electors[i], id);
        }
    }
    return tally;
}

/* ---- taking in ---- */

static bool know(struct census *census, const char *id, bool provisional)
{
    struct vote *vote;

    if (census->judge->n_known >= KNOWN_MAX) {
        census->full = true;
        return false;
    }
    judge_know(census->judge, id);
    vote = judge_vote(census->judge, id);
    vote->provisional = provisional;
    vote->gone_ms = live_elector(census, id) ? -1 : census->now_ms;
    for (size_t i = 0; i < census->n && !vote->has_named; i++) {
        /* it may have been known before */
        if (census->electors[i].master && same_id(census->electors[i].id, id)) {
            vote->has_named = true;
            vote->named = *census->electors[i].master;
        }
    }
    return true;
}

/*
 * It lost its state, or its address was given to a new one. A former self that answers elsewhere
 * shows only that the address leads to several (a service in front of them).
 */
static void take_places(struct census *census)
{
    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];

        if (elector->live && is_ours(census, i) && elector->former && elector->former[0] != '\0' &&
            !judge_knows(census->judge, elector->id) &&
            judge_knows(census->judge, elector->former) && !live_elector(census, elector->former)) {
            judge_forget(census->judge, elector->former);
            (void)know(census, elector->id, false);
        }
    }
}

/* An id that another one answers to now is listed by those who have not noticed yet. */
static bool was_replaced(const struct census *census, const char *id)
{
    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];

        if (elector->live && elector->former && same_id(elector->former, id) &&
            judge_knows(census->judge, elector->id)) {
            return !live_elector(census, id);
        }
    }
    return false;
}

/* @return whether somebody was taken in, who may have more to tell. */
static bool take_in_listed(struct census *census, const struct elector *by, size_t pending)
{
    bool any = false;

    for (size_t i = 0; i < by->n_listed; i++) {
        const char *id = by->listed[i];
        struct tally tally;

        if (id[0] == '\0' || judge_knows(census->judge, id) || was_replaced(census, id)) {
            continue;
        }
        for (size_t j = 0; j < census->n; j++) {
            if (census->electors[j].foreign && same_id(census->electors[j].id, id)) {
                id = "";
            }
        }
        tally = count_tellers(census, id);
        if (id[0] != '\0' && 2 * tally.naming > tally.tellers + pending) {
            any |= know(census, id, tally.tellers <= 1);
        }
    }
    return any;
}

static void take_in(struct census *census)
{
    size_t pending = 0;
    bool again = true;

    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];

        pending += elector->configured && elector->pending;
        if (elector->configured && elector->live && is_ours(census, i)) {
            if (judge_knows(census->judge, elector->id)) {
                judge_vote(census->judge, elector->id)->provisional = false;
            } else {
                (void)know(census, elector->id, false);
            }
        }
    }
    while (again) {
        again = false;
        for (size_t i = 0; i < census->n; i++) {
            if (is_teller(census, i)) {
                again |= take_in_listed(census, &census->electors[i], pending);
            }
        }
    }
}

/* ---- letting go ---- */

static void follow_presence(struct census *census)
{
    for (size_t i = 0; i < census->judge->n_votes; i++) {
        struct vote *vote = &census->judge->votes[i];

        if (live_elector(census, vote->id)) {
            vote->gone_ms = -1;
        } else if (vote->gone_ms < 0) {
            vote->gone_ms = census->now_ms;
        }
    }
}

/* More than one has a list by now, and most of them do not list it. */
static bool is_disowned(const struct census *census, struct vote *vote)
{
    struct tally tally;

    if (!vote->provisional) {
        return false;
    }
    tally = count_tellers(census, vote->id);
    if (tally.tellers == 0 || 2 * tally.naming <= tally.tellers) {
        return tally.tellers > 0;
    }
    vote->provisional = tally.tellers == 1;
    return false;
}

/*
 * Nobody ever answered here as this one, and one of those who are there lists somebody who is not
 * known yet: that may be this one under another run id, of which the others will hear.
 */
static bool may_be_renamed(const struct census *census, const struct vote *vote)
{
    bool newcomer = false;

    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];

        if (same_id(elector->id, vote->id) ||
            (elector->former && same_id(elector->former, vote->id))) {
            return false;
        }
        for (size_t k = 0; k < elector->n_listed && elector->live && is_teller(census, i); k++) {
            newcomer |= !judge_knows(census->judge, elector->listed[k]);
        }
    }
    return newcomer;
}

static bool is_gone(const struct census *census, const struct vote *vote)
{
    size_t live = 0;
    size_t naming = 0;
    size_t elsewhere = 0;     /* list others, and not it */
    bool still_named = false; /* also by one that is not gone for long */
    bool succeeded = false;
    int64_t gone_for_ms = vote->gone_ms < 0 ? 0 : census->now_ms - vote->gone_ms;

    if (live_elector(census, vote->id)) {
        return false;
    }
    for (size_t i = 0; i < census->n; i++) {
        const struct elector *elector = &census->electors[i];
        bool names = lists(elector, vote->id);

        /* Whoever answers in its place has not said yet who it is. */
        succeeded |= elector->former && same_id(elector->former, vote->id) && !elector->master;
        still_named |= names && is_teller(census, i);
        if (elector->live && elector->has_list && is_ours(census, i) && speaks(census, i) &&
            judge_knows(census->judge, elector->id)) {
            live++;
            naming += names;
            elsewhere += !names && elector->n_listed > 0;
        }
    }
    succeeded = succeeded || may_be_renamed(census, vote);
    if (!succeeded && !still_named && 2 * live > census->judge->n_known) {
        return true; /* else one that lost its state would be a majority of itself */
    }
    if (!succeeded && naming == 0 && 2 * live >= census->judge->n_known &&
        gone_for_ms >= GONE_UNLISTED_MS) {
        return 2 * elsewhere > live && (int64_t)live >= census->quorum;
    }
    return gone_for_ms >= GONE_MS && 2 * elsewhere > live && (int64_t)live >= census->quorum;
}

static void let_go(struct census *census)
{
    struct judge *judge = census->judge;
    bool *gone = mem_new(judge->n_votes + 1, sizeof(*gone));

    /* All are judged by the same count, then they go. */
    for (size_t i = 0; i < judge->n_votes; i++) {
        struct vote *vote = &judge->votes[i];

        gone[i] = vote->known && (is_disowned(census, vote) || is_gone(census, vote));
    }
    for (size_t i = judge->n_votes; i-- > 0;) {
        if (gone[i]) {
            judge_forget(judge, judge->votes[i].id);
        }
    }
    free(gone);
}

/* Whoever is not known and has no link any more. */
static void drop_strangers(struct census *census)
{
    for (size_t i = census->judge->n_votes; i-- > 0;) {
        const struct vote *vote = &census->judge->votes[i];
        bool linked = false;

        for (size_t k = 0; k < census->n && !vote->known; k++) {
            linked |= same_id(census->electors[k].id, vote->id);
        }
        if (!vote->known && !linked) {
            judge_forget(census->judge, vote->id);
        }
    }
}

bool judge_recount(struct judge *judge, struct elector *electors, size_t n, int64_t quorum,
                   int64_t now_ms)
{
    struct census census = {
        .judge = judge, .electors = electors, .n = n, .quorum = quorum, .now_ms = now_ms};
    uint64_t revision = UINT64_MAX;

    judge->recount_due = false;
    census.group = mem_new(n + 1, sizeof(*census.group));
    part_foreign(&census);
    follow_presence(&census);
    take_places(&census);
    for (int rounds = 0; rounds < 4 && revision != judge->known_revision; rounds++) {
        revision = judge->known_revision;
        take_in(&census); /* who goes says no longer who is there, and who came may say it */
        let_go(&census);
    }
    drop_strangers(&census);
    free(census.group);
    return census.full;
}
