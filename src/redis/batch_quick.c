/*
 * The quick way from a JSON body to RESP, for bodies that nearly all callers send: strings, whole numbers, nothing unusual.
 * It goes through the bytes once and builds no tree, which makes a single small command a tenth cheaper and a value of many
 * kilobytes ten times. Whatever it does not know, all that is wrong included, is left to batch_json.c, which begins anew:
 * so there is one place that judges, and this one may give up wherever it likes.
 */
#include <limits.h>
#include <string.h>

#include "batch_internal.h"
#include "bellwether/redis/result.h"

#define DIGITS_MAX 18  /* of a whole number: any such fits 64 bits */
#define COUNT_ROOM 4   /* "*3\r\n"; more than nine arguments take more */
#define WIRE_BESIDE 64 /* what a few arguments take more in RESP than in JSON; many take more than that */

struct body {
    const char *at, *end;
};

static void skip_blanks(struct body *body)
{
    while (body->at < body->end &&
           (*body->at == ' ' || *body->at == '\n' || *body->at == '\r' || *body->at == '\t')) {
        body->at++;
    }
}

/* With the blanks before it. */
static bool take(struct body *body, char c)
{
    skip_blanks(body);
    if (body->at == body->end || *body->at != c) {
        return false;
    }
    body->at++;
    return true;
}

/* ---- strings ---- */

/* What stands for `\n` and the like. @return NUL: for others (`\u0000`) this is the wrong place. */
static char unescaped(char letter)
{
    static const char meant[UCHAR_MAX + 1] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                              ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

    return meant[(unsigned char)letter];
}

/* A string behind its first quotation mark, up to its last. @return false: not here. */
static bool scan_string(struct body *body, size_t *size, size_t *escapes)
{
    const char *begin = body->at;

    *escapes = 0;
    for (;;) {
        body->at += json_plain(body->at, (size_t)(body->end - body->at));
        if (body->at == body->end) {
            return false;
        }
        if (*body->at == '"') {
            break;
        }
        if (*body->at != '\\' || body->end - body->at < 2 || unescaped(body->at[1]) == '\0') {
            return false;
        }
        ++*escapes;
        body->at += 2;
    }
    *size = (size_t)(body->at - begin);
    body->at++;
    return true;
}

/* @param size  of the text with its escapes. */
static void put_escaped(struct batch *batch, struct command *command, const char *text, size_t size,
                        size_t escapes)
{
    char *to = batch_begin_put(batch, size - escapes);
    const char *end = text + size;

    while (text < end) {
        const char *slash = memchr(text, '\\', (size_t)(end - text));
        size_t n = (size_t)((slash != NULL ? slash : end) - text);

        memcpy(to, text, n);
        to += n;
        text += n;
        if (slash != NULL) {
            *to++ = unescaped(text[1]);
            text += 2;
        }
    }
    batch_end_put(batch, command, size - escapes);
}

static bool put_string(struct body *body, struct batch *batch, struct command *command)
{
    const char *text = body->at;
    size_t size, escapes;

    if (!scan_string(body, &size, &escapes) || (size == 0 && command->arguments == 0)) {
        return false;
    }
    if (escapes > 0) {
        put_escaped(batch, command, text, size, escapes);
    } else {
        batch_put(batch, command, text, size);
    }
    return true;
}

/* ---- numbers ---- */

/* Whole ones as they stand there, which is how they would be written: without a needless zero or sign. */
static bool put_number(struct body *body, struct batch *batch, struct command *command)
{
    const char *text = body->at, *digits;
    size_t n = 0;

    body->at += *text == '-';
    digits = body->at;
    while (body->at < body->end && *body->at >= '0' && *body->at <= '9') {
        body->at++;
        n++;
    }
    if (n == 0 || n > DIGITS_MAX || (*digits == '0' && (n > 1 || digits > text)) || body->at == body->end ||
        strchr(".eE", *body->at) != NULL) {
        return false;
    }
    batch_put(batch, command, text, (size_t)(body->at - text));
    return true;
}

/* ---- lists ---- */

/* How many follow could be written only now. */
static void write_count(struct buffer *wire, size_t at, size_t n)
{
    struct buffer count = {0};
    size_t more;

    if (n < 10) {
        wire->bytes[at + 1] = (char)('0' + n);
        return;
    }
    buffer_add(&count, "*", 1);
    buffer_add_integer(&count, (int64_t)n);
    buffer_add(&count, "\r\n", 2);
    more = count.size - COUNT_ROOM;
    (void)buffer_reserve(wire, more);
    memmove(wire->bytes + at + count.size, wire->bytes + at + COUNT_ROOM, wire->size - at - COUNT_ROOM);
    memcpy(wire->bytes + at, count.bytes, count.size);
    wire->size += more;
    buffer_release(&count);
}

/* A command behind its bracket. */
static bool put_command(struct body *body, struct batch *batch, struct command *command)
{
    command->at = batch->wire.size;
    buffer_add(&batch->wire, "*0\r\n", COUNT_ROOM);
    do {
        bool known = take(body, '"') ? put_string(body, batch, command)
                                     : body->at < body->end && put_number(body, batch, command);

        if (!known || command->arguments > BATCH_ARGUMENTS_MAX) {
            return false;
        }
    } while (take(body, ','));
    write_count(&batch->wire, command->at, command->arguments);
    command->size = batch->wire.size - command->at;
    return take(body, ']');
}

static bool put_commands(struct body *body, struct batch *batch, size_t room)
{
    batch->many = true;
    do {
        if (batch->n == room || !take(body, '[') || !put_command(body, batch, &batch->commands[batch->n])) {
            return false;
        }
        batch->n++;
    } while (take(body, ','));
    return take(body, ']');
}

/* Each command has a bracket; brackets within strings count as well, which costs some memory. */
static size_t count_brackets(const struct body *body)
{
    size_t n = 0;

    for (const char *at = body->at; at < body->end && n <= BATCH_COMMANDS_MAX; n++) {
        at = memchr(at, '[', (size_t)(body->end - at));
        if (at == NULL) {
            break;
        }
        at++;
    }
    return n;
}

struct batch *batch_read_quickly(const char *bytes, size_t size, enum batch_shape shape)
{
    struct body body = {bytes, bytes + size};
    struct batch *batch;
    size_t room;
    bool whole;

    if (!take(&body, '[')) {
        return NULL;
    }
    room = shape == BATCH_ONE ? 1 : count_brackets(&body);
    if (room == 0 || room > BATCH_COMMANDS_MAX) {
        return NULL;
    }
    batch = batch_new(room);
    (void)buffer_reserve(&batch->wire, size + WIRE_BESIDE);
    if (shape == BATCH_ONE) {
        whole = put_command(&body, batch, &batch->commands[0]);
    } else {
        batch->n = 0;
        whole = put_commands(&body, batch, room);
    }
    skip_blanks(&body);
    if (whole && body.at == body.end) {
        return batch;
    }
    batch->n = 0;
    batch_free(batch);
    return NULL;
}
