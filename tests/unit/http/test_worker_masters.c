/* A real worker: which master is meant, what is answered in each of its states, its replicas. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "worker_fixture.h"

TestSuite(http_worker_empty, .init = start_worker, .fini = close_harness, .timeout = 30);

/* ---- which master ---- */

Test(http_worker, unknown_name)
{
    struct snapshot *snapshot = make_snapshot(make_master("mymaster"), NULL, NULL);
    struct reply reply;

    snapshot->n_sentinels_know = 2;
    snapshot->sentinels_know = mem_new(2, sizeof(char *));
    snapshot->sentinels_know[0] = mem_strdup("mymaster");
    snapshot->sentinels_know[1] = mem_strdup("yours\xff");
    harness_post(&harness, snapshot);
    reply = get(&harness, "/masters/%C3%BCnknown%FF");
    expect_problem(&reply, 404, "unknown-master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[\"mymaster\",\"yours\xef\xbf\xbd\"]");
    cr_expect_str_eq(member(&reply, "name"), "\xc3\xbcnknown\xef\xbf\xbd");
    reply_release(&reply);
    reply = get(&harness, "/masters/x/replicas?format=text");
    cr_expect_eq(reply.status, 404);
    cr_expect_eq(strchr(reply.body, '\n') - reply.body, (ptrdiff_t)reply.size - 1, "one line: %s",
                 reply.body);
    reply_release(&reply);
}

Test(http_worker, several_and_none_chosen)
{
    struct reply reply;

    harness_post(&harness, make_several(make_master("a"), make_master("b")));
    for (size_t i = 0; i < 4; i++) {
        static const char *const targets[] = {"/master", "/replicas", "/replica", "/sentinels"};

        reply = get(&harness, targets[i]);
        expect_problem(&reply, 409, "several-masters");
        cr_expect_str_eq(member(&reply, "names"), "[\"a\",\"b\"]");
        reply_release(&reply);
    }
    expect_status("GET", "/masters/b", NULL, 200);
    reply = get(&harness, "/masters");
    cr_expect_str_eq(member(&reply, "default"), "null");
    reply_release(&reply);
}

Test(http_worker, list_of_masters)
{
    struct snapshot *snapshot =
        make_snapshot(make_master("a"), make_master_in("b", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                      make_master_in("c", MASTER_UNKNOWN, REASON_UNKNOWN_NAME));
    struct reply reply;

    harness_post(&harness, snapshot);
    reply = get(&harness, "/masters");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "default"), "a");
    cr_expect(
        strstr(reply.body, "{\"name\":\"b\",\"state\":\"down\",\"reason\":\"redis_unreachable\""),
        "%s", reply.body);
    cr_expect(
        strstr(reply.body,
               "{\"name\":\"c\",\"state\":\"unknown\",\"reason\":\"unknown_name\",\"host\":null"));
    reply_release(&reply);
    expect_body("/masters?format=text", NULL, "a 10.0.0.12:6379\nb -\nc -\n");
    expect_body("/masters?format=url", NULL, "a redis://10.0.0.12:6379\nb -\nc -\n");
}

Test(http_worker_empty, before_the_first_snapshot)
{
    static const char *const targets[] = {"/master",         "/masters",       "/masters/x",
                                          "/replicas",       "/replica",       "/sentinels",
                                          "/master?stale=1", "/master?fresh=1"};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        expect_refusal(targets[i], "unknown", "starting");
    }
    expect_status("GET", "/readyz", NULL, 503);
    expect_status("GET", "/livez", NULL, 200);
    harness_post(&harness, make_snapshot(NULL, NULL, NULL));
    expect_refusal("/master", "unknown", "unknown_name");
    expect_body("/masters", NULL, "{\"default\":null,\"masters\":[]}\n");
}

/* ---- states ---- */

Test(http_worker, states)
{
    static const struct {
        enum master_state state;
        enum reason reason;
        int status;
    } rows[] = {
        {MASTER_OK, REASON_DISPUTED, 200},
        {MASTER_UNVERIFIED, REASON_REDIS_DENIED, 200},
        {MASTER_FAILING_OVER, REASON_FAILING_OVER, 503},
        {MASTER_CONFLICT, REASON_CONFLICT, 503},
        {MASTER_DOWN, REASON_REDIS_UNREACHABLE, 503},
        {MASTER_UNKNOWN, REASON_SENTINEL_AUTH, 503},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct snapshot_master *master = make_master_in("m", rows[i].state, rows[i].reason);
        struct reply reply;

        master->index = master->revision = 100 + i;
        harness_post(&harness, make_snapshot(master, NULL, NULL));
        reply = get(&harness, "/master");
        cr_expect_eq(reply.status, rows[i].status, "%s", master_state_text(rows[i].state));
        cr_expect_str_eq(member(&reply, "state"), master_state_text(rows[i].state));
        cr_expect_str_eq(member(&reply, "reason"), reason_text(rows[i].reason));
        reply_release(&reply);
        expect_status("GET", "/masters/m", NULL, rows[i].status);
        expect_status("GET", "/sentinels", NULL, 200);
        expect_status("GET", "/replicas", NULL, rows[i].state == MASTER_UNKNOWN ? 503 : 200);
        expect_status("GET", "/master?stale=1", NULL, rows[i].state == MASTER_UNKNOWN ? 503 : 200);
    }
}

Test(http_worker, the_problem_of_a_lost_master)
{
    struct snapshot_master *master = make_master_in("m", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    struct reply reply;

    master->index = 9;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/master");
    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "name"), "m");
    cr_expect_str_eq(member(&reply, "index"), "9");
    cr_expect_str_eq(member(&reply, "detail"), "10.0.0.12:6379 refused twice");
    cr_expect(strstr(member(&reply, "last_known"), "\"address\":\"10.0.0.12:6379\""));
    cr_expect(strstr(member(&reply, "last_known"), "\"stale\":true"));
    cr_expect_str_eq(header_of(&reply, "x-bellwether-index"), "9");
    reply_release(&reply);
    reply = get(&harness, "/master?format=text");
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply.body, "no master: 10.0.0.12:6379 refused twice\n");
    cr_expect_str_eq(header_of(&reply, "retry-after"), "1");
    reply_release(&reply);
    reply = get(&harness, "/master?stale=1");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "stale"), "true");
    cr_expect_str_eq(member(&reply, "state"), "down");
    reply_release(&reply);
    expect_body("/master?stale=1&format=text", NULL, "10.0.0.12:6379\n");
}

Test(http_worker, a_name_that_sentinels_do_not_know)
{
    struct snapshot *snapshot =
        make_snapshot(make_master_in("m", MASTER_UNKNOWN, REASON_UNKNOWN_NAME), NULL, NULL);
    struct reply reply;

    snapshot->n_sentinels_know = 1;
    snapshot->sentinels_know = mem_new(1, sizeof(char *));
    snapshot->sentinels_know[0] = mem_strdup("other");
    harness_post(&harness, snapshot);
    reply = get(&harness, "/master");
    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[\"other\"]");
    cr_expect_str_eq(member(&reply, "last_known"), "null");
    reply_release(&reply);
    /* what they know may change while the master's own part does not */
    snapshot = make_snapshot(make_master_in("m", MASTER_UNKNOWN, REASON_UNKNOWN_NAME), NULL, NULL);
    harness_post(&harness, snapshot);
    reply = get(&harness, "/master");
    cr_expect_str_eq(member(&reply, "sentinels_know"), "[]");
    reply_release(&reply);
}

Test(http_worker, require_majority)
{
    struct snapshot_master *master = make_master("m");

    expect_status("GET", "/master?require=majority", NULL, 200);
    master->majority = false;
    master->agreeing = 1;
    master->index = 8;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    expect_status("GET", "/master", NULL, 200);
    expect_refusal("/master?require=majority", "ok", "no_majority");
    expect_refusal("/master?require=majority&stale=1", "ok", "no_majority");
}

/* ---- a silent watcher ---- */

Test(http_worker, a_silent_watcher_serves_no_old_truth)
{
    static const char *const targets[] = {
        "/master",  "/masters",   "/masters/mymaster",        "/replicas",
        "/replica", "/sentinels", "/replica?fallback=master", "/master?format=json"};
    struct reply reply;

    expect_status("GET", "/master", NULL, 200);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        expect_refusal(targets[i], "ok", "watcher_stalled");
    }
    reply = get(&harness, "/master");
    cr_expect(strstr(member(&reply, "last_known"), "10.0.0.12:6379"));
    reply_release(&reply);
    reply = get(&harness, "/master?stale=1");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "stale"), "true");
    cr_expect_str_eq(member(&reply, "verified"), "false");
    cr_expect_str_eq(member(&reply, "reason"), "watcher_stalled");
    reply_release(&reply);
    expect_status("GET", "/readyz/master", NULL, 503);
    expect_status("GET", "/readyz", NULL, 200);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() + 60000);
    expect_status("GET", "/master", NULL, 200);
}

/* ---- replicas ---- */

Test(http_worker, replicas_in_turn)
{
    char seen[6][32];

    for (size_t i = 0; i < 6; i++) {
        struct reply reply =
            get(&harness, i % 2 ? "/replica?format=text" : "/masters/mymaster/replica?format=text");

        cr_expect_eq(reply.status, 200);
        snprintf(seen[i], sizeof(seen[i]), "%s", reply.body);
        reply_release(&reply);
    }
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(seen[i], seen[i + 3]);
        cr_expect_str_neq(seen[i], seen[(i + 1) % 3]);
    }
}

Test(http_worker, the_turn_goes_on_over_snapshots)
{
    expect_body("/replica?format=text", NULL, "10.0.1.1:6379\n");
    for (uint64_t i = 0; i < 2; i++) {
        struct snapshot_master *master = make_master("mymaster");

        add_replicas(master, 3);
        master->revision = 2 + i;
        harness_post(&harness, make_snapshot(master, NULL, NULL));
        expect_body("/replica?format=text", NULL, i ? "10.0.1.3:6379\n" : "10.0.1.2:6379\n");
    }
}

Test(http_worker, replica_by_lag)
{
    struct snapshot_master *master = make_master("mymaster");

    add_replicas(master, 3); /* lag 100, 200, 300 */
    master->replicas[0].healthy = false;
    master->replicas[1].lag_bytes = -1;
    master->revision = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    for (size_t i = 0; i < 3; i++) {
        expect_body("/replica?format=text&max_lag=300", NULL, "10.0.1.3:6379\n");
    }
    expect_status("GET", "/replica?max_lag=299", NULL, 503);
    expect_status("GET", "/replica", NULL, 200);
    expect_body("/replicas?format=text", NULL, "10.0.1.2:6379\n10.0.1.3:6379\n");
}

/* A lag that is older than two seconds is none; the request waits for a fresh one. */
Test(http_worker, replica_by_a_lag_that_is_too_old)
{
    struct snapshot_master *old = make_master("mymaster"), *fresh = make_master("mymaster");
    const int64_t began_ms = clock_boot_ms();

    add_replicas(old, 2);
    add_replicas(fresh, 2);
    for (size_t i = 0; i < 2; i++) {
        old->replicas[i].lag_at_ms = clock_boot_ms() - LAG_FRESH_MS - 1;
        fresh->replicas[i].lag_bytes = (int64_t)(2 - i) * 100; /* the other way round */
    }
    old->revision = 2;
    fresh->revision = 3;
    harness_post(&harness, make_snapshot(old, NULL, NULL));
    expect_status("GET", "/replica", NULL, 200);
    cr_expect_eq(atomic_load(&harness.lag_asked), 0);
    /* what the watcher then has is as old */
    expect_status("GET", "/replica?max_lag=100", NULL, 503);
    cr_expect_eq(atomic_load(&harness.lag_asked), 1);
    harness.before_answer = make_snapshot(fresh, NULL, NULL);
    expect_body("/replica?format=text&max_lag=100", NULL, "10.0.1.2:6379\n");
    cr_expect_eq(atomic_load(&harness.lag_asked), 2);
    expect_body("/replica?format=text&max_lag=100", NULL, "10.0.1.2:6379\n");
    expect_status("GET", "/replica?max_lag=99", NULL, 503);
    cr_expect_eq(atomic_load(&harness.lag_asked), 2, "it is fresh now");
    for (int i = 0; i < 20; i++) {
        expect_status("GET", "/replicas", NULL, 200);
    }
    cr_expect_leq((int64_t)atomic_load(&harness.lag_read), 2 + (clock_boot_ms() - began_ms) / 1000,
                  "told once a second");
}

Test(http_worker, replica_shape_and_fallback)
{
    struct snapshot_master *master = make_master("mymaster");
    struct reply reply = get(&harness, "/replica");

    cr_expect_str_eq(member(&reply, "role"), "replica");
    cr_expect_str_eq(member(&reply, "name"), "mymaster");
    cr_expect_str_eq(member(&reply, "healthy"), "true");
    reply_release(&reply);
    master->revision = 2;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/replica");
    expect_problem(&reply, 503, "no-replica");
    reply_release(&reply);
    reply = get(&harness, "/replica?fallback=master");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(member(&reply, "role"), "master");
    cr_expect_str_eq(member(&reply, "address"), "10.0.0.12:6379");
    reply_release(&reply);
    expect_body("/replica?fallback=master&format=url", NULL, "redis://10.0.0.12:6379\n");
    master = make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    master->revision = 3;
    harness_post(&harness, make_snapshot(master, NULL, NULL));
    reply = get(&harness, "/replica?fallback=master");
    expect_problem(&reply, 503, "no-replica");
    reply_release(&reply);
}
