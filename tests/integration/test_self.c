/*
 * /self: which known node the one named by --self is, what it is there, and what load balancers
 * make of it.
 */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_self);

static struct daemon *daemon_beside(const struct cluster *cluster, const char *self)
{
    return daemon_start(cluster, "--master", "mymaster", "--self", self, NULL);
}

static bool has_role(const struct daemon *daemon, const char *role)
{
    return strcmp(http_string(daemon_get(daemon, "/self"), "role"), role) == 0;
}

static bool refuses(const struct daemon *daemon, const char *path, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, path);
    char anchor[64];

    if (answer->status != 503 || strcmp(http_string(answer, "reason"), reason) != 0) {
        return false;
    }
    snprintf(anchor, sizeof(anchor), "#reason-%s", reason);
    cr_expect_str_eq(strchr(http_string(answer, "help"), '#'), anchor);
    return true;
}

/* Everybody is heard and lists both replicas. */
static void wait_for_all(const struct daemon *daemon)
{
    WAIT_UNTIL(15000,
               http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3 &&
                   json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) == 2);
}

SCENE(integration_self, by_text_and_every_method_alike)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *master = daemon_beside(cluster, cluster->nodes[0].address);
    const struct daemon *replica = daemon_beside(cluster, cluster->nodes[1].address);

    wait_for_all(master);
    wait_for_all(replica);
    WAIT_UNTIL(8000, status_of(master, "/self/master") == 200);
    WAIT_UNTIL(8000, status_of(replica, "/self/replica") == 200);
    const struct http_answer *self = daemon_get(master, "/self");
    cr_assert_eq(self->status, 200);
    cr_assert_str_eq(http_string(self, "address"), cluster->nodes[0].address);
    cr_assert_str_eq(http_string(self, "matched_by"), "text");
    cr_assert_str_eq(http_string(self, "role"), "master");
    cr_assert_str_eq(http_string(self, "name"), "mymaster");
    cr_assert(http_true(self, "majority"));
    cr_assert(json_is_null(http_value(self, "reason")));
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(daemon_ask(master, methods[i], "/self/master")->status, 200, "%s", methods[i]);
        cr_assert_eq(daemon_ask(master, methods[i], "/self/replica")->status, 503, "%s",
                     methods[i]);
        cr_assert_eq(daemon_ask(master, methods[i], "/self/ready")->status, 200, "%s", methods[i]);
        cr_assert_eq(daemon_ask(replica, methods[i], "/self/master")->status, 503, "%s",
                     methods[i]);
        cr_assert_eq(daemon_ask(replica, methods[i], "/self/replica")->status, 200, "%s",
                     methods[i]);
        cr_assert_eq(daemon_ask(replica, methods[i], "/self/ready")->status, 200, "%s", methods[i]);
    }
    cr_assert_eq(daemon_ask(master, "OPTIONS", "/self")->status, 204);
    cr_assert_eq(daemon_ask(master, "POST", "/self/master")->status, 405);
    cr_assert_eq(daemon_ask(master, "DELETE", "/self")->status, 405);
    cr_assert(refuses(master, "/self/replica", "is_master"));
    cr_assert(refuses(replica, "/self/master", "is_replica"));
    cr_assert_str_eq(http_header(daemon_get(replica, "/self/master"), "retry-after"), "1");
    cr_assert_str_eq(daemon_get(replica, "/self/replica?format=text")->body, "replica\n");
    WAIT_UNTIL(15000, status_of(replica, "/self/replica?max_lag=100mb") == 200);
    cr_assert_eq(status_of(replica, "/self/ready?max_lag=100mb"), 200);
    cr_assert_eq(status_of(master, "/self/ready?max_lag=0"), 200, "a master lags nothing");
    cr_assert_eq(status_of(replica, "/self/replica?max_lag=-1"), 400);
    cr_assert_eq(status_of(replica, "/self/ready?max_lag=x"), 400);
    cr_assert_str_eq(http_string(daemon_get(replica, "/status"), "self.0.role"), "replica");
}

SCENE(integration_self, none_was_named)
{
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1", NULL);
    static const char *const paths[] = {"/self", "/self/master", "/self/replica", "/self/ready"};

    for (size_t i = 0; i < 4; i++) {
        const struct http_answer *answer = daemon_get(daemon, paths[i]);

        cr_assert_eq(answer->status, 404, "%s", http_text(answer));
        cr_assert_str_eq(http_string(answer, "type"), "urn:bellwether:problem:no-self");
    }
}

SCENE(integration_self, on_a_probe_listener)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct daemon *daemon = daemon_beside(cluster, cluster->nodes[0].address);

    (void)daemon;
    struct daemon probe = {.port = port_reserve()};
    probe.base = text("http://127.0.0.1:%u", probe.port);
    struct daemon *whole = daemon_start(cluster, "--self", cluster->nodes[0].address, "--listen",
                                        text("127.0.0.1:%u,scope=probe", probe.port), NULL);
    WAIT_UNTIL(6000, status_of(whole, "/self/master") == 200);
    cr_assert_eq(status_of(&probe, "/self"), 200);
    cr_assert_eq(daemon_ask(&probe, "OPTIONS", "/self/master")->status, 200);
    cr_assert_eq(status_of(&probe, "/self/ready"), 200);
    cr_assert_eq(status_of(&probe, "/status"), 404, "what is for people is not for probes");
}

SCENE(integration_self, by_resolution)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    const struct daemon *daemon =
        daemon_beside(cluster, text("localhost:%u", cluster->nodes[1].port));

    WAIT_UNTIL(15000, has_role(daemon, "replica"));
    const struct http_answer *self = daemon_get(daemon, "/self");
    cr_assert_str_eq(http_string(self, "matched_by"), "resolved");
    cr_assert_str_eq(http_string(self, "address"), text("localhost:%u", cluster->nodes[1].port));
    cr_assert_eq(status_of(daemon, "/self/replica"), 200);
}

/*
 * The node listens on an address of loopback that no Sentinel knows, as a pod's 127.0.0.1 would be.
 */
SCENE(integration_self, by_run_id_through_a_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.node_conf = "bind 127.0.0.1 127.0.0.2\n"});
    const struct daemon *beside[3];

    for (size_t i = 0; i < 3; i++) {
        beside[i] = daemon_beside(cluster, text("127.0.0.2:%u", cluster->nodes[i].port));
    }
    for (size_t i = 0; i < 3; i++) {
        WAIT_UNTIL(15000, has_role(beside[i], i == 0 ? "master" : "replica"));
        cr_assert_str_eq(http_string(daemon_get(beside[i], "/self"), "matched_by"), "run_id");
    }
    cr_assert_eq(status_of(beside[0], "/self/master"), 200);
    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    const struct daemon *new_side = beside[now - cluster->nodes];
    WAIT_UNTIL(10000, status_of(new_side, "/self/master") == 200);
    cr_assert_str_eq(http_string(daemon_get(new_side, "/self"), "matched_by"), "run_id");
    cr_assert_neq(status_of(beside[0], "/self/master"), 200, "two masters: %s",
                  http_text(daemon_get(beside[0], "/self")));
    WAIT_UNTIL(30000, status_of(beside[0], "/self/replica") == 200);
}

SCENE(integration_self, never_two_masters_through_kill_nine_and_return)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *beside[3];

    for (size_t i = 0; i < 3; i++) {
        beside[i] = daemon_beside(cluster, cluster->nodes[i].address);
    }
    for (size_t i = 0; i < 3; i++) {
        wait_for_all(beside[i]);
    }
    WAIT_UNTIL(8000, status_of(beside[0], "/self/master") == 200);
    server_kill(&cluster->nodes[0]);
    const int64_t killed = running_ms();
    WAIT_UNTIL(3000, status_of(beside[0], "/self/master") == 503);
    const int64_t took_ms = running_ms() - killed;
    cr_assert(took_ms < patient(1500), "%lld ms", (long long)took_ms);
    bool restarted = false, is_replica = false;
    for (const int64_t end = now_ms() + patient(40000); !is_replica;) {
        int masters = 0;

        for (size_t i = 0; i < 3; i++) {
            masters += status_of(beside[i], "/self/master") == 200 ? 1 : 0;
        }
        cr_assert(masters <= 1);
        if (masters == 1 && !restarted) {
            server_start(&cluster->nodes[0]); /* comes back believing that it is the master */
            restarted = true;
        }
        is_replica = restarted && status_of(beside[0], "/self/ready") == 200 &&
                     has_role(beside[0], "replica");
        cr_assert(now_ms() < end, "%s\n%s", http_text(daemon_get(beside[0], "/self")),
                  daemon_log(beside[0]));
        nap_ms(20);
    }
}

SCENE(integration_self, a_loading_node_is_not_ready)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 2,
        .sentinels = 1,
        .node_conf = "key-load-delay 3000\nloading-process-events-interval-bytes 1024\n"});
    const struct daemon *daemon = daemon_beside(cluster, cluster->nodes[0].address);

    WAIT_UNTIL(8000, status_of(daemon, "/self/master") == 200);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "DEBUG POPULATE 2000 key 200"), "OK");
    struct raw *raw = raw_open(cluster->nodes[0].port);
    static const char reload[] = "DEBUG RELOAD\r\n";
    cr_assert(raw && raw_send(raw, reload, sizeof(reload) - 1));
    WAIT_UNTIL(6000, refuses(daemon, "/self/master", "redis_loading"));
    cr_assert_eq(status_of(daemon, "/self/ready"), 503);
    cr_assert_eq(status_of(daemon, "/self"), 503);
    cr_assert_eq(status_of(daemon, "/self/replica"), 503);
    WAIT_UNTIL(40000, status_of(daemon, "/self/master") == 200);
}

SCENE(integration_self, a_replica_whose_master_is_gone)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 2, .sentinels = 1, .node_conf = "replica-priority 0\n"});
    const struct daemon *daemon = daemon_beside(cluster, cluster->nodes[1].address);

    WAIT_UNTIL(15000, status_of(daemon, "/self/ready") == 200);
    server_kill(&cluster->nodes[0]); /* nobody may be promoted */
    WAIT_UNTIL(10000, refuses(daemon, "/self/ready", "link_down"));
    cr_assert(refuses(daemon, "/self/replica?max_lag=1gb", "lag_unknown"), "%s",
              http_text(daemon_get(daemon, "/self/replica?max_lag=1gb")));
    cr_assert_eq(status_of(daemon, "/self/replica"), 200);
    server_kill(&cluster->nodes[1]); /* known before the Sentinel notices */
    WAIT_UNTIL(3000, refuses(daemon, "/self/replica", "redis_unreachable"));
}

SCENE(integration_self, no_deployment_knows_it)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.sentinels = 1, .nodes = 1});
    const struct cluster *stranger =
        cluster_start(&(struct cluster_spec){.sentinels = NONE, .nodes = 1});
    const struct daemon *daemon = daemon_beside(cluster, stranger->nodes[0].address);
    static const char line[] = "no watched deployment knows the node named by --self";

    WAIT_UNTIL(6000, refuses(daemon, "/self", "unknown_node"));
    cr_assert(refuses(daemon, "/self/master", "unknown_node"));
    cr_assert(refuses(daemon, "/self/ready", "unknown_node"));
    const struct http_answer *self = daemon_get(daemon, "/self");
    cr_assert_str_eq(http_string(self, "role"), "unknown");
    cr_assert(json_is_null(http_value(self, "matched_by")));
    WAIT_UNTIL(15000, count_in(daemon_log(daemon), line) == 1);
    HOLDS_FOR(4500, count_in(daemon_log(daemon), line) == 1);
}

SCENE(integration_self, several_names_of_one_node)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--self", "127.0.0.1:1", "--self",
                                               text("localhost:%u", cluster->nodes[0].port), NULL);

    WAIT_UNTIL(8000, status_of(daemon, "/self/master") == 200);
    cr_assert_str_eq(http_string(daemon_get(daemon, "/self"), "matched_by"), "resolved");
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/status"), "self")), 2);
}

SCENE(integration_self, a_minority_is_refused_unless_any_will_do)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *strict = daemon_beside(cluster, cluster->nodes[0].address);
    const struct daemon *lenient =
        daemon_start(cluster, "--self", cluster->nodes[0].address, "--self-requires", "any", NULL);
    const struct daemon *replica = daemon_beside(cluster, cluster->nodes[1].address);

    wait_for_all(strict);
    wait_for_all(lenient);
    wait_for_all(replica);
    WAIT_UNTIL(8000, status_of(strict, "/self/master") == 200 &&
                         status_of(lenient, "/self/master") == 200);
    WAIT_UNTIL(8000, status_of(replica, "/self/replica") == 200);
    server_kill(&cluster->sentinels[1]);
    server_kill(&cluster->sentinels[2]);
    WAIT_UNTIL(8000, refuses(strict, "/self/master", "no_majority"));
    WAIT_UNTIL(8000, refuses(replica, "/self/replica", "no_majority"));
    cr_assert_eq(status_of(strict, "/self/ready"), 503);
    cr_assert_eq(status_of(strict, "/self"), 200, "what it is, is known all the same");
    HOLDS_NOW(says_master(strict, &cluster->nodes[0]));
    HOLDS_FOR(1500, status_of(lenient, "/self/master") == 200 &&
                        status_of(strict, "/self/master") == 503);
    server_start(&cluster->sentinels[1]);
    WAIT_UNTIL(15000, status_of(strict, "/self/master") == 200);
}

SCENE(integration_self, with_a_password_of_its_masters_own)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .node_password = "open-sesame"});
    const char *secret = text("%s/password", scene_folder()),
               *file = text("%s/b.ini", scene_folder());

    file_write(secret, "open-sesame\n");
    file_write(file, text("self = localhost:%u\n[master mymaster]\nredis-password-file = %s\n",
                          cluster->nodes[0].port, secret));
    const struct daemon *daemon = daemon_start(cluster, "--config", file, NULL);
    WAIT_UNTIL(8000, status_of(daemon, "/self/master") == 200);
    cr_assert(!strstr(daemon_get(daemon, "/status")->body, "sesame"));
}

/* ---- a real HAProxy in front of the nodes, one bellwether beside each ---- */

static const char *haproxy_conf(const struct cluster *cluster, struct daemon *const beside[],
                                unsigned port)
{
    char *conf = text(
        "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n"
        "listen redis\n  bind 127.0.0.1:%u\n  option httpchk OPTIONS /self/master\n"
        "  default-server inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions\n",
        port);

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        const char *folder = beside[i]->certificates;

        conf = text("%s  server node%zu %s check port %u%s\n", conf, i, cluster->nodes[i].address,
                    beside[i]->port,
                    folder ? text(" check-ssl verify required ca-file %s/ca.crt", folder) : "");
    }
    const char *path = text("%s/haproxy.cfg", scene_folder());
    file_write(path, conf);
    return path;
}

/* The port of the node that took a write through HAProxy; 0: none did. */
static unsigned written_to(unsigned port)
{
    const struct timeval bound = {.tv_sec = 2};
    unsigned found = 0;

    redisContext *context = redisConnectWithTimeout("127.0.0.1", (int)port, bound);
    if (context && context->err == 0 && redisSetTimeout(context, bound) == REDIS_OK) {
        redisReply *set = redisCommand(context, "SET through haproxy");
        redisReply *where = redisCommand(context, "CONFIG GET port");

        if (set && set->type == REDIS_REPLY_STATUS && where && where->elements == 2) {
            found = (unsigned)strtoul(where->element[1]->str, NULL, 10);
        }
        freeReplyObject(set);
        freeReplyObject(where);
    }
    if (context) {
        redisFree(context);
    }
    return found;
}

SCENE(integration_self, haproxy_moves_to_the_new_master)
{
    if (!process_can_run("haproxy")) {
        scene_skip("there is no haproxy here (deploy/build/deps.sh clients)");
    }
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct daemon *beside[3];
    for (size_t i = 0; i < 3; i++) {
        beside[i] = daemon_beside(cluster, cluster->nodes[i].address);
    }
    WAIT_UNTIL(10000, status_of(beside[0], "/self/master") == 200);
    const unsigned port = port_reserve();
    const char *const argv[] = {"haproxy", "-db", "-f", haproxy_conf(cluster, beside, port), NULL};
    (void)process_start(&(struct process_spec){.name = "haproxy", .argv = argv});
    WAIT_UNTIL(10000, written_to(port) == cluster->nodes[0].port);
    server_kill(&cluster->nodes[0]);
    unsigned took = 0;
    for (const int64_t end = now_ms() + patient(30000); (took = written_to(port)) == 0;) {
        cr_assert(now_ms() < end, "no write through HAProxy\n%s", daemon_log(beside[1]));
        nap_ms(50);
    }
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    cr_assert_eq(took, now->port, "%u", took);
    server_start(&cluster->nodes[0]); /* it says master at first, and must get nothing */
    HOLDS_FOR(4000, (took = written_to(port)) == 0 || took == now->port);
    WAIT_UNTIL(10000, written_to(port) == now->port);
}
