/* ?wait=, and Prefer: wait with If-None-Match: what a request waits for, and whether it has to. */
#include "poll_params.h"

#include <string.h>

static struct wait_terms terms_of(const struct request *request)
{
    const struct query *query = &request->query;
    struct wait_terms terms = {
        .stale = query->stale,
        .require_majority = query->require_majority,
        .kind = *request->argument ? ANSWER_NAMED_MASTER : ANSWER_MASTER,
        .form = answer_form_of(request->form, query->pretty),
        .if_none_match = request->if_none_match,
        .plain = !query->fresh && !request->origin,
    };

    if (!query->has_wait) { /* the header's */
        terms.wants = WAIT_TAG;
        return terms;
    }
    if (query->has_index) {
        terms.wants |= WAIT_INDEX;
        terms.index = query->index;
        terms.foreign = *query->instance && strcmp(query->instance, request->worker->instance) != 0;
    }
    if (query->has_unless) {
        terms.wants |= WAIT_OTHER;
        terms.unless = &query->unless;
    }
    return terms;
}

static int64_t wait_of(const struct request *request)
{
    if (request->query.has_wait) {
        return request->query.wait_ms;
    }
    return request->if_none_match ? request->prefer_wait_ms : 0;
}

bool poll_asks(const struct request *request)
{
    return (request->route->parameters & QUERY_WAIT) && wait_of(request) > 0;
}

bool poll_waits(struct request *request)
{
    int64_t wait_ms = wait_of(request);
    struct wait_terms terms;

    if (request->long_poll || wait_ms == 0 || request->fresh || request->worker->stopping) {
        return false;
    }
    terms = terms_of(request);
    if (long_polls_satisfied(request->worker->cache, &terms, request->argument)) {
        return false;
    }
    request_wait(request, &terms, wait_ms);
    return true;
}
