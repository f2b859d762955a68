/* What the first bytes of a connection are, before libmicrohttpd sees them. Pure. */
#ifndef HTTP_PEEK_H
#define HTTP_PEEK_H

#include <stdbool.h>
#include <stddef.h>

/* As much as libmicrohttpd has room for: a head that is longer is its to refuse. */
#define PEEK_SIZE 8192

enum peek_kind {
    PEEK_MORE,    /* not a whole head yet */
    PEEK_REQUEST, /* libmicrohttpd's, also where it will not like it */
    PEEK_PROXY,   /* a PROXY protocol header, version 1 or 2 */
    PEEK_TLS,     /* a ClientHello */
    PEEK_HTTP2,   /* HTTP/2 with prior knowledge */
};

struct peek {
    enum peek_kind kind;
    size_t empty;     /* bytes of an empty line before the request, to be dropped */
    size_t head_size; /* of a whole head, its end included; 0: it has none */
    bool waits;       /* a request that asks to wait, or for a stream */
    bool live;        /* it asks for /livez or /healthz */
    bool head;        /* HEAD: no body is to follow */
};

/** @param bytes what was received so far, `n` of them, at least one. */
struct peek peek_at(const char *bytes, size_t n);

#endif
