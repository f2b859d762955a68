/*
 * One address: its connections, opened on demand, up to pool-size, each used by many commands at
 * once; and what happened there.
 *
 * A connection that ends by itself is news to the watcher. A node that can't be reached is dialled
 * again after 50 ms, doubling to a second, with jitter.
 */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

enum {
    BACKOFF_MS = 50,
    BACKOFF_MAX_MS = 1000,
    FILL_BYTES = 64 * 1024,
};

/* The only place where the state changes; whatever was left stays so. */
static void move(struct pool_endpoint *endpoint, enum endpoint_state state)
{
    endpoint->state = endpoint->state == ENDPOINT_LEFT ? ENDPOINT_LEFT : state;
}

/* ---- what is told ---- */

void endpoint_tell(struct pool_endpoint *endpoint, enum suspicion what)
{
    int64_t now_ms = clock_boot_ms();

    if (endpoint->is_replica ||
        (endpoint->told_ms != 0 && now_ms - endpoint->told_ms < SUSPECT_EVERY_MS)) {
        return;
    }
    endpoint->told_ms = now_ms;
    endpoint->owner->hooks->suspect(endpoint->owner->data, what, &endpoint->address);
}

/* The endpoint's timer, as well. */
static void tell_answered(void *data)
{
    const struct pool_endpoint *endpoint = data;

    endpoint->owner->hooks->answered(endpoint->owner->data);
}

/* ---- the connections ---- */

static void drop(struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        if (endpoint->pool_conns[i] == pool_conn) {
            endpoint->pool_conns[i] = endpoint->pool_conns[--endpoint->n_pool_conns];
            break;
        }
    }
    pool_conn_free(pool_conn);
}

void endpoint_back_off(struct pool_endpoint *endpoint)
{
    int64_t delay_ms = jittered_ms(backoff_ms(++endpoint->failures, BACKOFF_MS, BACKOFF_MAX_MS), 2);

    endpoint->retry_ms = clock_boot_ms() + delay_ms;
    loop_timer_start(endpoint->timer, delay_ms);
}

static void on_ready(struct pool_conn *pool_conn)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    endpoint->failures = 0;
    move(endpoint, ENDPOINT_USED);
    endpoint->retry_ms = 0;
    endpoint->owner->hooks->ready(pool_conn);
}

static void on_refused(struct pool_conn *pool_conn, enum pool_conn_refusal why, const char *words)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;

    if (why == POOL_CONN_NO_MASTER) {
        endpoint_tell(endpoint, SUSPICION_ROLE);
    }
    move(endpoint, why == POOL_CONN_REFUSED_FOR_GOOD ? ENDPOINT_HOPELESS : ENDPOINT_USED);
    endpoint->owner->hooks->lost(endpoint, false, words);
    drop(pool_conn);
}

static void on_closed(struct pool_conn *pool_conn, enum redis_fail why, const char *words)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;
    char text[ADDRESS_TEXT_SIZE];

    log_debug("connection for commands lost",
              LOG_STR("address", address_format(&endpoint->address, text)),
              LOG_STR("why", redis_fail_text(why)), LOG_STR("words", words));
    endpoint_tell(endpoint, why == REDIS_FAIL_TIMEOUT ? SUSPICION_SILENT : SUSPICION_LOST);
    endpoint->owner->hooks->lost(endpoint, pool_conn->state != POOL_CONN_OPENING, words);
    drop(pool_conn);
}

static void on_push(struct pool_conn *pool_conn, const redisReply *push)
{
    const struct endpoint_owner *owner = pool_conn->endpoint->owner;

    if (owner->hooks->push) {
        owner->hooks->push(owner->data, push);
    }
}

static void open_one(struct pool_endpoint *endpoint)
{
    static const struct pool_conn_hooks hooks = {
        .ready = on_ready, .refused = on_refused, .closed = on_closed, .push = on_push};

    move(endpoint, ENDPOINT_USED);
    endpoint->pool_conns[endpoint->n_pool_conns++] = pool_conn_open(endpoint, &hooks);
}

/* ---- cursors ---- */

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
    endpoint->multi = reply ? MULTI_KNOWN : MULTI_UNKNOWN;
    if (!reply) {
        return; /* the next connection asks again */
    }
    tell_answered(endpoint);
    if (reply->type != REDIS_REPLY_ERROR || endpoint->multi_refusal[0] != '\0') {
        return;
    }
    snprintf(endpoint->multi_refusal, sizeof(endpoint->multi_refusal), "%s", reply->str);
    drop(pool_conn);
}

void endpoint_ask_multi(struct pool_conn *pool_conn)
{
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    /* others use the connection */
    int64_t timeout_ms = pool_conn->endpoint->owner->config->command_timeout_ms;

    if (pool_conn->endpoint->multi == MULTI_ASKED) {
        return;
    }
    pool_conn->endpoint->multi = MULTI_ASKED;
    redis_conn_command(pool_conn->conn, on_multi, pool_conn, timeout_ms, 1, multi, NULL);
    redis_conn_command(pool_conn->conn, on_exec, pool_conn, timeout_ms, 1, exec, NULL);
}

void endpoint_doubt_multi(struct pool_endpoint *endpoint)
{
    if (endpoint->multi == MULTI_KNOWN) {
        endpoint->multi = MULTI_UNKNOWN;
    }
}

/* ---- choosing one ---- */

bool endpoint_rests(const struct pool_endpoint *endpoint)
{
    return endpoint->retry_ms != 0 && endpoint->retry_ms > clock_boot_ms();
}

bool endpoint_is_ready(const struct pool_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->n_pool_conns; i++) {
        if (endpoint->pool_conns[i]->state != POOL_CONN_OPENING) {
            return true;
        }
    }
    return false;
}

/* What is sent in one turn leaves in one write, and its answers mostly come in one piece. */
static bool is_filling(const struct pool_conn *pool_conn)
{
    size_t queued = redis_conn_queued(pool_conn->conn);

    return queued > 0 && queued < FILL_BYTES;
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

        connecting = connecting || pool_conn->state == POOL_CONN_OPENING;
        if (pool_conn->state == POOL_CONN_OPENING || !pool_conn_takes(pool_conn)) {
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
        endpoint->n_pool_conns < endpoint->owner->config->size && !endpoint_rests(endpoint)) {
        open_one(endpoint);
    }
    return filling ? filling : best;
}

/* ---- what happens to commands in flight ---- */

void endpoint_conn_is_late(struct pool_conn *pool_conn, size_t n, uint64_t received)
{
    struct pool_endpoint *endpoint = pool_conn->endpoint;
    bool slow = redis_conn_received(pool_conn->conn) != received; /* but alive */

    pool_conn->live -= n;
    if (!slow && pool_conn->state != POOL_CONN_SILENT) {
        endpoint_tell(endpoint, SUSPICION_SILENT);
        pool_conn_move(pool_conn, POOL_CONN_SILENT);
    }
    if (pool_conn->state == POOL_CONN_SILENT && pool_conn->live == 0) {
        /* nobody would be hurt, and another one may be opened */
        drop(pool_conn);
        tell_answered(endpoint);
    }
}

/* ---- life ---- */

struct pool_endpoint *endpoint_new(const struct endpoint_owner *owner,
                                   const struct address *address, bool is_replica)
{
    struct pool_endpoint *endpoint = mem_new(1, sizeof(*endpoint));

    endpoint->owner = owner;
    endpoint->address = *address;
    endpoint->is_replica = is_replica;
    endpoint->pool_conns = mem_new(owner->config->size, sizeof(struct pool_conn *));
    endpoint->timer = loop_timer_new(owner->loop, tell_answered, endpoint);
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

void endpoint_close(struct pool_endpoint *endpoint)
{
    move(endpoint, ENDPOINT_LEFT);
    while (endpoint->n_pool_conns > 0) {
        drop(endpoint->pool_conns[endpoint->n_pool_conns - 1]);
    }
}

void endpoint_free(struct pool_endpoint *endpoint)
{
    endpoint_close(endpoint);
    loop_timer_free(endpoint->timer);
    free(endpoint->pool_conns);
    free(endpoint);
}
