/* Bytes that grow at their end, by doubling; what is asked for at once and is more than that is given exactly. */
#include "bellwether/base/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"

enum { ROOM_MIN = 64 };

static void grow(struct buffer *buffer, size_t wanted)
{
    size_t room = buffer->room > 0 ? buffer->room * 2 : ROOM_MIN;

    room = room < wanted ? wanted : room;
    buffer->bytes = mem_resize(buffer->bytes, room, 1);
    buffer->room = room;
}

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->room - buffer->size < more) {
        if (more > SIZE_MAX / 4 - buffer->size) {
            abort();
        }
        grow(buffer, buffer->size + more);
    }
    return buffer->bytes + buffer->size;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(buffer_reserve(buffer, size), bytes, size);
        buffer->size += size;
    }
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_integer(struct buffer *buffer, int64_t number)
{
    char text[sizeof "-9223372036854775808"];
    size_t at = sizeof text;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        text[--at] = '-';
    }
    buffer_add(buffer, text + at, sizeof text - at);
}

char *buffer_take(struct buffer *buffer, size_t *size)
{
    char *bytes = buffer->bytes;

    *size = buffer->size;
    *buffer = (struct buffer){0};
    return bytes;
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
