/*
 * MHD responses: a body and the headers that HTTP.md asks for. Made once and shared, or for one
 * request.
 */
#include "response.h"

#include <inttypes.h>
#include <stdio.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES) {
        log_error("cannot add a response header", LOG_STR("header", name));
    }
}

void response_open(struct MHD_Response *response, const char *origin)
{
    add(response, "Access-Control-Allow-Origin", origin);
    add(response, "Access-Control-Expose-Headers",
        "ETag, X-Bellwether-Index, X-Bellwether-Instance");
    add(response, "Vary", "Origin");
}

static struct MHD_Response *dress(struct MHD_Response *response,
                                  const struct response_headers *headers)
{
    if (!response) {
        mem_exhausted();
    }
    if (headers->closing) {
        add(response, "Connection", "close");
    }
    if (headers->content_type) {
        add(response, "Content-Type", headers->content_type);
    }
    add(response, "Cache-Control", headers->etag ? "no-cache" : "no-store");
    add(response, "X-Content-Type-Options", "nosniff");
    if (headers->etag) {
        add(response, "ETag", headers->etag);
    }
    if (headers->policy) {
        add(response, "Content-Security-Policy", headers->policy);
        add(response, "Referrer-Policy", "no-referrer");
    }
    if (headers->negotiated) {
        add(response, "Vary", "Accept");
    }
    if (headers->has_index) {
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, headers->index);
        add(response, "X-Bellwether-Index", text);
        add(response, "X-Bellwether-Instance", headers->instance);
    }
    if (headers->ran_at) {
        add(response, "X-Bellwether-Master", headers->ran_at);
    }
    if (headers->sync_token) {
        add(response, "Upstash-Sync-Token", headers->sync_token);
    }
    if (headers->challenge) {
        add(response, "WWW-Authenticate", "Bearer");
    }
    if (headers->retry) {
        add(response, "Retry-After", "1");
    }
    if (headers->allow) {
        add(response, "Allow", headers->allow);
    }
    if (headers->origin) {
        response_open(response, headers->origin);
    }
    if (headers->origin && headers->allow) {
        add(response, "Access-Control-Allow-Methods", "GET, HEAD");
        add(response, "Access-Control-Allow-Headers",
            "Cache-Control, If-None-Match, Last-Event-ID, Prefer");
        add(response, "Access-Control-Max-Age", "600");
    }
    return response;
}

static enum MHD_Result copy_header(void *data, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    add(data, name, value);
    return MHD_YES;
}

struct MHD_Response *response_copy(struct MHD_Response *response, const char *body, size_t size,
                                   const char *origin)
{
    struct MHD_Response *copy = MHD_create_response_from_buffer_copy(size, body);

    if (!copy) {
        mem_exhausted();
    }
    MHD_get_response_headers(response, copy_header, copy);
    response_open(copy, origin);
    return copy;
}

struct MHD_Response *response_new(const struct response_headers *headers, char *body, size_t size)
{
    budget_adopt(body);
    return dress(
        MHD_create_response_from_buffer_with_free_callback_cls(size, body, budget_free, body),
        headers);
}

struct MHD_Response *response_new_static(const struct response_headers *headers, const char *body,
                                         size_t size)
{
    return dress(MHD_create_response_from_buffer_static(size, body), headers);
}
