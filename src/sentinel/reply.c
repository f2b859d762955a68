/*
 * Replies into structs. Two shapes carry everything: a row of named fields (reply_fields.h) and a
 * list of rows. A row that can't be identified is refused.
 */
#include "bellwether/sentinel/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/node_reply.h"

/* ---- fields ---- */

/* For what identifies: whole or "". */
static bool name_field(const redisReply *row, const char *name, char *out, size_t size)
{
    const redisReply *value = reply_field(row, name);

    out[0] = '\0';
    return reply_is_text(value) && reply_copy_name(value->str, value->len, out, size) == 0;
}

static bool has_name(const redisReply *row)
{
    const redisReply *name = reply_field(row, "name");

    return reply_is_text(name) && name->len > 0;
}

static int make_address(const redisReply *host, const redisReply *port, struct address *out)
{
    char digits[24];
    const char *text = digits;
    size_t length;

    if (!port || !reply_is_text(host)) {
        return -BW_EPROTO;
    }
    if (port->type == REDIS_REPLY_INTEGER) {
        length = (size_t)snprintf(digits, sizeof(digits), "%lld", port->integer);
    } else if (reply_is_text(port)) {
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

    (void)make_address(reply_field(row, host), reply_field(row, port), &address);
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
    const redisReply *value = reply_field(row, "flags");
    unsigned flags = 0;

    if (!reply_is_text(value)) {
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
    reply_text_field(row, "flags", master.flags_text, sizeof(master.flags_text));
    reply_text_field(row, "failover-state", master.failover_state, sizeof(master.failover_state));
    master.config_epoch = reply_number_field(row, "config-epoch");
    master.quorum = reply_number_field(row, "quorum");
    master.num_other_sentinels = reply_number_field(row, "num-other-sentinels");
    master.num_slaves = reply_number_field(row, "num-slaves");
    master.down_after_ms = reply_number_field(row, "down-after-milliseconds");
    master.failover_timeout_ms = reply_number_field(row, "failover-timeout");
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
    sentinel.last_ok_ping_reply_ms = reply_number_field(row, "last-ok-ping-reply");
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
    reply_text_field(row, "flags", replica.flags_text, sizeof(replica.flags_text));
    reply_text_field(row, "master-link-status", word, sizeof(word));
    replica.link_up = strcmp(word, "ok") == 0;
    replica.link_down_ms = reply_number_field(row, "master-link-down-time");
    replica.info_refresh_ms = reply_number_field(row, "info-refresh");
    replica.priority = reply_number_field(row, "slave-priority");
    replica.repl_offset = reply_number_field(row, "slave-repl-offset");
    replica.last_ok_ping_reply_ms = reply_number_field(row, "last-ok-ping-reply");
    replica.master = address_fields(row, "master-host", "master-port");
    memcpy(out, &replica, sizeof(replica));
    return true;
}

typedef bool read_row(const redisReply *row, void *out);

/* Rows that are none, or have no name, are left out: one odd row must not hide the others. */
static int read_rows(const redisReply *reply, read_row *read, size_t size, void **out,
                     size_t *n_out)
{
    int error = reply_check_list(reply);
    char *rows = NULL;
    size_t n = 0;

    if (error != 0) {
        return error;
    }
    if (reply->elements > 0) {
        rows = mem_new(reply->elements, size);
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply_is_row(reply->element[i]) && read(reply->element[i], rows + n * size)) {
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
    int error = reply_check_list(reply);

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
    return reply_is_row(reply) && read_master(reply, out) ? 0 : -BW_EPROTO;
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

/* ---- single words ---- */

int sentinel_parse_myid(const redisReply *reply, char out[SENTINEL_RUN_ID_SIZE])
{
    int error = reply_check_text(reply);

    return error != 0 ? error : reply_copy_name(reply->str, reply->len, out, SENTINEL_RUN_ID_SIZE);
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
    good = reply_is_text(reply) && has_first_word(reply, "OK");
    if (!good && sentinel_error_kind(reply) != SENTINEL_ERROR_NOQUORUM) {
        return -BW_EPROTO;
    }
    *ok = good;
    if (text_size > 0) {
        text_copy(reply->str, reply->len, text, text_size);
    }
    return 0;
}

int sentinel_parse_tilt(const redisReply *info, bool *tilt)
{
    int error = reply_check_text(info);
    char value[3];

    if (error != 0) {
        return error;
    }
    if (!node_info_field(info, "sentinel_tilt", value, sizeof(value)) ||
        (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)) {
        return -BW_EPROTO;
    }
    *tilt = *value == '1';
    return 0;
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
