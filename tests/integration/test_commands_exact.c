/* Results are exact: numbers, bytes, shapes, and sizes that nobody expects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_exact);

static const struct server *node;

static const struct daemon *start(const char *flag, const char *value)
{
    struct cluster *cluster = cluster_start_one(NULL);

    node = &cluster->nodes[0];
    return commands_start(cluster, "--commands", "+@all", "--command-timeout", "60s",
                          "--verify-timeout", "20s", "--suspect-after", "60s", flag, value, NULL);
}

/* The text of the answer, since JSON libraries round. */
static void expect_text(const struct http_answer *answer, const char *wanted)
{
    cr_assert(answer->status == 200 && strcmp(answer->body, text("%s\n", quoted(wanted))) == 0,
              "wanted %s, not %s", wanted, http_text(answer));
}

SCENE(integration_commands_exact, integers_of_64_bits)
{
    const struct daemon *daemon = start(NULL, NULL);

    expect_text(command_run(daemon, "INCRBY", "n", "9223372036854775807", NULL),
                "{'result':9223372036854775807}");
    EXPECT_ERROR(command_run(daemon, "INCR", "n", NULL), 400,
                 "ERR increment or decrement would overflow", NULL);
    expect_text(command_post(daemon, "/redis", "['DECRBY','m',9223372036854775807]"),
                "{'result':-9223372036854775807}");
    expect_text(command_run(daemon, "DECR", "m", NULL), "{'result':-9223372036854775808}");
    expect_text(command_post(daemon, "/redis", "['SET','k',9007199254740993]"), "{'result':'OK'}");
    expect_text(command_run(daemon, "GET", "k", NULL), "{'result':'9007199254740993'}");
    expect_text(command_post(daemon, "/redis", "['MSET','t',true,'f',false,'r',1.5,'e','']"),
                "{'result':'OK'}");
    expect_text(command_run(daemon, "MGET", "t", "f", "r", "e", "none", NULL),
                "{'result':['true','false','1.5','',null]}");
    expect_text(command_run(daemon, "INCRBYFLOAT", "r", "0.1", NULL), "{'result':'1.6'}");
}

/* Both come out of ordinary JavaScript, and clients join unrelated calls into one pipeline. */
SCENE(integration_commands_exact, odd_arguments_are_nobody_elses_business)
{
    const struct daemon *daemon = start(NULL, NULL);

    expect_text(
        command_post(
            daemon, "/redis/pipeline",
            "[['SET','n',100000000000000000000],['SET','x',1e20],['SET','s','a\\ud83d'],7,[],{},null,"
            "['SET','l',['x']],['SET','m',null],[''],['MGET','n','x','s'],['SET','y',1.10],['GET','y']]"),
        "[{'result':'OK'},{'result':'OK'},{'result':'OK'},"
        "{'error':'BADREQUEST command 4: a number; it takes a list such as [\\\"SET\\\",\\\"key\\\",\\\"value\\\"]',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 5: an empty list; it takes a list such as [\\\"SET\\\",\\\"key\\\",\\\"value\\\"]',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 6: an object; it takes a list such as [\\\"SET\\\",\\\"key\\\",\\\"value\\\"]',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 7: null; it takes a list such as [\\\"SET\\\",\\\"key\\\",\\\"value\\\"]',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 8, argument 2: a list; it takes strings, numbers and booleans',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 9, argument 2: null; it takes strings, numbers and booleans',"
        "'outcome':'not_sent'},"
        "{'error':'BADREQUEST command 10, name: empty','outcome':'not_sent'},"
        "{'result':['100000000000000000000','1e20','a\xef\xbf\xbd']},{'result':'OK'},{'result':'1.10'}]");
    EXPECT_RESULT(command_post(daemon, "/redis", "['ZADD','z',1e20,'m',0.00001,'k']"), "2");
    EXPECT_RESULT(command_post(daemon, "/redis", "['INCRBY','i',9223372036854775807]"),
                  "9223372036854775807");
    EXPECT_ERROR(command_post(daemon, "/redis", "['INCRBY','i',9223372036854775808]"), 400,
                 "ERR value is not an integer", NULL);
}

SCENE(integration_commands_exact, long_errors_are_whole)
{
    const struct daemon *daemon = start(NULL, NULL);
    const char *body =
        "[\"EVAL\",\"return redis.error_reply('LONG '..string.rep('x',3000)..'end')\",0]";
    const struct http_answer *answer = command_post_bytes(daemon, "/redis", body, strlen(body));

    EXPECT_ERROR(answer, 400, "LONG xxx", NULL);
    const char *error = http_string(answer, "error");
    cr_assert(strlen(error) == 3008 && strcmp(error + 3005, "end") == 0, "%zu: %s", strlen(error),
              error);
    body = text("[%s,[\"GET\",\"k\"]]", body);
    answer = command_post_bytes(daemon, "/redis/pipeline", body, strlen(body));
    cr_assert(answer->status == 200 && answer->body_len > 3000 && strstr(answer->body, "xend\"") &&
                  strstr(answer->body, "{\"result\":null}"),
              "%s", http_text(answer));
}

SCENE(integration_commands_exact, shapes)
{
    const struct daemon *daemon = start(NULL, NULL);

    expect_text(command_run(daemon, "GET", "none", NULL), "{'result':null}");
    expect_text(command_run(daemon, "LRANGE", "none", "0", "-1", NULL), "{'result':[]}");
    expect_text(command_run(daemon, "HSET", "h", "a", "1", "b", "2", NULL), "{'result':2}");
    expect_text(command_run(daemon, "HGETALL", "h", NULL), "{'result':['a','1','b','2']}");
    expect_text(command_run(daemon, "ZADD", "z", "1.5", "x", "+inf", "y", NULL), "{'result':2}");
    expect_text(command_run(daemon, "ZRANGE", "z", "0", "-1", "WITHSCORES", NULL),
                "{'result':['x','1.5','y','inf']}");
    expect_text(command_run(daemon, "ZSCORE", "z", "x", NULL), "{'result':'1.5'}");
    expect_text(command_run(daemon, "SMISMEMBER", "none", "a", "b", NULL), "{'result':[0,0]}");
    expect_text(command_run(daemon, "XADD", "s", "1-1", "f", "v", NULL), "{'result':'1-1'}");
    expect_text(command_run(daemon, "XRANGE", "s", "-", "+", NULL),
                "{'result':[['1-1',['f','v']]]}");
    expect_text(command_run(daemon, "GEOPOS", "none", "a", NULL), "{'result':[null]}");
    expect_text(
        command_run(
            daemon, "EVAL",
            "return {1,{2,{3,{4,{5,{6,{7,{8,'deep'}}}}}}},redis.status_reply('fine'),false,{}}",
            "0", NULL),
        "{'result':[1,[2,[3,[4,[5,[6,[7,[8,'deep']]]]]]],'fine',null,[]]}");
    EXPECT_ERROR(command_run(daemon, "NOSUCHCOMMAND", "x", NULL), 400, "ERR unknown command", NULL);
    EXPECT_ERROR(command_run(daemon, "LPUSH", "h", "x", NULL), 400, "WRONGTYPE", NULL);
}

/* ---- bytes ---- */

static struct http_answer *base64(const struct daemon *daemon, const char *path, const char *body)
{
    return command_post_with(daemon, path, body, "Upstash-Encoding: base64");
}

SCENE(integration_commands_exact, bytes)
{
    const struct daemon *daemon = start(NULL, NULL);
    static const char bytes[] = "\0\xff\xfe plain \xc3\xa4 \xe2\x82 \xf0\x9f\x98\x80\r\n\"\\";

    EXPECT_RESULT(command_post_bytes(daemon, "/redis/set/k", bytes, sizeof(bytes) - 1), "'OK'");
    const redisReply *stored = redis_ask(node, "GET k");
    cr_assert(stored->len == sizeof(bytes) - 1 && memcmp(stored->str, bytes, stored->len) == 0);
    expect_text(base64(daemon, "/redis", "['GET','k']"),
                "{'result':'AP/+IHBsYWluIMOkIOKCIPCfmIANCiJc'}");
    expect_text(
        command_run(daemon, "GET", "k", NULL),
        "{'result':'\\u0000\xef\xbf\xbd\xef\xbf\xbd plain \xc3\xa4 \xef\xbf\xbd \xf0\x9f\x98\x80\\r\\n\\\"\\\\'}");
    expect_text(base64(daemon, "/redis", "['SET','k','v']"), "{'result':'OK'}");
    expect_text(base64(daemon, "/redis", "['ECHO','OK']"), "{'result':'OK'}");
    expect_text(base64(daemon, "/redis", "['MGET','k','none']"), "{'result':['dg==',null]}");
    expect_text(base64(daemon, "/redis",
                       "['EVAL','return {1,{redis.status_reply(\\u0027OK\\u0027)},1}',0]"),
                "{'result':[1,['T0s='],1]}");
    expect_text(base64(daemon, "/redis/pipeline", "[['GET','k'],['INCR','n'],['SET','k',1]]"),
                "[{'result':'dg=='},{'result':1},{'result':'OK'}]");
    const struct http_answer *error = base64(daemon, "/redis", "['LPUSH','k','x']");
    EXPECT_ERROR(error, 400, "WRONGTYPE", NULL);
    expect_text(command_post_with(daemon, "/redis", "['GET','k']", "Upstash-Encoding: none"),
                "{'result':'1'}");
}

SCENE(integration_commands_exact, paths)
{
    const struct daemon *daemon = start(NULL, NULL);

    EXPECT_RESULT(command_post(daemon, "/redis/set/a%20b/v%2Fw+x%00y?EX=100&XX", ""), "null");
    EXPECT_RESULT(command_post(daemon, "/redis/set/a%20b/v%2Fw+x%00y?EX=100&NX", ""), "'OK'");
    const redisReply *stored = redis_ask(node, "GET %b", "a b", (size_t)3);
    cr_assert(stored->len == 7 && memcmp(stored->str, "v/w+x\0y", 7) == 0);
    cr_assert_gt(strtol(redis_say(node, "TTL %b", "a b", (size_t)3), NULL, 10), 90);
    expect_text(daemon_get(daemon, "/redis/get/a%20b"), "{'result':'v/w+x\\u0000y'}");
    EXPECT_RESULT(command_post(daemon, "/redis/set/k", "body"), "'OK'");
    EXPECT_RESULT(command_post(daemon, "/redis/set/k?EX=50", "body'with'quotes"), "'OK'");
    EXPECT_RESULT(daemon_get(daemon, "/redis/get/k"), "'body\\\"with\\\"quotes'");
    EXPECT_RESULT(command_post(daemon, "/redis/mset/x//y//", ""),
                  "'OK'"); /* empty segments are empty arguments, but for the last */
    EXPECT_RESULT(daemon_get(daemon, "/redis/mget/x/y"), "['','']");
    EXPECT_RESULT(daemon_get(daemon, "/masters/mymaster/redis/get/x"), "''");
    EXPECT_RESULT(daemon_get(daemon, "/redis/Ping"), "'PONG'");
    EXPECT_RESULT(command_post(daemon, "/redis/incr/n?retry=always", ""), "1");
    EXPECT_ERROR(command_post(daemon, "/redis/incr/n?retry=often", ""), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/incr/n"), 403, "NOPERM", "not_sent");
    const struct http_answer *head = daemon_ask(daemon, "HEAD", "/redis/get/k");
    cr_assert_eq(head->status, 200);
    char *argument = scene_alloc(4001);
    memset(argument, 'p', 4000);
    EXPECT_RESULT(daemon_get(daemon, text("/redis/echo/%s", argument)), text("'%s'", argument));
    cr_assert_eq(daemon_ask(daemon, "OPTIONS", "/redis/get/k")->status, 204);
}

/* ---- sizes ---- */

/* Ever the same bytes that look like none. */
static void fill(char *bytes, size_t n, bool printable)
{
    uint64_t state = 88172645463325252u;

    for (size_t i = 0; i < n; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        bytes[i] = (char)(printable ? 'A' + state % 26 : state >> 32);
    }
}

/* How much more the daemon has used at its highest than before, per byte of the reply. */
static double measure(const struct daemon *daemon, const char *what, long before_kb, size_t bytes)
{
    const long peak_kb = daemon_memory_kb(daemon, "VmHWM:");
    const double times = (double)(peak_kb - before_kb) * 1024 / (double)bytes;

    (void)fprintf(stderr, "%s: %s of %zu bytes: %ld kB more at the highest, %.2f times\n",
                  scene_test_name(), what, bytes, peak_kb - before_kb, times);
    return times;
}

enum { LARGE = 32 << 20 };

static void keep_large(char *value)
{
    redisContext *context = redisConnect(node->ip, node->port);
    cr_assert(context && context->err == 0);
    redisReply *reply = redisCommand(context, "SET large %b", value, (size_t)LARGE);
    cr_assert(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    redisFree(context);
}

/* Sanitizers keep what was freed. */
static bool memory_counts(void)
{
    return patient(1) == 1;
}

SCENE(integration_commands_exact, a_value_of_32_mb)
{
    const struct daemon *daemon = start(NULL, NULL);
    char *value = scene_alloc(LARGE + 1);

    fill(value, LARGE, true);
    keep_large(value);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const long before_kb = daemon_memory_kb(daemon, "VmRSS:");
    const struct http_answer *answer = command_run(daemon, "GET", "large", NULL);
    cr_assert_eq(answer->status, 200, "%s", answer->status == 0 ? answer->problem : "");
    cr_assert_eq(answer->body_len, LARGE + strlen("{\"result\":\"\"}\n"));
    cr_assert(memcmp(answer->body + strlen("{\"result\":\""), value, LARGE) == 0);
    const double times = measure(daemon, "a value", before_kb, LARGE);
    cr_assert(!memory_counts() || times < 3, "%.2f times", times);
    /* What a large reply took is given back. */
    WAIT_UNTIL(5000, !memory_counts() || daemon_memory_kb(daemon, "VmRSS:") < before_kb + 8 * 1024);
}

SCENE(integration_commands_exact, a_value_of_32_mb_in_base64)
{
    const struct daemon *daemon = start(NULL, NULL);
    char *value = scene_alloc(LARGE + 1);

    fill(value, LARGE, false);
    keep_large(value);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const long before_kb = daemon_memory_kb(daemon, "VmRSS:");
    const struct http_answer *answer = base64(daemon, "/redis", "['GET','large']");
    cr_assert_eq(answer->status, 200);
    const char *at = answer->body + strlen("{\"result\":\"");
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    signed char of[256];
    memset(of, -1, sizeof(of));
    for (int i = 0; i < 64; i++) {
        of[(unsigned char)digits[i]] = (signed char)i;
    }
    size_t wrong = 0;
    for (size_t i = 0; i + 3 <= LARGE; i += 3, at += 4) {
        const unsigned bits =
            (unsigned)of[(unsigned char)at[0]] << 18 | (unsigned)of[(unsigned char)at[1]] << 12 |
            (unsigned)of[(unsigned char)at[2]] << 6 | (unsigned)of[(unsigned char)at[3]];

        wrong += (unsigned char)value[i] != bits >> 16 ||
                         (unsigned char)value[i + 1] != (bits >> 8 & 255) ||
                         (unsigned char)value[i + 2] != (bits & 255)
                     ? 1
                     : 0;
    }
    cr_assert_eq(wrong, 0);
    const double times = measure(daemon, "a value in base64", before_kb, LARGE);
    cr_assert(!memory_counts() || times < 3, "%.2f times", times);
}

SCENE(integration_commands_exact, a_list_of_a_million_elements)
{
    enum { MILLION = 1000000 };
    const struct daemon *daemon = start(NULL, NULL);

    redisContext *context = redisConnect(node->ip, node->port);
    cr_assert(context && context->err == 0);
    freeReplyObject(
        redisCommand(context, "EVAL %s 0",
                     "for i=0,999999,1000 do local t={} for j=i,i+999 do t[#t+1]=j*7919 end "
                     "redis.call('rpush','list',unpack(t)) end"));
    redisFree(context);
    cr_assert_str_eq(redis_say(node, "LLEN list"), "1000000");
    const long before_kb = daemon_memory_kb(daemon, "VmRSS:");
    const struct http_answer *answer = command_run(daemon, "LRANGE", "list", "0", "-1", NULL);
    cr_assert_eq(answer->status, 200);
    const json_t *list = json_object_get(answer->json, "result");
    cr_assert_eq(json_array_size(list), MILLION);
    for (size_t i = 0; i < MILLION; i++) {
        const char *element = json_string_value(json_array_get(list, i));

        cr_assert(element && strtoull(element, NULL, 10) == i * 7919, "%zu: %s", i, element);
    }
    const double times = measure(daemon, "a list", before_kb, answer->body_len);
    cr_assert(!memory_counts() || times < 3, "%.2f times", times);
}

SCENE(integration_commands_exact, a_body_of_32_mb)
{
    const struct daemon *daemon = start("--max-body", "64MiB");
    char *value = scene_alloc(LARGE + 1);

    fill(value, LARGE, false);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const long before_kb = daemon_memory_kb(daemon, "VmRSS:");
    EXPECT_RESULT(command_post_bytes(daemon, "/redis/set/large", value, LARGE), "'OK'");
    redisContext *context = redisConnect(node->ip, node->port);
    redisReply *reply = redisCommand(context, "GET large");
    cr_assert(reply && reply->len == LARGE && memcmp(reply->str, value, LARGE) == 0);
    freeReplyObject(reply);
    redisFree(context);
    const double times = measure(daemon, "a body", before_kb, LARGE);
    cr_assert(!memory_counts() || times < 3.5, "%.2f times", times);
}

SCENE(integration_commands_exact, over_max_reply)
{
    const struct daemon *daemon = start("--max-reply", "16MiB");
    char *value = scene_alloc(LARGE + 1);

    fill(value, LARGE, true);
    keep_large(value);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    const long before_kb = daemon_memory_kb(daemon, "VmRSS:");
    EXPECT_ERROR(command_run(daemon, "GET", "large", NULL), 502, "TOOBIG", "done");
    cr_assert(!memory_counts() || daemon_memory_kb(daemon, "VmHWM:") - before_kb < 4 * 1024,
              "read all the same: %ld kB", daemon_memory_kb(daemon, "VmHWM:") - before_kb);
    EXPECT_RESULT(command_run(daemon, "STRLEN", "large", NULL), text("%d", LARGE));
    /* The connection is kept, and what stands behind it is answered. */
    EXPECT_RESULT(command_run(daemon, "SADD", "list", "a", "b", NULL), "2");
    const long long before =
        info_number(redis_say(node, "INFO stats"), "total_connections_received:");
    const struct http_answer *answer = command_post(
        daemon, "/redis/pipeline",
        "[['INCR','n'],['GET','large'],['INCR','n'],['MGET','n','large','n'],['SMEMBERS','list']]");
    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    cr_assert(http_number(answer, "0.result") == 1 && http_number(answer, "2.result") == 2, "%s",
              http_text(answer));
    cr_assert_eq(json_array_size(http_value(answer, "4.result")), 2, "%s", http_text(answer));
    for (int i = 1; i < 4; i += 2) {
        cr_assert_str_eq(http_string(answer, text("%d.outcome", i)), "done", "%s",
                         http_text(answer));
        cr_assert(strncmp(http_string(answer, text("%d.error", i)), "TOOBIG ", 7) == 0, "%s",
                  http_text(answer));
    }
    EXPECT_ERROR(
        command_post(daemon, "/redis/multi-exec", "[['INCR','n'],['GET','large'],['INCR','n']]"),
        502, "TOOBIG", "done");
    EXPECT_RESULT(command_run(daemon, "INCR", "n", NULL), "5");
    /* but for the second of the pool, opened while the first had something to do */
    const long long more =
        info_number(redis_say(node, "INFO stats"), "total_connections_received:") - before;
    cr_assert(more <= 2 || daemon_pauses(daemon) > 0, "%lld", more);
}
