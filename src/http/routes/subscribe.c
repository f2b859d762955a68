/*
 * A stream begins with two questions: the rules are asked as for a command, in the pool, and then
 * Redis is. Only when Redis has confirmed all of it the answer begins; until then what is wrong is
 * an error like a command's, with a status of its own.
 */
#include "subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "channel_stream.h"
#include "http/server/request.h"
#include "http/server/worker.h"
#include "redis_reply.h"
#include "redis_worker.h"

static enum MHD_Result refuse_bad(struct command_request *command, const char *words)
{
    return command_request_refuse(command, PROBLEM_BAD_COMMAND, "BADREQUEST", words, NULL);
}

/* ---- what is asked for ---- */

static bool is_pattern(const struct command_request *command)
{
    return command->route->id == ROUTE_PSUBSCRIBE || command->route->id == ROUTE_NAMED_PSUBSCRIBE;
}

/* Upstash's clients send an empty list. */
static bool is_empty(const struct buffer *body)
{
    return body->size == 0 || (body->size == 2 && memcmp(body->bytes, "[]", 2) == 0);
}

static enum MHD_Result look_at_pair(void *data, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    bool *others = data;

    (void)kind;
    *others = *others || ((strcmp(name, "retry") != 0 || !value || strcmp(value, "always") != 0) &&
                          strcmp(name, "_token") != 0 && (*name != '\0' || value));
    return MHD_YES;
}

/* @return NULL: `error` says why. */
static struct batch *read_batch(const struct command_request *command, const char *url,
                                char error[BATCH_ERROR_SIZE])
{
    const char *word = is_pattern(command) ? "psubscribe" : "subscribe";
    struct batch *batch = batch_new_path();
    struct route_match match;

    snprintf(error, BATCH_ERROR_SIZE, "the path names no channel");
    if (batch_add_argument(batch, word, strlen(word), error) != 0 ||
        router_match(url, command->listener->scope, &match) != 0 || !match.rest ||
        *match.rest == '\0' || batch_add_path(batch, match.rest, error) != 0 ||
        batch_end_path(batch, error) != 0) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

/* @return why it is none, static; NULL: it is. */
static const char *why_no_name(const char *bytes, size_t size)
{
    if (size == 0 || size > SUBSCRIBER_NAME_MAX) {
        return "a channel or pattern takes 1 to 1024 bytes";
    }
    return memchr(bytes, '\0', size) ? "a channel or pattern takes no NUL" : NULL;
}

/* @return what is wrong; NULL: nothing, and the batch is the request's. */
static const char *read_names(struct command_request *command, const char *url,
                              char error[BATCH_ERROR_SIZE])
{
    struct batch *batch;
    const char *at, *wrong = NULL;
    bool others = false;

    MHD_get_connection_values(command->connection, MHD_GET_ARGUMENT_KIND, look_at_pair, &others);
    if (others) {
        return "channels and patterns stand in the path; the query takes _token only";
    }
    if (!is_empty(&command->body)) {
        return "channels and patterns stand in the path; the body takes nothing, or []";
    }
    batch = read_batch(command, url, error);
    if (!batch) {
        return error;
    }
    command->request->batch = batch;
    if (batch->commands[0].arguments - 1 > SUBSCRIBER_NAMES_MAX) {
        return "a stream takes 100 channels or patterns at most";
    }
    at = batch_wire(batch, 0);
    for (size_t i = 0; i < batch->commands[0].arguments && !wrong; i++) {
        size_t size;
        const char *bytes = batch_next_argument(&at, &size);

        wrong = i > 0 ? why_no_name(bytes, size) : NULL;
    }
    return wrong;
}

/* ---- Redis is asked ---- */

/* @param names set, `*text` holds them; both are to be freed. */
static const char **copy_names(const struct batch *batch, char **text)
{
    size_t n = batch->commands[0].arguments - 1;
    const char **names = mem_new(n, sizeof(*names));
    const char *at = batch_wire(batch, 0);
    size_t size;
    char *end = mem_new(batch->commands[0].size + n, 1);

    *text = end;
    (void)batch_next_argument(&at, &size);
    for (size_t i = 0; i < n; i++) {
        const char *bytes = batch_next_argument(&at, &size);

        names[i] = memcpy(end, bytes, size);
        end += size + 1;
    }
    return names;
}

static enum MHD_Result answer_not_sent(struct command_request *command,
                                       enum command_outcome outcome, const char *words)
{
    struct pool_command *one = &command->request->commands[0];

    one->outcome = outcome;
    snprintf(one->words, sizeof(one->words), "%s", words);
    return command_request_answer(command);
}

static enum MHD_Result ask_redis(struct command_request *command)
{
    const struct batch *batch = command->request->batch;
    char *text;
    const char **names = copy_names(batch, &text);
    const char *refusal = pool_subscribe(
        command->listener->worker->commands->pool, &command->stream->subscriber,
        command->request->master, is_pattern(command) ? SUBSCRIBER_PATTERNS : SUBSCRIBER_CHANNELS,
        names, batch->commands[0].arguments - 1, command->began_us / 1000);

    free(names);
    free(text);
    if (refusal) {
        return answer_not_sent(command, OUTCOME_NOT_SENT, refusal);
    }
    suspended_sleep(&command->stream->live.suspended);
    return MHD_YES;
}

/* ---- answers ---- */

static enum MHD_Result answer_stream(struct command_request *command, struct MHD_Response *response)
{
    enum MHD_Result result;

    command->status = MHD_HTTP_OK;
    result = MHD_queue_response(command->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

/* From here on the stream is its response's. */
static enum MHD_Result open_stream(struct command_request *command)
{
    struct channel_stream *stream = command->stream;
    const struct address *address = subscriber_address(&stream->subscriber);
    const struct commands *commands = command->listener->worker->commands;
    struct MHD_Response *response =
        channel_stream_open(stream, stream->tokens != commands->tokens_changed);
    char text[ADDRESS_TEXT_SIZE];

    command->stream = NULL;
    if (address) {
        (void)MHD_add_response_header(response, "X-Bellwether-Master",
                                      address_format(address, text));
    }
    return answer_stream(command, response);
}

enum MHD_Result subscribe_go_on(struct command_request *command)
{
    struct channel_stream *stream = command->stream;

    switch (stream->stage) {
    case CHANNEL_CONFIRMED: return open_stream(command);
    case CHANNEL_REFUSED:
        return answer_not_sent(command,
                               stream->why == SUBSCRIBER_REFUSED ? OUTCOME_ERROR : OUTCOME_NOT_SENT,
                               stream->words);
    case CHANNEL_ASKING:
    case CHANNEL_OPEN: break;
    }
    if (stream->subscriber.all) {
        suspended_sleep(&stream->live.suspended);
        return MHD_YES;
    }
    if (command->request->commands[0].outcome != OUTCOME_DONE) {
        return command_request_answer(command);
    }
    return command->is_head ? answer_stream(command, live_stream_show_head()) : ask_redis(command);
}

static void judged(struct pool_request *request)
{
    const struct command_request *command = request->data;

    live_stream_call(&command->stream->live);
}

enum MHD_Result subscribe_begin(struct command_request *command, const char *url)
{
    struct worker *worker = command->listener->worker;
    char error[BATCH_ERROR_SIZE];
    const char *wrong = read_names(command, url, error);

    if (wrong) {
        return refuse_bad(command, wrong);
    }
    command->stream = channel_stream_new(command->listener, command->connection);
    if (!command->stream) {
        metric_add(&worker->counts->rejected[METRIC_REJECTION_WAITERS], 1);
        return command_request_refuse_unsent(command, PROBLEM_TOO_MANY_WAITERS, "NOTSENT",
                                             TOO_MANY_WAITERS_WORDS);
    }
    command->stream->tokens = worker->commands->tokens_changed;
    command->request->stream = true;
    command->request->form = RESULT_JSON;
    command->request->done = judged;
    command->request->caller_is_gone = NULL;
    if (pool_run(worker->commands->pool, command->request)) {
        return subscribe_go_on(command);
    }
    suspended_sleep(&command->stream->live.suspended);
    return MHD_YES;
}
