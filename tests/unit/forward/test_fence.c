/* When bytes are moved and when they are not: the fence, the promotion, the switch. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/own_clock.h"
#include "forward_fixture.h"

TestSuite(forward_fence, .timeout = 60);

/* The master's fence, as the watcher tells of it. */
static void say_fence(struct forward_stage *stage, enum fence fence)
{
    if (fence > stage->says.fence) {
        atomic_fetch_add(&stage->pulse.fences, 1);
    }
    if (fence == FENCE_PROMOTING) {
        stage->says.promoting_ms = clock_boot_ms();
    }
    stage->says.fence = fence;
    forward_stage_publish(stage);
}

static void say_switch(struct forward_stage *stage, size_t node)
{
    stage->says.fence = FENCE_DOWN;
    stage->says.address = forward_stage_node(stage, node);
    stage->says.switches++;
    forward_stage_publish(stage);
}

Test(forward_fence, clients_are_not_read_behind_it)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    say_fence(&stage, FENCE_UP);
    forward_stage_send(client, "INCR n\r\n");
    forward_stage_run_for(&stage, 200);
    cr_expect_str_eq(forward_stage_take(node), "");
    say_fence(&stage, FENCE_DOWN);
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    forward_stage_send(node, ":1\r\n");
    EXPECT_COMES(&stage, client, ":1\r\n");
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, answers_behind_it_are_passed_on_after_a_moment)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);
    int64_t said_ms;

    forward_stage_send(client, "SLOW\r\n");
    EXPECT_COMES(&stage, node, "SLOW\r\n");
    say_fence(&stage, FENCE_UP);
    said_ms = clock_boot_ms();
    forward_stage_send(node, "+OK\r\n");
    EXPECT_COMES(&stage, client, "+OK\r\n");
    cr_expect_geq(clock_boot_ms() - said_ms, 50);
    /* The fence comes down: at once. */
    forward_stage_send(node, "+more\r\n");
    forward_stage_run_for(&stage, 10);
    say_fence(&stage, FENCE_DOWN);
    EXPECT_COMES(&stage, client, "+more\r\n");
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, answers_of_a_promotion_are_dropped)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    say_fence(&stage, FENCE_UP);
    (void)own_clock_stop(); /* however long this takes, it was said just before */
    forward_stage_send(node, "+OK\r\n");
    forward_stage_turn(&stage);
    forward_stage_turn(&stage);
    say_fence(&stage, FENCE_PROMOTING);
    own_clock_go(0);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_str_eq(forward_stage_take(client), "");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_PROMOTION), 1);
    forward_stage_close_joined(&stage, client, node);
}

/* Held because this thread is behind, and old enough when it learns why. */
Test(forward_fence, an_answer_from_long_before_a_promotion_is_passed_on)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    atomic_fetch_add(&stage.pulse.fences, 1);
    forward_stage_send(node, "+OK\r\n");
    forward_stage_run_for(&stage, 150);
    cr_expect_str_eq(forward_stage_take(client), "", "who is behind passes nothing on");
    forward_stage_send(client, "INCR n\r\n");
    forward_stage_run_for(&stage, 50);
    cr_expect_str_eq(forward_stage_take(node), "", "either way");
    say_fence(&stage, FENCE_PROMOTING);
    EXPECT_COMES(&stage, client, "+OK\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_str_eq(forward_stage_take(node), "");
    forward_stage_close_joined(&stage, client, node);
}

/* The watcher has told of a gap in its time, and not yet read what it missed. */
Test(forward_fence, a_master_that_is_not_confirmed)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    stage.says.reason = REASON_WATCHER_STALLED;
    forward_stage_publish(&stage);
    forward_stage_send(node, "+OK\r\n");
    forward_stage_send(client, "INCR n\r\n");
    forward_stage_run_for(&stage, 150);
    cr_expect_str_eq(forward_stage_take(client), "");
    cr_expect_str_eq(forward_stage_take(node), "");
    stage.says.reason = REASON_NONE;
    forward_stage_publish(&stage);
    EXPECT_COMES(&stage, client, "+OK\r\n");
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    forward_stage_close_joined(&stage, client, node);
}

/* What it was behind of is another master's, and its client has nothing more to say. */
Test(forward_fence, held_for_nothing)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    RUN_UNTIL(&stage, forward_stage_ended(node));
    atomic_fetch_add(&stage.pulse.fences, 1);
    forward_stage_send(node, "+OK\r\n");
    forward_stage_run_for(&stage, 100);
    cr_expect_str_eq(forward_stage_take(client), "");
    forward_stage_publish_the_same(&stage);
    EXPECT_COMES(&stage, client, "+OK\r\n");
    forward_stage_close_joined(&stage, client, node);
}

/* It stood still, as all of the process did: what has come to it by now it hears later. */
static void be_late(struct forward_stage *stage, int64_t by_ms)
{
    atomic_store(&stage->pulse.heard_boot_ms, clock_boot_ms() - by_ms);
}

static void hear(struct forward_stage *stage)
{
    be_late(stage, 0);
    forwards_heard(stage->forwards);
}

Test(forward_fence, an_answer_waits_for_a_watcher_that_is_late)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    be_late(&stage, 1000);
    forward_stage_send(client, "INCR n\r\n");
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    cr_expect_eq(stage.heard_asked, 1, "with the command, not with its answer");
    forward_stage_send(node, ":1\r\n");
    forward_stage_run_for(&stage, 150);
    cr_expect_str_eq(forward_stage_take(client), "");
    hear(&stage);
    cr_expect_str_eq(forward_stage_take(client), ":1\r\n", "not at once");
    /* nor for another moment */
    forward_stage_send(node, "+more\r\n");
    EXPECT_COMES(&stage, client, "+more\r\n");
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, what_a_late_watcher_hears_is_a_promotion)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    be_late(&stage, 1000);
    stage.says.promoting_ms = stage.pulse.heard_boot_ms; /* before the node answers */
    forward_stage_send(node, ":1\r\n");
    forward_stage_run_for(&stage, 100);
    atomic_fetch_add(&stage.pulse.fences, 1);
    hear(&stage);
    cr_expect_str_eq(forward_stage_take(client), "");
    stage.says.fence = FENCE_PROMOTING;
    forward_stage_publish(&stage);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, a_watcher_is_asked_before_it_is_late)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    (void)own_clock_stop(); /* however long this takes */
    be_late(&stage, 0);
    stage.heard_asked = 0;
    forward_stage_send(client, "GET k\r\n");
    EXPECT_COMES(&stage, node, "GET k\r\n");
    own_clock_go(0);
    be_late(&stage, -10000);
    forward_stage_send(node, "$-1\r\n");
    EXPECT_COMES(&stage, client, "$-1\r\n");
    cr_expect_eq(stage.heard_asked, 0);
    be_late(&stage, 30);
    forward_stage_send(client, "GET k\r\n");
    EXPECT_COMES(&stage, node, "GET k\r\n");
    cr_expect_eq(stage.heard_asked, 1);
    be_late(&stage, -10000);
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, a_watcher_that_gives_no_sign_of_life)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    stage.silent = true;
    atomic_store(&stage.pulse.at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    forward_stage_send(client, "INCR n\r\n");
    forward_stage_run_for(&stage, 100);
    cr_expect_str_eq(forward_stage_take(node), "");
    int late = forward_stage_client(&stage);
    forward_stage_run_for(&stage, 100);
    cr_expect_lt(accept4(stage.nodes[0], NULL, NULL, SOCK_NONBLOCK), 0, "nobody knows the master");
    stage.silent = false;
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    int other = forward_stage_accept(&stage, 0);
    close(late);
    close(other);
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, a_switch_closes_those_who_spoke_and_takes_the_others_along)
{
    struct forward_stage stage = {.config = {.wait_ms = 3000}};
    int node, client, silent, silents_node;

    client = forward_stage_open_joined(&stage, &node);
    silent = forward_stage_client(&stage);
    silents_node = forward_stage_accept(&stage, 0);
    forward_stage_run_for(&stage, 3200); /* longer than anybody waits for a master */
    say_fence(&stage, FENCE_UP);
    forward_stage_run_for(&stage, 30);
    say_fence(&stage, FENCE_PROMOTING);
    RUN_UNTIL(&stage, forward_stage_ended(client) && forward_stage_ended(node) &&
                          forward_stage_ended(silents_node));
    forward_stage_run_for(&stage, 50);
    cr_expect_not(forward_stage_ended(silent));
    say_switch(&stage, 1);
    int anew = forward_stage_accept(&stage, 1);
    forward_stage_send(silent, "INCR n\r\n");
    EXPECT_COMES(&stage, anew, "INCR n\r\n");
    forward_stage_send(anew, ":1\r\n");
    EXPECT_COMES(&stage, silent, ":1\r\n");
    close(client);
    close(node);
    close(silents_node);
    /* And a switch of which nothing was said before. */
    say_switch(&stage, 2);
    RUN_UNTIL(&stage, forward_stage_ended(silent) && forward_stage_ended(anew));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SWITCH), 1);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_PROMOTION), 1);
    close(silent);
    close(anew);
    forward_stage_close(&stage);
}

/* The same address once more is another master: what was said in between went elsewhere. */
Test(forward_fence, there_and_back_again_unseen)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    stage.says.switches += 2;
    forward_stage_publish(&stage);
    RUN_UNTIL(&stage, forward_stage_ended(client) && forward_stage_ended(node));
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, a_master_that_is_away_for_a_while_keeps_its_clients)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    stage.says.state = MASTER_DOWN;
    stage.says.has_address = false;
    forward_stage_publish(&stage);
    forward_stage_send(client, "INCR n\r\n");
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    stage.says.state = MASTER_OK;
    stage.says.has_address = true;
    forward_stage_publish(&stage);
    forward_stage_run_for(&stage, 50);
    cr_expect_not(forward_stage_ended(client));
    forward_stage_publish_nothing(&stage);
    RUN_UNTIL(&stage, forward_stage_ended(client) && forward_stage_ended(node));
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_fence, nobody_is_joined_behind_it)
{
    struct forward_stage stage = {.config = {.wait_ms = 200}};
    int client;

    forward_stage_open(&stage);
    stage.says.contradicted = true;
    say_fence(&stage, FENCE_UP);
    client = forward_stage_client(&stage);
    EXPECT_COMES(&stage, client,
                 "-NOMASTER most Sentinels name another node than the master, and both say master: "
                 "that came to no end within 200 ms\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(client));
    close(client);
    stage.says.contradicted = false;
    forward_stage_publish(&stage);
    client = forward_stage_client(&stage);
    EXPECT_COMES(&stage, client, "-NOMASTER a failover came to no end within 200 ms\r\n");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_NO_NODE), 2);
    close(client);
    forward_stage_close(&stage);
}
