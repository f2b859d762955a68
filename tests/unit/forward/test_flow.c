/* Bytes, memory, limits and ends. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/own_clock.h"
#include "bellwether/base/budget.h"
#include "forward_fixture.h"

TestSuite(forward_flow, .timeout = 60);

static int64_t processor_ms(void)
{
    struct rusage usage;

    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Until nobody takes any more for so long. @return how much. */
static size_t flood(struct forward_stage *stage, int from, int64_t quiet_ms)
{
    static char zeros[65536];
    size_t sent = 0;
    int64_t last_ms = clock_boot_ms();

    /* this process may be what stands still */
    for (int turns = 0; turns < 20 || clock_boot_ms() < last_ms + quiet_ms; turns++) {
        ssize_t n = send(from, zeros, sizeof(zeros), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
            last_ms = clock_boot_ms();
            turns = 0;
        }
        forward_stage_turn(stage);
    }
    return sent;
}

static size_t take_all(struct forward_stage *stage, int to, size_t size)
{
    static char bytes[65536];
    size_t taken = 0;
    const int64_t end_ms = clock_boot_ms() + 10000;

    while (taken < size && clock_boot_ms() < end_ms) {
        ssize_t n = recv(to, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n > 0) {
            taken += (size_t)n;
        } else {
            forward_stage_turn(stage);
        }
    }
    return taken;
}

/* Behind the fence answers need memory; without it they wait where they are. */
Test(forward_flow, no_memory_to_hold_answers)
{
    struct forward_stage stage = {0};
    int node, client;

    budget_limit(1 << 20);
    client = forward_stage_open_joined(&stage, &node);
    stage.says.fence = FENCE_UP;
    atomic_fetch_add(&stage.pulse.fences, 1);
    forward_stage_publish(&stage);
    budget_count(1 << 20);
    forward_stage_send(client, "INCR n\r\n");
    forward_stage_send(node, "+message\r\n");
    const int64_t before_ms = processor_ms(), began_ms = clock_boot_ms();
    forward_stage_run_for(&stage, 500);
    cr_expect_str_eq(forward_stage_take(client), "");
    cr_expect_str_eq(forward_stage_take(node), "");
    cr_expect_lt(processor_ms() - before_ms, (clock_boot_ms() - began_ms) / 2,
                 "it waits by asking");
    budget_count(-(1 << 20));
    EXPECT_COMES(&stage, client, "+message\r\n");
    stage.says.fence = FENCE_DOWN;
    forward_stage_publish(&stage);
    EXPECT_COMES(&stage, node, "INCR n\r\n");
    forward_stage_close_joined(&stage, client, node);
}

/* Nothing is kept then, and nobody who reads is hindered by those who do not. */
Test(forward_flow, no_memory)
{
    struct forward_stage stage = {0};
    int nodes[2], clients[2];

    budget_limit(1 << 20);
    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = forward_stage_joined(&stage, 0, &nodes[i]);
    }
    budget_count(1 << 20);
    const size_t out = flood(&stage, nodes[0], 150), in = flood(&stage, clients[0], 150);
    cr_expect_lt(budget_used(), (1 << 20) + 4096, "%zu", budget_used());
    forward_stage_send(clients[1], "INCR n\r\n");
    EXPECT_COMES(&stage, nodes[1], "INCR n\r\n");
    forward_stage_send(nodes[1], ":1\r\n");
    EXPECT_COMES(&stage, clients[1], ":1\r\n");
    const int64_t before_ms = processor_ms(), began_ms = clock_boot_ms();
    forward_stage_run_for(&stage, 500);
    cr_expect_lt(processor_ms() - before_ms, (clock_boot_ms() - began_ms) / 2,
                 "it waits by asking");
    cr_expect_eq(take_all(&stage, clients[0], out), out);
    cr_expect_eq(take_all(&stage, nodes[0], in), in);
    forward_stage_send(clients[0], "PING\r\n");
    EXPECT_COMES(&stage, nodes[0], "PING\r\n");
    budget_count(-(1 << 20));
    for (size_t i = 0; i < 2; i++) {
        close(clients[i]);
        close(nodes[i]);
    }
    forward_stage_close(&stage);
}

/* Who does not read holds one piece of memory, and stops whoever writes to it. */
Test(forward_flow, nobody_reads)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    const size_t out = flood(&stage, node, 150);
    cr_expect_leq(budget_used(), 64 * 1024 + 4096);
    const size_t in = flood(&stage, client, 150);
    cr_expect_leq(budget_used(), 2 * (64 * 1024 + 4096));
    cr_expect(in > 65536 && out > 65536);
    cr_expect_eq(take_all(&stage, client, out), out);
    cr_expect_eq(take_all(&stage, node, in), in);
    RUN_UNTIL(&stage, budget_used() < 4096);
    forward_stage_close_joined(&stage, client, node);
}

/* What was read before the fence and could not be passed on waits behind it as well. */
Test(forward_flow, what_is_kept_waits_behind_the_fence)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    const size_t all = flood(&stage, client, 150);
    const size_t kept = budget_used();
    cr_assert_gt(kept, 1024, "something is kept");
    stage.says.fence = FENCE_UP;
    atomic_fetch_add(&stage.pulse.fences, 1);
    forward_stage_publish(&stage);
    size_t taken = 0;
    for (const int64_t end_ms = clock_boot_ms() + 300; clock_boot_ms() < end_ms;) {
        char bytes[4096];
        ssize_t n = recv(node, bytes, sizeof(bytes), MSG_DONTWAIT);

        taken += n > 0 ? (size_t)n : 0;
        forward_stage_turn(&stage);
    }
    cr_expect_eq(budget_used(), kept, "it is still there");
    cr_expect_lt(taken, all - 1024);
    stage.says.fence = FENCE_DOWN;
    forward_stage_publish(&stage);
    cr_expect_eq(take_all(&stage, node, all - taken), all - taken);
    forward_stage_close_joined(&stage, client, node);
}

/* Whether its client closed or only shut its half can't be told: a node that is silent ends it. */
Test(forward_flow, half_closed_before_a_silent_node)
{
    struct forward_stage stage = {.config = {.wait_ms = 2000}};
    int node, client = forward_stage_open_joined(&stage, &node);

    forward_stage_send(client, "GET k\r\n");
    EXPECT_COMES(&stage, node, "GET k\r\n");
    close(client);
    RUN_UNTIL(&stage, forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT) == 1);
    cr_expect_eq(metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]), 0);
    close(node);
    forward_stage_close(&stage);
}

/* A slow reader of an answer is not taken for one that left. */
Test(forward_flow, half_closed_and_slow)
{
    struct forward_stage stage = {.config = {.wait_ms = 2000}};
    int node, client = forward_stage_open_joined(&stage, &node);

    forward_stage_send(client, "GET big\r\n");
    EXPECT_COMES(&stage, node, "GET big\r\n");
    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    const size_t out = flood(&stage, node, 150);
    forward_stage_run_for(&stage, 5000);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), 0);
    cr_expect_eq(take_all(&stage, client, out), out);
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_flow, half_closed_both_ways)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    forward_stage_send(client, "GET k\r\n");
    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    EXPECT_COMES(&stage, node, "GET k\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    cr_expect_not(forward_stage_ended(client));
    forward_stage_send(node, "$1\r\nv\r\n");
    EXPECT_COMES(&stage, client, "$1\r\nv\r\n");
    close(node);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), 1);
    close(client);
    client = forward_stage_joined(&stage, 0, &node);
    forward_stage_send(node, "-ERR bye\r\n");
    cr_assert_eq(shutdown(node, SHUT_WR), 0);
    EXPECT_COMES(&stage, client, "-ERR bye\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SERVER), 1);
    forward_stage_close_joined(&stage, client, node);
}

/* A node that hangs up on somebody who goes on talking: its last words come through. */
Test(forward_flow, last_words)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);

    (void)flood(&stage, client, 100); /* more than anybody takes */
    forward_stage_send(node, "-ERR bye\r\n");
    const struct linger hard = {.l_onoff = 1};
    cr_assert_eq(shutdown(node, SHUT_WR), 0);
    forward_stage_run_for(&stage, 30);
    cr_assert_eq(setsockopt(node, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(node);
    EXPECT_COMES(&stage, client, "-ERR bye\r\n");
    char byte;
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_eq(recv(client, &byte, 1, 0), 0, "an end, not a reset");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SERVER), 1);
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), 0);
    close(client);
    forward_stage_close(&stage);
}

/* The node resets while there is more from the client: the same. */
Test(forward_flow, a_reset)
{
    struct forward_stage stage = {0};
    int node, client = forward_stage_open_joined(&stage, &node);
    char byte;

    (void)flood(&stage, client, 100);
    const struct linger hard = {.l_onoff = 1};
    cr_assert_eq(setsockopt(node, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(node);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_eq(recv(client, &byte, 1, 0), 0, "an end, not a reset");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SERVER), 1);
    close(client);
    forward_stage_close(&stage);
}

Test(forward_flow, too_many)
{
    struct forward_stage stage = {.config = {.max_forwards = 2}};
    int nodes[2], clients[2], more[80];

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = forward_stage_joined(&stage, 0, &nodes[i]);
    }
    for (size_t i = 0; i < 80; i++) {
        more[i] = forward_stage_client(&stage);
    }
    RUN_UNTIL(&stage, forward_stage_closed(&stage, METRIC_FORWARD_END_LIMIT) == 80);
    size_t told = 0;
    for (size_t i = 0; i < 80; i++) {
        told += strcmp(forward_stage_take(more[i]), "-ERR max number of clients reached\r\n") == 0;
        RUN_UNTIL(&stage, forward_stage_ended(more[i]));
        close(more[i]);
    }
    cr_expect_geq(told, FORWARD_REFUSED_AT_ONCE, "%zu", told);
    close(clients[0]);
    RUN_UNTIL(&stage, forward_stage_ended(nodes[0]));
    close(nodes[0]);
    RUN_UNTIL(&stage, metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]) == 1);
    forward_stage_run_for(&stage, 50);
    clients[0] = forward_stage_joined(&stage, 0, &nodes[0]);
    for (size_t i = 0; i < 2; i++) {
        close(clients[i]);
        close(nodes[i]);
    }
    forward_stage_close(&stage);
}

/* Who was told the end takes nobody's place, though it does not go. */
Test(forward_flow, those_who_stay_behind)
{
    struct forward_stage stage = {.config = {.max_forwards = 3}};
    int nodes[3], clients[3], refused[10], anew[3], at[3];

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    for (size_t i = 0; i < 3; i++) {
        clients[i] = forward_stage_joined(&stage, 0, &nodes[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        refused[i] = forward_stage_client(&stage);
        EXPECT_COMES(&stage, refused[i], "-ERR max number of clients reached\r\n");
    }
    stage.says.address = forward_stage_node(&stage, 1);
    stage.says.switches++;
    forward_stage_publish(&stage);
    for (size_t i = 0; i < 3; i++) {
        anew[i] = forward_stage_joined(&stage, 1, &at[i]);
    }
    cr_expect_eq(metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]), 3);
    for (size_t i = 0; i < 10; i++) {
        close(refused[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
        close(nodes[i]);
        close(anew[i]);
        close(at[i]);
    }
    forward_stage_close(&stage);
}

/* @return whether the other side still takes what is sent, to drop it. */
static bool is_heard(struct forward_stage *stage, int fd)
{
    bool heard = true;

    for (int i = 0; i < 3 && heard; i++) {
        heard = send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
        forward_stage_turn(stage);
    }
    return heard;
}

/* They hold a descriptor each: beyond so many they are just closed. */
Test(forward_flow, those_who_stay_behind_are_bounded)
{
    enum { MOST = 2 + FORWARD_REFUSED_AT_ONCE, CLIENTS = MOST + 5 };
    struct forward_stage stage = {.config = {.max_forwards = 2}};
    int clients[CLIENTS];

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    (void)own_clock_stop(); /* else the first may have stayed long enough before the last comes */
    for (size_t i = 0; i < CLIENTS; i++) {
        int node;

        clients[i] = forward_stage_joined(&stage, 0, &node);
        close(node);
        RUN_UNTIL(&stage, forward_stage_closed(&stage, METRIC_FORWARD_END_SERVER) == i + 1);
    }
    cr_expect_not(is_heard(&stage, clients[CLIENTS - 1]), "too many stay: it is gone");
    own_clock_go(0);
    for (size_t i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
    for (size_t i = 0; i < 2; i++) { /* and when few do, one may stay for a while */
        int node, client = forward_stage_joined(&stage, 0, &node);

        (void)own_clock_stop();
        close(node);
        RUN_UNTIL(&stage, forward_stage_ended(client));
        cr_expect(is_heard(&stage, client));
        own_clock_go(0);
        close(client);
    }
    forward_stage_close(&stage);
}

/* ---- getting there ---- */

static void say_replicas(struct forward_stage *stage, bool first, bool second)
{
    stage->n_replicas = FORWARD_STAGE_REPLICAS;
    for (size_t i = 0; i < FORWARD_STAGE_REPLICAS; i++) {
        stage->replicas[i] = (struct snapshot_replica){.address = forward_stage_node(stage, 1 + i),
                                                       .healthy = i == 0 ? first : second,
                                                       .lag_bytes = 0,
                                                       .lag_at_ms = clock_boot_ms() + 60000};
    }
    forward_stage_publish(stage);
}

Test(forward_flow, a_node_that_refuses)
{
    struct forward_stage stage = {.config = {.wait_ms = 3000}};
    int client;

    forward_stage_open(&stage);
    forward_stage_publish(&stage);
    const struct address at = forward_stage_node(&stage, 0);
    forward_stage_refuse(&stage, 0);
    client = forward_stage_client(&stage);
    char text[ADDRESS_TEXT_SIZE], wanted[200];
    snprintf(wanted, sizeof(wanted),
             "-NOTSENT no connection within 3000 ms: %s: Connection refused\r\n",
             address_format(&at, text));
    EXPECT_COMES(&stage, client, wanted);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_gt(stage.suspicions, 1);
    close(client);
    forward_stage_close(&stage);
}

/* Many wait for a node whose host is gone: clients of another forward are none the worse. */
Test(forward_flow, a_node_that_takes_nobody_in)
{
    enum { MANY = 150 };
    struct forward_stage stage = {
        .listen = {[1] = {.to = FORWARD_TO_REPLICA}},
        .config = {.max_forwards = 1000, .wait_ms = 60000, .connect_timeout_ms = 60000}};
    int clients[MANY], filler[4];
    struct sockaddr_in at;
    socklen_t size = sizeof(at);

    forward_stage_open(&stage);
    cr_assert_eq(listen(stage.nodes[0], 0), 0);
    cr_assert_eq(getsockname(stage.nodes[0], (struct sockaddr *)&at, &size), 0);
    for (size_t i = 0; i < 4; i++) { /* its queue is full */
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(filler[i], (const struct sockaddr *)&at, sizeof(at));
    }
    say_replicas(&stage, true, true);
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = forward_stage_client(&stage);
    }
    RUN_UNTIL(&stage, metric_look(&stage.counts->waiting) == MANY);
    forward_stage_run_for(&stage, 50);
    int other = forward_stage_client_of(&stage, 1), node = forward_stage_accept(&stage, 1);
    forward_stage_send(other, "PING\r\n");
    EXPECT_COMES(&stage, node, "PING\r\n");
    cr_expect_eq(metric_look(&stage.counts->waiting), MANY);
    for (size_t i = 0; i < MANY; i++) {
        close(clients[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        close(filler[i]);
    }
    close(other);
    close(node);
    forward_stage_close(&stage);
}

/* ---- replicas ---- */

Test(forward_flow, replicas_in_turn_and_no_fence_for_them)
{
    struct forward_stage stage = {.listen = {{.to = FORWARD_TO_REPLICA}}};
    int nodes[4], clients[4];

    forward_stage_open(&stage);
    say_replicas(&stage, true, true);
    for (size_t i = 0; i < 4; i++) {
        clients[i] = forward_stage_joined(&stage, 1 + i % 2, &nodes[i]);
    }
    stage.says.fence = FENCE_PROMOTING;
    atomic_fetch_add(&stage.pulse.fences, 1);
    say_replicas(&stage, true, true);
    forward_stage_send(clients[0], "GET k\r\n");
    EXPECT_COMES(&stage, nodes[0], "GET k\r\n");
    /* One is unhealthy; the other one is the master. */
    say_replicas(&stage, false, true);
    RUN_UNTIL(&stage, forward_stage_ended(clients[0]) && forward_stage_ended(clients[2]));
    cr_expect_not(forward_stage_ended(clients[1]) || forward_stage_ended(clients[3]));
    stage.says.fence = FENCE_DOWN;
    stage.says.address = forward_stage_node(&stage, 2);
    stage.says.switches++;
    stage.n_replicas = 1;
    forward_stage_publish(&stage);
    RUN_UNTIL(&stage, forward_stage_ended(clients[1]) && forward_stage_ended(clients[3]));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_UNHEALTHY), 4);
    for (size_t i = 0; i < 4; i++) {
        close(clients[i]);
        close(nodes[i]);
    }
    forward_stage_close(&stage);
}

Test(forward_flow, the_lag_of_replicas)
{
    struct forward_stage stage = {.listen = {{.to = FORWARD_TO_REPLICA}},
                                  .config = {.wait_ms = 3000, .replica_max_lag_bytes = 100}};
    int node, client;

    forward_stage_open(&stage);
    say_replicas(&stage, true, false);
    client = forward_stage_joined(&stage, 1, &node);
    /* As little as may be, and not known for a while: it stays. */
    stage.replicas[0].lag_bytes = 100;
    forward_stage_publish(&stage);
    stage.replicas[0].lag_bytes = -1;
    forward_stage_publish(&stage);
    forward_stage_run_for(&stage, 30);
    cr_expect_not(forward_stage_ended(client));
    /* But nobody else is sent there. */
    int other = forward_stage_client(&stage);
    EXPECT_COMES(&stage, other, "-NOTSENT no healthy replica within 3000 ms\r\n");
    stage.replicas[0].lag_bytes = 101;
    stage.replicas[0].lag_at_ms = clock_boot_ms() + 60000;
    forward_stage_publish(&stage);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    close(other);
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_flow, the_master_where_no_replica_will_do)
{
    struct forward_stage stage = {.listen = {{.to = FORWARD_TO_REPLICA}},
                                  .config = {.replica_fallback = true}};
    int node, client, other, others_node;

    forward_stage_open(&stage);
    say_replicas(&stage, false, false);
    client = forward_stage_joined(&stage, 0, &node);
    cr_expect_eq(metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]), 1);
    say_replicas(&stage, false, true);
    other = forward_stage_joined(&stage, 2, &others_node);
    forward_stage_send(client, "GET k\r\n");
    EXPECT_COMES(&stage, node, "GET k\r\n");
    /* It is a client of the master like any other. */
    stage.says.fence = FENCE_UP;
    atomic_fetch_add(&stage.pulse.fences, 1);
    forward_stage_publish(&stage);
    forward_stage_send(client, "GET k\r\n");
    forward_stage_run_for(&stage, 60);
    cr_expect_str_eq(forward_stage_take(node), "");
    close(client);
    close(node);
    close(other);
    close(others_node);
    forward_stage_close(&stage);
}

Test(forward_flow, a_master_that_hangs_does_not_stand_in)
{
    struct forward_stage stage = {
        .listen = {{.to = FORWARD_TO_REPLICA}},
        .config = {.replica_fallback = true, .replica_max_lag_bytes = 100}};
    int node, client;

    forward_stage_open(&stage);
    say_replicas(&stage, true, false);
    /* It has not said again how far they lag, and is still what /master says. */
    stage.replicas[0].lag_at_ms = clock_boot_ms() - LAG_FRESH_MS - 1;
    stage.replicas[1].lag_bytes = -1;
    forward_stage_publish(&stage);
    client = forward_stage_client(&stage);
    forward_stage_run_for(&stage, 60);
    cr_expect_eq(metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]), 0);
    cr_expect_eq(metric_look(&stage.counts->waiting), 1);
    /* Where it may not be asked nothing is overdue. */
    stage.says.state = MASTER_UNVERIFIED;
    forward_stage_publish(&stage);
    node = forward_stage_accept(&stage, 0);
    RUN_UNTIL(&stage, metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]) == 1);
    close(node);
    close(client);
    RUN_UNTIL(&stage, metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]) == 0);
    stage.says.state = MASTER_OK;
    forward_stage_publish(&stage);
    client = forward_stage_client(&stage);
    forward_stage_run_for(&stage, 60);
    cr_expect_eq(metric_look(&stage.counts->waiting), 1);
    /* It has, and none is near enough. */
    stage.replicas[0].lag_bytes = 101;
    stage.replicas[0].lag_at_ms = clock_boot_ms() + 60000;
    forward_stage_publish(&stage);
    node = forward_stage_accept(&stage, 0);
    RUN_UNTIL(&stage, metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]) == 1);
    forward_stage_close_joined(&stage, client, node);
}

/* ---- the end of the worker ---- */

Test(forward_flow, what_was_sent_is_answered_before_the_end)
{
    struct forward_stage stage = {0};
    int node, client, idle, idles_node, silent, silents_node;

    client = forward_stage_open_joined(&stage, &node);
    idle = forward_stage_joined(&stage, 0, &idles_node);
    silent = forward_stage_client(&stage);
    silents_node = forward_stage_accept(&stage, 0);
    RUN_UNTIL(&stage, metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]) == 3);
    forward_stage_send(client, "A\r\nB\r\nC\r\n");
    EXPECT_COMES(&stage, node, "A\r\nB\r\nC\r\n");
    (void)own_clock_stop(); /* however long this takes, answers come in time */
    forwards_drain(stage.forwards);
    cr_expect(forwards_are_busy(stage.forwards));
    forward_stage_send(client, "D\r\n"); /* comes too late */
    RUN_UNTIL(&stage, forward_stage_ended(silent));
    for (size_t i = 0; i < 3; i++) { /* piece by piece */
        const char *const answers[] = {"+a\r\n", "+b\r\n", "+c\r\n"};

        forward_stage_send(node, answers[i]);
        EXPECT_COMES(&stage, client, answers[i]);
        for (int turns = 0; turns < 10; turns++) {
            forward_stage_turn(&stage);
        }
        cr_expect(forwards_are_busy(stage.forwards));
    }
    own_clock_go(0);
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect(forward_stage_ended(idle));
    cr_expect_not(forwards_are_busy(stage.forwards));
    cr_expect_str_eq(forward_stage_take(node), "");
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SHUTDOWN), 3);
    close(client);
    close(node);
    close(idle);
    close(idles_node);
    close(silent);
    close(silents_node);
    forward_stage_close(&stage);
}
