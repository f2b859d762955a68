/*
 * Who is looked up when, with a name service of the test's own: a name that begins with "slow" is
 * held until the test lets it go, every other one is 127.0.0.1 at once.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop/resolve.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/loop.h"

enum {
    BOUND_MS = 10000,
    ASKS_MAX = 400,
    GROUP_NEW = RESOLVE_NEW_OF(RESOLVE_GROUP_MAX),
    GROUP_HUNG = RESOLVE_HUNG_OF(RESOLVE_GROUP_MAX),
};

static struct loop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool held;
static bool failing;
static int n_held, n_asked;
static char order[ASKS_MAX][32]; /* names in the order in which they were asked for */

static int service(const char *host, const char *port, const struct addrinfo *hints,
                   struct addrinfo **out)
{
    bool fails;

    pthread_mutex_lock(&lock);
    if (n_asked < ASKS_MAX) {
        snprintf(order[n_asked], sizeof(order[0]), "%s", host);
    }
    n_asked++;
    n_held++;
    while (held && strncmp(host, "slow", 4) == 0) {
        pthread_cond_wait(&moved, &lock);
    }
    n_held--;
    fails = failing;
    pthread_mutex_unlock(&lock);
    return fails ? EAI_AGAIN : getaddrinfo("127.0.0.1", port, hints, out);
}

static int look(const int *at)
{
    int value;

    pthread_mutex_lock(&lock);
    value = *at;
    pthread_mutex_unlock(&lock);
    return value;
}

static void hold(bool on)
{
    pthread_mutex_lock(&lock);
    held = on;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void set_up(void)
{
    held = true;
    resolve_use(service);
    loop = loop_new();
}

static void nap(void)
{
    const struct timespec span = {.tv_nsec = 2000000};

    (void)nanosleep(&span, NULL);
}

static void tear_down(void)
{
    hold(false);
    while (resolve_is_busy()) {
        nap();
    }
    loop_free(loop);
}

TestSuite(base_resolve, .init = set_up, .fini = tear_down, .timeout = 30);

#define WAIT_UNTIL(condition) \
    do { \
        int64_t end_ms_ = clock_boot_ms() + BOUND_MS; \
        while (!(condition)) { \
            cr_assert(clock_boot_ms() < end_ms_, "never: %s", #condition); \
            nap(); \
        } \
    } while (0)

struct question {
    struct loop_lookup *lookup;
    int calls, error;
    struct address found;
    int64_t began_ms, at_ms;
};

static void on_done(void *data, int error, const struct address *found, size_t n, const char *words)
{
    struct question *question = data;

    (void)words;
    question->calls++;
    question->error = error;
    question->at_ms = clock_boot_ms();
    if (n > 0) {
        question->found = found[0];
    }
    loop_stop(loop);
}

static struct address named(const char *host, int number)
{
    struct address name = {.port = 7};

    snprintf(name.host, sizeof(name.host), "%s%d.test", host, number);
    return name;
}

static void ask_for(unsigned group, struct question *question, const char *host, int number)
{
    struct address name = named(host, number);

    *question = (struct question){.began_ms = clock_boot_ms()};
    question->lookup = loop_lookup_start(loop, &name, group, on_done, question);
}

static void ask(struct question *question, const char *host, int number)
{
    ask_for(1, question, host, number);
}

static void time_is_up(void *data)
{
    (void)data;
    loop_stop(loop);
}

/* Until it is answered, or for so long. */
static void run(const struct question *question, int64_t ms)
{
    struct loop_timer *bound = loop_timer_new(loop, time_is_up, NULL);
    int64_t end_ms = clock_boot_ms() + ms;

    if (question && question->calls > 0) {
        loop_timer_free(bound);
        return;
    }
    do {
        int64_t left_ms = end_ms - clock_boot_ms();

        loop_timer_start(bound, left_ms > 0 ? left_ms : 0);
        loop_run(loop);
    } while ((!question || question->calls == 0) && clock_boot_ms() < end_ms);
    loop_timer_free(bound);
}

static void drop(struct question *questions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        loop_lookup_free(questions[i].lookup);
    }
}

/* A name that is known to resolve, which it is where the answer did not take long. */
static void know(unsigned group, const char *host, int number)
{
    struct question question;
    int tries = 10;

    do {
        cr_assert_gt(tries--, 0, "each answer took long");
        ask_for(group, &question, host, number);
        run(&question, BOUND_MS);
        cr_assert_eq(question.calls, 1);
        cr_assert_eq(question.error, 0);
        loop_lookup_free(question.lookup);
    } while (question.at_ms - question.began_ms > RESOLVE_SLOW_MS);
}

/* Names that hang once, and are known for it. */
static void let_hang(struct question *questions, int n)
{
    for (int i = 0; i < n; i++) {
        ask(&questions[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == n);
    run(NULL, RESOLVE_SLOW_MS + 50);
    hold(false);
    WAIT_UNTIL(look(&n_held) == 0 && !resolve_is_busy());
    drop(questions, (size_t)n);
    hold(true);
    n_asked = 0;
}

Test(base_resolve, a_name_that_resolves_does_not_wait_for_those_that_hang)
{
    struct question slow[GROUP_NEW - 1], good;

    for (int i = 0; i < GROUP_NEW - 1; i++) {
        ask(&slow[i], "slow", i);
    }
    ask(&good, "good", 0);
    run(&good, BOUND_MS);
    cr_assert_eq(good.calls, 1);
    cr_expect_eq(good.error, 0);
    cr_expect_str_eq(good.found.host, "127.0.0.1");
    cr_expect_eq(good.found.port, 7);
    cr_expect_eq(slow[0].calls, 0);
    loop_lookup_free(good.lookup);
    drop(slow, GROUP_NEW - 1);
}

Test(base_resolve, a_name_known_to_resolve_has_room_however_many_new_ones_hang)
{
    static struct question slow[RESOLVE_MAX * 2];
    struct question good, unknown;

    know(1, "good", 0);
    for (int i = 0; i < RESOLVE_MAX * 2; i++) {
        ask(&slow[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_NEW);
    ask(&unknown, "other", 0);
    ask(&good, "good", 0);
    run(&good, BOUND_MS);
    cr_expect_eq(good.calls, 1);
    cr_expect_eq(good.error, 0);
    cr_expect_eq(unknown.calls, 0, "a new one waits for a place among new ones");
    loop_lookup_free(good.lookup);
    drop(slow, RESOLVE_MAX * 2);
    hold(false);
    run(&unknown, BOUND_MS);
    cr_expect_eq(unknown.calls, 1);
    loop_lookup_free(unknown.lookup);
}

Test(base_resolve, names_that_hung_before_share_a_few_places)
{
    struct question slow[GROUP_HUNG * 3], fresh[GROUP_HUNG];

    let_hang(slow, GROUP_HUNG * 3);
    for (int i = 0; i < GROUP_HUNG * 3; i++) {
        ask(&slow[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_HUNG);
    for (int i = 0; i < GROUP_HUNG; i++) {
        ask(&fresh[i], "slow-and-new", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_HUNG * 2);
    run(NULL, 50);
    cr_expect_eq(look(&n_held), GROUP_HUNG * 2);
    /* let go, every one of them has its turn, the one that waits longest first */
    hold(false);
    run(&slow[GROUP_HUNG * 3 - 1], BOUND_MS);
    WAIT_UNTIL(!resolve_is_busy());
    run(NULL, 20);
    for (int i = 0; i < GROUP_HUNG * 3; i++) {
        cr_expect_eq(slow[i].calls, 1, "%d", i);
    }
    drop(slow, GROUP_HUNG * 3);
    drop(fresh, GROUP_HUNG);
}

Test(base_resolve, a_name_that_hung_and_resolves_again_is_like_any_other)
{
    struct question slow[GROUP_HUNG], healed;

    let_hang(slow, GROUP_HUNG);
    hold(false);
    for (int i = 0; i < GROUP_HUNG; i++) {
        ask(&slow[i], "slow", i);
        run(&slow[i], BOUND_MS);
        cr_expect_eq(slow[i].error, 0);
    }
    hold(true);
    drop(slow, GROUP_HUNG);
    n_asked = 0;
    for (int i = 0; i < GROUP_HUNG; i++) {
        ask(&slow[i], "slow-too", i);
    }
    ask(&healed, "slow", 0);
    WAIT_UNTIL(look(&n_held) == GROUP_HUNG + 1);
    cr_expect_eq(n_asked, GROUP_HUNG + 1);
    loop_lookup_free(healed.lookup);
    drop(slow, GROUP_HUNG);
}

Test(base_resolve, names_of_one_group_that_hang_delay_no_other_group)
{
    static struct question slow[RESOLVE_MAX], other[RESOLVE_GROUP_MAX];
    struct question good, same, late;

    for (int i = 0; i < RESOLVE_MAX; i++) {
        ask(&slow[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_NEW);
    ask(&late, "late", 0);
    ask_for(2, &good, "good", 0);
    run(&good, BOUND_MS);
    cr_expect_eq(good.calls, 1);
    /* it has as many places as the first */
    for (int i = 0; i < RESOLVE_GROUP_MAX; i++) {
        ask_for(2, &other[i], "slow-other", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_NEW * 2);
    run(NULL, 50);
    cr_expect_eq(look(&n_held), GROUP_NEW * 2);
    cr_expect_eq(late.calls, 0, "of the first group");
    /* what waits in one group is looked up for another one that asks for it, too */
    ask_for(3, &same, "late", 0);
    run(&same, BOUND_MS);
    run(&late, BOUND_MS);
    cr_expect_eq(same.calls, 1);
    cr_expect_eq(late.calls, 1);
    loop_lookup_free(good.lookup);
    loop_lookup_free(same.lookup);
    loop_lookup_free(late.lookup);
    drop(other, RESOLVE_GROUP_MAX);
    drop(slow, RESOLVE_MAX);
}

Test(base_resolve, names_of_one_group_that_hung_before_delay_no_other_group)
{
    struct question slow[GROUP_NEW], other;

    let_hang(slow, GROUP_NEW);
    for (int i = 1; i < GROUP_NEW; i++) {
        ask(&slow[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == GROUP_HUNG);
    ask_for(2, &other, "slow", 0);
    WAIT_UNTIL(look(&n_held) == GROUP_HUNG + 1);
    pthread_mutex_lock(&lock);
    cr_expect_str_eq(order[n_asked - 1], "slow0.test");
    pthread_mutex_unlock(&lock);
    loop_lookup_free(other.lookup);
    drop(slow + 1, GROUP_NEW - 1);
}

Test(base_resolve, a_group_whose_names_all_hang_at_once_keeps_to_its_share)
{
    static struct question slow[RESOLVE_GROUP_MAX * 2];
    struct question good;

    hold(false);
    for (int i = 0; i < RESOLVE_GROUP_MAX * 2; i++) {
        know(1, "slow", i);
    }
    hold(true);
    for (int i = 0; i < RESOLVE_GROUP_MAX * 2; i++) {
        ask(&slow[i], "slow", i);
    }
    WAIT_UNTIL(look(&n_held) == RESOLVE_GROUP_MAX);
    ask_for(2, &good, "good", 0);
    run(&good, BOUND_MS);
    cr_expect_eq(good.calls, 1);
    cr_expect_eq(look(&n_held), RESOLVE_GROUP_MAX);
    loop_lookup_free(good.lookup);
    drop(slow, RESOLVE_GROUP_MAX * 2);
}

Test(base_resolve, of_all_groups_together_places_stay_for_names_that_resolve)
{
    enum { GROUPS = RESOLVE_MAX / GROUP_NEW + 1, EACH = RESOLVE_GROUP_MAX };
    static struct question slow[GROUPS][EACH];
    struct question good;

    know(GROUPS, "good", 0);
    for (unsigned group = 0; group < GROUPS; group++) {
        for (int i = 0; i < EACH; i++) {
            ask_for(group, &slow[group][i], "slow", (int)group * EACH + i);
        }
    }
    WAIT_UNTIL(look(&n_held) == RESOLVE_NEW_OF(RESOLVE_MAX));
    run(NULL, 50);
    cr_expect_eq(look(&n_held), RESOLVE_NEW_OF(RESOLVE_MAX));
    ask_for(GROUPS, &good, "good", 0);
    run(&good, BOUND_MS);
    cr_expect_eq(good.calls, 1);
    cr_expect_eq(good.error, 0);
    loop_lookup_free(good.lookup);
    for (unsigned group = 0; group < GROUPS; group++) {
        drop(slow[group], EACH);
    }
}

Test(base_resolve, all_who_ask_for_a_name_share_one_look_up)
{
    struct question many[20];

    for (int i = 0; i < 20; i++) {
        ask(&many[i], "slow", 0);
    }
    WAIT_UNTIL(look(&n_held) == 1);
    loop_lookup_free(many[7].lookup); /* one goes */
    hold(false);
    run(&many[0], BOUND_MS);
    WAIT_UNTIL(!resolve_is_busy());
    run(NULL, 20);
    cr_expect_eq(look(&n_asked), 1);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(many[i].calls, i != 7, "%d", i);
        if (i != 7) {
            cr_expect_str_eq(many[i].found.host, "127.0.0.1");
            loop_lookup_free(many[i].lookup);
        }
    }
}

Test(base_resolve, an_answer_that_nobody_waited_for_is_kept_and_survives_failures)
{
    struct question slow;
    struct address name = named("slow", 0), *last;

    ask(&slow, "slow", 0);
    WAIT_UNTIL(look(&n_held) == 1);
    loop_lookup_free(slow.lookup);
    cr_expect_eq(loop_lookup_last(&name, &last), 0);
    cr_expect_null(last);
    hold(false);
    WAIT_UNTIL(!resolve_is_busy());
    pthread_mutex_lock(&lock);
    failing = true;
    pthread_mutex_unlock(&lock);
    ask(&slow, "slow", 0);
    run(&slow, BOUND_MS);
    cr_expect_eq(slow.calls, 1);
    cr_expect_neq(slow.error, 0);
    loop_lookup_free(slow.lookup);
    cr_assert_eq(loop_lookup_last(&name, &last), 1);
    cr_expect_str_eq(last[0].host, "127.0.0.1");
    cr_expect_eq(last[0].port, 7);
    free(last);
}

Test(base_resolve, an_ip_asks_nobody)
{
    struct question question = {0};
    struct address ip = {.host = "10.1.2.3", .port = 9};

    question.lookup = loop_lookup_start(loop, &ip, 1, on_done, &question);
    cr_expect_eq(question.calls, 0, "never from inside start");
    run(&question, BOUND_MS);
    cr_expect_eq(question.calls, 1);
    cr_expect(address_equal(&question.found, &ip));
    cr_expect_eq(n_asked, 0);
    loop_lookup_free(question.lookup);
}

Test(base_resolve, a_loop_ends_while_a_look_up_hangs)
{
    struct question slow;
    int64_t began_ms = clock_boot_ms();

    ask(&slow, "slow", 0);
    WAIT_UNTIL(look(&n_held) == 1);
    loop_lookup_free(slow.lookup);
    loop_free(loop);
    loop = NULL;
    cr_expect_lt(clock_boot_ms() - began_ms, BOUND_MS);
    cr_expect(loop_lookups_abandoned());
}
