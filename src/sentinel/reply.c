/*
 * Replies into structs. Two shapes carry everything: a row of named fields (a map in RESP3, a flat
 * array of names and values in RESP2) and a list of rows. Fields are looked up by name, so that
 * what comes and goes between versions does not matter.
 *
 * A field of the wrong form counts as absent; a row that can't be identified is refused.
 */
#include "bellwether/sentinel/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "text.h"

/* ---- shapes ---- */

static bool is_text(const redisReply *reply)
{
    return reply->str && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
                          reply->type == REDIS_REPLY_VERB);
}

static bool is_row(const redisReply *reply)
{
    return (reply->type == REDIS_REPLY_MAP || reply->type == REDIS_REPLY_ARRAY) &&
           reply->elements > 0 && reply->elements % 2 == 0;
}

/* @return 0; -BW_ENIL; -BW_EPROTO for all that is no array (a map is none either). */
static int check_array(const redisReply *reply)
{
    if (!reply) {
        return -BW_EPROTO;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return -BW_ENIL;
    }
    return reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_SET ? 0 : -BW_EPROTO;
}

static int check_text(const redisReply *reply)
{
    if (!reply) {
        return -BW_EPROTO;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return -BW_ENIL;
    }
    return is_text(reply) ? 0 : -BW_EPROTO;
}

/* ---- fields ---- */

static const redisReply *field(const redisReply *row, const char *name)
{
    for (size_t i = 0; i + 1 < row->elements; i += 2) {
        const redisReply *key = row->element[i];

        if (is_text(key) && text_is(key->str, key->len, name)) {
            return row->element[i + 1];
        }
    }
    return NULL;
}

static int64_t number_field(const redisReply *row, const char *name)
{
    const redisReply *value = field(row, name);
    int64_t number = -1;

    if (!value) {
        return -1;
    }
    if (value->type == REDIS_REPLY_INTEGER) {
        return value->integer >= 0 ? value->integer : -1;
    }
    if (is_text(value)) {
        (void)text_number(value->str, value->len, &number);
    }
    return number;
}

/* For people and for comparing with known words: cut and cleaned. */
static void text_field(const redisReply *row, const char *name, char *out, size_t size)
{
    const redisReply *value = field(row, name);

    if (value && is_text(value)) {
        text_copy(value->str, value->len, out, size);
    } else {
        out[0] = '\0';
    }
}

/* For what identifies: whole or not at all. */
static bool name_field(const redisReply *row, const char *name, char *out, size_t size)
{
    const redisReply *value = field(row, name);

    out[0] = '\0';
    if (!value || !is_text(value) || !text_is_name(value->str, value->len, size)) {
        return false;
    }
    memcpy(out, value->str, value->len);
    out[value->len] = '\0';
    return true;
}

static bool has_name(const redisReply *row)
{
    const redisReply *name = field(row, "name");

    return name && is_text(name) && name->len > 0;
}

static int make_address(const redisReply *host, const redisReply *port, struct address *out)
{
    char digits[24];
    const char *text = digits;
    size_t length;

    if (!host || !port || !is_text(host)) {
        return -BW_EPROTO;
    }
    if (port->type == REDIS_REPLY_INTEGER) {
        length = (size_t)snprintf(digits, sizeof(digits), "%lld", port->integer);
    } else if (is_text(port)) {
        text = port->str;
        length = port->len;
    } else {
        return -BW_EPROTO;
    }
    return address_from_parts(host->str, host->len, text, length, out) == 0 ? 0 : -BW_EINVAL;
}

/* Unset where it is unusable ("?", port 0, a name that did not resolve). */
static struct address address_fields(const redisReply *row, const char *host, const char *port)
{
    struct address address = {0};

    (void)make_address(field(row, host), field(row, port), &address);
    return address;
}

static const struct {
    const char *word;
    unsigned flag;
} flag_words[] = {
    {"s_down", SENTINEL_S_DOWN},
    {"o_down", SENTINEL_O_DOWN},
    {"master", SENTINEL_MASTER},
    {"slave", SENTINEL_SLAVE},
    {"sentinel", SENTINEL_SENTINEL},
    {"disconnected", SENTINEL_DISCONNECTED},
    {"master_down", SENTINEL_MASTER_DOWN},
    {"failover_in_progress", SENTINEL_FAILOVER_IN_PROGRESS},
    {"promoted", SENTINEL_PROMOTED},
    {"reconf_sent", SENTINEL_RECONF_SENT},
    {"reconf_inprog", SENTINEL_RECONF_INPROG},
    {"reconf_done", SENTINEL_RECONF_DONE},
    {"force_failover", SENTINEL_FORCE_FAILOVER},
    {"script_kill_sent", SENTINEL_SCRIPT_KILL_SENT},
    {"coordinated_failover", SENTINEL_COORDINATED_FAILOVER},
};

static unsigned flag_of(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(flag_words) / sizeof(*flag_words); i++) {
        if (text_is(word, length, flag_words[i].word)) {
            return flag_words[i].flag;
        }
    }
    return 0;
}

/* From the whole text, not from what was cut to fit. */
static unsigned flags_field(const redisReply *row)
{
    const redisReply *value = field(row, "flags");
    unsigned flags = 0;

    if (!value || !is_text(value)) {
        return 0;
    }
    for (size_t from = 0; from <= value->len;) {
        const char *comma = memchr(value->str + from, ',', value->len - from);
        size_t to = comma ? (size_t)(comma - value->str) : value->len;

        flags |= flag_of(value->str + from, to - from);
        from = to + 1;
    }
    return flags;
}

/* ---- rows ---- */

static bool read_master(const redisReply *row, void *out)
{
    struct sentinel_master_row master = {0};

    if (!name_field(row, "name", master.name, sizeof(master.name))) {
        return false;
    }
    master.address = address_fields(row, "ip", "port");
    (void)name_field(row, "runid", master.run_id, sizeof(master.run_id));
    master.flags = flags_field(row);
    text_field(row, "flags", master.flags_text, sizeof(master.flags_text));
    text_field(row, "failover-state", master.failover_state, sizeof(master.failover_state));
    master.config_epoch = number_field(row, "config-epoch");
    master.quorum = number_field(row, "quorum");
    master.num_other_sentinels = number_field(row, "num-other-sentinels");
    master.num_slaves = number_field(row, "num-slaves");
    master.down_after_ms = number_field(row, "down-after-milliseconds");
    master.failover_timeout_ms = number_field(row, "failover-timeout");
    memcpy(out, &master, sizeof(master));
    return true;
}

static bool read_peer(const redisReply *row, void *out)
{
    struct sentinel_peer_row sentinel = {0};

    if (!has_name(row)) {
        return false;
    }
    sentinel.address = address_fields(row, "ip", "port");
    (void)name_field(row, "runid", sentinel.run_id, sizeof(sentinel.run_id));
    sentinel.flags = flags_field(row);
    sentinel.last_ok_ping_reply_ms = number_field(row, "last-ok-ping-reply");
    memcpy(out, &sentinel, sizeof(sentinel));
    return true;
}

static bool read_replica(const redisReply *row, void *out)
{
    struct sentinel_replica_row replica = {0};
    char word[SENTINEL_WORD_SIZE];

    if (!has_name(row)) {
        return false;
    }
    replica.address = address_fields(row, "ip", "port");
    (void)name_field(row, "runid", replica.run_id, sizeof(replica.run_id));
    replica.flags = flags_field(row);
    text_field(row, "flags", replica.flags_text, sizeof(replica.flags_text));
    text_field(row, "master-link-status", word, sizeof(word));
    replica.link_up = strcmp(word, "ok") == 0;
    replica.link_down_ms = number_field(row, "master-link-down-time");
    replica.info_refresh_ms = number_field(row, "info-refresh");
    replica.priority = number_field(row, "slave-priority");
    replica.repl_offset = number_field(row, "slave-repl-offset");
    replica.last_ok_ping_reply_ms = number_field(row, "last-ok-ping-reply");
    replica.master = address_fields(row, "master-host", "master-port");
    memcpy(out, &replica, sizeof(replica));
    return true;
}

typedef bool read_row(const redisReply *row, void *out);

/* Rows that are none, or have no name, are left out: one odd row must not hide the others. */
static int read_rows(const redisReply *reply, read_row *read, size_t size, void **out,
                     size_t *n_out)
{
    int error = check_array(reply);
    char *rows = NULL;
    size_t n = 0;

    if (error != 0) {
        return error;
    }
    if (reply->elements > 0) {
        rows = mem_new(reply->elements, size);
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (is_row(reply->element[i]) && read(reply->element[i], rows + n * size)) {
            n++;
        }
    }
    /* A list of which nothing can be read is something else, a single flat row perhaps. */
    if (n == 0 && reply->elements > 0) {
        free(rows);
        return -BW_EPROTO;
    }
    *out = rows;
    *n_out = n;
    return 0;
}

int sentinel_parse_address(const redisReply *reply, struct address *out)
{
    int error = check_array(reply);

    if (error != 0) {
        return error;
    }
    return reply->elements == 2 ? make_address(reply->element[0], reply->element[1], out)
                                : -BW_EPROTO;
}

int sentinel_parse_master(const redisReply *reply, struct sentinel_master_row *out)
{
    if (reply && reply->type == REDIS_REPLY_NIL) {
        return -BW_ENIL;
    }
    return reply && is_row(reply) && read_master(reply, out) ? 0 : -BW_EPROTO;
}

int sentinel_parse_masters(const redisReply *reply, struct sentinel_master_row **out, size_t *n_out)
{
    void *rows;
    int error = read_rows(reply, read_master, sizeof(**out), &rows, n_out);

    if (error == 0) {
        *out = rows;
    }
    return error;
}

int sentinel_parse_peers(const redisReply *reply, struct sentinel_peer_row **out, size_t *n_out)
{
    void *rows;
    int error = read_rows(reply, read_peer, sizeof(**out), &rows, n_out);

    if (error == 0) {
        *out = rows;
    }
    return error;
}

int sentinel_parse_replicas(const redisReply *reply, struct sentinel_replica_row **out,
                            size_t *n_out)
{
    void *rows;
    int error = read_rows(reply, read_replica, sizeof(**out), &rows, n_out);

    if (error == 0) {
        *out = rows;
    }
    return error;
}

/* ---- what a server says of itself ---- */

int sentinel_parse_hello(const redisReply *reply, struct sentinel_hello *out)
{
    struct sentinel_hello hello = {0};

    if (reply && reply->type == REDIS_REPLY_NIL) {
        return -BW_ENIL;
    }
    if (!reply || !is_row(reply)) {
        return -BW_EPROTO;
    }
    text_field(reply, "server", hello.server, sizeof(hello.server));
    text_field(reply, "version", hello.version, sizeof(hello.version));
    text_field(reply, "mode", hello.mode, sizeof(hello.mode));
    text_field(reply, "role", hello.role, sizeof(hello.role));
    hello.proto = number_field(reply, "proto");
    if (hello.server[0] == '\0' && hello.mode[0] == '\0') {
        return -BW_EPROTO; /* a map of something else */
    }
    *out = hello;
    return 0;
}

int sentinel_parse_myid(const redisReply *reply, char out[SENTINEL_RUN_ID_SIZE])
{
    int error = check_text(reply);

    if (error != 0) {
        return error;
    }
    if (!text_is_name(reply->str, reply->len, SENTINEL_RUN_ID_SIZE)) {
        return -BW_EPROTO;
    }
    memcpy(out, reply->str, reply->len);
    out[reply->len] = '\0';
    return 0;
}

static bool starts_with(const redisReply *reply, const char *words)
{
    size_t length = strlen(words);

    return reply->len >= length && strncasecmp(reply->str, words, length) == 0;
}

/* "OK" as the first word, "OKAY" not. */
static bool has_first_word(const redisReply *reply, const char *word)
{
    size_t length = strlen(word);

    return reply->len >= length && memcmp(reply->str, word, length) == 0 &&
           (reply->len == length || reply->str[length] == ' ');
}

int sentinel_parse_ckquorum(const redisReply *reply, bool *ok, char *text, size_t text_size)
{
    bool good;

    if (reply && reply->type == REDIS_REPLY_NIL) {
        return -BW_ENIL;
    }
    if (!reply) {
        return -BW_EPROTO;
    }
    good = is_text(reply) && has_first_word(reply, "OK");
    if (!good && sentinel_error_kind(reply) != SENTINEL_ERROR_NOQUORUM) {
        return -BW_EPROTO;
    }
    *ok = good;
    if (text_size > 0) {
        text_copy(reply->str, reply->len, text, text_size);
    }
    return 0;
}

/* The value of `name:value` at the start of a line of INFO, up to the line's end. */
static const char *info_value(const redisReply *info, const char *name, size_t *length)
{
    const char *line = info->str, *end = info->str + info->len;
    size_t n = strlen(name);

    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line)), *last;

        if (!stop) {
            stop = end;
        }
        last = stop > line && stop[-1] == '\r' ? stop - 1 : stop;
        if ((size_t)(last - line) > n && memcmp(line, name, n) == 0 && line[n] == ':') {
            *length = (size_t)(last - line) - n - 1;
            return line + n + 1;
        }
        line = stop + 1;
    }
    return NULL;
}

int sentinel_parse_tilt(const redisReply *info, bool *tilt)
{
    int error = check_text(info);
    const char *value;
    size_t length;

    if (error != 0) {
        return error;
    }
    value = info_value(info, "sentinel_tilt", &length);
    if (!value || length != 1 || (*value != '0' && *value != '1')) {
        return -BW_EPROTO;
    }
    *tilt = *value == '1';
    return 0;
}

static int copy_word(const char *bytes, size_t length, char out[SENTINEL_WORD_SIZE])
{
    if (!text_is_name(bytes, length, SENTINEL_WORD_SIZE)) {
        return -BW_EPROTO;
    }
    memcpy(out, bytes, length);
    out[length] = '\0';
    return 0;
}

int sentinel_parse_role(const redisReply *reply, char out[SENTINEL_WORD_SIZE])
{
    int error = check_array(reply);

    if (error != 0) {
        return error;
    }
    if (reply->elements == 0 || !is_text(reply->element[0])) {
        return -BW_EPROTO;
    }
    return copy_word(reply->element[0]->str, reply->element[0]->len, out);
}

int sentinel_parse_info_role(const redisReply *info, char out[SENTINEL_WORD_SIZE])
{
    int error = check_text(info);
    const char *value;
    size_t length;

    if (error != 0) {
        return error;
    }
    value = info_value(info, "role", &length);
    return value ? copy_word(value, length, out) : -BW_EPROTO;
}

/* ---- errors ---- */

/* Words of all versions; those that begin with ERR have no code of their own. */
static const struct {
    const char *words;
    enum sentinel_error kind;
} error_words[] = {
    {"ERR No such master", SENTINEL_ERROR_NO_SUCH_MASTER},
    {"NOQUORUM", SENTINEL_ERROR_NOQUORUM},
    {"NOPERM", SENTINEL_ERROR_NOPERM},
    {"NOAUTH", SENTINEL_ERROR_NOAUTH},
    {"WRONGPASS", SENTINEL_ERROR_WRONGPASS},
    {"ERR invalid password", SENTINEL_ERROR_WRONGPASS},
    {"ERR unknown command", SENTINEL_ERROR_UNKNOWN_COMMAND},
    {"ERR unknown subcommand", SENTINEL_ERROR_UNKNOWN_COMMAND},
    {"ERR unknown sentinel subcommand", SENTINEL_ERROR_UNKNOWN_COMMAND},
    {"LOADING", SENTINEL_ERROR_LOADING},
    {"BUSY", SENTINEL_ERROR_BUSY},
    {"MASTERDOWN", SENTINEL_ERROR_MASTERDOWN},
    {"ERR max number of clients reached", SENTINEL_ERROR_MAXCLIENTS},
};

enum sentinel_error sentinel_error_kind(const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_ERROR || !reply->str) {
        return SENTINEL_ERROR_OTHER;
    }
    for (size_t i = 0; i < sizeof(error_words) / sizeof(*error_words); i++) {
        const char *words = error_words[i].words;

        if (strchr(words, ' ') ? starts_with(reply, words) : has_first_word(reply, words)) {
            return error_words[i].kind;
        }
    }
    return SENTINEL_ERROR_OTHER;
}
