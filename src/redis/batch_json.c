/*
 * A JSON body. One that is plain is read by batch_quick.c; what that one does not know is parsed whole (jansson bounds its
 * depth), then each command is written as RESP in one pass; one that turns out to be bad half-way is taken back. Words are
 * made here: jansson's own quote what they stumbled over.
 */
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_internal.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define USAGE_ONE "it takes a list such as [\"SET\",\"key\",\"value\"]"
#define USAGE_MANY "it takes a list of commands such as [[\"SET\",\"key\",\"value\"],[\"GET\",\"key\"]]"
#define ARGUMENT_ROOM 10 /* beside what the body has for an argument: its length, two ends of line */

/* ---- numbers ---- */

/* The shortest of printf's forms that reads back as the same number. */
static int format_real(double number, char *out, size_t size)
{
    /* 15 digits survive the way there and back, but for the tiniest numbers, which have fewer of their own */
    int digits = fabs(number) < DBL_MIN ? 1 : DBL_DIG, n;

    do {
        n = snprintf(out, size, "%.*g", digits, number);
    } while (digits++ < DBL_DECIMAL_DIG && strtod(out, NULL) != number);
    return n;
}

/* ---- words ---- */

static const char *what_is(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "something else";
}

/* Of syntax jansson has one code and several texts, which begin so; were they to change, the last row will do. */
static const char *syntax_words(const char *text)
{
    static const struct {
        const char *begins, *words;
    } rows[] = {
        {"invalid Unicode", "not JSON: a lone surrogate"},
        {"control character", "not JSON: a control character in a string"},
        {"unexpected newline", "not JSON: a control character in a string"},
        {"invalid escape", "not JSON: an unknown escape"},
        {"']' expected", "not JSON: a comma or ] is missing"},
        {"", "not JSON: bad syntax"},
    };
    size_t i = 0;

    while (strncmp(text, rows[i].begins, strlen(rows[i].begins)) != 0) {
        i++;
    }
    return rows[i].words;
}

static const char *parse_words(const json_error_t *error, const char *body, size_t size)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input:
        return memchr(body, '\0', size) != NULL ? "not JSON: a NUL" : "not JSON: it ends too early";
    case json_error_end_of_input_expected: return "not JSON: something follows the end";
    case json_error_invalid_utf8: return "not JSON: not UTF-8";
    case json_error_numeric_overflow: return "a number that 64 bits don't hold (a string could)";
    case json_error_stack_overflow: return "nested too deeply";
    case json_error_null_byte_in_key: return "a NUL in an object's key";
    case json_error_invalid_syntax: return syntax_words(error->text);
    default: return "it can't be read";
    }
}

/* ---- one command ---- */

/* Where in the body: a command by its number from 1, 0 where there is only one. */
static void say(char error[BATCH_ERROR_SIZE], size_t command, const char *words)
{
    if (command > 0) {
        snprintf(error, BATCH_ERROR_SIZE, "command %zu: %s", command, words);
    } else {
        snprintf(error, BATCH_ERROR_SIZE, "%s", words);
    }
}

static void say_argument(char error[BATCH_ERROR_SIZE], size_t command, size_t argument, const char *words)
{
    char of_command[48] = "", its_place[48] = "name";

    if (command > 0) {
        snprintf(of_command, sizeof of_command, "command %zu, ", command);
    }
    if (argument > 0) {
        snprintf(its_place, sizeof its_place, "argument %zu", argument);
    }
    snprintf(error, BATCH_ERROR_SIZE, "%s%s: %s", of_command, its_place, words);
}

/* @return 0; -BW_EINVAL for what is no argument. */
static int put_argument(struct batch *batch, struct command *command, const json_t *json)
{
    char number[40];
    int n;

    switch (json_typeof(json)) {
    case JSON_STRING: batch_put(batch, command, json_string_value(json), json_string_length(json)); return 0;
    case JSON_INTEGER:
        n = snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        batch_put(batch, command, number, (size_t)n);
        return 0;
    case JSON_REAL:
        n = format_real(json_real_value(json), number, sizeof number);
        batch_put(batch, command, number, (size_t)n);
        return 0;
    case JSON_TRUE: batch_put(batch, command, "true", 4); return 0;
    case JSON_FALSE: batch_put(batch, command, "false", 5); return 0;
    default: return -BW_EINVAL;
    }
}

/* Its shape, before anything is written. */
static int check_command(const json_t *list, size_t number, char error[BATCH_ERROR_SIZE])
{
    char words[128];
    size_t n = json_array_size(list);

    if (!json_is_array(list)) {
        snprintf(words, sizeof words, "%s; " USAGE_ONE, what_is(list));
    } else if (n == 0) {
        snprintf(words, sizeof words, "an empty list; " USAGE_ONE);
    } else if (n > BATCH_ARGUMENTS_MAX) {
        snprintf(words, sizeof words, "%zu elements; it takes %d at most", n, BATCH_ARGUMENTS_MAX);
    } else {
        return 0;
    }
    say(error, number, words);
    return -BW_EINVAL;
}

/* @return 0; -BW_EINVAL with words, and nothing of the command on the wire. */
static int put_command(struct batch *batch, struct command *command, const json_t *list, size_t number,
                       char error[BATCH_ERROR_SIZE])
{
    size_t n = json_array_size(list), at = batch->wire.size;

    if (check_command(list, number, error)) {
        return -BW_EINVAL;
    }
    buffer_add(&batch->wire, "*", 1);
    buffer_add_integer(&batch->wire, (int64_t)n);
    buffer_add(&batch->wire, "\r\n", 2);
    for (size_t i = 0; i < n; i++) {
        const json_t *argument = json_array_get(list, i);

        if (i == 0 && json_is_string(argument) && json_string_length(argument) == 0) {
            say_argument(error, number, i, "empty");
            goto bad;
        }
        if (put_argument(batch, command, argument)) {
            char words[96];

            snprintf(words, sizeof words, "%s; it takes strings, numbers and booleans", what_is(argument));
            say_argument(error, number, i, words);
            goto bad;
        }
    }
    command->at = at;
    command->size = batch->wire.size - at;
    return 0;
bad:
    batch->wire.size = at;
    *command = (struct command){.at = at};
    return -BW_EINVAL;
}

/* ---- the body ---- */

/* Room for what will probably be written: no more than the body has, and a length for each argument. */
static void reserve_wire(struct batch *batch, const json_t *json, size_t body_size)
{
    size_t arguments = json_array_size(json);

    for (size_t i = 0; batch->many && i < batch->n; i++) {
        arguments += 1 + json_array_size(json_array_get(json, i));
    }
    (void)buffer_reserve(&batch->wire, body_size + (arguments + 1) * ARGUMENT_ROOM);
}

static int read_one(const json_t *json, size_t body_size, struct batch **out, char error[BATCH_ERROR_SIZE])
{
    struct batch *batch = batch_new(1);

    reserve_wire(batch, json, body_size);
    if (put_command(batch, &batch->commands[0], json, 0, error)) {
        batch_free(batch);
        return -BW_EINVAL;
    }
    *out = batch;
    return 0;
}

static int read_many(const json_t *json, size_t body_size, struct batch **out, char error[BATCH_ERROR_SIZE])
{
    size_t n = json_array_size(json);
    struct batch *batch;

    if (!json_is_array(json) || n == 0) {
        snprintf(error, BATCH_ERROR_SIZE, "%s; " USAGE_MANY,
                 json_is_array(json) ? "an empty list" : what_is(json));
        return -BW_EINVAL;
    }
    if (n > BATCH_COMMANDS_MAX) {
        snprintf(error, BATCH_ERROR_SIZE, "%zu commands; it takes %d at most", n, BATCH_COMMANDS_MAX);
        return -BW_EINVAL;
    }
    batch = batch_new(n);
    batch->many = true;
    reserve_wire(batch, json, body_size);
    for (size_t i = 0; i < n; i++) {
        char words[BATCH_ERROR_SIZE];

        if (put_command(batch, &batch->commands[i], json_array_get(json, i), i + 1, words)) {
            batch->commands[i].error = mem_strdup(words);
        }
    }
    *out = batch;
    return 0;
}

int batch_read(const char *body, size_t size, enum batch_shape shape, struct batch **out,
               char error[BATCH_ERROR_SIZE])
{
    json_error_t trouble;
    struct batch *quick;
    json_t *json;
    int failed;

    if (size == 0) {
        snprintf(error, BATCH_ERROR_SIZE, "the body is empty; %s",
                 shape == BATCH_ONE ? USAGE_ONE : USAGE_MANY);
        return -BW_EINVAL;
    }
    quick = batch_read_quickly(body, size, shape);
    if (quick != NULL) {
        *out = quick;
        return 0;
    }
    json = json_loadb(body, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &trouble);
    if (json == NULL) {
        snprintf(error, BATCH_ERROR_SIZE, "%s, at byte %d", parse_words(&trouble, body, size),
                 trouble.position);
        return -BW_EINVAL;
    }
    failed = shape == BATCH_ONE ? read_one(json, size, out, error) : read_many(json, size, out, error);
    json_decref(json);
    return failed;
}
