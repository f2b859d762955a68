/*
 * What Upstash's clients send beside commands: RESP2, sync tokens, PUT, slashes and queries, and
 * what is refused in words.
 */
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_upstash);

static struct cluster *start_node(void)
{
    return cluster_start_one(NULL);
}

static struct cluster *start_three(const struct daemon **daemon)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.down_after_ms = 20000});

    *daemon = commands_start(cluster, NULL);
    WAIT_UNTIL(15000, all_healthy(*daemon, 2));
    return cluster;
}

/* ---- RESP2 ---- */

static struct http_answer *resp2(const struct daemon *daemon, const char *path, const char *body)
{
    return command_post_with(daemon, path, body, "Upstash-Response-Format: resp2");
}

static void expect_bytes(const struct http_answer *answer, long status, const char *bytes,
                         size_t size)
{
    cr_assert_eq(answer->status, status, "%s", http_text(answer));
    cr_assert_str_eq(http_header(answer, "content-type"), "application/octet-stream");
    cr_assert(answer->body_len == size && memcmp(answer->body, bytes, size) == 0, "%s",
              http_text(answer));
}

#define EXPECT_BYTES(answer, status, bytes) expect_bytes(answer, status, bytes, sizeof(bytes) - 1)

SCENE(integration_commands_upstash, resp2_is_what_the_server_writes)
{
    struct cluster *cluster = start_node();
    const struct daemon *daemon =
        commands_start(cluster, "--commands", "default +@scripting", NULL);
    static const char bytes[] = "\0\xff\r\n$5";

    EXPECT_BYTES(resp2(daemon, "/redis/set/k", "v"), 200, "+OK\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['GET','k']"), 200, "$1\r\nv\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['GET','none']"), 200, "$-1\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['APPEND','k','w']"), 200, ":2\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['LRANGE','none',0,-1]"), 200, "*0\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['XREAD','STREAMS','none','0']"), 200, "*-1\r\n");
    EXPECT_RESULT(command_post_bytes(daemon, "/redis/set/k", bytes, sizeof(bytes) - 1), "'OK'");
    EXPECT_BYTES(resp2(daemon, "/redis", "['MGET','k','none']"), 200,
                 "*2\r\n$6\r\n\0\xff\r\n$5\r\n$-1\r\n");
    EXPECT_BYTES(
        resp2(daemon, "/redis",
              "['EVAL','return {1,{redis.error_reply(\\u0027ERR no\\u0027)},{},false}',0]"),
        200, "*4\r\n:1\r\n*1\r\n-ERR no\r\n*0\r\n$-1\r\n");
    EXPECT_BYTES(resp2(daemon, "/redis", "['LPUSH','k','x']"), 400,
                 "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    EXPECT_BYTES(
        resp2(daemon, "/redis/pipeline", "[['INCR','n'],['LPUSH','k','x'],['GET','n']]"), 200,
        ":1\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$1\r\n1\r\n");
    EXPECT_BODY(resp2(daemon, "/redis/multi-exec", "[['INCR','n']]"), 200, "[{'result':2}]");
    EXPECT_ERROR(resp2(daemon, "/redis", "['FLUSHALL']"), 403, "NOPERM", "not_sent");
    EXPECT_ERROR(command_post_with(daemon, "/redis", "['GET','k']", "Upstash-Response-Format: xml"),
                 400, "BADREQUEST Upstash-Response-Format is \"xml\"; it takes json or resp2",
                 NULL);
}

/* ---- sync tokens ---- */

static const char *node_of(const struct daemon *daemon, const char *path, const char *body,
                           const char *token)
{
    char header[64];
    const struct http_answer *answer;

    snprintf(header, sizeof(header), "Upstash-Sync-Token: %s", token);
    answer = command_post_with(daemon, path, body, header);
    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    return http_header(answer, "x-bellwether-master");
}

/* A token of a write leads reads of replicas to the master, also to one that was made later. */
SCENE(integration_commands_upstash, reads_with_a_token_see_what_was_written)
{
    const struct daemon *daemon;
    struct cluster *cluster = start_three(&daemon);
    const struct server *old = &cluster->nodes[0];
    const struct http_answer *write = command_run(daemon, "SET", "k", "v", NULL);
    const char *token = http_header(write, "upstash-sync-token");
    static const char get[] = "['GET','k']", replica[] = "/replica/redis";

    EXPECT_RESULT(write, "'OK'");
    cr_assert_eq(strlen(token), 17, "%s", token);
    for (int i = 0; i < 4; i++) {
        cr_assert_str_eq(node_of(daemon, replica, get, token), old->address);
        cr_assert_str_neq(node_of(daemon, replica, get, ""), old->address);
        cr_assert_str_neq(node_of(daemon, replica, get, "from-elsewhere"), old->address);
    }
    cr_assert_str_eq(
        node_of(daemon, "/masters/mymaster/replica/redis/pipeline", "[['GET','k']]", token),
        old->address);
    EXPECT_ERROR(command_post_with(daemon, replica, "['SET','k','w']",
                                   "Upstash-Sync-Token: w0000000000000000"),
                 403, "NOPERM", "not_sent");
    const struct server *now = cluster_fail_over_from(cluster, old);
    WAIT_UNTIL(10000,
               strcmp(http_string(daemon_get(daemon, "/master"), "address"), now->address) == 0);
    cr_assert_str_eq(node_of(daemon, replica, get, token), now->address);
}

/* ---- methods, slashes, queries ---- */

static struct http_answer *put(const struct daemon *daemon, const char *path, const char *body)
{
    const char *json = quoted(body);

    return http_send(&(struct http_request){.method = "PUT",
                                            .base = daemon->base,
                                            .path = path,
                                            .body = json,
                                            .body_len = strlen(json)});
}

SCENE(integration_commands_upstash, as_clients_spell_it)
{
    struct cluster *cluster = start_node();
    const struct daemon *daemon = commands_start(cluster, NULL);
    static const char get[] = "[['GET','k']]", list[] = "[{'result':'v'}]";

    EXPECT_RESULT(put(daemon, "/redis", "['SET','k','v']"), "'OK'");
    EXPECT_RESULT(put(daemon, "/redis/set/k", "v"), "'OK'");
    EXPECT_BODY(put(daemon, "/redis/pipeline", get), 200, list);
    cr_assert_str_eq(http_header(daemon_ask(daemon, "DELETE", "/redis"), "allow"),
                     "POST, PUT, OPTIONS");
    EXPECT_RESULT(command_post(daemon, "/redis/", "['GET','k']"), "'v'");
    EXPECT_BODY(command_post(daemon, "/redis/pipeline/", get), 200, list);
    EXPECT_BODY(command_post(daemon, "/masters/mymaster/redis//multi-exec/", get), 200, list);
    EXPECT_RESULT(command_post(daemon, "/redis/set/k//", ""), "'OK'"); /* an empty argument */
    EXPECT_RESULT(daemon_get(daemon, "/redis/get/k/"), "''");
    EXPECT_RESULT(command_post(daemon, "/redis/set/k/", "a body"), "'OK'");
    EXPECT_RESULT(daemon_get(daemon, "/redis/get/k"), "'a body'");
    EXPECT_RESULT(command_post(daemon, "/redis?retry=always", "['SET','k','v']"), "'OK'");
    EXPECT_BODY(command_post(daemon, "/redis?retry=always/pipeline", get), 200, list);
    EXPECT_BODY(command_post(daemon, "/redis?retry=always/multi-exec", get), 200, list);
    EXPECT_ERROR(command_post(daemon, "/redis?retry=x/pipeline", get), 400, "BADREQUEST", NULL);
}

SCENE(integration_commands_upstash, what_is_refused_in_words)
{
    struct cluster *cluster = start_node();
    const struct daemon *daemon = commands_start(cluster, "--commands", "+@all", NULL);

    EXPECT_ERROR(
        command_run(daemon, "ACL", "RESTTOKEN", "user", "secret", NULL), 403,
        "NOPERM this daemon does not run 'acl' for you: never: ACL RESTTOKEN is Upstash's own",
        "not_sent");
    EXPECT_RESULT(command_run(daemon, "ACL", "WHOAMI", NULL), "'default'");
    EXPECT_ERROR(
        daemon_get(daemon, "/redis/set/k/v"), 403,
        "NOPERM this daemon does not run 'set' for you: GET runs read-only commands only, use POST",
        "not_sent");
    EXPECT_ERROR(command_post(daemon, "/redis/monitor", ""), 403, "NOPERM", "not_sent");
}
