/*
 * One job on its way: judged by the book of commands, written as far as that may be, and given up
 * when its time is over.
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

static void release_fence(struct pool_task *task)
{
    struct metrics_redis *counts = task->desk->pool->counts;

    if (task->held_us == 0) {
        return;
    }
    metric_observe(&counts->fence, METRIC_FENCE_SECONDS, clock_boot_us() - task->held_us);
    task->held_us = 0;
}

static void finish(struct pool_task *task)
{
    struct pool *pool = task->desk->pool;
    struct pool_job *job = task->job;

    release_fence(task);
    desk_dequeue(task->desk, task);
    doubts_forget(task);
    pool_unlink(pool, task);
    if (--task->desk->n_tasks == 0 && !task->desk->shown) {
        desk_wake(task->desk); /* which may go now */
    }
    metric_observe(&pool->counts->duration, METRIC_COMMAND_DURATION,
                   clock_boot_us() - task->arrived_us);
    if (!task->inline_ && job->done) {
        job->done(job);
    }
}

/* A transaction is one item that stands for all its members. */
static size_t commands_of(const struct pool_job *job)
{
    return job->transaction ? job->batch->n : 1;
}

void task_item_ends(struct pool_task *task, size_t i, enum item_outcome outcome)
{
    struct metrics_redis *counts = task->desk->pool->counts;

    task->job->items[i].outcome = outcome;
    metric_add(&counts->commands[outcome], commands_of(task->job));
    if (--task->pending == 0) {
        finish(task);
    }
}

void task_item_fails(struct pool_task *task, size_t i, enum item_outcome outcome,
                     const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(task->job->items[i].words, sizeof(task->job->items[i].words), format, arguments);
    va_end(arguments);
    task_item_ends(task, i, outcome);
}

/* ---- what may run ---- */

/* @param facts  of the command, or of the whole transaction. @return NULL: it may; else why not. */
static const char *why_denied(const struct pool_job *job, const struct command_facts *facts)
{
    if (!facts->allowed) {
        return facts->rule;
    }
    return job->read_only && !facts->read_only ? job->read_only : NULL;
}

/* Redis' words for it, which a transaction begins with those of EXEC. */
static void say_unknown_command(struct pool_task *task, size_t i, size_t number)
{
    size_t size;
    const char *name = batch_name(task->job->batch, i + number, &size);

    if (task->job->transaction) {
        task_item_fails(
            task, i, ITEM_BAD,
            "EXECABORT Transaction discarded because of previous errors. (command %zu: ERR unknown "
            "command '%.*s')",
            number + 1, (int)size, name);
    } else {
        task_item_fails(task, i, ITEM_BAD, "ERR unknown command '%.*s'", (int)size, name);
    }
}

#define SCAN_LOST \
    "SCANLOST the server that this cursor belongs to is not served any more: begin the scan again, with 0"
#define SCAN_LARGE \
    "SCANLOST the server's own cursor was too large to be handed out: this scan can't go on through this daemon"

static void lose_scan(struct pool_task *task, size_t i, const char *words)
{
    task->job->scan_lost = true;
    task_item_fails(task, i, ITEM_NOT_SENT, "%s", words);
}

/*
 * What the caller sent becomes the server's own cursor, in the same room: zeros in front change no
 * number.
 * @param at  which argument it is. @return whether the command may go on.
 */
static bool judge_cursor(struct pool_task *task, size_t i, size_t number, size_t at)
{
    struct batch *batch = task->job->batch;
    struct command *command = &batch->commands[i + number];
    struct item_state *state = &task->states[i];
    uint32_t tag = CURSOR_TAG_NONE;
    uint64_t theirs = 0;
    size_t size;
    char *text;

    if (command->arguments <= at) {
        return true; /* the server says what is missing */
    }
    text = batch_argument(batch, i + number, at, &size);
    switch (cursor_read(text, size, &tag, &theirs)) {
    case CURSOR_INVALID: task_item_fails(task, i, ITEM_BAD, "ERR invalid cursor"); return false;
    case CURSOR_LARGE: lose_scan(task, i, SCAN_LARGE); return false;
    case CURSOR_BEGINNING: break;
    case CURSOR_TAGGED:
        if (tag == CURSOR_TAG_NONE ||
            (state->cursor_tag != CURSOR_TAG_NONE && state->cursor_tag != tag)) {
            lose_scan(task, i, SCAN_LOST);
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
static bool judge_command(struct pool_task *task, size_t i, size_t number, const char **ask)
{
    const struct batch *batch = task->job->batch;
    const struct command *command = &batch->commands[i + number];
    struct metrics_redis *counts = task->desk->pool->counts;
    struct item_state *state = &task->states[i];
    struct command_facts facts;
    const char *why;
    char where[48] = "";

    command_book_look(task->desk->book, command->name, command->sub, &facts);
    *ask = facts.ask;
    if (facts.ask) {
        return false;
    }
    if (facts.unknown) {
        say_unknown_command(task, i, number);
        return false;
    }
    why = why_denied(task->job, &facts);
    if (!why && facts.care != COMMAND_CARE_NONE) {
        why = command_arguments_refused(facts.care, batch_wire(batch, i + number),
                                        command->arguments);
    }
    state->read_only = facts.read_only && (number == 0 || state->read_only);
    state->script = facts.script || state->script;
    if (!why && (facts.care == COMMAND_CARE_CURSOR || facts.care == COMMAND_CARE_CURSOR_OF_KEY)) {
        return judge_cursor(task, i, number, facts.care == COMMAND_CARE_CURSOR ? 1 : 2);
    }
    if (!why) {
        return true;
    }
    metric_add(&counts->policy_refusals, 1);
    if (task->job->transaction) {
        snprintf(where, sizeof(where), "command %zu: ", number + 1);
    }
    task_item_fails(task, i, ITEM_DENIED, "NOPERM %sthis daemon does not run '%s' for you: %s",
                    where, command->name, why);
    return false;
}

/* @return whether the next one is to be looked at. */
static bool judge_next(struct pool_task *task, const char **ask)
{
    const struct pool_job *job = task->job;
    size_t i = task->n_judged;

    if (job->transaction) {
        return judge_command(task, 0, i, ask);
    }
    if (job->batch->commands[i].error) {
        task_item_fails(task, i, ITEM_BAD, "BADREQUEST %s", job->batch->commands[i].error);
    } else {
        (void)judge_command(task, i, 0, ask);
    }
    return !*ask;
}

/*
 * All of them, once. @param ask  set where the server has to be asked for a name first. @return
 *                                false: not yet.
 */
static bool judge(struct pool_task *task, const char **ask)
{
    *ask = NULL;
    if (task->judged) {
        return true;
    }
    if (!task->desk->book) {
        return false;
    }
    command_book_forget(task->desk->book, task->arrived_us / 1000);
    while (task->n_judged < task->job->batch->n && judge_next(task, ask)) {
        task->n_judged++;
    }
    task->judged = !*ask;
    return task->judged;
}

/* ---- running again ---- */

void task_run_again(struct pool_task *task, size_t i, enum metric_retry why)
{
    metric_add(&task->desk->pool->counts->retries[why], 1);
    if (i < task->next_item) {
        task->next_item = i;
    }
    desk_enqueue(task->desk, task);
    desk_wake(task->desk);
}

void task_rest(struct pool_task *task)
{
    task->rest_until_ms = clock_boot_ms() + REST_MIN_MS + jitter_below(REST_MAX_MS - REST_MIN_MS);
}

void task_begin_node(struct pool_task *task)
{
    task->rest_until_ms = 0;
    for (size_t i = 0; i < task->job->n_items; i++) {
        task->states[i].unsent = task->states[i].resent = 0;
    }
}

void task_leave_node(struct pool_task *task, const struct address *address)
{
    task->node = NULL;
    task_begin_node(task);
    task->tried = mem_resize(task->tried, task->n_tried + 1, sizeof(*task->tried));
    task->tried[task->n_tried++] = *address;
    desk_wake(task->desk);
}

/* ---- writing ---- */

/*
 * A transaction in one piece: MULTI, its commands as they stand behind each other in the batch,
 * EXEC.
 */
static void send_transaction(struct line *line, const struct batch *batch, struct slot *slot)
{
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    struct buffer wire = {0};

    (void)buffer_reserve(&wire, batch->wire.size + sizeof(multi) + sizeof(exec));
    buffer_add(&wire, multi, sizeof(multi) - 1);
    for (size_t i = 0; i < batch->n; i++) {
        buffer_add(&wire, batch_wire(batch, i), batch->commands[i].size);
    }
    buffer_add(&wire, exec, sizeof(exec) - 1);
    redis_conn_send(line->conn, wire.bytes, wire.size, &slot->expect);
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

static void send(struct pool_task *task, size_t i, struct line *line)
{
    struct pool_job *job = task->job;
    struct slot *slot = slot_new(line->node->desk->pool);

    result_init(&slot->expect.result, job->base64, job->transaction ? (unsigned)job->batch->n : 0);
    if (task->states[i].scans) {
        expect_cursors(&slot->expect.result, job->batch, i, commands_of(job), line->cursor_tag);
    }
    slot->expect.done = slot_done;
    slot->line = line;
    slot->task = task;
    slot->item = i;
    task->states[i].slot = slot;
    task->line = line;
    task->flying++;
    line->in_flight++;
    line->live++;
    line_count(line);
    metric_move(&line->node->desk->pool->counts->inflight, 1);
    job->ran_at = line->node->address;
    job->has_ran_at = true;
    if (job->transaction) {
        send_transaction(line, job->batch, slot);
    } else {
        redis_conn_send(line->conn, batch_wire(job->batch, i), job->batch->commands[i].size,
                        &slot->expect);
    }
}

/* ---- where to ---- */

static bool is_for_master(const struct pool_task *task)
{
    return task->job->target == POOL_MASTER || task->to_master;
}

/* The connections to the published master. @return NULL: there is none that commands may go to. */
static struct node *master_node(struct desk *desk)
{
    if (!desk->serves || pool_is_stalled(desk->pool)) {
        return NULL;
    }
    if (!desk->master) {
        desk->book_is_old = desk->book_is_old || desk->switches != desk->shown->switches;
        desk->switches = desk->shown->switches;
        desk->master = node_new(desk, &desk->shown->address, false);
    }
    return desk->master;
}

/* The replica that it runs on. @return NULL: there is none, or the master is to stand in. */
static struct node *replica_node(struct pool_task *task)
{
    struct desk *desk = task->desk;

    if (pool_is_stalled(desk->pool)) {
        return NULL;
    }
    if (task->node && !desk_may_use_replica(desk, task, &task->node->address)) {
        task->node = NULL; /* no longer */
    }
    if (!task->node) {
        task->node = desk_choose_replica(desk, task);
    }
    if (!task->node && desk->pool->config->replica_fallback) {
        task->to_master = true;
    }
    return task->node;
}

static bool is_held_by_fence(struct pool_task *task, size_t i)
{
    if (task->desk->fence == FENCE_DOWN || task->states[i].read_only) {
        return false;
    }
    if (task->held_us == 0) {
        task->held_us = clock_boot_us();
        metric_add(&task->desk->pool->counts->fence_holds, 1);
    }
    return true;
}

static bool is_queue_full(const struct pool_task *task)
{
    const struct pool *pool = task->desk->pool;

    return task->inline_ &&
           atomic_load_explicit(pool->waiting, memory_order_relaxed) >= pool->config->max_pending;
}

/* ---- going ---- */

static const char *why_over(const struct pool_task *task, char out[RESULT_ERROR_SIZE])
{
    if (task->abandoned) {
        return "NOTSENT the caller has gone";
    }
    if (is_for_master(task)) {
        snprintf(out, RESULT_ERROR_SIZE, "NOTSENT no connection: %.200s", task->desk->trouble);
        return out;
    }
    return task->n_tried > 0 ? "NOTSENT no healthy replica could run it"
                             : "NOTSENT there is no healthy replica (see option replica-fallback)";
}

/* Where its commands go now. @return NULL: nowhere; with `over` set they never will. */
static struct node *find_node(struct pool_task *task, bool *over)
{
    struct node *node = is_for_master(task) ? NULL : replica_node(task);

    if (is_for_master(task)) {
        node = master_node(task->desk);
        *over = node && node->hopeless && node->n_lines == 0 && node_rests(node);
        return *over ? NULL : node;
    }
    *over = !node && task->desk->shown && !pool_is_stalled(task->desk->pool);
    return node;
}

/* What goes out behind others of its request meets the conditions that they met. */
static bool may_follow(const struct pool_task *task)
{
    const struct node *node = task->line->node;

    if (pool_is_stalled(task->desk->pool)) {
        return false;
    }
    if (node->is_replica) {
        return desk_may_use_replica(task->desk, task, &node->address);
    }
    return task->desk->serves;
}

/* Neither over, nor sent and waited for, nor answered in doubt. */
static bool is_unsent(const struct pool_task *task, size_t i)
{
    return task->job->items[i].outcome == ITEM_PENDING && !task->states[i].slot &&
           task->states[i].doubted_ms == 0;
}

/* The next item that has to be written. */
static bool find_item(struct pool_task *task)
{
    const struct pool_job *job = task->job;

    while (task->next_item < job->n_items && !is_unsent(task, task->next_item)) {
        task->next_item++;
    }
    return task->next_item < job->n_items;
}

/* The server of a cursor. @return NULL: there is none now; with `lost` set there won't be. */
static struct node *find_cursor_node(struct pool_task *task, uint32_t tag, bool *over, bool *lost)
{
    struct desk *desk = task->desk;
    struct node *node, *master = NULL;
    enum cursor_owner owner;

    if (task->job->target == POOL_MASTER) {
        node = find_node(task, over);
        *lost = node && node_owns_cursor(node, tag) == CURSOR_OWNER_NOT;
        return *lost ? NULL : node;
    }
    if (!desk->shown || pool_is_stalled(desk->pool)) {
        return NULL;
    }
    node = desk_find_replica(desk, task, tag);
    if (desk->pool->config->replica_fallback) {
        master = master_node(desk);
    }
    owner = master ? node_owns_cursor(master, tag) : CURSOR_OWNER_NOT;
    if (owner == CURSOR_OWNER_IS ||
        (!node && owner == CURSOR_OWNER_PERHAPS && !node_rests(master))) {
        node = master;
    }
    *lost = !node;
    if (node) {
        task->to_master = node == master;
        task->node = node == master ? NULL : node;
    }
    return node;
}

/* The tag of the next item. */
static uint32_t next_tag(const struct pool_task *task)
{
    return task->next_item < task->n_judged ? task->states[task->next_item].cursor_tag
                                            : CURSOR_TAG_NONE;
}

/*
 * A cursor whose server is not served any more fails, and nothing else does.
 * @return false: the next item has no cursor to be found a server for; else `line` is that
 * server's, NULL none now.
 */
static bool find_cursor_line(struct pool_task *task, struct line **line, bool *over)
{
    while (find_item(task) && next_tag(task) != CURSOR_TAG_NONE) {
        bool lost = false;
        struct node *node = find_cursor_node(task, next_tag(task), over, &lost);

        if (!lost) {
            *line = node ? node_cursor_line(node, next_tag(task)) : NULL;
            return true;
        }
        lose_scan(task, task->next_item, SCAN_LOST);
    }
    return false;
}

/*
 * Whether the next item may be written here: a cursor goes to its own server, and one that comes
 * back gets this one's tag.
 */
static bool fits_cursor(struct pool_task *task, struct line *line)
{
    const struct item_state *state = &task->states[task->next_item];

    if (!state->scans) {
        return true;
    }
    if (line->cursor_tag == CURSOR_TAG_NONE) {
        node_ask_run_id(line);
    }
    return line->cursor_tag != CURSOR_TAG_NONE &&
           (state->cursor_tag == CURSOR_TAG_NONE || state->cursor_tag == line->cursor_tag);
}

/* What is on the wire already must not be overtaken: its line, while there is one. */
static struct line *find_line(struct pool_task *task, bool *over)
{
    struct line *line = NULL;
    struct node *node;

    if (task->flying > 0) {
        return may_follow(task) && line_takes(task->line) ? task->line : NULL;
    }
    if (find_cursor_line(task, &line, over) || task->pending == 0) {
        return line;
    }
    node = find_node(task, over);
    return node ? node_line(node) : NULL;
}

/*
 * Where an ACL refuses MULTI, the members would run one by one: so that is asked first, once a
 * node. @return false: not yet known. Where it is refused the transaction has ended.
 */
static bool may_transact(struct pool_task *task, struct line *line)
{
    struct node *node = line->node;

    if (!node->multi_known) {
        node_ask_multi(line);
        return false;
    }
    if (node->multi_refusal[0] != '\0') {
        node->multi_known = false; /* the next one asks again: rights may change */
        task_item_fails(task, 0, ITEM_ERROR, "%s", node->multi_refusal);
    }
    return true;
}

/* Whoever had to wait may have hung up meanwhile. */
static bool is_abandoned(struct pool_task *task)
{
    const struct pool_job *job = task->job;

    task->abandoned = !task->inline_ && job->caller_is_gone && job->caller_is_gone(job->data);
    return task->abandoned;
}

/*
 * @return whether nothing is left to be written; else it waits, for a line, a master, the table, or
 * the fence's end.
 */
static bool write_on(struct pool_task *task, bool *over)
{
    const char *ask;
    bool judged = judge(task, &ask), looked = false;
    struct line *line;

    if (judged && !find_item(task)) {
        return true; /* all of it was refused */
    }
    line = find_line(task, over);
    if (judged && !find_item(task)) {
        return true; /* what was left has lost its servers */
    }
    if (line && ask) {
        node_ask_name(line, ask);
    }
    if (*over || !line || (task->job->transaction && (!judged || !may_transact(task, line)))) {
        return false;
    }
    while (find_item(task) && task->next_item < task->n_judged) {
        if (is_held_by_fence(task, task->next_item) || !fits_cursor(task, line)) {
            return false;
        }
        if (!looked && is_abandoned(task)) {
            *over = true;
            return false;
        }
        looked = true;
        send(task, task->next_item, line);
    }
    return judged;
}

bool task_go(struct pool_task *task)
{
    const struct pool *pool = task->desk->pool;
    bool over = false;

    if (pool->draining) {
        task_refuse(task, "NOTSENT the daemon is shutting down; this was not sent");
    } else if (write_on(task, &over)) {
        release_fence(task);
        task->rest_until_ms = 0;
        desk_dequeue(task->desk, task);
    } else if (over) {
        char words[RESULT_ERROR_SIZE];

        task_refuse(task, why_over(task, words));
    } else if (is_queue_full(task)) {
        task->job->queue_full = true;
        task_refuse(task, "NOTSENT as many requests wait as may (option max-pending)");
    } else {
        return false;
    }
    return true;
}

/* ---- giving up ---- */

/* Of a command that is to run again it is known whether it may have run before. */
void task_refuse_item(struct pool_task *task, size_t i, const char *words)
{
    struct pool_item *item = &task->job->items[i];
    char refusal[RESULT_ERROR_SIZE / 2];

    if (task->states[i].may_have_run) {
        task_item_fails(task, i, ITEM_UNKNOWN,
                        "UNKNOWN it may have run; it was to run again, and could not: %.150s",
                        words);
        return;
    }
    snprintf(refusal, sizeof(refusal), "%.*s", (int)sizeof(refusal) - 1, item->words);
    if (refusal[0] != '\0') {
        task_item_fails(task, i, ITEM_NOT_SENT, "%s; before, it was refused: %s", words, refusal);
    } else {
        task_item_fails(task, i, ITEM_NOT_SENT, "%s", words);
    }
}

void task_refuse(struct pool_task *task, const char *words)
{
    desk_dequeue(task->desk, task);
    for (size_t i = 0, n = task->job->n_items; i < n; i++) {
        if (is_unsent(task, i)) {
            task_refuse_item(task, i, words);
        }
    }
}

/* Whether there is a connection: then it is what stands before it that it waits for. */
static bool is_ready(const struct node *node)
{
    for (size_t i = 0; node && i < node->n_lines; i++) {
        if (node->lines[i]->ready) {
            return true;
        }
    }
    return false;
}

/* What it waited for at last. */
static void say_late(struct pool_task *task, char *out, size_t size)
{
    const struct desk *desk = task->desk;
    const struct node *node = is_for_master(task) ? desk->master : task->node;
    int64_t ms = desk->pool->config->command_timeout_ms;
    bool is_held = desk->fence != FENCE_DOWN && task->held_us != 0 && find_item(task) &&
                   !task->states[task->next_item].read_only;

    if (pool_is_stalled(desk->pool)) {
        snprintf(out, size, "NOMASTER the watcher gives no sign of life, so no master is known");
    } else if (is_for_master(task) && !desk->serves) {
        snprintf(out, size, "NOMASTER no master within %" PRId64 " ms: %s", ms,
                 desk->shown && desk->shown->detail ? desk->shown->detail : "not resolved yet");
    } else if (is_held && desk->shown && desk->shown->contradicted) {
        snprintf(
            out, size,
            "NOTSENT contradicted: held back for %" PRId64
            " ms, because most Sentinels name another node than the master, and both say master",
            ms);
    } else if (is_held) {
        snprintf(out, size,
                 "NOTSENT fence: held back by a failover that came to no end within %" PRId64 " ms",
                 ms);
    } else if (task->rest_until_ms > clock_boot_ms()) {
        snprintf(out, size,
                 "NOTSENT it rested, to be sent again, when its %" PRId64 " ms were over", ms);
    } else if (is_ready(node) &&
               (!task->judged || (task->job->transaction && !node->multi_known))) {
        snprintf(
            out, size,
            "NOTSENT connection: the server has not answered what it is asked first (COMMAND, MULTI) within "
            "%" PRId64 " ms",
            ms);
    } else if (is_ready(node)) {
        snprintf(out, size,
                 "NOTSENT queue: the connections have taken nothing more within %" PRId64
                 " ms, for what was sent before",
                 ms);
    } else {
        snprintf(out, size, "NOTSENT no connection within %" PRId64 " ms%s%.120s", ms,
                 desk->trouble[0] != '\0' ? ": " : "", desk->trouble);
    }
}

/* What is on the wire stays there and is answered to nobody. @return how many. */
static size_t orphan(struct pool_task *task, uint64_t *received)
{
    size_t n = 0;

    *received = UINT64_MAX;
    for (size_t i = 0; i < task->job->n_items; i++) {
        struct slot *slot = task->states[i].slot;

        if (!slot) {
            continue;
        }
        n++;
        slot->task = NULL;
        if (slot->expect.received < *received) {
            *received = slot->expect.received;
        }
    }
    return n;
}

void task_expire(struct pool_task *task)
{
    char words[RESULT_ERROR_SIZE];
    uint64_t received;
    struct line *line = task->line;
    size_t n = orphan(task, &received), pending = task->pending;

    pool_unlink(task->desk->pool, task);
    say_late(task, words, sizeof(words));
    desk_dequeue(task->desk, task);
    for (size_t i = 0, n_items = task->job->n_items; i < n_items && pending > 0; i++) {
        if (task->job->items[i].outcome != ITEM_PENDING) {
            continue;
        }
        pending--;
        if (task->states[i].doubted_ms != 0) {
            task_drop_doubt(task, i, false);
            task_say_unknown(task, i, MISHAP_FENCED);
        } else if (task->states[i].slot) {
            task_say_unknown(task, i, MISHAP_DEADLINE);
        } else {
            task_refuse_item(task, i, words);
        }
    }
    if (n > 0) {
        line_is_late(line, n, received);
    }
}
