/*
 * Cursors through the pool: each goes back to the server that it came from, or is lost.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/commands/pool.h"
#include "bellwether/redis/cursor.h"
#include "pool_fixture.h"

#define SCAN_TABLE \
    "*4\r\n" ENTRY(3, "get", "readonly", "read") ENTRY(4, "scan", "readonly", "keyspace") \
        ENTRY(5, "hscan", "readonly", "hash") ENTRY(3, "set", "write", "write")
#define INFO "*2\r\n" BULK(4, "INFO") BULK(6, "server")
#define RUN_ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RUN_ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define INFO_REPLY(id) "$59\r\n# Server\r\nrun_id:" id "\r\n\r\n"
#define SCAN(n, cursor) "*2\r\n" BULK(4, "SCAN") BULK(n, cursor)
#define SCANNED(n, cursor) "*2\r\n" BULK(n, cursor) "*1\r\n" BULK(1, "k")
#define LOST "SCANLOST the server that this cursor belongs to is not served any more"

/* clang-format off */
#define OPEN_AS(n, role) \
    {PEER_ACCEPT, NULL}, ANSWER(HELLO, HELLO_REPLY(n, role))
#define TELL_TABLE ANSWER(COMMAND, SCAN_TABLE)
#define TELL_ID(id) ANSWER(INFO, INFO_REPLY(id))
#define BEGIN ANSWER(SCAN(1, "0"), SCANNED(1, "5"))
#define GO_ON ANSWER(SCAN(7, "0000005"), SCANNED(1, "0"))
/* clang-format on */

#define DONE "{\"result\":[\"0\",[\"k\"]]"

static uint32_t tag_of(const struct fake_peer *peer, const char *run_id, bool is_master,
                       uint64_t switches)
{
    struct cursor_home home = {fake_peer_address(peer), run_id, is_master, switches};

    return cursor_tag(0, &home);
}

/* Cursor 5 of a server. */
static uint64_t five_of(uint32_t tag)
{
    return UINT64_C(5) << CURSOR_TAG_BITS | tag;
}

static void expect_five(const struct pool_request *request, uint32_t tag)
{
    char json[80];

    snprintf(json, sizeof(json), "{\"result\":[\"%" PRIu64 "\",[\"k\"]]", five_of(tag));
    expect_done(request, 0, json);
}

static struct pool_request *run_scan(struct pool_stage *stage, enum pool_target target,
                                     uint64_t cursor)
{
    struct pool_request *request = mem_new(1, sizeof(*request));
    char json[80];

    snprintf(json, sizeof(json), "[\"SCAN\",%" PRIu64 "]", cursor);
    request->target = target;
    (void)pool_stage_hand_in(stage, request, AS_ONE, json);
    pool_stage_run(stage);
    return request;
}

static void expect_lost(const struct pool_request *request)
{
    expect_words(request, 0, OUTCOME_NOT_SENT, LOST);
    cr_expect(request->scan_lost);
}

/* ---- on the master ---- */

Test(pool_scan, a_cursor_goes_back_as_the_servers_own)
{
    static const struct peer_step steps[] = {
        OPEN_AS(6, "master"), TELL_TABLE, TELL_ID(RUN_ID_A), BEGIN, GO_ON, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    uint32_t tag = tag_of(peer, RUN_ID_A, true, 1);

    expect_five(run_scan(&stage, POOL_MASTER, 0), tag);
    expect_done(run_scan(&stage, POOL_MASTER, five_of(tag)), 0, DONE);
    pool_stage_close_with(&stage, peer);
}

Test(pool_scan, a_generation_that_moved_on_loses_it)
{
    static const struct peer_step steps[] = {
        OPEN_AS(6, "master"), TELL_TABLE, TELL_ID(RUN_ID_A), BEGIN,
        OPEN_AS(6, "master"), TELL_TABLE, TELL_ID(RUN_ID_A), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    uint32_t tag = tag_of(peer, RUN_ID_A, true, 1);

    expect_five(run_scan(&stage, POOL_MASTER, 0), tag);
    pool_stage_publish(&stage, fake_peer_address(peer), 2, FENCE_DOWN);
    expect_lost(run_scan(&stage, POOL_MASTER, five_of(tag)));
    pool_stage_close_with(&stage, peer);
}

Test(pool_scan, a_server_that_was_started_again_loses_it)
{
    static const struct peer_step steps[] = {OPEN_AS(6, "master"),
                                             TELL_TABLE,
                                             TELL_ID(RUN_ID_A),
                                             BEGIN,
                                             {PEER_CLOSE, NULL},
                                             OPEN_AS(6, "master"),
                                             TELL_ID(RUN_ID_B),
                                             ANSWER(SCAN(1, "0"), SCANNED(1, "5")),
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    uint32_t tag = tag_of(peer, RUN_ID_A, true, 1);

    expect_five(run_scan(&stage, POOL_MASTER, 0), tag);
    expect_lost(run_scan(&stage, POOL_MASTER, five_of(tag)));
    expect_five(run_scan(&stage, POOL_MASTER, 0), tag_of(peer, RUN_ID_B, true, 1));
    pool_stage_close_with(&stage, peer);
}

/* The connection is lost with the scan on it: what runs again is asked anew which server it is. */
Test(pool_scan, a_server_that_was_started_again_under_way_loses_it)
{
    static const struct peer_step steps[] = {
        OPEN_AS(6, "master"), TELL_TABLE,
        TELL_ID(RUN_ID_A),    {PEER_EXPECT, SCAN(7, "0000005")},
        {PEER_CLOSE, NULL},   OPEN_AS(6, "master"),
        TELL_ID(RUN_ID_B),    END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    expect_lost(run_scan(&stage, POOL_MASTER, five_of(tag_of(peer, RUN_ID_A, true, 1))));
    pool_stage_close_with(&stage, peer);
}

/* Nobody can tell whether the next connection leads to the same process. */
Test(pool_scan, a_server_that_does_not_tell_who_it_is_is_the_one_of_the_connection)
{
    static const char denied[] =
        "-NOPERM User default has no permissions to run the 'info' command\r\n";
    static const struct peer_step steps[] = {OPEN_AS(6, "master"),
                                             TELL_TABLE,
                                             ANSWER(INFO, denied),
                                             BEGIN,
                                             ANSWER(SCAN(7, "0000005"), SCANNED(1, "0")),
                                             {PEER_CLOSE, NULL},
                                             OPEN_AS(6, "master"),
                                             ANSWER(INFO, denied),
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    const struct pool_request *begun = run_scan(&stage, POOL_MASTER, 0);

    cr_assert_eq(begun->commands[0].outcome, OUTCOME_DONE);
    uint64_t cursor = strtoull(begun->commands[0].json.bytes + strlen("{\"result\":[\""), NULL, 10);
    cr_assert_eq(cursor >> CURSOR_TAG_BITS, 5);
    expect_done(run_scan(&stage, POOL_MASTER, cursor), 0, DONE);
    expect_lost(run_scan(&stage, POOL_MASTER, cursor));
    pool_stage_close_with(&stage, peer);
}

Test(pool_scan, nonsense_never_reaches_the_server)
{
    static const struct peer_step steps[] = {OPEN_AS(6, "master"), TELL_TABLE,
                                             ANSWER(GET, "$1\r\nv\r\n"), END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct pool_request *request = pool_stage_submit_as(
        &stage, AS_PIPELINE,
        "[[\"SCAN\",\"17\"],[\"SCAN\",\"+0\"],[\"SCAN\",1048576],[\"HSCAN\",\"h\",\"x\"],[\"GET\",\"k\"]]");

    pool_stage_run(&stage);
    expect_words(request, 0, OUTCOME_NOT_SENT, LOST);
    expect_words(request, 1, OUTCOME_BAD, "ERR invalid cursor");
    expect_words(request, 2, OUTCOME_NOT_SENT, "SCANLOST the server's own cursor was too large");
    expect_words(request, 3, OUTCOME_BAD, "ERR invalid cursor");
    expect_done(request, 4, "{\"result\":\"v\"");
    pool_stage_close_with(&stage, peer);
}

/* ---- many at once ---- */

Test(pool_scan, a_lost_one_in_a_pipeline_is_lost_alone)
{
    static const struct peer_step steps[] = {OPEN_AS(6, "master"),
                                             TELL_TABLE,
                                             ANSWER(GET INFO, "$1\r\nv\r\n" INFO_REPLY(RUN_ID_A)),
                                             GO_ON,
                                             ANSWER("*3\r\n" BULK(5, "HSCAN") BULK(1, "h")
                                                        BULK(1, "0") GET,
                                                    SCANNED(1, "5") "$1\r\nw\r\n"),
                                             END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    uint32_t tag = tag_of(peer, RUN_ID_A, true, 1);
    char json[240], five[80];

    snprintf(json, sizeof(json),
             "[[\"GET\",\"k\"],[\"SCAN\",%" PRIu64 "],[\"SCAN\",%" PRIu64
             "],[\"HSCAN\",\"h\",\"0\"],[\"GET\",\"k\"]]",
             five_of(tag), five_of(tag ^ 1));
    struct pool_request *request = pool_stage_submit_as(&stage, AS_PIPELINE, json);
    pool_stage_run(&stage);
    expect_done(request, 0, "{\"result\":\"v\"");
    expect_done(request, 1, DONE);
    expect_words(request, 2, OUTCOME_NOT_SENT, LOST);
    snprintf(five, sizeof(five), "{\"result\":[\"%" PRIu64 "\",[\"k\"]]", five_of(tag));
    expect_done(request, 3, five);
    expect_done(request, 4, "{\"result\":\"w\"");
    pool_stage_close_with(&stage, peer);
}

Test(pool_scan, in_a_transaction_only_what_scans_has_a_cursor)
{
    static const struct peer_step steps[] = {
        OPEN_AS(6, "master"),
        TELL_TABLE,
        ANSWER(MULTI EXEC, "+OK\r\n*0\r\n"),
        TELL_ID(RUN_ID_A),
        ANSWER(MULTI GET SCAN(7, "0000005") SCAN(1, "0") EXEC,
               "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n*2\r\n" BULK(1, "5") BULK(1, "5")
                   SCANNED(1, "5") SCANNED(1, "0")),
        END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    uint32_t tag = tag_of(peer, RUN_ID_A, true, 1);
    char json[240];

    snprintf(json, sizeof(json), "[[\"GET\",\"k\"],[\"SCAN\",%" PRIu64 "],[\"SCAN\",0]]",
             five_of(tag));
    struct pool_request *request = pool_stage_submit_as(&stage, AS_TRANSACTION, json);
    pool_stage_run(&stage);
    snprintf(json, sizeof(json),
             "[{\"result\":[\"5\",\"5\"]},{\"result\":[\"%" PRIu64
             "\",[\"k\"]]},{\"result\":[\"0\",[\"k\"]]}]",
             five_of(tag));
    expect_done(request, 0, json);
    pool_stage_close_with(&stage, peer);
}

Test(pool_scan, a_transaction_with_cursors_of_two_servers_runs_on_none)
{
    static const struct peer_step steps[] = {OPEN_AS(6, "master"), TELL_TABLE, END};
    struct pool_stage stage = {0};
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    char json[240];

    snprintf(json, sizeof(json), "[[\"SCAN\",%" PRIu64 "],[\"SCAN\",%" PRIu64 "]]", five_of(77),
             five_of(78));
    struct pool_request *request = pool_stage_submit_as(&stage, AS_TRANSACTION, json);
    pool_stage_run(&stage);
    expect_lost(request);
    pool_stage_close_with(&stage, peer);
}

/* ---- on replicas ---- */

static void publish(struct pool_stage *stage, const struct address *address,
                    struct fake_peer *const *replicas, size_t n)
{
    struct snapshot *snapshot = snapshot_new(1);
    struct snapshot_master *master = snapshot_master_new("mymaster");

    master->state = MASTER_OK;
    master->has_address = true;
    master->address = *address;
    master->switches = 1;
    master->replicas = calloc(n + 1, sizeof(*master->replicas));
    master->n_replicas = n;
    for (size_t i = 0; i < n; i++) {
        master->replicas[i].address = *fake_peer_address(replicas[i]);
        master->replicas[i].healthy = true;
    }
    snapshot->masters[0] = master;
    pool_take(stage->pool, snapshot);
    snapshot_unref(stage->snapshot);
    stage->snapshot = snapshot;
}

/* A master that nobody reaches, and these replicas. */
static void publish_replicas(struct pool_stage *stage, struct fake_peer *const *replicas, size_t n)
{
    struct address nobody = fake_peer_dead_address();

    publish(stage, &nobody, replicas, n);
}

/* clang-format off */
#define REPLICA(id) OPEN_AS(5, "slave"), TELL_TABLE, TELL_ID(id)
/* clang-format on */

Test(pool_scan, a_cursor_finds_its_replica)
{
    static const struct peer_step first[] = {REPLICA(RUN_ID_A), BEGIN, GO_ON, END};
    static const struct peer_step second[] = {OPEN_AS(5, "slave"), TELL_ID(RUN_ID_B), BEGIN, GO_ON,
                                              END};
    struct fake_peer *replicas[] = {fake_peer_start("127.0.0.1", first),
                                    fake_peer_start("127.0.0.1", second)};
    struct pool_stage stage = {0};
    uint32_t a = tag_of(replicas[0], RUN_ID_A, false, 0),
             b = tag_of(replicas[1], RUN_ID_B, false, 0);

    pool_stage_open(&stage);
    publish_replicas(&stage, replicas, 2);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), a);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), b);
    expect_done(run_scan(&stage, POOL_REPLICA, five_of(b)), 0, DONE);
    expect_done(run_scan(&stage, POOL_REPLICA, five_of(a)), 0, DONE);
    pool_stage_close_with(&stage, replicas[0]);
    fake_peer_end(replicas[1]);
}

/* As of another worker: no replica was ever asked who it is, and the first one is not it. */
Test(pool_scan, a_cursor_finds_a_replica_that_was_never_spoken_to)
{
    static const struct peer_step first[] = {REPLICA(RUN_ID_A), END};
    static const struct peer_step second[] = {OPEN_AS(5, "slave"), TELL_ID(RUN_ID_B), GO_ON, END};
    struct fake_peer *replicas[] = {fake_peer_start("127.0.0.1", first),
                                    fake_peer_start("127.0.0.1", second)};
    struct pool_stage stage = {0};

    pool_stage_open(&stage);
    publish_replicas(&stage, replicas, 2);
    expect_done(run_scan(&stage, POOL_REPLICA, five_of(tag_of(replicas[1], RUN_ID_B, false, 0))), 0,
                DONE);
    expect_lost(run_scan(&stage, POOL_REPLICA, five_of(12345)));
    pool_stage_close_with(&stage, replicas[0]);
    fake_peer_end(replicas[1]);
}

Test(pool_scan, a_pipeline_takes_each_cursor_to_its_replica)
{
    static const struct peer_step first[] = {REPLICA(RUN_ID_A), BEGIN, GO_ON, END};
    static const struct peer_step second[] = {OPEN_AS(5, "slave"), TELL_ID(RUN_ID_B), BEGIN, GO_ON,
                                              END};
    struct fake_peer *replicas[] = {fake_peer_start("127.0.0.1", first),
                                    fake_peer_start("127.0.0.1", second)};
    struct pool_stage stage = {0};
    struct pool_request *request = mem_new(1, sizeof(*request));
    uint32_t a = tag_of(replicas[0], RUN_ID_A, false, 0),
             b = tag_of(replicas[1], RUN_ID_B, false, 0);
    char json[240];

    pool_stage_open(&stage);
    publish_replicas(&stage, replicas, 2);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), a);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), b);
    snprintf(json, sizeof(json),
             "[[\"SCAN\",%" PRIu64 "],[\"SCAN\",%" PRIu64 "],[\"SCAN\",%" PRIu64 "]]", five_of(a),
             five_of(777), five_of(b));
    request->target = POOL_REPLICA;
    cr_assert_not(pool_stage_hand_in(&stage, request, AS_PIPELINE, json));
    pool_stage_run(&stage);
    expect_done(request, 0, DONE);
    expect_words(request, 1, OUTCOME_NOT_SENT, LOST);
    expect_done(request, 2, DONE);
    pool_stage_close_with(&stage, replicas[0]);
    fake_peer_end(replicas[1]);
}

Test(pool_scan, a_replica_that_is_not_served_any_more_loses_its_cursors)
{
    static const struct peer_step first[] = {REPLICA(RUN_ID_A), BEGIN, END};
    static const struct peer_step second[] = {OPEN_AS(5, "slave"), TELL_ID(RUN_ID_B), END};
    struct fake_peer *replicas[] = {fake_peer_start("127.0.0.1", first),
                                    fake_peer_start("127.0.0.1", second)};
    struct pool_stage stage = {0};
    uint32_t a = tag_of(replicas[0], RUN_ID_A, false, 0);

    pool_stage_open(&stage);
    publish_replicas(&stage, replicas, 2);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), a);
    publish_replicas(&stage, replicas + 1, 1);
    expect_lost(run_scan(&stage, POOL_REPLICA, five_of(a)));
    pool_stage_close_with(&stage, replicas[0]);
    fake_peer_end(replicas[1]);
}

/*
 * The master stands in while there is no replica; what was begun on it goes on there when there is
 * one again.
 */
Test(pool_scan, a_cursor_of_the_master_that_stands_in_goes_back_to_it)
{
    static const struct peer_step first[] = {
        OPEN_AS(6, "master"), TELL_TABLE, TELL_ID(RUN_ID_A), BEGIN, GO_ON, END};
    static const struct peer_step second[] = {OPEN_AS(5, "slave"), TELL_ID(RUN_ID_B), BEGIN, END};
    struct fake_peer *replicas[] = {fake_peer_start("127.0.0.1", second)};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", first);
    struct pool_stage stage = {.config = {.replica_fallback = true}};
    uint32_t a = tag_of(peer, RUN_ID_A, true, 1), b = tag_of(replicas[0], RUN_ID_B, false, 0);

    pool_stage_open(&stage);
    publish(&stage, fake_peer_address(peer), NULL, 0);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), a);
    publish(&stage, fake_peer_address(peer), replicas, 1);
    expect_five(run_scan(&stage, POOL_REPLICA, 0), b);
    expect_done(run_scan(&stage, POOL_REPLICA, five_of(a)), 0, DONE);
    expect_lost(run_scan(&stage, POOL_MASTER, five_of(b)));
    pool_stage_close(&stage);
    fake_peer_end(replicas[0]);
    fake_peer_end(peer);
}
