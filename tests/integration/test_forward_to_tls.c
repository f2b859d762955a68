/* Plain clients of servers that speak TLS: the forward speaks it for them. */
#include <string.h>

#include "../support/forward.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_forward_to_tls);

SCENE(integration_forward_to_tls, a_failover)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .down_after_ms = CLUSTER_STEADY_MS});
    uint16_t port;
    const struct daemon *daemon =
        forward_start(cluster, &port, "", "--command-timeout", "30s", "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct raw *silent = client_open(port);
    struct writers *writers = writers_begin_over(daemon, port);

    const struct server *now = cluster_fail_over_from(cluster, old);
    writers_end(writers);
    writers_check(writers, now, "SENTINEL FAILOVER, Redis over TLS", true);
    EXPECT_SAID(silent, "PING", "+PONG");
}

/*
 * What is decrypted can't be put back, so past max-memory nothing more is: those who read get all
 * of theirs once those who do not are gone.
 */
SCENE(integration_forward_to_tls, much_and_slowly)
{
    enum { READERS = 40, VALUE = 4 << 20 };
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .nodes = 1,
                                             .sentinels = 1,
                                             .down_after_ms = CLUSTER_STEADY_MS,
                                             .node_conf = "save \"\"\n"});
    uint16_t port;
    const struct daemon *daemon = forward_start(cluster, &port, "", "--max-memory", "1MiB", NULL);
    const char *value = text("%0*d", 60000, 7);
    struct raw *client = client_open(port), *readers[READERS];

    EXPECT_SAID(client, text("SET small %s", value), "+OK");
    EXPECT_SAID(client, text("SETRANGE k %d v", VALUE - 1), text(":%d", VALUE));
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = client_open(port);
        client_send(readers[i], "GET k");
    }
    HOLDS_FOR(300, status_of(daemon, "/livez") == 200);
    for (size_t i = 0; i < READERS; i++) {
        raw_close(readers[i]);
    }
    for (int i = 0; i < 20; i++) {
        EXPECT_SAID(client, "GET small", "$60000");
        cr_assert_str_eq(client_hear(client, 10000), value);
    }
    WAIT_UNTIL(10000, clients_at(&cluster->nodes[0]) == 1);
}
