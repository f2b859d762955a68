/*
 * JSON bodies, each as one command and as several. What is read must be RESP that hiredis reads
 * back, argument by argument what jansson has; what is refused must have words and leave nothing.
 * Both must take the same texts for JSON, but for what jansson has no room for: numbers beyond a
 * double or 64 bits, lone surrogates, a NUL in an object's key.
 */
#include <jansson.h>
#include <stdint.h>

#include "batch_invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold_argument(const json_t *json, const redisReply *argument)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        batch_hold(argument->len == json_string_length(json) &&
                       memcmp(argument->str, json_string_value(json), argument->len) == 0,
                   "another string");
        break;
    case JSON_INTEGER:
        batch_hold(strtoll(argument->str, NULL, 10) == json_integer_value(json), "another integer");
        break;
    case JSON_REAL:
        batch_hold(!(strtod(argument->str, NULL) < json_real_value(json)) &&
                       !(strtod(argument->str, NULL) > json_real_value(json)),
                   "another real");
        break;
    case JSON_TRUE: batch_hold(strcmp(argument->str, "true") == 0, "not true"); break;
    case JSON_FALSE: batch_hold(strcmp(argument->str, "false") == 0, "not false"); break;
    default: batch_hold(false, "no argument");
    }
}

static void hold_read(const struct batch *batch, const json_t *json)
{
    size_t used = 0;

    for (size_t i = 0; i < batch->n; i++) {
        const json_t *list = batch->many && json ? json_array_get(json, i) : json;
        redisReply *reply;

        if (batch->commands[i].error) {
            batch_hold_words(batch->commands[i].error);
            batch_hold(batch->many && batch->commands[i].size == 0, "half a command");
            continue;
        }
        reply = batch_hold_command(batch, i);
        if (!json) {
            freeReplyObject(reply);
            used += batch->commands[i].size;
            continue;
        }
        batch_hold(batch->commands[i].at == used, "a gap");
        used += batch->commands[i].size;
        batch_hold(json_array_size(list) == reply->elements, "another command");
        for (size_t k = 0; k < reply->elements; k++) {
            hold_argument(json_array_get(list, k), reply->element[k]);
        }
        freeReplyObject(reply);
    }
    batch_hold(used == batch->wire.size, "something behind");
}

/* Whether jansson might have refused what is JSON nevertheless. */
static bool is_beyond_jansson(const uint8_t *data, size_t size)
{
    size_t digits = 0;

    for (size_t i = 0; i < size; i++) {
        bool is_digit = data[i] >= '0' && data[i] <= '9';

        digits = is_digit ? digits + 1 : 0;
        if (digits > 17 ||
            (is_digit && i > 0 && strchr("eE+", data[i - 1]) && data[i - 1] != '\0') ||
            (data[i] == '\\' && i + 1 < size && data[i + 1] == 'u')) {
            return true;
        }
    }
    return false;
}

static void try_shape(const uint8_t *data, size_t size, enum batch_shape shape, const json_t *json)
{
    char error[BATCH_ERROR_SIZE] = "";
    struct batch *batch = NULL;

    if (batch_read((const char *)data, size, shape, &batch, error)) {
        batch_hold_words(error);
        batch_hold(!batch, "a batch in spite of words");
        /* a NUL behind a number escapes jansson */
        batch_hold(!json || memchr(data, '\0', size) ||
                       (strncmp(error, "not JSON", 8) != 0 && strncmp(error, "nested", 6) != 0),
                   "jansson takes it for JSON");
        return;
    }
    batch_hold(!json ? is_beyond_jansson(data, size) : json_is_array(json), "not JSON");
    batch_hold(batch->many == (shape == BATCH_MANY), "another shape");
    batch_hold(!json || batch->n == (batch->many ? json_array_size(json) : 1),
               "another number of commands");
    hold_read(batch, json);
    batch_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json =
        size > 0 ? json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL)
                 : NULL;

    try_shape(data, size, BATCH_ONE, json);
    try_shape(data, size, BATCH_MANY, json);
    json_decref(json);
    return 0;
}
