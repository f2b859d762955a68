/* /status: with the watcher's report, without one, and what it says for a terminal. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/secret.h"
#include "bellwether/forward/forward.h"
#include "bellwether/metrics/counters.h"
#include "suite_harness.h"

static char masked[] = "***", variable[] = "BELLWETHER_REDIS_PASSWORD";
static char *values[] = {masked};
static const struct http_option options[] = {
    {.name = "redis-password", .values = values, .n_values = 1, .from = variable},
    {.name = "sentinel", .list = true},
    {.name = "default-master"},
};

static struct snapshot *disputed_snapshot(void)
{
    struct snapshot_master *master = make_master_in("mymaster", MASTER_OK, REASON_DISPUTED);

    master->agreeing = 2;
    master->sentinels[2].agrees = false;
    master->sentinels[2].says = make_address("10.0.0.11:6379");
    master->sentinels[2].config_epoch = 2;
    add_replicas(master, 2);
    master->replicas[1].healthy = false;
    master->verified = true;
    return make_snapshot(master, NULL, NULL);
}

static void start(void)
{
    harness_init(&harness);
    harness.config.options = options;
    harness.config.n_options = sizeof(options) / sizeof(options[0]);
    harness.config.started_boot_ms = clock_boot_ms() - 90000;
    harness.config.started_wall_ms = INT64_C(1795348770000);
    harness.status_of = disputed_snapshot();
    harness_start(&harness);
    harness_post(&harness, snapshot_ref(harness.status_of));
}

TestSuite(http_status, .init = start, .fini = close_harness, .timeout = 30);

Test(http_status, json)
{
    struct reply reply = get(&harness, "/status");

    cr_expect_eq(reply.status, 200);
    cr_expect(strstr(reply.body, "\"reason\":null"), "%s", reply.body);
    cr_expect(
        strstr(
            reply.body,
            "\"decision\":\"10.0.0.12:6379: epoch 3 from 2 of 3 Sentinels, ROLE master 180 ms ago; "
            "10.0.2.3:26379 still says 10.0.0.11:6379 at epoch 2\""),
        "%s", reply.body);
    cr_expect(strstr(reply.body, "{\"name\":\"redis-password\",\"master\":null,\"value\":\"***\","
                                 "\"from\":\"BELLWETHER_REDIS_PASSWORD\"}"),
              "%s", reply.body);
    cr_expect(
        strstr(reply.body, "{\"name\":\"sentinel\",\"master\":null,\"value\":[],\"from\":null}"),
        "%s", reply.body);
    cr_expect(strstr(reply.body, "\"age_ms\":200"), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"fence\":\"down\",\"fence_since\":null,\"fence_reason\":null"),
              "%s", reply.body);
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
    reply_release(&reply);
    reply = ask_probe(&harness, "GET", "/status");
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
}

Test(http_status, text)
{
    static const char *const lines[] = {
        "ok, disputed: mymaster is 10.0.0.12:6379, ROLE master 180 ms ago, named by 2 of 3 Sentinels\n",
        "\n  sentinel 10.0.2.1:26379  says 10.0.0.12:6379  epoch 3  200 ms ago\n",
        "\n! sentinel 10.0.2.3:26379  says 10.0.0.11:6379  epoch 2  200 ms ago\n",
        "\n  replica 10.0.1.1:6379  healthy  lag 100 bytes\n",
        "\n! replica 10.0.1.2:6379  unhealthy (slave)",
        ", up 1 min, instance "};
    struct reply reply = get(&harness, "/status?format=text");

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        cr_expect(strstr(reply.body, lines[i]), "\"%s\" is not in\n%s", lines[i], reply.body);
    }
    cr_expect(strncmp(reply.body, lines[0], strlen(lines[0])) == 0, "%s", reply.body);
    cr_expect_not(strstr(reply.body, "fence"), "%s", reply.body);
    reply_release(&reply);
    reply = ask(&harness, "GET", "/status", "Accept: text/plain\r\n");
    cr_expect_eq(strncmp(reply.body, lines[0], strlen(lines[0])), 0);
    reply_release(&reply);
}

/* ---- forwards ---- */

/* On any free port. */
static struct address any_port(void)
{
    struct address address = make_address("127.0.0.1:1");

    address.port = 0;
    return address;
}

static char socket_path[64], other_master[] = "elsewhere";
static struct forward_listen places[3];
static struct redis_login nobody;
static struct forward_config forward;

static void start_forwards(void)
{
    char error[256];

    snprintf(socket_path, sizeof(socket_path), "/tmp/bellwether-status.%d", (int)getpid());
    places[0] = (struct forward_listen){.place.address = any_port()};
    places[1] = (struct forward_listen){
        .place = {.unix_path = socket_path, .mode = 0600}, .to = FORWARD_TO_REPLICA, .auth = true};
    places[2] = (struct forward_listen){.place.address = any_port(), .master = other_master};
    harness_init(&harness);
    harness.config.metrics = metrics_new(1);
    nobody.password = secret_new(NULL, NULL, error, sizeof(error));
    forward = (struct forward_config){.listens = places,
                                      .n_listens = 3,
                                      .n_workers = 1,
                                      .max_forwards = 10,
                                      .wait_ms = 1000,
                                      .connect_timeout_ms = 1000,
                                      .lost_ms = 60000,
                                      .replica_max_lag_bytes = -1,
                                      .logins = &nobody,
                                      .n_logins = 1,
                                      .metrics = harness.config.metrics};
    harness.config.forwards = forward_shared_open(&forward, error, sizeof(error));
    cr_assert(harness.config.forwards, "%s", error);
    harness.status_of = disputed_snapshot();
    harness_start(&harness);
    harness_post(&harness, snapshot_ref(harness.status_of));
}

static void close_forwards(void)
{
    struct forward_shared *shared = harness.config.forwards;
    struct metrics *metrics = harness.config.metrics;

    close_harness();
    forward_shared_free(shared);
    metrics_free(metrics);
    secret_free(nobody.password);
}

TestSuite(http_status_forwards, .init = start_forwards, .fini = close_forwards, .timeout = 30);

/* As if the worker had had clients. */
static void count_clients(void)
{
    struct metrics_forward *first = metrics_forward(harness.config.metrics, 0, 0);
    struct metrics_forward *second = metrics_forward(harness.config.metrics, 0, 1);

    metric_move(&first->connections[METRIC_FORWARD_TO_MASTER], 2);
    metric_add(&first->bytes[METRIC_FORWARD_WAY_IN], 100);
    metric_add(&first->bytes[METRIC_FORWARD_WAY_OUT], 2000);
    metric_add(&first->closed[METRIC_FORWARD_END_CLIENT], 3);
    metric_add(&first->closed[METRIC_FORWARD_END_LIMIT], 1);
    metric_move(&second->connections[METRIC_FORWARD_TO_REPLICA], 1);
    metric_move(&second->waiting, 4);
}

Test(http_status_forwards, json)
{
    struct reply reply;
    char wanted[512];

    count_clients();
    reply = get(&harness, "/status");
    snprintf(
        wanted, sizeof(wanted),
        "\"forwards\":[{\"listen\":\"127.0.0.1:%u\",\"to\":\"master\",\"master\":\"mymaster\","
        "\"known\":true,\"tls\":false,\"auth\":false,\"connections\":{\"master\":2,\"replica\":0},"
        "\"waiting\":0,\"handshakes\":0,\"accepted\":6,\"bytes_in\":100,\"bytes_out\":2000,"
        "\"closed\":{\"client\":3,\"server\":0,",
        (unsigned)forward_shared_address(harness.config.forwards, 0)->port);
    cr_expect(strstr(reply.body, wanted), "%s is not in %s", wanted, reply.body);
    snprintf(
        wanted, sizeof(wanted),
        "{\"listen\":\"unix:%s\",\"to\":\"replica\",\"master\":\"mymaster\",\"known\":true,\"tls\":false,"
        "\"auth\":true,\"connections\":{\"master\":0,\"replica\":1},\"waiting\":4,"
        "\"handshakes\":0,\"accepted\":5,",
        socket_path);
    cr_expect(strstr(reply.body, wanted), "%s is not in %s", wanted, reply.body);
    cr_expect(strstr(reply.body, "\"to\":\"master\",\"master\":\"elsewhere\",\"known\":false,"),
              "%s", reply.body);
    reply_release(&reply);
}

Test(http_status_forwards, text)
{
    struct reply reply;
    char wanted[256];

    count_clients();
    reply = get(&harness, "/status?format=text");
    snprintf(wanted, sizeof(wanted),
             "\n  forward 127.0.0.1:%u  to master  clients 2, waiting 0, in 100 bytes, out 2000 "
             "bytes; closed: client 3, limit 1\n",
             (unsigned)forward_shared_address(harness.config.forwards, 0)->port);
    cr_expect(strstr(reply.body, wanted), "%s is not in %s", wanted, reply.body);
    snprintf(
        wanted, sizeof(wanted),
        "\n! forward unix:%s  to replica, auth  clients 1, waiting 4, in 0 bytes, out 0 bytes\n",
        socket_path);
    cr_expect(strstr(reply.body, wanted), "%s is not in %s", wanted, reply.body);
    snprintf(
        wanted, sizeof(wanted),
        "\n! forward 127.0.0.1:%u  to master of elsewhere, which no Sentinel knows  clients 0,",
        (unsigned)forward_shared_address(harness.config.forwards, 2)->port);
    cr_expect(strstr(reply.body, wanted), "%s is not in %s", wanted, reply.body);
    reply_release(&reply);
}

Test(http_status, without_forwards)
{
    struct reply reply = get(&harness, "/status");

    cr_expect(strstr(reply.body, "\"forwards\":[],"), "%s", reply.body);
    reply_release(&reply);
}

/* Whoever controls a Sentinel must not control the terminal. */
static void start_hostile(void)
{
    struct snapshot *snapshot = disputed_snapshot();
    struct snapshot_sentinel *sentinel = &snapshot->masters[0]->sentinels[1];

    sentinel->reachable = false;
    snprintf(sentinel->error_text, sizeof(sentinel->error_text), "\x1b[2J\r\nok");
    harness_init(&harness);
    harness.status_of = snapshot;
    harness_start(&harness);
}

TestSuite(http_status_hostile, .init = start_hostile, .fini = close_harness, .timeout = 30);

Test(http_status_hostile, control_characters_do_not_reach_a_terminal)
{
    struct reply reply = get(&harness, "/status?format=text");

    cr_expect(strstr(reply.body, "10.0.2.2:26379"), "%s", reply.body);
    cr_expect_not(strpbrk(reply.body, "\x1b\r"), "%s", reply.body);
    cr_expect_not(strstr(reply.body, "\nok"), "%s", reply.body);
    reply_release(&reply);
}

static void start_silent(void)
{
    harness_init(&harness);
    harness.config.started_boot_ms = clock_boot_ms();
    harness_start(&harness);
}

TestSuite(http_status_stalled, .init = start_silent, .fini = close_harness, .timeout = 30);

Test(http_status_stalled, from_the_snapshot_and_said)
{
    int64_t asked_ms;
    struct reply reply;
    struct snapshot *snapshot = disputed_snapshot();

    snapshot->masters[0]->fence = FENCE_PROMOTING;
    harness_post(&harness, snapshot);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - 7000);
    asked_ms = clock_boot_ms();
    reply = get(&harness, "/status");
    cr_expect_lt(clock_boot_ms() - asked_ms, 4900);
    cr_expect_eq(reply.status, 200);
    cr_expect(strstr(reply.body, "\"reason\":\"watcher_stalled\""), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"address\":\"10.0.0.12:6379\""), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"verification\":null"), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"links\":null"), "%s", reply.body);
    cr_expect_not(strstr(reply.body, "\"age_ms\":-1"), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"fence\":\"promoting\",\"fence_since\":null"), "%s", reply.body);
    reply_release(&reply);
    reply = get(&harness, "/status?format=text");
    cr_expect(strstr(reply.body, "\n! fence promoting: writes are held back\n"), "%s", reply.body);
    cr_expect(strncmp(reply.body, "watcher_stalled: no sign of life for ", 37) == 0, "%s",
              reply.body);
    reply_release(&reply);
}

Test(http_status_stalled, nothing_is_known_at_all)
{
    struct reply reply = get(&harness, "/status?format=text");

    cr_expect_eq(reply.status, 200);
    cr_expect(strstr(reply.body, "no master is known: the daemon has just started"), "%s",
              reply.body);
    reply_release(&reply);
}
