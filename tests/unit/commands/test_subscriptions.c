/*
 * Who listens to channels: one connection and one subscription for all, what Redis says of them,
 * masters that come and go.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/commands/subscriber.h"
#include "pool_fixture.h"

#define SUBSCRIBE_C "*2\r\n" BULK(9, "SUBSCRIBE") BULK(1, "c")
#define SUBSCRIBE_D "*2\r\n" BULK(9, "SUBSCRIBE") BULK(1, "d")
#define UNSUBSCRIBE_C "*2\r\n" BULK(11, "UNSUBSCRIBE") BULK(1, "c")
#define PSUBSCRIBE_X "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(2, "x*")
#define ACK_C "*3\r\n" BULK(9, "subscribe") BULK(1, "c") ":1\r\n"
#define ACK_D "*3\r\n" BULK(9, "subscribe") BULK(1, "d") ":2\r\n"
#define ACK_NOT_C "*3\r\n" BULK(11, "unsubscribe") BULK(1, "c") ":1\r\n"
#define ACK_X "*3\r\n" BULK(10, "psubscribe") BULK(2, "x*") ":1\r\n"
#define MESSAGE_C "*3\r\n" BULK(7, "message") BULK(1, "c") BULK(5, "hello")
#define MESSAGE_X "*4\r\n" BULK(8, "pmessage") BULK(2, "x*") BULK(2, "xy") BULK(2, "hi")

/* What a subscriber was told. */
struct ear {
    struct subscriber subscriber; /* the first member */
    int n_confirmed, n_ended, n_interrupted, n_resumed, n_messages;
    enum subscriber_end why;
    char words[RESULT_ERROR_SIZE], last[64];
    int64_t since_ms, from_ms, to_ms;
};

static struct ear ears[3];

static struct ear *ear_of(struct subscriber *subscriber)
{
    return (struct ear *)subscriber;
}

static void confirmed(struct subscriber *subscriber)
{
    ear_of(subscriber)->n_confirmed++;
}

static void ended(struct subscriber *subscriber, enum subscriber_end why, const char *words)
{
    struct ear *ear = ear_of(subscriber);

    ear->n_ended++;
    ear->why = why;
    snprintf(ear->words, sizeof(ear->words), "%s", words);
}

static void interrupted(struct subscriber *subscriber, int64_t since_ms)
{
    ear_of(subscriber)->n_interrupted++;
    ear_of(subscriber)->since_ms = since_ms;
    cr_expect_leq(since_ms, clock_wall_ms());
}

static void resumed(struct subscriber *subscriber, int64_t from_ms, int64_t to_ms)
{
    struct ear *ear = ear_of(subscriber);

    ear->n_resumed++;
    ear->from_ms = from_ms;
    ear->to_ms = to_ms;
}

static void take_message(const struct list *listening, const struct channel_message *message)
{
    LIST_EACH(struct subscription, subscription, listening, link) {
        struct ear *ear = ear_of(subscription->subscriber);

        ear->n_messages += subscription->subscriber->state != SUBSCRIBER_JOINING;
        snprintf(ear->last, sizeof(ear->last), "%s %s %s",
                 message->pattern ? message->pattern : "-", message->channel, message->payload);
    }
}

static const struct subscriber_hooks hooks = {confirmed, ended, interrupted, resumed, take_message};

static struct pool_stage stage_of(int64_t command_timeout_ms)
{
    memset(ears, 0, sizeof(ears));
    return (struct pool_stage){
        .subscribers = &hooks,
        .config = {.command_timeout_ms = command_timeout_ms, .ping_ms = 60000}};
}

static void join(struct pool_stage *stage, size_t i, enum subscriber_kind kind, size_t n,
                 const char *const *names)
{
    cr_assert_null(pool_subscribe(stage->pool, &ears[i].subscriber, "mymaster", kind, names, n,
                                  clock_boot_ms()));
}

static void join_c(struct pool_stage *stage, size_t i)
{
    join(stage, i, SUBSCRIBER_CHANNELS, 1, (const char *const[]){"c"});
}

static bool first_is_confirmed(struct pool_stage *stage)
{
    (void)stage;
    return ears[0].n_confirmed == 1;
}

static bool second_is_confirmed(struct pool_stage *stage)
{
    (void)stage;
    return ears[1].n_confirmed == 1;
}

static bool third_is_confirmed(struct pool_stage *stage)
{
    (void)stage;
    return ears[2].n_confirmed == 1;
}

static bool first_has_ended(struct pool_stage *stage)
{
    (void)stage;
    return ears[0].n_ended == 1;
}

static bool first_is_told(struct pool_stage *stage)
{
    (void)stage;
    return ears[0].n_messages == 1;
}

static bool first_goes_on(struct pool_stage *stage)
{
    (void)stage;
    return ears[0].n_resumed == 1;
}

static void close_stage(struct pool_stage *stage, struct fake_peer *peer)
{
    for (size_t i = 0; i < sizeof(ears) / sizeof(ears[0]); i++) {
        pool_unsubscribe(&ears[i].subscriber);
    }
    pool_stage_close_with(stage, peer);
}

Test(subscriptions, one_for_all)
{
    static const struct peer_step steps[] = {
        OPEN, ANSWER(SUBSCRIBE_C, ACK_C), {PEER_HOLD, NULL}, {PEER_SEND, MESSAGE_C}, END};
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join_c(&stage, 0);
    cr_expect_eq(ears[0].n_confirmed, 0);
    pool_stage_run_until(&stage, first_is_confirmed);
    join(&stage, 1, SUBSCRIBER_CHANNELS, 2, (const char *const[]){"c", "c"});
    pool_stage_run_until(&stage, second_is_confirmed);
    cr_expect_eq(ears[1].subscriber.n, 1);
    cr_expect_str_eq(subscriber_name(&ears[1].subscriber, 0), "c");
    cr_expect(address_equal(subscriber_address(&ears[0].subscriber), fake_peer_address(peer)));
    fake_peer_release(peer);
    pool_stage_run_until(&stage, first_is_told);
    cr_expect_eq(ears[1].n_messages, 1);
    cr_expect_str_eq(ears[0].last, "- c hello");
    cr_expect_eq(ears[0].n_confirmed, 1);
    close_stage(&stage, peer);
}

/* The last one leaves and another one comes before Redis has answered the first. */
Test(subscriptions, only_the_last_answer_counts)
{
    static const struct peer_step steps[] = {OPEN,
                                             ANSWER(SUBSCRIBE_D, ACK_D),
                                             {PEER_EXPECT, SUBSCRIBE_C},
                                             {PEER_EXPECT, UNSUBSCRIBE_C SUBSCRIBE_C},
                                             {PEER_SEND, ACK_C ACK_NOT_C},
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, ACK_C MESSAGE_C},
                                             END};
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join(&stage, 2, SUBSCRIBER_CHANNELS, 1, (const char *const[]){"d"});
    pool_stage_run_until(&stage, third_is_confirmed);
    join_c(&stage, 1);
    pool_stage_run_for(&stage, 50);
    pool_unsubscribe(&ears[1].subscriber);
    join_c(&stage, 0);
    pool_stage_run_for(&stage, 100);
    cr_expect_eq(ears[0].n_confirmed, 0);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, first_is_confirmed);
    cr_expect_eq(ears[1].n_confirmed + ears[1].n_ended, 0);
    close_stage(&stage, peer);
}

Test(subscriptions, patterns)
{
    static const struct peer_step steps[] = {
        OPEN, ANSWER(PSUBSCRIBE_X, ACK_X), {PEER_HOLD, NULL}, {PEER_SEND, MESSAGE_X}, END};
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join(&stage, 0, SUBSCRIBER_PATTERNS, 1, (const char *const[]){"x*"});
    pool_stage_run_until(&stage, first_is_confirmed);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, first_is_told);
    cr_expect_str_eq(ears[0].last, "x* xy hi");
    close_stage(&stage, peer);
}

/* All of it or nothing; the other one stays. */
Test(subscriptions, what_redis_refuses_is_an_end)
{
    static const struct peer_step steps[] = {
        OPEN, ANSWER(SUBSCRIBE_C, ACK_C),
        ANSWER(SUBSCRIBE_D,
               "-NOPERM this user has no permissions to access one of the channels\r\n"),
        END};
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join_c(&stage, 1);
    pool_stage_run_until(&stage, second_is_confirmed);
    join(&stage, 0, SUBSCRIBER_CHANNELS, 2, (const char *const[]){"c", "d"});
    pool_stage_run_until(&stage, first_has_ended);
    cr_expect_eq(ears[0].why, SUBSCRIBER_REFUSED);
    cr_expect_eq(strncmp(ears[0].words, "NOPERM ", 7), 0, "%s", ears[0].words);
    cr_expect_null(ears[0].subscriber.all);
    cr_expect_eq(ears[1].n_ended + ears[1].n_interrupted, 0);
    close_stage(&stage, peer);
}

Test(subscriptions, a_lost_connection_is_a_gap)
{
    static const struct peer_step steps[] = {OPEN,
                                             ANSWER(SUBSCRIBE_C SUBSCRIBE_D, ACK_C ACK_D),
                                             {PEER_HOLD, NULL},
                                             {PEER_CLOSE, NULL},
                                             OPEN,
                                             ANSWER(SUBSCRIBE_C SUBSCRIBE_D, ACK_C ACK_D MESSAGE_C),
                                             END};
    struct pool_stage stage = stage_of(8000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join(&stage, 0, SUBSCRIBER_CHANNELS, 2, (const char *const[]){"d", "c"});
    pool_stage_run_until(&stage, first_is_confirmed);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, first_goes_on);
    cr_expect_eq(ears[0].n_interrupted, 1);
    cr_expect_leq(ears[0].from_ms, ears[0].to_ms);
    cr_expect_eq(ears[0].from_ms, ears[0].since_ms, "one time, said twice");
    cr_expect_eq(ears[0].n_confirmed, 1);
    cr_expect_eq(stage.suspicions[SUSPICION_LOST], 1);
    pool_stage_run_until(&stage, first_is_told);
    close_stage(&stage, peer);
}

/* What it was told by a node that may have been the old master by then proves nothing. */
Test(subscriptions, a_gap_begins_before_the_watcher_was_late)
{
    static const struct peer_step steps[] = {OPEN,
                                             ANSWER(SUBSCRIBE_C, ACK_C),
                                             {PEER_HOLD, NULL},
                                             {PEER_SEND, MESSAGE_C},
                                             {PEER_CLOSE, NULL},
                                             OPEN,
                                             ANSWER(SUBSCRIBE_C, ACK_C),
                                             END};
    struct pool_stage stage = stage_of(8000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);

    join_c(&stage, 0);
    pool_stage_run_until(&stage, first_is_confirmed);
    atomic_store(&stage.pulse.heard_boot_ms, clock_boot_ms());
    const int64_t heard_ms = clock_wall_ms();
    pool_stage_run_for(&stage, 200);
    fake_peer_release(peer);
    pool_stage_run_until(&stage, first_goes_on);
    cr_expect_eq(ears[0].n_messages, 1);
    cr_expect_lt(ears[0].from_ms, heard_ms + 100);
    cr_expect_geq(ears[0].to_ms, heard_ms + 200);
    close_stage(&stage, peer);
}

Test(subscriptions, another_master)
{
    static const struct peer_step old_steps[] = {OPEN, ANSWER(SUBSCRIBE_C, ACK_C), END};
    static const struct peer_step new_steps[] = {OPEN, ANSWER(SUBSCRIBE_C, ACK_C MESSAGE_C), END};
    struct fake_peer *next = fake_peer_start("127.0.0.1", new_steps);
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, old_steps);

    join_c(&stage, 0);
    pool_stage_run_until(&stage, first_is_confirmed);
    /* a state that flaps closes nothing */
    pool_stage_publish(&stage, NULL, 1, FENCE_UP);
    pool_stage_run_for(&stage, 30);
    cr_expect_eq(ears[0].n_interrupted, 0);
    pool_stage_publish(&stage, fake_peer_address(next), 2, FENCE_DOWN);
    pool_stage_run_until(&stage, first_is_told);
    cr_expect_eq(ears[0].n_interrupted, 1);
    cr_expect_eq(ears[0].n_resumed, 1);
    cr_expect(address_equal(subscriber_address(&ears[0].subscriber), fake_peer_address(next)));
    close_stage(&stage, peer);
    fake_peer_end(next);
}

Test(subscriptions, without_a_master_it_is_late)
{
    struct pool_stage stage = stage_of(100);

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    join_c(&stage, 0);
    pool_stage_run_until(&stage, first_has_ended);
    cr_expect_eq(ears[0].why, SUBSCRIBER_LATE);
    cr_expect_eq(strncmp(ears[0].words, "NOMASTER no master within 100 ms: the node refuses", 50),
                 0, "%s", ears[0].words);
    pool_stage_close(&stage);
}

Test(subscriptions, not_while_the_watcher_is_silent)
{
    static const struct peer_step steps[] = {OPEN, ANSWER(SUBSCRIBE_C, ACK_C), END};
    struct pool_stage stage = stage_of(8000);
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);

    stage.stalled = true;
    pool_stage_open(&stage);
    pool_stage_publish_peer(&stage, peer);
    join_c(&stage, 0);
    pool_stage_run_for(&stage, 150);
    cr_expect_eq(ears[0].n_confirmed, 0);
    cr_expect_null(subscriber_address(&ears[0].subscriber));
    stage.stalled = false;
    pool_stage_run_until(&stage, first_is_confirmed);
    close_stage(&stage, peer);
}

Test(subscriptions, who_joins_is_told_of_the_end)
{
    struct pool_stage stage = stage_of(8000);

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    join_c(&stage, 0);
    pool_drain(stage.pool);
    cr_expect_eq(ears[0].n_ended, 1);
    cr_expect_eq(ears[0].why, SUBSCRIBER_LATE);
    cr_expect_eq(strncmp(ears[0].words, "NOTSENT the daemon is shutting down", 35), 0);
    cr_expect_not_null(pool_subscribe(stage.pool, &ears[1].subscriber, "mymaster",
                                      SUBSCRIBER_CHANNELS, (const char *const[]){"c"}, 1, 0));
    cr_expect_null(ears[1].subscriber.all);
    pool_stage_close(&stage);
}

Test(subscriptions, a_master_that_is_not_watched_any_more)
{
    static const struct peer_step steps[] = {OPEN, ANSWER(SUBSCRIBE_C, ACK_C), END};
    struct pool_stage stage = stage_of(4000);
    struct fake_peer *peer = pool_stage_open_with(&stage, steps);
    struct snapshot *nothing = snapshot_new(0);

    join_c(&stage, 0);
    pool_stage_run_until(&stage, first_is_confirmed);
    pool_take(stage.pool, nothing);
    pool_stage_run_until(&stage, first_has_ended);
    cr_expect_eq(ears[0].why, SUBSCRIBER_GONE);
    snapshot_unref(nothing);
    close_stage(&stage, peer);
}

/* Every name that a stream may have is one too many where the worker listens to all it may. */
Test(subscriptions, there_is_a_bound)
{
    enum { EACH = SUBSCRIBER_NAMES_MAX, MOST = 10000 / EACH };
    static struct subscriber subscribers[MOST + 1];
    static char names[EACH][16];
    const char *pointers[EACH];
    struct pool_stage stage = stage_of(8000);

    pool_stage_open(&stage);
    pool_stage_publish(&stage, NULL, 0, FENCE_DOWN);
    for (size_t i = 0; i <= MOST; i++) {
        for (size_t k = 0; k < EACH; k++) {
            snprintf(names[k], sizeof(names[k]), "%zu-%zu", i, k);
            pointers[k] = names[k];
        }
        const char *refusal = pool_subscribe(stage.pool, &subscribers[i], "mymaster",
                                             SUBSCRIBER_PATTERNS, pointers, EACH, clock_boot_ms());
        cr_expect_eq(!refusal, i < MOST, "%zu: %s", i, refusal);
    }
    for (size_t i = 0; i <= MOST; i++) {
        pool_unsubscribe(&subscribers[i]);
    }
    pool_stage_close(&stage);
}
