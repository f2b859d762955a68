/* See node_reply.h. INFO is read line by line, each found by its name. */
#include "bellwether/redis/node_reply.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

int node_parse_hello(const redisReply *reply, struct node_hello *out)
{
    struct node_hello hello = {0};

    if (!reply_is_row(reply)) {
        return reply && reply->type == REDIS_REPLY_NIL ? -BW_ENIL : -BW_EPROTO;
    }
    reply_text_field(reply, "server", hello.server, sizeof(hello.server));
    reply_text_field(reply, "version", hello.version, sizeof(hello.version));
    reply_text_field(reply, "mode", hello.mode, sizeof(hello.mode));
    reply_text_field(reply, "role", hello.role, sizeof(hello.role));
    hello.proto = reply_number_field(reply, "proto");
    if (hello.server[0] == '\0' && hello.mode[0] == '\0') {
        return -BW_EPROTO; /* a map of something else */
    }
    *out = hello;
    return 0;
}

int node_parse_role(const redisReply *reply, char out[NODE_WORD_SIZE])
{
    int error = reply_check_list(reply);

    if (error != 0) {
        return error;
    }
    if (reply->elements == 0 || !reply_is_text(reply->element[0])) {
        return -BW_EPROTO;
    }
    return reply_copy_name(reply->element[0]->str, reply->element[0]->len, out, NODE_WORD_SIZE);
}

/* ---- INFO ---- */

struct span {
    const char *at;
    size_t length;
};

/* The line that begins at `*from`, without its end; `*from` moves behind it. */
static bool next_line(const redisReply *info, size_t *from, struct span *line)
{
    const char *end;

    if (!reply_is_text(info) || *from >= info->len) {
        return false;
    }
    line->at = info->str + *from;
    end = memchr(line->at, '\n', info->len - *from);
    line->length = end ? (size_t)(end - line->at) : info->len - *from;
    *from += line->length + 1;
    line->length -= line->length > 0 && line->at[line->length - 1] == '\r';
    return true;
}

/* What follows `key` and the sign in these bytes. */
static bool value_after(struct span bytes, const char *key, char sign, struct span *value)
{
    size_t n = strlen(key);

    if (bytes.length <= n || bytes.at[n] != sign || memcmp(bytes.at, key, n) != 0) {
        return false;
    }
    *value = (struct span){bytes.at + n + 1, bytes.length - n - 1};
    return true;
}

static bool info_value(const redisReply *info, const char *key, struct span *value)
{
    struct span line;

    for (size_t from = 0; next_line(info, &from, &line);) {
        if (value_after(line, key, ':', value)) {
            return true;
        }
    }
    return false;
}

int node_parse_info_role(const redisReply *info, char out[NODE_WORD_SIZE])
{
    int error = reply_check_text(info);
    struct span value;

    if (error != 0) {
        return error;
    }
    return info_value(info, "role", &value)
               ? reply_copy_name(value.at, value.length, out, NODE_WORD_SIZE)
               : -BW_EPROTO;
}

bool node_info_field(const redisReply *info, const char *key, char *out, size_t size)
{
    struct span value;

    if (!info_value(info, key, &value)) {
        return false;
    }
    snprintf(out, size, "%.*s", (int)value.length, value.at);
    return true;
}

/* The value of `key` in "a=1,b=2". */
static bool pair_value(struct span pairs, const char *key, struct span *value)
{
    const char *end = pairs.at + pairs.length, *comma;

    for (const char *at = pairs.at; at < end; at = comma ? comma + 1 : end) {
        comma = memchr(at, ',', (size_t)(end - at));
        if (value_after((struct span){at, (size_t)((comma ? comma : end) - at)}, key, '=', value)) {
            return true;
        }
    }
    return false;
}

/* slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0 */
static bool parse_offset(struct span line, struct replica_offset *out)
{
    struct span pairs, ip, port, offset, state;
    const char *colon = memchr(line.at, ':', line.length);

    if (!colon || line.length < 7 || memcmp(line.at, "slave", 5) != 0 || line.at[5] < '0' ||
        line.at[5] > '9') {
        return false;
    }
    pairs = (struct span){colon + 1, line.length - (size_t)(colon + 1 - line.at)};
    return pair_value(pairs, "ip", &ip) && pair_value(pairs, "port", &port) &&
           pair_value(pairs, "offset", &offset) && pair_value(pairs, "state", &state) &&
           text_is(state.at, state.length, "online") &&
           text_number(offset.at, offset.length, &out->offset) &&
           address_from_parts(ip.at, ip.length, port.at, port.length, &out->replica) == 0;
}

int64_t node_info_offsets(const redisReply *info, struct replica_offset **out, size_t *n_out)
{
    struct replica_offset *offsets = NULL, found;
    struct span line, own;
    int64_t master_offset = -1;
    size_t n = 0;

    if (info_value(info, "master_repl_offset", &own)) {
        (void)text_number(own.at, own.length, &master_offset);
    }
    for (size_t from = 0; next_line(info, &from, &line);) {
        if (parse_offset(line, &found)) {
            offsets = mem_resize(offsets, n + 1, sizeof(*offsets));
            offsets[n++] = found;
        }
    }
    *out = offsets;
    *n_out = n;
    return master_offset;
}
