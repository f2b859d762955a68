/*
 * A connection from HELLO to its end: whether the node takes it, with which password, what role the
 * node has, and, where a cursor needs it, which server that is.
 */
#include "pool_conn.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/node_reply.h"
#include "endpoint.h"

enum { CLOG_BYTES = 256 * 1024 };

/* ---- the state ---- */

static enum metric_pool_state state_of(const struct pool_conn *pool_conn)
{
    if (pool_conn->state == POOL_CONN_OPENING) {
        return METRIC_POOL_STATE_CONNECTING;
    }
    return pool_conn->in_flight > 0 ? METRIC_POOL_STATE_BUSY : METRIC_POOL_STATE_IDLE;
}

void pool_conn_count(struct pool_conn *pool_conn)
{
    struct metrics_redis *counts = pool_conn->endpoint->owner->counts;
    enum metric_pool_state state = state_of(pool_conn);

    if (state == pool_conn->counted) {
        return;
    }
    metric_move(&counts->connections[pool_conn->counted], -1);
    metric_move(&counts->connections[state], 1);
    pool_conn->counted = state;
}

void pool_conn_move(struct pool_conn *pool_conn, enum pool_conn_state state)
{
    pool_conn->state = state;
    pool_conn_count(pool_conn);
}

/* Whoever waits for a connection may be able to go. */
static void tell_answered(const struct pool_conn *pool_conn)
{
    const struct endpoint_owner *owner = pool_conn->endpoint->owner;

    owner->hooks->answered(owner->data);
}

/* ---- what is in flight ---- */

/*
 * Where the socket has no room, more of it would only wait in memory without a bound, and have run
 * late or nobody knows: it waits in the queue.
 */
bool pool_conn_takes(struct pool_conn *pool_conn)
{
    bool takes =
        pool_conn->state != POOL_CONN_SILENT && redis_conn_clogged(pool_conn->conn) < CLOG_BYTES;

    pool_conn->passed_by = pool_conn->passed_by || !takes;
    return takes;
}

void pool_conn_release(struct pool_conn *pool_conn, bool was_live, bool answered)
{
    pool_conn->in_flight--;
    pool_conn->live -= was_live;
    if (!answered) {
        return;
    }
    pool_conn_move(pool_conn, POOL_CONN_READY); /* it lives */
    if (pool_conn->passed_by) {
        tell_answered(pool_conn);
    }
    pool_conn->passed_by = false;
}

/* ---- which server it is ---- */

/*
 * A server that does not tell who it is, is the one at the other end of this connection as long as
 * that lasts.
 */
static void on_run_id(void *data, const redisReply *reply, enum redis_fail why)
{
    struct pool_conn *pool_conn = data;
    struct pool_endpoint *endpoint = pool_conn->endpoint;
    char run_id[RUN_ID_SIZE];

    (void)why;
    pool_conn->asking_run_id = false;
    if (!reply) {
        return; /* the next connection asks again */
    }
    if (node_info_field(reply, "run_id", run_id, sizeof(run_id)) && run_id[0] != '\0') {
        struct cursor_home home = {&endpoint->address, run_id, !endpoint->is_replica,
                                   endpoint->owner->switches};

        pool_conn->cursor_tag = cursor_tag(endpoint->owner->config->cursor_secret, &home);
    } else {
        pool_conn->cursor_tag =
            cursor_tag_of((uint64_t)jitter_below(UINT32_MAX) << 32 | jitter_below(UINT32_MAX));
    }
    tell_answered(pool_conn);
}

void pool_conn_ask_run_id(struct pool_conn *pool_conn)
{
    const char *argv[] = {"INFO", "server"};

    if (pool_conn->asking_run_id) {
        return;
    }
    pool_conn->asking_run_id = true;
    redis_conn_command(pool_conn->conn, on_run_id, pool_conn,
                       pool_conn->endpoint->owner->config->command_timeout_ms, 2, argv, NULL);
}

/* ---- the role ---- */

/* @param role  "": nothing tells, so the word of the Sentinels has to do. */
static void take_role(struct pool_conn *pool_conn, const char *role)
{
    if (role[0] == '\0' || pool_conn->endpoint->is_replica || strcmp(role, "master") == 0) {
        pool_conn_move(pool_conn, POOL_CONN_READY);
        pool_conn->hooks->ready(pool_conn);
        return;
    }
    pool_conn->hooks->refused(pool_conn, POOL_CONN_NO_MASTER, "it is no master");
}

/* ---- without HELLO: renamed, or denied by an ACL ---- */

static bool is_withheld(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           (strncmp(reply->str, "NOPERM", 6) == 0 || strstr(reply->str, "unknown command"));
}

static void ask(struct pool_conn *pool_conn, redis_reply_fn *done, int argc, const char **argv)
{
    redis_conn_command(pool_conn->conn, done, pool_conn,
                       pool_conn->endpoint->owner->config->connect_timeout_ms, argc, argv, NULL);
}

static void on_info_role(void *data, const redisReply *reply, enum redis_fail why)
{
    char role[NODE_WORD_SIZE] = "";

    (void)why;
    if (!reply) {
        return; /* on_closed() comes */
    }
    (void)node_parse_info_role(reply, role);
    take_role(data, role);
}

static void on_role(void *data, const redisReply *reply, enum redis_fail why)
{
    const char *info[] = {"INFO", "replication"};
    char role[NODE_WORD_SIZE];

    (void)why;
    if (!reply) {
        return;
    }
    if (node_parse_role(reply, role) == 0) {
        take_role(data, role);
    } else {
        ask(data, on_info_role, 2, info);
    }
}

static void ask_role(struct pool_conn *pool_conn)
{
    const char *role[] = {"ROLE"};

    ask(pool_conn, on_role, 1, role);
}

static void on_auth(void *data, const redisReply *reply, enum redis_fail why)
{
    struct pool_conn *pool_conn = data;
    bool withheld = reply && is_withheld(reply);

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        ask_role(pool_conn);
        return;
    }
    if (!withheld) {
        (void)secret_refresh(pool_conn->endpoint->owner->login->password, true, NULL, 0);
    }
    pool_conn->hooks->refused(pool_conn, withheld ? POOL_CONN_REFUSED_FOR_GOOD : POOL_CONN_REFUSED,
                              redis_login_refusal(pool_conn->endpoint->owner->login, reply->str));
}

static void begin_without_hello(struct pool_conn *pool_conn)
{
    const struct redis_login *login = pool_conn->endpoint->owner->login;
    const char *password = secret_value(login->password);
    const char *named[] = {"AUTH", login->username, password}, *unnamed[] = {"AUTH", password};

    if (!password) {
        ask_role(pool_conn);
    } else if (login->username) {
        ask(pool_conn, on_auth, 3, named);
    } else {
        ask(pool_conn, on_auth, 2, unnamed);
    }
}

static void on_ready(void *data, const redisReply *hello)
{
    struct pool_conn *pool_conn = data;
    struct node_hello said = {0};

    if (hello->type != REDIS_REPLY_ERROR) {
        (void)node_parse_hello(hello, &said);
        take_role(pool_conn, said.role);
        return;
    }
    if (is_withheld(hello)) {
        begin_without_hello(pool_conn);
        return;
    }
    if (strncmp(hello->str, "WRONGPASS", 9) == 0 || strncmp(hello->str, "NOAUTH", 6) == 0) {
        (void)secret_refresh(pool_conn->endpoint->owner->login->password, true, NULL, 0);
    }
    pool_conn->hooks->refused(pool_conn, POOL_CONN_REFUSED,
                              redis_login_refusal(pool_conn->endpoint->owner->login, hello->str));
}

/* ---- life ---- */

static void on_closed(void *data, enum redis_fail why, const char *words)
{
    struct pool_conn *pool_conn = data;

    pool_conn->hooks->closed(pool_conn, why, words);
}

static void on_push(void *data, const redisReply *push)
{
    struct pool_conn *pool_conn = data;

    pool_conn->hooks->push(pool_conn, push);
}

struct pool_conn *pool_conn_open(struct pool_endpoint *endpoint,
                                 const struct pool_conn_hooks *hooks)
{
    static const struct redis_conn_hooks own = {
        .ready = on_ready, .closed = on_closed, .push = on_push};
    const struct endpoint_owner *owner = endpoint->owner;
    struct pool_conn *pool_conn = mem_new(1, sizeof(*pool_conn));

    pool_conn->endpoint = endpoint;
    pool_conn->hooks = hooks;
    pool_conn->conn = redis_conn_new(owner->loop, &own, pool_conn);
    pool_conn->counted = METRIC_POOL_STATE_CONNECTING;
    metric_move(&owner->counts->connections[pool_conn->counted], 1);
    redis_conn_group(pool_conn->conn, owner->deployment);
    redis_conn_secure(pool_conn->conn, owner->login->tls, NULL);
    redis_conn_speak(pool_conn->conn, 2); /* shapes of replies as Upstash's SDKs know them */
    redis_conn_limit(pool_conn->conn, owner->config->max_reply_bytes);
    redis_conn_open(pool_conn->conn, &endpoint->address, owner->login->username,
                    secret_value(owner->login->password), owner->config->connect_timeout_ms);
    return pool_conn;
}

void pool_conn_free(struct pool_conn *pool_conn)
{
    redis_conn_free(pool_conn->conn);
    metric_move(&pool_conn->endpoint->owner->counts->connections[pool_conn->counted], -1);
    free(pool_conn);
}
