/* Passwords, ACL users, and what happens without them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_credentials);

/* What Sentinel's documentation gives to a client, and no more; subscribing is in it. */
#define DOCUMENTED \
    "-@all +auth +client|getname +client|id +client|setname +command +hello +ping +role " \
    "+sentinel|get-master-addr-by-name +sentinel|master +sentinel|myid +sentinel|replicas +sentinel|sentinels"
#define SUBSCRIBING "allchannels +subscribe +psubscribe +unsubscribe +punsubscribe"

/* One user on every server of an array. */
static void add_user(const struct server *servers, size_t n, const char *user, const char *rules)
{
    for (size_t i = 0; i < n; i++) {
        const char *program[64] = {"redis-cli", "-p", text("%u", servers[i].port),
                                   "--no-auth-warning"};
        size_t used = 4;

        if (servers[i].password) {
            program[used++] = "-a";
            program[used++] = servers[i].password;
        }
        for (char *save = NULL,
                  *word = strtok_r(text("ACL SETUSER %s %s", user, rules), " ", &save);
             word; word = strtok_r(NULL, " ", &save)) {
            program[used++] = word;
        }
        const struct process_result result = process_run(5000, NULL, program);
        cr_assert(strncmp(result.out, "OK", 2) == 0, "ACL SETUSER: %s%s", result.out, result.err);
    }
}

static void fail_over_and_follow(struct cluster *cluster, const struct daemon *daemon,
                                 int64_t bound_ms)
{
    EXPECT_MASTER(daemon, cluster_fail_over_from(cluster, &cluster->nodes[0]), bound_ms);
}

SCENE(integration_credentials, sentinel_with_password)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.sentinel_password = "sesame", .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--sentinel-password-file",
                                               password_file("sentinel", "sesame"), NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    EXPECT_REASON(daemon, NULL, 4000);
    cr_assert(http_true(daemon_master(daemon), "majority"));
    fail_over_and_follow(cluster, daemon, 1000);
}

SCENE(integration_credentials, sentinel_password_from_the_environment)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "sesame"});
    const char *const env[] = {"BELLWETHER_SENTINEL_PASSWORD=sesame", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .env = env});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert(!strstr(daemon_log(daemon), "sesame"), "the password is in the log");
}

SCENE(integration_credentials, wrong_sentinel_password_then_mended_by_sighup)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "sesame"});
    const char *file = password_file("sentinel", "wrong");
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-password-file", file, "--master", "mymaster", NULL);

    EXPECT_NONE(daemon, "unknown", "sentinel_auth", 4000);
    cr_assert(!strstr(daemon_log(daemon), "wrong\n"));
    (void)password_file("sentinel", "sesame");
    daemon_signal(daemon, SIGHUP);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 6000);
    EXPECT_REASON(daemon, NULL, 4000);
}

SCENE(integration_credentials, missing_sentinel_password)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "sesame"});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);

    EXPECT_NONE(daemon, "unknown", "sentinel_auth", 4000);
    still_serves(daemon);
}

SCENE(integration_credentials, redis_with_password)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.node_password = "hunter2", .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-password-file", password_file("redis", "hunter2"), NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "ok", "%s", http_text(answer));
    cr_assert(http_true(answer, "verified"));
    fail_over_and_follow(cluster, daemon, 1000);
    cr_assert_str_eq(http_string(daemon_master(daemon), "state"), "ok");
}

SCENE(integration_credentials, wrong_redis_password_then_mended_by_sighup)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.node_password = "hunter2", .down_after_ms = CLUSTER_STEADY_MS});
    const char *file = password_file("redis", "wrong");
    const struct daemon *daemon = daemon_start(cluster, "--redis-password-file", file, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "unverified", "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "reason"), "redis_auth", "%s", http_text(answer));
    cr_assert_not(http_true(answer, "verified"));
    fail_over_and_follow(cluster, daemon, 3000); /* a majority is needed where one voice would do */
    (void)password_file("redis", "hunter2");
    daemon_signal(daemon, SIGHUP);
    EXPECT_REASON(daemon, NULL, 6000);
    cr_assert_str_eq(http_string(daemon_master(daemon), "state"), "ok");
}

SCENE(integration_credentials, missing_redis_password)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .node_password = "hunter2"});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    EXPECT_REASON(daemon, "redis_auth", 2000);
    server_kill(&cluster->nodes[0]); /* unverified is not blind: a refused connection is seen */
    EXPECT_NONE(daemon, NULL, NULL, 4000);
}

SCENE(integration_credentials, hello_only_user_on_redis)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});

    add_user(cluster->nodes, 3, "checker", "on >pw -@all +hello");
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-username", "checker", "--redis-password-file",
                     password_file("redis", "pw"), NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "ok", "%s", http_text(answer));
    cr_assert(http_true(answer, "verified"));
    HOLDS_FOR(2500, strcmp(http_string(daemon_get(daemon, "/master"), "state"), "ok") == 0);
    fail_over_and_follow(cluster, daemon, 1000);
    cr_assert_str_eq(http_string(daemon_master(daemon), "state"), "ok");
}

SCENE(integration_credentials, redis_that_denies_every_question)
{
    struct fake *node = fake_start(
        FAKE_NODE,
        &(struct fake_words){.hello_error = "NOPERM no permissions to run the 'hello' command",
                             .deny = ""});
    struct fake *sentinel = fake_start_sentinel(fake_port(node));
    const char *const flags[] = {"--sentinel", fake_address(sentinel), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    WAIT_UNTIL(4000, status_of(daemon, "/master") == 200);
    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "unverified", "%s", http_text(answer));
    cr_assert_str_eq(http_string(answer, "reason"), "redis_denied", "%s", http_text(answer));
}

SCENE(integration_credentials, sentinel_user_with_the_documented_acl_only)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});

    add_user(cluster->sentinels, 3, "watcher", "on >pw " DOCUMENTED " " SUBSCRIBING);
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-username", "watcher", "--sentinel-password-file",
                     password_file("sentinel", "pw"), "--master", "mymaster", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    EXPECT_REASON(daemon, "sentinel_denied", 14000); /* CKQUORUM */
    cr_assert_str_eq(http_string(daemon_master(daemon), "state"), "ok");
    cr_assert(http_true(daemon_master(daemon), "majority"));
    cr_assert_eq(http_number(daemon_get(daemon, "/sentinels"), "known"), 3);
    fail_over_and_follow(cluster, daemon, 1000);
}

SCENE(integration_credentials, sentinel_user_without_psubscribe)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});

    add_user(cluster->sentinels, 3, "watcher", "on >pw " DOCUMENTED);
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-username", "watcher", "--sentinel-password-file",
                     password_file("sentinel", "pw"), "--master", "mymaster", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    EXPECT_REASON(daemon, "sentinel_denied", 5000);
    cr_assert(http_true(daemon_master(daemon), "majority"));
    fail_over_and_follow(cluster, daemon, 2500); /* polled, not told */
    const char *log = daemon_log(daemon);
    cr_assert_leq(count_in(log, "PSUBSCRIBE") + count_in(log, "psubscribe"), 6,
                  "said more than once a Sentinel:\n%s", log);
}

SCENE(integration_credentials, sentinel_user_who_may_not_list_masters_while_all_are_wanted)
{
    struct cluster *cluster = cluster_start_one(NULL);

    add_user(cluster->sentinels, 1, "watcher", "on >pw " DOCUMENTED " " SUBSCRIBING);
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-username", "watcher", "--sentinel-password-file",
                     password_file("sentinel", "pw"), NULL);
    WAIT_UNTIL(4000, strstr(daemon_log(daemon), "SENTINEL MASTERS") != NULL);
    EXPECT_NONE(daemon, "unknown", "sentinel_denied", 4000);
    still_serves(daemon);
}

SCENE(integration_credentials, per_master_credentials_from_the_file)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .node_password = "hunter2"});
    const char *config = text("%s/bellwether.ini", scene_folder());

    file_write(config, text("sentinel = %s\n\n[master mymaster]\nredis-password-file = %s\n",
                            cluster->sentinels[0].address, password_file("redis", "hunter2")));
    const char *const flags[] = {"--config", config, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert_str_eq(http_string(daemon_master(daemon), "state"), "ok");
}

SCENE(integration_credentials, verify_off_needs_a_majority_and_says_unverified)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--verify", "off", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const struct http_answer *answer = daemon_master(daemon);
    cr_assert_str_eq(http_string(answer, "state"), "unverified");
    cr_assert_not(http_true(answer, "verified"));
    fail_over_and_follow(cluster, daemon, 2500);
}

SCENE(integration_credentials, password_file_that_changes_is_read_again_by_itself)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "sesame"});
    const char *file = password_file("sentinel", "wrong");
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-password-file", file, "--master", "mymaster", NULL);

    EXPECT_NONE(daemon, "unknown", "sentinel_auth", 4000);
    /* as a mounted Secret does it: another file takes its name */
    const char *next = password_file("next", "sesame");
    cr_assert_eq(rename(next, file), 0);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
}
