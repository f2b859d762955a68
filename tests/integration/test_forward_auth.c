/*
 * Forwards that log their clients in: passwords that are right, wrong, change, or are not asked
 * for; users, masters with passwords of their own, and clients that begin with HELLO.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/ports.h"
#include "../support/proxy.h"
#include "../support/scene.h"
#include "../support/wire.h"

SCENE_SUITE(integration_forward_auth);

static struct cluster *start_one(const char *password)
{
    return cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .down_after_ms = 60000, .node_password = password});
}

/* A daemon with `--forward PLACE,auth`, whose port is `port`. */
#define START(cluster, port, password, ...) \
    daemon_start(cluster, "--forward", text("127.0.0.1:%u,auth", port), "--redis-password-file", \
                 password_file("password", password) __VA_OPT__(, ) __VA_ARGS__, NULL)

static struct wire *dial(uint16_t port)
{
    return wire_open(&(struct wire_spec){.port = port});
}

static const char *first_answer(uint16_t port)
{
    return wire_say(dial(port), "PING");
}

static void expect_secret(const struct daemon *daemon, const char *password)
{
    cr_expect(!strstr(daemon_log(daemon), password), "the password is in the log: %s",
              daemon_log(daemon));
}

/* ---- passwords ---- */

SCENE(integration_forward_auth, clients_need_no_password)
{
    struct cluster *cluster = start_one("sesame");
    const uint16_t port = port_reserve(), other = port_reserve();
    const char *path = text("%s/forward", scene_folder());
    const struct daemon *daemon =
        START(cluster, port, "sesame", "--forward", text("127.0.0.1:%u", other), "--forward",
              text("unix:%s,auth,mode=0600", path));
    struct wire *wire;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    wire = dial(port);
    cr_expect_str_eq(wire_say(wire, "SET k v"), "OK");
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "default");
    wire = wire_open(&(struct wire_spec){.unix_socket = path});
    cr_expect_str_eq(wire_say(wire, "GET k"), "v");
    /* where it was not asked for, clients log in themselves */
    wire = dial(other);
    cr_expect_str_eq(wire_say(wire, "GET k"), "-NOAUTH Authentication required.");
    cr_expect_str_eq(wire_say(wire, "AUTH sesame"), "OK");
    cr_expect_str_eq(wire_say(wire, "GET k"), "v");
    expect_secret(daemon, "sesame");
}

/* The watcher's connection stands: only who comes anew is refused. */
SCENE(integration_forward_auth, a_wrong_password_is_named)
{
    struct cluster *cluster = start_one("swordfish");
    const uint16_t port = port_reserve();
    const struct daemon *daemon = START(cluster, port, "swordfish", "--command-timeout", "1s");

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    cr_assert_str_eq(first_answer(port), "PONG");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "CONFIG SET requirepass another"), "OK");
    for (int i = 0; i < 3; i++) {
        struct wire *wire = dial(port);
        const char *said = wire_say(wire, "PING");

        cr_expect(strncmp(said, "-NOTSENT ", 9) == 0 && strstr(said, "auth: WRONGPASS"), "%s",
                  said);
        cr_expect(wire_ends(wire, 5000));
    }
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "reason=auth"));
    cr_expect_eq(count_in(daemon_log(daemon), "clients of forwards are refused"), 1);
    expect_secret(daemon, "swordfish");
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "PING"),
                     "NOAUTH Authentication required."); /* the test has the old one, too */
}

/* Who is refused has the file read again at once. */
SCENE(integration_forward_auth, the_password_changes_under_way)
{
    struct cluster *cluster = start_one("first");
    const uint16_t port = port_reserve();
    const struct daemon *daemon = START(cluster, port, "first", "--command-timeout", "20s");
    struct wire *before;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    before = dial(port);
    cr_assert_str_eq(wire_say(before, "PING"), "PONG");
    cluster_change_password(cluster, "second");
    (void)password_file("password", "second");
    cr_expect_str_eq(first_answer(port), "PONG");
    cr_expect_str_eq(wire_say(before, "PING"), "PONG");
    expect_secret(daemon, "second");
}

SCENE(integration_forward_auth, the_file_comes_later_than_the_change)
{
    struct cluster *cluster = start_one("first");
    const uint16_t port = port_reserve();
    const struct daemon *daemon = START(cluster, port, "first", "--command-timeout", "30s");
    struct wire *wire;
    redisReply *reply;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    cr_assert_str_eq(first_answer(port), "PONG");
    cluster_change_password(cluster, "second");
    wire = dial(port);
    cr_assert(wire_write(wire, "PING\r\n", 6, 1000));
    cr_assert_null(wire_reply(wire, 300)); /* it is refused, and waits */
    cr_assert_not(wire_ended(wire));
    (void)password_file("password", "second");
    reply = wire_reply(wire, 10000);
    cr_assert(reply && strcmp(reply->str, "PONG") == 0);
    freeReplyObject(reply);
}

SCENE(integration_forward_auth, a_server_that_asks_for_none)
{
    struct cluster *cluster = start_one(NULL);
    const uint16_t port = port_reserve();
    const struct daemon *daemon = START(cluster, port, "sesame");

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    cr_expect_str_eq(first_answer(port), "PONG");
    expect_secret(daemon, "sesame");
}

/* ---- users, and clients that say who they are ---- */

/* A node with two users, and a daemon that logs in as one of them. @return the forward's port. */
static uint16_t start_with_users(void)
{
    struct cluster *cluster = start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const uint16_t port = port_reserve();

    cr_assert_str_eq(
        redis_say(node, "ACL SETUSER app on >sesame ~* resetchannels +@all -acl|setuser"), "OK");
    cr_assert_str_eq(redis_say(node, "ACL SETUSER other on >pick ~* resetchannels +@all"), "OK");
    const struct daemon *daemon =
        START(cluster, port, "sesame", "--redis-username", "app", "--verify", "off");
    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    return port;
}

SCENE(integration_forward_auth, a_user_of_its_own)
{
    const uint16_t port = start_with_users();
    struct wire *wire = dial(port);

    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "app");
    cr_expect(strncmp(wire_say(wire, "ACL SETUSER x on"), "-NOPERM", 7) == 0);
    /* a HELLO changes the protocol, and nobody's name */
    cr_expect(strstr(wire_say(wire, "HELLO 3"), "proto 3"));
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "app");
    wire = dial(port);
    cr_expect(strstr(wire_say(wire, "HELLO 3"), "proto 3"));
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "app");
    cr_expect_str_eq(wire_say(wire, "RESET"), "RESET");
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "default"); /* as Redis has it */
}

/* The client's own login comes later, and so it is the one that counts. */
SCENE(integration_forward_auth, clients_that_log_in_themselves)
{
    const uint16_t port = start_with_users();
    struct wire *wire = dial(port);

    cr_expect(strstr(wire_say(wire, "HELLO 3 AUTH other pick SETNAME me"), "proto 3"));
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "other");
    wire = dial(port);
    cr_expect(strncmp(wire_say(wire, "HELLO 3 AUTH other wrong"), "-WRONGPASS", 10) == 0);
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "app");
    cr_expect_str_eq(wire_say(wire, "AUTH other pick"), "OK");
    cr_expect_str_eq(wire_say(wire, "ACL WHOAMI"), "other");
}

/* Each master has its own password. */
SCENE(integration_forward_auth, masters_with_passwords_of_their_own)
{
    struct cluster *cluster = start_one("first");
    struct server *other = cluster_add_node(cluster, NULL);
    const uint16_t ports[] = {port_reserve(), port_reserve()};
    const char *config = text("%s/config", scene_folder());
    const char *second = text("%s/second", scene_folder());
    const struct daemon *daemon;

    cluster_monitor(cluster, "other", other);
    cr_assert_str_eq(redis_say(&cluster->sentinels[0], "SENTINEL SET other auth-pass second"),
                     "OK");
    cr_assert_str_eq(redis_say(other, "CONFIG SET requirepass second"), "OK");
    other->password = text("second");
    file_write(second, "second\n");
    file_write(config, text("[bellwether]\nredis-password-file = %s\nforward = 127.0.0.1:%u,auth,"
                            "name=mymaster\nforward = 127.0.0.1:%u,auth,name=other\n"
                            "master = mymaster, other\n[master other]\nredis-password-file = %s\n",
                            password_file("password", "first"), ports[0], ports[1], second));
    daemon = daemon_start(cluster, "--config", config, NULL);
    WAIT_UNTIL(5000, status_of(daemon, "/masters/mymaster") == 200 &&
                         status_of(daemon, "/masters/other") == 200);
    cr_expect_str_eq(wire_say(dial(ports[0]), "SET who first"), "OK");
    cr_expect_str_eq(wire_say(dial(ports[1]), "SET who second"), "OK");
    cr_expect_str_eq(redis_say(&cluster->nodes[0], "GET who"), "first");
    cr_expect_str_eq(redis_say(other, "GET who"), "second");
}

/* ---- failovers ---- */

/*
 * The old master is gone before the password changes on the others and in the file: whoever comes
 * back is logged in with the new one.
 */
static void rotate_through(bool kill_it)
{
    static const char user[] = "ACL SETUSER app on resetpass >%s ~* &* +@all";
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 2000});
    const uint16_t port = port_reserve();
    struct server *old = &cluster->nodes[0], *now;
    struct wire *wires[6];

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], user, "first"), "OK");
    }
    const struct daemon *daemon = START(cluster, port, "first", "--redis-username", "app",
                                        "--command-timeout", "30s", "--workers", "2");
    EXPECT_MASTER(daemon, old, 5000);
    for (size_t i = 0; i < 6; i++) {
        wires[i] = dial(port);
        cr_assert_str_eq(wire_say(wires[i], "ACL WHOAMI"), "app");
    }
    if (kill_it) {
        server_kill(old);
    } else {
        server_freeze(old);
    }
    for (size_t i = 1; i < cluster->n_nodes; i++) {
        cr_assert_str_eq(redis_say(&cluster->nodes[i], user, "second"), "OK");
    }
    (void)password_file("password", "second");
    for (size_t i = 0; i < 6; i++) {
        cr_assert(wire_ends(wires[i], 20000), "it is left on the old master");
        wires[i] = dial(port);
        cr_assert(wire_write(wires[i], "ACL WHOAMI\r\n", 12, 5000));
    }
    now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < 6; i++) {
        redisReply *reply = wire_reply(wires[i], 20000);

        cr_assert(reply && reply->str && strcmp(reply->str, "app") == 0, "%s",
                  reply && reply->str ? reply->str : "no answer");
        freeReplyObject(reply);
        cr_expect_str_eq(wire_say(wires[i], "SET k v"), "OK");
    }
    EXPECT_MASTER(daemon, now, 10000);
    expect_secret(daemon, "second");
}

SCENE(integration_forward_auth, rotated_through_kill_nine)
{
    rotate_through(true);
}

SCENE(integration_forward_auth, rotated_through_a_master_that_is_frozen)
{
    rotate_through(false);
}

/* ---- what else there may be ---- */

SCENE(integration_forward_auth, over_tls_to_redis)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.tls = CLUSTER_TLS,
                                             .certificates = cluster_certificates(),
                                             .node_password = "sesame",
                                             .down_after_ms = CLUSTER_STEADY_MS});
    const uint16_t port = port_reserve();
    const struct wire_spec spec = {.port = port};
    const struct daemon *daemon = START(cluster, port, "sesame", "--command-timeout", "30s");
    struct counters *counters;
    struct server *old = &cluster->nodes[0];

    EXPECT_MASTER(daemon, old, 5000);
    wait_for_replication(cluster);
    counters = counters_start(&spec, 4);
    counters_go_on(counters, 10000);
    const struct server *now = cluster_fail_over_from(cluster, old);
    counters_go_on(counters, 20000);
    counters_stop(counters);
    cr_assert_eq(counters_lost(counters, now, "SENTINEL FAILOVER, logged in over TLS"), 0);
}

/* Every answer comes a byte at a time, AUTH's among them. */
SCENE(integration_forward_auth, answers_in_pieces)
{
    struct cluster *cluster = start_one("sesame");
    const uint16_t port = port_reserve();
    struct proxy *proxy = proxy_start(cluster->nodes[0].port);
    const struct daemon *daemon;

    proxy_behave(proxy, &(struct proxy_manner){.piece = 1, .pause_ms = 1});
    daemon = START(cluster, port, "sesame", "--map",
                   text("%s=%s", cluster->nodes[0].address, proxy_address(proxy)),
                   "--verify-timeout", "5s", "--suspect-after", "20s");
    WAIT_UNTIL(8000, status_of(daemon, "/master") == 200);
    cr_expect_str_eq(first_answer(port), "PONG");
}

/* A node whose answers to AUTH are the test's. */
struct stage {
    struct fake_words words;
    struct fake *node;
    const struct daemon *daemon;
    uint16_t port;
};

static void stage_say(struct stage *stage, const char *answer)
{
    stage->words.flood = answer;
    fake_say(stage->node, &stage->words);
}

static struct stage start_stage(const char *answer, const char *timeout)
{
    struct stage stage = {.words = {.role = "master", .flood = answer}, .port = port_reserve()};

    stage.node = fake_start(FAKE_NODE, &stage.words);
    const struct fake *sentinel = fake_start_sentinel(fake_port(stage.node));
    stage.daemon = START(NULL, stage.port, "hunter2", "--sentinel", fake_address(sentinel),
                         "--verify", "off", "--command-timeout", timeout);
    WAIT_UNTIL(5000, status_of(stage.daemon, "/master") == 200);
    return stage;
}

static void expect_told(const struct stage *stage, const char *words)
{
    const char *said = first_answer(stage->port);

    cr_expect(strncmp(said, "-NOTSENT ", 9) == 0 && strstr(said, words), "%s", said);
    cr_expect(!strstr(said, "hunter2"), "%s", said);
}

/* A server that does not know AUTH says aloud what it was told. */
SCENE(integration_forward_auth, odd_answers)
{
    struct stage stage =
        start_stage("-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n", "1s");

    expect_told(&stage, "it does not know AUTH");
    stage_say(&stage, "-ERR what is hunter2 to me?\r\n");
    expect_told(&stage, "it refuses the login");
    stage_say(&stage, "HTTP/1.1 400 Bad Request\r\n");
    expect_told(&stage, "no Redis server");
    stage_say(&stage, text("-ERR %0600d\r\n", 0));
    expect_told(&stage, "auth: ERR 0000");
    expect_secret(stage.daemon, "hunter2");
    stage_say(&stage, "+OK\r\n");
    cr_expect_str_eq(first_answer(stage.port), "OK");
}

SCENE(integration_forward_auth, a_server_that_is_loading)
{
    struct stage stage = start_stage("-LOADING Redis is loading the dataset in memory\r\n", "1s");
    struct wire *wire;

    expect_told(&stage, "auth: LOADING");
    stage = start_stage("-LOADING Redis is loading the dataset in memory\r\n", "20s");
    wire = dial(stage.port);
    WAIT_UNTIL(5000, fake_heard(stage.node, "AUTH") >= 2);
    cr_expect_eq(fake_heard(stage.node, "PING"), 0, "nothing comes before the login");
    stage_say(&stage, "+OK\r\n");
    cr_expect_str_eq(wire_say(wire, "SET k v"), "OK");
}
