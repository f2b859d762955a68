/*
 * judge_recount(), row by row: who was known, what the links tell, who is known then.
 *
 * Sentinels are letters, links are words: `A` is configured, `a` learned; `>` begins its list (`a>`
 * lists nobody, `a` has no list yet), `@` the node that it names (`m` where nothing is said), `<`
 * its former self; `-` before it: it is down; `?` alone is a configured one that has neither
 * answered nor failed.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/topology/decide.h"

struct row {
    const char *what, *known, *links, *then, *foreign;
    int64_t gone_ms; /* how long before those that are down went */
};

static const struct row rows[] = {
    {"a configured one that answers", "", "A", "a", "", 0},
    {"the first that has a list is enough", "", "A>bc", "abc", "", 0},
    {"until another has one: what one of two lists is nobody", "", "A>bc B>ac D>", "abcd", "", 0},
    {"while another is asked its word is awaited", "", "A>bc ?", "a", "", 0},
    {"a learned one that nobody lists any more is a stranger", "", "A> b>", "a", "", 0},
    {"one of four lists a stranger", "abcd", "A>bcdx B>acd C>abd D>abc", "abcd", "", 0},
    {"two of four are no majority", "abcd", "A>bcdx B>acdx C>abd D>abc", "abcd", "", 0},
    {"three of four are", "abcd", "A>bcdx B>acdx C>abdx D>abc", "abcdx", "", 0},
    {"a list without anybody says nothing", "abc", "A>bcx B> C>", "abcx", "", 0},
    {"lists of those who are down count for a while", "abc", "A>bcx -B>ac -C>ab", "abc", "", 30000},
    {"and then no longer", "abc", "A>bcx -B>ac -C>ab", "abcx", "", 60000},

    {"nothing to tell", "abc", "", "abc", "", 0},
    {"all there", "abc", "A>bc B>ac C>ab", "abc", "", 0},
    {"all there, no lists (after RESET of all)", "abc", "A> B> C>", "abc", "", 0},
    {"one left, its list is empty", "abc", "A> -B -C", "abc", "", 0},
    {"the same for an hour: it is no majority of itself", "abc", "A> -B -C", "abc", "", 3600000},
    {"one left, its list is whole, for an hour", "abc", "A>bc -B -C", "abc", "", 3600000},
    {"two left of three, the third is listed by one", "abc", "A>bc B>a -C", "abc", "", 0},
    {"the same for a minute: the other has the majority's word", "abcd", "A>bd B>a D>ab -C", "abd",
     "", 0},
    {"two left of three, the third is forgotten", "abc", "A>b B>a -C", "ab", "", 0},
    {"two left of three, lists are empty", "abc", "A> B> -C", "ab", "", 0},
    {"two left of three have no list yet", "abc", "A B -C", "abc", "", 0},
    {"half is no majority", "abcd", "A> B> -C -D", "abcd", "", 0},
    {"more than half is", "abcd", "A> B> C> -D", "abc", "", 0},
    {"two of five that list each other, below the quorum", "abcde", "A>b B>a -C -D -E", "abcde", "",
     3600000},
    {"three of six that list each other", "abcdef", "A>bc B>ac C>ab -D -E -F", "abc", "", 10000},
    {"the same before ten seconds are over", "abcdef", "A>bc B>ac C>ab -D -E -F", "abcdef", "",
     9999},
    {"and one of them lists one of the others", "abcdef", "A>bcd B>ac C>ab -D -E -F", "abcd", "",
     59999},
    {"for a minute", "abcdef", "A>bcd B>ac C>ab -D -E -F", "abc", "", 60000},
    {"three of seven that list each other", "abcdefg", "A>bc B>ac C>ab -D -E -F -G", "abc", "",
     60000},
    {"the same before a minute is over", "abcdefg", "A>bc B>ac C>ab -D -E -F -G", "abcdefg", "",
     59999},
    {"only one, and it is gone", "a", "-A", "a", "", 0},

    {"one that never answered here, and nobody lists it", "abcd", "A>bc B>ac C>ab", "abc", "", 0},
    {"the same, and one lists somebody new: it may be that one", "abcd", "A>bcx B>ac C>ab", "abcd",
     "", 59999},
    {"for a minute", "abcd", "A>bcx B>ac C>ab", "abc", "", 60000},
    {"two do", "abcd", "A>bcx B>acx C>ab", "abcx", "", 0},
    {"one that answered here is not the new one", "abcd", "A>bcx B>ac C>ab -D>", "abc", "", 0},

    {"replaced one by one: the first is listed by none", "abcxyz", "x>bcyz y>cxz z>xy -A -B -C",
     "cxyz", "", 60000},
    {"all replaced at their addresses", "abc", "X>yz<a Y>xz<b Z>xy<c", "xyz", "", 0},
    {"replaced, and the others have not noticed", "abc", "X><a B>ac C>ab", "bcx", "", 0},
    {"an address that leads to several: nobody was replaced", "abc", "B>ac<a a>bc c>ab", "abc", "",
     0},
    {"the same while one of them is down", "abc", "B>ac<a -a>bc c>ab", "abc", "", 0},

    {"another deployment's, configured by mistake", "", "A>bc B>ac C>ab X>yz@n", "abc", "x", 0},
    {"it answers first", "", "X>yz@n A>bc B>ac C>ab", "abc", "x", 0},
    {"one of ours and one of theirs: the first is meant", "", "A>bc X>yz@n", "abc", "x", 0},
    {"all of both: the larger one", "", "A>b@n B>a@n X>yz Y>xz Z>xy", "xyz", "ab", 0},
    {"before it has a list nothing is said of it", "", "A>bc B>ac C>ab X@n", "abc", "", 0},
    {"it names our master: a new one, which nobody has met yet", "abc", "A>bc B>ac C>ab X>", "abcx",
     "", 0},
    {"it lists one of ours", "abc", "A>bc B>ac C>ab X>a@n", "abcx", "", 0},
    {"one of ours lists it", "abc", "A>bcx B>ac C>ab X>@n", "abcx", "", 0},
    {"a learned address where one of theirs answers now", "abc", "A>bc x>yz@n<b C>ab", "abc", "x",
     0},
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

enum { LINKS = 16, LISTED = 16 };

/* What the words say. */
struct links {
    struct elector electors[LINKS];
    char ids[LINKS][RUN_ID_SIZE], formers[LINKS][RUN_ID_SIZE];
    char listed[LINKS][LISTED][RUN_ID_SIZE];
    const char *lists[LINKS][LISTED];
    struct endpoint nodes[LINKS];
    size_t n;
};

static struct endpoint node_of(char letter)
{
    struct address address = {.host = "10.0.0.1", .port = (uint16_t)letter};

    return endpoint_from_address(&address);
}

static void read_link(struct links *links, const char *word)
{
    size_t i = links->n++;
    struct elector *elector = &links->electors[i];
    bool down = *word == '-';
    char part = ' ';

    word += down;
    elector->configured = *word == '?' || isupper((unsigned char)*word);
    elector->pending = *word == '?';
    elector->live = !down && !elector->pending;
    elector->id = elector->pending ? "" : id_of((char)tolower(*word), links->ids[i]);
    links->nodes[i] = node_of('m');
    elector->master = elector->pending ? NULL : &links->nodes[i];
    elector->listed = links->lists[i];
    for (word++; *word != '\0' && *word != ' '; word++) {
        if (strchr(">@<", *word)) {
            part = *word;
            elector->has_list |= part == '>';
        } else if (part == '>') {
            links->lists[i][elector->n_listed] = id_of(*word, links->listed[i][elector->n_listed]);
            elector->n_listed++;
        } else if (part == '@') {
            links->nodes[i] = node_of(*word);
        } else if (part == '<') {
            elector->former = id_of(*word, links->formers[i]);
        }
    }
}

static void recount(struct judge *judge, const char *words, int64_t now_ms, char *foreign)
{
    static struct links links;

    memset(&links, 0, sizeof(links));
    for (const char *word = words; *word != '\0'; word += strspn(word, " ")) {
        read_link(&links, word);
        word += strcspn(word, " ");
    }
    cr_expect_not(judge_recount(judge, links.electors, links.n, 3, now_ms), "%s: nothing is full",
                  words);
    for (size_t i = 0; i < links.n && foreign; i++) {
        if (links.electors[i].foreign) {
            *foreign++ = (char)atoi(links.electors[i].id);
        }
    }
}

static bool knows(const struct judge *judge, char letter)
{
    char id[RUN_ID_SIZE];

    return judge_knows(judge, id_of(letter, id));
}

Test(topology_recount, row_by_row)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct row *row = &rows[i];
        struct judge *judge = judge_of();
        char foreign[LINKS] = "";

        know(judge, row->known);
        if (row->gone_ms > 0) {
            recount(judge, row->links, 1000, NULL);
        }
        recount(judge, row->links, 1000 + row->gone_ms, foreign);
        cr_expect_eq(judge_known(judge), strlen(row->then), "%s: %zu known, not %zu", row->what,
                     judge_known(judge), strlen(row->then));
        for (char letter = 'a'; letter <= 'z'; letter++) {
            cr_expect_eq(knows(judge, letter), strchr(row->then, letter) != NULL, "%s: %c",
                         row->what, letter);
        }
        cr_expect_str_eq(foreign, row->foreign, "%s: foreign %s, not %s", row->what, foreign,
                         row->foreign);
        judge_free(judge);
    }
}

Test(topology_recount, what_one_listed_alone_is_given_up_when_another_tells)
{
    struct judge *judge = judge_of();

    recount(judge, "A>bxyz", 0, NULL);
    cr_expect_eq(judge_known(judge), 5, "the first one's word is enough");
    recount(judge, "A>bxyz b", 10, NULL);
    cr_expect_eq(judge_known(judge), 5, "as long as no other has a list");
    recount(judge, "A>bxyz b>ac c", 20, NULL);
    cr_expect(knows(judge, 'a') && knows(judge, 'b'));
    cr_expect_not(knows(judge, 'x') || knows(judge, 'y') || knows(judge, 'z'));
    judge_free(judge);
}

Test(topology_recount, what_a_liar_listed_alone_is_given_up_when_the_configured_ones_come)
{
    struct judge *judge = judge_of();

    recount(judge, "X>uvw -A -B -C", 0, NULL);
    cr_expect(knows(judge, 'u'));
    recount(judge, "X>uvw A>bc B>ac C>ab", 10, NULL);
    for (char letter = 'u'; letter <= 'w'; letter++) {
        cr_expect_not(knows(judge, letter), "%c was listed by one", letter);
    }
    cr_expect_eq(judge_known(judge), 4);
    judge_free(judge);
}

Test(topology_recount, no_more_than_so_many_are_taken_in)
{
    struct judge *judge = judge_of();
    char texts[KNOWN_MAX + 100][RUN_ID_SIZE];
    const char *ids[KNOWN_MAX + 100];
    struct endpoint node = node_of('m');
    struct elector one = {.id = "a",
                          .configured = true,
                          .live = true,
                          .has_list = true,
                          .listed = ids,
                          .n_listed = KNOWN_MAX + 100,
                          .master = &node};

    for (int i = 0; i < KNOWN_MAX + 100; i++) {
        snprintf(texts[i], RUN_ID_SIZE, "%040d", i + 1000);
        ids[i] = texts[i];
    }
    cr_expect(judge_recount(judge, &one, 1, 2, 0), "some were left out");
    cr_expect_eq(judge_known(judge), KNOWN_MAX);
    judge_free(judge);
}

Test(topology_recount, again_and_again_it_shrinks_no_further)
{
    struct judge *judge = judge_of();

    know(judge, "abcde");
    recount(judge, "A> B> C> -D -E", 0, NULL);
    cr_expect_eq(judge_known(judge), 3);
    for (int i = 0; i < 5; i++) {
        recount(judge, "A> -B -C", i,
                NULL); /* one of the three that are left, and that is no majority of them */
    }
    cr_expect_eq(judge_known(judge), 3);
    recount(judge, "A> B> -C", 0, NULL);
    cr_expect_eq(judge_known(judge), 2);
    recount(judge, "A> -B -C", 0, NULL);
    cr_expect_eq(judge_known(judge), 2, "the last step down would make it a majority of itself");
    judge_free(judge);
}

static void observe(struct judge *judge, char letter, int64_t now_ms)
{
    struct observation seen = {
        .at_ms = now_ms, .interval_ms = 1000, .link_up = true, .master = node_of('m')};

    id_of(letter, seen.sentinel);
    judge_observe(judge, &seen);
}

Test(topology_recount, what_the_forgotten_one_said_goes_with_it)
{
    char id[RUN_ID_SIZE];
    struct judge *judge = judge_of();

    know(judge, "abc");
    observe(judge, 'a', 1000);
    observe(judge, 'b', 1000);
    observe(judge, 'c', 1000);
    recount(judge, "A> -B -C", 1000, NULL);
    cr_expect(judge_observation(judge, id_of('c', id)), "it stays with who stays");
    recount(judge, "A> B> -C", 1000, NULL);
    cr_expect_not(knows(judge, 'c'));
    cr_expect(judge_observation(judge, id_of('a', id)));
    cr_expect(judge_observation(judge, id_of('b', id)));
    judge_free(judge);
}

Test(topology_recount, the_word_of_a_stranger_waits_until_it_is_known)
{
    struct judgement said;
    struct judge *judge = judge_of();

    know(judge, "a");
    observe(judge, 'b', 1000);
    judge_step(judge, 2000, 2000, &said);
    cr_expect_eq(said.decision.counting, 0);
    know(judge, "b");
    judge_step(judge, 2000, 2000, &said);
    cr_expect_eq(said.decision.counting, 1);
    judge_free(judge);
}

Test(topology_recount, one_left_of_three_has_no_majority)
{
    struct judgement said;
    struct judge *judge = judge_of();
    char id[RUN_ID_SIZE];

    know(judge, "abc");
    for (char letter = 'a'; letter <= 'c'; letter++) {
        observe(judge, letter, 1000);
    }
    judge_step(judge, 1000, 1000, &said);
    cr_assert(said.check);
    {
        struct endpoint node = *said.check;

        judge_role(judge, &node, ROLE_MASTER, 1001);
    }
    judge_step(judge, 1001, 1001, &said);
    cr_assert(said.published);
    cr_expect(said.majority);
    judge_lose(judge, id_of('b', id));
    judge_lose(judge, id_of('c', id));
    recount(judge, "A> -B -C", 1100, NULL);
    judge_step(judge, 1100, 1100, &said);
    cr_expect_not(said.majority);
    cr_expect_eq(said.decision.known, 3);
    judge_free(judge);
}

static void list_nodes(struct judge *judge, char letter, const char *nodes)
{
    struct endpoint listed[8];
    char id[RUN_ID_SIZE];

    for (size_t i = 0; nodes[i] != '\0'; i++) {
        listed[i] = node_of(nodes[i]);
    }
    judge_hear_nodes(judge, id_of(letter, id), listed, strlen(nodes));
}

static bool vouches(const struct judge *judge, char letter)
{
    struct endpoint node = node_of(letter);

    return judge_vouches(judge, &node);
}

Test(topology_recount, a_node_is_vouched_for_by_a_majority_that_was_heard)
{
    struct judge *judge = judge_of();
    char id[RUN_ID_SIZE];

    know(judge, "abc");
    cr_expect_not(vouches(judge, 'm'), "nobody was heard");
    observe(judge, 'a', 1000);
    cr_expect(vouches(judge, 'm'), "the only one that was heard names it");
    observe(judge, 'b', 1000);
    observe(judge, 'c', 1000);
    list_nodes(judge, 'a', "rx");
    cr_expect_not(vouches(judge, 'r'), "one of three lists it");
    list_nodes(judge, 'b', "r");
    cr_expect(vouches(judge, 'r'), "two do");
    cr_expect_not(vouches(judge, 'x'));
    judge_lose(judge, id_of('b', id));
    cr_expect(vouches(judge, 'r'), "what it said last stays while it is down");
    judge_forget(judge, id_of('b', id));
    cr_expect_not(vouches(judge, 'r'), "and goes with it");
    list_nodes(judge, 'z', "x"); /* nobody heard of it */
    judge_free(judge);
}

Test(topology_recount, one_that_is_known_again_vouches_for_what_it_named)
{
    struct judge *judge = judge_of();

    know(judge, "a");
    observe(judge, 'a', 1000);
    cr_expect(vouches(judge, 'm'));
    recount(judge, "A>b -B@s", 1000, NULL); /* of before it was forgotten */
    cr_expect(knows(judge, 'b'));
    cr_expect_not(vouches(judge, 'm'), "one of two");
    judge_free(judge);
}

Test(topology_recount, one_that_names_a_node_of_ours_stays_counted_however_often_it_is_recounted)
{
    static const struct {
        const char *links, *foreign;
    } told[] = {{"A>bc B>ac C>ab X>@r", ""}, {"A>bc B>ac C>ab X>@q", "x"}};

    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
        struct judge *judge = judge_of();

        know(judge, "abc");
        for (const char *letter = "abc"; *letter != '\0'; letter++) {
            observe(judge, *letter, 1000);
            list_nodes(judge, *letter, "r");
        }
        for (int64_t at_ms = 1000; at_ms < 1004; at_ms++) {
            char foreign[LINKS] = "";

            recount(judge, told[i].links, at_ms, foreign);
            cr_expect_eq(knows(judge, 'x'), told[i].foreign[0] == '\0', "%s at %d ms",
                         told[i].links, (int)at_ms);
            cr_expect_str_eq(foreign, told[i].foreign, "%s at %d ms", told[i].links, (int)at_ms);
        }
        judge_free(judge);
    }
}

Test(topology_recount, a_count_is_due_again_once_what_is_vouched_for_has_changed)
{
    struct judge *judge = judge_of();

    know(judge, "abc");
    for (const char *letter = "abc"; *letter != '\0'; letter++) {
        observe(judge, *letter, 1000);
    }
    recount(judge, "A>bc B>ac C>ab X>@r", 1000, NULL);
    cr_expect_not(knows(judge, 'x'), "nobody vouches for the node that it names");
    cr_expect_not(judge_wants_recount(judge));
    list_nodes(judge, 'a', "r");
    list_nodes(judge, 'b', "r");
    cr_expect(judge_wants_recount(judge));
    recount(judge, "A>bc B>ac C>ab X>@r", 1001, NULL);
    cr_expect(knows(judge, 'x'));
    recount(judge, "A>bc B>ac C>ab X>@r", 1002, NULL);
    list_nodes(judge, 'a', "r");
    cr_expect_not(judge_wants_recount(judge), "the same nodes again are no news");
    judge_forget(judge, "nobody");
    cr_expect_not(judge_wants_recount(judge));
    judge_free(judge);
}
