/*
 * What holds of a batch whatever it was read from: hiredis reads its RESP back as as many strings
 * as it says.
 */
#ifndef BELLWETHER_TESTS_FUZZ_BATCH_INVARIANT_H
#define BELLWETHER_TESTS_FUZZ_BATCH_INVARIANT_H

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/commands/batch.h"

static inline void batch_hold(bool condition, const char *words)
{
    if (!condition) {
        fprintf(stderr, "%s\n", words);
        abort();
    }
}

/* `out` is the lower case of `bytes`, or "" where that is no name. */
static inline void batch_hold_name(const char *out, const char *bytes, size_t size)
{
    bool fits = size < COMMAND_NAME_SIZE && !memchr(bytes, '\0', size);

    batch_hold(memchr(out, '\0', COMMAND_NAME_SIZE) != NULL, "a name without an end");
    batch_hold(fits ? strlen(out) == size : *out == '\0', "a name of another length");
    for (size_t i = 0; fits && i < size; i++) {
        char c = bytes[i];

        batch_hold(out[i] == (c >= 'A' && c <= 'Z' ? c + 32 : c), "another name");
    }
}

/**
 * @return the command as hiredis reads it, to be freed; it is whole, and what the batch says of it
 * is true.
 */
static inline redisReply *batch_hold_command(const struct batch *batch, size_t i)
{
    const struct command *command = &batch->commands[i];
    redisReader *reader = redisReaderCreate();
    void *raw = NULL, *more = NULL;
    redisReply *reply;

    batch_hold(command->at + command->size <= batch->wire.size, "a command beyond the wire");
    redisReaderFeed(reader, batch_wire(batch, i), command->size);
    batch_hold(redisReaderGetReply(reader, &raw) == REDIS_OK && raw, "no command");
    batch_hold(redisReaderGetReply(reader, &more) == REDIS_OK && !more, "two commands");
    batch_hold(reader->pos == reader->len, "more than a command");
    reply = raw;
    batch_hold(reply->type == REDIS_REPLY_ARRAY && reply->elements == command->arguments &&
                   command->arguments > 0 && command->arguments <= BATCH_ARGUMENTS_MAX,
               "another number of arguments");
    for (size_t k = 0; k < reply->elements; k++) {
        batch_hold(reply->element[k]->type == REDIS_REPLY_STRING, "no string");
    }
    batch_hold(reply->element[0]->len > 0, "an empty name");
    batch_hold_name(command->name, reply->element[0]->str, reply->element[0]->len);
    if (reply->elements > 1) {
        batch_hold_name(command->sub, reply->element[1]->str, reply->element[1]->len);
    }
    redisReaderFree(reader);
    return reply;
}

static inline void batch_hold_words(const char *words)
{
    size_t length = strnlen(words, BATCH_ERROR_SIZE);

    batch_hold(length > 0 && length < BATCH_ERROR_SIZE, "no words");
    for (size_t i = 0; i < length; i++) {
        batch_hold(words[i] >= ' ' && words[i] <= '~', "words that are not plain");
    }
}

#endif
