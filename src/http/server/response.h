/* MHD responses with the headers that every answer carries. */
#ifndef BELLWETHER_HTTP_SERVER_RESPONSE_H
#define BELLWETHER_HTTP_SERVER_RESPONSE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETAG_SIZE 128

#define CONTENT_JSON "application/json"
#define CONTENT_BYTES "application/octet-stream"
#define CONTENT_PROBLEM "application/problem+json"
#define CONTENT_TEXT "text/plain; charset=utf-8"
#define CONTENT_YAML "application/yaml"
#define CONTENT_EVENTS "text/event-stream"
#define CONTENT_HTML "text/html; charset=utf-8"

/* What decides the headers. Zero is a good start: no index, no tag, not cached by anyone. */
struct response_headers {
    const char *content_type; /* NULL: no body */
    const char *etag;         /* NULL: Cache-Control: no-store, else no-cache and this tag */
    const char *instance;     /* with `has_index`: X-Bellwether-Instance */
    bool has_index;
    uint64_t index;         /* X-Bellwether-Index */
    bool negotiated;        /* Vary: Accept */
    bool retry;             /* Retry-After: 1 */
    bool closing;           /* Connection: close */
    const char *allow;      /* Allow, or NULL */
    const char *ran_at;     /* X-Bellwether-Master, or NULL */
    const char *sync_token; /* Upstash-Sync-Token, or NULL */
    bool challenge;         /* WWW-Authenticate: Bearer */
    /* whose pages may read it: Access-Control-Allow-Origin; NULL: nobody's but our own */
    const char *origin;
    const char *policy; /* of HTML: Content-Security-Policy, and with it no referrer; NULL: none */
};

/** Let the pages of an origin read it. */
void response_open(struct MHD_Response *response, const char *origin);
/** A shared response once more, for an origin's pages. @param body borrowed, copied. */
struct MHD_Response *response_copy(struct MHD_Response *response, const char *body, size_t size,
                                   const char *origin);
/** @param body taken, from malloc(). */
struct MHD_Response *response_new(const struct response_headers *headers, char *body, size_t size);
/** @param body borrowed for as long as the program runs. */
struct MHD_Response *response_new_static(const struct response_headers *headers, const char *body,
                                         size_t size);

#endif
