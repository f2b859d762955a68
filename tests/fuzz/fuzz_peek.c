/*
 * The first bytes of a connection, whole and bit by bit: what they are is said once and stays so.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/server/peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peek before = {.kind = PEEK_MORE};

    for (size_t n = 1; n <= size && n <= PEEK_SIZE; n++) {
        struct peek peek = peek_at((const char *)data, n);

        if (peek.head_size > n || peek.empty > PEEK_EMPTY_MOST ||
            peek.empty >= n + (peek.kind == PEEK_MORE)) {
            abort();
        }
        if (before.kind != PEEK_MORE &&
            (peek.kind != before.kind || peek.waits < before.waits || peek.empty != before.empty)) {
            abort();
        }
        before = peek;
    }
    return 0;
}
