/*
 * A JSON body, read once from its first byte to its last: no tree is built, each argument goes to
 * the wire as it stands there. A number keeps its spelling, whatever it is (1.10, 1e20, more digits
 * than any integer has); a surrogate that is alone becomes U+FFFD, as it does where a string is
 * made UTF-8: both come out of ordinary JavaScript.
 *
 * What is wrong with one command only stands in its `error`, is skipped, and the others are read.
 * Only what is no JSON at all spoils the body. Words name what is wrong and where, and quote
 * nothing.
 */
#include <stdio.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/batch.h"
#include "bellwether/redis/json_result.h"

#define USAGE_ONE "it takes a list such as [\"SET\",\"key\",\"value\"]"
#define USAGE_MANY \
    "it takes a list of commands such as [[\"SET\",\"key\",\"value\"],[\"GET\",\"key\"]]"
#define TAKES "it takes strings, numbers and booleans"
#define DEPTH_MAX 2048
#define COUNT_ROOM 4 /* "*3\r\n"; more than nine arguments take more */
#define WIRE_BESIDE \
    64 /* what a few arguments take more in RESP than in JSON; many take more than that */

struct body {
    const char *begin, *at, *end;
    const char *wrong; /* why it is no JSON, at `at`; NULL: it may be */
};

/* ---- bytes ---- */

static bool fail(struct body *body, const char *words)
{
    body->wrong = words;
    return false;
}

/* What stands there belongs nowhere. */
static bool fail_here(struct body *body, const char *words)
{
    if (body->at == body->end) {
        return fail(body, "not JSON: it ends too early");
    }
    return fail(body, *body->at == '\0' ? "not JSON: a NUL" : words);
}

/* The next byte that is not blank. @return NUL: there is none, or it is one. */
static char peek(struct body *body)
{
    while (body->at < body->end &&
           (*body->at == ' ' || *body->at == '\n' || *body->at == '\r' || *body->at == '\t')) {
        body->at++;
    }
    if (body->at == body->end) {
        return '\0';
    }
    return *body->at;
}

static bool take(struct body *body, char c)
{
    if (peek(body) != c || body->at == body->end) {
        return false;
    }
    body->at++;
    return true;
}

/* ---- strings ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind `\u`. @return -1: they are none. */
static long read_unit(const char *at, const char *end)
{
    long unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

static size_t put_utf8(char out[4], unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/*
 * An escape, `*at` at its backslash, then behind it. @return the bytes that it stands for; 0: it is
 * none.
 */
static size_t read_escape(const char **at, const char *end, char out[4])
{
    static const char meant[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    long unit = read_unit(*at, end), low;

    if (unit < 0) {
        if (end - *at < 2 || meant[(unsigned char)(*at)[1]] == '\0') {
            return 0;
        }
        out[0] = meant[(unsigned char)(*at)[1]];
        *at += 2;
        return 1;
    }
    *at += 6;
    if (unit < 0xd800 || unit > 0xdfff) {
        return put_utf8(out, (unsigned long)unit);
    }
    low = unit < 0xdc00 ? read_unit(*at, end) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        return put_utf8(out, 0xfffd);
    }
    *at += 6;
    return put_utf8(out, 0x10000 + (unsigned long)((unit - 0xd800) << 10) +
                             (unsigned long)(low - 0xdc00));
}

/*
 * A string behind its first quotation mark, up to behind its last. @param size of what it stands
 * for.
 */
static bool scan_string(struct body *body, size_t *size, bool *plain)
{
    *size = 0;
    *plain = true;
    for (;;) {
        size_t n = json_plain(body->at, (size_t)(body->end - body->at));
        char unused[4];

        body->at += n;
        *size += n;
        if (body->at == body->end) {
            return fail_here(body, NULL);
        }
        if (*body->at == '"') {
            body->at++;
            return true;
        }
        if (*body->at == '\\') {
            *plain = false;
            n = read_escape(&body->at, body->end, unused);
            if (n == 0) {
                return fail(body, body->end - body->at < 2 ? "not JSON: it ends too early"
                                                           : "not JSON: an unknown escape");
            }
            *size += n;
        } else if ((unsigned char)*body->at < ' ') {
            return fail(body, "not JSON: a control character in a string");
        } else if ((unsigned char)*body->at >= 0x80) {
            return fail(body, "not JSON: not UTF-8");
        } else {
            body->at++;
            ++*size;
        }
    }
}

/* @param text,end  between the quotation marks. @param size of what they stand for. */
static void put_string(struct batch *batch, struct command *command, const char *text,
                       const char *end, size_t size, bool plain)
{
    char *to;

    if (plain) {
        batch_put(batch, command, text, size);
        return;
    }
    to = batch_begin_put(batch, size);
    while (text < end) {
        const char *slash = memchr(text, '\\', (size_t)(end - text));
        size_t n = (size_t)((slash ? slash : end) - text);

        memcpy(to, text, n);
        to += n;
        text += n;
        if (slash) {
            char bytes[4];

            n = read_escape(&text, end, bytes);
            memcpy(to, bytes, n);
            to += n;
        }
    }
    batch_end_put(batch, command, size);
}

/* ---- numbers and words ---- */

static size_t skip_digits(struct body *body)
{
    const char *begin = body->at;

    while (body->at < body->end && *body->at >= '0' && *body->at <= '9') {
        body->at++;
    }
    return (size_t)(body->at - begin);
}

static bool next_is(const struct body *body, const char *set)
{
    return body->at < body->end && *body->at != '\0' && strchr(set, *body->at);
}

static bool scan_number(struct body *body)
{
    bool good = true;

    body->at += *body->at == '-';
    if (next_is(body, "0")) {
        body->at++; /* no digit may follow: whoever comes next does not know one */
    } else {
        good = skip_digits(body) > 0;
    }
    if (good && next_is(body, ".")) {
        body->at++;
        good = skip_digits(body) > 0;
    }
    if (good && next_is(body, "eE")) {
        body->at++;
        body->at += next_is(body, "+-");
        good = skip_digits(body) > 0;
    }
    return good || fail_here(body, "not JSON: bad syntax");
}

static bool scan_word(struct body *body, const char *word)
{
    size_t size = strlen(word), there = (size_t)(body->end - body->at);

    if (there < size && memcmp(body->at, word, there) == 0) {
        body->at = body->end;
        return fail_here(body, NULL);
    }
    if (there < size || memcmp(body->at, word, size) != 0) {
        return fail(body, "not JSON: bad syntax");
    }
    body->at += size;
    return true;
}

/* ---- what is no argument ---- */

static bool skip_value(struct body *body, unsigned depth);

static bool skip_string(struct body *body)
{
    size_t size;
    bool plain;

    return scan_string(body, &size, &plain);
}

/* A list or an object behind its bracket. */
static bool skip_members(struct body *body, char last, unsigned depth)
{
    if (depth > DEPTH_MAX) {
        body->at--;
        return fail(body, "nested too deeply");
    }
    if (take(body, last)) {
        return true;
    }
    do {
        if (last == '}' &&
            (!(take(body, '"') || fail_here(body, "not JSON: bad syntax")) || !skip_string(body) ||
             !(take(body, ':') || fail_here(body, "not JSON: bad syntax")))) {
            return false;
        }
        if (!skip_value(body, depth)) {
            return false;
        }
    } while (take(body, ','));
    return take(body, last) || fail_here(body, "not JSON: a comma or ] is missing");
}

static bool skip_value(struct body *body, unsigned depth)
{
    char c = peek(body);

    switch (c) {
    case '[':
    case '{': body->at++; return skip_members(body, c == '[' ? ']' : '}', depth + 1);
    case '"': body->at++; return skip_string(body);
    case 't': return scan_word(body, "true");
    case 'f': return scan_word(body, "false");
    case 'n': return scan_word(body, "null");
    default:
        return c == '-' || (c >= '0' && c <= '9') ? scan_number(body)
                                                  : fail_here(body, "not JSON: bad syntax");
    }
}

bool batch_is_json(const char *text, size_t size)
{
    struct body body = {text, text, text + size, NULL};

    return skip_value(&body, 0) && peek(&body) == '\0' && body.at == body.end;
}

static const char *what_begins(char c)
{
    switch (c) {
    case '{': return "an object";
    case '[': return "a list";
    case '"': return "a string";
    case 't':
    case 'f': return "a boolean";
    case 'n': return "null";
    default: return "a number";
    }
}

/* ---- one command ---- */

/* Where in the body: a command by its number from 1, 0 where there is only one. */
static void say(char error[BATCH_ERROR_SIZE], size_t command, const char *words, const char *more)
{
    if (command > 0) {
        snprintf(error, BATCH_ERROR_SIZE, "command %zu: %s; %s", command, words, more);
    } else {
        snprintf(error, BATCH_ERROR_SIZE, "%s; %s", words, more);
    }
}

static void say_argument(char error[BATCH_ERROR_SIZE], size_t command, size_t argument,
                         const char *words, const char *more)
{
    char of_command[48] = "", its_place[48] = "name";

    if (command > 0) {
        snprintf(of_command, sizeof(of_command), "command %zu, ", command);
    }
    if (argument > 0) {
        snprintf(its_place, sizeof(its_place), "argument %zu", argument);
    }
    snprintf(error, BATCH_ERROR_SIZE, "%s%s: %s%s", of_command, its_place, words, more);
}

/* @param error  set where it is JSON and no argument. @return false: it is no JSON. */
static bool put_argument(struct body *body, struct batch *batch, struct command *command,
                         size_t number, char error[BATCH_ERROR_SIZE])
{
    char c = peek(body);
    const char *text = body->at;
    size_t size;
    bool plain;

    if (c == '[' || c == '{' || c == 'n') {
        say_argument(error, number, command->arguments, what_begins(c), "; " TAKES);
        return skip_value(body, number > 0 ? 2 : 1);
    }
    if (c != '"') {
        if (!skip_value(body, 0)) {
            return false;
        }
        batch_put(batch, command, text, (size_t)(body->at - text));
        return true;
    }
    body->at++;
    if (!scan_string(body, &size, &plain)) {
        return false;
    }
    if (size == 0 && command->arguments == 0) {
        say_argument(error, number, 0, "empty", "");
    } else {
        put_string(batch, command, text + 1, body->at - 1, size, plain);
    }
    return true;
}

/* How many arguments follow could be written only now. */
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
    memmove(wire->bytes + at + count.size, wire->bytes + at + COUNT_ROOM,
            wire->size - at - COUNT_ROOM);
    memcpy(wire->bytes + at, count.bytes, count.size);
    wire->size += more;
    buffer_release(&count);
}

/*
 * The elements of a list behind its bracket; behind one that is wrong they are skipped. @param n
 * how many there are.
 */
static bool put_arguments(struct body *body, struct batch *batch, struct command *command,
                          size_t number, size_t *n, char error[BATCH_ERROR_SIZE])
{
    *n = 0;
    if (take(body, ']')) {
        return true;
    }
    do {
        bool skipped = *error != '\0' || *n >= BATCH_ARGUMENTS_MAX;

        if (skipped ? !skip_value(body, number > 0 ? 2 : 1)
                    : !put_argument(body, batch, command, number, error)) {
            return false;
        }
        ++*n;
    } while (take(body, ','));
    return take(body, ']') || fail_here(body, "not JSON: a comma or ] is missing");
}

/*
 * @param error  says what is wrong with it, and nothing of it is on the wire; "": nothing. @return
 * false: it is no JSON.
 */
static bool put_command(struct body *body, struct batch *batch, struct command *command,
                        size_t number, char error[BATCH_ERROR_SIZE])
{
    struct buffer *wire = &batch->wire;
    char c = peek(body), words[64];
    size_t n = 0;

    *error = '\0';
    *command = (struct command){.at = wire->size};
    if (c != '[') {
        say(error, number, what_begins(c), USAGE_ONE);
        return skip_value(body, number > 0 ? 1 : 0);
    }
    body->at++;
    buffer_add(wire, "*0\r\n", COUNT_ROOM);
    if (!put_arguments(body, batch, command, number, &n, error)) {
        return false;
    }
    if (n == 0) {
        say(error, number, "an empty list", USAGE_ONE);
    } else if (n > BATCH_ARGUMENTS_MAX) {
        char most[64];

        snprintf(words, sizeof(words), "%zu elements", n);
        snprintf(most, sizeof(most), "it takes %d at most", BATCH_ARGUMENTS_MAX);
        say(error, number, words, most);
    }
    if (*error != '\0') {
        wire->size = command->at;
        *command = (struct command){.at = wire->size};
        return true;
    }
    write_count(wire, command->at, n);
    command->size = wire->size - command->at;
    return true;
}

/* ---- the body ---- */

/* Commands have a bracket each; brackets within strings count as well, which costs some memory. */
static size_t count_brackets(const struct body *body)
{
    size_t n = 0;

    for (const char *at = body->at; at < body->end && n < BATCH_COMMANDS_MAX; n++) {
        at = memchr(at, '[', (size_t)(body->end - at));
        if (!at) {
            break;
        }
        at++;
    }
    return n;
}

/* The elements behind the bracket. */
static bool put_many(struct body *body, struct batch **batch, size_t room,
                     char error[BATCH_ERROR_SIZE])
{
    size_t n = 0;

    *error = '\0';
    if (take(body, ']')) {
        say(error, 0, "an empty list", USAGE_MANY);
        return true;
    }
    do {
        char words[BATCH_ERROR_SIZE];

        if (n++ >= BATCH_COMMANDS_MAX) {
            if (!skip_value(body, 1)) {
                return false;
            }
            continue;
        }
        if ((*batch)->n == room) {
            room = 2 * room < BATCH_COMMANDS_MAX ? 2 * room : BATCH_COMMANDS_MAX;
            *batch = batch_grow(*batch, room);
        }
        struct command *command = &(*batch)->commands[(*batch)->n];
        if (!put_command(body, *batch, command, n, words)) {
            return false;
        }
        command->error = *words != '\0' ? mem_strdup(words) : NULL;
        (*batch)->n++;
    } while (take(body, ','));
    if (n > BATCH_COMMANDS_MAX) {
        snprintf(error, BATCH_ERROR_SIZE, "%zu commands; it takes %d at most", n,
                 BATCH_COMMANDS_MAX);
    }
    return take(body, ']') || fail_here(body, "not JSON: a comma or ] is missing");
}

static bool put_all(struct body *body, enum batch_shape shape, struct batch **batch,
                    char error[BATCH_ERROR_SIZE])
{
    char c = peek(body);
    size_t room;

    *error = '\0';
    if (shape == BATCH_MANY && c != '[') {
        say(error, 0, what_begins(c), USAGE_MANY);
        *batch = batch_new(1);
        return skip_value(body, 0);
    }
    body->at += shape == BATCH_MANY;
    room = shape == BATCH_MANY ? 1 + count_brackets(body) : 1;
    *batch = batch_new(room);
    (void)buffer_reserve(&(*batch)->wire, (size_t)(body->end - body->begin) + WIRE_BESIDE);
    if (shape == BATCH_ONE) {
        return put_command(body, *batch, &(*batch)->commands[0], 0, error);
    }
    (*batch)->n = 0;
    (*batch)->many = true;
    return put_many(body, batch, room, error);
}

int batch_read(const char *body, size_t size, enum batch_shape shape, struct batch **out,
               char error[BATCH_ERROR_SIZE])
{
    struct body reading = {body, body, body + size, NULL};
    struct batch *batch = NULL;

    if (size == 0) {
        say(error, 0, "the body is empty", shape == BATCH_ONE ? USAGE_ONE : USAGE_MANY);
        return -BW_EINVAL;
    }
    if (put_all(&reading, shape, &batch, error) &&
        (peek(&reading) != '\0' || reading.at < reading.end)) {
        reading.wrong = "not JSON: something follows the end";
    }
    if (reading.wrong) {
        snprintf(error, BATCH_ERROR_SIZE, "%s, at byte %zu", reading.wrong,
                 (size_t)(reading.at - reading.begin) + (reading.at < reading.end));
    }
    if (*error != '\0') {
        batch_free(batch);
        return -BW_EINVAL;
    }
    *out = batch;
    return 0;
}
