/* How clients get to a node, and what becomes of them where it can't be had. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forward_fixture.h"

TestSuite(forward_node, .timeout = 60);

#define AUTH_S "*2\r\n$4\r\nAUTH\r\n$1\r\ns\r\n"

static int accept_now(const struct forward_stage *stage, size_t node)
{
    return accept4(stage->nodes[node], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void publish_another(struct forward_stage *stage, size_t node)
{
    stage->says.address = forward_stage_node(stage, node);
    stage->says.switches++;
    forward_stage_publish(stage);
}

/* Who rests from a node that can't be had does not rest from the one that takes its place. */
Test(forward_node, nobody_rests_from_another_one)
{
    struct forward_stage stage = {.config = {.wait_ms = 60000}};

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    forward_stage_refuse(&stage, 0);
    int client = forward_stage_client(&stage);
    RUN_UNTIL(&stage, stage.suspicions >= 4);
    cr_expect_eq(stage.suspected, SUSPICION_LOST);
    forward_stage_publish(&stage); /* the same one: it rests */
    publish_another(&stage, 1);
    int node = accept_now(&stage, 1); /* no turn of the loop later */
    cr_expect_geq(node, 0, "it rests still");
    close(client);
    close(node);
    forward_stage_close(&stage);
}

/* @param again  it is on its way to the node that refused it, once more. */
static void refuse_and_move(bool again)
{
    struct forward_stage stage = {.listen = {{.auth = true}},
                                  .password = "s",
                                  .config = {.wait_ms = 4000, .connect_timeout_ms = 60000}};

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    int client = forward_stage_client(&stage), node = forward_stage_accept(&stage, 0), more = -1;
    EXPECT_COMES(&stage, node, AUTH_S);
    forward_stage_send(node, "-WRONGPASS invalid\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    if (again) {
        more = forward_stage_accept(&stage, 0);
        EXPECT_COMES(&stage, more, AUTH_S);
    }
    publish_another(&stage, 1);
    int other = forward_stage_accept(&stage, 1); /* which says nothing */
    EXPECT_COMES(&stage, client, "-NOTSENT no connection within 4000 ms\r\n");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_AUTH), 0);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_NO_NODE), 1);
    close(client);
    close(node);
    close(more);
    close(other);
    forward_stage_close(&stage);
}

/* What a node said that is the master no longer is told of no other. */
Test(forward_node, a_refusal_is_the_nodes_own)
{
    refuse_and_move(false);
}

Test(forward_node, a_refusal_is_the_nodes_own_on_the_way_there)
{
    refuse_and_move(true);
}

/* Refuses whoever comes, until the client was told. */
static void refuse_all(struct forward_stage *stage, int client)
{
    while (!forward_stage_ended(client)) {
        int node = accept_now(stage, 0);

        (void)forward_stage_take(client);
        if (node >= 0) {
            RUN_UNTIL(stage, forward_stage_take(node)[0] != '\0' || forward_stage_ended(node));
            (void)send(node, "-WRONGPASS x\r\n", 14, MSG_NOSIGNAL);
            RUN_UNTIL(stage, forward_stage_ended(node));
            close(node);
        }
        forward_stage_turn(stage);
    }
}

Test(forward_node, a_refusal_is_counted_while_its_node_is_the_master)
{
    struct forward_stage stage = {
        .listen = {{.auth = true}}, .password = "s", .config = {.wait_ms = 3000}};

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    int client = forward_stage_client(&stage);
    refuse_all(&stage, client);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_AUTH), 1);
    close(client);
    client = forward_stage_client(&stage);
    int node = forward_stage_accept(&stage, 0);
    EXPECT_COMES(&stage, node, AUTH_S);
    forward_stage_send(node, "-WRONGPASS x\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    forward_stage_publish_nothing(&stage);
    EXPECT_COMES(&stage, client, "-NOMASTER no master within 3000 ms: not resolved yet\r\n");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_AUTH), 1);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_NO_NODE), 1);
    cr_expect_eq(stage.suspicions, 0, "it is there");
    close(client);
    close(node);
    forward_stage_close(&stage);
}

/* It is named, and the watcher is told what it is like. */
Test(forward_node, one_that_says_nothing)
{
    struct forward_stage stage = {.listen = {{.auth = true}},
                                  .password = "s",
                                  .config = {.wait_ms = 3000, .connect_timeout_ms = 50}};
    char text[ADDRESS_TEXT_SIZE], wanted[200];

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    const struct address at = forward_stage_node(&stage, 0);
    int client = forward_stage_client(&stage);
    snprintf(wanted, sizeof(wanted),
             "-NOTSENT no connection within 3000 ms: %s: it did not answer in time\r\n",
             address_format(&at, text));
    EXPECT_COMES(&stage, client, wanted);
    cr_expect_geq(stage.suspicions, 1);
    cr_expect_eq(stage.suspected, SUSPICION_SILENT);
    close(client);
    forward_stage_close(&stage);
}

/* ---- those who leave before there is one ---- */

static void reset(int fd)
{
    const struct linger hard = {.l_onoff = 1};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
}

/* Said nothing, half a command, or a whole one and that it is the last. */
static void speak(int client, size_t how)
{
    if (how > 0) {
        forward_stage_send(client, how == 1 ? "*1\r\n$4\r\nPI" : "PING\r\n");
    }
    if (how == 2) {
        cr_assert_eq(shutdown(client, SHUT_WR), 0);
    }
}

/* @param dials  there is a node, which says nothing, else there is none. */
static void leave(bool dials)
{
    enum { CLIENTS = 21 };
    struct forward_stage stage = {
        .listen = {{.auth = true}},
        .password = "s",
        .config = {.wait_ms = 60000, .connect_timeout_ms = 60000, .max_forwards = CLIENTS}};
    int clients[CLIENTS];

    forward_stage_open(&stage);
    if (dials) {
        forward_stage_publish(&stage);
    } else {
        forward_stage_publish_nothing(&stage);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = forward_stage_client(&stage);
        speak(clients[i], i % 3);
    }
    RUN_UNTIL(&stage, metric_look(&stage.counts->waiting) == CLIENTS);
    forward_stage_run_for(&stage, 60); /* they wait, and what was said is no end */
    cr_expect_eq(metric_look(&stage.counts->waiting), CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++) {
        reset(clients[i]);
    }
    RUN_UNTIL(&stage, metric_look(&stage.counts->waiting) == 0);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), CLIENTS);
    forward_stage_close(&stage);
}

Test(forward_node, a_client_that_resets_while_it_waits)
{
    leave(false);
}

Test(forward_node, a_client_that_resets_on_its_way)
{
    leave(true);
}

/* Who has asked for nothing and ends waits for nothing; who has asked is answered. */
Test(forward_node, a_client_that_says_its_last_while_it_waits)
{
    struct forward_stage stage = {.config = {.wait_ms = 60000}};

    forward_stage_open(&stage);
    forward_stage_publish_nothing(&stage);
    int asks = forward_stage_client(&stage), silent = forward_stage_client(&stage);
    speak(asks, 2);
    RUN_UNTIL(&stage, metric_look(&stage.counts->waiting) == 2);
    close(silent);
    RUN_UNTIL(&stage, metric_look(&stage.counts->waiting) == 1);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), 1);
    forward_stage_run_for(&stage, 60);
    forward_stage_publish(&stage);
    int node = forward_stage_accept(&stage, 0);
    EXPECT_COMES(&stage, node, "PING\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    forward_stage_send(node, "+PONG\r\n");
    EXPECT_COMES(&stage, asks, "+PONG\r\n");
    close(node);
    RUN_UNTIL(&stage, forward_stage_ended(asks));
    close(asks);
    forward_stage_close(&stage);
}
