/*
 * Asks one node for its role. The questions in order, each only where the one before did not tell:
 *
 *   HELLO 3 [AUTH ...]  at connect; plain HELLO later, on the same connection
 *   PING                with it, in one write, at connect and now and then: HELLO is answered while
 *                       the data set is loaded, PING is refused. Of its reply nothing but LOADING
 *                       is looked at: BUSY, NOPERM and the like say nothing about the role
 *   AUTH                only where HELLO itself was denied or is not known, and there is a password
 *   ROLE                where HELLO has no role
 *   INFO replication    where ROLE is denied
 */
#include "role_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "bellwether/sentinel/reply.h"

enum { PING_US = 5000000 };

struct probe {
    struct redis_conn *conn;
    const char *username;
    struct secret *password;
    int64_t timeout_ms;
    probe_fn *answered;
    probe_offsets_fn *got_offsets;
    probe_run_id_fn *got_run_id;
    void *data;
    struct endpoint node;
    int64_t asked_us;
    bool asking, connected;
    bool run_id_asked; /* on this connection */
    unsigned pings;    /* that are not answered */
    int64_t pinged_us; /* the last one */
    bool loading;      /* the last PING was refused so */
    bool says_master;  /* the role is known, and waits for PING's reply */
    char loading_words[120];
    /* the last HELLO was refused for its password: say it again with the present one */
    bool refused_auth;
};

static void probe_answer(struct probe *probe, enum role_answer answer, const char *words)
{
    probe->asking = false;
    probe->answered(probe->data, probe, answer, probe->asked_us, words);
}

static void probe_send(struct probe *probe, redis_reply_fn *done, int argc, const char **argv)
{
    redis_conn_command(probe->conn, done, probe, probe->timeout_ms, argc, argv, NULL);
}

static void answer_master(struct probe *probe)
{
    probe->says_master = false;
    if (probe->loading) {
        probe_answer(probe, ROLE_LOADING, probe->loading_words);
    } else {
        probe_answer(probe, ROLE_MASTER, "master");
    }
}

/* A reply to an older question is followed by another. */
static void got_ping(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;

    (void)why;
    if (!reply) {
        return; /* the `closed` hook answers */
    }
    probe->pings--;
    probe->loading =
        reply->type == REDIS_REPLY_ERROR && sentinel_error_kind(reply) == SENTINEL_ERROR_LOADING;
    if (probe->loading) {
        snprintf(probe->loading_words, sizeof(probe->loading_words), "%s", reply->str);
    }
    if (probe->says_master && probe->pings == 0) {
        answer_master(probe);
    }
}

static void ask_ping(struct probe *probe)
{
    const char *argv[] = {"PING"};

    probe->pings++;
    probe->pinged_us = clock_boot_us();
    probe_send(probe, got_ping, 1, argv);
}

static void answer_role_word(struct probe *probe, const char *role)
{
    if (strcmp(role, "master") == 0) {
        probe->says_master = true;
        if (probe->pings == 0) {
            answer_master(probe);
        }
    } else {
        probe_answer(probe, ROLE_OTHER, role);
    }
}

/* The last resort failed with this error reply. */
static void answer_error(struct probe *probe, const redisReply *reply)
{
    const char *words = reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer has no role";

    if (probe->loading && probe->pings == 0) { /* its role can't be known, that much can */
        probe_answer(probe, ROLE_LOADING, probe->loading_words);
        return;
    }
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NOPERM: probe_answer(probe, ROLE_NOPERM, words); return;
    case SENTINEL_ERROR_NOAUTH:
    case SENTINEL_ERROR_WRONGPASS: probe_answer(probe, ROLE_NOAUTH, words); return;
    case SENTINEL_ERROR_LOADING: probe_answer(probe, ROLE_LOADING, words); return;
    default: probe_answer(probe, ROLE_ERROR, words); return;
    }
}

static void got_info(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;
    char role[SENTINEL_WORD_SIZE];

    (void)why;
    if (!reply) {
        return; /* the `closed` hook answers */
    }
    if (sentinel_parse_info_role(reply, role) == 0) {
        answer_role_word(probe, role);
    } else {
        answer_error(probe, reply);
    }
}

static void got_role(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;
    char role[SENTINEL_WORD_SIZE];

    (void)why;
    if (!reply) {
        return;
    }
    if (sentinel_parse_role(reply, role) == 0) {
        answer_role_word(probe, role);
        return;
    }
    enum sentinel_error kind = sentinel_error_kind(reply);
    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS ||
        kind == SENTINEL_ERROR_LOADING) {
        answer_error(probe, reply);
        return;
    }
    const char *argv[] = {"INFO", "replication"};
    probe_send(probe, got_info, 2, argv);
}

static void ask_role(struct probe *probe)
{
    const char *argv[] = {"ROLE"};

    probe_send(probe, got_role, 1, argv);
}

static void got_auth(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        enum sentinel_error kind = sentinel_error_kind(reply);

        probe->refused_auth = true;
        probe_answer(probe, kind == SENTINEL_ERROR_LOADING ? ROLE_LOADING : ROLE_NOAUTH,
                     reply->str);
        return;
    }
    ask_ping(probe);
    ask_role(probe);
}

static void ask_auth(struct probe *probe, const char *password)
{
    const char *with_user[] = {"AUTH", probe->username, password};
    const char *without[] = {"AUTH", password};

    if (probe->username) {
        probe_send(probe, got_auth, 3, with_user);
    } else {
        probe_send(probe, got_auth, 2, without);
    }
}

static void probe_hear_hello(struct probe *probe, const redisReply *hello)
{
    struct sentinel_hello said;

    if (sentinel_parse_hello(hello, &said) == 0) {
        if (strcmp(said.mode, "sentinel") == 0) {
            probe_answer(probe, ROLE_OTHER, "sentinel");
        } else if (said.role[0] != '\0') {
            answer_role_word(probe, said.role);
        } else {
            ask_role(probe);
        }
        return;
    }
    enum sentinel_error kind = sentinel_error_kind(hello);
    const char *password = secret_value(probe->password);
    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS) {
        probe->refused_auth = true;
        answer_error(probe, hello);
    } else if (kind == SENTINEL_ERROR_NOPERM || kind == SENTINEL_ERROR_UNKNOWN_COMMAND) {
        if (password) {
            ask_auth(probe, password);
        } else {
            ask_role(probe);
        }
    } else {
        answer_error(probe, hello);
    }
}

static void probe_ready(void *data, const redisReply *hello)
{
    struct probe *probe = data;

    probe->connected = true;
    probe->pings = 1;
    probe->pinged_us = clock_boot_us();
    probe_hear_hello(probe, hello);
}

static void got_hello(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    if (reply) {
        probe_hear_hello(data, reply);
    }
}

static enum role_answer answer_of_fail(enum redis_fail why)
{
    switch (why) {
    case REDIS_FAIL_TIMEOUT: return ROLE_TIMEOUT;
    case REDIS_FAIL_REFUSED:
    case REDIS_FAIL_UNREACHABLE:
    case REDIS_FAIL_RESOLVE: return ROLE_REFUSED;
    case REDIS_FAIL_CLOSED: return ROLE_CLOSED;
    default: return ROLE_ERROR;
    }
}

static void probe_closed(void *data, enum redis_fail why, const char *words)
{
    struct probe *probe = data;

    if (!probe->asking) {
        probe->asked_us = clock_boot_us(); /* news by itself, as of now */
    }
    probe->connected = false;
    probe->says_master = false;
    probe_answer(probe, answer_of_fail(why), *words != '\0' ? words : redis_fail_text(why));
}

struct probe *probe_new(struct loop *loop, unsigned group, const char *username,
                        struct secret *password, int64_t timeout_ms, probe_fn *answered, void *data)
{
    static const struct redis_conn_hooks hooks = {.ready = probe_ready, .closed = probe_closed};
    struct probe *probe = mem_new(1, sizeof(*probe));

    probe->conn = redis_conn_new(loop, &hooks, probe);
    redis_conn_group(probe->conn, group);
    redis_conn_ping(probe->conn, got_ping);
    probe->username = username;
    probe->password = password;
    probe->timeout_ms = timeout_ms;
    probe->answered = answered;
    probe->data = data;
    return probe;
}

void probe_open(struct probe *probe, const struct endpoint *node)
{
    struct endpoint copy = *node; /* `node` may be our own */

    redis_conn_close(probe->conn);
    probe->node = copy;
    probe->connected = probe->says_master = probe->loading = false;
    probe->run_id_asked = false;
    probe->pings = 0;
    probe->asking = true;
    probe->refused_auth = false;
    probe->asked_us = clock_boot_us();
    redis_conn_open(probe->conn, &probe->node.name, probe->username, secret_value(probe->password),
                    probe->timeout_ms);
}

void probe_ask(struct probe *probe)
{
    if (probe->asking) {
        return;
    }
    if (!probe->connected) {
        probe_open(probe, &probe->node);
        return;
    }
    const char *password = secret_value(probe->password);
    const char *plain[] = {"HELLO"};
    const char *with_auth[] = {"HELLO", "3", "AUTH", probe->username ? probe->username : "default",
                               password};
    bool again = probe->refused_auth && password;
    probe->asking = true;
    probe->refused_auth = false;
    probe->asked_us = clock_boot_us();
    probe_send(probe, got_hello, again ? 5 : 1, again ? with_auth : plain);
    /*
     * A master loads when it starts, so over a new connection; what else makes it load is rare, and
     * a second question a second for each of a thousand masters is not.
     */
    if (probe->loading || probe->pinged_us == 0 || probe->asked_us >= probe->pinged_us + PING_US) {
        ask_ping(probe);
    }
}

void probe_doubt(struct probe *probe)
{
    probe->pinged_us = 0;
}

static void got_offsets(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;
    struct replica_offset *offsets = NULL;
    size_t n = 0;
    int64_t master_offset = -1;

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_VERB ||
        reply->type == REDIS_REPLY_STATUS) {
        master_offset = offsets_parse(reply->str, reply->len, &offsets, &n);
    }
    probe->got_offsets(probe->data, master_offset, offsets, n);
    free(offsets);
}

bool probe_ask_offsets(struct probe *probe, probe_offsets_fn *got)
{
    if (!probe->connected || !redis_conn_is_ready(probe->conn)) {
        return false;
    }
    const char *argv[] = {"INFO", "replication"};
    probe->got_offsets = got;
    probe_send(probe, got_offsets, 2, argv);
    return true;
}

bool probe_info_field(const redisReply *info, const char *key, char *out, size_t size)
{
    if (info->type != REDIS_REPLY_STRING && info->type != REDIS_REPLY_VERB) {
        return false;
    }
    size_t key_len = strlen(key);
    for (const char *at = info->str, *end = info->str + info->len; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) : (size_t)(end - at);

        if (len > key_len && at[key_len] == ':' && memcmp(at, key, key_len) == 0) {
            size_t value_len = len - key_len - 1;

            while (value_len > 0 && at[key_len + value_len] == '\r') {
                value_len--;
            }
            snprintf(out, size, "%.*s", (int)value_len, at + key_len + 1);
            return true;
        }
        at += len + 1;
    }
    return false;
}

static void got_run_id(void *data, const redisReply *reply, enum redis_fail why)
{
    struct probe *probe = data;
    char run_id[RUN_ID_SIZE] = "";

    (void)why;
    if (!reply) {
        return;
    }
    (void)probe_info_field(reply, "run_id", run_id, sizeof(run_id));
    probe->got_run_id(probe->data, probe, run_id);
}

void probe_ask_run_id(struct probe *probe, probe_run_id_fn *got)
{
    if (!probe->connected || probe->run_id_asked || !redis_conn_is_ready(probe->conn)) {
        return;
    }
    const char *argv[] = {"INFO", "server"};
    probe->run_id_asked = true;
    probe->got_run_id = got;
    probe_send(probe, got_run_id, 2, argv);
}

void probe_also(struct probe *probe, redis_reply_fn *done, void *data, int argc, const char **argv)
{
    redis_conn_command(probe->conn, done, data, probe->timeout_ms, argc, argv, NULL);
}

const struct endpoint *probe_node(const struct probe *probe)
{
    return &probe->node;
}
bool probe_is_connected(const struct probe *probe)
{
    return probe->connected;
}
bool probe_is_asking(const struct probe *probe)
{
    return probe->asking;
}

void probe_retarget(struct probe *probe, probe_fn *answered, void *data)
{
    probe->answered = answered;
    probe->data = data;
}

void probe_free(struct probe *probe)
{
    if (!probe) {
        return;
    }
    probe->answered = NULL;
    redis_conn_free(probe->conn); /* completes what is in flight with NULL: ignored above */
    free(probe);
}
