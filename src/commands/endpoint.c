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

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "pool_internal.h"

enum { BACKOFF_MS = 50, BACKOFF_MAX_MS = 1000, FILL_BYTES = 64 * 1024, CLOG_BYTES = 256 * 1024 };

/* ---- counting ---- */

static enum metric_pool_state state_of(const struct line *line)
{
    if (!line->ready) {
        return METRIC_POOL_STATE_CONNECTING;
    }
    return line->in_flight > 0 ? METRIC_POOL_STATE_BUSY : METRIC_POOL_STATE_IDLE;
}

void line_count(struct line *line)
{
    struct metrics_redis *counts = line->node->desk->pool->counts;
    enum metric_pool_state state = state_of(line);

    if (state == line->counted) {
        return;
    }
    metric_move(&counts->connections[line->counted], -1);
    metric_move(&counts->connections[state], 1);
    line->counted = state;
}

/* ---- the end of a line ---- */

/* What was on it is settled from inside redis_conn_free(). */
static void line_free(struct line *line)
{
    struct node *node = line->node;

    for (size_t i = 0; i < node->n_lines; i++) {
        if (node->lines[i] == line) {
            node->lines[i] = node->lines[--node->n_lines];
            break;
        }
    }
    redis_conn_free(line->conn);
    metric_move(&node->desk->pool->counts->connections[line->counted], -1);
    free(line);
}

/* The tasks that wait for a connection to this replica go on to the next one. */
static void send_waiting_on(struct node *node)
{
    if (!node->is_replica) {
        return;
    }
    for (struct pool_task *task = node->desk->first; task; task = task->next_waiting) {
        if (task->node == node) {
            task_leave_node(task, &node->address);
        }
    }
}

static void node_fail(struct node *node, const char *words)
{
    char text[ADDRESS_TEXT_SIZE];
    int64_t delay_ms = BACKOFF_MAX_MS;

    if (node->failures < 5) {
        delay_ms = BACKOFF_MS << node->failures;
    }
    if (delay_ms > BACKOFF_MAX_MS) {
        delay_ms = BACKOFF_MAX_MS;
    }
    delay_ms -= jitter_below((uint32_t)(delay_ms / 2));
    node->failures++;
    node->retry_ms = clock_boot_ms() + delay_ms;
    desk_say(node->desk, "%s: %s", address_format(&node->address, text), words);
    loop_timer_start(node->timer, delay_ms);
    send_waiting_on(node);
    desk_wake(node->desk);
}

static void on_closed(void *data, enum redis_fail why, const char *words)
{
    struct line *line = data;
    struct node *node = line->node;
    bool was_of_use = line->ready && node->desk->book; /* without the book nothing runs */
    char text[ADDRESS_TEXT_SIZE];

    log_debug("connection for commands lost",
              LOG_STR("address", address_format(&node->address, text)),
              LOG_STR("why", redis_fail_text(why)), LOG_STR("words", words));
    pool_tell(node, why == REDIS_FAIL_TIMEOUT ? SUSPICION_SILENT : SUSPICION_LOST);
    if (!was_of_use) {
        node_fail(node, words);
    } else {
        send_waiting_on(node);
        desk_wake(node->desk);
    }
    line_free(line);
}

/* ---- the beginning ---- */

static void on_table(void *data, const redisReply *reply, enum redis_fail why)
{
    struct line *line = data;

    (void)why;
    line->asking_table = false;
    desk_take_table(line->node->desk, reply);
}

/* Ahead of the commands that wait, so in their order. */
static void ask_table(struct line *line)
{
    const struct node *node = line->node;
    const struct desk *desk = node->desk;
    const struct pool_config *config = desk->pool->config;
    const char *argv[] = {"COMMAND"};

    if (desk->book && (!desk->book_is_old || node->is_replica)) {
        return;
    }
    line->asking_table = true;
    /* with a book commands go out behind it: it does not end their connection before their time */
    redis_conn_command(line->conn, on_table, line,
                       desk->book ? config->command_timeout_ms : config->connect_timeout_ms, 1,
                       argv, NULL);
}

static void on_info(void *data, const redisReply *reply, enum redis_fail why)
{
    const struct line *line = data;

    (void)why;
    desk_take_info(line->node->desk, reply);
}

void node_ask_name(struct line *line, const char *name)
{
    struct desk *desk = line->node->desk;
    const char *argv[] = {"COMMAND", "INFO", name};

    if (desk->asked[0] != '\0') {
        return;
    }
    snprintf(desk->asked, sizeof(desk->asked), "%s", name);
    redis_conn_command(line->conn, on_info, line, desk->pool->config->command_timeout_ms, 3, argv,
                       NULL);
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
    struct line *line = data;
    struct node *node = line->node;
    char run_id[RUN_ID_SIZE];

    (void)why;
    line->asking_run_id = false;
    if (!reply) {
        return; /* the next connection asks again */
    }
    if (read_run_id(reply, run_id)) {
        struct cursor_home home = {&node->address, run_id, !node->is_replica, node->desk->switches};

        line->cursor_tag = cursor_tag(node->desk->pool->config->cursor_secret, &home);
    } else {
        line->cursor_tag =
            cursor_tag_of((uint64_t)jitter_below(UINT32_MAX) << 32 | jitter_below(UINT32_MAX));
    }
    desk_wake(node->desk);
}

void node_ask_run_id(struct line *line)
{
    const char *argv[] = {"INFO", "server"};

    if (line->asking_run_id) {
        return;
    }
    line->asking_run_id = true;
    redis_conn_command(line->conn, on_run_id, line,
                       line->node->desk->pool->config->command_timeout_ms, 2, argv, NULL);
}

enum cursor_owner node_owns_cursor(const struct node *node, uint32_t cursor_tag)
{
    enum cursor_owner owner = CURSOR_OWNER_PERHAPS;

    for (size_t i = 0; i < node->n_lines; i++) {
        if (node->lines[i]->cursor_tag == cursor_tag) {
            return CURSOR_OWNER_IS;
        }
        if (node->lines[i]->cursor_tag != CURSOR_TAG_NONE) {
            owner = CURSOR_OWNER_NOT;
        }
    }
    return owner;
}

struct line *node_cursor_line(struct node *node, uint32_t cursor_tag)
{
    for (size_t i = 0; i < node->n_lines; i++) {
        struct line *line = node->lines[i];

        if (line->cursor_tag == cursor_tag && line_takes(line)) {
            return line;
        }
    }
    return node_line(node);
}

/* ---- transactions ---- */

static void on_multi(void *data, const redisReply *reply, enum redis_fail why)
{
    struct node *node = ((struct line *)data)->node;

    (void)why;
    node->multi_refusal[0] = '\0';
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        snprintf(node->multi_refusal, sizeof(node->multi_refusal), "%s", reply->str);
    }
}

/*
 * EXEC without MULTI is an error as well; MULTI's is the one to tell. A MULTI without EXEC leaves a
 * connection that is of no more use.
 */
static void on_exec(void *data, const redisReply *reply, enum redis_fail why)
{
    struct line *line = data;
    struct node *node = line->node;

    (void)why;
    node->asking_multi = false;
    if (!reply) {
        return; /* the next connection asks again */
    }
    node->multi_known = true;
    desk_wake(node->desk);
    if (reply->type != REDIS_REPLY_ERROR || node->multi_refusal[0] != '\0') {
        return;
    }
    snprintf(node->multi_refusal, sizeof(node->multi_refusal), "%s", reply->str);
    line_free(line);
}

void node_ask_multi(struct line *line)
{
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    /* others use the connection */
    int64_t timeout_ms = line->node->desk->pool->config->command_timeout_ms;

    if (line->node->asking_multi) {
        return;
    }
    line->node->asking_multi = true;
    redis_conn_command(line->conn, on_multi, line, timeout_ms, 1, multi, NULL);
    redis_conn_command(line->conn, on_exec, line, timeout_ms, 1, exec, NULL);
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

static void line_refused(struct line *line, const char *why)
{
    struct node *node = line->node;

    node_fail(node, why);
    line_free(line);
}

static void line_is_ready(struct line *line)
{
    struct node *node = line->node;

    line->ready = true;
    node->failures = 0;
    node->hopeless = false;
    node->retry_ms = 0;
    node->desk->trouble[0] = '\0';
    line_count(line);
    ask_table(line);
    desk_wake(node->desk);
}

static void take_role(struct line *line, const char *role)
{
    if (!role || line->node->is_replica || strncmp(role, "master", strlen("master")) == 0) {
        line_is_ready(line);
        return;
    }
    pool_tell(line->node, SUSPICION_ROLE);
    line_refused(line, "it is no master");
}

/* ---- without HELLO: renamed, or denied by an ACL ---- */

static bool is_withheld(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           (strncmp(reply->str, "NOPERM", 6) == 0 || strstr(reply->str, "unknown command"));
}

static void ask(struct line *line, redis_reply_fn *done, int argc, const char **argv)
{
    redis_conn_command(line->conn, done, line, line->node->desk->pool->config->connect_timeout_ms,
                       argc, argv, NULL);
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

static void ask_role(struct line *line)
{
    const char *role[] = {"ROLE"};

    ask(line, on_role, 1, role);
}

static void on_auth(void *data, const redisReply *reply, enum redis_fail why)
{
    struct line *line = data;

    (void)why;
    if (!reply) {
        return;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        ask_role(line);
        return;
    }
    line->node->hopeless = is_withheld(reply);
    if (!line->node->hopeless) {
        (void)secret_refresh(line->node->desk->login->password, true, NULL, 0);
    }
    line_refused(line, reply->str);
}

static void begin_without_hello(struct line *line)
{
    const struct login *login = line->node->desk->login;
    const char *password = secret_value(login->password);
    const char *named[] = {"AUTH", login->username, password}, *unnamed[] = {"AUTH", password};

    if (!password) {
        ask_role(line);
    } else if (login->username) {
        ask(line, on_auth, 3, named);
    } else {
        ask(line, on_auth, 2, unnamed);
    }
}

static void on_ready(void *data, const redisReply *hello)
{
    struct line *line = data;
    struct node *node = line->node;

    if (hello->type != REDIS_REPLY_ERROR) {
        take_role(line, hello_value(hello, "role"));
        return;
    }
    if (is_withheld(hello)) {
        begin_without_hello(line);
        return;
    }
    if (strncmp(hello->str, "WRONGPASS", 9) == 0 || strncmp(hello->str, "NOAUTH", 6) == 0) {
        (void)secret_refresh(node->desk->login->password, true, NULL, 0);
    }
    line_refused(line, hello->str);
}

static void line_open(struct node *node)
{
    static const struct redis_conn_hooks hooks = {.ready = on_ready, .closed = on_closed};
    const struct desk *desk = node->desk;
    const struct pool_config *config = desk->pool->config;
    struct line *line = mem_new(1, sizeof(*line));

    node->hopeless = false;
    line->node = node;
    line->conn = redis_conn_new(desk->pool->loop, &hooks, line);
    line->counted = METRIC_POOL_STATE_CONNECTING;
    metric_move(&desk->pool->counts->connections[line->counted], 1);
    node->lines[node->n_lines++] = line;
    redis_conn_group(line->conn, desk->shown ? desk->shown->deployment : 0);
    redis_conn_speak(line->conn, 2); /* shapes of replies as Upstash's SDKs know them */
    redis_conn_limit(line->conn, config->max_reply_bytes);
    redis_conn_open(line->conn, &node->address, desk->login->username,
                    secret_value(desk->login->password), config->connect_timeout_ms);
}

/* ---- choosing one ---- */

bool node_rests(const struct node *node)
{
    return node->retry_ms != 0 && node->retry_ms > clock_boot_ms();
}

/* What is sent in one turn leaves in one write, and its answers mostly come in one piece. */
static bool is_filling(const struct line *line)
{
    size_t queued = redis_conn_queued(line->conn);

    return queued > 0 && queued < FILL_BYTES;
}

/*
 * Where the socket has no room, more of it would only wait in memory without a bound, and have run
 * late or nobody knows: it waits in the queue.
 */
bool line_takes(struct line *line)
{
    bool takes = !line->silent && redis_conn_clogged(line->conn) < CLOG_BYTES;

    line->passed_by = line->passed_by || !takes;
    return takes;
}

/* A reply that nobody wants any more holds up those behind it, too. */
static size_t load_of(const struct line *line)
{
    return line->in_flight + redis_conn_is_skipping(line->conn);
}

/* The one that this turn writes to already, else the one with the least to do. */
struct line *node_line(struct node *node)
{
    struct line *best = NULL, *filling = NULL;
    bool connecting = false;

    for (size_t i = 0; i < node->n_lines; i++) {
        struct line *line = node->lines[i];

        connecting = connecting || !line->ready;
        if (!line->ready || !line_takes(line)) {
            continue;
        }
        if (!best || load_of(line) < load_of(best)) {
            best = line;
        }
        if (is_filling(line)) {
            filling = line;
        }
    }
    if ((!best || load_of(best) > 0) && !connecting &&
        node->n_lines < node->desk->pool->config->size && !node_rests(node)) {
        line_open(node);
    }
    return filling ? filling : best;
}

/* ---- what happens to slots ---- */

void line_release(struct line *line, bool was_live, bool answered)
{
    line->in_flight--;
    line->live -= was_live;
    if (!answered) {
        return;
    }
    line->silent = false; /* it lives */
    line_count(line);
    if (line->passed_by) {
        desk_wake(line->node->desk);
    }
    line->passed_by = false;
}

void line_is_late(struct line *line, size_t n, uint64_t received)
{
    struct node *node = line->node;
    bool slow = redis_conn_received(line->conn) != received; /* but alive */

    line->live -= n;
    if (!slow && !line->silent) {
        pool_tell(node, SUSPICION_SILENT);
    }
    line->silent = line->silent || !slow;
    if (line->silent && line->live == 0) { /* nobody would be hurt, and another one may be opened */
        line_free(line);
        desk_wake(node->desk);
    }
}

/* ---- life ---- */

static void on_timer(void *data)
{
    struct node *node = data;

    desk_wake(node->desk);
}

struct node *node_new(struct desk *desk, const struct address *address, bool is_replica)
{
    struct node *node = mem_new(1, sizeof(*node));

    node->desk = desk;
    node->address = *address;
    node->is_replica = is_replica;
    node->lines = mem_new(desk->pool->config->size, sizeof(struct line *));
    node->timer = loop_timer_new(desk->pool->loop, on_timer, node);
    return node;
}

void node_withdraw(struct node *node)
{
    for (size_t i = 0; i < node->n_lines; i++) {
        struct line *line = node->lines[i];

        redis_conn_withdraw(line->conn);
        line_count(line);
    }
}

void node_free(struct node *node)
{
    if (!node) {
        return;
    }
    node->left = true;
    while (node->n_lines > 0) {
        line_free(node->lines[node->n_lines - 1]);
    }
    for (struct pool_task *task = node->desk->first; task; task = task->next_waiting) {
        if (task->node == node) {
            task->node = NULL;
        }
    }
    loop_timer_free(node->timer);
    free(node->lines);
    free(node);
}
