/*
 * Forwards over TLS: towards clients, to Redis, and both; failovers, large values, readers that are
 * slow, certificates that change or are no good, and handshakes that come to no end.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/certificates.h"
#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/proxy.h"
#include "../support/scene.h"
#include "../support/wire.h"

#define MIB ((size_t)1024 * 1024)

SCENE_SUITE(integration_forward_tls);

/* ---- a daemon with one forward ---- */

struct place {
    struct daemon *daemon;
    struct wire_spec spec; /* how it is dialled */
};

/*
 * @param words  behind the address, as ",tls". @param folder  its certificates; NULL: no TLS
 * towards clients. More flags as arguments.
 */
static struct place start(struct cluster *cluster, const char *words, const char *folder, ...)
    __attribute__((sentinel));
static struct place start(struct cluster *cluster, const char *words, const char *folder, ...)
{
    struct place place = {.spec = {.port = port_reserve(), .folder = folder}};
    va_list arguments;

    va_start(arguments, folder);
    const char **flags = daemon_flags(!folder ? 2 : 6, arguments);
    va_end(arguments);
    flags[0] = "--forward";
    flags[1] = text("127.0.0.1:%u%s", place.spec.port, words);
    if (folder) {
        flags[2] = "--http-cert";
        flags[3] = text("%s/good.crt", folder);
        flags[4] = "--http-key";
        flags[5] = text("%s/good.key", folder);
    }
    place.daemon = daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    WAIT_UNTIL(5000, status_of(place.daemon, "/master") == 200);
    return place;
}

static struct cluster *start_one(enum cluster_tls tls)
{
    return cluster_start(&(struct cluster_spec){.tls = tls,
                                                .certificates = cluster_certificates(),
                                                .nodes = 1,
                                                .sentinels = 1,
                                                .down_after_ms = 60000});
}

static struct cluster *start_three(enum cluster_tls tls, int down_after_ms)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .tls = tls, .certificates = cluster_certificates(), .down_after_ms = down_after_ms});

    wait_for_replication(cluster);
    return cluster;
}

/* Nobody has two answers, and the connection lives. */
static void expect_joined(const struct place *place)
{
    struct wire *wire = wire_open(&place->spec);

    cr_assert_str_eq(wire_say(wire, "SET k v"), "OK");
    cr_assert_str_eq(wire_say(wire, "GET k"), "v");
    cr_assert_str_eq(wire_say(wire, "PING"), "PONG");
}

/* ---- who speaks what ---- */

SCENE(integration_forward_tls, towards_clients_only)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);

    expect_joined(&place);
}

/* What an old program needs that knows no TLS. */
SCENE(integration_forward_tls, to_redis_only)
{
    struct cluster *cluster = start_one(CLUSTER_TLS_REDIS);
    const struct place place = start(cluster, "", NULL, NULL);

    expect_joined(&place);
}

SCENE(integration_forward_tls, on_both_sides)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);

    expect_joined(&place);
}

SCENE(integration_forward_tls, redis_by_name)
{
    const char *folder = cluster_certificates();
    const struct certificate names = {.name = "good", .issuer = "ca", .names = "DNS:localhost"};

    certificates_make(folder, &names);
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = folder,
                                             .hostnames = true,
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const struct place place = start(cluster, "", NULL, NULL);
    expect_joined(&place);
}

/* With the last command its client has said its goodbye already, over TLS, too. */
SCENE(integration_forward_tls, many_commands_at_once)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    struct wire *wire = wire_open(&place.spec);
    enum { COMMANDS = 50000 };
    static const char incr[] = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    char *all = scene_alloc(COMMANDS * (sizeof(incr) - 1) + 1);

    for (size_t i = 0; i < COMMANDS; i++) {
        memcpy(all + i * (sizeof(incr) - 1), incr, sizeof(incr) - 1);
    }
    /* a megabyte, whose answers fit into what is between us */
    cr_assert(wire_write(wire, all, COMMANDS * (sizeof(incr) - 1), 20000));
    for (long long i = 1; i <= COMMANDS; i++) {
        redisReply *reply = wire_reply(wire, 20000);

        cr_assert(reply && reply->integer == i, "answer %lld is %lld", i,
                  reply ? reply->integer : -1);
        freeReplyObject(reply);
    }
}

/* Whoever says goodbye after its commands has their answers all the same. */
SCENE(integration_forward_tls, clients_that_say_goodbye_first)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);

    for (int round = 0; round < 5; round++) {
        struct wire *wire = wire_open(&place.spec);

        for (int i = 0; i < 10; i++) {
            cr_assert(wire_write(wire, "PING\r\n", 6, 5000));
        }
        wire_shut(wire);
        for (int i = 0; i < 10; i++) {
            redisReply *reply = wire_reply(wire, 5000);

            cr_assert(reply && strcmp(reply->str, "PONG") == 0, "answer %d", i);
            freeReplyObject(reply);
        }
        cr_assert(wire_ends(wire, 5000));
    }
}

/* What is no data comes together with data, and no event tells of that. */
SCENE(integration_forward_tls, clients_that_change_their_keys)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    struct wire *wire = wire_open(&place.spec);

    cr_assert_str_eq(wire_say(wire, "PING"), "PONG");
    for (int changes = 1; changes <= 3; changes++) {
        process_freeze(place.daemon->process);
        for (int i = 0; i < changes; i++) {
            cr_assert(wire_change_keys(wire));
        }
        cr_assert(wire_write(wire, "PING\r\n", 6, 5000));
        process_signal(place.daemon->process, SIGCONT);
        redisReply *reply = wire_reply(wire, 5000);
        cr_assert(reply && strcmp(reply->str, "PONG") == 0, "%d changes", changes);
        freeReplyObject(reply);
    }
}

/* ---- failovers ---- */

static void fail_over_by_hand(enum cluster_tls tls, const char *words, const char *what)
{
    struct cluster *cluster = start_three(tls, CLUSTER_STEADY_MS);
    const struct place place = start(cluster, words, *words ? cluster->spec.certificates : NULL,
                                     "--command-timeout", "30s", NULL);
    struct counters *counters = counters_start(&place.spec, 8);
    struct server *old = &cluster->nodes[0];

    counters_go_on(counters, 10000);
    struct server *now = cluster_fail_over_from(cluster, old);
    WAIT_UNTIL(20000, strncmp(redis_say(old, "ROLE"), "slave", 5) == 0);
    counters_go_on(counters, 20000);
    counters_stop(counters);
    cr_assert_eq(counters_lost(counters, now, what), 0);
}

SCENE(integration_forward_tls, failover_by_hand_both_sides)
{
    fail_over_by_hand(CLUSTER_TLS, ",tls", "SENTINEL FAILOVER, TLS on both sides");
}

SCENE(integration_forward_tls, failover_by_hand_to_redis_only)
{
    fail_over_by_hand(CLUSTER_TLS_REDIS, "", "SENTINEL FAILOVER, TLS to Redis");
}

SCENE(integration_forward_tls, failover_by_hand_towards_clients_only)
{
    fail_over_by_hand(CLUSTER_PLAIN, ",tls", "SENTINEL FAILOVER, TLS towards clients");
}

SCENE(integration_forward_tls, kill_nine_both_sides)
{
    struct cluster *cluster = start_three(CLUSTER_TLS, 0);
    const struct place place =
        start(cluster, ",tls", cluster->spec.certificates, "--command-timeout", "30s", NULL);
    struct counters *counters = counters_start(&place.spec, 8);
    struct server *old = &cluster->nodes[0];

    counters_go_on(counters, 10000);
    server_kill(old);
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    counters_go_on(counters, 30000);
    counters_stop(counters);
    (void)counters_lost(counters, now, "kill -9, TLS on both sides");
    cr_expect_str_eq(daemon_get(place.daemon, "/master?format=text")->body,
                     text("%s\n", now->address));
}

/* ---- much, and slowly ---- */

/* Bytes that are nowhere the same. */
static char *make_value(size_t size)
{
    char *bytes = scene_alloc(size);
    uint32_t state = 1;

    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (char)(state >> 24);
    }
    return bytes;
}

static void set_value(struct wire *wire, const char *key, const char *value, size_t size)
{
    const char *head = text("*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, size);
    redisReply *reply;

    cr_assert(wire_write(wire, head, strlen(head), 5000) && wire_write(wire, value, size, 60000) &&
              wire_write(wire, "\r\n", 2, 5000));
    reply = wire_reply(wire, 30000);
    cr_assert(reply && reply->type == REDIS_REPLY_STATUS, "SET of %zu bytes", size);
    freeReplyObject(reply);
}

static void expect_value(struct wire *wire, const char *value, size_t size)
{
    redisReply *reply = wire_reply(wire, 60000);

    cr_assert(reply && reply->type == REDIS_REPLY_STRING && reply->len == size &&
                  memcmp(reply->str, value, size) == 0,
              "GET of %zu bytes", size);
    freeReplyObject(reply);
}

SCENE(integration_forward_tls, sixty_four_megabytes_through_both_sides)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    struct wire *wire = wire_open(&place.spec);
    const size_t size = 64 * MIB;
    char *value = make_value(size);

    set_value(wire, "large", value, size);
    cr_assert(wire_write(wire, "GET large\r\n", 11, 5000));
    expect_value(wire, value, size);
    cr_expect(daemon_is_sanitized() || daemon_memory_kb(place.daemon, "VmHWM:") < 64 * 1024,
              "%ld kB", daemon_memory_kb(place.daemon, "VmHWM:"));
}

/* Whoever reads nothing has the node wait, not the daemon's memory grow; then all comes. */
SCENE(integration_forward_tls, readers_that_are_slow)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    enum { READERS = 4, VALUES = 40 };
    const size_t size = MIB + 17;
    char *value = make_value(size);
    struct wire *wires[READERS];
    size_t sips = 0;

    set_value(wire_open(&place.spec), "v", value, size);
    for (size_t i = 0; i < READERS; i++) {
        wires[i] = wire_open(&place.spec);
        for (size_t k = 0; k < VALUES; k++) {
            cr_assert(wire_write(wires[i], "GET v\r\n", 7, 5000));
        }
    }
    expect_joined(&place); /* others are served meanwhile, */
    for (size_t i = 0; i < 300; i++) {
        sips += wire_sip(wires[i % READERS], 1000);
        cr_assert_not(wire_ended(wires[i % READERS]), "it ended after %zu bytes", sips);
        nap_ms(1);
    }
    cr_assert_gt(sips, 100 * 1000); /* of what was asked for each has much to come still */
    cr_expect(daemon_is_sanitized() || daemon_memory_kb(place.daemon, "VmHWM:") < 64 * 1024,
              "%ld kB", daemon_memory_kb(place.daemon, "VmHWM:"));
    for (size_t k = 0; k < VALUES; k++) {
        for (size_t i = 0; i < READERS; i++) {
            expect_value(wires[i], value, size);
        }
    }
}

/* A node that reads nothing has its client wait. */
SCENE(integration_forward_tls, a_node_that_stands_still)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct place place =
        start(cluster, ",tls", cluster->spec.certificates, "--verify-timeout", "60s", NULL);
    struct wire *wire = wire_open(&place.spec);
    const size_t size = 40 * MIB;
    char *value = make_value(size);
    const char *head = text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);

    cr_assert_str_eq(wire_say(wire, "PING"), "PONG");
    server_freeze(&cluster->nodes[0]);
    cr_assert(wire_write(wire, head, strlen(head), 5000));
    cr_expect_not(wire_write(wire, value, size, 1500), "all was taken, by whom?");
    cr_expect(daemon_is_sanitized() || daemon_memory_kb(place.daemon, "VmHWM:") < 64 * 1024,
              "%ld kB", daemon_memory_kb(place.daemon, "VmHWM:"));
    server_thaw(&cluster->nodes[0]);
    expect_joined(&place);
}

/* ---- certificates of ours ---- */

/* A folder whose `ca` is nobody's. */
static const char *make_strangers(void)
{
    const char *folder = text("%s/strangers", scene_folder());

    cr_assert_eq(process_run(5000, NULL, (const char *const[]){"mkdir", folder, NULL}).exit_code,
                 0);
    certificates_make_usual(folder);
    return folder;
}

SCENE(integration_forward_tls, clients_that_do_not_trust_it)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    struct wire_spec stranger = place.spec;

    stranger.folder = make_strangers();
    for (int i = 0; i < 3; i++) {
        cr_expect_null(wire_dial(&stranger));
    }
    EXPECT_LOGGED(place.daemon,
                  strstr(daemon_log(place.daemon), "clients of forwards are refused"));
    const char *log = daemon_log(place.daemon);
    cr_expect(strstr(log, "trusts no issuer of the certificate in http-cert"), "%s", log);
    cr_expect_eq(count_in(log, "clients of forwards are refused"), 1);
    expect_joined(&place);
}

/* A client that is not told to speak TLS is told so, in words that it knows. */
SCENE(integration_forward_tls, clients_that_speak_plain)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, NULL);
    const struct wire_spec plain = {.port = place.spec.port};

    for (int i = 0; i < 3; i++) {
        struct wire *wire = wire_open(&plain);

        cr_expect_str_eq(wire_say(wire, "PING"), "-ERR TLS is spoken here, and this is no TLS");
        cr_expect(wire_ends(wire, 5000));
    }
    EXPECT_LOGGED(place.daemon, count_in(daemon_log(place.daemon), "a client speaks plain") == 1);
    expect_joined(&place);
}

/* With TLS 1.3 a client learns of it only after its handshake. */
static void expect_refused(const struct wire_spec *spec)
{
    struct wire *wire = wire_dial(spec);

    if (wire) {
        (void)wire_write(wire, "PING\r\n", 6, 5000);
        cr_expect_null(wire_reply(wire, 5000));
        cr_expect(wire_ended(wire));
        wire_close(wire);
    }
}

SCENE(integration_forward_tls, clients_show_certificates)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const char *folder = cluster->spec.certificates;
    const uint16_t others[] = {port_reserve(), port_reserve()};
    const struct certificate server = {.name = "server", .issuer = "ca", .usage = "serverAuth"},
                             stranger = {.name = "stranger"};
    struct place place =
        start(cluster, ",tls", folder, "--http-client-ca", text("%s/ca.crt", folder), "--forward",
              text("127.0.0.1:%u,tls,client-ca=optional", others[0]), "--forward",
              text("127.0.0.1:%u,tls,client-ca=off", others[1]), NULL);

    certificates_make(folder, &server);
    certificates_make(folder, &stranger);
    expect_refused(&place.spec);
    EXPECT_LOGGED(place.daemon, strstr(daemon_log(place.daemon), "showed no certificate"));
    place.spec.shows = "server";
    expect_refused(&place.spec);
    place.spec.shows = "stranger";
    expect_refused(&place.spec);
    place.spec.shows = "good";
    expect_joined(&place);
    place.spec.port = others[0];
    expect_joined(&place);
    place.spec.shows = "stranger";
    expect_refused(&place.spec);
    place.spec.shows = NULL;
    expect_joined(&place);
    place.spec.port = others[1];
    expect_joined(&place);
}

SCENE(integration_forward_tls, our_certificate_changes_in_use)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const char *folder = cluster->spec.certificates, *strangers = make_strangers();
    const struct place place = start(cluster, ",tls", folder, NULL);
    struct place after = place;
    struct wire *before = wire_open(&place.spec), *now = NULL;
    const int64_t end_ms = now_ms() + patient(10000);

    cr_assert_str_eq(wire_say(before, "PING"), "PONG");
    after.spec.folder = strangers;
    cr_assert_null(wire_dial(&after.spec));
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "good.crt" : "good.key";
        const char *copy = text("copy-%s", name);

        certificates_write(folder, copy, file_read(text("%s/%s", strangers, name)));
        certificates_replace(folder, copy, name);
    }
    while (!now && now_ms() < end_ms) { /* the next look at the files */
        now = wire_dial(&after.spec);
        nap_ms(20);
    }
    cr_assert(now, "the new one is not shown: %s", daemon_log(place.daemon));
    wire_close(now);
    expect_joined(&after);
    cr_expect_str_eq(wire_say(before, "PING"), "PONG"); /* who is in stays in */
}

/* ---- certificates of Redis ---- */

static const char *told_instead(const struct place *place)
{
    return wire_say(wire_open(&place->spec), "PING");
}

/* The watcher's connection is older, and stands: only who comes anew meets it. */
SCENE(integration_forward_tls, what_redis_shows_is_checked)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const struct server *node = &cluster->nodes[0];
    const struct place place =
        start(cluster, ",tls", cluster->spec.certificates, "--command-timeout", "1s", NULL);

    for (const struct wrong_certificate *wrong = wrong_certificates; wrong->words; wrong++) {
        wrong_certificate_make(cluster->spec.certificates, wrong);
        cluster_show(cluster, node, wrong->made.name);
        const char *said = told_instead(&place);
        cr_expect(strncmp(said, "-NOTSENT ", 9) == 0 && strstr(said, wrong->words), "%s: %s",
                  wrong->made.name, said);
        cluster_show(cluster, node, "good");
        EXPECT_MASTER(place.daemon, node, 6000);
        WAIT_UNTIL(6000, strcmp(told_instead(&place), "PONG") == 0);
    }
}

/* Another authority on Redis' side, and then on ours. */
SCENE(integration_forward_tls, the_authority_of_redis_changes)
{
    struct cluster *cluster = start_one(CLUSTER_TLS_REDIS);
    const char *folder = cluster->spec.certificates;
    const struct certificate ca2 = {.name = "ca2", .authority = true, .common_name = "Second CA"};
    const struct certificate second = {.name = "second", .issuer = "ca2", .names = "IP:127.0.0.1"};

    certificates_make(folder, &ca2);
    certificates_make(folder, &second);
    certificates_join(folder, "ca.crt", "ca2.crt", "both.crt");
    certificates_join(folder, "ca.crt", "ca.crt", "trusted");
    const struct place place = start(cluster, "", NULL, "--redis-tls-ca",
                                     text("%s/trusted", folder), "--command-timeout", "1s", NULL);
    struct wire *before = wire_open(&place.spec);
    cr_assert_str_eq(wire_say(before, "PING"), "PONG");
    cluster_show(cluster, &cluster->nodes[0], "second");
    const char *said = told_instead(&place);
    cr_expect(strncmp(said, "-NOTSENT ", 9) == 0 && strstr(said, "Second CA"), "%s", said);
    certificates_replace(folder, "both.crt", "trusted");
    WAIT_UNTIL(10000, strcmp(told_instead(&place), "PONG") == 0);
    cr_expect_str_eq(wire_say(before, "PING"), "PONG");
}

/* Redis asks for a certificate, and has it. */
SCENE(integration_forward_tls, ours_is_shown_to_redis)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .client_certificates = true,
                                             .nodes = 1,
                                             .sentinels = 1,
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const struct place place = start(cluster, "", NULL, NULL);

    expect_joined(&place);
}

/* ---- handshakes that come to no end ---- */

/* A TLS 1.2 ClientHello's beginning. */
static const char part_of_hello[] = {22, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3};

SCENE(integration_forward_tls, clients_that_hang_in_the_handshake)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place =
        start(cluster, ",tls", cluster->spec.certificates, "--request-timeout", "1500ms",
              "--command-timeout", "60s", "--max-forwards", "20", NULL);
    const struct wire_spec plain = {.port = place.spec.port};
    struct wire *wires[20];

    for (size_t i = 0; i < 20; i++) { /* some say nothing at all */
        wires[i] = wire_open(&plain);
        cr_assert(wire_write(wires[i], part_of_hello, i % 2 * sizeof(part_of_hello), 1000));
    }
    for (size_t i = 0; i < 20; i++) {
        cr_expect(wire_ends(wires[i], 5000), "client %zu still hangs", i);
    }
    EXPECT_LOGGED(place.daemon,
                  strstr(daemon_log(place.daemon), "has not ended its handshake in time"));
    expect_joined(&place);
}

/* Beyond the places that are free there is room for 64: then the oldest has to go. */
SCENE(integration_forward_tls, handshakes_take_no_places)
{
    enum { PLACES = 2, HANGING = PLACES + 64 };
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const unsigned other = port_reserve();
    const struct place place = start(cluster, ",tls", cluster->spec.certificates,
                                     "--request-timeout", "60s", "--max-forwards", "2", "--workers",
                                     "1", "--forward", text("127.0.0.1:%u", other), NULL);
    const struct wire_spec plain = {.port = place.spec.port}, away = {.port = (uint16_t)other};
    struct wire *hanging[HANGING], *first, *second;

    for (size_t i = 0; i < HANGING; i++) {
        hanging[i] = wire_open(&plain);
        cr_assert(wire_write(hanging[i], part_of_hello, i % 2 * sizeof(part_of_hello), 1000));
    }
    WAIT_UNTIL(5000, metric_of(place.daemon, "bellwether_forward_handshakes") == HANGING);
    const struct http_answer *status = daemon_get(place.daemon, "/status");
    cr_expect_eq(http_number(status, "forwards.0.handshakes"), HANGING);
    cr_expect_eq(http_number(status, "forwards.0.waiting"), 0);
    cr_expect_eq(http_number(status, "forwards.0.accepted"), HANGING);
    first = wire_open(&away);
    cr_assert_str_eq(wire_say(first, "PING"), "PONG");
    second = wire_open(&place.spec);
    cr_assert_str_eq(wire_say(second, "PING"), "PONG");
    cr_expect(wire_ends(hanging[0], 5000), "the oldest hangs still");
    cr_expect_not(wire_ended(hanging[HANGING - 1]));
    cr_expect_str_eq(wire_say(wire_open(&place.spec), "PING"),
                     "-ERR max number of clients reached");
    cr_expect_str_eq(wire_say(wire_open(&away), "PING"), "-ERR max number of clients reached");
    EXPECT_LOGGED(place.daemon, strstr(daemon_log(place.daemon), "too many hang in their"));
    cr_expect_str_eq(wire_say(first, "PING"), "PONG");
}

SCENE(integration_forward_tls, clients_that_leave_in_the_handshake)
{
    struct cluster *cluster = start_one(CLUSTER_PLAIN);
    const struct place place =
        start(cluster, ",tls", cluster->spec.certificates, "--max-forwards", "20", NULL);
    struct proxy *proxy = proxy_start(place.spec.port);
    struct wire_spec behind = place.spec;
    const struct wire_spec plain = {.port = place.spec.port};

    behind.port = proxy_port(proxy);
    for (size_t i = 0; i < 40; i++) {
        struct wire *wire = wire_dial(&plain);

        cr_assert(wire && wire_write(wire, part_of_hello, 1 + i % sizeof(part_of_hello), 1000));
        wire_close(wire);
    }
    for (size_t most = 1; most < 600; most = most * 3 / 2 + 1) {
        proxy_behave(proxy, &(struct proxy_manner){.down_most = most});
        cr_expect_null(wire_dial(&behind), "%zu bytes are no handshake", most);
    }
    for (size_t most = 1; most < 300; most = most * 3 / 2 + 1) {
        struct wire *wire;

        proxy_behave(proxy, &(struct proxy_manner){.up_most = most});
        wire = wire_dial(&behind);
        if (wire) { /* with TLS 1.3 it has said its last before it is heard */
            cr_expect(wire_ends(wire, 5000));
            wire_close(wire);
        }
    }
    proxy_behave(proxy, &(struct proxy_manner){.piece = 3});
    behind.folder = place.spec.folder;
    expect_joined(&(struct place){.spec = behind});
    WAIT_UNTIL(5000, strcmp(told_instead(&place), "PONG") == 0); /* their places are free again */
    still_serves(place.daemon);
}

/* The node is behind a proxy that makes its network bad. */
SCENE(integration_forward_tls, handshakes_with_redis_that_are_cut)
{
    struct cluster *cluster = start_one(CLUSTER_TLS);
    const uint16_t port = cluster->nodes[0].port;
    struct proxy *proxy = proxy_start(port);
    const struct place place = start(cluster, ",tls", cluster->spec.certificates, "--map",
                                     text("127.0.0.1:%u=127.0.0.1:%u", port, proxy_port(proxy)),
                                     "--verify", "off", "--command-timeout", "1s", NULL);

    WAIT_UNTIL(5000, strcmp(told_instead(&place), "PONG") == 0);
    for (size_t most = 1; most < 200; most = most * 4 + 1) { /* a session is taken up again */
        proxy_behave(proxy, &(struct proxy_manner){.down_most = most});
        const char *said = told_instead(&place);
        cr_expect(strncmp(said, "-NOTSENT no connection within 1000 ms: ", 39) == 0, "%s", said);
    }
    proxy_behave(proxy, &(struct proxy_manner){.piece = 20});
    expect_joined(&place);
    proxy_behave(proxy, &(struct proxy_manner){.silent = true});
    cr_expect(strncmp(told_instead(&place), "-NOTSENT ", 9) == 0);
    proxy_behave(proxy, &(struct proxy_manner){0});
    WAIT_UNTIL(5000, strcmp(told_instead(&place), "PONG") == 0);
}
