/*
 * The pool against scripted peers: how commands are written, answered and settled when connections are lost, refused,
 * fenced, late or switched away from, and that every job ends exactly once.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/pool.h"
#include "peer.h"

#define BULK(n, text) "$" #n "\r\n" text "\r\n"
#define HELLO "*2\r\n" BULK(5, "HELLO") BULK(1, "2")
#define HELLO_REPLY(n, role) "*4\r\n" BULK(6, "server") BULK(5, "redis") BULK(4, "role") BULK(n, role)
#define COMMAND "*1\r\n" BULK(7, "COMMAND")
#define ENTRY(n, name, flag, category) \
    "*7\r\n" BULK(n, name) ":-2\r\n*1\r\n+" flag "\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@" category "\r\n"
#define TABLE                                                                        \
    "*5\r\n" ENTRY(3, "get", "readonly", "read") ENTRY(3, "set", "write", "write")   \
        ENTRY(4, "incr", "write", "write") ENTRY(4, "eval", "noscript", "scripting") \
            ENTRY(6, "config", "admin", "admin")
#define GET "*2\r\n" BULK(3, "GET") BULK(1, "k")
#define INCR "*2\r\n" BULK(4, "INCR") BULK(1, "k")
#define SET "*3\r\n" BULK(3, "SET") BULK(1, "k") BULK(1, "v")
#define EVAL "*3\r\n" BULK(4, "EVAL") BULK(1, "s") BULK(1, "0")
#define MULTI "*1\r\n" BULK(5, "MULTI")
#define EXEC "*1\r\n" BULK(4, "EXEC")
#define READONLY "-READONLY You can't write against a read only replica.\r\n"

/* clang-format off */
#define OPEN {PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, {PEER_SEND, HELLO_REPLY(6, "master")}
#define GREET OPEN, {PEER_EXPECT, COMMAND}, {PEER_SEND, TABLE}
#define END {PEER_WAIT, NULL}, {PEER_END, NULL}
/* clang-format on */

enum { JOBS_MAX = 8 };

static struct peer *other; /* the second one of a test, or the one that is told to go on */

struct stage {
    struct loop *loop;
    struct loop_timer *guard, *poll;
    struct pool *pool;
    struct pool_config config;
    struct pool_login login;
    struct policy *policy;
    struct secret *secret;
    struct metrics *metrics;
    struct metrics_redis *counts;
    _Atomic size_t waiting;
    struct snapshot *snapshot;
    struct pool_job *jobs[JOBS_MAX];
    size_t n_jobs, n_ended;
    bool guard_fired, stalled;
    int suspicions[8];
    /* what is to happen when something holds */
    bool (*when)(struct stage *stage);
    void (*then)(struct stage *stage);
};

/* ---- the stage ---- */

static void on_guard(void *data)
{
    struct stage *stage = data;

    stage->guard_fired = true;
    loop_stop(stage->loop);
}

static void on_poll(void *data)
{
    struct stage *stage = data;

    if (stage->when != NULL && stage->when(stage)) {
        stage->when = NULL;
        if (stage->then != NULL)
            stage->then(stage);
        else
            loop_stop(stage->loop);
    }
    loop_timer_start(stage->poll, 2);
}

static bool is_stalled(void *data)
{
    return ((struct stage *)data)->stalled;
}

static void on_suspect(void *data, enum suspicion what, const char *master, const struct address *address)
{
    struct stage *stage = data;

    cr_expect_str_eq(master, "mymaster");
    cr_expect(address_is_set(address));
    stage->suspicions[what]++;
}

static void on_done(struct pool_job *job)
{
    struct stage *stage = job->data;

    for (size_t i = 0; i < job->n_items; i++)
        cr_expect_neq(job->items[i].outcome, ITEM_PENDING);
    if (++stage->n_ended == stage->n_jobs)
        loop_stop(stage->loop);
}

static void stage_open(struct stage *stage, const char *rules)
{
    char error[256];
    const struct pool_hooks hooks = {.stalled = is_stalled, .suspect = on_suspect, .data = stage};

    signal(SIGPIPE, SIG_IGN);
    stage->loop = loop_new();
    stage->guard = loop_timer_new(stage->loop, on_guard, stage);
    stage->poll = loop_timer_new(stage->loop, on_poll, stage);
    stage->policy = policy_parse(rules, error, sizeof error);
    cr_assert_not_null(stage->policy, "%s", error);
    stage->secret = secret_new(NULL, NULL, error, sizeof error);
    stage->login = (struct pool_login){.password = stage->secret};
    if (stage->config.command_timeout_ms == 0)
        stage->config.command_timeout_ms = 4000;
    if (stage->config.max_pending == 0)
        stage->config.max_pending = 100;
    if (stage->config.size == 0)
        stage->config.size = 1;
    if (stage->config.connect_timeout_ms == 0)
        stage->config.connect_timeout_ms = 1000;
    stage->config.max_reply_bytes = 1 << 20;
    stage->config.replica_max_lag_bytes = -1;
    stage->config.policy = stage->policy;
    stage->config.logins = &stage->login;
    stage->config.n_logins = 1;
    stage->metrics = metrics_new(1);
    stage->counts = metrics_redis(stage->metrics, 0);
    stage->pool = pool_new(stage->loop, &stage->config, &stage->waiting, stage->counts, &hooks);
    loop_timer_start(stage->guard, 8000);
    loop_timer_start(stage->poll, 2);
}

/* The master, as the watcher would publish it. @param address NULL: there is none. */
static void publish(struct stage *stage, const struct address *address, uint64_t switches, enum fence fence)
{
    struct snapshot *snapshot = snapshot_new(1);
    struct snapshot_master *master = snapshot_master_new("mymaster");

    master->state = address != NULL ? MASTER_OK : MASTER_DOWN;
    master->detail = mem_strdup("the node refuses");
    master->has_address = address != NULL;
    if (address != NULL)
        master->address = *address;
    master->switches = switches;
    master->fence = fence;
    snapshot->masters[0] = master;
    pool_take(stage->pool, snapshot);
    snapshot_unref(stage->snapshot);
    stage->snapshot = snapshot;
}

static void publish_peer(struct stage *stage, const struct peer *peer)
{
    publish(stage, peer_address(peer), 1, FENCE_DOWN);
}

static struct pool_job *submit_as(struct stage *stage, const char *json, bool many, bool transaction,
                                  bool retry)
{
    struct pool_job *job = pool_job_new();
    char error[BATCH_ERROR_SIZE];

    cr_assert_eq(batch_read(json, strlen(json), many ? BATCH_MANY : BATCH_ONE, &job->batch, error), 0, "%s",
                 error);
    job->transaction = transaction;
    job->retry_always = retry;
    snprintf(job->master, sizeof job->master, "mymaster");
    job->done = on_done;
    job->data = stage;
    stage->jobs[stage->n_jobs++] = job;
    if (pool_run(stage->pool, job))
        stage->n_ended++;
    return job;
}

static struct pool_job *submit(struct stage *stage, const char *json)
{
    return submit_as(stage, json, false, false, false);
}

/* Run until this holds. */
static void run_until(struct stage *stage, bool (*when)(struct stage *stage))
{
    stage->when = when;
    stage->then = NULL;
    loop_run(stage->loop);
    cr_assert_not(stage->guard_fired, "what was waited for did not come");
}

static void run(struct stage *stage)
{
    if (stage->n_ended < stage->n_jobs)
        loop_run(stage->loop);
    cr_expect_not(stage->guard_fired, "not all jobs ended");
    cr_expect_eq(stage->n_ended, stage->n_jobs);
}

static void stage_close(struct stage *stage)
{
    size_t ended = stage->n_ended;

    pool_free(stage->pool);
    cr_expect_eq(stage->n_ended, ended, "a job ended twice, or late");
    cr_expect_eq(metric_look(&stage->counts->inflight), 0);
    cr_expect_eq(metric_look(&stage->counts->waiting), 0);
    cr_expect_eq(stage->waiting, 0);
    for (int i = 0; i < METRIC_POOL_STATE_COUNT; i++)
        cr_expect_eq(metric_look(&stage->counts->connections[i]), 0, "connections %d", i);
    for (size_t i = 0; i < stage->n_jobs; i++)
        pool_job_free(stage->jobs[i]);
    snapshot_unref(stage->snapshot);
    metrics_free(stage->metrics);
    policy_free(stage->policy);
    secret_free(stage->secret);
    loop_timer_free(stage->guard);
    loop_timer_free(stage->poll);
    loop_free(stage->loop);
}

static void peer_end(struct peer *peer)
{
    const char *trouble = peer_join(peer);

    cr_expect_null(trouble, "peer: %s", trouble != NULL ? trouble : "");
    peer_free(peer);
}

static void expect_done(const struct pool_job *job, size_t i, const char *json)
{
    const struct pool_item *item = &job->items[i];

    cr_assert_eq(item->outcome, ITEM_DONE, "outcome %d: %s", item->outcome, item->words);
    cr_expect_eq(item->json.size, strlen(json));
    cr_expect_arr_eq(item->json.bytes, json, strlen(json), "%.*s", (int)item->json.size, item->json.bytes);
}

static void expect_words(const struct pool_job *job, size_t i, enum item_outcome outcome, const char *words)
{
    cr_expect_eq(job->items[i].outcome, outcome, "outcome %d: %s", job->items[i].outcome,
                 job->items[i].words);
    cr_expect_eq(strncmp(job->items[i].words, words, strlen(words)), 0, "%s", job->items[i].words);
}

static bool one_done(struct stage *stage)
{
    return metric_read(&stage->counts->commands[METRIC_COMMAND_OUTCOME_DONE]) == 1;
}

static bool one_in_flight(struct stage *stage)
{
    return metric_look(&stage->counts->inflight) == 1;
}

/* ---- the plain way ---- */

Test(pool, runs_commands_pipelined_on_one_connection)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR GET}, {PEER_SEND, ":1\r\n$1\r\n1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]"), *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect(incr->has_ran_at && address_equal(&incr->ran_at, peer_address(peer)));
    cr_expect_eq(metric_read(&stage.counts->commands[METRIC_COMMAND_OUTCOME_DONE]), 2);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, pipeline_answers_each_for_itself)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, SET GET}, {PEER_SEND, "-ERR no\r\n$-1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all -config");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(
        &stage, "[[\"SET\",\"k\",\"v\"],[\"CONFIG\",\"GET\",\"x\"],[],[\"GET\",\"k\"]]", true, false, false);
    run(&stage);
    expect_words(job, 0, ITEM_ERROR, "ERR no");
    expect_words(job, 1, ITEM_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(job->items[1].words, "-config"), "%s", job->items[1].words);
    expect_words(job, 2, ITEM_BAD, "BADREQUEST ");
    expect_done(job, 3, "{\"result\":null");
    cr_expect_eq(metric_read(&stage.counts->policy_refusals), 1);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, read_only_jobs_run_reads_only)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};
    struct pool_job *job = pool_job_new();
    const char *two = "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]";
    char error[BATCH_ERROR_SIZE];

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    cr_assert_eq(batch_read(two, strlen(two), BATCH_MANY, &job->batch, error), 0);
    job->read_only = "the token is read-only";
    snprintf(job->master, sizeof job->master, "mymaster");
    job->done = on_done;
    job->data = &stage;
    stage.jobs[stage.n_jobs++] = job;
    cr_assert_not(pool_run(stage.pool, job));
    run(&stage);
    expect_done(job, 0, "{\"result\":\"1\"");
    expect_words(job, 1, ITEM_DENIED, "NOPERM ");
    cr_expect_not_null(strstr(job->items[1].words, "the token is read-only"));
    stage_close(&stage);
    peer_end(peer);
}

/* ---- transactions ---- */

Test(pool, transaction_is_contiguous_and_one)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR GET EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:7\r\n$1\r\n7\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"INCR\",\"k\"],[\"GET\",\"k\"]]", true, true, false);
    run(&stage);
    cr_assert_eq(job->n_items, 1);
    expect_done(job, 0, "[{\"result\":7},{\"result\":\"7\"}]");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, transaction_refused_by_a_replica_runs_again_whole)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "+OK\r\n" READONLY "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_done(job, 0, "[{\"result\":1}]");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_EXECABORT]), 1);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, transaction_discarded_for_good_says_why)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI GET INCR EXEC},
        {PEER_SEND,
         "+OK\r\n+QUEUED\r\n-ERR wrong\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"GET\",\"k\"],[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_words(job, 0, ITEM_ERROR, "EXECABORT ");
    cr_expect_not_null(strstr(job->items[0].words, "command 2: ERR wrong"), "%s", job->items[0].words);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, transaction_where_multi_is_refused_sends_no_member)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, MULTI EXEC},
                                             {PEER_SEND, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_words(job, 0, ITEM_ERROR, "NOPERM no multi");
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    stage_close(&stage);
    peer_end(peer);
}

/* The server itself says so where it became a replica between the members and EXEC. */
Test(pool, transaction_whose_exec_is_refused_by_a_replica_runs_again_whole)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND,
         "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: READONLY You can't write.\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_done(job, 0, "[{\"result\":1}]");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_EXECABORT]), 1);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    stage_close(&stage);
    peer_end(peer);
}

/* Rights may be taken away under way: the first transaction after that tells, and no other runs one by one. */
Test(pool, transaction_where_multi_is_refused_later_is_the_last_one)
{
    static const struct peer_step steps[] = {
        GREET,
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "+OK\r\n*0\r\n"},
        {PEER_EXPECT, MULTI INCR EXEC},
        {PEER_SEND, "-NOPERM no multi\r\n:1\r\n-ERR EXEC without MULTI\r\n"},
        {PEER_EXPECT, MULTI EXEC},
        {PEER_SEND, "-NOPERM no multi\r\n-ERR EXEC without MULTI\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *first = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_words(first, 0, ITEM_UNKNOWN, "UNKNOWN ");
    struct pool_job *second = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    run(&stage);
    expect_words(second, 0, ITEM_ERROR, "NOPERM no multi");
    stage_close(&stage);
    peer_end(peer);
}

/* ---- lost connections ---- */

Test(pool, lost_read_runs_again_and_lost_write_is_unknown)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET INCR}, {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, GET},      {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]"), *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    cr_expect_geq(stage.suspicions[SUSPICION_LOST], 1);
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_LOST_READ]), 1);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, lost_write_runs_again_where_the_caller_says_so)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, {PEER_CLOSE, NULL},
                                             OPEN,  {PEER_EXPECT, INCR}, {PEER_SEND, ":2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit_as(&stage, "[\"INCR\",\"k\"]", false, false, true);
    run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    stage_close(&stage);
    peer_end(peer);
}

/* What makes the server hang up would else be sent to it as fast as it can. */
Test(pool, what_is_lost_again_and_again_is_given_time)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_CLOSE, NULL}, OPEN, {PEER_EXPECT, GET}, {PEER_CLOSE, NULL},
        OPEN,  {PEER_EXPECT, GET}, {PEER_CLOSE, NULL}, OPEN, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"},
        END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};
    int64_t began_ms = clock_boot_ms();

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 50);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, refused_while_resting_is_told_at_the_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_SEND, "-LOADING Redis is loading\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 40}};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(get, 0, ITEM_NOT_SENT, "NOTSENT ");
    cr_expect_not_null(strstr(get->items[0].words, "LOADING Redis is loading"), "%s", get->items[0].words);
    stage_close(&stage);
    peer_end(peer);
}

/* ---- refusals ---- */

Test(pool, read_only_refusal_tells_the_watcher_and_runs_again)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_SEND, READONLY}, {PEER_EXPECT, INCR}, {PEER_SEND, ":1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    int64_t began_ms = clock_boot_ms();
    run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    cr_expect_geq(clock_boot_ms() - began_ms, 50);
    cr_expect_eq(stage.suspicions[SUSPICION_READ_ONLY], 1);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, scripts_are_not_believed)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, EVAL}, {PEER_SEND, READONLY}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *eval = submit(&stage, "[\"EVAL\",\"s\",0]");
    run(&stage);
    expect_words(eval, 0, ITEM_ERROR, "READONLY ");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, a_read_behind_a_refused_write_sees_it)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, SET GET},
                                             {PEER_SEND, READONLY "$3\r\nold\r\n"},
                                             {PEER_EXPECT, SET GET},
                                             {PEER_SEND, "+OK\r\n$1\r\nv\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(&stage, "[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]", true, false, false);
    run(&stage);
    expect_done(job, 0, "{\"result\":\"OK\"");
    expect_done(job, 1, "{\"result\":\"v\"");
    cr_expect_eq(metric_read(&stage.counts->retries[METRIC_RETRY_IN_ORDER]), 1);
    stage_close(&stage);
    peer_end(peer);
}

/* ---- deadlines ---- */

Test(pool, a_late_answer_reaches_nobody_and_breaks_nothing)
{
    /* a byte of SET's answer shows that the peer lives, so the connection stays though both are late */
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, SET INCR},
                                             {PEER_SEND, "+"},
                                             {PEER_HOLD, NULL},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "OK\r\n:9\r\n$1\r\n9\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 200}};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *set = submit(&stage, "[\"SET\",\"k\",\"v\"]");
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run(&stage);
    expect_words(set, 0, ITEM_UNKNOWN, "UNKNOWN ");
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    cr_expect_eq(stage.suspicions[SUSPICION_SILENT], 0);
    peer_release(peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"9\"");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, a_silent_peer_makes_it_unknown_and_is_hung_up_on)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, {PEER_WAIT, NULL},
                                             OPEN,  {PEER_EXPECT, GET},  {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 200}};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run(&stage);
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    cr_expect_eq(stage.suspicions[SUSPICION_SILENT], 1);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    stage_close(&stage);
    peer_end(peer);
}

static int64_t half_ms; /* of the command's time: when the second one is sent */

static bool half_is_over(struct stage *stage)
{
    (void)stage;
    return clock_boot_ms() >= half_ms;
}

static bool one_ended(struct stage *stage)
{
    return stage->n_ended == 1;
}

/* One is sent, half of its time later another one; the first one's time is over: the line is taken for silent. */
static void fall_silent(struct stage *stage, const struct peer *peer)
{
    stage_open(stage, "+@all");
    publish_peer(stage, peer);
    half_ms = clock_boot_ms() + stage->config.command_timeout_ms / 2;
    submit(stage, "[\"INCR\",\"k\"]");
    run_until(stage, half_is_over);
    submit(stage, "[\"INCR\",\"k\"]");
    run_until(stage, one_ended);
    expect_words(stage->jobs[0], 0, ITEM_UNKNOWN, "UNKNOWN ");
}

Test(pool, a_silent_peer_that_speaks_again_is_used_by_who_waits)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR INCR},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":1\r\n:2\r\n"},
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 800}};

    fall_silent(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    peer_release(peer);
    run(&stage);
    expect_done(stage.jobs[1], 0, "{\"result\":2");
    expect_done(get, 0, "{\"result\":\"2\"");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, a_silent_peer_that_is_hung_up_on_makes_room_for_who_waits)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR INCR}, {PEER_WAIT, NULL},
                                             OPEN,  {PEER_EXPECT, GET},       {PEER_SEND, "$1\r\n2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 800}};

    fall_silent(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(stage.jobs[1], 0, ITEM_UNKNOWN, "UNKNOWN ");
    expect_done(get, 0, "{\"result\":\"2\"");
    stage_close(&stage);
    peer_end(peer);
}

static bool two_ended(struct stage *stage)
{
    return stage->n_ended == 2;
}

/* The pool's own questions do not end a connection that others wait on before their time. */
Test(pool, a_question_of_its_own_that_is_late_hurts_nobody)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR MULTI EXEC},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":1\r\n+OK\r\n*0\r\n"},
                                             {PEER_EXPECT, MULTI INCR EXEC},
                                             {PEER_SEND, "+OK\r\n+QUEUED\r\n*1\r\n:2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.connect_timeout_ms = 200}};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    struct pool_job *both = submit_as(&stage, "[[\"INCR\",\"k\"]]", true, true, false);
    half_ms = clock_boot_ms() + 600;
    run_until(&stage, half_is_over);
    peer_release(peer);
    run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    expect_done(both, 0, "[{\"result\":2}]");
    stage_close(&stage);
    peer_end(peer);
}

/* Half an answer, and nothing more for ever. */
Test(pool, a_silent_peer_that_only_begins_to_speak_is_hung_up_on)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, INCR INCR},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ":"},
                                             {PEER_WAIT, NULL},
                                             OPEN,
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 800}};

    fall_silent(&stage, peer);
    peer_release(peer);
    run_until(&stage, two_ended);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"2\"");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, no_master_is_waited_for_until_the_deadline)
{
    struct stage stage = {.config = {.command_timeout_ms = 60}};

    stage_open(&stage, "+@all");
    publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(get, 0, ITEM_NOT_SENT, "NOMASTER ");
    cr_expect_not_null(strstr(get->items[0].words, "the node refuses"), "%s", get->items[0].words);
    stage_close(&stage);
}

static void publish_other(struct stage *stage)
{
    publish(stage, peer_address(other), 2, FENCE_DOWN);
}

static bool one_waits(struct stage *stage)
{
    return metric_look(&stage->counts->waiting) == 1;
}

Test(pool, a_master_that_comes_in_time_is_used)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, END};
    struct stage stage = {.when = one_waits, .then = publish_other};

    other = peer_start("127.0.0.1", steps);
    stage_open(&stage, "+@all");
    publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    stage_close(&stage);
    peer_end(other);
}

Test(pool, the_queue_is_bounded)
{
    struct stage stage = {.config = {.max_pending = 2, .command_timeout_ms = 100}};

    stage_open(&stage, "+@all");
    publish(&stage, NULL, 0, FENCE_DOWN);
    struct pool_job *jobs[3];
    for (int i = 0; i < 3; i++)
        jobs[i] = submit(&stage, "[\"GET\",\"k\"]");
    cr_expect_eq(stage.n_ended, 1, "the third is refused at once");
    cr_expect(jobs[2]->queue_full);
    expect_words(jobs[2], 0, ITEM_NOT_SENT, "NOTSENT ");
    run(&stage);
    cr_expect_not(jobs[0]->queue_full);
    stage_close(&stage);
}

Test(pool, a_stalled_watcher_is_not_believed)
{
    static const struct peer_step steps[] = {{PEER_END, NULL}};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {.config = {.command_timeout_ms = 60}, .stalled = true};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(get, 0, ITEM_NOT_SENT, "NOMASTER ");
    stage_close(&stage);
    peer_end(peer);
}

/* ---- switches and fences ---- */

Test(pool, a_switch_closes_at_once_and_settles)
{
    static const struct peer_step old[] = {GREET, {PEER_EXPECT, GET}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    static const struct peer_step new[] = {GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", old);
    struct stage stage = {.when = one_in_flight, .then = publish_other};

    other = peer_start("127.0.0.1", new);
    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect(address_equal(&get->ran_at, peer_address(other)));
    stage_close(&stage);
    peer_end(peer);
    peer_end(other);
}

static void flap(struct stage *stage)
{
    publish(stage, NULL, 1, FENCE_DOWN); /* no address: the state flaps */
    peer_release(other);
}

Test(pool, a_flap_of_the_state_closes_nothing)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct stage stage = {.when = one_in_flight, .then = flap};

    other = peer_start("127.0.0.1", steps);
    stage_open(&stage, "+@all");
    publish_peer(&stage, other);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    stage_close(&stage);
    peer_end(other);
}

Test(pool, the_fence_holds_writes_and_lets_reads_go_on)
{
    static const struct peer_step old[] = {GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, END};
    static const struct peer_step new[] = {GREET, {PEER_EXPECT, INCR}, {PEER_SEND, ":2\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", old);
    struct stage stage = {0};

    other = peer_start("127.0.0.1", new);
    stage_open(&stage, "+@all");
    publish(&stage, peer_address(peer), 1, FENCE_UP);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]"), *get = submit(&stage, "[\"GET\",\"k\"]");
    stage.n_jobs--; /* only the read can end */
    loop_run(stage.loop);
    stage.n_jobs++;
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(incr->items[0].outcome, ITEM_PENDING);
    publish_other(&stage);
    run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    cr_expect_eq(metric_read(&stage.counts->fence_holds), 1);
    stage_close(&stage);
    peer_end(peer);
    peer_end(other);
}

Test(pool, in_a_pipeline_those_behind_a_held_one_wait)
{
    static const struct peer_step steps[] = {GREET,
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             {PEER_EXPECT, INCR GET},
                                             {PEER_SEND, ":2\r\n$1\r\n2\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish(&stage, peer_address(peer), 1, FENCE_UP);
    struct pool_job *job =
        submit_as(&stage, "[[\"GET\",\"k\"],[\"INCR\",\"k\"],[\"GET\",\"k\"]]", true, false, false);
    run_until(&stage, one_done);
    expect_done(job, 0, "{\"result\":\"1\"");
    cr_expect_eq(job->items[2].outcome, ITEM_PENDING);
    publish(&stage, peer_address(peer), 1, FENCE_DOWN);
    run(&stage);
    expect_done(job, 1, "{\"result\":2");
    expect_done(job, 2, "{\"result\":\"2\"");
    stage_close(&stage);
    peer_end(peer);
}

/* What stands in our own buffer is not written yet, and must not be once the fence is up. */
Test(pool, the_fence_holds_what_was_not_written_yet)
{
    static const struct peer_step old[] = {
        GREET, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"}, {PEER_EXPECT, GET}, {PEER_SEND, "$1\r\n1\r\n"},
        END};
    static const struct peer_step new[] = {GREET, {PEER_EXPECT, INCR}, {PEER_SEND, ":2\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", old);
    struct stage stage = {0};

    other = peer_start("127.0.0.1", new);
    stage_open(&stage, "+@all");
    publish(&stage, peer_address(peer), 1, FENCE_DOWN);
    submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]"), *get = submit(&stage, "[\"GET\",\"k\"]");
    publish(&stage, peer_address(peer), 1, FENCE_UP);
    run_until(&stage, two_ended);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(incr->items[0].outcome, ITEM_PENDING);
    publish_other(&stage);
    run(&stage);
    expect_done(incr, 0, "{\"result\":2");
    stage_close(&stage);
    peer_end(peer);
    peer_end(other);
}

static void promote(struct stage *stage)
{
    publish(stage, peer_address(other), 1, FENCE_PROMOTING);
}

Test(pool, a_write_answered_during_the_promotion_is_unknown)
{
    /* MULTI's answer comes only after the GET was sent, which the test does once the fence is up */
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_EXPECT, GET}, {PEER_SEND, ":1\r\n$1\r\n1\r\n"}, END};
    struct stage stage = {0};

    other = peer_start("127.0.0.1", steps);
    stage_open(&stage, "+@all");
    publish(&stage, peer_address(other), 1, FENCE_DOWN);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run_until(&stage, one_in_flight);
    promote(&stage);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    expect_done(get, 0, "{\"result\":\"1\"");
    stage_close(&stage);
    peer_end(other);
}

enum { DOUBT_MS = 50 };

static bool none_in_flight(struct stage *stage)
{
    return metric_look(&stage->counts->inflight) == 0;
}

/* A write was sent, the fence came up, and the answer was there just now. @return when it may have come, at the earliest. */
static int64_t answer_behind_the_fence(struct stage *stage, bool retry)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    int64_t began_ms;

    other = peer_start("127.0.0.1", steps);
    stage_open(stage, "+@all");
    publish(stage, peer_address(other), 1, FENCE_DOWN);
    submit_as(stage, "[\"INCR\",\"k\"]", false, false, retry);
    run_until(stage, one_in_flight);
    half_ms = clock_boot_ms() + 5;
    run_until(stage, half_is_over); /* it is written */
    publish(stage, peer_address(other), 1, FENCE_UP);
    began_ms = clock_boot_ms();
    peer_release(other);
    run_until(stage, none_in_flight);
    return began_ms;
}

Test(pool, a_write_answered_just_before_the_promotion_is_unknown)
{
    struct stage stage = {0};
    int64_t began_ms = answer_behind_the_fence(&stage, false);

    promote(&stage);
    run(&stage);
    if (clock_boot_ms() - began_ms < DOUBT_MS) /* else this machine was too slow to tell */
        expect_words(stage.jobs[0], 0, ITEM_UNKNOWN, "UNKNOWN ");
    stage_close(&stage);
    peer_end(other);
}

Test(pool, a_write_answered_long_before_the_promotion_is_done)
{
    struct stage stage = {0};
    int64_t began_ms = answer_behind_the_fence(&stage, false);

    run(&stage); /* the fence stays up */
    cr_expect_geq(clock_boot_ms() - began_ms, DOUBT_MS);
    expect_done(stage.jobs[0], 0, "{\"result\":1");
    promote(&stage);
    stage_close(&stage);
    peer_end(other);
}

Test(pool, a_write_answered_before_the_failover_was_aborted_is_done)
{
    struct stage stage = {0};

    answer_behind_the_fence(&stage, false);
    publish(&stage, peer_address(other), 1, FENCE_DOWN);
    run(&stage);
    expect_done(stage.jobs[0], 0, "{\"result\":1");
    stage_close(&stage);
    peer_end(other);
}

Test(pool, a_write_answered_just_before_the_switch_runs_again_where_it_may)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, {PEER_SEND, ":7\r\n"}, END};
    struct peer *new = peer_start("127.0.0.1", steps);
    struct stage stage = {0};
    int64_t began_ms = answer_behind_the_fence(&stage, true);

    publish(&stage, peer_address(new), 2, FENCE_DOWN);
    if (clock_boot_ms() - began_ms >= DOUBT_MS)
        cr_skip_test("this machine is too slow to tell");
    run(&stage);
    expect_done(stage.jobs[0], 0, "{\"result\":7");
    stage_close(&stage);
    peer_end(other);
    peer_end(new);
}

Test(pool, a_write_in_doubt_ends_with_the_pool)
{
    struct stage stage = {0};
    int64_t began_ms = answer_behind_the_fence(&stage, true);

    pool_drain(stage.pool);
    pool_abandon(stage.pool);
    cr_expect_eq(stage.n_ended, 1);
    if (clock_boot_ms() - began_ms < DOUBT_MS)
        expect_words(stage.jobs[0], 0, ITEM_UNKNOWN, "UNKNOWN ");
    stage_close(&stage);
    peer_end(other);
}

/* ---- the end ---- */

Test(pool, draining_refuses_what_waits_and_lets_the_rest_end)
{
    static const struct peer_step steps[] = {
        GREET, {PEER_EXPECT, INCR}, {PEER_HOLD, NULL}, {PEER_SEND, ":1\r\n"}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run_until(&stage, one_in_flight);
    publish(&stage, NULL, 1, FENCE_DOWN);
    struct pool_job *waits = submit(&stage, "[\"INCR\",\"k\"]");
    pool_drain(stage.pool);
    expect_words(waits, 0, ITEM_NOT_SENT, "NOTSENT ");
    struct pool_job *late = submit(&stage, "[\"INCR\",\"k\"]");
    expect_words(late, 0, ITEM_NOT_SENT, "NOTSENT ");
    peer_release(peer);
    run(&stage);
    expect_done(incr, 0, "{\"result\":1");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, abandoned_commands_are_unknown)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, INCR}, END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *incr = submit(&stage, "[\"INCR\",\"k\"]");
    run_until(&stage, one_in_flight);
    pool_abandon(stage.pool);
    expect_words(incr, 0, ITEM_UNKNOWN, "UNKNOWN ");
    stage_close(&stage);
    peer_end(peer);
}

/* ---- others that refuse ---- */

Test(pool, a_node_that_is_no_master_is_not_used)
{
    static const struct peer_step steps[] = {{PEER_ACCEPT, NULL},
                                             {PEER_EXPECT, HELLO},
                                             {PEER_SEND, HELLO_REPLY(5, "slave")},
                                             {PEER_WAIT, NULL},
                                             GREET,
                                             {PEER_EXPECT, GET},
                                             {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_eq(stage.suspicions[SUSPICION_ROLE], 1);
    stage_close(&stage);
    peer_end(peer);
}

/* Else commands that wait would have it dialled as fast as it can hang up. */
Test(pool, a_node_that_hangs_up_before_it_told_its_commands_is_given_time)
{
    static const struct peer_step steps[] = {OPEN,  {PEER_EXPECT, COMMAND}, {PEER_CLOSE, NULL},
                                             GREET, {PEER_EXPECT, GET},     {PEER_SEND, "$1\r\n1\r\n"},
                                             END};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};
    int64_t began_ms = clock_boot_ms();

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_done(get, 0, "{\"result\":\"1\"");
    cr_expect_geq(clock_boot_ms() - began_ms, 25);
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, where_command_is_denied_every_command_is_a_write)
{
    static const struct peer_step steps[] = {OPEN,
                                             {PEER_EXPECT, COMMAND},
                                             {PEER_SEND, "-NOPERM no command\r\n"},
                                             {PEER_EXPECT, GET},
                                             {PEER_CLOSE, NULL},
                                             {PEER_END, NULL}};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+get");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]"), *set = submit(&stage, "[\"SET\",\"k\",\"v\"]");
    run(&stage);
    expect_words(get, 0, ITEM_UNKNOWN, "UNKNOWN ");
    expect_words(set, 0, ITEM_DENIED, "NOPERM ");
    stage_close(&stage);
    peer_end(peer);
}

Test(pool, a_reply_over_the_bound)
{
    static const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET}, {PEER_FLOOD, NULL}, {PEER_END, NULL}};
    struct peer *peer = peer_start("127.0.0.1", steps);
    struct stage stage = {0};

    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *get = submit(&stage, "[\"GET\",\"k\"]");
    run(&stage);
    expect_words(get, 0, ITEM_TOO_BIG, "TOOBIG ");
    cr_expect_eq(stage.suspicions[SUSPICION_LOST], 0);
    stage_close(&stage);
    peer_end(peer);
}

/* Each reply is within the bound; together they are not. */
Test(pool, replies_of_a_pipeline_over_the_bound_together)
{
    enum { REPLY = 400 * 1000, REPLIES = 4 };
    char *replies = mem_new(REPLIES * (REPLY + 20) + 1, 1), *at = replies;
    const struct peer_step steps[] = {GREET, {PEER_EXPECT, GET GET GET GET}, {PEER_SEND, replies}, END};
    struct stage stage = {0};
    struct peer *peer;

    for (int i = 0; i < REPLIES; i++) {
        at += sprintf(at, "$%d\r\n", REPLY);
        memset(at, 'x', REPLY);
        at += REPLY;
        at += sprintf(at, "\r\n");
    }
    peer = peer_start("127.0.0.1", steps);
    stage_open(&stage, "+@all");
    publish_peer(&stage, peer);
    struct pool_job *job = submit_as(
        &stage, "[[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"],[\"GET\",\"k\"]]", true, false, false);
    run(&stage);
    cr_expect_eq(job->items[0].outcome, ITEM_DONE);
    cr_expect_eq(job->items[1].outcome, ITEM_DONE);
    expect_words(job, 2, ITEM_TOO_BIG, "TOOBIG ");
    expect_words(job, 3, ITEM_TOO_BIG, "TOOBIG ");
    stage_close(&stage);
    peer_end(peer);
    free(replies);
}
