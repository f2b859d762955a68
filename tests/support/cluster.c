/*
 * Clusters of a test.
 *
 * Sentinels learn about each other and about replicas from hello messages, which takes seconds.
 * Here their configuration files say it at once (known-sentinel, known-replica), and SENTINEL DEBUG
 * shortens their periods, so that a cluster stands after one second and a demoted master is
 * reconfigured after one instead of ten. A test that needs Sentinel's own pace says `slow_pace`.
 */
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certificates.h"
#include "ports.h"
#include "scene.h"

static size_t count_or(size_t wanted, size_t otherwise)
{
    return wanted == NONE ? 0 : wanted == 0 ? otherwise : wanted;
}

static void server_prepare(struct server *server, const struct cluster_spec *spec, bool sentinel,
                           size_t number)
{
    const char *const *ips = sentinel ? spec->sentinel_ip : spec->node_ip;
    const pid_t *netns = sentinel ? spec->sentinel_netns : spec->node_netns;
    const char *host = !spec->host ? "127.0.0.1" : spec->host;
    server->label = text("%s-%zu", sentinel ? "sentinel" : "node", number);
    server->ip = text("%s", !ips ? host : ips[number]);
    server->host = spec->hostnames ? text("localhost") : server->ip;
    server->port = server->listed_port = port_reserve();
    server->tls = spec->tls == CLUSTER_TLS ||
                  spec->tls == (sentinel ? CLUSTER_TLS_SENTINELS : CLUSTER_TLS_REDIS);
    if (sentinel && (spec->tls == CLUSTER_TLS_REDIS || spec->tls == CLUSTER_TLS_SENTINELS)) {
        server->listed_port = port_reserve();
    }
    server->address = address_text(server->host, server->port);
    server->folder = text("%s/%s", scene_folder(), server->label);
    server->config = text("%s/redis.conf", server->folder);
    server->socket = text("%s/socket", server->folder);
    const char *password = sentinel ? spec->sentinel_password : spec->node_password;
    server->password = !password ? NULL : text("%s", password);
    server->sentinel = sentinel;
    server->netns_of = !netns ? 0 : netns[number];
    (void)snprintf(server->run_id, sizeof(server->run_id), "%08x%08x%08x%08x%08x",
                   (unsigned)getpid(), server->port, 0x5e271e1u, (unsigned)number, 0xbe11u);
    (void)mkdir(server->folder, 0755);
}

struct cluster *cluster_prepare(const struct cluster_spec *spec)
{
    struct cluster *cluster = scene_alloc(sizeof(*cluster));

    cluster->spec = *spec;
    cluster->name = !spec->name ? "mymaster" : spec->name;
    cluster->n_nodes = count_or(spec->nodes, 3);
    cluster->n_sentinels = count_or(spec->sentinels, 3);
    cluster->quorum = spec->quorum == 0 ? cluster->n_sentinels / 2 + 1 : spec->quorum;
    cluster->down_after_ms = spec->down_after_ms == 0 ? 700 : spec->down_after_ms;
    cluster->failover_timeout_ms =
        spec->failover_timeout_ms == 0 ? 3000 : spec->failover_timeout_ms;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        server_prepare(&cluster->nodes[i], spec, false, i);
    }
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        server_prepare(&cluster->sentinels[i], spec, true, i);
    }
    return cluster;
}

/* Which ports speak what. */
static char *ports_conf(const struct cluster_spec *spec, const struct server *server)
{
    unsigned other = server->listed_port == server->port ? 0 : server->listed_port;

    if (spec->tls == CLUSTER_PLAIN || (!server->tls && other == 0)) {
        return text("port %u\n", server->port);
    }
    return text("port %u\ntls-port %u\ntls-replication %s\ntls-cert-file %s/good.crt\n"
                "tls-key-file %s/good.key\ntls-ca-cert-file %s/ca.crt\ntls-auth-clients %s\n",
                server->tls ? other : server->port, server->tls ? server->port : other,
                spec->tls == CLUSTER_TLS_SENTINELS ? "no" : "yes", spec->certificates,
                spec->certificates, spec->certificates, spec->client_certificates ? "yes" : "no");
}

static char *common_conf(const struct cluster_spec *spec, const struct server *server)
{
    /* where /etc/hosts has it so, localhost is ::1 as well */
    const char *more = spec->hostnames ? " -::1" : "";

    return text("%sbind %s%s\nprotected-mode no\ndir %s\nunixsocket %s\nloglevel notice\n",
                ports_conf(spec, server), server->ip, more, server->folder, server->socket);
}

static void node_configure(const struct cluster *cluster, const struct server *node,
                           const struct server *master)
{
    const struct cluster_spec *spec = &cluster->spec;
    char *conf = text(
        "%ssave \"\"\nappendonly no\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n"
        "repl-ping-replica-period 1\nreplica-announce-ip %s\nenable-debug-command yes\nhz 50\n%s",
        common_conf(spec, node), node->host, !spec->node_conf ? "" : spec->node_conf);

    if (node->password) {
        conf = text("%s\nrequirepass %s\nmasterauth %s\n", conf, node->password, node->password);
    }
    if (master) {
        conf = text("%s\nreplicaof %s %u\n", conf, master->host, master->port);
    }
    file_write(node->config, conf);
}

/*
 * Sentinels that notice a death at the same instant vote for themselves, and nobody tries again for
 * twice the failover-timeout. So each notices a little after the one before it.
 */
int server_down_after_ms(const struct cluster *cluster, const struct server *sentinel)
{
    return cluster->down_after_ms + 150 * (int)(sentinel - cluster->sentinels);
}

static void sentinel_configure(const struct cluster *cluster, const struct server *self)
{
    const struct cluster_spec *spec = &cluster->spec;
    const char *name = cluster->name;
    char *conf = text("%ssentinel myid %s\n", common_conf(spec, self), self->run_id);

    if (spec->hostnames) {
        conf = text(
            "%ssentinel resolve-hostnames yes\nsentinel announce-hostnames yes\nsentinel announce-ip %s\n",
            conf, self->host);
    }
    if (self->password) {
        conf = text("%srequirepass %s\nsentinel sentinel-pass %s\n", conf, self->password,
                    self->password);
    }
    if (cluster->n_nodes > 0) {
        conf =
            text("%ssentinel monitor %s %s %u %zu\nsentinel down-after-milliseconds %s %d\n"
                 "sentinel failover-timeout %s %d\nsentinel parallel-syncs %s 5\n",
                 conf, name, cluster->nodes[0].host, cluster->nodes[0].port, cluster->quorum, name,
                 server_down_after_ms(cluster, self), name, cluster->failover_timeout_ms, name);
        if (spec->node_password) {
            conf = text("%ssentinel auth-pass %s %s\n", conf, name, spec->node_password);
        }
        for (size_t i = 1; i < cluster->n_nodes; i++) {
            conf = text("%ssentinel known-replica %s %s %u\n", conf, name, cluster->nodes[i].host,
                        cluster->nodes[i].port);
        }
        for (size_t i = 0; i < cluster->n_sentinels; i++) {
            if (&cluster->sentinels[i] != self) {
                conf = text("%ssentinel known-sentinel %s %s %u %s\n", conf, name,
                            cluster->sentinels[i].host, cluster->sentinels[i].listed_port,
                            cluster->sentinels[i].run_id);
            }
        }
    }
    const char *own = !spec->sentinel_confs ? "" : spec->sentinel_confs[self - cluster->sentinels];
    file_write(self->config,
               text("%s%s\n%s\n", conf, !spec->sentinel_conf ? "" : spec->sentinel_conf, own));
}

void cluster_change_password(struct cluster *cluster, const char *password)
{
    struct server *node = &cluster->nodes[0];

    cr_assert_str_eq(
        redis_say(&cluster->sentinels[0], "SENTINEL SET %s auth-pass %s", cluster->name, password),
        "OK");
    cr_assert_str_eq(redis_say(node, "CONFIG SET requirepass %s", password), "OK");
    node->password = text("%s", password);
}

void server_start(struct server *server)
{
    const char *program = server->sentinel ? "redis-sentinel" : "redis-server";
    const char *const argv[] = {program, server->config, NULL};

    server->process = process_start(
        &(struct process_spec){.name = server->label, .argv = argv, .netns_of = server->netns_of});
    server->frozen = false;
    WAIT_UNTIL(10000, strstr(redis_say(server, "PING"), "PONG") || process_ended(server->process));
    cr_assert(!process_ended(server->process), "%s did not start:\n%s%s", server->label,
              process_log(server->process), file_read(server->process->out_path));
}

/*
 * Shorter periods: SENTINEL DEBUG is forgotten when the Sentinel ends. They are no shorter than a
 * machine may stand still: a replica that was not heard of for five ping periods is not chosen, and
 * a failover aborted for want of another; one that was silent for three publish periods is called
 * disconnected, and so it is healthy no longer until its Sentinel is asked again.
 */
static void sentinel_hurry(const struct server *sentinel)
{
    const char *said = redis_say(
        sentinel,
        "SENTINEL DEBUG INFO-PERIOD 1000 PING-PERIOD 400 ASK-PERIOD 300 PUBLISH-PERIOD 600 "
        "TILT-PERIOD 1000 MIN-LINK-RECONNECT-PERIOD 1000 ELECTION-TIMEOUT 3000");

    cr_assert_str_eq(said, "OK", "SENTINEL DEBUG: %s", said);
}

void cluster_run(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        node_configure(cluster, &cluster->nodes[i], i == 0 ? NULL : &cluster->nodes[0]);
        server_start(&cluster->nodes[i]);
    }
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        sentinel_configure(cluster, &cluster->sentinels[i]);
        server_start(&cluster->sentinels[i]);
        if (!cluster->spec.slow_pace) {
            sentinel_hurry(&cluster->sentinels[i]);
        }
    }
    cluster_settle(cluster);
}

struct cluster *cluster_start(const struct cluster_spec *spec)
{
    struct cluster *cluster = cluster_prepare(spec);

    cluster_run(cluster);
    return cluster;
}

struct cluster *cluster_start_one(const char *conf)
{
    return cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .down_after_ms = CLUSTER_STEADY_MS, .node_conf = conf});
}

struct server *cluster_add_node(struct cluster *cluster, const struct server *master)
{
    cr_assert(cluster->n_nodes < CLUSTER_MAX);
    struct server *node = &cluster->nodes[cluster->n_nodes];
    server_prepare(node, &cluster->spec, false, cluster->n_nodes);
    cluster->n_nodes++;
    node_configure(cluster, node, master);
    server_start(node);
    return node;
}

void cluster_monitor(struct cluster *cluster, const char *name, const struct server *node)
{
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        const struct server *sentinel = &cluster->sentinels[i];
        const char *said = redis_say(sentinel, "SENTINEL MONITOR %s %s %d %d", name, node->ip,
                                     (int)node->port, (int)cluster->quorum);

        cr_assert_str_eq(said, "OK", "SENTINEL MONITOR: %s", said);
        (void)redis_say(sentinel, "SENTINEL SET %s down-after-milliseconds %d failover-timeout %d",
                        name, server_down_after_ms(cluster, sentinel),
                        cluster->failover_timeout_ms);
    }
}

bool server_lives(struct server *server)
{
    return server->process && !server->frozen && !process_ended(server->process);
}

struct server *cluster_master(struct cluster *cluster)
{
    const char *said = NULL;

    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        if (!server_lives(&cluster->sentinels[i])) {
            continue;
        }
        const char *answer = sentinel_says(&cluster->sentinels[i], cluster->name);
        if (said && strcmp(said, answer) != 0) {
            return NULL;
        }
        said = answer;
    }
    for (size_t i = 0; said && i < cluster->n_nodes; i++) {
        if (strcmp(said, cluster->nodes[i].address) == 0) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

struct server *cluster_only_master(struct cluster *cluster)
{
    struct server *one = NULL;

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (strncmp(redis_say(&cluster->nodes[i], "ROLE"), "master", 6) != 0) {
            continue;
        }
        if (one) {
            return NULL;
        }
        one = &cluster->nodes[i];
    }
    return one;
}

/* Whether this Sentinel sees every living node linked and every other Sentinel. */
static bool sentinel_settled(struct cluster *cluster, const struct server *sentinel)
{
    const redisReply *row = redis_ask(sentinel, "SENTINEL MASTER %s", cluster->name);

    if (strcmp(reply_field(row, "flags"), "master") != 0) {
        return false;
    }
    size_t living = 0, linked = 0;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        living += server_lives(&cluster->nodes[i]) ? 1 : 0;
    }
    if (strtoul(reply_field(row, "num-other-sentinels"), NULL, 10) + 1 < cluster->n_sentinels) {
        return false;
    }
    const redisReply *replicas = redis_ask(sentinel, "SENTINEL REPLICAS %s", cluster->name);
    for (size_t i = 0; replicas && i < replicas->elements; i++) {
        linked += strcmp(reply_field(replicas->element[i], "flags"), "slave") == 0 &&
                          strcmp(reply_field(replicas->element[i], "master-link-status"), "ok") == 0
                      ? 1
                      : 0;
    }
    return linked + 1 >= living;
}

static bool cluster_settled(struct cluster *cluster)
{
    struct server *master = cluster_master(cluster);

    if (!master || !server_lives(master)) {
        return false;
    }
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        if (server_lives(&cluster->sentinels[i]) &&
            !sentinel_settled(cluster, &cluster->sentinels[i])) {
            return false;
        }
    }
    return true;
}

void cluster_settle(struct cluster *cluster)
{
    if (cluster->n_nodes > 0 && cluster->n_sentinels > 0) {
        WAIT_UNTIL(30000, cluster_settled(cluster));
    }
}

void cluster_failover(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        if (server_lives(&cluster->sentinels[i])) {
            cluster->left = sentinel_says(&cluster->sentinels[i], cluster->name);
            WAIT_UNTIL(15000, strcmp(redis_say(&cluster->sentinels[i], "SENTINEL FAILOVER %s",
                                               cluster->name),
                                     "OK") == 0);
            cluster->left_ms = now_ms();
            return;
        }
    }
    cr_assert_fail("no Sentinel lives");
}

bool cluster_is_before_switch(struct cluster *cluster, const struct server *old)
{
    const struct server *master = cluster_master(cluster);

    if (master == old && cluster->left && strcmp(cluster->left, old->address) == 0 &&
        now_ms() > cluster->left_ms + patient(cluster->failover_timeout_ms + 3000)) {
        cluster_failover(cluster);
    }
    return !master || master == old;
}

struct server *cluster_wait_switch(struct cluster *cluster, const struct server *old,
                                   int64_t bound_ms)
{
    struct server *master = NULL;

    WAIT_UNTIL(bound_ms,
               !cluster_is_before_switch(cluster, old) && (master = cluster_master(cluster)));
    cluster->left = NULL;
    return master;
}

struct server *cluster_fail_over_from(struct cluster *cluster, const struct server *old)
{
    cluster_failover(cluster);
    return cluster_wait_switch(cluster, old, 30000);
}

void server_kill(struct server *server)
{
    process_kill(server->process);
}

void server_freeze(struct server *server)
{
    server->frozen = true;
    process_freeze(server->process);
}

void server_thaw(struct server *server)
{
    process_signal(server->process, SIGCONT);
    server->frozen = false;
}

/* ---- certificates ---- */

const char *cluster_certificates(void)
{
    const char *folder = text("%s/tls", scene_folder());

    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make_usual(folder);
    return folder;
}

const char *cluster_certificate(const struct cluster *cluster, const char *name)
{
    return text("%s/%s", cluster->spec.certificates, name);
}

void cluster_show(const struct cluster *cluster, const struct server *node, const char *name)
{
    cr_assert_str_eq(redis_say(node, "CONFIG SET tls-cert-file %s tls-key-file %s",
                               cluster_certificate(cluster, text("%s.crt", name)),
                               cluster_certificate(cluster, text("%s.key", name))),
                     "OK");
}
