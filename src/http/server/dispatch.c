/*
 * From libmicrohttpd's access handler to the handler of a resource.
 *
 * A request's first call only takes note of it: an answer queued there would close the connection.
 * Calls with a body count and drop it; only commands have use for one, and get all their calls
 * themselves. The last call answers; `GET /master` with nothing special about it is a
 * comparison of the path, a look at the headers, and one connection_answer() with the answer that
 * the cache keeps ready; so is a load balancer's question after a node, from the second time on.
 */
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/units.h"
#include "bellwether/base/utf8.h"
#include "connections.h"
#include "long_poll.h"
#include "poll_params.h"
#include "request.h"
#include "request_headers.h"
#include "routes.h"

/* ---- counting ---- */

static void count_in_flight(struct worker *worker)
{
    metric_set(&worker->counts->inflight, (int64_t)worker->in_flight);
}

/*
 * A worker does one thing at a time: what it did since it last read the clock, which it does when
 * it begins to look at its connections and at every answer, was this request, and sending the
 * answer before. So one reading a request is enough, and it is the one that tells whether the
 * watcher is alive.
 */
static void count_answer(struct worker *worker, size_t slot, enum metric_method method,
                         unsigned status, int64_t began_us, int64_t now_us)
{
    struct metrics_http *counts = worker->counts;

    metric_add(&counts->requests[slot][method][metric_code_of(status)], 1);
    metric_observe(&counts->durations[slot], METRIC_HTTP_DURATION, now_us - began_us);
    worker->clock_us = now_us;
}

static enum metric_method counted_method(const char *method)
{
    switch (router_method(method)) {
    case HTTP_GET: return METRIC_METHOD_GET;
    case HTTP_HEAD: return METRIC_METHOD_HEAD;
    case HTTP_POST: return METRIC_METHOD_POST;
    case HTTP_PUT: return METRIC_METHOD_PUT;
    case HTTP_OPTIONS: return METRIC_METHOD_OPTIONS;
    default: return METRIC_METHOD_OTHER;
    }
}

void dispatch_count(struct worker *worker, const struct route *route, const char *method,
                    unsigned status, int64_t began_us)
{
    count_answer(worker, route ? (size_t)route->id : ROUTES_COUNT, counted_method(method), status,
                 began_us, clock_boot_us());
}

/*
 * After its handler; nothing while it waits. Who waits for a change is not slow: only a look-up's
 * time counts.
 */
static void count_request(const struct request *request, const char *method)
{
    struct worker *worker = request->worker;

    if (request->status != 0 && request->result == MHD_YES) {
        dispatch_count(worker, request->route, method, request->status,
                       request->fresh ? request->fresh->began_ms * 1000 : worker->clock_us);
    }
}

void dispatch_completed(void *data, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode why)
{
    struct listener *listener = data;
    const struct held *held;

    (void)why;
    if (!*state) {
        return;
    }
    held = request_held(state);
    if (held) {
        fresh_free(held->fresh);
        long_poll_free(held->long_poll);
        listener->worker->routes->command_free(held->command);
        free(*state);
    }
    *state = NULL;
    connection_request_ends(listener, connection);
    listener->worker->in_flight--;
    count_in_flight(listener->worker);
}

/* ---- the query ---- */

struct query_reading {
    struct request *request;
    unsigned known;
    const char *refused; /* the first parameter that made no sense */
    char error[QUERY_ERROR_SIZE];
};

static enum MHD_Result read_parameter(void *data, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct query_reading *reading = data;
    const char *refused;
    char error[QUERY_ERROR_SIZE];

    (void)kind;
    if (query_add(&reading->request->query, reading->known, name, name_len, value, value_len,
                  &refused, error) &&
        !reading->refused) {
        reading->refused = refused;
        memcpy(reading->error, error, sizeof(error));
    }
    return MHD_YES;
}

/* All of it is read even when something is wrong, since ?format= may follow. */
static void read_query(struct request *request, const struct request_headers *headers,
                       struct query_reading *out)
{
    *out = (struct query_reading){request, request->route ? request->route->parameters : QUERY_FORM,
                                  NULL, ""};
    if (headers->has_query) {
        MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, read_parameter,
                                    out);
    }
    request->form =
        request->query.form != FORM_UNSET ? request->query.form : accept_form(&headers->accept);
    request->likes_html = accept_likes_html(&headers->accept);
}

/* ---- to the routes ---- */

static void refuse_parameter(struct request *request, const struct query_reading *reading)
{
    json_t *problem = problem_new(PROBLEM_BAD_PARAMETER, reading->error);

    json_object_set_new(problem, "parameter", json_string(reading->refused));
    request_answer_problem(request, PROBLEM_BAD_PARAMETER, problem, NULL);
}

static void refuse_body(struct request *request)
{
    json_t *problem =
        problem_new(PROBLEM_BODY_TOO_LARGE, "this daemon takes no larger one (option max-body)");

    json_object_set_new(problem, "max_body_bytes",
                        json_integer(request->worker->config->max_body_bytes));
    request_answer_problem(request, PROBLEM_BODY_TOO_LARGE, problem, NULL);
}

/*
 * Requests that are to wait have room beside max-connections: thousands that come back at once are
 * not sent away.
 */
static bool asks_to_wait(const struct request *request)
{
    return request->route && (request->route->id == ROUTE_EVENTS || poll_asks(request));
}

/*
 * A connection over the limit is told so and closed; but a liveness probe must not fail because of
 * callers.
 */
static bool refuse_connection(struct request *request)
{
    if (!connection_is_refused(request->listener, request->connection) ||
        (asks_to_wait(request) &&
         connection_begins_to_wait(request->listener, request->connection))) {
        return false;
    }
    request->closing = true;
    if (request->listener->scope == HTTP_SCOPE_PROBE ||
        (request->route &&
         (request->route->id == ROUTE_LIVEZ || request->route->id == ROUTE_HEALTHZ))) {
        return false;
    }
    request_refuse(request, PROBLEM_TOO_MANY_CONNECTIONS,
                   connection_refuse(request->listener, request->connection));
    return true;
}

static const char *why_not_found(const struct request *request, const char *url)
{
    if (request->listener->scope == HTTP_SCOPE_PROBE) {
        return "this address answers /livez, /readyz, /healthz, /self, /nodes, /metrics and /version";
    }
    if (strcmp(url, "/pipeline") == 0 || strcmp(url, "/multi-exec") == 0) {
        return "commands are run under /redis: a client's url ends with it, as in http://HOST:PORT/redis";
    }
    if (strncmp(url, "/redis", 6) == 0 && !request->worker->commands) {
        return "commands are not run here: start the daemon with --redis-api (it is off), or ask an address with "
               "scope=all";
    }
    return "GET / lists the routes; commands are run under /redis";
}

static void refuse_path(struct request *request, enum problem_kind kind, const char *url,
                        const char *why)
{
    char shown[QUERY_SHOWN_SIZE], words[QUERY_ERROR_SIZE];

    utf8_copy(url, strlen(url), shown, sizeof(shown));
    snprintf(words, sizeof(words), "the path is \"%s\"; %s", shown, why);
    request_refuse(request, kind, words);
}

/* Pages of which origin may read what is found here: option allow-origin. */
static const char *opened_to(const struct request *request, const struct request_headers *headers)
{
    const struct http_config *config = request->worker->config;

    if (headers->foreign || !headers->origin || !request->route ||
        !(request->route->scopes & SCOPE_BIT(HTTP_SCOPE_DISCOVERY)) ||
        (request->route->scopes & SCOPE_BIT(HTTP_SCOPE_PROBE))) {
        return NULL;
    }
    for (size_t i = 0; i < config->n_allow_origins; i++) {
        if (strcmp(config->allow_origins[i], "*") == 0 ||
            strcasecmp(config->allow_origins[i], headers->origin) == 0) {
            return headers->origin;
        }
    }
    return NULL;
}

static void route_request(struct request *request, const struct request_headers *headers,
                          const char *url, const char *method)
{
    const struct held *held = request_held(request->state);
    struct route_match match = {.argument = ""};
    int error = router_match(url, request->listener->scope, &match);
    unsigned bit = router_method(method);
    struct query_reading reading;

    request->route = match.route;
    request->argument = match.argument;
    request->origin = opened_to(request, headers);
    read_query(request, headers, &reading);
    if (refuse_connection(request)) {
        return;
    }
    if (headers->foreign) {
        char words[QUERY_ERROR_SIZE];

        request_headers_say_foreign(headers->foreign, words);
        request_refuse(request, PROBLEM_FORBIDDEN, words);
    } else if (bit == HTTP_OPTIONS &&
               (match.route ? !(match.route->methods & HTTP_ALIKE) : strcmp(url, "*") == 0)) {
        request_answer_methods(request, false);
    } else if (error == -BW_EINVAL) {
        refuse_path(request, PROBLEM_BAD_PATH, url,
                    "it takes % and two hexadecimal digits, and no NUL");
    } else if (error || !match.route) {
        refuse_path(request, PROBLEM_NOT_FOUND, url, why_not_found(request, url));
    } else if (!(match.route->methods & bit)) {
        request_answer_methods(request, true);
    } else if (held && held->body_bytes > request->worker->config->max_body_bytes) {
        refuse_body(request);
    } else if (reading.refused) {
        refuse_parameter(request, &reading);
    } else {
        request->worker->routes->handlers[match.route->id](request);
    }
}

static struct request request_of(struct listener *listener, struct MHD_Connection *connection,
                                 void **state)
{
    const struct held *held = request_held(state);

    return (struct request){
        .worker = listener->worker,
        .listener = listener,
        .connection = connection,
        .state = state,
        .argument = "",
        .form = FORM_JSON,
        .fresh = held ? held->fresh : NULL,
        .long_poll = held ? held->long_poll : NULL,
        .closing = listener->worker->draining,
        .result = MHD_NO,
    };
}

/* The quick way of GET /master, and of what the cache keeps by path. */
static bool quick_answer(const struct listener *listener, const char *url, const char *method,
                         struct routed_answer *out, int64_t *now_us)
{
    struct cache *cache = listener->worker->cache;
    bool is_master = strcmp(url, "/master") == 0 && strcmp(method, "GET") == 0 &&
                     cache->default_master && listener->scope != HTTP_SCOPE_PROBE;
    const struct routed_answer *kept =
        !is_master && strncmp(url, "/nodes/", 7) == 0 && (router_method(method) & METHODS_READ)
            ? cache_kept(cache, url)
            : NULL;

    if ((!is_master && !kept) || listener->refusing != 0) {
        return false;
    }
    *now_us = clock_boot_us();
    if (cache_stalled_at(cache, *now_us / 1000)) {
        return false;
    }
    if (kept) {
        *out = *kept;
    } else {
        const struct answer *answer =
            cache_answer(cache, cache->default_master, ANSWER_MASTER, ANSWER_JSON);

        *out = (struct routed_answer){ROUTE_MASTER, answer->status, answer->response, answer->size};
    }
    return true;
}

/*
 * A long poll's headers and route were looked at when it began to wait. Thousands are answered at
 * once: only what differs from one to the other is done for each.
 * @return whether there is nothing left to do.
 */
static bool answer_long_poll(struct listener *listener, struct MHD_Connection *connection,
                             const char *method, void **state, enum MHD_Result *result)
{
    const struct held *held = request_held(state);
    struct long_poll *long_poll = held ? held->long_poll : NULL;
    const struct answer *shared;
    struct request request;

    if (!long_poll) {
        return false;
    }
    if (!long_poll_ends(long_poll, &shared)) {
        *result = MHD_YES;
        return true;
    }
    if (!shared) {
        return false;
    }
    request = request_of(listener, connection, state);
    request.route = router_row(
        long_poll_terms(long_poll)->kind == ANSWER_MASTER ? ROUTE_MASTER : ROUTE_NAMED_MASTER);
    request.if_none_match = long_poll_terms(long_poll)->if_none_match;
    request_answer(&request, shared);
    count_request(&request, method);
    *result = request.result;
    return true;
}

static enum MHD_Result answer(struct listener *listener, struct MHD_Connection *connection,
                              const char *url, const char *method, void **state)
{
    struct request_headers headers;
    struct request request;
    enum MHD_Result result;

    if (answer_long_poll(listener, connection, method, state, &result)) {
        return result;
    }
    request_headers_read(&headers, listener, connection, url);
    if (!headers.special && !headers.foreign &&
        !(headers.origin && listener->worker->config->n_allow_origins > 0) &&
        !request_held(state)) {
        struct worker *worker = listener->worker;
        int64_t now_us;
        struct routed_answer quick;

        if (quick_answer(listener, url, method, &quick, &now_us)) {
            count_answer(worker, quick.route, counted_method(method), quick.status,
                         worker->clock_us, now_us);
            return connection_answer(listener, connection, quick.status, quick.response,
                                     quick.size);
        }
    }
    request = request_of(listener, connection, state);
    request.if_none_match = headers.if_none_match;
    request.prefer_wait_ms = headers.prefer_wait_ms;
    request.head = strcmp(method, "HEAD") == 0;
    request.path = url;
    request.plain = !headers.special;
    route_request(&request, &headers, url, method);
    count_request(&request, method);
    return request.result;
}

/* ---- the calls of MHD ---- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/*
 * A body that is announced as too large is refused before it comes, where the caller waits for that
 * (Expect) or where reading it all would be silly. @return whether it was refused.
 */
static bool refuse_early(struct listener *listener, struct MHD_Connection *connection,
                         const char *method, void **state)
{
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes = INT64_MAX, max = listener->worker->config->max_body_bytes;
    struct request request;

    if (!length || (integer_parse(length, 0, INT64_MAX, &bytes) == 0 && bytes <= max) ||
        (!header(connection, MHD_HTTP_HEADER_EXPECT) && bytes - max <= BODY_EXCESS_READ)) {
        return false;
    }
    request = request_of(listener, connection, state);
    request.closing = true;
    refuse_body(&request);
    count_request(&request, method);
    return true;
}

static enum MHD_Result begin(struct listener *listener, struct MHD_Connection *connection,
                             const char *url, const char *method, void **state)
{
    const struct http_routes *routes = listener->worker->routes;
    struct command_request *command;

    request_see(state);
    listener->worker->requests++;
    listener->worker->in_flight++;
    count_in_flight(listener->worker);
    connection_request_begins(listener, connection);
    command = listener->scope == HTTP_SCOPE_ALL
                  ? routes->command_begin(listener, connection, url, method)
                  : NULL;
    if (command) {
        request_hold(state)->command = command;
        return MHD_YES;
    }
    (void)refuse_early(listener, connection, method, state);
    return MHD_YES;
}

static bool take_body(struct listener *listener, const char *bytes, size_t size, void **state)
{
    struct held *held = request_hold(state);

    if (held->command) {
        return listener->worker->routes->command_take(held->command, bytes, size);
    }
    held->body_bytes += (int64_t)size;
    return held->body_bytes - listener->worker->config->max_body_bytes <= BODY_EXCESS_READ;
}

enum MHD_Result dispatch_handle(void *data, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state)
{
    struct listener *listener = data;
    const struct held *held;

    (void)version;
    if (!*state) {
        return begin(listener, connection, url, method, state);
    }
    if (*upload_size) {
        size_t size = *upload_size;

        *upload_size = 0;
        connection_request_moves(listener, connection, size);
        if (take_body(listener, upload, size, state)) {
            return MHD_YES;
        }
        metric_add(&listener->worker->counts->rejected[METRIC_REJECTION_BODY], 1);
        return MHD_NO;
    }
    connection_request_is_whole(listener, connection);
    held = request_held(state);
    if (held && held->command) {
        return listener->worker->routes->command_go(held->command, url, method);
    }
    return answer(listener, connection, url, method, state);
}
