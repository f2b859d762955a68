/*
 * The head of a request, line by line: what libmicrohttpd would refuse with a page of its own is
 * refused here. Pure.
 */
#ifndef BELLWETHER_HTTP_SERVER_HEAD_H
#define BELLWETHER_HTTP_SERVER_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"

/*
 * What a head may take of a connection's memory: its bytes, and so many more for each header and
 * parameter.
 */
#define HEAD_MOST_BYTES 8192
#define HEAD_ENTRY_BYTES 64
#define HEAD_TOO_LARGE \
    "a request's line and headers may have 8 KB together, of which each header and each parameter takes " \
    "64 bytes beside its own"

struct head {
    size_t lines, cost;
    bool old; /* HTTP/1.0 */
    bool has_host, has_length, has_coding;
    enum problem_kind kind; /* where there is a fault */
    const char *fault;      /* NULL: none so far */
};

/** Read one more line, without its LF. @return false: there is a fault. */
bool head_add(struct head *head, const char *line, size_t n);
/** The empty line came. @return false: there is a fault. */
bool head_end(struct head *head);
/** The head goes on, and is too large already. */
void head_overflow(struct head *head);

#endif
