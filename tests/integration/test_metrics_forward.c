/* /metrics and /status of forwards. */
#include <string.h>

#include "../support/forward.h"
#include "../support/scene.h"

SCENE_SUITE(integration_metrics_forward);

#define CLOSED(reason) "bellwether_forward_closed_total{reason=\"" reason "\"}"

SCENE(integration_metrics_forward, what_forwards_did)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--workers", "2", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    struct raw **clients = clients_open(port, 2);
    WAIT_UNTIL(5000, metric_is(daemon, "bellwether_forward_connections{to=\"master\"}", 2));
    cr_assert(metric_is(daemon, "bellwether_forward_connections{to=\"replica\"}", 0));
    cr_assert(metric_is(daemon, "bellwether_forward_waiting", 0));
    cr_assert(metric_is(daemon, "bellwether_forward_bytes_total{direction=\"in\"}", 12));
    cr_assert(metric_is(daemon, "bellwether_forward_bytes_total{direction=\"out\"}", 14));
    raw_close(clients[0]);
    WAIT_UNTIL(5000, metric_is(daemon, "bellwether_forward_connections{to=\"master\"}", 1));
    cr_assert(metric_is(daemon, CLOSED("client"), 1));
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_str_eq(http_string(status, "forwards.0.listen"), text("127.0.0.1:%u", port));
    cr_assert_str_eq(http_string(status, "forwards.0.master"), "mymaster");
    cr_assert_eq(http_number(status, "forwards.0.connections.master"), 1);
    cr_assert_eq(http_number(status, "forwards.0.accepted"), 2);
    cr_assert_eq(http_number(status, "forwards.0.closed.client"), 1);
    status = daemon_get(daemon, "/status?format=text");
    cr_assert(strstr(status->body, text("  forward 127.0.0.1:%u  to master  clients 1, ", port)),
              "%s", status->body);
    cluster_failover(cluster);
    WAIT_UNTIL(30000,
               metric_of(daemon, CLOSED("switch")) + metric_of(daemon, CLOSED("promotion")) == 1);
    WAIT_UNTIL(5000, metric_is(daemon, "bellwether_forward_connections{to=\"master\"}", 0));
}
