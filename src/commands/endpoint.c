/*
 * One address and the connections to it, "lines": opened on demand, up to pool-size, each used by
 * many commands at once.
 *
 * A line that ends by itself is news to the watcher. A node that can't be reached is dialled again
 * after 50 ms, doubling to a second, with jitter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "pool_internal.h"

enum { BACKOFF_MS = 50, BACKOFF_MAX_MS = 1000, FILL_BYTES = 64 * 1024, CLOG_BYTES = 256 * 1024 };

/* ---- counting ---- */

static enum metric_pool_state state_of(const struct pool_conn *pool_conn)
{
    if (!pool_conn->ready) {
        return METRIC_POOL_STATE_CONNECTING;
    }
    return pool_conn->in_flight > 0 ? METRIC_POOL_STATE_BUSY : METRIC_POOL_STATE_IDLE;
}

void pool_conn_count(struct pool_conn *pool_conn)
{
    struct metrics_redis *counts = pool_conn->endpoint->master_pool->pool->counts;
    enum metric_pool_state state = state_of(pool_conn);

    if (state == pool_conn->counted) {
        return;
    }
    metric_move(&counts->connections[pool_conn->counted], -1);
    metric_move(&counts->connections[state], 1);
    pool_conn->counted = state;
}

/* ---- the end of a line ---- */

/* What was on it is settled from inside redis_conn_free(). */
static void pool_conn_free(struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        if (endpoint->pool_conns[i] == pool_conn) {
            endpoint->pool_conns[i] = endpoint->pool_conns[--endpoint->n_pool_conns];
            break;
        }
    }
    redis_conn_free(pool_conn->conn);
    metric_move(&endpoint->master_pool->pool->counts->connections[pool_conn->counted], -1);
    free(pool_conn);
}

/* The runs that wait for a connection to this replica go on to the next one. */
static void send_waiting_on(struct pool_endpoint *endpoint)
{
    if (!endpoint->is_replica) {
        return;
    }
    for (struct request_run *run = endpoint->master_pool->first; run; run = run->next_waiting) {
        if (run->endpoint == endpoint) {
            request_run_leave_endpoint(run, &endpoint->address);
        }
    }
}

static void endpoint_fail(struct pool_endpoint *endpoint, const char *words)
{
    char text[ADDRESS_TEXT_SIZE];
    int64_t delay_ms = jittered_ms(backoff_ms(++endpoint->failures, BACKOFF_MS, BACKOFF_MAX_MS), 2);

    endpoint->retry_ms = clock_boot_ms() + delay_ms;
    master_pool_say(endpoint->master_pool, "%s: %s", address_format(&endpoint->address, text),
                    words);
    loop_timer_start(endpoint->timer, delay_ms);
    send_waiting_on(endpoint);
    master_pool_wake(endpoint->master_pool);
}

static void on_closed(void *data, enum redis_fail why, const char *words)
{
    struct pool_conn *pool_conn = data;
    struct pool_endpoint *endpoint = pool_conn->endpoint;
    /* without the command table nothing runs */
    bool was_of_use = pool_conn->ready && endpoint->master_pool->commands_table;
    char text[ADDRESS_TEXT_SIZE];

    log_debug("connection for commands lost",
              LOG_STR("address", address_format(&endpoint->address, text)),
              LOG_STR("why", redis_fail_text(why)), LOG_STR("words", words));
    pool_tell(endpoint, why == REDIS_FAIL_TIMEOUT ? SUSPICION_SILENT : SUSPICION_LOST);
    if (!was_of_use) {
        endpoint_fail(endpoint, words);
    } else {
        send_waiting_on(endpoint);
        master_pool_wake(endpoint->master_pool);
    }
    pool_conn_free(pool_conn);
}

/* ---- the beginning ---- */

static void on_table(void *data, const redisReply *reply, enum redis_fail why)
{
    struct pool_conn *pool_conn = data;

    (void)why;
    pool_conn->asking_table = false;
    master_pool_take_table(pool_conn->endpoint->master_pool, reply);
}

/* Ahead of the commands that wait, so in their order. */
static void ask_table(struct pool_conn *pool_conn)
{
    const struct pool_endpoint *endpoint = pool_conn->endpoint;
    const struct master_pool *master_pool = endpoint->master_pool;
    const struct pool_config *config = master_pool->pool->config;
    const char *argv[] = {"COMMAND"};

    if (master_pool->commands_table && (!master_pool->book_is_old || endpoint->is_replica)) {
        return;
    }
    pool_conn->asking_table = true;
    /*
     * with a command table commands go out behind it: it does not end their connection before their
     * time
     */
    redis_conn_command(pool_conn->conn, on_table, pool_conn,
                       master_pool->commands_table ? config->command_timeout_ms
                                                   : config->connect_timeout_ms,
                       1, argv, NULL);
}

static void on_info(void *data, const redisReply *reply, enum redis_fail why)
{
    const struct pool_conn *pool_conn = data;

    (void)why;
    master_pool_take_info(pool_conn->endpoint->master_pool, reply);
}

void endpoint_ask_name(struct pool_conn *pool_conn, const char *name)
{
    struct master_pool *master_pool = pool_conn->endpoint->master_pool;
    const char *argv[] = {"COMMAND", "INFO", name};

    if (master_pool->asked[0] != '\0') {
        return;
    }
    snprintf(master_pool->asked, sizeof(master_pool->asked), "%s", name);
    redis_conn_command(pool_conn->conn, on_info, pool_conn,
                       master_pool->pool->config->command_timeout_ms, 3, argv, NULL);
}

/* ---- cursors ---- */

/* "run_id:" and 40 characters in a line of INFO. @return false: it is not there. */
static bool read_run_id(const redisReply *info, char out[RUN_ID_SIZE])
{
    static const char field[] = "run_id:";
    const char *at = info->type == REDIS_REPLY_STRING ? strstr(info->str, field) : NULL;

    if (!at) {
        return false;
    }
    at += sizeof(field) - 1;
    snprintf(out, RUN_ID_SIZE, "%.*s", (int)strcspn(at, "\r\n"), at);
    return out[0] != '\0';
}

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
    if (read_run_id(reply, run_id)) {
        struct cursor_home home = {&endpoint->address, run_id, !endpoint->is_replica,
                                   endpoint->master_pool->switches};

        pool_conn->cursor_tag =
            cursor_tag(endpoint->master_pool->pool->config->cursor_secret, &home);
    } else {
        pool_conn->cursor_tag =
            cursor_tag_of((uint64_t)jitter_below(UINT32_MAX) << 32 | jitter_below(UINT32_MAX));
    }
    master_pool_wake(endpoint->master_pool);
}

void endpoint_ask_run_id(struct pool_conn *pool_conn)
{
    const char *argv[] = {"INFO", "server"};

    if (pool_conn->asking_run_id) {
        return;
    }
    pool_conn->asking_run_id = true;
    redis_conn_command(pool_conn->conn, on_run_id, pool_conn,
                       pool_conn->endpoint->master_pool->pool->config->command_timeout_ms, 2, argv,
                       NULL);
}

enum cursor_owner endpoint_owns_cursor(const struct pool_endpoint *endpoint, uint32_t cursor_tag)
{
    enum cursor_owner owner = CURSOR_OWNER_PERHAPS;

    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        if (endpoint->pool_conns[i]->cursor_tag == cursor_tag) {
            return CURSOR_OWNER_IS;
        }
        if (endpoint->pool_conns[i]->cursor_tag != CURSOR_TAG_NONE) {
            owner = CURSOR_OWNER_NOT;
        }
    }
    return owner;
}

struct pool_conn *endpoint_cursor_pool_conn(struct pool_endpoint *endpoint, uint32_t cursor_tag)
{
    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        struct pool_conn *pool_conn = endpoint->pool_conns[i];

        if (pool_conn->cursor_tag == cursor_tag && pool_conn_takes(pool_conn)) {
            return pool_conn;
        }
    }
    return endpoint_pool_conn(endpoint);
}

/* ---- transactions ---- */

static void on_multi(void *data, const redisReply *reply, enum redis_fail why)
{
    struct pool_endpoint *endpoint = ((struct pool_conn *)data)->endpoint;

    (void)why;
    endpoint->multi_refusal[0] = '\0';
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        snprintf(endpoint->multi_refusal, sizeof(endpoint->multi_refusal), "%s", reply->str);
    }
}

/*
 * EXEC without MULTI is an error as well; MULTI's is the one to tell. A MULTI without EXEC leaves a
 * connection that is of no more use.
 */
static void on_exec(void *data, const redisReply *reply, enum redis_fail why)
{
    struct pool_conn *pool_conn = data;
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    (void)why;
    endpoint->asking_multi = false;
    if (!reply) {
        return; /* the next connection asks again */
    }
    endpoint->multi_known = true;
    master_pool_wake(endpoint->master_pool);
    if (reply->type != REDIS_REPLY_ERROR || endpoint->multi_refusal[0] != '\0') {
        return;
    }
    snprintf(endpoint->multi_refusal, sizeof(endpoint->multi_refusal), "%s", reply->str);
    pool_conn_free(pool_conn);
}

void endpoint_ask_multi(struct pool_conn *pool_conn)
{
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    /* others use the connection */
    int64_t timeout_ms = pool_conn->endpoint->master_pool->pool->config->command_timeout_ms;

    if (pool_conn->endpoint->asking_multi) {
        return;
    }
    pool_conn->endpoint->asking_multi = true;
    redis_conn_command(pool_conn->conn, on_multi, pool_conn, timeout_ms, 1, multi, NULL);
    redis_conn_command(pool_conn->conn, on_exec, pool_conn, timeout_ms, 1, exec, NULL);
}

/* A string of HELLO's flat array or map. */
static const char *hello_value(const redisReply *hello, const char *key)
{
    for (size_t i = 0; i + 1 < hello->elements; i += 2) {
        if (hello->element[i]->str && strcmp(hello->element[i]->str, key) == 0) {
            return hello->element[i + 1]->str;
        }
    }
    return NULL;
}

static void pool_conn_refused(struct pool_conn *pool_conn, const char *why)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    endpoint_fail(endpoint, why);
    pool_conn_free(pool_conn);
}

static void pool_conn_is_ready(struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    pool_conn->ready = true;
    endpoint->failures = 0;
    endpoint->hopeless = false;
    endpoint->retry_ms = 0;
    endpoint->master_pool->trouble[0] = '\0';
    pool_conn_count(pool_conn);
    ask_table(pool_conn);
    master_pool_wake(endpoint->master_pool);
}

static void take_role(struct pool_conn *pool_conn, const char *role)
{
    if (!role || pool_conn->endpoint->is_replica ||
        strncmp(role, "master", strlen("master")) == 0) {
        pool_conn_is_ready(pool_conn);
        return;
    }
    pool_tell(pool_conn->endpoint, SUSPICION_ROLE);
    pool_conn_refused(pool_conn, "it is no master");
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
                       pool_conn->endpoint->master_pool->pool->config->connect_timeout_ms, argc,
                       argv, NULL);
}

/* Where nothing tells, the word of the Sentinels has to do. */
static void on_info_role(void *data, const redisReply *reply, enum redis_fail why)
{
    const char *role = NULL;

    (void)why;
    if (!reply) {
        return; /* on_closed() comes */
    }
    if (reply->type == REDIS_REPLY_STRING) {
        role = strstr(reply->str, "role:");
    }
    take_role(data, role ? role + strlen("role:") : NULL);
}

static void on_role(void *data, const redisReply *reply, enum redis_fail why)
{
    const char *info[] = {"INFO", "replication"};

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->elements > 0 && reply->element[0]->str) {
        take_role(data, reply->element[0]->str);
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

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        ask_role(pool_conn);
        return;
    }
    pool_conn->endpoint->hopeless = is_withheld(reply);
    if (!pool_conn->endpoint->hopeless) {
        (void)secret_refresh(pool_conn->endpoint->master_pool->login->password, true, NULL, 0);
    }
    pool_conn_refused(pool_conn, reply->str);
}

static void begin_without_hello(struct pool_conn *pool_conn)
{
    const struct login *login = pool_conn->endpoint->master_pool->login;
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
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    if (hello->type != REDIS_REPLY_ERROR) {
        take_role(pool_conn, hello_value(hello, "role"));
        return;
    }
    if (is_withheld(hello)) {
        begin_without_hello(pool_conn);
        return;
    }
    if (strncmp(hello->str, "WRONGPASS", 9) == 0 || strncmp(hello->str, "NOAUTH", 6) == 0) {
        (void)secret_refresh(endpoint->master_pool->login->password, true, NULL, 0);
    }
    pool_conn_refused(pool_conn, hello->str);
}

static void pool_conn_open(struct pool_endpoint *endpoint)
{
    static const struct redis_conn_hooks hooks = {.ready = on_ready, .closed = on_closed};
    const struct master_pool *master_pool = endpoint->master_pool;
    const struct pool_config *config = master_pool->pool->config;
    struct pool_conn *pool_conn = mem_new(1, sizeof(*pool_conn));

    endpoint->hopeless = false;
    pool_conn->endpoint = endpoint;
    pool_conn->conn = redis_conn_new(master_pool->pool->loop, &hooks, pool_conn);
    pool_conn->counted = METRIC_POOL_STATE_CONNECTING;
    metric_move(&master_pool->pool->counts->connections[pool_conn->counted], 1);
    endpoint->pool_conns[endpoint->n_pool_conns++] = pool_conn;
    redis_conn_group(pool_conn->conn, master_pool->shown ? master_pool->shown->deployment : 0);
    redis_conn_speak(pool_conn->conn, 2); /* shapes of replies as Upstash's SDKs know them */
    redis_conn_limit(pool_conn->conn, config->max_reply_bytes);
    redis_conn_open(pool_conn->conn, &endpoint->address, master_pool->login->username,
                    secret_value(master_pool->login->password), config->connect_timeout_ms);
}

/* ---- choosing one ---- */

bool endpoint_rests(const struct pool_endpoint *endpoint)
{
    return endpoint->retry_ms != 0 && endpoint->retry_ms > clock_boot_ms();
}

/* What is sent in one turn leaves in one write, and its answers mostly come in one piece. */
static bool is_filling(const struct pool_conn *pool_conn)
{
    size_t queued = redis_conn_queued(pool_conn->conn);

    return queued > 0 && queued < FILL_BYTES;
}

/*
 * Where the socket has no room, more of it would only wait in memory without a bound, and have run
 * late or nobody knows: it waits in the queue.
 */
bool pool_conn_takes(struct pool_conn *pool_conn)
{
    bool takes = !pool_conn->silent && redis_conn_clogged(pool_conn->conn) < CLOG_BYTES;

    pool_conn->passed_by = pool_conn->passed_by || !takes;
    return takes;
}

/* A reply that nobody wants any more holds up those behind it, too. */
static size_t load_of(const struct pool_conn *pool_conn)
{
    return pool_conn->in_flight + redis_conn_is_skipping(pool_conn->conn);
}

/* The one that this turn writes to already, else the one with the least to do. */
struct pool_conn *endpoint_pool_conn(struct pool_endpoint *endpoint)
{
    struct pool_conn *best = NULL, *filling = NULL;
    bool connecting = false;

    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        struct pool_conn *pool_conn = endpoint->pool_conns[i];

        connecting = connecting || !pool_conn->ready;
        if (!pool_conn->ready || !pool_conn_takes(pool_conn)) {
            continue;
        }
        if (!best || load_of(pool_conn) < load_of(best)) {
            best = pool_conn;
        }
        if (is_filling(pool_conn)) {
            filling = pool_conn;
        }
    }
    if ((!best || load_of(best) > 0) && !connecting &&
        endpoint->n_pool_conns < endpoint->master_pool->pool->config->size &&
        !endpoint_rests(endpoint)) {
        pool_conn_open(endpoint);
    }
    return filling ? filling : best;
}

/* ---- what happens to commands in flight ---- */

void pool_conn_release(struct pool_conn *pool_conn, bool was_live, bool answered)
{
    pool_conn->in_flight--;
    pool_conn->live -= was_live;
    if (!answered) {
        return;
    }
    pool_conn->silent = false; /* it lives */
    pool_conn_count(pool_conn);
    if (pool_conn->passed_by) {
        master_pool_wake(pool_conn->endpoint->master_pool);
    }
    pool_conn->passed_by = false;
}

void pool_conn_is_late(struct pool_conn *pool_conn, size_t n, uint64_t received)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;
    bool slow = redis_conn_received(pool_conn->conn) != received; /* but alive */

    pool_conn->live -= n;
    if (!slow && !pool_conn->silent) {
        pool_tell(endpoint, SUSPICION_SILENT);
    }
    pool_conn->silent = pool_conn->silent || !slow;
    if (pool_conn->silent && pool_conn->live == 0) {
        /* nobody would be hurt, and another one may be opened */
        pool_conn_free(pool_conn);
        master_pool_wake(endpoint->master_pool);
    }
}

/* ---- life ---- */

static void on_timer(void *data)
{
    struct pool_endpoint *endpoint = data;

    master_pool_wake(endpoint->master_pool);
}

struct pool_endpoint *endpoint_new(struct master_pool *master_pool, const struct address *address,
                                   bool is_replica)
{
    struct pool_endpoint *endpoint = mem_new(1, sizeof(*endpoint));

    endpoint->master_pool = master_pool;
    endpoint->address = *address;
    endpoint->is_replica = is_replica;
    endpoint->pool_conns = mem_new(master_pool->pool->config->size, sizeof(struct pool_conn *));
    endpoint->timer = loop_timer_new(master_pool->pool->loop, on_timer, endpoint);
    return endpoint;
}

void endpoint_withdraw(struct pool_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        struct pool_conn *pool_conn = endpoint->pool_conns[i];

        redis_conn_withdraw(pool_conn->conn);
        pool_conn_count(pool_conn);
    }
}

void endpoint_free(struct pool_endpoint *endpoint)
{
    if (!endpoint) {
        return;
    }
    endpoint->left = true;
    while (endpoint->n_pool_conns > 0) {
        pool_conn_free(endpoint->pool_conns[endpoint->n_pool_conns - 1]);
    }
    for (struct request_run *run = endpoint->master_pool->first; run; run = run->next_waiting) {
        if (run->endpoint == endpoint) {
            run->endpoint = NULL;
        }
    }
    loop_timer_free(endpoint->timer);
    free(endpoint->pool_conns);
    free(endpoint);
}
