/* What an HTTP client has been answered: HTTP with a status and a body that we have. */
#ifndef BELLWETHER_TESTS_FUZZ_HTTP_ANSWERS_H
#define BELLWETHER_TESTS_FUZZ_HTTP_ANSWERS_H

#include <stdbool.h>

#include "bellwether/base/buffer.h"

struct client {
    int fd;             /* -1: not connected, or gone */
    bool gone;          /* it went by itself, or was cut off: half an answer is no wonder */
    bool blind;         /* it does not read */
    bool may_head;      /* it has sent `HEAD `: answers may have no body */
    bool probe, closed; /* `closed`: by the worker */
    struct buffer said, heard;
};

/** End the process as a finding, with what was said and heard. */
void client_broken(const struct client *client, const char *what) __attribute__((noreturn));
/** All that was heard holds; where the worker has closed the connection, it is whole. */
void client_hold(struct client *client);

#endif
