/* /nodes/{host:port}/master and /replica: what is known of a node, told to load balancers. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "worker_fixture.h"

#define MASTER "10.0.0.12:6379"
#define REPLICA "10.0.1.1:6379"

TestSuite(http_nodes, .init = start_worker, .fini = close_harness, .timeout = 30);

/* ---- snapshots ---- */

/* In state ok, with two replicas. */
static struct snapshot_master *make_deployment(const char *name)
{
    struct snapshot_master *master = make_master(name);

    add_replicas(master, 2);
    return master;
}

static void post(struct snapshot_master *master)
{
    struct snapshot *snapshot = make_snapshot(master, NULL, NULL);

    snapshot->all_resolved = true;
    harness_post(&harness, snapshot);
}

/* ---- answers ---- */

/* Alike on both listeners, with every method, asked once and again. */
static void expect_alike(const char *target, int status)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};

    for (size_t i = 0; i < 6; i++) {
        struct reply reply = ask(&harness, methods[i % 3], target, NULL);

        cr_expect_eq(reply.status, status, "%s %s: %d %s", methods[i % 3], target, reply.status,
                     reply.body);
        reply_release(&reply);
        reply = ask_probe(&harness, methods[i % 3], target);
        cr_expect_eq(reply.status, status, "%s %s on the probe listener: %d", methods[i % 3],
                     target, reply.status);
        reply_release(&reply);
    }
}

static void expect_yes(const char *target, const char *role)
{
    struct reply reply = get(&harness, target);

    expect_alike(target, 200);
    cr_expect_eq(reply.status, 200, "%s: %s", target, reply.body);
    cr_expect_str_eq(member(&reply, "role"), role, "%s: %s", target, reply.body);
    cr_expect_str_eq(member(&reply, "reason"), "null", "%s: %s", target, reply.body);
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
    reply_release(&reply);
}

static void expect_no(const char *target, const char *reason)
{
    struct reply reply = get(&harness, target);

    expect_problem(&reply, 503, "not-in-role");
    cr_expect_str_eq(member(&reply, "reason"), reason, "%s: %s", target, reply.body);
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    reply_release(&reply);
    expect_alike(target, 503);
}

static void expect_unknown(const char *target)
{
    struct reply reply = get(&harness, target);

    expect_problem(&reply, 404, "unknown-node");
    reply_release(&reply);
    expect_alike(target, 404);
}

/* ---- roles ---- */

Test(http_nodes, of_a_deployment_that_is_well)
{
    post(make_deployment("mymaster"));
    expect_yes("/nodes/" MASTER "/master", "master");
    expect_no("/nodes/" MASTER "/replica", "is_master");
    expect_yes("/nodes/" REPLICA "/replica", "replica");
    expect_no("/nodes/" REPLICA "/master", "is_replica");
    expect_unknown("/nodes/10.0.0.99:6379/master");
    expect_unknown("/nodes/10.0.0.99:6379/replica");
    expect_unknown("/nodes/10.0.0.12:6380/master");
    expect_status("POST", "/nodes/" MASTER "/master", NULL, 405);
    expect_status("GET", "/nodes/" MASTER, NULL, 404);
    expect_status("GET", "/nodes/" MASTER "/ready", NULL, 404);
    expect_body(
        "/nodes/" MASTER "/master", NULL,
        "{\"address\":\"10.0.0.12:6379\",\"matched_by\":\"text\",\"role\":\"master\",\"name\":"
        "\"mymaster\",\"majority\":true,\"reason\":null}\n");
    expect_body("/nodes/" REPLICA "/replica?format=text", NULL, "replica\n");
    struct reply reply = get(&harness, "/nodes/" MASTER "/replica?format=text");
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(
        reply.body, "the node is not in that role: 10.0.0.12:6379: it is the master (is_master)\n");
    reply_release(&reply);
}

Test(http_nodes, master_in_every_state)
{
    static const struct {
        enum master_state state;
        enum reason reason;
        const char *says;
    } no[] = {
        {MASTER_FAILING_OVER, REASON_FAILING_OVER, "failing_over"},
        {MASTER_FAILING_OVER, REASON_ROLE_MISMATCH, "role_mismatch"},
        {MASTER_CONFLICT, REASON_CONFLICT, "conflict"},
        {MASTER_DOWN, REASON_REDIS_UNREACHABLE, "redis_unreachable"},
        {MASTER_DOWN, REASON_REDIS_LOADING, "redis_loading"},
        {MASTER_DOWN, REASON_NONE, "down"},
    };

    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        post(make_master_in("mymaster", no[i].state, no[i].reason));
        expect_no("/nodes/" MASTER "/master", no[i].says);
        expect_no("/nodes/" MASTER "/replica", no[i].says);
    }
    post(make_master_in("mymaster", MASTER_UNVERIFIED, REASON_REDIS_AUTH));
    expect_yes("/nodes/" MASTER "/master", "master");
    post(make_master_in("mymaster", MASTER_OK, REASON_DISPUTED));
    expect_yes("/nodes/" MASTER "/master", "master");
}

Test(http_nodes, master_without_a_majority)
{
    struct snapshot_master *master = make_deployment("mymaster");

    master->majority = false;
    post(master);
    expect_no("/nodes/" MASTER "/master", "no_majority");
}

/* It takes what will be lost, though /master names it still. */
Test(http_nodes, master_that_is_about_to_be_deposed)
{
    struct snapshot_master *master = make_deployment("mymaster");

    master->fence = FENCE_UP; /* the leader may yet find no replica to promote */
    post(master);
    expect_yes("/nodes/" MASTER "/master", "master");
    master = make_deployment("mymaster");
    master->fence = FENCE_PROMOTING;
    post(master);
    expect_no("/nodes/" MASTER "/master", "failing_over");
    expect_no("/nodes/" REPLICA "/master", "is_replica");
    expect_status("GET", "/master", NULL, 200);
    master = make_deployment("mymaster");
    master->contradicted = true;
    post(master);
    expect_no("/nodes/" MASTER "/master", "contradicted");
    expect_status("GET", "/master", NULL, 200);
}

/* Before a Sentinel lists it among the replicas, and when one does. */
Test(http_nodes, master_that_was_one)
{
    struct snapshot_master *master = make_deployment("mymaster");

    post(master);
    expect_yes("/nodes/" MASTER "/master", "master");
    master = make_deployment("mymaster");
    master->address = make_address("10.0.0.13:6379");
    master->has_previous = true;
    master->previous = make_address(MASTER);
    for (size_t i = 0; i < 3; i++) { /* who has not heard of it yet does not agree */
        master->sentinels[i].agrees = i > 0;
        master->sentinels[i].says = make_address(i > 0 ? "10.0.0.13:6379" : MASTER);
    }
    post(master);
    expect_no("/nodes/" MASTER "/master", "was_master");
    expect_no("/nodes/" MASTER "/replica", "was_master");
    expect_yes("/nodes/10.0.0.13:6379/master", "master");
    master = make_deployment("mymaster");
    master->address = make_address("10.0.0.13:6379");
    master->has_previous = true;
    master->previous = make_address(REPLICA);
    for (size_t i = 0; i < 3; i++) {
        master->sentinels[i].says = master->address;
    }
    post(master);
    expect_no("/nodes/" REPLICA "/master", "is_replica");
    expect_yes("/nodes/" REPLICA "/replica", "replica");
}

Test(http_nodes, replica_that_is_not_well)
{
    struct snapshot_master *master = make_deployment("mymaster");

    master->replicas[0].healthy = false;
    master->replicas[1].majority = false;
    post(master);
    expect_no("/nodes/" REPLICA "/replica", "unhealthy");
    expect_no("/nodes/" REPLICA "/master", "is_replica");
    expect_no("/nodes/10.0.1.2:6379/replica", "no_majority");
    master = make_deployment("mymaster");
    master->replicas[0].healthy = master->replicas[0].link_up = false;
    master->replicas[1].vouched = false;
    post(master);
    expect_no("/nodes/" REPLICA "/replica", "link_down");
    expect_no("/nodes/" REPLICA "/replica?max_lag=1", "link_down");
    expect_unknown("/nodes/10.0.1.2:6379/replica"); /* one voice names it, or none does */
    expect_unknown("/nodes/10.0.1.2:6379/master");
}

Test(http_nodes, replica_within_a_lag)
{
    struct snapshot_master *master = make_deployment("mymaster");

    for (size_t i = 0; i < 2; i++) { /* long after this test */
        master->replicas[i].lag_at_ms = clock_boot_ms() + 60000;
    }
    master->replicas[1].lag_bytes = -1;
    atomic_store(&harness.script, SCRIPT_CONFIRM);
    post(master);
    expect_yes("/nodes/" REPLICA "/replica?max_lag=100", "replica");
    expect_no("/nodes/" REPLICA "/replica?max_lag=99", "lag");
    expect_yes("/nodes/" REPLICA "/replica", "replica");
    cr_expect_eq(atomic_load(&harness.lag_asked), 0);
    expect_no("/nodes/10.0.1.2:6379/replica?max_lag=1gb", "lag_unknown");
    cr_expect_geq(atomic_load(&harness.lag_asked), 1, "the master is asked for it anew");
    cr_expect_geq(atomic_load(&harness.lag_read), 1);
    expect_status("GET", "/nodes/" REPLICA "/replica?max_lag=x", NULL, 400);
    expect_yes("/nodes/" MASTER "/master?max_lag=x", "master"); /* it lags nothing */
}

/* ---- whether anything is known ---- */

Test(http_nodes, before_anything_is_known)
{
    struct snapshot *snapshot;

    expect_no("/nodes/" MASTER "/master", "starting");
    snapshot =
        make_snapshot(make_master_in("mymaster", MASTER_UNKNOWN, REASON_STARTING), NULL, NULL);
    snapshot->all_resolved = false;
    harness_post(&harness, snapshot);
    expect_no("/nodes/" MASTER "/master", "starting");
    expect_no("/nodes/" REPLICA "/replica", "starting");
    post(make_deployment("mymaster"));
    expect_yes("/nodes/" MASTER "/master", "master");
}

Test(http_nodes, of_a_silent_watcher)
{
    post(make_deployment("mymaster"));
    expect_yes("/nodes/" MASTER "/master", "master");
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    expect_no("/nodes/" MASTER "/master", "watcher_stalled");
    expect_no("/nodes/10.0.0.99:6379/master", "watcher_stalled");
}

/* The watcher lives, and this snapshot is of before the clock leapt. */
Test(http_nodes, of_before_a_leap)
{
    post(make_deployment("mymaster"));
    expect_yes("/nodes/" MASTER "/master", "master");
    atomic_fetch_add(&harness.pulses[0].generation, 1);
    expect_no("/nodes/" MASTER "/master", "watcher_stalled");
    expect_no("/nodes/" REPLICA "/replica", "watcher_stalled");
}

/* ---- what it is called ---- */

Test(http_nodes, however_it_is_spelled)
{
    struct snapshot_master *master = make_deployment("mymaster");

    master->address = make_address("redis-0.example:6379");
    master->ip = make_address("[fd00::12]:6379");
    master->replicas[0].address = make_address("[fd00::11]:6379");
    master->replicas[0].ip = master->replicas[0].address;
    master->replicas[1].address = make_address("redis-1.example:6379");
    master->replicas[1].ip = make_address("10.0.0.13:6379");
    for (size_t i = 0; i < 3; i++) {
        master->sentinels[i].says =
            make_address(i == 0 ? "redis-0.alias:6379" : "redis-0.example:6379");
    }
    post(master);
    expect_yes("/nodes/redis-0.example:6379/master", "master");
    expect_yes("/nodes/REDIS-0.Example:6379/master", "master");
    expect_yes("/nodes/redis-0.example%3A6379/master", "master");
    expect_yes("/nodes/redis-0.alias:6379/master", "master");
    expect_yes("/nodes/[fd00::12]:6379/master", "master");
    expect_yes("/nodes/[FD00:0::0012]:6379/master", "master");
    expect_yes("/nodes/%5Bfd00%3A%3A12%5D%3A6379/master", "master");
    expect_yes("/nodes/[fd00::11]:6379/replica", "replica");
    expect_yes("/nodes/10.0.0.13:6379/replica", "replica");
    expect_yes("/nodes/Redis-1.example:6379/replica", "replica");
    expect_yes("http://127.0.0.1/nodes/redis-0.example:6379/master", "master");
    expect_unknown("/nodes/redis-0:6379/master"); /* nobody looks it up */
    expect_unknown("/nodes/localhost:6379/master");
    struct reply reply = get(&harness, "/nodes/10.0.0.13:6379/replica");
    cr_expect_str_eq(member(&reply, "address"), "redis-1.example:6379");
    cr_expect_str_eq(member(&reply, "matched_by"), "resolved");
    reply_release(&reply);
}

Test(http_nodes, what_is_no_address_is_refused)
{
    static const struct {
        const char *target, *says;
    } bad[] = {
        {"/nodes/10.0.0.12/master", "\"10.0.0.12\" has no port; takes host:port or [v6]:port"},
        {"/nodes/10.0.0.12:/master", "\"10.0.0.12:\" has no valid port"},
        {"/nodes/10.0.0.12:0/master", "no valid port"},
        {"/nodes/10.0.0.12:65536/replica", "no valid port"},
        {"/nodes/10.0.0.12:x/master", "no valid port"},
        {"/nodes/::1:6379/master", "\"::1:6379\" is no address"},
        {"/nodes/:6379/master", "has no host"},
        {"/nodes/a%20b:6379/replica", "\"a b:6379\" has no valid host name or IP"},
        {"/nodes/10.0.0.12%2F:6379/master", "has no valid host name"},
        {"/nodes/10.0.0.300:6379/master", "has no valid host name"},
    };

    post(make_deployment("mymaster"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reply reply = get(&harness, bad[i].target);

        expect_problem(&reply, 400, "bad-address");
        cr_expect(strstr(member(&reply, "detail"), bad[i].says), "%s: %s", bad[i].target,
                  reply.body);
        reply_release(&reply);
        expect_alike(bad[i].target, 400);
    }
    expect_status("GET", "/nodes/%zz:6379/master", NULL, 400);
    expect_status("GET", "/nodes//master", NULL, 404);
}

/* ---- several masters ---- */

/* One node that two masters know has to be the same to both, or one of them is named. */
Test(http_nodes, known_to_several_masters)
{
    struct snapshot_master *a = make_deployment("a"), *b = make_deployment("b");
    struct snapshot *snapshot;

    b->address = b->ip = make_address(REPLICA); /* a's replica */
    b->replicas[0].address = b->replicas[0].ip = make_address("10.0.3.1:6379");
    for (size_t i = 0; i < 3; i++) {
        b->sentinels[i].says = b->address;
    }
    snapshot = make_several(a, b);
    snapshot->all_resolved = true;
    harness_post(&harness, snapshot);
    expect_yes("/nodes/" MASTER "/master", "master");
    expect_no("/nodes/" REPLICA "/master", "is_replica");
    expect_no("/nodes/" REPLICA "/replica", "is_master");
    expect_yes("/nodes/" REPLICA "/master?master=b", "master");
    expect_yes("/nodes/" REPLICA "/replica?master=a", "replica");
    expect_no("/nodes/" REPLICA "/master?master=a", "is_replica");
    expect_yes("/nodes/10.0.1.2:6379/replica", "replica"); /* to both */
    expect_yes("/nodes/10.0.3.1:6379/replica", "replica");
    expect_unknown("/nodes/" MASTER "/master?master=b");
    expect_status("GET", "/nodes/" MASTER "/master?master=c", NULL, 404);
    expect_status("GET", "/nodes/" MASTER "/master?master=", NULL, 400);
}

/* ---- the cache ---- */

/* What was kept is another snapshot's no longer, and other forms are made for each request. */
Test(http_nodes, answers_are_of_the_snapshot)
{
    for (int round = 0; round < 3; round++) {
        struct snapshot_master *master;
        struct reply reply;

        post(make_deployment("mymaster"));
        expect_yes("/nodes/" MASTER "/master", "master");
        expect_body("/nodes/" MASTER "/master?format=text", NULL, "master\n");
        expect_body("/nodes/" MASTER "/master", "Accept: text/plain\r\n", "master\n");
        expect_yes("/nodes/" MASTER "/master", "master");
        master = make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_TIMEOUT);
        post(master);
        expect_no("/nodes/" MASTER "/master", "redis_timeout");
        reply = ask(&harness, "GET", "/nodes/" MASTER "/master", "Accept: text/plain\r\n");
        cr_expect_eq(reply.status, 503);
        cr_expect(strstr(reply.body, "it does not answer (redis_timeout)\n"), "%s", reply.body);
        reply_release(&reply);
    }
}

/* More paths than there are places. */
Test(http_nodes, many_nodes)
{
    enum { MANY = 1200 };
    struct snapshot_master *master = make_master("mymaster");

    master->n_replicas = MANY;
    master->replicas = mem_new(MANY, sizeof(*master->replicas));
    for (size_t i = 0; i < MANY; i++) {
        char text[32];

        snprintf(text, sizeof(text), "10.1.%zu.%zu:6379", i / 250, i % 250 + 1);
        master->replicas[i].address = master->replicas[i].ip = make_address(text);
        master->replicas[i].vouched = master->replicas[i].majority = true;
        master->replicas[i].healthy = i % 2 == 0;
    }
    post(master);
    int fd = dial(&harness, LISTEN_ALL);
    for (size_t i = 0; i < (size_t)2 * MANY; i++) {
        size_t at = i % MANY;
        char head[128];
        struct reply reply;

        snprintf(head, sizeof(head),
                 "GET /nodes/10.1.%zu.%zu:6379/replica HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                 at / 250, at % 250 + 1);
        send_text(fd, head);
        reply = read_reply(fd, true);
        cr_assert_eq(reply.status, at % 2 == 0 ? 200 : 503, "%s: %s", head, reply.body);
        reply_release(&reply);
    }
    close(fd);
}

Test(http_nodes, draining)
{
    struct reply reply;

    post(make_deployment("mymaster"));
    expect_yes("/nodes/" MASTER "/master", "master");
    harness_news(&harness, MESSAGE_DRAIN);
    for (int i = 0; i < 2; i++) {
        reply = get(&harness, "/nodes/" MASTER "/master");
        cr_expect_eq(reply.status, 200);
        cr_expect_str_eq(header_of(&reply, "connection"), "close");
        reply_release(&reply);
    }
}
