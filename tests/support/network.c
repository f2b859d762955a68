/*
 * Network namespaces without names: each lives as long as a sleeping process of this test, so
 * nothing can be left behind and parallel tests can't meet. The veth pairs are made inside them.
 */
#include "network.h"

#include <string.h>
#include <unistd.h>

#include "process.h"
#include "scene.h"

static pid_t hold_namespace(void)
{
    const char *const argv[] = {"unshare", "-n", "sleep", "600", NULL};
    struct process *holder =
        process_start(&(struct process_spec){.name = "netns", .argv = argv, .may_die = true});
    char ours[64] = "", theirs[64] = "";

    (void)!readlink("/proc/self/ns/net", ours, sizeof(ours) - 1);
    const char *link = text("/proc/%d/ns/net", (int)holder->pid);
    for (const int64_t end = now_ms() + 3000; now_ms() < end; nap_ms(10)) {
        if (readlink(link, theirs, sizeof(theirs) - 1) > 0 && strcmp(ours, theirs) != 0) {
            return holder->pid;
        }
        if (process_ended(holder)) {
            break;
        }
    }
    return 0;
}

static bool in_namespace(pid_t pid, const char *command)
{
    const char *const argv[] = {"nsenter", "-t", text("%d", (int)pid), "-n", "sh", "-ec",
                                command,   NULL};
    const struct process_result result = process_run(5000, NULL, argv);

    if (result.exit_code != 0) {
        cr_log_warn("%s: %s", command, result.err);
    }
    return result.exit_code == 0;
}

struct network *network_start(void)
{
    struct network *network = scene_alloc(sizeof(*network));

    if (getuid() != 0 || !process_can_run("unshare") || !process_can_run("nsenter") ||
        !process_can_run("ip")) {
        scene_skip("needs root, unshare, nsenter and ip for network namespaces");
    }
    network->left = hold_namespace();
    network->middle = hold_namespace();
    network->right = hold_namespace();
    const char *links =
        text("ip link add left type veth peer name eth9 netns %d\n"
             "ip link add right type veth peer name eth9 netns %d\n"
             "ip link set lo up; ip addr add 10.9.1.1/24 dev left; ip link set left up\n"
             "ip addr add 10.9.2.1/24 dev right; ip link set right up\n"
             "echo 1 >/proc/sys/net/ipv4/ip_forward\n",
             (int)network->left, (int)network->right);
    if (network->left == 0 || network->middle == 0 || network->right == 0 ||
        !in_namespace(network->middle, links) ||
        !in_namespace(
            network->left,
            text("ip link set lo up; ip addr add " LEFT_IP
                 "/24 dev eth9; ip link set eth9 up; ip route add default via 10.9.1.1")) ||
        !in_namespace(
            network->right,
            text("ip link set lo up; ip addr add " RIGHT_IP
                 "/24 dev eth9; ip link set eth9 up; ip route add default via 10.9.2.1"))) {
        scene_skip("network namespaces or veth pairs can't be made here");
    }
    return network;
}

void network_cut(const struct network *network)
{
    cr_assert(in_namespace(network->middle, "echo 0 >/proc/sys/net/ipv4/ip_forward"));
}

void network_heal(const struct network *network)
{
    cr_assert(in_namespace(network->middle, "echo 1 >/proc/sys/net/ipv4/ip_forward"));
}
