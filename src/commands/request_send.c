/*
 * One request on its way: judged by the command table, written as far as that may be, and given up
 * when its time is over.
 *
 * The commands of a pipeline are written in their order, and what runs again runs again in that
 * order: a read behind a command that has to run again is run again, too, since it must see what
 * that one did.
 */
#include "request_send.h"

#include <inttypes.h>
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "in_flight.h"
#include "pool_route.h"
#include "request_judge.h"
#include "request_outcome.h"
#include "request_run.h"
#include "table_fetch.h"

enum progress {
    PROGRESS_SENT,     /* nothing is left to be sent */
    PROGRESS_WAITS,    /* for a connection, a master, the command table, or the fence's end */
    PROGRESS_OVER,     /* what is left never will be */
    PROGRESS_UNWANTED, /* its caller has gone */
};

/* ---- writing ---- */

/*
 * A transaction in one piece: MULTI, its commands as they stand behind each other in the batch,
 * EXEC.
 */
static void send_transaction(struct pool_conn *pool_conn, const struct batch *batch,
                             struct in_flight *flight)
{
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    struct buffer wire = {0};

    (void)buffer_reserve(&wire, batch->wire.size + sizeof(multi) + sizeof(exec));
    buffer_add(&wire, multi, sizeof(multi) - 1);
    for (size_t i = 0; i < batch->n; i++) {
        buffer_add(&wire, batch_wire(batch, i), batch->commands[i].size);
    }
    buffer_add(&wire, exec, sizeof(exec) - 1);
    redis_conn_send(pool_conn->conn, wire.bytes, wire.size, &flight->expect);
    buffer_release(&wire);
}

static void expect_cursors(struct result *result, const struct batch *batch, size_t i, size_t n,
                           uint32_t tag)
{
    char *scans = buffer_reserve(&result->scans, n);

    for (size_t k = 0; k < n; k++) {
        scans[k] = batch->commands[i + k].scans ? 1 : 0;
    }
    result->scans.size = n;
    result->cursor_tag = tag;
}

static void send(struct request_run *run, size_t i, struct pool_conn *pool_conn)
{
    struct pool_request *request = run->request;
    struct in_flight *flight = in_flight_new(run->master_pool->pool);

    result_init(&flight->expect.result, request->form,
                request->transaction ? (unsigned)request->batch->n : 0);
    if (run->commands[i].scans) {
        expect_cursors(&flight->expect.result, request->batch, i,
                       request->transaction ? request->batch->n : 1, pool_conn->cursor_tag);
    }
    flight->expect.done = in_flight_done;
    flight->pool_conn = pool_conn;
    flight->run = run;
    flight->command = i;
    command_run_move(run, i, COMMAND_IN_FLIGHT);
    run->commands[i].flight = flight;
    run->pool_conn = pool_conn;
    pool_conn->in_flight++;
    pool_conn->live++;
    pool_conn_count(pool_conn);
    metric_move(&run->master_pool->pool->counts->inflight, 1);
    if (!run->commands[i].read_only) {
        pool_keep_up(run->master_pool->pool); /* it has heard by the time of the answer */
    }
    request->ran_at = pool_conn->endpoint->address;
    request->has_ran_at = true;
    if (request->transaction) {
        send_transaction(pool_conn, request->batch, flight);
    } else {
        redis_conn_send(pool_conn->conn, batch_wire(request->batch, i),
                        request->batch->commands[i].size, &flight->expect);
    }
}

/* ---- when it is sent ---- */

static bool is_held_by_fence(struct request_run *run, size_t i)
{
    if (run->master_pool->fence == FENCE_DOWN || run->commands[i].read_only) {
        return false;
    }
    if (run->fenced_us == 0) {
        run->fenced_us = clock_boot_us();
        metric_add(&run->master_pool->pool->counts->fence_holds, 1);
    }
    return true;
}

static bool is_queue_full(const struct request_run *run)
{
    const struct pool *pool = run->master_pool->pool;

    return run->is_new &&
           atomic_load_explicit(pool->waiting, memory_order_relaxed) >= pool->config->max_pending;
}

static const char *why_over(const struct request_run *run, char out[RESULT_ERROR_SIZE])
{
    if (run->target == POOL_MASTER) {
        snprintf(out, RESULT_ERROR_SIZE, "NOTSENT no connection: %.200s",
                 run->master_pool->trouble);
        return out;
    }
    return run->n_tried > 0 ? "NOTSENT no healthy replica could run it"
                            : "NOTSENT there is no healthy replica (see option replica-fallback)";
}

/* The next command that has to be written. */
static bool find_next(struct request_run *run)
{
    const struct pool_request *request = run->request;

    while (run->next < request->n_commands && run->commands[run->next].state != COMMAND_WAITING) {
        run->next++;
    }
    return run->next < request->n_commands;
}

/* The tag of the next command. */
static uint32_t next_tag(const struct request_run *run)
{
    return run->next < run->n_judged ? run->commands[run->next].cursor_tag : CURSOR_TAG_NONE;
}

/*
 * A cursor whose server is not served any more fails, and nothing else does.
 * @return false: the next command has no cursor to be found a server for; else `pool_conn` is that
 * server's, NULL none now.
 */
static bool find_cursor_pool_conn(struct request_run *run, struct pool_conn **pool_conn, bool *over)
{
    while (find_next(run) && next_tag(run) != CURSOR_TAG_NONE) {
        bool lost = false;
        struct pool_endpoint *endpoint = pool_route_find_cursor(run, next_tag(run), over, &lost);

        if (!lost) {
            *pool_conn = endpoint ? endpoint_cursor_pool_conn(endpoint, next_tag(run)) : NULL;
            return true;
        }
        command_run_lose_scan(run, run->next, SCAN_LOST);
    }
    return false;
}

/*
 * Whether the next command may be written here: a cursor goes to its own server, and one that comes
 * back gets this one's tag.
 */
static bool fits_cursor(struct request_run *run, struct pool_conn *pool_conn)
{
    const struct command_run *command_run = &run->commands[run->next];

    if (!command_run->scans) {
        return true;
    }
    if (pool_conn->cursor_tag == CURSOR_TAG_NONE) {
        pool_conn_ask_run_id(pool_conn);
    }
    return pool_conn->cursor_tag != CURSOR_TAG_NONE &&
           (command_run->cursor_tag == CURSOR_TAG_NONE ||
            command_run->cursor_tag == pool_conn->cursor_tag);
}

/* What is on the wire already must not be overtaken: its connection, while there is one. */
static struct pool_conn *find_pool_conn(struct request_run *run, bool *over)
{
    struct pool_conn *pool_conn = NULL;
    struct pool_endpoint *endpoint;

    if (run->n[COMMAND_IN_FLIGHT] > 0) {
        return pool_route_may_follow(run) && pool_conn_takes(run->pool_conn) ? run->pool_conn
                                                                             : NULL;
    }
    if (find_cursor_pool_conn(run, &pool_conn, over) || request_run_has_ended(run)) {
        return pool_conn;
    }
    endpoint = pool_route_find(run, over);
    return endpoint ? endpoint_pool_conn(endpoint) : NULL;
}

/*
 * Where an ACL refuses MULTI, the members would run one by one: so that is asked first, once a
 * node. @return false: not yet known. Where it is refused the transaction has ended.
 */
static bool may_transact(struct request_run *run, struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    if (endpoint->multi != MULTI_KNOWN) {
        endpoint_ask_multi(pool_conn);
        return false;
    }
    if (endpoint->multi_refusal[0] != '\0') {
        endpoint_doubt_multi(endpoint); /* the next one asks again: rights may change */
        command_run_fails(run, 0, OUTCOME_ERROR, "%s", endpoint->multi_refusal);
    }
    return true;
}

/* Whoever had to wait may have hung up meanwhile. */
static bool caller_is_gone(const struct request_run *run)
{
    const struct pool_request *request = run->request;

    return !run->is_new && request->caller_is_gone && request->caller_is_gone(request->data);
}

/*
 * When a command is sent: once it was judged by the command table; while the watcher lives; when
 * there is an endpoint that it may go to, and a connection that takes it; in a transaction, where
 * MULTI may be said; as a write, while no fence is up; with a cursor, on the cursor's server; and
 * after it has waited, if its caller is still there. Those of a request are sent in their order.
 */
static enum progress send_what_may_go(struct request_run *run)
{
    const char *ask;
    bool judged = request_run_judge(run, &ask), over = false, looked = false;
    struct pool_conn *pool_conn = NULL;

    if (judged && run->request->stream && find_next(run)) {
        command_run_ends(run, run->next, OUTCOME_DONE);
    }
    if (judged && !find_next(run)) {
        return PROGRESS_SENT; /* all of it was refused, or that it may run was all to be known */
    }
    if (!pool_is_stalled(run->master_pool->pool)) {
        pool_conn = find_pool_conn(run, &over);
    }
    if (judged && !find_next(run)) {
        return PROGRESS_SENT; /* what was left has lost its servers */
    }
    if (pool_conn && ask) {
        table_fetch_name(run->master_pool, pool_conn, ask);
    }
    if (!pool_conn || (run->request->transaction && (!judged || !may_transact(run, pool_conn)))) {
        return over ? PROGRESS_OVER : PROGRESS_WAITS;
    }
    while (find_next(run) && run->next < run->n_judged) {
        if (is_held_by_fence(run, run->next) || !fits_cursor(run, pool_conn)) {
            return PROGRESS_WAITS;
        }
        if (!looked && caller_is_gone(run)) {
            return PROGRESS_UNWANTED;
        }
        looked = true;
        send(run, run->next, pool_conn);
    }
    return judged ? PROGRESS_SENT : PROGRESS_WAITS;
}

bool request_run_send(struct request_run *run)
{
    char words[RESULT_ERROR_SIZE];

    if (run->master_pool->pool->draining) {
        request_run_refuse(run, "NOTSENT the daemon is shutting down; this was not sent");
        return true;
    }
    switch (send_what_may_go(run)) {
    case PROGRESS_SENT:
        request_run_release_fence(run);
        run->rest_until_ms = 0;
        request_run_stop_waiting(run);
        break;
    case PROGRESS_OVER: request_run_refuse(run, why_over(run, words)); break;
    case PROGRESS_UNWANTED: request_run_refuse(run, "NOTSENT the caller has gone"); break;
    case PROGRESS_WAITS:
        if (!is_queue_full(run)) {
            return false;
        }
        run->request->queue_full = true;
        request_run_refuse(run, "NOTSENT as many requests wait as may (option max-pending)");
    }
    return true;
}

/* ---- giving up ---- */

/* What it waited for at last. */
static void say_late(struct request_run *run, char *out, size_t size)
{
    const struct master_pool *master_pool = run->master_pool;
    const struct pool_endpoint *endpoint =
        run->target == POOL_MASTER ? master_pool->master : run->replica;
    int64_t ms = master_pool->pool->config->command_timeout_ms;
    /* then it is what stands before the connection that it waits for */
    bool is_ready = endpoint && endpoint_is_ready(endpoint);
    bool is_held = master_pool->fence != FENCE_DOWN && run->fenced_us != 0 && find_next(run) &&
                   !run->commands[run->next].read_only;

    if (pool_route_has_no_master(master_pool, run->target == POOL_MASTER, out, size)) {
        return;
    }
    if (is_held && master_pool->shown && master_pool->shown->contradicted) {
        snprintf(
            out, size,
            "NOTSENT contradicted: held back for %" PRId64
            " ms, because most Sentinels name another node than the master, and both say master",
            ms);
    } else if (is_held) {
        snprintf(out, size,
                 "NOTSENT fence: held back by a failover that came to no end within %" PRId64 " ms",
                 ms);
    } else if (run->rest_until_ms > clock_boot_ms()) {
        snprintf(out, size,
                 "NOTSENT it rested, to be sent again, when its %" PRId64 " ms were over", ms);
    } else if (is_ready && (run->n_judged < run->request->batch->n ||
                            (run->request->transaction && endpoint->multi != MULTI_KNOWN))) {
        snprintf(
            out, size,
            "NOTSENT connection: the server has not answered what it is asked first (COMMAND, MULTI) within "
            "%" PRId64 " ms",
            ms);
    } else if (is_ready) {
        snprintf(out, size,
                 "NOTSENT queue: the connections have taken nothing more within %" PRId64
                 " ms, for what was sent before",
                 ms);
    } else {
        snprintf(out, size, "NOTSENT no connection within %" PRId64 " ms%s%.120s", ms,
                 master_pool->trouble[0] != '\0' ? ": " : "", master_pool->trouble);
    }
}

/*
 * What is in flight stays so, and is answered to nobody. @return what redis_conn_received() said
 * when the oldest of it was sent.
 */
static uint64_t orphan(struct request_run *run)
{
    uint64_t received = UINT64_MAX;

    for (size_t i = 0; i < run->request->n_commands; i++) {
        struct in_flight *flight = run->commands[i].flight;

        if (run->commands[i].state == COMMAND_IN_FLIGHT) {
            flight->run = NULL;
            received = flight->expect.received < received ? flight->expect.received : received;
        }
    }
    return received;
}

void request_run_expire(struct request_run *run)
{
    char words[RESULT_ERROR_SIZE];
    uint64_t received = orphan(run);
    struct pool_conn *pool_conn = run->pool_conn;
    size_t n = run->n[COMMAND_IN_FLIGHT];
    size_t left = run->request->n_commands - run->n[COMMAND_ENDED];

    request_run_stop_deadline(run);
    say_late(run, words, sizeof(words));
    request_run_stop_waiting(run);
    for (size_t i = 0; left > 0; i++) {
        enum command_state state = run->commands[i].state;

        left -= state != COMMAND_ENDED;
        if (state == COMMAND_HELD) {
            buffer_release(&run->request->commands[i].json);
            command_run_say_unknown(run, i, MISHAP_FENCED);
        } else if (state == COMMAND_IN_FLIGHT) {
            command_run_say_unknown(run, i, MISHAP_DEADLINE);
        } else if (state == COMMAND_WAITING) {
            command_run_refuse(run, i, words);
        }
    }
    if (n > 0) {
        endpoint_conn_is_late(pool_conn, n, received);
    }
}
