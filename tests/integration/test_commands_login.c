/*
 * Who the daemon is to Redis when it runs commands: passwords that change under way, and users with
 * few rights.
 */
#include <signal.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_login);

static struct cluster *start_with_password(const char *password)
{
    return cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .down_after_ms = 20000, .node_password = password});
}

/*
 * Redis has hung up, and the daemon knows: a command that were sent before would have an unknown
 * outcome.
 */
static void wait_for_the_end_of_connections(const struct daemon *daemon)
{
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_connections{state=\"idle\"}") == 0 &&
                         metric_of(daemon, "bellwether_pool_connections{state=\"busy\"}") == 0);
}

SCENE(integration_commands_login, the_password_changes_under_way)
{
    struct cluster *cluster = start_with_password("first");
    const char *file = password_file("password", "first");
    const struct daemon *daemon =
        commands_start(cluster, "--redis-password-file", file, "--command-timeout", "15s", NULL);
    struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    cluster_change_password(cluster, "second");
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "2"); /* who is in stays in */
    (void)password_file("password", "second");
    (void)redis_say(node, "CLIENT KILL TYPE normal SKIPME yes");
    wait_for_the_end_of_connections(daemon);
    /* The old password is refused, which is why the file is read again. */
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "3");
    EXPECT_RESULT(command_run(daemon, "GET", "n", NULL), "'3'");
    cr_assert(!strstr(daemon_log(daemon), "second"), "the password is in the log");
}

SCENE(integration_commands_login, the_file_comes_later_than_the_change)
{
    struct cluster *cluster = start_with_password("first");
    const char *file = password_file("password", "first");
    const struct daemon *daemon =
        commands_start(cluster, "--redis-password-file", file, "--command-timeout", "20s", NULL);
    struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    cluster_change_password(cluster, "second");
    (void)redis_say(node, "CLIENT KILL TYPE normal SKIPME yes");
    wait_for_the_end_of_connections(daemon);
    const struct sent *sent = command_send(daemon, "/redis", "['INCR','n']");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_waiting") == 1);
    /* Refused again and again with the same one, the request waits all the same. */
    HOLDS_FOR(1000, metric_of(daemon, "bellwether_pool_waiting") == 1);
    (void)password_file("password", "second");
    daemon_signal(daemon, SIGHUP);
    EXPECT_RESULT(command_answer(sent, 20000), "2");
}

SCENE(integration_commands_login, a_wrong_password_is_named_in_the_answer)
{
    struct cluster *cluster = start_with_password("right");
    const char *const flags[] = {"--redis-api",
                                 "loopback",
                                 "--redis-password-file",
                                 password_file("password", "wrong"),
                                 "--command-timeout",
                                 "2s",
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    const struct http_answer *answer = command_run(daemon, "GET", "k", NULL);
    EXPECT_ERROR(answer, 503, "NOTSENT", "not_sent");
    cr_assert(strstr(http_string(answer, "error"), "WRONGPASS"), "%s", http_text(answer));
    cr_assert(!strstr(http_text(answer), "wrong\n"));
}

/* A server that does not know AUTH says aloud what it was told. */
SCENE(integration_commands_login, the_password_is_in_no_answer)
{
    const struct fake_words words = {
        .role = "master",
        .hello_error = "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, "
                       "`default`, `hunter2`, ",
        .flood = "-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n"};
    struct fake *node = fake_start(FAKE_NODE, &words);
    const struct fake *sentinel = fake_start_sentinel(fake_port(node));
    const struct daemon *daemon =
        daemon_start(NULL, "--redis-api", "loopback", "--redis-password-file",
                     password_file("password", "hunter2"), "--sentinel", fake_address(sentinel),
                     "--verify", "off", "--command-timeout", "5s", NULL);

    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    const struct http_answer *answer = command_run(daemon, "GET", "k", NULL);
    EXPECT_ERROR(answer, 503, "NOTSENT", "not_sent");
    cr_expect(strstr(http_string(answer, "error"), "it does not know AUTH"), "%s",
              http_text(answer));
    cr_expect(!strstr(answer->body, "hunter2"), "%s", answer->body);
    cr_expect(!strstr(daemon_log(daemon), "hunter2"), "%s", daemon_log(daemon));
    cr_expect(!strstr(daemon_get(daemon, "/status")->body, "hunter2"));
}

/* ---- ACL users ---- */

static void set_user(const struct server *node, const char *rules)
{
    const char *program[64] = {"redis-cli", "-p", text("%u", node->port), "ACL", "SETUSER", "app"};
    size_t used = 6;

    for (char *save = NULL, *word = strtok_r(text("%s", rules), " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        program[used++] = word;
    }
    const struct process_result result = process_run(5000, NULL, program);
    cr_assert(strncmp(result.out, "OK", 2) == 0, "ACL SETUSER: %s%s", result.out, result.err);
}

static const struct daemon *start_as_app(struct cluster *cluster, const char *rules,
                                         const char *policy)
{
    set_user(&cluster->nodes[0], text("on >sesame ~* resetchannels %s", rules));
    return commands_start(cluster, "--redis-username", "app", "--redis-password-file",
                          password_file("password", "sesame"), "--command-timeout", "5s",
                          "--commands", policy, NULL);
}

#define DEFAULT_POLICY \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +ping"

SCENE(integration_commands_login, what_the_user_may_not_do_is_redis_own_error)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = start_as_app(
        cluster, "-@all +hello +auth +ping +command +@read +set +role", DEFAULT_POLICY);

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    EXPECT_ERROR(command_run(daemon, "DEL", "k", NULL), 400, "NOPERM", NULL);
    /* MULTI is denied: the members must not run one by one. */
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','k','w'],['GET','k']]"), 400,
                 "NOPERM", NULL);
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "GET k"), "v");
    set_user(&cluster->nodes[0], "+multi +exec +del");
    EXPECT_RESULT(command_run(daemon, "DEL", "k", NULL), "1");
    const struct http_answer *answer = NULL;
    WAIT_UNTIL(5000,
               (answer = command_post(daemon, "/redis/multi-exec", "[['SET','k','w'],['GET','k']]"))
                       ->status == 200);
    EXPECT_BODY(answer, 200, "[{'result':'OK'},{'result':'w'}]");
}

SCENE(integration_commands_login, without_the_table_all_are_writes_and_categories_refuse)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        start_as_app(cluster, "-@all +hello +auth +ping +get +set +role", "+get +set +ping");

    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    EXPECT_RESULT(command_run(daemon, "GET", "k", NULL), "'v'");
    EXPECT_ERROR(daemon_get(daemon, "/redis/get/k"), 403, "NOPERM", "not_sent");
    EXPECT_RESULT(daemon_get(daemon, "/redis/ping"), "'PONG'");
    const struct daemon *strict =
        commands_start(cluster, "--redis-username", "app", "--redis-password-file",
                       password_file("password", "sesame"), NULL);
    EXPECT_ERROR(command_run(strict, "GET", "k", NULL), 403, "NOPERM", "not_sent");
    EXPECT_RESULT(command_run(strict, "PING", NULL), "'PONG'");
}

SCENE(integration_commands_login, a_user_that_is_removed_and_comes_back)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = start_as_app(cluster, "+@all", DEFAULT_POLICY);
    const struct server *node = &cluster->nodes[0];

    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    cr_assert_str_eq(redis_say(node, "ACL DELUSER app"), "1"); /* closes its connections */
    wait_for_the_end_of_connections(daemon);
    const struct sent *sent = command_send(daemon, "/redis", "['INCR','n']");
    WAIT_UNTIL(4000, metric_of(daemon, "bellwether_pool_waiting") == 1);
    set_user(node, "on >sesame ~* +@all");
    EXPECT_RESULT(command_answer(sent, 10000), "2");
}
