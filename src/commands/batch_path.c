/*
 * A command that is put together from a path, a body, and a query. How many arguments there will be
 * is known at the end only, so the wire begins with room for the longest header, and the command
 * where the header then fits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_build.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/percent.h"

#define HEADER_SIZE 16 /* "*65535\r\n" and then some */

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
        if (failed || is_last) {
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
