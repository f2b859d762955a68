/* See redis_query.h. */
#include "redis_query.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/percent.h"
#include "bellwether/base/utf8.h"

#define TOKEN_NAME "_token" /* a token as Upstash's clients may send it */

/* ---- its end ---- */

/* How much of a name or a value stands before the query's end. */
static size_t in_query(const struct command_request *command, const char *text, size_t size)
{
    const char *end = command->query_end;

    return end && text && end >= text && end < text + size ? (size_t)(end - text) : size;
}

/* The last pair's value, or its name where it has none. */
struct last_pair {
    const char *text;
    size_t size;
    bool is_token;
};

static enum MHD_Result take_pair(void *data, enum MHD_ValueKind kind, const char *name,
                                 size_t name_size, const char *value, size_t value_size)
{
    struct last_pair *last = data;

    (void)kind;
    last->text = value ? value : name;
    last->size = value ? value_size : name_size;
    last->is_token = name_size == sizeof(TOKEN_NAME) - 1 && strcmp(name, TOKEN_NAME) == 0;
    return MHD_YES;
}

/*
 * With one command in the body the query has no arguments, and nothing of ours ends so, but for
 * tokens, which may end with a slash. Elsewhere one at the end is ignored, as it is of a path.
 */
void command_query_look_behind(struct command_request *command)
{
    struct last_pair last = {0};
    size_t end;

    MHD_get_connection_values_n(command->connection, MHD_GET_ARGUMENT_KIND, take_pair, &last);
    end = last.size - (last.size > 0 && last.text[last.size - 1] == '/');
    for (int kind = COMMAND_REQUEST_PIPELINE; kind <= COMMAND_REQUEST_TRANSACTION; kind++) {
        const struct route *route = router_row((enum route_id)((int)command->route->id + kind));
        const char *tail = strrchr(route->path, '/');
        size_t size = strlen(tail);

        if (end >= size && memcmp(last.text + end - size, tail, size) == 0) {
            command->query_end = last.text + end - size;
            command->route = route;
            command->kind = (enum command_request_kind)kind;
            return;
        }
    }
    if (end < last.size && !last.is_token) {
        command->query_end = last.text + end;
    }
}

/* ---- the token ---- */

/* It goes nowhere but here. */
const char *command_query_token(const struct command_request *command, char out[QUERY_TOKEN_ROOM])
{
    const char *raw = NULL;
    size_t size = 0;

    if (MHD_lookup_connection_value_n(command->connection, MHD_GET_ARGUMENT_KIND, TOKEN_NAME,
                                      sizeof(TOKEN_NAME) - 1, &raw, &size) != MHD_YES ||
        !raw) {
        return NULL;
    }
    size = in_query(command, raw, size);
    if (percent_decode(raw, size, out, QUERY_TOKEN_ROOM) != 0) {
        out[0] = '\0';
    }
    for (char *c = out; *c; c++) {
        /* a query's `+` was made a blank on the way, and no token has blanks */
        *c = (char)(*c == ' ' ? '+' : *c);
    }
    return out;
}

/* ---- all of it ---- */

/* @return whether it is well encoded; then it is in `text`. */
static bool decode(struct query_pairs *pairs, const char *raw, size_t len)
{
    pairs->text.size = 0;
    if (percent_decode_bytes(raw, len, buffer_reserve(&pairs->text, len + 1), len + 1,
                             &pairs->text.size) == 0) {
        return true;
    }
    pairs->failed = true;
    snprintf(pairs->error, sizeof(pairs->error), "the query takes %% and two hexadecimal digits");
    return false;
}

static bool decoded_is(const struct query_pairs *pairs, const char *word)
{
    return pairs->text.size == strlen(word) &&
           memcmp(pairs->text.bytes, word, pairs->text.size) == 0;
}

static void append(struct query_pairs *pairs)
{
    if (pairs->batch &&
        batch_add_argument(pairs->batch, pairs->text.bytes, pairs->text.size, pairs->error) != 0) {
        pairs->failed = true;
    }
}

static enum MHD_Result read_pair(void *data, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    struct query_pairs *pairs = data;

    (void)kind;
    name_len = in_query(pairs->command, name, name_len);
    value_len = in_query(pairs->command, value, value_len);
    if (name_len == 0 && !value) { /* nothing between two `&` */
        return MHD_YES;
    }
    if (!decode(pairs, name, name_len)) {
        return MHD_NO;
    }
    if (decoded_is(pairs, "retry")) {
        if (!value || !decode(pairs, value, value_len) || !decoded_is(pairs, "always")) {
            pairs->bad_retry = true;
            utf8_copy(value ? value : "", value ? value_len : 0, pairs->retry,
                      sizeof(pairs->retry));
        }
        pairs->command->request->retry_always = !pairs->bad_retry;
        return MHD_YES;
    }
    if (decoded_is(pairs, TOKEN_NAME)) {
        /* never an argument, nor looked at where no token is needed */
        return MHD_YES;
    }
    append(pairs);
    if (value && !pairs->failed && decode(pairs, value, value_len)) {
        append(pairs);
    }
    return pairs->failed ? MHD_NO : MHD_YES;
}

void command_query_read(struct query_pairs *pairs)
{
    MHD_get_connection_values_n(pairs->command->connection, MHD_GET_ARGUMENT_KIND, read_pair,
                                pairs);
}
