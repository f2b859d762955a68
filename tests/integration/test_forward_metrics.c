/* What /metrics and /status say of forwards while clients come, wait, are refused and speak. */
#include <string.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/wire.h"

SCENE_SUITE(integration_forward_metrics);

#define TO_MASTER "bellwether_forward_connections{to=\"master\"}"
#define TO_REPLICA "bellwether_forward_connections{to=\"replica\"}"
#define WAITING "bellwether_forward_waiting"
#define BYTES(way) "bellwether_forward_bytes_total{direction=\"" way "\"}"
#define CLOSED(reason) "bellwether_forward_closed_total{reason=\"" reason "\"}"

SCENE(integration_forward_metrics, where_clients_are)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = CLUSTER_STEADY_MS});
    const uint16_t replicas = port_reserve();
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--forward", text("127.0.0.1:%u,to=replica", replicas),
                      "--workers", "2", NULL);

    WAIT_UNTIL(15000, all_healthy(daemon, 1));
    struct raw **at_master = clients_open(port, 2), **at_replica = clients_open(replicas, 3);
    cr_assert_eq(metric_of(daemon, TO_MASTER), 2);
    cr_assert_eq(metric_of(daemon, TO_REPLICA), 3);
    cr_assert_eq(metric_of(daemon, WAITING), 0);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_eq(http_number(status, "forwards.0.connections.master"), 2);
    cr_assert_eq(http_number(status, "forwards.0.connections.replica"), 0);
    cr_assert_eq(http_number(status, "forwards.1.connections.master"), 0);
    cr_assert_eq(http_number(status, "forwards.1.connections.replica"), 3);
    raw_close(at_replica[0]);
    raw_close(at_master[1]);
    WAIT_UNTIL(5000, metric_of(daemon, TO_MASTER) == 1 && metric_of(daemon, TO_REPLICA) == 2);
    cr_assert_eq(metric_of(daemon, CLOSED("client")), 2);
    server_kill(&cluster->nodes[1]);
    WAIT_UNTIL(5000, metric_of(daemon, TO_REPLICA) == 0);
    cr_assert_eq(metric_of(daemon, CLOSED("server")) + metric_of(daemon, CLOSED("unhealthy")), 2);
    cr_assert_eq(metric_of(daemon, TO_MASTER), 1);
}

SCENE(integration_forward_metrics, who_waits)
{
    enum { CLIENTS = 5 };
    struct cluster *cluster = cluster_start_one(NULL);
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "60s", "--workers", "2", NULL);
    struct raw *clients[CLIENTS];

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 5000);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(port);
        client_send(clients[i], "INCR n");
    }
    WAIT_UNTIL(5000, metric_of(daemon, WAITING) == CLIENTS);
    cr_assert_eq(http_number(daemon_get(daemon, "/status"), "forwards.0.waiting"), CLIENTS);
    cr_assert_eq(metric_of(daemon, TO_MASTER), 0);
    server_start(&cluster->nodes[0]);
    for (size_t i = 0; i < CLIENTS; i++) {
        cr_assert_eq(client_hear(clients[i], 10000)[0], ':');
    }
    cr_assert_eq(metric_of(daemon, WAITING), 0);
    cr_assert_eq(metric_of(daemon, TO_MASTER), CLIENTS);
}

/* Nobody waits for a node whose handshake is not done, or is refused. */
SCENE(integration_forward_metrics, who_is_refused)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .down_after_ms = 60000, .node_password = "sesame"});
    const char *password = password_file("password", "sesame");
    const uint16_t tls = port_reserve(), auth = port_reserve();

    const struct daemon *daemon =
        daemon_start_tls(cluster, "--forward", text("127.0.0.1:%u,tls", tls), "--forward",
                         text("127.0.0.1:%u,auth", auth), "--redis-password-file", password,
                         "--command-timeout", "2s", NULL);
    const struct wire_spec secured = {.port = tls, .folder = daemon->certificates};
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    struct wire *good = wire_open(&secured);
    cr_assert_str_eq(wire_say(good, "AUTH sesame"), "OK");
    EXPECT_SAID(client_open(auth), "PING", "+PONG");
    cr_assert(metric_of(daemon, CLOSED("tls")) == 0 && metric_of(daemon, CLOSED("auth")) == 0);
    for (int i = 0; i < 3; i++) {
        struct raw *plain = client_open(tls);

        cr_assert_str_eq(client_say(plain, "PING"), "-ERR TLS is spoken here, and this is no TLS");
        cr_assert(raw_closes(plain, 3000));
    }
    WAIT_UNTIL(3000, metric_of(daemon, CLOSED("tls")) == 3);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "CONFIG SET requirepass another"), "OK");
    for (int i = 0; i < 2; i++) {
        struct raw *refused = client_open(auth);

        cr_assert(strstr(client_hear(refused, 8000), "auth: WRONGPASS"));
        cr_assert(raw_closes(refused, 3000));
    }
    cr_assert_eq(metric_of(daemon, CLOSED("auth")), 2);
    cr_assert_eq(metric_of(daemon, CLOSED("tls")), 3);
    cr_assert_eq(metric_of(daemon, WAITING), 0);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_eq(http_number(status, "forwards.0.closed.tls"), 3);
    cr_assert_eq(http_number(status, "forwards.0.handshakes"), 0);
    cr_assert_eq(http_number(status, "forwards.0.closed.auth"), 0);
    cr_assert_eq(http_number(status, "forwards.1.closed.auth"), 2);
}

/*
 * What clients have sent and were sent, in plain, over TLS, and where they are logged in: the
 * daemon's own words to the node, and records of TLS, are none of theirs.
 */
SCENE(integration_forward_metrics, how_much_was_passed_on)
{
    enum { VALUE = 300000, ROUNDS = 5 };
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .down_after_ms = 60000, .node_password = "sesame"});
    const char *password = password_file("password", "sesame"), *value = text("%0*d", VALUE, 7);
    const uint16_t plain = port_reserve(), secured = port_reserve();
    size_t in = 0, out = 0;

    const struct daemon *daemon =
        daemon_start_tls(cluster, "--forward", text("127.0.0.1:%u,auth", plain), "--forward",
                         text("127.0.0.1:%u,tls,auth", secured), "--redis-password-file", password,
                         "--workers", "2", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    for (int i = 0; i < ROUNDS; i++) {
        struct raw *client = client_open(plain);
        struct wire *wire =
            wire_open(&(struct wire_spec){.port = secured, .folder = daemon->certificates});
        const char *set = text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", VALUE, value);

        EXPECT_SAID(client, "INCR n", text(":%d", i + 1));
        in += strlen("INCR n\r\n");
        out += strlen(":1\r\n");
        cr_assert(wire_write(wire, set, strlen(set), 20000));
        freeReplyObject(wire_reply(wire, 20000));
        in += strlen(set);
        out += strlen("+OK\r\n");
        cr_assert(wire_write(wire, "GET k\r\n", 7, 5000));
        redisReply *reply = wire_reply(wire, 20000);
        cr_assert(reply && reply->len == VALUE && strcmp(reply->str, value) == 0);
        freeReplyObject(reply);
        in += strlen("GET k\r\n");
        out += strlen(text("$%d\r\n", VALUE)) + VALUE + 2;
        raw_close(client);
    }
    cr_assert_eq(metric_of(daemon, BYTES("in")), in, "%.0f, not %zu",
                 metric_of(daemon, BYTES("in")), in);
    cr_assert_eq(metric_of(daemon, BYTES("out")), out, "%.0f, not %zu",
                 metric_of(daemon, BYTES("out")), out);
}
