/* What the first bytes of a connection are, before libmicrohttpd sees them. Pure. */
#ifndef BELLWETHER_HTTP_SERVER_PEEK_H
#define BELLWETHER_HTTP_SERVER_PEEK_H

#include <stdbool.h>
#include <stddef.h>

#include "head.h"

#define PEEK_SIZE HEAD_MOST_BYTES
#define PEEK_EMPTY_MOST 4 /* bytes of empty lines that may come before a request */

enum peek_kind {
    PEEK_MORE,    /* not a whole head yet */
    PEEK_REQUEST, /* libmicrohttpd's */
    PEEK_FAULTY,  /* a head that it would not take: `why`, `fault` */
    PEEK_PROXY,   /* a PROXY protocol header, version 1 or 2 */
    PEEK_TLS,     /* a ClientHello */
    PEEK_HTTP2,   /* HTTP/2 with prior knowledge */
    PEEK_PLAIN,   /* no TLS, where TLS is spoken */
    PEEK_OLD_TLS, /* a ClientHello that offers nothing newer than TLS 1.1 */
};

struct peek {
    enum peek_kind kind;
    size_t empty;     /* bytes of empty lines before the request, to be dropped */
    size_t head_size; /* of a whole head, its end included; 0: it has none */
    size_t cost;      /* what it takes of the connection's memory */
    enum problem_kind why;
    const char *fault;
    bool waits; /* a request that asks to wait, or for a stream */
    bool live;  /* it asks for /livez or /healthz */
    bool head;  /* HEAD: no body is to follow */
    bool text;  /* it likes text better than JSON, as far as it has come */
};

/** @param bytes what was received so far, `n` of them, at least one. */
struct peek peek_at(const char *bytes, size_t n);
/** The same where TLS is spoken: a first record that is all there is libmicrohttpd's. */
struct peek peek_at_tls(const char *bytes, size_t n);

#endif
