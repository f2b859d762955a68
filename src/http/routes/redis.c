/*
 * One request with commands. Its first call reads the headers once and decides whether it is
 * welcome: a body that is not is dropped as it comes, and the answer is given in the last call, so
 * that the connection stays open. Then the body or the path becomes commands, and the pool runs
 * them; where that takes time the request is suspended until the job has ended.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/percent.h"
#include "bellwether/base/units.h"
#include "bellwether/http/master_json.h"
#include "http/render/answers.h"
#include "http/server/answer_cache.h"
#include "http/server/head.h"

/*
 * The rows come in four groups of the four kinds: default master, named master, and replicas of
 * both.
 */
enum { FIRST_ROW = ROUTE_REDIS, FIRST_REPLICA_ROW = ROUTE_REPLICA_REDIS };
_Static_assert((int)ROUTE_REDIS_PATH - FIRST_ROW == CALL_PATH &&
                   (int)ROUTE_NAMED_REDIS - FIRST_ROW == CALL_KINDS &&
                   (int)ROUTE_NAMED_REPLICA_REDIS_PATH == FIRST_REPLICA_ROW + 2 * CALL_KINDS - 1,
               "the order of ROUTES_COMMANDS");

#define TOKEN_NAME "_token" /* of a query: a token as Upstash's clients may send it */
#define TOKEN_ROOM 1024     /* a longer one is none */

/* ---- the first call ---- */

/* What the headers say. */
struct scan {
    const char *authorization, *host, *origin, *fetch_site, *content_length;
    bool expects, base64;
    const char *twice; /* the name of a header that may be there once; NULL: none is there twice */
};

static bool named(const char *name, const char *wanted, size_t len)
{
    return strncasecmp(name, wanted, len) == 0;
}
#define NAMED(wanted) (name_len == sizeof(wanted) - 1 && named(name, wanted, sizeof(wanted) - 1))

/* Of a header that is there twice the first one counts. */
static void keep(const char **slot, const char *value)
{
    *slot = *slot ? *slot : value;
}

/* Where proxies and servers would differ on which of two it is, it is neither. */
static void keep_only(struct scan *scan, const char **slot, const char *name, const char *value)
{
    scan->twice = *slot ? name : scan->twice;
    keep(slot, value);
}

static enum MHD_Result scan_header(void *data, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    struct scan *scan = data;

    (void)kind;
    if (!value) {
        return MHD_YES;
    }
    if (NAMED("Host")) {
        keep_only(scan, &scan->host, "Host", value);
    } else if (NAMED("Authorization")) {
        keep_only(scan, &scan->authorization, "Authorization", value);
    } else if (NAMED("Content-Length")) {
        keep(&scan->content_length, value);
    } else if (NAMED("Upstash-Encoding")) {
        scan->base64 = value_len == 6 && strncasecmp(value, "base64", 6) == 0;
    } else if (NAMED("Origin")) {
        keep(&scan->origin, value);
    } else if (NAMED("Sec-Fetch-Site")) {
        keep(&scan->fetch_site, value);
    } else if (NAMED("Expect")) {
        scan->expects = true;
    }
    return MHD_YES;
}

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

/* Of a query that has one: it goes nowhere but here. */
static const char *query_token(const struct call *call, char out[TOKEN_ROOM])
{
    const char *raw = NULL;
    size_t size = 0;

    if (MHD_lookup_connection_value_n(call->connection, MHD_GET_ARGUMENT_KIND, TOKEN_NAME,
                                      sizeof(TOKEN_NAME) - 1, &raw, &size) != MHD_YES ||
        !raw) {
        return NULL;
    }
    if (percent_decode_bytes(raw, size, out, TOKEN_ROOM - 1, &size) != 0) {
        size = 0;
    }
    out[size] = '\0';
    for (char *c = out; *c; c++) {
        /* a query's `+` was made a blank on the way, and no token has blanks */
        *c = (char)(*c == ' ' ? '+' : *c);
    }
    return out;
}

static void judge_access(struct call *call, const struct scan *scan, const char *url)
{
    char token[TOKEN_ROOM];
    const struct access_headers headers = {
        scan->authorization, call->listener->unix_socket ? NULL : scan->host, scan->origin,
        scan->fetch_site, scan->authorization ? NULL : query_token(call, token)};

    if (scan->twice) {
        call->refusal = CALL_TWICE;
        call->words = scan->twice;
        return;
    }
    if (dispatch_is_foreign_host(call->listener, scan->host, url)) {
        call->refusal = CALL_FORBIDDEN;
        call->words = DISPATCH_FOREIGN_HOST;
        return;
    }
    switch (access_check(call->listener->worker->commands->access, &headers, &call->words)) {
    case ACCESS_FULL: break;
    /* whatever else says so */
    case ACCESS_READ_ONLY: call->job->read_only = "the token is read-only"; break;
    case ACCESS_NO_TOKEN: call->refusal = CALL_NO_TOKEN; break;
    case ACCESS_WRONG_TOKEN: call->refusal = CALL_WRONG_TOKEN; break;
    case ACCESS_FORBIDDEN: call->refusal = CALL_FORBIDDEN; break;
    }
    if (headers.token) {
        explicit_bzero(token, sizeof(token));
    }
}

static struct call *call_new(struct listener *listener, struct MHD_Connection *connection,
                             const struct route_match *match, unsigned method)
{
    struct call *call = mem_new(1, sizeof(*call) + sizeof(*call->job));

    call->listener = listener;
    call->connection = connection;
    call->began_us = listener->worker->clock_us;
    call->closing = listener->worker->draining;
    call->job = (struct pool_job *)(call + 1);
    call->job->data = call;
    call->job->done = commands_ended;
    call->job->caller_is_gone = commands_caller_is_gone;
    call->route = match->route;
    if (!match->route) {
        call->refusal = CALL_BAD_PATH;
        return call;
    }
    call->kind = (enum call_kind)(((int)match->route->id - FIRST_ROW) % CALL_KINDS);
    memcpy(call->job->master, match->argument, strlen(match->argument) + 1);
    if ((int)match->route->id >= FIRST_REPLICA_ROW) {
        call->job->target = POOL_REPLICA;
        call->job->read_only = "replicas run read-only commands only";
    }
    if (!(match->route->methods & method)) {
        call->refusal = CALL_BAD_METHOD;
    } else if (method == HTTP_POST) {
        call->keeps_body = true;
    } else {
        call->job->read_only = "GET runs read-only commands only";
    }
    return call;
}

/* Room for so much more of the body, or the request is refused. */
static void reserve(struct call *call, size_t bytes)
{
    if (buffer_may_add(&call->body, bytes)) {
        (void)buffer_reserve(&call->body, bytes);
    } else {
        buffer_release(&call->body);
        call->refusal = CALL_NO_MEMORY;
    }
}

/*
 * What was announced decides already: room for a welcome body, or a refusal before it comes, where
 * the caller waits for that (Expect) or where reading it all would be silly.
 */
static void expect_body(struct call *call, const struct scan *scan)
{
    int64_t bytes = INT64_MAX, max = call->listener->worker->config->max_body_bytes;

    if (!scan->content_length) {
        return;
    }
    if (integer_parse(scan->content_length, 0, INT64_MAX, &bytes) == 0 && bytes <= max) {
        if (call->keeps_body && call->refusal == CALL_WELCOME && bytes > 0) {
            reserve(call, (size_t)bytes);
        }
        if (call->refusal == CALL_NO_MEMORY && scan->expects) {
            call->closing = true;
            (void)call_go(call, "");
        }
        return;
    }
    if (call->refusal == CALL_WELCOME) {
        call->refusal = CALL_TOO_LARGE;
    }
    if (scan->expects || bytes - max > BODY_EXCESS_READ) {
        call->closing = true;
        (void)call_go(call, "");
    }
}

/* What the door does not let pass, in a later request. */
static bool leaves_room(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    int n = MHD_get_connection_values_n(
        connection, (enum MHD_ValueKind)(MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND), NULL, NULL);

    return !info || info->header_size + (size_t)n * HEAD_ENTRY_BYTES <= HEAD_MOST_BYTES;
}

struct call *call_begin(struct listener *listener, struct MHD_Connection *connection,
                        const char *url, const char *method)
{
    unsigned bit = router_method(method);
    struct scan scan = {0};
    struct route_match match;
    struct call *call;

    if (!may_be_ours(url) || !find_route(listener, url, &match) || bit == HTTP_OPTIONS) {
        return NULL;
    }
    call = call_new(listener, connection, &match, bit);
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, &scan);
    call->job->base64 = scan.base64;
    if (call->refusal == CALL_WELCOME) {
        judge_access(call, &scan, url);
    }
    if (call->refusal == CALL_WELCOME && !leaves_room(connection)) {
        call->refusal = CALL_HEAD_TOO_LARGE;
    }
    expect_body(call, &scan);
    return call;
}

bool call_take(struct call *call, const char *bytes, size_t size)
{
    int64_t max = call->listener->worker->config->max_body_bytes;

    call->body_bytes += (int64_t)size;
    if (call->body_bytes > max) {
        buffer_release(&call->body);
        if (call->refusal == CALL_WELCOME) {
            call->refusal = CALL_TOO_LARGE;
        }
    } else if (call->refusal == CALL_WELCOME && call->keeps_body) {
        reserve(call, size);
        if (call->refusal == CALL_WELCOME) {
            buffer_add(&call->body, bytes, size);
        }
    }
    return call->body_bytes - max <= BODY_EXCESS_READ;
}

/* ---- which master ---- */

static enum MHD_Result refuse_unknown(struct call *call)
{
    const struct snapshot *snapshot = call->listener->worker->cache->snapshot;
    json_t *more = json_object();
    char detail[ROUTE_ARGUMENT_SIZE + 80];

    snprintf(detail, sizeof(detail),
             "no master of the name %s is watched; GET /masters lists those that are",
             call->job->master);
    json_object_set_new(more, "name", render_text(call->job->master));
    json_object_set_new(more, "sentinels_know", answer_names_known(snapshot));
    return call_refuse(call, PROBLEM_UNKNOWN_MASTER, "NOMASTER", detail, more);
}

static enum MHD_Result refuse_several(struct call *call)
{
    json_t *more = json_object();

    json_object_set_new(more, "names",
                        answer_names_watched(call->listener->worker->cache->snapshot));
    return call_refuse(
        call, PROBLEM_SEVERAL_MASTERS, "BADREQUEST",
        "say which with /masters/{name}/redis, or start the daemon with --default-master", more);
}

static enum MHD_Result refuse_nameless(struct call *call)
{
    const struct snapshot *snapshot = call->listener->worker->cache->snapshot;
    const char *detail = "no master is known yet";

    if (!snapshot) {
        detail = "the daemon has just started; no Sentinel was asked yet";
    } else if (snapshot->detail && *snapshot->detail) {
        detail = snapshot->detail;
    }
    return call_refuse(call, PROBLEM_NOT_SENT, "NOMASTER", detail, NULL);
}

/*
 * A master that has a name is waited for by the pool. @return whether there is one; else it was
 * answered.
 */
static bool find_master(struct call *call, enum MHD_Result *result)
{
    struct cache *cache = call->listener->worker->cache;
    char *name = call->job->master;

    if (*name) {
        if (!cache->snapshot || cache_find(cache, name)) {
            return true;
        }
        *result =
            answer_knows_no_names(cache->snapshot) ? refuse_nameless(call) : refuse_unknown(call);
    } else if (cache->default_master) {
        memcpy(name, cache->default_master->master->name,
               strnlen(cache->default_master->master->name, sizeof(call->job->master) - 1));
        return true;
    } else if (cache->snapshot && cache->snapshot->ambiguous_default) {
        *result = refuse_several(call);
    } else {
        *result = refuse_nameless(call);
    }
    return false;
}

/* ---- reading it ---- */

/* The query: `retry` and `_token` are ours, all else is appended to a path. */
struct pairs {
    struct call *call;
    struct batch *batch; /* NULL: nothing is appended */
    struct buffer text;  /* decoded */
    bool bad_retry, failed;
    char error[BATCH_ERROR_SIZE];
};

/* @return whether it is well encoded; then it is in `text`. */
static bool decode(struct pairs *pairs, const char *raw, size_t len)
{
    pairs->text.size = 0;
    if (percent_decode_bytes(raw, len, buffer_reserve(&pairs->text, len + 1), len + 1,
                             &pairs->text.size) == 0) {
        return true;
    }
    pairs->failed = true;
    snprintf(pairs->error, sizeof(pairs->error), "the query takes %% and two hexadecimal digits");
    return false;
}

static bool decoded_is(const struct pairs *pairs, const char *word)
{
    return pairs->text.size == strlen(word) &&
           memcmp(pairs->text.bytes, word, pairs->text.size) == 0;
}

static void append(struct pairs *pairs)
{
    if (pairs->batch &&
        batch_add_argument(pairs->batch, pairs->text.bytes, pairs->text.size, pairs->error) != 0) {
        pairs->failed = true;
    }
}

static enum MHD_Result read_pair(void *data, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    struct pairs *pairs = data;

    (void)kind;
    if (name_len == 0 && !value) { /* nothing between two `&` */
        return MHD_YES;
    }
    if (!decode(pairs, name, name_len)) {
        return MHD_NO;
    }
    if (decoded_is(pairs, "retry")) {
        pairs->bad_retry |=
            !value || !decode(pairs, value, value_len) || !decoded_is(pairs, "always");
        pairs->call->job->retry_always = !pairs->bad_retry;
        return MHD_YES;
    }
    if (decoded_is(pairs, TOKEN_NAME)) {
        /* never an argument, nor looked at where no token is needed */
        return MHD_YES;
    }
    append(pairs);
    if (value && !pairs->failed && decode(pairs, value, value_len)) {
        append(pairs);
    }
    return pairs->failed ? MHD_NO : MHD_YES;
}

static enum MHD_Result refuse_bad(struct call *call, const char *words)
{
    return call_refuse(call, PROBLEM_BAD_COMMAND, "BADREQUEST", words, NULL);
}

static enum MHD_Result refuse_retry(struct call *call)
{
    json_t *more = json_object();

    json_object_set_new(more, "parameter", json_string("retry"));
    return call_refuse(call, PROBLEM_BAD_PARAMETER, "BADREQUEST", "retry takes always", more);
}

/* The path with its body and the query behind it. @return NULL: `error` says why. */
static struct batch *read_path(struct call *call, const char *url, struct pairs *pairs)
{
    struct batch *batch = batch_new_path();
    struct route_match match;

    pairs->batch = batch;
    pairs->failed = router_match(url, call->listener->scope, &match) != 0 || !match.rest ||
                    batch_add_path(batch, match.rest, pairs->error) != 0 ||
                    (call->body.size > 0 && batch_add_argument(batch, call->body.bytes,
                                                               call->body.size, pairs->error) != 0);
    if (!pairs->failed) {
        MHD_get_connection_values_n(call->connection, MHD_GET_ARGUMENT_KIND, read_pair, pairs);
    }
    if (pairs->failed || batch_end_path(batch, pairs->error) != 0) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static struct batch *read_body(const struct call *call, struct pairs *pairs)
{
    enum batch_shape shape = call->kind == CALL_ONE ? BATCH_ONE : BATCH_MANY;
    struct batch *batch = NULL;

    MHD_get_connection_values_n(call->connection, MHD_GET_ARGUMENT_KIND, read_pair, pairs);
    if (!pairs->failed && batch_read(call->body.bytes ? call->body.bytes : "", call->body.size,
                                     shape, &batch, pairs->error) != 0) {
        return NULL;
    }
    return batch;
}

/*
 * A transaction runs whole or not at all. @return whether nothing is wrong with any member; else it
 * was answered.
 */
static bool is_whole(struct call *call, enum MHD_Result *result)
{
    const struct batch *batch = call->job->batch;

    for (size_t i = 0; i < batch->n; i++) {
        if (batch->commands[i].error) {
            *result = refuse_bad(call, batch->commands[i].error);
            return false;
        }
    }
    return true;
}

/* @return whether `job` has its batch; else it was answered. */
static bool read_commands(struct call *call, const char *url, enum MHD_Result *result)
{
    struct pairs pairs = {.call = call};

    call->job->batch =
        call->kind == CALL_PATH ? read_path(call, url, &pairs) : read_body(call, &pairs);
    call->job->transaction = call->kind == CALL_TRANSACTION;
    buffer_release(&pairs.text);
    buffer_release(&call->body);
    if (pairs.bad_retry) {
        *result = refuse_retry(call);
        return false;
    }
    if (!call->job->batch) {
        *result = refuse_bad(call, pairs.error);
        return false;
    }
    return call->kind != CALL_TRANSACTION || is_whole(call, result);
}

/* ---- the last call ---- */

static enum MHD_Result refuse_body(struct call *call)
{
    int64_t max = call->listener->worker->config->max_body_bytes;
    json_t *more = json_object();

    json_object_set_new(more, "max_body_bytes", json_integer(max));
    return call_refuse(call, PROBLEM_BODY_TOO_LARGE, "TOOBIG",
                       "this daemon takes no larger body (option max-body)", more);
}

/* What was read of it is let go. */
static enum MHD_Result refuse_memory(struct call *call)
{
    json_t *more = json_object();

    json_object_set_new(more, "outcome", json_string("not_sent"));
    batch_free(call->job->batch);
    call->job->batch = NULL;
    metric_add(&call->listener->worker->counts->rejected[METRIC_REJECTION_MEMORY], 1);
    return call_refuse(call, PROBLEM_NOT_SENT, "NOTSENT",
                       "there is no memory left for it; nothing was sent (option max-memory)",
                       more);
}

static enum MHD_Result refuse(struct call *call)
{
    switch (call->refusal) {
    case CALL_BAD_PATH:
        return refuse_bad(call, "the path takes % and two hexadecimal digits, and no NUL");
    case CALL_BAD_METHOD:
        return call_refuse(call, PROBLEM_METHOD_NOT_ALLOWED, "BADREQUEST",
                           "see the Allow header for the methods that this route has", NULL);
    case CALL_TWICE: {
        char words[64];

        snprintf(words, sizeof(words), "there are two headers %s, and one is taken", call->words);
        return refuse_bad(call, words);
    }
    case CALL_NO_TOKEN: return call_refuse(call, PROBLEM_NO_TOKEN, "NOAUTH", call->words, NULL);
    case CALL_WRONG_TOKEN:
        return call_refuse(call, PROBLEM_WRONG_TOKEN, "NOAUTH", call->words, NULL);
    case CALL_FORBIDDEN: return call_refuse(call, PROBLEM_FORBIDDEN, "NOPERM", call->words, NULL);
    case CALL_NO_MEMORY: return refuse_memory(call);
    case CALL_HEAD_TOO_LARGE:
        return call_refuse(call, PROBLEM_HEAD_TOO_LARGE, "TOOBIG", HEAD_TOO_LARGE, NULL);
    default: return refuse_body(call);
    }
}

enum MHD_Result call_go(struct call *call, const char *url)
{
    struct worker *worker = call->listener->worker;
    enum MHD_Result result = MHD_YES;

    if (call->ended) {
        return call_answer(call);
    }
    if (connection_is_refused(call->listener, call->connection)) {
        call->closing = true;
        return call_refuse(call, PROBLEM_TOO_MANY_CONNECTIONS, "NOTSENT",
                           connection_refuse(call->listener, call->connection), NULL);
    }
    if (call->refusal != CALL_WELCOME) {
        return refuse(call);
    }
    if (!budget_has(call->body.size)) {
        return refuse_memory(call);
    }
    if (!find_master(call, &result) || !read_commands(call, url, &result)) {
        return result;
    }
    if (!budget_has(call->job->batch->wire.size + call->job->batch->n * POOL_COMMAND_BYTES)) {
        return refuse_memory(call);
    }
    if (pool_run(worker->commands->pool, call->job)) {
        return call_answer(call);
    }
    MHD_suspend_connection(call->connection);
    return MHD_YES;
}

void call_free(struct call *call)
{
    if (call) {
        if (call->small) {
            small_give_back(call->listener->worker->commands, call->small);
        }
        buffer_release(&call->body);
        pool_job_release(call->job);
        free(call);
    }
}
