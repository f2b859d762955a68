/* Where forwards listen and whereto they lead: several, names, sockets, IPv6, host names, maps. */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/proxy.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_places);

static void drop_context(void *context)
{
    redisFree(context);
}

/* What one command over this connection is answered with. */
static const char *said_to(redisContext *context, const char *command)
{
    cr_assert(context);
    (void)scene_keep(context, drop_context);
    (void)redisSetTimeout(context, (struct timeval){10, 0});
    redisReply *reply = context->err ? NULL : redisCommand(context, command);
    const char *said = !reply                               ? context->errstr
                       : reply->type == REDIS_REPLY_INTEGER ? text("%lld", reply->integer)
                                                            : text("%s", reply->str);

    freeReplyObject(reply);
    return said;
}

SCENE(integration_forward_places, several)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = CLUSTER_STEADY_MS});
    struct server *other = cluster_add_node(cluster, NULL);
    const unsigned first = port_reserve(), second = port_reserve(), replicas = port_reserve(),
                   six = port_reserve();
    const char *socket = text("%s/forward", scene_folder());

    cluster_monitor(cluster, "other", other);
    const struct daemon *daemon = daemon_start(
        cluster, "--master", "mymaster", "--master", "other", "--default-master", "mymaster",
        "--forward",
        text("127.0.0.1:%u,127.0.0.1:%u,name=other,127.0.0.1:%u,to=replica,name=mymaster", first,
             second, replicas),
        "--forward", text("[::1]:%u,name=other", six), "--forward",
        text("unix:%s,mode=0600,to=master", socket), NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 10000);
    WAIT_UNTIL(10000, says_master_at(daemon, "/masters/other", other));
    EXPECT_SAID(client_open((uint16_t)first), "SET who mymaster", "+OK");
    EXPECT_SAID(client_open((uint16_t)second), "SET who other", "+OK");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET who"), "mymaster");
    cr_assert_str_eq(redis_say(other, "GET who"), "other");
    cr_assert(strncmp(client_say(client_open((uint16_t)replicas), "SET who replica"), "-READONLY",
                      9) == 0);
    cr_assert_str_eq(said_to(redisConnect("::1", (int)six), "GET who"), "other");
    cr_assert_str_eq(said_to(redisConnectUnix(socket), "GET who"), "mymaster");
    struct stat status;
    cr_assert(stat(socket, &status) == 0 && S_ISSOCK(status.st_mode) &&
              (status.st_mode & 0777) == 0600);
    daemon_signal(daemon, SIGTERM);
    cr_assert_eq(process_wait(daemon->process, patient(5000)), 0);
    cr_assert_neq(access(socket, F_OK), 0, "the socket file is left behind");
}

/* One of them fails over: the clients of the other one notice nothing. */
SCENE(integration_forward_places, one_of_two_fails_over)
{
    enum { OTHERS = 4 };
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = CLUSTER_STEADY_MS});
    struct server *other = cluster_add_node(cluster, NULL);
    const uint16_t port = port_reserve(), elsewhere = port_reserve();

    cluster_monitor(cluster, "other", other);
    const struct daemon *daemon =
        daemon_start(cluster, "--master", "mymaster", "--master", "other", "--default-master",
                     "mymaster", "--forward", text("127.0.0.1:%u,name=mymaster", port), "--forward",
                     text("127.0.0.1:%u,name=other", elsewhere), "--workers", "2",
                     "--command-timeout", "20s", NULL);
    WAIT_UNTIL(10000, says_master_at(daemon, "/masters/mymaster", &cluster->nodes[0]) &&
                          says_master_at(daemon, "/masters/other", other));
    WAIT_UNTIL(15000, all_healthy(daemon, 1));
    struct raw *mine = clients_open(port, 1)[0], **others = clients_open(elsewhere, OTHERS),
               *silent = client_open(elsewhere), *blocked = client_open(elsewhere);
    EXPECT_SAID(others[0], "MULTI", "+OK");
    EXPECT_SAID(others[0], "INCR n", "+QUEUED");
    client_send(blocked, "BLPOP list 0");
    WAIT_UNTIL(5000, clients_at(other) == OTHERS + 2);
    const char *ids[OTHERS];
    for (size_t i = 1; i < OTHERS; i++) {
        ids[i] = client_say(others[i], "CLIENT ID");
    }
    cluster_failover(cluster);
    for (const int64_t end_ms = wait_ends_ms(20000); !raw_closes(mine, 1);) {
        EXPECT_SAID(others[1], "CLIENT ID", ids[1]); /* nor is anything held from them */
        cr_assert_lt(now_ms(), end_ms, "a client is left on the old master");
        (void)cluster_is_before_switch(cluster, &cluster->nodes[0]);
    }
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    WAIT_UNTIL(5000, says_master_at(daemon, "/masters/mymaster", now));
    EXPECT_SAID(client_open(port), "SET k v", "+OK");
    for (size_t i = 1; i < OTHERS; i++) {
        EXPECT_SAID(others[i], "CLIENT ID", ids[i]);
    }
    EXPECT_SAID(others[0], "EXEC", "*1");
    cr_assert_str_eq(redis_say(other, "RPUSH list element"), "1");
    cr_assert_str_eq(client_hear(blocked, 3000), "*2");
    EXPECT_SAID(silent, "GET n", "$1");
    cr_assert_eq(clients_at(other), OTHERS + 2);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_eq(http_number(status, "forwards.1.accepted"), OTHERS + 2);
    cr_assert_eq(http_number(status, "forwards.1.connections.master"), OTHERS + 2);
}

/* A name that nobody monitors yet is not waited for: it may be a slip. */
SCENE(integration_forward_places, a_name_that_no_sentinel_knows)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *other = cluster_add_node(cluster, NULL);
    const unsigned named = port_reserve();
    const struct daemon *daemon =
        daemon_start(cluster, "--forward", text("127.0.0.1:%u,name=other", named),
                     "--command-timeout", "60s", "--workers", "2", NULL);
    const char *line = text("! forward 127.0.0.1:%u  to master of other, which no Sentinel knows  "
                            "clients 0,",
                            named);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    struct raw *early = client_open((uint16_t)named);
    cr_assert_str_eq(client_hear(early, 5000), "-NOMASTER no Sentinel knows a master named other");
    cr_assert(raw_closes(early, 5000));
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "no Sentinel knows the master of a forward"));
    const struct http_answer *status = daemon_get(daemon, "/status?format=text");
    cr_assert(strstr(status->body, line), "%s", status->body);
    cluster_monitor(cluster, "other", other);
    WAIT_UNTIL(20000, strcmp(client_say(client_open((uint16_t)named), "PING"), "+PONG") == 0);
    status = daemon_get(daemon, "/status?format=text");
    cr_assert_not(strstr(status->body, "no Sentinel knows"), "%s", status->body);
}

SCENE(integration_forward_places, the_default_of_several)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *other = cluster_add_node(cluster, NULL);
    const unsigned plain = port_reserve();

    const struct daemon *daemon =
        daemon_start(cluster, "--forward", text("127.0.0.1:%u", plain), NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    EXPECT_SAID(client_open((uint16_t)plain), "PING", "+PONG");
    cluster_monitor(cluster, "other", other);
    WAIT_UNTIL(20000, status_of(daemon, "/masters/other") == 200);
    uint16_t late;
    (void)daemon_start(cluster, "--forward", text("127.0.0.1:%u", late = port_reserve()),
                       "--command-timeout", "3s", NULL);
    cr_assert_str_eq(
        client_hear(client_open(late), 10000),
        "-NOMASTER no master within 3000 ms: there are several, and none is the default");
}

SCENE(integration_forward_places, what_can_not_be_had)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const char *seed = cluster->sentinels[0].address, *path = text("%s/s", scene_folder()),
               *file = text("%s/file", scene_folder());
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--workers", "2", NULL);

    file_write(file, "no socket");
    const struct process_result wrong =
        daemon_run(5000, "--sentinel", seed, "--forward", text("unix:%s", file), NULL);
    cr_assert_eq(wrong.exit_code, 2, "%s", wrong.err);
    cr_assert(strstr(wrong.err, text("--forward unix:%s: a file that is no socket", file)), "%s",
              wrong.err);
    const char *const places[] = {text("127.0.0.1:%u", port),
                                  text("unix:%s/nowhere/s", scene_folder()), "192.0.2.1:7000"};
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        const struct process_result result =
            daemon_run(5000, "--sentinel", seed, "--listen", "127.0.0.1:0", "--forward", places[i],
                       "--workers", "2", NULL);

        cr_assert_eq(result.exit_code, 1, "%s: exit %d: %s", places[i], result.exit_code,
                     result.err);
        cr_assert(strstr(result.err, "cannot listen on") && strstr(result.err, places[i]) &&
                      count_in(result.err, "level=error") == 1,
                  "%s: %s", places[i], result.err);
    }
    cr_assert_str_eq(file_read(file), "no socket");
    EXPECT_SAID(client_open(port), "PING", "+PONG");
    /* What a killed daemon left behind is no hindrance; one that is there is. */
    (void)strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
    const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(stale, (const struct sockaddr *)&name, sizeof(name)), 0);
    (void)close(stale);
    const struct daemon *second = commands_start(cluster, "--forward", text("unix:%s", path), NULL);
    cr_assert_str_eq(said_to(redisConnectUnix(path), "INCR n"), "1");
    const struct process_result third =
        daemon_run(5000, "--sentinel", seed, "--listen", "127.0.0.1:0", "--forward",
                   text("unix:%s", path), NULL);
    cr_assert(third.exit_code == 1 && strstr(third.err, path), "%d: %s", third.exit_code,
              third.err);
    cr_assert_str_eq(said_to(redisConnectUnix(path), "INCR n"), "2");
    still_serves(second);
    still_serves(daemon);
}

/* ---- whereto ---- */

SCENE(integration_forward_places, nodes_with_names)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.hostnames = true, .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "30s", NULL);
    struct server *old = &cluster->nodes[0];
    struct raw *client = client_open(port);

    EXPECT_SAID(client, "INCR n", ":1");
    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    cr_assert(raw_closes(client, 10000));
    cr_assert_eq(client_say(client_open(port), "INCR n")[0], ':');
    EXPECT_MASTER(daemon, now, 5000);
}

SCENE(integration_forward_places, nodes_on_ipv6)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.host = "::1"});
    uint16_t port;

    (void)forward_start(cluster, &port, "", NULL);
    EXPECT_SAID(client_open(port), "INCR n", ":1");
}

/* What is published is where the daemon goes, too. */
SCENE(integration_forward_places, mapped)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    struct proxy *proxy = proxy_start(node->port);
    const uint16_t port = port_reserve();
    const struct daemon *daemon =
        daemon_start(cluster, "--forward", text("127.0.0.1:%u", port), "--map",
                     text("%s=%s", node->address, proxy_address(proxy)), NULL);

    WAIT_UNTIL(8000, strcmp(http_string(daemon_get(daemon, "/master"), "address"),
                            proxy_address(proxy)) == 0);
    const size_t before = proxy_connections(proxy);
    struct raw *client = client_open(port);
    EXPECT_SAID(client, "INCR n", ":1");
    cr_assert_geq(proxy_connections(proxy), before + 1);
    proxy_behave(proxy, &(struct proxy_manner){.piece = 3, .pause_ms = 1});
    for (int i = 2; i < 12; i++) {
        EXPECT_SAID(client, "INCR n", text(":%d", i));
    }
}
