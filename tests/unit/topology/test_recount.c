/* judge_recount(), row by row: who was known, who is live, who is listed, and who is known then. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/topology/decide.h"

/* Sentinels are letters. */
struct row {
    const char *what, *known, *live, *listed, *then;
};

static const struct row rows[] = {
    {"the first one that answers", "", "a", "", "a"},
    {"and those that it lists", "", "a", "bc", "abc"},
    {"twice is once", "", "aab", "bbc", "abc"},
    {"listed by nobody that is known yet", "", "", "ab", "ab"},
    {"nothing to tell", "abc", "", "", "abc"},
    {"all there", "abc", "abc", "abc", "abc"},
    {"all there, no lists (after RESET of all)", "abc", "abc", "", "abc"},
    {"one left, its list is empty", "abc", "a", "", "abc"},
    {"one left, its list is whole", "abc", "a", "bc", "abc"},
    {"one left, it lists one other", "abc", "a", "b", "abc"},
    {"two left of three, the third is listed", "abc", "ab", "abc", "abc"},
    {"two left of three, the third is forgotten", "abc", "ab", "ab", "ab"},
    {"two left of three, lists are empty", "abc", "ab", "", "ab"},
    {"half is no majority", "abcd", "ab", "", "abcd"},
    {"more than half is", "abcd", "abc", "", "abc"},
    {"half of two", "ab", "a", "", "ab"},
    {"three of five", "abcde", "abc", "d", "abcd"},
    {"two of five", "abcde", "ab", "", "abcde"},
    {"only one, and it is gone", "a", "", "", "a"},
    {"another one comes: it is known before anybody is forgotten", "ab", "ac", "", "ac"},
    {"strangers alone are no majority of the known", "abc", "d", "", "abcd"},
    {"a crowd of strangers", "ab", "cde", "", "cde"},
    {"listed strangers raise the bar", "abc", "ab", "abde", "abcde"},
    {"a list does not make live", "abc", "a", "b", "abc"},
    {"repetitions do not make a majority", "abc", "aaaa", "", "abc"},
};

static const char *id_of(char letter, char out[RUN_ID_SIZE])
{
    snprintf(out, RUN_ID_SIZE, "%040d", letter);
    return out;
}

static struct judge *judge_of(void)
{
    const struct judge_config config = {.verify = true,
                                        .verify_interval_ms = 1000,
                                        .verify_timeout_ms = 500,
                                        .suspect_after_ms = 1500,
                                        .sentinel_timeout_ms = 500};

    return judge_new("mymaster", &config, 0);
}

static void know(struct judge *judge, const char *letters)
{
    for (char id[RUN_ID_SIZE]; *letters != '\0'; letters++) {
        judge_know(judge, id_of(*letters, id));
    }
}

static void recount(struct judge *judge, const char *live, const char *listed)
{
    char texts[2][8][RUN_ID_SIZE];
    const char *ids[2][8];

    for (size_t i = 0; i < 8; i++) {
        ids[0][i] = id_of(i < strlen(live) ? live[i] : '?', texts[0][i]);
        ids[1][i] = id_of(i < strlen(listed) ? listed[i] : '?', texts[1][i]);
    }
    judge_recount(judge, ids[0], strlen(live), ids[1], strlen(listed));
}

/* A judge tells only how many it knows; to know one anew raises that where it was not among them. */
static bool knows(struct judge *judge, char letter)
{
    char id[RUN_ID_SIZE];
    size_t before = judge_known(judge);

    judge_know(judge, id_of(letter, id));
    if (judge_known(judge) == before) {
        return true;
    }
    judge_forget(judge, id);
    return false;
}

Test(topology_recount, row_by_row)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct row *row = &rows[i];
        struct judge *judge = judge_of();

        know(judge, row->known);
        recount(judge, row->live, row->listed);
        cr_expect_eq(judge_known(judge), strlen(row->then), "%s: %zu known, not %zu", row->what,
                     judge_known(judge), strlen(row->then));
        for (char letter = 'a'; letter <= 'e'; letter++) {
            cr_expect_eq(knows(judge, letter), strchr(row->then, letter) != NULL, "%s: %c", row->what,
                         letter);
        }
        judge_free(judge);
    }
}

Test(topology_recount, again_and_again_it_shrinks_no_further)
{
    struct judge *judge = judge_of();

    know(judge, "abcde");
    recount(judge, "abc", "");
    cr_expect_eq(judge_known(judge), 3);
    for (int i = 0; i < 5; i++) {
        recount(judge, "a", ""); /* one of the three that are left, and that is no majority of them */
    }
    cr_expect_eq(judge_known(judge), 3);
    recount(judge, "ab", "");
    cr_expect_eq(judge_known(judge), 2);
    recount(judge, "a", "");
    cr_expect_eq(judge_known(judge), 2, "the last step down would make it a majority of itself");
    judge_free(judge);
}

static void observe(struct judge *judge, char letter, int64_t now_ms)
{
    struct address address = {.host = "10.0.0.1", .port = 7000};
    struct observation seen = {
        .at_ms = now_ms, .interval_ms = 1000, .link_up = true, .master = endpoint_from_address(&address)};

    id_of(letter, seen.sentinel);
    judge_observe(judge, &seen);
}

Test(topology_recount, what_the_forgotten_one_said_goes_with_it)
{
    char id[RUN_ID_SIZE];
    struct judge *judge = judge_of();

    observe(judge, 'a', 1000);
    observe(judge, 'b', 1000);
    observe(judge, 'c', 1000);
    recount(judge, "a", "");
    cr_expect(judge_observation(judge, id_of('c', id)) != NULL, "it stays with who stays");
    recount(judge, "ab", "");
    cr_expect(judge_observation(judge, id_of('c', id)) == NULL);
    cr_expect(judge_observation(judge, id_of('a', id)) != NULL);
    cr_expect(judge_observation(judge, id_of('b', id)) != NULL);
    judge_free(judge);
}

Test(topology_recount, one_left_of_three_has_no_majority)
{
    struct judgement said;
    struct judge *judge = judge_of();
    char id[RUN_ID_SIZE];

    for (char letter = 'a'; letter <= 'c'; letter++) {
        observe(judge, letter, 1000);
    }
    judge_step(judge, 1000, 1000, &said);
    cr_assert(said.check != NULL);
    {
        struct endpoint node = *said.check;

        judge_role(judge, &node, ROLE_MASTER, 1001);
    }
    judge_step(judge, 1001, 1001, &said);
    cr_assert(said.published != NULL);
    cr_expect(said.majority);
    judge_lose(judge, id_of('b', id));
    judge_lose(judge, id_of('c', id));
    recount(judge, "a", "");
    judge_step(judge, 1100, 1100, &said);
    cr_expect_not(said.majority);
    cr_expect_eq(said.decision.known, 3);
    judge_free(judge);
}

Test(topology_recount, a_new_run_id_takes_the_place_of_the_old_one)
{
    struct judge_config config = {.verify = true,
                                  .verify_interval_ms = 1000,
                                  .verify_timeout_ms = 500,
                                  .suspect_after_ms = 1500,
                                  .sentinel_timeout_ms = 500};
    struct judge *judge = judge_new("mymaster", &config, 0);
    judge_know(judge, "a");
    judge_know(judge, "b");
    judge_know(judge, "c");
    judge_replace(judge, "a", "d"); /* lost its state */
    cr_expect_eq(judge_known(judge), 3);
    judge_replace(judge, "a", "e"); /* nobody knows `a` any more: nothing to take the place of */
    cr_expect_eq(judge_known(judge), 3);
    judge_replace(judge, "d", "b"); /* the address leads to several: `d` stays */
    cr_expect_eq(judge_known(judge), 3);
    judge_forget(judge, "d");
    cr_expect_eq(judge_known(judge), 2, "`d` was known until now");
    judge_free(judge);
}
