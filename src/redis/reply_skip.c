/*
 * The rest of a reply that is too long: read past, and kept nowhere. How much that is, is announced
 * as it comes: the length of each string, the number of elements of each list. One number holds how
 * many elements are still to come, however deep.
 */
#include "reply_skip.h"

#include <string.h>

#define LENGTH_MAX \
    ((uint64_t)1 << 50) /* of a string, and of all the elements that may be to come */

static char type_of(const redisReadTask *task)
{
    switch (task->type) {
    case REDIS_REPLY_STRING: return '$';
    case REDIS_REPLY_VERB: return '=';
    case REDIS_REPLY_ARRAY: return '*';
    case REDIS_REPLY_SET: return '~';
    case REDIS_REPLY_PUSH: return '>';
    case REDIS_REPLY_MAP: return '%';
    case REDIS_REPLY_ATTR: return '|';
    default: return '+'; /* a line, whichever */
    }
}

static void expect_item(struct conn_skip *skip, char type)
{
    skip->type = type;
    skip->length = 0;
    skip->negative = false;
}

void conn_skip_begin(struct conn_skip *skip, const redisReader *reader, unsigned more)
{
    *skip = (struct conn_skip){.items = more};
    if (reader->ridx < 0) {
        return;
    }
    skip->items++; /* the element under way, and those behind it on each level */
    for (int level = 1; level <= reader->ridx; level++) {
        skip->items += (uint64_t)(reader->task[level - 1]->elements - reader->task[level]->idx - 1);
    }
    if (reader->task[reader->ridx]->type >= 0) {
        expect_item(skip, type_of(reader->task[reader->ridx]));
    }
}

static bool has_length(char type)
{
    return strchr("$=!*~>%|", type) != NULL;
}

/* A digit more of the line that says how long it is. */
static bool take_digit(struct conn_skip *skip, char digit)
{
    if (digit == '-' || digit == '\r') {
        skip->negative = skip->negative || digit == '-';
        return true;
    }
    if (digit < '0' || digit > '9') {
        return false;
    }
    skip->length = skip->length * 10 + (uint64_t)(digit - '0');
    return skip->length <= LENGTH_MAX;
}

/* The line is over: what it announces is to come. */
static bool end_line(struct conn_skip *skip)
{
    uint64_t length = skip->negative ? 0 : skip->length;

    skip->items--;
    switch (skip->type) {
    case '$':
    case '=':
    case '!':
        if (!skip->negative) {
            skip->items++; /* until its bytes are there */
            skip->bytes = length + 2;
        }
        break;
    case '*':
    case '~':
    case '>': skip->items += length; break;
    case '%': skip->items += 2 * length; break;
    /* an attribute stands before the element that it describes */
    case '|': skip->items += 2 * length + 1; break;
    default: break;
    }
    expect_item(skip, 0);
    return skip->items <= LENGTH_MAX;
}

static size_t skip_bytes(struct conn_skip *skip, size_t size)
{
    size_t n = skip->bytes < size ? (size_t)skip->bytes : size;

    skip->bytes -= n;
    skip->items -= skip->bytes == 0;
    return n;
}

/* @return 0: that is no RESP. */
static size_t skip_line(struct conn_skip *skip, const char *bytes, size_t size)
{
    const char *end;
    size_t n;

    if (skip->type == 0) {
        expect_item(skip, bytes[0]);
        return bytes[0] != '\0' && strchr("+-:,_#($=!*~>%|", bytes[0]);
    }
    end = memchr(bytes, '\n', size);
    n = end ? (size_t)(end - bytes) : size;
    for (size_t i = 0; i < n && has_length(skip->type); i++) {
        if (!take_digit(skip, bytes[i])) {
            return 0;
        }
    }
    if (!end) {
        return n;
    }
    return end_line(skip) ? n + 1 : 0;
}

size_t conn_skip(struct conn_skip *skip, const char *bytes, size_t size, bool *ok)
{
    size_t at = 0;

    *ok = true;
    while (skip->items > 0 && at < size && *ok) {
        size_t n =
            skip->bytes > 0 ? skip_bytes(skip, size - at) : skip_line(skip, bytes + at, size - at);

        *ok = n > 0;
        at += n;
    }
    return at;
}
