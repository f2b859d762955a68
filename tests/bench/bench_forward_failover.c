/*
 * Failovers of each kind as a plain client sees them that knows one address only: --forward, with
 * both ways to adopt a master, and HAProxy that asks each node for its role.
 */
#include <stdio.h>

#include "../support/ports.h"
#include "../support/scene.h"
#include "bench_forward.h"
#include "switch.h"

enum { ANNOUNCED, PROMOTED, CHECKED, CHECKED_OFTEN, N_PATHS };

/* As HAProxy's and others' pages have it for Redis with Sentinels. */
static void start_haproxy(const struct cluster *cluster, const char *name, uint16_t port,
                          const char *check)
{
    char *config =
        text("global\n nbthread 1\ndefaults\n mode tcp\n timeout connect 1s\n timeout client 1h\n"
             " timeout server 1h\nlisten redis\n bind 127.0.0.1:%u\n option tcp-check\n"
             " tcp-check connect\n tcp-check send PING\\r\\n\n tcp-check expect string +PONG\n"
             " tcp-check send INFO\\ replication\\r\\n\n tcp-check expect string role:master\n"
             " tcp-check send QUIT\\r\\n\n tcp-check expect string +OK\n",
             port);

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        config = text("%s server %s 127.0.0.1:%u check %s on-marked-down shutdown-sessions\n",
                      config, cluster->nodes[i].label, cluster->nodes[i].port, check);
    }
    (void)haproxy_start(name, config);
}

static struct daemon *start_daemon(const struct cluster *cluster, const char *adopt, uint16_t port)
{
    return daemon_start(cluster, "--adopt", adopt, "--forward", text("127.0.0.1:%u", port), NULL);
}

#define WRITER(a_column, its_options, path, is_ours) \
    { \
        .column = (a_column), .options = (its_options), \
        .argv = (const char *const[]){python, "tests/bench/peer_forward.py", NULL}, \
        .ports = TO_PORT, .port = ports[path], .keeps_all = (is_ours) \
    }

void bench_forward_failover(const struct bench_settings *settings)
{
    struct cluster *cluster = switch_cluster();
    uint16_t ports[N_PATHS];

    for (size_t i = 0; i < N_PATHS; i++) {
        ports[i] = port_reserve();
    }
    struct daemon *daemons[SWITCH_DAEMONS] = {start_daemon(cluster, "announced", ports[ANNOUNCED]),
                                              start_daemon(cluster, "promoted", ports[PROMOTED])};
    start_haproxy(cluster, "haproxy", ports[CHECKED], "inter 1s");
    start_haproxy(cluster, "haproxy-often", ports[CHECKED_OFTEN], "inter 500ms fall 1 rise 1");
    /* Debian's Python has Debian's redis-py, where another stands before it in PATH. */
    const char *python =
        process_run(20000, NULL, (const char *const[]){"python3", "-c", "import redis", NULL})
                    .exit_code == 0
            ? "python3"
            : "/usr/bin/python3";
    const struct writer_plan writers[N_PATHS] = {
        WRITER("forward, announced", " through --forward with --adopt announced", ANNOUNCED, true),
        WRITER("forward, promoted", " through --forward with --adopt promoted", PROMOTED, true),
        WRITER("HAProxy", " through HAProxy, tcp-check for role:master, inter 1s, fall 3, rise 2",
               CHECKED, false),
        WRITER("HAProxy, eager", " through HAProxy, the same with inter 500ms, fall 1, rise 1",
               CHECKED_OFTEN, false)};

    switch_measure(cluster, daemons, writers, N_PATHS, settings);
}
