/* Descriptors in a loop: what is told of them, and where the kernel has no room for a watch. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "full_epoll.h"
#include "loop_fixture.h"

TestSuite(base_loop_poll, .init = loop_set_up, .fini = loop_tear_down, .timeout = 30);

struct pair {
    int fds[2];
    struct loop_poll *poll;
    int seen;
    int calls;
    bool free_inside;
};

static void on_ready(void *data, int events)
{
    struct pair *pair = data;

    pair->seen |= events;
    pair->calls++;
    if (pair->free_inside) {
        loop_poll_free(pair->poll);
        pair->poll = NULL;
    }
    loop_stop(loop);
}

static void pair_init(struct pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds), 0);
    pair->poll = loop_poll_new(loop, pair->fds[0], on_ready, pair);
    cr_assert_not_null(pair->poll);
}

static void pair_release(struct pair *pair)
{
    loop_poll_free(pair->poll);
    close(pair->fds[0]);
    close(pair->fds[1]);
}

Test(base_loop_poll, poll_reports_what_is_wanted)
{
    struct pair pair;

    pair_init(&pair);
    loop_poll_want(pair.poll, LOOP_READ);
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ);
    pair.seen = 0;
    loop_poll_want(pair.poll, LOOP_READ | LOOP_WRITE);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ | LOOP_WRITE, "level-triggered: the byte is still there");
    pair.seen = 0;
    loop_poll_want(pair.poll, 0);
    struct loop_timer *end = loop_end_run_after(5);
    loop_run(loop);
    cr_expect_eq(pair.seen, 0);
    loop_timer_free(end);
    pair_release(&pair);
}

Test(base_loop_poll, poll_sees_the_end_of_the_file)
{
    struct pair pair;
    char byte;

    pair_init(&pair);
    loop_poll_want(pair.poll, LOOP_READ);
    shutdown(pair.fds[1], SHUT_RDWR);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ);
    cr_expect_eq(read(pair.fds[0], &byte, 1), 0);
    pair_release(&pair);
}

/*
 * How often it was told until it is no more for a short time, though the loop stops each time; of
 * what lasts some ten times.
 */
static int told(struct pair *pair)
{
    struct loop_timer *end = loop_timer_new(loop, loop_end_run, NULL);
    int before;

    pair->calls = pair->seen = 0;
    do {
        before = pair->calls;
        loop_timer_start(end, 20);
        while (loop_timer_armed(end) && pair->calls < before + 10) {
            loop_run(loop);
        }
    } while (pair->calls != before && pair->calls < 10);
    loop_timer_free(end);
    return pair->calls;
}

Test(base_loop_poll, who_is_told_of_changes_is_not_told_of_what_lasts)
{
    struct pair pair;

    pair_init(&pair);
    loop_poll_by_change(pair.poll, true);
    loop_poll_want(pair.poll, LOOP_READ);
    cr_expect_eq(told(&pair), 0);
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    cr_expect_geq(told(&pair), 1);
    cr_expect_eq(pair.seen, LOOP_READ);
    cr_expect_eq(told(&pair), 0, "the byte is still there");
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    cr_expect_eq(told(&pair), 1, "and another one came");
    loop_poll_want(pair.poll, LOOP_READ | LOOP_WRITE);
    cr_expect_geq(told(&pair), 1, "what is there is told when it is wanted anew");
    cr_expect_eq(pair.seen, LOOP_READ | LOOP_WRITE);
    cr_expect_gt(told(&pair), 2, "who waits to write is told of what lasts");
    loop_poll_want(pair.poll, LOOP_READ);
    cr_expect_geq(told(&pair), 1);
    cr_expect_eq(told(&pair), 0);
    cr_assert_eq(shutdown(pair.fds[1], SHUT_WR), 0);
    cr_expect_geq(told(&pair), 1);
    cr_expect_eq(pair.seen, LOOP_READ | LOOP_END);
    cr_expect_eq(told(&pair), 0);
    loop_poll_by_change(pair.poll, false);
    cr_expect_gt(told(&pair), 2, "what lasts is told again");
    cr_expect_eq(pair.seen, LOOP_READ);
    pair_release(&pair);
}

Test(base_loop_poll, the_end_is_told_with_the_last_bytes)
{
    struct pair pair;

    pair_init(&pair);
    loop_poll_by_change(pair.poll, true);
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    cr_assert_eq(shutdown(pair.fds[1], SHUT_WR), 0);
    loop_poll_want(pair.poll, LOOP_READ);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ | LOOP_END);
    pair_release(&pair);
}

/* Whoever waits for the end alone is told of nothing that comes, and of no half of an end twice. */
Test(base_loop_poll, the_end_alone)
{
    struct pair pair;

    pair_init(&pair);
    loop_poll_want(pair.poll, LOOP_END);
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    cr_expect_eq(told(&pair), 0);
    cr_assert_eq(shutdown(pair.fds[1], SHUT_WR), 0);
    cr_expect_geq(told(&pair), 1);
    cr_expect_eq(pair.seen, LOOP_END);
    cr_expect_eq(told(&pair), 0);
    cr_assert_eq(shutdown(pair.fds[1], SHUT_RD), 0);
    cr_expect_geq(told(&pair), 1, "closed both ways");
    cr_expect_eq(pair.seen, LOOP_END);
    loop_poll_want(pair.poll, LOOP_READ);
    cr_expect_geq(told(&pair), 1);
    cr_expect_eq(pair.seen, LOOP_READ);
    pair_release(&pair);
}

Test(base_loop_poll, poll_may_be_freed_inside_its_callback_and_its_number_used_again)
{
    struct pair pair;

    for (int i = 0; i < 3; i++) { /* the descriptor's number comes back each time */
        pair_init(&pair);
        pair.free_inside = true;
        loop_poll_want(pair.poll, LOOP_WRITE);
        loop_run(loop);
        cr_expect_eq(pair.calls, 1);
        pair_release(&pair);
    }
}

Test(base_loop_poll, an_error_of_the_descriptor_is_reported_as_all_that_is_wanted)
{
    struct pair pair;
    int ends[2];

    memset(&pair, 0, sizeof(pair));
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]); /* a pipe nobody reads: POLLERR */
    pair.poll = loop_poll_new(loop, ends[1], on_ready, &pair);
    loop_poll_want(pair.poll, LOOP_READ | LOOP_WRITE);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ | LOOP_WRITE);
    loop_run(loop);
    cr_expect_eq(pair.calls, 2, "it goes on being reported while it is wanted");
    loop_poll_free(pair.poll);
    close(ends[1]);
}

/* libuv would end the process without a word, once the loop runs. */
Test(base_loop_poll, without_room_for_its_own_watch, .init = NULL, .fini = NULL,
     .exit_code = EXIT_FAILURE)
{
    full_epoll(true);
    loop_new();
}

Test(base_loop_poll, first_runs_without_room_for_a_watch)
{
    struct loop_timer *end;

    full_epoll(true);
    end = loop_end_run_after(1);
    loop_run(loop);
    loop_timer_free(end);
    full_epoll(false);
}

/*
 * Where the kernel has no room for one more watch a descriptor is looked at by turns, until there
 * is room.
 */
Test(base_loop_poll, poll_goes_on_without_room_for_a_watch)
{
    struct pair pair, late;
    struct loop_timer *end;

    full_epoll(true);
    pair_init(&pair); /* one that the kernel never watched */
    loop_poll_want(pair.poll, LOOP_READ);
    cr_assert_eq(write(pair.fds[1], "x", 1), 1);
    loop_run(loop);
    cr_expect_eq(pair.seen, LOOP_READ);
    full_epoll(false);
    pair_init(&late); /* and one for which there is no room when it is wanted */
    full_epoll(true);
    loop_poll_want(late.poll, LOOP_WRITE);
    loop_poll_want(pair.poll, 0);
    loop_run(loop);
    cr_expect_eq(late.seen, LOOP_WRITE);
    late.calls = late.seen = 0;
    loop_poll_want(late.poll, 0);
    end = loop_end_run_after(50);
    loop_run(loop);
    cr_expect_eq(late.calls, 0, "nothing is wanted");
    loop_timer_free(end);

    loop_poll_want(pair.poll, LOOP_READ);
    full_epoll(false);
    pair.calls = 0;
    for (int i = 0; i < 50; i++) { /* watched again: far more often than by turns */
        loop_run(loop);
    }
    cr_expect_eq(pair.calls, 50);
    pair.free_inside = true;
    loop_run(loop);
    pair_release(&pair);
    full_epoll(true);
    pair_init(&pair);
    pair.free_inside = true;
    loop_poll_want(pair.poll, LOOP_WRITE);
    loop_run(loop);
    full_epoll(false);
    pair_release(&pair);
    pair_release(&late);
}

Test(base_loop_poll, a_plain_file_cannot_be_polled)
{
    FILE *file = tmpfile();

    cr_assert_not_null(file);
    cr_expect_null(loop_poll_new(loop, fileno(file), on_ready, NULL));
    fclose(file);
}
