/* The verdict that systemd shows. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "bellwether/base/memory.h"
#include "daemon/systemd.h"

static struct snapshot *snapshot;
static char out[512];

static void tear_down(void)
{
    snapshot_unref(snapshot);
}

TestSuite(service_manager, .fini = tear_down);

static void add(size_t at, const char *name, enum master_state state, enum reason reason)
{
    struct snapshot_master *master = snapshot_master_new(name);

    master->state = state;
    master->reason = reason;
    master->has_address = true;
    (void)snprintf(master->address.host, sizeof(master->address.host), "10.0.0.%zu", at + 1);
    master->address.port = 6379;
    snapshot->masters[at] = master;
    snapshot->n_masters = at + 1;
}

Test(service_manager, nothing_known)
{
    snapshot = snapshot_new(1);
    snapshot->n_masters = 0;
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)), "no Sentinel reachable");
    snapshot->any_sentinel_reachable = true;
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)), "no master known");
}

Test(service_manager, one_master)
{
    snapshot = snapshot_new(1);
    add(0, "mymaster", MASTER_OK, REASON_NONE);
    snapshot->default_name = mem_strdup("mymaster");
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)),
                     "mymaster is ok at 10.0.0.1:6379");
    snapshot->masters[0]->state = MASTER_DOWN;
    snapshot->masters[0]->reason = REASON_REDIS_TIMEOUT;
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)),
                     "mymaster is down: redis_timeout");
}

Test(service_manager, several_masters)
{
    snapshot = snapshot_new(2);
    add(0, "a", MASTER_OK, REASON_NONE);
    add(1, "b", MASTER_FAILING_OVER, REASON_FAILING_OVER);
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)), "1 of 2 masters in service");
    snapshot->default_name = mem_strdup("a");
    cr_expect_str_eq(manager_verdict(snapshot, out, sizeof(out)),
                     "a is ok at 10.0.0.1:6379; 1 of 2 masters in service");
}
