/*
 * Commands in RESP, one behind the other in one buffer. They come from a JSON body (batch_json.c),
 * or one is put together from a path, a body, and a query. How many arguments that one will have is
 * known at its end only, so its wire begins with room for the longest header, and the command where
 * the header then fits.
 */
#include "bellwether/commands/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/percent.h"
#include "command_names.h"

#define LENGTH_ROOM 32 /* "$1048576\r\n" and "\r\n" */
#define HEADER_SIZE 16 /* "*65535\r\n" and then some */

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
        (void)command_name_copy(command->arguments == 0 ? command->name : command->sub,
                                wire->bytes + wire->size, size);
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

/* ---- from a path ---- */

struct batch *batch_new_path(void)
{
    struct batch *batch = batch_new(1);

    memset(buffer_reserve(&batch->wire, HEADER_SIZE), 0, HEADER_SIZE);
    batch->wire.size = HEADER_SIZE;
    return batch;
}

int batch_add_argument(struct batch *batch, const char *bytes, size_t size,
                       char error[BATCH_ERROR_SIZE])
{
    struct command *command = &batch->commands[0];

    if (command->arguments == 0 && size == 0) {
        snprintf(error, BATCH_ERROR_SIZE, "the command's name is empty");
        return -BW_EINVAL;
    }
    if (command->arguments == BATCH_ARGUMENTS_MAX) {
        snprintf(error, BATCH_ERROR_SIZE, "more than %d arguments", BATCH_ARGUMENTS_MAX - 1);
        return -BW_EINVAL;
    }
    batch_put(batch, command, bytes, size);
    return 0;
}

/* @param segment  decoded in place. */
static int add_segment(struct batch *batch, char *segment, size_t size,
                       char error[BATCH_ERROR_SIZE])
{
    size_t i = batch->commands[0].arguments;

    if (percent_decode_bytes(segment, size, segment, size, &size) == 0) {
        return batch_add_argument(batch, segment, size, error);
    }
    if (i == 0) {
        snprintf(error, BATCH_ERROR_SIZE,
                 "the command's name: a percent sign without two hexadecimal digits");
    } else {
        snprintf(error, BATCH_ERROR_SIZE,
                 "argument %zu: a percent sign without two hexadecimal digits", i);
    }
    return -BW_EINVAL;
}

int batch_add_path(struct batch *batch, const char *raw, char error[BATCH_ERROR_SIZE])
{
    char *copy = mem_strdup(raw), *segment = copy;
    int failed;

    for (;;) {
        size_t size = strcspn(segment, "/");
        bool is_last = segment[size] == '\0';

        failed = add_segment(batch, segment, size, error);
        if (failed || is_last || segment[size + 1] == '\0') { /* a last slash is ignored */
            break;
        }
        segment += size + 1;
    }
    free(copy);
    return failed;
}

int batch_end_path(struct batch *batch, char error[BATCH_ERROR_SIZE])
{
    struct command *command = &batch->commands[0];
    char header[HEADER_SIZE];
    int size;

    if (command->arguments == 0) {
        snprintf(error, BATCH_ERROR_SIZE, "no command");
        return -BW_EINVAL;
    }
    size = snprintf(header, sizeof(header), "*%zu\r\n", command->arguments);
    command->at = HEADER_SIZE - (size_t)size;
    command->size = batch->wire.size - command->at;
    memcpy(batch->wire.bytes + command->at, header, (size_t)size);
    return 0;
}

/* ---- what it says ---- */

const char *batch_wire(const struct batch *batch, size_t i)
{
    return batch->wire.bytes + batch->commands[i].at;
}

const char *batch_next_argument(const char **at, size_t *size)
{
    const char *bytes;

    while (*(*at)++ != '$') {
    }
    for (*size = 0; **at != '\r'; ++*at) {
        *size = *size * 10 + (size_t)(**at - '0');
    }
    bytes = *at + 2;
    *at = bytes + *size;
    return bytes;
}

char *batch_argument(struct batch *batch, size_t i, size_t k, size_t *size)
{
    const char *at = batch_wire(batch, i), *bytes = batch_next_argument(&at, size);

    for (; k > 0; k--) {
        bytes = batch_next_argument(&at, size);
    }
    return batch->wire.bytes + (bytes - batch->wire.bytes);
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
