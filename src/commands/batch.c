/*
 * Commands in RESP, one behind the other in one buffer. They come from a JSON body (batch_json.c)
 * or from a path (batch_path.c).
 */
#include <stdlib.h>
#include <string.h>

#include "batch_build.h"
#include "bellwether/base/budget.h"

#define LENGTH_ROOM 32 /* "$1048576\r\n" and "\r\n" */

/* Allocated at once. */
struct batch_block {
    struct batch batch;
    struct command commands[];
};

struct batch *batch_new(size_t n)
{
    struct batch_block *block = budget_new(1, sizeof(*block) + n * sizeof(block->commands[0]));

    block->batch.commands = block->commands;
    block->batch.n = n;
    return &block->batch;
}

struct batch *batch_grow(struct batch *batch, size_t n)
{
    struct batch_block *block = (struct batch_block *)batch; /* whose first member it is */

    block = budget_resize(block, 1, sizeof(*block) + n * sizeof(block->commands[0]));
    block->batch.commands = block->commands;
    return &block->batch;
}

/* What does not fit, or has a NUL, is no command's name: "". */
static void note_name(char out[COMMAND_NAME_SIZE], const char *bytes, size_t size)
{
    if (size == 0 || size >= COMMAND_NAME_SIZE || memchr(bytes, '\0', size)) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];

        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    out[size] = '\0';
}

char *batch_begin_put(struct batch *batch, size_t size)
{
    struct buffer *wire = &batch->wire;

    (void)buffer_reserve(wire, size + LENGTH_ROOM);
    buffer_add(wire, "$", 1);
    buffer_add_integer(wire, (int64_t)size);
    buffer_add(wire, "\r\n", 2);
    return wire->bytes + wire->size;
}

void batch_end_put(struct batch *batch, struct command *command, size_t size)
{
    struct buffer *wire = &batch->wire;

    if (command->arguments < 2) {
        note_name(command->arguments == 0 ? command->name : command->sub, wire->bytes + wire->size,
                  size);
    }
    command->arguments++;
    wire->size += size;
    buffer_add(wire, "\r\n", 2);
}

void batch_put(struct batch *batch, struct command *command, const char *bytes, size_t size)
{
    char *to = batch_begin_put(batch, size);

    if (size > 0) {
        memcpy(to, bytes, size);
    }
    batch_end_put(batch, command, size);
}

const char *batch_wire(const struct batch *batch, size_t i)
{
    return batch->wire.bytes + batch->commands[i].at;
}

/* The bytes of the next string of the wire (which no zero ends), and how many they are. */
static size_t next_string(const char *wire, size_t from, size_t *size)
{
    size_t at = from;

    while (wire[at] != '$') {
        at++;
    }
    for (at++, *size = 0; wire[at] != '\r'; at++) {
        *size = *size * 10 + (size_t)(wire[at] - '0');
    }
    return at + 2;
}

const char *batch_name(const struct batch *batch, size_t i, size_t *size)
{
    const char *wire = batch_wire(batch, i); /* "*2\r\n$3\r\nGET\r\n" */

    return wire + next_string(wire, 0, size);
}

char *batch_argument(struct batch *batch, size_t i, size_t k, size_t *size)
{
    char *wire = batch->wire.bytes + batch->commands[i].at;
    size_t at = next_string(wire, 0, size);

    for (; k > 0; k--) {
        at = next_string(wire, at + *size, size);
    }
    return wire + at;
}

void batch_free(struct batch *batch)
{
    if (!batch) {
        return;
    }
    for (size_t i = 0; i < batch->n; i++) {
        free(batch->commands[i].error);
    }
    buffer_release(&batch->wire);
    budget_free(batch);
}
