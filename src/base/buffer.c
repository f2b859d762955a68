/*
 * Bytes that grow at their end, by doubling; what is asked for at once and is more than that is
 * given exactly. All of them are counted (budget.h).
 */
#include "bellwether/base/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"

enum { ROOM_MIN = 64, ROOM_FREE = 1024, SLACK_MAX = 4096 };

static size_t room_for(const struct buffer *buffer, size_t wanted)
{
    size_t room = buffer->room > 0 ? buffer->room * 2 : ROOM_MIN;

    return room < wanted ? wanted : room;
}

static void set_room(struct buffer *buffer, size_t room)
{
    buffer->bytes = budget_resize(buffer->bytes, room, 1);
    buffer->room = room;
}

bool buffer_may_add(const struct buffer *buffer, size_t more)
{
    size_t room;

    if (buffer->room - buffer->size >= more) {
        return true;
    }
    if (more > SIZE_MAX / 4 - buffer->size) {
        return false;
    }
    room = room_for(buffer, buffer->size + more);
    return room <= ROOM_FREE || budget_has(room - buffer->room);
}

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->room - buffer->size < more) {
        if (more > SIZE_MAX / 4 - buffer->size) {
            abort();
        }
        set_room(buffer, room_for(buffer, buffer->size + more));
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
    char text[sizeof("-9223372036854775808")];
    size_t at = sizeof(text);
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        text[--at] = '-';
    }
    buffer_add(buffer, text + at, sizeof(text) - at);
}

char *buffer_take(struct buffer *buffer, size_t *size)
{
    char *bytes;

    if (buffer->room - buffer->size > SLACK_MAX) {
        set_room(buffer, buffer->size);
    }
    bytes = buffer->bytes;
    *size = buffer->size;
    budget_release(bytes);
    *buffer = (struct buffer){0};
    return bytes;
}

char *buffer_take_text(struct buffer *buffer, size_t *size)
{
    size_t taken;
    char *text;

    buffer_add(buffer, "", 1);
    text = buffer_take(buffer, &taken);
    if (size) {
        *size = taken - 1;
    }
    return text;
}

void buffer_release(struct buffer *buffer)
{
    budget_free(buffer->bytes);
    *buffer = (struct buffer){0};
}
