/* What /self and the routes below it say: the verdict, and the answers. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "http/routes/self.h"
#include "suite_harness.h"

static struct snapshot_self master_self(void)
{
    struct snapshot_self self = {.matched_by = SELF_BY_TEXT,
                                 .role = SELF_MASTER,
                                 .name = "mymaster",
                                 .majority = true,
                                 .ready = true,
                                 .lag_bytes = -1,
                                 .lag_at_ms = clock_boot_ms()};

    self.address = make_address("10.0.0.12:6379");
    return self;
}

static struct snapshot_self replica_self(void)
{
    struct snapshot_self self = master_self();

    self.role = SELF_REPLICA;
    self.lag_bytes = 1000;
    self.lag_at_ms = clock_boot_ms();
    return self;
}

static struct snapshot_self unknown_self(const char *reason)
{
    struct snapshot_self self = master_self();

    self.role = SELF_UNKNOWN;
    self.majority = self.ready = false;
    snprintf(self.reason, sizeof(self.reason), "%s", reason);
    return self;
}

#define NO(reason, ...) \
    do { \
        const char *why_ = self_why_not(__VA_ARGS__); \
        cr_expect_not_null(why_); \
        cr_expect_str_eq(why_ ? why_ : "yes", reason); \
    } while (0)
#define YES(...) cr_expect_null(self_why_not(__VA_ARGS__))

Test(http_self, verdict_of_a_master)
{
    struct snapshot_self self = master_self();

    YES(&self, SELF_ASK_MASTER, true, SELF_ANY_LAG);
    YES(&self, SELF_ASK_READY, true, 0); /* it lags nothing */
    NO("is_master", &self, SELF_ASK_REPLICA, true, SELF_ANY_LAG);
    self.majority = false;
    NO("no_majority", &self, SELF_ASK_MASTER, true, SELF_ANY_LAG);
    NO("no_majority", &self, SELF_ASK_READY, true, SELF_ANY_LAG);
    YES(&self, SELF_ASK_MASTER, false, SELF_ANY_LAG);
}

Test(http_self, verdict_of_a_replica)
{
    struct snapshot_self self = replica_self();

    YES(&self, SELF_ASK_REPLICA, true, SELF_ANY_LAG);
    YES(&self, SELF_ASK_REPLICA, true, 1000);
    NO("lag", &self, SELF_ASK_REPLICA, true, 999);
    NO("lag", &self, SELF_ASK_READY, false, 0);
    NO("is_replica", &self, SELF_ASK_MASTER, false, SELF_ANY_LAG);
    self.lag_bytes = -1;
    NO("lag_unknown", &self, SELF_ASK_REPLICA, true, INT64_MAX);
    self.ready = false;
    snprintf(self.reason, sizeof(self.reason), "link_down");
    NO("link_down", &self, SELF_ASK_READY, true, SELF_ANY_LAG);
    YES(&self, SELF_ASK_REPLICA, true, SELF_ANY_LAG);
}

Test(http_self, verdict_of_a_stranger)
{
    struct snapshot_self self = unknown_self("redis_loading");

    for (int question = SELF_ASK_MASTER; question <= SELF_ASK_READY; question++) {
        NO("redis_loading", &self, (enum self_question)question, false, SELF_ANY_LAG);
    }
}

/* ---- answers ---- */

static struct address named;

static void start(void)
{
    harness_init(&harness);
    named = make_address("10.0.0.12:6379");
    harness.config.selves = &named;
    harness.config.n_selves = 1;
    harness_start(&harness);
}

TestSuite(http_self_answers, .init = start, .fini = close_harness, .timeout = 30);

static void post_selves(const struct snapshot_self *selves, size_t n)
{
    struct snapshot *snapshot = make_snapshot(make_master("mymaster"), NULL, NULL);

    snapshot->selves = mem_new(n, sizeof(*selves));
    memcpy(snapshot->selves, selves, n * sizeof(*selves));
    snapshot->n_selves = n;
    harness_post(&harness, snapshot);
}

static void expect_status(const char *method, const char *target, int status)
{
    struct reply reply = ask(&harness, method, target, NULL);

    cr_expect_eq(reply.status, status, "%s %s: %d %s", method, target, reply.status, reply.body);
    reply_release(&reply);
    reply = ask_probe(&harness, method, target);
    cr_expect_eq(reply.status, status, "%s %s on the probe listener: %d", method, target,
                 reply.status);
    reply_release(&reply);
}

Test(http_self_answers, methods_alike)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    struct snapshot_self self = master_self();

    post_selves(&self, 1);
    for (size_t i = 0; i < 3; i++) {
        expect_status(methods[i], "/self/master", 200);
        expect_status(methods[i], "/self/replica", 503);
        expect_status(methods[i], "/self/ready", 200);
    }
    expect_status("POST", "/self/master", 405);
    expect_status("OPTIONS", "/self", 204);
}

Test(http_self_answers, before_the_first_snapshot)
{
    struct reply reply = get(&harness, "/self/master");

    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "\"reason\":\"starting\""), "%s", reply.body);
    cr_expect(strstr(reply.body, "\"address\":\"10.0.0.12:6379\""), "%s", reply.body);
    reply_release(&reply);
}

Test(http_self_answers, a_silent_watcher)
{
    static const char *const targets[] = {"/self", "/self/master", "/self/ready"};
    struct snapshot_self self = master_self();

    post_selves(&self, 1);
    expect_status("GET", "/self/master", 200);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = get(&harness, targets[i]);

        cr_expect_eq(reply.status, 503, "%s", targets[i]);
        cr_expect(strstr(reply.body, "\"reason\":\"watcher_stalled\""), "%s", reply.body);
        reply_release(&reply);
    }
}

Test(http_self_answers, several_names)
{
    struct snapshot_self selves[] = {unknown_self("unknown_node"), replica_self()};
    struct reply reply;

    post_selves(selves, 2);
    expect_status("GET", "/self/replica?max_lag=1000", 200);
    expect_status("GET", "/self/replica?max_lag=1kb", 200);
    expect_status("GET", "/self/replica?max_lag=10", 503);
    expect_status("GET", "/self/master", 503);
    reply = get(&harness, "/self");
    cr_expect(strstr(reply.body, "\"role\":\"replica\""), "%s", reply.body);
    reply_release(&reply);
}

Test(http_self_answers, text)
{
    struct snapshot_self self = master_self();
    struct reply reply;

    post_selves(&self, 1);
    reply = get(&harness, "/self?format=text");
    cr_expect_str_eq(reply.body, "master\n");
    reply_release(&reply);
    reply = get(&harness, "/self/replica?format=text");
    cr_expect_eq(reply.status, 503);
    cr_expect(strstr(reply.body, "it is the master"), "%s", reply.body);
    reply_release(&reply);
}
