/*
 * What the Sentinels make of it at this instant: rules 1 to 4 and the part of rule 7 that is about
 * epochs. Which one applies depends on the highest epoch that a counting observation carries (above
 * H it is reckoned only where the node is vouched for or a majority names it: rule 12):
 *
 *   none carries any   decide_without_epochs()   a majority
 *   >= H               decide_at_top()           above H one vote will do, at H a majority
 *   <  H               decide_below()            a majority that did not change for three polls
 *
 * A vote without an epoch can't be ordered, so it never makes a candidate alone. It counts for its
 * address at whatever epoch the others argue about: where it tips a scale, a majority was needed
 * anyway.
 */
#include "bellwether/topology/decide.h"

#include <string.h>

#include "bellwether/base/error.h"

#define ANY_EPOCH INT64_MIN

/* The observations that count, and what they are weighed with. */
struct hearing {
    const struct observation *seen;
    size_t n_seen;
    size_t known;
    int64_t now_ms;
    const struct published *published;
    int64_t high_water;
    int64_t top; /* the highest epoch that counts, EPOCH_UNKNOWN: nobody gave one */
};

bool observation_counts(const struct observation *seen, int64_t now_ms)
{
    return !seen->unknown && seen->link_up && now_ms - seen->at_ms < 3 * seen->interval_ms;
}

static bool is_majority(size_t votes, size_t known)
{
    return votes > 0 && votes > known / 2;
}

static bool is_published(const struct hearing *h, const struct endpoint *node)
{
    return h->published && endpoint_equal(&h->published->master, node);
}

/*
 * How many name `node` at `epoch` or above, or without an epoch; `repeats` polls in a row at the
 * least.
 */
static size_t votes_for(const struct hearing *h, const struct endpoint *node, int64_t epoch,
                        unsigned repeats)
{
    size_t votes = 0;

    for (size_t i = 0; i < h->n_seen; i++) {
        const struct observation *seen = &h->seen[i];

        if (observation_counts(seen, h->now_ms) &&
            (seen->epoch == EPOCH_UNKNOWN || seen->epoch >= epoch) && seen->repeats >= repeats &&
            endpoint_equal(&seen->master, node)) {
            votes++;
        }
    }
    return votes;
}

/* The highest epoch at which anyone names `node`, or at or above which a majority does. */
static int64_t highest_epoch(const struct hearing *h, const struct endpoint *node, bool by_majority)
{
    int64_t highest = EPOCH_UNKNOWN;

    for (size_t i = 0; i < h->n_seen; i++) {
        const struct observation *seen = &h->seen[i];

        if (observation_counts(seen, h->now_ms) && seen->epoch > highest &&
            endpoint_equal(&seen->master, node) &&
            (!by_majority || is_majority(votes_for(h, node, seen->epoch, 0), h->known))) {
            highest = seen->epoch;
        }
    }
    return highest;
}

/*
 * What one vote says of a node that nobody vouches for is left out above H, however high its epoch
 * is: else it would hide a failover that the others announce at a lower one, or bring a good vote
 * at the same epoch into conflict.
 */
static bool is_hearsay(const struct hearing *h, const struct observation *seen)
{
    return seen->unvouched && seen->epoch > h->high_water &&
           !is_majority(votes_for(h, &seen->master, seen->epoch, 0), h->known);
}

/* The highest epoch that counts. */
static int64_t top_epoch(const struct hearing *h)
{
    int64_t top = EPOCH_UNKNOWN;

    for (size_t i = 0; i < h->n_seen; i++) {
        const struct observation *seen = &h->seen[i];

        if (observation_counts(seen, h->now_ms) && seen->epoch > top && !is_hearsay(h, seen)) {
            top = seen->epoch;
        }
    }
    return top;
}

/* The address with the most votes at `epoch` (see votes_for), or NULL. */
static const struct endpoint *loudest(const struct hearing *h, int64_t epoch, unsigned repeats,
                                      size_t *votes)
{
    const struct endpoint *best = NULL;

    *votes = 0;
    for (size_t i = 0; i < h->n_seen; i++) {
        size_t n;

        if (!observation_counts(&h->seen[i], h->now_ms)) {
            continue;
        }
        n = votes_for(h, &h->seen[i].master, epoch, repeats);
        if (n > *votes) {
            best = &h->seen[i].master;
            *votes = n;
        }
    }
    return best;
}

/*
 * The one address that is named at exactly `epoch`; NULL when there are several (`*several`) or
 * none.
 */
static const struct endpoint *only_one_at(const struct hearing *h, int64_t epoch, bool *several)
{
    const struct endpoint *one = NULL;

    *several = false;
    for (size_t i = 0; i < h->n_seen; i++) {
        if (!observation_counts(&h->seen[i], h->now_ms) || h->seen[i].epoch != epoch ||
            is_hearsay(h, &h->seen[i])) {
            continue;
        }
        if (one && !endpoint_equal(one, &h->seen[i].master)) {
            *several = true;
            return NULL;
        }
        one = &h->seen[i].master;
    }
    return one;
}

static void settle(const struct hearing *h, struct decision *d, enum decide_rule rule,
                   const struct endpoint *node, int64_t epoch, size_t votes)
{
    d->rule = is_published(h, node) ? DECIDE_STANDS : rule;
    d->has_candidate = d->rule != DECIDE_NO_MAJORITY;
    d->candidate = *node;
    d->epoch = epoch;
    d->candidate_votes = votes;
    d->candidate_majority = is_majority(votes, h->known);
}

/* Nobody has a majority: what is published stands, unless one vote above H is enough. */
static void decide_without_majority(const struct hearing *h, struct decision *d)
{
    bool several;
    const struct endpoint *one = only_one_at(h, h->top, &several);

    if (several) {
        d->rule = DECIDE_CONFLICT;
        d->epoch = h->top;
    } else if (one) {
        bool above = h->top != EPOCH_UNKNOWN && h->top > h->high_water;

        settle(h, d, above ? DECIDE_HIGHER_EPOCH : DECIDE_NO_MAJORITY, one, h->top,
               votes_for(h, one, h->top, 0));
    } else { /* hearsay only */
        size_t votes;

        one = loudest(h, ANY_EPOCH, 0, &votes);
        settle(h, d, DECIDE_NO_MAJORITY, one, highest_epoch(h, one, false), votes);
    }
}

/* Rules 2 and 3. */
static void decide_at_top(const struct hearing *h, struct decision *d)
{
    size_t votes;
    const struct endpoint *node = loudest(h, h->top, 0, &votes);
    int64_t epoch;

    if (!node || !is_majority(votes, h->known)) {
        decide_without_majority(h, d);
        return;
    }
    epoch = highest_epoch(h, node, false);
    if (epoch == h->top) {
        settle(h, d, h->top > h->high_water ? DECIDE_HIGHER_EPOCH : DECIDE_EQUAL_MAJORITY, node,
               epoch, votes);
        return;
    }
    /*
     * All the majority's votes lack an epoch, and somebody who has one contradicts. They may only
     * be late, so they are believed once they have said the same for three polls.
     */
    if (is_published(h, node) ||
        is_majority(votes_for(h, node, h->top, REPEATS_SETTLED), h->known)) {
        settle(h, d, DECIDE_NO_EPOCH, node, EPOCH_UNKNOWN, votes);
    } else {
        settle(h, d, DECIDE_NO_MAJORITY, node, EPOCH_UNKNOWN, votes);
    }
}

/* Rule 4. */
static void decide_below(const struct hearing *h, struct decision *d)
{
    size_t votes;
    const struct endpoint *node = loudest(h, ANY_EPOCH, REPEATS_SETTLED, &votes);

    if (node && is_majority(votes, h->known)) {
        settle(h, d, DECIDE_BELOW_MAJORITY, node, highest_epoch(h, node, false), votes);
        return;
    }
    node = loudest(h, ANY_EPOCH, 0, &votes);
    if (node && is_majority(votes, h->known)) {
        /* not for three polls yet */
        settle(h, d, DECIDE_NO_MAJORITY, node, highest_epoch(h, node, false), votes);
        return;
    }
    decide_without_majority(h, d);
}

/* Rule 7, the last part. */
static void decide_without_epochs(const struct hearing *h, struct decision *d)
{
    size_t votes;
    const struct endpoint *node = loudest(h, ANY_EPOCH, 0, &votes);

    if (node && is_majority(votes, h->known)) {
        settle(h, d, DECIDE_NO_EPOCH, node, EPOCH_UNKNOWN, votes);
    } else {
        decide_without_majority(h, d);
    }
}

static bool is_valid(const struct observation *seen, size_t n_seen, size_t known)
{
    size_t of_known = 0;

    for (size_t i = 0; i < n_seen; i++) {
        of_known += !seen[i].unknown;
    }
    if (known < of_known) {
        return false;
    }
    for (size_t i = 1; i < n_seen; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(seen[i].sentinel, seen[j].sentinel) == 0) {
                return false;
            }
        }
    }
    return true;
}

static void count_votes(const struct hearing *h, struct decision *d)
{
    for (size_t i = 0; i < h->n_seen; i++) {
        if (observation_counts(&h->seen[i], h->now_ms)) {
            d->counting++;
            d->disputed |= h->published && !is_published(h, &h->seen[i].master);
        }
    }
    if (h->published) {
        d->published_votes = votes_for(h, &h->published->master, ANY_EPOCH, 0);
        d->published_majority = is_majority(d->published_votes, h->known);
        d->published_epoch = highest_epoch(h, &h->published->master, false);
        d->majority_epoch = highest_epoch(h, &h->published->master, true);
    }
}

int decide(const struct observation *seen, size_t n_seen, size_t known,
           const struct published *published, int64_t high_water, int64_t now_ms,
           struct decision *out)
{
    struct hearing h = {.seen = seen,
                        .n_seen = n_seen,
                        .known = known,
                        .now_ms = now_ms,
                        .published = published,
                        .high_water = high_water};
    struct decision d = {.rule = DECIDE_NOTHING,
                         .known = known,
                         .epoch = EPOCH_UNKNOWN,
                         .published_epoch = EPOCH_UNKNOWN,
                         .majority_epoch = EPOCH_UNKNOWN};

    if (!is_valid(seen, n_seen, known)) {
        return -BW_EINVAL;
    }
    h.top = top_epoch(&h);
    count_votes(&h, &d);
    if (d.counting > 0) {
        if (h.top == EPOCH_UNKNOWN) {
            decide_without_epochs(&h, &d);
        } else if (h.top >= high_water) {
            decide_at_top(&h, &d);
        } else {
            decide_below(&h, &d);
        }
    }
    *out = d;
    return 0;
}

bool decide_majority(const struct observation *seen, size_t n_seen, size_t known, int64_t now_ms,
                     unsigned repeats, struct decision *out)
{
    struct hearing h = {.seen = seen, .n_seen = n_seen, .known = known, .now_ms = now_ms};
    size_t votes;
    const struct endpoint *node = loudest(&h, ANY_EPOCH, repeats, &votes);

    if (!node || !is_majority(votes, known)) {
        return false;
    }
    settle(&h, out, DECIDE_BELOW_MAJORITY, node, highest_epoch(&h, node, false), votes);
    return true;
}
