/*
 * Bytes to and fro. What one side does not take at once is kept, and nothing more is read for it
 * until it has: so a slow reader on either side slows down whoever writes to it. Past max-memory
 * nothing is kept: it stays in the socket that it came from.
 *
 * Behind the fence (DESIGN section 5) nothing is read from clients. An answer that comes then is
 * kept for a moment: it may be of a write that ran while the replica was promoted, and word of that
 * comes over another way than the answer. So is one that comes while the watcher has not looked for
 * such word for a while: it is asked to, once in a while as long as bytes come.
 */
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/topology/write_fence.h"
#include "link.h"

/* After so many full reads others have their turn. */
enum { READS_A_TURN = 8 };

bool door_is_fenced(const struct door *door, int64_t now_ms)
{
    return !door->master || door->master->fence != FENCE_DOWN ||
           snapshot_master_is_memory(door->master) || snapshot_is_behind(door->all->snapshot) ||
           snapshot_is_stalled(door->all->snapshot, now_ms);
}

/* Its client is not read, and its answers are kept for a moment. */
static bool is_fenced(const struct link *link)
{
    return !link->to_replica && door_is_fenced(link->door, clock_boot_ms());
}

/* Bytes have come: have the watcher hear what may have come before them, by the time it matters. */
static void keep_up(const struct link *link, int64_t now_ms)
{
    const struct forwards *all = link->door->all;

    if (!link->to_replica && all->hooks.ask_heard &&
        snapshot_is_getting_late(all->snapshot, now_ms)) {
        all->hooks.ask_heard(all->hooks.data);
    }
}

/* What the node has said now is kept for a moment: nobody knows yet whether it holds. */
static bool is_in_doubt(const struct link *link)
{
    int64_t now_ms = clock_boot_ms();

    keep_up(link, now_ms);
    return !link->to_replica && (snapshot_is_late(link->door->all->snapshot, now_ms) ||
                                 door_is_fenced(link->door, now_ms));
}

/* Its answer stays: look again soon. */
static void stay_held(struct link *link)
{
    link->door->holds = true;
    forwards_arm(link->door->all);
}

static void pause_client(struct link *link)
{
    if (!link->is_paused) {
        link->is_paused = true;
        list_append(&link->door->paused, &link->paused);
    }
    forwards_arm(link->door->all);
}

/* ---- one direction ---- */

void flow_clear(struct flow *flow)
{
    budget_free(flow->bytes);
    flow->bytes = NULL;
    flow->size = flow->sent = 0;
    flow->held_ms = 0;
    flow->blocked = false;
}

static void keep(struct flow *flow, const char *bytes, size_t size)
{
    flow->bytes = budget_new(size, 1);
    memcpy(flow->bytes, bytes, size);
    flow->size = size;
    flow->sent = 0;
}

/* @return 1: nothing is left; 0: the other side takes no more for now; FORWARD_END. */
static int drain(struct link *link, struct flow *flow, struct link_side *to)
{
    flow->blocked = false;
    while (flow->bytes) {
        ssize_t n = side_write(link, to, flow->bytes + flow->sent, flow->size - flow->sent);

        if (n <= 0) {
            return (int)n;
        }
        flow->sent += (size_t)n;
        if (flow->sent == flow->size) {
            flow_clear(flow);
        }
    }
    return 1;
}

/* @return as drain(). */
static int pass(struct link *link, struct flow *flow, struct link_side *to, const char *bytes,
                size_t size)
{
    size_t sent = 0;

    while (sent < size) { /* TLS takes a record at a time */
        ssize_t n = side_write(link, to, bytes + sent, size - sent);

        if (n < 0) {
            return FORWARD_END;
        }
        if (n == 0) {
            keep(flow, bytes + sent, size - sent);
            return 0;
        }
        sent += (size_t)n;
    }
    return 1;
}

static bool is_tight(void)
{
    return !budget_has_for_now(LOOP_SCRATCH_BYTES);
}

/*
 * One piece from one side to the other where there is no memory to keep anything: what the other
 * side does not take stays in the source.
 * @param n  bytes that were moved; 0: none for now; FORWARD_END.
 * @return as drain().
 */
static int squeeze(struct link *link, struct flow *flow, struct link_side *from,
                   struct link_side *to, ssize_t *n)
{
    char *scratch = loop_scratch(link->door->all->loop);
    ssize_t there = side_peek(from, scratch, LOOP_SCRATCH_BYTES);

    *n = there;
    if (there <= 0) {
        return 1;
    }
    *n = side_write(link, to, scratch, (size_t)there);
    if (*n < 0) {
        *n = 0;
        return FORWARD_END;
    }
    side_take(from, scratch, (size_t)*n);
    flow->blocked = *n < there;
    return flow->blocked ? 0 : 1;
}

static void count(struct link *link, enum metric_forward_way way, ssize_t n)
{
    metric_add(&link->door->counts->bytes[way], (uint64_t)n);
}

/* ---- to the node ---- */

static bool may_read_client(struct link *link, bool tight)
{
    if (link->door->all->draining || (tight && !side_peeks(&link->client)) || is_fenced(link)) {
        pause_client(link);
        return false;
    }
    return true;
}

/* What is decrypted already no event tells of: on with it in the next turn. */
static void go_on_later(struct link *link)
{
    if (!link->is_again) {
        link->is_again = true;
        list_append(&link->door->all->again, &link->again);
    }
    loop_timer_start(link->door->all->again_timer, 0);
}

static void move_in(struct link *link)
{
    struct flow *flow = &link->in;
    char *scratch = loop_scratch(link->door->all->loop);
    int outcome;

    flow->fenced = flow->bytes && is_fenced(link);
    if (flow->fenced) {
        pause_client(link);
        return;
    }
    outcome = drain(link, flow, &link->server);
    for (int i = 0; outcome == 1 && !flow->ended && !link->is_paused; i++) {
        bool tight = is_tight();
        ssize_t n;

        if (i == READS_A_TURN) {
            go_on_later(link);
            break;
        }
        if (!may_read_client(link, tight)) {
            break;
        }
        if (tight) {
            outcome = squeeze(link, flow, &link->client, &link->server, &n);
        } else {
            n = side_read(link, &link->client, scratch, LOOP_SCRATCH_BYTES);
        }
        if (n == 0) {
            break;
        }
        if (n == FORWARD_END) {
            flow->ended = true;
            break;
        }
        link->spoken = link->owes = true;
        keep_up(link, clock_boot_ms());
        count(link, METRIC_FORWARD_WAY_IN, n);
        if (!tight) {
            outcome = pass(link, flow, &link->server, scratch, (size_t)n);
        }
        if ((size_t)n < LOOP_SCRATCH_BYTES && !link->client.more) {
            break;
        }
    }
    if (outcome == FORWARD_END) { /* what the node has said is still to be delivered */
        flow_clear(flow);
        flow->ended = flow->shut = flow->refused = true;
    } else if (flow->ended && !flow->bytes && !flow->shut) {
        flow->shut = true;
        side_shut(link, &link->server);
        link->is_half = true;
        link->door->n_half++;
        link->deadline_ms = clock_boot_ms() + link->door->all->config->wait_ms;
        forwards_arm(link->door->all);
    }
}

/* ---- to the client ---- */

/* @return false: the link has ended. */
static bool move_out(struct link *link)
{
    struct flow *flow = &link->out;
    char *scratch = loop_scratch(link->door->all->loop);
    int outcome = flow->held_ms != 0 ? 0 : drain(link, flow, &link->client);

    for (int i = 0; outcome == 1 && !flow->ended; i++) {
        bool tight = is_tight();
        ssize_t n;

        if (i == READS_A_TURN) {
            go_on_later(link);
            break;
        }
        if (tight && (is_in_doubt(link) || !side_peeks(&link->server))) {
            link->starved = true;
            pause_client(link);
            break;
        }
        if (tight) {
            outcome = squeeze(link, flow, &link->server, &link->client, &n);
        } else {
            n = side_read(link, &link->server, scratch, LOOP_SCRATCH_BYTES);
        }
        if (n == 0) {
            break;
        }
        if (n == FORWARD_END) {
            flow->ended = true;
            break;
        }
        link->owes = false;
        if (link->is_half) {
            link->deadline_ms = clock_boot_ms() + link->door->all->config->wait_ms;
        }
        if (link->door->all->draining) {
            link->heard_ms = clock_boot_ms();
        }
        count(link, METRIC_FORWARD_WAY_OUT, n);
        if (!tight && is_in_doubt(link)) {
            keep(flow, scratch, (size_t)n);
            flow->held_ms = clock_boot_ms();
            stay_held(link);
            outcome = 0;
            break;
        }
        if (!tight) {
            outcome = pass(link, flow, &link->client, scratch, (size_t)n);
        }
        if ((size_t)n < LOOP_SCRATCH_BYTES && !link->server.more) {
            break;
        }
    }
    if (outcome == FORWARD_END) {
        link_end(link, METRIC_FORWARD_END_CLIENT, NULL);
        return false;
    }
    if (flow->ended && !flow->bytes) {
        /* a server that closes has closed for good; its client has all that it said */
        link_end(link,
                 link->in.ended && !link->in.refused ? METRIC_FORWARD_END_CLIENT
                                                     : METRIC_FORWARD_END_SERVER,
                 NULL);
        return false;
    }
    return true;
}

/* ---- both ---- */

static void want(struct link *link)
{
    const struct tls_link *tls = link->server.server;
    const struct flow *in = &link->in, *out = &link->out;
    bool reads_client = !in->bytes && !in->blocked && !in->ended && !link->is_paused;
    bool reads_server = !out->bytes && !out->blocked && !out->ended && !link->starved;
    bool writes_client = (out->bytes && out->held_ms == 0) || out->blocked;

    side_want(&link->client, (reads_client ? LOOP_READ : 0) | (writes_client ? LOOP_WRITE : 0));
    if (reads_server && tls && tls_link_reads_on_write(tls)) {
        side_want(&link->server, LOOP_WRITE);
        return;
    }
    side_want(&link->server, (reads_server ? LOOP_READ : 0) |
                                 ((in->bytes && !in->fenced) || in->blocked ? LOOP_WRITE : 0));
}

void link_move_bytes(struct link *link)
{
    move_in(link);
    if (move_out(link)) {
        want(link);
    }
}

void link_move_ready(struct link *link, const struct link_side *side, int events)
{
    bool from_client = side == &link->client;

    if (link->client.client_tls || link->server.server) {
        link_move_bytes(link);
        return;
    }
    if ((events & (from_client ? LOOP_READ : LOOP_WRITE)) != 0) {
        move_in(link);
    }
    if ((events & (from_client ? LOOP_WRITE : LOOP_READ)) == 0 || move_out(link)) {
        want(link);
    }
}

void link_release_held(struct link *link, int64_t now_ms, bool promoted)
{
    struct flow *flow = &link->out;
    const struct door *door = link->door;

    if (flow->held_ms == 0) {
        return;
    }
    /* this thread or the watcher is busy, or all stood still: a promotion may be long begun */
    if (!promoted &&
        (snapshot_is_behind(door->all->snapshot) || snapshot_master_is_memory(door->master) ||
         snapshot_is_late(door->all->snapshot, now_ms))) {
        keep_up(link, now_ms);
        stay_held(link);
        return;
    }
    if (promoted) {
        int64_t until_ms = door->master ? door->master->promoting_ms - FENCE_HOLD_MS : 0;

        if (flow->held_ms <= until_ms) {
            flow->held_ms = 0;
            (void)drain(link, flow, &link->client);
        }
        flow_clear(flow);
    } else if (!is_fenced(link) || flow->held_ms <= now_ms - FENCE_HOLD_MS) {
        flow->held_ms = 0;
        link_move_bytes(link);
    } else {
        stay_held(link);
    }
}
