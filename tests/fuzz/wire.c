/* See wire.h. */
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool wire_hear(struct wire *wire)
{
    char bytes[16384];
    ssize_t n = recv(wire->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0) {
        buffer_add(&wire->in, bytes, (size_t)n);
    }
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* @return how many bytes the command has, 0: it is not whole. */
static size_t read_command(const char *in, size_t size, char words[WIRE_WORDS][WIRE_WORD])
{
    const char *end = in + size;
    char *at;
    long n;

    if (*in != '*' || !memchr(in, '\n', size)) {
        return 0;
    }
    n = strtol(in + 1, &at, 10);
    for (long i = 0; i < n; i++) {
        size_t length;

        at += 2;
        if (at >= end || *at != '$') {
            return 0;
        }
        length = strtoul(at + 1, &at, 10);
        if (at + 4 + length > end) {
            return 0;
        }
        if (i < WIRE_WORDS) {
            (void)snprintf(words[i], WIRE_WORD, "%.*s", (int)length, at + 2);
        }
        at += 2 + length;
    }
    return (size_t)(at + 2 - in);
}

bool wire_take(struct wire *wire, char words[WIRE_WORDS][WIRE_WORD])
{
    size_t used;

    memset(words, 0, (size_t)WIRE_WORDS * WIRE_WORD);
    buffer_add(&wire->in, "", 1); /* an end for functions that take a text */
    wire->in.size--;
    used = read_command(wire->in.bytes, wire->in.size, words);
    wire->in.size -= used;
    memmove(wire->in.bytes, wire->in.bytes + used, wire->in.size);
    return used > 0;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0) {
        close(wire->fd);
        wire->fd = -1;
    }
    buffer_release(&wire->in);
}
