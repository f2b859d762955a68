/*
 * How far replicas lag: when the published node is asked for their offsets (INFO replication).
 *
 * Every ten seconds, beside the question for its role, where nobody cares. Once a second, by a
 * timer of its own, while somebody reads it (workers say so), while writes flow, or while something
 * is wrong with the master; and at once for a caller who can't do with what is known (max_lag).
 */
#include "replica_lag.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "turn.h"

enum {
    SLOW_MS = 10000,
    FAST_MS = 1000,
    SETTLE_MS = 500, /* after a switch: replicas need a moment to come over */
    READ_MS = 3000,  /* how long a reader is taken to go on reading */
    /*
     * What flows without anybody's writing: PINGs and Sentinels' hello messages, some hundred bytes
     * a second.
     */
    FLOW_BYTES = 1024,
    FLOWING_CROWD = 100,
};

/*
 * How often it is asked, -1: with its role now and then. Where writes flow and nobody reads, a
 * thousand masters share the pace of a few.
 */
static int64_t pace_ms(const struct master *master, int64_t now_ms)
{
    const struct lag *lag = &master->lag;

    if (master->suspect || master->fence_driver.guard.state != FENCE_DOWN ||
        master->watcher->config->lag_matters || now_ms < lag->read_until_ms) {
        return FAST_MS;
    }
    return lag->flows ? FAST_MS * (int64_t)(1 + master->watcher->n_masters / FLOWING_CROWD) : -1;
}

static void lag_tell(struct master *master)
{
    for (struct list_link *link; (link = list_take_first(&master->lag.asks));) {
        struct lookup *ask = LIST_OWNER(link, struct lookup, link);

        master->watcher->lag_awaited = true;
        turn_post_later(master->watcher, ask->reply_to,
                        message_fresh_new(ask->ticket, true, REASON_NONE, ""));
        free(ask);
    }
}

static bool flows(const struct lag *lag, int64_t asked_ms, int64_t master_offset,
                  const struct replica_offset *offsets, size_t n)
{
    int64_t span_ms = lag->at_ms >= 0 ? asked_ms - lag->at_ms : 0;

    if (master_offset < 0) {
        return false;
    }
    if (span_ms > 0 && lag->master_offset >= 0 &&
        master_offset - lag->master_offset >= FLOW_BYTES * span_ms / 1000) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (master_offset - offsets[i].offset >= FLOW_BYTES) {
            return true; /* it catches up */
        }
    }
    return false;
}

static void lag_due(void *data);

static void lag_heard(void *data, int64_t master_offset, const struct replica_offset *offsets,
                      size_t n)
{
    struct master *master = data;
    struct lag *lag = &master->lag;

    if (turn_begin(master->watcher)) {
        return;
    }
    lag->flows = flows(lag, lag->asked_ms, master_offset, offsets, n);
    free(lag->offsets);
    lag->offsets = mem_copy(offsets, n, sizeof(*offsets));
    lag->n_offsets = n;
    lag->master_offset = master_offset;
    lag->at_ms = lag->asked_ms;
    lag->asking = false;
    turn_show_later(master);
    lag_tell(master);
    lag_due(master); /* it may have become worth more questions */
}

static void lag_ask_now(struct master *master, int64_t now_ms)
{
    struct lag *lag = &master->lag;

    if (lag->asking || !master->standing || !role_check_ask_offsets(master->standing, lag_heard)) {
        return;
    }
    lag->asking = true;
    lag->asked_ms = now_ms;
    lag->slow_ms = now_ms + SLOW_MS;
}

/* A timer, and whenever something happened that may make it worth asking. */
static void lag_due(void *data)
{
    struct master *master = data;
    struct lag *lag = &master->lag;

    (void)turn_begin(master->watcher);
    int64_t now_ms = clock_boot_ms();
    int64_t every_ms = pace_ms(master, now_ms);
    if (every_ms < 0 || master->role != ROLE_MASTER || lag->asking) {
        return;
    }
    int64_t wait_ms = lag->asked_ms + every_ms - now_ms;
    if (wait_ms <= 0 && now_ms >= lag->settled_ms) {
        lag_ask_now(master, now_ms);
        return;
    }
    if (!lag->timer) {
        lag->timer = loop_timer_new(master->watcher->loop, lag_due, master);
    }
    if (lag->settled_ms - now_ms > wait_ms) {
        wait_ms = lag->settled_ms - now_ms;
    }
    loop_timer_start(lag->timer, wait_ms);
}

void lag_role(struct master *master, enum role_answer answer)
{
    int64_t now_ms = clock_boot_ms();

    if (!role_check_is_connected(master->standing)) {
        master->lag.asking = false; /* the question died with the connection */
    }
    if (answer != ROLE_MASTER) {
        lag_tell(master);
    } else if (now_ms >= master->lag.slow_ms) {
        lag_ask_now(master, now_ms);
    } else {
        lag_due(master);
    }
}

void lag_read(struct master *master)
{
    master->lag.read_until_ms = clock_boot_ms() + READ_MS;
    lag_due(master);
}

void lag_ask(struct master *master, uint64_t ticket, struct mailbox *reply_to)
{
    struct lookup *ask = mem_new(1, sizeof(*ask));
    int64_t now_ms = clock_boot_ms();

    *ask = (struct lookup){{0}, now_ms * 1000, ticket, reply_to};
    list_insert_after(&master->lag.asks, NULL, &ask->link);
    master->lag.read_until_ms = now_ms + READ_MS;
    /*
     * One that was put a moment ago was answered, for what it is worth: callers don't set the pace.
     */
    if (now_ms - master->lag.asked_ms >= FAST_MS) {
        lag_ask_now(master, now_ms);
    }
    if (!master->lag.asking) {
        lag_tell(master);
    }
    lag_due(master);
}

void lag_follow(struct master *master)
{
    struct lag *lag = &master->lag;

    lag_tell(master);
    free(lag->offsets);
    lag->offsets = NULL;
    lag->n_offsets = 0;
    lag->master_offset = lag->at_ms = -1;
    lag->asking = lag->flows = false;
    lag->asked_ms = 0;
    /* At the first publication nobody has to come over. */
    lag->settled_ms = clock_boot_ms() + (master->has_previous ? SETTLE_MS : 0);
    lag->slow_ms = lag->settled_ms;
}

void lag_release(struct master *master)
{
    lag_tell(master);
    loop_timer_free(master->lag.timer);
    free(master->lag.offsets);
}
