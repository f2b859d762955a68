/*
 * Scans through the daemon: whole, whoever answers each of their calls; and where that can't be,
 * they say so.
 */
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_scan);

enum { N = 20000, CALLS_MAX = 2000, REPLICAS = 3 };

/* In pieces: a script that takes longer than down-after-milliseconds makes the master look dead. */
static void fill(const struct server *node)
{
    static const char *const piece =
        "for i = ARGV[1], ARGV[1] + 499 do redis.call('SET', 'k' .. i, i) redis.call('SADD', 'set', i) "
        "redis.call('HSET', 'hash', i, i) redis.call('ZADD', 'zset', i, i) end";

    for (int i = 1; i < N; i += 500) {
        cr_assert_not_null(redis_ask(node, "EVAL %s 0 %d", piece, i));
    }
}

/* N elements of each kind on all nodes; all replicas are healthy to the daemon. */
static struct cluster *start(const struct daemon **daemon, const struct cluster_spec *spec)
{
    struct cluster *cluster = cluster_start(spec);

    *daemon = commands_start(cluster, "--workers", "2", NULL);
    fill(&cluster->nodes[0]);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        WAIT_UNTIL(15000, strcmp(redis_say(&cluster->nodes[i], "ZCARD zset"), "20000") == 0);
    }
    WAIT_UNTIL(15000, all_healthy(*daemon, cluster->n_nodes - 1));
    return cluster;
}

struct scan {
    const struct daemon *daemon;
    const char *path, *words; /* "'SCAN'", "'HSCAN','hash'" */
    bool pairs;
    const char *cursor;
    char *node;
    size_t calls, n_seen;
    unsigned char seen[N + 1];
};

static struct scan *scan_new(const struct daemon *daemon, const char *path, const char *words)
{
    struct scan *scan = scene_alloc(sizeof(*scan));

    *scan = (struct scan){.daemon = daemon, .path = path, .words = words, .cursor = "0"};
    scan->pairs = strncmp(words, "'HSCAN", 6) == 0 || strncmp(words, "'ZSCAN", 6) == 0;
    return scan;
}

static struct http_answer *scan_ask(const struct scan *scan)
{
    const char *match = !strchr(scan->words, ',') ? ",'MATCH','k*'" : "";

    return command_post(scan->daemon, scan->path,
                        text("[%s,'%s'%s,'COUNT',300]", scan->words, scan->cursor, match));
}

static void scan_take(struct scan *scan, const json_t *elements)
{
    for (size_t i = 0; i < json_array_size(elements); i += scan->pairs ? 2 : 1) {
        const char *element = json_string_value(json_array_get(elements, i));
        long number = strtol(element + (*element == 'k'), NULL, 10);

        cr_assert(number > 0 && number <= N, "%s", element);
        scan->n_seen += !scan->seen[number];
        scan->seen[number] = 1;
    }
}

/* One call. @return whether there is more. */
static bool scan_step(struct scan *scan)
{
    const struct http_answer *answer = scan_ask(scan);
    const char *node = http_header(answer, "x-bellwether-master");

    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    cr_assert_lt(scan->calls++, CALLS_MAX);
    if (!scan->node) {
        scan->node = text("%s", node);
    }
    cr_expect_str_eq(node, scan->node, "a scan stays where it began");
    scan_take(scan, http_value(answer, "result.1"));
    scan->cursor = text("%s", http_string(answer, "result.0"));
    cr_assert_leq(strtoull(scan->cursor, NULL, 10), 9007199254740991ull, "%s", scan->cursor);
    return strcmp(scan->cursor, "0") != 0;
}

static void scan_whole(struct scan *scan)
{
    while (scan_step(scan)) {
    }
    cr_assert_eq(scan->n_seen, N, "%s %s: %zu of %d in %zu calls", scan->path, scan->words,
                 scan->n_seen, N, scan->calls);
}

static void expect_lost(struct scan *scan)
{
    const struct http_answer *answer = scan_ask(scan);

    EXPECT_ERROR(answer, 409, "SCANLOST", "not_sent");
    cr_assert_str_eq(http_string(answer, "type"), "urn:bellwether:problem:scan-lost");
}

/* Each worker asks one of the nodes for its commands, once. */
static long long workers_at_work(const struct cluster *cluster)
{
    long long asked = 0;

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        long long calls = info_number(redis_say(&cluster->nodes[i], "INFO commandstats"),
                                      "cmdstat_command:calls=");

        asked += calls > 0 ? calls : 0;
    }
    return asked;
}

/* ---- whole ---- */

static const char *const all[] = {"'SCAN'", "'SSCAN','set'", "'HSCAN','hash'", "'ZSCAN','zset'"};

SCENE(integration_commands_scan, replicas_in_turn_and_two_workers_make_whole_scans)
{
    const struct daemon *daemon;
    struct scan *scans[REPLICAS];
    bool more = true;

    const struct cluster *cluster = start(
        &daemon,
        &(struct cluster_spec){.nodes = REPLICAS + 1, .sentinels = 1, .down_after_ms = 20000});
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        scan_whole(scan_new(daemon, "/replica/redis", all[i]));
    }
    scan_whole(scan_new(daemon, "/redis", all[0]));
    /* between each other */
    for (size_t i = 0; i < REPLICAS; i++) {
        scans[i] = scan_new(daemon, "/masters/mymaster/replica/redis", all[0]);
    }
    while (more) {
        more = false;
        for (size_t i = 0; i < REPLICAS; i++) {
            more =
                (strcmp(scans[i]->cursor, "0") == 0 && scans[i]->calls > 0 ? false
                                                                           : scan_step(scans[i])) ||
                more;
        }
    }
    for (size_t i = 0; i < REPLICAS; i++) {
        cr_assert_eq(scans[i]->n_seen, N, "%zu: %zu", i, scans[i]->n_seen);
    }
    cr_assert(strcmp(scans[0]->node, scans[1]->node) != 0 ||
                  strcmp(scans[0]->node, scans[2]->node) != 0,
              "they began on one replica");
    cr_assert_geq(workers_at_work(cluster), 2);
}

SCENE(integration_commands_scan, by_any_route)
{
    const struct daemon *daemon;
    struct scan *a, *b;
    const struct http_answer *answer;

    (void)start(&daemon,
                &(struct cluster_spec){.nodes = 3, .sentinels = 1, .down_after_ms = 20000});
    a = scan_new(daemon, "/replica/redis", all[0]);
    b = scan_new(daemon, "/replica/redis", all[0]);
    cr_assert(scan_step(a) && scan_step(b));
    /* a path, and base64 */
    answer = daemon_get(daemon, text("/replica/redis/scan/%s?COUNT=300&MATCH=k*", a->cursor));
    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    cr_assert_str_eq(http_header(answer, "x-bellwether-master"), a->node);
    scan_take(a, http_value(answer, "result.1"));
    a->cursor = text("%s", http_string(answer, "result.0"));
    answer = command_post_with(daemon, "/replica/redis", "['HSCAN','nothing','0']",
                               "Upstash-Encoding: base64");
    EXPECT_BODY(answer, 200, "{'result':['MA==',[]]}");
    /* two cursors of two replicas in one pipeline, and one that is nobody's between them */
    while (strcmp(a->cursor, "0") != 0 && strcmp(b->cursor, "0") != 0) {
        answer = command_post(
            daemon, "/replica/redis/pipeline",
            text("[['SCAN','%s','COUNT',300,'MATCH','k*'],['SCAN','17'],['SCAN','%s','COUNT',300,"
                 "'MATCH','k*'],['GET','k1']]",
                 a->cursor, b->cursor));
        cr_assert_eq(answer->status, 200, "%s", http_text(answer));
        cr_assert_eq(strncmp(http_string(answer, "1.error"), "SCANLOST ", 9), 0, "%s",
                     http_text(answer));
        cr_assert_str_eq(http_string(answer, "1.outcome"), "not_sent");
        cr_assert_str_eq(http_string(answer, "3.result"), "1", "%s", http_text(answer));
        scan_take(a, http_value(answer, "0.result.1"));
        scan_take(b, http_value(answer, "2.result.1"));
        a->cursor = text("%s", http_string(answer, "0.result.0"));
        b->cursor = text("%s", http_string(answer, "2.result.0"));
    }
    while (strcmp(a->cursor, "0") != 0 && scan_step(a)) {
    }
    while (strcmp(b->cursor, "0") != 0 && scan_step(b)) {
    }
    cr_assert_eq(a->n_seen, N, "%zu", a->n_seen);
    cr_assert_eq(b->n_seen, N, "%zu", b->n_seen);
    /* a transaction */
    a = scan_new(daemon, "/redis", all[0]);
    cr_assert(scan_step(a));
    do {
        answer = command_post(
            daemon, "/redis/multi-exec",
            text("[['SET','other','v'],['SCAN','%s','COUNT',300,'MATCH','k*']]", a->cursor));
        cr_assert_eq(answer->status, 200, "%s", http_text(answer));
        scan_take(a, http_value(answer, "1.result.1"));
        a->cursor = text("%s", http_string(answer, "1.result.0"));
    } while (strcmp(a->cursor, "0") != 0);
    cr_assert_eq(a->n_seen, N, "%zu", a->n_seen);
    EXPECT_ERROR(command_post(daemon, "/redis/multi-exec", "[['DEL','other'],['SCAN','17']]"), 409,
                 "SCANLOST", "not_sent");
    EXPECT_RESULT(command_run(daemon, "GET", "other", NULL), "'v'");
}

SCENE(integration_commands_scan, under_another_name)
{
    const struct daemon *daemon;

    (void)start(&daemon, &(struct cluster_spec){.nodes = 3,
                                                .sentinels = 1,
                                                .down_after_ms = 20000,
                                                .node_conf = "rename-command SCAN hunt"});
    scan_whole(scan_new(daemon, "/replica/redis", "'HUNT'"));
}

/* ---- lost ---- */

SCENE(integration_commands_scan, a_failover_in_the_middle)
{
    const struct daemon *daemon;
    struct cluster *cluster =
        start(&daemon, &(struct cluster_spec){.nodes = 3, .down_after_ms = CLUSTER_STEADY_MS});
    struct scan *scans[5];
    const struct http_answer *list;

    for (size_t i = 0; i < 4; i++) {
        scans[i] = scan_new(daemon, "/redis", all[i]);
        cr_assert(scan_step(scans[i]) && scan_step(scans[i]));
    }
    EXPECT_MASTER(daemon, cluster_fail_over_from(cluster, &cluster->nodes[0]), 10000);
    for (size_t i = 0; i < 4; i++) {
        expect_lost(scans[i]);
    }
    list = command_post(daemon, "/redis/pipeline",
                        text("[['GET','k1'],['SCAN','%s'],['GET','k2']]", scans[0]->cursor));
    cr_assert_str_eq(http_string(list, "0.result"), "1", "%s", http_text(list));
    cr_assert_eq(strncmp(http_string(list, "1.error"), "SCANLOST ", 9), 0, "%s", http_text(list));
    cr_assert_str_eq(http_string(list, "2.result"), "2", "%s", http_text(list));
    scan_whole(scan_new(daemon, "/redis", all[0]));
}

/*
 * Faster than any Sentinel notices: only its run id tells. Replicas come back with the same data.
 */
SCENE(integration_commands_scan, a_replica_that_is_started_again_in_the_middle)
{
    const struct daemon *daemon;
    struct cluster *cluster =
        start(&daemon, &(struct cluster_spec){.nodes = 2, .sentinels = 1, .down_after_ms = 20000});
    struct scan *scan = scan_new(daemon, "/replica/redis", all[0]);
    const struct http_answer *answer;

    cr_assert(scan_step(scan) && scan_step(scan));
    server_kill(&cluster->nodes[1]);
    server_start(&cluster->nodes[1]);
    /* as long as it can't be reached, or is not in step: refused or lost; never a list */
    for (const int64_t end = now_ms() + patient(20000);;) {
        answer = scan_ask(scan);
        cr_assert_neq(answer->status, 200, "%s", http_text(answer));
        if (answer->status == 409 &&
            strcmp(redis_say(&cluster->nodes[1], "ZCARD zset"), "20000") == 0 &&
            all_healthy(daemon, 1)) {
            break;
        }
        cr_assert(now_ms() < end, "%s", http_text(answer));
        nap_ms(20);
    }
    expect_lost(scan);
    scan_whole(scan_new(daemon, "/replica/redis", all[0]));
}

SCENE(integration_commands_scan, another_daemon)
{
    const struct daemon *daemon, *other;
    struct cluster *cluster =
        start(&daemon, &(struct cluster_spec){.nodes = 1, .sentinels = 1, .down_after_ms = 20000});
    struct scan *scan = scan_new(daemon, "/redis", all[0]);

    other = commands_start(cluster, NULL);
    cr_assert(scan_step(scan));
    scan->daemon = other;
    expect_lost(scan);
    scan->daemon = daemon;
    scan_whole(scan);
}

/*
 * A Redis user without INFO: nobody tells which process it is, so a cursor lives as long as the
 * connection.
 */
SCENE(integration_commands_scan, without_info)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon;
    struct scan *scan;

    cr_assert_str_eq(redis_say(&cluster->nodes[0], "ACL SETUSER bell on nopass ~* &* +@all -info"),
                     "OK");
    file_write(text("%s/password", scene_folder()), "any\n");
    daemon = commands_start(cluster, "--redis-username", "bell", "--redis-password-file",
                            text("%s/password", scene_folder()), "--workers", "1", "--pool-size",
                            "1", NULL);
    fill(&cluster->nodes[0]);
    scan_whole(scan_new(daemon, "/redis", all[0]));
    scan = scan_new(daemon, "/redis", all[1]);
    cr_assert(scan_step(scan));
    cr_assert_not_null(redis_ask(&cluster->nodes[0], "CLIENT KILL TYPE normal SKIPME yes"));
    expect_lost(scan);
}
