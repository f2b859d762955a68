/*
 * What the pool promises beyond answers: whom it serves and whom no longer, what it keeps open,
 * what it tells those that waited in vain.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "pool_fixture.h"

static bool yes(void *data)
{
    (void)data;
    return true;
}

static bool no(void *data)
{
    (void)data;
    return false;
}

static size_t open_connections(struct pool_stage *stage)
{
    int64_t n = 0;

    for (int i = 0; i < METRIC_POOL_STATE_COUNT; i++) {
        n += metric_look(&stage->counts->connections[i]);
    }
    return (size_t)n;
}

/* Nothing was sent to it that has this word. */
static void close_unseen(struct pool_stage *stage, struct fake_peer *peer, const char *word)
{
    pool_stage_close(stage);
    cr_expect_null(fake_peer_join(peer));
    cr_expect_null(strstr(fake_peer_seen(peer), word));
    fake_peer_free(peer);
}

/* ---- callers that have gone ---- */

Test(pool, whose_caller_has_gone_is_not_sent_once_there_is_a_master)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]"),
                        *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    incr->caller_is_gone = yes;
    get->caller_is_gone = no;
    pool_stage_publish_peer(&stage, peer);
    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_NOT_SENT, "NOTSENT the caller has gone");
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(metric_read(&stage.counts->commands[METRIC_COMMAND_OUTCOME_NOT_SENT]), 1);
    close_unseen(&stage, peer, "INCR");
}

Test(pool, whose_caller_has_gone_is_not_sent_behind_the_fence)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"INCR\",\"k\"],[\"GET\",\"k\"]]");
    pool_stage_run_until(&stage, pool_stage_one_done);
    request->caller_is_gone = yes;
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    expect_words(request, 1, OUTCOME_NOT_SENT, "NOTSENT the caller has gone");
    expect_words(request, 2, OUTCOME_NOT_SENT, "NOTSENT the caller has gone");
    close_unseen(&stage, peer, "INCR");
}

/* It was refused, and would run again after a rest. */
Test(pool, whose_caller_has_gone_does_not_run_again)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, READONLY}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    incr->caller_is_gone = yes;
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_NOT_SENT,
                 "NOTSENT the caller has gone; before, it was refused: READONLY");
    pool_stage_close_with(&stage, peer);
}

/* ---- the same conditions for all of a request ---- */

static void check_not_overtaken(const struct peer_step *steps, bool stalled)
{
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000}};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *request =
        pool_stage_submit_as(&stage, AS_PIPELINE, "[[\"GET\",\"k\"],[\"SET\",\"k\",\"v\"]]");
    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    stage.stalled = stalled;
    pool_stage_publish(&stage, stalled ? fake_peer_address(peer) : NULL, 1, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    expect_words(request, 1, OUTCOME_NOT_SENT, "NOMASTER ");
    close_unseen(&stage, peer, "SET");
}

/* Its read is on the wire, and the node is served no longer: its write does not follow. */
Test(pool, a_pipeline_does_not_go_on_without_a_master)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET}, END};

    check_not_overtaken(steps, false);
    check_not_overtaken(steps, true);
}

/* ---- masters that are known no longer ---- */

static void publish_nothing(struct pool_stage *stage)
{
    struct snapshot *snapshot = snapshot_new(0);

    pool_take(stage->pool, snapshot);
    snapshot_unref(stage->snapshot);
    stage->snapshot = snapshot;
}

static bool all_closed(struct pool_stage *stage)
{
    struct pool_view view;

    return open_connections(stage) == 0 && !pool_look(stage->pool, "mymaster", &view);
}

Test(pool, what_belongs_to_a_master_that_left_is_closed)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(open_connections(&stage), 1);
    publish_nothing(&stage);
    pool_stage_run_until(&stage, all_closed);
    pool_stage_close_with(&stage, peer);
}

/* What is under way ends as it would have. */
Test(pool, a_master_that_left_is_kept_for_who_waits_for_an_answer)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");

    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    publish_nothing(&stage);
    pool_stage_run_for(&stage, 20);
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    pool_stage_run_until(&stage, all_closed);
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_master_that_left_and_is_back_serves)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n1\r\n"), END};
    static const struct peer_step again[] = {GREET, ANSWER(GET, "$1\r\n2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps),
                     *second = fake_peer_start("127.0.0.1", again);
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, peer);
    pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_run(&stage);
    publish_nothing(&stage);
    pool_stage_run_until(&stage, all_closed);
    /* it waits for the name */
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");
    pool_stage_publish_peer(&stage, second);
    pool_stage_run(&stage);
    expect_done(get, 0, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
    fake_peer_end(second);
}

/* ---- replicas ---- */

enum { REPLICAS = 9 };

/* As the watcher would publish them. @param healthy  how many of them, from the last one on. */
static void publish_replicas(struct pool_stage *stage, const struct address *replicas, size_t n,
                             size_t healthy)
{
    struct snapshot *snapshot = snapshot_new(1);
    struct snapshot_master *master = snapshot_master_new("mymaster");

    master->replicas = mem_new(n, sizeof(*master->replicas));
    master->n_replicas = n;
    for (size_t i = 0; i < n; i++) {
        master->replicas[i].healthy = i >= n - healthy;
        master->replicas[i].address = replicas[i];
    }
    snapshot->masters[0] = master;
    pool_take(stage->pool, snapshot);
    snapshot_unref(stage->snapshot);
    stage->snapshot = snapshot;
}

static struct pool_request *submit_to_replica(struct pool_stage *stage, const char *json)
{
    struct pool_request *request = mem_new(1, sizeof(*request));

    request->target = POOL_REPLICA;
    cr_assert_not(pool_stage_hand_in(stage, request, AS_PIPELINE, json));
    return request;
}

Test(pool, all_replicas_are_tried)
{
    static const struct peer_step steps[] = {GREET, ANSWER(GET, "$1\r\n9\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct address replicas[REPLICAS];
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    for (int i = 0; i < REPLICAS - 1; i++) {
        replicas[i] = fake_peer_dead_address();
        snprintf(replicas[i].host, sizeof(replicas[i].host), "127.0.0.%d", i + 2);
    }
    replicas[REPLICAS - 1] = *fake_peer_address(peer);
    publish_replicas(&stage, replicas, REPLICAS, REPLICAS);
    struct pool_request *request = submit_to_replica(&stage, "[[\"GET\",\"k\"]]");
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"9\"");
    pool_stage_close_with(&stage, peer);
}

#define INFO_FOO "*3\r\n" BULK(7, "COMMAND") BULK(4, "INFO") BULK(3, "foo")

static bool foo_is_judged(struct pool_stage *stage)
{
    return metric_read(&stage->counts->commands[METRIC_COMMAND_OUTCOME_BAD]) == 1;
}

/*
 * Its first read is on the wire to a replica that is healthy no longer: what follows goes to
 * another one.
 */
Test(pool, a_pipeline_does_not_go_on_with_a_replica_that_is_unhealthy)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INFO_FOO},
                                             {PEER_EXPECT, GET},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, "*1\r\n*-1\r\n"},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    static const struct peer_step next[] = {OPEN, ANSWER(GET, "$1\r\n2\r\n"), END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps),
                     *second = fake_peer_start("127.0.0.1", next);
    const struct address replicas[] = {*fake_peer_address(peer), *fake_peer_address(second)};
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    publish_replicas(&stage, replicas, 2, 2);
    struct pool_request *request =
        submit_to_replica(&stage, "[[\"GET\",\"k\"],[\"FOO\"],[\"GET\",\"k\"]]");
    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    publish_replicas(&stage, replicas, 2, 1);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, foo_is_judged);
    pool_stage_run_for(&stage, 20);
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"1\"");
    expect_words(request, 1, OUTCOME_BAD, "ERR unknown command");
    expect_done(request, 2, "{\"result\":\"2\"");
    pool_stage_close_with(&stage, peer);
    fake_peer_end(second);
}

/* ---- what those are told that waited in vain ---- */

Test(pool, the_fence_is_named_while_it_is_up)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000}};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_NOT_SENT, "NOTSENT fence: ");
    pool_stage_close_with(&stage, peer);
}

static bool is_held(struct pool_stage *stage)
{
    return metric_read(&stage->counts->fence_holds) == 1;
}

/* It was held at first; then there was no connection to the new master. */
Test(pool, it_is_the_last_wait_that_is_named)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct address dead = fake_peer_dead_address();
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000}};

    pool_stage_open(&stage);
    pool_stage_publish(&stage, fake_peer_address(peer), 1, FENCE_UP);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run_until(&stage, is_held);
    pool_stage_publish(&stage, &dead, 2, FENCE_DOWN);
    pool_stage_run(&stage);
    expect_words(incr, 0, OUTCOME_NOT_SENT, "NOTSENT no connection within 2000 ms: ");
    pool_stage_close_with(&stage, peer);
}

Test(pool, a_server_that_does_not_tell_its_commands_is_named)
{
    static const struct peer_step steps[] = {OPEN, {PEER_EXPECT, COMMAND}, END};
    struct pool_stage stage = {.config = {.command_timeout_ms = 2000, .connect_timeout_ms = 8000}};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *get = pool_stage_submit(&stage, "[\"GET\",\"k\"]");

    pool_stage_run(&stage);
    expect_words(get, 0, OUTCOME_NOT_SENT, "NOTSENT connection: the server has not answered");
    pool_stage_close_with(&stage, peer);
}

/* There is one, it lives, and it takes no more. */
Test(pool, a_connection_that_is_full_is_named)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_HOLD, NULL}, {PEER_SEND, "+"}, {PEER_HOLD, NULL}, END};
    enum { SIZE = 16 * 1024 * 1024 };
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct pool_stage stage = {.config = {.command_timeout_ms = 3000}};
    char *set = mem_new(SIZE + 40, 1);
    int at = sprintf(set, "[\"SET\",\"k\",\"");

    memset(set + at, 'x', SIZE);
    strcpy(set + at + SIZE, "\"]");
    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, peer);
    struct pool_request *large = pool_stage_submit(&stage, set);
    pool_stage_run_until(&stage, pool_stage_one_in_flight);
    pool_stage_run_for(&stage, 20);
    struct pool_request *incr = pool_stage_submit(&stage, "[\"INCR\",\"k\"]");
    pool_stage_run_for(&stage, 100);
    cr_expect_eq(metric_look(&stage.counts->waiting), 1);
    fake_peer_release(peer);
    pool_stage_run(&stage);
    expect_words(large, 0, OUTCOME_UNKNOWN, "UNKNOWN ");
    cr_expect(incr->commands[0].outcome == OUTCOME_NOT_SENT &&
                  strncmp(incr->commands[0].words, "NOTSENT queue: ", 15) == 0,
              "%s", incr->commands[0].words);
    fake_peer_release(peer);
    pool_stage_close_with(&stage, peer);
    free(set);
}
