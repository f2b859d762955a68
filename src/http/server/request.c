/*
 * What a request keeps between calls, the ways to answer it, with a shared answer or with a body
 * made for it, and the ways to let it wait.
 */
#include "request.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/master_json.h"
#include "connections.h"

#define LAG_TOLD_MS 1000

static char seen_mark;

void request_see(void **state)
{
    *state = &seen_mark;
}

struct held *request_hold(void **state)
{
    if (*state == &seen_mark) {
        *state = mem_new(1, sizeof(struct held));
    }
    return *state;
}

const struct held *request_held(void *const *state)
{
    return *state == &seen_mark ? NULL : *state;
}

/* ---- answering ---- */

void request_answer(struct request *request, const struct answer *answer)
{
    unsigned status = answer->status;

    if (request->if_none_match && *answer->etag &&
        etag_matches(request->if_none_match, answer->etag)) {
        status = MHD_HTTP_NOT_MODIFIED; /* MHD leaves the body out */
    }
    request->status = status;
    if (request->origin) {
        struct MHD_Response *copy =
            response_copy(answer->response, answer->body, answer->size, request->origin);

        request->result =
            connection_answer(request->listener, request->connection, status, copy, answer->size);
        MHD_destroy_response(copy);
        return;
    }
    request->result = connection_answer(request->listener, request->connection, status,
                                        answer->response, answer->size);
}

void request_answer_own(struct request *request, struct answer *answer)
{
    request_answer(request, answer);
    answer_free(answer);
}

/* Queue and let go, or let the cache have it: MHD keeps what it still needs. */
static void answer_once(struct request *request, unsigned status, struct MHD_Response *response,
                        size_t size)
{
    request->status = status;
    request->result =
        connection_answer(request->listener, request->connection, status, response, size);
    if (request->keep && request->plain && request->route && !request->closing) {
        const struct routed_answer answer = {request->route->id, status, response, size};

        cache_keep(request->worker->cache, request->path, &answer);
    } else {
        MHD_destroy_response(response);
    }
}

static struct response_headers headers_of(const struct request *request, unsigned status,
                                          const char *content_type,
                                          const struct snapshot_master *master)
{
    return (struct response_headers){
        .content_type = content_type,
        .instance = request->worker->instance,
        .has_index = master != NULL,
        .index = master ? master->index : 0,
        .negotiated = !request->route || (request->route->parameters & QUERY_FORMAT) ||
                      request->route->id == ROUTE_INDEX,
        .retry = status == MHD_HTTP_SERVICE_UNAVAILABLE,
        .closing = request->closing,
        .allow = request->allow,
        .origin = request->origin,
    };
}

void request_answer_json(struct request *request, unsigned status, json_t *json,
                         const struct snapshot_master *master)
{
    struct response_headers headers = headers_of(request, status, CONTENT_JSON, master);
    size_t size;
    char *text = render_dump(json, request->query.pretty, &size);

    answer_once(request, status, response_new(&headers, text, size), size);
}

void request_answer_text(struct request *request, unsigned status, char *text,
                         const struct snapshot_master *master)
{
    struct response_headers headers = headers_of(request, status, CONTENT_TEXT, master);

    size_t size = strlen(text);

    answer_once(request, status, response_new(&headers, text, size), size);
}

/* Limits that answer instead of hanging. */
static void count_rejection(const struct request *request, enum problem_kind kind)
{
    _Atomic uint64_t *rejected = request->worker->counts->rejected;

    switch (kind) {
    case PROBLEM_TOO_MANY_WAITERS: metric_add(&rejected[METRIC_REJECTION_WAITERS], 1); break;
    case PROBLEM_BODY_TOO_LARGE: metric_add(&rejected[METRIC_REJECTION_BODY], 1); break;
    default: break;
    }
}

void request_answer_problem(struct request *request, enum problem_kind kind, json_t *problem,
                            const struct snapshot_master *master)
{
    bool as_text = request->form == FORM_TEXT || request->form == FORM_URL;
    unsigned status = problem_status(kind);
    struct response_headers headers =
        headers_of(request, status, as_text ? CONTENT_TEXT : CONTENT_PROBLEM, master);
    size_t size;
    char *body = problem_write(kind, problem, as_text, request->query.pretty, &size);

    count_rejection(request, kind);
    answer_once(request, status, response_new(&headers, body, size), size);
}

void request_refuse(struct request *request, enum problem_kind kind, const char *detail)
{
    request_answer_problem(request, kind, problem_new(kind, detail), NULL);
}

void request_answer_methods(struct request *request, bool refused)
{
    struct response_headers headers;
    char words[96];

    request->allow = router_allow(request->route ? request->route->methods : METHODS_READ);
    if (refused) {
        snprintf(words, sizeof(words), "this route takes %s; commands are run under /redis",
                 request->allow);
        request_refuse(request, PROBLEM_METHOD_NOT_ALLOWED, words);
        return;
    }
    headers = headers_of(request, MHD_HTTP_NO_CONTENT, NULL, NULL);
    headers.negotiated = false;
    answer_once(request, MHD_HTTP_NO_CONTENT, response_new_static(&headers, "", 0), 0);
}

void request_answer_bytes(struct request *request, const char *content_type, const char *policy,
                          char *body, size_t size)
{
    struct response_headers headers = headers_of(request, MHD_HTTP_OK, content_type, NULL);

    headers.policy = policy;
    answer_once(request, MHD_HTTP_OK, response_new(&headers, body, size), size);
}

void request_answer_static(struct request *request, const char *content_type, const char *body,
                           size_t size)
{
    struct response_headers headers = headers_of(request, MHD_HTTP_OK, content_type, NULL);

    answer_once(request, MHD_HTTP_OK, response_new_static(&headers, body, size), size);
}

/* ---- waiting ---- */

void request_ask(struct request *request, enum fresh_question question, const char *master)
{
    request_hold(request->state)->fresh =
        fresh_ask(request->listener, request->connection, question, master);
    request->result = MHD_YES;
}

void request_answer_too_many_long_polls(struct request *request)
{
    request_refuse(request, PROBLEM_TOO_MANY_WAITERS, TOO_MANY_WAITERS_WORDS);
}

void request_wait(struct request *request, const struct wait_terms *terms, int64_t wait_ms)
{
    struct long_poll *long_poll =
        long_poll_start(request->listener, request->connection, request->argument, terms, wait_ms);

    if (!long_poll) {
        request_answer_too_many_long_polls(request);
        return;
    }
    request_hold(request->state)->long_poll = long_poll;
    request->result = MHD_YES;
}

void request_reads_lag(struct request *request, struct cached_master *cached)
{
    struct worker *worker = request->worker;
    int64_t now_ms = clock_boot_ms(),
            *told_ms = cached ? &cached->lag_told_ms : &worker->lag_told_ms;

    if (now_ms - *told_ms >= LAG_TOLD_MS) {
        *told_ms = now_ms;
        mailbox_post(worker->ask_to,
                     message_ask_lag_new(0, NULL, cached ? cached->master->name : ""));
    }
}
