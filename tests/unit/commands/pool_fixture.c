/* See pool_fixture.h. Every wait is bounded by a guard. */
#include "pool_fixture.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"

static void on_guard(void *data)
{
    struct pool_stage *stage = data;

    stage->guard_fired = true;
    loop_stop(stage->loop);
}

static void on_turns_end(void *data)
{
    struct pool_stage *stage = data;

    stage->when = NULL;
    loop_stop(stage->loop);
}

/*
 * The loop stops at the end of the turn, when what the turn sends is written: libuv since 1.45 runs
 * timers last, so a stop in one comes before that.
 */
static void on_poll(void *data)
{
    struct pool_stage *stage = data;

    if (stage->when && stage->when(stage)) {
        if (stage->then) {
            stage->when = NULL;
            stage->then(stage);
        } else {
            loop_later_queue(stage->loop, &stage->turns_end);
        }
    }
    loop_timer_start(stage->poll, 2);
}

static bool is_stalled(void *data)
{
    return ((struct pool_stage *)data)->stalled;
}

static void on_suspect(void *data, enum suspicion what, const char *master,
                       const struct address *address)
{
    struct pool_stage *stage = data;

    cr_expect_str_eq(master, "mymaster");
    cr_expect(address_is_set(address));
    stage->suspicions[what]++;
}

static void on_ask_heard(void *data)
{
    ((struct pool_stage *)data)->heard_asked++;
}

static void request_ended(struct pool_request *request)
{
    struct pool_stage *stage = request->data;

    for (size_t i = 0; i < request->n_commands; i++) {
        cr_expect_neq(request->commands[i].outcome, OUTCOME_PENDING);
    }
    if (++stage->n_ended == stage->n_requests) {
        loop_stop(stage->loop);
    }
}

void pool_stage_open(struct pool_stage *stage)
{
    char error[256];
    const struct pool_hooks hooks = {.stalled = is_stalled,
                                     .suspect = on_suspect,
                                     .ask_heard = on_ask_heard,
                                     .data = stage,
                                     .subscribers = stage->subscribers};

    signal(SIGPIPE, SIG_IGN);
    stage->loop = loop_new();
    stage->guard = loop_timer_new(stage->loop, on_guard, stage);
    stage->poll = loop_timer_new(stage->loop, on_poll, stage);
    stage->turns_end = (struct loop_later){.run = on_turns_end, .data = stage};
    stage->policy = policy_parse(stage->rules ? stage->rules : "+@all", error, sizeof(error));
    cr_assert_not_null(stage->policy, "%s", error);
    stage->secret = secret_new(NULL, NULL, error, sizeof(error));
    stage->login = (struct redis_login){.password = stage->secret};
    if (stage->config.command_timeout_ms == 0) {
        stage->config.command_timeout_ms = 8000;
    }
    if (stage->config.max_pending == 0) {
        stage->config.max_pending = 100;
    }
    if (stage->config.size == 0) {
        stage->config.size = 1;
    }
    if (stage->config.connect_timeout_ms == 0) {
        stage->config.connect_timeout_ms = 4000; /* longer than this process stands still */
    }
    stage->config.max_reply_bytes = 1 << 20;
    stage->config.replica_max_lag_bytes = -1;
    stage->config.policy = stage->policy;
    stage->config.logins = &stage->login;
    stage->config.n_logins = 1;
    stage->metrics = metrics_new(1);
    stage->counts = metrics_redis(stage->metrics, 0);
    stage->pool = pool_new(stage->loop, &stage->config, &stage->waiting, stage->counts, &hooks);
    loop_timer_start(stage->guard, 30000);
    loop_timer_start(stage->poll, 2);
}

/* The master, as the watcher would pool_stage_publish it. @param address NULL: there is none. */
void pool_stage_publish(struct pool_stage *stage, const struct address *address, uint64_t switches,
                        enum fence fence)
{
    struct snapshot *snapshot = snapshot_new(1);
    struct snapshot_master *master = snapshot_master_new("mymaster");

    master->state = address ? MASTER_OK : MASTER_DOWN;
    master->reason = stage->reason;
    master->detail = mem_strdup("the node refuses");
    master->has_address = address != NULL;
    if (address) {
        master->address = *address;
    }
    master->switches = switches;
    master->fence = fence;
    master->promoting_ms = stage->promoting_ms;
    snapshot->pulse = &stage->pulse;
    snapshot->fences = stage->pulse.fences;
    snapshot->masters[0] = master;
    pool_take(stage->pool, snapshot);
    snapshot_unref(stage->snapshot);
    stage->snapshot = snapshot;
}

void pool_stage_publish_peer(struct pool_stage *stage, const struct fake_peer *peer)
{
    pool_stage_publish(stage, fake_peer_address(peer), 1, FENCE_DOWN);
}

bool pool_stage_hand_in(struct pool_stage *stage, struct pool_request *request, enum submission how,
                        const char *json)
{
    char error[BATCH_ERROR_SIZE];
    bool ended;

    cr_assert_eq(batch_read(json, strlen(json), how < AS_PIPELINE ? BATCH_ONE : BATCH_MANY,
                            &request->batch, error),
                 0, "%s", error);
    request->transaction = how == AS_TRANSACTION;
    request->retry_always = how == AS_RETRIED;
    snprintf(request->master, sizeof(request->master), "mymaster");
    request->done = request_ended;
    request->data = stage;
    stage->requests[stage->n_requests++] = request;
    ended = pool_run(stage->pool, request);
    stage->n_ended += ended;
    return ended;
}

struct pool_request *pool_stage_submit_as(struct pool_stage *stage, enum submission how,
                                          const char *json)
{
    struct pool_request *request = mem_new(1, sizeof(*request));

    (void)pool_stage_hand_in(stage, request, how, json);
    return request;
}

struct pool_request *pool_stage_submit(struct pool_stage *stage, const char *json)
{
    return pool_stage_submit_as(stage, AS_ONE, json);
}

/* Run until this holds. */
void pool_stage_run_until(struct pool_stage *stage, bool (*when)(struct pool_stage *stage))
{
    stage->when = when;
    stage->then = NULL;
    while (stage->when && !stage->guard_fired) { /* the end of all requests stops the loop, too */
        loop_run(stage->loop);
    }
    cr_assert_not(stage->guard_fired, "what was waited for did not come");
}

static bool is_over(struct pool_stage *stage)
{
    return clock_boot_ms() >= stage->until_ms;
}

void pool_stage_run_for(struct pool_stage *stage, int64_t ms)
{
    stage->until_ms = clock_boot_ms() + ms;
    pool_stage_run_until(stage, is_over);
}

void pool_stage_run(struct pool_stage *stage)
{
    while (stage->n_ended < stage->n_requests && !stage->guard_fired) {
        loop_run(stage->loop);
    }
    cr_expect_not(stage->guard_fired, "not all jobs ended");
    cr_expect_eq(stage->n_ended, stage->n_requests);
}

void pool_stage_close(struct pool_stage *stage)
{
    size_t ended = stage->n_ended;

    pool_free(stage->pool);
    cr_expect_eq(stage->n_ended, ended, "a job ended twice, or late");
    cr_expect_eq(metric_look(&stage->counts->inflight), 0);
    cr_expect_eq(metric_look(&stage->counts->waiting), 0);
    cr_expect_eq(stage->waiting, 0);
    for (int i = 0; i < METRIC_POOL_STATE_COUNT; i++) {
        cr_expect_eq(metric_look(&stage->counts->connections[i]), 0, "connections %d", i);
    }
    for (size_t i = 0; i < stage->n_requests; i++) {
        pool_request_release(stage->requests[i]);
        free(stage->requests[i]);
    }
    snapshot_unref(stage->snapshot);
    metrics_free(stage->metrics);
    policy_free(stage->policy);
    secret_free(stage->secret);
    loop_timer_free(stage->guard);
    loop_timer_free(stage->poll);
    loop_free(stage->loop);
    cr_expect_eq(budget_used(), 0, "%zu bytes are still counted", budget_used());
}

void fake_peer_end(struct fake_peer *peer)
{
    const char *trouble = fake_peer_join(peer);

    cr_expect_null(trouble, "peer: %s", trouble ? trouble : "");
    fake_peer_free(peer);
}

void expect_done(const struct pool_request *request, size_t i, const char *json)
{
    const struct pool_command *item = &request->commands[i];

    cr_assert_eq(item->outcome, OUTCOME_DONE, "outcome %d: %s", item->outcome, item->words);
    cr_expect_eq(item->json.size, strlen(json));
    cr_expect_arr_eq(item->json.bytes, json, strlen(json), "%.*s", (int)item->json.size,
                     item->json.bytes);
}

void expect_words(const struct pool_request *request, size_t i, enum command_outcome outcome,
                  const char *words)
{
    cr_expect_eq(request->commands[i].outcome, outcome, "outcome %d: %s",
                 request->commands[i].outcome, request->commands[i].words);
    cr_expect_eq(strncmp(request->commands[i].words, words, strlen(words)), 0, "%s",
                 request->commands[i].words);
}

bool pool_stage_one_done(struct pool_stage *stage)
{
    return metric_read(&stage->counts->commands[METRIC_COMMAND_OUTCOME_DONE]) == 1;
}

bool pool_stage_one_in_flight(struct pool_stage *stage)
{
    return metric_look(&stage->counts->inflight) == 1;
}

struct fake_peer *pool_stage_open_with(struct pool_stage *stage, const struct peer_step *steps)
{
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);

    pool_stage_open(stage);
    pool_stage_publish_peer(stage, peer);
    return peer;
}

void pool_stage_close_with(struct pool_stage *stage, struct fake_peer *peer)
{
    pool_stage_close(stage);
    fake_peer_end(peer);
}
