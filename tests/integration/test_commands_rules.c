/*
 * What rules hold against: Sentinels' own channels, renamed commands, names that do not exist, and
 * servers without HELLO.
 */
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_rules);

static struct cluster *start_node(const char *conf)
{
    return cluster_start_one(conf);
}

static void expect_denied(const struct http_answer *answer, const char *why)
{
    EXPECT_ERROR(answer, 403, "NOPERM", "not_sent");
    cr_assert(strstr(http_string(answer, "error"), why), "no \"%s\" in %s", why, http_text(answer));
}

/* ---- Sentinels' channels ---- */

SCENE(integration_commands_rules, nobody_speaks_for_a_sentinel)
{
    static const char why[] = "never to channels of __sentinel__";
    struct cluster *cluster = start_node("rename-command SPUBLISH shout\nrename-command HELLO hi");
    const char *const rules[] = {"default", "+@all"};

    for (size_t i = 0; i < 2; i++) {
        const struct daemon *daemon = commands_start(cluster, "--commands", rules[i], NULL);
        const char *hello = "__sentinel__:hello";
        const char *forged = text("127.0.0.1,1,%040d,50,mymaster,127.0.0.1,%u,50", 9,
                                  (unsigned)cluster->sentinels[0].port);

        expect_denied(command_run(daemon, "PUBLISH", hello, forged, NULL), why);
        expect_denied(command_run(daemon, "publish", hello, forged, NULL), why);
        expect_denied(command_run(daemon, "PuBLiSH", "__sentinel__:", forged, NULL), why);
        expect_denied(command_post(daemon, "/redis/publish/__sentinel__:hello", "x"), why);
        expect_denied(command_post(daemon, "/redis/publish/%5f_sentinel__%3Ahello", "x"), why);
        expect_denied(command_post(daemon, "/redis", "['PUBLISH','__sentinel__\\u003ahello','x']"),
                      why);
        expect_denied(command_post_with(daemon, "/redis", "['PUBLISH','__sentinel__:hello','x']",
                                        "Upstash-Encoding: base64"),
                      why);
        expect_denied(command_post(daemon, "/redis/multi-exec",
                                   "[['SET','k','v'],['PUBLISH','__sentinel__:hello','x']]"),
                      why);
        const struct http_answer *answer = command_post(
            daemon, "/redis/pipeline",
            "[['SET','k','v'],['PUBLISH','__sentinel__:hello','x'],['PUBLISH','news','x']]");
        cr_assert(answer->status == 200 && strstr(answer->body, why) &&
                      strstr(answer->body, "{\"result\":0}"),
                  "%s", http_text(answer));
        /* bytes: another channel is another channel */
        EXPECT_RESULT(command_run(daemon, "PUBLISH", "__SENTINEL__:hello", "x", NULL), "0");
        EXPECT_RESULT(command_run(daemon, "PUBLISH", "news", hello, NULL), "0");
        if (i == 1) {
            expect_denied(command_run(daemon, "shout", hello, forged, NULL), why);
        }
    }
    cr_assert_str_eq(sentinel_says(&cluster->sentinels[0], "mymaster"), cluster->nodes[0].address);
}

/* ---- renamed commands ---- */

SCENE(integration_commands_rules, a_renamed_command_is_what_it_was)
{
    struct cluster *cluster = start_node(
        "rename-command SELECT xselect\nrename-command MULTI xmulti\nrename-command FLUSHALL xflushall\n"
        "rename-command CONFIG xconfig\nrename-command BLPOP xblpop\nrename-command GET xget\n"
        "rename-command KEYS \"\"");
    const struct daemon *daemon = commands_start(cluster, "--pool-size", "1", NULL);

    EXPECT_RESULT(command_run(daemon, "SET", "k", "db0", NULL), "'OK'");
    for (int i = 0; i < 2; i++) {
        expect_denied(command_run(daemon, "xselect", "1", NULL),
                      "never: it changes the connection");
        expect_denied(command_run(daemon, "XMULTI", NULL), "never: it changes the connection");
        expect_denied(command_run(daemon, "xblpop", "l", "1", NULL), "never: it blocks");
        expect_denied(command_run(daemon, "xflushall", NULL), "-@dangerous");
        expect_denied(command_run(daemon, "xconfig", "GET", "maxmemory", NULL), "-@dangerous");
        EXPECT_RESULT(command_run(daemon, "xget", "k", NULL), "'db0'");
        EXPECT_RESULT(daemon_get(daemon, "/redis/xget/k"), "'db0'"); /* read-only as GET is */
    }
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "1");
    EXPECT_ERROR(command_run(daemon, "NoSuchCommand", "x", NULL), 400,
                 "ERR unknown command 'NoSuchCommand'", NULL);
    EXPECT_ERROR(command_run(daemon, "get|k", NULL), 400, "ERR unknown command", NULL);
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['SET','a','b'],['nosuch']]"), 400,
                 "EXECABORT", NULL);
    EXPECT_RESULT(command_run(daemon, "EXISTS", "a", NULL), "0");
    /* under its first name the server knows it no longer */
    EXPECT_ERROR(command_run(daemon, "GET", "k", NULL), 400, "ERR unknown command", NULL);
}

SCENE(integration_commands_rules, without_hello)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1,
                                             .sentinels = 1,
                                             .node_conf = "rename-command HELLO \"\"",
                                             .node_password = "sesame"});
    const char *file = text("%s/password", scene_folder());

    file_write(file, "sesame\n");
    const struct daemon *daemon = commands_start(cluster, "--redis-password-file", file, NULL);
    EXPECT_RESULT(command_run(daemon, "SET", "k", "v", NULL), "'OK'");
    EXPECT_RESULT(command_run(daemon, "GET", "k", NULL), "'v'");
}

SCENE(integration_commands_rules, where_nothing_helps_the_answer_comes_at_once)
{
    struct cluster *cluster = start_node("rename-command HELLO \"\"\nrename-command AUTH \"\"");
    const char *file = text("%s/password", scene_folder());

    file_write(file, "sesame\n");
    const char *const flags[] = {"--redis-api",
                                 "loopback",
                                 "--redis-password-file",
                                 file,
                                 "--command-timeout",
                                 "60s",
                                 "--verify",
                                 "off",
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    for (int i = 0; i < 3; i++) {
        const struct http_answer *answer = command_run(daemon, "GET", "k", NULL);

        EXPECT_ERROR(answer, 503, "NOTSENT no connection", "not_sent");
        cr_assert(strstr(http_string(answer, "error"), "does not know AUTH"), "%s",
                  http_text(answer));
    }
}

/* ---- rules that name nothing ---- */

static void expect_bad_rules(const char *rules, const char *words)
{
    const char *const program[] = {getenv("BELLWETHER"), "--sentinel", "x", "--commands", rules,
                                   "--check-config",     NULL};
    const struct process_result result = process_run(5000, NULL, program);

    cr_assert_eq(result.exit_code, 2, "%s: %d %s%s", rules, result.exit_code, result.out,
                 result.err);
    cr_assert(strstr(result.err, words), "no \"%s\" in %s", words, result.err);
}

SCENE(integration_commands_rules, what_does_not_exist_stops_the_start)
{
    expect_bad_rules("+@all -@dangerus", "\"-@dangerus\"");
    expect_bad_rules("+@all -flushal", "\"-flushal\"");
    expect_bad_rules("default +@nosuch", "\"+@nosuch\"");
}

SCENE(integration_commands_rules, a_rule_that_denies_nothing_lets_nothing_run)
{
    struct cluster *cluster = start_node(NULL);
    const struct daemon *daemon = commands_start(cluster, "--commands", "+@all -ft.dropp", NULL);

    expect_denied(command_run(daemon, "GET", "k", NULL),
                  "-ft.dropp: it names no command that this server has");
    expect_denied(command_run(daemon, "FLUSHALL", NULL), "-ft.dropp");
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "no command is run"));
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert(strstr(status->body, "\"closed\":\"-ft.dropp: "), "%s", http_text(status));
    status = daemon_get(daemon, "/status?format=text");
    cr_assert(strstr(status->body, "! commands  -ft.dropp: "), "%s", http_text(status));
}

SCENE(integration_commands_rules, default_and_more)
{
    struct cluster *cluster = start_node(NULL);
    const struct daemon *daemon =
        commands_start(cluster, "--commands", "default +@scripting", NULL);

    EXPECT_RESULT(command_run(daemon, "EVAL", "return 7", "0", NULL), "7");
    expect_denied(command_run(daemon, "FLUSHALL", NULL), "-@dangerous");
    EXPECT_LOGGED(daemon,
                  strstr(daemon_log(daemon), "the rules of commands do not hold within them"));
}

/* ---- streams ---- */

SCENE(integration_commands_rules, streams_are_read_without_block)
{
    struct cluster *cluster = start_node(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_RESULT(command_run(daemon, "XADD", "BLOCK", "1-1", "f", "v", NULL), "'1-1'");
    EXPECT_RESULT(command_run(daemon, "XREAD", "COUNT", "1", "STREAMS", "BLOCK", "0", NULL),
                  "[['BLOCK',[['1-1',['f','v']]]]]");
    EXPECT_RESULT(command_run(daemon, "XGROUP", "CREATE", "BLOCK", "BLOCK", "0", NULL), "'OK'");
    EXPECT_RESULT(
        command_run(daemon, "XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "BLOCK", ">", NULL),
        "[['BLOCK',[['1-1',['f','v']]]]]");
    EXPECT_RESULT(daemon_get(daemon, "/redis/xread/streams/none/0"), "null");
    expect_denied(command_run(daemon, "XREAD", "block", "0", "STREAMS", "none", "$", NULL),
                  "without BLOCK");
    expect_denied(command_run(daemon, "XREADGROUP", "GROUP", "BLOCK", "c", "BLOCK", "0", "STREAMS",
                              "BLOCK", ">", NULL),
                  "without BLOCK");
}

/* ---- where there are no commands ---- */

static void expect_words(const struct http_answer *answer, long status, const char *word,
                         const char *words)
{
    const char *error = http_string(answer, "error");

    cr_assert(answer->status == status && strncmp(error, word, strlen(word)) == 0 &&
                  strstr(error, words) && *http_string(answer, "help") != '\0',
              "%s", http_text(answer));
}

/* An SDK shows people the member `error` and nothing else, whatever answers it. */
SCENE(integration_commands_rules, a_client_at_the_wrong_place_hears_why)
{
    struct cluster *cluster = start_node(NULL);
    const struct daemon *off = daemon_start(cluster, NULL);
    static const char get[] = "[['GET','k']]";

    expect_words(command_post(off, "/redis", "['GET','k']"), 404, "NOTFOUND ", "--redis-api");
    expect_words(command_post(off, "/redis/pipeline", get), 404, "NOTFOUND ", "--redis-api");
    const struct daemon *on = commands_start(cluster, NULL);
    expect_words(command_post(on, "/pipeline", get), 404, "NOTFOUND ", "http://HOST:PORT/redis");
    expect_words(command_post(on, "/multi-exec", get), 404, "NOTFOUND ", "http://HOST:PORT/redis");
    expect_words(command_post(on, "/", "['GET','k']"), 405, "BADREQUEST ", "under /redis");
    expect_words(command_post(on, "/nosuch", "['GET','k']"), 404, "NOTFOUND ", "under /redis");
    expect_words(daemon_get(on, "/masters/none"), 404, "NOMASTER ", "none");
    expect_words(daemon_get(on, "/self"), 404, "NOTFOUND ", "--self");
    expect_words(daemon_get(on, "/master?wait=x"), 400, "BADREQUEST ", "wait");
}
