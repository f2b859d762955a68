/* Peers whose host is gone: nothing tells of it but that nothing comes back. */
#include <linux/filter.h>
#include <sys/socket.h>

#include "forward_fixture.h"

TestSuite(forward_lost, .timeout = 60);

enum { LOST_MS = 300 };

/* The kernel acknowledges nothing on this socket any more, nor takes anything. */
static void vanish(int fd)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog program = {.len = 1, .filter = &drop};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

Test(forward_lost, a_client_that_takes_nothing_any_more)
{
    struct forward_stage stage = {.config = {.lost_ms = LOST_MS}};
    int node, client = forward_stage_open_joined(&stage, &node);

    vanish(client);
    forward_stage_run_for(&stage, 3 * LOST_MS);
    cr_expect_not(forward_stage_ended(node), "nothing was on its way: keep-alive's to find out");
    forward_stage_send(node, "+message\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(node));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_CLIENT), 1);
    forward_stage_close_joined(&stage, client, node);
}

Test(forward_lost, a_node_that_takes_nothing_any_more)
{
    struct forward_stage stage = {.config = {.lost_ms = LOST_MS}};
    int node, client = forward_stage_open_joined(&stage, &node);

    vanish(node);
    forward_stage_send(client, "INCR n\r\n");
    RUN_UNTIL(&stage, forward_stage_ended(client));
    cr_expect_eq(forward_stage_closed(&stage, METRIC_FORWARD_END_SERVER), 1);
    forward_stage_close_joined(&stage, client, node);
}

/* Somebody is there, and does not read: its host says so. */
Test(forward_lost, who_does_not_read_is_not_gone)
{
    struct forward_stage stage = {.config = {.lost_ms = LOST_MS}};
    int node, client = forward_stage_open_joined(&stage, &node);
    static char zeros[65536];
    size_t sent = 0, taken = 0;

    for (int64_t last_ms = clock_boot_ms(); clock_boot_ms() < last_ms + 5 * LOST_MS;) {
        ssize_t n = send(node, zeros, sizeof(zeros), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
            last_ms = clock_boot_ms();
        }
        forward_stage_turn(&stage);
    }
    cr_expect_not(forward_stage_ended(node));
    const int64_t end_ms = clock_boot_ms() + 10000;
    while (taken < sent && clock_boot_ms() < end_ms) {
        ssize_t n = recv(client, zeros, sizeof(zeros), MSG_DONTWAIT);

        taken += n > 0 ? (size_t)n : 0;
        forward_stage_turn(&stage);
    }
    cr_expect_eq(taken, sent);
    cr_expect_eq(metric_look(&stage.counts->connections[METRIC_FORWARD_TO_MASTER]), 1);
    forward_stage_close_joined(&stage, client, node);
}
