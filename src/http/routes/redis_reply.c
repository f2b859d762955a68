/*
 * What came of a request's commands, as an answer. The JSON of a value is there already, in the
 * buffer that the pool wrote it to: it is handed to libmicrohttpd as it is, so that a large one is
 * never copied.
 *
 * Every error has the member `error` first, which begins with a stable word or is Redis' own:
 * clients show people nothing else. The problem members stand behind it.
 */
#include "redis_reply.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/one_line.h"
#include "bellwether/http/master_json.h"
#include "bellwether/redis/json_result.h"
#include "http/server/connections.h"
#include "redis_worker.h"

#define SEPARATORS_SIZE 4 /* what is written around a value */

/* ---- answering ---- */

static const char *name_node(struct commands *commands, const struct address *address)
{
    if (address->port != commands->shown.port || strcmp(address->host, commands->shown.host) != 0) {
        small_answer_drop_all(&commands->small[false]);
        small_answer_drop_all(&commands->small[true]);
        commands->shown = *address;
        address_format(address, commands->shown_text);
    }
    return commands->shown_text;
}

/* A new one for a write; a read passes on the one that it came with. */
static const char *sync_token(struct command_request *command)
{
    if (command->request->wrote) {
        struct worker *worker = command->listener->worker;

        return sync_token_make(++worker->commands->writes, worker->number, command->sync_token);
    }
    return command->sync_token[0] != '\0' ? command->sync_token : NULL;
}

/*
 * The small answers that it may have one of; NULL: none. The token in one of them is as good as any
 * other to callers who sent none, since they look at none.
 */
static struct small_answers *small_answers_for(const struct command_request *command)
{
    const struct pool_request *request = command->request;
    bool is_own = request->wrote ? command->syncs : command->sync_token[0] != '\0';

    return is_own || request->form == RESULT_RESP2
               ? NULL
               : &command->listener->worker->commands->small[request->wrote];
}

static enum MHD_Result answer_as(struct command_request *command, unsigned status,
                                 const char *content_type, char *body, size_t size)
{
    const struct pool_request *request = command->request;
    struct small_answers *small = small_answers_for(command);
    const struct response_headers headers = {
        .content_type = content_type,
        .sync_token = sync_token(command),
        .ran_at = request->has_ran_at
                      ? name_node(command->listener->worker->commands, &request->ran_at)
                      : NULL,
        .challenge = status == MHD_HTTP_UNAUTHORIZED,
        .retry = status == MHD_HTTP_SERVICE_UNAVAILABLE,
        .allow =
            status == MHD_HTTP_METHOD_NOT_ALLOWED ? router_allow(command->route->methods) : NULL,
        .closing = command->closing || command->listener->worker->draining,
    };
    struct MHD_Response *response;
    enum MHD_Result result;

    command->status = status;
    if (small && status == MHD_HTTP_OK && headers.ran_at && !headers.closing &&
        size <= SMALL_SIZE_MAX) {
        command->small = small_answer_take(small, &headers, body, size);
        free(body);
        return connection_answer(command->listener, command->connection, status,
                                 small_answer_response(command->small), size);
    }
    response = response_new(&headers, body, size);
    result = connection_answer(command->listener, command->connection, status, response, size);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(struct command_request *command, unsigned status, char *body,
                              size_t size)
{
    return answer_as(command, status, CONTENT_JSON, body, size);
}

/* @param error,more taken; `more` may be NULL. */
static enum MHD_Result answer_error(struct command_request *command, enum problem_kind kind,
                                    json_t *error, const char *detail, json_t *more)
{
    json_t *json = json_object(), *problem = problem_new(kind, detail);
    size_t size;
    char *body;

    json_object_set_new(json, "error", error); /* first, and perhaps Redis' own */
    json_object_update_missing(json, problem);
    if (more) {
        json_object_update(json, more);
    }
    json_decref(problem);
    json_decref(more);
    body = render_dump(json, false, &size);
    return answer(command, problem_status(kind), body, size);
}

enum MHD_Result command_request_refuse(struct command_request *command, enum problem_kind kind,
                                       const char *word, const char *detail, json_t *more)
{
    size_t size = strlen(word) + strlen(detail) + 2;
    char *text = mem_new(size, 1);
    json_t *error;

    snprintf(text, size, "%s %s", word, detail);
    error = render_text(text);
    free(text);
    return answer_error(command, kind, error, detail, more);
}

enum MHD_Result command_request_refuse_unsent(struct command_request *command,
                                              enum problem_kind kind, const char *word,
                                              const char *detail)
{
    json_t *more = json_object();

    json_object_set_new(more, "outcome", json_string("not_sent"));
    return command_request_refuse(command, kind, word, detail, more);
}

/* ---- what came of a command ---- */

/* Redis' own may be longer than others. */
static const char *words_of(const struct pool_command *one)
{
    return one->outcome == OUTCOME_ERROR && one->json.size > 0 ? one->json.bytes : one->words;
}

/* What the words say without the stable one; all of them where they are Redis' own. */
static const char *detail_of(const struct pool_command *one)
{
    const char *blank = strchr(one->words, ' ');

    return one->outcome == OUTCOME_ERROR || !blank ? words_of(one) : blank + 1;
}

/* Whether it ran, as far as anybody knows. */
static const char *outcome_of(const struct pool_command *one)
{
    switch (one->outcome) {
    case OUTCOME_DONE:
    case OUTCOME_ERROR:
    case OUTCOME_TOO_BIG: return "done";
    case OUTCOME_UNKNOWN: return "unknown";
    default: return "not_sent";
    }
}

static enum problem_kind problem_of(const struct pool_request *request,
                                    const struct pool_command *one)
{
    switch (one->outcome) {
    case OUTCOME_ERROR: return PROBLEM_COMMAND_FAILED;
    case OUTCOME_DENIED: return PROBLEM_COMMAND_DENIED;
    case OUTCOME_BAD: return PROBLEM_BAD_COMMAND;
    case OUTCOME_UNKNOWN: return PROBLEM_OUTCOME_UNKNOWN;
    case OUTCOME_TOO_BIG: return PROBLEM_REPLY_TOO_LARGE;
    default: break;
    }
    if (request->scan_lost) {
        return PROBLEM_SCAN_LOST;
    }
    return request->queue_full ? PROBLEM_TOO_MANY_COMMANDS : PROBLEM_NOT_SENT;
}

/* A command's outcome that is no reply, in RESP2: its words as an error. */
static void add_resp2_error(struct buffer *out, const struct pool_command *one)
{
    size_t from;

    buffer_add(out, "-", 1);
    from = out->size;
    buffer_add_text(out, words_of(one));
    one_line(out->bytes + from, out->size - from); /* names are a caller's */
    buffer_add(out, "\r\n", 2);
}

static enum MHD_Result answer_resp2(struct command_request *command, unsigned status,
                                    struct buffer *out)
{
    size_t size;
    char *body = buffer_take(out, &size);

    return answer_as(command, status, CONTENT_BYTES, body, size);
}

/* Redis' own error is Redis' in RESP2, too; all others have more to say than fits into a line. */
static enum MHD_Result answer_one_error(struct command_request *command,
                                        const struct pool_command *one)
{
    enum problem_kind kind = problem_of(command->request, one);
    struct buffer out = {0};
    json_t *more;

    if (command->request->form == RESULT_RESP2 && one->outcome == OUTCOME_ERROR) {
        add_resp2_error(&out, one);
        return answer_resp2(command, problem_status(kind), &out);
    }
    more = json_object();

    if (one->outcome != OUTCOME_ERROR && one->outcome != OUTCOME_BAD) {
        /* those say themselves what came of it */
        json_object_set_new(more, "outcome", json_string(outcome_of(one)));
    }
    return answer_error(command, kind, render_text(words_of(one)), detail_of(one), more);
}

/* A single command, or a transaction, whose list is whole as it is. */
static enum MHD_Result answer_one(struct command_request *command)
{
    struct pool_command *one = &command->request->commands[0];
    size_t size;
    char *body;

    if (one->outcome != OUTCOME_DONE) {
        return answer_one_error(command, one);
    }
    if (command->request->form == RESULT_RESP2) {
        return answer_resp2(command, MHD_HTTP_OK, &one->json);
    }
    if (command->request->transaction) {
        buffer_add(&one->json, "\n", 1);
    } else {
        buffer_add(&one->json, "}\n", 2);
    }
    body = buffer_take(&one->json, &size);
    return answer(command, MHD_HTTP_OK, body, size);
}

static void add_resp2_command(struct buffer *out, struct pool_command *one)
{
    if (one->outcome == OUTCOME_DONE) {
        buffer_add(out, one->json.bytes, one->json.size);
    } else {
        add_resp2_error(out, one);
    }
    buffer_release(&one->json);
}

static void add_command(struct buffer *out, struct pool_command *one)
{
    if (one->outcome == OUTCOME_DONE) {
        buffer_add(out, one->json.bytes, one->json.size);
        buffer_release(&one->json);
    } else {
        buffer_add_text(out, "{\"error\":");
        json_add_string(out, words_of(one), strlen(words_of(one)));
        buffer_add_text(out, ",\"outcome\":\"");
        buffer_add_text(out, outcome_of(one));
        buffer_add(out, "\"", 1);
        buffer_release(&one->json);
    }
    buffer_add(out, "}", 1);
}

static size_t size_of_list(const struct pool_request *request)
{
    size_t size = SEPARATORS_SIZE;

    for (size_t i = 0; i < request->n_commands; i++) {
        size += request->commands[i].json.size + SEPARATORS_SIZE;
    }
    return size;
}

/* There is no room for all of them once more: the long ones go. */
static void drop_long(struct pool_request *request)
{
    for (size_t i = 0; i < request->n_commands; i++) {
        struct pool_command *one = &request->commands[i];

        if (one->outcome == OUTCOME_DONE && one->json.size > sizeof(one->words)) {
            buffer_release(&one->json);
            one->outcome = OUTCOME_TOO_BIG;
            snprintf(
                one->words, sizeof(one->words), "%s",
                "TOOBIG it has run, but there is no memory left for the replies to this request "
                "together (option max-memory)");
        }
    }
}

/*
 * Each command's part is let go as soon as it is copied. In RESP2 the replies stand one behind the
 * other, as a server writes them.
 */
static enum MHD_Result answer_list(struct command_request *command)
{
    struct pool_request *request = command->request;
    struct buffer out = {0};
    size_t size = size_of_list(request);
    char *body;

    if (!budget_has(size)) {
        drop_long(request);
        size = size_of_list(request);
    }
    (void)buffer_reserve(&out, size);
    for (size_t i = 0; request->form == RESULT_RESP2 && i < request->n_commands; i++) {
        add_resp2_command(&out, &request->commands[i]);
    }
    if (request->form == RESULT_RESP2) {
        return answer_resp2(command, MHD_HTTP_OK, &out);
    }
    for (size_t i = 0; i < request->n_commands; i++) {
        buffer_add(&out, i ? "," : "[", 1);
        add_command(&out, &request->commands[i]);
    }
    buffer_add(&out, "]\n", 2);
    body = buffer_take(&out, &size);
    return answer(command, MHD_HTTP_OK, body, size);
}

enum MHD_Result command_request_answer(struct command_request *command)
{
    struct worker *worker = command->listener->worker;

    if (command->request->queue_full) {
        metric_add(&worker->counts->rejected[METRIC_REJECTION_COMMANDS], 1);
    }
    return command->kind == COMMAND_REQUEST_PIPELINE ? answer_list(command) : answer_one(command);
}
