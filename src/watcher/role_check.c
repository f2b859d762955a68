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

struct role_check {
    struct redis_conn *conn;
    const char *username;
    struct secret *password;
    int64_t timeout_ms;
    role_check_fn *answered;
    role_check_offsets_fn *got_offsets;
    role_check_run_id_fn *got_run_id;
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

static void role_check_answer(struct role_check *role_check, enum role_answer answer,
                              const char *words)
{
    role_check->asking = false;
    role_check->answered(role_check->data, role_check, answer, role_check->asked_us, words);
}

static void role_check_send(struct role_check *role_check, redis_reply_fn *done, int argc,
                            const char **argv)
{
    redis_conn_command(role_check->conn, done, role_check, role_check->timeout_ms, argc, argv,
                       NULL);
}

static void answer_master(struct role_check *role_check)
{
    role_check->says_master = false;
    if (role_check->loading) {
        role_check_answer(role_check, ROLE_LOADING, role_check->loading_words);
    } else {
        role_check_answer(role_check, ROLE_MASTER, "master");
    }
}

/* A reply to an older question is followed by another. */
static void got_ping(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;

    (void)why;
    if (!reply) {
        return; /* the `closed` hook answers */
    }
    role_check->pings--;
    role_check->loading =
        reply->type == REDIS_REPLY_ERROR && sentinel_error_kind(reply) == SENTINEL_ERROR_LOADING;
    if (role_check->loading) {
        snprintf(role_check->loading_words, sizeof(role_check->loading_words), "%s", reply->str);
    }
    if (role_check->says_master && role_check->pings == 0) {
        answer_master(role_check);
    }
}

static void ask_ping(struct role_check *role_check)
{
    const char *argv[] = {"PING"};

    role_check->pings++;
    role_check->pinged_us = clock_boot_us();
    role_check_send(role_check, got_ping, 1, argv);
}

static void answer_role_word(struct role_check *role_check, const char *role)
{
    if (strcmp(role, "master") == 0) {
        role_check->says_master = true;
        if (role_check->pings == 0) {
            answer_master(role_check);
        }
    } else {
        role_check_answer(role_check, ROLE_OTHER, role);
    }
}

/* The last resort failed with this error reply. */
static void answer_error(struct role_check *role_check, const redisReply *reply)
{
    const char *words = reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer has no role";

    if (role_check->loading && role_check->pings == 0) {
        /* its role can't be known, that much can */
        role_check_answer(role_check, ROLE_LOADING, role_check->loading_words);
        return;
    }
    switch (sentinel_error_kind(reply)) {
    case SENTINEL_ERROR_NOPERM: role_check_answer(role_check, ROLE_NOPERM, words); return;
    case SENTINEL_ERROR_NOAUTH:
    case SENTINEL_ERROR_WRONGPASS: role_check_answer(role_check, ROLE_NOAUTH, words); return;
    case SENTINEL_ERROR_LOADING: role_check_answer(role_check, ROLE_LOADING, words); return;
    default: role_check_answer(role_check, ROLE_ERROR, words); return;
    }
}

static void got_info(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;
    char role[NODE_WORD_SIZE];

    (void)why;
    if (!reply) {
        return; /* the `closed` hook answers */
    }
    if (node_parse_info_role(reply, role) == 0) {
        answer_role_word(role_check, role);
    } else {
        answer_error(role_check, reply);
    }
}

static void got_role(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;
    char role[NODE_WORD_SIZE];

    (void)why;
    if (!reply) {
        return;
    }
    if (node_parse_role(reply, role) == 0) {
        answer_role_word(role_check, role);
        return;
    }
    enum sentinel_error kind = sentinel_error_kind(reply);
    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS ||
        kind == SENTINEL_ERROR_LOADING) {
        answer_error(role_check, reply);
        return;
    }
    const char *argv[] = {"INFO", "replication"};
    role_check_send(role_check, got_info, 2, argv);
}

static void ask_role(struct role_check *role_check)
{
    const char *argv[] = {"ROLE"};

    role_check_send(role_check, got_role, 1, argv);
}

static void got_auth(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        enum sentinel_error kind = sentinel_error_kind(reply);

        role_check->refused_auth = true;
        role_check_answer(role_check, kind == SENTINEL_ERROR_LOADING ? ROLE_LOADING : ROLE_NOAUTH,
                          reply->str);
        return;
    }
    ask_ping(role_check);
    ask_role(role_check);
}

static void ask_auth(struct role_check *role_check, const char *password)
{
    const char *with_user[] = {"AUTH", role_check->username, password};
    const char *without[] = {"AUTH", password};

    if (role_check->username) {
        role_check_send(role_check, got_auth, 3, with_user);
    } else {
        role_check_send(role_check, got_auth, 2, without);
    }
}

static void role_check_hear_hello(struct role_check *role_check, const redisReply *hello)
{
    struct node_hello said;

    if (node_parse_hello(hello, &said) == 0) {
        if (strcmp(said.mode, "sentinel") == 0) {
            role_check_answer(role_check, ROLE_OTHER, "sentinel");
        } else if (said.role[0] != '\0') {
            answer_role_word(role_check, said.role);
        } else {
            ask_role(role_check);
        }
        return;
    }
    enum sentinel_error kind = sentinel_error_kind(hello);
    const char *password = secret_value(role_check->password);
    if (kind == SENTINEL_ERROR_NOAUTH || kind == SENTINEL_ERROR_WRONGPASS) {
        role_check->refused_auth = true;
        answer_error(role_check, hello);
    } else if (kind == SENTINEL_ERROR_NOPERM || kind == SENTINEL_ERROR_UNKNOWN_COMMAND) {
        if (password) {
            ask_auth(role_check, password);
        } else {
            ask_role(role_check);
        }
    } else {
        answer_error(role_check, hello);
    }
}

static void role_check_ready(void *data, const redisReply *hello)
{
    struct role_check *role_check = data;

    role_check->connected = true;
    redis_conn_look_for_tls(role_check->conn, false);
    role_check->pings = 1;
    role_check->pinged_us = clock_boot_us();
    role_check_hear_hello(role_check, hello);
}

static void got_hello(void *data, const redisReply *reply, enum redis_fail why)
{
    (void)why;
    if (reply) {
        role_check_hear_hello(data, reply);
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
    case REDIS_FAIL_TLS: return ROLE_TLS;
    default: return ROLE_ERROR;
    }
}

static void role_check_closed(void *data, enum redis_fail why, const char *words)
{
    struct role_check *role_check = data;

    if (!role_check->asking) {
        role_check->asked_us = clock_boot_us(); /* news by itself, as of now */
    }
    /* From the second time on: once a node closes so that is being promoted, too. */
    redis_conn_look_for_tls(role_check->conn, !role_check->connected && (why == REDIS_FAIL_CLOSED ||
                                                                         why == REDIS_FAIL_TLS));
    role_check->connected = false;
    role_check->says_master = false;
    role_check_answer(role_check, answer_of_fail(why),
                      *words != '\0' ? words : redis_fail_text(why));
}

struct role_check *role_check_new(struct loop *loop, unsigned group, const char *username,
                                  struct secret *password, struct redis_tls *tls,
                                  int64_t timeout_ms, role_check_fn *answered, void *data)
{
    static const struct redis_conn_hooks hooks = {.ready = role_check_ready,
                                                  .closed = role_check_closed};
    struct role_check *role_check = mem_new(1, sizeof(*role_check));

    role_check->conn = redis_conn_new(loop, &hooks, role_check);
    redis_conn_group(role_check->conn, group);
    redis_conn_secure(role_check->conn, tls, NULL);
    redis_conn_ping(role_check->conn, got_ping);
    role_check->username = username;
    role_check->password = password;
    role_check->timeout_ms = timeout_ms;
    role_check->answered = answered;
    role_check->data = data;
    return role_check;
}

void role_check_open(struct role_check *role_check, const struct endpoint *node)
{
    struct endpoint copy = *node; /* `node` may be our own */

    redis_conn_close(role_check->conn);
    role_check->node = copy;
    role_check->connected = role_check->says_master = role_check->loading = false;
    role_check->run_id_asked = false;
    role_check->pings = 0;
    role_check->asking = true;
    role_check->refused_auth = false;
    role_check->asked_us = clock_boot_us();
    redis_conn_open(role_check->conn, &role_check->node.name, role_check->username,
                    secret_value(role_check->password), role_check->timeout_ms);
}

void role_check_ask(struct role_check *role_check)
{
    if (role_check->asking) {
        return;
    }
    if (!role_check->connected) {
        role_check_open(role_check, &role_check->node);
        return;
    }
    const char *password = secret_value(role_check->password);
    const char *plain[] = {"HELLO"};
    const char *with_auth[] = {"HELLO", "3", "AUTH",
                               role_check->username ? role_check->username : "default", password};
    bool again = role_check->refused_auth && password;
    role_check->asking = true;
    role_check->refused_auth = false;
    role_check->asked_us = clock_boot_us();
    role_check_send(role_check, got_hello, again ? 5 : 1, again ? with_auth : plain);
    /*
     * A master loads when it starts, so over a new connection; what else makes it load is rare, and
     * a second question a second for each of a thousand masters is not.
     */
    if (role_check->loading || role_check->pinged_us == 0 ||
        role_check->asked_us >= role_check->pinged_us + PING_US) {
        ask_ping(role_check);
    }
}

void role_check_doubt(struct role_check *role_check)
{
    role_check->pinged_us = 0;
}

static void got_offsets(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;
    struct replica_offset *offsets;
    size_t n;

    (void)why;
    if (!reply) {
        return;
    }
    int64_t master_offset = node_info_offsets(reply, &offsets, &n);
    role_check->got_offsets(role_check->data, master_offset, offsets, n);
    free(offsets);
}

bool role_check_ask_offsets(struct role_check *role_check, role_check_offsets_fn *got)
{
    if (!role_check->connected || !redis_conn_is_ready(role_check->conn)) {
        return false;
    }
    const char *argv[] = {"INFO", "replication"};
    role_check->got_offsets = got;
    role_check_send(role_check, got_offsets, 2, argv);
    return true;
}

static void got_run_id(void *data, const redisReply *reply, enum redis_fail why)
{
    struct role_check *role_check = data;
    char run_id[RUN_ID_SIZE] = "";

    (void)why;
    if (!reply) {
        return;
    }
    (void)node_info_field(reply, "run_id", run_id, sizeof(run_id));
    role_check->got_run_id(role_check->data, role_check, run_id);
}

void role_check_ask_run_id(struct role_check *role_check, role_check_run_id_fn *got)
{
    if (!role_check->connected || role_check->run_id_asked ||
        !redis_conn_is_ready(role_check->conn)) {
        return;
    }
    const char *argv[] = {"INFO", "server"};
    role_check->run_id_asked = true;
    role_check->got_run_id = got;
    role_check_send(role_check, got_run_id, 2, argv);
}

void role_check_also(struct role_check *role_check, redis_reply_fn *done, void *data, int argc,
                     const char **argv)
{
    redis_conn_command(role_check->conn, done, data, role_check->timeout_ms, argc, argv, NULL);
}

const struct endpoint *role_check_node(const struct role_check *role_check)
{
    return &role_check->node;
}
bool role_check_is_connected(const struct role_check *role_check)
{
    return role_check->connected;
}
bool role_check_is_asking(const struct role_check *role_check)
{
    return role_check->asking;
}

void role_check_retarget(struct role_check *role_check, role_check_fn *answered, void *data)
{
    role_check->answered = answered;
    role_check->data = data;
}

void role_check_free(struct role_check *role_check)
{
    if (!role_check) {
        return;
    }
    role_check->answered = NULL;
    redis_conn_free(role_check->conn); /* completes what is in flight with NULL: ignored above */
    free(role_check);
}
