/*
 * Which commands of a request may run: by the rules, as the command table has them, by the token,
 * and by their arguments. A cursor becomes the server's own.
 */
#include "request_judge.h"

#include <stdio.h>

#include "bellwether/base/utf8.h"
#include "request_outcome.h"

#define NEVER_ON_REPLICAS \
    "never on replicas; GET or POST /redis/subscribe/{channel} or /redis/psubscribe/{pattern} is a stream of what is published on the master"

/*
 * What makes a stream is none of the commands that callers share a connection for, whatever the
 * rules say. @return NULL: it may; else why not.
 */
static const char *why_denied(const struct pool_request *request, const struct command_facts *facts,
                              const char *wire, size_t arguments)
{
    bool is_stream = facts->care == COMMAND_CARE_STREAM;

    if (is_stream && request->target == POOL_REPLICA) {
        return NEVER_ON_REPLICAS;
    }
    if (!facts->allowed && (!is_stream || request->stream)) {
        return facts->rule;
    }
    if (request->read_only && !facts->read_only) {
        return request->read_only;
    }
    return facts->care == COMMAND_CARE_NONE || (is_stream && request->stream)
               ? NULL
               : command_arguments_refused(facts->care, wire, arguments);
}

/* Redis' words for it, which a transaction begins with those of EXEC. */
static void say_unknown_command(struct request_run *run, size_t i, size_t number)
{
    size_t size;
    const char *name = batch_argument(run->request->batch, i + number, 0, &size);

    if (run->request->transaction) {
        command_run_fails(
            run, i, OUTCOME_BAD,
            "EXECABORT Transaction discarded because of previous errors. (command %zu: ERR unknown "
            "command '%.*s')",
            number + 1, (int)size, name);
    } else {
        command_run_fails(run, i, OUTCOME_BAD, "ERR unknown command '%.*s'", (int)size, name);
    }
}

#define SCAN_LARGE \
    "SCANLOST the server's own cursor was too large to be handed out: this scan can't go on through this daemon"

void command_run_lose_scan(struct request_run *run, size_t i, const char *words)
{
    run->request->scan_lost = true;
    command_run_fails(run, i, OUTCOME_NOT_SENT, "%s", words);
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
    struct command_run *command_run = &run->commands[i];
    uint32_t tag = CURSOR_TAG_NONE;
    uint64_t theirs = 0;
    size_t size;
    char *text;

    if (command->arguments <= at) {
        return true; /* the server says what is missing */
    }
    text = batch_argument(batch, i + number, at, &size);
    switch (cursor_read(text, size, &tag, &theirs)) {
    case CURSOR_INVALID: command_run_fails(run, i, OUTCOME_BAD, "ERR invalid cursor"); return false;
    case CURSOR_LARGE: command_run_lose_scan(run, i, SCAN_LARGE); return false;
    case CURSOR_BEGINNING: break;
    case CURSOR_TAGGED:
        if (tag == CURSOR_TAG_NONE ||
            (command_run->cursor_tag != CURSOR_TAG_NONE && command_run->cursor_tag != tag)) {
            command_run_lose_scan(run, i, SCAN_LOST);
            return false;
        }
        command_run->cursor_tag = tag;
        for (size_t k = size; k-- > 0; theirs /= 10) {
            text[k] = (char)('0' + theirs % 10);
        }
        break;
    }
    command->scans = true;
    command_run->scans = true;
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
    struct command_run *command_run = &run->commands[i];
    struct command_facts facts;
    const char *why, *name = command->name;
    char where[48] = "", shown[COMMAND_NAME_SIZE];
    size_t size;

    command_table_look(run->master_pool->commands_table, command->name, command->sub, &facts);
    *ask = facts.ask;
    if (facts.ask) {
        return false;
    }
    if (facts.unknown) {
        say_unknown_command(run, i, number);
        return false;
    }
    why = why_denied(run->request, &facts, batch_wire(batch, i + number), command->arguments);
    command_run->read_only = facts.read_only && (number == 0 || command_run->read_only);
    command_run->script = facts.script || command_run->script;
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
    if (*name == '\0') { /* it is too long, or has a NUL */
        const char *sent = batch_argument(run->request->batch, i + number, 0, &size);

        utf8_copy(sent, size, shown, sizeof(shown));
        name = shown;
    }
    command_run_fails(run, i, OUTCOME_DENIED,
                      "NOPERM %sthis daemon does not run '%s' for you: %s%s%s", where, name, why,
                      run->request->stream ? "; the option commands takes +" : "",
                      run->request->stream ? command->name : "");
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
        command_run_fails(run, i, OUTCOME_BAD, "BADREQUEST %s", request->batch->commands[i].error);
    } else {
        (void)judge_command(run, i, 0, ask);
    }
    return !*ask;
}

bool request_run_judge(struct request_run *run, const char **ask)
{
    *ask = NULL;
    if (run->n_judged == run->request->batch->n) {
        return true;
    }
    if (!run->master_pool->commands_table) {
        return false;
    }
    command_table_forget(run->master_pool->commands_table, run->arrived_us / 1000);
    while (run->n_judged < run->request->batch->n && judge_next(run, ask)) {
        run->n_judged++;
    }
    return !*ask;
}
