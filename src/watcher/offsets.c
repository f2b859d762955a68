/* Reads INFO replication line by line, fields by name. */
#include "offsets.h"

#include <stdbool.h>
#include <string.h>

#include "bellwether/base/memory.h"

/* The value of `key` in "a=1,b=2", up to the comma or the line's end. */
static bool field_of(const char *line, size_t len, const char *key, const char **value,
                     size_t *value_len)
{
    size_t key_len = strlen(key);

    for (size_t at = 0; at < len;) {
        size_t end = at;

        while (end < len && line[end] != ',') {
            end++;
        }
        if (end - at > key_len && memcmp(line + at, key, key_len) == 0 &&
            line[at + key_len] == '=') {
            *value = line + at + key_len + 1;
            *value_len = end - at - key_len - 1;
            return true;
        }
        at = end + 1;
    }
    return false;
}

static int64_t number_of(const char *text, size_t len)
{
    int64_t n = 0;

    if (len == 0 || len > 18) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        n = n * 10 + (text[i] - '0');
    }
    return n;
}

/* slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0 */
static bool parse_offset_line(const char *line, size_t len, struct replica_offset *out)
{
    const char *ip, *port, *offset, *state;
    size_t ip_len, port_len, offset_len, state_len;

    if (len < 7 || memcmp(line, "slave", 5) != 0 || line[5] < '0' || line[5] > '9') {
        return false;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        return false;
    }
    size_t rest = len - (size_t)(colon + 1 - line);
    if (!field_of(colon + 1, rest, "ip", &ip, &ip_len) ||
        !field_of(colon + 1, rest, "port", &port, &port_len) ||
        !field_of(colon + 1, rest, "offset", &offset, &offset_len) ||
        !field_of(colon + 1, rest, "state", &state, &state_len)) {
        return false;
    }
    if (state_len != 6 || memcmp(state, "online", 6) != 0) {
        return false;
    }
    out->offset = number_of(offset, offset_len);
    return out->offset >= 0 && address_from_parts(ip, ip_len, port, port_len, &out->replica) == 0;
}

int64_t offsets_parse(const char *text, size_t len, struct replica_offset **out, size_t *n_out)
{
    static const char key[] = "master_repl_offset:";
    const size_t key_len = sizeof(key) - 1;
    struct replica_offset *offsets = NULL;
    size_t n = 0;
    int64_t master_offset = -1;

    for (size_t at = 0; at < len;) {
        const char *line = text + at;
        const char *eol = memchr(line, '\n', len - at);
        size_t line_len = eol ? (size_t)(eol - line) : len - at;
        size_t bare = line_len > 0 && line[line_len - 1] == '\r' ? line_len - 1 : line_len;
        struct replica_offset found;

        if (bare > key_len && memcmp(line, key, key_len) == 0) {
            master_offset = number_of(line + key_len, bare - key_len);
        } else if (parse_offset_line(line, bare, &found)) {
            offsets = mem_resize(offsets, n + 1, sizeof(*offsets));
            offsets[n++] = found;
        }
        at += line_len + 1;
    }
    *out = offsets;
    *n_out = n;
    return master_offset;
}
