/*
 * The loop: timers, look-ups, signals, and freeing things where it is most tempting to
 * crash.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "loop_fixture.h"

TestSuite(base_loop, .init = loop_set_up, .fini = loop_tear_down, .timeout = 30);

static void busy_ms(int64_t ms)
{
    int64_t end = clock_boot_ms() + ms;

    while (clock_boot_ms() < end) {
    }
}

Test(base_loop, an_unused_loop_can_be_freed)
{
    struct loop *unused = loop_new();

    cr_assert_not_null(unused);
    loop_free(unused);
    loop_free(NULL);
}

Test(base_loop, stop_before_run_returns_at_once)
{
    struct loop_timer *end = loop_end_run_after(20000);

    loop_stop(loop);
    loop_run(loop);
    cr_expect(loop_timer_armed(end), "nothing else ended it");
    loop_timer_free(end);
}

Test(base_loop, a_timer_waits_at_least_its_delay)
{
    for (int64_t delay = 0; delay < 20; delay += 3) {
        int64_t began = clock_boot_ms();
        struct loop_timer *timer = loop_end_run_after(delay);

        cr_expect(loop_timer_armed(timer));
        loop_run(loop);
        cr_expect_geq(clock_boot_ms() - began, delay);
        cr_expect_not(loop_timer_armed(timer), "one shot");
        loop_timer_free(timer);
    }
}

Test(base_loop, a_timer_with_a_span_fires_inside_it)
{
    for (int64_t from = 0; from < 30; from += 7) {
        int64_t took = INT64_MAX;

        /* this process may stand still as well */
        for (int tries = 0; tries < 10 && took > from + 40 + 20; tries++) {
            int64_t began = clock_boot_ms();
            struct loop_timer *timer = loop_timer_new(loop, loop_end_run, NULL);

            loop_timer_start_within(timer, from, from + 40);
            loop_run(loop);
            took = clock_boot_ms() - began;
            cr_expect_geq(took, from);
            loop_timer_free(timer);
        }
        cr_expect_leq(took, from + 40 + 20);
    }
}

enum { MANY = 100 };

static int n_fired, n_shared_turns;

static void count_fired(void *data)
{
    (void)data;
    if (++n_fired == MANY) {
        loop_stop(loop);
    }
}

static void count_shared_turn(void *data)
{
    (void)data;
    n_shared_turns++;
}

/*
 * A hundred timers that may all wait until then: few turns, though each was given a time of its
 * own.
 */
Test(base_loop, timers_with_spans_share_turns)
{
    struct loop_timer *timers[MANY];

    for (int i = 0; i < MANY; i++) {
        timers[i] = loop_timer_new(loop, count_fired, NULL);
        loop_timer_start_within(timers[i], 10 + i, 10 + i + 32);
    }
    n_fired = n_shared_turns = 0;
    loop_on_turn(loop, count_shared_turn, NULL);
    loop_run(loop);
    loop_on_turn(loop, NULL, NULL);
    cr_expect_eq(n_fired, MANY);
    cr_expect_lt(n_shared_turns, 20);
    for (int i = 0; i < MANY; i++) {
        loop_timer_free(timers[i]);
    }
}

static struct loop_timer *second;
static int64_t second_armed_ms;
static int64_t second_waited_ms;

static void second_fired(void *data)
{
    (void)data;
    second_waited_ms = clock_boot_ms() - second_armed_ms;
    loop_stop(loop);
}

static void busy_then_arm(void *data)
{
    (void)data;
    busy_ms(60);
    second_armed_ms = clock_boot_ms();
    loop_timer_start(second, 40);
}

Test(base_loop, a_timer_armed_after_a_long_callback_is_not_early)
{
    struct loop_timer *first = loop_timer_new(loop, busy_then_arm, NULL);

    second = loop_timer_new(loop, second_fired, NULL);
    loop_timer_start(first, 1);
    loop_run(loop);
    cr_expect_geq(second_waited_ms, 40);
    loop_timer_free(first);
    loop_timer_free(second);
}

static void never(void *data)
{
    (void)data;
    cr_assert_fail("a stopped or freed timer fired");
}

Test(base_loop, timers_that_are_stopped_freed_or_rearmed)
{
    struct loop_timer *stopped = loop_timer_new(loop, never, NULL);
    struct loop_timer *freed = loop_timer_new(loop, never, NULL);
    struct loop_timer *later = loop_timer_new(loop, never, NULL);

    loop_timer_start(stopped, 1);
    loop_timer_start(freed, 1);
    loop_timer_start(later, 1);
    loop_timer_start(later, 10000);
    loop_timer_stop(stopped);
    cr_expect_not(loop_timer_armed(stopped));
    loop_timer_free(freed);
    loop_timer_free(NULL);
    struct loop_timer *end = loop_end_run_after(20);
    loop_run(loop);
    loop_timer_free(end);
    loop_timer_free(stopped);
    loop_timer_free(later);
}

static struct loop_timer *victims[2];

static void free_both(void *data)
{
    (void)data;
    loop_timer_free(victims[0]);
    loop_timer_free(victims[1]);
    loop_stop(loop);
}

Test(base_loop, a_timer_may_free_itself_and_one_that_is_due)
{
    victims[0] = loop_timer_new(loop, free_both, NULL);
    victims[1] = loop_timer_new(loop, never, NULL);
    loop_timer_start(victims[0], 0);
    busy_ms(2);
    loop_timer_start(victims[1], 0);
    loop_run(loop);
}

static int turns;

static void count_turn(void *data)
{
    cr_assert_eq(data, &turns);
    turns++;
}

static void turn_again_behind(void *data)
{
    (void)data;
    loop_turn_again(loop);
}

static void count_turn_and_end(void *data)
{
    static struct loop_later behind = {.run = turn_again_behind};

    count_turn(data);
    if (turns == 1) {
        loop_later_queue(loop, &behind); /* runs behind the hook */
    }
    loop_stop(loop);
}

Test(base_loop, what_comes_behind_the_hook_is_seen_in_the_same_turn)
{
    turns = 0;
    loop_turn_again(loop); /* the hook is to come: no second time */
    loop_on_turn(loop, count_turn_and_end, &turns);
    loop_run(loop);
    cr_expect_eq(turns, 2);
    loop_on_turn(loop, NULL, NULL);
}

Test(base_loop, on_turn_comes_every_turn_until_taken_away)
{
    turns = 0;
    loop_on_turn(loop, count_turn, &turns);
    struct loop_timer *end = loop_end_run_after(5);
    loop_run(loop);
    cr_expect_geq(turns, 1);
    int before = turns;
    loop_on_turn(loop, NULL, NULL);
    loop_timer_start(end, 5);
    loop_run(loop);
    cr_expect_eq(turns, before);
    loop_timer_free(end);
}

struct answer {
    struct loop_lookup *lookup;
    int calls, error;
    size_t n;
    struct address found[16];
    char words[128];
    bool free_inside;
};

static void on_answer(void *data, int error, const struct address *found, size_t n,
                      const char *words)
{
    struct answer *answer = data;

    answer->calls++;
    answer->error = error;
    answer->n = n;
    for (size_t i = 0; i < n && i < 16; i++) {
        answer->found[i] = found[i];
    }
    snprintf(answer->words, sizeof(answer->words), "%s", words);
    if (answer->free_inside) {
        loop_lookup_free(answer->lookup);
        answer->lookup = NULL;
    }
    loop_stop(loop);
}

static void look_up(struct answer *answer, const char *host, uint16_t port)
{
    struct address name = {.port = port};

    snprintf(name.host, sizeof(name.host), "%s", host);
    answer->lookup = loop_lookup_start(loop, &name, 0, on_answer, answer);
    cr_assert_eq(answer->calls, 0, "never from inside start");
}

Test(base_loop, look_up_of_localhost)
{
    struct answer answer = {0};

    look_up(&answer, "localhost", 6379);
    loop_run(loop);
    cr_assert_eq(answer.error, 0, "%s", answer.words);
    cr_assert_geq(answer.n, 1);
    for (size_t i = 0; i < answer.n; i++) {
        cr_expect(address_is_loopback(&answer.found[i]), "%s", answer.found[i].host);
        cr_expect_eq(answer.found[i].port, 6379);
        for (size_t k = 0; k < i; k++) {
            cr_expect_not(address_equal(&answer.found[i], &answer.found[k]), "twice the same");
        }
    }
    loop_lookup_free(answer.lookup);
}

Test(base_loop, look_up_of_an_ip_literal)
{
    struct answer answer = {.free_inside = true};

    look_up(&answer, "fd00::1", 1);
    loop_run(loop);
    cr_assert_eq(answer.error, 0, "%s", answer.words);
    cr_assert_eq(answer.n, 1);
    cr_expect_str_eq(answer.found[0].host, "fd00::1");
}

Test(base_loop, look_up_that_fails_has_words)
{
    struct answer answer = {0};
    struct answer at_once = {.free_inside = true};

    look_up(&answer, "a..b", 1);
    loop_run(loop);
    cr_expect_eq(answer.error, -BW_ERESOLVE);
    cr_expect_eq(answer.n, 0);
    cr_expect_str_neq(answer.words, "");
    loop_lookup_free(answer.lookup);
    look_up(&at_once, "\xff\xfe", 1);
    loop_run(loop);
    cr_expect_eq(at_once.calls, 1);
    cr_expect_eq(at_once.error, -BW_ERESOLVE);
}

Test(base_loop, a_cancelled_look_up_says_nothing)
{
    struct answer answers[12];

    memset(answers, 0, sizeof(answers));
    for (size_t i = 0; i < 12; i++) { /* some ask for the same */
        look_up(&answers[i], i % 3 == 0 ? "\xff" : "localhost", 1);
    }
    loop_lookup_free(NULL);
    for (size_t i = 0; i < 12; i++) {
        loop_lookup_free(answers[i].lookup);
    }
    struct loop_timer *end = loop_end_run_after(20);
    loop_run(loop);
    loop_timer_free(end);
    for (size_t i = 0; i < 12; i++) {
        cr_expect_eq(answers[i].calls, 0);
    }
}

static int caught_signal;

static void on_signal(void *data, int signum)
{
    caught_signal = signum;
    loop_signal_free(*(struct loop_signal **)data);
    loop_stop(loop);
}

Test(base_loop, signals)
{
    struct loop_signal *signal_handle = NULL;

    signal_handle = loop_signal_new(loop, SIGHUP, on_signal, &signal_handle);
    loop_signal_free(NULL);
    cr_assert_eq(kill(getpid(), SIGHUP), 0);
    loop_run(loop);
    cr_expect_eq(caught_signal, SIGHUP);
}

Test(base_loop, jitter_stays_below_its_bound_and_varies)
{
    bool seen[8] = {false};

    cr_expect_eq(jitter_below(0), 0);
    cr_expect_eq(jitter_below(1), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t value = jitter_below(8);

        cr_assert_lt(value, 8);
        seen[value] = true;
    }
    for (int i = 0; i < 8; i++) {
        cr_expect(seen[i], "%d never came", i);
    }
}

/* ---- the end of a turn ---- */

struct late {
    struct loop *loop;
    struct loop_later first, second, cancelled;
    char order[8];
    size_t n;
    bool again;
};

static void note(struct late *late, char what)
{
    late->order[late->n++] = what;
}

static void run_first(void *data)
{
    struct late *late = data;

    note(late, '1');
    if (!late->again) { /* queued from inside: still this turn */
        late->again = true;
        loop_later_queue(late->loop, &late->first);
    }
}

static void run_second(void *data)
{
    note(data, '2');
}

static void end_turn(void *data)
{
    struct late *late = data;

    if (late->n > 0) {
        note(late, 't');
        loop_stop(late->loop);
    }
}

static void queue_all(void *data)
{
    struct late *late = data;

    loop_later_queue(late->loop, &late->first);
    loop_later_queue(late->loop, &late->cancelled);
    loop_later_queue(late->loop, &late->second);
    loop_later_queue(late->loop, &late->first); /* is there already */
    loop_later_cancel(late->loop, &late->cancelled);
    loop_later_cancel(late->loop, &late->cancelled); /* is not there any more */
}

Test(base_loop, later_runs_once_in_order_before_the_turn_ends)
{
    struct late late = {.loop = loop_new()};

    late.first = (struct loop_later){.run = run_first, .data = &late};
    late.second = (struct loop_later){.run = run_second, .data = &late};
    late.cancelled = (struct loop_later){.run = run_second, .data = &late};
    loop_on_turn(late.loop, end_turn, &late);
    struct loop_timer *timer = loop_timer_new(late.loop, queue_all, &late);
    loop_timer_start(timer, 0);
    loop_run(late.loop);
    cr_assert_str_eq(late.order, "121t");
    cr_assert_not(late.first.queued || late.second.queued || late.cancelled.queued);
    loop_timer_free(timer);
    loop_free(late.loop);
}
