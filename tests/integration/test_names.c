/* Host names, IPv6, and addresses that need translating. */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_names);

SCENE(integration_names, announced_host_names)
{
    struct cluster *cluster = cluster_prepare(
        &(struct cluster_spec){.hostnames = true, .down_after_ms = CLUSTER_STEADY_MS});

    cluster_run(cluster);
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *old = &cluster->nodes[0];
    EXPECT_MASTER(daemon, old, 4000);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert_str_eq(http_string(answer, "host"), "localhost");
    cr_assert_str_eq(http_string(answer, "url"), text("redis://localhost:%u", old->port));
    cr_assert_str_eq(http_string(answer, "state"), "ok");
    EXPECT_REASON(daemon, NULL, 12000);
    cr_assert_eq(http_number(daemon_get(daemon, "/sentinels"), "known"), 3);
    cluster_failover(cluster);
    struct server *next = cluster_wait_switch(cluster, old, 30000);
    EXPECT_MASTER(daemon, next, 1500);
}

SCENE(integration_names, toggling_announced_names_is_no_failover)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *sentinel = &cluster->sentinels[0];
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const char *since = http_string(daemon_get(daemon, "/master"), "since");
    /* the same node, now called by a name */
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL CONFIG SET resolve-hostnames yes"), "OK");
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL CONFIG SET announce-hostnames yes"), "OK");
    HOLDS_FOR(3000, status_of(daemon, "/master") == 200);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert(json_is_null(http_value(answer, "previous")), "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "since"), since);
}

/* This Sentinel calls the node `localhost`, the others go on with its IP address. */
static void call_by_name(struct cluster *cluster, const struct server *sentinel,
                         const struct server *node)
{
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL CONFIG SET resolve-hostnames yes"), "OK");
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL CONFIG SET announce-hostnames yes"), "OK");
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL REMOVE %s", cluster->name), "OK");
    cr_assert_str_eq(redis_say(sentinel, "SENTINEL MONITOR %s localhost %d %d", cluster->name,
                               (int)node->port, (int)cluster->quorum),
                     "OK");
    WAIT_UNTIL(15000,
               strcmp(sentinel_says(sentinel, cluster->name), text("localhost:%u", node->port)) ==
                       0 &&
                   strstr(redis_say(sentinel, "SENTINEL CKQUORUM %s", cluster->name), "OK 3"));
}

SCENE(integration_names, one_node_by_a_name_and_by_its_ip)
{
    /* where /etc/hosts has it so, localhost is ::1 as well */
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 2, .node_conf = "bind 127.0.0.1 -::1\n"});
    struct server *old = &cluster->nodes[0];

    call_by_name(cluster, &cluster->sentinels[0], old);
    const struct daemon *daemon = daemon_start(cluster, "--poll-interval", "200ms", NULL);
    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200 && says_reason(daemon, NULL));
    const char *address = text("%s", http_string(daemon_get(daemon, "/master"), "address"));
    const char *since = text("%s", http_string(daemon_get(daemon, "/master"), "since"));
    WAIT_UNTIL(5000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    const char *listed = daemon_get(daemon, "/sentinels")->body;
    cr_assert(strstr(listed, text("\"says\":\"localhost:%u\"", old->port)) &&
                  strstr(listed, text("\"says\":\"127.0.0.1:%u\"", old->port)),
              "%s", listed);
    HOLDS_FOR(2500,
              says_reason(daemon, NULL) &&
                  strcmp(http_string(daemon_get(daemon, "/master"), "address"), address) == 0);
    cr_assert(json_is_null(http_value(daemon_get(daemon, "/master"), "previous")));
    cr_assert_str_eq(http_string(daemon_get(daemon, "/master"), "since"), since);
    WAIT_UNTIL(25000, json_is_integer(
                          http_value(daemon_get(daemon, "/replicas"), "replicas.0.lag_bytes")));
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")), 1, "%s",
                 http_text(daemon_get(daemon, "/replicas")));
    /* Neither text is another address. */
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < 2; i++) {
        const int64_t asked_ms = now_ms();

        cr_assert_eq(
            status_of(daemon, text("/master?unless=%s:%u&wait=600ms", hosts[i], old->port)), 200);
        cr_assert_geq(now_ms() - asked_ms, 500, "%s", hosts[i]);
    }
    cluster_failover(cluster);
    WAIT_UNTIL(30000, http_number(daemon_get(daemon, "/master"), "port") == cluster->nodes[1].port);
    WAIT_UNTIL(30000, http_string(daemon_get(daemon, "/failovers?limit=1"),
                                  "failovers.0.ended")[0] == '2');
    const struct http_answer *failovers = daemon_get(daemon, "/failovers");
    cr_assert_eq(json_array_size(http_value(failovers, "failovers")), 1, "%s",
                 http_text(failovers));
    cr_assert_str_eq(http_string(failovers, "failovers.0.outcome"), "switched", "%s",
                     http_text(failovers));
    cr_assert_str_eq(http_string(failovers, "failovers.0.from"), address);
}

SCENE(integration_names, ipv6)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.host = "::1", .down_after_ms = CLUSTER_STEADY_MS});
    struct server *old = &cluster->nodes[0];
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, old, 4000);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert_str_eq(http_string(answer, "host"), "::1");
    cr_assert_str_eq(http_string(answer, "address"), text("[::1]:%u", old->port));
    cr_assert_str_eq(http_string(answer, "url"), text("redis://[::1]:%u", old->port));
    cr_assert_str_eq(daemon_get(daemon, "/master?format=text")->body,
                     text("[::1]:%u\n", old->port));
    EXPECT_REASON(daemon, NULL, 12000);
    cr_assert_eq(http_number(daemon_get(daemon, "/sentinels"), "known"), 3);
    WAIT_UNTIL(12000,
               json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) == 2);
    cluster_failover(cluster);
    EXPECT_MASTER(daemon, cluster_wait_switch(cluster, old, 30000), 1500);
}

SCENE(integration_names, nat_map_for_a_host)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .node_conf = "bind 127.0.0.1 127.0.0.2\n", .sentinel_conf = "bind 127.0.0.1 127.0.0.2\n"});
    const struct daemon *daemon = daemon_start(cluster, "--map", "127.0.0.1=127.0.0.2", NULL);
    struct server *old = &cluster->nodes[0];

    WAIT_UNTIL(4000, status_of(daemon, "/master") == 200);
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert_str_eq(http_string(answer, "address"), text("127.0.0.2:%u", old->port), "%s",
                     http_text(answer));
    cr_assert_str_eq(http_string(answer, "state"), "ok");
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    EXPECT_REASON(daemon, NULL, 5000);
    cluster_failover(cluster);
    const struct server *next = cluster_wait_switch(cluster, old, 30000);
    WAIT_UNTIL(1500, strcmp(http_string(daemon_get(daemon, "/master"), "address"),
                            text("127.0.0.2:%u", next->port)) == 0);
}

SCENE(integration_names, nat_map_for_a_port)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .node_conf = "bind 127.0.0.1 127.0.0.3\n"});
    const unsigned port = cluster->nodes[0].port;
    const struct daemon *daemon =
        daemon_start(cluster, "--map", text("127.0.0.1:%u=127.0.0.3:%u", port, port), NULL);

    WAIT_UNTIL(4000, status_of(daemon, "/master") == 200);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/master"), "address"),
                     text("127.0.0.3:%u", port));
    cr_assert_str_eq(http_string(daemon_get(daemon, "/master"), "state"), "ok");
}

SCENE(integration_names, seed_that_does_not_resolve)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel", "no-such-host.invalid:26379", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    still_serves(daemon);
    const char *const alone[] = {"--sentinel", "no-such-host.invalid:26379", NULL};
    const struct daemon *lonely = daemon_launch(&(struct daemon_spec){.flags = alone});
    WAIT_UNTIL(6000, status_of(lonely, "/master") == 503);
    still_serves(lonely);
}

/*
 * Silent name servers: nobody reads what is sent there. Skips the test where that can't be
 * arranged.
 */
static void silence_the_resolver(const char *hosts)
{
    const char *script = text("%s/daemon.sh", scene_folder()),
               *resolv = text("%s/resolv.conf", scene_folder());
    const char *names = text("%s/hosts", scene_folder());
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
    char server[INET_ADDRSTRLEN];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* an address of this test's own: others may run beside it */
    at.sin_addr.s_addr = htonl(0x7f350000u | ((unsigned)getpid() & 0xffffu) | 1u);
    inet_ntop(AF_INET, &at.sin_addr, server, sizeof(server));
    if (getuid() != 0 || !process_can_run("unshare") ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        scene_skip(
            "needs root, unshare and port 53 on a loopback address for a name server that is silent");
    }
    file_write(resolv, text("nameserver %s\noptions timeout:5 attempts:2\n", server));
    file_write(names, hosts);
    file_write(
        script,
        text(
            "#!/bin/sh\n"
            "exec unshare -m sh -ec 'mount --bind %s /etc/resolv.conf; mount --bind %s /etc/hosts\n"
            "exec %s \"$@\"' - \"$@\"\n",
            resolv, names, realpath(daemon_binary(), scene_alloc(PATH_MAX))));
    chmod(script, 0700);
    const char *const try[] = {script, "--version", NULL};
    if (process_run(5000, NULL, try).exit_code != 0) {
        scene_skip("mount namespaces can't be made here");
    }
    setenv("BELLWETHER", script, 1); /* the test is a process of its own */
}

/* redis#8282: whoever asks for one name after the other waits for the dead ones. */
SCENE(integration_names, seeds_that_hang_delay_nobody)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *sentinel = &cluster->sentinels[0];

    silence_the_resolver("127.0.0.1 localhost good.test\n");
    const char *flags[32] = {NULL};
    size_t n = 0;
    for (int i = 0; i < 12; i++) {
        flags[n++] = "--sentinel";
        flags[n++] = text("slow%d.test:26379", i);
    }
    flags[n++] = "--sentinel";
    flags[n++] = text("good.test:%u", sentinel->port);
    const int64_t began_ms = running_ms();
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 1500);
    cr_expect_lt(running_ms() - began_ms, patient(3000)); /* a name server is waited for longer */
    /*
     * and the good one is dialled again in good time while those that hung are tried again and
     * again
     */
    WAIT_UNTIL(8000,
               count_in(daemon_get(daemon, "/sentinels")->body, "did not answer in time") == 12);
    server_kill(sentinel);
    WAIT_UNTIL(3000, http_number(daemon_get(daemon, "/sentinels"), "reachable") == 0);
    server_start(sentinel);
    WAIT_UNTIL(5000, http_number(daemon_get(daemon, "/sentinels"), "reachable") == 1);
}

/* Many seeds of one deployment, and what its Sentinels list: all of them hang. */
SCENE(integration_names, names_of_one_deployment_that_hang_delay_no_other)
{
    enum { SLOW = 200 };
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *config = text("%s/bellwether.conf", scene_folder()), *lines = "";
    const char *replicas[SLOW];
    struct server *node = &cluster->nodes[0];

    silence_the_resolver("127.0.0.1 localhost good.test late.test\n");
    for (size_t i = 0; i < SLOW; i++) {
        replicas[i] = text("slow-replica%zu.test", i);
        lines = text("%ssentinel = slow%zu.test:26379\n", lines, i);
    }
    const struct fake_words first = {.run_id = "5e271e15e271e15e271e15e271e15e271e15e271",
                                     .master_name = "mymaster",
                                     .master_host = "127.0.0.1",
                                     .master_port = text("%u", node->port),
                                     .replicas = replicas,
                                     .n_replicas = SLOW};
    struct fake_words second = {.run_id = "5e271e25e271e25e271e25e271e25e271e25e272",
                                .master_name = "elsewhere"};
    struct fake *other = fake_start(FAKE_SENTINEL, &second);
    file_write(
        config,
        text("%ssentinel = %s\nmaster = mymaster\n[master elsewhere]\nsentinel = good.test:%u\n",
             lines, fake_address(fake_start(FAKE_SENTINEL, &first)), fake_port(other)));
    /* a first look-up is waited for as long as that */
    const char *const flags[] = {"--config", config, "--sentinel-timeout", "5s", NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(1500,
               http_number(daemon_get(daemon, "/masters/elsewhere/sentinels"), "reachable") == 1);
    EXPECT_MASTER(daemon, node, 10000);
    WAIT_UNTIL(10000,
               json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) == SLOW);
    /* nor does a name that the other one's Sentinel gives from now on wait */
    second.master_host = "late.test";
    second.master_port = first.master_port;
    fake_say(other, &second);
    WAIT_UNTIL(2500, status_of(daemon, "/masters/elsewhere") == 200);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/masters/elsewhere"), "address"),
                     text("late.test:%u", node->port));
}
