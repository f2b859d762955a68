/*
 * A master in a real watcher without Sentinels: its judge is told of a master, a scripted peer.
 *
 * What workers meet at the published node (MESSAGE_SUSPECT): it is asked for its role at once, at
 * most every 100 ms however many say so, the last one is not lost, and nothing is decided by it.
 * And how often the address changed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../redis/fake_peer.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "watcher/snapshot_builder.h"
#include "watcher/turn.h"
#include "watcher/watched_master.h"

#define ROLE_REPLY "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define HELLO_REPLY ROLE_REPLY "+PONG\r\n"
#define HELLO "HELLO\r\n"
/* clang-format off */
#define ROLE ANSWER("HELLO", HELLO_REPLY)
/* On the same connection, a moment later: without PING. */
#define AGAIN ANSWER("HELLO", ROLE_REPLY)
/* Asked as the candidate, published, asked for its run id and its offsets. */
#define FOUND {PEER_ACCEPT, NULL}, ROLE, ANSWER("replication", "$0\r\n\r\n$0\r\n\r\n")
/* clang-format on */

struct bench {
    struct fake_peer *peer;
    struct pulse pulse;
    struct watch_config config;
    struct watch_deployment deployment;
    char *names[1];
    struct watcher *watcher;
    struct master *master;
};

static void stop_loop(void *data)
{
    loop_stop(data);
}

/* As the watcher's own turns end. */
static void end_of_turn(void *data)
{
    struct bench *bench = data;

    if (turn_take(bench->watcher, TURN_STEP)) {
        master_step(bench->master);
    }
}

static void run_for(struct bench *bench, int64_t ms)
{
    struct loop_timer *timer =
        loop_timer_new(bench->watcher->loop, stop_loop, bench->watcher->loop);

    bench->watcher->seen_ms = clock_boot_ms();
    loop_timer_start(timer, ms);
    loop_run(bench->watcher->loop);
    loop_timer_free(timer);
}

/* The peer has a thread of its own, which may be late. */
#define RUN_UNTIL(bench, condition) \
    do { \
        for (int tries_ = 0; tries_ < 500 && !(condition); tries_++) { \
            run_for(bench, 20); \
        } \
        cr_assert(condition, "never: %s", #condition); \
    } while (0)

/* A Sentinel's answer. */
static void bench_observe(struct bench *bench, const struct address *master, int64_t epoch)
{
    struct observation seen = {.sentinel = "one",
                               .at_ms = clock_boot_ms(),
                               .interval_ms = 60000,
                               .link_up = true,
                               .master = endpoint_from_address(master),
                               .epoch = epoch,
                               .failover_timeout_ms = -1};

    judge_know(bench->master->judge, "one");
    judge_observe(bench->master->judge, &seen);
    master_step(bench->master);
}

static void bench_start(struct bench *bench, const struct peer_step *steps)
{
    static char name[] = "mymaster";
    char error[256];

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    memset(bench, 0, sizeof(*bench));
    bench->peer = fake_peer_start("127.0.0.1", steps);
    bench->names[0] = name;
    bench->deployment =
        (struct watch_deployment){.password = secret_new(NULL, NULL, error, sizeof(error)),
                                  .masters = bench->names,
                                  .n_masters = 1};
    bench->config =
        (struct watch_config){.deployments = &bench->deployment,
                              .n_deployments = 1,
                              .learn_sentinels = true,
                              .redis_password = secret_new(NULL, NULL, error, sizeof(error)),
                              .poll_interval_ms = 1000,
                              .sentinel_timeout_ms = 500,
                              .verify = true,
                              .verify_interval_ms = 60000,
                              .verify_timeout_ms = 10000,
                              .suspect_after_ms = 1500,
                              .history = 4};
    bench->watcher = watcher_new(&bench->config, &bench->pulse, NULL);
    bench->master = bench->watcher->masters[0];
    loop_on_turn(bench->watcher->loop, end_of_turn, bench);
    bench_observe(bench, fake_peer_address(bench->peer), 1);
    for (int i = 0; i < 200 && !bench->master->has_published; i++) {
        run_for(bench, 20);
        master_step(bench->master);
    }
    cr_assert(bench->master->has_published, "%s", bench->master->detail);
    run_for(bench, 50);
}

/* @return how often the peer was asked for its role in all. */
static unsigned bench_stop(struct bench *bench)
{
    unsigned n = 0;
    const char *wrong;

    watcher_free(bench->watcher);
    wrong = fake_peer_join(bench->peer);
    cr_expect_null(wrong, "%s", wrong);
    for (const char *at = fake_peer_seen(bench->peer); (at = strstr(at, HELLO)); at++) {
        n++;
    }
    fake_peer_free(bench->peer);
    secret_free(bench->deployment.password);
    secret_free(bench->config.redis_password);
    return n;
}

static void suspect(struct bench *bench, enum suspicion what, uint16_t port_offset)
{
    struct address address = *fake_peer_address(bench->peer);

    address.port = (uint16_t)(address.port + port_offset);
    mailbox_post(bench->watcher->inbox, message_suspect_new(what, "mymaster", &address));
}

TestSuite(watch_master, .timeout = 60);

Test(watch_master, a_suspicion_is_asked_about_at_once_and_once_more)
{
    static const struct peer_step steps[] = {FOUND, ROLE, ROLE, END};
    struct bench bench;
    int64_t first_us, second_us;

    bench_start(&bench, steps);
    first_us = bench.master->role_asked_us;
    for (int i = 0; i < 50; i++) {
        suspect(&bench, (enum suspicion)(i % 5), 0);
    }
    /* before the interval is over */
    RUN_UNTIL(&bench, bench.master->role_asked_us > first_us);
    second_us = bench.master->role_asked_us;
    cr_expect_eq(bench.master->state, MASTER_OK, "what workers say decides nothing");
    RUN_UNTIL(&bench, bench.master->role_asked_us > second_us);
    run_for(&bench, 200);
    cr_expect_eq(bench_stop(&bench), 3);
}

Test(watch_master, a_suspicion_of_a_node_that_is_not_the_answer)
{
    static const struct peer_step steps[] = {FOUND, END};
    struct bench bench;

    bench_start(&bench, steps);
    suspect(&bench, SUSPICION_LOST, 1);
    mailbox_post(bench.watcher->inbox,
                 message_suspect_new(SUSPICION_LOST, "other", fake_peer_address(bench.peer)));
    run_for(&bench, 200);
    cr_expect_eq(bench.master->suspicions.acted_ms, 0);
    cr_expect_eq(bench_stop(&bench), 1);
}

Test(watch_master, a_suspicion_while_a_question_is_under_way)
{
    /* The answer that is on its way may be from before the news: another one is asked. */
    static const struct peer_step steps[] = {
        FOUND, {PEER_EXPECT, "HELLO"}, {PEER_HOLD, NULL}, {PEER_SEND, ROLE_REPLY}, AGAIN, END};
    struct bench bench;

    bench_start(&bench, steps);
    verify_check_published(bench.master);
    run_for(&bench, 30);
    suspect(&bench, SUSPICION_READ_ONLY, 0);
    run_for(&bench, 20);
    cr_expect(bench.master->suspicions.wanted);
    fake_peer_release(bench.peer);
    RUN_UNTIL(&bench, !bench.master->suspicions.wanted);
    run_for(&bench, 200);
    cr_expect_eq(bench_stop(&bench), 3);
}

Test(watch_master, a_dead_master_is_noticed_by_whoever_sees_it_first)
{
    static const struct peer_step steps[] = {
        FOUND, {PEER_EXPECT, "HELLO"}, {PEER_RESET, NULL}, {PEER_END, NULL}};
    struct bench bench;

    bench_start(&bench, steps);
    suspect(&bench, SUSPICION_SILENT, 0);
    RUN_UNTIL(&bench, bench.master->role != ROLE_MASTER);
    cr_expect_eq(bench_stop(&bench), 2);
}

Test(watch_master, a_suspicion_from_before_a_gap)
{
    static const struct peer_step steps[] = {FOUND, {PEER_ACCEPT, NULL}, ROLE, END};
    struct bench bench;

    bench_start(&bench, steps);
    suspect(&bench, SUSPICION_LOST, 0);
    bench.watcher->seen_ms = clock_boot_ms() - 5000;
    struct loop_timer *timer = loop_timer_new(bench.watcher->loop, stop_loop, bench.watcher->loop);
    loop_timer_start(timer, 200);
    loop_run(bench.watcher->loop);
    loop_timer_free(timer);
    cr_expect_eq(bench.master->suspicions.acted_ms, 0, "all is asked anew as it is");
    cr_expect_eq(bench_stop(&bench), 2);
}

/* A pause of the daemon's is no news of the master; that it is confirmed is. */
Test(watch_master, a_gap_is_one_event)
{
    static const struct peer_step steps[] = {
        FOUND, {PEER_WAIT, NULL}, {PEER_ACCEPT, NULL}, ROLE, END};
    const struct snapshot_master *shown;
    struct bench bench;
    uint64_t index, list;

    bench_start(&bench, steps);
    turn_show_later(bench.master);
    publish_turn(bench.watcher);
    index = bench.master->shown->index;
    cr_assert_eq(bench.master->shown->state, MASTER_OK);

    list = bench.watcher->index;
    master_void(bench.master);
    master_step(bench.master);
    publish_turn(bench.watcher);
    shown = bench.master->shown;
    cr_expect_eq(shown->state, MASTER_OK);
    cr_expect_eq(shown->reason, REASON_WATCHER_STALLED);
    cr_expect_not(snapshot_master_serves(shown));
    cr_expect_not(shown->verified);
    cr_expect_eq(shown->index, index);
    cr_expect_gt(bench.watcher->index, list, "the list of all says otherwise than before");

    bench_observe(&bench, fake_peer_address(bench.peer), 1);
    for (int i = 0; i < 200 && bench.master->reason == REASON_WATCHER_STALLED; i++) {
        run_for(&bench, 20);
    }
    publish_turn(bench.watcher);
    shown = bench.master->shown;
    cr_expect(snapshot_master_serves(shown), "%s", shown->detail);
    cr_expect(shown->verified);
    cr_expect_eq(shown->index, bench.watcher->index);
    cr_expect_gt(shown->index, index);
    cr_expect_eq(bench.master->switches, 0);
    cr_expect_eq(bench_stop(&bench), 2);
}

Test(watch_master, switches_are_counted_and_shown)
{
    static const struct peer_step steps[] = {FOUND, END};
    static const struct peer_step others[] = {{PEER_ACCEPT, NULL}, ROLE, END};
    struct fake_peer *other = fake_peer_start("127.0.0.1", others);
    struct snapshot_master *shown;
    struct bench bench;

    bench_start(&bench, steps);
    shown = publish_show(bench.master);
    cr_expect_eq(shown->switches, 0, "the first publication is none");
    cr_expect_eq(shown->fence, FENCE_DOWN);
    snapshot_master_unref(shown);
    fence_hear(&bench.master->fence_driver.guard,
               &(struct fence_event){.signal = FENCE_SAYS_ELECTED, .leader = "one"},
               clock_boot_ms());
    shown = publish_show(bench.master);
    cr_expect_eq(shown->fence, FENCE_UP);
    snapshot_master_unref(shown);
    bench_observe(&bench, fake_peer_address(other), 2);
    for (int i = 0; i < 200 && bench.master->switches == 0; i++) {
        run_for(&bench, 20);
    }
    shown = publish_show(bench.master);
    cr_expect_eq(shown->switches, 1);
    cr_expect_eq(shown->fence, FENCE_DOWN,
                 "what is published comes with the fence that belongs to it");
    snapshot_master_unref(shown);
    cr_expect_eq(bench_stop(&bench), 1);
    cr_expect_null(fake_peer_join(other));
    fake_peer_free(other);
}

static void count_heard(void *data, struct message *message)
{
    *(int *)data += message->kind == MESSAGE_HEARD ? 1 : 0;
    message->drop(message);
}

/*
 * A turn has heard only what had come when it was looked: the thread may have stood still since,
 * with a list of what has come in its hands. Who asks is told when it was looked once more.
 */
Test(watch_master, what_has_been_heard)
{
    static const struct peer_step steps[] = {FOUND, END};
    struct bench bench;
    int n_heard = 0;

    bench_start(&bench, steps);
    struct mailbox *asks = mailbox_new(bench.watcher->loop, count_heard, &n_heard);
    bench.watcher->looked_ms = clock_boot_ms() - 700;
    (void)turn_begin(bench.watcher);
    turn_post_when_heard(bench.watcher, asks, message_plain_new(MESSAGE_HEARD));
    publish_turn(bench.watcher);
    run_for(&bench, 20);
    cr_expect_eq(n_heard, 0);
    cr_expect_geq(clock_boot_ms() - bench.pulse.heard_boot_ms, 700);
    cr_expect_lt(clock_boot_ms() - bench.pulse.heard_boot_ms, 60000);
    /* and a promotion that is heard of next may have begun as soon as that */
    fence_hear(&bench.master->fence_driver.guard,
               &(struct fence_event){.signal = FENCE_SAYS_PROMOTING, .leader = "one"},
               clock_boot_ms());
    fence_driver_contradict(bench.master); /* shows what is there */
    struct snapshot_master *shown = publish_show(bench.master);
    cr_expect_eq(shown->fence, FENCE_PROMOTING);
    cr_expect_eq(shown->promoting_ms, bench.pulse.heard_boot_ms);
    snapshot_master_unref(shown);
    bench.watcher->looked_ms = clock_boot_ms();
    publish_turn(bench.watcher);
    cr_expect_eq(bench.pulse.heard_boot_ms, bench.watcher->looked_ms);
    run_for(&bench, 20);
    cr_expect_eq(n_heard, 1);
    mailbox_free(asks);
    cr_expect_eq(bench_stop(&bench), 1);
}

/* ---- what the log says ---- */

static FILE *log_file;
static int log_before;

static void log_catch(enum log_level level)
{
    log_configure(level, LOG_FORMAT_LOGFMT);
    log_file = tmpfile();
    log_before = dup(STDERR_FILENO);
    cr_assert(log_file && log_before >= 0);
    cr_assert_geq(dup2(fileno(log_file), STDERR_FILENO), 0);
}

static char *log_taken(void)
{
    size_t room = 65536;
    char *text = calloc(room, 1);

    dup2(log_before, STDERR_FILENO);
    close(log_before);
    rewind(log_file);
    cr_assert(text && fread(text, 1, room - 1, log_file) < room);
    fclose(log_file);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    return text;
}

/* What the step would log, were it so. */
static int64_t log_as(struct bench *bench, enum master_state state, enum reason reason,
                      int64_t now_ms)
{
    const struct judgement said = {.state = state, .reason = reason, .detail = "words"};

    return master_log_state(bench->master, &said, now_ms);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

Test(watch_master, a_short_dispute_is_no_news_and_both_ends_of_a_long_one_are)
{
    static const struct peer_step steps[] = {FOUND, END};
    struct bench bench;
    char *text;

    bench_start(&bench, steps);
    log_catch(LOG_LEVEL_INFO);
    bench.master->logged.state = MASTER_OK;
    bench.master->logged.reason = REASON_NONE;
    bench.master->logged.bad = false;
    bench.master->brief_since_ms = -1;
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_DISPUTED, 1000), 4000,
                 "looked at again when it is one");
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_NO_MAJORITY, 2000), 4000);
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_NONE, 3000), -1);
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_DISPUTED, 3500), 6500, "another one");
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_DISPUTED, 6499), 6500);
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_DISPUTED, 6500), -1);
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_DISPUTED, 9000), -1);
    cr_expect_eq(log_as(&bench, MASTER_OK, REASON_NONE, 9100), -1);
    text = log_taken();
    cr_expect_eq(count(text, "\n"), 2, "%s", text);
    cr_expect_eq(count(text, "level=warn"), 2, "%s", text);
    cr_expect_eq(count(text, "reason=disputed"), 1, "%s", text);
    cr_expect_eq(count(text, "reason=none"), 1, "%s", text);
    free(text);
    (void)bench_stop(&bench);
}

Test(watch_master, both_ends_of_an_outage_are_warnings)
{
    static const struct peer_step steps[] = {FOUND, END};
    struct bench bench;
    char *text;

    bench_start(&bench, steps);
    log_catch(LOG_LEVEL_WARN);
    bench.master->logged.state = MASTER_OK;
    bench.master->logged.reason = REASON_NONE;
    bench.master->logged.bad = false;
    (void)log_as(&bench, MASTER_FAILING_OVER, REASON_FAILING_OVER, 1000);
    (void)log_as(&bench, MASTER_OK, REASON_DISPUTED, 3000); /* part of the switch */
    (void)log_as(&bench, MASTER_OK, REASON_NONE, 3500);
    (void)log_as(&bench, MASTER_OK, REASON_NO_SENTINEL_REACHABLE, 5000);
    (void)log_as(&bench, MASTER_OK, REASON_NONE, 6000);
    /* of no moment, and said elsewhere */
    (void)log_as(&bench, MASTER_OK, REASON_SENTINEL_DENIED, 7000);
    text = log_taken();
    cr_expect_eq(count(text, "\n"), 4, "%s", text);
    cr_expect_eq(count(text, "state=failing_over was=ok"), 1, "%s", text);
    cr_expect_eq(count(text, "state=ok was=failing_over reason=none"), 1, "%s", text);
    cr_expect_eq(count(text, "reason=no_sentinel_reachable"), 1, "%s", text);
    cr_expect_eq(count(text, "state=ok was=ok reason=none"), 1, "%s", text);
    free(text);
    (void)bench_stop(&bench);
}

Test(watch_master, the_fence_is_spoken_of_where_commands_are_run)
{
    static const struct peer_step steps[] = {FOUND, END};
    struct bench bench;
    char *text;

    bench_start(&bench, steps);
    for (int on = 0; on < 2; on++) {
        log_catch(LOG_LEVEL_DEBUG);
        bench.config.fence_matters = on;
        bench.master->fence_driver.shown = FENCE_UP;
        fence_driver_publish(bench.master);
        text = log_taken();
        cr_expect_eq(count(text, "fence") > 0, on == 1, "%s", text);
        free(text);
    }
    (void)bench_stop(&bench);
}
