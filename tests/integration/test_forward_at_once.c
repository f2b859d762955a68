/*
 * How soon: connections to a node that is the master no longer are closed with the adoption of the
 * other one, not at the next look; and what --adopt promoted is for.
 */
#include <string.h>

#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_forward_at_once);

/*
 * Ten times: who looks once a second only would have to be lucky each time, or nearly: the machine
 * may stand still twice.
 */
SCENE(integration_forward_at_once, all_are_closed_as_the_master_changes)
{
    enum { SWITCHES = 10, LATE = 2, IDLE = 3, SOON_MS = 300 };
    struct pair *pair = pair_start(1, "", "--workers", "2", "--command-timeout", "20s", NULL);
    struct stream *stream = stream_open(pair->daemon, "/events", NULL);
    const struct server *from = pair->old, *to = pair->now;
    size_t seen = 0, late = 0;

    for (int i = 0; i < SWITCHES; i++) {
        struct raw **idle = clients_open(pair->port, IDLE), *busy = client_open(pair->port);

        client_send(busy, "BLPOP list 0");
        WAIT_UNTIL(5000, info_of(from, "clients", "blocked_clients:") == 1 &&
                             clients_at(from) == IDLE + 1);
        cr_assert_str_eq(redis_say(to, "REPLICAOF NO ONE"), "OK");
        told_name(pair->told, 0, to->port, from->port);
        const int64_t adopted_ms =
            stream_wait(stream, &seen, "master", text("\"url\":\"redis://%s\"", to->address), 10000)
                ->came_ms;
        cr_assert(raw_closes(busy, 5000));
        for (size_t k = 0; k < IDLE; k++) {
            cr_assert(raw_closes(idle[k], 5000));
        }
        late += now_ms() - adopted_ms >= patient(SOON_MS);
        cr_assert_str_eq(redis_say(from, "REPLICAOF 127.0.0.1 %u", to->port), "OK");
        WAIT_UNTIL(10000, strstr(redis_say(from, "ROLE"), "connected") != NULL);
        const struct server *other = from;
        from = to;
        to = other;
    }
    cr_assert_leq(late, LATE, "%zu of %d", late, SWITCHES);
    cr_assert_eq(metric_of(pair->daemon, "bellwether_forward_closed_total{reason=\"switch\"}"),
                 SWITCHES * (IDLE + 1));
    stream_close(stream);
}

/*
 * The promotion closes all in either mode: an answer of the old master counts no longer. Then the
 * new one serves as soon as it is one, or only when a Sentinel names it.
 */
SCENE(integration_forward_at_once, whoever_adopts_what_is_promoted_serves_earlier)
{
    struct pair *pair = pair_start(1, "", "--command-timeout", "30s", "--fence-timeout", "30s",
                                   "--adopt", "promoted", NULL);
    const uint16_t patient_port = port_reserve();
    const struct daemon *announced =
        told_daemon(pair->told, "--forward", text("127.0.0.1:%u", patient_port),
                    "--command-timeout", "30s", "--fence-timeout", "30s", NULL);
    struct raw *early = clients_open(pair->port, 1)[0], *late = clients_open(patient_port, 1)[0];

    told_lead(pair->told, true);
    fake_publish(pair->told->sentinels[0], "+new-epoch", "1");
    told_say(pair->told, "+try-failover");
    told_say(pair->told, "+elected-leader");
    wait_for_fence(pair->daemon, "up", 3000);
    wait_for_fence(announced, "up", 3000);
    told_say_chosen(pair->told);
    told_say_promoting(pair->told);
    cr_assert(raw_closes(early, 3000) && raw_closes(late, 3000));
    early = client_open(pair->port);
    late = client_open(patient_port);
    client_send(early, "INCR n");
    client_send(late, "INCR n");
    cr_assert_str_eq(client_hear(early, 200), "", "nothing is promoted yet");
    pair_promote(pair);
    cr_assert_str_eq(client_hear(early, 5000), ":1");
    const int64_t served_ms = now_ms();
    EXPECT_MASTER(pair->daemon, pair->now, 1000);
    /* Until it is announced, however long. */
    cr_assert(*client_hear(late, 500) == '\0' && !raw_ended(late));
    cr_assert(says_master(announced, pair->old));
    cr_assert_str_eq(redis_say(pair->now, "GET n"), "1");
    told_lead(pair->told, false);
    told_announce(pair->told, 0);
    cr_assert_str_eq(client_hear(late, 5000), ":2");
    cr_assert_geq(now_ms() - served_ms, 500);
    EXPECT_SAID(early, "INCR n", ":3"); /* for those who are there nothing has changed */
}
