/*
 * One request with commands. Its first call reads the headers once and decides whether it is
 * welcome: a body that is not is dropped as it comes, and the answer is given in the last call, so
 * that the connection stays open. Then the body or the path becomes commands, and the pool runs
 * them; where that takes time the request is suspended until its commands have ended.
 */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answers.h"
#include "bellwether/base/budget.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/units.h"
#include "bellwether/base/utf8.h"
#include "bellwether/http/master_json.h"
#include "channel_stream.h"
#include "http/server/answer_cache.h"
#include "http/server/connections.h"
#include "http/server/dispatch.h"
#include "http/server/head.h"
#include "http/server/request_headers.h"
#include "redis_query.h"
#include "redis_reply.h"
#include "redis_worker.h"
#include "subscribe.h"

/*
 * The rows come in four groups of the four kinds: default master, named master, and replicas of
 * both. Those of streams stand before them.
 */
enum { FIRST_ROW = ROUTE_REDIS, FIRST_REPLICA_ROW = ROUTE_REPLICA_REDIS };
_Static_assert((int)ROUTE_REDIS_PATH - FIRST_ROW == COMMAND_REQUEST_PATH &&
                   (int)ROUTE_NAMED_REDIS - FIRST_ROW == COMMAND_REQUEST_KINDS &&
                   (int)ROUTE_NAMED_REPLICA_REDIS_PATH ==
                       FIRST_REPLICA_ROW + 2 * COMMAND_REQUEST_KINDS - 1,
               "the order of ROUTES_COMMANDS");

/* ---- the first call ---- */

/* Only a path with one of these in it can be one of ours: all others are spared the search. */
static bool may_be_ours(const char *url)
{
    return strcmp(url, "/master") != 0 && (strstr(url, "redis") || strchr(url, '%'));
}

/* A path that is not well encoded before its rest belongs here when its words do. */
static bool looks_like_ours(const char *url)
{
    const char *redis = strstr(url, "/redis");

    return redis && (redis[6] == '\0' || redis[6] == '/') &&
           (redis == url || strncmp(url, "/masters/", 9) == 0 || strncmp(url, "/replica/", 9) == 0);
}

/*
 * @param match  without a route for a path of ours that is not well encoded. @return whether it is
 * one of ours.
 */
static bool find_route(const struct listener *listener, const char *url, struct route_match *match)
{
    int error;

    match->route = NULL;
    match->argument[0] = '\0';
    if (strcmp(url, "/redis") == 0) {
        match->route = router_row(ROUTE_REDIS);
        return true;
    }
    error = router_match(url, listener->scope, match);
    return error ? error == -BW_EINVAL && looks_like_ours(url) : route_runs_commands(match->route);
}

static void judge_access(struct command_request *command, const struct request_headers *headers)
{
    char token[QUERY_TOKEN_ROOM];
    const struct access_headers access = {
        headers->authorization, command->listener->unix_socket ? NULL : headers->host,
        headers->origin, headers->fetch_site,
        headers->authorization ? NULL : command_query_token(command, token)};

    if (headers->twice) {
        command_request_move(command, COMMAND_REQUEST_TWICE);
        command->words = headers->twice;
        return;
    }
    if (headers->foreign) {
        command_request_move(command, COMMAND_REQUEST_FOREIGN);
        command->words = headers->foreign;
        return;
    }
    switch (access_check(command->listener->worker->commands->access, &access, &command->words)) {
    case ACCESS_FULL: break;
    /* whatever else says so */
    case ACCESS_READ_ONLY: command->request->read_only = "the token is read-only"; break;
    case ACCESS_NO_TOKEN: command_request_move(command, COMMAND_REQUEST_NO_TOKEN); break;
    case ACCESS_WRONG_TOKEN: command_request_move(command, COMMAND_REQUEST_WRONG_TOKEN); break;
    case ACCESS_FORBIDDEN: command_request_move(command, COMMAND_REQUEST_FORBIDDEN); break;
    }
    if (access.token) {
        explicit_bzero(token, sizeof(token));
    }
}

static struct command_request *command_request_new(struct listener *listener,
                                                   struct MHD_Connection *connection,
                                                   const struct route_match *match, unsigned method)
{
    struct command_request *command = mem_new(1, sizeof(*command) + sizeof(*command->request));

    command->listener = listener;
    command->connection = connection;
    command->began_us = listener->worker->clock_us;
    command->closing = listener->worker->draining;
    command->request = (struct pool_request *)(command + 1);
    command->request->data = command;
    command->request->done = commands_ended;
    command->request->caller_is_gone = commands_caller_is_gone;
    command->route = match->route;
    if (!match->route) {
        command_request_move(command, COMMAND_REQUEST_BAD_PATH);
        return command;
    }
    command->is_head = method == HTTP_HEAD;
    command->kind = (int)match->route->id < FIRST_ROW
                        ? COMMAND_REQUEST_STREAM
                        : (enum command_request_kind)(((int)match->route->id - FIRST_ROW) %
                                                      COMMAND_REQUEST_KINDS);
    memcpy(command->request->master, match->argument, strlen(match->argument) + 1);
    if ((int)match->route->id >= FIRST_REPLICA_ROW) {
        command->request->target = POOL_REPLICA;
        command->request->read_only = "replicas run read-only commands only";
    }
    if (!(match->route->methods & method)) {
        command_request_move(command, COMMAND_REQUEST_BAD_METHOD);
    } else if (method & METHODS_BODY) {
        command->keeps_body = true;
    } else if (command->request->target == POOL_MASTER) {
        command->request->read_only = "GET runs read-only commands only, use POST";
    }
    return command;
}

/* What the answer is to be, and whether a read has to see what was written before. */
static void take_headers(struct command_request *command, const struct request_headers *headers)
{
    struct pool_request *request = command->request;
    const char *format = headers->response_format;
    bool is_resp2 = format && strcasecmp(format, "resp2") == 0;
    bool is_base64 = headers->encoding && strcasecmp(headers->encoding, "base64") == 0;
    bool fits = is_resp2 ? !is_base64 && command->kind != COMMAND_REQUEST_STREAM
                         : !format || strcasecmp(format, "json") == 0;

    if (!fits) {
        command_request_move(command, COMMAND_REQUEST_BAD_FORMAT);
        command->words = format;
    }
    request->form = is_base64 ? RESULT_BASE64 : RESULT_JSON;
    if (is_resp2 && command->kind != COMMAND_REQUEST_TRANSACTION) {
        request->form = RESULT_RESP2;
    }
    command->syncs = headers->sync_token != NULL;
    if (command->syncs && sync_token_is(headers->sync_token)) {
        memcpy(command->sync_token, headers->sync_token, SYNC_TOKEN_SIZE);
        request->target = POOL_MASTER;
    }
}

/* Room for so much more of the body, or the request is refused. */
static void reserve(struct command_request *command, size_t bytes)
{
    if (buffer_may_add(&command->body, bytes)) {
        (void)buffer_reserve(&command->body, bytes);
    } else {
        buffer_release(&command->body);
        command_request_move(command, COMMAND_REQUEST_NO_MEMORY);
    }
}

/*
 * What was announced decides already: room for a welcome body, or a refusal before it comes, where
 * the caller waits for that (Expect) or where reading it all would be silly.
 */
static void expect_body(struct command_request *command, const struct request_headers *headers,
                        const char *method)
{
    int64_t bytes = INT64_MAX, max = command->listener->worker->config->max_body_bytes;

    if (!headers->content_length) {
        return;
    }
    if (integer_parse(headers->content_length, 0, INT64_MAX, &bytes) == 0 && bytes <= max) {
        if (command->keeps_body && command->state == COMMAND_REQUEST_WELCOME && bytes > 0) {
            reserve(command, (size_t)bytes);
        }
        if (command->state == COMMAND_REQUEST_NO_MEMORY && headers->expects) {
            command->closing = true;
            (void)command_request_go(command, "", method);
        }
        return;
    }
    command_request_move(command, COMMAND_REQUEST_TOO_LARGE);
    if (headers->expects || bytes - max > BODY_EXCESS_READ) {
        command->closing = true;
        (void)command_request_go(command, "", method);
    }
}

/* Of a connection's first request head.c makes sure; a later one is seen here only. */
static bool leaves_room(struct MHD_Connection *connection, size_t n_entries)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return !info || info->header_size + n_entries * HEAD_ENTRY_BYTES <= HEAD_MOST_BYTES;
}

struct command_request *command_request_begin(struct listener *listener,
                                              struct MHD_Connection *connection, const char *url,
                                              const char *method)
{
    unsigned bit = router_method(method);
    struct request_headers headers;
    struct route_match match;
    struct command_request *command;

    if (!may_be_ours(url) || !find_route(listener, url, &match) || bit == HTTP_OPTIONS) {
        return NULL;
    }
    command = command_request_new(listener, connection, &match, bit);
    request_headers_read(&headers, listener, connection, url);
    if (command->route && command->kind == COMMAND_REQUEST_ONE && headers.has_query) {
        command_query_look_behind(command);
    }
    if (command->state == COMMAND_REQUEST_WELCOME) {
        judge_access(command, &headers);
    }
    if (command->state == COMMAND_REQUEST_WELCOME) {
        take_headers(command, &headers);
    }
    if (!leaves_room(connection, headers.n)) {
        command_request_move(command, COMMAND_REQUEST_HEAD_TOO_LARGE);
    }
    expect_body(command, &headers, method);
    return command;
}

bool command_request_take(struct command_request *command, const char *bytes, size_t size)
{
    int64_t max = command->listener->worker->config->max_body_bytes;

    command->body_bytes += (int64_t)size;
    if (command->body_bytes > max) {
        buffer_release(&command->body);
        command_request_move(command, COMMAND_REQUEST_TOO_LARGE);
    } else if (command->state == COMMAND_REQUEST_WELCOME && command->keeps_body) {
        reserve(command, size);
        if (command->state == COMMAND_REQUEST_WELCOME) {
            buffer_add(&command->body, bytes, size);
        }
    }
    return command->body_bytes - max <= BODY_EXCESS_READ;
}

/* ---- which master ---- */

static enum MHD_Result refuse_unknown(struct command_request *command)
{
    const struct snapshot *snapshot = command->listener->worker->cache->snapshot;
    json_t *more = json_object();
    char detail[ROUTE_ARGUMENT_SIZE + 80];

    snprintf(detail, sizeof(detail),
             "no master of the name %s is watched; GET /masters lists those that are",
             command->request->master);
    json_object_set_new(more, "name", render_text(command->request->master));
    json_object_set_new(more, "sentinels_know", answer_names_known(snapshot));
    return command_request_refuse(command, PROBLEM_UNKNOWN_MASTER, "NOMASTER", detail, more);
}

static enum MHD_Result refuse_several(struct command_request *command)
{
    json_t *more = json_object();

    json_object_set_new(more, "names",
                        answer_names_watched(command->listener->worker->cache->snapshot));
    return command_request_refuse(
        command, PROBLEM_SEVERAL_MASTERS, "BADREQUEST",
        "say which with /masters/{name}/redis, or start the daemon with --default-master", more);
}

static enum MHD_Result refuse_nameless(struct command_request *command)
{
    const struct snapshot *snapshot = command->listener->worker->cache->snapshot;
    const char *detail = "no master is known yet";

    if (!snapshot) {
        detail = "the daemon has just started; no Sentinel was asked yet";
    } else if (snapshot->detail && *snapshot->detail) {
        detail = snapshot->detail;
    }
    return command_request_refuse_unsent(command, PROBLEM_NOT_SENT, "NOMASTER", detail);
}

/*
 * A master that has a name is waited for by the pool. @return whether there is one; else it was
 * answered.
 */
static bool find_master(struct command_request *command, enum MHD_Result *result)
{
    struct cache *cache = command->listener->worker->cache;
    char *name = command->request->master;

    if (*name) {
        if (!cache->snapshot || cache_find(cache, name)) {
            return true;
        }
        *result = snapshot_knows_no_names(cache->snapshot) ? refuse_nameless(command)
                                                           : refuse_unknown(command);
    } else if (cache->default_master) {
        memcpy(name, cache->default_master->master->name,
               strnlen(cache->default_master->master->name, sizeof(command->request->master) - 1));
        return true;
    } else if (cache->snapshot && cache->snapshot->ambiguous_default) {
        *result = refuse_several(command);
    } else {
        *result = refuse_nameless(command);
    }
    return false;
}

/* ---- reading it ---- */

static enum MHD_Result refuse_bad(struct command_request *command, const char *words)
{
    return command_request_refuse(command, PROBLEM_BAD_COMMAND, "BADREQUEST", words, NULL);
}

static enum MHD_Result refuse_retry(struct command_request *command, const char *shown)
{
    char words[QUERY_ERROR_SIZE];
    json_t *more = json_object();

    json_object_set_new(more, "parameter", json_string("retry"));
    snprintf(words, sizeof(words), "the query parameter retry is \"%s\"; it takes always", shown);
    return command_request_refuse(command, PROBLEM_BAD_PARAMETER, "BADREQUEST", words, more);
}

/* The path with its body and the query behind it. @return NULL: `error` says why. */
static struct batch *read_path(struct command_request *command, const char *url,
                               struct query_pairs *pairs)
{
    struct batch *batch = batch_new_path();
    struct route_match match;

    pairs->batch = batch;
    pairs->failed =
        router_match(url, command->listener->scope, &match) != 0 || !match.rest ||
        batch_add_path(batch, match.rest, pairs->error) != 0 ||
        (command->body.size > 0 &&
         batch_add_argument(batch, command->body.bytes, command->body.size, pairs->error) != 0);
    if (!pairs->failed) {
        command_query_read(pairs);
    }
    if (pairs->failed || batch_end_path(batch, pairs->error) != 0) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static struct batch *read_body(const struct command_request *command, struct query_pairs *pairs)
{
    enum batch_shape shape = command->kind == COMMAND_REQUEST_ONE ? BATCH_ONE : BATCH_MANY;
    struct batch *batch = NULL;

    command_query_read(pairs);
    if (!pairs->failed && batch_read(command->body.bytes ? command->body.bytes : "",
                                     command->body.size, shape, &batch, pairs->error) != 0) {
        return NULL;
    }
    return batch;
}

/*
 * A transaction runs whole or not at all. @return whether nothing is wrong with any member; else it
 * was answered.
 */
static bool is_whole(struct command_request *command, enum MHD_Result *result)
{
    const struct batch *batch = command->request->batch;

    for (size_t i = 0; i < batch->n; i++) {
        if (batch->commands[i].error) {
            *result = refuse_bad(command, batch->commands[i].error);
            return false;
        }
    }
    return true;
}

/* @return whether `request` has its batch; else it was answered. */
static bool read_commands(struct command_request *command, const char *url, enum MHD_Result *result)
{
    struct query_pairs pairs = {.command = command};

    command->request->batch = command->kind == COMMAND_REQUEST_PATH
                                  ? read_path(command, url, &pairs)
                                  : read_body(command, &pairs);
    command->request->transaction = command->kind == COMMAND_REQUEST_TRANSACTION;
    buffer_release(&pairs.text);
    buffer_release(&command->body);
    if (pairs.bad_retry) {
        *result = refuse_retry(command, pairs.retry);
        return false;
    }
    if (!command->request->batch) {
        *result = refuse_bad(command, pairs.error);
        return false;
    }
    return command->kind != COMMAND_REQUEST_TRANSACTION || is_whole(command, result);
}

/* ---- the last call ---- */

static enum MHD_Result refuse_body(struct command_request *command)
{
    int64_t max = command->listener->worker->config->max_body_bytes;
    json_t *more = json_object();

    json_object_set_new(more, "max_body_bytes", json_integer(max));
    return command_request_refuse(command, PROBLEM_BODY_TOO_LARGE, "TOOBIG",
                                  "this daemon takes no larger body (option max-body)", more);
}

/* What was read of it is let go. */
static enum MHD_Result refuse_memory(struct command_request *command)
{
    batch_free(command->request->batch);
    command->request->batch = NULL;
    metric_add(&command->listener->worker->counts->rejected[METRIC_REJECTION_MEMORY], 1);
    return command_request_refuse_unsent(
        command, PROBLEM_NOT_SENT, "NOTSENT",
        "there is no memory left for it; nothing was sent (option max-memory)");
}

static enum MHD_Result refuse_format(struct command_request *command)
{
    char shown[32], words[160];

    if (strcasecmp(command->words, "resp2") == 0 && command->kind == COMMAND_REQUEST_STREAM) {
        return refuse_bad(command, "a stream has no RESP2: ask without Upstash-Response-Format, "
                                   "or for json");
    }
    if (strcasecmp(command->words, "resp2") == 0) {
        return refuse_bad(command, "Upstash-Response-Format: resp2 has no base64: take one of "
                                   "it and Upstash-Encoding: base64");
    }
    utf8_copy(command->words, strlen(command->words), shown, sizeof(shown));
    snprintf(words, sizeof(words), "Upstash-Response-Format is \"%s\"; it takes json or resp2",
             shown);
    return refuse_bad(command, words);
}

static enum MHD_Result refuse_method(struct command_request *command)
{
    char words[96];

    snprintf(words, sizeof(words), "this route takes %s", router_allow(command->route->methods));
    return command_request_refuse(command, PROBLEM_METHOD_NOT_ALLOWED, "BADREQUEST", words, NULL);
}

static enum MHD_Result refuse(struct command_request *command)
{
    switch (command->state) {
    case COMMAND_REQUEST_BAD_PATH:
        return refuse_bad(command, "the path takes % and two hexadecimal digits, and no NUL");
    case COMMAND_REQUEST_BAD_METHOD: return refuse_method(command);
    case COMMAND_REQUEST_TWICE: {
        char words[64];

        snprintf(words, sizeof(words), "there are two headers %s, and one is taken",
                 command->words);
        return refuse_bad(command, words);
    }
    case COMMAND_REQUEST_BAD_FORMAT: return refuse_format(command);
    case COMMAND_REQUEST_NO_TOKEN:
        return command_request_refuse(command, PROBLEM_NO_TOKEN, "NOAUTH", command->words, NULL);
    case COMMAND_REQUEST_WRONG_TOKEN:
        return command_request_refuse(command, PROBLEM_WRONG_TOKEN, "NOAUTH", command->words, NULL);
    case COMMAND_REQUEST_FORBIDDEN:
        return command_request_refuse(command, PROBLEM_FORBIDDEN, "NOPERM", command->words, NULL);
    case COMMAND_REQUEST_FOREIGN: {
        char words[QUERY_ERROR_SIZE];

        request_headers_say_foreign(command->words, words);
        return command_request_refuse(command, PROBLEM_FORBIDDEN, "NOPERM", words, NULL);
    }
    case COMMAND_REQUEST_NO_MEMORY: return refuse_memory(command);
    case COMMAND_REQUEST_HEAD_TOO_LARGE:
        return command_request_refuse(command, PROBLEM_HEAD_TOO_LARGE, "TOOBIG", HEAD_TOO_LARGE,
                                      NULL);
    default: return refuse_body(command);
    }
}

static enum MHD_Result go(struct command_request *command, const char *url)
{
    struct worker *worker = command->listener->worker;
    enum MHD_Result result = MHD_YES;

    if (command->state == COMMAND_REQUEST_ENDED) {
        return command_request_answer(command);
    }
    if (command->stream) {
        return subscribe_go_on(command);
    }
    if (connection_is_refused(command->listener, command->connection) &&
        (command->kind != COMMAND_REQUEST_STREAM ||
         !connection_begins_to_wait(command->listener, command->connection))) {
        command->closing = true;
        return command_request_refuse_unsent(
            command, PROBLEM_TOO_MANY_CONNECTIONS, "NOTSENT",
            connection_refuse(command->listener, command->connection));
    }
    if (command->state != COMMAND_REQUEST_WELCOME) {
        return refuse(command);
    }
    if (!budget_has(command->body.size)) {
        return refuse_memory(command);
    }
    if (!find_master(command, &result)) {
        return result;
    }
    if (command->kind == COMMAND_REQUEST_STREAM) {
        return subscribe_begin(command, url);
    }
    if (!read_commands(command, url, &result)) {
        return result;
    }
    if (!budget_has(command->request->batch->wire.size +
                    command->request->batch->n * POOL_COMMAND_BYTES)) {
        return refuse_memory(command);
    }
    if (pool_run(worker->commands->pool, command->request)) {
        return command_request_answer(command);
    }
    MHD_suspend_connection(command->connection);
    return MHD_YES;
}

enum MHD_Result command_request_go(struct command_request *command, const char *url,
                                   const char *method)
{
    enum MHD_Result result = go(command, url);

    if (command->status != 0 && result == MHD_YES) {
        dispatch_count(command->listener->worker, command->route, method, command->status,
                       command->began_us);
    }
    return result;
}

void command_request_free(struct command_request *command)
{
    if (command) {
        if (command->small) {
            small_answer_give_back(
                &command->listener->worker->commands->small[command->request->wrote],
                command->small);
        }
        channel_stream_free(command->stream);
        buffer_release(&command->body);
        pool_request_release(command->request);
        free(command);
    }
}
