/* decide(), row by row: who says what at which epoch, and what that makes. No memory, no roles. */
#include "bellwether/topology/decide.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/error.h"

#define NOW 100000
#define SEEN_MAX 7
#define NO_H EPOCH_UNKNOWN

struct said {
    int port;      /* 0: this Sentinel has no observation */
    int64_t epoch; /* -1: none given */
    unsigned repeats;
};

struct row {
    const char *what;
    int published; /* 0: nothing yet */
    int64_t high_water;
    size_t known;
    struct said said[SEEN_MAX];
    enum decide_rule rule;
    int candidate; /* 0: none */
    int64_t epoch;
    size_t voices; /* the candidate's */
    bool majority, published_majority, disputed;
};

static struct endpoint at(int port)
{
    struct address address = {.host = "10.0.0.1", .port = (uint16_t)port};

    return endpoint_from_address(&address);
}

static struct observation observed(int sentinel, const struct said *said)
{
    struct observation seen = {.at_ms = NOW - 10,
                               .interval_ms = 1000,
                               .link_up = true,
                               .master = at(said->port),
                               .epoch = said->epoch,
                               .repeats = said->repeats};

    snprintf(seen.sentinel, sizeof(seen.sentinel), "sentinel-%d", sentinel);
    return seen;
}

#define A 1
#define B 2
#define C 3

static const struct row rows[] = {
    {"nobody speaks", A, 5, 3, {{0}}, DECIDE_NOTHING, 0, -1, 0, false, false, false},
    {"nobody speaks, nothing published",
     0,
     NO_H,
     3,
     {{0}},
     DECIDE_NOTHING,
     0,
     -1,
     0,
     false,
     false,
     false},
    {"all agree",
     A,
     5,
     3,
     {{A, 5, 9}, {A, 5, 9}, {A, 5, 9}},
     DECIDE_STANDS,
     A,
     5,
     3,
     true,
     true,
     false},
    {"one agrees, two are silent",
     A,
     5,
     3,
     {{A, 5, 9}},
     DECIDE_STANDS,
     A,
     5,
     1,
     false,
     false,
     false},
    {"first decision, all agree",
     0,
     NO_H,
     3,
     {{A, 0, 1}, {A, 0, 1}, {A, 0, 1}},
     DECIDE_HIGHER_EPOCH,
     A,
     0,
     3,
     true,
     false,
     false},
    {"first decision, the highest epoch",
     0,
     NO_H,
     3,
     {{A, 4, 1}, {A, 4, 1}, {B, 5, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     5,
     1,
     false,
     false,
     false},
    {"first decision, one voice",
     0,
     NO_H,
     3,
     {{A, 4, 1}},
     DECIDE_HIGHER_EPOCH,
     A,
     4,
     1,
     false,
     false,
     false},
    {"first decision, a quarrel",
     0,
     NO_H,
     3,
     {{A, 4, 1}, {B, 4, 1}},
     DECIDE_CONFLICT,
     0,
     4,
     0,
     false,
     false,
     false},
    {"rule 2: one voice above H",
     A,
     5,
     3,
     {{A, 5, 9}, {A, 5, 9}, {B, 6, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     6,
     1,
     false,
     true,
     true},
    {"rule 2: all above H",
     A,
     5,
     3,
     {{B, 6, 1}, {B, 6, 1}, {B, 6, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     6,
     3,
     true,
     false,
     true},
    {"rule 2: a lower epoch of the same address is no voice for the move",
     A,
     5,
     3,
     {{B, 4, 9}, {B, 4, 9}, {B, 6, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     6,
     1,
     false,
     false,
     true},
    {"the published address rises",
     A,
     5,
     3,
     {{A, 7, 1}, {A, 5, 9}},
     DECIDE_STANDS,
     A,
     7,
     1,
     false,
     true,
     false},
    {"above H, two addresses, no majority",
     A,
     5,
     3,
     {{B, 6, 1}, {C, 6, 1}, {A, 5, 9}},
     DECIDE_CONFLICT,
     0,
     6,
     0,
     false,
     false,
     true},
    {"above H, two addresses, one has a majority",
     A,
     5,
     5,
     {{B, 6, 1}, {C, 6, 1}, {B, 6, 1}, {B, 6, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     6,
     3,
     true,
     false,
     true},
    {"rule 3: one voice at H",
     A,
     5,
     3,
     {{A, 4, 9}, {A, 4, 9}, {B, 5, 9}},
     DECIDE_NO_MAJORITY,
     0,
     5,
     1,
     false,
     true,
     true},
    {"rule 3: at H, both named",
     A,
     5,
     3,
     {{A, 5, 9}, {B, 5, 9}},
     DECIDE_CONFLICT,
     0,
     5,
     0,
     false,
     false,
     true},
    {"rule 3: a majority at H",
     A,
     5,
     3,
     {{A, 5, 9}, {B, 5, 1}, {B, 5, 1}},
     DECIDE_EQUAL_MAJORITY,
     B,
     5,
     2,
     true,
     false,
     true},
    {"rule 3: half of four is no majority",
     A,
     5,
     4,
     {{B, 5, 9}, {B, 5, 9}},
     DECIDE_NO_MAJORITY,
     0,
     5,
     2,
     false,
     false,
     true},
    {"rule 3: lower epochs don't add up to a majority at H",
     A,
     5,
     3,
     {{B, 4, 9}, {B, 5, 9}, {A, 5, 9}},
     DECIDE_CONFLICT,
     0,
     5,
     0,
     false,
     false,
     true},
    {"rule 3: the published one has the majority at H",
     A,
     5,
     3,
     {{A, 5, 9}, {A, 5, 9}, {B, 5, 9}},
     DECIDE_STANDS,
     A,
     5,
     2,
     true,
     true,
     true},
    {"rule 4: a minority below H",
     A,
     5,
     3,
     {{B, 0, 9}},
     DECIDE_NO_MAJORITY,
     0,
     0,
     1,
     false,
     false,
     true},
    {"rule 4: a majority, not settled",
     A,
     5,
     3,
     {{B, 0, 3}, {B, 0, 2}},
     DECIDE_NO_MAJORITY,
     0,
     0,
     2,
     true,
     false,
     true},
    {"rule 4: a settled majority",
     A,
     5,
     3,
     {{B, 0, 3}, {B, 0, 3}},
     DECIDE_BELOW_MAJORITY,
     B,
     0,
     2,
     true,
     false,
     true},
    {"rule 4: at different epochs below H",
     A,
     5,
     3,
     {{B, 0, 3}, {B, 1, 3}},
     DECIDE_BELOW_MAJORITY,
     B,
     1,
     2,
     true,
     false,
     true},
    {"rule 4: one voice at H and it waits",
     A,
     5,
     3,
     {{B, 0, 9}, {B, 0, 9}, {A, 5, 9}},
     DECIDE_STANDS,
     A,
     5,
     1,
     false,
     false,
     true},
    {"rule 4: the published one, below H",
     A,
     5,
     3,
     {{A, 0, 1}, {A, 0, 1}, {A, 0, 1}},
     DECIDE_STANDS,
     A,
     0,
     3,
     true,
     true,
     false},
    {"rule 4: a quarrel below H",
     A,
     5,
     4,
     {{B, 1, 9}, {C, 1, 9}},
     DECIDE_CONFLICT,
     0,
     1,
     0,
     false,
     false,
     true},
    {"rule 7: no epochs, a majority",
     A,
     NO_H,
     3,
     {{B, -1, 1}, {B, -1, 1}, {A, -1, 1}},
     DECIDE_NO_EPOCH,
     B,
     -1,
     2,
     true,
     false,
     true},
    {"rule 7: no epochs, no majority",
     A,
     NO_H,
     3,
     {{B, -1, 9}},
     DECIDE_NO_MAJORITY,
     0,
     -1,
     1,
     false,
     false,
     true},
    {"rule 7: no epochs, a quarrel",
     A,
     NO_H,
     3,
     {{B, -1, 9}, {A, -1, 9}},
     DECIDE_CONFLICT,
     0,
     -1,
     0,
     false,
     false,
     true},
    {"rule 7: no epochs, first decision",
     0,
     NO_H,
     3,
     {{A, -1, 1}, {A, -1, 1}},
     DECIDE_NO_EPOCH,
     A,
     -1,
     2,
     true,
     false,
     false},
    {"rule 7: who gives an epoch above H needs no majority",
     A,
     5,
     3,
     {{A, -1, 9}, {B, 6, 1}},
     DECIDE_HIGHER_EPOCH,
     B,
     6,
     1,
     false,
     false,
     true},
    {"rule 7: unless the others are one",
     A,
     5,
     3,
     {{A, -1, 9}, {A, -1, 9}, {B, 6, 1}},
     DECIDE_STANDS,
     A,
     -1,
     2,
     true,
     true,
     true},
    {"rule 7: voices without epoch help one that has it",
     A,
     5,
     3,
     {{A, 5, 9}, {B, 5, 1}, {B, -1, 1}},
     DECIDE_EQUAL_MAJORITY,
     B,
     5,
     2,
     true,
     false,
     true},
    {"rule 7: against an epoch they have to be settled",
     A,
     5,
     3,
     {{A, 5, 9}, {B, -1, 2}, {B, -1, 9}},
     DECIDE_NO_MAJORITY,
     0,
     -1,
     2,
     true,
     false,
     true},
    {"rule 7: and when they are they win",
     A,
     5,
     3,
     {{A, 5, 9}, {B, -1, 3}, {B, -1, 9}},
     DECIDE_NO_EPOCH,
     B,
     -1,
     2,
     true,
     false,
     true},
};

static size_t fill(const struct row *row, struct observation *seen)
{
    size_t n = 0;

    for (int i = 0; i < SEEN_MAX; i++) {
        if (row->said[i].port != 0) {
            seen[n++] = observed(i, &row->said[i]);
        }
    }
    return n;
}

/* Every rotation of the same votes must come to the same. */
static void check_row(const struct row *row)
{
    struct observation seen[SEEN_MAX];
    size_t n = fill(row, seen);
    struct published published = {.master = at(row->published), .epoch = row->high_water};

    for (size_t turn = 0; turn == 0 || turn < n; turn++) {
        struct decision d;

        cr_assert_eq(decide(seen, n, row->known, row->published ? &published : NULL,
                            row->high_water, NOW, &d),
                     0);
        cr_expect_eq(d.rule, row->rule, "%s: rule %d", row->what, (int)d.rule);
        cr_expect_eq(d.has_candidate, row->candidate != 0, "%s: candidate", row->what);
        cr_expect(!row->candidate || d.candidate.name.port == row->candidate, "%s: candidate %d",
                  row->what, d.candidate.name.port);
        cr_expect_eq(d.epoch, row->epoch, "%s: epoch %lld", row->what, (long long)d.epoch);
        cr_expect_eq(d.candidate_votes, row->voices, "%s: %zu voices", row->what,
                     d.candidate_votes);
        cr_expect_eq(d.candidate_majority, row->majority, "%s: candidate's majority", row->what);
        cr_expect_eq(d.published_majority, row->published_majority, "%s: majority", row->what);
        cr_expect_eq(d.disputed, row->disputed, "%s: disputed", row->what);
        cr_expect_eq(d.counting, n, "%s: counting", row->what);
        cr_expect_eq(d.known, row->known, "%s: known", row->what);
        if (n > 1) {
            struct observation first = seen[0];

            memmove(seen, seen + 1, (n - 1) * sizeof(seen[0]));
            seen[n - 1] = first;
        }
    }
}

Test(topology_decide, row_by_row)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(&rows[i]);
    }
}

Test(topology_decide, what_does_not_count_has_no_say)
{
    struct said b = {B, 6, 9};
    struct observation seen[2] = {observed(0, &b), observed(1, &b)};
    struct published published = {.master = at(A), .epoch = 5};
    struct decision d;

    seen[0].link_up = false;
    seen[1].at_ms = NOW - 3000;
    cr_assert_eq(decide(seen, 2, 3, &published, 5, NOW, &d), 0);
    cr_expect_eq(d.rule, DECIDE_NOTHING);
    cr_expect_eq(d.counting, 0);
    cr_expect_not(d.disputed);
    seen[1].at_ms = NOW - 2999;
    cr_assert_eq(decide(seen, 2, 3, &published, 5, NOW, &d), 0);
    cr_expect_eq(d.rule, DECIDE_HIGHER_EPOCH);
    cr_expect_eq(d.counting, 1);
}

Test(topology_decide, its_own_interval_counts)
{
    struct said a = {A, 5, 1};
    struct observation seen = observed(0, &a);

    seen.at_ms = 0;
    seen.interval_ms = 100;
    cr_expect(observation_counts(&seen, 299));
    cr_expect_not(observation_counts(&seen, 300));
    seen.interval_ms = 5000;
    cr_expect(observation_counts(&seen, 14999));
    cr_expect_not(observation_counts(&seen, 15000));
}

Test(topology_decide, names_and_addresses_are_equal_where_they_resolve_alike)
{
    struct said a = {A, 5, 1};
    struct observation seen[2] = {observed(0, &a), observed(1, &a)};
    struct published published = {.master = at(A), .epoch = 5};
    struct decision d;

    snprintf(seen[0].master.name.host, sizeof(seen[0].master.name.host), "redis-0.example");
    cr_assert_eq(decide(seen, 2, 3, &published, 5, NOW, &d), 0);
    cr_expect_eq(d.rule, DECIDE_STANDS);
    cr_expect_eq(d.published_votes, 2);
    cr_expect_not(d.disputed);
}

Test(topology_decide, refuses_two_votes_of_one_sentinel)
{
    struct said a = {A, 5, 1};
    struct observation seen[2] = {observed(0, &a), observed(0, &a)};
    struct decision d = {.known = 77};

    cr_expect_eq(decide(seen, 2, 3, NULL, EPOCH_UNKNOWN, NOW, &d), -BW_EINVAL);
    cr_expect_eq(d.known, 77, "untouched on failure");
    cr_expect_eq(decide(seen, 1, 0, NULL, EPOCH_UNKNOWN, NOW, &d), -BW_EINVAL);
    cr_expect_eq(d.known, 77, "untouched on failure");
}
