/*
 * To which endpoint a request goes: the published master, a healthy replica, or the one server that
 * a cursor leads to. And what endpoints tell: whoever waits for one that is lost goes elsewhere.
 */
#include "pool_route.h"

#include <inttypes.h>
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "request_outcome.h"
#include "request_run.h"
#include "table_fetch.h"

/* ---- what endpoints tell ---- */

static void on_ready(struct pool_conn *pool_conn)
{
    struct master_pool *master_pool = pool_conn->endpoint->owner->data;

    master_pool->trouble[0] = '\0';
    table_fetch(master_pool, pool_conn);
    master_pool_wake(master_pool);
}

static void on_answered(void *data)
{
    master_pool_wake(data);
}

/* The runs that wait for a connection to this replica go on to the next one. */
static void send_waiting_on(struct pool_endpoint *endpoint)
{
    struct master_pool *master_pool = endpoint->owner->data;

    if (!endpoint->is_replica) {
        return;
    }
    LIST_EACH(struct request_run, run, &master_pool->waiting, waiting) {
        if (run->replica == endpoint) {
            request_run_leave_replica(run, &endpoint->address);
        }
    }
}

static void on_lost(struct pool_endpoint *endpoint, bool was_ready, const char *words)
{
    struct master_pool *master_pool = endpoint->owner->data;
    char text[ADDRESS_TEXT_SIZE];

    if (!was_ready || !master_pool->commands_table) { /* without the command table nothing runs */
        endpoint_back_off(endpoint);
        (void)snprintf(master_pool->trouble, sizeof(master_pool->trouble), "%s: %s",
                       address_format(&endpoint->address, text), words);
    }
    send_waiting_on(endpoint);
    master_pool_wake(master_pool);
}

static void on_suspect(void *data, enum suspicion what, const struct address *address)
{
    const struct master_pool *master_pool = data;
    const struct pool_hooks *hooks = &master_pool->pool->hooks;

    if (hooks->suspect) {
        hooks->suspect(hooks->data, what, master_pool->name, address);
    }
}

const struct endpoint_hooks pool_route_hooks = {
    .ready = on_ready, .answered = on_answered, .lost = on_lost, .suspect = on_suspect};

/* ---- replicas ---- */

static bool is_usable(const struct master_pool *master_pool, const struct snapshot_replica *replica)
{
    return snapshot_replica_is_fit(replica, master_pool->pool->config->replica_max_lag_bytes,
                                   clock_boot_ms());
}

static bool was_tried(const struct request_run *run, const struct address *address)
{
    for (size_t i = 0; i < run->n_tried; i++) {
        if (address_equal(&run->tried[i], address)) {
            return true;
        }
    }
    return false;
}

static bool may_use(const struct master_pool *master_pool, const struct request_run *run,
                    const struct address *address)
{
    const struct snapshot_replica *replica =
        master_pool->shown ? snapshot_find_replica(master_pool->shown, address) : NULL;

    return replica && is_usable(master_pool, replica) && !was_tried(run, address);
}

/* The replica's connections. @return NULL: the run's commands may not go there. */
static struct pool_endpoint *usable_endpoint(struct master_pool *master_pool,
                                             const struct request_run *run,
                                             const struct snapshot_replica *replica)
{
    const struct address *address = &replica->address;

    if (!is_usable(master_pool, replica) || was_tried(run, address)) {
        return NULL;
    }
    for (size_t i = 0; i < master_pool->n_replicas; i++) {
        if (address_equal(&master_pool->replicas[i]->address, address)) {
            return master_pool->replicas[i];
        }
    }
    master_pool->replicas = mem_resize(master_pool->replicas, master_pool->n_replicas + 1,
                                       sizeof(*master_pool->replicas));
    master_pool->replicas[master_pool->n_replicas] =
        endpoint_new(&master_pool->owner, address, true);
    return master_pool->replicas[master_pool->n_replicas++];
}

/* One that could not be reached lately is left to itself for a while, if there is another one. */
static struct pool_endpoint *choose_replica(struct master_pool *master_pool,
                                            const struct request_run *run)
{
    struct pool_endpoint *resting = NULL;
    size_t n = master_pool->shown ? master_pool->shown->n_replicas : 0;

    for (size_t i = 0; i < n; i++) {
        const struct snapshot_replica *replica =
            &master_pool->shown->replicas[(master_pool->turn + i) % n];
        struct pool_endpoint *endpoint = usable_endpoint(master_pool, run, replica);

        if (endpoint && !endpoint_rests(endpoint)) {
            master_pool->turn = (master_pool->turn + i + 1) % n;
            return endpoint;
        }
        resting = endpoint ? endpoint : resting;
    }
    return resting;
}

/* The replica that the cursor belongs to, else one that it may belong to. */
static struct pool_endpoint *find_replica(struct master_pool *master_pool,
                                          const struct request_run *run, uint32_t cursor_tag)
{
    struct pool_endpoint *perhaps = NULL;

    for (size_t i = 0; i < master_pool->shown->n_replicas; i++) {
        struct pool_endpoint *endpoint =
            usable_endpoint(master_pool, run, &master_pool->shown->replicas[i]);
        enum cursor_owner owner =
            endpoint ? endpoint_owns_cursor(endpoint, cursor_tag) : CURSOR_OWNER_NOT;

        if (owner == CURSOR_OWNER_IS) {
            return endpoint;
        }
        if (!perhaps && owner == CURSOR_OWNER_PERHAPS && !endpoint_rests(endpoint)) {
            perhaps = endpoint;
        }
    }
    return perhaps;
}

/* ---- where to ---- */

/* The connections to the published master. @return NULL: there is none that commands may go to. */
static struct pool_endpoint *master_endpoint(struct master_pool *master_pool)
{
    if (!master_pool->serves) {
        return NULL;
    }
    if (!master_pool->master) {
        master_pool->table_is_old = master_pool->table_is_old ||
                                    master_pool->owner.switches != master_pool->shown->switches;
        master_pool->owner.switches = master_pool->shown->switches;
        master_pool->master =
            endpoint_new(&master_pool->owner, &master_pool->shown->address, false);
    }
    return master_pool->master;
}

/* The replica that it runs on. @return NULL: there is none, or the master is to stand in. */
static struct pool_endpoint *replica_endpoint(struct request_run *run)
{
    struct master_pool *master_pool = run->master_pool;

    if (run->replica && !may_use(master_pool, run, &run->replica->address)) {
        run->replica = NULL; /* no longer */
    }
    if (!run->replica) {
        run->replica = choose_replica(master_pool, run);
    }
    if (!run->replica && master_pool->pool->config->replica_fallback) {
        run->target = POOL_MASTER;
    }
    return run->replica;
}

struct pool_endpoint *pool_route_find(struct request_run *run, bool *over)
{
    struct pool_endpoint *endpoint = run->target == POOL_MASTER ? NULL : replica_endpoint(run);

    if (run->target == POOL_MASTER) {
        endpoint = master_endpoint(run->master_pool);
        *over = endpoint && endpoint->state == ENDPOINT_HOPELESS && endpoint->n_pool_conns == 0 &&
                endpoint_rests(endpoint);
        return *over ? NULL : endpoint;
    }
    *over = !endpoint && run->master_pool->shown;
    return endpoint;
}

bool pool_route_may_follow(const struct request_run *run)
{
    const struct pool_endpoint *endpoint = run->pool_conn->endpoint;

    return endpoint->is_replica ? may_use(run->master_pool, run, &endpoint->address)
                                : run->master_pool->serves;
}

bool pool_route_has_no_master(const struct master_pool *master_pool, bool served, char *out,
                              size_t size)
{
    const struct snapshot_master *shown = master_pool->shown;

    if (pool_is_stalled(master_pool->pool)) {
        snprintf(out, size, "NOMASTER the watcher gives no sign of life, so no master is known");
        return true;
    }
    if (!served || master_pool->serves) {
        return false;
    }
    snprintf(out, size, "NOMASTER no master within %" PRId64 " ms: %s",
             master_pool->pool->config->command_timeout_ms,
             shown && shown->detail ? shown->detail : "not resolved yet");
    return true;
}

/* ---- cursors ---- */

struct pool_endpoint *pool_route_find_cursor(struct request_run *run, uint32_t tag, bool *over,
                                             bool *lost)
{
    struct master_pool *master_pool = run->master_pool;
    struct pool_endpoint *endpoint, *master = NULL;
    enum cursor_owner owner;

    if (run->request->target == POOL_MASTER) {
        endpoint = pool_route_find(run, over);
        *lost = endpoint && endpoint_owns_cursor(endpoint, tag) == CURSOR_OWNER_NOT;
        return *lost ? NULL : endpoint;
    }
    if (!master_pool->shown) {
        return NULL;
    }
    endpoint = find_replica(master_pool, run, tag);
    if (master_pool->pool->config->replica_fallback) {
        master = master_endpoint(master_pool);
    }
    owner = master ? endpoint_owns_cursor(master, tag) : CURSOR_OWNER_NOT;
    if (owner == CURSOR_OWNER_IS ||
        (!endpoint && owner == CURSOR_OWNER_PERHAPS && !endpoint_rests(master))) {
        endpoint = master;
    }
    *lost = !endpoint;
    if (endpoint) {
        run->target = endpoint == master ? POOL_MASTER : POOL_REPLICA;
        run->replica = endpoint == master ? NULL : endpoint;
    }
    return endpoint;
}
