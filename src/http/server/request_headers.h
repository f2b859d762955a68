/* What the headers of a request say, on whatever route: gone over once, nothing is copied. */
#ifndef BELLWETHER_HTTP_SERVER_REQUEST_HEADERS_H
#define BELLWETHER_HTTP_SERVER_REQUEST_HEADERS_H

#include "bellwether/http/query.h"
#include "listener.h"

/* Text is borrowed from the connection; NULL: there is none. */
struct request_headers {
    const char *host, *origin, *authorization, *fetch_site, *content_length; /* the first of each */
    const char *if_none_match, *encoding, *response_format, *sync_token;
    const char *twice; /* the name of a header that may be there once; NULL: none is there twice */
    struct accept accept;
    int64_t prefer_wait_ms; /* means something with If-None-Match only */
    bool expects;
    bool has_query;
    bool special; /* a query, If-None-Match or an Accept other than all: no plain GET */
    /* to a listener on loopback, by a name that may be a page's own: the authority, up to its end
       or a slash */
    const char *foreign;
    size_t n; /* headers and parameters of the query */
};

/** @param url its target: in absolute form its own authority counts, and not Host. */
void request_headers_read(struct request_headers *out, struct listener *listener,
                          struct MHD_Connection *connection, const char *url);
/** Why one that is `foreign` is refused, in words. */
void request_headers_say_foreign(const char *foreign, char out[QUERY_ERROR_SIZE]);

#endif
