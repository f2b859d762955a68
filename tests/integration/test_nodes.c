/*
 * /nodes/{host:port}/master and /replica: what one daemon says of each node, and what load
 * balancers make of it, with the configurations that are in deploy/.
 */
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_nodes);

static char *path_of(const struct server *node, const char *role)
{
    return text("/nodes/%s/%s", node->address, role);
}

static bool is_master(const struct daemon *daemon, const struct server *node)
{
    return status_of(daemon, path_of(node, "master")) == 200;
}

static bool is_replica(const struct daemon *daemon, const struct server *node)
{
    return status_of(daemon, path_of(node, "replica")) == 200;
}

static bool refuses(const struct daemon *daemon, const char *path, const char *reason)
{
    const struct http_answer *answer = daemon_get(daemon, path);

    return answer->status == 503 && strcmp(http_string(answer, "reason"), reason) == 0;
}

/* Everybody is heard, and lists both replicas. */
static void wait_for_all(const struct daemon *daemon, const struct cluster *cluster)
{
    WAIT_UNTIL(15000, is_master(daemon, &cluster->nodes[0]) &&
                          is_replica(daemon, &cluster->nodes[1]) &&
                          is_replica(daemon, &cluster->nodes[2]));
}

/* ---- what it says ---- */

SCENE(integration_nodes, every_node_with_every_method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    wait_for_all(daemon, cluster);
    for (size_t i = 0; i < 3; i++) {
        for (size_t at = 0; at < 3; at++) {
            const struct server *node = &cluster->nodes[at];

            cr_assert_eq(daemon_ask(daemon, methods[i], path_of(node, "master"))->status,
                         at == 0 ? 200 : 503);
            cr_assert_eq(daemon_ask(daemon, methods[i], path_of(node, "replica"))->status,
                         at == 0 ? 503 : 200);
        }
        cr_assert_eq(daemon_ask(daemon, methods[i], "/nodes/127.0.0.1/master")->status, 400);
        cr_assert_eq(daemon_ask(daemon, methods[i], "/nodes/127.0.0.1:1/master")->status, 404);
    }
    cr_assert_eq(daemon_ask(daemon, "POST", path_of(&cluster->nodes[0], "master"))->status, 405);
    cr_assert(refuses(daemon, path_of(&cluster->nodes[1], "master"), "is_replica"));
    cr_assert(refuses(daemon, path_of(&cluster->nodes[0], "replica"), "is_master"));
    WAIT_UNTIL(15000, status_of(daemon, text("%s?max_lag=100mb",
                                             path_of(&cluster->nodes[1], "replica"))) == 200);
    server_kill(&cluster->nodes[1]);
    WAIT_UNTIL(15000, !is_replica(daemon, &cluster->nodes[1]));
    cr_assert_eq(status_of(daemon, path_of(&cluster->nodes[1], "replica")), 503,
                 "it is known still");
    cr_assert(is_master(daemon, &cluster->nodes[0]) && is_replica(daemon, &cluster->nodes[2]));
    server_start(&cluster->nodes[1]);
    WAIT_UNTIL(15000, is_replica(daemon, &cluster->nodes[1]));
}

SCENE(integration_nodes, named_by_host_name_and_by_ip)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .hostnames = true});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const unsigned master = cluster->nodes[0].port, replica = cluster->nodes[1].port;

    WAIT_UNTIL(15000, status_of(daemon, text("/nodes/localhost:%u/master", master)) == 200 &&
                          status_of(daemon, text("/nodes/localhost:%u/replica", replica)) == 200);
    WAIT_UNTIL(15000,
               status_of(daemon, text("/nodes/127.0.0.1:%u/master", master)) == 200 &&
                   status_of(daemon, text("/nodes/127.0.0.1%%3A%u/replica", replica)) == 200);
    cr_assert_eq(status_of(daemon, text("/nodes/LocalHost:%u/master", master)), 200);
    cr_assert_eq(status_of(daemon, text("/nodes/localhost.:%u/master", master)), 404);
    cr_assert_str_eq(
        http_string(daemon_get(daemon, text("/nodes/127.0.0.1:%u/replica", replica)), "address"),
        text("localhost:%u", replica));
}

/* An address that is asked for is none that is dialled. */
SCENE(integration_nodes, nobody_is_dialled_for_it)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd comes = {.fd = listener, .events = POLLIN};

    cr_assert(listener >= 0 && bind(listener, (struct sockaddr *)&at, size) == 0 &&
              listen(listener, 8) == 0 &&
              getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    WAIT_UNTIL(8000, is_master(daemon, &cluster->nodes[0]));
    const char *path = text("/nodes/127.0.0.1:%u/master", ntohs(at.sin_port));
    HOLDS_FOR(700, status_of(daemon, path) == 404 && poll(&comes, 1, 0) == 0);
    cr_assert_eq(
        status_of(daemon, text("/nodes/127.0.0.1:%u/replica?max_lag=1mb", ntohs(at.sin_port))),
        404);
    cr_assert_eq(poll(&comes, 1, 0), 0);
    (void)close(listener);
}

SCENE(integration_nodes, a_minority_is_refused_unless_any_will_do)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *strict = daemon_start(cluster, NULL);
    const struct daemon *lenient = daemon_start(cluster, "--self-requires", "any", NULL);
    const char *master = path_of(&cluster->nodes[0], "master"),
               *replica = path_of(&cluster->nodes[1], "replica");

    wait_for_all(strict, cluster);
    wait_for_all(lenient, cluster);
    server_kill(&cluster->sentinels[1]);
    server_kill(&cluster->sentinels[2]);
    WAIT_UNTIL(8000, refuses(strict, master, "no_majority"));
    WAIT_UNTIL(8000, refuses(strict, replica, "no_majority"));
    HOLDS_NOW(says_master(strict, &cluster->nodes[0]));
    HOLDS_FOR(1500, status_of(lenient, master) == 200 && status_of(lenient, replica) == 200 &&
                        status_of(strict, master) == 503 && status_of(strict, replica) == 503);
    server_kill(&cluster->sentinels[0]);
    HOLDS_FOR(700, status_of(strict, master) == 503 && status_of(strict, replica) == 503);
    for (size_t i = 0; i < 3; i++) {
        server_start(&cluster->sentinels[i]);
    }
    WAIT_UNTIL(20000, status_of(strict, master) == 200 && status_of(strict, replica) == 200);
}

/* ---- sessions through a load balancer ---- */

static redisContext *session_open(unsigned port)
{
    const struct timeval bound = {.tv_sec = 2};
    redisContext *context = redisConnectWithTimeout("127.0.0.1", (int)port, bound);

    if (context && (context->err != 0 || redisSetTimeout(context, bound) != REDIS_OK)) {
        redisFree(context);
        context = NULL;
    }
    return context;
}

/* The port of the node that a session leads to; 0: none. */
static unsigned session_port(redisContext *session)
{
    unsigned port = 0;
    redisReply *where = session ? redisCommand(session, "CONFIG GET port") : NULL;

    if (where && where->elements == 2) {
        port = (unsigned)strtoul(where->element[1]->str, NULL, 10);
    }
    freeReplyObject(where);
    return port;
}

/* The port of the node that a new session leads to; 0: none. */
static unsigned leads_to(unsigned port)
{
    redisContext *session = session_open(port);
    const unsigned found = session_port(session);

    if (session) {
        redisFree(session);
    }
    return found;
}

/* The port of the node that took a write in a new session; 0: none did. */
static unsigned written_to(unsigned port)
{
    redisContext *session = session_open(port);
    unsigned found = session_port(session);
    redisReply *set = found ? redisCommand(session, "SET through balancer") : NULL;

    if (!set || set->type != REDIS_REPLY_STATUS) {
        found = 0;
    }
    freeReplyObject(set);
    if (session) {
        redisFree(session);
    }
    return found;
}

/* Whether the other side has closed it. */
static bool session_is_closed(redisContext *session)
{
    struct pollfd end = {.fd = session->fd, .events = POLLIN};
    char byte;

    return poll(&end, 1, 0) == 1 && recv(session->fd, &byte, 1, MSG_PEEK) <= 0;
}

/* ---- HAProxy ---- */

struct haproxy {
    const struct daemon *daemon;
    struct cluster *cluster;
    unsigned port, read_port;
    const char *socket; /* where it says how its servers are */
};

/* With the configuration that is shipped, and one that only adds a socket to ask it at. */
static struct haproxy haproxy_start(struct cluster *cluster, const struct daemon *daemon)
{
    struct haproxy haproxy = {.daemon = daemon,
                              .cluster = cluster,
                              .port = port_reserve(),
                              .read_port = port_reserve(),
                              .socket = text("%s/haproxy", scene_folder())};
    const char *more = text("%s/more.cfg", scene_folder());
    const char *const argv[] = {"haproxy", "-db", "-f", "deploy/haproxy/haproxy.cfg",
                                "-f",      more,  NULL};
    const char *const env[] = {text("REDIS_BIND=127.0.0.1:%u", haproxy.port),
                               text("REDIS_READ_BIND=127.0.0.1:%u", haproxy.read_port),
                               text("DAEMON_PORT=%u", daemon->port),
                               text("REDIS_1=%s", cluster->nodes[0].address),
                               text("REDIS_2=%s", cluster->nodes[1].address),
                               text("REDIS_3=%s", cluster->nodes[2].address),
                               NULL};

    file_write(more, text("global\n  stats socket %s\n", haproxy.socket));
    (void)process_start(&(struct process_spec){.name = "haproxy", .argv = argv, .env = env});
    return haproxy;
}

/* Whether HAProxy has left a master: its own word for it. */
static bool haproxy_has_left(const struct haproxy *haproxy, const struct server *node)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    static const char question[] = "show servers state redis_master\n";
    char answer[4096];
    size_t got = 0;
    ssize_t n = -1;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", haproxy->socket);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) > 0) {
        while (got < sizeof(answer) - 1 &&
               (n = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0) {
            got += (size_t)n;
        }
    }
    (void)close(fd);
    answer[got] = '\0';
    const char *row = strstr(answer, text(" %s 127.0.0.1 ", node->address));
    cr_assert(row, "HAProxy does not know %s: %s", node->address, answer);
    return strtol(row + strlen(node->address) + strlen("  127.0.0.1 "), NULL, 10) == 0;
}

/* One write; where HAProxy had left the old master, it did not land there. */
static unsigned write_past(const struct haproxy *haproxy, const struct server *old)
{
    const bool left = haproxy_has_left(haproxy, old);
    const unsigned took = written_to(haproxy->port);

    cr_assert(!left || took != old->port, "a write to the old master, which HAProxy had left");
    return took;
}

/* Of all nodes one at most is the master. The old one is asked last: what it was before is over. */
static struct server *new_master(const struct haproxy *haproxy, const struct server *old)
{
    struct server *found = NULL;
    int masters = 0;

    for (size_t i = 0; i < haproxy->cluster->n_nodes; i++) {
        struct server *node = &haproxy->cluster->nodes[i];

        if (node != old && is_master(haproxy->daemon, node)) {
            found = node;
            masters++;
        }
    }
    masters += is_master(haproxy->daemon, old);
    cr_assert(masters <= 1, "%d masters\n%s", masters, daemon_log(haproxy->daemon));
    return found;
}

enum blow { KILLED, FROZEN, PLANNED };

static void fail_over(const struct haproxy *haproxy, enum blow blow)
{
    struct cluster *cluster = haproxy->cluster;
    struct server *old = cluster_master(cluster), *now = NULL;

    WAIT_UNTIL(10000, written_to(haproxy->port) == old->port);
    redisContext *session = session_open(haproxy->port);
    cr_assert_eq(session_port(session), old->port);
    const int64_t began = now_ms();
    if (blow == PLANNED) {
        cluster_failover(cluster);
    } else if (blow == KILLED) {
        server_kill(old);
    } else {
        server_freeze(old); /* it can't close its sessions itself */
    }
    WAIT_UNTIL(30000, ((void)(blow == PLANNED && cluster_is_before_switch(cluster, old)),
                       write_past(haproxy, old), now = new_master(haproxy, old)));
    const int64_t adopted = now_ms();
    const bool early = haproxy_has_left(haproxy, old);
    WAIT_UNTIL(3000, write_past(haproxy, old) == now->port);
    const int64_t moved = now_ms();
    WAIT_UNTIL(3000, haproxy_has_left(haproxy, old) && session_is_closed(session));
    redisFree(session);
    if (blow == KILLED) {
        server_start(old); /* it believes that it is the master, and is empty */
    } else if (blow == FROZEN) {
        server_thaw(old);
    }
    WAIT_UNTIL(30000, write_past(haproxy, old) == now->port && !new_master(haproxy, now) &&
                          strstr(redis_say(old, "ROLE"), "slave"));
    cluster_settle(cluster);
    (void)printf("  %s: %lld ms without a master, the old one left %s, traffic %lld ms later\n",
                 blow == PLANNED  ? "planned"
                 : blow == KILLED ? "killed"
                                  : "frozen",
                 (long long)(adopted - began), early ? "before" : "after",
                 (long long)(moved - adopted));
}

static void fail_over_again_and_again(const enum blow *blows, size_t n)
{
    if (!process_can_run("haproxy")) {
        scene_skip("there is no haproxy here (deploy/build/deps.sh clients)");
    }
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const struct haproxy haproxy = haproxy_start(cluster, daemon);

    wait_for_all(daemon, cluster);
    for (size_t i = 0; i < n; i++) {
        fail_over(&haproxy, blows[i]);
    }
    const struct server *master = cluster_master(cluster);
    unsigned read_from;
    WAIT_UNTIL(25000, (read_from = leads_to(haproxy.read_port)) != 0 && read_from != master->port);
}

SCENE(integration_nodes, haproxy_in_five_crashes)
{
    static const enum blow blows[] = {KILLED, FROZEN, KILLED, KILLED, FROZEN};

    fail_over_again_and_again(blows, sizeof(blows) / sizeof(blows[0]));
}

SCENE(integration_nodes, haproxy_in_five_planned_failovers)
{
    static const enum blow blows[] = {PLANNED, PLANNED, PLANNED, PLANNED, PLANNED};

    fail_over_again_and_again(blows, sizeof(blows) / sizeof(blows[0]));
}

/* ---- nginx ---- */

/* `from` stands in it, and `to` instead afterwards. */
static char *replaced(const char *in, const char *from, const char *to)
{
    const char *at = strstr(in, from);

    cr_assert(at, "there is no %s in %s", from, in);
    return text("%.*s%s%s", (int)(at - in), in, to, at + strlen(from));
}

struct nginx {
    unsigned port, read_port;
};

/* With the configuration that is shipped, but for addresses and where its files are. */
static struct nginx nginx_start(const struct daemon *daemon)
{
    const struct nginx nginx = {port_reserve(), port_reserve()};
    const char *path = text("%s/nginx.conf", scene_folder());
    char *conf = file_read("deploy/nginx/nginx.conf"), here[4096];

    cr_assert(getcwd(here, sizeof(here)));
    conf = replaced(conf, "js_path /etc/nginx", text("js_path %s/deploy/nginx", here));
    conf = replaced(conf, "pid /run/nginx-redis.pid", text("pid %s/nginx.pid", scene_folder()));
    conf = replaced(conf, "$bellwether http://127.0.0.1:8380",
                    text("$bellwether http://127.0.0.1:%u", daemon->port));
    conf = replaced(conf, "listen 6379", text("listen 127.0.0.1:%u", nginx.port));
    conf = replaced(conf, "listen 6380", text("listen 127.0.0.1:%u", nginx.read_port));
    file_write(path, conf);
    const char *const argv[] = {
        "nginx", "-e", "stderr", "-c", path, "-g", "daemon off; master_process off;", NULL};
    (void)process_start(&(struct process_spec){.name = "nginx", .argv = argv});
    return nginx;
}

/* Who is no master any more gets no new session. */
static unsigned write_by_nginx(const struct nginx *nginx, const struct daemon *daemon,
                               const struct server *old)
{
    const bool over = !is_master(daemon, old);
    const unsigned took = written_to(nginx->port);

    cr_assert(!over || took != old->port, "a new session to the old master");
    return took;
}

SCENE(integration_nodes, nginx_asks_for_each_session)
{
    static const enum blow blows[] = {KILLED, PLANNED, KILLED};

    if (!process_can_run("nginx") ||
        access("/usr/lib/nginx/modules/ngx_stream_js_module.so", R_OK) != 0) {
        scene_skip("there is no nginx with stream and njs here (deploy/build/deps.sh clients)");
    }
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct daemon *daemon = daemon_start(cluster, NULL);
    const struct nginx nginx = nginx_start(daemon);

    wait_for_all(daemon, cluster);
    for (size_t i = 0; i < sizeof(blows) / sizeof(blows[0]); i++) {
        struct server *old = cluster_master(cluster), *now = NULL;

        WAIT_UNTIL(10000, written_to(nginx.port) == old->port);
        redisContext *session = session_open(nginx.port);
        cr_assert_eq(session_port(session), old->port);
        if (blows[i] == KILLED) {
            server_kill(old);
        } else {
            cluster_failover(cluster);
        }
        now = cluster_wait_switch(cluster, old, 30000);
        WAIT_UNTIL(10000, write_by_nginx(&nginx, daemon, old) == now->port);
        WAIT_UNTIL(30000, session_is_closed(session)); /* by the node's end, or by the Sentinels */
        redisFree(session);
        if (blows[i] == KILLED) {
            server_start(old);
        }
        WAIT_UNTIL(30000, write_by_nginx(&nginx, daemon, old) == now->port &&
                              strstr(redis_say(old, "ROLE"), "slave"));
        cluster_settle(cluster);
    }
    const struct server *master = cluster_master(cluster);
    unsigned read_from;
    WAIT_UNTIL(25000, (read_from = leads_to(nginx.read_port)) != 0 && read_from != master->port);
    process_stop(daemon->process);
    cr_assert_eq(written_to(nginx.port), 0, "nobody says where to");
}
