/*
 * One request on its way: judged by the command table of commands, written as far as that may be,
 * and given up when its time is over.
 *
 * The commands of a pipeline are written in their order, and what runs again runs again in that
 * order: a read behind a command that has to run again is run again, too, since it must see what
 * that one did.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "pool_internal.h"

enum { REST_MIN_MS = 50, REST_MAX_MS = 500 };

/* ---- the end ---- */

static void release_fence(struct request_run *run)
{
    struct metrics_redis *counts = run->master_pool->pool->counts;

    if (run->held_us == 0) {
        return;
    }
    metric_observe(&counts->fence, METRIC_FENCE_SECONDS, clock_boot_us() - run->held_us);
    run->held_us = 0;
}

static void finish(struct request_run *run)
{
    struct pool *pool = run->master_pool->pool;
    struct pool_request *request = run->request;

    release_fence(run);
    master_pool_dequeue(run->master_pool, run);
    held_replies_forget(run);
    pool_unlink(pool, run);
    if (--run->master_pool->n_runs == 0 && !run->master_pool->shown) {
        master_pool_wake(run->master_pool); /* which may go now */
    }
    metric_observe(&pool->counts->duration, METRIC_COMMAND_DURATION,
                   clock_boot_us() - run->arrived_us);
    if (!run->inline_ && request->done) {
        request->done(request);
    }
}

/* A transaction is one item that stands for all its members. */
static size_t commands_of(const struct pool_request *request)
{
    return request->transaction ? request->batch->n : 1;
}

void request_run_item_ends(struct request_run *run, size_t i, enum item_outcome outcome)
{
    struct metrics_redis *counts = run->master_pool->pool->counts;

    run->request->items[i].outcome = outcome;
    metric_add(&counts->commands[outcome], commands_of(run->request));
    if (--run->pending == 0) {
        finish(run);
    }
}

void request_run_item_fails(struct request_run *run, size_t i, enum item_outcome outcome,
                            const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->request->items[i].words, sizeof(run->request->items[i].words), format,
              arguments);
    va_end(arguments);
    request_run_item_ends(run, i, outcome);
}

/* ---- what may run ---- */

/* @param facts  of the command, or of the whole transaction. @return NULL: it may; else why not. */
static const char *why_denied(const struct pool_request *request, const struct command_facts *facts)
{
    if (!facts->allowed) {
        return facts->rule;
    }
    return request->read_only && !facts->read_only ? request->read_only : NULL;
}

/* Redis' words for it, which a transaction begins with those of EXEC. */
static void say_unknown_command(struct request_run *run, size_t i, size_t number)
{
    size_t size;
    const char *name = batch_name(run->request->batch, i + number, &size);

    if (run->request->transaction) {
        request_run_item_fails(
            run, i, ITEM_BAD,
            "EXECABORT Transaction discarded because of previous errors. (command %zu: ERR unknown "
            "command '%.*s')",
            number + 1, (int)size, name);
    } else {
        request_run_item_fails(run, i, ITEM_BAD, "ERR unknown command '%.*s'", (int)size, name);
    }
}

#define SCAN_LOST \
    "SCANLOST the server that this cursor belongs to is not served any more: begin the scan again, with 0"
#define SCAN_LARGE \
    "SCANLOST the server's own cursor was too large to be handed out: this scan can't go on through this daemon"

static void lose_scan(struct request_run *run, size_t i, const char *words)
{
    run->request->scan_lost = true;
    request_run_item_fails(run, i, ITEM_NOT_SENT, "%s", words);
}

/*
 * What the caller sent becomes the server's own cursor, in the same room: zeros in front change no
 * number.
 * @param at  which argument it is. @return whether the command may go on.
 */
static bool judge_cursor(struct request_run *run, size_t i, size_t number, size_t at)
{
    struct batch *batch = run->request->batch;
    struct command *command = &batch->commands[i + number];
    struct item_state *state = &run->states[i];
    uint32_t tag = CURSOR_TAG_NONE;
    uint64_t theirs = 0;
    size_t size;
    char *text;

    if (command->arguments <= at) {
        return true; /* the server says what is missing */
    }
    text = batch_argument(batch, i + number, at, &size);
    switch (cursor_read(text, size, &tag, &theirs)) {
    case CURSOR_INVALID:
        request_run_item_fails(run, i, ITEM_BAD, "ERR invalid cursor");
        return false;
    case CURSOR_LARGE: lose_scan(run, i, SCAN_LARGE); return false;
    case CURSOR_BEGINNING: break;
    case CURSOR_TAGGED:
        if (tag == CURSOR_TAG_NONE ||
            (state->cursor_tag != CURSOR_TAG_NONE && state->cursor_tag != tag)) {
            lose_scan(run, i, SCAN_LOST);
            return false;
        }
        state->cursor_tag = tag;
        for (size_t k = size; k-- > 0; theirs /= 10) {
            text[k] = (char)('0' + theirs % 10);
        }
        break;
    }
    command->scans = true;
    state->scans = true;
    return true;
}

/*
 * @param number  of the transaction's commands, from 0. @param ask  set: this name has to be asked
 * for first.
 * @return whether it may run.
 */
static bool judge_command(struct request_run *run, size_t i, size_t number, const char **ask)
{
    const struct batch *batch = run->request->batch;
    const struct command *command = &batch->commands[i + number];
    struct metrics_redis *counts = run->master_pool->pool->counts;
    struct item_state *state = &run->states[i];
    struct command_facts facts;
    const char *why;
    char where[48] = "";

    command_table_look(run->master_pool->commands_table, command->name, command->sub, &facts);
    *ask = facts.ask;
    if (facts.ask) {
        return false;
    }
    if (facts.unknown) {
        say_unknown_command(run, i, number);
        return false;
    }
    why = why_denied(run->request, &facts);
    if (!why && facts.care != COMMAND_CARE_NONE) {
        why = command_arguments_refused(facts.care, batch_wire(batch, i + number),
                                        command->arguments);
    }
    state->read_only = facts.read_only && (number == 0 || state->read_only);
    state->script = facts.script || state->script;
    if (!why && (facts.care == COMMAND_CARE_CURSOR || facts.care == COMMAND_CARE_CURSOR_OF_KEY)) {
        return judge_cursor(run, i, number, facts.care == COMMAND_CARE_CURSOR ? 1 : 2);
    }
    if (!why) {
        return true;
    }
    metric_add(&counts->policy_refusals, 1);
    if (run->request->transaction) {
        snprintf(where, sizeof(where), "command %zu: ", number + 1);
    }
    request_run_item_fails(run, i, ITEM_DENIED,
                           "NOPERM %sthis daemon does not run '%s' for you: %s", where,
                           command->name, why);
    return false;
}

/* @return whether the next one is to be looked at. */
static bool judge_next(struct request_run *run, const char **ask)
{
    const struct pool_request *request = run->request;
    size_t i = run->n_judged;

    if (request->transaction) {
        return judge_command(run, 0, i, ask);
    }
    if (request->batch->commands[i].error) {
        request_run_item_fails(run, i, ITEM_BAD, "BADREQUEST %s",
                               request->batch->commands[i].error);
    } else {
        (void)judge_command(run, i, 0, ask);
    }
    return !*ask;
}

/*
 * All of them, once. @param ask  set where the server has to be asked for a name first. @return
 *                                false: not yet.
 */
static bool judge(struct request_run *run, const char **ask)
{
    *ask = NULL;
    if (run->judged) {
        return true;
    }
    if (!run->master_pool->commands_table) {
        return false;
    }
    command_table_forget(run->master_pool->commands_table, run->arrived_us / 1000);
    while (run->n_judged < run->request->batch->n && judge_next(run, ask)) {
        run->n_judged++;
    }
    run->judged = !*ask;
    return run->judged;
}

/* ---- running again ---- */

void request_run_run_again(struct request_run *run, size_t i, enum metric_retry why)
{
    metric_add(&run->master_pool->pool->counts->retries[why], 1);
    if (i < run->next_item) {
        run->next_item = i;
    }
    master_pool_enqueue(run->master_pool, run);
    master_pool_wake(run->master_pool);
}

void request_run_rest(struct request_run *run)
{
    run->rest_until_ms = clock_boot_ms() + REST_MIN_MS + jitter_below(REST_MAX_MS - REST_MIN_MS);
}

void request_run_begin_endpoint(struct request_run *run)
{
    run->rest_until_ms = 0;
    for (size_t i = 0; i < run->request->n_items; i++) {
        run->states[i].unsent = run->states[i].resent = 0;
    }
}

void request_run_leave_endpoint(struct request_run *run, const struct address *address)
{
    run->endpoint = NULL;
    request_run_begin_endpoint(run);
    run->tried = mem_resize(run->tried, run->n_tried + 1, sizeof(*run->tried));
    run->tried[run->n_tried++] = *address;
    master_pool_wake(run->master_pool);
}

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
    struct in_flight *flight = in_flight_new(pool_conn->endpoint->master_pool->pool);

    result_init(&flight->expect.result, request->base64,
                request->transaction ? (unsigned)request->batch->n : 0);
    if (run->states[i].scans) {
        expect_cursors(&flight->expect.result, request->batch, i, commands_of(request),
                       pool_conn->cursor_tag);
    }
    flight->expect.done = in_flight_done;
    flight->pool_conn = pool_conn;
    flight->run = run;
    flight->item = i;
    run->states[i].flight = flight;
    run->pool_conn = pool_conn;
    run->flying++;
    pool_conn->in_flight++;
    pool_conn->live++;
    pool_conn_count(pool_conn);
    metric_move(&pool_conn->endpoint->master_pool->pool->counts->inflight, 1);
    request->ran_at = pool_conn->endpoint->address;
    request->has_ran_at = true;
    if (request->transaction) {
        send_transaction(pool_conn, request->batch, flight);
    } else {
        redis_conn_send(pool_conn->conn, batch_wire(request->batch, i),
                        request->batch->commands[i].size, &flight->expect);
    }
}

/* ---- where to ---- */

static bool is_for_master(const struct request_run *run)
{
    return run->request->target == POOL_MASTER || run->to_master;
}

/* The connections to the published master. @return NULL: there is none that commands may go to. */
static struct pool_endpoint *master_endpoint(struct master_pool *master_pool)
{
    if (!master_pool->serves || pool_is_stalled(master_pool->pool)) {
        return NULL;
    }
    if (!master_pool->master) {
        master_pool->book_is_old =
            master_pool->book_is_old || master_pool->switches != master_pool->shown->switches;
        master_pool->switches = master_pool->shown->switches;
        master_pool->master = endpoint_new(master_pool, &master_pool->shown->address, false);
    }
    return master_pool->master;
}

/* The replica that it runs on. @return NULL: there is none, or the master is to stand in. */
static struct pool_endpoint *replica_endpoint(struct request_run *run)
{
    struct master_pool *master_pool = run->master_pool;

    if (pool_is_stalled(master_pool->pool)) {
        return NULL;
    }
    if (run->endpoint && !master_pool_may_use_replica(master_pool, run, &run->endpoint->address)) {
        run->endpoint = NULL; /* no longer */
    }
    if (!run->endpoint) {
        run->endpoint = master_pool_choose_replica(master_pool, run);
    }
    if (!run->endpoint && master_pool->pool->config->replica_fallback) {
        run->to_master = true;
    }
    return run->endpoint;
}

static bool is_held_by_fence(struct request_run *run, size_t i)
{
    if (run->master_pool->fence == FENCE_DOWN || run->states[i].read_only) {
        return false;
    }
    if (run->held_us == 0) {
        run->held_us = clock_boot_us();
        metric_add(&run->master_pool->pool->counts->fence_holds, 1);
    }
    return true;
}

static bool is_queue_full(const struct request_run *run)
{
    const struct pool *pool = run->master_pool->pool;

    return run->inline_ &&
           atomic_load_explicit(pool->waiting, memory_order_relaxed) >= pool->config->max_pending;
}

/* ---- going ---- */

static const char *why_over(const struct request_run *run, char out[RESULT_ERROR_SIZE])
{
    if (run->abandoned) {
        return "NOTSENT the caller has gone";
    }
    if (is_for_master(run)) {
        snprintf(out, RESULT_ERROR_SIZE, "NOTSENT no connection: %.200s",
                 run->master_pool->trouble);
        return out;
    }
    return run->n_tried > 0 ? "NOTSENT no healthy replica could run it"
                            : "NOTSENT there is no healthy replica (see option replica-fallback)";
}

/* Where its commands go now. @return NULL: nowhere; with `over` set they never will. */
static struct pool_endpoint *find_endpoint(struct request_run *run, bool *over)
{
    struct pool_endpoint *endpoint = is_for_master(run) ? NULL : replica_endpoint(run);

    if (is_for_master(run)) {
        endpoint = master_endpoint(run->master_pool);
        *over = endpoint && endpoint->hopeless && endpoint->n_pool_conns == 0 &&
                endpoint_rests(endpoint);
        return *over ? NULL : endpoint;
    }
    *over = !endpoint && run->master_pool->shown && !pool_is_stalled(run->master_pool->pool);
    return endpoint;
}

/* What goes out behind others of its request meets the conditions that they met. */
static bool may_follow(const struct request_run *run)
{
    const struct pool_endpoint *endpoint = run->pool_conn->endpoint;

    if (pool_is_stalled(run->master_pool->pool)) {
        return false;
    }
    if (endpoint->is_replica) {
        return master_pool_may_use_replica(run->master_pool, run, &endpoint->address);
    }
    return run->master_pool->serves;
}

/* Neither over, nor sent and waited for, nor answered in doubt. */
static bool is_unsent(const struct request_run *run, size_t i)
{
    return run->request->items[i].outcome == ITEM_PENDING && !run->states[i].flight &&
           run->states[i].doubted_ms == 0;
}

/* The next item that has to be written. */
static bool find_item(struct request_run *run)
{
    const struct pool_request *request = run->request;

    while (run->next_item < request->n_items && !is_unsent(run, run->next_item)) {
        run->next_item++;
    }
    return run->next_item < request->n_items;
}

/* The server of a cursor. @return NULL: there is none now; with `lost` set there won't be. */
static struct pool_endpoint *find_cursor_endpoint(struct request_run *run, uint32_t tag, bool *over,
                                                  bool *lost)
{
    struct master_pool *master_pool = run->master_pool;
    struct pool_endpoint *endpoint, *master = NULL;
    enum cursor_owner owner;

    if (run->request->target == POOL_MASTER) {
        endpoint = find_endpoint(run, over);
        *lost = endpoint && endpoint_owns_cursor(endpoint, tag) == CURSOR_OWNER_NOT;
        return *lost ? NULL : endpoint;
    }
    if (!master_pool->shown || pool_is_stalled(master_pool->pool)) {
        return NULL;
    }
    endpoint = master_pool_find_replica(master_pool, run, tag);
    if (master_pool->pool->config->replica_fallback) {
        master = master_endpoint(master_pool);
    }
    owner = master ? endpoint_owns_cursor(master, tag) : CURSOR_OWNER_NOT;
    if (owner == CURSOR_OWNER_IS ||
        (!endpoint && owner == CURSOR_OWNER_PERHAPS && !endpoint_rests(master))) {
        endpoint = master;
    }
    *lost = !endpoint;
    if (endpoint) {
        run->to_master = endpoint == master;
        run->endpoint = endpoint == master ? NULL : endpoint;
    }
    return endpoint;
}

/* The tag of the next item. */
static uint32_t next_tag(const struct request_run *run)
{
    return run->next_item < run->n_judged ? run->states[run->next_item].cursor_tag
                                          : CURSOR_TAG_NONE;
}

/*
 * A cursor whose server is not served any more fails, and nothing else does.
 * @return false: the next item has no cursor to be found a server for; else `pool_conn` is that
 * server's, NULL none now.
 */
static bool find_cursor_pool_conn(struct request_run *run, struct pool_conn **pool_conn, bool *over)
{
    while (find_item(run) && next_tag(run) != CURSOR_TAG_NONE) {
        bool lost = false;
        struct pool_endpoint *endpoint = find_cursor_endpoint(run, next_tag(run), over, &lost);

        if (!lost) {
            *pool_conn = endpoint ? endpoint_cursor_pool_conn(endpoint, next_tag(run)) : NULL;
            return true;
        }
        lose_scan(run, run->next_item, SCAN_LOST);
    }
    return false;
}

/*
 * Whether the next item may be written here: a cursor goes to its own server, and one that comes
 * back gets this one's tag.
 */
static bool fits_cursor(struct request_run *run, struct pool_conn *pool_conn)
{
    const struct item_state *state = &run->states[run->next_item];

    if (!state->scans) {
        return true;
    }
    if (pool_conn->cursor_tag == CURSOR_TAG_NONE) {
        endpoint_ask_run_id(pool_conn);
    }
    return pool_conn->cursor_tag != CURSOR_TAG_NONE &&
           (state->cursor_tag == CURSOR_TAG_NONE || state->cursor_tag == pool_conn->cursor_tag);
}

/* What is on the wire already must not be overtaken: its line, while there is one. */
static struct pool_conn *find_pool_conn(struct request_run *run, bool *over)
{
    struct pool_conn *pool_conn = NULL;
    struct pool_endpoint *endpoint;

    if (run->flying > 0) {
        return may_follow(run) && pool_conn_takes(run->pool_conn) ? run->pool_conn : NULL;
    }
    if (find_cursor_pool_conn(run, &pool_conn, over) || run->pending == 0) {
        return pool_conn;
    }
    endpoint = find_endpoint(run, over);
    return endpoint ? endpoint_pool_conn(endpoint) : NULL;
}

/*
 * Where an ACL refuses MULTI, the members would run one by one: so that is asked first, once a
 * node. @return false: not yet known. Where it is refused the transaction has ended.
 */
static bool may_transact(struct request_run *run, struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    if (!endpoint->multi_known) {
        endpoint_ask_multi(pool_conn);
        return false;
    }
    if (endpoint->multi_refusal[0] != '\0') {
        endpoint->multi_known = false; /* the next one asks again: rights may change */
        request_run_item_fails(run, 0, ITEM_ERROR, "%s", endpoint->multi_refusal);
    }
    return true;
}

/* Whoever had to wait may have hung up meanwhile. */
static bool is_abandoned(struct request_run *run)
{
    const struct pool_request *request = run->request;

    run->abandoned =
        !run->inline_ && request->caller_is_gone && request->caller_is_gone(request->data);
    return run->abandoned;
}

/*
 * @return whether nothing is left to be written; else it waits, for a line, a master, the table, or
 * the fence's end.
 */
static bool write_on(struct request_run *run, bool *over)
{
    const char *ask;
    bool judged = judge(run, &ask), looked = false;
    struct pool_conn *pool_conn;

    if (judged && !find_item(run)) {
        return true; /* all of it was refused */
    }
    pool_conn = find_pool_conn(run, over);
    if (judged && !find_item(run)) {
        return true; /* what was left has lost its servers */
    }
    if (pool_conn && ask) {
        endpoint_ask_name(pool_conn, ask);
    }
    if (*over || !pool_conn ||
        (run->request->transaction && (!judged || !may_transact(run, pool_conn)))) {
        return false;
    }
    while (find_item(run) && run->next_item < run->n_judged) {
        if (is_held_by_fence(run, run->next_item) || !fits_cursor(run, pool_conn)) {
            return false;
        }
        if (!looked && is_abandoned(run)) {
            *over = true;
            return false;
        }
        looked = true;
        send(run, run->next_item, pool_conn);
    }
    return judged;
}

bool request_run_go(struct request_run *run)
{
    const struct pool *pool = run->master_pool->pool;
    bool over = false;

    if (pool->draining) {
        request_run_refuse(run, "NOTSENT the daemon is shutting down; this was not sent");
    } else if (write_on(run, &over)) {
        release_fence(run);
        run->rest_until_ms = 0;
        master_pool_dequeue(run->master_pool, run);
    } else if (over) {
        char words[RESULT_ERROR_SIZE];

        request_run_refuse(run, why_over(run, words));
    } else if (is_queue_full(run)) {
        run->request->queue_full = true;
        request_run_refuse(run, "NOTSENT as many requests wait as may (option max-pending)");
    } else {
        return false;
    }
    return true;
}

/* ---- giving up ---- */

/* Of a command that is to run again it is known whether it may have run before. */
void request_run_refuse_item(struct request_run *run, size_t i, const char *words)
{
    struct pool_command *item = &run->request->items[i];
    char refusal[RESULT_ERROR_SIZE / 2];

    if (run->states[i].may_have_run) {
        request_run_item_fails(
            run, i, ITEM_UNKNOWN,
            "UNKNOWN it may have run; it was to run again, and could not: %.150s", words);
        return;
    }
    snprintf(refusal, sizeof(refusal), "%.*s", (int)sizeof(refusal) - 1, item->words);
    if (refusal[0] != '\0') {
        request_run_item_fails(run, i, ITEM_NOT_SENT, "%s; before, it was refused: %s", words,
                               refusal);
    } else {
        request_run_item_fails(run, i, ITEM_NOT_SENT, "%s", words);
    }
}

void request_run_refuse(struct request_run *run, const char *words)
{
    master_pool_dequeue(run->master_pool, run);
    for (size_t i = 0, n = run->request->n_items; i < n; i++) {
        if (is_unsent(run, i)) {
            request_run_refuse_item(run, i, words);
        }
    }
}

/* Whether there is a connection: then it is what stands before it that it waits for. */
static bool is_ready(const struct pool_endpoint *endpoint)
{
    for (size_t i = 0; endpoint && i < endpoint->n_pool_conns; i++) {
        if (endpoint->pool_conns[i]->ready) {
            return true;
        }
    }
    return false;
}

/* What it waited for at last. */
static void say_late(struct request_run *run, char *out, size_t size)
{
    const struct master_pool *master_pool = run->master_pool;
    const struct pool_endpoint *endpoint = is_for_master(run) ? master_pool->master : run->endpoint;
    int64_t ms = master_pool->pool->config->command_timeout_ms;
    bool is_held = master_pool->fence != FENCE_DOWN && run->held_us != 0 && find_item(run) &&
                   !run->states[run->next_item].read_only;

    if (pool_is_stalled(master_pool->pool)) {
        snprintf(out, size, "NOMASTER the watcher gives no sign of life, so no master is known");
    } else if (is_for_master(run) && !master_pool->serves) {
        snprintf(out, size, "NOMASTER no master within %" PRId64 " ms: %s", ms,
                 master_pool->shown && master_pool->shown->detail ? master_pool->shown->detail
                                                                  : "not resolved yet");
    } else if (is_held && master_pool->shown && master_pool->shown->contradicted) {
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
    } else if (is_ready(endpoint) &&
               (!run->judged || (run->request->transaction && !endpoint->multi_known))) {
        snprintf(
            out, size,
            "NOTSENT connection: the server has not answered what it is asked first (COMMAND, MULTI) within "
            "%" PRId64 " ms",
            ms);
    } else if (is_ready(endpoint)) {
        snprintf(out, size,
                 "NOTSENT queue: the connections have taken nothing more within %" PRId64
                 " ms, for what was sent before",
                 ms);
    } else {
        snprintf(out, size, "NOTSENT no connection within %" PRId64 " ms%s%.120s", ms,
                 master_pool->trouble[0] != '\0' ? ": " : "", master_pool->trouble);
    }
}

/* What is on the wire stays there and is answered to nobody. @return how many. */
static size_t orphan(struct request_run *run, uint64_t *received)
{
    size_t n = 0;

    *received = UINT64_MAX;
    for (size_t i = 0; i < run->request->n_items; i++) {
        struct in_flight *flight = run->states[i].flight;

        if (!flight) {
            continue;
        }
        n++;
        flight->run = NULL;
        if (flight->expect.received < *received) {
            *received = flight->expect.received;
        }
    }
    return n;
}

void request_run_expire(struct request_run *run)
{
    char words[RESULT_ERROR_SIZE];
    uint64_t received;
    struct pool_conn *pool_conn = run->pool_conn;
    size_t n = orphan(run, &received), pending = run->pending;

    pool_unlink(run->master_pool->pool, run);
    say_late(run, words, sizeof(words));
    master_pool_dequeue(run->master_pool, run);
    for (size_t i = 0, n_items = run->request->n_items; i < n_items && pending > 0; i++) {
        if (run->request->items[i].outcome != ITEM_PENDING) {
            continue;
        }
        pending--;
        if (run->states[i].doubted_ms != 0) {
            request_run_drop_held_reply(run, i, false);
            request_run_say_unknown(run, i, MISHAP_FENCED);
        } else if (run->states[i].flight) {
            request_run_say_unknown(run, i, MISHAP_DEADLINE);
        } else {
            request_run_refuse_item(run, i, words);
        }
    }
    if (n > 0) {
        pool_conn_is_late(pool_conn, n, received);
    }
}
