/*
 * The pool while things move: deadlines, masters that come and go, the fence, the end of the
 * worker.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "../base/own_clock.h"
#include "bellwether/base/clock.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

static struct fake_peer *other; /* the second one of a test, or the one that is told to go on */

/* ---- deadlines ---- */

Test(pool, a_late_answer_reaches_nobody_and_breaks_nothing)
{
    /*
     * a byte of SET's answer shows that the peer lives, so the connection stays though both are
     * late
     */
    static const struct peer_step steps[] = {GREET,
                                             ANSWER(SET INCR, "+"),
                                             {PEER_HOLD, NULL},
                                             ANSWER(GET, "OK\r\n:9\r\n$1\r\n9\r\n"),
                                             END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *set = pool_stage_submit(&stage, "[\"SET\",\"k\",\"v\"]");
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(set, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_words(incr, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    cr_expect_eq(stage.suspicions[SUSPICION_SILENT], 0);
    fake_peer_release(peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"9\"");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_silent_peer_makes_it_unknown_and_is_hung_up_on)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR},        {PEER_WAIT, NULL},
                                             OPEN,  ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    cr_expect_eq(stage.suspicions[SUSPICION_SILENT], 1);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, peer);
}

static bool one_ended(struct pool_stage *stage)
{
    return stage->n_ended == 1;
}

/*
 * One is sent, half of its time later another one; the first one's time is over: the line is taken
 * for silent.
 */
static void fall_silent(struct pool_stage *stage, const struct fake_peer *peer)
{
    pool_stage_open(stage);
    pool_stage_publish_peer(stage, peer);
    pool_stage_submit(stage, "[\"INCR\",\"k\"]");
    pool_stage_run_for(stage, stage->config.command_timeout_ms / 2);
    pool_stage_submit(stage, "[\"INCR\",\"k\"]");
    pool_stage_run_until(stage, one_ended);
    expect_words(stage->requests[0], 0, OUTCOME_UNKNOWN, "UNKNOWN ");
}

Test(pool, a_silent_peer_that_speaks_again_is_used_by_who_waits)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR INCR},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":1\r\n:2\r\n"},
                                             ANSWER(GET, "$1\r\n2\r\n"),
                                             END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 4000}};

    fall_silent(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_done(stage.requests[1], 0, "{\"result\":2");
    expect_done(get, 0, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_silent_peer_that_is_hung_up_on_makes_room_for_who_waits)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR INCR},   {PEER_WAIT, NULL},
                                             OPEN,  ANSWER(GET, "$1\r\n2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 4000}};

    fall_silent(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(stage.requests[1], 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_done(get, 0, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
}

static bool two_ended(struct pool_stage *stage)
{
    return stage->n_ended == 2;
}

/* The pool's own questions do not end a connection that others wait on before their time. */
Test(pool, a_question_of_its_own_that_is_late_hurts_nobody)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, INCR MULTI EXEC},
        {PEER_HOLD, NULL},
        {PEER_SEND, ":1\r\n+OK\r\n*0\r\n"},
        ANSWER(MULTI INCR EXEC, "+OK\r\n+QUEUED\r\n*1\r\n:2\r\n"),
        END};
    struct pool_stage stage = {.config = {.connect_timeout_ms = 2000}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    struct pool_request *both = pool_stage_submit_as(&stage, AS_TRANSACTION, "[[\"INCR\",\"k\"]]");

    pool_stage_run_for(&stage, 2500);
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    expect_done(both, 0, "[{\"result\":2}]");
    pool_stage_close_with(&stage, peer);
}

/* Half an answer, and nothing more for ever. */
Test(pool, a_silent_peer_that_only_begins_to_speak_is_hung_up_on)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR INCR},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":"},
                                             {PEER_WAIT, NULL},
                                             OPEN,
                                             ANSWER(GET, "$1\r\n2\r\n"),
                                             END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 4000}};

    fall_silent(&stage, peer);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, two_ended);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
}

Test(pool, no_master_is_waited_for_until_the_deadline)
{
    struct pool_stage stage = {.config = {.command_timeout_ms = 60}};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(get, 0, OUTCOME_NOT_SENT, "NOMASTER ");
    cr_expect_not_null(strstr(get->commands[0].words, "the node refuses"), "%s",
                       get->commands[0].words);
    pool_stage_close(&stage);
}

static void publish_other(struct pool_stage *stage)
{
    pool_stage_publish(stage, fake_peer_address(other), 2, FENCE_DOWN);
}

static bool one_waits(struct pool_stage *stage)
{
    return metric_look(&stage->counts->waiting) == 1;
}

Test(pool, a_master_that_comes_in_time_is_used)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {.when = one_waits, .then = publish_other};

    other = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, other);
}

Test(pool, the_queue_is_bounded)
{
    struct pool_stage stage = {.config = {.max_pending = 2, .command_timeout_ms = 100}};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_request *requests[3];
    for (int i = 0; i < 3; i++) {
        requests[i] = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    }
    cr_expect_eq(stage.n_ended, 1, "the third is refused at once");
    cr_expect(requests[2]->queue_full);
    expect_words(requests[2], 0, OUTCOME_NOT_SENT, "NOTSENT ");
    pool_stage_run(&stage);
    cr_expect_not(requests[0]->queue_full);
    pool_stage_close(&stage);
}

Test(pool, a_stalled_watcher_is_not_believed)
{
    static const struct peer_step steps[] = {{PEER_END, NULL}};
    struct pool_stage stage = {.config = {.command_timeout_ms = 60}, .stalled = true};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(get, 0, OUTCOME_NOT_SENT, "NOMASTER ");
    pool_stage_close_with(&stage, peer);
}

/* ---- switches and fences ---- */

Test(pool, a_switch_closes_at_once_and_settles)
{
    static const struct peer_step old[] = {GREET, {PEER_EXPECT, GET}, END};
    static const struct peer_step new[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", old);
    struct pool_stage stage = {.when = pool_stage_one_in_flight, .then = publish_other};

    other = fake_peer_start("127.0.0.1", new);
    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect(address_equal(&get->ran_at, fake_peer_address(other)));
    pool_stage_close_with(&stage, peer);
    fake_peer_end(other);
}

static void flap(struct pool_stage *stage)
{
    pool_stage_publish(stage, NULL, 1, FENCE_DOWN); /* no address: the state flaps */
    fake_peer_release(other);
}

Test(pool, a_flap_of_the_state_closes_nothing)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct pool_stage stage = {.when = pool_stage_one_in_flight, .then = flap};

    other = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, other);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close_with(&stage, other);
}

Test(pool, the_fence_holds_writes_and_lets_reads_go_on)
{
    static const struct peer_step old[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    static const struct peer_step new[] = {GREET, ANSWER(INCR, ":2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", old);
    struct pool_stage stage = {0};

    other = fake_peer_start("127.0.0.1", new);
    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]"),
                        *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    stage.n_requests--; /* only the read can end */
    loop_run(stage.loop);
    stage.n_requests++;
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(incr->commands[0].outcome, OUTCOME_PENDING);
    publish_other(&stage);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    cr_expect_eq(metric_read(&stage.counts->fence_holds), 1);
    pool_stage_close_with(&stage, peer);
    fake_peer_end(other);
}

Test(pool, in_a_pipeline_those_behind_a_held_one_wait)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"),
                                             ANSWER(INCR GET, ":2\r\n$1\r\n2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"INCR\",\"k\"],[\"GET\",\"k\"]]");
    pool_stage_run_until(&stage, pool_stage_one_done);
    expect_done(request, 0, "{\"result\":\"1\"");
    cr_expect_eq(request->commands[2].outcome, OUTCOME_PENDING);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(request, 1, "{\"result\":2");
    expect_done(request, 2, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
}

/* What stands in our own buffer is not written yet, and must not be once the fence is up. */
Test(pool, the_fence_holds_what_was_not_written_yet)
{
    static const struct peer_step old[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"),
                                           ANSWER(GET, "$1\r\n1\r\n"), END};
    static const struct peer_step new[] = {GREET, ANSWER(INCR, ":2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", old);
    struct pool_stage stage = {0};

    other = fake_peer_start("127.0.0.1", new);
    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_DOWN);
    pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]"),
                        *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    pool_stage_run_until(&stage, two_ended);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(incr->commands[0].outcome, OUTCOME_PENDING);
    publish_other(&stage);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    pool_stage_close_with(&stage, peer);
    fake_peer_end(other);
}

static void promote(struct pool_stage *stage)
{
    stage->promoting_ms = clock_boot_ms();
    pool_stage_publish(stage, fake_peer_address(other), 1, FENCE_PROMOTING);
}

Test(pool, a_write_answered_during_the_promotion_is_unknown)
{
    /* MULTI's answer comes only after the GET was sent, which the test does once the fence is up */
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, ANSWER(GET, ":1\r\n$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};

    other = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(other), 1, FENCE_DOWN);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    promote(&stage);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_done(get, 0, "{\"result\":\"1\"");
    pool_stage_close_with(&stage, other);
}

enum { DOUBT_MS = 50 };

static bool none_in_flight(struct pool_stage *stage)
{
    return metric_look(&stage->counts->inflight) == 0;
}

/*
 * A write was sent, the fence came up, and the answer came. @return when, and the clock stands
 * there.
 */
static int64_t answer_behind_the_fence(struct pool_stage *stage, enum submission how)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    int64_t answered_ms;

    other = fake_peer_start("127.0.0.1", steps);
    pool_stage_open(stage);
    pool_stage_publish(stage, fake_peer_address(other), 1, FENCE_DOWN);
    pool_stage_submit_as(stage, how, "[\"INCR\",\"k\"]");
    pool_stage_run_until(stage, pool_stage_one_in_flight);
    pool_stage_run_for(stage, 5); /* it is written */
    pool_stage_publish(stage, fake_peer_address(other), 1, FENCE_UP);
    answered_ms = own_clock_stop();
    fake_peer_release(other);
    pool_stage_run_until(stage, none_in_flight);
    cr_expect_eq(stage->n_ended, 0);
    return answered_ms;
}

/* The promotion is heard of. */
static void end_unknown(struct pool_stage *stage)
{
    pool_stage_publish(stage, fake_peer_address(other), 1, FENCE_PROMOTING);
    pool_stage_run(stage);
    expect_words(stage->requests[0], 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    pool_stage_close_with(stage, other);
}

Test(pool, a_write_answered_just_before_the_promotion_is_unknown)
{
    struct pool_stage stage = {0};

    stage.promoting_ms = answer_behind_the_fence(&stage, AS_ONE) + DOUBT_MS - 1;
    end_unknown(&stage);
}

Test(pool, a_write_answered_long_before_the_promotion_is_done)
{
    struct pool_stage stage = {0};
    int64_t answered_ms = answer_behind_the_fence(&stage, AS_ONE);

    own_clock_go(0);
    pool_stage_run(&stage); /* the fence stays up */
    cr_expect_geq(clock_boot_ms() - answered_ms, DOUBT_MS);
    expect_done(stage.requests[0], 0, "{\"result\":1");
    promote(&stage);
    pool_stage_close_with(&stage, other);
}

/* The watcher has told of a gap in its time, and not yet read what it missed. */
Test(pool, a_write_answered_by_a_master_that_is_not_confirmed_waits)
{
    struct pool_stage stage = {0};

    (void)answer_behind_the_fence(&stage, AS_ONE);
    stage.reason = REASON_WATCHER_STALLED;
    pool_stage_publish(&stage, fake_peer_address(other), 1, FENCE_DOWN);
    own_clock_go(3 * DOUBT_MS);
    pool_stage_run_for(&stage, 3 * DOUBT_MS);
    cr_expect_eq(stage.n_ended, 0);
    stage.reason = REASON_NONE;
    pool_stage_publish(&stage, fake_peer_address(other), 1, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":1");
    pool_stage_close_with(&stage, other);
}

/* What counts is when the leader spoke, not when this thread has the time to read it. */
Test(pool, a_write_answered_just_before_a_promotion_that_is_read_late_is_unknown)
{
    struct pool_stage stage = {0};

    stage.promoting_ms = answer_behind_the_fence(&stage, AS_ONE) + 10;
    stage.pulse.fences++;
    own_clock_go(3 * DOUBT_MS);
    /* all that is due has its turn, and the news is not there */
    pool_stage_run_for(&stage, 3 * DOUBT_MS);
    cr_expect_eq(stage.n_ended, 0);
    end_unknown(&stage);
}

Test(pool, a_write_answered_long_before_a_promotion_that_is_read_late_is_done)
{
    struct pool_stage stage = {0};

    stage.promoting_ms = answer_behind_the_fence(&stage, AS_ONE) + DOUBT_MS + 1;
    stage.pulse.fences++;
    own_clock_go(3 * DOUBT_MS);
    pool_stage_publish(&stage, fake_peer_address(other), 1, FENCE_PROMOTING);
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":1");
    pool_stage_close_with(&stage, other);
}

/* The failover began and the promotion too, while as far as this thread knows all is quiet. */
Test(pool, a_write_answered_before_the_fence_was_read_is_in_doubt)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct pool_stage stage = {0};

    other = pool_stage_open_with(&stage, steps);
    pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    stage.pulse.fences += 2;
    stage.promoting_ms = clock_boot_ms();
    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    fake_peer_release(other);
    pool_stage_run_until(&stage, none_in_flight);
    cr_expect_eq(stage.n_ended, 0);
    end_unknown(&stage);
}

/*
 * A write is answered while the watcher has not heard for long what comes to it. @return with the
 * answer kept.
 */
static void answer_to_a_late_watcher(struct pool_stage *stage)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};

    other = pool_stage_open_with(stage, steps);
    atomic_store(&stage->pulse.heard_boot_ms, clock_boot_ms() - 1000);
    pool_stage_submit(stage, "[\"INCR\",\"k\"]");
    pool_stage_run_until(stage, pool_stage_one_in_flight);
    cr_expect_eq(stage->heard_asked, 1, "with the command");
    fake_peer_release(other);
    pool_stage_run_until(stage, none_in_flight);
    pool_stage_run_for(stage, 3 * DOUBT_MS);
    cr_expect_eq(stage->n_ended, 0);
    /* of other things */
    pool_stage_publish(stage, fake_peer_address(other), 1, FENCE_DOWN);
    pool_stage_run_for(stage, 2);
    cr_expect_eq(stage->n_ended, 0);
}

Test(pool, a_write_answered_while_the_watcher_is_late_waits_for_it)
{
    struct pool_stage stage = {0};

    answer_to_a_late_watcher(&stage);
    atomic_store(&stage.pulse.heard_boot_ms, clock_boot_ms() + 10000);
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":1");
    pool_stage_close_with(&stage, other);
}

Test(pool, a_write_answered_while_the_watcher_was_late_for_a_promotion_is_unknown)
{
    struct pool_stage stage = {0};

    answer_to_a_late_watcher(&stage);
    stage.promoting_ms = stage.pulse.heard_boot_ms; /* before the write was answered */
    stage.pulse.fences += 2;
    atomic_store(&stage.pulse.heard_boot_ms, clock_boot_ms() + 10000);
    end_unknown(&stage);
}

Test(pool, a_read_answered_while_the_watcher_is_late_is_done)
{
    static const struct peer_step steps[] = {GREET, ANSWER("GET", "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};

    other = pool_stage_open_with(&stage, steps);
    atomic_store(&stage.pulse.heard_boot_ms, clock_boot_ms() - 1000);
    pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":\"1\"");
    cr_expect_eq(stage.heard_asked, 0);
    pool_stage_close_with(&stage, other);
}

Test(pool, a_write_answered_before_the_failover_was_aborted_is_done)
{
    struct pool_stage stage = {0};

    answer_behind_the_fence(&stage, AS_ONE);
    pool_stage_publish(&stage, fake_peer_address(other), 1, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":1");
    pool_stage_close_with(&stage, other);
}

Test(pool, a_write_answered_just_before_the_switch_runs_again_where_it_may)
{
    static const struct peer_step steps[] = {GREET, ANSWER(INCR, ":7\r\n"), END};
    struct fake_peer *new = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    answer_behind_the_fence(&stage, AS_RETRIED);
    pool_stage_publish(&stage, fake_peer_address(new), 2, FENCE_DOWN);
    own_clock_go(0);
    pool_stage_run(&stage);
    expect_done(stage.requests[0], 0, "{\"result\":7");
    pool_stage_close_with(&stage, other);
    fake_peer_end(new);
}

Test(pool, a_write_in_doubt_ends_with_the_pool)
{
    struct pool_stage stage = {0};

    answer_behind_the_fence(&stage, AS_RETRIED);
    pool_drain(stage.pool);
    pool_abandon(stage.pool);
    cr_expect_eq(stage.n_ended, 1);
    expect_words(stage.requests[0], 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    pool_stage_close_with(&stage, other);
}

/* ---- the end ---- */

Test(pool, draining_refuses_what_waits_and_lets_the_rest_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    pool_stage_publish(&stage, NULL, 1, FENCE_DOWN);
    struct pool_request *waits = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_drain(stage.pool);
    expect_words(waits, 0, OUTCOME_NOT_SENT, "NOTSENT ");
    struct pool_request *late = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    expect_words(late, 0, OUTCOME_NOT_SENT, "NOTSENT ");
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_close_with(&stage, peer);
}

Test(pool, abandoned_commands_are_unknown)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    pool_abandon(stage.pool);
    expect_words(incr, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    pool_stage_close_with(&stage, peer);
}
