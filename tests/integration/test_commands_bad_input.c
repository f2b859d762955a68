/*
 * Bodies, paths and commands that are wrong: each is told what is wrong where, and the daemon goes
 * on as before.
 */
#include <stdio.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_bad_input);

static const struct server *node;

static const struct daemon *start(void)
{
    struct cluster *cluster = cluster_start_one(NULL);

    node = &cluster->nodes[0];
    return commands_start(cluster, NULL);
}

static void goes_on(const struct daemon *daemon)
{
    still_serves(daemon);
    EXPECT_RESULT(command_run(daemon, "PING", NULL), "'PONG'");
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_pool_inflight") == 0 &&
                         metric_of(daemon, "bellwether_pool_waiting") == 0);
}

static void refused(const struct daemon *daemon, const char *path, const char *body, size_t size,
                    const char *where)
{
    const struct http_answer *answer = command_post_bytes(daemon, path, body, size);

    EXPECT_ERROR(answer, 400, "BADREQUEST", NULL);
    cr_assert(strstr(http_string(answer, "error"), where), "%.80s: wanted `%s` in %s", body, where,
              http_text(answer));
    cr_assert(!strstr(answer->body, "secret"), "contents of the request in %s", http_text(answer));
}

/* `body` `times` times over. */
static char *repeated(const char *before, const char *body, size_t times, const char *after)
{
    const size_t n = strlen(body);
    char *out = scene_alloc(strlen(before) + n * times + strlen(after) + 1), *at = out;

    at = stpcpy(at, before);
    for (size_t i = 0; i < times; i++) {
        at = stpcpy(at, body);
    }
    (void)stpcpy(at, after);
    return out;
}

SCENE(integration_commands_bad_input, bodies_that_are_no_command)
{
    const struct daemon *daemon = start();

    static const struct {
        const char *body, *where;
    } cases[] = {
        {"", "empty"},
        {" ", "JSON"},
        {"secret", "JSON"},
        {"[\"SET\",\"k\",\"secret\"", "JSON"},
        {"[\"SET\",\"k\",\"secret\"]]", "JSON"},
        {"[\"SET\",\"k\",\"secret\",]", "JSON"},
        {"['SET','k','secret']", "JSON"},
        {"{\"SET\":\"secret\"}", "object"},
        {"\"secret\"", "string"},
        {"42", ""},
        {"null", ""},
        {"true", ""},
        {"[]", "empty"},
        {"[\"\"]", "name"},
        {"[\"SET\",\"k\",[\"secret\"]]", "argument 2"},
        {"[\"SET\",\"k\",{\"a\":\"secret\"}]", "argument 2"},
        {"[\"SET\",\"k\",null]", "null"},
        {"[[\"SET\",\"k\",\"secret\"]]", ""},
        {"[\"SET\",\"k\",1e]", "JSON"},
        {"[\"SET\",\"k\",\"\xff\xfe\"]", "JSON"},
        {"[\"SET\",\"k\",\"\xed\xa0\x80\"]", "JSON"},
        {"[\"SET\",\"k\",\"new\nline\"]", "JSON"},
        {"[\"SET\",\"k\",NaN]", "JSON"},
        {"[\"SET\",\"k\",01]", "JSON"},
        {"\xef\xbb\xbf[\"PING\"]", "JSON"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        refused(daemon, "/redis", cases[i].body, strlen(cases[i].body), cases[i].where);
    }
    static const char nul[] = "[\"SET\",\"k\",\"a\0b\"]", nuls[] = "\0\0\0\0",
                      after[] = "[\"PING\"]\0";
    refused(daemon, "/redis", nul, sizeof(nul) - 1, "JSON");
    refused(daemon, "/redis", nuls, sizeof(nuls) - 1, "JSON");
    refused(daemon, "/redis", after, sizeof(after) - 1, "JSON");
    EXPECT_RESULT(command_post(daemon, "/redis", " [ 'SET' , 'k' , 'a\\u0000b' ] \n"), "'OK'");
    cr_assert_eq(redis_ask(node, "GET k")->len, 3);
    cr_assert_str_eq(redis_say(node, "DBSIZE"), "1");
    goes_on(daemon);
}

SCENE(integration_commands_bad_input, lists_that_are_no_pipeline)
{
    const struct daemon *daemon = start();
    static const char *const paths[] = {"/redis/pipeline", "/redis/multi-exec"};
    static const char *const bodies[] = {
        "", "{}", "[]", "[\"GET\",\"k\"]", "[\"\"]", "[[\"GET\",\"k\"]", "null", "1"};

    for (size_t path = 0; path < 2; path++) {
        for (size_t i = 0; i < 8; i++) {
            if (path == 1 || (i != 3 && i != 4)) {
                refused(daemon, paths[path], bodies[i], strlen(bodies[i]), "");
            }
        }
    }
    /* Once the whole parses each element answers for itself. */
    const struct http_answer *list = command_post(
        daemon, "/redis/pipeline",
        "[['SET','k','v'],[],'GET',['GET',null],[''],['GET',['k']],['FLUSHALL'],['NOSUCH'],['GET','k'],{},7]");
    cr_assert_eq(list->status, 200, "%s", http_text(list));
    cr_assert_eq(json_array_size(list->json), 11, "%s", http_text(list));
    static const char *const words[] = {NULL,         "BADREQUEST", "BADREQUEST", "BADREQUEST",
                                        "BADREQUEST", "BADREQUEST", "NOPERM",     "ERR",
                                        NULL,         "BADREQUEST", "BADREQUEST"};
    for (size_t i = 0; i < 11; i++) {
        const char *error = http_string(list, text("%zu.error", i));

        cr_assert(!words[i] ? *error == '\0' : strncmp(error, words[i], strlen(words[i])) == 0,
                  "%zu: %s", i, http_text(list));
        cr_assert(!words[i] || *http_string(list, text("%zu.outcome", i)) != '\0', "%zu: %s", i,
                  http_text(list));
    }
    cr_assert_str_eq(http_string(list, "8.result"), "v");
    goes_on(daemon);
}

SCENE(integration_commands_bad_input, more_than_anybody_sends)
{
    const struct daemon *daemon = start();
    char *arguments = repeated("[\"SADD\",\"s\"", ",1", 100000, "]");

    refused(daemon, "/redis", arguments, strlen(arguments), "");
    arguments = repeated("[\"DEL\"", ",1", 65534, "]");
    EXPECT_RESULT(command_post_bytes(daemon, "/redis", arguments, strlen(arguments)), "0");
    char *pipeline = repeated("[[\"PING\"]", ",[\"PING\"]", 99999, "]");
    refused(daemon, "/redis/pipeline", pipeline, strlen(pipeline), "");
    refused(daemon, "/redis/multi-exec", pipeline, strlen(pipeline), "");
    pipeline = repeated("[[\"INCR\",\"n\"]", ",[\"INCR\",\"n\"]", 9999, "]");
    const struct http_answer *list =
        command_post_bytes(daemon, "/redis/pipeline", pipeline, strlen(pipeline));
    cr_assert(list->status == 200 && json_array_size(list->json) == 10000, "%ld", list->status);
    cr_assert_eq(http_number(list, "9999.result"), 10000);
    list = command_post_bytes(daemon, "/redis/multi-exec", pipeline, strlen(pipeline));
    cr_assert(list->status == 200 && json_array_size(list->json) == 10000, "%ld", list->status);
    cr_assert_eq(http_number(list, "9999.result"), 20000);
    char *deep = repeated("", "[", 100000, "");
    refused(daemon, "/redis", deep, strlen(deep), "");
    refused(daemon, "/redis/pipeline", deep, strlen(deep), "");
    deep = repeated("", "[", 3000, repeated("", "]", 3000, ""));
    refused(daemon, "/redis", deep, strlen(deep), "");
    deep = repeated("", "{\"a\":", 100000, "");
    refused(daemon, "/redis", deep, strlen(deep), "");
    deep = repeated("[\"GET\",\"", "\\", 200001, "\"]");
    refused(daemon, "/redis", deep, strlen(deep), "");
    goes_on(daemon);
}

SCENE(integration_commands_bad_input, more_than_max_body)
{
    const struct daemon *daemon = start();
    enum { MOST = 10 << 20 }; /* bytes, by itself */
    static const char *const paths[] = {"/redis", "/redis/pipeline", "/redis/multi-exec",
                                        "/redis/set/k"};
    char *body = scene_alloc(2 * MOST + 1);

    memset(body, 'x', 2 * MOST);
    for (size_t i = 0; i < 4; i++) {
        const struct http_answer *answer = command_post_bytes(daemon, paths[i], body, MOST + 1);

        EXPECT_ERROR(answer, 413, "TOOBIG", NULL);
        cr_assert_eq(http_number(answer, "max_body_bytes"), MOST);
    }
    EXPECT_RESULT(command_post_bytes(daemon, "/redis/set/k", body, MOST), "'OK'");
    cr_assert_str_eq(redis_say(node, "STRLEN k"), text("%d", MOST));
    const struct http_answer *answer = command_post_bytes(daemon, "/redis", body, 2 * MOST);
    cr_assert(answer->status == 413 || answer->status == 0, "%s", http_text(answer));
    static const char expects[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10485761\r\nExpect: "
        "100-continue\r\n\r\n";
    answer = raw_exchange(daemon->port, expects, sizeof(expects) - 1, 5000);
    EXPECT_ERROR(answer, 413, "TOOBIG", NULL);
    static const char absurd[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n";
    answer = raw_exchange(daemon->port, absurd, sizeof(absurd) - 1, 5000);
    cr_assert(answer->status >= 400 || answer->status == 0, "%s", http_text(answer));
    goes_on(daemon);
}

/* ---- how it comes ---- */

static char *chunked(const char *path, const char *body, size_t each)
{
    char *request =
        text("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", path);

    for (size_t n = strlen(body), i = 0; i < n; i += each) {
        const size_t size = n - i < each ? n - i : each;

        request = text("%s%zx\r\n%.*s\r\n", request, size, (int)size, body + i);
    }
    return text("%s0\r\n\r\n", request);
}

SCENE(integration_commands_bad_input, chunks_and_expectations)
{
    const struct daemon *daemon = start();

    for (size_t each = 1; each < 20; each += 6) {
        const char *request = chunked("/redis", "[\"SET\",\"k\",\"chunked\"]", each);

        EXPECT_RESULT(raw_exchange(daemon->port, request, strlen(request), 5000), "'OK'");
    }
    const char *request = chunked("/redis/get/k", "", 1);
    EXPECT_RESULT(raw_exchange(daemon->port, request, strlen(request), 5000), "'chunked'");
    char *much = scene_alloc((10 << 20) + 400001);
    memset(much, 'x', (10 << 20) + 400000);
    request = chunked("/redis/set/k", much, 5000000);
    const struct http_answer *answer = raw_exchange(daemon->port, request, strlen(request), 5000);
    EXPECT_ERROR(answer, 413, "TOOBIG", NULL);
    static const char broken[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]";
    answer = raw_exchange(daemon->port, broken, sizeof(broken) - 1, 5000);
    cr_assert(answer->status >= 400 || answer->status == 0, "%s", http_text(answer));

    struct raw *raw = raw_open(daemon->port);
    static const char head[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
    cr_assert(raw_send(raw, head, sizeof(head) - 1));
    cr_assert(raw_upto(raw, "100 Continue\r\n\r\n", patient(3000)));
    for (const char *c = "[\"PING\"]"; *c != '\0'; c++) { /* byte by byte */
        cr_assert(raw_send(raw, c, 1));
    }
    EXPECT_RESULT(raw_answer(raw, 5000), "'PONG'");
    static const char two[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 14\r\n\r\n[\"INCR\",\"two\"]"
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 14\r\n\r\n[\"INCR\",\"two\"]";
    cr_assert(raw_send(raw, two, sizeof(two) - 1)); /* one behind the other on one connection */
    EXPECT_RESULT(raw_answer(raw, 5000), "1");
    EXPECT_RESULT(raw_answer(raw, 5000), "2");
    static const char old[] = "POST /redis HTTP/1.0\r\nContent-Length: 8\r\n\r\n[\"PING\"]";
    EXPECT_RESULT(raw_exchange(daemon->port, old, sizeof(old) - 1, 5000), "'PONG'");
    goes_on(daemon);
}

/*
 * The first request on a connection is looked at before libmicrohttpd has it, a later one is not.
 */
SCENE(integration_commands_bad_input, a_head_that_leaves_no_room_for_an_answer_runs_nothing)
{
    const struct daemon *daemon = start();
    int ran = 0;

    for (int later = 0; later < 2; later++) {
        for (int size = 7700; size < 9300; size += 20) {
            struct raw *raw = raw_open(daemon->port);

            if (later) {
                cr_assert_eq(raw_get(raw, "/version", 5000)->status, 200);
            }
            const char *request = text(
                "POST /redis/incr/counted HTTP/1.1\r\nHost: 127.0.0.1\r\nX: %0*d\r\n\r\n", size, 0);
            cr_assert(raw_send(raw, request, strlen(request)));
            const struct http_answer *answer = raw_answer(raw, 5000);
            cr_assert(answer->status == 200 || answer->status == 431 || answer->status == 0, "%s",
                      http_text(answer));
            ran += answer->status == 200;
            if (answer->status == 431) {
                raw_record(answer, "POST", "/redis/incr/counted");
            }
            raw_close(raw);
        }
    }
    cr_assert_gt(ran, 10);
    EXPECT_RESULT(command_post(daemon, "/redis/get/counted", ""), text("'%d'", ran));
    goes_on(daemon);
}

SCENE(integration_commands_bad_input, routes_and_methods)
{
    const struct daemon *daemon = start();

    static const struct {
        const char *method, *path;
        long status;
    } cases[] = {
        {"GET", "/redis", 405},
        {"PUT", "/redis", 400},
        {"DELETE", "/redis/get/k", 405},
        {"GET", "/replica/redis", 405},
        {"PATCH", "/redis/pipeline", 405},
        {"POST", "/masters/none/redis", 404},
        {"POST", "/redis/", 400},
        {"GET", "/redis/", 405},
        {"GET", "/redis/pipeline/", 405},
        {"GET", "/redis//k", 400},
        {"GET", "/redis/get/%zz", 400},
        {"GET", "/redis/get/%", 400},
        {"GET", "/redis/get/k?%zz", 400},
        {"POST", "/redis/get/k?x=%0", 400},
        {"GET", "/redis/set/k/v", 403},
        {"GET", "/redis/nosuchcommand", 400},
        {"GET", "/masters/none/redis/get/k", 404},
        {"POST", "/masters/none/replica/redis", 404},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct http_answer *answer =
            http_send(&(struct http_request){.method = cases[i].method,
                                             .base = daemon->base,
                                             .path = cases[i].path,
                                             .body = "",
                                             .body_len = 0});

        cr_assert_eq(answer->status, cases[i].status, "%s %s: %s", cases[i].method, cases[i].path,
                     http_text(answer));
        cr_assert(*http_string(answer, "error") != '\0', "%s %s: %s", cases[i].method,
                  cases[i].path, http_text(answer));
        cr_assert_str_eq(http_header(answer, "content-type"), "application/json");
        cr_assert(answer->status != 405 || *http_header(answer, "allow") != '\0');
    }
    static const char *const elsewhere[] = {"/redisx", "/redi", "/replicas/redis",
                                            "/sentinels/redis"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(command_post(daemon, elsewhere[i], "['PING']")->status, 404, "%s",
                     elsewhere[i]);
    }
    cr_assert_eq(command_post(daemon, "/master", "['PING']")->status, 405);
    goes_on(daemon);
}

SCENE(integration_commands_bad_input, commands_that_would_change_the_connection)
{
    struct cluster *cluster = cluster_start_one(NULL);

    node = &cluster->nodes[0];
    static const char *const commands[] = {"['MULTI']",
                                           "['EXEC']",
                                           "['DISCARD']",
                                           "['SELECT',1]",
                                           "['SUBSCRIBE','c']",
                                           "['PSUBSCRIBE','*']",
                                           "['SSUBSCRIBE','c']",
                                           "['UNSUBSCRIBE']",
                                           "['MONITOR']",
                                           "['AUTH','x']",
                                           "['HELLO',3]",
                                           "['CLIENT','ID']",
                                           "['CLIENT','REPLY','OFF']",
                                           "['QUIT']",
                                           "['RESET']",
                                           "['WATCH','k']",
                                           "['UNWATCH']",
                                           "['BLPOP','k',0]",
                                           "['BRPOPLPUSH','a','b',0]",
                                           "['BLMOVE','a','b','LEFT','LEFT',0]",
                                           "['BZPOPMIN','z',0]",
                                           "['WAIT',1,0]",
                                           "['SYNC']",
                                           "['PSYNC','?',-1]",
                                           "['REPLCONF','ACK',1]",
                                           "['multi']",
                                           "['MuLtI']",
                                           "['XREAD','BLOCK',0]"};
    static const char *const policies[] = {"+@all", "allcommands -@admin"};
    for (size_t policy = 0; policy < 2; policy++) {
        const struct daemon *daemon = commands_start(cluster, "--commands", policies[policy], NULL);

        for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
            const struct http_answer *answer = command_post(daemon, "/redis", commands[i]);

            EXPECT_ERROR(answer, 403, "NOPERM", "not_sent");
            cr_assert(strstr(http_string(answer, "error"), "never"), "%s", http_text(answer));
        }
        goes_on(daemon);
    }
    const struct daemon *daemon = commands_start(cluster, NULL);
    static const char *const denied[] = {
        "['FLUSHALL']",          "['CONFIG','GET','*']", "['DEBUG','SLEEP',0]", "['SHUTDOWN']",
        "['EVAL','return 1',0]", "['KEYS','*']",         "['ACL','LIST']",      "['SORT','k']"};
    for (size_t i = 0; i < 8; i++) {
        const struct http_answer *answer = command_post(daemon, "/redis", denied[i]);

        EXPECT_ERROR(answer, 403, "NOPERM", "not_sent");
        cr_assert(strstr(http_string(answer, "error"), " -@"), "names the rule: %s",
                  http_text(answer));
    }
    EXPECT_RESULT(command_run(daemon, "PUBLISH", "c", "m", NULL), "0");
    EXPECT_ERROR(command_run(daemon, "GETRANG", "k", NULL), 400, "ERR unknown command", NULL);
    goes_on(daemon);
}

/*
 * A caller that sends a part and closes at once is noticed when its connection has been idle for
 * long enough.
 */
static void wait_for_the_end_of_callers(const struct daemon *daemon)
{
    WAIT_UNTIL(8000, daemon_descriptors(daemon) <= 60);
}

static void one_round(const struct daemon *daemon, int round)
{
    static const char *const bodies[] = {"[\"SET\",\"k\"]", "{", "[\"GET\",null]",
                                         "[\"BLPOP\",\"k\",0]", "[\"LPUSH\",\"n\",1]"};
    static const char part[] =
        "POST /redis/set/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nhalf";
    static char *deep, *pipeline, *large;

    if (!deep) {
        deep = repeated("", "[", 20000, "");
        pipeline = repeated("[[\"GET\",\"k\"]", ",[7]", 5000, "]");
        large = repeated("", "x", 1000000, "");
    }
    (void)command_post_bytes(daemon, "/redis", bodies[round % 5], strlen(bodies[round % 5]));
    if (round % 10 == 0) {
        (void)command_post_bytes(daemon, "/redis", deep, strlen(deep));
        (void)command_post_bytes(daemon, "/redis/pipeline", pipeline, strlen(pipeline));
        (void)command_post_bytes(daemon, "/redis/nosuch", large, 1000000);
        (void)command_post_bytes(daemon, "/redis/get", large, 1000000);
    }
    struct raw *raw = raw_open(daemon->port);
    cr_assert(raw && raw_send(raw, part, sizeof(part) - 1 - (size_t)(round % 60)));
    raw_close(raw);
}

SCENE(integration_commands_bad_input, two_hundred_rounds_leave_nothing_behind)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, "--idle-timeout", "1s", NULL);
    long settled_kb = 0;

    for (int round = 0; round < 200; round++) {
        one_round(daemon, round);
        if (round == 99) {
            wait_for_the_end_of_callers(daemon);
            settled_kb = daemon_memory_kb(daemon, "RssAnon:");
        }
    }
    wait_for_the_end_of_callers(daemon);
    goes_on(daemon);
    const long grown_kb = daemon_memory_kb(daemon, "RssAnon:") - settled_kb;
    (void)fprintf(stderr, "%s: %ld kB, %ld kB more than after a hundred rounds\n",
                  scene_test_name(), settled_kb + grown_kb, grown_kb);
    cr_assert(patient(1) > 1 || grown_kb < 1024, "%ld kB more", grown_kb);
}
